//! Subscribers that end by themselves: `once` for one event, `weak` with its target; swept by the next write.

mod common;

use common::{Drops, Log, OnDrop, Plain, within};
use signalpost::{SubscribeOptions, Subscription};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;

const ONCE: SubscribeOptions = SubscribeOptions::new().once();

fn once(post: &Plain, log: &Log<u32>, drops: &Drops) -> Subscription {
    let (log, token) = (log.clone(), drops.token());
    post.subscribe_with(ONCE, move |n: &u32| {
        token.touch();
        log.push(*n);
    })
}

#[test]
fn a_once_subscriber_runs_for_the_first_event_only() {
    let (post, log, drops) = (Plain::new(), Log::new(), Drops::new());
    let sub = once(&post, &log, &drops);
    assert!(sub.is_active());
    post.publish(&1);
    assert!(!sub.is_active());
    post.publish(&2);
    assert_eq!(log.take(), [1]);
    assert_eq!(post.subscribers(), [], "it is not shown any more");
}

#[test]
fn of_many_threads_exactly_one_runs_a_once_subscriber() {
    within(|| {
        let post = Arc::new(Plain::new());
        let calls = Arc::new(AtomicU32::new(0));
        let barrier = Arc::new(Barrier::new(5));
        let publisher = |_| {
            let (post, barrier) = (post.clone(), barrier.clone());
            thread::spawn(move || {
                for _ in 0..1_000 {
                    barrier.wait();
                    post.publish(&1);
                    barrier.wait();
                }
            })
        };
        let publishers: Vec<_> = (0..4).map(publisher).collect();
        for round in 0..1_000 {
            let count = calls.clone();
            post.subscribe_with(ONCE, move |_: &u32| {
                count.fetch_add(1, SeqCst);
            })
            .detach();
            barrier.wait();
            barrier.wait();
            assert_eq!(calls.load(SeqCst), round + 1);
        }
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        assert!(post.len() <= 1 && post.retired() <= 1, "swept by each next registration: {post:?}");
    });
}

#[test]
fn a_once_subscriber_that_publishes_to_its_own_dispatcher_is_not_run_again() {
    let (post, log) = (Arc::new(Plain::new()), Log::new());
    let (own, seen) = (post.clone(), log.clone());
    post.subscribe_with(ONCE, move |n: &u32| {
        seen.push(*n);
        own.publish(&(n + 1));
    })
    .detach();
    post.publish(&1);
    assert_eq!(log.take(), [1]);
}

#[test]
fn a_once_subscriber_that_failed_or_panicked_has_had_its_turn() {
    let post = signalpost::Dispatcher::<u32, &'static str>::new();
    let fails = post.subscribe_with(ONCE, |_: &u32| Err("no"));
    assert_eq!(post.publish(&1).unwrap_err().error, "no");
    post.publish(&1).unwrap();
    assert!(!fails.is_active());

    let panics = post.subscribe_with(ONCE, |_: &u32| std::panic::resume_unwind(Box::new(())));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| post.publish(&1))).is_err());
    post.publish(&1).unwrap();
    assert!(!panics.is_active());
}

#[test]
fn a_once_subscriber_that_is_stopped_before_its_turn_keeps_it() {
    let post = signalpost::Dispatcher::<u32, &'static str>::new();
    let log = Log::new();
    let _stops = post.subscribe(|n: &u32| if *n == 0 { Err("stop") } else { Ok(()) });
    let seen = log.clone();
    let once = post.subscribe_with(ONCE, move |n: &u32| seen.push(*n));
    post.publish(&0).unwrap_err();
    assert!(once.is_active());
    post.publish(&1).unwrap();
    post.publish(&2).unwrap();
    assert_eq!(log.take(), [1]);
}

#[test]
fn a_paused_once_subscriber_keeps_its_turn() {
    let (post, log, drops) = (Plain::new(), Log::new(), Drops::new());
    let sub = once(&post, &log, &drops);
    sub.pause();
    post.publish(&1);
    sub.resume();
    post.publish(&2);
    post.publish(&3);
    assert_eq!(log.take(), [2]);
}

#[test]
fn the_next_write_of_any_kind_sweeps_what_has_ended() {
    type Write = fn(&Plain, &Subscription);
    let writes: [(&str, Write); 6] = [
        ("subscribe", |post, _| {
            post.subscribe(|_: &u32| ()).detach();
        }),
        ("cancel", |_, other| {
            other.cancel();
        }),
        ("pause", |_, other| {
            other.pause();
        }),
        ("edit", |post, other| {
            post.edit(|edit| edit.set_priority(other, 3));
        }),
        ("clear", |post, _| {
            post.edit(|edit| edit.clear());
        }),
        ("once", |post, _| {
            post.subscribe_with(ONCE, |_: &u32| ()).detach();
        }),
    ];
    for (name, write) in writes {
        let (post, log, drops) = (Plain::new(), Log::new(), Drops::new());
        let other = post.subscribe(|_: &u32| ());
        let subs: Vec<_> = (0..100).map(|_| once(&post, &log, &drops)).collect();
        post.publish(&1);
        assert_eq!((log.take().len(), drops.alive(), post.len()), (100, 100, 101), "{name}");
        write(&post, &other);
        assert!(post.len() <= 2, "{name}: {post:?}");
        post.collect();
        assert_eq!(drops.alive(), 0, "{name}");
        assert!(subs.iter().all(|sub| !sub.is_active()));
    }
}

#[test]
fn a_program_that_registers_only_detached_once_subscribers_does_not_grow() {
    let (post, log, drops) = (Plain::new(), Log::new(), Drops::new());
    for n in 0..10_000 {
        once(&post, &log, &drops).detach();
        post.publish(&n);
        assert!(drops.alive() <= 2 && post.len() <= 2 && post.retired() <= 2, "after {n}: {post:?}");
    }
    assert_eq!(log.take(), (0..10_000).collect::<Vec<_>>());
}

#[test]
fn one_that_cancels_itself_while_it_is_a_once_one_is_swept_once() {
    let (post, drops) = (Plain::new(), Drops::new());
    let own: common::Later<Subscription> = common::Later::new();
    let (this, token) = (own.clone(), drops.token());
    own.set(post.subscribe_with(ONCE, move |_: &u32| {
        token.touch();
        this.get().cancel();
    }));
    post.publish(&1);
    assert_eq!((drops.alive(), post.len()), (0, 0));
    drop(post.subscribe(|_: &u32| ()));
    assert_eq!(post.len(), 0);
}

#[test]
fn a_weak_subscriber_runs_while_its_target_lives_and_does_not_keep_it() {
    let (post, drops) = (Plain::new(), Drops::new());
    let target = Arc::new(AtomicU32::new(0));
    let token = drops.token();
    let sub = post.subscribe_weak(&target, move |sum: &AtomicU32, n: &u32| {
        token.touch();
        sum.fetch_add(*n, SeqCst);
    });
    assert_eq!(Arc::strong_count(&target), 1);
    post.publish(&1);
    post.publish(&2);
    assert_eq!(target.load(SeqCst), 3);
    assert!(sub.is_active());
    drop(target);
    post.publish(&3);
    assert!(!sub.is_active(), "it noticed");
    drop(post.subscribe(|_: &u32| ()));
    assert_eq!((drops.alive(), post.len()), (0, 0));
}

#[test]
fn a_weak_subscriber_can_be_cancelled_like_any_other() {
    let (post, log) = (Plain::new(), Log::new());
    let (target, seen) = (Arc::new(()), log.clone());
    let sub = post.subscribe_weak(&target, move |_: &(), n: &u32| seen.push(*n));
    post.publish(&1);
    assert!(sub.cancel() && !sub.cancel());
    post.publish(&2);
    assert_eq!(log.take(), [1]);
    assert_eq!(Arc::weak_count(&target), 0);
}

#[test]
fn a_weak_once_subscriber_is_both() {
    let (post, log) = (Plain::new(), Log::new());
    let (target, seen) = (Arc::new(()), log.clone());
    let _ran = post.subscribe_weak_with(ONCE, &target, move |_: &(), n: &u32| seen.push(*n));
    post.publish(&1);
    post.publish(&2);
    assert_eq!(log.take(), [1]);

    let seen = log.clone();
    let gone = post.subscribe_weak_with(ONCE, &target, move |_: &(), n: &u32| seen.push(*n));
    drop(target);
    post.publish(&3);
    assert!(!gone.is_active());
    assert_eq!(log.take(), []);
}

#[test]
fn the_target_may_be_unsized() {
    let (post, log) = (Plain::new(), Log::new());
    let (name, seen): (Arc<str>, _) = (Arc::from("target"), log.clone());
    let _sub = post.subscribe_weak(&name, move |name: &str, n: &u32| seen.push((name.len(), *n)));
    post.publish(&1);
    assert_eq!(log.take(), [(6, 1)]);
}

#[test]
fn a_target_that_its_owner_lets_go_of_while_it_runs_is_dropped_on_the_publishing_thread_afterwards() {
    within(|| {
        struct Target {
            running: AtomicU32,
            on_drop: OnDrop,
        }
        let (post, log, stay) = (Arc::new(Plain::new()), Log::new(), common::Stay::new());
        let dropped = log.clone();
        let target = Arc::new(Target {
            running: AtomicU32::new(0),
            on_drop: OnDrop::new(move || dropped.push(thread::current().id())),
        });
        let here = stay.clone();
        let sub = post.subscribe_weak(&target, move |target: &Target, _: &u32| {
            target.running.store(1, SeqCst);
            here.here();
            target.on_drop.touch();
            target.running.store(0, SeqCst); // it is all there still
        });
        let publisher = common::publisher_inside(&post, &stay, 1);
        let id = publisher.thread().id();
        drop(target);
        assert_eq!(log.take(), [], "kept by the call");
        stay.leave.open();
        publisher.join().unwrap();
        assert_eq!(log.take(), [id]);
        post.publish(&1);
        assert!(!sub.is_active());
    });
}

#[test]
fn a_target_whose_destructor_cancels_or_publishes_does_no_harm() {
    let (post, drops) = (Arc::new(Plain::new()), Drops::new());
    let (own, later) = (post.clone(), common::Later::<Subscription>::new());
    let handle = later.clone();
    let target = Arc::new(OnDrop::new(move || {
        handle.get().cancel();
        own.publish(&0);
    }));
    let owner = common::Place::of(target.clone());
    let token = drops.token();
    later.set(post.subscribe_weak(&target, move |target: &OnDrop, n: &u32| {
        token.touch();
        if *n == 1 {
            drop(owner.take());
            target.touch();
        }
    }));
    drop(target);
    post.publish(&1);
    assert_eq!((drops.alive(), post.len()), (0, 0));
}

#[test]
fn a_program_whose_weak_targets_come_and_go_does_not_grow() {
    let (post, drops) = (Plain::new(), Drops::new());
    for n in 0..2_000 {
        let (target, token) = (Arc::new(()), drops.token());
        post.subscribe_weak(&target, move |_: &(), _: &u32| token.touch()).detach();
        drop(target);
        post.publish(&n);
        assert!(drops.alive() <= 2 && post.len() <= 2 && post.retired() <= 2, "after {n}: {post:?}");
    }
}
