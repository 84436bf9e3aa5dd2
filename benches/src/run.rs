//! `lab run`: publishers x subscribers x churn x rate x duration; latencies and throughput.
//!
//! Owns the order of things: files are opened, everything is measured, the report is printed, the files are written, each whatever
//! became of the others.
//!
//! | file | owns |
//! |---|---|
//! | `args`, `rate`, `case` | what can be asked for, and which cases that is |
//! | `sweep`, `once` | the order of the repeats; one repeat and its threads |
//! | `record` | histograms of one thread, merged; percentiles, missed starts, measures, curves |
//! | `outcome`, `show` | rows, warnings, targets; the report |
//! | `log`, `hgrm`, `sheet`, `files` | interval log, percentile text, CSV, and that they can be written |

mod args;
pub mod case;
pub mod files;
pub mod hgrm;
pub mod log;
pub mod once;
pub mod outcome;
pub mod rate;
pub mod record;
pub mod sheet;
mod show;
pub mod sweep;

pub use args::Args;
pub use outcome::Outcome;

use crate::{cli, exit::Performed, report, session::Session};
use files::Files;

/// Runs it.
///
/// # Errors
/// In words, when there is nothing to measure, or a file cannot be written; the report has been printed then.
pub fn perform(args: &Args) -> Performed {
    let settings = args.settings()?;
    let (files, mut hlog) = Files::open(args, &settings.cases)?;
    let command = cli::again(std::env::args()).join(" ");
    let mut log = hlog.as_mut().map(|file| file.begin(&command)).transpose()?;
    let mut session = Session::open(&args.common)?;
    let outcome = settings.run(log.as_mut(), &session.progress);
    session.print(&outcome.report(session.colour));
    session.print(&report::targets(&outcome.targets(), session.colour));
    let mut failed: Vec<_> = outcome.failed.clone().into_iter().collect();
    failed.extend(files.write(&outcome));
    let mut document = session.document();
    outcome.fill(&mut document);
    session.close_after(&document, failed)
}
