//! What notices that a snapshot was freed under a reader.
//!
//! A [`Canary`] lives in what is read. Looking at it is a read of a cell and dropping it a write, so that loom, which knows
//! who happens before whom, sees an unordered pair of them in whatever order they ran.

use signalpost_core::sync::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const ALIVE: u64 = 0xa11e_a11e_a11e_a11e;
const DEAD: u64 = 0xdead_dead_dead_dead;

/// Counts canaries: each is to be dropped once.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    counts: Arc<Counts>,
    by_a_collector: bool,
}

#[derive(Debug, Default)]
struct Counts {
    made: AtomicUsize,
    dropped: AtomicUsize,
}

impl Tally {
    /// Nothing counted yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, of canaries that only a collector may drop: a call that says that it runs no destructors does not.
    #[must_use]
    pub fn dropped_by_a_collector(mut self) -> Self {
        self.by_a_collector = true;
        self
    }

    /// A new canary that is counted here.
    pub fn canary(&self) -> Canary {
        self.counts.made.fetch_add(1, Relaxed);
        Canary { state: UnsafeCell::new(ALIVE), tally: self.clone() }
    }

    /// How many were made.
    pub fn made(&self) -> usize {
        self.counts.made.load(Relaxed)
    }

    /// How many were dropped.
    pub fn dropped(&self) -> usize {
        self.counts.dropped.load(Relaxed)
    }

    /// Everything that was made has been dropped.
    ///
    /// # Panics
    /// If not.
    #[track_caller]
    pub fn assert_all_dropped(&self) {
        assert_eq!(self.dropped(), self.made(), "dropped as often as made");
    }
}

/// A payload whose freeing shows.
#[derive(Debug)]
pub struct Canary {
    state: UnsafeCell<u64>,
    tally: Tally,
}

// SAFETY: the cell is read through `&` and written in `drop` alone, which is what the models check.
unsafe impl Sync for Canary {}

impl Canary {
    /// Reads it.
    ///
    /// # Panics
    /// If it was dropped; under loom also if its drop is not ordered after this.
    #[track_caller]
    pub fn assert_alive(&self) {
        // SAFETY: plainly readable; volatile, since a fault that is looked for makes it a dangling one.
        let state = self.state.with(|state| unsafe { state.read_volatile() });
        assert_eq!(state, ALIVE, "freed while it is read");
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        let before = self.state.with_mut(|state| {
            // SAFETY: dropped once, with nobody reading: else loom, or the assertion, says so.
            unsafe { state.replace(DEAD) }
        });
        assert_eq!(before, ALIVE, "dropped twice");
        let collecting = signalpost_core::collecting();
        assert!(collecting || !self.tally.by_a_collector, "dropped by a call that collects nothing");
        self.tally.counts.dropped.fetch_add(1, Relaxed);
    }
}

/// Plain memory beside what is published: readers look at it, and its owner takes it back when they have been waited for.
#[derive(Debug)]
pub struct Annex(UnsafeCell<u64>);

// SAFETY: read through `&`, and written in `take_back` alone; that these are ordered is what the models check.
unsafe impl Sync for Annex {}

impl Default for Annex {
    fn default() -> Self {
        Self(UnsafeCell::new(ALIVE))
    }
}

impl Annex {
    /// Reads it.
    ///
    /// # Panics
    /// If it was taken back; under loom also if that is not ordered after this.
    #[track_caller]
    pub fn look(&self) {
        // SAFETY: plainly readable.
        let state = self.0.with(|state| unsafe { state.read_volatile() });
        assert_eq!(state, ALIVE, "taken back while it is read");
    }

    /// Writes it.
    ///
    /// # Panics
    /// Under loom, if somebody looks at it who is not ordered before this.
    #[track_caller]
    pub fn take_back(&self) {
        // SAFETY: nobody looks any more: else loom, or `look`, says so.
        self.0.with_mut(|state| unsafe { state.write_volatile(DEAD) });
    }
}
