//! All or nothing: failures and panics at every stage, nested passes, transactions, destructors, and other threads.

mod probe;

use probe::{Fault, How, Log, Probe, listen, names, patched, points, throw, thrown, two, vetoed};
use signalpost::patch::{
    Args, DidPatchAll, DidPatchBuiltinModules, DidPatchItem, DidPatchModule, Extra, PatchError, PatchWarning,
    Patcher, Replacements, WillPatchAll, WillPatchItem, WillPatchModule,
};
use signalpost::{BoxError, BusStop, Subscription};
use std::cell::RefCell;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

/// Has the fault hit in the events of the module `net`, and in those about all.
fn faulty(patcher: &Patcher, fault: &Fault) -> Vec<Subscription> {
    let bus = patcher.bus();
    let hit = |stage: &'static str| {
        let fault = fault.clone();
        move |module: &str| if module == "net" { fault.hit(stage) } else { Ok(()) }
    };
    let (a, b, c) = (hit("will_all"), hit("builtins"), hit("did_all"));
    let (d, e, f, g) = (hit("will"), hit("did"), hit("will_item"), hit("did_item"));
    vec![
        bus.topic::<WillPatchAll>().subscribe(move |_| a("net").map_err(BusStop::fail)),
        bus.topic::<DidPatchBuiltinModules>().subscribe(move |_| b("net")),
        bus.topic::<DidPatchAll>().subscribe(move |_| c("net")),
        bus.topic::<WillPatchModule>().subscribe(move |event| d(event.module_name()).map_err(BusStop::fail)),
        bus.topic::<DidPatchModule>().subscribe(move |event| e(event.module_name())),
        bus.topic::<WillPatchItem>().subscribe(move |event| f(event.module_name()).map_err(BusStop::fail)),
        bus.topic::<DidPatchItem>().subscribe(move |event| g(event.module_name())),
    ]
}

/// The stages; what the report calls them; how much was switched when they fail.
const STAGES: [(&str, &str, usize); 9] = [
    ("will_all", "signalpost.patch.will_patch_all", 0),
    ("Source::will_patch", "Source::will_patch", 2),
    ("will", "signalpost.patch.will_patch_module", 2),
    ("will_item", "signalpost.patch.will_patch_item", 2),
    ("did_item", "signalpost.patch.did_patch_item", 3),
    ("Source::did_patch", "Source::did_patch", 4),
    ("did", "signalpost.patch.did_patch_module", 4),
    ("builtins", "signalpost.patch.did_patch_builtin_modules", 4),
    ("did_all", "signalpost.patch.did_patch_all", 4),
];

#[test]
fn an_error_or_a_panic_at_any_stage_undoes_everything_in_reverse_and_nothing_is_remembered() {
    points!();
    let (log, fault, held) = (Log::default(), Fault::default(), Arc::new(()));
    let patcher = two(
        (&time::MODULE, |value, held| time::sig::now(move || (value, &held).0)),
        (&net::MODULE, |value, held| net::sig::resolve(move || (value, &held).0)),
        &log,
        &fault,
        &held,
    );
    let _faulty = faulty(&patcher, &fault);
    let idle = Arc::strong_count(&held);
    let order = ["time::now", "time::sleep", "net::resolve", "net::connect"];

    for (stage, name, switched) in STAGES {
        for how in [How::Error, How::Panic] {
            fault.set(stage, how);
            let pass = || patcher.patch_all(&Args::new(), &Extra::new());
            match how {
                How::Panic => assert_eq!(thrown(pass), "broken", "{stage}"),
                How::Error => {
                    let Err(PatchError::Stopped { stage: at, by, error, .. }) = pass() else {
                        panic!("{stage} did not fail")
                    };
                    assert_eq!((at, error.to_string().as_str()), (name, "broken"));
                    let of_source = stage.starts_with("Source");
                    assert!(by.starts_with(if of_source { "source wire" } else { "subscriber " }), "{by}");
                }
            }
            let report = patcher.report();
            let mut undone = names(&report.undone);
            undone.reverse();
            assert_eq!(undone, order[..switched], "{stage} {how:?}");
            let failure = report.failure.expect("it failed");
            assert_eq!(failure.stage, name);
            let reason = if how == How::Panic { "panicked: broken" } else { "broken" };
            assert_eq!(failure.reason, reason);
            assert!(report.items.is_empty() && !patcher.is_module_patched("time"));
            assert_eq!((all(), Arc::strong_count(&held)), ([0; 4], idle), "{stage} {how:?}");
            assert_eq!(time::slots::now.layers(), 0);
        }
    }

    fault.clear();
    let again = patched(patcher.patch_all(&Args::new(), &Extra::new()).unwrap());
    assert_eq!((names(&again.items), all()), (order.map(str::to_owned).to_vec(), [1, 1, 2, 2]));
    assert_eq!(again.failure, None);
}

#[test]
fn a_source_that_panics_before_the_first_event_changes_nothing() {
    points!();
    for stage in ["Source::implements", "Source::make"] {
        let (log, fault) = (Log::default(), Fault::default());
        let patcher = two(
            (&time::MODULE, |value, _| time::sig::now(move || value)),
            (&net::MODULE, |value, _| net::sig::resolve(move || value)),
            &log,
            &fault,
            &Arc::new(()),
        );
        let _listening = listen(&patcher, &log, true);
        fault.set(stage, How::Panic);
        assert_eq!(thrown(|| patcher.patch_all(&Args::new(), &Extra::new())), "broken");
        let failure = patcher.report().failure.unwrap();
        assert_eq!((failure.stage, failure.by.as_str()), (stage, "source wire"));
        assert_eq!((log.take(), all()), (vec![], [0; 4]));
    }
}

#[test]
fn everything_is_checked_before_the_first_event() {
    points!();
    let log = Log::default();
    let patcher = Patcher::new();
    let _listening = listen(&patcher, &log, true);
    let make = |value, _| net::sig::resolve(move || value);
    let pass = |items: &[&'static str]| {
        patcher.patch_module(&net::MODULE, Arc::new(Probe::new("wire", items, 2, make)), None).unwrap_err()
    };

    let error = pass(&["resolve", "lookup"]);
    assert!(
        matches!(&error, PatchError::NoSuchItem { item, known, .. } if item == "lookup" && known.len() == 3)
    );
    assert_eq!(
        error.to_string(),
        "there is no net::lookup to replace; the functions of net: resolve, connect, name"
    );
    assert!(
        matches!(pass(&["resolve", "connect", "resolve"]), PatchError::DuplicateItem { item, .. } if item == "resolve")
    );
    let PatchError::Signature { expected, found, .. } = pass(&["resolve", "name"]) else { panic!("it fits") };
    assert_eq!((expected.as_str(), found.as_str()), ("fn() -> String", "fn() -> u32"));
    let wire = Arc::new(Replacements::new("wire").with(net::sig::resolve(|| 2)));
    let lacks = patcher.patch_module(&net::MODULE, wire, Some(&["resolve", "connect"])).unwrap_err();
    assert_eq!(
        lacks.to_string(),
        "source wire makes no replacement for net::connect; leave it out, or have `Source::make` make it"
    );
    assert_eq!((patcher.report().failure.unwrap().stage, patcher.report().undone.len()), ("check", 0));
    assert_eq!((log.take(), all()), (vec![], [0; 4]));
}

#[test]
fn a_name_that_a_subscriber_adds_is_checked_before_its_module_is_switched() {
    points!();
    let log = Log::default();
    let patcher = two(
        (&time::MODULE, |value, _| time::sig::now(move || value)),
        (&net::MODULE, |value, _| net::sig::resolve(move || value)),
        &log,
        &Fault::default(),
        &Arc::new(()),
    );
    let resolved = Arc::new(Mutex::new(None));
    let seen = resolved.clone();
    let _edit = patcher.bus().topic::<WillPatchModule>().subscribe(move |event| {
        if event.module_name() == "net" {
            event.target_item_names().push("lookup");
            *seen.lock().unwrap() = Some((time::now(), net::resolve()));
        }
    });
    let error = patcher.patch_all(&Args::new(), &Extra::new()).unwrap_err();
    assert!(matches!(error, PatchError::NoSuchItem { item, .. } if item == "lookup"));
    assert_eq!(*resolved.lock().unwrap(), Some((1, 0))); // time was switched by then
    assert_eq!(
        (names(&patcher.report().undone), all()),
        (vec!["time::sleep".into(), "time::now".into()], [0; 4])
    );
}

#[test]
fn a_nested_pass_that_fails_undoes_its_own_part_and_the_outer_one_goes_on() {
    points!();
    let patcher = Patcher::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (notes, inner) = (seen.clone(), patcher.clone());
    let _nested = patcher.bus().topic::<DidPatchModule>().subscribe(move |event| {
        if event.module_name() != "time" {
            return;
        }
        // The first switches one function, and fails then.
        let first =
            Arc::new(Probe::new("wire", &["resolve"], 2, |value, _| net::sig::resolve(move || value)));
        let _fail = inner.bus().topic::<DidPatchItem>().subscribe(|_| Err(BoxError::from("no")));
        let failed = inner.patch_module(&net::MODULE, first.clone(), None);
        notes.lock().unwrap().push((failed.is_err(), all()));
        drop(_fail);
        let done = inner.patch_module(&net::MODULE, first, Some(&["connect"]));
        notes.lock().unwrap().push((done.is_err(), all()));
    });
    let clock = || Arc::new(Replacements::new("clock").with(time::sig::now(|| 1)));
    let outer = patched(patcher.patch_module(&time::MODULE, clock(), None).unwrap());
    assert_eq!(*seen.lock().unwrap(), [(true, [1, 0, 0, 0]), (false, [1, 0, 0, 2])]);
    assert_eq!(names(&outer.items), ["time::now", "net::connect"]);
    assert_eq!((names(&outer.undone), outer.failure.clone()), (vec!["net::resolve".into()], None));
    assert_eq!(patcher.report().failure, None);
    assert!(patcher.is_item_patched("net", "connect") && !patcher.is_item_patched("net", "resolve"));
    assert_eq!(
        (names(&outer.undo().undone), all()),
        (vec!["net::connect".into(), "time::now".into()], [0; 4])
    );
}

#[test]
fn what_a_subscriber_patched_is_undone_with_the_pass_that_fails_later() {
    points!();
    let patcher = Patcher::new();
    let _third_party = patcher.bus().topic::<DidPatchBuiltinModules>().subscribe(|event| {
        let wire = Arc::new(Replacements::new("wire").with(net::sig::resolve(|| 2)));
        assert!(event.patcher().patch_module(&net::MODULE, wire, None)?.is_patched());
        assert!(!event.patcher().is_module_patched("net")); // not yet for good
        assert!(matches!(event.patcher().undo_all(), Err(PatchError::Busy { .. })));
        Ok::<(), BoxError>(())
    });
    let late = patcher.bus().topic::<DidPatchAll>().subscribe(|event| {
        assert_eq!((event.report().items.len(), net::resolve()), (1, 2));
        Err(BoxError::from("no"))
    });
    assert!(patcher.patch_all(&Args::new(), &Extra::new()).is_err());
    assert_eq!((names(&patcher.report().undone), net::resolve()), (vec!["net::resolve".into()], 0));
    drop(late);
    assert!(patcher.patch_all(&Args::new(), &Extra::new()).unwrap().is_patched());
    assert!(patcher.is_module_patched("net"));
}

#[test]
fn a_transaction_keeps_all_or_nothing_and_survives_a_pass_that_fails() {
    points!();
    let patcher = Patcher::new();
    let warned = Log::default();
    let sink = warned.clone();
    let _warned =
        patcher.bus().topic::<PatchWarning>().subscribe(move |warning| sink.add(warning.to_string()));
    let clock = || {
        let will = |_: &_, warnings: &signalpost::patch::Warnings| {
            warnings.warn("late");
            Ok(())
        };
        Arc::new(Probe::new("clock", &["now"], 1, |value, _| time::sig::now(move || value)).will(will))
    };
    let wire = || Arc::new(Replacements::new("wire").with(net::sig::resolve(|| 2)));

    let transaction = patcher.transaction().unwrap();
    assert!(patcher.patch_module(&time::MODULE, clock(), None).unwrap().is_patched());
    assert!(patcher.patch_module(&net::MODULE, wire(), Some(&["lookup"])).is_err());
    assert!(patcher.patch_module(&net::MODULE, wire(), None).unwrap().is_patched());
    assert_eq!((all(), patcher.report().items.len()), ([1, 0, 2, 0], 0));
    drop(transaction);
    let report = patcher.report();
    assert_eq!((all(), names(&report.undone)), ([0; 4], vec!["net::resolve".into(), "time::now".into()]));
    assert_eq!((report.failure.unwrap().stage, warned.take().len()), ("transaction", 0));

    let transaction = patcher.transaction().unwrap();
    let inside = patched(patcher.patch_module(&time::MODULE, clock(), None).unwrap());
    let savepoint = patcher.transaction().unwrap();
    assert!(patcher.patch_module(&net::MODULE, wire(), None).unwrap().is_patched());
    drop(savepoint);
    assert_eq!(all(), [1, 0, 0, 0]);
    assert_eq!(warned.take().len(), 0);
    assert_eq!(names(&transaction.commit().items), ["time::now"]);
    assert_eq!(warned.take(), ["source clock: late"]);
    assert_eq!(patcher.report().failure, None);
    assert_eq!((names(&inside.undo().undone), all()), (vec!["time::now".into()], [0; 4]));
}

#[test]
fn a_transaction_is_undone_by_a_panic() {
    points!();
    let patcher = Patcher::new();
    let clock = || Arc::new(Replacements::new("clock").with(time::sig::now(|| 1)));
    let said = thrown(|| {
        let _transaction = patcher.transaction().unwrap();
        let _patched = patcher.patch_module(&time::MODULE, clock(), None);
        assert_eq!(time::now(), 1);
        throw("later")
    });
    assert_eq!((said, time::now(), patcher.report().undone.len()), ("later", 0, 1));
    assert!(patcher.patch_module(&time::MODULE, clock(), None).unwrap().is_patched());
}

#[test]
fn a_transaction_that_ends_before_what_is_inside_it_ends_with_that() {
    points!();
    thread_local!(static LEAKED: RefCell<Option<signalpost::patch::Transaction>> = const { RefCell::new(None) });
    let patcher = Patcher::new();
    let clock = || Arc::new(Replacements::new("clock").with(time::sig::now(|| 1)));
    let wire = || Arc::new(Replacements::new("wire").with(net::sig::resolve(|| 2)));

    // The outer one first: kept, and so is nothing of the inner one.
    let (outer, _first) =
        (patcher.transaction().unwrap(), patcher.patch_module(&time::MODULE, clock(), None));
    let (inner, _second) = (patcher.transaction().unwrap(), patcher.patch_module(&net::MODULE, wire(), None));
    assert_eq!(outer.commit().items.len(), 2);
    assert!(matches!(patcher.undo_all(), Err(PatchError::Busy { .. })));
    drop(inner);
    assert_eq!((all(), names(&patcher.report().items)), ([1, 0, 0, 0], vec!["time::now".into()]));
    patcher.undo_all().unwrap();

    // Dropped by a subscriber during a pass: undone when the pass has ended.
    LEAKED.set(Some(patcher.transaction().unwrap()));
    let _drops = patcher.bus().topic::<WillPatchModule>().subscribe(|_| drop(LEAKED.take()));
    let inside = patched(patcher.patch_module(&time::MODULE, clock(), None).unwrap());
    assert_eq!((inside.items.len(), all(), patcher.report().items.len()), (1, [0; 4], 0));
    drop(_drops);

    // Begun by a subscriber, and left behind: a pass that fails takes it with it, one that does not waits for it.
    let opens = patcher.clone();
    let _opens = patcher
        .bus()
        .topic::<WillPatchModule>()
        .subscribe(move |_| LEAKED.set(Some(opens.transaction().unwrap())));
    let fails = patcher.bus().topic::<DidPatchModule>().subscribe(|_| Err(BoxError::from("no")));
    assert!(patcher.patch_module(&time::MODULE, clock(), None).is_err());
    assert!(patcher.undo_all().is_ok());
    drop(LEAKED.take());
    drop(fails);
    assert!(patcher.patch_module(&time::MODULE, clock(), None).unwrap().is_patched());
    assert!(matches!(patcher.undo_all(), Err(PatchError::Busy { .. })));
    drop(LEAKED.take()); // what was done since it was begun is undone
    assert_eq!((all(), patcher.report().items.len()), ([0; 4], 0));
    assert!(patcher.undo_all().is_ok());
}

#[test]
fn another_thread_is_told_at_once_that_a_pass_runs_and_may_be_joined() {
    points!();
    let patcher = Patcher::new();
    let busy = Arc::new(Mutex::new(Vec::new()));
    let (seen, theirs) = (busy.clone(), patcher.clone());
    let _joins = patcher.bus().topic::<WillPatchModule>().subscribe(move |_| {
        let (theirs, seen) = (theirs.clone(), seen.clone());
        let work = move || {
            let wire = Arc::new(Replacements::new("wire").with(net::sig::resolve(|| 2)));
            let mut seen = seen.lock().unwrap();
            seen.push(theirs.patch_module(&net::MODULE, wire, None).map(drop).unwrap_err());
            seen.push(theirs.patch_all(&Args::new(), &Extra::new()).map(drop).unwrap_err());
            seen.push(theirs.patch_builtin("net").map(drop).unwrap_err());
            seen.push(theirs.transaction().map(drop).unwrap_err());
            seen.push(theirs.undo_all().map(drop).unwrap_err());
            assert!(theirs.report().items.is_empty()); // looking does not wait either
        };
        thread::spawn(work).join().unwrap();
    });
    let clock = Arc::new(Replacements::new("clock").with(time::sig::now(|| 1)));
    let pass = {
        let patcher = patcher.clone();
        move || patcher.patch_module(&time::MODULE, clock, None).unwrap().is_patched()
    };
    assert!(thread::Builder::new().name("patching".into()).spawn(pass).unwrap().join().unwrap());
    let busy = busy.lock().unwrap();
    assert_eq!(busy.len(), 5);
    assert!(
        busy.iter().all(|error| matches!(error, PatchError::Busy { thread } if thread == "patching")),
        "{busy:?}"
    );
    assert!(patcher.undo_all().is_ok());
}

/// Patches, or whatever, as it is dropped.
struct OnDrop<F: FnMut() + Send + Sync>(F);
impl<F: FnMut() + Send + Sync> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn a_destructor_of_what_a_replacement_captured_may_patch_and_may_panic() {
    points!();
    let patcher = Patcher::new();
    let (done, dropped) = mpsc::channel();
    let weak = Patcher::clone(&patcher);
    let patches = OnDrop(move || {
        let wire = Arc::new(Replacements::new("wire").with(net::sig::resolve(|| 2)));
        done.send(weak.patch_module(&net::MODULE, wire, None).unwrap().is_patched()).unwrap();
    });
    let clock = |captured: Arc<dyn Send + Sync>| {
        let now = time::sig::now(move || u32::from(Arc::strong_count(&captured) > 0));
        Arc::new(Replacements::new("clock").with(now).with(time::sig::sleep(|| 1)))
    };

    // During a rollback: what it patches is part of what is undone.
    let fails = patcher.bus().topic::<DidPatchModule>().subscribe(|event| match event.module_name() {
        "time" => Err(BoxError::from("no")),
        _ => Ok(()),
    });
    assert!(patcher.patch_module(&time::MODULE, clock(Arc::new(patches)), None).is_err());
    assert_eq!(dropped.try_recv(), Ok(true));
    let report = patcher.report(); // of the outer pass: the inner one's end was not the transaction's
    assert_eq!((all(), report.items.len(), report.undone.len()), ([0; 4], 0, 3));
    assert_eq!(report.failure.unwrap().reason, "no");

    // One that panics: that goes no further, and the others are undone.
    let throws = || {
        let held = Arc::new(());
        let captured = (held.clone(), OnDrop(|| throw("dropped")));
        (held, Arc::new(captured))
    };
    let (held, captured) = throws();
    assert!(patcher.patch_module(&time::MODULE, clock(captured), None).is_err());
    let both = ["time::sleep", "time::now"].map(str::to_owned).to_vec();
    assert_eq!((all(), Arc::strong_count(&held), names(&patcher.report().undone)), ([0; 4], 1, both.clone()));
    drop(fails);
    let ends: [fn(Patcher, &signalpost::patch::Patched); 3] = [
        |_, patched| drop(patched.undo()),
        |patcher, _| drop(patcher.undo_all()),
        |patcher, _| drop(patcher),
    ];
    for end in ends {
        let (held, captured) = throws();
        let patcher = Patcher::new();
        let patched = patched(patcher.patch_module(&time::MODULE, clock(captured), None).unwrap());
        assert_eq!(all(), [1, 1, 0, 0]);
        end(patcher, &patched);
        assert_eq!((all(), Arc::strong_count(&held)), ([0; 4], 1));
    }
}

#[test]
fn a_veto_of_all_undoes_what_subscribers_before_it_patched() {
    points!();
    let patcher = Patcher::new();
    let inner = patcher.clone();
    let _patches = patcher.bus().topic::<WillPatchAll>().subscribe(move |event| {
        event.warn("nobody hears this");
        let wire = Arc::new(Replacements::new("wire").with(net::sig::resolve(|| 2)));
        assert!(inner.patch_module(&net::MODULE, wire, None).unwrap().is_patched());
    });
    let veto = patcher.bus().topic::<WillPatchAll>().subscribe(|_| Err(BusStop::veto("not today")));
    let vetoed = vetoed(patcher.patch_all(&Args::new(), &Extra::new()).unwrap());
    let report = patcher.report();
    assert_eq!((vetoed.reason.as_str(), &report.vetoes[..]), ("not today", &[vetoed.clone()][..]));
    assert_eq!((names(&report.undone), net::resolve()), (vec!["net::resolve".into()], 0));
    assert_eq!((report.warnings.len(), report.failure), (0, None));
    drop(veto);
    assert!(patcher.patch_all(&Args::new(), &Extra::new()).unwrap().is_patched()); // nothing was remembered
}
