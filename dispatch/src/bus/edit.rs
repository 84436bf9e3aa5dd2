//! Many changes of a bus, one swap.

use super::topic::divider;
use super::walk::{self, Any, PLAIN};
use crate::edit::{Record, edit_steps};
use crate::event::{Event, Family};
use crate::options::SubscribeOptions;
use crate::outcome::Outcome;
use crate::register::{Listing, New};
use crate::stop::BusStop;
use crate::subscription::Subscription;
use signalpost_core::{Change, Channels, SharedCell, Step};
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
        self.list(PLAIN)
    }

    /// What is to be registered for one type.
    ///
    /// # Panics
    /// As [`Bus::topic`](crate::Bus::topic).
    pub fn topic<E: Event>(&mut self) -> ListEdit<'_, E, E::Stop> {
        let number = walk::prepare::<E>(&self.cell);
        self.list(number)
    }

    /// What is to be registered for one family.
    pub fn family<F: Family>(&mut self) -> ListEdit<'_, F::View, BusStop> {
        let number = walk::prepare_family::<F>(&self.cell);
        self.list(number)
    }

    fn list<V: ?Sized, X>(&mut self, number: u32) -> ListEdit<'_, V, X> {
        let list = Listing { channel: number, ended: self.cell.ended(number) };
        ListEdit { cell: &self.cell, list, record: &mut self.record, types: PhantomData }
    }

    edit_steps!();
}

impl fmt::Debug for BusEdit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusEdit").field("recorded", &self.record.changes.len()).finish_non_exhaustive()
    }
}

/// The part of an edit that is about one type, one family, or everything: registers there.
pub struct ListEdit<'e, V: ?Sized, X> {
    cell: &'e SharedCell<Channels>,
    list: Listing,
    record: &'e mut Record,
    types: PhantomData<fn(*mut V, *mut X)>,
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
        self.record.changes.extend(divider(self.cell, self.list.channel));
        self.record.subscribe(New::closure::<V, X, _, _>(self.list.clone(), options, Location::caller(), f))
    }
}

impl<V: ?Sized, X> fmt::Debug for ListEdit<'_, V, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListEdit").finish_non_exhaustive()
    }
}
