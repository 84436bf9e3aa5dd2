//! The watch on event loops: looks at all workers, closer at those that stand still, and says what it found.
//!
//! Owns what is known of each worker, and how many findings there may be. Runs on the monitor thread. Not here: who hears of it
//! (`worker.rs`), when a worker is due (`detect.rs`), why it stands still (`verdict.rs`), where (`stack.rs`).
//!
//! # Invariants
//! 1. It sleeps without a deadline only after it has armed the bell, looked at all workers after that, and seen none run; and
//!    only if all that it watches ring.
//! 2. A thread is signalled only if it has been silent for 0.8 limits (a runtime's worker: two captures, to tell one task from
//!    many) or for a whole one.

use crate::blocked::{EventLoopBlocked, EventLoopUnblocked, Place, ThreadName};
use crate::clock::Clock;
use crate::detect::{Detector, Over, Seen, Step};
use crate::event_loop::{EventLoop, Source};
use crate::kernel::{self, Look, Times};
use crate::slot::{self, Sleeper, Slot, ThreadInfo};
use crate::stack::{Capture, CaptureError, CaptureMode, Capturer, Probe, Said, StackTrace};
use crate::task::{self, BlockedTask, is_expected};
use crate::verdict::{Evidence, TimeSplit, Verdict, verdict};
use crossbeam_utils::sync::Unparker;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Looks come at least so far apart, however short the limit is.
const LEAST: Duration = Duration::from_micros(500);
/// How long a thread may take to answer when its report is due.
const PATIENCE: Duration = Duration::from_millis(5);
/// Reports that may come at once, and how many more a second.
const BURST: u32 = 100;
const PER_SECOND: u32 = 10;
/// How many different stacks are remembered.
const STACKS: usize = 256;

/// What was found.
pub(crate) enum Finding {
    Blocked(Box<EventLoopBlocked>),
    Unblocked(Box<EventLoopUnblocked>),
}

/// The watch.
pub(crate) struct Watch {
    clock: Clock,
    monitor: String,
    sleeper: Sleeper,
    capturer: Capturer,
    mode: CaptureMode,
    workers: BTreeMap<Key, Known>,
    next: Option<Duration>,
    /// It sleeps until somebody rings, or did.
    asleep: bool,
    /// All turns and numbers, as one: the same at the next look, if nothing ran meanwhile.
    moves: u64,
    stacks: Stacks,
    budget: Budget,
}

/// One worker: of a loop, the thread of this number, or the worker of this index.
type Key = (u64, Who);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Thread(u64),
    #[cfg_attr(not(feature = "tokio"), allow(dead_code, reason = "only runtimes have them"))]
    Worker(usize),
}

/// What stands still as long as nothing happens: numbers of a runtime, and the turn.
type Token = (u64, Duration, u64);

/// What one look saw of a worker.
struct Seat {
    hub: EventLoop,
    who: Who,
    thread: Option<(&'static Slot, Arc<ThreadInfo>)>,
    seen: Seen<Token>,
    task: u64,
    /// Grows with each turn, park and unpark.
    moves: u64,
}

/// What is known of a worker from look to look.
struct Known {
    detector: Detector<Token>,
    /// The thread, from when it was suspected on, and how it had spent its time then.
    thread: Option<kernel::Thread>,
    suspected: Option<(Duration, Times)>,
    /// What it named at each capture of this turn.
    tasks: Vec<Option<u64>>,
    capture: Option<Capture>,
    /// Whose turn it is that was reported.
    reported: Option<(EventLoop, Option<ThreadName>, BlockedTask)>,
}

impl Watch {
    pub(crate) fn new(
        clock: Clock,
        monitor: String,
        mode: CaptureMode,
        signal: Option<i32>,
        unparker: Unparker,
    ) -> Self {
        Self {
            clock,
            monitor,
            sleeper: Sleeper::new(unparker),
            capturer: Capturer::new(mode, signal),
            mode,
            workers: BTreeMap::new(),
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

    /// Something changed: it is to look at once.
    pub(crate) fn changed(&mut self) {
        self.next = Some(Duration::ZERO);
    }

    pub(crate) fn is_due(&self, now: Duration) -> bool {
        match self.next {
            Some(next) => next <= now,
            None => self.asleep && !self.sleeper.is_asleep(),
        }
    }

    /// Looks at all workers of these loops, and of all threads that belong to none.
    pub(crate) fn look(&mut self, hubs: &[EventLoop], limit: Option<Duration>) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut now = self.clock.now();
        let Some(limit) = limit else {
            // Who switches it on again wakes the thread.
            self.workers.clear();
            self.next = None;
            return findings;
        };
        // What runs now, and did not when all slept, has begun since the first one rang.
        let floor = match (std::mem::take(&mut self.asleep), self.sleeper.is_asleep()) {
            (false, _) => Duration::ZERO,
            (true, true) => now,
            (true, false) => self.rung(now),
        };
        self.sleeper.is_up();
        let pause = (limit / 5).max(LEAST);
        loop {
            let seats = seats(hubs);
            for at in 0..seats.len() {
                self.see(&seats, at, now, floor, limit, &mut findings);
            }
            self.forget(&seats, now, limit, &mut findings);
            // A loop that comes and goes would ring at once, and each time.
            let moves = seats.iter().fold(0, |moves: u64, seat| moves.wrapping_add(seat.moves));
            let moved = std::mem::replace(&mut self.moves, moves) != moves;
            let next = self.workers.values().filter_map(|known| known.detector.next(limit)).min();
            self.next = next.map(|next| next.max(now + LEAST));
            if self.next.is_some() {
                break;
            }
            if self.asleep {
                return findings; // invariant 1: this was the look after the bell was armed
            }
            if moved || !hubs.iter().all(rings) || !self.sleeper.falls_asleep() {
                self.next = Some(now + pause);
                break;
            }
            self.asleep = true;
            now = self.clock.now();
        }
        self.asleep = false;
        self.sleeper.is_up();
        findings
    }

    /// When it was woken, on the monitor's clock.
    fn rung(&self, now: Duration) -> Duration {
        self.clock.now().saturating_sub(self.sleeper.woken().elapsed()).min(now)
    }

    fn see(
        &mut self,
        seats: &[Seat],
        at: usize,
        now: Duration,
        floor: Duration,
        limit: Duration,
        findings: &mut Vec<Finding>,
    ) {
        let seat = &seats[at];
        let known = self.workers.entry((seat.hub.id(), seat.who)).or_insert_with(|| Known::new(now));
        let (over, step) = known.detector.see(now, floor, limit, seat.seen);
        if let Some(over) = over {
            findings.extend(known.over(seat.who, over));
        }
        match step {
            Step::None => {}
            Step::Suspect => known.suspect(seat, now),
            Step::Look => {
                if let Some(probe) = probe(&seat.hub) {
                    known.capture(&mut self.capturer, seat, Some(probe), Duration::ZERO);
                }
            }
            Step::Report { time, error, report } => {
                if !self.budget.take(now) {
                    return;
                }
                let Some(mut event) = known.diagnose(&mut self.capturer, self.mode, self.clock, seat, time)
                else {
                    return;
                };
                event.error_bound = error;
                event.max_blocking_time = limit;
                event.report = report;
                event.same_stack = event.stack.as_ref().map_or(0, |stack| self.stacks.count(stack));
                event.dropped = self.budget.dropped();
                event.monitor.clone_from(&self.monitor);
                event.others = others(&self.workers, seats, at, now);
                findings.push(Finding::Blocked(Box::new(event)));
            }
        }
    }

    /// What is not there any more has ended, also what was blocked.
    fn forget(&mut self, seats: &[Seat], now: Duration, limit: Duration, findings: &mut Vec<Finding>) {
        if self.workers.len() == seats.len() {
            return; // each has a seat, and no two the same
        }
        let mut there: Vec<Key> = seats.iter().map(|seat| (seat.hub.id(), seat.who)).collect();
        there.sort_unstable();
        self.workers.retain(|key, known| {
            let stays = there.binary_search(key).is_ok();
            if !stays && let (Some(over), _) = known.detector.see(now, Duration::ZERO, limit, Seen::Idle) {
                findings.extend(known.over(key.1, over));
            }
            stays
        });
    }
}

impl Known {
    fn new(now: Duration) -> Self {
        Self {
            detector: Detector::new(now),
            thread: None,
            suspected: None,
            tasks: Vec::new(),
            capture: None,
            reported: None,
        }
    }

    /// From here on it is known how the thread spends its time.
    fn suspect(&mut self, seat: &Seat, now: Duration) {
        self.tasks.clear();
        self.capture = None;
        self.thread = seat.thread.as_ref().map(|(_, thread)| kernel::Thread::new(thread.target.id()));
        self.suspected = self.thread.as_mut().and_then(|thread| Some((now, thread.times().ok()?)));
    }

    fn capture(
        &mut self,
        capturer: &mut Capturer,
        seat: &Seat,
        probe: Option<Probe>,
        patience: Duration,
    ) -> Option<CaptureError> {
        let Some((_, thread)) = &seat.thread else { return Some(CaptureError::NoThread) };
        match capturer.capture(&thread.target, probe, patience.max(PATIENCE / 5)) {
            Ok(capture) => {
                self.tasks.push(named(capture.said.as_ref()));
                self.capture = Some(capture);
                None
            }
            Err(error) => Some(error),
        }
    }

    /// What there is to say of a worker whose report is due; nothing, if it turns out to be no block.
    fn diagnose(
        &mut self,
        capturer: &mut Capturer,
        mode: CaptureMode,
        clock: Clock,
        seat: &Seat,
        time: Duration,
    ) -> Option<EventLoopBlocked> {
        if self.thread.is_none() {
            self.suspect(seat, clock.now()); // a look came so late that it was due at once
        }
        let look: Option<Look> = self.thread.as_mut().and_then(|thread| thread.look().ok());
        let split = match (&look, self.suspected) {
            (Some(look), Some((at, before))) => {
                Some(TimeSplit::between(&before, at, &look.times, clock.now()))
            }
            _ => None,
        };
        let failed = if mode == CaptureMode::Off {
            Some(CaptureError::Off)
        } else {
            self.capture(capturer, seat, probe(&seat.hub), PATIENCE)
        };
        let said = self.capture.as_ref().and_then(|capture| capture.said.as_ref());
        let outside = said.is_some_and(|said| is_outside(seat, said));
        if (outside || said.is_none()) && rests(&seat.hub) {
            return None;
        }
        let evidence = Evidence {
            split,
            look: look.as_ref(),
            tasks: &self.tasks,
            moved: false,
            outside,
            reached: look.is_some(),
        };
        let verdict = verdict(&evidence);
        let mut event = EventLoopBlocked::new(seat.hub.clone(), time);
        event.when = SystemTime::now();
        event.worker = seat.worker();
        event.thread = seat.thread_name();
        event.task = match verdict {
            // No single task is to blame.
            Verdict::Congested | Verdict::NotDriven => BlockedTask::default(),
            _ => task_of(seat, said),
        };
        event.split = split;
        event.verdict = verdict;
        event.stack = match (self.capture.take(), failed) {
            (Some(capture), _) => Ok(capture.trace),
            (None, Some(error)) => Err(error),
            (None, None) => Err(CaptureError::Off),
        };
        self.reported = Some((event.hub.clone(), event.thread.clone(), event.task.clone()));
        Some(event)
    }

    fn over(&mut self, who: Who, over: Over) -> Option<Finding> {
        let (hub, thread, task) = self.reported.take()?;
        let mut event = EventLoopUnblocked::new(hub, over.total);
        event.worker = who.worker();
        event.thread = thread;
        event.task = task;
        event.error_bound = over.error;
        event.reports = over.reports;
        Some(Finding::Unblocked(Box::new(event)))
    }
}

impl Who {
    fn worker(self) -> Option<usize> {
        match self {
            Self::Thread(_) => None,
            Self::Worker(worker) => Some(worker),
        }
    }
}

impl Seat {
    fn worker(&self) -> Option<usize> {
        self.who.worker()
    }

    fn thread_name(&self) -> Option<ThreadName> {
        let (_, thread) = self.thread.as_ref()?;
        Some(ThreadName::new(thread.target.id(), thread.name.as_deref()))
    }
}

/// All workers of these loops, and of no loop.
fn seats(hubs: &[EventLoop]) -> Vec<Seat> {
    let threads = slot::all();
    let mut seats = Vec::new();
    #[cfg(feature = "tokio")]
    for hub in hubs {
        if let Source::Tokio(runtime) = hub.source() {
            seats.extend((0..runtime.workers()).map(|worker| of_runtime(hub, runtime, worker, &threads)));
        }
    }
    let tasks = hubs.iter().find(|hub| matches!(hub.source(), Source::Tasks));
    for (slot, thread) in threads {
        let driven = slot.driven();
        let own = hubs.iter().find(|hub| hub.id() == driven.hub);
        // A runtime's worker has its seat already.
        let Some(hub) = own.or(tasks.filter(|_| driven.hub == 0)) else { continue };
        if driven.worker.is_some() {
            continue;
        }
        let beat = slot.beat();
        let idle = beat.task == 0 || is_expected(beat.task) || slot.is_expected();
        let seen = if idle { Seen::Idle } else { Seen::Busy((0, Duration::ZERO, beat.turn)) };
        let (who, task) = (Who::Thread(thread.life), beat.task);
        seats.push(Seat {
            hub: hub.clone(),
            who,
            thread: Some((slot, thread)),
            seen,
            task,
            moves: beat.turn,
        });
    }
    seats
}

#[cfg(feature = "tokio")]
fn of_runtime(
    hub: &EventLoop,
    runtime: &crate::runtime::Runtime,
    worker: usize,
    threads: &[(&'static Slot, Arc<ThreadInfo>)],
) -> Seat {
    let is_it = |slot: &&'static Slot| {
        let driven = slot.driven();
        (driven.hub == hub.id() && driven.worker == Some(worker)).then_some(driven.since)
    };
    // After `block_in_place` two threads may think that they are: the later one is right.
    let thread = threads.iter().filter(|(slot, _)| is_it(slot).is_some()).max_by_key(|(slot, _)| is_it(slot));
    let numbers = runtime.numbers(worker);
    let (mut expected, mut turn, mut task) = (false, 0, 0);
    if let Some((slot, _)) = thread {
        let beat = slot.beat();
        (turn, task) = (beat.turn, beat.task);
        expected = slot.is_expected() || is_expected(task);
    } else if !numbers.is_parked() {
        runtime.ask_threads(hub.id());
    }
    let idle = numbers.is_parked() || expected;
    let seen = if idle { Seen::Idle } else { Seen::Busy((numbers.parks, numbers.busy, turn)) };
    let moves = numbers.parks.wrapping_add(turn);
    Seat { hub: hub.clone(), who: Who::Worker(worker), thread: thread.cloned(), seen, task, moves }
}

/// Whether whoever runs there wakes a monitor that sleeps.
fn rings(hub: &EventLoop) -> bool {
    match hub.source() {
        Source::Pulse | Source::Tasks => true,
        #[cfg(feature = "tokio")]
        Source::Tokio(runtime) => runtime.rings,
    }
}

/// What its threads can be asked while they are captured.
fn probe(hub: &EventLoop) -> Option<Probe> {
    match hub.source() {
        Source::Pulse | Source::Tasks => None,
        #[cfg(feature = "tokio")]
        Source::Tokio(_) => Some(crate::runtime::said),
    }
}

/// Whether a thread said that it does not drive this loop now.
fn is_outside(seat: &Seat, said: &Said) -> bool {
    seat.worker().is_some() && said.worker != seat.worker()
}

/// Whether it may stand still because nobody drives it, and nobody need: a runtime of one thread, without tasks.
fn rests(hub: &EventLoop) -> bool {
    match hub.source() {
        Source::Pulse | Source::Tasks => false,
        #[cfg(feature = "tokio")]
        Source::Tokio(runtime) => runtime.rests(),
    }
}

/// The number by which a thread named its task.
fn named(said: Option<&Said>) -> Option<u64> {
    #[cfg(feature = "tokio")]
    if let Some(id) = said.and_then(|said| said.task)
        && let task::TaskId::Tokio(id) = task::TaskId::from(id)
    {
        return Some(id);
    }
    let _ = said;
    None
}

/// Whose turn it is: the runtime's number, where the thread told it, and what a [`Monitored`](crate::Monitored) says of itself.
fn task_of(seat: &Seat, said: Option<&Said>) -> BlockedTask {
    let known = task::task(seat.task);
    BlockedTask { id: named(said).map(task::TaskId::Tokio).or(known.id), ..known }
}

/// A line for each of the other workers.
fn others(workers: &BTreeMap<Key, Known>, seats: &[Seat], at: usize, now: Duration) -> Vec<String> {
    let line = |(_, seat): (usize, &Seat)| {
        let place = Place(&seat.hub, seat.worker());
        let since = workers.get(&(seat.hub.id(), seat.who)).and_then(|known| known.detector.since());
        match (seat.seen, since) {
            (Seen::Busy(_), Some(since)) => {
                let task = task::task(seat.task);
                format!("{place}: the same for {:.0?}, in {task}", now.saturating_sub(since))
            }
            (Seen::Busy(_), None) => format!("{place}: runs"),
            (Seen::Idle, _) => format!("{place}: idle"),
        }
    };
    seats.iter().enumerate().filter(|(other, _)| *other != at).map(line).collect()
}

/// Which stacks there were, and how often.
#[derive(Default)]
struct Stacks {
    counts: HashMap<u64, u64>,
    order: VecDeque<u64>,
}

impl Stacks {
    /// How often it was there before.
    fn count(&mut self, stack: &StackTrace) -> u64 {
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
struct Budget {
    left: u32,
    filled: Duration,
    dropped: u64,
}

impl Budget {
    fn new() -> Self {
        Self { left: BURST, filled: Duration::ZERO, dropped: 0 }
    }

    fn take(&mut self, now: Duration) -> bool {
        let each = Duration::from_secs(1) / PER_SECOND;
        let more = now.saturating_sub(self.filled).as_nanos() / each.as_nanos();
        if more > 0 {
            self.left = self.left.saturating_add(u32::try_from(more).unwrap_or(u32::MAX)).min(BURST);
            self.filled = now;
        }
        let enough = self.left > 0;
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => self.dropped += 1,
        }
        enough
    }

    /// How many were dropped since this was asked last.
    fn dropped(&mut self) -> u64 {
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
    }
}
