//! The subscribers of one snapshot, and how a record of changes makes the next.
//!
//! Owns who owns a subscriber. A list of subscribers is plain words and owns nothing; copying it counts nothing. A
//! subscriber belongs to its *cell*: from the write that adds it to the write that takes it out, which retires it
//! together with the snapshot that it replaces.
//!
//! Not here: the memory of one subscriber (`subscriber.rs`), how snapshots are replaced (`cell.rs`) and retired (`retire.rs`).
//!
//! # Invariants
//! 1. Lists are seen by readers of the cell, which are pinned, and by its writers, which are too. Nobody else has one.
//! 2. What is added is owned by the record until the write has succeeded, and by the cell from then on.
//! 3. What a write took out is owned by what it retires, and dropped with it: when no reader is left that was pinned before
//!    `current` had moved past that write, so none whose snapshot has it.
//! 4. What the last snapshot holds is dropped with the cell.
//!
//! So an entry that a pinned reader finds may be called: its owner lives.

use crate::cell::{Ending, SharedCell, Snapshot};
use crate::list::{List, Mark, Position};
use crate::subscriber::{Anchor, Entry, Kept, Life, Subscriber, SubscriberId, SubscriberName};
use crate::sync::{Ordering, Plant, fence, planted};
use std::collections::BTreeSet;
use std::fmt;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Release},
};

/// In [`Mark::flags`]: the entry's call pointer is the one that does nothing.
const PAUSED: u32 = 1;
/// In [`Mark::flags`]: see [`About::self_ending`].
const SELF_ENDING: u32 = 2;

/// The subscribers that one publish sees, in order. Held by a cell; read through it.
pub struct Subscribers<E: ?Sized + 'static, X: 'static> {
    list: List<Entry<E, X>, Kept<E, X>>,
}

/// One of them.
pub struct Member<'s, E: ?Sized + 'static, X: 'static> {
    entry: &'s Entry<E, X>,
    mark: &'s Mark<Kept<E, X>>,
}

/// One of them, with no more than it takes to call it.
pub struct Callee<'s, E: ?Sized, X>(&'s Entry<E, X>);

/// Some of them that lie side by side, to be called in order.
pub struct Run<'s, E: ?Sized, X>(&'s [Entry<E, X>]);

impl<E: ?Sized, X> Clone for Member<'_, E, X> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<E: ?Sized, X> Copy for Member<'_, E, X> {}

impl<E: ?Sized, X> Clone for Callee<'_, E, X> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<E: ?Sized, X> Copy for Callee<'_, E, X> {}

/// How a subscriber is to be registered.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Higher runs earlier.
    pub priority: i32,
    /// For people.
    pub name: Option<&'static str>,
    /// Where it was registered.
    pub location: &'static Location<'static>,
    /// Whether it begins paused.
    pub paused: bool,
    /// Whether its closure may [end](Life::end) it.
    pub self_ending: bool,
}

/// A change to be made.
#[derive(Debug)]
pub enum Recorded<E: ?Sized + 'static, X: 'static> {
    /// Adds a subscriber.
    Subscribe(Newcomer<E, X>),
    /// Changes one that is there, or was.
    Step(Step),
}

/// A subscriber on its way into a list.
pub struct Newcomer<E: ?Sized + 'static, X: 'static> {
    subscriber: Subscriber<E, X>,
    id: SubscriberId,
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
    /// Takes all out.
    Clear,
}

/// Whom a step is about: the id, and the priority that it was registered with, near which it is looked for first.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    id: u64,
    priority: i32,
}

impl Target {
    /// The subscriber of a handle.
    pub fn of(anchor: &Anchor) -> Self {
        Self { id: anchor.id().get(), priority: anchor.priority() }
    }
}

impl<E: ?Sized, X> Newcomer<E, X> {
    /// Boxes a closure. One allocation.
    pub fn new<F>(about: About, closure: F) -> (Self, Anchor)
    where
        F: Fn(&Life, &E) -> Result<(), X> + Send + Sync + 'static,
    {
        let About { priority, name, location, paused, self_ending } = about;
        let (mut subscriber, anchor) = Subscriber::new(closure, priority, name, location);
        let mut flags = if self_ending { SELF_ENDING } else { 0 };
        if paused {
            subscriber.entry.pause();
            flags |= PAUSED;
        }
        (Self { subscriber, id: anchor.id(), priority, flags }, anchor)
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

impl<E: ?Sized, X> Subscribers<E, X> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All, if they lie side by side. The fast path of a walk.
    #[inline(always)]
    pub fn single_run(&self) -> Option<Run<'_, E, X>> {
        self.list.single_run().map(|(run, _)| Run(run))
    }

    /// All, as runs that lie side by side.
    #[inline(always)]
    pub fn runs(&self) -> impl Iterator<Item = Run<'_, E, X>> {
        self.list.runs().map(|(run, _)| Run(run))
    }

    /// All in order, with what is known of them.
    pub fn iter(&self) -> impl Iterator<Item = Member<'_, E, X>> {
        self.list.iter().map(|(entry, mark)| Member { entry, mark })
    }

    /// The one at a place, counted from 0. Steps over whole runs.
    pub fn nth(&self, mut place: usize) -> Option<Member<'_, E, X>> {
        for (entries, marks) in self.list.runs() {
            if let Some(entry) = entries.get(place) {
                return Some(Member { entry, mark: &marks[place] });
            }
            place -= entries.len();
        }
        None
    }

    /// The place of one that a walk of this list found, from 0. Looks through the list.
    pub fn place_of(&self, callee: Callee<'_, E, X>) -> usize {
        self.list.iter().take_while(|(entry, _)| !std::ptr::eq(*entry, callee.0)).count()
    }

    /// The subscriber of a handle, if it is there.
    pub fn find(&self, target: Target) -> Option<Member<'_, E, X>> {
        let (entry, mark) = self.list.get(self.position(target)?);
        Some(Member { entry, mark })
    }

    fn position(&self, target: Target) -> Option<Position> {
        self.list.find(target.id, target.priority)
    }
}

impl<'s, E: ?Sized, X> Run<'s, E, X> {
    /// Runs them in order until one returns an error: that, and which it was.
    ///
    /// Four a round: fewer taken branches, and four places to call from, each of which the processor predicts by itself
    /// (one that always goes to the same place costs less than one that does not).
    #[inline(always)]
    pub fn call_until_error(self, event: &E) -> Result<(), (Callee<'s, E, X>, X)> {
        let call = |entry: &'s Entry<E, X>| Callee(entry).call(event).map_err(|error| (Callee(entry), error));
        let mut rest = self.0;
        while let [a, b, c, d, after @ ..] = rest {
            call(a)?;
            call(b)?;
            call(c)?;
            call(d)?;
            rest = after;
        }
        // The last ones, without a loop.
        if let [a, rest @ ..] = rest {
            call(a)?;
            if let [b, rest @ ..] = rest {
                call(b)?;
                if let [c, ..] = rest {
                    call(c)?;
                }
            }
        }
        Ok(())
    }
}

impl<E: ?Sized, X> Callee<'_, E, X> {
    /// Runs the subscriber; does nothing for a paused one.
    #[inline(always)]
    pub fn call(self, event: &E) -> Result<(), X> {
        // SAFETY: borrowed from a list that a cell's reader or writer sees, so its owner lives (1 to 4).
        unsafe { self.0.call(event) }
    }
}

impl<'s, E: ?Sized, X> Member<'s, E, X> {
    /// Runs the subscriber; does nothing for a paused one.
    pub fn call(self, event: &E) -> Result<(), X> {
        Callee(self.entry).call(event)
    }

    /// Who it is.
    pub fn name(self) -> SubscriberName {
        let Kept { name, location, .. } = self.mark.kept;
        SubscriberName { id: self.id(), name, location }
    }

    fn id(self) -> SubscriberId {
        SubscriberId::of(self.mark.id)
    }

    /// Higher runs earlier.
    pub fn priority(self) -> i32 {
        self.mark.priority
    }

    /// Whether it does nothing for now.
    pub fn is_paused(self) -> bool {
        self.mark.flags & PAUSED != 0
    }

    /// Whether its closure may end it.
    pub fn is_self_ending(self) -> bool {
        self.mark.flags & SELF_ENDING != 0
    }

    /// Whether it has ended by itself, and waits to be swept.
    pub fn is_over(self) -> bool {
        // SAFETY: as in `Callee::call`.
        self.is_self_ending() && unsafe { self.entry.life() }.is_over()
    }
}

impl<E: ?Sized, X> SharedCell<Subscribers<E, X>> {
    /// Makes changes as one swap, and says whether anything changed. Sweeps what has ended by itself. The caller collects.
    ///
    /// A newcomer whose handle was cancelled or dropped before it was in the list does not come in, or goes out at once.
    pub fn apply(&self, record: Vec<Recorded<E, X>>) -> bool {
        // Acquire: whoever is known to have ended is seen to have.
        let sweep = self.context().ended.swap(false, Acquire);
        // Pinned until the newcomers have been looked at again: the cell may retire them as soon as they are in.
        let pin = self.pin();
        let mut skipped = BTreeSet::new();
        let changed = self.update_with(
            |old| {
                skipped.clear();
                let mut next = Subscribers { list: old.list.clone() };
                let mut taken = Taken::default();
                for change in &record {
                    next.make(change, &mut taken, &mut skipped);
                }
                if sweep {
                    next.sweep(&mut taken);
                }
                (taken.changed || !taken.out.is_empty()).then_some((next, taken))
            },
            |taken, _| taken.out.into_iter().map(own).collect(),
        );
        // Edge CANCEL (partner: `Anchor::cancels`).
        if !planted(Plant::CancelFence) {
            fence(Ordering::SeqCst);
        }
        let (mut late, mut unwanted) = (Vec::new(), Vec::new());
        for change in record {
            let Recorded::Subscribe(newcomer) = change else { continue };
            if !changed || skipped.contains(&newcomer.id) {
                unwanted.push(newcomer);
                continue;
            }
            let target = Target { id: newcomer.id.get(), priority: newcomer.priority };
            if newcomer.is_cancelled() {
                late.push(Recorded::Step(Step::Cancel(target)));
            }
            // The cell's since the change was made (2).
            let _ = ManuallyDrop::new(newcomer.subscriber);
        }
        drop(pin);
        drop(unwanted); // with nothing held: these are destructors
        if !late.is_empty() {
            self.apply(late);
        }
        changed
    }
}

/// Whether a subscriber has ended by itself since the last sweep.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    ended: Arc<AtomicBool>,
}

impl Ended {
    /// Ends a subscriber, and notes that there is something to sweep. True for the one call that ended it.
    pub fn end(&self, life: &Life) -> bool {
        let first = life.end();
        if first {
            self.ended.store(true, Release);
        }
        first
    }
}

/// An entry taken out of a list, with what was kept beside it.
type Out<E, X> = (Entry<E, X>, Mark<Kept<E, X>>);

/// Makes an owner of what a successful write took out (3), or of what the cell's end leaves (4).
fn own<E: ?Sized, X>((entry, mark): Out<E, X>) -> Subscriber<E, X> {
    Subscriber { entry, kept: mark.kept }
}

/// What the changes so far did to a list.
struct Taken<E: ?Sized + 'static, X: 'static> {
    changed: bool,
    out: Vec<Out<E, X>>,
}

impl<E: ?Sized, X> Default for Taken<E, X> {
    fn default() -> Self {
        Self { changed: false, out: Vec::new() }
    }
}

impl<E: ?Sized, X> Subscribers<E, X> {
    fn make(
        &mut self,
        change: &Recorded<E, X>,
        taken: &mut Taken<E, X>,
        skipped: &mut BTreeSet<SubscriberId>,
    ) {
        let step = match change {
            Recorded::Subscribe(newcomer) if newcomer.is_cancelled() => {
                skipped.insert(newcomer.id);
                return;
            }
            Recorded::Subscribe(Newcomer { subscriber, id, priority, flags }) => {
                let (priority, flags) = (*priority, *flags);
                let mark = Mark { id: id.get(), priority, flags, kept: subscriber.kept };
                self.list.insert(subscriber.entry, mark);
                taken.changed = true;
                return;
            }
            Recorded::Step(step) => *step,
        };
        match step {
            Step::Clear => {
                for (entry, mark) in self.list.iter() {
                    taken.out.push((*entry, *mark));
                }
                self.list.clear();
            }
            Step::Cancel(target) => {
                if let Some(at) = self.position(target) {
                    taken.out.push(self.list.remove(at));
                }
            }
            Step::Pause(target) => taken.changed |= self.set_paused(target, true),
            Step::Resume(target) => taken.changed |= self.set_paused(target, false),
            Step::SetPriority(target, priority) => {
                if let Some(at) = self.position(target) {
                    self.list.set_priority(at, priority);
                    taken.changed = true;
                }
            }
            Step::MoveBefore(target, other) | Step::MoveAfter(target, other) => {
                if let (Some(at), Some(beside)) = (self.position(target), self.position(other)) {
                    match step {
                        Step::MoveBefore(..) => self.list.move_before(at, beside),
                        _ => self.list.move_after(at, beside),
                    }
                    taken.changed = true;
                }
            }
        }
    }

    fn set_paused(&mut self, target: Target, paused: bool) -> bool {
        let Some(at) = self.position(target) else { return false };
        let changes = (self.list.get(at).1.flags & PAUSED != 0) != paused;
        if changes {
            self.list.replace(at, |entry, mark| {
                if paused {
                    entry.pause();
                } else {
                    entry.resume(&mark.kept);
                }
                mark.flags ^= PAUSED;
            });
        }
        changes
    }

    /// Takes out what has ended by itself.
    fn sweep(&mut self, taken: &mut Taken<E, X>) {
        self.list.retain(|entry, mark| {
            let over = Member { entry, mark }.is_over();
            if over {
                taken.out.push((*entry, *mark));
            }
            !over
        });
    }
}

impl<E: ?Sized, X> Default for Subscribers<E, X> {
    fn default() -> Self {
        Self { list: List::new() }
    }
}

impl<E: ?Sized, X> Snapshot for Subscribers<E, X> {
    type Context = Ended;
    type Part = Subscriber<E, X>;

    fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn parts(&self, _: &Ending<Self>) -> Vec<Self::Part> {
        self.list.iter().map(|(entry, mark)| own((*entry, *mark))).collect()
    }
}

impl<E: ?Sized, X> fmt::Debug for Subscribers<E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<E: ?Sized, X> fmt::Debug for Newcomer<E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, priority, .. } = self;
        f.debug_struct("Newcomer").field("id", id).field("priority", priority).finish_non_exhaustive()
    }
}

impl<E: ?Sized, X> fmt::Debug for Run<'_, E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("len", &self.0.len()).finish()
    }
}

impl<E: ?Sized, X> fmt::Debug for Callee<'_, E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callee").finish_non_exhaustive()
    }
}

impl<E: ?Sized, X> fmt::Debug for Member<'_, E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name())
    }
}
