//! A monitor without a thread: a test turns its clock, and takes its thread's turns one by one.
//!
//! Owns nothing of what a monitor does: handles, loop and schedule are the real ones, and the caller's thread is the monitor
//! thread. Only the sleep is left out, which the test does by [turning the clock](HandClock::advance). For tests: not part of what
//! semver covers.

use crate::builder::MonitorBuilder;
use crate::clock::Clock;
use crate::error::StartError;
use crate::monitor::MonitorRef;
use crate::shared::Shared;
use crate::worker::{Left, Thread, Turn};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The monitor, and the turns of its thread. Dropped, it has ended.
pub struct ByHand {
    shared: Arc<Shared>,
    monitor: MonitorRef,
    thread: Thread,
    clock: HandClock,
}

/// Its clock. Whoever has it can turn it: a function that is called, too.
#[derive(Clone, Copy, Debug)]
pub struct HandClock(&'static AtomicU64);

/// What came of a turn of the thread's loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandTurn {
    /// Functions that were due were called. There may be more to call at once.
    Called,
    /// The thread would sleep: until the clock shows this, or until it is woken.
    Sleeps(Option<Duration>),
    /// The thread would end.
    Ends,
}

impl ByHand {
    /// The monitor of these settings, on this thread, with a clock that shows `now`. Nobody is told that it has started.
    ///
    /// # Errors
    /// For settings that cannot be.
    pub fn start(builder: MonitorBuilder, now: Duration) -> Result<Self, StartError> {
        let clock = HandClock(Box::leak(Box::new(AtomicU64::new(nanos(now))))); // 8 bytes for each test
        let prepared = builder.prepare(Clock::by_hand(clock.0))?;
        let shared = prepared.shared.clone();
        let (parker, worker) = shared.first_worker();
        worker.is_this_thread();
        let monitor = MonitorRef::of(shared.clone());
        prepared.install();
        let thread = Thread::new(shared.clone(), worker, parker);
        Ok(Self { shared, monitor, thread, clock })
    }

    /// Its handle.
    pub fn monitor(&self) -> &MonitorRef {
        &self.monitor
    }

    /// Its clock.
    pub fn clock(&self) -> HandClock {
        self.clock
    }

    /// One turn of the thread's loop: what has changed is seen, what is due is called.
    pub fn turn(&mut self) -> HandTurn {
        match self.thread.turn() {
            Turn::Called => HandTurn::Called,
            Turn::Sleep(until) => HandTurn::Sleeps(until),
            Turn::Leave(Left::Ended | Left::Forked) => HandTurn::Ends,
        }
    }
}

impl Drop for ByHand {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl fmt::Debug for ByHand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByHand")
            .field("monitor", &self.monitor)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

impl HandClock {
    /// What it shows.
    pub fn now(self) -> Duration {
        Duration::from_nanos(self.0.load(Relaxed))
    }

    /// Turns it forward.
    pub fn advance(self, by: Duration) {
        self.0.fetch_add(nanos(by), Relaxed);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("less than 584 years")
}
