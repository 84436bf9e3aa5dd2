//! A case on our bus.
//!
//! Owns what each op of the input language is here. A subscriber of a case is a closure that performs its plans. Its registrations
//! are handles, kept in the order in which gevent's list would have them; after each change the bus must list the same ones in the
//! same order. Handlers have their place in that list at `<dispatch>`; where that leaves it, which silences them in gevent, they are
//! paused. Anything about the bus that is not as it must be, beyond the trace, is a panic.

use crate::case::{self, Id, Input, Op};
use crate::outcome::{Entry, Outcome};
use crate::types::{self, Body, CLASSES, Door, Lines, label};
use crate::world::World;
use signalpost::{
    AnyEvent, Bus, BusEdit, BusStop, BusSubscriberInfo, Listens, Stopped, SubscribeOptions, SubscriberId,
    Subscription,
};
use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};

/// Performs a case on a bus of its own, its events coming in by that door.
pub(crate) fn drive(input: &Input, door: Door) -> Result<Outcome, String> {
    if let Some(op) = input.ops().find(|op| !op.has_counterpart()) {
        return Err(format!("{op:?} has no counterpart here; expected the case to say python_only"));
    }
    let world = World::new(input)?;
    let _lines = Lines::set(world.families());
    let bus = Bus::new().with_max_depth(1024);
    let run = Arc::new(Run { bus, door, world, input: input.clone(), state: Mutex::default() });
    for id in &input.subscribers {
        run.place(&mut run.state(), usize::MAX, id);
    }
    run.agrees(&run.state());
    for op in &input.actions {
        if let Err(stop) = run.perform(op) {
            run.state().trace.push(Entry::TopError { error: name_of(&stop) });
        }
    }
    Ok(run.finish())
}

struct Run {
    input: Input,
    world: World,
    door: Door,
    state: Mutex<State>, // before the bus: its handles end first
    bus: Bus,
}

#[derive(Default)]
struct State {
    list: Vec<Listed>,
    registry: Vec<(String, Vec<(Id, Subscription)>)>,
    /// The dispatcher has left the list: handlers are paused.
    silent: bool,
    /// Some plain subscribers have a priority, to be before or after the handlers whenever they were registered.
    has_priorities: bool,
    calls: HashMap<Id, usize>,
    depth: usize,
    /// For each publish under way: how many it has called.
    called: Vec<usize>,
    trace: Vec<Entry>,
    /// Who is behind each registration, and whose call ended last.
    ids: HashMap<SubscriberId, Id>,
    ended_last: Option<Id>,
}

/// An entry of gevent's list.
enum Listed {
    Subscriber(Id, Subscription),
    Dispatcher,
}

impl Listed {
    fn is(&self, id: &Id) -> bool {
        matches!(self, Self::Subscriber(other, _) if other == id)
    }

    fn subscription(&self) -> Option<&Subscription> {
        match self {
            Self::Subscriber(_, subscription) => Some(subscription),
            Self::Dispatcher => None,
        }
    }
}

/// An error of a case that is no veto.
#[derive(Debug)]
struct Raised(String);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Raised {}

const VETO: &str = "DoNotPatch";

fn raise(name: &str) -> BusStop {
    if name == VETO { BusStop::veto(VETO) } else { BusStop::fail(Raised(name.into())) }
}

fn name_of(stop: &BusStop) -> String {
    match stop {
        BusStop::Veto(veto) => veto.reason.clone().into_owned(),
        BusStop::Fail(error) => {
            error.downcast_ref::<Raised>().expect("an error of a case, unchanged").0.clone()
        }
    }
}

fn outcome<T>(result: &Result<T, BusStop>) -> String {
    match result {
        Ok(_) => "ok".into(),
        Err(stop) => format!("raise:{}", name_of(stop)),
    }
}

impl Run {
    /// Never held while the bus publishes.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a panic ends the case")
    }

    fn perform(self: &Arc<Self>, op: &Op) -> Result<(), BusStop> {
        match op {
            Op::Notify(event) => return self.publish(event),
            Op::TryNotify(event) => {
                if let Err(stop) = self.publish(event) {
                    let mut state = self.state();
                    let depth = state.depth;
                    state.trace.push(Entry::Caught { error: name_of(&stop), depth });
                }
                return Ok(());
            }
            Op::Raise(name) => return Err(raise(name)),
            _ => {}
        }
        let mut state = self.state();
        let state = &mut *state;
        match op {
            Op::Append(id) => self.place(state, usize::MAX, id),
            Op::Insert(place, id) => {
                let place = if *place < 0 { place + state.list.len() as i64 } else { *place };
                self.place(state, place.max(0) as usize, id);
            }
            Op::Pop(place) => {
                let place = if *place < 0 { place + state.list.len() as i64 } else { *place };
                let place = usize::try_from(place).ok().filter(|place| *place < state.list.len());
                let place = place.ok_or_else(|| raise("IndexError"))?;
                self.bus.edit(|edit| state.take_out(edit, place..place + 1));
            }
            Op::Remove(id) | Op::Discard(id) => match state.list.iter().position(|listed| listed.is(id)) {
                // By the handle alone: dropping it cancels.
                Some(place) => drop(state.list.remove(place)),
                None if matches!(op, Op::Remove(_)) => return Err(raise("ValueError")),
                None => {}
            },
            Op::Clear if state.registry.is_empty() => {
                self.bus.edit(|edit| edit.clear());
                state.list.clear();
            }
            Op::Clear => self.bus.edit(|edit| state.take_out(edit, 0..state.list.len())),
            Op::Assign(ids) => {
                let list = self.bus.edit(|edit| {
                    state.take_out(edit, 0..state.list.len());
                    let subscribe =
                        |id: &Id| Listed::Subscriber(id.clone(), edit.everything().subscribe(self.plain(id)));
                    ids.iter().map(subscribe).collect::<Vec<_>>()
                });
                for listed in list {
                    state.add(usize::MAX, listed);
                }
            }
            Op::Reverse => self.reverse(state),
            Op::Handler(class, id) => {
                self.register(state, class, id);
                let (cls, sub) = (class.clone(), id.to_string());
                state.trace.push(Entry::Registered { cls, sub, subscribers: state.shown() });
                self.agrees(state);
                return Ok(());
            }
            Op::Unregister(class, id) => {
                let handlers = state.registry.iter_mut().find(|(name, _)| name == class);
                let (_, handlers) = handlers.ok_or_else(|| raise("KeyError"))?;
                let place = handlers.iter().position(|(other, _)| other == id);
                let (_, subscription) = handlers.remove(place.ok_or_else(|| raise("ValueError"))?);
                assert!(subscription.cancel(), "a handler is registered until it is cancelled");
                state.trace.push(Entry::Unregistered { cls: class.clone(), sub: id.to_string() });
                self.agrees(state);
                return Ok(());
            }
            _ => unreachable!("{op:?} was performed above, or refused before the case began"),
        }
        state.trace.push(Entry::List { op: op.name().into(), after: state.shown() });
        self.agrees(state);
        Ok(())
    }

    fn publish(&self, event: &str) -> Result<(), BusStop> {
        let (depth, audience) = {
            let mut state = self.state();
            let depth = state.depth;
            state.trace.push(Entry::Notify { event: event.into(), depth });
            state.called.push(0);
            (depth, self.audience(&state, event))
        };
        let class = &CLASSES[self.world.numbers[event]];
        let result = (class.publish)(&self.bus, self.door, event);
        let mut state = self.state();
        assert_eq!(state.depth, depth, "a publish returns when its subscribers have");
        let called = state.called.pop().expect("one for each publish under way");
        let result = result.map_err(|Stopped { error, subscriber, position, not_run }| {
            let who = state.ids.get(&subscriber.id);
            assert!(who.is_some() && who == state.ended_last.as_ref(), "{subscriber} did not stop {event}");
            // Those who are paused have a place, but are not called.
            if let Some(audience) = audience {
                assert_eq!(
                    (position + 1, position + 1 + not_run),
                    (called, audience),
                    "the place of {subscriber}"
                );
            }
            error
        });
        state.trace.push(Entry::Done { event: event.into(), depth, outcome: outcome(&result) });
        result
    }

    /// How many hear an event, unless some of them are paused.
    fn audience(&self, state: &State, event: &str) -> Option<usize> {
        let plain = state.list.iter().filter_map(Listed::subscription).count();
        let of_class =
            |class: &str| state.registry.iter().find(|(name, _)| name == class).map_or(0, |(_, h)| h.len());
        let root = [case::OBJECT.to_owned()];
        let line = self.world.lines.get(event).map_or(&root[..], Vec::as_slice);
        (!state.silent).then(|| plain + line.iter().map(|class| of_class(class)).sum::<usize>())
    }

    /// A subscriber or handler is called.
    fn called(self: &Arc<Self>, id: &Id, event: &str) -> Result<(), BusStop> {
        let (plan, depth) = {
            let mut state = self.state();
            state.depth += 1;
            let depth = state.depth;
            *state.called.last_mut().expect("a publish is under way") += 1;
            state.trace.push(Entry::Enter { sub: id.to_string(), event: event.into(), depth });
            let nth = state.calls.entry(id.clone()).or_default();
            let plan = self.input.behaviors.get(id).and_then(|plans| plans.get(*nth));
            *nth += 1;
            (plan, depth)
        };
        let result = plan.map_or(Ok(()), |plan| plan.iter().try_for_each(|op| self.perform(op)));
        let mut state = self.state();
        state.trace.push(Entry::Exit { sub: id.to_string(), depth, outcome: outcome(&result) });
        state.depth -= 1;
        state.ended_last = Some(id.clone());
        result
    }

    fn plain(
        self: &Arc<Self>,
        id: &Id,
    ) -> impl Fn(&dyn AnyEvent) -> Result<(), BusStop> + Send + Sync + 'static {
        let (run, id) = (Arc::downgrade(self), id.clone());
        move |event| run.upgrade().expect("the case is running").called(&id, label(event))
    }

    fn handler(self: &Arc<Self>, id: &Id) -> Body {
        let (run, id) = (Arc::downgrade(self), id.clone());
        Box::new(move |event| run.upgrade().expect("the case is running").called(&id, event))
    }

    /// Registers a plain subscriber at a place of the list, or at its end.
    fn place(self: &Arc<Self>, state: &mut State, place: usize, id: &Id) {
        let place = place.min(state.list.len());
        let body = self.plain(id);
        let before = place.checked_sub(1).map(|place| &state.list[place]);
        let subscription = match (before, state.list.get(place)) {
            (_, Some(Listed::Subscriber(_, after))) => self.bus.edit(|edit| {
                let subscription = edit.everything().subscribe(body);
                assert!(edit.move_before(&subscription, after));
                subscription
            }),
            (Some(Listed::Subscriber(_, before)), after) if after.is_some() || state.has_priorities => {
                self.bus.edit(|edit| {
                    let subscription = edit.everything().subscribe(body);
                    assert!(edit.move_after(&subscription, before));
                    subscription
                })
            }
            (None, Some(Listed::Dispatcher)) => {
                state.has_priorities = true;
                self.bus.subscribe_with(SubscribeOptions::new().priority(1), body)
            }
            // At the end, and by itself.
            _ => self.bus.subscribe(body),
        };
        state.add(place, Listed::Subscriber(id.clone(), subscription));
    }

    fn register(self: &Arc<Self>, state: &mut State, class: &str, id: &Id) {
        if state.registry.is_empty() {
            state.list.push(Listed::Dispatcher);
        }
        let number = self.world.numbers[class];
        let (of_class, body) = (&CLASSES[number], self.handler(id));
        let options = if state.silent { SubscribeOptions::new().paused() } else { SubscribeOptions::new() };
        let subscription = if self.world.has_subclasses[number] {
            (of_class.subscribe_family)(&self.bus, options, body)
        } else {
            (of_class.subscribe_topic)(&self.bus, options, body)
        };
        state.ids.insert(subscription.id(), id.clone());
        let handler = (id.clone(), subscription);
        match state.registry.iter_mut().find(|(name, _)| name == class) {
            Some((_, handlers)) => handlers.push(handler),
            None => state.registry.push((class.into(), vec![handler])),
        }
    }

    /// One swap: with handlers in between, by priority; else each after the one before it.
    fn reverse(&self, state: &mut State) {
        state.list.reverse();
        let dispatcher = state.list.iter().position(|listed| matches!(listed, Listed::Dispatcher));
        self.bus.edit(|edit| match dispatcher {
            Some(dispatcher) => {
                for (place, subscription) in state.list.iter().map(Listed::subscription).enumerate() {
                    let priority = if place < dispatcher { 1 } else { -1 };
                    assert!(
                        subscription.is_none_or(|subscription| edit.set_priority(subscription, priority))
                    );
                }
            }
            None => {
                let subscriptions: Vec<_> = state.list.iter().filter_map(Listed::subscription).collect();
                for pair in subscriptions.windows(2) {
                    assert!(edit.move_after(pair[1], pair[0]));
                }
            }
        });
        state.has_priorities |= dispatcher.is_some();
    }

    /// The bus lists what we hold, in the same order, with the handlers where the dispatcher is.
    fn agrees(&self, state: &State) {
        let listing = self.bus.subscribers();
        let of = |listens: Listens| {
            let ids = listing.iter().filter(move |one| one.of == listens).map(|one| one.info.id);
            ids.collect::<Vec<_>>()
        };
        let plain: Vec<_> =
            state.list.iter().filter_map(Listed::subscription).map(Subscription::id).collect();
        assert_eq!(of(Listens::Everything), plain, "plain subscribers, in order");
        let mut handlers = 0;
        for (class, of_class) in &state.registry {
            let ids: Vec<_> = of_class.iter().map(|(_, subscription)| subscription.id()).collect();
            assert_eq!(
                of(Listens::To(types::name(self.world.numbers[class]))),
                ids,
                "handlers of {class}, in order"
            );
            handlers += ids.len();
        }
        assert_eq!(
            (listing.len(), self.bus.len()),
            (plain.len() + handlers, listing.len()),
            "and nobody else"
        );
        let is_handler = |one: &BusSubscriberInfo| one.of != Listens::Everything;
        assert!(
            listing.iter().all(|one| one.info.paused == (is_handler(one) && state.silent)),
            "who is paused"
        );
        let dispatcher = state.list.iter().position(|listed| matches!(listed, Listed::Dispatcher));
        if let (Some(first), Some(dispatcher)) = (listing.iter().position(is_handler), dispatcher) {
            assert_eq!(first, dispatcher, "handlers run at the dispatcher's place");
            assert!(listing[first..][..handlers].iter().all(is_handler), "handlers run one after another");
        }
    }

    fn finish(self: Arc<Self>) -> Outcome {
        let mut state = self.state();
        let state = mem::take(&mut *state);
        let names = |handlers: &[(Id, Subscription)]| handlers.iter().map(|(id, _)| id.to_string()).collect();
        let outcome = Outcome {
            final_subscribers: state.shown(),
            final_registry: state.registry.iter().map(|(class, list)| (class.clone(), names(list))).collect(),
            trace: state.trace,
            mro: self.world.lines.clone(),
        };
        drop((state.list, state.registry));
        assert!(self.bus.is_empty(), "a bus whose handles are gone has no subscribers: {:?}", self.bus);
        outcome
    }
}

impl State {
    fn shown(&self) -> Vec<String> {
        let show = |listed: &Listed| match listed {
            Listed::Subscriber(id, _) => id.to_string(),
            Listed::Dispatcher => "<dispatch>".into(),
        };
        self.list.iter().map(show).collect()
    }

    fn add(&mut self, place: usize, listed: Listed) {
        if let Listed::Subscriber(id, subscription) = &listed {
            self.ids.insert(subscription.id(), id.clone());
        }
        self.list.insert(place.min(self.list.len()), listed);
    }

    /// Takes entries out of the list; the dispatcher too, which silences the handlers.
    fn take_out(&mut self, edit: &mut BusEdit<'_>, places: std::ops::Range<usize>) {
        for listed in self.list.drain(places) {
            match listed {
                Listed::Subscriber(_, subscription) => {
                    assert!(edit.cancel(&subscription));
                    subscription.detach(); // cancelled with the rest, when the edit returns
                }
                Listed::Dispatcher => {
                    self.silent = true;
                    for (_, handler) in self.registry.iter().flat_map(|(_, handlers)| handlers) {
                        assert!(edit.pause(handler));
                    }
                }
            }
        }
    }
}
