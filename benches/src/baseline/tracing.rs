//! The crate tracing: an event with one field, to one layer over a registry.

use super::{List, walk};
use crate::{
    path::{DispatchPath, Publisher},
    scenario::{Crowd, Event, Tick},
};
use std::fmt;
use tracing::{
    Dispatch,
    dispatcher::{self, DefaultGuard},
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, Registry, layer::Context, layer::SubscriberExt};

/// The layer that runs the subscribers.
struct Walking(List);

/// What arrived of an event.
#[derive(Default)]
struct Seen(Option<u64>);

impl Visit for Seen {
    fn record_u64(&mut self, _: &Field, value: u64) {
        self.0 = Some(value);
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

impl<S: tracing::Subscriber> Layer<S> for Walking {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut seen = Seen::default();
        event.record(&mut seen);
        if let Some(value) = seen.0 {
            walk(&self.0, &Tick::of(value));
        }
    }
}

/// The registry with its layer; each publisher's thread has it as its default, or two lanes could not live in one process.
pub(crate) struct Tracing(Dispatch);

impl DispatchPath for Tracing {
    type Event = Tick;
    type Publisher<'p> = DefaultGuard;

    fn with(crowd: impl Crowd<Tick>) -> Self {
        Self(Dispatch::new(Registry::default().with(Walking(crowd.shared()))))
    }

    fn publisher(&self) -> DefaultGuard {
        dispatcher::set_default(&self.0)
    }
}

impl Publisher<Tick> for DefaultGuard {
    #[inline(always)]
    fn publish(&mut self, event: &'static Tick) -> bool {
        tracing::info!(value = event.value());
        true
    }
}
