//! The process-wide bus by itself; and a host that comes when it has been used. A test with a process of its own.

use signalpost::{AnyEvent, BusStop, GlobalError, HostBus, HostSubscriber, bus, event, family, set_global};
use std::sync::Mutex;

struct Late;

impl HostBus for Late {
    fn publish(&self, _: &dyn AnyEvent) -> Result<(), BusStop> {
        panic!("not installed");
    }

    fn subscribe(&self, _: HostSubscriber) {
        panic!("not installed");
    }
}

trait Named {
    fn named(&self) -> &'static str;
}
family!(struct Names: dyn Named = "test.names");

struct Ready;
impl Named for Ready {
    fn named(&self) -> &'static str {
        "ready"
    }
}
event!(Ready: "test.ready", families = [Names]);

static LOG: Mutex<Vec<&str>> = Mutex::new(Vec::new());

fn note(name: &'static str) {
    LOG.lock().unwrap().push(name);
}

/// One test, since it is one process.
#[test]
fn a_host_that_comes_after_the_first_use_is_refused_and_the_bus_goes_on_by_itself() {
    // A publish is a use, also one that nobody hears.
    signalpost::publish(&Ready).unwrap();
    let late = set_global(&Late).unwrap_err();
    assert_eq!(late, GlobalError::Late);
    assert!(late.to_string().contains("before the first publish or subscribe"), "{late}");

    let _subs = [
        signalpost::subscribe(|event| note(event.name())),
        family::<Names>().subscribe(|event| note(event.named())),
        signalpost::topic::<Ready>().subscribe(|_: &Ready| note("topic")),
        bus().subscribe(|_| note("plain")),
    ];
    signalpost::publish(&Ready).unwrap();
    std::thread::spawn(|| signalpost::topic::<Ready>().publish(&Ready).unwrap()).join().unwrap();
    let all = ["test.ready", "topic", "ready", "plain"];
    assert_eq!(std::mem::take(&mut *LOG.lock().unwrap()), all.repeat(2));
    assert_eq!((bus().len(), std::ptr::eq(bus(), bus())), (4, true));
    assert!(format!("{:?}", bus()).contains("process-wide"));
    assert_eq!(set_global(&Late), Err(GlobalError::Late));
}
