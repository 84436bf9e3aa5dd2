//! The monitor's time: how long it is since the monitor was made, on the clock that never goes back.
//!
//! Owns the one place where the monitor thread reads a clock. The schedule is told the time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A clock that began at 0 when the monitor was made. A forked child goes on with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
    /// Nanoseconds, where a test turns it (`by_hand.rs`).
    hand: Option<&'static AtomicU64>,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { origin: Instant::now(), hand: None }
    }

    /// One that stands still until somebody adds to the number, which is nanoseconds.
    pub(crate) fn by_hand(hand: &'static AtomicU64) -> Self {
        Self { hand: Some(hand), ..Self::new() }
    }

    pub(crate) fn now(self) -> Duration {
        match self.hand {
            None => self.origin.elapsed(),
            Some(hand) => Duration::from_nanos(hand.load(Relaxed)),
        }
    }

    /// The instant at which this clock shows `time`; none, where that is further off than the system's clock reaches.
    pub(crate) fn at(self, time: Duration) -> Option<Instant> {
        self.origin.checked_add(time)
    }
}
