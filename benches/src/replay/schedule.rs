//! When each event of a log is to start again: from the times of the log to nanoseconds after the beginning.
//!
//! Owns what becomes of times that go backwards, of those before and after what was asked for, of events that have the second in
//! common, and the speed. Knows no clock. Not here: reading (`reader.rs`), waiting until an event is due (`play.rs`).

use super::time::Moment;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What becomes of events of which the log knows the second only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// Those of one second start in equal steps over it
    Even,
    /// All of one second start at its beginning
    None,
}

/// Which events, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Times as fast as the log.
    pub speed: f64,
    /// Whether events are spread over their second: the log knows no more than that.
    pub spread: bool,
    /// The first moment, in nanoseconds since 1970.
    pub from: Option<i64>,
    /// The moment before which it ends.
    pub until: Option<i64>,
    /// Events at most.
    pub limit: u64,
    /// Nothing is to start later, in nanoseconds after the beginning.
    pub last_start: u64,
    /// Whether any number of times may go backwards.
    pub unordered: bool,
}

/// What was seen of the times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Events that are to start.
    pub events: u64,
    /// Events left out: before or after what was asked for.
    pub outside: u64,
    /// Events with a time before one that stands above them: due at once.
    pub backwards: u64,
    /// The furthest that one of them goes back.
    pub furthest_back_ns: u64,
    /// Events that were spread over their second.
    pub spread: u64,
    /// From the first of them to the last, by the log's times, spread over their second where they are.
    pub span_ns: u64,
    /// The longest time between two of them.
    pub longest_gap_ns: u64,
    /// When the last is to start.
    pub last_start: u64,
}

/// More than this share of times that go backwards is no disorder in a log, but a log in another order.
pub const BACKWARDS_PERCENT: u64 = 10;

/// Whether there is more to schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Go {
    /// Yes.
    On,
    /// All that was asked for has been scheduled.
    Enough,
    /// Too many times go backwards.
    Backwards,
}

/// Makes starts of times.
#[derive(Debug)]
pub struct Schedule {
    rules: Rules,
    seen: Seen,
    first: Option<i64>,
    latest: i64,
    /// Events of the latest second that wait to be spread over it.
    waiting: u64,
    full: bool,
}

const SECOND: u64 = 1_000_000_000;

impl Schedule {
    /// Without an event yet.
    pub fn of(rules: Rules) -> Self {
        Self { rules, seen: Seen::default(), first: None, latest: 0, waiting: 0, full: false }
    }

    /// Takes in the next event of the log and gives the starts that are known with it to `out`, in order.
    pub fn add(&mut self, moment: Moment, mut out: impl FnMut(u64)) -> Go {
        let Rules { from, until, limit, unordered, .. } = self.rules;
        if from.is_some_and(|from| moment.ns < from) || until.is_some_and(|until| moment.ns >= until) {
            self.seen.outside += 1;
            return Go::On;
        }
        let first = *self.first.get_or_insert(moment.ns);
        if self.seen.events == 0 && self.waiting == 0 {
            self.latest = first;
        }
        let mut ns = moment.ns;
        if ns < self.latest {
            self.seen.backwards += 1;
            self.seen.furthest_back_ns = self.seen.furthest_back_ns.max(self.latest.abs_diff(ns));
            ns = self.latest;
        }
        let joins = self.rules.spread && moment.whole;
        if ns > self.latest || !joins {
            self.spread_waiting(&mut out);
            self.latest = ns;
        }
        if joins {
            self.waiting += 1;
        } else {
            self.start(ns.abs_diff(first), &mut out);
        }
        let taken = self.seen.events + self.waiting;
        if !unordered && taken >= 1_000 && self.is_in_another_order(taken) {
            return Go::Backwards;
        }
        if self.full || taken >= limit { Go::Enough } else { Go::On }
    }

    /// The starts that are left at the end of the log.
    pub fn end(mut self, mut out: impl FnMut(u64)) -> (Seen, Go) {
        self.spread_waiting(&mut out);
        let another = !self.rules.unordered && self.is_in_another_order(self.seen.events);
        (self.seen, if another { Go::Backwards } else { Go::Enough })
    }

    /// What was seen so far.
    pub const fn seen(&self) -> &Seen {
        &self.seen
    }

    const fn is_in_another_order(&self, events: u64) -> bool {
        self.seen.backwards * 100 > events * BACKWARDS_PERCENT
    }

    fn spread_waiting(&mut self, out: &mut impl FnMut(u64)) {
        let since_first = self.first.map_or(0, |first| self.latest.abs_diff(first));
        let count = std::mem::take(&mut self.waiting);
        for index in 0..count {
            // In 128 bits: more events than nanoseconds are left in 64 may have one second.
            let step = (u128::from(index) * u128::from(SECOND) / u128::from(count)) as u64;
            self.start(since_first + step, out);
        }
        self.seen.spread += if count > 1 { count } else { 0 };
    }

    fn start(&mut self, since_first: u64, out: &mut impl FnMut(u64)) {
        // A time with a fraction among whole seconds may lie before the last of those spread over its second.
        let since_first = since_first.max(self.seen.span_ns);
        let start = (since_first as f64 / self.rules.speed) as u64;
        if start > self.rules.last_start {
            self.full = true;
            return;
        }
        self.seen.events += 1;
        self.seen.longest_gap_ns = self.seen.longest_gap_ns.max(since_first - self.seen.span_ns);
        (self.seen.span_ns, self.seen.last_start) = (since_first, start);
        out(start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        speed: 1.0,
        spread: false,
        from: None,
        until: None,
        limit: u64::MAX,
        last_start: u64::MAX,
        unordered: false,
    };

    /// The starts of these times in milliseconds, whole seconds where they are multiples of 1000.
    fn starts(rules: Rules, times: &[i64]) -> (Vec<u64>, Seen, Go) {
        let (mut starts, mut schedule) = (Vec::new(), Schedule::of(rules));
        for ms in times {
            let moment = Moment { ns: 1_767_225_600_000_000_000 + ms * 1_000_000, whole: ms % 1_000 == 0 };
            match schedule.add(moment, |start| starts.push(start)) {
                Go::On => {}
                Go::Enough => break,
                Go::Backwards => return (starts, *schedule.seen(), Go::Backwards),
            }
        }
        let (seen, go) = schedule.end(|start| starts.push(start));
        (starts.into_iter().map(|ns| ns / 1_000).collect(), seen, go)
    }

    #[test]
    fn as_many_events_come_out_as_went_in_and_never_earlier_than_the_one_before() {
        // Some order, some disorder, whole seconds among others: as a log might have it.
        let times: Vec<i64> =
            (0..5_000_i64).map(|n| n * 17 + n * n * 7919 % 23 - 11 * i64::from(n % 50 == 3)).collect();
        for spread in [true, false] {
            let rules = Rules { spread, unordered: true, ..RULES };
            let (starts, seen, _) = starts(rules, &times);
            assert_eq!((starts.len(), seen.events), (times.len(), times.len() as u64));
            assert!(starts.windows(2).all(|pair| pair[0] <= pair[1]));
        }
    }

    #[test]
    fn twice_the_speed_takes_half_the_time() {
        let times: Vec<i64> = (0..1_000).map(|n| n * n).collect();
        let (one, seen, _) = starts(RULES, &times);
        let (two, twice, _) = starts(Rules { speed: 2.0, ..RULES }, &times);
        assert_eq!(one.iter().map(|start| start / 2).collect::<Vec<_>>(), two);
        assert_eq!((seen.last_start, seen.span_ns), (2 * twice.last_start, twice.span_ns));
    }

    #[test]
    fn events_of_one_second_are_spread_evenly_over_it() {
        let spread = Rules { spread: true, ..RULES };
        let (even, seen, _) = starts(spread, &[0, 0, 0, 0, 1_000, 3_000, 3_000]);
        assert_eq!(even, [0, 250_000, 500_000, 750_000, 1_000_000, 3_000_000, 3_500_000]);
        assert_eq!((seen.spread, seen.longest_gap_ns), (6, 2_000_000_000));
        let (none, seen, _) = starts(RULES, &[0, 0, 1_000]);
        assert_eq!((none, seen.spread), (vec![0, 0, 1_000_000], 0));
        assert_eq!(starts(spread, &[0, 0, 300, 1_000]).0, [0, 500_000, 500_000, 1_000_000]);
        let faster = Rules { speed: 10.0, ..spread };
        assert_eq!(starts(faster, &[0, 0, 1_000]).0, [0, 50_000, 100_000]);
    }

    #[test]
    fn a_time_that_goes_backwards_is_due_at_once_and_counted() {
        let times: Vec<i64> = [0, 1, 2, 3, 4, 2, 5, 6, 7, 8, 9].to_vec();
        let (starts, seen, go) = starts(RULES, &times);
        assert_eq!(starts, [0, 1_000, 2_000, 3_000, 4_000, 4_000, 5_000, 6_000, 7_000, 8_000, 9_000]);
        assert_eq!((seen.backwards, seen.furthest_back_ns, go), (1, 2_000_000, Go::Enough));
    }

    #[test]
    fn a_log_in_another_order_is_noticed_early_or_at_its_end() {
        let falling: Vec<i64> = (0..100_000).rev().collect();
        let (early, _, go) = starts(RULES, &falling);
        assert_eq!((early.len(), go), (1_000, Go::Backwards));
        assert_eq!(starts(RULES, &[5, 4, 3]).2, Go::Backwards);
        let allowed = starts(Rules { unordered: true, ..RULES }, &[5, 4, 3]);
        assert_eq!((allowed.0, allowed.2), (vec![0, 0, 0], Go::Enough));
    }

    #[test]
    fn only_what_was_asked_for_starts() {
        let base = 1_767_225_600_000_000_000;
        let part = Rules { from: Some(base + 2_000_000), until: Some(base + 5_000_000), ..RULES };
        let (inside, seen, _) = starts(part, &[0, 1, 2, 3, 4, 5, 6]);
        assert_eq!((inside, seen.outside, seen.backwards), (vec![0, 1_000, 2_000], 4, 0));
        assert_eq!(starts(Rules { limit: 2, ..RULES }, &[0, 1, 2, 3]).0, [0, 1_000]);
        let short = Rules { last_start: 2_000_000, ..RULES };
        let (in_time, seen, _) = starts(short, &[0, 1, 2, 300, 400]);
        assert_eq!(
            (in_time, seen.span_ns, seen.longest_gap_ns),
            (vec![0, 1_000, 2_000], 2_000_000, 1_000_000)
        );
        let spread = Rules { spread: true, limit: 3, ..RULES };
        assert_eq!(starts(spread, &[0, 0, 0, 0]).1.events, 3);
    }
}
