//! The model: what the documentation of a bus says, with plain vectors, on one thread.
//!
//! A *cell* is what a bus and the handles that outlive it share. Not in the documentation, and modelled as it is: which writes
//! happen at all (none by a handle whose captures are gone), since a write is what sweeps out those that have ended.

use super::{
    Answer, BusTwist, DEPTH, EVENTS, How, LISTS, MOST_CALLS, Op, Program, Script, Step, TARGETS, priority,
};
use std::mem::take;

/// The lists of families that each event type declares, in order.
const FAMILIES_OF: [&[usize]; EVENTS] = [&[7, 8], &[8, 7], &[9], &[], &[7, 8, 9], &[9, 7]];

/// What stops each event type.
const STOPS: [Stop; EVENTS] = [Stop::Bus, Stop::Bus, Stop::Box, Stop::Own, Stop::Box, Stop::Own];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    Bus,
    Box,
    Own,
}

/// One in a list; the place of handlers is one without a subscriber.
#[derive(Clone, Copy)]
struct Entry {
    sub: Option<usize>,
    priority: i32,
    paused: bool,
}

#[derive(Default)]
struct Cell {
    lists: [Vec<Entry>; LISTS],
    /// In which order types and families were first named, which is how they are listed.
    named: Vec<usize>,
    /// The handles that keep it, its bus among them.
    holders: usize,
    /// Those who have the bus itself.
    buses: usize,
    /// How many publishes are inside.
    inside: usize,
    /// Taken out, and not yet dropped.
    retired: Vec<usize>,
    /// Is collected when the outermost publish is over.
    deferred: bool,
}

struct Sub {
    cell: usize,
    list: usize,
    how: How,
    target: Option<usize>,
    /// Has ended by itself.
    over: bool,
    /// Its captures have been dropped.
    gone: bool,
    handle: bool,
    /// Its handle was cancelled, or dropped.
    cancelled: bool,
}

#[derive(Clone, Copy)]
enum Change {
    Place,
    Add(usize),
    Cancel(usize),
    SetPaused(usize, bool),
    SetPriority(usize, i32),
    /// To the place before the other one, or behind it.
    Move(usize, usize, bool),
    Clear,
}

/// How a call ended.
enum Ran {
    Fine,
    Stopped(Answer),
    Panicked,
}

struct Model<'p> {
    program: &'p Program,
    twists: &'p [BusTwist],
    lines: Vec<String>,
    depth: usize,
    calls: usize,
    serial: u32,
    running: usize,
    cells: Vec<Cell>,
    bus: Option<usize>,
    kept: [Option<usize>; LISTS],
    subs: Vec<Sub>,
    targets: [Option<usize>; TARGETS],
    /// How many hold each target there ever was.
    strong: Vec<usize>,
}

/// What a program does, as the model has it.
pub(super) fn run(program: &Program, twists: &[BusTwist]) -> Vec<String> {
    let mut model = Model {
        program,
        twists,
        lines: Vec::new(),
        depth: 0,
        calls: 0,
        serial: 0,
        running: 0,
        cells: Vec::new(),
        bus: None,
        kept: [None; LISTS],
        subs: Vec::new(),
        targets: [None; TARGETS],
        strong: Vec::new(),
    };
    model.new_bus();
    for op in &program.main {
        model.do_op(op);
    }
    model.lines
}

impl Model<'_> {
    fn is(&self, twist: BusTwist) -> bool {
        self.twists.contains(&twist)
    }

    fn line(&mut self, text: impl AsRef<str>) {
        self.lines.push(format!("{:indent$}{}", "", text.as_ref(), indent = self.depth * 2));
    }

    fn new_bus(&mut self) {
        self.cells.push(Cell { holders: 1, buses: 1, ..Cell::default() });
        self.bus = Some(self.cells.len() - 1);
    }

    /// For as long as an operation lasts.
    fn borrow_bus(&mut self) -> Option<usize> {
        let cell = self.bus?;
        self.cells[cell].buses += 1;
        Some(cell)
    }

    fn give_back_bus(&mut self, cell: usize) {
        self.cells[cell].buses -= 1;
        if self.cells[cell].buses > 0 {
            return;
        }
        if self.members(cell) > 0 && !self.is(BusTwist::TheBusLeavesItsOwn) {
            for list in 0..LISTS {
                let all = take(&mut self.cells[cell].lists[list]);
                self.cells[cell].retired.extend(all.iter().filter_map(|entry| entry.sub));
            }
        }
        self.collect(cell);
        self.let_go(cell);
    }

    /// One handle less.
    fn let_go(&mut self, cell: usize) {
        self.cells[cell].holders -= 1;
        if self.cells[cell].holders == 0 {
            self.cells[cell].lists = Default::default();
            self.subs.iter_mut().filter(|sub| sub.cell == cell).for_each(|sub| sub.gone = true);
        }
    }

    fn members(&self, cell: usize) -> usize {
        self.cells[cell].lists.iter().flatten().filter(|entry| entry.sub.is_some()).count()
    }

    /// Drops what was taken out, as soon as no publish can reach it.
    fn collect(&mut self, cell: usize) {
        if self.cells[cell].inside > 0 {
            self.cells[cell].deferred = true;
            return;
        }
        for sub in take(&mut self.cells[cell].retired) {
            self.subs[sub].gone = true;
        }
    }

    fn leave(&mut self, cell: usize) {
        self.cells[cell].inside -= 1;
        self.running -= 1;
        for cell in 0..self.cells.len() {
            if self.running == 0 && take(&mut self.cells[cell].deferred) {
                self.collect(cell);
            }
        }
    }

    /// A type or family is named: it has its list from now on, a type after its families.
    fn name(&mut self, cell: usize, list: usize) {
        if (1..=EVENTS).contains(&list) {
            FAMILIES_OF[list - 1].iter().for_each(|family| self.name(cell, *family));
        }
        let named = &mut self.cells[cell].named;
        if list != 0 && !named.contains(&list) {
            named.push(list);
        }
    }

    fn has_place(&self, cell: usize) -> bool {
        self.cells[cell].lists[0].iter().any(|entry| entry.sub.is_none())
    }

    /// Makes changes at once, sweeps the lists that they are about, and says whether they did anything.
    fn apply(&mut self, cell: usize, changes: &[Change]) -> bool {
        let mut did = false;
        let mut touched = [self.is(BusTwist::SweepsAll); LISTS];
        for change in changes {
            let list = match *change {
                Change::Place => Some(0),
                Change::Clear => None,
                Change::Add(sub)
                | Change::Cancel(sub)
                | Change::SetPaused(sub, _)
                | Change::SetPriority(sub, _)
                | Change::Move(sub, ..) => Some(self.subs[sub].list),
            };
            (0..LISTS).filter(|at| list.is_none_or(|list| list == *at)).for_each(|list| touched[list] = true);
            did |= self.make(cell, *change);
        }
        for list in (0..LISTS).filter(|list| touched[*list]) {
            let subs = &self.subs;
            let over = |entry: &mut Entry| entry.sub.is_some_and(|sub| subs[sub].over);
            let swept: Vec<_> = self.cells[cell].lists[list].extract_if(.., over).collect();
            self.cells[cell].retired.extend(swept.iter().filter_map(|entry| entry.sub));
        }
        if self.is(BusTwist::PlaceGoesWithTheLast) && self.cells[cell].lists[1..].iter().all(Vec::is_empty) {
            self.cells[cell].lists[0].retain(|entry| entry.sub.is_some());
        }
        did
    }

    fn insert(&mut self, cell: usize, list: usize, entry: Entry) {
        let newest_first = self.is(BusTwist::NewestFirst) && entry.sub.is_some();
        let list = &mut self.cells[cell].lists[list];
        let earlier = |other: &Entry| {
            other.priority > entry.priority || other.priority == entry.priority && !newest_first
        };
        let at = list.iter().take_while(|other| earlier(other)).count();
        list.insert(at, entry);
    }

    /// Where a subscriber is, if it is there.
    fn find(&self, sub: usize) -> Option<usize> {
        let Sub { cell, list, .. } = self.subs[sub];
        self.cells[cell].lists[list].iter().position(|entry| entry.sub == Some(sub))
    }

    fn find_active(&self, sub: usize) -> Option<usize> {
        let over = self.subs[sub].over && !self.is(BusTwist::EndedIsFound);
        self.find(sub).filter(|_| !over)
    }

    fn make(&mut self, cell: usize, change: Change) -> bool {
        match change {
            Change::Place => {
                if self.has_place(cell) {
                    return false;
                }
                self.insert(cell, 0, Entry { sub: None, priority: 0, paused: false });
            }
            Change::Add(sub) => {
                let Sub { list, how, cancelled, .. } = self.subs[sub];
                if cancelled && !self.is(BusTwist::EditForgetsCancel) {
                    self.subs[sub].gone = true;
                    return false;
                }
                let paused = how.has(How::PAUSED);
                self.insert(cell, list, Entry { sub: Some(sub), priority: how.priority(), paused });
            }
            Change::Cancel(sub) => {
                let Some(at) = self.find(sub) else { return false };
                let Sub { list, over, .. } = self.subs[sub];
                self.cells[cell].lists[list].remove(at);
                self.cells[cell].retired.push(sub);
                return !over;
            }
            Change::SetPaused(sub, paused) => {
                let Some(at) = self.find_active(sub) else { return false };
                let entry = &mut self.cells[cell].lists[self.subs[sub].list][at];
                return std::mem::replace(&mut entry.paused, paused) != paused;
            }
            Change::SetPriority(sub, priority) => {
                let Some(at) = self.find_active(sub) else { return false };
                let list = self.subs[sub].list;
                let entry = self.cells[cell].lists[list].remove(at);
                self.insert(cell, list, Entry { priority, ..entry });
            }
            Change::Move(sub, other, before) => {
                let (Some(at), Some(beside)) = (self.find_active(sub), self.find_active(other)) else {
                    return false;
                };
                let keeps = self.is(BusTwist::MoveKeepsPriority);
                let list = &mut self.cells[cell].lists[self.subs[sub].list];
                if sub != other && self.subs[sub].list == self.subs[other].list {
                    let priority = if keeps { list[at].priority } else { list[beside].priority };
                    let entry = Entry { priority, ..list.remove(at) };
                    let beside = beside - usize::from(at < beside);
                    list.insert(beside + usize::from(!before), entry);
                }
            }
            Change::Clear => {
                let did = self.members(cell) > 0;
                let place_goes = self.is(BusTwist::ClearTakesThePlace);
                let Cell { lists, retired, .. } = &mut self.cells[cell];
                for list in lists {
                    retired.extend(list.iter().filter_map(|entry| entry.sub));
                    list.retain(|entry| entry.sub.is_none() && !place_goes);
                }
                return did;
            }
        }
        true
    }

    /// A change by a handle.
    fn write(&mut self, sub: usize, change: Change) -> bool {
        let Sub { cell, gone, .. } = self.subs[sub];
        if gone || self.cells[cell].holders == 0 {
            return false;
        }
        let did = self.apply(cell, &[change]);
        self.collect(cell);
        did
    }

    fn cancel(&mut self, sub: usize) -> bool {
        if self.cells[self.subs[sub].cell].holders == 0 {
            return false;
        }
        self.subs[sub].cancelled = true;
        self.write(sub, Change::Cancel(sub))
    }

    /// A subscriber that is not yet in a list.
    fn new_sub(&mut self, cell: usize, list: usize, how: How) -> usize {
        let number = self.subs.len();
        let target = how.has(How::WEAK).then(|| {
            let slot = number % TARGETS;
            *self.targets[slot].get_or_insert_with(|| {
                self.strong.push(1);
                self.strong.len() - 1
            })
        });
        let (over, gone, handle, cancelled) = (false, false, true, false);
        self.subs.push(Sub { cell, list, how, target, over, gone, handle, cancelled });
        number
    }

    /// What brings a subscriber into its list: with the first handler comes the place of all.
    fn adding(&self, sub: usize) -> Vec<Change> {
        let Sub { cell, list, .. } = self.subs[sub];
        let place = (list != 0 && !self.has_place(cell)).then_some(Change::Place);
        place.into_iter().chain([Change::Add(sub)]).collect()
    }

    fn commit(&mut self, cell: usize, changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        let ends = |sub: usize| self.subs[sub].how.flags & (How::ONCE | How::WEAK) != 0;
        let plain = |change: &Change| match *change {
            Change::Place => true,
            Change::Add(sub) => !ends(sub),
            _ => false,
        };
        let only_adds = changes.iter().all(plain);
        self.apply(cell, changes);
        if !only_adds {
            self.collect(cell);
        }
    }

    fn subscribe(&mut self, list: u8, how: How) {
        let list = usize::from(list) % LISTS;
        self.line(format!("subscribe to {list}"));
        let by = if how.has(How::KEPT) { self.kept[list] } else { self.bus };
        let Some(cell) = by else { return self.line("= nothing") };
        self.name(cell, list);
        let sub = self.new_sub(cell, list, how);
        if !(self.is(BusTwist::NothingOutlivesTheBus) && self.cells[cell].buses == 0) {
            let changes = self.adding(sub);
            self.commit(cell, &changes);
        }
        self.line(format!("= #{sub}"));
    }

    /// Who is to hear an event, in order: the list that each is in, and the entry.
    fn audience(&self, cell: usize, event: usize) -> Vec<(usize, Entry)> {
        let lists = &self.cells[cell].lists;
        let plain = &lists[0];
        let mut place = plain.iter().position(|entry| entry.sub.is_none()).unwrap_or(plain.len());
        if self.is(BusTwist::HandlersLast) {
            place = plain.len();
        }
        let mut handlers = vec![1 + event];
        handlers.extend(FAMILIES_OF[event]);
        if self.is(BusTwist::FamiliesInReverse) {
            handlers[1..].reverse();
        }
        if self.is(BusTwist::FamiliesFirst) {
            handlers.rotate_left(1);
        }
        let of = |list: usize| lists[list].iter().map(move |entry| (list, *entry));
        let all = of(0).take(place).chain(handlers.into_iter().flat_map(of)).chain(of(0).skip(place));
        let hidden = |entry: &Entry| entry.paused && self.is(BusTwist::PausedHaveNoPlace);
        all.filter(|(_, entry)| entry.sub.is_some() && !hidden(entry)).collect()
    }

    /// Publishes on a cell, and says how that ended.
    fn publish_on(&mut self, cell: usize, event: usize, serial: u32, as_any: bool) -> String {
        if self.members(cell) == 0 {
            return "fine".to_owned();
        }
        self.cells[cell].inside += 1;
        self.running += 1;
        let mut all = self.audience(cell, event);
        let (mut at, mut outcome) = (0, "fine".to_owned());
        while at < all.len() {
            let (list, Entry { sub, paused, .. }) = all[at];
            let sub = sub.expect("the place was left out");
            if !paused || self.is(BusTwist::PauseIsIgnored) {
                match self.call(sub, event, serial) {
                    Ran::Fine => {}
                    Ran::Stopped(_) if self.is(BusTwist::StopIsIgnored) => {}
                    Ran::Stopped(answer) => {
                        let veto = answer == Answer::Veto;
                        let text = self.text(event, list, sub, veto, as_any);
                        let not_run = all.len() - at - 1;
                        outcome = format!("stopped by #{sub}, at {at}, {not_run} not run: {text}");
                        break;
                    }
                    Ran::Panicked => {
                        outcome = format!("panic of #{sub}");
                        break;
                    }
                }
            }
            at += 1;
            if self.is(BusTwist::LiveWalk) {
                all = self.audience(cell, event);
            }
        }
        self.leave(cell);
        outcome
    }

    /// What the publisher is given.
    fn text(&self, event: usize, list: usize, sub: usize, veto: bool, as_any: bool) -> String {
        let one_of_many = if veto { format!("veto {sub}") } else { format!("fail {sub}") };
        let own = list == 1 + event;
        match STOPS[event] {
            Stop::Bus => one_of_many,
            Stop::Box if own => format!("fail {sub}"),
            Stop::Box if veto && !self.is(BusTwist::LateVetoPasses) => format!("late veto {sub}"),
            Stop::Box => one_of_many,
            Stop::Own if own => format!("code {sub}"),
            Stop::Own if as_any => one_of_many,
            Stop::Own => format!("other {one_of_many}"),
        }
    }

    /// A subscriber's turn.
    fn call(&mut self, sub: usize, event: usize, serial: u32) -> Ran {
        let Sub { how, target, over, .. } = self.subs[sub];
        if let Some(target) = target.filter(|target| self.strong[*target] == 0) {
            if !self.is(BusTwist::WeakIsIgnored) {
                self.subs[sub].over = true;
                return Ran::Fine;
            }
            self.strong[target] = 0;
        }
        if over && !self.is(BusTwist::OnceIsIgnored) {
            return Ran::Fine;
        }
        if how.has(How::ONCE) {
            self.subs[sub].over = true;
        }
        if let Some(target) = target {
            self.strong[target] += 1;
        }
        let answer = self.called(sub, event, serial);
        if let Some(target) = target {
            self.strong[target] -= 1;
        }
        match answer {
            Answer::Fine => Ran::Fine,
            Answer::Panic => Ran::Panicked,
            answer => Ran::Stopped(answer),
        }
    }

    fn called(&mut self, sub: usize, event: usize, serial: u32) -> Answer {
        self.line(format!("#{sub} is given event {serial} of type {}", event + 1));
        let Script { answer, ops } = self.program.script(self.subs[sub].how.script);
        let runs = self.depth < DEPTH && self.calls < MOST_CALLS;
        self.depth += 1;
        self.calls += 1;
        for op in ops.iter().filter(|_| runs) {
            self.do_op(op);
        }
        self.depth -= 1;
        answer
    }

    fn publish(&mut self, event: u8, way: u8) {
        let event = usize::from(event) % EVENTS;
        self.serial += 1;
        let (serial, way) = (self.serial, way % 4);
        self.line(format!("publish event {serial} of type {} way {way}", event + 1));
        let (bus, kept) = (self.borrow_bus(), self.kept[1 + event]);
        if let Some(cell) = kept {
            self.cells[cell].holders += 1;
        }
        let outcome = match (way, bus, kept) {
            (3, _, Some(cell)) => self.publish_on(cell, event, serial, false),
            (3, _, None) | (_, None, _) => "nothing".to_owned(),
            (way, Some(cell), _) => {
                if way == 2 {
                    self.name(cell, 1 + event);
                }
                self.publish_on(cell, event, serial, way == 1)
            }
        };
        self.give_back(bus, kept);
        self.line(format!("= {outcome}"));
    }

    fn give_back(&mut self, bus: Option<usize>, kept: Option<usize>) {
        bus.into_iter().for_each(|cell| self.give_back_bus(cell));
        kept.into_iter().for_each(|cell| self.let_go(cell));
    }

    fn handle(&self, nth: u8) -> Option<usize> {
        let nth = usize::from(nth) % self.subs.len().max(1);
        self.subs.get(nth)?.handle.then_some(nth)
    }

    fn on_handle(&mut self, what: &str, nth: u8, f: impl FnOnce(&mut Self, usize) -> bool) {
        match self.handle(nth) {
            None => self.line(format!("{what}: nothing")),
            Some(sub) => {
                let did = f(self, sub);
                self.line(format!("{what} #{sub}: {did}"));
            }
        }
    }

    fn do_op(&mut self, op: &Op) {
        match op {
            Op::Subscribe { list, how } => self.subscribe(*list, *how),
            Op::Publish { event, way } => self.publish(*event, *way),
            Op::Cancel { nth } => self.on_handle("cancel", *nth, Self::cancel),
            Op::Pause { nth } => {
                self.on_handle("pause", *nth, |model, sub| model.write(sub, Change::SetPaused(sub, true)));
            }
            Op::Resume { nth } => {
                self.on_handle("resume", *nth, |model, sub| model.write(sub, Change::SetPaused(sub, false)));
            }
            Op::Look { nth } => self.on_handle("look", *nth, |model, sub| {
                let found = model.find_active(sub);
                let Sub { cell, list, .. } = model.subs[sub];
                let paused = found.is_some_and(|at| model.cells[cell].lists[list][at].paused);
                model.line(format!("paused: {paused}"));
                found.is_some()
            }),
            Op::DropHandle { nth } => match self.handle(*nth) {
                Some(sub) => {
                    self.subs[sub].handle = false;
                    if !self.is(BusTwist::DropDetaches) {
                        self.cancel(sub);
                    }
                    self.line(format!("drop handle #{sub}"));
                }
                None => self.line("drop handle: nothing"),
            },
            Op::Detach { nth } => match self.handle(*nth) {
                Some(sub) => {
                    self.subs[sub].handle = false;
                    self.line(format!("detach #{sub}"));
                }
                None => self.line("detach: nothing"),
            },
            Op::CancelSome { every } => self.cancel_some(usize::from(*every) % 4 + 1),
            Op::DropTarget { target } => {
                let slot = usize::from(*target) % TARGETS;
                let there = self.targets[slot].take();
                there.into_iter().for_each(|target| self.strong[target] -= 1);
                self.line(format!("drop target {slot}: {}", there.is_some()));
            }
            Op::Edit { steps } => self.edit(steps),
            Op::Keep { list } => {
                let list = usize::from(*list) % LISTS;
                let Some(cell) = self.bus else { return self.line("keep: nothing") };
                self.line(format!("keep {list}: {}", list != 0));
                if list != 0 {
                    self.name(cell, list);
                    self.cells[cell].holders += 1;
                    let before = self.kept[list].replace(cell);
                    before.into_iter().for_each(|cell| self.let_go(cell));
                }
            }
            Op::LetGo { list } => {
                let list = usize::from(*list) % LISTS;
                let kept = self.kept[list].take();
                self.line(format!("let go of {list}: {}", kept.is_some()));
                kept.into_iter().for_each(|cell| self.let_go(cell));
            }
            Op::List => self.list(),
            Op::Sizes => {
                let Some(cell) = self.bus else { return self.line("sizes: nothing") };
                let has: Vec<bool> =
                    (0..EVENTS).map(|event| !self.audience(cell, event).is_empty()).collect();
                let members = self.members(cell);
                self.line(format!("sizes: {members} {} {has:?}", members == 0));
            }
            Op::DropBus => {
                let bus = self.bus.take();
                self.line(format!("drop bus: {}", bus.is_some()));
                bus.into_iter().for_each(|cell| self.give_back_bus(cell));
            }
            Op::NewBus => {
                self.line("new bus");
                let before = self.bus;
                self.new_bus();
                before.into_iter().for_each(|cell| self.give_back_bus(cell));
            }
        }
    }

    /// As a set: one swap for each cell.
    fn cancel_some(&mut self, every: usize) {
        let some: Vec<usize> =
            (0..self.subs.len()).step_by(every).filter(|sub| self.subs[*sub].handle).collect();
        self.line(format!("cancel {} as a set", some.len()));
        let mut by_cell = vec![Vec::new(); self.cells.len()];
        for sub in some {
            let cell = self.subs[sub].cell;
            self.subs[sub].handle = false;
            if self.cells[cell].holders > 0 {
                self.subs[sub].cancelled = true;
                by_cell[cell].push(Change::Cancel(sub));
            }
        }
        for (cell, changes) in by_cell.into_iter().enumerate().filter(|(_, changes)| !changes.is_empty()) {
            self.apply(cell, &changes);
            self.collect(cell);
        }
    }

    fn list(&mut self) {
        let Some(cell) = self.bus else { return self.line("list: nothing") };
        let Cell { lists, named, .. } = &self.cells[cell];
        let place = lists[0].iter().position(|entry| entry.sub.is_none()).unwrap_or(lists[0].len());
        let of = |list: usize| lists[list].iter().map(move |entry| (list, *entry));
        let handlers = named.iter().flat_map(|list| of(*list));
        let all: Vec<_> = of(0).take(place).chain(handlers).chain(of(0).skip(place)).collect();
        for (list, Entry { sub, priority, paused }) in all {
            let Some(sub) = sub.filter(|sub| !self.subs[*sub].over || self.is(BusTwist::EndedIsFound)) else {
                continue;
            };
            let of = match list {
                0 => "everything".to_owned(),
                1..=EVENTS => format!("type {list}"),
                _ => format!("family {list}"),
            };
            self.line(format!("listed: #{sub} to {of}, priority {priority}, paused: {paused}"));
        }
        self.line("listed");
    }

    fn edit(&mut self, steps: &[Step]) {
        let Some(cell) = self.borrow_bus() else { return self.line("edit: nothing") };
        self.line("edit");
        let mut record = Vec::new();
        for step in steps {
            self.do_step(cell, step, &mut record);
            if self.is(BusTwist::EditAtOnce) {
                self.commit(cell, &take(&mut record));
            }
        }
        self.commit(cell, &record);
        self.give_back_bus(cell);
        self.line("edited");
    }

    fn do_step(&mut self, cell: usize, step: &Step, record: &mut Vec<Change>) {
        let mut about = |model: &mut Self, what, nth, change: &dyn Fn(usize) -> Change| {
            model.on_handle(what, nth, |model, sub| {
                let ours = model.subs[sub].cell == cell;
                record.extend(ours.then(|| change(sub)));
                ours
            });
        };
        match step {
            Step::Subscribe { list, how } => {
                let list = usize::from(*list) % LISTS;
                let how = How { flags: how.flags & !How::WEAK, ..*how };
                self.line(format!("record a subscribe to {list}"));
                self.name(cell, list);
                let sub = self.new_sub(cell, list, how);
                record.extend(self.adding(sub));
                self.line(format!("= #{sub}"));
            }
            Step::Cancel { nth } => about(self, "record a cancel", *nth, &Change::Cancel),
            Step::Pause { nth } => about(self, "record a pause", *nth, &|sub| Change::SetPaused(sub, true)),
            Step::Resume { nth } => {
                about(self, "record a resume", *nth, &|sub| Change::SetPaused(sub, false))
            }
            Step::SetPriority { nth, priority: byte } => {
                about(self, "record a priority", *nth, &|sub| Change::SetPriority(sub, priority(*byte)));
            }
            Step::MoveBefore { nth, other } => self.record_move(cell, *nth, *other, true, record),
            Step::MoveAfter { nth, other } => self.record_move(cell, *nth, *other, false, record),
            Step::Clear => {
                record.push(Change::Clear);
                self.line("record a clear");
            }
            Step::Publish { event, way } => self.publish(*event, *way),
            Step::CancelNow { nth } => self.on_handle("cancel", *nth, Self::cancel),
        }
    }

    fn record_move(&mut self, cell: usize, nth: u8, other: u8, before: bool, record: &mut Vec<Change>) {
        let (Some(sub), Some(other)) = (self.handle(nth), self.handle(other)) else {
            return self.line("record a move: nothing");
        };
        let (a, b) = (&self.subs[sub], &self.subs[other]);
        let one_list = a.list == b.list || self.is(BusTwist::MovesCrossLists);
        let ours = a.cell == cell && b.cell == cell && one_list;
        let place = if before { "before" } else { "behind" };
        self.line(format!("record a move of #{sub} {place} #{other}: {ours}"));
        record.extend(ours.then_some(Change::Move(sub, other, before)));
    }
}
