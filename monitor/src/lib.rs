//! A thread that watches the process, and publishes what it sees.
//!
//! Part of `signalpost` (feature `monitor`), and re-exported by it as `signalpost::monitor`; depend on that. The only crate that
//! starts a thread.
//!
//! | module | owns |
//! |---|---|
//! | `builder` | settings, checked together at the start |
//! | `monitor` | the handles: add, change, remove, stop; what a forked child does |
//! | `worker` | the thread: sleep, call, tell of what went wrong |
//! | `by_hand` | a monitor without a thread, for tests |
//! | `schedule`, `clock` | which function is due next; the time it is told |
//! | `function` | what a function is, and what is known of its calls |
//! | `signals` | the thread's signal mask |
//! | `kernel`, `verdict` | what the kernel says of a blocked thread; what that means for its loop |
//! | `memory`, `limit`, `usage`, `pressure` | the watch on memory: readings, limits, what they mean |
//! | `config` | settings by environment |
//! | `event`, `error`, `memory_event`, `memory_error` | what is published, and what can go wrong |

#![forbid(unsafe_code)]

mod builder;
#[doc(hidden)] // for the tests, which turn its clock by hand: not part of what semver covers
pub mod by_hand;
mod clock;
mod config;
mod error;
mod event;
mod function;
#[allow(dead_code)] // its caller is to come
mod kernel;
mod limit;
mod memory;
mod memory_error;
mod memory_event;
mod monitor;
mod pressure;
#[doc(hidden)] // for the tests, which turn its clock by hand: not part of what semver covers
pub mod schedule;
mod signals;
mod usage;
#[allow(dead_code)] // its caller is to come
mod verdict;
mod worker;

pub use builder::{BusRef, MonitorBuilder};
pub use config::{ConfigError, ConfigErrors, MonitorConfig};
pub use error::{
    Activity, ForkedWhileRunning, FunctionPanicked, PeriodError, SettingError, StartError, StartedButStopped,
    StopError,
};
pub use event::{MonitoringFunctionFailed, MonitoringFunctionSlow, PeriodicMonitorThreadStarted};
pub use function::{FunctionId, FunctionInfo, FunctionName, MonitoringFunction};
pub use kernel::Syscall;
pub use limit::MemoryLimit;
pub use memory::{
    MemoryChange, MemoryCheck, MemoryCheckError, MemoryHandle, MemoryMode, MemoryState, MemoryTrend,
    MemoryWatch, MemoryWatchBuilder, Steady,
};
pub use memory_error::MemoryError;
pub use memory_event::{MemoryEvent, MemoryEvents, MemoryUsageThresholdExceeded, MemoryUsageUnderThreshold};
pub use monitor::{Hub, Monitor, MonitorRef, PeriodicMonitorThread};
pub use pressure::{MemoryPressure, PressureError, PressureWatch};
pub use usage::{MemoryFigure, MemoryInfo, MemorySource, ProcessMemory};
pub use verdict::{TimeSplit, Verdict};
