//! What a case of the kind `monitor` says: what happens, and what was recorded of it.

use crate::case::{File, Id};
use crate::json::{array, at, expected, field, object, text};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The built-in functions.
pub(crate) const BLOCKING: &str = "blocking";
pub(crate) const MEMORY: &str = "memory";

#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) start: f64,
    pub(crate) max_blocking_time: f64,
    pub(crate) setup: Vec<Op>,
    pub(crate) ticks: usize,
    /// What each sleep is too long by, over and over; never empty.
    pub(crate) overheads: Vec<f64>,
    /// What another thread does at the end of a sleep, by its number from 1.
    pub(crate) during_sleep: BTreeMap<usize, Vec<Op>>,
    pub(crate) behaviors: BTreeMap<Id, Vec<Vec<Op>>>,
    pub(crate) memory: Option<Memory>,
}

#[derive(Clone, Debug)]
pub(crate) struct Memory {
    pub(crate) available: bool,
    pub(crate) period: f64,
    pub(crate) max: Option<u64>,
    pub(crate) readings: Vec<u64>,
    /// What a subscriber raises.
    pub(crate) raises: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    Add(Id, f64),
    Remove(Id),
    AddNotCallable(Option<f64>),
    Kill,
    Advance(f64),
    Raise(String),
    SetMaxBlockingTime(Option<f64>),
    HubDead,
    HubDropped,
}

/// Functions with their periods, in order.
pub(crate) type Schedule = Vec<(String, Option<f64>)>;

/// An entry of gevent's log.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "e", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Logged {
    Tick {
        tick: usize,
        slept: f64,
        now: f64,
    },
    Run {
        tick: usize,
        #[serde(rename = "fn")]
        id: String,
        now: f64,
    },
    Event {
        tick: usize,
        name: String,
        mem_usage: u64,
        max_allowed: u64,
        max_memory_usage: Option<u64>,
    },
    Add {
        #[serde(rename = "fn")]
        id: String,
        period: f64,
        error: Option<String>,
        schedule: Schedule,
    },
    Remove {
        #[serde(rename = "fn")]
        id: String,
        period: Option<f64>,
        error: Option<String>,
        schedule: Schedule,
    },
    AddNotCallable {
        period: Option<f64>,
        error: Option<String>,
        schedule: Schedule,
    },
    MemoryInstalled {
        schedule: Schedule,
        warnings: Vec<String>,
    },
    SetMaxBlockingTime {
        value: Option<f64>,
    },
    Kill {},
    HubDead {},
    HubDropped {
        should_run: bool,
    },
    /// No recording has it: there the first one ends everything.
    #[serde(skip)]
    Failed {
        id: String,
        error: String,
        removed: bool,
    },
}

/// What gevent did.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recorded {
    pub(crate) log: Vec<Logged>,
    pub(crate) end: String,
    pub(crate) should_run: bool,
    pub(crate) final_schedule: Schedule,
}

pub(crate) fn parse(file: &File) -> Result<(Input, Recorded), String> {
    let input = object(file.part("input")?).and_then(Input::parse).map_err(at("input"))?;
    let recorded = file.part("expected")?;
    let recorded = Recorded::deserialize(recorded).map_err(|error| format!("expected: {error}"))?;
    Ok((input, recorded))
}

impl Input {
    /// All ops, at every place.
    pub(crate) fn ops(&self) -> impl Iterator<Item = &Op> {
        self.setup.iter().chain(self.later())
    }

    /// Those that are performed when functions are called already.
    pub(crate) fn later(&self) -> impl Iterator<Item = &Op> {
        self.during_sleep.values().flatten().chain(self.behaviors.values().flatten().flatten())
    }

    fn parse(body: &Map<String, Value>) -> Result<Self, String> {
        let known = [
            "start",
            "max_blocking_time",
            "setup",
            "ticks",
            "sleep_overheads",
            "during_sleep",
            "behaviors",
            "memory",
            "memory_readings",
            "max_memory_usage",
            "memory_monitor_period",
            "subscriber_raises",
        ];
        if let Some(key) = body.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(format!("{key}: expected one of {known:?}"));
        }
        let number_or = |key: &str, default| body.get(key).map_or(Ok(default), number).map_err(at(key));
        let mut during_sleep = BTreeMap::new();
        if let Some(all) = body.get("during_sleep") {
            for (tick, plan) in object(all).map_err(at("during_sleep"))? {
                let number = tick.parse::<usize>().ok().filter(|tick| *tick > 0);
                let number = number.ok_or(format!("during_sleep: expected ticks from 1, found {tick}"))?;
                during_sleep.insert(number, ops(plan).map_err(at(tick)).map_err(at("during_sleep"))?);
            }
        }
        let mut behaviors = BTreeMap::new();
        if let Some(all) = body.get("behaviors") {
            for (id, plans) in object(all).map_err(at("behaviors"))? {
                let plans = array(plans).and_then(|plans| plans.iter().map(ops).collect());
                behaviors.insert(id.as_str().into(), plans.map_err(at(id)).map_err(at("behaviors"))?);
            }
        }
        let overheads: Vec<f64> = match body.get("sleep_overheads") {
            None => Vec::new(),
            Some(list) => array(list).and_then(|list| list.iter().map(number).collect())?,
        };
        let memory = body.get("memory").map(|memory| Memory::parse(memory, body)).transpose()?;
        let max_blocking_time = number_or("max_blocking_time", 0.125)?;
        if max_blocking_time <= 0.0 {
            return Err(format!("max_blocking_time: expected a time, found {max_blocking_time}"));
        }
        let ticks = field(body, "ticks")?;
        Ok(Self {
            start: number_or("start", 1000.0)?,
            max_blocking_time,
            setup: body.get("setup").map_or(Ok(Vec::new()), ops).map_err(at("setup"))?,
            ticks: ticks.as_u64().ok_or_else(|| expected("a count of ticks", ticks))? as usize,
            overheads: if overheads.is_empty() { vec![0.0] } else { overheads },
            during_sleep,
            behaviors,
            memory,
        })
    }
}

impl Memory {
    fn parse(memory: &Value, body: &Map<String, Value>) -> Result<Self, String> {
        let available = match text(memory).map_err(at("memory"))?.as_str() {
            "ok" => true,
            "unavailable" => false,
            _ => return Err(at("memory")(expected("ok or unavailable", memory))),
        };
        let given = |key: &str| body.get(key).filter(|value| !value.is_null());
        let bytes = |value: &Value| value.as_u64().ok_or_else(|| expected("bytes", value));
        let reading = |value: &Value| {
            let body = object(value)?;
            // S-78.
            let uss = body.get("uss").and_then(Value::as_u64).filter(|uss| *uss != 0);
            uss.map_or_else(|| bytes(field(body, "rss")?), Ok)
        };
        let readings = given("memory_readings").map(array).transpose()?.into_iter().flatten();
        Ok(Self {
            available,
            period: given("memory_monitor_period").map_or(Ok(5.0), number)?,
            max: given("max_memory_usage").map(bytes).transpose().map_err(at("max_memory_usage"))?,
            readings: readings.map(reading).collect::<Result<_, _>>().map_err(at("memory_readings"))?,
            raises: given("subscriber_raises").map(text).transpose().map_err(at("subscriber_raises"))?,
        })
    }

    /// The reading of the n-th check, from 0; the last one stays.
    pub(crate) fn reading(&self, n: usize) -> u64 {
        self.readings.get(n).or(self.readings.last()).copied().unwrap_or(0)
    }
}

fn number(value: &Value) -> Result<f64, String> {
    value.as_f64().ok_or_else(|| expected("a number", value))
}

fn ops(plan: &Value) -> Result<Vec<Op>, String> {
    array(plan)?.iter().map(|value| op(value).map_err(|error| format!("{value}: {error}"))).collect()
}

fn op(value: &Value) -> Result<Op, String> {
    let parts = array(value)?;
    let name =
        parts.first().and_then(Value::as_str).ok_or_else(|| expected("an op, its name first", value))?;
    let optional = |value: &Value| if value.is_null() { Ok(None) } else { number(value).map(Some) };
    Ok(match (name, &parts[1..]) {
        ("add", [id, Value::Null]) | ("remove", [id]) => Op::Remove(text(id)?.into()),
        ("add", [id, period]) => Op::Add(text(id)?.into(), number(period)?),
        ("add_not_callable", [period]) => Op::AddNotCallable(optional(period)?),
        ("kill", []) => Op::Kill,
        ("advance", [seconds]) => Op::Advance(number(seconds)?),
        ("raise", [name]) => Op::Raise(text(name)?),
        ("set_max_blocking_time", [time]) => {
            Op::SetMaxBlockingTime(optional(time)?.filter(|time| *time != 0.0))
        }
        ("hub_dead", []) => Op::HubDead,
        ("hub_dropped", []) => Op::HubDropped,
        _ => return Err("expected an op of this kind".into()),
    })
}
