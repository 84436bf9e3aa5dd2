//! What should have happened: one plain list a dispatcher, and a reading of the documentation. Calls nothing of signalpost.
//!
//! The model does the same program again and reads the trace of the run as it goes: each line must be the one that it
//! expects. Where the documentation leaves an order open (which of several captures is dropped first), it follows the trace,
//! if what happened there was allowed, and insists later that all of it has happened.
//!
//! # When captures are dropped
//! A subscriber that has left the list is *garbage* until its captures are dropped. Never while this thread is inside a publish
//! of its dispatcher; at the latest at the end of the next operation that collects (any that ends or pauses a
//! subscriber, a `collect`, a once or weak registration); put off to the thread's outermost return, or to the end of the
//! collector, where that operation was itself inside. `subscribe` and `publish` drop nothing. What is cancelled before its
//! edit has brought it in goes with the edit.

mod captures;
mod edit;
mod handles;
mod posts;
mod publish;
mod roster;

use crate::program::{
    Answer, At, DISPATCHERS, Early, How, Op, PLACES, Program, SETS, Step, TARGETS, USUAL_LIMIT, bulk, limit,
    priority,
};
use crate::trace::{Answered, Info, Line, Outcome, Panic, Stop, Trace, Wait};
use crate::twist::Twist;
use crate::world::{FUEL, LAST_FUEL, MAX_BULK, MAX_FRAMES};

/// Where the run and the model part.
#[derive(Debug)]
pub(crate) struct Mismatch {
    /// The line of the trace; its length, if there should be one more.
    pub(crate) line: usize,
    /// What the model says instead.
    pub(crate) expected: String,
}

/// Checks that this trace is one that the documentation allows.
///
/// # Errors
/// The first line that it does not.
pub(crate) fn check(program: &Program, trace: &Trace, twists: &[Twist]) -> Result<(), Mismatch> {
    Model::new(program, trace, twists).whole()
}

/// Why a part of the model ended early.
enum Exit {
    /// The trace is wrong.
    Wrong(Mismatch),
    /// The program panics here.
    Panic(Panic),
}

type Go<T = ()> = Result<T, Exit>;

#[derive(Clone, Copy)]
struct Item {
    sub: usize,
    priority: i32,
    paused: bool,
}

struct Sub {
    cell: usize,
    how: How,
    target: Option<usize>,
    /// Ended by itself.
    ended: bool,
    /// Cancelled before it was in the list.
    stillborn: bool,
    scoped: bool,
    /// The captures were dropped.
    gone: bool,
}

/// A dispatcher, or what is left of it.
struct Cell {
    place: usize,
    limit: usize,
    list: Vec<Item>,
    /// Left the list, captures not yet dropped.
    garbage: Vec<usize>,
    /// Who keeps the dispatcher: its place, and operations on it.
    refs: usize,
    /// Operations on handles, which keep what the dispatcher left behind.
    holders: usize,
    dead: bool,
    /// Dead, and no operation keeps it: handles find nothing any more.
    buried: bool,
    /// Lists that were replaced and not dropped yet: whether the write took somebody out.
    retired: Vec<bool>,
    /// How many were replaced since somebody looked who reads them.
    unscanned: usize,
}

struct Handle {
    sub: usize,
    refs: usize,
}

enum Set {
    None,
    Busy,
    Here(Vec<usize>),
}

struct Target {
    on_drop: u8,
    refs: usize,
}

/// Whether an operation has let go of its dispatcher yet.
enum Done {
    Released(Outcome),
    Held(Outcome),
}

enum Called {
    Ran(Result<(), Answered>),
    Skipped,
}

/// A change to a list.
#[derive(Clone, Copy)]
enum Change {
    Subscribe(usize),
    Cancel(usize),
    Pause(usize, bool),
    SetPriority(usize, i32),
    Move { sub: usize, other: usize, after: bool },
    Clear,
}

/// The whole model, somewhere in the trace.
struct Model<'t> {
    program: &'t Program,
    lines: &'t [(usize, Line)],
    next: usize,
    twists: &'t [Twist],
    fuel: u32,
    frames: usize,
    events: u32,
    bulk: usize,
    subs: Vec<Sub>,
    cells: Vec<Cell>,
    all_handles: Vec<Handle>,
    all_targets: Vec<Target>,
    posts: [Option<usize>; DISPATCHERS],
    handles: Vec<usize>,
    sets: [Set; SETS],
    targets: [Option<usize>; TARGETS],
    /// The dispatchers that this thread is inside a publish of, outermost first.
    inside: Vec<usize>,
    /// A collector is running destructors.
    collecting: bool,
    /// For the outermost return, or the end of the collector.
    put_off: Vec<captures::PutOff>,
    /// How many writes there were, so that two of them can be told apart.
    writes: usize,
}

/// How deep a thread's marks are exact; past it, it counts as inside every dispatcher.
const EXACT: usize = 6;
/// How many replaced lists make an adding write clean up.
const BATCH: usize = 64;

impl<'t> Model<'t> {
    fn new(program: &'t Program, trace: &'t Trace, twists: &'t [Twist]) -> Self {
        let mut model = Self {
            program,
            lines: &trace.lines,
            next: 0,
            twists,
            fuel: FUEL,
            frames: 0,
            events: 0,
            bulk: 0,
            subs: Vec::new(),
            cells: Vec::new(),
            all_handles: Vec::new(),
            all_targets: Vec::new(),
            posts: [None; DISPATCHERS],
            handles: Vec::new(),
            sets: [const { Set::None }; SETS],
            targets: [None; TARGETS],
            inside: Vec::new(),
            collecting: false,
            put_off: Vec::new(),
            writes: 0,
        };
        model.posts = std::array::from_fn(|place| Some(model.cell(place, 0)));
        model
    }

    fn whole(mut self) -> Result<(), Mismatch> {
        let program = self.program;
        let done = (|| {
            self.ops(Program::MAIN, &program.main)?;
            self.fuel = self.fuel.min(LAST_FUEL);
            self.ops(Program::END, program.end())?;
            self.fuel = 0;
            self.ops(Program::END, program.end())
        })();
        match done {
            Ok(()) => {}
            Err(Exit::Wrong(mismatch)) => return Err(mismatch),
            Err(Exit::Panic(panic)) => unreachable!("the top lets no panic through: {panic:?}"),
        }
        let wrong = |expected: String| Err(Mismatch { line: self.next, expected });
        if let Some(sub) = self.subs.iter().position(|sub| !sub.gone) {
            return wrong(format!("the captures of #{sub} have been dropped: everything was let go of"));
        }
        if let Some(target) = self.all_targets.iter().position(|target| target.refs > 0) {
            return wrong(format!("target {target} has been dropped"));
        }
        if self.next < self.lines.len() {
            return wrong("the end".to_owned());
        }
        Ok(())
    }

    fn is(&self, twist: Twist) -> bool {
        self.twists.contains(&twist)
    }

    fn wrong<T>(&self, expected: impl Into<String>) -> Go<T> {
        Err(Exit::Wrong(Mismatch { line: self.next, expected: expected.into() }))
    }

    fn peek(&self) -> Option<&'t Line> {
        self.lines.get(self.next).map(|(_, line)| line)
    }

    fn see(&mut self, expected: Line) -> Go {
        if self.peek() != Some(&expected) {
            let shown = crate::trace::Shown { program: self.program, line: &expected };
            return self.wrong(shown.to_string());
        }
        self.next += 1;
        Ok(())
    }

    fn burn(&mut self) -> bool {
        let any = self.fuel > 0;
        self.fuel -= u32::from(any);
        any
    }

    fn ops(&mut self, script: u8, ops: &'t [Op]) -> Go {
        let top = script == Program::MAIN || script == Program::END;
        for (op, what) in ops.iter().enumerate() {
            if !top && !self.burn() {
                break;
            }
            self.op(At { script, op }, what, top)?;
        }
        Ok(())
    }

    fn script(&mut self, byte: u8) -> Go<Answer> {
        let Some((number, script)) = self.program.script(byte) else { return Ok(Answer::Fine) };
        if self.frames < MAX_FRAMES {
            self.frames += 1;
            let done = self.ops(number, &script.ops);
            self.frames -= 1;
            done?;
        }
        Ok(script.answer.clone())
    }

    fn script_or_panic(&mut self, byte: u8) -> Go {
        if self.script(byte)? == Answer::Panic {
            let number = self.program.script(byte).map_or(0, |(number, _)| number);
            return Err(Exit::Panic(Panic::Script(number)));
        }
        Ok(())
    }

    /// A script whose panic goes no further.
    fn contained(&mut self, byte: u8) -> Go {
        match self.script(byte) {
            Err(Exit::Wrong(mismatch)) => Err(Exit::Wrong(mismatch)),
            Ok(_) | Err(Exit::Panic(_)) => Ok(()),
        }
    }

    fn op(&mut self, at: At, op: &'t Op, top: bool) -> Go {
        let handle = match op {
            Op::Cancel { sub }
            | Op::Pause { sub }
            | Op::Resume { sub }
            | Op::DropHandle { sub }
            | Op::Detach { sub }
            | Op::CancelAndWait { sub }
            | Op::Look { sub }
            | Op::SetAdd { sub, .. } => self.handle(*sub),
            _ => None,
        };
        let about = [handle.map(|handle| self.all_handles[handle].sub as u64), None];
        self.see(Line::Op { at, about })?;
        match self.perform(at, op, handle) {
            Ok(outcome) => self.see(Line::End(outcome)),
            Err(Exit::Panic(panic)) => {
                self.see(Line::End(Outcome::Panicked(panic.clone())))?;
                let catch = match op {
                    Op::Publish { catch, .. }
                    | Op::TryPublish { catch, .. }
                    | Op::PublishAll { catch, .. }
                    | Op::PublishOrUndo { catch, .. }
                    | Op::PublishWith { catch, .. }
                    | Op::Edit { catch, .. }
                    | Op::Scope { catch, .. } => top || catch & 1 == 1,
                    _ => true,
                };
                if catch { Ok(()) } else { Err(Exit::Panic(panic)) }
            }
            wrong => wrong.map(|_| ()),
        }
    }

    fn perform(&mut self, at: At, op: &'t Op, handle: Option<usize>) -> Go<Outcome> {
        match op {
            Op::Cancel { .. }
            | Op::Pause { .. }
            | Op::Resume { .. }
            | Op::DropHandle { .. }
            | Op::Detach { .. }
            | Op::CancelAndWait { .. }
            | Op::Look { .. }
            | Op::SetAdd { .. } => match handle {
                Some(handle) => {
                    self.all_handles[handle].refs += 1;
                    self.about_a_handle(op, handle)
                }
                None => Ok(Outcome::Nothing),
            },
            Op::SetCancel { set }
            | Op::SetWait { set }
            | Op::SetPause { set }
            | Op::SetResume { set }
            | Op::SetDetach { set }
            | Op::SetDrop { set } => self.about_a_set(op, usize::from(*set) % SETS),
            Op::MakeTarget { target, on_drop } => {
                let new = self.target(*on_drop);
                let old = self.targets[usize::from(*target) % TARGETS].replace(new);
                old.map_or(Ok(()), |old| self.release_target(old))?;
                Ok(Outcome::Done)
            }
            Op::DropTarget { target } => match self.targets[usize::from(*target) % TARGETS].take() {
                Some(old) => self.release_target(old).map(|()| Outcome::Done),
                None => Ok(Outcome::Nothing),
            },
            Op::DropDispatcher { at } => match self.posts[usize::from(*at) % DISPATCHERS].take() {
                Some(old) => self.release_dispatcher(old).map(|()| Outcome::Done),
                None => Ok(Outcome::Nothing),
            },
            Op::NewDispatcher { at, limit } => {
                let place = usize::from(*at) % DISPATCHERS;
                let new = self.cell(place, *limit);
                let old = self.posts[place].replace(new);
                old.map_or(Ok(()), |old| self.release_dispatcher(old))?;
                Ok(Outcome::Done)
            }
            Op::DropHandles => {
                while !self.handles.is_empty() {
                    let handle = self.handles.remove(0);
                    self.release_handle(handle)?;
                }
                Ok(Outcome::Done)
            }
            Op::Subscribe { at: place, .. }
            | Op::Publish { at: place, .. }
            | Op::TryPublish { at: place, .. }
            | Op::PublishAll { at: place, .. }
            | Op::PublishOrUndo { at: place, .. }
            | Op::PublishWith { at: place, .. }
            | Op::Edit { at: place, .. }
            | Op::Bulk { at: place, .. }
            | Op::List { at: place }
            | Op::Collect { at: place }
            | Op::Retired { at: place }
            | Op::Scope { at: place, .. } => {
                let Some(cell) = self.posts[usize::from(*place) % DISPATCHERS] else {
                    return Ok(Outcome::Nothing);
                };
                self.cells[cell].refs += 1;
                match self.about_a_dispatcher(at, op, cell) {
                    Err(Exit::Panic(panic)) => {
                        self.release_dispatcher(cell)?;
                        Err(Exit::Panic(panic))
                    }
                    Ok(Done::Released(outcome)) => Ok(outcome),
                    Ok(Done::Held(outcome)) => self.release_dispatcher(cell).map(|()| outcome),
                    Err(wrong) => Err(wrong),
                }
            }
        }
    }

    fn cell(&mut self, place: usize, limit_byte: u8) -> usize {
        let limit =
            limit(limit_byte).unwrap_or(USUAL_LIMIT) as usize + usize::from(self.is(Twist::OneDeeper));
        self.cells.push(Cell {
            place,
            limit,
            list: Vec::new(),
            garbage: Vec::new(),
            refs: 1,
            holders: 0,
            dead: false,
            buried: false,
            retired: Vec::new(),
            unscanned: 0,
        });
        self.cells.len() - 1
    }

    fn target(&mut self, on_drop: u8) -> usize {
        self.all_targets.push(Target { on_drop, refs: 1 });
        self.all_targets.len() - 1
    }

    fn release_target(&mut self, target: usize) -> Go {
        self.all_targets[target].refs -= 1;
        if self.all_targets[target].refs == 0 {
            self.see(Line::TargetDropped { target: target as u64 })?;
            self.contained(self.all_targets[target].on_drop)?;
        }
        Ok(())
    }

    fn sub(&mut self, cell: usize, how: How, target: Option<usize>, scoped: bool) -> usize {
        self.subs.push(Sub { cell, how, target, scoped, ended: false, stillborn: false, gone: false });
        self.subs.len() - 1
    }
}
