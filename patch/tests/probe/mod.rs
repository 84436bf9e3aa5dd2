//! What the tests of passes need: a log, a source that says what it is asked, faults at any stage. Helpers build; tests assert.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of this")]

use signalpost::patch::{
    Builtin, DidPatchAll, DidPatchBuiltinModules, DidPatchItem, DidPatchModule, ItemName, Items, Module,
    Outcome, Patched, Patcher, Replacement, Source, Vetoed, Warnings, WillPatchAll, WillPatchItem,
    WillPatchModule,
};
use signalpost::{BoxError, BusStop, Subscription};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};

/// Two modules of functions that return 0 as they were written. Slots are statics: each test declares its own.
macro_rules! points {
    () => {
        signalpost::patch::patch_points! {
            mod time {
                fn now() -> u32 { 0 }
                fn sleep() -> u32 { 0 }
            }
            mod net {
                fn resolve() -> u32 { 0 }
                fn connect() -> u32 { 0 }
                fn name() -> String { String::new() }
            }
        }
        #[allow(unused)]
        fn all() -> [u32; 4] {
            [time::now(), time::sleep(), net::resolve(), net::connect()]
        }
    };
}
pub(crate) use points;

/// What happened, in order.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub fn add(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Panics without a report.
pub fn throw(what: &'static str) -> ! {
    resume_unwind(Box::new(what))
}

/// What `f`, which panics, said.
#[track_caller]
pub fn thrown<R>(f: impl FnOnce() -> R) -> &'static str {
    let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else { panic!("it did not panic") };
    payload.downcast_ref::<&'static str>().copied().expect("a panic by `throw`")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Error,
    Panic,
}

/// Makes one stage fail, of one module.
#[derive(Clone, Debug, Default)]
pub struct Fault(Arc<Mutex<Option<(&'static str, How)>>>);

impl Fault {
    pub fn set(&self, stage: &'static str, how: How) {
        *self.0.lock().unwrap() = Some((stage, how));
    }

    pub fn clear(&self) {
        *self.0.lock().unwrap() = None;
    }

    pub fn hit(&self, stage: &str) -> Result<(), BoxError> {
        let fault = *self.0.lock().unwrap();
        match fault {
            Some((at, How::Error)) if at == stage => Err("broken".into()),
            Some((at, How::Panic)) if at == stage => throw("broken"),
            _ => Ok(()),
        }
    }
}

/// Makes a replacement that returns this, and keeps the other.
pub type Make = fn(u32, Arc<()>) -> Replacement;

type Hook = Box<dyn Fn(&Items, &Warnings) -> Result<(), BusStop> + Send + Sync>;

/// A source of functions `fn() -> u32` that all return one value.
pub struct Probe {
    pub name: &'static str,
    pub items: Vec<&'static str>,
    pub returns: u32,
    pub make: Make,
    pub log: Log,
    pub fault: Fault,
    /// Held by each replacement.
    pub held: Arc<()>,
    pub will: Hook,
}

impl Probe {
    pub fn new(name: &'static str, items: &[&'static str], returns: u32, make: Make) -> Self {
        Self {
            name,
            items: items.to_vec(),
            returns,
            make,
            log: Log::default(),
            fault: Fault::default(),
            held: Arc::default(),
            will: Box::new(|_, _| Ok(())),
        }
    }

    pub fn log(mut self, log: &Log) -> Self {
        self.log = log.clone();
        self
    }

    pub fn fault(mut self, fault: &Fault) -> Self {
        self.fault = fault.clone();
        self
    }

    pub fn held(mut self, held: &Arc<()>) -> Self {
        self.held = held.clone();
        self
    }

    pub fn will(
        mut self,
        hook: impl Fn(&Items, &Warnings) -> Result<(), BusStop> + Send + Sync + 'static,
    ) -> Self {
        self.will = Box::new(hook);
        self
    }
}

impl Source for Probe {
    fn name(&self) -> &str {
        self.name
    }

    fn implements(&self, target: &'static Module) -> Vec<ItemName> {
        let _ = self.hit("Source::implements", target);
        self.items.iter().map(|item| (*item).into()).collect()
    }

    fn make(&self, target: &'static Module, item: &str) -> Option<Replacement> {
        let _ = self.hit("Source::make", target);
        (item != "unmade").then(|| (self.make)(self.returns, self.held.clone()))
    }

    fn will_patch(&self, target: &'static Module, items: &Items, warnings: &Warnings) -> Result<(), BusStop> {
        self.log.add(format!("hook will {} {items:?}", target.name()));
        self.hit("Source::will_patch", target).map_err(BusStop::fail)?;
        (self.will)(items, warnings)
    }

    fn did_patch(&self, target: &'static Module, items: &[ItemName], _: &Warnings) -> Result<(), BoxError> {
        self.log.add(format!("hook did {} {items:?}", target.name()));
        self.hit("Source::did_patch", target)
    }
}

impl Probe {
    fn hit(&self, stage: &str, target: &Module) -> Result<(), BoxError> {
        if target.name() == "net" { self.fault.hit(stage) } else { Ok(()) }
    }
}

/// Has every event logged; items too, if asked for.
pub fn listen(patcher: &Patcher, log: &Log, items: bool) -> Vec<Subscription> {
    let bus = patcher.bus();
    let note = |what: &'static str| {
        let log = log.clone();
        move |of: String| log.add(format!("{what} {of}").trim_end().to_owned())
    };
    let (will_all, builtins, all) = (note("will all"), note("did builtins"), note("did all"));
    let (will, did) = (note("will"), note("did"));
    let mut listening = vec![
        bus.topic::<WillPatchAll>().subscribe(move |event| will_all(format!("{:?}", event.arguments()))),
        bus.topic::<DidPatchBuiltinModules>().subscribe(move |_| builtins(String::new())),
        bus.topic::<DidPatchAll>().subscribe(move |_| all(String::new())),
        bus.topic::<WillPatchModule>().subscribe(move |event| {
            will(format!("{} {:?}", event.module_name(), event.target_item_names()));
        }),
        bus.topic::<DidPatchModule>().subscribe(move |event| {
            did(format!("{} {:?}", event.module_name(), event.items()));
        }),
    ];
    if items {
        let (will, did) = (note("will item"), note("did item"));
        listening.push(bus.topic::<WillPatchItem>().subscribe(move |event| will(event.item().to_string())));
        listening.push(bus.topic::<DidPatchItem>().subscribe(move |event| did(event.item().to_string())));
    }
    listening
}

/// A patcher for two modules, whose replacements return 1 and 2 and hold `held`.
pub fn two(
    time: (&'static Module, Make),
    net: (&'static Module, Make),
    log: &Log,
    fault: &Fault,
    held: &Arc<()>,
) -> Patcher {
    let patcher = Patcher::new();
    let of = |name, items: &[&'static str], returns, make| {
        Arc::new(Probe::new(name, items, returns, make).log(log).fault(fault).held(held))
    };
    patcher.builtin(Builtin::new(time.0, of("clock", &["now", "sleep"], 1, time.1))).unwrap();
    patcher.builtin(Builtin::new(net.0, of("wire", &["resolve", "connect"], 2, net.1))).unwrap();
    patcher
}

#[track_caller]
pub fn patched(outcome: Outcome) -> Patched {
    match outcome {
        Outcome::Patched(patched) => patched,
        other => panic!("not patched: {other:?}"),
    }
}

#[track_caller]
pub fn vetoed(outcome: Outcome) -> Vetoed {
    match outcome {
        Outcome::Vetoed(vetoed) => vetoed,
        other => panic!("not vetoed: {other:?}"),
    }
}

/// The names of what was replaced or undone.
pub fn names(items: &[signalpost::patch::PatchedItem]) -> Vec<String> {
    items.iter().map(|item| format!("{}::{}", item.module, item.item)).collect()
}
