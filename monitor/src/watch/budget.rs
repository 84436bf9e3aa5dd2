//! How much is said: how often a stack was there before, and how many reports there may be.

use crate::stack::StackTrace;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// Reports that may come at once, and how many more a second.
const BURST: u32 = 100;
const PER_SECOND: u32 = 10;
/// How many different stacks are remembered.
const STACKS: usize = 256;

/// Which stacks there were, and how often.
#[derive(Default)]
pub(super) struct Stacks {
    counts: HashMap<u64, u64>,
    order: VecDeque<u64>,
}

impl Stacks {
    /// How often it was there before.
    pub(super) fn count(&mut self, stack: &StackTrace) -> u64 {
        let hash = stack.hash();
        if let Some(count) = self.counts.get_mut(&hash) {
            *count += 1;
            return *count;
        }
        if self.order.len() == STACKS
            && let Some(oldest) = self.order.pop_front()
        {
            self.counts.remove(&oldest);
        }
        self.order.push_back(hash);
        self.counts.insert(hash, 0);
        0
    }
}

/// How many reports there may be: a burst, and some more each second.
pub(super) struct Budget {
    left: u32,
    filled: Duration,
    dropped: u64,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { left: BURST, filled: Duration::ZERO, dropped: 0 }
    }

    pub(super) fn take(&mut self, now: Duration) -> bool {
        let each = Duration::from_secs(1) / PER_SECOND;
        let more = now.saturating_sub(self.filled).as_nanos() / each.as_nanos();
        if let Ok(more) = u32::try_from(more) {
            self.left = self.left.saturating_add(more).min(BURST);
            self.filled += each * more; // what is left of the time counts for the next one
        } else {
            (self.left, self.filled) = (BURST, now);
        }
        let enough = self.left > 0;
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => self.dropped += 1,
        }
        enough
    }

    /// How many were dropped since this was asked last.
    pub(super) fn dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_reports_at_once_and_then_ten_a_second() {
        let mut budget = Budget::new();
        let mut at = |millis| budget.take(Duration::from_millis(millis));
        assert_eq!((0..150).filter(|_| at(0)).count(), 100);
        assert!(!at(99));
        assert!(at(100) && !at(100));
        assert_eq!((0..20).filter(|_| at(1_100)).count(), 10);
        assert_eq!(budget.dropped(), 50 + 1 + 1 + 10);
        assert_eq!(budget.dropped(), 0);
        assert!(
            (0..100).all(|n| budget.take(Duration::from_millis(100_000 + 130 * n))),
            "less often than it is filled"
        );
        let taken = (0..1_000).filter(|n| budget.take(Duration::from_millis(200_000 + 70 * n))).count();
        assert_eq!(taken, 100 + 699, "seven of ten, to the last");
    }
}
