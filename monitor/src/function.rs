//! Functions that the monitor calls: what one is, who it is, and what is known of its calls.
//!
//! Owns the closure, and who may drop it: whoever takes it out of the registration. Not here: when it is called
//! (`schedule.rs`), by whom (`worker.rs`).

use crate::monitor::Hub;
use signalpost_dispatch::{BoxError, Outcome};
use std::fmt;
use std::num::NonZeroU64;
use std::panic::Location;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::{Duration, Instant};

/// Names one registration of a function. Unique in the process, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionId(NonZeroU64);

impl FunctionId {
    /// The number. Later registrations have larger ones.
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    fn draw() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // At a thousand million a second the counter lasts 584 years.
        Self(NonZeroU64::new(NEXT.fetch_add(1, Relaxed)).unwrap_or(NonZeroU64::MIN))
    }
}

impl fmt::Display for FunctionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Who a function is: id, key, and where in the source it was made one of the monitor's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FunctionName {
    /// Which registration.
    pub id: FunctionId,
    /// The key under which it was registered, if there is one.
    pub key: Option<Arc<str>>,
    /// Where it was registered, or where its [`MonitoringFunction`] was made.
    pub location: &'static Location<'static>,
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{key} ({})", self.location),
            None => write!(f, "{} ({})", self.id, self.location),
        }
    }
}

/// A function for a [`PeriodicMonitorThread`](crate::PeriodicMonitorThread), which cannot take any closure as it is: a box of one.
///
/// # Examples
/// See [`PeriodicMonitorThreadStarted`](crate::PeriodicMonitorThreadStarted).
pub struct MonitoringFunction {
    call: Body,
    location: &'static Location<'static>,
}

type Body = Box<dyn FnMut(&Hub) -> Result<(), BoxError> + Send>;

impl MonitoringFunction {
    /// Boxes a closure that returns `()` or `Result<(), BoxError>`.
    #[track_caller]
    pub fn new<R: Outcome<BoxError>>(mut f: impl FnMut(&Hub) -> R + Send + 'static) -> Self {
        Self { call: Box::new(move |hub| f(hub).into_result()), location: Location::caller() }
    }
}

impl fmt::Debug for MonitoringFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MonitoringFunction({})", self.location)
    }
}

/// What is known of a function, as [`functions`](crate::MonitorRef::functions) shows it. Times of calls are those of the last
/// call that ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FunctionInfo {
    /// Who it is.
    pub name: FunctionName,
    /// How often it is to be called.
    pub period: Duration,
    /// How many calls have ended, by themselves or by a panic.
    pub runs: u64,
    /// How many of them failed.
    pub failures: u64,
    /// How many of the latest failed, one after another.
    pub failures_in_a_row: u32,
    /// How many took too long.
    pub slow: u64,
    /// When the last one began; none before the first has ended.
    pub last_run: Option<Instant>,
    /// How long the longest took.
    pub longest_run: Duration,
}

/// A function that is registered.
pub(crate) struct Function {
    pub(crate) name: FunctionName,
    /// When it was registered, on the monitor's clock.
    pub(crate) since: Duration,
    /// Locked while it is called, and for a moment by who takes it out; nobody waits for it.
    body: Mutex<Option<Body>>,
    /// Its deadline, for the thread of a forked child: 0 is none yet, the largest number is never, else nanoseconds and one.
    due: AtomicU64,
    pub(crate) counts: Counts,
}

/// Written by the monitor thread alone, so plain loads and stores do.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) runs: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) in_a_row: AtomicU32,
    pub(crate) slow: AtomicU64,
    last: AtomicU64,
    longest: AtomicU64,
}

/// What became of an attempt to use a function's closure.
pub(crate) enum Used<R> {
    Done(R),
    /// It was taken out: the registration has ended.
    Gone,
    /// It is in use, or was when this process was forked.
    InUse,
}

impl Function {
    pub(crate) fn new(function: MonitoringFunction, key: Option<&str>, since: Duration) -> Arc<Self> {
        let MonitoringFunction { call, location } = function;
        Arc::new(Self {
            name: FunctionName { id: FunctionId::draw(), key: key.map(Arc::from), location },
            since,
            body: Mutex::new(Some(call)),
            due: AtomicU64::new(0),
            counts: Counts::default(),
        })
    }

    /// Lets `f` use the closure.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut Body) -> R) -> Used<R> {
        let mut body = match self.body.try_lock() {
            Ok(body) => body,
            Err(TryLockError::Poisoned(body)) => body.into_inner(),
            Err(TryLockError::WouldBlock) => return Used::InUse,
        };
        body.as_mut().map_or(Used::Gone, |body| Used::Done(f(body)))
    }

    /// Drops the closure, unless it is being called: then who calls it does that, since it looks whether it is still registered.
    pub(crate) fn discard(&self) {
        let body = match self.body.try_lock() {
            Ok(mut body) => body.take(),
            Err(TryLockError::Poisoned(body)) => body.into_inner().take(),
            Err(TryLockError::WouldBlock) => None,
        };
        drop(body); // with nothing locked
    }

    pub(crate) fn set_due(&self, due: Option<Duration>) {
        self.due.store(due.map_or(u64::MAX, |due| nanos(due).saturating_add(1)), Relaxed);
    }

    /// The deadline that it had; `None` if it never had one, `Some(None)` if that is past all time.
    pub(crate) fn due(&self) -> Option<Option<Duration>> {
        match self.due.load(Relaxed) {
            0 => None,
            u64::MAX => Some(None),
            nanos => Some(Some(Duration::from_nanos(nanos - 1))),
        }
    }

    pub(crate) fn info(&self, period: Duration, at: impl Fn(Duration) -> Option<Instant>) -> FunctionInfo {
        let counts = &self.counts;
        let runs = counts.runs.load(Relaxed);
        FunctionInfo {
            name: self.name.clone(),
            period,
            runs,
            failures: counts.failures.load(Relaxed),
            failures_in_a_row: counts.in_a_row.load(Relaxed),
            slow: counts.slow.load(Relaxed),
            last_run: if runs == 0 { None } else { at(Duration::from_nanos(counts.last.load(Relaxed))) },
            longest_run: Duration::from_nanos(counts.longest.load(Relaxed)),
        }
    }
}

impl Counts {
    /// A call has ended.
    pub(crate) fn ran(&self, begun: Duration, took: Duration) {
        self.last.store(nanos(begun), Relaxed);
        self.longest.fetch_max(nanos(took), Relaxed);
        self.runs.fetch_add(1, Relaxed);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
