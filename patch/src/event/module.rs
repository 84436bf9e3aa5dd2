//! The events about one module.

use super::{DidPatch, DidPatchEvents, PatchEvents, WillPatch, WillPatchEvents};
use crate::items::{ItemName, Items};
use crate::module::Module;
use crate::source::Source;
use crate::warning::{PatchWarning, Sink};
use signalpost_dispatch::{BusStop, Event, entry_points, event};
use std::panic::Location;
use std::sync::Arc;

/// An event: functions of one module are about to be replaced. Subscribers and plugins edit which, or veto it.
///
/// Published after the source's own [`will_patch`](Source::will_patch). A veto leaves this module as it is; the pass goes on, and
/// no [`DidPatchModule`] follows. A failure undoes the pass. Plugins: `signalpost.plugins.patch.will_patch_module`.
///
/// # Examples
/// ```
/// use signalpost::BusStop;
/// use signalpost::patch::{Patcher, WillPatchModule};
///
/// let patcher = Patcher::new();
/// let _no_sleep = patcher.bus().topic::<WillPatchModule>().subscribe(|event| match event.module_name() {
///     "time" => { event.target_item_names().remove("sleep"); Ok(()) }
///     "net" => Err(BusStop::veto("the network stays as it is")),
///     _ => Ok(()),
/// });
/// ```
pub struct WillPatchModule {
    source: Arc<dyn Source>,
    target: &'static Module,
    items: Items,
    warnings: Sink,
}

impl WillPatchModule {
    /// The event, for a test or for a patcher of one's own.
    pub fn new(source: Arc<dyn Source>, target: &'static Module, items: Items) -> Self {
        Self { source, target, items, warnings: Sink::default() }
    }

    pub(crate) fn of(source: Arc<dyn Source>, target: &'static Module, items: Items, warnings: Sink) -> Self {
        Self { source, target, items, warnings }
    }

    /// The functions that are to be replaced: what it names when all have been asked is what is done.
    pub fn target_item_names(&self) -> &Items {
        &self.items
    }

    /// Has a [`PatchWarning`] published when the pass is over.
    #[track_caller]
    pub fn warn(&self, text: impl Into<String>) {
        self.warnings.warn(text.into(), caller::<Self>(Location::caller()));
    }

    /// What has been warned of in the pass, or of this event if it was made by hand.
    pub fn warnings(&self) -> Vec<PatchWarning> {
        self.warnings.since(0)
    }
}

/// Who warns by way of an event.
pub(super) fn caller<E: Event>(location: &Location<'_>) -> String {
    format!("{} ({location})", E::NAME)
}

about_module!(WillPatchModule: items);
impl WillPatch for WillPatchModule {}

event!(
    WillPatchModule: "signalpost.patch.will_patch_module",
    stop = BusStop,
    entry_point = entry_points::WILL_PATCH_MODULE,
    families = [WillPatchEvents, PatchEvents],
);

/// An event: functions of one module have been replaced.
///
/// Published after the source's own [`did_patch`](Source::did_patch), also if no function was left to replace. A failure undoes the
/// pass. Plugins: `signalpost.plugins.patch.did_patch_module`.
///
/// # Examples
/// ```
/// use signalpost::patch::{DidPatchModule, Patcher};
///
/// let patcher = Patcher::new();
/// let _log = patcher.bus().topic::<DidPatchModule>().subscribe(|event| {
///     println!("{}: {:?} by {:?}", event.module_name(), event.items(), event.source());
/// });
/// ```
///
/// It is too late for a veto, and the compiler says so:
/// ```compile_fail,E0277
/// use signalpost::BusStop;
/// use signalpost::patch::{DidPatchModule, Patcher};
///
/// let patcher = Patcher::new();
/// let _late = patcher.bus().topic::<DidPatchModule>().subscribe(|_| Err(BusStop::veto("no")));
/// ```
pub struct DidPatchModule {
    source: Arc<dyn Source>,
    target: &'static Module,
    items: Vec<ItemName>,
}

impl DidPatchModule {
    /// The event, for a test or for a patcher of one's own.
    pub fn new(source: Arc<dyn Source>, target: &'static Module, items: Vec<ItemName>) -> Self {
        Self { source, target, items }
    }

    /// The functions that were replaced, in order.
    pub fn items(&self) -> &[ItemName] {
        &self.items
    }
}

about_module!(DidPatchModule: items);
impl DidPatch for DidPatchModule {}

event!(
    DidPatchModule: "signalpost.patch.did_patch_module",
    entry_point = entry_points::DID_PATCH_MODULE,
    families = [DidPatchEvents, PatchEvents],
);
