//! What is counted, and the process that callgrind looks at: it sets one subject up and calls it so often.
//!
//! Owns the subjects, their names, and that hidden command. Not here: callgrind (`callgrind.rs`).

use crate::{
    exit::{Exit, Performed},
    table::counted,
};
use clap::ValueEnum;
use serde::Serialize;
use std::{
    hint::black_box,
    io::{self, Write},
};

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
    /// `signalpost::Bus::publish`, on a bus that has no other types
    Bus,
    /// `signalpost::Topic::publish`, on such a bus
    BusTopic,
    /// A call of a function that is not inlined
    Direct,
    /// A call of a patch point that nothing replaces, with that function as its original
    SlotUnpatched,
}

/// The loop that is counted.
enum Loop {
    /// Publishes to so many subscribers, so often.
    Publish(fn(usize, u64)),
    /// Calls so often.
    Call(fn(u64) -> u64),
}

impl Subject {
    /// All, in the order of the report.
    pub const ALL: [Self; 6] =
        [Self::RawLoop, Self::Signalpost, Self::Bus, Self::BusTopic, Self::Direct, Self::SlotUnpatched];

    /// In a crate of their own: see there why.
    const fn to_count(self) -> Loop {
        match self {
            Self::RawLoop => Loop::Publish(signalpost_lab_counted::raw_loop),
            Self::Signalpost => Loop::Publish(signalpost_lab_counted::dispatcher),
            Self::Bus => Loop::Publish(signalpost_lab_counted::bus),
            Self::BusTopic => Loop::Publish(signalpost_lab_counted::topic),
            Self::Direct => Loop::Call(signalpost_lab_counted::direct),
            Self::SlotUnpatched => Loop::Call(signalpost_lab_counted::slot_unpatched),
        }
    }

    const fn publishes(self) -> bool {
        matches!(self.to_count(), Loop::Publish(_))
    }

    /// As typed and printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RawLoop => "raw-loop",
            Self::Signalpost => "signalpost",
            Self::Bus => "bus",
            Self::BusTopic => "bus-topic",
            Self::Direct => "direct",
            Self::SlotUnpatched => "slot-unpatched",
        }
    }

    /// It with so many subscribers, if it has any, as in every file of the lab.
    pub fn case(self, subscribers: usize) -> String {
        if self.publishes() {
            format!("{}, {}, 1 publisher", self.as_str(), counted(subscribers, "subscriber"))
        } else {
            format!("{}, in turn", self.as_str())
        }
    }

    /// The numbers of subscribers with which it is counted, out of these.
    pub fn subscribers(self, asked: &[usize]) -> &[usize] {
        if self.publishes() { asked } else { &[0] }
    }
}

/// How often the counted loop goes round.
pub const SHORT: u64 = 10_000;
/// The same in the other process; the two differ by [`TURNS`]. As many digits, which are read as fast.
pub const LONG: u64 = 20_000;
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
    /// How often
    #[arg(long)]
    pub publishes: u64,
}

/// Calls it, and says with which barrier.
///
/// # Errors
/// When standard output is closed.
pub fn perform(args: &Args) -> Performed {
    match args.subject.to_count() {
        Loop::Publish(publish) => publish(args.subscribers, args.publishes),
        Loop::Call(call) => drop(black_box(call(args.publishes))),
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
        assert_eq!(LONG - SHORT, TURNS);
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
