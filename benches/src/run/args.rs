//! The command line of `lab run`.

use crate::cli::CommonArgs;

/// Settings of `lab run`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArgs,
}
