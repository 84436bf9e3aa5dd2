//! Events at given times: each has an *intended* start, and what kept it waiting counts.
//!
//! Owns the loop that publishes one event at each arrival and says when it was meant, when it began and when it ended; and arrivals
//! at a fixed rate. Not here: arrivals out of a file (`replay`), what is made of the times (`run`).

use crate::{
    harness::Lane,
    path::{DispatchPath, Publisher},
    scenario::Event,
};
use std::{
    hint::{self, black_box},
    time::Instant,
};

/// When events are meant to start.
pub trait Arrivals: Send {
    /// Nanoseconds after the beginning at which the next event is meant to start, never less than the one before; none when it is
    /// over. Called between two events, outside of what is timed.
    fn next(&mut self) -> Option<u64>;
}

/// One event: nanoseconds after the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timed {
    /// When it was meant to start.
    pub intended: u64,
    /// When its publish began; at least `intended`.
    pub began: u64,
    /// When its publish returned.
    pub ended: u64,
}

impl Timed {
    /// From the intended start: a stall counts for every event that it delayed.
    pub const fn corrected(self) -> u64 {
        self.ended - self.intended
    }

    /// From the actual start.
    pub const fn raw(self) -> u64 {
        self.ended - self.began
    }

    /// How long after its intended start it began.
    pub const fn late(self) -> u64 {
        self.began - self.intended
    }
}

/// A lane whose events can be given their times.
pub trait PacedLane: Lane {
    /// Publishes one event at each arrival, on this thread, spinning until it is due, and tells `each` when; gives how many publishes
    /// were stopped, which is a fault of the lab unless it is none.
    fn pace(&self, begin: Instant, arrivals: &mut dyn Arrivals, each: &mut dyn FnMut(Timed)) -> u64;

    /// Registers one more subscriber and takes it out again, on this thread, while others publish; false where that cannot be done:
    /// see `PathName::can_change`.
    fn change(&self, salt: u64) -> bool;
}

impl<P: DispatchPath> PacedLane for P {
    fn pace(&self, begin: Instant, arrivals: &mut dyn Arrivals, each: &mut dyn FnMut(Timed)) -> u64 {
        publish_at::<P>(&mut self.publisher(), begin, arrivals, each)
    }

    fn change(&self, salt: u64) -> bool {
        DispatchPath::change(self, salt)
    }
}

/// Arrivals one period apart.
#[derive(Clone, Copy, Debug)]
pub struct Even {
    /// Events a second.
    pub rate: f64,
    /// The number of the next.
    pub next: u64,
    /// How many there are in all.
    pub count: u64,
}

impl Arrivals for Even {
    fn next(&mut self) -> Option<u64> {
        let index = self.next;
        self.next += 1;
        (index < self.count).then(|| (index as f64 * 1e9 / self.rate) as u64)
    }
}

/// The loop of [`PacedLane::pace`]. Never inlined, so that it is compiled once for each path, alone.
#[inline(never)]
fn publish_at<P: DispatchPath>(
    publisher: &mut P::Publisher<'_>,
    begin: Instant,
    arrivals: &mut dyn Arrivals,
    each: &mut dyn FnMut(Timed),
) -> u64 {
    let since = |begin: Instant| begin.elapsed().as_nanos() as u64;
    let mut stopped = 0;
    while let Some(intended) = arrivals.next() {
        let mut began = since(begin);
        while began < intended {
            hint::spin_loop();
            began = since(begin);
        }
        stopped += u64::from(!publisher.publish(black_box(P::Event::EVENT)));
        each(Timed { intended, began, ended: since(begin) });
    }
    stopped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::PathName;
    use std::{thread, time::Duration};

    #[test]
    fn an_event_that_was_kept_waiting_counts_from_its_intended_start() {
        let lane = PathName::Signalpost.lane(1);
        let mut times = Vec::new();
        let mut arrivals = Even { rate: 1_000.0, next: 0, count: 3 };
        lane.pace(Instant::now(), &mut arrivals, &mut |timed| {
            times.push(timed);
            if times.len() == 1 {
                thread::sleep(Duration::from_millis(5));
            }
        });
        // The second was meant for 1 ms and the third for 2 ms; both began after 5 ms at least.
        assert_eq!(times.len(), 3);
        assert!(times[1].corrected() >= 4_000_000 && times[2].late() >= 3_000_000, "{times:?}");
        assert!(times.iter().all(|timed| timed.raw() <= timed.corrected()));
    }
}
