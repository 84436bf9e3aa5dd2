//! The watch on event loops: looks at all workers, closer at those that stand still, and says what it found.
//!
//! Owns when all of them are looked at. Runs on the monitor thread. Not here: who hears of it (`worker.rs`), when one of them is due
//! (`detect.rs`), who they are (`watch/seat.rs`), what there is to say (`watch/diagnosis.rs`).
//!
//! # Invariants
//! 1. It sleeps without a deadline only after it has armed the bell, looked at all workers after that, and seen none run; and
//!    only if all that it watches ring.
//! 2. A thread is signalled only if it has been silent for a limit; a runtime's, whose captures must tell one task from many,
//!    for 0.8 of one.

mod budget;
mod diagnosis;
mod seat;

use crate::blocked::{EventLoopBlocked, EventLoopUnblocked, Place};
use crate::builder::Settings;
use crate::clock::Clock;
use crate::detect::{Seen, Step};
use crate::event_loop::EventLoop;
use crate::slot::{self, Sleeper};
use crate::stack::Capturer;
use crate::task;
use budget::{Budget, Stacks};
use crossbeam_utils::sync::Unparker;
use diagnosis::Means;
use seat::Seat;
use std::time::Duration;

/// Looks come at least so far apart, however short the limit is.
const LEAST: Duration = Duration::from_micros(500);

/// What was found.
pub(crate) enum Finding {
    Blocked(Box<EventLoopBlocked>),
    Unblocked(Box<EventLoopUnblocked>),
}

/// The watch.
pub(crate) struct Watch {
    monitor: String,
    sleeper: Sleeper,
    means: Means,
    seats: Vec<Seat>,
    /// Which threads there were when the seats were arranged; none: they are to be arranged.
    arranged: Option<u64>,
    /// When it looked last; from the beginning, if it never did, or looked away meanwhile.
    last: Duration,
    next: Option<Duration>,
    /// It sleeps until somebody rings, or did.
    asleep: bool,
    /// All turns and numbers, as one: the same at the next look, if nothing ran meanwhile.
    moves: u64,
    stacks: Stacks,
    budget: Budget,
}

impl Watch {
    pub(crate) fn new(clock: Clock, settings: &Settings, unparker: Unparker) -> Self {
        let capturer = Capturer::new(settings.capture, settings.capture_signal);
        Self {
            monitor: settings.thread_name.clone(),
            sleeper: Sleeper::new(unparker),
            means: Means { capturer, mode: settings.capture, clock },
            seats: Vec::new(),
            arranged: None,
            last: Duration::ZERO,
            next: Some(Duration::ZERO),
            asleep: false,
            moves: 0,
            stacks: Stacks::default(),
            budget: Budget::new(),
        }
    }

    /// When it is to look; none: when it is woken, or something changes.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.next
    }

    /// The loops changed, or the limit: it is to look at once.
    pub(crate) fn changed(&mut self) {
        self.arranged = None;
        self.next = Some(Duration::ZERO);
    }

    pub(crate) fn is_due(&self, now: Duration) -> bool {
        match self.next {
            Some(next) => next <= now,
            None => self.asleep && !self.sleeper.is_asleep(),
        }
    }

    /// Looks at all workers of these loops, and at the threads that drive none.
    pub(crate) fn look(&mut self, hubs: &[EventLoop], limit: Option<Duration>) -> Vec<Finding> {
        let mut findings = Vec::new();
        let Some(limit) = limit else {
            // Who switches it on again wakes the thread.
            let gone = std::mem::take(&mut self.seats);
            findings.extend(ended(gone, self.means.clock.now()));
            self.last = Duration::ZERO;
            self.next = None;
            return findings;
        };
        let mut now = self.means.clock.now();
        // What runs now, and did not when all slept, has begun since the first one rang.
        let floor = match (std::mem::take(&mut self.asleep), self.sleeper.is_asleep()) {
            (false, _) => Duration::ZERO,
            (true, true) => now,
            (true, false) => now.saturating_sub(self.sleeper.woken().elapsed()),
        };
        self.sleeper.is_up();
        loop {
            self.arrange(hubs, now, &mut findings);
            self.seats.iter_mut().for_each(Seat::look);
            let looked = self.means.clock.now();
            for at in 0..self.seats.len() {
                self.see(at, [now, looked], floor, limit, &mut findings);
            }
            self.last = now;
            // A loop that comes and goes would ring at once, and each time.
            let moves = self.seats.iter().fold(0, |moves: u64, seat| moves.wrapping_add(seat.sight.moves));
            let moved = std::mem::replace(&mut self.moves, moves) != moves;
            let next = self.seats.iter().filter_map(|seat| seat.known.detector.next(limit)).min();
            self.next = next.map(|next| next.max(now + LEAST));
            if self.next.is_some() {
                break;
            }
            if self.asleep {
                return findings; // invariant 1: this was the look after the bell was armed
            }
            if moved || !hubs.iter().all(rings) || !self.sleeper.falls_asleep() {
                self.next = Some(now + (limit / 5).max(LEAST));
                break;
            }
            self.asleep = true;
            now = self.means.clock.now();
        }
        self.asleep = false;
        self.sleeper.is_up();
        findings
    }

    /// Brings the seats up to date, if threads have come or gone. What is not there any more has ended, also what was blocked.
    fn arrange(&mut self, hubs: &[EventLoop], now: Duration, findings: &mut Vec<Finding>) {
        let version = slot::version();
        if self.arranged.replace(version) == Some(version) {
            return;
        }
        let (seats, gone) = seat::arrange(hubs, std::mem::take(&mut self.seats), self.last, now);
        self.seats = seats;
        findings.extend(ended(gone, now));
    }

    fn see(
        &mut self,
        at: usize,
        [now, looked]: [Duration; 2],
        floor: Duration,
        limit: Duration,
        findings: &mut Vec<Finding>,
    ) {
        let seat = &mut self.seats[at];
        let (over, step) = seat.known.detector.see_between(now, looked, floor, limit, seat.sight.seen);
        findings.extend(over.and_then(|over| seat.over(over)).map(unblocked));
        if seat.sight.seen == Seen::Idle {
            seat.lets_go();
        }
        match step {
            Step::None => {}
            Step::Suspect => seat.suspect(self.means.clock),
            Step::Look => seat.look_closer(&mut self.means),
            Step::Report { time, error, report } => {
                if !self.budget.take(now) {
                    return;
                }
                let Some(mut event) = seat.diagnose(&mut self.means, time) else { return };
                event.error_bound = error;
                event.max_blocking_time = limit;
                event.report = report;
                event.same_stack = event.stack.as_ref().map_or(0, |stack| self.stacks.count(stack));
                event.dropped = self.budget.dropped();
                event.monitor.clone_from(&self.monitor);
                event.others = self.others(at, now);
                findings.push(Finding::Blocked(Box::new(event)));
            }
        }
    }

    /// A line for each of the other workers.
    fn others(&self, at: usize, now: Duration) -> Vec<String> {
        let line = |(_, seat): (usize, &Seat)| {
            let place = Place(&seat.hub, seat.worker());
            match (seat.sight.seen, seat.known.detector.since()) {
                (Seen::Busy(_), Some(since)) => {
                    let task = task::task(seat.sight.task);
                    let within = if task.is_known() { format!(", in {task}") } else { String::new() };
                    format!("{place}: the same for {:.0?}{within}", now.saturating_sub(since))
                }
                (Seen::Busy(_), None) => format!("{place}: runs"),
                (Seen::Idle, _) => format!("{place}: idle"),
            }
        };
        self.seats.iter().enumerate().filter(|(other, _)| *other != at).map(line).collect()
    }
}

/// What there is to say of workers that are not watched any more: of those that were blocked, that it is over.
fn ended(gone: Vec<Seat>, now: Duration) -> impl Iterator<Item = Finding> {
    gone.into_iter().filter_map(move |mut seat| {
        // Idle has no limit.
        let (over, _) = seat.known.detector.see(now, Duration::ZERO, Duration::MAX, Seen::Idle);
        seat.over(over?).map(unblocked)
    })
}

fn unblocked(event: EventLoopUnblocked) -> Finding {
    Finding::Unblocked(Box::new(event))
}

/// Whether whoever runs there wakes a monitor that sleeps.
fn rings(hub: &EventLoop) -> bool {
    hub.runtime().is_none_or(|runtime| runtime.rings())
}
