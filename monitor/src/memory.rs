//! Publishes when memory passes a limit, while it grows beyond, and when it is back.
//!
//! Owns the watch: one check reads, decides and publishes. Not here: what a reading means (`memory/state.rs`), where it comes from
//! (`usage.rs`), how a limit is found (`limit.rs`), and when to check, which is the caller's or the monitor thread's business.
//!
//! # Invariants
//! 1. What a reading means is settled before it is published: a subscriber that fails or panics is not asked the same again.
//! 2. Without a limit nothing is read.

mod state;
mod trend;

pub(crate) use state::share_of;
pub use state::{MemoryChange, MemoryMode, MemoryState, Steady};
pub use trend::MemoryTrend;

use crate::limit::MemoryLimit;
use crate::memory_error::MemoryError;
use crate::memory_event::{MemoryUsageThresholdExceeded, MemoryUsageUnderThreshold};
use crate::monitor::Hub;
use crate::usage::{MemoryFigure, MemoryInfo, MemorySource, ProcessMemory};
use signalpost_dispatch::{BoxError, Bus, Stopped};
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Reads the process's memory at each check, and publishes [`MemoryUsageThresholdExceeded`] and [`MemoryUsageUnderThreshold`].
///
/// Starts no thread: whoever checks it also says when. Sizes are bytes; what was between two checks is not seen, but for the peak.
/// A check that publishes nothing costs one reading, 3 µs by default, and allocates nothing.
///
/// # Examples
/// ```
/// use signalpost::Bus;
/// use signalpost::monitor::{MemoryLimit, MemoryUsageThresholdExceeded, MemoryWatch};
///
/// let bus = Bus::new();
/// let _log = bus.topic::<MemoryUsageThresholdExceeded>().subscribe(|event| println!("{event}"));
/// # if cfg!(target_os = "linux") {
/// let mut watch = MemoryWatch::builder().limit(MemoryLimit::Bytes(1)).build()?;
/// assert!(watch.check(&bus)?.exceeded().is_some()); // every program has more than a byte
///
/// let handle = watch.handle(); // for other threads
/// handle.set_max_memory_usage(Some(1 << 60));
/// assert!(watch.check(&bus)?.under().is_some());
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MemoryWatch {
    source: Box<dyn MemorySource>,
    figure: MemoryFigure,
    state: MemoryState,
    handle: MemoryHandle,
    born: Instant,
}

/// The settings of a [`MemoryWatch`]: see there.
pub struct MemoryWatchBuilder {
    limit: MemoryLimit,
    mode: MemoryMode,
    figure: MemoryFigure,
    source: Option<Box<dyn MemorySource>>,
}

impl MemoryWatch {
    /// No limit yet, [`MemoryMode::Gevent`], resident memory, as the system has it.
    pub fn builder() -> MemoryWatchBuilder {
        MemoryWatchBuilder {
            limit: MemoryLimit::Off,
            mode: MemoryMode::default(),
            figure: MemoryFigure::default(),
            source: None,
        }
    }

    /// Reads once, and publishes on the bus what there is to say. Time is the system's monotonic clock.
    ///
    /// # Errors
    /// If memory could not be read, and the next check tries again; or if a subscriber stopped the event, which is not published
    /// again (unlike gevent's): the next check goes on from this reading.
    ///
    /// # Panics
    /// If a subscriber does. The watch goes on from this reading.
    pub fn check(&mut self, bus: &Bus) -> Result<MemoryCheck, MemoryCheckError> {
        self.check_at(self.born.elapsed(), bus)
    }

    /// The same at a time of one's own clock: from any origin, not going back. The trend alone looks at it.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    ///
    /// # Panics
    /// As [`check`](Self::check).
    pub fn check_at(&mut self, now: Duration, bus: &Bus) -> Result<MemoryCheck, MemoryCheckError> {
        let Some(max_allowed) = self.handle.max_memory_usage() else { return Ok(MemoryCheck::Disabled) };
        let memory_info = self.source.read().map_err(MemoryCheckError::Unreadable)?;
        let mem_usage = self.figure.of(&memory_info);
        let ever = memory_info.peak_rss.filter(|_| self.figure == MemoryFigure::Rss);
        let change = self.state.told(now, Some(max_allowed), mem_usage, ever);
        let trend = || self.state.trend();
        let (done, result) = match change {
            None => return Ok(MemoryCheck::Quiet(memory_info)),
            Some(MemoryChange::Exceeded { announced_before, peak }) => {
                let mut event = MemoryUsageThresholdExceeded::new(mem_usage, max_allowed, memory_info);
                (event.announced_before, event.peak, event.trend) = (announced_before, peak, trend());
                let result = bus.publish(&event);
                (MemoryCheck::Exceeded(event), result)
            }
            Some(MemoryChange::Under { max_memory_usage, announced_before, peak }) => {
                let mut event =
                    MemoryUsageUnderThreshold::new(mem_usage, max_allowed, memory_info, max_memory_usage);
                (event.announced_before, event.peak, event.trend) = (announced_before, peak, trend());
                let result = bus.publish(&event);
                (MemoryCheck::Under(event), result)
            }
        };
        match result {
            Ok(()) => Ok(done),
            Err(stopped) => Err(MemoryCheckError::Stopped(Box::new((done, stopped)))),
        }
    }

    /// As a function for a [`Monitor`](crate::Monitor), which calls it on its thread: each call is a [`check`](Self::check) that publishes on
    /// the monitor's bus. Take a [`handle`](Self::handle) before, to change the limit.
    ///
    /// A check that fails is a failure of the function, and is published as such
    /// ([`MonitoringFunctionFailed`](crate::MonitoringFunctionFailed)); after so many in a row as
    /// [`failures_before_removal`](crate::MonitorBuilder::failures_before_removal) says, the monitor drops the watch.
    ///
    /// # Examples
    /// ```
    /// use signalpost::Bus;
    /// use signalpost::monitor::{
    ///     MemoryInfo, MemoryLimit, MemoryUsageThresholdExceeded, MemoryWatch, Monitor,
    /// };
    /// use std::{sync::{Arc, mpsc}, time::Duration};
    ///
    /// let (bus, (told, hear)) = (Arc::new(Bus::new()), mpsc::channel());
    /// let _sub = bus.topic::<MemoryUsageThresholdExceeded>().subscribe(move |event| {
    ///     let _ = told.send(event.mem_usage);
    /// });
    /// let monitor = Monitor::builder().bus(bus.clone()).start()?;
    ///
    /// let watch = MemoryWatch::builder().limit(MemoryLimit::Bytes(100));
    /// let watch = watch.source(|| Ok(MemoryInfo::new(150))).build()?; // of a test; leave it out
    /// monitor.add_monitoring_function(watch.into_function(), Duration::from_secs(5))?;
    /// assert_eq!(hear.recv()?, 150);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_function(mut self) -> impl FnMut(&Hub) -> Result<(), BoxError> + Send + 'static {
        move |hub| Ok(self.check(hub.bus()).map(drop)?)
    }

    /// The limit, to be looked at and changed from any thread.
    pub fn handle(&self) -> MemoryHandle {
        self.handle.clone()
    }

    /// What is remembered between checks.
    pub fn state(&self) -> &MemoryState {
        &self.state
    }
}

impl fmt::Debug for MemoryWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { figure, state, handle, .. } = self;
        let max = handle.max_memory_usage();
        f.debug_struct("MemoryWatch")
            .field("max_memory_usage", &max)
            .field("figure", figure)
            .field("state", state)
            .finish_non_exhaustive()
    }
}

impl MemoryWatchBuilder {
    /// The limit; [`MemoryLimit::Off`] unless this is called. It is found out in [`build`](Self::build), once.
    #[must_use]
    pub fn limit(mut self, limit: MemoryLimit) -> Self {
        self.limit = limit;
        self
    }

    /// The rules; [`MemoryMode::Gevent`] unless this is called.
    #[must_use]
    pub fn mode(mut self, mode: MemoryMode) -> Self {
        self.mode = mode;
        self
    }

    /// What is held against the limit; [`MemoryFigure::Rss`] unless this is called.
    #[must_use]
    pub fn figure(mut self, figure: MemoryFigure) -> Self {
        self.figure = figure;
        self
    }

    /// Where readings come from; [`ProcessMemory`] unless this is called.
    #[must_use]
    pub fn source(mut self, source: impl MemorySource + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// Finds out the limit and opens the source.
    ///
    /// # Errors
    /// If the limit is a share of what is not there, or no share; if a share in [`Steady`] is below 0 or above 1; if there is no
    /// source: see [`ProcessMemory::new`] and [`ProcessMemory::with_uss`].
    pub fn build(self) -> Result<MemoryWatch, MemoryError> {
        let max = self.limit.resolve()?;
        if let MemoryMode::Steady(Steady { step_share, margin_share, .. }) = self.mode {
            for (of, found) in [("what was announced last", step_share), ("the limit", margin_share)] {
                if !(0.0..=1.0).contains(&found) {
                    return Err(MemoryError::Share { of, expected: "from 0 to 1", found });
                }
            }
        }
        let source = match (self.source, self.figure) {
            (Some(source), _) => source,
            (None, MemoryFigure::Rss) => Box::new(ProcessMemory::new()?),
            (None, MemoryFigure::Uss) => Box::new(ProcessMemory::with_uss()?),
        };
        let handle = MemoryHandle::new(max);
        let state = MemoryState::new(self.mode);
        Ok(MemoryWatch { source, figure: self.figure, state, handle, born: Instant::now() })
    }
}

impl fmt::Debug for MemoryWatchBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, mode, figure, .. } = self;
        f.debug_struct("MemoryWatchBuilder")
            .field("limit", limit)
            .field("mode", mode)
            .field("figure", figure)
            .finish_non_exhaustive()
    }
}

/// The limit of a [`MemoryWatch`], shared: a change holds from the next check on. Cheap to clone; outlives the watch.
///
/// # Examples
/// ```
/// use signalpost::monitor::{MemoryInfo, MemoryLimit, MemoryWatch};
/// let watch = MemoryWatch::builder().source(|| Ok(MemoryInfo::new(100))).build()?;
/// let handle = watch.handle();
/// assert_eq!(handle.max_memory_usage(), None);
/// handle.set_max_memory_usage(Some(512 << 20));
/// assert_eq!(handle.set_limit(MemoryLimit::Bytes(1 << 30))?, Some(1 << 30));
/// assert_eq!(handle.max_memory_usage(), Some(1 << 30));
/// # Ok::<(), signalpost::monitor::MemoryError>(())
/// ```
#[derive(Clone)]
pub struct MemoryHandle {
    /// Bytes; 0 is none. Relaxed: nothing else is told by it.
    max: Arc<AtomicU64>,
}

impl MemoryHandle {
    fn new(max: Option<u64>) -> Self {
        Self { max: Arc::new(AtomicU64::new(max.unwrap_or(0))) }
    }

    /// The limit in bytes; nothing if checks are off.
    pub fn max_memory_usage(&self) -> Option<u64> {
        Some(self.max.load(Relaxed)).filter(|max| *max != 0)
    }

    /// Sets the limit in bytes; `None` and 0 switch checks off, and what is remembered stays as it is.
    ///
    /// If the usage is between the old limit and the new one, the next check says so: exceeded, or under with the new limit.
    pub fn set_max_memory_usage(&self, max: Option<u64>) {
        self.max.store(max.unwrap_or(0), Relaxed);
    }

    /// Finds out a limit and sets it; gives it in bytes.
    ///
    /// # Errors
    /// As [`MemoryLimit::resolve`]; the old limit stays.
    pub fn set_limit(&self, limit: MemoryLimit) -> Result<Option<u64>, MemoryError> {
        let max = limit.resolve()?;
        self.set_max_memory_usage(max);
        Ok(max)
    }
}

impl fmt::Debug for MemoryHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryHandle").field("max_memory_usage", &self.max_memory_usage()).finish()
    }
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum MemoryCheck {
    /// There is no limit; nothing was read.
    Disabled,
    /// Read; there is nothing to say.
    Quiet(MemoryInfo),
    /// Published.
    Exceeded(MemoryUsageThresholdExceeded),
    /// Published.
    Under(MemoryUsageUnderThreshold),
}

impl MemoryCheck {
    /// The event, if memory is above the limit and grew.
    pub fn exceeded(&self) -> Option<&MemoryUsageThresholdExceeded> {
        if let Self::Exceeded(event) = self { Some(event) } else { None }
    }

    /// The event, if memory is back under the limit.
    pub fn under(&self) -> Option<&MemoryUsageUnderThreshold> {
        if let Self::Under(event) = self { Some(event) } else { None }
    }
}

/// A check failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum MemoryCheckError {
    /// Memory could not be read.
    Unreadable(MemoryError),
    /// A subscriber stopped the event: what was published, and who stopped it.
    Stopped(Box<(MemoryCheck, Stopped<BoxError>)>),
}

impl fmt::Display for MemoryCheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "memory could not be checked: {error}"),
            Self::Stopped(both) => both.1.fmt(f),
        }
    }
}

impl Error for MemoryCheckError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unreadable(error) => Some(error),
            Self::Stopped(both) => Some(&both.1),
        }
    }
}
