//! The same survey in several processes, one after another, their rounds put together.
//!
//! Owns the start of those processes and what they say. Where the system happens to lay code,
//! stacks and heap decides what the processor's predictors confuse and learn: in some processes a
//! path takes up to half a nanosecond more for every call, in most rounds (seen for the raw loop,
//! arc-swap-cache and signalpost). One process cannot tell that from the path; the middle of
//! several can. Rounds are compared within one process all the same.

use crate::{
    progress::{Progress, ROUND},
    survey::{Place, Settings, Survey},
};
use std::{
    io::{self, BufRead, BufReader, Write},
    process::{Command, Stdio},
};

/// The hidden command that such a process is started with.
pub const COMMAND: &str = "take";

/// What comes before the rounds on the last line of such a process.
const ROUNDS: &str = "rounds ";

/// Measures in this process, and writes the rounds for the one that started it.
///
/// # Errors
/// When standard output is closed.
pub fn perform(settings: &Settings) -> io::Result<()> {
    let rounds: Vec<(Place, Vec<f64>)> = settings.run(&Progress::told()).into_rounds().collect();
    let rounds = serde_json::to_string(&rounds).expect("rounds are plain data");
    writeln!(io::stdout(), "{ROUNDS}{rounds}")
}

/// Measures in so many processes; with one, in this.
///
/// # Errors
/// What went wrong with which process, for people.
pub fn run(settings: &Settings, processes: usize, progress: &Progress) -> Result<Survey, String> {
    progress.start(settings.steps() * processes as u64);
    let measured = if processes == 1 {
        Ok(settings.run(progress))
    } else {
        (0..processes).try_fold(Survey::default(), |mut all, index| {
            let number = index + 1;
            let take = start(
                settings,
                index as u64,
                |what| {
                    progress.step(&format!("process {number} of {processes}: {what}"));
                },
                progress,
            );
            all.extend(take.map_err(|error| format!("measuring process {number}: {error}"))?);
            Ok(all)
        })
    };
    progress.finish();
    measured
}

/// One process from start to end.
fn start(
    settings: &Settings,
    index: u64,
    step: impl Fn(&str),
    progress: &Progress,
) -> Result<Survey, String> {
    let readable = |error: io::Error| error.to_string();
    let program = std::env::current_exe().map_err(readable)?;
    let mut child = Command::new(program)
        .arg(COMMAND)
        .args(arguments(settings, index))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(readable)?;
    let mut rounds = None;
    for line in BufReader::new(child.stdout.take().expect("it is piped")).lines() {
        let line = line.map_err(readable)?;
        match line.strip_prefix(ROUNDS) {
            Some(text) => rounds = Some(text.to_owned()),
            None if line == ROUND => progress.advance(),
            None => step(&line),
        }
    }
    let status = child.wait().map_err(readable)?;
    match rounds {
        Some(text) if status.success() => {
            let rounds: Vec<(Place, Vec<f64>)> =
                serde_json::from_str(&text).map_err(|error| error.to_string())?;
            Ok(Survey::of(rounds))
        }
        _ => Err(format!("it ended without its rounds ({status})")),
    }
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
}
