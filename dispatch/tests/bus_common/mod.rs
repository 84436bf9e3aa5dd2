//! The events and families of the tests of a bus, and one bus whose subscribers write down that they ran.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of this")]

use crate::common::{Drops, Log};
use signalpost::{
    AnyEvent, BoxError, Bus, BusStop, BusSubscriberInfo, Event, EventStop, Family, SubscribeOptions,
    Subscription, event, family,
};
use std::fmt;

/// Seen by all families' handlers.
pub trait Base {
    fn number(&self) -> u32;
}
family!(pub struct Bases: dyn Base = "test.bases");

pub trait Middle: Base {}
family!(pub struct Middles: dyn Middle = "test.middles");

pub trait Side: Base {}
family!(pub struct Sides: dyn Side = "test.sides");

macro_rules! numbered {
    ($($name:ident)*) => {$(
        #[derive(Debug, Default)]
        pub struct $name(pub u32);

        impl Base for $name {
            fn number(&self) -> u32 {
                self.0
            }
        }
    )*};
}
numbered!(Leaf Root Told Strict);

// May be vetoed; two families, the more specific one first.
impl Middle for Leaf {}
event!(Leaf: "test.leaf", stop = BusStop, families = [Middles, Bases]);

// May be vetoed; one family.
event!(Root: "test.root", stop = BusStop, families = [Bases]);

// Tells of what has happened; three families, the general one in the middle.
impl Middle for Told {}
impl Side for Told {}
event!(Told: "test.told", families = [Sides, Bases, Middles]);

// With a stop of its own.
event!(Strict: "test.strict", stop = Refusal, families = [Bases]);

/// No families.
#[derive(Debug)]
pub struct Alone;
event!(Alone: "test.alone");

/// What stops a [`Strict`].
#[derive(Debug)]
pub enum Refusal {
    Code(u32),
    Other(BusStop, String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "code {code}"),
            Self::Other(stop, by) => write!(f, "{stop}, by {by}"),
        }
    }
}

impl EventStop for Refusal {
    fn from_bus(stop: BusStop, by: &dyn fmt::Display) -> Self {
        Self::Other(stop, by.to_string())
    }

    fn into_bus(self) -> BusStop {
        match self {
            Self::Code(code) => BusStop::fail(format!("code {code}")),
            Self::Other(stop, _) => stop,
        }
    }
}

pub type Any = dyn AnyEvent;
pub type Names = Log<&'static str>;

/// A bus, and what ran on it.
#[derive(Debug)]
pub struct Scene {
    pub bus: Bus,
    pub log: Names,
    pub drops: Drops,
}

impl Scene {
    pub fn new() -> Self {
        Self { bus: Bus::new(), log: Log::new(), drops: Drops::new() }
    }

    /// A subscriber that writes its name down.
    pub fn note<V: ?Sized>(&self, name: &'static str) -> impl Fn(&V) + Send + Sync + 'static + use<V> {
        let (log, token) = (self.log.clone(), self.drops.token());
        move |_: &V| {
            token.touch();
            log.push(name);
        }
    }

    pub fn plain(&self, name: &'static str) -> Subscription {
        self.bus.subscribe_with(SubscribeOptions::new().named(name), self.note(name))
    }

    pub fn topic<E: Event>(&self, name: &'static str) -> Subscription {
        self.bus.topic::<E>().subscribe_with(SubscribeOptions::new().named(name), self.note(name))
    }

    pub fn family<F: Family>(&self, name: &'static str) -> Subscription {
        self.bus.family::<F>().subscribe_with(SubscribeOptions::new().named(name), self.note(name))
    }

    /// Who runs for such an event: the same by look-up, by topic, and as one of many.
    #[track_caller]
    pub fn order_of<E: Event<Stop: fmt::Debug>>(&self, event: &E) -> Vec<&'static str> {
        self.bus.publish(event).unwrap();
        let order = self.log.take();
        self.bus.publish_any(event).unwrap();
        assert_eq!(self.log.take(), order, "as one of many");
        self.bus.topic::<E>().publish(event).unwrap();
        assert_eq!(self.log.take(), order, "by topic");
        self.bus.publish(event).unwrap();
        assert_eq!(self.log.take(), order, "by look-up, now that the type is prepared");
        order
    }

    /// The names of all who are registered, as listed.
    pub fn listed(&self) -> Vec<&'static str> {
        self.bus.subscribers().iter().map(|BusSubscriberInfo { info, .. }| info.name.unwrap_or("?")).collect()
    }
}

pub const fn priority(priority: i32) -> SubscribeOptions {
    SubscribeOptions::new().priority(priority)
}

/// An error to fail with.
pub fn failure(text: &'static str) -> BoxError {
    text.into()
}
