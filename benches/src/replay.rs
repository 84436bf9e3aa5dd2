//! `lab replay FILE`: events at the times of a real log.

mod args;

use crate::exit::Performed;
pub use args::Args;

/// Runs it.
///
/// # Errors
/// In words, when it cannot be done.
pub fn perform(_args: &Args) -> Performed {
    Err("not built yet".to_owned())
}
