//! Event loops that a monitor watches.
//!
//! Owns what a loop is called, and where its signs of life come from. Not here: what they mean (`detect.rs`).

#[cfg(not(feature = "tokio"))]
pub(crate) use crate::no_runtime::Runtime;
#[cfg(feature = "tokio")]
pub(crate) use crate::runtime::Runtime;
use crate::shared::Shared;
use crate::slot;
use std::fmt;
use std::sync::{Arc, Weak};

/// An event loop that a monitor watches, or has watched. Cheap to clone. gevent calls it a hub.
///
/// Made by [`watch_loop`](crate::MonitorRef::watch_loop) and `watch_tokio`; in events it says where the block is.
#[derive(Clone)]
pub struct EventLoop(Arc<Watched>);

/// What is known of a loop.
pub(crate) struct Watched {
    id: u64,
    name: Arc<str>,
    pub(crate) source: Source,
    monitor: Weak<Shared>,
}

/// Where signs of life come from.
pub(crate) enum Source {
    /// The pulse of the thread that drives it.
    Pulse,
    /// The pulses of all threads that drive no other loop that is watched.
    Tasks,
    /// A runtime's metrics, beside pulses.
    #[cfg_attr(not(feature = "tokio"), allow(dead_code, reason = "there are none"))]
    Tokio(Runtime),
}

/// What a loop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoopKind {
    /// Written by hand: one thread, that calls a [`LoopGuard`](crate::LoopGuard).
    Own,
    /// All threads that poll a [`Monitored`](crate::Monitored), and drive no other loop that is watched.
    Tasks,
    /// A runtime of tokio.
    Tokio {
        /// How many workers it has; 1 for a current-thread one.
        workers: usize,
    },
}

impl EventLoop {
    /// A loop of this name that nobody watches, for a test's events.
    pub fn new(name: &str) -> Self {
        Self::of(slot::draw(), name, Source::Pulse, Weak::new())
    }

    pub(crate) fn of(id: u64, name: &str, source: Source, monitor: Weak<Shared>) -> Self {
        Self(Arc::new(Watched { id, name: Arc::from(name), source, monitor }))
    }

    /// Unique in the process, never reused.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What it is.
    pub fn kind(&self) -> LoopKind {
        match &self.0.source {
            Source::Pulse => LoopKind::Own,
            Source::Tasks => LoopKind::Tasks,
            Source::Tokio(runtime) => LoopKind::Tokio { workers: runtime.workers() },
        }
    }

    /// Ends the watch, and says whether there was one. Lock-free, allocates, wakes the monitor.
    pub fn unwatch(&self) -> bool {
        self.0.monitor.upgrade().is_some_and(|monitor| monitor.unwatch(self.id()))
    }

    pub(crate) fn source(&self) -> &Source {
        &self.0.source
    }

    /// The runtime that it is, if it is one.
    pub(crate) fn runtime(&self) -> Option<&Runtime> {
        match self.source() {
            Source::Pulse | Source::Tasks => None,
            Source::Tokio(runtime) => Some(runtime),
        }
    }
}

impl PartialEq for EventLoop {
    /// The same loop.
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for EventLoop {}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventLoop({} #{}, {:?})", self.name(), self.id(), self.kind())
    }
}

impl fmt::Display for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
