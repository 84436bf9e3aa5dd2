//! When a worker that says nothing new counts as blocked: pure, and told the time and what was seen.
//!
//! Owns since when, when to look closer, when to report. Not here: what was seen (`sample.rs`), why (`verdict.rs`).
//!
//! # Invariants
//! 1. What runs now began no earlier than `after`, and no later than `since`: it was seen at `since`, and something else, or nothing,
//!    at `after`. So the time reported never exceeds the true one, and is short of it by `since - after` at most.
//! 2. A report number n of one turn comes when it has been seen for 2ⁿ⁻¹ limits: each once, whatever number of looks come between.

use std::time::Duration;

/// How many looks there are to a limit. A turn of 1.3 limits is seen after a fifth at most, and so is found with a tenth to spare.
const LOOKS: u32 = 5;

/// What a look saw of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen<T> {
    /// It waits for something to do, or said that it may take long.
    Idle,
    /// It does something, the same as long as this does not change.
    Busy(T),
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    None,
    /// It does the same as at the last look: note what its thread has used of the processor. Not if a late look has made one of those
    /// below of it, each of which is that too.
    Suspect,
    /// It will soon have been the same for too long: look closer.
    Look,
    /// It has been the same for too long.
    Report {
        /// For how long, at least.
        time: Duration,
        /// How much longer it may be.
        error: Duration,
        /// The how manieth report of this turn: 1, 2, …
        report: u32,
    },
}

/// A turn ended that was reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    /// How long it took, at least.
    pub total: Duration,
    /// How much longer it may have been.
    pub error: Duration,
    /// How many reports there were.
    pub reports: u32,
}

/// What is known of one worker.
#[derive(Debug)]
pub struct Detector<T> {
    run: Option<Run<T>>,
    /// The last look.
    last: Duration,
}

#[derive(Debug)]
struct Run<T> {
    what: T,
    after: Duration,
    since: Duration,
    suspected: bool,
    looks: u32,
    reports: u32,
}

impl<T: PartialEq> Detector<T> {
    /// Of a worker that will be seen: what it does then began no earlier than `since`.
    pub fn new(since: Duration) -> Self {
        Self { run: None, last: since }
    }

    /// One look that took no time. `floor`: nothing that runs began before.
    pub fn see(
        &mut self,
        now: Duration,
        floor: Duration,
        limit: Duration,
        seen: Seen<T>,
    ) -> (Option<Over>, Step) {
        self.see_between(now, now, floor, limit, seen)
    }

    /// One look, at a time between these two: whoever looks may lose its processor while it does.
    pub fn see_between(
        &mut self,
        from: Duration,
        to: Duration,
        floor: Duration,
        limit: Duration,
        seen: Seen<T>,
    ) -> (Option<Over>, Step) {
        // It was still there at `last` if it was there at that look, and not yet there if it was not.
        let last = std::mem::replace(&mut self.last, from);
        let what = match seen {
            Seen::Idle => return (self.run.take().and_then(|run| run.over(last, to)), Step::None),
            Seen::Busy(what) => what,
        };
        match &mut self.run {
            Some(run) if run.what == what => (None, run.step(from, limit)),
            run => {
                let after = last.max(floor).min(to);
                let fresh = Run { what, after, since: to, suspected: false, looks: 0, reports: 0 };
                (run.replace(fresh).and_then(|run| run.over(last, to)), Step::None)
            }
        }
    }

    /// The next look that is needed; none while it is idle.
    pub fn next(&self, limit: Duration) -> Option<Duration> {
        let run = self.run.as_ref()?;
        let next = [run.next_look(limit), run.next_report(limit)].into_iter().flatten();
        let soon = self.last.saturating_add(limit / LOOKS);
        Some(next.filter(|next| *next > self.last).fold(soon, Duration::min))
    }

    /// What it does goes by another token from now on: it is the same all the same.
    pub fn goes_by(&mut self, token: T) {
        if let Some(run) = &mut self.run {
            run.what = token;
        }
    }

    /// Since when it does the same, as far as was seen; none while it is idle.
    pub fn since(&self) -> Option<Duration> {
        self.run.as_ref().map(|run| run.since)
    }
}

impl<T> Run<T> {
    fn step(&mut self, now: Duration, limit: Duration) -> Step {
        let time = now.saturating_sub(self.since);
        if self.next_report(limit).is_some_and(|at| at <= now) {
            // The one for which it is long enough; those before it, that a late look missed, are part of it.
            while self.next_report(limit).is_some_and(|at| at <= now) {
                self.reports += 1;
            }
            self.suspected = true;
            return Step::Report { time, error: self.since - self.after, report: self.reports };
        }
        if self.next_look(limit).is_some_and(|at| at <= now) {
            self.looks += 1;
            self.suspected = true;
            return Step::Look;
        }
        if !std::mem::replace(&mut self.suspected, true) {
            return Step::Suspect;
        }
        Step::None
    }

    /// The closer looks before the first report. Their distances are such that two tasks which take turns, of whatever length below
    /// a fifth of a limit, are not both times seen as one: for each length there are two looks that lie in turns of different tasks.
    fn next_look(&self, limit: Duration) -> Option<Duration> {
        const AT: [u32; 6] = [80, 81, 83, 86, 91, 96];
        let percent = AT.get(self.looks as usize).filter(|_| self.reports == 0)?;
        self.since.checked_add(limit / 100 * *percent)
    }

    fn next_report(&self, limit: Duration) -> Option<Duration> {
        let times = 1u32.checked_shl(self.reports)?;
        self.since.checked_add(limit.checked_mul(times)?)
    }

    /// It was there at `last`, and not at `now`.
    fn over(self, last: Duration, now: Duration) -> Option<Over> {
        let total = last.saturating_sub(self.since);
        let error = now.saturating_sub(self.after).saturating_sub(total);
        (self.reports > 0).then_some(Over { total, error, reports: self.reports })
    }
}
