//! Functions that can be replaced at run time: patch points, layers, scopes, and the events that tell of them.
//!
//! Part of `signalpost`, and re-exported by it as `signalpost::patch`; depend on that.
//!
//! A program declares **patch points** ([`patch_points!`]): modules of functions that are called through slots. What is called
//! past the slot is not affected: a crate that calls `std::thread::sleep` by itself sleeps, whatever a slot of that name says.
//!
//! One function is replaced by a [`Layer`], for everybody, or in a [`Scope`], for those inside. Many are by a [`Patcher`], which publishes
//! events that can say no ([`WillPatchAll`], [`WillPatchModule`]) and does all of it or nothing.
//!
//! | module | owns |
//! |---|---|
//! | `declare` | the macro |
//! | `slot` | one function that can be replaced: which of its layers a call enters |
//! | `layer` | one replacement for everybody, and its end |
//! | `scope` | replacements for those inside: threads, tasks, parallel tests |
//! | `replacement`, `module` | functions whose signature is known at run time only; slots by name |
//! | `source`, `items` | who offers replacements by name; which of them are to be put in place |
//! | `patcher`, `settings`, `arguments` | who is asked to replace functions; the modules and switches it knows; what it is asked for |
//! | `pass`, `plan` | what is asked, checked, switched and told, in which order; one module's names and signatures |
//! | `journal`, `transaction` | what has been replaced, and how it is undone; several passes that are kept together or not at all |
//! | `event`, `warning`, `companions` | what is published; what people should know; the plugin that warns |
//! | `report`, `error` | what came of it |
//! | [`points`] | patch points that most programs want, a clock that stands still, faults on purpose |

#![forbid(unsafe_code)]
#![cfg(not(signalpost_loom))] // statics hold cells, which loom's cannot be

mod arguments;
mod companions;
mod declare;
mod error;
mod event;
mod items;
mod journal;
mod layer;
mod module;
mod pass;
mod patcher;
mod plan;
pub mod points;
mod replacement;
mod report;
mod scope;
mod settings;
mod slot;
mod source;
mod transaction;
mod warning;

pub use arguments::{Args, Extra};
pub use companions::COMPANIONS;
pub use error::PatchError;
pub use event::{
    DidPatch, DidPatchAll, DidPatchBuiltinModules, DidPatchEvents, DidPatchItem, DidPatchModule, PatchEvent,
    PatchEvents, WillPatch, WillPatchAll, WillPatchEvents, WillPatchItem, WillPatchModule,
};
pub use items::{ItemName, Items};
pub use layer::{Layer, UndoError};
pub use module::{AnySlot, Module};
pub use patcher::{Patcher, PatcherBuilder, patcher};
pub use replacement::Replacement;
pub use report::{Failure, Outcome, Patched, PatchedItem, Report, VetoLevel, Vetoed};
pub use scope::{Entered, Override, Scope, Scoped, Stray};
pub use settings::Builtin;
#[doc(hidden)]
pub use slot::Path;
pub use slot::{Next, Slot};
pub use source::{Replacements, Source};
pub use transaction::Transaction;
pub use warning::{PatchWarning, Warnings};

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
