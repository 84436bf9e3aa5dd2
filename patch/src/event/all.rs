//! The events about a pass over all modules.

use super::module::caller;
use super::{DidPatch, DidPatchEvents, PatchEvent, PatchEvents, WillPatch, WillPatchEvents};
use crate::arguments::{Args, Extra};
use crate::module::Module;
use crate::patcher::Patcher;
use crate::report::Report;
use crate::settings::Need;
use crate::source::Source;
use crate::warning::{PatchWarning, Sink};
use signalpost_dispatch::{BusStop, entry_points, event};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// An event: a pass over all modules is about to begin. A veto stops it before anything is done; nothing is remembered of it.
///
/// Plugins: `signalpost.plugins.patch.will_patch_all`.
///
/// # Examples
/// ```
/// use signalpost::BusStop;
/// use signalpost::patch::{Patcher, WillPatchAll};
///
/// let patcher = Patcher::new();
/// let _guard = patcher.bus().topic::<WillPatchAll>().subscribe(|event| {
///     if event.will_patch_module("net") && event.option("dns") != Some(true) {
///         return Err(BusStop::veto("net without dns would block"));
///     }
///     Ok(())
/// });
/// ```
pub struct WillPatchAll {
    arguments: Args,
    extra: Extra,
    modules: Vec<&'static str>,
    needs: Vec<Need>,
    warnings: Sink,
}

impl WillPatchAll {
    /// The event, for a test or for a patcher of one's own.
    pub fn new(arguments: Args, extra: Extra) -> Self {
        Self { arguments, extra, modules: Vec::new(), needs: Vec::new(), warnings: Sink::default() }
    }

    /// The event of a pass that patches these modules, and that leaves these needs unmet.
    pub(crate) fn of(
        arguments: Args,
        extra: Extra,
        modules: Vec<&'static str>,
        needs: Vec<Need>,
        warnings: Sink,
    ) -> Self {
        Self { arguments, extra, modules, needs, warnings }
    }

    /// The settings that this pass changes: in the first one all there are, on or off; later those that are newly on.
    pub fn arguments(&self) -> &Args {
        &self.arguments
    }

    /// What the caller has to say to plugins and subscribers.
    pub fn extra(&self) -> &Extra {
        &self.extra
    }

    /// Whether this pass will patch the module of this name, or those whose setting has this name. Vetoes are still to come.
    pub fn will_patch_module(&self, name: &str) -> bool {
        self.modules.contains(&name) || self.option(name) == Some(true)
    }

    /// Whether a setting is newly on or off; `None` if this pass does not change it.
    pub fn option(&self, name: &str) -> Option<bool> {
        self.arguments.get(name)
    }

    /// Has a [`PatchWarning`] published when the pass is over, unless it is vetoed.
    #[track_caller]
    pub fn warn(&self, text: impl Into<String>) {
        self.warn_as(text.into(), caller::<Self>(Location::caller()));
    }

    pub(crate) fn warn_as(&self, text: String, by: String) {
        self.warnings.warn(text, by);
    }

    /// What has been warned of in the pass, or of this event if it was made by hand.
    pub fn warnings(&self) -> Vec<PatchWarning> {
        self.warnings.since(0)
    }

    /// What modules that will be patched would need and do not get.
    pub(crate) fn needs(&self) -> &[Need] {
        &self.needs
    }
}

/// An event: the registered modules have been patched. Third parties patch theirs now, as part of the same pass.
///
/// Plugins: `signalpost.plugins.patch.did_patch_builtins`.
///
/// # Examples
/// ```
/// # signalpost::patch::patch_points! { pub mod sum { fn add(a: u32, b: u32) -> u32 { a + b } } }
/// # fn main() -> Result<(), signalpost::patch::PatchError> {
/// use signalpost::patch::{Args, DidPatchBuiltinModules, Extra, Patcher, Replacements};
/// use signalpost::BoxError;
/// use std::sync::Arc;
///
/// let patcher = Patcher::new();
/// let _ours = patcher.bus().topic::<DidPatchBuiltinModules>().subscribe(|event| {
///     let source = Arc::new(Replacements::new("product").with(sum::sig::add(|a, b| a * b)));
///     let _vetoed_or_not = event.patcher().patch_module(&sum::MODULE, source, None)?;
///     Ok::<(), BoxError>(())
/// });
/// let patched = patcher.patch_all(&Args::new(), &Extra::new())?.patched().expect("nobody vetoes");
/// assert_eq!(sum::add(2, 3), 6);
/// patched.undo();
/// assert_eq!(sum::add(2, 3), 5);
/// # Ok(())
/// # }
/// ```
pub struct DidPatchBuiltinModules {
    arguments: Args,
    extra: Extra,
    patcher: Patcher,
}

impl DidPatchBuiltinModules {
    /// The event, for a test or for a patcher of one's own.
    pub fn new(arguments: Args, extra: Extra, patcher: Patcher) -> Self {
        Self { arguments, extra, patcher }
    }

    /// As [`WillPatchAll::arguments`].
    pub fn arguments(&self) -> &Args {
        &self.arguments
    }

    /// What the caller has to say to plugins and subscribers.
    pub fn extra(&self) -> &Extra {
        &self.extra
    }

    /// What patches: what it is asked for from here on this thread is part of the pass.
    pub fn patcher(&self) -> &Patcher {
        &self.patcher
    }
}

/// An event: a pass over all modules is done, third parties' included. A failure undoes it all the same.
///
/// Plugins: `signalpost.plugins.patch.did_patch_all`.
pub struct DidPatchAll {
    arguments: Args,
    extra: Extra,
    report: Report,
}

impl DidPatchAll {
    /// The event, for a test or for a patcher of one's own.
    pub fn new(arguments: Args, extra: Extra, report: Report) -> Self {
        Self { arguments, extra, report }
    }

    /// As [`WillPatchAll::arguments`].
    pub fn arguments(&self) -> &Args {
        &self.arguments
    }

    /// What the caller has to say to plugins and subscribers.
    pub fn extra(&self) -> &Extra {
        &self.extra
    }

    /// What the pass did.
    pub fn report(&self) -> &Report {
        &self.report
    }
}

macro_rules! about_all {
    ($($event:ident)*) => {$(
        impl PatchEvent for $event {
            /// None: the event is about all modules.
            fn source(&self) -> Option<&Arc<dyn Source>> {
                None
            }

            /// None: the event is about all modules.
            fn target(&self) -> Option<&'static Module> {
                None
            }
        }

        impl fmt::Debug for $event {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($event))
                    .field("arguments", &self.arguments)
                    .field("extra", &self.extra)
                    .finish_non_exhaustive()
            }
        }
    )*};
}

about_all! { WillPatchAll DidPatchBuiltinModules DidPatchAll }

impl WillPatch for WillPatchAll {}
impl DidPatch for DidPatchBuiltinModules {}
impl DidPatch for DidPatchAll {}

event!(
    WillPatchAll: "signalpost.patch.will_patch_all",
    stop = BusStop,
    entry_point = entry_points::WILL_PATCH_ALL,
    families = [WillPatchEvents, PatchEvents],
);
event!(
    DidPatchBuiltinModules: "signalpost.patch.did_patch_builtin_modules",
    entry_point = entry_points::DID_PATCH_BUILTINS,
    families = [DidPatchEvents, PatchEvents],
);
event!(
    DidPatchAll: "signalpost.patch.did_patch_all",
    entry_point = entry_points::DID_PATCH_ALL,
    families = [DidPatchEvents, PatchEvents],
);
