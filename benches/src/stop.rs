//! Whether somebody pressed Ctrl-C, or the system asked the process to end.
//!
//! Owns the signals and the flag. Measurements look at the flag between rounds, never within one; what was measured until then is
//! reported and written, marked partial. A second Ctrl-C ends the process at once.

use crate::output;
use std::sync::{
    Once,
    atomic::{AtomicBool, Ordering::Relaxed},
};

static ASKED: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C, SIGTERM and SIGHUP set the flag; those that were ignored before stay so, as under `nohup`. To call it again
/// changes nothing.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Where the system has no such thing, Ctrl-C ends the process, as by default.
        let _ = system::listen();
    });
}

/// Whether to end. Costs a relaxed load.
pub fn is_asked() -> bool {
    ASKED.load(Relaxed)
}

/// Rounds 0 to `count`, of which the first is always there: the rest are left out when somebody asks to end.
pub fn rounds(count: usize) -> impl Iterator<Item = usize> {
    (0..count).take_while(|&round| round == 0 || !is_asked())
}

/// Somebody asks.
fn ask() {
    if ASKED.swap(true, Relaxed) {
        output::remove_drafts();
        std::process::exit(crate::exit::Exit::Interrupted as i32);
    }
}

/// Signals, each by itself: the crate ctrlc takes all or, where a single one is ignored, none.
#[cfg(unix)]
mod system {
    use signal_hook::{
        consts::{SIGHUP, SIGINT, SIGTERM},
        low_level::pipe,
    };
    use std::{
        fs,
        io::{self, Read},
        os::unix::net::UnixStream,
        thread,
    };

    pub(super) fn listen() -> io::Result<()> {
        let (mut reader, writer) = UnixStream::pair()?;
        let ignored = fs::read_to_string("/proc/self/status").map_or(0, |status| ignored(&status));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            if ignored >> (signal - 1) & 1 == 0 {
                pipe::register(signal, writer.try_clone()?)?;
            }
        }
        // It sleeps until there is one.
        thread::Builder::new().name("lab signals".to_owned()).spawn(move || {
            while reader.read_exact(&mut [0]).is_ok() {
                super::ask();
            }
        })?;
        Ok(())
    }

    /// The signals that are ignored, one bit each, in the text of `/proc/self/status`; none where it does not say.
    fn ignored(status: &str) -> u64 {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_is_ignored_is_a_bit_for_each_signal() {
            assert_eq!(ignored("Name:\tlab\nSigIgn:\t0000000080001007\nSigCgt:\t1\n"), 0x8000_1007);
            assert_eq!(ignored("Name:\tlab\n"), 0);
        }
    }
}

#[cfg(not(unix))]
mod system {
    pub(super) fn listen() -> Result<(), ctrlc::Error> {
        ctrlc::try_set_handler(super::ask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_rounds_are_there_while_nobody_asks_to_end() {
        // That the rest are left out is seen in `tests/interrupt.rs`: the flag is the process's, and other tests measure in this one.
        assert_eq!(rounds(3).collect::<Vec<_>>(), [0, 1, 2]);
    }
}
