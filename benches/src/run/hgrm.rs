//! Percentiles as text (`--hgrm`), as the `HdrHistogram` plotter and its kin read them.
//!
//! Owns the format: value in nanoseconds, percentile, events up to it, `1/(1-percentile)`; five lines for each halving of the
//! events that are left; what the Java implementation's `outputPercentileDistribution` writes.

use hdrhistogram::Histogram;
use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

/// The percentiles of a histogram of which so many units are a nanosecond.
pub fn text(histogram: &Histogram<u64>, units: u64) -> String {
    let ns = |value: f64| value / units as f64;
    let mut text =
        format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut up_to = 0;
    for step in histogram.iter_quantiles(5) {
        up_to += step.count_since_last_iteration();
        let (value, quantile) = (ns(step.value_iterated_to() as f64), step.quantile_iterated_to());
        write!(text, "{value:12.3} {quantile:2.12} {up_to:10}").expect("memory takes it");
        if quantile < 1.0 {
            write!(text, " {:14.2}", 1.0 / (1.0 - quantile)).expect("memory takes it");
        }
        text.push('\n');
    }
    let (mean, deviation) = (ns(histogram.mean()), ns(histogram.stdev()));
    text += &format!("#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]\n");
    text += &format!(
        "#[Max     = {:12.3}, Total count    = {:12}]\n",
        ns(histogram.max() as f64),
        histogram.len()
    );
    // Two thousand to the power of two above: what three digits take.
    text += &format!("#[Buckets = {:12}, SubBuckets     = {:12}]\n", histogram.buckets(), 2048);
    text
}

/// The file of a case: FILE itself when there is one case, else FILE with `-<case>` before its extension.
pub fn file(path: &Path, case: Option<&str>) -> PathBuf {
    let Some(case) = case else { return path.to_owned() };
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push("-");
    name.push(case);
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pace;

    #[test]
    fn every_line_has_four_columns_that_rise_and_the_last_one_is_the_slowest_event() {
        let mut histogram = pace::histogram();
        (1..=10_000).for_each(|value| histogram.record(value * 10).unwrap());
        let text = text(&histogram, 1);
        let lines: Vec<Vec<f64>> = text
            .lines()
            .skip(2)
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|word| word.parse().unwrap()).collect())
            .collect();
        let (last, others) = lines.split_last().unwrap();
        assert_eq!((last.len(), last[1], last[2]), (3, 1.0, 10_000.0), "{text}");
        assert!((last[0] - 100_000.0).abs() < 100.0, "{text}");
        assert!(others.iter().all(|line| line.len() == 4), "{text}");
        assert!(
            lines.windows(2).all(|pair| (0..3).all(|column| pair[0][column] <= pair[1][column])),
            "{text}"
        );
        assert!(
            others.iter().any(|line| line[1] == 0.5 && line[3] == 2.0 && (line[0] - 50_000.0).abs() < 50.0),
            "{text}"
        );
        assert!(
            text.ends_with("SubBuckets     =         2048]\n")
                && text.contains("Total count    =        10000]"),
            "{text}"
        );
    }

    #[test]
    fn a_part_of_a_nanosecond_is_not_lost() {
        let mut histogram = pace::histogram();
        histogram.record(850).unwrap();
        assert!(text(&histogram, 1_000).contains("       0.850 "), "{}", text(&histogram, 1_000));
    }

    #[test]
    fn several_cases_have_a_file_each_beside_one_another() {
        assert_eq!(file(Path::new("a/run.hgrm"), None), Path::new("a/run.hgrm"));
        assert_eq!(file(Path::new("a/run.hgrm"), Some("x-1")), Path::new("a/run-x-1.hgrm"));
        assert_eq!(file(Path::new("run"), Some("x-1")), Path::new("run-x-1"));
    }
}
