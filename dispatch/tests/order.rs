//! Order: priority, highest first, then registration; fixed by the list, not by who publishes.

mod common;

use common::{Log, Plain};
use signalpost::{SubscribeOptions, Subscription};

/// A dispatcher whose subscribers log their names.
fn named(order: &[(&'static str, i32)]) -> (Plain, Log<&'static str>, Vec<Subscription>) {
    let (post, log) = (Plain::new(), Log::new());
    let subs = order.iter().map(|(name, priority)| add(&post, &log, name, *priority)).collect();
    (post, log, subs)
}

fn add(post: &Plain, log: &Log<&'static str>, name: &'static str, priority: i32) -> Subscription {
    let log = log.clone();
    let options = SubscribeOptions::new().named(name).priority(priority);
    post.subscribe_with(options, move |_: &u32| log.push(name))
}

#[test]
fn subscribers_run_in_the_order_of_registration() {
    let (post, log, _subs) = named(&[("a", 0), ("b", 0), ("c", 0)]);
    post.publish(&1);
    assert_eq!(log.take(), ["a", "b", "c"]);
}

#[test]
fn a_higher_priority_runs_earlier_whenever_it_was_registered() {
    let (post, log, _subs) =
        named(&[("low", -5), ("plain", 0), ("high", 10), ("plain again", 0), ("high again", 10)]);
    post.publish(&1);
    assert_eq!(log.take(), ["high", "high again", "plain", "plain again", "low"]);
}

#[test]
fn the_extremes_of_priority_are_ordered_too() {
    let (post, log, _subs) =
        named(&[("min", i32::MIN), ("zero", 0), ("max", i32::MAX), ("-1", -1), ("1", 1)]);
    post.publish(&1);
    assert_eq!(log.take(), ["max", "1", "zero", "-1", "min"]);
}

#[test]
fn every_publish_has_the_same_order() {
    let (post, log, _subs) = named(&[("b", 1), ("c", 0), ("a", 2)]);
    for _ in 0..100 {
        post.publish(&1);
        assert_eq!(log.take(), ["a", "b", "c"]);
    }
}

#[test]
fn one_who_leaves_does_not_change_the_order_of_the_others() {
    let (post, log, mut subs) = named(&[("a", 0), ("b", 0), ("c", 0), ("d", 0)]);
    drop(subs.remove(1));
    post.publish(&1);
    assert_eq!(log.take(), ["a", "c", "d"]);
}

#[test]
fn one_who_comes_back_runs_last() {
    let (post, log, mut subs) = named(&[("a", 0), ("b", 0), ("c", 0)]);
    drop(subs.remove(0));
    let _back = add(&post, &log, "a", 0);
    post.publish(&1);
    assert_eq!(log.take(), ["b", "c", "a"]);
}

#[test]
fn a_list_of_many_chunks_keeps_the_order() {
    let (post, log) = (Plain::new(), Log::new());
    let mut expected = Vec::new();
    let mut subs = Vec::new();
    for n in 0_i32..1_000 {
        let (log, priority) = (log.clone(), (n * 7919) % 13 - 6);
        expected.push((priority, n));
        let options = SubscribeOptions::new().priority(priority);
        subs.push(post.subscribe_with(options, move |_: &u32| log.push(n)));
    }
    expected.sort_by_key(|(priority, n)| (-priority, *n));
    post.publish(&1);
    assert_eq!(log.take(), expected.iter().map(|(_, n)| *n).collect::<Vec<_>>());

    // And so it does when every third has left.
    let mut place = 0;
    subs.retain(|_| {
        place += 1;
        place % 3 != 0
    });
    expected.retain(|(_, n)| (n + 1) % 3 != 0);
    post.publish(&2);
    assert_eq!(log.take(), expected.iter().map(|(_, n)| *n).collect::<Vec<_>>());
}

#[test]
fn the_list_that_is_shown_is_the_order_in_which_they_run() {
    let (post, log, _subs) = named(&[("low", -1), ("high", 1), ("plain", 0)]);
    post.publish(&1);
    let shown: Vec<_> = post.subscribers().iter().map(|one| (one.name.unwrap(), one.priority)).collect();
    assert_eq!(shown, [("high", 1), ("plain", 0), ("low", -1)]);
    assert_eq!(log.take(), ["high", "plain", "low"]);
}

#[test]
fn later_registrations_have_larger_ids_and_none_is_reused() {
    let post = Plain::<u32>::new();
    let ids: Vec<_> = (0..100).map(|_| post.subscribe(|_: &u32| ()).id()).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
}
