//! How a receiver falls asleep, and how a publisher finds out that somebody does.
//!
//! Owns the handshake between whoever adds something and whoever waits for it, blocking or as a task; not what is waited
//! for. A publisher takes no lock: a light barrier and one load, and where somebody sleeps a read of the list of
//! sleepers, which is wait-free, and one waker. A notification is one slot's step from `WAITING` to `NOTIFIED`, so a
//! sleep costs one waker at most, and so the publisher one system call at most. Who falls asleep pays the heavy barrier.
//!
//! # Invariants
//! 1. A slot is changed from `FREE` and back by who claims it, and from `WAITING` to `NOTIFIED` by one notifier.
//! 2. `state` counts the slots that are `WAITING`; one that is about to be is counted before it is.
//! 3. Who finds a `NOTIFIED` slot in its hands looks once more, or passes the notification on.
//! 4. Where the kernel refuses the heavy barrier nobody relies on being told: see `block` and `poll`.
//!
//! # Orderings
//! | edge  | one side                      | other side                                | model that fails without it |
//! |-------|-------------------------------|-------------------------------------------|-----------------------------|
//! | SLEEP | add, light, look for sleepers | count and `WAITING`, heavy, look for items | `a_receiver_that_falls_asleep_is_woken` |
//! | GONE  | add, light, look for `GONE`   | set `GONE`, heavy, empty the queue        | `what_comes_while_the_last_receiver_goes_is_dropped` |
//! | CLOSE | set `CLOSED`: Release         | see it: Acquire                           | `what_came_before_the_close_is_received` |
//! | TOLD  | add, light, `NOTIFIED`        | see that, heavy, look for items           | `what_a_dropped_future_was_told_is_passed_on` |
//!
//! All else is relaxed: whoever was notified looks again, behind a barrier of its own if it is to sleep on; and the wakers lie
//! in cells that order themselves (`atomic-waker`).

use atomic_waker::AtomicWaker;
use crossbeam_utils::CachePadded;
use signalpost_core::sync::Ordering::{Acquire, Relaxed, Release};
use signalpost_core::sync::{AtomicUsize, Plant, at, local, planted};
use signalpost_core::{Sides, Snapshot, SnapshotCell};
use std::cell::RefCell;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// In `state`: nothing is added any more, but by publishes under way.
const CLOSED: usize = 1;
/// In `state`: nobody receives any more.
const GONE: usize = 2;
/// In `state`: one who sleeps.
const SLEEPER: usize = 4;

/// The slot is nobody's.
const FREE: usize = 0;
/// It is somebody's who is awake.
const HELD: usize = 1;
/// Its owner sleeps, or is about to.
const WAITING: usize = 2;
/// Its owner was told to look.
const NOTIFIED: usize = 3;

/// How long it sleeps at most who cannot count on being told.
const SOON: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(super) struct Sleep {
    state: CachePadded<AtomicUsize>,
    barrier: Sides,
    slots: SnapshotCell<Slots>,
}

/// One who waits, or could.
#[derive(Debug)]
pub(super) struct Slot {
    state: AtomicUsize,
    waker: AtomicWaker,
}

/// As many as ever waited at once.
#[derive(Debug, Default)]
struct Slots(Vec<Arc<Slot>>);

impl Snapshot for Slots {
    type Context = ();
    type Part = ();
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a publisher finds when it has added something.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// Whoever needs to know does.
    Told,
    /// Nobody receives any more: it is the publisher's to take out again.
    ForNobody,
}

impl Sleep {
    /// With slots for so many receivers.
    pub(super) fn new(receivers: usize) -> Self {
        let state = CachePadded::new(AtomicUsize::new(0));
        let sleep = Self { state, barrier: Sides::decide(), slots: SnapshotCell::new() };
        sleep.prepare(receivers);
        sleep
    }

    /// Makes slots for so many receivers, so that they need not when they fall asleep.
    pub(super) fn prepare(&self, receivers: usize) {
        self.slots.update(|slots| {
            let missing = receivers.checked_sub(slots.0.len()).filter(|missing| *missing > 0)?;
            let fresh = std::iter::repeat_with(|| Arc::new(Slot::new(FREE))).take(missing);
            Some(Slots(slots.0.iter().cloned().chain(fresh).collect()))
        });
    }

    /// Whether nobody receives any more. A hint: see [`added`](Self::added).
    #[inline(always)]
    pub(super) fn is_gone(&self) -> bool {
        self.state.load(Relaxed) & GONE != 0
    }

    /// To be called by whoever has added one thing: wakes one sleeper, if there is any. The last thing closes.
    #[inline(always)]
    pub(super) fn added(&self, last: bool) -> Added {
        if last {
            return self.close();
        }
        // ORDERING SLEEP, GONE (partner: `arm`, `abandon`). Each side writes, then looks at what the other wrote. Light: with
        // a full fence each push waited until the receiver's core let go of its place, for three to seven times as long.
        self.light();
        match self.state.load(Relaxed) {
            0 => Added::Told,
            state => self.added_with(state),
        }
    }

    /// The heavy barrier, for an edge of its user's; false if it was refused.
    pub(super) fn heavy(&self, edge: Plant) -> bool {
        planted(edge) || self.barrier.heavy()
    }

    #[inline(always)]
    fn light(&self) {
        if !planted(Plant::PushLight) {
            self.barrier.light();
        }
    }

    #[cold]
    #[inline(never)]
    fn added_with(&self, state: usize) -> Added {
        if state & GONE != 0 {
            return Added::ForNobody;
        }
        if state >= SLEEPER {
            self.slots.read(|slots| slots.0.iter().any(|slot| self.notify(slot)));
        }
        Added::Told
    }

    /// Wakes this one, if it sleeps.
    fn notify(&self, slot: &Slot) -> bool {
        let ours = slot.state.compare_exchange(WAITING, NOTIFIED, Relaxed, Relaxed).is_ok();
        if ours {
            self.state.fetch_sub(SLEEPER, Relaxed);
            slot.waker.wake();
        }
        ours
    }

    /// Nothing is added after this, but by publishes under way. Wakes everybody.
    #[cold]
    #[inline(never)]
    pub(super) fn close(&self) -> Added {
        // Edge CLOSE: shows what was added before.
        self.state.fetch_or(CLOSED, at(Plant::CloseSet, Release));
        // Edges SLEEP and GONE: the close is something to be found as well.
        self.light();
        if self.is_gone() {
            return Added::ForNobody;
        }
        self.slots.read(|slots| {
            for slot in &slots.0 {
                self.notify(slot);
            }
        });
        Added::Told
    }

    /// Whether it was closed; if so, what was added before shows.
    pub(super) fn is_closed(&self) -> bool {
        self.state.load(at(Plant::CloseSeen, Acquire)) & CLOSED != 0
    }

    /// Nobody receives after this. What is there is the caller's to drop, and what comes its publisher's.
    pub(super) fn abandon(&self) {
        self.state.fetch_or(GONE, Relaxed);
        // ORDERING GONE (partner: `added`). Refused, something may stay in the queue until the subscriber is dropped.
        self.heavy(Plant::GoneHeavy);
    }

    /// Waits until `look` finds something, or the deadline has passed. `more` says whether there is something for others.
    pub(super) fn block<R>(
        &self,
        deadline: Option<Instant>,
        mut look: impl FnMut() -> Option<R>,
        more: impl Fn() -> bool,
    ) -> Option<R> {
        if let Some(found) = look() {
            return Some(found);
        }
        let (slot, this) = (self.claim(), this_thread());
        let waker = Waker::from(this.clone());
        let found = loop {
            slot.waker.register(&waker);
            // Refused the barrier, it cannot count on being told, and looks again soon.
            let soon = if self.arm(&slot) { None } else { Instant::now().checked_add(SOON) };
            if let Some(found) = look() {
                break Some(found);
            }
            while slot.is_waiting() {
                let until = deadline.into_iter().chain(soon).min();
                if !parking::park(&this.0, until) && self.disarm(&slot) {
                    if until == deadline {
                        self.release(&slot, more);
                        return None;
                    }
                    break;
                }
                // A late wake-up of who had the slot before may have taken the waker.
                slot.waker.register(&waker);
            }
            slot.state.store(HELD, Relaxed);
            if let Some(found) = look() {
                break Some(found);
            }
        };
        self.release(&slot, more);
        found
    }

    /// The same for a task. Between polls its slot is in `place`; who drops that [releases](Self::release) it first.
    pub(super) fn poll<R>(
        &self,
        place: &mut Option<Arc<Slot>>,
        context: &mut Context<'_>,
        mut look: impl FnMut() -> Option<R>,
        more: impl Fn() -> bool,
    ) -> Poll<R> {
        let mut found = look();
        while found.is_none() {
            let slot = place.get_or_insert_with(|| self.claim());
            slot.waker.register(context.waker());
            if slot.is_waiting() {
                return Poll::Pending;
            }
            let sure = self.arm(slot);
            found = look();
            if found.is_none() && sure && slot.is_waiting() {
                return Poll::Pending;
            }
            if found.is_none() && !sure && self.disarm(slot) {
                context.waker().wake_by_ref(); // as in `block`, and soon is now
                return Poll::Pending;
            }
        }
        if let Some(slot) = place.take() {
            self.release(&slot, more);
        }
        found.map_or(Poll::Pending, Poll::Ready)
    }

    /// A slot for who is about to sleep: a free one, or a new one.
    fn claim(&self) -> Arc<Slot> {
        let free = |slot: &&Arc<Slot>| slot.state.compare_exchange(FREE, HELD, Relaxed, Relaxed).is_ok();
        let claimed = self.slots.read(|slots| slots.0.iter().find(free).cloned());
        claimed.flatten().unwrap_or_else(|| {
            let slot = Arc::new(Slot::new(HELD));
            self.slots.update(|slots| Some(Slots(slots.0.iter().chain([&slot]).cloned().collect())));
            slot
        })
    }

    /// From here on whoever adds something tells this slot, or what was added shows; unless this returns false.
    fn arm(&self, slot: &Slot) -> bool {
        self.state.fetch_add(SLEEPER, Relaxed);
        slot.state.store(WAITING, Relaxed);
        // ORDERING SLEEP (partner: `added`, `close`).
        self.heavy(Plant::SleepHeavy)
    }

    /// Undoes [`arm`](Self::arm); false if a notifier was faster.
    fn disarm(&self, slot: &Slot) -> bool {
        let ours = slot.state.compare_exchange(WAITING, HELD, Relaxed, Relaxed).is_ok();
        if ours {
            self.state.fetch_sub(SLEEPER, Relaxed);
        }
        ours
    }

    /// Gives a slot back, asleep or not, and passes on what it was told and does not need.
    pub(super) fn release(&self, slot: &Slot, more: impl Fn() -> bool) {
        match slot.state.swap(FREE, Relaxed) {
            WAITING => {
                self.state.fetch_sub(SLEEPER, Relaxed);
            }
            NOTIFIED if !planted(Plant::PassOn) => {
                // ORDERING TOLD: what it was told of shows to `more`. Refused, another looks in vain at worst.
                let shows = self.heavy(Plant::ToldHeavy);
                if !shows || more() {
                    self.added(false); // the caller receives, so somebody does
                }
            }
            _ => {}
        }
    }
}

impl Slot {
    fn new(state: usize) -> Self {
        Self { state: AtomicUsize::new(state), waker: AtomicWaker::new() }
    }

    /// A read-modify-write, which finds the newest value: a notifier that came before found no waker to wake.
    fn is_waiting(&self) -> bool {
        self.state.fetch_or(0, Relaxed) == WAITING
    }
}

/// Wakes a thread that waits.
struct Unpark(parking::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

local!(static UNPARK: RefCell<Option<Arc<Unpark>>> = RefCell::new(None));

/// This thread's waker: kept, so that a publisher that wakes it frees nothing.
fn this_thread() -> Arc<Unpark> {
    let fresh = || Arc::new(Unpark(parking::current()));
    UNPARK.try_with(|kept| kept.borrow_mut().get_or_insert_with(fresh).clone()).unwrap_or_else(|_| fresh())
}

#[cfg(not(signalpost_loom))]
mod parking {
    use std::thread;
    pub(super) use std::thread::{Thread, current};
    use std::time::Instant;

    /// Parks this thread once; false, without that, if the deadline has passed.
    pub(super) fn park(_: &Thread, deadline: Option<Instant>) -> bool {
        let Some(deadline) = deadline else {
            thread::park();
            return true;
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            thread::park_timeout(left);
        }
        !left.is_zero()
    }
}

/// The same of loom's parts. Not its `park`: that of a thread that went on, unparked late, ends its next `join`.
#[cfg(signalpost_loom)]
mod parking {
    use signalpost_core::sync::loom::sync::{Condvar, Mutex};
    use std::time::Instant;

    pub(super) struct Thread {
        told: Mutex<bool>,
        condvar: Condvar,
    }

    pub(super) fn current() -> Thread {
        Thread { told: Mutex::new(false), condvar: Condvar::new() }
    }

    impl Thread {
        pub(super) fn unpark(&self) {
            *self.told.lock().expect("not poisoned") = true;
            self.condvar.notify_one();
        }
    }

    /// No deadline passes.
    pub(super) fn park(this: &Thread, _: Option<Instant>) -> bool {
        let mut told = this.told.lock().expect("not poisoned");
        while !*told {
            told = this.condvar.wait(told).expect("not poisoned");
        }
        *told = false;
        true
    }
}
