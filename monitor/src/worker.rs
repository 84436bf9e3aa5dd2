//! The monitor thread: sleep until the next deadline, call what is due, tell of what went wrong.
//!
//! Owns the thread's life, and what is known of it from outside. Not here: what is registered (`monitor.rs`), when it is due
//! (`schedule.rs`).
//!
//! # Invariants
//! 1. Nothing that a function or a subscriber does ends the thread: calls, reports and the destructors of what belongs to
//!    users run inside `catch_unwind`.
//! 2. Whoever changes what the thread looks at wakes it afterwards, and a wake that comes before the sleep is kept by the parker:
//!    so nothing is overslept.
//! 3. The thread of a process does nothing in another one: after each call it looks where it is.

use crate::clock::Clock;
use crate::error::{Activity, ForkedWhileRunning, FunctionPanicked, StopError, quietly};
use crate::event::{MonitoringFunctionFailed, MonitoringFunctionSlow};
use crate::event_loop::EventLoop;
use crate::function::{Function, Used};
use crate::list::{List, Listed};
use crate::monitor::Hub;
use crate::printer::Printer;
use crate::report::publish_and_print;
use crate::schedule::Schedule;
use crate::shared::Shared;
use crate::signals;
use crate::watch::{Finding, Watch};
use crossbeam_utils::sync::{Parker, Unparker};
use signalpost_dispatch::{BoxError, Bus, Event, PublishError};
use std::fmt::{Arguments, Display};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

/// What is known of a monitor thread from outside. Each process has its own, so nobody meets a lock that was held at a fork.
pub(crate) struct Worker {
    process: u32,
    unparker: Unparker,
    thread: OnceLock<ThreadId>,
    /// What it is at, and since when.
    activity: Mutex<Option<(Activity, Duration)>>,
    ended: Mutex<bool>,
    ends: Condvar,
}

impl Worker {
    pub(crate) fn new() -> (Parker, Arc<Self>) {
        let parker = Parker::new();
        let worker = Self {
            process: process::id(),
            unparker: parker.unparker().clone(),
            thread: OnceLock::new(),
            activity: Mutex::new(None),
            ended: Mutex::new(false),
            ends: Condvar::new(),
        };
        (parker, Arc::new(worker))
    }

    /// The thread that it is known of is the caller's.
    pub(crate) fn is_this_thread(&self) {
        let _ = self.thread.set(thread::current().id());
    }

    /// Whether it is a thread of this process.
    pub(crate) fn is_here(&self) -> bool {
        self.process == process::id()
    }

    pub(crate) fn thread(&self) -> Option<ThreadId> {
        self.thread.get().copied()
    }

    /// Makes it look, unless it is this thread, which looks before it sleeps.
    pub(crate) fn wake(&self) {
        if self.thread() != Some(thread::current().id()) {
            self.unparker.unpark();
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        *lock(&self.ended)
    }

    /// Waits until it has ended.
    pub(crate) fn wait(&self, timeout: Duration, clock: Clock) -> Result<(), StopError> {
        if self.thread() == Some(thread::current().id()) {
            return Err(StopError::OnMonitorThread);
        }
        let waited = self.ends.wait_timeout_while(lock(&self.ended), timeout, |ended| !*ended);
        let (ended, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if *ended {
            return Ok(());
        }
        drop(ended);
        let (activity, since) = match lock(&self.activity).clone() {
            Some((activity, since)) => (Some(activity), since),
            None => (None, clock.now()),
        };
        Err(StopError::StillRunning { activity, running_for: clock.now().saturating_sub(since) })
    }

    fn is_at(&self, activity: Option<Activity>, clock: Clock) {
        *lock(&self.activity) = activity.map(|activity| (activity, clock.now()));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says that the thread has ended, whatever ended it.
struct Ends(Arc<Worker>);

impl Drop for Ends {
    fn drop(&mut self) {
        *lock(&self.0.ended) = true;
        self.0.ends.notify_all();
    }
}

pub(crate) fn spawn(shared: &Arc<Shared>, worker: Arc<Worker>, parker: Parker) -> io::Result<()> {
    let thread = thread::Builder::new().name(shared.settings.thread_name.clone());
    let (shared, known) = (shared.clone(), worker.clone());
    let body = move || {
        worker.is_this_thread();
        let ends = Ends(worker.clone());
        match Thread::new(shared, worker, parker).run() {
            Left::Ended => drop(ends),
            // Its locks belong to a thread of the other process.
            Left::Forked => std::mem::forget(ends),
        }
    };
    let handle = signals::blocked(|| thread.spawn(body))?;
    let _ = known.thread.set(handle.thread().id()); // unless it was first
    Ok(())
}

/// The thread's own.
pub(crate) struct Thread {
    shared: Arc<Shared>,
    worker: Arc<Worker>,
    parker: Parker,
    schedule: Schedule,
    /// The functions of that version of the snapshot which the schedule has. 0 is before the first.
    known: Arc<List>,
    hubs: Arc<Vec<EventLoop>>,
    version: u64,
    watch: Watch,
    printer: Printer,
    /// What the watch was told of its limit.
    limit: Option<Duration>,
}

/// Why the thread came to its end.
#[derive(Clone, Copy)]
pub(crate) enum Left {
    Ended,
    /// A function forked, and returned in the child: this is the child's copy of the thread.
    Forked,
}

/// What came of a turn.
pub(crate) enum Turn {
    /// What was due was called. There may be more.
    Called,
    /// Nothing is due until then; ever, if there is no then.
    Sleep(Option<Duration>),
    /// It was the last.
    Leave(Left),
}

impl Thread {
    pub(crate) fn new(shared: Arc<Shared>, worker: Arc<Worker>, parker: Parker) -> Self {
        let watch = Watch::new(shared.clock, &shared.settings, parker.unparker().clone());
        Self {
            limit: shared.limits.max_blocking_time(),
            shared,
            worker,
            parker,
            schedule: Schedule::new(),
            known: Arc::default(),
            hubs: Arc::default(),
            version: 0,
            watch,
            printer: Printer::default(),
        }
    }

    fn run(mut self) -> Left {
        let left = loop {
            match self.turn() {
                Turn::Called => {}
                Turn::Sleep(until) => match until.and_then(|until| self.shared.clock.at(until)) {
                    Some(until) => self.parker.park_deadline(until),
                    None => self.parker.park(),
                },
                Turn::Leave(left) => break left,
            }
        };
        if let Left::Ended = left {
            // What is known here keeps no closure: they are taken out of the functions.
            self.shared.end();
        }
        left
    }

    /// Looks for changes, and calls what is due. Does not sleep.
    pub(crate) fn turn(&mut self) -> Turn {
        if self.shared.is_stopping() {
            return Turn::Leave(Left::Ended);
        }
        self.look();
        if let Left::Forked = self.watch_loops() {
            return Turn::Leave(Left::Forked);
        }
        let now = self.shared.clock.now();
        match self.schedule.next_due() {
            Some(due) if due <= now => match self.call_due(now) {
                Left::Ended => Turn::Called,
                Left::Forked => Turn::Leave(Left::Forked),
            },
            next => Turn::Sleep(next.into_iter().chain(self.watch.next()).min()),
        }
    }

    /// Looks at the loops, if it is time to, and tells of what was found.
    fn watch_loops(&mut self) -> Left {
        let limit = self.shared.limits.max_blocking_time();
        if limit != self.limit {
            self.limit = limit;
            self.watch.changed();
        }
        if !self.watch.is_due(self.shared.clock.now()) {
            return Left::Ended;
        }
        for finding in self.watch.look(&self.hubs, limit) {
            match finding {
                Finding::Blocked(event) => {
                    let mut printer = std::mem::take(&mut self.printer);
                    let shared = self.shared.clone();
                    self.tell_by(*event, |bus, event| {
                        publish_and_print(bus, event, shared.limits.print.load(Relaxed), &mut printer)
                    });
                    self.printer = printer;
                }
                Finding::Unblocked(event) => self.tell_by(*event, |bus, event| bus.try_publish(event)),
            }
            if !self.worker.is_here() {
                return Left::Forked; // by a subscriber
            }
        }
        Left::Ended
    }

    /// Brings the schedule up to the newest snapshot.
    fn look(&mut self) {
        let version = self.version;
        let newer = self.shared.table.read(|table| {
            (table.version != version).then(|| (table.version, table.functions.clone(), table.hubs.clone()))
        });
        let Some((version, functions, hubs)) = newer.flatten() else { return };
        if !Arc::ptr_eq(&hubs, &self.hubs) {
            self.hubs = hubs;
            self.watch.changed();
        }
        let known = std::mem::replace(&mut self.known, functions);
        self.version = version;
        // Both are in the order of their places.
        let (gone, come) = known.differing(&self.known);
        let mut old = gone.into_iter().peekable();
        for new in come {
            while let Some(gone) = old.next_if(|old| old.place < new.place) {
                self.schedule.remove(gone.place);
            }
            match old.next_if(|old| old.place == new.place) {
                Some(old) if Arc::ptr_eq(&old.function, &new.function) => {
                    if old.period != new.period {
                        self.schedule.set_period(new.place, new.period);
                    }
                }
                _ => match new.function.due() {
                    Some(due) => self.schedule.resume(new.place, new.period, due),
                    None => {
                        let at_once = self.shared.settings.first_call_at_once;
                        self.schedule.add(new.place, new.period, new.function.since, at_once);
                    }
                },
            }
            new.function.set_due(self.schedule.due(new.place));
        }
        for gone in old {
            self.schedule.remove(gone.place);
        }
        quietly(|| drop(known));
    }

    fn call_due(&mut self, now: Duration) -> Left {
        for place in self.schedule.take_due(now) {
            if self.shared.is_stopping() {
                break;
            }
            // What `take_due` gives is what `look` put there.
            if let Some(listed) = self.known.at(place).cloned() {
                if let Left::Forked = self.call(&listed) {
                    return Left::Forked;
                }
                self.schedule.done(place, self.shared.clock.now());
                listed.function.set_due(self.schedule.due(place));
            }
        }
        Left::Ended
    }

    /// Calls one function, unless it was taken out meanwhile, and tells of what went wrong.
    fn call(&self, listed: &Listed) -> Left {
        let (shared, function, clock) = (&self.shared, &listed.function, self.shared.clock);
        self.worker.is_at(Some(Activity::Function(function.name.clone())), clock);
        let hub = Hub::new(shared, function.name.id);
        let begun = clock.now();
        let used = function.with(|call| catch_unwind(AssertUnwindSafe(|| call(&hub))));
        if !self.worker.is_here() {
            return Left::Forked;
        }
        let took = clock.now().saturating_sub(begun);
        let error = match used {
            Used::Done(Ok(Ok(()))) => None,
            Used::Done(Ok(Err(error))) => Some(error),
            Used::Done(Err(payload)) => Some(FunctionPanicked::new(payload).into()),
            Used::InUse if shared.is_current(listed) => Some(ForkedWhileRunning.into()),
            Used::Gone | Used::InUse => {
                self.worker.is_at(None, clock);
                return Left::Ended;
            }
        };
        function.counts.ran(begun, took);
        match error {
            None => function.counts.in_a_row.store(0, Relaxed),
            Some(error) => self.failed(function, error),
        }
        if took > shared.settings.slow_after {
            let first = function.counts.slow.fetch_add(1, Relaxed) == 0;
            let limit = shared.settings.slow_after;
            self.tell(MonitoringFunctionSlow { function: function.name.clone(), took, limit }, first);
        }
        if !self.worker.is_here() {
            return Left::Forked; // by a subscriber to what was told
        }
        self.worker.is_at(None, clock);
        if !shared.is_current(listed) {
            quietly(|| function.discard());
        }
        Left::Ended
    }

    fn failed(&self, function: &Arc<Function>, error: BoxError) {
        let (counts, limit) = (&function.counts, self.shared.settings.failures_before_removal);
        let first = counts.failures.fetch_add(1, Relaxed) == 0;
        let failures = counts.in_a_row.load(Relaxed).saturating_add(1);
        counts.in_a_row.store(failures, Relaxed);
        let mut removed = false;
        if failures >= limit || error.is::<ForkedWhileRunning>() {
            quietly(|| removed = self.shared.take_out(|other| std::ptr::eq(other, &**function)));
        }
        let function = function.name.clone();
        self.tell(MonitoringFunctionFailed { function, error, failures, removed }, first || removed);
    }

    /// Publishes an event; where nobody listens, and it is `worth` it, writes it to standard error.
    fn tell<E: Event<Stop = BoxError> + Display>(&self, event: E, worth: bool) {
        self.tell_by(event, |bus, event| {
            if worth && !bus.has_subscribers::<E>() {
                say(format_args!("{event}"));
            }
            bus.try_publish(event)
        });
    }

    /// Has an event published, whatever its subscribers do.
    fn tell_by<E: Event<Stop = BoxError>>(
        &self,
        event: E,
        publish: impl FnOnce(&Bus, &E) -> Result<(), PublishError<BoxError>>,
    ) {
        let (shared, bus) = (&self.shared, &*self.shared.settings.bus);
        self.worker.is_at(Some(Activity::Subscribers(E::NAME)), shared.clock);
        let published =
            catch_unwind(AssertUnwindSafe(|| publish(bus, &event).map_err(|error| error.to_string())));
        let failed = match published {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(payload) => Some(format!("a subscriber {}", FunctionPanicked::new(payload))),
        };
        quietly(|| drop(event));
        if !self.worker.is_here() {
            return; // a subscriber forked, and this is the child's copy of the thread
        }
        if let Some(failed) = failed
            && shared.failed_reports.fetch_add(1, Relaxed) == 0
        {
            say(format_args!(
                "{} was not heard by all, which is said once and counted from now on: {failed}",
                E::NAME
            ));
        }
        self.worker.is_at(None, shared.clock);
    }
}

/// A line on standard error, if there is one: whole, and in one piece.
pub(crate) fn say(line: Arguments<'_>) {
    let _ = io::stderr().write_all(format!("signalpost monitor: {line}\n").as_bytes());
}
