//! `lab slots`: what a call through a patch point costs, patched and not, and what patching costs.
//!
//! Owns what is measured together, what came out of it, and what must be reached. Not here: the paths (`slots/path.rs`), the
//! functions that are called (`slots/copies.rs`), how long a change takes (`slots/change.rs`) and a pass (`slots/pass.rs`), calls
//! during changes (`slots/storm.rs`).
//!
//! All paths take turns within a round, in another order each time, and a round's times are compared with each other. Where the
//! linker puts a function and the loop around it decides about as much as is measured here, so everything is there in several
//! copies, and a path's time in a round is the middle copy's.
//!
//! Each path is timed twice: in turn, each call with the result of the one before, which is what a caller waits for, and what the
//! limits are for; and at once, with arguments known beforehand, which is how much of the processor a call takes: there a
//! processor overlaps so many calls that one more instruction, or a loop that begins at another address, is a tenth or a third of
//! a call.

pub mod change;
pub mod copies;
pub mod pass;
pub mod path;
pub mod storm;

use crate::{
    crew::Crew,
    progress::Progress,
    rounds::{self, Entry, Plan},
    stats::{self, Spread},
    table::{Cell, Colour, Table, Tone, counted, grouped, nanoseconds},
    target::Target,
};
use change::Changes;
use pass::Passes;
use path::{Pace, Paced, Path};
use serde::Serialize;
use std::{thread, time::Duration};
use storm::Storm;

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long and how often.
    pub plan: Plan,
    /// How long to patch and undo on one thread while another one calls.
    pub storm: Duration,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// How often each path was measured.
    pub rounds: usize,
    /// In so many copies.
    pub copies: usize,
    /// The paths.
    pub rows: Vec<Row>,
    /// Two paths beside each other, where something must be reached.
    pub beside: Beside,
    /// The same of calls that do not wait for each other.
    pub beside_at_once: Beside,
    /// What patching and undoing takes.
    pub changes: Changes,
    /// What a pass of a patcher takes.
    pub passes: Passes,
    /// Calls during changes.
    pub storm: Storm,
}

/// One path.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub path: Path,
    /// One call in nanoseconds, from its argument to its result: the middle round.
    pub median_ns: f64,
    /// The fastest round.
    pub min_ns: f64,
    /// The slowest round.
    pub max_ns: f64,
    /// The middle of the rounds' differences to [`Path::Direct`].
    pub over_direct_ns: f64,
    /// One call among others that do not wait for each other.
    pub at_once_ns: f64,
    /// The middle of the rounds' differences to [`Path::Direct`] of that.
    pub at_once_over_direct_ns: f64,
    /// The rounds of both in nanoseconds: in turn, at once.
    #[serde(skip)]
    pub rounds: [Vec<f64>; 2],
}

/// The middle of the rounds' comparisons.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Beside {
    /// An unpatched slot, times a direct call.
    pub unpatched_by_direct: f64,
    /// The same where both may be inlined.
    pub unpatched_by_direct_inlined: f64,
    /// A slot with a plain function, less a function pointer.
    pub fn_over_pointer_ns: f64,
    /// A slot with a closure, less a boxed closure.
    pub closure_over_boxed_ns: f64,
    /// A slot that a scope elsewhere replaces, less an unpatched one.
    pub elsewhere_over_unpatched_ns: f64,
}

/// Nanoseconds a call of each path, round by round, in the order of [`Path::ALL`].
struct Rounds(Vec<Vec<f64>>);

impl Settings {
    /// Measures everything.
    ///
    /// # Errors
    /// When a thread cannot be started, for people.
    pub fn run(&self, progress: &Progress) -> Result<Outcome, String> {
        progress.start(self.plan.rounds as u64 * 2 + 1);
        progress.step("calls through slots");
        let [in_turn, at_once] = self.calls(progress);
        progress.step("patching and undoing");
        let changes = Changes::measure(self.plan.rounds, || progress.advance())?;
        let passes = Passes::measure(self.plan.rounds)?;
        progress.step("calls during patching and undoing");
        let storm = Storm::run(self.storm);
        progress.advance();
        progress.finish();
        Ok(Outcome {
            rounds: in_turn.at(Path::Direct).len(),
            copies: copies::COUNT,
            rows: Path::ALL.into_iter().map(|path| Row::of(path, &in_turn, &at_once)).collect(),
            beside: in_turn.beside(),
            beside_at_once: at_once.beside(),
            changes,
            passes,
            storm,
        })
    }

    fn calls(&self, progress: &Progress) -> [Rounds; 2] {
        let copies: Vec<_> = Path::ALL.into_iter().flat_map(copies::of).collect();
        let at = |pace| copies.iter().map(move |copy| Paced(&**copy, pace));
        let lanes: Vec<_> = at(Pace::InTurn).chain(at(Pace::AtOnce)).collect();
        let entries: Vec<_> = lanes.iter().map(|lane| Entry { lane, publishers: 1 }).collect();
        let times = thread::scope(|scope| {
            let crew = Crew::start(scope, 1);
            rounds::measure(&crew, &entries, &self.plan, || progress.advance())
        });
        let (in_turn, at_once) = times.split_at(copies.len());
        [Rounds::of(in_turn), Rounds::of(at_once)]
    }
}

impl Rounds {
    /// Of the times of every copy of every path.
    fn of(times: &[Vec<f64>]) -> Self {
        let middle = |copies: &[Vec<f64>]| {
            let round =
                |round: usize| stats::median(&copies.iter().map(|times| times[round]).collect::<Vec<_>>());
            (0..copies[0].len()).map(round).collect()
        };
        Self(times.chunks(copies::COUNT).map(middle).collect())
    }

    fn at(&self, path: Path) -> &[f64] {
        &self.0[path as usize]
    }

    fn over(&self, path: Path, other: Path) -> f64 {
        stats::median(&stats::differences(self.at(path), self.at(other)))
    }

    fn times(&self, path: Path, other: Path) -> f64 {
        stats::median(&stats::ratios(self.at(path), self.at(other)))
    }

    fn beside(&self) -> Beside {
        Beside {
            unpatched_by_direct: self.times(Path::SlotUnpatched, Path::Direct),
            unpatched_by_direct_inlined: self.times(Path::SlotUnpatchedInlined, Path::DirectInlined),
            fn_over_pointer_ns: self.over(Path::SlotFn, Path::FnPointer),
            closure_over_boxed_ns: self.over(Path::SlotClosure, Path::BoxedClosure),
            elsewhere_over_unpatched_ns: self.over(Path::SlotScopeElsewhere, Path::SlotUnpatched),
        }
    }
}

impl Row {
    fn of(path: Path, in_turn: &Rounds, at_once: &Rounds) -> Self {
        let Spread { median, min, max } = Spread::of(in_turn.at(path));
        Self {
            path,
            median_ns: median,
            min_ns: min,
            max_ns: max,
            over_direct_ns: in_turn.over(path, Path::Direct),
            at_once_ns: stats::median(at_once.at(path)),
            at_once_over_direct_ns: at_once.over(path, Path::Direct),
            rounds: [in_turn.at(path).to_vec(), at_once.at(path).to_vec()],
        }
    }
}

impl Outcome {
    /// What must be reached.
    pub fn targets(&self) -> Vec<Target> {
        let Self { beside, changes, passes, storm, .. } = self;
        let of_storm = |what: &str, number: u64| Target::at_most(what, number as f64, 0.0, "");
        vec![
            Target::at_most("an unpatched slot, times a direct call", beside.unpatched_by_direct, 1.1, ""),
            Target::at_most(
                "a plain function in a slot, over a pointer",
                beside.fn_over_pointer_ns,
                1.0,
                "ns",
            ),
            Target::at_most(
                "a closure in a slot, over a boxed closure",
                beside.closure_over_boxed_ns,
                4.0,
                "ns",
            ),
            Target::at_most(
                "a scope elsewhere, over an unpatched slot",
                beside.elsewhere_over_unpatched_ns,
                5.0,
                "ns",
            ),
            Target::at_most("patch and undo of one slot", changes.closure_us.median, 3.0, "µs"),
            Target::at_most(
                format!("a pass over {}", counted(passes.slots, "slot")),
                passes.first_ms.median,
                5.0,
                "ms",
            ),
            of_storm("torn results while a slot is patched and undone", storm.torn),
            of_storm("calls that entered a layer after its undo", storm.stale),
            of_storm("captured states that were not dropped", storm.leaked),
        ]
    }

    /// The table of this outcome.
    pub fn report(&self, colour: Colour) -> String {
        let mut table = Table::headed([
            "",
            "in turn, ns",
            "over direct",
            "lowest..highest",
            "at once, ns",
            "over direct",
        ]);
        for row in &self.rows {
            table.row([
                row.path.as_str().into(),
                nanoseconds(row.median_ns).into(),
                format!("{:+.2}", row.over_direct_ns).into(),
                Cell::toned(Tone::Quiet, format!("{}..{}", nanoseconds(row.min_ns), nanoseconds(row.max_ns))),
                nanoseconds(row.at_once_ns).into(),
                format!("{:+.2}", row.at_once_over_direct_ns).into(),
            ]);
        }
        let Storm { seconds, cycles, calls, most_alive, .. } = &self.storm;
        format!(
            "\n{}\n{}  Median of {}, in each the middle of {} copies. In turn: each call with the result of the one before, as long as \
             a caller\n  waits. At once: calls that do not wait for each other. Over direct: in the same round.\n\n{}\n{}\n{}  Storm: {} \
             patches and undos in {seconds:.1} s on one thread, {} calls on another; at most {} alive at once.\n",
            colour.paint(Tone::Good, "Calls through patch points"),
            table.render(colour),
            counted(self.rounds, "round"),
            self.copies,
            colour.paint(Tone::Good, "Patching and undoing"),
            self.changes.report(colour),
            self.passes.report(colour),
            grouped(*cycles as usize),
            grouped(*calls as usize),
            counted(*most_alive as usize, "captured state"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> Settings {
        Settings {
            plan: Plan { rounds: 2, batch: Duration::from_micros(40), seed: 1 },
            storm: Duration::from_millis(50),
        }
    }

    #[test]
    fn every_path_is_measured_and_judged() {
        let outcome = tiny().run(&Progress::silent()).unwrap();
        assert_eq!((outcome.rounds, outcome.rows.len()), (2, Path::ALL.len()));
        for (row, path) in outcome.rows.iter().zip(Path::ALL) {
            assert_eq!(row.path, path);
            assert!(row.min_ns > 0.0 && row.max_ns >= row.median_ns, "{row:?}");
        }
        assert_eq!(outcome.rows[Path::Direct as usize].over_direct_ns, 0.0);
        let report = outcome.report(Colour(false));
        for part in ["slot-scope-elsewhere", "fail-rs-idle", "Patching and undoing", "Storm"] {
            assert!(report.contains(part), "no {part:?} in:\n{report}");
        }
        assert_eq!(outcome.targets().len(), 9);
    }

    #[test]
    fn paths_are_compared_round_by_round_by_their_middle_copies() {
        let mut times = vec![vec![10.0, 100.0, 10.0]; Path::ALL.len() * copies::COUNT];
        let copies_of = |path: Path| path as usize * copies::COUNT..(path as usize + 1) * copies::COUNT;
        for copy in copies_of(Path::SlotUnpatched) {
            times[copy] = vec![11.0, 110.0, 11.0];
        }
        times[copies_of(Path::SlotUnpatched).start] = vec![1.0, 1.0, 900.0]; // one that lies badly
        let rounds = Rounds::of(&times);
        assert_eq!(Row::of(Path::SlotUnpatched, &rounds, &rounds).over_direct_ns, 1.0);
        let beside = rounds.beside();
        assert!((beside.unpatched_by_direct - 1.1).abs() < 1e-12, "{beside:?}");
        assert_eq!((beside.fn_over_pointer_ns, beside.elsewhere_over_unpatched_ns), (0.0, -1.0));
    }
}
