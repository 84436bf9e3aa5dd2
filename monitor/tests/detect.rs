//! When a worker counts as blocked, by a clock that the test turns; and against a model that knows when each turn really began.

use signalpost::monitor::detect::{Detector, Over, Seen, Step};
use std::time::Duration;

const T: Duration = ms(100);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn ns(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

const YEAR: Duration = Duration::from_secs(31_556_952);

/// Looks of a worker at these times, with a limit of [`T`]: what came of each.
fn looks<const N: usize>(looks: [(u64, Seen<u64>); N]) -> [Step; N] {
    let mut detector = Detector::new(ms(0));
    looks.map(|(at, seen)| detector.see(ms(at), Duration::ZERO, T, seen).1)
}

const fn reported(time: u64, error: u64, report: u32) -> Step {
    Step::Report { time: ms(time), error: ms(error), report }
}

use Seen::{Busy, Idle};
use Step::{Look, None as Nothing, Suspect};

#[test]
fn a_turn_is_suspected_looked_at_more_closely_and_reported_at_the_limit() {
    let steps = looks([
        (0, Idle),
        (20, Busy(1)),
        (40, Busy(1)),
        (60, Busy(1)),
        (100, Busy(1)),
        (110, Busy(1)),
        (119, Busy(1)),
        (120, Busy(1)),
        (121, Busy(1)),
    ]);
    assert_eq!(steps, [Nothing, Nothing, Suspect, Nothing, Look, Look, Look, reported(100, 20, 1), Nothing]);
}

#[test]
fn a_turn_that_goes_on_is_reported_at_twice_the_time_and_so_on() {
    let steps = looks([
        (0, Busy(1)),
        (100, Busy(1)),
        (199, Busy(1)),
        (200, Busy(1)),
        (399, Busy(1)),
        (400, Busy(1)),
        (801, Busy(1)),
        (1_599, Busy(1)),
    ]);
    let reports = steps.into_iter().filter(|step| matches!(step, Step::Report { .. })).collect::<Vec<_>>();
    assert_eq!(reports, [(100, 1), (200, 2), (400, 3), (801, 4)].map(|(time, n)| reported(time, 0, n)));
}

#[test]
fn reports_that_a_late_look_missed_are_one() {
    let steps = looks([(0, Busy(1)), (950, Busy(1)), (1_599, Busy(1)), (1_600, Busy(1))]);
    assert_eq!(
        steps,
        [Nothing, reported(950, 0, 4), Nothing, reported(1_600, 0, 5)],
        "nor is it suspected after that"
    );
}

#[test]
fn another_turn_has_the_whole_time_again() {
    let turns = (0..50).map(|n| Busy(n / 5));
    let mut detector = Detector::new(Duration::ZERO);
    for (n, seen) in turns.enumerate() {
        let (over, step) = detector.see(20 * ms(n as u64), Duration::ZERO, T, seen);
        assert!(over.is_none() && !matches!(step, Step::Report { .. }), "look {n}");
    }
}

#[test]
fn a_worker_that_was_idle_in_between_has_the_whole_time_again() {
    let steps =
        looks([(0, Busy(1)), (99, Busy(1)), (100, Idle), (101, Busy(1)), (200, Busy(1)), (201, Busy(1))]);
    assert_eq!(steps, [Nothing, Look, Nothing, Nothing, Look, reported(100, 1, 1)]);
}

#[test]
fn the_end_of_a_turn_that_was_reported_is_told_once_with_both_uncertainties() {
    let mut detector = Detector::new(ms(0));
    let mut see = |at, seen| detector.see(ms(at), Duration::ZERO, T, seen).0;
    assert_eq!(see(10, Idle), None);
    assert_eq!(see(30, Busy(1)), None);
    assert_eq!(see(140, Busy(1)), None);
    assert_eq!(see(240, Busy(1)), None);
    // Begun in 20 ms, ended in 15: it was seen for 210.
    assert_eq!(see(255, Idle), Some(Over { total: ms(210), error: ms(35), reports: 2 }));
    assert_eq!(see(270, Idle), None);
    assert_eq!(see(280, Busy(2)), None);
    assert_eq!(see(400, Busy(2)), None);
    // As well if another turn is there at once.
    assert_eq!(see(410, Busy(3)), Some(Over { total: ms(120), error: ms(20), reports: 1 }));
    assert_eq!(see(430, Idle), None, "that one was short");
}

#[test]
fn nothing_began_before_the_floor() {
    let mut detector = Detector::new(ms(0));
    let _ = detector.see(ms(10), Duration::ZERO, T, Idle);
    // It slept for an hour, was woken, and looked 3 ms later.
    let hour = Duration::from_secs(3_600);
    let _ = detector.see(hour, hour - ms(3), T, Busy(1));
    let (_, step) = detector.see(hour + T, Duration::ZERO, T, Busy(1));
    assert_eq!(step, Step::Report { time: T, error: ms(3), report: 1 });
}

#[test]
fn a_limit_that_changes_counts_from_the_next_look_on() {
    let mut detector = Detector::new(ms(0));
    let mut see = |at, limit| detector.see(ms(at), Duration::ZERO, limit, Busy(1)).1;
    assert_eq!(see(0, T), Nothing);
    assert_eq!(see(50, T), Suspect);
    assert_eq!(see(60, ms(30)), reported(60, 0, 2), "shorter: it is due already");
    assert_eq!(see(110, T), Nothing, "longer: what was said is not said again");
    assert_eq!(see(399, T), Nothing);
    assert_eq!(see(400, T), reported(400, 0, 3));
}

#[test]
fn the_next_look_is_the_earliest_that_is_needed() {
    let mut detector = Detector::new(ms(0));
    assert_eq!(detector.next(T), None, "it has not been seen");
    let mut see = |at, seen| {
        let _ = detector.see(ms(at), Duration::ZERO, T, seen);
        detector.next(T)
    };
    assert_eq!(see(0, Idle), None);
    assert_eq!(see(10, Busy(1)), Some(ms(30)));
    assert_eq!(see(85, Busy(1)), Some(ms(90)), "a closer look");
    for (at, next) in [(90, 91), (91, 93), (93, 96), (96, 101), (101, 106)] {
        assert_eq!(see(at, Busy(1)), Some(ms(next)), "another");
    }
    assert_eq!(see(106, Busy(1)), Some(ms(110)), "the report");
    assert_eq!(see(111, Busy(1)), Some(ms(131)));
    assert_eq!(see(200, Busy(1)), Some(ms(210)), "the second report");
    assert_eq!(see(211, Idle), None);
}

#[test]
fn limits_of_no_time_and_of_ages_overflow_nothing() {
    for start in [Duration::ZERO, 1_000 * YEAR, Duration::MAX - YEAR] {
        for limit in [Duration::ZERO, ns(1), ns(9), YEAR, 1_000_000 * YEAR, Duration::MAX] {
            let mut detector = Detector::new(start);
            let mut last = 0;
            for at in [0, 1, 2, 1 << 20, 1 << 31, 1 << 32, 1 << 40, 31_000_000_000_000_000] {
                let now = start + ns(at);
                let (over, step) = detector.see(now, Duration::ZERO, limit, Busy(()));
                assert_eq!(over, None);
                if let Step::Report { time, report, .. } = step {
                    assert!(time >= limit && report > last, "{limit:?}: {step:?}");
                    last = report;
                }
                assert!(detector.next(limit).is_some_and(|next| next >= now));
            }
            assert!(last <= 32 && (limit < YEAR) == (last > 0), "{limit:?}: {last} reports");
            let (over, _) = detector.see(start + YEAR, Duration::ZERO, limit, Idle);
            assert_eq!(over.map(|over| over.reports), (last > 0).then_some(last));
        }
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n.max(1)
    }

    fn time(&mut self, below: Duration) -> Duration {
        ns(self.below(u64::try_from(below.as_nanos()).unwrap()))
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A worker's turns, as they really are: one after another, with rests between some.
struct Worker {
    turns: Vec<(Duration, Duration)>,
}

impl Worker {
    /// From `start` on, of lengths up to a few limits.
    fn new(random: &mut Random, start: Duration, limit: Duration) -> Self {
        let mut at = start;
        let turns = (0..20).map(|_| {
            let longest = if random.one_in(3) { 10 * limit } else { 2 * limit };
            let from = if random.one_in(2) { at } else { at + random.time(limit) };
            at = from + ns(1) + random.time(longest);
            (from, at)
        });
        Self { turns: turns.collect() }
    }

    /// Which turn it is in.
    fn at(&self, now: Duration) -> Option<usize> {
        self.turns.iter().position(|(from, to)| *from <= now && now < *to)
    }

    fn end(&self) -> Duration {
        self.turns.last().unwrap().1
    }
}

/// The naive model: what is known of the turn that was seen last.
#[derive(Clone, Copy)]
struct Known {
    turn: usize,
    /// The looks between which it began, and the last one that saw it.
    before: Duration,
    first: Duration,
    last: Duration,
    reports: u32,
}

/// How many reports a turn is worth that was seen for so long: one at the limit, and one more for each doubling.
fn worth(time: Duration, limit: Duration) -> u32 {
    (time.as_nanos() / limit.as_nanos()).checked_ilog2().map_or(0, |doublings| doublings + 1)
}

/// Looks at a worker until its last turn has ended, at times that `next` gives, and holds everything against the model and the truth.
/// `limit`: what it is at this look, and how long the look takes until it sees, and is over. Gives the turns that were reported, and when first.
fn watched(
    worker: &Worker,
    start: Duration,
    mut limit: impl FnMut() -> (Duration, [Duration; 2]),
    mut next: impl FnMut(&Detector<usize>, Duration, Duration) -> Duration,
) -> Vec<(usize, Duration)> {
    let (mut detector, mut known, mut last, mut now) = (Detector::new(start), None::<Known>, start, start);
    let mut found = Vec::new();
    loop {
        let (limit, [sees, ends]) = limit();
        let (turn, to) = (worker.at(now + sees), now + sees + ends);
        let (over, step) = detector.see_between(now, to, Duration::ZERO, limit, turn.map_or(Idle, Busy));
        let gone = known.take_if(|known| turn != Some(known.turn));
        let expected = gone.filter(|gone| gone.reports > 0).map(|gone| Over {
            total: gone.last.saturating_sub(gone.first),
            error: (to - gone.last) + (gone.first - gone.before),
            reports: gone.reports,
        });
        assert_eq!(over, expected);
        if let (Some(over), Some(gone)) = (over, gone) {
            let (from, to) = worker.turns[gone.turn];
            assert!(
                (over.total..=over.total + over.error).contains(&(to - from)),
                "{over:?}: {from:?} to {to:?}"
            );
        }
        let mut due = None;
        if let Some(turn) = turn {
            let known = known.get_or_insert(Known { turn, before: last, first: to, last: now, reports: 0 });
            known.last = now;
            let time = now.saturating_sub(known.first);
            let worth = worth(time, limit);
            if worth > known.reports {
                known.reports = worth;
                due = Some(Step::Report { time, error: known.first - known.before, report: worth });
            }
            if let Some(Step::Report { time, error, report }) = due {
                let really = now - worker.turns[turn].0;
                assert!(time >= limit && really >= limit, "not below the limit");
                assert!(
                    (time..=time + error).contains(&really),
                    "{really:?} is {time:?} and {error:?} at most"
                );
                if found.last().is_none_or(|(last, _)| *last != turn) {
                    found.push((turn, really));
                } else {
                    assert!(report > 1, "the first one once");
                }
            }
        }
        assert_eq!(matches!(step, Step::Report { .. }), due.is_some());
        if let Some(due) = due {
            assert_eq!(step, due);
        }
        assert_eq!(detector.since(), known.map(|known| known.first));
        if now >= worker.end() {
            return found;
        }
        last = now;
        now = next(&detector, limit, to);
        assert!(now >= to && now > last);
    }
}

const STARTS: [Duration; 3] = [Duration::ZERO, YEAR, Duration::from_secs(1 << 62)];

#[test]
fn looks_at_any_time_and_with_any_limit_report_what_the_naive_model_does() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..3_000 {
        let start = STARTS[round % 3];
        let limit = [ns(1), ns(7), ms(1), T, YEAR][round / 3 % 5];
        let least = limit.max(ns(10));
        let worker = Worker::new(&mut random, start, least);
        let changes = round % 2 == 0;
        let mut limits = Random(round as u64 + 1);
        let slow = round % 4 < 2;
        let limit = || {
            let takes =
                if slow && limits.one_in(4) { [limits.time(least), limits.time(least)] } else { [ns(0); 2] };
            let other = limit / 2 + limits.time(2 * limit) + ns(1);
            (if changes && limits.one_in(10) { other } else { limit }, takes)
        };
        let found = watched(&worker, start, limit, |_, _, now| {
            let pause = if random.one_in(5) { 4 * least } else { least / 3 };
            now + ns(1) + random.time(pause)
        });
        assert!(found.windows(2).all(|turns| turns[0].0 < turns[1].0), "each turn for itself");
    }
}

#[test]
fn with_looks_when_they_are_asked_for_turns_of_1_3_limits_are_all_found_in_time() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let (mut long, mut short) = (0, 0);
    for round in 0..600 {
        let start = STARTS[round % 3];
        let limit = [ms(1), T, 86_400 * ms(1_000), YEAR][round / 3 % 4];
        let worker = Worker::new(&mut random, start, limit);
        // Idle, it is looked at five times in a limit, as one that does not ring.
        let next = |detector: &Detector<usize>, limit, now| detector.next(limit).unwrap_or(now + limit / 5);
        let found = watched(&worker, start, || (limit, [ns(0); 2]), next);
        for (turn, (from, to)) in worker.turns.iter().enumerate() {
            let first = found.iter().find(|(found, _)| *found == turn).map(|(_, after)| *after);
            if *to - *from >= limit * 13 / 10 {
                long += 1;
                let after = first.expect("found");
                assert!(after <= limit * 12 / 10, "reported {after:?} after it began");
            } else if *to - *from < limit {
                short += 1;
                assert_eq!(first, None);
            }
        }
    }
    assert!(long > 3_000 && short > 3_000, "{long} long turns, {short} short ones");
}

#[test]
fn looks_when_they_are_asked_for_come_at_each_report_and_are_few() {
    let mut detector = Detector::new(Duration::ZERO);
    let (mut now, mut looks, mut closer, mut suspected, mut reports) = (ms(3), 0, Vec::new(), 0, Vec::new());
    while now < ms(3) + 64 * T {
        match detector.see(now, Duration::ZERO, T, Busy(())).1 {
            Look => closer.push(now - ms(3)),
            Suspect => suspected += 1,
            Step::Report { time, report, .. } => reports.push((time, report)),
            Nothing => {}
        }
        looks += 1;
        now = detector.next(T).expect("it is busy");
    }
    assert_eq!(reports, (0..6).map(|n| (T * (1 << n), n + 1)).collect::<Vec<_>>(), "to the nanosecond");
    assert_eq!((closer, suspected), ([80, 81, 83, 86, 91, 96].map(ms).to_vec(), 1));
    assert!(looks < 64 * 5 + 10, "{looks} looks");
}
