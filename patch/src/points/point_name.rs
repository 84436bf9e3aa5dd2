//! What a function is called that faults are put into.
//!
//! Owns the two ways to say it. Not here: which names are known (`faults.rs`).

use crate::module::AnySlot;
use crate::slot::Slot;
use std::fmt;

/// A function by name: `module::function`, or its slot.
///
/// ```
/// use signalpost::patch::points::{PointName, net};
///
/// assert_eq!(PointName::from("signalpost.net::connect"), PointName::from(&net::slots::connect));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PointName<'a> {
    pub(super) module: &'a str,
    pub(super) item: &'a str,
}

impl<'a> From<&'a str> for PointName<'a> {
    fn from(name: &'a str) -> Self {
        let (module, item) = name.rsplit_once("::").unwrap_or(("", name));
        Self { module, item }
    }
}

impl<D, F> From<&Slot<D, F>> for PointName<'static>
where
    D: ?Sized + Send + Sync + 'static,
    F: Copy + Send + Sync + 'static,
{
    fn from(slot: &Slot<D, F>) -> Self {
        Self { module: slot.module(), item: slot.name() }
    }
}

impl From<&'static dyn AnySlot> for PointName<'static> {
    fn from(slot: &'static dyn AnySlot) -> Self {
        Self { module: slot.module(), item: slot.name() }
    }
}

impl fmt::Display for PointName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.module {
            "" => f.write_str(self.item),
            module => write!(f, "{module}::{}", self.item),
        }
    }
}
