//! The command line of `lab gate`.

use crate::{cli::CommonArgs, compare::Rules};
use std::path::PathBuf;

/// Settings of `lab gate`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArgs,
    /// The folder of the baselines: files *.json that commands of the lab wrote; each says which command that was
    pub dir: PathBuf,
    /// What counts as worse.
    #[command(flatten)]
    pub rules: Rules,
    /// Judge these files instead of measuring; each belongs to the baseline of its name, or else of its command
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub new: Vec<PathBuf>,
    /// Measure and keep the result as the new baselines, whatever it is; with --new, keep those files, new names too
    #[arg(long)]
    pub bless: bool,
}

const EXAMPLES: &str = "\
Examples:
  lab registration --repeats 9 --json perf/registration.json    the first baseline; any command that measures
  lab paths --processes 9 --paths signalpost --json perf/paths.json
  lab gate perf                                 measure all of them again: has anything become worse?
  lab gate perf --fail-on median:+8% --json gate.json
  lab gate perf --bless                         it has, and that is meant
  lab gate perf --new paths.json                judge what was measured elsewhere already

In CI: commit the folder, run `lab gate perf`; its exit code is the job's. Do not put make in between: it turns 1 into 2.
On machines that others share, times differ from hour to hour: let `lab compare --ab` run both builds there instead.

Exit codes: 0 nothing is worse, 1 something is, 2 wrong usage or it could not be measured, 3 there is no baseline, 4 measured on
another machine, with other flags or settings, 130 interrupted. Of several baselines: 130, else 1, else 2, else 4, else 3.";
