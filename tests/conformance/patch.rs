//! The kinds `patch` and `patch_all`: functions replaced with events that can say no.
//!
//! Owns the verdict. The recording is held against gevent's model; ours against that model with each of our rules laid over it.
//!
//! | module | owns |
//! |---|---|
//! | `case` | what a file says |
//! | `builtins` | gevent's own modules, as data |
//! | `model` | gevent's way, and ours as layers over it |
//! | `rules` | the layers, and when each may change anything |
//! | `drive` | what our patcher gives |
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
use crate::rules::{Deviation, Verdict, judge_layers};
use std::collections::BTreeMap;

/// gevent's, then with one more layer each.
fn models(input: &Input, reading: Reading) -> Vec<Outcome> {
    let mut on = Layers::default();
    let mut models = vec![model::outcome(input, on, reading)];
    for rule in &RULES {
        (rule.lay)(&mut on);
        models.push(model::outcome(input, on, reading));
    }
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

/// Cases that nobody recorded: ours gives what the model says, and no rule changes anything without a reason.
pub(crate) fn unrecorded() -> Result<(), String> {
    let mut counts = BTreeMap::<Deviation, usize>::new();
    let mut matched = [0, 0];
    let mut look = |seed: u64, input: &Input, matched: &mut usize| -> Result<(), String> {
        let reading = random::reading(seed);
        let deviations = judge(input, &models(input, reading), &drive::drive(input, reading)?)?;
        *matched += usize::from(deviations.is_empty());
        for deviation in deviations {
            *counts.entry(deviation).or_default() += 1;
        }
        Ok(())
    };
    for seed in 0..SEEDS {
        let inputs = [random::patch(seed)?, random::patch_all(seed)?];
        for (input, matched) in inputs.iter().zip(&mut matched) {
            let kind = if input.passes { "patch_all" } else { "patch" };
            catch(|| look(seed, input, matched))
                .map_err(|error| format!("{kind}, seed {seed}: {error}\n{input:#?}"))?;
        }
    }
    println!(
        "unrecorded cases of patches: {matched:?} match, {:?} by rule",
        counts.values().collect::<Vec<_>>()
    );
    let enough = matched.iter().all(|matched| *matched >= 30) && counts.len() == RULES.len();
    match counts.values().min() {
        Some(10..) if enough => Ok(()),
        _ => Err(format!("expected some cases of each sort: {matched:?} match, {counts:#?}")),
    }
}

const SEEDS: u64 = 1_000;
