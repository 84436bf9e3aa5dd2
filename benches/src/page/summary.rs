//! `lab report --json`: what the report says, for programs.
//!
//! Owns the schema of that summary, which is no file of a measurement: `lab report` does not read it again.

use super::{
    content::{Group, Report, Row, Standing, standings},
    words,
};
use crate::measure::{Better, Unit};
use serde::Serialize;

/// Changes when a key is renamed, removed or gets another meaning.
const SCHEMA: u32 = 1;

/// All of it.
#[derive(Debug, Serialize)]
pub struct Summary<'a> {
    /// The schema's number.
    report_schema: u32,
    /// The files, in order.
    files: Vec<File<'a>>,
    /// What to be wary of, in words.
    warnings: &'a [String],
    /// Who is best where, in words.
    findings: Vec<String>,
    /// Every figure.
    rows: Vec<Line<'a>>,
}

#[derive(Debug, Serialize)]
struct File<'a> {
    name: &'a str,
    machine: &'a crate::machine::Machine,
    command: &'a [String],
    partial: bool,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    case: &'a str,
    metric: &'a str,
    unit: Unit,
    better: Better,
    /// One a file; null where it has none.
    figures: Vec<Option<Spread>>,
    /// Each file's median over the first's; null where one has none. The first's is 1.
    ratios: Vec<Option<f64>>,
    /// How it stands in each file among those it competes with: `best`, `level`, `behind`; null where it takes no part.
    standings: Vec<Option<&'static str>>,
}

#[derive(Debug, Serialize)]
struct Spread {
    median: f64,
    lowest: f64,
    highest: f64,
    repeats: usize,
}

impl<'a> Summary<'a> {
    /// Of a report.
    pub fn of(report: &'a Report) -> Self {
        let files = report.sources.iter().map(|source| File {
            name: &source.name,
            machine: &source.saved.machine,
            command: &source.saved.command,
            partial: source.saved.partial,
        });
        let groups = report.chapters.iter().flat_map(|chapter| &chapter.groups);
        Self {
            report_schema: SCHEMA,
            files: files.collect(),
            warnings: &report.remarks,
            findings: words::findings(report),
            rows: groups.flat_map(|group| lines(group, report.sources.len())).collect(),
        }
    }
}

fn lines(group: &Group, files: usize) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    for rows in group.metrics() {
        let standings: Vec<_> = (0..files).map(|file| standings(&rows, file)).collect();
        lines.extend(
            rows.iter().enumerate().map(|(place, row)| line(row, standings.iter().map(|of| of[place]))),
        );
    }
    lines
}

fn line(row: &Row, standings: impl Iterator<Item = Standing>) -> Line<'_> {
    let figures = row.figures.iter().map(|figure| {
        figure.map(|figure| Spread {
            median: figure.spread.median,
            lowest: figure.spread.min,
            highest: figure.spread.max,
            repeats: figure.repeats,
        })
    });
    let standings = standings.map(|standing| match standing {
        Standing::Best => Some("best"),
        Standing::Level => Some("level"),
        Standing::Behind => Some("behind"),
        Standing::Apart => None,
    });
    Line {
        case: &row.case,
        metric: &row.metric,
        unit: row.unit,
        better: row.better,
        figures: figures.collect(),
        ratios: (0..row.figures.len()).map(|file| row.ratio(file)).collect(),
        standings: standings.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::sample::{report, saved, slower};

    #[test]
    fn rows_have_figures_ratios_and_standings_of_each_file() {
        let mut second = slower("", 2.0).saved;
        second.measures.pop();
        let report = report(vec![saved(), second]);
        let summary = serde_json::to_value(Summary::of(&report)).unwrap();
        let row = &summary["rows"][5];
        assert_eq!(row["case"], "signalpost, 16 subscribers, 1 publisher");
        assert_eq!((&row["ratios"][1], &row["unit"]), (&2.0.into(), &"ns".into()));
        assert_eq!((&row["figures"][0]["median"], &row["figures"][0]["repeats"]), (&18.4.into(), &3.into()));
        assert_eq!(row["standings"], serde_json::json!(["best", "best"]));
        let gone = &summary["rows"][7];
        assert!(
            gone["figures"][1].is_null() && gone["ratios"][1].is_null() && gone["standings"][1].is_null()
        );
        assert_eq!(summary["files"][1]["machine"]["cores"], 2);
    }
}
