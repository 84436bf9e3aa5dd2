//! `lab watch` as plain lines: each moment as it comes, and the table at the end.
//!
//! Owns the layout of both. The table is the same whether lines or the live view came before it.
//! Not here: the live view (`terminal.rs`).

use super::{
    history::{Ending, History},
    name::LoopName,
    record::{Moment, Outcome, Plan, Report, Row},
    words::{self, UNKNOWN, plain},
};
use crate::{
    stop,
    table::{Cell, Colour, Table, Tone, counted},
};
use std::{
    io::{self, Write},
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Duration,
};

/// How long to wait for a moment before it is looked whether somebody asks to end.
const LOOK: Duration = Duration::from_millis(50);

/// Writes a line or more for each moment until the last one, or until somebody asks to end, and keeps them in `history`.
///
/// # Errors
/// When nothing can be written any more. `moments` is dropped then, which tells the run that nobody looks on.
pub fn follow(
    moments: Receiver<Moment>,
    history: &mut History,
    to: &mut impl Write,
    colour: Colour,
) -> io::Result<Ending> {
    loop {
        let moment = match moments.recv_timeout(LOOK) {
            Ok(_) | Err(RecvTimeoutError::Timeout) if stop::is_asked() => return Ok(Ending::Quit),
            Ok(moment) => moment,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return Ok(Ending::Cut),
        };
        let text = said(&moment, history, colour);
        history.take(moment);
        to.write_all(text.as_bytes())?;
        to.flush()?;
        if history.is_over() {
            return Ok(Ending::Ended);
        }
    }
}

/// What is written of a moment that comes after those in `history`; nothing for most figures of load.
fn said(moment: &Moment, history: &History, colour: Colour) -> String {
    let place = |row: usize| format!("{}/{}", row + 1, history.tracks().len());
    let name = |row: usize| {
        let track = history.tracks().get(row);
        track.map_or_else(|| UNKNOWN.to_owned(), |track| words::planned(&track.planned))
    };
    // How the server does that the row is about, if there is one.
    let load = |row: usize| {
        let served = history.tracks().get(row).and_then(|track| history.served(track.planned.event_loop));
        served.map_or_else(String::new, |served| format!("; {}", words::load(served)))
    };
    match moment {
        Moment::Began(plan) => began(plan),
        Moment::Provoking { row, at } => {
            let expected = history.tracks().get(*row).map_or(UNKNOWN, |track| track.planned.expected);
            line(*at, &format!("{} {}: expects {expected}{}", place(*row), name(*row), load(*row)))
        }
        Moment::Provoked { row, at, lasted } => {
            line(*at, &format!("{} lasted {}{}", place(*row), words::length(*lasted), load(*row)))
        }
        Moment::NotProvoked { row, at, lasted, why } => {
            let lasted = words::length(*lasted);
            line(*at, &format!("{} did not come about ({lasted}): {}", place(*row), plain(why)))
        }
        Moment::Event { at, is_false, title, lines, .. } => {
            let mark = if *is_false { colour.paint(Tone::Bad, "false report: ") } else { String::new() };
            let mut text = line(*at, &format!("{mark}{}", colour.paint(Tone::Good, &plain(title))));
            for said in lines {
                text += &format!("             {}\n", colour.paint(Tone::Quiet, &plain(said)));
            }
            text
        }
        Moment::Finished { row, at, result } => {
            let outcome = colour.paint(tone(result.outcome), result.outcome.as_str());
            line(*at, &format!("{} {outcome}: {}{}", place(*row), words::seen(result), note(result)))
        }
        Moment::Load { .. } | Moment::Ended(_) => String::new(),
    }
}

fn began(plan: &Plan) -> String {
    let rows = counted(plan.rows.len(), "row");
    let longest = words::length(plan.max_blocking_time);
    let sentence = format!("watching; {rows} to come; a turn longer than T = {longest} is to be reported");
    format!("{}{}", plan.machine.heading(), line(Duration::ZERO, &sentence))
}

fn line(at: Duration, text: &str) -> String {
    format!("{:>11}  {text}\n", words::clock(at))
}

fn note(row: &Row) -> String {
    if row.note.is_empty() { String::new() } else { format!(": {}", plain(&row.note)) }
}

/// A table for each loop: fault, whether it was seen, after how long, verdict, task, top of the stack; below it what is
/// not right, and at the end how many rows came out how.
pub fn table(report: &Report, colour: Colour) -> String {
    let mut text = String::new();
    for event_loop in LoopName::ALL.into_iter().chain([LoopName::Process]) {
        let rows = || report.faults.iter().filter(|row| row.event_loop == event_loop);
        if rows().next().is_none() {
            continue;
        }
        let mut table =
            Table::headed(["fault", "", "seen", "after", "verdict", "task", "top of stack"]).flush_left();
        rows().for_each(|row| table.row(cells(row)));
        text += &format!("\n{}\n{}", colour.paint(Tone::Good, event_loop.as_str()), table.render(colour));
        for row in rows().filter(|row| !row.note.is_empty()) {
            text += &format!("  {}{}\n", row.fault, note(row));
        }
    }
    let tone = if report.is_right() { Tone::Good } else { Tone::Bad };
    text + &format!("\n{}\n", colour.paint(tone, &summary(report)))
}

/// How many rows came out how, in a sentence.
pub fn summary(report: &Report) -> String {
    let outcomes =
        [Outcome::Right, Outcome::Wrong, Outcome::Missed, Outcome::FalseReport, Outcome::NotProvoked];
    let counts = outcomes.map(|outcome| (report.count(outcome), outcome.as_str()));
    let counts: Vec<_> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let rows = counted(report.faults.len(), "row");
    let counts = if counts.is_empty() { String::new() } else { format!(": {}", counts.join(", ")) };
    format!("{rows}{counts}; {} while nothing was wrong", counted(report.false_reports, "report"))
}

fn cells(row: &Row) -> [Cell; 7] {
    let known = |text: &Option<String>| plain(text.as_deref().unwrap_or(UNKNOWN)).into_owned();
    let task_tone = if row.task_right == Some(false) { Tone::Bad } else { Tone::Plain };
    [
        row.fault.as_str().into(),
        Cell::toned(tone(row.outcome), row.outcome.as_str()),
        if row.seen { "yes" } else { "no" }.into(),
        row.after_ms.map_or_else(|| UNKNOWN.to_owned(), words::milliseconds).into(),
        // That it was not provoked is said once.
        if row.outcome == Outcome::NotProvoked { UNKNOWN.into() } else { known(&row.verdict).into() },
        Cell::toned(task_tone, words::task(row)),
        known(&row.top_frame).into(),
    ]
}

/// How an outcome stands out.
pub fn tone(outcome: Outcome) -> Tone {
    match outcome {
        Outcome::Right => Tone::Good,
        Outcome::Wrong | Outcome::Missed | Outcome::FalseReport => Tone::Bad,
        Outcome::NotProvoked => Tone::Quiet,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::{
        history::sample::{event, history, machine, moments, ms, row},
        name::FaultName,
    };
    use std::sync::mpsc;

    fn told(moments: impl IntoIterator<Item = Moment>) -> (Ending, String) {
        let (sender, receiver) = mpsc::channel();
        moments.into_iter().for_each(|moment| sender.send(moment).unwrap());
        drop(sender);
        let (mut history, mut text) = (History::new(), Vec::new());
        let ending = follow(receiver, &mut history, &mut text, Colour(false)).unwrap();
        (ending, String::from_utf8(text).unwrap())
    }

    #[test]
    fn each_moment_has_its_line_with_time_and_place() {
        let (ending, text) = told(moments());
        assert_eq!(ending, Ending::Ended);
        let expected = "    0.000 s  watching; 4 rows to come; a turn longer than T = 100 ms is to be reported
    1.000 s  1/4 tokio-current-thread, sleep: expects InSyscall; 2,100 requests/s, p99 1.25 ms
    1.104 s  EventLoopBlocked: InSyscall, task upload
             EventLoopBlocked: InSyscall, task upload
               0: lab::fault::sleep
               1: main
    1.135 s  1/4 lasted 135 ms; 0 requests/s, the oldest waits for 50 ms
    1.300 s  1/4 right: seen after 104 ms, InSyscall(clock_nanosleep), task upload, in lab::fault::sleep
    2.000 s  2/4 mio, spin: expects OnCpu; 900 requests/s, p99 1.25 ms
    2.104 s  EventLoopBlocked: InSyscall, task upload
             EventLoopBlocked: InSyscall, task upload
               0: lab::fault::sleep
               1: main
    2.135 s  2/4 lasted 135 ms; 900 requests/s, p99 1.25 ms
    2.300 s  2/4 wrong: seen after 104 ms, InSyscall(clock_nanosleep), task upload (wrong), in lab::fault::sleep: \
                        another task was named
    3.000 s  3/4 mio, idle: expects nothing; 900 requests/s, p99 1.25 ms
    3.135 s  3/4 lasted 135 ms; 900 requests/s, p99 1.25 ms
    3.300 s  3/4 right: nothing seen
    4.000 s  4/4 memory: expects threshold exceeded
    4.001 s  4/4 did not come about (0 µs): memory cannot be measured here
    4.300 s  4/4 not_provoked: nothing seen: memory cannot be measured here
";
        assert_eq!(text, machine().heading() + expected);
    }

    #[test]
    fn the_table_has_a_part_for_each_loop_and_says_what_is_not_right() {
        let report = history(usize::MAX).report().unwrap();
        let expected = "
tokio-current-thread
  fault         seen  after   verdict                     task    top of stack
  sleep  right  yes   104 ms  InSyscall(clock_nanosleep)  upload  lab::fault::sleep

mio
  fault         seen  after   verdict                     task            top of stack
  spin   wrong  yes   104 ms  InSyscall(clock_nanosleep)  upload (wrong)  lab::fault::sleep
  idle   right  no    -       -                           -               -
  spin: another task was named

process
  fault                 seen  after  verdict  task  top of stack
  memory  not_provoked  no    -      -        -     -
  memory: memory cannot be measured here

4 rows: 2 right, 1 wrong, 1 not_provoked; 0 reports while nothing was wrong
";
        assert_eq!(table(&report, Colour(false)), expected);
        let coloured = table(&report, Colour(true));
        assert!(coloured.contains("\x1b[1;31mupload (wrong)\x1b[0m"), "{coloured}");
    }

    #[test]
    fn names_from_outside_are_made_harmless_in_lines_and_in_the_table() {
        let evil = "\x1b]0;owned\x07\r\n\u{202e}";
        let mut hostile = row(0, Outcome::Right);
        for text in [&mut hostile.task, &mut hostile.verdict, &mut hostile.top_frame] {
            *text = Some(evil.to_owned());
        }
        (hostile.note, hostile.expected) = (evil.to_owned(), evil.to_owned());
        let mut report = history(usize::MAX).report().unwrap();
        let all = moments().into_iter().take(1).chain([
            event(5, 0, evil),
            Moment::NotProvoked { row: 0, at: ms(6), lasted: ms(0), why: evil.to_owned() },
            Moment::Finished { row: 0, at: ms(7), result: hostile.clone() },
        ]);
        let (ending, lines) = told(all);
        assert_eq!(ending, Ending::Cut);
        report.faults = vec![hostile];
        for text in [lines, table(&report, Colour(false))] {
            assert!(text.contains("owned"), "{text}");
            assert!(!text.contains(['\x1b', '\x07', '\r', '\u{202e}']), "{text:?}");
            assert!(!text.lines().any(|line| line.starts_with("owned")), "{text:?}");
        }
    }

    #[test]
    fn whoever_cannot_be_written_to_is_told_no_more_and_the_run_hears_of_it() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (sender, receiver) = mpsc::channel();
        moments().into_iter().for_each(|moment| sender.send(moment).unwrap());
        let error = follow(receiver, &mut History::new(), &mut Closed, Colour(false)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert!(sender.send(event(1, 0, "more")).is_err(), "nobody listens");
    }

    #[test]
    fn a_report_without_rows_is_a_table_without_rows() {
        let mut report = history(1).report().unwrap();
        assert_eq!(table(&report, Colour(false)), "\n0 rows; 0 reports while nothing was wrong\n");
        report.faults = vec![row(3, Outcome::Missed)];
        assert!(table(&report, Colour(false)).contains(FaultName::Memory.as_str()));
        assert!(table(&report, Colour(false)).contains("1 row: 1 missed;"));
    }
}
