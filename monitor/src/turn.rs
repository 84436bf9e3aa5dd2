//! Loops that are written by hand: two calls a turn. And code that is known to take long.
//!
//! Owns the guards. Not here: what a thread says of itself (`slot.rs`).

use crate::event_loop::EventLoop;
use crate::slot::{self, Slot};
use crate::task::TURN;
use std::fmt;
use std::marker::PhantomData;

/// A loop that this thread drives, for a monitor to see: [`busy`](Self::busy) when it has something to do,
/// [`idle`](Self::idle) before it waits.
///
/// For mio, calloop, winit, and loops of one's own. Made by [`watch_loop`](crate::MonitorRef::watch_loop), idle; dropped, it is
/// watched no longer. It stays on its thread. Both calls are the loop's own: within what a turn runs, a task say, they would end
/// or begin what goes on.
///
/// # Examples
/// ```
/// use signalpost::monitor::Monitor;
/// use std::sync::mpsc;
///
/// let monitor = Monitor::builder().start()?;
/// let (send, events) = mpsc::channel();
/// send.send("connection")?;
/// drop(send);
///
/// let mut turn = monitor.watch_loop("accept")?;
/// while let Ok(event) = events.recv() {
///     turn.busy();
///     println!("{event}"); // more than 100 ms here are an event
///     turn.idle();
/// }
/// # Ok::<(), signalpost::BoxError>(())
/// ```
pub struct LoopGuard {
    slot: &'static Slot,
    hub: EventLoop,
    thread: PhantomData<*mut ()>,
}

impl LoopGuard {
    pub(crate) fn new(slot: &'static Slot, hub: EventLoop) -> Self {
        Self { slot, hub, thread: PhantomData }
    }

    /// A turn begins, perhaps right after another one. Wait-free: two stores to a line of this thread, and a load (2 ns at most).
    /// Where a monitor sleeps because nothing ran, it wakes that, which is a system call.
    #[inline]
    pub fn busy(&mut self) {
        let _ = self.slot.enter(TURN);
    }

    /// It is over: the thread waits now, and may do so for ever. Wait-free: two stores.
    #[inline]
    pub fn idle(&mut self) {
        self.slot.leave(0);
    }

    /// The loop, as events name it.
    pub fn event_loop(&self) -> &EventLoop {
        &self.hub
    }
}

impl Drop for LoopGuard {
    fn drop(&mut self) {
        if self.slot.is_here() {
            self.slot.leave(0);
            self.slot.guard(None);
        }
        self.hub.unwatch();
    }
}

impl fmt::Debug for LoopGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LoopGuard({})", self.hub.name())
    }
}

/// Says that what this thread does is known to take long: until the guard is dropped, no monitor reports it.
///
/// For a scope; a task can say so of itself ([`Monitored::expect_blocking`](crate::Monitored::expect_blocking)). Scopes nest. What follows
/// a scope in the same turn has the whole time again. gevent's counterpart is `ignore_current_greenlet_blocking`.
///
/// Wait-free: two stores; the first one on a thread allocates.
///
/// # Examples
/// ```
/// use signalpost::monitor::expect_blocking;
/// {
///     let _known = expect_blocking();
///     // read the configuration, from a disk that may sleep
/// }
/// ```
#[must_use = "the scope ends when this is dropped"]
pub fn expect_blocking() -> ExpectBlocking {
    let slot = slot::current().or_else(slot::here);
    if let Some(slot) = slot {
        slot.expect(true);
    }
    ExpectBlocking { slot, thread: PhantomData }
}

/// A scope of known-long code: see [`expect_blocking`].
#[must_use = "the scope ends when this is dropped"]
pub struct ExpectBlocking {
    slot: Option<&'static Slot>,
    thread: PhantomData<*mut ()>,
}

impl Drop for ExpectBlocking {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.filter(|slot| slot.is_here()) {
            slot.expect(false);
        }
    }
}

impl fmt::Debug for ExpectBlocking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExpectBlocking")
    }
}
