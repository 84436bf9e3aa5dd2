//! How `lab` ends: the exit codes, the same for every command.

use std::process::ExitCode;

/// What a command came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, and nothing is wrong.
    Fine = 0,
    /// A target was missed (with `--check`), or something got worse than its limit.
    Regressed = 1,
    /// It could not be done: wrong usage, a file that is missing, broken or cannot be written.
    Usage = 2,
    /// There is nothing to compare with.
    NoBaseline = 3,
    /// Measured on another processor, on another number of cores, or built with other flags.
    NotComparable = 4,
    /// Ctrl-C or SIGTERM: what was measured until then has been written, marked partial.
    Interrupted = 130,
}

/// What a command returns: how it ended, or what is wrong in words for [`Exit::Usage`].
pub type Performed = Result<Exit, String>;

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
