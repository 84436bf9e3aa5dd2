//! The command line of `lab replay`.

use crate::cli::CommonArgs;

/// Settings of `lab replay`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArgs,
}
