//! Plugins: called after the subscribers, in order, each name once; and what it means that one fails, panics or is missing.

mod common;

use common::{Log, within};
use signalpost::{
    BoxError, Bus, BusStop, EventStop, LateVeto, On, Plugin, PluginError, PluginFailed, PluginPanicked,
    PluginSource, Plugins, Policy, StoppedBy, Subscription, Veto, event, plugins,
};
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::{Arc, Barrier};
use std::thread::{self, ThreadId};

/// May be vetoed. What listens writes down its name.
#[derive(Clone)]
struct Will(Log<&'static str>);
event!(Will: "test.will", stop = BusStop, entry_point = "test.plugins.will");

/// Has happened.
#[derive(Clone)]
struct Did(Log<&'static str>);
event!(Did: "test.did", entry_point = "test.plugins.did");

static WILL_A: Plugin = Plugin::new("a", &On(|e: &Will| said(&e.0, "a")));
static WILL_B: Plugin = Plugin::new("b", &On(|e: &Will| said(&e.0, "b")));
static WILL_FIRST: Plugin = Plugin::new("z first", &On(|e: &Will| said(&e.0, "z first"))).priority(1);
static WILL_LAST: Plugin = Plugin::new("a last", &On(|e: &Will| said(&e.0, "a last"))).priority(i32::MIN);
static WILL_FAIL: Plugin = Plugin::new("aa fail", &On(|_: &Will| Err(BusStop::fail("out of luck"))));
static WILL_VETO: Plugin = Plugin::new("aa veto", &On(|_: &Will| Err(BusStop::veto("not today"))));
static WILL_PANIC: Plugin = Plugin::new("aa panic", &On(|e: &Will| panic!("after {} calls", e.0.len())));
static DID_A: Plugin = Plugin::new("did a", &On(|e: &Did| said(&e.0, "did a")));
static DID_LATE_VETO: Plugin =
    Plugin::any("did a veto", "test.plugins.did", |_| Err(BusStop::veto("too late"))).priority(1);

fn said<X>(log: &Log<&'static str>, name: &'static str) -> Result<(), X> {
    log.push(name);
    Ok(())
}

fn registry(plugins: &[&'static Plugin]) -> Plugins {
    let registry = Plugins::new();
    registry.add_all(plugins).expect("no two of one name");
    registry
}

fn isolating(plugins: &[&'static Plugin]) -> Plugins {
    let registry = registry(plugins);
    registry.set_policy(Policy::Isolate);
    registry
}

/// Writes down which plugins are reported to have failed, and with what.
fn reports(bus: &Bus) -> (Log<String>, Subscription) {
    let log = Log::new();
    let reports = log.clone();
    let sub = bus.topic::<PluginFailed>().subscribe(move |failed: &PluginFailed| {
        reports.push(format!("{}: {}", failed.plugin.name(), failed.error));
    });
    (log, sub)
}

fn names(registry: &Plugins) -> Vec<&'static str> {
    registry.list().iter().map(|plugin| plugin.name).collect()
}

#[test]
fn plugins_are_called_after_the_subscribers_with_the_same_event_on_the_same_thread() {
    struct Same {
        here: ThreadId,
        address: Cell<usize>,
        called: Cell<bool>,
    }
    event!(Same: "test.same", entry_point = "test.plugins.same");
    static PLUGIN: Plugin = Plugin::new(
        "same",
        &On(|event: &Same| {
            assert_eq!(event.address.get(), std::ptr::from_ref(event).addr());
            assert_eq!(event.here, thread::current().id());
            event.called.set(true);
            Ok(())
        }),
    );
    let bus = Bus::new();
    let _sub = bus.topic::<Same>().subscribe(|event: &Same| {
        assert!(!event.called.get());
        event.address.set(std::ptr::from_ref(event).addr());
    });
    let event = Same { here: thread::current().id(), address: Cell::new(0), called: Cell::new(false) };
    bus.publish_and_call_plugins(&event, &registry(&[&PLUGIN])).unwrap();
    assert!(event.called.get());
}

#[test]
fn they_are_called_by_priority_then_name_whatever_the_order_of_registration() {
    let all = plugins![WILL_B, DID_A, WILL_LAST, WILL_A, WILL_FIRST];
    for turn in 0..all.len() {
        let registry = Plugins::new();
        for place in 0..all.len() {
            registry.add(all[(place + turn) % all.len()]).unwrap();
        }
        let will = Will(Log::new());
        Bus::new().publish_and_call_plugins(&will, &registry).unwrap();
        assert_eq!(will.0.take(), ["z first", "a", "b", "a last"]);
        assert_eq!(names(&registry), ["did a", "z first", "a", "b", "a last"], "by entry point first");
    }
}

#[test]
fn a_subscriber_that_stops_the_event_keeps_plugins_from_being_called() {
    let (bus, will) = (Bus::new(), Will(Log::new()));
    let _sub = bus.topic::<Will>().subscribe(|_: &Will| Err(BusStop::veto("no")));
    let stopped = bus.publish_and_call_plugins(&will, &registry(&[&WILL_A])).unwrap_err();
    let StoppedBy::Subscriber(by) = &stopped else { panic!("by a plugin: {stopped}") };
    assert_eq!((by.position, by.not_run), (0, 0));
    assert!(matches!(stopped.into_error(), BusStop::Veto(Veto { reason }) if reason == "no"));
    assert!(will.0.take().is_empty());
}

#[test]
fn a_plain_publish_calls_no_plugins() {
    let will = Will(Log::new());
    plugins().add(&WILL_A).unwrap();
    Bus::new().publish(&will).unwrap();
    assert!(will.0.take().is_empty());
    Bus::new().publish_and_call_plugins(&will, plugins()).unwrap();
    assert_eq!(will.0.take(), ["a"]);
}

#[test]
fn the_first_error_of_a_plugin_goes_to_the_publisher_and_the_rest_are_not_called() {
    let registry = registry(plugins![WILL_B, WILL_FAIL, WILL_FIRST, WILL_LAST, DID_A]);
    let (bus, will) = (Bus::new(), Will(Log::new()));
    let (reports, _sub) = reports(&bus);
    let stopped = bus.publish_and_call_plugins(&will, &registry).unwrap_err();
    let message = stopped.to_string();
    let StoppedBy::Plugin { plugin, error: BusStop::Fail(error), not_run: 2 } = stopped else {
        panic!("{message}")
    };
    assert_eq!((plugin.name(), error.to_string().as_str()), ("aa fail", "out of luck"));
    let place = format!(
        "plugin aa fail ({}) stopped the event (plugins not called: 2): out of luck",
        plugin.location()
    );
    assert_eq!(message, place);
    assert!(plugin.location().file().ends_with("plugin.rs"));
    assert_eq!(will.0.take(), ["z first"]);
    assert!(reports.take().is_empty(), "the publisher knows");
}

#[test]
fn a_panic_of_a_plugin_unwinds_to_the_publisher_and_the_next_publish_works() {
    let registry = registry(plugins![WILL_B, WILL_PANIC, WILL_FIRST]);
    let (bus, will) = (Bus::new(), Will(Log::new()));
    for _ in 0..100 {
        let publish = AssertUnwindSafe(|| bus.publish_and_call_plugins(&will, &registry));
        let panic = catch_unwind(publish).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().unwrap(), "after 1 calls");
        assert_eq!(will.0.take(), ["z first"]);
    }
    assert!(registry.remove("aa panic").is_some());
    bus.publish_and_call_plugins(&will, &registry).unwrap();
    assert_eq!(will.0.take(), ["z first", "b"]);
}

#[test]
fn isolated_failures_and_panics_are_reported_and_counted_and_the_others_are_called() {
    let registry = isolating(plugins![WILL_B, WILL_PANIC, WILL_FAIL, WILL_FIRST]);
    let (bus, will) = (Bus::new(), Will(Log::new()));
    let (reports, _sub) = reports(&bus);
    for _ in 0..2 {
        bus.publish_and_call_plugins(&will, &registry).unwrap();
        assert_eq!(will.0.take(), ["z first", "b"]);
        assert_eq!(reports.take(), ["aa fail: out of luck", "aa panic: panicked: after 1 calls"]);
    }
    let failures: Vec<_> = registry.list().iter().map(|plugin| (plugin.name, plugin.failures)).collect();
    assert_eq!(failures, [("z first", 0), ("aa fail", 2), ("aa panic", 2), ("b", 0)]);
    assert!(registry.list()[1].to_string().ends_with(", 2 failures"));

    registry.set_policy(Policy::Propagate);
    assert!(bus.publish_and_call_plugins(&will, &registry).is_err());
    assert_eq!(registry.list()[1].failures, 2, "the publisher knows of that one");
}

#[test]
fn what_a_panic_threw_is_reported_if_it_is_text_and_may_throw_again_when_dropped() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("again");
        }
    }
    static TEXT: Plugin = Plugin::new("1 text", &On(|_: &Did| panic!("fixed")));
    static BOMB: Plugin = Plugin::new("2 bomb", &On(|_: &Did| panic_any(Bomb)));
    let (bus, did) = (Bus::new(), Did(Log::new()));
    let (messages, seen) = (Log::new(), Log::new());
    let log = messages.clone();
    let _sub = bus.topic::<PluginFailed>().subscribe(move |failed: &PluginFailed| {
        let panicked = failed.error.downcast_ref::<PluginPanicked>().expect("it panicked");
        log.push(panicked.message.clone());
    });
    let all = seen.clone();
    let _any = bus.subscribe(move |event| all.push(event.name()));
    bus.publish_and_call_plugins(&did, &isolating(plugins![TEXT, BOMB, DID_A])).unwrap();
    assert_eq!(messages.take(), [Some("fixed".to_owned()), None]);
    assert_eq!(seen.take(), ["test.did", "signalpost.plugin_failed", "signalpost.plugin_failed"]);
    assert_eq!(did.0.take(), ["did a"]);
}

#[test]
fn a_veto_stops_what_may_be_vetoed_under_either_policy() {
    for registry in [registry(plugins![WILL_VETO, WILL_B]), isolating(plugins![WILL_VETO, WILL_B])] {
        let (bus, will) = (Bus::new(), Will(Log::new()));
        let (reports, _sub) = reports(&bus);
        let stopped = bus.publish_and_call_plugins(&will, &registry).unwrap_err();
        let StoppedBy::Plugin { plugin, not_run: 1, .. } = &stopped else { panic!("{stopped}") };
        assert_eq!(plugin.name(), "aa veto");
        assert!(matches!(stopped.error(), BusStop::Veto(Veto { reason }) if reason == "not today"));
        assert!(will.0.take().is_empty() && reports.take().is_empty());
        assert_eq!(registry.list()[0].failures, 0);
    }
}

#[test]
fn a_veto_of_what_has_happened_is_a_failure_that_names_the_plugin() {
    let (bus, did) = (Bus::new(), Did(Log::new()));
    let stopped = bus.publish_and_call_plugins(&did, &registry(plugins![DID_A, DID_LATE_VETO])).unwrap_err();
    let late = stopped.error().downcast_ref::<LateVeto>().expect("a veto came too late");
    assert_eq!((&*late.veto.reason, late.by.clone()), ("too late", DID_LATE_VETO.to_string()));
    assert!(did.0.take().is_empty());

    let (reports, _sub) = reports(&bus);
    bus.publish_and_call_plugins(&did, &isolating(plugins![DID_A, DID_LATE_VETO])).unwrap();
    assert_eq!(did.0.take(), ["did a"]);
    let [report] = &*reports.take() else { panic!("one report") };
    assert!(
        report.starts_with("did a veto: plugin did a veto (") && report.ends_with(": too late"),
        "{report}"
    );
}

#[test]
fn a_stop_type_of_ones_own_says_what_is_a_veto() {
    #[derive(Debug, PartialEq)]
    enum Answer {
        No(String),
        Broken(String),
    }
    impl fmt::Display for Answer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{self:?}")
        }
    }
    impl EventStop for Answer {
        fn from_bus(stop: BusStop, _: &dyn fmt::Display) -> Self {
            match stop {
                BusStop::Veto(veto) => Self::No(veto.reason.into()),
                BusStop::Fail(error) => Self::Broken(error.to_string()),
            }
        }
        fn into_bus(self) -> BusStop {
            match self {
                Self::No(reason) => BusStop::veto(reason),
                Self::Broken(what) => BusStop::fail(what),
            }
        }
    }
    struct Ask;
    event!(Ask: "test.ask", stop = Answer, entry_point = "test.plugins.ask");
    static BROKEN: Plugin = Plugin::new("broken", &On(|_: &Ask| Err(Answer::Broken("oil".into()))));
    static NO: Plugin = Plugin::new("no", &On(|_: &Ask| Err(Answer::No("closed".into()))));

    let (bus, registry) = (Bus::new(), registry(plugins![BROKEN, NO]));
    let stopped = bus.publish_and_call_plugins(&Ask, &registry).unwrap_err();
    assert_eq!(stopped.into_error(), Answer::Broken("oil".into()));
    registry.set_policy(Policy::Isolate);
    let (reports, _sub) = reports(&bus);
    let stopped = bus.publish_and_call_plugins(&Ask, &registry).unwrap_err();
    assert_eq!(stopped.into_error(), Answer::No("closed".into()));
    assert_eq!(reports.take(), ["broken: oil"]);
}

#[test]
fn who_stops_a_report_stops_that_report_alone() {
    let registry = isolating(plugins![WILL_FAIL, WILL_PANIC, WILL_B]);
    let (bus, will) = (Bus::new(), Will(Log::new()));
    let _deaf =
        bus.topic::<PluginFailed>().subscribe(|_: &PluginFailed| Err(BoxError::from("not listening")));
    let (reports, _sub) = reports(&bus);
    bus.publish_and_call_plugins(&will, &registry).unwrap();
    assert_eq!(will.0.take(), ["b"]);
    assert!(reports.take().is_empty());
    assert_eq!(registry.list()[0].failures, 1);
}

#[test]
fn a_second_plugin_of_one_name_is_refused_with_both_places_and_nothing_is_added() {
    static OTHER_A: Plugin = Plugin::new("a", &On(|e: &Did| said(&e.0, "other a")));
    let registry = registry(&[&WILL_A]);
    // At another entry point too: `expect` and `remove` go by the name alone.
    let error = registry.add_all(plugins![WILL_B, OTHER_A, WILL_LAST]).unwrap_err();
    let (there, refused) = (WILL_A.location(), OTHER_A.location());
    assert_eq!(error, PluginError::Duplicate { name: "a", there, refused });
    let message = error.to_string();
    assert!([there, refused].iter().all(|place| message.contains(&place.to_string())), "{message}");
    assert_eq!(names(&registry), ["a"]);

    let error = registry.add_all(plugins![WILL_B, DID_A, WILL_B]).unwrap_err();
    assert!(matches!(error, PluginError::Duplicate { name: "b", there, refused } if there == refused));
    assert_eq!(names(&registry), ["a"]);

    let error = registry.add(&WILL_A).unwrap_err();
    assert!(error.to_string().ends_with("is registered already"), "{error}");
    registry.add_all(&[]).unwrap();
    assert_eq!(names(&registry), ["a"]);
}

#[test]
fn every_plugin_that_is_missing_is_named_with_what_is_there_and_what_to_do() {
    let registry = registry(plugins![WILL_A, WILL_FIRST]);
    registry.expect(["a", "z first"]).unwrap();
    registry.expect(Vec::<String>::new()).unwrap();
    let error = registry.expect(["acme.one", "a", "acme.two"]).unwrap_err();
    let (missing, present) = (vec!["acme.one".to_owned(), "acme.two".to_owned()], vec!["z first", "a"]);
    assert_eq!(error, PluginError::Missing { missing, present });
    let message = error.to_string();
    for part in
        ["acme.one, acme.two", "registered: z first, a.", "use the_plugin as _;", "plugins.add(&the_plugin::"]
    {
        assert!(message.contains(part), "no {part:?} in {message}");
    }
    assert!(Plugins::new().expect(["x"]).unwrap_err().to_string().contains("registered: none."));
}

#[test]
fn a_list_says_where_each_plugin_was_made_and_who_added_it() {
    let registry = Plugins::new();
    registry.add(&DID_LATE_VETO).unwrap();
    let added = line!() - 1;
    let [info] = &*registry.list() else { panic!("one plugin") };
    assert_eq!((info.name, info.entry_point, info.priority), ("did a veto", "test.plugins.did", 1));
    assert_eq!((info.location, info.failures), (DID_LATE_VETO.location(), 0));
    let PluginSource::Added(by) = info.source else { panic!("{info}") };
    assert!((by.file(), by.line()) == (file!(), added), "{by}");
    let location = DID_LATE_VETO.location();
    let expected = format!("did a veto ({location}) at test.plugins.did, priority 1, added at {by}");
    assert_eq!(info.to_string(), expected);
}

#[test]
fn a_removed_plugin_is_not_called_and_may_come_back() {
    let registry = isolating(plugins![WILL_A, WILL_B, WILL_FAIL]);
    let (bus, will) = (Bus::new(), Will(Log::new()));
    assert!(registry.remove("no such").is_none());
    let removed = registry.remove("a").expect("it is there");
    assert_eq!(removed.name(), "a");
    bus.publish_and_call_plugins(&will, &registry).expect("the policy is as before");
    assert_eq!(will.0.take(), ["b"]);
    registry.add(removed).unwrap();
    bus.publish_and_call_plugins(&will, &registry).unwrap();
    assert_eq!(will.0.take(), ["a", "b"]);
    for name in ["a", "b", "aa fail"] {
        assert!(registry.remove(name).is_some());
    }
    bus.publish_and_call_plugins(&will, &registry).unwrap();
    assert!(will.0.take().is_empty() && registry.list().is_empty());
}

#[test]
fn what_a_plugin_adds_and_removes_is_seen_by_the_next_publish_also_by_one_nested_in_this_one() {
    static REGISTRY: Plugins = Plugins::new();
    static BUS: Bus = Bus::new();
    static LATER: Plugin = Plugin::new("later", &On(|e: &Will| said(&e.0, "later")));
    static GOES: Plugin = Plugin::new("goes", &On(|e: &Will| said(&e.0, "goes"))).priority(-1);
    static CHANGES: Plugin = Plugin::new("changes", &On(changes)).priority(1);
    fn changes(event: &Will) -> Result<(), BusStop> {
        event.0.push("changes");
        REGISTRY.remove("changes").expect("called once");
        REGISTRY.remove("goes").expect("not yet removed");
        REGISTRY.add(&LATER)?;
        event.0.push("[");
        BUS.publish_and_call_plugins(event, &REGISTRY).map_err(StoppedBy::into_error)?;
        event.0.push("]");
        Ok(())
    }
    REGISTRY.add_all(plugins![CHANGES, GOES]).unwrap();
    let will = Will(Log::new());
    BUS.publish_and_call_plugins(&will, &REGISTRY).unwrap();
    assert_eq!(will.0.take(), ["changes", "[", "later", "]", "goes"]);
    BUS.publish_and_call_plugins(&will, &REGISTRY).unwrap();
    assert_eq!(will.0.take(), ["later"]);
}

#[test]
fn a_plugin_may_subscribe() {
    static BUS: Bus = Bus::new();
    static SUBSCRIBES: Plugin = Plugin::new(
        "subscribes",
        &On(|_: &Did| {
            BUS.topic::<Did>().subscribe(|e: &Did| e.0.push("subscribed")).detach();
            Ok(())
        }),
    );
    let (registry, did) = (registry(&[&SUBSCRIBES]), Did(Log::new()));
    for seen in 0..3 {
        BUS.publish_and_call_plugins(&did, &registry).unwrap();
        assert_eq!(did.0.take().len(), seen);
    }
}

#[test]
fn a_plugin_that_publishes_without_end_is_stopped_at_the_limit() {
    static BUS: Bus = Bus::new();
    static REGISTRY: Plugins = Plugins::new();
    static AGAIN: Plugin = Plugin::new(
        "again",
        &On(|e: &Did| {
            e.0.push("again");
            BUS.publish_and_call_plugins(e, &REGISTRY).map_err(StoppedBy::into_error)
        }),
    );
    within(|| {
        let did = Did(Log::new());
        REGISTRY.add(&AGAIN).unwrap();
        for subscribers in 0..2 {
            // Without subscribers a publish looks at no limit, so the registry does.
            let _subs: Vec<_> = (0..subscribers).map(|_| BUS.subscribe(|_| ())).collect();
            REGISTRY.set_policy(Policy::Propagate);
            let publish = AssertUnwindSafe(|| BUS.publish_and_call_plugins(&did, &REGISTRY));
            let panic = catch_unwind(publish).unwrap_err();
            let message = panic.downcast_ref::<String>().expect("text");
            assert!(message.contains("inside") && message.contains("64"), "{message}");
            assert_eq!(did.0.take().len(), 64);

            REGISTRY.set_policy(Policy::Isolate);
            BUS.publish_and_call_plugins(&did, &REGISTRY).unwrap();
            assert_eq!((did.0.take().len(), REGISTRY.list()[0].failures), (64, 1 + subscribers));
        }
    });
}

#[test]
fn events_of_two_types_may_share_an_entry_point_and_each_has_its_own_plugins() {
    struct One(Log<&'static str>);
    struct Two(Log<&'static str>);
    event!(One: "test.one", entry_point = "test.plugins.shared");
    event!(Two: "test.two", entry_point = "test.plugins.shared");
    static ONE: Plugin = Plugin::new("1 one", &On(|e: &One| said(&e.0, "one")));
    static FAIL: Plugin = Plugin::new("2 fail", &On(|_: &Two| Err("two".into())));
    static OTHER: Plugin = Plugin::new("3 one", &On(|e: &One| said(&e.0, "one again")));
    static EVERY: Plugin = Plugin::any("4 every", "test.plugins.shared", |event| {
        event.downcast_ref::<One>().map_or(Ok(()), |one| said(&one.0, "every"))
    });
    let (bus, registry) = (Bus::new(), registry(plugins![EVERY, OTHER, FAIL, ONE]));
    let (one, two) = (One(Log::new()), Two(Log::new()));
    bus.publish_and_call_plugins(&one, &registry).unwrap();
    assert_eq!(one.0.take(), ["one", "one again", "every"]);
    let stopped = bus.publish_and_call_plugins(&two, &registry).unwrap_err();
    assert!(matches!(stopped, StoppedBy::Plugin { plugin, not_run: 1, .. } if plugin.name() == "2 fail"));
    assert!(two.0.take().is_empty());
}

#[test]
fn while_others_add_and_remove_each_publish_calls_the_plugins_of_one_snapshot() {
    const ROUNDS: usize = 2_000;
    let (registry, start) = (Arc::new(Plugins::new()), Arc::new(Barrier::new(3)));
    within(move || {
        thread::scope(|threads| {
            let writer = || {
                start.wait();
                for _ in 0..ROUNDS {
                    registry.add_all(plugins![WILL_A, WILL_B]).unwrap();
                    // One at a time, so `b` alone may be seen; `a` alone may not.
                    registry.remove("a").unwrap();
                    registry.remove("b").unwrap();
                }
            };
            let reader = || {
                let (bus, will) = (Bus::new(), Will(Log::new()));
                start.wait();
                for _ in 0..ROUNDS {
                    bus.publish_and_call_plugins(&will, &registry).unwrap();
                    let called = will.0.take();
                    assert!([&[][..], &["a", "b"], &["b"]].contains(&&*called), "{called:?}");
                }
            };
            threads.spawn(writer);
            threads.spawn(reader);
            threads.spawn(reader);
        });
        assert!(registry.list().is_empty());
    });
}

#[test]
fn of_many_writers_of_one_name_exactly_one_wins() {
    within(|| {
        let registry = Plugins::new();
        let start = Barrier::new(4);
        let added: usize = thread::scope(|threads| {
            let one = || {
                start.wait();
                usize::from(registry.add_all(plugins![WILL_A, WILL_B]).is_ok())
            };
            let all: Vec<_> = (0..4).map(|_| threads.spawn(one)).collect();
            all.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!((added, names(&registry)), (1, vec!["a", "b"]));
    });
}
