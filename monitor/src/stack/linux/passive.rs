//! What the kernel tells of a thread without touching it: whether it can be asked, and where it entered the kernel.
//!
//! Owns the reading of `/proc/self/task`, for what a stack needs. Not here: why a thread is blocked (`kernel.rs`).

use super::memory;
use super::signal::{MOST, MOST_FOREIGN, may_be_in_handler};
use super::unwind::{Copied, Registers};
use crate::stack::CaptureError;
use std::fs;
use std::path::Path;

/// A folder for each thread.
const TASKS: &str = "/proc/self/task";
const PAGE: u64 = 4_096;
const FAULTS: [i32; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGABRT, libc::SIGILL, libc::SIGFPE];

/// Whether the thread is there, and lets the signal through.
pub(super) fn can_be_asked(thread: u32, signal: i32) -> Result<(), CaptureError> {
    let status = read(thread, "status")?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(str::trim)
    };
    // The main thread stays as a zombie, if it ends before the others.
    if field("State").is_some_and(|state| state.starts_with(['Z', 'X'])) {
        return Err(CaptureError::NoThread);
    }
    let mask = field("SigBlk").and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or(0);
    let has =
        |signal: i32| u32::try_from(signal - 1).is_ok_and(|bit| mask.checked_shr(bit).unwrap_or(0) & 1 == 1);
    if has(signal) {
        let passes = may_be_in_handler(thread, mask);
        return if passes { Ok(()) } else { Err(CaptureError::SignalBlocked { signal }) };
    }
    // A fault's signal is blocked while it is handled, and hardly ever else.
    match FAULTS.into_iter().find(|&fault| has(fault)) {
        Some(signal) => Err(CaptureError::InFaultHandler { signal }),
        None => Ok(()),
    }
}

/// Whether there is such a thread.
pub(super) fn is_there(thread: u32) -> bool {
    !matches!(read(thread, "stat"), Err(CaptureError::NoThread))
}

fn read(thread: u32, file: &str) -> Result<String, CaptureError> {
    fs::read_to_string(format!("{TASKS}/{thread}/{file}")).map_err(|error| match error.raw_os_error() {
        Some(libc::ENOENT | libc::ESRCH) if Path::new(TASKS).exists() => CaptureError::NoThread,
        errno => refused(errno),
    })
}

fn refused(errno: Option<i32>) -> CaptureError {
    CaptureError::System { call: "reading /proc/self/task", errno: errno.unwrap_or(libc::EIO) }
}

/// Gives what can be seen of a thread that sleeps, with a copy of its stack.
pub(super) fn look<R>(
    thread: u32,
    (low, high): (u64, u64),
    see: impl FnOnce(Registers, &Copied<'_>) -> R,
) -> Result<R, CaptureError> {
    let text = read(thread, "syscall")?;
    let (sp, pc) = where_is(&text)?;
    let own = low <= sp && sp < high;
    let len = if own { (high - sp).min(MOST as u64) } else { MOST_FOREIGN as u64 };
    let bytes = copy(sp, len as usize);
    let cut = own && sp + (bytes.len() as u64) < high;
    Ok(see(Registers::new(pc, sp), &Copied { start: sp, bytes: &bytes, cut, own, held: false }))
}

/// As much as can be read.
fn copy(start: u64, len: usize) -> Vec<u8> {
    if let Some(all) = memory::bytes(start, len) {
        return all;
    }
    let mut bytes = Vec::new();
    while bytes.len() < len {
        let at = start + bytes.len() as u64;
        let Some(page) = memory::bytes(at, (PAGE - at % PAGE) as usize) else { break };
        bytes.extend_from_slice(&page);
    }
    bytes
}

/// Stack pointer and program counter: the last two words, whatever else is said.
fn where_is(text: &str) -> Result<(u64, u64), CaptureError> {
    if text.starts_with("running") {
        return Err(CaptureError::Running);
    }
    let mut words = text
        .split_ascii_whitespace()
        .rev()
        .map(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok());
    match (words.next().flatten(), words.next().flatten()) {
        (Some(pc), Some(sp)) => Ok((sp, pc)),
        _ => Err(refused(None)),
    }
}

#[cfg(test)]
mod tests {
    use super::where_is;
    use crate::stack::CaptureError;

    #[test]
    fn a_thread_is_in_a_call_or_in_none_or_runs() {
        let call = "202 0x7ffd1 0x80 0x0 0x0 0x0 0xffffffff 0x7ffd10 0x7f1234\n";
        assert_eq!(where_is(call), Ok((0x7f_fd10, 0x7f_1234)));
        assert_eq!(where_is("-1 0x7ffd10 0x7f1234\n"), Ok((0x7f_fd10, 0x7f_1234)));
        assert_eq!(where_is("running\n"), Err(CaptureError::Running));
        assert!(matches!(where_is("new words\n"), Err(CaptureError::System { .. })));
    }
}
