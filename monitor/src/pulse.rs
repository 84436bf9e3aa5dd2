//! What a thread says of itself, in words that it alone writes: which turn it is in, and which task; and the bell that wakes a
//! monitor which sleeps while nothing runs.
//!
//! Owns the words and their orderings. Not here: whose words they are (`slot.rs`), what silence means (`detect.rs`).
//!
//! # Invariants
//! 1. Only its own thread writes a pulse, so a plain load and store are enough to add one.
//! 2. Every change of `task` is followed by a step of `turn`; so while `turn` stands still one task runs, or none.
//! 3. A thread that has begun to run either finds the bell armed, or is seen running by the monitor that armed it.
//!
//! # Orderings
//! | edge | thread's side | monitor's side | model that fails without it |
//! |------|---------------|----------------|-----------------------------|
//! | TASK | `task`: Release, after the step of `turn` before it | `task`: Acquire, before the second look at `turn` | `a_silent_turn_names_its_own_task` |
//! | BELL | `turn`, light barrier, `armed` | `armed`, heavy barrier, `turn` | `a_monitor_does_not_sleep_while_a_thread_runs` |
//! | SLEEP | `disarm`: Acquire, before it looks who sleeps | `arm`: Release, after it said that it sleeps | `who_rings_sees_who_sleeps` |

use signalpost_dispatch::core::Sides;
use signalpost_dispatch::core::sync::Ordering::{Acquire, Relaxed, Release};
use signalpost_dispatch::core::sync::{AtomicBool, AtomicU64};

/// One thread's words.
#[derive(Debug)]
pub struct Pulse {
    /// Steps at each beginning and end of something that could block.
    turn: AtomicU64,
    /// What runs, in the words of `task.rs`; 0 is nothing.
    task: AtomicU64,
}

/// What a pulse said at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The same as before: nothing has begun or ended since.
    pub turn: u64,
    /// What runs; 0 is nothing.
    pub task: u64,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { turn: AtomicU64::new(0), task: AtomicU64::new(0) }
    }
}

impl Pulse {
    /// Something begins that could block. Gives what ran before, for [`leave`](Self::leave). Wait-free: two loads, two stores.
    #[inline(always)]
    pub fn enter(&self, task: u64) -> u64 {
        let before = self.task.load(Relaxed);
        self.step(task);
        before
    }

    /// It ended, and `before` goes on.
    #[inline(always)]
    pub fn leave(&self, before: u64) {
        self.step(before);
    }

    #[inline(always)]
    fn step(&self, task: u64) {
        // Edge TASK: who sees this task sees the turn's step before it, and so that the turn is another one.
        self.task.store(task, Release);
        let turn = self.turn.load(Relaxed); // invariant 1
        // Nothing is read through it; a step that is seen late only makes the monitor's estimate shorter.
        self.turn.store(turn.wrapping_add(1), Relaxed);
    }

    /// What it says now; the error, if it changed meanwhile: the turn, as seen last.
    pub fn beat(&self) -> Result<Beat, u64> {
        let turn = self.turn.load(Relaxed);
        // Edge TASK: the look at `turn` below comes after this one, and sees the steps that this task's writer had made.
        let task = self.task.load(Acquire);
        let after = self.turn.load(Relaxed);
        if after == turn { Ok(Beat { turn, task }) } else { Err(after) }
    }
}

/// Rung by a thread that begins to run while a monitor sleeps.
#[derive(Debug)]
pub struct Bell {
    armed: AtomicBool,
}

impl Default for Bell {
    fn default() -> Self {
        Self { armed: AtomicBool::new(false) }
    }
}

impl Bell {
    /// Nobody sleeps.
    #[cfg(not(signalpost_loom))]
    pub const fn new() -> Self {
        Self { armed: AtomicBool::new(false) }
    }

    /// Whether somebody sleeps who has perhaps not seen what this thread has just written. A load, and a barrier that is none
    /// where the kernel has `membarrier`.
    #[inline(always)]
    pub fn is_armed(&self, sides: Sides) -> bool {
        // ORDERING BELL (partner: `arm`). Each side stores, then loads what the other stored: a full barrier on both.
        sides.light();
        self.armed.load(Relaxed)
    }

    /// Who is about to sleep looks at all pulses after this, and sleeps only if none runs. False if the kernel refused the barrier:
    /// then nobody may sleep.
    pub fn arm(&self, sides: Sides) -> bool {
        // Edge SLEEP: who is told that it was armed sees who had said before that it sleeps.
        self.armed.store(true, Release);
        sides.heavy()
    }

    /// Says whether it was armed: who is told so wakes the sleepers.
    pub fn disarm(&self) -> bool {
        self.armed.swap(false, Acquire)
    }
}
