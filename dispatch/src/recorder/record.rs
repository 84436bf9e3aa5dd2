//! What is written down of one publish, and how it is shown.

use signalpost_core::SubscriberName;
use std::fmt;
use std::thread::Thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One publish, as a [`Recorder`](crate::Recorder) wrote it down.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Record {
    /// [`Event::NAME`](crate::Event::NAME), or what [`record`](crate::Recorder::record) was told.
    pub event: &'static str,
    /// When it began, by the clock that never goes back.
    pub began: Instant,
    /// When it began, by the clock on the wall.
    pub at: SystemTime,
    /// How long it took, subscribers and publishes nested in it included.
    pub took: Duration,
    /// The publishing thread: its name and id.
    pub thread: Thread,
    /// How many publishes it was nested in, on its thread, of those that were being recorded by anyone: 0 if none.
    pub depth: usize,
    /// How it ended.
    pub outcome: RecordedOutcome,
    /// Counts up with each publish that began.
    pub(super) number: u64,
}

/// How a publish ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RecordedOutcome {
    /// Every subscriber ran, or there was none.
    Ok,
    /// A subscriber stopped it.
    Stopped {
        /// Who it was.
        subscriber: SubscriberName,
        /// Its place among those who were to hear the event, from 0.
        position: usize,
        /// How many came after it.
        not_run: usize,
        /// Whether it was a veto: see [`EventStop::is_veto`](crate::EventStop::is_veto).
        veto: bool,
        /// The error's text.
        error: String,
    },
    /// It was nested too deep, and `try_publish` said so. (`publish` panics then.)
    TooDeep,
    /// A subscriber panicked, or it was nested too deep.
    Panicked,
}

impl RecordedOutcome {
    /// Whether every subscriber ran.
    pub const fn is_ok(&self) -> bool {
        matches!(self, Self::Ok)
    }
}

/// As in a table of them: wall-clock time (UTC), duration, thread, event and outcome; nested ones are set in.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { event, at, took, thread, depth, outcome, .. } = self;
        let line = Line { event, at: *at, took: Some(*took), thread, depth: *depth };
        write!(f, "{line}: {outcome}")
    }
}

impl fmt::Display for RecordedOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::Stopped { subscriber, position, not_run, veto, error } => {
                let did = if *veto { "vetoed" } else { "stopped" };
                let (place, of) = (position + 1, position + 1 + not_run);
                write!(f, "{did} by {subscriber} ({place} of {of}): {error}")
            }
            Self::TooDeep => f.write_str("nested too deep"),
            Self::Panicked => f.write_str("panicked"),
        }
    }
}

/// The columns before the outcome.
pub(super) struct Line<'l> {
    pub(super) event: &'l str,
    pub(super) at: SystemTime,
    pub(super) took: Option<Duration>,
    pub(super) thread: &'l Thread,
    pub(super) depth: usize,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let second = since.as_secs() % 86_400;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{hour:02}:{minute:02}:{second:02}.{:06}", since.subsec_micros())?;
        match self.took {
            Some(took) => write!(f, "  {took:>9.1?}")?,
            None => write!(f, "  {:>9}", "running")?,
        }
        match self.thread.name() {
            Some(name) => write!(f, "  {name:<16}")?,
            None => write!(f, "  {:<16}", format!("{:?}", self.thread.id()))?,
        }
        write!(f, "  {:indent$}{}", "", self.event, indent = 2 * self.depth)
    }
}
