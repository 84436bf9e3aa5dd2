//! Std's atomics, cells and threads, or loom's under `--cfg signalpost_loom`.
//!
//! Only this file names either, so nothing slips past a model. The cfg has our own name: `--cfg loom`
//! would flip our dependencies too. Every non-relaxed ordering goes through [`at`] with the name of its
//! edge, so that a planted fault can take one edge away and a model must notice (`loom-tests`, `weaken`).

#[cfg(signalpost_loom)]
pub use loom;
#[cfg(signalpost_loom)]
pub use loom::{
    cell::UnsafeCell,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
    thread,
};
#[cfg(not(signalpost_loom))]
pub use std::{
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
    thread,
};

/// Std's atomics under either cfg: for counters and ids that order nothing.
pub mod plain {
    pub use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
    pub use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize};
}

/// Std's `UnsafeCell` with the two doors of loom's, so that a model sees each access.
#[cfg(not(signalpost_loom))]
#[derive(Debug)]
#[repr(transparent)]
pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(signalpost_loom))]
impl<T> UnsafeCell<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }
    /// Hands out a pointer for a shared access.
    #[inline(always)]
    pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }
    /// Hands out a pointer for an exclusive access.
    #[inline(always)]
    pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}

/// Part of a value, by which a model sees that the value is looked at before it was made or after it was dropped.
#[cfg(signalpost_loom)]
#[derive(Debug)]
pub struct Watched(UnsafeCell<()>);

// SAFETY: there is nothing in the cell.
#[cfg(signalpost_loom)]
unsafe impl Sync for Watched {}

#[cfg(signalpost_loom)]
impl Default for Watched {
    fn default() -> Self {
        Self(UnsafeCell::new(()))
    }
}

#[cfg(signalpost_loom)]
impl Watched {
    /// Looks at the value.
    pub fn look(&self) {
        self.0.with(|_| ());
    }
}

#[cfg(signalpost_loom)]
impl Drop for Watched {
    fn drop(&mut self) {
        self.0.with_mut(|_| ());
    }
}

/// A thread-local: `const` and std's, or loom's.
#[macro_export]
#[doc(hidden)]
#[cfg(not(signalpost_loom))]
macro_rules! local {
    (static $name:ident: $type:ty = $init:expr) => {
        ::std::thread_local! { static $name: $type = const { $init }; }
    };
}

/// A thread-local: `const` and std's, or loom's.
#[macro_export]
#[doc(hidden)]
#[cfg(signalpost_loom)]
macro_rules! local {
    (static $name:ident: $type:ty = $init:expr) => {
        $crate::sync::loom::thread_local! { static $name: $type = $init; }
    };
}
pub use local;

macro_rules! plants {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// One edge, barrier or rule of the protocol that a planted fault can take away, under loom only.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Plant { $($(#[$doc])* $name,)* }

        impl Plant {
            /// Every plant, in the order of the tables in `docs/design.md`.
            pub const ALL: &'static [Plant] = &[$(Plant::$name,)*];

            /// The name that the environment variable `SIGNALPOST_WEAKEN` takes.
            pub const fn name(self) -> &'static str {
                match self { $(Plant::$name => stringify!($name),)* }
            }
        }
    };
}

plants! {
    /// Barrier: the reader's, between its word and its load of `current`.
    Light,
    /// Barrier: the writer's, between moving `current` and scanning the words.
    Heavy,
    /// Ordering: the Release with which a word is raised.
    Enter,
    /// Ordering: the Release with which a word is cleared.
    Leave,
    /// Ordering: the Acquire of a scan, first look and later ones.
    Scan,
    /// Ordering: the Release with which `current` moves.
    Forward,
    /// Ordering: the Acquire with which a pinned reader loads `current`.
    Value,
    /// Ordering: the Acquire with which a pinned writer loads `current` to compare versions.
    Versions,
    /// Ordering: the Release with which a lazily made cell is published.
    Born,
    /// Ordering: the Acquire with which a lazily made cell is found.
    Find,
    /// Ordering: the Acquire with which a thread takes a slot over.
    Claim,
    /// Ordering: the Release with which a thread gives its slot back.
    GiveBack,
    /// Ordering: the Release with which a new slot enters the list.
    SlotPush,
    /// Ordering: the Acquire with which a scan enters the list of slots.
    SlotWalk,
    /// Ordering: the Release with which a retired snapshot enters its stack.
    StackPush,
    /// Ordering: the Acquire with which a collector empties that stack.
    StackTake,
    /// Ordering: the Release with which dropped captures are announced, and a handle leaves.
    LatchSet,
    /// Ordering: the Acquire fence of the second to leave a subscriber, before it frees the memory.
    LeftSecond,
    /// Ordering: the Acquire with which a waiter looks for it.
    LatchSeen,
    /// Barrier: the full fence between the note that a handle cancels and its look for the subscriber.
    CancelFence,
    /// Ordering: the Release with which a list is told that a subscriber has ended by itself.
    EndedSet,
    /// Barrier: a publisher's, between adding to a queue and looking for sleepers.
    PushLight,
    /// Barrier: a receiver's, between noting that it sleeps and its last look.
    SleepHeavy,
    /// Barrier: the last receiver's, between noting that it goes and emptying the queue.
    GoneHeavy,
    /// Ordering: the Release with which a queue is closed.
    CloseSet,
    /// Ordering: the Acquire with which a receiver sees that.
    CloseSeen,
    /// Barrier: between seeing that one was told and looking of what.
    ToldHeavy,
    /// Barrier: between seeing that a ring's thread has ended and looking into it once more.
    EndHeavy,
    /// Ordering: the Release with which a late subscriber's gate opens (feature `sticky`).
    GateOpen,
    /// Ordering: the Acquire with which a publisher sees that gate open.
    GateSeen,
    /// Ordering: the Release with which a thread shows its turn (the monitor's `pulse`, as all that follow here).
    TurnShown,
    /// Ordering: the Acquire of the monitor's first look at it.
    TurnSeen,
    /// Ordering: the Release with which a thread shows its task.
    TaskShown,
    /// Ordering: the Acquire of the monitor's look at it.
    TaskSeen,
    /// Barrier: a thread's, between saying that it runs and looking at the bell.
    BellLight,
    /// Barrier: a monitor's, between arming the bell and its last look at the threads.
    BellHeavy,
    /// Ordering: the Release with which a monitor arms the bell.
    BellArmed,
    /// Ordering: the Acquire with which a thread disarms it.
    BellDisarmed,
    /// Barrier: a reader's, between clearing its word and looking whether anything waits for it.
    LastLight,
    /// Barrier: a collector's, between saying that something waits and looking at the words once more.
    LastHeavy,
    /// Rule: a writer is pinned while it compares and moves `current`.
    WriterPin,
    /// Rule: `current` moves forward by version, never back.
    NeverBack,
    /// Rule: an inner read has a word of its own and restores nothing.
    OwnWord,
    /// Rule: empty is a snapshot with a version, marked by a tag, not a null.
    EmptyTag,
    /// Rule: a change that changes nothing still helps `current` forward.
    HelpForward,
    /// Rule: a thread's pointer to its slot is cleared before the slot is given back.
    PointerFirst,
    /// Rule: waiting inside a read of the same cell is an error.
    InsideCheck,
    /// Rule: a cancel waits for the captures' own latch, not for an empty list.
    WaitForLatch,
    /// Rule: a heavy barrier that failed frees nothing.
    HeavyResult,
    /// Rule: writers install by compare and swap.
    CompareAndSwap,
    /// Rule: who was told and does not need it passes it on.
    PassOn,
    /// Rule: a late subscriber replaces the last event by itself, rather than only looking at it.
    Touch,
    /// Rule: a monitor arms the bell by a swap, so that it hides no other monitor that did.
    BellSwap,
    /// Rule: a reader notes before it raises its word how often something began to wait for readers.
    RoundFirst,
}

/// Whether this fault is planted: never, outside a model.
#[cfg(not(signalpost_loom))]
#[inline(always)]
pub const fn planted(_: Plant) -> bool {
    false
}

/// Whether this fault is planted, by the environment variable `SIGNALPOST_WEAKEN`.
#[cfg(signalpost_loom)]
pub fn planted(plant: Plant) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<Plant>> = std::sync::OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| {
        let name = std::env::var("SIGNALPOST_WEAKEN").ok()?;
        let plant = Plant::ALL.iter().copied().find(|p| p.name() == name);
        Some(plant.unwrap_or_else(|| panic!("SIGNALPOST_WEAKEN={name}: no such plant")))
    });
    *chosen == Some(plant)
}

/// The ordering of an edge; `Relaxed` where a planted fault takes the edge away.
#[inline(always)]
pub fn at(edge: Plant, ordering: Ordering) -> Ordering {
    if planted(edge) { Ordering::Relaxed } else { ordering }
}
