//! What is counted, and the process that callgrind looks at: it sets one subject up and calls it so often.
//!
//! Owns the subjects, their names, and that hidden command. Not here: callgrind (`callgrind.rs`).

use crate::{
    exit::{Exit, Performed},
    harness::{Batch, Gate},
    path::PathName,
    slots::{copies, path::Path},
    table::counted,
};
use clap::ValueEnum;
use serde::Serialize;
use std::io::{self, Write};

/// The hidden command of that process.
pub const COMMAND: &str = "count-one";

/// What can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// A `Vec<Arc<dyn Fn>>` walked with early exit, nothing shared: the floor
    RawLoop,
    /// `signalpost::Dispatcher::publish`
    Signalpost,
    /// `signalpost::Topic::publish`, on a bus with 10,000 handlers of 1,000 other types
    BusTopic,
    /// A call of a function that is not inlined
    Direct,
    /// A call of a patch point that nothing replaces, with that function as its original
    SlotUnpatched,
}

impl Subject {
    /// All, in the order of the report.
    pub const ALL: [Self; 5] =
        [Self::RawLoop, Self::Signalpost, Self::BusTopic, Self::Direct, Self::SlotUnpatched];

    /// What is counted where nothing else is asked for, and what the baseline holds: loops that are compiled the same whatever else
    /// there is in the lab. Not so `BusTopic`, most of which the compiler inlines or does not, by what is beside it: 20
    /// instructions more or fewer were seen, of a publish that nobody had touched.
    pub const USUAL: [Self; 4] = [Self::RawLoop, Self::Signalpost, Self::Direct, Self::SlotUnpatched];

    /// The dispatch path that it is, if it publishes.
    const fn path(self) -> Option<PathName> {
        match self {
            Self::RawLoop => Some(PathName::RawLoop),
            Self::Signalpost => Some(PathName::Signalpost),
            Self::BusTopic => Some(PathName::BusTopic),
            Self::Direct | Self::SlotUnpatched => None,
        }
    }

    /// The way to call a function that it is, if it does not.
    const fn call(self) -> Option<Path> {
        match self {
            Self::Direct => Some(Path::Direct),
            Self::SlotUnpatched => Some(Path::SlotUnpatched),
            Self::RawLoop | Self::Signalpost | Self::BusTopic => None,
        }
    }

    /// As typed and printed.
    pub const fn as_str(self) -> &'static str {
        match (self.path(), self.call()) {
            (Some(path), _) => path.as_str(),
            (None, Some(path)) => path.as_str(),
            (None, None) => unreachable!(),
        }
    }

    /// It with so many subscribers, if it has any, as in every file of the lab.
    pub fn case(self, subscribers: usize) -> String {
        match self.path() {
            Some(path) => format!("{path}, {}, 1 publisher", counted(subscribers, "subscriber")),
            None => format!("{}, in turn", self.as_str()),
        }
    }

    /// The numbers of subscribers with which it is counted, out of these.
    pub fn subscribers(self, asked: &[usize]) -> &[usize] {
        if self.path().is_some() { asked } else { &[0] }
    }
}

/// How often the counted loop goes round: so often, and a quarter of that before, as where it is timed.
pub const SHORT: u64 = 1_000;
/// The same of the other process; the two differ by [`TURNS`]. As many digits, which are read as fast.
pub const LONG: u64 = 9_000;
/// So many turns are in the difference.
pub const TURNS: u64 = 10_000;

/// Settings of the hidden command.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What to call
    #[arg(long, value_enum)]
    pub subject: Subject,
    /// Registered subscribers
    #[arg(long)]
    pub subscribers: usize,
    /// How often: a quarter of that, then that
    #[arg(long)]
    pub publishes: u64,
}

/// Calls it, and says with which barrier: the same loop that `lab paths` and `lab slots` time.
///
/// # Errors
/// When standard output is closed, or a subscriber stopped an event.
pub fn perform(args: &Args) -> Performed {
    let batch = Batch { publishes: args.publishes, laps: 1 };
    if let Some(path) = args.subject.path() {
        let measured = path.lane(args.subscribers).measure(&Gate::new(1), batch);
        if measured.stopped != 0 {
            return Err("a subscriber of the lab stopped an event".to_owned());
        }
    } else if let Some(path) = args.subject.call() {
        let [copy, ..] = copies::of(path);
        copy.in_turn(args.publishes / 4);
        copy.in_turn(args.publishes);
    }
    let barrier = format!("{:?}", signalpost::stats().barrier).to_lowercase();
    writeln!(io::stdout(), "{barrier}").map_err(|error| error.to_string())?;
    Ok(Exit::Fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_reads_the_same_on_the_command_line_in_json_and_in_the_table() {
        for subject in Subject::ALL {
            let typed = subject.to_possible_value().expect("none is hidden");
            assert_eq!(typed.get_name(), subject.as_str());
            assert_eq!(serde_json::to_value(subject).unwrap(), subject.as_str());
        }
    }

    #[test]
    fn the_two_processes_differ_by_as_many_turns_as_are_divided_by() {
        let turns = |publishes: u64| publishes / 4 + publishes;
        assert_eq!(turns(LONG) - turns(SHORT), TURNS);
        assert_eq!((SHORT % 4, LONG % 4), (0, 0));
        assert_eq!(SHORT.ilog10(), LONG.ilog10());
    }

    #[test]
    fn a_case_is_called_what_it_is_called_in_every_other_file() {
        assert_eq!(Subject::Signalpost.case(16), "signalpost, 16 subscribers, 1 publisher");
        assert_eq!(Subject::RawLoop.case(1), "raw-loop, 1 subscriber, 1 publisher");
        assert_eq!(Subject::SlotUnpatched.case(0), "slot-unpatched, in turn");
        assert_eq!(Subject::SlotUnpatched.subscribers(&[0, 1, 16]), [0]);
    }

    #[test]
    fn every_subject_can_be_called() {
        for subject in Subject::ALL {
            let args = Args { subject, subscribers: 2, publishes: 4 };
            assert_eq!(perform(&args), Ok(Exit::Fine));
        }
    }
}
