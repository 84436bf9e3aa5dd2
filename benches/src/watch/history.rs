//! What has been told so far, in the order in which people look at it.
//!
//! Owns the account of a run: what became of each row of the plan, the events, the load. It is kept whether or not
//! the run comes to its end, so that one that is left early can be shown too.
//! Not here: how any of it looks (`lines.rs`, `terminal.rs`, `html.rs`).

use super::{
    name::LoopName,
    record::{Moment, Outcome, Plan, Planned, Report, Row, SCHEMA, Served},
};
use std::{collections::VecDeque, time::Duration};

/// Events and figures of load that are kept; older ones are forgotten, and counted.
const KEPT: usize = 20_000;

/// How following a run came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The run was through.
    Ended,
    /// Whoever looked on wanted no more of it; or a signal asked the process to end.
    Quit,
    /// Whoever told of the run went away before its end.
    Cut,
}

/// What a row of the plan has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is still to come.
    Waiting,
    /// It is on.
    Provoking,
    /// The fault is over; what the monitor says of it may still come.
    Judging,
    /// It is judged.
    Judged(Outcome),
}

/// A row of the plan, and what became of it.
#[derive(Clone, Debug)]
pub struct Track {
    /// What was planned.
    pub planned: Planned,
    /// When it began, from the start of the run.
    pub from: Option<Duration>,
    /// When the fault was over.
    pub until: Option<Duration>,
    /// How long the fault was, by a clock that is independent of the monitor.
    pub lasted: Option<Duration>,
    /// When it was judged.
    pub judged: Option<Duration>,
    /// How it was judged.
    pub result: Option<Row>,
}

/// An event that the monitor published.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When, from the start of the run.
    pub at: Duration,
    /// The row that was on.
    pub row: Option<usize>,
    /// Whether nothing was wrong.
    pub is_false: bool,
    /// In a line.
    pub title: String,
    /// The whole report.
    pub lines: Vec<String>,
}

/// What the load saw, at one time.
#[derive(Clone, Debug)]
pub struct Figure {
    /// When, from the start of the run.
    pub at: Duration,
    /// One entry for each loop that serves.
    pub servers: Vec<Served>,
}

/// Everything that was told of one run. At most 20,000 events and as many figures of load are kept.
#[derive(Clone, Debug, Default)]
pub struct History {
    plan: Option<Plan>,
    tracks: Vec<Track>,
    events: VecDeque<Seen>,
    forgotten: usize,
    false_events: usize,
    loads: VecDeque<Figure>,
    now: Duration,
    report: Option<Report>,
}

impl Track {
    const fn waiting(planned: Planned) -> Self {
        Self { planned, from: None, until: None, lasted: None, judged: None, result: None }
    }

    /// How far it is.
    pub fn state(&self) -> State {
        match (&self.result, self.from, self.until) {
            (Some(row), ..) => State::Judged(row.outcome),
            (None, _, Some(_)) => State::Judging,
            (None, Some(_), None) => State::Provoking,
            (None, None, None) => State::Waiting,
        }
    }
}

impl History {
    /// Of a run of which nothing is known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what happened. A row that is not in the plan is passed over.
    pub fn take(&mut self, moment: Moment) {
        match moment {
            Moment::Began(plan) => {
                self.tracks = plan.rows.iter().map(|&planned| Track::waiting(planned)).collect();
                self.plan = Some(plan);
            }
            Moment::Provoking { row, at } => self.change(row, at, |track| track.from = Some(at)),
            Moment::Provoked { row, at, lasted } | Moment::NotProvoked { row, at, lasted, .. } => {
                self.change(row, at, |track| (track.until, track.lasted) = (Some(at), Some(lasted)));
            }
            Moment::Finished { row, at, result } => {
                self.change(row, at, |track| (track.judged, track.result) = (Some(at), Some(result)));
            }
            Moment::Event { at, row, is_false, title, lines } => {
                self.passes(at);
                self.false_events += usize::from(is_false);
                self.forgotten += usize::from(make_room(&mut self.events));
                self.events.push_back(Seen { at, row, is_false, title, lines });
            }
            Moment::Load { at, servers } => {
                self.passes(at);
                make_room(&mut self.loads);
                self.loads.push_back(Figure { at, servers });
            }
            Moment::Ended(report) => self.report = Some(report),
        }
    }

    /// What is to be done; none before the run has begun.
    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    /// The rows of the plan, in order, with what became of them.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// The row that was begun last, and its place in the plan.
    pub fn current(&self) -> Option<(usize, &Track)> {
        self.tracks.iter().enumerate().rev().find(|(_, track)| track.from.is_some())
    }

    /// The events, oldest first.
    pub fn events(&self) -> &VecDeque<Seen> {
        &self.events
    }

    /// How many events are no longer kept.
    pub fn forgotten(&self) -> usize {
        self.forgotten
    }

    /// The figures of load, oldest first.
    pub fn loads(&self) -> &VecDeque<Figure> {
        &self.loads
    }

    /// What the load last saw of a loop.
    pub fn served(&self, event_loop: LoopName) -> Option<&Served> {
        self.loads.back()?.servers.iter().find(|served| served.event_loop == event_loop)
    }

    /// The latest time that was told.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Whether the run is through.
    pub fn is_over(&self) -> bool {
        self.report.is_some()
    }

    /// The report of a run that is through; of any other one, what was judged before it broke off. None before it
    /// has begun.
    pub fn report(&self) -> Option<Report> {
        self.report.clone().or_else(|| {
            let plan = self.plan.as_ref()?;
            Some(Report {
                schema: SCHEMA,
                machine: plan.machine.clone(),
                max_blocking_ms: plan.max_blocking_time.as_secs_f64() * 1e3,
                faults: self.tracks.iter().filter_map(|track| track.result.clone()).collect(),
                false_reports: self.false_events,
                partial: true,
            })
        })
    }

    fn change(&mut self, row: usize, at: Duration, change: impl FnOnce(&mut Track)) {
        self.passes(at);
        if let Some(track) = self.tracks.get_mut(row) {
            change(track);
        }
    }

    fn passes(&mut self, at: Duration) {
        self.now = self.now.max(at);
    }
}

/// Forgets the oldest if no more would be kept.
fn make_room<T>(kept: &mut VecDeque<T>) -> bool {
    kept.len() >= KEPT && kept.pop_front().is_some()
}

#[cfg(test)]
pub(super) mod sample {
    //! A short run as it is told: what the tests of all views look at.

    use super::*;
    use crate::{machine::Machine, watch::name::FaultName};

    /// The machine, with the same facts everywhere.
    pub(crate) fn machine() -> Machine {
        Machine {
            cpu: "Example 9000".to_owned(),
            cores: 2,
            os: "linux x86_64".to_owned(),
            kernel: "6.1".to_owned(),
            rustc: "rustc 1.95.0".to_owned(),
            commit: "0123456789ab".to_owned(),
            profile: "release".to_owned(),
            flags: String::new(),
            barrier: "membarrier".to_owned(),
            load: Some(0.25),
        }
    }

    pub(crate) fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    pub(crate) const PLANNED: [Planned; 4] = [
        Planned { event_loop: LoopName::TokioCurrentThread, fault: FaultName::Sleep, expected: "InSyscall" },
        Planned { event_loop: LoopName::Mio, fault: FaultName::Spin, expected: "OnCpu" },
        Planned { event_loop: LoopName::Mio, fault: FaultName::Idle, expected: "nothing" },
        Planned { event_loop: LoopName::Process, fault: FaultName::Memory, expected: "threshold exceeded" },
    ];

    /// A row of that plan, judged so.
    pub(crate) fn row(place: usize, outcome: Outcome) -> Row {
        let Planned { event_loop, fault, expected } = PLANNED[place];
        let seen = matches!(outcome, Outcome::Right | Outcome::Wrong | Outcome::FalseReport) && place != 2;
        Row {
            event_loop,
            fault,
            expected: expected.to_owned(),
            seen,
            after_ms: seen.then_some(104.25),
            verdict: seen.then(|| "InSyscall(clock_nanosleep)".to_owned()),
            task: seen.then(|| "upload".to_owned()),
            task_right: seen.then_some(outcome == Outcome::Right),
            top_frame: seen.then(|| "lab::fault::sleep".to_owned()),
            outcome,
            lasted_ms: Some(135.0),
            reports: usize::from(seen),
            note: if outcome == Outcome::Right { String::new() } else { "another task was named".to_owned() },
        }
    }

    pub(crate) fn event(at: u64, row: usize, title: &str) -> Moment {
        let lines = vec![title.to_owned(), "  0: lab::fault::sleep".to_owned(), "  1: main".to_owned()];
        Moment::Event { at: ms(at), row: Some(row), is_false: row == 2, title: title.to_owned(), lines }
    }

    pub(crate) fn load(at: u64, requests_per_s: f64, waiting: u64) -> Moment {
        let served = |event_loop, requests_per_s| Served {
            event_loop,
            requests_per_s,
            p99: (requests_per_s > 0.0).then(|| Duration::from_micros(1_250)),
            waiting: ms(if requests_per_s > 0.0 { 1 } else { waiting }),
        };
        let servers =
            vec![served(LoopName::TokioCurrentThread, requests_per_s), served(LoopName::Mio, 900.0)];
        Moment::Load { at: ms(at), servers }
    }

    /// The whole run: one row right, one wrong, one quiet, one that did not come about.
    pub(crate) fn moments() -> Vec<Moment> {
        let plan = Plan { machine: machine(), max_blocking_time: ms(100), rows: PLANNED.to_vec() };
        let faults = vec![
            row(0, Outcome::Right),
            row(1, Outcome::Wrong),
            row(2, Outcome::Right),
            Row {
                seen: false,
                verdict: Some("not_provoked".to_owned()),
                note: "memory cannot be measured here".to_owned(),
                ..row(3, Outcome::NotProvoked)
            },
        ];
        let report = Report {
            schema: SCHEMA,
            machine: machine(),
            max_blocking_ms: 100.0,
            faults: faults.clone(),
            false_reports: 0,
            partial: false,
        };
        let mut moments = vec![Moment::Began(plan), load(250, 2_100.0, 1)];
        for (place, result) in faults.into_iter().enumerate() {
            let at = 1_000 * (place as u64 + 1);
            moments.push(Moment::Provoking { row: place, at: ms(at) });
            moments.push(load(at + 50, 0.0, 50));
            if result.seen {
                moments.push(event(at + 104, place, "EventLoopBlocked: InSyscall, task upload"));
            }
            moments.push(match place {
                3 => Moment::NotProvoked {
                    row: place,
                    at: ms(at + 1),
                    lasted: ms(0),
                    why: result.note.clone(),
                },
                _ => Moment::Provoked { row: place, at: ms(at + 135), lasted: ms(135) },
            });
            moments.push(Moment::Finished { row: place, at: ms(at + 300), result });
        }
        moments.push(Moment::Ended(report));
        moments
    }

    /// The account of the first so many moments of that run.
    pub(crate) fn history(moments_told: usize) -> History {
        let mut history = History::new();
        moments().into_iter().take(moments_told).for_each(|moment| history.take(moment));
        history
    }
}

#[cfg(test)]
mod tests {
    use super::{sample::*, *};

    #[test]
    fn a_row_waits_is_provoked_is_judged() {
        let mut history = History::new();
        let mut states = Vec::new();
        for moment in moments() {
            history.take(moment);
            if let Some(track) = history.tracks().first()
                && states.last() != Some(&track.state())
            {
                states.push(track.state());
            }
        }
        let expected = [State::Waiting, State::Provoking, State::Judging, State::Judged(Outcome::Right)];
        assert_eq!(states, expected);
        assert_eq!(history.current().map(|(place, _)| place), Some(3));
        assert_eq!(history.now(), ms(4_300));
    }

    #[test]
    fn a_run_that_breaks_off_reports_what_was_judged_before() {
        assert!(history(0).report().is_none());
        let whole = moments().len();
        let judged = |told| history(told).report().unwrap().faults.len();
        assert_eq!((judged(1), judged(whole - 1), judged(whole)), (0, 4, 4));
        let seventh = moments().iter().position(|moment| matches!(moment, Moment::Finished { row: 0, .. }));
        let report = history(seventh.unwrap() + 1).report().unwrap();
        assert_eq!(report.faults, [row(0, Outcome::Right)]);
        assert_eq!((report.max_blocking_ms, report.false_reports), (100.0, 0));
    }

    #[test]
    fn false_reports_are_counted_also_when_the_run_breaks_off() {
        let mut history = history(1);
        history.take(event(3_010, 2, "EventLoopBlocked"));
        history.take(event(3_020, 0, "EventLoopBlocked"));
        assert_eq!(history.report().unwrap().false_reports, 1);
    }

    #[test]
    fn the_oldest_events_are_forgotten_and_counted() {
        let mut history = History::new();
        for at in 0..KEPT as u64 + 3 {
            history.take(event(at, 0, "EventLoopBlocked"));
        }
        assert_eq!((history.events().len(), history.forgotten()), (KEPT, 3));
        assert_eq!(history.events()[0].at, ms(3));
    }

    #[test]
    fn a_row_that_is_not_in_the_plan_changes_nothing() {
        let mut history = history(1);
        history.take(Moment::Provoking { row: 99, at: ms(5) });
        assert!(history.tracks().iter().all(|track| track.state() == State::Waiting));
    }
}
