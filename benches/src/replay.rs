//! `lab replay FILE`: events at the times of a real log.
//!
//! Owns the order of things: look at the log, replay it on each path, report.
//!
//! | file | owns |
//! |---|---|
//! | `input` | the bytes of a log: plain or packed, a file or standard input |
//! | `detect` | what a log is, from its first lines |
//! | `format`, `json` | where in a line the time stands |
//! | `time` | what the text of a time means |
//! | `schedule` | when each event is to start |
//! | `reader` | the thread that reads ahead, and the queue |
//! | `play` | the publisher that waits until each event is due |
//! | `outcome` | what came out |

mod args;
pub mod detect;
pub mod format;
pub mod input;
mod json;
pub mod outcome;
pub mod play;
pub mod reader;
pub mod schedule;
pub mod time;

use crate::{
    exit::Performed,
    path::PathName,
    run::record::{self, Recorder, Summary},
    session::Session,
    stop,
    table::counted,
};
pub use args::Args;
use detect::Known;
use input::Input;
pub use outcome::Outcome;
use outcome::{Log, Row};
use play::{Behind, Played, Settings};
use schedule::{Rules, Spread};
use std::path::Path;

/// Runs it.
///
/// # Errors
/// In words, when it cannot be done.
pub fn perform(args: &Args) -> Performed {
    let said = args.said();
    let paths = each_once(&args.paths);
    let replays = paths.len() * args.repeats as usize;
    if args.file == Path::new("-") && replays > 1 {
        return Err(format!(
            "standard input can be read once, and {} were asked for\n\n\
             expected one path and --repeats 1, or a file.",
            counted(replays, "replay")
        ));
    }
    let input = Input::open(&args.file)?;
    let known = detect::look(&input, &said)?;
    let settings = settings(args, &known)?;
    let mut session = Session::open(&args.common)?;
    let mut log = log(&input, &known, args.spread);
    let can_look = !log.packed && log.bytes.is_some();
    let tail = can_look.then(|| input::tail(&args.file)).flatten();
    let ends = tail.and_then(|tail| known.last_time(&tail));
    let lasts = ends.filter(|end| *end > known.first).map(|end| (end.abs_diff(known.first), args.speed));
    session.print(&log.heading(lasts));
    let mut document = session.document();

    let mut takes: Vec<Take> = paths.iter().map(|path| Take::of(*path, &settings)).collect();
    let (mut first, mut broken) = (Some(input), None);
    session.progress.start(100 * replays as u64);
    'replays: for repeat in 0..args.repeats {
        for take in &mut takes {
            let input = match first.take() {
                Some(input) => input,
                None => Input::open(&args.file)?,
            };
            session.progress.step(&format!("{}, replay {} of {}", take.path, repeat + 1, args.repeats));
            let (size, mut shown) = (input.size, 0);
            let mut up_to = |percent: u64| {
                (shown..percent).for_each(|_| session.progress.advance());
                shown = shown.max(percent);
            };
            let mut tick = |bytes: u64| up_to(size.map_or(0, |size| (100 * bytes / size.max(1)).min(100)));
            let played = play::play(take.path, &settings, input, (&known, &said), &mut tick);
            up_to(100);
            log.found(&played, args.speed);
            take.add(&played);
            if played.early {
                broken = played.broken;
                break 'replays;
            }
        }
    }
    session.progress.finish();
    document.partial = broken.is_some() || stop::is_asked();
    if let Some(broken) = &broken
        && log.events == 0
    {
        return Err(broken.clone());
    }
    if log.events == 0 && !document.partial {
        return Err(nothing(&log, args));
    }

    let case = |path: PathName| {
        let file = args.file.file_name().map_or_else(|| "-".into(), |name| name.to_string_lossy());
        let subscribers = counted(settings.subscribers, "subscriber");
        format!("{path}, {subscribers}, 1 publisher, replay of {file} at speed {}", args.speed)
    };
    let recorded = takes.iter().filter(|take| take.recorder.events() > 0);
    let rows: Vec<_> = recorded
        .map(|take| {
            let case = case(take.path);
            document.measures.extend(record::measures(&case, &take.repeats));
            document.curves.extend(take.recorder.curves(&case));
            take.row(case)
        })
        .collect();
    let outcome = Outcome {
        log,
        speed: args.speed,
        subscribers: settings.subscribers,
        missed_after_ns: settings.missed_after.as_nanos() as u64,
        rows,
        peak_memory_bytes: outcome::peak_memory(),
    };
    session.print(&outcome.report(session.colour));
    document.warnings = outcome.warnings();
    if takes.iter().any(|take| !take.apart) {
        document.warnings.push("reading and publishing could not be given a core each".to_owned());
    }
    if broken.is_some() {
        document.warnings.push("the log could not be read to its end, which ended the replay".to_owned());
    }
    for warning in &document.warnings {
        session.print(&format!("  warning  {warning}\n"));
    }
    document.replay = Some(outcome);
    session.close_after(&document, broken.into_iter().collect())
}

/// What was recorded of one path.
struct Take {
    path: PathName,
    recorder: Recorder,
    repeats: Vec<Summary>,
    behind: Behind,
    apart: bool,
}

impl Take {
    fn of(path: PathName, settings: &Settings) -> Self {
        let recorder = Recorder::paced(settings.missed_after.as_nanos() as u64);
        Self { path, recorder, repeats: Vec::new(), behind: Behind::default(), apart: true }
    }

    fn add(&mut self, played: &Played) {
        if played.recorder.events() == 0 {
            return;
        }
        self.recorder.add_after(&played.recorder);
        self.repeats.push(played.recorder.summary());
        self.behind.add(played.behind);
        self.apart &= played.apart;
    }

    fn row(&self, case: String) -> Row {
        Row {
            path: self.path,
            case,
            repeats: self.repeats.len(),
            summary: self.recorder.summary(),
            reader_behind: self.behind,
        }
    }
}

fn settings(args: &Args, known: &Known) -> Result<Settings, String> {
    let moment = |option: &str, text: &Option<String>| {
        let read = |text: &String| {
            known.times.clone().read(text.as_bytes()).map_err(|error| {
                let style = (error != time::NotATime::Unreadable).then_some(known.style);
                format!("{option} '{text}'\n\nexpected {}.", error.expected(style))
            })
        };
        text.as_ref().map(read).transpose().map(|moment| moment.map(|moment| moment.ns))
    };
    let (from, until) = (moment("--from", &args.from)?, moment("--until", &args.until)?);
    if let (Some(from), Some(until)) = (from, until)
        && from >= until
    {
        return Err("--until is not after --from: there is no event between them".to_owned());
    }
    let last_start = args.duration().map_or(u64::MAX, |duration| duration.as_nanos() as u64);
    Ok(Settings {
        subscribers: args.subscribers as usize,
        missed_after: args.missed_after,
        rules: Rules {
            speed: args.speed,
            spread: known.whole_seconds && args.spread == Spread::Even,
            from,
            until,
            limit: args.limit.unwrap_or(u64::MAX),
            last_start,
            unordered: args.unordered,
        },
    })
}

fn log(input: &Input, known: &Known, spread: Spread) -> Log {
    Log {
        file: input.name.clone(),
        packed: input.packed,
        bytes: input.size,
        format: known.format.to_string(),
        times: known.style.to_string(),
        whole_seconds: known.whole_seconds,
        spread: known.whole_seconds.then_some(spread),
        ..Log::default()
    }
}

fn nothing(log: &Log, args: &Args) -> String {
    let asked = if args.from.is_some() || args.until.is_some() { " between --from and --until" } else { "" };
    format!(
        "'{}' has no events{asked}: {} were read\n\nexpected at least one.",
        log.file,
        counted(log.lines as usize, "time")
    )
}

fn each_once(paths: &[PathName]) -> Vec<PathName> {
    let mut once = Vec::new();
    for path in paths {
        if !once.contains(path) {
            once.push(*path);
        }
    }
    once
}
