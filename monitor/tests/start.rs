//! How a monitor starts: all settings are checked together, and who wants to know is told by the caller of `start`.

#[path = "../../dispatch/tests/common/mod.rs"]
mod common;

use common::{HANG, Log, message};
use signalpost::monitor::{
    Hub, Monitor, MonitorBuilder, MonitorRef, MonitoringFunction, MonitoringFunctionFailed,
    PeriodicMonitorThread, PeriodicMonitorThreadStarted, SettingError, StartError,
};
use signalpost::{BoxError, Bus, Event, On, Plugin, Plugins, StoppedBy, entry_points, plugins};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);
static NONE: Plugins = Plugins::new();

fn on(bus: &Arc<Bus>) -> MonitorBuilder {
    Monitor::builder().bus(bus.clone()).plugins(&NONE)
}

#[test]
fn all_settings_are_checked_together_and_no_thread_is_started() {
    let bus = Arc::new(Bus::new());
    let started = Log::new();
    let log = started.clone();
    let _sub = bus.subscribe(move |event| log.push(event.name()));
    let long = "x".repeat(64) + "\0";
    let error = on(&bus)
        .thread_name(&*long)
        .slow_after(Duration::ZERO)
        .failures_before_removal(0)
        .start()
        .unwrap_err();
    let text = error.to_string();
    let StartError::Settings(errors) = error else { panic!("{error}") };
    assert_eq!(
        errors,
        [
            SettingError::ThreadNameHasNul { name: long.clone(), at: 64 },
            SettingError::ThreadNameTooLong { name: long, limit: 63 },
            SettingError::ZeroDuration { setting: "slow_after" },
            SettingError::ZeroCount { setting: "failures_before_removal" },
        ]
    );
    for part in ["NUL at byte 64", "at most 63", "slow_after is zero", "failures_before_removal is 0"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(started.len(), 0);
}

#[test]
fn names_of_one_byte_and_of_sixty_three_are_fine() {
    for name in ["x".to_owned(), "é".repeat(31) + "x"] {
        let monitor = on(&Arc::default()).thread_name(&*name).start().unwrap();
        assert_eq!(monitor.thread_name(), name);
        let (told, names) = mpsc::channel();
        let tell = move |_: &Hub| told.send(thread::current().name().map(str::to_owned)).unwrap_or_default();
        monitor.add_monitoring_function(tell, HOUR).unwrap();
        assert_eq!(names.recv_timeout(HANG).unwrap(), Some(name));
    }
}

#[test]
fn the_default_name_is_ours() {
    assert_eq!(on(&Arc::default()).start().unwrap().thread_name(), "signalpost-monitor");
}

#[test]
fn subscribers_are_told_on_the_callers_thread_with_the_monitors_running_already() {
    let bus = Arc::new(Bus::new());
    let log = Log::new();
    let seen = log.clone();
    let _sub = bus.topic::<PeriodicMonitorThreadStarted>().subscribe(move |started| {
        let (called, calls) = mpsc::channel();
        let tell = MonitoringFunction::new(move |_| called.send(thread::current().id()).unwrap_or_default());
        started.monitor.add_monitoring_function(tell, HOUR).unwrap();
        // A call comes while this subscriber still waits.
        seen.push((thread::current().id(), calls.recv_timeout(HANG).unwrap()));
    });
    let monitor = on(&bus).start().unwrap();
    let told = log.take();
    assert_eq!(told, [(thread::current().id(), monitor.thread_id().unwrap())]);
    assert_ne!(told[0].0, told[0].1);
}

#[test]
fn the_event_says_what_it_is() {
    assert_eq!(PeriodicMonitorThreadStarted::NAME, "signalpost.monitor.periodic_monitor_thread_started");
    let entry_point = PeriodicMonitorThreadStarted::ENTRY_POINT_NAME;
    assert_eq!(entry_point, Some(entry_points::PERIODIC_MONITOR_THREAD_STARTED));
    assert_eq!(entry_point, Some("signalpost.plugins.hub.periodic_monitor_thread_started"));
}

static ORDER: Mutex<Vec<&str>> = Mutex::new(Vec::new());

#[test]
fn plugins_are_called_after_the_subscribers() {
    static TOLD: Plugin = Plugin::new(
        "test.told",
        &On(|started: &PeriodicMonitorThreadStarted| {
            ORDER.lock().unwrap().push("plugin");
            let f = MonitoringFunction::new(|_| ());
            started.monitor.add_monitoring_function_named("the plugin's", f, Some(HOUR))?;
            Ok(())
        }),
    );
    static REGISTRY: Plugins = Plugins::new();
    REGISTRY.add_all(plugins![TOLD]).unwrap();
    let bus = Arc::new(Bus::new());
    let _sub = bus.subscribe(|_| ORDER.lock().unwrap().push("subscriber"));
    let monitor = Monitor::builder().bus(bus.clone()).plugins(&REGISTRY).start().unwrap();
    assert_eq!(*ORDER.lock().unwrap(), ["subscriber", "plugin"]);
    assert_eq!(monitor.functions()[0].name.key.as_deref(), Some("the plugin's"));
}

#[test]
fn an_error_of_a_plugin_is_returned_and_the_monitor_goes_on() {
    static BROKEN: Plugin =
        Plugin::new("test.broken", &On(|_: &PeriodicMonitorThreadStarted| Err(BoxError::from("no disk"))));
    static REGISTRY: Plugins = Plugins::new();
    REGISTRY.add_all(plugins![BROKEN]).unwrap();
    let error = Monitor::builder().bus(Arc::new(Bus::new())).plugins(&REGISTRY).start().unwrap_err();
    let StartError::StartedButStopped(both) = error else { panic!("{error}") };
    assert!(matches!(both.error, StoppedBy::Plugin { .. }), "{}", both.error);
    assert_eq!(both.error.error().to_string(), "no disk");
    assert!(both.monitor.is_running());
}

#[test]
fn an_error_of_a_subscriber_is_returned_and_the_monitor_goes_on() {
    let bus = Arc::new(Bus::new());
    let _sub = bus.topic::<PeriodicMonitorThreadStarted>().subscribe(|_| Err(BoxError::from("not now")));
    let error = on(&bus).start().unwrap_err();
    assert!(error.to_string().contains("has started, but"), "{error}");
    let monitor = error.into_monitor().unwrap();
    let (called, calls) = mpsc::channel();
    monitor
        .add_monitoring_function(move |_| called.send(()).unwrap_or_default(), Duration::from_millis(1))
        .unwrap();
    for _ in 0..3 {
        calls.recv_timeout(HANG).unwrap();
    }
    monitor.stop(HANG).unwrap();
}

#[test]
fn a_panic_of_a_subscriber_ends_the_monitor_and_goes_on_to_the_caller() {
    let bus = Arc::new(Bus::new());
    let kept: Arc<Mutex<Option<Arc<dyn PeriodicMonitorThread>>>> = Arc::default();
    let keep = kept.clone();
    let _sub = bus.topic::<PeriodicMonitorThreadStarted>().subscribe(move |started| {
        *keep.lock().unwrap() = Some(started.monitor.clone());
        panic!("on purpose");
    });
    let panic = catch_unwind(AssertUnwindSafe(|| on(&bus).start())).unwrap_err();
    assert_eq!(message(&*panic), "on purpose");
    let monitor = kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take().unwrap();
    monitor.stop(HANG).unwrap();
    assert!(!monitor.is_running());
}

#[test]
fn the_process_wide_bus_and_registry_are_the_defaults() {
    let (told, tells) = mpsc::channel();
    let _sub = signalpost::topic::<PeriodicMonitorThreadStarted>()
        .subscribe(move |_| told.send(()).unwrap_or_default());
    let monitor = Monitor::builder().start().unwrap();
    tells.recv_timeout(HANG).unwrap();
    assert!(std::ptr::eq(monitor.bus(), signalpost::bus()));
}

#[test]
fn a_static_bus_is_taken_as_it_is() {
    static BUS: Bus = Bus::named("monitored");
    let monitor = Monitor::builder().bus(&BUS).plugins(&NONE).start().unwrap();
    assert!(std::ptr::eq(monitor.bus(), &BUS));
}

#[test]
fn handles_and_events_can_go_to_other_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    fn sent<T: Send + 'static>() {}
    shared::<Monitor>();
    shared::<MonitorRef>();
    shared::<StartError>();
    shared::<PeriodicMonitorThreadStarted>();
    shared::<MonitoringFunctionFailed>();
    sent::<MonitorBuilder>();
    sent::<MonitoringFunction>();
}
