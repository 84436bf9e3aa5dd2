//! The patcher: who is asked to replace functions, and remembers what was replaced.
//!
//! Owns the handle and what belongs to it. Not here: what a pass does (`pass.rs`), what has been done (`journal.rs`).

use crate::companions::COMPANIONS;
use crate::error::PatchError;
use crate::items::ItemName;
use crate::journal::Journal;
use crate::module::Module;
use crate::plan;
use crate::report::Report;
use crate::settings::{Builtin, Settings};
use crate::transaction::Transaction;
use signalpost_dispatch::{Bus, BusRef, Plugins, plugins};
use std::any::type_name;
use std::fmt;
use std::ops::{Deref, Range};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

/// Replaces functions in passes, with events that can say no; remembers what it has replaced, and undoes it.
///
/// A handle: clones are the same patcher. When the last clone of it is dropped, it undoes what is still in place, the last first; the
/// process-wide one ([`patcher`]) never is. A replacement that keeps a clone keeps the patcher.
///
/// # What is promised
/// - **All or nothing**: if a source, a subscriber or a plugin fails or panics, or a name or a signature is wrong, everything that the
///   pass had switched is switched back in reverse. Names and signatures are checked before the first event, and those of a module once
///   more before its first function is switched, for what was added meanwhile. A plugin's failure that
///   [`Policy::Isolate`](signalpost_dispatch::Policy::Isolate) keeps from publishers is none here: what the plugin did until then stays.
/// - **One at a time**: while a pass runs or a transaction is open, other threads are given [`PatchError::Busy`] at once. What is
///   patched on the same thread, by a subscriber say, is part of it: undone by itself if it fails, with the rest if that does.
/// - **No lock is held** while a source, a subscriber, a plugin, or a destructor of what a replacement captured runs.
/// - **One function at a time**: each is switched at once, a module is not; calls that have begun finish where they are.
///
/// # Cost
/// A few µs for each function, for each event what its subscribers take, and a read of the registry of plugins.
///
/// # Examples
/// ```
/// use signalpost::BoxError;
/// use signalpost::patch::{Args, Builtin, Extra, Patcher, Replacements, WillPatchModule, patch_points};
/// use std::sync::Arc;
///
/// patch_points! {
///     pub mod time { fn hour() -> u32 { 12 } }
///     pub mod net { fn online() -> bool { true } }
/// }
///
/// fn main() -> Result<(), BoxError> {
///     let patcher = Patcher::new();
///     patcher.builtin(Builtin::new(&time::MODULE, Arc::new(Replacements::new("night").with(time::sig::hour(|| 3)))))?;
///     patcher.builtin(Builtin::new(&net::MODULE, Arc::new(Replacements::new("cut").with(net::sig::online(|| false)))))?;
///
///     let _log = patcher.bus().topic::<WillPatchModule>().subscribe(|event| println!("{event:?}"));
///     let patched = patcher.patch_all(&Args::new(), &Extra::new())?.patched().expect("nobody vetoes");
///     assert_eq!((time::hour(), net::online()), (3, false));
///     println!("{}", *patched);
///
///     patcher.undo_all()?;
///     assert_eq!((time::hour(), net::online()), (12, true));
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Patcher(pub(crate) Arc<Inner>);

/// What the clones share.
pub(crate) struct Inner {
    pub(crate) journal: Journal,
    settings: Mutex<Settings>,
    pub(crate) bus: BusRef,
    plugins: PluginsRef,
}

enum PluginsRef {
    Own(Box<Plugins>),
    Static(&'static Plugins),
}

impl Deref for PluginsRef {
    type Target = Plugins;

    fn deref(&self) -> &Plugins {
        match self {
            Self::Own(plugins) => plugins,
            Self::Static(plugins) => plugins,
        }
    }
}

/// The process-wide patcher, on the process-wide [bus](signalpost_dispatch::bus) and [plugins](plugins()).
///
/// # Examples
/// ```
/// let report = signalpost::patch::patcher().report();
/// assert!(report.items.is_empty());
/// ```
pub fn patcher() -> &'static Patcher {
    static PATCHER: LazyLock<Patcher> = LazyLock::new(|| Patcher::builder().build());
    &PATCHER
}

impl Patcher {
    /// A patcher with a bus and plugins of its own.
    ///
    /// Slots are the program's: what it replaces, it replaces for everybody.
    #[expect(clippy::new_without_default, reason = "the default would be the process-wide one")]
    pub fn new() -> Self {
        Self::make(Arc::new(Bus::new()).into(), PluginsRef::Own(Box::default()))
    }

    /// A patcher on a bus and plugins to be chosen; the process-wide ones at first.
    pub fn builder() -> PatcherBuilder {
        PatcherBuilder::default()
    }

    fn make(bus: BusRef, plugins: PluginsRef) -> Self {
        // Refused where it is there already: then another patcher has put it there.
        let _there = plugins.add(&COMPANIONS);
        Self(Arc::new(Inner { journal: Journal::default(), settings: Mutex::default(), bus, plugins }))
    }

    /// Where its events are published.
    pub fn bus(&self) -> &Bus {
        &self.0.bus
    }

    /// The plugins that are called after the subscribers.
    pub fn plugins(&self) -> &Plugins {
        &self.0.plugins
    }

    /// Registers a module for [`patch_all`](Self::patch_all), behind those there are.
    ///
    /// # Errors
    /// [`PatchError::DuplicateModule`], [`PatchError::DuplicateSetting`]; nothing has changed then.
    pub fn builtin(&self, builtin: Builtin) -> Result<(), PatchError> {
        let builtin = Arc::new(builtin); // dropped after the lock, if it is refused
        self.0.settings().add(builtin.clone())
    }

    /// Registers a setting that is no module: sources and subscribers look at it.
    ///
    /// # Errors
    /// [`PatchError::DuplicateSetting`].
    pub fn option(&self, name: impl Into<ItemName>, default: bool) -> Result<(), PatchError> {
        let name = name.into();
        self.0.settings().add_option(name, default)
    }

    /// Opens a transaction on this thread: what is patched on it is kept together, or not at all.
    ///
    /// # Errors
    /// [`PatchError::Busy`]: another thread is patching.
    pub fn transaction(&self) -> Result<Transaction, PatchError> {
        Transaction::open(self.clone())
    }

    /// Undoes all that this patcher has replaced and that is still in place, the last first. Settings are forgotten, so that the next
    /// [`patch_all`](Self::patch_all) is like the first; what is registered stays. The report says what was
    /// [undone](Report::undone).
    ///
    /// # Errors
    /// [`PatchError::Busy`] while a pass runs or a transaction is open, on whatever thread; nothing has changed then.
    pub fn undo_all(&self) -> Result<Report, PatchError> {
        self.0.journal.undo_settled()
    }

    /// What is in place now, once its pass or transaction has ended; and of the last of those that has: vetoes, warnings, why it
    /// failed if it did, and what was undone for that. A copy.
    pub fn report(&self) -> Report {
        self.0.journal.report()
    }

    /// Whether this patcher has replaced a function of this module, in a pass that has ended. Looks through what it has replaced.
    pub fn is_module_patched(&self, module: &str) -> bool {
        self.0.journal.is_patched(module, None)
    }

    /// Whether this patcher has replaced this function, in a pass that has ended. Looks through what it has replaced.
    pub fn is_item_patched(&self, module: &str, item: &str) -> bool {
        self.0.journal.is_patched(module, Some(item))
    }

    /// A function as it was written, by name, whatever replaces it. Of modules that are registered here, or that this patcher has been
    /// asked to patch; who knows the module at compile time has `original::…`.
    ///
    /// # Errors
    /// [`PatchError::NoSuchModule`], [`PatchError::NoSuchItem`]; [`PatchError::Signature`] if it is not a `D`.
    ///
    /// # Examples
    /// ```
    /// # signalpost::patch::patch_points! { pub mod sum { fn add(a: u32, b: u32) -> u32 { a + b } } }
    /// # use signalpost::patch::{Patcher, Replacements};
    /// # fn main() -> Result<(), signalpost::patch::PatchError> {
    /// let patcher = Patcher::new();
    /// let source = std::sync::Arc::new(Replacements::new("product").with(sum::sig::add(|a, b| a * b)));
    /// let _patched = patcher.patch_module(&sum::MODULE, source, None)?;
    /// let add = patcher.get_original::<sum::sig::add>("sum", "add")?;
    /// assert_eq!((add(2, 3), sum::add(2, 3)), (5, 6));
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_original<D: ?Sized + 'static>(
        &self,
        module: &str,
        item: &str,
    ) -> Result<&'static D, PatchError> {
        let target = self.0.settings().module(module)?;
        let slot = target.slot(item).ok_or_else(|| plan::no_such_item(target, item))?;
        let original = slot.original_any().downcast_ref::<&'static D>();
        original.copied().ok_or_else(|| plan::signature(target.name(), slot, type_name::<D>()))
    }

    /// That this module is worked on.
    pub(crate) fn know(&self, target: &'static Module) {
        self.0.settings().know(target);
    }
}

impl Inner {
    pub(crate) fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Undoes a pass that has ended.
    pub(crate) fn undo(&self, span: Range<u64>) -> Report {
        self.journal.undo_span(span)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.undo(0..u64::MAX);
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patcher")
            .field("bus", &self.bus)
            .field("items", &self.journal.report().items)
            .finish()
    }
}

impl fmt::Debug for Patcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a [`Patcher`] is built from.
///
/// # Examples
/// ```
/// use signalpost::patch::Patcher;
/// use signalpost::{Bus, Plugins};
/// use std::sync::Arc;
///
/// static PLUGINS: Plugins = Plugins::new();
/// let bus = Arc::new(Bus::new());
/// let patcher = Patcher::builder().bus(bus.clone()).plugins(&PLUGINS).build();
/// # let _ = patcher;
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "it is not a patcher before it is built"]
pub struct PatcherBuilder {
    bus: BusRef,
    plugins: Option<&'static Plugins>,
}

impl PatcherBuilder {
    /// Where its events are published: a `&'static Bus`, an `Arc<Bus>`. The process-wide one if nothing is said.
    pub fn bus(mut self, bus: impl Into<BusRef>) -> Self {
        self.bus = bus.into();
        self
    }

    /// The plugins that are called after the subscribers. The process-wide ones if nothing is said.
    pub fn plugins(mut self, plugins: &'static Plugins) -> Self {
        self.plugins = Some(plugins);
        self
    }

    /// The patcher. It adds the plugin [`COMPANIONS`] to its plugins, if that is not there.
    pub fn build(self) -> Patcher {
        Patcher::make(self.bus, PluginsRef::Static(self.plugins.unwrap_or_else(plugins)))
    }
}
