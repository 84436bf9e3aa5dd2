//! What stops an event of a bus: who did, where in the whole, how many did not run, and what the publisher is given.

mod bus_common;
mod common;

use bus_common::{
    Alone, Any, Bases, Leaf, Middles, Refusal, Root, Scene, Sides, Strict, Told, failure, priority,
};
use common::Log;
use signalpost::{
    AnyEvent, BoxError, Bus, BusStop, Event, LateVeto, PublishError, Stopped, SubscribeOptions, Subscription,
    SubscriptionSet, Veto,
};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Subscribers that are numbered in the order in which they are to run; the chosen one stops the event.
struct Line {
    bus: Bus,
    chosen: Arc<AtomicUsize>,
    ran: Log<usize>,
    subs: SubscriptionSet,
}

const NOBODY: usize = usize::MAX;

impl Line {
    fn new() -> Self {
        let chosen = Arc::new(AtomicUsize::new(NOBODY));
        Self { bus: Bus::new(), chosen, ran: Log::new(), subs: SubscriptionSet::new() }
    }

    fn number<V: ?Sized>(
        &self,
        number: usize,
    ) -> impl Fn(&V) -> Result<(), BusStop> + Send + Sync + 'static + use<V> {
        let (chosen, ran) = (self.chosen.clone(), self.ran.clone());
        move |_: &V| {
            ran.push(number);
            if chosen.load(Relaxed) == number {
                Err(BusStop::veto(format!("number {number}")))
            } else {
                Ok(())
            }
        }
    }

    fn add(&mut self, numbers: impl Iterator<Item = usize>, add: impl Fn(&Self, usize) -> Subscription) {
        for number in numbers {
            let sub = add(self, number);
            self.subs.add(sub);
        }
    }

    /// Has each of the first `whole` stop the event in its turn, and looks at what the publisher is told. The paused ones do
    /// not run, but have their places.
    fn each_stops<E: Event<Stop = BusStop>>(&self, event: &E, whole: usize, paused: &[usize]) {
        for place in (0..whole).filter(|place| !paused.contains(place)) {
            self.chosen.store(place, Relaxed);
            let ways = [
                self.bus.publish(event),
                self.bus.publish_any(event),
                self.bus.topic::<E>().publish(event),
                self.bus.topic::<E>().publish_with(|| event),
            ];
            let runs: Vec<usize> = (0..=place).filter(|place| !paused.contains(place)).collect();
            for (way, stopped) in ways.into_iter().enumerate() {
                let Stopped { error, position, not_run, .. } = stopped.expect_err("somebody stops it");
                assert_eq!((position, not_run), (place, whole - place - 1), "place {place}, way {way}");
                assert_eq!(error.to_string(), format!("vetoed: number {place}"));
            }
            assert_eq!(self.ran.take(), runs.repeat(4));
        }
        self.chosen.store(NOBODY, Relaxed);
        self.bus.publish(event).unwrap();
        assert_eq!(self.ran.take().len(), whole - paused.len());
    }
}

#[test]
fn a_stop_has_its_place_in_the_whole_wherever_it_is() {
    let mut line = Line::new();
    line.add(0..3, |line, n| line.bus.subscribe(line.number(n)));
    line.add(5..7, |line, n| line.bus.family::<Middles>().subscribe(line.number(n)));
    line.add(3..5, |line, n| line.bus.topic::<Leaf>().subscribe(line.number(n)));
    line.add(10..13, |line, n| line.bus.subscribe(line.number(n)));
    line.add(7..10, |line, n| line.bus.family::<Bases>().subscribe(line.number(n)));
    // Of other types and families: in nobody's count.
    line.add(90..95, |line, n| line.bus.topic::<Root>().subscribe(line.number(n)));
    line.add(95..99, |line, n| line.bus.family::<Sides>().subscribe(line.number(n)));
    line.each_stops(&Leaf(1), 13, &[]);
}

#[test]
fn paused_ones_have_places_in_every_part() {
    let mut line = Line::new();
    let paused = SubscribeOptions::new().paused();
    let options = move |n: usize| if n % 3 == 1 { paused } else { SubscribeOptions::new() };
    line.add(0..4, |line, n| line.bus.subscribe_with(options(n), line.number(n)));
    line.add(4..8, |line, n| line.bus.topic::<Leaf>().subscribe_with(options(n), line.number(n)));
    line.add(8..11, |line, n| line.bus.family::<Middles>().subscribe_with(options(n), line.number(n)));
    line.add(11..14, |line, n| line.bus.family::<Bases>().subscribe_with(options(n), line.number(n)));
    line.add(14..18, |line, n| line.bus.subscribe_with(options(n), line.number(n)));
    let paused: Vec<usize> = (0..18).filter(|n| n % 3 == 1).collect();
    line.each_stops(&Leaf(1), 18, &paused);
}

#[test]
fn places_are_exact_in_lists_longer_than_one_run() {
    let mut line = Line::new();
    let parts = [0, 300, 560, 861, 1_120, 1_700];
    line.add(parts[0]..parts[1], |line, n| line.bus.subscribe(line.number(n)));
    line.add(parts[1]..parts[2], |line, n| line.bus.topic::<Leaf>().subscribe(line.number(n)));
    line.add(parts[2]..parts[3], |line, n| line.bus.family::<Middles>().subscribe(line.number(n)));
    line.add(parts[3]..parts[4], |line, n| line.bus.family::<Bases>().subscribe(line.number(n)));
    line.add(parts[4]..parts[5], |line, n| line.bus.subscribe(line.number(n)));
    for edge in parts {
        for place in edge.saturating_sub(2)..(edge + 2).min(1_700) {
            line.chosen.store(place, Relaxed);
            let stopped = line.bus.publish(&Leaf(1)).unwrap_err();
            assert_eq!((stopped.position, stopped.not_run), (place, 1_699 - place));
            assert_eq!(line.ran.take(), (0..=place).collect::<Vec<_>>());
        }
    }
    for place in (7..1_700).step_by(61) {
        line.chosen.store(place, Relaxed);
        let stopped = line.bus.topic::<Leaf>().publish(&Leaf(1)).unwrap_err();
        assert_eq!((stopped.position, stopped.not_run), (place, 1_699 - place));
        assert_eq!(line.ran.take().len(), place + 1);
    }
}

#[test]
fn without_handlers_and_without_their_place_positions_are_those_of_the_plain_list() {
    let mut line = Line::new();
    line.add(0..5, |line, n| line.bus.subscribe(line.number(n)));
    line.each_stops(&Leaf(1), 5, &[]);
    // With the place, but nobody in it.
    drop(line.bus.topic::<Root>().subscribe(|_: &Root| ()));
    line.add(5..8, |line, n| line.bus.subscribe(line.number(n)));
    line.each_stops(&Leaf(1), 8, &[]);
}

#[test]
fn positions_are_exact_for_a_type_that_nobody_prepared() {
    let mut line = Line::new();
    line.add(0..2, |line, n| line.bus.subscribe(line.number(n)));
    line.add(5..7, |line, n| line.bus.family::<Bases>().subscribe(line.number(n)));
    line.add(2..5, |line, n| line.bus.family::<Middles>().subscribe(line.number(n)));
    line.add(7..9, |line, n| line.bus.subscribe(line.number(n)));
    for place in 0..9 {
        line.chosen.store(place, Relaxed);
        let stopped = line.bus.publish(&Leaf(1)).unwrap_err();
        assert_eq!((stopped.position, stopped.not_run), (place, 8 - place));
    }
    line.ran.take();
    line.each_stops(&Leaf(1), 9, &[]);
}

#[test]
fn one_that_has_ended_by_itself_counts_until_it_is_swept() {
    let bus = Bus::new();
    let once = priority(1).once();
    let _subs = [
        bus.subscribe_with(once, |_| ()),
        bus.topic::<Leaf>().subscribe_with(once, |_: &Leaf| ()),
        bus.family::<Bases>().subscribe(|_| Err(BusStop::veto("no"))),
    ];
    let place = || {
        let stopped = bus.publish(&Leaf(1)).unwrap_err();
        (stopped.position, stopped.not_run)
    };
    assert_eq!((place(), place()), ((2, 0), (2, 0)));
    // A write sweeps the lists that it is about, and those alone.
    drop(bus.topic::<Leaf>().subscribe(|_: &Leaf| ()));
    assert_eq!(place(), (1, 0));
    drop(bus.subscribe(|_| ()));
    assert_eq!(place(), (0, 0));
}

#[test]
fn the_one_who_stopped_it_is_named() {
    let bus = Bus::new();
    let _plain = bus.subscribe(|_| ());
    let named = SubscribeOptions::new().named("the guard");
    let (guard, row) =
        (bus.family::<Bases>().subscribe_with(named, |_| Err(BusStop::veto("closed"))), line!());
    let _after = bus.subscribe(|_| ());
    let stopped = bus.publish(&Leaf(1)).unwrap_err();
    assert_eq!((stopped.subscriber.id, stopped.subscriber.name), (guard.id(), Some("the guard")));
    assert_eq!((stopped.subscriber.location.file(), stopped.subscriber.location.line()), (file!(), row));
    let text = stopped.to_string();
    assert!(
        text.contains("the guard") && text.contains("(2 of 3)") && text.ends_with("vetoed: closed"),
        "{text}"
    );
}

/// Two buses: on one a plain subscriber stops everything with this, on the other a family's handler does.
fn two_buses(stop: impl Fn() -> BusStop + Send + Sync + Clone + 'static) -> [Bus; 2] {
    let (plain, family) = (Bus::new(), Bus::new());
    let (one, other) = (stop.clone(), stop);
    let named = SubscribeOptions::new().named("guard");
    plain.subscribe_with(named, move |_| Err(one())).detach();
    family.family::<Bases>().subscribe_with(named, move |_| Err(other())).detach();
    [plain, family]
}

#[test]
fn a_veto_before_the_fact_arrives_as_it_is() {
    for bus in two_buses(|| BusStop::veto("no")) {
        let BusStop::Veto(veto) = bus.publish(&Leaf(1)).unwrap_err().error else { panic!("a veto") };
        assert_eq!(veto, Veto::new("no"));
        let BusStop::Veto(veto) = bus.publish_any(&Leaf(1)).unwrap_err().error else { panic!("a veto") };
        assert_eq!(veto, Veto { reason: "no".into() });
    }
}

#[test]
fn a_veto_after_the_fact_is_a_failure_that_names_who_tried() {
    for bus in two_buses(|| BusStop::veto("too early")) {
        let stopped = bus.publish(&Told(1)).unwrap_err();
        let late = stopped.error.downcast_ref::<LateVeto>().expect("a late veto");
        assert_eq!(late.veto, Veto::new("too early"));
        assert_eq!(late.by, stopped.subscriber.to_string());
        assert!(late.by.contains("guard") && late.to_string().contains("too early"), "{late}");
        // As one of many it is a failure too, and no veto.
        let BusStop::Fail(error) = bus.publish_any(&Told(1)).unwrap_err().error else { panic!("a failure") };
        assert!(error.is::<LateVeto>());
    }
}

#[test]
fn a_failure_arrives_unchanged_before_and_after_the_fact() {
    for bus in two_buses(|| BusStop::fail("broken")) {
        assert_eq!(bus.publish(&Told(1)).unwrap_err().error.to_string(), "broken");
        let BusStop::Fail(error) = bus.publish(&Leaf(1)).unwrap_err().error else { panic!("a failure") };
        assert_eq!(error.to_string(), "broken");
        let BusStop::Fail(error) = bus.publish_any(&Told(1)).unwrap_err().error else { panic!("a failure") };
        assert_eq!(error.to_string(), "broken");
    }
}

#[test]
fn the_question_mark_makes_a_failure_of_any_error_and_a_veto_of_a_veto() {
    let bus = Bus::new();
    let _sub = bus.family::<Bases>().subscribe(|event| {
        let number: u8 = event.number().try_into()?;
        if number == 13 {
            Err(Veto::new("unlucky"))?;
        }
        Ok(())
    });
    bus.publish(&Leaf(12)).unwrap();
    assert!(matches!(bus.publish(&Leaf(13)).unwrap_err().error, BusStop::Veto(_)));
    let stopped = bus.publish(&Told(1_000)).unwrap_err();
    assert!(stopped.error.is::<std::num::TryFromIntError>(), "{stopped}");
}

#[test]
fn a_handler_of_the_type_stops_it_with_the_types_own_stop_unchanged() {
    let bus = Bus::new();
    let _strict = bus.topic::<Strict>().subscribe(|strict: &Strict| match strict.0 {
        0 => Ok(()),
        code => Err(Refusal::Code(code)),
    });
    bus.publish(&Strict(0)).unwrap();
    assert!(matches!(bus.publish(&Strict(7)).unwrap_err().error, Refusal::Code(7)));
    let Err(PublishError::Stopped(stopped)) = bus.try_publish(&Strict(8)) else { panic!("stopped") };
    assert!(matches!(stopped.error, Refusal::Code(8)));
    let Err(PublishError::Stopped(stopped)) = bus.topic::<Strict>().try_publish(&Strict(9)) else {
        panic!("stopped")
    };
    assert!(matches!(stopped.error, Refusal::Code(9)));
    // As one of many it is what the type makes of it.
    let BusStop::Fail(error) = bus.publish_any(&Strict(10)).unwrap_err().error else { panic!("a failure") };
    assert_eq!(error.to_string(), "code 10");
}

#[test]
fn a_type_of_ones_own_is_told_who_stopped_it() {
    for bus in two_buses(|| BusStop::veto("no")) {
        let Stopped { error, subscriber, .. } = bus.publish(&Strict(1)).unwrap_err();
        let Refusal::Other(BusStop::Veto(veto), by) = error else { panic!("a veto of others") };
        assert_eq!((veto.reason.as_ref(), by), ("no", subscriber.to_string()));
        // And back again: a veto stays one.
        assert!(matches!(bus.publish_any(&Strict(1)).unwrap_err().error, BusStop::Veto(_)));
    }
}

#[test]
fn a_stop_with_a_boxed_error_of_a_handler_is_that_very_error() {
    #[derive(Debug)]
    struct Mine(u32);
    impl std::fmt::Display for Mine {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "mine {}", self.0)
        }
    }
    impl Error for Mine {}
    let bus = Bus::new();
    let _sub = bus.topic::<Told>().subscribe(|told: &Told| Err::<(), BoxError>(Mine(told.0).into()));
    assert_eq!(bus.publish(&Told(5)).unwrap_err().error.downcast_ref::<Mine>().unwrap().0, 5);
    let BusStop::Fail(error) = bus.publish_any(&Told(6)).unwrap_err().error else { panic!("a failure") };
    assert_eq!(error.downcast_ref::<Mine>().unwrap().0, 6);
}

#[test]
fn a_stop_inside_a_publish_is_the_inner_publishers_to_handle() {
    let bus = Arc::new(Bus::new());
    let own = Arc::downgrade(&bus);
    let log = Log::new();
    let seen = log.clone();
    bus.topic::<Told>()
        .subscribe(move |told: &Told| {
            let bus = own.upgrade().expect("being published to");
            match bus.publish(&Alone) {
                Err(stopped) if told.0 == 0 => {
                    seen.push((stopped.position, stopped.not_run));
                    Ok(())
                }
                inner => Ok(inner?),
            }
        })
        .detach();
    bus.topic::<Alone>().subscribe(|_: &Alone| Err(failure("inner"))).detach();
    bus.topic::<Alone>().subscribe(|_: &Alone| ()).detach();
    bus.publish(&Told(0)).unwrap();
    assert_eq!(log.take(), [(0, 1)]);
    let outer = bus.publish(&Told(1)).unwrap_err();
    assert_eq!((outer.position, outer.not_run), (0, 0));
    let inner = outer.error.downcast_ref::<Stopped<BoxError>>().expect("the inner stop, unchanged");
    assert_eq!((inner.position, inner.not_run, inner.error.to_string().as_str()), (0, 1, "inner"));
}

#[test]
fn the_next_publish_after_a_stop_or_a_panic_runs_as_ever() {
    let scene = Scene::new();
    let _subs = [scene.plain("plain"), scene.topic::<Leaf>("leaf"), scene.family::<Bases>("base")];
    let panics = scene.bus.family::<Middles>().subscribe(|event| {
        if event.number() == 13 {
            std::panic::resume_unwind(Box::new("unlucky"))
        }
    });
    let ways: [&dyn Fn(&Leaf); 3] =
        [&|event| drop(scene.bus.publish(event)), &|event| drop(scene.bus.publish_any(event)), &|event| {
            drop(scene.bus.topic::<Leaf>().publish(event))
        }];
    for publish in ways {
        let panic =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| publish(&Leaf(13)))).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"unlucky"), "unchanged");
        assert_eq!(scene.log.take(), ["plain", "leaf"]);
        publish(&Leaf(12));
        assert_eq!(scene.log.take(), ["plain", "leaf", "base"]);
    }
    drop(panics);
    assert_eq!(scene.bus.retired(), 0, "no mark of those publishes is left");
}

#[test]
fn an_event_can_be_asked_as_one_of_many_what_it_is() {
    let event: &Any = &Leaf(3);
    assert!(event.is::<Leaf>() && !event.is::<Root>());
    assert_eq!(event.downcast_ref::<Leaf>().map(|leaf| leaf.0), Some(3));
    assert!(event.downcast_ref::<Root>().is_none());
    assert_eq!((AnyEvent::name(event), event.entry_point_name()), ("test.leaf", None));
    assert_eq!(format!("{event:?}"), "AnyEvent(test.leaf)");
}
