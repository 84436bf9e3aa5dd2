//! The kind `blocking`: is the loop blocked, and what becomes of a report.
//!
//! Owns what a case says, what it must give (S-55 to S-68), and how ours is driven: the counter of switches decides, the real event is
//! published and printed by the function that the monitor thread calls, and what can be set is set on a monitor. Whether the list that
//! gevent's check returns is the event's is left out: here the lines are the event's, and what is printed is held against them.

use crate::case::File;
use crate::json::{array, at, expected, field, object, text};
use crate::random::Dice;
use crate::rules::{RuleOf, Verdict, judge_value};
use serde::Deserialize;
use serde_json::Value;
use signalpost::Bus;
use signalpost_dispatch::{BoxError, PublishError};
use signalpost_monitor::by_hand::ByHand;
use signalpost_monitor::counter::SwitchCounter;
use signalpost_monitor::report::publish_and_print;
use signalpost_monitor::{CaptureError, EventLoop, EventLoopBlocked, Monitor};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const HUB: &str = "hub";
const CURRENT: &str = "<current>";

#[derive(Clone, Debug)]
pub(crate) struct Input {
    max_blocking_time: f64,
    print: bool,
    steps: Vec<Op>,
}

#[derive(Clone, Debug)]
enum Op {
    Switch(String),
    Throw(String),
    UnknownTrace,
    Check,
    Ignore,
    MonitorCurrent,
    SetPrint(bool),
    SetMaxBlockingTime(f64),
    HubThreadGone,
    OnEvent(Vec<Edit>),
}

/// What the subscriber does with an event.
#[derive(Clone, Debug)]
enum Edit {
    Append(String),
    Clear,
    /// Another list into the event: nobody else sees it. Here who asks for the lines has a list of their own.
    Rebind(String),
    Raise(String),
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(crate) enum Stepped {
    Check {
        e: String,
        blocked: bool,
        raised: Option<String>,
        order: Vec<String>,
        greenlet: Option<String>,
        events: Option<usize>,
        blocking_time: Option<f64>,
        hub_is_set: Option<bool>,
        printed_lines: Option<bool>,
        last_printed_line: Option<String>,
        no_thread_note: Option<bool>,
        returned_report_is_event_info: Option<bool>,
        switches_after: u64,
    },
    State {
        e: String,
        active: Option<String>,
        switches: u64,
    },
}

/// None: ours is gevent's, in all that is compared.
pub(crate) static RULES: [RuleOf<Input, Vec<Stepped>>; 0] = [];

pub(crate) fn run(file: &File) -> Result<Verdict, String> {
    let (input, recorded) = parse(file)?;
    judge(&input, &recorded, &gevent(&input), drive(&input)?)
}

fn judge(
    input: &Input,
    recorded: &Vec<Stepped>,
    gevents: &Vec<Stepped>,
    mut ours: Vec<Stepped>,
) -> Result<Verdict, String> {
    // What is left out is as recorded.
    for (ours, recorded) in ours.iter_mut().zip(recorded) {
        if let (
            Stepped::Check { returned_report_is_event_info: ours, .. },
            Stepped::Check { returned_report_is_event_info: recorded, .. },
        ) = (ours, recorded)
        {
            *ours = *recorded;
        }
    }
    Ok(Verdict::of(judge_value(input, recorded, gevents, &ours, &RULES)?))
}

fn parse(file: &File) -> Result<(Input, Vec<Stepped>), String> {
    let input = object(file.part("input")?).map_err(at("input"))?;
    let body = object(file.part("expected")?).map_err(at("expected"))?;
    let steps = array(field(input, "steps")?).map_err(at("steps"))?;
    let steps: Result<Vec<_>, String> =
        steps.iter().map(|value| op(value).map_err(|error| format!("{value}: {error}"))).collect();
    let input = Input {
        max_blocking_time: input.get("max_blocking_time").map_or(Ok(0.1), number)?,
        print: input.get("print").map_or(Ok(true), truth)?,
        steps: steps.map_err(at("input"))?,
    };
    let step = |value: &Value| {
        Stepped::deserialize(value).map_err(|error| format!("expected a step, found {value}: {error}"))
    };
    let recorded: Result<Vec<_>, _> = array(field(body, "steps")?)?.iter().map(step).collect();
    Ok((input, recorded.map_err(at("expected"))?))
}

fn number(value: &Value) -> Result<f64, String> {
    value.as_f64().filter(|number| *number > 0.0).ok_or_else(|| expected("a time", value))
}

fn truth(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| expected("true or false", value))
}

fn op(value: &Value) -> Result<Op, String> {
    let parts = array(value)?;
    let name =
        parts.first().and_then(Value::as_str).ok_or_else(|| expected("an op, its name first", value))?;
    Ok(match (name, &parts[1..]) {
        ("switch", [target]) => Op::Switch(text(target)?),
        ("throw", [target]) => Op::Throw(text(target)?),
        ("unknown_trace", []) => Op::UnknownTrace,
        ("check", []) => Op::Check,
        ("ignore", []) => Op::Ignore,
        ("monitor_current", []) => Op::MonitorCurrent,
        ("set_print", [print]) => Op::SetPrint(truth(print)?),
        ("set_max_blocking_time", [time]) => Op::SetMaxBlockingTime(number(time)?),
        ("hub_thread_gone", []) => Op::HubThreadGone,
        ("on_event", [edits]) => Op::OnEvent(array(edits)?.iter().map(edit).collect::<Result<_, _>>()?),
        _ => return Err("expected an op of this kind".into()),
    })
}

fn edit(value: &Value) -> Result<Edit, String> {
    let parts = array(value)?;
    let name =
        parts.first().and_then(Value::as_str).ok_or_else(|| expected("an op, its name first", value))?;
    Ok(match (name, &parts[1..]) {
        ("info_append", [line]) => Edit::Append(text(line)?),
        ("info_clear", []) => Edit::Clear,
        ("info_rebind", [line]) => Edit::Rebind(text(line)?),
        ("raise", [name]) => Edit::Raise(text(name)?),
        _ => return Err("expected an op of a subscriber".into()),
    })
}

impl Op {
    fn name(&self) -> &'static str {
        match self {
            Self::Switch(_) => "switch",
            Self::Throw(_) => "throw",
            Self::UnknownTrace => "unknown_trace",
            Self::Check => "check",
            Self::Ignore => "ignore",
            Self::MonitorCurrent => "monitor_current",
            Self::SetPrint(_) => "set_print",
            Self::SetMaxBlockingTime(_) => "set_max_blocking_time",
            Self::HubThreadGone => "hub_thread_gone",
            Self::OnEvent(_) => "on_event",
        }
    }
}

impl Stepped {
    fn state(op: &Op, active: Option<&String>, switches: u64) -> Self {
        Self::State { e: op.name().into(), active: active.cloned(), switches }
    }

    fn not_blocked() -> Self {
        Self::Check {
            e: "check".into(),
            blocked: false,
            raised: None,
            order: Vec::new(),
            greenlet: None,
            events: None,
            blocking_time: None,
            hub_is_set: None,
            printed_lines: None,
            last_printed_line: None,
            no_thread_note: None,
            returned_report_is_event_info: None,
            switches_after: 0,
        }
    }
}

/// S-55 to S-57, S-61 to S-68.
fn gevent(input: &Input) -> Vec<Stepped> {
    let (mut time, mut print, mut thread_gone) = (input.max_blocking_time, input.print, false);
    let (mut active, mut switches) = (None::<String>, 0);
    let mut edits: &[Edit] = &[];
    let mut outcome = Vec::new();
    for op in &input.steps {
        match op {
            Op::Switch(target) | Op::Throw(target) => {
                (active, switches) = (Some(target.clone()), switches + 1)
            }
            Op::UnknownTrace => (active, switches) = (None, switches + 1),
            Op::Ignore => active = None,
            Op::MonitorCurrent => active = Some(CURRENT.into()),
            Op::SetPrint(said) => print = *said,
            Op::SetMaxBlockingTime(said) => time = *said,
            Op::HubThreadGone => thread_gone = true,
            Op::OnEvent(said) => edits = said,
            Op::Check => {
                let blocked = switches == 0 && active.as_deref().is_some_and(|active| active != HUB);
                switches = 0;
                outcome.push(if blocked {
                    reported(edits, active.as_ref(), time, print, thread_gone)
                } else {
                    Stepped::not_blocked()
                });
                continue;
            }
        }
        outcome.push(Stepped::state(op, active.as_ref(), switches));
    }
    outcome
}

fn reported(edits: &[Edit], active: Option<&String>, time: f64, print: bool, thread_gone: bool) -> Stepped {
    // Whether there are lines still, and which of the subscriber's is the last.
    let (mut lines, mut note, mut last, mut raised, mut rebound) = (true, thread_gone, None, None, false);
    for edit in edits {
        match edit {
            Edit::Raise(name) => {
                raised = Some(name.clone());
                break;
            }
            _ if rebound => {} // the other list's
            Edit::Append(line) => (lines, last) = (true, Some(line.clone())),
            Edit::Clear => (lines, note, last) = (false, false, None),
            Edit::Rebind(_) => rebound = true,
        }
    }
    let printed = raised.is_none() && print && lines;
    Stepped::Check {
        e: "check".into(),
        blocked: true,
        order: if printed { vec!["event".into(), "print".into()] } else { vec!["event".into()] },
        greenlet: active.cloned(),
        events: Some(1),
        blocking_time: Some(time),
        hub_is_set: Some(true),
        printed_lines: Some(printed),
        last_printed_line: last.filter(|_| printed),
        no_thread_note: Some(note && printed),
        returned_report_is_event_info: Some(raised.is_none() && !rebound),
        raised,
        switches_after: 0,
    }
}

/// What the subscriber and the printer of a case share.
#[derive(Default)]
struct Told {
    edits: Vec<Edit>,
    order: Vec<String>,
    greenlet: Option<String>,
    blocking_time: Option<f64>,
    hub: Option<u64>,
    events: usize,
    printed: String,
}

/// Where reports are printed to.
struct Printer(Arc<Mutex<Told>>);

impl io::Write for Printer {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let mut told = self.0.lock().expect("nobody panics");
        told.order.push("print".into());
        told.printed.push_str(std::str::from_utf8(text).map_err(io::Error::other)?);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The list of the event, and of it alone, is what a subscriber edits; until it makes one of its own.
fn edited(event: &EventLoopBlocked, edits: &[Edit]) -> Result<(), BoxError> {
    let mut own = None;
    for edit in edits {
        let change = |lines: &mut Vec<String>| match edit {
            Edit::Append(line) => lines.push(line.clone()),
            Edit::Clear => lines.clear(),
            Edit::Rebind(line) => *lines = vec![line.clone()],
            Edit::Raise(_) => {}
        };
        match (edit, &mut own) {
            (Edit::Raise(name), _) => return Err(name.clone().into()),
            (Edit::Rebind(_), own) => change(own.insert(event.info())),
            (_, Some(own)) => change(own),
            (_, None) => event.edit_info(change),
        }
    }
    Ok(())
}

fn drive(input: &Input) -> Result<Vec<Stepped>, String> {
    let told = Arc::new(Mutex::new(Told::default()));
    let lock = || told.lock().expect("nobody panics");
    let bus = Arc::new(Bus::new());
    let hears = told.clone();
    let _heard = bus.topic::<EventLoopBlocked>().subscribe(move |event| -> Result<(), BoxError> {
        let mut told = hears.lock().expect("nobody panics");
        told.order.push("event".into());
        told.events += 1;
        told.greenlet = event.task.name.as_deref().map(str::to_owned);
        told.blocking_time = Some(event.max_blocking_time.as_secs_f64());
        told.hub = Some(event.hub.id());
        let edits = told.edits.clone();
        drop(told);
        edited(event, &edits)
    });
    let duration = Duration::from_secs_f64;
    let builder = Monitor::builder().bus(bus.clone());
    let builder =
        builder.max_blocking_time(duration(input.max_blocking_time)).print_blocking_reports(input.print);
    let by_hand = ByHand::start(builder, Duration::ZERO).map_err(|error| error.to_string())?;
    let (monitor, hub) = (by_hand.monitor(), EventLoop::new(HUB));
    let (mut counter, mut thread_gone) = (SwitchCounter::new(), false);
    let mut outcome = Vec::new();
    for op in &input.steps {
        match op {
            Op::Switch(target) | Op::Throw(target) => counter.switched(target.clone()),
            Op::UnknownTrace => counter.other(),
            Op::Ignore => counter.ignore(),
            Op::MonitorCurrent => counter.monitor_current(CURRENT.to_owned()),
            Op::SetPrint(print) => monitor.set_print_blocking_reports(*print),
            Op::SetMaxBlockingTime(time) => monitor.set_max_blocking_time(duration(*time)),
            Op::HubThreadGone => thread_gone = true,
            Op::OnEvent(edits) => lock().edits.clone_from(edits),
            Op::Check => {
                let Some(active) = counter.check(|active| active == HUB).cloned() else {
                    outcome.push(Stepped::not_blocked());
                    continue;
                };
                let time = monitor.max_blocking_time().ok_or("there is a maximum")?;
                let mut event = EventLoopBlocked::new(hub.clone(), time);
                event.task.name = Some(active.into());
                event.stack = Err(if thread_gone { CaptureError::NoThread } else { CaptureError::Off });
                {
                    let mut told = lock();
                    *told = Told { edits: std::mem::take(&mut told.edits), ..Told::default() };
                }
                let mut to = Printer(told.clone());
                let heard = publish_and_print(&bus, &event, monitor.print_blocking_reports(), &mut to);
                let raised = match heard {
                    Ok(()) => None,
                    Err(PublishError::Stopped(stopped)) => Some(stopped.error.to_string()),
                    Err(other) => return Err(other.to_string()),
                };
                let told = lock();
                let lines = event.info();
                let whole: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
                let printed = !told.printed.is_empty();
                if printed && told.printed != whole {
                    return Err(format!("printed {:?}, expected {whole:?}", told.printed));
                }
                let theirs = |line: &&String| {
                    told.edits.iter().any(|edit| matches!(edit, Edit::Append(text) if text == *line))
                };
                let note = CaptureError::NoThread.to_string();
                outcome.push(Stepped::Check {
                    e: "check".into(),
                    blocked: true,
                    raised,
                    order: told.order.clone(),
                    greenlet: told.greenlet.clone(),
                    events: Some(told.events),
                    blocking_time: told.blocking_time,
                    hub_is_set: Some(told.hub == Some(hub.id())),
                    printed_lines: Some(printed),
                    last_printed_line: lines.last().filter(|_| printed).filter(theirs).cloned(),
                    no_thread_note: Some(told.printed.contains(&note)),
                    returned_report_is_event_info: None,
                    switches_after: counter.switches(),
                });
                continue;
            }
        }
        outcome.push(Stepped::state(op, counter.active(), counter.switches()));
    }
    Ok(outcome)
}

/// Random steps: ours gives what the model of gevent says.
pub(crate) fn unrecorded() -> Result<(), String> {
    let mut reports = 0;
    for seed in 0..2_000 {
        let input = random(seed);
        let gevents = gevent(&input);
        reports += gevents.iter().filter(|step| matches!(step, Stepped::Check { blocked: true, .. })).count();
        judge(&input, &gevents, &gevents, drive(&input)?).map_err(|error| format!("seed {seed}: {error}"))?;
    }
    if reports > 2_000 { Ok(()) } else { Err(format!("expected more reports than {reports}")) }
}

fn random(seed: u64) -> Input {
    let mut dice = Dice::new(seed);
    let target = |dice: &mut Dice| ["g1", "g2", "g3", HUB][dice.below(4)].to_owned();
    let edit = |dice: &mut Dice| match dice.below(6) {
        0..3 => Edit::Append(["x", "y"][dice.below(2)].into()),
        3 => Edit::Clear,
        4 => Edit::Rebind("z".into()),
        _ => Edit::Raise("Boom".into()),
    };
    let mut op = || match dice.below(30) {
        0..5 => Op::Switch(target(&mut dice)),
        5 => Op::Throw(target(&mut dice)),
        6 => Op::UnknownTrace,
        7 => Op::Ignore,
        8 => Op::MonitorCurrent,
        9 => Op::SetPrint(dice.below(3) > 0),
        10 => Op::SetMaxBlockingTime([0.125, 7.5][dice.below(2)]),
        11 if dice.below(3) == 0 => Op::HubThreadGone,
        12 | 13 => Op::OnEvent((0..dice.below(4)).map(|_| edit(&mut dice)).collect()),
        _ => Op::Check,
    };
    let steps = (0..30).map(|_| op()).collect();
    Input { max_blocking_time: 0.25, print: !seed.is_multiple_of(4), steps }
}

/// Every field of every step wrong, or a step missing; and a recording that is not gevent's.
pub(crate) fn wrong_outcomes(file: &File) -> Result<(), String> {
    let (input, recorded) = parse(file)?;
    let right = gevent(&input);
    judge(&input, &recorded, &right, right.clone())?;
    let spoil: [fn(&mut Stepped); 10] = [
        |step| match step {
            Stepped::Check { e, .. } | Stepped::State { e, .. } => e.push('?'),
        },
        |step| match step {
            Stepped::Check { blocked, .. } => *blocked ^= true,
            Stepped::State { switches, .. } => *switches += 1,
        },
        |step| match step {
            Stepped::Check { raised, .. } => *raised = Some("Other".into()),
            Stepped::State { active, .. } => *active = Some("nobody".into()),
        },
        |step| match step {
            Stepped::Check { order, .. } => order.push("print".into()),
            Stepped::State { active, .. } => *active = Some("nobody".into()),
        },
        |step| match step {
            Stepped::Check { greenlet, .. } => *greenlet = Some("nobody".into()),
            Stepped::State { active, .. } => *active = Some("nobody".into()),
        },
        |step| match step {
            Stepped::Check { events, .. } => *events = Some(7),
            Stepped::State { switches, .. } => *switches += 1,
        },
        |step| match step {
            Stepped::Check { blocking_time, .. } => *blocking_time = Some(0.7),
            Stepped::State { switches, .. } => *switches += 1,
        },
        |step| match step {
            Stepped::Check { printed_lines, .. } => *printed_lines = Some(printed_lines.is_none_or(|p| !p)),
            Stepped::State { switches, .. } => *switches += 1,
        },
        |step| match step {
            Stepped::Check { last_printed_line, .. } => *last_printed_line = Some("other".into()),
            Stepped::State { switches, .. } => *switches += 1,
        },
        |step| match step {
            Stepped::Check { switches_after, .. } => *switches_after += 1,
            Stepped::State { switches, .. } => *switches += 1,
        },
    ];
    let mut wrong = vec![right[1..].to_vec()];
    for place in 0..right.len() {
        for spoil in spoil {
            let mut spoilt = right.clone();
            spoil(&mut spoilt[place]);
            wrong.push(spoilt);
        }
    }
    for wrong in wrong {
        if judge(&input, &recorded, &right, wrong.clone()).is_ok() {
            return Err(format!("passes: {wrong:?}"));
        }
    }
    if judge(&input, &recorded[1..].to_vec(), &right, right.clone()).is_ok() {
        return Err("nobody looks at what was recorded".into());
    }
    Ok(())
}
