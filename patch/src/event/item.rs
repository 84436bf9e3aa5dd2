//! The events about one function, for those who ask for them.

use super::{DidPatch, DidPatchEvents, PatchEvents, WillPatch, WillPatchEvents};
use crate::items::ItemName;
use crate::module::Module;
use crate::source::Source;
use signalpost_dispatch::{BusStop, event};
use std::sync::Arc;

macro_rules! item_event {
    ($(#[$about:meta])* $event:ident) => {
        $(#[$about])*
        pub struct $event {
            source: Arc<dyn Source>,
            target: &'static Module,
            item: ItemName,
        }

        impl $event {
            /// The event, for a test or for a patcher of one's own.
            pub fn new(source: Arc<dyn Source>, target: &'static Module, item: impl Into<ItemName>) -> Self {
                Self { source, target, item: item.into() }
            }

            /// The function.
            pub fn item(&self) -> &ItemName {
                &self.item
            }
        }

        about_module!($event: item);
    };
}

item_event! {
    /// An event: one function is about to be replaced. A veto leaves it, and it alone, as it is.
    ///
    /// Published only where somebody has subscribed to this very type, which is looked at once a module: for each function that the
    /// module's list names after [`WillPatchModule`](crate::WillPatchModule). There are no plugins for it.
    ///
    /// # Examples
    /// ```
    /// use signalpost::BusStop;
    /// use signalpost::patch::{Patcher, WillPatchItem};
    ///
    /// let patcher = Patcher::new();
    /// let _guard = patcher.bus().topic::<WillPatchItem>().subscribe(|event| {
    ///     if event.item() == "sleep" { Err(BusStop::veto("sleep is measured")) } else { Ok(()) }
    /// });
    /// ```
    WillPatchItem
}

item_event! {
    /// An event: one function has been replaced.
    ///
    /// Published right after it, before the next one is; only where somebody has subscribed to this very type, which is looked at once
    /// a module. There are no plugins for it. A failure undoes the pass.
    DidPatchItem
}

impl WillPatch for WillPatchItem {}
impl DidPatch for DidPatchItem {}

event!(WillPatchItem: "signalpost.patch.will_patch_item", stop = BusStop, families = [WillPatchEvents, PatchEvents]);
event!(DidPatchItem: "signalpost.patch.did_patch_item", families = [DidPatchEvents, PatchEvents]);
