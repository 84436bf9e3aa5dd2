//! Operations on handles, and on sets of subscriptions.

use super::*;

impl<'t> Model<'t> {
    pub(super) fn handle(&self, sub: u8) -> Option<usize> {
        let count = self.handles.len();
        (count > 0).then(|| self.handles[usize::from(sub) % count])
    }

    pub(super) fn keep(&mut self, sub: usize) -> Outcome {
        self.all_handles.push(Handle { sub, refs: 1 });
        self.handles.push(self.all_handles.len() - 1);
        Outcome::Subscribed(sub as u64)
    }

    pub(super) fn release_handle(&mut self, handle: usize) -> Go {
        self.all_handles[handle].refs -= 1;
        if self.all_handles[handle].refs == 0 && !self.is(Twist::DropDetaches) {
            let sub = self.all_handles[handle].sub;
            self.write_by_handle(sub, Change::Cancel(sub))?;
        }
        Ok(())
    }

    /// Takes a handle that no other operation is using.
    pub(super) fn take_alone(&mut self, handle: usize) -> bool {
        let alone = self.all_handles[handle].refs == 2;
        if alone {
            self.handles.retain(|other| *other != handle);
            self.all_handles[handle].refs = 0;
        }
        alone
    }

    pub(super) fn about_a_handle(&mut self, op: &'t Op, handle: usize) -> Go<Outcome> {
        let sub = self.all_handles[handle].sub;
        let outcome = match op {
            Op::Cancel { .. } => Outcome::Bool(self.write_by_handle(sub, Change::Cancel(sub))?),
            Op::Pause { .. } => Outcome::Bool(self.write_by_handle(sub, Change::Pause(sub, true))?),
            Op::Resume { .. } => Outcome::Bool(self.write_by_handle(sub, Change::Pause(sub, false))?),
            Op::CancelAndWait { .. } => Outcome::Waited(self.cancel_and_wait(sub)?),
            Op::Look { .. } => {
                let list = &self.cells[self.subs[sub].cell].list;
                let item = list.iter().find(|item| item.sub == sub && !self.subs[sub].ended);
                let (active, paused) = (item.is_some(), item.is_some_and(|item| item.paused));
                Outcome::Looked { sub: sub as u64, active, paused }
            }
            Op::DropHandle { .. } => {
                self.handles.retain(|other| *other != handle);
                self.release_handle(handle)?;
                Outcome::Done
            }
            Op::Detach { .. } => {
                if !self.take_alone(handle) {
                    self.release_handle(handle)?;
                    return Ok(Outcome::Nothing);
                }
                self.detached(&[sub]);
                return Ok(Outcome::Done);
            }
            Op::SetAdd { set, .. } => {
                let set = usize::from(*set) % SETS;
                if matches!(self.sets[set], Set::Busy) {
                    self.release_handle(handle)?;
                    return Ok(Outcome::Nothing);
                }
                if matches!(self.sets[set], Set::None) {
                    self.sets[set] = Set::Here(Vec::new());
                }
                if !self.take_alone(handle) {
                    self.release_handle(handle)?;
                    return Ok(Outcome::Nothing);
                }
                let Set::Here(subs) = &mut self.sets[set] else { unreachable!("made just now") };
                subs.push(sub);
                return Ok(Outcome::Set { left: subs.len(), waited: None });
            }
            _ => unreachable!("not about a handle"),
        };
        self.release_handle(handle)?;
        Ok(outcome)
    }

    /// Nothing happens, as far as the documentation says.
    fn detached(&mut self, subs: &[usize]) {
        if self.is(Twist::DetachCancels) {
            subs.iter().for_each(|sub| self.cancelled_unlisted(*sub));
        }
    }

    pub(super) fn cancel_and_wait(&mut self, sub: usize) -> Go<Result<(), Wait>> {
        self.write_by_handle(sub, Change::Cancel(sub))?;
        if self.collecting {
            return Ok(Err(Wait::WouldDeadlock));
        }
        let cell = self.subs[sub].cell;
        if !self.cells[cell].buried {
            if !self.subs[sub].gone && self.is_inside(cell) {
                return Ok(Err(Wait::WouldDeadlock));
            }
            self.cells[cell].holders += 1;
            self.collect(cell)?;
            self.release_cell(cell)?;
        }
        Ok(if self.subs[sub].gone { Ok(()) } else { Err(Wait::TimedOut) })
    }

    pub(super) fn about_a_set(&mut self, op: &'t Op, set: usize) -> Go<Outcome> {
        if !matches!(self.sets[set], Set::Here(_)) {
            return Ok(Outcome::Nothing);
        }
        let Set::Here(mut subs) = std::mem::replace(&mut self.sets[set], Set::Busy) else {
            unreachable!("looked just now")
        };
        let mut waited = None;
        match op {
            Op::SetPause { .. } => self.write_all(&subs, |sub| Change::Pause(sub, true), true)?,
            Op::SetResume { .. } => self.write_all(&subs, |sub| Change::Pause(sub, false), true)?,
            Op::SetDetach { .. } => {
                self.detached(&subs);
                subs.clear();
            }
            Op::SetWait { .. } => {
                self.write_all(&subs, Change::Cancel, false)?;
                let mut all = Ok(());
                while let Some(last) = subs.last().copied() {
                    all = self.cancel_and_wait(last)?;
                    if all.is_err() {
                        break;
                    }
                    subs.pop();
                    self.write_by_handle(last, Change::Cancel(last))?;
                }
                waited = Some(all);
            }
            _ => {
                self.write_all(&subs, Change::Cancel, true)?;
                subs.clear();
            }
        }
        let left = subs.len();
        self.sets[set] = Set::Here(subs);
        Ok(Outcome::Set { left, waited })
    }

    /// One write for each dispatcher; then all are collected, in an order that nothing is said about.
    pub(super) fn write_all(
        &mut self,
        subs: &[usize],
        change: impl Fn(usize) -> Change,
        collect: bool,
    ) -> Go {
        let mut cells: Vec<usize> = subs.iter().map(|sub| self.subs[*sub].cell).collect();
        cells.retain(|cell| !self.cells[*cell].buried);
        cells.sort_unstable();
        cells.dedup();
        for cell in &cells {
            let mine = subs.iter().copied().filter(|sub| self.subs[*sub].cell == *cell);
            let mine: Vec<usize> = mine.collect();
            let changes: Vec<Change> = mine.iter().copied().map(&change).collect();
            for sub in mine {
                if matches!(change(sub), Change::Cancel(_)) {
                    self.cancelled_unlisted(sub);
                }
            }
            self.write(*cell, &changes);
            self.cells[*cell].holders += 1;
        }
        while !cells.is_empty() {
            let cell = cells.remove(self.next_dropped(&cells));
            if collect {
                self.collect(cell)?;
            }
            self.release_cell(cell)?;
        }
        Ok(())
    }
}
