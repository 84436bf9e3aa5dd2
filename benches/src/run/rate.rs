//! Rates as people write them: `max`, `50k/s`, `1M/s`, `1000000`.
//!
//! Owns what is accepted, what is said of the rest, and how a rate is printed.

use crate::table::grouped;
use std::fmt;

/// How often events come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// One after another, without a pause: closed loop.
    Max,
    /// So many a second, at fixed times.
    Fixed(f64),
}

/// The fastest rate: a clock that counts nanoseconds cannot tell faster ones apart.
const FASTEST: f64 = 1e9;

impl Rate {
    /// Reads one.
    ///
    /// # Errors
    /// In words, what is accepted.
    pub fn parse(text: &str) -> Result<Self, String> {
        const ACCEPTED: &str =
            "expected max, or events a second from 0.001 to 1000000000, such as 50k/s, 1M/s or 1000000";
        if text.eq_ignore_ascii_case("max") {
            return Ok(Self::Max);
        }
        let rate = per_second(text).filter(|rate| (0.001..=FASTEST).contains(rate));
        rate.map(Self::Fixed).ok_or_else(|| ACCEPTED.to_owned())
    }

    /// Events a second; none for a closed loop.
    pub const fn per_second(self) -> Option<f64> {
        match self {
            Self::Max => None,
            Self::Fixed(rate) => Some(rate),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max => f.write_str("closed loop"),
            Self::Fixed(rate) if rate.fract() == 0.0 => write!(f, "{}/s", grouped(*rate as usize)),
            Self::Fixed(rate) => write!(f, "{rate}/s"),
        }
    }
}

/// Reads registrations a second.
///
/// # Errors
/// In words, what is accepted.
pub fn churn(text: &str) -> Result<u32, String> {
    let rate = per_second(text).filter(|rate| (0.0..=1e6).contains(rate) && rate.fract() == 0.0);
    rate.map(|rate| rate as u32).ok_or_else(|| {
        "expected whole registrations a second from 0 to 1000000, such as 0, 1000 or 10k/s".to_owned()
    })
}

/// `50k/s`, `1.5M/s`, `1000`: a number, a thousand or a million of them, a second.
fn per_second(text: &str) -> Option<f64> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    let (digits, times) = match number.char_indices().last()? {
        (end, 'k' | 'K') => (&number[..end], 1e3),
        (end, 'M' | 'm') => (&number[..end], 1e6),
        (end, 'G') => (&number[..end], 1e9),
        _ => (number, 1.0),
    };
    // Rust's own reader also takes `inf`, `nan`, `1e3` and signs.
    let plain = digits.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '_');
    let value: f64 = digits.replace('_', "").parse().ok().filter(|_| plain)?;
    // To the thousandth: `0.1M` times a million is no whole number in binary.
    Some((value * times * 1e3).round() / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_as_people_write_it_and_printed_in_one_way() {
        for (text, rate, printed) in [
            ("max", Rate::Max, "closed loop"),
            ("50k/s", Rate::Fixed(50_000.0), "50,000/s"),
            ("1M/s", Rate::Fixed(1e6), "1,000,000/s"),
            ("1000000", Rate::Fixed(1e6), "1,000,000/s"),
            ("1_000_000/s", Rate::Fixed(1e6), "1,000,000/s"),
            ("0.3M", Rate::Fixed(3e5), "300,000/s"),
            ("2.5", Rate::Fixed(2.5), "2.5/s"),
        ] {
            assert_eq!(Rate::parse(text), Ok(rate), "{text}");
            assert_eq!(rate.to_string(), printed);
        }
    }

    #[test]
    fn what_is_no_rate_is_refused_with_what_is_accepted() {
        for text in [
            "0", "0/s", "-5", "-1k/s", "", "k/s", "/s", "fast", "1e3", "inf", "nan", "1/m", "2G/s", "1 k",
            "µ", "+5",
        ] {
            let error = Rate::parse(text).unwrap_err();
            assert!(error.contains("50k/s") && error.contains("max"), "{text}: {error}");
        }
    }

    #[test]
    fn registrations_may_be_none_but_not_a_half() {
        assert_eq!((churn("0"), churn("10k/s"), churn("1M")), (Ok(0), Ok(10_000), Ok(1_000_000)));
        for text in ["0.5", "-1", "2M", "max", "often"] {
            assert!(churn(text).unwrap_err().contains("10k/s"), "{text}");
        }
    }
}
