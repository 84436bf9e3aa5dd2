//! Figures in rows and columns, whoever shows them.
//!
//! Owns which table a chapter is best read as: subjects by subscribers, cases by figures, or, of several files, the files side by side
//! with their ratios. Not here: how a table is written (`html.rs`, `markdown.rs`).

use super::{
    content::{Chapter, Figure, Group, Report, Row, Standing, standings, unit_in_words},
    words::{self, exact},
};
use crate::{measure::Unit, table::grouped};
use std::collections::HashMap;

/// Chapters with more kinds of figures than this have these as columns, not the subscribers.
const KINDS: usize = 3;

/// A table.
#[derive(Clone, Debug, Default)]
pub struct Grid {
    /// What it shows.
    pub title: String,
    /// The columns' heads.
    pub head: Vec<String>,
    /// How many columns at the left name the row.
    pub names: usize,
    /// As many cells in each as there are heads.
    pub rows: Vec<Vec<Cell>>,
}

/// One cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// What it says; empty where there is no figure.
    pub text: String,
    /// How it stands among those it competes with.
    pub standing: Option<Standing>,
}

impl Cell {
    fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), standing: None }
    }
}

/// A chapter's medians at a glance.
pub fn overview(report: &Report, chapter: &Chapter) -> Vec<Grid> {
    let kinds = kinds(chapter);
    if kinds.is_empty() {
        return Vec::new();
    }
    if report.compares() {
        return vec![compared(report, chapter)];
    }
    if chapter.groups.len() > 1 && kinds.len() <= KINDS {
        return kinds.iter().map(|kind| by_subscribers(chapter, kind)).collect();
    }
    let (raw, others): (Vec<_>, Vec<_>) =
        kinds.into_iter().partition(|(metric, _)| metric.starts_with("raw-"));
    let tables = [("medians", others), ("medians of raw latencies, from the actual start", raw)];
    let tables = tables.into_iter().filter(|(_, kinds)| !kinds.is_empty());
    tables.map(|(title, kinds)| by_figure(title, chapter, &kinds)).collect()
}

/// Which figure, in which unit.
type Kind = (String, &'static str);

fn kind(row: &Row) -> Kind {
    (row.metric.clone(), unit_in_words(row.unit))
}

fn kinds(chapter: &Chapter) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for row in chapter.groups.iter().flat_map(|group| &group.rows) {
        let kind = kind(row);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

/// The rows of one kind with their standings, by subject.
fn standing_by_subject<'a>(group: &'a Group, kind: &Kind) -> Vec<(&'a Row, Standing)> {
    let rows: Vec<_> = group.rows.iter().filter(|row| self::kind(row) == *kind).collect();
    let standings = standings(&rows, 0);
    rows.into_iter().zip(standings).collect()
}

fn median(row: &Row, standing: Standing) -> Cell {
    let text = row.figures[0].map_or_else(String::new, |figure| exact(figure.median(), row.unit));
    Cell { text, standing: Some(standing) }
}

fn by_subscribers(chapter: &Chapter, kind: &Kind) -> Grid {
    let mut rows: Vec<(String, Vec<Cell>)> = Vec::new();
    let mut places = HashMap::new();
    for (column, group) in chapter.groups.iter().enumerate() {
        for (row, standing) in standing_by_subject(group, kind) {
            let next = rows.len();
            let place = *places.entry(row.subject.clone()).or_insert(next);
            if place == next {
                rows.push((row.subject.clone(), vec![Cell::default(); chapter.groups.len()]));
            }
            rows[place].1[column] = median(row, standing);
        }
    }
    let counts = chapter.groups.iter().map(|group| subscribers(group.subscribers));
    Grid {
        title: format!("{}, {}, by subscribers", kind.0, kind.1),
        head: std::iter::once("path".to_owned()).chain(counts).collect(),
        names: 1,
        rows: rows.into_iter().map(|(name, cells)| [vec![Cell::plain(name)], cells].concat()).collect(),
    }
}

fn by_figure(title: &str, chapter: &Chapter, kinds: &[Kind]) -> Grid {
    let counted = chapter.groups.iter().any(|group| group.subscribers.is_some());
    let mut rows = Vec::new();
    for group in &chapter.groups {
        let mut of: Vec<(&str, Vec<Cell>)> = Vec::new();
        let mut places = HashMap::new();
        for (column, kind) in kinds.iter().enumerate() {
            for (row, standing) in standing_by_subject(group, kind) {
                let next = of.len();
                let place = *places.entry(row.subject.as_str()).or_insert(next);
                if place == next {
                    of.push((&row.subject, vec![Cell::default(); kinds.len()]));
                }
                of[place].1[column] = median(row, standing);
            }
        }
        rows.extend(of.into_iter().map(|(name, cells)| {
            let mut row = vec![Cell::plain(name)];
            row.extend(counted.then(|| Cell::plain(subscribers(group.subscribers))));
            [row, cells].concat()
        }));
    }
    let mut head = vec!["path".to_owned()];
    head.extend(counted.then(|| "subscribers".to_owned()));
    let names = head.len();
    head.extend(kinds.iter().map(|(metric, unit)| format!("{metric}, {unit}")));
    Grid { title: title.to_owned(), head, names, rows }
}

fn compared(report: &Report, chapter: &Chapter) -> Grid {
    let mut head = named(chapter);
    let names = head.len();
    for (file, name) in report.names().enumerate() {
        head.push(name.to_owned());
        head.extend((file > 0).then(|| "ratio".to_owned()));
    }
    let rows = each(
        chapter,
        |unit| unit != Unit::Times,
        |row, standing_of| {
            let of = |(file, figure): (usize, &Option<Figure>)| {
                let text = figure.map_or_else(String::new, |figure| exact(figure.median(), row.unit));
                let ratio =
                    (file > 0).then(|| Cell::plain(row.ratio(file).map_or_else(String::new, words::ratio)));
                std::iter::once(Cell { text, standing: Some(standing_of(file)) }).chain(ratio)
            };
            row.figures.iter().enumerate().flat_map(of).collect()
        },
    );
    Grid { title: "medians, and their ratio to the first file's".to_owned(), head, names, rows }
}

/// Every figure of a chapter with its spread.
pub fn all(report: &Report, chapter: &Chapter) -> Grid {
    let mut head = named(chapter);
    let names = head.len();
    for (file, name) in report.names().enumerate() {
        let of = if report.compares() { format!("{name}: ") } else { String::new() };
        head.extend(["median", "lowest", "highest", "repeats"].map(|what| format!("{of}{what}")));
        head.extend((file > 0).then(|| format!("{of}ratio")));
    }
    let rows = each(
        chapter,
        |_| true,
        |row, _| {
            let of = |(file, figure): (usize, &Option<Figure>)| {
                let texts = match figure {
                    None => [const { String::new() }; 4],
                    Some(Figure { spread, repeats }) => [
                        exact(spread.median, row.unit),
                        exact(spread.min, row.unit),
                        exact(spread.max, row.unit),
                        grouped(*repeats),
                    ],
                };
                let ratio = (file > 0).then(|| row.ratio(file).map_or_else(String::new, words::ratio));
                texts.into_iter().chain(ratio).map(Cell::plain).collect::<Vec<_>>()
            };
            row.figures.iter().enumerate().flat_map(of).collect()
        },
    );
    Grid { title: "all figures".to_owned(), head, names, rows }
}

/// The heads of the columns that name a figure.
fn named(chapter: &Chapter) -> Vec<String> {
    let counted = chapter.groups.iter().any(|group| group.subscribers.is_some());
    let heads = [Some("path"), counted.then_some("subscribers"), Some("figure")];
    heads.into_iter().flatten().map(str::to_owned).collect()
}

/// A row for each figure of these units: its names, then what `cells` says of it, which is told how it stands in each file.
fn each(
    chapter: &Chapter,
    wanted: impl Fn(Unit) -> bool,
    cells: impl Fn(&Row, &dyn Fn(usize) -> Standing) -> Vec<Cell>,
) -> Vec<Vec<Cell>> {
    let counted = chapter.groups.iter().any(|group| group.subscribers.is_some());
    let mut all = Vec::new();
    for group in &chapter.groups {
        for rows in group.metrics().into_iter().filter(|rows| wanted(rows[0].unit)) {
            let files = rows.first().map_or(0, |row| row.figures.len());
            let standings: Vec<_> = (0..files).map(|file| standings(&rows, file)).collect();
            for (place, row) in rows.iter().enumerate() {
                let mut line = vec![Cell::plain(&row.subject)];
                line.extend(counted.then(|| Cell::plain(subscribers(group.subscribers))));
                line.push(Cell::plain(words::metric(row)));
                line.extend(cells(row, &|file| standings[file][place]));
                all.push(line);
            }
        }
    }
    all
}

fn subscribers(count: Option<u64>) -> String {
    count.map_or_else(|| "unknown".to_owned(), |count| grouped(usize::try_from(count).unwrap_or(usize::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::sample::{report, run, saved, slower};

    fn lines(grid: &Grid) -> Vec<String> {
        let line =
            |cells: &Vec<Cell>| cells.iter().map(|cell| cell.text.as_str()).collect::<Vec<_>>().join(" | ");
        let lines: Vec<_> =
            std::iter::once(grid.head.join(" | ")).chain(grid.rows.iter().map(line)).collect();
        assert!(grid.rows.iter().all(|row| row.len() == grid.head.len()), "{lines:?}");
        lines
    }

    #[test]
    fn paths_are_read_by_subscribers() {
        let report = report(vec![saved()]);
        let grids = overview(&report, &report.chapters[0]);
        assert_eq!(grids.len(), 1);
        assert_eq!(
            lines(&grids[0])[..3],
            ["path | 1 | 16", "raw-loop | 1.49 | 20.1", "signalpost | 3.24 | 18.4"]
        );
        assert_eq!(grids[0].rows[1][2].standing, Some(Standing::Best));
    }

    #[test]
    fn a_run_is_read_by_figures() {
        let report = report(vec![run()]);
        let grids = overview(&report, &report.chapters[0]);
        assert_eq!(
            lines(&grids[0]),
            [
                "path | subscribers | p50, ns | p99, ns | p99.9, ns | max, ns | throughput, 1/s | missed, %",
                "signalpost | 16 | 75.6 | 220.5 | 9,555 | 430,500 | 999,500 | 0.01"
            ]
        );
        assert_eq!(lines(&grids[1]), ["path | subscribers | raw-p50, ns", "signalpost | 16 | 73.5"]);
    }

    #[test]
    fn files_stand_side_by_side_with_their_ratios_and_gaps_stay_empty() {
        let mut second = slower("", 1.5).saved;
        second.measures.pop();
        let report = report(vec![saved(), second]);
        let grid = &overview(&report, &report.chapters[0])[0];
        let lines = lines(grid);
        assert_eq!(lines[0], "path | subscribers | figure | 0.json | 1.json | ratio");
        assert_eq!(lines[1], "raw-loop | 1 | median, ns | 1.49 | 2.23 | 1.50×");
        assert_eq!(lines.last().unwrap(), "std-mutex | 16 | median, ns | 26.0 |  | ");
    }

    #[test]
    fn all_figures_have_their_spread() {
        let report = report(vec![saved(), saved()]);
        let lines = lines(&all(&report, &report.chapters[0]));
        assert_eq!(lines.len(), 9);
        assert!(lines[0].contains("1.json: repeats | 1.json: ratio"), "{}", lines[0]);
        assert_eq!(
            lines[2],
            "signalpost | 1 | median, ns | 3.24 | 3.21 | 3.30 | 3 | 3.24 | 3.21 | 3.30 | 3 | 1.00×"
        );
    }
}
