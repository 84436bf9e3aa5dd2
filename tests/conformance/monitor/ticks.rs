//! gevent's loop, and what becomes of it with more and more of our deviations laid over it.
//!
//! Owns the loop that sleeps for the smallest period and then goes through a list (S-32 to S-50, S-72 to S-76). With all of
//! [`Layers`] on it differs from ours in one thing: it has ticks. Not here: our deadlines (`deadlines.rs`).

use super::case::{BLOCKING, Input, Logged, MEMORY, Memory, Op, Recorded, Schedule};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// The deviations, in the order in which they are laid over one another.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Layers {
    /// A new function is due, however young the clock is.
    pub(crate) young: bool,
    /// The setting is the block check's, and holds at once.
    pub(crate) setting: bool,
    /// Without a maximum nothing is checked; without functions nothing is called.
    pub(crate) off: bool,
    /// Memory is checked as often as was asked for.
    pub(crate) floor: bool,
    /// Without a figure of memory there is no watch; it is an error if there is a limit.
    pub(crate) unavailable: bool,
    /// An error is told, and the thread goes on.
    pub(crate) lives: bool,
    /// An end comes before the next call.
    pub(crate) stops: bool,
    /// A change holds at once.
    pub(crate) changes: bool,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Ticked {
    pub(crate) recorded: Recorded,
    /// When each tick was; those that there would have been after an early end, too.
    pub(crate) times: Vec<f64>,
}

struct Entry {
    id: String,
    period: Cell<Option<f64>>,
    last: Cell<f64>,
    fresh: Cell<bool>,
    failures: Cell<u32>,
}

struct Loop<'i> {
    input: &'i Input,
    on: Layers,
    /// Of the original's ticks, for all layers: when the other thread does what.
    script: Option<&'i [f64]>,
    clock: f64,
    list: Rc<Vec<Rc<Entry>>>,
    setting: Option<f64>,
    off_by_setting: bool,
    tick: usize,
    should_run: bool,
    hub_counts: bool,
    hub_dropped: bool,
    in_tick: bool,
    calls: HashMap<String, usize>,
    last_above: u64,
    readings: usize,
    log: RefCell<Vec<Logged>>,
}

/// An error out of a function: its name.
struct Raised(String);

pub(crate) fn original(input: &Input) -> Ticked {
    run(input, Layers::default(), None)
}

/// At the times of the original's ticks.
pub(crate) fn layered(input: &Input, on: Layers, times: &[f64]) -> Recorded {
    run(input, on, Some(times)).recorded
}

fn run(input: &Input, on: Layers, script: Option<&[f64]>) -> Ticked {
    let mut run = Loop {
        input,
        on,
        script,
        clock: input.start,
        list: Rc::default(),
        setting: Some(input.max_blocking_time),
        off_by_setting: false,
        tick: 0,
        should_run: true,
        hub_counts: true,
        hub_dropped: false,
        in_tick: false,
        calls: HashMap::new(),
        last_above: 0,
        readings: 0,
        log: RefCell::default(),
    };
    run.put(BLOCKING, input.max_blocking_time);
    let mut times = Vec::new();
    let end = match run.install_memory() {
        true => {
            for op in &input.setup {
                let _ = run.perform(op); // no function raises here
            }
            run.ticks(&mut times)
        }
        false => "not_started".into(),
    };
    let sleep = run.sleep_time();
    while times.len() < input.ticks {
        times.push(times.last().unwrap_or(&input.start) + sleep);
    }
    let final_schedule = run.schedule();
    let recorded = Recorded { log: run.log.into_inner(), end, should_run: run.should_run, final_schedule };
    Ticked { recorded, times }
}

impl Loop<'_> {
    fn tell(&self, entry: Logged) {
        self.log.borrow_mut().push(entry);
    }

    fn schedule(&self) -> Schedule {
        self.list.iter().map(|entry| (entry.id.clone(), entry.period.get())).collect()
    }

    /// False if nothing can start.
    fn install_memory(&mut self) -> bool {
        let Some(memory) = &self.input.memory else { return true };
        let Memory { available, period, max, .. } = *memory;
        if available {
            self.put(MEMORY, if self.on.floor { period } else { period.max(2.0) });
        } else if self.on.unavailable && max.is_some() {
            return false;
        }
        let warned = !available && !self.on.unavailable;
        let warnings = if warned { vec!["MonitorWarning".into()] } else { Vec::new() };
        self.tell(Logged::MemoryInstalled { schedule: self.schedule(), warnings });
        true
    }

    fn put(&mut self, id: &str, period: f64) {
        let entry = Rc::new(Entry {
            id: id.into(),
            period: Cell::new(Some(period)),
            last: Cell::new(0.0),
            fresh: Cell::new(true),
            failures: Cell::new(0),
        });
        let mut list = Vec::clone(&self.list);
        match list.iter_mut().find(|listed| listed.id == id) {
            Some(listed) => *listed = entry,
            None => list.push(entry),
        }
        self.list = Rc::new(list);
    }

    fn take_out(&mut self, id: &str) {
        self.list = Rc::new(self.list.iter().filter(|entry| entry.id != id).cloned().collect());
    }

    fn is_current(&self, entry: &Rc<Entry>) -> bool {
        self.list.iter().any(|listed| Rc::ptr_eq(listed, entry))
    }

    fn perform(&mut self, op: &Op) -> Result<(), Raised> {
        let value_error = || Some("ValueError".to_owned());
        match op {
            Op::Add(id, period) => {
                let error = if *period <= 0.0 {
                    value_error()
                } else if self.on.stops && !self.should_run {
                    Some("MonitorEnded".into())
                } else {
                    self.put(id, *period);
                    None
                };
                let schedule = self.schedule();
                self.tell(Logged::Add { id: id.to_string(), period: *period, error, schedule });
            }
            Op::Remove(id) => {
                self.take_out(id);
                self.off_by_setting &= &**id != BLOCKING;
                let error = (self.list.is_empty() && !self.on.off).then(value_error).flatten();
                let schedule = self.schedule();
                self.tell(Logged::Remove { id: id.to_string(), period: None, error, schedule });
            }
            Op::AddNotCallable(period) => {
                let schedule = self.schedule();
                self.tell(Logged::AddNotCallable { period: *period, error: value_error(), schedule });
            }
            Op::Kill => {
                self.should_run = false;
                self.tell(Logged::Kill {});
            }
            Op::HubDead => {
                self.hub_counts = false;
                self.should_run &= !self.on.stops;
                self.tell(Logged::HubDead {});
            }
            Op::HubDropped => {
                self.hub_dropped = true;
                self.should_run &= self.in_tick && !self.on.stops;
                self.tell(Logged::HubDropped { should_run: self.should_run });
            }
            Op::SetMaxBlockingTime(value) => {
                self.setting = *value;
                self.tell(Logged::SetMaxBlockingTime { value: *value });
                if self.on.setting {
                    self.apply_setting();
                }
            }
            Op::Advance(seconds) => self.clock += seconds,
            Op::Raise(name) => return Err(Raised(name.clone())),
        }
        Ok(())
    }

    /// To the block check, and to nothing else.
    fn apply_setting(&mut self) {
        let check = self.list.iter().find(|entry| entry.id == BLOCKING).cloned();
        match (self.setting, check) {
            (None, Some(_)) if self.on.off => {
                self.take_out(BLOCKING);
                self.off_by_setting = true;
            }
            (setting, Some(check)) => check.period.set(setting),
            (Some(period), None) if self.off_by_setting && (self.should_run || !self.on.stops) => {
                self.off_by_setting = false;
                self.put(BLOCKING, period);
            }
            _ => {}
        }
    }

    fn sleep_time(&self) -> f64 {
        let shortest = self.list.iter().filter_map(|entry| entry.period.get()).reduce(f64::min);
        shortest.map_or(2.0, |shortest| shortest.max(0.005))
    }

    /// What is before each sleep: S-45 to S-47.
    fn before_sleep(&mut self) -> Result<Rc<Vec<Rc<Entry>>>, Raised> {
        match self.list.first() {
            None if !self.on.off => return Err(Raised("IndexError".into())),
            Some(first) if !self.on.setting && first.period.get() != self.setting => {
                first.period.set(self.setting);
            }
            _ => {}
        }
        if self.list.iter().any(|entry| entry.period.get().is_none()) {
            return Err(Raised("TypeError".into()));
        }
        Ok(self.list.clone())
    }

    fn ticks(&mut self, times: &mut Vec<f64>) -> String {
        let mut done = 0;
        let ended = |Raised(name): Raised| match name.as_str() {
            "SystemExit" => "silent_exit".to_owned(),
            name => format!("error_handed_to_hub:{name}"),
        };
        while self.should_run {
            let list = match self.before_sleep() {
                Ok(list) => list,
                Err(raised) => return ended(raised),
            };
            let slept = self.sleep_time();
            let too_long = self.input.overheads[self.tick % self.input.overheads.len()];
            let wake = self.clock + (slept + too_long);
            // The first tick is where time begins, in the script and here.
            let shift = match (times.first(), self.script.and_then(<[f64]>::first)) {
                (first, Some(scripted)) => first.unwrap_or(&wake) - scripted,
                (_, None) => 0.0,
            };
            let over = match self.script {
                None => self.tick == self.input.ticks,
                Some(script) => script.last().is_none_or(|last| wake > last + shift),
            };
            if over {
                return "ticks_done".into();
            }
            self.tick += 1;
            self.clock = wake;
            times.push(wake);
            self.tell(Logged::Tick { tick: self.tick, slept, now: wake });
            let passed = match self.script {
                None => self.tick,
                Some(script) => script.partition_point(|time| time + shift <= wake),
            };
            for tick in done + 1..=passed {
                for op in self.input.during_sleep.get(&tick).into_iter().flatten() {
                    let _ = self.perform(op); // nobody has another thread's error
                }
            }
            done = passed;
            self.should_run &= self.hub_counts && !self.hub_dropped;
            if self.should_run {
                self.in_tick = true;
                let called = self.call_due(list);
                self.in_tick = false;
                if let Err(raised) = called {
                    return ended(raised);
                }
            }
            self.should_run &= !self.hub_dropped;
        }
        "stopped".into()
    }

    fn call_due(&mut self, before_sleep: Rc<Vec<Rc<Entry>>>) -> Result<(), Raised> {
        let this_run = self.clock;
        if !self.on.changes {
            return before_sleep.iter().try_for_each(|entry| self.call_if_due(entry, this_run));
        }
        // Until nothing new has come.
        let mut seen = Vec::<Rc<Entry>>::new();
        loop {
            let new = |entry: &&Rc<Entry>| !seen.iter().any(|seen| Rc::ptr_eq(seen, entry));
            let list: Vec<_> = self.list.iter().filter(new).cloned().collect();
            if list.is_empty() {
                return Ok(());
            }
            for entry in &list {
                if self.is_current(entry) {
                    self.call_if_due(entry, this_run)?;
                }
            }
            seen.extend(list);
        }
    }

    fn call_if_due(&mut self, entry: &Rc<Entry>, this_run: f64) -> Result<(), Raised> {
        let Some(period) = entry.period.get() else { return Ok(()) };
        let at_once = self.on.young && entry.fresh.get();
        if !(at_once || entry.last.get() + period <= this_run) || (self.on.stops && !self.should_run) {
            return Ok(());
        }
        entry.last.set(this_run);
        entry.fresh.set(false);
        self.tell(Logged::Run { tick: self.tick, id: entry.id.clone(), now: self.clock });
        match self.call(&entry.id) {
            Ok(()) => entry.failures.set(0),
            Err(raised) if !self.on.lives => return Err(raised),
            Err(Raised(error)) => {
                entry.failures.set(entry.failures.get() + 1);
                let mut removed = false;
                if entry.failures.get() >= 5 && self.is_current(entry) {
                    self.take_out(&entry.id);
                    removed = true;
                }
                self.tell(Logged::Failed { id: entry.id.clone(), error, removed });
            }
        }
        Ok(())
    }

    fn call(&mut self, id: &str) -> Result<(), Raised> {
        let input = self.input;
        let calls = self.calls.entry(id.into()).or_default();
        let plan = input.behaviors.get(id).and_then(|plans| plans.get(*calls));
        *calls += 1;
        if let (MEMORY, Some(memory)) = (id, &input.memory) {
            self.check_memory(memory)?;
        }
        plan.into_iter().flatten().try_for_each(|op| self.perform(op))
    }

    /// S-72, S-79.
    fn check_memory(&mut self, memory: &Memory) -> Result<(), Raised> {
        let Some(max_allowed) = memory.max else { return Ok(()) };
        let mem_usage = memory.reading(self.readings);
        self.readings += 1;
        let (name, before) = match (mem_usage > max_allowed, self.last_above) {
            (true, before) if mem_usage > before => ("exceeded", None),
            (false, before) if before != 0 => ("under", Some(before)),
            (above, _) => {
                self.last_above = if above { mem_usage } else { 0 };
                return Ok(());
            }
        };
        let tick = self.tick;
        let event =
            Logged::Event { tick, name: name.into(), mem_usage, max_allowed, max_memory_usage: before };
        self.tell(event);
        self.last_above = if before.is_none() { mem_usage } else { 0 };
        memory.raises.clone().map_or(Ok(()), |name| Err(Raised(name)))
    }
}
