//! What a case of the kinds `patch` and `patch_all` says.
//!
//! Owns the reading of both. Traces are kept as the values that they are in a file; nothing here knows what they mean.

use crate::case::File;
use crate::json::{array, at, expected, field, integer, object, text, texts};
use serde_json::{Map, Value};

/// An event, as cases name it. The entry points of plugins end in the same names.
pub(crate) const EVENTS: [&str; 5] = [WILL_ALL, WILL, DID, DID_BUILTINS, DID_ALL];
pub(crate) const WILL_ALL: &str = "will_patch_all";
pub(crate) const WILL: &str = "will_patch_module";
pub(crate) const DID: &str = "did_patch_module";
pub(crate) const DID_BUILTINS: &str = "did_patch_builtins";
pub(crate) const DID_ALL: &str = "did_patch_all";

/// What is raised to veto.
pub(crate) const VETO: &str = "DoNotPatch";

#[derive(Clone, Debug, Default)]
pub(crate) struct Input {
    /// Whether it is a case of passes: their modules are gevent's, and what happens is told in other words.
    pub(crate) passes: bool,
    pub(crate) targets: Vec<Target>,
    pub(crate) sources: Vec<Source>,
    pub(crate) subscribers: Vec<Listener>,
    pub(crate) plugins: Vec<Listener>,
    pub(crate) actions: Vec<Action>,
    pub(crate) query_modules: Vec<String>,
    pub(crate) query_objects: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) attrs: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) attrs: Vec<(String, String)>,
    pub(crate) implements: Option<Vec<String>>,
    pub(crate) will: Option<Vec<Op>>,
    pub(crate) did: Option<Vec<Op>>,
    /// Whether it has a copy step of its own (S-91): nothing of ours is like it.
    pub(crate) copies: bool,
}

/// A subscriber, or a plugin.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    pub(crate) id: String,
    /// The only event that it is called for: a plugin's.
    pub(crate) group: Option<String>,
    /// It is never called: what it is cannot be had, and this is the error.
    pub(crate) missing: Option<&'static str>,
    pub(crate) rules: Vec<Reaction>,
}

/// What a listener does when it hears something.
#[derive(Clone, Debug)]
pub(crate) struct Reaction {
    pub(crate) on: String,
    pub(crate) module: Option<String>,
    pub(crate) only_nth: Option<usize>,
    pub(crate) ops: Vec<Op>,
}

impl Reaction {
    pub(crate) fn is_to(&self, event: &str, module: Option<&str>) -> bool {
        let named = self.module.as_deref().is_none_or(|name| module == Some(name));
        self.on == event && named
    }
}

/// What a listener or a hook does.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Raise(String),
    Edit(Edit),
    /// Another list into the event.
    Rebind(Vec<String>),
    SetTargetAttr(String, String),
    Warn(String),
    Do(Action),
    /// Asks the event whether a module will be patched.
    WillPatch(String),
    /// Changes what the event answered when it was asked for the arguments.
    SetArgument,
}

#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Remove(Vec<String>),
    Append(Vec<String>),
    Insert(i64, String),
    Clear,
    Assign(Vec<String>),
}

/// What a program does, and how the case says it.
#[derive(Clone, Debug)]
pub(crate) struct Action {
    pub(crate) said: Value,
    pub(crate) what: Do,
}

#[derive(Clone, Debug)]
pub(crate) enum Do {
    PatchModule(PatchModule),
    PatchItem(String, String, String),
    RemoveItem(String, String),
    GetOriginal(Vec<String>, Names),
    IsModulePatched(String),
    IsObjectPatched(String, String),
    GetAttr(String, String),
    Call(Call),
    Unsubscribe(String),
    /// A module that nobody knows, with one function.
    PatchFake(String),
}

#[derive(Clone, Debug)]
pub(crate) struct PatchModule {
    pub(crate) target: String,
    pub(crate) source: String,
    pub(crate) items: Option<Vec<String>>,
    pub(crate) switches: Switches,
}

/// What of a patch happens besides the copy (S-92).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Switches {
    pub(crate) hooks: bool,
    pub(crate) will: bool,
    pub(crate) did: bool,
}

impl Switches {
    pub(crate) const ALL: Self = Self { hooks: true, will: true, did: true };
}

#[derive(Clone, Debug)]
pub(crate) enum Names {
    One(String),
    Many(Vec<String>),
}

/// `patch_all`, or one of the single functions.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) function: String,
    pub(crate) kwargs: Map<String, Value>,
}

impl Call {
    /// A setting of this call, or its default.
    pub(crate) fn setting(&self, name: &str, default: bool) -> bool {
        self.kwargs.get(name).and_then(Value::as_bool).unwrap_or(default)
    }
}

/// What came of a case: its trace, and everything else that is recorded, by name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) trace: Vec<Value>,
    pub(crate) end: Map<String, Value>,
}

impl Outcome {
    /// Where the two part ways, for people.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        let length = self.trace.len().max(other.trace.len());
        let show = |value: Option<&Value>| value.map_or("nothing".into(), Value::to_string);
        if let Some(place) = (0..length).find(|&place| self.trace.get(place) != other.trace.get(place)) {
            let (found, expected) = (show(self.trace.get(place)), show(other.trace.get(place)));
            return Some(format!("trace, entry {place}: found {found}, expected {expected}"));
        }
        let mut keys = self.end.keys().chain(other.end.keys());
        let key = keys.find(|key| self.end.get(*key) != other.end.get(*key))?;
        let (found, expected) = (show(self.end.get(key)), show(other.end.get(key)));
        Some(format!("{key}: found {found}, expected {expected}"))
    }
}

pub(crate) fn parse(file: &File) -> Result<(Input, Outcome), String> {
    let passes = file.kind == "patch_all";
    let input = object(file.part("input")?).and_then(|body| read(body, passes)).map_err(at("input"))?;
    let mut end = object(file.part("expected")?).map_err(at("expected"))?.clone();
    let trace = end.remove("trace").ok_or("expected: trace: expected, found nothing")?;
    let mut trace = array(&trace).map_err(at("expected: trace"))?.clone();
    for entry in &mut trace {
        object(entry).map_err(at("expected: trace"))?;
        in_our_words(entry);
    }
    if let Some(warnings) = end.get_mut("warnings") {
        only_texts(warnings, &input);
    }
    Ok((input, Outcome { trace, end }))
}

/// How an answer of `will_patch_module` is written down is told nowhere: by whatever name, it is a module and an answer.
fn in_our_words(entry: &mut Value) {
    let Value::Object(fields) = entry else { return };
    if fields.get("e").and_then(Value::as_str) != Some("query") {
        return;
    }
    let answer = fields.values().find(|value| value.is_boolean() || value.is_null()).cloned();
    let name =
        ["name", "module", "asked", "query", "argument"].into_iter().find_map(|key| fields.get(key).cloned());
    if let (Some(answer), Some(name)) = (answer, name) {
        *entry = query(&name, answer);
    }
}

/// What goes with the text of a warning is Python's.
fn only_texts(warnings: &mut Value, input: &Input) {
    let hooks = input.sources.iter().flat_map(|source| source.will.iter().chain(&source.did).flatten());
    let texts: Vec<_> =
        hooks.filter_map(|op| if let Op::Warn(text) = op { Some(text) } else { None }).collect();
    for warning in warnings.as_array_mut().into_iter().flatten() {
        let said = warning.to_string();
        if let Some(text) = texts.iter().find(|text| said.contains(text.as_str())) {
            *warning = text.as_str().into();
        }
    }
}

pub(crate) fn query(name: &Value, answer: Value) -> Value {
    serde_json::json!({"e": "query", "name": name, "value": answer})
}

pub(crate) fn read(body: &Map<String, Value>, passes: bool) -> Result<Input, String> {
    let list = |key: &str| match body.get(key) {
        None | Some(Value::Null) => Ok(&[][..]),
        Some(value) => array(value).map(Vec::as_slice).map_err(at(key)),
    };
    let pair = |value: &Value| match texts(value)?.as_slice() {
        [module, item] => Ok((module.clone(), item.clone())),
        _ => Err(expected("a module and a name", value)),
    };
    let actions = list(if passes { "calls" } else { "actions" })?.iter();
    let action = |value: &Value| if passes { call_of_case(value) } else { action(value) };
    Ok(Input {
        passes,
        targets: list("targets")?.iter().map(target).collect::<Result<_, _>>().map_err(at("targets"))?,
        sources: list("sources")?.iter().map(source).collect::<Result<_, _>>().map_err(at("sources"))?,
        subscribers: list("subscribers")?
            .iter()
            .map(listener)
            .collect::<Result<_, _>>()
            .map_err(at("subscribers"))?,
        plugins: list("plugins")?.iter().map(plugin).collect::<Result<_, _>>().map_err(at("plugins"))?,
        actions: actions.map(action).collect::<Result<_, _>>().map_err(at("actions"))?,
        query_modules: list("query_modules")?.iter().map(text).collect::<Result<_, _>>()?,
        query_objects: list("query_objects")?.iter().map(pair).collect::<Result<_, _>>()?,
    })
}

fn attrs(body: &Map<String, Value>) -> Result<Vec<(String, String)>, String> {
    let attrs = object(field(body, "attrs")?).map_err(at("attrs"))?;
    attrs.iter().map(|(name, value)| Ok((name.clone(), text(value)?))).collect()
}

fn target(value: &Value) -> Result<Target, String> {
    let body = object(value)?;
    Ok(Target { name: text(field(body, "name")?)?, attrs: attrs(body)? })
}

fn source(value: &Value) -> Result<Source, String> {
    let body = object(value)?;
    let present =
        |body: &Map<String, Value>, key: &str| body.get(key).filter(|value| !value.is_null()).cloned();
    let hooks = present(body, "hooks");
    let hooks = hooks.as_ref().map(object).transpose().map_err(at("hooks"))?;
    let hook = |which: &str| hooks.and_then(|hooks| present(hooks, which));
    let ops = |which: &str| hook(which).as_ref().map(ops).transpose().map_err(at(which));
    Ok(Source {
        name: text(field(body, "name")?)?,
        attrs: attrs(body)?,
        implements: present(body, "implements").as_ref().map(texts).transpose().map_err(at("implements"))?,
        will: ops("will")?,
        did: ops("did")?,
        copies: hook("do").is_some(),
    })
}

fn listener(value: &Value) -> Result<Listener, String> {
    let body = object(value)?;
    let rules = body.get("rules").map_or(Ok([].as_slice()), |rules| array(rules).map(Vec::as_slice))?;
    let rules = rules.iter().map(reaction).collect::<Result<_, _>>().map_err(at("rules"))?;
    let id = body.get("id").or(body.get("name")).ok_or("id: expected, found nothing")?;
    Ok(Listener { id: text(id)?, group: None, missing: None, rules })
}

fn reaction(value: &Value) -> Result<Reaction, String> {
    let body = object(value)?;
    let on = text(field(body, "on")?)?;
    if !EVENTS.contains(&on.as_str()) {
        return Err(format!("expected an event from {EVENTS:?}, found {on:?}"));
    }
    let only_nth = body.get("only_nth").filter(|value| !value.is_null());
    let only_nth =
        only_nth.map(|nth| integer(nth).map(|nth| nth.max(0).unsigned_abs() as usize)).transpose()?;
    Ok(Reaction { on, module: module(body)?, only_nth, ops: ops(field(body, "do")?).map_err(at("do"))? })
}

fn module(body: &Map<String, Value>) -> Result<Option<String>, String> {
    let module = body.get("module").filter(|value| !value.is_null()).map(text).transpose()?;
    Ok(module.filter(|name| name != "*"))
}

fn plugin(value: &Value) -> Result<Listener, String> {
    let body = object(value)?;
    let group = text(field(body, "group")?)?;
    if !EVENTS.contains(&group.as_str()) {
        return Err(format!("expected a group from {EVENTS:?}, found {group:?}"));
    }
    let missing = match body.get("fail").and_then(Value::as_str) {
        None => None,
        Some("import") => Some("ModuleNotFoundError"),
        Some("attribute") => Some("AttributeError"),
        Some(other) => return Err(format!("fail: expected import or attribute, found {other:?}")),
    };
    let mut listener = listener(value)?;
    if let Some(said) = body.get("do") {
        let ops = ops(said).map_err(at("do"))?;
        listener.rules.push(Reaction { on: group.clone(), module: module(body)?, only_nth: None, ops });
    }
    Ok(Listener { group: Some(group), missing, ..listener })
}

fn ops(value: &Value) -> Result<Vec<Op>, String> {
    array(value)?.iter().map(|value| op(value).map_err(|error| format!("{value}: {error}"))).collect()
}

fn name_and_rest(value: &Value) -> Result<(&str, &[Value]), String> {
    match array(value)?.split_first() {
        Some((Value::String(name), rest)) => Ok((name, rest)),
        _ => Err(expected("an op, its name first", value)),
    }
}

/// One name or several, whether listed or one after another.
fn names(values: &[Value]) -> Result<Vec<String>, String> {
    match values {
        [Value::Array(names)] => names.iter().map(text).collect(),
        names => names.iter().map(text).collect(),
    }
}

fn op(value: &Value) -> Result<Op, String> {
    let (name, rest) = name_and_rest(value)?;
    Ok(match (name, rest) {
        ("veto", _) => Op::Raise(VETO.into()),
        ("raise", [name]) => Op::Raise(text(name)?),
        ("items_remove", [_, ..]) => Op::Edit(Edit::Remove(names(rest)?)),
        ("items_append", [_, ..]) => Op::Edit(Edit::Append(names(rest)?)),
        ("items_insert", [place, name]) => Op::Edit(Edit::Insert(integer(place)?, text(name)?)),
        ("items_clear", []) => Op::Edit(Edit::Clear),
        ("items_assign", _) => Op::Edit(Edit::Assign(names(rest)?)),
        ("items_rebind", _) => Op::Rebind(names(rest)?),
        ("set_target_attr", [name, value]) => Op::SetTargetAttr(text(name)?, text(value)?),
        ("warn", [warning]) => Op::Warn(text(warning)?),
        ("will_patch_module", [name]) => Op::WillPatch(text(name)?),
        ("arguments_set", _) => Op::SetArgument,
        ("patch_fake", [name]) => Op::Do(Action { said: value.clone(), what: Do::PatchFake(text(name)?) }),
        ("call", [function, rest @ ..]) => {
            let kwargs = rest.first().map(object).transpose()?.cloned().unwrap_or_default();
            let what = Do::Call(Call { function: text(function)?, kwargs });
            Op::Do(Action { said: value.clone(), what })
        }
        _ => Op::Do(action(value)?),
    })
}

fn call_of_case(value: &Value) -> Result<Action, String> {
    let body = object(value)?;
    let what = if let Some(id) = body.get("unsubscribe") {
        Do::Unsubscribe(text(id)?)
    } else {
        let kwargs = body.get("kwargs").map(object).transpose().map_err(at("kwargs"))?;
        Do::Call(Call {
            function: text(field(body, "function")?)?,
            kwargs: kwargs.cloned().unwrap_or_default(),
        })
    };
    Ok(Action { said: value.clone(), what })
}

fn action(value: &Value) -> Result<Action, String> {
    let (name, rest) = name_and_rest(value)?;
    let one_or_more = |value: &Value| if value.is_array() { texts(value) } else { Ok(vec![text(value)?]) };
    let what = match (name, rest) {
        ("patch_module", [target, source, options @ ..]) => {
            Do::PatchModule(patch_module(text(target)?, text(source)?, options.first())?)
        }
        ("patch_item", [module, name, value]) => Do::PatchItem(text(module)?, text(name)?, text(value)?),
        ("remove_item", [module, name]) => Do::RemoveItem(text(module)?, text(name)?),
        ("get_original", [modules, Value::Array(items)]) => {
            let items = items.iter().map(text).collect::<Result<_, _>>()?;
            Do::GetOriginal(one_or_more(modules)?, Names::Many(items))
        }
        ("get_original", [modules, item]) => Do::GetOriginal(one_or_more(modules)?, Names::One(text(item)?)),
        ("is_module_patched", [module]) => Do::IsModulePatched(text(module)?),
        ("is_object_patched", [module, name]) => Do::IsObjectPatched(text(module)?, text(name)?),
        ("getattr", [module, name]) => Do::GetAttr(text(module)?, text(name)?),
        _ => return Err(expected("an op of this kind", value)),
    };
    Ok(Action { said: value.clone(), what })
}

fn patch_module(target: String, source: String, options: Option<&Value>) -> Result<PatchModule, String> {
    let empty = Map::new();
    let options = options.map_or(Ok(&empty), object)?;
    let switch = |key: &str| match options.get(key) {
        None => Ok(true),
        Some(value) => value.as_bool().ok_or_else(|| expected("true or false", value)).map_err(at(key)),
    };
    let items = options.get("items").filter(|items| !items.is_null());
    Ok(PatchModule {
        target,
        source,
        items: items.map(texts).transpose().map_err(at("items"))?,
        switches: Switches {
            hooks: switch("call_hooks")?,
            will: switch("notify_will")?,
            did: switch("notify_did")?,
        },
    })
}
