//! What a monitor's handles and its thread share: one snapshot with the functions in their order, the loops, and the thread.
//!
//! Owns every change of it, and who starts the thread. Not here: what users call (`monitor.rs`), the thread (`worker.rs`).
//!
//! # Invariants
//! 1. Functions are in the order of their places, and a place is never used twice but by what replaces a function under its key.
//! 2. A function that leaves the snapshot leaves it for good, and is [discarded](Function::discard) by who took it out.
//! 3. The snapshot names at most one thread, and the process that it was started in.
//!
//! Nothing here waits for a lock that another thread may hold at a fork, so a child's first call does not hang: the snapshot is a
//! lock-free cell, and locks are either tried, or belong to a thread of this process.

use crate::builder::Settings;
use crate::clock::Clock;
use crate::error::{PeriodError, WatchError, quietly};
use crate::event_loop::{EventLoop, Source};
use crate::function::{Function, FunctionId};
use crate::list::{List, Listed};
use crate::slot;
use crate::worker::{self, Worker};
use crossbeam_utils::sync::Parker;
use signalpost_dispatch::core::{Snapshot, SnapshotCell};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Acquire, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// What the handles and the thread share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) table: SnapshotCell<Table>,
    pub(crate) failed_reports: AtomicU64,
    pub(crate) limits: Limits,
    pub(crate) stopping: AtomicBool,
}

/// Settings that can be changed while it runs.
pub(crate) struct Limits {
    /// In nanoseconds; the largest number is never.
    pub(crate) max_blocking_time: AtomicU64,
    pub(crate) print: AtomicBool,
}

impl Limits {
    pub(crate) fn new(settings: &Settings) -> Self {
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

    pub(crate) fn set_max_blocking_time(&self, time: Option<Duration>) {
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
    pub(crate) places: u64,
    pub(crate) worker: Option<Arc<Worker>>,
    pub(crate) ended: bool,
}

impl Snapshot for Table {
    type Context = ();
    type Part = ();

    fn is_empty(&self) -> bool {
        false
    }
}

impl Table {
    pub(crate) fn changed(&self, functions: List) -> Self {
        Self { functions: Arc::new(functions), version: self.version + 1, ..self.clone() }
    }

    pub(crate) fn watching(&self, hubs: Vec<EventLoop>) -> Self {
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
    pub(crate) fn worker(&self) -> Option<Arc<Worker>> {
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
    pub(crate) fn here(self: &Arc<Self>) -> Option<Arc<Worker>> {
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

    pub(crate) fn swap_worker(&self, old: &Arc<Worker>, new: &Arc<Worker>) -> bool {
        self.table.update(|table| {
            let named = table.worker.as_ref().is_some_and(|worker| Arc::ptr_eq(worker, old));
            named.then(|| Table { worker: Some(new.clone()), ..table.clone() })
        })
    }

    /// Lets the thread see a change.
    pub(crate) fn wake(self: &Arc<Self>) {
        if let Some(worker) = self.here() {
            worker.wake();
        }
    }

    /// Puts a function in the place of that of the same key, or last.
    pub(crate) fn put(
        self: &Arc<Self>,
        function: Arc<Function>,
        period: Duration,
    ) -> Result<(), PeriodError> {
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

    pub(crate) fn add_hub(self: &Arc<Self>, hub: EventLoop) -> Result<(), WatchError> {
        let mut refused = Ok(());
        self.table.update(|table| {
            refused = match () {
                () if table.ended || self.is_stopping() => Err(WatchError::MonitorEnded),
                () if table.hubs.contains(&hub) => Err(WatchError::HooksInUse),
                () => Ok(()),
            };
            refused.as_ref().ok()?;
            let mut hubs = Vec::clone(&table.hubs);
            hubs.push(hub.clone());
            Some(table.watching(hubs))
        });
        refused?;
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

    pub(crate) fn set_period(self: &Arc<Self>, id: FunctionId, period: Duration) -> bool {
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
