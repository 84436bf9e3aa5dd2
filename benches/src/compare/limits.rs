//! What counts as worse: `--fail-on` and `--min-effect`.
//!
//! Owns how both are written, their defaults, and which limit a figure has.

use crate::measure::{Better, Measure, Unit};
use std::fmt;

/// How much worse a metric may become.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// The metric's name.
    pub metric: String,
    /// Which way is worse, as it was written.
    pub worse: Worse,
    /// So many percent; of a metric that is in percent itself, so many points.
    pub percent: f64,
}

/// Which way is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worse {
    /// More is: `median:+5%`.
    More,
    /// Less is: `throughput:-5%`.
    Less,
}

/// What is too little to count, in a unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MinEffect {
    /// The unit.
    pub unit: Unit,
    /// So much of it.
    pub least: f64,
}

/// Limits where none are asked for: of the metrics that are there.
const DEFAULTS: [(&str, Worse, f64); 6] = [
    ("median", Worse::More, 5.0),
    ("p50", Worse::More, 5.0),
    ("p99", Worse::More, 10.0),
    ("throughput", Worse::Less, 5.0),
    ("instructions", Worse::More, 1.0),
    ("bytes", Worse::More, 5.0),
];

/// The defaults, as `--help` shows them.
pub(super) const DEFAULTS_SHOWN: &str =
    "median:+5%,p50:+5%,p99:+10%,throughput:-5%,instructions:+1%,bytes:+5%, those that are there";

impl Limit {
    /// Reads `METRIC:+N%` or `METRIC:-N%`.
    ///
    /// # Errors
    /// In words, with what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        const EXPECTED: &str =
            "expected METRIC:+N% (or METRIC:-N% where more is better), as in p99:+10% or throughput:-5%";
        let (metric, amount) = text.trim().rsplit_once(':').ok_or(EXPECTED)?;
        let (worse, number) = match amount.split_at_checked(1).ok_or(EXPECTED)? {
            ("+", number) => (Worse::More, number),
            ("-", number) => (Worse::Less, number),
            _ => return Err(format!("the limit has no sign; {EXPECTED}")),
        };
        let number = number.strip_suffix('%').ok_or_else(|| format!("the limit is no share; {EXPECTED}"))?;
        let percent: f64 =
            number.trim().parse().map_err(|_| format!("'{number}' is no number; {EXPECTED}"))?;
        if metric.is_empty() || !(percent.is_finite() && (0.0..=1e6).contains(&percent)) {
            return Err(EXPECTED.to_owned());
        }
        Ok(Self { metric: metric.to_owned(), worse, percent })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.worse == Worse::More { '+' } else { '-' };
        write!(f, "{}:{sign}{}%", self.metric, self.percent)
    }
}

impl MinEffect {
    /// Reads a number with its unit.
    ///
    /// # Errors
    /// In words, with what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected a number with its unit: ns, us, ms, s, /s, instructions, bytes, x, or % for points of a \
                                metric that is in percent; as in 1ns or 2instructions";
        let text = text.trim();
        let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').ok_or(EXPECTED)?;
        let (number, unit) = text.split_at(end);
        let number: f64 = number.parse().map_err(|_| EXPECTED)?;
        let (unit, times) = match unit.trim() {
            "ns" => (Unit::Nanoseconds, 1.0),
            "us" | "µs" => (Unit::Nanoseconds, 1e3),
            "ms" => (Unit::Nanoseconds, 1e6),
            "s" => (Unit::Nanoseconds, 1e9),
            "/s" | "1/s" => (Unit::PerSecond, 1.0),
            "instructions" | "instruction" => (Unit::Instructions, 1.0),
            "%" => (Unit::Percent, 1.0),
            "bytes" | "byte" | "B" => (Unit::Bytes, 1.0),
            "x" => (Unit::Times, 1.0),
            _ => return Err(EXPECTED.to_owned()),
        };
        Ok(Self { unit, least: number * times })
    }
}

/// All that counts as worse.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    limits: Vec<Limit>,
    asked: bool,
    least: Vec<MinEffect>,
}

impl Limits {
    /// What was asked for; without limits the defaults, without a least effect 1 ns.
    pub fn of(limits: &[Limit], least: &[MinEffect]) -> Self {
        let default =
            |&(metric, worse, percent): &(&str, _, _)| Limit { metric: metric.to_owned(), worse, percent };
        let asked = !limits.is_empty();
        let limits = if asked { limits.to_vec() } else { DEFAULTS.iter().map(default).collect() };
        let mut least = least.to_vec();
        if !least.iter().any(|least| least.unit == Unit::Nanoseconds) {
            least.push(MinEffect { unit: Unit::Nanoseconds, least: 1.0 });
        }
        Self { limits, asked, least }
    }

    /// The limit of a figure, if it has one.
    pub fn of_measure(&self, measure: &Measure) -> Option<&Limit> {
        self.limits.iter().rev().find(|limit| limit.metric == measure.metric)
    }

    /// What is too little to count, in a unit.
    pub fn least(&self, unit: Unit) -> f64 {
        self.least.iter().rev().find(|least| least.unit == unit).map_or(0.0, |least| least.least)
    }

    /// The limits as one would type them.
    pub fn shown(&self) -> Vec<String> {
        self.limits.iter().map(Limit::to_string).collect()
    }

    /// Finds out whether every limit that was asked for has a metric that it is for, and any default has.
    ///
    /// # Errors
    /// In words, with the metrics that are there.
    pub fn check<'a>(&self, measures: impl Iterator<Item = &'a Measure> + Clone) -> Result<(), String> {
        let there = || {
            let mut names: Vec<_> = measures.clone().map(|measure| measure.metric.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            names.join(", ")
        };
        let find = |limit: &Limit| measures.clone().find(|measure| measure.metric == limit.metric);
        let mut any = false;
        for limit in &self.limits {
            let Some(measure) = find(limit) else {
                if self.asked {
                    return Err(format!(
                        "--fail-on {limit}: no such metric in what is compared; there are: {}",
                        there()
                    ));
                }
                continue;
            };
            any = true;
            let (worse, sign) = match measure.better {
                Better::Lower => (Worse::More, '+'),
                Better::Higher => (Worse::Less, '-'),
            };
            if self.asked && worse != limit.worse {
                let Limit { metric, percent, .. } = limit;
                return Err(format!(
                    "--fail-on {limit}: that would be better, not worse; write {metric}:{sign}{percent}%"
                ));
            }
        }
        if any {
            return Ok(());
        }
        Err(format!(
            "none of the metrics has a limit by default: say which may change by how much, as in \
             --fail-on METRIC:+5%; there are: {}",
            there()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(metric: &str, worse: Worse, percent: f64) -> Limit {
        Limit { metric: metric.to_owned(), worse, percent }
    }

    fn measure(metric: &str, better: Better) -> Measure {
        let (case, metric) = ("one".to_owned(), metric.to_owned());
        Measure { case, metric, unit: Unit::Nanoseconds, better, repeats: vec![1.0] }
    }

    #[test]
    fn a_limit_reads_as_it_is_written_and_is_written_as_it_reads() {
        for (text, read) in [
            ("p99:+10%", limit("p99", Worse::More, 10.0)),
            ("throughput:-5%", limit("throughput", Worse::Less, 5.0)),
            ("p99.9:+0.5%", limit("p99.9", Worse::More, 0.5)),
        ] {
            assert_eq!(Limit::parse(text).unwrap(), read);
            assert_eq!(read.to_string(), text);
        }
        for text in ["", "p99", "p99:", "p99:10%", "p99:+10", "p99:+ten%", ":+5%", "p99:+-3%", "p99:+inf%"] {
            assert!(Limit::parse(text).unwrap_err().contains("expected METRIC:+N%"), "{text}");
        }
    }

    #[test]
    fn a_least_effect_has_a_unit() {
        for (text, unit, least) in [
            ("1ns", Unit::Nanoseconds, 1.0),
            ("1.5us", Unit::Nanoseconds, 1500.0),
            ("2 instructions", Unit::Instructions, 2.0),
            ("0.1%", Unit::Percent, 0.1),
        ] {
            assert_eq!(MinEffect::parse(text).unwrap(), MinEffect { unit, least });
        }
        for text in ["", "1", "ns", "1 parsec", "-1ns", "1.2.3ns"] {
            assert!(MinEffect::parse(text).unwrap_err().contains("with its unit"), "{text}");
        }
    }

    #[test]
    fn a_limit_that_nothing_has_or_of_the_wrong_sign_is_said() {
        let there = [measure("median", Better::Lower), measure("throughput", Better::Higher)];
        let asked = |text: &str| Limits::of(&[Limit::parse(text).unwrap()], &[]).check(there.iter());
        assert_eq!(asked("median:+5%"), Ok(()));
        assert!(asked("p98:+5%").unwrap_err().contains("there are: median, throughput"));
        assert!(asked("throughput:+5%").unwrap_err().contains("write throughput:-5%"));
        let other = [measure("lost", Better::Lower)];
        let error = Limits::of(&[], &[]).check(other.iter()).unwrap_err();
        assert!(error.contains("there are: lost"), "{error}");
        assert_eq!(Limits::of(&[], &[]).check(there.iter()), Ok(()));
    }

    #[test]
    fn what_is_not_asked_for_has_its_default_and_the_help_names_them_all() {
        let limits = Limits::of(&[], &[MinEffect::parse("3bytes").unwrap()]);
        assert_eq!((limits.least(Unit::Nanoseconds), limits.least(Unit::Bytes)), (1.0, 3.0));
        assert!(DEFAULTS_SHOWN.starts_with(&limits.shown().join(",")));
    }
}
