//! The monitor's handles: what it is to call, who is told to end, and what a forked child does.
//!
//! Owns what the handles and the thread share: one snapshot with the functions in their order and the thread that calls them.
//! Not here: when a function is due (`schedule.rs`), the thread (`worker.rs`).
//!
//! # Invariants
//! 1. Functions are in the order of their places, and a place is never used twice but by what replaces a function under its key.
//! 2. A function that leaves the snapshot leaves it for good, and is [discarded](Function::discard) by who took it out.
//! 3. The snapshot names at most one thread, and the process that it was started in.
//!
//! Nothing here waits for a lock that another thread may hold at a fork, so a child's first call does not hang: the snapshot is a
//! lock-free cell, and locks are either tried, or belong to a thread of this process.

use crate::builder::{MonitorBuilder, Settings};
use crate::clock::Clock;
use crate::config::MonitorConfig;
use crate::error::{PeriodError, StartError, StopError, WatchError, quietly};
use crate::event_loop::{EventLoop, Source};
use crate::function::{Function, FunctionId, FunctionInfo, MonitoringFunction};
use crate::list::{List, Listed};
use crate::memory::MemoryHandle;
use crate::slot;
use crate::turn::LoopGuard;
use crate::worker::{self, Worker};
use crossbeam_utils::sync::Parker;
use signalpost_dispatch::core::{Snapshot, SnapshotCell};
use signalpost_dispatch::{BoxError, Bus, Outcome};
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::sync::{Arc, Weak};
use std::thread::{self, ThreadId};
use std::time::Duration;

/// A thread that calls functions about once a period, and owns it: dropping this tells it to end, and waits for nothing.
///
/// Everything it can do it does as a [`MonitorRef`], of which there can be any number. One owner, rather than handles that are
/// counted, since functions and subscribers keep handles too: with a count they would keep the thread, and it them.
///
/// # What is promised
/// - **Times**: deadlines come from the intended start, so lateness does not add up; what was missed is never made up. Functions
///   that are due together are called in the order of their registration, one after another.
/// - **Changes** are seen at once: the thread is woken, and what was removed is not called any more.
/// - **Isolation**: a function that fails, panics or takes too long is an event ([`MonitoringFunctionFailed`],
///   [`MonitoringFunctionSlow`]), and is removed after repeated failure; the thread goes on. So it does when a subscriber fails.
/// - **Quiet**: it sleeps until the next deadline, for ever where there is none.
/// - **The thread** has the name it was given, and all signals blocked but those that its own faults cause.
/// - **After `fork`** the child has the functions and no thread; its first call of any method here starts one, which goes on with
///   the same deadlines. A function that was being called at the fork is removed there, with an event. The process is known
///   by its id, so a child with its parent's id (both the first of their namespaces, say) gets none.
///
/// Every method can be called by a function or a subscriber on the monitor thread. None blocks but [`stop`](MonitorRef::stop).
///
/// # Examples
/// ```
/// use signalpost::monitor::Monitor;
/// use std::{sync::mpsc, time::Duration};
///
/// let monitor = Monitor::builder().thread_name("orders").start()?;
/// let (called, calls) = mpsc::channel();
/// monitor.add_monitoring_function(move |_| called.send(()).unwrap_or_default(), Duration::from_millis(5))?;
/// calls.recv()?;
/// calls.recv()?;
/// monitor.stop(Duration::from_secs(5))?;
/// # Ok::<(), signalpost::BoxError>(())
/// ```
///
/// [`MonitoringFunctionFailed`]: crate::MonitoringFunctionFailed
/// [`MonitoringFunctionSlow`]: crate::MonitoringFunctionSlow
pub struct Monitor {
    handle: MonitorRef,
    owns: bool,
}

/// A monitor, for those who do not own it. Cheap to clone; keeps the thread neither running nor from ending.
///
/// See [`Monitor`].
#[derive(Clone)]
pub struct MonitorRef {
    shared: Arc<Shared>,
}

/// What a function is called with: the monitor that calls it, and the bus.
///
/// # Examples
/// ```
/// use signalpost::monitor::Monitor;
/// use std::{sync::mpsc, time::Duration};
///
/// let monitor = Monitor::builder().start()?;
/// let (called, calls) = mpsc::channel();
/// monitor.add_monitoring_function(
///     move |hub| {
///         let _ = called.send(hub.bus().len());
///         hub.monitor().remove(hub.function()); // once is enough
///     },
///     Duration::from_secs(1),
/// )?;
/// calls.recv()?;
/// assert!(calls.recv().is_err(), "the closure was dropped");
/// # Ok::<(), signalpost::BoxError>(())
/// ```
#[derive(Debug)]
pub struct Hub {
    monitor: MonitorRef,
    function: FunctionId,
}

impl Hub {
    pub(crate) fn new(shared: &Arc<Shared>, function: FunctionId) -> Self {
        Self { monitor: MonitorRef { shared: shared.clone() }, function }
    }

    /// The monitor.
    pub fn monitor(&self) -> &MonitorRef {
        &self.monitor
    }

    /// The bus that the monitor publishes on.
    pub fn bus(&self) -> &Bus {
        self.monitor.bus()
    }

    /// Which registration is being called.
    pub fn function(&self) -> FunctionId {
        self.function
    }
}

/// What a monitor's thread can be asked for, whatever the monitor: object-safe, with functions in boxes.
///
/// [`MonitorRef`] is one, and its methods of the same names say what is promised.
pub trait PeriodicMonitorThread: fmt::Debug + Send + Sync {
    /// As [`MonitorRef::add_monitoring_function`].
    ///
    /// # Errors
    /// As there.
    fn add_monitoring_function(
        &self,
        f: MonitoringFunction,
        period: Duration,
    ) -> Result<FunctionId, PeriodError>;

    /// As [`MonitorRef::add_monitoring_function_named`].
    ///
    /// # Errors
    /// As there.
    fn add_monitoring_function_named(
        &self,
        key: &str,
        f: MonitoringFunction,
        period: Option<Duration>,
    ) -> Result<Option<FunctionId>, PeriodError>;

    /// As [`MonitorRef::set_period`].
    ///
    /// # Errors
    /// As there.
    fn set_period(&self, id: FunctionId, period: Option<Duration>) -> Result<bool, PeriodError>;

    /// As [`MonitorRef::remove`].
    fn remove(&self, id: FunctionId) -> bool;

    /// As [`MonitorRef::functions`].
    fn functions(&self) -> Vec<FunctionInfo>;

    /// As [`MonitorRef::is_running`].
    fn is_running(&self) -> bool;

    /// As [`MonitorRef::request_stop`].
    fn request_stop(&self);

    /// As [`MonitorRef::stop`].
    ///
    /// # Errors
    /// As there.
    fn stop(&self, timeout: Duration) -> Result<(), StopError>;
}

impl PeriodicMonitorThread for MonitorRef {
    fn add_monitoring_function(
        &self,
        f: MonitoringFunction,
        period: Duration,
    ) -> Result<FunctionId, PeriodError> {
        self.add(f, period)
    }

    fn add_monitoring_function_named(
        &self,
        key: &str,
        f: MonitoringFunction,
        period: Option<Duration>,
    ) -> Result<Option<FunctionId>, PeriodError> {
        self.add_named(key, f, period)
    }

    fn set_period(&self, id: FunctionId, period: Option<Duration>) -> Result<bool, PeriodError> {
        self.set_period(id, period)
    }

    fn remove(&self, id: FunctionId) -> bool {
        self.remove(id)
    }

    fn functions(&self) -> Vec<FunctionInfo> {
        self.functions()
    }

    fn is_running(&self) -> bool {
        self.is_running()
    }

    fn request_stop(&self) {
        self.request_stop();
    }

    fn stop(&self, timeout: Duration) -> Result<(), StopError> {
        self.stop(timeout)
    }
}

impl Monitor {
    /// The settings of a new one, with their defaults.
    pub fn builder() -> MonitorBuilder {
        MonitorBuilder::new()
    }

    /// The monitor that the environment asks for; none, unless `SIGNALPOST_MONITOR_THREAD_ENABLE` is true. Its variables, and what they
    /// take, are those of [`MonitorConfig`]; they are read now, and not again. All else is as [`builder`](Self::builder) has it: for
    /// another bus, say, give [`MonitorConfig::from_env`] to [`config`](MonitorBuilder::config).
    ///
    /// # Errors
    /// [`StartError::Config`]: variables whose values cannot be, also if there is to be no monitor; each is named with its value and
    /// with what is accepted. Else as [`start`](MonitorBuilder::start).
    ///
    /// # Panics
    /// As [`start`](MonitorBuilder::start).
    ///
    /// # Examples
    /// ```
    /// use signalpost::monitor::Monitor;
    ///
    /// fn main() -> Result<(), signalpost::BoxError> {
    ///     let _monitor = Monitor::from_env()?; // until the end of `main`
    ///     Ok(())
    /// }
    /// ```
    pub fn from_env() -> Result<Option<Self>, StartError> {
        let config = MonitorConfig::from_env()?;
        if config.monitor_thread { Self::builder().config(config).start().map(Some) } else { Ok(None) }
    }

    pub(crate) fn of(shared: Arc<Shared>) -> Self {
        Self { handle: MonitorRef { shared }, owns: true }
    }

    /// Lets the thread run until it is told to end, or the process ends. It never keeps a process alive.
    pub fn detach(mut self) -> MonitorRef {
        self.owns = false;
        self.handle.clone()
    }
}

impl Deref for Monitor {
    type Target = MonitorRef;

    fn deref(&self) -> &MonitorRef {
        &self.handle
    }
}

impl Drop for Monitor {
    /// Tells the thread to end, and waits for nothing.
    fn drop(&mut self) {
        if self.owns {
            self.handle.request_stop();
        }
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(f)
    }
}

impl MonitorRef {
    pub(crate) fn of(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Calls `f` about once a period, on the monitor thread: at once first, unless
    /// [`first_call_at_once`](MonitorBuilder::first_call_at_once) says otherwise. It returns `()` or `Result<(), BoxError>`.
    ///
    /// Lock-free, copies a piece of the list of functions, wakes the thread: some µs, with thousands of them too. What `f` has captured is dropped when it is removed, or the
    /// monitor ends: by the thread that removes it, or, if it is being called, by the monitor's.
    ///
    /// # Errors
    /// [`PeriodError`]: a period of zero, or the monitor has ended. `f` is dropped.
    #[track_caller]
    pub fn add_monitoring_function<F, R>(&self, f: F, period: Duration) -> Result<FunctionId, PeriodError>
    where
        F: FnMut(&Hub) -> R + Send + 'static,
        R: Outcome<BoxError>,
    {
        self.add(MonitoringFunction::new(f), period)
    }

    /// As [`add_monitoring_function`](Self::add_monitoring_function), under a key, which stands for the function's identity,
    /// that closures do not have. The key is looked for from end to end.
    ///
    /// A function that is there under the key is replaced: by this one with this period, in the same place in the order, as one
    /// that has never been called. Without a period it is removed, `f` is dropped, and it is no error if there is none. The id is
    /// that of the new registration; none, if there is no period.
    ///
    /// A function that replaces itself is called again at once, as a new one, and one that always does without a pause: to change its own
    /// period it calls [`set_period`](Self::set_period).
    ///
    /// # Errors
    /// [`PeriodError`]: a period of zero, or the monitor has ended. Nothing changes; `f` is dropped.
    ///
    /// # Examples
    /// ```
    /// use signalpost::monitor::{Monitor, PeriodError};
    /// use std::time::Duration;
    ///
    /// let monitor = Monitor::builder().start()?;
    /// let second = Duration::from_secs(1);
    /// monitor.add_monitoring_function_named("disk", |_| {}, Some(second))?;
    /// monitor.add_monitoring_function_named("net", |_| {}, Some(second))?;
    /// monitor.add_monitoring_function_named("disk", |_| {}, Some(5 * second))?;
    /// let error = monitor.add_monitoring_function_named("net", |_| {}, Some(Duration::ZERO));
    /// assert_eq!(error, Err(PeriodError::Zero));
    ///
    /// let list = monitor.functions();
    /// let list: Vec<_> = list.iter().map(|info| (info.name.key.as_deref().unwrap(), info.period.as_secs())).collect();
    /// assert_eq!(list, [("disk", 5), ("net", 1)]);
    /// # Ok::<(), signalpost::BoxError>(())
    /// ```
    #[track_caller]
    pub fn add_monitoring_function_named<F, R>(
        &self,
        key: &str,
        f: F,
        period: Option<Duration>,
    ) -> Result<Option<FunctionId>, PeriodError>
    where
        F: FnMut(&Hub) -> R + Send + 'static,
        R: Outcome<BoxError>,
    {
        self.add_named(key, MonitoringFunction::new(f), period)
    }

    fn add(&self, f: MonitoringFunction, period: Duration) -> Result<FunctionId, PeriodError> {
        if period.is_zero() {
            return Err(PeriodError::Zero);
        }
        let function = Function::new(f, None, self.shared.clock.now());
        let id = function.name.id;
        self.shared.put(function, period).map(|()| id)
    }

    fn add_named(
        &self,
        key: &str,
        f: MonitoringFunction,
        period: Option<Duration>,
    ) -> Result<Option<FunctionId>, PeriodError> {
        let Some(period) = period else {
            self.remove_named(key);
            return Ok(None);
        };
        if period.is_zero() {
            return Err(PeriodError::Zero);
        }
        let function = Function::new(f, Some(key), self.shared.clock.now());
        let id = function.name.id;
        self.shared.put(function, period).map(|()| Some(id))
    }

    /// Changes a function's period: the next call comes one new period after the last one was to begin, at once if that is past.
    /// One that has never been called, and is to be at once, still is. Its counts stay. With `None` it is removed.
    ///
    /// So a function can slow itself down. False if there is no such function (any more), also if the monitor has ended.
    ///
    /// # Errors
    /// [`PeriodError::Zero`]; nothing changes.
    pub fn set_period(&self, id: FunctionId, period: Option<Duration>) -> Result<bool, PeriodError> {
        let Some(period) = period else { return Ok(self.remove(id)) };
        if period.is_zero() {
            return Err(PeriodError::Zero);
        }
        Ok(self.shared.set_period(id, period))
    }

    /// Removes a function, and says whether it was there. It is not called any more once this has returned; one that is being
    /// called is waited for by nobody.
    pub fn remove(&self, id: FunctionId) -> bool {
        self.shared.take_out(|function| function.name.id == id)
    }

    /// Removes the function of this key, as [`remove`](Self::remove).
    pub fn remove_named(&self, key: &str) -> bool {
        self.shared.take_out(|function| function.name.key.as_deref() == Some(key))
    }

    /// What is registered, in order. A copy; empty once the monitor has ended. Allocates.
    pub fn functions(&self) -> Vec<FunctionInfo> {
        let shared = &self.shared;
        shared.here();
        let all = |table: &Table| {
            let info = |listed: &Listed| listed.function.info(listed.period, |time| shared.clock.at(time));
            table.functions.iter().map(info).collect()
        };
        shared.table.read(all).unwrap_or_default()
    }

    /// Watches a loop that the calling thread drives: two calls a turn tell whether it runs.
    ///
    /// A turn of more than [`max_blocking_time`](MonitorBuilder::max_blocking_time) is an
    /// [`EventLoopBlocked`](crate::EventLoopBlocked). Lock-free, allocates, wakes the monitor.
    ///
    /// # Errors
    /// [`WatchError`]: the thread has such a guard already, or ends; or the monitor has ended.
    ///
    /// # Examples
    /// See [`LoopGuard`].
    pub fn watch_loop(&self, name: &str) -> Result<LoopGuard, WatchError> {
        let slot = slot::current().or_else(slot::here).ok_or(WatchError::ThreadEnds)?;
        let id = slot::draw();
        if !slot.guard(Some(id)) {
            return Err(WatchError::ThreadIsTaken);
        }
        let hub = self.watch(id, name, Source::Pulse).inspect_err(|_| {
            slot.guard(None);
        })?;
        Ok(LoopGuard::new(slot, hub))
    }

    pub(crate) fn watch(&self, id: u64, name: &str, source: Source) -> Result<EventLoop, WatchError> {
        self.shared.here();
        let hub = EventLoop::of(id, name, source, Arc::downgrade(&self.shared));
        self.shared.add_hub(hub.clone())?;
        Ok(hub)
    }

    /// The loops that are watched, in the order in which they were added; the first one, called `tasks`, is that of all threads
    /// which poll a [`Monitored`](crate::Monitored) and drive no other. Empty once the monitor has ended. Allocates.
    pub fn event_loops(&self) -> Vec<EventLoop> {
        self.shared.here();
        self.shared.table.read(|table| Vec::clone(&table.hubs)).unwrap_or_default()
    }

    /// From when on a loop counts as blocked; none: never.
    pub fn max_blocking_time(&self) -> Option<Duration> {
        self.shared.limits.max_blocking_time()
    }

    /// Changes that, for all loops and at once: nothing, that nothing is watched any more. A time of zero is nothing too.
    pub fn set_max_blocking_time(&self, time: impl Into<Option<Duration>>) {
        self.shared.limits.set_max_blocking_time(time.into());
        self.shared.wake();
    }

    /// Whether reports of blocked loops are printed.
    pub fn print_blocking_reports(&self) -> bool {
        self.shared.limits.print.load(Relaxed)
    }

    /// Switches that.
    pub fn set_print_blocking_reports(&self, print: bool) {
        self.shared.limits.print.store(print, Relaxed);
    }

    /// The limit of the watch on memory that the [`config`](MonitorBuilder::config) installed, to be looked at and changed while the
    /// monitor runs; none, if there is no such watch. It stays the same handle when the function `signalpost.memory` is removed.
    ///
    /// # Examples
    /// ```
    /// use signalpost::{Bus, monitor::{Monitor, MonitorConfig}};
    /// use std::sync::Arc;
    ///
    /// let builder = Monitor::builder().bus(Arc::new(Bus::new()));
    /// let monitor = builder.config(MonitorConfig::default()).start()?; // no limit yet: nothing is read
    /// # if cfg!(target_os = "linux") {
    /// let memory = monitor.memory().unwrap();
    /// assert_eq!(memory.max_memory_usage(), None);
    /// memory.set_max_memory_usage(Some(512 << 20));
    /// # }
    /// # Ok::<(), signalpost::monitor::StartError>(())
    /// ```
    pub fn memory(&self) -> Option<MemoryHandle> {
        self.shared.settings.memory.clone()
    }

    /// The bus that the monitor publishes on.
    pub fn bus(&self) -> &Bus {
        &self.shared.settings.bus
    }

    /// The name that the thread was given.
    pub fn thread_name(&self) -> &str {
        &self.shared.settings.thread_name
    }

    /// Whether there is a thread, in this process. One that was told to end still counts until it has.
    pub fn is_running(&self) -> bool {
        self.shared.here().is_some_and(|worker| !worker.has_ended())
    }

    /// Whether this is the monitor thread.
    pub fn on_monitor_thread(&self) -> bool {
        self.shared.here().is_some_and(|worker| worker.thread() == Some(thread::current().id()))
    }

    /// The thread, in this process; the last one, if it has ended.
    pub fn thread_id(&self) -> Option<ThreadId> {
        self.shared.here()?.thread()
    }

    /// How many of the monitor's events were stopped by an error or a panic of a subscriber. The first of them is
    /// written to standard error.
    pub fn failed_reports(&self) -> u64 {
        self.shared.failed_reports.load(Relaxed)
    }

    /// Tells the thread to end, and waits for nothing: it does when what it calls has returned.
    pub fn request_stop(&self) {
        self.shared.stopping.store(true, Release);
        match self.shared.worker() {
            Some(worker) if worker.is_here() => worker.wake(),
            // Forked, and no thread here: nobody else lets go of the functions.
            _ => quietly(|| self.shared.end()),
        }
    }

    /// Tells the thread to end, and waits for that; at once where nothing is being called. Functions and what they have captured
    /// are dropped then, on it.
    ///
    /// # Errors
    /// [`StopError`]; the thread was told to end all the same:
    /// - [`StillRunning`](StopError::StillRunning): the time was up. Says what is running, and for how long;
    /// - [`OnMonitorThread`](StopError::OnMonitorThread), at once: a function or a subscriber cannot wait for its own return.
    ///
    /// # Examples
    /// ```
    /// use signalpost::monitor::Monitor;
    /// use std::{sync::mpsc, time::Duration};
    ///
    /// let monitor = Monitor::builder().start()?;
    /// let ((begun, begins), (go, gone)) = (mpsc::channel(), mpsc::channel::<()>());
    /// let stays = move |_: &_| {
    ///     let _ = (begun.send(()), gone.recv());
    /// };
    /// monitor.add_monitoring_function_named("stays", stays, Some(Duration::from_secs(1)))?;
    /// begins.recv()?;
    /// let error = monitor.stop(Duration::from_millis(1)).unwrap_err();
    /// assert!(error.to_string().starts_with("the monitor ends when the function stays ("));
    /// drop(go);
    /// monitor.stop(Duration::from_secs(5))?;
    /// # Ok::<(), signalpost::BoxError>(())
    /// ```
    pub fn stop(&self, timeout: Duration) -> Result<(), StopError> {
        self.request_stop();
        match self.shared.worker().filter(|worker| worker.is_here()) {
            Some(worker) => worker.wait(timeout, self.shared.clock),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for MonitorRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor")
            .field("thread_name", &self.thread_name())
            .field("stopping", &self.shared.is_stopping())
            .field("functions", &self.shared.table.read(|table| table.functions.len()).unwrap_or(0))
            .finish_non_exhaustive()
    }
}

/// What the handles and the thread share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) table: SnapshotCell<Table>,
    pub(crate) failed_reports: AtomicU64,
    pub(crate) limits: Limits,
    stopping: AtomicBool,
}

/// Settings that can be changed while it runs.
pub(crate) struct Limits {
    /// In nanoseconds; the largest number is never.
    max_blocking_time: AtomicU64,
    pub(crate) print: AtomicBool,
}

impl Limits {
    fn new(settings: &Settings) -> Self {
        let limits = Self {
            max_blocking_time: AtomicU64::new(0),
            print: AtomicBool::new(settings.print_blocking_reports),
        };
        limits.set_max_blocking_time(settings.max_blocking_time);
        limits
    }

    pub(crate) fn max_blocking_time(&self) -> Option<Duration> {
        let nanos = self.max_blocking_time.load(Relaxed);
        (nanos != u64::MAX).then(|| Duration::from_nanos(nanos))
    }

    fn set_max_blocking_time(&self, time: Option<Duration>) {
        let nanos = time.filter(|time| !time.is_zero()).map(|time| time.as_nanos());
        let nanos = nanos.and_then(|nanos| u64::try_from(nanos).ok()).unwrap_or(u64::MAX);
        self.max_blocking_time.store(nanos, Relaxed);
    }
}

/// The snapshot.
#[derive(Clone, Default)]
pub(crate) struct Table {
    /// Shared with the thread, and with snapshots that differ elsewhere.
    pub(crate) functions: Arc<List>,
    pub(crate) hubs: Arc<Vec<EventLoop>>,
    /// Changes with the functions, and with the loops.
    pub(crate) version: u64,
    places: u64,
    worker: Option<Arc<Worker>>,
    ended: bool,
}

impl Snapshot for Table {
    type Context = ();
    type Part = ();

    fn is_empty(&self) -> bool {
        false
    }
}

impl Table {
    fn changed(&self, functions: List) -> Self {
        Self { functions: Arc::new(functions), version: self.version + 1, ..self.clone() }
    }

    fn watching(&self, hubs: Vec<EventLoop>) -> Self {
        Self { hubs: Arc::new(hubs), version: self.version + 1, ..self.clone() }
    }
}

impl Shared {
    pub(crate) fn new(settings: Settings, clock: Clock) -> Arc<Self> {
        let shared = Self {
            limits: Limits::new(&settings),
            settings,
            clock,
            table: SnapshotCell::new(),
            failed_reports: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
        };
        Arc::new(shared)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Acquire)
    }

    /// The thread that the snapshot names, of whatever process.
    fn worker(&self) -> Option<Arc<Worker>> {
        self.table.read(|table| table.worker.clone()).flatten()
    }

    /// Starts the first thread.
    pub(crate) fn start(self: &Arc<Self>) -> std::io::Result<()> {
        let (parker, fresh) = self.first_worker();
        worker::spawn(self, fresh, parker)
    }

    /// What the first thread is known by, and sleeps with.
    pub(crate) fn first_worker(&self) -> (Parker, Arc<Worker>) {
        let (parker, fresh) = Worker::new();
        let tasks = EventLoop::of(slot::draw(), "tasks", Source::Tasks, Weak::new());
        self.table.update(|table| {
            // A change like another, which the thread sees at its first look.
            Some(Table { worker: Some(fresh.clone()), ..table.watching(vec![tasks.clone()]) })
        });
        (parker, fresh)
    }

    /// This process's thread. In a forked child that has none, starts it, unless the monitor is to end: the first call that
    /// notices does. Where the system gives no thread, the next call tries again.
    fn here(self: &Arc<Self>) -> Option<Arc<Worker>> {
        let worker = self.worker()?;
        if worker.is_here() {
            return Some(worker);
        }
        if self.is_stopping() {
            return None;
        }
        slot::forked();
        let (parker, fresh) = Worker::new();
        if !self.swap_worker(&worker, &fresh) {
            return self.worker().filter(|worker| worker.is_here());
        }
        if let Err(error) = worker::spawn(self, fresh.clone(), parker) {
            worker::say(format_args!("the monitor cannot go on in process {}: {error}", std::process::id()));
            self.swap_worker(&fresh, &worker);
            return None;
        }
        Some(fresh)
    }

    fn swap_worker(&self, old: &Arc<Worker>, new: &Arc<Worker>) -> bool {
        self.table.update(|table| {
            let named = table.worker.as_ref().is_some_and(|worker| Arc::ptr_eq(worker, old));
            named.then(|| Table { worker: Some(new.clone()), ..table.clone() })
        })
    }

    /// Lets the thread see a change.
    fn wake(self: &Arc<Self>) {
        if let Some(worker) = self.here() {
            worker.wake();
        }
    }

    /// Puts a function in the place of that of the same key, or last.
    fn put(self: &Arc<Self>, function: Arc<Function>, period: Duration) -> Result<(), PeriodError> {
        let mut replaced = None;
        let changed = self.table.update(|table| {
            if table.ended || self.is_stopping() {
                return None;
            }
            let mut functions = List::clone(&table.functions);
            let key = function.name.key.as_ref();
            let same = |listed: &&Listed| listed.function.name.key.as_ref() == key;
            let there = key.and_then(|_| table.functions.iter().find(same));
            let place = there.map_or(table.places, |listed| listed.place);
            let listed = Listed { place, period, function: function.clone() };
            replaced = functions.replace(listed.clone());
            if replaced.is_none() {
                functions.push(listed);
            }
            Some(Table { places: table.places.max(place + 1), ..table.changed(functions) })
        });
        if !changed {
            return Err(PeriodError::MonitorEnded);
        }
        self.wake();
        if let Some(replaced) = replaced {
            replaced.function.discard();
        }
        Ok(())
    }

    fn add_hub(self: &Arc<Self>, hub: EventLoop) -> Result<(), WatchError> {
        let changed = self.table.update(|table| {
            if table.ended || self.is_stopping() {
                return None;
            }
            let mut hubs = Vec::clone(&table.hubs);
            hubs.push(hub.clone());
            Some(table.watching(hubs))
        });
        if !changed {
            return Err(WatchError::MonitorEnded);
        }
        self.wake();
        Ok(())
    }

    /// Watches it no longer, and says whether it did.
    pub(crate) fn unwatch(self: &Arc<Self>, id: u64) -> bool {
        let changed = self.table.update(|table| {
            let mut hubs = Vec::clone(&table.hubs);
            let at = hubs.iter().position(|hub| hub.id() == id)?;
            hubs.remove(at);
            Some(table.watching(hubs))
        });
        self.wake();
        changed
    }

    fn set_period(self: &Arc<Self>, id: FunctionId, period: Duration) -> bool {
        let changed = self.table.update(|table| {
            let mut functions = List::clone(&table.functions);
            let listed = table.functions.iter().find(|listed| listed.function.name.id == id)?;
            functions.replace(Listed { period, ..listed.clone() });
            Some(table.changed(functions))
        });
        self.wake();
        changed
    }

    /// Takes out the first function that `which` is true of.
    pub(crate) fn take_out(self: &Arc<Self>, which: impl Fn(&Function) -> bool) -> bool {
        let mut removed = None;
        let changed = self.table.update(|table| {
            let listed = table.functions.iter().find(|listed| which(&listed.function))?;
            let mut functions = List::clone(&table.functions);
            removed = functions.remove(listed.place);
            Some(table.changed(functions))
        });
        self.wake();
        if let Some(removed) = removed.filter(|_| changed) {
            removed.function.discard();
        }
        changed
    }

    /// Whether the function is still the one in its place. Wait-free.
    pub(crate) fn is_current(&self, listed: &Listed) -> bool {
        let current = |table: &Table| {
            let there = table.functions.at(listed.place);
            there.is_some_and(|there| Arc::ptr_eq(&there.function, &listed.function))
        };
        self.table.read(current).unwrap_or(false)
    }

    /// Takes all functions out, and lets none in any more.
    pub(crate) fn end(&self) {
        let mut functions = Arc::default();
        self.table.update(|table| {
            functions = table.functions.clone();
            Some(Table { ended: true, hubs: Arc::default(), ..table.changed(List::default()) })
        });
        functions.iter().for_each(|listed| quietly(|| listed.function.discard()));
    }
}
