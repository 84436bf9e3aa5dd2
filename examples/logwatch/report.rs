//! What was found, as text.

use crate::input::Place;
use crate::{Found, LEVELS, Tally};
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

impl Found {
    /// Prints one line for each thing that was counted.
    pub(crate) fn report(&self, out: &mut impl Write, place: &Place<'_>, took: Duration) -> io::Result<()> {
        let count = |n: &AtomicU64| grouped(n.load(Relaxed));
        let (lines, bytes) = (place.lines.load(Relaxed), place.bytes.load(Relaxed));
        let seconds = took.as_secs_f64().max(1e-9);
        let (rate, speed) = ((lines as f64 / seconds) as u64, bytes as f64 / seconds / 1e6);
        writeln!(
            out,
            "lines    {} ({} bytes, {} input(s))",
            grouped(lines),
            grouped(bytes),
            place.inputs.len()
        )?;
        writeln!(out, "rate     {} lines/s, {speed:.1} MB/s, in {seconds:.3} s", grouped(rate))?;
        for ((name, _), n) in LEVELS.iter().zip(&self.levels) {
            writeln!(out, "{name:<8} {}", count(n))?;
        }
        writeln!(out, "no level {}", count(&self.no_level))?;
        for (verb, tallies) in [("match", &self.matches), ("ignore", &self.ignores)] {
            for Tally { text, count: n, first } in tallies {
                let first = first.get().map(|place| format!(", the first at {place}")).unwrap_or_default();
                writeln!(out, "{verb:<8} {text:?}: {}{first}", count(n))?;
            }
        }
        if !self.ignores.is_empty() {
            writeln!(out, "spared   {} calls of subscribers behind an ignore", count(&self.spared))?;
        }
        writeln!(out, "alerts   {}", count(&self.alerts))?;
        writeln!(
            out,
            "cut      {} lines longer than 1 MiB, into {} pieces",
            count(&place.cut),
            count(&place.pieces)
        )?;
        writeln!(out, "not text {} lines with bytes that are not UTF-8", count(&place.invalid))?;
        out.flush()
    }
}

/// 1234567 as 1,234,567.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
