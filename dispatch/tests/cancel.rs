//! The handle: what ends a registration, what does not, and that it may outlive anything.

mod common;

use common::{Drops, Later, Log, Place, Plain, Stay, publisher_inside, within};
use signalpost::{SubscribeOptions, Subscription, SubscriptionSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

/// A subscriber that counts its calls and captures a token.
fn counting(post: &Plain, drops: &Drops) -> (Subscription, Arc<AtomicU32>) {
    let (calls, token) = (Arc::new(AtomicU32::new(0)), drops.token());
    let count = calls.clone();
    let sub = post.subscribe(move |_: &u32| {
        token.touch();
        count.fetch_add(1, SeqCst);
    });
    (sub, calls)
}

#[test]
fn a_dropped_handle_cancels_and_its_captures_go_at_once() {
    let (post, drops) = (Plain::new(), Drops::new());
    let (sub, calls) = counting(&post, &drops);
    post.publish(&1);
    drop(sub);
    assert_eq!(drops.alive(), 0);
    post.publish(&1);
    assert_eq!(calls.load(SeqCst), 1);
    assert!(!post.has_subscribers() && post.is_empty());
    assert_eq!(post.len(), 0);
}

#[test]
fn cancel_says_whether_it_was_this_call() {
    let (post, drops) = (Plain::new(), Drops::new());
    let (sub, _) = counting(&post, &drops);
    assert!(sub.is_active() && !sub.is_paused());
    assert!(sub.cancel());
    assert!(!sub.is_active());
    assert!(!sub.cancel());
    assert_eq!(drops.alive(), 0);
}

#[test]
fn of_many_threads_that_cancel_one_handle_exactly_one_did() {
    within(|| {
        let post = Plain::<u32>::new();
        for _ in 0..200 {
            let sub = post.subscribe(|_: &u32| ());
            let did = AtomicU32::new(0);
            thread::scope(|threads| {
                for _ in 0..4 {
                    threads.spawn(|| did.fetch_add(u32::from(sub.cancel()), SeqCst));
                }
            });
            assert_eq!(did.into_inner(), 1);
        }
    });
}

#[test]
fn a_detached_subscriber_stays_as_long_as_its_dispatcher() {
    let (post, drops) = (Plain::new(), Drops::new());
    let (sub, calls) = counting(&post, &drops);
    let id = sub.detach();
    post.publish(&1);
    assert_eq!(calls.load(SeqCst), 1);
    assert_eq!(post.subscribers()[0].id, id);
    drop(post);
    assert_eq!(drops.alive(), 0);
}

#[test]
fn a_paused_subscriber_is_skipped_and_keeps_its_place() {
    let (post, log) = (Plain::new(), Log::new());
    let add = |name| {
        let log = log.clone();
        post.subscribe(move |_: &u32| log.push(name))
    };
    let subs = ["a", "b", "c"].map(add);
    assert!(subs[1].pause());
    assert!(!subs[1].pause(), "it is already");
    assert!(subs[1].is_paused() && subs[1].is_active());
    post.publish(&1);
    assert_eq!(log.take(), ["a", "c"]);
    assert_eq!(post.subscribers().iter().map(|one| one.paused).collect::<Vec<_>>(), [false, true, false]);
    assert!(post.has_subscribers() && post.len() == 3);

    assert!(subs[1].resume());
    assert!(!subs[1].resume(), "it is no more");
    post.publish(&1);
    assert_eq!(log.take(), ["a", "b", "c"]);
}

#[test]
fn pausing_copies_keeps_every_state_apart() {
    // Entries are copied with their chunk: what is said of one must not be said of its neighbours, nor be lost.
    let (post, log) = (Plain::new(), Log::new());
    let add = |n: usize| {
        let log = log.clone();
        post.subscribe(move |_: &u32| log.push(n))
    };
    let subs: Vec<_> = (0..200).map(add).collect();
    for sub in subs.iter().step_by(3) {
        assert!(sub.pause());
    }
    let more: Vec<_> = (200..300).map(add).collect();
    post.publish(&1);
    assert_eq!(log.take(), (0..300).filter(|n| *n >= 200 || n % 3 != 0).collect::<Vec<_>>());
    for sub in subs.iter().step_by(6) {
        assert!(sub.resume());
    }
    drop(more);
    post.publish(&1);
    assert_eq!(log.take(), (0..200).filter(|n| n % 3 != 0 || n % 6 == 0).collect::<Vec<_>>());
}

#[test]
fn one_registered_paused_runs_once_resumed() {
    let (post, log) = (Plain::new(), Log::new());
    let seen = log.clone();
    let sub = post.subscribe_with(SubscribeOptions::new().paused(), move |n: &u32| seen.push(*n));
    assert!(sub.is_paused());
    post.publish(&1);
    assert!(sub.resume());
    post.publish(&2);
    assert_eq!(log.take(), [2]);
}

#[test]
fn a_cancelled_one_can_be_neither_paused_nor_resumed() {
    let post = Plain::new();
    let sub = post.subscribe(|_: &u32| ());
    let paused = post.subscribe_with(SubscribeOptions::new().paused(), |_: &u32| ());
    assert!(sub.cancel() && paused.cancel());
    assert!(!sub.pause() && !sub.resume() && !paused.resume());
    assert!(!sub.is_paused() && !paused.is_paused());
}

#[test]
fn a_handle_outlives_its_dispatcher_and_is_merely_inactive() {
    let drops = Drops::new();
    let post = Plain::new();
    let (sub, _) = counting(&post, &drops);
    let (other, _) = counting(&post, &drops);
    drop(post);
    assert_eq!(drops.alive(), 0, "the dispatcher took its subscribers along");
    assert!(!sub.is_active() && !sub.is_paused());
    assert!(!sub.cancel() && !sub.pause() && !sub.resume());
    sub.cancel_and_wait(Duration::MAX).unwrap();
    assert!(format!("{sub:?}").contains("active: false"));
    other.detach();
    drop(sub);
}

#[test]
fn a_handle_may_be_dropped_on_another_thread_also_after_the_dispatcher() {
    within(|| {
        let drops = Drops::new();
        let post = Plain::new();
        let (before, _) = counting(&post, &drops);
        let (after, _) = counting(&post, &drops);
        let by = thread::spawn(move || {
            drop(before);
            thread::current().id()
        });
        let by = by.join().unwrap();
        assert_eq!(drops.by(), [by]);
        drop(post);
        thread::spawn(move || drop(after)).join().unwrap();
        assert_eq!(drops.by(), [by, thread::current().id()]);
    });
}

#[test]
fn a_dispatcher_may_be_dropped_on_any_thread_and_inside_another_dispatchers_subscriber() {
    within(|| {
        let drops = Drops::new();
        let outer = Plain::new();
        let (inner, sub) = {
            let inner = Plain::new();
            let (sub, _) = counting(&inner, &drops);
            counting(&inner, &drops).0.detach();
            (Place::of(inner), sub)
        };
        let alive = drops.clone();
        let _drops = outer.subscribe(move |n: &u32| {
            if let Some(inner) = inner.take() {
                inner.publish(n);
                drop(inner);
                assert_eq!(alive.alive(), 0);
            }
        });
        thread::spawn(move || outer.publish(&1)).join().unwrap();
        assert_eq!((drops.made(), drops.alive()), (2, 0));
        assert!(!sub.is_active());
    });
}

#[test]
fn a_dispatcher_that_its_own_subscriber_holds_goes_with_the_last_handle() {
    within(|| {
        let drops = Drops::new();
        let post = Arc::new(Plain::new());
        let (own, token) = (post.clone(), drops.token());
        let sub = post.subscribe(move |n: &u32| {
            token.touch();
            if *n > 0 {
                own.publish(&(n - 1)).unwrap();
            }
        });
        post.publish(&3);
        let weak = Arc::downgrade(&post);
        drop(post);
        weak.upgrade().expect("its subscriber holds it").publish(&1);
        drop(sub);
        assert_eq!(drops.alive(), 0);
        assert!(weak.upgrade().is_none());
    });
}

#[test]
fn a_dispatcher_whose_last_owner_is_a_capture_that_its_own_publish_lets_go_of() {
    within(|| {
        let drops = Drops::new();
        let post = Arc::new(Plain::new());
        let own: Later<Subscription> = Later::new();
        let (this, kept, token) = (own.clone(), Place::of(post.clone()), drops.token());
        own.set(post.subscribe(move |_: &u32| {
            token.touch();
            this.get().cancel();
            assert!(Arc::strong_count(&kept.take().expect("called once")) >= 2);
        }));
        let weak = Arc::downgrade(&post);
        post.publish(&1);
        drop(post);
        assert_eq!((drops.alive(), weak.strong_count()), (0, 0));
    });
}

#[test]
fn a_cancel_during_a_publish_does_not_wait_and_the_captures_go_with_the_next_collector() {
    within(|| {
        let (post, stay, drops) = (Arc::new(Plain::new()), Stay::new(), Drops::new());
        let (here, token) = (stay.clone(), drops.token());
        let sub = post.subscribe(move |_: &u32| {
            here.here();
            token.touch();
        });
        let publisher = publisher_inside(&post, &stay, 1);
        assert!(sub.cancel());
        assert_eq!(drops.alive(), 1, "it is still running");
        assert!(post.retired() > 0);
        assert_eq!(post.collect(), 0, "nothing to be had yet");
        stay.leave.open();
        publisher.join().unwrap();
        assert!(post.collect() > 0);
        assert_eq!((drops.alive(), post.retired()), (0, 0));
        assert_eq!(drops.by(), [thread::current().id()]);
    });
}

#[test]
fn a_set_cancels_all_of_any_dispatchers_as_one_swap_each() {
    let drops = Drops::new();
    let posts = [Plain::new(), Plain::new()];
    let mut set = SubscriptionSet::new();
    assert!(set.is_empty());
    let mut calls = Vec::new();
    for n in 0..10 {
        let (sub, count) = counting(&posts[n % 2], &drops);
        set.add(sub);
        calls.push(count);
    }
    assert_eq!((set.len(), set.iter().filter(|sub| sub.is_active()).count()), (10, 10));
    set.pause();
    posts.iter().for_each(|post| post.publish(&1).unwrap());
    set.resume();
    posts.iter().for_each(|post| post.publish(&2).unwrap());
    assert!(calls.iter().all(|count| count.load(SeqCst) == 1));
    set.cancel();
    assert!(set.is_empty() && drops.alive() == 0);
    assert!(posts.iter().all(|post| !post.has_subscribers()));
    set.cancel();
}

#[test]
fn a_publisher_sees_all_of_a_set_or_none() {
    within(|| {
        let post = Arc::new(Plain::<Log<()>>::new());
        let theirs = post.clone();
        let stop = common::Gate::new();
        let end = stop.clone();
        let publisher = thread::spawn(move || {
            let log = Log::new();
            while !end.is_open() {
                theirs.publish(&log);
                let seen = log.take().len();
                assert!(seen == 0 || seen == 5, "{seen} of 5");
            }
        });
        for round in 0..1_000 {
            let set: SubscriptionSet =
                post.edit(|edit| (0..5).map(|_| edit.subscribe(|log: &Log<()>| log.push(()))).collect());
            if round % 2 == 0 {
                set.pause();
                set.resume();
            }
            drop(set);
        }
        stop.open();
        publisher.join().unwrap();
    });
}

#[test]
fn a_detached_set_lets_its_subscribers_stay() {
    let (post, drops) = (Plain::new(), Drops::new());
    let mut set = SubscriptionSet::default();
    set.extend((0..3).map(|_| counting(&post, &drops).0));
    set.detach();
    assert_eq!((post.len(), drops.alive()), (3, 3));
}

#[test]
fn a_set_dropped_inside_a_subscriber_that_is_in_it_ends_with_that_publish() {
    let (post, drops) = (Plain::new(), Drops::new());
    let place = Place::<SubscriptionSet>::empty();
    let (own, token) = (place.clone(), drops.token());
    let mut set = SubscriptionSet::new();
    set.add(post.subscribe(move |_: &u32| {
        token.touch();
        drop(own.take());
    }));
    let (second, calls) = counting(&post, &drops);
    set.add(second);
    place.put(set);
    post.publish(&1);
    assert_eq!((calls.load(SeqCst), drops.alive(), post.len()), (1, 0, 0));
}
