//! The events that tell of functions being replaced: what they have in common.
//!
//! Owns the traits and the families. Not here: the events themselves (`event/module.rs`, `event/item.rs`, `event/all.rs`), when they
//! are published (`pass.rs`).

/// What all events about one module have: a `source`, a `target`, and a field that says which functions.
macro_rules! about_module {
    ($event:ident: $functions:ident) => {
        impl $event {
            /// The module's name.
            pub fn module_name(&self) -> &'static str {
                self.target.name()
            }

            /// Who offers the replacements.
            pub fn source(&self) -> &std::sync::Arc<dyn crate::source::Source> {
                &self.source
            }

            /// Whose functions they are for.
            pub fn target(&self) -> &'static crate::module::Module {
                self.target
            }
        }

        impl crate::event::PatchEvent for $event {
            fn source(&self) -> Option<&std::sync::Arc<dyn crate::source::Source>> {
                Some(&self.source)
            }

            fn target(&self) -> Option<&'static crate::module::Module> {
                Some(self.target)
            }
        }

        impl std::fmt::Debug for $event {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($event))
                    .field("source", &self.source)
                    .field("target", &self.module_name())
                    .field(stringify!($functions), &self.$functions)
                    .finish()
            }
        }
    };
}

pub(crate) mod all;
mod item;
mod module;

pub use all::{DidPatchAll, DidPatchBuiltinModules, WillPatchAll};
pub use item::{DidPatchItem, WillPatchItem};
pub use module::{DidPatchModule, WillPatchModule};

use crate::module::Module;
use crate::source::Source;
use signalpost_dispatch::family;
use std::sync::Arc;

/// Any event about replacing functions. Third parties make their own events ones.
pub trait PatchEvent: 'static {
    /// Who offers the replacements; `None` where the event is about no single source.
    fn source(&self) -> Option<&Arc<dyn Source>>;
    /// Whose functions they are for; `None` where the event is about no single module.
    fn target(&self) -> Option<&'static Module>;
}

/// An event before the fact: whoever hears it can veto it.
pub trait WillPatch: PatchEvent {}

/// An event after the fact.
pub trait DidPatch: PatchEvent {}

family! {
    /// All events about replacing functions.
    ///
    /// ```
    /// use signalpost::patch::{Module, Patcher, PatchEvents};
    ///
    /// let patcher = Patcher::new();
    /// let _log = patcher.bus().family::<PatchEvents>().subscribe(|event| {
    ///     println!("{:?} offers for {:?}", event.source(), event.target().map(Module::name));
    /// });
    /// ```
    pub struct PatchEvents: dyn PatchEvent = "signalpost.patch.events";
}
family! {
    /// Those that can be vetoed.
    pub struct WillPatchEvents: dyn WillPatch = "signalpost.patch.will_patch_events";
}
family! {
    /// Those that tell of what has been done. A veto of one is a failure: [`LateVeto`](signalpost_dispatch::LateVeto).
    pub struct DidPatchEvents: dyn DidPatch = "signalpost.patch.did_patch_events";
}
