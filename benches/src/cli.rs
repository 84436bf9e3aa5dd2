//! The command line: what can be asked for, and which defaults that has.

mod again;

pub use again::{again, is_measuring};

use crate::{
    churn, compare, count, environment, gate, handoff, manual, page,
    path::PathName,
    registration, replay,
    rounds::Plan,
    run, slots, survey,
    watch::{
        cost,
        name::{FaultName, LoopName},
        plan::{self, Tasks},
    },
};
use clap::{Args, Parser, Subcommand, value_parser};
use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

/// Measures this machine's dispatch paths side by side and says who wins; and lets the monitor watch real servers.
///
/// Without a command it measures the paths: `lab` is `lab paths`. All paths run in one process, in
/// interleaved rounds whose order is shuffled, so that a busy machine disturbs all of them alike;
/// and again in fresh processes, since a process may suit one of them by chance.
#[derive(Debug, Parser)]
#[command(
    name = "lab",
    version,
    args_conflicts_with_subcommands = true,
    after_help = EXAMPLES
)]
pub struct Cli {
    /// What to measure.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The settings of `lab` without a command.
    #[command(flatten)]
    pub paths: PathsArgs,
}

const EXAMPLES: &str = "\
Examples:
  to measure
    lab                                          every path, a minute
    lab --quick                                  the same with fewer rounds, a quarter of one
    lab --paths signalpost,std-mutex --subscribers 0,16 --publishers 1
    lab --json paths.json                        the table, and the numbers in a file
    lab --json - --quiet | jq '.rows[]'          the numbers on standard output, the table on standard error
    lab run --rate 1M/s                          latency at a million events a second, from the intended start
    lab replay access.log.gz --speed 100         latency at the arrival times of a log
    lab registration                             registering and cancelling 100,000 subscribers
    lab churn                                    latency at a fixed rate while another thread registers
    lab slots                                    calls through patch points, patched and not
    lab watch                                    servers under load, faults one by one, and what the monitor says
    lab watch-cost                               what the monitor costs a poll, a turn, and itself
    lab count                                    instructions for a publish: the same on a busy machine
    lab all --check                              all of `lab paths`, registration, churn, slots, watch-cost
  to compare
    lab compare base.json new.json               is anything worse?
    lab compare --ab ./lab-of-main               two builds in turns, where others share the machine
    lab gate perf                                the baselines in a folder, measured again
  to show
    lab report base.json new.json --html r.html  a page; with --md a table for a pull request
    lab env                                      what this machine can and cannot measure
    lab completions bash, lab man                for the shell, and to read

Exit codes: 0 done, 1 a target was missed (with --check) or something is worse, 2 wrong usage or a file that cannot be read or
written, 3 nothing to compare with, 4 what cannot be compared, 130 interrupted: what was measured until then has been written.";

/// What to measure.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Every dispatch path, closed loop: nanoseconds a publish; and hand-off to another thread (the default)
    Paths(PathsArgs),
    /// Registering and cancelling many subscribers: time and memory
    Registration(RegistrationArgs),
    /// Latency at a fixed rate, without and with registrations on another thread
    Churn(ChurnArgs),
    /// Real servers under load, faults injected one by one, and what the monitor says of each
    Watch(WatchArgs),
    /// What the monitor costs those it watches, and what it costs itself
    WatchCost(WatchCostArgs),
    /// Calls through patch points, patched and not; what patching takes; calls while another thread patches
    Slots(SlotsArgs),
    /// Latency and throughput: publishers, subscribers, churn, rate, duration; closed loop or a fixed rate
    Run(run::Args),
    /// Latency at the arrival times of a real log
    Replay(replay::Args),
    /// A page, a table or a plot of what the lab wrote
    Report(page::Args),
    /// Two files, or two builds, and whether the second is worse
    Compare(compare::Args),
    /// What was measured before, measured again: has anything become worse?
    Gate(gate::Args),
    /// What this machine can and cannot measure
    Env(environment::Args),
    /// Instructions for a publish, under callgrind; compared with those of before
    Count(count::Args),
    /// A script for a shell, that completes commands and options
    Completions(manual::CompletionsArgs),
    /// The manual, for `man`
    Man(manual::ManArgs),
    /// Everything that is measured: all but watch, with their own defaults
    All(CommonArgs),
    /// One process of `lab paths`, which starts it
    #[command(hide = true)]
    Take(PathsArgs),
    /// One process of `lab count`, which starts it under callgrind
    #[command(hide = true)]
    CountOne(count::subject::Args),
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
pub struct CommonArgs {
    /// Write the numbers to FILE as JSON; with `-` to standard output, the table then goes to
    /// standard error
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Show no progress
    #[arg(long)]
    pub quiet: bool,
    /// Fewer rounds: a first look in a few seconds
    #[arg(long)]
    pub quick: bool,
    /// Exit with code 1 if a target is missed
    #[arg(long)]
    pub check: bool,
}

/// Settings of `lab paths`.
#[derive(Clone, Debug, Args)]
pub struct PathsArgs {
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Paths to measure; the raw loops they are compared with are added
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PATH,..")]
    pub paths: Vec<PathName>,
    /// Counts of subscribers, 0 to 1000000; above 10000 only raw-loop and signalpost are measured,
    /// by one publisher [default: 0,1,4,16,64,1024,100000]
    #[arg(long, allow_negative_numbers = true, value_delimiter = ',', value_name = "N,..", value_parser = value_parser!(u32).range(..=1_000_000))]
    pub subscribers: Vec<u32>,
    /// Counts of threads that publish at once, 1 to 64 [default: 1,2]
    #[arg(long, allow_negative_numbers = true, value_delimiter = ',', value_name = "N,..", value_parser = value_parser!(u32).range(1..=64))]
    pub publishers: Vec<u32>,
    /// Fresh processes to measure in, one after another, 1 to 1000: where code and stacks happen to
    /// lie decides about half a nanosecond a call, for as long as a process lives [default: 5, with
    /// --quick 3]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=1_000))]
    pub processes: Option<u32>,
    /// Rounds in each process, 1 to 10000; below 7 in all, the spread says little [default: 7, with
    /// --quick 3]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=10_000))]
    pub rounds: Option<u32>,
    /// How long one batch takes, in microseconds, 10 to 1000000
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 3_000, value_parser = value_parser!(u32).range(10..=1_000_000))]
    pub batch: u32,
    /// Decides the order of the paths within the rounds
    #[arg(long, value_name = "N", default_value_t = 7)]
    pub seed: u64,
}

/// Settings of `lab registration`.
#[derive(Clone, Debug, Args)]
pub struct RegistrationArgs {
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Subscribers to register, 1 to 1000000; the targets are in proportion to 100000
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub count: u32,
    /// How often to do it all, 1 to 1000 [default: 5, with --quick 3]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=1_000))]
    pub repeats: Option<u32>,
}

/// Settings of `lab churn`.
#[derive(Clone, Debug, Args)]
pub struct ChurnArgs {
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Registered subscribers that stay, 0 to 100000
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = value_parser!(u32).range(..=100_000))]
    pub subscribers: u32,
    /// Events a second, 1 to 10000000
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = value_parser!(u32).range(1..=10_000_000))]
    pub rate: u32,
    /// Registrations a second, each cancelled at once, 1 to 1000000
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub changes: u32,
    /// Milliseconds without registrations, and with; 1 to 600000 [default: 100]
    #[arg(long, value_name = "MILLISECONDS", value_parser = value_parser!(u32).range(1..=600_000))]
    pub phase: Option<u32>,
    /// How often to do both, 1 to 1000 [default: 50, with --quick 11]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=1_000))]
    pub pairs: Option<u32>,
}

/// The subscribers of a default run.
const SUBSCRIBERS: [u32; 7] = [0, 1, 4, 16, 64, 1024, 100_000];

/// Settings of `lab watch-cost`.
#[derive(Clone, Debug, Args)]
pub struct WatchCostArgs {
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Rounds, 1 to 10000 [default: 21, with --quick 7]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=10_000))]
    pub rounds: Option<u32>,
    /// Polls or turns in one measurement of a bare loop, 1000 to 1000000000
    #[arg(long, value_name = "N", default_value_t = 2_000_000, value_parser = value_parser!(u64).range(1_000..=1_000_000_000))]
    pub steps: u64,
    /// Decides the order within the rounds
    #[arg(long, value_name = "N", default_value_t = 7)]
    pub seed: u64,
}

/// Settings of `lab slots`.
#[derive(Clone, Debug, Args)]
#[command(after_help = SLOTS_EXAMPLES)]
pub struct SlotsArgs {
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Rounds, 1 to 10000 [default: 21, with --quick 7]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=10_000))]
    pub rounds: Option<u32>,
    /// How long one batch takes, in microseconds, 10 to 1000000
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 2_000, value_parser = value_parser!(u32).range(10..=1_000_000))]
    pub batch: u32,
    /// How long to patch and undo while another thread calls, 10ms to 1h [default: 2s, with --quick 500ms]
    #[arg(long, value_name = "TIME", value_parser = storm)]
    pub storm: Option<Duration>,
    /// Decides the order within the rounds
    #[arg(long, value_name = "N", default_value_t = 7)]
    pub seed: u64,
}

const SLOTS_EXAMPLES: &str = "\
Examples:
  lab slots                                    every path, changes, and two seconds of calls during changes
  lab slots --quick                            the same with fewer rounds
  lab slots --json slots.json                  the tables, and the numbers in a file
  lab slots --json - --quiet | jq -r '.rows[] | [.path, .median_ns, .over_direct_ns] | @tsv'
  lab slots --rounds 1 --storm 10min --check   a long storm; exit code 1 if a result was torn or a state leaked

Exit codes: 0 measured, 1 a target was missed (with --check), 2 wrong usage or a file that cannot be written.";

/// Settings of `lab watch`.
#[derive(Clone, Debug, Args)]
#[command(after_help = WATCH_EXAMPLES)]
pub struct WatchArgs {
    /// Loops to watch [default: all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LOOP,..")]
    pub loops: Vec<LoopName>,
    /// What to do to each of them; idle, spawn-blocking and block-in-place are no faults: nothing may be reported [default: all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FAULT,..")]
    pub faults: Vec<FaultName>,
    /// The longest turn that is not to be reported (T), 20ms to 10s
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = max_blocking_time)]
    pub max_blocking_time: Duration,
    /// Which tasks the tokio servers have: as tokio spawns them, wrapped so that they say themselves that they run, or some so
    /// and some so
    #[arg(long, value_enum, value_name = "KIND", default_value_t = Tasks::Both)]
    pub tasks: Tasks,
    /// Each fault once, of 2.5 T, instead of three times, of 1.4 T, 2.5 T and 5 T: with the default T it ends
    /// within a minute
    #[arg(long)]
    pub quick: bool,
    /// Go on with faults at random for about so long, 1s to 1day, then look for threads, descriptors and memory that were left
    /// behind
    #[arg(long, value_name = "TIME", value_parser = soak)]
    pub soak: Option<Duration>,
    /// Decides the order of the soak's faults
    #[arg(long, value_name = "N", default_value_t = 7)]
    pub seed: u64,
    /// Write the rows to FILE as JSON; with `-` to standard output, all else then goes to standard error
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report to FILE as a page for a browser
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Plain lines, also on a terminal
    #[arg(long)]
    pub plain: bool,
    /// Nothing while it runs: the table at the end alone
    #[arg(long)]
    pub quiet: bool,
    /// Exit with code 1 if something that was provoked was not reported rightly, or anything was reported while nothing was wrong
    #[arg(long)]
    pub check: bool,
}

const WATCH_EXAMPLES: &str = "\
Examples:
  lab watch                                    all faults on all loops, two minutes
  lab watch --quick                            each once, within a minute
  lab watch --quick --check --json watch.json  for a script: exit code 1 if anything is not right
  lab watch --html watch.html                  with a page to keep
  lab watch --loops mio --faults sleep,fsync   two faults on one loop
  lab watch --max-blocking-time 20ms           with a stricter limit
  lab watch --quick --soak 10min --check       ten minutes more at random, and no leaks

A fault that did not last for 1.3 T, by a clock that is not the monitor's, is not_provoked: it counts neither way.
A machine that is busy with other things may starve a loop; such a report is right if the system's own figures say so too.

Exit codes: 0 run, 1 not all is right (with --check), 2 wrong usage, or something cannot be started or written.";

fn max_blocking_time(text: &str) -> Result<Duration, String> {
    let range = Duration::from_millis(20)..=Duration::from_secs(10);
    time(text, range, "a time from 20ms to 10s, with its unit: 100ms, 1s")
}

fn soak(text: &str) -> Result<Duration, String> {
    let range = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
    time(text, range, "a time from 1s to 1day, with its unit: 90s, 10min")
}

fn storm(text: &str) -> Result<Duration, String> {
    let range = Duration::from_millis(10)..=Duration::from_secs(3600);
    time(text, range, "a time from 10ms to 1h, with its unit: 2s, 10min")
}

/// Reads a time with its unit; what is not in the range is refused with what is accepted.
pub(crate) fn time(text: &str, range: RangeInclusive<Duration>, accepted: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| format!("{error}; expected {accepted}"))?;
    range.contains(&time).then_some(time).ok_or_else(|| format!("expected {accepted}"))
}

impl WatchCostArgs {
    /// The defaults, for `lab all`.
    pub fn defaults(common: &CommonArgs) -> Self {
        Self { common: common.clone(), rounds: None, steps: 2_000_000, seed: 7 }
    }

    /// What they mean.
    pub fn settings(&self) -> cost::Settings {
        let quick = self.common.quick;
        cost::Settings {
            rounds: self.rounds.unwrap_or(if quick { 7 } else { 21 }) as usize,
            steps: self.steps,
            look: Duration::from_secs(if quick { 1 } else { 5 }),
            seed: self.seed,
        }
    }
}

impl SlotsArgs {
    /// The defaults, for `lab all`.
    pub fn defaults(common: &CommonArgs) -> Self {
        Self { common: common.clone(), rounds: None, batch: 2_000, storm: None, seed: 7 }
    }

    /// What they mean.
    pub fn settings(&self) -> slots::Settings {
        let quick = self.common.quick;
        slots::Settings {
            plan: Plan {
                rounds: self.rounds.unwrap_or(if quick { 7 } else { 21 }) as usize,
                batch: Duration::from_micros(u64::from(self.batch)),
                seed: self.seed,
            },
            storm: self.storm.unwrap_or(Duration::from_millis(if quick { 500 } else { 2_000 })),
        }
    }
}

impl WatchArgs {
    /// What they mean.
    pub fn settings(&self) -> plan::Settings {
        plan::Settings {
            limit: self.max_blocking_time,
            loops: each_once(&self.loops, &LoopName::ALL),
            faults: each_once(&self.faults, &FaultName::ALL),
            lengths: if self.quick { vec![2.5] } else { vec![1.4, 2.5, 5.0] },
            tasks: self.tasks,
            soak: self.soak,
            seed: self.seed,
        }
    }
}

/// Those of all that were asked for; or all.
fn each_once<T: Copy + PartialEq>(asked: &[T], all: &[T]) -> Vec<T> {
    let is_asked = |item: &T| asked.is_empty() || asked.contains(item);
    all.iter().copied().filter(is_asked).collect()
}

impl PathsArgs {
    /// The defaults, for `lab all`.
    pub fn defaults(common: &CommonArgs) -> Self {
        Self {
            common: common.clone(),
            paths: Vec::new(),
            subscribers: Vec::new(),
            publishers: Vec::new(),
            processes: None,
            rounds: None,
            batch: 3_000,
            seed: 7,
        }
    }

    /// In how many processes to measure.
    pub fn processes(&self) -> usize {
        self.processes.unwrap_or(if self.common.quick { 3 } else { 5 }) as usize
    }

    /// What the others mean.
    ///
    /// # Errors
    /// When none of the paths asked for is measured at any of the counts asked for.
    pub fn settings(&self) -> Result<survey::Settings, String> {
        let paths = if self.paths.is_empty() { PathName::ALL.to_vec() } else { self.paths.clone() };
        let settings = survey::Settings {
            paths,
            subscribers: counts(&self.subscribers, &SUBSCRIBERS),
            publishers: counts(&self.publishers, &[1, 2]),
            plan: Plan {
                rounds: self.rounds.unwrap_or(if self.common.quick { 3 } else { 7 }) as usize,
                batch: Duration::from_micros(u64::from(self.batch)),
                seed: self.seed,
            },
        };
        if settings.is_empty() {
            let names: Vec<_> = self.paths.iter().map(|path| path.as_str()).collect();
            return Err(format!(
                "nothing to measure: {} at {:?} subscribers by {:?} publishers\n\n\
                 mixed paths need 16 to 10000 subscribers; above 10000 subscribers only raw-loop \
                 and signalpost\nare measured, by one publisher. For more information, try '--help'.",
                names.join(", "),
                settings.subscribers,
                settings.publishers,
            ));
        }
        Ok(settings)
    }
}

impl PathsArgs {
    /// What they mean for hand-off, which is measured where all paths are.
    pub fn handoff(&self) -> Option<handoff::Settings> {
        let (quick, batch) = (self.common.quick, u64::from(self.batch));
        self.paths.is_empty().then(|| handoff::Settings {
            rounds: self.rounds.unwrap_or(if quick { 3 } else { 9 }) as usize,
            events: batch * 20,
            timed: (batch * 2).max(10),
            seed: self.seed,
        })
    }
}

/// The counts asked for in order, each once; or the defaults.
fn counts(asked: &[u32], defaults: &[u32]) -> Vec<usize> {
    let counts = if asked.is_empty() { defaults } else { asked };
    let mut counts: Vec<_> = counts.iter().map(|&count| count as usize).collect();
    counts.sort_unstable();
    counts.dedup();
    counts
}

impl RegistrationArgs {
    /// The defaults, for `lab all`.
    pub fn defaults(common: &CommonArgs) -> Self {
        Self { common: common.clone(), count: 100_000, repeats: None }
    }

    /// What they mean; `heap` says what the calling thread holds.
    pub fn settings(&self, heap: fn() -> isize) -> registration::Settings {
        let repeats = self.repeats.unwrap_or(if self.common.quick { 3 } else { 5 });
        registration::Settings { count: self.count as usize, repeats: repeats as usize, heap }
    }
}

impl ChurnArgs {
    /// The defaults, for `lab all`.
    pub fn defaults(common: &CommonArgs) -> Self {
        Self {
            common: common.clone(),
            subscribers: 16,
            rate: 200_000,
            changes: 10_000,
            phase: None,
            pairs: None,
        }
    }

    /// What they mean.
    pub fn settings(&self) -> churn::Settings {
        let pairs = if self.common.quick { 11 } else { 50 };
        churn::Settings {
            subscribers: self.subscribers as usize,
            rate: self.rate,
            changes: self.changes,
            phase: Duration::from_millis(u64::from(self.phase.unwrap_or(100))),
            pairs: self.pairs.unwrap_or(pairs) as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_defaults_of_all_are_those_of_each_command() {
        let all = Cli::parse_from(["lab", "all"]);
        let Some(Command::All(common)) = all.command else { panic!("{all:?}") };
        let same = |args: &[&str], defaults: String| {
            let parsed = Cli::parse_from([&["lab"], args].concat());
            let parsed = match parsed.command {
                None => format!("{:?}", parsed.paths),
                Some(Command::Paths(args)) => format!("{args:?}"),
                Some(Command::Registration(args)) => format!("{args:?}"),
                Some(Command::Churn(args)) => format!("{args:?}"),
                Some(Command::WatchCost(args)) => format!("{args:?}"),
                Some(Command::Slots(args)) => format!("{args:?}"),
                Some(other) => panic!("{other:?} is no part of all"),
            };
            assert_eq!(parsed, defaults);
        };
        same(&[], format!("{:?}", PathsArgs::defaults(&common)));
        same(&["paths"], format!("{:?}", PathsArgs::defaults(&common)));
        same(&["registration"], format!("{:?}", RegistrationArgs::defaults(&common)));
        same(&["watch-cost"], format!("{:?}", WatchCostArgs::defaults(&common)));
        same(&["slots"], format!("{:?}", SlotsArgs::defaults(&common)));
        same(&["churn"], format!("{:?}", ChurnArgs::defaults(&common)));
    }

    #[test]
    fn loops_and_faults_come_in_their_own_order_and_once() {
        let cli =
            Cli::parse_from(["lab", "watch", "--faults", "spin,sleep,spin", "--max-blocking-time", "50ms"]);
        let Some(Command::Watch(args)) = cli.command else { panic!("{cli:?}") };
        let settings = args.settings();
        assert_eq!(settings.faults, [FaultName::Sleep, FaultName::Spin]);
        assert_eq!(
            (settings.loops.as_slice(), settings.limit),
            (&LoopName::ALL[..], Duration::from_millis(50))
        );
    }

    #[test]
    fn counts_come_in_order_and_once() {
        assert_eq!(counts(&[16, 0, 16, 4], &SUBSCRIBERS), [0, 4, 16]);
        assert_eq!(counts(&[], &[1, 2]), [1, 2]);
    }
}
