//! One module patched, and all of them.
//!
//! Owns the sequences: S-82 to S-94 of one module, S-101 to S-124 of passes.

use super::*;

impl Model<'_> {
    pub(super) fn heard(
        &self,
        event: &'static str,
        module: &str,
        source: &str,
        items: Option<&List>,
    ) -> Heard {
        Heard {
            event,
            depth: self.depth,
            module: Some(module.into()),
            source: Some(source.into()),
            target: Some(module.into()),
            items: items.map(|items| RefCell::new(items.clone())),
            is_set: false,
            pass: None,
        }
    }

    /// S-82 to S-94.
    pub(super) fn patch_module(
        &mut self,
        target: &str,
        source: &str,
        items: Option<List>,
        switches: Switches,
    ) -> Result<bool, Raised> {
        self.whole(|model| {
            let Some(items) = model.will_and_copy(target, source, items, false, switches)? else {
                return Ok(false);
            };
            model.did(target, target, source, &items, switches)?;
            Ok(true)
        })
    }

    /// Up to and with the copy. None: vetoed.
    pub(super) fn will_and_copy(
        &mut self,
        target: &str,
        source: &str,
        items: Option<List>,
        is_set: bool,
        switches: Switches,
    ) -> Result<Option<List>, Raised> {
        let switches = if self.on.no_switches { Switches::ALL } else { switches };
        let implements = self.sources[source].implements.clone();
        let items = match items.or(implements) {
            Some(items) if self.on.fresh => list(items.borrow().iter().cloned()),
            Some(items) => items,
            None if self.on.no_list => list([""; 0]),
            None => return Err("AttributeError".into()),
        };
        self.check(target, source, &items)?;
        match self.will(target, source, &items, is_set, switches) {
            Err(raised) if raised == VETO => return Ok(None),
            will => will?,
        }
        self.check(target, source, &items)?;
        // S-86.
        let names = items.borrow().clone();
        for name in names {
            let value = self.sources[source].attrs.get(&name).cloned().ok_or("AttributeError")?;
            self.replace(target, &name, By::Patch, Some(value));
        }
        Ok(Some(items))
    }

    pub(super) fn will(
        &mut self,
        target: &str,
        source: &str,
        items: &List,
        is_set: bool,
        switches: Switches,
    ) -> Result<(), Raised> {
        if switches.hooks {
            self.hook(WILL, target, source, items)?;
        }
        if switches.will {
            let heard = Heard { is_set, ..self.heard(WILL, target, source, Some(items)) };
            self.publish(&heard)?;
        }
        Ok(())
    }

    pub(super) fn hook(
        &mut self,
        event: &'static str,
        target: &str,
        source: &str,
        items: &List,
    ) -> Result<(), Raised> {
        let implementer = &self.sources[source];
        let (which, ops) =
            if event == WILL { ("will", &implementer.will) } else { ("did", &implementer.did) };
        let Some(ops) = ops.clone() else { return Ok(()) };
        self.trace.push(json!({
            "e": "hook", "which": which, "source": source, "module": target, "items": *items.borrow(), "depth": self.depth,
        }));
        let heard = self.heard(event, target, source, Some(items));
        self.perform(&ops, &heard)
    }

    /// Ours looks at all names, in order, before anything is told, and again before the first switch.
    pub(super) fn check(&self, target: &str, source: &str, items: &List) -> Result<(), Raised> {
        let mut seen = BTreeSet::new();
        for name in &*items.borrow() {
            if self.on.known && !self.has(target, name) {
                return Err("AttributeError".into());
            }
            if self.on.once && !seen.insert(name) {
                return Err(TWICE.into());
            }
            if self.on.whole && !self.sources[source].attrs.contains_key(name) {
                return Err("AttributeError".into());
            }
        }
        Ok(())
    }

    pub(super) fn did(
        &mut self,
        module: &str,
        target: &str,
        source: &str,
        items: &List,
        switches: Switches,
    ) -> Result<(), Raised> {
        let switches = if self.on.no_switches { Switches::ALL } else { switches };
        if switches.hooks {
            self.hook(DID, target, source, items)?;
        }
        if switches.did {
            let heard = Heard { target: Some(target.into()), ..self.heard(DID, module, source, None) };
            self.publish(&heard)?;
        }
        Ok(())
    }

    // Passes.

    /// S-101 to S-108.
    pub(super) fn function(&mut self, call: &Call) -> Result<Value, Raised> {
        let result = match of_function(&call.function) {
            Some(Function::All) => return self.patch_all(call).map(Value::from),
            Some(Function::Nothing(_)) | None => Ok(None),
            Some(Function::Dns) => self.single(|model| {
                let names = model.dns.clone();
                model.builtin(by_name(SOCKET), Some(names), false, call).map(Some)
            }),
            Some(Function::Thread) => self.single(|model| model.thread(call).map(Some)),
            Some(Function::Module(builtin)) => {
                self.single(|model| model.module_of_pass(builtin, call).map(Some))
            }
        };
        match result {
            Ok(patched) if self.on.tells => Ok(json!(patched)),
            Ok(_) => Ok(Value::Null),
            Err(raised) if raised == VETO && !self.on.late => Ok(false.into()),
            Err(raised) => Err(raised),
        }
    }

    pub(super) fn single<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T, Raised>) -> Result<T, Raised> {
        self.whole(f)
    }

    pub(super) fn module_of_pass(&mut self, builtin: &Builtin, call: &Call) -> Result<bool, Raised> {
        let without_dns = builtin.module == SOCKET && !call.setting("dns", true);
        let names = || {
            let implements = self.sources[builtin.source].implements.clone();
            let names = implements.map(|list| list.borrow().clone()).unwrap_or_default();
            list(names.into_iter().filter(|name| !DNS.contains(&name.as_str())))
        };
        let names = without_dns.then(names);
        let is_set = without_dns && !self.on.ordered;
        self.builtin(builtin, names, is_set, call)
    }

    pub(super) fn builtin(
        &mut self,
        builtin: &Builtin,
        items: Option<List>,
        is_set: bool,
        call: &Call,
    ) -> Result<bool, Raised> {
        let (module, source) = (builtin.module, builtin.source);
        let items = self.will_and_copy(module, source, items, is_set, Switches::ALL)?;
        let Some(items) = items else { return Ok(false) };
        self.unlisted(module, call);
        self.did(module, module, source, &items, Switches::ALL)?;
        Ok(true)
    }

    /// S-108.
    pub(super) fn unlisted(&mut self, of: &str, call: &Call) {
        for (trigger, module, name, option) in UNLISTED {
            if trigger == of && option.is_none_or(|option| call.setting(option, true)) && !self.on.listed {
                self.saved
                    .entry(module.into())
                    .or_default()
                    .entry(name.into())
                    .or_insert_with(|| name.into());
            }
        }
    }

    /// S-105 to S-108.
    pub(super) fn thread(&mut self, call: &Call) -> Result<bool, Raised> {
        let (low, high) = (by_name(LOW_THREAD), by_name(THREADING));
        let with_threading = call.setting("threading", true);
        if self.on.threads {
            let low = self.builtin(low, None, false, call)?;
            let high = if with_threading { self.builtin(high, None, false, call)? } else { false };
            return Ok(low || high);
        }
        let none = || list([""; 0]);
        let low_items =
            self.will_and_copy(LOW_THREAD, low.source, None, false, Switches::ALL)?.unwrap_or_else(none);
        let mut high_items = None;
        if with_threading {
            high_items = self.will_and_copy(THREADING, high.source, None, false, Switches::ALL)?;
            if high_items.is_none() {
                return Err("TypeError".into());
            }
        }
        for (trigger, module, name, option) in UNLISTED {
            let on = option.is_none_or(|option| with_threading && call.setting(option, true));
            if trigger == THREADING && on && !self.on.listed {
                self.saved
                    .entry(module.into())
                    .or_default()
                    .entry(name.into())
                    .or_insert_with(|| name.into());
            }
        }
        self.did("thread", LOW_THREAD, low.source, &low_items, Switches::ALL)?;
        if let Some(items) = high_items {
            self.did(THREADING, THREADING, high.source, &items, Switches::ALL)?;
        }
        Ok(true)
    }

    /// S-109 to S-124. None: there was nothing to do.
    pub(super) fn patch_all(&mut self, call: &Call) -> Result<Option<bool>, Raised> {
        let asked: BTreeMap<&'static str, bool> =
            SETTINGS.iter().map(|(name, default)| (*name, call.setting(name, *default))).collect();
        let known = |name: &str| SETTINGS.iter().any(|(setting, _)| *setting == name);
        let extra = call.kwargs.iter().filter(|(name, _)| !known(name));
        let extra: Map<_, _> = extra.map(|(name, value)| (name.clone(), value.clone())).collect();
        let before = self.settings.clone();
        let is_new = |name: &str, on: bool| before.get(name).is_none_or(|before| on && !before);
        let difference: BTreeMap<_, _> =
            asked.iter().map(|(name, on)| (*name, *on)).filter(|(name, on)| is_new(name, *on)).collect();
        let repatching = !before.is_empty() && before != asked;
        let warnings = self.warnings.len();
        if repatching {
            self.warnings.push("repatching".into());
        }
        if difference.is_empty() {
            return Ok(None);
        }
        let mark = self.mark();
        // Ours too, but it is taken back.
        self.settings.extend(&difference);
        let result = self.pass(call, &asked, &difference, extra);
        if result != Ok(true) {
            self.undo(mark);
            self.warnings.truncate(warnings);
        }
        result.map(Some)
    }

    pub(super) fn pass(
        &mut self,
        call: &Call,
        asked: &BTreeMap<&'static str, bool>,
        difference: &BTreeMap<&'static str, bool>,
        extra: Map<String, Value>,
    ) -> Result<bool, Raised> {
        let arguments = difference.iter().map(|(name, on)| ((*name).to_owned(), Value::from(*on)));
        let is_on = |name: &str| difference.get(name) == Some(&true);
        // Ours counts what was patched before.
        let there = self.on.needs && self.settings.get("os") == Some(&true);
        let without_os = is_on("signal") && !is_on("os") && !there;
        let pass = Pass { without_os, arguments: arguments.collect(), extra };
        let heard = |event| Heard {
            event,
            depth: 0,
            module: None,
            source: None,
            target: None,
            items: None,
            is_set: false,
            pass: Some(pass.clone()),
        };
        match self.publish(&heard(WILL_ALL)) {
            Err(raised) if raised == VETO => return Ok(false),
            result => result?,
        }
        let decides = if self.on.difference { difference } else { asked };
        for builtin in &BUILTINS {
            if decides.get(builtin.setting) != Some(&true) {
                continue;
            }
            let result = match builtin.module {
                LOW_THREAD => self.thread(call),
                THREADING => continue, // with the other
                _ => self.module_of_pass(builtin, call),
            };
            match result {
                Err(raised) if raised == VETO && !self.on.late => {}
                result => drop(result?),
            }
        }
        self.publish(&heard(DID_BUILTINS))?;
        self.publish(&heard(DID_ALL))?;
        Ok(true)
    }
}

fn by_name(module: &str) -> &'static Builtin {
    BUILTINS.iter().find(|builtin| builtin.module == module).expect("it is in the table")
}
