//! The command line of `lab compare`.

use crate::cli::CommonArgs;

/// Settings of `lab compare`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArgs,
}
