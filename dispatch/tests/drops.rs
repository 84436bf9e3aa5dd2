//! Captured state is dropped once, by a writer, with nothing held: its destructor may do anything, and may panic.

mod common;

use common::{Drops, Gate, Later, Log, OnDrop, Place, Plain, Stay, publisher_inside, within};
use signalpost::{ScopeError, SubscribeOptions, Subscription, WaitError};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A subscriber whose capture runs `f` when it is dropped.
fn with_destructor(post: &Plain, f: impl FnOnce() + Send + 'static) -> Subscription {
    let capture = OnDrop::new(f);
    post.subscribe(move |_: &u32| capture.touch())
}

fn capturing(post: &Plain, drops: &Drops) -> Subscription {
    let token = drops.token();
    post.subscribe(move |_: &u32| token.touch())
}

#[test]
fn a_destructor_may_subscribe() {
    let (post, log) = (Arc::new(Plain::new()), Log::new());
    let (own, seen) = (post.clone(), log.clone());
    drop(with_destructor(&post, move || {
        own.subscribe(move |n: &u32| seen.push(*n)).detach();
    }));
    post.publish(&7);
    assert_eq!(log.take(), [7]);
}

#[test]
fn a_destructor_may_cancel_others_whose_captures_then_go_too() {
    let (post, drops) = (Plain::new(), Drops::new());
    let others: Vec<_> = (0..100).map(|_| capturing(&post, &drops)).collect();
    drop(with_destructor(&post, move || drop(others)));
    assert_eq!((drops.made(), drops.alive(), post.retired()), (100, 0, 0));
    assert!(post.is_empty());
}

#[test]
fn a_destructor_may_publish_and_no_longer_reaches_its_own_subscriber() {
    let (post, log) = (Arc::new(Plain::new()), Log::new());
    let (own, seen) = (post.clone(), log.clone());
    let _other = post.subscribe(move |n: &u32| seen.push(*n));
    let gone = Arc::new(AtomicBool::new(false));
    let (set, look) = (gone.clone(), gone.clone());
    let capture = OnDrop::new(move || {
        set.store(true, SeqCst);
        own.publish(&7);
    });
    let sub = post.subscribe(move |_: &u32| {
        capture.touch();
        assert!(!look.load(SeqCst), "called while its captures are dropped");
    });
    post.publish(&1);
    drop(sub);
    assert_eq!(log.take(), [1, 7]);
}

#[test]
fn a_destructor_may_collect_edit_pause_and_look() {
    let post = Arc::new(Plain::new());
    let other = post.subscribe(|_: &u32| ());
    let own = post.clone();
    let done = Place::empty();
    let result = done.clone();
    drop(with_destructor(&post, move || {
        let dropped = own.collect();
        other.pause();
        own.edit(|edit| edit.set_priority(&other, 9));
        let shown = own.subscribers();
        result.put((dropped, own.len(), shown[0].priority, shown[0].paused, format!("{own:?} {other:?}")));
    }));
    let (dropped, len, priority, paused, _) = done.take().expect("the destructor ran to its end");
    assert_eq!((dropped, len, priority, paused), (0, 1, 9, true));
    assert_eq!(post.retired(), 0, "what it retired was collected by the collector that ran it");
}

#[test]
fn a_destructor_that_waits_gets_an_error_at_once() {
    within(|| {
        let (post, elsewhere) = (Arc::new(Plain::new()), Arc::new(Plain::new()));
        let (drops, log) = (Drops::new(), Log::new());
        let (theirs, others) = (capturing(&post, &drops), capturing(&elsewhere, &drops));
        let (own, other, seen) = (post.clone(), elsewhere.clone(), log.clone());
        drop(with_destructor(&post, move || {
            seen.push(theirs.cancel_and_wait(Duration::MAX));
            seen.push(others.cancel_and_wait(Duration::MAX));
            assert_eq!(own.scope(|_| ()), Err(ScopeError::InsidePublish));
            assert_eq!(other.scope(|_| ()), Err(ScopeError::InsidePublish));
        }));
        assert_eq!(log.take(), [Err(WaitError::WouldDeadlock); 2]);
        assert_eq!(drops.alive(), 0, "cancelled all the same, and collected");
    });
}

#[test]
fn a_destructor_that_waits_for_itself_gets_an_error_at_once() {
    within(|| {
        let (post, own, log) = (Plain::new(), Later::<Subscription>::new(), Log::new());
        let (this, seen) = (own.clone(), log.clone());
        own.set(with_destructor(&post, move || seen.push(this.get().cancel_and_wait(Duration::MAX))));
        own.get().cancel();
        assert_eq!(log.take(), [Err(WaitError::WouldDeadlock)]);
        own.get().cancel_and_wait(Duration::MAX).unwrap();
    });
}

#[test]
fn registering_with_a_lock_held_runs_no_destructor_that_might_want_it() {
    within(|| {
        let (post, lock, stay) = (Arc::new(Plain::new()), Arc::new(Mutex::new(())), Stay::new());
        let here = stay.clone();
        let sleeper = post.subscribe(move |n: &u32| {
            if *n == 0 {
                here.here()
            }
        });
        let (locks, locked) = (lock.clone(), Arc::new(AtomicBool::new(false)));
        let done = locked.clone();
        let wants_lock = with_destructor(&post, move || {
            let _guard = locks.lock().unwrap();
            done.store(true, SeqCst);
        });
        let publisher = publisher_inside(&post, &stay, 0);
        drop(wants_lock); // the publisher keeps it alive
        stay.leave.open();
        publisher.join().unwrap();
        let guard = lock.lock().unwrap();
        let _subs: Vec<_> = (0..500).map(|_| post.subscribe(|_: &u32| ())).collect();
        assert!(!locked.load(SeqCst), "subscribe ran a destructor");
        drop(guard);
        post.collect();
        assert!(locked.load(SeqCst));
        drop(sleeper);
    });
}

#[test]
fn a_destructor_that_hangs_holds_up_no_other() {
    within(|| {
        let (post, drops) = (Arc::new(Plain::new()), Drops::new());
        let (stuck, go_on) = (Gate::new(), Gate::new());
        let (here, leave) = (stuck.clone(), go_on.clone());
        let hangs = with_destructor(&post, move || {
            here.open();
            leave.wait();
        });
        let hanging = thread::spawn(move || drop(hangs));
        stuck.wait();
        for _ in 0..10 {
            capturing(&post, &drops).cancel_and_wait(Duration::MAX).unwrap();
        }
        drop(capturing(&post, &drops));
        assert_eq!((drops.made(), drops.alive()), (11, 0));
        go_on.open();
        hanging.join().unwrap();
    });
}

#[test]
fn a_destructor_may_drop_its_own_dispatcher() {
    let drops = Drops::new();
    let post = Arc::new(Plain::new());
    let place = Place::of(post.clone());
    let others: Vec<_> = (0..3).map(|_| capturing(&post, &drops)).collect();
    let sub = with_destructor(&post, move || drop(place.take()));
    let weak = Arc::downgrade(&post);
    drop(post);
    drop(sub);
    assert!(weak.upgrade().is_none());
    assert_eq!(drops.alive(), 0);
    assert!(others.iter().all(|sub| !sub.is_active()));
}

#[test]
fn a_chain_of_ten_thousand_captured_handles_is_dropped_without_deep_recursion() {
    within(|| {
        let (post, drops) = (Plain::new(), Drops::new());
        let mut last = capturing(&post, &drops);
        for _ in 1..10_000 {
            let (inner, token) = (last, drops.token());
            last = post.subscribe(move |_: &u32| {
                token.touch();
                assert!(!inner.is_paused());
            });
        }
        drop(last);
        assert_eq!((drops.made(), drops.alive()), (10_000, 0));
        assert!(post.is_empty());
        assert_eq!(post.retired(), 0);
    });
}

#[test]
fn a_chain_over_many_dispatchers_is_dropped_without_deep_recursion() {
    within(|| {
        let (posts, drops) = ((0..100).map(|_| Plain::new()).collect::<Vec<_>>(), Drops::new());
        let mut last = capturing(&posts[0], &drops);
        for n in 1..10_000 {
            let (inner, token) = (last, drops.token());
            last = posts[n % 100].subscribe(move |_: &u32| {
                token.touch();
                assert!(!inner.is_paused());
            });
        }
        last.cancel_and_wait(Duration::MAX).unwrap();
        drop(last);
        assert_eq!((drops.made(), drops.alive()), (10_000, 0));
        assert!(posts.iter().all(|post| post.is_empty() && post.retired() == 0));
    });
}

#[test]
fn a_chain_of_ten_thousand_captured_dispatchers_is_dropped_without_deep_recursion() {
    within(|| {
        let drops = Drops::new();
        let mut last = Plain::new();
        for _ in 0..10_000 {
            let (next, inner, token) = (Plain::new(), last, drops.token());
            next.subscribe(move |n: &u32| {
                token.touch();
                inner.publish(n).unwrap();
            })
            .detach();
            last = next;
        }
        drop(last);
        assert_eq!((drops.made(), drops.alive()), (10_000, 0));
    });
}

#[test]
fn a_chain_whose_head_is_cancelled_inside_a_publish_goes_when_that_is_over() {
    within(|| {
        let (post, drops) = (Plain::new(), Drops::new());
        let mut last = capturing(&post, &drops);
        for _ in 1..1_000 {
            let (inner, token) = (last, drops.token());
            last = post.subscribe(move |_: &u32| {
                token.touch();
                assert!(!inner.is_paused());
            });
        }
        let head = Place::of(last);
        let alive = drops.clone();
        let _cancels = post.subscribe_with(SubscribeOptions::new().priority(1), move |_: &u32| {
            drop(head.take());
            assert_eq!(alive.alive(), 1_000);
        });
        post.publish(&1);
        assert_eq!((drops.alive(), post.len(), post.retired()), (0, 1, 0));
    });
}

#[test]
fn a_publisher_frees_nothing_that_others_cancel() {
    within(|| {
        let (post, drops, stop) = (Arc::new(Plain::new()), Drops::new(), Gate::new());
        let publisher = |_| {
            let (post, stop) = (post.clone(), stop.clone());
            thread::spawn(move || {
                while !stop.is_open() {
                    post.publish(&1);
                }
                thread::current().id()
            })
        };
        let publishers: Vec<_> = (0..2).map(publisher).collect();
        let churn = |_| {
            let (post, drops) = (post.clone(), drops.clone());
            thread::spawn(move || {
                for round in 0..1_000 {
                    let subs: Vec<_> = (0..4).map(|_| capturing(&post, &drops)).collect();
                    subs[0].pause();
                    if round % 10 == 0 {
                        subs[1].cancel_and_wait(Duration::MAX).unwrap();
                    }
                    post.edit(|edit| edit.cancel(&subs[2]));
                }
            })
        };
        let writers: Vec<_> = (0..2).map(churn).collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        stop.open();
        let publishers: Vec<_> = publishers.into_iter().map(|publisher| publisher.join().unwrap()).collect();
        post.collect();
        assert_eq!((drops.made(), drops.alive()), (8_000, 0));
        assert!(drops.by().iter().all(|by| !publishers.contains(by)), "a publishing thread ran a destructor");
    });
}

#[test]
fn registering_runs_no_destructor_of_what_others_cancel() {
    within(|| {
        let (post, drops, stop) = (Arc::new(Plain::new()), Drops::new(), Gate::new());
        let busy = |work: fn(&Plain)| {
            let (post, stop) = (post.clone(), stop.clone());
            thread::spawn(move || {
                while !stop.is_open() {
                    work(&post);
                }
                thread::current().id()
            })
        };
        let publisher = busy(|post| post.publish(&1).unwrap());
        let registering = busy(|post| {
            // Up to a few thousand, so that a publish stays short.
            if post.len() < 3_000 {
                post.subscribe(|_: &u32| ()).detach();
            } else {
                thread::yield_now();
            }
        });
        for _ in 0..5_000 {
            drop(capturing(&post, &drops));
        }
        stop.open();
        publisher.join().unwrap();
        let registered = registering.join().unwrap();
        post.collect();
        assert_eq!(drops.alive(), 0);
        assert!(!drops.by().contains(&registered), "subscribe ran somebody's destructor");
    });
}

#[test]
fn everything_is_dropped_exactly_once_whatever_ends_it() {
    let drops = Drops::new();
    let post = Plain::new();
    let subs: Vec<_> = (0..700).map(|_| capturing(&post, &drops)).collect();
    let mut handed_out = 700;
    for (n, sub) in subs.into_iter().enumerate() {
        match n % 7 {
            0 => drop(sub),
            1 => assert!(sub.cancel()),
            2 => sub.cancel_and_wait(Duration::MAX).unwrap(),
            3 => post.edit(|edit| assert!(edit.cancel(&sub))),
            4 => {
                sub.pause();
            }
            _ => {
                sub.detach();
                continue;
            }
        }
        handed_out -= 1;
    }
    assert_eq!((post.len(), drops.alive()), (handed_out, handed_out));
    drop(post);
    assert_eq!((drops.made(), drops.dropped()), (700, 700));
}

/// The one test here that counts panics, which are counted for the process.
#[test]
fn a_destructor_that_panics_is_counted_and_harms_nobody() {
    let before = signalpost::stats().drop_panics;
    let (post, drops) = (Plain::new(), Drops::new());
    let neighbour = |post: &Plain| capturing(post, &drops);
    let bomb = |post: &Plain| {
        let (first, second) = (drops.token(), drops.token());
        let capture = OnDrop::new(|| resume_unwind(Box::new("destructor")));
        post.subscribe(move |_: &u32| {
            first.touch();
            capture.touch();
            second.touch();
        })
    };
    // In one edit, so that they stand in one chunk and are dropped together.
    let _left = neighbour(&post);
    let all = [neighbour(&post), bomb(&post), neighbour(&post), bomb(&post), neighbour(&post)];
    post.edit(|edit| all.iter().for_each(|sub| assert!(edit.cancel(sub))));
    assert_eq!(drops.alive(), 1);
    assert_eq!(signalpost::stats().drop_panics, before + 2);
    // The latch of each is set: a wait sees it.
    all.iter().for_each(|sub| sub.cancel_and_wait(Duration::ZERO).unwrap());

    // By a wait, by the dispatcher's end, and by a publish that cancelled it.
    bomb(&post).cancel_and_wait(Duration::MAX).unwrap();
    let own = Place::empty();
    let (this, capture) = (own.clone(), OnDrop::new(|| resume_unwind(Box::new("destructor"))));
    own.put(post.subscribe(move |_: &u32| {
        capture.touch();
        drop::<Option<Subscription>>(this.take());
    }));
    post.publish(&1);
    let (kept, _also) = (bomb(&post), neighbour(&post));
    drop(post);
    assert_eq!(signalpost::stats().drop_panics, before + 5);
    kept.cancel_and_wait(Duration::ZERO).unwrap();
    assert_eq!(drops.alive(), 0);
}
