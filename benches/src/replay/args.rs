//! The command line of `lab replay`.

use super::{
    detect::{Kind, Said},
    schedule::Spread,
    time::Unit,
};
use crate::{cli::CommonArgs, path::PathName};
use clap::value_parser;
use std::{path::PathBuf, time::Duration};

/// Settings of `lab replay`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArgs,
    /// The log, plain or packed with gzip; - for standard input. It is read while it is replayed, never as a whole
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What the log is
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Kind::Auto)]
    pub format: Kind,
    /// Where the times are. CSV: the column's name, or its number from 1. JSON: the key, or KEY.KEY for one in an object
    /// [default: what looks like it]
    #[arg(long, value_name = "NAME|N")]
    pub column: Option<String>,
    /// What is between the values of CSV: one character, or tab [default: found out from the first line]
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    pub delimiter: Option<u8>,
    /// The first line of CSV has no names
    #[arg(long)]
    pub no_header: bool,
    /// What numbers count [default: by the size of the first]
    #[arg(long, value_enum, value_name = "UNIT")]
    pub unit: Option<Unit>,
    /// What becomes of events of which the log knows the second only
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Spread::Even)]
    pub spread: Spread,
    /// Times as fast as it was: 10, 1000, 0.5
    #[arg(long, value_name = "N", default_value = "1", value_parser = speed, allow_negative_numbers = true)]
    pub speed: f64,
    /// Only so many events
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Only events from this time on, written as in the log or as RFC 3339
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    pub from: Option<String>,
    /// Only events before this time
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    pub until: Option<String>,
    /// End each replay after so long, 1ms to 30days [default: at the end of the log, with --quick 5s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// Replay a log of which more than 10 % of the times go backwards; each of those is due at once
    #[arg(long)]
    pub unordered: bool,
    /// Leave broken lines out and count them, instead of ending at the first
    #[arg(long)]
    pub skip_broken: bool,
    /// A start later than this is missed, 1us to 1h
    #[arg(long, value_name = "TIME", default_value = "1ms", value_parser = missed_after)]
    pub missed_after: Duration,
    /// Registered subscribers, 0 to 100000
    #[arg(long, value_name = "N", default_value_t = 16, allow_negative_numbers = true, value_parser = value_parser!(u32).range(..=100_000))]
    pub subscribers: u32,
    /// Paths to publish on, one after another; the log is read once for each
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PATH,..", default_value = "signalpost")]
    pub paths: Vec<PathName>,
    /// How often to replay it on each path, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u32).range(1..=1_000))]
    pub repeats: u32,
}

const EXAMPLES: &str = "\
Examples:
  lab replay access.log.gz --speed 100         a web server's log, a hundred times as fast
  lab replay trades.csv --column time          the column called time, whatever it counts
  lab replay events.ndjson --column meta.ts    a key in an object on each line
  zstd -dc big.csv.zst | lab replay - --speed 1000 --limit 1000000
  lab replay access.log --from 2026-01-31T12:00:00Z --until 2026-01-31T12:01:00Z
  lab replay access.log --paths signalpost,std-mutex --repeats 5 --json replay.json

Latency counts from when an event was meant to start, as the log has it, to the end of its publish;
from its actual start is printed beside it. One thread publishes; another reads ahead, up to half a
million events, before the first is published and from then on. Where it is too slow for the speed,
that is counted and said.

Exit codes: 0 replayed, 2 wrong usage, or a log that is missing or broken, 130 interrupted: what was
measured is written, marked partial.";

impl Args {
    /// What was said about the log.
    pub fn said(&self) -> Said {
        Said {
            kind: self.format,
            column: self.column.clone(),
            delimiter: self.delimiter,
            no_header: self.no_header,
            unit: self.unit,
            skip_broken: self.skip_broken,
        }
    }

    /// How long each replay may last.
    pub fn duration(&self) -> Option<Duration> {
        self.duration.or_else(|| self.common.quick.then_some(Duration::from_secs(5)))
    }
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: Option<f64> = text.parse().ok();
    let accepted = speed.filter(|speed| (1e-6..=1e9).contains(speed));
    accepted.ok_or_else(|| "expected a number above 0, from 0.000001 to 1000000000: 1, 10, 0.5".to_owned())
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        _ if matches!(text, "tab" | "\\t") => Ok(b'\t'),
        [one] if one.is_ascii() && !one.is_ascii_alphanumeric() && !matches!(one, b'"' | b'\n' | b'\r') => {
            Ok(*one)
        }
        _ => {
            Err("expected one character that is no letter, digit or quote, such as ; or |, or tab".to_owned())
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let range = Duration::from_millis(1)..=Duration::from_secs(30 * 24 * 3600);
    let time = humantime::parse_duration(text).ok().filter(|time| range.contains(time));
    time.ok_or_else(|| "expected a time from 1ms to 30days, with its unit: 500ms, 10s, 5min".to_owned())
}

fn missed_after(text: &str) -> Result<Duration, String> {
    let range = Duration::from_micros(1)..=Duration::from_secs(3600);
    let time = humantime::parse_duration(text).ok().filter(|time| range.contains(time));
    time.ok_or_else(|| "expected a time from 1us to 1h, with its unit: 50us, 1ms".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_a_number_above_nought() {
        assert_eq!([speed("1"), speed("0.5"), speed("1e3")], [Ok(1.0), Ok(0.5), Ok(1000.0)]);
        for text in ["0", "-1", "nan", "inf", "max", "", "x2"] {
            assert!(speed(text).unwrap_err().contains("above 0"), "{text}");
        }
    }

    #[test]
    fn a_delimiter_is_one_character() {
        assert_eq!(
            [delimiter(";"), delimiter("tab"), delimiter("\\t"), delimiter("\t")],
            [Ok(b';'), Ok(9), Ok(9), Ok(9)]
        );
        for text in ["", ",,", "a", "\"", "é"] {
            assert!(delimiter(text).is_err(), "{text}");
        }
    }
}
