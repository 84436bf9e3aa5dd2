//! In which order the subscribers of a bus run, and where among the plain ones the handlers do.

mod bus_common;
mod common;

use bus_common::{Alone, Bases, Leaf, Middles, Root, Scene, Sides, Strict, Told, priority};
use signalpost::{Listens, SubscribeOptions};
use std::sync::Arc;

#[test]
fn plain_ones_registered_before_the_first_handler_run_before_all_handlers_and_the_others_behind() {
    let scene = Scene::new();
    let _subs = [
        scene.plain("plain 1"),
        scene.plain("plain 2"),
        scene.family::<Bases>("base"),
        scene.plain("plain 3"),
        scene.topic::<Leaf>("leaf"),
        scene.family::<Middles>("middle"),
        scene.plain("plain 4"),
    ];
    let all = ["plain 1", "plain 2", "leaf", "middle", "base", "plain 3", "plain 4"];
    assert_eq!(scene.order_of(&Leaf(1)), all);
    assert_eq!(scene.order_of(&Root(1)), ["plain 1", "plain 2", "base", "plain 3", "plain 4"]);
    assert_eq!(scene.order_of(&Alone), ["plain 1", "plain 2", "plain 3", "plain 4"]);
}

#[test]
fn families_run_in_the_order_that_the_event_declares_whatever_order_they_were_registered_in() {
    let scene = Scene::new();
    let _subs = [
        scene.family::<Bases>("base"),
        scene.family::<Middles>("middle"),
        scene.family::<Sides>("side"),
        scene.topic::<Told>("told"),
        scene.topic::<Leaf>("leaf"),
    ];
    assert_eq!(scene.order_of(&Told(1)), ["told", "side", "base", "middle"]);
    assert_eq!(scene.order_of(&Leaf(1)), ["leaf", "middle", "base"]);
    assert_eq!(scene.order_of(&Strict(1)), ["base"]);
}

#[test]
fn a_type_that_nobody_prepared_reaches_everyone_in_the_same_order() {
    let scene = Scene::new();
    let _subs = [
        scene.plain("plain 1"),
        scene.family::<Middles>("middle"),
        scene.family::<Bases>("base"),
        scene.plain("plain 2"),
    ];
    // Not `order_of`, which prepares the type.
    scene.bus.publish(&Told(1)).unwrap();
    assert_eq!(scene.log.take(), ["plain 1", "base", "middle", "plain 2"]);
    assert!(scene.bus.has_subscribers::<Told>());
    scene.bus.prepare::<Told>();
    assert_eq!(scene.order_of(&Told(1)), ["plain 1", "base", "middle", "plain 2"]);
    // Its third family comes to be after that.
    let _side = scene.family::<Sides>("side");
    assert_eq!(scene.order_of(&Told(1)), ["plain 1", "side", "base", "middle", "plain 2"]);
}

#[test]
fn handlers_are_where_a_plain_one_of_priority_0_would_be() {
    let scene = Scene::new();
    let plain = |p, name| scene.bus.subscribe_with(priority(p), scene.note(name));
    let _subs = [
        plain(-1, "low, early"),
        plain(0, "early"),
        scene.topic::<Leaf>("leaf"),
        plain(1, "high, late"),
        plain(0, "late"),
        plain(i32::MIN, "lowest"),
        plain(i32::MAX, "highest"),
    ];
    assert_eq!(
        scene.order_of(&Leaf(1)),
        ["highest", "high, late", "early", "leaf", "late", "low, early", "lowest"]
    );
}

#[test]
fn in_each_list_the_higher_priority_runs_first_and_within_one_the_earlier() {
    let scene = Scene::new();
    let leaf = |p, name| scene.bus.topic::<Leaf>().subscribe_with(priority(p), scene.note(name));
    let base = |p, name| scene.bus.family::<Bases>().subscribe_with(priority(p), scene.note(name));
    let _subs = [
        base(100, "base 100"),
        base(0, "base 0"),
        base(100, "base 100 too"),
        leaf(-5, "leaf -5"),
        leaf(0, "leaf 0"),
        leaf(7, "leaf 7"),
        leaf(0, "leaf 0 too"),
    ];
    // The priority of a family's handler says nothing to the type's own.
    let all = ["leaf 7", "leaf 0", "leaf 0 too", "leaf -5", "base 100", "base 100 too", "base 0"];
    assert_eq!(scene.order_of(&Leaf(1)), all);
}

#[test]
fn the_place_of_handlers_stays_when_all_of_them_have_gone() {
    let scene = Scene::new();
    let _before = scene.plain("before");
    let first = scene.topic::<Alone>("alone");
    let _after = scene.plain("after");
    drop(first);
    let _leaf = scene.topic::<Leaf>("leaf");
    assert_eq!(scene.order_of(&Leaf(1)), ["before", "leaf", "after"]);
    assert_eq!(scene.bus.len(), 3, "the place is no subscriber");
}

#[test]
fn the_place_of_handlers_stays_also_on_a_bus_that_was_empty_for_a_while() {
    let scene = Scene::new();
    drop(scene.topic::<Alone>("alone"));
    assert!(scene.bus.is_empty() && !scene.bus.has_subscribers::<Leaf>());
    assert_eq!((scene.bus.len(), scene.listed()), (0, vec![]));
    let _plain = scene.plain("plain");
    let _leaf = scene.topic::<Leaf>("leaf");
    assert_eq!(scene.order_of(&Leaf(1)), ["leaf", "plain"]);
}

#[test]
fn the_place_of_handlers_stays_when_all_is_cleared() {
    let scene = Scene::new();
    let subs = [scene.plain("before"), scene.topic::<Leaf>("leaf"), scene.plain("after")];
    scene.bus.edit(|edit| edit.clear());
    assert!(subs.iter().all(|sub| !sub.is_active()));
    assert!(scene.bus.is_empty() && !scene.bus.has_subscribers::<Leaf>());
    assert_eq!(scene.drops.alive(), 0);
    let _subs = [scene.plain("new plain"), scene.family::<Bases>("new base")];
    assert_eq!(scene.order_of(&Leaf(1)), ["new base", "new plain"]);
}

#[test]
fn preparing_and_asking_for_handles_fixes_no_place() {
    let scene = Scene::new();
    scene.bus.prepare::<Leaf>();
    let _handles = (scene.bus.topic::<Root>(), scene.bus.family::<Middles>());
    scene.bus.edit(|edit| {
        let _ = edit.topic::<Leaf>();
        let _ = edit.family::<Bases>();
        let _ = edit.everything();
    });
    let _subs = [scene.plain("plain"), scene.topic::<Leaf>("leaf"), scene.plain("later")];
    assert_eq!(scene.order_of(&Leaf(1)), ["plain", "leaf", "later"]);
}

#[test]
fn an_edit_fixes_the_place_where_it_records_the_first_handler() {
    let scene = Scene::new();
    let _before = scene.plain("before");
    let _subs = scene.bus.edit(|edit| {
        [
            edit.everything().subscribe(scene.note("in the edit, before")),
            edit.family::<Bases>().subscribe(scene.note("base")),
            edit.everything().subscribe(scene.note("in the edit, after")),
            edit.topic::<Leaf>().subscribe(scene.note("leaf")),
        ]
    });
    let _after = scene.plain("after");
    let all = ["before", "in the edit, before", "leaf", "base", "in the edit, after", "after"];
    assert_eq!(scene.order_of(&Leaf(1)), all);
}

#[test]
fn a_plain_subscriber_can_be_taken_across_the_handlers() {
    let scene = Scene::new();
    let [a, b] = [scene.plain("a"), scene.plain("b")];
    let _leaf = scene.topic::<Leaf>("leaf");
    let [c, d] = [scene.plain("c"), scene.plain("d")];
    scene.bus.edit(|edit| assert!(edit.move_before(&d, &b)));
    assert_eq!(scene.order_of(&Leaf(1)), ["a", "d", "b", "leaf", "c"]);
    scene.bus.edit(|edit| assert!(edit.move_after(&a, &c)));
    assert_eq!(scene.order_of(&Leaf(1)), ["d", "b", "leaf", "c", "a"]);
    // The last place of its priority is behind the handlers, also for one that was before them.
    scene.bus.edit(|edit| assert!(edit.set_priority(&d, 0)));
    assert_eq!(scene.order_of(&Leaf(1)), ["b", "leaf", "c", "a", "d"]);
    scene.bus.edit(|edit| assert!(edit.set_priority(&d, 1) && edit.set_priority(&b, -1)));
    assert_eq!(scene.order_of(&Leaf(1)), ["d", "leaf", "c", "a", "b"]);
    assert_eq!(scene.listed(), ["d", "leaf", "c", "a", "b"]);
}

#[test]
fn handlers_are_moved_within_their_list() {
    let scene = Scene::new();
    let [a, b, c] = [scene.topic::<Leaf>("a"), scene.topic::<Leaf>("b"), scene.topic::<Leaf>("c")];
    let [x, y] = [scene.family::<Bases>("x"), scene.family::<Bases>("y")];
    let plain = scene.plain("plain");
    scene.bus.edit(|edit| {
        assert!(edit.move_before(&c, &a) && edit.set_priority(&b, 3) && edit.move_after(&x, &y));
        assert!(!edit.move_before(&a, &x), "a list of another type");
        assert!(!edit.move_after(&y, &plain) && !edit.move_after(&plain, &c));
    });
    assert_eq!(scene.order_of(&Leaf(1)), ["b", "c", "a", "y", "x", "plain"]);
}

#[test]
fn a_list_is_in_order_beyond_the_size_of_one_run_on_both_sides_of_the_handlers() {
    let scene = Scene::new();
    let log = common::Log::new();
    let mut subs = Vec::new();
    let mut add = |from: usize, to: usize| {
        for at in from..to {
            let log = log.clone();
            subs.push(scene.bus.subscribe(move |_| log.push(at)));
        }
    };
    add(0, 700);
    let seen = log.clone();
    let _leaf = scene.bus.topic::<Leaf>().subscribe(move |_: &Leaf| seen.push(700));
    add(701, 1_400);
    scene.bus.publish(&Leaf(1)).unwrap();
    assert_eq!(log.take(), (0..1_400).collect::<Vec<_>>());
    // Thinned out, the place is found all the same.
    let mut at = 0;
    subs.retain(|_| {
        at += 1;
        at % 3 == 0
    });
    scene.bus.publish(&Leaf(1)).unwrap();
    let seen = log.take();
    assert!(seen.is_sorted() && seen.contains(&700) && seen.len() == 1 + 1_399 / 3, "{}", seen.len());
}

#[test]
fn the_same_closure_registered_for_a_type_and_its_families_runs_for_each() {
    let scene = Scene::new();
    let once = Arc::new(scene.note::<()>("again"));
    let (a, b, c, d) = (once.clone(), once.clone(), once.clone(), once);
    let _subs = [
        scene.bus.topic::<Leaf>().subscribe(move |_: &Leaf| a(&())),
        scene.bus.family::<Middles>().subscribe(move |_| b(&())),
        scene.bus.family::<Bases>().subscribe(move |_| c(&())),
        scene.bus.subscribe(move |_| d(&())),
    ];
    assert_eq!(scene.order_of(&Leaf(1)).len(), 4);
}

#[test]
fn a_family_is_not_told_of_events_that_do_not_declare_it() {
    let scene = Scene::new();
    let _subs = [scene.family::<Middles>("middle"), scene.family::<Sides>("side")];
    assert_eq!(scene.order_of(&Root(1)), [""; 0]);
    assert!(!scene.bus.has_subscribers::<Root>() && !scene.bus.is_empty());
    assert!(scene.bus.has_subscribers::<Leaf>());
}

#[test]
fn a_family_sees_the_event_as_its_trait() {
    let scene = Scene::new();
    let log = common::Log::new();
    let seen = log.clone();
    let _sub = scene.bus.family::<Bases>().subscribe(move |event| seen.push(event.number()));
    scene.bus.publish(&Leaf(3)).unwrap();
    scene.bus.publish(&Told(4)).unwrap();
    scene.bus.publish_any(&Strict(5)).unwrap();
    scene.bus.publish(&Alone).unwrap();
    assert_eq!(log.take(), [3, 4, 5]);
}

#[test]
fn subscribers_are_listed_in_order_with_what_they_listen_to() {
    let scene = Scene::new();
    let plain = |p, name| scene.bus.subscribe_with(priority(p).named(name), scene.note(name));
    let _subs = [
        plain(0, "before"),
        scene.family::<Bases>("base"),
        scene.topic::<Leaf>("leaf"),
        plain(0, "after"),
        plain(5, "first"),
        scene.bus.topic::<Leaf>().subscribe_with(priority(2).named("leaf 2").paused(), scene.note("leaf 2")),
    ];
    let line = "here";
    let named = SubscribeOptions::new().named(line);
    let (_sub, row) = (scene.bus.topic::<Alone>().subscribe_with(named, scene.note(line)), line!());
    let listed = scene.bus.subscribers();
    let shown: Vec<_> = listed.iter().map(|one| (one.info.name.unwrap(), one.of)).collect();
    let to = Listens::To;
    assert_eq!(
        shown,
        [
            ("first", Listens::Everything),
            ("before", Listens::Everything),
            ("base", to("test.bases")),
            ("leaf 2", to("test.leaf")),
            ("leaf", to("test.leaf")),
            ("here", to("test.alone")),
            ("after", Listens::Everything),
        ]
    );
    assert_eq!(listed[3].info.priority, 2);
    assert!(listed[3].info.paused && !listed[4].info.paused);
    assert_eq!((listed[5].info.location.file(), listed[5].info.location.line()), (file!(), row));
}
