//! What ours must give: a plain model of deadlines, on lists that are gone through from end to end.
//!
//! Owns that model. Not here: gevent's ticks (`ticks.rs`).

use super::case::{BLOCKING, Input, MEMORY, Memory, Op};
use super::contract::{End, Entry, Monitor, Outcome, Turned, duration, nanos, surround};
use std::collections::HashMap;
use std::time::Duration;

pub(crate) fn deadlines(input: &Input, times: &[f64]) -> Outcome {
    let mut model = Model { input, now: duration(input.start), ..Model::new(input) };
    let end = match model.install_memory() {
        true => surround(&mut model, input, times),
        false => End::NotStarted,
    };
    Outcome { schedule: model.schedule(), log: model.log, end }
}

/// A function that is registered.
#[derive(Clone)]
struct Listed {
    id: String,
    /// Another for each registration.
    number: u64,
    period: Duration,
    since: Duration,
    failures: u32,
}

/// When it is due: as of the last look at what is registered.
#[derive(Clone)]
struct Due {
    number: u64,
    period: Duration,
    /// When the last call was to begin, on the grid; none before the first.
    begun: Option<Duration>,
    due: Duration,
}

struct Model<'i> {
    input: &'i Input,
    now: Duration,
    list: Vec<Listed>,
    due: Vec<Due>,
    numbers: u64,
    off_by_setting: bool,
    stopping: bool,
    calls: HashMap<String, usize>,
    last_above: u64,
    readings: usize,
    log: Vec<Entry>,
}

impl Model<'_> {
    fn new(input: &Input) -> Model<'_> {
        let mut model = Model {
            input,
            now: duration(input.start),
            list: Vec::new(),
            due: Vec::new(),
            numbers: 0,
            off_by_setting: false,
            stopping: false,
            calls: HashMap::new(),
            last_above: 0,
            readings: 0,
            log: Vec::new(),
        };
        model.put(BLOCKING, input.max_blocking_time);
        model
    }

    /// False if nothing can start.
    fn install_memory(&mut self) -> bool {
        let Some(memory) = &self.input.memory else { return true };
        match (memory.available, memory.max) {
            (true, _) => drop(self.put(MEMORY, memory.period)),
            (false, Some(_)) => return false,
            (false, None) => {}
        }
        self.log.push(Entry::MemoryInstalled { schedule: self.schedule(), warned: false });
        true
    }

    fn schedule(&self) -> Vec<(String, Option<i64>)> {
        let nanos = |period: Duration| i64::try_from(period.as_nanos()).expect("years");
        self.list.iter().map(|listed| (listed.id.clone(), Some(nanos(listed.period)))).collect()
    }

    /// Whether it was taken.
    fn put(&mut self, id: &str, period: f64) -> bool {
        if period <= 0.0 || self.stopping {
            return false;
        }
        self.numbers += 1;
        let number = self.numbers;
        let listed = Listed { id: id.into(), number, period: duration(period), since: self.now, failures: 0 };
        match self.list.iter_mut().find(|listed| listed.id == id) {
            Some(there) => *there = listed,
            None => self.list.push(listed),
        }
        true
    }

    /// An error is the name of what an op raises.
    fn do_op(&mut self, op: &Op) -> Result<(), String> {
        match op {
            Op::Add(id, period) => {
                let refused = !self.put(id, *period);
                let schedule = self.schedule();
                self.log.push(Entry::change("add", id, refused, schedule));
            }
            Op::Remove(id) => {
                self.list.retain(|listed| listed.id != **id);
                self.off_by_setting &= &**id != BLOCKING;
                let schedule = self.schedule();
                self.log.push(Entry::change("remove", id, false, schedule));
            }
            Op::AddNotCallable(_) => {
                let schedule = self.schedule();
                self.log.push(Entry::change("add_not_callable", "", true, schedule));
            }
            Op::Kill => self.stop("kill"),
            Op::HubDead => self.stop("hub_dead"),
            Op::HubDropped => self.stop("hub_dropped"),
            Op::SetMaxBlockingTime(value) => {
                self.log.push(Entry::Setting { max_blocking_time: value.map(nanos) });
                let there = self.list.iter_mut().find(|listed| listed.id == BLOCKING);
                match (value, there) {
                    (Some(period), Some(there)) => there.period = duration(*period),
                    (Some(period), None) if self.off_by_setting => {
                        self.off_by_setting = !self.put(BLOCKING, *period);
                    }
                    (None, Some(_)) => {
                        self.list.retain(|listed| listed.id != BLOCKING);
                        self.off_by_setting = true;
                    }
                    (_, None) => {}
                }
            }
            Op::Advance(seconds) => self.now += duration(*seconds),
            Op::Raise(name) => return Err(name.clone()),
        }
        Ok(())
    }

    fn stop(&mut self, what: &'static str) {
        self.stopping = true;
        self.log.push(Entry::Stop { what });
    }

    /// Deadlines of what is registered now, in that order.
    fn look(&mut self) {
        let (old, since) = (std::mem::take(&mut self.due), |listed: &Listed| listed.since);
        for listed in &self.list {
            let mut due = match old.iter().find(|due| due.number == listed.number) {
                Some(due) => due.clone(),
                None => Due { number: listed.number, period: listed.period, begun: None, due: since(listed) },
            };
            if due.period != listed.period {
                due.period = listed.period;
                if let Some(begun) = due.begun {
                    due.due = begun + due.period;
                }
            }
            self.due.push(due);
        }
    }

    fn call(&mut self, number: u64) {
        let Some(id) =
            self.list.iter().find(|listed| listed.number == number).map(|listed| listed.id.clone())
        else {
            return; // removed or replaced, by one that was called before it
        };
        let at = self.now.as_nanos() as i64 - nanos(self.input.start);
        self.log.push(Entry::Run { id: id.clone(), at });
        let input = self.input;
        let calls = self.calls.entry(id.clone()).or_default();
        let plan = input.behaviors.get(&*id).and_then(|plans| plans.get(*calls));
        *calls += 1;
        let result = match &input.memory {
            Some(memory) if id == MEMORY => self.check_memory(memory),
            _ => Ok(()),
        };
        let result = result.and_then(|()| plan.into_iter().flatten().try_for_each(|op| self.do_op(op)));
        let there = self.list.iter_mut().find(|listed| listed.number == number);
        match (result, there) {
            (Ok(()), Some(there)) => there.failures = 0,
            (Ok(()), None) => {}
            (Err(error), there) => {
                let failures = there.map_or(0, |there| {
                    there.failures += 1;
                    there.failures
                });
                let removed = failures >= 5;
                self.list.retain(|listed| !(removed && listed.number == number));
                self.log.push(Entry::Failed { id, error, removed });
            }
        }
    }

    fn check_memory(&mut self, memory: &Memory) -> Result<(), String> {
        let Some(max_allowed) = memory.max else { return Ok(()) };
        let mem_usage = memory.reading(self.readings);
        self.readings += 1;
        let before =
            std::mem::replace(&mut self.last_above, if mem_usage > max_allowed { mem_usage } else { 0 });
        let (name, max_memory_usage) = match mem_usage > max_allowed {
            true if mem_usage > before => ("exceeded".into(), None),
            false if before != 0 => ("under".into(), Some(before)),
            _ => return Ok(()),
        };
        self.log.push(Entry::Event { name, mem_usage, max_allowed, max_memory_usage });
        memory.raises.clone().map_or(Ok(()), Err)
    }
}

impl Monitor for Model<'_> {
    fn now(&self) -> Duration {
        self.now
    }

    fn advance(&mut self, by: Duration) {
        self.now += by;
    }

    fn turn(&mut self) -> Turned {
        if self.stopping {
            return Turned::Ends;
        }
        self.look();
        let now = self.now;
        let batch: Vec<_> = self.due.iter().filter(|due| due.due <= now).map(|due| due.number).collect();
        if batch.is_empty() {
            return Turned::Sleeps(self.due.iter().map(|due| due.due).min());
        }
        for number in batch {
            if self.stopping {
                break;
            }
            self.call(number);
            let now = self.now;
            if let Some(due) = self.due.iter_mut().find(|due| due.number == number) {
                // The grid goes on from when the call was to begin: the first point that is not past.
                let mut begun = due.due;
                while begun + due.period <= now {
                    begun += due.period;
                }
                (due.begun, due.due) = (Some(begun), begun + due.period);
            }
        }
        Turned::Called
    }

    fn perform(&mut self, op: &Op) {
        let _ = self.do_op(op); // nobody has another thread's error
    }
}
