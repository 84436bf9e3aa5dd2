//! What is published about loops: one is blocked; it goes on.
//!
//! Owns the two events. Not here: their lines of text (`report.rs`), when they come (`detect.rs`).

use crate::event_loop::EventLoop;
use crate::report::{self, Printout};
use crate::stack::{CaptureError, StackTrace};
use crate::task::BlockedTask;
use crate::verdict::{TimeSplit, Verdict};
use signalpost_dispatch::event;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// A thread, as the system names it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadName {
    /// The kernel's number of it: what `top -H`, `gdb` and `perf` show.
    pub id: u32,
    /// The name it had when it was first seen.
    pub name: Option<String>,
}

impl ThreadName {
    /// For a test.
    pub fn new(id: u32, name: Option<&str>) -> Self {
        Self { id, name: name.map(str::to_owned) }
    }
}

impl fmt::Display for ThreadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thread {}", self.id)?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, " ({name})"))
    }
}

/// An event: a loop does not turn. In which task, for how long, and why, as far as can be told.
///
/// Published on the monitor thread, while the loop is blocked: when that has lasted for
/// [`max_blocking_time`](crate::MonitorBuilder::max_blocking_time) T, again at 2 T, 4 T, and so on; when it is over,
/// [`EventLoopUnblocked`] is. A block of less than T is never reported, one of 1.3 T and more always is (if the monitor itself is
/// given a processor).
///
/// After its subscribers, and unless one of them stops the event, the monitor prints [`info`](Self::info) to standard error:
/// a stack that was printed before is but named, with its count. A subscriber can change the lines
/// ([`edit_info`](Self::edit_info)), and [`print_blocking_reports`](crate::MonitorBuilder::print_blocking_reports) switches
/// printing off. At most ten reports a second are made, after a first hundred; what was not is counted in `dropped`.
///
/// # Examples
/// ```
/// use signalpost::monitor::{EventLoop, EventLoopBlocked};
/// use signalpost::{BoxError, Bus};
/// use std::time::Duration;
///
/// let bus = Bus::new();
/// let _alarm = bus.topic::<EventLoopBlocked>().subscribe(|event| {
///     if event.report == 1 {
///         println!("{} is blocked by {}: {}", event.hub, event.task, event.verdict);
///     }
/// });
/// // As the monitor does:
/// bus.publish(&EventLoopBlocked::new(EventLoop::new("http"), Duration::from_millis(104)))?;
/// # Ok::<(), signalpost::Stopped<BoxError>>(())
/// ```
#[non_exhaustive]
pub struct EventLoopBlocked {
    /// Which loop.
    pub hub: EventLoop,
    /// Which of its workers; none for a loop that has but one.
    pub worker: Option<usize>,
    /// On which thread; none where it is not known.
    pub thread: Option<ThreadName>,
    /// Which task does not return.
    pub task: BlockedTask,
    /// For how long, measured: at least this.
    pub blocking_time: Duration,
    /// How much longer it may be: the monitor looks now and then.
    pub error_bound: Duration,
    /// What would not have been too long.
    pub max_blocking_time: Duration,
    /// The how manieth report of this block: 1 at `max_blocking_time`, 2 at twice that, 3 at four times, …
    pub report: u32,
    /// How the thread has spent the time since the monitor began to suspect it.
    pub split: Option<TimeSplit>,
    /// Why.
    pub verdict: Verdict,
    /// Where.
    pub stack: Result<StackTrace, CaptureError>,
    /// How often this stack was reported before.
    pub same_stack: u64,
    /// How many reports were dropped since the last one that was published.
    pub dropped: u64,
    pub(crate) when: SystemTime,
    pub(crate) monitor: String,
    /// What the other workers are at.
    pub(crate) others: Vec<String>,
    info: Mutex<Option<Vec<String>>>,
}

impl EventLoopBlocked {
    /// The event, for a test: the first report of a loop of which no more is known.
    pub fn new(hub: EventLoop, blocking_time: Duration) -> Self {
        Self {
            hub,
            worker: None,
            thread: None,
            task: BlockedTask::default(),
            blocking_time,
            error_bound: Duration::ZERO,
            max_blocking_time: blocking_time,
            report: 1,
            split: None,
            verdict: Verdict::Unreachable,
            stack: Err(CaptureError::NoThread),
            same_stack: 0,
            dropped: 0,
            when: SystemTime::now(),
            monitor: "signalpost-monitor".to_owned(),
            others: Vec::new(),
            info: Mutex::new(None),
        }
    }

    /// The report, line by line: header, verdict, the blocked thread's stack with names (one element), and what other loops are at.
    ///
    /// Made when it is first asked for, which takes from some µs to some ms, since names are looked up then; who does not ask does not
    /// pay. The text is for people: it may change from release to release.
    pub fn info(&self) -> Vec<String> {
        let mut info = self.lines();
        info.get_or_insert_with(|| report::lines(self)).clone()
    }

    /// Changes the report, before the monitor prints it.
    ///
    /// # Examples
    /// ```
    /// use signalpost::monitor::{EventLoop, EventLoopBlocked};
    /// use std::time::Duration;
    /// let event = EventLoopBlocked::new(EventLoop::new("http"), Duration::from_millis(104));
    /// event.edit_info(|lines| lines.push("build 4711".to_owned()));
    /// assert_eq!(event.info().last().unwrap(), "build 4711");
    /// ```
    pub fn edit_info(&self, edit: impl FnOnce(&mut Vec<String>)) {
        // Not while it is locked: `edit` may ask for the lines.
        let mut lines = self.info();
        edit(&mut lines);
        *self.lines() = Some(lines);
    }

    /// What is to be printed: all lines, or the one that names the stack, if it was printed before and nobody has looked at the lines.
    pub(crate) fn to_print(&self) -> Printout {
        if self.same_stack > 0 && self.lines().is_none() {
            let times = match self.same_stack {
                1 => "once".to_owned(),
                times => format!("{times} times"),
            };
            return Printout::new(vec![format!("{self}; the same stack was reported {times} before")], None);
        }
        Printout::new(self.info(), self.stack.as_ref().ok())
    }

    fn lines(&self) -> MutexGuard<'_, Option<Vec<String>>> {
        self.info.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where it is: the loop, and which worker of it.
pub(crate) struct Place<'e>(pub(crate) &'e EventLoop, pub(crate) Option<usize>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "loop {}", self.0)?;
        self.1.map_or(Ok(()), |worker| write!(f, ", worker {worker}"))
    }
}

impl fmt::Display for EventLoopBlocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hub, worker, task, blocking_time, verdict, .. } = self;
        write!(f, "{}: blocked for {blocking_time:.0?}", Place(hub, *worker))?;
        if task.is_known() {
            write!(f, " by {task}")?;
        }
        write!(f, ": {verdict}")
    }
}

impl fmt::Debug for EventLoopBlocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoopBlocked")
            .field("hub", &self.hub)
            .field("worker", &self.worker)
            .field("thread", &self.thread)
            .field("task", &self.task)
            .field("blocking_time", &self.blocking_time)
            .field("error_bound", &self.error_bound)
            .field("max_blocking_time", &self.max_blocking_time)
            .field("report", &self.report)
            .field("split", &self.split)
            .field("verdict", &self.verdict)
            .field("stack", &self.stack.as_ref().map(|stack| stack.addresses().len()))
            .field("same_stack", &self.same_stack)
            .field("dropped", &self.dropped)
            .finish_non_exhaustive()
    }
}

event!(EventLoopBlocked: "signalpost.monitor.event_loop_blocked");

/// An event: a loop that was reported as blocked turns again. Once for each block, on the monitor thread.
///
/// # Examples
/// ```
/// use signalpost::monitor::{EventLoop, EventLoopUnblocked};
/// use std::time::Duration;
/// let event = EventLoopUnblocked::new(EventLoop::new("http"), Duration::from_millis(310));
/// assert_eq!(event.to_string(), "loop http: turns again, after 310ms");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EventLoopUnblocked {
    /// Which loop.
    pub hub: EventLoop,
    /// Which of its workers; none for a loop that has but one.
    pub worker: Option<usize>,
    /// On which thread; none where it is not known.
    pub thread: Option<ThreadName>,
    /// Which task did not return.
    pub task: BlockedTask,
    /// For how long, measured: at least this.
    pub total: Duration,
    /// How much longer it may have been.
    pub error_bound: Duration,
    /// How many reports there were of it.
    pub reports: u32,
}

impl EventLoopUnblocked {
    /// The event, for a test: of a block that was reported once.
    pub fn new(hub: EventLoop, total: Duration) -> Self {
        let task = BlockedTask::default();
        Self { hub, worker: None, thread: None, task, total, error_bound: Duration::ZERO, reports: 1 }
    }
}

impl fmt::Display for EventLoopUnblocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hub, worker, task, total, .. } = self;
        write!(f, "{}: turns again, after {total:.0?}", Place(hub, *worker))?;
        if task.is_known() { write!(f, " in {task}") } else { Ok(()) }
    }
}

event!(EventLoopUnblocked: "signalpost.monitor.event_loop_unblocked");
