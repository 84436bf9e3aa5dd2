//! `lab gate DIR`: what was measured before, measured again.

use crate::{cli::CommonArgs, exit::Performed};

/// Settings of `lab gate`.
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
