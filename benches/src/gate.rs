//! `lab gate DIR`: what was measured before, measured again.
//!
//! Owns the command: which baselines, how each is judged, which exit code wins. Not here: the folder (`gate/folder.rs`), what is said
//! (`gate/show.rs`), what counts as worse (`compare.rs`).

mod args;
mod folder;
mod show;

use crate::{
    cli,
    compare::{self, Named, Ran},
    exit::{Exit, Performed},
    saved::Saved,
    session::Session,
    stop,
};
pub use args::Args;
use folder::New;
use serde::{Serialize, Serializer};
use std::{
    io::{self, Write},
    path::Path,
};

/// What came out.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// The baselines, by name.
    pub baselines: Vec<Judged>,
}

/// One baseline.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// Its file's name.
    pub file: String,
    /// The command that measured it.
    pub command: Vec<String>,
    /// How it came out: what `lab compare` would have exited with.
    #[serde(serialize_with = "code")]
    pub exit: Exit,
    /// Why it was not judged, or what became of it, in words.
    pub said: Option<String>,
    /// The comparison, where there is one.
    pub comparison: Option<compare::Outcome>,
}

fn code<S: Serializer>(exit: &Exit, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(*exit as u8)
}

/// Runs it.
///
/// # Errors
/// In words, when the folder cannot be read, a file cannot be written, or a new file belongs to no baseline.
pub fn perform(args: &Args) -> Performed {
    if args.bless && !args.new.is_empty() {
        return keep_files(args);
    }
    let baselines = folder::baselines(&args.dir)?;
    if baselines.is_empty() {
        let dir = args.dir.display();
        // Standard error is the last place to say it.
        let _ = writeln!(
            io::stderr(),
            "error: there is no baseline in '{dir}'\n\nexpected a folder with files *.json that the lab wrote. Make one, with any \
             command that measures:\nmkdir -p {dir} && lab registration --repeats 9 --json {dir}/registration.json"
        );
        return Ok(Exit::NoBaseline);
    }
    let new = folder::belonging(&args.new, &baselines)?;
    let mut session = Session::without_heading(&args.common, false)?;
    if new.is_empty() {
        session.print(&session.machine.heading());
    }
    let mut outcome = Outcome::default();
    session.progress.start(baselines.len() as u64);
    for (index, path) in baselines.iter().enumerate() {
        if stop::is_asked() {
            break;
        }
        outcome.baselines.push(if args.new.is_empty() {
            let name = folder::name(path);
            session.progress.step(&format!("{name}, {} of {}", index + 1, baselines.len()));
            measured_again(path, args, &session)
        } else {
            judged_by(path, &new, args)
        });
        session.progress.advance();
    }
    session.progress.finish();
    session.print(&outcome.report(session.colour));
    let exit = outcome.exit();
    let mut document = session.document();
    document.partial = exit == Exit::Interrupted || outcome.baselines.len() < baselines.len();
    document.gate = Some(outcome);
    match session.close(&document)? {
        Exit::Fine => Ok(exit),
        interrupted => Ok(interrupted),
    }
}

impl Outcome {
    /// The exit code that wins: what became worse for sure, before what could not be measured, before what cannot be compared.
    pub fn exit(&self) -> Exit {
        const ORDER: [Exit; 5] =
            [Exit::Interrupted, Exit::Regressed, Exit::Usage, Exit::NotComparable, Exit::NoBaseline];
        let is_there = |exit: &Exit| self.baselines.iter().any(|judged| judged.exit == *exit);
        ORDER.into_iter().find(is_there).unwrap_or(Exit::Fine)
    }
}

impl Judged {
    fn new(path: &Path, exit: Exit) -> Self {
        Self { file: folder::name(path), command: Vec::new(), exit, said: None, comparison: None }
    }

    fn said(path: &Path, exit: Exit, said: impl Into<String>) -> Self {
        Self { said: Some(said.into()), ..Self::new(path, exit) }
    }

    fn compared(path: &Path, base: &Saved, new: &Saved, new_name: &str, args: &Args) -> Self {
        let name = folder::name(path);
        let base = Named { name: &name, saved: base };
        match compare::compare(base, Named { name: new_name, saved: new }, &args.rules) {
            Ok(comparison) => {
                Self { comparison: Some(comparison.clone()), ..Self::new(path, comparison.exit()) }
            }
            Err(error) => Self::said(path, Exit::Usage, error),
        }
    }
}

/// Runs the command of a baseline and judges what it measures; or keeps it, with `--bless`.
fn measured_again(path: &Path, args: &Args, session: &Session) -> Judged {
    let base = match Saved::read(path) {
        Ok(base) => base,
        Err(error) => return Judged::said(path, Exit::Usage, error),
    };
    let judged =
        again(path, &base, args, session).unwrap_or_else(|error| Judged::said(path, Exit::Usage, error));
    Judged { command: base.command, ..judged }
}

fn again(path: &Path, base: &Saved, args: &Args, session: &Session) -> Result<Judged, String> {
    if base.command.is_empty() || base.measures.is_empty() {
        return Err(format!(
            "'{}' does not say which command measured it, or has no figures: make it again with --json",
            path.display()
        ));
    }
    if !cli::is_measuring(&base.command) {
        return Err(format!(
            "'{}' asks for `lab {}`\n\nexpected a command that measures, as --json writes it down, and that writes no file: make it again",
            path.display(),
            base.command.join(" ")
        ));
    }
    // What cannot be compared need not be measured.
    let differences = compare::machines(&base.machine, &session.machine, false);
    let forbids = differences.iter().find(|difference| difference.forbids);
    if let Some(difference) = forbids.filter(|_| !args.rules.anyway && !args.bless) {
        let why =
            format!("not measured: another {}. --bless makes new baselines here", difference.in_words());
        return Ok(Judged::said(path, Exit::NotComparable, why));
    }
    let this = compare::this_lab()?;
    match compare::measure(&this, &base.command, None)? {
        Ran::Stopped => Ok(Judged::said(path, Exit::Interrupted, "interrupted")),
        Ran::Whole { text, saved, .. } => {
            let judged = Judged::compared(path, base, &saved, "measured now", args);
            if !args.bless {
                return Ok(judged);
            }
            folder::keep(path, &text)?;
            Ok(Judged { exit: Exit::Fine, said: Some("kept as the new baseline".to_owned()), ..judged })
        }
    }
}

/// Judges the file that belongs to a baseline.
fn judged_by(path: &Path, new: &[New], args: &Args) -> Judged {
    let base = match Saved::read(path) {
        Ok(base) => base,
        Err(error) => return Judged::said(path, Exit::Usage, error),
    };
    let judged = match new.iter().find(|new| new.belongs_to == path) {
        Some(new) => Judged::compared(path, &base, &new.saved, &new.path.display().to_string(), args),
        None => Judged::said(path, Exit::Fine, "not judged: no new file belongs to it"),
    };
    Judged { command: base.command, ..judged }
}

/// Makes files that are there the baselines of their names.
fn keep_files(args: &Args) -> Performed {
    let mut session = Session::without_heading(&args.common, false)?;
    let mut outcome = Outcome::default();
    for file in &args.new {
        let (path, saved) = folder::keep_file(&args.dir, file)?;
        let kept = Judged::said(&path, Exit::Fine, "kept as the new baseline");
        outcome.baselines.push(Judged { command: saved.command, ..kept });
    }
    session.print(&outcome.report(session.colour));
    let mut document = session.document();
    document.gate = Some(outcome);
    session.close(&document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_worse_wins_over_what_could_not_be_measured_and_that_over_what_cannot_be_compared() {
        let exit = |exits: &[Exit]| {
            let judged = |exit: &Exit| Judged::new(Path::new("x.json"), *exit);
            Outcome { baselines: exits.iter().map(judged).collect() }.exit()
        };
        assert_eq!(exit(&[]), Exit::Fine);
        assert_eq!(exit(&[Exit::Fine, Exit::NotComparable]), Exit::NotComparable);
        assert_eq!(exit(&[Exit::NotComparable, Exit::Usage]), Exit::Usage);
        assert_eq!(exit(&[Exit::Usage, Exit::Regressed, Exit::Fine]), Exit::Regressed);
        assert_eq!(exit(&[Exit::Regressed, Exit::Interrupted]), Exit::Interrupted);
    }
}
