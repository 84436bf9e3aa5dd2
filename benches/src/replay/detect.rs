//! What a log is, from its first lines, as far as nobody said.
//!
//! Owns the guesses, and what is said where there is nothing to guess from. Not here: reading by what was found out (`format.rs`).

use super::{
    format::{Broken, Format, Lines, Records, Row, Trouble, common_time, shown},
    input::{self, Input},
    json,
    time::{Style, Times, Unit},
};
use clap::ValueEnum;

/// What a log may be said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Found out from the first lines
    Auto,
    /// Values between delimiters
    Csv,
    /// One JSON object a line
    #[value(alias = "json")]
    Ndjson,
    /// The common or the combined log format of web servers
    #[value(alias = "combined")]
    Common,
    /// One time a line, and nothing else
    Plain,
}

/// What was said about a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// What it is.
    pub kind: Kind,
    /// Where its times are: a name, a number from 1, or keys with points between.
    pub column: Option<String>,
    /// What is between its values.
    pub delimiter: Option<u8>,
    /// That its first line has no names.
    pub no_header: bool,
    /// What its numbers count.
    pub unit: Option<Unit>,
    /// That broken lines are left out.
    pub skip_broken: bool,
}

/// What a log is.
#[derive(Clone, Debug)]
pub struct Known {
    /// Where its times are.
    pub format: Format,
    /// How its times are written.
    pub style: Style,
    /// Whether the times at its beginning are whole seconds.
    pub whole_seconds: bool,
    /// Reads its times: knows their unit.
    pub times: Times,
    /// Its first time, in nanoseconds since 1970.
    pub first: i64,
}

/// Looks at so many times of the beginning.
const SAMPLE: usize = 1_000;

/// Finds out what a log is.
///
/// # Errors
/// In words, when that cannot be found out, when something said is not so, or when there is no time at the beginning.
pub fn look(input: &Input, said: &Said) -> Result<Known, String> {
    let (lines, all) = input.first_lines();
    let name = &input.name;
    if lines.trim_ascii().is_empty() {
        let what = if lines.is_empty() { "is empty" } else { "begins with empty lines and nothing else" };
        return Err(format!(
            "'{name}' {what}\n\n\
             expected a time on every line: CSV, one JSON object a line, a web server's log, or nothing but times."
        ));
    }
    let format = format(lines, said).map_err(|why| format!("'{name}': {why}"))?;
    let mut times = Times::of(said.unit);
    let (mut seen, mut whole_seconds, mut broken, mut first) = (0, true, None, None);
    let mut records = Records::of(&format, lines);
    while seen < SAMPLE {
        let moment = match records.advance() {
            Ok(Some(found)) => times.read(found.time).map_err(|error| Broken {
                line: found.line,
                found: shown(found.time),
                expected: error.expected(times.style()),
            }),
            Ok(None) => break,
            Err(Trouble::Line(broken)) => Err(broken),
            Err(Trouble::Read(lines, error)) => return Err(input::trouble(name, false, lines, &error)),
        };
        match moment {
            Ok(moment) => {
                seen += 1;
                whole_seconds &= moment.whole;
                first.get_or_insert(moment.ns);
            }
            Err(line) => drop(broken.get_or_insert(line)),
        }
    }
    match (broken, times.style().zip(first)) {
        // The last record may go on behind the beginning; whether it is broken is found when it is read.
        (Some(broken), _) if !said.skip_broken && (all || seen == 0) => Err(of_line(name, &broken)),
        (_, Some((style, first))) => Ok(Known { format, style, whole_seconds, times, first }),
        (Some(broken), None) => Err(of_line(name, &broken)),
        (None, None) if !all => Err(format!(
            "'{name}': the first line that could have a time, behind the header, goes on beyond the first {} kB\n\n\
             expected shorter lines at the beginning, from which the log is known.",
            input::HEAD_BYTES / 1024
        )),
        (None, None) => Err(format!(
            "'{name}' has no events: {format}, and nothing after the header\n\n\
             expected a time on every line."
        )),
    }
}

impl Known {
    /// The last time in the last bytes of the log, which may begin within a line; none where no line of them has one.
    pub fn last_time(&self, tail: &[u8]) -> Option<i64> {
        let whole = tail.iter().position(|byte| *byte == b'\n')? + 1;
        let mut format = self.format.clone();
        if let Format::Csv { header, .. } = &mut format {
            *header = false;
        }
        let (mut records, mut times, mut last) =
            (Records::of(&format, &tail[whole..]), self.times.clone(), None);
        loop {
            match records.advance() {
                Ok(Some(found)) => last = times.read(found.time).ok().map(|moment| moment.ns).or(last),
                Err(Trouble::Line(_)) => {}
                Ok(None) | Err(Trouble::Read(..)) => return last,
            }
        }
    }
}

/// What is said of a broken line.
pub fn of_line(name: &str, broken: &Broken) -> String {
    let Broken { line, found, expected } = broken;
    format!(
        "'{name}', line {line}: found {found}\n\nexpected {expected}.\n\
         --skip-broken leaves such lines out and counts them."
    )
}

fn format(lines: &[u8], said: &Said) -> Result<Format, String> {
    let mut texts =
        lines.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let first = texts.next().unwrap_or_default();
    let kind = match said.kind {
        Kind::Auto => kind(first, texts.next().unwrap_or_default(), said)?,
        kind => kind,
    };
    match kind {
        Kind::Csv | Kind::Auto => csv(lines, first, said),
        Kind::Ndjson => ndjson(first, said),
        Kind::Common | Kind::Plain if said.column.is_some() => {
            Err("--column is for CSV and JSON; this has no columns".to_owned())
        }
        Kind::Common => Ok(Format::Common),
        Kind::Plain => Ok(Format::Plain),
    }
}

fn kind(first: &[u8], second: &[u8], said: &Said) -> Result<Kind, String> {
    let is_time = |text: &[u8]| Times::of(said.unit).read(text).is_ok();
    Ok(match first {
        _ if said.delimiter.is_some() || said.no_header => Kind::Csv,
        [b'{', ..] => Kind::Ndjson,
        line if said.column.is_none() && common_time(line).is_some() => Kind::Common,
        line if said.column.is_none() && is_time(line) => Kind::Plain,
        line if said.column.is_some() || delimiter_in(line).is_some() || is_time(second) => Kind::Csv,
        line => {
            return Err(format!(
                "line 1 is {}, and it is not clear what that is\n\n\
                 expected CSV, a JSON object, a web server's log, or a time; --format says which it is.",
                shown(line)
            ));
        }
    })
}

/// The delimiter that this line most likely has.
fn delimiter_in(line: &[u8]) -> Option<u8> {
    let count = |delimiter: u8| line.iter().filter(|byte| **byte == delimiter).count();
    let most = [b'|', b'\t', b';', b','].into_iter().max_by_key(|delimiter| count(*delimiter));
    most.filter(|delimiter| count(*delimiter) > 0)
}

/// What columns and keys with times are often called, the likeliest first.
const USUAL: [&str; 10] = [
    "timestamp",
    "@timestamp",
    "time",
    "ts",
    "datetime",
    "date_time",
    "event_time",
    "eventtime",
    "date",
    "t",
];

fn csv(lines: &[u8], first: &[u8], said: &Said) -> Result<Format, String> {
    let delimiter = said.delimiter.or_else(|| delimiter_in(first)).unwrap_or(b',');
    let (mut lines, mut row) = (Lines::of(lines), Row::separated_by(delimiter));
    let mut fields = || -> Vec<Vec<u8>> {
        match row.read(&mut lines) {
            Ok(Some(_)) => row.fields().map(|field| field.trim_ascii().to_vec()).collect(),
            _ => Vec::new(),
        }
    };
    let (names, values) = (fields(), fields());
    let reads = |text: &[u8]| Times::of(said.unit).read(text).is_ok();
    let (header, column) = match &said.column {
        Some(asked) => match asked.parse::<usize>() {
            Ok(0) => return Err("--column 0: columns are counted from 1".to_owned()),
            Ok(number) if number > names.len() => {
                return Err(format!(
                    "--column {number}: line 1 has {} ({})",
                    fields_of(&names),
                    listed(&names)
                ));
            }
            Ok(number) => (!said.no_header && !reads(&names[number - 1]), number - 1),
            Err(_) if said.no_header => {
                return Err(format!("--column {asked}: without a header columns have numbers, from 1"));
            }
            Err(_) => (true, named(&names, asked).ok_or_else(|| no_such(&names, asked))?),
        },
        None => {
            let in_first = names.iter().position(|field| is_plainly_a_time(field, said.unit));
            let header = !said.no_header && in_first.is_none();
            let usual = || USUAL.iter().find_map(|name| named(&names, name));
            let in_second = || values.iter().position(|field| is_plainly_a_time(field, said.unit));
            let column = if header { usual().or_else(in_second) } else { in_first };
            (header, column.ok_or_else(|| which(&names))?)
        }
    };
    let called = match header {
        true => format!("{} ({})", column + 1, String::from_utf8_lossy(&names[column])),
        false => format!("{}", column + 1),
    };
    Ok(Format::Csv { delimiter, header, column, called })
}

/// Whether a field of a row is a time, and not a small number of something else.
fn is_plainly_a_time(field: &[u8], unit: Option<Unit>) -> bool {
    const SINCE_1973: i64 = 100_000_000_000_000_000;
    Times::of(unit).read(field).is_ok_and(|moment| moment.ns >= SINCE_1973)
}

fn named(names: &[Vec<u8>], asked: &str) -> Option<usize> {
    let exact = names.iter().position(|name| name == asked.as_bytes());
    exact.or_else(|| names.iter().position(|name| name.eq_ignore_ascii_case(asked.as_bytes())))
}

fn no_such(names: &[Vec<u8>], asked: &str) -> String {
    format!(
        "there is no column '{asked}'\n\nexpected one of those in line 1: {}; or its number, from 1.",
        listed(names)
    )
}

fn which(names: &[Vec<u8>]) -> String {
    format!(
        "which column has the times? Line 1 has {}: {}\n\nexpected --column NAME, or --column N from 1.",
        fields_of(names),
        listed(names)
    )
}

fn fields_of(names: &[Vec<u8>]) -> String {
    crate::table::counted(names.len(), "field")
}

fn listed(names: &[Vec<u8>]) -> String {
    let names: Vec<_> = names.iter().map(|name| String::from_utf8_lossy(name)).collect();
    shown(names.join(", ").as_bytes()).trim_matches('\'').to_owned()
}

fn ndjson(first: &[u8], said: &Said) -> Result<Format, String> {
    if let Some(path) = &said.column {
        return Ok(Format::Ndjson { path: path.clone() });
    }
    let mut unescaped = String::new();
    let usual = USUAL.iter().find(|key| json::at(first, key, &mut unescaped).is_ok());
    let path = usual.ok_or_else(|| {
        format!(
            "which key has the times? Line 1 has {}\n\n\
             expected --column KEY; or KEY.KEY for one in an object.",
            json::keys_of(first)
        )
    })?;
    Ok(Format::Ndjson { path: (*path).to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    const NOTHING: Said = Said {
        kind: Kind::Auto,
        column: None,
        delimiter: None,
        no_header: false,
        unit: None,
        skip_broken: false,
    };

    fn seen(text: &str, said: &Said) -> Result<Known, String> {
        let input = Input::of(Cursor::new(text.to_owned().into_bytes()), "log".to_owned(), None).unwrap();
        look(&input, said)
    }

    fn guessed(text: &str) -> (String, String) {
        let known = seen(text, &NOTHING).unwrap();
        (known.format.to_string(), known.style.to_string())
    }

    fn refused(text: &str, said: &Said) -> String {
        seen(text, said).unwrap_err()
    }

    fn column(name: &str) -> Said {
        Said { column: Some(name.to_owned()), ..NOTHING }
    }

    #[test]
    fn each_format_is_known_by_its_first_lines() {
        let pair = |format: &str, style: &str| (format.to_owned(), style.to_owned());
        assert_eq!(guessed("1767225600.5\n"), pair("one time a line", "epoch seconds"));
        assert_eq!(guessed("2026-01-31T13:55:36Z\n"), pair("one time a line", "RFC 3339"));
        assert_eq!(
            guessed("h - - [10/Oct/2000:13:55:36 -0700] \"GET /?a,b HTTP/1.0\" 200 1\n"),
            pair("common log format; times between [ and ]", "day/month/year:time offset")
        );
        assert_eq!(
            guessed("{\"level\":1,\"ts\":1767225600123}\n"),
            pair("one JSON object a line; times under ts", "epoch milliseconds")
        );
        assert_eq!(
            guessed("id,Time,what\n1,1767225600000000,x\n"),
            pair("CSV, ',' between, with a header; times in column 2 (Time)", "epoch microseconds")
        );
        assert_eq!(
            guessed("17\t2026-01-31T13:55:36Z\tx\n"),
            pair("CSV, tabs between, no header; times in column 2", "RFC 3339")
        );
        assert_eq!(
            guessed("when;n\n1767225600;3\n").0,
            "CSV, ';' between, with a header; times in column 1 (when)"
        );
        assert_eq!(
            guessed("stamp\n1767225600\n").0,
            "CSV, ',' between, with a header; times in column 1 (stamp)"
        );
    }

    #[test]
    fn what_was_said_wins() {
        let known = |text: &str, said: &Said| seen(text, said).unwrap().format.to_string();
        assert!(known("a,b\n1,2\n", &column("b")).contains("column 2 (b)"));
        assert!(known("1,2\n3,4\n", &column("2")).contains("no header; times in column 2"));
        assert!(known("a,b\n3,4\n", &column("2")).contains("with a header; times in column 2 (b)"));
        assert!(known("{\"a\":{\"b\":1}}\n", &column("a.b")).contains("a.b"));
        let semicolon = Said { delimiter: Some(b';'), ..column("1") };
        assert!(known("1;2,3,4\n", &semicolon).contains("';'"));
        let milliseconds = Said { unit: Some(Unit::Milliseconds), ..NOTHING };
        assert_eq!(seen("5\n", &milliseconds).unwrap().style, Style::Epoch(Unit::Milliseconds));
    }

    #[test]
    fn a_column_or_key_that_is_missing_is_answered_with_those_that_are_there() {
        assert!(refused("a,b\n1,2\n", &column("ts")).contains("in line 1: a, b;"));
        assert!(refused("1,2\n", &column("3")).contains("2 fields (1, 2)"));
        assert!(refused("1,2\n", &column("0")).contains("from 1"));
        assert!(
            refused("a,b\nx,y\n", &NOTHING).contains("which column has the times? Line 1 has 2 fields: a, b")
        );
        assert!(
            refused("{\"a\":1,\"b\":2}\n", &NOTHING)
                .contains("which key has the times? Line 1 has the keys a, b")
        );
        assert!(
            refused("{\"a\":1}\n", &column("ts")).contains("line 1: found the keys a, without such a key")
        );
        let no_header = Said { no_header: true, ..column("ts") };
        assert!(refused("1,2\n", &no_header).contains("have numbers"));
        assert!(refused("1767225600\n", &Said { kind: Kind::Plain, ..column("x") }).contains("no columns"));
    }

    #[test]
    fn a_log_without_a_time_says_what_is_missing() {
        assert!(refused("", &NOTHING).contains("is empty"));
        assert!(refused("\n\n \n", &NOTHING).contains("empty lines and nothing else"));
        assert!(refused("time,x\n", &NOTHING).contains("has no events"));
        assert!(refused("good morning\n", &NOTHING).contains("line 1 is 'good morning'"));
        let broken = refused("time\n1767225600\nnoon\n", &NOTHING);
        assert!(broken.contains("line 3: found 'noon'") && broken.contains("epoch seconds"), "{broken}");
        let skipping = Said { skip_broken: true, ..NOTHING };
        assert!(seen("time\n1767225600\nnoon\n", &skipping).is_ok());
    }

    #[test]
    fn the_last_time_is_known_from_the_last_lines() {
        let last = |text: &str| {
            let known = seen(text, &NOTHING).unwrap();
            (known.first / 1_000_000_000, known.last_time(&text.as_bytes()[3..]).map(|ns| ns / 1_000_000_000))
        };
        assert_eq!(
            last("time,x\n1767225600,1\n1767225601,2\n1767225609,3"),
            (1_767_225_600, Some(1_767_225_609))
        );
        assert_eq!(last("1767225600\n1767225609\n\n"), (1_767_225_600, Some(1_767_225_609)));
        assert_eq!(last("1767225600\n"), (1_767_225_600, None));
    }

    #[test]
    fn whole_seconds_are_noticed() {
        assert!(seen("1767225600\n1767225601\n", &NOTHING).unwrap().whole_seconds);
        assert!(!seen("1767225600\n1767225601.5\n", &NOTHING).unwrap().whole_seconds);
        assert!(!seen("1767225600000\n", &NOTHING).unwrap().whole_seconds);
    }
}
