//! How a subscriber is to be registered.

/// Priority, name, once, paused: what [`subscribe_with`](crate::Dispatcher::subscribe_with) takes beside the closure.
///
/// # Examples
/// ```
/// use signalpost::{Dispatcher, SubscribeOptions};
/// use std::{convert::Infallible, sync::mpsc};
///
/// const FIRST: SubscribeOptions = SubscribeOptions::new().priority(10).named("first");
///
/// let (log, seen) = mpsc::channel();
/// let orders: Dispatcher<u32, Infallible> = Dispatcher::new();
/// let (a, b) = (log.clone(), log);
/// let _plain = orders.subscribe(move |n: &u32| a.send(("plain", *n)).unwrap());
/// let _first = orders.subscribe_with(FIRST, move |n: &u32| b.send(("first", *n)).unwrap());
/// orders.publish(&7);
/// assert_eq!(seen.try_iter().collect::<Vec<_>>(), [("first", 7), ("plain", 7)]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "options do nothing until they are given to `subscribe_with`"]
pub struct SubscribeOptions {
    pub(crate) priority: i32,
    pub(crate) name: Option<&'static str>,
    pub(crate) once: bool,
    pub(crate) paused: bool,
}

impl SubscribeOptions {
    /// Priority 0, no name, runs at every publish, from the start.
    pub const fn new() -> Self {
        Self { priority: 0, name: None, once: false, paused: false }
    }

    /// Runs before those of lower priority; within a priority, in the order of registration.
    pub const fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// Shown by [`subscribers`](crate::Dispatcher::subscribers) and in errors, beside the source location.
    pub const fn named(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        self
    }

    /// Runs for one event only: the first publish to reach it, on whatever thread. It is then skipped, and leaves the list
    /// at the next write.
    pub const fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// Is registered, but runs only after [`resume`](crate::Subscription::resume).
    pub const fn paused(mut self) -> Self {
        self.paused = true;
        self
    }
}
