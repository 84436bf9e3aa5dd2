//! Waits: what has ended when they return, whom they do not wait for, and when they cannot.

use signalpost_core::WaitError;
use signalpost_core::sync::AtomicBool;
use signalpost_core::sync::Ordering::{Acquire, Release};
use signalpost_dispatch::{Dispatcher, ScopeError, Subscription};
use signalpost_loom_tests::{
    Annex, Canary, Tally, all, join, model, preemptions, refuse_barriers_from, spawn, until,
};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Ticks = Dispatcher<u32, Infallible>;

/// Captured by a subscriber: looks at the annex when it runs and when it is dropped.
struct Captures {
    canary: Canary,
    annex: Arc<Annex>,
}

impl Captures {
    fn new(tally: &Tally, annex: &Arc<Annex>) -> Self {
        Self { canary: tally.canary(), annex: annex.clone() }
    }

    fn look(&self) {
        self.canary.assert_alive();
        self.annex.look();
    }
}

impl Drop for Captures {
    fn drop(&mut self) {
        self.annex.look();
    }
}

fn subscribe(ticks: &Ticks, tally: &Tally, annex: &Arc<Annex>) -> Subscription {
    let captures = Captures::new(tally, annex);
    ticks.subscribe(move |_: &u32| captures.look())
}

fn end(ticks: Arc<Ticks>, tally: &Tally) {
    drop(Arc::into_inner(ticks).expect("the threads have ended"));
    tally.assert_all_dropped();
}

#[test]
fn cancel_and_wait_returns_when_the_captures_are_gone() {
    model(all().at_least(100), || {
        let (tally, annex) = (Tally::new(), Arc::new(Annex::default()));
        let ticks = Arc::new(Ticks::new());
        let subscription = subscribe(&ticks, &tally, &annex);
        let theirs = ticks.clone();
        let publisher = spawn(move || theirs.publish(&1));
        subscription.cancel_and_wait(Duration::MAX).expect("publishes end");
        tally.assert_all_dropped();
        annex.take_back();
        publisher.join().unwrap();
        end(ticks, &tally);
    });
}

#[test]
fn cancel_and_wait_is_for_every_publisher() {
    model(preemptions(3).at_least(4_000), || {
        let (tally, annex) = (Tally::new(), Arc::new(Annex::default()));
        let ticks = Arc::new(Ticks::new());
        let subscription = subscribe(&ticks, &tally, &annex);
        let publishers = [(); 2].map(|()| {
            let ticks = ticks.clone();
            spawn(move || ticks.publish(&1))
        });
        subscription.cancel_and_wait(Duration::MAX).expect("publishes end");
        tally.assert_all_dropped();
        annex.take_back();
        join(publishers);
        end(ticks, &tally);
    });
}

#[test]
fn a_waiter_is_not_misled_by_a_collector_in_the_middle() {
    model(preemptions(3).at_least(20_000), || {
        let (tally, annex) = (Tally::new(), Arc::new(Annex::default()));
        let ticks = Arc::new(Ticks::new());
        let subscription = subscribe(&ticks, &tally, &annex);
        let theirs = ticks.clone();
        let collector = spawn(move || theirs.collect());
        subscription.cancel_and_wait(Duration::MAX).expect("collectors end");
        tally.assert_all_dropped();
        annex.take_back();
        collector.join().unwrap();
        end(ticks, &tally);
    });
}

#[test]
fn a_waiter_is_not_misled_by_another_cancel() {
    model(preemptions(2).at_least(10_000), || {
        let (tally, annex) = (Tally::new(), Arc::new(Annex::default()));
        let ticks = Arc::new(Ticks::new());
        let subscription = Arc::new(subscribe(&ticks, &tally, &annex));
        let theirs = subscription.clone();
        let canceller = spawn(move || {
            theirs.cancel();
        });
        subscription.cancel_and_wait(Duration::MAX).expect("nobody stays");
        tally.assert_all_dropped();
        annex.take_back();
        canceller.join().unwrap();
        end(ticks, &tally);
    });
}

#[test]
fn a_wait_inside_a_publish_of_the_same_dispatcher_is_an_error() {
    model(all().at_least(1), || {
        let (tally, annex) = (Tally::new(), Arc::new(Annex::default()));
        let ticks = Arc::new(Ticks::new());
        let handle = Arc::new(Mutex::new(None));
        let (own, canary, inside) = (handle.clone(), tally.canary(), Arc::downgrade(&ticks));
        let subscription = ticks.subscribe(move |_: &u32| {
            let subscription: Option<Subscription> = own.lock().unwrap().take();
            let waited = subscription.expect("the first publish").cancel_and_wait(Duration::MAX);
            assert_eq!(waited, Err(WaitError::WouldDeadlock));
            let ticks = inside.upgrade().expect("being published to");
            assert_eq!(ticks.scope(|_| ()), Err(ScopeError::InsidePublish));
            canary.assert_alive();
        });
        *handle.lock().unwrap() = Some(subscription);
        let other = subscribe(&ticks, &tally, &annex);
        ticks.publish(&1);
        drop(other);
        tally.assert_all_dropped();
        end(ticks, &tally);
    });
}

#[test]
fn a_wait_is_not_for_publishes_elsewhere() {
    model(all().at_least(2), || {
        let (tally, annex) = (Tally::new(), Arc::new(Annex::default()));
        let (slow, ticks) = (Arc::new(Ticks::new()), Arc::new(Ticks::new()));
        let waited = Arc::new(AtomicBool::new(false));
        let awaited = waited.clone();
        slow.subscribe(move |_: &u32| until(|| awaited.load(Acquire))).detach();
        let subscription = subscribe(&ticks, &tally, &annex);
        let theirs = slow.clone();
        let publisher = spawn(move || theirs.publish(&1));
        subscription.cancel_and_wait(Duration::MAX).expect("nobody is inside");
        waited.store(true, Release);
        publisher.join().unwrap();
        end(slow, &tally);
        end(ticks, &tally);
    });
}

#[test]
fn a_thread_inside_two_publishes_may_wait_for_a_third_dispatcher() {
    model(all().at_least(100), || {
        let (tally, annex) = (Tally::new(), Arc::new(Annex::default()));
        let ticks = Arc::new(Ticks::new());
        let subscription = Arc::new(subscribe(&ticks, &tally, &annex));
        let (outer, inner) = (Ticks::new(), Arc::new(Ticks::new()));
        let waiting = inner.clone();
        outer.subscribe(move |tick: &u32| waiting.publish(tick).unwrap_or(())).detach();
        let theirs = subscription.clone();
        inner.subscribe(move |_: &u32| theirs.cancel_and_wait(Duration::MAX).expect("not inside")).detach();
        let theirs = ticks.clone();
        let publisher = spawn(move || theirs.publish(&1));
        outer.publish(&1);
        tally.assert_all_dropped();
        publisher.join().unwrap();
        end(ticks, &tally);
    });
}

#[test]
fn a_scope_ends_when_no_publish_of_its_subscribers_is_left() {
    model(all().at_least(100), || {
        let tally = Tally::new();
        let ticks = Arc::new(Ticks::new());
        let publishers = {
            // Borrowed by the subscriber, dropped right after the scope.
            let borrowed = tally.canary();
            let publishers = ticks.scope(|scope| {
                scope.subscribe(|_: &u32| borrowed.assert_alive());
                [ticks.clone()].map(|theirs| {
                    spawn(move || {
                        let _ = theirs.publish(&1);
                    })
                })
            });
            publishers.expect("not inside")
        };
        join(publishers);
        end(ticks, &tally);
    });
}

#[test]
fn a_wait_whose_barrier_fails_is_an_error_and_frees_nothing() {
    model(all().at_least(4), || {
        refuse_barriers_from(1);
        let (tally, annex) = (Tally::new(), Arc::new(Annex::default()));
        let ticks = Arc::new(Ticks::new());
        let subscription = subscribe(&ticks, &tally, &annex);
        let theirs = ticks.clone();
        let publisher = spawn(move || theirs.publish(&1));
        let waited = subscription.cancel_and_wait(Duration::MAX);
        if cfg!(signalpost_loom) {
            assert_eq!(waited, Err(WaitError::BarrierLost));
            assert_eq!(tally.dropped(), 0, "somebody may be running it");
        }
        assert!(!ticks.has_subscribers(), "cancelled all the same");
        publisher.join().unwrap();
        end(ticks, &tally);
    });
}
