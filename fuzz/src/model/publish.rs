//! A publish: who is called, in what order, and what comes of it.

use super::*;

/// Errors, and of whom.
type Answers = Vec<(u64, Answered)>;

impl<'t> Model<'t> {
    pub(super) fn event(&mut self) -> u32 {
        self.events += 1;
        self.events
    }

    /// Runs `walk` over the list as it is now; `empty` where that is empty.
    pub(super) fn read<T>(
        &mut self,
        cell: usize,
        empty: T,
        walk: impl FnOnce(&mut Self, Vec<Item>) -> Go<T>,
    ) -> Go<T> {
        let list = self.cells[cell].list.clone();
        if list.is_empty() {
            return Ok(empty);
        }
        if self.inside.len() >= self.cells[cell].limit {
            return Err(Exit::Panic(Panic::TooDeep(PLACES[self.cells[cell].place])));
        }
        self.inside.push(cell);
        let result = walk(self, list);
        if matches!(result, Err(Exit::Wrong(_))) {
            return result;
        }
        self.leave()?;
        result
    }

    pub(super) fn publish(&mut self, cell: usize, make: Option<u8>, event: u32) -> Go<Outcome> {
        self.read(cell, Outcome::Fine, |model, list| {
            let event = match make {
                Some(script) => {
                    model.script_or_panic(script)?;
                    model.event()
                }
                None => event,
            };
            model.walk(cell, list, event)
        })
    }

    pub(super) fn walk(&mut self, cell: usize, mut list: Vec<Item>, event: u32) -> Go<Outcome> {
        let mut at = 0;
        while let Some(item) = list.get(at).copied() {
            if let Called::Ran(Err(error)) = self.call(item, event, false)?
                && !self.is(Twist::StopIsIgnored)
            {
                return Ok(Outcome::Stopped(self.stop(&list, at, error)));
            }
            at += 1;
            if self.is(Twist::LiveWalk) {
                list.clone_from(&self.cells[cell].list);
            }
        }
        Ok(Outcome::Fine)
    }

    pub(super) fn stop(&self, list: &[Item], at: usize, error: Answered) -> Stop {
        let sub = list[at].sub;
        let name = self.subs[sub].how.name(sub as u64);
        let before = list[..at].iter().filter(|item| !item.paused);
        let position = if self.is(Twist::PausedHaveNoPlace) { before.count() } else { at };
        Stop { error, sub: sub as u64, name, position, not_run: list.len() - at - 1 }
    }

    pub(super) fn walk_all(&mut self, list: &[Item], event: u32) -> Go<Answers> {
        let mut errors = Vec::new();
        for item in list {
            if let Called::Ran(Err(error)) = self.call(*item, event, false)? {
                errors.push((item.sub as u64, error));
            }
        }
        Ok(errors)
    }

    pub(super) fn walk_or_undo(&mut self, list: &[Item], event: u32) -> Go<Outcome> {
        let mut ran = Vec::new();
        for (at, item) in list.iter().enumerate() {
            match self.call(*item, event, false) {
                Ok(Called::Skipped) if self.is(Twist::UndoSkipped) => ran.push(*item),
                Ok(Called::Skipped) => {}
                Ok(Called::Ran(Ok(()))) => ran.push(*item),
                Ok(Called::Ran(Err(error))) => {
                    let stop = self.stop(list, at, error);
                    let (undo_errors, panic) = self.undo(ran, event)?;
                    return panic
                        .map_or(Ok(Outcome::Undone { stop, undo_errors }), |panic| Err(Exit::Panic(panic)));
                }
                Err(Exit::Panic(panic)) => {
                    self.undo(ran, event)?;
                    return Err(Exit::Panic(panic));
                }
                Err(wrong) => return Err(wrong),
            }
        }
        Ok(Outcome::Fine)
    }

    /// The errors, newest first, and the first panic.
    pub(super) fn undo(&mut self, mut ran: Vec<Item>, event: u32) -> Go<(Answers, Option<Panic>)> {
        if !self.is(Twist::UndoOldestFirst) {
            ran.reverse();
        }
        let (mut errors, mut first) = (Vec::new(), None);
        for item in ran {
            match self.call(Item { paused: false, ..item }, event, true) {
                Ok(Called::Ran(Err(error))) => errors.push((item.sub as u64, error)),
                Ok(_) => {}
                Err(Exit::Panic(panic)) => first = first.or(Some(panic)),
                Err(wrong) => return Err(wrong),
            }
        }
        Ok((errors, first))
    }

    pub(super) fn call(&mut self, item: Item, event: u32, undo: bool) -> Go<Called> {
        let Sub { how, target, .. } = self.subs[item.sub];
        if item.paused && !self.is(Twist::PauseIsIgnored) {
            return Ok(Called::Skipped);
        }
        if let Some(target) = target {
            if self.all_targets[target].refs == 0 {
                self.subs[item.sub].ended = true;
                return Ok(Called::Skipped);
            }
            self.all_targets[target].refs += 1;
        }
        let over = self.subs[item.sub].ended && !undo && !(how.once() && self.is(Twist::OnceIsIgnored));
        let called = if over {
            Ok(Called::Skipped)
        } else {
            self.subs[item.sub].ended |= how.once();
            self.run(item.sub, event, undo).map(Called::Ran)
        };
        if matches!(called, Err(Exit::Wrong(_))) {
            return called;
        }
        target.map_or(Ok(()), |target| self.release_target(target))?;
        called
    }

    pub(super) fn run(&mut self, sub: usize, event: u32, undo: bool) -> Go<Result<(), Answered>> {
        self.burn();
        self.see(Line::Run { sub: sub as u64, event, undo })?;
        let answered = Answered { sub: sub as u64, event };
        Ok(match (self.script(self.subs[sub].how.script)?, undo) {
            (Answer::Stop, _) | (Answer::StopUndo, true) => Err(answered),
            (Answer::Panic, _) | (Answer::PanicUndo, true) => {
                return Err(Exit::Panic(Panic::Subscriber(answered)));
            }
            _ => Ok(()),
        })
    }
}
