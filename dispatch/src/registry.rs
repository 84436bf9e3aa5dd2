//! What a handle needs of its dispatcher, whatever the event type is.

use crate::register::Into;
use signalpost_core::{Change, Member, SharedCell, Step, SubscriberName, Subscribers, Target, WaitError};

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

/// What a handle sees of a member: nothing, if it has ended by itself.
pub(crate) fn seen<E: ?Sized, X>(member: Member<'_, E, X>) -> Option<(SubscriberName, bool)> {
    (!member.is_over()).then(|| (member.name(), member.is_paused()))
}

/// The one list of a dispatcher.
pub(crate) fn list_of<E: ?Sized, X>(cell: &SharedCell<Subscribers<E, X>>) -> Into {
    Into { channel: 0, ended: cell.context().clone() }
}

impl<E: ?Sized + 'static, X: 'static> Registry for SharedCell<Subscribers<E, X>> {
    fn take_steps(&self, steps: &[Step]) -> bool {
        self.apply(steps.iter().copied().map(Change::Step).collect())
    }

    fn find(&self, target: Target) -> Option<(SubscriberName, bool)> {
        self.read(|subscribers| subscribers.find(target).and_then(seen))?
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
