//! How a monitor ends: it says who is still running, and nobody waits who did not ask to.

#[path = "../../dispatch/tests/common/mod.rs"]
mod common;

use common::{Drops, HANG, OnDrop, Stay};
use signalpost::monitor::{
    Activity, Hub, Monitor, MonitorRef, MonitoringFunctionFailed, PeriodError, StopError,
};
use signalpost::{BoxError, Bus, Event};
use std::sync::{Arc, mpsc};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);
static NONE: signalpost::Plugins = signalpost::Plugins::new();

fn on(bus: &Arc<Bus>) -> Monitor {
    Monitor::builder().bus(bus.clone()).plugins(&NONE).start().unwrap()
}

fn alone() -> Monitor {
    on(&Arc::default())
}

#[test]
fn an_idle_monitor_stops_and_lets_go_of_what_its_functions_captured() {
    let (monitor, drops) = (alone(), Drops::new());
    let (called, calls) = mpsc::channel();
    for _ in 0..3 {
        let (token, called) = (drops.token(), called.clone());
        let f = move |_: &Hub| {
            token.touch();
            let _ = called.send(());
        };
        monitor.add_monitoring_function(f, HOUR).unwrap();
        calls.recv_timeout(HANG).unwrap();
    }
    let thread = monitor.thread_id().unwrap();
    monitor.stop(HANG).unwrap();
    assert_eq!((drops.alive(), drops.by()), (0, vec![thread; 3]));
    assert!(!monitor.is_running() && monitor.functions().is_empty());
    monitor.stop(Duration::ZERO).unwrap(); // it has ended
    monitor.stop(HANG).unwrap();
}

#[test]
fn a_monitor_that_keeps_a_handle_of_itself_is_let_go_of() {
    let (monitor, drops) = (alone(), Drops::new());
    let (token, own) = (drops.token(), (*monitor).clone());
    let f = move |_: &Hub| {
        token.touch();
        assert!(own.is_running());
    };
    monitor.add_monitoring_function(f, HOUR).unwrap();
    let handle: MonitorRef = (*monitor).clone();
    drop(monitor);
    handle.stop(HANG).unwrap();
    assert_eq!(drops.alive(), 0);
}

#[test]
fn stop_says_which_function_is_still_running() {
    let (monitor, stay) = (alone(), Stay::new());
    let here = stay.clone();
    let id =
        monitor.add_monitoring_function_named("stays", move |_| here.here(), Some(HOUR)).unwrap().unwrap();
    let (called, calls) = mpsc::channel();
    stay.entered.wait();
    // Due at once, and never called.
    monitor.add_monitoring_function(move |_| called.send(()).unwrap_or_default(), HOUR).unwrap();
    let error = monitor.stop(Duration::from_millis(5)).unwrap_err();
    assert!(
        error.to_string().starts_with("the monitor ends when the function stays (monitor/tests/stop.rs:"),
        "{error}"
    );
    let StopError::StillRunning { activity: Some(Activity::Function(name)), running_for } = error else {
        panic!("{error}");
    };
    assert_eq!(name.id, id);
    assert!(running_for >= Duration::from_millis(5), "{running_for:?}");
    assert!(monitor.is_running());
    assert_eq!(monitor.add_monitoring_function(|_| (), HOUR), Err(PeriodError::MonitorEnded));
    stay.leave.open();
    monitor.stop(HANG).unwrap();
    assert_eq!(calls.recv_timeout(HANG), Err(mpsc::RecvTimeoutError::Disconnected));
}

#[test]
fn stop_says_whose_subscriber_is_still_running() {
    let (bus, stay) = (Arc::new(Bus::new()), Stay::new());
    let here = stay.clone();
    let _sub = bus.topic::<MonitoringFunctionFailed>().subscribe(move |_| here.here());
    let monitor = on(&bus);
    monitor.add_monitoring_function(|_| Err(BoxError::from("on purpose")), HOUR).unwrap();
    stay.entered.wait();
    let error = monitor.stop(Duration::ZERO).unwrap_err();
    let StopError::StillRunning { activity, .. } = &error else { panic!("{error}") };
    assert_eq!(*activity, Some(Activity::Subscribers(MonitoringFunctionFailed::NAME)));
    assert!(
        error.to_string().contains("a subscriber of signalpost.monitor.monitoring_function_failed returns")
    );
    stay.leave.open();
    monitor.stop(HANG).unwrap();
}

#[test]
fn stop_from_inside_a_function_tells_and_does_not_wait() {
    let monitor = alone();
    let (told, tells) = mpsc::channel();
    let stops = move |hub: &Hub| told.send(hub.monitor().stop(HOUR)).unwrap_or_default();
    monitor.add_monitoring_function(stops, HOUR).unwrap();
    assert_eq!(tells.recv_timeout(HANG).unwrap(), Err(StopError::OnMonitorThread));
    monitor.stop(HANG).unwrap();
}

#[test]
fn stop_from_inside_a_subscriber_tells_and_does_not_wait() {
    let (bus, (told, tells)) = (Arc::new(Bus::new()), mpsc::channel());
    let monitor = on(&bus);
    let own = (*monitor).clone();
    let _sub = bus
        .topic::<MonitoringFunctionFailed>()
        .subscribe(move |_| told.send(own.stop(HOUR)).unwrap_or_default());
    monitor.add_monitoring_function(|_| Err(BoxError::from("on purpose")), HOUR).unwrap();
    assert_eq!(tells.recv_timeout(HANG).unwrap(), Err(StopError::OnMonitorThread));
    monitor.stop(HANG).unwrap();
}

#[test]
fn drop_tells_it_to_end_and_waits_for_nothing() {
    let (monitor, stay, drops) = (alone(), Stay::new(), Drops::new());
    let (here, token) = (stay.clone(), drops.token());
    let stays = move |_: &Hub| {
        here.here();
        token.touch();
    };
    monitor.add_monitoring_function(stays, HOUR).unwrap();
    let handle = (*monitor).clone();
    stay.entered.wait();
    drop(monitor); // the function stays, and this returns
    assert_eq!((handle.is_running(), drops.alive()), (true, 1));
    stay.leave.open();
    handle.stop(HANG).unwrap();
    assert_eq!((handle.is_running(), drops.alive()), (false, 0));
}

#[test]
fn drop_on_the_monitor_thread_does_not_hang() {
    let monitor = alone();
    let handle = (*monitor).clone();
    let (drop_it, it) = mpsc::channel::<Monitor>();
    handle.add_monitoring_function(move |_| drop(it.recv()), HOUR).unwrap();
    drop_it.send(monitor).unwrap();
    handle.stop(HANG).unwrap();
}

#[test]
fn a_detached_monitor_runs_until_it_is_told_to_end() {
    let handle = alone().detach();
    let (called, calls) = mpsc::channel();
    handle
        .add_monitoring_function(move |_| called.send(()).unwrap_or_default(), Duration::from_millis(1))
        .unwrap();
    for _ in 0..3 {
        calls.recv_timeout(HANG).unwrap();
    }
    handle.request_stop();
    handle.stop(HANG).unwrap();
    assert!(!handle.is_running());
}

#[test]
fn handles_of_a_monitor_that_has_ended_do_nothing() {
    let (monitor, drops) = (alone(), Drops::new());
    let id = monitor.add_monitoring_function(|_| (), HOUR).unwrap();
    monitor.stop(HANG).unwrap();
    let token = drops.token();
    let refused = monitor.add_monitoring_function_named("x", move |_| token.touch(), Some(HOUR));
    assert_eq!((refused, drops.alive()), (Err(PeriodError::MonitorEnded), 0));
    assert_eq!(monitor.add_monitoring_function_named("x", |_| (), None), Ok(None));
    assert_eq!((monitor.set_period(id, Some(HOUR)), monitor.remove(id)), (Ok(false), false));
    assert!(!monitor.on_monitor_thread());
    monitor.request_stop();
}

#[test]
fn destructors_that_call_the_monitor_or_panic_hold_up_nothing() {
    let (monitor, drops) = (alone(), Drops::new());
    let (own, token) = ((*monitor).clone(), drops.token());
    let calls = OnDrop::new(move || {
        own.functions();
        assert_eq!(own.add_monitoring_function(|_| (), HOUR), Err(PeriodError::MonitorEnded));
        assert_eq!(own.stop(HOUR), Err(StopError::OnMonitorThread));
        drop(token);
    });
    let panics = OnDrop::new(|| panic!("on purpose"));
    monitor.add_monitoring_function(move |_| panics.touch(), HOUR).unwrap();
    monitor.add_monitoring_function(move |_| calls.touch(), HOUR).unwrap();
    monitor.stop(HANG).unwrap();
    assert_eq!(drops.alive(), 0);
}
