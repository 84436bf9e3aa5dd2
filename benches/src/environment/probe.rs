//! What can be found out about this machine by trying: its clock, what it takes away from a thread that spins, how well work repeats.
//!
//! Owns the trials; each takes a fraction of a second. Not here: what they mean (`verdict.rs`).

use crate::{
    crew::{cores_apart, pin_to},
    harness,
    pace::clock_cost_ns,
    path::PathName,
    stats::quantile,
};
use serde::Serialize;
use std::{
    fs, hint,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

/// How long the trials take.
#[derive(Clone, Copy, Debug)]
pub struct Lengths {
    /// Spinning on one core.
    pub spin: Duration,
    /// Spinning on all cores at once, and before that on one.
    pub together: Duration,
    /// Batches of the same work.
    pub batches: usize,
}

impl Lengths {
    /// A second in all; quick, a third of that.
    pub const fn of(quick: bool) -> Self {
        let ms = Duration::from_millis;
        match quick {
            true => Self { spin: ms(100), together: ms(50), batches: 21 },
            false => Self { spin: ms(200), together: ms(200), batches: 61 },
        }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Probe {
    /// Whether threads can be bound to cores.
    pub pinning: bool,
    /// What a look at the clock costs.
    pub clock_cost_ns: f64,
    /// The smallest step of the clock that was seen.
    pub clock_step_ns: u64,
    /// What spinning on one core was like.
    pub spin: Spin,
    /// Cores' worth of work that threads on all cores got done at once: fewer than cores where these share something.
    pub cores_at_once: f64,
    /// Threads that tried.
    pub threads_at_once: usize,
    /// A publish of signalpost to 16 subscribers, in batches: the middle one.
    pub publish_ns: f64,
    /// How far apart the quarters of these batches are, of a hundred.
    pub repeats_within_percent: f64,
    /// Of a hundred parts of the machine's time during the trials, those that its host gave to others; none where it does not say.
    pub steal_percent: Option<f64>,
}

/// A thread that looks at the clock and does nothing else: what it misses, the machine took.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Spin {
    /// How long it spun.
    pub took_ns: u64,
    /// The longest time between two looks.
    pub longest_gap_ns: u64,
    /// Times between two looks above 10 µs.
    pub gaps_over_10us: usize,
    /// All times between two looks above 1 µs, together.
    pub away_ns: u64,
    /// What they alone add to latencies at a fixed rate, without any work: to the 99th percentile ...
    pub floor_p99_ns: u64,
    /// ... to the 99.9th ...
    pub floor_p999_ns: u64,
    /// ... and to the 99.99th.
    pub floor_p9999_ns: u64,
    /// Times that the system gave the core to another thread; none where it does not say.
    pub switched_away: Option<u64>,
}

impl Probe {
    /// Tries everything.
    pub fn this(lengths: Lengths) -> Self {
        let before = fs::read_to_string("/proc/stat").ok();
        let cores = cores_apart();
        let first = cores.first().copied();
        let (pinning, spin, clock_step_ns, batches) = on_its_own(move || {
            let pinning = pin_to(first);
            (pinning, spin(lengths.spin), clock_step(), batches(lengths.batches))
        });
        let one = at_once(1, lengths.together);
        let threads_at_once = cores.len().clamp(1, 256);
        let all = at_once(threads_at_once, lengths.together);
        let after = fs::read_to_string("/proc/stat").ok();
        let middle = quantile(&batches, 0.5);
        Self {
            pinning,
            clock_cost_ns: clock_cost_ns(),
            clock_step_ns,
            spin,
            cores_at_once: all / one,
            threads_at_once,
            publish_ns: middle,
            repeats_within_percent: 100.0 * (quantile(&batches, 0.75) - quantile(&batches, 0.25)) / middle,
            steal_percent: before.zip(after).and_then(|(before, after)| steal(&before, &after)),
        }
    }
}

/// Does something on a thread that ends with it: it may bind itself to a core.
fn on_its_own<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(work).join().expect("a trial does not panic"))
}

/// The smallest difference between two looks at the clock that is not nought.
fn clock_step() -> u64 {
    let (mut step, mut last) = (u64::MAX, Instant::now());
    for _ in 0..100_000 {
        let now = Instant::now();
        let between = now.duration_since(last).as_nanos() as u64;
        if between > 0 {
            step = step.min(between);
        }
        last = now;
    }
    step
}

fn spin(length: Duration) -> Spin {
    const GAP_NS: u64 = 1_000;
    // Ten times as many as a busy machine has; what is more than that is in the longest and the sum.
    let mut gaps = Vec::with_capacity(100_000);
    let switched = involuntary();
    let begin = Instant::now();
    let (mut last, end) = (0, length.as_nanos() as u64);
    while last < end {
        let now = begin.elapsed().as_nanos() as u64;
        if now - last > GAP_NS && gaps.len() < gaps.capacity() {
            gaps.push(now - last);
        }
        last = now;
    }
    let after = involuntary();
    let floor = |quantile| floor_ns(&gaps, last, quantile);
    Spin {
        took_ns: last,
        longest_gap_ns: gaps.iter().copied().max().unwrap_or(0),
        gaps_over_10us: gaps.iter().filter(|gap| **gap > 10_000).count(),
        away_ns: gaps.iter().sum(),
        floor_p99_ns: floor(0.99),
        floor_p999_ns: floor(0.999),
        floor_p9999_ns: floor(0.9999),
        switched_away: switched.zip(after).map(|(before, after)| after - before),
    }
}

/// The least latency from the intended start that a share of events must have, if the thread that publishes them at a fixed rate
/// is away so long each time: an event that is due while it is away waits for the rest of that.
fn floor_ns(gaps: &[u64], of: u64, quantile: f64) -> u64 {
    let waiting_longer =
        |ns: u64| gaps.iter().map(|gap| gap.saturating_sub(ns)).sum::<u64>() as f64 / of as f64;
    let (mut low, mut high) = (0, gaps.iter().copied().max().unwrap_or(0));
    while low < high {
        let middle = low + (high - low) / 2;
        match waiting_longer(middle) > 1.0 - quantile {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    low
}

/// How often this thread had to leave its core.
fn involuntary() -> Option<u64> {
    switches(&fs::read_to_string("/proc/thread-self/status").ok()?)
}

/// The figure in the text of a thread's `status`.
fn switches(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"))?.trim().parse().ok()
}

/// Of a hundred parts of the time between two texts of `/proc/stat`, those stolen.
fn steal(before: &str, after: &str) -> Option<f64> {
    let figures = |text: &str| -> Option<Vec<u64>> {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        line.split_whitespace().map(|figure| figure.parse().ok()).collect()
    };
    let (before, after) = (figures(before)?, figures(after)?);
    // user nice system idle iowait irq softirq steal; guests are in user already.
    let passed: Vec<u64> =
        after.iter().zip(&before).take(8).map(|(after, before)| after.saturating_sub(*before)).collect();
    let total: u64 = passed.iter().sum();
    (passed.len() == 8 && total > 0).then(|| 100.0 * passed[7] as f64 / total as f64)
}

/// Turns of a loop that so many threads got done together in this time, each bound to a core.
fn at_once(threads: usize, length: Duration) -> f64 {
    let (cores, together) = (cores_apart(), Barrier::new(threads));
    thread::scope(|scope| {
        let turning: Vec<_> = (0..threads)
            .map(|index| {
                let (core, together) = (cores.get(index).copied(), &together);
                scope.spawn(move || {
                    pin_to(core);
                    together.wait();
                    let (begin, mut turns) = (Instant::now(), 0.0);
                    while begin.elapsed() < length {
                        for turn in 0..1_000 {
                            hint::black_box(turn);
                        }
                        turns += 1.0;
                    }
                    turns
                })
            })
            .collect();
        turning.into_iter().map(|thread| thread.join().expect("a trial does not panic")).sum()
    })
}

/// Nanoseconds for a publish, in batches of a third of a millisecond or so.
fn batches(count: usize) -> Vec<f64> {
    let lane = PathName::Signalpost.lane(16);
    let batch = harness::Batch { publishes: 5_000, laps: 1 };
    (0..count).map(|_| lane.measure(&harness::Gate::new(1), batch).ns).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_takes_the_thread_away_sets_a_floor_to_the_percentiles() {
        // A millisecond away in each of ten: a tenth of the events, waiting half a millisecond on average.
        let gaps = [1_000_000; 10];
        let floors = [0.5, 0.95, 0.99, 0.999].map(|quantile| floor_ns(&gaps, 100_000_000, quantile));
        assert_eq!(floors[0], 0);
        assert!((499_000..=501_000).contains(&floors[1]), "{floors:?}");
        assert!((899_000..=901_000).contains(&floors[2]), "{floors:?}");
        assert!((989_000..=991_000).contains(&floors[3]), "{floors:?}");
        assert_eq!(floor_ns(&[], 100_000_000, 0.9999), 0);
    }

    #[test]
    fn what_the_host_took_is_read_from_the_systems_text() {
        let before = "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        let after = "cpu  140 0 110 840 0 0 0 10 0 0\n";
        assert_eq!(steal(before, after), Some(10.0));
        assert_eq!(steal(before, before), None);
        assert_eq!(steal("cpu  1 2 3\n", "cpu  2 3 4\n"), None);
        assert_eq!(steal("intr 5\n", after), None);
    }

    #[test]
    fn switches_are_read_from_the_systems_text() {
        assert_eq!(switches("voluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t3\n"), Some(3));
        assert_eq!(switches("Name:\tlab\n"), None);
    }

    #[test]
    fn a_trial_of_the_machine_gives_figures_that_hang_together() {
        let lengths =
            Lengths { spin: Duration::from_millis(20), together: Duration::from_millis(5), batches: 5 };
        let probe = Probe::this(lengths);
        assert!(
            probe.clock_cost_ns > 0.0 && probe.publish_ns > 0.0 && probe.cores_at_once > 0.0,
            "{probe:?}"
        );
        assert!(
            probe.spin.took_ns >= 20_000_000 && probe.spin.longest_gap_ns <= probe.spin.took_ns,
            "{probe:?}"
        );
        let floors = [
            probe.spin.floor_p99_ns,
            probe.spin.floor_p999_ns,
            probe.spin.floor_p9999_ns,
            probe.spin.longest_gap_ns,
        ];
        assert!(floors.is_sorted(), "{floors:?}");
        assert!(probe.clock_step_ns > 0 && probe.clock_step_ns < 1_000_000_000, "{probe:?}");
    }
}
