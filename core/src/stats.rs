//! What went on in the process as a whole.

use crate::barrier::{self, Barrier};
use crate::sync::plain::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

static DROP_PANICS: AtomicU64 = AtomicU64::new(0);

pub(crate) fn count_drop_panic() {
    DROP_PANICS.fetch_add(1, Relaxed);
}

/// Figures of the whole process, since it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How readers are ordered against writers.
    pub barrier: Barrier,
    /// Barriers that the kernel refused. Above 0 nothing is reclaimed while that lasts, and waits give
    /// [`WaitError::BarrierLost`](crate::WaitError::BarrierLost).
    pub heavy_failures: u64,
    /// Destructors of captured state that panicked while a collector ran them. Each was reported by the panic hook.
    pub drop_panics: u64,
}

/// Takes the figures. Three relaxed loads.
///
/// # Examples
/// ```
/// let stats = signalpost::stats();
/// assert_eq!(stats.heavy_failures, 0);
/// println!("readers are ordered by {:?}", stats.barrier);
/// ```
pub fn stats() -> Stats {
    Stats {
        barrier: barrier::mode(),
        heavy_failures: barrier::failures(),
        drop_panics: DROP_PANICS.load(Relaxed),
    }
}
