//! Slots by name: what they have in common, whatever their signatures.
//!
//! Owns the view of a slot that sources and patchers have. Not here: what a slot does (`slot.rs`).

use crate::layer::Layer;
use crate::replacement::Replacement;
use crate::scope::{Override, Strays};
use signalpost_dispatch::core::WaitError;
use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Weak;
use std::time::Duration;

/// A [`Slot`](crate::Slot) of any signature. Implemented by slots alone.
#[allow(private_bounds, reason = "sealed")]
pub trait AnySlot: Inner + Sync {
    /// The module's name.
    fn module(&self) -> &'static str;
    /// The function's name.
    fn name(&self) -> &'static str;
    /// The signature as it was written: `fn(Duration)`.
    fn signature(&self) -> &'static str;
    /// Whether a layer replaces it, for everybody.
    fn is_patched(&self) -> bool;
    /// The signature as the compiler knows it: two slots with the same take the same replacements.
    fn signature_id(&self) -> TypeId;
    /// As [`Slot::push`](crate::Slot::push) (or [`push_fn`](crate::Slot::push_fn), of a plain function); `None`, and nothing is
    /// done, if the replacement has another signature.
    fn push_any(&'static self, replacement: &Replacement) -> Option<Layer>;
    /// As [`Slot::with`](crate::Slot::with); `None` if the replacement has another signature.
    fn with_any(&'static self, replacement: &Replacement) -> Option<Override>;
}

/// What layers and scopes ask of a slot.
pub(crate) trait Inner {
    /// Takes a layer out, and says whether it was there.
    fn remove(&self, id: u64) -> bool;
    /// Waits for calls that may be in a layer that was taken out.
    fn wait(&self, timeout: Duration) -> Result<(), WaitError>;
    /// The function as it was written: a `&'static D` of the slot's `D`.
    fn original_any(&'static self) -> &'static dyn Any;
    /// A scope that replaces the function begins to live.
    fn enter_scope(&self, strict: Option<Weak<Strays>>);
    /// It has ended; with what it was begun with.
    fn leave_scope(&self, strict: Option<&Weak<Strays>>);
}

impl fmt::Debug for dyn AnySlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}: {}", self.module(), self.name(), self.signature())
    }
}

/// The slots of one module. A `static`, declared by [`patch_points!`](crate::patch_points!).
#[derive(Debug)]
pub struct Module {
    name: &'static str,
    slots: &'static [&'static dyn AnySlot],
}

impl Module {
    /// For what [`patch_points!`](crate::patch_points!) writes, and for modules that are put together at run time.
    pub const fn new(name: &'static str, slots: &'static [&'static dyn AnySlot]) -> Self {
        Self { name, slots }
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its slots, in the order in which they were declared.
    pub const fn slots(&self) -> &'static [&'static dyn AnySlot] {
        self.slots
    }

    /// The slot of this name. Looks at one after the other.
    pub fn slot(&self, item: &str) -> Option<&'static dyn AnySlot> {
        self.slots.iter().copied().find(|slot| slot.name() == item)
    }
}
