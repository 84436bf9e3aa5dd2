//! Where another thread is: its stack, taken by this process of itself, without asking the thread to do more than copy.
//!
//! Owns the modes, what can go wrong, whom to ask ([`Target`]) and who asks ([`Capturer`]).
//! Not here: how the bytes are had (`linux/signal.rs`, `linux/ptrace.rs`, `linux/passive.rs`), what they mean (`linux/unwind.rs`),
//! and what the code is called (`linux/names.rs`).

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod elsewhere;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod linux;
mod trace;

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
use elsewhere as platform;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
use linux as platform;

pub use trace::{Frame, Incomplete, StackTrace};

use std::fmt;
use std::time::Duration;

/// How the stack of a blocked thread is had.
///
/// There is one on Linux, on x86-64 and aarch64; elsewhere each of them gives [`CaptureError::Unsupported`].
///
/// | | the blocked call may notice | the thread is stopped for | stack |
/// |---|---|---|---|
/// | `Signal` | raw C sleeps, polls and timed waits end early with `EINTR`; what std does goes on | under 1 µs, 6 µs with 256 KiB of stack | whole |
/// | `Ptrace` | no, but for `epoll_wait` and sockets with a timeout | 10 to 20 µs | whole |
/// | `Passive` | no | not at all | its top |
///
/// # Examples
/// ```
/// use signalpost::monitor::CaptureMode;
/// assert_eq!(CaptureMode::default(), CaptureMode::Signal);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CaptureMode {
    /// A signal to the thread, whose handler copies registers and stack. `SIGURG` if no other was asked for: its default action is
    /// none, so one too many does no harm. A handler that was there before goes on getting the signals that are not ours.
    #[default]
    Signal,
    /// A tracer in this address space stops the thread and copies. Needs a process that may be traced: dumpable, no debugger on it,
    /// allowed by seccomp and Yama.
    Ptrace,
    /// What the kernel tells of a thread that sleeps: where it entered the kernel. Nothing of one that runs.
    Passive,
    /// No stacks.
    Off,
}

/// Why there is no stack.
///
/// # Examples
/// ```
/// use signalpost::monitor::CaptureError;
/// assert_eq!(CaptureError::NoThread.to_string(), "the thread has ended");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CaptureError {
    /// [`CaptureMode::Off`].
    Off,
    /// This platform has none.
    Unsupported,
    /// The thread has ended, or is of another process: that of before a `fork`.
    NoThread,
    /// It is not known which thread it is: a runtime's that did not say, since it is watched without `TokioHooks`, or has just
    /// taken over a worker.
    UnknownThread,
    /// The thread has the signal blocked. Nothing was sent.
    SignalBlocked {
        /// The signal.
        signal: i32,
    },
    /// The thread handles a fault: it has such a signal blocked. The stack for signals may be too small for a second one, so none
    /// was sent.
    InFaultHandler {
        /// The fault's signal.
        signal: i32,
    },
    /// Somebody put another handler in the place of ours. Nothing was sent.
    HandlerReplaced {
        /// The signal.
        signal: i32,
    },
    /// The thread did not answer in time: it waits in the kernel and cannot be interrupted, or was not given a CPU.
    TimedOut {
        /// How long was waited.
        after: Duration,
    },
    /// Another monitor of this process is taking a stack; there is one at a time.
    Busy,
    /// The thread runs, and [`CaptureMode::Passive`] sees only those that sleep.
    Running,
    /// The system refused.
    System {
        /// What was asked of it.
        call: &'static str,
        /// The system's number for the reason.
        errno: i32,
    },
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("stacks are switched off: set another capture mode"),
            Self::Unsupported => f.write_str("no stacks of other threads on this platform"),
            Self::NoThread => f.write_str("the thread has ended"),
            Self::UnknownThread => f.write_str(
                "it is not known which thread it is: have the runtime's threads tell (`TokioHooks`)",
            ),
            Self::SignalBlocked { signal } => {
                write!(
                    f,
                    "the thread blocks signal {signal}: set another capture_signal, or capture mode Ptrace"
                )
            }
            Self::InFaultHandler { signal } => {
                write!(
                    f,
                    "the thread handles signal {signal}, a fault: set capture mode Ptrace to see where it is"
                )
            }
            Self::HandlerReplaced { signal } => write!(
                f,
                "another handler has taken the place of ours for signal {signal}: set another capture_signal, or capture mode \
                 Ptrace"
            ),
            Self::TimedOut { after } => {
                write!(
                    f,
                    "the thread did not answer within {after:?}: it cannot be interrupted, or gets no CPU"
                )
            }
            Self::Busy => f.write_str("another monitor is taking a stack"),
            Self::Running => {
                f.write_str("the thread runs, and capture mode Passive sees only those that sleep")
            }
            Self::System { call, errno } => {
                write!(f, "{call} was refused: {}", std::io::Error::from_raw_os_error(*errno))
            }
        }
    }
}

impl std::error::Error for CaptureError {}

/// What a thread said of itself in the handler.
#[derive(Clone, Copy, Debug, Default)]
pub struct Said {
    /// The worker's index, if it is one of tokio's.
    pub worker: Option<usize>,
    /// The task that it runs.
    #[cfg(feature = "tokio")]
    pub task: Option<tokio::task::Id>,
}

/// Called on the thread, in the handler, after the copy: async-signal-safe, and without a panic. Mode Signal only.
pub type Probe = fn() -> Said;

/// A stack, and what came with it.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The stack.
    pub trace: StackTrace,
    /// What the thread said of itself, if it was asked.
    pub said: Option<Said>,
    /// How long the thread was in the handler; zero where that was not measured.
    pub in_handler: Duration,
}

pub use platform::{Capturer, Target};
