//! What our patcher gives: a case performed with modules, functions and sources that are made of its data.
//!
//! Owns how it is driven. A module is a `Module` of slots, an attribute a function that returns its text; a patcher of its own, with its
//! own bus and plugins, replaces them. Not here: what must come of it (`model.rs`).

mod made;
mod told;

use self::made::Scripted;
use self::told::{CALLS, Told, plugin, subscribe};
use super::builtins::{BUILTINS, DNS, Function, SETTINGS, SOCKET, of_function};
use super::case::{
    Action, Call, DID, DID_ALL, DID_BUILTINS, Do, Edit, Input, Listener, Names, Op, Outcome, PatchModule,
    VETO, WILL, WILL_ALL, query,
};
use super::model::{Reading, TWICE, python_index};
use serde_json::{Map, Value, json};
use signalpost::{AnyEvent, BoxError, BusStop, Plugin, Subscription, entry_points};
use signalpost_patch::{
    __replacement, AnySlot, Args, Builtin, DidPatchAll, DidPatchBuiltinModules, DidPatchModule, Extra,
    ItemName, Items, Module, PatchError, PatchEvent, PatchWarning, Patcher, Replacement, Slot, Source,
    Warnings, WillPatchAll, WillPatchModule,
};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

type Function0 = dyn Fn() -> String + Send + Sync;
type Slot0 = Slot<Function0, fn() -> String>;

/// The name of what is raised.
type Raised = String;

/// What the parts of a case share. Everything happens on one thread, where it is found: plugins can capture nothing.
struct World {
    input: Input,
    reading: Reading,
    patcher: Patcher,
    modules: RefCell<HashMap<String, &'static Module>>,
    slots: RefCell<HashMap<(String, String), &'static Slot0>>,
    sources: RefCell<HashMap<String, Arc<dyn Source>>>,
    trace: RefCell<Vec<Value>>,
    depth: Cell<usize>,
    warnings: RefCell<Vec<String>>,
    /// How often each reaction of each listener came up.
    turns: RefCell<HashMap<(bool, usize, usize), usize>>,
    /// What the call that runs says of this option: it decides what the source of `socket` leaves out.
    dns: Cell<bool>,
}

thread_local! {
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

fn world() -> Rc<World> {
    WORLD.with_borrow(|world| world.clone().expect("a case is performed"))
}

/// However the case ends.
struct Leave;

impl Drop for Leave {
    fn drop(&mut self) {
        WORLD.set(None);
    }
}

pub(crate) fn drive(input: &Input, reading: Reading) -> Result<Outcome, String> {
    let wrong = |error: PatchError| error.to_string();
    let patcher = Patcher::new();
    let world = Rc::new(World {
        input: input.clone(),
        reading,
        patcher: patcher.clone(),
        modules: RefCell::default(),
        slots: RefCell::default(),
        sources: RefCell::default(),
        trace: RefCell::default(),
        depth: Cell::new(0),
        warnings: RefCell::default(),
        turns: RefCell::default(),
        dns: Cell::new(true),
    });
    world.set_up().map_err(wrong)?;
    let mut heard = Vec::new();
    for (place, subscriber) in input.subscribers.iter().enumerate() {
        heard.push((subscriber.id.clone(), subscribe(&patcher, place)));
    }
    let plugins: Vec<_> = input.plugins.iter().zip(&CALLS).enumerate().map(plugin).collect();
    if plugins.len() < input.plugins.len() {
        return Err(format!("expected at most {} plugins, found {}", CALLS.len(), input.plugins.len()));
    }
    patcher.plugins().add_all(&plugins).map_err(|error| error.to_string())?;
    let warned = patcher.bus().topic::<PatchWarning>();
    let _warned = warned.subscribe(|warning| self::world().warnings.borrow_mut().push(warning.text.clone()));
    WORLD.set(Some(world.clone()));
    let _leave = Leave;
    for (place, action) in input.actions.iter().enumerate() {
        if let Do::Unsubscribe(id) = &action.what {
            heard.retain(|(of, _)| of != id);
            world.log(json!({"e": "unsubscribed", "id": id}));
        } else {
            world.top(place, action);
        }
    }
    world.end()
}

/// What stops an event before anything is done.
fn stop(raised: Raised) -> BusStop {
    if raised == VETO { BusStop::veto("the case says so") } else { BusStop::fail(raised) }
}

fn raised(error: PatchError) -> Raised {
    match error {
        PatchError::Stopped { error, .. } => error.to_string(),
        PatchError::NoSuchItem { .. } | PatchError::NotImplemented { .. } => "AttributeError".into(),
        PatchError::NoSuchModule { .. } => "ModuleNotFoundError".into(),
        PatchError::DuplicateItem { .. } => TWICE.into(),
        other => format!("{other:?}"),
    }
}

fn said(outcome: signalpost_patch::Outcome) -> Value {
    match outcome {
        signalpost_patch::Outcome::Patched(_) => true.into(),
        signalpost_patch::Outcome::Vetoed(_) => false.into(),
        signalpost_patch::Outcome::Nothing => Value::Null,
    }
}

fn put_result(entry: &mut Value, result: &Result<Value, Raised>) {
    match result {
        Ok(value) => entry["value"] = value.clone(),
        Err(raised) => entry["raised"] = raised.as_str().into(),
    }
}

impl World {
    fn log(&self, entry: Value) {
        self.trace.borrow_mut().push(entry);
    }

    fn log_hook(&self, which: &str, source: &Scripted, target: &Module, items: &[ItemName]) {
        let depth = self.depth.get();
        self.log(json!({
            "e": "hook", "which": which, "source": source.name, "module": target.name(), "items": items, "depth": depth,
        }));
    }

    fn end(&self) -> Result<Outcome, String> {
        let mut end = Map::new();
        let trace = self.trace.take();
        if self.input.passes {
            let patched = |module: &String| (module.clone(), self.patcher.is_module_patched(module).into());
            let modules: Map<_, _> = self.input.query_modules.iter().map(patched).collect();
            end.insert("is_module_patched".into(), modules.into());
            if !self.input.query_objects.is_empty() {
                let patched = |(module, item): &(String, String)| {
                    (format!("{module}.{item}"), self.patcher.is_item_patched(module, item).into())
                };
                let objects: Map<_, _> = self.input.query_objects.iter().map(patched).collect();
                end.insert("is_object_patched".into(), objects.into());
            }
            return Ok(Outcome { trace, end });
        }
        let (mut targets, mut saved) = (Map::new(), Map::new());
        for target in &self.input.targets {
            let (mut values, mut originals) = (Map::new(), Map::new());
            for (name, _) in &target.attrs {
                let slot = self.slot(&target.name, name).ok_or("it was made")?;
                values.insert(name.clone(), slot.call(|function| function()).into());
                if self.patcher.is_item_patched(&target.name, name) {
                    originals.insert(name.clone(), slot.original()().into());
                }
            }
            if self.patcher.is_module_patched(&target.name) == originals.is_empty() {
                return Err(format!(
                    "a patched module and none of its functions, or the other way: {}",
                    target.name
                ));
            }
            targets.insert(target.name.clone(), values.into());
            if !originals.is_empty() {
                saved.insert(target.name.clone(), originals.into());
            }
        }
        end.insert("targets".into(), targets.into());
        end.insert("saved".into(), saved.into());
        let lists = self.input.sources.iter().map(|source| {
            let list = source.implements.as_ref().map(|_| self.implements(&source.name));
            (source.name.clone(), json!(list))
        });
        end.insert("implements_after".into(), lists.collect::<Map<_, _>>().into());
        let warnings = self.warnings.take();
        if !warnings.is_empty() {
            end.insert("warnings".into(), json!(warnings));
        }
        Ok(Outcome { trace, end })
    }

    // What is told.

    fn told_will(&self, is_plugin: bool, place: usize, told: &Told<'_>) -> Result<(), BusStop> {
        self.tell(is_plugin, place, told).map_err(stop)
    }

    fn told_did(&self, is_plugin: bool, place: usize, told: &Told<'_>) -> Result<(), BoxError> {
        Ok(self.tell(is_plugin, place, told)?)
    }

    fn tell(&self, is_plugin: bool, place: usize, told: &Told<'_>) -> Result<(), Raised> {
        let listener = if is_plugin { &self.input.plugins[place] } else { &self.input.subscribers[place] };
        let mut entry = json!({
            "e": if is_plugin { "plugin" } else { "subscriber" },
            "id": listener.id, "event": told.event,
            "source": told.source, "target": told.target.map(Module::name),
        });
        if !self.input.passes {
            entry["depth"] = self.depth.get().into();
        }
        if let Some(module) = told.module {
            entry["module"] = module.into();
        }
        if let Some(items) = told.items {
            entry["items"] = json!(items.names());
            if self.input.passes {
                entry["items_type"] = "list".into();
            }
        }
        if let Some((arguments, extra)) = told.pass {
            let arguments = arguments.iter().map(|(name, on)| (name.to_owned(), Value::from(on)));
            entry["arguments"] = arguments.collect::<Map<_, _>>().into();
            let kwargs = extra
                .keys()
                .map(|key| (key.to_owned(), extra.get::<Value>(key).cloned().unwrap_or_default()));
            entry["kwargs"] = kwargs.collect::<Map<_, _>>().into();
            entry["arguments_is_a_copy"] = true.into(); // the compiler lets nobody change them
        }
        self.log(entry);
        for (number, reaction) in listener.rules.iter().enumerate() {
            if !reaction.is_to(told.event, told.module) {
                continue;
            }
            let turn = *self
                .turns
                .borrow_mut()
                .entry((is_plugin, place, number))
                .and_modify(|turn| *turn += 1)
                .or_default();
            if reaction.only_nth.is_none_or(|nth| nth == turn) {
                self.perform(&reaction.ops, told)?;
            }
        }
        Ok(())
    }

    fn perform(&self, ops: &[Op], told: &Told<'_>) -> Result<(), Raised> {
        for op in ops {
            match op {
                Op::Raise(name) => return Err(name.clone()),
                Op::Edit(edit) => {
                    if let Some(items) = told.items {
                        self.edit(items, edit)?;
                    }
                }
                Op::Rebind(_) => {} // there is no way to
                Op::SetTargetAttr(name, value) => {
                    let slot = told.target.and_then(|target| self.slot(target.name(), name));
                    if let Some(slot) = slot {
                        by_hand(slot, value);
                    }
                }
                Op::Warn(text) => (told.warn)(text),
                Op::Do(action) => self.nested(action)?,
                Op::WillPatch(name) => {
                    let answer = told.will_all.map(|event| event.will_patch_module(name));
                    self.log(query(&name.as_str().into(), answer.into()));
                }
                Op::SetArgument => {
                    // Of a copy; the event's own are lent.
                    let copy = told.pass.map(|(arguments, _)| arguments.clone().with("time", false));
                    drop(copy);
                }
            }
        }
        Ok(())
    }

    fn edit(&self, items: &Items, edit: &Edit) -> Result<(), Raised> {
        match edit {
            Edit::Remove(names) => {
                for name in names {
                    if !items.remove(name) && self.reading.strict_remove {
                        return Err("ValueError".into());
                    }
                }
            }
            Edit::Append(names) => {
                for name in names {
                    items.push(name.clone());
                }
            }
            Edit::Insert(place, name) => {
                items.insert(python_index(*place, items.len()), name.clone());
            }
            Edit::Clear => items.clear(),
            Edit::Assign(names) => items.replace(names.iter().cloned()),
        }
        Ok(())
    }

    // What a program does.

    fn top(&self, place: usize, action: &Action) {
        let Do::Call(call) = &action.what else {
            let _ = self.logged(action);
            return;
        };
        let (function, kwargs) = (&call.function, &call.kwargs);
        self.log(json!({"e": "call", "call": place, "function": function, "kwargs": kwargs}));
        let result = self.function(call);
        let warnings: Vec<_> = self.warnings.take().iter().map(|text| kind_of_warning(text)).collect();
        let mut entry = json!({
            "e": "return", "call": place, "function": function, "kwargs": kwargs, "warnings": warnings,
        });
        put_result(&mut entry, &result);
        self.log(entry);
    }

    fn nested(&self, action: &Action) -> Result<(), Raised> {
        let result = match &action.what {
            Do::Call(call) => self.nested_call(&call.function, &json!(call.kwargs), || self.function(call)),
            Do::PatchFake(name) => self.nested_call("patch_module", &json!({"module": name}), || {
                let source = format!("{name}_source");
                if !self.modules.borrow().contains_key(name) {
                    self.made_up(name, &source, &["item"]);
                }
                self.patch_module(name, &source, None)
            }),
            _ => {
                self.depth.set(self.depth.get() + 1);
                self.log(json!({"e": "nested_begin", "action": action.said, "depth": self.depth.get()}));
                let result = self.logged(action);
                self.depth.set(self.depth.get() - 1);
                result
            }
        };
        if self.reading.nested_raises { result } else { Ok(()) }
    }

    fn nested_call(
        &self,
        function: &str,
        kwargs: &Value,
        f: impl FnOnce() -> Result<Value, Raised>,
    ) -> Result<(), Raised> {
        self.log(json!({"e": "nested_call", "function": function, "kwargs": kwargs}));
        let result = f();
        let mut entry = json!({"e": "nested_return", "function": function});
        put_result(&mut entry, &result);
        self.log(entry);
        result.map(drop)
    }

    fn logged(&self, action: &Action) -> Result<(), Raised> {
        if matches!(action.what, Do::RemoveItem(..)) {
            return Ok(()); // there is no such thing
        }
        let result = self.run(&action.what);
        let mut entry = json!({"e": "result", "action": action.said, "depth": self.depth.get()});
        put_result(&mut entry, &result);
        self.log(entry);
        result.map(drop)
    }

    fn run(&self, what: &Do) -> Result<Value, Raised> {
        let slot = |module: &str, name: &str| self.slot(module, name).ok_or("AttributeError");
        Ok(match what {
            Do::PatchModule(PatchModule { target, source, items, .. }) => {
                self.patch_module(target, source, items.as_deref())?
            }
            Do::PatchItem(module, name, value) => {
                by_hand(slot(module, name)?, value);
                Value::Null
            }
            Do::GetOriginal(modules, names) => self.original(modules, names)?,
            Do::IsModulePatched(module) => self.patcher.is_module_patched(module).into(),
            Do::IsObjectPatched(module, name) => self.patcher.is_item_patched(module, name).into(),
            Do::GetAttr(module, name) => slot(module, name)?.call(|function| function()).into(),
            Do::RemoveItem(..) | Do::Call(_) | Do::Unsubscribe(_) | Do::PatchFake(_) => Value::Null,
        })
    }

    fn patch_module(&self, target: &str, source: &str, items: Option<&[String]>) -> Result<Value, Raised> {
        let target = self.modules.borrow()[target];
        let source = self.sources.borrow()[source].clone();
        let items: Option<Vec<&str>> = items.map(|items| items.iter().map(String::as_str).collect());
        self.patcher.patch_module(target, source, items.as_deref()).map(said).map_err(raised)
    }

    /// Of the first of the modules that is known.
    fn original(&self, modules: &[String], names: &Names) -> Result<Value, Raised> {
        let one = |module: &str, name: &str| {
            let original = self.patcher.get_original::<Function0>(module, name);
            original.map(|original| Value::from(original()))
        };
        let mut result = Err("ModuleNotFoundError".to_owned());
        for module in modules {
            let found = match names {
                Names::One(name) => one(module, name),
                Names::Many(names) => {
                    names.iter().map(|name| one(module, name)).collect::<Result<Vec<_>, _>>().map(Value::from)
                }
            };
            let unknown = matches!(found, Err(PatchError::NoSuchModule { .. }));
            result = found.map_err(raised);
            if !unknown {
                break;
            }
        }
        result
    }

    /// One of gevent's functions, as it is said here.
    fn function(&self, call: &Call) -> Result<Value, Raised> {
        let before = self.dns.replace(call.setting("dns", true));
        let outcome = match of_function(&call.function) {
            Some(Function::All) => self.patch_all(call),
            Some(Function::Nothing(setting)) => self.patcher.patch_builtin(setting),
            Some(Function::Dns) => self.patch_builtin_module(SOCKET, Some(&DNS)),
            Some(Function::Thread) if call.setting("threading", true) => self.patcher.patch_builtin("thread"),
            Some(Function::Thread) => self.patch_builtin_module("_thread", None),
            Some(Function::Module(builtin)) => {
                let alone = BUILTINS.iter().filter(|other| other.setting == builtin.setting).count() == 1;
                match alone {
                    true => self.patcher.patch_builtin(builtin.setting),
                    false => self.patch_builtin_module(builtin.module, None),
                }
            }
            None => Ok(signalpost_patch::Outcome::Nothing),
        };
        self.dns.set(before);
        outcome.map(said).map_err(raised)
    }

    fn patch_builtin_module(
        &self,
        module: &str,
        items: Option<&[&str]>,
    ) -> Result<signalpost_patch::Outcome, PatchError> {
        let builtin = BUILTINS.iter().find(|builtin| builtin.module == module).expect("it is in the table");
        let (target, source) = (self.modules.borrow()[module], self.sources.borrow()[builtin.source].clone());
        self.patcher.patch_module(target, source, items)
    }

    fn patch_all(&self, call: &Call) -> Result<signalpost_patch::Outcome, PatchError> {
        let (mut args, mut extra) = (Args::new(), Extra::new());
        for (name, value) in &call.kwargs {
            match (SETTINGS.iter().any(|(setting, _)| setting == name), value.as_bool()) {
                (true, Some(on)) => args = args.with(name.clone(), on),
                _ => extra = extra.with(name.clone(), value.clone()),
            }
        }
        self.patcher.patch_all(&args, &extra)
    }
}

/// For everybody, by no patcher, and for good.
fn by_hand(slot: &'static Slot0, value: &str) {
    let value = value.to_owned();
    slot.push(Box::new(move || value.clone())).keep();
}

fn kind_of_warning(text: &str) -> &'static str {
    if text.starts_with("signal is patched, but os is not") {
        "signal-without-os"
    } else if text.starts_with("patched before with other settings") {
        "repatching"
    } else {
        "other"
    }
}
