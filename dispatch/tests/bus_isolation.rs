//! A publish on a bus runs exactly the subscribers of one snapshot, whatever is changed during it, and of whatever types.

mod bus_common;
mod common;

use bus_common::{Alone, Bases, Leaf, Middles, Root, Scene, Strict};
use common::{Gate, Later, Log, Stay, within};
use signalpost::{Bus, SubscribeOptions, Subscription, SubscriptionSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

fn named(log: &Log<&'static str>, name: &'static str) -> impl Fn() + Send + Sync + Clone + 'static {
    let log = log.clone();
    move || log.push(name)
}

#[test]
fn what_is_registered_during_a_publish_is_seen_by_the_next_one_whatever_list_it_is_in() {
    let (bus, log, kept) = (Arc::new(Bus::new()), Log::new(), Arc::new(Mutex::new(SubscriptionSet::new())));
    let [topic, family, middle, plain] = ["leaf", "base", "middle", "plain"].map(|name| named(&log, name));
    let (own, keep) = (Arc::downgrade(&bus), kept.clone());
    bus.subscribe_with(SubscribeOptions::new().once(), move |_| {
        let bus = own.upgrade().expect("being published to");
        let [topic, family, middle, plain] = [&topic, &family, &middle, &plain].map(Clone::clone);
        keep.lock().unwrap().extend([
            bus.topic::<Leaf>().subscribe(move |_: &Leaf| topic()),
            bus.family::<Bases>().subscribe(move |_| family()),
            bus.family::<Middles>().subscribe(move |_| middle()),
            bus.subscribe(move |_| plain()),
        ]);
    })
    .detach();
    bus.publish(&Leaf(1)).unwrap();
    assert_eq!(log.take(), [""; 0]);
    bus.publish(&Leaf(1)).unwrap();
    assert_eq!(log.take(), ["leaf", "middle", "base", "plain"]);
    drop(std::mem::take(&mut *kept.lock().unwrap()));
    bus.publish(&Leaf(1)).unwrap();
    assert_eq!(log.take(), [""; 0]);
}

#[test]
fn what_is_cancelled_by_an_earlier_one_still_runs_in_this_publish_only() {
    let scene = Scene::new();
    let victims: Later<SubscriptionSet> = Later::new();
    let theirs = victims.clone();
    let _first = scene.bus.subscribe(move |_| {
        for victim in theirs.get().iter() {
            victim.cancel();
        }
    });
    let mut all = SubscriptionSet::new();
    all.extend([scene.topic::<Leaf>("leaf"), scene.family::<Bases>("base"), scene.plain("plain")]);
    victims.set(all);
    scene.bus.publish(&Leaf(1)).unwrap();
    assert_eq!(scene.log.take(), ["leaf", "base", "plain"]);
    assert_eq!(scene.drops.alive(), 0, "dropped when the publish was over");
    scene.bus.publish(&Leaf(1)).unwrap();
    assert_eq!(scene.log.take(), [""; 0]);
}

#[test]
fn a_nested_publish_sees_what_was_changed_around_it_and_the_outer_one_does_not() {
    let scene = Scene::new();
    let bus = Arc::new(Bus::new());
    let (own, added) = (Arc::downgrade(&bus), named(&scene.log, "added"));
    let victim: Later<Subscription> = Later::new();
    let (goes, back) = (victim.clone(), named(&scene.log, "outer goes on"));
    bus.subscribe(move |event| {
        if event.is::<Leaf>() {
            let bus = own.upgrade().expect("being published to");
            let added = added.clone();
            bus.edit(|edit| {
                edit.cancel(goes.get());
                edit.family::<Bases>().subscribe(move |_| added()).detach();
            });
            bus.publish(&Root(1)).unwrap();
            back();
        }
    })
    .detach();
    let base = named(&scene.log, "victim");
    victim.set(bus.family::<Bases>().subscribe(move |_| base()));
    bus.publish(&Leaf(1)).unwrap();
    assert_eq!(scene.log.take(), ["added", "outer goes on", "victim"]);
}

#[test]
fn a_type_that_is_prepared_inside_a_publish_of_it_changes_nothing_for_that_one() {
    let scene = Scene::new();
    let bus = Arc::new(Bus::new());
    let (own, late, base) = (Arc::downgrade(&bus), named(&scene.log, "late"), named(&scene.log, "base"));
    bus.subscribe(move |_| {
        let late = late.clone();
        own.upgrade()
            .expect("being published to")
            .topic::<Strict>()
            .subscribe(move |_: &Strict| late())
            .detach();
    })
    .detach();
    bus.family::<Bases>().subscribe(move |_| base()).detach();
    bus.publish(&Strict(1)).unwrap();
    assert_eq!(scene.log.take(), ["base"]);
    bus.publish(&Strict(1)).unwrap();
    assert_eq!(scene.log.take(), ["late", "base"]);
}

#[test]
fn the_first_handler_ever_may_come_in_the_middle_of_a_publish() {
    let scene = Scene::new();
    let bus = Arc::new(Bus::new());
    let (own, first, leaf, last) = (
        Arc::downgrade(&bus),
        named(&scene.log, "first"),
        named(&scene.log, "leaf"),
        named(&scene.log, "last"),
    );
    bus.subscribe_with(SubscribeOptions::new().named("first"), move |_| {
        first();
        let leaf = leaf.clone();
        let bus = own.upgrade().expect("being published to");
        if !bus.has_subscribers::<Leaf>() || bus.len() == 2 {
            bus.topic::<Leaf>().subscribe(move |_: &Leaf| leaf()).detach();
        }
    })
    .detach();
    bus.subscribe(move |_| last()).detach();
    bus.publish(&Leaf(1)).unwrap();
    assert_eq!(scene.log.take(), ["first", "last"]);
    bus.publish(&Leaf(1)).unwrap();
    // Where a plain one registered then would be: behind both.
    assert_eq!(scene.log.take(), ["first", "last", "leaf"]);
}

#[test]
fn what_another_thread_changes_meanwhile_is_seen_by_the_next_publish_in_all_lists() {
    within(|| {
        let (bus, log, stay) = (Arc::new(Bus::new()), Log::new(), Stay::new());
        let (here, first) = (stay.clone(), AtomicBool::new(true));
        bus.subscribe(move |_| {
            if first.swap(false, SeqCst) {
                here.here();
            }
        })
        .detach();
        let [old, new, base, plain] = ["old", "new", "base", "plain"].map(|name| named(&log, name));
        let old = bus.topic::<Leaf>().subscribe(move |_: &Leaf| old());
        let theirs = bus.clone();
        let publisher = thread::spawn(move || theirs.publish(&Leaf(1)).is_ok());
        stay.entered.wait();
        bus.edit(|edit| {
            edit.cancel(&old);
            edit.family::<Bases>().subscribe(move |_| base()).detach();
            edit.everything().subscribe(move |_| plain()).detach();
        });
        bus.topic::<Leaf>().subscribe(move |_: &Leaf| new()).detach();
        stay.leave.open();
        assert!(publisher.join().unwrap());
        assert_eq!(log.take(), ["old"]);
        bus.publish(&Leaf(1)).unwrap();
        assert_eq!(log.take(), ["new", "base", "plain"]);
    });
}

/// One of two sets of subscribers is there at any time, never both, never parts of them: a set has one in every list that
/// hears a `Leaf`, and one for `Root`, which is published inside.
fn flipped(publish: fn(&Bus, &Leaf) -> bool) {
    within(move || {
        let bus = Arc::new(Bus::new());
        // What one publisher saw; a set's mark is its parity.
        thread_local! {
            static SEEN: std::cell::RefCell<Vec<u64>> = const { std::cell::RefCell::new(Vec::new()) };
        }
        let see = |mark: u64| move || SEEN.with_borrow_mut(|seen| seen.push(mark));
        let new_set = |edit: &mut signalpost::BusEdit<'_>, mark: u64| {
            let mut set = SubscriptionSet::new();
            let [a, b, c, d] = [see(mark); 4];
            set.add(edit.everything().subscribe(move |event| {
                if event.is::<Leaf>() {
                    a()
                }
            }));
            set.add(edit.topic::<Leaf>().subscribe(move |_: &Leaf| b()));
            set.add(edit.family::<Middles>().subscribe(move |_| c()));
            set.add(edit.family::<Bases>().subscribe(move |_| d()));
            set
        };
        let (stop, start, rounds) =
            (Arc::new(AtomicBool::new(false)), Gate::new(), Arc::new(AtomicU64::new(0)));
        let mut set = bus.edit(|edit| new_set(edit, 0));
        let publishers: Vec<_> = (0..2)
            .map(|_| {
                let (bus, stop, start, rounds) = (bus.clone(), stop.clone(), start.clone(), rounds.clone());
                thread::spawn(move || {
                    let mut newest = 0;
                    while !stop.load(SeqCst) {
                        assert!(publish(&bus, &Leaf(1)));
                        let seen = SEEN.take();
                        assert_eq!(seen.len(), 4, "parts of two sets: {seen:?}");
                        assert!(seen.iter().all(|mark| *mark == seen[0]), "parts of two sets: {seen:?}");
                        assert!(seen[0] >= newest, "back to an older one");
                        newest = seen[0];
                        rounds.fetch_add(1, SeqCst);
                        start.open();
                    }
                })
            })
            .collect();
        start.wait();
        for mark in 1..1_500 {
            let new = bus.edit(|edit| {
                let old: Vec<_> = set.iter().collect();
                edit.cancel(old[0]);
                edit.cancel(old[2]);
                let new = new_set(edit, mark);
                edit.cancel(old[1]);
                edit.cancel(old[3]);
                new
            });
            set = new;
        }
        stop.store(true, SeqCst);
        for publisher in publishers {
            publisher.join().unwrap();
        }
        assert!(rounds.load(SeqCst) > 0);
    });
}

#[test]
fn publishers_never_see_a_part_of_a_change_across_types() {
    flipped(|bus, leaf| bus.publish(leaf).is_ok());
}

#[test]
fn publishers_by_topic_never_see_a_part_of_a_change_across_types() {
    flipped(|bus, leaf| bus.topic::<Leaf>().publish(leaf).is_ok());
}

#[test]
fn publishers_of_one_of_many_never_see_a_part_of_a_change_across_types() {
    flipped(|bus, leaf| bus.publish_any(leaf).is_ok());
}

#[test]
fn of_two_types_one_is_on_and_the_other_off_in_each_snapshot() {
    within(|| {
        let bus = Arc::new(Bus::new());
        // What is there can be counted by whoever hears of neither: all of one list, in one look.
        let (stop, start) = (Arc::new(AtomicBool::new(false)), Gate::new());
        let alone = |edit: &mut signalpost::BusEdit<'_>| edit.topic::<Alone>().subscribe(|_: &Alone| ());
        let root = |edit: &mut signalpost::BusEdit<'_>| edit.topic::<Root>().subscribe(|_: &Root| ());
        let mut on = bus.edit(alone);
        let (theirs, ends, started) = (bus.clone(), stop.clone(), start.clone());
        let watcher = thread::spawn(move || {
            let mut saw = [0_u32; 2];
            while !ends.load(SeqCst) {
                let names: Vec<_> = theirs.subscribers().iter().map(|one| one.of).collect();
                match names[..] {
                    [signalpost::Listens::To("test.alone")] => saw[0] += 1,
                    [signalpost::Listens::To("test.root")] => saw[1] += 1,
                    _ => panic!("both or neither: {names:?}"),
                }
                assert_eq!(theirs.len(), 1);
                started.open();
            }
            saw
        });
        start.wait();
        for round in 0..4_000 {
            on = bus.edit(|edit| {
                edit.cancel(&on);
                if round % 2 == 0 { root(edit) } else { alone(edit) }
            });
        }
        stop.store(true, SeqCst);
        assert!(watcher.join().unwrap()[0] > 0);
    });
}
