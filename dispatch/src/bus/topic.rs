//! The handles of one event type, and of one family of them.

use super::walk::{PLAIN, View};
use super::{Any, Rules};
use crate::error::{PublishError, Stopped};
use crate::event::{Event, Family};
use crate::options::SubscribeOptions;
use crate::queue::{Full, FullRing, Receiver, RingReceiver};
use crate::register::{Listing, New, register};
use crate::stop::BusStop;
use crate::subscription::Subscription;
use signalpost_core::{About, Change, ChannelKey, Channels, Newcomer, SharedCell, Tuned};
use std::borrow::Borrow;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// Registers in a list of a bus: with the first handler ever comes the place where handlers run.
pub(super) fn register_in(cell: &Arc<SharedCell<Channels>>, number: u32, new: New) -> Subscription {
    register(cell, divider(cell, number).into_iter().collect(), new)
}

/// The list of a channel, for subscribers to come into.
pub(super) fn listing(cell: &SharedCell<Channels>, number: u32) -> Listing {
    Listing { channel: number, ended: cell.ended(number) }
}

/// What has to come before the first subscriber of a list, if it is not there.
#[track_caller]
pub(super) fn divider(cell: &SharedCell<Channels>, channel: u32) -> Option<Change> {
    if channel == PLAIN || cell.has_divider(PLAIN) {
        return None;
    }
    let location = Location::caller();
    let name = Some("handlers");
    let about = About { channel: PLAIN, priority: 0, name, location, paused: false, self_ending: false };
    Some(Change::Subscribe(Newcomer::divider::<Any, BusStop>(about)))
}

/// What can be registered with a handle whose method `place` says where.
macro_rules! subscribe_methods {
    ($event:ty, $stop:ty, $what:literal) => {
        #[doc = concat!("Registers a subscriber to ", $what, ": every publish that starts after the return runs it, until the")]
        /// handle is dropped. As [`Dispatcher::subscribe`](crate::Dispatcher::subscribe).
        #[track_caller]
        pub fn subscribe<F, R>(&self, f: F) -> $crate::Subscription
        where
            F: Fn(&$event) -> R + Send + Sync + 'static,
            R: $crate::Outcome<$stop>,
        {
            self.subscribe_with($crate::SubscribeOptions::new(), f)
        }

        /// Registers a subscriber with a priority, a name, for one event, or paused. As
        /// [`Dispatcher::subscribe_with`](crate::Dispatcher::subscribe_with).
        #[track_caller]
        pub fn subscribe_with<F, R>(&self, options: $crate::SubscribeOptions, f: F) -> $crate::Subscription
        where
            F: Fn(&$event) -> R + Send + Sync + 'static,
            R: $crate::Outcome<$stop>,
        {
            let ((cell, number), location) = (self.place(), std::panic::Location::caller());
            let list = $crate::bus::topic::listing(&cell, number);
            let new = $crate::register::New::closure::<$event, $stop, _, _>(list, options, location, f);
            $crate::bus::topic::register_in(&cell, number, new)
        }

        /// Registers a subscriber that is tied to a target, without keeping it alive. As
        /// [`Dispatcher::subscribe_weak`](crate::Dispatcher::subscribe_weak).
        #[track_caller]
        pub fn subscribe_weak<T, F, R>(&self, target: &std::sync::Arc<T>, f: F) -> $crate::Subscription
        where
            T: ?Sized + Send + Sync + 'static,
            F: Fn(&T, &$event) -> R + Send + Sync + 'static,
            R: $crate::Outcome<$stop>,
        {
            self.subscribe_weak_with($crate::SubscribeOptions::new(), target, f)
        }

        /// As [`subscribe_weak`](Self::subscribe_weak), with options.
        #[track_caller]
        pub fn subscribe_weak_with<T, F, R>(
            &self,
            options: $crate::SubscribeOptions,
            target: &std::sync::Arc<T>,
            f: F,
        ) -> $crate::Subscription
        where
            T: ?Sized + Send + Sync + 'static,
            F: Fn(&T, &$event) -> R + Send + Sync + 'static,
            R: $crate::Outcome<$stop>,
        {
            let ((cell, number), location) = (self.place(), std::panic::Location::caller());
            let (list, target) = ($crate::bus::topic::listing(&cell, number), std::sync::Arc::downgrade(target));
            let new = $crate::register::New::weak::<$event, $stop, _, _, _>(list, options, location, target, f);
            $crate::bus::topic::register_in(&cell, number, new)
        }

        /// Registers a queue, and a closure that says on the publishing thread what goes into it. As
        /// [`Dispatcher::subscribe_queue_with`](crate::Dispatcher::subscribe_queue_with).
        ///
        /// # Panics
        /// If the capacity is 0. While publishing: if `map` does.
        #[track_caller]
        pub fn subscribe_queue_with<T: Send + 'static>(
            &self,
            options: $crate::SubscribeOptions,
            capacity: usize,
            full: $crate::Full<$stop>,
            map: impl Fn(&$event) -> Option<T> + Send + Sync + 'static,
        ) -> $crate::Receiver<T> {
            let (push, receiver) = $crate::queue::into_queue(options, capacity, full, map);
            receiver(self.subscribe_with(options, push))
        }

        /// Registers a ring for each publishing thread, and a closure that says on the publishing thread what goes into them. As
        /// [`Dispatcher::subscribe_rings_with`](crate::Dispatcher::subscribe_rings_with).
        ///
        /// # Panics
        /// If the capacity is 0. While publishing: if `map` does.
        #[track_caller]
        pub fn subscribe_rings_with<T: Send + 'static>(
            &self,
            options: $crate::SubscribeOptions,
            capacity_per_thread: usize,
            full: $crate::FullRing<$stop>,
            map: impl Fn(&$event) -> Option<T> + Send + Sync + 'static,
        ) -> $crate::RingReceiver<T> {
            let (push, receiver) = $crate::queue::into_rings(options, capacity_per_thread, full, map);
            receiver(self.subscribe_with(options, push))
        }
    };
}
pub(super) use subscribe_methods;

/// One event type on one bus: to subscribe to it, and to publish it where nanoseconds count. Made by
/// [`Bus::topic`](crate::Bus::topic).
///
/// Owned, cheap to clone, `Send + Sync`. It keeps the bus's lists alive, but not its subscribers: once the bus is dropped,
/// publishing reaches those who subscribed by a handle since.
///
/// # Examples
/// ```
/// use signalpost::{Bus, event};
///
/// struct Tick(u64);
/// event!(Tick: "app.tick");
///
/// let bus = Bus::new();
/// let ticks = bus.topic::<Tick>();
/// let _sub = ticks.subscribe(|tick| println!("{}", tick.0));
/// for n in 0..3 {
///     ticks.publish(&Tick(n))?; // what `bus.publish` does, without looking for the type
/// }
/// # Ok::<(), signalpost::Stopped<signalpost::BoxError>>(())
/// ```
pub struct Topic<E: Event> {
    key: ChannelKey<E, E::Stop>,
    rules: Rules,
}

impl<E: Event> Topic<E> {
    pub(super) fn new(key: ChannelKey<E, E::Stop>, rules: Rules) -> Self {
        Self { key, rules }
    }

    fn place(&self) -> (Arc<SharedCell<Channels>>, u32) {
        (self.key.cell().clone(), self.key.number())
    }

    subscribe_methods!(E, E::Stop, "events of this type");

    /// Registers a queue that events are cloned into. As
    /// [`Dispatcher::subscribe_queue`](crate::Dispatcher::subscribe_queue).
    ///
    /// # Panics
    /// If the capacity is 0. While publishing: if `clone` does.
    ///
    /// # Examples
    /// ```
    /// use signalpost::{Bus, Full, event};
    ///
    /// #[derive(Clone)]
    /// struct Tick(u64);
    /// event!(Tick: "app.tick");
    ///
    /// let bus = Bus::new();
    /// let ticks = bus.topic::<Tick>().subscribe_queue(16, Full::DropOldest);
    /// bus.publish(&Tick(1))?;
    /// assert_eq!(ticks.try_recv().unwrap().0, 1);
    /// # Ok::<(), signalpost::Stopped<signalpost::BoxError>>(())
    /// ```
    #[track_caller]
    pub fn subscribe_queue(&self, capacity: usize, full: Full<E::Stop>) -> Receiver<E>
    where
        E: Clone + Send,
    {
        self.subscribe_queue_with(SubscribeOptions::new(), capacity, full, |event: &E| Some(event.clone()))
    }

    /// Registers a ring for each publishing thread, that events are cloned into. As
    /// [`Dispatcher::subscribe_rings`](crate::Dispatcher::subscribe_rings).
    ///
    /// # Panics
    /// If the capacity is 0. While publishing: if `clone` does.
    #[track_caller]
    pub fn subscribe_rings(&self, capacity_per_thread: usize, full: FullRing<E::Stop>) -> RingReceiver<E>
    where
        E: Clone + Send,
    {
        let clone = |event: &E| Some(event.clone());
        self.subscribe_rings_with(SubscribeOptions::new(), capacity_per_thread, full, clone)
    }

    /// As [`Bus::publish`](crate::Bus::publish), without looking for the type.
    ///
    /// # Errors
    /// As [`Bus::publish`](crate::Bus::publish).
    ///
    /// # Panics
    /// As [`Bus::publish`](crate::Bus::publish).
    #[inline(always)]
    pub fn publish(&self, event: &E) -> Result<(), Stopped<E::Stop>> {
        self.rules.not_too_deep(self.try_publish(event))
    }

    /// As [`publish`](Self::publish), with an event that is built only if there is a subscriber on the bus.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    ///
    /// # Panics
    /// As [`publish`](Self::publish), and if `make` does.
    #[inline]
    pub fn publish_with<B: Borrow<E>>(&self, make: impl FnOnce() -> B) -> Result<(), Stopped<E::Stop>> {
        self.rules.not_too_deep(self.try_publish_with(make))
    }

    /// As [`publish`](Self::publish), with an error instead of a panic past the depth limit.
    ///
    /// # Errors
    /// [`PublishError`]: a subscriber stopped the event, or nobody was called since publishes are nested too deep.
    #[inline(always)]
    pub fn try_publish(&self, event: &E) -> Result<(), PublishError<E::Stop>> {
        self.try_publish_with(|| event)
    }

    #[inline(always)]
    fn try_publish_with<B: Borrow<E>>(&self, make: impl FnOnce() -> B) -> Result<(), PublishError<E::Stop>> {
        #[cfg(feature = "recorder")]
        if crate::recorder::attached() {
            return crate::recorder::publish(Some(&**self.key.cell()), E::NAME, || self.publish_now(make));
        }
        self.publish_now(make)
    }

    #[inline(always)]
    fn publish_now<B: Borrow<E>>(&self, make: impl FnOnce() -> B) -> Result<(), PublishError<E::Stop>> {
        if let Some(host) = self.rules.host {
            return host.publish(make().borrow()).map_err(PublishError::Stopped);
        }
        let mut stopped = None;
        let all = |tuned: Tuned<'_, _, _>| View::tuned(tuned).until_stopped(make().borrow(), &mut stopped);
        match self.key.read_within(self.rules.max_depth, all) {
            Ok(None | Some(true)) => Ok(()),
            Ok(Some(false)) => stopped.map_or(Ok(()), |stopped| Err(PublishError::Stopped(stopped))),
            Err(deep) => Err(PublishError::TooDeep(deep)),
        }
    }

    /// Whether a publish would find a subscriber: see [`Bus::has_subscribers`](crate::Bus::has_subscribers).
    pub fn has_subscribers(&self) -> bool {
        self.rules.host.is_some()
            || matches!(self.key.read_within(u32::MAX, |tuned| View::tuned(tuned).audience()), Ok(Some(1..)))
    }
}

impl<E: Event> Clone for Topic<E> {
    fn clone(&self) -> Self {
        Self { key: self.key.clone(), rules: self.rules }
    }
}

impl<E: Event> fmt::Debug for Topic<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic").field("event", &E::NAME).finish_non_exhaustive()
    }
}

/// One family of event types on one bus, to subscribe to. Made by [`Bus::family`](crate::Bus::family).
///
/// Owned, cheap to clone, `Send + Sync`.
pub struct FamilyHandle<F: Family> {
    key: ChannelKey<F::View, BusStop>,
}

impl<Of: Family> FamilyHandle<Of> {
    pub(super) fn new(key: ChannelKey<Of::View, BusStop>) -> Self {
        Self { key }
    }

    fn place(&self) -> (Arc<SharedCell<Channels>>, u32) {
        (self.key.cell().clone(), self.key.number())
    }

    subscribe_methods!(Of::View, BusStop, "events of every type that declares this family");
}

impl<F: Family> Clone for FamilyHandle<F> {
    fn clone(&self) -> Self {
        Self { key: self.key.clone() }
    }
}

impl<F: Family> fmt::Debug for FamilyHandle<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FamilyHandle").field("family", &F::NAME).finish_non_exhaustive()
    }
}
