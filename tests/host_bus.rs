//! The process-wide bus with a host framework that publishes in its stead. A test with a process of its own: a host is installed once.

use signalpost::{
    AnyEvent, BoxError, BusStop, EventStop, GlobalError, HostBus, HostSubscriber, LateVeto, SubscribeOptions,
    bus, event, family, set_global, topic,
};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, RwLock};

type Function = Box<dyn Fn(&dyn AnyEvent) -> Result<(), BusStop> + Send + Sync>;

/// A framework with a list of functions, as zope.event's.
struct Framework {
    list: RwLock<Vec<Function>>,
    attached: AtomicUsize,
}

impl Framework {
    fn add(&self, function: impl Fn(&dyn AnyEvent) -> Result<(), BusStop> + Send + Sync + 'static) {
        self.list.write().unwrap().push(Box::new(function));
    }
}

impl HostBus for Framework {
    fn publish(&self, event: &dyn AnyEvent) -> Result<(), BusStop> {
        self.list.read().unwrap().iter().try_for_each(|function| function(event))
    }

    fn subscribe(&self, ours: HostSubscriber) {
        self.attached.fetch_add(1, SeqCst);
        self.add(move |event| ours.call(event));
    }
}

static FRAMEWORK: Framework = Framework { list: RwLock::new(Vec::new()), attached: AtomicUsize::new(0) };
static LOG: Mutex<Vec<&str>> = Mutex::new(Vec::new());

fn note(name: &'static str) {
    LOG.lock().unwrap().push(name);
}

fn taken() -> Vec<&'static str> {
    std::mem::take(&mut LOG.lock().unwrap())
}

/// Which of those who are asked says no, and how.
trait Refused {
    fn refused_by(&self) -> &'static str;
}
family!(struct Refusals: dyn Refused = "test.refusals");

macro_rules! refused {
    ($($name:ident)*) => {$(
        struct $name(&'static str);
        impl Refused for $name {
            fn refused_by(&self) -> &'static str {
                self.0
            }
        }
    )*};
}
refused!(Will Did Strict);
event!(Will: "test.will", stop = BusStop, families = [Refusals]);
event!(Did: "test.did", families = [Refusals]);
event!(Strict: "test.strict", stop = Coded, families = [Refusals]);

/// A stop of its own that says who.
#[derive(Debug)]
enum Coded {
    Code(u32),
    Other(BusStop, String),
}

impl EventStop for Coded {
    fn from_bus(stop: BusStop, by: &dyn fmt::Display) -> Self {
        Self::Other(stop, by.to_string())
    }

    fn into_bus(self) -> BusStop {
        match self {
            Self::Code(code) => BusStop::fail(format!("code {code}")),
            Self::Other(stop, _) => stop,
        }
    }
}

fn refusal(event: &dyn Refused, name: &'static str) -> Result<(), BusStop> {
    note(name);
    if event.refused_by() == name { Err(BusStop::veto(name)) } else { Ok(()) }
}

fn as_refused(event: &dyn AnyEvent) -> Option<&dyn Refused> {
    let will = event.downcast_ref::<Will>().map(|event| event as &dyn Refused);
    let did = || event.downcast_ref::<Did>().map(|event| event as &dyn Refused);
    let strict = || event.downcast_ref::<Strict>().map(|event| event as &dyn Refused);
    will.or_else(did).or_else(strict)
}

/// One test, since it is one process: what is installed stays.
#[test]
fn all_events_go_by_the_hosts_list_in_its_order_and_its_stops_are_given_to_our_publishers() {
    let (first, row) = (set_global(&FRAMEWORK), line!());
    first.unwrap();

    // A second host is refused, and told where the first is.
    let again = set_global(&FRAMEWORK).unwrap_err();
    let GlobalError::AlreadySet { location } = again else { panic!("{again:?}") };
    assert_eq!((location.file(), location.line()), (file!(), row));
    assert!(again.to_string().contains("already") && again.to_string().contains(file!()), "{again}");

    // The host's own run, whether there are some of ours or not; publishing does not attach ours.
    FRAMEWORK.add(|event| as_refused(event).map_or(Ok(()), |event| refusal(event, "host, before")));
    signalpost::publish(&Will("")).unwrap();
    assert_eq!((taken(), FRAMEWORK.attached.load(SeqCst)), (vec!["host, before"], 0));
    assert!(bus().has_subscribers::<Will>(), "the host's are not known here, so there may be some");
    bus().publish(&Did("")).unwrap();
    bus().publish_any(&Did("")).unwrap();
    bus().try_publish(&Did("")).unwrap();
    assert_eq!(taken(), ["host, before"; 3]);

    // Ours come where the first to ask for a handle was.
    let will = topic::<Will>();
    assert_eq!(FRAMEWORK.attached.load(SeqCst), 1);
    FRAMEWORK.add(|event| as_refused(event).map_or(Ok(()), |event| refusal(event, "host, after")));
    let subs = [
        signalpost::subscribe(|event| as_refused(event).map_or(Ok(()), |event| refusal(event, "plain"))),
        family::<Refusals>().subscribe(|event| refusal(event, "family")),
        will.subscribe(|will: &Will| refusal(will, "topic")),
        topic::<Did>().subscribe(|did: &Did| refusal(did, "topic").map_err(|_| BoxError::from("ours"))),
        topic::<Strict>().subscribe(|strict: &Strict| {
            note("topic");
            if strict.0 == "topic" { Err(Coded::Code(7)) } else { Ok(()) }
        }),
    ];
    assert_eq!(FRAMEWORK.attached.load(SeqCst), 1, "once for all");
    let all = ["host, before", "plain", "topic", "family", "host, after"];
    signalpost::publish(&Will("")).unwrap();
    assert_eq!(taken(), all);
    will.publish(&Will("")).unwrap();
    will.try_publish(&Will("")).unwrap();
    will.publish_with(|| Will("")).unwrap();
    bus().publish_any(&Will("")).unwrap();
    assert_eq!(taken(), all.repeat(4));

    // A veto of anyone stops all that come later, the host's too, and reaches the publisher as it is.
    for (place, name) in all.into_iter().enumerate() {
        for stopped in [
            signalpost::publish(&Will(name)).unwrap_err(),
            will.publish(&Will(name)).unwrap_err(),
            bus().publish_any(&Will(name)).unwrap_err(),
        ] {
            let BusStop::Veto(veto) = &stopped.error else { panic!("{stopped}") };
            assert_eq!(veto.reason, name);
        }
        assert_eq!(taken(), all[..=place].repeat(3));
    }

    // A stop of the host's own names the host, with the place where it was installed.
    let stopped = signalpost::publish(&Will("host, after")).unwrap_err();
    assert!(stopped.to_string().contains("host of the process-wide bus"), "{stopped}");
    assert_eq!((stopped.subscriber.location.file(), stopped.subscriber.location.line()), (file!(), row));

    // After the fact a veto is a failure that says who tried.
    let late = signalpost::publish(&Did("host, before")).unwrap_err().error;
    let late = late.downcast_ref::<LateVeto>().expect("a late veto");
    assert!(late.veto.reason == "host, before" && late.by.contains("host of the process-wide bus"), "{late}");
    let late = signalpost::publish(&Did("family")).unwrap_err().error;
    let late = late.downcast_ref::<LateVeto>().expect("a late veto");
    assert!(late.veto.reason == "family" && late.by.contains("host_bus.rs"), "{late}");

    // A failure of ours goes through the host and comes back unchanged.
    assert_eq!(signalpost::publish(&Did("topic")).unwrap_err().error.to_string(), "ours");

    // What a type makes of a stop of its own, it gets back as one of the bus's.
    let stop = signalpost::publish(&Strict("topic")).unwrap_err().error;
    let Coded::Other(BusStop::Fail(error), _) = stop else { panic!("{stop:?}") };
    assert_eq!(error.to_string(), "code 7");
    let stop = signalpost::publish(&Strict("host, after")).unwrap_err().error;
    let Coded::Other(BusStop::Veto(veto), by) = stop else { panic!("{stop:?}") };
    assert!(veto.reason == "host, after" && by.contains("host"), "{by}");
    taken();

    // Handles do what they do elsewhere.
    assert!(subs[0].pause());
    subs[2].cancel();
    let once = SubscribeOptions::new().once();
    bus().edit(|edit| edit.topic::<Will>().subscribe_with(once, |_: &Will| note("once")).detach());
    signalpost::publish(&Will("")).unwrap();
    signalpost::publish(&Will("")).unwrap();
    let mut both = vec!["host, before", "once", "family", "host, after"];
    both.extend(["host, before", "family", "host, after"]);
    assert_eq!(taken(), both);
    assert!(set_global(&FRAMEWORK).is_err(), "and still only once");
}
