//! Whether somebody pressed Ctrl-C, or the system asked the process to end.
//!
//! Owns the handler and the flag. Measurements look at the flag between rounds, never within one; what was measured until then is
//! reported and written, marked partial. A second Ctrl-C ends the process at once.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static ASKED: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C, SIGTERM and SIGHUP set the flag. To call it again changes nothing.
pub fn listen() {
    // It fails where a handler is there already, or the system has none: Ctrl-C then ends the process, as by default.
    let _ = ctrlc::try_set_handler(|| {
        if ASKED.swap(true, Relaxed) {
            std::process::exit(crate::exit::Exit::Interrupted as i32);
        }
    });
}

/// Whether to end. Costs a relaxed load.
pub fn is_asked() -> bool {
    ASKED.load(Relaxed)
}
