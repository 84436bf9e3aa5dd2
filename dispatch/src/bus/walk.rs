//! How a publish on a bus goes: the plain subscribers up to the divider, the handlers of the event's own type and of its
//! families, the other plain subscribers; all of one snapshot.
//!
//! Owns which lists of the snapshot an event has to do with, and how a stop in one of them is told as a stop of the whole.
//! Not here: how one list is walked (`walk.rs`).

use crate::error::Stopped;
use crate::event::{AnyEvent, Event, Family, FamilyVisitor, sealed};
use crate::stop::{BusStop, EventStop};
use crate::walk;
use signalpost_core::{Channels, SharedCell, Subscribers};
use std::any::{TypeId, type_name};
use std::fmt;
use std::marker::PhantomData;
use std::slice;

/// The channel of the subscribers to every event. Its divider is where the handlers run.
pub(crate) const PLAIN: u32 = 0;

/// What is known as one of many types.
pub(crate) type Any = dyn AnyEvent;

/// The key of the plain subscribers' channel.
#[derive(Debug)]
enum Everything {}

pub(crate) fn plain_key() -> TypeId {
    TypeId::of::<Everything>()
}

/// The key of an event type's own channel; not the type itself, which may be a family's marker at the same time.
pub(crate) fn topic_key<E: Event>() -> TypeId {
    TypeId::of::<fn(*mut E)>()
}

/// The key of a family's channel.
pub(crate) fn family_key<F: Family>() -> TypeId {
    TypeId::of::<fn() -> *mut F>()
}

/// Runs everyone who is to hear an event, until one stops it, and says whether none did; who did is put into `stopped`.
#[inline(always)]
pub(crate) fn until_stopped<E: Event>(
    channels: &Channels,
    topic: Option<u32>,
    event: &E,
    stopped: &mut Option<Stopped<E::Stop>>,
) -> bool {
    if channels.has_common() {
        with_plain(channels, topic, event, stopped)
    } else {
        handlers(channels, topic, event, stopped)
    }
}

#[inline(never)]
fn with_plain<E: Event>(
    channels: &Channels,
    topic: Option<u32>,
    event: &E,
    stopped: &mut Option<Stopped<E::Stop>>,
) -> bool {
    let Some(plain) = channels.get::<Any, BusStop>(PLAIN) else { return true };
    let (before, mut stop) = (plain.before_divider(), None);
    if !part(plain, 0, before, event, &mut stop) {
        *stopped = stop.map(|stop| whole::<E, _>(channels, topic, Part::Before, stop, E::Stop::from_bus));
        return false;
    }
    if !handlers(channels, topic, event, stopped) {
        return false;
    }
    if !part(plain, before, plain.len(), event, &mut stop) {
        *stopped = stop.map(|stop| whole::<E, _>(channels, topic, Part::After, stop, E::Stop::from_bus));
        return false;
    }
    true
}

/// Runs the plain subscribers from one place to another.
fn part(
    plain: &Subscribers<Any, BusStop>,
    from: usize,
    to: usize,
    event: &Any,
    stopped: &mut Option<Stopped<BusStop>>,
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
        if !walk::run_until_stopped(plain, run, event, stopped) {
            return false;
        }
    }
    true
}

#[inline(always)]
fn handlers<E: Event>(
    channels: &Channels,
    topic: Option<u32>,
    event: &E,
    stopped: &mut Option<Stopped<E::Stop>>,
) -> bool {
    if let Some(number) = topic
        && let Some(own) = channels.get::<E, E::Stop>(number)
        && !own.is_empty()
        && !walk::until_stopped(own, event, stopped)
    {
        let stop = stopped.take();
        *stopped = stop.map(|stop| whole::<E, _>(channels, topic, Part::Handlers(0), stop, |error, _| error));
        return false;
    }
    let families = Families { channels, links: links(channels, topic), visited: 0 };
    E::families(Walk { families, topic, event, stopped, goes_on: true }).goes_on
}

#[inline(always)]
fn links(channels: &Channels, topic: Option<u32>) -> slice::Iter<'_, u32> {
    topic.map_or(&[][..], |number| channels.links(number)).iter()
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
    topic: Option<u32>,
    event: &'w E,
    stopped: &'w mut Option<Stopped<E::Stop>>,
    goes_on: bool,
}

impl<E: Event> sealed::Visitor for Walk<'_, E> {}

impl<E: Event> FamilyVisitor<E> for Walk<'_, E> {
    #[inline(always)]
    fn visit<F: Family>(mut self, view: impl Fn(&E) -> &F::View) -> Self {
        if !self.goes_on {
            return self;
        }
        let Some(handlers) = self.families.next::<F>().filter(|handlers| !handlers.is_empty()) else {
            return self;
        };
        let mut stop = None;
        if !walk::until_stopped(handlers, view(self.event), &mut stop) {
            let (channels, part) = (self.families.channels, Part::Handlers(self.families.visited));
            let stop = stop.map(|stop| whole::<E, _>(channels, self.topic, part, stop, E::Stop::from_bus));
            *self.stopped = stop;
            self.goes_on = false;
        }
        self
    }
}

/// Where in its way an event was stopped.
enum Part {
    /// By a plain subscriber before the divider; its place is that in the plain list.
    Before,
    /// By a handler: of the event's own type (0), of its first family (1), and so on.
    Handlers(usize),
    /// By a plain subscriber behind the divider; its place is that in the plain list.
    After,
}

/// Tells a stop in one list as a stop of the whole.
#[cold]
#[inline(never)]
fn whole<E: Event, X>(
    channels: &Channels,
    topic: Option<u32>,
    part: Part,
    stop: Stopped<X>,
    error_of: impl FnOnce(X, &dyn fmt::Display) -> E::Stop,
) -> Stopped<E::Stop> {
    let Stopped { error, subscriber, position, not_run } = stop;
    let (before, after) = plain_sizes(channels);
    let handlers = handlers_before::<E>(channels, topic, usize::MAX);
    let (position, not_run) = match part {
        Part::Before => (position, before - position - 1 + handlers + after),
        Part::Handlers(list) => {
            let own = position + 1 + not_run;
            let earlier = handlers_before::<E>(channels, topic, list);
            (before + earlier + position, not_run + (handlers - earlier - own) + after)
        }
        Part::After => (position - 1 + handlers, not_run), // the divider is one in the list, and none here
    };
    Stopped { error: error_of(error, &subscriber), subscriber, position, not_run }
}

/// How many plain subscribers there are before the divider, and behind it.
fn plain_sizes(channels: &Channels) -> (usize, usize) {
    let Some(plain) = channels.get::<Any, BusStop>(PLAIN) else { return (0, 0) };
    let before = plain.before_divider();
    (before, plain.len() - before - usize::from(plain.has_divider()))
}

/// How many handlers there are in the lists before this one.
fn handlers_before<E: Event>(channels: &Channels, topic: Option<u32>, list: usize) -> usize {
    let own = topic.and_then(|number| channels.get::<E, E::Stop>(number)).map_or(0, Subscribers::len);
    let families = Families { channels, links: links(channels, topic), visited: 0 };
    E::families(Count { families, lists: list, sum: if list > 0 { own } else { 0 } }).sum
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

/// How many subscribers hear an event.
pub(crate) fn audience<E: Event>(channels: &Channels, topic: Option<u32>) -> usize {
    let (before, after) = plain_sizes(channels);
    before + after + handlers_before::<E>(channels, topic, usize::MAX)
}

/// Adds an event type and its families to a bus, and says what number it has there. Where it is there, it costs a look.
///
/// # Panics
/// If the type names a family twice, or itself.
pub(crate) fn prepare<E: Event>(cell: &SharedCell<Channels>) -> u32 {
    let links =
        E::families(Prepare { cell, keys: Vec::new(), links: Vec::new(), event: PhantomData::<fn(*mut E)> })
            .links;
    cell.channel::<E, E::Stop>(topic_key::<E>(), E::NAME, &links)
}

struct Prepare<'c, E: Event> {
    cell: &'c SharedCell<Channels>,
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
        self.links.push(prepare_family::<F>(self.cell));
        self
    }
}

/// Adds a family to a bus, and says what number it has there.
pub(crate) fn prepare_family<F: Family>(cell: &SharedCell<Channels>) -> u32 {
    cell.channel::<F::View, BusStop>(family_key::<F>(), F::NAME, &[])
}
