//! A pass: what is asked, checked, switched and told, in which order, and what a failure on the way means.
//!
//! Owns the sequence. Not here: how subscribers are asked (`pass/ask.rs`), what is undone and how (`journal.rs`), names and signatures (`plan.rs`), which settings there are
//! (`settings.rs`).
//!
//! # One module
//! the source's `will_patch`; [`WillPatchModule`], subscribers, then plugins; if somebody listens, [`WillPatchItem`] for each; the check of
//! what is listed now; each function is switched, then if somebody listens [`DidPatchItem`]; the source's `did_patch`;
//! [`DidPatchModule`], subscribers, then plugins. A veto of the first two ends it there.
//!
//! # All modules
//! every source is asked what it implements, and that is checked; [`WillPatchAll`]; each module as above, in order of
//! registration; [`DidPatchBuiltinModules`]; [`DidPatchAll`]; and with the last level the warnings.

mod ask;

use crate::arguments::{Args, Extra};
use crate::error::PatchError;
use crate::event::{
    DidPatchAll, DidPatchBuiltinModules, DidPatchItem, DidPatchModule, WillPatchAll, WillPatchItem,
    WillPatchModule,
};
use crate::items::{ItemName, Items};
use crate::journal::LevelId;
use crate::module::Module;
use crate::patcher::{Inner, Patcher};
use crate::plan::Plan;
use crate::report::{Failure, Outcome, Patched, PatchedItem, VetoLevel, Vetoed};
use crate::settings::{Builtin, Change};
use crate::source::Source;
use crate::warning::{PatchWarning, Sink, Warnings};
use ask::{answer, listens, stopped};
use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::thread;

impl Patcher {
    /// Replaces functions of one module: those named, or else what the source implements, in that order.
    ///
    /// The source's hook, subscribers and plugins can edit which, or veto it: see [`WillPatchModule`]. A module that is patched
    /// already is patched again, on top. Inside a transaction, or in a subscriber during a pass, it is a part of that.
    ///
    /// # Errors
    /// [`PatchError`]: nothing was changed, or what was is undone.
    ///
    /// # Panics
    /// If a source, a subscriber or a plugin does; what was switched is undone.
    ///
    /// # Examples
    /// ```
    /// # signalpost::patch::patch_points! { pub mod sum { fn add(a: u32, b: u32) -> u32 { a + b } fn zero() -> u32 { 0 } } }
    /// # use signalpost::patch::{Patcher, Replacements};
    /// # fn main() -> Result<(), signalpost::patch::PatchError> {
    /// let source = Replacements::new("odd").with(sum::sig::add(|a, b| a + b + 1)).with(sum::sig::zero(|| 1));
    /// let patcher = Patcher::new();
    /// let outcome = patcher.patch_module(&sum::MODULE, std::sync::Arc::new(source), Some(&["zero"]))?;
    /// assert!(outcome.is_patched());
    /// assert_eq!((sum::zero(), sum::add(2, 3)), (1, 5));
    /// # Ok(())
    /// # }
    /// ```
    pub fn patch_module(
        &self,
        target: &'static Module,
        source: Arc<dyn Source>,
        items: Option<&[&str]>,
    ) -> Result<Outcome, PatchError> {
        self.know(target);
        self.pass(|pass| {
            let items =
                items.map(|items| items.iter().map(|item| ItemName::Owned((*item).to_owned())).collect());
            let prepared = pass.prepare(target, source, items)?;
            Ok(pass.module(prepared)?.map_or(Done::Patched, Done::Vetoed))
        })
    }

    /// Patches the registered modules of one setting, whatever was done before: their events, and none of a pass over all. Settings
    /// are not remembered by it. It is vetoed if each of them is; the first veto is what is returned.
    ///
    /// # Errors
    /// [`PatchError`]: nothing was changed, or what was is undone. [`PatchError::NoSuchSetting`]: nothing is registered under this name.
    ///
    /// # Panics
    /// As [`patch_module`](Self::patch_module).
    pub fn patch_builtin(&self, setting: &str) -> Result<Outcome, PatchError> {
        self.pass(|pass| {
            let builtins = self.0.settings().of(setting)?;
            let prepared = pass.prepare_all(&builtins)?;
            let (mut first, mut done) = (None, Done::Nothing);
            for prepared in prepared {
                match pass.module(prepared)? {
                    None => done = Done::Patched,
                    Some(veto) => first = first.or(Some(veto)),
                }
            }
            Ok(match (done, first) {
                (Done::Nothing, Some(veto)) => Done::Vetoed(veto),
                (done, _) => done,
            })
        })
    }

    /// Patches the registered modules that are on, in order of registration, and lets third parties patch theirs.
    ///
    /// The first time all settings are new. Later only those are that are on now and were not: nothing is patched twice, and
    /// turning a setting off does nothing. If there is nothing new, no event is published; if arguments differ from what was done before,
    /// a warning says so. What is vetoed as a whole, fails, or is undone, is not remembered. `extra` is for plugins and subscribers.
    ///
    /// A veto of one module is in the report; the others are patched. That module is not asked again for the same settings:
    /// [`patch_builtin`](Self::patch_builtin) asks it.
    ///
    /// # Errors
    /// [`PatchError`]: nothing was changed, or what was is undone. [`PatchError::NoSuchSetting`]: `args` names one that is not there.
    ///
    /// # Panics
    /// As [`patch_module`](Self::patch_module).
    pub fn patch_all(&self, args: &Args, extra: &Extra) -> Result<Outcome, PatchError> {
        self.pass(|pass| pass.all(args, extra))
    }

    fn pass(&self, f: impl FnOnce(&Pass<'_>) -> Result<Done, PatchError>) -> Result<Outcome, PatchError> {
        let (level, warnings) = self.0.journal.open()?;
        let mut pass = Pass { patcher: self, level, warnings, panicked: Cell::new(None), open: true };
        let done = f(&pass);
        match done {
            Ok(Done::Patched) => {
                let patched = pass.keep();
                Ok(Outcome::Patched(patched))
            }
            Ok(Done::Vetoed(veto)) => {
                pass.keep();
                Ok(Outcome::Vetoed(veto))
            }
            Ok(Done::Nothing) => {
                pass.keep();
                Ok(Outcome::Nothing)
            }
            Ok(Done::AllVetoed(veto)) => {
                pass.undo(None);
                Ok(Outcome::Vetoed(veto))
            }
            Err(error) => {
                let failure = Failure::of(&error); // shows a user's error: if that panics, `pass` is dropped
                pass.undo(Some(failure));
                Err(error)
            }
        }
    }
}

/// How a pass ends that does not fail.
enum Done {
    Patched,
    Vetoed(Vetoed),
    /// As a whole: what subscribers patched before somebody vetoed it is undone.
    AllVetoed(Vetoed),
    Nothing,
}

/// A pass that runs. If it is dropped before it has ended, by a panic, it is undone.
struct Pass<'p> {
    patcher: &'p Patcher,
    level: LevelId,
    warnings: Sink,
    panicked: Cell<Option<Failure>>,
    open: bool,
}

/// A module whose source has been asked, and what it said checked.
struct Prepared {
    source: Arc<dyn Source>,
    plan: Plan,
    items: Vec<ItemName>,
}

impl Pass<'_> {
    fn all(&self, args: &Args, extra: &Extra) -> Result<Done, PatchError> {
        let journal = &self.patcher.0.journal;
        let before = journal.settings();
        let Change { arguments, builtins, needs, differs } =
            self.patcher.0.settings().change(args, before.as_ref())?;
        if differs {
            let text = "patched before with other settings: what is on in either of them is patched, what is off now is left as it is";
            self.warnings.warn(text.to_owned(), "patch_all".to_owned());
        }
        if before.is_some() && arguments.iter().next().is_none() {
            return Ok(Done::Nothing);
        }
        let prepared = self.prepare_all(&builtins)?;
        journal.remember(arguments.clone());

        let modules = builtins.iter().map(|builtin| builtin.target.name()).collect();
        let will = WillPatchAll::of(arguments.clone(), extra.clone(), modules, needs, self.warnings.clone());
        if let Some(veto) = self.ask_with_plugins(None, &will)? {
            return Ok(Done::AllVetoed(self.vetoed(VetoLevel::All, veto)));
        }
        for prepared in prepared {
            self.module(prepared)?;
        }
        let builtin = DidPatchBuiltinModules::new(arguments.clone(), extra.clone(), self.patcher.clone());
        self.tell_with_plugins(None, &builtin)?;
        let all = DidPatchAll::new(arguments, extra.clone(), journal.part(self.level));
        self.tell_with_plugins(None, &all)?;
        Ok(Done::Patched)
    }

    fn prepare_all(&self, builtins: &[Arc<Builtin>]) -> Result<Vec<Prepared>, PatchError> {
        builtins.iter().map(|builtin| self.prepare(builtin.target, builtin.source.clone(), None)).collect()
    }

    fn prepare(
        &self,
        target: &'static Module,
        source: Arc<dyn Source>,
        items: Option<Vec<ItemName>>,
    ) -> Result<Prepared, PatchError> {
        let name =
            self.run("Source::name", Some(target), || "a source".to_owned(), || source.name().to_owned());
        let mut plan = Plan::new(target, &name);
        let items = match items {
            Some(items) => items,
            None => self.of_source("Source::implements", &plan, || source.implements(target)),
        };
        self.check(&mut plan, &*source, &items)?;
        Ok(Prepared { source, plan, items })
    }

    fn check(&self, plan: &mut Plan, source: &dyn Source, items: &[ItemName]) -> Result<(), PatchError> {
        let (target, by) = (plan.target, plan.by.clone());
        let made = |item: &str| {
            let by = || format!("source {by}");
            self.run("Source::make", Some(target), by, || source.make(target, item))
        };
        plan.check(items, made)
    }

    /// One module, as the head of this file says.
    fn module(&self, Prepared { source, mut plan, items }: Prepared) -> Result<Option<Vetoed>, PatchError> {
        let (target, bus) = (plan.target, self.patcher.bus());
        let about = Some(target);
        let level = VetoLevel::Module(target.name());
        let by_source = format!("source {}", plan.by);
        let warnings = Warnings::into_sink(&self.warnings, by_source.clone());

        let items = Items::new(items);
        let asked =
            self.of_source("Source::will_patch", &plan, || source.will_patch(target, &items, &warnings));
        if let Some(veto) = answer("Source::will_patch", about, asked, |stop| (by_source.clone(), stop))? {
            return Ok(Some(self.vetoed(level, veto)));
        }
        let will = WillPatchModule::of(source.clone(), target, items, self.warnings.clone());
        if let Some(veto) = self.ask_with_plugins(about, &will)? {
            return Ok(Some(self.vetoed(level, veto)));
        }

        let mut items = will.target_item_names().names();
        let (will_items, did_items) = (listens::<WillPatchItem>(bus), listens::<DidPatchItem>(bus));
        if will_items {
            items = self.ask_for_each(&source, target, items)?;
        }
        self.check(&mut plan, &*source, &items)?;
        for item in &items {
            self.switch(&plan, item)?;
            if did_items {
                let did = DidPatchItem::new(source.clone(), target, item.clone());
                self.tell(about, &did)?;
            }
        }

        let told = self.of_source("Source::did_patch", &plan, || source.did_patch(target, &items, &warnings));
        told.map_err(|error| stopped("Source::did_patch", about, by_source, error))?;
        self.tell_with_plugins(about, &DidPatchModule::new(source, target, items))?;
        Ok(None)
    }

    /// Those of the functions that nobody vetoes.
    fn ask_for_each(
        &self,
        source: &Arc<dyn Source>,
        target: &'static Module,
        items: Vec<ItemName>,
    ) -> Result<Vec<ItemName>, PatchError> {
        let mut kept = Vec::with_capacity(items.len());
        for item in items {
            let will = WillPatchItem::new(source.clone(), target, item.clone());
            match self.ask(Some(target), &will)? {
                None => kept.push(item),
                Some(veto) => drop(self.vetoed(VetoLevel::Item(target.name(), item), veto)),
            }
        }
        Ok(kept)
    }

    fn switch(&self, plan: &Plan, item: &str) -> Result<(), PatchError> {
        // A replacement that goes out of use here may be dropped: a user's code.
        let layer = self.of_source("switch", plan, || plan.switch(item))?;
        let done = PatchedItem::new(plan.target.name(), layer.slot().name(), plan.by.clone());
        self.patcher.0.journal.record(done, layer);
        Ok(())
    }

    /// Notes a veto.
    fn vetoed(&self, level: VetoLevel, (by, reason): (String, String)) -> Vetoed {
        let veto = Vetoed::new(level, by, reason);
        self.patcher.0.journal.veto(veto.clone());
        veto
    }

    fn keep(&mut self) -> Patched {
        self.open = false;
        let inner = &self.patcher.0;
        let (report, span, warnings) = inner.journal.keep(self.level);
        inner.warn(&warnings);
        Patched::new(report, Arc::downgrade(inner), span)
    }

    fn undo(&mut self, failure: Option<Failure>) {
        self.open = false;
        let inner = &self.patcher.0;
        inner.warn(&inner.journal.undo(self.level, failure));
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.open {
            let unknown = || Failure::new("pass", None, "the patcher".to_owned(), "panicked".to_owned());
            let failure = self.panicked.take().unwrap_or_else(unknown);
            self.undo(Some(failure));
        }
    }
}

impl Inner {
    /// Publishes what a level that has ended leaves to publish.
    pub(crate) fn warn(&self, warnings: &[PatchWarning]) {
        // While a panic unwinds, a second one of a subscriber would end the program: then they are in the report only.
        if !thread::panicking() {
            for warning in warnings {
                let _nobody_to_tell = self.bus.try_publish(warning);
            }
        }
    }
}

impl fmt::Debug for Pass<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass").field("level", &self.level).finish_non_exhaustive()
    }
}
