//! What watching may cost.

use super::{Outcome, lanes::Lane};
use crate::target::Target;

/// Polls on a runtime that is watched as it is are the same instructions; two lanes of the same instructions differ by so much.
const NOISE: f64 = 1.03;

impl Outcome {
    /// What must be reached.
    pub fn targets(&self) -> Vec<Target> {
        let over = |what: &str, lane, limit| {
            let over = self.cost(lane).over_ns.unwrap_or(f64::NAN);
            Target::at_most(what, over, limit, "ns")
        };
        let times =
            |what: &str, lane| Target::at_most(what, self.cost(lane).times.unwrap_or(f64::NAN), NOISE, "");
        let mut targets = vec![
            times(
                "a poll, current-thread tokio watched as it is, times one not watched",
                Lane::CurrentThreadWatched,
            ),
            times(
                "a poll, multi-thread tokio watched as it is, times one not watched",
                Lane::MultiThreadWatched,
            ),
            over("a poll in Monitored, over a bare one", Lane::MonitoredPoll, 1.0),
            over("the same on current-thread tokio", Lane::CurrentThreadMonitored, 1.0),
            over("the same on multi-thread tokio", Lane::MultiThreadMonitored, 1.0),
            over("a turn with LoopGuard, over a bare one", Lane::WatchedTurn, 2.0),
            Target::at_most("a check of memory", self.cost(Lane::MemoryCheck).ns.median / 1e3, 5.0, "µs"),
        ];
        if let Some(own) = &self.own {
            targets.extend([
                Target::at_most("the monitor with 8 busy loops, of a core", own.busy_percent, 0.2, "%"),
                Target::at_most(
                    "the monitor with 8 idle loops, wake-ups a second",
                    own.idle_wakes,
                    0.0,
                    "/s",
                ),
            ]);
        }
        targets
    }
}
