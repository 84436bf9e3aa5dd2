//! What a replay came to: for people, for programs, and what spoils it.
//!
//! Owns the section `replay` of the document and its report. Not here: percentiles (`run/record.rs`).

use super::{
    play::{Behind, Played, SLEEP_FROM, SPIN_FOR},
    schedule::Spread,
};
use crate::{
    path::PathName,
    run::record::{Percentiles, Summary},
    table::{Cell, Colour, Table, Tone, counted, grouped, nanoseconds},
};
use serde::Serialize;
use std::{fmt::Write as _, time::Duration};

/// What came out.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The log.
    pub log: Log,
    /// Times as fast as the log.
    pub speed: f64,
    /// Registered subscribers.
    pub subscribers: usize,
    /// A start later than this is missed.
    pub missed_after_ns: u64,
    /// The paths.
    pub rows: Vec<Row>,
    /// The most memory that the process ever had, in bytes; none where the system does not say.
    pub peak_memory_bytes: Option<u64>,
}

/// The log that was replayed, and what was found in it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Log {
    /// The file.
    pub file: String,
    /// Whether it is packed with gzip.
    pub packed: bool,
    /// Its size in bytes, packed if it is; none of standard input.
    pub bytes: Option<u64>,
    /// What it is, in words.
    pub format: String,
    /// How its times are written, in words.
    pub times: String,
    /// Whether its times have no fractions of a second.
    pub whole_seconds: bool,
    /// What became of events of one second; none where the log knows better.
    pub spread: Option<Spread>,
    /// Lines with a time, that were read.
    pub lines: u64,
    /// Lines left out because they are broken.
    pub broken: u64,
    /// The first of them.
    pub first_broken_line: Option<u64>,
    /// Events in one replay.
    pub events: u64,
    /// Events left out, before or after what was asked for.
    pub outside: u64,
    /// Times that go backwards.
    pub backwards: u64,
    /// How far one of them goes back at most.
    pub furthest_back_ns: u64,
    /// Events that were spread over their second.
    pub spread_events: u64,
    /// From the first time to the last.
    pub span_ns: u64,
    /// The longest time without an event.
    pub longest_gap_ns: u64,
    /// When the last event was meant to start, after the first.
    pub last_start_ns: u64,
}

/// One path.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The path.
    pub path: PathName,
    /// As in the measures.
    pub case: String,
    /// How often it was replayed.
    pub repeats: usize,
    /// What was recorded, all repeats merged.
    #[serde(flatten)]
    pub summary: Summary,
    /// How often the publisher waited for the reader, in all repeats.
    pub reader_behind: Behind,
}

impl Log {
    /// Takes in what was read; of a replay that ended early as much of it as was published, for the reader is ahead by then.
    pub fn found(&mut self, played: &Played, speed: f64) {
        if played.early && self.events > 0 {
            return; // a replay before had all of it
        }
        if let Some(read) = &played.read {
            let seen = &read.seen;
            (self.lines, self.broken, self.first_broken_line) = (read.times, read.broken, read.first_broken);
            (self.events, self.outside, self.spread_events) = (seen.events, seen.outside, seen.spread);
            (self.backwards, self.furthest_back_ns) = (seen.backwards, seen.furthest_back_ns);
            (self.span_ns, self.longest_gap_ns, self.last_start_ns) =
                (seen.span_ns, seen.longest_gap_ns, seen.last_start);
        }
        if played.early {
            self.events = played.recorder.events();
            self.lines = self.lines.max(self.events);
            self.spread_events = self.spread_events.min(self.events);
            self.last_start_ns = played.last_start_ns;
            let in_log = |ns: u64| (ns as f64 * speed) as u64;
            (self.span_ns, self.longest_gap_ns) =
                (in_log(played.last_start_ns), in_log(played.longest_gap_ns));
        }
    }

    /// What it is: known before it is replayed. `lasts` is how far its last line is from its first, where that is known, and the
    /// speed.
    pub fn heading(&self, lasts: Option<(u64, f64)>) -> String {
        let Self { file, packed, bytes, format, times, .. } = self;
        let size = bytes.map_or_else(String::new, |bytes| format!("{} bytes", grouped(bytes as usize)));
        let packed = if *packed { "packed with gzip" } else { "" };
        let what: Vec<_> = [size.as_str(), packed].into_iter().filter(|text| !text.is_empty()).collect();
        let what = if what.is_empty() { String::new() } else { format!(" ({})", what.join(", ")) };
        let mut text = format!("\nReplaying {file}{what}\n  {format}\n  written as {times}\n");
        match self.spread {
            Some(Spread::Even) => {
                text += "  whole seconds only: the events of one second start in equal steps over it (--spread none: all at once)\n";
            }
            Some(Spread::None) => {
                text += "  whole seconds only: all events of one second start at its beginning\n"
            }
            None => {}
        }
        if let Some((ns, speed)) = lasts {
            text += &format!(
                "  its last line is {} after its first: at speed {speed} all of it takes {}\n",
                time(ns),
                time((ns as f64 / speed) as u64)
            );
        }
        text
    }
}

impl Outcome {
    /// What spoils it, in words.
    pub fn warnings(&self) -> Vec<String> {
        let log = &self.log;
        let mut warnings = Vec::new();
        if log.broken > 0 {
            let first = log.first_broken_line.unwrap_or_default();
            warnings.push(format!(
                "{} broken, left out; the first is line {}",
                match log.broken {
                    1 => "1 line is".to_owned(),
                    lines => format!("{} lines are", grouped(lines as usize)),
                },
                grouped(first as usize)
            ));
        }
        if log.backwards > 0 {
            warnings.push(format!(
                "{} of {} backwards, by up to {}: due at once",
                grouped(log.backwards as usize),
                if log.lines == 1 {
                    "1 time goes".to_owned()
                } else {
                    format!("{} times go", grouped(log.lines as usize))
                },
                time(log.furthest_back_ns)
            ));
        }
        for Row { path, summary, reader_behind: behind, .. } in &self.rows {
            if behind.times > 0 {
                warnings.push(format!(
                    "{path}: reading was too slow for this speed: {} the publisher waited for it, {} in all, and {} late for that alone",
                    counted(behind.times as usize, "time"),
                    time(behind.waited_ns),
                    match behind.delayed {
                        1 => "1 event was".to_owned(),
                        events => format!("{} events were", grouped(events as usize)),
                    }
                ));
            }
            if let Some(percent) = summary.missed_percent.filter(|percent| *percent >= 1.0) {
                warnings.push(format!(
                    "{path}: {percent:.1} % of the events began more than {} late: the log asks for more at this speed than \
                     this path, or this machine, does",
                    time(self.missed_after_ns)
                ));
            }
        }
        warnings
    }

    /// The report.
    pub fn report(&self, colour: Colour) -> String {
        let log = &self.log;
        let mut text = format!(
            "\n{}: {} of the log, at speed {} that is {}; the longest time without one {}\n",
            counted(log.events as usize, "event"),
            time(log.span_ns),
            self.speed,
            time(log.last_start_ns),
            time(log.longest_gap_ns),
        );
        if log.outside > 0 {
            let _ = writeln!(
                text,
                "{} before or after what was asked for",
                counted(log.outside as usize, "event")
            );
        }
        let _ = writeln!(
            text,
            "Nanoseconds to {}; missed: begun more than {} late",
            counted(self.subscribers, "subscriber"),
            time(self.missed_after_ns)
        );
        let head = ["path", "from"].into_iter().chain(Percentiles::NAMES).chain(["missed", "events"]);
        let mut table = Table::headed(head);
        for Row { path, summary, .. } in &self.rows {
            let figures = |percentiles: &Percentiles| percentiles.all().map(|ns| Cell::from(nanoseconds(ns)));
            let missed = summary.missed_percent.unwrap_or_default();
            let tone = if missed < 1.0 { Tone::Plain } else { Tone::Bad };
            if let Some(corrected) = &summary.corrected {
                let first = [path.as_str().into(), "intended start".into()];
                let last = [Cell::toned(tone, percent(missed)), grouped(summary.events as usize).into()];
                table.row(first.into_iter().chain(figures(corrected)).chain(last));
            }
            table.row(
                ["".into(), Cell::toned(Tone::Quiet, "actual start")]
                    .into_iter()
                    .chain(figures(&summary.raw)),
            );
        }
        text += &table.render(colour);
        let _ = writeln!(
            text,
            "  The publisher spins until an event is due; before one that is {} away it sleeps until {} before.",
            time(SLEEP_FROM.as_nanos() as u64),
            time(SPIN_FOR.as_nanos() as u64)
        );
        if let Some(bytes) = self.peak_memory_bytes {
            let _ = writeln!(text, "  The lab had {:.0} MB of memory at most.", bytes as f64 / 1e6);
        }
        text
    }
}

fn percent(value: f64) -> String {
    match value {
        value if value > 0.0 && value < 0.01 => "<0.01 %".to_owned(),
        value => format!("{value:.2} %"),
    }
}

/// A time as people say it, to three digits or so.
fn time(ns: u64) -> String {
    let coarse = match ns {
        0..10_000 => ns,
        10_000..10_000_000 => ns / 1_000 * 1_000,
        10_000_000..60_000_000_000 => ns / 1_000_000 * 1_000_000,
        _ => ns / 1_000_000_000 * 1_000_000_000,
    };
    humantime::format_duration(Duration::from_nanos(coarse)).to_string()
}

/// The most memory that this process ever had, in bytes.
pub fn peak_memory() -> Option<u64> {
    vm_hwm(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The figure in the text of `/proc/self/status`.
fn vm_hwm(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Log {
        Log {
            file: "a.log".to_owned(),
            packed: true,
            bytes: Some(1_234),
            format: "one time a line".to_owned(),
            times: "epoch seconds".to_owned(),
            whole_seconds: true,
            spread: Some(Spread::Even),
            lines: 100,
            broken: 0,
            first_broken_line: None,
            events: 100,
            outside: 0,
            backwards: 0,
            furthest_back_ns: 0,
            spread_events: 100,
            span_ns: 90_061_500_000_000,
            longest_gap_ns: 1_500_000_000,
            last_start_ns: 900_000_000,
        }
    }

    fn outcome(log: Log, behind: Behind, missed_percent: f64) -> Outcome {
        let raw = Percentiles {
            p50_ns: 20.0,
            p90_ns: 30.0,
            p99_ns: 40.0,
            p999_ns: 50.0,
            p9999_ns: 60.0,
            max_ns: 70.0,
        };
        let summary = Summary {
            events: 100,
            seconds: 0.9,
            throughput: 111.0,
            missed: Some(1),
            missed_percent: Some(missed_percent),
            never_begun: 0,
            corrected: Some(raw),
            raw,
        };
        let row = Row {
            path: PathName::Signalpost,
            case: "c".to_owned(),
            repeats: 1,
            summary,
            reader_behind: behind,
        };
        Outcome {
            log,
            speed: 100.0,
            subscribers: 16,
            missed_after_ns: 1_000_000,
            rows: vec![row],
            peak_memory_bytes: Some(12_600_000),
        }
    }

    #[test]
    fn a_report_says_what_was_replayed_and_both_latencies() {
        let report = outcome(log(), Behind::default(), 0.001).report(Colour(false));
        for part in [
            "1day 1h 1m 1s of the log, at speed 100 that is 900ms",
            "intended start",
            "actual start",
            "<0.01 %",
            "13 MB",
        ] {
            assert!(report.contains(part), "no {part:?} in\n{report}");
        }
        let heading = log().heading(Some((7_200_000_000_000, 10.0)));
        for part in [
            "Replaying a.log (1,234 bytes, packed with gzip)",
            "equal steps",
            "2h after its first: at speed 10 all of it takes 12m",
        ] {
            assert!(heading.contains(part), "no {part:?} in\n{heading}");
        }
    }

    #[test]
    fn nothing_that_spoils_a_replay_is_kept_back() {
        assert_eq!(outcome(log(), Behind::default(), 0.9).warnings(), [""; 0]);
        let spoilt = Log {
            broken: 2,
            first_broken_line: Some(17),
            backwards: 3,
            furthest_back_ns: 250_000_000,
            ..log()
        };
        let behind = Behind { times: 1, waited_ns: 5_000_000, delayed: 1 };
        let warnings = outcome(spoilt, behind, 12.0).warnings().join("\n");
        for part in [
            "2 lines are broken",
            "line 17",
            "3 of 100 times go backwards, by up to 250ms",
            "1 time the publisher waited",
            "1 event was late",
            "12.0 %",
        ] {
            assert!(warnings.contains(part), "no {part:?} in\n{warnings}");
        }
    }

    #[test]
    fn the_peak_of_memory_is_read_from_the_systems_text() {
        assert_eq!(vm_hwm("Name:\tlab\nVmHWM:\t  12304 kB\nVmRSS:\t 100 kB\n"), Some(12_304 * 1024));
        assert_eq!(vm_hwm("Name:\tlab\n"), None);
    }
}
