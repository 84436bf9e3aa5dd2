//! From figures to places in a drawing: even, or even for each factor where figures span decades; and round numbers for the axis.

/// Above this factor between the smallest and the largest figure, equal factors get equal room.
const SPAN: f64 = 25.0;

/// Figures from `low` to `high`, laid from `from` to `to`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    log: bool,
}

impl Scale {
    /// For these figures: even from 0 on, or by decades where they span more than a factor of `SPAN` and all are above 0.
    pub fn fitting(values: impl IntoIterator<Item = f64> + Clone, from: f64, to: f64) -> Self {
        let finite = values.into_iter().filter(|value| value.is_finite());
        let (low, high) =
            finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        if low > 0.0 && high / low > SPAN && high.is_finite() {
            return Self::log(low, high, from, to);
        }
        let (low, high) = (low.min(0.0), high.max(0.0));
        let high = if high > low { high } else { low + 1.0 };
        let (low, high) = if low.is_finite() { (low, high) } else { (0.0, 1.0) };
        Self { low, high, from, to, log: false }
    }

    /// Equal factors get equal room; both ends are above 0. Ends that are alike are moved apart.
    pub fn log(low: f64, high: f64, from: f64, to: f64) -> Self {
        let (low, high) = (low.max(f64::MIN_POSITIVE), high.max(f64::MIN_POSITIVE));
        let (low, high) = if high / low < 1.5 { (low / 1.5, high * 1.5) } else { (low, high) };
        Self { low, high, from, to, log: true }
    }

    /// The same with its ends at powers of ten.
    #[must_use]
    pub fn whole_decades(self) -> Self {
        if !self.log {
            return self;
        }
        // A hair inside: 1000 is not to be taken for a little more.
        let low = 10_f64.powf((self.low.log10() + 1e-9).floor());
        let high = 10_f64.powf((self.high.log10() - 1e-9).ceil());
        Self { low, high, ..self }
    }

    /// Whether equal factors get equal room.
    pub const fn is_log(&self) -> bool {
        self.log
    }

    /// Where a figure is; those outside are at the nearer end.
    pub fn at(&self, value: f64) -> f64 {
        let share = if self.log {
            (value.max(self.low).ln() - self.low.ln()) / (self.high.ln() - self.low.ln())
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// Round figures for the axis, at most so many or one more.
    pub fn ticks(&self, most: usize) -> Vec<f64> {
        let most = most.max(2);
        if self.log { self.decades(most) } else { self.steps(most) }
    }

    fn steps(&self, most: usize) -> Vec<f64> {
        let rough = (self.high - self.low) / most as f64;
        let ten = 10_f64.powf(rough.log10().floor());
        let step =
            [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * ten).find(|step| *step >= rough).unwrap_or(rough);
        let (first, last) =
            ((self.low / step).ceil() as i64, (self.high / step * (1.0 + 1e-12)).floor() as i64);
        (first..=last).map(|n| n as f64 * step).collect()
    }

    fn decades(&self, most: usize) -> Vec<f64> {
        let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        let inside = |value: &f64| *value >= self.low * (1.0 - 1e-9) && *value <= self.high * (1.0 + 1e-9);
        let of = |digits: &'static [f64], every: i32| {
            let decades = (first..=last).filter(move |decade| decade.rem_euclid(every) == 0);
            let all =
                decades.flat_map(move |decade| digits.iter().map(move |digit| digit * 10_f64.powi(decade)));
            all.filter(inside).collect::<Vec<_>>()
        };
        let finest = [&[1.0, 2.0, 5.0][..], &[1.0, 3.0], &[1.0]].into_iter().map(|digits| of(digits, 1));
        let coarser = (2..=last - first + 1).map(|every| of(&[1.0], every));
        finest.chain(coarser).find(|ticks| ticks.len() <= most + 1).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_begin_at_nothing_and_figures_that_span_decades_have_equal_room_for_equal_factors() {
        let even = Scale::fitting([3.0, 10.0], 100.0, 200.0);
        assert_eq!((even.is_log(), even.at(0.0), even.at(5.0), even.at(10.0)), (false, 100.0, 150.0, 200.0));
        let log = Scale::fitting([1.0, 10_000.0], 0.0, 100.0);
        assert!(log.is_log());
        assert_eq!([1.0, 10.0, 100.0, 10_000.0].map(|value| log.at(value).round()), [0.0, 25.0, 50.0, 100.0]);
        assert!(!Scale::fitting([0.0, 10_000.0], 0.0, 1.0).is_log(), "nothing has no logarithm");
    }

    #[test]
    fn odd_figures_have_a_place_all_the_same() {
        for values in [
            vec![],
            vec![0.0],
            vec![f64::NAN, f64::INFINITY],
            vec![-5.0, 5.0],
            vec![1e-300, 1e300],
            vec![7.0; 3],
        ] {
            let scale = Scale::fitting(values.iter().copied(), 0.0, 100.0);
            for value in values.iter().copied().filter(|value| value.is_finite()).chain([0.0, -1.0, 1e9]) {
                assert!((0.0..=100.0).contains(&scale.at(value)), "{values:?} {value} {scale:?}");
            }
            assert!(scale.ticks(5).len() <= 7, "{:?}", scale.ticks(5));
        }
    }

    #[test]
    fn axes_have_round_numbers_and_few() {
        assert_eq!(Scale::fitting([23.8], 0.0, 1.0).ticks(5), [0.0, 5.0, 10.0, 15.0, 20.0]);
        assert_eq!(Scale::log(1.5, 30.0, 0.0, 1.0).ticks(5), [2.0, 5.0, 10.0, 20.0]);
        assert_eq!(
            Scale::log(40.0, 4e5, 0.0, 1.0).whole_decades().ticks(6),
            [10.0, 100.0, 1e3, 1e4, 1e5, 1e6]
        );
        assert_eq!(Scale::log(1.0, 1e12, 0.0, 1.0).ticks(5), [1.0, 1e3, 1e6, 1e9, 1e12]);
        assert_eq!(Scale::log(1e3, 1e4, 0.0, 1.0).whole_decades().ticks(2), [1e3, 3e3, 1e4]);
    }
}
