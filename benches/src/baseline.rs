//! The other ways to publish to a list of subscribers, each as its users would write it.
//!
//! Owns every path that is not signalpost. All of them keep the same `Vec<Arc<dyn Fn>>`, but for
//! signals2, which keeps its own; they differ in how a publisher gets at it. Where a lock is used
//! it is held during the walk: to copy the list out first costs an allocation for each publish.

use crate::{
    path::{DispatchPath, Publisher},
    scenario::{Answer, Crowd, Event, Register, SharedSubscriber, Tick},
};
use arc_swap::{ArcSwap, Cache};
use crossbeam_epoch::{Atomic, Owned};
use signals2::{Connect1, Emit1, Signal, combiner::Combiner};
use std::sync::{Arc, Mutex, RwLock, atomic::Ordering::Acquire};

type List<E = Tick> = Vec<SharedSubscriber<E>>;

/// The walk that all baselines share: in order, until one says no.
#[inline]
fn walk<E>(subscribers: &[SharedSubscriber<E>], event: &E) -> bool {
    subscribers.iter().all(|subscriber| subscriber(event).is_ok())
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

/// `ArcSwap::load`: a guard for each publish.
pub(crate) struct ArcSwapGuard(ArcSwap<List>);

impl DispatchPath for ArcSwapGuard {
    type Event = Tick;
    type Publisher<'p> = &'p ArcSwap<List>;

    fn with(crowd: impl Crowd<Tick>) -> Self {
        Self(ArcSwap::from_pointee(crowd.shared()))
    }

    fn publisher(&self) -> Self::Publisher<'_> {
        &self.0
    }
}

impl Publisher<Tick> for &ArcSwap<List> {
    #[inline(always)]
    fn publish(&mut self, event: &'static Tick) -> bool {
        walk(&self.load(), event)
    }
}

/// `arc_swap::Cache`: a publisher's own `Arc`, checked against the shared one at each publish.
pub(crate) struct ArcSwapCache(ArcSwap<List>);

impl DispatchPath for ArcSwapCache {
    type Event = Tick;
    type Publisher<'p> = Cache<&'p ArcSwap<List>, Arc<List>>;

    fn with(crowd: impl Crowd<Tick>) -> Self {
        Self(ArcSwap::from_pointee(crowd.shared()))
    }

    fn publisher(&self) -> Self::Publisher<'_> {
        Cache::new(&self.0)
    }
}

impl Publisher<Tick> for Cache<&ArcSwap<List>, Arc<List>> {
    #[inline(always)]
    fn publish(&mut self, event: &'static Tick) -> bool {
        walk(self.load(), event)
    }
}

/// `crossbeam_epoch`: pin, load, walk, unpin.
pub(crate) struct CrossbeamEpoch(Atomic<List>);

impl DispatchPath for CrossbeamEpoch {
    type Event = Tick;
    type Publisher<'p> = &'p Atomic<List>;

    fn with(crowd: impl Crowd<Tick>) -> Self {
        Self(Atomic::new(crowd.shared()))
    }

    fn publisher(&self) -> Self::Publisher<'_> {
        &self.0
    }
}

impl Publisher<Tick> for &Atomic<List> {
    #[inline(always)]
    fn publish(&mut self, event: &'static Tick) -> bool {
        let guard = crossbeam_epoch::pin();
        let list = self.load(Acquire, &guard);
        // SAFETY: `with` stored a valid list, which nothing replaces before `drop` takes it.
        let list = unsafe { list.as_ref() };
        list.is_none_or(|list| walk(list, event))
    }
}

impl Drop for CrossbeamEpoch {
    fn drop(&mut self) {
        let list = std::mem::replace(&mut self.0, Atomic::null());
        // SAFETY: `&mut self`: no publisher is left, and the pointer came from `Atomic::new`.
        let list: Option<Owned<List>> = unsafe { list.try_into_owned() };
        drop(list);
    }
}

/// `std::sync::RwLock`, as far as a publisher sees it.
pub(crate) struct StdRwLock(RwLock<List>);

impl DispatchPath for StdRwLock {
    type Event = Tick;
    type Publisher<'p> = &'p RwLock<List>;

    fn with(crowd: impl Crowd<Tick>) -> Self {
        Self(RwLock::new(crowd.shared()))
    }

    fn publisher(&self) -> Self::Publisher<'_> {
        &self.0
    }
}

impl Publisher<Tick> for &RwLock<List> {
    #[inline(always)]
    fn publish(&mut self, event: &'static Tick) -> bool {
        walk(&self.read().expect("no subscriber panics"), event)
    }
}

/// `parking_lot::RwLock`.
pub(crate) struct ParkingLotRwLock(parking_lot::RwLock<List>);

impl DispatchPath for ParkingLotRwLock {
    type Event = Tick;
    type Publisher<'p> = &'p parking_lot::RwLock<List>;

    fn with(crowd: impl Crowd<Tick>) -> Self {
        Self(parking_lot::RwLock::new(crowd.shared()))
    }

    fn publisher(&self) -> Self::Publisher<'_> {
        &self.0
    }
}

impl Publisher<Tick> for &parking_lot::RwLock<List> {
    #[inline(always)]
    fn publish(&mut self, event: &'static Tick) -> bool {
        walk(&self.read(), event)
    }
}

/// `std::sync::Mutex`.
pub(crate) struct StdMutex(Mutex<List>);

impl DispatchPath for StdMutex {
    type Event = Tick;
    type Publisher<'p> = &'p Mutex<List>;

    fn with(crowd: impl Crowd<Tick>) -> Self {
        Self(Mutex::new(crowd.shared()))
    }

    fn publisher(&self) -> Self::Publisher<'_> {
        &self.0
    }
}

impl Publisher<Tick> for &Mutex<List> {
    #[inline(always)]
    fn publish(&mut self, event: &'static Tick) -> bool {
        walk(&self.lock().expect("no subscriber panics"), event)
    }
}

/// The crate signals2; its event is a reference because it clones its arguments for each slot.
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
}

impl Publisher<Tick> for &Stopping {
    #[inline(always)]
    fn publish(&mut self, event: &'static Tick) -> bool {
        self.emit(event).is_ok()
    }
}
