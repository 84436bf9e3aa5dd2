//! Events at given times: each has an *intended* start, and what kept it waiting counts.
//!
//! Owns the loop that publishes one event at each arrival and says when it was meant, when it began and when it ended; arrivals at a
//! fixed rate; the loop that publishes one batch after another (closed loop); what a look at the clock costs; and the histogram
//! that latencies go into. Not here: arrivals out of a file (`replay`), what is made of the times (`run`).

use crate::{
    harness::{Lane, QUEUES},
    path::{DispatchPath, Publisher},
    scenario::Event,
    stats, stop,
};
use hdrhistogram::Histogram;
use std::{
    hint::{self, black_box},
    time::{Duration, Instant},
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
    /// were stopped, which is a fault of the lab unless it is none. Ends at once when it is asked to stop.
    fn pace(&self, begin: Instant, arrivals: &mut dyn Arrivals, each: &mut dyn FnMut(Timed)) -> u64;

    /// Publishes that a batch of a closed loop has at least: less in a queue that is full cost little or one long wait, by chance.
    fn least_batch(&self) -> u64;

    /// Registers one more subscriber and takes it out again, on this thread, while others publish; false where that cannot be done:
    /// see `PathName::can_change`.
    fn change(&self, salt: u64) -> bool;

    /// Publishes `batch` events between two looks at the clock, and again, until `each` says false, which is told when the batch
    /// began and ended; what `each` does is outside of both. Gives how many publishes were stopped, as [`pace`](Self::pace).
    fn press(&self, begin: Instant, batch: u64, each: &mut dyn FnMut(Timed) -> bool) -> u64;
}

impl<P: DispatchPath> PacedLane for P {
    fn pace(&self, begin: Instant, arrivals: &mut dyn Arrivals, each: &mut dyn FnMut(Timed)) -> u64 {
        publish_at::<P>(&mut self.publisher(), begin, arrivals, each)
    }

    fn least_batch(&self) -> u64 {
        (QUEUES * P::QUEUE).max(1)
    }

    fn change(&self, salt: u64) -> bool {
        DispatchPath::change(self, salt)
    }

    fn press(&self, begin: Instant, batch: u64, each: &mut dyn FnMut(Timed) -> bool) -> u64 {
        publish_batches::<P>(&mut self.publisher(), begin, batch, each)
    }
}

/// Arrivals one period apart, or every n-th of them.
#[derive(Clone, Copy, Debug)]
pub struct Even {
    period_ns: f64,
    next: u64,
    step: u64,
    count: u64,
}

impl Even {
    /// So many events in all, `rate` of them a second.
    pub fn new(rate: f64, count: u64) -> Self {
        Self { period_ns: 1e9 / rate, next: 0, step: 1, count }
    }

    /// Those of them that are this publisher's, when several share them in turn: together they keep the rate.
    #[must_use]
    pub const fn share(self, publisher: u64, publishers: u64) -> Self {
        Self { next: publisher, step: publishers, ..self }
    }
}

impl Arrivals for Even {
    fn next(&mut self) -> Option<u64> {
        let index = self.next;
        self.next += self.step;
        (index < self.count).then_some((index as f64 * self.period_ns) as u64)
    }
}

/// Does `work` so often a second, told when each was meant to start, until it says false; or, while it waits, `go_on` does. Late work
/// is caught up with at once.
pub(crate) fn at_rate(rate: u32, go_on: impl Fn() -> bool, mut work: impl FnMut(Instant) -> bool) {
    let interval = 1_000_000_000 / u64::from(rate);
    let start = Instant::now();
    for index in 0.. {
        let intended = start + Duration::from_nanos(index * interval);
        while Instant::now() < intended {
            if !go_on() {
                return;
            }
            hint::spin_loop();
        }
        if !work(intended) {
            return;
        }
    }
}

/// What latencies are recorded in: up to an hour, to three digits; of the same size however many there are.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("the bounds are valid")
}

/// What one look at the clock costs: the middle of several means of many, since this thread may lose its core in one of them.
pub(crate) fn clock_cost_ns() -> f64 {
    const LOOKS: u32 = 1_000;
    let mean = |_| {
        let start = Instant::now();
        for _ in 0..LOOKS {
            black_box(Instant::now());
        }
        start.elapsed().as_nanos() as f64 / f64::from(LOOKS)
    };
    stats::median(&(0..11).map(mean).collect::<Vec<_>>())
}

/// The loop of [`PacedLane::pace`]. Never inlined, so that it is compiled once for each path, alone.
#[inline(never)]
fn publish_at<P: DispatchPath>(
    publisher: &mut P::Publisher<'_>,
    begin: Instant,
    arrivals: &mut dyn Arrivals,
    each: &mut dyn FnMut(Timed),
) -> u64 {
    let mut stopped = 0;
    while let Some(intended) = arrivals.next() {
        let mut began = since(begin);
        while began < intended && !stop::is_asked() {
            hint::spin_loop();
            began = since(begin);
        }
        if stop::is_asked() {
            break;
        }
        stopped += u64::from(!publisher.publish(black_box(P::Event::EVENT)));
        each(Timed { intended, began, ended: since(begin) });
    }
    stopped
}

/// The loop of [`PacedLane::press`]. Never inlined, as [`publish_at`].
#[inline(never)]
fn publish_batches<P: DispatchPath>(
    publisher: &mut P::Publisher<'_>,
    begin: Instant,
    batch: u64,
    each: &mut dyn FnMut(Timed) -> bool,
) -> u64 {
    let mut stopped = 0;
    loop {
        let began = since(begin);
        for _ in 0..batch {
            stopped += u64::from(!publisher.publish(black_box(P::Event::EVENT)));
        }
        if !each(Timed { intended: began, began, ended: since(begin) }) {
            return stopped;
        }
    }
}

/// Nanoseconds since `begin`; none before it.
fn since(begin: Instant) -> u64 {
    begin.elapsed().as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::PathName;
    use std::{iter, thread};

    #[test]
    fn an_event_that_was_kept_waiting_counts_from_its_intended_start() {
        let lane = PathName::Signalpost.lane(1);
        let mut times = Vec::new();
        let mut arrivals = Even::new(1_000.0, 3);
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

    #[test]
    fn publishers_share_the_arrivals_in_turn_and_leave_none_out() {
        let all = Even::new(1e6, 7);
        let times = |mut arrivals: Even| iter::from_fn(move || arrivals.next()).collect::<Vec<_>>();
        assert_eq!(times(all), [0, 1_000, 2_000, 3_000, 4_000, 5_000, 6_000]);
        assert_eq!(times(all.share(0, 3)), [0, 3_000, 6_000]);
        assert_eq!(times(all.share(1, 3)), [1_000, 4_000]);
        assert_eq!(times(all.share(2, 3)), [2_000, 5_000]);
    }

    #[test]
    fn a_closed_loop_goes_on_until_it_is_told_to_end_and_batches_do_not_overlap() {
        let lane = PathName::Signalpost.lane(1);
        let mut times = Vec::new();
        let stopped = lane.press(Instant::now(), 10, &mut |timed| {
            times.push(timed);
            times.len() < 4
        });
        assert_eq!((times.len(), stopped), (4, 0));
        assert!(times.windows(2).all(|pair| pair[0].ended <= pair[1].began), "{times:?}");
        assert!(times.iter().all(|timed| timed.late() == 0));
    }

    #[test]
    fn work_at_a_rate_that_was_kept_waiting_is_caught_up_with() {
        let mut waits = Vec::new();
        let work = |intended: Instant| {
            waits.push(intended.elapsed());
            if waits.len() == 1 {
                thread::sleep(Duration::from_millis(5));
            }
            waits.len() < 3
        };
        at_rate(1_000, || true, work);
        // The second was meant for 1 ms and the third for 2 ms; both started after 5 ms at least.
        assert!(waits[1] >= Duration::from_millis(4), "{waits:?}");
        assert!(waits[2] >= Duration::from_millis(3), "{waits:?}");
    }
}
