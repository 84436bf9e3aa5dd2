//! What a run came to: rows, measures, curves, warnings, targets.
//!
//! Owns the section `run` of the document. Not here: how it looks (`show.rs`, `sheet.rs`, `hgrm.rs`).

use super::{
    case::Case,
    once::Taken,
    rate::Rate,
    record::{self, Recorder, Summary},
    sweep::Settings,
};
use crate::{
    measure::{Curve, Measure},
    output::Document,
    path::PathName,
    table::counted,
    target::Target,
};
use serde::Serialize;

/// What came out of all cases.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Seconds that each repeat was meant to last.
    pub repeat_seconds: f64,
    /// Repeats of each case that were asked for.
    pub repeats: usize,
    /// Whether threads kept to a core each.
    pub pinned: bool,
    /// What one look at the clock costs.
    pub clock_ns: f64,
    /// One row for each case of which there is anything.
    pub rows: Vec<Row>,
    /// Whether it was broken off.
    #[serde(skip)]
    pub partial: bool,
    /// Threads that the system did not bind to their core.
    #[serde(skip)]
    pub unbound: usize,
    /// Why the interval log could not be written, in words.
    #[serde(skip)]
    pub failed: Option<String>,
    /// Cores there are.
    #[serde(skip)]
    pub cores: usize,
}

/// What came out of one case.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub case: String,
    /// The path.
    pub path: PathName,
    /// Registered subscribers.
    pub subscribers: usize,
    /// Threads that published.
    pub publishers: usize,
    /// Registrations a second that were asked for.
    pub churn: u32,
    /// Events a second that were asked for; none for a closed loop.
    pub rate: Option<f64>,
    /// Publishes between two looks at the clock; none at a fixed rate, where it is one.
    pub batch: Option<u64>,
    /// Registrations in all.
    pub changes: u64,
    /// All repeats together.
    #[serde(flatten)]
    pub total: Summary,
    /// Each of them.
    pub each: Vec<Repeat>,
    /// Where the row comes from.
    #[serde(skip)]
    pub settings: Case,
    /// All repeats, merged; none before the first.
    #[serde(skip)]
    pub recorder: Option<Recorder>,
}

/// One repeat of a case.
#[derive(Clone, Debug, Serialize)]
pub struct Repeat {
    /// Which one, from 1.
    pub repeat: usize,
    /// Whether it was broken off.
    pub broken_off: bool,
    /// Registrations.
    pub changes: u64,
    /// What it came to.
    #[serde(flatten)]
    pub summary: Summary,
}

impl Row {
    fn empty(case: Case) -> Self {
        Self {
            case: case.name(),
            path: case.path,
            subscribers: case.subscribers,
            publishers: case.publishers,
            churn: case.churn,
            rate: case.rate.per_second(),
            batch: None,
            changes: 0,
            total: Summary::default(),
            each: Vec::new(),
            settings: case,
            recorder: None,
        }
    }

    /// Adds a repeat, the first of which is 0; one that published nothing is none.
    pub fn add(&mut self, repeat: usize, taken: Taken) {
        let Taken { recorder, changes, broken_off, .. } = taken;
        let summary = recorder.summary();
        if summary.events == 0 {
            return;
        }
        self.changes += changes;
        self.each.push(Repeat { repeat: repeat + 1, broken_off, changes, summary });
        let merged = match self.recorder.take() {
            Some(mut merged) => {
                merged.add_after(&recorder);
                merged
            }
            None => recorder,
        };
        self.total = merged.summary();
        self.recorder = Some(merged);
    }

    /// Whether anything was published.
    pub const fn has_events(&self) -> bool {
        self.total.events > 0
    }

    /// What spoils its figures, with so many cores.
    pub fn warnings(&self, cores: usize) -> Vec<String> {
        let mut warnings = Vec::new();
        let threads = self.settings.threads();
        if threads > cores {
            warnings.push(format!(
                "{} on {}: they take turns, and the time that each waits for its turn is in the latencies",
                counted(threads, "thread"),
                counted(cores, "core"),
            ));
        }
        if self.total.never_begun > 0 {
            warnings.push(
                "the rate is more than can be kept here: events that were never begun count as missed, \
                 and are in no percentile"
                    .to_owned(),
            );
        }
        warnings
    }
}

impl Outcome {
    /// Nothing measured yet.
    pub fn empty(settings: &Settings, clock_ns: f64) -> Self {
        Self {
            repeat_seconds: settings.each.as_secs_f64(),
            repeats: settings.repeats,
            pinned: settings.pinned,
            clock_ns,
            rows: settings.cases.iter().copied().map(Row::empty).collect(),
            partial: false,
            unbound: 0,
            failed: None,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// What spoils the figures: each warning once, with the cases that it is about unless it is about all.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<(String, Vec<&str>)> = Vec::new();
        for row in &self.rows {
            let few = row.rate.is_some_and(|rate| rate * self.repeat_seconds < 10.0).then(|| {
                "fewer than ten events a repeat: too few for percentiles, and throughput is that of whole \
                 events; a longer --duration has more"
                    .to_owned()
            });
            for warning in row.warnings(self.cores).into_iter().chain(few) {
                match warnings.iter_mut().find(|(text, _)| *text == warning) {
                    Some((_, cases)) => cases.push(&row.case),
                    None => warnings.push((warning, vec![&row.case])),
                }
            }
        }
        let said = |(text, cases): (String, Vec<&str>)| match cases.len() {
            all if all == self.rows.len() => text,
            _ => format!("{text} ({})", cases.join("; ")),
        };
        let mut warnings: Vec<_> = warnings.into_iter().map(said).collect();
        if self.unbound > 0 {
            warnings.push(format!(
                "the system did not bind {} to a core: they may move",
                counted(self.unbound, "thread")
            ));
        }
        if self.failed.is_some() {
            warnings.push("the interval log could not be written, which ended the run".to_owned());
        }
        warnings
    }

    /// Missed starts at a million events a second, by one publisher of our own path: in the middle repeat, since somebody else may
    /// have had the core in another.
    pub fn targets(&self) -> Vec<Target> {
        let judged = |row: &&Row| {
            let Case { path, publishers, churn, rate, .. } = row.settings;
            path == PathName::Signalpost && publishers == 1 && churn == 0 && rate == Rate::Fixed(1e6)
        };
        let target = |row: &Row| {
            let missed: Option<Vec<f64>> = row.each.iter().map(|each| each.summary.missed_percent).collect();
            let what = format!(
                "missed starts at 1,000,000 events a second, {}, middle repeat",
                counted(row.subscribers, "subscriber")
            );
            missed.map(|missed| Target::at_most(what, crate::stats::median(&missed), 1.0, "%"))
        };
        self.rows.iter().filter(judged).filter_map(target).collect()
    }

    /// Fills in what other commands read.
    pub fn fill(self, document: &mut Document) {
        document.partial = self.partial;
        document.warnings = self.warnings();
        document.measures = self.measures();
        document.curves = self.curves();
        document.targets = self.targets();
        document.run = Some(self);
    }

    fn measures(&self) -> Vec<Measure> {
        let of = |row: &Row| {
            let repeats: Vec<_> = row.each.iter().map(|each| each.summary.clone()).collect();
            record::measures(&row.case, &repeats)
        };
        self.rows.iter().flat_map(of).collect()
    }

    fn curves(&self) -> Vec<Curve> {
        let recorded = self.rows.iter().filter_map(|row| Some((row, row.recorder.as_ref()?)));
        recorded.flat_map(|(row, recorder)| recorder.curves(&row.case)).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::pace::Timed;
    use std::time::Duration;

    /// Two cases of one repeat each: at a million a second, where the second start is missed, and a closed loop.
    pub(crate) fn outcome() -> Outcome {
        let paced = Case {
            path: PathName::Signalpost,
            subscribers: 16,
            publishers: 1,
            rate: Rate::Fixed(1e6),
            churn: 0,
        };
        let closed = Case { rate: Rate::Max, publishers: 2, churn: 10, ..paced };
        let settings = Settings {
            cases: vec![paced, closed],
            each: Duration::from_secs(2),
            warmup: Duration::ZERO,
            repeats: 1,
            pinned: true,
            seed: 7,
            interval: Duration::from_secs(1),
        };
        let mut outcome = Outcome::empty(&settings, 25.0);
        let taken =
            |recorder, changes| Taken { recorder, changes, unbound: 0, broken_off: false, failed: None };
        let mut recorder = Recorder::paced(1_000);
        recorder.record(Timed { intended: 0, began: 10, ended: 60 }, None);
        recorder.record(Timed { intended: 1_000, began: 3_000, ended: 3_060 }, None);
        outcome.rows[0].add(0, taken(recorder, 0));
        let mut recorder = Recorder::closed(10);
        recorder.record(Timed { intended: 0, began: 0, ended: 305 }, None);
        (outcome.rows[1].batch, outcome.cores) = (Some(10), 2);
        outcome.rows[1].add(0, taken(recorder, 20));
        outcome
    }

    #[test]
    fn more_threads_than_cores_are_warned_of_where_they_are() {
        let mut outcome = outcome();
        let [warning] = &outcome.warnings()[..] else { panic!("{:?}", outcome.warnings()) };
        assert!(warning.starts_with("3 threads on 2 cores") && warning.contains("closed loop"), "{warning}");
        outcome.cores = 3;
        assert!(outcome.warnings().is_empty());
    }

    #[test]
    fn a_million_a_second_by_one_publisher_is_judged_and_nothing_else_is() {
        let [target] = &outcome().targets()[..] else { panic!() };
        assert_eq!((target.measured, target.limit, target.met), (50.0, 1.0, false));
    }

    #[test]
    fn the_document_gets_measures_and_curves_of_every_case() {
        let mut document = Document::of(crate::machine::Machine::this());
        outcome().fill(&mut document);
        let cases: Vec<_> = document.curves.iter().map(|curve| curve.case.as_str()).collect();
        let paced = "signalpost, 16 subscribers, 1 publisher, 1,000,000/s";
        let closed = "signalpost, 16 subscribers, 2 publishers, closed loop, churn 10/s";
        assert_eq!(cases, [paced, paced, closed]);
        assert_eq!(document.measures.len(), 14 + 8);
        let row = &serde_json::to_value(&document).unwrap()["run"]["rows"][0];
        assert_eq!((&row["events"], &row["missed"], &row["rate"]), (&2.into(), &1.into(), &1e6.into()));
        assert_eq!(row["each"][0]["corrected"]["p50_ns"], 60.0);
    }

    #[test]
    fn a_repeat_in_which_nothing_was_published_is_none() {
        let mut outcome = outcome();
        let taken =
            Taken { recorder: Recorder::closed(10), changes: 0, unbound: 0, broken_off: true, failed: None };
        outcome.rows[1].add(1, taken);
        assert_eq!(outcome.rows[1].each.len(), 1);
    }
}
