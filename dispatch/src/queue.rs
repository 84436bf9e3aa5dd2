//! Hand-off: a subscriber that puts events into a queue, for other threads and tasks to take out.
//!
//! Owns what a full queue means and when a queue is closed. Not here: receivers (`receiver.rs`, `future.rs`), how one falls
//! asleep and is woken (`sleep.rs`), a ring for each publishing thread (`rings.rs`, `ring_receiver.rs`), the queues
//! themselves (`parts.rs`).
//!
//! # Invariants
//! 1. The subscriber's closure owns the one [`Sender`]; with that the queue is closed.
//! 2. What is in the queue when the last receiver goes is dropped by that; what is added later, by who adds it.

mod future;
mod parts;
mod receiver;
mod ring_receiver;
mod rings;
mod sleep;

pub use future::{Recv, RecvRing};
pub use receiver::{IntoIter, Receiver};
pub use ring_receiver::{RingIntoIter, RingReceiver, RingWarmUp};
pub use rings::FullRing;
#[cfg(signalpost_loom)]
pub use rings::end_rings_early;
pub(crate) use rings::into_rings;

use crate::dispatcher::Dispatcher;
use crate::options::SubscribeOptions;
use crate::subscription::Subscription;
use parts::ArrayQueue;
use signalpost_core::sync::plain::{AtomicU64, Relaxed};
use sleep::{Added, Sleep};
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// What becomes of an event that finds the queue full. There is no default: each loses something.
pub enum Full<X> {
    /// The event is dropped, and counted. What is in the queue stays.
    DropNewest,
    /// The oldest event in the queue is dropped, and counted, and the new one put in.
    DropOldest,
    /// The event is stopped: the publisher is given what this function makes of [`QueueFull`], and later subscribers are
    /// not called. Counted as well. See [`Full::stop`]. (With `X = Infallible` there is no such function.)
    Stop(fn(QueueFull) -> X),
}

impl<X: From<QueueFull>> Full<X> {
    /// Stops the event with [`QueueFull`] as it is, for [`BoxError`](crate::BoxError), [`BusStop`](crate::BusStop) and
    /// errors of your own that are made of it.
    ///
    /// Where nothing can stop an event it cannot be said:
    /// ```compile_fail,E0277
    /// # use signalpost::{Dispatcher, Full};
    /// let ticks: Dispatcher<u64, std::convert::Infallible> = Dispatcher::new();
    /// let receiver = ticks.subscribe_queue(8, Full::stop());
    /// ```
    pub fn stop() -> Self {
        Self::Stop(X::from)
    }
}

impl<X> Full<X> {
    fn stops(self) -> Option<fn(QueueFull) -> X> {
        match self {
            Self::Stop(stop) => Some(stop),
            Self::DropNewest | Self::DropOldest => None,
        }
    }
}

impl<X> Clone for Full<X> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<X> Copy for Full<X> {}

impl<X> fmt::Debug for Full<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DropNewest => "DropNewest",
            Self::DropOldest => "DropOldest",
            Self::Stop(_) => "Stop",
        })
    }
}

/// A queue had no place left for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueFull {
    /// How many events it holds.
    pub capacity: usize,
}

impl fmt::Display for QueueFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the queue is full: its capacity is {}", self.capacity)
    }
}

impl Error for QueueFull {}

/// Why a receiver has nothing to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvError {
    /// Nothing is there now. From `try_recv` alone.
    Empty,
    /// Nothing came in time. From `recv_timeout` and `recv_deadline` alone.
    TimedOut,
    /// Nothing is there, and nothing will come: the subscription was cancelled, ended by itself, or the dispatcher is gone.
    /// (One event may still come after a `cancel`: see there.)
    Closed,
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the queue is empty for now",
            Self::TimedOut => "nothing arrived in time",
            Self::Closed => "the queue is empty, and nothing will come: its subscription has ended",
        })
    }
}

impl Error for RecvError {}

/// What publishers and receivers share.
struct Shared<T> {
    queue: ArrayQueue<T>,
    sleep: Sleep,
    dropped: AtomicU64,
}

impl<T> Shared<T> {
    #[inline(always)]
    fn push<X>(&self, item: T, full: Full<X>, last: bool) -> Result<(), X> {
        let pushed = match full {
            Full::DropOldest => self.queue.force_push(item).map_or(Ok(()), Err),
            Full::DropNewest | Full::Stop(_) => self.queue.push(item),
        };
        // Also where nothing was added, which costs no more.
        if self.sleep.added(last) == Added::ForNobody {
            self.clear();
        }
        match pushed {
            Ok(()) => Ok(()),
            Err(lost) => lose(lost, &self.dropped, self.queue.capacity(), full.stops()),
        }
    }

    #[cold]
    fn clear(&self) {
        while self.queue.pop().is_some() {}
    }

    fn try_recv(&self) -> Result<T, RecvError> {
        match self.queue.pop() {
            Some(item) => Ok(item),
            None if self.sleep.is_closed() => self.queue.pop().ok_or(RecvError::Closed),
            None => Err(RecvError::Empty),
        }
    }

    /// For who would wait while it is empty.
    fn look(&self) -> Option<Result<T, RecvError>> {
        match self.try_recv() {
            Err(RecvError::Empty) => None,
            found => Some(found),
        }
    }

    fn has_more(&self) -> bool {
        !self.queue.is_empty()
    }
}

impl<T> Inlet for Shared<T> {
    fn sleep(&self) -> &Sleep {
        &self.sleep
    }
}

/// What a subscriber puts events into.
trait Inlet {
    fn sleep(&self) -> &Sleep;

    /// The subscriber has found that nobody receives any more.
    fn give_up(&self) {}
}

/// The subscriber's end.
struct Sender<I: Inlet>(Arc<I>);

impl<I: Inlet> Drop for Sender<I> {
    fn drop(&mut self) {
        self.0.sleep().close();
    }
}

/// The subscriber: what `map` makes of an event goes where `offer` puts it. A once subscriber is closed by its first event.
fn fill<I: Inlet, E: ?Sized, T, X>(
    inlet: Arc<I>,
    once: bool,
    map: impl Fn(&E) -> Option<T> + Send + Sync + 'static,
    offer: impl Fn(&I, T) -> Result<(), X> + Send + Sync + 'static,
) -> impl Fn(&E) -> Result<(), X> {
    let sender = Sender(inlet);
    move |event: &E| {
        let inlet = &*sender.0;
        if inlet.sleep().is_gone() {
            inlet.give_up();
            return Ok(());
        }
        match map(event) {
            Some(item) => offer(inlet, item),
            None => {
                if once {
                    inlet.sleep().close();
                }
                Ok(())
            }
        }
    }
}

/// Counts and drops what found no place, and stops the event if that is how it is to be. Last of all: the destructor may panic.
#[cold]
fn lose<T, X>(
    lost: T,
    dropped: &AtomicU64,
    capacity: usize,
    stop: Option<fn(QueueFull) -> X>,
) -> Result<(), X> {
    dropped.fetch_add(1, Relaxed);
    drop(lost);
    stop.map_or(Ok(()), |stop| Err(stop(QueueFull { capacity })))
}

/// The subscriber that fills a queue, and how its subscription becomes the receiver.
///
/// # Panics
/// If the capacity is 0.
#[track_caller]
pub(crate) fn into_queue<E: ?Sized + 'static, T: Send + 'static, X: 'static>(
    options: SubscribeOptions,
    capacity: usize,
    full: Full<X>,
    map: impl Fn(&E) -> Option<T> + Send + Sync + 'static,
) -> (impl Fn(&E) -> Result<(), X> + Send + Sync + 'static, impl FnOnce(Subscription) -> Receiver<T>) {
    assert!(capacity > 0, "a queue needs a capacity of at least 1");
    let shared = Arc::new(Shared {
        queue: ArrayQueue::new(capacity),
        sleep: Sleep::new(1),
        dropped: AtomicU64::new(0),
    });
    // Once is the last: the closure may live on until the next write.
    let push = move |shared: &Shared<T>, item| shared.push(item, full, options.once);
    (fill(shared.clone(), options.once, map, push), |subscription| Receiver::new(shared, subscription))
}

impl<E: ?Sized + 'static, X: 'static> Dispatcher<E, X> {
    /// Registers a queue: events are cloned into it by the publishing thread, and taken out of it by whoever has the
    /// receiver. The publisher never waits for a receiver to do so; what becomes of an event that finds the queue full
    /// is for `full` to say.
    ///
    /// # What a publish costs
    /// The clone, a push and a load. A push to [`crossbeam_queue::ArrayQueue`] claims a place by compare and
    /// swap, writes the event there, and releases the place: a few instructions with nobody in the way, no lock, no
    /// allocation, no system call. But it is not wait-free, nor lock-free in the strict sense. Who comes upon a place that
    /// was claimed and not yet released spins, or yields the processor, until that thread goes on: a
    /// publisher that was interrupted half-way through a push, once the others have filled the rest of the queue; or, in a full
    /// queue, a receiver that was interrupted half-way through taking. Where that is too much there is
    /// [`subscribe_rings`](Self::subscribe_rings).
    ///
    /// Where a receiver sleeps, one of them is woken, at the cost of a system call for a thread, or of a task's waker, which is
    /// its executor's code. At most once for each time that it falls asleep; and never while receivers poll. (Where readers run
    /// fences, see [`Barrier`](crate::core::Barrier), so does each push; elsewhere who falls asleep makes a system call for them.)
    ///
    /// What is dropped for want of space (and, with the last receiver gone, what comes late) is dropped on the publishing
    /// thread, with what its destructor costs.
    ///
    /// # Panics
    /// If the capacity is 0. Memory for the whole capacity is taken at once. While publishing: if `clone` does, or the
    /// destructor of what is dropped.
    ///
    /// # Examples
    /// ```
    /// use signalpost::{Dispatcher, Full, RecvError};
    /// use std::{convert::Infallible, thread};
    ///
    /// let ticks: Dispatcher<u64, Infallible> = Dispatcher::new();
    /// let receiver = ticks.subscribe_queue(64, Full::DropOldest);
    /// let sum = thread::spawn(move || receiver.iter().sum::<u64>());
    /// for n in 1..=10 {
    ///     ticks.publish(&n);
    /// }
    /// drop(ticks); // the end of the queue: what is in it is received first
    /// assert_eq!(sum.join().unwrap(), 55);
    /// ```
    ///
    /// A full queue can stop the event:
    /// ```
    /// use signalpost::{Dispatcher, Full, QueueFull};
    ///
    /// let jobs: Dispatcher<&'static str> = Dispatcher::new();
    /// let receiver = jobs.subscribe_queue(1, Full::stop());
    /// jobs.publish(&"first")?;
    /// let stopped = jobs.publish(&"second").unwrap_err();
    /// assert!(stopped.error.is::<QueueFull>());
    /// assert_eq!(receiver.try_recv().unwrap(), "first");
    /// # Ok::<(), signalpost::BoxError>(())
    /// ```
    #[track_caller]
    pub fn subscribe_queue(&self, capacity: usize, full: Full<X>) -> Receiver<E>
    where
        E: Clone + Send,
    {
        self.subscribe_queue_with(SubscribeOptions::new(), capacity, full, |event: &E| Some(event.clone()))
    }

    /// As [`subscribe_queue`](Self::subscribe_queue), with options, and with a closure that says what goes into the queue:
    /// of which events, and what of them. It runs on the publishing thread; for events that cannot be cloned or sent,
    /// unsized ones, or where only a part is of use.
    ///
    /// A [once](SubscribeOptions::once) queue is closed by the first event that reaches it, whether that was let in or not.
    ///
    /// # Panics
    /// If the capacity is 0. While publishing: if `map` does.
    ///
    /// # Examples
    /// ```
    /// use signalpost::{Dispatcher, Full, SubscribeOptions};
    ///
    /// let lines: Dispatcher<str> = Dispatcher::new();
    /// let errors = lines.subscribe_queue_with(SubscribeOptions::new(), 8, Full::DropNewest, |line: &str| {
    ///     line.strip_prefix("error: ").map(str::to_owned)
    /// });
    /// lines.publish("note: all is well")?;
    /// lines.publish("error: disk full")?;
    /// assert_eq!(errors.try_iter().collect::<Vec<_>>(), ["disk full"]);
    /// # Ok::<(), signalpost::BoxError>(())
    /// ```
    #[track_caller]
    pub fn subscribe_queue_with<T: Send + 'static>(
        &self,
        options: SubscribeOptions,
        capacity: usize,
        full: Full<X>,
        map: impl Fn(&E) -> Option<T> + Send + Sync + 'static,
    ) -> Receiver<T> {
        let (push, receiver) = into_queue(options, capacity, full, map);
        receiver(self.subscribe_with(options, push))
    }
}
