//! Over, still growing, back under: what a reading means.
//!
//! Owns the two sets of rules, and what is remembered between readings. Pure: it is told the time, the limit and the reading, reads
//! nothing and publishes nothing.

use super::trend::{MemoryTrend, Readings};
use std::time::Duration;

/// By which rules readings become events.
///
/// # Examples
/// ```
/// use signalpost::monitor::{MemoryChange, MemoryMode, MemoryState, Steady};
/// use std::time::Duration;
///
/// /// How often a reading above the limit of 100 MiB is announced.
/// fn announced(mode: MemoryMode, readings: &[u64]) -> usize {
///     let mut state = MemoryState::new(mode);
///     let told = readings.iter().map(|usage| state.told(Duration::ZERO, Some(100 << 20), *usage, None));
///     told.filter(|change| matches!(change, Some(MemoryChange::Exceeded { .. }))).count()
/// }
/// let jitter = [101 << 20, (101 << 20) - 4096, 101 << 20, (101 << 20) - 4096, 101 << 20];
/// assert_eq!(announced(MemoryMode::Gevent, &jitter), 3);
/// assert_eq!(announced(MemoryMode::Steady(Steady::default()), &jitter), 1);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum MemoryMode {
    /// gevent's rules, exactly. A reading above the limit is announced if it is larger than the *reading before it*, whatever was
    /// announced; the first one at or below the limit is announced as under, with the last reading above the limit.
    ///
    /// So jitter of some kilobytes above the limit is announced again and again, and so is a usage that swings about the limit.
    #[default]
    Gevent,
    /// Announced once when the limit is passed, again for each step of growth beyond what was announced last, and as under when the usage
    /// is below the limit by a margin, with the true peak.
    Steady(Steady),
}

/// The steps and the margin of [`MemoryMode::Steady`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Steady {
    /// Growth is announced again after so many bytes …
    pub step_bytes: u64,
    /// … or this share of what was announced last, whichever is more.
    pub step_share: f64,
    /// How far below the limit the usage must be to count as under: a share of the limit.
    pub margin_share: f64,
}

/// 1 MiB or 1 %, and a margin of 5 %.
impl Default for Steady {
    fn default() -> Self {
        Self { step_bytes: 1 << 20, step_share: 0.01, margin_share: 0.05 }
    }
}

impl Steady {
    /// Announces growth again after so many bytes, or that share of what was announced last, whichever is more.
    #[must_use]
    pub fn step(mut self, bytes: u64, share: f64) -> Self {
        (self.step_bytes, self.step_share) = (bytes, share);
        self
    }

    /// Counts as under what is below the limit by this share of it.
    #[must_use]
    pub fn margin(mut self, share: f64) -> Self {
        self.margin_share = share;
        self
    }

    fn step_after(&self, announced: u64) -> u64 {
        self.step_bytes.max(share_of(announced, self.step_share)).max(1)
    }

    fn under(&self, max: u64) -> u64 {
        max - share_of(max, self.margin_share)
    }
}

/// At most the whole, and nothing for what is no share.
pub(crate) fn share_of(whole: u64, share: f64) -> u64 {
    ((whole as f64 * share) as u64).min(whole)
}

/// What a reading means for those who listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemoryChange {
    /// Above the limit, and larger than before as the mode has it.
    #[non_exhaustive]
    Exceeded {
        /// What was announced last since the limit was passed; nothing if this is the first.
        announced_before: Option<u64>,
        /// The highest usage since the limit was passed.
        peak: u64,
    },
    /// Back under the limit.
    #[non_exhaustive]
    Under {
        /// In [`MemoryMode::Gevent`] the last reading above the limit; in [`MemoryMode::Steady`] the peak.
        max_memory_usage: u64,
        /// What was announced last since the limit was passed.
        announced_before: Option<u64>,
        /// The highest usage since the limit was passed.
        peak: u64,
    },
}

/// What is remembered between readings: told the next one, it says what that means.
///
/// For who has readings of another kind, or another clock; a [`MemoryWatch`](crate::MemoryWatch) has one inside.
///
/// # Examples
/// ```
/// use signalpost::monitor::{MemoryChange, MemoryMode, MemoryState};
/// use std::time::Duration;
///
/// let mut state = MemoryState::new(MemoryMode::Gevent);
/// let mut told = |usage| state.told(Duration::ZERO, Some(100), usage, None);
/// assert!(told(100).is_none()); // equal is not above
/// assert!(matches!(told(200), Some(MemoryChange::Exceeded { announced_before: None, .. })));
/// assert!(told(120).is_none());
/// assert!(matches!(told(130), Some(MemoryChange::Exceeded { announced_before: Some(200), .. })));
/// assert!(matches!(told(90), Some(MemoryChange::Under { max_memory_usage: 130, peak: 200, .. })));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MemoryState {
    mode: MemoryMode,
    /// gevent's: the last reading, if it was above the limit, else 0.
    last_above: u64,
    /// Since the limit was passed; nothing while it is not.
    over: Option<Over>,
    /// The kernel's peak when the usage was last known not to be over.
    calm_peak: Option<u64>,
    readings: Readings,
}

#[derive(Clone, Copy, Debug, Default)]
struct Over {
    announced: Option<u64>,
    peak: u64,
}

impl MemoryState {
    /// Nothing told yet.
    pub fn new(mode: MemoryMode) -> Self {
        Self { mode, last_above: 0, over: None, calm_peak: None, readings: Readings::default() }
    }

    /// A reading: the time (from any origin, not going back), the limit, the usage, and, if it is known, the highest usage ever.
    ///
    /// Without a limit nothing is said, and nothing changes but the trend. `ever` makes the peak a true one: what was between two readings
    /// counts as well, if it was more than ever before.
    pub fn told(
        &mut self,
        now: Duration,
        max: Option<u64>,
        usage: u64,
        ever: Option<u64>,
    ) -> Option<MemoryChange> {
        self.readings.push(now, usage);
        let max = max?;
        if usage > max || self.over.is_some() {
            let grew = matches!((ever, self.calm_peak), (Some(ever), Some(calm)) if ever > calm);
            let over = self.over.get_or_insert_default();
            over.peak = over.peak.max(usage).max(if grew { ever.unwrap_or(0) } else { 0 });
        }
        let change = match self.mode {
            MemoryMode::Gevent => self.gevent(max, usage),
            MemoryMode::Steady(steady) => self.steady(steady, max, usage),
        };
        match change {
            Some(MemoryChange::Exceeded { .. }) => {
                self.over.as_mut().expect("it is above the limit").announced = Some(usage);
            }
            Some(MemoryChange::Under { .. }) => self.over = None,
            None => {}
        }
        if self.over.is_none() || self.calm_peak.is_none() {
            self.calm_peak = ever;
        }
        change
    }

    fn gevent(&mut self, max: u64, usage: u64) -> Option<MemoryChange> {
        let before = self.last_above;
        self.last_above = if usage > max { usage } else { 0 };
        if usage > max {
            (usage > before).then(|| self.exceeded())
        } else {
            (before != 0).then(|| self.under(before))
        }
    }

    fn steady(&mut self, steady: Steady, max: u64, usage: u64) -> Option<MemoryChange> {
        self.last_above = if usage > max { usage } else { 0 };
        let over = self.over?;
        if usage > max {
            let grown = |announced| usage.saturating_sub(announced) >= steady.step_after(announced);
            over.announced.is_none_or(grown).then(|| self.exceeded())
        } else {
            (usage <= steady.under(max)).then(|| self.under(over.peak))
        }
    }

    fn exceeded(&self) -> MemoryChange {
        let Over { announced, peak } = self.over.unwrap_or_default();
        MemoryChange::Exceeded { announced_before: announced, peak }
    }

    fn under(&self, max_memory_usage: u64) -> MemoryChange {
        let Over { announced, peak } = self.over.unwrap_or_default();
        MemoryChange::Under { max_memory_usage, announced_before: announced, peak }
    }

    /// The rules.
    pub fn mode(&self) -> MemoryMode {
        self.mode
    }

    /// Whether the limit was passed, and the usage has not been announced as under since.
    pub fn is_over(&self) -> bool {
        self.over.is_some()
    }

    /// The last reading if it was above the limit, else 0.
    pub fn last_above(&self) -> u64 {
        self.last_above
    }

    /// The highest usage since the limit was passed; nothing while it is not.
    pub fn peak(&self) -> Option<u64> {
        self.over.map(|over| over.peak)
    }

    /// What was announced last since the limit was passed.
    pub fn announced(&self) -> Option<u64> {
        self.over?.announced
    }

    /// Where it is going; nothing before the third reading.
    pub fn trend(&self) -> Option<MemoryTrend> {
        self.readings.trend()
    }
}
