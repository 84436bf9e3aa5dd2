//! What a monitor is to be: its settings, checked together when it starts.

use crate::clock::Clock;
use crate::config::MonitorConfig;
use crate::error::{SettingError, StartError, StartedButStopped};
use crate::event::PeriodicMonitorThreadStarted;
use crate::memory::{MemoryHandle, MemoryWatch};
use crate::monitor::{Monitor, MonitorRef};
use crate::shared::Shared;
use crate::stack::{CaptureMode, Capturer};
use signalpost_dispatch::{BusRef, Plugins, plugins};
use std::sync::Arc;
use std::time::Duration;

/// As many bytes as macOS shows. Linux shows the first 15, and who asks Rust is told the whole name.
const NAME_LIMIT: usize = 63;

/// The settings of a [`Monitor`], each with a default.
///
/// # Examples
/// ```
/// use signalpost::{Bus, monitor::Monitor};
/// use std::{sync::Arc, time::Duration};
///
/// let monitor = Monitor::builder()
///     .thread_name("orders-monitor")
///     .bus(Arc::new(Bus::new()))
///     .first_call_at_once(false)
///     .slow_after(Duration::from_millis(50))
///     .start()?;
/// assert!(monitor.is_running());
///
/// let error = Monitor::builder().thread_name("").slow_after(Duration::ZERO).start().unwrap_err();
/// assert_eq!(error.to_string(), "the monitor cannot start: \
///     thread_name is empty: give it a name, or leave the setting out; \
///     slow_after is zero: it must be longer (for never, `Duration::MAX`)");
/// # Ok::<(), signalpost::monitor::StartError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `start`"]
pub struct MonitorBuilder {
    settings: Settings,
    plugins: Option<&'static Plugins>,
    /// Says whether there is a watch on memory; the rest of it is in the settings.
    config: Option<MonitorConfig>,
}

/// What the thread goes by.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) thread_name: String,
    pub(crate) bus: BusRef,
    pub(crate) first_call_at_once: bool,
    pub(crate) slow_after: Duration,
    pub(crate) failures_before_removal: u32,
    pub(crate) max_blocking_time: Option<Duration>,
    pub(crate) print_blocking_reports: bool,
    pub(crate) capture: CaptureMode,
    pub(crate) capture_signal: Option<i32>,
    /// Of the watch on memory that is there from the start.
    pub(crate) memory: Option<MemoryHandle>,
}

/// The key of that watch.
const MEMORY_KEY: &str = "signalpost.memory";

/// A monitor's shared part, and what it is to call from the start.
pub(crate) struct Prepared {
    pub(crate) shared: Arc<Shared>,
    memory: Option<(MemoryWatch, Duration)>,
}

impl MonitorBuilder {
    pub(crate) fn new() -> Self {
        let settings = Settings {
            thread_name: "signalpost-monitor".to_owned(),
            bus: BusRef::default(),
            first_call_at_once: true,
            slow_after: Duration::from_millis(100),
            failures_before_removal: 5,
            max_blocking_time: Some(Duration::from_millis(100)),
            print_blocking_reports: true,
            capture: CaptureMode::default(),
            capture_signal: None,
            memory: None,
        };
        Self { settings, plugins: None, config: None }
    }

    /// The thread's name, of 1 to 63 bytes, without NUL: `signalpost-monitor`, unless this says otherwise. Linux shows the first
    /// 15 bytes.
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.settings.thread_name = name.into();
        self
    }

    /// Where the monitor publishes: a `&'static Bus` or an `Arc<Bus>`. The [process-wide one](signalpost_dispatch::bus), unless this
    /// says otherwise.
    pub fn bus(mut self, bus: impl Into<BusRef>) -> Self {
        self.settings.bus = bus.into();
        self
    }

    /// Whose plugins are called at [`start`](Self::start): those of the [process-wide registry](signalpost_dispatch::plugins()),
    /// unless this says otherwise.
    pub fn plugins(mut self, plugins: &'static Plugins) -> Self {
        self.plugins = Some(plugins);
        self
    }

    /// Whether a function is first called when it is registered (true, the default) or a period later.
    pub fn first_call_at_once(mut self, at_once: bool) -> Self {
        self.settings.first_call_at_once = at_once;
        self
    }

    /// How long a call of a function may take before it is told of, as a
    /// [`MonitoringFunctionSlow`](crate::MonitoringFunctionSlow): 100 ms, unless this says otherwise.
    pub fn slow_after(mut self, limit: Duration) -> Self {
        self.settings.slow_after = limit;
        self
    }

    /// How often a function may fail in a row: at that failure it is removed. 5, unless this says otherwise.
    pub fn failures_before_removal(mut self, failures: u32) -> Self {
        self.settings.failures_before_removal = failures;
        self
    }

    /// From when on a loop counts as blocked: 100 ms, unless this says otherwise; `None`: never, and no loop is looked at.
    ///
    /// Can be [changed](crate::MonitorRef::set_max_blocking_time) while the monitor runs. While something runs the monitor looks
    /// five times in this time.
    pub fn max_blocking_time(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.settings.max_blocking_time = time.into();
        self
    }

    /// Whether a report of a blocked loop is printed to standard error, after its subscribers: true, unless this says otherwise.
    /// Can be [changed](crate::MonitorRef::set_print_blocking_reports) while the monitor runs.
    pub fn print_blocking_reports(mut self, print: bool) -> Self {
        self.settings.print_blocking_reports = print;
        self
    }

    /// How the stack of a blocked thread is taken: see [`CaptureMode`], whose default holds unless this says otherwise.
    pub fn capture(mut self, mode: CaptureMode) -> Self {
        self.settings.capture = mode;
        self
    }

    /// The signal for [`CaptureMode::Signal`]: `SIGURG`, unless this says otherwise.
    pub fn capture_signal(mut self, signal: i32) -> Self {
        self.settings.capture_signal = Some(signal);
        self
    }

    /// Settings as the environment has them: `max_blocking_time` and `print_blocking_reports`, as if set here, so that what is set on
    /// the builder after this holds, and not what was before; and a watch on memory
    /// ([`memory_watch`](MonitorConfig::memory_watch)), which is there from the start under the key `signalpost.memory`, and whose
    /// limit [`memory`](MonitorRef::memory) changes. `monitor_thread` is not asked: [`Monitor::from_env`] does that.
    ///
    /// # Examples
    /// ```
    /// use signalpost::{Bus, monitor::{Monitor, MonitorConfig}};
    /// use std::{sync::Arc, time::Duration};
    ///
    /// let config = MonitorConfig::from_vars([
    ///     ("SIGNALPOST_MAX_BLOCKING_TIME", "0.25"),
    ///     ("SIGNALPOST_MONITOR_PRINT_BLOCKING_REPORTS", "off"),
    /// ])?;
    /// let builder = Monitor::builder().bus(Arc::new(Bus::new())).config(config);
    /// let monitor = builder.print_blocking_reports(true).start()?; // said later
    /// assert_eq!(monitor.max_blocking_time(), Some(Duration::from_millis(250)));
    /// assert!(monitor.print_blocking_reports());
    /// # if cfg!(target_os = "linux") {
    /// assert_eq!(monitor.functions()[0].name.key.as_deref(), Some("signalpost.memory"));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn config(mut self, config: MonitorConfig) -> Self {
        self.settings.max_blocking_time = config.max_blocking_time;
        self.settings.print_blocking_reports = config.print_blocking_reports;
        self.config = Some(config);
        self
    }

    /// Checks all settings, starts the thread, and publishes [`PeriodicMonitorThreadStarted`] from here, to subscribers and then
    /// to plugins.
    ///
    /// # Errors
    /// [`StartError`]: all settings that cannot be; or memory is to have a limit, and there is no figure of it; or the system gave no
    /// thread; or a subscriber or a plugin stopped the event, and the monitor, which runs, is in the error.
    ///
    /// # Panics
    /// If a subscriber or a plugin does; the monitor is then told to end.
    pub fn start(self) -> Result<Monitor, StartError> {
        let registry = self.plugins;
        let prepared = self.prepare(Clock::new())?;
        prepared.shared.start().map_err(StartError::Thread)?;
        let monitor = Monitor::of(prepared.shared.clone());
        prepared.install();
        let started = PeriodicMonitorThreadStarted::new(Arc::new((*monitor).clone()));
        let registry = registry.unwrap_or_else(plugins);
        match monitor.bus().publish_and_call_plugins(&started, registry) {
            Ok(()) => Ok(monitor),
            Err(error) => Err(StartError::StartedButStopped(Box::new(StartedButStopped { monitor, error }))),
        }
    }
}

impl MonitorBuilder {
    /// Checks all settings, and makes what handles and thread share.
    pub(crate) fn prepare(mut self, clock: Clock) -> Result<Prepared, StartError> {
        let mut errors = self.settings.errors();
        let config = self.config;
        if config.as_ref().is_some_and(|config| config.memory_monitor_period == Some(Duration::ZERO)) {
            errors.push(SettingError::ZeroDuration { setting: "memory_monitor_period" });
        }
        if !errors.is_empty() {
            return Err(StartError::Settings(errors));
        }
        let memory = config.map_or(Ok(None), |config| config.memory_watch()).map_err(StartError::Memory)?;
        self.settings.memory = memory.as_ref().map(|(watch, _)| watch.handle());
        Ok(Prepared { shared: Shared::new(self.settings, clock), memory })
    }
}

impl Prepared {
    /// Registers what is to be called from the start.
    pub(crate) fn install(self) {
        if let Some((watch, period)) = self.memory {
            let monitor = MonitorRef::of(self.shared);
            // Refused only if the monitor has ended already: then it is not called.
            let _ = monitor.add_monitoring_function_named(MEMORY_KEY, watch.into_function(), Some(period));
        }
    }
}

impl Settings {
    fn errors(&self) -> Vec<SettingError> {
        let name = &self.thread_name;
        let mut errors = Vec::new();
        if name.is_empty() {
            errors.push(SettingError::ThreadNameEmpty);
        }
        if let Some(at) = name.find('\0') {
            errors.push(SettingError::ThreadNameHasNul { name: name.clone(), at });
        }
        if name.len() > NAME_LIMIT {
            errors.push(SettingError::ThreadNameTooLong { name: name.clone(), limit: NAME_LIMIT });
        }
        if self.slow_after.is_zero() {
            errors.push(SettingError::ZeroDuration { setting: "slow_after" });
        }
        if self.max_blocking_time.is_some_and(|time| time.is_zero()) {
            errors.push(SettingError::ZeroDuration { setting: "max_blocking_time" });
        }
        if self.failures_before_removal == 0 {
            errors.push(SettingError::ZeroCount { setting: "failures_before_removal" });
        }
        if let (Some(signal), Err(why)) =
            (self.capture_signal, Capturer::check(self.capture, self.capture_signal))
        {
            errors.push(SettingError::CaptureSignal { signal, why });
        }
        errors
    }
}
