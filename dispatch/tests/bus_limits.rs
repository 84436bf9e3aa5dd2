//! The edges of a bus: nesting without end, types that declare nonsense, very many types, a `static` one, what `Debug` shows.

mod bus_common;
mod common;

use bus_common::{Alone, Bases, Leaf, Scene, failure};
use common::{Log, Place, alone, message, within};
use signalpost::{
    BoxError, Bus, BusStop, Event, Family, FamilyVisitor, Listens, PublishError, TooDeep, event, family,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

fn panic_of<R>(f: impl FnOnce() -> R) -> String {
    let caught = catch_unwind(AssertUnwindSafe(|| drop(f())));
    message(&*caught.expect_err("it panics"))
}

/// A bus on which each `Alone` publishes another, in this way.
fn endless(bus: Bus, again: impl Fn(&Bus, &Log<usize>) + Send + Sync + 'static) -> (Arc<Bus>, Log<usize>) {
    let (bus, log) = (Arc::new(bus), Log::new());
    let (own, seen) = (Arc::downgrade(&bus), log.clone());
    bus.topic::<Alone>()
        .subscribe(move |_: &Alone| {
            seen.push(0);
            again(&own.upgrade().expect("being published to"), &seen);
        })
        .detach();
    (bus, log)
}

#[test]
fn a_publish_without_end_panics_with_the_bus_s_name() {
    let _alone = alone();
    type Way = fn(&Bus, &Log<usize>);
    let ways: [Way; 3] = [
        |bus, _| bus.publish(&Alone).unwrap(),
        |bus, _| bus.topic::<Alone>().publish(&Alone).unwrap(),
        |bus, _| bus.publish_any(&Alone).unwrap(),
    ];
    for way in ways {
        within(move || {
            let (bus, log) = endless(Bus::named("orders"), way);
            let text = panic_of(|| bus.publish(&Alone));
            assert!(text.contains("orders") && text.contains("64"), "{text}");
            assert_eq!(log.take().len(), 64);
            let text = panic_of(|| bus.publish(&Alone));
            assert!(text.contains("orders"), "the same again: {text}");
        });
    }
    let (bus, _log) = endless(Bus::new().with_max_depth(8), ways[0]);
    let text = panic_of(|| bus.publish(&Alone));
    assert!(text.contains("(unnamed)") && text.contains('8'), "{text}");
}

#[test]
fn try_publish_says_too_deep_instead() {
    let _alone = alone();
    type Way = fn(&Bus) -> Result<(), PublishError<BoxError>>;
    let ways: [Way; 2] = [|bus| bus.try_publish(&Alone), |bus| bus.topic::<Alone>().try_publish(&Alone)];
    for way in ways {
        let (bus, log) = endless(Bus::new().with_max_depth(10), move |bus, log| match way(bus) {
            Ok(()) => {}
            Err(PublishError::TooDeep(TooDeep { depth, .. })) => log.push(depth as usize),
            Err(PublishError::Stopped(stopped)) => panic!("{stopped}"),
        });
        bus.try_publish(&Alone).unwrap();
        let log = log.take();
        assert_eq!((log.len(), log.last()), (11, Some(&10)));
    }
}

#[test]
fn a_topic_made_on_a_bus_with_another_limit_keeps_the_old_one() {
    let _alone = alone();
    let bus = Bus::new().with_max_depth(8);
    let topic = bus.topic::<Alone>();
    let bus = bus.with_max_depth(9);
    let inner = topic.clone();
    let depth = Log::new();
    let (own, seen) = (Place::of(()), depth.clone());
    let _sub = bus.topic::<Alone>().subscribe(move |_: &Alone| {
        let _ = own.take();
        if inner.try_publish(&Alone).is_err() {
            seen.push(());
        }
    });
    topic.publish(&Alone).unwrap();
    assert_eq!(depth.len(), 1);
}

#[test]
fn a_depth_limit_below_8_or_above_4096_is_refused() {
    for limit in [0, 7, 4_097] {
        assert!(panic_of(|| Bus::new().with_max_depth(limit)).contains("8 to 4096"));
    }
    drop(Bus::new().with_max_depth(8).with_max_depth(4_096));
}

/// Its own family.
enum Selfish {}
impl Family for Selfish {
    const NAME: &'static str = "test.selfish";
    type View = Selfish;
}
impl Event for Selfish {
    const NAME: &'static str = "test.selfish";
    type Stop = BoxError;
    fn families<V: FamilyVisitor<Self>>(visitor: V) -> V {
        visitor.visit::<Self>(|event| event)
    }
}

struct Twice;
impl bus_common::Base for Twice {
    fn number(&self) -> u32 {
        2
    }
}
event!(Twice: "test.twice", families = [Bases, Bases]);

#[test]
fn a_type_that_declares_itself_as_its_family_is_refused_when_it_is_prepared() {
    let bus = Bus::new();
    for text in [
        panic_of(|| bus.topic::<Selfish>()),
        panic_of(|| bus.prepare::<Selfish>()),
        panic_of(|| bus.edit(|edit| drop(edit.topic::<Selfish>().subscribe(|_: &Selfish| ())))),
    ] {
        assert!(text.contains("Selfish") && text.contains("family of its own"), "{text}");
    }
    // The bus is as it was.
    let scene = Scene { bus, ..Scene::new() };
    let _leaf = scene.topic::<Leaf>("leaf");
    assert_eq!(scene.order_of(&Leaf(1)), ["leaf"]);
}

#[test]
fn a_type_that_declares_a_family_twice_is_refused_when_it_is_prepared() {
    let bus = Bus::new();
    for text in [panic_of(|| bus.topic::<Twice>()), panic_of(|| bus.prepare::<Twice>())] {
        assert!(text.contains("Twice") && text.contains("Bases") && text.contains("twice"), "{text}");
    }
    // Not prepared, it is published as it says.
    let log = Log::new();
    let seen = log.clone();
    let _sub = bus.family::<Bases>().subscribe(move |event| seen.push(event.number()));
    bus.publish(&Twice).unwrap();
    assert_eq!(log.take(), [2, 2]);
}

/// An event and a family at the same time, of each other.
trait Both {}
family!(struct Other: dyn Both = "test.both");
struct Double;
impl Both for Double {}
impl Event for Double {
    const NAME: &'static str = "test.double";
    type Stop = BusStop;
    fn families<V: FamilyVisitor<Self>>(visitor: V) -> V {
        visitor.visit::<Other>(|event| event)
    }
}
impl Family for Double {
    const NAME: &'static str = "test.double, as a family";
    type View = Leaf;
}
struct InDouble(Leaf);
impl Event for InDouble {
    const NAME: &'static str = "test.in_double";
    type Stop = BoxError;
    fn families<V: FamilyVisitor<Self>>(visitor: V) -> V {
        visitor.visit::<Double>(|event| &event.0)
    }
}

#[test]
fn a_type_may_be_an_event_and_the_family_of_others() {
    let (bus, log) = (Bus::new(), Log::new());
    let [topic, family, other] = [(); 3].map(|()| log.clone());
    let _subs = [
        bus.topic::<Double>().subscribe(move |_: &Double| topic.push(0)),
        bus.family::<Double>().subscribe(move |leaf: &Leaf| family.push(leaf.0)),
        bus.family::<Other>().subscribe(move |_| other.push(1)),
    ];
    bus.publish(&Double).unwrap();
    assert_eq!(log.take(), [0, 1]);
    bus.publish(&InDouble(Leaf(7))).unwrap();
    bus.topic::<InDouble>().publish(&InDouble(Leaf(8))).unwrap();
    assert_eq!(log.take(), [7, 8]);
}

#[test]
fn a_family_may_show_a_part_of_an_event_that_is_no_trait_object() {
    family!(struct Texts: str = "test.texts");
    struct Said(String);
    impl Event for Said {
        const NAME: &'static str = "test.said";
        type Stop = BoxError;
        fn families<V: FamilyVisitor<Self>>(visitor: V) -> V {
            visitor.visit::<Texts>(|said| &said.0)
        }
    }
    let (bus, log) = (Bus::new(), Log::new());
    let seen = log.clone();
    let _sub = bus.family::<Texts>().subscribe(move |text: &str| seen.push(text.to_owned()));
    bus.publish(&Said("hello".into())).unwrap();
    assert_eq!(log.take(), ["hello"]);
}

/// One of many types.
struct Nth<const N: usize>;
impl<const N: usize> Event for Nth<N> {
    const NAME: &'static str = "test.nth";
    type Stop = BoxError;
}

/// Does something for each of 75 types: more than two rows of lists.
macro_rules! for_each_type {
    ($what:ident $with:tt) => {
        for_each_type!(@ $what $with [0 25 50]
            [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24])
    };
    (@ $what:ident $with:tt [$($base:literal)*] $numbers:tt) => {
        $(for_each_type!(@@ $what $with $base $numbers);)*
    };
    (@@ $what:ident $with:tt $base:literal [$($number:literal)*]) => {
        $($what::<{ $base + $number }> $with;)*
    };
}
const TYPES: usize = 75;

#[test]
fn many_types_are_each_their_own() {
    fn subscribe<const N: usize>(bus: &Bus, log: &Log<usize>) {
        let log = log.clone();
        bus.topic::<Nth<N>>().subscribe(move |_: &Nth<N>| log.push(N)).detach();
    }
    fn publish<const N: usize>(bus: &Bus, log: &Log<usize>) {
        bus.publish(&Nth::<N>).unwrap();
        bus.topic::<Nth<N>>().publish(&Nth::<N>).unwrap();
        bus.publish_any(&Nth::<N>).unwrap();
        assert_eq!(log.take(), [N; 3]);
    }
    fn stops<const N: usize>(bus: &Bus) {
        let before = bus.publish(&Nth::<N>).unwrap_err();
        assert_eq!((before.position, before.not_run, before.error.to_string().as_str()), (1, 0, "enough"));
    }
    let (bus, log) = (Bus::new(), Log::new());
    for_each_type!(subscribe(&bus, &log));
    assert_eq!(bus.len(), TYPES);
    for_each_type!(publish(&bus, &log));
    let _stop = bus.subscribe(|_| Err(BusStop::Fail(failure("enough"))));
    for_each_type!(stops(&bus));
    let listed = bus.subscribers();
    assert_eq!(listed.len(), TYPES + 1);
    assert_eq!(listed.last().unwrap().of, Listens::Everything);
    bus.edit(|edit| edit.clear());
    assert!(bus.is_empty());
    log.take();
    for_each_type!(subscribe(&bus, &log));
    for_each_type!(publish(&bus, &log));
}

#[test]
fn a_topic_made_before_many_other_types_finds_its_own_list() {
    fn prepare<const N: usize>(bus: &Bus) {
        bus.prepare::<Nth<N>>();
    }
    let scene = Scene::new();
    let topic = scene.bus.topic::<Leaf>();
    let _subs = [scene.plain("plain"), scene.topic::<Leaf>("leaf"), scene.family::<Bases>("base")];
    for_each_type!(prepare(&scene.bus));
    topic.publish(&Leaf(1)).unwrap();
    assert_eq!(scene.log.take(), ["plain", "leaf", "base"]);
    assert_eq!(scene.order_of(&Leaf(1)), ["plain", "leaf", "base"]);
    assert_eq!(scene.bus.len(), 3);
}

static STATIC: Bus = Bus::named("static").with_max_depth(9);

#[test]
fn a_bus_may_be_a_static() {
    let log = Log::new();
    let seen = log.clone();
    let sub = STATIC.family::<Bases>().subscribe(move |event| seen.push(event.number()));
    std::thread::spawn(|| STATIC.publish(&Leaf(4)).unwrap()).join().unwrap();
    assert_eq!(log.take(), [4]);
    drop(sub);
    assert!(STATIC.is_empty());
}

#[test]
fn debug_output_names_what_it_is() {
    let _alone = alone();
    let bus = Bus::named("orders");
    assert_eq!(format!("{bus:?}"), r#"Bus { name: "orders", subscribers: 0, retired: 0 }"#);
    let sub = bus.topic::<Leaf>().subscribe(|_: &Leaf| ());
    assert_eq!(
        format!("{bus:?}"),
        r#"Bus { name: "orders", subscribers: 1, retired: "#.to_owned() + &format!("{} }}", bus.retired())
    );
    assert_eq!(format!("{:?}", Bus::default()), "Bus { subscribers: 0, retired: 0 }");
    assert_eq!(format!("{:?}", bus.topic::<Leaf>()), r#"Topic { event: "test.leaf", .. }"#);
    assert_eq!(format!("{:?}", bus.family::<Bases>()), r#"FamilyHandle { family: "test.bases", .. }"#);
    bus.edit(|edit| {
        drop(edit.everything().subscribe(|_| ()));
        assert!(format!("{edit:?}").starts_with("BusEdit { recorded: "));
        assert_eq!(format!("{:?}", edit.everything()), "ListEdit { .. }");
    });
    assert!(format!("{sub:?}").contains("active: true"));
}

#[test]
fn publish_with_makes_the_event_only_for_somebody() {
    let _alone = alone();
    let scene = Scene::new();
    let topic = scene.bus.topic::<Leaf>();
    topic.publish_with(|| -> Leaf { panic!("for nobody") }).unwrap();
    let plain = scene.plain("plain");
    topic.publish_with(|| Leaf(1)).unwrap();
    topic.publish_with(|| &Leaf(1)).unwrap();
    assert_eq!(scene.log.take(), ["plain"; 2]);
    assert!(
        panic_of(|| topic.publish_with(|| -> Leaf { panic!("while it is made") }))
            .contains("while it is made")
    );
    drop(plain);
    topic.publish_with(|| -> Leaf { panic!("for nobody") }).unwrap();
    assert_eq!(scene.bus.retired(), 0, "and nothing is held by the one that panicked");
}
