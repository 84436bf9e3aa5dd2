//! The receivers of a queue.
//!
//! Owns what the clones of a receiver have in common, and what becomes of a queue when the last is dropped.

use super::sleep::Slot;
use super::{RecvError, Shared};
use crate::subscription::Subscription;
use signalpost_core::sync::plain::Relaxed;
use signalpost_core::{SubscriberId, WaitError};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The end of a queue that takes out. Clones share the queue: each event goes to one of them.
///
/// Of a publishing thread's events each receiver gets its own in the order in which they were published; of several threads', in the
/// order in which they came in. When the last receiver is dropped the subscription ends, and what is in the queue is dropped.
///
/// Whoever waits in a subscriber of the dispatcher that fills the queue waits for ever, if nobody else publishes.
///
/// `Send`, and `Sync` too: several threads may also wait through one receiver.
pub struct Receiver<T> {
    queue: Arc<Received<T>>,
    /// Where a task that awaits the stream waits.
    pub(super) slot: Option<Arc<Slot>>,
}

/// What the clones of a receiver have in common.
struct Received<T> {
    shared: Arc<Shared<T>>,
    subscription: Subscription,
}

impl<T> Drop for Received<T> {
    fn drop(&mut self) {
        self.shared.sleep.abandon();
        self.shared.clear();
    }
}

impl<T> Receiver<T> {
    pub(super) fn new(shared: Arc<Shared<T>>, subscription: Subscription) -> Self {
        Self { queue: Arc::new(Received { shared, subscription }), slot: None }
    }

    pub(super) fn shared(&self) -> &Shared<T> {
        &self.queue.shared
    }

    /// Takes the oldest event, if there is one. Waits only for a thread that is half-way through the same place in the
    /// queue.
    ///
    /// # Errors
    /// [`RecvError::Empty`] or [`RecvError::Closed`].
    pub fn try_recv(&self) -> Result<T, RecvError> {
        self.shared().try_recv()
    }

    /// Takes the oldest event; waits for one. Blocking.
    ///
    /// # Errors
    /// [`RecvError::Closed`].
    pub fn recv(&self) -> Result<T, RecvError> {
        self.block(None)
    }

    /// Takes the oldest event; waits for one, for so long. Blocking.
    ///
    /// # Errors
    /// [`RecvError::TimedOut`] or [`RecvError::Closed`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvError> {
        self.block(Instant::now().checked_add(timeout))
    }

    /// Takes the oldest event; waits for one, until then. Blocking.
    ///
    /// # Errors
    /// [`RecvError::TimedOut`] or [`RecvError::Closed`].
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvError> {
        self.block(Some(deadline))
    }

    fn block(&self, deadline: Option<Instant>) -> Result<T, RecvError> {
        let shared = self.shared();
        let found = shared.sleep.block(deadline, || shared.look(), || shared.has_more());
        found.unwrap_or(Err(RecvError::TimedOut))
    }

    /// The events as they come, until the queue is closed and empty. Blocking.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| self.recv().ok())
    }

    /// The events that are there. Does not wait.
    pub fn try_iter(&self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| self.try_recv().ok())
    }

    /// How many events are in the queue.
    pub fn len(&self) -> usize {
        self.shared().queue.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.shared().queue.is_empty()
    }

    /// How many it holds at most.
    pub fn capacity(&self) -> usize {
        self.shared().queue.capacity()
    }

    /// How many events were lost to a full queue: dropped, old or new, or stopped. Exact once the publishes have returned.
    pub fn dropped(&self) -> u64 {
        self.shared().dropped.load(Relaxed)
    }

    /// Whether nothing more will come, but perhaps by a publish that is under way. There may still be events to take.
    ///
    /// After [`cancel`](Self::cancel) at once; where the dispatcher is gone, or ended the subscription by itself, when
    /// the subscriber has been dropped.
    pub fn is_closed(&self) -> bool {
        self.shared().sleep.is_closed()
    }

    /// Ends the subscription, for all clones, and says whether this call did. What is in the queue can still be
    /// taken; a publish that is under way may still put its event there. Whoever waits returns.
    ///
    /// Otherwise as [`Subscription::cancel`].
    pub fn cancel(&self) -> bool {
        let ended = self.queue.subscription.cancel();
        self.shared().sleep.close();
        ended
    }

    /// Ends the subscription, for all clones, and waits until no publish is under way that could still put its event in: what is there
    /// then is all there will be. For an orderly end: this, then take what is left. Blocking.
    ///
    /// # Errors
    /// As [`Subscription::cancel_and_wait`]; the subscription is cancelled all the same.
    ///
    /// # Examples
    /// ```
    /// use signalpost::{Dispatcher, Full};
    /// use std::{convert::Infallible, time::Duration};
    ///
    /// let jobs: Dispatcher<u32, Infallible> = Dispatcher::new();
    /// let queue = jobs.subscribe_queue(8, Full::DropNewest);
    /// jobs.publish(&1);
    /// queue.cancel_and_wait(Duration::from_secs(1))?;
    /// jobs.publish(&2); // finds nobody
    /// assert_eq!(queue.iter().collect::<Vec<_>>(), [1]);
    /// # Ok::<(), signalpost::WaitError>(())
    /// ```
    pub fn cancel_and_wait(&self, timeout: Duration) -> Result<(), WaitError> {
        self.queue.subscription.cancel_and_wait(timeout)
    }

    /// Has publishes skip the queue, for all clones. See [`Subscription::pause`].
    pub fn pause(&self) -> bool {
        self.queue.subscription.pause()
    }

    /// Undoes [`pause`](Self::pause).
    pub fn resume(&self) -> bool {
        self.queue.subscription.resume()
    }

    /// Which subscriber it is, as [`Stopped`](crate::Stopped) names it.
    pub fn id(&self) -> SubscriberId {
        self.queue.subscription.id()
    }
}

impl<T> Clone for Receiver<T> {
    /// Another receiver of the same queue. Allocates.
    fn clone(&self) -> Self {
        let clone = Self { queue: self.queue.clone(), slot: None };
        self.shared().sleep.prepare(Arc::strong_count(&self.queue));
        clone
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.shared().sleep.release(&slot, || self.shared().has_more());
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("id", &self.id().get())
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .field("dropped", &self.dropped())
            .field("closed", &self.is_closed())
            .finish()
    }
}

/// The events of a queue as they come, until it is closed and empty. Blocking.
#[derive(Debug)]
pub struct IntoIter<T>(Receiver<T>);

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter(self)
    }
}
