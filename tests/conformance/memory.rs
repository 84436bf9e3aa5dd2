//! The kind `memory`: readings held against a limit.
//!
//! Owns what a case says, what it must give (by gevent's rules, and by ours where a subscriber fails), and how a watch is driven:
//! by a scripted source, with the limit set anew before each check.

use crate::case::File;
use crate::json::{array, at, expected, field, object, text};
use crate::random::Dice;
use crate::rules::{Deviation, RuleOf, Verdict, judge_value};
use serde::Deserialize;
use serde_json::Value;
use signalpost::{Bus, BusStop};
use signalpost_monitor::{
    MemoryEvents, MemoryFigure, MemoryInfo, MemoryUsageThresholdExceeded, MemoryUsageUnderThreshold,
    MemoryWatch,
};
use std::sync::{Arc, Mutex, PoisonError};

/// One check.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    max: Option<u64>,
    rss: u64,
    uss: Option<u64>,
    /// What a subscriber raises, if it is called.
    raise: Option<String>,
}

/// What came of a check.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Checked {
    event: Option<String>,
    mem_usage: Option<u64>,
    max_allowed: Option<u64>,
    memory_info_is_raw_reading: Option<bool>,
    max_memory_usage: Option<u64>,
    raised: Option<String>,
    read_performed: bool,
    last_above: u64,
}

pub(crate) static RULES: [RuleOf<Vec<Step>, Vec<Checked>>; 1] = [RuleOf {
    deviation: Deviation {
        name: "a check goes on from its reading, also if a subscriber fails",
        replaces: "S-79",
    },
    fits: |steps| gevent(steps).iter().any(|checked| checked.raised.is_some()),
    model: |steps| ours(steps),
}];

pub(crate) fn run(file: &File) -> Result<Verdict, String> {
    let (steps, recorded) = parse(file)?;
    let deviation = judge_value(&steps, &recorded, &gevent(&steps), &drive(&steps)?, &RULES)?;
    Ok(Verdict::of(deviation))
}

fn parse(file: &File) -> Result<(Vec<Step>, Vec<Checked>), String> {
    let list = |part: &'static str| -> Result<&Vec<Value>, String> {
        let body = object(file.part(part)?).map_err(at(part))?;
        array(field(body, "steps").map_err(at(part))?).map_err(at(part))
    };
    let steps = list("input")?.iter().map(Step::parse).collect::<Result<Vec<_>, _>>().map_err(at("input"))?;
    let checked = |value: &Value| {
        Checked::deserialize(value).map_err(|error| format!("expected a check, found {value}: {error}"))
    };
    let recorded = list("expected")?.iter().map(checked).collect::<Result<Vec<_>, _>>();
    Ok((steps, recorded.map_err(at("expected"))?))
}

impl Step {
    fn parse(value: &Value) -> Result<Self, String> {
        let body = object(value)?;
        let bytes = |value: &Value| value.as_u64().ok_or_else(|| expected("bytes", value));
        let optional = |key: &str| match body.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => bytes(value).map(Some).map_err(at(key)),
        };
        Ok(Self {
            max: optional("max")?,
            rss: bytes(field(body, "rss")?).map_err(at("rss"))?,
            uss: optional("uss")?,
            raise: body.get("raise").map(text).transpose().map_err(at("raise"))?,
        })
    }

    fn usage(&self) -> u64 {
        self.uss.filter(|uss| *uss != 0).unwrap_or(self.rss)
    }
}

/// S-72 and S-78; and S-79, which keeps what was remembered if a subscriber fails.
fn gevent(steps: &[Step]) -> Vec<Checked> {
    model(steps, true)
}

fn ours(steps: &[Step]) -> Vec<Checked> {
    model(steps, false)
}

fn model(steps: &[Step], kept_on_error: bool) -> Vec<Checked> {
    let mut last_above = 0;
    let check = |step: &Step| {
        let Some(max) = step.max else {
            return Checked { event: Some("disabled".into()), last_above, ..Checked::default() };
        };
        let usage = step.usage();
        let event = match (usage > max, last_above) {
            (true, before) if usage > before => Some("exceeded"),
            (false, before) if before != 0 => Some("under"),
            _ => None,
        };
        let raised = event.and(step.raise.clone());
        let checked = Checked {
            event: event.map(str::to_owned),
            mem_usage: event.map(|_| usage),
            max_allowed: event.map(|_| max),
            memory_info_is_raw_reading: event.map(|_| true),
            max_memory_usage: event.filter(|event| *event == "under").map(|_| last_above),
            read_performed: true,
            ..Checked::default()
        };
        if raised.is_none() || !kept_on_error {
            last_above = if usage > max { usage } else { 0 };
        }
        Checked { raised, last_above, ..checked }
    };
    steps.iter().map(check).collect()
}

/// What the source and the subscribers of a case share.
#[derive(Default)]
struct Script {
    reading: MemoryInfo,
    raise: Option<String>,
    read: bool,
    told: Option<Checked>,
}

fn drive(steps: &[Step]) -> Result<Vec<Checked>, String> {
    let script = Arc::new(Mutex::new(Script::default()));
    let with = |f: &dyn Fn(&mut Script)| f(&mut script.lock().unwrap_or_else(PoisonError::into_inner));
    let bus = Bus::new();
    let tell = |event: Checked| {
        let script = script.clone();
        move |raw: &MemoryInfo, mem_usage: u64, max_allowed: u64, max_memory_usage: Option<u64>| {
            let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
            assert!(script.told.is_none(), "one event a check");
            let raw = script.reading == *raw;
            script.told = Some(Checked {
                mem_usage: Some(mem_usage),
                max_allowed: Some(max_allowed),
                memory_info_is_raw_reading: Some(raw),
                max_memory_usage,
                ..event.clone()
            });
        }
    };
    let named = |name: &str| Checked { event: Some(name.into()), ..Checked::default() };
    let (exceeded, under, raising) = (tell(named("exceeded")), tell(named("under")), script.clone());
    let _exceeded = bus.topic::<MemoryUsageThresholdExceeded>().subscribe(move |event| {
        exceeded(&event.memory_info, event.mem_usage, event.max_allowed, None);
    });
    let _under = bus.topic::<MemoryUsageUnderThreshold>().subscribe(move |event| {
        under(&event.memory_info, event.mem_usage, event.max_allowed, Some(event.max_memory_usage));
    });
    let _raise = bus.family::<MemoryEvents>().subscribe(move |_| -> Result<(), BusStop> {
        let raise = raising.lock().unwrap_or_else(PoisonError::into_inner).raise.clone();
        raise.map_or(Ok(()), |name| Err(BusStop::fail(name)))
    });
    let readings = script.clone();
    let source = move || {
        let mut script = readings.lock().unwrap_or_else(PoisonError::into_inner);
        script.read = true;
        Ok(script.reading)
    };
    let watch = MemoryWatch::builder().figure(MemoryFigure::Uss).source(source).build();
    let mut watch = watch.map_err(|error| error.to_string())?;
    let mut outcome = Vec::new();
    for step in steps {
        let reading = MemoryInfo::new(step.rss);
        with(&|script| {
            let reading = step.uss.map_or(reading, |uss| reading.with_uss(uss));
            *script = Script { reading, raise: step.raise.clone(), ..Script::default() };
        });
        watch.handle().set_max_memory_usage(step.max);
        let result = watch.check(&bus);
        let script = script.lock().unwrap_or_else(PoisonError::into_inner);
        let mut checked = script.told.clone().unwrap_or_default();
        checked.read_performed = script.read;
        checked.last_above = watch.state().last_above();
        match result {
            // What is returned is what was published.
            Ok(signalpost_monitor::MemoryCheck::Disabled) => checked.event = Some("disabled".into()),
            Ok(check) => {
                let usage = check.exceeded().map(|event| event.mem_usage);
                let usage = usage.or(check.under().map(|event| event.mem_usage));
                if usage != checked.mem_usage {
                    return Err(format!("published {checked:?}, returned {check:?}"));
                }
            }
            Err(signalpost_monitor::MemoryCheckError::Stopped(both)) => {
                checked.raised = Some(both.1.error.to_string());
            }
            Err(other) => return Err(other.to_string()),
        }
        outcome.push(checked);
    }
    Ok(outcome)
}

/// Random readings about random limits: the watch gives what our model says, and the rule fits where that is not gevent's.
pub(crate) fn unrecorded() -> Result<(), String> {
    let mut deviate = 0;
    for seed in 0..2_000 {
        let mut dice = Dice::new(seed);
        let mut step = || {
            let max = [None, Some(500), Some(1000), Some(1000), Some(1000)][dice.below(5)];
            let uss = [None, Some(0), Some(dice.below(1800) as u64)][dice.below(3)];
            let raise = (dice.below(10) == 0).then(|| "Boom".to_owned());
            Step { max, rss: dice.below(2000) as u64 + 1, uss, raise }
        };
        let steps: Vec<Step> = (0..20).map(|_| step()).collect();
        let (ours, gevents, gave) = (ours(&steps), gevent(&steps), drive(&steps)?);
        if gave != ours {
            return Err(format!("seed {seed}: found {gave:?}, expected {ours:?}"));
        }
        if (RULES[0].fits)(&steps) != (ours != gevents) {
            return Err(format!("seed {seed}: the rule and the models disagree"));
        }
        deviate += usize::from(ours != gevents);
    }
    if (200..1_800).contains(&deviate) { Ok(()) } else { Err(format!("{deviate} of 2000 deviate")) }
}

/// Every field of every check wrong, or a check missing; and a recording that is not gevent's.
pub(crate) fn wrong_outcomes(file: &File) -> Result<(), String> {
    let (steps, recorded) = parse(file)?;
    let (right, gevents) = (ours(&steps), gevent(&steps));
    judge_value(&steps, &recorded, &gevents, &right, &RULES)?;
    let spoil: [fn(&mut Checked); 8] = [
        |checked| checked.event = Some("other".into()),
        |checked| checked.mem_usage = Some(7),
        |checked| checked.max_allowed = Some(7),
        |checked| checked.memory_info_is_raw_reading = Some(false),
        |checked| checked.max_memory_usage = Some(7),
        |checked| checked.raised = Some("Other".into()),
        |checked| checked.read_performed ^= true,
        |checked| checked.last_above += 1,
    ];
    let mut wrong: Vec<Vec<Checked>> = Vec::new();
    for place in 0..right.len() {
        for spoil in spoil {
            let mut spoilt = right.clone();
            spoil(&mut spoilt[place]);
            wrong.push(spoilt);
        }
    }
    wrong.push(right[1..].to_vec());
    wrong.extend((gevents != right).then(|| gevents.clone()));
    for wrong in wrong {
        if judge_value(&steps, &recorded, &gevents, &wrong, &RULES).is_ok() {
            return Err(format!("passes: {wrong:?}"));
        }
    }
    let mut lies = recorded.clone();
    lies[0].last_above += 1;
    if judge_value(&steps, &lies, &gevents, &right, &RULES).is_ok() {
        return Err("nobody looks at what was recorded".into());
    }
    let greedy = [RuleOf { fits: |_| true, ..RULES[0] }];
    if right == gevents && judge_value(&steps, &recorded, &gevents, &right, &greedy).is_ok() {
        return Err("a rule that fits everything passes".into());
    }
    Ok(())
}
