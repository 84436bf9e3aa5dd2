//! Threads come and go: what a thread's last destructors publish is published, and its marks do not stay.

mod common;

use common::{Drops, Gate, Later, Log, Place, Plain, within};
use signalpost::Subscription;
use std::cell::RefCell;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Runs something when its thread ends.
struct AtEnd(RefCell<Option<Box<dyn FnOnce()>>>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        if let Some(f) = self.0.get_mut().take() {
            f();
        }
    }
}

thread_local! {
    static AT_END: AtEnd = const { AtEnd(RefCell::new(None)) };
}

fn at_end(f: impl FnOnce() + 'static) {
    AT_END.with(|end| *end.0.borrow_mut() = Some(Box::new(f)));
}

/// A thread whose last destructor runs `last`: registered before the thread's first publish, or after it.
fn thread_with_last_words(post: &Arc<Plain>, first: bool, last: impl FnOnce() + Send + 'static) {
    let post = post.clone();
    let body = move || {
        if first {
            at_end(last);
            post.publish(&1);
        } else {
            post.publish(&1);
            at_end(last);
        }
    };
    thread::spawn(body).join().unwrap();
}

#[test]
fn a_thread_local_destructor_may_publish_whether_it_was_registered_first_or_last() {
    within(|| {
        for first in [true, false] {
            let (post, log, drops) = (Arc::new(Plain::new()), Log::new(), Drops::new());
            let (seen, token) = (log.clone(), drops.token());
            let sub = post.subscribe(move |n: &u32| {
                token.touch();
                seen.push(*n);
            });
            let theirs = post.clone();
            thread_with_last_words(&post, first, move || {
                for n in 2..100 {
                    theirs.publish(&n);
                }
            });
            assert_eq!(log.take(), (1..100).collect::<Vec<_>>(), "first: {first}");
            // No mark is left that would make this wait.
            sub.cancel_and_wait(Duration::MAX).unwrap();
            assert_eq!((drops.alive(), post.retired()), (0, 0));
        }
    });
}

#[test]
fn a_thread_that_publishes_only_in_its_last_destructors_leaves_no_mark_either() {
    within(|| {
        let post = Arc::new(Plain::new());
        let log = Log::new();
        let seen = log.clone();
        let sub = post.subscribe(move |n: &u32| seen.push(*n));
        let theirs = post.clone();
        thread::spawn(move || at_end(move || theirs.publish(&1).unwrap())).join().unwrap();
        assert_eq!(log.take(), [1]);
        sub.cancel_and_wait(Duration::MAX).unwrap();
    });
}

#[test]
fn a_thread_local_destructor_may_do_all_else_too() {
    within(|| {
        for first in [true, false] {
            let (post, other, drops) = (Arc::new(Plain::new()), Arc::new(Plain::new()), Drops::new());
            let capturing = |post: &Arc<Plain>| {
                let token = drops.token();
                post.subscribe(move |_: &u32| token.touch())
            };
            // Cancels itself in the middle of a nested publish.
            let own: Later<Subscription> = Later::new();
            let (this, token, to_other) = (own.clone(), drops.token(), other.clone());
            own.set(post.subscribe(move |n: &u32| {
                token.touch();
                if *n == 7 {
                    to_other.publish(n);
                    this.get().cancel();
                }
            }));
            let (waited, dropped, theirs) = (capturing(&post), capturing(&other), post.clone());
            let _stays = capturing(&other);
            thread_with_last_words(&post, first, move || {
                signalpost::warm_up();
                theirs.publish(&7);
                waited.cancel_and_wait(Duration::MAX).unwrap();
                drop(dropped);
                theirs.scope(|scope| scope.subscribe(|_: &u32| ()).cancel()).unwrap();
                theirs.subscribe(|_: &u32| ()).detach();
                theirs.publish(&8);
                theirs.collect();
            });
            post.collect();
            assert_eq!((drops.alive(), post.len(), other.len()), (1, 1, 1), "first: {first}");
            assert_eq!((post.retired(), other.retired()), (0, 0));
        }
    });
}

#[test]
fn a_panic_in_a_publish_of_a_last_destructor_leaves_no_mark() {
    within(|| {
        let (post, drops) = (Arc::new(Plain::new()), Drops::new());
        let token = drops.token();
        let sub = post.subscribe(move |n: &u32| {
            token.touch();
            if *n == 7 {
                std::panic::resume_unwind(Box::new(()));
            }
        });
        let theirs = post.clone();
        thread_with_last_words(&post, false, move || {
            let publish = std::panic::AssertUnwindSafe(|| theirs.publish(&7));
            assert!(std::panic::catch_unwind(publish).is_err());
        });
        sub.cancel_and_wait(Duration::MAX).unwrap();
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn a_thread_that_panicked_inside_a_publish_leaves_no_mark() {
    within(|| {
        let (post, drops) = (Arc::new(Plain::new()), Drops::new());
        let token = drops.token();
        let sub = post.subscribe(move |_: &u32| -> () {
            token.touch();
            std::panic::resume_unwind(Box::new(()));
        });
        for _ in 0..10 {
            let theirs = post.clone();
            assert!(thread::spawn(move || theirs.publish(&1)).join().is_err());
        }
        sub.cancel_and_wait(Duration::MAX).unwrap();
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn short_threads_that_come_and_go_while_others_wait() {
    within(|| {
        // Each publish is its thread's first: a wait must notice that one thread's is over, though the next thread
        // takes its place at once.
        let (post, drops, stop) = (Arc::new(Plain::new()), Drops::new(), Gate::new());
        let _stays = post.subscribe(|_: &u32| ());
        let spawner = |_| {
            let (post, stop) = (post.clone(), stop.clone());
            thread::spawn(move || {
                while !stop.is_open() {
                    let post = post.clone();
                    thread::spawn(move || post.publish(&1)).join().unwrap();
                }
            })
        };
        let spawners: Vec<_> = (0..3).map(spawner).collect();
        for _ in 0..1_000 {
            let token = drops.token();
            let sub = post.subscribe(move |_: &u32| token.touch());
            sub.cancel_and_wait(Duration::MAX).unwrap();
        }
        stop.open();
        spawners.into_iter().for_each(|spawner| spawner.join().unwrap());
        assert_eq!((drops.made(), drops.alive(), post.retired()), (1_000, 0, 0));
    });
}

#[test]
fn hundreds_of_threads_inside_at_once() {
    within(|| {
        let (post, drops) = (Arc::new(Plain::new()), Drops::new());
        let stay = common::Stay::new();
        let inside = Log::new();
        let (here, seen, token) = (stay.clone(), inside.clone(), drops.token());
        let sub = post.subscribe(move |n: &u32| {
            seen.push(*n);
            here.here();
            token.touch();
        });
        let publishers: Vec<_> = (0..300)
            .map(|n| {
                let post = post.clone();
                thread::spawn(move || post.publish(&n))
            })
            .collect();
        while inside.len() < 300 {
            thread::yield_now();
        }
        assert_eq!(sub.cancel_and_wait(Duration::ZERO), Err(signalpost::WaitError::TimedOut));
        stay.leave.open();
        sub.cancel_and_wait(Duration::MAX).unwrap();
        assert_eq!(drops.alive(), 0);
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap().unwrap());
    });
}

#[cfg(unix)]
#[test]
fn a_last_destructors_publish_is_not_taken_for_the_next_threads() {
    use common::process::child;
    // In a process of its own, where the next thread is sure to be offered what the ending one gave back.
    let run = child("a_last_destructors_publish_is_not_taken_for_the_next_threads", || {
        let (post, stay, drops) = (Arc::new(Plain::new()), common::Stay::new(), Drops::new());
        let (here, token) = (stay.clone(), drops.token());
        let sub = post.subscribe(move |n: &u32| {
            if *n == 2 {
                here.here();
            }
            token.touch();
        });
        let theirs = post.clone();
        let ending = thread::spawn(move || {
            let last = theirs.clone();
            at_end(move || last.publish(&2).unwrap());
            theirs.publish(&1);
        });
        stay.entered.wait();
        let theirs = post.clone();
        let next = thread::spawn(move || {
            theirs.publish(&3);
            let timed_out = Err(signalpost::WaitError::TimedOut);
            assert_eq!(
                sub.cancel_and_wait(Duration::ZERO),
                timed_out,
                "the other one is inside, not this one"
            );
            sub
        });
        let sub = next.join().unwrap();
        assert_eq!(drops.alive(), 1);
        stay.leave.open();
        ending.join().unwrap();
        sub.cancel_and_wait(Duration::MAX).unwrap();
        assert_eq!(drops.alive(), 0);
    });
    run.succeeded();
}

#[cfg(unix)]
#[test]
fn a_process_may_exit_inside_a_subscriber() {
    use common::process::child;
    let run = child("a_process_may_exit_inside_a_subscriber", || {
        let post = Arc::new(Plain::new());
        let other = post.clone();
        // Runs at exit, inside the publish that exits.
        at_end(move || {
            other.publish(&2);
            drop(other.subscribe(|_: &u32| ()));
            println!("last words");
        });
        let log = Log::new();
        let seen = log.clone();
        let token = Place::of(Drops::new().token());
        let _sub = post.subscribe(move |n: &u32| match n {
            1 => std::process::exit(42),
            _ => {
                seen.push(*n);
                drop(token.take());
                println!("published at exit");
            }
        });
        // Another thread goes on publishing meanwhile.
        let theirs = post.clone();
        thread::spawn(move || {
            loop {
                theirs.publish(&3);
            }
        });
        while log.len() == 0 {
            thread::yield_now();
        }
        post.publish(&1);
    });
    assert_eq!(run.status.code(), Some(42), "{}", run.output);
    assert!(run.output.contains("published at exit"), "{}", run.output);
}
