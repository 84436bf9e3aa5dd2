//! What was measured, for people: tables, the verdict, the targets.
//!
//! Owns the layout. Every report is one string, so that it is printed whole or not at all.

use crate::{
    path::PathName,
    survey::{Row, Survey},
    table::{Cell, Colour, Table, Tone, counted, grouped, nanoseconds},
    target::{Bound, Target},
    verdict::{self, Standing},
};
use std::collections::BTreeSet;

/// A table for each count of publishers, and the verdict.
pub fn survey(survey: &Survey, rounds: usize, processes: usize, colour: Colour) -> String {
    let mut text = String::new();
    if survey.is_empty() {
        return text;
    }
    for publishers in survey.publishers() {
        let plural = if publishers == 1 { "" } else { "s at once" };
        let title = format!("{publishers} publisher{plural}: nanoseconds a publish, by subscribers");
        text += &format!("\n{}\n", colour.paint(Tone::Good, &title));
        text += &paths(survey, publishers).render(colour);
    }
    let rounds = counted(rounds, "round");
    let processes = match processes {
        1 => String::new(),
        several => format!(" in each of {several} processes"),
    };
    text += &format!(
        "  Median of {rounds}{processes}, and how much that is over the raw loop (of the same types) \
         in the same round.\n  * fastest dispatcher, = level with it: not slower in a quarter of the \
         rounds. spread: lowest and highest\n  round beside the median, worst column. The raw loop \
         is the floor: nothing can be registered with it.\n"
    );
    text += &lacking(survey);
    let verdict = verdict::in_words(survey);
    if !verdict.is_empty() {
        text += &format!("\n{}\n{verdict}", colour.paint(Tone::Good, "Who wins"));
    }
    text
}

/// What each path that was measured does not do.
fn lacking(survey: &Survey) -> String {
    let measured: BTreeSet<PathName> =
        survey.publishers().into_iter().flat_map(|publishers| survey.paths(publishers)).collect();
    let mut text = String::new();
    if measured.iter().any(|path| !path.does_the_same()) {
        text += "  ~ does other work: its time is not for the same as the others', and it takes no part in who wins.\n";
    }
    let lacking: Vec<_> = measured.into_iter().filter(|path| !path.lacks().is_empty()).collect();
    if !lacking.is_empty() {
        text += "  What each does not do that signalpost does:\n";
    }
    let width = lacking.iter().map(|path| path.as_str().len()).max().unwrap_or(0);
    for path in lacking {
        text += &format!("    {:width$}  {}\n", path.as_str(), path.lacks());
    }
    text
}

fn paths(survey: &Survey, publishers: usize) -> Table {
    let counts = survey.subscribers(publishers);
    let standings: Vec<_> =
        counts.iter().map(|&count| verdict::standing(survey, count, publishers)).collect();
    let head = counts.iter().map(|&count| grouped(count));
    let mut table =
        Table::headed([String::from("path")].into_iter().chain(head).chain([String::from("spread")]));
    for path in survey.paths(publishers) {
        let mut worst = (0.0_f64, 0.0_f64);
        let mark = if path.does_the_same() { "" } else { " ~" };
        let mut cells = vec![Cell::from(format!("{path}{mark}"))];
        for (&count, standing) in counts.iter().zip(&standings) {
            cells.push(match survey.row(path, count, publishers) {
                Some(row) => {
                    worst.0 = worst.0.min(row.min_ns / row.median_ns - 1.0);
                    worst.1 = worst.1.max(row.max_ns / row.median_ns - 1.0);
                    time(&row, standing.as_ref())
                }
                None => Cell::toned(Tone::Quiet, "-"),
            });
        }
        let spread = format!("{:.0}..+{:.0} %", worst.0 * 100.0, worst.1 * 100.0);
        cells.push(Cell::toned(Tone::Quiet, spread));
        table.row(cells);
    }
    table
}

/// A median and what it is over the raw loop, marked if it is among the best.
fn time(row: &Row, standing: Option<&Standing>) -> Cell {
    let median = nanoseconds(row.median_ns);
    if row.path.is_floor() {
        return median.into();
    }
    let over = row.over_raw_ns;
    let sign = if over < 0.0 { "-" } else { "+" };
    let text = format!("{median} {sign}{}", nanoseconds(over.abs()));
    match standing {
        Some(standing) if standing.winner == row.path => Cell::toned(Tone::Good, format!("*{text}")),
        Some(standing) if standing.level.contains(&row.path) => Cell::toned(Tone::Good, format!("={text}")),
        _ => text.into(),
    }
}

/// Every target with what was measured: met or missed.
pub fn targets(targets: &[Target], colour: Colour) -> String {
    if targets.is_empty() {
        return String::new();
    }
    let missed = targets.iter().filter(|target| !target.met).count();
    let title = match missed {
        0 => format!("Targets: all {} met", targets.len()),
        missed => format!("Targets: {missed} of {} missed", targets.len()),
    };
    let tone = if missed == 0 { Tone::Good } else { Tone::Bad };
    let mut table = Table::headed(["must reach", "measured", "limit", ""]);
    for target in targets {
        let bound = match target.bound {
            Bound::AtMost => '≤',
            Bound::AtLeast => '≥',
        };
        let unit = target.unit;
        let digits = if unit.is_empty() { 3 } else { 2 };
        let gap = if unit.is_empty() { "" } else { " " };
        table.row([
            target.what.as_str().into(),
            format!("{:.digits$}{gap}{unit}", target.measured).into(),
            format!("{bound} {:.digits$}{gap}{unit}", target.limit).into(),
            match target.met {
                true => Cell::toned(Tone::Good, "met"),
                false => Cell::toned(Tone::Bad, "missed"),
            },
        ]);
    }
    format!("\n{}\n{}", colour.paint(tone, &title), table.render(colour))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::survey::Place;

    #[test]
    fn a_missed_target_is_shown_with_its_value_and_limit() {
        let all =
            [Target::at_most("a publish", 1.25, 1.0, "ns"), Target::at_least("scaling", 0.98, 0.97, "")];
        let text = targets(&all, Colour(false));
        assert!(text.contains("1 of 2 missed"), "{text}");
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("a publish 1.25 ns ≤ 1.00 ns missed"), "{text}");
        assert!(words.contains("scaling 0.980 ≥ 0.970 met"), "{text}");
    }

    #[test]
    fn the_winner_is_marked_in_its_column_and_what_was_not_measured_is_a_dash() {
        let place = |path, subscribers| Place { path, subscribers, publishers: 1 };
        let measured = Survey::of([
            (place(PathName::RawLoop, 1), vec![2.0; 3]),
            (place(PathName::Signalpost, 1), vec![3.0; 3]),
            (place(PathName::StdMutex, 1), vec![12.0; 3]),
            (place(PathName::RawLoop, 100_000), vec![250_000.0; 3]),
            (place(PathName::Signalpost, 100_000), vec![249_000.0; 3]),
        ]);
        let text = survey(&measured, 3, 1, Colour(false));
        let line = |path: &str| {
            let line = text.lines().find(|line| line.trim_start().starts_with(path)).unwrap();
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(line("path"), ["path", "1", "100,000", "spread"]);
        assert_eq!(line("signalpost")[1..5], ["*3.00", "+1.00", "249,000", "-1,000"]);
        assert_eq!(line("std-mutex")[1..4], ["12.0", "+10.0", "-"]);
        assert!(text.contains("std-mutex  publishers wait for each other"), "{text}");
        assert!(
            !text.contains('~') && !text.contains("flume"),
            "only what was measured is explained: {text}"
        );
    }

    #[test]
    fn who_does_other_work_is_marked_and_wins_nothing_however_fast() {
        let place = |path| Place { path, subscribers: 1, publishers: 1 };
        let measured = Survey::of([
            (place(PathName::RawLoop), vec![2.0; 3]),
            (place(PathName::Signalpost), vec![3.0; 3]),
            (place(PathName::StdMutex), vec![12.0; 3]),
            (place(PathName::CrossbeamChannel), vec![1.0; 3]),
        ]);
        let text = survey(&measured, 3, 1, Colour(false));
        let words = |path: &str| {
            let line = text.lines().find(|line| line.trim_start().starts_with(path)).unwrap();
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(words("crossbeam-channel")[1..4], ["~", "1.00", "-1.00"]);
        assert_eq!(words("signalpost")[1..3], ["*3.00", "+1.00"]);
        assert!(text.contains("~ does other work"), "{text}");
        assert!(text.contains("signalpost wins at 1"), "{text}");
        assert_eq!(survey(&Survey::default(), 3, 1, Colour(false)), "");
    }
}
