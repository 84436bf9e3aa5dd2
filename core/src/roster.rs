//! A list of subscribers, and how a record of changes makes the next one.
//!
//! Owns who owns a subscriber. A list of subscribers is plain words and owns nothing; copying it counts nothing. A
//! subscriber belongs to its *cell*: from the write that adds it to the write that takes it out, which retires it
//! together with the snapshot that it replaces.
//!
//! Not here: the memory of one subscriber (`subscriber.rs`), what a reader sees of a list (`subscribers.rs`) and of many
//! (`channels.rs`), how snapshots are replaced (`cell.rs`) and retired (`retire.rs`).
//!
//! # Invariants
//! 1. Lists are seen by readers of the cell, which are pinned, and by its writers, which are too. Nobody else has one.
//! 2. What is added is owned by the record until the write has succeeded, and by the cell from then on.
//! 3. What a write took out is owned by what it retires, and dropped with it: when no reader is left that was pinned before
//!    `current` had moved past that write, so none whose snapshot has it.
//! 4. What the last snapshot holds is dropped with the cell.
//! 5. Every subscriber in a list was made for the types of that list.
//!
//! So an entry that a pinned reader finds may be called, with an event of the list's type: its owner lives.
//!
//! # Orderings
//! | edge  | one side                              | other side                     | model that fails without it |
//! |-------|---------------------------------------|--------------------------------|-----------------------------|
//! | ENDED | it has ended, tell the list: Release  | a write is told: Acquire, sweep | `what_ended_by_itself_is_swept_by_a_later_write` |

use crate::cell::{SharedCell, Snapshot};
use crate::list::{List, Mark, Position};
use crate::subscriber::{
    About, Anchor, Entry, Invariant, Kept, Life, Subscriber, SubscriberId, SubscriberName,
};
use crate::sync::{AtomicBool, Ordering, Plant, at, fence, planted};
use Ordering::{Acquire, Relaxed, Release};
use std::any::TypeId;
use std::collections::BTreeSet;
use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::Arc;

/// In [`Mark::flags`]: the entry's call pointer is the one that does nothing.
pub(crate) const PAUSED: u32 = 1;
/// In [`Mark::flags`]: see [`About::self_ending`].
pub(crate) const SELF_ENDING: u32 = 2;
/// In [`Mark::flags`]: no subscriber, but the place that divides the list.
pub(crate) const DIVIDER: u32 = 4;

/// Names the types of a list's subscribers.
pub(crate) fn types_of<E: ?Sized + 'static, X: 'static>() -> TypeId {
    TypeId::of::<Invariant<E, X>>()
}

/// Subscribers of one event type and one error type, in order; which types, it knows at run time.
#[derive(Clone)]
pub(crate) struct Roster {
    pub(crate) list: List<Entry, Kept>,
    types: TypeId,
    divider: Option<Divider>,
}

/// The place that divides a list.
#[derive(Clone, Copy)]
struct Divider {
    at: Target,
    /// How many entries come before it.
    before: usize,
}

/// What is known of one in a list.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Who it is.
    pub name: SubscriberName,
    /// Higher runs earlier.
    pub priority: i32,
    /// Whether it does nothing for now.
    pub paused: bool,
    /// Whether it has ended by itself, and waits to be swept.
    pub over: bool,
    /// Whether it is no subscriber, but the place that divides the list.
    pub divider: bool,
}

impl Known {
    pub(crate) fn of(entry: &Entry, mark: &Mark<Kept>) -> Self {
        let Mark { id, priority, flags, kept: Kept { name, location, .. } } = *mark;
        let name = SubscriberName { id: SubscriberId::of(id), name, location };
        let (paused, divider) = (flags & PAUSED != 0, flags & DIVIDER != 0);
        Self { name, priority, paused, over: is_over(entry, mark), divider }
    }
}

/// A change to be made.
#[derive(Debug)]
pub enum Change {
    /// Adds a subscriber.
    Subscribe(Newcomer),
    /// Changes one that is there, or was.
    Step(Step),
}

/// A subscriber on its way into a list.
pub struct Newcomer {
    subscriber: Subscriber,
    types: TypeId,
    id: SubscriberId,
    channel: u32,
    priority: i32,
    flags: u32,
}

/// A change to a subscriber that is there, or was.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Takes it out.
    Cancel(Target),
    /// Has it do nothing.
    Pause(Target),
    /// Undoes that.
    Resume(Target),
    /// Gives it another priority, and the last place of that.
    SetPriority(Target, i32),
    /// Moves the first before the second.
    MoveBefore(Target, Target),
    /// Moves the first behind the second.
    MoveAfter(Target, Target),
    /// Takes all out, of all lists of the cell. Dividers stay.
    Clear,
}

/// Whom a step is about: the id, the list that it is in, and the priority that it was registered with, near which it is
/// looked for first.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub(crate) id: u64,
    pub(crate) priority: i32,
    pub(crate) channel: u32,
}

impl Target {
    /// The subscriber of a handle.
    pub fn of(anchor: &Anchor) -> Self {
        Self { id: anchor.id().get(), priority: anchor.priority(), channel: anchor.channel() }
    }

    /// Which list of its cell it is in.
    pub fn channel(self) -> u32 {
        self.channel
    }
}

impl Step {
    /// Which list it is about; `None`: all.
    fn channel(&self) -> Option<u32> {
        match self {
            Self::Clear => None,
            Self::Cancel(target)
            | Self::Pause(target)
            | Self::Resume(target)
            | Self::SetPriority(target, _)
            | Self::MoveBefore(target, _)
            | Self::MoveAfter(target, _) => Some(target.channel),
        }
    }
}

impl Change {
    /// Which list it is about; `None`: all.
    pub(crate) fn channel(&self) -> Option<u32> {
        match self {
            Self::Subscribe(newcomer) => Some(newcomer.channel),
            Self::Step(step) => step.channel(),
        }
    }
}

impl Newcomer {
    /// Boxes a closure. One allocation.
    pub fn new<E, X, F>(about: About, closure: F) -> (Self, Anchor)
    where
        E: ?Sized + 'static,
        X: 'static,
        F: Fn(&Life, &E) -> Result<(), X> + Send + Sync + 'static,
    {
        let (mut subscriber, anchor) = Subscriber::new::<E, X, F>(closure, &about);
        let mut flags = if about.self_ending { SELF_ENDING } else { 0 };
        if about.paused {
            subscriber.entry.pause(&subscriber.kept);
            flags |= PAUSED;
        }
        let (id, types) = (anchor.id(), types_of::<E, X>());
        let About { channel, priority, .. } = about;
        (Self { subscriber, types, id, channel, priority, flags }, anchor)
    }

    /// No subscriber, but the place that divides the list, which it has from then on: of those of its priority, what comes
    /// later comes behind it. Stays out of a list that has one already.
    pub fn divider<E: ?Sized + 'static, X: 'static>(about: About) -> Self {
        let (mut newcomer, anchor) = Self::new::<E, X, _>(about, |_, _| Ok(()));
        drop(anchor); // its memory goes with the list
        newcomer.flags |= DIVIDER;
        newcomer
    }

    /// Whether its closure may end it.
    pub fn is_self_ending(&self) -> bool {
        self.flags & SELF_ENDING != 0
    }

    fn is_cancelled(&self) -> bool {
        // SAFETY: this is the owner.
        unsafe { self.subscriber.entry.life() }.is_cancelled()
    }
}

/// Whether a subscriber has ended by itself since the last sweep.
#[derive(Clone, Debug)]
pub struct Ended {
    ended: Arc<AtomicBool>,
}

impl Default for Ended {
    fn default() -> Self {
        Self { ended: Arc::new(AtomicBool::new(false)) }
    }
}

impl Ended {
    /// Ends a subscriber, and notes that there is something to sweep. True for the one call that ended it.
    pub fn end(&self, life: &Life) -> bool {
        let first = life.end();
        if first {
            // Edge ENDED. A swap, since other threads swap too.
            self.ended.swap(true, at(Plant::EndedSet, Release));
        }
        first
    }

    /// Whether there is something to sweep; not asked again, so the caller sweeps.
    pub(crate) fn take(&self) -> bool {
        // Edge ENDED: whoever is known to have ended is seen to have, or the sweep would pass it over and nobody look again. No
        // model needs this Acquire: in them the light barrier of the writer's pin, which follows, is a fence.
        self.ended.load(Relaxed) && self.ended.swap(false, Acquire)
    }
}

/// An entry taken out of a list, with what was kept beside it.
type Out = (Entry, Mark<Kept>);

/// Makes an owner of what a successful write took out (3), or of what the cell's end leaves (4).
fn own((entry, mark): Out) -> Subscriber {
    Subscriber { entry, kept: mark.kept }
}

/// What the changes so far did.
#[derive(Default)]
pub(crate) struct Taken {
    /// The changes did something, by themselves: not what was swept beside them.
    did: bool,
    out: Vec<Out>,
    /// Newcomers that stay out.
    skipped: BTreeSet<SubscriberId>,
}

/// A snapshot whose subscribers are changed by a record.
pub(crate) trait Recorded: Snapshot<Part = Subscriber> {
    /// The lists to sweep, of those that the record is about.
    fn take_ended(cell: &SharedCell<Self>, record: &[Change]) -> Vec<u32>;
    /// The next snapshot.
    fn changed(&self, record: &[Change], sweep: &[u32], taken: &mut Taken) -> Self;
}

/// Makes changes as one swap, and says whether they changed anything. Sweeps what has ended by itself. The caller collects.
///
/// A newcomer whose handle was cancelled or dropped before it was in the list does not come in, or goes out at once.
pub(crate) fn apply<T: Recorded>(cell: &SharedCell<T>, record: Vec<Change>) -> bool {
    let sweep = T::take_ended(cell, &record);
    // Pinned until the newcomers have been looked at again: the cell may retire them as soon as they are in.
    let pin = cell.pin();
    let (mut did, mut skipped) = (false, BTreeSet::new());
    let replaced = cell.update_with(
        |old| {
            let mut taken = Taken::default();
            let next = old.changed(&record, &sweep, &mut taken);
            did = taken.did;
            skipped = std::mem::take(&mut taken.skipped);
            (taken.did || !taken.out.is_empty()).then_some((next, taken))
        },
        |taken, _| taken.out.into_iter().map(own).collect(),
    );
    // Edge CANCEL (partner: `Anchor::cancels`).
    if !planted(Plant::CancelFence) {
        fence(Ordering::SeqCst);
    }
    let (mut late, mut unwanted) = (Vec::new(), Vec::new());
    for change in record {
        let Change::Subscribe(newcomer) = change else { continue };
        if !replaced || skipped.contains(&newcomer.id) {
            unwanted.push(newcomer);
            continue;
        }
        let Newcomer { id, priority, channel, .. } = newcomer;
        if newcomer.is_cancelled() {
            late.push(Change::Step(Step::Cancel(Target { id: id.get(), priority, channel })));
        }
        // The cell's since the change was made (2).
        let _ = ManuallyDrop::new(newcomer.subscriber);
    }
    drop(pin);
    drop(unwanted); // with nothing held: these are destructors
    if !late.is_empty() {
        apply(cell, late);
    }
    did
}

impl Roster {
    /// No subscribers, and for these types.
    pub(crate) fn new<E: ?Sized + 'static, X: 'static>() -> Self {
        Self { list: List::new(), types: types_of::<E, X>(), divider: None }
    }

    pub(crate) fn types(&self) -> TypeId {
        self.types
    }

    /// A list of nobody for the same types.
    pub(crate) fn emptied(&self) -> Self {
        Self { list: List::new(), types: self.types, divider: None }
    }

    /// Whether it is a list for these types.
    #[inline(always)]
    pub(crate) fn is_for<E: ?Sized + 'static, X: 'static>(&self) -> bool {
        self.types == types_of::<E, X>()
    }

    /// How many subscribers there are.
    pub(crate) fn members(&self) -> usize {
        self.list.len() - usize::from(self.divider.is_some())
    }

    /// How many come before the divider: all, if there is none.
    pub(crate) fn before_divider(&self) -> usize {
        self.divider.map_or(self.list.len(), |divider| divider.before)
    }

    pub(crate) fn has_divider(&self) -> bool {
        self.divider.is_some()
    }

    /// Everything that is in the list, in order.
    pub(crate) fn known(&self) -> impl Iterator<Item = Known> {
        self.list.iter().map(|(entry, mark)| Known::of(entry, mark))
    }

    /// What is known of one.
    pub(crate) fn find(&self, target: Target) -> Option<Known> {
        let (entry, mark) = self.list.get(self.position(target)?);
        Some(Known::of(entry, mark))
    }

    pub(crate) fn position(&self, target: Target) -> Option<Position> {
        self.list.find(target.id, target.priority)
    }

    /// Where it is, if it has not ended by itself.
    fn position_of_active(&self, target: Target) -> Option<Position> {
        let at = self.position(target)?;
        let (entry, mark) = self.list.get(at);
        (!is_over(entry, mark)).then_some(at)
    }

    /// Everything that this list refers to, with an owner.
    pub(crate) fn owners(&self) -> impl Iterator<Item = Subscriber> {
        self.list.iter().map(|(entry, mark)| own((*entry, *mark)))
    }

    /// Makes those of the changes that are about `channel`, which this list is.
    pub(crate) fn change(&mut self, channel: u32, record: &[Change], sweep: bool, taken: &mut Taken) {
        for change in record.iter().filter(|change| change.channel().is_none_or(|of| of == channel)) {
            self.make(change, taken);
        }
        if sweep {
            self.sweep(taken);
        }
        if let Some(divider) = self.divider {
            let at = self.position(divider.at).expect("nothing takes it out");
            self.divider = Some(Divider { before: self.list.place(at), ..divider });
        }
    }

    fn make(&mut self, change: &Change, taken: &mut Taken) {
        match change {
            Change::Subscribe(newcomer) => self.subscribe(newcomer, taken),
            Change::Step(step) => self.step(*step, taken),
        }
    }

    fn subscribe(&mut self, newcomer: &Newcomer, taken: &mut Taken) {
        let &Newcomer { ref subscriber, types, id, channel, priority, flags } = newcomer;
        assert!(types == self.types, "a subscriber for other types than this list's"); // (5)
        let divides = flags & DIVIDER != 0;
        // A divider's handle is gone from the start, which is no cancel.
        if if divides { self.divider.is_some() } else { newcomer.is_cancelled() } {
            taken.skipped.insert(id);
            return;
        }
        self.list.insert(subscriber.entry, Mark { id: id.get(), priority, flags, kept: subscriber.kept });
        if divides {
            let at = Target { id: id.get(), priority, channel };
            self.divider = Some(Divider { at, before: 0 });
        }
        taken.did = true;
    }

    fn step(&mut self, step: Step, taken: &mut Taken) {
        match step {
            Step::Clear => {
                taken.did |= self.members() > 0;
                self.list.retain(|entry, mark| {
                    let stays = mark.flags & DIVIDER != 0;
                    if !stays {
                        taken.out.push((*entry, *mark));
                    }
                    stays
                });
            }
            Step::Cancel(target) => {
                if let Some(at) = self.position(target) {
                    let (entry, mark) = self.list.remove(at);
                    taken.did |= !is_over(&entry, &mark);
                    taken.out.push((entry, mark));
                }
            }
            Step::Pause(target) => taken.did |= self.set_paused(target, true),
            Step::Resume(target) => taken.did |= self.set_paused(target, false),
            Step::SetPriority(target, priority) => {
                if let Some(at) = self.position_of_active(target) {
                    self.list.set_priority(at, priority);
                    taken.did = true;
                }
            }
            Step::MoveBefore(target, other) | Step::MoveAfter(target, other) => {
                if target.channel == other.channel
                    && let Some(at) = self.position_of_active(target)
                    && let Some(beside) = self.position_of_active(other)
                {
                    match step {
                        Step::MoveBefore(..) => self.list.move_before(at, beside),
                        _ => self.list.move_after(at, beside),
                    }
                    taken.did = true;
                }
            }
        }
    }

    fn set_paused(&mut self, target: Target, paused: bool) -> bool {
        let Some(at) = self.position_of_active(target) else { return false };
        let changes = (self.list.get(at).1.flags & PAUSED != 0) != paused;
        if changes {
            self.list.replace(at, |entry, mark| {
                if paused {
                    entry.pause(&mark.kept);
                } else {
                    entry.resume(&mark.kept);
                }
                mark.flags ^= PAUSED;
            });
        }
        changes
    }

    /// Takes out what has ended by itself.
    fn sweep(&mut self, taken: &mut Taken) {
        self.list.retain(|entry, mark| {
            let over = is_over(entry, mark);
            if over {
                taken.out.push((*entry, *mark));
            }
            !over
        });
    }
}

/// Whether it has ended by itself, and waits to be swept.
pub(crate) fn is_over(entry: &Entry, mark: &Mark<Kept>) -> bool {
    // SAFETY: from a list that a cell's reader or writer sees, or that a writer has just taken it out of, so its owner
    // lives (1 to 4).
    mark.flags & SELF_ENDING != 0 && unsafe { entry.life() }.is_over()
}

impl fmt::Debug for Newcomer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, priority, .. } = self;
        f.debug_struct("Newcomer").field("id", id).field("priority", priority).finish_non_exhaustive()
    }
}
