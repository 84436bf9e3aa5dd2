//! A recorder: the last publishes with time and outcome, for post-mortems.
//!
//! Owns the ring of records, and what a publish does while somebody records. Not here: what a record shows
//! (`recorder/record.rs`). The bus asks [`attached`] at each publish, and nothing more while nobody is.
//!
//! No lock is taken and nobody waits: the records are in slots, each an `ArcSwap`. The orderings are arc-swap's; the counters order
//! nothing.

mod record;

pub use record::{Record, RecordedOutcome};

use crate::bus::Bus;
use crate::error::{PublishError, Stopped};
use crate::stop::EventStop;
use arc_swap::ArcSwapOption;
use record::Line;
use signalpost_core::{Channels, SharedCell};
use std::cell::RefCell;
use std::fmt;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::thread::{self, Thread};
use std::time::{Instant, SystemTime};

/// Keeps the last publishes of a bus: which event, when, how long, on what thread, how nested, and how it ended.
///
/// [`attach`](Self::attach)ed to a bus it sees every publish there, by whatever handle, until it is dropped; also those that nobody
/// hears, and those that go to a [host](crate::set_global). What goes elsewhere, a [`Dispatcher`](crate::Dispatcher) say, is
/// recorded where the publisher says so: [`record`](Self::record). [Plugins](crate::Plugins) are called after a publish, and do
/// not show.
///
/// # Cost
/// A publish that is recorded takes three readings of clocks, one allocation, three counters that all publishers share and an
/// exchange of pointers, and drops the record that gives way, on the publishing thread; where it was stopped, also what it takes
/// to make a text of the error. It does not wait: publishers get in each other's way by cache lines alone. A publish on a
/// bus without a recorder, while there is one on another, looks through the recorders that there are. While there is none in the
/// process: one load and a branch; without the feature, nothing.
///
/// # Examples
/// ```
/// use signalpost::{Bus, BusStop, Recorder, event};
///
/// struct WillShip(u64);
/// event!(WillShip: "shop.will_ship", stop = BusStop);
///
/// let bus = Bus::new();
/// let recorder = Recorder::attach(&bus, 100);
/// let _sub = bus.topic::<WillShip>().subscribe(|parcel| {
///     if parcel.0 == 13 { Err(BusStop::veto("unlucky")) } else { Ok(()) }
/// });
/// bus.publish(&WillShip(12)).unwrap();
/// bus.publish(&WillShip(13)).unwrap_err();
///
/// let records = recorder.recent();
/// assert!(records[0].outcome.is_ok());
/// assert!(records[1].outcome.to_string().ends_with("(1 of 1): vetoed: unlucky"));
/// println!("{recorder}"); // a table, as for a post-mortem
/// ```
#[must_use = "it records as long as it is kept"]
pub struct Recorder {
    ring: Arc<Ring>,
    /// Whether it is in [`ATTACHMENTS`].
    attached: bool,
}

/// How many recorders are attached to a bus. Relaxed: whoever happens after an `attach` sees it by coherence.
static ATTACHED: AtomicUsize = AtomicUsize::new(0);
static ATTACHMENTS: ArcSwapOption<Vec<Attachment>> = ArcSwapOption::const_empty();
/// How many publishes have begun that are recorded by anyone.
static BEGUN: AtomicU64 = AtomicU64::new(0);

#[derive(Clone)]
struct Attachment {
    /// Held, so that its address stays its own.
    bus: Weak<SharedCell<Channels>>,
    ring: Arc<Ring>,
}

struct Ring {
    slots: Box<[ArcSwapOption<Ended>]>,
    ended: AtomicU64,
    dropped: AtomicU64,
    dumps: AtomicBool,
}

/// A record, and how many had ended before it.
struct Ended {
    number: u64,
    record: Record,
}

impl Recorder {
    /// Records every publish on this bus that begins from now on, and keeps the newest `capacity` of those that have ended.
    ///
    /// A publish belongs to the bus whose topics and families were asked for, also when these outlive it.
    ///
    /// # Panics
    /// If the capacity is 0.
    pub fn attach(bus: &Bus, capacity: usize) -> Self {
        let ring = Ring::new(capacity);
        let attachment = Attachment { bus: Arc::downgrade(&bus.shared()), ring: ring.clone() };
        ATTACHMENTS.rcu(|all| {
            let mut all = all.as_ref().map_or_else(Vec::new, |all| Vec::clone(all));
            all.push(attachment.clone());
            Some(Arc::new(all))
        });
        ATTACHED.fetch_add(1, Relaxed);
        Self { ring, attached: true }
    }

    /// A recorder of what is given to [`record`](Self::record), and of no bus.
    ///
    /// # Panics
    /// If the capacity is 0.
    pub fn new(capacity: usize) -> Self {
        Self { ring: Ring::new(capacity), attached: false }
    }

    /// Calls `publish` and writes down how it ended, under this name; returns what it returns. For what is published elsewhere
    /// than on the bus that it is attached to.
    ///
    /// # Errors
    /// That of `publish`, as it is.
    ///
    /// # Panics
    /// If `publish` does, which is recorded.
    ///
    /// # Examples
    /// ```
    /// use signalpost::{Dispatcher, Recorder};
    ///
    /// let recorder = Recorder::new(8);
    /// let lines: Dispatcher<str> = Dispatcher::new();
    /// let _sub = lines.subscribe(|line: &str| if line.is_empty() { Err("an empty line".into()) } else { Ok(()) });
    /// let stopped = recorder.record("lines", || lines.publish("")).unwrap_err();
    /// assert_eq!(stopped.error.to_string(), "an empty line");
    /// assert!(recorder.recent()[0].to_string().ends_with("(1 of 1): an empty line"));
    /// ```
    pub fn record<X: fmt::Display>(
        &self,
        name: &'static str,
        publish: impl FnOnce() -> Result<(), Stopped<X>>,
    ) -> Result<(), Stopped<X>> {
        let text = |error: &X| (false, error.to_string());
        let outcome = |result: &Result<(), Stopped<X>>| match result {
            Ok(()) => RecordedOutcome::Ok,
            Err(stopped) => outcome_of(stopped, text),
        };
        watch(Rings { first: self.ring.clone(), others: Vec::new() }, name, publish, outcome)
    }

    /// The newest publishes that have ended, at most as many as the capacity, in the order in which they began. Allocates; disturbs no
    /// publisher. Each record is whole; one that ends meanwhile may be missing.
    pub fn recent(&self) -> Vec<Record> {
        let slots = self.ring.slots.iter();
        let mut records: Vec<Record> =
            slots.filter_map(|slot| slot.load().as_ref().map(|ended| ended.record.clone())).collect();
        records.sort_unstable_by_key(|record| record.number);
        records
    }

    /// How many records gave way to newer ones since the start, or since the last [`clear`](Self::clear).
    pub fn dropped(&self) -> u64 {
        self.ring.dropped.load(Relaxed)
    }

    /// How many publishes it keeps.
    pub fn capacity(&self) -> usize {
        self.ring.slots.len()
    }

    /// Forgets everything that has ended, and how many gave way.
    pub fn clear(&self) {
        for slot in &self.ring.slots {
            slot.store(None);
        }
        self.ring.dropped.store(0, Relaxed);
    }

    /// Has every panic in the process, from now on, print the table to standard error, after whatever was printed before: and under it
    /// the publishes that the panicking thread is inside, which have not ended.
    ///
    /// Ends with the recorder; a second call does nothing. By a panic hook over the one that was there. Programs that set one of their
    /// own later, without calling the one before, take this away.
    ///
    /// # Panics
    /// On a thread that is panicking.
    ///
    /// # Examples
    /// ```
    /// use signalpost::{Recorder, bus};
    ///
    /// let recorder = Recorder::attach(bus(), 50);
    /// recorder.dump_on_panic();
    /// ```
    pub fn dump_on_panic(&self) {
        if self.ring.dumps.swap(true, Relaxed) {
            return;
        }
        let ring = Arc::downgrade(&self.ring);
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            before(info);
            if let Some(ring) = ring.upgrade() {
                let recorder = Self { ring, attached: false };
                let running = Running::of(&recorder.ring);
                // Nothing that fails here may hide the panic.
                let _ = std::io::stderr().write_all(format!("{recorder}{running}").as_bytes());
            }
        }));
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if !self.attached {
            return;
        }
        ATTACHMENTS.rcu(|all| {
            let others = all.iter().flat_map(|all| all.iter());
            let others: Vec<_> =
                others.filter(|there| !Arc::ptr_eq(&there.ring, &self.ring)).cloned().collect();
            (!others.is_empty()).then(|| Arc::new(others))
        });
        ATTACHED.fetch_sub(1, Relaxed);
    }
}

/// A table, the oldest first.
impl fmt::Display for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let records = self.recent();
        writeln!(f, "the last {} publishes ({} before them gave way):", records.len(), self.dropped())?;
        records.iter().try_for_each(|record| writeln!(f, "  {record}"))
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("attached", &self.attached)
            .field("capacity", &self.capacity())
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}

impl Ring {
    fn new(capacity: usize) -> Arc<Self> {
        assert!(capacity > 0, "a recorder with a capacity of 0 would keep nothing");
        Arc::new(Self {
            slots: (0..capacity).map(|_| ArcSwapOption::const_empty()).collect(),
            ended: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            dumps: AtomicBool::new(false),
        })
    }

    fn push(&self, record: Record) {
        let number = self.ended.fetch_add(1, Relaxed);
        let slot = &self.slots[(number % self.slots.len() as u64) as usize];
        let ended = Arc::new(Ended { number, record });
        loop {
            let seen = slot.load();
            if seen.is_some() {
                // One of them gives way: the one that was there, or this, if others went round meanwhile.
                if seen.as_ref().is_some_and(|seen| seen.number > number) {
                    self.dropped.fetch_add(1, Relaxed);
                    return;
                }
            }
            let before = slot.compare_and_swap(&*seen, Some(ended.clone()));
            let same = match (&*before, &*seen) {
                (Some(before), Some(seen)) => Arc::ptr_eq(before, seen),
                (None, None) => true,
                _ => false,
            };
            if same {
                self.dropped.fetch_add(u64::from(before.is_some()), Relaxed);
                return;
            }
        }
    }
}

/// Whether any bus has a recorder.
#[inline(always)]
pub(crate) fn attached() -> bool {
    ATTACHED.load(Relaxed) != 0
}

/// Publishes on this bus, and has its recorders write it down.
#[cold]
#[inline(never)]
pub(crate) fn publish<X: EventStop>(
    bus: Option<&SharedCell<Channels>>,
    event: &'static str,
    publish: impl FnOnce() -> Result<(), PublishError<X>>,
) -> Result<(), PublishError<X>> {
    let outcome = |result: &Result<(), PublishError<X>>| match result {
        Ok(()) => RecordedOutcome::Ok,
        Err(PublishError::Stopped(stopped)) => outcome_of(stopped, told),
        Err(PublishError::TooDeep(_)) => RecordedOutcome::TooDeep,
    };
    match Rings::of(bus) {
        Some(rings) => watch(rings, event, publish, outcome),
        None => publish(),
    }
}

fn told<X: EventStop>(error: &X) -> (bool, String) {
    (error.is_veto(), error.describe())
}

fn outcome_of<X>(stopped: &Stopped<X>, told: impl FnOnce(&X) -> (bool, String)) -> RecordedOutcome {
    let Stopped { error, subscriber, position, not_run } = stopped;
    // The text is a user's, and recording changes nothing for a publisher.
    let (veto, error) = catch_unwind(AssertUnwindSafe(|| told(error)))
        .unwrap_or_else(|_| (false, "(an error that panics when it is shown)".to_owned()));
    RecordedOutcome::Stopped { subscriber: *subscriber, position: *position, not_run: *not_run, veto, error }
}

/// Who writes a publish down: one, as a rule.
struct Rings {
    first: Arc<Ring>,
    others: Vec<Arc<Ring>>,
}

impl Rings {
    fn of(bus: Option<&SharedCell<Channels>>) -> Option<Self> {
        let bus: *const SharedCell<Channels> = bus?;
        let all = ATTACHMENTS.load();
        let mut rings = all.iter().flat_map(|all| all.iter());
        let mut rings =
            rings.by_ref().filter(|there| there.bus.as_ptr() == bus).map(|there| there.ring.clone());
        Some(Self { first: rings.next()?, others: rings.collect() })
    }

    fn has(&self, ring: &Arc<Ring>) -> bool {
        Arc::ptr_eq(&self.first, ring) || self.others.iter().any(|there| Arc::ptr_eq(there, ring))
    }
}

/// A publish that has not ended.
struct Underway {
    rings: Rings,
    event: &'static str,
    at: SystemTime,
    depth: usize,
}

thread_local! {
    /// Those of this thread, the outermost first.
    static UNDERWAY: RefCell<Vec<Underway>> = const { RefCell::new(Vec::new()) };
}

fn watch<T>(
    rings: Rings,
    event: &'static str,
    publish: impl FnOnce() -> T,
    outcome: impl FnOnce(&T) -> RecordedOutcome,
) -> T {
    let watching = Watching::begin(rings, event);
    let result = publish();
    watching.end(outcome(&result));
    result
}

/// Records a panic, if it is dropped before its end.
struct Watching {
    began: Instant,
    number: u64,
    /// Where the thread's own list is gone: at its end.
    underway: Option<Underway>,
    ended: bool,
}

impl Watching {
    fn begin(rings: Rings, event: &'static str) -> Self {
        let mut underway = Some(Underway { rings, event, at: SystemTime::now(), depth: 0 });
        let _ = UNDERWAY.try_with(|all| {
            let mut all = all.borrow_mut();
            let depth = all.len();
            all.extend(underway.take().map(|underway| Underway { depth, ..underway }));
        });
        Self { number: BEGUN.fetch_add(1, Relaxed), underway, ended: false, began: Instant::now() }
    }

    fn end(mut self, outcome: RecordedOutcome) {
        self.note(outcome);
    }

    fn note(&mut self, outcome: RecordedOutcome) {
        let took = self.began.elapsed();
        self.ended = true;
        let ours = self.underway.take();
        let ours = ours.or_else(|| UNDERWAY.try_with(|all| all.borrow_mut().pop()).ok().flatten());
        let Some(Underway { rings, event, at, depth }) = ours else { return };
        let (began, thread, number) = (self.began, thread::current(), self.number);
        let record = Record { event, began, at, took, thread, depth, outcome, number };
        for ring in rings.others {
            ring.push(record.clone());
        }
        rings.first.push(record);
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        if !self.ended {
            self.note(RecordedOutcome::Panicked);
        }
    }
}

/// What this thread is inside, for one ring.
struct Running(Vec<(&'static str, SystemTime, usize, Thread)>);

impl Running {
    fn of(ring: &Arc<Ring>) -> Self {
        let thread = thread::current();
        let lines = |all: &RefCell<Vec<Underway>>| {
            let all = all.try_borrow().ok()?;
            let ours = all.iter().filter(|underway| underway.rings.has(ring));
            Some(ours.map(|there| (there.event, there.at, there.depth, thread.clone())).collect())
        };
        Self(UNDERWAY.try_with(lines).ok().flatten().unwrap_or_default())
    }
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(event, at, depth, thread)| {
            writeln!(f, "  {}", Line { event, at: *at, took: None, thread, depth: *depth })
        })
    }
}
