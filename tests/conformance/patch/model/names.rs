//! Modules, what they have, and what they had first.
//!
//! Owns originals (S-95 to S-100), and what a failure goes back to.

use super::*;

impl Model<'_> {
    pub(super) fn put(&mut self, module: &str, name: &str, by: By, value: Option<String>) {
        self.puts += 1;
        let put = Put { id: self.puts, by, value };
        self.names.entry(module.into()).or_default().entry(name.into()).or_default().push(put);
    }

    pub(super) fn value(&self, module: &str, name: &str) -> Option<&str> {
        self.puts(module, name).last()?.value.as_deref()
    }

    pub(super) fn has(&self, module: &str, name: &str) -> bool {
        self.puts(module, name).iter().any(|put| put.by == By::Program)
    }

    /// S-96.
    pub(super) fn replace(&mut self, module: &str, name: &str, by: By, value: Option<String>) {
        if let Some(before) = self.value(module, name).map(str::to_owned) {
            self.saved.entry(module.into()).or_default().entry(name.into()).or_insert(before);
        }
        self.put(module, name, by, value);
    }

    pub(super) fn puts(&self, module: &str, name: &str) -> &[Put] {
        self.names.get(module).and_then(|names| names.get(name)).map_or(&[], Vec::as_slice)
    }

    /// What was there first.
    pub(super) fn first(&self, module: &str, name: &str) -> Option<&str> {
        self.puts(module, name).first()?.value.as_deref()
    }

    /// As originals are kept: by module and name.
    pub(super) fn originals(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let original = |module: &String, name: &String| {
            let saved = self.saved.get(module).and_then(|saved| saved.get(name)).map(String::as_str);
            let first = if self.on.written { self.first(module, name) } else { saved };
            Some((name.clone(), first?.to_owned())).filter(|_| self.is_patched(module, name))
        };
        let of = |(module, names): (&String, &BTreeMap<String, Vec<Put>>)| {
            let names = names.keys().filter_map(|name| original(module, name));
            (module.clone(), names.collect::<BTreeMap<_, _>>())
        };
        self.names.iter().map(of).filter(|(_, names)| !names.is_empty()).collect()
    }

    pub(super) fn is_module_patched(&self, module: &str) -> bool {
        if module == SETTINGS_MODULE && !self.settings.is_empty() && !self.on.listed {
            return true;
        }
        if self.on.own {
            self.names.get(module).is_some_and(|names| names.keys().any(|name| self.is_patched(module, name)))
        } else {
            self.saved.get(module).is_some_and(|names| !names.is_empty())
        }
    }

    pub(super) fn is_patched(&self, module: &str, name: &str) -> bool {
        if self.on.own {
            self.puts(module, name).iter().any(|put| put.by == By::Patch)
        } else {
            self.saved.get(module).is_some_and(|names| names.contains_key(name))
        }
    }

    /// S-99.
    pub(super) fn original(&self, modules: &[String], names: &Names) -> Result<Value, Raised> {
        let module = modules.iter().find(|module| self.modules.contains(*module));
        let module = module.ok_or("ModuleNotFoundError")?;
        let one = |name: &String| -> Result<Value, Raised> {
            let saved = self.saved.get(module).and_then(|saved| saved.get(name)).cloned();
            let there = saved.or(self.value(module, name).map(str::to_owned));
            let first = self.first(module, name).map(str::to_owned);
            let found = if self.on.written { first } else { there };
            found.map(Value::from).ok_or_else(|| "AttributeError".into())
        };
        match names {
            Names::One(name) => one(name),
            Names::Many(names) => Ok(names.iter().map(one).collect::<Result<Vec<_>, _>>()?.into()),
        }
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            puts: self.puts,
            saved: self.saved.clone(),
            settings: self.settings.clone(),
            warnings: self.warnings.len(),
        }
    }

    /// What was patched since is as if it had not been; what others put there stays.
    pub(super) fn undo(&mut self, mark: Mark) {
        if self.on.whole {
            for puts in self.names.values_mut().flat_map(BTreeMap::values_mut) {
                puts.retain(|put| put.by != By::Patch || put.id <= mark.puts);
            }
            self.saved = mark.saved;
        }
        if self.on.silent {
            self.warnings.truncate(mark.warnings);
        }
        if self.on.success {
            self.settings = mark.settings;
        }
    }

    /// As a whole, if we are like that: a failure leaves nothing behind.
    pub(super) fn whole<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T, Raised>) -> Result<T, Raised> {
        let mark = self.mark();
        let result = f(self);
        if result.is_err() {
            self.undo(mark);
        }
        result
    }
}
