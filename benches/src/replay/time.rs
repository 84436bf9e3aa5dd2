//! What a log calls a time: a count since 1970, or a date as in RFC 3339 and in the logs of web servers.
//!
//! Owns how such a text is read, and in which unit a bare number is meant. Not here: where in a line the text stands (`format.rs`).

use clap::ValueEnum;
use jiff::{
    Timestamp,
    civil::DateTime,
    fmt::{strtime::BrokenDownTime, temporal::DateTimeParser},
    tz::TimeZone,
};
use std::fmt;

/// A point in time as a log gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Nanoseconds since 1970, without leap seconds.
    pub ns: i64,
    /// Whether the text had no fraction of a second, so that it may be up to a second later.
    pub whole: bool,
}

/// What a bare number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Unit {
    /// Seconds since 1970
    #[value(name = "s")]
    Seconds,
    /// Milliseconds since 1970
    #[value(name = "ms")]
    Milliseconds,
    /// Microseconds since 1970
    #[value(name = "us")]
    Microseconds,
    /// Nanoseconds since 1970
    #[value(name = "ns")]
    Nanoseconds,
}

impl Unit {
    /// Nanoseconds in one.
    pub const fn ns(self) -> u64 {
        match self {
            Self::Seconds => 1_000_000_000,
            Self::Milliseconds => 1_000_000,
            Self::Microseconds => 1_000,
            Self::Nanoseconds => 1,
        }
    }

    /// What a number of this size most likely counts: up to the year 5138 in seconds, and from 1973 in each of the others.
    const fn of_size(number: u64) -> Self {
        const MOST_SECONDS: u64 = 99_999_999_999;
        match number {
            0..=MOST_SECONDS => Self::Seconds,
            _ if number / 1_000 <= MOST_SECONDS => Self::Milliseconds,
            _ if number / 1_000_000 <= MOST_SECONDS => Self::Microseconds,
            _ => Self::Nanoseconds,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
            Self::Microseconds => "microseconds",
            Self::Nanoseconds => "nanoseconds",
        })
    }
}

/// How the times of a log are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A count since 1970.
    Epoch(Unit),
    /// A date and a time with their offset.
    Rfc3339,
    /// A date and a time that say no offset: taken as UTC.
    WithoutOffset,
    /// As web servers write them: `10/Oct/2000:13:55:36 -0700`.
    Common,
}

impl fmt::Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Epoch(unit) => write!(f, "epoch {unit}"),
            Self::Rfc3339 => f.write_str("RFC 3339"),
            Self::WithoutOffset => f.write_str("date and time without an offset, taken as UTC"),
            Self::Common => f.write_str("day/month/year:time offset"),
        }
    }
}

/// Why a text is no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotATime {
    /// It is something else.
    Unreadable,
    /// It is too early or too late to be counted in nanoseconds.
    OutOfRange,
    /// Its size says another unit than the first number's did.
    OtherUnit {
        /// What the size of this one says.
        here: Unit,
        /// What the size of the first said.
        before: Unit,
    },
}

impl NotATime {
    /// What should have stood there instead.
    pub fn expected(self, style: Option<Style>) -> String {
        match (self, style) {
            (Self::OutOfRange, _) => "a time between the years 1678 and 2261".to_owned(),
            (Self::OtherUnit { here, before }, _) => format!(
                "{before} as in the lines before (by its size this counts {here}; \
                 --unit s, ms, us or ns says which it is)"
            ),
            (Self::Unreadable, None) => {
                "a time: a number of seconds, milliseconds, microseconds or nanoseconds since 1970, \
                 or RFC 3339 as in 2026-01-31T13:55:36.25+01:00"
                    .to_owned()
            }
            (Self::Unreadable, Some(style)) => {
                let example = match style {
                    Style::Epoch(Unit::Seconds) => "1767225600.25",
                    Style::Epoch(Unit::Milliseconds) => "1767225600250",
                    Style::Epoch(Unit::Microseconds) => "1767225600250000",
                    Style::Epoch(Unit::Nanoseconds) => "1767225600250000000",
                    Style::Rfc3339 => "2026-01-31T13:55:36.25+01:00",
                    Style::WithoutOffset => "2026-01-31 13:55:36.25",
                    Style::Common => "31/Jan/2026:13:55:36 +0100",
                };
                format!("a time ({style}) such as {example}")
            }
        }
    }
}

/// Reads the times of one log.
#[derive(Clone, Debug)]
pub struct Times {
    /// What bare numbers count: as said, or by the size of the first.
    unit: Option<Unit>,
    guessed: bool,
    /// How the first was written.
    style: Option<Style>,
    /// The last text that was no number, and what it meant: many lines of a log have the same time.
    last: (Vec<u8>, Moment),
}

impl Times {
    /// For numbers of this unit; without one their size decides.
    pub const fn of(unit: Option<Unit>) -> Self {
        Self { unit, guessed: unit.is_none(), style: None, last: (Vec::new(), Moment { ns: 0, whole: true }) }
    }

    /// How the first time was written.
    pub const fn style(&self) -> Option<Style> {
        self.style
    }

    /// What a text means.
    ///
    /// # Errors
    /// When it is no time.
    pub fn read(&mut self, text: &[u8]) -> Result<Moment, NotATime> {
        let text = text.trim_ascii();
        if let Some(number) = Number::of(text) {
            return self.count(number);
        }
        if self.last.0 == text && !text.is_empty() {
            return Ok(self.last.1);
        }
        let (ns, style) = date(text)?;
        let ns = i64::try_from(ns).map_err(|_| NotATime::OutOfRange)?;
        let moment = Moment { ns, whole: ns % 1_000_000_000 == 0 };
        self.style.get_or_insert(style);
        self.last.0.clear();
        self.last.0.extend_from_slice(text);
        self.last.1 = moment;
        Ok(moment)
    }

    fn count(&mut self, number: Number) -> Result<Moment, NotATime> {
        let here = Unit::of_size(number.whole);
        let unit = *self.unit.get_or_insert(here);
        self.style.get_or_insert(Style::Epoch(unit));
        // Small numbers may be of any unit: those of a clock that began at nought.
        if self.guessed && here != unit && here.ns() < unit.ns() {
            return Err(NotATime::OtherUnit { here, before: unit });
        }
        let ns = i128::from(number.whole) * i128::from(unit.ns())
            + i128::from(number.billionths) * i128::from(unit.ns()) / 1_000_000_000;
        let ns = if number.negative { -ns } else { ns };
        let ns = i64::try_from(ns).map_err(|_| NotATime::OutOfRange)?;
        Ok(Moment { ns, whole: unit == Unit::Seconds && !number.fraction })
    }
}

/// A decimal number, exactly: a floating-point one has no room for the nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Number {
    negative: bool,
    whole: u64,
    /// Behind the point, in billionths; further digits are dropped.
    billionths: u64,
    /// Whether there was a point.
    fraction: bool,
}

impl Number {
    fn of(text: &[u8]) -> Option<Self> {
        let (negative, digits) = match text {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        let (mut whole, mut places) = (0_u64, 0);
        while let Some(digit) = digits.get(places).filter(|byte| byte.is_ascii_digit()) {
            whole = whole.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
            places += 1;
        }
        let rest = match &digits[places..] {
            _ if places == 0 => return None,
            [] => return Some(Self { negative, whole, billionths: 0, fraction: false }),
            [b'.', rest @ ..] if !rest.is_empty() && rest.iter().all(u8::is_ascii_digit) => rest,
            _ => return None,
        };
        let nine = rest.iter().copied().chain(std::iter::repeat(b'0')).take(9);
        let billionths = nine.fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        Some(Self { negative, whole, billionths, fraction: true })
    }
}

/// Nanoseconds since 1970 of a text that is no number.
fn date(text: &[u8]) -> Result<(i128, Style), NotATime> {
    static PARSER: DateTimeParser = DateTimeParser::new();
    if is_common(text) {
        let time = BrokenDownTime::parse("%d/%b/%Y:%H:%M:%S %z", text).and_then(|time| time.to_timestamp());
        let time = time.map_err(|_| NotATime::Unreadable)?;
        return Ok((time.as_nanosecond(), Style::Common));
    }
    if let Ok(time) = PARSER.parse_timestamp(text) {
        return Ok((time.as_nanosecond(), Style::Rfc3339));
    }
    let utc = |time: DateTime| time.to_zoned(TimeZone::UTC).ok().map(|time| Timestamp::from(&time));
    if let Some(text) = text.strip_suffix(b" UTC") {
        let time = PARSER.parse_datetime(text).ok().and_then(utc);
        return time.map(|time| (time.as_nanosecond(), Style::Rfc3339)).ok_or(NotATime::Unreadable);
    }
    // A date alone is rather something else; jiff would take it for midnight.
    let time = PARSER.parse_datetime(text).ok().filter(|_| text.contains(&b':')).and_then(utc);
    time.map(|time| (time.as_nanosecond(), Style::WithoutOffset)).ok_or(NotATime::Unreadable)
}

/// Whether a text has the shape of `10/Oct/2000:13:55:36 -0700`.
pub fn is_common(text: &[u8]) -> bool {
    const SHAPE: &[u8] = b"00/Aaa/0000:00:00:00 +0000";
    text.len() == SHAPE.len()
        && text.iter().zip(SHAPE).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            b'A' | b'a' => byte.is_ascii_alphabetic(),
            b'+' => matches!(byte, b'+' | b'-'),
            other => byte == other,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ns(text: &str) -> Result<i64, NotATime> {
        Times::of(None).read(text.as_bytes()).map(|moment| moment.ns)
    }

    #[test]
    fn every_way_to_write_one_moment_is_that_moment() {
        let moment = 971_211_336_250_000_000;
        for text in [
            "971211336.25",
            "971211336250",
            "971211336250.000",
            "971211336250000",
            "971211336250000000",
            "2000-10-10T13:55:36.25-07:00",
            "2000-10-10T20:55:36.25Z",
            "2000-10-10 20:55:36.250Z",
            "2000-10-10 20:55:36.25",
            "2000-10-10 20:55:36.25 UTC",
            " 971211336.25\t",
        ] {
            assert_eq!(ns(text), Ok(moment), "{text}");
        }
        assert_eq!(ns("10/Oct/2000:13:55:36 -0700"), Ok(971_211_336_000_000_000));
        assert_eq!(ns("-1.5"), Ok(-1_500_000_000));
    }

    #[test]
    fn nothing_is_lost_to_floating_point() {
        assert_eq!(ns("1767225600.123456789"), Ok(1_767_225_600_123_456_789));
        assert_eq!(ns("1767225600123456789"), Ok(1_767_225_600_123_456_789));
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in ["", "-", ".5", "12.", "1e9", "0x10", "2026-01-31", "noon", "99/Foo/2000:13:55:36 -0700"]
        {
            assert_eq!(ns(text), Err(NotATime::Unreadable), "{text}");
        }
        let mut seconds = Times::of(Some(Unit::Seconds));
        assert_eq!(seconds.read(b"99999999999"), Err(NotATime::OutOfRange));
    }

    #[test]
    fn the_first_number_decides_the_unit_and_a_larger_one_does_not_fit() {
        let mut times = Times::of(None);
        assert_eq!(times.read(b"1767225600000").unwrap().ns, 1_767_225_600_000_000_000);
        assert_eq!(times.read(b"5").unwrap().ns, 5_000_000, "a clock that was set back");
        let error = times.read(b"1767225600000000").unwrap_err();
        assert_eq!(error, NotATime::OtherUnit { here: Unit::Microseconds, before: Unit::Milliseconds });
        assert!(error.expected(times.style()).contains("--unit"), "{}", error.expected(times.style()));
        let mut nanoseconds = Times::of(Some(Unit::Nanoseconds));
        assert_eq!([0, 1].map(|_| nanoseconds.read(b"7").unwrap().ns), [7, 7]);
        assert_eq!(nanoseconds.read(b"1767225600000000000").unwrap().ns, 1_767_225_600_000_000_000);
    }

    #[test]
    fn a_time_without_a_fraction_of_a_second_is_whole() {
        let whole = |text: &str| Times::of(None).read(text.as_bytes()).unwrap().whole;
        assert!(whole("1767225600") && whole("2026-01-31T13:55:36Z") && whole("10/Oct/2000:13:55:36 -0700"));
        assert!(!whole("1767225600.0") && !whole("1767225600000") && !whole("2026-01-31T13:55:36.5Z"));
    }

    #[test]
    fn a_text_that_comes_again_means_the_same_and_another_does_not() {
        let mut times = Times::of(None);
        let mut read = |text: &[u8]| times.read(text).unwrap().ns / 1_000_000_000;
        let texts: [&[u8]; 4] = [
            b"10/Oct/2000:13:55:36 -0700",
            b"10/Oct/2000:13:55:36 -0700",
            b"10/Oct/2000:13:55:37 -0700",
            b"10/Oct/2000:13:55:36 -0700",
        ];
        assert_eq!(texts.map(&mut read), [971_211_336, 971_211_336, 971_211_337, 971_211_336]);
        assert_eq!(times.style(), Some(Style::Common));
    }
}
