//! `publish` allocates and frees nothing on the publishing thread, but for the closed list of exceptions.
//!
//! Not where readers go through arc-swap's guard, as a cross-check: that allocates at a thread's first read.
#![cfg(not(signalpost_arc_swap_reads))]

mod common;
#[path = "common/heap.rs"]
mod heap;

use common::{Gate, Plain, within};
use heap::counted;
use signalpost::{
    Bus, BusStop, Dispatcher, On, Plugin, Plugins, Policy, SubscribeOptions, Subscription, event, plugins,
};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

fn subscribers<X: 'static>(post: &Dispatcher<u32, X>, len: usize) -> Vec<Subscription> {
    (0..len)
        .map(|place| {
            post.subscribe(move |n: &u32| {
                black_box(*n as usize + place);
            })
        })
        .collect()
}

const SIZES: [usize; 6] = [0, 1, 64, 256, 257, 1_000];

#[test]
fn the_counters_count() {
    assert_eq!(counted(|| drop(black_box(Box::new(7)))), (1, 1));
    let mut grown = Vec::with_capacity(1);
    grown.push(1);
    assert_eq!(counted(|| grown.reserve(1_000)), (1, 1));
}

#[test]
fn no_way_to_publish_allocates_or_frees_once_the_thread_is_warm() {
    for len in SIZES {
        let post = Dispatcher::<u32, u32>::new();
        let _subs = subscribers(&post, len);
        signalpost::warm_up();
        let both = counted(|| {
            for _ in 0..100 {
                post.publish(&1).unwrap();
                post.try_publish(&1).unwrap();
                post.publish_with(|| 1).unwrap();
                assert!(post.publish_all(&1).is_empty());
                black_box((post.has_subscribers(), post.is_empty(), post.len()));
            }
        });
        assert_eq!(both, (0, 0), "{len} subscribers");
    }
}

#[test]
fn a_stop_allocates_nothing_either() {
    for len in SIZES {
        let post = Dispatcher::<u32, u32>::new();
        let _subs = subscribers(&post, len);
        let _stops = post.subscribe(|n: &u32| Err(*n));
        signalpost::warm_up();
        let both = counted(|| {
            assert_eq!(post.publish(&7).unwrap_err().error, 7);
            assert!(post.try_publish(&7).is_err());
            assert!(post.publish_with(|| 7).is_err());
        });
        assert_eq!(both, (0, 0), "{len} subscribers");
    }
}

#[test]
fn an_undo_allocates_nothing_up_to_256_subscribers_and_something_beyond() {
    for len in [0, 1, 64, 255, 256, 257, 1_000] {
        let post = Dispatcher::<u32, u32>::new();
        let _subs = subscribers(&post, len);
        signalpost::warm_up();
        let run = || post.publish_or_undo(&1, &2).unwrap();
        run();
        let both = counted(run);
        assert_eq!(both == (0, 0), len <= 256, "{len} subscribers: {both:?}");

        let stops = post.subscribe_with(SubscribeOptions::new().priority(-1), |n: &u32| match n {
            1 => Err(7),
            _ => Ok(()),
        });
        let both = counted(|| assert_eq!(post.publish_or_undo(&1, &2).unwrap_err().stopped.error, 7));
        assert_eq!(both == (0, 0), len < 256, "{len} subscribers and one that stops: {both:?}");
        drop(stops);
    }
}

#[test]
fn calling_plugins_allocates_nothing_under_either_policy() {
    struct Done;
    event!(Done: "test.done", stop = BusStop, entry_point = "test.plugins.done");
    static ONE: Plugin = Plugin::new("one", &On(|_: &Done| Ok(())));
    static TWO: Plugin = Plugin::any("two", "test.plugins.done", |event| {
        black_box(event.name());
        Ok(())
    });
    static ELSEWHERE: Plugin = Plugin::any("elsewhere", "test.plugins.other", |_| Err(BusStop::veto("no")));
    let (bus, registry) = (Bus::new(), Plugins::new());
    let _sub = bus.topic::<Done>().subscribe(|_: &Done| black_box(()));
    let publish = || bus.publish_and_call_plugins(&Done, &registry).unwrap();
    signalpost::warm_up();
    assert_eq!(counted(publish), (0, 0), "none registered");
    registry.add_all(plugins![ONE, TWO, ELSEWHERE]).unwrap();
    for policy in [Policy::Propagate, Policy::Isolate] {
        registry.set_policy(policy);
        assert_eq!(counted(publish), (0, 0), "{policy:?}");
    }
}

#[test]
fn nested_publishes_allocate_nothing() {
    let posts: Vec<_> = (0..10).map(|_| Arc::new(Plain::new())).collect();
    let mut subs = Vec::new();
    for pair in posts.windows(2) {
        let next = pair[1].clone();
        subs.push(pair[0].subscribe(move |n: &u32| next.publish(n).unwrap()));
    }
    subs.extend(subscribers(&posts[9], 5));
    signalpost::warm_up();
    assert_eq!(counted(|| posts[0].publish(&1).unwrap()), (0, 0));
}

#[test]
fn subscribers_that_end_by_themselves_are_not_removed_by_the_publisher() {
    let post = Plain::new();
    let target = Arc::new(7_u32);
    let _once = post.subscribe_with(SubscribeOptions::new().once(), |_: &u32| ());
    let _weak = post.subscribe_weak(&target, |target: &u32, n: &u32| {
        black_box(*target + n);
    });
    let _paused = post.subscribe_with(SubscribeOptions::new().paused(), |_: &u32| ());
    signalpost::warm_up();
    assert_eq!(counted(|| post.publish(&1).unwrap()), (0, 0));
    drop(target);
    assert_eq!(counted(|| post.publish(&2).unwrap()), (0, 0));
    assert_eq!(counted(|| post.publish(&3).unwrap()), (0, 0));
}

#[test]
fn a_panic_that_passes_through_a_publish_costs_no_more_than_the_panic() {
    let thrown = || {
        let caught = std::panic::catch_unwind(|| std::panic::resume_unwind(Box::new(1_u8)));
        drop(caught);
    };
    let post = Plain::new();
    let _sub = post.subscribe(|_: &u32| -> () { std::panic::resume_unwind(Box::new(1_u8)) });
    let through = || {
        let publish = std::panic::AssertUnwindSafe(|| post.publish(&1).unwrap());
        drop(std::panic::catch_unwind(publish));
    };
    thrown();
    through();
    assert_eq!(counted(through), counted(thrown));
}

#[test]
fn publishers_allocate_and_free_nothing_while_others_register_and_cancel() {
    within(|| {
        let (post, stop) = (Arc::new(Plain::new()), Gate::new());
        let rounds = Arc::new([const { AtomicU64::new(0) }; 2]);
        let churn = |n: usize| {
            let (post, stop, rounds) = (post.clone(), stop.clone(), rounds.clone());
            thread::spawn(move || {
                while !stop.is_open() {
                    let data = vec![n; 100];
                    let subs = [(); 3].map(|()| {
                        let data = data.clone();
                        post.subscribe(move |_: &u32| {
                            black_box(data[0]);
                        })
                    });
                    subs[0].pause();
                    post.edit(|edit| edit.cancel(&subs[1]));
                    rounds[n].fetch_add(1, Relaxed);
                }
            })
        };
        let writers: Vec<_> = (0..2).map(churn).collect();
        let publisher = |_| {
            let (post, rounds) = (post.clone(), rounds.clone());
            thread::spawn(move || {
                signalpost::warm_up();
                let done = |all: u64| rounds.iter().all(|rounds| rounds.load(Relaxed) >= all);
                let both = counted(|| {
                    // Until there was something to withstand, however late the others are given a processor.
                    for n in 0.. {
                        post.publish(&n).unwrap();
                        if n >= 100_000 && done(20) {
                            break;
                        }
                    }
                });
                assert_eq!(both, (0, 0));
            })
        };
        let publishers: Vec<_> = (0..2).map(publisher).collect();
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        stop.open();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    });
}

#[test]
fn a_warmed_threads_first_publish_allocates_nothing() {
    within(|| {
        let post = Arc::new(Plain::new());
        let _subs = subscribers(&post, 3);
        // All at once, so that no slot of an ended thread is there to be had.
        let (ready, go) = (Arc::new(std::sync::Barrier::new(9)), Gate::new());
        let first = |warm: bool| {
            let (post, ready, go) = (post.clone(), ready.clone(), go.clone());
            thread::spawn(move || {
                ready.wait();
                if warm {
                    assert!(counted(signalpost::warm_up).0 <= 1, "one slot at most");
                    assert_eq!(counted(signalpost::warm_up), (0, 0));
                }
                let first = counted(|| post.publish(&1).unwrap());
                let second = counted(|| post.publish(&1).unwrap());
                go.wait();
                (first, second)
            })
        };
        let threads: Vec<_> = (0..8).map(|n| (n % 2 == 0, first(n % 2 == 0))).collect();
        ready.wait();
        go.open();
        for (warm, thread) in threads {
            let (first, second) = thread.join().unwrap();
            assert!(first.0 <= u64::from(!warm) && first.1 == 0, "warm: {warm}: {first:?}");
            assert_eq!(second, (0, 0));
        }
    });
}

#[test]
fn a_thread_that_cancelled_inside_its_own_publish_pays_at_that_publishs_end_only() {
    let post = Plain::new();
    let place = common::Place::of(post.subscribe(|_: &u32| ()));
    let _cancels = post.subscribe(move |_: &u32| drop(place.take()));
    signalpost::warm_up();
    assert_ne!(counted(|| post.publish(&1).unwrap()), (0, 0), "this is one of the exceptions");
    assert_eq!(counted(|| post.publish(&1).unwrap()), (0, 0));
}
