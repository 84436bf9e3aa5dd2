//! `lab report --html`: one page with everything, that needs nothing from elsewhere and runs nothing.
//!
//! Owns the page's order and what is drawn. Whatever comes from a file is escaped where it is put in, and the page's own policy
//! forbids it to load or to run anything.
//! Not here: what it says (`content.rs`, `words.rs`, `tables.rs`), the drawings (`bars.rs`, `curves.rs`), colours (`page.css`).
//!
//! The drawings are written here and not by a plotting library: plotters puts colours and fonts into each element where no theme can
//! reach them, knows no whiskers on bars, and lays out text by guessed widths; what is left of it, scales and ticks, is `scale.rs`.

use super::{
    bars,
    content::{Chapter, Group, Report, Row, Standing, unit_in_words},
    curves::{self, Line},
    mark::{Mark, legend},
    source,
    tables::{self, Cell, Grid},
    words,
};
use crate::{
    measure::{From, Unit},
    watch::words::plain,
};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::cell::Cell as Counter;

/// Drawings on one page, at most: what is left out is in the tables.
const DRAWINGS: usize = 90;
/// Rows of a table with everything, at most: `--json` has all.
const ROWS: usize = 20_000;
const STYLE: &str = include_str!("page.css");
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The page: a whole document, as text.
pub fn page(report: &Report) -> String {
    let title = format!("lab report: {}", words::listed(&report.names().collect::<Vec<_>>()));
    let left = Counter::new(DRAWINGS);
    let chapters: Vec<_> =
        report.chapters.iter().map(|chapter| self::chapter(report, chapter, &left)).collect();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (plain(&title)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { (plain(&title)) }
                    p.quiet { (words::counts(report)) }
                    (remarks(report))
                    section {
                        h2 { "In short" }
                        ul.findings { @for finding in words::findings(report) { li { (plain(&finding)) } } }
                        p.quiet {
                            "Medians of the repeats. ★ is the best of those that can be subscribed to, = level with it: their repeats overlap. "
                            "A raw loop is the floor and wins nothing, nor does what does other work."
                            @if report.compares() { " Ratios are to the first file; `lab compare` says whether one is more than chance." }
                        }
                        (how_to_read(report))
                        @if report.compares() { (legend(&report.names().collect::<Vec<_>>())) }
                    }
                    section { h2 { "Measured on" } (machines(report)) }
                    @for chapter in &chapters { (chapter) }
                    (lacks(report))
                    @if left.get() == 0 { p.remark { "Only the first " (DRAWINGS) " drawings are on this page; the tables have every figure." } }
                }
                footer.quiet { "Written by lab " (env!("CARGO_PKG_VERSION")) " of signalpost." }
            }
        }
    };
    page.into_string()
}

fn how_to_read(report: &Report) -> Markup {
    let has_curves =
        report.chapters.iter().flat_map(|chapter| &chapter.groups).any(|group| !group.curves.is_empty());
    html! {
        p.quiet {
            "Bars end at the median, whiskers go from the lowest to the highest repeat. Where figures span decades the axis does too, and points "
            "stand for bars."
            @if report.compares() { " Numbers at the bars are those of the files." }
        }
        @if has_curves {
            p.quiet {
                "In percentile curves each step to the right shows ten times rarer events. Full lines are corrected: latency counts from when an "
                "event was meant to start, so that a stall counts for every event it delayed. Dashed lines are raw: from when it did start."
            }
        }
    }
}

/// What each path does not do: figures of those that do other work are not to be set beside each other unknowingly.
fn lacks(report: &Report) -> Markup {
    let mut paths: Vec<_> =
        report.rows().filter_map(Row::path).filter(|path| !path.lacks().is_empty()).collect();
    paths.sort_unstable();
    paths.dedup();
    html! {
        @if !paths.is_empty() {
            section {
                h2 { "What the other paths do not do" }
                dl.lacks {
                    @for path in paths { dt { (path.as_str()) } dd { (path.lacks()) } }
                }
            }
        }
    }
}

fn remarks(report: &Report) -> Markup {
    html! {
        @if !report.remarks.is_empty() {
            section.remarks role="note" aria-label="Warnings" {
                h2 { "⚠ Read with care" }
                ul { @for remark in &report.remarks { li { (plain(remark)) } } }
            }
        }
    }
}

/// A column for each file, a row for each fact; those in which the files differ are marked.
fn machines(report: &Report) -> Markup {
    let sources = &report.sources;
    let differing = source::differing(sources);
    let all: Vec<_> = sources.iter().map(|source| source::facts(&source.saved.machine)).collect();
    let facts = all.first().map_or(0, |facts| facts.len());
    html! {
        div.wide tabindex="0" role="region" aria-label="Machines" {
            table.facts {
                thead {
                    tr {
                        th scope="col" { "file" }
                        @for (place, source) in sources.iter().enumerate() {
                            th scope="col" {
                                @if sources.len() > 1 { (place + 1) " " }
                                (plain(&source.name))
                                @if source.saved.partial { " " strong.bad { "partial" } }
                            }
                        }
                    }
                }
                tbody {
                    @for place in 0..facts {
                        @let name = all[0][place].0;
                        @let differs = differing.iter().find(|(fact, _)| *fact == name);
                        tr.differs[differs.is_some_and(|&(_, matters)| matters)] {
                            th scope="row" { (name) @if differs.is_some() { " (differs)" } }
                            @for facts in &all { td { (plain(&facts[place].1)) } }
                        }
                    }
                    tr {
                        th scope="row" { "command" }
                        @for source in sources { td { code { "lab " (plain(&source.saved.command.join(" "))) } } }
                    }
                }
            }
        }
    }
}

fn chapter(report: &Report, chapter: &Chapter, left: &Counter<usize>) -> Markup {
    let everything = tables::all(report, chapter);
    html! {
        section {
            h2 { (plain(words::title(chapter))) }
            (curve_charts(report, chapter, left))
            @let tables = tables::overview(report, chapter);
            @let drawings = bar_charts(chapter, left);
            // Of several files the table is long.
            @if report.compares() { (drawings) }
            @for table in &tables { (grid(table, report.compares())) }
            @if !report.compares() { (drawings) }
            @if !everything.rows.is_empty() {
                details {
                    summary { "All " (everything.rows.len()) " figures with their spread" }
                    (grid(&everything, report.compares()))
                }
            }
        }
    }
}

/// One more drawing, if there is room on the page.
fn take(left: &Counter<usize>) -> bool {
    let was = left.get();
    left.set(was.saturating_sub(1));
    was > 0
}

/// With one file all subjects of a group in one chart, else a chart for each case with a line for each file.
fn curve_charts(report: &Report, chapter: &Chapter, left: &Counter<usize>) -> Markup {
    let mut charts = Vec::new();
    for group in chapter.groups.iter().filter(|group| !group.curves.is_empty()) {
        let mut cases: Vec<&str> = Vec::new();
        for (_, curve) in &group.curves {
            if !cases.contains(&curve.case.as_str()) {
                cases.push(&curve.case);
            }
        }
        if report.compares() {
            let names: Vec<_> = report.names().map(str::to_owned).collect();
            for case in cases {
                let of = group.curves.iter().filter(|(_, curve)| curve.case == case);
                let lines = of.map(|(file, curve)| Line { mark: Mark(*file), name: &names[*file], curve });
                charts.extend(curve_chart(case, &lines.collect::<Vec<_>>(), &names, left));
            }
        } else {
            let subjects: Vec<_> = cases.iter().map(|case| super::case::Case::of(case).subject).collect();
            let place = |case: &str| cases.iter().position(|other| *other == case).unwrap_or(0);
            let lines = group.curves.iter().map(|(_, curve)| {
                let place = place(&curve.case);
                Line { mark: Mark(place), name: &subjects[place], curve }
            });
            let title = if subjects.len() == 1 { cases[0] } else { &group.title };
            charts.extend(curve_chart(title, &lines.collect::<Vec<_>>(), &subjects, left));
        }
    }
    html! {
        @if !charts.is_empty() {
            h3 { "Percentiles" }
            div.charts.large { @for chart in charts { (chart) } }
        }
    }
}

fn curve_chart(title: &str, lines: &[Line<'_>], names: &[String], left: &Counter<usize>) -> Option<Markup> {
    let shown = format!("latency percentiles: {title}");
    let chart = curves::drawn(&shown, lines)?;
    if !take(left) {
        return None;
    }
    let has = |from: From| lines.iter().any(|line| line.curve.from == from);
    Some(html! {
        figure {
            figcaption { (plain(title)) }
            (chart)
            (legend(names))
            p.key {
                @if has(From::IntendedStart) { span.key-line { "corrected" } }
                @if has(From::ActualStart) { span.key-line.dashed { "raw" } }
            }
        }
    })
}

/// A chart for each figure that several subjects have; figures of one subject alone share one, by unit.
fn bar_charts(chapter: &Chapter, left: &Counter<usize>) -> Markup {
    let charts: Vec<_> = chapter.groups.iter().flat_map(|group| bars_of(group, left)).collect();
    html! {
        @if !charts.is_empty() {
            h3 { "Medians and their spread" }
            div.charts { @for chart in charts { (chart) } }
        }
    }
}

fn bars_of(group: &Group, left: &Counter<usize>) -> Vec<Markup> {
    let is_drawn = |row: &&Row| row.unit != Unit::Times && !row.metric.starts_with("raw-");
    let (mut charts, mut alone): (Vec<Markup>, Vec<&Row>) = (Vec::new(), Vec::new());
    // What the chapter's heading says is not said above each drawing, but is a part of the drawing's own title.
    let short = group.subscribers.map_or_else(String::new, |count| super::case::counted(count, "subscriber"));
    let mut push = |who: &str, what: &str, chart: &dyn Fn(&str) -> Markup| {
        if take(left) {
            let titled = |parts: &[&str]| {
                let parts: Vec<_> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
                parts.join(": ")
            };
            let (caption, title) = (titled(&[who, &short, what]), titled(&[who, &group.title, what]));
            charts.push(html! { figure { figcaption { (plain(&caption)) } (chart(&title)) } });
        }
    };
    for rows in group.metrics() {
        let rows: Vec<_> = rows.into_iter().filter(is_drawn).collect();
        match rows.as_slice() {
            [] => {}
            [one] => alone.push(one),
            several => {
                push("", &words::metric(several[0]), &|title| {
                    bars::drawn(title, several, |row| &row.subject)
                });
            }
        }
    }
    while let Some(first) = alone.first().copied() {
        let alike = |row: &&Row| row.unit == first.unit && row.subject == first.subject;
        let (together, others): (Vec<_>, Vec<_>) = alone.into_iter().partition(alike);
        alone = others;
        let unit = unit_in_words(first.unit);
        push(&first.subject, unit, &|title| bars::drawn(title, &together, |row| &row.metric));
    }
    charts
}

fn grid(grid: &Grid, compares: bool) -> Markup {
    let shown = &grid.rows[..grid.rows.len().min(ROWS)];
    html! {
        // Not a caption: it would scroll away with a wide table.
        p.caption { (plain(&grid.title)) }
        div.wide tabindex="0" role="region" aria-label=(plain(&grid.title)) {
            table aria-label=(plain(&grid.title)) {
                thead { tr { @for (place, head) in grid.head.iter().enumerate() { th.number[place >= grid.names] scope="col" { (plain(head)) } } } }
                tbody {
                    @for row in shown {
                        tr.ours[!compares && row[0].text == "signalpost"] {
                            @for (place, cell) in row.iter().enumerate() {
                                @if place == 0 { th scope="row" { (plain(&cell.text)) } }
                                @else if place < grid.names { td { (plain(&cell.text)) } }
                                @else { (figure(cell)) }
                            }
                        }
                    }
                }
            }
        }
        @if grid.rows.len() > shown.len() { p.remark { "The first " (ROWS) " of " (grid.rows.len()) " rows; the file that --json writes has all." } }
    }
}

fn figure(cell: &Cell) -> Markup {
    html! {
        @match cell.standing {
            Some(Standing::Best) => td.number { strong { (plain(&cell.text)) } " ★" },
            Some(Standing::Level) => td.number { (plain(&cell.text)) " =" },
            _ => td.number { (plain(&cell.text)) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{
        reading::read,
        sample::{EVIL, curve, median, report, run, saved, slower},
    };

    #[test]
    fn the_page_is_well_formed_and_says_who_is_fastest_where_and_on_what() {
        let (text, attributes) = read(&page(&report(vec![saved()])));
        for part in [
            "lab report: 0.json",
            "8 figures of 8 cases in 1 file.",
            "1 publisher, median: arc-swap-cache is fastest with 1 subscriber; signalpost with 16.",
            "processorExample 9000",
            "commit0a4a2e6",
            "flagsx86_64-unknown-linux-gnu, opt-level 3",
            "commandlab paths --quick",
            "16 subscribers: median, ns",
            "16 subscribers, 1 publisher: median, ns",
            "signalpost3.2418.4 ★",
            "All 8 figures with their spread",
        ] {
            assert!(text.contains(part), "no {part:?} in {text}");
        }
        assert!(!text.contains("Read with care"));
        assert!(attributes.contains(&("html".to_owned(), "lang".to_owned(), "en".to_owned())));
        let roles = attributes
            .iter()
            .filter(|(element, key, value)| element == "svg" && key == "role" && value == "img");
        assert_eq!(roles.count(), 2);
    }

    #[test]
    fn a_run_has_a_chart_of_both_curves_and_one_for_each_unit() {
        let page = page(&report(vec![run()]));
        read(&page);
        assert_eq!(page.matches("<svg class=\"curves\"").count(), 1);
        assert_eq!(page.matches("<svg class=\"bars\"").count(), 3, "times, throughput, missed");
        assert!(page.contains("class=\"curve raw\""));
    }

    #[test]
    fn subjects_share_a_chart_with_one_file_and_files_share_one_for_each_case() {
        let mut file = run();
        file.curves.push(curve(
            "std-mutex, 16 subscribers, 1 publisher, 1,000,000/s",
            From::IntendedStart,
            2.0,
        ));
        let charts = |page: &str| page.matches("<svg class=\"curves\"").count();
        assert_eq!(charts(&page(&report(vec![file.clone()]))), 1);
        let two = page(&report(vec![file.clone(), file]));
        read(&two);
        assert_eq!(charts(&two), 2);
    }

    #[test]
    fn broken_off_files_their_warnings_and_other_machines_are_marked() {
        let (a, mut b) = (saved(), slower("", 1.1).saved);
        b.partial = true;
        b.warnings.push("more threads than cores".to_owned());
        b.machine.cores = 64;
        let (text, _) = read(&page(&report(vec![a, b])));
        for part in [
            "Read with care",
            "1.json: partial",
            "1.json: more threads than cores",
            "differ in cores",
            "cores (differs)264",
            "1.json partial",
        ] {
            assert!(text.contains(part), "no {part:?} in {text}");
        }
        assert!(!text.contains("commit (differs)"));
    }

    #[test]
    fn nothing_is_taken_from_elsewhere_and_nothing_runs() {
        let page = page(&report(vec![run(), saved()]));
        let (_, attributes) = read(&page);
        for (element, key, value) in &attributes {
            assert!(
                !key.starts_with("on") && !["src", "href", "srcset", "xlink:href"].contains(&key.as_str()),
                "{element} {key}={value}"
            );
            assert!(!value.contains("://") && !value.contains("url("), "{element} {key}={value}");
        }
        for outside in ["<script", "<link", "<img", "<iframe", "url(", "@import", "://"] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(attributes.iter().any(|(.., value)| value == POLICY));
    }

    #[test]
    fn names_from_outside_are_text_and_nothing_else() {
        let with = |evil: &str| {
            let mut file = run();
            let case = format!("{evil}, 16 subscribers, {evil}");
            file.measures.push(median(&case, 5.0));
            file.measures.push(crate::measure::Measure { metric: evil.to_owned(), ..median(&case, 5.0) });
            file.curves.push(curve(&case, From::IntendedStart, 1.0));
            file.warnings.push(evil.to_owned());
            file.command.push(evil.to_owned());
            (file.machine.cpu, file.machine.commit, file.machine.flags) =
                (evil.to_owned(), evil.to_owned(), evil.to_owned());
            let sources = vec![source::Source { name: evil.to_owned(), saved: file }];
            page(&Report::of(sources))
        };
        let (evil, harmless) = (with(EVIL), with("harmless"));
        read(&evil);
        assert_eq!(evil.matches('<').count(), harmless.matches('<').count());
        assert!(evil.contains("&lt;script&gt;") && !evil.contains('\0') && !evil.contains('\u{202e}'));
    }

    #[test]
    fn twenty_files_ten_thousand_figures_and_empty_curves_make_a_page() {
        let (text, _) = read(&page(&report((0..20).map(|_| run()).collect())));
        assert!(text.contains("19.json"));
        let mut many = saved();
        many.measures = (0..10_000)
            .map(|n| median(&format!("path {}, {} subscribers", n / 500, n % 500), f64::from(n)))
            .collect();
        many.curves = vec![crate::measure::Curve {
            points: Vec::new(),
            ..curve("path 0, 0 subscribers", From::ActualStart, 1.0)
        }];
        let page = page(&report(vec![many]));
        let (text, _) = read(&page);
        assert_eq!(page.matches("<svg class=\"bars\"").count(), DRAWINGS);
        assert!(text.contains("Only the first 90 drawings") && text.contains("All 10000 figures"));
        assert!(!page.contains("NaN"));
    }

    /// What the style sheet calls a colour in each theme.
    fn colours(name: &str) -> [[f64; 3]; 2] {
        let all: Vec<_> =
            STYLE.split(&format!("--{name}: #")).skip(1).take(2).map(|rest| &rest[..6]).collect();
        let channel =
            |hex: &str, at: usize| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
        [all[0], all[1]].map(|hex| [0, 2, 4].map(|at| channel(hex, at)))
    }

    /// WCAG 2: from 1 to 21.
    fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
        let linear = |c: f64| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
        let luminance = |[r, g, b]: [f64; 3]| 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
        let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
        a.max(b) / a.min(b)
    }

    #[test]
    fn text_and_series_can_be_read_in_both_themes() {
        let series: Vec<_> = (0..super::super::mark::COLOURS).map(|n| format!("s{n}")).collect();
        for ground in ["ground", "raised"] {
            for name in ["ink", "quiet", "bad", "good"].into_iter().chain(series.iter().map(String::as_str)) {
                for (theme, (ground, colour)) in colours(ground).into_iter().zip(colours(name)).enumerate() {
                    let contrast = contrast(ground, colour);
                    assert!(contrast >= 4.5, "{name} on {ground:?} in theme {theme}: {contrast:.2}");
                }
            }
        }
        for (theme, (ground, other)) in colours("ground").into_iter().zip(colours("other")).enumerate() {
            assert!(contrast(ground, other) >= 3.0, "bars of others in theme {theme}");
        }
    }
}
