//! Guards that outlive what their thread said of itself. One test, since it needs to know who takes which slot.

use signalpost::Bus;
use signalpost::monitor::{LoopGuard, Monitor, WatchError};
use std::cell::RefCell;
use std::sync::{Arc, mpsc};
use std::thread;

thread_local! {
    static KEPT: RefCell<Option<LoopGuard>> = const { RefCell::new(None) };
    static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
}

/// Says that the thread's locals are being destroyed, and waits.
struct Late(mpsc::Sender<()>, mpsc::Receiver<()>);

impl Drop for Late {
    fn drop(&mut self) {
        let _ = (self.0.send(()), self.1.recv());
    }
}

#[test]
fn a_guard_that_is_dropped_with_its_threads_locals_leaves_the_next_threads_alone() {
    static NONE: signalpost::Plugins = signalpost::Plugins::new();
    let monitor = Monitor::builder().bus(Arc::new(Bus::new())).plugins(&NONE).start().unwrap();
    let ((ends, ending), (go, goes)) = (mpsc::channel(), mpsc::channel());
    thread::scope(|scope| {
        // What was made last is destroyed first: what the thread says of itself, then `LATE`, then `KEPT`.
        let first = scope.spawn(|| {
            KEPT.with(|kept| assert!(kept.borrow().is_none()));
            LATE.with(|late| *late.borrow_mut() = Some(Late(ends, goes)));
            let guard = monitor.watch_loop("first").unwrap();
            KEPT.with(|kept| *kept.borrow_mut() = Some(guard));
        });
        ending.recv().unwrap();
        let _second = monitor.watch_loop("second").unwrap();
        go.send(()).unwrap();
        first.join().unwrap();
        assert!(matches!(monitor.watch_loop("third"), Err(WatchError::ThreadIsTaken)));
        let names: Vec<_> = monitor.event_loops().iter().map(|hub| hub.name().to_owned()).collect();
        assert_eq!(names, ["tasks", "second"]);
    });
}
