//! A publish to a queue allocates, frees and asks the kernel for nothing while receivers poll; and wakes a sleeper once.
#![cfg(not(signalpost_arc_swap_reads))]

mod common;
#[path = "common/heap.rs"]
mod heap;

use common::{Gate, Plain, within};
use heap::counted;
use signalpost::{Full, FullRing, RecvError};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

/// How often this thread allocated or freed during `f`.
fn asked(f: impl FnOnce()) -> u64 {
    let (allocated, freed) = counted(f);
    allocated + freed
}

#[test]
fn the_counter_counts() {
    assert_eq!(asked(|| drop(std::hint::black_box(Box::new(7)))), 2);
}

#[test]
fn a_publish_to_queues_and_rings_whose_receivers_poll_allocates_and_frees_nothing() {
    within(|| {
        let (post, stop) = (Arc::new(Plain::new()), Gate::new());
        let queues = [Full::DropNewest, Full::DropOldest].map(|full| post.subscribe_queue(64, full));
        let mut rings = post.subscribe_rings(64, FullRing::DropNewest);
        let warm = rings.warm_up();
        let (theirs, stopped) = (queues.clone(), stop.clone());
        let received = Arc::new(AtomicUsize::new(0));
        let count = received.clone();
        let poller = thread::spawn(move || {
            while !stopped.is_open() {
                count.fetch_add(theirs.iter().map(|queue| queue.try_iter().count()).sum(), Relaxed);
                count.fetch_add(rings.try_iter().count(), Relaxed);
            }
        });
        let publisher = thread::spawn(move || {
            warm.this_thread();
            asked(|| {
                // Until somebody has received, however late it is given a processor.
                for n in 0.. {
                    post.publish(&n).unwrap();
                    if n >= 200_000 && received.load(Relaxed) > 0 {
                        break;
                    }
                }
            })
        });
        assert_eq!(publisher.join().unwrap(), 0);
        stop.open();
        poller.join().unwrap();
    });
}

#[test]
fn without_a_warm_up_a_threads_first_publish_makes_its_ring_and_no_later_one_does() {
    let post = Plain::new();
    let mut receiver = post.subscribe_rings(4, FullRing::DropNewest);
    signalpost::warm_up();
    assert_ne!(asked(|| post.publish(&1).unwrap()), 0, "this is one of the exceptions");
    assert_eq!(asked(|| post.publish(&2).unwrap()), 0);
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn waking_a_thread_allocates_and_frees_nothing_either() {
    within(|| {
        let (post, sleeps) = (Plain::new(), Arc::new(std::sync::Barrier::new(2)));
        let receiver = post.subscribe_queue(4, Full::DropNewest);
        signalpost::warm_up();
        let about_to = sleeps.clone();
        let thread = thread::spawn(move || {
            loop {
                about_to.wait();
                match receiver.recv() {
                    Ok(_) => {}
                    Err(error) => break error,
                }
            }
        });
        for n in 0..500 {
            sleeps.wait();
            (0..n % 50 * 100).for_each(|_| std::hint::spin_loop()); // it may be asleep by now
            assert_eq!(asked(|| post.publish(&n).unwrap()), 0);
        }
        sleeps.wait();
        drop(post);
        assert_eq!(thread.join().unwrap(), RecvError::Closed);
    });
}

#[cfg(target_os = "linux")]
mod system_calls {
    use super::*;
    use common::process::child;
    use common::seccomp;

    fn leave(code: i32) -> ! {
        // SAFETY: ends the process; the one call that the filters allow.
        unsafe { libc::_exit(code) }
    }

    #[test]
    fn a_publish_to_a_queue_whose_receiver_polls_makes_no_system_call() {
        if !seccomp::supported() {
            return;
        }
        let run =
            child("system_calls::a_publish_to_a_queue_whose_receiver_polls_makes_no_system_call", || {
                let post = Plain::new();
                let queues = [Full::DropNewest, Full::DropOldest].map(|full| post.subscribe_queue(64, full));
                let mut rings = post.subscribe_rings(64, FullRing::DropNewest);
                rings.warm_up().this_thread();
                let polls = Gate::new();
                let polling = polls.clone();
                // Started before the filter, which is one of this thread alone.
                thread::spawn(move || {
                    loop {
                        queues.iter().for_each(|queue| queue.try_iter().for_each(drop));
                        rings.try_iter().for_each(drop);
                        polling.open();
                    }
                });
                polls.wait();
                seccomp::allow_only_exit();
                (0..200_000).for_each(|n| post.publish(&n).unwrap());
                leave(0);
            });
        run.succeeded();
    }

    #[test]
    fn a_receiver_whose_barrier_is_refused_is_told_all_the_same() {
        if !seccomp::supported() {
            return;
        }
        let run = child("system_calls::a_receiver_whose_barrier_is_refused_is_told_all_the_same", || {
            let post = Plain::new();
            let receiver = post.subscribe_queue(4, Full::DropNewest);
            let mut rings = post.subscribe_rings(4, FullRing::DropNewest);
            let (to_task, told) = std::sync::mpsc::channel();
            seccomp::refuse_membarrier(); // of this thread, and those that it starts
            let sleeper = thread::spawn(move || {
                assert_eq!((receiver.recv(), rings.recv()), (Ok(1), Ok(1)));
                let timeout = std::time::Duration::from_millis(3);
                assert_eq!(receiver.recv_timeout(timeout), Err(RecvError::TimedOut));
                to_task.send(()).unwrap();
                receiver
            });
            thread::sleep(std::time::Duration::from_millis(5)); // it may be asleep by now
            post.publish(&1).unwrap();
            told.recv().unwrap();
            let receiver = sleeper.join().unwrap();
            // A task is woken at once, to look again.
            let waker = std::task::Waker::noop();
            let mut future = Box::pin(receiver.recv_async());
            let mut poll = || future.as_mut().poll(&mut std::task::Context::from_waker(waker));
            assert!(poll().is_pending() && poll().is_pending());
            post.publish(&2).unwrap();
            assert_eq!(poll(), std::task::Poll::Ready(Ok(2)));
            drop(future);
            drop(receiver);
        });
        run.succeeded();
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_sleep_costs_the_publisher_one_system_call_at_most() {
        use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
        const SLEEPS: u32 = 300;
        if !seccomp::supported() {
            return;
        }
        let run = child("system_calls::a_sleep_costs_the_publisher_one_system_call_at_most", || {
            let post = Plain::new();
            let receiver = post.subscribe_queue(SLEEPS as usize, Full::DropNewest);
            let received = Arc::new(AtomicU32::new(0));
            let counter = received.clone();
            thread::spawn(move || {
                for _ in receiver {
                    counter.fetch_add(1, SeqCst);
                }
            });
            signalpost::warm_up();
            post.publish(&0).unwrap();
            while received.load(SeqCst) == 0 {
                std::hint::spin_loop();
            }
            seccomp::count_system_calls();
            for n in 1..=SLEEPS {
                // The one before was received: since then the receiver has fallen asleep once at most.
                (0..20_000).for_each(|_| std::hint::spin_loop());
                post.publish(&n).unwrap();
                while received.load(SeqCst) <= n {
                    std::hint::spin_loop();
                }
            }
            let (futexes, others) = seccomp::counted();
            leave(match (futexes, others) {
                (1..=SLEEPS, 0) => 0,
                (0, 0) => 1, // it never slept: this looked at nothing
                (_, 0) => 2,
                _ => 3,
            });
        });
        run.succeeded();
    }
}
