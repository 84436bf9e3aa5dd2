//! A forked child has one thread of its parent's: it publishes, registers and waits, and the marks of threads that it
//! does not have hang nothing.
#![cfg(target_os = "linux")]

mod common;

use common::process::{child, fork, fork_by, join};
use common::{Drops, Later, Log, Place, Plain, Stay, publisher_inside};
use signalpost::{Subscription, WaitError, stats};
use std::cell::Cell;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Everything that a program does with a dispatcher, in a child. `others` subscribers are there already.
fn use_all_of(post: &Arc<Plain>, others: usize) {
    let (drops, log) = (Drops::new(), Log::new());
    let (token, seen) = (drops.token(), log.clone());
    let sub = post.subscribe(move |n: &u32| {
        token.touch();
        seen.push(*n);
    });
    assert_eq!(post.len(), others + 1);
    post.publish(&100);
    assert_eq!(log.take(), [100]);
    sub.cancel_and_wait(Duration::MAX).unwrap();
    assert_eq!(drops.alive(), 0);

    let token = drops.token();
    drop(post.subscribe(move |_: &u32| token.touch()));
    assert_eq!((drops.alive(), post.retired()), (0, 0));

    post.scope(|scope| {
        scope.subscribe(|n: &u32| log.push(*n));
        post.publish(&101);
    })
    .unwrap();
    assert_eq!(log.take(), [101]);

    // And with threads of its own.
    let theirs = post.clone();
    let (token, stay) = (drops.token(), Stay::new());
    let here = stay.clone();
    let sub = Arc::new(post.subscribe(move |_: &u32| {
        token.touch();
        here.here();
    }));
    let publisher = publisher_inside(&theirs, &stay, 102);
    assert_eq!(sub.cancel_and_wait(Duration::ZERO), Err(WaitError::TimedOut));
    assert_eq!(drops.alive(), 1);
    stay.leave.open();
    publisher.join().unwrap();
    sub.cancel_and_wait(Duration::MAX).unwrap();
    assert_eq!((drops.alive(), post.retired(), stats().heavy_failures), (0, 0, 0));
}

/// A raw `clone`, of which no handler registered with the C library hears.
fn raw_clone() -> libc::pid_t {
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: as `fork`: no memory is shared and the stack is the same. s390x alone has another order of arguments.
    unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, none, none, none, none) as libc::pid_t }
}

#[test]
fn a_child_forked_at_the_top_level_does_everything() {
    child("a_child_forked_at_the_top_level_does_everything", || {
        let post = Arc::new(Plain::new());
        let sub = post.subscribe(|_: &u32| ());
        post.publish(&1);
        join(fork(|| use_all_of(&post, 1)));
        use_all_of(&post, 1);
        sub.cancel_and_wait(Duration::MAX).unwrap();
    })
    .succeeded();
}

#[test]
fn a_child_forked_before_anything_was_registered_does_everything() {
    child("a_child_forked_before_anything_was_registered_does_everything", || {
        let post = Arc::new(Plain::new());
        join(fork(|| use_all_of(&post, 0)));
        use_all_of(&post, 0);
    })
    .succeeded();
}

#[test]
fn a_child_of_a_raw_clone_does_everything() {
    child("a_child_of_a_raw_clone_does_everything", || {
        let post = Arc::new(Plain::new());
        let stay = Stay::new();
        let here = stay.clone();
        let _sub = post.subscribe(move |n: &u32| {
            if *n == 1 {
                here.here()
            }
        });
        let publisher = publisher_inside(&post, &stay, 1);
        join(fork_by(raw_clone, || use_all_of(&post, 1)));
        stay.leave.open();
        publisher.join().unwrap();
        use_all_of(&post, 1);
    })
    .succeeded();
}

#[test]
fn threads_inside_publishes_that_the_child_does_not_have_hang_nothing() {
    child("threads_inside_publishes_that_the_child_does_not_have_hang_nothing", || {
        // Eight threads, at several depths: the deepest has a mark that names every dispatcher.
        let post = Arc::new(Plain::new());
        let stays: Vec<_> = (0..8).map(|_| Stay::new()).collect();
        let (own, here) = (post.clone(), stays.clone());
        let deeper = move |n: &u32| match n {
            0..=7 => here[*n as usize].here(),
            // 10 * depth + which thread
            10..100 => own.publish(&(n - 10)).unwrap(),
            _ => {}
        };
        let _sub = post.subscribe(deeper);
        let publishers: Vec<_> = stays
            .iter()
            .enumerate()
            .map(|(n, stay)| publisher_inside(&post, stay, (n * 10 + n) as u32))
            .collect();
        let before = post.subscribe(|_: &u32| ());
        join(fork(|| {
            before.cancel_and_wait(Duration::MAX).unwrap();
            use_all_of(&post, 1);
        }));
        assert_eq!(
            before.cancel_and_wait(Duration::ZERO),
            Err(WaitError::TimedOut),
            "here they are still inside"
        );
        stays.iter().for_each(|stay| stay.leave.open());
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        before.cancel_and_wait(Duration::MAX).unwrap();
        use_all_of(&post, 1);
    })
    .succeeded();
}

#[test]
fn what_the_parents_threads_kept_from_being_reclaimed_the_child_reclaims() {
    child("what_the_parents_threads_kept_from_being_reclaimed_the_child_reclaims", || {
        let (post, stay, drops) = (Arc::new(Plain::new()), Stay::new(), Drops::new());
        let here = stay.clone();
        let _sub = post.subscribe(move |_: &u32| here.here());
        let publisher = publisher_inside(&post, &stay, 1);
        for _ in 0..10 {
            let token = drops.token();
            drop(post.subscribe(move |_: &u32| token.touch()));
        }
        let token = drops.token();
        drop(post.subscribe(move |_: &u32| token.touch()));
        let kept = drops.alive();
        join(fork(|| {
            drop(post.subscribe(|_: &u32| ()));
            post.collect();
            assert_eq!((drops.alive(), post.retired()), (0, 0));
        }));
        assert_eq!(drops.alive(), kept);
        stay.leave.open();
        publisher.join().unwrap();
        post.collect();
        assert_eq!(drops.alive(), 0);
    })
    .succeeded();
}

#[test]
fn a_child_forked_inside_a_subscriber_goes_on_with_the_publish_that_it_is_in() {
    child("a_child_forked_inside_a_subscriber_goes_on_with_the_publish_that_it_is_in", || {
        let (post, elsewhere) = (Arc::new(Plain::new()), Arc::new(Plain::new()));
        let (drops, log) = (Drops::new(), Log::new());
        let own: Later<Arc<Subscription>> = Later::new();
        let (this, token, alive, other) = (own.clone(), drops.token(), drops.clone(), elsewhere.clone());
        let forked = Log::new();
        let id = forked.clone();
        let forks = move |_: &u32| {
            // SAFETY: one thread; the child goes on from here.
            let process = unsafe { libc::fork() };
            assert!(process >= 0);
            id.push(process);
            if process == 0 {
                use_all_of(&other, 0);
                // A thread of the child cancels what this one is running: it must not be freed under it.
                let theirs = this.get().clone();
                let answer = thread::spawn(move || theirs.cancel_and_wait(Duration::ZERO)).join().unwrap();
                assert_eq!(answer, Err(WaitError::TimedOut));
                assert_eq!(this.get().cancel_and_wait(Duration::MAX), Err(WaitError::WouldDeadlock));
                assert_eq!(alive.alive(), 1);
            }
            token.touch();
        };
        own.set(Arc::new(post.subscribe(forks)));
        let seen = log.clone();
        let _after = post.subscribe(move |n: &u32| seen.push(*n));
        post.publish(&1);
        assert_eq!(log.take(), [1], "the rest of the snapshot runs in both");
        match forked.take()[..] {
            [0] => {
                own.get().cancel_and_wait(Duration::MAX).unwrap();
                assert_eq!(drops.alive(), 0);
                use_all_of(&post, 1);
                // SAFETY: ends the child.
                unsafe { libc::_exit(0) }
            }
            [id] => join(id),
            ref more => panic!("forked more than once: {more:?}"),
        }
        assert_eq!(drops.alive(), 1);
        own.get().cancel_and_wait(Duration::MAX).unwrap();
        use_all_of(&post, 1);
    })
    .succeeded();
}

#[test]
fn a_child_forked_by_another_thread_than_the_main_one_does_everything() {
    child("a_child_forked_by_another_thread_than_the_main_one_does_everything", || {
        let post = Arc::new(Plain::new());
        let stay = Stay::new();
        let here = stay.clone();
        let _sub = post.subscribe(move |n: &u32| {
            if *n == 1 {
                here.here()
            }
        });
        let sleeper = publisher_inside(&post, &stay, 1);
        let theirs = post.clone();
        thread::spawn(move || {
            theirs.publish(&2);
            join(fork(|| use_all_of(&theirs, 1)));
        })
        .join()
        .unwrap();
        stay.leave.open();
        sleeper.join().unwrap();
    })
    .succeeded();
}

#[test]
fn grandchildren_do_everything_too() {
    child("grandchildren_do_everything_too", || {
        let post = Arc::new(Plain::new());
        let stay = Stay::new();
        let here = stay.clone();
        let _sub = post.subscribe(move |n: &u32| {
            if *n == 1 {
                here.here()
            }
        });
        let publisher = publisher_inside(&post, &stay, 1);
        // Once through a child that has looked, and once through one that has not.
        for looks in [true, false] {
            join(fork(|| {
                if looks {
                    use_all_of(&post, 1);
                }
                join(fork(|| {
                    use_all_of(&post, 1);
                    join(fork(|| use_all_of(&post, 1)));
                }));
                use_all_of(&post, 1);
            }));
        }
        stay.leave.open();
        publisher.join().unwrap();
    })
    .succeeded();
}

#[test]
fn a_grandchild_forked_by_a_thread_of_the_child_clears_what_the_childs_threads_left() {
    child("a_grandchild_forked_by_a_thread_of_the_child_clears_what_the_childs_threads_left", || {
        let post = Arc::new(Plain::new());
        let stays = [Stay::new(), Stay::new()];
        let here = stays.clone();
        let _sub = post.subscribe(move |n: &u32| {
            if *n < 2 {
                here[*n as usize].here();
            }
        });
        let publisher = publisher_inside(&post, &stays[0], 0);
        join(fork(|| {
            let inside = publisher_inside(&post, &stays[1], 1);
            let theirs = post.clone();
            thread::spawn(move || join(fork(|| use_all_of(&theirs, 1)))).join().unwrap();
            stays[1].leave.open();
            inside.join().unwrap();
            use_all_of(&post, 1);
        }));
        stays[0].leave.open();
        publisher.join().unwrap();
    })
    .succeeded();
}

#[test]
fn until_its_first_thread_writes_a_childs_other_threads_free_nothing_too_early() {
    child("until_its_first_thread_writes_a_childs_other_threads_free_nothing_too_early", || {
        let (post, drops) = (Arc::new(Plain::new()), Drops::new());
        let token = drops.token();
        let (own, alive) = (Place::empty(), drops.clone());
        let this = own.clone();
        let process = Cell::new(-1);
        let forks = move |n: &u32| {
            if *n == 1 {
                // This thread is inside, in the child too. It has not written there yet; the other does.
                let sub: Subscription = this.take().unwrap();
                thread::spawn(move || {
                    assert_eq!(sub.cancel_and_wait(Duration::from_millis(20)), Err(WaitError::TimedOut));
                })
                .join()
                .unwrap();
                assert_eq!(alive.alive(), 1, "freed under the thread that runs it");
            }
            token.touch();
        };
        own.put(post.subscribe(forks));
        // The subscriber that forks comes first, and does not know dispatchers.
        let id = Place::empty();
        let forked = id.clone();
        let options = signalpost::SubscribeOptions::new().priority(1);
        let _forks = post.subscribe_with(options, move |_: &u32| {
            // SAFETY: one thread; the child goes on from here.
            forked.put(unsafe { libc::fork() });
        });
        post.publish(&1);
        process.set(id.take().unwrap());
        if process.get() == 0 {
            assert_eq!(post.len(), 1);
            post.collect();
            assert_eq!((drops.alive(), post.retired()), (0, 0));
            // SAFETY: ends the child.
            unsafe { libc::_exit(0) }
        }
        join(process.get());
        post.collect();
        assert_eq!(drops.alive(), 0);
    })
    .succeeded();
}
