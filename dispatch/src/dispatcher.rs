//! `Dispatcher<E, X>`: publish to subscribers, and register them.
//!
//! Owns the public verbs. Not here: how a list is walked (`walk.rs`), changed or kept valid (core).

use crate::edit::Edit;
use crate::error::{BoxError, PublishError, Stopped, Undone};
use crate::options::SubscribeOptions;
use crate::outcome::Outcome;
use crate::register::{New, list_of, make, register};
use crate::subscription::Subscription;
use crate::walk;
use signalpost_core::{Known, SharedCell, SnapshotCell, SubscriberId, SubscriberName, Subscribers, TooDeep};
use std::borrow::Borrow;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// Publishes events of type `E` to subscribers, in order, on the publishing thread; `X` is what stops one.
///
/// A value that can be moved, shared by reference or `Arc`, or a `static`. `Send + Sync` whatever `E` and `X` are; `E` may
/// be unsized (`str`, `[u8]`, `dyn Trait`), but is `'static`: for events with lifetimes of their own see
/// [`Lent`](signalpost_core::Lent).
///
/// # What is promised
/// - **Order**: priority, highest first; then registration.
/// - **Stop**: the first error goes to the publisher with who stopped it; the rest do not run. A panic does the same
///   and unwinds to the publisher; nothing is poisoned or leaked.
/// - **Isolation**: a publish runs exactly the subscribers of one snapshot. What is registered or cancelled during it, by
///   a subscriber or by another thread, is seen by the next publish, also by one nested in this one.
/// - **Visibility**: a publish that starts after `subscribe` or `cancel` returned (in the happens-before sense) sees it.
/// - **Cost**: [`publish`](Self::publish) is wait-free but for the subscribers themselves: it allocates, locks, waits and
///   frees nothing and makes no system call. The exceptions, all: a thread's first publish claims a slot (see
///   [`warm_up`](signalpost_core::warm_up)); a thread that changed registrations from inside its own publish collects at
///   its outermost return; a [weak](Self::subscribe_weak) target that its owner lets go of while it runs is dropped there;
///   [`publish_or_undo`](Self::publish_or_undo) past 256 subscribers.
///
/// # Examples
/// ```
/// use signalpost::{BoxError, Dispatcher};
///
/// static PRICES: Dispatcher<f64> = Dispatcher::new();
///
/// let _check = PRICES.subscribe(|price: &f64| -> Result<(), BoxError> {
///     if *price < 0.0 { Err("a price below zero".into()) } else { Ok(()) }
/// });
/// let _print = PRICES.subscribe(|price: &f64| println!("{price}"));
///
/// PRICES.publish(&99.5)?; // both run
/// let stopped = PRICES.publish(&-1.0).unwrap_err(); // the second does not
/// assert_eq!((stopped.position, stopped.not_run), (0, 1));
/// # Ok::<(), BoxError>(())
/// ```
///
/// With `X = Infallible` nothing can stop an event, and `publish` needs neither `?` nor `let _`:
/// ```
/// # #![deny(warnings)]
/// use signalpost::Dispatcher;
/// use std::convert::Infallible;
///
/// let ticks: Dispatcher<u64, Infallible> = Dispatcher::new();
/// let _sub = ticks.subscribe(|n: &u64| println!("{n}"));
/// ticks.publish(&1);
/// ```
pub struct Dispatcher<E: ?Sized + 'static, X: 'static = BoxError> {
    cell: SnapshotCell<Subscribers<E, X>>,
    name: Option<&'static str>,
    max_depth: u32,
}

/// How many publishes may be nested on one thread unless a dispatcher says otherwise.
const MAX_DEPTH: u32 = 64;

macro_rules! const_outside_loom {
    ($($(#[$doc:meta])* pub const fn $name:ident($($arg:ident: $type:ty),*) -> Self $body:block)*) => {$(
        #[cfg(not(signalpost_loom))]
        $(#[$doc])*
        pub const fn $name($($arg: $type),*) -> Self $body

        #[cfg(signalpost_loom)]
        $(#[$doc])*
        pub fn $name($($arg: $type),*) -> Self $body
    )*};
}

pub(crate) use const_outside_loom;

impl<E: ?Sized + 'static, X: 'static> Dispatcher<E, X> {
    const_outside_loom! {
        /// A dispatcher without subscribers. Allocates nothing.
        pub const fn new() -> Self {
            Self { cell: SnapshotCell::new(), name: None, max_depth: MAX_DEPTH }
        }

        /// A dispatcher with a name, which its panic at the depth limit and its `Debug` output show.
        pub const fn named(name: &'static str) -> Self {
            Self { cell: SnapshotCell::new(), name: Some(name), max_depth: MAX_DEPTH }
        }
    }

    /// Changes how many publishes may be nested on one thread, of any dispatchers, when this one is published to: 64 if not
    /// called. It bounds runaway recursion; it is no promise that the subscribers' own frames fit the stack.
    ///
    /// # Panics
    /// If `levels` is not in 8..=4096; at compile time in a `static`.
    #[must_use]
    pub const fn with_max_depth(mut self, levels: u32) -> Self {
        assert!(levels >= 8 && levels <= 4096, "the depth limit must be from 8 to 4096 levels");
        self.max_depth = levels;
        self
    }

    pub(crate) fn shared(&self) -> Arc<SharedCell<Subscribers<E, X>>> {
        self.cell.shared()
    }

    /// Registers a subscriber: every publish that starts after the return runs it, until the handle is dropped.
    ///
    /// The closure returns `()`, `Result<(), X>` or `!`. Lock-free; allocates; runs no destructor of anybody's captures.
    #[track_caller]
    pub fn subscribe<F, R>(&self, f: F) -> Subscription
    where
        F: Fn(&E) -> R + Send + Sync + 'static,
        R: Outcome<X>,
    {
        self.subscribe_with(SubscribeOptions::new(), f)
    }

    /// Registers a subscriber with a priority, a name, for one event, or paused.
    ///
    /// As [`subscribe`](Self::subscribe); but registering a [once](SubscribeOptions::once) subscriber also collects, and so
    /// may run destructors: of subscribers that ended by themselves, so that a program that registers only those
    /// does not grow.
    #[track_caller]
    pub fn subscribe_with<F, R>(&self, options: SubscribeOptions, f: F) -> Subscription
    where
        F: Fn(&E) -> R + Send + Sync + 'static,
        R: Outcome<X>,
    {
        let cell = self.shared();
        let new = New::closure::<E, X, _, _>(list_of(&cell), options, Location::caller(), f);
        register(&cell, Vec::new(), new)
    }

    /// Registers a subscriber that is tied to a target, without keeping it alive: it is given the target, and ends by
    /// itself when that is gone. Collects as a [once](SubscribeOptions::once) subscriber's registration does.
    ///
    /// While it runs, the target is kept alive by it: an owner that lets go meanwhile has it dropped on the publishing
    /// thread.
    ///
    /// # Examples
    /// ```
    /// use signalpost::Dispatcher;
    /// use std::{convert::Infallible, sync::{Arc, atomic::{AtomicU64, Ordering::Relaxed}}};
    ///
    /// let ticks: Dispatcher<u64, Infallible> = Dispatcher::new();
    /// let sum = Arc::new(AtomicU64::new(0));
    /// ticks.subscribe_weak(&sum, |sum: &AtomicU64, n: &u64| { sum.fetch_add(*n, Relaxed); }).detach();
    /// ticks.publish(&5);
    /// assert_eq!(sum.load(Relaxed), 5);
    /// drop(sum);
    /// ticks.publish(&6); // nobody is called
    /// ```
    #[track_caller]
    pub fn subscribe_weak<T, F, R>(&self, target: &Arc<T>, f: F) -> Subscription
    where
        T: ?Sized + Send + Sync + 'static,
        F: Fn(&T, &E) -> R + Send + Sync + 'static,
        R: Outcome<X>,
    {
        self.subscribe_weak_with(SubscribeOptions::new(), target, f)
    }

    /// As [`subscribe_weak`](Self::subscribe_weak), with options.
    #[track_caller]
    pub fn subscribe_weak_with<T, F, R>(
        &self,
        options: SubscribeOptions,
        target: &Arc<T>,
        f: F,
    ) -> Subscription
    where
        T: ?Sized + Send + Sync + 'static,
        F: Fn(&T, &E) -> R + Send + Sync + 'static,
        R: Outcome<X>,
    {
        let cell = self.shared();
        let new = New::weak::<E, X, _, _, _>(
            list_of(&cell),
            options,
            Location::caller(),
            Arc::downgrade(target),
            f,
        );
        register(&cell, Vec::new(), new)
    }

    /// Runs the subscribers in order, on this thread, until one returns an error.
    ///
    /// Without subscribers: one or two loads and a branch. See the type's documentation for what it never does.
    ///
    /// # Errors
    /// [`Stopped`]: the first error, unchanged, and who returned it. With `X = Infallible` there is none.
    ///
    /// # Panics
    /// Past the [depth limit](Self::with_max_depth), with this dispatcher's name; and if a subscriber does.
    // Always, as a loop over closures would be: out of line, the registers that the loop saves cost more than the pin.
    #[inline(always)]
    pub fn publish(&self, event: &E) -> Result<(), Stopped<X>> {
        let mut stopped = None;
        match self.read(|all| walk::until_stopped(all, event, |by| stopped = Some(by))) {
            None | Some(true) => Ok(()),
            Some(false) => stopped.map_or(Ok(()), Err),
        }
    }

    /// As [`publish`](Self::publish), with an error instead of a panic past the depth limit.
    ///
    /// # Errors
    /// [`PublishError`]: a subscriber stopped the event, or nobody was called since publishes are nested too deep.
    #[inline(always)]
    pub fn try_publish(&self, event: &E) -> Result<(), PublishError<X>> {
        let mut stopped = None;
        match self
            .cell
            .read_within(self.max_depth, |all| walk::until_stopped(all, event, |by| stopped = Some(by)))
        {
            Ok(None | Some(true)) => Ok(()),
            Ok(Some(false)) => stopped.map_or(Ok(()), |stopped| Err(PublishError::Stopped(stopped))),
            Err(deep) => Err(PublishError::TooDeep(deep)),
        }
    }

    /// Runs every subscriber in order, whatever they return, and collects the errors with who returned them.
    /// Allocates if there is one.
    ///
    /// # Panics
    /// As [`publish`](Self::publish); a subscriber's panic keeps those after it from running.
    pub fn publish_all(&self, event: &E) -> Vec<(SubscriberId, X)> {
        self.read(|all| walk::all(all, event)).unwrap_or_default()
    }

    /// As [`publish`](Self::publish), with an event that is built only if there is a subscriber.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    ///
    /// # Panics
    /// As [`publish`](Self::publish), and if `make` does.
    ///
    /// # Examples
    /// ```
    /// let names: signalpost::Dispatcher<str> = signalpost::Dispatcher::new();
    /// names.publish_with(|| -> String { unreachable!("nobody listens") })?;
    /// # Ok::<(), signalpost::Stopped<signalpost::BoxError>>(())
    /// ```
    #[inline]
    pub fn publish_with<B: Borrow<E>>(&self, make: impl FnOnce() -> B) -> Result<(), Stopped<X>> {
        let mut stopped = None;
        match self.read(|all| walk::until_stopped(all, make().borrow(), |by| stopped = Some(by))) {
            None | Some(true) => Ok(()),
            Some(false) => stopped.map_or(Ok(()), Err),
        }
    }

    /// As [`publish`](Self::publish); but when a subscriber stops the event, those that had run before it are given `undo`,
    /// newest first: exactly those, over the same snapshot. Not the one that stopped it, nor any that was
    /// skipped (paused, ended, target gone). Past 256 subscribers it allocates.
    ///
    /// # Errors
    /// [`Undone`]: who stopped it, and what subscribers answered to the undo with an error.
    ///
    /// # Panics
    /// As [`publish`](Self::publish). A subscriber's panic undoes in the same way and then goes on; so does the first
    /// panic of an undo, once all have been told.
    ///
    /// # Examples
    /// ```
    /// use signalpost::Dispatcher;
    /// use std::sync::{Arc, Mutex};
    ///
    /// let steps: Dispatcher<&'static str, &'static str> = Dispatcher::new();
    /// let log = Arc::new(Mutex::new(Vec::new()));
    /// let _a = steps.subscribe({ let log = log.clone(); move |e: &&'static str| log.lock().unwrap().push(*e) });
    /// let _b = steps.subscribe(|_: &&'static str| Err("disk full"));
    /// let undone = steps.publish_or_undo(&"do", &"undo").unwrap_err();
    /// assert_eq!(undone.stopped.error, "disk full");
    /// assert_eq!(*log.lock().unwrap(), ["do", "undo"]);
    /// ```
    pub fn publish_or_undo(&self, event: &E, undo: &E) -> Result<(), Undone<X>> {
        self.read(|all| walk::or_undo(all, event, undo)).unwrap_or(Ok(()))
    }

    #[inline(always)]
    fn read<T>(&self, f: impl FnOnce(&Subscribers<E, X>) -> T) -> Option<T> {
        match self.cell.read_within(self.max_depth, f) {
            Ok(result) => result,
            Err(deep) => self.too_deep(deep),
        }
    }

    #[cold]
    #[inline(never)]
    fn too_deep(&self, deep: TooDeep) -> ! {
        let name = self.name.unwrap_or("(unnamed)");
        panic!("dispatcher {name} is published to inside itself without end: {deep}");
    }

    /// Whether a publish would find a subscriber. Paused ones count, and those that ended by themselves
    /// count until the next write. One or two relaxed loads.
    #[inline]
    pub fn has_subscribers(&self) -> bool {
        !self.cell.is_empty()
    }

    /// How many subscribers are in the list: paused ones, and those that ended by themselves since the last write, too.
    pub fn len(&self) -> usize {
        self.cell.read(Subscribers::len).unwrap_or(0)
    }

    /// Whether there are no subscribers: the opposite of [`has_subscribers`](Self::has_subscribers).
    pub fn is_empty(&self) -> bool {
        self.cell.is_empty()
    }

    /// Who is registered, in order. A copy: it keeps nothing alive. Allocates.
    pub fn subscribers(&self) -> Vec<SubscriberInfo> {
        let info = |all: &Subscribers<E, X>| {
            all.known().filter(|known| !known.over).map(SubscriberInfo::of).collect()
        };
        self.cell.read(info).unwrap_or_default()
    }

    /// Makes any number of changes in one swap: publishers see all of them or none. Returns what `f` returns.
    ///
    /// `f` runs once, with nothing held, and may call anything; its changes are made when it returns, none if it
    /// panics. Lock-free. Where something was cancelled, it collects as [`Subscription::cancel`] does.
    ///
    /// # Examples
    /// ```
    /// use signalpost::{Dispatcher, SubscribeOptions};
    /// use std::convert::Infallible;
    ///
    /// let ticks: Dispatcher<u64, Infallible> = Dispatcher::new();
    /// let old = ticks.subscribe_with(SubscribeOptions::new().named("old"), |_: &u64| ());
    /// let (_new, _last) = ticks.edit(|edit| {
    ///     edit.cancel(&old);
    ///     let new = edit.subscribe_with(SubscribeOptions::new().named("new"), |_: &u64| ());
    ///     let last = edit.subscribe_with(SubscribeOptions::new().named("last"), |_: &u64| ());
    ///     edit.move_before(&last, &new);
    ///     (new, last)
    /// });
    /// let names: Vec<_> = ticks.subscribers().iter().filter_map(|s| s.name).collect();
    /// assert_eq!(names, ["last", "new"]);
    /// ```
    pub fn edit<R>(&self, f: impl FnOnce(&mut Edit<'_, E, X>) -> R) -> R {
        let cell = self.shared();
        let mut edit = Edit::new(&cell);
        let result = f(&mut edit);
        make(&*cell, edit.into_record());
        result
    }

    /// Drops, on this thread, what cancelled subscribers captured and no publish can reach any more, and says how many
    /// retired snapshots went. Handles do this when they cancel; call it after long publishes have ended.
    pub fn collect(&self) -> usize {
        self.cell.collect()
    }

    /// How many replaced snapshots wait: for a publish to end, or for a collector. One that grows without end means
    /// that some publish never returns.
    pub fn retired(&self) -> usize {
        self.cell.retired()
    }
}

/// One subscriber, as [`Dispatcher::subscribers`] shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriberInfo {
    /// Which one.
    pub id: SubscriberId,
    /// The name that its options gave it.
    pub name: Option<&'static str>,
    /// Where `subscribe` was called.
    pub location: &'static Location<'static>,
    /// Higher runs earlier.
    pub priority: i32,
    /// Whether it is skipped for now.
    pub paused: bool,
}

impl SubscriberInfo {
    pub(crate) fn of(known: Known) -> Self {
        let Known { name: SubscriberName { id, name, location }, priority, paused, .. } = known;
        Self { id, name, location, priority, paused }
    }
}

impl<E: ?Sized + 'static, X: 'static> Default for Dispatcher<E, X> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E: ?Sized + 'static, X: 'static> fmt::Debug for Dispatcher<E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Dispatcher");
        if let Some(name) = self.name {
            out.field("name", &name);
        }
        out.field("subscribers", &self.len()).field("retired", &self.retired()).finish()
    }
}
