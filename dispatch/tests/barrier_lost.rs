//! `membarrier` that worked at the start and is refused later, as by a sandbox set up after the first registration:
//! readers cannot be told, so nothing is reclaimed any more, waits say so, and everything else stays right.
#![cfg(target_os = "linux")]

mod common;

use common::process::child;
use common::{Drops, Gate, Log, Plain, seccomp};
use signalpost::{Barrier, ScopeError, SubscribeOptions, SubscriptionSet, WaitError, stats};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Whether the first registration settles for `membarrier`, so that it can be lost. To be called in the child.
fn can_be_lost() -> bool {
    drop(Plain::<u32>::new().subscribe(|_: &u32| ()));
    let yes = stats().barrier == Barrier::Membarrier;
    if !yes {
        println!("skipped: readers run fences here, which nobody can take away");
    }
    yes
}

#[test]
fn publish_subscribe_cancel_and_edit_stay_right() {
    if !seccomp::supported() {
        return;
    }
    let run = child("publish_subscribe_cancel_and_edit_stay_right", || {
        if !can_be_lost() {
            return;
        }
        let (post, log) = (Plain::new(), Log::new());
        let add = |name: &'static str| {
            let log = log.clone();
            post.subscribe(move |_: &u32| log.push(name))
        };
        let before = add("before");
        seccomp::refuse_membarrier();
        let after = add("after");
        post.publish(&1);
        assert_eq!(log.take(), ["before", "after"]);
        assert!(before.cancel() && !before.cancel());
        post.publish(&1);
        assert_eq!(log.take(), ["after"]);
        assert!(after.pause() && after.resume());
        let _edited = post.edit(|edit| {
            let seen = log.clone();
            edit.subscribe_with(SubscribeOptions::new().priority(1).once(), move |_: &u32| seen.push("once"))
        });
        post.publish(&1);
        post.publish(&1);
        assert_eq!(log.take(), ["once", "after", "after"]);
        for _ in 0..500 {
            add("many").detach();
        }
        post.publish(&1);
        assert_eq!(log.take().len(), 501);
        post.edit(|edit| edit.clear());
        post.publish(&1);
        assert_eq!(log.take(), [""; 0]);
    });
    run.succeeded();
}

#[test]
fn nothing_is_reclaimed_any_more_and_that_is_counted() {
    if !seccomp::supported() {
        return;
    }
    let run = child("nothing_is_reclaimed_any_more_and_that_is_counted", || {
        if !can_be_lost() {
            return;
        }
        let (post, drops) = (Plain::new(), Drops::new());
        let capturing = || {
            let token = drops.token();
            post.subscribe(move |_: &u32| token.touch())
        };
        let (early, late) = (capturing(), capturing());
        drop(early);
        assert_eq!((drops.alive(), stats().heavy_failures), (1, 0));
        seccomp::refuse_membarrier();
        drop(late);
        assert!(stats().heavy_failures >= 1);
        for made in 3..200 {
            let failures = stats().heavy_failures;
            drop(capturing());
            assert!(stats().heavy_failures > failures);
            assert_eq!((drops.made(), drops.dropped()), (made, 1), "freed without a barrier");
            assert!(post.retired() >= made - 1, "{post:?}");
        }
        assert_eq!(post.collect(), 0);
        assert_eq!(drops.dropped(), 1);
        // Without a reader there is nothing to know: the dispatcher's end drops all.
        drop(post);
        assert_eq!(drops.alive(), 0);
    });
    run.succeeded();
}

#[test]
fn waits_and_scopes_say_so_at_once() {
    if !seccomp::supported() {
        return;
    }
    let run = child("waits_and_scopes_say_so_at_once", || {
        if !can_be_lost() {
            return;
        }
        let (post, drops) = (Plain::new(), Drops::new());
        let capturing = || {
            let token = drops.token();
            post.subscribe(move |_: &u32| token.touch())
        };
        let (gone, sub) = (capturing(), capturing());
        gone.cancel();
        let mut set = SubscriptionSet::new();
        set.add(capturing());
        seccomp::refuse_membarrier();
        for _ in 0..3 {
            assert_eq!(sub.cancel_and_wait(Duration::MAX), Err(WaitError::BarrierLost));
        }
        assert!(!sub.is_active(), "cancelled all the same");
        assert_eq!(set.cancel_and_wait(Duration::MAX), Err(WaitError::BarrierLost));
        assert_eq!(gone.cancel_and_wait(Duration::MAX), Ok(()), "its captures were gone before");
        assert_eq!(
            post.scope(|_| unreachable!("the body does not run")),
            Err::<(), _>(ScopeError::BarrierLost)
        );
        assert_eq!(drops.alive(), 2);
    });
    run.succeeded();
}

#[test]
fn an_open_scope_aborts_rather_than_let_a_borrow_escape() {
    if !seccomp::supported() {
        return;
    }
    let run = child("an_open_scope_aborts_rather_than_let_a_borrow_escape", || {
        if !can_be_lost() {
            // The same end, for the same look at it from outside.
            std::process::abort();
        }
        let (post, local) = (Plain::new(), [7_u32; 4]);
        post.scope(|scope| {
            scope.subscribe(|n: &u32| assert_eq!(local[*n as usize], 7));
            post.publish(&1);
            seccomp::refuse_membarrier();
            post.publish(&2);
        })
        .unwrap();
        println!("the scope has ended");
    });
    run.died_by(libc::SIGABRT);
    assert!(!run.output.contains("the scope has ended"), "{}", run.output);
    assert!(run.output.contains("skipped") || run.output.contains("aborting"), "{}", run.output);
}

#[test]
fn a_scope_without_subscribers_ends_well_all_the_same() {
    if !seccomp::supported() {
        return;
    }
    let run = child("a_scope_without_subscribers_ends_well_all_the_same", || {
        if can_be_lost() {
            Plain::<u32>::new().scope(|_| seccomp::refuse_membarrier()).unwrap();
        }
    });
    run.succeeded();
}

#[test]
fn publishers_never_meet_a_freed_subscriber_while_it_is_lost() {
    if !seccomp::supported() {
        return;
    }
    let run = child("publishers_never_meet_a_freed_subscriber_while_it_is_lost", || {
        if !can_be_lost() {
            return;
        }
        let (post, drops, stop) = (Arc::new(Plain::new()), Drops::new(), Gate::new());
        seccomp::refuse_membarrier(); // the threads inherit it
        let publisher = |_| {
            let (post, stop) = (post.clone(), stop.clone());
            thread::spawn(move || {
                while !stop.is_open() {
                    post.publish(&1);
                }
            })
        };
        let publishers: Vec<_> = (0..2).map(publisher).collect();
        for round in 0..500_usize {
            let (canary, token) = (vec![round; 64], drops.token());
            let sub = post.subscribe(move |_: &u32| {
                token.touch();
                assert!(canary.iter().all(|one| *one == round), "a freed subscriber was run");
            });
            post.publish(&1);
            drop(sub);
        }
        stop.open();
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        assert_eq!(drops.dropped(), 0);
    });
    run.succeeded();
}
