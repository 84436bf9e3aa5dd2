//! Recorded cases: what a file says, with its input language understood.
//!
//! Owns the reading. Whatever is not as `tests/golden/README.md` says is an error that names the place and what was
//! expected there. Not here: what an op does (`model.rs`, `drive.rs`).

use crate::json::{array, as_json, at, expected, field, ids, integer, object, text, texts};
use crate::outcome::Outcome;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Of a subscriber or a handler: one id is one callable.
pub(crate) type Id = Arc<str>;

/// The root class, which every linearization ends with.
pub(crate) const OBJECT: &str = "object";

/// Where a file lies, and what it says; or why that cannot be known.
pub(crate) type Found = (PathBuf, Result<File, String>);

/// What is the same in the files of all kinds.
pub(crate) struct File {
    pub(crate) kind: String,
    /// For people: no rule looks at it.
    pub(crate) name: String,
    pub(crate) python_only: bool,
    body: Map<String, Value>,
}

impl File {
    /// Every file in the folder, or in its `cases`, in the order of their names.
    pub(crate) fn all_in(folder: &Path) -> Result<Vec<Found>, String> {
        let cases = folder.join("cases");
        let folder = if cases.is_dir() { &cases } else { folder };
        let cannot = |error| format!("{}: {error}", folder.display());
        let mut paths = Vec::<PathBuf>::new();
        for entry in fs::read_dir(folder).map_err(cannot)? {
            let path = entry.map_err(cannot)?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                paths.push(path);
            }
        }
        paths.sort();
        if paths.is_empty() {
            return Err(format!("{}: expected KIND--NAME.json files, found none", folder.display()));
        }
        let read =
            |path: &PathBuf| Self::parse(&fs::read_to_string(path).map_err(|error| error.to_string())?);
        Ok(paths.into_iter().map(|path| (path.clone(), read(&path))).collect())
    }

    pub(crate) fn parse(json: &str) -> Result<Self, String> {
        let value: Value =
            serde_json::from_str(&as_json(json)).map_err(|error| format!("expected JSON: {error}"))?;
        let Value::Object(body) = value else { return Err(expected("a case, as an object", &value)) };
        let text_of = |key: &str| text(field(&body, key)?).map_err(at(key));
        let (kind, name) = (text_of("kind")?, text_of("name")?);
        let python_only = match body.get("python_only") {
            None | Some(Value::Null) => false,
            Some(ops) => !texts(ops).map_err(at("python_only"))?.is_empty(),
        };
        Ok(Self { kind, name, python_only, body })
    }

    /// `input` or `expected`.
    pub(crate) fn part(&self, key: &str) -> Result<&Value, String> {
        field(&self.body, key)
    }

    /// The rest of a case of the kinds `notify` and `classhandler`.
    pub(crate) fn bus_case(&self) -> Result<BusCase, String> {
        let classes = self.kind == "classhandler";
        let input = object(field(&self.body, "input")?).and_then(|input| Input::parse(input, classes));
        let input = input.map_err(at("input"))?;
        let outcome = |key| -> Result<_, String> {
            let outcome =
                object(field(&self.body, key)?).and_then(|outcome| Outcome::parse(outcome, classes));
            outcome.map_err(at(key))
        };
        let given = outcome("expected")?;
        let matters = match self.body.get("live_walk_matters") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(matters)) => *matters,
            Some(other) => return Err(at("live_walk_matters")(expected("true or false", other))),
        };
        let (recorded, snapshot) = if matters || self.body.contains_key("expected_live_walk") {
            (outcome("expected_live_walk")?, Some(given))
        } else {
            (given, None)
        };
        Ok(BusCase { input, recorded, snapshot })
    }
}

/// A case of the kinds `notify` and `classhandler`.
#[derive(Clone, Debug)]
pub(crate) struct BusCase {
    pub(crate) input: Input,
    /// What gevent did.
    pub(crate) recorded: Outcome,
    /// What a snapshot dispatch gives instead, where the file says so.
    pub(crate) snapshot: Option<Outcome>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Input {
    /// None in the kind `notify`.
    pub(crate) classes: Option<Vec<Class>>,
    pub(crate) subscribers: Vec<Id>,
    pub(crate) behaviors: BTreeMap<Id, Vec<Vec<Op>>>,
    pub(crate) actions: Vec<Op>,
}

#[derive(Clone, Debug)]
pub(crate) struct Class {
    pub(crate) name: String,
    pub(crate) bases: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Notify(String),
    TryNotify(String),
    Append(Id),
    Insert(i64, Id),
    Pop(i64),
    Clear,
    Reverse,
    Remove(Id),
    Discard(Id),
    Assign(Vec<Id>),
    Raise(String),
    Handler(String, Id),
    Unregister(String, Id),
    // Without a counterpart outside Python: only the models know what they do.
    Rebind(Vec<Id>),
    AppendAlias(Id),
    AppendNotCallable,
    AppendDispatch,
    RemoveDispatch,
    ClearRegistry,
}

impl Input {
    /// All of them, at every place.
    pub(crate) fn ops(&self) -> impl Iterator<Item = &Op> {
        self.behaviors.values().flatten().flatten().chain(&self.actions)
    }

    fn parse(body: &Map<String, Value>, with_classes: bool) -> Result<Self, String> {
        let mut known = BTreeSet::from([OBJECT.to_owned()]);
        let mut class = |class| Class::parse(object(class)?, &mut known);
        let classes = match (body.get("classes"), with_classes) {
            (Some(list), true) => {
                let classes = array(list).and_then(|list| list.iter().map(&mut class).collect());
                Some(classes.map_err(at("classes"))?)
            }
            (None, false) => None,
            (Some(_), false) => return Err("classes: expected only in the kind classhandler".into()),
            (None, true) => return Err("classes: expected in the kind classhandler, found nothing".into()),
        };
        let grammar = Grammar { classes: with_classes.then_some(&known) };
        let subscribers = match body.get("subscribers") {
            None => Vec::new(),
            Some(list) => ids(list).map_err(at("subscribers"))?,
        };
        let mut behaviors = BTreeMap::new();
        if let Some(all) = body.get("behaviors") {
            for (id, plans) in object(all).map_err(at("behaviors"))? {
                let plan = |plan| array(plan)?.iter().map(|op| grammar.op(op)).collect();
                let plans = array(plans).and_then(|plans| plans.iter().map(plan).collect());
                behaviors.insert(id.as_str().into(), plans.map_err(at(id)).map_err(at("behaviors"))?);
            }
        }
        let actions = array(field(body, "actions")?);
        let actions = actions.and_then(|actions| actions.iter().map(|op| grammar.op(op)).collect());
        Ok(Self { classes, subscribers, behaviors, actions: actions.map_err(at("actions"))? })
    }
}

impl Op {
    /// Whether it means something outside Python.
    pub(crate) fn has_counterpart(&self) -> bool {
        !matches!(
            self,
            Self::Rebind(_)
                | Self::AppendAlias(_)
                | Self::AppendNotCallable
                | Self::AppendDispatch
                | Self::RemoveDispatch
                | Self::ClearRegistry
        )
    }

    /// The event, if it publishes one.
    pub(crate) fn published(&self) -> Option<&String> {
        match self {
            Self::Notify(event) | Self::TryNotify(event) => Some(event),
            _ => None,
        }
    }

    /// Of those that change the list: as traces have it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Append(_) => "append",
            Self::Insert(..) => "insert",
            Self::Pop(_) => "pop",
            Self::Clear => "clear",
            Self::Reverse => "reverse",
            Self::Remove(_) => "remove",
            Self::Discard(_) => "discard",
            Self::Assign(_) => "assign",
            other => unreachable!("{other:?} changes no list"),
        }
    }
}

impl Class {
    /// Bases are `object`, if there are none, or classes that came before.
    fn parse(body: &Map<String, Value>, known: &mut BTreeSet<String>) -> Result<Self, String> {
        let name = text(field(body, "name")?).map_err(at("name"))?;
        let bases = match body.get("bases") {
            None => Vec::new(),
            Some(list) => texts(list).map_err(at(&name))?,
        };
        for base in &bases {
            if !known.contains(base) {
                return Err(format!("{name}: expected bases from {known:?}, found {base:?}"));
            }
        }
        if !known.insert(name.clone()) {
            return Err(format!("{name}: expected a name of its own, found it twice"));
        }
        Ok(Self { name, bases })
    }
}

/// The ops of a kind.
struct Grammar<'c> {
    /// Of the kind `classhandler`; none in the kind `notify`.
    classes: Option<&'c BTreeSet<String>>,
}

impl Grammar<'_> {
    fn op(&self, op: &Value) -> Result<Op, String> {
        let parts = array(op)?;
        let name =
            parts.first().and_then(Value::as_str).ok_or_else(|| expected("an op, its name first", op))?;
        self.parse(name, &parts[1..]).map_err(|error| format!("{op}: {error}"))
    }

    fn parse(&self, name: &str, arguments: &[Value]) -> Result<Op, String> {
        let count = |n: usize| match arguments.len() {
            found if found == n => Ok(()),
            found => Err(format!("expected {n} arguments, found {found}")),
        };
        let none = |op| count(0).map(|()| op);
        let one_text = || count(1).and_then(|()| text(&arguments[0]));
        let one_id = || one_text().map(Id::from);
        let class_and_id = || {
            count(2)?;
            Ok::<_, String>((self.class(text(&arguments[0])?)?, Id::from(text(&arguments[1])?)))
        };
        match (name, self.classes.is_some()) {
            ("notify", false) => one_text().map(Op::Notify),
            ("try_notify", false) => one_text().map(Op::TryNotify),
            ("notify", true) => one_text().and_then(|class| self.class(class)).map(Op::Notify),
            ("try_notify", true) => one_text().and_then(|class| self.class(class)).map(Op::TryNotify),
            ("append", _) => one_id().map(Op::Append),
            ("insert", _) => {
                count(2)?;
                Ok(Op::Insert(integer(&arguments[0])?, text(&arguments[1])?.into()))
            }
            ("pop", _) => count(1).and_then(|()| integer(&arguments[0])).map(Op::Pop),
            ("clear", _) => none(Op::Clear),
            ("reverse", _) => none(Op::Reverse),
            ("remove", _) => one_id().map(Op::Remove),
            ("discard", _) => one_id().map(Op::Discard),
            ("assign", _) => count(1).and_then(|()| ids(&arguments[0])).map(Op::Assign),
            ("raise", _) => one_text().map(Op::Raise),
            ("rebind", _) => count(1).and_then(|()| ids(&arguments[0])).map(Op::Rebind),
            ("append_alias", _) => one_id().map(Op::AppendAlias),
            ("append_not_callable", _) => none(Op::AppendNotCallable),
            ("handler" | "handler_decorator", true) => {
                class_and_id().map(|(class, id)| Op::Handler(class, id))
            }
            ("unregister", true) => class_and_id().map(|(class, id)| Op::Unregister(class, id)),
            ("clear_registry", true) => none(Op::ClearRegistry),
            ("append_dispatch", true) => none(Op::AppendDispatch),
            ("remove_dispatch", true) => none(Op::RemoveDispatch),
            _ => Err("expected an op of this kind".into()),
        }
    }

    fn class(&self, name: String) -> Result<String, String> {
        match self.classes {
            Some(known) if !known.contains(&name) => {
                Err(format!("expected a class from {known:?}, found {name:?}"))
            }
            _ => Ok(name),
        }
    }
}
