//! Many changes, one swap.

use crate::dispatcher::Dispatcher;
use crate::options::SubscribeOptions;
use crate::outcome::Outcome;
use crate::register::{Listing, New, list_of};
use crate::registry::{Listed, Registry};
use crate::subscription::Subscription;
use signalpost_core::{Change, SharedCell, Step, Subscribers};
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::{Arc, Weak};

/// What has been recorded, and of which cell.
pub(crate) struct Record {
    registry: Weak<dyn Registry>,
    pub(crate) changes: Vec<Change>,
}

impl Record {
    pub(crate) fn new<T: Listed>(cell: &Arc<SharedCell<T>>) -> Self {
        Self { registry: Arc::<SharedCell<T>>::downgrade(cell), changes: Vec::new() }
    }

    pub(crate) fn subscribe(&mut self, new: New) -> Subscription {
        self.changes.push(new.subscribe);
        Subscription::new(self.registry.clone(), new.anchor)
    }

    pub(crate) fn step(&mut self, about: &[&Subscription], step: Step) -> bool {
        let ours = about.iter().all(|subscription| subscription.belongs_to(&self.registry));
        let one_list = about.windows(2).all(|pair| pair[0].target().channel() == pair[1].target().channel());
        if ours && one_list {
            self.changes.push(Change::Step(step));
        }
        ours && one_list
    }

    pub(crate) fn clear(&mut self) {
        self.changes.push(Change::Step(Step::Clear));
    }
}

/// The changes of an edit that are about subscriptions, whatever they are to.
macro_rules! edit_steps {
    () => {
        /// Cancels a subscription.
        pub fn cancel(&mut self, subscription: &Subscription) -> bool {
            self.record.step(&[subscription], Step::Cancel(subscription.target()))
        }

        /// Pauses a subscription.
        pub fn pause(&mut self, subscription: &Subscription) -> bool {
            self.record.step(&[subscription], Step::Pause(subscription.target()))
        }

        /// Resumes a subscription.
        pub fn resume(&mut self, subscription: &Subscription) -> bool {
            self.record.step(&[subscription], Step::Resume(subscription.target()))
        }

        /// Gives a subscription another priority, and the last place among those of that priority.
        pub fn set_priority(&mut self, subscription: &Subscription, priority: i32) -> bool {
            self.record.step(&[subscription], Step::SetPriority(subscription.target(), priority))
        }

        /// Moves a subscription to the place right before the other one, whose priority it takes.
        pub fn move_before(&mut self, subscription: &Subscription, other: &Subscription) -> bool {
            let step = Step::MoveBefore(subscription.target(), other.target());
            self.record.step(&[subscription, other], step)
        }

        /// Moves a subscription to the place right after the other one, whose priority it takes.
        pub fn move_after(&mut self, subscription: &Subscription, other: &Subscription) -> bool {
            let step = Step::MoveAfter(subscription.target(), other.target());
            self.record.step(&[subscription, other], step)
        }

        /// Cancels every subscription, those recorded before this call included.
        pub fn clear(&mut self) {
            self.record.clear();
        }
    };
}
pub(crate) use edit_steps;

/// Changes that publishers see all at once, or not at all. Given to the closure of [`edit`](crate::Dispatcher::edit).
///
/// Changes are recorded here and made when that closure returns, in the order in which they were recorded. Each of
/// those about a subscription says whether it is one of this dispatcher's; where it is not, nothing is recorded. One that
/// has ended meanwhile is left alone.
pub struct Edit<'d, E: ?Sized + 'static, X: 'static> {
    list: Listing,
    record: Record,
    dispatcher: PhantomData<&'d Dispatcher<E, X>>,
}

impl<E: ?Sized + 'static, X: 'static> Edit<'_, E, X> {
    pub(crate) fn new(cell: &Arc<SharedCell<Subscribers<E, X>>>) -> Self {
        Self { list: list_of(cell), record: Record::new(cell), dispatcher: PhantomData }
    }

    pub(crate) fn into_record(self) -> Vec<Change> {
        self.record.changes
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
        self.record.subscribe(New::closure::<E, X, _, _>(self.list.clone(), options, Location::caller(), f))
    }

    edit_steps!();
}

impl<E: ?Sized + 'static, X: 'static> fmt::Debug for Edit<'_, E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edit").field("recorded", &self.record.changes.len()).finish_non_exhaustive()
    }
}
