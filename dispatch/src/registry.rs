//! What a handle needs of its dispatcher, whatever the event type is.

use signalpost_core::{Recorded, SharedCell, Step, SubscriberName, Subscribers, Target, WaitError};

/// A dispatcher's cell, seen by its handles.
pub(crate) trait Registry: Send + Sync {
    /// Makes changes as one swap.
    fn take_steps(&self, steps: &[Step]) -> bool;
    /// Who the subscriber is, if it is in the newest list, and whether it is paused.
    fn find(&self, target: Target) -> Option<(SubscriberName, bool)>;
    fn collect(&self);
    fn may_wait(&self) -> Result<(), WaitError>;
    fn try_barrier(&self) -> Result<(), WaitError>;
    fn retired(&self) -> usize;
}

impl<E: ?Sized + 'static, X: 'static> Registry for SharedCell<Subscribers<E, X>> {
    fn take_steps(&self, steps: &[Step]) -> bool {
        self.apply(steps.iter().copied().map(Recorded::Step).collect())
    }

    fn find(&self, target: Target) -> Option<(SubscriberName, bool)> {
        self.read(|subscribers| {
            let member = subscribers.find(target)?;
            (!member.is_over()).then(|| (member.name(), member.is_paused()))
        })?
    }

    fn collect(&self) {
        self.collect();
    }

    fn may_wait(&self) -> Result<(), WaitError> {
        self.may_wait()
    }

    fn try_barrier(&self) -> Result<(), WaitError> {
        self.try_barrier()
    }

    fn retired(&self) -> usize {
        self.retired()
    }
}
