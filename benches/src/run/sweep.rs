//! All cases, again and again in another order: what disturbs the machine for a while disturbs all of them.
//!
//! Owns the order of the repeats and what becomes of them. Not here: one repeat (`once.rs`), what it looks like (`outcome.rs`).

use super::{
    case::Case,
    log::Log,
    once::{self, Logged, Once, Taken},
    outcome::{Outcome, Row},
    rate::Rate,
};
use crate::{pace, progress::Progress, stats::Shuffler, stop};
use std::time::Duration;

/// What to measure, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What.
    pub cases: Vec<Case>,
    /// How long each repeat of each case.
    pub each: Duration,
    /// How long each repeat publishes before.
    pub warmup: Duration,
    /// How often each case is measured.
    pub repeats: usize,
    /// Whether threads keep to a core each.
    pub pinned: bool,
    /// Decides the order.
    pub seed: u64,
    /// How long an entry of the interval log is.
    pub interval: Duration,
}

impl Settings {
    /// Measures all cases, or as far as it got when it was asked to stop or the log could not be written.
    pub fn run(&self, mut log: Option<&mut Log<'_>>, progress: &Progress) -> Outcome {
        let mut outcome = Outcome::empty(self, pace::clock_cost_ns());
        let mut order: Vec<usize> = (0..self.cases.len()).collect();
        let mut shuffler = Shuffler::new(self.seed);
        progress.start((self.repeats * self.cases.len()) as u64);
        'all: for repeat in 0..self.repeats {
            progress.step(&format!("repeat {} of {}", repeat + 1, self.repeats));
            shuffler.shuffle(&mut order);
            for &index in &order {
                if stop::is_asked() {
                    outcome.partial = true;
                    break 'all;
                }
                let row = &mut outcome.rows[index];
                let taken = self.take(row, self.cases[index], log.as_deref_mut(), outcome.clock_ns);
                outcome.partial |= taken.broken_off;
                outcome.unbound = outcome.unbound.max(taken.unbound);
                outcome.failed = taken.failed.clone();
                row.add(repeat, taken);
                if outcome.failed.is_some() {
                    break 'all;
                }
                progress.advance();
            }
        }
        progress.finish();
        outcome.rows.retain(Row::has_events);
        outcome
    }

    fn take(&self, row: &mut Row, case: Case, log: Option<&mut Log<'_>>, clock_ns: f64) -> Taken {
        let lane = case.path.lane(case.subscribers);
        if case.rate == Rate::Max && row.batch.is_none() {
            row.batch = Some(once::batch(&*lane, clock_ns));
        }
        let batch = row.batch.unwrap_or(1);
        let once = Once { case, batch, time: self.each, warmup: self.warmup, pinned: self.pinned };
        let tag = case.slug();
        let interval = self.interval;
        once.take(&*lane, log.map(|log| Logged { log, tag: &tag, interval }))
    }
}
