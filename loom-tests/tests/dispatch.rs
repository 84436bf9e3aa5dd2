//! What publish and subscribe promise, whatever other threads do meanwhile.

use signalpost_core::sync::AtomicBool;
use signalpost_core::sync::Ordering::{AcqRel, Acquire, Release};
use signalpost_dispatch::{Dispatcher, SubscribeOptions};
use signalpost_loom_tests::{Canary, Tally, all, join, model, preemptions, spawn};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

type Ticks = Dispatcher<u32, Infallible>;

/// Counts how often subscribers ran. Not of the model: read by whoever knows that they are done.
#[derive(Clone, Default)]
struct Ran(Arc<AtomicUsize>);

impl Ran {
    fn subscriber(&self, canary: Canary) -> impl Fn(&u32) + Send + Sync + 'static {
        let ran = self.clone();
        move |_| {
            canary.assert_alive();
            ran.0.fetch_add(1, Relaxed);
        }
    }

    fn count(&self) -> usize {
        self.0.load(Relaxed)
    }
}

/// Drops the dispatcher, which nobody else has any more: with it go all subscribers.
fn end<X: 'static>(ticks: Arc<Dispatcher<u32, X>>, tally: &Tally) {
    drop(Arc::into_inner(ticks).expect("the threads have ended"));
    tally.assert_all_dropped();
}

#[test]
fn after_subscribe_returns_a_later_publish_runs_it() {
    model(all().at_least(10), || {
        let (tally, ran) = (Tally::new(), Ran::default());
        let (ticks, told) = (Arc::new(Ticks::new()), Arc::new(AtomicBool::new(false)));
        let subscriber = ran.subscriber(tally.canary());
        let (theirs, tell) = (ticks.clone(), told.clone());
        let thread = spawn(move || {
            theirs.subscribe(subscriber).detach();
            tell.store(true, Release);
        });
        if told.load(Acquire) {
            ticks.publish(&1);
            assert_eq!(ran.count(), 1, "this publish is later");
        }
        thread.join().unwrap();
        end(ticks, &tally);
    });
}

#[test]
fn a_thread_that_is_told_by_another_sees_it_too() {
    model(all().at_least(200), || {
        let (tally, ran) = (Tally::new(), Ran::default());
        let ticks = Arc::new(Ticks::new());
        let told = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let subscriber = ran.subscriber(tally.canary());
        let (theirs, tell) = (ticks.clone(), told[0].clone());
        let first = spawn(move || {
            theirs.subscribe(subscriber).detach();
            tell.store(true, Release);
        });
        let [from, to] = told.clone();
        let second = spawn(move || to.store(from.load(Acquire), Release));
        if told[1].load(Acquire) {
            ticks.publish(&1);
            assert_eq!(ran.count(), 1, "this publish is later");
        }
        join([first, second]);
        end(ticks, &tally);
    });
}

#[test]
fn concurrent_registrations_lose_nothing() {
    model(preemptions(3).at_least(10_000), || {
        let (tally, ran) = (Tally::new(), Ran::default());
        let ticks = Arc::new(Ticks::new());
        let (theirs, subscriber) = (ticks.clone(), ran.subscriber(tally.canary()));
        let thread = spawn(move || theirs.subscribe(subscriber).detach());
        ticks.subscribe(ran.subscriber(tally.canary())).detach();
        thread.join().unwrap();
        ticks.publish(&1);
        assert_eq!(ran.count(), 2);
        end(ticks, &tally);
    });
}

#[test]
fn after_cancel_returns_a_later_publish_does_not_run_it() {
    model(all().at_least(90), || {
        let (tally, ran) = (Tally::new(), Ran::default());
        let (ticks, told) = (Arc::new(Ticks::new()), Arc::new(AtomicBool::new(false)));
        let subscription = ticks.subscribe(ran.subscriber(tally.canary()));
        let tell = told.clone();
        let thread = spawn(move || {
            assert!(subscription.cancel());
            tell.store(true, Release);
        });
        let before = ran.count();
        if told.load(Acquire) {
            ticks.publish(&1);
            assert_eq!(ran.count(), before, "this publish is later");
        } else {
            ticks.publish(&1);
        }
        thread.join().unwrap();
        end(ticks, &tally);
    });
}

#[test]
fn a_second_cancel_helps_a_lagging_first() {
    model(preemptions(2).at_least(10_000), || {
        let (tally, ran) = (Tally::new(), Ran::default());
        let ticks = Arc::new(Ticks::new());
        let subscription = Arc::new(ticks.subscribe(ran.subscriber(tally.canary())));
        let (theirs, to_cancel) = (ticks.clone(), subscription.clone());
        let thread = spawn(move || {
            to_cancel.cancel();
            theirs.publish(&1);
        });
        subscription.cancel();
        ticks.publish(&1);
        thread.join().unwrap();
        assert_eq!(ran.count(), 0, "each publish is later than a cancel");
        drop(subscription);
        end(ticks, &tally);
    });
}

#[test]
fn a_slow_subscribe_does_not_undo_a_later_cancel() {
    model(preemptions(3).at_least(80_000), || {
        let (tally, ran) = (Tally::new(), Ran::default());
        let ticks = Arc::new(Ticks::new());
        let first = ticks.subscribe(ran.subscriber(tally.canary()));
        let (theirs, subscriber) = (ticks.clone(), ran.subscriber(tally.canary()));
        let thread = spawn(move || theirs.subscribe(subscriber).detach());
        drop(first);
        let before = ran.count();
        ticks.publish(&1);
        assert!(ran.count() <= before + 1, "what was cancelled is back");
        thread.join().unwrap();
        let before = ran.count();
        ticks.publish(&1);
        assert_eq!(ran.count(), before + 1);
        end(ticks, &tally);
    });
}

#[test]
fn subscribing_runs_nobodys_destructor() {
    model(preemptions(3).at_least(70_000), || {
        let (tally, ran) = (Tally::new().dropped_by_a_collector(), Ran::default());
        let ticks = Arc::new(Ticks::new());
        let first = ticks.subscribe(ran.subscriber(tally.canary()));
        let (theirs, subscriber) = (ticks.clone(), ran.subscriber(tally.canary()));
        let thread = spawn(move || theirs.subscribe(subscriber).detach());
        drop(first);
        thread.join().unwrap();
        end(ticks, &tally);
    });
}

#[test]
fn a_subscribe_that_trims_frees_no_list_that_is_being_walked() {
    model(all().at_least(70), || {
        let (tally, ran) = (Tally::new(), Ran::default());
        let ticks = Arc::new(Ticks::new());
        ticks.subscribe(ran.subscriber(tally.canary())).detach();
        let theirs = ticks.clone();
        let thread = spawn(move || theirs.publish(&1));
        // Under loom every second one trims.
        for _ in 0..2 {
            ticks.subscribe(ran.subscriber(tally.canary())).detach();
        }
        thread.join().unwrap();
        assert!((1..=3).contains(&ran.count()));
        end(ticks, &tally);
    });
}

#[test]
fn stop_is_exact_under_concurrent_registration() {
    model(all().at_least(60), || {
        let log = Arc::new(Mutex::new(Vec::new()));
        let note = |name| {
            let log = log.clone();
            move || log.lock().unwrap().push(name)
        };
        let tally = Tally::new();
        let ticks = Arc::new(Dispatcher::<u32, &str>::new());
        let (note_a, note_b) = (note("a"), note("b"));
        ticks.subscribe(move |_: &u32| note_a()).detach();
        let stop = move |_: &u32| {
            note_b();
            Err("no")
        };
        let stopper = ticks.subscribe(stop).detach();
        let (theirs, note_first, note_last) = (ticks.clone(), note("first"), note("last"));
        let thread = spawn(move || {
            let first = SubscribeOptions::new().priority(1);
            theirs.subscribe_with(first, move |_: &u32| note_first()).detach();
            theirs.subscribe(move |_: &u32| note_last()).detach();
        });
        let stopped = ticks.publish(&1).unwrap_err();
        let saw = log.lock().unwrap().len() + stopped.not_run;
        let ran: &[&str] = if saw == 2 { &["a", "b"] } else { &["first", "a", "b"] };
        assert_eq!(*log.lock().unwrap(), ran);
        assert_eq!((stopped.error, stopped.subscriber.id), ("no", stopper));
        assert_eq!((stopped.position, stopped.not_run), (ran.len() - 1, usize::from(saw == 4)));
        thread.join().unwrap();
        end(ticks, &tally);
    });
}

#[test]
fn a_publish_sees_all_of_an_edit_or_nothing() {
    model(all().at_least(40), || {
        let (tally, ran) = (Tally::new(), Ran::default());
        let ticks = Arc::new(Ticks::new());
        let old = ticks.subscribe(ran.subscriber(tally.canary()));
        let (theirs, new) = (ticks.clone(), ran.subscriber(tally.canary()));
        let thread = spawn(move || {
            theirs.edit(|edit| {
                edit.cancel(&old);
                edit.subscribe(new).detach()
            })
        });
        ticks.publish(&1);
        assert_eq!(ran.count(), 1, "the old one or the new one");
        thread.join().unwrap();
        end(ticks, &tally);
    });
}

#[test]
fn a_nested_publish_sees_its_own_list_and_keeps_the_outer_one() {
    model(preemptions(3).at_least(500), || {
        let (tally, ran) = (Tally::new(), Ran::default());
        let (outer, inner) = (Arc::new(Ticks::new()), Arc::new(Ticks::new()));
        let (canary, inside) = (tally.canary(), inner.clone());
        let first = outer.subscribe(move |tick: &u32| {
            inside.publish(tick);
            canary.assert_alive();
        });
        let second = outer.subscribe(ran.subscriber(tally.canary()));
        let innermost = inner.subscribe(ran.subscriber(tally.canary()));
        let theirs = outer.clone();
        let thread = spawn(move || theirs.publish(&1));
        drop(innermost);
        drop(first);
        drop(second);
        thread.join().unwrap();
        assert!(ran.count() <= 2);
        drop(Arc::into_inner(outer).expect("the threads have ended"));
        end(inner, &tally);
    });
}

#[test]
fn a_publish_inside_itself_sees_what_was_changed_meanwhile() {
    model(all().at_least(400), || {
        let (tally, ran) = (Tally::new(), Ran::default());
        let ticks = Arc::new(Ticks::new());
        let (again, canary) = (Arc::downgrade(&ticks), tally.canary());
        let outer = ticks.subscribe(move |tick: &u32| {
            if *tick == 0 {
                again.upgrade().expect("being published to").publish(&1);
            }
            canary.assert_alive();
        });
        let theirs = ticks.clone();
        let thread = spawn(move || theirs.publish(&0));
        drop(outer);
        ticks.subscribe(ran.subscriber(tally.canary())).detach();
        thread.join().unwrap();
        assert!(ran.count() <= 2);
        end(ticks, &tally);
    });
}

#[test]
fn a_subscriber_that_cancels_itself_is_dropped_when_all_publishes_of_it_have_ended() {
    model(all().at_least(300), || {
        let tally = Tally::new();
        let ticks = Arc::new(Ticks::new());
        let handle = Arc::new(Mutex::new(None));
        let (own, taken, canary) = (handle.clone(), AtomicBool::new(false), tally.canary());
        let subscription = ticks.subscribe(move |_: &u32| {
            // Not the lock alone: who comes first is for loom to decide.
            if !taken.swap(true, AcqRel) {
                let subscription = own.lock().unwrap().take();
                drop(subscription);
            }
            canary.assert_alive();
        });
        *handle.lock().unwrap() = Some(subscription);
        let theirs = ticks.clone();
        let thread = spawn(move || theirs.publish(&1));
        ticks.publish(&1);
        thread.join().unwrap();
        ticks.collect();
        tally.assert_all_dropped();
        end(ticks, &tally);
    });
}

#[test]
fn a_once_subscriber_runs_for_one_of_two_publishes() {
    model(all().at_least(1_000), || {
        let (tally, ran) = (Tally::new(), Ran::default());
        let ticks = Arc::new(Ticks::new());
        ticks.subscribe_with(SubscribeOptions::new().once(), ran.subscriber(tally.canary())).detach();
        let theirs = ticks.clone();
        let thread = spawn(move || theirs.publish(&1));
        ticks.publish(&1);
        // A write, which may sweep it out.
        let other = ticks.subscribe(ran.subscriber(tally.canary()));
        drop(other);
        thread.join().unwrap();
        assert!((1..=2).contains(&ran.count()), "once, and perhaps the other");
        end(ticks, &tally);
    });
}

#[test]
fn what_ended_by_itself_is_swept_by_a_later_write() {
    model(preemptions(2).at_least(10), || {
        let (tally, ran) = (Tally::new(), Ran::default());
        let ticks = Arc::new(Ticks::new());
        ticks.subscribe_with(SubscribeOptions::new().once(), ran.subscriber(tally.canary())).detach();
        let other = ticks.subscribe(ran.subscriber(tally.canary()));
        let theirs = ticks.clone();
        let thread = spawn(move || theirs.publish(&1));
        assert!(other.pause()); // a write that may be told
        thread.join().unwrap();
        assert!(other.resume()); // one that is, if the first was not
        assert_eq!(ticks.len(), 1, "whoever has ended has left");
        drop(other);
        end(ticks, &tally);
    });
}

#[test]
fn after_pause_returns_a_later_publish_skips_it() {
    model(all().at_least(3), || {
        let (tally, ran) = (Tally::new(), Ran::default());
        let (ticks, told) = (Arc::new(Ticks::new()), Arc::new(AtomicBool::new(false)));
        let subscription = ticks.subscribe(ran.subscriber(tally.canary()));
        let tell = told.clone();
        let thread = spawn(move || {
            assert!(subscription.pause());
            tell.store(true, Release);
            subscription.detach()
        });
        if told.load(Acquire) {
            ticks.publish(&1);
            assert_eq!(ran.count(), 0, "this publish is later");
        }
        thread.join().unwrap();
        end(ticks, &tally);
    });
}

#[test]
fn a_panic_in_a_subscriber_leaves_no_mark_behind() {
    model(all().at_least(50), || {
        let tally = Tally::new();
        let ticks = Arc::new(Ticks::new());
        let canary = tally.canary();
        let subscription = ticks.subscribe(move |_: &u32| {
            canary.assert_alive();
            resume_unwind(Box::new("a panic that no hook hears of"));
        });
        let theirs = ticks.clone();
        let thread = spawn(move || {
            // Caught on this thread; where the list was empty already, nobody ran.
            let _ = catch_unwind(AssertUnwindSafe(|| theirs.publish(&1)));
        });
        drop(subscription);
        thread.join().unwrap();
        ticks.collect();
        assert_eq!(ticks.retired(), 0);
        tally.assert_all_dropped();
        end(ticks, &tally);
    });
}

#[test]
fn an_undo_is_told_to_those_who_ran_though_they_were_cancelled_meanwhile() {
    model(all().at_least(50), || {
        let tally = Tally::new();
        let balance = Arc::new(AtomicUsize::new(0));
        let ticks = Arc::new(Dispatcher::<u32, &str>::new());
        let (counter, canary) = (balance.clone(), tally.canary());
        let first = ticks.subscribe(move |tick: &u32| {
            canary.assert_alive();
            match tick {
                1 => counter.fetch_add(1, Relaxed),
                _ => counter.fetch_sub(1, Relaxed),
            };
        });
        ticks.subscribe(|_: &u32| Err("no")).detach();
        let theirs = ticks.clone();
        let thread = spawn(move || theirs.publish_or_undo(&1, &2).is_err());
        drop(first);
        assert!(thread.join().unwrap());
        assert_eq!(balance.load(Relaxed), 0);
        end(ticks, &tally);
    });
}
