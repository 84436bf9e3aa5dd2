//! The run of a program on signalpost, and what it writes of it.

use super::{Answer, DEPTH, EVENTS, FAMILIES, How, LISTS, MOST_CALLS, Op, Program, Script, Step, TARGETS};
use signalpost::{
    AnyEvent, BoxError, Bus, BusEdit, BusStop, BusSubscriberInfo, EventStop, FamilyHandle, LateVeto,
    ListEdit, Listens, Outcome, Stopped, SubscribeOptions, SubscriberId, Subscription, SubscriptionSet,
    Topic, event, family,
};
use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What can be seen of every event, by its type, its families, or as one of many.
trait Seen {
    /// Its type, from 0, and its number.
    fn seen(&self) -> (usize, u32);
}

trait Red: Seen {}
trait Green: Seen {}
trait Blue: Seen {}
family!(struct Reds: dyn Red = "family 7");
family!(struct Greens: dyn Green = "family 8");
family!(struct Blues: dyn Blue = "family 9");

macro_rules! events {
    ($($number:literal $name:ident($($family:ident)*))*) => {
        $(
            #[derive(Clone, Copy)]
            struct $name(u32);

            impl From<u32> for $name {
                fn from(serial: u32) -> Self {
                    Self(serial)
                }
            }

            impl Seen for $name {
                fn seen(&self) -> (usize, u32) {
                    ($number, self.0)
                }
            }

            $(impl $family for $name {})*
        )*

        impl Seen for dyn AnyEvent {
            fn seen(&self) -> (usize, u32) {
                $(if let Some(event) = self.downcast_ref::<$name>() {
                    return event.seen();
                })*
                unreachable!("one of the event types")
            }
        }

        /// Does something with the type of an event.
        macro_rules! with_event {
            ($which:expr, $event:ident => $do:expr) => {
                match $which % EVENTS {
                    $($number => { type $event = $name; $do })*
                    _ => unreachable!("one of the event types"),
                }
            };
        }
    };
}
events! {
    0 Zero(Red Green)
    1 One(Green Red)
    2 Two(Blue)
    3 Three()
    4 Four(Red Green Blue)
    5 Five(Blue Red)
}
event!(Zero: "type 1", stop = BusStop, families = [Reds, Greens]);
event!(One: "type 2", stop = BusStop, families = [Greens, Reds]);
event!(Two: "type 3", families = [Blues]);
event!(Three: "type 4", stop = Coded);
event!(Four: "type 5", families = [Reds, Greens, Blues]);
event!(Five: "type 6", stop = Coded, families = [Blues, Reds]);

/// Does something with the marker of a family.
macro_rules! with_family {
    ($which:expr, $family:ident => $do:expr) => {
        match $which % FAMILIES {
            0 => {
                type $family = Reds;
                $do
            }
            1 => {
                type $family = Greens;
                $do
            }
            _ => {
                type $family = Blues;
                $do
            }
        }
    };
}

/// What a subscriber stops an event with, and how that is shown.
trait Stops: EventStop {
    fn of(veto: bool, number: usize) -> Self;
    /// `by` is who is said to have stopped it.
    fn show(&self, by: &str) -> String;
}

impl Stops for BusStop {
    fn of(veto: bool, number: usize) -> Self {
        if veto { Self::veto(format!("{number}")) } else { Self::fail(format!("fail {number}")) }
    }

    fn show(&self, by: &str) -> String {
        match self {
            Self::Veto(veto) => format!("veto {}", veto.reason),
            Self::Fail(error) => error.show(by),
        }
    }
}

impl Stops for BoxError {
    fn of(_: bool, number: usize) -> Self {
        format!("fail {number}").into()
    }

    fn show(&self, by: &str) -> String {
        match self.downcast_ref::<LateVeto>() {
            Some(late) if late.by == by => format!("late veto {}", late.veto.reason),
            Some(late) => format!("late veto of somebody else: {}", late.by),
            None => self.to_string(),
        }
    }
}

/// A stop of an event's own.
#[derive(Debug)]
enum Coded {
    Code(usize),
    Other(BusStop, String),
}

impl EventStop for Coded {
    fn from_bus(stop: BusStop, by: &dyn fmt::Display) -> Self {
        Self::Other(stop, by.to_string())
    }

    fn into_bus(self) -> BusStop {
        match self {
            Self::Code(code) => BusStop::fail(format!("code {code}")),
            Self::Other(stop, _) => stop,
        }
    }
}

impl Stops for Coded {
    fn of(_: bool, number: usize) -> Self {
        Self::Code(number)
    }

    fn show(&self, by: &str) -> String {
        match self {
            Self::Code(code) => format!("code {code}"),
            Self::Other(stop, other) if other == by => format!("other {}", stop.show(by)),
            Self::Other(_, other) => format!("other by somebody else: {other}"),
        }
    }
}

/// A handle that is kept.
trait Kept {
    fn subscribe(&self, number: usize, how: How) -> Subscription;
    /// `None` for a family.
    fn publish(&self, serial: u32) -> Option<String>;
}

macro_rules! subscribe {
    ($to:expr, $view:tt, $number:expr, $how:expr) => {{
        let (number, how, token) = ($number, $how, token());
        let call = move |event: &$view| {
            token.touch();
            called(number, event.seen())
        };
        match target_of(number, how) {
            Some(target) => $to.subscribe_weak_with(options(how), &target, move |_: &(), event| call(event)),
            None => $to.subscribe_with(options(how), call),
        }
    }};
}

macro_rules! kept_topic {
    ($($name:ident)*) => {$(
        impl Kept for Topic<$name> {
            fn subscribe(&self, number: usize, how: How) -> Subscription {
                subscribe!(self, $name, number, how)
            }

            fn publish(&self, serial: u32) -> Option<String> {
                Some(shown(self.publish(&$name(serial))))
            }
        }
    )*};
}
kept_topic!(Zero One Two Three Four Five);

macro_rules! kept_family {
    ($($name:ident: $view:ident)*) => {$(
        impl Kept for FamilyHandle<$name> {
            fn subscribe(&self, number: usize, how: How) -> Subscription {
                subscribe!(self, (dyn $view + 'static), number, how)
            }

            fn publish(&self, _: u32) -> Option<String> {
                None
            }
        }
    )*};
}
kept_family!(Reds: Red Greens: Green Blues: Blue);

#[derive(Default)]
struct World {
    program: Program,
    lines: Vec<String>,
    depth: usize,
    calls: usize,
    serial: u32,
    bus: Option<Arc<Bus>>,
    kept: [Option<Arc<dyn Kept>>; LISTS],
    hows: Vec<How>,
    ids: Vec<SubscriberId>,
    handles: Vec<Option<Arc<Subscription>>>,
    targets: [Option<Arc<()>>; TARGETS],
    /// How many captures there are.
    alive: Arc<AtomicUsize>,
}

thread_local!(static WORLD: RefCell<World> = RefCell::default());

fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with_borrow_mut(f)
}

fn line(text: impl AsRef<str>) {
    with(|world| {
        let text = format!("{:indent$}{}", "", text.as_ref(), indent = world.depth * 2);
        world.lines.push(text);
    });
}

/// Captured by every subscriber; counted.
struct Token(Arc<AtomicUsize>);

impl Token {
    fn touch(&self) {}
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn token() -> Token {
    let alive = with(|world| world.alive.clone());
    alive.fetch_add(1, Relaxed);
    Token(alive)
}

/// Runs a program, then lets go of everything.
pub(super) fn run(program: &Program) -> Vec<String> {
    with(|world| {
        *world = World { program: program.clone(), bus: Some(Arc::new(Bus::new())), ..World::default() };
    });
    for op in &program.main {
        do_op(op);
    }
    let World { lines, bus, kept, handles, alive, .. } = with(std::mem::take);
    drop((bus, kept));
    assert_eq!(alive.load(Relaxed), 0, "captures that nobody can reach any more\n{}", lines.join("\n"));
    assert!(handles.iter().flatten().all(|handle| !handle.is_active() && !handle.cancel()), "of no bus");
    lines
}

fn options(how: How) -> SubscribeOptions {
    let options = SubscribeOptions::new().priority(how.priority());
    let options = if how.has(How::ONCE) { options.once() } else { options };
    if how.has(How::PAUSED) { options.paused() } else { options }
}

/// The target of a weak subscriber, made now if it is not there.
fn target_of(number: usize, how: How) -> Option<Arc<()>> {
    how.has(How::WEAK).then(|| with(|world| world.targets[number % TARGETS].get_or_insert_default().clone()))
}

/// A subscriber is called.
fn called<X: Stops>(number: usize, (event, serial): (usize, u32)) -> Result<(), X> {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            with(|world| world.depth -= 1);
        }
    }
    line(format!("#{number} is given event {serial} of type {}", event + 1));
    let (Script { answer, ops }, runs) = with(|world| {
        let script = world.program.script(world.hows[number].script);
        let runs = world.depth < DEPTH && world.calls < MOST_CALLS;
        world.depth += 1;
        world.calls += 1;
        (script, runs)
    });
    let _leave = Leave;
    for op in ops.iter().filter(|_| runs) {
        do_op(op);
    }
    match answer {
        Answer::Fine => Ok(()),
        Answer::Veto => Err(X::of(true, number)),
        Answer::Fail => Err(X::of(false, number)),
        Answer::Panic => resume_unwind(Box::new(number)),
    }
}

/// How a publish ended, in words.
fn shown<X: Stops>(result: Result<(), Stopped<X>>) -> String {
    match result {
        Ok(()) => "fine".to_owned(),
        Err(Stopped { error, subscriber, position, not_run }) => {
            let by = with(|world| world.ids.iter().position(|id| *id == subscriber.id));
            let text = error.show(&subscriber.to_string());
            format!("stopped by #{}, at {position}, {not_run} not run: {text}", by.unwrap_or(usize::MAX))
        }
    }
}

/// What was thrown: by a subscriber, its number.
fn caught(f: impl FnOnce() -> String) -> String {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| match panic.downcast_ref::<usize>() {
        Some(number) => format!("panic of #{number}"),
        None => resume_unwind(panic),
    })
}

fn publish(event: u8, way: u8) {
    let which = usize::from(event) % EVENTS;
    let serial = with(|world| {
        world.serial += 1;
        world.serial
    });
    let way = way % 4;
    line(format!("publish event {serial} of type {} way {way}", which + 1));
    let (bus, kept) = with(|world| (world.bus.clone(), world.kept[1 + which].clone()));
    let outcome = caught(|| match (way, bus, kept) {
        (3, _, kept) => kept.and_then(|kept| kept.publish(serial)).unwrap_or_else(|| "nothing".to_owned()),
        (_, None, _) => "nothing".to_owned(),
        (0, Some(bus), _) => with_event!(which, E => shown(bus.publish(&E::from(serial)))),
        (1, Some(bus), _) => with_event!(which, E => shown(bus.publish_any(&E::from(serial)))),
        (_, Some(bus), _) => with_event!(which, E => shown(bus.topic::<E>().publish(&E::from(serial)))),
    });
    line(format!("= {outcome}"));
}

/// Makes room for the next subscriber, and says its number.
fn number(how: How) -> usize {
    with(|world| {
        world.hows.push(how);
        world.hows.len() - 1
    })
}

/// Keeps the handle of the newest one.
fn keep(number: usize, handle: Subscription) {
    with(|world| {
        assert_eq!((world.ids.len(), world.handles.len()), (number, number), "numbered in order");
        world.ids.push(handle.id());
        world.handles.push(Some(Arc::new(handle)));
    });
    line(format!("= #{number}"));
}

fn subscribe(list: u8, how: How) {
    let list = usize::from(list) % LISTS;
    line(format!("subscribe to {list}"));
    let (bus, kept) = with(|world| (world.bus.clone(), world.kept[list].clone()));
    if how.has(How::KEPT) {
        let Some(kept) = kept else { return line("= nothing") };
        let number = number(how);
        return keep(number, kept.subscribe(number, how));
    }
    drop(kept);
    let Some(bus) = bus else { return line("= nothing") };
    let number = number(how);
    let handle = match list {
        0 => subscribe!(bus, (dyn AnyEvent + 'static), number, how),
        1..=EVENTS => with_event!(list - 1, E => Kept::subscribe(&bus.topic::<E>(), number, how)),
        _ => with_family!(list - 1 - EVENTS, F => Kept::subscribe(&bus.family::<F>(), number, how)),
    };
    keep(number, handle);
}

fn handle(nth: u8) -> Option<(usize, Arc<Subscription>)> {
    with(|world| {
        let nth = usize::from(nth) % world.handles.len().max(1);
        Some((nth, world.handles.get(nth)?.clone()?))
    })
}

fn on_handle(what: &str, nth: u8, f: impl FnOnce(&Subscription) -> bool) {
    match handle(nth) {
        None => line(format!("{what}: nothing")),
        Some((number, handle)) => {
            let did = f(&handle);
            line(format!("{what} #{number}: {did}"));
        }
    }
}

fn taken(nth: u8) -> Option<(usize, Subscription)> {
    let (number, shared) = handle(nth)?;
    drop(with(|world| world.handles[number].take()));
    Some((number, Arc::into_inner(shared).expect("nobody else has it for longer than a call")))
}

fn do_op(op: &Op) {
    match op {
        Op::Subscribe { list, how } => subscribe(*list, *how),
        Op::Publish { event, way } => publish(*event, *way),
        Op::Cancel { nth } => on_handle("cancel", *nth, Subscription::cancel),
        Op::Pause { nth } => on_handle("pause", *nth, Subscription::pause),
        Op::Resume { nth } => on_handle("resume", *nth, Subscription::resume),
        Op::Look { nth } => on_handle("look", *nth, |handle| {
            line(format!("paused: {}", handle.is_paused()));
            handle.is_active()
        }),
        Op::DropHandle { nth } => match taken(*nth) {
            Some((number, handle)) => {
                drop(handle);
                line(format!("drop handle #{number}"));
            }
            None => line("drop handle: nothing"),
        },
        Op::Detach { nth } => match taken(*nth) {
            Some((number, handle)) => {
                handle.detach();
                line(format!("detach #{number}"));
            }
            None => line("detach: nothing"),
        },
        Op::CancelSome { every } => {
            let every = usize::from(*every) % 4 + 1;
            let set: SubscriptionSet = with(|world| {
                let some = world.handles.iter_mut().step_by(every);
                some.filter_map(|handle| handle.take().and_then(Arc::into_inner)).collect()
            });
            line(format!("cancel {} as a set", set.len()));
            drop(set);
        }
        Op::DropTarget { target } => {
            let target = usize::from(*target) % TARGETS;
            let there = with(|world| world.targets[target].take()).is_some();
            line(format!("drop target {target}: {there}"));
        }
        Op::Edit { steps } => edit(steps),
        Op::Keep { list } => {
            let list = usize::from(*list) % LISTS;
            let Some(bus) = with(|world| world.bus.clone()) else { return line("keep: nothing") };
            let kept: Option<Arc<dyn Kept>> = match list {
                0 => None,
                1..=EVENTS => with_event!(list - 1, E => Some(Arc::new(bus.topic::<E>()))),
                _ => with_family!(list - 1 - EVENTS, F => Some(Arc::new(bus.family::<F>()))),
            };
            line(format!("keep {list}: {}", kept.is_some()));
            let before = with(|world| std::mem::replace(&mut world.kept[list], kept));
            drop(before);
        }
        Op::LetGo { list } => {
            let list = usize::from(*list) % LISTS;
            let kept = with(|world| world.kept[list].take());
            line(format!("let go of {list}: {}", kept.is_some()));
        }
        Op::List => {
            let Some(bus) = with(|world| world.bus.clone()) else { return line("list: nothing") };
            for BusSubscriberInfo { info, of, .. } in bus.subscribers() {
                let number = with(|world| world.ids.iter().position(|id| *id == info.id));
                let of = match of {
                    Listens::Everything => "everything",
                    Listens::To(name) => name,
                };
                let number = number.unwrap_or(usize::MAX);
                line(format!(
                    "listed: #{number} to {of}, priority {}, paused: {}",
                    info.priority, info.paused
                ));
            }
            line("listed");
        }
        Op::Sizes => {
            let Some(bus) = with(|world| world.bus.clone()) else { return line("sizes: nothing") };
            let has = |event: usize| with_event!(event, E => bus.has_subscribers::<E>());
            let has: Vec<bool> = (0..EVENTS).map(has).collect();
            line(format!("sizes: {} {} {has:?}", bus.len(), bus.is_empty()));
        }
        Op::DropBus => {
            let bus = with(|world| world.bus.take());
            line(format!("drop bus: {}", bus.is_some()));
        }
        Op::NewBus => {
            line("new bus");
            let before = with(|world| world.bus.replace(Arc::new(Bus::new())));
            drop(before);
        }
    }
}

fn edit(steps: &[Step]) {
    let Some(bus) = with(|world| world.bus.clone()) else { return line("edit: nothing") };
    line("edit");
    bus.edit(|edit| {
        for step in steps {
            do_step(edit, step);
        }
    });
    line("edited");
}

fn in_edit<V: ?Sized + 'static, R: Outcome<X>, X: 'static>(
    mut list: ListEdit<'_, V, X>,
    how: How,
    call: impl Fn(&V) -> R + Send + Sync + 'static,
) -> Subscription {
    list.subscribe_with(options(how), call)
}

fn do_step(edit: &mut BusEdit<'_>, step: &Step) {
    match step {
        Step::Subscribe { list, how } => {
            let list = usize::from(*list) % LISTS;
            // An edit registers no weak ones.
            let how = How { flags: how.flags & !How::WEAK, ..*how };
            line(format!("record a subscribe to {list}"));
            let (number, token) = (number(how), token());
            let seen = move |seen| {
                token.touch();
                seen
            };
            let handle = match list {
                0 => in_edit(edit.everything(), how, move |event: &(dyn AnyEvent + 'static)| {
                    called::<BusStop>(number, seen(event.seen()))
                }),
                1..=EVENTS => with_event!(list - 1, E => {
                    in_edit(edit.topic::<E>(), how, move |event: &E| called(number, seen(event.seen())))
                }),
                7 => in_edit(edit.family::<Reds>(), how, move |event: &(dyn Red + 'static)| {
                    called::<BusStop>(number, seen(event.seen()))
                }),
                8 => in_edit(edit.family::<Greens>(), how, move |event: &(dyn Green + 'static)| {
                    called::<BusStop>(number, seen(event.seen()))
                }),
                _ => in_edit(edit.family::<Blues>(), how, move |event: &(dyn Blue + 'static)| {
                    called::<BusStop>(number, seen(event.seen()))
                }),
            };
            keep(number, handle);
        }
        Step::Cancel { nth } => on_handle("record a cancel", *nth, |handle| edit.cancel(handle)),
        Step::Pause { nth } => on_handle("record a pause", *nth, |handle| edit.pause(handle)),
        Step::Resume { nth } => on_handle("record a resume", *nth, |handle| edit.resume(handle)),
        Step::SetPriority { nth, priority } => {
            let priority = super::priority(*priority);
            on_handle("record a priority", *nth, |handle| edit.set_priority(handle, priority));
        }
        Step::MoveBefore { nth, other } => match (handle(*nth), handle(*other)) {
            (Some((a, one)), Some((b, other))) => {
                line(format!("record a move of #{a} before #{b}: {}", edit.move_before(&one, &other)));
            }
            _ => line("record a move: nothing"),
        },
        Step::MoveAfter { nth, other } => match (handle(*nth), handle(*other)) {
            (Some((a, one)), Some((b, other))) => {
                line(format!("record a move of #{a} behind #{b}: {}", edit.move_after(&one, &other)));
            }
            _ => line("record a move: nothing"),
        },
        Step::Clear => {
            edit.clear();
            line("record a clear");
        }
        Step::Publish { event, way } => publish(*event, *way),
        Step::CancelNow { nth } => on_handle("cancel", *nth, Subscription::cancel),
    }
}
