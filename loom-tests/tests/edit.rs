//! Handles of subscribers that an edit has not yet brought in.

use signalpost_dispatch::Dispatcher;
use signalpost_loom_tests::{Tally, model, preemptions, spawn};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

#[test]
fn a_cancel_before_the_edit_returns_is_kept() {
    model(preemptions(2), || {
        let tally = Tally::new();
        let ticks = Arc::new(Dispatcher::<u32, Infallible>::new());
        let canceller = Mutex::new(None);
        ticks.edit(|edit| {
            let canary = tally.canary();
            let subscription = edit.subscribe(move |_: &u32| canary.assert_alive());
            *canceller.lock().unwrap() = Some(spawn(move || drop(subscription)));
        });
        canceller.into_inner().unwrap().expect("spawned in the edit").join().unwrap();
        assert!(!ticks.has_subscribers(), "registered for ever, with no handle");
        drop(Arc::into_inner(ticks).expect("the thread has ended"));
        tally.assert_all_dropped();
    });
}
