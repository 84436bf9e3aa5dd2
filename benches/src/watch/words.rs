//! How what happened is put in words: times, rates, names.
//!
//! Owns units and digits, and that text from outside cannot do anything to a terminal.
//! Not here: escaping for HTML and JSON, which the libraries for these do.

use super::{
    name::LoopName,
    record::{Planned, Row, Served},
};
use crate::table::{counted, grouped};
use std::{borrow::Cow, fmt::Write, time::Duration};

/// What a number that is not known is written as.
pub const UNKNOWN: &str = "-";

/// A length of time with the digits that matter and its unit.
pub fn length(time: Duration) -> String {
    match time.as_secs_f64() * 1e3 {
        ms if ms < 0.9995 => format!("{:.0} µs", ms * 1e3),
        ms if ms < 9.995 => format!("{ms:.2} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms => format!("{:.2} s", ms / 1e3),
    }
}

/// The same of milliseconds; what is negative or no number is none.
pub fn milliseconds(ms: f64) -> String {
    Duration::try_from_secs_f64(ms / 1e3).map_or_else(|_| UNKNOWN.to_owned(), length)
}

/// A time of the run, in seconds.
pub fn clock(at: Duration) -> String {
    format!("{:.3} s", at.as_secs_f64())
}

/// Answers in a second.
pub fn rate(requests_per_s: f64) -> String {
    format!("{} requests/s", grouped(requests_per_s.round() as usize))
}

/// How a server does.
pub fn load(served: &Served) -> String {
    let mut text = rate(served.requests_per_s);
    match served.p99 {
        Some(p99) => text += &format!(", p99 {}", length(p99)),
        None => text += &format!(", the oldest waits for {}", length(served.waiting)),
    }
    text
}

/// How long a request takes or has been waiting, whichever is longer: a loop that is blocked answers nothing.
pub fn slowest(served: &Served) -> Duration {
    served.p99.map_or(served.waiting, |p99| p99.max(served.waiting))
}

/// The loop and the fault of a row.
pub fn planned(planned: &Planned) -> String {
    match planned {
        Planned { event_loop: LoopName::Process, fault, .. } => fault.to_string(),
        Planned { event_loop, fault, .. } => format!("{event_loop}, {fault}"),
    }
}

/// What was seen of a fault, without its judgement.
pub fn seen(row: &Row) -> String {
    if !row.seen {
        return "nothing seen".to_owned();
    }
    let mut text = "seen".to_owned();
    if let Some(ms) = row.after_ms {
        text += &format!(" after {}", milliseconds(ms));
    }
    if let Some(verdict) = &row.verdict {
        text += &format!(", {}", plain(verdict));
    }
    if row.task.is_some() {
        text += &format!(", task {}", task(row));
    }
    if let Some(frame) = &row.top_frame {
        text += &format!(", in {}", plain(frame));
    }
    if row.reports > 1 {
        text += &format!(", {}", counted(row.reports, "report"));
    }
    text
}

/// The task that was named, and whether it is the wrong one.
pub fn task(row: &Row) -> String {
    match (&row.task, row.task_right) {
        (None, Some(false)) => "none (wrong)".to_owned(),
        (None, _) => UNKNOWN.to_owned(),
        (Some(task), Some(false)) => format!("{} (wrong)", plain(task)),
        (Some(task), _) => plain(task).into_owned(),
    }
}

/// The text, with what could move a cursor, colour a terminal or turn the direction of writing made visible.
pub fn plain(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_plain(c) {
            true => shown.push(c),
            false => write!(shown, "{}", c.escape_default()).expect("a string takes text"),
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::{
        history::sample::{PLANNED, row},
        record::Outcome,
    };

    #[test]
    fn times_have_their_unit_and_about_three_digits() {
        let all = [0, 999, 1_250, 9_994, 9_996, 104_250, 999_400, 999_600, 61_000_000];
        let words = all.map(|us| length(Duration::from_micros(us)));
        assert_eq!(
            words,
            ["0 µs", "999 µs", "1.25 ms", "9.99 ms", "10 ms", "104 ms", "999 ms", "1.00 s", "61.00 s"]
        );
        assert_eq!([f64::NAN, -1.0, f64::INFINITY].map(milliseconds), ["-"; 3]);
        assert_eq!(clock(Duration::from_micros(12_345_678)), "12.346 s");
    }

    #[test]
    fn a_server_that_does_not_answer_has_no_p99_but_a_time_that_the_oldest_request_waits() {
        let served = |requests_per_s, p99| Served {
            event_loop: LoopName::Mio,
            requests_per_s,
            p99,
            waiting: Duration::from_millis(130),
        };
        let p99 = Some(Duration::from_micros(850));
        assert_eq!(load(&served(12_345.6, p99)), "12,346 requests/s, p99 850 µs");
        assert_eq!(load(&served(0.0, None)), "0 requests/s, the oldest waits for 130 ms");
        let times =
            [p99, None, Some(Duration::from_millis(131))].map(|p99| slowest(&served(1.0, p99)).as_millis());
        assert_eq!(times, [130, 130, 131]);
    }

    #[test]
    fn the_process_as_a_whole_is_no_loop() {
        assert_eq!([planned(&PLANNED[1]), planned(&PLANNED[3])], ["mio, spin", "memory"]);
    }

    #[test]
    fn what_was_seen_names_verdict_task_and_frame_and_only_a_wrong_task_is_called_so() {
        let right = row(0, Outcome::Right);
        assert_eq!(
            seen(&right),
            "seen after 104 ms, InSyscall(clock_nanosleep), task upload, in lab::fault::sleep"
        );
        assert_eq!(task(&row(0, Outcome::Wrong)), "upload (wrong)");
        assert_eq!(task(&Row { task: None, task_right: Some(false), ..right.clone() }), "none (wrong)");
        assert!(seen(&Row { reports: 2, ..right }).ends_with(", 2 reports"));
        assert_eq!(seen(&row(0, Outcome::Missed)), "nothing seen");
    }

    #[test]
    fn text_from_outside_cannot_drive_a_terminal() {
        assert_eq!(plain("a\x1b[2Jb\r\n\u{202e}c\u{9b}"), "a\\u{1b}[2Jb\\r\\n\\u{202e}c\\u{9b}");
        assert!(matches!(plain("größer ≤ 1 µs"), Cow::Borrowed("größer ≤ 1 µs")));
    }
}
