//! Which function is due next: pure, and told the time.
//!
//! Owns the deadlines. Not here: what is called, on which thread, and who waits (`worker.rs`).
//!
//! # Invariants
//! 1. Every entry that has a deadline, and is not being called, has exactly one element in the heap whose ticket is the
//!    entry's own. Elements with other tickets are left over, and skipped.
//! 2. After a call the next deadline is later than the call's end: what was missed is never made up.
//! 3. Deadlines stay on the grid that begins with the intended start of the first call, so lateness does not add up.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

/// Deadlines of functions, by their places: smaller ones were registered earlier.
#[derive(Debug, Default)]
pub struct Schedule {
    entries: BTreeMap<u64, Entry>,
    heap: BinaryHeap<Reverse<(Duration, u64, u64)>>,
    tickets: u64,
}

#[derive(Debug)]
struct Entry {
    period: Duration,
    /// The point of the grid before `due`.
    base: Duration,
    /// The intended start of the next call, or of the one that is being made; none, if it is past all time.
    due: Option<Duration>,
    /// Whether it has never been called, and is due without waiting for a period.
    at_once: bool,
    /// Whether it was taken by [`Schedule::take_due`], and its call is not [`Schedule::done`].
    taken: bool,
    ticket: u64,
}

impl Schedule {
    /// Nothing is due, ever.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry that has never been called, in place of what was there: due `at_once`, at `since`, or a period later.
    ///
    /// # Panics
    /// If the period is zero.
    pub fn add(&mut self, place: u64, period: Duration, since: Duration, at_once: bool) {
        let due = if at_once { Some(since) } else { since.checked_add(period) };
        self.insert(place, Entry { period, base: since, due, at_once, taken: false, ticket: 0 });
    }

    /// Adds an entry with the deadline that it had in a schedule before: [`due`](Self::due).
    ///
    /// # Panics
    /// If the period is zero.
    pub fn resume(&mut self, place: u64, period: Duration, due: Option<Duration>) {
        let base = due.map_or(Duration::ZERO, |due| due.saturating_sub(period));
        self.insert(place, Entry { period, base, due, at_once: false, taken: false, ticket: 0 });
    }

    fn insert(&mut self, place: u64, entry: Entry) {
        assert!(!entry.period.is_zero(), "a period is longer than zero");
        self.entries.insert(place, entry);
        self.push(place);
    }

    /// Changes a period: the next call comes one new period after the last one's intended start. One that is due without
    /// waiting for a period stays so. False if there is no such entry.
    ///
    /// # Panics
    /// If the period is zero.
    pub fn set_period(&mut self, place: u64, period: Duration) -> bool {
        assert!(!period.is_zero(), "a period is longer than zero");
        let Some(entry) = self.entries.get_mut(&place) else { return false };
        entry.period = period;
        if !entry.taken && !entry.at_once {
            entry.due = entry.base.checked_add(period);
            self.push(place);
        }
        true
    }

    /// Takes an entry out. False if there was none.
    pub fn remove(&mut self, place: u64) -> bool {
        self.entries.remove(&place).is_some()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The earliest deadline of what is not being called.
    pub fn next_due(&mut self) -> Option<Duration> {
        while let Some(Reverse((due, place, ticket))) = self.heap.peek() {
            if self.entries.get(place).is_some_and(|entry| entry.ticket == *ticket) {
                return Some(*due);
            }
            self.heap.pop();
        }
        None
    }

    /// The deadline of an entry: past all time, or there is no such entry: none.
    pub fn due(&self, place: u64) -> Option<Duration> {
        self.entries.get(&place)?.due
    }

    /// What is due at `now`, in the order of registration. Each has no deadline until it is [`done`](Self::done).
    pub fn take_due(&mut self, now: Duration) -> Vec<u64> {
        let mut due = Vec::new();
        while self.next_due().is_some_and(|next| next <= now) {
            if let Some(Reverse((_, place, _))) = self.heap.pop()
                && let Some(entry) = self.entries.get_mut(&place)
            {
                entry.taken = true;
                entry.ticket = 0;
                due.push(place);
            }
        }
        due.sort_unstable();
        due
    }

    /// The call of a taken entry is over at `now`. Nothing, if the entry was replaced or removed meanwhile.
    pub fn done(&mut self, place: u64, now: Duration) {
        let Some(entry) = self.entries.get_mut(&place).filter(|entry| entry.taken) else { return };
        let begun = entry.due.unwrap_or(now);
        entry.due = on_grid(begun, entry.period, now);
        entry.base = entry.due.map_or(begun, |due| due.saturating_sub(entry.period));
        (entry.taken, entry.at_once) = (false, false);
        self.push(place);
    }

    /// Puts the entry's deadline into the heap, and makes that its only one.
    fn push(&mut self, place: u64) {
        let Some(entry) = self.entries.get_mut(&place) else { return };
        self.tickets += 1;
        entry.ticket = self.tickets;
        if let Some(due) = entry.due {
            self.heap.push(Reverse((due, place, entry.ticket)));
        }
        // Changes of what is due in years leave elements that nobody would ever come to.
        if self.heap.len() > 2 * self.entries.len() + 64 {
            let entries = &self.entries;
            self.heap.retain(|Reverse((_, place, ticket))| {
                entries.get(place).is_some_and(|entry| entry.ticket == *ticket)
            });
        }
    }
}

/// The first point later than `now` of the grid `begun`, `begun + period`, …
fn on_grid(begun: Duration, period: Duration, now: Duration) -> Option<Duration> {
    let next = begun.checked_add(period)?;
    if next > now {
        return Some(next);
    }
    // At most `now + period`, which is far below what u128 holds.
    let (behind, period) = ((now - begun).as_nanos(), period.as_nanos());
    let nanos = begun.as_nanos() + (behind / period + 1) * period;
    const SECOND: u128 = 1_000_000_000;
    Some(Duration::new(u64::try_from(nanos / SECOND).ok()?, (nanos % SECOND) as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_that_were_changed_before_they_came_do_not_pile_up() {
        let mut schedule = Schedule::new();
        for n in 1..=10_000 {
            schedule.add(n % 4, Duration::from_secs(n), Duration::from_secs(n), false);
            assert!(schedule.set_period(n % 4, Duration::from_secs(2 * n)));
            assert!(schedule.heap.len() <= 2 * schedule.len() + 65, "{}", schedule.heap.len());
        }
        assert_eq!(schedule.next_due(), Some(Duration::from_secs(3 * 9_997)));
    }
}
