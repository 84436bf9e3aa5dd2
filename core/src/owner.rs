//! Who owns the newest snapshot: arc-swap, or under loom a stand-in with its edges and no more.
//!
//! Owns nothing but that choice. Used by writers, who are pinned meanwhile; the readers follow `current` (`cell.rs`),
//! except in a build with `--cfg signalpost_arc_swap_reads`.

use std::sync::Arc;

/// The newest snapshot. Never empty: no subscribers is a snapshot too.
#[cfg(not(signalpost_loom))]
#[derive(Debug)]
pub(crate) struct Owner<V>(arc_swap::ArcSwap<V>);

#[cfg(not(signalpost_loom))]
impl<V> Owner<V> {
    pub(crate) fn new(first: Arc<V>) -> Self {
        Self(arc_swap::ArcSwap::new(first))
    }

    /// Borrows the newest. While the caller is pinned, dropping the guard never drops the snapshot: whoever
    /// replaces it keeps it retired until then.
    pub(crate) fn load(&self) -> arc_swap::Guard<Arc<V>> {
        self.0.load()
    }

    /// Installs `next` if `seen` is still the newest, and gives back the replaced one.
    pub(crate) fn replace(&self, seen: &Arc<V>, next: Arc<V>) -> Option<Arc<V>> {
        let before = self.0.compare_and_swap(seen, next);
        Arc::ptr_eq(&before, seen).then(|| arc_swap::Guard::into_inner(before))
    }
}

/// A pointer with arc-swap's documented edges: a load acquires, a replacement does both. Loading and protecting is
/// one step, since the caller's pin protects: should it not, the model sees a freed snapshot.
#[cfg(signalpost_loom)]
#[derive(Debug)]
pub(crate) struct Owner<V>(crate::sync::AtomicPtr<V>);

#[cfg(signalpost_loom)]
impl<V> Owner<V> {
    pub(crate) fn new(first: Arc<V>) -> Self {
        Self(crate::sync::AtomicPtr::new(Arc::into_raw(first).cast_mut()))
    }

    pub(crate) fn load(&self) -> Borrowed<V> {
        let newest = self.0.load(crate::sync::Ordering::Acquire);
        // SAFETY: from `Arc::into_raw`, and live: the owner's count is given up to the retired list only, which the
        // caller's pin holds up. The count is not given up again here.
        Borrowed(Some(unsafe { Arc::from_raw(newest) }))
    }

    pub(crate) fn replace(&self, seen: &Arc<V>, next: Arc<V>) -> Option<Arc<V>> {
        use crate::sync::{Ordering, Plant, planted};
        let old = Arc::as_ptr(seen).cast_mut();
        let next = Arc::into_raw(next).cast_mut();
        let replaced = if planted(Plant::CompareAndSwap) {
            Ok(self.0.swap(next, Ordering::AcqRel))
        } else {
            self.0.compare_exchange(old, next, Ordering::AcqRel, Ordering::Acquire)
        };
        match replaced {
            // SAFETY: the owner's count of the replaced one, taken over here.
            Ok(old) => Some(unsafe { Arc::from_raw(old) }),
            Err(_) => {
                // SAFETY: not installed, so the count is still ours.
                drop(unsafe { Arc::from_raw(next) });
                None
            }
        }
    }
}

/// A borrowed `Arc`: its count is the owner's.
#[cfg(signalpost_loom)]
pub(crate) struct Borrowed<V>(Option<Arc<V>>);

#[cfg(signalpost_loom)]
impl<V> std::ops::Deref for Borrowed<V> {
    type Target = Arc<V>;
    fn deref(&self) -> &Arc<V> {
        self.0.as_ref().expect("there until dropped")
    }
}

#[cfg(signalpost_loom)]
impl<V> Drop for Borrowed<V> {
    fn drop(&mut self) {
        std::mem::forget(self.0.take());
    }
}

#[cfg(signalpost_loom)]
impl<V> Drop for Owner<V> {
    fn drop(&mut self) {
        let newest = self.0.load(crate::sync::Ordering::Acquire);
        // SAFETY: the owner's count, and nobody borrows from it any more.
        drop(unsafe { Arc::from_raw(newest) });
    }
}
