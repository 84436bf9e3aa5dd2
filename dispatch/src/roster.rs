//! What one snapshot of a dispatcher holds, and how a record of changes makes the next one.
//!
//! Owns the step from list to list. A change is recorded first and applied to a copy of the newest list, again
//! if another writer was faster: nothing of the user's runs here.

use signalpost_core::sync::plain::AtomicUsize;
use signalpost_core::{Anchor, Change, Entry, List, Mark, SharedCell, Snapshot, WaitError};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// In [`Mark::flags`]: the entry's call pointer is the one that does nothing.
pub(crate) const PAUSED: u32 = 1;
/// In [`Mark::flags`]: the subscriber may end by itself, and says through [`walk::say`](crate::walk::say) whether it ran.
pub(crate) const SELF_ENDING: u32 = 2;

/// The subscribers that one publish sees, in order.
#[derive(Debug)]
pub(crate) struct Roster<E: ?Sized, X> {
    pub(crate) list: List<Entry<E, X>>,
}

impl<E: ?Sized, X> Default for Roster<E, X> {
    fn default() -> Self {
        Self { list: List::new() }
    }
}

impl<E: ?Sized + 'static, X: 'static> Snapshot for Roster<E, X> {
    /// How many subscribers have ended by themselves and are still in the list.
    type Context = Arc<AtomicUsize>;

    fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// A change to a subscriber that is there, or was.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Cancel(Target),
    Pause(Target),
    Resume(Target),
    SetPriority(Target, i32),
    MoveBefore(Target, Target),
    MoveAfter(Target, Target),
    Clear,
}

/// Whom a step is about: the id, and the priority that it was registered with, near which it is looked for first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) id: u64,
    pub(crate) priority: i32,
}

impl Target {
    pub(crate) fn of(anchor: &dyn Anchor) -> Self {
        Self { id: anchor.name().id.get(), priority: anchor.priority() }
    }
}

/// A recorded change.
#[derive(Debug)]
pub(crate) enum Recorded<E: ?Sized, X> {
    Subscribe(Entry<E, X>, Mark),
    Step(Step),
}

/// Applies a record as one swap, and says whether anything changed. Sweeps what has ended by itself.
/// The caller collects.
pub(crate) fn apply<E: ?Sized + 'static, X: 'static>(
    cell: &SharedCell<Roster<E, X>>,
    record: &[Recorded<E, X>],
) -> bool {
    let ended = cell.context();
    let mut swept = 0;
    let changed = cell.update(|old| {
        let mut list = old.list.clone();
        let mut made = Made::default();
        for change in record {
            match change {
                Recorded::Subscribe(entry, mark) => {
                    list.insert(entry.clone(), *mark);
                    made.changed = true;
                }
                Recorded::Step(step) => take(&mut list, *step, &mut made),
            }
        }
        swept = made.ended;
        if ended.load(Relaxed) != swept {
            let dropped = list.retain(|entry, _| !entry.is_over());
            swept += dropped;
            made.removed |= dropped > 0;
        }
        match made {
            Made { removed: true, .. } => Change::Remove(Roster { list }),
            Made { changed: true, .. } => Change::Add(Roster { list }),
            _ => Change::Keep,
        }
    });
    if changed {
        ended.fetch_sub(swept, Relaxed);
    }
    changed
}

/// What the steps so far did to the list.
#[derive(Debug, Default)]
struct Made {
    changed: bool,
    removed: bool,
    /// Removed by name, though they had ended by themselves.
    ended: usize,
}

fn take<E: ?Sized, X>(list: &mut List<Entry<E, X>>, step: Step, made: &mut Made) {
    let find = |list: &List<_>, target: Target| list.find(target.id, target.priority);
    match step {
        Step::Cancel(target) => {
            let Some(at) = find(list, target) else { return };
            let (entry, _) = list.remove(at);
            made.removed = true;
            made.ended += usize::from(entry.is_over());
        }
        Step::Pause(target) => {
            let Some(at) = find(list, target) else { return };
            if list.get(at).1.flags & PAUSED == 0 {
                list.replace(at, |entry, mark| {
                    entry.pause();
                    mark.flags |= PAUSED;
                });
                made.changed = true;
            }
        }
        Step::Resume(target) => {
            let Some(at) = find(list, target) else { return };
            if list.get(at).1.flags & PAUSED != 0 {
                list.replace(at, |entry, mark| {
                    entry.resume();
                    mark.flags &= !PAUSED;
                });
                made.changed = true;
            }
        }
        Step::SetPriority(target, priority) => {
            let Some(at) = find(list, target) else { return };
            list.set_priority(at, priority);
            made.changed = true;
        }
        Step::MoveBefore(target, other) | Step::MoveAfter(target, other) => {
            let (Some(at), Some(beside)) = (find(list, target), find(list, other)) else { return };
            match step {
                Step::MoveBefore(..) => list.move_before(at, beside),
                _ => list.move_after(at, beside),
            }
            made.changed = true;
        }
        Step::Clear => {
            if !list.is_empty() {
                made.ended += list.iter().filter(|(entry, _)| entry.is_over()).count();
                list.clear();
                made.removed = true;
            }
        }
    }
}

/// What a handle needs of its dispatcher, whatever the event type is.
pub(crate) trait Registry: Send + Sync {
    /// Applies steps as one swap.
    fn take_steps(&self, steps: &[Step]) -> bool;
    /// Whether the subscriber is in the newest list, and if so whether it is paused.
    fn find(&self, target: Target) -> Option<bool>;
    fn collect(&self);
    fn may_wait(&self) -> Result<(), WaitError>;
    fn try_barrier(&self) -> Result<(), WaitError>;
    fn retired(&self) -> usize;
}

impl<E: ?Sized + 'static, X: 'static> Registry for SharedCell<Roster<E, X>> {
    fn take_steps(&self, steps: &[Step]) -> bool {
        let record: Vec<_> = steps.iter().copied().map(Recorded::Step).collect();
        apply(self, &record)
    }

    fn find(&self, target: Target) -> Option<bool> {
        self.read(|roster| {
            let at = roster.list.find(target.id, target.priority)?;
            let (entry, mark) = roster.list.get(at);
            (!entry.is_over()).then_some(mark.flags & PAUSED != 0)
        })?
    }

    fn collect(&self) {
        self.collect();
    }

    fn may_wait(&self) -> Result<(), WaitError> {
        self.may_wait()
    }

    fn try_barrier(&self) -> Result<(), WaitError> {
        self.try_barrier()
    }

    fn retired(&self) -> usize {
        self.retired()
    }
}
