//! One shared snapshot: readers never wait, writers copy and replace.
//!
//! Owns the two pointers to the newest snapshot and the proof that no reader holds a freed one.
//! Not here: what the snapshot means (`list.rs` and dispatch), who is reading (`pin.rs`), what becomes of replaced ones
//! (`retire.rs`).
//!
//! # Invariants
//! 1. `owner` owns the newest snapshot; versions in it go up by one at each replacement.
//! 2. `current` points to a snapshot that `owner` owns or owned; its version never goes down.
//! 3. The writer that replaces version *v* in `owner` moves `current` to *v* + 1 or later before it retires *v*.
//! 4. A retired snapshot is dropped only when no word raised before the scan names this cell (`retire.rs`).
//!
//! So whoever is pinned here may follow `current`, and may borrow from `owner`: what it finds there was not
//! retired when its word went up, or its word is seen by the scan that would free it.
//!
//! # Orderings
//! | edge    | reader side           | writer side           | model that fails without it |
//! |---------|-----------------------|-----------------------|-----------------------------|
//! | PIN     | word, `light`         | `current`, `heavy`    | `a_pinned_snapshot_is_never_freed` |
//! | VALUE   | load `current`: Acquire | move it: Release    | `a_publish_sees_one_whole_snapshot` |
//! | VERSION | another writer's load: Acquire | move it: Release | `three_writers_one_of_them_lagging` |
//! | BORN    | find the cell: Acquire | make it: Release     | `a_cell_born_late_is_seen_whole` |
//! | LAST    | word, `light`         | `rounds`, `heavy`     | `the_last_reader_drops_what_was_replaced` |
//!
//! Between registrations and publishes on other threads no more is needed: a publish that happens after a `subscribe`
//! returned loads `current` after the store, and coherence gives it that value or a later one.

use crate::owner::Owner;
use crate::pin::{self, ANY, Pin, Pinned, TooDeep};
use crate::retire::{self, BATCH, Collect, Replaced, Retired};
use crate::sync::{AtomicPtr, AtomicUsize, Ordering, Plant, at, plain, planted};
use crate::wait::{Deadline, Pause, WaitError};
use crate::{barrier, fork};
use Ordering::{Acquire, Relaxed, Release};
use crossbeam_utils::CachePadded;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// What a [`SnapshotCell`](crate::SnapshotCell) holds: an immutable value that says whether there is anything in it to read.
pub trait Snapshot: Default + Send + Sync + 'static {
    /// What belongs to the cell as a whole rather than to one snapshot; `()` if nothing does.
    type Context: Default + Send + Sync + 'static;

    /// What snapshots refer to and the cell owns, so that copying a snapshot counts nothing; `()` if there is nothing. Only
    /// with `()` has a cell an [`update`](SharedCell::update) for everybody.
    type Part: Send + 'static;

    /// Whether the last reader of what a writer replaced drops it, at the end of its read, rather than a later writer: for
    /// snapshots whose end others wait for. Costs each read a load, and what it drops is dropped on the reading thread.
    const LAST_READER_DROPS: bool = false;

    /// Whether a read would find nothing to do. Asked once, when the snapshot is installed.
    fn is_empty(&self) -> bool;

    /// What a cell holds once its owner is gone, while handles still hold the cell: empty, and whatever later writes need.
    fn emptied(&self) -> Self {
        Self::default()
    }

    /// Everything that this snapshot refers to, now owned by the result. Asked once, when it is the cell's last.
    fn parts(&self, _: &Ending<Self>) -> Vec<Self::Part> {
        Vec::new()
    }
}

/// Shows that a cell of this type is at its end. Only such a cell can make one, and lends it to that type's own
/// [`Snapshot::parts`] alone.
#[derive(Debug)]
pub struct Ending<T>(PhantomData<fn(T)>);

#[derive(Debug)]
struct Versioned<T> {
    version: u64,
    /// Asked once, before anybody can see the snapshot: the answer is a user's.
    empty: bool,
    #[cfg(signalpost_loom)]
    watched: crate::sync::Watched,
    value: T,
}

impl<T: Snapshot> Versioned<T> {
    fn new(version: u64, value: T) -> Arc<Self> {
        Arc::new(Self {
            version,
            empty: value.is_empty(),
            #[cfg(signalpost_loom)]
            watched: Default::default(),
            value,
        })
    }
}

/// A shared snapshot, always behind an `Arc`, so that handles and the collector can hold it weakly.
///
/// [`SnapshotCell`](crate::SnapshotCell) is the same made lazily, movable, and `const` to build.
pub struct SharedCell<T: Snapshot> {
    /// What readers look at, apart from the counts that handles and writers change.
    hot: CachePadded<Hot<T>>,
    /// Taken out in `drop` alone.
    owner: ManuallyDrop<Owner<Versioned<T>>>,
    retired: Retired<Arc<Versioned<T>>, T::Part>,
    /// The writer that lost many races in a row, for which others give way for a bounded time; 0 if there is none.
    starving: AtomicUsize,
    me: Weak<Self>,
    context: T::Context,
}

struct Hot<T> {
    /// The snapshot that pinned readers follow; low bits as [`tagged`] sets them.
    current: AtomicPtr<Versioned<T>>,
    id: u32,
    fenced: bool,
}

/// Races that a writer loses before it asks the others to give way.
const PATIENCE: u32 = 16;
/// The longest that another writer then stands back.
const COURTESY: Duration = Duration::from_millis(50);

impl<T: Snapshot> SharedCell<T> {
    /// Makes a cell with the default snapshot. The first one of a process settles the barrier: up to 20 ms.
    pub fn new() -> Arc<Self> {
        let fenced = barrier::decide();
        let first = Versioned::new(0, T::default());
        Arc::new_cyclic(|me| Self {
            hot: CachePadded::new(Hot {
                current: AtomicPtr::new(tagged(&first, fenced)),
                id: draw_id(),
                fenced,
            }),
            owner: ManuallyDrop::new(Owner::new(first)),
            retired: Retired::new(),
            starving: AtomicUsize::new(0),
            me: me.clone(),
            context: T::Context::default(),
        })
    }

    /// What belongs to the cell rather than to a snapshot.
    pub fn context(&self) -> &T::Context {
        &self.context
    }

    /// Calls `f` with the newest snapshot; `None`, without a call, if that is empty.
    ///
    /// Wait-free, but for a thread's first read ([`warm_up`](crate::warm_up)): no allocation, no free, no lock, no
    /// read-modify-write. The snapshot stays valid until `f` returns or unwinds, whatever others do. Where the
    /// [last reader drops](Snapshot::LAST_READER_DROPS) what was replaced, a read that was inside meanwhile collects as it ends.
    #[inline]
    pub fn read<R>(&self, f: impl FnOnce(&T) -> R) -> Option<R> {
        self.read_within(u32::MAX, f).unwrap_or(None)
    }

    /// As [`read`](Self::read), but an error where this thread is inside `limit` reads already, of any cells.
    /// A limit below 6 counts as 6.
    ///
    /// # Errors
    /// [`TooDeep`]; `f` was not called.
    #[inline(always)]
    pub fn read_within<R>(&self, limit: u32, f: impl FnOnce(&T) -> R) -> Result<Option<R>, TooDeep> {
        // Only a hint, so relaxed: whoever happens after a change to non-empty sees it by coherence.
        let hint = self.hot.current.load(Relaxed).addr();
        if hint & (EMPTY | FENCED) == 0 {
            // The common case, by itself: see `enter_first`.
            let mut tidy = Tidy::new(self); // dropped after the pin
            if let Some(pin) = pin::enter_first(self.hot.id, false) {
                tidy.was_late();
                return Ok(self.follow(&pin).map(f));
            }
        } else if hint & EMPTY != 0 {
            return Ok(None);
        }
        let mut tidy = Tidy::new(self);
        self.read_otherwise(limit, |value| {
            tidy.was_late();
            f(value)
        })
    }

    /// What a thread does after it was inside, where the last reader drops what a writer replaced: if it may wait for this thread.
    #[inline(always)]
    fn tidy(&self, may_wait: impl FnOnce(&Retired<Arc<Versioned<T>>, T::Part>) -> bool) {
        if !T::LAST_READER_DROPS {
            return;
        }
        // ORDERING LAST (partner: `Retired::sort_waiting`). We cleared our word and look whether anything waits for it; the
        // collector says that something does and looks at our word. Each side stores, then loads the other's, so each needs
        // a full barrier between: else both miss, and nobody drops it.
        if !planted(Plant::LastLight) {
            barrier::light(self.hot.fenced);
        }
        if may_wait(&self.retired) {
            self.tidy_up();
        }
    }

    #[cold]
    #[inline(never)]
    fn tidy_up(&self) {
        self.collect();
    }

    /// With a fence, nested, or for the first time on this thread.
    #[cold]
    #[inline(never)]
    fn read_otherwise<R>(&self, limit: u32, f: impl FnOnce(&T) -> R) -> Result<Option<R>, TooDeep> {
        if let Some(pin) = pin::enter_first(self.hot.id, self.hot.fenced) {
            return Ok(self.follow(&pin).map(f));
        }
        let pin = pin::enter(self.hot.id, self.hot.fenced, limit)?;
        Ok(self.follow(&pin).map(f))
    }

    /// The snapshot that a pinned reader follows.
    #[inline(always)]
    #[cfg(not(signalpost_arc_swap_reads))]
    fn follow<'p>(&'p self, _: &'p impl Pinned) -> Option<&'p T> {
        // Edge VALUE: shows what the snapshot holds. Edge PIN: comes after the word, by the light barrier.
        let current = self.hot.current.load(at(Plant::Value, Acquire));
        if is_empty(current) {
            return None;
        }
        #[cfg(signalpost_loom)]
        // SAFETY: as below.
        unsafe { &*untagged(current) }.watched.look();
        // SAFETY: a live snapshot by invariants 2 and 4: this thread's word names the cell.
        Some(unsafe { &(*untagged(current)).value })
    }

    /// The same by arc-swap's own guard, as a cross-check.
    #[cfg(signalpost_arc_swap_reads)]
    fn follow<'p>(&'p self, _: &'p impl Pinned) -> Option<&'p T> {
        let newest = self.owner.load();
        // SAFETY: `owner` owned it after this thread's word went up, so it lives until the word is cleared (4).
        let newest = unsafe { &*Arc::as_ptr(&newest) };
        (!newest.empty).then_some(&newest.value)
    }

    /// Whether the newest snapshot is empty. One relaxed load.
    #[inline]
    pub fn is_empty(&self) -> bool {
        is_empty(self.hot.current.load(Relaxed))
    }

    /// What [`update`](Self::update) does. Once the change is made, `parts` is given what `change` noted and what was replaced, and
    /// says what the cell no longer owns: it is dropped with that.
    pub(crate) fn update_with<N>(
        &self,
        mut change: impl FnMut(&T) -> Option<(T, N)>,
        parts: impl FnOnce(N, &T) -> Vec<T::Part>,
    ) -> bool {
        fork::check();
        self.stand_back();
        let mut asked = None;
        for lost in 0.. {
            if lost == PATIENCE && asked.is_none() {
                asked = Some(Asking::new(&self.starving));
            }
            match self.try_update(&mut change) {
                Attempt::Lost => {}
                Attempt::Kept => return false,
                Attempt::Replaced(snapshot, note) => {
                    // Retired even if `parts`, which can be a user's, panics: readers may be in it.
                    let parts = catch_unwind(AssertUnwindSafe(|| parts(note, &snapshot.value)));
                    let (parts, panic) = match parts {
                        Ok(parts) => (parts, None),
                        Err(panic) => (Vec::new(), Some(panic)),
                    };
                    self.retired.push(Replaced::new(snapshot, parts));
                    if let Some(panic) = panic {
                        resume_unwind(panic);
                    }
                    return true;
                }
            }
        }
        unreachable!("the loop ends by returning");
    }

    fn try_update<N>(&self, change: &mut impl FnMut(&T) -> Option<(T, N)>) -> Attempt<T, N> {
        // A writer is pinned while it looks at snapshots that others may replace and retire meanwhile (4).
        let _pin = (!planted(Plant::WriterPin)).then(|| self.pin());
        let seen = self.owner.load();
        let Some((value, note)) = change(&seen.value) else {
            // The writer before us may not have moved `current` yet: what we saw must be seen by later reads.
            if !planted(Plant::HelpForward) {
                self.forward(&seen);
            }
            return Attempt::Kept;
        };
        let next = Versioned::new(seen.version + 1, value);
        let Some(replaced) = self.owner.replace(&seen, next.clone()) else { return Attempt::Lost };
        self.forward(&next);
        Attempt::Replaced(replaced, note)
    }

    /// Calls `f` with the newest snapshot, also if that is empty: for those who are about to write.
    pub(crate) fn look<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        let _pin = self.pin();
        f(&self.owner.load().value)
    }

    /// Pins this thread inside the cell, however deep it is.
    pub(crate) fn pin(&self) -> Pin {
        pin::enter(self.hot.id, self.hot.fenced, u32::MAX).expect("no thread nests as deep as that")
    }

    /// Moves `current` to this snapshot, unless it is there or further on (2). The caller is pinned.
    fn forward(&self, to: &Arc<Versioned<T>>) {
        let mut current = self.hot.current.load(at(Plant::Versions, Acquire));
        loop {
            // SAFETY: `current` points to a live snapshot (2, 4): this thread is pinned.
            let mut version = unsafe { (*untagged(current)).version };
            #[cfg(signalpost_loom)]
            // SAFETY: as above.
            unsafe { &*untagged(current) }.watched.look();
            if planted(Plant::EmptyTag) && is_empty(current) {
                version = 0; // as if empty were a null, which has no version
            }
            if version >= to.version && !(planted(Plant::NeverBack) && version != to.version) {
                return;
            }
            // Edge VALUE, and edge VERSION on failure.
            match self.hot.current.compare_exchange(
                current,
                tagged(to, self.hot.fenced),
                at(Plant::Forward, Release),
                at(Plant::Versions, Acquire),
            ) {
                Ok(_) => return,
                Err(now) => current = now,
            }
        }
    }

    /// Lets a writer that lost many races go first, for a bounded time.
    fn stand_back(&self) {
        let asker = self.starving.load(Relaxed);
        if asker == 0 || cfg!(signalpost_loom) {
            return;
        }
        let (deadline, mut pause) = (Deadline::after(COURTESY), Pause::new());
        while self.starving.load(Relaxed) == asker {
            if !pause.until(deadline) {
                // It had its time; or it is a thread that a fork did not bring along.
                let _ = self.starving.compare_exchange(asker, 0, Relaxed, Relaxed);
                return;
            }
        }
    }

    /// Drops retired snapshots once 64 are unscanned, but only those that nothing left the cell with: runs no destructor
    /// of a part. What an adding writer calls. Lock-free. Inside a read of this cell it leaves that to
    /// [`collect`](Self::collect) at this thread's outermost leave.
    pub fn trim(&self) {
        self.tidy(Retired::awaited); // the change was made inside
        if self.retired.unscanned() < BATCH {
            return;
        }
        if retire::collecting() || pin::inside(self.hot.id) {
            return retire::defer(self.me.clone());
        }
        self.retired.scan(self.hot.id, self.hot.fenced, T::LAST_READER_DROPS);
        self.retired.drop_free(false);
    }

    /// Drops the retired snapshots that no reader can reach, and says how many.
    ///
    /// Runs destructors of what only they held, on this thread, with nothing held; panics in them are counted
    /// ([`stats`](crate::stats)). Lock-free but for those. Inside a read of this cell, or inside such a destructor,
    /// it drops nothing now: that is done at this thread's outermost leave, or by the collector that is running.
    pub fn collect(&self) -> usize {
        if self.retired.count() == 0 {
            return 0;
        }
        if retire::collecting() || pin::inside(self.hot.id) {
            retire::defer(self.me.clone());
            return 0;
        }
        fork::check();
        retire::as_collector(|| self.collect_everything())
    }

    fn collect_everything(&self) -> usize {
        self.retired.scan(self.hot.id, self.hot.fenced, T::LAST_READER_DROPS);
        self.retired.drop_free(true)
    }

    /// How many replaced snapshots wait for readers or for a collector. One relaxed load.
    pub fn retired(&self) -> usize {
        self.retired.count()
    }

    /// Whether this thread may wait for this cell's readers: not inside a read of it, nor in a destructor that the
    /// collector runs. Deeper than six reads on this thread, its marks do not tell, and the answer is an error.
    ///
    /// # Errors
    /// [`WaitError::WouldDeadlock`].
    pub fn may_wait(&self) -> Result<(), WaitError> {
        if (retire::collecting() || pin::inside(self.hot.id)) && !planted(Plant::InsideCheck) {
            return Err(WaitError::WouldDeadlock);
        }
        Ok(())
    }

    /// Waits until no reader is left that could hold a snapshot older than the newest, then collects. Blocking.
    /// Readers of other cells delay it in nothing, up to six reads deep.
    ///
    /// # Errors
    /// [`WaitError`]: the time ran out; this thread is itself inside; the barrier is lost.
    pub fn synchronize(&self, timeout: Duration) -> Result<(), WaitError> {
        self.wait_for_readers(Deadline::after(timeout))?;
        self.collect();
        Ok(())
    }

    /// As [`synchronize`](Self::synchronize), to a deadline, and without collecting.
    ///
    /// # Errors
    /// As [`synchronize`](Self::synchronize).
    pub fn wait_for_readers(&self, deadline: Deadline) -> Result<(), WaitError> {
        self.may_wait()?;
        fork::check();
        self.try_barrier()?;
        let mut words = pin::scan(self.hot.id);
        let mut pause = Pause::new();
        loop {
            words.retain(|word| !word.left());
            if words.is_empty() {
                return Ok(());
            }
            if !pause.until(deadline) {
                return Err(WaitError::TimedOut);
            }
        }
    }

    /// Runs one heavy barrier, to see whether it works.
    ///
    /// # Errors
    /// [`WaitError::BarrierLost`].
    pub fn try_barrier(&self) -> Result<(), WaitError> {
        if barrier::heavy(self.hot.fenced) { Ok(()) } else { Err(WaitError::BarrierLost) }
    }
}

/// A snapshot that refers to what the cell owns is changed by those who keep the account of that: see [`Snapshot::Part`].
impl<T: Snapshot<Part = ()>> SharedCell<T> {
    /// Replaces the snapshot by what `change` makes of it, and says whether it did; `None` keeps it.
    ///
    /// When this returns, every read that starts later sees the result. `change` is called again where another writer was
    /// faster, so it has no effects but its result. Lock-free: after 16 lost races others stand back for up to 50 ms.
    /// Allocates. Drops nothing: the replaced snapshot is retired, for [`collect`](Self::collect) to drop.
    pub fn update(&self, mut change: impl FnMut(&T) -> Option<T>) -> bool {
        self.update_with(|old| Some((change(old)?, ())), |(), _| Vec::new())
    }
}

impl<T: Snapshot> Collect for SharedCell<T> {
    fn collect_now(&self) {
        self.collect_everything();
    }
}

impl<T: Snapshot> Drop for SharedCell<T> {
    /// No reader and no writer is left, since both borrow the cell. Destructors run here, as the collector's; or, where a
    /// collector is running on this thread, by that one, later: so cells that hold cells do not nest destructors.
    fn drop(&mut self) {
        // SAFETY: not used after this.
        let owner = unsafe { ManuallyDrop::take(&mut self.owner) };
        let retired = std::mem::replace(&mut self.retired, Retired::new());
        let left = Left { owner, retired };
        if retire::collecting() {
            retire::drop_later(Box::new(left));
        } else {
            retire::as_collector(|| retire::without_unwinding(|| drop(left)));
        }
    }
}

/// The end of a read, also where that unwinds.
///
/// Made before the word is raised, so that the round is of before. A batch that waits for this read was scanned after its word went
/// up (edge ENTER), and a round began after that: so while the round is the same, nothing waits for this read, whatever waits for
/// others that stay.
struct Tidy<'c, T: Snapshot> {
    cell: &'c SharedCell<T>,
    round: usize,
}

impl<'c, T: Snapshot> Tidy<'c, T> {
    #[inline(always)]
    fn new(cell: &'c SharedCell<T>) -> Self {
        Self { cell, round: if T::LAST_READER_DROPS { cell.retired.round() } else { 0 } }
    }

    /// A fault to plant: the round is noted when the word is up.
    #[inline(always)]
    fn was_late(&mut self) {
        if planted(Plant::RoundFirst) {
            self.round = self.cell.retired.round();
        }
    }
}

impl<T: Snapshot> Drop for Tidy<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.cell.tidy(|retired| retired.round() != self.round);
    }
}

/// What a cell leaves behind.
struct Left<T: Snapshot> {
    owner: Owner<Versioned<T>>,
    retired: Retired<Arc<Versioned<T>>, T::Part>,
}

impl<T: Snapshot> Drop for Left<T> {
    fn drop(&mut self) {
        let newest = Arc::clone(&self.owner.load());
        let parts = newest.value.parts(&Ending(PhantomData));
        // The last of everything goes by way of what is retired, which catches what a destructor throws.
        self.retired.push(Replaced::new(newest, parts));
    }
}

impl<T: Snapshot> SharedCell<T> {
    /// What a movable cell does at its end: handles may still be writing, so it is a write.
    pub(crate) fn end(&self) {
        let empty = |old: &T| (!old.is_empty()).then(|| (old.emptied(), ()));
        self.update_with(empty, |(), last| last.parts(&Ending(PhantomData)));
        self.collect();
    }
}

impl<T: Snapshot> fmt::Debug for SharedCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedCell")
            .field("empty", &self.is_empty())
            .field("retired", &self.retired())
            .finish_non_exhaustive()
    }
}

/// What became of one try to replace a snapshot.
enum Attempt<T, N> {
    /// Another writer was faster.
    Lost,
    /// Nothing was to change.
    Kept,
    /// This one was replaced, with this note of the change.
    Replaced(Arc<Versioned<T>>, N),
}

/// Asks other writers to give way, until dropped. One asks at a time.
#[derive(Debug)]
struct Asking<'c> {
    starving: &'c AtomicUsize,
    token: usize,
}

impl<'c> Asking<'c> {
    fn new(starving: &'c AtomicUsize) -> Self {
        static TOKENS: plain::AtomicU32 = plain::AtomicU32::new(1);
        let token = (TOKENS.fetch_add(1, Relaxed) as usize).max(1);
        let _ = starving.compare_exchange(0, token, Relaxed, Relaxed);
        Self { starving, token }
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let _ = self.starving.compare_exchange(self.token, 0, Relaxed, Relaxed);
    }
}

/// Draws a cell's id. When ids have run out, every later cell is [`ANY`]: waits get less precise, nothing less safe.
fn draw_id() -> u32 {
    use std::sync::atomic::Ordering::Relaxed;
    static NEXT: plain::AtomicU32 = plain::AtomicU32::new(1);
    match NEXT.fetch_update(Relaxed, Relaxed, |id| (id != ANY).then_some(id + 1)) {
        Ok(id) | Err(id) => id,
    }
}

/// In `current`: nothing to do, no pin.
const EMPTY: usize = 1;
/// In `current`: readers of this cell run a fence. In every value or in none, so that one look tells the common case.
const FENCED: usize = 2;

#[inline(always)]
fn is_empty<T>(pointer: *mut Versioned<T>) -> bool {
    pointer.addr() & EMPTY != 0
}

#[inline(always)]
fn untagged<T>(pointer: *mut Versioned<T>) -> *mut Versioned<T> {
    pointer.map_addr(|addr| addr & !(EMPTY | FENCED))
}

/// The pointer for `current`. A snapshot holds a `u64`, so its low bits are free.
fn tagged<T: Snapshot>(snapshot: &Arc<Versioned<T>>, fenced: bool) -> *mut Versioned<T> {
    const { assert!(align_of::<Versioned<T>>() > EMPTY | FENCED) };
    let empty = if snapshot.empty { EMPTY } else { 0 };
    let fenced = if fenced { FENCED } else { 0 };
    Arc::as_ptr(snapshot).cast_mut().map_addr(|addr| addr | empty | fenced)
}
