//! Slots: each thread that takes part has one, with its pulse, and what the monitors must know of the thread.
//!
//! Owns the process-wide list of slots, who has which, and the monitors that sleep. Not here: the words (`pulse.rs`).
//!
//! # Invariants
//! 1. Slots are never freed; a thread has at most one, and gives it back when it ends. So there are as many as there ever were
//!    such threads at the same time.
//! 2. `life` is 0 while nobody has the slot, else a number that no other lease has; whoever changes it from 0 has the slot.
//!
//! Nothing here waits, so a forked child finds nothing locked.

use crate::pulse::{Beat, Bell, Pulse};
use crate::stack::Target;
use crate::task::TURN;
use crossbeam_utils::CachePadded;
use crossbeam_utils::sync::Unparker;
use signalpost_dispatch::core::{Sides, Snapshot, SnapshotCell};
use std::cell::Cell;
use std::process;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};
use std::thread;
use std::time::{Duration, Instant};

/// A thread's place.
pub(crate) struct Slot {
    own: CachePadded<Own>,
    life: AtomicU64,
    /// The loop that the thread drives; 0: none.
    hub: AtomicU64,
    /// Which worker of it, and one; 0: none.
    worker: AtomicUsize,
    /// When it became that.
    driven: AtomicU64,
    thread: SnapshotCell<Held>,
}

/// What a thread drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Driven {
    pub(crate) hub: u64,
    pub(crate) worker: Option<usize>,
    pub(crate) since: u64,
}

/// Written by the thread alone.
struct Own {
    pulse: Pulse,
    /// How many scopes of known-long code it is in.
    expected: AtomicU64,
    /// Whether a guard says what it drives.
    guarded: AtomicBool,
    sides: Sides,
}

/// Who has the slot.
pub(crate) struct ThreadInfo {
    pub(crate) target: Target,
    pub(crate) name: Option<String>,
    pub(crate) life: u64,
    process: u32,
}

#[derive(Default)]
struct Held(Option<Arc<ThreadInfo>>);

impl Snapshot for Held {
    type Context = ();
    type Part = ();

    fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

static SLOTS: SnapshotCell<Slots> = SnapshotCell::new();
static SLEEPERS: SnapshotCell<Sleepers> = SnapshotCell::new();
static VERSION: AtomicU64 = AtomicU64::new(0);
static BELL: CachePadded<Bell> = CachePadded::new(Bell::new());

#[derive(Clone, Default)]
struct Slots(Vec<&'static Slot>);

impl Snapshot for Slots {
    type Context = ();
    type Part = ();

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

thread_local! {
    /// Read at every poll, so without a destructor; that is `LEASE`'s.
    static SLOT: Cell<Option<&'static Slot>> = const { Cell::new(None) };
    static LEASE: Lease = const { Lease };
}

/// Gives the slot back when the thread ends.
struct Lease;

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(slot) = SLOT.take() {
            slot.give_back();
        }
    }
}

/// This thread's slot, if it has one. A load.
#[inline(always)]
pub(crate) fn current() -> Option<&'static Slot> {
    SLOT.get()
}

/// This thread's slot; it takes one, if need be. None only while the thread's locals are being destroyed.
#[cold]
pub(crate) fn here() -> Option<&'static Slot> {
    if let Some(slot) = current() {
        return Some(slot);
    }
    LEASE.try_with(|_| ()).ok()?; // from now on it will be dropped
    let slot = take();
    SLOT.set(Some(slot));
    Some(slot)
}

/// Changes when a thread takes a slot, gives it back, or drives another loop; after that.
pub(crate) fn version() -> u64 {
    VERSION.load(Acquire)
}

/// Something changed by which seats are arranged.
pub(crate) fn changed() {
    VERSION.fetch_add(1, Release); // who sees the number sees the change
}

/// All slots that threads of this process have, with who has them.
pub(crate) fn all() -> Vec<(&'static Slot, Arc<ThreadInfo>)> {
    let process = process::id();
    let taken = |slots: &Slots| {
        let with_thread = |slot: &&'static Slot| Some((*slot, slot.thread()?));
        slots.0.iter().filter_map(with_thread).filter(|(_, thread)| thread.process == process).collect()
    };
    SLOTS.read(taken).unwrap_or_default()
}

/// In a forked child: the thread that forked is the only one, and another one to the kernel.
pub(crate) fn forked() {
    if let Some(slot) = current() {
        slot.hold();
    }
}

fn take() -> &'static Slot {
    let free = SLOTS.read(|slots| slots.0.iter().copied().find(|slot| slot.claim())).flatten();
    let slot = free.unwrap_or_else(|| {
        let slot: &'static Slot = Box::leak(Box::new(Slot::new()));
        SLOTS.update(|slots| Some(Slots(slots.0.iter().copied().chain([slot]).collect())));
        slot
    });
    slot.hold();
    slot
}

impl Slot {
    /// Claimed.
    fn new() -> Self {
        let own = Own {
            pulse: Pulse::default(),
            expected: AtomicU64::new(0),
            guarded: AtomicBool::new(false),
            sides: Sides::decide(),
        };
        Self {
            own: CachePadded::new(own),
            life: AtomicU64::new(draw()),
            hub: AtomicU64::new(0),
            worker: AtomicUsize::new(0),
            driven: AtomicU64::new(0),
            thread: SnapshotCell::new(),
        }
    }

    fn claim(&self) -> bool {
        // The plain words of the lease before are this thread's to change: Acquire, for `give_back`'s Release.
        self.life.load(Relaxed) == 0 && self.life.compare_exchange(0, draw(), Acquire, Relaxed).is_ok()
    }

    /// Shows who has it.
    fn hold(&self) {
        let (target, process) = (Target::current(), process::id());
        let name = thread::current().name().map(str::to_owned);
        let held = Arc::new(ThreadInfo { target, name, life: self.life.load(Relaxed), process });
        self.thread.update(|_| Some(Held(Some(held.clone()))));
        changed();
    }

    fn give_back(&self) {
        self.thread.update(|_| Some(Held(None)));
        self.guard(None);
        self.own.expected.store(0, Relaxed);
        self.own.pulse.leave(0);
        self.life.store(0, Release); // for `claim`
        changed();
    }

    fn thread(&self) -> Option<Arc<ThreadInfo>> {
        self.thread.read(|held| held.0.clone()).flatten()
    }

    /// Whether it is this thread's still: while the thread's locals are destroyed it may be another one's already.
    pub(crate) fn is_here(&self) -> bool {
        current().is_some_and(|here| ptr::eq(here, self))
    }

    /// This thread begins something that could block.
    #[inline(always)]
    pub(crate) fn enter(&self, task: u64) -> u64 {
        let before = self.own.pulse.enter(task);
        self.ring();
        before
    }

    /// It ended, and `before` goes on; 0: nothing does.
    #[inline(always)]
    pub(crate) fn leave(&self, before: u64) {
        self.own.pulse.leave(before);
        if before != 0 {
            self.ring(); // what ended may have been known to take long, and a monitor sleep over it
        }
    }

    /// Wakes the monitors that sleep.
    #[inline(always)]
    pub(crate) fn ring(&self) {
        if BELL.is_armed(self.own.sides) {
            wake_all();
        }
    }

    /// What this thread runs is known to take long, `more` or less deeply.
    pub(crate) fn expect(&self, more: bool) {
        let depth = self.own.expected.load(Relaxed); // the thread's own
        self.own.expected.store(if more { depth + 1 } else { depth.saturating_sub(1) }, Relaxed);
        if !more {
            // What follows begins anew, also if no monitor has looked meanwhile. It may sleep over it.
            self.own.pulse.again();
            self.ring();
        }
    }

    /// A guard says that this thread drives a loop, whoever else says so too; `None`: the guard has gone. False if there is one.
    pub(crate) fn guard(&self, hub: Option<u64>) -> bool {
        let free = !self.own.guarded.load(Relaxed); // the thread's own
        if hub.is_none() || free {
            self.own.guarded.store(false, Relaxed);
            self.drives(hub.unwrap_or(0), None);
            self.own.guarded.store(hub.is_some(), Relaxed);
        }
        free
    }

    /// This thread drives a loop, or (0) none. A guard's word holds against it.
    pub(crate) fn drives(&self, hub: u64, worker: Option<usize>) {
        if self.own.guarded.load(Relaxed) {
            return;
        }
        let worker = worker.map_or(0, |worker| worker + 1);
        if self.hub.load(Relaxed) != hub || self.worker.load(Relaxed) != worker {
            self.worker.store(worker, Relaxed);
            self.hub.store(hub, Relaxed);
            self.driven.store(draw(), Relaxed);
            changed();
        }
    }

    /// Which loop it drives, which worker it is, and a number that is the larger the later it became that.
    pub(crate) fn driven(&self) -> Driven {
        let worker = self.worker.load(Relaxed).checked_sub(1);
        Driven { hub: self.hub.load(Relaxed), worker, since: self.driven.load(Relaxed) }
    }

    /// A number that no other lease of a slot has.
    #[cfg(feature = "tokio")]
    pub(crate) fn life(&self) -> u64 {
        self.life.load(Relaxed)
    }

    /// What it says. Of one that moves each time it is looked at, that it runs.
    pub(crate) fn beat(&self) -> Beat {
        let look = || self.own.pulse.beat();
        look().or_else(|_| look()).or_else(|_| look()).unwrap_or_else(|turn| Beat { turn, task: TURN })
    }

    /// Whether it said that it may take long.
    pub(crate) fn is_expected(&self) -> bool {
        self.own.expected.load(Relaxed) > 0
    }
}

/// Unique in the process; never 0.
pub(crate) fn draw() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Relaxed)
}

/// A monitor that sleeps until a thread begins to run.
pub(crate) struct Sleeper {
    asleep: Arc<Asleep>,
    sides: Sides,
}

struct Asleep {
    is: AtomicBool,
    /// When it was woken, in nanoseconds since `since`.
    woken: AtomicU64,
    since: Instant,
    unparker: Unparker,
}

#[derive(Clone, Default)]
struct Sleepers(Vec<Arc<Asleep>>);

impl Snapshot for Sleepers {
    type Context = ();
    type Part = ();

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Sleeper {
    /// One who is woken by `unparker`.
    pub(crate) fn new(unparker: Unparker) -> Self {
        let (is, woken) = (AtomicBool::new(false), AtomicU64::new(0));
        let asleep = Arc::new(Asleep { is, woken, since: Instant::now(), unparker });
        SLEEPERS
            .update(|sleepers| Some(Sleepers(sleepers.0.iter().cloned().chain([asleep.clone()]).collect())));
        Self { asleep, sides: Sides::decide() }
    }

    /// From now on it is woken. Who sleeps looks at all slots after this, and sleeps only if nothing runs; false: it may not sleep.
    pub(crate) fn falls_asleep(&self) -> bool {
        self.asleep.is.store(true, Relaxed);
        BELL.arm(self.sides)
    }

    /// It looks by itself.
    pub(crate) fn is_up(&self) {
        self.asleep.is.store(false, Relaxed);
    }

    /// Whether nobody has woken it.
    pub(crate) fn is_asleep(&self) -> bool {
        self.asleep.is.load(Relaxed)
    }

    /// When it was woken last.
    pub(crate) fn woken(&self) -> Instant {
        self.asleep.since + Duration::from_nanos(self.asleep.woken.load(Relaxed))
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let others = |sleepers: &Sleepers| {
            let others = sleepers.0.iter().filter(|other| !Arc::ptr_eq(other, &self.asleep));
            Some(Sleepers(others.cloned().collect()))
        };
        SLEEPERS.update(others);
    }
}

#[cold]
fn wake_all() {
    // Before: who begins once it is disarmed does not ring, and has begun later than this.
    let now = Instant::now();
    if BELL.disarm() {
        SLEEPERS.read(|sleepers| {
            for sleeper in sleepers.0.iter().filter(|sleeper| sleeper.is.load(Relaxed)) {
                let woken = now.saturating_duration_since(sleeper.since);
                let woken = u64::try_from(woken.as_nanos()).unwrap_or(u64::MAX);
                sleeper.woken.store(woken, Relaxed); // seen with the unparking
                sleeper.is.store(false, Relaxed);
                sleeper.unparker.unpark();
            }
        });
    }
}
