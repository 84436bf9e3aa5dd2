//! `Bus::edit`: any number of changes to any lists, one swap.

mod bus_common;
mod common;

use bus_common::{Alone, Bases, Leaf, Middles, Root, Scene, priority};
use signalpost::{Bus, SubscribeOptions, SubscriptionSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

#[test]
fn changes_are_made_in_the_order_in_which_they_were_recorded() {
    let scene = Scene::new();
    let [a, b] = [scene.topic::<Leaf>("a"), scene.topic::<Leaf>("b")];
    let base = scene.family::<Bases>("base");
    let _subs = scene.bus.edit(|edit| {
        assert!(edit.pause(&a) && edit.pause(&base));
        let c = edit.topic::<Leaf>().subscribe(scene.note("c"));
        assert!(edit.move_before(&c, &b) && edit.resume(&base));
        let plain = edit.everything().subscribe_with(priority(3), scene.note("plain"));
        assert!(edit.set_priority(&plain, -3));
        (c, plain)
    });
    assert_eq!(scene.order_of(&Leaf(1)), ["c", "b", "base", "plain"]);
    assert!(a.is_paused() && a.resume() && b.is_active());
    assert_eq!(scene.order_of(&Leaf(1)), ["a", "c", "b", "base", "plain"]);
}

#[test]
fn nothing_is_seen_before_the_closure_returns() {
    let scene = Scene::new();
    let leaf = scene.topic::<Leaf>("leaf");
    let _base = scene.bus.edit(|edit| {
        edit.cancel(&leaf);
        let base = edit.family::<Bases>().subscribe(scene.note("base"));
        assert_eq!(scene.order_of(&Leaf(1)), ["leaf"]);
        assert!(leaf.is_active() && !base.is_active());
        base
    });
    assert_eq!(scene.order_of(&Leaf(1)), ["base"]);
}

#[test]
fn a_panic_in_the_closure_changes_nothing() {
    let scene = Scene::new();
    let leaf = scene.topic::<Leaf>("leaf");
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        scene.bus.edit(|edit| {
            edit.cancel(&leaf);
            edit.everything().subscribe(scene.note("plain")).detach();
            edit.family::<Middles>().subscribe(scene.note("middle")).detach();
            resume_unwind(Box::new(()))
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(scene.order_of(&Leaf(1)), ["leaf"]);
    assert_eq!(scene.drops.alive(), 1);
}

#[test]
fn an_edit_of_nothing_leaves_the_bus_empty() {
    let bus = Bus::new();
    assert_eq!(bus.edit(|_| 7), 7);
    bus.edit(|edit| edit.clear());
    bus.edit(|edit| drop(edit.topic::<Leaf>().subscribe(|_: &Leaf| ())));
    assert!(bus.is_empty() && bus.subscribers().is_empty());
}

#[test]
fn subscriptions_of_other_buses_and_of_dispatchers_are_left_alone() {
    let (scene, other) = (Scene::new(), Scene::new());
    let (ours, theirs) = (scene.topic::<Leaf>("ours"), other.topic::<Leaf>("theirs"));
    let post = common::Plain::<u32>::new();
    let posted = post.subscribe(|_: &u32| ());
    scene.bus.edit(|edit| {
        for foreign in [&theirs, &posted] {
            assert!(!edit.cancel(foreign) && !edit.pause(foreign) && !edit.resume(foreign));
            assert!(!edit.set_priority(foreign, 1));
            assert!(!edit.move_before(&ours, foreign) && !edit.move_after(foreign, &ours));
        }
    });
    post.edit(|edit| assert!(!edit.cancel(&ours)));
    assert_eq!((scene.order_of(&Leaf(1)), other.order_of(&Leaf(1))), (vec!["ours"], vec!["theirs"]));
    assert!(posted.is_active());
}

#[test]
fn clear_takes_all_lists_and_those_recorded_before_it() {
    let scene = Scene::new();
    let subs = [scene.plain("plain"), scene.topic::<Leaf>("leaf"), scene.family::<Bases>("base")];
    let (before, after) = scene.bus.edit(|edit| {
        let before = edit.topic::<Root>().subscribe(scene.note("before"));
        edit.clear();
        (before, edit.topic::<Alone>().subscribe(scene.note("after")))
    });
    assert!(subs.iter().all(|sub| !sub.is_active()) && !before.is_active() && after.is_active());
    assert_eq!((scene.bus.len(), scene.drops.alive()), (1, 1));
    assert_eq!(scene.order_of(&Alone), ["after"]);
    assert!(!scene.bus.has_subscribers::<Leaf>());
}

#[test]
fn a_handle_that_cancels_before_its_edit_is_made_keeps_its_subscriber_out() {
    let scene = Scene::new();
    let cancelled = scene.bus.edit(|edit| {
        drop(edit.family::<Bases>().subscribe(scene.note("dropped")));
        let sub = edit.topic::<Leaf>().subscribe(scene.note("cancelled"));
        sub.cancel();
        sub
    });
    assert!(!cancelled.is_active() && scene.bus.is_empty());
    assert_eq!(scene.drops.alive(), 0);
}

#[test]
fn options_are_taken_in_an_edit_too() {
    let scene = Scene::new();
    let subs = scene.bus.edit(|edit| {
        [
            edit.family::<Bases>().subscribe_with(SubscribeOptions::new().once(), scene.note("once")),
            edit.topic::<Leaf>().subscribe_with(SubscribeOptions::new().paused(), scene.note("paused")),
            edit.everything().subscribe_with(SubscribeOptions::new().named("plain"), scene.note("plain")),
        ]
    });
    scene.bus.publish(&Leaf(1)).unwrap();
    assert_eq!(scene.log.take(), ["once", "plain"]);
    assert_eq!(scene.order_of(&Leaf(1)), ["plain"]);
    assert!(!subs[0].is_active() && subs[1].is_paused());
    assert_eq!(scene.listed(), ["?", "plain"]);
}

#[test]
fn edits_nest_and_each_is_one_swap() {
    let scene = Scene::new();
    let _subs = scene.bus.edit(|outer| {
        let outer_leaf = outer.topic::<Leaf>().subscribe(scene.note("outer"));
        let inner = scene.bus.edit(|inner| inner.topic::<Leaf>().subscribe(scene.note("inner")));
        assert_eq!(scene.order_of(&Leaf(1)), ["inner"]);
        (outer_leaf, inner)
    });
    assert_eq!(scene.order_of(&Leaf(1)), ["inner", "outer"]);
}

#[test]
fn an_edit_prepares_what_it_names_also_if_it_changes_nothing() {
    let scene = Scene::new();
    let topic = scene.bus.edit(|edit| {
        let _ = edit.topic::<Leaf>();
        scene.bus.topic::<Leaf>()
    });
    let _leaf = topic.subscribe(scene.note("leaf"));
    assert_eq!(scene.order_of(&Leaf(1)), ["leaf"]);
}

#[test]
fn a_set_over_several_lists_is_paused_resumed_and_cancelled_in_one_swap() {
    let scene = Scene::new();
    let mut set = SubscriptionSet::new();
    set.extend([scene.plain("plain"), scene.topic::<Leaf>("leaf"), scene.family::<Bases>("base")]);
    let seen = common::Log::new();
    // Looks in the middle of the walk, and finds all of them in one state, whatever has run already.
    let (log, kept) = (seen.clone(), std::sync::Arc::new(set));
    let theirs = kept.clone();
    let looks = scene.bus.family::<Middles>().subscribe(move |event| {
        match event.number() {
            0 => theirs.pause(),
            _ => theirs.resume(),
        }
        log.push(theirs.iter().filter(|sub| sub.is_paused()).count());
    });
    scene.bus.publish(&Leaf(0)).unwrap();
    assert_eq!((scene.log.take(), seen.take()), (vec!["plain", "leaf", "base"], vec![3]));
    scene.bus.publish(&Leaf(1)).unwrap();
    assert_eq!((scene.log.take(), seen.take()), (vec![], vec![0]));
    drop(kept);
    drop(looks);
    assert!(scene.bus.is_empty());
    assert_eq!(scene.drops.alive(), 0);
}
