//! How one batch of publishes is timed, the same compiled shape for every path.
//!
//! Owns the timed loop, its laps, and the gate that starts publishers together and keeps them all
//! publishing until the last has finished its laps.
//! Not here: which batch comes when (`rounds.rs`), on which thread (`crew.rs`).
//!
//! A batch is several laps and its time is the middle lap's: a lap in which the kernel gave the
//! core to somebody else falls out. Wall clock, not thread time, so that waiting for a lock counts.

use crate::{
    handicap,
    path::{DispatchPath, Publisher},
    scenario::Event,
    stats,
};
use std::{
    hint::{self, black_box},
    sync::atomic::{
        AtomicUsize,
        Ordering::{Acquire, Release},
    },
    thread,
    time::{Duration, Instant},
};

/// How much one publisher does between two looks at the clock, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Publishes in one lap.
    pub publishes: u64,
    /// Laps.
    pub laps: usize,
}

/// What a publisher measured in one batch.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Nanoseconds for one publish: the middle lap's.
    pub ns: f64,
    /// The time of all laps together.
    pub took: Duration,
    /// Publishes that a subscriber stopped; none does, so that anything else is a fault of the lab.
    pub stopped: u64,
}

/// A path with its subscribers, which can be timed by several publishers at once.
pub trait Lane: Send + Sync {
    /// Runs one publisher's batch on this thread, together with the gate's other publishers.
    fn measure(&self, gate: &Gate, batch: Batch) -> Measured;
}

impl<P: DispatchPath> Lane for P {
    fn measure(&self, gate: &Gate, batch: Batch) -> Measured {
        let mut publisher = self.publisher();
        if P::QUEUE > 0 {
            lap::<P>(&mut publisher, P::QUEUE);
        }
        timed(gate, batch, P::QUEUE, |publishes| lap::<P>(&mut publisher, publishes))
    }
}

/// How often a lap fills a queue at least.
pub(crate) const QUEUES: u64 = 8;

/// One publisher's batch: a warm-up, laps that begin together with the others', more until all others have ended theirs. A `lap` of
/// so many publishes says how long it took and how many were stopped.
///
/// Through a queue of so many places, which is full, a publish costs little or a long wait: the wait for many others, as its other
/// end takes many at once. A lap is then long enough for [`QUEUES`] of them, or it would be the one or the other by chance.
pub(crate) fn timed(
    gate: &Gate,
    batch: Batch,
    queue: u64,
    mut lap: impl FnMut(u64) -> (Duration, u64),
) -> Measured {
    let asked = batch.publishes;
    let batch = Batch { publishes: batch.publishes.max(QUEUES * queue), ..batch };
    let warm_up = (batch.publishes / 4).max(1);
    let (_, mut stopped) = lap(warm_up);
    gate.start();
    let publishes = handicap::of(batch.publishes);
    let mut laps = Vec::with_capacity(batch.laps);
    let mut took = Duration::ZERO;
    for _ in 0..batch.laps {
        let (time, stops) = lap(publishes);
        laps.push(time.as_nanos() as f64 / batch.publishes as f64);
        took += time;
        stopped += stops;
    }
    gate.finish();
    while !gate.all_finished() {
        stopped += lap(warm_up).1;
    }
    let ns = stats::median(&laps);
    if batch.publishes > asked {
        // Of as many as were asked for, not of those that made the laps longer.
        took = Duration::from_nanos((ns * (asked * batch.laps as u64) as f64) as u64);
    }
    Measured { ns, took, stopped }
}

/// The loop that is timed. Never inlined, so that it is compiled once for each path, alone.
#[inline(never)]
fn lap<P: DispatchPath>(publisher: &mut P::Publisher<'_>, publishes: u64) -> (Duration, u64) {
    let mut stopped = 0;
    let start = Instant::now();
    for _ in 0..publishes {
        stopped += u64::from(!publisher.publish(black_box(P::Event::EVENT)));
    }
    (start.elapsed(), stopped)
}

/// Where the publishers of a batch meet: once to start, once to end. For one batch only.
#[derive(Debug)]
pub struct Gate {
    publishers: usize,
    arrived: AtomicUsize,
    finished: AtomicUsize,
}

impl Gate {
    /// A gate for so many publishers.
    pub const fn new(publishers: usize) -> Self {
        Self { publishers, arrived: AtomicUsize::new(0), finished: AtomicUsize::new(0) }
    }

    /// Returns when all have arrived. Spins, because waking a thread takes as long as many laps.
    fn start(&self) {
        self.arrived.fetch_add(1, Release);
        let mut looks = 0_u32;
        while self.arrived.load(Acquire) < self.publishers {
            looks += 1;
            if looks.is_multiple_of(256) {
                thread::yield_now();
            } else {
                hint::spin_loop();
            }
        }
    }

    fn finish(&self) {
        self.finished.fetch_add(1, Release);
    }

    fn all_finished(&self) -> bool {
        self.finished.load(Acquire) >= self.publishers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::PathName;

    #[test]
    fn a_batch_of_every_path_reaches_everyone() {
        for name in PathName::ALL {
            let lane = name.lane(if name == PathName::Harness { 0 } else { 16 });
            let measured = lane.measure(&Gate::new(1), Batch { publishes: 3, laps: 2 });
            assert_eq!(measured.stopped, 0, "{name}");
            assert!(measured.ns > 0.0, "{name}");
        }
    }

    #[test]
    fn two_publishers_start_together_and_both_finish() {
        let (lane, gate) = (PathName::StdMutex.lane(4), Gate::new(2));
        let batch = Batch { publishes: 50, laps: 3 };
        thread::scope(|scope| {
            let other = scope.spawn(|| lane.measure(&gate, batch));
            assert_eq!(lane.measure(&gate, batch).stopped, 0);
            assert_eq!(other.join().unwrap().stopped, 0);
        });
        assert!(gate.all_finished());
    }

    #[test]
    fn a_lap_through_a_queue_fills_it_several_times_and_counts_as_what_was_asked_for() {
        let mut laps = Vec::new();
        let batch = Batch { publishes: 3, laps: 2 };
        let measured = timed(&Gate::new(1), batch, 10, |publishes| {
            laps.push(publishes);
            (Duration::from_nanos(publishes * 5), 0)
        });
        assert_eq!(laps, [10 * QUEUES / 4, 10 * QUEUES, 10 * QUEUES]);
        assert_eq!((measured.ns, measured.took), (5.0, Duration::from_nanos(3 * 2 * 5)));
    }
}
