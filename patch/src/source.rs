//! Who offers replacements: by name, for a module.
//!
//! Owns the trait, and a source that is a table. Not here: whether what it offers fits (`plan.rs`).

use crate::error::PatchError;
use crate::items::{ItemName, Items};
use crate::module::Module;
use crate::plan::Plan;
use crate::replacement::Replacement;
use crate::scope::Override;
use crate::warning::Warnings;
use signalpost_dispatch::{BoxError, BusStop};
use std::fmt;
use std::sync::Arc;

/// Offers replacements for functions of a module, by name. What gevent calls a source module.
///
/// [`Replacements`] is one that is put together from closures. All methods are called with no lock held, on the thread of the pass.
///
/// # Examples
/// ```
/// use signalpost::patch::{ItemName, Module, Patcher, Replacement, Source, patch_points};
/// use std::sync::Arc;
///
/// patch_points! { pub mod disk { fn free() -> u64 { 1 << 30 } fn name() -> String { "sda".to_owned() } } }
///
/// /// A disk on which this much is left.
/// struct Full(u64);
/// impl Source for Full {
///     fn name(&self) -> &str { "full" }
///     fn implements(&self, _: &'static Module) -> Vec<ItemName> { vec!["free".into()] }
///     fn make(&self, _: &'static Module, item: &str) -> Option<Replacement> {
///         let left = self.0;
///         (item == "free").then(|| disk::sig::free(move || left))
///     }
/// }
///
/// fn main() -> Result<(), signalpost::patch::PatchError> {
///     let patcher = Patcher::new();
///     patcher.patch_module(&disk::MODULE, Arc::new(Full(512)), None)?;
///     assert_eq!(disk::free(), 512);
///     drop(patcher);
///     assert_eq!(disk::free(), 1 << 30);
///     Ok(())
/// }
/// ```
pub trait Source: Send + Sync + 'static {
    /// What it is called, for people.
    fn name(&self) -> &str;

    /// The functions of the module that it has replacements for, in the order in which they are to be replaced. gevent's
    /// `__implements__`.
    fn implements(&self, target: &'static Module) -> Vec<ItemName>;

    /// A replacement for one function; `None` if it has none. Asked before anything is replaced, at most once a pass for each name.
    fn make(&self, target: &'static Module, item: &str) -> Option<Replacement>;

    /// Asked first when the module is about to be patched; may edit `items`, and warn. Provided: nothing.
    ///
    /// # Errors
    /// A veto: the module is left as it is, and no event tells of it. A failure: the pass is undone.
    fn will_patch(&self, target: &'static Module, items: &Items, warnings: &Warnings) -> Result<(), BusStop> {
        let _ = (target, items, warnings);
        Ok(())
    }

    /// Told when the functions named have been replaced, before [`DidPatchModule`](crate::DidPatchModule) is published. Provided:
    /// nothing.
    ///
    /// # Errors
    /// A failure: the pass is undone.
    fn did_patch(
        &self,
        target: &'static Module,
        items: &[ItemName],
        warnings: &Warnings,
    ) -> Result<(), BoxError> {
        let _ = (target, items, warnings);
        Ok(())
    }
}

impl fmt::Debug for dyn Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A [`Source`] that is a table of replacements.
///
/// It offers each under the name of the function it was made for, whatever the module, in the order in which they were added; with two
/// for one name it is refused where it is used, as any source that lists a name twice.
///
/// # Examples
/// ```
/// use signalpost::patch::{Replacements, Scope, patch_points};
/// use std::sync::Arc;
///
/// patch_points! { pub mod sum { fn add(a: u32, b: u32) -> u32 { a + b } fn twice(a: u32) -> u32 { 2 * a } } }
///
/// fn main() -> Result<(), signalpost::patch::PatchError> {
///     let source = Replacements::new("odd").with(sum::sig::add(|a, b| a + b + 1)).with(sum::plain::twice(|a| 2 * a + 1));
///     let scope = Scope::new(sum::MODULE.overrides(&source)?)?;
///     assert_eq!(scope.run(|| (sum::add(2, 3), sum::twice(2))), (6, 5));
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Replacements {
    name: Arc<str>,
    table: Vec<Replacement>,
}

impl Replacements {
    /// A source without replacements.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), table: Vec::new() }
    }

    /// Adds one.
    #[must_use]
    pub fn with(mut self, replacement: Replacement) -> Self {
        self.table.push(replacement);
        self
    }
}

impl Source for Replacements {
    fn name(&self) -> &str {
        &self.name
    }

    fn implements(&self, _: &'static Module) -> Vec<ItemName> {
        self.table.iter().map(|replacement| replacement.item().into()).collect()
    }

    fn make(&self, _: &'static Module, item: &str) -> Option<Replacement> {
        self.table.iter().find(|replacement| replacement.item() == item).cloned()
    }
}

impl Module {
    /// What a source offers for this module, for a [`Scope`](crate::Scope): the same replacements as a pass would put in place, for
    /// those inside only. No event tells of it, and the source's hooks are not called.
    ///
    /// # Errors
    /// [`PatchError`]: the source lists a function that is not there, or twice, or one that it does not make, or with another
    /// signature.
    pub fn overrides(&'static self, source: &dyn Source) -> Result<Vec<Override>, PatchError> {
        let items = source.implements(self);
        let mut plan = Plan::new(self, source.name());
        plan.check(&items, |item| source.make(self, item))?;
        items.iter().map(|item| plan.over(item)).collect()
    }
}
