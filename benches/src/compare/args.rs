//! The command line of `lab compare`, and what `lab gate` has in common with it.

use super::limits::{DEFAULTS_SHOWN, Limit, Limits, MinEffect};
use crate::{cli::CommonArgs, compare::judge::Figure};
use clap::{builder::NonEmptyStringValueParser, value_parser};
use std::path::PathBuf;

/// What counts as worse.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Rules {
    #[arg(long, value_name = "METRIC:+N%,..", value_delimiter = ',', value_parser = Limit::parse, help = fail_on_help())]
    fail_on: Vec<Limit>,
    /// What is too little to count, in a metric's own unit [default: 1ns]
    #[arg(long, value_name = "AMOUNT,..", value_delimiter = ',', value_parser = MinEffect::parse)]
    min_effect: Vec<MinEffect>,
    /// Only cases whose name has one of these words in it
    #[arg(long, value_name = "TEXT,..", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    only: Vec<String>,
    /// Compare all the same: other machines, other settings, measurements that were broken off
    #[arg(long)]
    pub anyway: bool,
    /// Figures of the base may be missing
    #[arg(long)]
    allow_missing: bool,
}

fn fail_on_help() -> String {
    format!(
        "What counts as worse: all of the interval of a metric's change is beyond this [default: {DEFAULTS_SHOWN}]"
    )
}

impl Rules {
    /// The limits.
    pub fn limits(&self) -> Limits {
        Limits::of(&self.fail_on, &self.min_effect)
    }

    /// Whether a case is to be compared.
    pub fn asks_for(&self, case: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|text| case.contains(text.as_str()))
    }

    /// Whether figures of the base may be missing.
    pub const fn may_miss(&self) -> bool {
        self.allow_missing || self.anyway
    }

    /// The figures, if there are any.
    ///
    /// # Errors
    /// In words, when there are none.
    pub fn some(&self, figures: Vec<Figure>) -> Result<Vec<Figure>, String> {
        match figures {
            figures if !figures.is_empty() => Ok(figures),
            _ if self.only.is_empty() => {
                Err("the two have no figure in common: no case and metric is in both".to_owned())
            }
            _ => Err(format!("--only {}: no case that both have has that in its name", self.only.join(","))),
        }
    }
}

/// Settings of `lab compare`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = "lab compare [OPTIONS] <BASE> <NEW>\n       lab compare [OPTIONS] --ab <OTHER_BINARY> [-- <COMMAND>...]")]
pub struct Args {
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArgs,
    /// What was measured before: a file that `lab … --json FILE` wrote
    #[arg(required_unless_present = "ab", conflicts_with = "ab")]
    pub base: Option<PathBuf>,
    /// What was measured now, by the same command
    #[arg(required_unless_present = "ab", conflicts_with = "ab")]
    pub new: Option<PathBuf>,
    /// What counts as worse.
    #[command(flatten)]
    pub rules: Rules,
    /// Measure here and now instead: this lab beside OTHER_BINARY, another build of the lab, in turns
    #[arg(long, value_name = "OTHER_BINARY")]
    pub ab: Option<PathBuf>,
    /// How often to run both, 5 to 1000 [default: 21, with --quick 9]
    #[arg(long, value_name = "N", requires = "ab", value_parser = value_parser!(u32).range(5..=1_000))]
    pub rounds: Option<u32>,
    /// Decides which of the two runs first in which round
    #[arg(long, value_name = "N", default_value_t = 7)]
    pub seed: u64,
    /// Write the comparison to FILE as Markdown; with `-` to standard output, the table
    /// then goes to standard error
    #[arg(long, value_name = "FILE")]
    pub md: Option<PathBuf>,
    /// What both are to measure [default: `paths` of signalpost with 0 to 64 subscribers]
    #[arg(last = true, requires = "ab", conflicts_with = "base")]
    pub command: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  lab paths --processes 9 --json base.json      before the change; five repeats at least, each in a process of its own
  lab paths --processes 9 --json new.json       after it
  lab compare base.json new.json                is anything worse?
  lab compare base.json new.json --fail-on p99:+10%,median:+5% --min-effect 1ns
  lab compare base.json new.json --fail-on throughput:-5% --only signalpost --md comment.md
  lab compare --ab target/lab-of-main           two builds in turns on this machine: the one to trust on a shared one
  lab compare --ab ./lab-old --fail-on median:+5% -- slots --quick

In CI: build the lab of the branch's base into a file of its own, then `lab compare --ab FILE`; its exit code is the job's.
Do not put make in between: it turns 1 into 2. Files are only compared where processor, cores, flags and settings are the same.

Exit codes: 0 nothing is worse, 1 something is, 2 wrong usage or too few repeats, 3 there is no file BASE,
4 cannot be compared (--anyway does all the same), 130 interrupted: what was measured until then has been written.";
