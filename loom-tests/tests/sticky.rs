//! What a late subscriber is given, whatever publishers do meanwhile.
#![cfg(feature = "sticky")]

use signalpost_core::sync::AtomicUsize;
use signalpost_core::sync::Ordering::Relaxed;
use signalpost_dispatch::{Dispatcher, Sticky};
use signalpost_loom_tests::{all, join, model, preemptions, spawn};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

type Ticks = Dispatcher<u32, Infallible>;

/// What came, in order. Not of the model: looked at by whoever knows that all have come.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<u32>>>);

impl Seen {
    fn subscribe(&self, sticky: &Sticky<u32, Infallible>) {
        let seen = self.clone();
        let Ok(subscription) = sticky.subscribe(move |tick: &u32| seen.push(*tick));
        subscription.detach();
    }

    fn push(&self, tick: u32) {
        self.0.lock().unwrap().push(tick);
    }

    fn has(&self, tick: u32) -> bool {
        self.0.lock().unwrap().contains(&tick)
    }

    fn take(&self) -> Vec<u32> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[test]
fn a_late_subscriber_misses_nothing() {
    model(preemptions(3).at_least(500), || {
        let (ticks, seen) = (Arc::new(Ticks::new()), Seen::default());
        let sticky = ticks.sticky();
        let theirs = ticks.clone();
        let publisher = spawn(move || {
            theirs.publish(&1);
            theirs.publish(&2);
        });
        seen.subscribe(&sticky);
        join([publisher]);
        let seen = seen.take();
        assert!(seen == [1, 2] || seen == [2], "{seen:?}");
    });
}

#[test]
fn with_two_publishers_it_misses_nothing_of_either() {
    model(preemptions(2).at_least(500), || {
        let (ticks, seen) = (Arc::new(Ticks::new()), Seen::default());
        let sticky = ticks.sticky();
        let publishers = [10, 20].map(|tick| {
            let theirs = ticks.clone();
            spawn(move || {
                theirs.publish(&tick);
            })
        });
        seen.subscribe(&sticky);
        join(publishers);
        let (mut seen, last) = (seen.take(), sticky.last());
        assert!(seen.contains(&last.unwrap()), "{seen:?} without {last:?}");
        seen.sort_unstable();
        assert!(seen == [10] || seen == [20] || seen == [10, 20], "{seen:?}");
    });
}

#[test]
fn an_open_gate_shows_what_was_caught_up() {
    model(all().at_least(100), || {
        let (ticks, seen) = (Arc::new(Ticks::new()), Seen::default());
        let sticky = ticks.sticky();
        ticks.publish(&1);
        let theirs = ticks.clone();
        let publisher = spawn(move || {
            theirs.publish(&2);
        });
        let (log, trace) = (seen.clone(), AtomicUsize::new(0));
        let Ok(sub) = sticky.subscribe(move |tick: &u32| {
            if log.has(1) {
                assert_eq!(trace.load(Relaxed), 1, "what it did for the first event");
            }
            trace.store(*tick as usize, Relaxed);
            log.push(*tick);
        });
        sub.detach();
        join([publisher]);
        let seen = seen.take();
        assert!(seen == [1, 2] || seen == [2], "{seen:?}");
    });
}
