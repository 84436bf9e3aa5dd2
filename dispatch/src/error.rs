//! What can go wrong, and what the caller needs to know of it.

use signalpost_core::{SubscriberId, SubscriberName, TooDeep};
use std::any::Any;
use std::error::Error;
use std::fmt;

/// What stops an event unless a dispatcher says otherwise: any error.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// A subscriber stopped the event; those after it were not called.
///
/// An [`Error`] where `X` can be shown. (`X` need not be an error itself, and a boxed one is none, so it is
/// part of the message instead of the `source`.)
#[derive(Debug)]
pub struct Stopped<X> {
    /// What the subscriber returned, unchanged.
    pub error: X,
    /// Who it was: id, name and source location, all `'static`.
    pub subscriber: SubscriberName,
    /// Its place in the list that this publish saw, from 0. Paused ones count.
    pub position: usize,
    /// How many came after it in that list.
    pub not_run: usize,
}

impl<X: fmt::Display> fmt::Display for Stopped<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { error, subscriber, position, not_run } = self;
        let (place, of) = (position + 1, position + 1 + not_run);
        write!(f, "subscriber {subscriber} ({place} of {of}) stopped the event: {error}")
    }
}

impl<X: fmt::Debug + fmt::Display> Error for Stopped<X> {}

/// Why [`try_publish`](crate::Dispatcher::try_publish) did not run every subscriber.
#[derive(Debug)]
pub enum PublishError<X> {
    /// A subscriber stopped the event.
    Stopped(Stopped<X>),
    /// This thread is inside as many publishes as the dispatcher allows; nobody was called.
    TooDeep(TooDeep),
}

impl<X: fmt::Display> fmt::Display for PublishError<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped(stopped) => stopped.fmt(f),
            Self::TooDeep(deep) => deep.fmt(f),
        }
    }
}

impl<X: fmt::Debug + fmt::Display> Error for PublishError<X> {}

/// A subscriber stopped the event, and those that had run were told to undo.
#[derive(Debug)]
pub struct Undone<X> {
    /// Who stopped it, and with what.
    pub stopped: Stopped<X>,
    /// What subscribers answered to the undo with an error, newest first. The others were told all the same.
    pub undo_errors: Vec<(SubscriberId, X)>,
}

impl<X: fmt::Display> fmt::Display for Undone<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stopped.fmt(f)?;
        for (id, error) in &self.undo_errors {
            write!(f, "; subscriber {id} failed to undo: {error}")?;
        }
        Ok(())
    }
}

impl<X: fmt::Debug + fmt::Display> Error for Undone<X> {}

/// Why a [`scope`](crate::Dispatcher::scope) was not entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScopeError {
    /// This thread is inside a publish of the same dispatcher (or more than six deep in any): the end of the scope would
    /// wait for that publish, which waits for the scope.
    InsidePublish,
    /// The kernel refuses the barrier that the end of the scope would wait with. See [`WaitError::BarrierLost`].
    ///
    /// [`WaitError::BarrierLost`]: signalpost_core::WaitError::BarrierLost
    BarrierLost,
}

impl fmt::Display for ScopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InsidePublish => {
                "cannot enter a scope inside a publish of the same dispatcher: its end would wait for that publish"
            }
            Self::BarrierLost => {
                "cannot enter a scope: membarrier, which its end needs, worked at the start and is refused now"
            }
        })
    }
}

impl Error for ScopeError {}

/// What `panic!` was given, if it was text.
#[doc(hidden)] // for monitor and patch: not part of what semver covers
pub fn panic_text(payload: &(dyn Any + Send)) -> Option<&str> {
    let text = payload.downcast_ref::<&'static str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}
