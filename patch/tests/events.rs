//! What a pass publishes, in which order, and who can say no to what.

mod probe;

use probe::{Fault, Log, Make, Probe, listen, names, patched, points, two, vetoed};
use signalpost::patch::{
    Args, Builtin, COMPANIONS, DidPatchAll, DidPatchBuiltinModules, DidPatchEvents, DidPatchModule, Extra,
    Items, Module, PatchError, PatchEvents, PatchWarning, Patcher, Replacements, VetoLevel, WillPatchAll,
    WillPatchEvents, WillPatchItem, WillPatchModule,
};
use signalpost::{
    BoxError, BusStop, Event, On, Plugin, Plugins, Policy, SubscribeOptions, entry_points, plugins,
};
use std::sync::{Arc, Mutex};

/// As [`two`], without faults.
fn pair(log: &Log, time: (&'static Module, Make), net: (&'static Module, Make)) -> Patcher {
    two(time, net, log, &Fault::default(), &Arc::new(()))
}

macro_rules! pair {
    ($log:expr) => {
        pair(
            $log,
            (&time::MODULE, |value, _| time::sig::now(move || value)),
            (&net::MODULE, |value, _| net::sig::resolve(move || value)),
        )
    };
}

fn pass(patcher: &Patcher) -> signalpost::patch::Outcome {
    patcher.patch_all(&Args::new(), &Extra::new()).unwrap()
}

#[test]
fn a_pass_asks_and_tells_in_this_order() {
    points!();
    let log = Log::default();
    let patcher = pair!(&log);
    let listening = listen(&patcher, &log, false);
    let _done = pass(&patcher);
    let expected = [
        r#"will all {"time": true, "net": true}"#,
        r#"hook will time ["now", "sleep"]"#,
        r#"will time ["now", "sleep"]"#,
        r#"hook did time ["now", "sleep"]"#,
        r#"did time ["now", "sleep"]"#,
        r#"hook will net ["resolve", "connect"]"#,
        r#"will net ["resolve", "connect"]"#,
        r#"hook did net ["resolve", "connect"]"#,
        r#"did net ["resolve", "connect"]"#,
        "did builtins",
        "did all",
    ];
    assert_eq!(log.take(), expected);
    patcher.undo_all().unwrap();

    // The events of items are there for who asks for them.
    drop(listening);
    let _listening = listen(&patcher, &log, true);
    let _done = patcher.patch_builtin("net").unwrap();
    let expected = [
        r#"hook will net ["resolve", "connect"]"#,
        r#"will net ["resolve", "connect"]"#,
        "will item resolve",
        "will item connect",
        "did item resolve",
        "did item connect",
        r#"hook did net ["resolve", "connect"]"#,
        r#"did net ["resolve", "connect"]"#,
    ];
    assert_eq!(log.take(), expected);
}

#[test]
fn families_hear_their_events_and_none_of_items_unless_one_asked_for_those() {
    points!();
    let log = Log::default();
    let patcher = pair!(&log);
    let heard = Log::default();
    let (all, will, did) = (heard.clone(), heard.clone(), heard.clone());
    let target = |target: Option<&Module>| target.map_or("all", Module::name);
    let bus = patcher.bus();
    let _all = bus.family::<PatchEvents>().subscribe(move |event| {
        assert_eq!(event.source().is_some(), event.target().is_some());
        all.add(format!("event {}", target(event.target())));
    });
    let _will = bus
        .family::<WillPatchEvents>()
        .subscribe(move |event| will.add(format!("will {}", target(event.target()))));
    let _did = bus
        .family::<DidPatchEvents>()
        .subscribe(move |event| did.add(format!("did {}", target(event.target()))));
    let _done = pass(&patcher);
    let pair = |what: &str, of: &str| [format!("{what} {of}"), format!("event {of}")];
    let module = |of| [pair("will", of), pair("did", of)].concat();
    let expected =
        [&pair("will", "all")[..], &module("time"), &module("net"), &pair("did", "all"), &pair("did", "all")]
            .concat();
    assert_eq!(heard.take(), expected);

    let _item = bus.topic::<WillPatchItem>().subscribe(|_| ());
    let _done = patcher.patch_builtin("net").unwrap();
    assert_eq!(
        heard.take(),
        [pair("will", "net"), pair("will", "net"), pair("will", "net"), pair("did", "net")].concat()
    );
}

#[test]
fn events_tell_what_the_pass_is_about() {
    points!();
    let log = Log::default();
    let patcher = pair!(&log);
    patcher.option("dns", true).unwrap();
    patcher.option("aggressive", false).unwrap();
    let bus = patcher.bus();
    let level = |extra: &Extra| extra.get::<u32>("acme.level").copied();
    let _will = bus.topic::<WillPatchAll>().subscribe(move |event| {
        assert!(event.will_patch_module("time") && !event.will_patch_module("net"));
        assert!(!event.will_patch_module("aggressive") && !event.will_patch_module("disk"));
        let options = ["net", "dns", "aggressive", "disk"].map(|name| event.option(name));
        assert_eq!((options, level(event.extra())), ([Some(false), Some(true), Some(false), None], Some(7)));
        assert_eq!(format!("{event:?}"), r#"WillPatchAll { arguments: {"time": true, "net": false, "dns": true, "aggressive": false}, extra: Extra["acme.level"], .. }"#);
    });
    let same = patcher.clone();
    let _builtins = bus.topic::<DidPatchBuiltinModules>().subscribe(move |event| {
        assert_eq!((event.arguments().get("net"), level(event.extra())), (Some(false), Some(7)));
        assert!(std::ptr::eq(event.patcher().bus(), same.bus()));
    });
    let _module = bus.topic::<WillPatchModule>().subscribe(|event| {
        assert_eq!(
            (event.module_name(), event.source().name(), event.target().name()),
            ("time", "clock", "time")
        );
        assert_eq!(
            format!("{event:?}"),
            r#"WillPatchModule { source: clock, target: "time", items: ["now", "sleep"] }"#
        );
    });
    let _all = bus
        .topic::<DidPatchAll>()
        .subscribe(|event| assert_eq!(names(&event.report().items), ["time::now", "time::sleep"]));
    let args = Args::new().with("net", false);
    assert!(patcher.patch_all(&args, &Extra::new().with("acme.level", 7_u32)).unwrap().is_patched());
}

#[test]
fn a_module_is_vetoed_by_its_source_a_subscriber_or_a_plugin_and_the_others_are_patched() {
    points!();
    static NO: Plugin = Plugin::new(
        "test.no",
        &On(|event: &WillPatchModule| match event.module_name() {
            "net" => Err(BusStop::veto("by plugin")),
            _ => Ok(()),
        }),
    );
    for by in ["source wire", "subscriber guard", "plugin test.no"] {
        let log = Log::default();
        let patcher = Patcher::new();
        let clock =
            Probe::new("clock", &["now", "sleep"], 1, |value, _| time::sig::now(move || value)).log(&log);
        let wire = Probe::new("wire", &["resolve"], 2, |value, _| net::sig::resolve(move || value)).log(&log);
        let vetoes = by == "source wire";
        let wire = wire.will(move |_, _| if vetoes { Err(BusStop::veto("by source")) } else { Ok(()) });
        patcher.builtin(Builtin::new(&net::MODULE, Arc::new(wire))).unwrap();
        patcher.builtin(Builtin::new(&time::MODULE, Arc::new(clock))).unwrap();
        let guard = (by == "subscriber guard").then(|| {
            let options = SubscribeOptions::new().named("guard").priority(1);
            patcher.bus().topic::<WillPatchModule>().subscribe_with(options, |event| {
                match event.module_name() {
                    "net" => Err(BusStop::veto("by subscriber")),
                    _ => Ok(()),
                }
            })
        });
        if by == "plugin test.no" {
            patcher.plugins().add(&NO).unwrap();
        }
        let _listening = listen(&patcher, &log, true);
        let done = patched(pass(&patcher));
        let [veto] = &done.vetoes[..] else { panic!("{:?}", done.vetoes) };
        assert!(veto.by.starts_with(by), "{veto}");
        assert_eq!(
            (&veto.level, &veto.reason),
            (&VetoLevel::Module("net"), &format!("by {}", by.split(' ').next().unwrap()))
        );
        assert_eq!(
            (all(), names(&done.items)),
            ([1, 1, 0, 0], vec!["time::now".into(), "time::sleep".into()])
        );
        let of_net: Vec<_> =
            log.take().into_iter().filter(|what| what.contains("resolve") || what.contains("net ")).collect();
        // Those who come after whoever vetoes are not asked, and nobody is told.
        let hook = r#"hook will net ["resolve"]"#.to_owned();
        let asked = r#"will net ["resolve"]"#.to_owned();
        assert_eq!(of_net, if by.starts_with("plugin") { vec![hook, asked] } else { vec![hook] }, "{by}");
        drop(guard);

        assert_eq!(vetoed_alone(&patcher, by), by.starts_with("subscriber"));
    }

    /// Whether the module alone is patched now, the subscriber being gone.
    fn vetoed_alone(patcher: &Patcher, by: &str) -> bool {
        match patcher.patch_builtin("net").unwrap() {
            signalpost::patch::Outcome::Patched(_) => true,
            other => {
                assert!(vetoed(other).by.starts_with(by));
                assert!(!patcher.is_module_patched("net"));
                false
            }
        }
    }
}

#[test]
fn everything_is_vetoed_by_a_subscriber_or_a_plugin_and_asked_again_the_next_time() {
    points!();
    static NO: Plugin = Plugin::new(
        "test.no",
        &On(|event: &WillPatchAll| {
            event.warn("dropped");
            Err(BusStop::veto("no"))
        }),
    );
    let log = Log::default();
    let patcher = pair!(&log);
    let listening = listen(&patcher, &log, true);
    let _warned = patcher.bus().topic::<PatchWarning>().subscribe(|warning| panic!("{warning}"));
    patcher.plugins().add(&NO).unwrap();
    for _ in 0..2 {
        let vetoed = vetoed(pass(&patcher));
        assert_eq!((&vetoed.level, vetoed.reason.as_str()), (&VetoLevel::All, "no"));
        assert!(vetoed.by.starts_with("plugin test.no (patch/tests/events.rs:"), "{vetoed}");
        assert_eq!(log.take(), [r#"will all {"time": true, "net": true}"#]);
        assert_eq!(
            (all(), patcher.report().vetoes, patcher.report().warnings),
            ([0; 4], vec![vetoed], vec![])
        );
    }
    patcher.plugins().remove("test.no").unwrap();
    drop(listening);
    assert_eq!((pass(&patcher).is_patched(), all()), (true, [1, 1, 2, 2]));
}

#[test]
fn one_function_is_vetoed_and_the_others_are_replaced() {
    points!();
    let log = Log::default();
    let patcher = pair!(&log);
    let _no = patcher.bus().topic::<WillPatchItem>().subscribe(|event| match &**event.item() {
        "now" | "resolve" | "connect" => Err(BusStop::veto("measured")),
        _ => Ok(()),
    });
    let done = patched(pass(&patcher));
    assert_eq!((all(), names(&done.items)), ([0, 1, 0, 0], vec!["time::sleep".into()]));
    let vetoed: Vec<_> = done.vetoes.iter().map(|veto| veto.level.to_string()).collect();
    assert_eq!(vetoed, ["time::now", "net::resolve", "net::connect"]);
    assert_eq!(log.take()[3], "hook did net []"); // told, though nothing is left
}

#[test]
fn subscribers_hooks_and_plugins_edit_the_list_one_after_the_other() {
    points!();
    static LAST: Plugin = Plugin::new(
        "test.last",
        &On(|event: &WillPatchModule| {
            assert_eq!(event.target_item_names().names(), ["connect", "resolve"]);
            event.target_item_names().retain(|name| name != "resolve");
            Ok(())
        }),
    );
    let log = Log::default();
    let patcher = Patcher::new();
    patcher.plugins().add(&LAST).unwrap();
    let _listening = listen(&patcher, &log, false);
    let _second = patcher.bus().topic::<WillPatchModule>().subscribe(|event| {
        let items = event.target_item_names();
        assert!(
            !items.push("resolve")
                && items.contains("resolve")
                && items.remove("name")
                && !items.remove("name")
        );
    });
    let wire = || {
        let make: Make = |value, _| net::sig::resolve(move || value);
        Arc::new(Probe::new("wire", &["resolve"], 2, make).log(&log).will(|items, _| {
            assert!(items.insert(0, "connect") && items.insert(9, "name") && !items.insert(0, "resolve"));
            Ok(())
        }))
    };
    for _ in 0..2 {
        // The list is a fresh one each time.
        let done = patched(patcher.patch_module(&net::MODULE, wire(), None).unwrap());
        assert_eq!((names(&done.items), net::connect(), net::resolve()), (vec!["net::connect".into()], 2, 0));
        let expected = [
            r#"hook will net ["resolve"]"#,
            r#"will net ["connect", "resolve", "name"]"#,
            r#"hook did net ["connect"]"#,
            r#"did net ["connect"]"#,
        ];
        assert_eq!(log.take(), expected);
    }
}

#[test]
fn a_list_keeps_order_and_names_each_function_once() {
    let items = Items::new(["a", "b", "a", "c"]);
    assert_eq!((items.names(), items.len()), (vec!["a".into(), "b".into(), "c".into()], 3));
    items.retain(|name| {
        items.push("d"); // nothing is borrowed meanwhile; what is added stays
        name != "b"
    });
    assert_eq!(items.names(), ["a", "c", "d"]);
    items.replace(items.names().into_iter().rev().chain(["c".into()]));
    assert_eq!(format!("{items:?}"), r#"["d", "c", "a"]"#);
    items.clear();
    assert!(items.is_empty());
}

#[test]
fn a_list_that_is_emptied_is_legal_and_told_of() {
    points!();
    let log = Log::default();
    let patcher = pair!(&log);
    let _listening = listen(&patcher, &log, true);
    let _none = patcher.bus().topic::<WillPatchModule>().subscribe(|event| event.target_item_names().clear());
    let done = patched(patcher.patch_builtin("net").unwrap());
    assert!(done.items.is_empty() && done.vetoes.is_empty() && !patcher.is_module_patched("net"));
    assert_eq!(log.take()[2..], [r"hook did net []", r"did net []"]);
}

#[test]
fn a_veto_of_what_was_done_is_a_failure_that_names_who_tried() {
    points!();
    let log = Log::default();
    let patcher = pair!(&log);
    let _late = patcher.bus().family::<DidPatchEvents>().subscribe(|_| Err(BusStop::veto("too late")));
    let error = patcher.patch_all(&Args::new(), &Extra::new()).unwrap_err();
    let PatchError::Stopped { stage, module, error, .. } = &error else { panic!("{error}") };
    assert_eq!((*stage, *module), (DidPatchModule::NAME, Some("time")));
    assert!(
        error.to_string().contains("patch/tests/events.rs") && error.is::<signalpost::LateVeto>(),
        "{error}"
    );
    assert_eq!(all(), [0; 4]);
}

#[test]
fn plugins_run_after_the_subscribers_of_the_five_events() {
    points!();
    static HEARD: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    macro_rules! plugin {
        ($name:ident, $point:ident) => {
            static $name: Plugin = Plugin::any(stringify!($name), entry_points::$point, |event| {
                HEARD.lock().unwrap().push(event.name());
                Ok(())
            });
        };
    }
    plugin!(A, WILL_PATCH_ALL);
    plugin!(B, WILL_PATCH_MODULE);
    plugin!(C, DID_PATCH_MODULE);
    plugin!(D, DID_PATCH_BUILTINS);
    plugin!(E, DID_PATCH_ALL);
    static PLUGINS: Plugins = Plugins::new();
    PLUGINS.add_all(plugins![A, B, C, D, E]).unwrap();
    let patcher = Patcher::builder().bus(Arc::new(signalpost::Bus::new())).plugins(&PLUGINS).build();
    patcher
        .builtin(Builtin::new(&time::MODULE, Arc::new(Replacements::new("clock").with(time::sig::now(|| 1)))))
        .unwrap();
    let _first = patcher.bus().subscribe(|event| HEARD.lock().unwrap().push(event.name()));
    let _done = pass(&patcher);
    let twice: Vec<_> = [
        WillPatchAll::NAME,
        WillPatchModule::NAME,
        DidPatchModule::NAME,
        DidPatchBuiltinModules::NAME,
        DidPatchAll::NAME,
    ]
    .into_iter()
    .flat_map(|name| [name; 2])
    .collect();
    assert_eq!(*HEARD.lock().unwrap(), twice);
}

#[test]
fn warnings_are_published_after_the_last_event_and_name_who_warns() {
    points!();
    let log = Log::default();
    let patcher = Patcher::new();
    let wire = Probe::new("wire", &["resolve"], 2, |value, _| net::sig::resolve(move || value)).log(&log);
    let wire = wire.will(|_, warnings| {
        warnings.warn("late");
        Ok(())
    });
    patcher
        .builtin(Builtin::new(&net::MODULE, Arc::new(wire)).needs("os", "children").needs("net", "itself"))
        .unwrap();
    let _listening = listen(&patcher, &log, false);
    let _warns = patcher.bus().topic::<WillPatchModule>().subscribe(|event| event.warn("odd"));
    let (sink, again) = (log.clone(), patcher.clone());
    let warned = patcher.bus().topic::<PatchWarning>().subscribe(move |warning| {
        assert!(again.is_module_patched("net")); // it is over
        sink.add(format!("warning {}", warning.text));
        Err(BoxError::from("nobody is told"))
    });
    let done = patched(pass(&patcher));
    assert_eq!(
        log.take()[6..],
        ["did all", "warning net is patched, but os is not: children", "warning late", "warning odd"]
    );
    let by: Vec<_> = done.warnings.iter().map(|warning| warning.by.as_str()).collect();
    assert!(by[0].starts_with("plugin signalpost.companions ("), "{by:?}");
    assert_eq!(by[1], "source wire");
    assert!(by[2].starts_with("signalpost.patch.will_patch_module (patch/tests/events.rs:"), "{by:?}");
    assert_eq!(patcher.report().warnings, done.warnings);
    drop(warned);

    // A panic reaches the caller, and changes nothing.
    patcher.undo_all().unwrap();
    let _throws = patcher.bus().topic::<PatchWarning>().subscribe(|_| probe::throw("warned"));
    assert_eq!(probe::thrown(|| patcher.patch_all(&Args::new(), &Extra::new())), "warned");
    assert_eq!((net::resolve(), patcher.is_module_patched("net"), patcher.report().failure), (2, true, None));
    assert_eq!(patcher.report().warnings.len(), 3);
}

#[test]
fn the_built_in_plugin_warns_of_what_is_never_patched_and_can_be_taken_out() {
    points!();
    let wire = || {
        Builtin::new(&net::MODULE, Arc::new(Replacements::new("wire").with(net::sig::resolve(|| 2))))
            .needs("time", "clocks")
    };
    let clock =
        || Builtin::new(&time::MODULE, Arc::new(Replacements::new("clock").with(time::sig::now(|| 1))));
    let patcher = Patcher::new();
    patcher.builtin(wire()).unwrap();
    patcher.builtin(clock()).unwrap();
    let warned = |args: Args| patched(patcher.patch_all(&args, &Extra::new()).unwrap()).warnings.len();
    assert_eq!(warned(Args::none().with("net", true)), 1);
    patcher.undo_all().unwrap();
    assert_eq!(warned(Args::new()), 0);
    patcher.undo_all().unwrap();
    assert_eq!(warned(Args::new().with("net", false)), 0);
    let second = patched(pass(&patcher)); // time is on since the first pass: only that the settings differ is said
    assert_eq!((second.warnings.len(), second.warnings[0].by.as_str()), (1, "patch_all"));

    patcher.undo_all().unwrap();
    assert!(patcher.plugins().remove(COMPANIONS.name()).is_some());
    assert_eq!(warned(Args::none().with("net", true)), 0);
}

#[test]
fn a_plugin_whose_failure_is_kept_from_the_pass_does_not_undo_it() {
    points!();
    static HALF: Plugin = Plugin::new("test.half", &On(half));
    fn half(event: &DidPatchBuiltinModules) -> Result<(), BoxError> {
        let source = Replacements::new("half").with(net::sig::resolve(|| 7));
        let _done = event.patcher().patch_module(&net::MODULE, Arc::new(source), None)?;
        Err("the other half".into())
    }
    let patcher = Patcher::new();
    patcher.plugins().add(&HALF).unwrap();
    let source = Replacements::new("all").with(time::sig::now(|| 1));
    patcher.builtin(Builtin::new(&time::MODULE, Arc::new(source))).unwrap();

    assert!(patcher.patch_all(&Args::new(), &Extra::new()).is_err());
    assert_eq!((all(), patcher.report().undone.len()), ([0; 4], 2));

    patcher.plugins().set_policy(Policy::Isolate);
    let done = patched(patcher.patch_all(&Args::new(), &Extra::new()).unwrap());
    assert_eq!((all(), &done.failure), ([1, 0, 7, 0], &None));
    assert_eq!(done.undo().undone.len(), 2);
    assert_eq!(all(), [0; 4]);
}
