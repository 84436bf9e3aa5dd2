//! How a publish on a bus goes: the plain subscribers up to the divider, the handlers of the event's own type and of its
//! families, the other plain subscribers; all of one snapshot.
//!
//! Owns which lists of the snapshot an event has to do with, and how a stop in one of them is told as a stop of the whole.
//! Not here: how one list is walked (`walk.rs`).

use crate::error::Stopped;
use crate::event::{AnyEvent, Event, Family, FamilyVisitor, sealed};
use crate::stop::{BusStop, EventStop};
use crate::walk;
use signalpost_core::{ChannelKey, Channels, SharedCell, Subscribers, Tuned};
use std::any::{TypeId, type_name};
use std::fmt;
use std::marker::PhantomData;
use std::slice;
use std::sync::Arc;

/// The channel of the subscribers to every event. Its divider is where the handlers run.
pub(crate) const PLAIN: u32 = 0;

/// What is known as one of many types.
pub(crate) type Any = dyn AnyEvent;

/// The key of the plain subscribers' channel.
#[derive(Debug)]
enum Everything {}

/// The key of an event type's own channel; not the type itself, which may be a family's marker at the same time.
pub(crate) fn topic_key<E: Event>() -> TypeId {
    TypeId::of::<fn(*mut E)>()
}

/// The key of a family's channel.
pub(crate) fn family_key<F: Family>() -> TypeId {
    TypeId::of::<fn() -> *mut F>()
}

/// What a snapshot has for one event type: its own list and the numbers of its families', where the type was prepared.
pub(crate) struct View<'c, E: Event> {
    channels: &'c Channels,
    own: Option<&'c Subscribers<E, E::Stop>>,
    links: &'c [u32],
}

impl<E: Event> Clone for View<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<E: Event> Copy for View<'_, E> {}

impl<'c, E: Event> View<'c, E> {
    /// Looks for the type.
    #[inline(always)]
    pub(crate) fn of(channels: &'c Channels) -> Self {
        match channels.number(topic_key::<E>()).and_then(|number| channels.tuned(number)) {
            Some(tuned) => Self::tuned(tuned),
            None => Self { channels, own: None, links: &[] },
        }
    }

    #[inline(always)]
    pub(crate) fn tuned(Tuned { channels, own, links }: Tuned<'c, E, E::Stop>) -> Self {
        Self { channels, own: Some(own), links }
    }

    /// Runs everyone who is to hear the event, until one stops it, and says whether none did; who did is put into `stopped`.
    #[inline(always)]
    pub(crate) fn until_stopped(self, event: &E, stopped: &mut Option<Stopped<E::Stop>>) -> bool {
        if self.channels.has_common() {
            self.with_plain(event, stopped)
        } else {
            self.handlers(event, stopped)
        }
    }

    #[inline(never)]
    fn with_plain(self, event: &E, stopped: &mut Option<Stopped<E::Stop>>) -> bool {
        let Some(plain) = self.channels.get::<Any, BusStop>(PLAIN) else { return true };
        let before = plain.before_divider();
        let told = |by| *stopped = Some(self.whole(Part::Before, by, E::Stop::from_bus));
        if !run_part(plain, 0, before, event, told) || !self.handlers(event, stopped) {
            return false;
        }
        let told = |by| *stopped = Some(self.whole(Part::After, by, E::Stop::from_bus));
        run_part(plain, before, plain.len(), event, told)
    }

    #[inline(always)]
    fn handlers(self, event: &E, stopped: &mut Option<Stopped<E::Stop>>) -> bool {
        if let Some(own) = self.own {
            let told = |by| *stopped = Some(self.whole(Part::Handlers(0), by, |error, _| error));
            if !walk::until_stopped(own, event, told) {
                return false;
            }
        }
        let mut walk = Walk { families: self.families(), view: self, event, stopped, goes_on: true };
        E::families(OnTheWay(&mut walk));
        walk.goes_on
    }

    #[inline(always)]
    fn families(self) -> Families<'c> {
        Families { channels: self.channels, links: self.links.iter(), visited: 0 }
    }
}

/// Runs the plain subscribers from one place to another.
fn run_part(
    plain: &Subscribers<Any, BusStop>,
    from: usize,
    to: usize,
    event: &Any,
    mut told: impl FnMut(Stopped<BusStop>),
) -> bool {
    let mut at = 0;
    for run in plain.runs() {
        let (begin, end) = (at, at + run.len());
        at = end;
        if end <= from || begin >= to {
            continue;
        }
        let run = run.split_at(to.min(end) - begin).0;
        let run = run.split_at(from.max(begin) - begin).1;
        if !walk::run_until_stopped(plain, run, event, &mut told) {
            return false;
        }
    }
    true
}

/// The families of an event, in their order: where the type was prepared its channel has their numbers, else they are looked
/// up.
struct Families<'c> {
    channels: &'c Channels,
    links: slice::Iter<'c, u32>,
    visited: usize,
}

impl<'c> Families<'c> {
    /// The handlers of the next one.
    #[inline(always)]
    fn next<F: Family>(&mut self) -> Option<&'c Subscribers<F::View, BusStop>> {
        self.visited += 1;
        let number = match self.links.next() {
            Some(number) => *number,
            None => self.channels.number(family_key::<F>())?,
        };
        self.channels.get::<F::View, BusStop>(number)
    }
}

/// Runs the handlers of the families.
struct Walk<'w, E: Event> {
    families: Families<'w>,
    view: View<'w, E>,
    event: &'w E,
    stopped: &'w mut Option<Stopped<E::Stop>>,
    goes_on: bool,
}

/// One word, so that what goes from family to family stays in a register.
struct OnTheWay<'s, 'w, E: Event>(&'s mut Walk<'w, E>);

impl<E: Event> sealed::Visitor for OnTheWay<'_, '_, E> {}

impl<E: Event> FamilyVisitor<E> for OnTheWay<'_, '_, E> {
    #[inline(always)]
    fn visit<F: Family>(self, view: impl Fn(&E) -> &F::View) -> Self {
        let Walk { families, view: all, event, stopped, goes_on } = &mut *self.0;
        if *goes_on
            && let Some(handlers) = families.next::<F>()
            && !handlers.is_empty()
        {
            let part = Part::Handlers(families.visited);
            let told = |by| **stopped = Some(all.whole(part, by, E::Stop::from_bus));
            *goes_on = walk::until_stopped(handlers, view(event), told);
        }
        self
    }
}

/// Where in its way an event was stopped.
#[derive(Clone, Copy)]
enum Part {
    /// By a plain subscriber before the divider; its place is that in the plain list.
    Before,
    /// By a handler: of the event's own type (0), of its first family (1), and so on.
    Handlers(usize),
    /// By a plain subscriber behind the divider; its place is that in the plain list.
    After,
}

impl<E: Event> View<'_, E> {
    /// Tells a stop in one list as a stop of the whole.
    #[cold]
    #[inline(never)]
    fn whole<X>(
        self,
        part: Part,
        stopped: Stopped<X>,
        error_of: impl FnOnce(X, &dyn fmt::Display) -> E::Stop,
    ) -> Stopped<E::Stop> {
        let Stopped { error, subscriber, position, not_run } = stopped;
        let (before, after) = plain_sizes(self.channels);
        let handlers = self.handlers_before(usize::MAX);
        let (position, not_run) = match part {
            Part::Before => (position, before.saturating_sub(position + 1) + handlers + after),
            Part::Handlers(list) => {
                let (own, earlier) = (position + 1 + not_run, self.handlers_before(list));
                // Saturating: an event whose `families` answers differently each time shall not bring this down.
                (before + earlier + position, not_run + handlers.saturating_sub(earlier + own) + after)
            }
            Part::After => (position - 1 + handlers, not_run), // the divider is one in the list, and none here
        };
        Stopped { error: error_of(error, &subscriber), subscriber, position, not_run }
    }

    /// How many handlers there are in the lists before this one.
    fn handlers_before(self, list: usize) -> usize {
        let own = self.own.map_or(0, Subscribers::len);
        let sum = if list > 0 { own } else { 0 };
        E::families(Count { families: self.families(), lists: list, sum }).sum
    }

    /// How many subscribers hear the event.
    pub(crate) fn audience(self) -> usize {
        let (before, after) = plain_sizes(self.channels);
        before + after + self.handlers_before(usize::MAX)
    }
}

/// How many plain subscribers there are before the divider, and behind it.
fn plain_sizes(channels: &Channels) -> (usize, usize) {
    let Some(plain) = channels.get::<Any, BusStop>(PLAIN) else { return (0, 0) };
    let before = plain.before_divider();
    (before, plain.len() - before - usize::from(plain.has_divider()))
}

struct Count<'c> {
    families: Families<'c>,
    lists: usize,
    sum: usize,
}

impl sealed::Visitor for Count<'_> {}

impl<E: Event> FamilyVisitor<E> for Count<'_> {
    fn visit<F: Family>(mut self, _: impl Fn(&E) -> &F::View) -> Self {
        let len = self.families.next::<F>().map_or(0, Subscribers::len);
        if self.families.visited < self.lists {
            self.sum += len;
        }
        self
    }
}

/// The plain subscribers' channel: the first to be added to a bus.
pub(crate) fn prepare_plain(cell: Arc<SharedCell<Channels>>) -> ChannelKey<Any, BusStop> {
    ChannelKey::new(cell, TypeId::of::<Everything>(), "every event", &[])
}

/// Adds an event type and its families to a bus. Where they are there, it costs a look for each.
///
/// # Panics
/// If the type names a family twice, or itself.
pub(crate) fn prepare<E: Event>(cell: Arc<SharedCell<Channels>>) -> ChannelKey<E, E::Stop> {
    let families =
        Prepare { cell: &cell, keys: Vec::new(), links: Vec::new(), event: PhantomData::<fn(*mut E)> };
    let links = E::families(families).links;
    ChannelKey::new(cell, topic_key::<E>(), E::NAME, &links)
}

struct Prepare<'c, E: Event> {
    cell: &'c Arc<SharedCell<Channels>>,
    keys: Vec<TypeId>,
    links: Vec<u32>,
    event: PhantomData<fn(*mut E)>,
}

impl<E: Event> sealed::Visitor for Prepare<'_, E> {}

impl<E: Event> FamilyVisitor<E> for Prepare<'_, E> {
    fn visit<F: Family>(mut self, _: impl Fn(&E) -> &F::View) -> Self {
        let (event, family) = (type_name::<E>(), type_name::<F>());
        assert!(
            TypeId::of::<E>() != TypeId::of::<F>(),
            "event type {event} declares itself as a family of its own; a family is another type, made by `family!`"
        );
        let key = family_key::<F>();
        assert!(!self.keys.contains(&key), "event type {event} declares the family {family} twice");
        self.keys.push(key);
        self.links.push(prepare_family::<F>(self.cell.clone()).number());
        self
    }
}

/// Adds a family to a bus.
pub(crate) fn prepare_family<F: Family>(cell: Arc<SharedCell<Channels>>) -> ChannelKey<F::View, BusStop> {
    ChannelKey::new(cell, family_key::<F>(), F::NAME, &[])
}
