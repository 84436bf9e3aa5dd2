//! Figures and findings in words.
//!
//! Owns how a figure is written, and the sentences that head a report.

use super::{
    case::{Case, counted},
    content::{Chapter, Report, Row, Standing, standings, unit_in_words},
};
use crate::{
    measure::{Better, Unit},
    stats,
    table::{grouped, nanoseconds},
};
use std::fmt::Write;

/// Three digits or so, in the unit that the column names.
pub fn exact(value: f64, unit: Unit) -> String {
    if value < 0.0 {
        return format!("−{}", exact(-value, unit));
    }
    match unit {
        Unit::Nanoseconds => nanoseconds(value),
        Unit::Times | Unit::Percent if value > 0.0 && value < 0.01 => format!("{value:.4}"),
        Unit::Times | Unit::Percent if value < 100.0 => format!("{value:.2}"),
        _ if value < 100.0 && value.fract() != 0.0 => format!("{value:.2}"),
        _ => grouped(value.round() as usize),
    }
}

/// Three digits with the unit that suits them: `1.28 µs`, `31.2 M/s`.
pub fn written(value: f64, unit: Unit) -> String {
    let steps: &[(f64, &str)] = match unit {
        Unit::Nanoseconds => &[(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (0.0, "ns")],
        Unit::PerSecond => &[(1e9, "G/s"), (1e6, "M/s"), (1e3, "k/s"), (0.0, "/s")],
        Unit::Instructions => &[(0.0, "instr.")],
        Unit::Percent => &[(0.0, "%")],
        Unit::Bytes => &[(1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (0.0, "B")],
        Unit::Times => return format!("{}×", exact(value, unit)),
    };
    let size = value.abs();
    // 999.7 is written as 1.00 of the next.
    let &(step, name) =
        steps.iter().find(|&&(step, _)| size >= step * 0.9995).unwrap_or(&steps[steps.len() - 1]);
    let scaled = if step > 0.0 { size / step } else { size };
    let sign = if value < 0.0 { "−" } else { "" };
    let digits = match scaled {
        0.0 => "0".to_owned(),
        _ if step == 0.0 && matches!(unit, Unit::Instructions | Unit::Percent) => exact(scaled, unit),
        scaled if scaled < 9.995 => format!("{scaled:.2}"),
        scaled if scaled < 99.95 => format!("{scaled:.1}"),
        scaled => grouped(scaled.round() as usize),
    };
    format!("{sign}{digits} {name}")
}

/// `0.97×`.
pub fn ratio(ratio: f64) -> String {
    if ratio >= 100.0 { format!("{}×", grouped(ratio.round() as usize)) } else { format!("{ratio:.2}×") }
}

/// Which figure, and its unit where it has one to say.
pub fn metric(row: &Row) -> String {
    format!("{}, {}", row.metric, unit_in_words(row.unit))
}

/// A chapter's heading.
pub fn title(chapter: &Chapter) -> &str {
    if chapter.title.is_empty() { "Figures" } else { &chapter.title }
}

/// What was read, in a sentence: the heading of a Markdown report.
pub fn counts(report: &Report) -> String {
    let cases: std::collections::HashSet<_> = report.rows().map(|row| row.case.as_str()).collect();
    let files = report.sources.len() as u64;
    format!(
        "{} of {} in {}.",
        counted(report.rows().count() as u64, "figure"),
        counted(cases.len() as u64, "case"),
        counted(files, "file")
    )
}

/// What the figures say: who is best where, and how later files stand to the first.
pub fn findings(report: &Report) -> Vec<String> {
    let mut findings = Vec::new();
    for file in 1..report.sources.len() {
        findings.push(against_the_first(report, file));
    }
    for chapter in &report.chapters {
        findings.extend(best(report, chapter));
    }
    if findings.is_empty() {
        findings.extend(
            report
                .chapters
                .iter()
                .flat_map(|chapter| &chapter.groups)
                .flat_map(|group| lone(&group.rows))
                .take(8),
        );
    }
    findings
}

/// `b.json against a.json: better in 3 of 8 figures, worse in 5; …`
fn against_the_first(report: &Report, file: usize) -> String {
    let mut names = report.names();
    let (first, name) = (names.next().unwrap_or_default(), names.nth(file - 1).unwrap_or_default());
    let ratios: Vec<_> = report.rows().filter_map(|row| Some((row, row.ratio(file)?))).collect();
    if ratios.is_empty() {
        return format!("{name} has no figure in common with {first}.");
    }
    let is_better =
        |&&(row, ratio): &&(&Row, f64)| if row.better == Better::Lower { ratio < 1.0 } else { ratio > 1.0 };
    let same = ratios.iter().filter(|(_, ratio)| *ratio == 1.0).count();
    let better = ratios.iter().filter(is_better).count();
    let worse = ratios.len() - better - same;
    let mut text = format!(
        "{name} against {first}: better in {better} of {}, worse in {worse}",
        counted(ratios.len() as u64, "figure")
    );
    let of = |metric: &str| {
        let of = ratios.iter().filter(|(row, ratio)| row.metric == metric && *ratio > 0.0);
        of.map(|&(_, ratio)| ratio).collect::<Vec<_>>()
    };
    let mut told = false;
    for metric in ["median", "p50", "p99", "throughput", "instructions"] {
        let of = of(metric);
        if !of.is_empty() {
            write!(
                text,
                "{} {metric} {}",
                if told { "," } else { "; in the geometric mean" },
                ratio(stats::geometric_mean(&of))
            )
            .expect("a string takes text");
            told = true;
        }
    }
    text + "."
}

/// For each figure that has a best: who it is, with how many subscribers. Files of which the same is true share a sentence.
fn best(report: &Report, chapter: &Chapter) -> Vec<String> {
    let mut kinds: Vec<(&Row, Vec<Win<'_>>)> = Vec::new();
    for group in &chapter.groups {
        for rows in group.metrics().into_iter().filter(|rows| is_told(rows[0])) {
            for file in 0..report.sources.len() {
                let standings = standings(&rows, file);
                let of = |wanted| {
                    let with = rows.iter().zip(&standings).filter(move |&(_, &standing)| standing == wanted);
                    with.map(|(row, _)| row.subject.as_str()).collect::<Vec<_>>()
                };
                let Some(&winner) = of(Standing::Best).first() else { continue };
                let shown = !of(Standing::Behind).is_empty();
                let win =
                    Win { file, winner, level: of(Standing::Level), shown, subscribers: group.subscribers };
                match kinds
                    .iter_mut()
                    .find(|(row, _)| row.metric == rows[0].metric && row.unit == rows[0].unit)
                {
                    Some((_, wins)) => wins.push(win),
                    None => kinds.push((rows[0], vec![win])),
                }
            }
        }
    }
    let mut sentences: Vec<(String, Vec<&str>)> = Vec::new();
    for (row, wins) in kinds {
        let place = if chapter.title.is_empty() { String::new() } else { format!("{}, ", chapter.title) };
        for (file, name) in report.names().enumerate() {
            let wins: Vec<_> = wins.iter().filter(|win| win.file == file).collect();
            if wins.is_empty() {
                continue;
            }
            let sentence = format!("{place}{}: {}.", row.metric, winners(&wins, praise(row)));
            match sentences.iter_mut().find(|(known, _)| *known == sentence) {
                Some((_, names)) => names.push(name),
                None => sentences.push((sentence, vec![name])),
            }
        }
    }
    let files = report.sources.len();
    let named = |(sentence, names): (String, Vec<&str>)| match names.len() {
        _ if files == 1 => sentence,
        all if all == files => format!("In each file: {sentence}"),
        _ => format!("In {}: {sentence}", listed(&names)),
    };
    sentences.into_iter().map(named).collect()
}

struct Win<'a> {
    file: usize,
    winner: &'a str,
    level: Vec<&'a str>,
    /// Whether anybody is behind.
    shown: bool,
    subscribers: Option<u64>,
}

/// `signalpost is fastest with 16 and 64 subscribers (with 16 level: seize); arc-swap-cache with 1`.
fn winners(wins: &[&Win<'_>], praise: &str) -> String {
    let mut by_winner: Vec<(&str, Vec<&Win<'_>>)> = Vec::new();
    for win in wins.iter().filter(|win| win.shown) {
        match by_winner.iter_mut().find(|(winner, _)| *winner == win.winner) {
            Some((_, of)) => of.push(win),
            None => by_winner.push((win.winner, vec![win])),
        }
    }
    let mut parts = Vec::new();
    for (winner, of) in &by_winner {
        let verb = if parts.is_empty() { format!(" is {praise}") } else { String::new() };
        parts.push(format!("{winner}{verb}{}{}", with(of, parts.is_empty()), levels(of)));
    }
    let alike: Vec<_> = wins.iter().filter(|win| !win.shown).copied().collect();
    if !alike.is_empty() {
        parts.push(format!("no difference was shown{}", with(&alike, true)));
    }
    parts.join("; ")
}

/// ` with 1 and 16 subscribers`; nothing where that is unknown.
fn with(wins: &[&Win<'_>], spelt_out: bool) -> String {
    let counts: Vec<_> = wins.iter().filter_map(|win| Some(count(win.subscribers?))).collect();
    let noun = match wins {
        _ if !spelt_out => "",
        [Win { subscribers: Some(1), .. }] => " subscriber",
        _ => " subscribers",
    };
    if counts.is_empty() { String::new() } else { format!(" with {}{noun}", listed(&counts)) }
}

/// ` (with 16 level: seize)`; nothing where all others are behind.
fn levels(wins: &[&Win<'_>]) -> String {
    let level = |win: &&Win<'_>| {
        let with = win
            .subscribers
            .filter(|_| wins.len() > 1)
            .map(|subscribers| format!("with {} ", count(subscribers)));
        format!("{}level: {}", with.unwrap_or_default(), listed(&win.level))
    };
    let levels: Vec<_> = wins.iter().filter(|win| !win.level.is_empty()).map(level).collect();
    if levels.is_empty() { String::new() } else { format!(" ({})", levels.join("; ")) }
}

fn count(subscribers: u64) -> String {
    grouped(usize::try_from(subscribers).unwrap_or(usize::MAX))
}

/// `a`, `a and b`, `a, b and c`; of many the first four.
pub fn listed(items: &[impl AsRef<str>]) -> String {
    let words: Vec<_> = items.iter().map(AsRef::as_ref).collect();
    match words.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] if words.len() <= 8 => format!("{} and {last}", first.join(", ")),
        many => format!("{} and {} more", many[..7].join(", "), many.len() - 7),
    }
}

/// Whether the summary tells who is best at it: not of each percentile, and not of how many events there were at a fixed rate.
fn is_told(row: &Row) -> bool {
    let is_given =
        || Case::of(&row.case).others.iter().any(|part| part.ends_with("/s") && !part.starts_with("churn"));
    match row.unit {
        Unit::Times | Unit::Percent => false,
        Unit::PerSecond => !is_given(),
        _ => {
            !row.metric.starts_with("raw-")
                && !matches!(row.metric.as_str(), "p50" | "p90" | "p99.9" | "p99.99" | "max")
        }
    }
}

const fn praise(row: &Row) -> &'static str {
    match (row.unit, row.better) {
        (Unit::Nanoseconds, Better::Lower) => "fastest",
        (Unit::Instructions, Better::Lower) => "shortest",
        (_, Better::Lower) => "lowest",
        (_, Better::Higher) => "highest",
    }
}

/// A case with nobody beside it: what it came to.
fn lone(rows: &[Row]) -> Option<String> {
    let case = &rows.first()?.case;
    let told = rows.iter().filter(|row| row.case == *case && !row.metric.starts_with("raw-"));
    let told: Vec<_> = told
        .filter_map(|row| {
            Some(format!("{} {}", row.metric, written(row.figures.first()?.as_ref()?.median(), row.unit)))
        })
        .take(9)
        .collect();
    (!told.is_empty()).then(|| format!("{case}: {}.", told.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::sample::{report, run, saved, slower};

    #[test]
    fn figures_have_the_digits_that_matter_and_the_unit_that_suits() {
        for (value, unit, text) in [
            (0.994, Unit::Nanoseconds, "0.99 ns"),
            (18.44, Unit::Nanoseconds, "18.4 ns"),
            (999.7, Unit::Nanoseconds, "1.00 µs"),
            (1_277.0, Unit::Nanoseconds, "1.28 µs"),
            (412_000.0, Unit::Nanoseconds, "412 µs"),
            (2.5e12, Unit::Nanoseconds, "2,500 s"),
            (0.0, Unit::Percent, "0 %"),
            (0.0012, Unit::Percent, "0.0012 %"),
            (31_200_000.0, Unit::PerSecond, "31.2 M/s"),
            (1_234.0, Unit::Instructions, "1,234 instr."),
            (1.5, Unit::Times, "1.50×"),
            (-3.25, Unit::Nanoseconds, "−3.25 ns"),
        ] {
            assert_eq!(written(value, unit), text);
        }
        assert_eq!(exact(-158.3, Unit::Nanoseconds), "−158.3");
        assert_eq!(exact(999_000.0, Unit::PerSecond), "999,000");
    }

    #[test]
    fn the_summary_says_who_is_fastest_where_also_where_that_is_another() {
        let report = report(vec![saved()]);
        assert_eq!(counts(&report), "8 figures of 8 cases in 1 file.");
        assert_eq!(
            findings(&report),
            ["1 publisher, median: arc-swap-cache is fastest with 1 subscriber; signalpost with 16."]
        );
    }

    #[test]
    fn later_files_are_set_against_the_first() {
        let report = report(vec![saved(), slower("", 1.1).saved, run()]);
        let findings = findings(&report);
        assert_eq!(
            findings[0],
            "1.json against 0.json: better in 0 of 8 figures, worse in 8; in the geometric mean median 1.10×."
        );
        assert_eq!(findings[1], "2.json has no figure in common with 0.json.");
        assert!(
            findings[2].starts_with("In 0.json and 1.json: 1 publisher, median: arc-swap-cache is fastest"),
            "{findings:?}"
        );
    }

    #[test]
    fn who_is_level_with_the_best_is_said_and_so_is_that_no_difference_was_shown() {
        let mut file = saved();
        file.measures[5].repeats = vec![18.0, 20.3, 21.0];
        assert_eq!(
            findings(&report(vec![file.clone()])),
            [
                "1 publisher, median: arc-swap-cache is fastest with 1 subscriber; signalpost with 16 (level: arc-swap-cache)."
            ]
        );
        file.measures.drain(6..);
        assert_eq!(
            findings(&report(vec![file.clone(), file])).last().unwrap(),
            "In each file: 1 publisher, median: arc-swap-cache is fastest with 1 subscriber; no difference was shown with 16 subscribers."
        );
    }

    #[test]
    fn a_case_alone_is_told_by_its_figures() {
        let findings = findings(&report(vec![run()]));
        assert_eq!(findings.len(), 1);
        assert!(findings[0].contains("1,000,000/s: p50 75.6 ns, p99 221 ns, p99.9 9.55 µs"), "{findings:?}");
    }
}
