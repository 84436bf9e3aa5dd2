//! `lab count`: instructions for a publish, under callgrind.
//!
//! Owns what is counted together, and what comes of it. Not here: what is called (`count/subject.rs`), how it is counted
//! (`count/callgrind.rs`), the counts of before (`count/baseline.rs`).
//!
//! A count says nothing of caches, predictors and waiting, and is no time. But it is the same, to the instruction, on every
//! machine and however busy that is: it shows the first instruction that a change adds. Each case is counted in two processes, one
//! of which goes round the loop 10,000 times more often; what they differ by has neither their start nor their end in it, but the
//! loop's own two or three instructions, in every case the same.

pub mod baseline;
pub mod callgrind;
pub mod subject;

use crate::{
    cli::CommonArgs,
    exit::{Exit, Performed},
    measure::{Better, Measure, Unit},
    output::Destination,
    progress::Progress,
    session::Session,
    stop,
    table::{Cell, Colour, Table, Tone},
};
use baseline::{Baseline, Build, Change};
use clap::value_parser;
use serde::Serialize;
use std::path::PathBuf;
use subject::{LONG, SHORT, Subject, TURNS};

/// Settings of `lab count`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArgs,
    /// What to count [default: all, with --quick raw-loop and signalpost]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PATH,..")]
    pub paths: Vec<Subject>,
    /// Counts of subscribers, 0 to 10000 [default: 0,1,16]
    #[arg(long, allow_negative_numbers = true, value_delimiter = ',', value_name = "N,..", value_parser = value_parser!(u32).range(0..=10_000))]
    pub subscribers: Vec<u32>,
    /// Counts of before to compare with [default: the file of this target in benches/baseline, beside the sources that the lab was
    /// built from]
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Write the counts into that file, in place of comparing them with it
    #[arg(long)]
    pub bless: bool,
}

const EXAMPLES: &str = "\
Examples:
  lab count                                    every case, beside the baseline of this target
  lab count --quick                            signalpost and the raw loop alone, a few seconds
  lab count --bless                            these counts are the baseline from now on
  lab count --baseline before.json --bless     into a file of one's own; then, after a change:
  lab count --baseline before.json
  lab count --paths signalpost,bus-topic --subscribers 0,64,1024 --json count.json

It needs valgrind, and a release build. A baseline holds for one compiler, one target and one set of flags.

Exit codes: 0 as in the baseline, or fewer; 1 more instructions than there; 2 wrong usage, no valgrind, or a file that cannot be
read or written; 3 no baseline; 4 the baseline is of another compiler, other flags or another barrier; 130 interrupted.";

/// One case.
#[derive(Clone, Debug, Serialize)]
pub struct Counted {
    /// What is called.
    pub subject: Subject,
    /// Registered subscribers; 0 where there can be none.
    pub subscribers: usize,
    /// The name of the case.
    pub case: String,
    /// Instructions for all turns together, the loop's own among them.
    pub in_all: u64,
    /// For one of them.
    pub instructions: f64,
    /// What it is beside the baseline; none where there is no baseline that it can be compared with.
    pub change: Option<Change>,
}

/// What came out.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// So many turns are in each count.
    pub turns: u64,
    /// Valgrind's version.
    pub valgrind: String,
    /// How signalpost ordered its readers and writers under callgrind.
    pub barrier: String,
    /// The cases.
    pub cases: Vec<Counted>,
    /// Why the baseline cannot be compared with, in words.
    pub not_comparable: Vec<String>,
}

/// Counts, compares or blesses.
///
/// # Errors
/// In words, when there is no valgrind, or a file cannot be read or written.
pub fn perform(args: &Args) -> Performed {
    args.check()?;
    let valgrind = callgrind::version()?;
    let mut session = Session::open(&args.common)?;
    let path = args.baseline.clone().unwrap_or_else(|| Baseline::default_path(&session.machine));
    let mut blessed = None;
    let mut before = None;
    if args.bless {
        if session.machine.profile == "debug" && args.baseline.is_none() {
            return Err(
                "a debug build's counts are nobody's baseline: use `cargo lab count --bless`".to_owned()
            );
        }
        blessed = Some(Destination::open(&path).map_err(|error| error.to_string())?);
    } else {
        before = Baseline::read(&path)?;
    }
    let mut document = session.document();
    let Some(mut outcome) = Outcome::of(&args.cases(), valgrind, &session.progress)? else {
        document.partial = true;
        session.print("\n  interrupted before the first case was counted\n");
        return session.close(&document);
    };
    document.partial = outcome.cases.len() < args.cases().len();
    document.measures = outcome.cases.iter().map(Counted::measure).collect();
    let build = Build::of(&session.machine, &outcome.barrier);
    if let Some(before) = &before {
        outcome.compare(before, &build);
    }
    session.print(&outcome.report(&session.machine.barrier, session.colour));
    let (said, exit) = outcome.verdict(before.is_some(), &path.display().to_string());
    match &mut blessed {
        Some(_) if document.partial => {}
        Some(file) => {
            file.write(&Baseline::of(build, &outcome.cases)).map_err(|error| error.to_string())?;
            session.print(&format!("  Written to {}.\n", path.display()));
        }
        None => session.print(&said),
    }
    document.count = Some(outcome);
    let closed = session.close(&document)?;
    Ok(match closed {
        Exit::Fine if blessed.is_none() => exit,
        other => other,
    })
}

impl Args {
    /// The baseline that everybody compares with is whole, and of the build that people get.
    fn check(&self) -> Result<(), String> {
        if !self.bless || self.baseline.is_some() {
            return Ok(());
        }
        let rest = "expected `lab count --bless`, of a release build; another FILE takes anything: --baseline FILE --bless";
        if self.common.quick || !self.paths.is_empty() || !self.subscribers.is_empty() {
            return Err(format!("some counts are no baseline for all: {rest}"));
        }
        if cfg!(debug_assertions) {
            return Err(format!("counts of a debug build are no baseline: {rest}"));
        }
        Ok(())
    }

    fn cases(&self) -> Vec<(Subject, usize)> {
        let subjects = match (self.paths.as_slice(), self.common.quick) {
            ([], true) => &[Subject::RawLoop, Subject::Signalpost],
            ([], false) => &Subject::ALL[..],
            (asked, _) => asked,
        };
        let mut subscribers: Vec<usize> = match self.subscribers.as_slice() {
            [] => vec![0, 1, 16],
            asked => asked.iter().map(|&count| count as usize).collect(),
        };
        subscribers.sort_unstable();
        subscribers.dedup();
        let asked = |subject: &Subject| subjects.contains(subject);
        let with = |subject: Subject| {
            subject.subscribers(&subscribers).iter().map(move |&count| (subject, count)).collect::<Vec<_>>()
        };
        Subject::ALL.into_iter().filter(asked).flat_map(with).collect()
    }
}

impl Outcome {
    /// Counts each case; those that were done when somebody asked to end. None when there is none.
    fn of(cases: &[(Subject, usize)], valgrind: String, progress: &Progress) -> Result<Option<Self>, String> {
        progress.start(cases.len() as u64);
        let (mut counted, mut barrier) = (Vec::new(), String::new());
        for &(subject, subscribers) in cases {
            progress.step(&subject.case(subscribers));
            let both = callgrind::run(subject, subscribers, SHORT)
                .and_then(|short| Ok((short, callgrind::run(subject, subscribers, LONG)?)));
            if stop::is_asked() {
                break;
            }
            let (short, long) = both.inspect_err(|_| progress.finish())?;
            // A path that registers nothing decides about no barrier.
            if barrier.is_empty() || barrier == UNDECIDED {
                barrier = long.barrier;
            }
            let in_all = long.instructions.saturating_sub(short.instructions);
            counted.push(Counted {
                subject,
                subscribers,
                case: subject.case(subscribers),
                in_all,
                instructions: in_all as f64 / TURNS as f64,
                change: None,
            });
            progress.advance();
        }
        progress.finish();
        let outcome = Self { turns: TURNS, valgrind, barrier, cases: counted, not_comparable: Vec::new() };
        Ok((!outcome.cases.is_empty()).then_some(outcome))
    }

    fn compare(&mut self, before: &Baseline, build: &Build) {
        self.not_comparable = build.differs_from(&before.build);
        if self.not_comparable.is_empty() {
            for case in &mut self.cases {
                case.change = Some(before.change(&case.case, case.in_all));
            }
        }
    }

    /// What the comparison came to, in words, and as an exit code.
    fn verdict(&self, is_there: bool, path: &str) -> (String, Exit) {
        let any = |which: fn(Change) -> bool| self.cases.iter().filter_map(|case| case.change).any(which);
        if !is_there {
            let text = format!("  No baseline {path}: `lab count --bless` writes these counts there.\n");
            return (text, Exit::NoBaseline);
        }
        if !self.not_comparable.is_empty() {
            let text = format!(
                "  The baseline {path} cannot be compared with:\n    {}\n  `lab count --bless` replaces it.\n",
                self.not_comparable.join("\n    ")
            );
            return (text, Exit::NotComparable);
        }
        if any(|change| matches!(change, Change::More(_))) {
            let text = format!(
                "  More instructions than in {path}. If they are worth it, `lab count --bless` writes these there.\n"
            );
            return (text, Exit::Regressed);
        }
        if any(|change| change != Change::Same) {
            let text = format!(
                "  No case has more instructions than in {path}, but they are not the same: `lab count --bless` writes\n  these there, \
                 so that they do not creep back.\n"
            );
            return (text, Exit::Fine);
        }
        (format!("  The same as in {path}, to the instruction.\n"), Exit::Fine)
    }

    /// The table of this outcome; `outside` is the barrier where nothing is counted.
    fn report(&self, outside: &str, colour: Colour) -> String {
        let mut table = Table::headed(["", "instructions", "over floor", "beside the baseline"]);
        for case in &self.cases {
            let over = |floor: &Counted| signed(case.in_all as i64 - floor.in_all as i64);
            let (tone, change) = match case.change {
                None => (Tone::Quiet, String::new()),
                Some(Change::Same) => (Tone::Quiet, "same".to_owned()),
                Some(Change::More(more)) => (Tone::Bad, signed(more as i64)),
                Some(Change::Fewer(fewer)) => (Tone::Good, signed(-(fewer as i64))),
                Some(Change::New) => (Tone::Quiet, "new".to_owned()),
            };
            table.row([
                case.case.as_str().into(),
                case.instructions.to_string().into(),
                self.floor(case).map(over).unwrap_or_default().into(),
                Cell::toned(tone, change),
            ]);
        }
        let mut text = format!(
            "\n{}\n{}  One turn of the loop, its own two or three instructions too: what {} turns more add, \
             by\n  {}'s callgrind. No time: ten of them may take one nanosecond, or one of them a hundred.\n",
            colour.paint(Tone::Good, "Instructions for one publish, or one call"),
            table.render(colour),
            crate::table::grouped(self.turns as usize),
            self.valgrind,
        );
        if self.barrier != outside && self.barrier != UNDECIDED {
            text += &format!(
                "  Under callgrind signalpost uses {}, outside of it {outside}: this valgrind knows no membarrier. A publish has one\n  \
                 full fence more there.\n",
                self.barrier
            );
        }
        text
    }

    /// The same without what is ours.
    fn floor(&self, case: &Counted) -> Option<&Counted> {
        let floor = match case.subject {
            Subject::Signalpost | Subject::Bus | Subject::BusTopic => Subject::RawLoop,
            Subject::SlotUnpatched => Subject::Direct,
            Subject::RawLoop | Subject::Direct => return None,
        };
        self.cases.iter().find(|other| other.subject == floor && other.subscribers == case.subscribers)
    }
}

/// What a process says that registered nothing.
const UNDECIDED: &str = "undecided";

/// Of all turns together, for one, with its sign.
fn signed(in_all: i64) -> String {
    format!("{:+}", in_all as f64 / TURNS as f64)
}

impl Counted {
    fn measure(&self) -> Measure {
        Measure {
            case: self.case.clone(),
            metric: "instructions".to_owned(),
            unit: Unit::Instructions,
            better: Better::Lower,
            repeats: vec![self.instructions],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(subject: Subject, subscribers: usize, in_all: u64, change: Option<Change>) -> Counted {
        let case = subject.case(subscribers);
        Counted { subject, subscribers, case, in_all, instructions: in_all as f64 / TURNS as f64, change }
    }

    fn outcome(change: Option<Change>) -> Outcome {
        let cases = vec![
            counted(Subject::RawLoop, 1, 100_000, Some(Change::Same)),
            counted(Subject::Signalpost, 1, 310_000, change),
        ];
        let (valgrind, barrier) = ("valgrind-3".to_owned(), "fence".to_owned());
        Outcome { turns: TURNS, valgrind, barrier, cases, not_comparable: Vec::new() }
    }

    #[test]
    fn one_instruction_more_is_a_regression_and_one_less_is_not() {
        let exit = |change| outcome(Some(change)).verdict(true, "b.json").1;
        assert_eq!(exit(Change::Same), Exit::Fine);
        assert_eq!(exit(Change::More(1)), Exit::Regressed);
        assert_eq!(exit(Change::Fewer(10_000)), Exit::Fine);
        let (said, exit) = outcome(Some(Change::Fewer(10_000))).verdict(true, "b.json");
        assert!(said.contains("--bless") && exit == Exit::Fine, "{said}");
        assert_eq!(outcome(None).verdict(false, "b.json").1, Exit::NoBaseline);
        let mut other = outcome(None);
        other.not_comparable.push("compiler: …".to_owned());
        assert_eq!(other.verdict(true, "b.json").1, Exit::NotComparable);
    }

    #[test]
    fn the_report_has_what_is_over_the_floor_and_says_which_barrier_was_counted() {
        let report = outcome(Some(Change::More(20_000))).report("membarrier", Colour(false));
        for part in [
            "signalpost, 1 subscriber, 1 publisher",
            "31",
            "+21",
            "+2",
            "uses fence, outside of it membarrier",
        ] {
            assert!(report.contains(part), "no {part:?} in\n{report}");
        }
        assert!(!outcome(None).report("fence", Colour(false)).contains("outside of it"));
    }

    #[test]
    fn what_has_no_subscribers_is_counted_once() {
        let common = CommonArgs { json: None, quiet: true, quick: false, check: false };
        let mut args =
            Args { common, paths: Vec::new(), subscribers: vec![16, 0, 16], baseline: None, bless: false };
        assert_eq!(args.cases().len(), 4 * 2 + 2);
        args.common.quick = true;
        assert_eq!(args.cases().len(), 2 * 2);
        args.paths = vec![Subject::SlotUnpatched];
        assert_eq!(args.cases(), [(Subject::SlotUnpatched, 0)]);
    }
}
