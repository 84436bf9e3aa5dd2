//! Percentile curves: how long the slower and slower events took. Corrected latencies are full lines with points, raw ones dashed.
//!
//! Owns the drawing's geometry. Across is 1/(1-q) in decades, as HdrHistogram's plotter has it: each decade shows ten times rarer
//! events. A share of 1 has no place on such an axis; no event is rarer than one of all, and that is where the last point is.
//! Not here: colours (`page.css`), which curves stand together (`html.rs`).

use super::{mark::Mark, scale::Scale, words::written};
use crate::{
    measure::{Curve, From, Unit},
    watch::words::plain,
};
use maud::{Markup, html};
use std::fmt::Write;

/// Units of the drawing, and its edges.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 452.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 258.0;
/// Points of a line are left out where they would be nearer than this to the last.
const NEAR: f64 = 0.75;
/// Lines end at different places: their numbers are moved apart so far.
const APART: f64 = 11.0;

/// One curve with the series that it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// What it looks like.
    pub mark: Mark,
    /// What it is called.
    pub name: &'a str,
    /// The points.
    pub curve: &'a Curve,
}

/// The drawing; none where no line has a point.
pub fn drawn(title: &str, lines: &[Line<'_>]) -> Option<Markup> {
    let lines: Vec<_> = lines
        .iter()
        .map(|line| (line, points(line.curve)))
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let all = || lines.iter().flat_map(|(_, points)| points);
    let (&(_, first), rarest) = (all().next()?, all().fold(10.0_f64, |most, &(rarity, _)| most.max(rarity)));
    let (low, high) = all().fold((first, first), |(low, high), &(_, ns)| (low.min(ns), high.max(ns)));
    let across = Scale::log(1.0, rarest, LEFT, RIGHT);
    let up = Scale::log(low, high, BOTTOM, TOP).whole_decades();
    let described = lines.iter().map(|(line, points)| in_words(line, points)).collect::<Vec<_>>().join("; ");
    // Where there is no corrected line, in a closed loop, the raw one stands for the series.
    let stands = |line: &Line<'_>| {
        line.curve.from == From::IntendedStart
            || !lines
                .iter()
                .any(|(other, _)| other.mark == line.mark && other.curve.from == From::IntendedStart)
    };
    let several = lines.iter().any(|(line, _)| line.mark != lines[0].0.mark);
    Some(html! {
        svg.curves viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" {
            title { (plain(title)) }
            desc { (plain(&described)) }
            @for tick in up.ticks(6) {
                @let y = up.at(tick);
                line.grid x1=(LEFT) x2=(RIGHT) y1=(number(y)) y2=(number(y)) {}
                text.tick x=(LEFT - 6.0) y=(number(y + 4.0)) text-anchor="end" { (round(tick)) }
            }
            @for (rarity, label) in shares(rarest) {
                @let x = number(across.at(rarity));
                line.grid x1=(x) x2=(x) y1=(TOP) y2=(BOTTOM) {}
                text.tick x=(x) y=(BOTTOM + 16.0) text-anchor="middle" { (label) }
            }
            text.tick x=(number((LEFT + RIGHT) / 2.0)) y=(HEIGHT - 6.0) text-anchor="middle" { "share of the events that took at most so long" }
            @for (line, points) in &lines {
                @let raw = line.curve.from == From::ActualStart;
                g class=(line.mark.class()) {
                    title { (plain(&in_words(line, points))) }
                    polyline.curve.raw[raw] points=(path(points, &across, &up)) {}
                    @if stands(line) {
                        @for (rarity, _) in shares(rarest).into_iter().skip(1) {
                            @if let Some(ns) = at(points, rarity) { (line.mark.shape(across.at(rarity), up.at(ns))) }
                        }
                    }
                }
            }
            @if several {
                @for (x, y, line) in ends(lines.iter().filter(|(line, _)| stands(line)), &across, &up) {
                    g class=(line.mark.class()) { text.end x=(number(x + 6.0)) y=(number(y + 4.0)) { (line.mark.0 + 1) } }
                }
            }
        }
    })
}

/// Rarity, 1/(1-q), and nanoseconds; what is no number is left out. No time is below a nanosecond here: it would have no logarithm.
fn points(curve: &Curve) -> Vec<(f64, f64)> {
    let rarest = (curve.events as f64).max(10.0);
    let mut points: Vec<(f64, f64)> = curve
        .points
        .iter()
        .filter(|(share, ns)| share.is_finite() && ns.is_finite() && *share >= 0.0)
        .map(|&(share, ns)| {
            let rarity = if share >= 1.0 { rarest } else { (1.0 / (1.0 - share)).min(rarest) };
            (rarity, ns.max(1.0))
        })
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    points
}

/// The line, straight from point to point, without those that nobody could tell from their neighbours.
fn path(points: &[(f64, f64)], across: &Scale, up: &Scale) -> String {
    let mut text = String::new();
    let mut last = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    for (place, &(rarity, ns)) in points.iter().enumerate() {
        let (x, y) = (across.at(rarity), up.at(ns));
        let is_end = place + 1 == points.len();
        if !is_end && (x - last.0).abs() < NEAR && (y - last.1).abs() < NEAR {
            continue;
        }
        write!(text, "{}{x:.1},{y:.1}", if text.is_empty() { "" } else { " " }).expect("a string takes text");
        last = (x, y);
    }
    text
}

/// What the events up to this rarity took at most.
fn at(points: &[(f64, f64)], rarity: f64) -> Option<f64> {
    points.iter().find(|point| point.0 >= rarity * (1.0 - 1e-9)).map(|point| point.1)
}

/// 0 %, 90 %, 99 %, … as far as there are events.
fn shares(rarest: f64) -> Vec<(f64, String)> {
    let decades = (rarest.log10() + 1e-9).floor() as usize;
    let label = |decade: usize| match decade {
        0 => "0".to_owned(),
        1 => "90 %".to_owned(),
        2 => "99 %".to_owned(),
        more => format!("99.{}", "9".repeat(more - 2)),
    };
    (0..=decades.clamp(1, 12)).map(|decade| (10_f64.powi(decade as i32), label(decade))).collect()
}

/// Where each line ends, from top to bottom and so far apart that their numbers can be read.
fn ends<'a>(
    lines: impl Iterator<Item = &'a (&'a Line<'a>, Vec<(f64, f64)>)>,
    across: &Scale,
    up: &Scale,
) -> Vec<(f64, f64, &'a Line<'a>)> {
    let end = |(line, points): &'a (&'a Line<'a>, Vec<(f64, f64)>)| {
        points.last().map(|&(rarity, ns)| (across.at(rarity), up.at(ns), *line))
    };
    let mut ends: Vec<_> = lines.filter_map(end).collect();
    ends.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut above = TOP - APART;
    for end in &mut ends {
        end.1 = end.1.max(above + APART);
        above = end.1;
    }
    // What was moved below the edge is moved up again, and with it those above.
    let mut below = BOTTOM + APART;
    for end in ends.iter_mut().rev() {
        end.1 = end.1.min(below - APART);
        below = end.1;
    }
    ends
}

fn in_words(line: &Line<'_>, points: &[(f64, f64)]) -> String {
    let from = match line.curve.from {
        From::IntendedStart => "corrected (from the intended start)",
        From::ActualStart => "raw (from the actual start)",
    };
    let told = [(2.0, "50 %"), (100.0, "99 %"), (1_000.0, "99.9 %")];
    let told: Vec<_> = told
        .into_iter()
        .filter_map(|(rarity, label)| {
            Some(format!("{label} within {}", written(at(points, rarity)?, Unit::Nanoseconds)))
        })
        .chain(points.last().map(|&(_, ns)| format!("all within {}", written(ns, Unit::Nanoseconds))))
        .collect();
    format!("{}, {from}: {}", line.name, told.join(", "))
}

/// A round figure without idle digits.
fn round(ns: f64) -> String {
    let text = written(ns, Unit::Nanoseconds);
    let (digits, unit) = text.split_once(' ').unwrap_or((&text, ""));
    let digits =
        if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
    format!("{digits} {unit}")
}

fn number(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::sample::curve;

    fn line(place: usize, curve: &Curve) -> Line<'_> {
        Line { mark: Mark(place), name: "signalpost", curve }
    }

    #[test]
    fn corrected_lines_are_full_with_points_and_raw_ones_dashed() {
        let (corrected, raw) = (curve("a", From::IntendedStart, 1.0), curve("a", From::ActualStart, 0.5));
        let drawn = drawn("t", &[line(0, &corrected), line(0, &raw)]).unwrap().into_string();
        assert_eq!(drawn.matches("class=\"curve\"").count(), 1);
        assert_eq!(drawn.matches("class=\"curve raw\"").count(), 1);
        assert_eq!(drawn.matches("class=\"point\"").count(), 5, "at 90 % and each decade further: {drawn}");
        for part in [
            "50 % within 70.0 ns",
            "99.9 % within 9.00 µs",
            "all within 400 µs",
            ">90 %<",
            ">99.999<",
            ">10 ns<",
            ">1 ms<",
        ] {
            assert!(drawn.contains(part), "no {part} in {drawn}");
        }
    }

    #[test]
    fn a_raw_line_without_a_corrected_one_has_the_points_and_the_number() {
        let raw = [curve("a", From::ActualStart, 1.0), curve("b", From::ActualStart, 2.0)];
        let drawn = drawn("t", &[line(0, &raw[0]), line(1, &raw[1])]).unwrap().into_string();
        assert_eq!(drawn.matches("class=\"curve raw\"").count(), 2);
        assert_eq!(
            (drawn.matches("class=\"point\"").count(), drawn.matches("class=\"end\"").count()),
            (10, 2)
        );
    }

    #[test]
    fn each_decade_of_rarity_has_the_same_room_and_the_last_event_its_place() {
        let points = points(&curve("a", From::IntendedStart, 1.0));
        assert_eq!(points.last(), Some(&(100_000.0, 400_000.0)), "a share of 1 is one of all events");
        let across = Scale::log(1.0, 100_000.0, 0.0, 500.0);
        let places: Vec<_> = points.iter().map(|&(rarity, _)| across.at(rarity).round()).collect();
        assert_eq!(places, [0.0, 30.0, 100.0, 200.0, 300.0, 500.0]);
    }

    #[test]
    fn empty_and_odd_curves_do_no_harm() {
        let empty = Curve { points: Vec::new(), ..curve("a", From::IntendedStart, 1.0) };
        assert!(drawn("t", &[line(0, &empty)]).is_none());
        assert!(drawn("t", &[]).is_none());
        let points = vec![(f64::NAN, 1.0), (0.5, f64::INFINITY), (-1.0, 2.0), (0.0, 0.0), (2.0, 5.0)];
        let odd = Curve { points, events: 0, ..empty };
        let drawn = drawn("t", &[line(0, &odd)]).unwrap().into_string();
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
    }

    #[test]
    fn a_hundred_thousand_points_are_drawn_with_few() {
        let many = (0..100_000).map(|n| (f64::from(n) / 100_000.0, 50.0 + f64::from(n))).collect();
        let many = Curve { points: many, ..curve("a", From::IntendedStart, 1.0) };
        let (points, scale) = (points(&many), Scale::log(1.0, 1e5, LEFT, RIGHT));
        let drawn = path(&points, &scale, &Scale::log(10.0, 1e6, BOTTOM, TOP));
        assert!((100..2_000).contains(&drawn.split(' ').count()), "{}", drawn.split(' ').count());
    }

    #[test]
    fn numbers_at_the_ends_of_lines_do_not_cover_each_other() {
        let curves: Vec<_> = (0..20).map(|_| curve("a", From::IntendedStart, 1.0)).collect();
        let lines: Vec<_> = curves.iter().enumerate().map(|(place, curve)| line(place, curve)).collect();
        let lines: Vec<_> = lines.iter().map(|line| (line, points(line.curve))).collect();
        let ends =
            ends(lines.iter(), &Scale::log(1.0, 1e5, LEFT, RIGHT), &Scale::log(10.0, 1e6, BOTTOM, TOP));
        assert!(ends.windows(2).all(|pair| pair[1].1 - pair[0].1 >= APART - 0.01), "{ends:?}");
        assert!(ends.iter().all(|end| (TOP..=BOTTOM).contains(&end.1)));
    }
}
