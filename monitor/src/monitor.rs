//! The monitor's handles: what it is to call and to watch, and who is told to end.
//!
//! Owns what users call. Not here: what the handles share with the thread (`shared.rs`), when a function is due (`schedule.rs`).

use crate::builder::MonitorBuilder;
use crate::config::MonitorConfig;
use crate::error::{PeriodError, StartError, StopError, WatchError, quietly};
use crate::event_loop::{EventLoop, Source};
use crate::function::{Function, FunctionId, FunctionInfo, MonitoringFunction};
use crate::list::Listed;
use crate::memory::MemoryHandle;
use crate::shared::{Shared, Table};
use crate::slot;
use crate::turn::LoopGuard;
use signalpost_dispatch::{BoxError, Bus, Outcome};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{Ordering::Relaxed, Ordering::Release};
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
