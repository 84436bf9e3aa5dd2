//! Many changes, one swap.

use crate::options::SubscribeOptions;
use crate::outcome::Outcome;
use crate::register::New;
use crate::registry::{Registry, list_of};
use crate::subscription::Subscription;
use signalpost_core::{Change, SharedCell, Step, Subscribers};
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::{Arc, Weak};

/// Changes that publishers see all at once, or not at all. Given to the closure of [`edit`](crate::Dispatcher::edit).
///
/// Changes are recorded here and made when that closure returns, in the order in which they were recorded. Each of
/// those about a subscription says whether it is one of this dispatcher's; where it is not, nothing is recorded. One that
/// has ended meanwhile is left alone.
pub struct Edit<'d, E: ?Sized + 'static, X: 'static> {
    cell: Arc<SharedCell<Subscribers<E, X>>>,
    registry: Weak<dyn Registry>,
    record: Vec<Change>,
    dispatcher: PhantomData<&'d ()>,
}

impl<E: ?Sized + 'static, X: 'static> Edit<'_, E, X> {
    pub(crate) fn new(cell: Arc<SharedCell<Subscribers<E, X>>>) -> Self {
        let registry: Weak<dyn Registry> = Arc::<SharedCell<_>>::downgrade(&cell);
        Self { cell, registry, record: Vec::new(), dispatcher: PhantomData }
    }

    pub(crate) fn into_record(self) -> Vec<Change> {
        self.record
    }

    /// Registers a subscriber. See [`Dispatcher::subscribe`](crate::Dispatcher::subscribe).
    #[track_caller]
    pub fn subscribe<F, R>(&mut self, f: F) -> Subscription
    where
        F: Fn(&E) -> R + Send + Sync + 'static,
        R: Outcome<X>,
    {
        self.subscribe_with(SubscribeOptions::new(), f)
    }

    /// Registers a subscriber with options.
    #[track_caller]
    pub fn subscribe_with<F, R>(&mut self, options: SubscribeOptions, f: F) -> Subscription
    where
        F: Fn(&E) -> R + Send + Sync + 'static,
        R: Outcome<X>,
    {
        let New { subscribe, anchor } =
            New::closure::<E, X, _, _>(list_of(&self.cell), options, Location::caller(), f);
        self.record.push(subscribe);
        Subscription::new(self.registry.clone(), anchor)
    }

    /// Cancels a subscription.
    pub fn cancel(&mut self, subscription: &Subscription) -> bool {
        self.step(&[subscription], Step::Cancel(subscription.target()))
    }

    /// Pauses a subscription.
    pub fn pause(&mut self, subscription: &Subscription) -> bool {
        self.step(&[subscription], Step::Pause(subscription.target()))
    }

    /// Resumes a subscription.
    pub fn resume(&mut self, subscription: &Subscription) -> bool {
        self.step(&[subscription], Step::Resume(subscription.target()))
    }

    /// Gives a subscription another priority, and the last place among those of that priority.
    pub fn set_priority(&mut self, subscription: &Subscription, priority: i32) -> bool {
        self.step(&[subscription], Step::SetPriority(subscription.target(), priority))
    }

    /// Moves a subscription to the place right before the other one, whose priority it takes.
    pub fn move_before(&mut self, subscription: &Subscription, other: &Subscription) -> bool {
        let step = Step::MoveBefore(subscription.target(), other.target());
        self.step(&[subscription, other], step)
    }

    /// Moves a subscription to the place right after the other one, whose priority it takes.
    pub fn move_after(&mut self, subscription: &Subscription, other: &Subscription) -> bool {
        let step = Step::MoveAfter(subscription.target(), other.target());
        self.step(&[subscription, other], step)
    }

    /// Cancels every subscription, those recorded before this call included.
    pub fn clear(&mut self) {
        self.record.push(Change::Step(Step::Clear));
    }

    fn step(&mut self, about: &[&Subscription], step: Step) -> bool {
        let ours = about.iter().all(|subscription| subscription.belongs_to(&self.registry));
        if ours {
            self.record.push(Change::Step(step));
        }
        ours
    }
}

impl<E: ?Sized + 'static, X: 'static> fmt::Debug for Edit<'_, E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edit").field("recorded", &self.record.len()).finish_non_exhaustive()
    }
}
