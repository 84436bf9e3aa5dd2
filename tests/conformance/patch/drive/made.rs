//! Modules, functions and sources that are made of a case's data.
//!
//! Owns the making, and what is registered for passes.

use super::told::leak;
use super::*;

/// A source of a case.
pub(super) struct Scripted {
    pub(super) name: String,
    attrs: HashMap<String, String>,
    implements: Vec<String>,
    will: Option<Vec<Op>>,
    did: Option<Vec<Op>>,
}

impl Source for Scripted {
    fn name(&self) -> &str {
        &self.name
    }

    fn implements(&self, _: &'static Module) -> Vec<ItemName> {
        self.implements.iter().cloned().map(ItemName::from).collect()
    }

    fn make(&self, target: &'static Module, item: &str) -> Option<Replacement> {
        let value = self.attrs.get(item)?.clone();
        let slot = world().slot(target.name(), item)?;
        Some(__replacement::<Function0, fn() -> String>(slot, Arc::new(move || value.clone()), None))
    }

    fn will_patch(&self, target: &'static Module, items: &Items, warnings: &Warnings) -> Result<(), BusStop> {
        let world = world();
        if target.name() == SOCKET && world.input.passes && !world.dns.get() {
            items.retain(|name| !DNS.contains(&name));
        }
        let Some(ops) = &self.will else { return Ok(()) };
        let names = items.names();
        world.log_hook("will", self, target, &names);
        let warn = |text: &str| warnings.warn(text);
        let told = Told { items: Some(items), warn: &warn, ..self.told(WILL, target) };
        world.perform(ops, &told).map_err(stop)
    }

    fn did_patch(
        &self,
        target: &'static Module,
        items: &[ItemName],
        warnings: &Warnings,
    ) -> Result<(), BoxError> {
        let Some(ops) = &self.did else { return Ok(()) };
        let world = world();
        world.log_hook("did", self, target, items);
        let warn = |text: &str| warnings.warn(text);
        Ok(world.perform(ops, &Told { warn: &warn, ..self.told(DID, target) })?)
    }
}

impl Scripted {
    fn told(&self, event: &'static str, target: &'static Module) -> Told<'_> {
        Told {
            event,
            module: Some(target.name()),
            source: Some(&self.name),
            target: Some(target),
            items: None,
            pass: None,
            will_all: None,
            warn: &|_| {},
        }
    }
}

impl World {
    pub(super) fn set_up(&self) -> Result<(), PatchError> {
        for source in &self.input.sources {
            let scripted = Scripted {
                name: source.name.clone(),
                attrs: source.attrs.iter().cloned().collect(),
                implements: source.implements.clone().unwrap_or_default(),
                will: source.will.clone(),
                did: source.did.clone(),
            };
            self.sources.borrow_mut().insert(source.name.clone(), Arc::new(scripted));
        }
        for target in &self.input.targets {
            let module = self.module(&target.name, &target.attrs);
            // Known, so that its originals can be asked for; in no pass.
            let nothing = Arc::new(signalpost_patch::Replacements::new("nothing"));
            self.patcher.builtin(Builtin::new(module, nothing).default(false))?;
        }
        if self.input.passes {
            for builtin in &BUILTINS {
                let (module, source) = self.made_up(builtin.module, builtin.source, builtin.items);
                let mut registered = Builtin::new(module, source).setting(builtin.setting);
                if builtin.module == "signal" {
                    registered = registered.needs("os", "children that end are not told of");
                }
                self.patcher.builtin(registered)?;
            }
            for (option, default) in SETTINGS {
                if !BUILTINS.iter().any(|builtin| builtin.setting == option) {
                    self.patcher.option(option, default)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn module(&self, name: &str, attrs: &[(String, String)]) -> &'static Module {
        let mut slots: Vec<&'static dyn AnySlot> = Vec::new();
        let module = leak(name);
        for (attr, value) in attrs {
            let value = value.clone();
            let original: &'static Function0 = Box::leak(Box::new(move || value.clone()));
            let slot = Slot0::new(module, leak(attr), "fn() -> String", original, |plain| Arc::new(plain));
            let slot: &'static Slot0 = Box::leak(Box::new(slot));
            self.slots.borrow_mut().insert((name.into(), attr.clone()), slot);
            slots.push(slot);
        }
        let module = &*Box::leak(Box::new(Module::new(module, slots.leak())));
        self.modules.borrow_mut().insert(name.into(), module);
        module
    }

    pub(super) fn made_up(
        &self,
        module: &str,
        source: &str,
        items: &[&str],
    ) -> (&'static Module, Arc<dyn Source>) {
        let all = |of: &str| {
            items.iter().map(|item| ((*item).to_owned(), format!("{of}.{item}"))).collect::<Vec<_>>()
        };
        let target = self.module(module, &all(module));
        let scripted: Arc<dyn Source> = Arc::new(Scripted {
            name: source.into(),
            attrs: all(source).into_iter().collect(),
            implements: items.iter().map(|item| (*item).to_owned()).collect(),
            will: None,
            did: None,
        });
        self.sources.borrow_mut().insert(source.into(), scripted.clone());
        (target, scripted)
    }

    /// What a source lists now.
    pub(super) fn implements(&self, source: &str) -> Vec<ItemName> {
        let source = self.sources.borrow()[source].clone();
        let module = self.modules.borrow().values().next().copied();
        module.map_or_else(Vec::new, |module| source.implements(module))
    }

    pub(super) fn slot(&self, module: &str, name: &str) -> Option<&'static Slot0> {
        self.slots.borrow().get(&(module.to_owned(), name.to_owned())).copied()
    }
}
