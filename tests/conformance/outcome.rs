//! What comes of a case: the trace, and what is left at the end.
//!
//! Owns how outcomes are read and compared.

use crate::json::{array, at, expected, field, object, text, texts};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) trace: Vec<Entry>,
    pub(crate) final_subscribers: Vec<String>,
    /// Class and handlers, in the order in which the classes got their first one. Empty in the kind `notify`.
    pub(crate) final_registry: Vec<(String, Vec<String>)>,
    /// The linearization of each class. Empty in the kind `notify`.
    pub(crate) mro: BTreeMap<String, Vec<String>>,
}

/// One line of a trace. `depth` is how many subscribers are on the stack.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "e", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Entry {
    Notify { event: String, depth: usize },
    Done { event: String, depth: usize, outcome: String },
    Enter { sub: String, event: String, depth: usize },
    Exit { sub: String, depth: usize, outcome: String },
    List { op: String, after: Vec<String> },
    Registered { cls: String, sub: String, subscribers: Vec<String> },
    Unregistered { cls: String, sub: String },
    RegistryCleared { subscribers: Vec<String> },
    Caught { error: String, depth: usize },
    TopError { error: String },
}

impl Outcome {
    pub(crate) fn parse(body: &Map<String, Value>, classes: bool) -> Result<Self, String> {
        let entry = |(place, entry): (usize, &Value)| {
            let mut entry = entry.clone();
            if let Value::Object(fields) = &mut entry {
                // About Python's decorator: to be ignored.
                fields.remove("form");
                fields.remove("returned");
            }
            let wrong =
                |error| format!("trace: {place}: expected an entry of a trace, found {entry}: {error}");
            Entry::deserialize(&entry).map_err(wrong)
        };
        let trace = array(field(body, "trace")?).map_err(at("trace"))?;
        let mut outcome = Self {
            trace: trace.iter().enumerate().map(entry).collect::<Result<_, _>>()?,
            final_subscribers: texts(field(body, "final_subscribers")?).map_err(at("final_subscribers"))?,
            final_registry: Vec::new(),
            mro: BTreeMap::new(),
        };
        if classes {
            for pair in array(field(body, "final_registry")?).map_err(at("final_registry"))? {
                match array(pair).map_err(at("final_registry"))?.as_slice() {
                    [class, handlers] => outcome.final_registry.push((text(class)?, texts(handlers)?)),
                    _ => return Err(at("final_registry")(expected("a class and its handlers", pair))),
                }
            }
            for (class, line) in object(field(body, "mro")?).map_err(at("mro"))? {
                outcome.mro.insert(class.clone(), texts(line).map_err(at("mro"))?);
            }
        }
        Ok(outcome)
    }

    /// Where the two part ways, for people; nothing if they are equal.
    pub(crate) fn difference(&self, other: &Self) -> Option<Difference> {
        let differs = |place: String, ours: String, theirs: String| Some(Difference { place, ours, theirs });
        let length = self.trace.len().max(other.trace.len());
        let entry =
            |outcome: &Self, i| outcome.trace.get(i).map_or("the end".into(), |entry| format!("{entry:?}"));
        if let Some(i) = (0..length).find(|&i| self.trace.get(i) != other.trace.get(i)) {
            return differs(format!("trace, entry {i}"), entry(self, i), entry(other, i));
        }
        let show = |value: &dyn fmt::Debug| format!("{value:?}");
        if self.final_subscribers != other.final_subscribers {
            let (ours, theirs) = (&self.final_subscribers, &other.final_subscribers);
            return differs("final_subscribers".into(), show(ours), show(theirs));
        }
        if self.final_registry != other.final_registry {
            let (ours, theirs) = (&self.final_registry, &other.final_registry);
            return differs("final_registry".into(), show(ours), show(theirs));
        }
        if self.mro != other.mro {
            return differs("mro".into(), show(&self.mro), show(&other.mro));
        }
        None
    }
}

/// Where two outcomes part ways.
#[derive(Debug)]
pub(crate) struct Difference {
    place: String,
    ours: String,
    theirs: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, ours, theirs } = self;
        write!(f, "{place}: found {ours}, expected {theirs}")
    }
}
