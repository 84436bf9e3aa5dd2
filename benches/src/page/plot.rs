//! `lab report --svg`: one drawing for a README, what a publish takes on each path by number of subscribers.
//!
//! Owns that drawing. It stands alone: its own ground, colours for light and dark, system fonts, nothing from elsewhere. A point for each
//! median, a whisker for its spread, a column for each number of subscribers; all columns are logarithmic and each has its own scale,
//! since it is the paths that are to be compared. The fastest of each column has a star, whoever it is, and the words below name every
//! column where signalpost is not it.

use super::{
    case::Case,
    content::{Chapter, Figure, Report, Row, Standing, standings},
    scale::Scale,
    words::{exact, listed},
};
use crate::{measure::Unit, table::grouped, watch::words::plain};
use maud::{Markup, PreEscaped, html};
use std::collections::BTreeMap;

/// Units of the drawing: for names, for a column and the part of it that is a scale.
const NAMES: f64 = 150.0;
const COLUMN: f64 = 126.0;
const POINTS: f64 = 46.0;
/// From the left of a column to its scale, and from its right to the end of its figures.
const INSET: f64 = 6.0;
const STAR: f64 = 20.0;
const EDGE: f64 = 14.0;
/// With fewer columns the heading still has room.
const NARROWEST: f64 = 600.0;
const ROW: f64 = 22.0;
const HEAD: f64 = 74.0;
const LINE: f64 = 16.0;
/// Columns, at most.
const COLUMNS: usize = 6;
/// A letter of the words below takes about so much.
const LETTER: f64 = 6.5;
const OURS: &str = "signalpost";
const STYLE: &str = include_str!("plot.css");

/// The drawing: a whole document, as text.
///
/// # Errors
/// In words, when the file is none of `lab paths`.
pub fn drawn(report: &Report) -> Result<String, String> {
    let chapter = of_paths(report).ok_or_else(|| {
        format!(
            "'{}' has no medians in nanoseconds of two paths or more by number of subscribers, which --svg draws\n\n\
             expected a file of `lab paths`: `lab --json FILE`. For other files there is --html.",
            report.names().next().unwrap_or_default()
        )
    })?;
    let table = Table::of(chapter);
    let source = &report.sources[0];
    let machine = &source.saved.machine;
    let width = (NAMES + COLUMN * table.columns.len() as f64 + EDGE).max(NARROWEST);
    let bottom = HEAD + ROW * table.rows.len() as f64;
    let publishers = if chapter.title.is_empty() { String::new() } else { format!(", {}", chapter.title) };
    let title = format!("Nanoseconds a publish, by number of subscribers{publishers}");
    let mut words = vec![
        "Points: medians, with their spread; each column has its own logarithmic scale. ★: the fastest. Dashed: the raw loop, a Vec of \
         closures to which nobody can subscribe."
            .to_owned(),
        table.verdict(),
    ];
    let others = others(chapter);
    if !others.is_empty() {
        words.push(format!("Not drawn, since they do other work: {}.", listed(&others)));
    }
    // The name of the one file says nothing here.
    let name = format!("{}: ", source.name);
    words.extend(
        report.remarks.iter().map(|remark| format!("Note: {}", remark.strip_prefix(&name).unwrap_or(remark))),
    );
    words.push(format!(
        "{}, {}; {}, kernel {}; {}; {}; commit\u{a0}{}. Measured by `lab {}`.",
        machine.cpu,
        crate::table::counted(machine.cores, "core"),
        machine.os,
        machine.kernel.split('-').next().unwrap_or_default(), // what a distribution calls its build takes a line
        machine.rustc,
        machine.barrier,
        machine.commit,
        source.saved.command.join(" "),
    ));
    let lines: Vec<_> = words
        .iter()
        .flat_map(|text| wrapped(&plain(text), ((width - 2.0 * EDGE) / LETTER) as usize))
        .collect();
    let height = bottom + 18.0 + LINE * lines.len() as f64 + 6.0;
    let drawn = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {width:.0} {height:.0}")) width=(format!("{width:.0}"))
            height=(format!("{height:.0}")) role="img" aria-labelledby="title desc" {
            title id="title" { (plain(&title)) }
            desc id="desc" { (plain(&table.in_words())) }
            style { (PreEscaped(STYLE)) }
            rect.ground width="100%" height="100%" rx="6" {}
            text.title x=(EDGE) y="28" { (plain(&title)) }
            @for (place, column) in table.columns.iter().enumerate() {
                (self::column(column, place, bottom))
            }
            @for (place, name) in table.rows.iter().enumerate() {
                @let y = HEAD + ROW * (place as f64 + 0.5);
                @if place > 0 { line.rule x1=(EDGE) x2=(number(width - EDGE)) y1=(number(y - ROW / 2.0)) y2=(number(y - ROW / 2.0)) {} }
                @if name == OURS { rect.band x=(EDGE / 2.0) width=(number(width - EDGE)) y=(number(y - ROW / 2.0)) height=(ROW) rx="3" {} }
                g.ours[name == OURS] {
                    text x=(EDGE) y=(number(y + 4.0)) { (plain(name)) }
                    @for (at, column) in table.columns.iter().enumerate() { (cell(column, name, at, y)) }
                }
            }
            @for (place, line) in lines.iter().enumerate() {
                text.words x=(EDGE) y=(number(bottom + 24.0 + LINE * place as f64)) { (line) }
            }
        }
    };
    Ok(drawn.into_string() + "\n")
}

/// The chapter with the fewest publishers and no other conditions that has medians of several subjects.
fn of_paths(report: &Report) -> Option<&Chapter> {
    let fits = |chapter: &&Chapter| !columns(chapter).is_empty();
    let publishers = |chapter: &&Chapter| {
        let name = chapter.groups.iter().flat_map(|group| &group.rows).map(|row| Case::of(&row.case)).next();
        name.map(|case| (case.others.len(), case.publishers))
    };
    report.chapters.iter().filter(fits).min_by_key(publishers)
}

/// The paths that are left out: those that do not what signalpost does.
fn others(chapter: &Chapter) -> Vec<&str> {
    let mut others = Vec::new();
    for row in chapter.groups.iter().flat_map(|group| &group.rows) {
        if !row.competes() && !row.is_floor() && !row.is_ours() && !others.contains(&row.subject.as_str()) {
            others.push(&row.subject);
        }
    }
    others
}

/// One number of subscribers.
struct Column<'a> {
    subscribers: u64,
    rows: Vec<(&'a Row, Figure, Standing)>,
    floor: Option<f64>,
}

impl Column<'_> {
    fn scale(&self, from: f64) -> Scale {
        let all = self
            .rows
            .iter()
            .flat_map(|(_, figure, _)| [figure.spread.min, figure.spread.max])
            .chain(self.floor);
        let (low, high) = all.fold((f64::INFINITY, 0.0_f64), |(low, high), ns| (low.min(ns), high.max(ns)));
        Scale::log(low, high, from + INSET, from + INSET + POINTS)
    }
}

fn columns(chapter: &Chapter) -> Vec<Column<'_>> {
    let mut columns = Vec::new();
    for group in &chapter.groups {
        let Some(subscribers) = group.subscribers else { continue };
        let is_median = |row: &&Row| row.metric == "median" && row.unit == Unit::Nanoseconds;
        let rows: Vec<_> = group.rows.iter().filter(is_median).collect();
        let standings = standings(&rows, 0);
        let positive = |row: &Row| row.figures[0].filter(|figure| figure.spread.min > 0.0);
        let floor =
            rows.iter().find(|row| row.subject == "raw-loop").and_then(|row| Some(positive(row)?.median()));
        let rows: Vec<_> = rows
            .into_iter()
            .zip(standings)
            .filter(|(row, _)| row.competes())
            .filter_map(|(row, standing)| Some((row, positive(row)?, standing)))
            .collect();
        if rows.len() > 1 {
            columns.push(Column { subscribers, rows, floor });
        }
    }
    // A column that has but a few of the paths says less than one that has all.
    let most = columns.iter().map(|column| column.rows.len()).max().unwrap_or(0);
    columns.retain(|column| column.rows.len() * 2 > most);
    columns.truncate(COLUMNS);
    columns
}

struct Table<'a> {
    columns: Vec<Column<'a>>,
    rows: Vec<String>,
}

impl<'a> Table<'a> {
    /// Paths from the fastest to the slowest, by the places they have in the columns.
    fn of(chapter: &'a Chapter) -> Self {
        let columns = columns(chapter);
        let mut places = BTreeMap::<&str, Vec<f64>>::new();
        for column in &columns {
            let best = column.rows.iter().map(|(_, figure, _)| figure.median()).fold(f64::INFINITY, f64::min);
            for (row, figure, _) in &column.rows {
                places.entry(&row.subject).or_default().push(figure.median() / best);
            }
        }
        let mut rows: Vec<_> = places
            .into_iter()
            .map(|(name, ratios)| (crate::stats::geometric_mean(&ratios), name.to_owned()))
            .collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self { columns, rows: rows.into_iter().map(|(_, name)| name).collect() }
    }

    /// Where signalpost is fastest, and every column where another is, with both figures.
    fn verdict(&self) -> String {
        let mut won = Vec::new();
        let mut lost = Vec::new();
        for column in &self.columns {
            let Some((best, figure, _)) =
                column.rows.iter().find(|(.., standing)| *standing == Standing::Best)
            else {
                continue;
            };
            let count = counted(column.subscribers);
            if best.subject == OURS {
                won.push(count);
            } else if let Some((_, ours, standing)) = column.rows.iter().find(|(row, ..)| row.subject == OURS)
            {
                let level = if *standing == Standing::Level { ", though their spreads overlap" } else { "" };
                lost.push(format!(
                    "{count} ({} ns against {} of {}{level})",
                    exact(ours.median(), Unit::Nanoseconds),
                    exact(figure.median(), Unit::Nanoseconds),
                    best.subject
                ));
            }
        }
        match (won.as_slice(), lost.as_slice()) {
            ([], []) => format!("{OURS} is not among them."),
            (_, []) => format!("{OURS} is fastest in every column."),
            ([], _) => format!("{OURS} is not the fastest: with {}.", lost.join("; ")),
            _ => format!(
                "{OURS} is fastest with {} subscribers. It is slower than another with {}.",
                listed(&won),
                lost.join("; ")
            ),
        }
    }

    fn in_words(&self) -> String {
        let column = |column: &Column<'_>| {
            let figures = column
                .rows
                .iter()
                .map(|(row, figure, _)| format!("{} {}", row.subject, exact(figure.median(), row.unit)));
            let subscribers = super::case::counted(column.subscribers, "subscriber");
            format!("{subscribers}: {}", figures.collect::<Vec<_>>().join(", "))
        };
        self.columns.iter().map(column).collect::<Vec<_>>().join("; ")
    }
}

/// The head of a column, and the line of the raw loop down to the last row.
fn column(column: &Column<'_>, place: usize, bottom: f64) -> Markup {
    let x = NAMES + COLUMN * place as f64;
    html! {
        text.head x=(number(x + COLUMN - STAR)) y=(HEAD - 10.0) text-anchor="end" { (counted(column.subscribers)) }
        @if let Some(floor) = column.floor {
            @let at = number(column.scale(x).at(floor));
            line.floor x1=(at) x2=(at) y1=(HEAD - 4.0) y2=(number(bottom)) {}
        }
    }
}

fn cell(column: &Column<'_>, name: &str, place: usize, y: f64) -> Markup {
    let x = NAMES + COLUMN * place as f64;
    let scale = column.scale(x);
    html! {
        @if let Some((row, figure, standing)) = column.rows.iter().find(|(row, ..)| row.subject == name) {
            @let spread = figure.spread;
            line.whisker x1=(number(scale.at(spread.min))) x2=(number(scale.at(spread.max))) y1=(number(y)) y2=(number(y)) {}
            circle.point cx=(number(scale.at(spread.median))) cy=(number(y)) r="4" {}
            text.figure.best[*standing == Standing::Best] x=(number(x + COLUMN - STAR)) y=(number(y + 4.0)) text-anchor="end" {
                (exact(spread.median, row.unit))
            }
            @if *standing == Standing::Best { text.star x=(number(x + COLUMN - STAR + 2.0)) y=(number(y + 4.0)) { "★" } }
        }
    }
}

fn counted(subscribers: u64) -> String {
    grouped(usize::try_from(subscribers).unwrap_or(usize::MAX))
}

/// Text in lines of at most so many characters, broken between words.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    // Not at spaces that are there to keep two words together.
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let last = lines.last_mut().expect("there is one");
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            *last += if last.is_empty() { "" } else { " " };
            *last += word;
        }
    }
    lines
}

fn number(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{
        reading::read,
        sample::{EVIL, report, run, saved},
    };

    #[test]
    fn each_path_has_a_point_in_each_column_and_each_column_its_winner() {
        let drawn = drawn(&report(vec![saved()])).unwrap();
        read(&drawn);
        assert_eq!(drawn.matches("<circle class=\"point\"").count(), 6, "three paths by two columns");
        assert_eq!(drawn.matches("class=\"star\"").count(), 2);
        assert_eq!(drawn.matches("<line class=\"floor\"").count(), 2, "the raw loop is a line");
        for part in [
            "Example 9000, 2 cores",
            "commit\u{a0}0a4a2e6",
            "prefers-color-scheme: dark",
            "role=\"img\"",
            "<title id=\"title\">",
        ] {
            assert!(drawn.contains(part), "no {part} in {drawn}");
        }
    }

    #[test]
    fn where_it_loses_is_said_with_both_figures() {
        let report = report(vec![saved()]);
        assert_eq!(
            Table::of(&report.chapters[0]).verdict(),
            "signalpost is fastest with 16 subscribers. It is slower than another with 1 (3.24 ns against 1.99 of arc-swap-cache)."
        );
    }

    #[test]
    fn it_is_a_document_of_its_own_that_takes_nothing_from_elsewhere() {
        let drawn = drawn(&report(vec![saved()])).unwrap();
        assert!(drawn.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
        assert_eq!(drawn.matches("://").count(), 1, "the name of its language is its only address");
        for outside in ["<script", "href", "url(", "@import", "<image"] {
            assert!(!drawn.contains(outside), "{outside}");
        }
    }

    #[test]
    fn names_from_outside_are_text_and_nothing_else() {
        let mut file = saved();
        for measure in &mut file.measures {
            measure.case = measure.case.replace("std-mutex", EVIL);
        }
        file.machine.cpu = EVIL.to_owned();
        let drawn = drawn(&report(vec![file])).unwrap();
        read(&drawn);
        assert!(!drawn.contains("<script") && !drawn.contains("<img"));
        assert!(!drawn.chars().any(|c| c.is_control() && c != '\n'), "XML has no such characters");
    }

    #[test]
    fn what_spoils_the_figures_is_written_below_them() {
        let mut file = saved();
        file.machine.load = Some(7.5);
        let drawn = drawn(&report(vec![file])).unwrap();
        assert!(drawn.contains("Note: measured while 7.5 tasks wanted its 2 cores"), "{drawn}");
    }

    #[test]
    fn a_file_of_another_command_is_refused() {
        let error = drawn(&report(vec![run()])).unwrap_err();
        assert!(error.contains("expected a file of `lab paths`") && error.contains("--html"), "{error}");
    }

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrapped("a bb ccc dddd", 6), ["a bb", "ccc", "dddd"]);
        assert_eq!(wrapped("unbreakable", 3), ["unbreakable"]);
    }
}
