//! A thread that watches the process, and publishes what it sees.
//!
//! Part of `signalpost` (feature `monitor`), and re-exported by it as `signalpost::monitor`; depend on that. The only crate that
//! starts a thread.
//!
//! | module | owns |
//! |---|---|
//! | `builder` | settings, checked together at the start |
//! | `monitor` | the handles: add, change, remove, watch, stop |
//! | `shared` | what the handles and the thread share; what a forked child does |
//! | `worker` | the thread: sleep, call, tell of what went wrong |
//! | `by_hand` | a monitor without a thread, for tests |
//! | `schedule`, `clock` | which function is due next; the time it is told |
//! | `list` | the functions in order, in pieces that snapshots share |
//! | `function` | what a function is, and what is known of its calls |
//! | `signals` | the thread's signal mask |
//! | `stack` | where another thread is |
//! | `pulse`, `slot` | what a thread says of itself; which threads there are, and the bell that wakes a monitor |
//! | `task`, `turn`, `runtime` (or `no_runtime`), `event_loop` | who says it: tasks, loops written by hand, runtimes |
//! | `detect`, `watch` | when a worker counts as blocked; the look at all of them |
//! | `counter` | gevent's rule, for what was recorded of it |
//! | `blocked`, `report`, `printer` | what is published and printed of it |
//! | `kernel`, `verdict` | what the kernel says of a blocked thread; what that means for its loop |
//! | `memory`, `limit`, `usage`, `pressure` | the watch on memory: readings, limits, what they mean |
//! | `config` | settings by environment |
//! | `event`, `error`, `memory_event`, `memory_error` | what is published, and what can go wrong |

#![deny(unsafe_code)] // but for the two files that say why: `stack/linux/signal.rs`, `stack/linux/ptrace.rs`

mod blocked;
mod builder;
#[doc(hidden)] // for the tests, which turn its clock by hand: not part of what semver covers
pub mod by_hand;
mod clock;
mod config;
#[doc(hidden)] // for the recorded cases: not part of what semver covers
pub mod counter;
#[doc(hidden)] // for the tests, which tell it the time: not part of what semver covers
pub mod detect;
mod error;
mod event;
mod event_loop;
mod function;
mod kernel;
mod limit;
mod list;
mod memory;
mod memory_error;
mod memory_event;
mod monitor;
#[cfg(not(feature = "tokio"))]
mod no_runtime;
mod pressure;
mod printer;
#[doc(hidden)] // for the models: not part of what semver covers
pub mod pulse;
#[doc(hidden)] // for the recorded cases: not part of what semver covers
pub mod report;
#[cfg(feature = "tokio")]
mod runtime;
#[doc(hidden)] // for the tests, which turn its clock by hand: not part of what semver covers
pub mod schedule;
mod shared;
mod signals;
mod slot;
#[doc(hidden)] // for the tests, which take stacks of threads of all kinds: not part of what semver covers
pub mod stack;
mod task;
mod turn;
mod usage;
mod verdict;
mod watch;
mod worker;

pub use blocked::{EventLoopBlocked, EventLoopUnblocked, ThreadName};
pub use builder::MonitorBuilder;
pub use config::{ConfigError, ConfigErrors, MonitorConfig};
pub use error::{
    Activity, ForkedWhileRunning, FunctionPanicked, PeriodError, SettingError, StartError, StartedButStopped,
    StopError, WatchError,
};
pub use event::{MonitoringFunctionFailed, MonitoringFunctionSlow, PeriodicMonitorThreadStarted};
pub use event_loop::{EventLoop, LoopKind};
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
#[cfg(feature = "tokio")]
pub use runtime::TokioHooks;
pub use signalpost_dispatch::BusRef;
pub use stack::{CaptureError, CaptureMode, Frame, Incomplete, StackTrace};
#[cfg(feature = "tokio")]
pub use task::monitored_spawn;
pub use task::{BlockedTask, Monitored, TaskId};
pub use turn::{ExpectBlocking, LoopGuard, expect_blocking};
pub use usage::{MemoryFigure, MemoryInfo, MemorySource, ProcessMemory};
pub use verdict::{TimeSplit, Verdict};
