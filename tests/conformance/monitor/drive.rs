//! A case on our monitor: its handles, its loop and its schedule, with a clock that is turned by hand.
//!
//! Owns what each op is here. The built-in check of loops is a function under the key that it has in gevent, so that it has a place in
//! the order; the watch on memory is the one that the settings ask for, with readings of the case. An error outside Python's ordinary
//! hierarchy is a panic here, which is what leaves a function beside its result. What is not callable does not compile
//! (`tests/compile_fail/lists/monitor_function_not_callable.rs`).

use super::case::{BLOCKING, Input, MEMORY, Op};
use super::contract::{End, Entry, Monitor, Outcome, Turned, duration, nanos, surround};
use signalpost_dispatch::{BoxError, Bus, BusStop};
use signalpost_monitor::by_hand::{ByHand, HandClock, HandTurn};
use signalpost_monitor::{
    FunctionPanicked, MemoryCheckError, MemoryError, MemoryEvents, MemoryInfo, MemoryUsageThresholdExceeded,
    MemoryUsageUnderThreshold, MonitorConfig, MonitorRef, MonitoringFunctionFailed, PeriodError,
};
use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

pub(crate) fn drive(input: &Input, times: &[f64]) -> Result<Outcome, String> {
    let case = Arc::new(Case { input: input.clone(), state: Mutex::default() });
    let bus = Arc::new(Bus::new());
    let _heard = case.listen(&bus);
    let builder = signalpost_monitor::Monitor::builder().bus(bus.clone()).slow_after(Duration::MAX);
    let by_hand = ByHand::start(builder, duration(input.start)).map_err(|error| error.to_string())?;
    let mut driven = Driven { case: case.clone(), by_hand };
    case.add(driven.by_hand.monitor(), driven.by_hand.clock(), BLOCKING, input.max_blocking_time)
        .map_err(|error| error.to_string())?;
    let end = match driven.install_memory()? {
        true => surround(&mut driven, input, times),
        false => End::NotStarted,
    };
    let schedule = schedule(driven.by_hand.monitor());
    let log = std::mem::take(&mut case.state().log);
    Ok(Outcome { log, end, schedule })
}

struct Driven {
    case: Arc<Case>,
    by_hand: ByHand,
}

struct Case {
    input: Input,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    log: Vec<Entry>,
    calls: HashMap<String, usize>,
    readings: usize,
    off_by_setting: bool,
}

fn schedule(monitor: &MonitorRef) -> Vec<(String, Option<i64>)> {
    let nanos = |period: Duration| i64::try_from(period.as_nanos()).expect("years");
    let key = |key: Option<Arc<str>>| key.expect("each has one").to_string();
    let functions = monitor.functions().into_iter();
    functions.map(|info| (key(info.name.key), Some(nanos(info.period)))).collect()
}

impl Case {
    /// Never held while something of the monitor's is called.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a panic ends the case")
    }

    fn tell(&self, entry: Entry) {
        self.state().log.push(entry);
    }

    fn listen(self: &Arc<Self>, bus: &Bus) -> Vec<signalpost_dispatch::Subscription> {
        let case = || self.clone();
        let (exceeded, under, raising, failing) = (case(), case(), case(), case());
        vec![
            bus.topic::<MemoryUsageThresholdExceeded>().subscribe(move |event| {
                exceeded.tell(Entry::Event {
                    name: "exceeded".into(),
                    mem_usage: event.mem_usage,
                    max_allowed: event.max_allowed,
                    max_memory_usage: None,
                });
            }),
            bus.topic::<MemoryUsageUnderThreshold>().subscribe(move |event| {
                under.tell(Entry::Event {
                    name: "under".into(),
                    mem_usage: event.mem_usage,
                    max_allowed: event.max_allowed,
                    max_memory_usage: Some(event.max_memory_usage),
                });
            }),
            bus.family::<MemoryEvents>().subscribe(move |_| -> Result<(), BusStop> {
                let raises = raising.input.memory.as_ref().and_then(|memory| memory.raises.clone());
                raises.map_or(Ok(()), |name| Err(BusStop::fail(name)))
            }),
            bus.topic::<MonitoringFunctionFailed>().subscribe(move |event| {
                let error = match event.error.downcast_ref::<FunctionPanicked>() {
                    Some(panicked) => panicked.message.clone().unwrap_or_default(),
                    None => match event.error.downcast_ref::<MemoryCheckError>() {
                        Some(MemoryCheckError::Stopped(both)) => both.1.error.to_string(),
                        _ => event.error.to_string(),
                    },
                };
                let id = event.function.key.as_deref().unwrap_or_default().to_owned();
                failing.tell(Entry::Failed { id, error, removed: event.removed });
            }),
        ]
    }

    fn add(
        self: &Arc<Self>,
        monitor: &MonitorRef,
        clock: HandClock,
        id: &str,
        period: f64,
    ) -> Result<(), PeriodError> {
        // There is no time before zero to hand over.
        let period = Duration::try_from_secs_f64(period).map_or(Duration::ZERO, |_| duration(period));
        let (case, name) = (self.clone(), id.to_owned());
        let call = move |hub: &signalpost_monitor::Hub| case.called(hub.monitor(), clock, &name);
        monitor.add_monitoring_function_named(id, call, Some(period)).map(drop)
    }

    fn called(self: &Arc<Self>, monitor: &MonitorRef, clock: HandClock, id: &str) -> Result<(), BoxError> {
        self.ran(clock, id);
        self.plan(monitor, clock, id)
    }

    /// The next of its plans.
    fn plan(self: &Arc<Self>, monitor: &MonitorRef, clock: HandClock, id: &str) -> Result<(), BoxError> {
        let mut state = self.state();
        let calls = state.calls.entry(id.to_owned()).or_default();
        let plan = self.input.behaviors.get(id).and_then(|plans| plans.get(*calls));
        *calls += 1;
        drop(state);
        plan.into_iter().flatten().try_for_each(|op| self.perform(monitor, clock, op))
    }

    fn ran(&self, clock: HandClock, id: &str) {
        let at = clock.now().as_nanos() as i64 - nanos(self.input.start);
        self.tell(Entry::Run { id: id.to_owned(), at });
    }

    fn perform(self: &Arc<Self>, monitor: &MonitorRef, clock: HandClock, op: &Op) -> Result<(), BoxError> {
        let change = |what, id: &str, refused| {
            let schedule = schedule(monitor);
            self.tell(Entry::change(what, id, refused, schedule));
        };
        let stop = |what| {
            monitor.request_stop();
            self.tell(Entry::Stop { what });
        };
        match op {
            Op::Add(id, period) => {
                let refused = self.add(monitor, clock, id, *period).is_err();
                change("add", id, refused);
            }
            Op::Remove(id) => {
                let nothing = |_: &signalpost_monitor::Hub| unreachable!("it has no period");
                let removed = monitor.add_monitoring_function_named(id, nothing, None);
                self.state().off_by_setting &= &**id != BLOCKING;
                change("remove", id, removed.is_err());
            }
            Op::AddNotCallable(_) => change("add_not_callable", "", true),
            // Whoever owns the monitor lets go of it: what becomes of a hub that is over.
            Op::Kill => stop("kill"),
            Op::HubDead => stop("hub_dead"),
            Op::HubDropped => stop("hub_dropped"),
            Op::SetMaxBlockingTime(value) => {
                self.tell(Entry::Setting { max_blocking_time: value.map(nanos) });
                self.set_max_blocking_time(monitor, clock, *value)?;
            }
            Op::Advance(seconds) => clock.advance(duration(*seconds)),
            Op::Raise(name) => match name.as_str() {
                "DoNotPatch" | "SystemExit" | "KeyboardInterrupt" | "GreenletExit" => {
                    resume_unwind(Box::new(name.clone()))
                }
                name => return Err(name.into()),
            },
        }
        Ok(())
    }

    fn set_max_blocking_time(
        self: &Arc<Self>,
        monitor: &MonitorRef,
        clock: HandClock,
        value: Option<f64>,
    ) -> Result<(), BoxError> {
        let functions = monitor.functions().into_iter();
        let check = functions.map(|info| info.name).find(|name| name.key.as_deref() == Some(BLOCKING));
        match (check, value) {
            (Some(check), value) => {
                assert!(monitor.set_period(check.id, value.map(duration))?, "it was there");
                self.state().off_by_setting = value.is_none();
            }
            (None, Some(value)) if self.state().off_by_setting => {
                let added = self.add(monitor, clock, BLOCKING, value);
                self.state().off_by_setting = added.is_err();
            }
            (None, _) => {}
        }
        Ok(())
    }
}

impl Driven {
    /// False if the settings cannot be had here.
    fn install_memory(&mut self) -> Result<bool, String> {
        let Some(memory) = &self.case.input.memory else { return Ok(true) };
        let mut config = MonitorConfig::default();
        config.memory_monitor_period = Some(duration(memory.period));
        config.max_memory_usage = memory.max;
        let (case, available) = (self.case.clone(), memory.available);
        let readings = move || {
            let mut state = case.state();
            state.readings += 1;
            let memory = case.input.memory.as_ref().expect("it is the case's");
            Ok(MemoryInfo::new(memory.reading(state.readings - 1)))
        };
        let open = || available.then_some(readings).ok_or(MemoryError::Unsupported);
        let (monitor, clock) = (self.by_hand.monitor(), self.by_hand.clock());
        match config.memory_watch_from(open) {
            Ok(Some((watch, period))) => {
                let (case, mut check) = (self.case.clone(), watch.into_function());
                let call = move |hub: &signalpost_monitor::Hub| {
                    case.ran(clock, MEMORY);
                    check(hub)?;
                    case.plan(hub.monitor(), clock, MEMORY)
                };
                let added = monitor.add_monitoring_function_named(MEMORY, call, Some(period));
                added.map_err(|error| error.to_string())?;
            }
            Ok(None) => {}
            Err(_) => return Ok(false),
        }
        let schedule = schedule(monitor);
        self.case.tell(Entry::MemoryInstalled { schedule, warned: false });
        Ok(true)
    }
}

impl Monitor for Driven {
    fn now(&self) -> Duration {
        self.by_hand.clock().now()
    }

    fn advance(&mut self, by: Duration) {
        self.by_hand.clock().advance(by);
    }

    fn turn(&mut self) -> Turned {
        match self.by_hand.turn() {
            HandTurn::Called => Turned::Called,
            HandTurn::Sleeps(until) => Turned::Sleeps(until),
            HandTurn::Ends => Turned::Ends,
        }
    }

    fn perform(&mut self, op: &Op) {
        // Nobody has another thread's error; and it throws nothing.
        if !matches!(op, Op::Raise(_)) {
            let _ = self.case.perform(self.by_hand.monitor(), self.by_hand.clock(), op);
        }
    }
}
