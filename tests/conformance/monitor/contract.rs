//! What carries over from gevent's log: which changes are refused, the order after each, who was called when, and how it ends.
//!
//! Owns what is compared, and the case's surroundings: the other thread, and sleeps that are too long. Times are nanoseconds since the
//! first tick, since ours calls at once what gevent calls after a first sleep. That ticks are left out is all that is lost.

use super::case::{Input, Logged, Op, Recorded, Schedule};
use std::iter::Peekable;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Entry {
    MemoryInstalled { schedule: Vec<(String, Option<i64>)>, warned: bool },
    Change { what: &'static str, id: String, refused: bool, schedule: Vec<(String, Option<i64>)> },
    Setting { max_blocking_time: Option<i64> },
    Stop { what: &'static str },
    Run { id: String, at: i64 },
    Event { name: String, mem_usage: u64, max_allowed: u64, max_memory_usage: Option<u64> },
    Failed { id: String, error: String, removed: bool },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum End {
    /// The case was over, and the thread would go on.
    Running,
    Stopped,
    /// An error ended the thread.
    Error(String),
    NotStarted,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) log: Vec<Entry>,
    pub(crate) end: End,
    pub(crate) schedule: Vec<(String, Option<i64>)>,
}

pub(crate) fn nanos(seconds: f64) -> i64 {
    (seconds * 1e9).round() as i64
}

fn in_nanos(schedule: &Schedule) -> Vec<(String, Option<i64>)> {
    schedule.iter().map(|(id, period)| (id.clone(), period.map(nanos))).collect()
}

impl Outcome {
    pub(crate) fn of(recorded: &Recorded) -> Self {
        let ticks = recorded.log.iter().filter_map(|logged| match logged {
            Logged::Tick { now, .. } => Some(*now),
            _ => None,
        });
        let first_tick = ticks.reduce(f64::min).unwrap_or(0.0); // nobody is called without
        let log = recorded.log.iter().filter_map(|logged| {
            Some(match logged {
                Logged::Tick { .. } => return None,
                Logged::Run { id, now, .. } => Entry::Run { id: id.clone(), at: nanos(now - first_tick) },
                Logged::Event { name, mem_usage, max_allowed, max_memory_usage, .. } => Entry::Event {
                    name: name.clone(),
                    mem_usage: *mem_usage,
                    max_allowed: *max_allowed,
                    max_memory_usage: *max_memory_usage,
                },
                Logged::Add { id, error, schedule, .. } => {
                    Entry::change("add", id, error.is_some(), in_nanos(schedule))
                }
                Logged::Remove { id, error, schedule, .. } => {
                    Entry::change("remove", id, error.is_some(), in_nanos(schedule))
                }
                Logged::AddNotCallable { error, schedule, .. } => {
                    Entry::change("add_not_callable", "", error.is_some(), in_nanos(schedule))
                }
                Logged::MemoryInstalled { schedule, warnings } => {
                    Entry::MemoryInstalled { schedule: in_nanos(schedule), warned: !warnings.is_empty() }
                }
                Logged::SetMaxBlockingTime { value } => {
                    Entry::Setting { max_blocking_time: value.map(nanos) }
                }
                Logged::Kill {} => Entry::Stop { what: "kill" },
                Logged::HubDead {} => Entry::Stop { what: "hub_dead" },
                Logged::HubDropped { .. } => Entry::Stop { what: "hub_dropped" },
                Logged::Failed { id, error, removed } => {
                    Entry::Failed { id: id.clone(), error: error.clone(), removed: *removed }
                }
            })
        });
        let end = match recorded.end.as_str() {
            "ticks_done" => End::Running,
            "stopped" => End::Stopped,
            "not_started" => End::NotStarted,
            error => End::Error(error.to_owned()),
        };
        Self { log: log.collect(), end, schedule: in_nanos(&recorded.final_schedule) }
    }

    /// The first place where the two are not the same.
    pub(crate) fn difference(&self, expected: &Self) -> Option<String> {
        let places = self.log.len().max(expected.log.len());
        let differs = |place: &usize| self.log.get(*place) != expected.log.get(*place);
        if let Some(place) = (0..places).find(differs) {
            let (found, expected) = (self.log.get(place), expected.log.get(place));
            return Some(format!("log: {place}: found {found:?}, expected {expected:?}"));
        }
        let rest = |outcome: &Self| (outcome.end.clone(), outcome.schedule.clone());
        let (found, expected) = (rest(self), rest(expected));
        (found != expected).then(|| format!("at the end: found {found:?}, expected {expected:?}"))
    }
}

impl Entry {
    pub(crate) fn change(
        what: &'static str,
        id: &str,
        refused: bool,
        schedule: Vec<(String, Option<i64>)>,
    ) -> Self {
        Self::Change { what, id: id.to_owned(), refused, schedule }
    }
}

/// What is told of a turn: as [`signalpost_monitor::by_hand::HandTurn`].
pub(crate) enum Turned {
    Called,
    Sleeps(Option<Duration>),
    Ends,
}

/// A monitor with a clock that is turned by hand: ours, or the model of it.
pub(crate) trait Monitor {
    fn now(&self) -> Duration;
    fn advance(&mut self, by: Duration);
    fn turn(&mut self) -> Turned;
    /// As another thread.
    fn perform(&mut self, op: &Op);
}

pub(crate) fn duration(seconds: f64) -> Duration {
    Duration::from_nanos(u64::try_from(nanos(seconds)).expect("a time that is not before zero"))
}

/// What happens around the monitor, at the times of gevent's ticks, of which the first is the clock's time now.
pub(crate) fn surround(monitor: &mut impl Monitor, input: &Input, times: &[f64]) -> End {
    input.setup.iter().for_each(|op| monitor.perform(op));
    let (start, first) = (monitor.now(), times.first().copied().unwrap_or(input.start));
    let at = |time: &f64| start + duration(*time - first);
    let horizon = times.last().map_or(start, at);
    let ops = |(number, time): (usize, &f64)| Some((at(time), input.during_sleep.get(&(number + 1))?));
    let mut script: Peekable<_> = times.iter().enumerate().filter_map(ops).peekable();
    let mut sleeps = 1; // gevent has slept once before its first tick
    loop {
        let now = monitor.now();
        while let Some((_, ops)) = script.next_if(|(time, _)| *time <= now) {
            ops.iter().for_each(|op| monitor.perform(op));
        }
        if now > horizon || times.is_empty() {
            return End::Running;
        }
        match monitor.turn() {
            Turned::Called => {}
            Turned::Ends => return End::Stopped,
            Turned::Sleeps(until) => {
                let too_long = duration(input.overheads[sleeps % input.overheads.len()]);
                let wake = until.map(|until| until.saturating_add(too_long));
                let other = script.peek().map(|(time, _)| *time);
                match wake.into_iter().chain(other).min() {
                    Some(next) if next <= horizon => monitor.advance(next.saturating_sub(now)),
                    _ => return End::Running,
                }
                sleeps += usize::from(wake == Some(monitor.now()));
            }
        }
    }
}
