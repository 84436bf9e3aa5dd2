//! The receiver of rings.
//!
//! Owns which ring is read when, and what becomes of the rings of threads that have ended.
//!
//! # Orderings
//! | edge  | one side             | other side                  | model that fails without it |
//! |-------|----------------------|-----------------------------|-----------------------------|
//! | ENDED | add, light, `ended`  | see that, heavy, look again | `the_ring_of_a_thread_that_ended_is_emptied_first` |
//!
//! `made` is relaxed: it is looked at behind the barriers of edge SLEEP, or of edge CLOSE.

use super::rings::{Rings, Theirs};
use super::sleep::{Added, Slot};
use super::{Inlet, RecvError};
use crate::subscription::Subscription;
use signalpost_core::sync::Ordering::Relaxed;
use signalpost_core::sync::Plant;
use signalpost_core::{SubscriberId, WaitError};
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// How many events in a row are taken from one ring while there may be others.
const TURN: u32 = 64;

/// Where the receiver is.
struct Reader<T> {
    rings: Vec<Theirs<T>>,
    known: usize,
    place: usize,
    left: u32,
}

impl<T> Reader<T> {
    fn new() -> Self {
        Self { rings: Vec::new(), known: 0, place: 0, left: TURN }
    }

    /// Takes over the rings that were made meanwhile.
    #[inline(always)]
    fn enrol(&mut self, shared: &Rings<T>) {
        if shared.made.load(Relaxed) != self.known {
            while let Some(ring) = shared.fresh.pop() {
                self.rings.push(ring);
                self.known = self.known.wrapping_add(1);
            }
        }
    }

    fn pop(&mut self, shared: &Rings<T>) -> Option<T> {
        self.enrol(shared);
        let mut looked = 0;
        // One more than there are, since the first may merely have had its turn.
        while looked <= self.rings.len() && !self.rings.is_empty() {
            let theirs = &mut self.rings[self.place];
            if self.left > 0 {
                if let Ok(item) = theirs.ring.pop() {
                    self.left -= 1;
                    return Some(item);
                }
                // ORDERING ENDED: shows what the thread added before. Refused, it is asked again the next time.
                if theirs.ended.load(Relaxed) && shared.sleep.heavy(Plant::EndHeavy) {
                    if let Ok(item) = theirs.ring.pop() {
                        return Some(item);
                    }
                    self.rings.swap_remove(self.place);
                    self.place = if self.place < self.rings.len() { self.place } else { 0 };
                    self.left = TURN;
                    continue;
                }
            }
            self.place = (self.place + 1) % self.rings.len();
            self.left = TURN;
            looked += 1;
        }
        None
    }

    fn try_recv(&mut self, shared: &Rings<T>) -> Result<T, RecvError> {
        match self.pop(shared) {
            Some(item) => Ok(item),
            None if shared.sleep.is_closed() => self.pop(shared).ok_or(RecvError::Closed),
            None => Err(RecvError::Empty),
        }
    }

    /// For who would wait while they are empty.
    fn look(&mut self, shared: &Rings<T>) -> Option<Result<T, RecvError>> {
        match self.try_recv(shared) {
            Err(RecvError::Empty) => None,
            found => Some(found),
        }
    }
}

/// The one that takes events out of the rings of all publishing threads: see [`Dispatcher::subscribe_rings`](crate::Dispatcher::subscribe_rings).
///
/// Dropping it ends the subscription and drops what is in the rings. `Send`; there is one, so what takes an event needs
/// it `&mut`.
pub struct RingReceiver<T: Send + 'static> {
    shared: Arc<Rings<T>>,
    subscription: Subscription,
    reader: Reader<T>,
    /// Where a task that awaits an event waits.
    slot: Option<Arc<Slot>>,
}

impl<T: Send + 'static> RingReceiver<T> {
    pub(super) fn new(shared: Arc<Rings<T>>, subscription: Subscription) -> Self {
        Self { shared, subscription, reader: Reader::new(), slot: None }
    }

    /// Takes an event, if there is one. Wait-free, but that it meets new rings in a lock-free list.
    ///
    /// # Errors
    /// [`RecvError::Empty`] or [`RecvError::Closed`].
    pub fn try_recv(&mut self) -> Result<T, RecvError> {
        self.reader.try_recv(&self.shared)
    }

    /// Takes an event; waits for one. Blocking.
    ///
    /// # Errors
    /// [`RecvError::Closed`].
    pub fn recv(&mut self) -> Result<T, RecvError> {
        self.block(None)
    }

    /// Takes an event; waits for one, for so long. Blocking.
    ///
    /// # Errors
    /// [`RecvError::TimedOut`] or [`RecvError::Closed`].
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<T, RecvError> {
        self.block(Instant::now().checked_add(timeout))
    }

    /// Takes an event; waits for one, until then. Blocking.
    ///
    /// # Errors
    /// [`RecvError::TimedOut`] or [`RecvError::Closed`].
    pub fn recv_deadline(&mut self, deadline: Instant) -> Result<T, RecvError> {
        self.block(Some(deadline))
    }

    fn block(&mut self, deadline: Option<Instant>) -> Result<T, RecvError> {
        let Self { shared, reader, .. } = self;
        let found = shared.sleep.block(deadline, || reader.look(shared), || false);
        found.unwrap_or(Err(RecvError::TimedOut))
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<T, RecvError>> {
        let Self { shared, reader, slot, .. } = self;
        shared.sleep.poll(slot, context, || reader.look(shared), || false)
    }

    /// The events as they come, until the subscription has ended and the rings are empty. Blocking.
    pub fn iter(&mut self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| self.recv().ok())
    }

    /// The events that are there. Does not wait.
    pub fn try_iter(&mut self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| self.try_recv().ok())
    }

    /// How many events are in the rings.
    pub fn len(&mut self) -> usize {
        self.reader.enrol(&self.shared);
        self.reader.rings.iter().map(|theirs| theirs.ring.slots()).sum()
    }

    /// Whether none is.
    pub fn is_empty(&mut self) -> bool {
        self.len() == 0
    }

    /// How many a ring holds at most.
    pub fn capacity_per_thread(&self) -> usize {
        self.shared.capacity
    }

    /// How many events were lost to a full ring, dropped or stopped. Exact once the publishes have returned.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Relaxed)
    }

    /// As [`Receiver::is_closed`](crate::Receiver::is_closed).
    pub fn is_closed(&self) -> bool {
        self.shared.sleep.is_closed()
    }

    /// As [`Receiver::cancel`](crate::Receiver::cancel).
    pub fn cancel(&self) -> bool {
        let ended = self.subscription.cancel();
        self.shared.sleep.close();
        ended
    }

    /// Ends the subscription, and waits until no publish is under way that could still put its event in: what is there
    /// then is all there will be. For an orderly end: this, then take what is left. Blocking.
    ///
    /// # Errors
    /// As [`Subscription::cancel_and_wait`]; the subscription is cancelled all the same.
    pub fn cancel_and_wait(&self, timeout: Duration) -> Result<(), WaitError> {
        self.subscription.cancel_and_wait(timeout)
    }

    /// Has publishes skip the rings. See [`Subscription::pause`].
    pub fn pause(&self) -> bool {
        self.subscription.pause()
    }

    /// Undoes [`pause`](Self::pause).
    pub fn resume(&self) -> bool {
        self.subscription.resume()
    }

    /// Which subscriber it is, as [`Stopped`](crate::Stopped) names it.
    pub fn id(&self) -> SubscriberId {
        self.subscription.id()
    }

    /// What a thread that will publish can have its ring made with, before it does.
    ///
    /// # Examples
    /// ```
    /// # use signalpost::{Dispatcher, FullRing};
    /// # use std::{convert::Infallible, thread};
    /// let ticks: Dispatcher<u64, Infallible> = Dispatcher::new();
    /// let mut receiver = ticks.subscribe_rings(64, FullRing::DropNewest);
    /// let rings = receiver.warm_up();
    /// thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         rings.this_thread();
    ///         ticks.publish(&1); // allocates nothing
    ///     });
    /// });
    /// assert_eq!(receiver.try_recv(), Ok(1));
    /// ```
    pub fn warm_up(&self) -> RingWarmUp<T> {
        RingWarmUp { shared: self.shared.clone() }
    }
}

impl<T: Send + 'static> Drop for RingReceiver<T> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.shared.sleep.release(&slot, || false);
        }
        self.shared.sleep.abandon();
        while self.shared.fresh.pop().is_some() {}
        self.reader.rings.clear();
    }
}

impl<T: Send + 'static> fmt::Debug for RingReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingReceiver")
            .field("id", &self.id().get())
            .field("capacity_per_thread", &self.capacity_per_thread())
            .field("dropped", &self.dropped())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// Makes rings before they are needed: see [`RingReceiver::warm_up`].
pub struct RingWarmUp<T> {
    shared: Arc<Rings<T>>,
}

impl<T: Send + 'static> RingWarmUp<T> {
    /// Makes this thread's ring, if it has none, and its mark as a publisher ([`warm_up`](crate::core::warm_up)).
    pub fn this_thread(&self) {
        signalpost_core::warm_up();
        if !self.shared.sleep.is_gone() && self.shared.with_mine(|_| ()).is_none() {
            let _ = self.shared.push_first(None);
            if self.shared.sleep.added(false) == Added::ForNobody {
                self.shared.give_up();
            }
        }
    }
}

impl<T> Clone for RingWarmUp<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<T> fmt::Debug for RingWarmUp<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingWarmUp").field("capacity", &self.shared.capacity).finish_non_exhaustive()
    }
}

/// The events of rings as they come, until the subscription has ended and they are empty. Blocking.
#[derive(Debug)]
pub struct RingIntoIter<T: Send + 'static>(RingReceiver<T>);

impl<T: Send + 'static> Iterator for RingIntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}

impl<T: Send + 'static> IntoIterator for RingReceiver<T> {
    type Item = T;
    type IntoIter = RingIntoIter<T>;

    fn into_iter(self) -> RingIntoIter<T> {
        RingIntoIter(self)
    }
}
