//! The command line of `lab report`.

use crate::cli::CommonArgs;
use clap::{ArgGroup, ValueHint};
use std::path::PathBuf;

/// Settings of `lab report`.
///
/// Reads what `lab`, `lab run`, `lab replay`, `lab count` and other measuring commands wrote with --json, and shows it: figures, their
/// spread, percentile curves, who is fastest where, and on which machine. With several files each figure is set beside the first file's.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES, group(ArgGroup::new("output").args(["html", "md", "svg", "json"]).required(true).multiple(true)))]
pub struct Args {
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Files that the lab wrote with --json; ratios are to the first
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// Write a page for a browser, with everything in it: tables, percentile curves, bars; light and dark, and no script
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub html: Option<PathBuf>,
    /// Write Markdown for a pull request: what is found, a table for each group; with `-` to standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub md: Option<PathBuf>,
    /// Write one drawing for a README: what a publish takes on each path, by number of subscribers; of a single file of `lab paths`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub svg: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  lab report run.json --html report.html             a page of one file
  lab report base.json new.json --html report.html   two files side by side, with ratios
  lab report base.json new.json --md - | gh pr comment --body-file -
  lab --json paths.json && lab report paths.json --svg paths.svg
  lab report new.json base.json --json - | jq -r '.rows[] | [.case, .metric, .ratios[1]] | @tsv'

--json writes what the report says: findings, figures, ratios. --quick and --check change
nothing here: nothing is measured, and nothing judged. Whether a ratio is more than chance is
what `lab compare` says.

Exit codes: 0 written, 2 wrong usage, a file that cannot be read or has no figures, or one
that cannot be written.";
