//! Bars with their spread: a bar to the median of the repeats, a whisker from the lowest to the highest.
//!
//! Owns the drawing's geometry. Where figures span decades the axis is logarithmic, and since a bar has no beginning there, a point on
//! a thin stem stands for it. Not here: colours (`page.css`), which figures stand together (`content.rs`).

use super::{
    content::{Row, Standing, standings, unit_in_words},
    mark::Mark,
    scale::Scale,
    words::{self, written},
};
use crate::{measure::Unit, watch::words::plain};
use maud::{Markup, html};

/// Units of the drawing, which is as wide as a phone's screen: across, for names, for the figures in words.
const WIDTH: f64 = 380.0;
const NAMES: f64 = 126.0;
const WORDS: f64 = 74.0;
const RATIOS: f64 = 44.0;
/// Room above the first row, between rows, below for the axis.
const ABOVE: f64 = 4.0;
const BETWEEN: f64 = 6.0;
const AXIS: f64 = 22.0;
/// Rows of one drawing, at most; the tables have all.
pub const MOST: usize = 40;
/// With more files than this their bars have no words beside them.
const WORDY: usize = 6;
const LETTERS: usize = 20;

/// One drawing of rows that are all of one figure, or all of one case; `label` names each of them.
pub fn drawn(title: &str, rows: &[&Row], label: impl Fn(&Row) -> &str) -> Markup {
    let shown = &rows[..rows.len().min(MOST)];
    let files = shown.first().map_or(0, |row| row.figures.len());
    // A file that has none of these figures gets no room.
    let lanes: Vec<usize> =
        (0..files).filter(|&file| shown.iter().any(|row| row.figures[file].is_some())).collect();
    let wordy = files <= WORDY;
    let thick = if wordy { 14.0 } else { 8.0 };
    let words = if !wordy {
        8.0
    } else if files > 1 {
        WORDS + RATIOS
    } else {
        WORDS
    };
    let (left, right) = (if files > 1 { NAMES + 14.0 } else { NAMES }, WIDTH - words);
    let figures = || shown.iter().flat_map(|row| &row.figures).flatten();
    let scale = Scale::fitting(
        figures()
            .flat_map(|figure| [figure.spread.min, figure.spread.median, figure.spread.max])
            .collect::<Vec<_>>(),
        left,
        right,
    );
    let row_height = lanes.len() as f64 * thick + BETWEEN;
    let bottom = ABOVE + row_height * shown.len() as f64;
    let by_metric = shown.iter().all(|row| row.metric == shown[0].metric);
    let standings: Vec<_> =
        (0..files).map(|file| if by_metric { standings(shown, file) } else { Vec::new() }).collect();
    let none_is_ours = !shown.iter().any(|row| row.is_ours());
    let unit = shown.first().map_or(Unit::Nanoseconds, |row| row.unit);
    let described = shown.iter().map(|row| in_words(row, label(row))).collect::<Vec<_>>().join("; ");
    html! {
        svg.bars viewBox=(format!("0 0 {WIDTH} {:.0}", bottom + AXIS)) role="img" {
            title { (plain(title)) }
            desc { (plain(&described)) }
            @for tick in scale.ticks(4) {
                @let x = number(scale.at(tick));
                line.grid x1=(x) x2=(x) y1=(ABOVE) y2=(number(bottom)) {}
                text.tick x=(x) y=(number(bottom + 14.0)) text-anchor="middle" { (tick_text(tick, unit)) }
            }
            @for (place, row) in shown.iter().enumerate() {
                @let top = ABOVE + row_height * place as f64 + BETWEEN / 2.0;
                g.floor[row.is_floor()] {
                    title { (plain(&in_words(row, label(row)))) }
                    text.name.ours[row.is_ours()] x="0" y=(number(top + lanes.len() as f64 * thick / 2.0 + 4.0)) {
                        (plain(&shortened(label(row))))
                    }
                    @for (lane, &file) in lanes.iter().enumerate() {
                        @let figure = &row.figures[file];
                        @let middle = top + (lane as f64 + 0.5) * thick;
                        @let standing = standings[file].get(place).copied().unwrap_or(Standing::Apart);
                        g class=(class(file, files, row, none_is_ours)) {
                            @if files > 1 { text.count x=(NAMES + 3.0) y=(number(middle + 3.0)) { (file + 1) } }
                            @match figure {
                                None => @if wordy { text.quiet x=(WIDTH) y=(number(middle + 4.0)) text-anchor="end" { "none" } },
                                Some(figure) => {
                                    @if figure.repeats > 1 && scale.is_log() {
                                        (whisker(&scale, middle, thick, figure.spread.min, figure.spread.max))
                                    }
                                    (bar(&scale, left, middle, thick, file, figure.spread.median))
                                    @if figure.repeats > 1 && !scale.is_log() {
                                        (whisker(&scale, middle, thick, figure.spread.min, figure.spread.max))
                                    }
                                    @if wordy {
                                        (beside(row, file, files, middle, figure.median(), standing))
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        @if rows.len() > shown.len() {
            p.quiet { "The first " (MOST) " of " (rows.len()) "; the tables have all." }
        }
    }
}

/// In colour: the file's, or, with a single one, ours before the others'.
fn class(file: usize, files: usize, row: &Row, none_is_ours: bool) -> String {
    match files {
        1 if row.is_ours() || none_is_ours => Mark(0).class(),
        1 => "other".to_owned(),
        _ => Mark(file).class(),
    }
}

fn bar(scale: &Scale, left: f64, middle: f64, thick: f64, file: usize, median: f64) -> Markup {
    let x = scale.at(median);
    let zero = if scale.is_log() { left } else { scale.at(0.0) };
    html! {
        @if scale.is_log() {
            line.stem x1=(number(left)) x2=(number(x)) y1=(number(middle)) y2=(number(middle)) {}
            (Mark(file).shape(x, middle))
        } @else {
            rect.bar x=(number(zero.min(x))) width=(number((x - zero).abs().max(0.5)))
                y=(number(middle - thick * 0.4)) height=(number(thick * 0.8)) {}
        }
    }
}

fn whisker(scale: &Scale, middle: f64, thick: f64, lowest: f64, highest: f64) -> Markup {
    let (from, to, end) = (scale.at(lowest), scale.at(highest), thick * 0.25);
    let (top, low) = (middle - end, middle + end);
    html! { path.whisker d=(format!("M{from:.1} {top:.1}V{low:.1}M{from:.1} {middle:.1}H{to:.1}M{to:.1} {top:.1}V{low:.1}")) {} }
}

/// The median in words, what it is to the first file's, and a star for the best.
fn beside(row: &Row, file: usize, files: usize, middle: f64, median: f64, standing: Standing) -> Markup {
    let (at, y) = (WIDTH - if files > 1 { RATIOS } else { 0.0 } - 12.0, number(middle + 4.0));
    html! {
        text.figure.best[standing == Standing::Best] x=(number(at)) y=(y) text-anchor="end" { (written(median, row.unit)) }
        @match standing {
            Standing::Best => text.star x=(number(at + 2.0)) y=(y) { "★" },
            Standing::Level => text.quiet x=(number(at + 3.0)) y=(y) { "=" },
            Standing::Behind | Standing::Apart => {},
        }
        @if let Some(ratio) = row.ratio(file).filter(|_| file > 0) {
            text.quiet x=(WIDTH) y=(y) text-anchor="end" { (words::ratio(ratio)) }
        }
    }
}

/// For those who hear the drawing, and where it is pointed at.
fn in_words(row: &Row, label: &str) -> String {
    let figures: Vec<_> = row
        .figures
        .iter()
        .map(|figure| match figure {
            None => "none".to_owned(),
            Some(figure) if figure.repeats == 1 => written(figure.median(), row.unit),
            Some(figure) => {
                let [median, min, max] = [figure.spread.median, figure.spread.min, figure.spread.max]
                    .map(|value| written(value, row.unit));
                format!("{median} ({min} to {max}, {} repeats)", figure.repeats)
            }
        })
        .collect();
    format!("{label}: {}", figures.join(" | "))
}

fn tick_text(tick: f64, unit: Unit) -> String {
    let text = written(tick, unit);
    let (digits, name) = text.split_once(' ').unwrap_or((&text, ""));
    let digits =
        if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
    match name {
        // The title has it.
        name if name == unit_in_words(unit) || unit == Unit::Instructions => digits.to_owned(),
        name => format!("{digits} {name}").trim_end().to_owned(),
    }
}

/// As much of a name as there is room for.
fn shortened(label: &str) -> String {
    if label.chars().count() <= LETTERS {
        return label.to_owned();
    }
    label.chars().take(LETTERS - 1).chain(['…']).collect()
}

fn number(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::sample::{report, saved, slower};

    fn of(report: &crate::page::content::Report, group: usize) -> String {
        let group = &report.chapters[0].groups[group];
        drawn("median", &group.metrics()[0], |row| &row.subject).into_string()
    }

    #[test]
    fn each_figure_has_a_bar_a_whisker_its_words_and_the_best_a_star() {
        let drawn = of(&report(vec![saved()]), 1);
        assert_eq!(
            (drawn.matches("class=\"bar\"").count(), drawn.matches("class=\"whisker\"").count()),
            (4, 4)
        );
        assert!(
            drawn.contains("18.4 ns")
                && drawn.contains("signalpost: 18.4 ns (18.2 ns to 18.8 ns, 3 repeats)"),
            "{drawn}"
        );
        assert_eq!(drawn.matches('★').count(), 1);
        assert!(drawn.contains("role=\"img\"") && drawn.contains("<title>median</title>"), "{drawn}");
    }

    #[test]
    fn a_bar_twice_as_long_stands_for_twice_as_much() {
        let mut file = saved();
        file.measures = vec![crate::page::sample::median("a", 10.0), crate::page::sample::median("b", 20.0)];
        let drawn = of(&report(vec![file]), 0);
        let widths: Vec<f64> = drawn
            .split("width=\"")
            .skip(1)
            .map(|part| part.split('"').next().unwrap().parse().unwrap())
            .collect();
        assert!((widths[1] / widths[0] - 2.0).abs() < 0.01, "{widths:?}");
    }

    #[test]
    fn figures_that_span_decades_are_points_on_a_stem() {
        let mut file = saved();
        file.measures[7].repeats = vec![3_000.0];
        let drawn = of(&report(vec![file]), 1);
        assert_eq!((drawn.matches("class=\"bar\"").count(), drawn.matches("class=\"stem\"").count()), (0, 4));
        assert_eq!(drawn.matches("class=\"whisker\"").count(), 3, "one repeat has no spread");
    }

    #[test]
    fn several_files_are_side_by_side_with_their_ratio_to_the_first() {
        let drawn = of(&report(vec![saved(), slower("", 1.25).saved]), 1);
        assert_eq!(drawn.matches("class=\"bar\"").count(), 8);
        assert_eq!((drawn.matches("class=\"s0\"").count(), drawn.matches("class=\"s1\"").count()), (4, 4));
        assert_eq!(drawn.matches("1.25×").count(), 4);
    }

    #[test]
    fn a_file_that_has_none_of_these_figures_gets_no_room() {
        let mut other = saved();
        other.measures = vec![crate::page::sample::median("something else", 10.0)];
        let drawn = of(&report(vec![saved(), other]), 1);
        assert_eq!((drawn.matches("class=\"s0\"").count(), drawn.matches("class=\"s1\"").count()), (4, 0));
        assert!(!drawn.contains(">none<"), "{drawn}");
    }

    #[test]
    fn twenty_files_have_room() {
        let drawn = of(&report((0..20).map(|_| saved()).collect()), 1);
        assert_eq!(drawn.matches("class=\"bar\"").count(), 80);
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"));
    }

    #[test]
    fn ticks_have_their_unit_where_the_title_s_would_be_wrong() {
        assert_eq!(tick_text(50.0, Unit::Nanoseconds), "50");
        assert_eq!(tick_text(2_000.0, Unit::Nanoseconds), "2 µs");
        assert_eq!(tick_text(0.5, Unit::Nanoseconds), "0.5");
        assert_eq!(tick_text(5e6, Unit::PerSecond), "5 M/s");
    }
}
