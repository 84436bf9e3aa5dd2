//! A bus as a dispatch path: the event's own subscribers on a bus that many other types share.
//!
//! Owns the crowd of other types. They must not be felt: neither by a publish nor by a registration.

use crate::{
    path::{DispatchPath, Publisher},
    scenario::{Answer, Crowd, Register, Tick, subscriber},
};
use signalpost::{BoxError, Bus, Family, FamilyVisitor, ListEdit, Subscription, Topic};
use std::time::{Duration, Instant};

/// Event types on the bus that nobody publishes.
pub const OTHER_TYPES: usize = 1_000;
/// Handlers of each.
pub const HANDLERS_OF_EACH: usize = 10;

impl signalpost::Event for Tick {
    const NAME: &'static str = "lab.tick";
    type Stop = BoxError;
}

/// One of the other event types, and the marker of a family that it alone belongs to. Its handlers are the family's: they share
/// one view, and so one compiled copy of all that registers them.
enum Other<const N: usize> {}

trait Padding: 'static {}
impl<const N: usize> Padding for Other<N> {}

enum FamilyOf<const N: usize> {}

impl<const N: usize> Family for FamilyOf<N> {
    const NAME: &'static str = "lab.family";
    type View = dyn Padding;
}

impl<const N: usize> signalpost::Event for Other<N> {
    const NAME: &'static str = "lab.other";
    type Stop = BoxError;

    fn families<V: FamilyVisitor<Self>>(visitor: V) -> V {
        visitor.visit::<FamilyOf<N>>(|event| event)
    }
}

#[inline(never)]
fn add<const N: usize>(bus: &Bus) {
    bus.prepare::<Other<N>>();
    let handlers = bus.family::<FamilyOf<N>>();
    for _ in 0..HANDLERS_OF_EACH {
        handlers.subscribe(ignore as fn(&dyn Padding)).detach();
    }
}

fn ignore(_: &dyn Padding) {}

macro_rules! a_thousand {
    ($bus:expr) => { a_thousand!(hundreds $bus, 0 1 2 3 4 5 6 7 8 9) };
    (hundreds $bus:expr, $($hundred:literal)*) => {
        $(a_thousand!(tens $bus, $hundred, 0 1 2 3 4 5 6 7 8 9);)*
    };
    (tens $bus:expr, $hundred:literal, $($ten:literal)*) => {
        $(a_thousand!(ones $bus, $hundred, $ten, 0 1 2 3 4 5 6 7 8 9);)*
    };
    (ones $bus:expr, $hundred:literal, $ten:literal, $($one:literal)*) => {
        $(add::<{ 100 * $hundred + 10 * $ten + $one }>($bus);)*
    };
}

/// A bus with 1,000 event types and ten handlers of each.
pub fn crowded() -> Bus {
    let bus = Bus::new();
    a_thousand!(&bus);
    assert_eq!(bus.len(), OTHER_TYPES * HANDLERS_OF_EACH, "what surrounds the timed event is there");
    bus
}

/// What both ways to publish share: the crowded bus, with these subscribers to the event.
struct Crowded {
    bus: Bus,
    topic: Topic<Tick>,
}

impl Crowded {
    fn with(crowd: impl Crowd<Tick>) -> Self {
        let bus = crowded();
        let (before, topic) = (bus.len(), bus.topic());
        let registered = bus.edit(|edit| {
            let mut enrol = Enrol(edit.topic(), 0);
            crowd.register_in(&mut enrol);
            enrol.1
        });
        assert_eq!(bus.len() - before, registered, "what is timed is what was asked for");
        Self { bus, topic }
    }

    fn change(&self, salt: u64) -> bool {
        drop(self.topic.subscribe(subscriber(salt)));
        true
    }
}

struct Enrol<'e>(ListEdit<'e, Tick, BoxError>, usize);

impl Register<Tick> for Enrol<'_> {
    fn register<F>(&mut self, subscriber: F)
    where
        F: Fn(&Tick) -> Answer + Send + Sync + 'static,
    {
        self.0.subscribe(subscriber).detach();
        self.1 += 1;
    }
}

/// `Bus::publish`, which looks for the event's type.
pub(crate) struct ByBus(Crowded);

/// `Topic::publish`, which need not.
pub(crate) struct ByTopic(Crowded);

impl DispatchPath for ByBus {
    type Event = Tick;
    type Publisher<'p> = &'p Bus;

    fn with(crowd: impl Crowd<Tick>) -> Self {
        Self(Crowded::with(crowd))
    }

    fn publisher(&self) -> &Bus {
        &self.0.bus
    }

    fn change(&self, salt: u64) -> bool {
        self.0.change(salt)
    }
}

impl Publisher<Tick> for &Bus {
    #[inline(always)]
    fn publish(&mut self, event: &'static Tick) -> bool {
        Bus::publish(self, event).is_ok()
    }
}

impl DispatchPath for ByTopic {
    type Event = Tick;
    type Publisher<'p> = &'p Topic<Tick>;

    fn with(crowd: impl Crowd<Tick>) -> Self {
        Self(Crowded::with(crowd))
    }

    fn publisher(&self) -> &Topic<Tick> {
        &self.0.topic
    }

    fn change(&self, salt: u64) -> bool {
        self.0.change(salt)
    }
}

impl Publisher<Tick> for &Topic<Tick> {
    #[inline(always)]
    fn publish(&mut self, event: &'static Tick) -> bool {
        Topic::publish(self, event).is_ok()
    }
}

/// How long one registration to one type takes, on average of so many, which are cancelled afterwards.
pub fn registration(bus: &Bus, count: u32) -> Duration {
    let topic = bus.topic::<Tick>();
    let mut handles: Vec<Subscription> = Vec::with_capacity(count as usize);
    let start = Instant::now();
    for salt in 0..u64::from(count) {
        handles.push(topic.subscribe(subscriber(salt)));
    }
    start.elapsed() / count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_crowded_bus_an_event_has_its_own_subscribers_alone() {
        let bus = crowded();
        assert!(!bus.has_subscribers::<Tick>());
        assert!(bus.has_subscribers::<Other<0>>() && bus.has_subscribers::<Other<999>>());
        assert!(registration(&bus, 100) > Duration::ZERO);
        assert_eq!(bus.len(), OTHER_TYPES * HANDLERS_OF_EACH);
    }
}
