//! The same survey in several processes, one after another, their rounds put together.
//!
//! Owns the start of those processes and what they say. Where the system happens to lay code,
//! stacks and heap decides what the processor's predictors confuse and learn: in some processes a
//! path takes up to half a nanosecond more for every call, in most rounds (seen for the raw loop,
//! arc-swap-cache and signalpost). One process cannot tell that from the path; the middle of
//! several can. Rounds are compared within one process all the same.

use crate::{
    progress::{Progress, ROUND},
    stop,
    survey::{Place, Settings, Survey},
};
use std::{
    io::{self, BufRead, BufReader, Write},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

/// The hidden command that such a process is started with.
pub const COMMAND: &str = "take";

/// What comes before the rounds of a count of subscribers, on a line of such a process.
const ROUNDS: &str = "rounds ";

/// How often to look whether somebody wants it to end, while a process measures.
const LOOK: Duration = Duration::from_millis(100);

/// Measures in this process, and writes the rounds for the one that started it: of each count of subscribers, when it is complete.
///
/// # Errors
/// When standard output is closed.
pub fn perform(settings: &Settings) -> io::Result<()> {
    settings.run_telling(&Progress::told(), |part| {
        let rounds: Vec<(Place, Vec<f64>)> = part.into_rounds().collect();
        let rounds = serde_json::to_string(&rounds).expect("rounds are plain data");
        writeln!(io::stdout(), "{ROUNDS}{rounds}")
    })
}

/// Measures in so many processes; with one, in this. When somebody wants it to end, it gives what was complete until then.
///
/// # Errors
/// What went wrong with which process, for people.
pub fn run(settings: &Settings, processes: usize, progress: &Progress) -> Result<Survey, String> {
    progress.start(settings.steps() * processes as u64);
    let measured =
        if processes == 1 { Ok(settings.run(progress)) } else { several(settings, processes, progress) };
    progress.finish();
    measured
}

fn several(settings: &Settings, processes: usize, progress: &Progress) -> Result<Survey, String> {
    let mut all = Survey::default();
    for index in 0..processes {
        let number = index + 1;
        let step = |what: &str| progress.step(&format!("process {number} of {processes}: {what}"));
        let take = Take::start(settings, index as u64).and_then(|take| take.rounds(&mut all, step, progress));
        take.map_err(|error| format!("measuring process {number}: {error}"))?;
        if stop::is_asked() {
            break;
        }
    }
    Ok(all)
}

/// One process; it does not outlive this.
struct Take {
    child: Child,
    /// Counts of subscribers that it measures.
    counts: usize,
}

impl Take {
    fn start(settings: &Settings, index: u64) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(readable)?;
        Self::of(
            Command::new(program).arg(COMMAND).args(arguments(settings, index)),
            settings.subscribers.len(),
        )
    }

    fn of(command: &mut Command, counts: usize) -> Result<Self, String> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(readable)?;
        Ok(Self { child, counts })
    }

    /// Adds what it measures to the rest, count by count, until it has ended.
    fn rounds(mut self, all: &mut Survey, step: impl Fn(&str), progress: &Progress) -> Result<(), String> {
        let output = BufReader::new(self.child.stdout.take().expect("it is piped"));
        // Read on a thread of its own, so that a wish to end is seen while there is nothing to read.
        let (to_here, lines) = mpsc::channel();
        let reader =
            thread::spawn(move || output.lines().try_for_each(|line| to_here.send(line).map_err(drop)));
        let mut complete = 0;
        while !stop::is_asked() {
            let line = match lines.recv_timeout(LOOK) {
                Ok(line) => line.map_err(readable)?,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            match line.strip_prefix(ROUNDS) {
                Some(text) => {
                    let rounds: Vec<(Place, Vec<f64>)> =
                        serde_json::from_str(text).map_err(|error| error.to_string())?;
                    all.extend(Survey::of(rounds));
                    complete += 1;
                }
                None if line == ROUND => progress.advance(),
                None => step(&line),
            }
        }
        let status = self.end()?;
        let _ = reader.join(); // it ends with the process
        if complete == self.counts && status.success() || asked_soon() {
            return Ok(());
        }
        Err(format!("it ended without its rounds ({status})"))
    }

    /// Waits for its end; makes it end if that is wished.
    fn end(&mut self) -> Result<ExitStatus, String> {
        if stop::is_asked() {
            let _ = self.child.kill(); // it may have ended
        }
        self.child.wait().map_err(readable)
    }
}

impl Drop for Take {
    fn drop(&mut self) {
        // Both fail when it was waited for; otherwise something went wrong, which has been said.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether somebody wants it to end. Ctrl-C reaches all processes of a terminal, and the other may have ended of it before this
/// one has heard.
fn asked_soon() -> bool {
    let begin = Instant::now();
    while !stop::is_asked() && begin.elapsed() < 3 * LOOK {
        thread::sleep(LOOK / 10);
    }
    stop::is_asked()
}

fn readable(error: io::Error) -> String {
    error.to_string()
}

/// The settings as a command line; each process shuffles in another order.
fn arguments(settings: &Settings, index: u64) -> Vec<String> {
    let listed = |counts: &[usize]| counts.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    let paths: Vec<_> = settings.paths.iter().map(|path| path.as_str()).collect();
    let plan = &settings.plan;
    [
        ("--paths", paths.join(",")),
        ("--subscribers", listed(&settings.subscribers)),
        ("--publishers", listed(&settings.publishers)),
        ("--rounds", plan.rounds.to_string()),
        ("--batch", plan.batch.as_micros().to_string()),
        ("--seed", plan.seed.wrapping_add(index).to_string()),
    ]
    .into_iter()
    .flat_map(|(name, value)| [name.to_owned(), value])
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::{Cli, Command as Asked},
        path::PathName,
        rounds::Plan,
    };
    use clap::Parser;
    use std::time::Duration;

    #[test]
    fn a_measuring_process_is_given_the_same_settings_and_another_order() {
        let settings = Settings {
            paths: vec![PathName::Signalpost, PathName::StdMutex],
            subscribers: vec![0, 16],
            publishers: vec![2],
            plan: Plan { rounds: 3, batch: Duration::from_micros(70), seed: u64::MAX },
        };
        let line = [vec!["lab".to_owned(), COMMAND.to_owned()], arguments(&settings, 1)].concat();
        let Some(Asked::Take(args)) = Cli::parse_from(line).command else { panic!("not a take") };
        let given = args.settings().unwrap();
        assert_eq!(given.paths, settings.paths);
        assert_eq!(given.subscribers, settings.subscribers);
        assert_eq!(given.publishers, settings.publishers);
        assert_eq!((given.plan.rounds, given.plan.batch), (3, Duration::from_micros(70)));
        assert_eq!(given.plan.seed, 0);
    }

    #[test]
    #[cfg(unix)]
    fn a_process_that_ends_without_its_rounds_is_an_error_and_what_it_had_complete_is_kept() {
        let place = Place { path: PathName::RawLoop, subscribers: 1, publishers: 1 };
        let line = format!("{ROUNDS}{}", serde_json::to_string(&[(place, [2.0])]).unwrap());
        let run = |script: &str, counts| {
            let mut all = Survey::default();
            let take = Take::of(Command::new("sh").args(["-c", script, "sh", &line]), counts).unwrap();
            let ended = take.rounds(&mut all, |_| {}, &Progress::silent());
            (ended, all.rounds(PathName::RawLoop, 1, 1).map(<[f64]>::to_vec))
        };
        assert_eq!(run("echo 1 subscriber; echo round; echo \"$1\"", 1), (Ok(()), Some(vec![2.0])));
        let (ended, kept) = run("echo \"$1\"; kill -9 $$", 2);
        assert!(ended.unwrap_err().contains("it ended without its rounds (signal: 9"));
        assert_eq!(kept, Some(vec![2.0]));
        assert!(run("echo \"$1\"; exit 3", 1).0.unwrap_err().contains("exit status: 3"));
        assert!(run("exit 0", 1).0.unwrap_err().contains("exit status: 0"));
    }
}
