//! What is published about memory: over the limit, and back under.

use crate::memory::MemoryTrend;
use crate::usage::MemoryInfo;
use signalpost_dispatch::{event, family};
use std::fmt;

/// What the events about memory have in common.
///
/// # Examples
/// ```
/// use signalpost::Bus;
/// use signalpost::monitor::{MemoryEvents, MemoryInfo, MemoryUsageThresholdExceeded};
///
/// let bus = Bus::new();
/// let _log = bus.family::<MemoryEvents>().subscribe(|event| {
///     println!("{} of {} bytes", event.mem_usage(), event.max_allowed());
/// });
/// bus.publish(&MemoryUsageThresholdExceeded::new(11, 10, MemoryInfo::new(11)))?;
/// # Ok::<(), signalpost::Stopped<signalpost::BoxError>>(())
/// ```
pub trait MemoryEvent: fmt::Debug + 'static {
    /// The usage, in bytes.
    fn mem_usage(&self) -> u64;
    /// The limit that it was held against, in bytes.
    fn max_allowed(&self) -> u64;
    /// The reading that has the usage.
    fn memory_info(&self) -> &MemoryInfo;
    /// The highest usage since the limit was passed, in bytes.
    fn peak(&self) -> u64;
    /// What was announced last, before this event, since the limit was passed.
    fn announced_before(&self) -> Option<u64>;
    /// Where it is going, from the third reading on.
    fn trend(&self) -> Option<MemoryTrend>;
}

family! {
    /// [`MemoryUsageThresholdExceeded`] and [`MemoryUsageUnderThreshold`], seen as a [`MemoryEvent`].
    pub struct MemoryEvents: dyn MemoryEvent = "signalpost.monitor.memory_events";
}

/// Memory is above the limit, and grows.
///
/// # Examples
/// ```
/// use signalpost::monitor::{MemoryInfo, MemoryUsageThresholdExceeded};
/// let event = MemoryUsageThresholdExceeded::new(11, 10, MemoryInfo::new(11));
/// assert!(format!("{event:?}").starts_with("<MemoryUsageThresholdExceeded used=11 max=10 details=MemoryInfo {"));
/// ```
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct MemoryUsageThresholdExceeded {
    /// The usage, in bytes.
    pub mem_usage: u64,
    /// The limit that it was held against, in bytes.
    pub max_allowed: u64,
    /// The reading that has the usage.
    pub memory_info: MemoryInfo,
    /// The highest usage since the limit was passed, in bytes: of the readings, and of what the kernel remembers of the time between
    /// them, where it is known.
    pub peak: u64,
    /// What was announced last, before this event, since the limit was passed; nothing if this is the first.
    pub announced_before: Option<u64>,
    /// Where it is going, from the third reading on. [`MemoryTrend::time_to`] tells how long until another limit is reached.
    pub trend: Option<MemoryTrend>,
}

/// Memory was above the limit, and is back under.
///
/// # Examples
/// ```
/// use signalpost::monitor::{MemoryInfo, MemoryUsageUnderThreshold};
/// let event = MemoryUsageUnderThreshold::new(5, 10, MemoryInfo::new(5), 12);
/// assert_eq!((event.mem_usage, event.max_memory_usage, event.peak), (5, 12, 12));
/// ```
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct MemoryUsageUnderThreshold {
    /// The usage, in bytes.
    pub mem_usage: u64,
    /// The limit that it was held against, in bytes.
    pub max_allowed: u64,
    /// The reading that has the usage.
    pub memory_info: MemoryInfo,
    /// The last reading above the limit in [`MemoryMode::Gevent`](crate::MemoryMode::Gevent), announced or not; the peak in
    /// [`MemoryMode::Steady`](crate::MemoryMode::Steady).
    pub max_memory_usage: u64,
    /// The highest usage since the limit was passed, in either mode.
    pub peak: u64,
    /// What was announced last since the limit was passed.
    pub announced_before: Option<u64>,
    /// Where it is going, from the third reading on.
    pub trend: Option<MemoryTrend>,
}

impl MemoryUsageThresholdExceeded {
    /// The first event about a limit; the usage is the peak.
    pub const fn new(mem_usage: u64, max_allowed: u64, memory_info: MemoryInfo) -> Self {
        Self { mem_usage, max_allowed, memory_info, peak: mem_usage, announced_before: None, trend: None }
    }
}

impl MemoryUsageUnderThreshold {
    /// An event whose peak is what it was last.
    pub const fn new(
        mem_usage: u64,
        max_allowed: u64,
        memory_info: MemoryInfo,
        max_memory_usage: u64,
    ) -> Self {
        let (peak, announced_before, trend) = (max_memory_usage, None, None);
        Self { mem_usage, max_allowed, memory_info, max_memory_usage, peak, announced_before, trend }
    }
}

macro_rules! memory_event {
    ($event:ident = $name:literal) => {
        event!($event: $name, families = [MemoryEvents]);

        impl MemoryEvent for $event {
            fn mem_usage(&self) -> u64 {
                self.mem_usage
            }

            fn max_allowed(&self) -> u64 {
                self.max_allowed
            }

            fn memory_info(&self) -> &MemoryInfo {
                &self.memory_info
            }

            fn peak(&self) -> u64 {
                self.peak
            }

            fn announced_before(&self) -> Option<u64> {
                self.announced_before
            }

            fn trend(&self) -> Option<MemoryTrend> {
                self.trend
            }
        }

        /// gevent's representation.
        impl fmt::Debug for $event {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let Self { mem_usage, max_allowed, memory_info, .. } = self;
                let name = stringify!($event);
                write!(f, "<{name} used={mem_usage} max={max_allowed} details={memory_info:?}>")
            }
        }
    };
}

memory_event!(MemoryUsageThresholdExceeded = "signalpost.monitor.memory_usage_threshold_exceeded");
memory_event!(MemoryUsageUnderThreshold = "signalpost.monitor.memory_usage_under_threshold");

impl fmt::Display for MemoryUsageThresholdExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mem_usage, max_allowed, peak, .. } = self;
        write!(f, "memory is above its limit: {mem_usage} of {max_allowed} bytes, peak {peak}")
    }
}

impl fmt::Display for MemoryUsageUnderThreshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mem_usage, max_allowed, peak, .. } = self;
        write!(f, "memory is back under its limit: {mem_usage} of {max_allowed} bytes, peak was {peak}")
    }
}
