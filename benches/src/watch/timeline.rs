//! The time line on the page of `lab watch`: a lane for each loop, with faults, events and load above one axis.
//!
//! Owns the drawing's geometry.
//! Not here: colours (`page.css`), the page around it (`html.rs`).

use super::{
    history::{Figure, History, Track},
    html,
    name::LoopName,
    record::Served,
    words::{self, plain},
};
use maud::{Markup, html};
use std::time::Duration;

/// Units of the drawing: across, for the names at the left, for one lane and its parts.
const WIDTH: f64 = 1_150.0;
const NAMES: f64 = 170.0;
const RIGHT: f64 = 12.0;
const LANE: f64 = 84.0;
const BARS: f64 = 14.0;
const BAR: f64 = 20.0;
const CURVE: f64 = 42.0;
const CURVES: f64 = 36.0;
const AXIS: f64 = 24.0;
/// A band that is narrower has no number: there would be one above the other.
const NUMBERED: f64 = 14.0;
/// Points of one curve, at most.
const POINTS: usize = 1_000;

/// Times and where they are.
struct Scale {
    seconds: f64,
}

impl Scale {
    fn x(&self, at: Duration) -> f64 {
        NAMES + at.as_secs_f64() / self.seconds * (WIDTH - NAMES - RIGHT)
    }
}

/// The drawing; events before the place `from` are left out.
pub fn drawn(history: &History, from: usize) -> Markup {
    let scale = Scale { seconds: history.now().as_secs_f64().max(1.0) };
    let lanes: Vec<_> = LoopName::ALL
        .into_iter()
        .chain([LoopName::Process])
        .filter(|&lane| {
            history.served(lane).is_some()
                || history.tracks().iter().any(|track| track.planned.event_loop == lane)
        })
        .collect();
    let height = lanes.len() as f64 * LANE;
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {}", height + AXIS)) role="img" aria-label="time line of the run" {
            @for at in ticks(scale.seconds) {
                @let x = number(scale.x(at));
                line.grid x1=(x) x2=(x) y1="0" y2=(height) {}
                text.small x=(x) y=(height + 14.0) text-anchor="middle" { (format!("{} s", at.as_secs_f64())) }
            }
            @for (place, &event_loop) in lanes.iter().enumerate() {
                g transform=(format!("translate(0 {})", place as f64 * LANE)) {
                    (lane(history, &scale, event_loop, from))
                }
            }
        }
    }
}

fn lane(history: &History, scale: &Scale, event_loop: LoopName, from: usize) -> Markup {
    let is_here = |track: &Track| track.planned.event_loop == event_loop;
    let tracks = history.tracks().iter().enumerate().filter(|(_, track)| is_here(track));
    let events = history
        .events()
        .iter()
        .enumerate()
        .skip(from)
        .filter(|(_, event)| event.row.and_then(|row| history.tracks().get(row)).is_some_and(is_here));
    html! {
        line.grid x1="0" x2=(WIDTH) y1=(LANE) y2=(LANE) {}
        text x="0" y=(BARS + 14.0) { (event_loop) }
        (load(history, scale, event_loop))
        @for (place, track) in tracks { (fault(scale, place, track, history.now())) }
        @for (place, event) in events {
            @let x = scale.x(event.at);
            a href=(format!("#event-{place}")) {
                path.event.event-false[event.is_false] d=(format!("M{x:.1} {:.1} l-4 7 h8 z", BARS + BAR)) {
                    title { (words::clock(event.at)) ": " (plain(&event.title)) }
                }
            }
        }
    }
}

/// A row's number, its band, and in it the fault itself.
fn fault(scale: &Scale, place: usize, track: &Track, now: Duration) -> Markup {
    let Some(from) = track.from else { return html! {} };
    let class = track.result.as_ref().map_or("none", |row| html::class(row.outcome));
    let outcome = track.result.as_ref().map_or("not judged", |row| row.outcome.as_str());
    let over = track.until.unwrap_or(now);
    let (left, right) = (scale.x(from), scale.x(track.judged.unwrap_or(now)));
    let lasted =
        track.lasted.map_or_else(String::new, |lasted| format!(", lasted {}", words::length(lasted)));
    html! {
        g class=(format!("fault-{class}")) {
            title {
                (place + 1) ": " (words::planned(&track.planned)) (lasted) ", " (outcome) " (from " (words::clock(from)) ")"
            }
            @if right - left >= NUMBERED {
                text.small x=(number(left)) y=(BARS - 3.0) { (place + 1) }
            }
            rect.watched x=(number(left)) y=(BARS) width=(number((right - left).max(1.0))) height=(BAR) {}
            rect.lasted x=(number(left)) y=(BARS) width=(number((scale.x(over) - left).max(1.0))) height=(BAR) {}
        }
    }
}

/// How many requests were answered, and within what time: each on its own scale, whose end is written at the left.
fn load(history: &History, scale: &Scale, event_loop: LoopName) -> Markup {
    let requests = |served: &Served| served.requests_per_s;
    let slowest = |served: &Served| words::slowest(served).as_secs_f64() * 1e3;
    let most = greatest(history, event_loop, requests);
    let longest = greatest(history, event_loop, slowest);
    html! {
        @if let (Some(most), Some(longest)) = (most, longest) {
            text.load-word x="0" y=(CURVE + 14.0) { "up to " (words::rate(most)) }
            text.slow-word x="0" y=(CURVE + 28.0) { "p99 or waiting, up to " (words::milliseconds(longest)) }
            polyline.load points=(curve(history, scale, event_loop, most, f64::min, requests)) {}
            polyline.slow points=(curve(history, scale, event_loop, longest, f64::max, slowest)) {}
        }
    }
}

fn of(figure: &Figure, event_loop: LoopName) -> Option<&Served> {
    figure.servers.iter().find(|served| served.event_loop == event_loop)
}

fn greatest(history: &History, event_loop: LoopName, value: impl Fn(&Served) -> f64) -> Option<f64> {
    history.loads().iter().filter_map(|figure| of(figure, event_loop)).map(value).reduce(f64::max)
}

/// The points of a curve whose greatest value is `top`. Where they are too many, the `worse` of neighbours stands.
fn curve(
    history: &History,
    scale: &Scale,
    event_loop: LoopName,
    top: f64,
    worse: fn(f64, f64) -> f64,
    value: impl Fn(&Served) -> f64,
) -> String {
    let all: Vec<_> = history
        .loads()
        .iter()
        .filter_map(|figure| Some((figure.at, value(of(figure, event_loop)?))))
        .collect();
    let together = all.len().div_ceil(POINTS).max(1);
    let points = all.chunks(together).map(|chunk| {
        let (at, first) = chunk[0];
        let value = chunk.iter().map(|&(_, value)| value).fold(first, worse);
        let up = if top > 0.0 { value / top * CURVES } else { 0.0 };
        format!("{:.1},{:.1}", scale.x(at), CURVE + CURVES - up)
    });
    points.collect::<Vec<_>>().join(" ")
}

/// Times with few digits, at most a dozen of them.
fn ticks(seconds: f64) -> impl Iterator<Item = Duration> {
    let steps = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0];
    let step = steps.into_iter().find(|step| seconds / step <= 12.0).unwrap_or(seconds / 12.0);
    // Counted in milliseconds: tenths have no exact sum.
    (0..=(seconds / step) as u64).map(move |n| Duration::from_millis(n * (step * 1e3) as u64))
}

fn number(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::history::sample::{history, load, ms};

    #[test]
    fn times_are_told_by_round_numbers_and_never_by_many() {
        let told = |seconds| ticks(seconds).map(|at| at.as_secs_f64()).collect::<Vec<_>>();
        assert_eq!(told(1.0), [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0].map(f64::from));
        assert_eq!(told(58.0), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0, 50.0, 55.0]);
        for seconds in [1.0, 4.3, 61.0, 1e3, 1e5, 1e7] {
            assert!((2..=13).contains(&told(seconds).len()), "{seconds}: {:?}", told(seconds));
        }
    }

    #[test]
    fn the_beginning_is_at_the_names_and_the_end_at_the_right_edge() {
        let scale = Scale { seconds: 10.0 };
        assert_eq!([0, 10_000].map(|at| scale.x(ms(at))), [NAMES, WIDTH - RIGHT]);
    }

    #[test]
    fn each_fault_is_drawn_in_its_lane_with_number_and_outcome() {
        let drawn = drawn(&history(usize::MAX), 0).into_string();
        assert_eq!(drawn.matches("<rect class=\"lasted\"").count(), 4);
        for (class, count) in [("fault-good", 2), ("fault-bad", 1), ("fault-none", 1)] {
            assert_eq!(drawn.matches(&format!("<g class=\"{class}\">")).count(), count, "{class}");
        }
        assert!(
            drawn.contains("1: tokio-current-thread, sleep, lasted 135 ms, right (from 1.000 s)"),
            "{drawn}"
        );
        let lanes: Vec<_> = ["tokio-current-thread</text>", "mio</text>", "process</text>"]
            .map(|lane| drawn.find(lane).expect(lane))
            .to_vec();
        assert!(lanes.is_sorted());
        assert!(!drawn.contains("tokio-multi-thread</text>"), "it takes no part");
        // The last lane's load is unknown; that of the others has one point a figure.
        assert_eq!(drawn.matches("<polyline").count(), 4);
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"));
    }

    #[test]
    fn numbers_that_have_no_room_are_left_out() {
        let mut history = history(usize::MAX);
        let numbers = |history: &History| drawn(history, 0).into_string().matches("y=\"11\"").count();
        assert_eq!(numbers(&history), 4);
        history.take(load(600_000, 2_000.0, 1));
        assert_eq!(numbers(&history), 0, "after ten minutes each band is narrow");
    }

    #[test]
    fn a_long_run_is_drawn_with_few_points_and_each_dip_is_among_them() {
        let mut history = history(1);
        for n in 0..5_000 {
            history.take(load(250 * n, if n == 2_502 { 0.0 } else { 2_000.0 }, 1));
        }
        let scale = Scale { seconds: history.now().as_secs_f64() };
        let event_loop = LoopName::TokioCurrentThread;
        let points = curve(&history, &scale, event_loop, 2_000.0, f64::min, |served| served.requests_per_s);
        assert_eq!(points.split(' ').count(), POINTS);
        let floor = format!(",{:.1}", CURVE + CURVES);
        assert_eq!(points.split(' ').filter(|point| point.ends_with(&floor)).count(), 1);
    }
}
