//! The monitor's time: how long it is since the monitor was made, on the clock that never goes back.
//!
//! Owns the one place where the monitor thread reads a clock. The schedule is told the time.

use std::time::{Duration, Instant};

/// A clock that began at 0 when the monitor was made. A forked child goes on with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Duration {
        self.0.elapsed()
    }

    /// The instant at which this clock shows `time`; none, where that is further off than the system's clock reaches.
    pub(crate) fn at(self, time: Duration) -> Option<Instant> {
        self.0.checked_add(time)
    }
}
