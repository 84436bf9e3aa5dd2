//! What a patcher remembers, what it says of it, and how it is undone.

mod probe;

use probe::{Fault, Log, Probe, listen, names, patched, points, two};
use signalpost::patch::{
    Args, Builtin, DidPatchBuiltinModules, DidPatchModule, Extra, ItemName, Module, Outcome, PatchError,
    Patcher, Replacement, Replacements, Scope, Source, WillPatchAll, WillPatchModule, patch_points, patcher,
};
use signalpost::{AnyEvent, BoxError, BusStop, HostBus, HostSubscriber, set_global};
use std::sync::{Arc, Mutex};

macro_rules! pair {
    ($log:expr) => {
        two(
            (&time::MODULE, |value, _| time::sig::now(move || value)),
            (&net::MODULE, |value, _| net::sig::resolve(move || value)),
            $log,
            &Fault::default(),
            &Arc::new(()),
        )
    };
}

#[test]
fn only_what_is_newly_on_is_patched_the_next_time() {
    points!();
    let log = Log::default();
    let patcher = pair!(&log);
    let _listening = listen(&patcher, &log, false);
    let pass = |args: Args| patcher.patch_all(&args, &Extra::new()).unwrap();

    assert!(pass(Args::new().with("net", false)).is_patched());
    assert_eq!((log.take()[0].as_str(), all()), (r#"will all {"time": true, "net": false}"#, [1, 1, 0, 0]));

    // The same again: nothing. Only turned off: nothing, and a warning.
    assert!(matches!(pass(Args::new().with("net", false)), Outcome::Nothing));
    assert_eq!(patcher.report().warnings.len(), 0);
    assert!(matches!(pass(Args::none()), Outcome::Nothing));
    assert_eq!(patcher.report().warnings.len(), 1);
    assert_eq!((log.take(), all()), (vec![], [1, 1, 0, 0]));

    // One more: it alone is patched, once.
    let second = patched(pass(Args::new()));
    assert_eq!((names(&second.items).len(), time::slots::now.layers(), all()), (2, 1, [1, 1, 2, 2]));
    assert_eq!(log.take()[0], r#"will all {"net": true}"#);
    assert!(matches!(pass(Args::new()), Outcome::Nothing));
    assert_eq!(patcher.report().items.len(), 4);

    // Settings that are registered later are new, and no reason to warn.
    patcher.option("dns", true).unwrap();
    assert_eq!(patched(pass(Args::new())).warnings.len(), 0);

    // What is undone is forgotten.
    second.undo();
    assert_eq!((all(), patched(pass(Args::new())).items.len(), all()), ([1, 1, 0, 0], 2, [1, 1, 2, 2]));
    patcher.undo_all().unwrap();
    assert!(matches!(pass(Args::none()), Outcome::Patched(done) if done.items.is_empty()));
}

#[test]
fn a_pass_inside_the_same_pass_has_nothing_to_do() {
    points!();
    let log = Log::default();
    let patcher = pair!(&log);
    let nested = Arc::new(Mutex::new(Vec::new()));
    let (inner, outcomes) = (patcher.clone(), nested.clone());
    let _again = patcher.bus().topic::<WillPatchAll>().subscribe(move |_| {
        outcomes.lock().unwrap().push(inner.patch_all(&Args::new(), &Extra::new()).unwrap().is_patched());
    });
    assert!(patcher.patch_all(&Args::new(), &Extra::new()).unwrap().is_patched());
    assert_eq!((&*nested.lock().unwrap(), time::slots::now.layers()), (&vec![false], 1));
}

#[test]
fn settings_are_checked_before_anything_is_asked() {
    points!();
    let log = Log::default();
    let patcher = pair!(&log);
    let _listening = listen(&patcher, &log, true);
    let error = patcher.patch_all(&Args::new().with("dsn", true), &Extra::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no setting dsn (there are: time, net); register it with `Patcher::builtin` or `Patcher::option`"
    );
    assert!(
        matches!(patcher.patch_builtin("dsn"), Err(PatchError::NoSuchSetting { setting, .. }) if setting == "dsn")
    );
    let clock = || Arc::new(Replacements::new("clock"));
    let again = patcher.builtin(Builtin::new(&time::MODULE, clock()));
    assert!(matches!(again, Err(PatchError::DuplicateModule { module }) if module == "time"));
    assert!(
        matches!(patcher.option("net", true), Err(PatchError::DuplicateSetting { setting }) if setting == "net")
    );
    patcher.option("dns", true).unwrap();
    assert!(patcher.option("dns", true).is_err());
    assert!(matches!(patcher.patch_builtin("dns").unwrap(), Outcome::Nothing)); // it has no modules
    assert_eq!(log.take(), Vec::<String>::new());
}

#[test]
fn modules_may_share_a_setting_and_its_default() {
    points!();
    let patcher = Patcher::new();
    let clock =
        || Builtin::new(&time::MODULE, Arc::new(Replacements::new("clock").with(time::sig::now(|| 1))));
    let wire =
        || Builtin::new(&net::MODULE, Arc::new(Replacements::new("wire").with(net::sig::resolve(|| 2))));
    patcher.builtin(clock().setting("select").default(false)).unwrap();
    assert!(matches!(
        patcher.builtin(wire().setting("select").default(true)),
        Err(PatchError::DuplicateSetting { .. })
    ));
    patcher.builtin(wire().setting("select")).unwrap();
    assert_eq!(patched(patcher.patch_all(&Args::new(), &Extra::new()).unwrap()).items.len(), 0);
    let args = Args::none().with("select", true);
    assert_eq!(
        names(&patched(patcher.patch_all(&args, &Extra::new()).unwrap()).items),
        ["time::now", "net::resolve"]
    );
    patcher.undo_all().unwrap();

    // One setting alone; with one module vetoed the other is patched, and with both it says so.
    let no_net = patcher.bus().topic::<WillPatchModule>().subscribe(|event| match event.module_name() {
        "net" => Err(BusStop::veto("no net")),
        _ => Ok(()),
    });
    assert_eq!(names(&patched(patcher.patch_builtin("select").unwrap()).items), ["time::now"]);
    drop(no_net);
    let _none =
        patcher.bus().topic::<WillPatchModule>().subscribe(|event| Err(BusStop::veto(event.module_name())));
    let Outcome::Vetoed(veto) = patcher.patch_builtin("select").unwrap() else { panic!("patched") };
    assert_eq!((veto.reason.as_str(), patcher.report().vetoes.len()), ("time", 2));
}

#[test]
fn each_pass_is_undone_by_itself_in_any_order_and_twice_is_nothing() {
    points!();
    let patcher = Patcher::new();
    let clock =
        |value| Arc::new(Replacements::new(format!("clock {value}")).with(time::sig::now(move || value)));
    let first = patched(patcher.patch_module(&time::MODULE, clock(1), None).unwrap());
    let second = patched(patcher.patch_module(&time::MODULE, clock(2), None).unwrap());
    let third = patched(patcher.patch_module(&time::MODULE, clock(3), None).unwrap());
    assert_eq!((time::now(), time::slots::now.layers()), (3, 3)); // patched again is patched on top
    assert_eq!((&*second.undo().undone[0].source, time::now()), ("clock 2", 3));
    assert_eq!((second.undo().undone.len(), third.undo().undone.len(), time::now()), (0, 1, 1));
    assert_eq!((patcher.report().items.len(), patcher.is_item_patched("time", "now")), (1, true));
    let report = patcher.undo_all().unwrap();
    assert_eq!((report.undone.len(), report.items.len(), time::now()), (1, 0, 0));
    assert!(patcher.undo_all().unwrap().undone.is_empty() && first.undo().undone.is_empty());
    assert!(!patcher.is_module_patched("time"));
    assert_eq!(patcher.get_original::<time::sig::now>("time", "now").unwrap()(), 0); // still known
}

#[test]
fn the_last_clone_undoes_and_its_passes_know() {
    points!();
    let patcher = Patcher::new();
    let clock = Arc::new(Replacements::new("clock").with(time::sig::now(|| 1)));
    let done = patched(patcher.patch_module(&time::MODULE, clock, None).unwrap());
    let clone = patcher.clone();
    drop(patcher);
    assert_eq!(time::now(), 1);
    drop(clone);
    assert_eq!((time::now(), done.items.len()), (0, 1));
    assert_eq!(done.undo(), signalpost::patch::Report::default());
}

#[test]
fn clones_may_be_dropped_while_a_pass_or_a_transaction_runs() {
    points!();
    let clock = || Arc::new(Replacements::new("clock").with(time::sig::now(|| 1)));
    let kept = Arc::new(Mutex::new(Some(Patcher::new())));
    let patcher = kept.lock().unwrap().clone().unwrap();
    let inside = kept.clone();
    let _drops =
        patcher.bus().topic::<WillPatchModule>().subscribe(move |_| drop(inside.lock().unwrap().take()));
    assert!(patcher.patch_module(&time::MODULE, clock(), None).unwrap().is_patched());
    assert_eq!(time::now(), 1);

    let transaction = patcher.transaction().unwrap();
    drop(patcher);
    assert_eq!(time::now(), 1);
    assert!(transaction.patcher().patch_module(&time::MODULE, clock(), None).unwrap().is_patched());
    assert_eq!(transaction.commit().items.len(), 1); // and that was the last one
    assert_eq!(time::now(), 0);
}

#[test]
fn originals_are_found_by_name() {
    points!();
    let log = Log::default();
    let patcher = pair!(&log);
    assert!(patcher.patch_all(&Args::new(), &Extra::new()).unwrap().is_patched());
    let now = patcher.get_original::<time::sig::now>("time", "now").unwrap();
    assert_eq!((now(), time::now()), (0, 1));
    let no_module = patcher.get_original::<time::sig::now>("clock", "now").err().unwrap();
    assert!(matches!(no_module, PatchError::NoSuchModule { known, .. } if known == ["net", "time"]));
    let no_item = patcher.get_original::<time::sig::now>("time", "then").err().unwrap();
    assert!(matches!(no_item, PatchError::NoSuchItem { item, .. } if item == "then"));
    let other = patcher.get_original::<dyn Fn(u8) + Send + Sync>("time", "now").err().unwrap();
    assert!(matches!(other, PatchError::Signature { expected, .. } if expected == "fn() -> u32"));
}

#[test]
fn a_source_fills_a_scope_without_events() {
    points!();
    let log = Log::default();
    let wire =
        Probe::new("wire", &["resolve", "connect"], 2, |value, _| net::sig::resolve(move || value)).log(&log);
    let scope = Scope::new(net::MODULE.overrides(&wire).unwrap()).unwrap();
    assert_eq!((scope.run(all), all(), log.take()), ([0, 0, 2, 2], [0; 4], vec![]));
    let twice = Replacements::new("wire").with(net::sig::resolve(|| 1)).with(net::sig::resolve(|| 2));
    assert!(matches!(net::MODULE.overrides(&twice), Err(PatchError::DuplicateItem { .. })));
    assert!(matches!(time::MODULE.overrides(&twice), Err(PatchError::NoSuchItem { .. })));
}

#[test]
fn a_replacement_may_start_a_pass() {
    points!();
    let patcher = Patcher::new();
    let inner = patcher.clone();
    let now = time::sig::now(move || {
        let wire = Arc::new(Replacements::new("wire").with(net::sig::resolve(|| 2)));
        inner
            .patch_module(&net::MODULE, wire, None)
            .unwrap()
            .patched()
            .map_or(0, |done| done.items.len() as u32)
    });
    let clock = Arc::new(Replacements::new("clock").with(now));
    assert!(patcher.patch_module(&time::MODULE, clock, None).unwrap().is_patched());
    assert_eq!((time::now(), net::resolve(), patcher.report().items.len()), (1, 2, 2));
    assert_eq!(patcher.undo_all().unwrap().undone.len(), 2); // also breaks the circle of the patcher and what it holds
}

#[test]
fn patching_without_end_is_stopped_by_the_limit_of_the_bus_and_undone() {
    points!();
    let patcher = Patcher::new();
    let again = patcher.clone();
    let clock = || Arc::new(Replacements::new("clock").with(time::sig::now(|| 1)));
    let endless = patcher.bus().topic::<DidPatchModule>().subscribe(move |_| {
        again.patch_module(&time::MODULE, clock(), None).map(drop).map_err(BoxError::from)
    });
    let patch = || patcher.patch_module(&time::MODULE, clock(), None);
    let thread = std::thread::scope(|scope| scope.spawn(|| patch().map(drop)).join());
    assert!(thread.is_err()); // the bus says why
    assert_eq!((time::now(), time::slots::now.layers(), patcher.report().failure.is_some()), (0, 0, true));
    drop(endless);
    assert!(patch().unwrap().is_patched());
}

/// A thousand functions, of one signature: each a slot of its own.
mod many {
    signalpost::patch::patch_points! {
        pub mod one { fn call() -> usize { 0 } }
    }
}

#[test]
fn a_pass_over_a_thousand_functions_works() {
    // Slots are statics: made at run time, they are leaked.
    let slots: Vec<&'static dyn signalpost::patch::AnySlot> = (0..1000)
        .map(|number| -> &'static dyn signalpost::patch::AnySlot {
            let name: &'static str = Box::leak(format!("call_{number}").into_boxed_str());
            Box::leak(Box::new(signalpost::patch::Slot::<many::one::sig::call, fn() -> usize>::new(
                "many",
                name,
                "fn() -> usize",
                &many::one::original::call,
                |function| Arc::new(function),
            )))
        })
        .collect();
    let module: &'static Module =
        Box::leak(Box::new(Module::new("many", Box::leak(slots.into_boxed_slice()))));

    struct Thousand;
    impl Source for Thousand {
        fn name(&self) -> &str {
            "thousand"
        }
        fn implements(&self, target: &'static Module) -> Vec<ItemName> {
            target.slots().iter().map(|slot| slot.name().into()).collect()
        }
        fn make(&self, _: &'static Module, _: &str) -> Option<Replacement> {
            Some(many::one::sig::call(|| 1))
        }
    }
    let patcher = Patcher::new();
    patcher.builtin(Builtin::new(module, Arc::new(Thousand))).unwrap();
    let done = patched(patcher.patch_all(&Args::new(), &Extra::new()).unwrap());
    assert_eq!(done.items.len(), 1000);
    assert!(module.slots().iter().all(|slot| slot.is_patched()));
    assert!(patcher.is_item_patched("many", "call_999"));
    assert_eq!(patcher.undo_all().unwrap().undone.len(), 1000);
    assert!(!module.slots().iter().any(|slot| slot.is_patched()));
}

#[test]
fn the_process_wide_patcher_publishes_where_the_process_does() {
    patch_points! { mod clock { fn now() -> u32 { 0 } } }
    /// A framework that writes down what goes through it.
    struct Framework {
        ours: Mutex<Vec<HostSubscriber>>,
        heard: Mutex<Vec<&'static str>>,
        vetoes: Mutex<bool>,
    }
    impl HostBus for Framework {
        fn publish(&self, event: &dyn AnyEvent) -> Result<(), BusStop> {
            self.heard.lock().unwrap().push(event.name());
            if *self.vetoes.lock().unwrap() {
                return Err(BusStop::veto("by the host"));
            }
            let ours = self.ours.lock().unwrap().clone();
            ours.iter().try_for_each(|subscriber| subscriber.call(event))
        }
        fn subscribe(&self, subscriber: HostSubscriber) {
            self.ours.lock().unwrap().push(subscriber);
        }
    }
    static FRAMEWORK: Framework =
        Framework { ours: Mutex::new(Vec::new()), heard: Mutex::new(Vec::new()), vetoes: Mutex::new(false) };

    let made = patcher(); // before the host is there: it does not use the bus
    set_global(&FRAMEWORK).unwrap();
    assert!(signalpost::plugins().list().iter().any(|plugin| plugin.name == "signalpost.companions"));
    let items = Arc::new(Mutex::new(Vec::new()));
    let seen = items.clone();
    let _item = signalpost::topic::<signalpost::patch::WillPatchItem>()
        .subscribe(move |event| seen.lock().unwrap().push(event.item().clone()));
    let _third = signalpost::topic::<DidPatchBuiltinModules>().subscribe(|event| {
        let source = Arc::new(Replacements::new("stopped").with(clock::sig::now(|| 9)));
        assert!(event.patcher().patch_module(&clock::MODULE, source, None)?.is_patched());
        Ok::<(), BoxError>(())
    });
    let done = patched(made.patch_all(&Args::new(), &Extra::new()).unwrap());
    assert_eq!((clock::now(), &**items.lock().unwrap()), (9, &["now".into()][..]));
    let prefix = "signalpost.patch.";
    let heard: Vec<_> = std::mem::take(&mut *FRAMEWORK.heard.lock().unwrap());
    let heard: Vec<_> = heard.iter().map(|name| name.strip_prefix(prefix).unwrap_or(name)).collect();
    let expected = [
        "will_patch_all",
        "did_patch_builtin_modules",
        "will_patch_module",
        "will_patch_item",
        "did_patch_module",
        "did_patch_all",
    ];
    assert_eq!(heard, expected);
    done.undo();

    *FRAMEWORK.vetoes.lock().unwrap() = true;
    let Outcome::Vetoed(veto) = made.patch_all(&Args::new(), &Extra::new()).unwrap() else {
        panic!("patched")
    };
    assert!(veto.by.starts_with("subscriber host of the process-wide bus ("), "{veto}");
    assert_eq!((veto.reason.as_str(), clock::now()), ("by the host", 0));
}
