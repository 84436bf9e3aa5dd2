//! Whether somebody pressed Ctrl-C, or the system asked the process to end.
//!
//! Owns the handler and the flag. Measurements look at the flag between rounds, never within one; what was measured until then is
//! reported and written, marked partial. A second Ctrl-C ends the process at once.

use crate::output;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static ASKED: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C, SIGTERM and SIGHUP set the flag. To call it again changes nothing.
pub fn listen() {
    // It fails where a handler is there already, or the system has none: Ctrl-C then ends the process, as by default.
    let _ = ctrlc::try_set_handler(|| {
        if ASKED.swap(true, Relaxed) {
            output::remove_drafts();
            std::process::exit(crate::exit::Exit::Interrupted as i32);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_rounds_are_there_while_nobody_asks_to_end() {
        // That the rest are left out is seen in `tests/interrupt.rs`: the flag is the process's, and other tests measure in this one.
        assert_eq!(rounds(3).collect::<Vec<_>>(), [0, 1, 2]);
    }
}
