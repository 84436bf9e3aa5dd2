//! The command line of `lab run`.

use super::{case, rate::Rate, sweep::Settings};
use crate::{
    cli::{self, CommonArgs},
    path::PathName,
};
use clap::value_parser;
use std::{path::PathBuf, time::Duration};

/// Settings of `lab run`. Every combination of paths, subscribers, publishers, rates and churn is a case.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Paths to measure
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PATH,..", default_value = "signalpost")]
    pub paths: Vec<PathName>,
    /// Counts of registered subscribers, 0 to 1000000
    #[arg(long, allow_negative_numbers = true, value_delimiter = ',', value_name = "N,..", default_value = "16", value_parser = value_parser!(u32).range(..=1_000_000))]
    pub subscribers: Vec<u32>,
    /// Counts of threads that publish at once, 1 to 64
    #[arg(long, allow_negative_numbers = true, value_delimiter = ',', value_name = "N,..", default_value = "1", value_parser = value_parser!(u32).range(1..=64))]
    pub publishers: Vec<u32>,
    /// Events a second of all publishers together: 50k/s, 1M/s, 1000000; or max, one after another without a pause
    #[arg(long, allow_hyphen_values = true, value_delimiter = ',', value_name = "RATE,..", default_value = "max,100k/s,1M/s", value_parser = Rate::parse)]
    pub rate: Vec<Rate>,
    /// Registrations a second on another thread, each cancelled at once, 0 to 1000000: 0, 10k/s
    #[arg(long, allow_hyphen_values = true, value_delimiter = ',', value_name = "RATE,..", default_value = "0", value_parser = super::rate::churn)]
    pub churn: Vec<u32>,
    /// How long each case is measured, all its repeats together, 10ms to 1day [default: 10s, with --quick 1500ms]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// How long each repeat publishes before it is measured, 0ms to 1min [default: 200ms, with --quick 20ms]
    #[arg(long, value_name = "TIME", value_parser = warmup)]
    pub warmup: Option<Duration>,
    /// How often each case is measured, with fresh threads and subscribers, in turn with the others, 1 to 1000; fewer than
    /// five cannot be compared
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = value_parser!(u32).range(1..=1_000))]
    pub repeats: u32,
    /// Keep each thread on a core of its own, as far as there are enough (the default)
    #[arg(long, overrides_with = "no_pin")]
    pub pin: bool,
    /// Leave it to the system where threads run
    #[arg(long, overrides_with = "pin")]
    pub no_pin: bool,
    /// Decides the order of the cases within the repeats
    #[arg(long, value_name = "N", default_value_t = 7)]
    pub seed: u64,
    /// Write an interval log to FILE, as HdrHistogram's tools read: nanoseconds, one entry an interval and case, while it runs
    #[arg(long, value_name = "FILE")]
    pub hlog: Option<PathBuf>,
    /// How long an entry of the interval log is, 10ms to 1h
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub interval: Duration,
    /// Write percentiles to FILE, as the HdrHistogram plotter reads: nanoseconds; with several cases one file each, whose names
    /// get the case before the extension
    #[arg(long, value_name = "FILE")]
    pub hgrm: Option<PathBuf>,
    /// Write a table to FILE: one row for each case and repeat
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  lab run                                      signalpost, 16 subscribers: closed loop, 100,000/s and 1,000,000/s; half a minute
  lab run --quick                              the same in five seconds
  lab run --rate 1M/s --duration 1min --hlog run.hlog
  lab run --paths signalpost,std-mutex --publishers 1,2 --rate 50k/s --churn 0,10k/s --json run.json
  lab run --subscribers 0,1,16,1024 --rate max --csv run.csv
  lab run --rate 200k/s --hgrm run.hgrm        for the HdrHistogram plotter; choose nanoseconds there

Closed loop: one event after another; how long a publish takes, as the mean of a batch that lasts ten looks at the clock or more.
Fixed rate: each event has a time at which it is meant to start. Corrected latencies count from there, so that a stall counts for
every event that it delayed; raw ones from when it did start. A start more than one period (1/rate) late is missed.

Exit codes: 0 measured, 1 a target was missed (with --check), 2 wrong usage or a file that cannot be written, 130 interrupted.";

fn duration(text: &str) -> Result<Duration, String> {
    let range = Duration::from_millis(10)..=Duration::from_secs(24 * 3600);
    cli::time(text, range, "a time from 10ms to 1day, with its unit: 500ms, 10s, 10min")
}

fn warmup(text: &str) -> Result<Duration, String> {
    let range = Duration::ZERO..=Duration::from_secs(60);
    cli::time(text, range, "a time from 0ms to 1min, with its unit: 200ms, 2s")
}

fn interval(text: &str) -> Result<Duration, String> {
    let range = Duration::from_millis(10)..=Duration::from_secs(3600);
    cli::time(text, range, "a time from 10ms to 1h, with its unit: 100ms, 1s")
}

impl Args {
    /// What they mean.
    ///
    /// # Errors
    /// In words, when there is nothing that can be measured.
    pub fn settings(&self) -> Result<Settings, String> {
        let quick = self.common.quick;
        let duration = self.duration.unwrap_or(Duration::from_millis(if quick { 1_500 } else { 10_000 }));
        let each = duration / self.repeats;
        if each < Duration::from_millis(1) {
            return Err(format!(
                "{} repeats in {} are shorter than a millisecond each\n\nexpected a longer --duration, or fewer --repeats.",
                self.repeats,
                humantime::format_duration(duration)
            ));
        }
        Ok(Settings {
            cases: case::cases(&self.paths, &self.subscribers, &self.publishers, &self.rate, &self.churn)?,
            each,
            warmup: self.warmup.unwrap_or(Duration::from_millis(if quick { 20 } else { 200 })),
            repeats: self.repeats as usize,
            pinned: !self.no_pin,
            seed: self.seed,
            interval: self.interval,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn args(line: &str) -> Args {
        let cli = Cli::parse_from(["lab", "run"].into_iter().chain(line.split_whitespace()));
        let Some(Command::Run(args)) = cli.command else { panic!("{cli:?}") };
        args
    }

    #[test]
    fn the_duration_is_that_of_a_case_and_its_repeats_share_it() {
        let settings = args("--duration 10s --repeats 4").settings().unwrap();
        assert_eq!((settings.each, settings.repeats), (Duration::from_millis(2_500), 4));
        let error = args("--duration 10ms --repeats 1000").settings().unwrap_err();
        assert!(error.contains("longer --duration"), "{error}");
    }

    #[test]
    fn a_default_run_takes_half_a_minute_and_a_quick_one_five_seconds() {
        for (line, seconds) in [("", 30.0), ("--quick", 4.5)] {
            let settings = args(line).settings().unwrap();
            let all = settings.each.as_secs_f64() * (settings.repeats * settings.cases.len()) as f64;
            assert!((all - seconds).abs() < 0.01, "{all} s");
        }
    }

    #[test]
    fn threads_are_pinned_unless_the_last_word_is_that_they_are_not() {
        let pinned = |line| args(line).settings().unwrap().pinned;
        assert_eq!(["", "--pin", "--no-pin", "--no-pin --pin"].map(pinned), [true, true, false, true]);
    }
}
