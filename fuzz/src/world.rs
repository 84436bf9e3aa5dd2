//! Runs a program against signalpost, and writes down what happens.
//!
//! Owns the places that operations are about, and the closures that run scripts. Nothing is held while signalpost is
//! called: what an operation needs is cloned out of its place first, so scripts may do anything at any time.
//! Not here: what should happen (`model.rs`).

mod handles;
mod posts;

use crate::program::{
    Answer, At, DISPATCHERS, Early, How, NAMES, Op, PLACES, Program, SETS, Step, TARGETS, bulk, limit,
    priority,
};
use crate::trace::{Answered, Info, Line, Outcome, Panic, Shown, Stop, Trace, Wait};
use signalpost::{
    Dispatcher, PublishError, Scope, Stopped, SubscribeOptions, SubscriberId, Subscription, SubscriptionSet,
    Undone, WaitError,
};
use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How much happens in one history: operations in scripts, and calls.
pub(crate) const FUEL: u32 = 600;
/// The same once more, for what destructors do when everything is let go of.
pub(crate) const LAST_FUEL: u32 = 100;
/// Scripts inside scripts.
pub(crate) const MAX_FRAMES: usize = 150;
/// Silent subscribers in one history.
pub(crate) const MAX_BULK: usize = 330;

/// What is published: a number, and whether it is to be undone.
#[derive(Debug)]
struct Event {
    number: u32,
    undo: bool,
}

type Payload = Box<dyn Any + Send>;

/// A panic that a script was told to make.
struct Planned(Panic);

/// One that leaves a destructor. Of no size, since signalpost forgets the payload, and leaks are looked for.
struct InDestructor;

struct Post {
    dispatcher: Dispatcher<Event, Answered>,
}

struct Handle {
    sub: u64,
    subscription: Subscription,
}

/// What a subscriber captures: says so when it is dropped, and then runs a script.
struct Capture {
    world: Arc<World>,
    sub: u64,
    script: u8,
    on_drop: u8,
    /// Whether a panic may leave the destructor.
    contained: bool,
}

/// What a weak subscriber is tied to.
struct Target {
    world: Arc<World>,
    target: u64,
    on_drop: u8,
}

#[derive(Default)]
enum Set {
    #[default]
    None,
    /// An operation has it.
    Busy,
    Here(SubscriptionSet),
}

#[derive(Default)]
struct State {
    trace: Trace,
    depth: usize,
    frames: usize,
    fuel: u32,
    events: u32,
    subs: u64,
    targets_made: u64,
    bulk: usize,
    numbers: BTreeMap<u64, u64>,
    posts: [Option<Arc<Post>>; DISPATCHERS],
    handles: Vec<Arc<Handle>>,
    sets: [Set; SETS],
    targets: [Option<Arc<Target>>; TARGETS],
}

/// Everything that a history is about.
struct World {
    program: Program,
    /// Shows each line at once: for a history that does not come to its end.
    aloud: bool,
    state: Mutex<State>,
}

/// Runs the program from its first operation until everything is let go of.
pub(crate) fn run(program: &Program, aloud: bool) -> Trace {
    let posts = std::array::from_fn(|place| Some(Arc::new(post(place, 0))));
    let state = State { fuel: FUEL, posts, ..State::default() };
    let world = Arc::new(World { program: program.clone(), aloud, state: Mutex::new(state) });
    world.ops(Program::MAIN, &program.main);
    world.with(|state| state.fuel = state.fuel.min(LAST_FUEL));
    world.ops(Program::END, program.end());
    world.with(|state| state.fuel = 0); // from here on destructors do no more than say so
    world.ops(Program::END, program.end());
    world.with(|state| {
        state.trace.resolve(&state.numbers);
        std::mem::take(&mut state.trace)
    })
}

fn post(place: usize, limit_byte: u8) -> Post {
    let dispatcher = Dispatcher::named(PLACES[place]);
    let dispatcher = match limit(limit_byte) {
        Some(levels) => dispatcher.with_max_depth(levels),
        None => dispatcher,
    };
    Post { dispatcher }
}

fn options(how: How, sub: u64) -> SubscribeOptions {
    let options = SubscribeOptions::new().priority(how.priority());
    let options = if how.once() { options.once() } else { options };
    let options = if how.paused() { options.paused() } else { options };
    how.name(sub).map_or(options, |name| options.named(name))
}

impl World {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For an instant: `f` must let go of nothing that has a destructor.
    fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        f(&mut self.state())
    }

    fn write(&self, line: Line) {
        let mut state = self.state();
        let depth = state.depth;
        if self.aloud {
            let mut known = line.clone();
            known.resolve(&state.numbers);
            let shown = Shown { program: &self.program, line: &known };
            eprintln!("{:4} {:indent$}{shown}", state.trace.lines.len(), "", indent = 2 * depth);
        }
        state.trace.lines.push((depth, line));
    }

    /// Until it is dropped, what is written lies inside the line before.
    fn deeper(&self) -> Deeper<'_> {
        self.with(|state| state.depth += 1);
        Deeper(self)
    }

    /// Runs the operations of one script; gives back the panic that left one of them.
    fn ops(self: &Arc<Self>, script: u8, ops: &[Op]) -> Option<Payload> {
        let top = script == Program::MAIN || script == Program::END;
        for (op, what) in ops.iter().enumerate() {
            if !top && !self.with(State::burn) {
                break;
            }
            let panic = self.op(At { script, op }, what, top);
            if panic.is_some() {
                return panic;
            }
        }
        None
    }

    /// Runs a script where signalpost, or the script around it, called it.
    fn script(self: &Arc<Self>, byte: u8) -> Answer {
        let Some((number, script)) = self.program.script(byte) else { return Answer::Fine };
        let enter = |state: &mut State| {
            let enter = state.frames < MAX_FRAMES;
            state.frames += usize::from(enter);
            enter
        };
        if self.with(enter) {
            let panic = self.ops(number, &script.ops);
            self.with(|state| state.frames -= 1);
            if let Some(panic) = panic {
                resume_unwind(panic);
            }
        }
        script.answer.clone()
    }

    /// As [`script`](Self::script), in a place where the script's own panic goes on.
    fn script_or_panic(self: &Arc<Self>, byte: u8) {
        if self.script(byte) == Answer::Panic {
            let number = self.program.script(byte).map_or(0, |(number, _)| number);
            resume_unwind(Box::new(Planned(Panic::Script(number))));
        }
    }

    /// Does one operation; gives back a panic that is to go on.
    fn op(self: &Arc<Self>, at: At, op: &Op, top: bool) -> Option<Payload> {
        let (handles, about) = self.handles_of(op);
        self.write(Line::Op { at, about });
        let done = catch_unwind(AssertUnwindSafe(|| {
            let _deeper = self.deeper();
            self.perform(at, op, handles)
        }));
        match done {
            Ok(outcome) => {
                self.write(Line::End(outcome));
                None
            }
            Err(payload) => {
                let (panic, planned) = name_panic(&*payload);
                self.write(Line::End(Outcome::Panicked(panic)));
                (planned && !top && !catches(op)).then_some(payload)
            }
        }
    }

    fn post(&self, at: u8) -> Option<Arc<Post>> {
        self.with(|state| state.posts[usize::from(at) % DISPATCHERS].clone())
    }

    fn perform(self: &Arc<Self>, at: At, op: &Op, [handle, _]: [Option<Arc<Handle>>; 2]) -> Outcome {
        self.about_a_handle(op, handle)
            .or_else(|| self.about_a_set(op))
            .or_else(|| self.about_places(op))
            .or_else(|| self.about_a_dispatcher(at, op))
            .unwrap_or(Outcome::Nothing)
    }

    fn target(self: &Arc<Self>, on_drop: u8) -> Arc<Target> {
        let made = |state: &mut State| {
            state.targets_made += 1;
            state.targets_made - 1
        };
        Arc::new(Target { world: self.clone(), target: self.with(made), on_drop })
    }

    fn capture(self: &Arc<Self>, how: How, contained: bool) -> Capture {
        let number = |state: &mut State| {
            state.subs += 1;
            state.subs - 1
        };
        let How { script, on_drop, .. } = how;
        Capture { world: self.clone(), sub: self.with(number), script, on_drop, contained }
    }
}

struct Deeper<'w>(&'w World);

impl Drop for Deeper<'_> {
    fn drop(&mut self) {
        self.0.with(|state| state.depth -= 1);
    }
}

impl State {
    /// Takes one unit of fuel, if there is one.
    fn burn(&mut self) -> bool {
        let any = self.fuel > 0;
        self.fuel -= u32::from(any);
        any
    }
}

impl Capture {
    fn called(&self, event: &Event) -> Result<(), Answered> {
        let Event { number, undo } = *event;
        self.world.with(State::burn);
        self.world.write(Line::Run { sub: self.sub, event: number, undo });
        let _deeper = self.world.deeper();
        let answered = Answered { sub: self.sub, event: number };
        match (self.world.script(self.script), undo) {
            (Answer::Stop, _) | (Answer::StopUndo, true) => Err(answered),
            (Answer::Panic, _) | (Answer::PanicUndo, true) => {
                resume_unwind(Box::new(Planned(Panic::Subscriber(answered))))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.world.write(Line::Dropped { sub: self.sub });
        let _deeper = self.world.deeper();
        let done = catch_unwind(AssertUnwindSafe(|| self.world.script_or_panic(self.on_drop)));
        if done.is_err() && !self.contained {
            resume_unwind(Box::new(InDestructor));
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.world.write(Line::TargetDropped { target: self.target });
        let _deeper = self.world.deeper();
        // A panic here would be its owner's, or abort where the owner is unwinding.
        let _ = catch_unwind(AssertUnwindSafe(|| self.world.script(self.on_drop)));
    }
}

/// Whether a panic inside the operation ends there, though it is in a script.
fn catches(op: &Op) -> bool {
    let (Op::Publish { catch, .. }
    | Op::TryPublish { catch, .. }
    | Op::PublishAll { catch, .. }
    | Op::PublishOrUndo { catch, .. }
    | Op::PublishWith { catch, .. }
    | Op::Edit { catch, .. }
    | Op::Scope { catch, .. }) = op
    else {
        return true;
    };
    catch & 1 == 1
}

/// Which panic it is, and whether one that a history may contain.
fn name_panic(payload: &(dyn Any + Send)) -> (Panic, bool) {
    if let Some(Planned(panic)) = payload.downcast_ref() {
        return (panic.clone(), true);
    }
    let text = payload.downcast_ref::<String>().cloned();
    let text = text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    let text = text.unwrap_or_else(|| "neither planned nor a text".to_owned());
    if text.contains("published to inside itself")
        && let Some(name) = PLACES.iter().find(|name| text.contains(**name))
    {
        return (Panic::TooDeep(name), true);
    }
    (Panic::Other(text), false)
}

fn wait(result: Result<(), WaitError>) -> Result<(), Wait> {
    result.map_err(|error| match error {
        WaitError::TimedOut => Wait::TimedOut,
        WaitError::WouldDeadlock => Wait::WouldDeadlock,
        _ => Wait::Other,
    })
}

fn stop(stopped: Stopped<Answered>) -> Stop {
    let Stopped { error, subscriber, position, not_run } = stopped;
    assert!(subscriber.name.is_none_or(|name| NAMES.contains(&name)));
    Stop { error, sub: subscriber.id.get(), name: subscriber.name, position, not_run }
}

fn stopped(result: Result<(), Stopped<Answered>>) -> Outcome {
    result.map_or_else(|stopped| Outcome::Stopped(stop(stopped)), |()| Outcome::Fine)
}

fn named(errors: Vec<(SubscriberId, Answered)>) -> Vec<(u64, Answered)> {
    errors.into_iter().map(|(id, answered)| (id.get(), answered)).collect()
}
