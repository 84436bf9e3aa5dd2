//! A ring for each publishing thread: a hand-off whose publishers never meet each other.
//!
//! Owns which thread has which ring, and what becomes of the rings of threads that end. How a receiver sleeps is
//! `sleep.rs`, as for a queue.
//!
//! # Invariants
//! 1. A thread's ends of rings lie in a thread-local; no code of a user's runs while that is borrowed.
//! 2. A receiver's end goes through `fresh` to the receiver, which alone reads it, or is dropped there.
//! 3. Whoever finds the receiver gone gives up its own end, and what is in `fresh`.
//!
//! # Orderings
//! | edge  | one side                            | other side             | model that fails without it |
//! |-------|-------------------------------------|------------------------|-----------------------------|
//! | ENDED | add, full fence, `ended`              | see it: Acquire          | `the_ring_of_a_thread_that_ended_is_emptied_first` |
//!
//! `made` is relaxed: it is looked at behind the fences of edge SLEEP, or of edge CLOSE.

use super::parts::{self, Consumer, Producer, RingBuffer, SegQueue};
use super::sleep::{Added, Sleep, Slot};
use super::{QueueFull, RecvError};
use crate::dispatcher::Dispatcher;
use crate::options::SubscribeOptions;
use crate::subscription::Subscription;
use signalpost_core::SubscriberId;
use signalpost_core::sync::Ordering::{Acquire, Relaxed};
use signalpost_core::sync::plain::AtomicU64;
use signalpost_core::sync::{AtomicBool, AtomicUsize, Plant, at, local};
use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// What becomes of an event that finds its thread's ring full. (The oldest cannot give way: it is the receiver's to take.)
pub enum FullRing<X> {
    /// The event is dropped, and counted.
    DropNewest,
    /// The event is stopped, as by [`Full::Stop`](crate::Full::Stop).
    Stop(fn(QueueFull) -> X),
}

impl<X: From<QueueFull>> FullRing<X> {
    /// Stops the event with [`QueueFull`] as it is.
    pub fn stop() -> Self {
        Self::Stop(X::from)
    }
}

impl<X> Clone for FullRing<X> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<X> Copy for FullRing<X> {}

impl<X> fmt::Debug for FullRing<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DropNewest => "DropNewest",
            Self::Stop(_) => "Stop",
        })
    }
}

/// What publishers and the receiver share.
struct Rings<T> {
    id: u64,
    /// Of each ring.
    capacity: usize,
    /// Receivers' ends that the receiver has not seen yet.
    fresh: SegQueue<Theirs<T>>,
    /// How many were ever put there.
    made: AtomicUsize,
    sleep: Sleep,
    dropped: AtomicU64,
}

/// A publishing thread's end.
struct Mine<T> {
    ring: Producer<T>,
    ended: Arc<AtomicBool>,
}

/// The receiver's end.
struct Theirs<T> {
    ring: Consumer<T>,
    ended: Arc<AtomicBool>,
}

impl<T> Drop for Mine<T> {
    fn drop(&mut self) {
        // Edge ENDED: shows what was added before, by the fence that each push is followed by; or, where the first push
        // of a thread at its end is the last, by the list that the receiver's end comes through.
        self.ended.store(true, Relaxed);
    }
}

impl<T> Drop for Theirs<T> {
    /// Else what is in the ring would live as long as the publisher's end.
    fn drop(&mut self) {
        while self.ring.pop().is_ok() {}
    }
}

/// A thread's end of a ring, of whatever items.
trait AnyRing: Any {
    fn is_for_nobody(&self) -> bool;
}

impl<T: 'static> AnyRing for Mine<T> {
    fn is_for_nobody(&self) -> bool {
        self.ring.is_abandoned()
    }
}

type Held = Vec<(u64, Box<dyn AnyRing>)>;
local!(static HELD: RefCell<Held> = RefCell::new(Vec::new()));

/// For models: this thread's ends are given up now, as at the thread's end. loom drops thread-locals in no order, so that
/// more than one with something to do at the end would make executions that do not repeat.
#[cfg(signalpost_loom)]
pub fn end_rings_early() {
    let _ = HELD.try_with(|held| held.take());
}

impl<T: Send + 'static> Rings<T> {
    /// Runs `f` with this thread's end, if it has one.
    #[inline(always)]
    fn with_mine<R>(&self, f: impl FnOnce(&mut Mine<T>) -> R) -> Option<R> {
        let with = |held: &RefCell<Held>| {
            let mut held = held.borrow_mut();
            let (_, mine) = held.iter_mut().find(|(id, _)| *id == self.id)?;
            let mine: &mut dyn Any = &mut **mine;
            Some(f(mine.downcast_mut::<Mine<T>>().expect("ids are never reused")))
        };
        HELD.try_with(with).ok().flatten()
    }

    /// Puts it in this thread's ring, made now if need be; gives it back if that is full.
    #[inline(always)]
    fn push(&self, item: T) -> Result<(), T> {
        let mut item = Some(item);
        let pushed = self.with_mine(|mine| match item.take() {
            Some(item) => parts::push(&mut mine.ring, item),
            None => Ok(()),
        });
        match (pushed, item) {
            (Some(pushed), _) => pushed,
            (None, item) => self.push_first(item),
        }
    }

    /// A thread's first. While its thread-locals are being dropped there is nowhere to keep an end, and each is the first.
    #[cold]
    #[inline(never)]
    fn push_first(&self, item: Option<T>) -> Result<(), T> {
        let ended = Arc::new(AtomicBool::new(false));
        let (producer, consumer) = RingBuffer::new(self.capacity);
        let mut mine = Mine { ring: producer, ended: ended.clone() };
        let pushed = item.map_or(Ok(()), |item| parts::push(&mut mine.ring, item));
        self.fresh.push(Theirs { ring: consumer, ended });
        self.made.fetch_add(1, Relaxed);
        let mine: Box<dyn AnyRing> = Box::new(mine);
        let keep = move |held: &RefCell<Held>| {
            let mut held = held.borrow_mut();
            held.push((self.id, mine));
            held.extract_if(.., |(_, ring)| ring.is_for_nobody()).collect::<Held>()
        };
        drop(HELD.try_with(keep)); // what nobody reads any more, with nothing borrowed
        pushed
    }

    /// Nobody receives any more.
    #[cold]
    #[inline(never)]
    fn give_up(&self) {
        let take = |held: &RefCell<Held>| {
            let mut held = held.borrow_mut();
            let place = held.iter().position(|(id, _)| *id == self.id)?;
            Some(held.swap_remove(place))
        };
        drop(HELD.try_with(take));
        while self.fresh.pop().is_some() {}
    }

    #[inline(always)]
    fn offer<X>(&self, item: T, full: FullRing<X>, last: bool) -> Result<(), X> {
        let pushed = self.push(item);
        if (last || pushed.is_ok()) && self.sleep.added(last) == Added::ForNobody {
            self.give_up();
        }
        match pushed {
            Ok(()) => Ok(()),
            Err(lost) => self.lose(lost, full),
        }
    }

    /// Last of all: the destructor of what is lost may panic.
    #[cold]
    fn lose<X>(&self, lost: T, full: FullRing<X>) -> Result<(), X> {
        self.dropped.fetch_add(1, Relaxed);
        drop(lost);
        match full {
            FullRing::Stop(stop) => Err(stop(QueueFull { capacity: self.capacity })),
            FullRing::DropNewest => Ok(()),
        }
    }
}

/// The subscriber's end.
struct Sender<T>(Arc<Rings<T>>);

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.sleep.close();
    }
}

/// The subscriber that fills rings, and how its subscription becomes the receiver.
///
/// # Panics
/// If the capacity is 0.
#[track_caller]
pub(crate) fn rings<E: ?Sized, T: Send + 'static, X: 'static>(
    options: SubscribeOptions,
    capacity: usize,
    full: FullRing<X>,
    map: impl Fn(&E) -> Option<T> + Send + Sync + 'static,
) -> (impl Fn(&E) -> Result<(), X> + Send + Sync + 'static, impl FnOnce(Subscription) -> RingReceiver<T>) {
    static IDS: AtomicU64 = AtomicU64::new(0);
    assert!(capacity > 0, "a ring needs a capacity of at least 1");
    let shared = Arc::new(Rings {
        id: IDS.fetch_add(1, Relaxed),
        capacity,
        fresh: SegQueue::new(),
        made: AtomicUsize::new(0),
        sleep: Sleep::new(1),
        dropped: AtomicU64::new(0),
    });
    let sender = Sender(shared.clone());
    let push = move |event: &E| {
        let shared = &*sender.0;
        if shared.sleep.is_gone() {
            shared.give_up();
            return Ok(());
        }
        match map(event) {
            // Once is the last: the closure may live on until the next write.
            Some(item) => shared.offer(item, full, options.once),
            None => {
                if options.once {
                    shared.sleep.close();
                }
                Ok(())
            }
        }
    };
    let receiver =
        move |subscription| RingReceiver { shared, subscription, reader: Reader::new(), slot: None };
    (push, receiver)
}

impl<E: ?Sized + 'static, X: 'static> Dispatcher<E, X> {
    /// Registers a ring for each publishing thread, with one receiver that reads them all. As
    /// [`subscribe_queue`](Self::subscribe_queue), but a push is wait-free: publishers never meet each other, nor
    /// does one that finds its ring full wait for a receiver half-way through taking.
    ///
    /// Order is kept for each thread; of several threads' events, whichever is come upon first. The rings are those of
    /// [`rtrb`].
    ///
    /// # What a publish costs
    /// The clone, a look for this thread's ring, a push, a full fence and a load. A thread's first publish makes
    /// its ring, which allocates for the whole capacity and enrols it in a list that is lock-free
    /// ([`crossbeam_queue::SegQueue`]); [`RingReceiver::warm_up`] has that done before. Waking is as for a queue.
    ///
    /// The ring of a thread that ended is emptied, then freed. A thread that keeps running after the receiver is gone
    /// keeps the memory of its ring, empty, until it makes another one or ends.
    ///
    /// # Panics
    /// If the capacity is 0. While publishing: if `clone` does.
    ///
    /// # Examples
    /// ```
    /// use signalpost::{Dispatcher, FullRing};
    /// use std::{convert::Infallible, thread};
    ///
    /// let ticks: Dispatcher<u64, Infallible> = Dispatcher::new();
    /// let mut receiver = ticks.subscribe_rings(64, FullRing::DropNewest);
    /// thread::scope(|scope| {
    ///     for base in [10, 20] {
    ///         let ticks = &ticks;
    ///         scope.spawn(move || (base..base + 3).for_each(|n| ticks.publish(&n)));
    ///     }
    /// });
    /// let mut all: Vec<u64> = receiver.try_iter().collect();
    /// all.sort();
    /// assert_eq!(all, [10, 11, 12, 20, 21, 22]);
    /// ```
    #[track_caller]
    pub fn subscribe_rings(&self, capacity_per_thread: usize, full: FullRing<X>) -> RingReceiver<E>
    where
        E: Clone + Send,
    {
        let clone = |event: &E| Some(event.clone());
        self.subscribe_rings_with(SubscribeOptions::new(), capacity_per_thread, full, clone)
    }

    /// As [`subscribe_rings`](Self::subscribe_rings), with options, and with a closure that says what goes into the rings.
    /// See [`subscribe_queue_with`](Self::subscribe_queue_with).
    ///
    /// # Panics
    /// If the capacity is 0. While publishing: if `map` does.
    #[track_caller]
    pub fn subscribe_rings_with<T: Send + 'static>(
        &self,
        options: SubscribeOptions,
        capacity_per_thread: usize,
        full: FullRing<X>,
        map: impl Fn(&E) -> Option<T> + Send + Sync + 'static,
    ) -> RingReceiver<T> {
        let (push, receiver) = rings(options, capacity_per_thread, full, map);
        receiver(self.subscribe_with(options, push))
    }
}

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
                // Edge ENDED.
                if theirs.ended.load(at(Plant::EndSeen, Acquire)) {
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

/// The one that takes events out of the rings of all publishing threads: see [`Dispatcher::subscribe_rings`].
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
