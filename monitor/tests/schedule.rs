//! Which function is due next, by a clock that the test turns.

use signalpost::monitor::schedule::Schedule;
use std::collections::BTreeMap;
use std::time::Duration;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Calls what is due at `now`, for no time.
fn turn(schedule: &mut Schedule, now: Duration) -> Vec<u64> {
    let due = schedule.take_due(now);
    due.iter().for_each(|place| schedule.done(*place, now));
    due
}

#[test]
fn a_new_function_is_due_at_once_or_a_period_later() {
    let mut schedule = Schedule::new();
    schedule.add(0, s(10), s(100), true);
    schedule.add(1, s(10), s(100), false);
    assert_eq!(schedule.next_due(), Some(s(100)));
    assert_eq!(turn(&mut schedule, s(100)), [0]);
    assert_eq!(schedule.next_due(), Some(s(110)));
    assert_eq!(turn(&mut schedule, s(110)), [0, 1]);
}

#[test]
fn nothing_is_due_before_its_time() {
    let mut schedule = Schedule::new();
    assert_eq!((schedule.next_due(), schedule.is_empty()), (None, true));
    schedule.add(0, s(1), s(5), false);
    assert_eq!(schedule.take_due(s(6) - Duration::from_nanos(1)), []);
    assert_eq!(schedule.take_due(s(6)), [0]);
    assert_eq!(schedule.next_due(), None, "it is being called");
    schedule.done(0, s(6));
    assert_eq!((schedule.next_due(), schedule.len()), (Some(s(7)), 1));
}

#[test]
fn functions_due_together_are_called_in_the_order_of_registration() {
    let mut schedule = Schedule::new();
    schedule.add(3, s(1), s(0), false);
    schedule.add(1, s(3), s(0), false);
    schedule.add(2, s(2), s(0), false);
    assert_eq!(schedule.take_due(s(3)), [1, 2, 3], "though 3 was due before 2, and that before 1");
}

#[test]
fn lateness_does_not_add_up() {
    let mut schedule = Schedule::new();
    schedule.add(0, ms(100), s(1), true);
    for n in 0..1_000 {
        let due = s(1) + n * ms(100);
        assert_eq!(schedule.next_due(), Some(due));
        assert_eq!(turn(&mut schedule, due + ms(99)), [0]);
    }
}

#[test]
fn missed_calls_are_never_made_up() {
    let mut schedule = Schedule::new();
    schedule.add(0, s(1), s(0), true);
    turn(&mut schedule, s(0));
    assert_eq!(turn(&mut schedule, ms(10_500)), [0], "ten were missed, one call");
    assert_eq!(schedule.next_due(), Some(s(11)), "on the grid of the first");
    // One that takes longer than its period has its next after its end, not on top of it.
    assert_eq!(schedule.take_due(s(11)), [0]);
    schedule.done(0, ms(14_200));
    assert_eq!(schedule.next_due(), Some(s(15)));
    // A function that ends on the grid's point has missed that one.
    assert_eq!(schedule.take_due(s(15)), [0]);
    schedule.done(0, s(17));
    assert_eq!(schedule.next_due(), Some(s(18)));
}

#[test]
fn what_another_held_up_is_called_once() {
    let mut schedule = Schedule::new();
    schedule.add(0, s(10), s(0), true);
    schedule.add(1, s(1), s(0), true);
    assert_eq!(schedule.take_due(s(0)), [0, 1]);
    schedule.done(0, ms(5_500));
    schedule.done(1, ms(5_500));
    assert_eq!(turn(&mut schedule, ms(5_500)), []);
    assert_eq!(turn(&mut schedule, s(6)), [1]);
}

#[test]
fn periods_may_be_a_nanosecond_years_and_all_time() {
    let (nano, year) = (Duration::from_nanos(1), s(31_557_600));
    let mut schedule = Schedule::new();
    schedule.add(0, nano, s(7), true);
    schedule.add(1, 1_000 * year, s(7), true);
    schedule.add(2, Duration::MAX, s(7), true);
    schedule.add(3, Duration::MAX, s(7), false);
    assert_eq!(turn(&mut schedule, s(7)), [0, 1, 2]);
    assert_eq!(schedule.next_due(), Some(s(7) + nano));
    assert_eq!((schedule.due(1), schedule.due(2), schedule.due(3)), (Some(s(7) + 1_000 * year), None, None));
    // A nanosecond's function slept for a thousand years.
    assert_eq!(turn(&mut schedule, s(7) + 1_000 * year), [0, 1]);
    assert_eq!(schedule.next_due(), Some(s(7) + 1_000 * year + nano));
    // Never is not for ever.
    assert!(schedule.set_period(3, s(1)));
    assert_eq!(schedule.next_due(), Some(s(8)));
}

#[test]
fn a_clock_far_from_zero_is_as_good() {
    let end = Duration::MAX;
    let mut schedule = Schedule::new();
    schedule.add(0, s(3), end - s(10), true);
    for left in [10, 7, 4, 1] {
        assert_eq!(schedule.next_due(), Some(end - s(left)));
        assert_eq!(turn(&mut schedule, end - s(left)), [0]);
    }
    assert_eq!(schedule.next_due(), None, "the next would be past all time");
    schedule.add(1, Duration::from_nanos(7), s(0), true);
    assert_eq!(turn(&mut schedule, end), [1]);
    assert_eq!((schedule.next_due(), schedule.len()), (None, 2));
}

#[test]
fn one_that_is_replaced_keeps_its_place_and_has_never_been_called() {
    let mut schedule = Schedule::new();
    schedule.add(0, s(10), s(0), true);
    schedule.add(1, s(10), s(0), true);
    turn(&mut schedule, s(0));
    schedule.add(0, s(10), s(4), true);
    assert_eq!(schedule.next_due(), Some(s(4)), "at once, though the period is the same");
    assert_eq!(turn(&mut schedule, s(10)), [0, 1]);
    // Replaced by itself, while it is called.
    assert_eq!(schedule.take_due(s(20)), [0, 1]);
    schedule.add(0, s(3), s(20), false);
    schedule.done(0, s(21));
    schedule.done(1, s(21));
    assert_eq!((schedule.due(0), schedule.due(1)), (Some(s(23)), Some(s(30))));
}

#[test]
fn a_new_period_counts_from_the_last_calls_intended_start() {
    let mut schedule = Schedule::new();
    schedule.add(0, s(10), s(0), true);
    assert!(schedule.set_period(0, s(20)), "at once stays at once");
    assert_eq!(turn(&mut schedule, s(1)), [0]);
    assert_eq!(schedule.next_due(), Some(s(20)));
    assert!(schedule.set_period(0, s(5)));
    assert_eq!(schedule.next_due(), Some(s(5)));
    assert!(schedule.set_period(0, s(7)));
    assert_eq!(turn(&mut schedule, s(6)), [], "the old deadline is forgotten");
    // From inside its call.
    assert_eq!(schedule.take_due(s(7)), [0]);
    assert!(schedule.set_period(0, s(100)));
    assert_eq!(schedule.next_due(), None);
    schedule.done(0, s(8));
    assert_eq!(schedule.next_due(), Some(s(107)));
    assert!(!schedule.set_period(1, s(1)));
}

#[test]
fn what_is_removed_is_not_due_any_more_also_while_it_is_called() {
    let mut schedule = Schedule::new();
    schedule.add(0, s(1), s(0), true);
    schedule.add(1, s(1), s(0), true);
    assert_eq!(schedule.take_due(s(0)), [0, 1]);
    assert!(schedule.remove(1) && !schedule.remove(1));
    schedule.done(0, s(0));
    schedule.done(1, s(0));
    assert_eq!((schedule.take_due(s(100)), schedule.next_due()), (vec![0], None));
}

#[test]
fn a_schedule_that_goes_on_elsewhere_keeps_its_deadlines() {
    let mut schedule = Schedule::new();
    schedule.add(0, s(10), s(3), true);
    schedule.add(1, Duration::MAX, s(3), true);
    turn(&mut schedule, s(3));
    let mut other = Schedule::new();
    other.resume(0, s(10), schedule.due(0));
    other.resume(1, Duration::MAX, schedule.due(1));
    assert_eq!(other.next_due(), Some(s(13)));
    other.set_period(0, s(4));
    assert_eq!(other.next_due(), Some(s(7)));
}

/// What is promised, by looking at every entry: (period, intended start of the next call).
#[derive(Default)]
struct Naive(BTreeMap<u64, (u128, u128)>);

impl Naive {
    fn turn(&mut self, now: u128) -> Vec<u64> {
        let due: Vec<_> =
            self.0.iter().filter(|(_, (_, due))| *due <= now).map(|(place, _)| *place).collect();
        for place in &due {
            let (period, next) = self.0.get_mut(place).unwrap();
            while *next <= now {
                *next += *period;
            }
        }
        due
    }
}

#[test]
fn thousands_of_functions_are_called_as_if_every_one_was_looked_at() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = |n: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % n
    };
    let (mut schedule, mut naive) = (Schedule::new(), Naive::default());
    let (mut now, mut calls) = (0_u64, 0);
    for step in 0..8_000_u64 {
        match below(8) {
            0..=4 if step < 5_000 || below(2) == 0 => {
                let (place, period, at_once) = (below(2_000), 500 + below(100_000), below(2) == 0);
                schedule.add(place, Duration::from_nanos(period), Duration::from_nanos(now), at_once);
                let first = if at_once { now } else { now + period };
                naive.0.insert(place, (period.into(), first.into()));
            }
            5 => {
                let place = below(2_000);
                assert_eq!(schedule.remove(place), naive.0.remove(&place).is_some());
            }
            _ => {
                now += below(300);
                let due = turn(&mut schedule, Duration::from_nanos(now));
                assert_eq!(due, naive.turn(now.into()));
                calls += due.len();
                let next = naive.0.values().map(|(_, next)| *next).min();
                assert_eq!(schedule.next_due().map(|next| next.as_nanos()), next);
            }
        }
    }
    assert!(schedule.len() > 1_000 && calls > 5_000, "{} functions, {calls} calls", schedule.len());
}
