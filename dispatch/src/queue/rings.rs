//! A ring for each publishing thread: a hand-off whose publishers never meet each other.
//!
//! Owns which thread has which ring, and the publishing ends. Not here: who reads them (`ring_receiver.rs`), how it sleeps
//! (`sleep.rs`).
//!
//! # Invariants
//! 1. A thread's ends of rings lie in a thread-local; no code of a user's runs while that is borrowed.
//! 2. A receiver's end goes through `fresh` to the receiver, which alone reads it, or is dropped there.
//! 3. Whoever finds the receiver gone gives up its own end, and what is in `fresh`.

use super::parts::{self, Consumer, Producer, RingBuffer, SegQueue};
use super::sleep::{Added, Sleep};
use super::{Inlet, QueueFull, RingReceiver, fill, lose};
use crate::dispatcher::Dispatcher;
use crate::options::SubscribeOptions;
use crate::subscription::Subscription;
use signalpost_core::sync::Ordering::Relaxed;
use signalpost_core::sync::plain::AtomicU64;
use signalpost_core::sync::{AtomicBool, AtomicUsize, local};
use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

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

impl<X> FullRing<X> {
    fn stops(self) -> Option<fn(QueueFull) -> X> {
        match self {
            Self::Stop(stop) => Some(stop),
            Self::DropNewest => None,
        }
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
pub(super) struct Rings<T> {
    id: u64,
    /// Of each ring.
    pub(super) capacity: usize,
    /// Receivers' ends that the receiver has not seen yet.
    pub(super) fresh: SegQueue<Theirs<T>>,
    /// How many were ever put there.
    pub(super) made: AtomicUsize,
    pub(super) sleep: Sleep,
    pub(super) dropped: AtomicU64,
}

/// A publishing thread's end.
pub(super) struct Mine<T> {
    ring: Producer<T>,
    ended: Arc<AtomicBool>,
}

/// The receiver's end.
pub(super) struct Theirs<T> {
    pub(super) ring: Consumer<T>,
    pub(super) ended: Arc<AtomicBool>,
}

impl<T> Drop for Mine<T> {
    fn drop(&mut self) {
        // Edge ENDED: the receiver's barrier shows what was added before.
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
    pub(super) fn with_mine<R>(&self, f: impl FnOnce(&mut Mine<T>) -> R) -> Option<R> {
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
    pub(super) fn push_first(&self, item: Option<T>) -> Result<(), T> {
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

    #[inline(always)]
    fn offer<X>(&self, item: T, full: FullRing<X>, last: bool) -> Result<(), X> {
        let pushed = self.push(item);
        if (last || pushed.is_ok()) && self.sleep.added(last) == Added::ForNobody {
            self.give_up();
        }
        match pushed {
            Ok(()) => Ok(()),
            Err(lost) => lose(lost, &self.dropped, self.capacity, full.stops()),
        }
    }
}

impl<T: Send + 'static> Inlet for Rings<T> {
    fn sleep(&self) -> &Sleep {
        &self.sleep
    }

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
}

/// The subscriber that fills rings, and how its subscription becomes the receiver.
///
/// # Panics
/// If the capacity is 0.
#[track_caller]
pub(crate) fn into_rings<E: ?Sized + 'static, T: Send + 'static, X: 'static>(
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
    // Once is the last: the closure may live on until the next write.
    let push = move |shared: &Rings<T>, item| shared.offer(item, full, options.once);
    (fill(shared.clone(), options.once, map, push), |subscription| RingReceiver::new(shared, subscription))
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
    /// The clone, a look for this thread's ring, a push and a load. A thread's first publish makes
    /// its ring, which allocates for the whole capacity and enrols it in a list that is lock-free
    /// ([`crossbeam_queue::SegQueue`]); [`RingReceiver::warm_up`] has that done before. Waking is as for a queue.
    ///
    /// The ring of a thread that ended is emptied, then freed, when the receiver next looks: threads that come and go while it
    /// does not leave a ring each. A thread that keeps running after the receiver is gone
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
    ///         scope.spawn(move || {
    ///             for n in base..base + 3 {
    ///                 ticks.publish(&n);
    ///             }
    ///         });
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
        let (push, receiver) = into_rings(options, capacity_per_thread, full, map);
        receiver(self.subscribe_with(options, push))
    }
}
