//! Hand-off to another thread: one publisher, one receiver that polls, through our queues and through others' channels.
//!
//! Owns the paths and both measurements. *Throughput*: events as fast as they go, tried again where the queue is full,
//! until the last was received. *Publish*: events at a fixed rate that every path keeps up with, each timed. The
//! paths take turns within a round; a round's values are compared with each other, and the middle round's are shown.

use crate::{
    crew::{cores_apart, pin_to},
    progress::Progress,
    stats::{Shuffler, median},
    stop,
    table::{Cell, Colour, Table, Tone, nanoseconds},
    target::Target,
};
use core_affinity::CoreId;
use hdrhistogram::Histogram;
use serde::Serialize;
use signalpost::{Dispatcher, Full, FullRing, QueueFull};
use std::{
    hint,
    sync::atomic::{
        AtomicBool,
        Ordering::{Acquire, Release},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::sync::broadcast::error::TryRecvError;

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How often to measure each path.
    pub rounds: usize,
    /// Events of one measurement of throughput.
    pub events: u64,
    /// Events of one measurement of publishes, at [`RATE`].
    pub timed: u64,
    /// Decides the order within the rounds.
    pub seed: u64,
}

/// Events a second, where each publish is timed.
pub const RATE: u64 = 500_000;

/// Places in each queue.
const CAPACITY: usize = 1_024;

/// A way from one thread to another.
#[derive(Clone, Copy, Debug)]
struct Path {
    name: &'static str,
    /// What it leaves out that the first does.
    lacks: &'static str,
    start: fn() -> Ends,
}

/// Offers an event, and says whether it was taken; polls for one.
type Ends = (Box<dyn FnMut(u64) -> bool + Send>, Box<dyn FnMut() -> Option<u64> + Send>);

/// What every one of the others leaves out: these are bare channels, without a dispatcher before them.
const BARE: &str = "no publish to several subscribers in order, none can stop it";

const PATHS: [Path; 6] = [
    Path { name: QUEUE, lacks: "", start: queue },
    Path {
        name: RINGS,
        lacks: "one receiver; order within a thread only; the oldest cannot give way",
        start: rings,
    },
    Path { name: "crossbeam-channel", lacks: "the oldest cannot give way", start: crossbeam },
    Path { name: "std-sync-channel", lacks: "one receiver; the oldest cannot give way", start: std_mpsc },
    Path { name: "flume", lacks: "the oldest cannot give way; a lock at each event", start: flume_bounded },
    Path {
        name: "tokio-broadcast",
        lacks: "never full: the oldest give way, so some are lost here; each event to every receiver; a lock at each event",
        start: tokio_broadcast,
    },
];

const QUEUE: &str = "signalpost-queue";
const RINGS: &str = "signalpost-rings";

fn queue() -> Ends {
    let post: Dispatcher<u64, QueueFull> = Dispatcher::new();
    let receiver = post.subscribe_queue(CAPACITY, Full::stop());
    (Box::new(move |n| post.publish(&n).is_ok()), Box::new(move || receiver.try_recv().ok()))
}

fn rings() -> Ends {
    let post: Dispatcher<u64, QueueFull> = Dispatcher::new();
    let mut receiver = post.subscribe_rings(CAPACITY, FullRing::stop());
    (Box::new(move |n| post.publish(&n).is_ok()), Box::new(move || receiver.try_recv().ok()))
}

fn crossbeam() -> Ends {
    let (sender, receiver) = crossbeam_channel::bounded(CAPACITY);
    (Box::new(move |n| sender.try_send(n).is_ok()), Box::new(move || receiver.try_recv().ok()))
}

fn std_mpsc() -> Ends {
    let (sender, receiver) = std::sync::mpsc::sync_channel(CAPACITY);
    (Box::new(move |n| sender.try_send(n).is_ok()), Box::new(move || receiver.try_recv().ok()))
}

fn flume_bounded() -> Ends {
    let (sender, receiver) = flume::bounded(CAPACITY);
    (Box::new(move |n| sender.try_send(n).is_ok()), Box::new(move || receiver.try_recv().ok()))
}

fn tokio_broadcast() -> Ends {
    let (sender, mut receiver) = tokio::sync::broadcast::channel(CAPACITY);
    let poll = move || {
        loop {
            match receiver.try_recv() {
                Ok(n) => return Some(n),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    };
    (Box::new(move |n| sender.send(n).is_ok()), Box::new(poll))
}

/// One path's middle round.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its name.
    pub path: &'static str,
    /// What it does not do; empty for the one that the others are compared with.
    pub lacks: &'static str,
    /// Events received in a second, from the first publish to the last receipt.
    pub events_per_second: f64,
    /// Of 100 events, how many were not received.
    pub lost_percent: f64,
    /// Half of the publishes took less, at a fixed rate; a look at the clock included.
    pub publish_p50_ns: f64,
    /// 99 of 100.
    pub publish_p99_ns: f64,
    /// 999 of 1000.
    pub publish_p999_ns: f64,
    /// What these are the middle of.
    #[serde(skip)]
    pub rounds: Vec<Sample>,
}

/// What came out.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// How often each path was measured.
    pub rounds: usize,
    /// Whether publisher and receiver had a core each.
    pub apart: bool,
    /// The paths.
    pub paths: Vec<Row>,
}

/// One path in one round.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Events received in a second.
    pub rate: f64,
    /// Of 100 events, how many were not received.
    pub lost: f64,
    /// Half of the publishes took less; in nanoseconds, as the others.
    pub p50: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1000.
    pub p999: f64,
}

impl Settings {
    /// Measures every path in every round.
    pub fn run(&self, progress: &Progress) -> Outcome {
        progress.start(self.rounds as u64);
        progress.step("hand-off to another thread");
        let cores = cores_apart();
        let mut samples = vec![Vec::new(); PATHS.len()];
        let mut order: Vec<usize> = (0..PATHS.len()).collect();
        let mut shuffler = Shuffler::new(self.seed);
        for _ in stop::rounds(self.rounds) {
            shuffler.shuffle(&mut order);
            for &index in &order {
                let (rate, lost) = throughput(PATHS[index].start, self.events, &cores);
                let latency = publishes(PATHS[index].start, self.timed, &cores);
                let at = |q| latency.value_at_quantile(q) as f64;
                samples[index].push(Sample { rate, lost, p50: at(0.5), p99: at(0.99), p999: at(0.999) });
            }
            progress.advance();
        }
        progress.finish();
        let paths = PATHS.iter().zip(&samples).map(|(path, samples)| row(path, samples)).collect();
        Outcome { rounds: samples[0].len(), apart: cores.len() > 1, paths }
    }
}

fn row(path: &Path, samples: &[Sample]) -> Row {
    let middle = |of: fn(&Sample) -> f64| median(&samples.iter().map(of).collect::<Vec<_>>());
    Row {
        path: path.name,
        lacks: path.lacks,
        events_per_second: middle(|sample| sample.rate),
        lost_percent: middle(|sample| sample.lost),
        publish_p50_ns: middle(|sample| sample.p50),
        publish_p99_ns: middle(|sample| sample.p99),
        publish_p999_ns: middle(|sample| sample.p999),
        rounds: samples.to_vec(),
    }
}

/// Runs a publisher and a receiver, which polls until it has the last event, on a core each.
///
/// Returns what the publisher said, how many events were received, and when the last was.
fn together<R: Send>(
    start: fn() -> Ends,
    last: u64,
    cores: &[CoreId],
    publish: impl FnOnce(&mut dyn FnMut(u64) -> bool) -> R + Send,
) -> (R, u64, Instant) {
    let (mut offer, mut poll) = start();
    let ready = AtomicBool::new(false);
    thread::scope(|scope| {
        let receiver = scope.spawn(|| {
            pin_to(cores.get(1).copied());
            ready.store(true, Release);
            let (mut received, mut idle) = (0, Idle::default());
            loop {
                match poll() {
                    Some(n) => {
                        idle = Idle::default();
                        received += 1;
                        if n == last {
                            return (received, Instant::now());
                        }
                    }
                    None => idle.spin(),
                }
            }
        });
        let publisher = scope.spawn(|| {
            pin_to(cores.first().copied());
            while !ready.load(Acquire) {
                thread::yield_now();
            }
            publish(&mut *offer)
        });
        let said = publisher.join().expect("the publisher does not panic");
        let (received, at) = receiver.join().expect("the receiver does not panic");
        (said, received, at)
    })
}

/// Looks less often the longer there is nothing: up to 64 pauses of the processor between two looks, so that a look does not
/// take the other side's cache lines away each time. The same for every path.
#[derive(Debug, Default)]
struct Idle(u32);

impl Idle {
    fn spin(&mut self) {
        (0..1_u32 << self.0.min(6)).for_each(|_| hint::spin_loop());
        self.0 += 1;
        if self.0.is_multiple_of(1_024) {
            thread::yield_now(); // the other side may have no core of its own
        }
    }
}

/// Events received in a second, and how many of 100 were not.
fn throughput(start: fn() -> Ends, events: u64, cores: &[CoreId]) -> (f64, f64) {
    let (began, received, ended) = together(start, events - 1, cores, |offer| {
        let began = Instant::now();
        for n in 0..events {
            let mut idle = Idle::default();
            while !offer(n) {
                idle.spin();
            }
        }
        began
    });
    let seconds = ended.duration_since(began).as_secs_f64().max(1e-9);
    (received as f64 / seconds, 100.0 * (events - received) as f64 / events as f64)
}

/// How long each publish took, at the fixed rate.
fn publishes(start: fn() -> Ends, events: u64, cores: &[CoreId]) -> Histogram<u64> {
    let gap = Duration::from_nanos(1_000_000_000 / RATE);
    let (histogram, ..) = together(start, events - 1, cores, |offer| {
        let mut histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("these are bounds");
        let mut due = Instant::now();
        for n in 0..events {
            due += gap;
            let mut before = Instant::now();
            while before < due {
                hint::spin_loop();
                before = Instant::now();
            }
            // Behind after an interruption: goes on from here, so that it does not publish in bursts.
            due = before;
            while !offer(n) {} // the receiver is behind: that counts
            let took = before.elapsed();
            histogram.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1));
        }
        histogram
    });
    histogram
}

impl Outcome {
    /// For people.
    pub fn report(&self, colour: Colour) -> String {
        let title = "Hand-off to another thread: 1 publisher, 1 receiver that polls";
        let mut table = Table::headed([
            "path",
            "million a second",
            "ns an event",
            "publish p50",
            "p99",
            "p99.9 ns",
            "lost",
        ]);
        let best = self.paths.iter().map(|row| row.events_per_second).fold(0.0, f64::max);
        for row in &self.paths {
            let rate = format!("{:.1}", row.events_per_second / 1e6);
            table.row([
                row.path.into(),
                if row.events_per_second == best { Cell::toned(Tone::Good, rate) } else { rate.into() },
                nanoseconds(1e9 / row.events_per_second).into(),
                nanoseconds(row.publish_p50_ns).into(),
                nanoseconds(row.publish_p99_ns).into(),
                nanoseconds(row.publish_p999_ns).into(),
                match row.lost_percent {
                    0.0 => Cell::toned(Tone::Quiet, "-"),
                    lost => format!("{lost:.0} %").into(),
                },
            ]);
        }
        let mut text = format!("\n{}\n{}", colour.paint(Tone::Good, title), table.render(colour));
        text += &format!(
            "  Middle of {} rounds, queues of {CAPACITY}. Left: as fast as it goes. Right: one publish, at {} a second, the \
             clock included.\n  What each does not do, beside the first:\n",
            self.rounds,
            crate::table::grouped(RATE as usize),
        );
        for row in self.paths.iter().filter(|row| !row.lacks.is_empty()) {
            let bare = if row.path == RINGS { String::new() } else { format!("; {BARE}") };
            text += &format!("    {}: {}{bare}\n", row.path, row.lacks);
        }
        if !self.apart {
            text += "  One core for both: a queue's two ends cannot run at once here.\n";
        }
        text
    }

    /// What hand-off must reach; nothing where the two have no core each.
    pub fn targets(&self) -> Vec<Target> {
        let Some(queue) = self.paths.iter().find(|row| row.path == QUEUE).filter(|_| self.apart) else {
            return Vec::new();
        };
        let (rate, p999) = (queue.events_per_second / 1e6, queue.publish_p999_ns);
        vec![
            Target::at_least("hand-off through one queue, millions of events a second", rate, 10.0, ""),
            Target::at_most("hand-off, 999 of 1000 publishes, the receiver polls", p999, 1_000.0, "ns"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_hands_the_last_event_over_and_all_but_broadcast_every_one() {
        let outcome = Settings { rounds: 1, events: 5_000, timed: 50, seed: 3 }.run(&Progress::silent());
        assert_eq!(outcome.paths.len(), PATHS.len());
        for row in &outcome.paths {
            assert!(row.events_per_second > 0.0 && row.publish_p999_ns >= row.publish_p50_ns, "{row:?}");
            assert!(row.lost_percent == 0.0 || row.path == "tokio-broadcast", "{row:?}");
        }
        let report = outcome.report(Colour(false));
        assert!(PATHS.iter().all(|path| report.contains(path.name)), "{report}");
    }

    #[test]
    fn targets_are_the_queues_and_only_with_a_core_for_each_end() {
        let sample = Sample { rate: 12e6, p999: 1_500.0, ..Sample::default() };
        let paths = vec![row(&PATHS[1], &[Sample::default()]), row(&PATHS[0], &[sample])];
        let outcome = Outcome { rounds: 1, apart: true, paths };
        let met: Vec<_> = outcome.targets().iter().map(|target| target.met).collect();
        assert_eq!(met, [true, false]);
        assert!(Outcome { apart: false, ..outcome }.targets().is_empty());
    }
}
