//! Medians, spreads and paired comparisons.
//!
//! Rounds are compared pairwise: what disturbed a round disturbed both, so the median of the
//! differences says more than the difference of the medians.

use serde::Serialize;

/// The value below which a share `q` (0 to 1) of the values lies, between neighbours in proportion.
///
/// # Panics
/// When there are no values, or one is not a number.
pub fn quantile(values: &[f64], q: f64) -> f64 {
    assert!(!values.is_empty(), "a quantile of nothing");
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).expect("a measured time is a number"));
    let place = q.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

/// The middle value; of an even number the mean of the two in the middle.
///
/// # Panics
/// As [`quantile`].
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The middle of several rounds, and how far apart they were.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The middle round.
    pub median: f64,
    /// The lowest.
    pub min: f64,
    /// The highest.
    pub max: f64,
}

impl Spread {
    /// Of at least one value.
    ///
    /// # Panics
    /// As [`quantile`].
    pub fn of(values: &[f64]) -> Self {
        Self { median: median(values), min: quantile(values, 0.0), max: quantile(values, 1.0) }
    }
}

/// Round by round, `of` less `from`.
///
/// # Panics
/// When the two have not the same number of rounds.
pub fn differences(of: &[f64], from: &[f64]) -> Vec<f64> {
    paired(of, from, |of, from| of - from)
}

/// Round by round, `of` over `to`.
///
/// # Panics
/// When the two have not the same number of rounds.
pub fn ratios(of: &[f64], to: &[f64]) -> Vec<f64> {
    paired(of, to, |of, to| of / to)
}

fn paired(a: &[f64], b: &[f64], combine: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    assert_eq!(a.len(), b.len(), "rounds that do not pair up");
    a.iter().zip(b).map(|(&a, &b)| combine(a, b)).collect()
}

/// The geometric mean, which is the fair one for ratios.
///
/// # Panics
/// When there are no values.
pub fn geometric_mean(ratios: &[f64]) -> f64 {
    assert!(!ratios.is_empty(), "a mean of nothing");
    (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp()
}

/// A small generator for shuffles that are the same in every run with the same seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Shuffler(u64);

impl Shuffler {
    /// Starts a sequence.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Puts the items in another order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, (self.next() % (last as u64 + 1)) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_whatever_the_order_and_between_two_their_mean() {
        assert_eq!(median(&[9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(&[7.0]), 7.0);
    }

    #[test]
    fn quantiles_go_from_the_lowest_to_the_highest() {
        let values = [50.0, 10.0, 30.0, 20.0, 40.0];
        assert_eq!(quantile(&values, 0.0), 10.0);
        assert_eq!(quantile(&values, 0.25), 20.0);
        assert_eq!(quantile(&values, 0.625), 35.0);
        assert_eq!(quantile(&values, 1.0), 50.0);
    }

    #[test]
    #[should_panic(expected = "a quantile of nothing")]
    fn the_median_of_nothing_panics() {
        median(&[]);
    }

    #[test]
    fn a_spread_has_the_middle_and_both_ends() {
        let spread = Spread::of(&[3.0, 1.0, 8.0]);
        assert_eq!((spread.min, spread.median, spread.max), (1.0, 3.0, 8.0));
    }

    #[test]
    fn a_disturbed_round_disturbs_both_and_not_their_difference() {
        let (floor, path) = ([2.0, 90.0, 2.0], [3.0, 91.0, 3.0]);
        assert_eq!(median(&differences(&path, &floor)), 1.0);
        assert_eq!(ratios(&[6.0, 2.0], &[3.0, 4.0]), [2.0, 0.5]);
    }

    #[test]
    #[should_panic(expected = "rounds that do not pair up")]
    fn rounds_of_different_number_are_not_paired() {
        differences(&[1.0], &[1.0, 2.0]);
    }

    #[test]
    fn the_geometric_mean_of_a_ratio_and_its_inverse_is_one() {
        assert!((geometric_mean(&[4.0, 0.25]) - 1.0).abs() < 1e-12);
        assert!((geometric_mean(&[2.0, 8.0]) - 4.0).abs() < 1e-12);
    }

    #[test]
    fn a_shuffle_keeps_every_item_and_is_the_same_for_the_same_seed() {
        let shuffled = |seed| {
            let mut items: Vec<u32> = (0..50).collect();
            Shuffler::new(seed).shuffle(&mut items);
            items
        };
        let mut back = shuffled(7);
        assert_eq!(back, shuffled(7));
        assert_ne!(back, shuffled(8));
        back.sort_unstable();
        assert_eq!(back, (0..50).collect::<Vec<_>>());
    }
}
