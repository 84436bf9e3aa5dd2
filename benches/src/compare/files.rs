//! Two files compared.
//!
//! Owns which figure of one belongs to which of the other. Not here: the files (`saved.rs`), the verdicts (`judge.rs`).

use super::{
    Rules, alike,
    judge::{Figure, Name, Outcome, Side, judge},
};
use crate::{measure::Measure, saved::Saved};

/// A file, and what it is called.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// What it is called in the report.
    pub name: &'a str,
    /// The file.
    pub saved: &'a Saved,
}

impl Named<'_> {
    pub(super) fn side(&self) -> Side {
        let Self { name, saved } = self;
        Side {
            name: (*name).to_owned(),
            machine: saved.machine.clone(),
            command: saved.command.clone(),
            warnings: saved.warnings.clone(),
        }
    }

    fn has_figures(&self) -> Result<(), String> {
        if !self.saved.measures.is_empty() {
            return Ok(());
        }
        Err(format!(
            "'{}' has no figures that can be compared (key `measures`)\n\nexpected what a command that measures wrote: \
             `lab paths`, `run`, `replay`, `registration`, `churn`, `slots`, `watch-cost` or `count`, with --json FILE",
            self.name
        ))
    }
}

/// Compares two files.
///
/// # Errors
/// In words, when a file has no figures, a repeat is no number, or a limit has no figure that it is for.
pub fn compare(base: Named<'_>, new: Named<'_>, rules: &Rules) -> Result<Outcome, String> {
    base.has_figures()?;
    new.has_figures()?;
    let differences = alike::files(base.saved, new.saved);
    let comparable = rules.anyway || !differences.iter().any(|difference| difference.forbids);
    let limits = rules.limits();
    let matched = Matched::of(&base.saved.measures, &new.saved.measures, rules);
    let rows = if comparable { judge(&rules.some(matched.figures)?, &limits)? } else { Vec::new() };
    Ok(Outcome {
        base: base.side(),
        new: new.side(),
        interleaved: false,
        limits: limits.shown(),
        differences,
        comparable,
        rows,
        missing: matched.missing,
        may_miss: rules.may_miss(),
        added: matched.added,
    })
}

/// The figures of two sides, put together by case and metric.
pub(super) struct Matched {
    pub(super) figures: Vec<Figure>,
    pub(super) missing: Vec<Name>,
    pub(super) added: Vec<Name>,
}

impl Matched {
    pub(super) fn of(base: &[Measure], new: &[Measure], rules: &Rules) -> Self {
        let find = |among: &[Measure], like: &Measure| {
            let same =
                |one: &&Measure| (&one.case, &one.metric, one.unit) == (&like.case, &like.metric, like.unit);
            // A figure without repeats was not measured.
            among.iter().find(same).filter(|one| !one.repeats.is_empty()).cloned()
        };
        let name = |one: &Measure| Name { case: one.case.clone(), metric: one.metric.clone() };
        let asked = |one: &&Measure| rules.asks_for(&one.case) && !one.repeats.is_empty();
        let mut matched = Self { figures: Vec::new(), missing: Vec::new(), added: Vec::new() };
        for one in base.iter().filter(asked) {
            match find(new, one) {
                Some(new) => {
                    matched.figures.push(Figure { base: one.clone(), new: new.repeats, paired: false })
                }
                None => matched.missing.push(name(one)),
            }
        }
        matched.added = new.iter().filter(asked).filter(|one| find(base, one).is_none()).map(name).collect();
        matched
    }
}
