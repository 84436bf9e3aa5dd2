//! A run as CSV: one row for each case and repeat.
//!
//! Owns the columns. An empty field is what the case has not: a closed loop no rate, no missed starts, no corrected latency.

use super::{
    outcome::{Outcome, Repeat, Row},
    record::Percentiles,
};

/// The columns.
pub const COLUMNS: [&str; 30] = [
    "case",
    "path",
    "subscribers",
    "publishers",
    "churn_per_s",
    "mode",
    "rate_per_s",
    "repeat",
    "broken_off",
    "seconds",
    "events",
    "throughput_per_s",
    "missed",
    "missed_percent",
    "never_begun",
    "changes",
    "batch",
    "corrected_p50_ns",
    "corrected_p90_ns",
    "corrected_p99_ns",
    "corrected_p99.9_ns",
    "corrected_p99.99_ns",
    "corrected_max_ns",
    "raw_p50_ns",
    "raw_p90_ns",
    "raw_p99_ns",
    "raw_p99.9_ns",
    "raw_p99.99_ns",
    "raw_max_ns",
    "warnings",
];

impl Outcome {
    /// All rows, with a heading.
    ///
    /// # Panics
    /// Never: it is written to memory.
    pub fn csv(&self) -> String {
        let mut sheet = csv::Writer::from_writer(Vec::new());
        sheet.write_record(COLUMNS).expect("memory takes it");
        for row in &self.rows {
            for repeat in &row.each {
                sheet.write_record(fields(row, repeat, self.cores)).expect("as many fields as columns");
            }
        }
        String::from_utf8(sheet.into_inner().expect("memory takes it")).expect("it is made of strings")
    }
}

fn fields(row: &Row, repeat: &Repeat, cores: usize) -> Vec<String> {
    fn or_empty<T: ToString>(value: Option<T>) -> String {
        value.map_or_else(String::new, |value| value.to_string())
    }
    let summary = &repeat.summary;
    let mode = if row.rate.is_some() { "fixed-rate" } else { "closed-loop" };
    let mut fields = vec![
        row.case.clone(),
        row.path.to_string(),
        row.subscribers.to_string(),
        row.publishers.to_string(),
        row.churn.to_string(),
        mode.to_owned(),
        or_empty(row.rate),
        repeat.repeat.to_string(),
        repeat.broken_off.to_string(),
        summary.seconds.to_string(),
        summary.events.to_string(),
        summary.throughput.to_string(),
        or_empty(summary.missed),
        or_empty(summary.missed_percent),
        summary.never_begun.to_string(),
        repeat.changes.to_string(),
        or_empty(row.batch),
    ];
    let percentiles = |of: Option<&Percentiles>| match of {
        Some(percentiles) => percentiles.all().map(|ns| ns.to_string()),
        None => Default::default(),
    };
    fields.extend(percentiles(summary.corrected.as_ref()));
    fields.extend(percentiles(Some(&summary.raw)));
    fields.push(row.warnings(cores).join("; "));
    fields
}

#[cfg(test)]
mod tests {
    use super::super::outcome::tests::outcome;
    use super::*;

    #[test]
    fn a_row_has_a_field_for_every_column_and_none_for_what_the_case_has_not() {
        let text = outcome().csv();
        let mut sheet = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(sheet.headers().unwrap(), &COLUMNS[..]);
        let rows: Vec<_> = sheet.records().map(Result::unwrap).collect();
        let at = |row: usize, name: &str| {
            rows[row][COLUMNS.iter().position(|column| *column == name).unwrap()].to_owned()
        };
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (at(0, "mode"), at(0, "missed"), at(0, "rate_per_s")),
            ("fixed-rate".into(), "1".into(), "1000000".into())
        );
        assert_eq!(
            (at(1, "mode"), at(1, "missed"), at(1, "batch")),
            ("closed-loop".into(), String::new(), "10".into())
        );
        assert_eq!((at(1, "raw_p50_ns"), at(1, "corrected_p50_ns")), ("30.511".into(), String::new()));
        assert!(at(1, "warnings").starts_with("3 threads on 2 cores") && at(0, "warnings").is_empty());
    }
}
