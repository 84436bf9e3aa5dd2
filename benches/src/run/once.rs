//! One repeat of a case: threads that publish, and perhaps one that registers, from warm-up to end.
//!
//! Owns the threads, when they begin, and when there is no hope to keep a rate. Not here: the loops (`pace.rs`), what is recorded
//! (`record.rs`), which repeat comes when (`sweep.rs`).

use super::{
    case::Case,
    log::{Collector, Intervals, Log, intervals},
    rate::Rate,
    record::Recorder,
};
use crate::{
    crew::{cores_apart, pin_to},
    pace::{Arrivals, Even, PacedLane, at_rate},
    stop,
};
use std::{
    hint,
    sync::{
        Barrier, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

/// One repeat.
#[derive(Clone, Copy, Debug)]
pub struct Once {
    /// What is measured.
    pub case: Case,
    /// Publishes in a batch, where it is a closed loop.
    pub batch: u64,
    /// How long it is measured.
    pub time: Duration,
    /// How long it publishes before.
    pub warmup: Duration,
    /// Whether each thread keeps to a core of its own.
    pub pinned: bool,
}

/// What came out of it.
#[derive(Debug)]
pub struct Taken {
    /// All publishers', merged.
    pub recorder: Recorder,
    /// Registrations, each cancelled.
    pub changes: u64,
    /// Threads that the system did not bind to their core.
    pub unbound: usize,
    /// Whether it was asked to stop before the end.
    pub broken_off: bool,
    /// Why the interval log could not be written, in words.
    pub failed: Option<String>,
}

/// An interval log with the tag of this case, and the length of its intervals.
#[derive(Debug)]
pub struct Logged<'a, 'log> {
    /// Where to.
    pub log: &'a mut Log<'log>,
    /// The case in the log.
    pub tag: &'a str,
    /// How long an interval is.
    pub interval: Duration,
}

/// From when the first thread is ready to the beginning: the others wake up meanwhile.
const LEAD: Duration = Duration::from_millis(1);

/// What the threads of a repeat share.
struct Shared {
    ready: Barrier,
    begin: OnceLock<Instant>,
    /// There is no hope to keep the rate, or no more use in it.
    enough: AtomicBool,
    hopeless: AtomicBool,
    over: AtomicBool,
}

impl Once {
    /// Measures.
    ///
    /// # Panics
    /// When a publish was stopped, or a thread panicked: faults of the lab.
    pub fn take(&self, lane: &dyn PacedLane, mut logged: Option<Logged<'_, '_>>) -> Taken {
        let Case { publishers, churn, .. } = self.case;
        let cores = if self.pinned { cores_apart() } else { Vec::new() };
        let shared = Shared {
            ready: Barrier::new(self.case.threads()),
            begin: OnceLock::new(),
            enough: AtomicBool::new(false),
            hopeless: AtomicBool::new(false),
            over: AtomicBool::new(false),
        };
        let logs = logged.as_ref().map(|logged| intervals(logged.interval, publishers));
        let (sources, mut collector) = logs.unzip();
        let mut sources = sources.unwrap_or_default().into_iter();
        thread::scope(|scope| {
            let (cores, shared) = (&cores, &shared);
            let bind = move |index: usize| cores.get(index).is_none_or(|core| pin_to(Some(*core)));
            let registering = (churn > 0).then(|| {
                scope.spawn(move || {
                    let bound = bind(publishers);
                    shared.ready.wait();
                    (register(lane, churn, &shared.over), bound)
                })
            });
            let publishing: Vec<_> = (0..publishers)
                .map(|index| {
                    let intervals = sources.next();
                    scope.spawn(move || {
                        let bound = bind(index);
                        (self.publish(lane, index as u64, shared, intervals), bound)
                    })
                })
                .collect();
            let failed = match (&mut logged, &mut collector) {
                (Some(logged), Some(collector)) => follow(logged, collector, shared, self.time).err(),
                _ => None,
            };
            let mut taken =
                Taken { recorder: self.recorder(), changes: 0, unbound: 0, broken_off: false, failed };
            for (index, publisher) in publishing.into_iter().enumerate() {
                let (recorder, bound) = publisher.join().expect("publishing does not panic");
                taken.unbound += usize::from(!bound);
                match index {
                    0 => taken.recorder = recorder,
                    _ => taken.recorder.add_beside(&recorder),
                }
            }
            shared.over.store(true, Relaxed);
            if let Some(registering) = registering {
                let (changes, bound) = registering.join().expect("registering does not panic");
                taken.changes = changes;
                taken.unbound += usize::from(!bound);
            }
            taken.broken_off = stop::is_asked() || taken.failed.is_some();
            taken
        })
    }

    fn recorder(&self) -> Recorder {
        match self.case.rate {
            Rate::Max => Recorder::closed(self.batch),
            Rate::Fixed(rate) => Recorder::paced((1e9 / rate) as u64),
        }
    }

    /// One publisher: warms up, meets the others, and publishes.
    fn publish(
        &self,
        lane: &dyn PacedLane,
        index: u64,
        shared: &Shared,
        mut intervals: Option<Intervals>,
    ) -> Recorder {
        let mut recorder = self.recorder();
        let mut stopped = self.warm_up(lane, &mut recorder);
        recorder.clear();
        shared.ready.wait();
        let begin = *shared.begin.get_or_init(|| Instant::now() + LEAD);
        while Instant::now() < begin {
            hint::spin_loop();
        }
        let time_ns = self.time.as_nanos() as u64;
        stopped += match self.case.rate {
            Rate::Max => lane.press(begin, self.batch, &mut |timed| {
                recorder.record(timed, intervals.as_mut());
                timed.ended < time_ns && !shared.enough.load(Relaxed) && !stop::is_asked()
            }),
            Rate::Fixed(rate) => {
                let (count, publishers) = (self.count(rate), self.case.publishers as u64);
                let even = Even::new(rate, count).share(index, publishers);
                let hopeless_ns = time_ns + time_ns.max(1_000_000_000);
                let mut arrivals = Until { even, enough: &shared.enough };
                let stopped = lane.pace(begin, &mut arrivals, &mut |timed| {
                    recorder.record(timed, intervals.as_mut());
                    if timed.ended > hopeless_ns {
                        shared.hopeless.store(true, Relaxed);
                        shared.enough.store(true, Relaxed);
                    }
                });
                if shared.hopeless.load(Relaxed) && !stop::is_asked() {
                    let share = count.saturating_sub(index).div_ceil(publishers);
                    recorder.give_up(share.saturating_sub(recorder.events()));
                } else if !stop::is_asked() && !shared.enough.load(Relaxed) {
                    recorder.lasted(time_ns);
                }
                stopped
            }
        };
        assert_eq!(stopped, 0, "no subscriber of the lab stops an event");
        recorder
    }

    /// Events in all, at a fixed rate.
    fn count(&self, rate: f64) -> u64 {
        ((rate * self.time.as_secs_f64()).round() as u64).max(1)
    }

    /// Does the same for a while, so that code, data and histograms are where they are needed.
    fn warm_up(&self, lane: &dyn PacedLane, recorder: &mut Recorder) -> u64 {
        let warmup_ns = self.warmup.as_nanos() as u64;
        match self.case.rate {
            Rate::Max => lane.press(Instant::now(), self.batch, &mut |timed| {
                recorder.record(timed, None);
                timed.ended < warmup_ns && !stop::is_asked()
            }),
            Rate::Fixed(rate) => {
                let rate = rate / self.case.publishers as f64;
                let count = ((rate * self.warmup.as_secs_f64()) as u64).max(1);
                let enough = AtomicBool::new(false);
                let mut arrivals = Until { even: Even::new(rate, count), enough: &enough };
                lane.pace(Instant::now(), &mut arrivals, &mut |timed| {
                    recorder.record(timed, None);
                    if timed.ended > warmup_ns {
                        enough.store(true, Relaxed);
                    }
                })
            }
        }
    }
}

/// Arrivals until somebody says that it is enough.
struct Until<'a> {
    even: Even,
    enough: &'a AtomicBool,
}

impl Arrivals for Until<'_> {
    fn next(&mut self) -> Option<u64> {
        if self.enough.load(Relaxed) { None } else { self.even.next() }
    }
}

/// Registers and cancels until the publishers are done; how often.
fn register(lane: &dyn PacedLane, rate: u32, over: &AtomicBool) -> u64 {
    let mut changes = 0;
    let go_on = || !over.load(Relaxed);
    at_rate(rate, go_on, |_| {
        assert!(lane.change(changes), "paths that cannot change are refused");
        changes += 1;
        go_on()
    });
    changes
}

/// Writes intervals as they become complete, until the publishers are done.
fn follow(
    logged: &mut Logged<'_, '_>,
    collector: &mut Collector,
    shared: &Shared,
    time: Duration,
) -> Result<(), String> {
    // Polled, because to be woken would cost the publisher a system call.
    let pause = (logged.interval / 4).clamp(Duration::from_millis(2), Duration::from_millis(50));
    loop {
        let written = collector.collect(|start, length, latencies| {
            let begin = *shared.begin.get().expect("what was recorded has begun");
            // Events were asked for until the end, also if the last was before.
            let length = length.max(logged.interval.min(time.saturating_sub(start)));
            logged.log.write(logged.tag, begin, (start, length), latencies)
        });
        match written {
            Ok(true) => thread::sleep(pause),
            Ok(false) => return Ok(()),
            Err(error) => {
                shared.enough.store(true, Relaxed);
                return Err(error);
            }
        }
    }
}

/// Publishes between two looks at the clock, so that they last for ten looks at least: then the clock is a tenth of it at most. And
/// enough of them for a queue, if there is one.
pub fn batch(lane: &dyn PacedLane, clock_ns: f64) -> u64 {
    const LOOKS: f64 = 10.0;
    /// Beyond this a publish takes no time at all, and any batch will do.
    const MOST: u64 = 1 << 20;
    let mut batch = lane.least_batch();
    loop {
        let (mut fastest, mut laps) = (u64::MAX, 0);
        lane.press(Instant::now(), batch, &mut |timed| {
            fastest = fastest.min(timed.raw());
            laps += 1;
            laps < 50
        });
        // The time of a batch has one look in it.
        let publishing = (fastest as f64 - clock_ns).max(0.1);
        if publishing >= LOOKS * clock_ns || batch >= MOST {
            return batch;
        }
        let wanted = batch as f64 * LOOKS * clock_ns / publishing * 1.05;
        batch = (wanted.ceil() as u64).clamp(batch + 1, batch * 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{harness, pace, path::PathName};

    fn once(rate: Rate) -> Once {
        let case = Case { path: PathName::Signalpost, subscribers: 4, publishers: 1, rate, churn: 0 };
        let (time, warmup) = (Duration::from_millis(20), Duration::from_millis(1));
        Once { case, batch: 8, time, warmup, pinned: true }
    }

    fn take(once: Once) -> Taken {
        once.take(&*once.case.path.lane(once.case.subscribers), None)
    }

    #[test]
    fn at_a_fixed_rate_every_event_is_published_once_however_many_publishers_share_them() {
        for publishers in [1, 2, 3] {
            let mut once = once(Rate::Fixed(10_000.0));
            once.case.publishers = publishers;
            let summary = take(once).recorder.summary();
            assert_eq!((summary.events, summary.never_begun), (200, 0), "{publishers}");
            assert!(summary.seconds >= 0.02 && summary.throughput <= 10_000.0, "{summary:?}");
        }
    }

    #[test]
    fn a_closed_loop_publishes_whole_batches_for_the_time_given() {
        let summary = take(once(Rate::Max)).recorder.summary();
        assert!(summary.events >= 8 && summary.events.is_multiple_of(8), "{summary:?}");
        assert!(summary.missed.is_none() && summary.throughput > 0.0);
    }

    #[test]
    fn what_is_registered_meanwhile_is_counted_and_gone_at_the_end() {
        let mut once = once(Rate::Fixed(10_000.0));
        once.case.churn = 5_000;
        let taken = take(once);
        assert!(taken.changes > 0 && !taken.broken_off);
        assert_eq!(taken.recorder.events(), 200);
    }

    #[test]
    fn every_path_can_be_run_both_ways_and_with_registrations_where_it_says_that_it_can_change() {
        for path in PathName::ALL {
            let subscribers = crate::path::MIXED_FROM;
            let lane = path.lane(subscribers);
            for rate in [Rate::Max, Rate::Fixed(10_000.0)] {
                let mut once = once(rate);
                let churn = if path.can_change() { 1_000 } else { 0 };
                once.case = Case { path, subscribers, churn, ..once.case };
                once.time = Duration::from_millis(5);
                let taken = once.take(&*lane, None);
                assert!(taken.recorder.events() >= 8, "{path}");
                assert_eq!(taken.changes > 0, path.can_change(), "{path}");
            }
        }
    }

    #[test]
    fn a_rate_that_nothing_can_keep_ends_and_what_was_never_begun_is_missed() {
        let mut once = once(Rate::Fixed(1e9));
        once.time = Duration::from_millis(100); // a hundred million events: more than two seconds of work
        let summary = take(once).recorder.summary();
        assert!(summary.never_begun > 0, "{summary:?}");
        assert_eq!(summary.events + summary.never_begun, 100_000_000);
        assert!(summary.missed_percent > Some(90.0), "{summary:?}");
    }

    #[test]
    fn a_batch_goes_through_a_queue_many_times_so_that_its_mean_is_what_a_publish_costs() {
        for path in [PathName::CrossbeamChannel, PathName::Flume, PathName::Disruptor] {
            let lane = path.lane(1);
            let places = lane.least_batch() / harness::QUEUES;
            assert!(places > 1, "{path}");
            assert!(batch(&*lane, 0.0) >= 8 * places, "{path}");
        }
        assert_eq!(PathName::StdMutex.lane(1).least_batch(), 1);
    }

    #[test]
    fn a_batch_lasts_ten_looks_and_is_one_where_a_publish_does() {
        let clock_ns = pace::clock_cost_ns();
        assert_eq!(batch(&*PathName::Signalpost.lane(10_000), clock_ns), 1);
        assert!(batch(&*PathName::RawLoop.lane(0), clock_ns) > 1);
    }
}
