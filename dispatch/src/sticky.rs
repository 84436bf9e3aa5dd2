//! Sticky events: a late subscriber is given the last event first.
//!
//! Owns which event that is, and that none is lost or given twice between it and the first that is published after. Not here:
//! the order while a subscriber catches up (`sticky/gate.rs`), who keeps the list of subscribers (`dispatcher.rs`).
//!
//! A [`Sticky`] is one subscriber of the dispatcher or topic that it remembers for, so that a publish without one costs nothing
//! more. Its own subscribers are those of a dispatcher inside it.
//!
//! # Invariants
//! 1. Events have numbers, in the one order in which they replace each other as the last.
//! 2. A publisher makes its event the last one before it looks for the subscribers in here.
//! 3. A subscriber is in the list before it looks for the last event; and it does not only look, but replaces that by itself.
//!
//! So of a publish and a subscriber, one replaced the last event first. If the subscriber did, the publisher's replacement reads
//! from it or from a later one, and so happens after it: the publisher finds the subscriber in the list. If the publisher
//! did, the subscriber begins with that event or a later one, and whatever else the list brings it of a number not above
//! that, it lets go by. (With a mere load in its place both could miss each other; model
//! `a_late_subscriber_misses_nothing`.)

mod gate;
mod swap;

use crate::bus::Topic;
use crate::dispatcher::{Dispatcher, SubscriberInfo};
use crate::error::BoxError;
use crate::event::Event;
use crate::options::SubscribeOptions;
use crate::outcome::Outcome;
use crate::register::{Listing, New, list_of, register};
use crate::subscription::Subscription;
use gate::Gate;
use signalpost_core::sync::Ordering::Relaxed;
use signalpost_core::sync::{AtomicBool, Plant, local, planted};
use signalpost_core::{SubscriberId, SubscriberName};
use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, OnceLock};
use swap::Swap;

/// The last event of a dispatcher or of a topic, and subscribers that are given it when they come late.
///
/// Made by [`Dispatcher::sticky`] or [`Topic::sticky`], for as long as it is kept. Whoever publishes there goes on as before,
/// and other subscribers notice nothing; those that subscribe *here* are given the last event at once, on their own thread,
/// and then every later one.
///
/// # What is promised
/// - **The last event** is the newest in the one order in which publishes reach this value's place in the list, whatever threads they
///   are on; a publish that has not come so far yet does not count. Of one publisher, events come in its own order.
/// - **None lost, none twice**: a subscriber is given the event that was the last at one moment of its registration, and exactly
///   those that come after it in that order. The events of one publisher it is given in their order. What comes in from
///   publishers while it is being given the first waits for it, and is run on the subscribing thread: so a subscriber is always
///   done with the first event before it sees another.
/// - **Stopped events** are remembered if they came to this place: what is replayed is what those who subscribed in time were given.
///   A subscriber before it (of higher priority) that stops one keeps it from here. So
///   [`sticky_at`](Dispatcher::sticky_at) `i32::MIN` remembers only what nobody else stopped, and `i32::MAX` everything. If a
///   subscriber in here stops an event it is remembered, since those before it were given it; it also stops for the
///   publisher, to whom the error goes unchanged. [`Stopped`](crate::Stopped) names the subscriber, with the place in the list that
///   this value has.
/// - **Cost** of a publish: one clone of the event, one allocation, a compare and swap on a word that all publishers share, and the
///   drop of the event before, on the publishing thread. It is lock-free, no longer wait-free; it never waits: not for one that
///   subscribes, nor for one that catches up (into whose backlog it puts the event, with one allocation more). It counts as two
///   levels of nesting.
/// - Subscribers in here are given the remembered clone, not the publisher's value.
///
/// `publish_or_undo` is two events to it; where one in here stops the first, those before it in here are not told to undo.
///
/// # Examples
/// ```
/// use signalpost::Dispatcher;
/// use std::{convert::Infallible, sync::mpsc};
///
/// let level: Dispatcher<u32, Infallible> = Dispatcher::new();
/// let sticky = level.sticky();
/// level.publish(&3);
/// level.publish(&4);
///
/// let (log, seen) = mpsc::channel();
/// let Ok(_sub) = sticky.subscribe(move |level: &u32| log.send(*level).unwrap()); // late: is given 4 now
/// level.publish(&5);
/// assert_eq!(seen.try_iter().collect::<Vec<_>>(), [4, 5]);
/// assert_eq!(sticky.last(), Some(5));
/// ```
///
/// On a bus, of one type of events:
/// ```
/// use signalpost::{Bus, event};
///
/// #[derive(Clone, Debug, PartialEq)]
/// struct Connected { to: &'static str }
/// event!(Connected: "net.connected");
///
/// let bus = Bus::new();
/// let connected = bus.topic::<Connected>().sticky();
/// bus.publish(&Connected { to: "db" })?;
/// let _sub = connected.subscribe(|event| assert_eq!(event.to, "db"))?;
/// # Ok::<(), signalpost::BoxError>(())
/// ```
#[must_use = "it remembers and serves its subscribers only as long as it is kept"]
pub struct Sticky<E: 'static, X: 'static = BoxError> {
    memory: Arc<Memory<E, X>>,
    place: Subscription,
}

/// An event and its number; or that there is none, and the number of the last that there was.
struct Numbered<E> {
    number: u64,
    event: Option<E>,
}

struct Memory<E: 'static, X: 'static> {
    last: Swap<Numbered<E>>,
    subscribers: Dispatcher<Arc<Numbered<E>>, X>,
    /// Who it is in the list that it remembers for, once that is known.
    id: OnceLock<SubscriberId>,
}

// Who stopped an event in a sticky on this thread, last of all, and which sticky that was. Written by each that returns an error,
// right before: so it is never another one's, whether anybody asked for the one before or not.
local!(static STOPPED_BY: Cell<Option<(SubscriberId, SubscriberName)>> = Cell::new(None));

/// Who is to be named where this subscriber stopped an event just now: one of a sticky's own, if it is a sticky.
#[cold]
pub(crate) fn who(subscriber: SubscriberName) -> SubscriberName {
    match STOPPED_BY.try_with(Cell::get) {
        Ok(Some((sticky, inside))) if sticky == subscriber.id => inside,
        _ => subscriber,
    }
}

impl<E: Clone + Send + Sync + 'static, X: 'static> Memory<E, X> {
    fn new() -> Arc<Self> {
        // The depth that counts is that of the publish around it, which has its own limit.
        let subscribers = Dispatcher::named("sticky").with_max_depth(4096);
        let last = Swap::new(Arc::new(Numbered { number: 0, event: None }));
        Arc::new(Self { last, subscribers, id: OnceLock::new() })
    }

    /// What an event does that comes here.
    fn hear(&self, event: &E) -> Result<(), X> {
        let event = self.remember(event.clone());
        self.subscribers.publish(&event).map_err(|stopped| {
            let by = self.id.get().map(|id| (*id, stopped.subscriber));
            let _ = STOPPED_BY.try_with(|there| there.set(by));
            stopped.error
        })
    }

    /// Makes this the last event, with the next number.
    fn remember(&self, event: E) -> Arc<Numbered<E>> {
        let mut next = Arc::new(Numbered { number: 0, event: Some(event) });
        loop {
            let seen = self.last.load();
            let number = seen.number + 1;
            match Arc::get_mut(&mut next) {
                Some(next) => next.number = number,
                // Not with arc-swap, which keeps nothing that it did not install; its stand-in does.
                None => next = Arc::new(Numbered { number, event: next.event.clone() }),
            }
            if self.last.replace(&seen, next.clone()) {
                return next;
            }
        }
    }

    /// The last event, replaced by itself (invariant 3).
    fn touch(&self) -> Arc<Numbered<E>> {
        loop {
            let seen = self.last.load();
            if planted(Plant::Touch) || self.last.replace(&seen, Arc::clone(&seen)) {
                return Arc::clone(&seen);
            }
        }
    }

    /// Registers a subscriber and lets it catch up; `register` is given what lies between the list and the subscriber, which
    /// is what `run` calls.
    fn subscribe(
        &self,
        options: SubscribeOptions,
        register: impl FnOnce(Filter<E>) -> Subscription,
        run: impl Fn(&E) -> Result<(), X>,
    ) -> Result<Subscription, ReplayError<X>> {
        let run = |numbered: &Numbered<E>| numbered.event.as_ref().and_then(|event| run(event).err());
        if options.paused {
            return Ok(register(Filter::None));
        }
        if options.once {
            // Relaxed: a claim, no more; the event comes to each of the two by its own way.
            let used = Arc::new(AtomicBool::new(false));
            let subscription = register(Filter::Once(used.clone()));
            let last = self.touch();
            if last.event.is_none() || used.swap(true, Relaxed) {
                return Ok(subscription);
            }
            subscription.cancel();
            return ReplayError::of(subscription, run(&last).into_iter().collect());
        }
        let gate = Arc::new(Gate::closed());
        let subscription = register(Filter::Gate(gate.clone()));
        let catching_up = CatchingUp(&gate);
        let first = self.touch();
        let mut errors: Vec<X> = run(&first).into_iter().collect();
        let after = first.number;
        drop(first); // else it would be kept until the subscriber has caught up
        while let Some(left) = gate.take_or_open(after) {
            errors.extend(left.iter().filter(|event| event.number > after).filter_map(|event| run(event)));
        }
        std::mem::forget(catching_up);
        ReplayError::of(subscription, errors)
    }

    /// Puts a subscriber into the list.
    fn register(&self, new: impl FnOnce(Listing) -> New) -> Subscription {
        let cell = self.subscribers.shared();
        register(&cell, Vec::new(), new(list_of(&cell)))
    }
}

/// What lies between the list and a subscriber.
enum Filter<E> {
    None,
    /// Whether it has had its one event.
    Once(Arc<AtomicBool>),
    Gate(Arc<Gate<E>>),
}

impl<E> Filter<E> {
    /// The event, if the publisher is to run the subscriber with it.
    #[inline]
    fn pass<'e>(&self, event: &'e Arc<Numbered<E>>) -> Option<&'e E> {
        let through = match self {
            Self::None => true,
            Self::Once(used) => !used.swap(true, Relaxed),
            Self::Gate(gate) => gate.lets_through(event),
        };
        if through { event.event.as_ref() } else { None }
    }
}

/// Dropped where a subscriber panics before it has caught up.
struct CatchingUp<'g, E>(&'g Gate<E>);

impl<E> Drop for CatchingUp<'_, E> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl<E: Clone + Send + Sync + 'static, X: 'static> Sticky<E, X> {
    fn of(memory: Arc<Memory<E, X>>, place: Subscription) -> Self {
        memory.id.get_or_init(|| place.id());
        Self { memory, place }
    }

    /// Registers a subscriber, and gives it the last event, if there is one: now, on this thread, before this returns. Then
    /// what publishers left meanwhile, until there is nothing left; from then on they run it.
    ///
    /// While it catches up no publisher waits for it. One that takes longer over each event than publishers take
    /// to bring the next never catches up, and its backlog grows: subscribe what does little, or hands over to a queue.
    ///
    /// A publish from inside the replay is seen by the subscriber after it, not nested in it.
    ///
    /// # Errors
    /// [`ReplayError`] where the subscriber returned an error for an event before it had caught up: there is no publisher to be
    /// told, and nobody after it to be kept from running. It is subscribed all the same, and has been given every
    /// event; the subscription is in the error. So `?` cancels it, and [`ReplayError::into_subscription`] keeps it.
    /// With `X = Infallible` it is `let Ok(subscription) = …`.
    ///
    /// # Panics
    /// If the subscriber does before it has caught up: then it is not subscribed, and publishers see nothing of it.
    #[track_caller]
    pub fn subscribe<F, R>(&self, f: F) -> Result<Subscription, ReplayError<X>>
    where
        F: Fn(&E) -> R + Send + Sync + 'static,
        R: Outcome<X>,
    {
        self.subscribe_with(SubscribeOptions::new(), f)
    }

    /// As [`subscribe`](Self::subscribe), with options.
    ///
    /// - Priority orders the subscribers in here among each other.
    /// - `once`: the one event is the last, if there is one; then the subscription that is returned has ended already. Else it is the
    ///   first to come.
    /// - `paused`: is given nothing now, nor when it is resumed, but what is published later. For what it missed, look
    ///   at [`last`](Self::last) after [`resume`](Subscription::resume), or subscribe then instead.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    ///
    /// # Panics
    /// As [`subscribe`](Self::subscribe).
    #[track_caller]
    pub fn subscribe_with<F, R>(
        &self,
        options: SubscribeOptions,
        f: F,
    ) -> Result<Subscription, ReplayError<X>>
    where
        F: Fn(&E) -> R + Send + Sync + 'static,
        R: Outcome<X>,
    {
        let f = Arc::new(f);
        let theirs = f.clone();
        let location = Location::caller();
        let register = move |filter: Filter<E>| {
            let call = move |event: &Arc<Numbered<E>>| match filter.pass(event) {
                Some(event) => theirs(event).into_result(),
                None => Ok(()),
            };
            self.memory
                .register(|list| New::closure::<Arc<Numbered<E>>, X, _, _>(list, options, location, call))
        };
        self.memory.subscribe(options, register, |event| f(event).into_result())
    }

    /// As [`subscribe`](Self::subscribe), tied to a target as by [`Dispatcher::subscribe_weak`].
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    ///
    /// # Panics
    /// As [`subscribe`](Self::subscribe).
    #[track_caller]
    pub fn subscribe_weak<T, F, R>(&self, target: &Arc<T>, f: F) -> Result<Subscription, ReplayError<X>>
    where
        T: ?Sized + Send + Sync + 'static,
        F: Fn(&T, &E) -> R + Send + Sync + 'static,
        R: Outcome<X>,
    {
        self.subscribe_weak_with(SubscribeOptions::new(), target, f)
    }

    /// As [`subscribe_weak`](Self::subscribe_weak), with options as for [`subscribe_with`](Self::subscribe_with).
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    ///
    /// # Panics
    /// As [`subscribe`](Self::subscribe).
    #[track_caller]
    pub fn subscribe_weak_with<T, F, R>(
        &self,
        options: SubscribeOptions,
        target: &Arc<T>,
        f: F,
    ) -> Result<Subscription, ReplayError<X>>
    where
        T: ?Sized + Send + Sync + 'static,
        F: Fn(&T, &E) -> R + Send + Sync + 'static,
        R: Outcome<X>,
    {
        let f = Arc::new(f);
        let theirs = f.clone();
        let location = Location::caller();
        let register = move |filter: Filter<E>| {
            let call = move |target: &T, event: &Arc<Numbered<E>>| match filter.pass(event) {
                Some(event) => theirs(target, event).into_result(),
                None => Ok(()),
            };
            self.memory.register(|list| {
                let target = Arc::downgrade(target);
                New::weak::<Arc<Numbered<E>>, X, _, _, _>(list, options, location, target, call)
            })
        };
        self.memory.subscribe(options, register, |event| f(target, event).into_result())
    }

    /// A clone of the last event, if there is one. Lock-free; costs the clone.
    pub fn last(&self) -> Option<E> {
        self.memory.last.load().event.clone()
    }

    /// Forgets the last event, and says whether there was one: who subscribes from now on is given none before the next is
    /// published. Lock-free; allocates.
    ///
    /// An event that is under way is remembered if it has not come to this place yet.
    pub fn clear(&self) -> bool {
        loop {
            let seen = self.memory.last.load();
            if seen.event.is_none() {
                return false;
            }
            let none = Arc::new(Numbered { number: seen.number, event: None });
            if self.memory.last.replace(&seen, none) {
                return true;
            }
        }
    }

    /// Who is subscribed in here, in order. The dispatcher's own list shows one subscriber for all of them, named `sticky`.
    pub fn subscribers(&self) -> Vec<SubscriberInfo> {
        self.memory.subscribers.subscribers()
    }
}

impl<E: 'static, X: 'static> fmt::Debug for Sticky<E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.memory.last.load();
        f.debug_struct("Sticky")
            .field("number", &last.number)
            .field("remembers", &last.event.is_some())
            .field("subscribers", &self.memory.subscribers.len())
            .field("place", &self.place)
            .finish()
    }
}

/// A late subscriber returned an error before it had caught up. It is subscribed: dropping this cancels it.
#[derive(Debug)]
pub struct ReplayError<X> {
    /// The first error.
    pub error: X,
    /// Errors for the events after that one, in order: it was given them all the same.
    pub others: Vec<X>,
    /// The registration.
    pub subscription: Subscription,
}

impl<X> ReplayError<X> {
    fn of(subscription: Subscription, errors: Vec<X>) -> Result<Subscription, Self> {
        let mut errors = errors.into_iter();
        match errors.next() {
            None => Ok(subscription),
            Some(error) => Err(Self { error, others: errors.collect(), subscription }),
        }
    }

    /// Keeps the registration, whatever the subscriber thought of its first events.
    pub fn into_subscription(self) -> Subscription {
        self.subscription
    }
}

impl<X: fmt::Display> fmt::Display for ReplayError<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { error, others, subscription } = self;
        write!(f, "subscriber {} failed on an event that it was given late: {error}", subscription.id())?;
        if !others.is_empty() {
            write!(f, " (and on {} more)", others.len())?;
        }
        Ok(())
    }
}

impl<X: fmt::Debug + fmt::Display> Error for ReplayError<X> {}

impl<E: Clone + Send + Sync + 'static, X: 'static> Dispatcher<E, X> {
    /// Remembers the last event from now on, for subscribers that come late: see [`Sticky`]. A subscriber, of priority 0.
    #[track_caller]
    pub fn sticky(&self) -> Sticky<E, X> {
        self.sticky_at(0)
    }

    /// As [`sticky`](Self::sticky), at another place in the list: `i32::MIN` remembers only what nobody else stops.
    #[track_caller]
    pub fn sticky_at(&self, priority: i32) -> Sticky<E, X> {
        let memory = Memory::new();
        let theirs = memory.clone();
        let place = self.subscribe_with(options(priority), move |event: &E| theirs.hear(event));
        Sticky::of(memory, place)
    }
}

impl<E: Event + Clone + Send + Sync> Topic<E> {
    /// Remembers the last event from now on, for subscribers that come late: see [`Sticky`]. A subscriber, of priority 0.
    #[track_caller]
    pub fn sticky(&self) -> Sticky<E, E::Stop> {
        self.sticky_at(0)
    }

    /// As [`sticky`](Self::sticky), at another place among the handlers of this type: `i32::MIN` remembers only what none of them
    /// stops.
    #[track_caller]
    pub fn sticky_at(&self, priority: i32) -> Sticky<E, E::Stop> {
        let memory = Memory::new();
        let theirs = memory.clone();
        let place = self.subscribe_with(options(priority), move |event: &E| theirs.hear(event));
        Sticky::of(memory, place)
    }
}

fn options(priority: i32) -> SubscribeOptions {
    SubscribeOptions::new().priority(priority).named("sticky")
}
