//! One replacement that holds for everybody, and its end.
//!
//! Owns the handle. Not here: which layer a call enters (`slot.rs`).

use crate::module::AnySlot;
use signalpost_dispatch::core::WaitError;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// One replacement of one function, for everybody. Undone when dropped.
///
/// Layers of a slot may be undone in any order: calls enter the newest that is left.
#[must_use = "the replacement is undone when this is dropped"]
pub struct Layer {
    slot: &'static dyn AnySlot,
    id: u64,
    tracked: bool,
    on: bool,
}

impl Layer {
    pub(crate) fn new(slot: &'static dyn AnySlot, id: u64, tracked: bool) -> Self {
        Self { slot, id, tracked, on: true }
    }

    /// The slot that it is a layer of.
    pub fn slot(&self) -> &'static dyn AnySlot {
        self.slot
    }

    /// Undoes it: no call that starts after this returns enters the replacement. Calls that are in it finish there.
    ///
    /// What the replacement captured is dropped before this returns, or, if calls of the function are in a layer, this one or another, by
    /// the last of them as it leaves (it returns or panics). A thread that is more than six patched calls deep, of whatever functions,
    /// counts as in all of them; what only such a thread held of a function that it has not called, the next change of that function
    /// drops. Inside a destructor of what another layer captured, it is dropped after that one. A panic in a
    /// destructor is caught and counted ([`Stats`](signalpost_dispatch::core::Stats)). Takes the slot's lock for a moment; allocates;
    /// does not wait.
    pub fn undo(mut self) {
        self.end();
    }

    /// Undoes it, and waits until no call is in it any more. Blocking.
    ///
    /// Calls that are in other layers of the function are waited for too, if they began before. A future that a call returned is
    /// not: the call has ended.
    ///
    /// # Errors
    /// [`UndoError`]: calls may be in it still. It is undone all the same.
    ///
    /// # Examples
    /// ```
    /// use signalpost::patch::patch_points;
    /// use std::time::Duration;
    ///
    /// patch_points! { pub mod disk { fn free() -> u64 { 1 << 30 } } }
    ///
    /// fn main() -> Result<(), signalpost::patch::UndoError> {
    ///     let full = disk::slots::free.push(Box::new(|| 0));
    ///     assert_eq!(disk::free(), 0);
    ///     full.undo_and_wait(Duration::from_secs(5))
    /// }
    /// ```
    pub fn undo_and_wait(mut self, timeout: Duration) -> Result<(), UndoError> {
        self.end();
        if !self.tracked {
            return Err(UndoError::Untracked);
        }
        self.slot.wait(timeout).map_err(UndoError::StillRunning)
    }

    /// Leaves it in place for good.
    pub fn keep(mut self) {
        self.on = false;
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.on) {
            self.slot.remove(self.id);
        }
    }
}

impl Drop for Layer {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Layer({}::{} {})", self.slot.module(), self.slot.name(), self.id)
    }
}

/// It cannot be said that no call is in a layer that was undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndoError {
    /// The time ran out, or this thread is itself inside such a call.
    StillRunning(WaitError),
    /// It was a plain function ([`push_fn`](crate::Slot::push_fn)), whose calls are not tracked.
    Untracked,
}

impl fmt::Display for UndoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StillRunning(_) => f.write_str("the layer is undone, but calls may still be in it"),
            Self::Untracked => f.write_str(
                "the layer is undone, but it was a plain function, whose calls are not tracked: push a closure to wait for them",
            ),
        }
    }
}

impl Error for UndoError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::StillRunning(error) => Some(error),
            Self::Untracked => None,
        }
    }
}
