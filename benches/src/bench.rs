//! The lab's harness for people's own code: their dispatcher, their subscribers, measured as `lab paths` measures.
//!
//! Owns a contest of closures and its report. Every closure's loop is compiled alone, all take turns in shuffled rounds on pinned
//! threads, and what is compared is compared round by round. Not here: how a batch is timed (`harness.rs`), the order (`rounds.rs`).
//!
//! One process measures. Where code and stacks happen to lie decides about half a nanosecond a call for as long as it lives: what
//! hangs on less than that is to be run several times.
//!
//! # Examples
//! ```
//! use signalpost_lab::bench::Contest;
//! use std::{hint::black_box, sync::Mutex};
//!
//! let (event, total) = (7_u64, Mutex::new(0_u64));
//! let report = Contest::new()
//!     .floor("bare call", || black_box(&event).wrapping_add(1))
//!     .path("behind a lock", || *total.lock().unwrap() += black_box(event))
//!     .rounds(3)
//!     .run();
//! println!("{report}");
//! let locked = report.row("behind a lock", 1).unwrap();
//! assert!(locked.median_ns > 0.0 && locked.over_floor_ns.is_some());
//! ```

use crate::{
    crew::Crew,
    harness::{Batch, Gate, Lane, Measured, timed},
    machine::Machine,
    measure::{Better, Measure, Unit},
    output::{CannotWrite, Destination, Document, Rows},
    rounds::{self, Entry, Plan},
    stats::{self, Spread},
    stop,
    table::{Cell, Colour, Table, Tone, counted, nanoseconds},
    verdict,
};
use serde::Serialize;
use std::{
    fmt,
    hint::black_box,
    io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// Closures to be measured side by side.
///
/// A call of a closure is what is timed: one publish, say. What it returns is hidden from the optimizer; what it is given is not, so
/// that an event should go through [`black_box`], or parts of the work may be done once for all calls. What a closure borrows must
/// live as long as the contest.
#[must_use = "nothing is measured before `run`"]
pub struct Contest<'a> {
    entrants: Vec<Entrant<'a>>,
    publishers: Vec<usize>,
    plan: Plan,
}

struct Entrant<'a> {
    name: String,
    is_floor: bool,
    lane: Box<dyn Lane + 'a>,
}

impl Default for Contest<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> Contest<'a> {
    /// Nobody yet; 7 rounds of batches of 3 milliseconds, one publisher.
    pub const fn new() -> Self {
        let plan = Plan { rounds: 7, batch: Duration::from_millis(3), seed: 7 };
        Self { entrants: Vec::new(), publishers: Vec::new(), plan }
    }

    /// What the others are measured from: the same work without what they do beside it, a bare loop over the subscribers, say. It
    /// wins nothing. Of several the first counts.
    pub fn floor<R>(self, name: impl Into<String>, call: impl Fn() -> R + Send + Sync + 'a) -> Self
    where
        R: 'a,
    {
        self.enter(name, true, Shared(call))
    }

    /// Something to measure, called by all publishers.
    pub fn path<R>(self, name: impl Into<String>, call: impl Fn() -> R + Send + Sync + 'a) -> Self
    where
        R: 'a,
    {
        self.enter(name, false, Shared(call))
    }

    /// Something to measure of which each publisher has its own: `make` is called on its thread, once a batch, outside of what is
    /// timed.
    pub fn path_each<F, R>(self, name: impl Into<String>, make: impl Fn() -> F + Send + Sync + 'a) -> Self
    where
        F: FnMut() -> R + 'a,
        R: 'a,
    {
        self.enter(name, false, Made(make))
    }

    fn enter(mut self, name: impl Into<String>, is_floor: bool, lane: impl Lane + 'a) -> Self {
        self.entrants.push(Entrant { name: name.into(), is_floor, lane: Box::new(lane) });
        self
    }

    /// How many threads call at once, each on a core of its own as far as there are cores; several counts are measured in the same
    /// rounds. One, unless said otherwise.
    pub fn publishers(mut self, counts: impl IntoIterator<Item = usize>) -> Self {
        self.publishers = counts.into_iter().filter(|&count| count > 0).collect();
        self.publishers.sort_unstable();
        self.publishers.dedup();
        self
    }

    /// How often each is measured; below 7 the spread says little.
    pub const fn rounds(mut self, rounds: usize) -> Self {
        self.plan.rounds = if rounds == 0 { 1 } else { rounds };
        self
    }

    /// How long one batch takes, about; 10 microseconds at least.
    pub fn batch(mut self, batch: Duration) -> Self {
        self.plan.batch = batch.max(Duration::from_micros(10));
        self
    }

    /// Decides the order within the rounds.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.plan.seed = seed;
        self
    }

    /// Measures, on threads of its own.
    ///
    /// # Panics
    /// When a closure does, or when nobody takes part.
    pub fn run(&self) -> Report {
        assert!(!self.entrants.is_empty(), "a contest needs somebody: add them with `path`");
        let counts = if self.publishers.is_empty() { &[1][..] } else { &self.publishers };
        let entrants = self.entrants.len();
        let entries: Vec<_> = counts
            .iter()
            .flat_map(|&publishers| {
                self.entrants.iter().map(move |entrant| Entry { lane: &*entrant.lane, publishers })
            })
            .collect();
        let times = thread::scope(|scope| {
            let crew = Crew::start(scope, counts.iter().copied().max().unwrap_or(1));
            rounds::measure(&crew, &entries, &self.plan, || {})
        });
        let floor = self.entrants.iter().position(|entrant| entrant.is_floor);
        let rows = times.chunks(entrants).zip(counts).flat_map(|(times, &publishers)| {
            self.entrants.iter().enumerate().map(move |(index, entrant)| {
                let floor = floor.map(|floor| times[floor].as_slice());
                Row::of(entrant, publishers, &times[index], floor)
            })
        });
        Report { rows: rows.collect() }
    }
}

impl fmt::Debug for Contest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.entrants.iter().map(|entrant| &entrant.name).collect();
        f.debug_struct("Contest")
            .field("entrants", &names)
            .field("publishers", &self.publishers)
            .field("plan", &self.plan)
            .finish()
    }
}

/// A closure that all publishers call.
struct Shared<F>(F);

impl<F: Fn() -> R + Send + Sync, R> Lane for Shared<F> {
    fn measure(&self, gate: &Gate, batch: Batch) -> Measured {
        let mut call = &self.0;
        timed(gate, batch, 0, |calls| (lap(&mut call, calls), 0))
    }
}

/// What makes a closure for each publisher.
struct Made<M>(M);

impl<M: Fn() -> F + Send + Sync, F: FnMut() -> R, R> Lane for Made<M> {
    fn measure(&self, gate: &Gate, batch: Batch) -> Measured {
        let mut call = (self.0)();
        timed(gate, batch, 0, |calls| (lap(&mut call, calls), 0))
    }
}

/// The loop that is timed. Never inlined, so that it is compiled once for each closure, alone.
#[inline(never)]
fn lap<R>(call: &mut impl FnMut() -> R, calls: u64) -> Duration {
    let start = Instant::now();
    for _ in 0..calls {
        black_box(call());
    }
    start.elapsed()
}

/// What came out of a contest. Displayed as a table like the lab's.
#[derive(Clone, Debug)]
pub struct Report {
    rows: Vec<Row>,
}

/// One of a contest, by so many publishers; the keys of the JSON rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its name.
    pub path: String,
    /// Whether it is what the others are measured from.
    pub is_floor: bool,
    /// Threads that called at once.
    pub publishers: usize,
    /// One call in nanoseconds, as a publisher sees it: the middle round.
    pub median_ns: f64,
    /// The fastest round.
    pub min_ns: f64,
    /// The slowest round.
    pub max_ns: f64,
    /// The middle of the rounds' differences to the floor; none without one.
    pub over_floor_ns: Option<f64>,
    /// The middle of the rounds' ratios to the floor; none without one.
    pub times_floor: Option<f64>,
    /// Every round in nanoseconds a call.
    pub rounds_ns: Vec<f64>,
    #[serde(skip)]
    ratios: Vec<f64>,
}

impl Row {
    fn of(entrant: &Entrant<'_>, publishers: usize, rounds: &[f64], floor: Option<&[f64]>) -> Self {
        let Spread { median, min, max } = Spread::of(rounds);
        let ratios = floor.map(|floor| stats::ratios(rounds, floor));
        Self {
            path: entrant.name.clone(),
            is_floor: entrant.is_floor,
            publishers,
            median_ns: median,
            min_ns: min,
            max_ns: max,
            over_floor_ns: floor.map(|floor| stats::median(&stats::differences(rounds, floor))),
            times_floor: ratios.as_deref().map(stats::median),
            rounds_ns: rounds.to_vec(),
            ratios: ratios.unwrap_or_default(),
        }
    }

    fn case(&self) -> String {
        format!("{}, {}", self.path, counted(self.publishers, "publisher"))
    }
}

impl Report {
    /// All rows: by publishers, then in the order in which they were added.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// One row by its name.
    pub fn row(&self, path: &str, publishers: usize) -> Option<&Row> {
        self.rows.iter().find(|row| row.path == path && row.publishers == publishers)
    }

    /// Who is fastest, and who cannot be told from it in a quarter of the rounds; none where fewer than two could win.
    pub fn fastest(&self, publishers: usize) -> Option<Vec<&str>> {
        let rows = self.rows.iter().filter(|row| row.publishers == publishers && !row.is_floor);
        let rounds: Vec<_> = rows.map(|row| (row.path.as_str(), row.rounds_ns.as_slice())).collect();
        let standing = verdict::fastest(&rounds)?;
        Some([vec![standing.winner], standing.level].concat())
    }

    /// The same for programs, with the machine: what `lab compare` and `lab report` read.
    pub fn document(&self) -> Document {
        let mut document = Document::of(Machine::this());
        document.command = Vec::new(); // it is no command of the lab's
        document.partial = stop::is_asked();
        let measure = |row: &Row, metric: &str, unit, repeats: &[f64]| Measure {
            case: row.case(),
            metric: metric.to_owned(),
            unit,
            better: Better::Lower,
            repeats: repeats.to_vec(),
        };
        for row in &self.rows {
            document.measures.push(measure(row, "median", Unit::Nanoseconds, &row.rounds_ns));
            if !row.is_floor && !row.ratios.is_empty() {
                document.measures.push(measure(row, "ratio", Unit::Times, &row.ratios));
            }
        }
        document.rows = Rows::Own(self.rows.clone());
        document
    }

    /// Writes [`document`](Self::document) as JSON; to standard output if the path is `-`.
    ///
    /// # Errors
    /// When it cannot be written; a file that was there before is then unchanged.
    pub fn write_json(&self, to: impl AsRef<Path>) -> Result<(), CannotWrite> {
        Destination::open(to.as_ref())?.write(&self.document())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colour = Colour::for_stream(&io::stdout());
        let several = self.rows.iter().any(|row| row.publishers > 1);
        let mut table = Table::headed(["path", "ns a call", "over the floor", "times", "spread"]);
        for row in &self.rows {
            let name = match row.publishers {
                1 if !several => row.path.clone(),
                _ => row.case(),
            };
            let place = self
                .fastest(row.publishers)
                .and_then(|fastest| fastest.iter().position(|name| *name == row.path));
            let median = nanoseconds(row.median_ns);
            let over = row.over_floor_ns.filter(|_| !row.is_floor);
            table.row([
                name.into(),
                match place.filter(|_| !row.is_floor) {
                    Some(0) => Cell::toned(Tone::Good, format!("*{median}")),
                    Some(_) => Cell::toned(Tone::Good, format!("={median}")),
                    None => median.into(),
                },
                over.map_or(Cell::toned(Tone::Quiet, "-"), |over| {
                    let sign = if over < 0.0 { '-' } else { '+' };
                    format!("{sign}{}", nanoseconds(over.abs())).into()
                }),
                row.times_floor
                    .filter(|_| !row.is_floor)
                    .map_or(Cell::toned(Tone::Quiet, "-"), |times| format!("{times:.2}").into()),
                Cell::toned(
                    Tone::Quiet,
                    format!(
                        "{:.0}..+{:.0} %",
                        (row.min_ns / row.median_ns - 1.0) * 100.0,
                        (row.max_ns / row.median_ns - 1.0) * 100.0
                    ),
                ),
            ]);
        }
        f.write_str(&table.render(colour))?;
        let rounds = self.rows.first().map_or(0, |row| row.rounds_ns.len());
        writeln!(f, "  Median of {}, in one process. * fastest, = level with it.", counted(rounds, "round"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    };

    const TINY: Duration = Duration::from_micros(20);

    #[test]
    fn everyone_is_called_by_every_count_of_publishers_and_measured_from_the_floor() {
        let (floor, shared, made) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let report = Contest::new()
            .floor("floor", || floor.fetch_add(1, Relaxed))
            .path("shared", || shared.fetch_add(1, Relaxed))
            .path_each("each", || {
                made.fetch_add(1, Relaxed);
                let mut own = 0_u64;
                move || {
                    own += 1;
                    own
                }
            })
            .publishers([2, 1, 2, 0])
            .rounds(3)
            .batch(TINY)
            .run();
        let names: Vec<_> = report.rows().iter().map(|row| (row.path.as_str(), row.publishers)).collect();
        assert_eq!(
            names,
            [("floor", 1), ("shared", 1), ("each", 1), ("floor", 2), ("shared", 2), ("each", 2)]
        );
        assert!(floor.into_inner() > 0 && shared.into_inner() > 0 && made.into_inner() >= 3 * 3);
        assert!(report.rows().iter().all(|row| row.rounds_ns.len() == 3 && row.over_floor_ns.is_some()));
        assert_eq!(report.row("floor", 2).unwrap().times_floor, Some(1.0));
        assert!(report.fastest(1).is_some_and(|fastest| !fastest.contains(&"floor")));
    }

    #[test]
    fn the_report_and_the_document_say_the_same() {
        let lock = Mutex::new(0_u64);
        let contest = Contest::new().path("one", || 1).path("two", || *lock.lock().unwrap() += 1);
        let report = contest.rounds(2).batch(TINY).run();
        let text = report.to_string();
        assert!(text.contains("Median of 2 rounds") && text.contains("one"), "{text}");
        assert!(text.contains('*'), "somebody is fastest: {text}");
        let document = serde_json::to_value(report.document()).unwrap();
        assert_eq!(document["rows"][1]["path"], "two");
        assert_eq!(document["measures"][1]["case"], "two, 1 publisher");
        assert_eq!(document["measures"][1]["repeats"], document["rows"][1]["rounds_ns"]);
        assert_eq!(document["measures"].as_array().unwrap().len(), 2, "no ratio without a floor");
    }

    #[test]
    #[should_panic(expected = "a contest needs somebody")]
    fn nobody_is_no_contest() {
        let _ = Contest::new().run();
    }
}
