//! When captures are dropped: now, or put off to whom. The rules: `model.rs`.

use super::*;

/// What was put off, and by which write: of those by one write, nothing is said about the order.
pub(super) struct PutOff {
    write: usize,
    work: Work,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    /// To collect a cell, if it is still there then.
    Collect(usize),
    /// To drop what a dead one left.
    Bury(usize),
}

impl<'t> Model<'t> {
    /// Whether this thread counts as inside a publish of the cell.
    pub(super) fn is_inside(&self, cell: usize) -> bool {
        self.inside.contains(&cell) || self.inside.len() > EXACT
    }

    /// Drops what nobody can reach, or puts it off.
    pub(super) fn collect(&mut self, cell: usize) -> Go {
        if self.is(Twist::NothingIsCollected) || self.cells[cell].retired.is_empty() {
            return Ok(());
        }
        let blocked = self.is_inside(cell) && !self.is(Twist::CollectedInside);
        if self.collecting || blocked {
            self.put_off(cell);
            return Ok(());
        }
        self.collecting = true;
        self.collect_now(cell)?;
        self.end_collecting()
    }

    fn put_off(&mut self, cell: usize) {
        if !self.put_off.iter().any(|other| other.work == Work::Collect(cell)) {
            self.put_off.push(PutOff { write: self.writes, work: Work::Collect(cell) });
        }
    }

    /// What is to be done next of what was put off: the last first.
    fn next_work(&mut self) -> Option<Work> {
        let write = self.put_off.last()?.write;
        let first = self.put_off.iter().position(|other| other.write == write)?;
        let cells = self.put_off[first..].iter().map(|other| match other.work {
            Work::Collect(cell) | Work::Bury(cell) => cell,
        });
        let next = self.next_dropped(&cells.collect::<Vec<_>>());
        Some(self.put_off.remove(first + next).work)
    }

    /// Which of these cells is collected next: the last of which nothing is dropped, or that the trace goes on with. Where it
    /// is not the last, nothing is said about their order.
    pub(super) fn next_dropped(&self, cells: &[usize]) -> usize {
        let next = |cell: &usize| match (&self.cells[*cell].garbage[..], self.peek()) {
            ([], _) => true,
            (garbage, Some(Line::Dropped { sub })) => garbage.contains(&(*sub as usize)),
            _ => false,
        };
        cells.iter().rposition(next).unwrap_or(cells.len() - 1)
    }

    /// All that is garbage when this begins. What destructors add meanwhile stays.
    fn collect_now(&mut self, cell: usize) -> Go {
        let taken = self.cells[cell].retired.len();
        self.cells[cell].unscanned = 0;
        self.drops(cell)?;
        self.cells[cell].retired.drain(..taken);
        Ok(())
    }

    /// The collector's end: what was put off is done now; or left to this thread's outermost return.
    fn end_collecting(&mut self) -> Go {
        if self.inside.is_empty() {
            while let Some(work) = self.next_work() {
                match work {
                    Work::Collect(cell) if self.cells[cell].buried => {}
                    Work::Collect(cell) => {
                        self.cells[cell].holders += 1;
                        self.collect_now(cell)?;
                        self.release_cell(cell)?;
                    }
                    Work::Bury(cell) => self.drops(cell)?,
                }
            }
        }
        self.collecting = false;
        Ok(())
    }

    /// All garbage of a cell is dropped, in an order that nothing is said about.
    fn drops(&mut self, cell: usize) -> Go {
        let mut garbage = std::mem::take(&mut self.cells[cell].garbage);
        while let Some(any) = garbage.first().copied() {
            let next = match self.peek() {
                Some(Line::Dropped { sub }) => garbage.iter().position(|other| *other as u64 == *sub),
                _ => None,
            };
            let Some(next) = next else { return self.wrong(format!("captures of #{any} are dropped")) };
            let sub = garbage.swap_remove(next);
            self.dropped(sub)?;
        }
        Ok(())
    }

    pub(super) fn dropped(&mut self, sub: usize) -> Go {
        self.see(Line::Dropped { sub: sub as u64 })?;
        self.contained(self.subs[sub].how.on_drop)?;
        self.subs[sub].gone = true;
        Ok(())
    }

    /// What a write that only adds does: it drops no captures; but every so often it cleans up, or where it cannot, has
    /// a collector do that later.
    pub(super) fn trim(&mut self, cell: usize) {
        if self.cells[cell].unscanned < BATCH {
            return;
        }
        if self.collecting || self.is_inside(cell) {
            self.put_off(cell);
        } else {
            let cell = &mut self.cells[cell];
            cell.unscanned = 0;
            cell.retired.retain(|lost_some| *lost_some);
        }
    }

    /// This thread's return from a publish.
    pub(super) fn leave(&mut self) -> Go {
        self.inside.pop();
        if self.inside.is_empty() && !self.collecting {
            self.collecting = true;
            self.end_collecting()?;
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
        self.collect(cell)?;
        self.release_cell(cell)
    }

    /// What a dispatcher left behind goes with the last operation that keeps it, however deep inside publishes; or, inside a
    /// destructor, with what was put off.
    pub(super) fn release_cell(&mut self, cell: usize) -> Go {
        self.cells[cell].holders -= 1;
        if !self.cells[cell].dead || self.cells[cell].holders > 0 {
            return Ok(());
        }
        self.cells[cell].buried = true;
        if self.collecting {
            self.put_off.push(PutOff { write: self.writes, work: Work::Bury(cell) });
            return Ok(());
        }
        self.collecting = true;
        self.drops(cell)?;
        self.end_collecting()
    }
}
