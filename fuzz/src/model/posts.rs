//! Operations on a dispatcher, but for publishing.

use super::*;

impl<'t> Model<'t> {
    pub(super) fn about_a_dispatcher(&mut self, at: At, op: &'t Op, cell: usize) -> Go<Done> {
        Ok(Done::Held(match op {
            Op::Subscribe { how, .. } => return self.subscribe(cell, *how).map(Done::Released),
            Op::Publish { .. } => {
                let event = self.event();
                self.publish(cell, None, event)?
            }
            Op::TryPublish { .. } => {
                let event = self.event();
                let deep = self.inside.len();
                if !self.cells[cell].list.is_empty() && deep >= self.cells[cell].limit {
                    Outcome::TooDeep(deep as u32)
                } else {
                    self.publish(cell, None, event)?
                }
            }
            Op::PublishWith { make, .. } => self.publish(cell, Some(*make), 0)?,
            Op::PublishAll { .. } => {
                let event = self.event();
                self.read(cell, Vec::new(), |model, list| model.walk_all(&list, event)).map(Outcome::All)?
            }
            Op::PublishOrUndo { .. } => {
                let event = self.event();
                self.read(cell, Outcome::Fine, |model, list| model.walk_or_undo(&list, event))?
            }
            Op::Edit { steps, .. } => self.edit(at, cell, steps)?,
            Op::Bulk { count, priority: byte, .. } => self.bulk(cell, *count, *byte)?,
            Op::List { .. } => {
                let list = &self.cells[cell].list;
                let there = list.iter().filter(|item| !self.subs[item.sub].ended);
                let info = |item: &Item| Info {
                    sub: item.sub as u64,
                    name: self.subs[item.sub].how.name(item.sub as u64),
                    priority: item.priority,
                    paused: item.paused,
                };
                Outcome::Listed { len: list.len(), any: !list.is_empty(), infos: there.map(info).collect() }
            }
            Op::Collect { .. } => self.collected(cell)?,
            Op::Retired { .. } => {
                let (any, exact) = (!self.cells[cell].retired.is_empty(), !self.collecting);
                match self.peek() {
                    // How many wait is signalpost's affair; that none does, or some, is not.
                    Some(Line::End(Outcome::Retired(count))) if (*count > 0) == any || !exact => {
                        Outcome::Retired(*count)
                    }
                    _ if any => return self.wrong("-> a retired snapshot or more"),
                    _ => return self.wrong("-> no retired snapshot"),
                }
            }
            Op::Scope { subs, early, body, .. } => self.scope(cell, subs, early, *body)?,
            _ => unreachable!("not about a dispatcher"),
        }))
    }

    pub(super) fn subscribe(&mut self, cell: usize, how: How) -> Go<Outcome> {
        let target = how.target().map(|place| {
            let target = match self.targets[place] {
                Some(target) => target,
                None => self.target(0),
            };
            self.targets[place] = Some(target);
            self.all_targets[target].refs += 1;
            target
        });
        let sub = self.sub(cell, how, target, false);
        self.write(cell, &[Change::Subscribe(sub)]);
        if how.once() || target.is_some() {
            self.collect(cell)?;
        } else {
            self.trim(cell);
        }
        target.map_or(Ok(()), |target| self.release_target(target))?;
        self.release_dispatcher(cell)?;
        Ok(self.keep(sub))
    }

    pub(super) fn bulk(&mut self, cell: usize, count: u8, byte: u8) -> Go<Outcome> {
        let count = bulk(count);
        if self.bulk + count > MAX_BULK {
            return Ok(Outcome::Nothing);
        }
        self.bulk += count;
        let silent = How { flags: 0, priority: byte, script: 0, on_drop: 0 };
        let subs = (0..count).map(|_| self.sub(cell, silent, None, false));
        let record: Vec<Change> = subs.map(Change::Subscribe).collect();
        self.write(cell, &record);
        self.trim(cell);
        Ok(Outcome::Done)
    }

    pub(super) fn collected(&mut self, cell: usize) -> Go<Outcome> {
        let (from, blocked) = (self.next, self.collecting || self.is_inside(cell));
        self.collect(cell)?;
        let undisturbed = self.next == from;
        let Some(Line::Said(Outcome::Collected { before, said, after })) = self.peek() else {
            return self.wrong("-> what was collected");
        };
        self.next += 1;
        let right = match (blocked, undisturbed) {
            (true, _) => *said == 0 && before == after,
            (false, true) => *after == 0 && said == before,
            (false, false) => true,
        };
        if !right && !self.is(Twist::NothingIsCollected) {
            return self.wrong(if blocked { "-> nothing collected, yet" } else { "-> all collected" });
        }
        Ok(Outcome::Done)
    }

    pub(super) fn scope(&mut self, cell: usize, hows: &'t [How], early: &Early, body: u8) -> Go<Outcome> {
        if self.collecting || self.is_inside(cell) {
            return Ok(Outcome::Refused);
        }
        let mut subs = Vec::new();
        for how in hows {
            let how = How { flags: how.flags & !How::WEAK, ..*how };
            let sub = self.sub(cell, how, None, true);
            self.write(cell, &[Change::Subscribe(sub)]);
            self.trim(cell);
            subs.push(sub);
        }
        let mut answer = None;
        if let Some(first) = subs.first() {
            let change = match early {
                Early::Nothing => None,
                Early::Cancel => Some(Change::Cancel(*first)),
                Early::Pause => Some(Change::Pause(*first, true)),
                Early::Resume => Some(Change::Pause(*first, false)),
            };
            if let Some(change) = change {
                answer = Some(self.write(cell, &[change]));
                self.collect(cell)?;
            }
        }
        let result = self.script_or_panic(body);
        if matches!(result, Err(Exit::Wrong(_))) {
            return result.map(|()| Outcome::Done);
        }
        if !subs.is_empty() {
            let cancels: Vec<Change> = subs.iter().copied().map(Change::Cancel).collect();
            self.write(cell, &cancels);
            self.collect(cell)?;
            for sub in subs {
                self.dropped(sub)?;
            }
        }
        result.map(|()| Outcome::Scoped(answer))
    }
}
