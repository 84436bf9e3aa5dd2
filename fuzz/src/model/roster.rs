//! The list of one dispatcher, and what a write makes of it.

use super::*;
use std::collections::HashSet;

impl<'t> Model<'t> {
    pub(super) fn insert(&self, list: &mut Vec<Item>, item: Item) {
        let newest_first = self.is(Twist::NewestFirst);
        let at = list.iter().take_while(|other| {
            other.priority > item.priority || (other.priority == item.priority && !newest_first)
        });
        list.insert(at.count(), item);
    }

    /// Where it is in the list; one that has ended is in it no more, to all that ask.
    pub(super) fn find(&self, list: &[Item], sub: usize) -> Option<usize> {
        let at = list.iter().position(|item| item.sub == sub)?;
        (!self.subs[sub].ended || self.is(Twist::EndedIsFound)).then_some(at)
    }

    /// Does one step to a list, and says whether it changed anything.
    pub(super) fn step(&self, list: &mut Vec<Item>, step: &Change) -> bool {
        match *step {
            Change::Subscribe(sub) => {
                if self.stays_out(sub) {
                    return false;
                }
                let how = self.subs[sub].how;
                self.insert(list, Item { sub, priority: how.priority(), paused: how.paused() });
                true
            }
            Change::Cancel(sub) => self.find(list, sub).map(|at| list.remove(at)).is_some(),
            Change::Pause(sub, paused) => {
                let Some(at) = self.find(list, sub) else { return false };
                std::mem::replace(&mut list[at].paused, paused) != paused
            }
            Change::SetPriority(sub, priority) => {
                let Some(at) = self.find(list, sub) else { return false };
                let item = list.remove(at);
                self.insert(list, Item { priority, ..item });
                true
            }
            Change::Move { sub, other, after } => {
                let (Some(at), Some(beside)) = (self.find(list, sub), self.find(list, other)) else {
                    return false;
                };
                if sub != other {
                    let priority = list[beside].priority;
                    let mut item = list.remove(at);
                    if !self.is(Twist::MoveKeepsPriority) {
                        item.priority = priority;
                    }
                    let beside = list.iter().position(|item| item.sub == other).unwrap_or(0);
                    list.insert(beside + usize::from(after), item);
                }
                true
            }
            Change::Clear => {
                let any = !list.is_empty();
                list.clear();
                any
            }
        }
    }

    /// One write: all steps, then what has ended by itself leaves. Says whether the steps changed anything.
    pub(super) fn write(&mut self, cell: usize, steps: &[Change]) -> bool {
        let mut list = std::mem::take(&mut self.cells[cell].list);
        let removes = |step: &Change| matches!(step, Change::Cancel(_) | Change::Clear);
        let mut before = Vec::new();
        if steps.iter().any(removes) {
            before.extend(list.iter().map(|item| item.sub));
            before.extend(steps.iter().filter_map(|step| match step {
                Change::Subscribe(sub) if !self.stays_out(*sub) => Some(*sub),
                _ => None,
            }));
        }
        let mut changed = false;
        for step in steps {
            changed |= self.step(&mut list, step);
        }
        let mut out = Vec::new();
        if before.len() > list.len() {
            let kept: HashSet<usize> = list.iter().map(|item| item.sub).collect();
            out.extend(before.into_iter().filter(|sub| !kept.contains(sub)));
        }
        let (over, kept): (Vec<Item>, _) = list.into_iter().partition(|item| self.subs[item.sub].ended);
        let swept = !over.is_empty();
        out.extend(over.iter().map(|item| item.sub));
        if changed || swept {
            self.cells[cell].retired.push(!out.is_empty());
            self.cells[cell].unscanned += 1;
        }
        self.cells[cell].list = kept;
        out.retain(|sub| !self.subs[*sub].scoped);
        self.cells[cell].garbage.extend(out);
        self.writes += 1;
        changed || swept && self.is(Twist::SweepCounts)
    }

    /// Whether it was cancelled before it could come in.
    pub(super) fn stays_out(&self, sub: usize) -> bool {
        self.subs[sub].stillborn && !self.is(Twist::EditForgetsCancel)
    }

    /// A subscriber that is cancelled before it comes into the list never does.
    pub(super) fn cancelled_unlisted(&mut self, sub: usize) {
        let listed = self.cells[self.subs[sub].cell].list.iter().any(|item| item.sub == sub);
        self.subs[sub].stillborn |= !listed;
    }

    pub(super) fn write_by_handle(&mut self, sub: usize, change: Change) -> Go<bool> {
        let cell = self.subs[sub].cell;
        if self.subs[sub].gone || self.cells[cell].buried {
            return Ok(false);
        }
        self.cells[cell].holders += 1;
        if matches!(change, Change::Cancel(_)) {
            self.cancelled_unlisted(sub);
        }
        let changed = self.write(cell, &[change]);
        self.collect(cell)?;
        self.release_cell(cell)?;
        Ok(changed)
    }
}
