//! How far two sets of figures are apart, with an interval that supposes no distribution.
//!
//! Owns the two estimates and their intervals. Not here: what is done with them (`judge.rs`).
//!
//! *Two sets measured apart*: the Hodges-Lehmann estimate, the middle of all differences between one of the new and one of the base;
//! its interval leaves out as many differences at each end as the exact distribution of the Mann-Whitney count allows (Hollander,
//! Wolfe and Chicken, *Nonparametric Statistical Methods*, 3rd edition, 2014, sections 4.2 and 4.3). *Pairs measured side by side*:
//! the middle difference, and the interval between two of the differences that the binomial distribution gives (the same, section
//! 3.6; David and Nagaraja, *Order Statistics*, 3rd edition, 2003, section 7.1). Means of pairs (signed ranks) would make it narrower
//! where nothing disturbs; but a run that the machine stalled for a while would then move all of it. Both hold for five values and
//! for ties, where they are a little wider than they need be. Above some sixty values counts are taken from the normal distribution
//! that they approach.
//!
//! Nothing here is drawn at random: the same figures give the same interval.

use serde::Serialize;

/// An estimate and what it lies within.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The estimate.
    pub middle: f64,
    /// The upper end.
    pub high: f64,
    /// How often of one such intervals hold what they estimate: at least what was asked for, or as much as so few values allow.
    pub confidence: f64,
}

impl Interval {
    /// Of something that is known exactly.
    pub const fn exact(value: f64) -> Self {
        Self { low: value, middle: value, high: value, confidence: 1.0 }
    }

    /// With all three put through a rising function.
    #[must_use]
    pub fn map(self, rising: impl Fn(f64) -> f64) -> Self {
        Self { low: rising(self.low), middle: rising(self.middle), high: rising(self.high), ..self }
    }
}

/// Values above which consecutive ones are put together: each set's differences to the other grow with their product.
const MOST: usize = 500;

/// Largest number of values whose counts are taken from the exact distribution.
const EXACT: usize = 60;

/// How far `new` lies above `base`, measured apart.
///
/// # Panics
/// When one has no values, or a value is not a number.
pub(super) fn apart(base: &[f64], new: &[f64], confidence: f64) -> Interval {
    let (base, new) = (at_most(base), at_most(new));
    let differences = new.iter().flat_map(|new| base.iter().map(move |base| new - base)).collect();
    let below = MannWhitney { base: base.len(), new: new.len() };
    between(differences, &below.tails(), confidence)
}

/// How far the second of each pair lies above the first, measured side by side.
///
/// # Panics
/// When there are no pairs, or a difference is not a number.
pub(super) fn paired(differences: &[f64], confidence: f64) -> Interval {
    let differences = at_most(differences);
    let tails = sign_tails(differences.len());
    between(differences, &tails, confidence)
}

/// The values; or, of more than [`MOST`], the middles of runs of consecutive ones.
fn at_most(values: &[f64]) -> Vec<f64> {
    if values.len() <= MOST {
        return values.to_vec();
    }
    values.chunks(values.len().div_ceil(MOST)).map(crate::stats::median).collect()
}

/// The middle of the values, and the interval from the k-th lowest to the k-th highest. `tails[k]` is the chance that what is
/// estimated lies below the k+1-th lowest.
fn between(mut values: Vec<f64>, tails: &[f64], confidence: f64) -> Interval {
    assert!(!values.is_empty(), "an interval of nothing");
    values.sort_by(|a, b| a.partial_cmp(b).expect("a figure is a number"));
    let wanted = (1.0 - confidence) / 2.0;
    let allowed = tails.iter().take((values.len() - 1) / 2 + 1).take_while(|tail| **tail <= wanted).count();
    let out = allowed.saturating_sub(1);
    Interval {
        low: values[out],
        middle: crate::stats::median(&values),
        high: values[values.len() - 1 - out],
        confidence: (1.0 - 2.0 * tails[out]).max(0.0),
    }
}

/// In how many ways two sets can lie between each other.
struct MannWhitney {
    base: usize,
    new: usize,
}

impl MannWhitney {
    /// The chance that at most 0, 1, 2, … of all pairs have the new below the base, if both are of one distribution.
    fn tails(&self) -> Vec<f64> {
        let (base, new) = (self.base, self.new);
        let pairs = base * new;
        if base + new > EXACT {
            let (base, new, pairs) = (base as f64, new as f64, pairs as f64);
            return normal_tails(pairs / 2.0, (pairs * (base + new + 1.0) / 12.0).sqrt());
        }
        // Ways to choose `chosen` places of those looked at so far, so that `below` of the others come before them.
        let mut ways = vec![vec![0.0; pairs + 1]; new + 1];
        ways[0][0] = 1.0;
        for place in 0..base + new {
            for chosen in (1..=new.min(place + 1)).rev() {
                let before = place + 1 - chosen;
                for below in (before..=pairs).rev() {
                    ways[chosen][below] += ways[chosen - 1][below - before];
                }
            }
        }
        cumulated(&ways[new])
    }
}

/// The chance that at most 0, 1, 2, … differences lie below their middle: throws of a coin.
fn sign_tails(pairs: usize) -> Vec<f64> {
    if pairs > EXACT {
        let pairs = pairs as f64;
        return normal_tails(pairs / 2.0, pairs.sqrt() / 2.0);
    }
    let mut ways = vec![0.0; pairs + 1];
    ways[0] = 1.0;
    for _ in 0..pairs {
        for below in (1..=pairs).rev() {
            ways[below] += ways[below - 1];
        }
    }
    cumulated(&ways)
}

fn cumulated(ways: &[f64]) -> Vec<f64> {
    let all: f64 = ways.iter().sum();
    let mut so_far = 0.0;
    let share = |ways: &f64| {
        so_far += ways;
        so_far / all
    };
    ways.iter().map(share).collect()
}

/// The same chances of a count with this mean and deviation, up to its mean.
fn normal_tails(mean: f64, deviation: f64) -> Vec<f64> {
    (0..=mean as usize).map(|count| normal((count as f64 + 0.5 - mean) / deviation)).collect()
}

/// The chance that a normal variable is below `z`, for `z` up to 0: Abramowitz and Stegun, *Handbook of Mathematical Functions*,
/// 26.2.17, to 7.5e-8.
fn normal(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let series = t
        * (0.319_381_530
            + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    let above = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * series;
    if z <= 0.0 { above } else { 1.0 - above }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_are_those_of_the_tables() {
        // Five beside five: 252 ways; 1, 1, 2, 3 of them have 0, 1, 2, 3 pairs below.
        let tails = MannWhitney { base: 5, new: 5 }.tails();
        let ways: Vec<_> = tails[..4].iter().map(|tail| (tail * 252.0).round()).collect();
        assert_eq!(ways, [1.0, 2.0, 4.0, 7.0]);
        assert_eq!(MannWhitney { base: 3, new: 1 }.tails(), [0.25, 0.5, 0.75, 1.0]);
        // Seven throws: 128 ways; 1, 7, 21 of them have 0, 1, 2 below.
        let tails = sign_tails(7);
        let ways: Vec<_> = tails[..3].iter().map(|tail| (tail * 128.0).round()).collect();
        assert_eq!(ways, [1.0, 8.0, 29.0]);
    }

    #[test]
    fn many_values_come_close_to_what_few_count_exactly() {
        let exact = MannWhitney { base: 30, new: 30 }.tails();
        let close = normal_tails(450.0, (900.0_f64 * 61.0 / 12.0).sqrt());
        assert!((exact[300] - close[300]).abs() < 1e-3, "{} {}", exact[300], close[300]);
        let exact = sign_tails(60);
        let close = normal_tails(30.0, 60.0_f64.sqrt() / 2.0);
        assert!((exact[22] - close[22]).abs() < 1e-3, "{} {}", exact[22], close[22]);
        assert!((normal(-1.959_964) - 0.025).abs() < 1e-6);
    }

    #[test]
    fn five_beside_five_leave_two_differences_out_at_each_end() {
        let base = [10.0, 11.0, 12.0, 13.0, 14.0];
        let new = base.map(|value| value + 100.0);
        let interval = apart(&base, &new, 0.95);
        // 25 differences from 96 to 104: the third lowest is 97, the third highest 103.
        assert_eq!((interval.low, interval.middle, interval.high), (97.0, 100.0, 103.0));
        assert!((interval.confidence - (1.0 - 8.0 / 252.0)).abs() < 1e-12);
    }

    #[test]
    fn too_few_values_for_the_confidence_give_all_that_they_allow() {
        let interval = paired(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.999);
        assert_eq!((interval.low, interval.high), (1.0, 5.0));
        assert!((interval.confidence - (1.0 - 2.0 / 32.0)).abs() < 1e-12);
    }

    #[test]
    fn disturbed_pairs_do_not_carry_the_interval_away() {
        let mut differences: Vec<f64> = (0..21).map(|pair| 0.1 + f64::from(pair) / 1000.0).collect();
        for (pair, stalled) in [(3, -0.5), (9, -0.7), (12, 0.6), (17, 2.0)] {
            differences[pair] = stalled;
        }
        let interval = paired(&differences, 0.95);
        assert!(interval.low >= 0.1 && interval.high <= 0.121, "{interval:?}");
        // Twenty-one throws: 0.0133 of them have at most five below, 0.039 at most six.
        assert!((interval.confidence - (1.0 - 2.0 * 27_896.0 / 2_097_152.0)).abs() < 1e-12, "{interval:?}");
    }

    #[test]
    fn thousands_of_values_are_put_together_first() {
        let base: Vec<f64> = (0..20_000).map(|value| f64::from(value % 100)).collect();
        let interval = apart(&base, &base, 0.95);
        assert!(interval.low <= 0.0 && interval.high >= 0.0 && interval.middle.abs() < 1.0, "{interval:?}");
    }
}
