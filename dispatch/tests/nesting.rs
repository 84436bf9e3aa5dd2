//! Publishes inside publishes: to the same dispatcher, to others, and without end.

mod common;

use common::{Drops, Later, Log, Place, Plain, Stay, alone, message, publisher_inside, within};
use signalpost::{Dispatcher, PublishError, Subscription, TooDeep, WaitError};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// A dispatcher whose only subscriber publishes to it again, as often as it can, and counts.
fn endless(post: Plain) -> (Arc<Plain>, Log<u32>) {
    let (post, log) = (Arc::new(post), Log::new());
    let (own, seen) = (Arc::downgrade(&post), log.clone());
    post.subscribe(move |n: &u32| {
        seen.push(*n);
        own.upgrade().unwrap().publish(&(n + 1)).unwrap();
    })
    .detach();
    (post, log)
}

fn panic_of(f: impl FnOnce()) -> String {
    message(&*catch_unwind(AssertUnwindSafe(f)).unwrap_err())
}

#[test]
fn a_publish_without_end_panics_at_64_levels_with_the_dispatchers_name() {
    let _alone = alone();
    let (post, log) = endless(Plain::named("orders"));
    let text = panic_of(|| post.publish(&0).unwrap());
    assert!(text.contains("orders") && text.contains("64"), "{text}");
    assert_eq!(log.take(), (0..64).collect::<Vec<_>>());
    // Nothing is left of it: the next one is as deep.
    panic_of(|| post.publish(&0).unwrap());
    assert_eq!(log.take().len(), 64);
}

#[test]
fn a_dispatcher_without_a_name_says_so() {
    let _alone = alone();
    let (post, _log) = endless(Plain::new());
    let text = panic_of(|| post.publish(&0).unwrap());
    assert!(text.contains("unnamed"), "{text}");
}

#[test]
fn the_limit_can_be_chosen() {
    let _alone = alone();
    for limit in [8, 9, 65, 200] {
        let (post, log) = endless(Plain::new().with_max_depth(limit));
        within(move || panic_of(|| post.publish(&0).unwrap()));
        assert_eq!(log.take().len(), limit as usize);
    }
}

#[test]
fn a_limit_below_8_or_above_4096_is_refused() {
    let _alone = alone();
    for limit in [0, 1, 7, 4_097, u32::MAX] {
        let text = panic_of(|| drop(Plain::<u32>::new().with_max_depth(limit)));
        assert!(text.contains("8 to 4096"), "{text}");
    }
    drop(Plain::<u32>::new().with_max_depth(8).with_max_depth(4_096));
}

#[test]
fn try_publish_says_too_deep_at_exactly_64() {
    let _alone = alone();
    let post: Arc<Dispatcher<u32, Infallible>> = Arc::default();
    let log = Log::new();
    let (own, seen) = (post.clone(), log.clone());
    let sub = post.subscribe(move |n: &u32| match own.try_publish(&(n + 1)) {
        Ok(()) => {}
        Err(PublishError::TooDeep(deep)) => seen.push((*n, deep)),
        Err(PublishError::Stopped(_)) => unreachable!("infallible"),
    });
    post.try_publish(&1).unwrap();
    assert_eq!(log.take(), [(64, TooDeep { depth: 64 })]);
    let text = TooDeep { depth: 64 }.to_string();
    assert!(text.contains("64"), "{text}");
    drop(sub);
}

#[test]
fn every_way_to_publish_has_the_limit() {
    let _alone = alone();
    let post = Arc::new(Plain::named("all ways"));
    let refused = Log::new();
    let (own, seen) = (post.clone(), refused.clone());
    let _sub = post.subscribe(move |n: &u32| {
        if *n < 63 {
            return own.publish(&(n + 1)).unwrap();
        }
        let ways: [&dyn Fn(); 4] = [
            &|| own.publish(&0).unwrap(),
            &|| drop(own.publish_all(&0)),
            &|| {
                own.publish_with(|| -> u32 { unreachable!("nobody is called, so nothing is built") }).unwrap()
            },
            &|| own.publish_or_undo(&0, &0).unwrap(),
        ];
        for way in ways {
            seen.push(panic_of(way));
        }
    });
    post.publish(&0);
    let refused = refused.take();
    assert_eq!(refused.len(), 4);
    assert!(refused.iter().all(|text| text.contains("all ways")), "{refused:?}");
}

#[test]
fn the_limit_counts_publishes_of_any_dispatchers() {
    let _alone = alone();
    let (a, b) = (Arc::new(Plain::new()), Arc::new(Plain::new().with_max_depth(10)));
    let log = Log::new();
    let (to_b, seen) = (b.clone(), log.clone());
    let _a = a.subscribe(move |n: &u32| {
        seen.push(*n);
        let _ = to_b.try_publish(&(n + 1));
    });
    let (to_a, seen) = (a.clone(), log.clone());
    let _b = b.subscribe(move |n: &u32| {
        seen.push(*n);
        let _ = to_a.try_publish(&(n + 1));
    });
    // Levels 1, 3, 5 ... are a's, and b refuses the eleventh.
    a.publish(&1);
    assert_eq!(log.take(), (1..=11).collect::<Vec<_>>());
}

#[test]
fn an_empty_dispatcher_is_never_too_deep() {
    let _alone = alone();
    let empty = Plain::new();
    let post = Arc::new(Plain::new());
    let own = post.clone();
    let _sub = post.subscribe(move |n: &u32| {
        empty.publish(n);
        if *n < 64 {
            own.publish(&(n + 1));
        }
    });
    post.publish(&1);
}

/// What is to be done inside the innermost publish.
type Task = Place<Box<dyn FnOnce() + Send>>;

/// `levels` dispatchers, each of which publishes to the next; the last runs what `deepest` holds.
fn tower(levels: usize) -> (Vec<Arc<Plain>>, Task) {
    let deepest = Task::empty();
    let posts: Vec<_> = (0..levels).map(|_| Arc::new(Plain::new())).collect();
    for (level, post) in posts.iter().enumerate() {
        match posts.get(level + 1).cloned() {
            Some(next) => post.subscribe(move |n: &u32| next.publish(n).unwrap()).detach(),
            None => {
                let deepest = deepest.clone();
                let run = move |_: &u32| {
                    if let Some(run) = deepest.take() {
                        run();
                    }
                };
                post.subscribe(run).detach()
            }
        };
    }
    (posts, deepest)
}

const DEPTHS: [usize; 8] = [1, 2, 5, 6, 7, 8, 9, 40];

#[test]
fn what_is_cancelled_at_any_depth_is_reclaimed_when_the_outermost_publish_is_over() {
    let _alone = alone();
    for levels in DEPTHS {
        let (posts, deepest) = tower(levels);
        let drops = Drops::new();
        let capture = |post: &Arc<Plain>| {
            let token = drops.token();
            post.subscribe(move |_: &u32| token.touch())
        };
        let mut victims: Vec<_> = posts.iter().map(capture).collect();
        let elsewhere = Arc::new(Plain::new());
        victims.push(capture(&elsewhere));
        let alive = drops.clone();
        deepest.put(Box::new(move || {
            drop(victims);
            assert!(alive.alive() >= alive.made() - 1, "all but the one elsewhere are being run");
        }));
        posts[0].publish(&0);
        assert_eq!(drops.alive(), 0, "{levels} levels");
        assert!(posts.iter().chain([&elsewhere]).all(|post| post.retired() == 0), "{levels} levels");
        assert!(posts.iter().all(|post| post.len() == 1));
    }
}

#[test]
fn waiting_inside_any_of_the_publishes_that_this_thread_is_in_is_an_error_at_once() {
    let _alone = alone();
    within(|| {
        for levels in DEPTHS {
            let (posts, deepest) = tower(levels);
            let subs: Vec<_> = posts.iter().map(|post| post.subscribe(|_: &u32| ())).collect();
            let answers = Log::new();
            let (seen, inside) = (answers.clone(), posts.clone());
            deepest.put(Box::new(move || {
                for (sub, post) in subs.iter().zip(&inside) {
                    seen.push(sub.cancel_and_wait(Duration::MAX));
                    assert!(post.scope(|_| ()).is_err(), "a scope would wait too");
                }
            }));
            posts[0].publish(&0);
            assert_eq!(answers.take(), vec![Err(WaitError::WouldDeadlock); levels]);
        }
    });
}

#[test]
fn waiting_for_another_dispatcher_works_up_to_six_levels_deep() {
    let _alone = alone();
    within(|| {
        for levels in [1, 2, 5, 6] {
            let (posts, deepest) = tower(levels);
            let other = Plain::new();
            let drops = Drops::new();
            let token = drops.token();
            let sub = other.subscribe(move |_: &u32| token.touch());
            let answers = Log::new();
            let (seen, theirs) = (answers.clone(), drops.clone());
            deepest.put(Box::new(move || {
                seen.push((sub.cancel_and_wait(Duration::MAX), theirs.alive()));
                other.scope(|_| ()).unwrap();
            }));
            posts[0].publish(&0);
            assert_eq!(answers.take(), [(Ok(()), 0)], "{levels} levels");
        }
    });
}

#[test]
fn deeper_than_six_levels_a_wait_for_another_dispatcher_is_refused_and_works_later() {
    let _alone = alone();
    within(|| {
        let (posts, deepest) = tower(7);
        let other = Arc::new(Plain::new());
        let drops = Drops::new();
        let token = drops.token();
        let sub = Arc::new(other.subscribe(move |_: &u32| token.touch()));
        let answers = Log::new();
        let (seen, theirs) = (answers.clone(), sub.clone());
        deepest.put(Box::new(move || seen.push(theirs.cancel_and_wait(Duration::MAX))));
        posts[0].publish(&0);
        assert_eq!(answers.take(), [Err(WaitError::WouldDeadlock)]);
        assert_eq!(sub.cancel_and_wait(Duration::MAX), Ok(()));
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn a_thread_deep_inside_one_dispatcher_delays_nothing_of_another() {
    let _alone = alone();
    within(|| {
        // a -> b, and the thread sleeps in b; c is nobody's.
        let (a, b, c) = (Arc::new(Plain::new()), Arc::new(Plain::new()), Arc::new(Plain::new()));
        let stay = Stay::new();
        let (to_b, here) = (b.clone(), stay.clone());
        let _a = a.subscribe(move |n: &u32| to_b.publish(n).unwrap());
        let _b = b.subscribe(move |_: &u32| here.here());
        let publisher = publisher_inside(&a, &stay, 0);

        let drops = Drops::new();
        let capture = || {
            let token = drops.token();
            c.subscribe(move |_: &u32| token.touch())
        };
        let (waited, dropped) = (capture(), capture());
        waited.cancel_and_wait(Duration::MAX).unwrap();
        drop(dropped);
        assert_eq!((drops.alive(), c.retired()), (0, 0));
        c.scope(|_| ()).unwrap();

        // Of a and b it does delay the reclamation, and no registration.
        let token = drops.token();
        let sub = a.subscribe(move |_: &u32| token.touch());
        assert_eq!(sub.cancel_and_wait(Duration::ZERO), Err(WaitError::TimedOut));
        assert_eq!(drops.alive(), 1);
        stay.leave.open();
        publisher.join().unwrap();
        sub.cancel_and_wait(Duration::MAX).unwrap();
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn a_thread_that_comes_and_goes_in_an_inner_dispatcher_is_not_taken_for_one_that_stays() {
    let _alone = alone();
    within(|| {
        // The thread never leaves `outer`, and each of its reads of `inner` is short.
        let (outer, inner) = (Arc::new(Plain::new()), Arc::new(Plain::new()));
        let (entered, stop) = (common::Gate::new(), common::Gate::new());
        let (to_inner, here, end) = (inner.clone(), entered.clone(), stop.clone());
        let _outer = outer.subscribe(move |_: &u32| {
            while !end.is_open() {
                to_inner.publish(&0);
                here.open();
            }
        });
        let _inner = inner.subscribe(|_: &u32| ());
        let publisher = std::thread::spawn({
            let outer = outer.clone();
            move || {
                outer.publish(&0);
            }
        });
        entered.wait();
        for _ in 0..200 {
            let sub = inner.subscribe(|_: &u32| ());
            sub.cancel_and_wait(Duration::MAX).unwrap();
        }
        stop.open();
        publisher.join().unwrap();
    });
}

#[test]
fn mutual_recursion_unwinds_through_both_and_both_work_again() {
    let _alone = alone();
    let (a, b) = (Arc::new(Plain::named("a")), Arc::new(Plain::named("b")));
    let (to_a, to_b) = (Arc::downgrade(&a), Arc::downgrade(&b));
    let sub: Later<Subscription> = Later::new();
    sub.set(a.subscribe(move |n: &u32| to_b.upgrade().unwrap().publish(n).unwrap()));
    let _b = b.subscribe(move |n: &u32| to_a.upgrade().unwrap().publish(n).unwrap());
    assert!(panic_of(|| a.publish(&0).unwrap()).contains("dispatcher a"));
    assert!(panic_of(|| b.publish(&0).unwrap()).contains("dispatcher b"));
    sub.get().cancel();
    a.publish(&0);
    b.publish(&0);
}
