//! The other ways to publish to a list of subscribers, each as its users would write it.
//!
//! Owns the list that they keep, the walk over it, and the floor: the walk alone. Not here: the paths themselves, by what stands
//! between a publisher and the list or the subscribers.
//!
//! | file | between them |
//! |---|---|
//! | `swap` | a pointer that is replaced; its list is freed when its last holder lets go |
//! | `reclaim` | a pointer that is replaced; its list is freed when no publisher can have it any more |
//! | `left_right` | two lists, one for publishers and one for the writer |
//! | `locks` | a lock, held during the walk: to copy the list out first costs an allocation for each publish |
//! | `signals`, `tracing` | a crate that keeps the list itself, or calls who does |
//! | `inboxes` | an inbox for each subscriber |
//! | `workers` | a queue to a thread that runs them all |
//!
//! Not among them: eventador 0.0.18. It keeps its subscribers' places in a hash set by their current numbers: of two that begin at
//! the same place only one is waited for, and a subscriber that is dropped is waited for forever.

mod inboxes;
mod left_right;
mod locks;
mod reclaim;
mod signals;
mod swap;
mod tracing;
mod workers;

pub(crate) use inboxes::{BusCrate, EventListeners, TokioBroadcast};
pub(crate) use left_right::LeftRight;
pub(crate) use locks::{ParkingLotRwLock, StdMutex, StdRwLock};
pub(crate) use reclaim::{CrossbeamEpoch, Seize};
pub(crate) use signals::Signals2;
pub(crate) use swap::{ArcSwapCache, ArcSwapGuard};
pub(crate) use tracing::Tracing;
pub(crate) use workers::{Crossbeam, Disruptor, Flume, ToWorker};

use crate::{
    path::{DispatchPath, Publisher},
    scenario::{Crowd, Event, SharedSubscriber, Tick, subscriber},
};
use std::sync::Arc;

/// What every baseline keeps, but for those of crates that keep their own.
type List<E = Tick> = Vec<SharedSubscriber<E>>;

/// The walk that all baselines share: in order, until one says no.
#[inline]
fn walk<E>(subscribers: &[SharedSubscriber<E>], event: &E) -> bool {
    subscribers.iter().all(|subscriber| subscriber(event).is_ok())
}

/// One more subscriber, as a list keeps it.
fn one_more(salt: u64) -> SharedSubscriber<Tick> {
    Arc::new(subscriber(salt))
}

/// The list with this subscriber at its end: for those who replace it whole.
fn joined(list: &List, subscriber: &SharedSubscriber<Tick>) -> List {
    let mut joined = Vec::with_capacity(list.len() + 1);
    joined.extend_from_slice(list);
    joined.push(subscriber.clone());
    joined
}

/// The list without this subscriber: for those who replace it whole.
fn left(list: &List, subscriber: &SharedSubscriber<Tick>) -> List {
    list.iter().filter(|other| !Arc::ptr_eq(other, subscriber)).cloned().collect()
}

/// Takes this subscriber out of a list that can be changed in place.
fn remove(list: &mut List, subscriber: &SharedSubscriber<Tick>) {
    list.retain(|other| !Arc::ptr_eq(other, subscriber));
}

/// No sharing at all: nothing can be registered while a publisher exists.
pub(crate) struct RawLoop<E>(List<E>);

impl<E: Event> DispatchPath for RawLoop<E> {
    type Event = E;
    type Publisher<'p> = &'p List<E>;

    fn with(crowd: impl Crowd<E>) -> Self {
        Self(crowd.shared())
    }

    fn publisher(&self) -> Self::Publisher<'_> {
        &self.0
    }
}

impl<E: Event> Publisher<E> for &List<E> {
    #[inline(always)]
    fn publish(&mut self, event: &'static E) -> bool {
        walk(self, event)
    }
}

/// The harness alone: calls nobody, so that its time is the loop's, which is a part of every path's.
pub(crate) struct Nothing;

impl DispatchPath for Nothing {
    type Event = Tick;
    type Publisher<'p> = Self;

    fn with(_: impl Crowd<Tick>) -> Self {
        Self
    }

    fn publisher(&self) -> Self {
        Self
    }
}

impl Publisher<Tick> for Nothing {
    #[inline(always)]
    fn publish(&mut self, _: &'static Tick) -> bool {
        true
    }
}
