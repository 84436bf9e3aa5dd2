//! Functions that can be replaced at run time: patch points, layers, scopes, and the events that tell of them.
//!
//! Part of `signalpost`, and re-exported by it as `signalpost::patch`; depend on that.
//!
//! A program declares **patch points** ([`patch_points!`]): modules of functions that are called through slots. What is called
//! past the slot is not affected: a crate that calls `std::thread::sleep` by itself sleeps, whatever a slot of that name says.
//!
//! | module | owns |
//! |---|---|
//! | `declare` | the macro |
//! | `slot` | one function that can be replaced: which of its layers a call enters |
//! | `layer` | one replacement for everybody, and its end |
//! | `scope` | replacements for those inside: threads, tasks, parallel tests |
//! | `replacement`, `module` | functions whose signature is known at run time only; slots by name |
//! | [`points`] | patch points that most programs want, a clock that stands still, faults on purpose |

#![forbid(unsafe_code)]
#![cfg(not(signalpost_loom))] // statics hold cells, which loom's cannot be

mod declare;
mod error;
mod layer;
mod module;
pub mod points;
mod replacement;
mod scope;
mod slot;

pub use error::PatchError;
pub use layer::{Layer, UndoError};
pub use module::{AnySlot, Module};
pub use replacement::Replacement;
pub use scope::{Entered, Override, Scope, Scoped, Stray};
pub use signalpost_dispatch as dispatch;
#[doc(hidden)]
pub use slot::Path;
pub use slot::{Next, Slot};

use std::future::Future;
use std::pin::Pin;

/// What a patch point returns that is asynchronous: `fn fetch(url: &str) -> BoxFuture<'_, io::Result<Vec<u8>>>`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// For what [`patch_points!`] writes.
#[doc(hidden)]
pub fn __replacement<D, F>(slot: &Slot<D, F>, call: std::sync::Arc<D>, plain: Option<F>) -> Replacement
where
    D: ?Sized + Send + Sync + 'static,
    F: Copy + Send + Sync + 'static,
{
    Replacement::new(slot, call, plain)
}
