//! Per-thread marks: a reader is inside, and of which cell.
//!
//! Owns the slots (one a thread, in a list that only grows), the words in them, and what happens when the
//! thread ends. Not here: what is read (`cell.rs`), what waits for it (`retire.rs`).
//!
//! # Invariants
//! 1. A slot, once in the list, stays there and is never freed. (Under loom: until the execution ends.)
//! 2. A word is (name, number). While a thread is inside *n* reads, its words 0 to min(*n*, 6) - 1 name the cells that they
//!    are of, outermost first, and word 6 names ANY if *n* > 6; every other word names nothing (0).
//! 3. No word names something under a number that it had before: raising it counts the number up, clearing it leaves the
//!    number, and so does the slot's next thread. (It wraps after 2^32 reads, which can only make a waiter wait longer.)
//! 4. Only the thread that holds a slot stores into its words and its state (but see `fork.rs`).
//! 5. A slot is given back with no word naming anything, after the thread's pointer to it has been cleared.
//!
//! So the words themselves say how deep the thread is, and a read of the common kind, not nested, stores twice: once into
//! word 0 on the way in, once on the way out.
//!
//! # Orderings
//! | edge  | reader side            | other side            | model that fails without it |
//! |-------|------------------------|-----------------------|-----------------------------|
//! | PIN   | word, `light`          | `current`, `heavy`    | `a_pinned_snapshot_is_never_freed` |
//! | ENTER | raise: Release         | scan: Acquire         | `a_reader_that_comes_back_is_not_taken_for_the_one_before` |
//! | LEAVE | clear: Release         | scan: Acquire         | `a_snapshot_is_freed_after_its_last_reader` |
//! | SLOT  | claim: Acquire         | give back: Release    | `a_slot_goes_from_thread_to_thread` |
//! | LIST  | push: Release          | walk: Acquire         | `a_slot_pushed_during_a_scan` |

#[cfg(signalpost_loom)]
use crate::sync::planted;
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering, Plant, at};
use crate::{barrier, fork};
use Ordering::{Acquire, Relaxed, Release};
use crossbeam_utils::CachePadded;
use std::cell::Cell;

/// The id that stands for every cell: of levels deeper than [`OWN_WORDS`], and of cells made when ids had run out.
pub(crate) const ANY: u32 = u32::MAX;

/// Levels that have a word of their own; one more word is shared by all deeper ones.
const OWN_WORDS: usize = 6;

/// In a slot's state: this thread has work for its outermost leave (`retire.rs`).
const WORK: u32 = 1 << 31;
/// In a slot's state: the thread is ending, so its outermost leave gives the slot back.
const ENDING: u32 = 1 << 30;
/// In a slot's state: how many reads there are beyond the first six.
const DEEPER: u32 = ENDING - 1;

/// The number in a word that names nothing.
const NUMBER: u64 = 0xffff_ffff;

/// The thread is nested deeper in reads than the limit that the call was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooDeep {
    /// How deep the thread is.
    pub depth: u32,
}

impl std::fmt::Display for TooDeep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} reads are already nested on this thread, which is the limit", self.depth)
    }
}

impl std::error::Error for TooDeep {}

/// One thread's marks.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Slot {
    words: [AtomicU64; OWN_WORDS + 1],
    /// 0 in the common case; else see the constants above. An atomic for `Sync` only: relaxed loads and stores.
    state: AtomicU32,
    /// 0: free. Else one more than the process generation (`fork.rs`) in which a thread took the slot.
    holder: AtomicU32,
    next: AtomicPtr<CachePadded<Slot>>,
}

impl Slot {
    fn new(holder: u32) -> Self {
        Self {
            words: std::array::from_fn(|_| AtomicU64::new(0)),
            state: AtomicU32::new(0),
            holder: AtomicU32::new(holder),
            next: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// Whether its thread is inside a read. For that thread.
    fn in_use(&self) -> bool {
        names_something(self.words[0].load(Relaxed))
    }
}

/// Raises a word that holds `cleared`, and runs the light barrier. Gives what the word is to hold after the leave.
#[inline(always)]
fn raise(word: &AtomicU64, cleared: u64, id: u32, fenced: bool) -> u64 {
    let number = (cleared as u32).wrapping_add(1);
    // Edge ENTER: a scan that sees this in place of an earlier read's value concludes that that read is over. A relaxed
    // store would end the release sequence of that read's leave, so it must release too.
    word.store((u64::from(id) << 32) | u64::from(number), at(Plant::Enter, Release));
    barrier::light(fenced);
    u64::from(number)
}

/// A raised word; cleared on drop, also when unwinding. Never handed to users: leaves come in LIFO order.
#[derive(Debug)]
pub(crate) struct Pin {
    slot: &'static Slot,
    index: usize,
    /// What the word is to hold after the leave.
    after: u64,
}

/// Shows that this thread's word for a cell is up.
pub(crate) trait Pinned {}
impl Pinned for Pin {}
impl Pinned for FirstPin {}

/// A [`Pin`] of the outermost level, which fits two registers.
#[derive(Debug)]
pub(crate) struct FirstPin {
    slot: &'static Slot,
    after: u64,
}

impl Drop for FirstPin {
    #[inline(always)]
    fn drop(&mut self) {
        drop(Pin { slot: self.slot, index: 0, after: self.after });
    }
}

/// Pins this thread inside the cell `id`, in the common case: it has a slot, and is inside no read. Else `None`, for
/// [`enter`]. Wait-free.
///
/// Apart from that so that the common case is compiled by itself, with the pin in registers.
#[inline(always)]
pub(crate) fn enter_first(id: u32, fenced: bool) -> Option<FirstPin> {
    let slot = local::slot()?;
    let word = &slot.words[0];
    let before = word.load(Relaxed);
    #[cfg(signalpost_loom)]
    if planted(Plant::OwnWord) {
        // One word for all levels, which an inner read takes and puts back.
        raise(word, before, id, fenced);
        return Some(FirstPin { slot, after: before });
    }
    if names_something(before) {
        return None;
    }
    Some(FirstPin { slot, after: raise(word, before, id, fenced) })
}

/// Pins this thread inside the cell `id`; an error where it is inside `limit` reads already (6, if less is given).
///
/// Wait-free once the thread has a slot. The first pin of a thread claims one: lock-free, and may allocate.
#[cold]
#[inline(never)]
pub(crate) fn enter(id: u32, fenced: bool, limit: u32) -> Result<Pin, TooDeep> {
    let slot = local::slot().unwrap_or_else(local::claim);
    let free = |index: &usize| !names_something(slot.words[*index].load(Relaxed));
    if let Some(index) = (0..OWN_WORDS).find(free) {
        let word = &slot.words[index];
        return Ok(Pin { slot, index, after: raise(word, word.load(Relaxed), id, fenced) });
    }
    let state = slot.state.load(Relaxed);
    let depth = OWN_WORDS as u32 + (state & DEEPER);
    if depth >= limit {
        return Err(TooDeep { depth });
    }
    slot.state.store(state + 1, Relaxed);
    let (index, shared) = (OWN_WORDS, &slot.words[OWN_WORDS]);
    let before = shared.load(Relaxed);
    if names_something(before) {
        // Raised by a level above, with its barrier. The one that raised it is the last of them to leave.
        return Ok(Pin { slot, index, after: before });
    }
    Ok(Pin { slot, index, after: raise(shared, before, ANY, fenced) })
}

impl Drop for Pin {
    #[inline(always)]
    fn drop(&mut self) {
        // Edge LEAVE: orders this thread's reads of the snapshot before whoever frees it having seen this.
        self.slot.words[self.index].store(self.after, at(Plant::Leave, Release));
        if self.slot.state.load(Relaxed) != 0 {
            left(self.slot, self.index);
        }
    }
}

/// The rest of a leave, where the slot's state says that there is one.
#[cold]
#[inline(never)]
fn left(slot: &'static Slot, index: usize) {
    let state = slot.state.load(Relaxed);
    if index == OWN_WORDS {
        slot.state.store(state - 1, Relaxed);
    } else if index == 0 {
        // The outermost leave. The marks go first: the work below pins again, and its leaves must not come here.
        slot.state.store(0, Relaxed);
        if state & WORK != 0 {
            crate::retire::run_deferred();
        }
        if state & ENDING != 0 {
            local::give_back_at_end(slot);
        }
    }
}

const fn names_something(word: u64) -> bool {
    word > NUMBER
}

/// Whether this thread is inside the cell `id`, as far as its words tell: deeper than six levels, it may be.
pub(crate) fn inside(id: u32) -> bool {
    local::slot().is_some_and(|slot| slot.words.iter().any(|word| names(word.load(Relaxed), id)))
}

/// Whether this thread is inside any read.
pub(crate) fn nested() -> bool {
    local::slot().is_some_and(Slot::in_use)
}

/// Asks for [`crate::retire::run_deferred`] at this thread's outermost leave. The thread is inside a read.
pub(crate) fn work_at_leave() {
    if let Some(slot) = local::slot() {
        slot.state.store(slot.state.load(Relaxed) | WORK, Relaxed);
    }
}

/// Gives this thread its slot now, so that its first publish allocates nothing.
pub(crate) fn warm_up() {
    if local::slot().is_none() {
        let slot = local::claim();
        if slot.state.load(Relaxed) & ENDING != 0 {
            local::give_back_at_end(slot);
        }
    }
}

const fn names(word: u64, id: u32) -> bool {
    let named = (word >> 32) as u32;
    named != 0 && (named == id || named == ANY || id == ANY)
}

/// A word that a scan saw raised.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    slot: &'static Slot,
    index: usize,
    word: u64,
}

impl PartialEq for Seen {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.slot, other.slot) && self.index == other.index && self.word == other.word
    }
}

impl Seen {
    /// Whether the read that raised this word is over: the word has changed, and none is ever restored (3).
    pub(crate) fn left(&self) -> bool {
        // Edges ENTER and LEAVE.
        self.slot.words[self.index].load(at(Plant::Scan, Acquire)) != self.word
    }
}

/// Every raised word that names the cell `id`, or may. To be called after a heavy barrier.
pub(crate) fn scan(id: u32) -> Vec<Seen> {
    let mut seen = Vec::new();
    for slot in slots() {
        for (index, word) in slot.words.iter().enumerate() {
            // Edge LEAVE: a 0 here says that the read before it is over.
            let word = word.load(at(Plant::Scan, Acquire));
            if names(word, id) {
                seen.push(Seen { slot, index, word });
            }
        }
    }
    seen
}

/// Every slot there is. A reader whose slot is pushed after this has begun loads `current` after the heavy barrier.
pub(crate) fn slots() -> impl Iterator<Item = &'static Slot> {
    local::with_head(|head| {
        // Edge LIST: shows the words of a new slot.
        let mut next = head.load(at(Plant::SlotWalk, Acquire));
        std::iter::from_fn(move || {
            // SAFETY: null or a slot in the list; those live for ever (1).
            let slot = unsafe { next.as_ref::<'static>() }?;
            // The pointer was written before its slot was pushed, so no ordering is needed.
            next = slot.next.load(Relaxed);
            Some(&**slot)
        })
    })
}

/// Finds a free slot or pushes a new one. Lock-free; allocates where none is free.
fn take(head: &AtomicPtr<CachePadded<Slot>>) -> &'static Slot {
    let me = holder(fork::generation());
    for slot in slots() {
        // A look first: most slots belong to running threads, whose second line is not to be bounced.
        let free = slot.holder.load(Relaxed) == 0
            // Edge SLOT: shows the number and the cleared words of the thread before.
            && slot.holder.compare_exchange(0, me, at(Plant::Claim, Acquire), Relaxed).is_ok();
        if free {
            return slot;
        }
    }
    let fresh = Box::into_raw(Box::new(CachePadded::new(Slot::new(me))));
    #[cfg(signalpost_loom)]
    local::made(fresh);
    // SAFETY: just made, and never freed (1).
    let slot = unsafe { &*fresh };
    let mut first = head.load(Relaxed);
    loop {
        slot.next.store(first, Relaxed);
        // Edge LIST.
        match head.compare_exchange(first, fresh, at(Plant::SlotPush, Release), Relaxed) {
            Ok(_) => return slot,
            Err(now) => first = now,
        }
    }
}

/// Gives a slot back; its words name nothing (5).
fn give_back(slot: &'static Slot) {
    // Edge SLOT. A swap, not a store: loom wants no plain store beside read-modify-writes on one atomic.
    slot.holder.swap(0, at(Plant::GiveBack, Release));
}

const fn holder(generation: u32) -> u32 {
    generation.wrapping_add(1)
}

/// Clears and frees the slots of threads that a fork did not bring along. For the surviving thread alone (`fork.rs`):
/// slots taken in this process have its generation, the caller's own is left out, so what is left has no thread.
#[cfg_attr(not(unix), allow(dead_code, reason = "only unix forks"))]
#[cfg_attr(any(signalpost_loom, miri), allow(dead_code, reason = "no process is forked there"))]
pub(crate) fn inherit(generation: u32) {
    let own = local::slot();
    for slot in slots() {
        if own.is_some_and(|own| std::ptr::eq(own, slot)) {
            slot.holder.swap(holder(generation), Relaxed);
        } else if ![0, holder(generation)].contains(&slot.holder.load(Relaxed)) {
            for word in &slot.words {
                word.store(word.load(Relaxed) & NUMBER, Release);
            }
            slot.state.store(0, Relaxed);
            give_back(slot);
        }
    }
}

/// A thread's pointer to its slot, and its end.
#[cfg(not(signalpost_loom))]
mod local {
    use super::*;

    static HEAD: AtomicPtr<CachePadded<Slot>> = AtomicPtr::new(std::ptr::null_mut());

    thread_local! {
        // Const and without a destructor: readable at any time, also while other thread-locals are being dropped.
        static SLOT: Cell<Option<&'static Slot>> = const { Cell::new(None) };
        static END: End = const { End };
    }

    /// Gives the slot back when the thread ends.
    struct End;

    impl Drop for End {
        fn drop(&mut self) {
            let Some(slot) = SLOT.get() else { return };
            if slot.in_use() {
                // `exit` or `pthread_exit` inside a subscriber: its last leave, if there is one, gives it back.
                slot.state.store(slot.state.load(Relaxed) | ENDING, Relaxed);
                return;
            }
            give_back_at_end(slot);
        }
    }

    #[inline(always)]
    pub(super) fn slot() -> Option<&'static Slot> {
        SLOT.get()
    }

    pub(super) fn with_head<R>(f: impl FnOnce(&AtomicPtr<CachePadded<Slot>>) -> R) -> R {
        f(&HEAD)
    }

    #[cold]
    pub(super) fn claim() -> &'static Slot {
        let slot = take(&HEAD);
        SLOT.set(Some(slot));
        if END.try_with(|_| ()).is_err() {
            // Another thread-local's destructor publishes: this slot is for one outermost read.
            slot.state.store(ENDING, Relaxed);
        }
        slot
    }

    /// Clears the pointer first (5): from then on this thread takes another slot, should it read again.
    pub(super) fn give_back_at_end(slot: &'static Slot) {
        SLOT.set(None);
        slot.state.store(0, Relaxed);
        give_back(slot);
    }
}

/// The same, with one list of slots for each execution of a model.
#[cfg(signalpost_loom)]
mod local {
    use super::*;
    use std::sync::Arc;

    struct Registry {
        head: AtomicPtr<CachePadded<Slot>>,
        /// The same slots, for the end: walking the list then would be one more thing that loom explores.
        made: std::sync::Mutex<Vec<Made>>,
    }

    struct Made(*mut CachePadded<Slot>);

    // SAFETY: an owned box.
    unsafe impl Send for Made {}

    impl Drop for Made {
        fn drop(&mut self) {
            // SAFETY: from `take`, and this execution's threads have ended.
            drop(unsafe { Box::from_raw(self.0) });
        }
    }

    loom::lazy_static! {
        static ref REGISTRY: Arc<Registry> = Arc::new(Registry {
            head: AtomicPtr::new(std::ptr::null_mut()),
            made: std::sync::Mutex::default(),
        });
    }

    loom::thread_local! {
        static SLOT: Cell<Option<&'static Slot>> = Cell::new(None);
        static END: End = End { slot: Cell::new(None), registry: REGISTRY.clone() };
    }

    /// Gives the slot back when the thread ends, and keeps the list alive until then. loom takes all thread-locals away
    /// before it drops the first, so `SLOT` cannot be read here.
    struct End {
        slot: Cell<Option<&'static Slot>>,
        #[allow(dead_code, reason = "held, not read")]
        registry: Arc<Registry>,
    }

    impl Drop for End {
        fn drop(&mut self) {
            if let Some(slot) = self.slot.get() {
                give_back_at_end(slot);
            }
        }
    }

    pub(super) fn slot() -> Option<&'static Slot> {
        SLOT.try_with(Cell::get).ok().flatten()
    }

    pub(super) fn with_head<R>(f: impl FnOnce(&AtomicPtr<CachePadded<Slot>>) -> R) -> R {
        f(&REGISTRY.head)
    }

    /// Notes a new slot, which lives until the execution ends.
    pub(super) fn made(slot: *mut CachePadded<Slot>) {
        REGISTRY.made.lock().expect("not poisoned").push(Made(slot));
    }

    pub(super) fn claim() -> &'static Slot {
        let slot = take(&REGISTRY.head);
        let _ = SLOT.try_with(|own| own.set(Some(slot)));
        if END.try_with(|end| end.slot.set(Some(slot))).is_err() {
            slot.state.store(ENDING, Relaxed);
        }
        slot
    }

    pub(super) fn give_back_at_end(slot: &'static Slot) {
        if planted(Plant::PointerFirst) {
            return give_back(slot);
        }
        let _ = SLOT.try_with(|own| own.set(None));
        let _ = END.try_with(|end| end.slot.set(None));
        slot.state.store(0, Relaxed);
        give_back(slot);
    }
}

/// For models: this thread's slot is given back now, as at the thread's end, and the thread goes on.
#[cfg(signalpost_loom)]
pub fn end_thread_early() {
    if let Some(slot) = local::slot() {
        local::give_back_at_end(slot);
    }
}
