//! The kinds `patch` and `patch_all`: functions replaced with events that can say no.
//!
//! Owns the verdict. The recording is held against gevent's model; ours against that model with each of our rules laid over it.
//!
//! | module | owns |
//! |---|---|
//! | `case` | what a file says |
//! | `builtins` | gevent's own modules, as data |
//! | `model` | gevent's way, and ours as layers over it: `names`, `tell`, `patch` |
//! | `rules` | the layers, and when each may change anything |
//! | `drive` | what our patcher gives: `made`, `told` |
//! | `random` | cases that nobody recorded |

mod builtins;
mod case;
mod drive;
mod model;
mod random;
mod rules;

pub(crate) use self::rules::RULES;

use self::case::{Input, Outcome};
use self::model::{Layers, Reading};
use crate::case::File;
use crate::harness::catch;
use crate::report::vendored;
use crate::rules::{Deviation, Verdict, judge_layers};
use serde_json::Value;
use std::collections::BTreeMap;

/// gevent's, then with one more layer each.
fn models(input: &Input, reading: Reading) -> Vec<Outcome> {
    let mut on = Layers::default();
    let mut models = vec![model::outcome(input, on, reading)];
    for rule in &RULES {
        (rule.lay)(&mut on);
        models.push(model::outcome(input, on, reading));
    }
    assert_eq!(on, Layers::OURS, "each layer has a rule");
    models
}

fn judge(input: &Input, models: &[Outcome], ours: &Outcome) -> Result<Vec<Deviation>, String> {
    judge_layers(input, models, ours, &RULES.map(|rule| rule.layer()), Outcome::difference)
}

/// The reading of the input language that gives the recording.
fn reading(input: &Input, recorded: &Outcome) -> Result<Reading, String> {
    let differs = |reading: &Reading| model::outcome(input, Layers::default(), *reading).difference(recorded);
    let fits = Reading::ALL.into_iter().find(|reading| differs(reading).is_none());
    fits.ok_or_else(|| {
        let difference = differs(&Reading::ALL[0]).unwrap_or_default();
        format!("the model of gevent does not give the recording: {difference}")
    })
}

pub(crate) fn run(file: &File) -> Result<Verdict, String> {
    let (input, recorded) = case::parse(file)?;
    if let Some(what) = rules::of_python(&input) {
        return Ok(Verdict::PythonOnly(what));
    }
    let reading = reading(&input, &recorded)?;
    judge(&input, &models(&input, reading), &drive::drive(&input, reading)?).map(Verdict::of)
}

/// Cases that nobody recorded: ours gives what the model says; and of every fourth, no rule changes anything without a reason.
pub(crate) fn unrecorded() -> Result<(), String> {
    let mut counts = BTreeMap::<Deviation, usize>::new();
    let mut matched = [0, 0];
    let mut look = |seed: u64, input: &Input, matched: &mut usize| -> Result<(), String> {
        let reading = random::reading(seed);
        let ours = drive::drive(input, reading)?;
        if !seed.is_multiple_of(4) {
            let difference = ours.difference(&model::outcome(input, Layers::OURS, reading));
            return difference.map_or(Ok(()), Err);
        }
        let deviations = judge(input, &models(input, reading), &ours)?;
        *matched += usize::from(deviations.is_empty());
        for deviation in deviations {
            *counts.entry(deviation).or_default() += 1;
        }
        Ok(())
    };
    for seed in 0..1_000 {
        let inputs = [random::patch(seed)?, random::patch_all(seed)?];
        for (input, matched) in inputs.iter().zip(&mut matched) {
            let kind = if input.passes { "patch_all" } else { "patch" };
            catch(|| look(seed, input, matched))
                .map_err(|error| format!("{kind}, seed {seed}: {error}\n{input:#?}"))?;
        }
    }
    let by_rule: Vec<_> = counts.values().collect();
    println!("unrecorded cases of patches: {matched:?} match, {by_rule:?} by rule");
    let enough = matched.iter().all(|matched| *matched >= 20) && counts.len() == RULES.len();
    match by_rule.iter().min() {
        Some(3..) if enough => Ok(()),
        _ => Err(format!("expected some cases of each sort: {matched:?} match, {counts:#?}")),
    }
}

/// The recorded cases once more, with every function that they name: then those go on that ours refuses for a name.
pub(crate) fn with_all_names() -> Result<(), String> {
    let (mut matched, mut deviate) = (0, 0);
    for (path, file) in File::all_in(&vendored())? {
        let file = file?;
        if file.kind != "patch" {
            continue;
        }
        let (mut input, recorded) = case::parse(&file)?;
        if rules::of_python(&input).is_some() {
            continue;
        }
        let reading = reading(&input, &recorded)?;
        rules::complete(&mut input);
        let models = models(&input, reading);
        let ours = catch(|| drive::drive(&input, reading));
        let deviations = ours.and_then(|ours| judge(&input, &models, &ours));
        match deviations.map_err(|error| format!("{}: {error}", path.display()))?.len() {
            0 => matched += 1,
            _ => deviate += 1,
        }
    }
    println!("patches with every function that they name: {matched} match, {deviate} by rule");
    if matched < 10 { Err("expected at least 10 to match".into()) } else { Ok(()) }
}

/// Every value of every entry of ours wrong, and every entry missing, or there twice; a recording that is not gevent's; a rule without
/// a reason.
pub(crate) fn wrong_outcomes(file: &File) -> Result<(), String> {
    let (input, recorded) = case::parse(file)?;
    if rules::of_python(&input).is_some() {
        return Ok(());
    }
    let reading = reading(&input, &recorded)?;
    let models = models(&input, reading);
    let right = models.last().ok_or("there are models")?.clone();
    let deviations = judge(&input, &models, &right)?;
    let mut wrong = Vec::new();
    for place in 0..right.trace.len() {
        let mut spoil = |spoil: &dyn Fn(&mut Vec<Value>)| {
            let mut spoilt = right.clone();
            spoil(&mut spoilt.trace);
            wrong.push(spoilt);
        };
        spoil(&|trace| drop(trace.remove(place)));
        spoil(&|trace| trace.insert(place, trace[place].clone()));
        spoil(&|trace| {
            if let Some(value) = values(&mut trace[place]).into_iter().nth(place % 3) {
                *value = "?".into();
            }
        });
    }
    for key in right.end.keys() {
        let mut spoilt = right.clone();
        values(&mut spoilt.end[key]).into_iter().for_each(|value| *value = "?".into());
        wrong.push(spoilt);
        let mut spoilt = right.clone();
        spoilt.end.remove(key);
        wrong.push(spoilt);
    }
    wrong.extend((models[0] != right).then(|| models[0].clone()));
    for wrong in wrong {
        if judge(&input, &models, &wrong).is_ok() {
            return Err(format!("passes: {wrong:?}"));
        }
    }
    for place in 0..right.trace.len() {
        let count = values(&mut right.trace[place].clone()).len();
        for number in 0..count {
            let mut spoilt = right.clone();
            *values(&mut spoilt.trace[place])[number] = "?".into();
            if spoilt.difference(&right).is_none() {
                return Err(format!("nobody looks at {}", spoilt.trace[place]));
            }
        }
    }
    for deviation in deviations {
        let mut rules = RULES.map(|rule| rule.layer());
        for rule in rules.iter_mut().filter(|rule| rule.deviation == deviation) {
            rule.may = |_| false;
        }
        if judge_layers(&input, &models, &right, &rules, Outcome::difference).is_ok() {
            return Err(format!("passes without a reason: {deviation:?}"));
        }
    }
    let mut lies = recorded;
    lies.trace.pop();
    if self::reading(&input, &lies).is_ok() {
        Err("nobody looks at what was recorded".into())
    } else {
        Ok(())
    }
}

/// All that a value holds that holds nothing itself.
fn values(value: &mut Value) -> Vec<&mut Value> {
    let holds_nothing = match value {
        Value::Array(inside) => inside.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => true,
    };
    match value {
        value if holds_nothing => vec![value],
        Value::Array(inside) => inside.iter_mut().flat_map(values).collect(),
        Value::Object(fields) => fields.values_mut().flat_map(values).collect(),
        _ => Vec::new(),
    }
}
