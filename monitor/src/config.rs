//! The monitor's settings, by environment or by text.
//!
//! Owns gevent's settings with their texts, and what is wrong with one. Not here: what a setting does (the monitor, `memory.rs`).

use crate::limit::MemoryLimit;
use crate::memory::MemoryWatch;
use crate::memory_error::MemoryError;
use crate::usage::{MemorySource, ProcessMemory};
use std::env;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::time::Duration;

/// What gevent lets the environment say of its monitor.
///
/// | variable | field | accepted | unset |
/// |---|---|---|---|
/// | `SIGNALPOST_MONITOR_THREAD_ENABLE` | `monitor_thread` | `1 true on yes`, `0 false off no`, empty | off |
/// | `SIGNALPOST_MAX_BLOCKING_TIME` | `max_blocking_time` | seconds, or off | 0.1 |
/// | `SIGNALPOST_MONITOR_PRINT_BLOCKING_REPORTS` | `print_blocking_reports` | as the first | on |
/// | `SIGNALPOST_MONITOR_MEMORY_PERIOD` | `memory_monitor_period` | seconds, or off | 5 |
/// | `SIGNALPOST_MONITOR_MEMORY_MAX` | `max_memory_usage` | bytes, or with `kb`, `mb`, `gb` (powers of 1024), or off | off |
///
/// [`Monitor::from_env`](crate::Monitor::from_env) starts the monitor that they ask for, and
/// [`MonitorBuilder::config`](crate::MonitorBuilder::config) one of which the builder says the rest.
///
/// In any case of letters, blanks around it trimmed (but not after a suffix). Off is said by `off`, `0`, `inf` or
/// an empty text; in gevent some of these are errors, and which ones depends on the setting.
///
/// # Examples
/// ```
/// use signalpost::monitor::MonitorConfig;
/// use std::time::Duration;
///
/// let config = MonitorConfig::from_vars([
///     ("SIGNALPOST_MONITOR_THREAD_ENABLE", "yes"),
///     ("SIGNALPOST_MAX_BLOCKING_TIME", "0.25"),
///     ("SIGNALPOST_MONITOR_MEMORY_MAX", "512mb"),
///     ("PATH", "/bin"),
/// ])?;
/// assert!(config.monitor_thread && config.print_blocking_reports);
/// assert_eq!(config.max_blocking_time, Some(Duration::from_millis(250)));
/// assert_eq!(config.max_memory_usage, Some(512 << 20));
/// # Ok::<(), signalpost::monitor::ConfigErrors>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MonitorConfig {
    /// Whether the program asks for a monitor.
    pub monitor_thread: bool,
    /// From when on a loop counts as blocked; nothing: it never does.
    pub max_blocking_time: Option<Duration>,
    /// Whether reports of blocked loops are printed.
    pub print_blocking_reports: bool,
    /// How often memory is read; nothing: never.
    pub memory_monitor_period: Option<Duration>,
    /// From how many bytes on memory is too much; nothing: never.
    pub max_memory_usage: Option<u64>,
}

impl Default for MonitorConfig {
    fn default() -> Self {
        Self {
            monitor_thread: false,
            max_blocking_time: Some(Duration::from_millis(100)),
            print_blocking_reports: true,
            memory_monitor_period: Some(Duration::from_secs(5)),
            max_memory_usage: None,
        }
    }
}

const TRUTH: &str = "one of 1, true, on, yes, 0, false, off, no, or an empty text";
const SECONDS: &str = "seconds, as 0.25 or 3, or `off`";
const BYTES: &str = "a whole number of bytes, alone or with kb, mb or gb (powers of 1024), or `off`";

/// A setting: its variable, what it takes, and where it goes. The error is that it does not take the text.
struct Setting {
    variable: &'static str,
    accepted: &'static str,
    set: fn(&mut MonitorConfig, &str) -> Option<()>,
}

const SETTINGS: [Setting; 5] = [
    Setting {
        variable: "SIGNALPOST_MONITOR_THREAD_ENABLE",
        accepted: TRUTH,
        set: |config, text| truth(text).map(|truth| config.monitor_thread = truth),
    },
    Setting {
        variable: "SIGNALPOST_MAX_BLOCKING_TIME",
        accepted: SECONDS,
        set: |config, text| seconds(text).map(|time| config.max_blocking_time = time),
    },
    Setting {
        variable: "SIGNALPOST_MONITOR_PRINT_BLOCKING_REPORTS",
        accepted: TRUTH,
        set: |config, text| truth(text).map(|truth| config.print_blocking_reports = truth),
    },
    Setting {
        variable: "SIGNALPOST_MONITOR_MEMORY_PERIOD",
        accepted: SECONDS,
        set: |config, text| seconds(text).map(|time| config.memory_monitor_period = time),
    },
    Setting {
        variable: "SIGNALPOST_MONITOR_MEMORY_MAX",
        accepted: BYTES,
        set: |config, text| bytes(text).map(|bytes| config.max_memory_usage = bytes),
    },
];

impl MonitorConfig {
    /// The settings of the environment as it is now; what is not set there has its default.
    ///
    /// # Errors
    /// All that is wrong, together: each error names variable, value and what is accepted.
    ///
    /// # Examples
    /// ```no_run
    /// use signalpost::monitor::MonitorConfig;
    /// let config = MonitorConfig::from_env()?;
    /// if config.monitor_thread {
    ///     println!("{config:?}");
    /// }
    /// # Ok::<(), signalpost::monitor::ConfigErrors>(())
    /// ```
    pub fn from_env() -> Result<Self, ConfigErrors> {
        Self::from_vars(SETTINGS.iter().filter_map(|setting| {
            let value = env::var_os(setting.variable)?;
            Some((OsString::from(setting.variable), value))
        }))
    }

    /// The same from pairs of variable and value. Of two for one variable the later holds; others than the five are passed over.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env), in the order of the pairs.
    pub fn from_vars<K, V>(vars: impl IntoIterator<Item = (K, V)>) -> Result<Self, ConfigErrors>
    where
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        let mut config = Self::default();
        let mut errors = Vec::new();
        for (variable, value) in vars {
            let Some(setting) = SETTINGS.iter().find(|setting| variable.as_ref() == setting.variable) else {
                continue;
            };
            let value = value.as_ref();
            if value.to_str().and_then(|text| (setting.set)(&mut config, text)).is_none() {
                let Setting { variable, accepted, .. } = *setting;
                errors.push(ConfigError { variable, value: value.to_owned(), accepted });
            }
        }
        if errors.is_empty() { Ok(config) } else { Err(ConfigErrors(errors)) }
    }

    /// The watch on memory that the settings ask for, by gevent's rules, and how often it is to be checked; nothing if that is off.
    ///
    /// Without `max_memory_usage` too there is one, which reads nothing until its [`handle`](MemoryWatch::handle) sets a limit. The period is
    /// as it was set: gevent's has a floor of 2 s, since its readings cost more.
    ///
    /// # Errors
    /// As [`ProcessMemory::new`]: there is a limit, but no figure of memory here. Where nobody asked for a limit that is no error:
    /// then there is no watch.
    ///
    /// # Examples
    /// ```
    /// use signalpost::monitor::{Monitor, MonitorConfig};
    /// let config = MonitorConfig::from_vars([("SIGNALPOST_MONITOR_MEMORY_MAX", "2gb")])?;
    /// let monitor = Monitor::builder().start()?;
    /// # if cfg!(target_os = "linux") {
    /// if let Some((watch, period)) = config.memory_watch()? {
    ///     monitor.add_monitoring_function(watch.into_function(), period)?;
    /// }
    /// assert_eq!(monitor.functions().len(), 1);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn memory_watch(&self) -> Result<Option<(MemoryWatch, Duration)>, MemoryError> {
        self.memory_watch_from(ProcessMemory::new)
    }

    /// The same with another figure of memory.
    #[doc(hidden)] // for the tests: not part of what semver covers
    pub fn memory_watch_from<S: MemorySource + 'static>(
        &self,
        open: impl FnOnce() -> Result<S, MemoryError>,
    ) -> Result<Option<(MemoryWatch, Duration)>, MemoryError> {
        let Some(period) = self.memory_monitor_period else { return Ok(None) };
        let (limit, source) = match (self.max_memory_usage, open()) {
            (None, Err(_)) => return Ok(None),
            (None, Ok(source)) => (MemoryLimit::Off, source),
            (Some(bytes), source) => (MemoryLimit::Bytes(bytes), source?),
        };
        Ok(Some((MemoryWatch::builder().limit(limit).source(source).build()?, period)))
    }
}

/// Empty is false.
fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "on" | "yes" => Some(true),
        "0" | "false" | "off" | "no" | "" => Some(false),
        _ => None,
    }
}

/// `Some(None)` is off.
fn seconds(text: &str) -> Option<Option<Duration>> {
    let text = text.trim();
    if text.is_empty() || text.eq_ignore_ascii_case("off") {
        return Some(None);
    }
    let seconds: f64 = without_underscores(text)?.parse().ok()?;
    if seconds == 0.0 || seconds == f64::INFINITY {
        return Some(None);
    }
    // What is above zero and below a nanosecond is not off, and nothing else either.
    Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero()).map(Some)
}

/// `Some(None)` is off. No blank after a suffix, as in gevent.
fn bytes(text: &str) -> Option<Option<u64>> {
    if text.trim().is_empty() || text.trim().eq_ignore_ascii_case("off") {
        return Some(None);
    }
    let text = text.to_ascii_lowercase();
    let units = [("kb", 1u64 << 10), ("mb", 1 << 20), ("gb", 1 << 30)];
    let (number, unit) = units
        .into_iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, unit)))
        .unwrap_or((&text, 1));
    let number: u64 = without_underscores(number.trim())?.parse().ok()?;
    number.checked_mul(unit).map(|bytes| Some(bytes).filter(|bytes| *bytes != 0))
}

/// `1_000` is 1000: an underscore stands between two digits.
fn without_underscores(text: &str) -> Option<String> {
    let digit = |part: Option<char>| part.is_some_and(|c| c.is_ascii_digit());
    let mut whole = String::with_capacity(text.len());
    let mut before = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '_' {
            whole.push(c);
        } else if !(digit(before) && digit(rest.clone().next())) {
            return None;
        }
        before = Some(c);
    }
    Some(whole)
}

/// A variable whose value its setting does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigError {
    /// Its name.
    pub variable: &'static str,
    /// What it says.
    pub value: OsString,
    /// What is accepted, for people.
    pub accepted: &'static str,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { variable, value, accepted } = self;
        write!(f, "{variable}: expected {accepted}, found {value:?}")
    }
}

impl Error for ConfigError {}

/// All that is wrong with the settings; never empty.
///
/// # Examples
/// ```
/// use signalpost::monitor::MonitorConfig;
/// let vars = [("SIGNALPOST_MONITOR_THREAD_ENABLE", "maybe"), ("SIGNALPOST_MAX_BLOCKING_TIME", "-1")];
/// let errors = MonitorConfig::from_vars(vars).unwrap_err();
/// assert_eq!(errors.errors().len(), 2);
/// assert_eq!(
///     errors.errors()[1].to_string(),
///     "SIGNALPOST_MAX_BLOCKING_TIME: expected seconds, as 0.25 or 3, or `off`, found \"-1\"",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// One for each variable that is wrong.
    pub fn errors(&self) -> &[ConfigError] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.0.iter().enumerate() {
            let between = if number == 0 { "" } else { "; " };
            write!(f, "{between}{error}")?;
        }
        Ok(())
    }
}

impl Error for ConfigErrors {}
