//! What a thread says of itself, in words that it alone writes: which turn it is in, and which task; and the bell that wakes a
//! monitor which sleeps while nothing runs.
//!
//! Owns the words and their orderings. Not here: whose words they are (`slot.rs`), what silence means (`detect.rs`).
//!
//! # Invariants
//! 1. Only its own thread writes a pulse, so a plain load and store are enough to add one.
//! 2. Every change of `task` is followed by a step of `turn`. So what is seen beside a turn is that turn's task, or, where the
//!    thread is between the two, that of the next one, which begins; while neither changes no other task runs.
//! 3. A thread that has begun to run either finds the bell armed, or is seen running by the monitor that armed it.
//!
//! # Orderings
//! | edge | thread's side | monitor's side | model that fails without it |
//! |------|---------------|----------------|-----------------------------|
//! | TURN | `turn`: Release, after its task | `turn`, first look: Acquire, before `task` | `a_silent_turn_names_its_own_task` |
//! | TASK | `task`: Release, after the step of `turn` before it | `task`: Acquire, before the second look at `turn` | `a_silent_turn_names_its_own_task` |
//! | BELL | `turn`, light barrier, `armed` | `armed`, heavy barrier, `turn` | `a_monitor_does_not_sleep_while_a_thread_runs` |
//! | WAKE | `disarm`: Acquire, before it looks who sleeps | `arm`: Release, after it said that it sleeps; a swap | `who_rings_sees_who_sleeps`, `one_monitor_that_arms_the_bell_hides_no_other` |

use signalpost_dispatch::core::Sides;
use signalpost_dispatch::core::sync::Ordering::{Acquire, Relaxed, Release};
use signalpost_dispatch::core::sync::{AtomicBool, AtomicU64, Plant, at, planted};

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

    /// What runs begins anew.
    pub fn again(&self) {
        self.step(self.task.load(Relaxed)); // invariant 1
    }

    #[inline(always)]
    fn step(&self, task: u64) {
        // Edge TASK: who sees this task sees the turn's step before it, and so that the turn is another one.
        self.task.store(task, at(Plant::TaskShown, Release));
        let turn = self.turn.load(Relaxed); // invariant 1
        // Edge TURN: who sees this turn sees its task, or a later one.
        self.turn.store(turn.wrapping_add(1), at(Plant::TurnShown, Release));
    }

    /// What it says now: the task is that of the turn, or of the next one, which begins. The error, if it changed meanwhile: the turn,
    /// as seen last.
    pub fn beat(&self) -> Result<Beat, u64> {
        // Edge TURN: the look at `task` below comes after this one, and sees no task of an earlier turn.
        let turn = self.turn.load(at(Plant::TurnSeen, Acquire));
        // Edge TASK: the look at `turn` below comes after this one, and sees the steps that this task's writer had made.
        let task = self.task.load(at(Plant::TaskSeen, Acquire));
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
        if !planted(Plant::BellLight) {
            sides.light();
        }
        self.armed.load(Relaxed)
    }

    /// Who is about to sleep looks at all pulses after this, and sleeps only if none runs. False if the kernel refused the barrier:
    /// then nobody may sleep.
    pub fn arm(&self, sides: Sides) -> bool {
        // Edge WAKE: who is told that it was armed sees who had said before that it sleeps. Each of those who armed it, since a swap
        // goes on with the release of the one before; a store would end it.
        if planted(Plant::BellSwap) {
            self.armed.store(true, Release);
        } else {
            self.armed.swap(true, at(Plant::BellArmed, Release));
        }
        planted(Plant::BellHeavy) || sides.heavy()
    }

    /// Says whether it was armed: who is told so wakes the sleepers.
    pub fn disarm(&self) -> bool {
        // Edge WAKE: sees what they had said who armed it.
        self.armed.swap(false, at(Plant::BellDisarmed, Acquire))
    }
}
