//! Reads logs of any size, publishes every line, and says what is in them.
//!
//! `cargo run --release --example logwatch -- --match timeout /var/log/syslog`
//!
//! What to see here:
//! - events are borrowed: a line is a `&str` into one reused buffer, so no line is ever allocated (`input.rs`);
//! - subscribers borrow too: a scope lets them count into locals of [`watch`];
//! - order is priority: `--ignore` runs before the rest, and its `Err` keeps a line from them;
//! - publishes nest: whoever classifies a line publishes the bad ones to a second dispatcher, which raises alerts.

mod input;
mod options;
mod report;

use input::{Input, Place, read};
use options::{HELP, Options};
use report::grouped;
use signalpost::{Dispatcher, Scope, SubscribeOptions};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

/// Alerts that are printed; those after them are only counted.
const SHOWN_ALERTS: u64 = 50;

/// Levels, worst first, and the words that say so. A line has the worst level that one of its words names.
/// The first two are problems.
const LEVELS: [(&str, &[&str]); 5] = [
    ("fatal", &["fatal", "critical", "crit", "emerg", "panic"]),
    ("error", &["error", "err"]),
    ("warn", &["warn", "warning"]),
    ("info", &["info", "notice"]),
    ("debug", &["debug", "trace"]),
];
const PROBLEMS: usize = 2;

fn main() -> ExitCode {
    let result = match Options::parse(std::env::args_os().skip(1)) {
        Ok(Some(options)) => watch(&options),
        Ok(None) => writeln!(io::stdout(), "{HELP}").map_err(Failure::Output),
        Err(wrong) => Err(Failure::Input(format!("{wrong}; `logwatch --help` shows how"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough, `head` say.
        Err(Failure::Output(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "logwatch: {failure}");
            ExitCode::from(2)
        }
    }
}

/// Why the program ends early.
enum Failure {
    Input(String),
    Output(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(what) => f.write_str(what),
            Self::Output(error) => write!(f, "cannot write to standard output: {error}"),
        }
    }
}

/// Why a line did not reach every subscriber: the `X` of our dispatchers.
enum Halt {
    /// An `--ignore` consumed it. Nothing is wrong.
    Ignored,
    /// An alert could not be printed.
    Output(io::Error),
}

/// Lines, and those among them that are errors or worse. `str` is unsized, and borrowed from the reader's buffer.
type Lines = Dispatcher<str, Halt>;

/// Opens the inputs, registers the subscribers, publishes every line, prints what they found.
fn watch(options: &Options) -> Result<(), Failure> {
    let inputs: Vec<Input> = options.files.iter().map(Input::open).collect::<Result<_, _>>()?;
    let place = Place::new(&inputs);
    let found = Found::new(options);
    let (lines, problems) = (Lines::named("lines"), Lines::named("problems"));

    let begun = Instant::now();
    let read = lines.scope(|scope| {
        problems.scope(|problem_scope| {
            found.subscribe(scope, &problems, &place);
            alert_on_bursts(problem_scope, options.burst, &found.alerts, &place);
            if io::stderr().is_terminal() {
                show_progress(scope, &place);
            }
            inputs.iter().enumerate().try_for_each(|(index, input)| {
                place.begin(index);
                read(input, &place, |line| match lines.publish(line) {
                    Ok(()) => Ok(()),
                    Err(stopped) => match stopped.error {
                        Halt::Ignored => {
                            found.spared.fetch_add(stopped.not_run as u64, Relaxed);
                            Ok(())
                        }
                        Halt::Output(error) => Err(Failure::Output(error)),
                    },
                })
            })
        })
    }); // both scopes have waited for their subscribers: `found` is ours alone again
    clear_progress();
    let read = read.and_then(|read| read).expect("entered outside of any publish");
    if let Err(Failure::Output(_)) = read {
        return read;
    }
    found.report(&mut io::stdout().lock(), &place, begun.elapsed()).map_err(Failure::Output)?;
    read // an input that broke off is reported after what it held until then
}

/// What the subscribers count. They run through `&`, on any thread that publishes, so the counts are atomic.
struct Found {
    levels: [AtomicU64; LEVELS.len()],
    no_level: AtomicU64,
    matches: Vec<Tally>,
    ignores: Vec<Tally>,
    spared: AtomicU64,
    alerts: AtomicU64,
}

/// A text, how many lines contain it, and where the first one is.
struct Tally {
    text: String,
    count: AtomicU64,
    first: OnceLock<String>,
}

impl Tally {
    fn new(text: &str) -> Self {
        Self { text: text.to_owned(), count: AtomicU64::new(0), first: OnceLock::new() }
    }

    fn sees(&self, line: &str, place: &Place<'_>) -> bool {
        let hit = line.contains(&self.text);
        if hit && self.count.fetch_add(1, Relaxed) == 0 {
            let _ = self.first.set(place.to_string());
        }
        hit
    }
}

impl Found {
    fn new(options: &Options) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            levels: std::array::from_fn(|_| zero()),
            no_level: zero(),
            matches: options.matches.iter().map(|text| Tally::new(text)).collect(),
            ignores: options.ignores.iter().map(|text| Tally::new(text)).collect(),
            spared: zero(),
            alerts: zero(),
        }
    }

    /// One subscriber for each thing that is looked for. Their handles may go: the scope ends them.
    fn subscribe<'s, 'env>(
        &'env self,
        scope: &'s Scope<'s, 'env, str, Halt>,
        problems: &'env Lines,
        place: &'env Place<'_>,
    ) {
        for tally in &self.matches {
            scope.subscribe_with(SubscribeOptions::new().named("match"), move |line: &str| {
                tally.sees(line, place);
            });
        }
        scope.subscribe_with(SubscribeOptions::new().named("level"), move |line: &str| {
            match level_of(line) {
                Some(level) => {
                    self.levels[level].fetch_add(1, Relaxed);
                    // A nested publish. What stops it stops this one too.
                    if level < PROBLEMS {
                        problems.publish(line).map_err(|stopped| stopped.error)
                    } else {
                        Ok(())
                    }
                }
                None => {
                    self.no_level.fetch_add(1, Relaxed);
                    Ok(())
                }
            }
        });
        // Registered last but run first: priority goes before the order of registration.
        const FIRST: SubscribeOptions = SubscribeOptions::new().priority(10).named("ignore");
        for tally in &self.ignores {
            scope.subscribe_with(FIRST, |line: &str| {
                let consumed = tally.sees(line, place);
                if consumed { Err(Halt::Ignored) } else { Ok(()) }
            });
        }
    }
}

/// The worst level that one of the line's words names.
fn level_of(line: &str) -> Option<usize> {
    line.as_bytes()
        .split(|byte| !byte.is_ascii_alphabetic())
        .filter(|word| (3..=8).contains(&word.len()))
        .filter_map(|word| {
            let is = |name: &&str| word.eq_ignore_ascii_case(name.as_bytes());
            LEVELS.iter().position(|(_, names)| names.iter().any(is))
        })
        .min()
}

/// Prints an alert when `errors` problems come within `span` lines; then again only after it has calmed down.
fn alert_on_bursts<'s, 'env>(
    scope: &'s Scope<'s, 'env, str, Halt>,
    (errors, span): (usize, u64),
    alerts: &'env AtomicU64,
    place: &'env Place<'_>,
) {
    let recent = Mutex::new((VecDeque::with_capacity(errors + 1), false));
    scope.subscribe_with(SubscribeOptions::new().named("burst"), move |line: &str| {
        let (recent, burst) = &mut *recent.lock().expect("nothing panics while it is locked");
        let here = place.lines.load(Relaxed);
        recent.push_back(here);
        if recent.len() > errors {
            recent.pop_front();
        }
        let now = recent.len() == errors && here - recent[0] < span;
        if std::mem::replace(burst, now) || !now {
            return Ok(());
        }
        let before = alerts.fetch_add(1, Relaxed);
        if before >= SHOWN_ALERTS {
            return Ok(());
        }
        clear_progress();
        let line: String = line.chars().take(120).collect();
        writeln!(io::stdout(), "ALERT    {place}: {errors} errors within {span} lines; now: {line}")
            .and_then(|()| match before + 1 {
                SHOWN_ALERTS => writeln!(io::stdout(), "ALERT    further alerts are only counted"),
                _ => Ok(()),
            })
            .map_err(Halt::Output)
    });
}

/// How far we are, to standard error, five times a second. A subscriber like any other: without a terminal it is not there.
fn show_progress<'s, 'env>(scope: &'s Scope<'s, 'env, str, Halt>, place: &'env Place<'_>) {
    let begun = Instant::now();
    let (looked, shown) = (AtomicU64::new(0), AtomicU64::new(0));
    scope.subscribe_with(SubscribeOptions::new().priority(20).named("progress"), move |line: &str| {
        if looked.fetch_add(1, Relaxed).is_multiple_of(1024) || line.len() > 4096 {
            let tick = begun.elapsed().as_millis() as u64 / 200;
            if shown.swap(tick, Relaxed) != tick {
                let (lines, bytes) = (place.lines.load(Relaxed), place.bytes.load(Relaxed));
                let speed = bytes as f64 / begun.elapsed().as_secs_f64() / 1e6;
                let _ = write!(io::stderr(), "\r\x1b[K{place}: {} lines, {speed:.0} MB/s", grouped(lines));
            }
        }
    });
}

fn clear_progress() {
    if io::stderr().is_terminal() {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
}
