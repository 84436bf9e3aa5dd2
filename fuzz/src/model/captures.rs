//! When captures may be dropped, and when they must have been. The rules: `model.rs`.

use super::*;

impl<'t> Model<'t> {
    /// Whether this thread counts as inside a publish of the cell.
    pub(super) fn is_inside(&self, cell: usize) -> bool {
        self.inside.contains(&cell) || self.inside.len() > EXACT
    }

    /// Takes those drops that come next, of garbage that `mine` allows, or that was put off and may be dropped now.
    pub(super) fn drops(&mut self, mine: impl Fn(usize, usize) -> bool) -> Go {
        while let Some(Line::Dropped { sub }) = self.peek() {
            let sub = *sub as usize;
            let Some(cell) = self.subs.get(sub).map(|sub| sub.cell) else { break };
            let later = self.inside.is_empty() && self.put_off.contains(&cell);
            let safe = !self.inside.contains(&cell) || self.is(Twist::CollectedInside);
            if !(self.cells[cell].garbage.contains(&sub) && (later || mine(sub, cell)) && safe) {
                break;
            }
            self.dropped(sub)?;
        }
        Ok(())
    }

    pub(super) fn dropped(&mut self, sub: usize) -> Go {
        self.see(Line::Dropped { sub: sub as u64 })?;
        let Sub { cell, how, .. } = self.subs[sub];
        self.cells[cell].garbage.retain(|other| *other != sub);
        self.subs[sub].dropping = true;
        self.contained(how.on_drop)?;
        self.subs[sub].gone = true;
        Ok(())
    }

    pub(super) fn must_be_gone(&self, mut of: impl FnMut(usize, &Sub) -> bool) -> Go {
        match (0..self.subs.len()).find(|sub| !self.subs[*sub].dropping && of(*sub, &self.subs[*sub])) {
            Some(sub) => self.wrong(format!("captures of #{sub} are dropped")),
            None => Ok(()),
        }
    }

    /// Drops what nobody can reach, or puts it off.
    pub(super) fn collect(&mut self, cells: &[usize]) -> Go {
        if self.is(Twist::NothingIsCollected) {
            return Ok(());
        }
        let (mut now, mut must) = (Vec::new(), Vec::new());
        for cell in cells {
            let blocked = self.is_inside(*cell) && !self.is(Twist::CollectedInside);
            if self.collecting || blocked {
                self.put_off(*cell);
            } else {
                must.extend(&self.cells[*cell].garbage);
                now.push(*cell);
            }
        }
        if now.is_empty() {
            return Ok(());
        }
        let from = self.next;
        self.collecting = true;
        for cell in &now {
            (self.cells[*cell].replaced, self.cells[*cell].unscanned) = (UNSURE, 0);
        }
        // Of several, those that come later see what the destructors of earlier ones made.
        self.drops(|sub, cell| must.contains(&sub) || now.len() > 1 && now.contains(&cell))?;
        self.must_be_gone(|sub, _| must.contains(&sub))?;
        let quiet = self.lines[from..self.next].iter().all(|(_, line)| matches!(line, Line::Dropped { .. }));
        for cell in &now {
            if quiet {
                self.cells[*cell].replaced = 0;
            }
        }
        self.drain_outside()?;
        self.collecting = false;
        for cell in now {
            self.finish_if_dead(cell)?;
        }
        Ok(())
    }

    /// Has all garbage of a cell dropped later.
    fn put_off(&mut self, cell: usize) {
        self.put_off.push(cell);
        for sub in self.cells[cell].garbage.clone() {
            self.subs[sub].due = true;
        }
    }

    /// What a write that only adds does: it drops no captures; but every so often, where it cannot clean up at all, it has
    /// that done later, by a collector.
    pub(super) fn trim(&mut self, cell: usize) {
        if self.cells[cell].unscanned >= BATCH {
            if self.collecting || self.is_inside(cell) {
                self.put_off.push(cell);
            } else {
                self.cells[cell].unscanned = 0;
            }
        }
    }

    /// Does what was put off, if this thread is inside no publish.
    pub(super) fn drain_outside(&mut self) -> Go {
        if !self.inside.is_empty() || self.is(Twist::NothingIsCollected) {
            return Ok(());
        }
        self.unsure_of_what_is_put_off();
        for cell in &self.put_off {
            self.cells[*cell].unscanned = 0;
        }
        self.drops(|_, _| false)?;
        self.must_be_gone(|_, sub| sub.due)?;
        self.unsure_of_what_is_put_off(); // also what the destructors put off
        self.put_off.clear();
        Ok(())
    }

    fn unsure_of_what_is_put_off(&mut self) {
        for cell in &self.put_off {
            self.cells[*cell].replaced = UNSURE;
        }
    }

    /// This thread's return from a publish.
    pub(super) fn leave(&mut self) -> Go {
        self.inside.pop();
        if self.inside.is_empty() && !self.collecting && !self.put_off.is_empty() {
            self.collecting = true;
            self.drain_outside()?;
            self.collecting = false;
        }
        Ok(())
    }

    pub(super) fn release_dispatcher(&mut self, cell: usize) -> Go {
        self.cells[cell].refs -= 1;
        if self.cells[cell].refs > 0 {
            return Ok(());
        }
        self.cells[cell].dead = true;
        self.write(cell, &[Change::Clear]);
        self.cells[cell].holders += 1;
        self.collect(&[cell])?;
        self.release_cell(cell)
    }

    /// What a dispatcher left behind goes with the last operation that keeps it, even deep inside publishes; or, inside a
    /// destructor, with what was put off.
    pub(super) fn finish_if_dead(&mut self, cell: usize) -> Go {
        let Cell { dead, holders, .. } = self.cells[cell];
        self.cells[cell].buried = dead && holders == 0;
        if !self.cells[cell].buried || self.cells[cell].garbage.is_empty() {
            return Ok(());
        }
        if self.collecting {
            self.put_off(cell);
            return Ok(());
        }
        self.collecting = true;
        self.drops(|_, of| of == cell)?;
        self.must_be_gone(|_, sub| sub.cell == cell)?;
        self.drain_outside()?;
        self.collecting = false;
        Ok(())
    }

    pub(super) fn release_cell(&mut self, cell: usize) -> Go {
        self.cells[cell].holders -= 1;
        self.finish_if_dead(cell)
    }
}
