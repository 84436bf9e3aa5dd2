//! The handles of a bus: subscriptions, topics and families, also when they outlive it.

mod bus_common;
mod common;

use bus_common::{Alone, Bases, Leaf, Middles, Root, Scene, Strict, Told, priority};
use common::{Drops, Gate, Later, Log, Stay, within};
use signalpost::{Bus, SubscribeOptions, Subscription, SubscriptionSet, WaitError};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(60);

#[test]
fn cancel_says_whether_it_did_and_drops_what_was_captured() {
    let scene = Scene::new();
    for sub in [scene.plain("plain"), scene.topic::<Leaf>("leaf"), scene.family::<Bases>("base")] {
        assert!(sub.is_active() && sub.cancel());
        assert!(!sub.is_active() && !sub.cancel() && !sub.pause() && !sub.resume());
    }
    assert_eq!((scene.order_of(&Leaf(1)), scene.drops.alive(), scene.bus.len()), (vec![], 0, 0));
}

#[test]
fn a_handle_that_is_dropped_cancels_and_one_that_is_detached_does_not() {
    let scene = Scene::new();
    drop(scene.family::<Bases>("dropped"));
    let id = scene.family::<Bases>("detached").detach();
    assert_eq!(scene.order_of(&Leaf(1)), ["detached"]);
    assert_eq!(scene.bus.subscribers()[0].info.id, id);
}

#[test]
fn a_paused_one_keeps_its_place_in_its_list() {
    let scene = Scene::new();
    let subs = [
        scene.plain("plain"),
        scene.topic::<Leaf>("leaf"),
        scene.family::<Bases>("base"),
        scene.plain("last"),
    ];
    for (sub, without) in subs.iter().zip([
        ["leaf", "base", "last"],
        ["plain", "base", "last"],
        ["plain", "leaf", "last"],
        ["plain", "leaf", "base"],
    ]) {
        assert!(sub.pause() && !sub.pause() && sub.is_paused() && sub.is_active());
        assert_eq!(scene.order_of(&Leaf(1)), without);
        assert!(sub.resume() && !sub.resume());
        assert_eq!(scene.order_of(&Leaf(1)), ["plain", "leaf", "base", "last"]);
    }
}

#[test]
fn a_once_subscriber_runs_for_the_first_event_that_reaches_it() {
    let scene = Scene::new();
    let once = SubscribeOptions::new().once();
    let plain = scene.bus.subscribe_with(once, scene.note("plain"));
    let base = scene.bus.family::<Bases>().subscribe_with(once, scene.note("base"));
    let leaf = scene.bus.topic::<Leaf>().subscribe_with(once, scene.note("leaf"));
    scene.bus.publish(&Alone).unwrap();
    assert_eq!(scene.log.take(), ["plain"]);
    scene.bus.publish(&Root(1)).unwrap();
    assert_eq!(scene.log.take(), ["base"]);
    scene.bus.publish(&Leaf(1)).unwrap();
    assert_eq!(scene.log.take(), ["leaf"]);
    assert!([&plain, &base, &leaf].iter().all(|sub| !sub.is_active() && !sub.cancel()));
    assert_eq!(scene.order_of(&Leaf(1)), [""; 0]);
}

#[test]
fn what_has_ended_by_itself_leaves_at_the_next_write_of_its_own_list() {
    let scene = Scene::new();
    let once = SubscribeOptions::new().once();
    scene.bus.family::<Bases>().subscribe_with(once, scene.note("base")).detach();
    scene.bus.topic::<Leaf>().subscribe_with(once, scene.note("leaf")).detach();
    scene.bus.publish(&Leaf(1)).unwrap();
    assert_eq!((scene.drops.alive(), scene.bus.len()), (2, 2), "no write on the publishing thread");
    assert_eq!(scene.listed(), [""; 0]);
    drop(scene.topic::<Alone>("another list"));
    assert_eq!((scene.drops.alive(), scene.bus.len()), (2, 2), "a write of another list");
    drop(scene.family::<Bases>("the same"));
    assert_eq!((scene.drops.alive(), scene.bus.len()), (1, 1));
    drop(scene.topic::<Leaf>("the same"));
    assert_eq!((scene.drops.alive(), scene.bus.len()), (0, 0));
    assert!(scene.bus.is_empty());
}

#[test]
fn a_weak_subscriber_lives_as_long_as_its_target() {
    let scene = Scene::new();
    let target = Arc::new(Log::new());
    let of = |name: &'static str| move |log: &Log<&'static str>| log.push(name);
    let (plain, leaf, base) = (of("plain"), of("leaf"), of("base"));
    let subs = [
        scene.bus.subscribe_weak(&target, move |log, _| plain(log)),
        scene.bus.topic::<Leaf>().subscribe_weak(&target, move |log, _: &Leaf| leaf(log)),
        scene
            .bus
            .family::<Bases>()
            .subscribe_weak_with(priority(1).named("base"), &target, move |log, _| base(log)),
    ];
    scene.bus.publish(&Leaf(1)).unwrap();
    assert_eq!(target.take(), ["plain", "leaf", "base"]);
    assert_eq!(Arc::strong_count(&target), 1);
    drop(target);
    scene.bus.publish(&Leaf(1)).unwrap();
    assert!(subs.iter().all(|sub| !sub.is_active()));
    assert_eq!(scene.listed(), [""; 0]);
}

#[test]
fn a_once_subscriber_of_a_family_runs_once_for_all_its_types_and_threads() {
    within(|| {
        let bus = Arc::new(Bus::new());
        for _ in 0..300 {
            let (ran, start) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(3)));
            let counts = ran.clone();
            let count = move || _ = counts.fetch_add(1, SeqCst);
            bus.family::<Bases>().subscribe_with(SubscribeOptions::new().once(), move |_| count()).detach();
            let publish = |publish: fn(&Bus) -> bool| {
                let (bus, start) = (bus.clone(), start.clone());
                thread::spawn(move || {
                    start.wait();
                    assert!(publish(&bus));
                })
            };
            let threads = [
                publish(|bus| bus.publish(&Leaf(1)).is_ok()),
                publish(|bus| bus.publish(&Told(1)).is_ok()),
                publish(|bus| bus.topic::<Root>().publish(&Root(1)).is_ok()),
            ];
            for thread in threads {
                thread.join().unwrap();
            }
            assert_eq!(ran.load(SeqCst), 1);
        }
    });
}

#[test]
fn cancel_and_wait_waits_for_a_publish_of_any_type_that_runs_it() {
    within(|| {
        let (bus, stay, drops) = (Arc::new(Bus::new()), Stay::new(), Drops::new());
        let (here, token) = (stay.clone(), drops.token());
        let sub = bus.family::<Middles>().subscribe(move |_| {
            token.touch();
            here.here();
        });
        let theirs = bus.clone();
        let publisher = thread::spawn(move || theirs.publish(&Told(1)).is_ok());
        stay.entered.wait();
        assert_eq!(sub.cancel_and_wait(Duration::ZERO), Err(WaitError::TimedOut));
        assert!(!sub.is_active() && drops.alive() == 1);
        stay.leave.open();
        sub.cancel_and_wait(SECOND).unwrap();
        assert_eq!(drops.alive(), 0);
        assert!(publisher.join().unwrap());
    });
}

#[test]
fn waiting_inside_a_publish_of_the_same_bus_is_an_error_whatever_the_type() {
    within(|| {
        let bus = Bus::new();
        let victim: Later<Subscription> = Later::new();
        let (theirs, log) = (victim.clone(), Log::new());
        let seen = log.clone();
        let _sub =
            bus.topic::<Leaf>().subscribe(move |_: &Leaf| seen.push(theirs.get().cancel_and_wait(SECOND)));
        victim.set(bus.family::<Middles>().subscribe(|_| ()));
        bus.publish(&Leaf(1)).unwrap();
        assert_eq!(log.take(), [Err(WaitError::WouldDeadlock)]);
        assert!(!victim.get().is_active());
        victim.get().cancel_and_wait(SECOND).unwrap();
    });
}

#[test]
fn a_set_ends_subscriptions_of_many_buses_and_lists() {
    within(|| {
        let (one, other) = (Scene::new(), Scene::new());
        let mut set = SubscriptionSet::new();
        set.extend([
            one.plain("a"),
            other.topic::<Leaf>("b"),
            one.family::<Bases>("c"),
            one.topic::<Leaf>("d"),
        ]);
        set.pause();
        assert_eq!((one.order_of(&Leaf(1)), other.order_of(&Leaf(1))), (vec![], vec![]));
        set.resume();
        assert_eq!((one.order_of(&Leaf(1)), other.order_of(&Leaf(1))), (vec!["a", "d", "c"], vec!["b"]));
        set.cancel_and_wait(SECOND).unwrap();
        assert_eq!((one.drops.alive(), other.drops.alive()), (0, 0));
        assert!(set.is_empty() && one.bus.is_empty() && other.bus.is_empty());
    });
}

#[test]
fn registering_runs_nobodys_destructor() {
    let scene = Scene::new();
    let stay = Stay::new();
    let here = stay.clone();
    let first = std::sync::atomic::AtomicBool::new(true);
    let blocker = scene.bus.subscribe(move |_| {
        if first.swap(false, SeqCst) {
            here.here();
        }
    });
    thread::scope(|scope| {
        let publisher = scope.spawn(|| scene.bus.publish(&Leaf(1)).is_ok());
        stay.entered.wait();
        drop(scene.topic::<Leaf>("captured"));
        assert_eq!(scene.drops.alive(), 1, "a publisher might be in it");
        stay.leave.open();
        assert!(publisher.join().unwrap());
    });
    // Nobody can reach it any more; but to register is not to collect.
    let subs: Vec<_> = (0..500).map(|_| scene.bus.topic::<Leaf>().subscribe(|_: &Leaf| ())).collect();
    let more: Vec<_> = (0..500).map(|_| scene.bus.family::<Bases>().subscribe(|_| ())).collect();
    scene.bus.prepare::<Told>();
    assert_eq!(scene.drops.alive(), 1);
    scene.bus.collect();
    assert_eq!(scene.drops.alive(), 0);
    drop((subs, more, blocker));
}

#[test]
fn handles_of_a_bus_that_is_gone_are_inactive_and_do_no_harm() {
    let scene = Scene::new();
    let subs = [scene.plain("plain"), scene.topic::<Leaf>("leaf"), scene.family::<Bases>("base")];
    let Scene { bus, drops, .. } = scene;
    drop(bus);
    assert_eq!(drops.alive(), 0);
    for sub in &subs {
        assert!(!sub.is_active() && !sub.is_paused() && !sub.pause() && !sub.resume() && !sub.cancel());
        sub.cancel_and_wait(SECOND).unwrap();
        assert!(format!("{sub:?}").contains("active: false"));
    }
}

#[test]
fn topics_and_families_that_outlive_the_bus_go_on_without_what_it_had() {
    let scene = Scene::new();
    let old = [scene.plain("plain"), scene.topic::<Leaf>("leaf"), scene.family::<Bases>("base")];
    let (leaf, base, middle) =
        (scene.bus.topic::<Leaf>(), scene.bus.family::<Bases>(), scene.bus.family::<Middles>());
    let (note_leaf, note_base, note_middle) =
        (scene.note("new leaf"), scene.note("new base"), scene.note("new middle"));
    let Scene { bus, log, drops } = scene;
    drop(bus);
    assert!(!leaf.has_subscribers());
    leaf.publish(&Leaf(1)).unwrap();
    assert_eq!((log.take(), drops.alive()), (vec![], 3), "what is to be registered, and nothing else");

    let subs = [base.subscribe(note_base), leaf.subscribe(note_leaf)];
    let middle_sub = middle.subscribe(note_middle);
    leaf.publish(&Leaf(1)).unwrap();
    leaf.clone().try_publish(&Leaf(1)).unwrap();
    assert_eq!(log.take(), ["new leaf", "new middle", "new base"].repeat(2));
    assert!(leaf.has_subscribers() && subs[0].is_active() && !old[1].is_active());
    assert!(subs[0].pause() && subs[1].cancel() && middle_sub.cancel());
    leaf.publish(&Leaf(1)).unwrap();
    assert_eq!(log.take(), [""; 0]);
    subs[0].resume();
    drop((leaf, base));
    assert_eq!(drops.alive(), 1, "the last handle holds it still");
    drop(middle);
    assert_eq!(drops.alive(), 0);
    assert!(!subs[0].is_active());
}

#[test]
fn handles_made_by_a_subscriber_that_holds_them_do_not_outlive_the_bus_in_a_circle() {
    let drops = Drops::new();
    let bus = Bus::new();
    let (topic, family, token) = (bus.topic::<Leaf>(), bus.family::<Bases>(), drops.token());
    bus.topic::<Leaf>()
        .subscribe(move |_: &Leaf| {
            token.touch();
            let _ = (&topic, &family);
        })
        .detach();
    bus.publish(&Leaf(1)).unwrap();
    drop(bus);
    assert_eq!(drops.alive(), 0, "the bus's end lets go of its subscribers, and they of it");
}

#[test]
fn dropping_the_bus_while_others_publish_and_register_by_its_handles_leaks_nothing() {
    within(|| {
        for round in 0..200 {
            let (bus, drops, ran) = (Bus::new(), Drops::new(), Log::new());
            let (topic, family) = (bus.topic::<Leaf>(), bus.family::<Bases>());
            let note = |name: &'static str| {
                let (token, ran) = (drops.token(), ran.clone());
                move || {
                    token.touch();
                    ran.push(name);
                }
            };
            let (leaf, base, late) = (note("leaf"), note("base"), note("late"));
            topic.subscribe(move |_: &Leaf| leaf()).detach();
            family.subscribe(move |_| base()).detach();
            let start = Gate::new();
            let (theirs, started) = (topic.clone(), start.clone());
            let publisher = thread::spawn(move || {
                started.wait();
                for _ in 0..20 {
                    theirs.publish(&Leaf(1)).unwrap();
                }
            });
            let started = start.clone();
            let registers = thread::spawn(move || {
                started.wait();
                family.subscribe(move |_| late()).detach();
            });
            start.open();
            if round % 2 == 0 {
                thread::yield_now();
            }
            drop(bus);
            publisher.join().unwrap();
            registers.join().unwrap();
            ran.take();
            topic.publish(&Leaf(1)).unwrap();
            assert!(ran.len() <= 1, "what was there before the bus went is gone");
            drop(topic);
            assert_eq!(drops.alive(), 0);
        }
    });
}

#[test]
fn an_event_type_of_any_kind_may_be_published_on_any_thread_by_handles_that_are_shared() {
    struct Local(std::rc::Rc<std::cell::Cell<u32>>);
    signalpost::event!(Local: "test.local");
    let bus = Arc::new(Bus::new());
    let _sub = bus.topic::<Local>().subscribe(|local: &Local| local.0.set(local.0.get() + 1));
    let topic = Arc::new(bus.topic::<Local>());
    let threads = [(); 2].map(|()| {
        let topic = topic.clone();
        thread::spawn(move || {
            let local = Local(Default::default());
            topic.publish(&local).unwrap();
            local.0.get()
        })
    });
    assert_eq!(threads.map(|thread| thread.join().unwrap()), [1, 1]);
    let _strict = bus.topic::<Strict>();
}

#[test]
fn types_that_are_added_one_by_one_leave_few_tables_behind() {
    struct Numbered<const N: usize>;
    impl<const N: usize> signalpost::Event for Numbered<N> {
        const NAME: &'static str = "test.numbered";
        type Stop = signalpost::BoxError;
    }
    macro_rules! add {
        ($bus:ident, $($n:literal)*) => { $(
            let _ = $bus.topic::<Numbered<{ 10 * $n }>>();
            let _ = $bus.topic::<Numbered<{ 10 * $n + 1 }>>();
            let _ = $bus.topic::<Numbered<{ 10 * $n + 2 }>>();
            let _ = $bus.topic::<Numbered<{ 10 * $n + 3 }>>();
            let _ = $bus.topic::<Numbered<{ 10 * $n + 4 }>>();
        )* };
    }
    let bus = Bus::new();
    add!(bus, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29);
    assert!(bus.retired() < 100, "{} of 150", bus.retired());
}
