//! `lab churn`: what registrations on another thread do to a publisher's worst publishes.
//!
//! Owns the fixed-rate publisher, the registering thread and the comparison. Not here: the loop that works at a rate (`pace.rs`).
//! Each event has an *intended* start; latency counts from there to the end of the publish, so that a stall counts for every event
//! that it delayed. Without registrations the other thread spins all the same: what differs is the registering alone.

use crate::{
    crew::{cores_apart, pin_to},
    ours::Signalpost,
    pace::{at_rate, clock_cost_ns, histogram},
    path::DispatchPath,
    progress::Progress,
    scenario::{Event, Same, Tick, subscriber},
    stats::{median, quantile},
    stop,
    table::{Cell, Colour, Table, Tone, grouped, nanoseconds},
    target::Target,
};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::{
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Registered subscribers that stay.
    pub subscribers: usize,
    /// Events a second.
    pub rate: u32,
    /// Registrations a second, each cancelled at once.
    pub changes: u32,
    /// How long to publish without, and with, registrations; then again.
    pub phase: Duration,
    /// How often to do both.
    pub pairs: usize,
}

/// Percentiles in nanoseconds from the intended start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Half of the events were faster.
    pub p50_ns: u64,
    /// 99 of 100.
    pub p99_ns: u64,
    /// 999 of 1000.
    pub p999_ns: u64,
    /// The slowest.
    pub max_ns: u64,
    /// Events published.
    pub events: u64,
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Self {
        let at = |q| histogram.value_at_quantile(q);
        Self {
            p50_ns: at(0.5),
            p99_ns: at(0.99),
            p999_ns: at(0.999),
            max_ns: histogram.max(),
            events: histogram.len(),
        }
    }
}

/// What came out.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Registered subscribers that stayed.
    pub subscribers: usize,
    /// Events a second.
    pub rate: u32,
    /// Registrations a second that were asked for.
    pub changes: u32,
    /// Registrations in all.
    pub changed: u64,
    /// Phases of each kind.
    pub pairs: usize,
    /// Without registrations, all phases merged.
    pub quiet: Latency,
    /// With registrations, all phases merged.
    pub churned: Latency,
    /// The middle of the pairs' differences of the 99.9th percentile.
    pub p999_difference_ns: f64,
    /// A quarter of the differences are below this.
    pub p999_difference_low_ns: f64,
    /// A quarter of the differences are above this.
    pub p999_difference_high_ns: f64,
    /// The middle phase's 99.9th percentile without registrations: what the machine does by itself.
    pub quiet_phase_p999_ns: f64,
    /// What one look at the clock costs; every latency has about two of them in it.
    pub clock_ns: f64,
    /// Each pair's phase without registrations, and its phase with them.
    #[serde(skip)]
    pub phases: Vec<[Latency; 2]>,
}

impl Settings {
    /// Measures both, alternating which comes first.
    pub fn run(&self, progress: &Progress) -> Outcome {
        progress.start(self.pairs as u64);
        progress.step(&format!(
            "{} events a second, without and with {} registrations a second",
            grouped(self.rate as usize),
            grouped(self.changes as usize)
        ));
        let (mut quiet, mut churned) = (histogram(), histogram());
        let (mut differences, mut quiet_p999, mut changed) = (Vec::new(), Vec::new(), 0);
        let mut phases = Vec::with_capacity(self.pairs);
        for pair in stop::rounds(self.pairs) {
            let mut p999 = [0.0; 2];
            let mut latencies = [Latency::default(); 2];
            for with in [pair % 2 == 1, pair % 2 == 0] {
                let (phase, changes) = self.phase(with);
                p999[usize::from(with)] = phase.value_at_quantile(0.999) as f64;
                latencies[usize::from(with)] = Latency::of(&phase);
                changed += changes;
                let all = if with { &mut churned } else { &mut quiet };
                all.add(phase).expect("both have the same bounds");
            }
            differences.push(p999[1] - p999[0]);
            quiet_p999.push(p999[0]);
            phases.push(latencies);
            progress.advance();
        }
        progress.finish();
        Outcome {
            subscribers: self.subscribers,
            rate: self.rate,
            changes: self.changes,
            changed,
            pairs: differences.len(),
            quiet: Latency::of(&quiet),
            churned: Latency::of(&churned),
            p999_difference_ns: median(&differences),
            p999_difference_low_ns: quantile(&differences, 0.25),
            p999_difference_high_ns: quantile(&differences, 0.75),
            quiet_phase_p999_ns: median(&quiet_p999),
            clock_ns: clock_cost_ns(),
            phases,
        }
    }

    /// One phase on a dispatcher of its own: latencies, and how many registrations there were.
    fn phase(&self, registering: bool) -> (Histogram<u64>, u64) {
        let path = Signalpost::<Tick>::with(Same(self.subscribers));
        let (together, over) = (Barrier::new(2), AtomicBool::new(false));
        let cores = cores_apart();
        thread::scope(|scope| {
            let other = scope.spawn(|| {
                pin_to(cores.get(1).copied());
                together.wait();
                let mut changes = 0;
                at_rate(
                    self.changes,
                    || !over.load(Relaxed),
                    |_| {
                        if registering {
                            drop(path.dispatcher().subscribe(subscriber(changes)));
                            changes += 1;
                        }
                        true
                    },
                );
                changes
            });
            let publishing = scope.spawn(|| {
                pin_to(cores.first().copied());
                let mut latencies = histogram();
                signalpost::warm_up(); // this thread's first pin
                together.wait();
                let mut left = (f64::from(self.rate) * self.phase.as_secs_f64()) as u64;
                let publish = |intended: Instant| {
                    let published = path.dispatcher().publish(Tick::EVENT);
                    published.expect("no subscriber of the lab stops an event");
                    latencies.saturating_record(intended.elapsed().as_nanos() as u64);
                    left = left.saturating_sub(1);
                    left > 0
                };
                at_rate(self.rate, || true, publish);
                over.store(true, Relaxed);
                latencies
            });
            let latencies = publishing.join().expect("publishing does not panic");
            (latencies, other.join().expect("registering does not panic"))
        })
    }
}

impl Outcome {
    /// What registrations may add to the 99.9th percentile.
    pub fn targets(&self) -> Vec<Target> {
        let what = format!(
            "{} registrations a second add to p99.9 at {} events a second",
            grouped(self.changes as usize),
            grouped(self.rate as usize)
        );
        vec![Target::at_most(what, self.p999_difference_ns / 1e3, 5.0, "µs")]
    }

    /// The table of this outcome.
    pub fn report(&self, colour: Colour) -> String {
        let title = format!(
            "Publishing {} events a second to {} subscribers: nanoseconds from the intended start",
            grouped(self.rate as usize),
            self.subscribers
        );
        let mut table = Table::headed(["", "p50", "p99", "p99.9", "max", "events"]);
        let churned = format!("with {} registrations a second", grouped(self.changes as usize));
        for (what, latency) in [("without registrations", &self.quiet), (&churned, &self.churned)] {
            let ns = |ns: u64| Cell::from(grouped(ns as usize));
            table.row([
                what.into(),
                ns(latency.p50_ns),
                ns(latency.p99_ns),
                ns(latency.p999_ns),
                ns(latency.max_ns),
                Cell::toned(Tone::Quiet, grouped(latency.events as usize)),
            ]);
        }
        let mut text = format!(
            "\n{}\n{}  p99.9 grows by {:.0} ns: the middle of {} pairs of phases, half of which are \
             between {:+.0} and {:+.0} ns.\n  {} registrations, each cancelled at once. A look at \
             the clock costs {} ns here, and each latency has about\n  two in it.\n",
            colour.paint(Tone::Good, &title),
            table.render(colour),
            self.p999_difference_ns,
            self.pairs,
            self.p999_difference_low_ns,
            self.p999_difference_high_ns,
            grouped(self.changed as usize),
            nanoseconds(self.clock_ns),
        );
        if self.quiet_phase_p999_ns > TOO_BUSY_NS {
            text += &format!(
                "  warning: without registrations p99.9 of the middle phase is {} ns already: the \
                 machine is too busy to\n  tell what registrations add.\n",
                grouped(self.quiet_phase_p999_ns as usize)
            );
        }
        text
    }
}

/// Above this the machine takes the core away more often than registrations could matter.
const TOO_BUSY_NS: f64 = 20_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_counted_and_registrations_happen_only_where_they_should() {
        let settings = Settings {
            subscribers: 2,
            rate: 20_000,
            changes: 5_000,
            phase: Duration::from_millis(20),
            pairs: 2,
        };
        let outcome = settings.run(&Progress::silent());
        assert_eq!((outcome.quiet.events, outcome.churned.events), (800, 800));
        assert!(outcome.changed > 0);
        assert_eq!(settings.phase(false).1, 0);
        assert!(outcome.quiet.p50_ns <= outcome.quiet.max_ns);
        assert_eq!(outcome.targets().len(), 1);
    }
}
