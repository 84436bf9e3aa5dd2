//! The thread that reads ahead: lines to starts, in chunks, through a queue of a fixed size.
//!
//! Owns the queue and the broken lines. However long a log is, it holds no more of it than the queue and a line.
//! Not here: what a publisher does that finds the queue empty (`play.rs`).

use super::{
    detect::{self, Known, Said},
    format::{Broken, Records, Trouble, shown},
    input::{self, Input},
    schedule::{BACKWARDS_PERCENT, Go, Rules, Schedule, Seen},
};
use crate::table::grouped;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::atomic::Ordering::Relaxed;

/// Events in a chunk.
pub const CHUNK: usize = 1_024;

/// Chunks in the queue: half a million events, four megabytes.
const CHUNKS: usize = 512;

/// Starts of events, in order.
#[derive(Debug)]
pub struct Chunk {
    /// Nanoseconds after the beginning.
    pub starts: Vec<u64>,
    /// How much of the file had been read when it was filled.
    pub read: u64,
}

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Lines with a time, used or not.
    pub times: u64,
    /// Lines that were broken, and left out.
    pub broken: u64,
    /// The first of those.
    pub first_broken: Option<u64>,
    /// What became of the times.
    pub seen: Seen,
}

/// The two ends of the queue.
pub fn queue() -> (Sender<Chunk>, Receiver<Chunk>) {
    bounded(CHUNKS)
}

/// Reads a log to its end, or as far as it is wanted; waits while the queue is full.
///
/// # Errors
/// In words, when it cannot be read to its end: which line, what was found, what was expected.
pub fn read(
    input: Input,
    known: &Known,
    said: &Said,
    rules: Rules,
    queue: &Sender<Chunk>,
) -> Result<Read, String> {
    let (name, packed, bytes) = (input.name.clone(), input.packed, input.read.clone());
    let mut records = Records::of(&known.format, input.bytes());
    let (mut times, mut schedule, mut done) = (known.times.clone(), Schedule::of(rules), Read::default());
    let mut filling = Filling { starts: Vec::with_capacity(CHUNK), queue, gone: false, bytes: &bytes };
    loop {
        let moment = match records.advance() {
            Ok(Some(found)) => times.read(found.time).map_err(|error| Broken {
                line: found.line,
                found: shown(found.time),
                expected: error.expected(times.style()),
            }),
            Ok(None) => break,
            Err(Trouble::Line(broken)) => Err(broken),
            Err(Trouble::Read(lines, error)) => return Err(input::trouble(&name, packed, lines, &error)),
        };
        let moment = match moment {
            Ok(moment) => moment,
            Err(broken) if said.skip_broken => {
                done.broken += 1;
                done.first_broken.get_or_insert(broken.line);
                continue;
            }
            Err(broken) => return Err(detect::of_line(&name, &broken)),
        };
        done.times += 1;
        match schedule.add(moment, |start| filling.push(start)) {
            Go::On if !filling.gone => {}
            Go::On | Go::Enough => break,
            Go::Backwards => return Err(backwards(&name, schedule.seen(), done.times)),
        }
    }
    let (seen, go) = schedule.end(|start| filling.push(start));
    filling.hand_over();
    // Who has gone did not want the rest: nothing can be said of it.
    if go == Go::Backwards && !filling.gone {
        return Err(backwards(&name, &seen, done.times));
    }
    Ok(Read { seen, ..done })
}

fn backwards(name: &str, seen: &Seen, of: u64) -> String {
    format!(
        "'{name}': {} of the first {} times are before one that stands above them, up to {} s\n\n\
         expected at most {BACKWARDS_PERCENT} % of such. Sort the log by time; or --unordered: each of them is then due at once.",
        grouped(seen.backwards as usize),
        grouped(of as usize),
        seen.furthest_back_ns as f64 / 1e9,
    )
}

/// A chunk in the making.
struct Filling<'q> {
    starts: Vec<u64>,
    queue: &'q Sender<Chunk>,
    /// Whether nobody wants any more.
    gone: bool,
    bytes: &'q std::sync::atomic::AtomicU64,
}

impl Filling<'_> {
    fn push(&mut self, start: u64) {
        self.starts.push(start);
        if self.starts.len() == CHUNK {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        if self.starts.is_empty() || self.gone {
            self.starts.clear();
            return;
        }
        let starts = std::mem::replace(&mut self.starts, Vec::with_capacity(CHUNK));
        self.gone = self.queue.send(Chunk { starts, read: self.bytes.load(Relaxed) }).is_err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::{detect::Kind, input::tests::packed};
    use std::{io::Cursor, thread};

    const SAID: Said = Said {
        kind: Kind::Auto,
        column: None,
        delimiter: None,
        no_header: false,
        unit: None,
        skip_broken: false,
    };
    const RULES: Rules = Rules {
        speed: 1.0,
        spread: false,
        from: None,
        until: None,
        limit: u64::MAX,
        last_start: u64::MAX,
        unordered: false,
    };

    fn all(bytes: Vec<u8>, said: &Said, rules: Rules) -> (Vec<u64>, Result<Read, String>) {
        let input = Input::of(Cursor::new(bytes), "log".to_owned(), None).unwrap();
        let known = detect::look(&input, said).unwrap();
        let (sender, receiver) = queue();
        thread::scope(|scope| {
            let reader = scope.spawn(move || read(input, &known, said, rules, &sender));
            let starts = receiver.iter().flat_map(|chunk| chunk.starts).collect();
            (starts, reader.join().unwrap())
        })
    }

    /// Times a millisecond apart, as each format has them.
    fn log(kind: &str, lines: u64) -> String {
        let line = |n: u64| {
            let (seconds, ms) = (1_767_225_600 + n / 1_000, n % 1_000);
            match kind {
                "csv" => format!("{n},\"a,b\",{seconds}.{ms:03}\n"),
                "ndjson" => format!("{{\"n\":{n},\"at\":{{\"ts\":{seconds}{ms:03}}}}}\n"),
                "common" => format!(
                    "h - - [01/Jan/2026:00:{:02}:{:02} +0000] \"GET /\" 200 1\n",
                    n / 60_000,
                    n / 1_000 % 60
                ),
                _ => format!("2026-01-01T00:{:02}:{:02}.{ms:03}Z\n", n / 60_000, n / 1_000 % 60),
            }
        };
        let head = if kind == "csv" { "n,what,time\n" } else { "" };
        head.to_owned() + &(0..lines).map(line).collect::<String>()
    }

    #[test]
    fn every_format_gives_as_many_events_as_lines_at_the_same_times() {
        let lines = 10_000;
        for kind in ["csv", "ndjson", "common", "plain"] {
            let column = (kind == "ndjson").then(|| "at.ts".to_owned());
            let said = Said { column, ..SAID };
            let text = log(kind, lines).into_bytes();
            let rules = Rules { spread: kind == "common", ..RULES };
            let (starts, done) = all(packed(&text), &said, rules);
            let expected: Vec<u64> = (0..lines).map(|n| n * 1_000_000).collect();
            assert_eq!(starts, expected, "{kind}");
            assert_eq!(done.unwrap().seen.events, lines, "{kind}");
            assert_eq!(all(text, &said, rules).0, expected, "{kind}");
        }
    }

    #[test]
    fn a_broken_line_is_named_or_left_out_and_counted() {
        let text = log("plain", 5_000).replacen("2026-01-01T00:00:04.000Z\n", "\nyesterday\n", 1);
        let (_, done) = all(text.clone().into_bytes(), &SAID, RULES);
        let error = done.unwrap_err();
        assert!(
            error.contains("'log', line 4002: found 'yesterday'") && error.contains("RFC 3339"),
            "{error}"
        );
        let skipping = Said { skip_broken: true, ..SAID };
        let (starts, done) = all(text.into_bytes(), &skipping, RULES);
        let done = done.unwrap();
        assert_eq!(
            (starts.len(), done.times, done.broken, done.first_broken),
            (4_999, 4_999, 1, Some(4_002))
        );
    }

    #[test]
    fn a_log_in_another_order_says_how_many_of_how_many() {
        let text: String = (0..5_000).rev().map(|n| format!("{}\n", 1_767_225_600 + n)).collect();
        let error = all(text.into_bytes(), &SAID, RULES).1.unwrap_err();
        assert!(error.contains("999 of the first 1,000 times") && error.contains("--unordered"), "{error}");
    }

    #[test]
    fn a_log_that_nobody_wants_any_more_is_not_read_to_its_end() {
        let text = log("plain", 59 * 60_000);
        let size = text.len() as u64;
        let input = Input::of(Cursor::new(text.into_bytes()), "log".to_owned(), None).unwrap();
        let (known, bytes) = (detect::look(&input, &SAID).unwrap(), input.read.clone());
        let (sender, receiver) = queue();
        drop(receiver);
        read(input, &known, &SAID, RULES, &sender).unwrap();
        assert!(bytes.load(Relaxed) < size / 2);
    }
}
