//! The command line of `lab report`.

use crate::cli::CommonArgs;

/// Settings of `lab report`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArgs,
}
