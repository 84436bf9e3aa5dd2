//! `lab paths`: every path, every count of subscribers, every count of publishers.
//!
//! Owns what is measured together and what came out of it. All paths and publisher counts of one
//! subscriber count share their rounds, so that any two of them can be compared pairwise.

use crate::{
    crew::Crew,
    measure::{Better, Measure, Unit},
    path::PathName,
    progress::Progress,
    rounds::{self, Entry, Plan},
    stats::{self, Spread},
    stop,
    table::counted,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, io, thread};

/// What to measure.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The paths asked for; the raw loops they are compared with are added.
    pub paths: Vec<PathName>,
    /// Counts of subscribers.
    pub subscribers: Vec<usize>,
    /// Counts of publishers.
    pub publishers: Vec<usize>,
    /// How long and how often.
    pub plan: Plan,
}

/// One path at one count of subscribers and publishers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The path.
    pub path: PathName,
    /// Registered subscribers.
    pub subscribers: usize,
    /// Threads that publish at once.
    pub publishers: usize,
}

impl fmt::Display for Place {
    /// The name of its case in what is compared; it stays from release to release.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, subscribers, publishers } = self;
        write!(f, "{path}, {}, {}", counted(*subscribers, "subscriber"), counted(*publishers, "publisher"))
    }
}

/// From so many processes on, a process is what stands for itself: rounds within one have much in common.
const ENOUGH_PROCESSES: usize = 5;

impl Settings {
    /// All places with so many subscribers.
    fn places(&self, subscribers: usize) -> Vec<Place> {
        let asked = |path: PathName| self.paths.iter().any(|&other| other == path || other.floor() == path);
        PathName::ALL
            .into_iter()
            .filter(|&path| asked(path))
            .flat_map(|path| {
                self.publishers.iter().map(move |&publishers| Place { path, subscribers, publishers })
            })
            .filter(|place| place.path.is_measured_at(subscribers, place.publishers))
            .collect()
    }

    /// Whether nothing but raw loops, or nothing at all, would be measured at any count.
    pub fn is_empty(&self) -> bool {
        self.subscribers
            .iter()
            .flat_map(|&count| self.places(count))
            .all(|place| !self.paths.contains(&place.path))
    }

    /// Steps that progress makes, one for each round of each count of subscribers.
    pub const fn steps(&self) -> u64 {
        (self.subscribers.len() * self.plan.rounds) as u64
    }

    /// Measures everything, in this process; or what can be until somebody wants it to end.
    pub fn run(&self, progress: &Progress) -> Survey {
        let mut survey = Survey::default();
        let told = self.run_telling(progress, |part| {
            survey.extend(part);
            Ok(())
        });
        told.expect("nothing is written here");
        survey
    }

    /// Measures everything, in this process, and tells what there is of each count of subscribers as soon as it is complete; or
    /// of the last one what there is when somebody wants it to end.
    ///
    /// # Errors
    /// Those of `tell`, which end it.
    pub fn run_telling(
        &self,
        progress: &Progress,
        mut tell: impl FnMut(Survey) -> io::Result<()>,
    ) -> io::Result<()> {
        let publishers = self.publishers.iter().copied().max().unwrap_or(1);
        for &subscribers in &self.subscribers {
            if stop::is_asked() {
                break;
            }
            let places = self.places(subscribers);
            progress.step(&format!(
                "{}, {}",
                counted(subscribers, "subscriber"),
                counted(places.len(), "lane")
            ));
            // One lane serves all its publisher counts.
            let lanes: BTreeMap<_, _> =
                places.iter().map(|place| (place.path, place.path.lane(subscribers))).collect();
            let entries: Vec<_> = places
                .iter()
                .map(|place| Entry { lane: &*lanes[&place.path], publishers: place.publishers })
                .collect();
            let times = thread::scope(|scope| {
                let crew = Crew::start(scope, publishers);
                rounds::measure(&crew, &entries, &self.plan, || progress.advance())
            });
            tell(Survey::of(places.into_iter().zip(times)))?;
        }
        Ok(())
    }
}

/// Everything that was measured, round by round; a place that was not measured is not there.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    rounds: BTreeMap<Place, Vec<f64>>,
}

/// One path at one place, summed up; the keys of the JSON rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The path's name.
    pub path: PathName,
    /// Registered subscribers.
    pub subscribers: usize,
    /// Threads that publish at once.
    pub publishers: usize,
    /// One publish in nanoseconds, as a publisher sees it: the middle round.
    pub median_ns: f64,
    /// The fastest round.
    pub min_ns: f64,
    /// The slowest round.
    pub max_ns: f64,
    /// The middle of the rounds' differences to the raw loop over the same subscribers.
    pub over_raw_ns: f64,
    /// Whether a publish does what signalpost's does; see [`PathName::does_the_same`].
    pub does_the_same: bool,
    /// What it does not do that signalpost does; see [`PathName::lacks`].
    pub lacks: &'static str,
}

impl Survey {
    /// Of times measured elsewhere.
    pub fn of(rounds: impl IntoIterator<Item = (Place, Vec<f64>)>) -> Self {
        Self { rounds: rounds.into_iter().filter(|(_, rounds)| !rounds.is_empty()).collect() }
    }

    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.rounds.is_empty()
    }

    /// Every place with its rounds.
    pub fn into_rounds(self) -> impl Iterator<Item = (Place, Vec<f64>)> {
        self.rounds.into_iter()
    }

    /// Adds the rounds of another survey of the same places.
    pub fn extend(&mut self, other: Self) {
        for (place, rounds) in other.rounds {
            self.rounds.entry(place).or_default().extend(rounds);
        }
    }

    /// The rounds at one place, in nanoseconds a publish.
    pub fn rounds(&self, path: PathName, subscribers: usize, publishers: usize) -> Option<&[f64]> {
        self.rounds.get(&Place { path, subscribers, publishers }).map(Vec::as_slice)
    }

    /// Everything at one place, summed up.
    pub fn row(&self, path: PathName, subscribers: usize, publishers: usize) -> Option<Row> {
        let rounds = self.rounds(path, subscribers, publishers)?;
        let floor = self.rounds(path.floor(), subscribers, publishers)?;
        let Spread { median, min, max } = Spread::of(rounds);
        Some(Row {
            path,
            subscribers,
            publishers,
            median_ns: median,
            min_ns: min,
            max_ns: max,
            over_raw_ns: stats::median(&stats::differences(rounds, floor)),
            does_the_same: path.does_the_same(),
            lacks: path.lacks(),
        })
    }

    /// What can be compared with another run's: nanoseconds a publish, and times the raw loop. One repeat a process if there are
    /// `ENOUGH_PROCESSES`, each of which had `each` rounds; else one a round.
    pub fn measures(&self, each: usize) -> Vec<Measure> {
        let repeats = |rounds: &[f64]| match rounds.len() / each.max(1) {
            ..ENOUGH_PROCESSES => rounds.to_vec(),
            _ => rounds.chunks(each).map(stats::median).collect(),
        };
        let measure = |place: &Place, metric: &str, unit, rounds: &[f64]| Measure {
            case: place.to_string(),
            metric: metric.to_owned(),
            unit,
            better: Better::Lower,
            repeats: repeats(rounds),
        };
        let mut measures = Vec::new();
        for (place, rounds) in &self.rounds {
            measures.push(measure(place, "median", Unit::Nanoseconds, rounds));
            let floor = self.rounds(place.path.floor(), place.subscribers, place.publishers);
            if let Some(floor) = floor.filter(|_| !place.path.is_floor()) {
                measures.push(measure(place, "ratio", Unit::Times, &stats::ratios(rounds, floor)));
            }
        }
        measures
    }

    /// All rows, by publishers, subscribers, and then in the order of the paths.
    pub fn rows(&self) -> Vec<Row> {
        let mut places: Vec<_> = self.rounds.keys().copied().collect();
        places.sort_by_key(|place| (place.publishers, place.subscribers, place.path));
        places
            .into_iter()
            .filter_map(|place| self.row(place.path, place.subscribers, place.publishers))
            .collect()
    }

    /// How many times what the raw loop over the same subscribers took: the middle round's ratio.
    pub fn over_floor(&self, path: PathName, subscribers: usize, publishers: usize) -> Option<f64> {
        let rounds = self.rounds(path, subscribers, publishers)?;
        let floor = self.rounds(path.floor(), subscribers, publishers)?;
        Some(stats::median(&stats::ratios(rounds, floor)))
    }

    /// The counts of publishers that were measured, in order.
    pub fn publishers(&self) -> Vec<usize> {
        distinct(self.rounds.keys().map(|place| place.publishers))
    }

    /// The counts of subscribers that were measured with so many publishers, in order.
    pub fn subscribers(&self, publishers: usize) -> Vec<usize> {
        let at = self.rounds.keys().filter(|place| place.publishers == publishers);
        distinct(at.map(|place| place.subscribers))
    }

    /// The paths that were measured with so many publishers, in order.
    pub fn paths(&self, publishers: usize) -> Vec<PathName> {
        let at = self.rounds.keys().filter(|place| place.publishers == publishers);
        distinct(at.map(|place| place.path))
    }
}

fn distinct<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    items.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn settings(paths: &[PathName], subscribers: &[usize], publishers: &[usize]) -> Settings {
        Settings {
            paths: paths.to_vec(),
            subscribers: subscribers.to_vec(),
            publishers: publishers.to_vec(),
            plan: Plan { rounds: 2, batch: Duration::from_micros(50), seed: 3 },
        }
    }

    #[test]
    fn the_floor_is_measured_though_only_the_path_was_asked_for() {
        let survey = settings(&[PathName::StdMutex], &[1], &[1]).run(&Progress::silent());
        assert_eq!(survey.paths(1), [PathName::RawLoop, PathName::StdMutex]);
        assert!(survey.row(PathName::StdMutex, 1, 1).is_some());
    }

    #[test]
    fn mixed_paths_need_sixteen_subscribers_and_a_hundred_thousand_one_publisher() {
        let few = settings(&[PathName::SignalpostMixed], &[4], &[1]);
        assert!(few.is_empty());
        let many = settings(&PathName::ALL, &[100_000], &[1, 2]);
        let places = many.places(100_000);
        assert!(places.iter().all(|place| place.publishers == 1));
        let paths: Vec<_> = places.iter().map(|place| place.path).collect();
        assert_eq!(paths, [PathName::RawLoop, PathName::Signalpost]);
    }

    #[test]
    fn a_row_compares_round_by_round() {
        let place = |path| Place { path, subscribers: 1, publishers: 1 };
        let survey = Survey::of([
            (place(PathName::RawLoop), vec![2.0, 50.0, 4.0]),
            (place(PathName::Signalpost), vec![3.0, 51.0, 6.0]),
        ]);
        let rows = survey.rows();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].over_raw_ns, 0.0);
        let ours = &rows[1];
        assert_eq!((ours.min_ns, ours.median_ns, ours.max_ns), (3.0, 6.0, 51.0));
        assert_eq!(ours.over_raw_ns, 1.0);
        assert_eq!(survey.over_floor(PathName::Signalpost, 1, 1), Some(1.5));
    }

    #[test]
    fn a_process_is_one_repeat_where_there_are_five_and_a_round_where_there_are_fewer() {
        let place = |path| Place { path, subscribers: 16, publishers: 1 };
        let rounds: Vec<f64> = (0..15).map(f64::from).collect();
        let survey = Survey::of([
            (place(PathName::RawLoop), vec![2.0; 15]),
            (place(PathName::Signalpost), rounds.clone()),
        ]);
        let named = |measures: &[Measure], metric: &str| {
            let case = "signalpost, 16 subscribers, 1 publisher";
            let found = measures.iter().find(|one| one.case == case && one.metric == metric);
            found.map(|one| one.repeats.clone()).unwrap()
        };
        let by_process = survey.measures(3);
        assert_eq!(named(&by_process, "median"), [1.0, 4.0, 7.0, 10.0, 13.0]);
        assert_eq!(named(&by_process, "ratio"), [0.5, 2.0, 3.5, 5.0, 6.5]);
        assert_eq!(named(&survey.measures(5), "median"), rounds);
        assert_eq!(by_process.iter().filter(|one| one.metric == "ratio").count(), 1, "the floor has none");
    }

    #[test]
    fn a_place_without_rounds_is_not_there() {
        let place = Place { path: PathName::RawLoop, subscribers: 1, publishers: 1 };
        assert!(Survey::of([(place, vec![])]).is_empty());
    }
}
