//! What can go wrong with a monitor, and what the caller needs to know of it.

use crate::config::ConfigErrors;
use crate::function::FunctionName;
use crate::memory_error::MemoryError;
use crate::monitor::Monitor;
use signalpost_dispatch::{BoxError, StoppedBy, panic_text};
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Why [`start`](crate::MonitorBuilder::start) did not give a monitor.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// Settings that cannot be: all of them. No thread was started.
    Settings(Vec<SettingError>),
    /// The environment has settings that cannot be: all of them. No thread was started.
    Config(ConfigErrors),
    /// Memory is to have a limit, and there is no figure of it. No thread was started.
    Memory(MemoryError),
    /// The system gave no thread.
    Thread(io::Error),
    /// The monitor runs, but a subscriber or a plugin stopped the event that says so.
    StartedButStopped(Box<StartedButStopped>),
}

/// A monitor that runs, and what stopped the event that says so.
#[derive(Debug)]
#[non_exhaustive]
pub struct StartedButStopped {
    /// The monitor. It ends when this is dropped.
    pub monitor: Monitor,
    /// Who stopped the event, and with what.
    pub error: StoppedBy<BoxError>,
}

impl StartError {
    /// The monitor, if it runs all the same.
    ///
    /// # Examples
    /// ```
    /// use signalpost::monitor::{Monitor, PeriodicMonitorThreadStarted, StartError};
    /// use signalpost::{BoxError, Bus};
    /// use std::sync::Arc;
    ///
    /// let bus = Arc::new(Bus::new());
    /// let _refuses = bus.topic::<PeriodicMonitorThreadStarted>().subscribe(|_| Err(BoxError::from("not today")));
    /// let error = Monitor::builder().bus(bus.clone()).start().unwrap_err();
    /// assert!(error.to_string().ends_with("not today"));
    /// let monitor = error.into_monitor().unwrap();
    /// assert!(monitor.is_running());
    /// ```
    pub fn into_monitor(self) -> Option<Monitor> {
        match self {
            Self::StartedButStopped(both) => Some(both.monitor),
            Self::Settings(_) | Self::Config(_) | Self::Memory(_) | Self::Thread(_) => None,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(errors) => {
                f.write_str("the monitor cannot start: ")?;
                for (n, error) in errors.iter().enumerate() {
                    let between = if n == 0 { "" } else { "; " };
                    write!(f, "{between}{error}")?;
                }
                Ok(())
            }
            Self::Config(errors) => write!(f, "the monitor cannot start: {errors}"),
            Self::Memory(error) => write!(f, "the monitor cannot start: {error}"),
            Self::Thread(error) => write!(f, "the monitor cannot start: the system gave no thread: {error}"),
            Self::StartedButStopped(both) => {
                write!(f, "the monitor has started, but not all were told: {}", both.error)
            }
        }
    }
}

impl Error for StartError {}

impl From<ConfigErrors> for StartError {
    fn from(errors: ConfigErrors) -> Self {
        Self::Config(errors)
    }
}

/// A setting that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingError {
    /// The thread's name has no letter.
    ThreadNameEmpty,
    /// The thread's name has a NUL in it, at this byte.
    ThreadNameHasNul {
        /// The name.
        name: String,
        /// Where.
        at: usize,
    },
    /// The thread's name is longer than any platform shows.
    ThreadNameTooLong {
        /// The name.
        name: String,
        /// How many bytes there may be.
        limit: usize,
    },
    /// A time that must be longer than zero is zero.
    ZeroDuration {
        /// The builder's method.
        setting: &'static str,
    },
    /// A number that must be at least 1 is 0.
    ZeroCount {
        /// The builder's method.
        setting: &'static str,
    },
    /// No stack can be taken by this signal.
    CaptureSignal {
        /// The signal.
        signal: i32,
        /// Why not.
        why: &'static str,
    },
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ThreadNameEmpty => {
                f.write_str("thread_name is empty: give it a name, or leave the setting out")
            }
            Self::ThreadNameHasNul { name, at } => {
                write!(f, "thread_name is {name:?}, with a NUL at byte {at}: leave that out")
            }
            Self::ThreadNameTooLong { name, limit } => {
                write!(f, "thread_name is {name:?}, of {} bytes: at most {limit} can be", name.len())
            }
            Self::ZeroDuration { setting } => {
                write!(f, "{setting} is zero: it must be longer (for never, `Duration::MAX`)")
            }
            Self::CaptureSignal { signal, why } => {
                write!(
                    f,
                    "capture_signal is {signal}: {why}; take one that nobody uses, or leave the setting out"
                )
            }
            Self::ZeroCount { setting } => {
                write!(f, "{setting} is 0: it must be at least 1 (for never, `u32::MAX`)")
            }
        }
    }
}

impl Error for SettingError {}

/// Why a loop is not watched.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WatchError {
    /// The tokio that is linked does not count as is needed, and how. What can be done: another version of it, or
    /// [`Monitored`](crate::Monitored) tasks, which do not need its counts.
    Tokio(String),
    /// This monitor watches a runtime with these hooks already. Each runtime has its own.
    HooksInUse,
    /// This thread drives a loop that is watched already: drop its guard first.
    ThreadIsTaken,
    /// This thread ends: its locals are gone.
    ThreadEnds,
    /// The monitor has ended, or was told to.
    MonitorEnded,
}

impl fmt::Display for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokio(why) => write!(
                f,
                "this version of tokio cannot be watched by its metrics: {why}; use another one, or `Monitored` tasks"
            ),
            Self::HooksInUse => f.write_str(
                "a runtime with these hooks is watched already: each runtime has hooks of its own",
            ),
            Self::ThreadIsTaken => {
                f.write_str("this thread drives a loop that is watched already: drop its guard first")
            }
            Self::ThreadEnds => {
                f.write_str("this thread is about to end: nothing of it can be watched any more")
            }
            Self::MonitorEnded => {
                f.write_str("the monitor has ended, or was told to: it watches nothing any more")
            }
        }
    }
}

impl Error for WatchError {}

/// Why what the monitor calls was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeriodError {
    /// A period of zero. `None` is what removes a function.
    Zero,
    /// The monitor has ended, or was told to: nothing would ever be called.
    MonitorEnded,
}

impl fmt::Display for PeriodError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zero => "the period is zero: it must be longer; `None` removes the function",
            Self::MonitorEnded => "the monitor has ended, or was told to: it calls no functions any more",
        })
    }
}

impl Error for PeriodError {}

/// Why [`stop`](crate::MonitorRef::stop) returned before the thread's end. It was told to end, and the call can be made again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopError {
    /// The time was up.
    StillRunning {
        /// What the thread is at; none, if it is between two calls.
        activity: Option<Activity>,
        /// For how long it has been at it.
        running_for: Duration,
    },
    /// This is the monitor thread, which ends when what it calls has returned.
    OnMonitorThread,
}

/// What the monitor thread is at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activity {
    /// It calls this function.
    Function(FunctionName),
    /// It publishes an event of this name, and is with one of its subscribers.
    Subscribers(&'static str),
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Function(name) => write!(f, "the function {name}"),
            Self::Subscribers(event) => write!(f, "a subscriber of {event}"),
        }
    }
}

impl fmt::Display for StopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StillRunning { activity: Some(activity), running_for } => {
                write!(
                    f,
                    "the monitor ends when {activity} returns, which has been running for {running_for:?}"
                )
            }
            Self::StillRunning { activity: None, .. } => {
                f.write_str("the monitor was told to end, and is about to: wait for longer")
            }
            Self::OnMonitorThread => f.write_str(
                "the monitor was told to end, and this is its thread: it ends when this call has returned",
            ),
        }
    }
}

impl Error for StopError {}

/// A function panicked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FunctionPanicked {
    /// What `panic!` was given, if it was text.
    pub message: Option<String>,
}

impl FunctionPanicked {
    pub(crate) fn new(payload: Box<dyn Any + Send>) -> Self {
        let message = panic_text(&*payload).map(str::to_owned);
        quietly(|| drop(payload));
        Self { message }
    }
}

impl fmt::Display for FunctionPanicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            Some(message) => write!(f, "panicked: {message}"),
            None => f.write_str("panicked"),
        }
    }
}

impl Error for FunctionPanicked {}

/// A function was being called by the monitor thread when this process was forked: what it has captured is half-way through a
/// change, and it cannot be called here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForkedWhileRunning;

impl fmt::Display for ForkedWhileRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("was being called when this process was forked, and cannot be called here")
    }
}

impl Error for ForkedWhileRunning {}

/// Drops what belongs to others: what its destructor throws is a value of theirs too, whose destructor may throw again, to no
/// one.
pub(crate) fn quietly(drops: impl FnOnce()) {
    if let Err(thrown) = catch_unwind(AssertUnwindSafe(drops)) {
        std::mem::forget(thrown);
    }
}
