//! Many changes of a bus, one swap.

use super::topic::{divider, listing};
use super::walk::{self, Any};
use crate::edit::{Record, edit_steps};
use crate::event::{Event, Family};
use crate::options::SubscribeOptions;
use crate::outcome::Outcome;
use crate::register::New;
use crate::stop::BusStop;
use crate::subscription::Subscription;
use signalpost_core::{Change, ChannelKey, Channels, SharedCell, Step};
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

/// Changes that publishers see all at once, or not at all, whatever types they are about. Given to the closure of
/// [`Bus::edit`](crate::Bus::edit).
///
/// Changes are recorded here and made when that closure returns, in the order in which they were recorded. Each of
/// those about a subscription says whether it is one of this bus's, and of two whether they are to the same type, family, or
/// everything; where not, nothing is recorded. One that has ended meanwhile is left alone.
pub struct BusEdit<'b> {
    cell: Arc<SharedCell<Channels>>,
    record: Record,
    bus: PhantomData<&'b ()>,
}

impl BusEdit<'_> {
    pub(super) fn new(cell: Arc<SharedCell<Channels>>) -> Self {
        let record = Record::new(&cell);
        Self { cell, record, bus: PhantomData }
    }

    pub(super) fn into_record(self) -> Vec<Change> {
        self.record.changes
    }

    /// What is to be registered for every event.
    pub fn everything(&mut self) -> ListEdit<'_, Any, BusStop> {
        self.list(walk::prepare_plain(self.cell.clone()))
    }

    /// What is to be registered for one type.
    ///
    /// # Panics
    /// As [`Bus::topic`](crate::Bus::topic).
    pub fn topic<E: Event>(&mut self) -> ListEdit<'_, E, E::Stop> {
        self.list(walk::prepare(self.cell.clone()))
    }

    /// What is to be registered for one family.
    pub fn family<F: Family>(&mut self) -> ListEdit<'_, F::View, BusStop> {
        self.list(walk::prepare_family::<F>(self.cell.clone()))
    }

    fn list<V: ?Sized, X>(&mut self, key: ChannelKey<V, X>) -> ListEdit<'_, V, X> {
        ListEdit { key, record: &mut self.record }
    }

    edit_steps!();
}

impl fmt::Debug for BusEdit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusEdit").field("recorded", &self.record.changes.len()).finish_non_exhaustive()
    }
}

/// The part of an edit that is about one type, one family, or everything: registers there.
pub struct ListEdit<'e, V: ?Sized + 'static, X: 'static> {
    key: ChannelKey<V, X>,
    record: &'e mut Record,
}

impl<V: ?Sized + 'static, X: 'static> ListEdit<'_, V, X> {
    /// Registers a subscriber.
    #[track_caller]
    pub fn subscribe<F, R>(&mut self, f: F) -> Subscription
    where
        F: Fn(&V) -> R + Send + Sync + 'static,
        R: Outcome<X>,
    {
        self.subscribe_with(SubscribeOptions::new(), f)
    }

    /// Registers a subscriber with options.
    #[track_caller]
    pub fn subscribe_with<F, R>(&mut self, options: SubscribeOptions, f: F) -> Subscription
    where
        F: Fn(&V) -> R + Send + Sync + 'static,
        R: Outcome<X>,
    {
        let (cell, number) = (self.key.cell(), self.key.number());
        self.record.changes.extend(divider(cell, number));
        let list = listing(cell, number);
        self.record.subscribe(New::closure::<V, X, _, _>(list, options, Location::caller(), f))
    }
}

impl<V: ?Sized, X> fmt::Debug for ListEdit<'_, V, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListEdit").finish_non_exhaustive()
    }
}
