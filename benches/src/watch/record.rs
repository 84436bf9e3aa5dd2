//! What `lab watch` says: what happens as it happens, and the rows that are left at the end.
//!
//! Owns the types that go from the run to whoever shows it, and the keys of the JSON.
//! Not here: how it is shown (`lines.rs`, `terminal.rs`, `html.rs`, `json.rs`), how a row is judged (`judge.rs`).
//!
//! The run sends [`Moment`]s over a channel: one [`Began`](Moment::Began), for each row of the plan in order
//! [`Provoking`](Moment::Provoking), then [`Provoked`](Moment::Provoked) or [`NotProvoked`](Moment::NotProvoked), then
//! [`Finished`](Moment::Finished); between them [`Event`](Moment::Event)s and [`Load`](Moment::Load)s at any time; and one
//! [`Ended`](Moment::Ended), after which the channel closes. All times are counted from the start of the run.

use super::name::{FaultName, LoopName};
use crate::machine::Machine;
use serde::Serialize;
use std::time::Duration;

/// Changes when a key is renamed, removed or gets another meaning; new keys do not change it.
pub const SCHEMA: u32 = 1;

/// What is to be done, known before anything is.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where.
    pub machine: Machine,
    /// The longest turn of a loop that is not reported: T.
    pub max_blocking_time: Duration,
    /// The rows to come, in order.
    pub rows: Vec<Planned>,
}

/// One row to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The loop it is done to.
    pub event_loop: LoopName,
    /// What is done.
    pub fault: FaultName,
    /// What is to be reported, in words: `InSyscall`, `OnCpu`, `nothing`, ...
    pub expected: &'static str,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Moment {
    /// The servers serve, the load is on, the monitor watches.
    Began(Plan),
    /// From here on reports are put down to this row.
    Provoking {
        /// Its place in the plan.
        row: usize,
        /// When.
        at: Duration,
    },
    /// The fault is over, and a clock that is independent of the monitor says that it lasted at least 1.3 T.
    Provoked {
        /// Its place in the plan.
        row: usize,
        /// When it was over.
        at: Duration,
        /// How long it was.
        lasted: Duration,
    },
    /// The fault did not come about, or not for 1.3 T: whatever the monitor said or did not say, the row does not count.
    NotProvoked {
        /// Its place in the plan.
        row: usize,
        /// When that was known.
        at: Duration,
        /// How long it lasted.
        lasted: Duration,
        /// Why, in words.
        why: String,
    },
    /// The monitor published an event.
    Event {
        /// When it was published.
        at: Duration,
        /// The row that was on.
        row: Option<usize>,
        /// Whether it may not have come: nothing was wrong.
        is_false: bool,
        /// The event's name and what matters most, in a line.
        title: String,
        /// The report's lines, as the monitor would print them.
        lines: Vec<String>,
    },
    /// A row is judged.
    Finished {
        /// Its place in the plan.
        row: usize,
        /// When.
        at: Duration,
        /// The row.
        result: Row,
    },
    /// How the servers do, a few times a second.
    Load {
        /// When.
        at: Duration,
        /// One entry for each loop that serves.
        servers: Vec<Served>,
    },
    /// All is over.
    Ended(Report),
}

/// What the load saw of one server since the last such figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Served {
    /// The loop that serves.
    pub event_loop: LoopName,
    /// Answers a second.
    pub requests_per_s: f64,
    /// The time within which 99 of 100 answers came; none if none came.
    pub p99: Option<Duration>,
    /// How long the oldest request has been without an answer.
    pub waiting: Duration,
}

/// Whether all is well with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// What was expected was seen, or nothing was expected and nothing came.
    Right,
    /// It was seen; something of the report is not right: verdict, task, or how often.
    Wrong,
    /// It was provoked and not seen.
    Missed,
    /// Nothing may have been reported, and something was.
    FalseReport,
    /// It did not come about, so that nothing can be said.
    NotProvoked,
}

impl Outcome {
    /// In words, for tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "wrong",
            Self::Missed => "missed",
            Self::FalseReport => "false report",
            Self::NotProvoked => "not_provoked",
        }
    }
}

/// One fault on one loop, and what the monitor said of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The loop it was done to.
    #[serde(rename = "loop")]
    pub event_loop: LoopName,
    /// What was done.
    pub fault: FaultName,
    /// What was to be reported, in words.
    pub expected: String,
    /// Whether anything was reported of it.
    pub seen: bool,
    /// Milliseconds from the beginning of the fault to its first report.
    pub after_ms: Option<f64>,
    /// The verdict of its first report, or `not_provoked`.
    pub verdict: Option<String>,
    /// The task that was named, by number or by name.
    pub task: Option<String>,
    /// Whether that is the task that did it; none where no task is to be named.
    pub task_right: Option<bool>,
    /// The innermost frame of the stack that is not the system's or the runtime's.
    pub top_frame: Option<String>,
    /// Whether all that is well.
    pub outcome: Outcome,
    /// Milliseconds that the fault lasted, by a clock that is independent of the monitor.
    pub lasted_ms: Option<f64>,
    /// Reports that were put down to it.
    pub reports: usize,
    /// What is not right, or why it was not provoked; empty if all is well.
    pub note: String,
}

/// All rows, and where they come from.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Where and with what it was run.
    pub machine: Machine,
    /// The longest turn of a loop that is not reported, in milliseconds: T.
    pub max_blocking_ms: f64,
    /// A row for each fault on each loop, in the order in which they were provoked.
    pub faults: Vec<Row>,
    /// Reports that came while nothing was wrong.
    pub false_reports: usize,
    /// Whether it was broken off: then these are the rows until then.
    pub partial: bool,
}

impl Report {
    /// Whether everything that was provoked was reported rightly, and nothing else was.
    pub fn is_right(&self) -> bool {
        self.false_reports == 0
            && self.faults.iter().all(|row| matches!(row.outcome, Outcome::Right | Outcome::NotProvoked))
    }

    /// Rows that came out so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.faults.iter().filter(|row| row.outcome == outcome).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_keys_that_programs_read() {
        let row = Row {
            event_loop: LoopName::Mio,
            fault: FaultName::ChildWait,
            expected: "InSyscall".to_owned(),
            seen: false,
            after_ms: None,
            verdict: Some("not_provoked".to_owned()),
            task: None,
            task_right: None,
            top_frame: None,
            outcome: Outcome::NotProvoked,
            lasted_ms: Some(3.5),
            reports: 0,
            note: "the child ended at once".to_owned(),
        };
        let machine = Machine::this();
        let mut report = Report {
            schema: SCHEMA,
            machine,
            max_blocking_ms: 100.0,
            faults: vec![row],
            false_reports: 0,
            partial: false,
        };
        assert!(report.is_right(), "what was not provoked is no miss");
        let value = serde_json::to_value(&report).unwrap();
        let row = value["faults"][0].as_object().unwrap();
        for key in
            ["loop", "fault", "expected", "seen", "after_ms", "verdict", "task", "task_right", "top_frame"]
        {
            assert!(row.contains_key(key), "{key}");
        }
        assert_eq!((&row["loop"], &row["fault"]), (&"mio".into(), &"child-wait".into()));
        assert_eq!((&row["outcome"], &value["false_reports"]), (&"not_provoked".into(), &0.into()));
        report.faults[0].outcome = Outcome::Missed;
        assert!(!report.is_right());
        assert_eq!((report.count(Outcome::Missed), report.count(Outcome::Right)), (1, 0));
    }
}
