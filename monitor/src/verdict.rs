//! From what was seen of a blocked loop to one word for why it is blocked.
//!
//! Owns the split of a thread's time, and the decision; both pure. Not here: the readings (`kernel.rs`), when to look (`watch.rs`).

use crate::kernel::{Look, State, Syscall, Times};
use std::fmt;
use std::time::Duration;

/// How a thread spent a stretch of time, as the kernel counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimeSplit {
    /// The whole stretch.
    pub observed: Duration,
    /// On a CPU.
    pub on_cpu: Duration,
    /// Ready to run, and without a CPU.
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

    /// Between two readings, each with the time of its reading.
    pub(crate) fn between(before: &Times, before_at: Duration, after: &Times, after_at: Duration) -> Self {
        let observed = after_at.saturating_sub(before_at);
        let on_cpu = after.on_cpu.saturating_sub(before.on_cpu);
        let mut run_queue = after.run_queue.saturating_sub(before.run_queue);
        if after.waits_for_cpu {
            let rest = observed.saturating_sub(on_cpu).saturating_sub(run_queue);
            let turns = after.turns.saturating_sub(before.turns);
            run_queue += rest / u32::try_from(turns.saturating_add(1)).unwrap_or(u32::MAX);
        }
        Self::new(observed, on_cpu, run_queue)
    }
}

impl fmt::Display for TimeSplit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { observed, on_cpu, run_queue, asleep } = self;
        write!(
            f,
            "of {observed:.0?}: {on_cpu:.0?} on CPU, {run_queue:.0?} waiting for one, {asleep:.0?} asleep"
        )
    }
}

/// Why a loop does not come round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// Its thread computes.
    OnCpu,
    /// Its thread is asleep in a system call.
    InSyscall(Syscall),
    /// Its thread is asleep in a way that no signal ends.
    Uninterruptible,
    /// It turns, from task to task, but does not get round in time.
    Congested,
    /// Its thread is ready to run, and is not given a CPU.
    Starved,
    /// Nobody drives it at present.
    NotDriven,
    /// Nothing could be read of its thread.
    Unreachable,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnCpu => f.write_str("on CPU"),
            Self::InSyscall(syscall) => write!(f, "asleep in {syscall}"),
            Self::Uninterruptible => f.write_str("asleep, and no signal wakes it"),
            Self::Congested => f.write_str("congested: it turns, but too much is due in one round"),
            Self::Starved => f.write_str("starved: ready to run, and not given a CPU"),
            Self::NotDriven => f.write_str("not driven by any thread"),
            Self::Unreachable => f.write_str("unreachable: nothing could be read of its thread"),
        }
    }
}

/// What was seen of a loop that is silent for too long. [`Default`] is: nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Evidence<'a> {
    /// How its thread spent the silence, or as much of it as was watched.
    pub(crate) split: Option<TimeSplit>,
    pub(crate) look: Option<&'a Look>,
    /// The task that the thread named at each capture; none: it named none.
    pub(crate) tasks: &'a [Option<u64>],
    /// Its count of turns moved between two looks.
    pub(crate) moved: bool,
    /// The thread said that it does not drive this loop.
    pub(crate) outside: bool,
    /// Anything could be read of it.
    pub(crate) reached: bool,
}

/// The word for it.
pub(crate) fn verdict(evidence: &Evidence<'_>) -> Verdict {
    let Evidence { split, look, tasks, moved, outside, reached } = *evidence;
    if outside || look.is_some_and(|look| look.state == State::Zombie) {
        return Verdict::NotDriven;
    }
    if split.is_some_and(|split| split.run_queue > split.observed / 2) {
        return Verdict::Starved;
    }
    if moved || differ(tasks) {
        return Verdict::Congested;
    }
    if !reached {
        return Verdict::Unreachable;
    }
    let asleep = Verdict::InSyscall(look.and_then(|look| look.syscall).unwrap_or(Syscall::UNKNOWN));
    // Where the two halves of the time differ, the longer says more than the moment of the look.
    let slept = split.filter(|split| split.on_cpu != split.asleep).map(|split| split.asleep > split.on_cpu);
    match (look.map(|look| look.state), slept) {
        (Some(State::Stopped | State::Traced), _) | (None, None) => Verdict::Unreachable,
        (_, Some(false)) | (Some(State::Running), None) => Verdict::OnCpu,
        (Some(State::DiskSleep), _) => Verdict::Uninterruptible,
        _ => asleep,
    }
}

/// Two different tasks were named.
fn differ(tasks: &[Option<u64>]) -> bool {
    let mut named = tasks.iter().flatten();
    let first = named.next();
    named.any(|task| Some(task) != first)
}
