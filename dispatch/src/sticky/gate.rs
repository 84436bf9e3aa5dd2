//! What keeps a late subscriber's events in order while it catches up: publishers leave theirs here, until it opens.
//!
//! Owns the step from "left here" to "run by the publisher". Not here: which event a subscriber begins with (`sticky.rs`).
//!
//! # Invariants
//! 1. Links are taken out by the one thread that catches up, all at once; publishers only add.
//! 2. `Open` and `Over` are the last: nothing is added to them or takes their place.
//! 3. The gate opens where nothing is left in it, in one step: so an event is either left before that, and run by the thread
//!    that catches up, or run by its publisher, after all that was left.
//!
//! # Orderings
//! | edge | publisher             | who catches up           | model that fails without it |
//! |------|-----------------------|--------------------------|-----------------------------|
//! | OPEN | load `after`: Acquire | store it: Release        | `an_open_gate_shows_what_was_caught_up` |

use super::Numbered;
use super::swap::Swap;
use signalpost_core::sync::Ordering::{Acquire, Release};
use signalpost_core::sync::{AtomicU64, Plant, at};
use std::sync::Arc;

/// The gate of one subscriber.
pub(super) struct Gate<E> {
    /// Events with numbers above this are run by their publishers; [`CLOSED`] while the subscriber catches up.
    after: AtomicU64,
    newest: Swap<Link<E>>,
}

const CLOSED: u64 = u64::MAX;

/// What is in a closed gate, newest first.
struct Link<E> {
    what: What<E>,
    before: Option<Arc<Link<E>>>,
}

enum What<E> {
    Nothing,
    Event(Arc<Numbered<E>>),
    /// Events with numbers above this are run by their publishers.
    Open(u64),
    /// The subscriber will never have caught up: its replay panicked.
    Over,
}

impl<E> Link<E> {
    fn only(what: What<E>) -> Arc<Self> {
        Arc::new(Self { what, before: None })
    }
}

impl<E> Drop for Link<E> {
    /// One by one: a long chain would overflow the stack.
    fn drop(&mut self) {
        let mut next = self.before.take();
        while let Some(mut link) = next.and_then(Arc::into_inner) {
            next = link.before.take();
        }
    }
}

impl<E> Gate<E> {
    pub(super) fn closed() -> Self {
        Self { after: AtomicU64::new(CLOSED), newest: Swap::new(Link::only(What::Nothing)) }
    }

    /// A publisher is here: whether it is to run the subscriber itself. Else the event has been left, or is none of the
    /// subscriber's.
    #[inline]
    pub(super) fn lets_through(&self, event: &Arc<Numbered<E>>) -> bool {
        match self.after.load(at(Plant::GateSeen, Acquire)) {
            CLOSED => self.leave(event),
            after => event.number > after,
        }
    }

    #[cold]
    fn leave(&self, event: &Arc<Numbered<E>>) -> bool {
        loop {
            let seen = self.newest.load();
            let before = match &seen.what {
                What::Open(after) => return event.number > *after,
                What::Over => return false,
                What::Nothing => None,
                What::Event(_) => Some(Arc::clone(&seen)),
            };
            let link = Arc::new(Link { what: What::Event(event.clone()), before });
            if self.newest.replace(&seen, link) {
                return false;
            }
        }
    }

    /// What has been left, in the order in which it was; `None` if that is nothing: then the gate has been opened.
    pub(super) fn take_or_open(&self, after: u64) -> Option<Vec<Arc<Numbered<E>>>> {
        let seen = Arc::clone(&self.newest.load());
        if matches!(seen.what, What::Nothing) && self.newest.replace(&seen, Link::only(What::Open(after))) {
            // Edge OPEN: what was caught up is seen by those who are let through.
            self.after.store(after, at(Plant::GateOpen, Release));
            return None;
        }
        drop(seen);
        let newest = self.newest.swap(Link::only(What::Nothing));
        let mut left = Vec::new();
        let mut next = Some(&newest);
        while let Some(link) = next {
            if let What::Event(event) = &link.what {
                left.push(event.clone());
            }
            next = link.before.as_ref();
        }
        left.reverse();
        Some(left)
    }

    /// Lets nobody through, and keeps nothing.
    pub(super) fn end(&self) {
        self.newest.swap(Link::only(What::Over));
    }
}
