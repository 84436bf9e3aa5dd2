//! Latencies and what they come to: recorded by one thread, merged over threads and repeats, never averaged.
//!
//! Owns the histograms, what counts as a missed start, and the percentiles, measures and curves that come of them. A recorder is of
//! the same size however many events it is told of, and recording allocates nothing.
//! Not here: the loop that tells it (`pace.rs`), the log of its intervals (`log.rs`).

use super::log::Intervals;
use crate::{
    measure::{Better, Curve, From, Measure, Unit},
    pace::{self, Timed},
};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What one thread recorded; or several, or several repeats, merged.
#[derive(Clone, Debug)]
pub struct Recorder {
    kind: Kind,
    /// From the intended start: nanoseconds. Of a closed loop empty: it has no intended start.
    corrected: Histogram<u64>,
    /// From the actual start: in [`Kind::units`].
    raw: Histogram<u64>,
    missed: u64,
    never_begun: u64,
    /// Events at given times: when the last ended. A closed loop: the time of all its batches, of all threads.
    took_ns: u64,
    threads: u64,
}

/// From where the events came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// At given times; later than so many nanoseconds is missed.
    Paced(u64),
    /// One batch of so many after another.
    Closed(u64),
}

impl Kind {
    /// Parts of a nanosecond that its own histogram counts in: a closed loop has the mean of a batch, which may be less than one.
    const fn units(self) -> u64 {
        match self {
            Self::Paced(_) => 1,
            Self::Closed(_) => 1_000,
        }
    }
}

impl Recorder {
    /// For events at given times. One that begins more than `missed_after_ns` later than it was meant to is a missed start.
    pub fn paced(missed_after_ns: u64) -> Self {
        Self::of(Kind::Paced(missed_after_ns))
    }

    /// For a closed loop: batches of so many events.
    pub fn closed(batch: u64) -> Self {
        Self::of(Kind::Closed(batch.max(1)))
    }

    fn of(kind: Kind) -> Self {
        let (corrected, raw) = (pace::histogram(), pace::histogram());
        Self { kind, corrected, raw, missed: 0, never_begun: 0, took_ns: 0, threads: 1 }
    }

    /// Takes in an event, or a whole batch of a closed loop; `intervals` too, where there is a log.
    #[inline]
    pub fn record(&mut self, timed: Timed, intervals: Option<&mut Intervals>) {
        let (latency, count) = match self.kind {
            Kind::Paced(missed_after_ns) => {
                let latency = timed.corrected();
                self.corrected.saturating_record(latency);
                self.raw.saturating_record(timed.raw());
                self.missed += u64::from(timed.late() > missed_after_ns);
                self.took_ns = timed.ended;
                (latency, 1)
            }
            Kind::Closed(batch) => {
                let each = timed.raw() * self.kind.units() / batch;
                self.raw.saturating_record_n(each, batch);
                self.took_ns += timed.raw();
                (timed.raw() / batch, batch)
            }
        };
        if let Some(intervals) = intervals {
            intervals.record(timed.ended, latency, count);
        }
    }

    /// So many events were never begun, because there was no hope to catch up with them. They count as missed.
    pub const fn give_up(&mut self, events: u64) {
        self.never_begun += events;
    }

    /// Events at given times were asked for during so many nanoseconds, also if the last ended earlier: throughput is that of the
    /// whole time. Of a closed loop it changes nothing.
    pub fn lasted(&mut self, time_ns: u64) {
        if let Kind::Paced(_) = self.kind {
            self.took_ns = self.took_ns.max(time_ns);
        }
    }

    /// Forgets everything, for instance what was recorded to warm up.
    pub fn clear(&mut self) {
        self.corrected.reset();
        self.raw.reset();
        (self.missed, self.never_begun, self.took_ns, self.threads) = (0, 0, 0, 1);
    }

    /// Adds what another thread recorded at the same time.
    ///
    /// # Panics
    /// When one is of a closed loop and the other is not, or has batches of another size.
    pub fn add_beside(&mut self, other: &Self) {
        self.add(other);
        match self.kind {
            Kind::Paced(_) => self.took_ns = self.took_ns.max(other.took_ns),
            Kind::Closed(_) => {
                self.took_ns += other.took_ns;
                self.threads += other.threads;
            }
        }
    }

    /// Adds another repeat.
    ///
    /// # Panics
    /// As [`add_beside`](Self::add_beside).
    pub fn add_after(&mut self, other: &Self) {
        self.add(other);
        self.took_ns += other.took_ns;
        self.threads = other.threads;
    }

    fn add(&mut self, other: &Self) {
        assert_eq!(self.kind, other.kind, "what is not of one kind cannot be merged");
        self.corrected.add(&other.corrected).expect("all have the same bounds");
        self.raw.add(&other.raw).expect("all have the same bounds");
        self.missed += other.missed;
        self.never_begun += other.never_begun;
    }

    /// Events that were published.
    pub fn events(&self) -> u64 {
        self.raw.len()
    }

    /// What it comes to.
    pub fn summary(&self) -> Summary {
        let (events, took) = (self.events(), self.took_ns as f64 / self.threads as f64);
        let asked = events + self.never_begun;
        let paced = matches!(self.kind, Kind::Paced(_));
        Summary {
            events,
            seconds: took / 1e9,
            throughput: if took > 0.0 { events as f64 * 1e9 / took } else { 0.0 },
            missed: paced.then_some(self.missed + self.never_begun),
            missed_percent: paced
                .then(|| 100.0 * (self.missed + self.never_begun) as f64 / asked.max(1) as f64),
            never_begun: self.never_begun,
            corrected: paced.then(|| Percentiles::of(&self.corrected, 1)),
            raw: Percentiles::of(&self.raw, self.kind.units()),
        }
    }

    /// The curves of a case: from the intended start, unless it is a closed loop, and from the actual start.
    pub fn curves(&self, case: &str) -> Vec<Curve> {
        let curve = |from, histogram: &Histogram<u64>, units| Curve {
            case: case.to_owned(),
            from,
            events: histogram.len(),
            points: points(histogram, units),
        };
        let raw = curve(From::ActualStart, &self.raw, self.kind.units());
        match self.kind {
            Kind::Paced(_) => vec![curve(From::IntendedStart, &self.corrected, 1), raw],
            Kind::Closed(_) => vec![raw],
        }
    }

    /// What a spectrum of percentiles is made of, and how many of its units are a nanosecond: from the intended start, or, of a
    /// closed loop, from the actual one.
    pub const fn spectrum(&self) -> (&Histogram<u64>, u64) {
        match self.kind {
            Kind::Paced(_) => (&self.corrected, 1),
            Kind::Closed(_) => (&self.raw, self.kind.units()),
        }
    }
}

/// About sixty points for some millions of events: three to each halving of those that are left.
fn points(histogram: &Histogram<u64>, units: u64) -> Vec<(f64, f64)> {
    // Keyed by the bits of the share, which rise with it as long as it is not negative: one value for a share, the highest.
    let mut points = BTreeMap::new();
    for value in histogram.iter_quantiles(3) {
        let ns = value.value_iterated_to().min(histogram.max()) as f64 / units as f64;
        points.insert(value.quantile().min(1.0).to_bits(), ns);
    }
    points.into_iter().map(|(share, ns)| (f64::from_bits(share), ns)).collect()
}

/// Nanoseconds that so many of the events took at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Half of them.
    pub p50_ns: f64,
    /// 9 of 10.
    pub p90_ns: f64,
    /// 99 of 100.
    pub p99_ns: f64,
    /// 999 of 1,000.
    pub p999_ns: f64,
    /// 9,999 of 10,000.
    pub p9999_ns: f64,
    /// All.
    pub max_ns: f64,
}

impl Percentiles {
    fn of(histogram: &Histogram<u64>, units: u64) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / units as f64;
        Self {
            p50_ns: at(0.5),
            p90_ns: at(0.9),
            p99_ns: at(0.99),
            p999_ns: at(0.999),
            p9999_ns: at(0.9999),
            max_ns: at(1.0),
        }
    }

    /// Their names, as in measures and in tables.
    pub const NAMES: [&str; 6] = ["p50", "p90", "p99", "p99.9", "p99.99", "max"];

    /// All of them, in the order of their names.
    pub const fn all(&self) -> [f64; 6] {
        [self.p50_ns, self.p90_ns, self.p99_ns, self.p999_ns, self.p9999_ns, self.max_ns]
    }
}

/// What was recorded, in figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Events that were published.
    pub events: u64,
    /// How long that took; of a closed loop the time of its batches, without what is done between them.
    pub seconds: f64,
    /// Events a second.
    pub throughput: f64,
    /// Events that began too late, or never; none for a closed loop.
    pub missed: Option<u64>,
    /// Of a hundred.
    pub missed_percent: Option<f64>,
    /// Those of them that were never begun, because there was no hope to catch up.
    pub never_begun: u64,
    /// Latencies from the intended start; none for a closed loop.
    pub corrected: Option<Percentiles>,
    /// Latencies from the actual start; of a closed loop the mean of a batch, for each of its events.
    pub raw: Percentiles,
}

/// The measures of a case: one value of each for each repeat. Of a closed loop `median` stands for `raw-p50` too.
pub fn measures(case: &str, repeats: &[Summary]) -> Vec<Measure> {
    let of = |metric: String, unit, better, value: &dyn Fn(&Summary) -> Option<f64>| {
        let repeats: Option<Vec<f64>> = repeats.iter().map(value).collect();
        let repeats = repeats.filter(|repeats| !repeats.is_empty())?;
        Some(Measure { case: case.to_owned(), metric, unit, better, repeats })
    };
    let mut measures = Vec::new();
    let closed = |summary: &Summary| summary.corrected.is_none().then_some(summary.raw.p50_ns);
    measures.extend(of("median".to_owned(), Unit::Nanoseconds, Better::Lower, &closed));
    for (index, name) in Percentiles::NAMES.iter().enumerate() {
        let corrected = |summary: &Summary| summary.corrected.map(|corrected| corrected.all()[index]);
        measures.extend(of((*name).to_owned(), Unit::Nanoseconds, Better::Lower, &corrected));
    }
    for (index, name) in Percentiles::NAMES.iter().enumerate() {
        let raw = |summary: &Summary| Some(summary.raw.all()[index]);
        measures.extend(of(format!("raw-{name}"), Unit::Nanoseconds, Better::Lower, &raw));
    }
    let throughput = |summary: &Summary| Some(summary.throughput);
    measures.extend(of("throughput".to_owned(), Unit::PerSecond, Better::Higher, &throughput));
    let missed = |summary: &Summary| summary.missed_percent;
    measures.extend(of("missed".to_owned(), Unit::Percent, Better::Lower, &missed));
    measures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paced(events: impl IntoIterator<Item = (u64, u64, u64)>) -> Recorder {
        let mut recorder = Recorder::paced(1_000);
        for (intended, began, ended) in events {
            recorder.record(Timed { intended, began, ended }, None);
        }
        recorder
    }

    #[test]
    fn a_stall_counts_for_every_event_that_it_delayed_and_raw_latency_knows_nothing_of_it() {
        // Ten events a microsecond apart; a stall of 20 µs before the second, then 100 ns each to catch up.
        let late = (1..10_u64).map(|n| (n * 1_000, 21_000 + n * 100, 21_050 + n * 100));
        let summary = paced([(0, 0, 50)].into_iter().chain(late)).summary();
        let corrected = summary.corrected.unwrap();
        assert_eq!((summary.events, summary.missed, summary.missed_percent), (10, Some(9), Some(90.0)));
        assert_eq!((summary.raw.p50_ns, summary.raw.max_ns), (50.0, 50.0));
        assert!(corrected.p50_ns > 14_000.0 && corrected.max_ns > 20_000.0, "{corrected:?}");
        let rising = corrected.all().windows(2).all(|pair| pair[0] <= pair[1]);
        assert!(rising, "{corrected:?}");
    }

    #[test]
    fn a_start_exactly_a_period_late_is_not_missed_and_one_that_never_came_is() {
        let mut recorder = paced([(0, 1_000, 1_050), (1_000, 2_001, 2_050)]);
        assert_eq!(recorder.summary().missed, Some(1));
        recorder.give_up(2);
        let summary = recorder.summary();
        assert_eq!((summary.missed, summary.missed_percent, summary.never_begun), (Some(3), Some(75.0), 2));
    }

    #[test]
    fn a_batch_counts_for_each_of_its_events_and_may_be_faster_than_a_nanosecond() {
        let mut recorder = Recorder::closed(1_000);
        recorder.record(Timed { intended: 0, began: 0, ended: 850 }, None);
        recorder.record(Timed { intended: 2_000, began: 2_000, ended: 2_850 }, None);
        let summary = recorder.summary();
        assert_eq!((summary.events, summary.corrected, summary.missed), (2_000, None, None));
        assert!((summary.raw.p50_ns - 0.85).abs() < 0.001, "{summary:?}");
        // What lies between the batches is not in the throughput.
        assert!((summary.throughput - 2_000.0 / 1_700e-9).abs() < 1.0, "{summary:?}");
    }

    #[test]
    fn throughput_is_that_of_the_whole_time_also_if_the_last_event_ended_before() {
        let mut recorder = paced((0..10).map(|n| (n * 1_000, n * 1_000, n * 1_000 + 50)));
        recorder.lasted(10_000);
        assert_eq!(recorder.summary().throughput, 1e6);
        recorder.lasted(5_000);
        assert_eq!(recorder.summary().throughput, 1e6);
    }

    #[test]
    fn threads_are_merged_side_by_side_and_repeats_one_after_another() {
        let one = paced([(0, 0, 100), (1_000, 1_000, 1_000_000)]);
        let (mut beside, mut after) = (one.clone(), one.clone());
        beside.add_beside(&one);
        after.add_after(&one);
        assert_eq!((beside.summary().events, beside.summary().seconds), (4, 0.001));
        assert_eq!((after.summary().events, after.summary().seconds), (4, 0.002));
        let mut closed = Recorder::closed(10);
        closed.record(Timed { intended: 0, began: 0, ended: 1_000 }, None);
        let (one, mut two) = (closed.clone(), closed);
        two.add_beside(&one);
        assert!((two.summary().throughput - 2.0 * one.summary().throughput).abs() < 1.0);
        let pair = two.clone();
        two.add_after(&pair);
        assert!((two.summary().throughput - pair.summary().throughput).abs() < 1.0, "repeats do not add up");
    }

    #[test]
    fn a_curve_rises_to_the_slowest_event_and_has_a_point_for_each_share_alone() {
        let recorder = paced((0..10_000_u64).map(|n| (n, n, n + 50 + n % 977)));
        let curves = recorder.curves("a case");
        assert_eq!(curves.len(), 2);
        for curve in &curves {
            assert_eq!((curve.events, curve.points.last().unwrap().0), (10_000, 1.0));
            assert!((10..=100).contains(&curve.points.len()), "{} points", curve.points.len());
            let rises = |pair: &[(f64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
            assert!(curve.points.windows(2).all(rises), "{curve:?}");
        }
        assert_eq!(curves[0].points.last().unwrap().1, recorder.summary().corrected.unwrap().max_ns);
        assert_eq!(Recorder::closed(1).curves("nothing")[0].points.len(), 0);
    }

    #[test]
    fn a_repeat_gives_each_measure_one_value_and_a_closed_loop_has_none_from_the_intended_start() {
        let repeats = [paced([(0, 0, 50)]).summary(), paced([(0, 0, 70)]).summary()];
        let names = |measures: &[Measure]| measures.iter().map(|m| m.metric.clone()).collect::<Vec<_>>();
        let of_paced = measures("a case", &repeats);
        assert!(of_paced.iter().all(|measure| measure.repeats.len() == 2));
        assert_eq!(names(&of_paced)[..2], ["p50", "p90"]);
        assert_eq!(of_paced[0].repeats, [50.0, 70.0]);
        assert_eq!(names(&of_paced).len(), 14);
        let mut closed = Recorder::closed(1);
        closed.record(Timed { intended: 0, began: 0, ended: 50 }, None);
        let of_closed = names(&measures("a case", &[closed.summary()]));
        assert_eq!((of_closed[0].as_str(), of_closed.len()), ("median", 8));
        assert!(!of_closed.contains(&"p99".to_owned()) && of_closed.contains(&"raw-p99".to_owned()));
        assert!(measures("nothing", &[]).is_empty());
    }

    #[test]
    fn what_was_cleared_is_as_new() {
        let mut recorder = paced([(0, 5_000, 6_000)]);
        recorder.clear();
        assert_eq!(recorder.summary(), Recorder::paced(1_000).summary());
    }
}
