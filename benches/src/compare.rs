//! `lab compare`: two files, or two builds, and whether the second is worse.
//!
//! Owns the command: what is compared, where the result goes, how it ends. Not here: what counts as worse (`compare/limits.rs`), how
//! far two sets of figures are apart (`compare/interval.rs`), the verdicts (`compare/judge.rs`), whether two may be compared
//! (`compare/alike.rs`), two files (`compare/files.rs`), two builds in turns (`compare/ab.rs`).

mod ab;
mod alike;
mod args;
mod files;
mod interval;
pub mod judge;
mod limits;
mod process;
mod show;

use crate::{
    exit::{Exit, Performed},
    output::Destination,
    saved::Saved,
    session::Session,
};
pub use alike::{Difference, machines};
pub use args::{Args, Rules};
pub use files::{Named, compare};
pub use interval::Interval;
pub use judge::Outcome;
pub use limits::{Limit, Limits, MinEffect};
pub use process::{Ran, measure, this_lab};
use std::{
    io::{self, Write},
    path::Path,
};

/// Runs it.
///
/// # Errors
/// In words, when it cannot be done.
pub fn perform(args: &Args) -> Performed {
    if args.ab.is_none() && (args.rounds.is_some() || !args.command.is_empty()) {
        return Err("--rounds and a COMMAND are for two builds: say which with --ab OTHER_BINARY".to_owned());
    }
    match (&args.ab, &args.base, &args.new) {
        (Some(other), ..) => two_builds(args, other),
        (None, Some(base), Some(new)) => two_files(args, base, new),
        _ => Err("nothing to compare\n\nexpected two files, or --ab OTHER_BINARY".to_owned()),
    }
}

/// Reads a baseline: that it is not there is another thing than that it cannot be read.
///
/// # Errors
/// In words, when it is there and cannot be read.
pub fn baseline(path: &Path) -> Result<Option<Saved>, String> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        _ => Saved::read(path).map(Some),
    }
}

fn two_files(args: &Args, base: &Path, new: &Path) -> Performed {
    let new_saved = Saved::read(new)?;
    let Some(base_saved) = baseline(base)? else {
        let _ = writeln!(
            io::stderr(),
            "error: there is no '{}' to compare with\n\nMake it with the build of before: lab {} --json {}",
            base.display(),
            new_saved.command.join(" "),
            base.display()
        );
        return Ok(Exit::NoBaseline);
    };
    let names = [base, new].map(|path| path.display().to_string());
    let base = Named { name: &names[0], saved: &base_saved };
    let new = Named { name: &names[1], saved: &new_saved };
    let outcome = compare(base, new, &args.rules)?;
    let mut markdown = markdown(args)?;
    let taken = markdown.as_ref().is_some_and(Destination::is_stdout);
    let mut session = Session::without_heading(&args.common, taken)?;
    let mut document = session.document();
    document.machine = new_saved.machine.clone();
    show(&outcome, &mut session, markdown.as_mut())?;
    let exit = outcome.exit();
    document.compare = Some(outcome);
    session.close(&document)?;
    Ok(exit)
}

fn two_builds(args: &Args, other: &Path) -> Performed {
    let rounds = args.rounds.unwrap_or(if args.common.quick { 9 } else { 21 }) as usize;
    let mut markdown = markdown(args)?;
    let taken = markdown.as_ref().is_some_and(Destination::is_stdout);
    let mut session = Session::without_heading(&args.common, taken)?;
    session.print(&session.machine.heading());
    let settings = ab::Settings { other, command: &args.command, rounds, seed: args.seed };
    let measured = settings.run(&args.rules, &session)?;
    let mut document = session.document();
    document.partial = measured.partial;
    document.rounds = Some(measured.rounds);
    let mut exit = Exit::Fine;
    if let Some(outcome) = measured.outcome {
        show(&outcome, &mut session, markdown.as_mut())?;
        exit = outcome.exit();
        document.compare = Some(outcome);
    }
    match session.close(&document)? {
        Exit::Fine => Ok(exit),
        interrupted => Ok(interrupted),
    }
}

fn markdown(args: &Args) -> Result<Option<Destination>, String> {
    let both = [&args.md, &args.common.json].map(|path| path.as_deref() == Some(Path::new("-")));
    if both == [true, true] {
        return Err("--md - and --json - both take standard output; give one of them a FILE".to_owned());
    }
    args.md.as_deref().map(Destination::open).transpose().map_err(|error| error.to_string())
}

fn show(outcome: &Outcome, session: &mut Session, markdown: Option<&mut Destination>) -> Result<(), String> {
    session.print(&outcome.report(session.colour));
    match markdown {
        Some(to) => to.write_text(&outcome.markdown()).map_err(|error| error.to_string()),
        None => Ok(()),
    }
}
