//! `publish` makes no system call: shown by a filter that ends the process at the first one.
#![cfg(target_os = "linux")]

mod common;

use common::process::child;
use common::{Plain, seccomp};
use signalpost::{Dispatcher, SubscribeOptions};
use std::sync::Arc;
use std::thread;

fn leave(code: i32) -> ! {
    // SAFETY: ends the process; the one call that the filter allows.
    unsafe { libc::_exit(code) }
}

#[test]
fn the_filter_bites() {
    if !seccomp::supported() {
        return;
    }
    let run = child("the_filter_bites", || {
        seccomp::allow_only_exit();
        // SAFETY: takes nothing.
        unsafe { libc::getppid() };
        leave(0);
    });
    run.died_by(libc::SIGSYS);
}

#[test]
fn a_warm_thread_publishes_without_a_system_call() {
    if !seccomp::supported() {
        return;
    }
    let run = child("a_warm_thread_publishes_without_a_system_call", || {
        let (inner, post) = (Arc::new(Plain::new()), Dispatcher::<u32, u32>::new());
        let (empty, to_inner, target) = (Plain::new(), inner.clone(), Arc::new(()));
        let _subs: Vec<_> = (0..1_000).map(|_| inner.subscribe(|_: &u32| ())).collect();
        let _nested = post.subscribe(move |n: &u32| to_inner.publish(n).unwrap());
        let _once = post.subscribe_with(SubscribeOptions::new().once(), |_: &u32| ());
        let _weak = post.subscribe_weak(&target, |_: &(), _: &u32| ());
        let _stops = post.subscribe(|n: &u32| if *n == 0 { Err(0) } else { Ok(()) });
        signalpost::warm_up();
        seccomp::allow_only_exit();
        for n in 0..1_000 {
            let stopped = post.publish(&n).is_err()
                && post.try_publish(&n).is_err()
                && post.publish_with(|| n).is_err()
                && post.publish_or_undo(&n, &1).is_err();
            if stopped != (n == 0) {
                leave(1);
            }
            empty.publish(&n);
            if post.len() != 4 || !post.has_subscribers() {
                leave(2);
            }
        }
        leave(0);
    });
    run.succeeded();
}

#[test]
fn neither_does_it_while_other_threads_register_cancel_and_wait() {
    if !seccomp::supported() {
        return;
    }
    let run = child("neither_does_it_while_other_threads_register_cancel_and_wait", || {
        let post = Arc::new(Plain::new());
        let _stays = post.subscribe(|_: &u32| ());
        let (started, start) = std::sync::mpsc::channel();
        for _ in 0..2 {
            // Started before the filter, which is one of this thread alone.
            let (post, started) = (post.clone(), started.clone());
            thread::spawn(move || {
                for round in 0_u64.. {
                    let data = [round; 10];
                    let sub = post.subscribe(move |_: &u32| assert_eq!(data[9], round));
                    post.publish(&1);
                    if round % 3 == 0 {
                        sub.cancel_and_wait(std::time::Duration::MAX).unwrap();
                    }
                    if round == 10 {
                        started.send(()).unwrap();
                    }
                }
            });
        }
        start.recv().unwrap();
        start.recv().unwrap();
        signalpost::warm_up();
        seccomp::allow_only_exit();
        for n in 0..200_000 {
            post.publish(&n);
        }
        leave(0);
    });
    run.succeeded();
}
