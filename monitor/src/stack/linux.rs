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

use super::{Capture, CaptureError, CaptureMode, Incomplete, Probe};
use signal::{Claim, Order};
use std::fmt;
use std::process;
use std::thread;
use std::time::{Duration, Instant};
use unwind::{Copied, Registers, Unwinder};

/// How long a thread that is in the midst of the copy is waited for: it needs a few µs, once it has a CPU.
const COPYING: Duration = Duration::from_millis(20);
/// How often a thread is asked again whose stack could not be followed.
const MOST_AGAIN: u32 = 2;
/// Before it is: so that it is elsewhere.
const PAUSE: Duration = Duration::from_micros(200);

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

/// A request.
struct Asked {
    target: Target,
    probe: Option<Probe>,
    by: By,
    /// How often it was made again, and what came of it before.
    again: u32,
    before: Option<Capture>,
}

/// Who will answer.
enum By {
    /// The handler.
    Signal(Claim),
    /// A tracer, when there is time.
    Ptrace(Claim),
    /// The kernel.
    Passive,
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
    ///
    /// # Errors
    /// Whatever is known at once to stand in the way.
    pub fn request(&mut self, target: &Target, probe: Option<Probe>) -> Result<(), CaptureError> {
        self.cancel();
        let by = self.ask(target, probe)?;
        self.asked = Some(Asked { target: target.clone(), probe, by, again: 0, before: None });
        Ok(())
    }

    fn ask(&self, target: &Target, probe: Option<Probe>) -> Result<By, CaptureError> {
        if self.mode == CaptureMode::Off {
            return Err(CaptureError::Off);
        }
        if target.process != process::id() {
            return Err(CaptureError::NoThread);
        }
        let claim = || Claim::take().ok_or(CaptureError::Busy);
        Ok(match self.mode {
            CaptureMode::Signal => {
                passive::can_be_asked(target.thread, self.signal)?;
                let mut claim = claim()?;
                signal::ask(&mut claim, target.thread, self.signal, target.order(probe))?;
                By::Signal(claim)
            }
            CaptureMode::Ptrace => By::Ptrace(claim()?),
            CaptureMode::Passive | CaptureMode::Off => By::Passive,
        })
    }

    /// The answer to what was asked, waited for so long at most; none: not yet, or nothing was asked.
    ///
    /// At some instructions the unwind tables are of no use: where a panic goes on in another frame, or in a library that is being
    /// unloaded. A thread that was there is asked again, while there is time.
    pub fn answer(&mut self, patience: Duration) -> Option<Result<Capture, CaptureError>> {
        let begun = Instant::now();
        loop {
            let answer = self.answer_once(patience.saturating_sub(begun.elapsed()));
            let asked = self.asked.as_mut()?;
            match answer {
                Some(Ok(capture)) if asked.again < MOST_AGAIN && may_be_better(&capture) => {
                    asked.again += 1;
                    asked.before = Some(capture);
                    asked.by = By::Passive; // what it had is given back
                    let (target, probe) = (asked.target.clone(), asked.probe);
                    thread::sleep(PAUSE);
                    match self.ask(&target, probe) {
                        Ok(by) => self.asked.as_mut()?.by = by,
                        Err(_) => return self.asked.take()?.before.map(Ok),
                    }
                }
                Some(answer) => {
                    return Some(
                        self.asked.take()?.before.map(Ok).filter(|_| answer.is_err()).unwrap_or(answer),
                    );
                }
                None if asked.before.is_some() => {
                    let before = asked.before.take();
                    self.cancel();
                    return before.map(Ok);
                }
                None => return None,
            }
        }
    }

    fn answer_once(&mut self, patience: Duration) -> Option<Result<Capture, CaptureError>> {
        let asked = self.asked.as_mut()?;
        if asked.is_the_parents() {
            return Some(Err(CaptureError::NoThread));
        }
        let Target { thread, stack, .. } = asked.target;
        let unwinder = self.unwinder.get_or_insert_with(|| Box::new(Unwinder::new()));
        Some(match &mut asked.by {
            By::Signal(claim) if claim.wait(patience) => unwound(claim, unwinder),
            By::Signal(_) if passive::is_there(thread) => return None,
            By::Signal(_) => Err(CaptureError::NoThread), // it ended with the signal on its way
            By::Ptrace(claim) => match ptrace::copy(claim, thread, asked.target.order(None), patience) {
                Ok(false) => return None,
                Ok(true) => unwound(claim, unwinder),
                Err(error) => Err(error),
            },
            By::Passive => passive::look(thread, stack, |registers, stack| Capture {
                trace: unwinder.unwind(registers, stack),
                said: None,
                in_handler: Duration::ZERO,
            }),
        })
    }

    /// Takes the request back: a late handler does nothing.
    pub fn cancel(&mut self) {
        if let Some(asked) = self.asked.take()
            && !asked.is_the_parents()
            && let By::Signal(mut claim) = asked.by
            && !claim.withdraw()
        {
            claim.wait(COPYING); // else it is left to itself, and the place is taken until it is done
        }
    }

    /// Asks, and waits at most so long.
    ///
    /// # Errors
    /// If there is no stack, why.
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

impl Asked {
    /// Asked before a `fork`: the thread is the parent's, and what it left is.
    fn is_the_parents(&self) -> bool {
        self.target.process != process::id()
    }
}

/// Whether it would be another stack a moment later.
fn may_be_better(capture: &Capture) -> bool {
    let why = capture.trace.incomplete();
    matches!(why, Some(Incomplete::NoModule { .. } | Incomplete::NoTables { .. } | Incomplete::Lost { .. }))
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
