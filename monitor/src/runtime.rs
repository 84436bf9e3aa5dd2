//! Tokio as it is: from its stable metrics, without a wrapper, a flag, or a cost per poll.
//!
//! Owns what tokio's numbers mean, the test that they still mean it, and the hooks by which its threads become known.
//! Not here: what silence means (`detect.rs`).
//!
//! # What is leaned on
//! 1. `worker_park_unpark_count` of a worker is odd while it is parked, and even while it is not; it moves at each park and
//!    unpark.
//! 2. A worker that polls and never parks moves `worker_total_busy_duration` each time it comes round to its driver, which is at
//!    most 61 polls (`event_interval`).
//!
//! So a worker that is not parked, and whose numbers stand still, is inside those polls: in one that does not return, or in many
//! that are slow. [`self_test`] sees (1) with the tokio that is linked, before any runtime is watched; that (2) holds is seen by tests.

use crate::error::WatchError;
use crate::event_loop::{EventLoop, Source};
use crate::monitor::MonitorRef;
use crate::slot;
use crate::stack::Said;
use std::future::poll_fn;
use std::panic::catch_unwind;
use std::process;
use std::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle, RuntimeFlavor, RuntimeMetrics, worker_index};
use tokio::task::try_id;

/// What a runtime's threads call, so that a monitor knows them, and wakes when they do.
///
/// Without it a runtime can be watched too; see [`watch_tokio`](MonitorRef::watch_tokio) for what it is good for.
///
/// # Examples
/// Tokio has one callback of each kind, and the last one set holds. Who has callbacks of their own calls these from them:
/// ```
/// use signalpost::monitor::{Monitor, TokioHooks};
///
/// let hooks = TokioHooks::new();
/// let (starts, parks, unparks) = (hooks.clone(), hooks.clone(), hooks.clone());
/// let runtime = tokio::runtime::Builder::new_multi_thread()
///     .worker_threads(2)
///     .on_thread_start(move || starts.thread_starts())
///     .on_thread_park(move || parks.thread_parks())
///     .on_thread_unpark(move || {
///         unparks.thread_unparks();
///         // … and what else is to be done
///     })
///     .build()?;
///
/// let monitor = Monitor::builder().start()?;
/// let http = monitor.watch_tokio("http", runtime.handle(), &hooks)?;
/// assert_eq!(http.name(), "http");
/// # Ok::<(), signalpost::BoxError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TokioHooks {
    hub: u64,
    drivers: Arc<Drivers>,
}

/// Which thread is which worker, as the threads said last: after `block_in_place` a worker is another thread. None before the
/// runtime is watched, since only then it is known how many there are.
#[derive(Debug, Default)]
struct Drivers(OnceLock<Box<[AtomicU64]>>);

impl Drivers {
    fn of(&self, worker: usize) -> Option<&AtomicU64> {
        self.0.get()?.get(worker)
    }

    /// A thread, by the life of its slot, says that it is this worker.
    fn tell(&self, worker: usize, life: u64) {
        if let Some(driver) = self.of(worker)
            && driver.load(Relaxed) != life
        {
            driver.store(life, Relaxed);
            slot::changed();
        }
    }
}

impl Default for TokioHooks {
    fn default() -> Self {
        Self::new()
    }
}

impl TokioHooks {
    /// Hooks for one runtime.
    pub fn new() -> Self {
        Self { hub: slot::draw(), drivers: Arc::default() }
    }

    /// Sets a builder's callbacks `on_thread_start`, `on_thread_park` and `on_thread_unpark`, for who has none of their own.
    ///
    /// With the feature `tokio-unstable-hooks`, under `--cfg tokio_unstable`, also `on_task_spawn`, `on_before_task_poll` and
    /// `on_after_task_poll`: then single polls are told apart without a capture, so that saturation is never reported, and events say
    /// where a task was spawned.
    ///
    /// # Examples
    /// See [`watch_tokio`](MonitorRef::watch_tokio).
    pub fn install<'b>(&self, builder: &'b mut Builder) -> &'b mut Builder {
        let (starts, parks, unparks) = (self.clone(), self.clone(), self.clone());
        builder
            .on_thread_start(move || starts.thread_starts())
            .on_thread_park(move || parks.thread_parks())
            .on_thread_unpark(move || unparks.thread_unparks());
        #[cfg(all(tokio_unstable, feature = "tokio-unstable-hooks"))]
        {
            let (spawns, before, after) = (self.clone(), self.clone(), self.clone());
            builder
                .on_task_spawn(move |task| spawns.task_spawns(task))
                .on_before_task_poll(move |task| before.poll_begins(task))
                .on_after_task_poll(move |_| after.poll_ends());
        }
        builder
    }

    /// For `on_thread_start`. Allocates.
    pub fn thread_starts(&self) {
        self.drives();
    }

    /// For `on_thread_park`: two stores, and 6 ns for tokio to say which worker it is.
    pub fn thread_parks(&self) {
        self.drives();
    }

    /// For `on_thread_unpark`: the same, and a load; a system call where it wakes a monitor, which is at most once in a fifth of its
    /// `max_blocking_time`.
    pub fn thread_unparks(&self) {
        if let Some(slot) = self.drives() {
            slot.ring();
        }
    }

    /// For `on_task_spawn`: where tasks are spawned. A wait-free read; allocates for the first task of its place.
    #[cfg(all(tokio_unstable, feature = "tokio-unstable-hooks"))]
    pub fn task_spawns(&self, task: &tokio::runtime::TaskMeta<'_>) {
        crate::task::know(task.spawned_at());
    }

    /// For `on_before_task_poll`: two stores, and a load.
    #[cfg(all(tokio_unstable, feature = "tokio-unstable-hooks"))]
    pub fn poll_begins(&self, task: &tokio::runtime::TaskMeta<'_>) {
        if let Some(slot) = slot::current() {
            let _ = slot.enter(crate::task::turn_in(task.spawned_at()));
        }
    }

    /// For `on_after_task_poll`: two stores.
    #[cfg(all(tokio_unstable, feature = "tokio-unstable-hooks"))]
    pub fn poll_ends(&self) {
        if let Some(slot) = slot::current() {
            slot.leave(0);
        }
    }

    fn drives(&self) -> Option<&'static slot::Slot> {
        let (slot, worker) = (slot::current().or_else(slot::here)?, worker_index());
        slot.drives(self.hub, worker);
        if let Some(worker) = worker {
            self.drivers.tell(worker, slot.life());
        }
        Some(slot)
    }
}

/// A runtime that is watched.
pub(crate) struct Runtime {
    metrics: RuntimeMetrics,
    handle: Handle,
    hooks: TokioHooks,
    process: u32,
    /// Its threads say when they wake.
    rings: bool,
    /// When its threads were last asked who they are, if they do not tell by themselves.
    asked: Mutex<Option<Instant>>,
    /// The tasks that ask them, as long as they live.
    asking: Arc<AtomicUsize>,
    /// It was shut down.
    ended: AtomicBool,
}

/// Tells that a task was dropped without a poll.
struct Unpolled {
    is: Arc<AtomicBool>,
    polled: bool,
}

impl Unpolled {
    fn is_polled(&mut self) {
        self.polled = true;
    }
}

impl Drop for Unpolled {
    fn drop(&mut self) {
        if !self.polled {
            self.is.store(true, Relaxed);
        }
    }
}

/// Counts a task that asks a thread.
struct Asking(Arc<AtomicUsize>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// What the metrics say of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) parks: u64,
    pub(crate) busy: Duration,
}

impl Numbers {
    pub(crate) fn is_parked(self) -> bool {
        self.parks % 2 == 1
    }
}

impl Runtime {
    fn new(handle: &Handle, hooks: TokioHooks, rings: bool) -> Self {
        let metrics = handle.metrics();
        hooks.drivers.0.get_or_init(|| (0..metrics.num_workers()).map(|_| AtomicU64::new(0)).collect());
        Self {
            metrics,
            handle: handle.clone(),
            hooks,
            process: process::id(),
            rings,
            asked: Mutex::new(None),
            asking: Arc::default(),
            ended: AtomicBool::new(false),
        }
    }

    pub(crate) fn workers(&self) -> usize {
        self.metrics.num_workers()
    }

    pub(crate) fn numbers(&self, worker: usize) -> Numbers {
        let parks = self.metrics.worker_park_unpark_count(worker);
        Numbers { parks, busy: self.metrics.worker_total_busy_duration(worker) }
    }

    /// Whether it says when it wakes, so that a monitor need not look while it sleeps; in a forked child it never does wake.
    pub(crate) fn rings(&self) -> bool {
        self.rings || !self.is_of_this_process()
    }

    /// A forked child has a copy of what its parent's runtime was at that moment, and none of its threads.
    pub(crate) fn is_of_this_process(&self) -> bool {
        self.process == process::id()
    }

    /// The life of the slot whose thread said last that it is this worker; none: nobody has since the runtime is watched.
    pub(crate) fn driver(&self, worker: usize) -> Option<u64> {
        self.hooks.drivers.of(worker).map(|driver| driver.load(Relaxed)).filter(|life| *life != 0)
    }

    /// A thread turned out to be this worker.
    pub(crate) fn is_driven_by(&self, worker: usize, life: u64) {
        self.hooks.drivers.tell(worker, life);
    }

    /// Whether a thread said last that it is some worker.
    pub(crate) fn drives(&self, life: u64) -> bool {
        (0..self.workers()).any(|worker| self.driver(worker) == Some(life))
    }

    /// Whether there is one worker, which any thread may be that calls `block_on`.
    pub(crate) fn is_current_thread(&self) -> bool {
        self.handle.runtime_flavor() == RuntimeFlavor::CurrentThread
    }

    /// Whether it turned out to have been shut down.
    pub(crate) fn is_over(&self) -> bool {
        self.ended.load(Relaxed)
    }

    /// Whether it was shut down, which leaves its numbers as they were: a task for it is dropped by this thread then, without a poll.
    pub(crate) fn turns_out_to_be_over(&self) -> bool {
        if !self.is_over() {
            let unpolled = Arc::new(AtomicBool::new(false));
            self.asking.fetch_add(1, Relaxed);
            let (asking, is) = (Asking(self.asking.clone()), unpolled.clone());
            let mut task = Unpolled { is, polled: false };
            self.handle.spawn(async move {
                let _asking = asking;
                task.is_polled();
            });
            self.ended.store(unpolled.load(Relaxed), Relaxed);
        }
        self.is_over()
    }

    /// Whether it may be at rest between two calls of `block_on`, which its numbers do not tell from a block.
    ///
    /// A task that asks stops to count as one a moment before it stops to count as alive: who looks in between, while somebody calls
    /// `block_on`, sees a task too many. So what does not look like rest is looked at again after a while.
    pub(crate) fn rests(&self) -> bool {
        const A_WHILE: Duration = Duration::from_millis(2);
        let has_no_other_tasks = || {
            let asking = self.asking.load(Relaxed);
            self.metrics.num_alive_tasks() <= asking
        };
        self.is_current_thread()
            && (has_no_other_tasks() || {
                thread::sleep(A_WHILE);
                has_no_other_tasks()
            })
    }

    /// Has tasks say on which threads they run: at most once a second, and only of a runtime whose threads do not tell by
    /// themselves.
    pub(crate) fn ask_threads(&self) {
        let Ok(mut asked) = self.asked.try_lock() else { return };
        let lately = asked.is_some_and(|asked| asked.elapsed() < Duration::from_secs(1));
        if self.rings || lately || self.asking.load(Relaxed) > 0 {
            return;
        }
        *asked = Some(Instant::now());
        // More than there are workers, since one worker may run several; each yields, so that others steal.
        let tasks = if self.workers() == 1 { 1 } else { 4 * self.workers() };
        for _ in 0..tasks {
            self.asking.fetch_add(1, Relaxed);
            let (hooks, asking) = (self.hooks.clone(), Asking(self.asking.clone()));
            self.handle.spawn(async move {
                let _asking = asking;
                for _ in 0..2 {
                    hooks.thread_parks();
                    tokio::task::yield_now().await;
                }
            });
        }
    }
}

/// What a thread of a runtime says of itself in the handler of a signal: two reads of thread-locals that such a thread has.
pub(crate) fn said() -> Said {
    Said { worker: worker_index(), task: try_id() }
}

impl MonitorRef {
    /// Watches a runtime of tokio, of either kind, as it is: nothing is wrapped, and no poll costs anything.
    ///
    /// A worker that is not parked, and does not come round to its driver for
    /// [`max_blocking_time`](crate::MonitorBuilder::max_blocking_time), is an [`EventLoopBlocked`](crate::EventLoopBlocked). Idle
    /// workers, blocking threads and short polls at saturation are not; slow polls that together keep a worker from its driver are
    /// told of as [`Congested`](crate::Verdict::Congested).
    ///
    /// With `hooks` its threads are known from their start, and the monitor sleeps while they do. Without (`None`), for a
    /// runtime that is there already: they are asked for by a few tasks that do nothing else, and the monitor looks five times in
    /// `max_blocking_time` whatever the runtime does; a worker that blocks before it was asked is reported without its stack, also
    /// if what it does [is known to take long](crate::expect_blocking).
    ///
    /// The future that `block_on` was given is one of a current-thread runtime's tasks, without a number; on a multi-thread one it is
    /// not on a worker, and is not watched (make it [`Monitored`](crate::Monitored), and it is). After `block_in_place` a
    /// worker goes on as another thread, which is known when it first parks.
    ///
    /// The watch keeps what a runtime leaves behind when it is dropped (its handle, and that of its driver): then
    /// [`unwatch`](EventLoop::unwatch) it. A current-thread runtime that nobody drives, and that has no tasks, is at rest; where no
    /// stack tells (`Passive`, `Off`, signal blocked) one that is blocked without any task counts as at rest too. While such a
    /// runtime is at rest, the monitor goes on looking.
    ///
    /// # Errors
    /// [`WatchError`]: this tokio does not count as is needed, and how; this monitor watches a runtime with these
    /// hooks already; or it has ended.
    ///
    /// # Examples
    /// ```
    /// use signalpost::monitor::{EventLoopBlocked, Monitor, TokioHooks};
    /// use signalpost::{Bus, BoxError};
    /// use std::{sync::{Arc, mpsc}, thread, time::Duration};
    ///
    /// let (bus, (blocked, seen)) = (Arc::new(Bus::new()), mpsc::channel());
    /// let _log = bus.topic::<EventLoopBlocked>().subscribe(move |event| blocked.send(event.to_string()).unwrap_or_default());
    /// let monitor = Monitor::builder().bus(bus.clone()).print_blocking_reports(false).start()?;
    ///
    /// let hooks = TokioHooks::new();
    /// let runtime = hooks.install(&mut tokio::runtime::Builder::new_multi_thread()).build()?;
    /// let _http = monitor.watch_tokio("http", runtime.handle(), &hooks)?;
    /// runtime.spawn(async { thread::sleep(Duration::from_millis(300)) }); // not like this
    /// println!("{}", seen.recv()?);
    /// # Ok::<(), BoxError>(())
    /// ```
    pub fn watch_tokio<'h>(
        &self,
        name: &str,
        handle: &Handle,
        hooks: impl Into<Option<&'h TokioHooks>>,
    ) -> Result<EventLoop, WatchError> {
        self_test()?;
        let (hooks, rings) = match hooks.into() {
            Some(hooks) => (hooks.clone(), true),
            None => (TokioHooks::new(), false),
        };
        let hub = hooks.hub;
        let runtime = Runtime::new(handle, hooks, rings);
        runtime.ask_threads();
        self.watch(hub, name, Source::Tokio(runtime))
    }
}

/// Sees that a worker's count is even while it runs and odd while it is parked: once a process, on two threads, within 2 s.
fn self_test() -> Result<(), WatchError> {
    static RESULT: OnceLock<Result<(), String>> = OnceLock::new();
    RESULT.get_or_init(count_of_a_runtime).clone().map_err(WatchError::Tokio)
}

fn count_of_a_runtime() -> Result<(), String> {
    const PATIENCE: Duration = Duration::from_secs(2);
    let (tell, told) = mpsc::channel();
    let go = Arc::new(AtomicBool::new(false));
    let gone = go.clone();
    // A thread of its own, since the caller's may be inside a runtime.
    let test = move || {
        let runtime = Builder::new_current_thread().build().map_err(|error| error.to_string())?;
        let metrics = runtime.metrics();
        let waiting = poll_fn(|cx| {
            if gone.load(Acquire) {
                return Poll::Ready(());
            }
            let _ = tell.send((metrics.clone(), worker_index(), cx.waker().clone()));
            Poll::Pending
        });
        runtime.block_on(waiting);
        let running = runtime.block_on(async { metrics.worker_park_unpark_count(0) });
        Ok::<u64, String>(running)
    };
    let thread = thread::Builder::new().name("signalpost-test".to_owned());
    let thread = thread.spawn(|| catch_unwind(std::panic::AssertUnwindSafe(test)));
    let thread = thread.map_err(|error| format!("no thread for the test of its counts: {error}"))?;
    let (metrics, worker, waker): (RuntimeMetrics, Option<usize>, Waker) =
        told.recv_timeout(PATIENCE).map_err(|_| "a runtime for the test of its counts did not start")?;
    let begun = Instant::now();
    let mut parked = metrics.worker_park_unpark_count(0);
    while parked.is_multiple_of(2) && begun.elapsed() < PATIENCE {
        thread::sleep(Duration::from_micros(100));
        parked = metrics.worker_park_unpark_count(0);
    }
    go.store(true, Release); // for the load in the future
    waker.wake();
    let running = thread.join();
    let Ok(Ok(Ok(running))) = running else {
        return Err("a runtime for the test of its counts failed".to_owned());
    };
    if parked.is_multiple_of(2) {
        return Err(format!(
            "`worker_park_unpark_count` of a parked worker is {parked}, which should be odd"
        ));
    }
    if !running.is_multiple_of(2) || running <= parked {
        return Err(format!(
            "`worker_park_unpark_count` went from {parked} (parked) to {running} (running), which should be even, and more"
        ));
    }
    if worker != Some(0) {
        return Err(format!(
            "`worker_index` in a current-thread runtime is {worker:?}, which should be Some(0)"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_without_tasks_rests_also_while_those_that_ask_come_and_go() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let watched = Runtime::new(runtime.handle(), TokioHooks::new(), true);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    runtime.block_on(tokio::task::yield_now());
                }
            });
            let rests = (0..20_000).all(|_| !watched.turns_out_to_be_over() && watched.rests());
            over.store(true, Relaxed);
            assert!(rests);
        });
    }
}
