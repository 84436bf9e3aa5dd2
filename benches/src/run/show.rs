//! A run for people: one table for each path with its subscribers, publishers and churn.
//!
//! Owns the layout. Corrected and raw latencies never share a row without a name.

use super::{
    outcome::{Outcome, Row},
    rate::Rate,
    record::Percentiles,
};
use crate::table::{Cell, Colour, Table, Tone, counted, grouped, nanoseconds};

impl Outcome {
    /// The tables, how to read them, and the warnings.
    pub fn report(&self, colour: Colour) -> String {
        let mut text = String::new();
        let mut rows = &self.rows[..];
        while let Some(first) = rows.first() {
            let same = rows.iter().take_while(|row| setting(row) == setting(first)).count();
            let (of_one, rest) = rows.split_at(same);
            text +=
                &format!("\n{}\n{}", colour.paint(Tone::Good, &setting(first)), table(of_one).render(colour));
            rows = rest;
        }
        if text.is_empty() {
            text += "\n  nothing was measured\n";
        }
        text += &self.explanation();
        for warning in self.warnings() {
            text += &colour.paint(Tone::Bad, &format!("  warning: {warning}\n"));
        }
        text
    }

    fn explanation(&self) -> String {
        let pinned = if self.pinned {
            "each thread on a core of its own while there are enough"
        } else {
            "threads not pinned"
        };
        let mut text = format!(
            "  Nanoseconds. {} of {:.1} s each, merged; {pinned}.\n",
            counted(self.repeats, "repeat"),
            self.repeat_seconds
        );
        if self.rows.iter().any(|row| row.settings.rate == Rate::Max) {
            text += "  closed loop: one publish after another; the mean of each batch, counted for each of its publishes.\n";
        }
        if self.rows.iter().any(|row| row.settings.rate != Rate::Max) {
            text += "  corrected: from when an event was meant to start, so that a stall counts for every event that it delayed.\n  \
                     raw: from when it did start. missed: begun more than one period late.\n";
        }
        text += &format!(
            "  A look at the clock costs {} ns here, and each raw latency, and each batch, has about one in it: nothing is\n  \
             subtracted.\n",
            nanoseconds(self.clock_ns)
        );
        text
    }
}

/// What the rows of one table have in common.
fn setting(row: &Row) -> String {
    let mut setting = format!(
        "{}, {}, {}",
        row.path,
        counted(row.subscribers, "subscriber"),
        counted(row.publishers, "publisher"),
    );
    if row.churn > 0 {
        setting += &format!(", {} registrations a second", grouped(row.churn as usize));
    }
    setting
}

fn table(rows: &[Row]) -> Table {
    let head =
        ["rate", "latency"].into_iter().chain(Percentiles::NAMES).chain(["missed", "events/s", "events"]);
    let mut table = Table::headed(head);
    for row in rows {
        let total = &row.total;
        let missed = total.missed_percent.map_or_else(String::new, |percent| match percent {
            percent if percent > 0.0 && percent < 0.001 => "<0.001 %".to_owned(),
            percent => format!("{percent:.3} %"),
        });
        let figures = [
            Cell::from(missed),
            grouped(total.throughput.round() as usize).into(),
            Cell::toned(Tone::Quiet, grouped(total.events as usize)),
        ];
        let latencies =
            |percentiles: &Percentiles, tone| percentiles.all().map(|ns| Cell::toned(tone, nanoseconds(ns)));
        let rate = row.settings.rate.to_string();
        if let Some(corrected) = &total.corrected {
            let first = [Cell::from(rate), "corrected".into()];
            table.row(first.into_iter().chain(latencies(corrected, Tone::Plain)).chain(figures));
            let first = [Cell::from(""), Cell::toned(Tone::Quiet, "raw")];
            let none = ["", "", ""].map(Cell::from);
            table.row(first.into_iter().chain(latencies(&total.raw, Tone::Quiet)).chain(none));
        } else {
            let batch = format!("batch of {}", row.batch.unwrap_or(1));
            let first = [Cell::from(rate), batch.into()];
            table.row(first.into_iter().chain(latencies(&total.raw, Tone::Plain)).chain(figures));
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::outcome::tests::outcome;
    use super::*;

    #[test]
    fn both_latencies_are_shown_with_their_names_and_so_are_batch_clock_and_missed_starts() {
        let text = outcome().report(Colour(false));
        let row = |word: &str| {
            text.lines().find(|line| line.contains(word)).unwrap_or_else(|| panic!("{word}: {text}"))
        };
        assert!(row(" corrected ").contains("2,061") && row(" corrected ").contains("50.000 %"), "{text}");
        assert!(row(" raw ").contains("60.0") && !row(" raw ").contains("2,061"), "{text}");
        assert!(
            row("closed loop  ").contains("batch of 10") && row("closed loop  ").contains("30.5"),
            "{text}"
        );
        for part in [
            "A look at the clock costs 25.0 ns",
            "10 registrations a second",
            "warning: 3 threads on 2 cores",
        ] {
            assert!(text.contains(part), "no {part:?} in:\n{text}");
        }
    }

    #[test]
    fn nothing_measured_is_said() {
        let mut outcome = outcome();
        outcome.rows.clear();
        assert!(outcome.report(Colour(false)).contains("nothing was measured"));
    }
}
