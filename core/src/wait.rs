//! Waiting with an end: deadlines, and a pause that grows from spinning to sleeping.
//!
//! Owns the only clock that `core` reads, and only for calls that take a timeout.
//! Under loom no deadline passes and a pause is a yield.

use std::time::Duration;

/// Why a wait ended without what it waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitError {
    /// The time was up. What was asked for is still under way; the call can be made again.
    TimedOut,
    /// This thread is itself inside what it would wait for, or is running a destructor for the collector.
    /// Returned at once.
    WouldDeadlock,
    /// The kernel refuses the barrier that readers rely on, so nobody can know who is still reading.
    /// Nothing is reclaimed any more; publishing and registering stay right.
    BarrierLost,
}

impl std::fmt::Display for WaitError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "the wait timed out: a reader or a destructor is still running; wait again or for longer",
            Self::WouldDeadlock => "the wait would never end: this thread is itself inside what it would wait for",
            Self::BarrierLost => {
                "cannot wait for readers: membarrier worked at the start and is refused now (was a seccomp filter installed?)"
            }
        })
    }
}

impl std::error::Error for WaitError {}

/// A point in time after which a wait gives up. Reads the monotonic clock once.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(#[cfg(not(signalpost_loom))] Option<std::time::Instant>);

/// Pauses between two looks at what is waited for: spins, yields, then sleeps for up to a millisecond.
#[derive(Debug)]
pub struct Pause {
    #[cfg(not(signalpost_loom))]
    backoff: crossbeam_utils::Backoff,
    #[cfg(not(signalpost_loom))]
    sleep: Duration,
}

#[cfg(not(signalpost_loom))]
impl Deadline {
    /// Passes after `timeout`; never, where that is further off than the clock reaches.
    pub fn after(timeout: Duration) -> Self {
        Self(std::time::Instant::now().checked_add(timeout))
    }

    /// Never passes.
    pub const fn never() -> Self {
        Self(None)
    }

    fn left(self) -> Option<Duration> {
        self.0.map(|end| end.saturating_duration_since(std::time::Instant::now()))
    }
}

#[cfg(not(signalpost_loom))]
impl Pause {
    /// Starts with a spin.
    #[allow(clippy::new_without_default, reason = "a pause is begun, not defaulted")]
    pub fn new() -> Self {
        Self { backoff: crossbeam_utils::Backoff::new(), sleep: Duration::from_micros(20) }
    }

    /// Pauses once. False if the deadline has passed; then it did not pause.
    pub fn until(&mut self, deadline: Deadline) -> bool {
        let left = deadline.left();
        if left == Some(Duration::ZERO) {
            return false;
        }
        if self.backoff.is_completed() {
            std::thread::sleep(self.sleep.min(left.unwrap_or(self.sleep)));
            self.sleep = (self.sleep * 2).min(Duration::from_millis(1));
        } else {
            self.backoff.snooze();
        }
        true
    }
}

#[cfg(signalpost_loom)]
impl Deadline {
    /// Never passes in a model.
    pub fn after(_: Duration) -> Self {
        Self()
    }

    /// Never passes.
    pub const fn never() -> Self {
        Self()
    }
}

#[cfg(signalpost_loom)]
impl Pause {
    /// Starts.
    #[allow(clippy::new_without_default, reason = "a pause is begun, not defaulted")]
    pub fn new() -> Self {
        Self {}
    }

    /// Lets the other threads of the model go on.
    pub fn until(&mut self, _: Deadline) -> bool {
        crate::sync::thread::yield_now();
        true
    }
}
