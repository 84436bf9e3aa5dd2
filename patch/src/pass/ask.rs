//! How a pass asks and tells: what is a user's is run here, and what it answers is put into words.
//!
//! Owns who it was that vetoed, failed or panicked, and where. Not here: in which order they are asked (`pass.rs`).

use super::Pass;
use crate::error::PatchError;
use crate::module::Module;
use crate::plan::Plan;
use crate::report::Failure;
use signalpost_dispatch::{BoxError, Bus, BusStop, Event, Listens, Stopped, StoppedBy, panic_text};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

impl Pass<'_> {
    /// Asks subscribers.
    pub(super) fn ask<E: Event<Stop = BusStop>>(
        &self,
        about: Option<&'static Module>,
        event: &E,
    ) -> Result<Option<(String, String)>, PatchError> {
        let asked = self.publish::<E, _>(about, || self.patcher.bus().publish(event));
        answer(E::NAME, about, asked, subscriber)
    }

    /// Asks subscribers, then plugins.
    pub(super) fn ask_with_plugins<E: Event<Stop = BusStop>>(
        &self,
        about: Option<&'static Module>,
        event: &E,
    ) -> Result<Option<(String, String)>, PatchError> {
        let publish = || self.patcher.bus().publish_and_call_plugins(event, self.patcher.plugins());
        answer(E::NAME, about, self.publish::<E, _>(about, publish), who)
    }

    /// Tells subscribers, then plugins.
    pub(super) fn tell_with_plugins<E: Event<Stop = BoxError>>(
        &self,
        about: Option<&'static Module>,
        event: &E,
    ) -> Result<(), PatchError> {
        let publish = || self.patcher.bus().publish_and_call_plugins(event, self.patcher.plugins());
        self.publish::<E, _>(about, publish).map_err(|by| {
            let (by, error) = who(by);
            stopped(E::NAME, about, by, error)
        })
    }

    /// Tells subscribers.
    pub(super) fn tell<E: Event<Stop = BoxError>>(
        &self,
        about: Option<&'static Module>,
        event: &E,
    ) -> Result<(), PatchError> {
        self.publish::<E, _>(about, || self.patcher.bus().publish(event)).map_err(|by| {
            let (by, error) = subscriber(by);
            stopped(E::NAME, about, by, error)
        })
    }

    /// Publishes an event, by `f`.
    fn publish<E: Event, R>(&self, about: Option<&'static Module>, f: impl FnOnce() -> R) -> R {
        self.run(E::NAME, about, || "a subscriber or plugin".to_owned(), f)
    }

    /// Runs a source's code.
    pub(super) fn of_source<R>(&self, stage: &'static str, plan: &Plan, f: impl FnOnce() -> R) -> R {
        self.run(stage, Some(plan.target), || format!("source {}", plan.by), f)
    }

    /// Runs a user's code. If it panics, it is noted where that was before the panic goes on.
    pub(super) fn run<R>(
        &self,
        stage: &'static str,
        about: Option<&'static Module>,
        by: impl FnOnce() -> String,
        f: impl FnOnce() -> R,
    ) -> R {
        catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|payload| {
            let failure = Failure::new(stage, about.map(Module::name), by(), panicked(&*payload));
            self.panicked.set(Some(failure));
            resume_unwind(payload)
        })
    }
}

/// Whether somebody has subscribed to events of this very type.
pub(super) fn listens<E: Event>(bus: &Bus) -> bool {
    bus.subscribers().iter().any(|subscriber| subscriber.of == Listens::To(E::NAME))
}

/// The veto, if somebody vetoed: who, and why.
pub(super) fn answer<S>(
    stage: &'static str,
    about: Option<&'static Module>,
    asked: Result<(), S>,
    who: impl FnOnce(S) -> (String, BusStop),
) -> Result<Option<(String, String)>, PatchError> {
    let Err(stop) = asked else { return Ok(None) };
    match who(stop) {
        (by, BusStop::Veto(veto)) => Ok(Some((by, veto.reason.into_owned()))),
        (by, BusStop::Fail(error)) => Err(stopped(stage, about, by, error)),
    }
}

fn who<X>(stopped: StoppedBy<X>) -> (String, X) {
    match stopped {
        StoppedBy::Subscriber(stopped) => subscriber(stopped),
        StoppedBy::Plugin { plugin, error, .. } => (plugin.to_string(), error),
    }
}

fn subscriber<X>(stopped: Stopped<X>) -> (String, X) {
    (format!("subscriber {}", stopped.subscriber), stopped.error)
}

pub(super) fn stopped(
    stage: &'static str,
    about: Option<&'static Module>,
    by: String,
    error: BoxError,
) -> PatchError {
    PatchError::Stopped { stage, module: about.map(Module::name), by, error }
}

/// What a panic said.
fn panicked(payload: &(dyn Any + Send)) -> String {
    panic_text(payload).map_or_else(|| "panicked".to_owned(), |text| format!("panicked: {text}"))
}
