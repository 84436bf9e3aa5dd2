//! What a case must give, without our patcher: gevent's way, and where we differ laid over it rule by rule.
//!
//! Owns both models: with no layer on it is S-82 to S-134, with all of them it is ours. Not here: when a layer may change anything
//! (`rules.rs`), how ours is driven (`drive.rs`).

mod names;
mod patch;
mod tell;

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
    /// What gevent's own plugin warns of (S-134), before any other.
    without_os: bool,
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
