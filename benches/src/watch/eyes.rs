//! The monitor, as the lab uses it: the servers' loops are given to it, and what it publishes is noted.
//!
//! Owns all that the servers and the run touch of the monitor's interface.
//! Not here: what is made of an event (`seen.rs`).

use super::{
    name::LoopName,
    seen::{Blocked, Kind, Log, Said},
};
use signalpost::{
    Bus, Subscription,
    monitor::{
        CaptureError, EventLoop, EventLoopBlocked, EventLoopUnblocked, FunctionId, LoopGuard, MemoryLimit,
        MemoryUsageThresholdExceeded, MemoryUsageUnderThreshold, MemoryWatch, Monitor, Monitored, TaskId,
        TokioHooks, Verdict,
    },
};
use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

/// A monitor on a bus of its own.
#[derive(Debug)]
pub struct Eyes {
    monitor: Monitor,
    bus: Arc<Bus>,
    wraps: Arc<AtomicBool>,
}

impl Eyes {
    /// Starts the monitor; `limit` is the longest turn that it does not report. It prints nothing: that is the view's.
    ///
    /// # Errors
    /// When it cannot start.
    pub fn open(limit: Duration) -> io::Result<Self> {
        let bus = Arc::new(Bus::new());
        let builder = Monitor::builder().bus(Arc::clone(&bus)).max_blocking_time(limit);
        let monitor = builder.print_blocking_reports(false).start().map_err(io::Error::other)?;
        Ok(Self { monitor, bus, wraps: Arc::default() })
    }

    /// Has all that it publishes noted, until what this gives is dropped.
    #[must_use = "nothing is noted once it is dropped"]
    pub fn note_in(&self, log: &Arc<Log>) -> Noting {
        let mut subscriptions = Vec::new();
        let to = Arc::clone(log);
        subscriptions.push(self.bus.topic::<EventLoopBlocked>().subscribe(move |event| {
            let at = Instant::now();
            let said = Said::Blocked(blocked(event));
            to.note(at, of(&event.hub), said, event.to_string(), lines(&event.info()));
        }));
        let to = Arc::clone(log);
        subscriptions.push(self.bus.topic::<EventLoopUnblocked>().subscribe(move |event| {
            to.note(Instant::now(), of(&event.hub), Said::Unblocked, event.to_string(), Vec::new());
        }));
        let to = Arc::clone(log);
        subscriptions.push(self.bus.topic::<MemoryUsageThresholdExceeded>().subscribe(move |event| {
            to.note(Instant::now(), LoopName::Process, Said::MemoryExceeded, event.to_string(), Vec::new());
        }));
        let to = Arc::clone(log);
        subscriptions.push(self.bus.topic::<MemoryUsageUnderThreshold>().subscribe(move |event| {
            to.note(Instant::now(), LoopName::Process, Said::MemoryUnder, event.to_string(), Vec::new());
        }));
        Noting { _subscriptions: subscriptions.into_iter().map(Cancelled).collect() }
    }

    /// Builds a runtime that is watched as it is: by its metrics, and hooks that say when its threads park.
    ///
    /// # Errors
    /// When there is none, or tokio does not count as the monitor needs it.
    pub fn tokio(&self, event_loop: LoopName, builder: &mut Builder) -> io::Result<(Runtime, EventLoop)> {
        let hooks = TokioHooks::new();
        let runtime = hooks.install(builder).build()?;
        let watched = self.monitor.watch_tokio(event_loop.as_str(), runtime.handle(), &hooks);
        Ok((runtime, watched.map_err(|error| cannot_watch(event_loop, error))?))
    }

    /// Watches the turns of the calling thread's loop.
    ///
    /// # Errors
    /// When that thread has a loop that is watched, or the monitor has ended.
    pub fn turns(&self, event_loop: LoopName) -> io::Result<LoopGuard> {
        self.monitor.watch_loop(event_loop.as_str()).map_err(|error| cannot_watch(event_loop, error))
    }

    /// How servers spawn.
    pub fn spawn(&self) -> Spawn {
        Spawn(Arc::clone(&self.wraps))
    }

    /// Whether tasks that are spawned from now on say themselves that they run, or go as tokio has them.
    pub fn wrap_tasks(&self, wrap: bool) {
        self.wraps.store(wrap, Relaxed);
    }

    /// Watches the process's memory until what this gives is dropped.
    ///
    /// # Errors
    /// When the system has no figure for it.
    pub fn memory(&self, limit: u64, period: Duration) -> io::Result<WatchesMemory<'_>> {
        let watch =
            MemoryWatch::builder().limit(MemoryLimit::Bytes(limit)).build().map_err(io::Error::other)?;
        let function = self.monitor.add_monitoring_function(watch.into_function(), period);
        Ok(WatchesMemory { monitor: &self.monitor, function: function.map_err(io::Error::other)? })
    }
}

/// Events are noted.
#[derive(Debug)]
pub struct Noting {
    _subscriptions: Vec<Cancelled>,
}

#[derive(Debug)]
struct Cancelled(Subscription);

impl Drop for Cancelled {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Memory is watched.
#[derive(Debug)]
pub struct WatchesMemory<'a> {
    monitor: &'a Monitor,
    function: FunctionId,
}

impl Drop for WatchesMemory<'_> {
    fn drop(&mut self) {
        self.monitor.remove(self.function);
    }
}

/// How servers spawn.
#[derive(Clone, Debug)]
pub struct Spawn(Arc<AtomicBool>);

/// What a task goes by; known once it is spawned.
pub type OwnName = Arc<OnceLock<TaskId>>;

impl Spawn {
    /// Spawns a task that is told what it goes by, if it goes by anything but tokio's number.
    pub fn task<F>(&self, name: &str, task: impl FnOnce(OwnName) -> F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let own_name = OwnName::default();
        let future = task(Arc::clone(&own_name));
        if !self.0.load(Relaxed) {
            return tokio::spawn(future);
        }
        let monitored = Monitored::new(future).named(name);
        own_name.get_or_init(|| monitored.id());
        tokio::spawn(monitored)
    }
}

/// What the current task goes by in events.
pub fn names_of_this_task(own_name: &OwnName) -> Vec<String> {
    let by_tokio = tokio::task::try_id().map(TaskId::from);
    by_tokio.into_iter().chain(own_name.get().copied()).map(name).collect()
}

fn name(task: TaskId) -> String {
    match task {
        TaskId::Tokio(number) => number.to_string(),
        other => other.to_string(),
    }
}

fn cannot_watch(event_loop: LoopName, error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(format!("{event_loop} cannot be watched: {error}"))
}

fn of(hub: &EventLoop) -> LoopName {
    let named = |name: &LoopName| name.as_str() == hub.name();
    LoopName::ALL.into_iter().find(named).unwrap_or(LoopName::Process)
}

fn blocked(event: &EventLoopBlocked) -> Blocked {
    let (verdict, in_words) = match event.verdict {
        Verdict::OnCpu => (Kind::OnCpu, "OnCpu".to_owned()),
        Verdict::InSyscall(call) => (Kind::InSyscall, format!("InSyscall({call})")),
        Verdict::Uninterruptible => (Kind::Uninterruptible, "Uninterruptible".to_owned()),
        Verdict::Congested => (Kind::Congested, "Congested".to_owned()),
        Verdict::Starved => (Kind::Starved, "Starved".to_owned()),
        other => (Kind::Other, format!("{other:?}")),
    };
    let functions = |error: &CaptureError| error.to_string();
    let stack = event.stack.as_ref().map_err(functions).map(|stack| {
        let frames = stack.frames().into_iter();
        frames.map(|frame| frame.function.unwrap_or_else(|| format!("{:#x}", frame.address))).collect()
    });
    Blocked {
        report: event.report,
        blocking_time: event.blocking_time,
        task: event.task.id.map(name),
        task_name: event.task.name.as_deref().map(str::to_owned),
        verdict,
        in_words,
        stack,
    }
}

/// Without the rule above, and one element a line.
fn lines(info: &[String]) -> Vec<String> {
    let lines = info.iter().flat_map(|element| element.lines());
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("===="));
    lines.map(str::to_owned).collect()
}
