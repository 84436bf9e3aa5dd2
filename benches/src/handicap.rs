//! More work than is counted, on request: so that the lab's own tests can see whether a comparison notices it.
//!
//! Owns the environment variable. With `SIGNALPOST_LAB_HANDICAP=10` every lap of `lab paths` publishes 10 more events for each
//! hundred that it counts: real work, done by the path that is measured. Every document then says so among its warnings.

use std::sync::OnceLock;

/// Percent more.
pub(crate) const VARIABLE: &str = "SIGNALPOST_LAB_HANDICAP";

/// Publishes to do where so many are counted.
pub(crate) fn of(publishes: u64) -> u64 {
    publishes + (publishes as f64 * percent() / 100.0).round() as u64
}

/// What to say of it, if there is one.
pub(crate) fn warning() -> Option<String> {
    (percent() > 0.0)
        .then(|| format!("{VARIABLE}: every path does {} % more work than is counted", percent()))
}

fn percent() -> f64 {
    static PERCENT: OnceLock<f64> = OnceLock::new();
    *PERCENT.get_or_init(|| {
        let value = std::env::var(VARIABLE).unwrap_or_default();
        value.parse().ok().filter(|percent| (0.0..=1000.0).contains(percent)).unwrap_or(0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_handicapped_without_asking() {
        if std::env::var_os(VARIABLE).is_none() {
            assert_eq!((of(0), of(1_000), warning()), (0, 1_000, None));
        }
    }
}
