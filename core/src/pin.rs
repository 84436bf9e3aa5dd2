//! Per-thread marks: a reader is inside, and of which cell.
//!
//! Owns the slots (one a thread, in a list that only grows), the words in them, a thread's nesting level and
//! what happens when the thread ends. Not here: what is read (`cell.rs`), what waits for it (`retire.rs`).
//!
//! # Invariants
//! 1. A slot, once in the list, stays there and is never freed. (Under loom: until the execution ends.)
//! 2. From `enter` to `leave` of level *l* < 6, word *l* of the thread's slot holds (cell id, number), and for any deeper
//!    level word 6 holds (ANY, number); otherwise the word is 0.
//! 3. No word ever takes a value again that it had before: the number goes on, also with the slot's next thread (it
//!    wraps after 2^32 pins, which can only make a waiter wait longer).
//! 4. Only the thread that holds a slot stores into its words, level and number (but see `fork.rs`).
//! 5. A slot is given back with all words 0, and after the thread's pointer to it has been cleared.
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
const OWN_WORDS: u32 = 6;

/// In a slot's level: this thread has work for its outermost leave (`retire.rs`).
const WORK: u32 = 1 << 31;
/// In a slot's level: the thread is ending, so its outermost leave gives the slot back.
const ENDING: u32 = 1 << 30;
const DEPTH: u32 = ENDING - 1;

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

/// One thread's marks. The first cache line is the owner's; scans read it, and the second.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Slot {
    words: [AtomicU64; OWN_WORDS as usize + 1],
    /// The number of the next word. An atomic for `Sync` only: relaxed loads and stores, no read-modify-write.
    number: AtomicU32,
    /// Nesting level and the flags above it; likewise.
    level: AtomicU32,
    /// 0: free. Else one more than the process generation (`fork.rs`) in which a thread took the slot.
    holder: AtomicU32,
    next: AtomicPtr<CachePadded<Slot>>,
}

impl Slot {
    fn new(holder: u32) -> Self {
        Self {
            words: std::array::from_fn(|_| AtomicU64::new(0)),
            number: AtomicU32::new(0),
            level: AtomicU32::new(0),
            holder: AtomicU32::new(holder),
            next: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// Raises the word of level `index`. The caller runs the light barrier.
    #[inline(always)]
    fn raise(&self, index: u32, id: u32) {
        let number = self.number.load(Relaxed).wrapping_add(1);
        self.number.store(number, Relaxed);
        let word = (u64::from(id) << 32) | u64::from(number);
        // Edge ENTER: a scan that sees this word in place of an earlier one concludes that the earlier read is over.
        // A relaxed store would end the release sequence of that read's leave, so it must release too.
        self.words[index as usize].store(word, at(Plant::Enter, Release));
    }

    /// Clears the word of level `index`.
    #[inline(always)]
    fn clear(&self, index: u32) {
        // Edge LEAVE: orders this thread's reads of the snapshot before whoever frees it having seen the 0.
        self.words[index as usize].store(0, at(Plant::Leave, Release));
    }
}

/// A raised word; cleared on drop, also when unwinding. Never handed to users: leaves come in LIFO order.
#[derive(Debug)]
pub(crate) struct Pin {
    slot: &'static Slot,
    depth: u32,
    /// For the planted rule of one word a thread: what an inner read puts back.
    #[cfg(signalpost_loom)]
    outer: u64,
}

impl Pin {
    #[inline(always)]
    fn new(slot: &'static Slot, depth: u32) -> Self {
        Self {
            slot,
            depth,
            #[cfg(signalpost_loom)]
            outer: 0,
        }
    }
}

/// Pins this thread inside the cell `id`, at most `limit` deep.
///
/// Wait-free once the thread has a slot. The first pin of a thread claims one: lock-free, and may allocate.
#[inline(always)]
pub(crate) fn enter(id: u32, fenced: bool, limit: u32) -> Result<Pin, TooDeep> {
    match local::slot() {
        // A set flag makes the level large, so it goes the long way too.
        Some(slot) if slot.level.load(Relaxed) < OWN_WORDS => {
            let depth = slot.level.load(Relaxed);
            slot.level.store(depth + 1, Relaxed);
            #[cfg(signalpost_loom)]
            if planted(Plant::OwnWord) {
                let outer = slot.words[0].load(Relaxed);
                slot.raise(0, id);
                barrier::light(fenced);
                return Ok(Pin { slot, depth, outer });
            }
            slot.raise(depth, id);
            barrier::light(fenced);
            Ok(Pin::new(slot, depth))
        }
        slot => enter_slowly(slot, id, fenced, limit),
    }
}

#[cold]
#[inline(never)]
fn enter_slowly(slot: Option<&'static Slot>, id: u32, fenced: bool, limit: u32) -> Result<Pin, TooDeep> {
    let slot = slot.unwrap_or_else(local::claim);
    let level = slot.level.load(Relaxed);
    let depth = level & DEPTH;
    if depth >= limit {
        return Err(TooDeep { depth });
    }
    slot.level.store(level + 1, Relaxed);
    if depth < OWN_WORDS {
        slot.raise(depth, id);
    } else if depth == OWN_WORDS {
        slot.raise(OWN_WORDS, ANY);
    } // else the shared word is up already, and its barrier was run then
    barrier::light(fenced);
    Ok(Pin::new(slot, depth))
}

impl Drop for Pin {
    #[inline(always)]
    fn drop(&mut self) {
        let Self { slot, depth, .. } = *self;
        if slot.level.load(Relaxed) == depth + 1 && depth < OWN_WORDS {
            #[cfg(signalpost_loom)]
            if planted(Plant::OwnWord) {
                slot.words[0].store(self.outer, Release);
                return slot.level.store(depth, Relaxed);
            }
            slot.clear(depth);
            slot.level.store(depth, Relaxed);
        } else {
            leave_slowly(slot, depth);
        }
    }
}

#[cold]
#[inline(never)]
fn leave_slowly(slot: &'static Slot, depth: u32) {
    if depth <= OWN_WORDS {
        slot.clear(depth);
    }
    let flags = slot.level.load(Relaxed) & !DEPTH;
    if depth > 0 {
        slot.level.store(flags | depth, Relaxed);
        return;
    }
    // The outermost leave. The flags go first: the work below pins again, and its leaves must not come here.
    slot.level.store(flags & ENDING, Relaxed);
    if flags & WORK != 0 {
        crate::retire::run_deferred();
    }
    if flags & ENDING != 0 {
        local::give_back_at_end(slot);
    }
}

/// Whether this thread is inside the cell `id`, as far as its words tell: deeper than six levels, it may be.
pub(crate) fn inside(id: u32) -> bool {
    local::slot().is_some_and(|slot| slot.words.iter().any(|word| names(word.load(Relaxed), id)))
}

/// Whether this thread is inside any read.
pub(crate) fn nested() -> bool {
    local::slot().is_some_and(|slot| slot.level.load(Relaxed) & DEPTH != 0)
}

/// Asks for [`crate::retire::run_deferred`] at this thread's outermost leave.
pub(crate) fn work_at_leave() {
    if let Some(slot) = local::slot() {
        slot.level.store(slot.level.load(Relaxed) | WORK, Relaxed);
    }
}

/// Gives this thread its slot now, so that its first publish allocates nothing.
pub(crate) fn warm_up() {
    if local::slot().is_none() {
        let slot = local::claim();
        if slot.level.load(Relaxed) & ENDING != 0 {
            slot.level.store(0, Relaxed);
            local::give_back_at_end(slot);
        }
    }
}

const fn names(word: u64, id: u32) -> bool {
    let named = (word >> 32) as u32;
    word != 0 && (named == id || named == ANY || id == ANY)
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

/// Gives a slot back; its words are all 0 (5).
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
                word.store(0, Release);
            }
            slot.level.store(0, Relaxed);
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
            if slot.level.load(Relaxed) & DEPTH != 0 {
                // `exit` or `pthread_exit` inside a subscriber: its last leave, if there is one, gives it back.
                slot.level.store(slot.level.load(Relaxed) | ENDING, Relaxed);
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
            slot.level.store(ENDING, Relaxed);
        }
        slot
    }

    /// Clears the pointer first (5): from then on this thread takes another slot, should it read again.
    pub(super) fn give_back_at_end(slot: &'static Slot) {
        SLOT.set(None);
        slot.level.store(0, Relaxed);
        give_back(slot);
    }
}

/// The same, with one list of slots for each execution of a model.
#[cfg(signalpost_loom)]
mod local {
    use super::*;
    use std::sync::Arc;

    struct Registry(AtomicPtr<CachePadded<Slot>>);

    impl Drop for Registry {
        fn drop(&mut self) {
            let mut next = self.0.load(Relaxed);
            while !next.is_null() {
                // SAFETY: from `take`, and this execution's threads have ended.
                let slot = unsafe { Box::from_raw(next) };
                next = slot.next.load(Relaxed);
            }
        }
    }

    loom::lazy_static! {
        static ref REGISTRY: Arc<Registry> = Arc::new(Registry(AtomicPtr::new(std::ptr::null_mut())));
    }

    loom::thread_local! {
        static SLOT: Cell<Option<&'static Slot>> = Cell::new(None);
        static END: End = End(REGISTRY.clone());
    }

    /// Gives the slot back when the thread ends, and keeps the list alive until then.
    struct End(#[allow(dead_code, reason = "held, not read")] Arc<Registry>);

    impl Drop for End {
        fn drop(&mut self) {
            if let Some(slot) = slot() {
                give_back_at_end(slot);
            }
        }
    }

    pub(super) fn slot() -> Option<&'static Slot> {
        SLOT.try_with(Cell::get).ok().flatten()
    }

    pub(super) fn with_head<R>(f: impl FnOnce(&AtomicPtr<CachePadded<Slot>>) -> R) -> R {
        f(&REGISTRY.0)
    }

    pub(super) fn claim() -> &'static Slot {
        let slot = take(&REGISTRY.0);
        let _ = SLOT.try_with(|own| own.set(Some(slot)));
        let _ = END.try_with(|_| ());
        slot
    }

    pub(super) fn give_back_at_end(slot: &'static Slot) {
        if planted(Plant::PointerFirst) {
            return give_back(slot);
        }
        let _ = SLOT.try_with(|own| own.set(None));
        slot.level.store(0, Relaxed);
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
