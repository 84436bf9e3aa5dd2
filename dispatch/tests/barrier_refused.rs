//! A kernel, or a sandbox, that refuses `membarrier` from the start: readers run fences, and everything works.
#![cfg(target_os = "linux")]

mod common;

use common::process::child;
use common::{Drops, Gate, Plain, seccomp};
use signalpost::{Barrier, Subscription, stats};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

#[test]
fn nothing_is_decided_before_the_first_registration() {
    child("nothing_is_decided_before_the_first_registration", || {
        let post = Plain::new();
        signalpost::warm_up();
        post.publish(&1);
        assert_eq!(post.collect(), 0);
        assert_eq!(stats().barrier, Barrier::Undecided);
        let _sub = post.subscribe(|_: &u32| ());
        assert_ne!(stats().barrier, Barrier::Undecided);
        assert_eq!(stats().heavy_failures, 0);
    })
    .succeeded();
}

#[test]
fn where_membarrier_works_it_is_used_unless_the_build_says_fences() {
    child("where_membarrier_works_it_is_used_unless_the_build_says_fences", || {
        const QUERY: libc::c_int = 0;
        const PRIVATE_EXPEDITED: libc::c_long = 1 << 3;
        // SAFETY: takes integers.
        let commands = unsafe { libc::syscall(libc::SYS_membarrier, QUERY, 0) };
        let there = commands > 0 && commands & PRIVATE_EXPEDITED != 0;
        let _sub = Plain::<u32>::new().subscribe(|_: &u32| ());
        let used = if there && !cfg!(signalpost_fences) { Barrier::Membarrier } else { Barrier::Fence };
        assert_eq!(stats().barrier, used);
    })
    .succeeded();
}

#[test]
fn with_membarrier_refused_from_the_start_everything_works_by_fences() {
    if !seccomp::supported() {
        return;
    }
    let run = child("with_membarrier_refused_from_the_start_everything_works_by_fences", || {
        seccomp::refuse_membarrier();
        let post = Arc::new(Plain::new());
        let drops = Drops::new();
        let first = post.subscribe(|_: &u32| ());
        assert_eq!(stats().barrier, Barrier::Fence);

        // Publishers look at what they are given while it is replaced and dropped.
        let stop = Gate::new();
        let calls = Arc::new(AtomicU64::new(0));
        let start = Gate::new();
        let publisher = |_| {
            let (post, stop, started) = (post.clone(), stop.clone(), start.clone());
            thread::spawn(move || {
                while !stop.is_open() {
                    post.publish(&1);
                    started.open();
                }
            })
        };
        let publishers: Vec<_> = (0..2).map(publisher).collect();
        start.wait();
        let add = |round: usize| -> Subscription {
            let (canary, token, calls) = (vec![round; 64], drops.token(), calls.clone());
            post.subscribe(move |_: &u32| {
                token.touch();
                assert!(canary.iter().all(|one| *one == round), "a freed subscriber was run");
                calls.fetch_add(1, SeqCst);
            })
        };
        for round in 0..5_000 {
            let (waited, dropped) = (add(round), add(round));
            if round % 5 == 0 {
                waited.cancel_and_wait(Duration::MAX).unwrap();
            }
            post.scope(|scope| scope.subscribe(|_: &u32| assert!(round < 5_000)).id()).unwrap();
            drop(dropped);
        }
        stop.open();
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        assert!(calls.load(SeqCst) > 0);
        post.collect();
        assert_eq!((drops.made(), drops.alive(), post.retired()), (10_000, 0, 0));
        assert_eq!((stats().barrier, stats().heavy_failures), (Barrier::Fence, 0));
        drop(first);
    });
    run.succeeded();
}
