//! Operations on handles, on sets of them, and on the places of targets and dispatchers.

use super::*;

impl World {
    /// The handles that an operation is about.
    pub(super) fn handles_of(&self, op: &Op) -> ([Option<Arc<Handle>>; 2], [Option<u64>; 2]) {
        let found = match op {
            Op::Cancel { sub }
            | Op::Pause { sub }
            | Op::Resume { sub }
            | Op::DropHandle { sub }
            | Op::Detach { sub }
            | Op::CancelAndWait { sub }
            | Op::Look { sub }
            | Op::SetAdd { sub, .. } => [self.handle(*sub), None],
            _ => [None, None],
        };
        let about = [0, 1].map(|index| found[index].as_ref().map(|handle: &Arc<Handle>| handle.sub));
        (found, about)
    }

    pub(super) fn handle(&self, sub: u8) -> Option<Arc<Handle>> {
        self.with(|state| {
            let count = state.handles.len();
            (count > 0).then(|| state.handles[usize::from(sub) % count].clone())
        })
    }

    /// Takes a handle out of its place; the caller lets go of it.
    pub(super) fn take(&self, handle: &Arc<Handle>) -> Option<Arc<Handle>> {
        self.with(|state| {
            let index = state.handles.iter().position(|other| Arc::ptr_eq(other, handle))?;
            Some(state.handles.remove(index))
        })
    }

    /// Takes a handle for oneself alone; none if another operation is using it.
    pub(super) fn take_alone(&self, handle: Arc<Handle>) -> Option<Handle> {
        self.with(|state| {
            let index = state.handles.iter().position(|other| Arc::ptr_eq(other, &handle))?;
            if Arc::strong_count(&handle) > 2 {
                return None;
            }
            drop(handle);
            let handle = state.handles.remove(index);
            Some(Arc::into_inner(handle).expect("counted just now"))
        })
    }

    /// Keeps a new handle, and which number its id belongs to.
    pub(super) fn keep(&self, sub: u64, subscription: Subscription) -> Outcome {
        self.with(|state| {
            state.numbers.insert(subscription.id().get(), sub);
            state.handles.push(Arc::new(Handle { sub, subscription }));
        });
        Outcome::Subscribed(sub)
    }

    pub(super) fn about_a_handle(&self, op: &Op, handle: Option<Arc<Handle>>) -> Option<Outcome> {
        let handle = handle?;
        let subscription = &handle.subscription;
        Some(match op {
            Op::Cancel { .. } => Outcome::Bool(subscription.cancel()),
            Op::Pause { .. } => Outcome::Bool(subscription.pause()),
            Op::Resume { .. } => Outcome::Bool(subscription.resume()),
            Op::CancelAndWait { .. } => Outcome::Waited(wait(subscription.cancel_and_wait(Duration::ZERO))),
            Op::Look { .. } => Outcome::Looked {
                sub: subscription.id().get(),
                active: subscription.is_active(),
                paused: subscription.is_paused(),
            },
            Op::DropHandle { .. } => {
                drop(self.take(&handle));
                drop(handle);
                Outcome::Done
            }
            Op::Detach { .. } => {
                let handle = self.take_alone(handle)?;
                let id = handle.subscription.id();
                assert_eq!(handle.subscription.detach(), id);
                Outcome::Done
            }
            Op::SetAdd { set, .. } => {
                let set = usize::from(*set) % SETS;
                let place = |state: &mut State| std::mem::replace(&mut state.sets[set], Set::Busy);
                let mut subscriptions = match self.with(place) {
                    Set::Busy => return None,
                    Set::None => SubscriptionSet::new(),
                    Set::Here(subscriptions) => subscriptions,
                };
                let taken = self.take_alone(handle);
                let added = taken.is_some();
                subscriptions.extend(taken.map(|handle| handle.subscription));
                let left = subscriptions.len();
                self.with(|state| state.sets[set] = Set::Here(subscriptions));
                if !added {
                    return None;
                }
                Outcome::Set { left, waited: None }
            }
            _ => return None,
        })
    }

    pub(super) fn about_a_set(&self, op: &Op) -> Option<Outcome> {
        let (Op::SetCancel { set }
        | Op::SetWait { set }
        | Op::SetPause { set }
        | Op::SetResume { set }
        | Op::SetDetach { set }
        | Op::SetDrop { set }) = op
        else {
            return None;
        };
        let set = usize::from(*set) % SETS;
        let take = |state: &mut State| match &state.sets[set] {
            Set::Here(_) => Some(std::mem::replace(&mut state.sets[set], Set::Busy)),
            _ => None,
        };
        let Some(Set::Here(mut subscriptions)) = self.with(take) else { return None };
        let mut waited = None;
        match op {
            Op::SetCancel { .. } => subscriptions.cancel(),
            Op::SetWait { .. } => waited = Some(wait(subscriptions.cancel_and_wait(Duration::ZERO))),
            Op::SetPause { .. } => subscriptions.pause(),
            Op::SetResume { .. } => subscriptions.resume(),
            Op::SetDetach { .. } => std::mem::take(&mut subscriptions).detach(),
            _ => drop(std::mem::take(&mut subscriptions)),
        }
        let left = subscriptions.len();
        self.with(|state| state.sets[set] = Set::Here(subscriptions));
        Some(Outcome::Set { left, waited })
    }

    pub(super) fn about_places(self: &Arc<Self>, op: &Op) -> Option<Outcome> {
        match op {
            Op::MakeTarget { target, on_drop } => {
                let target = usize::from(*target) % TARGETS;
                let new = self.target(*on_drop);
                drop(self.with(|state| state.targets[target].replace(new)));
            }
            Op::DropTarget { target } => {
                drop(self.with(|state| state.targets[usize::from(*target) % TARGETS].take())?);
            }
            Op::DropDispatcher { at } => {
                drop(self.with(|state| state.posts[usize::from(*at) % DISPATCHERS].take())?);
            }
            Op::NewDispatcher { at, limit } => {
                let place = usize::from(*at) % DISPATCHERS;
                let new = Arc::new(post(place, *limit));
                drop(self.with(|state| state.posts[place].replace(new)));
            }
            Op::DropHandles => loop {
                let first = |state: &mut State| {
                    let any = !state.handles.is_empty();
                    any.then(|| state.handles.remove(0))
                };
                match self.with(first) {
                    Some(handle) => drop(handle),
                    None => break,
                }
            },
            _ => return None,
        }
        Some(Outcome::Done)
    }
}
