//! The handle of a subscriber, and a set of them: cancel, wait, detach, pause.
//!
//! Owns what a registration's end means to its owner. A handle outlives its dispatcher, which it holds weakly.

use crate::registry::Registry;
use signalpost_core::sync::{Plant, planted};
use signalpost_core::{
    Anchor, Change, Deadline, Pause, SharedCell, Step, SubscriberId, SubscriberName, Subscribers, Target,
    WaitError, collecting, stats,
};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// A registration. Dropping it cancels; [`detach`](Self::detach) lets the subscriber stay.
///
/// `Send + Sync + 'static` whatever the event type is, and may outlive its dispatcher: then it is merely inactive.
///
/// Every method but `id` and `cancel_and_wait` is lock-free. Those that change something are writes: they
/// allocate, and may run destructors of what nobody can reach any more, on the calling thread, with nothing held.
#[must_use = "dropping a subscription cancels it at once; keep it, or `detach` it"]
pub struct Subscription {
    registry: Weak<dyn Registry>,
    anchor: Anchor,
}

impl Subscription {
    pub(crate) fn new(registry: Weak<dyn Registry>, anchor: Anchor) -> Self {
        Self { registry, anchor }
    }

    pub(crate) fn target(&self) -> Target {
        Target::of(&self.anchor)
    }

    /// Whether this is a subscription to that dispatcher.
    pub(crate) fn belongs_to(&self, registry: &Weak<dyn Registry>) -> bool {
        std::ptr::addr_eq(self.registry.as_ptr(), registry.as_ptr())
    }

    /// Which subscriber it is. Wait-free.
    pub fn id(&self) -> SubscriberId {
        self.anchor.id()
    }

    /// Ends the registration, and says whether this call did. No publish that starts after the return runs the
    /// subscriber; one that is under way may still.
    ///
    /// Called again, or after the subscriber ended by itself, it does nothing, but the promise holds all the same. Called
    /// before the [`edit`](crate::Dispatcher::edit) that registers it has returned, it keeps the subscriber from coming in, or
    /// has it out again by the time that the edit returns: the promise holds from there on.
    pub fn cancel(&self) -> bool {
        // Detached, or the dispatcher is gone: there is nothing to keep it from.
        if self.registry.strong_count() == 0 {
            return false;
        }
        self.anchor.cancels();
        self.write(Step::Cancel(self.target()))
    }

    /// Cancels, and waits until the subscriber is not running on any thread, will not run, and everything it captured has
    /// been dropped. Blocking.
    ///
    /// # Errors
    /// The subscriber is cancelled all the same, as by [`cancel`](Self::cancel), and the call can be made again:
    /// - [`WaitError::TimedOut`]: it is still running somewhere, or its captures are still being dropped;
    /// - [`WaitError::WouldDeadlock`], at once: this thread is inside a publish of the same dispatcher (or more than six
    ///   publishes deep in any), or in a destructor that a collector runs;
    /// - [`WaitError::BarrierLost`]: see there.
    ///
    /// # Examples
    /// ```
    /// use signalpost::Dispatcher;
    /// use std::{convert::Infallible, sync::Arc, time::Duration};
    ///
    /// let ticks: Dispatcher<u64, Infallible> = Dispatcher::new();
    /// let buffer = Arc::new([0_u8; 64]);
    /// let sub = ticks.subscribe({ let buffer = buffer.clone(); move |_: &u64| { let _ = &buffer; } });
    /// ticks.publish(&1);
    /// sub.cancel_and_wait(Duration::from_secs(1))?;
    /// assert_eq!(Arc::strong_count(&buffer), 1); // nobody else has it
    /// # Ok::<(), signalpost::WaitError>(())
    /// ```
    pub fn cancel_and_wait(&self, timeout: Duration) -> Result<(), WaitError> {
        let deadline = Deadline::after(timeout);
        self.cancel();
        if collecting() {
            return Err(WaitError::WouldDeadlock);
        }
        let registry = self.registry.upgrade();
        if let Some(registry) = registry.as_ref().filter(|_| !self.anchor.is_gone()) {
            registry.may_wait()?;
            registry.try_barrier()?;
        }
        let (failures, mut pause) = (stats().heavy_failures, Pause::new());
        loop {
            if stats().heavy_failures > failures {
                return Err(WaitError::BarrierLost);
            }
            if let Some(registry) = &registry {
                registry.collect();
                if planted(Plant::WaitForLatch) && registry.retired() == 0 {
                    return Ok(());
                }
            }
            if self.anchor.is_gone() {
                return Ok(());
            }
            if !pause.until(deadline) {
                return Err(WaitError::TimedOut);
            }
        }
    }

    /// Gives up the handle and lets the subscriber stay, as long as the dispatcher does.
    pub fn detach(mut self) -> SubscriberId {
        self.registry = nowhere();
        self.id()
    }

    /// Has publishes that start after the return skip the subscriber, and says whether this call did that.
    pub fn pause(&self) -> bool {
        self.write(Step::Pause(self.target()))
    }

    /// Undoes [`pause`](Self::pause), and says whether this call did that. The subscriber keeps its place.
    pub fn resume(&self) -> bool {
        self.write(Step::Resume(self.target()))
    }

    /// Whether the subscriber is in its dispatcher's list: not cancelled, not ended by itself. Wait-free but for the search.
    pub fn is_active(&self) -> bool {
        self.find().is_some()
    }

    /// Whether the subscriber is in the list, but paused.
    pub fn is_paused(&self) -> bool {
        self.find().is_some_and(|(_, paused)| paused)
    }

    fn find(&self) -> Option<(SubscriberName, bool)> {
        self.registry.upgrade()?.find(self.target())
    }

    fn write(&self, step: Step) -> bool {
        if self.anchor.is_gone() {
            return false; // in no list any more: there is nothing to look for
        }
        let Some(registry) = self.registry.upgrade() else { return false };
        let changed = registry.apply(vec![Change::Step(step)]);
        registry.collect();
        changed
    }
}

/// A dispatcher that is no more.
fn nowhere() -> Weak<dyn Registry> {
    Weak::<SharedCell<Subscribers<(), ()>>>::new()
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Subscription");
        let found = self.find();
        out.field("id", &self.id().get()).field("active", &found.is_some());
        if let Some((name, paused)) = found {
            out.field("paused", &paused).field("subscriber", &format_args!("{name}"));
        }
        out.finish()
    }
}

/// Subscriptions, of any dispatchers, that end together: dropping the set cancels them, as one swap for each dispatcher.
///
/// # Examples
/// ```
/// use signalpost::{Dispatcher, SubscriptionSet};
/// use std::convert::Infallible;
///
/// let (names, ages) = (Dispatcher::<str, Infallible>::new(), Dispatcher::<u8, Infallible>::new());
/// let mut set = SubscriptionSet::new();
/// set.add(names.subscribe(|name: &str| println!("{name}")));
/// set.add(ages.subscribe(|age: &u8| println!("{age}")));
/// drop(set);
/// assert!(!names.has_subscribers() && !ages.has_subscribers());
/// ```
#[derive(Debug, Default)]
#[must_use = "dropping a set cancels its subscriptions at once"]
pub struct SubscriptionSet {
    subscriptions: Vec<Subscription>,
}

impl SubscriptionSet {
    /// An empty set.
    pub const fn new() -> Self {
        Self { subscriptions: Vec::new() }
    }

    /// Adds a subscription.
    pub fn add(&mut self, subscription: Subscription) {
        self.subscriptions.push(subscription);
    }

    /// How many there are, ended ones included.
    pub fn len(&self) -> usize {
        self.subscriptions.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.subscriptions.is_empty()
    }

    /// The subscriptions, in the order in which they were added.
    pub fn iter(&self) -> std::slice::Iter<'_, Subscription> {
        self.subscriptions.iter()
    }

    /// Cancels all, as one swap for each dispatcher, and empties the set.
    pub fn cancel(&mut self) {
        self.end();
    }

    /// Cancels all, and waits for all as [`Subscription::cancel_and_wait`] does, within one timeout. Blocking.
    ///
    /// # Errors
    /// The first that there was; all are cancelled, and those that were not waited for stay in the set.
    pub fn cancel_and_wait(&mut self, timeout: Duration) -> Result<(), WaitError> {
        let started = std::time::Instant::now();
        self.cancel_all();
        while let Some(last) = self.subscriptions.last() {
            last.cancel_and_wait(timeout.saturating_sub(started.elapsed()))?;
            self.subscriptions.pop();
        }
        Ok(())
    }

    /// Pauses all, as one swap for each dispatcher.
    pub fn pause(&self) {
        self.write_all(Step::Pause).collect();
    }

    /// Resumes all, as one swap for each dispatcher.
    pub fn resume(&self) {
        self.write_all(Step::Resume).collect();
    }

    /// Gives up the handles and lets the subscribers stay.
    pub fn detach(mut self) {
        for subscription in self.subscriptions.drain(..) {
            subscription.detach();
        }
    }

    fn end(&mut self) {
        let touched = self.cancel_all();
        for subscription in self.subscriptions.drain(..) {
            subscription.detach(); // cancelled above
        }
        touched.collect();
    }

    fn cancel_all(&self) -> Touched {
        for subscription in &self.subscriptions {
            subscription.anchor.cancels();
        }
        self.write_all(Step::Cancel)
    }

    fn write_all(&self, step: fn(Target) -> Step) -> Touched {
        let mut by_dispatcher = BTreeMap::<usize, (Arc<dyn Registry>, Vec<Change>)>::new();
        for subscription in &self.subscriptions {
            if let Some(registry) = subscription.registry.upgrade() {
                by_dispatcher
                    .entry(Arc::as_ptr(&registry).addr())
                    .or_insert_with(|| (registry, Vec::new()))
                    .1
                    .push(Change::Step(step(subscription.target())));
            }
        }
        let touched = by_dispatcher.into_values().map(|(registry, steps)| {
            registry.apply(steps);
            registry
        });
        Touched(touched.collect())
    }
}

/// Dispatchers that were written to, and are to be collected.
struct Touched(Vec<Arc<dyn Registry>>);

impl Touched {
    fn collect(self) {
        for registry in self.0 {
            registry.collect();
        }
    }
}

impl Drop for SubscriptionSet {
    fn drop(&mut self) {
        self.end();
    }
}

impl Extend<Subscription> for SubscriptionSet {
    fn extend<I: IntoIterator<Item = Subscription>>(&mut self, iter: I) {
        self.subscriptions.extend(iter);
    }
}

impl FromIterator<Subscription> for SubscriptionSet {
    fn from_iter<I: IntoIterator<Item = Subscription>>(iter: I) -> Self {
        Self { subscriptions: iter.into_iter().collect() }
    }
}
