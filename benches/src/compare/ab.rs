//! Two builds of the lab, run in turns on this machine.
//!
//! Owns the rounds: in each both run once, in an order that a seed decides, each first equally often. What disturbs the machine for
//! longer than a run disturbs both, and a round's figures are compared with each other. A figure of a run is the middle of its
//! repeats.

use super::{
    Rules, alike,
    files::{Matched, Named},
    judge::{Figure, Name, Outcome, judge},
    limits::Limits,
    process::{self, Ran},
};
use crate::{
    measure::Measure,
    saved::Saved,
    session::Session,
    stats::{Shuffler, median},
};
use std::{path::Path, time::Duration};

/// What both measure where nothing else is asked for: a few tenths of a second.
const COMMAND: &str = "paths --quick --processes 1 --paths signalpost --subscribers 0,1,16,64 --publishers 1";

/// How long a run may take beside the first of this lab.
const PATIENCE: u32 = 20;
/// But so long at least.
const LEAST_PATIENCE: Duration = Duration::from_secs(30);

/// What to run.
#[derive(Debug)]
pub(super) struct Settings<'a> {
    /// The other build: the base.
    pub(super) other: &'a Path,
    /// What to measure; nothing for [`COMMAND`].
    pub(super) command: &'a [String],
    /// How often to run both.
    pub(super) rounds: usize,
    /// Decides which comes first.
    pub(super) seed: u64,
}

/// What came out, as far as it went.
#[derive(Debug)]
pub(super) struct Measured {
    /// The comparison; none where not one round was done.
    pub(super) outcome: Option<Outcome>,
    /// Rounds that were done.
    pub(super) rounds: usize,
    /// Whether somebody pressed Ctrl-C.
    pub(super) partial: bool,
}

impl Settings<'_> {
    /// Runs both.
    ///
    /// # Errors
    /// In words, when one of them is no lab, fails or hangs, or what they measure has nothing to judge.
    pub(super) fn run(&self, rules: &Rules, session: &Session) -> Result<Measured, String> {
        let other = process::lab_at(self.other)?;
        let this = process::this_lab()?;
        let command = match self.command {
            [] => COMMAND.split(' ').map(str::to_owned).collect(),
            command => command.to_vec(),
        };
        let progress = &session.progress;
        progress.start(self.rounds as u64 + 1);
        progress.step("both once, which does not count");
        let broken_off = |rounds| Measured { outcome: None, rounds, partial: true };
        // The first run finds everything cold, and says how long one takes.
        let Ran::Whole { took, .. } = process::measure(&this, &command, None)? else {
            progress.finish();
            return Ok(broken_off(0));
        };
        let patience = Some((took * PATIENCE).max(LEAST_PATIENCE));
        if let Ran::Stopped = process::measure(&other, &command, patience)? {
            progress.finish();
            return Ok(broken_off(0));
        }
        progress.advance();
        let mut runs: [Vec<Saved>; 2] = [Vec::new(), Vec::new()];
        let mut partial = false;
        'rounds: for (round, this_first) in order(self.rounds, self.seed).into_iter().enumerate() {
            progress.step(&format!("round {} of {}", round + 1, self.rounds));
            let mut both = [None, None];
            for is_this in [this_first, !this_first] {
                let program = if is_this { &this } else { &other };
                match process::measure(program, &command, patience)? {
                    Ran::Whole { saved, .. } => both[usize::from(is_this)] = Some(*saved),
                    Ran::Stopped => {
                        partial = true;
                        break 'rounds;
                    }
                }
            }
            for (runs, run) in runs.iter_mut().zip(both) {
                runs.extend(run);
            }
            progress.advance();
        }
        progress.finish();
        let rounds = runs[0].len();
        if rounds == 0 {
            return Ok(broken_off(rounds));
        }
        let names = [self.other.display().to_string(), format!("this lab, {}", this.display())];
        let outcome = outcome(&runs, &names, rules)?;
        Ok(Measured { outcome: Some(outcome), rounds, partial })
    }
}

/// Whether this lab runs first, round by round: in half of them, shuffled.
fn order(rounds: usize, seed: u64) -> Vec<bool> {
    let mut order: Vec<_> = (0..rounds).map(|round| (round as u64 + seed).is_multiple_of(2)).collect();
    Shuffler::new(seed).shuffle(&mut order);
    order
}

fn outcome(runs: &[Vec<Saved>; 2], names: &[String; 2], rules: &Rules) -> Result<Outcome, String> {
    let [base, new] = runs;
    let differences = alike::machines(&base[0].machine, &new[0].machine, true);
    let comparable = rules.anyway || !differences.iter().any(|difference| difference.forbids);
    let [base_side, new_side] = [0, 1].map(|side| Named { name: &names[side], saved: &runs[side][0] }.side());
    let mut matched = Matched::of(&of_runs(base), &of_runs(new), rules);
    let limits: Limits = rules.limits();
    pair_up(&mut matched, base.len());
    let rows = if comparable { judge(&rules.some(matched.figures)?, &limits)? } else { Vec::new() };
    Ok(Outcome {
        base: base_side,
        new: new_side,
        interleaved: true,
        limits: limits.shown(),
        differences,
        comparable,
        rows,
        missing: matched.missing,
        may_miss: rules.may_miss(),
        added: matched.added,
    })
}

/// Every figure of the first run with its middle in each run.
fn of_runs(runs: &[Saved]) -> Vec<Measure> {
    let in_run = |run: &Saved, like: &Measure| {
        let same =
            |one: &&Measure| one.case == like.case && one.metric == like.metric && !one.repeats.is_empty();
        run.measures.iter().find(same).map(|one| median(&one.repeats))
    };
    let of = |like: &Measure| Measure {
        repeats: runs.iter().filter_map(|run| in_run(run, like)).collect(),
        ..like.clone()
    };
    runs[0].measures.iter().map(of).collect()
}

/// The n-th of the one belongs to the n-th of the other; a figure that some run left out has no pairs and is missing.
fn pair_up(matched: &mut Matched, rounds: usize) {
    let (whole, short): (Vec<Figure>, Vec<Figure>) = std::mem::take(&mut matched.figures)
        .into_iter()
        .partition(|figure| figure.base.repeats.len() == rounds && figure.new.len() == rounds);
    matched.figures = whole.into_iter().map(|figure| Figure { paired: true, ..figure }).collect();
    matched
        .missing
        .extend(short.into_iter().map(|figure| Name { case: figure.base.case, metric: figure.base.metric }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_runs_first_in_half_of_the_rounds_and_never_in_a_fixed_pattern() {
        for rounds in [5, 8, 15] {
            let first = order(rounds, 7).into_iter().filter(|first| *first).count();
            assert!((rounds / 2..=rounds.div_ceil(2)).contains(&first), "{first} of {rounds}");
        }
        assert_eq!(order(15, 7), order(15, 7));
        assert_ne!(order(15, 7), order(15, 8));
        let alternating = |order: &[bool]| order.windows(2).all(|two| two[0] != two[1]);
        assert!(!alternating(&order(15, 7)));
    }
}
