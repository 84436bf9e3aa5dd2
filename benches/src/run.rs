//! `lab run`: publishers x subscribers x churn x rate x duration; latencies and throughput.

mod args;
pub mod case;
pub mod log;
pub mod rate;
pub mod record;

use crate::exit::Performed;
pub use args::Args;

/// Runs it.
///
/// # Errors
/// In words, when it cannot be done.
pub fn perform(_args: &Args) -> Performed {
    Err("not built yet".to_owned())
}
