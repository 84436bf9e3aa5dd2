//! What a case must give, without our patcher: gevent's way, and where we differ laid over it rule by rule.
//!
//! Owns both models: with no layer on it is S-82 to S-134, with all of them it is ours. Not here: when a layer may change anything
//! (`rules.rs`), how ours is driven (`drive.rs`).

use super::builtins::{
    BUILTINS, Builtin, DNS, Function, LOW_THREAD, SETTINGS, SETTINGS_MODULE, SOCKET, THREADING, UNLISTED,
    of_function,
};
use super::case::{
    Action, Call, DID, DID_ALL, DID_BUILTINS, Do, Edit, Input, Listener, Names, Op, Outcome, PatchModule,
    Switches, VETO, WILL, WILL_ALL, query,
};
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

/// What is laid over gevent's model, in this order. All off: gevent. All on: ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layers {
    pub(crate) no_switches: bool,
    pub(crate) no_removing: bool,
    pub(crate) no_exchange: bool,
    pub(crate) fresh: bool,
    pub(crate) once: bool,
    pub(crate) no_list: bool,
    pub(crate) known: bool,
    pub(crate) whole: bool,
    pub(crate) silent: bool,
    pub(crate) late: bool,
    pub(crate) tells: bool,
    pub(crate) threads: bool,
    pub(crate) listed: bool,
    pub(crate) written: bool,
    pub(crate) own: bool,
    pub(crate) ordered: bool,
    pub(crate) success: bool,
    pub(crate) difference: bool,
    pub(crate) question: bool,
    pub(crate) needs: bool,
}

impl Layers {
    pub(crate) const OURS: Self = Self {
        no_switches: true,
        no_removing: true,
        no_exchange: true,
        fresh: true,
        once: true,
        no_list: true,
        known: true,
        whole: true,
        silent: true,
        late: true,
        tells: true,
        threads: true,
        listed: true,
        written: true,
        own: true,
        ordered: true,
        success: true,
        difference: true,
        question: true,
        needs: true,
    };
}

/// What the input language leaves open: the recording says which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Whether taking out a name that is not listed is an error.
    pub(crate) strict_remove: bool,
    /// Whether what a nested action raises ends the listener too.
    pub(crate) nested_raises: bool,
}

impl Reading {
    pub(crate) const ALL: [Self; 4] = [
        Self { strict_remove: false, nested_raises: false },
        Self { strict_remove: true, nested_raises: false },
        Self { strict_remove: false, nested_raises: true },
        Self { strict_remove: true, nested_raises: true },
    ];
}

/// The name of what is raised.
type Raised = String;

/// What ours raises of its own where a list names a function twice.
pub(crate) const TWICE: &str = "DuplicateItem";

pub(crate) fn outcome(input: &Input, on: Layers, reading: Reading) -> Outcome {
    let mut model = Model::new(input, on, reading);
    for (place, action) in input.actions.iter().enumerate() {
        model.top(place, action);
    }
    model.end()
}

/// One value that a name had, and who put it there.
#[derive(Clone, Debug)]
struct Put {
    id: usize,
    by: By,
    /// None: it was removed.
    value: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Program,
    Hand,
    Patch,
}

type List = Rc<RefCell<Vec<String>>>;

fn list(names: impl IntoIterator<Item = impl Into<String>>) -> List {
    Rc::new(RefCell::new(names.into_iter().map(Into::into).collect()))
}

/// What a listener is told.
struct Heard {
    event: &'static str,
    depth: usize,
    module: Option<String>,
    source: Option<String>,
    target: Option<String>,
    /// What the event has for a list: another one than is patched by, once it was exchanged.
    items: Option<RefCell<List>>,
    is_set: bool,
    pass: Option<Pass>,
}

#[derive(Clone)]
struct Pass {
    arguments: Map<String, Value>,
    extra: Map<String, Value>,
}

struct Implementer {
    attrs: BTreeMap<String, String>,
    implements: Option<List>,
    will: Option<Vec<Op>>,
    did: Option<Vec<Op>>,
}

struct Model<'i> {
    input: &'i Input,
    on: Layers,
    reading: Reading,
    trace: Vec<Value>,
    depth: usize,
    puts: usize,
    /// Module, name: what it had one after the other.
    names: BTreeMap<String, BTreeMap<String, Vec<Put>>>,
    modules: BTreeSet<String>,
    /// gevent's originals.
    saved: BTreeMap<String, BTreeMap<String, String>>,
    sources: BTreeMap<String, Implementer>,
    dns: List,
    settings: BTreeMap<&'static str, bool>,
    warnings: Vec<String>,
    /// How often each reaction of each listener came up.
    turns: HashMap<(bool, usize, usize), usize>,
    gone: BTreeSet<String>,
}

/// What a failure goes back to.
struct Mark {
    puts: usize,
    saved: BTreeMap<String, BTreeMap<String, String>>,
    settings: BTreeMap<&'static str, bool>,
    warnings: usize,
}

impl<'i> Model<'i> {
    fn new(input: &'i Input, on: Layers, reading: Reading) -> Self {
        let mut model = Self {
            input,
            on,
            reading,
            trace: Vec::new(),
            depth: 0,
            puts: 0,
            names: BTreeMap::new(),
            modules: BTreeSet::new(),
            saved: BTreeMap::new(),
            sources: BTreeMap::new(),
            dns: list(DNS),
            settings: BTreeMap::new(),
            warnings: Vec::new(),
            turns: HashMap::new(),
            gone: BTreeSet::new(),
        };
        for target in &input.targets {
            model.module(&target.name, target.attrs.iter().cloned());
        }
        for source in &input.sources {
            let implementer = Implementer {
                attrs: source.attrs.iter().cloned().collect(),
                implements: source.implements.as_ref().map(list),
                will: source.will.clone(),
                did: source.did.clone(),
            };
            model.sources.insert(source.name.clone(), implementer);
        }
        if input.passes {
            for builtin in &BUILTINS {
                model.made_up(builtin.module, builtin.source, builtin.items);
            }
        }
        model
    }

    fn module(&mut self, name: &str, attrs: impl IntoIterator<Item = (String, String)>) {
        self.modules.insert(name.into());
        for (attr, value) in attrs {
            self.put(name, &attr, By::Program, Some(value));
        }
    }

    /// A module and a source for all of it, whose values do not matter.
    fn made_up(&mut self, module: &str, source: &str, items: &[&str]) {
        let all = |of: &str| {
            items.iter().map(|item| ((*item).to_owned(), format!("{of}.{item}"))).collect::<Vec<_>>()
        };
        self.module(module, all(module));
        let attrs = all(source).into_iter().collect();
        let implementer =
            Implementer { attrs, implements: Some(list(items.iter().copied())), will: None, did: None };
        self.sources.insert(source.into(), implementer);
    }

    fn end(self) -> Outcome {
        let mut end = Map::new();
        if self.input.passes {
            let modules = self.input.query_modules.iter();
            let modules: Map<_, _> =
                modules.map(|module| (module.clone(), self.is_module_patched(module).into())).collect();
            end.insert("is_module_patched".into(), modules.into());
            if !self.input.query_objects.is_empty() {
                let objects = self.input.query_objects.iter();
                let patched = |(module, item): &(String, String)| {
                    (format!("{module}.{item}"), self.is_patched(module, item).into())
                };
                end.insert("is_object_patched".into(), objects.map(patched).collect::<Map<_, _>>().into());
            }
            return Outcome { trace: self.trace, end };
        }
        let targets = self.input.targets.iter().map(|target| {
            let names = self.names.get(&target.name).into_iter().flatten();
            let value = |puts: &Vec<Put>| Some(Value::from(puts.last()?.value.clone()?));
            let values = names.filter_map(|(name, puts)| Some((name.clone(), value(puts)?)));
            (target.name.clone(), Value::Object(values.collect()))
        });
        end.insert("targets".into(), targets.collect::<Map<_, _>>().into());
        end.insert("saved".into(), json!(self.originals()));
        let lists = self.sources.iter().map(|(name, source)| {
            let list = source.implements.as_ref().map(|list| list.borrow().clone());
            (name.clone(), json!(list))
        });
        end.insert("implements_after".into(), lists.collect::<Map<_, _>>().into());
        if !self.warnings.is_empty() {
            end.insert("warnings".into(), json!(self.warnings));
        }
        Outcome { trace: self.trace, end }
    }

    // Modules and what they have.

    fn put(&mut self, module: &str, name: &str, by: By, value: Option<String>) {
        self.puts += 1;
        let put = Put { id: self.puts, by, value };
        self.names.entry(module.into()).or_default().entry(name.into()).or_default().push(put);
    }

    fn value(&self, module: &str, name: &str) -> Option<&str> {
        self.puts(module, name).last()?.value.as_deref()
    }

    fn has(&self, module: &str, name: &str) -> bool {
        self.puts(module, name).iter().any(|put| put.by == By::Program)
    }

    /// S-96.
    fn replace(&mut self, module: &str, name: &str, by: By, value: Option<String>) {
        if let Some(before) = self.value(module, name).map(str::to_owned) {
            self.saved.entry(module.into()).or_default().entry(name.into()).or_insert(before);
        }
        self.put(module, name, by, value);
    }

    fn puts(&self, module: &str, name: &str) -> &[Put] {
        self.names.get(module).and_then(|names| names.get(name)).map_or(&[], Vec::as_slice)
    }

    /// What was there first.
    fn first(&self, module: &str, name: &str) -> Option<&str> {
        self.puts(module, name).first()?.value.as_deref()
    }

    /// As originals are kept: by module and name.
    fn originals(&self) -> BTreeMap<String, BTreeMap<String, String>> {
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

    fn is_module_patched(&self, module: &str) -> bool {
        if module == SETTINGS_MODULE && !self.settings.is_empty() && !self.on.listed {
            return true;
        }
        if self.on.own {
            self.names.get(module).is_some_and(|names| names.keys().any(|name| self.is_patched(module, name)))
        } else {
            self.saved.get(module).is_some_and(|names| !names.is_empty())
        }
    }

    fn is_patched(&self, module: &str, name: &str) -> bool {
        if self.on.own {
            self.puts(module, name).iter().any(|put| put.by == By::Patch)
        } else {
            self.saved.get(module).is_some_and(|names| names.contains_key(name))
        }
    }

    /// S-99.
    fn original(&self, modules: &[String], names: &Names) -> Result<Value, Raised> {
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

    fn mark(&self) -> Mark {
        Mark {
            puts: self.puts,
            saved: self.saved.clone(),
            settings: self.settings.clone(),
            warnings: self.warnings.len(),
        }
    }

    /// What was patched since is as if it had not been; what others put there stays.
    fn undo(&mut self, mark: Mark) {
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
    fn whole<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T, Raised>) -> Result<T, Raised> {
        let mark = self.mark();
        let result = f(self);
        if result.is_err() {
            self.undo(mark);
        }
        result
    }

    // What is told.

    /// S-129, S-130, S-133.
    fn publish(&mut self, heard: &Heard) -> Result<(), Raised> {
        let input = self.input;
        for (place, subscriber) in input.subscribers.iter().enumerate() {
            if !self.gone.contains(&subscriber.id) {
                self.tell(false, place, subscriber, heard)?;
            }
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

    fn tell(
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

    fn perform(&mut self, ops: &[Op], heard: &Heard) -> Result<(), Raised> {
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
    fn will_patch(&self, name: &str, arguments: Option<&Map<String, Value>>) -> bool {
        let is_on =
            |setting: &str| arguments.and_then(|arguments| arguments.get(setting)) == Some(&true.into());
        is_on(name) || BUILTINS.iter().any(|builtin| builtin.module == name && is_on(builtin.setting))
    }

    fn edit(&mut self, list: &List, edit: &Edit) -> Result<(), Raised> {
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

    // What a program does.

    fn top(&mut self, place: usize, action: &Action) {
        if !self.input.passes {
            return self.logged(action, None).unwrap_or(());
        }
        match &action.what {
            Do::Unsubscribe(id) => {
                self.gone.insert(id.clone());
                self.trace.push(json!({"e": "unsubscribed", "id": id}));
            }
            Do::Call(call) => {
                let (function, kwargs) = (&call.function, &call.kwargs);
                self.trace.push(json!({"e": "call", "call": place, "function": function, "kwargs": kwargs}));
                let result = self.function(call);
                let warnings = std::mem::take(&mut self.warnings);
                let mut entry = json!({
                    "e": "return", "call": place, "function": function, "kwargs": kwargs, "warnings": warnings,
                });
                put_result(&mut entry, result);
                self.trace.push(entry);
            }
            _ => {}
        }
    }

    fn nested(&mut self, action: &Action) -> Result<(), Raised> {
        let (function, kwargs) = match &action.what {
            Do::Call(call) => (call.function.clone(), Value::Object(call.kwargs.clone())),
            Do::PatchFake(name) => ("patch_module".to_owned(), json!({"module": name})),
            _ => {
                self.depth += 1;
                self.trace.push(json!({"e": "nested_begin", "action": action.said, "depth": self.depth}));
                let result = self.logged(action, Some(self.depth));
                self.depth -= 1;
                return if self.reading.nested_raises { result } else { Ok(()) };
            }
        };
        self.trace.push(json!({"e": "nested_call", "function": function, "kwargs": kwargs}));
        let result = match &action.what {
            Do::Call(call) => self.function(call),
            Do::PatchFake(name) => {
                let source = format!("{name}_source");
                if !self.modules.contains(name) {
                    self.made_up(name, &source, &["item"]);
                }
                self.patch_module(name, &source, None, Switches::ALL).map(Value::from)
            }
            _ => Ok(Value::Null),
        };
        let mut entry = json!({"e": "nested_return", "function": function});
        let raised = result.as_ref().err().cloned();
        put_result(&mut entry, result);
        self.trace.push(entry);
        match raised {
            Some(raised) if self.reading.nested_raises => Err(raised),
            _ => Ok(()),
        }
    }

    /// In the words of the kind `patch`.
    fn logged(&mut self, action: &Action, depth: Option<usize>) -> Result<(), Raised> {
        if matches!(action.what, Do::RemoveItem(..)) && self.on.no_removing {
            return Ok(());
        }
        let result = self.run(&action.what);
        let mut entry = json!({"e": "result", "action": action.said, "depth": depth.unwrap_or(0)});
        let raised = result.as_ref().err().cloned();
        put_result(&mut entry, result);
        self.trace.push(entry);
        raised.map_or(Ok(()), Err)
    }

    fn run(&mut self, what: &Do) -> Result<Value, Raised> {
        match what {
            Do::PatchModule(PatchModule { target, source, items, switches }) => {
                let items = items.as_ref().map(list);
                self.patch_module(target, source, items, *switches).map(Value::from)
            }
            Do::PatchItem(module, name, value) => {
                if self.on.known && !self.has(module, name) {
                    return Err("AttributeError".into());
                }
                self.replace(module, name, By::Hand, Some(value.clone()));
                Ok(Value::Null)
            }
            Do::RemoveItem(module, name) => {
                if self.value(module, name).is_some() {
                    self.replace(module, name, By::Hand, None);
                }
                Ok(Value::Null)
            }
            Do::GetOriginal(modules, names) => self.original(modules, names),
            Do::IsModulePatched(module) => Ok(self.is_module_patched(module).into()),
            Do::IsObjectPatched(module, name) => Ok(self.is_patched(module, name).into()),
            Do::GetAttr(module, name) => {
                self.value(module, name).map(Value::from).ok_or_else(|| "AttributeError".into())
            }
            Do::Call(_) | Do::Unsubscribe(_) | Do::PatchFake(_) => Ok(Value::Null),
        }
    }

    // Patching.

    fn heard(&self, event: &'static str, module: &str, source: &str, items: Option<&List>) -> Heard {
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
    fn patch_module(
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
    fn will_and_copy(
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

    fn will(
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

    fn hook(&mut self, event: &'static str, target: &str, source: &str, items: &List) -> Result<(), Raised> {
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
    fn check(&self, target: &str, source: &str, items: &List) -> Result<(), Raised> {
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

    fn did(
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
    fn function(&mut self, call: &Call) -> Result<Value, Raised> {
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

    fn single<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T, Raised>) -> Result<T, Raised> {
        self.whole(f)
    }

    fn module_of_pass(&mut self, builtin: &Builtin, call: &Call) -> Result<bool, Raised> {
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

    fn builtin(
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
    fn unlisted(&mut self, of: &str, call: &Call) {
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
    fn thread(&mut self, call: &Call) -> Result<bool, Raised> {
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
    fn patch_all(&mut self, call: &Call) -> Result<Option<bool>, Raised> {
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

    fn pass(
        &mut self,
        call: &Call,
        asked: &BTreeMap<&'static str, bool>,
        difference: &BTreeMap<&'static str, bool>,
        extra: Map<String, Value>,
    ) -> Result<bool, Raised> {
        let arguments = difference.iter().map(|(name, on)| ((*name).to_owned(), Value::from(*on)));
        let pass = Pass { arguments: arguments.collect(), extra };
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
        let is_on = |name: &str| difference.get(name) == Some(&true);
        // Ours counts what was patched before.
        let there = self.on.needs && self.settings.get("os") == Some(&true);
        match self.publish(&heard(WILL_ALL)) {
            Err(raised) if raised == VETO => return Ok(false),
            result => result?,
        }
        if is_on("signal") && !is_on("os") && !there {
            self.warnings.push("signal-without-os".into());
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

fn put_result(entry: &mut Value, result: Result<Value, Raised>) {
    match result {
        Ok(value) => entry["value"] = value,
        Err(raised) => entry["raised"] = raised.into(),
    }
}

/// Where a list takes something in that is inserted at a place which may be counted from its end, or past it.
pub(crate) fn python_index(place: i64, length: usize) -> usize {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let from_start = if place < 0 { (length + place).max(0) } else { place.min(length) };
    usize::try_from(from_start).unwrap_or(0)
}
