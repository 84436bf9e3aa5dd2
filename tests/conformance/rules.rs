//! Where we differ from gevent on purpose, and what becomes of a case.
//!
//! Owns the deviations and the verdict. A rule looks at a case's input alone: a predicate says whether we must differ from the
//! recording, a model what we must give instead. One that fits a case whose recording we give all the same is a defect, and so
//! is one that fits everything (`selftest.rs`). Not here: how we are driven (`drive.rs`).

use crate::case::{BusCase, Input};
use crate::model::{self, Parting};
use crate::outcome::Outcome;
use std::fmt::Debug;

/// A deviation, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deviation {
    pub(crate) name: &'static str,
    /// The statements of the specification that it replaces.
    pub(crate) replaces: &'static str,
}

/// When we deviate, and what we give then.
#[derive(Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) deviation: Deviation,
    /// Whether we must differ.
    pub(crate) fits: fn(&Input) -> Result<bool, String>,
    /// What we must give then.
    pub(crate) model: fn(&Input) -> Result<Outcome, String>,
}

/// The deviations of the kinds `notify` and `classhandler`.
pub(crate) static BUS_RULES: [Rule; 2] = [
    Rule {
        deviation: Deviation {
            name: "a publish does not see what changes in the list of subscribers while it runs",
            replaces: "S-8 to S-12, and S-20 where the dispatcher itself joins",
        },
        fits: |input| Ok(model::live(input)?.1 == Some(Parting::Subscribers)),
        model: model::snapshot,
    },
    Rule {
        deviation: Deviation {
            name: "a publish does not see what changes in the handlers of a class while it runs",
            replaces: "S-20",
        },
        fits: |input| Ok(model::live(input)?.1 == Some(Parting::Handlers)),
        model: model::snapshot,
    },
];

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As recorded from gevent.
    Matched,
    /// Not as recorded, but as these rules say. At least one; each of another part of the case.
    Deviates(Vec<Deviation>),
    /// Nothing of ours is like what it does: this.
    PythonOnly(&'static str),
}

impl Verdict {
    /// By what its parts deviate by.
    pub(crate) fn of(deviations: impl IntoIterator<Item = Deviation>) -> Self {
        let deviations: Vec<_> = deviations.into_iter().collect();
        if deviations.is_empty() { Self::Matched } else { Self::Deviates(deviations) }
    }
}

/// The same as a [`Rule`] for kinds whose inputs and outcomes are plain values.
#[derive(Clone, Copy)]
pub(crate) struct RuleOf<I, O> {
    pub(crate) deviation: Deviation,
    pub(crate) fits: fn(&I) -> bool,
    pub(crate) model: fn(&I) -> O,
}

/// Holds what we gave against a recording, which the model of gevent must give too. Says by which rule we deviate.
pub(crate) fn judge_value<I, O: PartialEq + Debug>(
    input: &I,
    recorded: &O,
    gevent: &O,
    ours: &O,
    rules: &[RuleOf<I, O>],
) -> Result<Option<Deviation>, String> {
    if gevent != recorded {
        return Err(format!(
            "the model of gevent does not give the recording: {gevent:?}, expected {recorded:?}"
        ));
    }
    let fitting: Vec<_> = rules.iter().filter(|rule| (rule.fits)(input)).collect();
    let names = || fitting.iter().map(|rule| rule.deviation.name).collect::<Vec<_>>();
    match (ours == recorded, fitting.as_slice()) {
        (true, []) => Ok(None),
        (false, []) => {
            Err(format!("not as recorded, and no rule says so: found {ours:?}, expected {recorded:?}"))
        }
        (true, _) => Err(format!("as recorded, but a rule says that it must differ: {:?}", names())),
        (false, [rule]) => match (rule.model)(input) {
            expected if expected == *ours => Ok(Some(rule.deviation)),
            expected => {
                let name = rule.deviation.name;
                Err(format!(
                    "neither as recorded nor as the rule says ({name}): found {ours:?}, expected {expected:?}"
                ))
            }
        },
        (false, _) => Err(format!("more than one rule says that it must differ: {:?}", names())),
    }
}

/// A deviation of a kind where several come together in one case: each is laid over those before it, and what one changes is laid to it.
#[derive(Clone)]
pub(crate) struct Layer<I> {
    pub(crate) deviation: Deviation,
    /// Whether it can change anything: what it changes without a reason is a defect.
    pub(crate) may: fn(&I) -> bool,
}

/// Holds what we gave against the models: gevent's first, which the caller has held against the recording, then with one more layer
/// each. Says by which of them we deviate.
pub(crate) fn judge_layers<I, O>(
    input: &I,
    models: &[O],
    ours: &O,
    layers: &[Layer<I>],
    difference: fn(&O, &O) -> Option<String>,
) -> Result<Vec<Deviation>, String> {
    let [gevents, .., last] = models else {
        return Err("expected gevent's model and one of each layer".into());
    };
    let mut deviations = Vec::new();
    for (layer, both) in layers.iter().zip(models.windows(2)) {
        let Some(changed) = difference(&both[1], &both[0]) else { continue };
        if !(layer.may)(input) {
            let name = layer.deviation.name;
            return Err(format!("a rule changes something without a reason ({name}): {changed}"));
        }
        deviations.push(layer.deviation);
    }
    match (difference(ours, last), difference(ours, gevents)) {
        (Some(difference), _) if deviations.is_empty() => {
            Err(format!("not as recorded, and no rule says so: {difference}"))
        }
        (Some(difference), _) => {
            let names: Vec<_> = deviations.iter().map(|deviation| deviation.name).collect();
            Err(format!("not as the rules say ({names:?}): {difference}"))
        }
        // What one layer changed another may have changed back.
        (None, None) => Ok(Vec::new()),
        (None, Some(_)) => Ok(deviations),
    }
}

/// Holds what we gave against the case.
pub(crate) fn judge(case: &BusCase, rules: &[Rule], ours: &Outcome) -> Result<Verdict, String> {
    if let Some(difference) = model::live(&case.input)?.0.difference(&case.recorded) {
        return Err(format!("the model of the live walk does not give the recording: {difference}"));
    }
    let mut fitting = Vec::new();
    for rule in rules {
        if (rule.fits)(&case.input)? {
            fitting.push(rule);
        }
    }
    let rule = match (ours.difference(&case.recorded), fitting.as_slice()) {
        (None, []) => return Ok(Verdict::Matched),
        (Some(_), [rule]) => rule,
        (Some(difference), []) => return Err(format!("not as recorded, and no rule says so: {difference}")),
        (None, [rule, ..]) => {
            return Err(format!("as recorded, but a rule says that it must differ: {}", rule.deviation.name));
        }
        (Some(_), rules) => {
            let names: Vec<_> = rules.iter().map(|rule| rule.deviation.name).collect();
            return Err(format!("more than one rule says that it must differ: {names:?}"));
        }
    };
    let name = rule.deviation.name;
    if let Some(difference) = ours.difference(&(rule.model)(&case.input)?) {
        return Err(format!("neither as recorded nor as the rule says ({name}): {difference}"));
    }
    match case.snapshot.as_ref().and_then(|snapshot| ours.difference(snapshot)) {
        None => Ok(Verdict::Deviates(vec![rule.deviation])),
        Some(difference) => Err(format!("as the rule says ({name}), but not as the case says: {difference}")),
    }
}
