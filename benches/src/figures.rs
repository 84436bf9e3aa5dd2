//! What `lab registration`, `churn`, `slots`, `watch-cost` and hand-off measured, as figures that can be compared.
//!
//! Owns the names of their cases, which stay the same from release to release. Not here: what is measured (`registration.rs` and
//! the others), how it is compared (`compare.rs`), the figures of `lab paths` and `lab run`, which are theirs.

use crate::{
    churn, handoff,
    measure::{
        Better::{self, Higher, Lower},
        Measure,
        Unit::{self, Bytes, Nanoseconds, PerSecond, Percent},
    },
    registration, slots,
    table::{counted, grouped},
    watch::cost,
};

/// The middle of what one call, change or registration takes.
const MEDIAN: &str = "median";

fn measure(case: &str, metric: &str, unit: Unit, better: Better, repeats: Vec<f64>) -> Measure {
    Measure { case: case.to_owned(), metric: metric.to_owned(), unit, better, repeats }
}

fn times(values: &[f64], by: f64) -> Vec<f64> {
    values.iter().map(|value| value * by).collect()
}

/// Nanoseconds a subscriber for each way to register or cancel them, and the bytes of one.
pub fn registration(outcome: &registration::Outcome) -> Vec<Measure> {
    let samples = &outcome.samples;
    let many = format!("registration, {}", counted(outcome.count, "subscriber"));
    let each = 1e9 / outcome.count as f64;
    let ns = |what: &str, seconds: &[f64]| {
        measure(&format!("{many}, {what}"), MEDIAN, Nanoseconds, Lower, times(seconds, each))
    };
    let bus = |what: &str, seconds: &[f64]| {
        measure(&format!("registration, {what}"), MEDIAN, Nanoseconds, Lower, times(seconds, 1e9))
    };
    vec![
        ns("one by one", &samples.one_by_one),
        ns("one by one while another thread publishes", &samples.while_publishing),
        ns("one edit", &samples.one_edit),
        ns("cancelled oldest first", &samples.cancelled),
        ns("cancelled in random order", &samples.cancelled_shuffled),
        ns("pushed on a Mutex<Vec>", &samples.mutex_vec),
        bus("empty bus", &samples.empty_bus),
        bus("crowded bus", &samples.crowded_bus),
        measure(&many, "bytes", Bytes, Lower, samples.bytes_each.clone()),
    ]
}

/// Percentiles from the intended start, without registrations and with them.
pub fn churn(outcome: &churn::Outcome) -> Vec<Measure> {
    let quiet = format!(
        "signalpost, {}, 1 publisher, {}/s",
        counted(outcome.subscribers, "subscriber"),
        grouped(outcome.rate as usize)
    );
    let churned = format!("{quiet}, churn {}/s", grouped(outcome.changes as usize));
    type Figure = (&'static str, fn(&churn::Latency) -> u64);
    let figures: [Figure; 4] = [
        ("p50", |latency| latency.p50_ns),
        ("p99", |latency| latency.p99_ns),
        ("p99.9", |latency| latency.p999_ns),
        ("max", |latency| latency.max_ns),
    ];
    [quiet, churned]
        .iter()
        .enumerate()
        .flat_map(|(with, case)| {
            figures.iter().map(move |(metric, of)| {
                let phases = outcome.phases.iter().map(|pair| of(&pair[with]) as f64).collect();
                measure(case, metric, Nanoseconds, Lower, phases)
            })
        })
        .collect()
}

/// Events a second through each hand-off, how many were lost, and what a publish took.
pub fn handoff(outcome: &handoff::Outcome) -> Vec<Measure> {
    type Figure = (&'static str, Unit, Better, fn(&handoff::Sample) -> f64);
    let figures: [Figure; 5] = [
        ("throughput", PerSecond, Higher, |sample| sample.rate),
        ("lost", Percent, Lower, |sample| sample.lost),
        ("p50", Nanoseconds, Lower, |sample| sample.p50),
        ("p99", Nanoseconds, Lower, |sample| sample.p99),
        ("p99.9", Nanoseconds, Lower, |sample| sample.p999),
    ];
    let of_path = |row: &handoff::Row| {
        let case = format!("{}, hand-off to another thread", row.path);
        let rounds = &row.rounds;
        let figure = |&(metric, unit, better, of): &Figure| {
            measure(&case, metric, unit, better, rounds.iter().map(of).collect())
        };
        figures.iter().map(figure).collect::<Vec<_>>()
    };
    outcome.paths.iter().flat_map(of_path).collect()
}

/// Nanoseconds a call of each path, a change and a pass.
pub fn slots(outcome: &slots::Outcome) -> Vec<Measure> {
    let ns = |case: String, values: Vec<f64>| measure(&case, MEDIAN, Nanoseconds, Lower, values);
    let paths = outcome.rows.iter().flat_map(|row| {
        let [in_turn, at_once] = &row.rounds;
        [("in turn", in_turn), ("at once", at_once)]
            .map(|(pace, rounds)| ns(format!("{}, {pace}", row.path.as_str()), rounds.clone()))
    });
    let changes = &outcome.changes.samples;
    let changes = [
        ("a closure patched and undone", &changes.closure),
        ("a function patched and undone", &changes.function),
        ("a closure patched and undone over 16 others", &changes.over_sixteen),
        ("a scope made, entered, left", &changes.scope),
    ];
    paths.chain(changes.map(|(case, us)| ns(case.to_owned(), times(us, 1e3)))).collect()
}

/// Nanoseconds of processor time a step of each lane.
pub fn watch_cost(outcome: &cost::Outcome) -> Vec<Measure> {
    let lane = |cost: &cost::Cost| {
        // The table leaves out what the lane above it says already.
        let words = cost.lane.in_words().trim();
        let case = match cost.lane.without() {
            Some(without) => format!("watching, {}, {words}", without.in_words()),
            None => format!("watching, {words}"),
        };
        measure(&case, MEDIAN, Nanoseconds, Lower, cost.rounds.clone())
    };
    outcome.lanes.iter().map(lane).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{progress::Progress, rounds::Plan};
    use std::{collections::BTreeSet, time::Duration};

    /// Each figure is there once, with so many repeats.
    fn check(measures: &[Measure], count: usize, repeats: usize) {
        assert_eq!(measures.len(), count);
        let names: BTreeSet<_> = measures.iter().map(|one| (&one.case, &one.metric)).collect();
        assert_eq!(names.len(), count, "a name is there twice: {names:?}");
        for one in measures {
            assert_eq!(one.repeats.len(), repeats, "{one:?}");
            assert!(one.repeats.iter().all(|value| value.is_finite()), "{one:?}");
        }
    }

    #[test]
    fn registrations_are_nanoseconds_each_and_bytes() {
        let outcome = registration::Settings { count: 200, repeats: 2, heap: || 0 }.run(&Progress::silent());
        let measures = registration(&outcome);
        check(&measures, 9, 2);
        let one = &measures[0];
        assert_eq!((one.case.as_str(), one.unit), ("registration, 200 subscribers, one by one", Nanoseconds));
        assert_eq!(one.repeats[0], outcome.samples.one_by_one[0] * (1e9 / 200.0));
    }

    #[test]
    fn each_pair_of_phases_is_a_repeat_of_churn() {
        let settings = churn::Settings {
            subscribers: 16,
            rate: 20_000,
            changes: 5_000,
            phase: Duration::from_millis(10),
            pairs: 3,
        };
        let measures = churn(&settings.run(&Progress::silent()));
        check(&measures, 8, 3);
        assert_eq!(measures[4].case, "signalpost, 16 subscribers, 1 publisher, 20,000/s, churn 5,000/s");
    }

    #[test]
    fn hand_off_has_five_figures_for_each_path() {
        let settings = handoff::Settings { rounds: 2, events: 2_000, timed: 50, seed: 3 };
        let outcome = settings.run(&Progress::silent());
        let measures = handoff(&outcome);
        check(&measures, outcome.paths.len() * 5, 2);
        assert_eq!(measures[0].better, Higher);
    }

    #[test]
    fn calls_through_slots_come_in_turn_and_at_once_and_changes_after_them() {
        let plan = Plan { rounds: 2, batch: Duration::from_micros(40), seed: 1 };
        let settings = slots::Settings { plan, storm: Duration::from_millis(10) };
        let outcome = settings.run(&Progress::silent()).unwrap();
        let measures = slots(&outcome);
        check(&measures, outcome.rows.len() * 2 + 4, 2);
        assert_eq!(measures[1].case, "direct, at once");
    }

    #[test]
    fn every_lane_of_watching_is_a_case() {
        let settings = cost::Settings { rounds: 2, steps: 2_000, look: Duration::from_millis(20), seed: 1 };
        let outcome = settings.run(&Progress::silent()).unwrap();
        check(&watch_cost(&outcome), outcome.lanes.len(), 2);
    }
}
