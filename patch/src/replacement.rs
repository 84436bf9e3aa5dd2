//! A function to put into a slot whose signature is known at run time only.
//!
//! Owns the check of signatures.

use crate::module::AnySlot;
use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;

/// A function for the slot of one name: what a source offers. Made by the functions in a patch point's module `sig`.
///
/// # Examples
/// ```
/// # signalpost::patch::patch_points! { pub mod sum { fn add(a: u32, b: u32) -> u32 { a + b } } }
/// # fn main() {
/// let replacement = sum::sig::add(|a, b| a.saturating_add(b));
/// assert_eq!((replacement.item(), replacement.signature()), ("add", "fn(u32, u32) -> u32"));
/// # }
/// ```
#[derive(Clone)]
pub struct Replacement {
    item: &'static str,
    signature: &'static str,
    signature_id: TypeId,
    function: Arc<dyn Any + Send + Sync>, // a `Function<D, F>`
}

struct Function<D: ?Sized, F> {
    call: Arc<D>,
    plain: Option<F>,
}

impl Replacement {
    pub(crate) fn new<D, F>(slot: &dyn AnySlot, call: Arc<D>, plain: Option<F>) -> Self
    where
        D: ?Sized + Send + Sync + 'static,
        F: Copy + Send + Sync + 'static,
    {
        let function = Arc::new(Function { call, plain });
        Self { item: slot.name(), signature: slot.signature(), signature_id: TypeId::of::<D>(), function }
    }

    /// The name of the function that it was made for.
    pub fn item(&self) -> &'static str {
        self.item
    }

    /// Its signature as it was written.
    pub fn signature(&self) -> &'static str {
        self.signature
    }

    /// Its signature as the compiler knows it.
    pub fn signature_id(&self) -> TypeId {
        self.signature_id
    }

    /// The function, if its signature is this one.
    pub(crate) fn get<D: ?Sized + 'static, F: Copy + 'static>(&self) -> Option<(&Arc<D>, Option<F>)> {
        let Function { call, plain } = self.function.downcast_ref::<Function<D, F>>()?;
        Some((call, *plain))
    }
}

impl fmt::Debug for Replacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Replacement({}: {})", self.item, self.signature)
    }
}
