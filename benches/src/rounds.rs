//! Interleaved rounds: every lane for a short batch, in another order each time.
//!
//! Owns the calibration and the order. What warms, slows or disturbs the machine for longer than
//! a batch falls on all lanes alike, and a round's times can be compared with each other.

use crate::{
    crew::Crew,
    harness::{Batch, Lane, Measured},
    stats::Shuffler,
    stop,
};
use std::time::Duration;

/// How long and how often to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Rounds; each measures every lane once.
    pub rounds: usize,
    /// How long one batch should take.
    pub batch: Duration,
    /// Decides the order within the rounds.
    pub seed: u64,
}

/// Laps in a batch.
const LAPS: usize = 8;

/// Something to measure: a lane, and by how many publishers at once.
#[derive(Clone, Copy)]
pub struct Entry<'env> {
    /// What is timed.
    pub lane: &'env dyn Lane,
    /// How many threads publish.
    pub publishers: usize,
}

impl std::fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("publishers", &self.publishers).finish_non_exhaustive()
    }
}

/// Nanoseconds a publish of every entry, round by round; `after_round` is told when one is done. When somebody asks to end, the
/// round is ended and the rest are left out: every entry has as many.
///
/// # Panics
/// When the crew is smaller than an entry's publishers.
pub fn measure<'env>(
    crew: &Crew<'env>,
    entries: &[Entry<'env>],
    plan: &Plan,
    mut after_round: impl FnMut(),
) -> Vec<Vec<f64>> {
    let batches: Vec<_> =
        entries.iter().map(|entry| calibrate(crew, entry, plan.batch / LAPS as u32)).collect();
    let mut times = vec![Vec::with_capacity(plan.rounds); entries.len()];
    let mut order: Vec<usize> = (0..entries.len()).collect();
    let mut shuffler = Shuffler::new(plan.seed);
    for _ in stop::rounds(plan.rounds) {
        shuffler.shuffle(&mut order);
        for &index in &order {
            let Entry { lane, publishers } = entries[index];
            times[index].push(mean_ns(&crew.measure(lane, publishers, batches[index])));
        }
        after_round();
    }
    times
}

/// What a publish took on average of the publishers, who all did the same.
fn mean_ns(measured: &[Measured]) -> f64 {
    measured.iter().map(|m| m.ns).sum::<f64>() / measured.len() as f64
}

/// A batch whose laps take about `lap` each.
fn calibrate<'env>(crew: &Crew<'env>, entry: &Entry<'env>, lap: Duration) -> Batch {
    let mut publishes = 1;
    loop {
        let measured = crew.measure(entry.lane, entry.publishers, Batch { publishes, laps: 3 });
        let took = mean_ns(&measured) * publishes as f64;
        let wanted = lap.as_nanos() as f64;
        // Long enough to trust the clock: take it from here in one step.
        if took >= wanted / 8.0 {
            let publishes = (publishes as f64 * wanted / took).round().max(1.0) as u64;
            return Batch { publishes, laps: LAPS };
        }
        publishes *= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::PathName;
    use std::thread;

    #[test]
    fn every_entry_has_a_time_for_every_round() {
        let (floor, locked) = (PathName::RawLoop.lane(1), PathName::StdMutex.lane(1));
        let plan = Plan { rounds: 3, batch: Duration::from_micros(80), seed: 1 };
        let mut rounds = 0;
        let times = thread::scope(|scope| {
            let crew = Crew::start(scope, 2);
            let entries = [Entry { lane: &*floor, publishers: 1 }, Entry { lane: &*locked, publishers: 2 }];
            measure(&crew, &entries, &plan, || rounds += 1)
        });
        assert_eq!(rounds, 3);
        assert!(times.iter().all(|rounds| rounds.len() == 3));
        assert!(times.iter().flatten().all(|ns| *ns > 0.0));
    }
}
