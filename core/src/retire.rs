//! Replaced snapshots, kept until no pin can reach them, and where destructors run.
//!
//! Owns the retired snapshots of one cell, the scan that finds who may still read them, and the per-thread rules of
//! collecting: one collector a thread at a time, nothing held while a destructor runs, none unwinds.
//! Not here: when to collect (`cell.rs`), whose destructors they are (`subscriber.rs`).
//!
//! # Invariants
//! 1. What is pushed here has left `current`, for good.
//! 2. It is dropped only after a heavy barrier that succeeded, begun after (1), and after every word that the scan behind
//!    that barrier saw raised for the cell has changed.
//!
//! # Orderings
//! | edge  | one side              | other side              | model that fails without it |
//! |-------|-----------------------|-------------------------|-----------------------------|
//! | PIN   | `current`, `heavy`    | see `pin.rs`            | `a_pinned_snapshot_is_never_freed` |
//! | STACK | see `stack.rs`        |                         | `what_one_writer_retires_another_collects` |
//! | LAST  | `rounds`, `heavy`     | see `cell.rs`           | `the_last_reader_drops_what_was_replaced` |

use crate::pin::{self, Seen};
use crate::stack::Stack;
use crate::sync::{AtomicUsize, Ordering::Relaxed, Plant, local, planted};
use crate::{barrier, stats};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Weak;

/// How many unscanned snapshots make an adding writer scan; few enough for a model under loom.
pub(crate) const BATCH: usize = if cfg!(signalpost_loom) { 2 } else { 64 };

/// A snapshot that left `current`, and what left the cell with it.
#[derive(Debug)]
pub(crate) struct Replaced<S, P> {
    /// Held until it may be dropped; whole then, whatever became of the parts.
    _snapshot: S,
    /// Dropped one by one, last first, and before the snapshot.
    parts: Vec<P>,
}

impl<S, P> Replaced<S, P> {
    /// The parts are to be dropped in their order.
    pub(crate) fn new(snapshot: S, mut parts: Vec<P>) -> Self {
        parts.reverse();
        Self { _snapshot: snapshot, parts }
    }
}

/// Snapshots that one scan covered, with the words that may still reach them.
#[derive(Debug)]
struct Batch<S, P> {
    words: Vec<Seen>,
    items: Vec<Replaced<S, P>>,
    /// Whether it is one of `Retired::awaited`.
    awaited: bool,
}

/// The retired snapshots of one cell.
#[derive(Debug)]
pub(crate) struct Retired<S, P> {
    /// Not yet covered by a scan.
    fresh: Stack<Replaced<S, P>>,
    /// Covered, with words that had not changed when last looked at.
    waiting: Stack<Batch<S, P>>,
    /// Out of everyone's reach; taken off one by one, so that a destructor that hangs holds up no other.
    free: Stack<Replaced<S, P>>,
    /// In any of the three, or on its way between them.
    count: AtomicUsize,
    unscanned: AtomicUsize,
    /// Batches whose last reader is to drop them: those in `waiting`, and those that a collector has in hand.
    awaited: AtomicUsize,
    /// How often a batch has become one of them. By it a reader tells whether one may wait for it.
    rounds: AtomicUsize,
}

impl<S, P> Retired<S, P> {
    pub(crate) fn new() -> Self {
        Self {
            fresh: Stack::new(),
            waiting: Stack::new(),
            free: Stack::new(),
            count: AtomicUsize::new(0),
            unscanned: AtomicUsize::new(0),
            awaited: AtomicUsize::new(0),
            rounds: AtomicUsize::new(0),
        }
    }

    /// How many wait. One relaxed load.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Whether anything waits for readers to drop it. One relaxed load.
    pub(crate) fn awaited(&self) -> bool {
        self.awaited.load(Relaxed) != 0
    }

    /// Changes whenever something begins to wait for readers that are inside. One relaxed load.
    #[inline(always)]
    pub(crate) fn round(&self) -> usize {
        self.rounds.load(Relaxed)
    }

    /// How many no scan has covered yet.
    pub(crate) fn unscanned(&self) -> usize {
        self.unscanned.load(Relaxed)
    }

    /// Keeps a replaced snapshot. Lock-free; allocates; drops nothing.
    pub(crate) fn push(&self, item: Replaced<S, P>) {
        self.count.fetch_add(1, Relaxed);
        self.unscanned.fetch_add(1, Relaxed);
        self.fresh.push(item);
    }

    /// Finds out what no reader of the cell `id` can reach any more. Lock-free; drops nothing. Where the heavy barrier
    /// fails, that is nothing new. With `last_reader_drops`, readers that leave later look at `rounds`.
    pub(crate) fn scan(&self, id: u32, fenced: bool, last_reader_drops: bool) {
        self.scan_fresh(id, fenced);
        while self.sort_waiting(fenced, last_reader_drops) {}
    }

    /// Covers the unscanned ones with one barrier and one scan.
    fn scan_fresh(&self, id: u32, fenced: bool) {
        // Where barriers fail, what waits is many, and taking it off and putting it back at each write would cost as much.
        if barrier::failures() > 0 && !barrier::heavy(fenced) {
            return;
        }
        let items: Vec<_> = self.fresh.take_all().collect();
        if items.is_empty() {
            return;
        }
        self.unscanned.fetch_sub(items.len(), Relaxed);
        if barrier::heavy(fenced) {
            self.waiting.push(Batch { words: pin::scan(id), items, awaited: false });
        } else {
            self.unscanned.fetch_add(items.len(), Relaxed);
            items.into_iter().for_each(|item| self.fresh.push(item));
        }
    }

    /// Frees the batches whose words have all changed, and joins those that wait for the same words. Says whether to do it again:
    /// a reader may have left that saw nothing to drop.
    fn sort_waiting(&self, fenced: bool, last_reader_drops: bool) -> bool {
        let mut kept: Vec<Batch<S, P>> = Vec::new();
        for mut batch in self.waiting.take_all() {
            batch.words.retain(|word| !word.left());
            if batch.words.is_empty() {
                self.no_longer_awaited(&batch);
                batch.items.into_iter().for_each(|item| self.free.push(item));
            } else if let Some(same) = kept.iter_mut().find(|other| other.words == batch.words) {
                self.no_longer_awaited(&batch);
                // The fewer to the more: with a reader that stays, each write joins one to all there were before.
                if same.items.len() < batch.items.len() {
                    std::mem::swap(&mut same.items, &mut batch.items);
                }
                same.items.append(&mut batch.items);
            } else {
                kept.push(batch);
            }
        }
        let mut words = Vec::new();
        if last_reader_drops {
            for batch in kept.iter_mut() {
                if !std::mem::replace(&mut batch.awaited, true) {
                    self.awaited.fetch_add(1, Relaxed);
                    self.rounds.fetch_add(1, Relaxed);
                }
                words.extend_from_slice(&batch.words);
            }
        }
        kept.into_iter().for_each(|batch| self.waiting.push(batch));
        // ORDERING LAST (partner: `SharedCell::tidy`): who leaves from now on finds the batch, or its word is seen changed here.
        // Where the barrier fails, a later writer drops it.
        !words.is_empty()
            && (planted(Plant::LastHeavy) || barrier::heavy(fenced))
            && words.iter().any(Seen::left)
    }

    fn no_longer_awaited(&self, batch: &Batch<S, P>) {
        if batch.awaited {
            self.awaited.fetch_sub(1, Relaxed);
        }
    }

    /// Drops what `scan` found, and says how much that was; with `parts` off, only what has no parts.
    /// Lock-free but for the destructors.
    pub(crate) fn drop_free(&self, parts: bool) -> usize {
        let mut dropped = 0;
        let mut kept = Vec::new();
        while let Some(mut item) = self.free.pop() {
            if !parts && !item.parts.is_empty() {
                kept.push(item);
            } else if let Some(part) = item.parts.pop() {
                self.free.push(item); // for others, should this one hang
                without_unwinding(|| drop(part));
            } else {
                without_unwinding(|| drop(item));
                self.count.fetch_sub(1, Relaxed);
                dropped += 1;
            }
        }
        kept.into_iter().for_each(|item| self.free.push(item));
        dropped
    }
}

impl<S, P> Drop for Retired<S, P> {
    /// The cell is gone, so no reader is left.
    fn drop(&mut self) {
        let fresh = self.fresh.take_all();
        let waiting = self.waiting.take_all().flat_map(|batch| batch.items);
        fresh.chain(waiting).for_each(|item| self.free.push(item));
        self.drop_free(true);
    }
}

/// Runs a destructor; a panic is counted (`stats`) and goes no further: the collector's own caller did nothing wrong.
pub(crate) fn without_unwinding(f: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(f)) {
        stats::count_drop_panic();
        // Its own destructor might panic as well.
        std::mem::forget(panic);
    }
}

/// Anything whose garbage can be collected later.
pub(crate) trait Collect: Send + Sync {
    fn collect_now(&self);
}

local!(static COLLECTING: Cell<bool> = Cell::new(false));
local!(static DEFERRED: RefCell<Vec<Deferred>> = RefCell::new(Vec::new()));

/// Work for this thread's collector.
enum Deferred {
    Collect(Weak<dyn Collect>),
    Drop(Box<dyn Send>),
}

impl Deferred {
    fn is(&self, cell: &Weak<dyn Collect>) -> bool {
        matches!(self, Self::Collect(other) if other.ptr_eq(cell))
    }
}

/// Whether this thread is running the collector, and so perhaps a destructor of somebody's captures.
pub fn collecting() -> bool {
    COLLECTING.try_with(Cell::get).unwrap_or(false)
}

/// Has the cell collected when this thread's collector, or else its outermost read, ends.
/// In a thread's last destructors the list may be gone: then the next write does it.
pub(crate) fn defer(cell: Weak<dyn Collect>) {
    let listed = DEFERRED.try_with(|list| {
        let mut list = list.borrow_mut();
        if !list.iter().any(|other| other.is(&cell)) {
            list.push(Deferred::Collect(cell));
        }
    });
    if listed.is_ok() && !collecting() {
        pin::work_at_leave();
    }
}

/// Has this thread's collector, which is running, drop it when the destructor that it is in has returned.
pub(crate) fn drop_later(what: Box<dyn Send>) {
    let mut what = Some(what);
    let _ = DEFERRED.try_with(|list| {
        list.borrow_mut().extend(what.take().map(Deferred::Drop));
    });
    // In a thread's last destructors the list may be gone: then now.
    without_unwinding(|| drop(what));
}

/// Runs `f` as this thread's collector, then what was deferred meanwhile, until nothing is.
pub(crate) fn as_collector<R>(f: impl FnOnce() -> R) -> R {
    /// Ends the collector also if `f` unwinds.
    struct Role(bool);
    impl Drop for Role {
        fn drop(&mut self) {
            let _ = COLLECTING.try_with(|flag| flag.set(self.0));
        }
    }
    let role = Role(COLLECTING.try_with(|flag| flag.replace(true)).unwrap_or(false));
    let result = f();
    if !role.0 && !pin::nested() {
        drain();
    } else if !role.0 && DEFERRED.try_with(|list| !list.borrow().is_empty()).unwrap_or(false) {
        pin::work_at_leave();
    }
    result
}

/// Collects what was put off until this thread is inside no read.
pub(crate) fn run_deferred() {
    as_collector(|| ());
}

fn drain() {
    while let Ok(Some(work)) = DEFERRED.try_with(|list| list.borrow_mut().pop()) {
        match work {
            Deferred::Collect(cell) => {
                if let Some(cell) = cell.upgrade() {
                    cell.collect_now();
                }
            }
            Deferred::Drop(what) => without_unwinding(|| drop(what)),
        }
    }
}
