//! A cell that is made at its first write: `const` to build, movable, and one load while nobody has written.
//!
//! Owns the pointer to the [`SharedCell`] and its edge. Not here: what the cell does (`cell.rs`).

use crate::cell::{SharedCell, Snapshot};
use crate::pin::TooDeep;
use crate::sync::{AtomicPtr, Ordering, Plant, at};
use crate::wait::WaitError;
use Ordering::{Acquire, Release};
use std::fmt;
use std::marker::PhantomData;
use std::ptr::null_mut;
use std::sync::Arc;
use std::time::Duration;

/// One shared pointer to an immutable value: readers never wait, writers replace.
///
/// Reading is wait-free and population-oblivious: a plain store and two plain loads around the closure, no
/// read-modify-write, no allocation, no free; before the first write and while the value is empty it is one or two
/// loads and a branch. Writing copies: lock-free, allocates. The value that a write replaces is dropped when no reader
/// can reach it, by a writer, never by a reader (but for what a reader itself changed from inside its read).
///
/// Source of the parts: asymmetric fences (liburcu's membarrier flavour), one word a reader and level instead of a
/// counter, a scan of the words before reclaiming (Michael's hazard pointers, 2004, at the grain of a cell).
///
/// # Examples
/// ```
/// use signalpost::core::{Snapshot, SnapshotCell};
///
/// #[derive(Default)]
/// struct Limits { per_second: Option<u32> }
/// impl Snapshot for Limits {
///     type Context = ();
///     type Part = ();
///     fn is_empty(&self) -> bool { self.per_second.is_none() }
/// }
///
/// static LIMITS: SnapshotCell<Limits> = SnapshotCell::new();
/// assert_eq!(LIMITS.read(|limits| limits.per_second), None); // nothing there: not called
/// LIMITS.update(|_| Some(Limits { per_second: Some(100) }));
/// assert_eq!(LIMITS.read(|limits| limits.per_second), Some(Some(100)));
/// ```
pub struct SnapshotCell<T: Snapshot> {
    /// Null until the first write; then an `Arc`'s own count, given up in `drop`.
    shared: AtomicPtr<SharedCell<T>>,
    owns: PhantomData<Arc<SharedCell<T>>>,
}

impl<T: Snapshot> SnapshotCell<T> {
    /// An empty cell. Allocates nothing.
    #[cfg(not(signalpost_loom))]
    pub const fn new() -> Self {
        Self { shared: AtomicPtr::new(null_mut()), owns: PhantomData }
    }

    /// An empty cell. Not `const` under loom.
    #[cfg(signalpost_loom)]
    pub fn new() -> Self {
        Self { shared: AtomicPtr::new(null_mut()), owns: PhantomData }
    }

    /// The cell behind this one, if anyone has written yet. One load.
    #[inline(always)]
    pub fn get(&self) -> Option<&SharedCell<T>> {
        // Edge BORN: shows the id, the mode and the first snapshot. (This is where a relaxed load would let a reader pin
        // under an id that no writer looks for.)
        let shared = self.shared.load(at(Plant::Find, Acquire));
        // SAFETY: null, or from `Arc::into_raw` in `shared`, with a count that only `drop` gives up.
        unsafe { shared.as_ref() }
    }

    /// The cell behind this one, made now if need be. Lock-free; the first call allocates.
    pub fn shared(&self) -> Arc<SharedCell<T>> {
        let mut shared = self.shared.load(at(Plant::Find, Acquire));
        if shared.is_null() {
            let fresh = Arc::into_raw(SharedCell::new()).cast_mut();
            // Edge BORN.
            match self.shared.compare_exchange(
                null_mut(),
                fresh,
                at(Plant::Born, Release),
                at(Plant::Find, Acquire),
            ) {
                Ok(_) => shared = fresh,
                Err(theirs) => {
                    // SAFETY: not installed, so the count is still ours.
                    drop(unsafe { Arc::from_raw(fresh) });
                    shared = theirs;
                }
            }
        }
        // SAFETY: as in `get`; this call borrows the cell, so the count stays.
        unsafe { Arc::increment_strong_count(shared) };
        // SAFETY: the count just added.
        unsafe { Arc::from_raw(shared) }
    }

    /// Calls `f` with the newest value; `None`, without a call, if that is empty. See [`SharedCell::read`].
    #[inline]
    pub fn read<R>(&self, f: impl FnOnce(&T) -> R) -> Option<R> {
        self.get()?.read(f)
    }

    /// As [`read`](Self::read), at most `limit` reads deep. See [`SharedCell::read_within`].
    ///
    /// # Errors
    /// [`TooDeep`]; `f` was not called.
    #[inline(always)]
    pub fn read_within<R>(&self, limit: u32, f: impl FnOnce(&T) -> R) -> Result<Option<R>, TooDeep> {
        match self.get() {
            Some(shared) => shared.read_within(limit, f),
            None => Ok(None),
        }
    }

    /// Whether the newest value is empty. One or two loads.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.get().is_none_or(SharedCell::is_empty)
    }

    /// Drops what no reader can reach any more. See [`SharedCell::collect`].
    pub fn collect(&self) -> usize {
        self.get().map_or(0, SharedCell::collect)
    }

    /// How many replaced values wait for readers or for a collector.
    pub fn retired(&self) -> usize {
        self.get().map_or(0, SharedCell::retired)
    }

    /// Waits for the readers of older values. See [`SharedCell::synchronize`].
    ///
    /// # Errors
    /// As [`SharedCell::synchronize`].
    pub fn synchronize(&self, timeout: Duration) -> Result<(), WaitError> {
        self.get().map_or(Ok(()), |shared| shared.synchronize(timeout))
    }
}

impl<T: Snapshot<Part = ()>> SnapshotCell<T> {
    /// Replaces the value, and collects. See [`SharedCell::update`] and [`SharedCell::collect`].
    pub fn update(&self, change: impl FnMut(&T) -> Option<T>) -> bool {
        let shared = self.shared();
        let changed = shared.update(change);
        shared.collect();
        changed
    }
}

impl<T: Snapshot> Default for SnapshotCell<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Snapshot> Drop for SnapshotCell<T> {
    /// Empties the cell as a write would, since handles may be writing; then what it held is dropped here, unless one of
    /// them holds the cell at this moment: then by it.
    fn drop(&mut self) {
        let shared = self.shared.load(Acquire);
        if shared.is_null() {
            return;
        }
        // SAFETY: the count from `shared`, given up here once.
        unsafe { Arc::from_raw(shared) }.end();
    }
}

impl<T: Snapshot> fmt::Debug for SnapshotCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotCell")
            .field("empty", &self.is_empty())
            .field("retired", &self.retired())
            .finish_non_exhaustive()
    }
}
