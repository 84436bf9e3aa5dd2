//! `lab watch-cost`: what the monitor costs those it watches, and what it costs itself.
//!
//! Owns what is measured together, and what came out of it. Not here: the loops that are measured (`cost/lanes.rs`), the
//! monitor's own use of the processor (`cost/own.rs`), the limits (`cost/limits.rs`).
//!
//! Processor time, not wall time; all lanes take turns within a round, in another order each time, so that a busy machine disturbs
//! them alike; and a round's times are compared with each other.

pub mod lanes;
pub mod limits;
pub mod own;

use crate::{
    progress::Progress,
    stats::{self, Shuffler, Spread},
    stop,
    table::{Cell, Colour, Table, Tone, nanoseconds},
};
use lanes::{Lane, Lanes};
use own::Own;
use serde::Serialize;
use signalpost::monitor::Monitor;
use std::{io, time::Duration};

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How often to measure each lane.
    pub rounds: usize,
    /// Polls or turns in one measurement of a bare loop; a tenth of that on a runtime, a thousandth of that of the memory.
    pub steps: u64,
    /// How long to look at the monitor's own thread, twice.
    pub look: Duration,
    /// Decides the order within the rounds.
    pub seed: u64,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// How often each lane was measured.
    pub rounds: usize,
    /// What one step of each lane took.
    pub lanes: Vec<Cost>,
    /// The monitor's own thread.
    pub own: Option<Own>,
}

/// One lane, beside the one that does the same without the monitor.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    /// What was measured.
    pub lane: Lane,
    /// Nanoseconds a step.
    pub ns: Spread,
    /// Nanoseconds a step over that of the lane without: the middle of the rounds' differences.
    pub over_ns: Option<f64>,
    /// Times that of the lane without: the middle of the rounds' ratios.
    pub times: Option<f64>,
    /// Nanoseconds a step, round by round.
    #[serde(skip)]
    pub rounds: Vec<f64>,
}

impl Settings {
    /// Measures it.
    ///
    /// # Errors
    /// When the monitor, a runtime or a thread cannot be started.
    pub fn run(&self, progress: &Progress) -> io::Result<Outcome> {
        // A busy machine may starve a loop: what is printed of that is not of interest here.
        let builder = Monitor::builder().thread_name(own::THREAD).print_blocking_reports(false);
        let monitor = builder.start().map_err(io::Error::other)?;
        let mut lanes = Lanes::new(&monitor)?;
        let mut order = Lane::ALL;
        let mut times = vec![Vec::with_capacity(self.rounds); Lane::ALL.len()];
        let mut shuffler = Shuffler::new(self.seed);
        progress.start(self.rounds as u64 + 1);
        progress.step("what watching costs");
        // One more than counts: the first finds everything cold.
        for round in 0..=self.rounds {
            if round > 1 && stop::is_asked() {
                break;
            }
            shuffler.shuffle(&mut order);
            for lane in order {
                let ns = lanes.step_ns(lane, self.steps);
                if round > 0 {
                    times[lane as usize].push(ns);
                }
            }
            progress.advance();
        }
        drop(lanes);
        let own = if stop::is_asked() { None } else { Own::measure(&monitor, self.look, progress)? };
        progress.finish();
        Ok(Outcome::of(&times, own))
    }
}

impl Outcome {
    fn of(times: &[Vec<f64>], own: Option<Own>) -> Self {
        let rounds = |lane: Lane| times[lane as usize].as_slice();
        let cost = |lane: Lane| {
            let without = lane.without().map(rounds);
            Cost {
                lane,
                ns: Spread::of(rounds(lane)),
                over_ns: without.map(|without| stats::median(&stats::differences(rounds(lane), without))),
                times: without.map(|without| stats::median(&stats::ratios(rounds(lane), without))),
                rounds: rounds(lane).to_vec(),
            }
        };
        Self { rounds: times[0].len(), lanes: Lane::ALL.into_iter().map(cost).collect(), own }
    }

    /// What one lane came to.
    pub fn cost(&self, lane: Lane) -> &Cost {
        &self.lanes[lane as usize]
    }

    /// The table of this outcome.
    pub fn report(&self, colour: Colour) -> String {
        let mut table = Table::headed(["", "nanoseconds", "over", "times", "lowest..highest"]);
        for Cost { lane, ns, over_ns, times, .. } in &self.lanes {
            let or_empty = |text: Option<String>| Cell::from(text.unwrap_or_default());
            table.row([
                lane.in_words().into(),
                nanoseconds(ns.median).into(),
                or_empty(over_ns.map(|over| format!("{over:+.2}"))),
                or_empty(times.map(|times| format!("{times:.3}"))),
                Cell::toned(Tone::Quiet, format!("{}..{}", nanoseconds(ns.min), nanoseconds(ns.max))),
            ]);
        }
        let own = match &self.own {
            Some(own) => own.report(),
            None => "  What the monitor's own thread uses is not known: the system does not say, or there was no time.\n".to_owned(),
        };
        format!(
            "\n{}\n{}  Processor time of a poll, a turn, a check; median of {} rounds. Over and times: beside the lane above that \
             is not watched.\n{own}",
            colour.paint(Tone::Good, "What watching costs"),
            table.render(colour),
            self.rounds,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_is_measured_beside_the_one_without() {
        let settings = Settings { rounds: 2, steps: 2_000, look: Duration::from_millis(50), seed: 1 };
        let outcome = settings.run(&Progress::silent()).unwrap();
        assert_eq!(outcome.rounds, 2);
        for (cost, lane) in outcome.lanes.iter().zip(Lane::ALL) {
            assert_eq!(cost.lane, lane);
            assert!(cost.ns.max > 0.0, "{cost:?}");
            assert_eq!(cost.over_ns.is_some(), lane.without().is_some());
        }
        assert_eq!(outcome.own.is_some(), cfg!(target_os = "linux"));
        assert!(outcome.report(Colour(false)).contains("Monitored"));
        assert!(!outcome.targets().is_empty());
    }

    #[test]
    fn a_lane_is_compared_round_by_round() {
        let mut times = vec![vec![100.0, 10.0, 50.0]; Lane::ALL.len()];
        times[Lane::MonitoredPoll as usize] = vec![101.0, 12.0, 50.5];
        let outcome = Outcome::of(&times, None);
        let cost = outcome.cost(Lane::MonitoredPoll);
        assert_eq!((cost.over_ns, cost.times), (Some(1.0), Some(1.01)));
    }
}
