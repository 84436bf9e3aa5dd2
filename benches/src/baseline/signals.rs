//! The crate signals2, which keeps the list itself.

use crate::{
    path::{DispatchPath, Publisher},
    scenario::{Answer, Crowd, Register, Tick, subscriber},
};
use signals2::{Connect1, Emit1, Signal, combiner::Combiner};

/// Its event is a reference because it clones its arguments for each slot.
pub(crate) struct Signals2(Stopping);

type Stopping = Signal<(&'static Tick,), Answer, StopAtFirst>;

/// Takes slots' results until one is an error, as the other paths do.
#[derive(Default)]
pub(crate) struct StopAtFirst;

impl Combiner<Answer> for StopAtFirst {
    type Output = Answer;

    fn combine(&self, mut answers: impl Iterator<Item = Answer>) -> Answer {
        answers.try_for_each(|answer| answer)
    }
}

impl Register<Tick> for Stopping {
    fn register<F>(&mut self, subscriber: F)
    where
        F: Fn(&Tick) -> Answer + Send + Sync + 'static,
    {
        // The connection's drop does not disconnect.
        self.connect(subscriber);
    }
}

impl DispatchPath for Signals2 {
    type Event = Tick;
    type Publisher<'p> = &'p Stopping;

    fn with(crowd: impl Crowd<Tick>) -> Self {
        let mut signal = Signal::new();
        crowd.register_in(&mut signal);
        Self(signal)
    }

    fn publisher(&self) -> Self::Publisher<'_> {
        &self.0
    }

    fn change(&self, salt: u64) -> bool {
        self.0.connect(subscriber::<Tick>(salt)).disconnect();
        true
    }
}

impl Publisher<Tick> for &Stopping {
    #[inline(always)]
    fn publish(&mut self, event: &'static Tick) -> bool {
        self.emit(event).is_ok()
    }
}
