//! The thread's signal mask: what is sent to the process is for the program's own threads.
//!
//! Owns which signals are left: those that a thread causes by a fault of its own, which must reach the handler that tells of it.

use std::io;

/// Runs `start` with all signals blocked on this thread, so that a thread which it starts has them blocked from its first
/// instruction.
#[cfg(unix)]
pub(crate) fn blocked<R>(start: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
    use nix::sys::signal::{SigSet, SigmaskHow, Signal};

    /// Gives the mask back, also when unwinding.
    struct Before(SigSet);

    impl Drop for Before {
        fn drop(&mut self) {
            // It was this thread's mask a moment ago, and only a number that is no mask is refused.
            let _ = self.0.thread_set_mask();
        }
    }

    let mut all = SigSet::all();
    for fault in
        [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGFPE, Signal::SIGILL, Signal::SIGTRAP, Signal::SIGABRT]
    {
        all.remove(fault);
    }
    let _before = Before(all.thread_swap_mask(SigmaskHow::SIG_BLOCK)?);
    start()
}

/// Where there are no signals, there is nothing to block.
#[cfg(not(unix))]
pub(crate) fn blocked<R>(start: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
    start()
}
