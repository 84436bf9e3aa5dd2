//! `lab count`: instructions for a publish, under callgrind.

use crate::{cli::CommonArgs, exit::Performed};

/// Settings of `lab count`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Runs it.
///
/// # Errors
/// In words, when it cannot be done.
pub fn perform(_args: &Args) -> Performed {
    Err("not built yet".to_owned())
}
