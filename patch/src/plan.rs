//! One module that is to be patched: the functions it has, and the replacements that were made for them.
//!
//! Owns the checks of names and signatures. Not here: who decides what is replaced (`pass.rs`).

use crate::error::PatchError;
use crate::items::ItemName;
use crate::layer::Layer;
use crate::module::{AnySlot, Module};
use crate::replacement::Replacement;
use crate::scope::Override;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A module, its functions by name, and what a source has made for it.
pub(crate) struct Plan {
    pub(crate) target: &'static Module,
    /// The source's name.
    pub(crate) by: Arc<str>,
    slots: HashMap<&'static str, &'static dyn AnySlot>,
    made: HashMap<ItemName, Replacement>,
}

impl Plan {
    pub(crate) fn new(target: &'static Module, by: &str) -> Self {
        // The first of a name, as `Module::slot` finds it.
        let slots = target.slots().iter().rev().map(|slot| (slot.name(), *slot)).collect();
        Self { target, by: by.into(), slots, made: HashMap::new() }
    }

    /// Makes what is not made yet, and checks it: every name is that of a function, once, and what was made fits.
    pub(crate) fn check(
        &mut self,
        items: &[ItemName],
        make: impl Fn(&str) -> Option<Replacement>,
    ) -> Result<(), PatchError> {
        let mut seen = HashSet::with_capacity(items.len());
        for item in items {
            let slot = self.slot(item)?;
            if !seen.insert(item) {
                return Err(PatchError::DuplicateItem { module: self.module(), item: item.to_string() });
            }
            if self.made.contains_key(item) {
                continue;
            }
            let replacement = make(item).ok_or_else(|| self.not_implemented(item))?;
            if replacement.signature_id() != slot.signature_id() {
                return Err(self.signature(slot, &replacement));
            }
            self.made.insert(item.clone(), replacement);
        }
        Ok(())
    }

    /// Replaces one function, for everybody.
    pub(crate) fn switch(&self, item: &str) -> Result<Layer, PatchError> {
        let (slot, replacement) = self.made(item)?;
        slot.push_any(replacement).ok_or_else(|| self.signature(slot, replacement))
    }

    /// Replaces one function, for those in a scope.
    pub(crate) fn over(&self, item: &str) -> Result<Override, PatchError> {
        let (slot, replacement) = self.made(item)?;
        slot.with_any(replacement).ok_or_else(|| self.signature(slot, replacement))
    }

    fn made(&self, item: &str) -> Result<(&'static dyn AnySlot, &Replacement), PatchError> {
        Ok((self.slot(item)?, self.made.get(item).ok_or_else(|| self.not_implemented(item))?))
    }

    fn slot(&self, item: &str) -> Result<&'static dyn AnySlot, PatchError> {
        let slot = self.slots.get(item).copied();
        slot.ok_or_else(|| no_such_item(self.target, item))
    }

    fn module(&self) -> String {
        self.target.name().to_owned()
    }

    fn not_implemented(&self, item: &str) -> PatchError {
        PatchError::NotImplemented {
            source: (*self.by).to_owned(),
            module: self.module(),
            item: item.to_owned(),
        }
    }

    fn signature(&self, slot: &dyn AnySlot, found: &Replacement) -> PatchError {
        signature(self.target.name(), slot, found.signature())
    }
}

pub(crate) fn no_such_item(target: &Module, item: &str) -> PatchError {
    let known = target.slots().iter().map(|slot| slot.name().to_owned()).collect();
    PatchError::NoSuchItem { module: target.name().to_owned(), item: item.to_owned(), known }
}

pub(crate) fn signature(module: &str, slot: &dyn AnySlot, found: &str) -> PatchError {
    PatchError::Signature {
        module: module.to_owned(),
        item: slot.name().to_owned(),
        expected: slot.signature().to_owned(),
        found: found.to_owned(),
    }
}
