//! What a case must give: computed from its input, without the bus.
//!
//! Owns two ways to walk. The *live* walk is gevent's: a position in a list that others change. It must give every
//! recording, which is what makes its [`Parting`] worth something. The *snapshot* walk is ours: who is called is settled when
//! a publish starts. All else is the same for both, so where their traces differ, it is for that reason.

use crate::case::{Id, Input, OBJECT, Op};
use crate::classes::linearize;
use crate::outcome::{Entry, Outcome};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// How a publish goes through its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walk {
    Live,
    Snapshot,
}

/// The list whose change during a publish made the live walk call another subscriber than the snapshot would have, end
/// before it, or go on after it. The first time that this happened in a case: after that the two are not comparable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parting {
    /// The list of subscribers, the dispatcher among them.
    Subscribers,
    /// A list of handlers of a class, or which classes have one.
    Handlers,
}

/// What gevent must have given, and whether a list that changed during a publish had a part in it.
pub(crate) fn live(input: &Input) -> Result<(Outcome, Option<Parting>), String> {
    Model::new(input, Walk::Live).map(Model::run)
}

/// What we must give.
pub(crate) fn snapshot(input: &Input) -> Result<Outcome, String> {
    Model::new(input, Walk::Snapshot).map(|model| model.run().0)
}

/// An entry of the list of subscribers.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Listed {
    Subscriber(Id),
    Dispatcher,
    NotCallable,
}

/// One call of a publish: of this id, or of what cannot be called.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Call {
    Id(Id),
    NotCallable,
}

type Shared<T> = Rc<RefCell<Vec<T>>>;

fn shared<T>(list: Vec<T>) -> Shared<T> {
    Rc::new(RefCell::new(list))
}

/// The name of an error.
type Raised = String;

struct Model<'i> {
    input: &'i Input,
    walk: Walk,
    lines: BTreeMap<String, Vec<String>>,
    /// The list in force, and the one that it was in the beginning.
    list: Shared<Listed>,
    first_list: Shared<Listed>,
    registry: Vec<(String, Shared<Id>)>,
    calls: HashMap<Id, usize>,
    depth: usize,
    trace: Vec<Entry>,
    parting: Option<Parting>,
}

impl<'i> Model<'i> {
    fn new(input: &'i Input, walk: Walk) -> Result<Self, String> {
        let lines = linearize(input.classes.as_deref().unwrap_or_default())?;
        let list = shared(input.subscribers.iter().cloned().map(Listed::Subscriber).collect());
        Ok(Self {
            input,
            walk,
            lines,
            first_list: list.clone(),
            list,
            registry: Vec::new(),
            calls: HashMap::new(),
            depth: 0,
            trace: Vec::new(),
            parting: None,
        })
    }

    fn run(mut self) -> (Outcome, Option<Parting>) {
        for op in &self.input.actions {
            if let Err(error) = self.perform(op) {
                self.trace.push(Entry::TopError { error });
            }
        }
        let handlers = |list: &Shared<Id>| list.borrow().iter().map(|id| id.to_string()).collect();
        let outcome = Outcome {
            final_subscribers: self.shown(),
            final_registry: self
                .registry
                .iter()
                .map(|(class, list)| (class.clone(), handlers(list)))
                .collect(),
            trace: self.trace,
            mro: self.lines,
        };
        (outcome, self.parting)
    }

    fn perform(&mut self, op: &Op) -> Result<(), Raised> {
        match op {
            Op::Notify(event) => return self.publish(event),
            Op::TryNotify(event) => {
                if let Err(error) = self.publish(event) {
                    self.trace.push(Entry::Caught { error, depth: self.depth });
                }
            }
            Op::Raise(error) => return Err(error.clone()),
            Op::Append(id) => self.change("append", |list| list.push(Listed::Subscriber(id.clone()))),
            Op::Insert(place, id) => self.change("insert", |list| {
                let place = if *place < 0 { place + list.len() as i64 } else { *place };
                list.insert(place.clamp(0, list.len() as i64) as usize, Listed::Subscriber(id.clone()));
            }),
            Op::Pop(place) => {
                let length = self.list.borrow().len() as i64;
                let place = if *place < 0 { place + length } else { *place };
                if !(0..length).contains(&place) {
                    return Err("IndexError".into());
                }
                self.change("pop", |list| drop(list.remove(place as usize)));
            }
            Op::Clear => self.change("clear", Vec::clear),
            Op::Reverse => self.change("reverse", |list| list.reverse()),
            Op::Remove(id) => self.remove("remove", &Listed::Subscriber(id.clone()))?,
            Op::Discard(id) => {
                if self.remove("discard", &Listed::Subscriber(id.clone())).is_err() {
                    self.change("discard", |_| ());
                }
            }
            Op::Assign(ids) => {
                self.change("assign", |list| *list = ids.iter().cloned().map(Listed::Subscriber).collect());
            }
            Op::Rebind(ids) => {
                self.list = shared(ids.iter().cloned().map(Listed::Subscriber).collect());
                self.change("rebind", |_| ());
            }
            Op::AppendAlias(id) => {
                self.first_list.borrow_mut().push(Listed::Subscriber(id.clone()));
                self.change("append_alias", |_| ());
            }
            Op::AppendNotCallable => {
                self.change("append_not_callable", |list| list.push(Listed::NotCallable))
            }
            Op::AppendDispatch => self.change("append_dispatch", |list| list.push(Listed::Dispatcher)),
            Op::RemoveDispatch => self.remove("remove_dispatch", &Listed::Dispatcher)?,
            Op::Handler(class, id) => {
                if self.registry.is_empty() {
                    self.list.borrow_mut().push(Listed::Dispatcher);
                }
                match self.handlers(class) {
                    Some(handlers) => handlers.borrow_mut().push(id.clone()),
                    None => self.registry.push((class.clone(), shared(vec![id.clone()]))),
                }
                let (cls, sub) = (class.clone(), id.to_string());
                self.trace.push(Entry::Registered { cls, sub, subscribers: self.shown() });
            }
            Op::Unregister(class, id) => {
                let handlers = self.handlers(class).ok_or("KeyError")?;
                let place = handlers.borrow().iter().position(|other| other == id).ok_or("ValueError")?;
                handlers.borrow_mut().remove(place);
                self.trace.push(Entry::Unregistered { cls: class.clone(), sub: id.to_string() });
            }
            Op::ClearRegistry => {
                self.registry.clear();
                self.trace.push(Entry::RegistryCleared { subscribers: self.shown() });
            }
        }
        Ok(())
    }

    fn change(&mut self, op: &str, change: impl FnOnce(&mut Vec<Listed>)) {
        change(&mut self.list.borrow_mut());
        self.trace.push(Entry::List { op: op.into(), after: self.shown() });
    }

    /// The first one that is equal.
    fn remove(&mut self, op: &str, what: &Listed) -> Result<(), Raised> {
        let place = self.list.borrow().iter().position(|listed| listed == what).ok_or("ValueError")?;
        self.change(op, |list| drop(list.remove(place)));
        Ok(())
    }

    fn shown(&self) -> Vec<String> {
        let show = |listed: &Listed| match listed {
            Listed::Subscriber(id) => id.to_string(),
            Listed::Dispatcher => "<dispatch>".into(),
            Listed::NotCallable => "<not callable>".into(),
        };
        self.list.borrow().iter().map(show).collect()
    }

    fn handlers(&self, class: &str) -> Option<Shared<Id>> {
        self.registry.iter().find(|(name, _)| name == class).map(|(_, handlers)| handlers.clone())
    }

    /// The linearization of an event's class.
    fn line(&self, event: &str) -> Vec<String> {
        self.lines.get(event).cloned().unwrap_or_else(|| vec![OBJECT.into()])
    }

    fn publish(&mut self, event: &str) -> Result<(), Raised> {
        self.trace.push(Entry::Notify { event: event.into(), depth: self.depth });
        let result = match self.walk {
            Walk::Live => self.walk_live(event),
            Walk::Snapshot => self.frozen(event).iter().try_for_each(|call| self.call(call, event)),
        };
        self.trace.push(Entry::Done { event: event.into(), depth: self.depth, outcome: outcome(&result) });
        result
    }

    /// Who is called for the event, if nothing changes meanwhile.
    fn frozen(&self, event: &str) -> Vec<Call> {
        let mut calls = Vec::new();
        for listed in self.list.borrow().iter() {
            match listed {
                Listed::Subscriber(id) => calls.push(Call::Id(id.clone())),
                Listed::NotCallable => calls.push(Call::NotCallable),
                Listed::Dispatcher => {
                    for handlers in self.line(event).iter().filter_map(|class| self.handlers(class)) {
                        calls.extend(handlers.borrow().iter().cloned().map(Call::Id));
                    }
                }
            }
        }
        calls
    }

    /// S-8 and S-20: while the position is within the list as it is now, call what is there and advance.
    fn walk_live(&mut self, event: &str) -> Result<(), Raised> {
        let list = self.list.clone();
        let mut watch =
            Watch { list: list.borrow().clone(), calls: self.frozen(event), called: 0, moved: false };
        for place in 0.. {
            let Some(listed) = list.borrow().get(place).cloned() else {
                watch.moved |= place != watch.list.len();
                break;
            };
            watch.moved |= watch.list.get(place) != Some(&listed);
            match listed {
                Listed::Subscriber(id) => self.call_live(Call::Id(id), event, &mut watch)?,
                Listed::NotCallable => self.call_live(Call::NotCallable, event, &mut watch)?,
                Listed::Dispatcher => {
                    for class in self.line(event) {
                        // Looked up when the walk gets there.
                        let Some(handlers) = self.handlers(&class) else { continue };
                        for place in 0.. {
                            let Some(id) = handlers.borrow().get(place).cloned() else { break };
                            self.call_live(Call::Id(id), event, &mut watch)?;
                        }
                    }
                }
            }
        }
        if watch.called < watch.calls.len() {
            self.part(&watch);
        }
        Ok(())
    }

    fn call_live(&mut self, call: Call, event: &str, watch: &mut Watch) -> Result<(), Raised> {
        if watch.calls.get(watch.called) != Some(&call) {
            self.part(watch);
        }
        watch.called += 1;
        self.call(&call, event)
    }

    fn part(&mut self, watch: &Watch) {
        self.parting.get_or_insert(if watch.moved { Parting::Subscribers } else { Parting::Handlers });
    }

    fn call(&mut self, call: &Call, event: &str) -> Result<(), Raised> {
        let Call::Id(id) = call else { return Err("TypeError".into()) };
        self.depth += 1;
        self.trace.push(Entry::Enter { sub: id.to_string(), event: event.into(), depth: self.depth });
        let nth = self.calls.entry(id.clone()).or_default();
        *nth += 1;
        let plan = self.input.behaviors.get(id).and_then(|plans| plans.get(*nth - 1));
        let result = plan.map_or(Ok(()), |plan| plan.iter().try_for_each(|op| self.perform(op)));
        self.trace.push(Entry::Exit { sub: id.to_string(), depth: self.depth, outcome: outcome(&result) });
        self.depth -= 1;
        result
    }
}

/// A live walk beside what was there when it started.
struct Watch {
    list: Vec<Listed>,
    calls: Vec<Call>,
    called: usize,
    /// The walk has met another entry of the list than it would have without a change.
    moved: bool,
}

fn outcome(result: &Result<(), Raised>) -> String {
    match result {
        Ok(()) => "ok".into(),
        Err(error) => format!("raise:{error}"),
    }
}
