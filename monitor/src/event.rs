//! The events of the thread itself: it has started, a function failed, a function took too long.

use crate::function::FunctionName;
use crate::monitor::PeriodicMonitorThread;
use signalpost_dispatch::{BoxError, entry_points};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// An event: a monitor's thread has started. Subscribers and plugins add what it is to call.
///
/// Published by the caller of [`start`](crate::MonitorBuilder::start), on its thread, with the monitor's running already. Those who
/// keep `monitor` do not keep it running. Plugins are called after the subscribers; their entry point is
/// `signalpost.plugins.hub.periodic_monitor_thread_started`. The first error is `start`'s, and the monitor goes on.
///
/// # Examples
/// ```
/// use signalpost::monitor::{Monitor, MonitoringFunction, PeriodicMonitorThreadStarted};
/// use signalpost::{BoxError, Bus, On, Plugin, Plugins, plugins};
/// use std::{sync::Arc, time::Duration};
///
/// fn watch_the_disk(started: &PeriodicMonitorThreadStarted) -> Result<(), BoxError> {
///     let check = MonitoringFunction::new(|_| { /* … */ });
///     started.monitor.add_monitoring_function_named("acme.disk", check, Some(Duration::from_secs(60)))?;
///     Ok(())
/// }
/// static WATCH: Plugin = Plugin::new("acme.disk", &On(watch_the_disk));
/// static PLUGINS: Plugins = Plugins::new();
///
/// PLUGINS.add_all(plugins![WATCH])?;
/// let monitor = Monitor::builder().bus(Arc::new(Bus::new())).plugins(&PLUGINS).start()?;
/// assert_eq!(monitor.functions()[0].name.key.as_deref(), Some("acme.disk"));
/// # Ok::<(), BoxError>(())
/// ```
#[derive(Clone)]
pub struct PeriodicMonitorThreadStarted {
    /// The monitor.
    pub monitor: Arc<dyn PeriodicMonitorThread>,
}

impl PeriodicMonitorThreadStarted {
    /// The event, for a test or for a monitor of one's own.
    pub fn new(monitor: Arc<dyn PeriodicMonitorThread>) -> Self {
        Self { monitor }
    }
}

impl fmt::Debug for PeriodicMonitorThreadStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeriodicMonitorThreadStarted").field("monitor", &self.monitor).finish()
    }
}

signalpost_dispatch::event!(
    PeriodicMonitorThreadStarted: "signalpost.monitor.periodic_monitor_thread_started",
    entry_point = entry_points::PERIODIC_MONITOR_THREAD_STARTED,
);

/// An event: a function of the monitor returned an error, or panicked.
///
/// Published on the monitor thread, after the call. Where nobody listens, a function's first failure, and its removal, are written to
/// standard error. A subscriber's error or panic ends this event alone, and is [counted](crate::MonitorRef::failed_reports).
///
/// # Examples
/// ```
/// use signalpost::monitor::{Monitor, MonitoringFunctionFailed};
/// use signalpost::{BoxError, Bus};
/// use std::{sync::{Arc, mpsc}, time::Duration};
///
/// let (bus, (failed, seen)) = (Arc::new(Bus::new()), mpsc::channel());
/// let _log = bus.topic::<MonitoringFunctionFailed>().subscribe(move |event| failed.send(event.to_string()).unwrap_or_default());
///
/// let monitor = Monitor::builder().bus(bus.clone()).failures_before_removal(1).start()?;
/// monitor.add_monitoring_function_named("disk", |_| Err("no such device".into()), Some(Duration::from_secs(60)))?;
/// let text = seen.recv()?;
/// assert!(text.starts_with("the function disk ("), "{text}");
/// assert!(text.ends_with("failed for the 1st time in a row, and was removed: no such device"), "{text}");
/// # Ok::<(), BoxError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct MonitoringFunctionFailed {
    /// Who it was.
    pub function: FunctionName,
    /// What it returned; a [`FunctionPanicked`](crate::FunctionPanicked) if it panicked; in a forked child
    /// perhaps [`ForkedWhileRunning`](crate::ForkedWhileRunning).
    pub error: BoxError,
    /// How often it has failed now, without a call that went well between.
    pub failures: u32,
    /// Whether it was removed for that.
    pub removed: bool,
}

impl MonitoringFunctionFailed {
    /// The event, for a test.
    pub fn new(function: FunctionName, error: impl Into<BoxError>, failures: u32, removed: bool) -> Self {
        Self { function, error: error.into(), failures, removed }
    }
}

impl fmt::Display for MonitoringFunctionFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { function, error, failures, removed } = self;
        let th = match (failures % 10, failures % 100) {
            (1..=3, 11..=13) => "th",
            (1, _) => "st",
            (2, _) => "nd",
            (3, _) => "rd",
            _ => "th",
        };
        let removed = if *removed { ", and was removed" } else { "" };
        write!(f, "the function {function} failed for the {failures}{th} time in a row{removed}: {error}")
    }
}

signalpost_dispatch::event!(MonitoringFunctionFailed: "signalpost.monitor.monitoring_function_failed");

/// An event: a function of the monitor took longer than [`slow_after`](crate::MonitorBuilder::slow_after), and held up all
/// others.
///
/// Published on the monitor thread, after the call, each time. Where nobody listens, a function's first one is written to standard
/// error. Of a function that has not returned, [`stop`](crate::MonitorRef::stop) tells.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MonitoringFunctionSlow {
    /// Who it was.
    pub function: FunctionName,
    /// How long the call took, waiting for a processor included.
    pub took: Duration,
    /// What would not have been too long.
    pub limit: Duration,
}

impl MonitoringFunctionSlow {
    /// The event, for a test.
    pub fn new(function: FunctionName, took: Duration, limit: Duration) -> Self {
        Self { function, took, limit }
    }
}

impl fmt::Display for MonitoringFunctionSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { function, took, limit } = self;
        write!(f, "the function {function} held up the monitor for {took:?} (slow after {limit:?})")
    }
}

signalpost_dispatch::event!(MonitoringFunctionSlow: "signalpost.monitor.monitoring_function_slow");
