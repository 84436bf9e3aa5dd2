//! Receiving in tasks: a future for one event, and, with the feature `futures`, streams.
//!
//! Owns what a task leaves behind that is dropped while it waits. No executor is needed in particular: a task is whatever
//! wakes when its waker is called.

use super::sleep::Slot;
use super::{Receiver, RecvError, RingReceiver};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// One event of a queue, awaited: what [`Receiver::recv_async`] gives.
#[must_use = "a future does nothing until it is awaited"]
pub struct Recv<'r, T> {
    receiver: &'r Receiver<T>,
    slot: Option<Arc<Slot>>,
}

impl<T> Receiver<T> {
    /// Takes the oldest event; a task waits for one. Dropped before that it takes none, and another receiver is woken
    /// in its place where need be. Of any executor. Kept, but neither polled nor dropped, it may have been told of an event
    /// that nobody else is then told of.
    ///
    /// # Errors
    /// [`RecvError::Closed`].
    pub fn recv_async(&self) -> Recv<'_, T> {
        Recv { receiver: self, slot: None }
    }

    fn poll(&self, slot: &mut Option<Arc<Slot>>, context: &mut Context<'_>) -> Poll<Result<T, RecvError>> {
        let shared = self.shared();
        shared.sleep.poll(slot, context, || shared.look(), || shared.has_more())
    }
}

impl<T> Future for Recv<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let receiver = self.receiver;
        receiver.poll(&mut self.slot, context)
    }
}

impl<T> Drop for Recv<'_, T> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            let shared = self.receiver.shared();
            shared.sleep.release(&slot, || shared.has_more());
        }
    }
}

impl<T> fmt::Debug for Recv<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recv").field("receiver", self.receiver).finish_non_exhaustive()
    }
}

/// Ends when the queue is closed and empty.
#[cfg(feature = "futures")]
impl<T> futures_core::Stream for Receiver<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut slot = self.slot.take();
        let polled = self.poll(&mut slot, context);
        self.slot = slot;
        polled.map(Result::ok)
    }
}

/// Ends when the rings are closed and empty.
#[cfg(feature = "futures")]
impl<T: Send + 'static> futures_core::Stream for RingReceiver<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.get_mut().poll(context).map(Result::ok)
    }
}

/// One event of rings, awaited: what [`RingReceiver::recv_async`] gives.
#[derive(Debug)]
#[must_use = "a future does nothing until it is awaited"]
pub struct RecvRing<'r, T: Send + 'static>(&'r mut RingReceiver<T>);

impl<T: Send + 'static> RingReceiver<T> {
    /// Takes an event; a task waits for one. Of any executor.
    ///
    /// # Errors
    /// [`RecvError::Closed`].
    pub fn recv_async(&mut self) -> RecvRing<'_, T> {
        RecvRing(self)
    }
}

impl<T: Send + 'static> Future for RecvRing<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(context)
    }
}
