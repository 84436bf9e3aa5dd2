//! Stacks on Linux.
//!
//! Owns the course of a capture: what is looked at before, who copies, what is done with the copy.

#[cfg(feature = "dwarf")]
mod lines;
mod memory;
mod modules;
mod names;
mod passive;
mod ptrace;
mod signal;
mod unwind;

#[cfg(feature = "dwarf")]
pub(super) use lines::frames_with_lines;
pub(super) use modules::Module;
pub(super) use names::frames;

use super::{Capture, CaptureError, CaptureMode, Probe};
use signal::{Claim, Order};
use std::fmt;
use std::process;
use std::time::Duration;
use unwind::{Copied, Registers, Unwinder};

/// How long a thread that is in the midst of the copy is waited for: it needs a few µs, once it has a CPU.
const COPYING: Duration = Duration::from_millis(20);

/// A thread whose stack can be asked for.
#[derive(Clone, Debug)]
pub struct Target {
    thread: u32,
    process: u32,
    /// The bounds of its stack.
    stack: (u64, u64),
}

impl Target {
    /// The calling thread. Some µs; on the main thread some tens.
    pub fn current() -> Self {
        let thread = nix::unistd::gettid().as_raw().cast_unsigned();
        Self { thread, process: process::id(), stack: signal::bounds() }
    }

    /// The kernel's number for it.
    pub fn id(&self) -> u32 {
        self.thread
    }

    fn order(&self, probe: Option<Probe>) -> Order {
        Order { low: self.stack.0, high: self.stack.1, probe }
    }
}

/// Takes stacks. Owned by the monitor's thread.
pub struct Capturer {
    mode: CaptureMode,
    signal: i32,
    asked: Option<Asked>,
    /// Made when it is first needed.
    unwinder: Option<Box<Unwinder>>,
}

enum Asked {
    /// The handler will answer.
    Signal(Claim),
    /// Asked for, when there is time.
    Ptrace(Claim, Target),
    Passive(Target),
}

impl fmt::Debug for Capturer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capturer")
            .field("mode", &self.mode)
            .field("signal", &self.signal)
            .finish_non_exhaustive()
    }
}

impl Capturer {
    /// Never fails; what is wrong is said at each capture.
    pub fn new(mode: CaptureMode, signal: Option<i32>) -> Self {
        Self { mode, signal: signal.unwrap_or(libc::SIGURG), asked: None, unwinder: None }
    }

    /// Whether such settings can be; else why not.
    pub fn check(_mode: CaptureMode, signal: Option<i32>) -> Result<(), &'static str> {
        const FAULTS: [i32; 7] = [
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGFPE,
            libc::SIGILL,
            libc::SIGTRAP,
            libc::SIGABRT,
            libc::SIGSYS,
        ];
        match signal {
            Some(libc::SIGKILL | libc::SIGSTOP) => Err("no handler can be set for it"),
            Some(signal) if FAULTS.contains(&signal) => {
                Err("the system sends it to a thread for a fault of its own")
            }
            Some(signal) if (32..libc::SIGRTMIN()).contains(&signal) => {
                Err("the C library has it for itself")
            }
            Some(signal) if !(1..=libc::SIGRTMAX()).contains(&signal) => Err("there is no such signal"),
            Some(_) | None => Ok(()),
        }
    }

    /// Asks for the stack, and does not wait. A request before that has not been answered is taken back.
    pub fn request(&mut self, target: &Target, probe: Option<Probe>) -> Result<(), CaptureError> {
        self.cancel();
        if self.mode == CaptureMode::Off {
            return Err(CaptureError::Off);
        }
        if target.process != process::id() {
            return Err(CaptureError::NoThread);
        }
        let claim = || Claim::take().ok_or(CaptureError::Busy);
        self.asked = Some(match self.mode {
            CaptureMode::Signal => {
                passive::can_be_asked(target.thread, self.signal)?;
                let mut claim = claim()?;
                signal::ask(&mut claim, target.thread, self.signal, target.order(probe))?;
                Asked::Signal(claim)
            }
            CaptureMode::Ptrace => Asked::Ptrace(claim()?, target.clone()),
            CaptureMode::Passive | CaptureMode::Off => Asked::Passive(target.clone()),
        });
        Ok(())
    }

    /// The answer to what was asked, waited for so long at most; none: not yet, or nothing was asked.
    pub fn answer(&mut self, patience: Duration) -> Option<Result<Capture, CaptureError>> {
        if self.forget_the_parents() {
            return Some(Err(CaptureError::NoThread));
        }
        let unwinder = self.unwinder.get_or_insert_with(|| Box::new(Unwinder::new()));
        let answer = match self.asked.as_mut()? {
            Asked::Signal(claim) => {
                if !claim.wait(patience) {
                    return None;
                }
                unwound(claim, unwinder)
            }
            Asked::Ptrace(claim, target) => {
                match ptrace::copy(claim, target.thread, target.order(None), patience) {
                    Ok(false) => return None,
                    Ok(true) => unwound(claim, unwinder),
                    Err(error) => Err(error),
                }
            }
            Asked::Passive(target) => passive::look(target.thread, target.stack, |registers, stack| {
                Capture { trace: unwinder.unwind(registers, stack), said: None, in_handler: Duration::ZERO }
            }),
        };
        self.asked = None;
        Some(answer)
    }

    /// What was asked before a `fork`, a thread of the parent answers to the parent.
    fn forget_the_parents(&mut self) -> bool {
        let parents = match &self.asked {
            Some(Asked::Signal(claim) | Asked::Ptrace(claim, _)) => !claim.is_of_this_process(),
            Some(Asked::Passive(target)) => target.process != process::id(),
            None => false,
        };
        if parents {
            self.asked = None;
        }
        parents
    }

    /// Takes the request back: a late handler does nothing.
    pub fn cancel(&mut self) {
        if !self.forget_the_parents()
            && let Some(Asked::Signal(mut claim)) = self.asked.take()
            && !claim.withdraw()
        {
            claim.wait(COPYING); // else it is left to itself, and the place is taken until it is done
        }
    }

    /// Asks, and waits at most so long.
    pub fn capture(
        &mut self,
        target: &Target,
        probe: Option<Probe>,
        patience: Duration,
    ) -> Result<Capture, CaptureError> {
        self.request(target, probe)?;
        self.answer(patience).unwrap_or_else(|| {
            self.cancel();
            Err(CaptureError::TimedOut { after: patience })
        })
    }
}

/// Walks what was copied.
fn unwound(claim: &mut Claim, unwinder: &mut Unwinder) -> Result<Capture, CaptureError> {
    let read = |registers: Registers, stack: &Copied<'_>, said, in_handler| Capture {
        trace: unwinder.unwind(registers, stack),
        said,
        in_handler,
    };
    claim.answer(read).ok_or(CaptureError::TimedOut { after: Duration::ZERO })
}
