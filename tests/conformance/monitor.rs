//! The kind `monitor`: functions that are called about once a period.
//!
//! Owns where we differ from gevent, and the verdict. The recording is held against gevent's loop to the last tick; what carries over
//! of it ([`contract`]) is what ours is held against.
//!
//! | module | owns |
//! |---|---|
//! | `case` | what a file says |
//! | `ticks` | gevent's loop, and deviations laid over it one by one |
//! | `deadlines` | what ours must give: all of them, and no ticks |
//! | `contract` | what is compared; the other thread, and time |
//! | `drive` | what our monitor gives |

mod case;
mod contract;
mod deadlines;
mod drive;
mod ticks;

use self::case::{BLOCKING, Input, Op, Recorded};
use self::contract::{End, Entry, Outcome};
use self::ticks::Layers;
use crate::case::{File, Id};
use crate::random::Dice;
use crate::rules::{Deviation, Layer, Verdict, judge_layers};
use std::collections::BTreeMap;

/// In the order in which they are laid over one another: as the fields of [`Layers`], and then what deadlines change.
pub(crate) static RULES: [Layer<Input>; 9] = [
    Layer {
        deviation: Deviation {
            name: "a new function is called at once, however young the clock is",
            replaces: "S-41: a clock younger than the period puts the first call off",
        },
        may: |input| periods(input).any(|period| period > input.start),
    },
    Layer {
        deviation: Deviation {
            name: "the maximum blocking time is the block check's, and holds at once",
            replaces: "S-45: it is given to whatever is first, before each sleep",
        },
        may: |input| {
            input.ops().any(|op| match op {
                Op::SetMaxBlockingTime(_) => true,
                Op::Add(id, _) | Op::Remove(id) => &**id == BLOCKING,
                _ => false,
            })
        },
    },
    Layer {
        deviation: Deviation {
            name: "without a maximum nothing is checked, without functions nothing is called, and the thread lives",
            replaces: "S-46, S-47",
        },
        may: |input| {
            let removed = Op::Remove(BLOCKING.into());
            input.ops().any(|op| *op == Op::SetMaxBlockingTime(None) || *op == removed)
        },
    },
    Layer {
        deviation: Deviation {
            name: "memory is checked as often as was asked for",
            replaces: "S-75: at most every 2 s",
        },
        may: |input| input.memory.as_ref().is_some_and(|memory| memory.period < 2.0),
    },
    Layer {
        deviation: Deviation {
            name: "without a figure of memory there is no watch; with a limit that is an error",
            replaces: "S-80: a warning",
        },
        may: |input| input.memory.as_ref().is_some_and(|memory| !memory.available),
    },
    Layer {
        deviation: Deviation {
            name: "an error or a panic is told, the thread lives, and who fails again and again is removed",
            replaces: "S-48, S-79",
        },
        may: |input| {
            let raises = input.memory.as_ref().is_some_and(|memory| memory.raises.is_some());
            raises || input.later().any(|op| matches!(op, Op::Raise(_)))
        },
    },
    Layer {
        deviation: Deviation {
            name: "an end comes before the next call, and nothing can be added after it",
            replaces: "S-49, S-50: after what is left of the tick",
        },
        may: |input| input.ops().any(|op| matches!(op, Op::Kill | Op::HubDead | Op::HubDropped)),
    },
    Layer {
        deviation: Deviation {
            name: "a change holds at once, for what is due at the same time too",
            replaces: "S-36: after the tick, or after the next sleep",
        },
        may: |input| {
            input.later().any(|op| {
                matches!(op, Op::Add(..) | Op::Remove(_) | Op::SetMaxBlockingTime(_) | Op::Raise(_))
            })
        },
    },
    Layer {
        deviation: Deviation {
            name: "each function has its own deadlines, on a grid from its first call",
            replaces: "S-37, S-40, S-42, S-43: ticks of the smallest period, late by what came before",
        },
        may: out_of_step,
    },
];

/// All that are mentioned.
fn periods(input: &Input) -> impl Iterator<Item = f64> {
    let ops = input.ops().filter_map(|op| match op {
        Op::Add(_, period) => Some(*period).filter(|period| *period > 0.0),
        Op::SetMaxBlockingTime(time) => *time,
        _ => None,
    });
    let memory = input.memory.as_ref().map(|memory| memory.period);
    ops.chain(memory).chain([input.max_blocking_time])
}

/// Whether ticks and deadlines can part: not if all periods are multiples of the smallest, which nobody changes later, every sleep is as
/// long as it should be, and no call takes time.
fn out_of_step(input: &Input) -> bool {
    let smallest = periods(input).fold(f64::INFINITY, f64::min);
    // Numbers that doubles have exactly.
    let exact = |number: f64| (number * 1024.0).fract() == 0.0;
    let in_step = exact(input.start)
        && smallest >= 0.005
        && periods(input).all(|period| exact(period) && (period / smallest).fract() == 0.0)
        && input.overheads.iter().all(|overhead| *overhead == 0.0)
        && !input.setup.iter().any(|op| matches!(op, Op::Remove(_)))
        && input.later().next().is_none();
    !in_step
}

/// gevent's, then with one more layer each; and the times of gevent's ticks.
fn models(input: &Input) -> (Recorded, Vec<Outcome>, Vec<f64>) {
    let original = ticks::original(input);
    let times = original.times;
    let switches: [fn(&mut Layers); 8] = [
        |on| on.young = true,
        |on| on.setting = true,
        |on| on.off = true,
        |on| on.floor = true,
        |on| on.unavailable = true,
        |on| on.lives = true,
        |on| on.stops = true,
        |on| on.changes = true,
    ];
    let mut on = Layers::default();
    let mut models = vec![Outcome::of(&original.recorded)];
    for switch in switches {
        switch(&mut on);
        models.push(Outcome::of(&ticks::layered(input, on, &times)));
    }
    models.push(deadlines::deadlines(input, &times));
    (original.recorded, models, times)
}

fn judge(input: &Input, models: &[Outcome], ours: &Outcome) -> Result<Vec<Deviation>, String> {
    judge_layers(input, models, ours, &RULES, Outcome::difference)
}

/// Whether gevent's model gives the recording.
fn recorded_is(recorded: &Recorded, gevents: &Recorded) -> Result<(), String> {
    let places = recorded.log.len().max(gevents.log.len());
    if let Some(place) = (0..places).find(|place| recorded.log.get(*place) != gevents.log.get(*place)) {
        let (found, expected) = (gevents.log.get(place), recorded.log.get(place));
        return Err(format!(
            "the model of gevent does not give the recording: log: {place}: {found:?}, expected {expected:?}"
        ));
    }
    if recorded != gevents {
        let rest = |of: &Recorded| (of.end.clone(), of.should_run, of.final_schedule.clone());
        let (found, expected) = (rest(gevents), rest(recorded));
        return Err(format!(
            "the model of gevent does not give the recording: {found:?}, expected {expected:?}"
        ));
    }
    Ok(())
}

pub(crate) fn run(file: &File) -> Result<Verdict, String> {
    let (input, recorded) = case::parse(file)?;
    let (gevents, models, times) = models(&input);
    recorded_is(&recorded, &gevents)?;
    judge(&input, &models, &drive::drive(&input, &times)?).map(Verdict::of)
}

/// Cases that nobody recorded: ours gives what our model says, and no rule changes anything without a reason.
pub(crate) fn unrecorded() -> Result<(), String> {
    let mut counts = BTreeMap::<Deviation, usize>::new();
    let mut matched = 0;
    for seed in 0..3_000 {
        let input = random(seed);
        let (_, models, times) = models(&input);
        let say = |error| format!("seed {seed}: {error}\n{input:#?}");
        let ours = drive::drive(&input, &times).map_err(say)?;
        let deviations = judge(&input, &models, &ours).map_err(say)?;
        matched += usize::from(deviations.is_empty());
        for deviation in deviations {
            *counts.entry(deviation).or_default() += 1;
        }
    }
    println!(
        "unrecorded cases of a monitor: {matched} match, {:?} by rule",
        counts.values().collect::<Vec<_>>()
    );
    match (matched, counts.len(), counts.values().min()) {
        (30.., rules, Some(30..)) if rules == RULES.len() => Ok(()),
        _ => Err(format!("expected 30 cases at least of each sort: {matched} match, {counts:#?}")),
    }
}

fn random(seed: u64) -> Input {
    let mut dice = Dice::new(seed);
    // Simple ones too, where nothing is out of step.
    let simple = dice.below(8) == 0;
    let periods: &[f64] = match dice.below(4) {
        0 if !simple => &[0.05, 0.1, 0.15, 0.3, 0.002],
        _ if simple => &[0.125, 0.25, 0.5],
        _ => &[0.0625, 0.125, 0.1875, 0.25, 0.5, 0.75],
    };
    let ids: [Id; 3] = ["f".into(), "g".into(), "h".into()];
    let op = |dice: &mut Dice, inside: bool| match dice.below(40) {
        0..12 => Op::Add(ids[dice.below(3)].clone(), periods[dice.below(periods.len())]),
        12..18 => Op::Remove(ids[dice.below(3)].clone()),
        18 => Op::Add(ids[dice.below(3)].clone(), -(dice.below(2) as f64)),
        19 => Op::AddNotCallable([None, Some(1.0)][dice.below(2)]),
        20 => Op::Remove(BLOCKING.into()),
        21 => Op::Add(BLOCKING.into(), periods[dice.below(periods.len())]),
        22 => Op::SetMaxBlockingTime(None),
        23..26 => Op::SetMaxBlockingTime(Some(periods[dice.below(periods.len())])),
        26 if dice.below(2) == 0 => Op::Kill,
        27 if dice.below(2) == 0 => Op::HubDead,
        28 if dice.below(2) == 0 => Op::HubDropped,
        29..33 if inside => {
            let names = ["Boom", "Boom", "SystemExit", "DoNotPatch"];
            Op::Raise(names[dice.below(names.len())].into())
        }
        _ if inside => Op::Advance(periods[dice.below(periods.len())]),
        _ => Op::Add(ids[dice.below(3)].clone(), periods[dice.below(periods.len())]),
    };
    let set_up = 1 + dice.below(4);
    let add = |dice: &mut Dice| Op::Add(ids[dice.below(3)].clone(), periods[dice.below(periods.len())]);
    let setup = (0..set_up)
        .map(|_| if dice.below(8) == 0 && !simple { op(&mut dice, false) } else { add(&mut dice) });
    let setup = setup.collect();
    let mut during_sleep = BTreeMap::new();
    let mut behaviors = BTreeMap::new();
    if !simple {
        for _ in 0..dice.below(4) {
            during_sleep.insert(1 + dice.below(15), vec![op(&mut dice, false)]);
        }
        for id in ids.iter().cloned().chain([BLOCKING.into()]).take(3 + dice.below(2)) {
            let plan = |dice: &mut Dice| if dice.below(6) == 0 { vec![op(dice, true)] } else { Vec::new() };
            let mut plans: Vec<_> = (0..8).map(|_| plan(&mut dice)).collect();
            if dice.below(20) == 0 {
                plans = vec![vec![Op::Raise("Boom".into())]; 8];
            }
            behaviors.insert(id, plans);
        }
    }
    let memory = (dice.below(3) == 0).then(|| case::Memory {
        available: dice.below(3) > 0,
        period: [0.5, 3.0, 2.0][dice.below(3)],
        max: [None, Some(100)][dice.below(2)],
        readings: (0..6).map(|_| 50 + dice.below(100) as u64).collect(),
        raises: (dice.below(6) == 0 && !simple).then(|| "Boom".to_owned()),
    });
    Input {
        start: [0.0, 0.25, 1000.0, 123456.5][dice.below(4)],
        max_blocking_time: periods[dice.below(periods.len())],
        setup,
        ticks: 8 + dice.below(16),
        overheads: if simple || dice.below(2) == 0 { vec![0.0] } else { vec![0.03125, 0.0, 0.0625] },
        during_sleep,
        behaviors,
        memory,
    }
}

/// Every entry of ours wrong, missing, or there twice; a recording that is not gevent's; a rule without a reason.
pub(crate) fn wrong_outcomes(file: &File) -> Result<(), String> {
    let (input, recorded) = case::parse(file)?;
    let (gevents, models, _) = models(&input);
    let right = models.last().expect("there are models").clone();
    let deviations = judge(&input, &models, &right)?;
    let mut wrong = Vec::new();
    for place in 0..right.log.len() {
        let mut spoil = |spoil: &dyn Fn(&mut Vec<Entry>)| {
            let mut spoilt = right.clone();
            spoil(&mut spoilt.log);
            wrong.push(spoilt);
        };
        spoil(&|log| drop(log.remove(place)));
        spoil(&|log| log.insert(place, log[place].clone()));
        spoil(&|log| match &mut log[place] {
            Entry::MemoryInstalled { warned, .. } => *warned ^= true,
            Entry::Change { refused, .. } => *refused ^= true,
            Entry::Setting { max_blocking_time } => *max_blocking_time = Some(1),
            Entry::Stop { what } => *what = "other",
            Entry::Run { at, .. } => *at += 1,
            Entry::Event { mem_usage, .. } => *mem_usage += 1,
            Entry::Failed { removed, .. } => *removed ^= true,
        });
    }
    wrong.push(Outcome { end: End::NotStarted, ..right.clone() });
    wrong.push(Outcome { schedule: vec![("nobody".into(), None)], ..right.clone() });
    wrong.extend((models[0] != right).then(|| models[0].clone()));
    for wrong in wrong.into_iter().filter(|wrong| *wrong != right) {
        if judge(&input, &models, &wrong).is_ok() {
            return Err(format!("passes: {wrong:?}"));
        }
    }
    for deviation in deviations {
        let mut rules = RULES.clone();
        for rule in rules.iter_mut().filter(|rule| rule.deviation == deviation) {
            rule.may = |_| false;
        }
        if judge_layers(&input, &models, &right, &rules, Outcome::difference).is_ok() {
            return Err(format!("passes without a reason: {deviation:?}"));
        }
    }
    let mut lies = recorded;
    lies.should_run ^= true;
    if recorded_is(&lies, &gevents).is_ok() {
        Err("nobody looks at what was recorded".into())
    } else {
        Ok(())
    }
}
