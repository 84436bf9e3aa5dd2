//! A stack by a tracer that shares this address space, and stops the thread for the time of the copy.
//!
//! Owns the tracer. Not here: where it leaves what it copied (`signal.rs`).
//!
//! A process cannot trace its own threads. So the tracer is a process, made by `clone` with this one's memory; its parent, the
//! monitor's thread, is suspended until it has ended.
//!
//! # Invariants
//! 1. The tracer runs while the thread that made it is suspended (`CLONE_VFORK`), with that thread's locals: it makes raw system
//!    calls only, so that it does not write them.
//! 2. The job and the tracer's stack live on the suspended thread until the tracer has ended.
//! 3. All signals but those of its own faults are blocked in the tracer: no handler of the program runs in it.
//! 4. A thread in a stop of this tracer does not run before `PTRACE_DETACH`, or the tracer's end.

#![allow(unsafe_code)]

use super::signal::{Claim, Copying, Order, nanos};
use crate::signals;
use crate::stack::CaptureError;
use libc::{c_int, c_void};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;
use syscalls::{Sysno, syscall};

/// What the tracer has for a stack: it calls little, but `memcpy` and debug builds take their part.
const STACK: usize = 64 << 10;
/// How often it looks whether the thread has stopped before it sleeps: most have within 10 µs.
const SPINS: u32 = 50;
/// How long it sleeps between two looks then.
const PAUSE: Duration = Duration::from_micros(20);
/// The registers of a thread, as a note of core files has them.
const NT_PRSTATUS: usize = 1;

/// What the tracer is to do, and what came of it.
struct Job {
    thread: u32,
    deadline: u64,
    copying: Option<Copying>,
    outcome: Outcome,
}

enum Outcome {
    Copied,
    /// It does not stop.
    Late,
    NoThread,
    Refused(&'static str, c_int),
}

/// Copies the stack of `thread` into the place that `claim` has; false, if the thread did not stop in time.
pub(super) fn copy(
    claim: &mut Claim,
    thread: u32,
    order: Order,
    patience: Duration,
) -> Result<bool, CaptureError> {
    let deadline = nanos().saturating_add(u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX));
    let copying = Some(claim.begin(thread, order));
    let mut job = Job { thread, deadline, copying, outcome: Outcome::NoThread };
    let run = signals::blocked(|| run(&mut job));
    claim.end(job.copying);
    if let Err(error) = run {
        return Err(CaptureError::System { call: "clone", errno: error.raw_os_error().unwrap_or(0) });
    }
    match job.outcome {
        Outcome::Copied => Ok(true),
        Outcome::Late => Ok(false),
        Outcome::NoThread => Err(CaptureError::NoThread),
        Outcome::Refused(call, errno) => Err(CaptureError::System { call, errno }),
    }
}

/// Makes the tracer, and returns when it has ended.
fn run(job: &mut Job) -> io::Result<()> {
    let mut stack = Box::<[u128]>::new_uninit_slice(STACK / size_of::<u128>());
    let top = stack.as_mut_ptr_range().end;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES | libc::CLONE_FS;
    // SAFETY: the function takes a job, which lives as long as it runs, as does the stack (invariant 2); it keeps to invariant 1.
    let tracer = unsafe { libc::clone(trace, top.cast(), flags, ptr::from_mut(job).cast()) };
    if tracer == -1 {
        return Err(io::Error::last_os_error());
    }
    // It has ended, and sent no signal: only who asks for such children hears of it.
    while waitpid(Pid::from_raw(tracer), Some(WaitPidFlag::__WALL)) == Err(nix::errno::Errno::EINTR) {}
    Ok(())
}

extern "C" fn trace(job: *mut c_void) -> c_int {
    // SAFETY: the job of the thread that is suspended (invariants 1, 2).
    let job = unsafe { &mut *job.cast::<Job>() };
    job.outcome = job.trace();
    0
}

impl Job {
    fn trace(&mut self) -> Outcome {
        if let Err(errno) = ptrace(libc::PTRACE_SEIZE.into(), self.thread, 0, 0) {
            return refused("PTRACE_SEIZE", errno);
        }
        if let Err(errno) = ptrace(libc::PTRACE_INTERRUPT.into(), self.thread, 0, 0) {
            return refused("PTRACE_INTERRUPT", errno);
        }
        let mut looks = 0;
        let status = loop {
            match wait(self.thread) {
                Ok(Some(status)) => break status,
                // The tracer's end takes it off the thread.
                Ok(None) if nanos() >= self.deadline => return Outcome::Late,
                Ok(None) if looks < SPINS => looks += 1,
                Ok(None) => pause(),
                Err(errno) => return refused("wait4", errno),
            }
        };
        if !libc::WIFSTOPPED(status) {
            return Outcome::NoThread;
        }
        let begun = nanos();
        let outcome = match (registers(self.thread), self.copying.take()) {
            (Ok((pc, registers, sp)), Some(copying)) => {
                copying.finish(pc, registers, sp, begun);
                Outcome::Copied
            }
            (Err(errno), copying) => {
                self.copying = copying;
                refused("PTRACE_GETREGSET", errno)
            }
            (Ok(_), None) => Outcome::NoThread,
        };
        // A signal that came first is handed on; the stop that was asked for has none.
        let event = status >> 16;
        let signal = if event == 0 { libc::WSTOPSIG(status) } else { 0 };
        let _ = ptrace(libc::PTRACE_DETACH.into(), self.thread, 0, signal as usize);
        outcome
    }
}

fn refused(call: &'static str, errno: c_int) -> Outcome {
    if errno == libc::ESRCH { Outcome::NoThread } else { Outcome::Refused(call, errno) }
}

fn ptrace(request: i64, thread: u32, address: usize, data: usize) -> Result<(), c_int> {
    // SAFETY: of the requests above, only that for registers writes; see there.
    let done = unsafe { syscall!(Sysno::ptrace, request, thread, address, data) };
    done.map(drop).map_err(|error| error.into_raw())
}

/// Whether the thread has stopped, or ended.
fn wait(thread: u32) -> Result<Option<c_int>, c_int> {
    let mut status: c_int = 0;
    let options = libc::__WALL | libc::WNOHANG;
    // SAFETY: writes the status to this stack.
    match unsafe { syscall!(Sysno::wait4, thread, &raw mut status, options, 0) } {
        Ok(0) => Ok(None),
        Ok(_) => Ok(Some(status)),
        Err(error) => Err(error.into_raw()),
    }
}

fn pause() {
    let time = libc::timespec { tv_sec: 0, tv_nsec: PAUSE.as_nanos() as _ };
    // SAFETY: reads the time from this stack.
    let _ = unsafe { syscall!(Sysno::nanosleep, &raw const time, 0) };
}

/// Program counter, registers by the numbers of the unwind tables, and stack pointer of a thread that is held.
fn registers(thread: u32) -> Result<(u64, [u64; 32], u64), c_int> {
    let mut all = MaybeUninit::<libc::user_regs_struct>::uninit();
    let mut place = libc::iovec { iov_base: all.as_mut_ptr().cast(), iov_len: size_of_val(&all) };
    // The kernel writes into what `place` names, and no more than it is long.
    ptrace(libc::PTRACE_GETREGSET.into(), thread, NT_PRSTATUS, (&raw mut place).expose_provenance())?;
    if place.iov_len < size_of::<libc::user_regs_struct>() {
        return Err(libc::EIO);
    }
    // SAFETY: the kernel has written all of it.
    Ok(numbered(unsafe { all.assume_init_ref() }))
}

#[cfg(target_arch = "x86_64")]
fn numbered(r: &libc::user_regs_struct) -> (u64, [u64; 32], u64) {
    let known = [
        r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13,
        r.r14, r.r15, r.rip,
    ];
    let mut registers = [0; 32];
    registers[..known.len()].copy_from_slice(&known);
    (r.rip, registers, r.rsp)
}

#[cfg(target_arch = "aarch64")]
fn numbered(r: &libc::user_regs_struct) -> (u64, [u64; 32], u64) {
    let mut registers = [0; 32];
    registers[..31].copy_from_slice(&r.regs);
    registers[31] = r.sp;
    (r.pc, registers, r.sp)
}
