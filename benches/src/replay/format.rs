//! Where in a log the times stand: a column, a key, between brackets, a line of its own.
//!
//! Owns walking through the lines and finding the text of each time, without anything being allocated for a line. Not here: what the
//! text means (`time.rs`), and how the format is found out (`detect.rs`).

use super::{json, time::is_common};
use crate::table::{counted, grouped};
use std::{
    fmt,
    io::{self, BufRead, Read as _},
};

/// A line, or a record of several lines, that is longer than this is none: else a file without line ends would fill the memory.
const LONGEST_BYTES: u64 = 1 << 20;

/// How a log is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// Values between delimiters, quoted where need be.
    Csv {
        /// Between the values.
        delimiter: u8,
        /// Whether the first line names the columns.
        header: bool,
        /// Which column has the times, from 0.
        column: usize,
        /// Its name, or its number from 1.
        called: String,
    },
    /// One JSON object a line.
    Ndjson {
        /// The key with the times, or several with points between: a key in an object in the object.
        path: String,
    },
    /// The common and the combined log format of web servers.
    Common,
    /// Nothing but a time on each line.
    Plain,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Csv { delimiter, header, called, .. } => {
                let between = match delimiter {
                    b'\t' => "tabs".to_owned(),
                    other => format!("'{}'", char::from(*other)),
                };
                let head = if *header { "with a header" } else { "no header" };
                write!(f, "CSV, {between} between, {head}; times in column {called}")
            }
            Self::Ndjson { path } => write!(f, "one JSON object a line; times under {path}"),
            Self::Common => f.write_str("common log format; times between [ and ]"),
            Self::Plain => f.write_str("one time a line"),
        }
    }
}

/// A line that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which, from 1.
    pub line: u64,
    /// What stands there.
    pub found: String,
    /// What should.
    pub expected: String,
}

/// Why there is no next time.
#[derive(Debug)]
pub enum Trouble {
    /// One line is broken; the next may not be.
    Line(Broken),
    /// Reading failed after so many lines.
    Read(u64, io::Error),
}

/// A time as it stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// The line, from 1.
    pub line: u64,
    /// The text.
    pub time: &'a [u8],
}

/// Goes through a log.
#[derive(Debug)]
pub struct Records<R> {
    lines: Lines<R>,
    find: Find,
}

/// How the time is found in a line.
#[derive(Debug)]
enum Find {
    Column { row: Box<Row>, column: usize, called: String },
    Key { path: String, unescaped: String },
    Brackets,
    All,
}

impl<R: BufRead> Records<R> {
    /// From the beginning of a log.
    pub fn of(format: &Format, from: R) -> Self {
        let mut lines = Lines::of(from);
        let find = match format {
            Format::Csv { delimiter, header, column, called } => {
                let mut row = Box::new(Row::separated_by(*delimiter));
                if *header {
                    // What is wrong with it, the first record will find wrong too.
                    let _ = row.read(&mut lines);
                }
                Find::Column { row, column: *column, called: called.clone() }
            }
            Format::Ndjson { path } => Find::Key { path: path.clone(), unescaped: String::new() },
            Format::Common => Find::Brackets,
            Format::Plain => Find::All,
        };
        Self { lines, find }
    }

    /// The next time; none at the end. Lines with nothing on them are passed over.
    ///
    /// # Errors
    /// When a line has no time where it should have one, or reading fails.
    pub fn advance(&mut self) -> Result<Option<Found<'_>>, Trouble> {
        let Self { lines, find } = self;
        match find {
            Find::Column { row, column, called } => {
                let Some(line) = row.read(lines)? else { return Ok(None) };
                let time = row.fields().nth(*column).ok_or_else(|| {
                    let expected = format!("at least {}: the times are in column {called}", *column + 1);
                    Trouble::Line(Broken { line, found: counted(row.fields().count(), "field"), expected })
                })?;
                Ok(Some(Found { line, time }))
            }
            Find::Key { path, unescaped } => lines.find(|text| json::at(text, path, unescaped)),
            Find::Brackets => lines.find(|text| {
                common_time(text).ok_or_else(|| {
                    let expected = "a time between [ and ], such as [31/Jan/2026:13:55:36 +0100]";
                    (shown(text), expected.to_owned())
                })
            }),
            Find::All => lines.find(Ok),
        }
    }
}

/// A log, line by line.
#[derive(Debug)]
pub(super) struct Lines<R> {
    from: R,
    /// Of the line read last, from 1.
    number: u64,
    text: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(super) const fn of(from: R) -> Self {
        Self { from, number: 0, text: Vec::new() }
    }

    /// Finds the time in the next line that has something on it; none at the end.
    fn find<'a>(
        &'a mut self,
        time: impl FnOnce(&'a [u8]) -> Result<&'a [u8], (String, String)>,
    ) -> Result<Option<Found<'a>>, Trouble> {
        if !self.next_with_text()? {
            return Ok(None);
        }
        let line = self.number;
        let broken = |(found, expected)| Trouble::Line(Broken { line, found, expected });
        time(self.text.trim_ascii()).map(|time| Some(Found { line, time })).map_err(broken)
    }

    /// Reads a line, with its end; false where there is none.
    fn next(&mut self) -> Result<bool, Trouble> {
        self.text.clear();
        let bytes = (&mut self.from).take(LONGEST_BYTES + 1).read_until(b'\n', &mut self.text);
        let bytes = bytes.map_err(|error| Trouble::Read(self.number, error))? as u64;
        if bytes > LONGEST_BYTES {
            return Err(Trouble::Read(self.number, too_long("the next line", "")));
        }
        self.number += u64::from(bytes > 0);
        Ok(bytes > 0)
    }

    /// Reads the next line that has something on it; false where there is none.
    fn next_with_text(&mut self) -> Result<bool, Trouble> {
        while self.next()? {
            if !self.text.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn too_long(what: &str, why: &str) -> io::Error {
    io::Error::other(format!("{what} is longer than {} bytes{why}", grouped(LONGEST_BYTES as usize)))
}

/// Values of a record, which may have lines within quotes. Fed by lines, so that it is known which is the record's.
pub(super) struct Row {
    reader: csv_core::Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
    fields: usize,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row").field("fields", &self.fields).finish_non_exhaustive()
    }
}

impl Row {
    pub(super) fn separated_by(delimiter: u8) -> Self {
        let reader = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
        Self { reader, text: Vec::new(), ends: vec![0; 32], fields: 0 }
    }

    /// Reads the next record; the line it begins in, or none at the end.
    pub(super) fn read<R: BufRead>(&mut self, lines: &mut Lines<R>) -> Result<Option<u64>, Trouble> {
        if !lines.next_with_text()? {
            return Ok(None);
        }
        let line = lines.number;
        self.reader.reset();
        self.fields = 0;
        let mut bytes = 0;
        while !self.feed(&lines.text, &mut bytes) {
            if bytes as u64 > LONGEST_BYTES {
                let error = too_long("the next record", ": is a quote never closed?");
                return Err(Trouble::Read(line - 1, error));
            }
            if !lines.next()? {
                self.feed(&[], &mut bytes);
                break;
            }
        }
        Ok(Some(line))
    }

    /// Takes a line in, `bytes` behind what it has; whether the record ends with it. Without a line it does.
    fn feed(&mut self, mut line: &[u8], bytes: &mut usize) -> bool {
        if self.text.len() < *bytes + line.len() + 1 {
            self.text.resize(*bytes + line.len() + 1, 0);
        }
        loop {
            if self.fields == self.ends.len() {
                self.ends.resize(2 * self.fields, 0);
            }
            let (result, read, written, ends) =
                self.reader.read_record(line, &mut self.text[*bytes..], &mut self.ends[self.fields..]);
            line = &line[read..];
            *bytes += written;
            self.fields += ends;
            match result {
                csv_core::ReadRecordResult::Record | csv_core::ReadRecordResult::End => return true,
                csv_core::ReadRecordResult::InputEmpty => return false,
                csv_core::ReadRecordResult::OutputFull => self.text.resize(2 * self.text.len(), 0),
                csv_core::ReadRecordResult::OutputEndsFull => {}
            }
        }
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends[..self.fields]).map(|(begin, end)| &self.text[begin..*end])
    }
}

/// The time between brackets; there may be others before it, about an address.
pub(super) fn common_time(line: &[u8]) -> Option<&[u8]> {
    const LENGTH: usize = b"10/Oct/2000:13:55:36 -0700".len();
    let mut from = 0;
    while let Some(bracket) = line[from..].iter().position(|byte| *byte == b'[') {
        from += bracket + 1;
        let (time, after) = (line.get(from..from + LENGTH)?, line.get(from + LENGTH));
        if after == Some(&b']') && is_common(time) {
            return Some(time);
        }
    }
    None
}

/// What stands in a line, as far as it helps to know it.
pub(super) fn shown(text: &[u8]) -> String {
    const MOST: usize = 60;
    let text = String::from_utf8_lossy(text);
    let mut shown: String =
        text.chars().take(MOST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    format!("'{shown}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(column: usize, header: bool) -> Format {
        Format::Csv { delimiter: b',', header, column, called: format!("{}", column + 1) }
    }

    /// Lines and their times, or what is wrong with them.
    fn all(format: &Format, text: &[u8]) -> Vec<(u64, Result<String, String>)> {
        let mut records = Records::of(format, text);
        let mut seen = Vec::new();
        loop {
            seen.push(match records.advance() {
                Ok(None) => return seen,
                Ok(Some(found)) => (found.line, Ok(String::from_utf8(found.time.to_vec()).unwrap())),
                Err(Trouble::Line(broken)) => {
                    (broken.line, Err(format!("{}; {}", broken.found, broken.expected)))
                }
                Err(Trouble::Read(lines, error)) => {
                    return [seen, vec![(lines, Err(error.to_string()))]].concat();
                }
            });
        }
    }

    fn times(format: &Format, text: &str) -> Vec<(u64, String)> {
        all(format, text.as_bytes()).into_iter().map(|(line, time)| (line, time.unwrap())).collect()
    }

    fn pairs(pairs: &[(u64, &str)]) -> Vec<(u64, String)> {
        pairs.iter().map(|(line, time)| (*line, (*time).to_owned())).collect()
    }

    #[test]
    fn a_column_is_found_in_records_of_several_lines() {
        let text = "a,ts\n\"x\ny\",1\n\nz,\"2\"\n";
        assert_eq!(times(&csv(1, true), text), pairs(&[(2, "1"), (5, "2")]));
        assert_eq!(times(&csv(0, false), "7,x\r\n8,y\r\n\r\n9"), pairs(&[(1, "7"), (2, "8"), (4, "9")]));
        let wide = format!("{}17\n", "x,".repeat(1_000));
        assert_eq!(times(&csv(1_000, false), &wide), pairs(&[(1, "17")]));
    }

    #[test]
    fn a_record_that_is_too_short_is_broken_and_the_next_is_read() {
        let seen = all(&csv(1, true), b"a,ts\nx\ny,3\n");
        assert!(matches!(&seen[0], (2, Err(why)) if why.contains("1 field; at least 2")), "{seen:?}");
        assert_eq!(seen[1], (3, Ok("3".to_owned())));
    }

    #[test]
    fn lines_are_counted_with_the_empty_ones() {
        assert_eq!(times(&Format::Plain, "\n 1 \r\n\n\n2"), pairs(&[(2, "1"), (5, "2")]));
    }

    #[test]
    fn a_web_servers_time_is_found_whatever_else_is_in_brackets() {
        let date = "10/Oct/2000:13:55:36 -0700";
        let lines = format!(
            "127.0.0.1 - frank [{date}] \"GET /[a] HTTP/1.0\" 200 2326\n\
             [::1]:80 ::1 - - [{date}] \"GET /\" 200 - \"-\" \"curl\"\n"
        );
        assert_eq!(times(&Format::Common, &lines), pairs(&[(1, date), (2, date)]));
        let seen = all(&Format::Common, b"127.0.0.1 - - [10/Oct/2000] \"\xff\x01\"\n");
        assert!(matches!(&seen[0], (1, Err(why)) if why.contains("[31/Jan/2026")), "{seen:?}");
    }

    #[test]
    fn what_has_no_end_is_not_read_to_its_end() {
        let endless = vec![b'1'; 3 << 20];
        let seen = all(&Format::Plain, &endless);
        assert!(matches!(&seen[0], (0, Err(why)) if why.contains("longer than 1,048,576 bytes")), "{seen:?}");
        let quote = [&b"1,2\n\""[..], &b"never closed\n".repeat(1 << 18)].concat();
        let seen = all(&csv(0, false), &quote);
        assert!(matches!(&seen[1], (1, Err(why)) if why.contains("a quote never closed")), "{seen:?}");
    }

    #[test]
    fn what_is_shown_of_a_line_is_short_and_cannot_move_the_cursor() {
        assert_eq!(shown(b"a\x1b[2J"), "'a\u{fffd}[2J'");
        assert_eq!(shown(&[b'x'; 100]).chars().count(), 60 + 3);
    }
}
