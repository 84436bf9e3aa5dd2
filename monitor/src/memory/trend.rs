//! Where memory is going: a straight line through the last readings.

use std::time::Duration;

const KEPT: usize = 8;

/// How fast memory grows, by the last 8 readings.
///
/// The slope of the straight line that fits them best, so a single jump counts by its share.
///
/// # Examples
/// ```
/// use signalpost::monitor::{MemoryMode, MemoryState};
/// use std::time::Duration;
///
/// let mut state = MemoryState::new(MemoryMode::Gevent);
/// for second in 0..4 {
///     state.told(Duration::from_secs(second), Some(1_000), 100 * second, None);
/// }
/// let trend = state.trend().unwrap();
/// assert_eq!(trend.bytes_per_second.round(), 100.0);
/// assert_eq!(trend.time_to(1_000).unwrap().as_secs_f64().round(), 7.0); // it is at 300
/// assert_eq!(trend.time_to(200), Some(Duration::ZERO));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct MemoryTrend {
    /// Below zero where memory shrinks.
    pub bytes_per_second: f64,
    /// The last reading.
    pub mem_usage: u64,
    /// From the first reading that counts to the last.
    pub window: Duration,
}

impl MemoryTrend {
    /// How long until memory reaches so many bytes, if it goes on like this; zero if it is there, nothing if it never does or not
    /// within 100 years.
    pub fn time_to(&self, bytes: u64) -> Option<Duration> {
        const CENTURY: f64 = 100.0 * 365.25 * 86_400.0;
        if bytes <= self.mem_usage {
            return Some(Duration::ZERO);
        }
        let seconds = (bytes - self.mem_usage) as f64 / self.bytes_per_second;
        (self.bytes_per_second > 0.0 && seconds < CENTURY).then(|| Duration::from_secs_f64(seconds))
    }
}

/// The last readings, oldest first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Readings {
    kept: [(Duration, u64); KEPT],
    count: usize,
}

impl Readings {
    pub(super) fn push(&mut self, now: Duration, usage: u64) {
        if self.count == KEPT {
            self.kept.rotate_left(1);
            self.count -= 1;
        }
        self.kept[self.count] = (now, usage);
        self.count += 1;
    }

    /// Nothing before the third reading, nor if they are all of one moment.
    pub(super) fn trend(&self) -> Option<MemoryTrend> {
        let kept = &self.kept[..self.count];
        let (&(first, base), &(last, mem_usage)) = (kept.first()?, kept.last()?);
        if kept.len() < 3 {
            return None;
        }
        // From the first reading on: large numbers would cost precision.
        let points = || {
            kept.iter()
                .map(|&(at, usage)| (at.saturating_sub(first).as_secs_f64(), usage as f64 - base as f64))
        };
        let count = kept.len() as f64;
        let (sum_x, sum_y) = points().fold((0.0, 0.0), |(sx, sy), (x, y)| (sx + x, sy + y));
        let (mean_x, mean_y) = (sum_x / count, sum_y / count);
        let (above, below) = points().fold((0.0, 0.0), |(above, below), (x, y)| {
            (above + (x - mean_x) * (y - mean_y), below + (x - mean_x).powi(2))
        });
        let window = last.saturating_sub(first);
        (below > 0.0).then(|| MemoryTrend { bytes_per_second: above / below, mem_usage, window })
    }
}
