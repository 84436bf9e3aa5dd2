//! From what was seen of a loop that is silent to one word for why.
//!
//! Owns the split of a thread's time, and the decision; both pure. Not here: the readings (`kernel.rs`), when to look (`watch.rs`).
//!
//! The first line that holds decides. Two kinds of evidence can contradict each other: a look is one moment, the split is the whole
//! silence. The longer-lasting one wins; the look breaks ties, and tells what the split cannot: in what the thread sleeps.
//!
//! | seen | verdict | why here |
//! |---|---|---|
//! | the thread said that it does not drive the loop, or it has ended | `NotDriven` | whatever else it does is not about this loop |
//! | ready but without a CPU for more than half of the time | `Starved` | before the next: a loop with enough CPU might well have come round, so its tasks are not to blame until it has |
//! | its turns were counted on, or it named two tasks | `Congested` | each task comes to an end, so none of them is what it is asleep or busy in |
//! | neither state nor split | `Unreachable` | the above needs neither, the rest needs one |
//! | longer on CPU than asleep | `OnCpu` | in any state: one who computes may well be seen in a short sleep |
//! | stopped, by a signal or a debugger | `Unreachable` | it is asleep, but not by its own doing |
//! | longer asleep, and in state D | `Uninterruptible` | |
//! | longer asleep | `InSyscall` | of the call that it is in; if that was over by the time of the look, of an unknown one |
//! | neither is longer, or no split: state D | `Uninterruptible` | the look is all there is |
//! | … running, without a CPU | `Starved` | |
//! | … running | `OnCpu` | |
//! | … else | `InSyscall` | |

use crate::kernel::{Look, State, Syscall, Times};
use std::fmt;
use std::time::Duration;

/// How a thread spent a stretch of time, as the kernel counts it.
///
/// The kernel's figures and the clock are not read at the same instant, so the three parts add up to the whole only within some
/// microseconds. A wait for a CPU that still goes on is not in the kernel's figures. For a thread that waits as it is looked at it is all
/// that is unaccounted for, if the thread did not sleep; else an estimate, that divided by the number of times it can have been off the CPU.
///
/// # Examples
/// ```
/// use signalpost::monitor::TimeSplit;
/// use std::time::Duration;
///
/// let ms = Duration::from_millis;
/// let split = TimeSplit::new(ms(60), ms(17), ms(30));
/// assert_eq!(split.asleep, ms(13));
/// assert_eq!(split.to_string(), "of 60.0ms: 17.0ms on CPU, 30.0ms waiting for a CPU, 13.0ms asleep");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimeSplit {
    /// The whole stretch.
    pub observed: Duration,
    /// On a CPU, in the program or in the kernel.
    pub on_cpu: Duration,
    /// Ready to run, and without a CPU: others had them all, or its control group had used up its share.
    pub run_queue: Duration,
    /// The rest: neither running nor ready to.
    pub asleep: Duration,
}

impl TimeSplit {
    /// So long in all, of which so long on a CPU and waiting for one; the rest asleep.
    pub const fn new(observed: Duration, on_cpu: Duration, run_queue: Duration) -> Self {
        let asleep = observed.saturating_sub(on_cpu).saturating_sub(run_queue);
        Self { observed, on_cpu, run_queue, asleep }
    }

    /// Between two readings, each with the time at which it was read, on any clock that both were taken from.
    pub(crate) fn between(before: &Times, before_at: Duration, after: &Times, after_at: Duration) -> Self {
        let observed = after_at.saturating_sub(before_at);
        let on_cpu = after.on_cpu.saturating_sub(before.on_cpu);
        let mut run_queue = after.run_queue.saturating_sub(before.run_queue);
        // One that slept at the first reading, and waits now, may have been woken by our own signal a moment ago: that is sleep.
        if after.waits_for_cpu && before.runs {
            let left = observed.saturating_sub(on_cpu).saturating_sub(run_queue);
            let never_slept = before.sleeps.is_some() && before.sleeps == after.sleeps;
            // With n turns on a CPU in between it was off it up to n + 1 times. All but the last are accounted for if they were
            // waits, so what is left was sleep in any of these, or is the wait that goes on: its share is as good as any.
            let turns = if never_slept { 0 } else { after.turns.saturating_sub(before.turns) };
            run_queue += left / u32::try_from(turns.saturating_add(1)).unwrap_or(u32::MAX);
        }
        // A wait is counted when it ends, also what of it was before the first reading.
        Self::new(observed, on_cpu, run_queue.min(observed.saturating_sub(on_cpu)))
    }
}

impl fmt::Display for TimeSplit {
    /// All four in ms; from a second on in s.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, each) = if self.observed < Duration::from_secs(1) { ("ms", 1e3) } else { ("s", 1.0) };
        let shown = |time: Duration| format!("{:.1}{unit}", time.as_secs_f64() * each);
        let [observed, on_cpu] = [self.observed, self.on_cpu].map(shown);
        let [run_queue, asleep] = [self.run_queue, self.asleep].map(shown);
        write!(f, "of {observed}: {on_cpu} on CPU, {run_queue} waiting for a CPU, {asleep} asleep")
    }
}

/// Why a loop does not come round.
///
/// Of what is known of its thread; where the system says nothing of other threads (elsewhere than on Linux) that is
/// [`Congested`](Self::Congested), [`NotDriven`](Self::NotDriven) or [`Unreachable`](Self::Unreachable).
///
/// # Examples
/// ```
/// use signalpost::monitor::{Syscall, Verdict};
/// assert_eq!(Verdict::OnCpu.to_string(), "on CPU");
/// assert_eq!(Verdict::InSyscall(Syscall::UNKNOWN).to_string(), "asleep in an unknown system call");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// Its thread computes, and for longer than it sleeps.
    OnCpu,
    /// Its thread is asleep in a system call: a blocking read, a lock, a sleep. [`Syscall::UNKNOWN`] if it was asleep for most of the
    /// time, but no more when it was looked at.
    InSyscall(Syscall),
    /// Its thread is asleep in a way that no signal ends (state `D`): on a disk or a network file system, or until a child begins its
    /// program. Its stack cannot be had meanwhile.
    Uninterruptible,
    /// It goes from task to task, none of which takes long, and does not get back to its driver (new events, timers) in time: too much is
    /// due at once.
    Congested,
    /// Its thread was ready to run for more than half of the time, and was not given a CPU: too many threads for the CPUs, or the
    /// control group's share is used up. Whatever its stack shows is not to blame.
    Starved,
    /// No thread drives it at present: a current-thread runtime between two `block_on`, or a thread that has ended.
    NotDriven,
    /// It is silent, and why cannot be told: nothing can be read of its thread, or a debugger holds it.
    Unreachable,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnCpu => f.write_str("on CPU"),
            Self::InSyscall(syscall) => write!(f, "asleep in {syscall}"),
            Self::Uninterruptible => f.write_str("asleep, and no signal can wake it"),
            Self::Congested => f.write_str("congested: tasks follow on each other, none takes long"),
            Self::Starved => f.write_str("starved: ready to run, and not given a CPU"),
            Self::NotDriven => f.write_str("not driven by any thread"),
            Self::Unreachable => f.write_str("unreachable: nothing can be told of its thread"),
        }
    }
}

/// What was seen of a loop that is silent for too long. By default: nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Evidence<'a> {
    /// How its thread spent the silence, or as much of it as was watched.
    pub(crate) split: Option<TimeSplit>,
    pub(crate) look: Option<&'a Look>,
    /// The task that the thread named at each capture, all within one silence; none where it named none.
    pub(crate) tasks: &'a [Option<u64>],
    /// Its count of turns moved between two looks, while the loop as a whole stayed silent.
    pub(crate) moved: bool,
    /// The thread said that it does not drive this loop.
    pub(crate) outside: bool,
    /// Anything could be read of it at all. Without, `split` and `look` are from before, and do not count.
    pub(crate) reached: bool,
}

/// The word for it, by the table above.
pub(crate) fn verdict(evidence: &Evidence<'_>) -> Verdict {
    let Evidence { split, look, tasks, moved, outside, reached } = *evidence;
    let (split, look) = (split.filter(|_| reached), look.filter(|_| reached));
    let state = look.map(|look| look.state);
    if outside || state == Some(State::Zombie) {
        return Verdict::NotDriven;
    }
    if split.is_some_and(|split| split.run_queue > split.observed / 2) {
        return Verdict::Starved;
    }
    if moved || differ(tasks) {
        return Verdict::Congested;
    }
    let in_syscall = Verdict::InSyscall(look.and_then(|look| look.syscall).unwrap_or(Syscall::UNKNOWN));
    let waits = look.is_some_and(|look| look.times.waits_for_cpu);
    let longer = split.filter(|split| split.on_cpu != split.asleep);
    match (state, longer.map(|split| split.on_cpu > split.asleep)) {
        (None, None) => Verdict::Unreachable,
        (_, Some(true)) => Verdict::OnCpu,
        (Some(State::Stopped | State::Traced), _) => Verdict::Unreachable,
        (Some(State::DiskSleep), _) => Verdict::Uninterruptible,
        (Some(State::Running), None) if waits => Verdict::Starved,
        (Some(State::Running), None) => Verdict::OnCpu,
        (_, _) => in_syscall,
    }
}

/// Two different tasks were named.
fn differ(tasks: &[Option<u64>]) -> bool {
    let mut named = tasks.iter().flatten();
    let first = named.next();
    named.any(|task| Some(task) != first)
}

#[cfg(test)]
mod tests {
    use super::{Evidence, TimeSplit, Verdict, verdict};
    use crate::kernel::{Look, State, Syscall, Times};
    use std::time::Duration;

    const READ: Syscall = Syscall::new(0);

    /// In ms: on CPU, waiting for one, asleep.
    fn split(on_cpu: u64, run_queue: u64, asleep: u64) -> Option<TimeSplit> {
        let ms = Duration::from_millis;
        Some(TimeSplit::new(ms(on_cpu + run_queue + asleep), ms(on_cpu), ms(run_queue)))
    }

    fn look(state: State) -> Look {
        let asleep = !matches!(state, State::Running | State::Zombie);
        Look {
            state,
            times: Times::default(),
            syscall: asleep.then_some(READ),
            wait_channel: None,
            blocked_signals: None,
        }
    }

    fn decide(state: Option<State>, split: Option<TimeSplit>) -> Verdict {
        let look = state.map(look);
        verdict(&Evidence { split, look: look.as_ref(), reached: true, ..Evidence::default() })
    }

    #[test]
    fn state_and_split_decide_by_the_table() {
        use State::*;
        const UNKNOWN: Verdict = Verdict::InSyscall(Syscall::UNKNOWN);
        const IN_READ: Verdict = Verdict::InSyscall(READ);
        const ON_CPU: Verdict = Verdict::OnCpu;
        const STARVED: Verdict = Verdict::Starved;
        const UNTOLD: Verdict = Verdict::Unreachable;
        const IN_D: Verdict = Verdict::Uninterruptible;
        const GONE: Verdict = Verdict::NotDriven;
        let splits = [
            ("no split", None),
            ("nothing observed", split(0, 0, 0)),
            ("on CPU", split(95, 2, 3)),
            ("asleep", split(3, 2, 95)),
            ("even", split(40, 20, 40)),
            ("in the queue", split(20, 51, 29)),
            ("half in the queue, rather on CPU", split(26, 50, 24)),
            ("half in the queue, rather asleep", split(24, 50, 26)),
        ];
        let table = [
            (None, [UNTOLD, UNTOLD, ON_CPU, UNKNOWN, UNTOLD, STARVED, ON_CPU, UNKNOWN]),
            (Some(Running), [ON_CPU, ON_CPU, ON_CPU, UNKNOWN, ON_CPU, STARVED, ON_CPU, UNKNOWN]),
            (Some(Sleeping), [IN_READ, IN_READ, ON_CPU, IN_READ, IN_READ, STARVED, ON_CPU, IN_READ]),
            (Some(DiskSleep), [IN_D, IN_D, ON_CPU, IN_D, IN_D, STARVED, ON_CPU, IN_D]),
            (Some(Stopped), [UNTOLD, UNTOLD, ON_CPU, UNTOLD, UNTOLD, STARVED, ON_CPU, UNTOLD]),
            (Some(Traced), [UNTOLD, UNTOLD, ON_CPU, UNTOLD, UNTOLD, STARVED, ON_CPU, UNTOLD]),
            (Some(Zombie), [GONE; 8]),
            (Some(Other('I')), [IN_READ, IN_READ, ON_CPU, IN_READ, IN_READ, STARVED, ON_CPU, IN_READ]),
        ];
        for (state, expected) in table {
            for ((name, split), expected) in splits.into_iter().zip(expected) {
                assert_eq!(decide(state, split), expected, "{state:?}, {name}");
            }
        }
    }

    #[test]
    fn what_the_thread_and_its_tasks_say_comes_before_its_state() {
        let sleeping = look(State::Sleeping);
        let asleep =
            Evidence { split: split(0, 0, 100), look: Some(&sleeping), reached: true, ..Evidence::default() };
        let starved = Evidence { split: split(10, 70, 20), ..asleep };
        for (evidence, quiet) in [(asleep, Verdict::InSyscall(READ)), (starved, Verdict::Starved)] {
            for (tasks, differ) in [
                (&[][..], false),
                (&[Some(1)], false),
                (&[Some(1), Some(1), Some(1)], false),
                (&[None, Some(1), None], false),
                (&[None, None], false),
                (&[Some(16), Some(13), Some(18)], true),
                (&[Some(1), None, Some(2)], true),
            ] {
                for moved in [false, true] {
                    let turning = if moved || differ { Verdict::Congested } else { quiet };
                    let expected = if quiet == Verdict::Starved { quiet } else { turning };
                    let evidence = Evidence { tasks, moved, ..evidence };
                    assert_eq!(verdict(&evidence), expected, "{evidence:?}");
                    assert_eq!(verdict(&Evidence { outside: true, ..evidence }), Verdict::NotDriven);
                }
            }
        }
    }

    #[test]
    fn of_a_thread_that_cannot_be_reached_only_its_turns_and_its_word_count() {
        assert_eq!(verdict(&Evidence::default()), Verdict::Unreachable);
        assert_eq!(verdict(&Evidence { moved: true, ..Evidence::default() }), Verdict::Congested);
        assert_eq!(verdict(&Evidence { outside: true, ..Evidence::default() }), Verdict::NotDriven);
        let running = look(State::Running);
        for split in [split(90, 5, 5), split(5, 90, 5), split(5, 5, 90)] {
            let stale = Evidence { split, look: Some(&running), ..Evidence::default() };
            assert_eq!(verdict(&stale), Verdict::Unreachable);
            assert_eq!(verdict(&Evidence { tasks: &[Some(1), Some(2)], ..stale }), Verdict::Congested);
        }
    }

    #[test]
    fn a_look_alone_tells_running_from_waiting_to() {
        let mut waiting = look(State::Running);
        waiting.times.waits_for_cpu = true;
        let evidence = Evidence { look: Some(&waiting), reached: true, ..Evidence::default() };
        assert_eq!(verdict(&evidence), Verdict::Starved);
        assert_eq!(verdict(&Evidence { split: split(60, 20, 20), ..evidence }), Verdict::OnCpu);
    }

    #[test]
    fn a_wait_that_goes_on_gets_its_share_of_what_is_left() {
        let ms = Duration::from_millis;
        let times = |on_cpu, run_queue, turns| Times {
            on_cpu: ms(on_cpu),
            run_queue: ms(run_queue),
            turns,
            sleeps: Some(4),
            ..Times::default()
        };
        let before = times(1_000, 500, 7);
        for (after, of_the_rest) in
            [(times(1_010, 520, 7), 70), (times(1_010, 520, 8), 35), (times(1_010, 520, 76), 1)]
        {
            let split = TimeSplit::between(&before, ms(5_000), &after, ms(5_100));
            assert_eq!(split, TimeSplit::new(ms(100), ms(10), ms(20)));
            assert_eq!(split.asleep, ms(70));
            let waiting = Times { waits_for_cpu: true, ..after };
            // It slept at the beginning: what woke it may be the monitor's own signal, a moment ago.
            let split = TimeSplit::between(&before, ms(5_000), &waiting, ms(5_100));
            assert_eq!(split, TimeSplit::new(ms(100), ms(10), ms(20)));
            // Whether it slept in between is known only if it did not at the beginning, and the kernel counts.
            let ran = Times { runs: true, ..before };
            for (before, after, waited) in [
                (ran, waiting, 70),
                (ran, Times { sleeps: Some(5), ..waiting }, of_the_rest),
                (Times { sleeps: None, ..ran }, Times { sleeps: None, ..waiting }, of_the_rest),
            ] {
                let split = TimeSplit::between(&before, ms(5_000), &after, ms(5_100));
                assert_eq!(split, TimeSplit::new(ms(100), ms(10), ms(20 + waited)));
            }
        }
    }

    #[test]
    fn a_split_is_shown_in_one_unit() {
        let us = Duration::from_micros;
        let split = TimeSplit::new(us(77_900), us(54), us(0));
        assert_eq!(split.to_string(), "of 77.9ms: 0.1ms on CPU, 0.0ms waiting for a CPU, 77.8ms asleep");
        let split = TimeSplit::new(us(90_000_000), us(1_500_000), us(77_900));
        assert_eq!(split.to_string(), "of 90.0s: 1.5s on CPU, 0.1s waiting for a CPU, 88.4s asleep");
    }

    #[test]
    fn figures_that_run_ahead_of_the_clock_or_backwards_make_no_more_time_than_there_was() {
        let ms = Duration::from_millis;
        let waits = Times { runs: true, waits_for_cpu: true, ..Times::default() };
        let later = Times { on_cpu: ms(9), run_queue: ms(9), turns: u64::MAX, ..waits };
        let split = TimeSplit::between(&Times::default(), ms(0), &later, ms(10));
        assert_eq!((split.on_cpu, split.run_queue, split.asleep), (ms(9), ms(1), ms(0)));
        let split = TimeSplit::between(&later, ms(10), &Times::default(), ms(0));
        assert_eq!(split, TimeSplit::default());
    }
}
