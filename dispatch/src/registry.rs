//! What a handle needs of its dispatcher or bus, whatever the event type is.

use signalpost_core::{
    Change, Channels, Known, SharedCell, Snapshot, SubscriberName, Subscribers, Target, WaitError,
};

/// The cell of a dispatcher or a bus, seen by its handles.
pub(crate) trait Registry: Send + Sync {
    /// Makes changes as one swap, and says whether they changed anything.
    fn apply(&self, record: Vec<Change>) -> bool;
    /// Who the subscriber is, if it is in the newest list, and whether it is paused.
    fn find(&self, target: Target) -> Option<(SubscriberName, bool)>;
    fn collect(&self);
    fn trim(&self);
    fn may_wait(&self) -> Result<(), WaitError>;
    fn try_barrier(&self) -> Result<(), WaitError>;
    fn retired(&self) -> usize;
}

impl<T> Registry for SharedCell<T>
where
    T: Listed,
{
    fn apply(&self, record: Vec<Change>) -> bool {
        T::apply(self, record)
    }

    fn find(&self, target: Target) -> Option<(SubscriberName, bool)> {
        self.read(|all| all.find(target))?
    }

    fn collect(&self) {
        self.collect();
    }

    fn trim(&self) {
        self.trim();
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

/// A snapshot with subscribers in it.
pub(crate) trait Listed: Snapshot {
    fn apply(cell: &SharedCell<Self>, record: Vec<Change>) -> bool;
    fn find(&self, target: Target) -> Option<(SubscriberName, bool)>;
}

impl<E: ?Sized + 'static, X: 'static> Listed for Subscribers<E, X> {
    fn apply(cell: &SharedCell<Self>, record: Vec<Change>) -> bool {
        cell.apply(record)
    }

    fn find(&self, target: Target) -> Option<(SubscriberName, bool)> {
        self.find(target).and_then(seen)
    }
}

impl Listed for Channels {
    fn apply(cell: &SharedCell<Self>, record: Vec<Change>) -> bool {
        cell.apply(record)
    }

    fn find(&self, target: Target) -> Option<(SubscriberName, bool)> {
        self.find(target).and_then(seen)
    }
}

/// What a handle sees of a subscriber: nothing, if it has ended by itself.
fn seen(known: Known) -> Option<(SubscriberName, bool)> {
    (!known.over).then_some((known.name, known.paused))
}
