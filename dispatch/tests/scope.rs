//! `scope`: subscribers that borrow from the stack, and end before what they borrow does.

mod common;

use common::{Drops, Gate, Later, Log, Plain, Stay, within};
use signalpost::{Dispatcher, ScopeError, SubscribeOptions};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

#[test]
fn a_subscriber_may_borrow_from_the_stack() {
    let post = Plain::new();
    let (sum, names) = (AtomicU32::new(0), Mutex::new(vec![String::from("first")]));
    let result = post.scope(|scope| {
        scope.subscribe(|n: &u32| {
            sum.fetch_add(*n, SeqCst);
        });
        scope.subscribe(|n: &u32| names.lock().unwrap().push(n.to_string()));
        post.publish(&3);
        post.publish(&4);
        "result"
    });
    assert_eq!(result, Ok("result"));
    assert_eq!(sum.into_inner(), 7);
    assert_eq!(names.into_inner().unwrap(), ["first", "3", "4"]);
    assert!(post.is_empty());
    assert_eq!(post.retired(), 0);
}

#[test]
fn scoped_subscribers_obey_order_stop_and_options_like_others() {
    let post = Dispatcher::<u32, String>::new();
    let log = Log::new();
    let (plain, before) = (log.clone(), SubscribeOptions::new().priority(1).named("before"));
    let _plain = post.subscribe(move |_: &u32| plain.push("plain"));
    post.scope(|scope| {
        let log = &log;
        scope.subscribe_with(before, |_: &u32| log.push("before"));
        scope.subscribe_with(SubscribeOptions::new().once(), |_: &u32| log.push("once"));
        let last = scope.subscribe(|n: &u32| {
            log.push("last");
            if *n == 0 { Err("zero".to_owned()) } else { Ok(()) }
        });
        post.publish(&1).unwrap();
        assert_eq!(log.take(), ["before", "plain", "once", "last"]);
        let stopped = post.publish(&0).unwrap_err();
        assert_eq!((stopped.error.as_str(), stopped.subscriber.id), ("zero", last.id()));
        assert_eq!(post.subscribers()[0].name, Some("before"));
    })
    .unwrap();
    log.take();
    post.publish(&0).unwrap();
    assert_eq!(log.take(), ["plain"]);
}

#[test]
fn a_scoped_handle_cancels_pauses_and_resumes_and_its_drop_does_nothing() {
    let post = Plain::new();
    let calls = AtomicU32::new(0);
    post.scope(|scope| {
        let count = |_: &u32| {
            calls.fetch_add(1, SeqCst);
        };
        let sub = scope.subscribe(count);
        post.publish(&1);
        assert!(sub.pause() && !sub.pause());
        post.publish(&1);
        assert!(sub.resume() && !sub.resume());
        post.publish(&1);
        assert!(sub.cancel() && !sub.cancel());
        post.publish(&1);
        assert_eq!(calls.load(SeqCst), 2);
        drop(scope.subscribe(count));
        post.publish(&1);
        assert_eq!(calls.load(SeqCst), 3, "a dropped handle leaves it to the scope");
    })
    .unwrap();
    post.publish(&1);
    assert_eq!(calls.load(SeqCst), 3);
}

#[test]
fn a_forgotten_handle_changes_nothing() {
    let post = Plain::new();
    let calls = AtomicU32::new(0);
    post.scope(|scope| {
        std::mem::forget(scope.subscribe(|_: &u32| {
            calls.fetch_add(1, SeqCst);
        }));
        post.publish(&1);
    })
    .unwrap();
    assert!(post.is_empty());
    post.publish(&1);
    assert_eq!(calls.load(SeqCst), 1);
}

#[test]
fn a_panic_ends_the_scope_and_goes_on() {
    let (post, drops) = (Plain::new(), Drops::new());
    let calls = AtomicU32::new(0);
    let panic = catch_unwind(AssertUnwindSafe(|| {
        post.scope(|scope| {
            let token = drops.token();
            scope.subscribe(|_: &u32| {
                calls.fetch_add(1, SeqCst);
            });
            scope.subscribe(move |_: &u32| token.touch());
            post.publish(&1);
            resume_unwind(Box::new("body"));
        })
    }));
    assert_eq!(common::message(&*panic.unwrap_err()), "body");
    assert!(post.is_empty());
    assert_eq!(drops.alive(), 0);
    post.publish(&1);
    assert_eq!(calls.load(SeqCst), 1);
}

#[test]
fn a_panic_of_a_scoped_subscriber_goes_to_its_publisher() {
    let post = Plain::new();
    let caught = AtomicBool::new(false);
    post.scope(|scope| {
        scope.subscribe(|_: &u32| resume_unwind(Box::new("subscriber")));
        caught.store(catch_unwind(AssertUnwindSafe(|| post.publish(&1))).is_err(), SeqCst);
    })
    .unwrap();
    assert!(caught.into_inner() && post.is_empty());
}

#[test]
fn a_scope_inside_a_publish_of_the_same_dispatcher_is_refused_at_once() {
    within(|| {
        let (post, other, log) = (Arc::new(Plain::new()), Plain::<u32>::new(), Log::new());
        let (own, seen) = (post.clone(), log.clone());
        let _sub = post.subscribe(move |_: &u32| {
            let body = || -> () { unreachable!("the body does not run") };
            seen.push(own.scope(|_| body()));
            seen.push(other.scope(|_| ()));
        });
        post.publish(&1);
        assert_eq!(log.take(), [Err(ScopeError::InsidePublish), Ok(())]);
    });
}

#[test]
fn scopes_nest_also_of_one_dispatcher() {
    let (post, other) = (Plain::new(), Plain::new());
    let outer = AtomicU32::new(0);
    let count = |sum: &AtomicU32| {
        sum.fetch_add(1, SeqCst);
    };
    post.scope(|first| {
        first.subscribe(|_: &u32| count(&outer));
        let inner = AtomicU32::new(0);
        post.scope(|second| {
            second.subscribe(|_: &u32| count(&inner));
            first.subscribe(|_: &u32| count(&outer));
            other.scope(|third| third.subscribe(|_: &u32| count(&inner)).cancel()).unwrap();
            post.publish(&1);
        })
        .unwrap();
        assert_eq!((inner.load(SeqCst), outer.load(SeqCst), post.len()), (1, 2, 2));
        post.publish(&1);
        assert_eq!((inner.load(SeqCst), outer.load(SeqCst)), (1, 4));
    })
    .unwrap();
    assert!(post.is_empty());
}

#[test]
fn the_end_waits_for_a_publish_that_runs_one_of_its_subscribers_on_another_thread() {
    within(|| {
        let post = Plain::new();
        let (stay, left) = (Stay::new(), Gate::new());
        thread::scope(|threads| {
            let data = [const { AtomicU32::new(0) }; 3];
            let inside = AtomicBool::new(false);
            post.scope(|scope| {
                scope.subscribe(|_: &u32| {
                    inside.store(true, SeqCst);
                    stay.here();
                    thread::sleep(std::time::Duration::from_millis(50)); // for an end that does not wait
                    data.iter().for_each(|one| one.store(1, SeqCst));
                    inside.store(false, SeqCst);
                });
                threads.spawn(|| {
                    post.publish(&1);
                    left.open();
                });
                stay.entered.wait();
                stay.leave.open();
            })
            .unwrap();
            assert!(!inside.load(SeqCst), "the borrowing subscriber is still running");
            assert!(data.iter().all(|one| one.load(SeqCst) == 1));
        });
        left.wait();
    });
}

#[test]
fn scopes_that_come_and_go_while_another_thread_publishes() {
    within(|| {
        let post = Arc::new(Plain::new());
        let stop = Gate::new();
        let (theirs, end) = (post.clone(), stop.clone());
        let publisher = thread::spawn(move || {
            while !end.is_open() {
                theirs.publish(&1);
            }
        });
        for _ in 0..2_000 {
            let canary = Box::new(AtomicU32::new(0xC0FFEE));
            let look = || assert_eq!(canary.load(SeqCst), 0xC0FFEE, "called after its scope");
            post.scope(|scope| {
                let first = scope.subscribe(|_: &u32| look());
                scope.subscribe(|_: &u32| look());
                first.pause();
                post.publish(&2);
                first.cancel();
            })
            .unwrap();
            canary.store(0, SeqCst);
        }
        stop.open();
        publisher.join().unwrap();
    });
}

#[test]
fn the_closures_are_dropped_by_the_end_on_its_own_thread() {
    within(|| {
        let (post, drops) = (Plain::new(), Drops::new());
        post.scope(|scope| {
            let (first, second) = (drops.token(), drops.token());
            let sub = scope.subscribe(move |_: &u32| first.touch());
            scope.subscribe(move |_: &u32| second.touch());
            sub.cancel();
            thread::scope(|threads| threads.spawn(|| post.collect()).join().unwrap());
            assert_eq!(drops.alive(), 2, "the closure is the scope's");
        })
        .unwrap();
        assert_eq!(drops.by(), [thread::current().id(); 2]);
    });
}

#[test]
fn other_threads_may_register_in_a_scope() {
    let post = Plain::new();
    let sum = AtomicU32::new(0);
    post.scope(|scope| {
        thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    for _ in 0..10 {
                        scope.subscribe(|n: &u32| {
                            sum.fetch_add(*n, SeqCst);
                        });
                    }
                });
            }
        });
        post.publish(&1);
    })
    .unwrap();
    assert_eq!(sum.into_inner(), 40);
    assert!(post.is_empty());
}

#[test]
fn a_scoped_subscriber_may_publish_subscribe_and_cancel() {
    let post = Plain::new();
    let log = Log::new();
    post.scope(|scope| {
        let later = Later::new();
        let (log, post, other) = (&log, &post, later.clone());
        scope.subscribe(move |n: &u32| {
            log.push(*n);
            if *n == 0 {
                post.publish(&1);
                post.subscribe(|_: &u32| ()).detach();
                scope.subscribe(move |n: &u32| log.push(100 + n));
            }
        });
        later.set(scope.subscribe(|_: &u32| ()));
        drop(other);
        post.publish(&0);
        post.publish(&2);
    })
    .unwrap();
    assert_eq!(log.take(), [0, 1, 2, 102]);
    assert_eq!(post.len(), 1, "the plain one stays");
}

#[test]
fn what_a_scoped_subscriber_registers_while_the_scope_ends_ends_with_it_too() {
    within(|| {
        let post = Plain::new();
        let (stay, calls) = (Stay::new(), AtomicU32::new(0));
        thread::scope(|threads| {
            post.scope(|scope| {
                let (stay, calls) = (&stay, &calls);
                scope.subscribe(move |n: &u32| {
                    if *n == 1 {
                        stay.here();
                        thread::sleep(std::time::Duration::from_millis(100)); // the end has begun by now
                        scope.subscribe(move |_: &u32| {
                            calls.fetch_add(1, SeqCst);
                        });
                    }
                });
                threads.spawn(|| post.publish(&1));
                stay.entered.wait();
                stay.leave.open();
            })
            .unwrap();
            assert!(post.is_empty(), "a borrowing subscriber outlives its scope");
            post.publish(&2);
        });
        assert_eq!(calls.into_inner(), 0);
    });
}

#[test]
fn what_a_scoped_capture_registers_in_its_destructor_ends_with_the_scope_too() {
    struct Parting<'scope, 'env>(&'scope signalpost::Scope<'scope, 'env, u32, std::convert::Infallible>);
    impl Parting<'_, '_> {
        fn touch(&self) {}
    }
    impl Drop for Parting<'_, '_> {
        fn drop(&mut self) {
            self.0.subscribe(|_: &u32| ());
        }
    }
    let post = Plain::new();
    post.scope(|scope| {
        let parting = Parting(scope);
        scope.subscribe(move |_: &u32| parting.touch());
        post.publish(&1);
    })
    .unwrap();
    assert!(post.is_empty());
    post.publish(&2);
}

#[test]
fn a_scope_in_which_nobody_registered_waits_for_nobody() {
    within(|| {
        let (post, stay) = (Arc::new(Plain::new()), Stay::new());
        let here = stay.clone();
        let _sub = post.subscribe(move |_: &u32| here.here());
        let publisher = common::publisher_inside(&post, &stay, 1);
        post.scope(|_| ()).unwrap();
        stay.leave.open();
        publisher.join().unwrap();
    });
}

#[test]
fn errors_say_why() {
    for (error, word) in
        [(ScopeError::InsidePublish, "inside a publish"), (ScopeError::BarrierLost, "membarrier")]
    {
        let error: Box<dyn std::error::Error + Send + Sync> = Box::new(error);
        assert!(error.to_string().contains(word), "{error}");
    }
}
