//! What is known of a worker that stands still, and what there is to say of it.
//!
//! Owns the evidence of one turn: how the thread has spent it, which tasks it named, its stack. Not here: when to look closer
//! (`detect.rs`), what the evidence means (`verdict.rs`).

#[cfg(feature = "tokio")]
use super::seat::others_of;
use super::seat::{Seat, Threaded, Token};
use crate::blocked::{EventLoopBlocked, EventLoopUnblocked, ThreadName};
use crate::clock::Clock;
use crate::detect::{Detector, Over, Seen};
use crate::event_loop::{EventLoop, Runtime};
use crate::kernel::{self, Look, Times};
use crate::stack::{Capture, CaptureError, CaptureMode, Capturer, Probe, Said};
use crate::task::{self, BlockedTask};
use crate::verdict::{Evidence, TimeSplit, Verdict, verdict};
use std::time::{Duration, SystemTime};

/// How long a thread may take to answer: before its report is due, and then.
const EARLY: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_millis(5);

/// What is known of a worker from look to look.
pub(super) struct Known {
    pub(super) detector: Detector<Token>,
    /// Since when the turn is seen that all of this is of.
    of: Option<Duration>,
    /// The thread, by the life of its slot, from when it was suspected on, and how it had spent its time then.
    thread: Option<(u64, kernel::Thread)>,
    suspected: Option<(Duration, Times)>,
    /// What it named at each capture of this turn.
    tasks: Vec<Option<u64>>,
    /// The last evidence of this turn: what the kernel said, and the stack.
    looked: Option<(Look, Option<TimeSplit>)>,
    capture: Option<Capture>,
    /// Whose turn it is that was reported.
    reported: Option<(EventLoop, Option<ThreadName>, BlockedTask)>,
}

/// What evidence is taken with.
pub(super) struct Means {
    pub(super) capturer: Capturer,
    pub(super) mode: CaptureMode,
    pub(super) clock: Clock,
}

impl Known {
    /// Of one that begins nothing before `since` that it will be seen at.
    pub(super) fn new(since: Duration) -> Self {
        Self {
            detector: Detector::new(since),
            of: None,
            thread: None,
            suspected: None,
            tasks: Vec::new(),
            looked: None,
            capture: None,
            reported: None,
        }
    }
}

impl Seat {
    /// It has not moved since the last look: from here on it is known how its thread spends the time.
    pub(super) fn suspect(&mut self, clock: Clock) {
        let known = &mut self.known;
        let of = known.detector.since();
        if of.is_some() && std::mem::replace(&mut known.of, of) == of {
            return; // it is known already
        }
        known.tasks.clear();
        known.looked = None;
        known.capture = None;
        self.keep_thread();
        // The stretch from here to just before the look: else what the monitor waits between clock and reading looks like sleep.
        let times = self.known.thread.as_mut().and_then(|(_, thread)| thread.times().ok());
        self.known.suspected = times.map(|times| (clock.now(), times));
    }

    /// It is idle: the kernel's files of its thread are closed, since there may be more threads than a process may have files.
    pub(super) fn lets_go(&mut self) {
        self.known.thread = None;
    }

    /// The kernel's files of its thread are kept open as long as it is the same, and until it is idle.
    fn keep_thread(&mut self) {
        let life = self.thread.as_ref().map(|(_, thread)| thread.life);
        if self.known.thread.as_ref().map(|(of, _)| *of) != life {
            let of = |(_, thread): &Threaded| (thread.life, kernel::Thread::new(thread.target.id()));
            self.known.thread = self.thread.as_ref().map(of);
        }
    }

    /// Its report will soon be due: notes which task a runtime's thread is in, to tell one from many. Others' turns tell that
    /// by themselves.
    pub(super) fn look_closer(&mut self, means: &mut Means) {
        self.suspect(means.clock);
        self.ask_kernel(means.clock);
        if let Some(probe) = probe(&self.hub) {
            let _ = self.capture(means, Some(probe), EARLY);
        }
    }

    /// What there is to say of it now that its report is due; nothing, if it turns out to be no block.
    pub(super) fn diagnose(&mut self, means: &mut Means, time: Duration) -> Option<EventLoopBlocked> {
        if self.thread.is_none() && self.has(Runtime::turns_out_to_be_over) || self.has_another_seat() {
            return None;
        }
        self.suspect(means.clock); // unless it was: the look may have come so late that the report was due at once
        self.ask_kernel(means.clock);
        let mut failed = self.capture(means, probe(&self.hub), PATIENCE).err();
        let mut outside = self.is_outside();
        if outside && self.is_another_thread(means) {
            outside = false;
            failed = None;
            self.known.looked = None; // that was the other's
            self.ask_kernel(means.clock);
        }
        if self.has(Runtime::is_current_thread) {
            // Where nobody could be asked, the stack tells. Where there is none either, and no task, it counts as at rest.
            let said = self.known.capture.as_ref().is_some_and(|capture| capture.said.is_some());
            let inside = if said { Some(!outside) } else { self.is_in_runtime() };
            outside = inside == Some(false);
            if outside {
                self.hub.runtime().inspect(|runtime| runtime.ask_threads()); // another one may drive it from now on
            }
            if inside != Some(true) && self.has(Runtime::rests) {
                return None;
            }
        } else if outside {
            // Somebody drives it. It is not known who.
            outside = false;
            self.known.looked = None;
            self.known.capture = None;
            self.known.tasks.clear();
            self.is_on(None);
            failed = Some(CaptureError::UnknownThread);
        }
        let said = self.known.capture.as_ref().and_then(|capture| capture.said);
        let (look, split) =
            self.known.looked.as_ref().map_or((None, None), |(look, split)| (Some(look), *split));
        let evidence = Evidence {
            split,
            look,
            tasks: &self.known.tasks,
            moved: false, // then no report would be due
            outside,
            reached: look.is_some(),
        };
        let mut event = EventLoopBlocked::new(self.hub.clone(), time);
        event.when = SystemTime::now();
        event.verdict = verdict(&evidence);
        event.split = split;
        event.worker = self.worker();
        event.thread = self.thread_name();
        if !matches!(event.verdict, Verdict::Congested | Verdict::NotDriven) {
            event.task = self.task(said); // of those no single task is to blame
        }
        event.stack = match &self.known.capture {
            Some(capture) => Ok(capture.trace.clone()),
            None => Err(failed.unwrap_or(CaptureError::Off)),
        };
        self.known.reported = Some((event.hub.clone(), event.thread.clone(), event.task.clone()));
        Some(event)
    }

    /// Notes what the kernel says of its thread, unless the turn ended meanwhile: then what was noted before holds.
    fn ask_kernel(&mut self, clock: Clock) {
        let now = clock.now();
        let look = self.known.thread.as_mut().and_then(|(_, thread)| thread.look().ok());
        if let Some(look) = look
            && !self.has_moved()
        {
            let split = self.known.suspected;
            let split = split.map(|(at, before)| TimeSplit::between(&before, at, &look.times, now));
            self.known.looked = Some((look, split));
        }
    }

    /// Whether this is the seat of a thread that turned out to be a runtime's worker, which has one.
    fn has_another_seat(&self) -> bool {
        let thread = self.thread.as_ref().filter(|_| self.worker().is_none());
        thread.is_some_and(|(_, thread)| self.has(|runtime| runtime.drives(thread.life)))
    }

    /// Whether it is of a runtime that is so.
    fn has(&self, is_so: impl FnOnce(&Runtime) -> bool) -> bool {
        self.hub.runtime().is_some_and(is_so)
    }

    /// Whether the thread that was captured said that it does not drive this loop.
    fn is_outside(&self) -> bool {
        let said = self.known.capture.as_ref().and_then(|capture| capture.said);
        said.is_some_and(|said| self.worker().is_some() && said.worker != self.worker())
    }

    /// Whether the stack that was captured goes through the runtime; none, if it is not whole.
    fn is_in_runtime(&self) -> Option<bool> {
        let trace =
            self.known.capture.as_ref().map(|capture| &capture.trace).filter(|trace| trace.complete())?;
        let of_runtime = |name: &str| name.trim_start_matches('<').starts_with("tokio::runtime::");
        Some(trace.frames().iter().any(|frame| frame.function.as_deref().is_some_and(of_runtime)))
    }

    /// The worker is on another thread than was known, or it is not known on which. It is the same turn all the same.
    fn is_on(&mut self, thread: Option<Threaded>) {
        self.thread = thread;
        self.look();
        if let Seen::Busy(token) = self.sight.seen {
            self.known.detector.goes_by(token);
        }
    }

    /// Looks for the thread that says that it is this worker. After `block_in_place` that is one which has not said so unasked.
    #[cfg(feature = "tokio")]
    fn is_another_thread(&mut self, means: &mut Means) -> bool {
        /// How many are asked: they run other code, which a signal may disturb.
        const ASKED: usize = 4;
        let hub = self.hub.clone();
        let (Some(runtime), Some(worker)) = (hub.runtime(), self.worker()) else { return false };
        let (thread, capture) = (self.thread.take(), self.known.capture.take());
        let not_this =
            |other: &Threaded| thread.as_ref().is_none_or(|(_, thread)| other.1.life != thread.life);
        for other in others_of(&hub, runtime).into_iter().filter(not_this).take(ASKED) {
            let life = other.1.life;
            self.is_on(Some(other));
            self.known.tasks.clear();
            if self.capture(means, probe(&hub), EARLY).is_ok() && !self.is_outside() {
                runtime.is_driven_by(worker, life);
                self.known.suspected = None; // how it spent the time before is not known
                self.keep_thread();
                return true;
            }
        }
        self.is_on(thread);
        self.known.capture = capture;
        false
    }

    #[cfg(not(feature = "tokio"))]
    fn is_another_thread(&mut self, _: &mut Means) -> bool {
        false
    }

    /// The turn ended; there is something to say of that if it was reported.
    pub(super) fn over(&mut self, over: Over) -> Option<EventLoopUnblocked> {
        let (hub, thread, task) = self.known.reported.take()?;
        let mut event = EventLoopUnblocked::new(hub, over.total);
        event.worker = self.worker();
        event.thread = thread;
        event.task = task;
        event.error_bound = over.error;
        event.reports = over.reports;
        Some(event)
    }

    /// Whether the turn that was looked at is over by now. What was seen at that look stays.
    fn has_moved(&mut self) -> bool {
        let before = self.sight;
        self.look();
        let after = std::mem::replace(&mut self.sight, before);
        after.seen != before.seen
    }

    /// Takes its stack. One that is of a later turn is none of this one's.
    fn capture(
        &mut self,
        means: &mut Means,
        probe: Option<Probe>,
        patience: Duration,
    ) -> Result<(), CaptureError> {
        if means.mode == CaptureMode::Off {
            return Err(CaptureError::Off);
        }
        let Some((_, thread)) = &self.thread else { return Err(CaptureError::UnknownThread) };
        let capture = means.capturer.capture(&thread.target, probe, patience)?;
        if self.has_moved() {
            return Err(CaptureError::TimedOut { after: patience });
        }
        self.known.tasks.push(named(capture.said));
        self.known.capture = Some(capture);
        Ok(())
    }

    /// Whose turn it is: the runtime's number, where the thread told it, and what a [`Monitored`](crate::Monitored) says of itself.
    fn task(&self, said: Option<Said>) -> BlockedTask {
        let known = task::task(self.sight.task);
        let id = named(said).map(task::TaskId::Tokio).or(known.id);
        BlockedTask { id, ..known }
    }
}

/// What its threads can be asked while they are captured.
fn probe(hub: &EventLoop) -> Option<Probe> {
    #[cfg(feature = "tokio")]
    return hub.runtime().map(|_| crate::runtime::said as Probe);
    #[cfg(not(feature = "tokio"))]
    hub.runtime().map(|runtime| match *runtime {})
}

/// The number by which a thread named its task.
fn named(said: Option<Said>) -> Option<u64> {
    #[cfg(feature = "tokio")]
    if let Some(id) = said.and_then(|said| said.task)
        && let task::TaskId::Tokio(id) = task::TaskId::from(id)
    {
        return Some(id);
    }
    let _ = said;
    None
}
