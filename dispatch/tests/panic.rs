//! A panic in a subscriber unwinds to the publisher; nothing is poisoned or leaked, and the next publish is complete.

mod common;

use common::{Drops, Log, Place, Plain, alone, message, within};
use signalpost::{Dispatcher, Subscription};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

/// Subscribers of which the one at `place` panics at event 0. Each captures a token.
fn panicking(len: usize, place: usize, drops: &Drops) -> (Plain, Log<usize>, Vec<Subscription>) {
    let (post, log) = (Plain::new(), Log::new());
    let add = |own| {
        let (log, token) = (log.clone(), drops.token());
        post.subscribe(move |n: &u32| {
            token.touch();
            log.push(own);
            if own == place && *n == 0 {
                resume_unwind(Box::new(own)); // without the hook's noise
            }
        })
    };
    let subs = (0..len).map(add).collect();
    (post, log, subs)
}

fn panic_of(publish: impl FnOnce()) -> usize {
    let panic = catch_unwind(AssertUnwindSafe(publish)).unwrap_err();
    *panic.downcast::<usize>().expect("the subscriber's own payload")
}

#[test]
fn a_panic_at_any_place_reaches_the_publisher_unchanged_and_the_rest_do_not_run() {
    let _alone = alone();
    for (len, place) in
        [(1, 0), (3, 0), (3, 1), (3, 2), (65, 0), (65, 64), (257, 255), (257, 256), (600, 300)]
    {
        let drops = Drops::new();
        let (post, log, subs) = panicking(len, place, &drops);
        assert_eq!(panic_of(|| post.publish(&0).unwrap()), place);
        assert_eq!(log.take(), (0..=place).collect::<Vec<_>>());

        post.publish(&1);
        assert_eq!(log.take(), (0..len).collect::<Vec<_>>(), "the next publish is complete");

        drop(subs);
        assert_eq!((drops.made(), drops.alive()), (len, 0));
        assert_eq!(post.retired(), 0);
    }
}

#[test]
fn every_way_to_publish_unwinds_alike() {
    let _alone = alone();
    let drops = Drops::new();
    let (post, log, subs) = panicking(3, 1, &drops);
    let ways: [&dyn Fn(); 4] = [
        &|| post.try_publish(&0).unwrap(),
        &|| post.publish_with(|| 0).unwrap(),
        &|| drop(post.publish_all(&0)),
        &|| post.publish(&0).unwrap(),
    ];
    for publish in ways {
        assert_eq!(panic_of(publish), 1);
        assert_eq!(log.take(), [0, 1]);
        post.publish(&1);
        assert_eq!(log.take(), [0, 1, 2]);
    }
    drop(subs);
    assert_eq!(drops.alive(), 0);
}

#[test]
fn after_a_panic_the_thread_counts_as_outside() {
    let _alone = alone();
    within(|| {
        let drops = Drops::new();
        let (post, _, subs) = panicking(2, 1, &drops);
        panic_of(|| post.publish(&0).unwrap());
        // Both would be refused inside a publish of this dispatcher.
        post.scope(|_| ()).unwrap();
        subs[0].cancel_and_wait(Duration::MAX).unwrap();
        assert_eq!(drops.alive(), 1);
    });
}

#[test]
fn a_panic_that_is_caught_in_an_outer_subscriber_ends_only_the_inner_publish() {
    let _alone = alone();
    let drops = Drops::new();
    let (inner, log, subs) = panicking(2, 0, &drops);
    let outer = Plain::new();
    let seen = Log::new();
    let both = seen.clone();
    let _outer = outer.subscribe(move |n: &u32| {
        let caught = catch_unwind(AssertUnwindSafe(|| inner.publish(n).unwrap())).is_err();
        both.push((caught, inner.len()));
    });
    outer.publish(&0);
    outer.publish(&1);
    assert_eq!(seen.take(), [(true, 2), (false, 2)]);
    assert_eq!(log.take(), [0, 0, 1]);
    drop(subs);
}

#[test]
fn a_panic_through_several_levels_leaves_all_of_them() {
    let _alone = alone();
    within(|| {
        // Deeper than the levels that have a mark of their own.
        static CHAIN: [Plain; 9] = [const { Plain::new() }; 9];
        let drops = Drops::new();
        let mut subs = Vec::new();
        for (level, post) in CHAIN.iter().enumerate() {
            let token = drops.token();
            subs.push(post.subscribe(move |n: &u32| {
                token.touch();
                match CHAIN.get(level + 1) {
                    Some(next) => next.publish(n).unwrap(),
                    None if *n == 0 => resume_unwind(Box::new(level)),
                    None => {}
                }
            }));
        }
        assert_eq!(panic_of(|| CHAIN[0].publish(&0).unwrap()), 8);
        CHAIN[0].publish(&1);
        for sub in &subs {
            sub.cancel_and_wait(Duration::MAX).unwrap();
        }
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn what_a_subscriber_changed_before_it_panicked_is_in_force_and_reclaimed() {
    let _alone = alone();
    let post = std::sync::Arc::new(Plain::new());
    let drops = Drops::new();
    let token = drops.token();
    let victim = post.subscribe(move |_: &u32| token.touch());
    let victim = Place::of(victim);
    let _panics = post.subscribe(move |_: &u32| {
        if let Some(victim) = victim.take() {
            assert!(victim.cancel());
            resume_unwind(Box::new(1_usize));
        }
    });
    assert_eq!(panic_of(|| post.publish(&0).unwrap()), 1);
    assert_eq!(post.len(), 1);
    assert_eq!(drops.alive(), 0, "collected at the outermost leave, while unwinding");
    post.publish(&0);
}

#[test]
fn a_capture_whose_destructor_panics_while_its_publisher_unwinds_does_not_abort() {
    let _alone = alone();
    let post = Plain::new();
    let bomb = common::OnDrop::new(|| resume_unwind(Box::new("from the destructor")));
    let victim = post.subscribe(move |_: &u32| bomb.touch());
    let victim = Place::of(victim);
    let _panics = post.subscribe(move |_: &u32| {
        if victim.take().is_some() {
            resume_unwind(Box::new(7_usize)); // the victim's capture is dropped by the leave
        }
    });
    assert_eq!(panic_of(|| post.publish(&0).unwrap()), 7);
    assert_eq!(post.len(), 1);
    post.publish(&0);
}

#[test]
fn an_error_value_that_panics_in_its_own_destructor_is_the_publishers_affair() {
    let _alone = alone();
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                resume_unwind(Box::new("error dropped"));
            }
        }
    }
    let post: Dispatcher<u32, Bomb> = Dispatcher::new();
    let _sub = post.subscribe(|_: &u32| Err(Bomb));
    let panic = catch_unwind(AssertUnwindSafe(|| drop(post.publish(&0)))).unwrap_err();
    assert_eq!(message(&*panic), "error dropped");
    std::mem::forget(post.publish(&0));
    assert_eq!(post.len(), 1);
}

#[test]
fn a_panic_while_the_event_is_built_reaches_the_publisher_and_nobody_runs() {
    let _alone = alone();
    let drops = Drops::new();
    let (post, log, _subs) = panicking(2, 9, &drops);
    let make = || -> u32 { resume_unwind(Box::new(3_usize)) };
    assert_eq!(panic_of(|| post.publish_with(make).unwrap()), 3);
    assert_eq!(log.take(), []);
    post.publish_with(|| 1);
    assert_eq!(log.take(), [0, 1]);
}
