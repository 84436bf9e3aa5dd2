//! A shared pointer that is replaced by compare and swap: arc-swap's, or under loom a stand-in with its edges and no more.
//!
//! Owns nothing but that choice.

use std::sync::Arc;

/// A pointer to a counted value.
#[cfg(not(signalpost_loom))]
pub(super) struct Swap<T>(arc_swap::ArcSwap<T>);

#[cfg(not(signalpost_loom))]
impl<T> Swap<T> {
    pub(super) fn new(first: Arc<T>) -> Self {
        Self(arc_swap::ArcSwap::new(first))
    }

    /// The newest. Acquires.
    pub(super) fn load(&self) -> arc_swap::Guard<Arc<T>> {
        self.0.load()
    }

    /// Installs `next` if `seen` is still the newest, and says whether it was. A read-modify-write if so: acquires and
    /// releases, also where `next` is `seen`.
    pub(super) fn replace(&self, seen: &Arc<T>, next: Arc<T>) -> bool {
        Arc::ptr_eq(&self.0.compare_and_swap(seen, next), seen)
    }

    /// Installs `next`, and gives back what was there. Acquires and releases.
    pub(super) fn swap(&self, next: Arc<T>) -> Arc<T> {
        self.0.swap(next)
    }
}

/// The number of a value among all that this pointer ever pointed to, which are kept to the end: arc-swap is trusted for
/// ownership, not for order. (The lock is std's, held over no operation of loom's, and so orders nothing in a model.)
#[cfg(signalpost_loom)]
pub(super) struct Swap<T> {
    newest: signalpost_core::sync::AtomicUsize,
    all: std::sync::Mutex<Vec<Arc<T>>>,
}

#[cfg(signalpost_loom)]
use signalpost_core::sync::Ordering::{AcqRel, Acquire};

#[cfg(signalpost_loom)]
impl<T> Swap<T> {
    pub(super) fn new(first: Arc<T>) -> Self {
        Self { newest: signalpost_core::sync::AtomicUsize::new(0), all: std::sync::Mutex::new(vec![first]) }
    }

    pub(super) fn load(&self) -> Arc<T> {
        let newest = self.newest.load(Acquire);
        self.all.lock().expect("no panic under it")[newest].clone()
    }

    pub(super) fn replace(&self, seen: &Arc<T>, next: Arc<T>) -> bool {
        let number_of = |value: &Arc<T>| {
            let mut all = self.all.lock().expect("no panic under it");
            let known = all.iter().position(|there| Arc::ptr_eq(there, value));
            known.unwrap_or_else(|| {
                all.push(value.clone());
                all.len() - 1
            })
        };
        let (seen, next) = (number_of(seen), number_of(&next));
        self.newest.compare_exchange(seen, next, AcqRel, Acquire).is_ok()
    }

    pub(super) fn swap(&self, next: Arc<T>) -> Arc<T> {
        let mut seen = self.load();
        while !self.replace(&seen, next.clone()) {
            seen = self.load();
        }
        seen
    }
}
