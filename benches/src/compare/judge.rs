//! Which figures became worse, and how sure that is.
//!
//! Owns the verdicts and how the command ends because of them. Not here: intervals (`interval.rs`), limits (`limits.rs`), where the
//! figures come from (`files.rs`, `ab.rs`).
//!
//! A figure has *regressed* when all of the interval of its change lies above its limit, the change is at least `--min-effect`, and
//! it is worse at all beyond doubt. That last is for comparisons of many figures, which give noise many chances: where `k` have a
//! limit, zero lies below an interval that is so much wider that all `k` together hold in 95 of 100 comparisons (Bonferroni:
//! 1 - 0.05/k), or as wide as so few repeats allow.

use super::{
    alike::Difference,
    interval::{self, Interval},
    limits::Limits,
};
use crate::{
    exit::Exit,
    machine::Machine,
    measure::{Better, Measure, Unit},
    stats::median,
};
use serde::Serialize;

/// Repeats on each side below which nothing is judged.
pub const FEWEST: usize = 5;

/// Percent of the starts at a fixed rate that the base may have missed. Above it, latencies from the intended start say how busy the
/// machine was, and so they differ from hour to hour.
pub(super) const MISSED: f64 = 1.0;

/// How often an interval is to hold; and all wider ones together.
const CONFIDENCE: f64 = 0.95;

/// One metric of one case, of both sides.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Its names, unit and direction, and the base's repeats.
    pub base: Measure,
    /// The new repeats.
    pub new: Vec<f64>,
    /// Whether the repeats of both were measured side by side, so that the n-th of one belongs to the n-th of the other.
    pub paired: bool,
}

/// What became of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Worse by more than its limit, for sure.
    Regressed,
    /// Worse for sure; not for sure by more than its limit, or it has none.
    Worse,
    /// Better for sure.
    Better,
    /// A difference for sure; but less than `--min-effect`.
    TooSmall,
    /// No difference that can be told, and none above its limit.
    Same,
    /// No difference that can be told, but one above its limit might be hidden by noise; or a latency at a rate that the base's
    /// machine was too busy for, which cannot be judged.
    Unclear,
    /// Fewer than five repeats on a side.
    TooFewRepeats,
}

/// What a change is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counted {
    /// In percent of the base.
    Percent,
    /// In the figure's own unit: percent of percent mislead, and there are none of zero.
    Unit,
}

/// A figure that was judged.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What was measured.
    pub case: String,
    /// Which figure of it.
    pub metric: String,
    /// Its unit.
    pub unit: Unit,
    /// Which way is better.
    pub better: Better,
    /// The base's middle repeat.
    pub base: f64,
    /// The new middle repeat.
    pub new: f64,
    /// Repeats on both sides.
    pub repeats: [usize; 2],
    /// What the change is counted in.
    pub counted: Counted,
    /// The change.
    pub change: Interval,
    /// What counts as worse, if this figure has a limit.
    pub limit: Option<String>,
    /// What became of it.
    pub verdict: Verdict,
}

/// A figure that is there only on one side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Name {
    /// What was measured.
    pub case: String,
    /// Which figure of it.
    pub metric: String,
}

/// One of the two that are compared.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    /// The file, or the program.
    pub name: String,
    /// Where it was measured, by which build.
    pub machine: Machine,
    /// The command that measured it.
    pub command: Vec<String>,
    /// What spoils its figures.
    pub warnings: Vec<String>,
}

/// A comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// With what is compared.
    pub base: Side,
    /// What is compared.
    pub new: Side,
    /// Whether the two were measured side by side.
    pub interleaved: bool,
    /// The limits, as one would type them.
    pub limits: Vec<String>,
    /// In what the two differ besides their figures.
    pub differences: Vec<Difference>,
    /// Whether they may be compared, or were asked to be compared all the same.
    pub comparable: bool,
    /// The figures; none where they may not be compared.
    pub rows: Vec<Row>,
    /// Only in the base.
    pub missing: Vec<Name>,
    /// Whether figures may be missing.
    pub may_miss: bool,
    /// Only in the new one.
    pub added: Vec<Name>,
}

impl Outcome {
    /// How a command ends that came to this. What became worse for sure is said first; then what is missing; then what could not
    /// be judged.
    pub fn exit(&self) -> Exit {
        let judged = |verdict| self.rows.iter().any(|row| row.limit.is_some() && row.verdict == verdict);
        match self {
            _ if !self.comparable => Exit::NotComparable,
            _ if judged(Verdict::Regressed) => Exit::Regressed,
            _ if !self.missing.is_empty() && !self.may_miss => Exit::NotComparable,
            _ if judged(Verdict::TooFewRepeats) => Exit::Usage,
            _ => Exit::Fine,
        }
    }

    /// The rows that came to a verdict.
    pub fn with(&self, verdict: Verdict) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.verdict == verdict)
    }
}

/// Judges every figure.
///
/// # Errors
/// In words, when a limit has no figure that it is for.
pub fn judge(figures: &[Figure], limits: &Limits) -> Result<Vec<Row>, String> {
    limits.check(figures.iter().map(|figure| &figure.base))?;
    let with_limit = figures
        .iter()
        .filter(|figure| figure.enough() && !figure.is_exact() && limits.of_measure(&figure.base).is_some());
    let together = 1.0 - (1.0 - CONFIDENCE) / with_limit.count().max(1) as f64;
    let mut rows: Vec<_> = figures.iter().map(|figure| figure.row(limits, together)).collect();
    let starved = |row: &&Row| row.metric == "missed" && row.base > MISSED;
    let starved: Vec<_> = rows.iter().filter(starved).map(|row| row.case.clone()).collect();
    for row in &mut rows {
        let from_intended_start = row.unit == Unit::Nanoseconds && !row.metric.starts_with("raw-");
        if row.verdict == Verdict::Regressed && from_intended_start && starved.contains(&row.case) {
            row.verdict = Verdict::Unclear;
        }
    }
    Ok(rows)
}

impl Figure {
    fn enough(&self) -> bool {
        self.base.repeats.len() >= FEWEST && self.new.len() >= FEWEST
    }

    /// Counts that came out the same in every repeat: nothing is left to chance.
    fn is_exact(&self) -> bool {
        let same = |values: &[f64]| values.windows(2).all(|two| two[0] == two[1]);
        matches!(self.base.unit, Unit::Instructions | Unit::Bytes)
            && same(&self.base.repeats)
            && same(&self.new)
    }

    fn row(&self, limits: &Limits, together: f64) -> Row {
        let Measure { case, metric, unit, better, repeats } = &self.base;
        let limit = limits.of_measure(&self.base);
        let (counted, change) = self.change(CONFIDENCE);
        let (_, wider) = self.change(if limit.is_some() { together } else { CONFIDENCE });
        let base = median(repeats);
        let verdict = if self.enough() || self.is_exact() {
            // In its own unit: how much there is of the change.
            let in_unit = |change: f64| match counted {
                Counted::Percent => base.abs() * change / 100.0,
                Counted::Unit => change,
            };
            let limit = limit.map(|limit| match counted {
                Counted::Unit if *unit != Unit::Percent => 0.0, // any growth from nothing
                _ => limit.percent,
            });
            verdict(*better, [change, wider], limit, limits.least(*unit), in_unit)
        } else {
            Verdict::TooFewRepeats
        };
        Row {
            case: case.clone(),
            metric: metric.clone(),
            unit: *unit,
            better: *better,
            base,
            new: median(&self.new),
            repeats: [repeats.len(), self.new.len()],
            counted,
            change,
            limit: limit.map(ToString::to_string),
            verdict,
        }
    }

    /// The change, and what it is counted in.
    fn change(&self, confidence: f64) -> (Counted, Interval) {
        let (base, new) = (&self.base.repeats[..], &self.new[..]);
        let middle = median(base);
        let positive = |values: &[f64]| values.iter().all(|value| *value > 0.0);
        if self.is_exact() {
            let change = new[0] - base[0];
            return match middle {
                0.0 => (Counted::Unit, Interval::exact(change)),
                middle => (Counted::Percent, Interval::exact(100.0 * change / middle.abs())),
            };
        }
        if self.base.unit != Unit::Percent && positive(base) && positive(new) {
            let logarithms = |values: &[f64]| values.iter().map(|value| value.ln()).collect::<Vec<_>>();
            let change = self.apart(&logarithms(base), &logarithms(new), confidence);
            return (Counted::Percent, change.map(|log| 100.0 * log.exp_m1()));
        }
        let change = self.apart(base, new, confidence);
        match middle {
            middle if self.base.unit == Unit::Percent || middle == 0.0 => (Counted::Unit, change),
            middle => (Counted::Percent, change.map(|change| 100.0 * change / middle.abs())),
        }
    }

    fn apart(&self, base: &[f64], new: &[f64], confidence: f64) -> Interval {
        if self.paired {
            interval::paired(&crate::stats::differences(new, base), confidence)
        } else {
            interval::apart(base, new, confidence)
        }
    }
}

fn verdict(
    better: Better,
    [change, wider]: [Interval; 2],
    limit: Option<f64>,
    least: f64,
    in_unit: impl Fn(f64) -> f64,
) -> Verdict {
    // How much worse it is at least, and at most.
    let worse = |interval: Interval| match better {
        Better::Lower => (interval.low, interval.high),
        Better::Higher => (-interval.high, -interval.low),
    };
    let (at_least, at_most) = worse(change);
    let beyond_doubt = worse(wider).0 > 0.0;
    let counts = in_unit(change.middle).abs() >= least;
    match limit {
        Some(limit) if counts && beyond_doubt && at_least > limit => Verdict::Regressed,
        _ if counts && at_least > 0.0 => Verdict::Worse,
        _ if counts && at_most < 0.0 => Verdict::Better,
        _ if at_least > 0.0 || at_most < 0.0 => Verdict::TooSmall,
        Some(limit) if at_most > limit && in_unit(at_most) >= least => Verdict::Unclear,
        _ => Verdict::Same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::limits::{Limit, MinEffect};

    fn measure(metric: &str, unit: Unit, better: Better, repeats: &[f64]) -> Measure {
        let (case, metric) = ("case".to_owned(), metric.to_owned());
        Measure { case, metric, unit, better, repeats: repeats.to_vec() }
    }

    fn limits(text: &str) -> Limits {
        let limits: Vec<_> = text.split(',').map(|text| Limit::parse(text).unwrap()).collect();
        Limits::of(&limits, &[])
    }

    fn one(base: Measure, new: &[f64], limit: &str) -> Row {
        let figure = Figure { base, new: new.to_vec(), paired: false };
        judge(&[figure], &limits(limit)).unwrap().remove(0)
    }

    fn ns(base: &[f64], new: &[f64]) -> Row {
        one(measure("median", Unit::Nanoseconds, Better::Lower, base), new, "median:+5%")
    }

    const BASE: [f64; 6] = [100.0, 101.0, 99.0, 100.5, 99.5, 100.0];

    fn by(factor: f64) -> [f64; 6] {
        BASE.map(|value| value * factor)
    }

    #[test]
    fn all_of_the_interval_decides_and_not_its_middle() {
        assert_eq!(ns(&BASE, &by(1.0)).verdict, Verdict::Same);
        assert_eq!(ns(&BASE, &by(1.10)).verdict, Verdict::Regressed);
        assert_eq!(ns(&BASE, &by(1.04)).verdict, Verdict::Worse);
        assert_eq!(ns(&BASE, &by(1.055)).verdict, Verdict::Worse, "it begins below the limit");
        assert_eq!(ns(&BASE, &by(0.9)).verdict, Verdict::Better);
        assert_eq!(ns(&BASE, &[80.0, 130.0, 90.0, 125.0, 100.0, 110.0]).verdict, Verdict::Unclear);
        let row = ns(&BASE, &by(1.10));
        assert!((row.change.middle - 10.0).abs() < 1e-6 && row.change.low > 5.0 && row.change.high < 15.0);
    }

    #[test]
    fn of_more_is_better_less_is_worse() {
        let throughput = |new: &[f64]| {
            one(measure("throughput", Unit::PerSecond, Better::Higher, &BASE), new, "throughput:-5%").verdict
        };
        assert_eq!(throughput(&by(0.9)), Verdict::Regressed);
        assert_eq!(throughput(&by(1.1)), Verdict::Better);
        assert_eq!(throughput(&by(0.97)), Verdict::Worse);
    }

    #[test]
    fn what_is_below_the_least_effect_does_not_count() {
        let small = BASE.map(|value| value / 20.0); // 5 ns: 10 % are half a nanosecond
        assert_eq!(ns(&small, &small.map(|value| value * 1.1)).verdict, Verdict::TooSmall);
        assert_eq!(ns(&small, &small.map(|value| value * 1.3)).verdict, Verdict::Regressed);
        let figure = Figure {
            base: measure("median", Unit::Nanoseconds, Better::Lower, &BASE),
            new: by(1.1).to_vec(),
            paired: false,
        };
        let least = MinEffect::parse("50ns").unwrap();
        let limits = Limits::of(&[Limit::parse("median:+5%").unwrap()], &[least]);
        assert_eq!(judge(&[figure], &limits).unwrap()[0].verdict, Verdict::TooSmall);
    }

    #[test]
    fn fewer_than_five_repeats_are_not_judged_but_counts_that_are_always_the_same_are() {
        assert_eq!(ns(&BASE[..4], &by(2.0)).verdict, Verdict::TooFewRepeats);
        let count = |base: &[f64], new: &[f64]| {
            let base = measure("instructions", Unit::Instructions, Better::Lower, base);
            one(base, new, "instructions:+1%")
        };
        assert_eq!(count(&[200.0, 200.0], &[201.0, 201.0]).verdict, Verdict::Worse);
        let row = count(&[200.0], &[203.0]);
        assert_eq!((row.verdict, row.change), (Verdict::Regressed, Interval::exact(1.5)));
        assert_eq!(count(&[200.0], &[200.0]).verdict, Verdict::Same);
        assert_eq!(count(&[200.0, 201.0], &[200.0, 201.0]).verdict, Verdict::TooFewRepeats);
    }

    #[test]
    fn zero_and_percent_are_compared_by_difference() {
        let missed = |base: &[f64], new: &[f64]| {
            one(measure("missed", Unit::Percent, Better::Lower, base), new, "missed:+1%")
        };
        let row = missed(&[0.0; 5], &[3.0, 3.1, 2.9, 3.0, 3.0]);
        assert_eq!((row.verdict, row.counted), (Verdict::Regressed, Counted::Unit));
        assert_eq!(missed(&[0.0; 5], &[0.5; 5]).verdict, Verdict::Worse);
        assert_eq!(missed(&[0.0; 5], &[0.0; 5]).verdict, Verdict::Same);
        assert_eq!(ns(&[0.0; 5], &[40.0; 5]).verdict, Verdict::Regressed);
        let below_zero = ns(&[-1.0, 100.0, 100.0, 101.0, 99.0], &[130.0; 5]);
        assert_eq!(below_zero.counted, Counted::Percent);
        assert!((below_zero.change.middle - 30.0).abs() < 1.0);
    }

    #[test]
    fn latencies_at_a_rate_that_the_base_could_not_keep_are_not_judged() {
        let verdicts = |missed: f64| {
            let figure = |metric: &str, unit, repeats: &[f64], new: &[f64]| Figure {
                base: measure(metric, unit, Better::Lower, repeats),
                new: new.to_vec(),
                paired: false,
            };
            let figures = [
                figure("p99", Unit::Nanoseconds, &BASE, &by(1.5)),
                figure("raw-p99", Unit::Nanoseconds, &BASE, &by(1.5)),
                figure("missed", Unit::Percent, &[missed; 5], &[missed; 5]),
            ];
            let rows = judge(&figures, &limits("p99:+10%,raw-p99:+10%")).unwrap();
            rows.iter().map(|row| row.verdict).collect::<Vec<_>>()
        };
        assert_eq!(verdicts(0.5), [Verdict::Regressed, Verdict::Regressed, Verdict::Same]);
        assert_eq!(verdicts(60.0), [Verdict::Unclear, Verdict::Regressed, Verdict::Same]);
    }

    #[test]
    fn one_figure_of_many_must_be_worse_beyond_more_doubt_than_one_alone() {
        let measure = |metric: &str| measure(metric, Unit::Nanoseconds, Better::Lower, &[100.0; 10]);
        // One of ten pairs says the contrary: enough doubt where there are a hundred figures, and not where there is one.
        let new = [107.0, 108.0, 109.0, 110.0, 111.0, 112.0, 113.0, 99.5, 104.5, 106.0];
        let figure = |metric: &str| Figure { base: measure(metric), new: new.to_vec(), paired: true };
        let alone = judge(&[figure("p50")], &limits("p50:+3%")).unwrap();
        assert_eq!(alone[0].verdict, Verdict::Regressed);
        let many: Vec<_> = (0..100).map(|_| figure("p50")).collect();
        let together = judge(&many, &limits("p50:+3%")).unwrap();
        assert_eq!((together[0].verdict, together[0].change), (Verdict::Worse, alone[0].change));
    }
}

/// Whether comparisons notice what they should, on a machine that others use too: drift, jitter and stalls, made up from a seed.
#[cfg(test)]
mod noise {
    use super::*;
    use crate::compare::limits::Limit;

    /// A machine that is never quite the same (splitmix64).
    struct Shared {
        state: u64,
        /// How much slower everything is for a while: it wanders.
        drift: f64,
    }

    impl Shared {
        fn new(seed: u64) -> Self {
            Self { state: seed.wrapping_mul(0xD134_2543_DE82_EF95), drift: 0.0 }
        }

        /// Even between 0 and 1.
        fn even(&mut self) -> f64 {
            self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        }

        /// Around 0, as wide as a normal variable of deviation 1.
        fn bell(&mut self) -> f64 {
            (0..12).map(|_| self.even()).sum::<f64>() - 6.0
        }

        /// What a run measures of each of these times, which all take so many times as long in this build.
        fn run(&mut self, times: &[f64], factor: f64) -> Vec<f64> {
            self.drift = 0.9 * self.drift + 0.015 * self.bell();
            let run = self.drift + 0.01 * self.bell(); // where code and stacks lie in this process
            let stalled = if self.even() < 0.07 { 0.2 + 0.6 * self.even() } else { 0.0 };
            let figure = |time: &f64| time * factor * (run + stalled + 0.01 * self.bell()).exp();
            times.iter().map(figure).collect()
        }
    }

    /// What `lab compare --ab` measures by default, in nanoseconds: raw loop and signalpost.
    const TIMES: [f64; 8] = [1.0, 2.0, 25.0, 90.0, 3.0, 5.0, 28.0, 95.0];

    fn verdicts(seed: u64, rounds: usize, factor: f64) -> Vec<Verdict> {
        let mut machine = Shared::new(seed);
        let mut sides = [vec![Vec::new(); TIMES.len()], vec![Vec::new(); TIMES.len()]];
        for round in 0..rounds as u64 {
            let new_first = usize::from((round + seed).is_multiple_of(2));
            for side in [new_first, 1 - new_first] {
                let run = machine.run(&TIMES, [1.0, factor][side]);
                sides[side].iter_mut().zip(run).for_each(|(all, time)| all.push(time));
            }
        }
        let [base, new] = sides;
        let figure = |(index, (base, new)): (usize, (Vec<f64>, Vec<f64>))| Figure {
            base: Measure {
                case: format!("case {index}"),
                metric: "median".to_owned(),
                unit: Unit::Nanoseconds,
                better: Better::Lower,
                repeats: base,
            },
            new,
            paired: true,
        };
        let figures: Vec<_> = base.into_iter().zip(new).enumerate().map(figure).collect();
        let limits = Limits::of(&[Limit::parse("median:+5%").unwrap()], &[]);
        judge(&figures, &limits).unwrap().into_iter().map(|row| row.verdict).collect()
    }

    /// In how many of 200 machines a comparison fails.
    fn failed(rounds: usize, factor: f64) -> usize {
        (0..200).filter(|&seed| verdicts(seed, rounds, factor).contains(&Verdict::Regressed)).count()
    }

    #[test]
    fn ten_percent_more_is_noticed_in_nine_of_ten_comparisons_and_one_build_fails_in_one_of_twenty() {
        let (noticed, alarmed) = (failed(21, 1.10), failed(21, 1.0));
        println!("21 rounds: noticed {noticed} of 200, false alarms {alarmed} of 200");
        assert!(noticed >= 180, "noticed {noticed} of 200");
        assert!(alarmed <= 10, "{alarmed} false alarms of 200");
    }

    #[test]
    fn the_fewest_rounds_raise_no_false_alarm_either() {
        for rounds in [FEWEST, 9] {
            let alarmed = failed(rounds, 1.0);
            println!("{rounds} rounds: false alarms {alarmed} of 200, noticed {}", failed(rounds, 1.10));
            assert!(alarmed <= 10, "{alarmed} false alarms of 200 with {rounds} rounds");
        }
    }
}
