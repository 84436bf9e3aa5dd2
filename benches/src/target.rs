//! What signalpost must reach, beside what it reached.
//!
//! Owns the limits. Every target that could be judged from what was measured is listed, met or
//! missed.

use crate::{
    path::{MIXED_FROM, PathName, WALK_ONLY_ABOVE},
    stats,
    survey::Survey,
    table::counted,
};
use serde::Serialize;

/// One must-reach line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Target {
    /// What is limited.
    pub what: String,
    /// What was measured.
    pub measured: f64,
    /// What must be reached.
    pub limit: f64,
    /// The unit of both; empty for a ratio.
    pub unit: &'static str,
    /// Whether the limit is the highest allowed value or the lowest.
    pub bound: Bound,
    /// Whether it is reached.
    pub met: bool,
}

/// Which way a limit limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// The measured value may not be higher.
    AtMost,
    /// The measured value may not be lower.
    AtLeast,
}

impl Target {
    /// A value that may not exceed its limit.
    pub fn at_most(what: impl Into<String>, measured: f64, limit: f64, unit: &'static str) -> Self {
        let met = measured <= limit;
        Self { what: what.into(), measured, limit, unit, bound: Bound::AtMost, met }
    }

    /// A value that may not stay below its limit.
    pub fn at_least(what: impl Into<String>, measured: f64, limit: f64, unit: &'static str) -> Self {
        let met = measured >= limit;
        Self { what: what.into(), measured, limit, unit, bound: Bound::AtLeast, met }
    }
}

/// The dispatcher's targets, as far as the survey can judge them.
pub fn of_survey(survey: &Survey) -> Vec<Target> {
    let mut targets = Vec::new();
    for &count in &survey.subscribers(1) {
        targets.extend(one_publisher(survey, count));
    }
    for &count in &survey.subscribers(1) {
        targets.extend(mixed(survey, count));
    }
    for &count in &survey.subscribers(1) {
        targets.extend(of_bus(survey, count));
    }
    for &count in &survey.subscribers(2) {
        targets.extend(scaling(survey, count));
    }
    targets
}

/// What a bus adds to a dispatcher with the same subscribers, one publisher, up to 64 of them: beyond, the walk's own spread
/// is larger than what is asked here.
fn of_bus(survey: &Survey, count: usize) -> Vec<Target> {
    let over = |path| {
        let (bus, alone) = (survey.rounds(path, count, 1)?, survey.rounds(PathName::Signalpost, count, 1)?);
        Some(stats::median(&stats::differences(bus, alone)))
    };
    let target = |path, what, limit| {
        let over = over(path).filter(|_| (1..=64).contains(&count))?;
        let subscribers = counted(count, "subscriber");
        Some(Target::at_most(format!("{subscribers}, {what} over a dispatcher"), over, limit, "ns"))
    };
    [target(PathName::Bus, "bus", 6.0), target(PathName::BusTopic, "topic handle", 1.0)]
        .into_iter()
        .flatten()
        .collect()
}

/// A publish's cost beside the raw loop's, one publisher.
fn one_publisher(survey: &Survey, count: usize) -> Vec<Target> {
    let (Some(row), Some(floor), Some(ratio)) = (
        survey.row(PathName::Signalpost, count, 1),
        survey.row(PathName::RawLoop, count, 1),
        survey.over_floor(PathName::Signalpost, count, 1),
    ) else {
        return Vec::new();
    };
    let what = |rest| format!("{count} subscriber{}, {rest}", if count == 1 { "" } else { "s" });
    match count {
        0 => vec![
            Target::at_most(what("a publish"), row.median_ns, 1.0, "ns"),
            Target::at_most(what("over the raw loop"), row.over_raw_ns, 0.7, "ns"),
        ],
        1..=64 => {
            let limit = f64::max(1.5, 0.03 * floor.median_ns);
            vec![Target::at_most(what("over the raw loop"), row.over_raw_ns, limit, "ns")]
        }
        1024.. => vec![Target::at_most(what("times the raw loop"), ratio, 1.05, "")],
        _ => Vec::new(),
    }
}

/// Different closure types: flat entries must beat boxes, one publisher.
fn mixed(survey: &Survey, count: usize) -> Option<Target> {
    if !(MIXED_FROM..=WALK_ONLY_ABOVE).contains(&count) {
        return None;
    }
    let ratio = survey.over_floor(PathName::SignalpostMixed, count, 1)?;
    let what = format!("{} of four types, times the mixed raw loop", counted(count, "subscriber"));
    Some(Target::at_most(what, ratio, 0.9, ""))
}

/// What a second publisher adds, beside what it adds to the raw loop in the same rounds.
fn scaling(survey: &Survey, count: usize) -> Option<Target> {
    let scaling = |path| {
        let (one, two) = (survey.rounds(path, count, 1)?, survey.rounds(path, count, 2)?);
        Some(stats::ratios(one, two))
    };
    let ours = scaling(PathName::Signalpost)?;
    let floor = scaling(PathName::RawLoop)?;
    let ratio = stats::median(&stats::ratios(&ours, &floor));
    let what = format!("{}, scaling 1 to 2 publishers, of the raw loop's", counted(count, "subscriber"));
    Some(Target::at_least(what, ratio, 0.97, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::survey::Place;

    fn survey(places: &[(PathName, usize, usize, f64)]) -> Survey {
        Survey::of(places.iter().map(|&(path, subscribers, publishers, ns)| {
            (Place { path, subscribers, publishers }, vec![ns; 3])
        }))
    }

    #[test]
    fn a_limit_itself_is_still_met() {
        assert!(Target::at_most("a", 1.0, 1.0, "ns").met);
        assert!(!Target::at_most("a", 1.01, 1.0, "ns").met);
        assert!(Target::at_least("a", 0.97, 0.97, "").met);
        assert!(!Target::at_least("a", 0.96, 0.97, "").met);
    }

    #[test]
    fn with_few_subscribers_the_limit_is_one_and_a_half_nanoseconds_with_more_three_percent() {
        let few = of_survey(&survey(&[(PathName::RawLoop, 1, 1, 2.0), (PathName::Signalpost, 1, 1, 3.25)]));
        assert_eq!((few[0].measured, few[0].limit, few[0].met), (1.25, 1.5, true));
        let more =
            of_survey(&survey(&[(PathName::RawLoop, 64, 1, 100.0), (PathName::Signalpost, 64, 1, 104.0)]));
        assert_eq!((more[0].measured, more[0].limit, more[0].met), (4.0, 3.0, false));
    }

    #[test]
    fn a_second_publisher_is_judged_beside_what_it_brings_the_raw_loop() {
        let targets = of_survey(&survey(&[
            (PathName::RawLoop, 4, 1, 10.0),
            (PathName::RawLoop, 4, 2, 12.5),
            (PathName::Signalpost, 4, 1, 10.0),
            (PathName::Signalpost, 4, 2, 20.0),
        ]));
        let scaling = targets.last().unwrap();
        assert!((scaling.measured - 0.625).abs() < 1e-12, "{scaling:?}");
        assert!(!scaling.met);
    }

    #[test]
    fn a_bus_is_judged_beside_a_dispatcher_with_the_same_subscribers() {
        let targets = of_survey(&survey(&[
            (PathName::Signalpost, 4, 1, 10.0),
            (PathName::Bus, 4, 1, 15.0),
            (PathName::BusTopic, 4, 1, 11.5),
            (PathName::Bus, 1024, 1, 2000.0),
            (PathName::Signalpost, 1024, 1, 1000.0),
        ]));
        let judged: Vec<_> =
            targets.iter().map(|target| (target.measured, target.limit, target.met)).collect();
        assert_eq!(judged, [(5.0, 6.0, true), (1.5, 1.0, false)]);
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        assert!(of_survey(&survey(&[(PathName::Signalpost, 4, 1, 10.0)])).is_empty());
        assert!(of_survey(&Survey::default()).is_empty());
    }
}
