//! The two halves of an asymmetric fence: light for readers, heavy for writers; decided once.
//!
//! Owns the choice between `membarrier(2)` and plain fences, and the count of barriers that failed.
//! Not here: who needs a barrier (`pin.rs`, `retire.rs`), what happens when one fails (`retire.rs`).
//!
//! # Invariants
//! 1. A cell takes its mode when it is made and keeps it; reader and writer of one cell use the same.
//! 2. A cell in mode `Membarrier` is made only after the process has registered for it.
//!
//! # Orderings
//! Edge PIN: the reader stores its word, *light*, loads `current`; the writer moves `current`, *heavy*, loads
//! the words. In mode `Fence` both are `fence(SeqCst)`. In mode `Membarrier` light is a compiler fence, and
//! the kernel runs a full barrier on every running thread of the process before heavy returns; a thread
//! that is not running passes one when it is scheduled. Models: `a_pinned_snapshot_is_never_freed` fails
//! without either half.
//! Source of the idea: liburcu's `membarrier` flavour; Dice, Huang, Yang, "Asymmetric Dekker synchronization" (2001).

use crate::sync::plain::{AtomicU8, AtomicU64};
use crate::sync::{Ordering, Plant, fence, planted};
use std::sync::atomic::Ordering::Relaxed;

/// How this process orders readers against writers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Barrier {
    /// Nothing has been registered yet, so no reader pins and nothing had to be decided.
    Undecided,
    /// Readers run no fence; writers call `membarrier(2)` before they reclaim.
    Membarrier,
    /// Readers and writers both run a sequentially consistent fence.
    Fence,
}

static MODE: AtomicU8 = AtomicU8::new(0);
#[cfg(not(signalpost_loom))]
static FAILED: AtomicU64 = AtomicU64::new(0);

/// The mode in use. One relaxed load.
pub(crate) fn mode() -> Barrier {
    match MODE.load(Relaxed) {
        1 => Barrier::Membarrier,
        2 => Barrier::Fence,
        _ => Barrier::Undecided,
    }
}

/// How many heavy barriers have failed since the process began.
pub(crate) fn failures() -> u64 {
    FAILED.load(Relaxed)
}

/// Settles the mode, in the first *write* of the process: registering can take 20 ms, and no reader pins
/// before a first write. Says whether readers must run a fence.
pub(crate) fn decide() -> bool {
    #[cfg(signalpost_loom)]
    begin();
    if mode() == Barrier::Undecided {
        let mine = if membarrier::register() { 1 } else { 2 };
        // Whoever is second takes the first one's word for it; both answers are right for a new cell.
        let _ = MODE.compare_exchange(0, mine, Relaxed, Relaxed);
    }
    mode() == Barrier::Fence
}

/// The reader's half. A compiler fence, or a full one where `fenced`.
#[inline(always)]
pub(crate) fn light(fenced: bool) {
    if planted(Plant::Light) {
        return;
    }
    if fenced || cfg!(signalpost_loom) {
        fence(Ordering::SeqCst);
    } else {
        std::sync::atomic::compiler_fence(Ordering::SeqCst);
    }
}

/// The writer's half: false if the kernel refused (a sandbox set up after the mode was decided, say).
/// Then nothing may be concluded from a scan.
pub(crate) fn heavy(fenced: bool) -> bool {
    if planted(Plant::Heavy) {
        return true;
    }
    #[cfg(signalpost_loom)]
    if refused() {
        // A call that fails orders nothing.
        FAILED.fetch_add(1, Relaxed);
        return planted(Plant::HeavyResult);
    }
    fence(Ordering::SeqCst);
    let done = fenced || membarrier::all_threads();
    fence(Ordering::SeqCst);
    if !done {
        FAILED.fetch_add(1, Relaxed);
    }
    done
}

/// Both halves, for another protocol than a cell's: one side does something often, the other seldom.
#[derive(Clone, Copy, Debug)]
pub struct Sides {
    fenced: bool,
}

impl Sides {
    /// In the process's mode, settled now if need be.
    pub fn decide() -> Self {
        Self { fenced: decide() }
    }

    /// For the side that is often run.
    #[inline(always)]
    pub fn light(self) {
        light(self.fenced);
    }

    /// For the other; false if the kernel refused, and nothing may be concluded from what is seen after it.
    pub fn heavy(self) -> bool {
        heavy(self.fenced)
    }
}

/// In a model the kernel refuses from the call on that [`refuse_from`] was told.
#[cfg(signalpost_loom)]
fn refused() -> bool {
    CALLS.fetch_add(1, Relaxed) >= REFUSE_FROM.load(Relaxed)
}

#[cfg(signalpost_loom)]
loom::lazy_static! {
    static ref CALLS: AtomicU64 = AtomicU64::new(1);
    static ref REFUSE_FROM: AtomicU64 = AtomicU64::new(u64::MAX);
    // For each execution: what a collector does depends on it.
    static ref FAILED: AtomicU64 = AtomicU64::new(0);
}

/// Makes these. Early, since whoever comes later is ordered after that, and should be after nothing more.
#[cfg(signalpost_loom)]
fn begin() {
    for counter in [&*CALLS, &*REFUSE_FROM, &*FAILED] {
        counter.load(Relaxed);
    }
}

/// For models: from the `call`-th on (counted from 1), heavy barriers of this execution fail.
#[cfg(signalpost_loom)]
pub fn refuse_from(call: u64) {
    REFUSE_FROM.store(call, Relaxed);
}

#[cfg(all(
    any(target_os = "linux", target_os = "android"),
    not(signalpost_loom),
    not(signalpost_fences),
    not(miri)
))]
mod membarrier {
    // From the kernel's uapi header linux/membarrier.h.
    const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

    fn call(command: libc::c_int) -> bool {
        // SAFETY: membarrier takes two integers and touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0) == 0 }
    }

    /// Registers the process and tries the barrier once: both must work.
    pub(super) fn register() -> bool {
        call(REGISTER_PRIVATE_EXPEDITED) && call(PRIVATE_EXPEDITED)
    }

    pub(super) fn all_threads() -> bool {
        call(PRIVATE_EXPEDITED)
    }
}

#[cfg(not(all(
    any(target_os = "linux", target_os = "android"),
    not(signalpost_loom),
    not(signalpost_fences),
    not(miri)
)))]
mod membarrier {
    /// A model takes the common path of readers, that of this mode, with a fence for the kernel's barrier.
    pub(super) fn register() -> bool {
        cfg!(signalpost_loom)
    }

    /// Elsewhere never called: no cell is in mode `Membarrier` there.
    pub(super) fn all_threads() -> bool {
        cfg!(signalpost_loom)
    }
}
