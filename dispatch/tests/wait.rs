//! `cancel_and_wait`: after `Ok` the subscriber is not running, will not run, and its captures have been dropped.

mod common;

use common::{Drops, Gate, Later, Log, OnDrop, Plain, Stay, publisher_inside, within};
use signalpost::{Subscription, SubscriptionSet, WaitError};
use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

fn capturing(post: &Plain, drops: &Drops) -> Subscription {
    let token = drops.token();
    post.subscribe(move |_: &u32| token.touch())
}

#[test]
fn with_nobody_inside_it_is_done_at_once() {
    let (post, drops) = (Plain::new(), Drops::new());
    let sub = capturing(&post, &drops);
    post.publish(&1);
    sub.cancel_and_wait(Duration::ZERO).unwrap();
    assert_eq!(drops.alive(), 0);
    assert!(!post.has_subscribers());
    sub.cancel_and_wait(Duration::ZERO).unwrap();
}

#[test]
fn it_works_before_anything_was_published() {
    let (post, drops) = (Plain::new(), Drops::new());
    capturing(&post, &drops).cancel_and_wait(Duration::MAX).unwrap();
    assert_eq!(drops.alive(), 0);
}

#[test]
fn it_waits_while_the_subscriber_runs_on_another_thread() {
    within(|| {
        let (post, stay) = (Arc::new(Plain::new()), Stay::new());
        let (running, dropped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (here, runs) = (stay.clone(), running.clone());
        let capture = OnDrop::new({
            let (running, dropped) = (running.clone(), dropped.clone());
            move || {
                assert!(!running.load(SeqCst), "dropped while it runs");
                dropped.store(true, SeqCst);
            }
        });
        let sub = post.subscribe(move |_: &u32| {
            capture.touch();
            runs.store(true, SeqCst);
            here.here();
            thread::sleep(Duration::from_millis(50)); // for a waiter that returns too early
            runs.store(false, SeqCst);
        });
        let publisher = publisher_inside(&post, &stay, 1);
        let waiter = thread::spawn(move || {
            sub.cancel_and_wait(Duration::MAX).unwrap();
            assert!(!running.load(SeqCst), "still running");
            assert!(dropped.load(SeqCst), "captures still alive");
        });
        stay.leave.open();
        waiter.join().unwrap();
        publisher.join().unwrap();
    });
}

#[test]
fn a_timeout_that_runs_out_is_an_error_and_the_wait_can_be_made_again() {
    within(|| {
        let (post, stay, drops) = (Arc::new(Plain::new()), Stay::new(), Drops::new());
        let (here, token) = (stay.clone(), drops.token());
        let sub = post.subscribe(move |_: &u32| {
            here.here();
            token.touch();
        });
        let publisher = publisher_inside(&post, &stay, 1);
        for timeout in [Duration::ZERO, Duration::from_nanos(1), Duration::from_millis(30)] {
            assert_eq!(sub.cancel_and_wait(timeout), Err(WaitError::TimedOut));
            assert!(!sub.is_active(), "cancelled all the same");
            assert_eq!(drops.alive(), 1);
        }
        post.publish(&2); // nobody is called, so this does not stay
        stay.leave.open();
        publisher.join().unwrap();
        sub.cancel_and_wait(Duration::ZERO).unwrap();
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn inside_the_subscriber_itself_it_is_an_error_at_once_and_works_afterwards() {
    within(|| {
        let (post, drops, log) = (Plain::new(), Drops::new(), Log::new());
        let own: Later<Subscription> = Later::new();
        let (this, token, seen) = (own.clone(), drops.token(), log.clone());
        own.set(post.subscribe(move |_: &u32| {
            seen.push(this.get().cancel_and_wait(Duration::MAX));
            seen.push(this.get().cancel_and_wait(Duration::ZERO));
            token.touch();
        }));
        post.publish(&1);
        assert_eq!(log.take(), [Err(WaitError::WouldDeadlock); 2]);
        own.get().cancel_and_wait(Duration::MAX).unwrap();
        assert_eq!(drops.alive(), 0);
        post.publish(&1);
        assert_eq!(log.take(), []);
    });
}

#[test]
fn inside_another_subscriber_of_the_same_dispatcher_it_is_an_error_too() {
    within(|| {
        let (post, drops, log) = (Plain::new(), Drops::new(), Log::new());
        let later: Later<Subscription> = Later::new();
        let (victim, seen) = (later.clone(), log.clone());
        let _waits = post.subscribe(move |_: &u32| seen.push(victim.get().cancel_and_wait(Duration::MAX)));
        later.set(capturing(&post, &drops));
        post.publish(&1);
        assert_eq!(log.take(), [Err(WaitError::WouldDeadlock)]);
        assert_eq!(drops.alive(), 0, "cancelled all the same, and collected at the leave");
        post.publish(&1);
        assert_eq!(log.take(), [Ok(())], "it is gone, so there is nothing to wait for");
    });
}

#[test]
fn inside_a_subscriber_of_another_dispatcher_it_waits() {
    within(|| {
        let (outer, inner) = (Plain::new(), Arc::new(Plain::new()));
        let (drops, stay) = (Drops::new(), Stay::new());
        let (here, token) = (stay.clone(), drops.token());
        let sub = inner.subscribe(move |_: &u32| {
            here.here();
            token.touch();
        });
        let publisher = publisher_inside(&inner, &stay, 1);
        let (seen, leave) = (drops.clone(), stay.leave.clone());
        let _outer = outer.subscribe(move |_: &u32| {
            assert_eq!(sub.cancel_and_wait(Duration::ZERO), Err(WaitError::TimedOut));
            leave.open();
            sub.cancel_and_wait(Duration::MAX).unwrap();
            assert_eq!(seen.alive(), 0);
        });
        outer.publish(&1);
        publisher.join().unwrap();
    });
}

#[test]
fn a_thread_that_sleeps_inside_one_dispatcher_delays_nothing_of_another() {
    within(|| {
        let (a, b) = (Arc::new(Plain::new()), Plain::new());
        let (stay, drops) = (Stay::new(), Drops::new());
        let here = stay.clone();
        let _a = a.subscribe(move |_: &u32| here.here());
        let sleeper = publisher_inside(&a, &stay, 1);
        for _ in 0..10 {
            capturing(&b, &drops).cancel_and_wait(Duration::MAX).unwrap();
            drop(capturing(&b, &drops));
        }
        assert_eq!((drops.made(), drops.alive(), b.retired()), (20, 0, 0));
        stay.leave.open();
        sleeper.join().unwrap();
    });
}

#[test]
fn it_waits_for_every_thread_that_runs_it() {
    within(|| {
        let (post, drops) = (Arc::new(Plain::new()), Drops::new());
        let stays: Vec<_> = (0..4).map(|_| Stay::new()).collect();
        let (here, token) = (stays.clone(), drops.token());
        let inside = Arc::new(AtomicU32::new(0));
        let count = inside.clone();
        let sub = post.subscribe(move |n: &u32| {
            count.fetch_add(1, SeqCst);
            here[*n as usize].here();
            token.touch();
            count.fetch_sub(1, SeqCst);
        });
        let publishers: Vec<_> =
            stays.iter().enumerate().map(|(n, stay)| publisher_inside(&post, stay, n as u32)).collect();
        for stay in &stays {
            assert_eq!(sub.cancel_and_wait(Duration::ZERO), Err(WaitError::TimedOut));
            stay.leave.open();
        }
        sub.cancel_and_wait(Duration::MAX).unwrap();
        assert_eq!((inside.load(SeqCst), drops.alive()), (0, 0));
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
    });
}

#[test]
fn two_threads_may_wait_for_the_same_subscriber() {
    within(|| {
        let (post, drops, stay) = (Arc::new(Plain::new()), Drops::new(), Stay::new());
        let (here, token) = (stay.clone(), drops.token());
        let sub = post.subscribe(move |_: &u32| {
            here.here();
            token.touch();
        });
        let publisher = publisher_inside(&post, &stay, 1);
        thread::scope(|threads| {
            for _ in 0..3 {
                threads.spawn(|| {
                    sub.cancel_and_wait(Duration::MAX).unwrap();
                    assert_eq!(drops.alive(), 0);
                });
            }
            stay.leave.open();
        });
        publisher.join().unwrap();
    });
}

#[test]
fn it_waits_for_a_destructor_that_another_thread_is_running() {
    within(|| {
        let post = Arc::new(Plain::new());
        let (dropping, go_on, done) = (Gate::new(), Gate::new(), Arc::new(AtomicBool::new(false)));
        let capture = OnDrop::new({
            let (dropping, go_on, done) = (dropping.clone(), go_on.clone(), done.clone());
            move || {
                dropping.open();
                go_on.wait();
                thread::sleep(Duration::from_millis(50)); // for a waiter that returns too early
                done.store(true, SeqCst);
            }
        });
        let sub = Arc::new(post.subscribe(move |_: &u32| capture.touch()));
        let theirs = sub.clone();
        let collector = thread::spawn(move || theirs.cancel());
        dropping.wait();
        assert_eq!(sub.cancel_and_wait(Duration::from_millis(10)), Err(WaitError::TimedOut));
        go_on.open();
        sub.cancel_and_wait(Duration::MAX).unwrap();
        assert!(done.load(SeqCst), "the destructor has not ended");
        assert!(collector.join().unwrap());
    });
}

#[test]
fn what_the_destructor_did_is_seen_after_the_wait() {
    within(|| {
        // Not by an atomic: the wait itself must order it, or this is a data race.
        struct Shared(UnsafeCell<u64>);
        // SAFETY: written by the destructor alone, and read after the wait alone.
        unsafe impl Sync for Shared {}
        // SAFETY: it holds a number.
        unsafe impl Send for Shared {}
        struct Capture(Arc<Shared>);
        impl Capture {
            fn touch(&self) {}
        }
        impl Drop for Capture {
            fn drop(&mut self) {
                // SAFETY: the only access until the wait is over.
                unsafe { *self.0.0.get() = 7 };
            }
        }
        let post = Arc::new(Plain::new());
        for _ in 0..200 {
            let shared = Arc::new(Shared(UnsafeCell::new(0)));
            let capture = Capture(shared.clone());
            let sub = Arc::new(post.subscribe(move |_: &u32| capture.touch()));
            let theirs = sub.clone();
            let other = thread::spawn(move || theirs.cancel());
            sub.cancel_and_wait(Duration::MAX).unwrap();
            // SAFETY: the destructor has ended.
            assert_eq!(unsafe { *shared.0.get() }, 7);
            other.join().unwrap();
        }
    });
}

#[test]
fn captures_are_gone_however_many_other_writers_hold_copies_of_the_list() {
    within(|| {
        let post = Arc::new(Plain::new());
        let stop = Gate::new();
        let churn = |_| {
            let (post, stop) = (post.clone(), stop.clone());
            thread::spawn(move || {
                while !stop.is_open() {
                    let sub = post.subscribe(|_: &u32| ());
                    post.publish(&1);
                    sub.pause();
                    drop(sub);
                }
            })
        };
        let others: Vec<_> = (0..3).map(churn).collect();
        let drops = Drops::new();
        for made in 1..=2_000 {
            let sub = capturing(&post, &drops);
            sub.cancel_and_wait(Duration::MAX).unwrap();
            assert_eq!((drops.made(), drops.alive()), (made, 0));
        }
        stop.open();
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}

#[test]
fn a_set_waits_for_all_within_one_timeout() {
    within(|| {
        let (post, other, drops, stay) = (Arc::new(Plain::new()), Plain::new(), Drops::new(), Stay::new());
        let (here, token) = (stay.clone(), drops.token());
        let busy = post.subscribe(move |_: &u32| {
            here.here();
            token.touch();
        });
        let mut set = SubscriptionSet::new();
        set.add(capturing(&other, &drops));
        set.add(busy);
        set.add(capturing(&other, &drops));
        let publisher = publisher_inside(&post, &stay, 1);
        assert_eq!(set.cancel_and_wait(Duration::from_millis(10)), Err(WaitError::TimedOut));
        assert!(set.iter().all(|sub| !sub.is_active()), "all are cancelled");
        assert!(set.iter().count() >= 1, "the one not waited for is still in it");
        stay.leave.open();
        publisher.join().unwrap();
        set.cancel_and_wait(Duration::MAX).unwrap();
        assert!(set.is_empty());
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn a_set_cannot_be_waited_for_inside_a_publish_of_its_dispatcher() {
    within(|| {
        let (post, drops, log) = (Plain::new(), Drops::new(), Log::new());
        let mut set = SubscriptionSet::new();
        set.add(capturing(&post, &drops));
        let (place, seen) = (common::Place::of(set), log.clone());
        let _waits = post.subscribe(move |_: &u32| {
            if let Some(mut set) = place.take() {
                seen.push(set.cancel_and_wait(Duration::MAX));
            }
        });
        post.publish(&1);
        assert_eq!(log.take(), [Err(WaitError::WouldDeadlock)]);
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn a_wait_for_a_dropped_dispatcher_waits_for_the_captures_too() {
    within(|| {
        let post = Plain::new();
        let (dropping, go_on) = (Gate::new(), Gate::new());
        let capture = OnDrop::new({
            let (dropping, go_on) = (dropping.clone(), go_on.clone());
            move || {
                dropping.open();
                go_on.wait();
            }
        });
        let sub = post.subscribe(move |_: &u32| capture.touch());
        let owner = thread::spawn(move || drop(post));
        dropping.wait();
        assert_eq!(sub.cancel_and_wait(Duration::from_millis(10)), Err(WaitError::TimedOut));
        go_on.open();
        sub.cancel_and_wait(Duration::MAX).unwrap();
        owner.join().unwrap();
    });
}

#[test]
fn errors_say_what_to_do() {
    for (error, word) in [
        (WaitError::TimedOut, "timed out"),
        (WaitError::WouldDeadlock, "never end"),
        (WaitError::BarrierLost, "membarrier"),
    ] {
        let error: Box<dyn std::error::Error + Send + Sync> = Box::new(error);
        assert!(error.to_string().contains(word), "{error}");
    }
}
