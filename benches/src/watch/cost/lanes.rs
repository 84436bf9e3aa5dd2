//! The loops whose steps are timed: each with the monitor, and without.
//!
//! Owns what a step is, and the clock: processor time of the thread that steps, or of the process where several do.

use serde::Serialize;
use signalpost::{
    Bus,
    monitor::{EventLoop, LoopGuard, MemoryLimit, MemoryWatch, Monitor, Monitored, TokioHooks},
};
use std::{
    future::poll_fn,
    hint::black_box,
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
};

/// Tasks that take turns.
const TASKS: u64 = 16;
/// With two, what a poll takes depends on who stole which task.
const WORKERS: usize = 1;

/// What a step is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// A poll of a future, in a loop.
    BarePoll,
    /// A poll of the same in `Monitored`.
    MonitoredPoll,
    /// A turn of a loop by hand.
    BareTurn,
    /// A turn with `busy` and `idle`.
    WatchedTurn,
    /// A poll on tokio's current-thread runtime.
    CurrentThread,
    /// A poll on one that is watched as it is.
    CurrentThreadWatched,
    /// A poll on one whose tasks are `Monitored`.
    CurrentThreadMonitored,
    /// A poll on tokio's multi-thread runtime.
    MultiThread,
    /// A poll on one that is watched as it is.
    MultiThreadWatched,
    /// A poll on one whose tasks are `Monitored`.
    MultiThreadMonitored,
    /// A check of the process's memory.
    MemoryCheck,
}

impl Lane {
    /// All, in the order of the table, which is that of their numbers.
    pub const ALL: [Self; 11] = [
        Self::BarePoll,
        Self::MonitoredPoll,
        Self::BareTurn,
        Self::WatchedTurn,
        Self::CurrentThread,
        Self::CurrentThreadWatched,
        Self::CurrentThreadMonitored,
        Self::MultiThread,
        Self::MultiThreadWatched,
        Self::MultiThreadMonitored,
        Self::MemoryCheck,
    ];

    /// The one that does the same, and is not watched.
    pub const fn without(self) -> Option<Self> {
        match self {
            Self::MonitoredPoll => Some(Self::BarePoll),
            Self::WatchedTurn => Some(Self::BareTurn),
            Self::CurrentThreadWatched | Self::CurrentThreadMonitored => Some(Self::CurrentThread),
            Self::MultiThreadWatched | Self::MultiThreadMonitored => Some(Self::MultiThread),
            Self::BarePoll | Self::BareTurn | Self::CurrentThread | Self::MultiThread | Self::MemoryCheck => {
                None
            }
        }
    }

    /// For the table.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::BarePoll => "a poll of a future",
            Self::MonitoredPoll => "  in Monitored",
            Self::BareTurn => "a turn of a loop by hand",
            Self::WatchedTurn => "  with LoopGuard, busy and idle",
            Self::CurrentThread => "a poll on tokio, current-thread",
            Self::CurrentThreadWatched => "  watched as it is",
            Self::CurrentThreadMonitored => "  watched, tasks in Monitored",
            Self::MultiThread => "a poll on tokio, multi-thread",
            Self::MultiThreadWatched => "  watched as it is",
            Self::MultiThreadMonitored => "  watched, tasks in Monitored",
            Self::MemoryCheck => "a check of the process's memory",
        }
    }
}

/// All that steps.
#[derive(Debug)]
pub struct Lanes {
    current: Runtime,
    current_watched: Runtime,
    multi: Runtime,
    multi_watched: Runtime,
    turns: LoopGuard,
    memory: MemoryWatch,
    bus: Bus,
    _hubs: [Unwatched; 2],
}

#[derive(Debug)]
struct Unwatched(EventLoop);

impl Drop for Unwatched {
    fn drop(&mut self) {
        self.0.unwatch();
    }
}

impl Lanes {
    /// Starts the runtimes; those that are to be watched are, and the calling thread's loop.
    ///
    /// # Errors
    /// When one cannot be started, or not be watched.
    pub fn new(monitor: &Monitor) -> io::Result<Self> {
        let current = || Builder::new_current_thread();
        let multi = || {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(WORKERS);
            builder
        };
        let watched = |name: &str, mut builder: Builder| {
            let hooks = TokioHooks::new();
            let runtime = hooks.install(&mut builder).build()?;
            let hub = monitor.watch_tokio(name, runtime.handle(), &hooks).map_err(io::Error::other)?;
            Ok::<_, io::Error>((runtime, Unwatched(hub)))
        };
        let (current_watched, one) = watched("current-thread", current())?;
        let (multi_watched, other) = watched("multi-thread", multi())?;
        let memory = MemoryWatch::builder().limit(MemoryLimit::Bytes(u64::MAX)).build();
        Ok(Self {
            current: current().build()?,
            current_watched,
            multi: multi().build()?,
            multi_watched,
            turns: monitor.watch_loop("by hand").map_err(io::Error::other)?,
            memory: memory.map_err(io::Error::other)?,
            bus: Bus::new(),
            _hubs: [one, other],
        })
    }

    /// Nanoseconds of processor time a step. `steps` are of a bare loop; longer ones are done less often.
    pub fn step_ns(&mut self, lane: Lane, steps: u64) -> f64 {
        let polls = steps / 10;
        match lane {
            Lane::BarePoll => polls_by_hand(steps, |future| future),
            Lane::MonitoredPoll => polls_by_hand(steps, Monitored::new),
            Lane::BareTurn => each(steps, thread_time, || (0..steps).for_each(work)),
            Lane::WatchedTurn => {
                let turns = &mut self.turns;
                each(steps, thread_time, || {
                    (0..steps).for_each(|turn| {
                        turns.busy();
                        work(turn);
                        turns.idle();
                    });
                })
            }
            Lane::CurrentThread => polls_on(&self.current, polls, thread_time, |future| future),
            Lane::CurrentThreadWatched => {
                polls_on(&self.current_watched, polls, thread_time, |future| future)
            }
            Lane::CurrentThreadMonitored => {
                polls_on(&self.current_watched, polls, thread_time, Monitored::new)
            }
            Lane::MultiThread => polls_on(&self.multi, polls, process_time, |future| future),
            Lane::MultiThreadWatched => polls_on(&self.multi_watched, polls, process_time, |future| future),
            Lane::MultiThreadMonitored => polls_on(&self.multi_watched, polls, process_time, Monitored::new),
            Lane::MemoryCheck => {
                let checks = (steps / 1_000).max(1);
                let (memory, bus) = (&mut self.memory, &self.bus);
                each(checks, thread_time, || {
                    for _ in 0..checks {
                        // Its limit cannot be passed, so nothing is published.
                        drop(black_box(memory.check(bus)));
                    }
                })
            }
        }
    }
}

/// What a poll or a turn does: little, so that what is added to it is seen.
fn work(turn: u64) {
    black_box(turn);
}

/// A future that is polled as often as its executor likes.
fn endless() -> impl Future<Output = ()> + Send + 'static {
    let mut polls = 0_u64;
    poll_fn(move |_| {
        polls += 1;
        work(polls);
        Poll::<()>::Pending
    })
}

/// Several futures polled in turn by a loop.
fn polls_by_hand<F: Future<Output = ()>>(polls: u64, wrap: impl Fn(Endless) -> F) -> f64 {
    let mut futures: Vec<Pin<Box<F>>> = (0..TASKS).map(|_| Box::pin(wrap(Box::pin(endless())))).collect();
    let mut context = Context::from_waker(Waker::noop());
    each(polls, thread_time, || {
        for _ in 0..polls / TASKS {
            for future in &mut futures {
                let _ = black_box(future.as_mut().poll(&mut context));
            }
        }
    })
}

/// Boxed, so that both lanes make the same call, which the compiler does not see through.
type Endless = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Several tasks that wake themselves, on a runtime.
fn polls_on<F>(runtime: &Runtime, polls: u64, clock: fn() -> Duration, wrap: impl Fn(Endless) -> F) -> f64
where
    F: Future<Output = ()> + Send + 'static,
{
    let each_task = (polls / TASKS).max(1);
    each(each_task * TASKS, clock, || {
        runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for _ in 0..TASKS {
                let mut left = each_task;
                let future: Endless = Box::pin(poll_fn(move |context| {
                    left -= 1;
                    if left == 0 {
                        return Poll::Ready(());
                    }
                    context.waker().wake_by_ref();
                    Poll::Pending
                }));
                tasks.spawn(wrap(future));
            }
            while tasks.join_next().await.is_some() {}
        });
    })
}

fn each(steps: u64, clock: fn() -> Duration, work: impl FnOnce()) -> f64 {
    let before = clock();
    work();
    (clock() - before).as_nanos() as f64 / steps.max(1) as f64
}

#[cfg(target_os = "linux")]
fn thread_time() -> Duration {
    time_of(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID)
}

#[cfg(target_os = "linux")]
fn process_time() -> Duration {
    time_of(nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

#[cfg(target_os = "linux")]
fn time_of(clock: nix::time::ClockId) -> Duration {
    nix::time::clock_gettime(clock).expect("the kernel has had this clock for ever").into()
}

/// Elsewhere wall time has to do.
#[cfg(not(target_os = "linux"))]
fn thread_time() -> Duration {
    static BEGIN: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    BEGIN.elapsed()
}

#[cfg(not(target_os = "linux"))]
use thread_time as process_time;
