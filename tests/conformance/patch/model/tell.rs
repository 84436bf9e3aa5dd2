//! Who is told of an event, and what they do then.
//!
//! Owns the order of S-129 to S-133, and edits of lists (S-84, S-85).

use super::*;

impl Model<'_> {
    /// S-129, S-130, S-133.
    pub(super) fn publish(&mut self, heard: &Heard) -> Result<(), Raised> {
        let input = self.input;
        for (place, subscriber) in input.subscribers.iter().enumerate() {
            if !self.gone.contains(&subscriber.id) {
                self.tell(false, place, subscriber, heard)?;
            }
        }
        if heard.event == WILL_ALL && heard.pass.as_ref().is_some_and(|pass| pass.without_os) {
            self.warnings.push("signal-without-os".into());
        }
        for (place, plugin) in input.plugins.iter().enumerate() {
            if plugin.group.as_deref() == Some(heard.event) {
                match plugin.missing {
                    Some(error) => return Err(error.into()),
                    None => self.tell(true, place, plugin, heard)?,
                }
            }
        }
        Ok(())
    }

    pub(super) fn tell(
        &mut self,
        is_plugin: bool,
        place: usize,
        listener: &Listener,
        heard: &Heard,
    ) -> Result<(), Raised> {
        let mut entry = json!({
            "e": if is_plugin { "plugin" } else { "subscriber" },
            "id": listener.id, "event": heard.event, "source": heard.source, "target": heard.target,
        });
        let fields = entry.as_object_mut().expect("an object");
        if !self.input.passes {
            fields.insert("depth".into(), heard.depth.into());
        }
        if let Some(module) = &heard.module {
            fields.insert("module".into(), module.as_str().into());
        }
        if let Some(items) = &heard.items {
            let mut items = items.borrow().borrow().clone();
            if heard.is_set {
                items.sort();
            }
            fields.insert("items".into(), json!(items));
            if self.input.passes {
                fields.insert("items_type".into(), if heard.is_set { "set" } else { "list" }.into());
            }
        }
        if let Some(pass) = &heard.pass {
            fields.insert("arguments".into(), pass.arguments.clone().into());
            fields.insert("kwargs".into(), pass.extra.clone().into());
            fields.insert("arguments_is_a_copy".into(), true.into());
        }
        self.trace.push(entry);
        for (number, reaction) in listener.rules.iter().enumerate() {
            if !reaction.is_to(heard.event, heard.module.as_deref()) {
                continue;
            }
            let turn = self.turns.entry((is_plugin, place, number)).or_default();
            *turn += 1;
            if reaction.only_nth.is_none_or(|nth| nth + 1 == *turn) {
                self.perform(&reaction.ops, heard)?;
            }
        }
        Ok(())
    }

    pub(super) fn perform(&mut self, ops: &[Op], heard: &Heard) -> Result<(), Raised> {
        for op in ops {
            match op {
                Op::Raise(name) => return Err(name.clone()),
                Op::Edit(edit) => {
                    if let Some(items) = &heard.items {
                        self.edit(&items.borrow().clone(), edit)?;
                    }
                }
                Op::Rebind(_) if self.on.no_exchange => {}
                Op::Rebind(names) => {
                    if let Some(items) = &heard.items {
                        *items.borrow_mut() = list(names);
                    }
                }
                Op::SetTargetAttr(name, value) => {
                    let target = heard.target.clone().unwrap_or_default();
                    if !self.on.known || self.has(&target, name) {
                        self.put(&target, name, By::Hand, Some(value.clone()));
                    }
                }
                Op::Warn(text) => self.warnings.push(text.clone()),
                Op::Do(action) => self.nested(action)?,
                Op::WillPatch(name) => {
                    let arguments = heard.pass.as_ref().map(|pass| &pass.arguments);
                    let answer = arguments.and_then(|arguments| arguments.get(name)).cloned();
                    let answer = answer.unwrap_or(Value::Null);
                    let answer =
                        if self.on.question { self.will_patch(name, arguments).into() } else { answer };
                    self.trace.push(query(&name.as_str().into(), answer));
                }
                Op::SetArgument => {}
            }
        }
        Ok(())
    }

    /// Ours: a setting that is new and on, or a module that goes by one.
    pub(super) fn will_patch(&self, name: &str, arguments: Option<&Map<String, Value>>) -> bool {
        let is_on =
            |setting: &str| arguments.and_then(|arguments| arguments.get(setting)) == Some(&true.into());
        is_on(name) || BUILTINS.iter().any(|builtin| builtin.module == name && is_on(builtin.setting))
    }

    pub(super) fn edit(&mut self, list: &List, edit: &Edit) -> Result<(), Raised> {
        let mut names = list.borrow_mut();
        let once = |names: &[String], name: &String| !self.on.once || !names.contains(name);
        match edit {
            Edit::Remove(gone) => {
                for name in gone {
                    match names.iter().position(|listed| listed == name) {
                        Some(place) => drop(names.remove(place)),
                        None if self.reading.strict_remove => return Err("ValueError".into()),
                        None => {}
                    }
                }
            }
            Edit::Append(new) => {
                for name in new {
                    if once(&names, name) {
                        names.push(name.clone());
                    }
                }
            }
            Edit::Insert(place, name) => {
                if once(&names, name) {
                    let place = python_index(*place, names.len());
                    names.insert(place, name.clone());
                }
            }
            Edit::Clear => names.clear(),
            Edit::Assign(new) => {
                names.clear();
                for name in new {
                    if once(&names, name) {
                        names.push(name.clone());
                    }
                }
            }
        }
        Ok(())
    }
}
