//! What happened: the lines that a run writes and the model reads.
//!
//! Subscribers and targets go by number, in the order in which they were made, never by address or id; so the trace of a
//! program is the same on every run.

use crate::program::{At, Op, PLACES, Program};
use std::collections::BTreeMap;
use std::fmt;

/// One thing that was seen to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// An operation began; `about` are the subscribers that it turned out to be about.
    Op { at: At, about: [Option<u64>; 2] },
    /// A step of an edit began.
    Step { at: At, step: usize, about: [Option<u64>; 2] },
    /// The operation or step that began last, and has not ended, ended.
    End(Outcome),
    /// An operation's answer, where what it lets go of at its end may still do something.
    Said(Outcome),
    /// A subscriber was called.
    Run { sub: u64, event: u32, undo: bool },
    /// The captures of a subscriber were dropped.
    Dropped { sub: u64 },
    /// A weak target was dropped.
    TargetDropped { target: u64 },
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// There was nothing to do it to.
    Nothing,
    /// It returned nothing.
    Done,
    Bool(bool),
    /// A registration, and its number.
    Subscribed(u64),
    /// Every subscriber ran.
    Fine,
    Stopped(Stop),
    TooDeep(u32),
    /// The errors of a `publish_all`.
    All(Vec<(u64, Answered)>),
    Undone {
        stop: Stop,
        undo_errors: Vec<(u64, Answered)>,
    },
    Panicked(Panic),
    Waited(Result<(), Wait>),
    Looked {
        sub: u64,
        active: bool,
        paused: bool,
    },
    Listed {
        len: usize,
        any: bool,
        infos: Vec<Info>,
    },
    /// `retired()` before and after, and what `collect()` said between.
    Collected {
        before: usize,
        said: usize,
        after: usize,
    },
    Retired(usize),
    /// How many subscriptions are left in the set.
    Set {
        left: usize,
        waited: Option<Result<(), Wait>>,
    },
    /// The scope could not be entered.
    Refused,
    /// The answers of scoped subscriptions to what was done to them before the body.
    Scoped(Option<bool>),
}

/// What a subscriber answered when it stopped an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) sub: u64,
    pub(crate) event: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    pub(crate) error: Answered,
    pub(crate) sub: u64,
    pub(crate) name: Option<&'static str>,
    pub(crate) position: usize,
    pub(crate) not_run: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Info {
    pub(crate) sub: u64,
    pub(crate) name: Option<&'static str>,
    pub(crate) priority: i32,
    pub(crate) paused: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Panic {
    /// A subscriber's own.
    Subscriber(Answered),
    /// Of a script inside an edit, a scope, or the making of an event.
    Script(u8),
    /// A dispatcher's, past its depth limit; its name, if the message has it.
    TooDeep(&'static str),
    /// One that nobody planned.
    Other(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    TimedOut,
    WouldDeadlock,
    Other,
}

impl Outcome {
    /// A word for it, which tells apart what a reader of the documentation would.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Done => "done",
            Self::Bool(true) => "true",
            Self::Bool(false) => "false",
            Self::Subscribed(_) => "subscribed",
            Self::Fine => "fine",
            Self::Stopped(_) => "stopped",
            Self::TooDeep(_) => "too deep",
            Self::All(errors) if errors.is_empty() => "all fine",
            Self::All(_) => "all, some failed",
            Self::Undone { undo_errors, .. } if undo_errors.is_empty() => "undone",
            Self::Undone { .. } => "undone, some failed",
            Self::Panicked(Panic::Subscriber(_)) => "subscriber panicked",
            Self::Panicked(Panic::Script(_)) => "script panicked",
            Self::Panicked(Panic::TooDeep(_)) => "panicked, too deep",
            Self::Panicked(Panic::Other(_)) => "unplanned panic",
            Self::Waited(Ok(())) => "waited",
            Self::Waited(Err(Wait::TimedOut)) => "timed out",
            Self::Waited(Err(Wait::WouldDeadlock)) => "would deadlock",
            Self::Waited(Err(Wait::Other)) => "other wait error",
            Self::Looked { active: false, .. } => "inactive",
            Self::Looked { paused: true, .. } => "paused",
            Self::Looked { .. } => "active",
            Self::Listed { len, infos, .. } if *len > infos.len() => "listed, some ended",
            Self::Listed { any: false, .. } => "listed, empty",
            Self::Listed { .. } => "listed",
            Self::Collected { said: 0, .. } => "collected nothing",
            Self::Collected { .. } => "collected",
            Self::Retired(0) => "none retired",
            Self::Retired(_) => "some retired",
            Self::Set { waited: None, .. } => "set",
            Self::Set { waited: Some(Ok(())), .. } => "set, waited",
            Self::Set { waited: Some(Err(_)), .. } => "set, wait error",
            Self::Refused => "refused",
            Self::Scoped(_) => "scoped",
        }
    }

    fn resolve(&mut self, numbers: &BTreeMap<u64, u64>) {
        let number = |id: &mut u64| *id = numbers.get(id).copied().unwrap_or(u64::MAX);
        match self {
            Self::Stopped(stop) => number(&mut stop.sub),
            Self::Undone { stop, undo_errors } => {
                number(&mut stop.sub);
                undo_errors.iter_mut().for_each(|(id, _)| number(id));
            }
            Self::All(errors) => errors.iter_mut().for_each(|(id, _)| number(id)),
            Self::Looked { sub, .. } => number(sub),
            Self::Listed { infos, .. } => infos.iter_mut().for_each(|info| number(&mut info.sub)),
            _ => {}
        }
    }
}

impl Line {
    /// Puts subscribers' numbers in place of their ids. An id that is nobody's becomes `u64::MAX`, which is no number of the
    /// model's.
    pub(crate) fn resolve(&mut self, numbers: &BTreeMap<u64, u64>) {
        if let Self::End(outcome) | Self::Said(outcome) = self {
            outcome.resolve(numbers);
        }
    }
}

/// A run's lines, each with how deep it lies in others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    pub(crate) lines: Vec<(usize, Line)>,
}

impl Trace {
    /// Puts subscribers' numbers in place of their ids, which a run knows only in the end.
    pub(crate) fn resolve(&mut self, numbers: &BTreeMap<u64, u64>) {
        self.lines.iter_mut().for_each(|(_, line)| line.resolve(numbers));
    }

    /// The lines up to and with number `last`, for a reader.
    pub(crate) fn show(&self, program: &Program, last: usize) -> String {
        use fmt::Write;
        let mut out = String::new();
        for (index, (depth, line)) in self.lines.iter().enumerate().take(last + 1) {
            let shown = Shown { program, line };
            writeln!(out, "{index:4} {:indent$}{shown}", "", indent = 2 * depth)
                .expect("a String takes it all");
        }
        out
    }
}

/// A line beside its program.
pub(crate) struct Shown<'t> {
    pub(crate) program: &'t Program,
    pub(crate) line: &'t Line,
}

struct About([Option<u64>; 2]);

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().flatten().try_for_each(|sub| write!(f, " about #{sub}"))
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Line::Op { at, about } => {
                match self.program.op(*at) {
                    Op::Subscribe { at, how } => write!(f, "subscribe at {}: {how}", place(*at))?,
                    Op::Edit { at, .. } => write!(f, "edit {}", place(*at))?,
                    op => write!(f, "{op:?}")?,
                }
                write!(f, "{}", About(*about))
            }
            Line::Step { at, step, about } => {
                if let Op::Edit { steps, .. } = self.program.op(*at) {
                    write!(f, "step {:?}", steps[*step])?;
                }
                write!(f, "{}", About(*about))
            }
            Line::End(outcome) | Line::Said(outcome) => write!(f, "-> {outcome}"),
            Line::Run { sub, event, undo: false } => write!(f, "#{sub} is given event {event}"),
            Line::Run { sub, event, undo: true } => write!(f, "#{sub} is told to undo event {event}"),
            Line::Dropped { sub } => write!(f, "captures of #{sub} are dropped"),
            Line::TargetDropped { target } => write!(f, "target {target} is dropped"),
        }
    }
}

/// How many subscribers are shown of a long list.
const SHOWN: usize = 12;

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listed { len, any, infos } => {
                write!(f, "Listed {{ len: {len}, any: {any} }}")?;
                for Info { sub, name, priority, paused } in infos.iter().take(SHOWN) {
                    let name = name.map(|name| format!(" {name}")).unwrap_or_default();
                    let paused = if *paused { " paused" } else { "" };
                    write!(f, ", #{sub}{name} at {priority}{paused}")?;
                }
                let more = infos.len().saturating_sub(SHOWN);
                if more > 0 { write!(f, ", and {more} more") } else { Ok(()) }
            }
            other => write!(f, "{other:?}"),
        }
    }
}

fn place(at: u8) -> &'static str {
    PLACES[usize::from(at) % PLACES.len()]
}
