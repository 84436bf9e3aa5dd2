//! Many changes, one write.

use super::*;

impl<'t> Model<'t> {
    pub(super) fn edit(&mut self, at: At, cell: usize, steps: &'t [Step]) -> Go<Outcome> {
        let mut record = Vec::new();
        for (step, what) in steps.iter().enumerate() {
            match self.edit_step(at, cell, step, what, &mut record) {
                Err(Exit::Panic(panic)) => {
                    // What was subscribed goes with the record, in its order, and by no collector.
                    for change in &record {
                        if let Change::Subscribe(sub) = change {
                            self.dropped(*sub)?;
                        }
                    }
                    return Err(Exit::Panic(panic));
                }
                done => done?,
            }
        }
        if !record.is_empty() {
            let subscribed = record.iter().filter_map(|change| match change {
                Change::Subscribe(sub) => Some(*sub),
                _ => None,
            });
            let stay_out: Vec<usize> = subscribed.filter(|sub| self.stays_out(*sub)).collect();
            self.write(cell, &record);
            for sub in stay_out {
                self.dropped(sub)?;
            }
            let plain = |sub: usize| !self.subs[sub].how.once();
            if record.iter().all(|change| matches!(change, Change::Subscribe(sub) if plain(*sub))) {
                self.trim(cell);
            } else {
                self.collect(cell)?;
            }
        }
        Ok(Outcome::Done)
    }

    fn edit_step(
        &mut self,
        at: At,
        cell: usize,
        step: usize,
        what: &'t Step,
        record: &mut Vec<Change>,
    ) -> Go {
        let [first, second] = match what {
            Step::Cancel { sub }
            | Step::Pause { sub }
            | Step::Resume { sub }
            | Step::SetPriority { sub, .. } => [self.handle(*sub), None],
            Step::MoveBefore { sub, other } | Step::MoveAfter { sub, other } => {
                [self.handle(*sub), self.handle(*other)]
            }
            _ => [None, None],
        }
        .map(|handle| handle.map(|handle| self.all_handles[handle].sub));
        let about = [first, second].map(|sub| sub.map(|sub| sub as u64));
        self.see(Line::Step { at, step, about })?;
        let change = match (what, first, second) {
            (Step::Cancel { .. }, Some(sub), _) => Change::Cancel(sub),
            (Step::Pause { .. }, Some(sub), _) => Change::Pause(sub, true),
            (Step::Resume { .. }, Some(sub), _) => Change::Pause(sub, false),
            (Step::SetPriority { priority: byte, .. }, Some(sub), _) => {
                Change::SetPriority(sub, priority(*byte))
            }
            (Step::MoveBefore { .. }, Some(sub), Some(other)) => Change::Move { sub, other, after: false },
            (Step::MoveAfter { .. }, Some(sub), Some(other)) => Change::Move { sub, other, after: true },
            _ => {
                let outcome = self.other_step(cell, what, record)?;
                return self.see(Line::End(outcome));
            }
        };
        // A subscription of another dispatcher is refused, and not recorded.
        let ours = [first, second].into_iter().flatten().all(|sub| self.subs[sub].cell == cell);
        record.extend(ours.then_some(change));
        self.see(Line::End(Outcome::Bool(ours)))
    }

    /// A step that is about no handle, or about one that is not there.
    fn other_step(&mut self, cell: usize, what: &'t Step, record: &mut Vec<Change>) -> Go<Outcome> {
        Ok(match what {
            Step::Subscribe { how } => {
                let sub = self.sub(cell, *how, None, false);
                if self.is(Twist::EditAtOnce) {
                    self.write(cell, &[Change::Subscribe(sub)]);
                } else {
                    record.push(Change::Subscribe(sub));
                }
                self.keep(sub)
            }
            Step::Clear => {
                record.push(Change::Clear);
                Outcome::Done
            }
            Step::Run { script } => {
                self.script_or_panic(*script)?;
                Outcome::Done
            }
            _ => Outcome::Nothing,
        })
    }
}
