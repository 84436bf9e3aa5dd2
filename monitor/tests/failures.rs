//! A function that fails, panics or takes too long is told of on the monitor thread, and the thread lives; so it does when a
//! subscriber is no better.

#[path = "../../dispatch/tests/common/mod.rs"]
mod common;

use common::{Drops, HANG, Log, OnDrop};
use signalpost::monitor::{
    FunctionPanicked, Hub, Monitor, MonitorBuilder, MonitoringFunctionFailed, MonitoringFunctionSlow,
};
use signalpost::{BoxError, Bus, Topic};
use std::error::Error;
use std::fmt;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);
const MS: Duration = Duration::from_millis(1);

fn on(bus: &Arc<Bus>) -> MonitorBuilder {
    static NONE: signalpost::Plugins = signalpost::Plugins::new();
    Monitor::builder().bus(bus.clone()).plugins(&NONE)
}

/// Waits until the monitor has gone once through everything that is due.
fn lives(monitor: &Monitor) {
    let (called, calls) = mpsc::channel();
    let id = monitor.add_monitoring_function(move |_| called.send(()).unwrap_or_default(), MS).unwrap();
    for _ in 0..3 {
        calls.recv_timeout(HANG).unwrap();
    }
    monitor.remove(id);
}

/// Everything that is told of failures, with the thread that told it.
type Told = (Option<String>, u32, bool, String, thread::ThreadId);

fn failures(bus: &Bus) -> (signalpost::Subscription, mpsc::Receiver<Told>) {
    let (told, tells) = mpsc::channel();
    let topic: Topic<MonitoringFunctionFailed> = bus.topic();
    let sub = topic.subscribe(move |event| {
        let MonitoringFunctionFailed { function, error, failures, removed, .. } = event;
        let key = function.key.as_deref().map(str::to_owned);
        told.send((key, *failures, *removed, error.to_string(), thread::current().id())).unwrap_or_default();
    });
    (sub, tells)
}

#[test]
fn a_function_that_fails_is_told_of_counted_and_removed_at_last() {
    let bus = Arc::new(Bus::new());
    let (_sub, told) = failures(&bus);
    let monitor = on(&bus).failures_before_removal(3).start().unwrap();
    let (drops, mut n) = (Drops::new(), 0);
    let token = drops.token();
    let fails = move |_: &Hub| -> Result<(), BoxError> {
        token.touch();
        n += 1;
        Err(format!("number {n}").into())
    };
    monitor.add_monitoring_function_named("x", fails, Some(MS)).unwrap();
    for n in 1..=3 {
        let thread = monitor.thread_id().unwrap();
        let expected = (Some("x".into()), n, n == 3, format!("number {n}"), thread);
        assert_eq!(told.recv_timeout(HANG).unwrap(), expected);
    }
    lives(&monitor);
    assert!(monitor.functions().is_empty());
    assert_eq!((drops.alive(), told.try_recv()), (0, Err(mpsc::TryRecvError::Empty)));
}

#[test]
fn a_call_that_goes_well_between_begins_the_count_again() {
    let bus = Arc::new(Bus::new());
    let (_sub, told) = failures(&bus);
    let monitor = on(&bus).failures_before_removal(3).start().unwrap();
    let mut n = 0;
    let fails = move |_: &Hub| -> Result<(), BoxError> {
        n += 1;
        if n % 3 == 0 { Ok(()) } else { Err("on purpose".into()) }
    };
    monitor.add_monitoring_function(fails, MS).unwrap();
    for n in [1, 2, 1, 2, 1, 2] {
        let told = told.recv_timeout(HANG).unwrap();
        assert_eq!((told.1, told.2), (n, false));
    }
    lives(&monitor);
    let info = &monitor.functions()[0];
    assert!(info.failures >= 6 && info.runs > info.failures, "{info:?}");
}

#[test]
fn a_function_that_panics_is_told_of_and_called_again() {
    let bus = Arc::new(Bus::new());
    let (_sub, told) = failures(&bus);
    let monitor = on(&bus).failures_before_removal(u32::MAX).start().unwrap();
    let mut n = 0;
    let panics = move |_: &Hub| {
        n += 1;
        match n % 3 {
            0 => panic!("number {n}"),
            1 => panic!("text"),
            _ => std::panic::panic_any(n),
        }
    };
    monitor.add_monitoring_function(panics, MS).unwrap();
    let texts: Vec<_> = (0..4).map(|_| told.recv_timeout(HANG).unwrap().3).collect();
    assert_eq!(texts, ["panicked: text", "panicked", "panicked: number 3", "panicked: text"]);
    assert!(monitor.is_running());
}

#[test]
fn the_event_has_the_error_itself() {
    let bus = Arc::new(Bus::new());
    let (told, tells) = mpsc::channel();
    let _sub = bus.topic::<MonitoringFunctionFailed>().subscribe(move |event| {
        let panicked = event.error.downcast_ref::<FunctionPanicked>().cloned();
        told.send((panicked.map(|panicked| panicked.message), event.error.is::<std::io::Error>()))
            .unwrap_or_default();
    });
    let monitor = on(&bus).start().unwrap();
    let fails = |_: &Hub| -> Result<(), BoxError> { Err(std::io::Error::other("disk").into()) };
    monitor.add_monitoring_function(fails, HOUR).unwrap();
    assert_eq!(tells.recv_timeout(HANG).unwrap(), (None, true));
    monitor.add_monitoring_function(|_| panic!("on purpose"), HOUR).unwrap();
    assert_eq!(tells.recv_timeout(HANG).unwrap(), (Some(Some("on purpose".into())), false));
}

#[test]
fn a_function_that_takes_too_long_is_told_of_each_time_and_not_removed() {
    let bus = Arc::new(Bus::new());
    let (told, tells) = mpsc::channel();
    let _sub = bus.topic::<MonitoringFunctionSlow>().subscribe(move |event| {
        told.send((event.clone(), thread::current().id())).unwrap_or_default();
    });
    let monitor = on(&bus).slow_after(2 * MS).failures_before_removal(1).start().unwrap();
    let slow = |_: &Hub| thread::sleep(5 * MS);
    let id = monitor.add_monitoring_function_named("slow", slow, Some(MS)).unwrap().unwrap();
    for _ in 0..3 {
        let (event, thread) = tells.recv_timeout(HANG).unwrap();
        assert_eq!((event.function.id, event.limit, thread), (id, 2 * MS, monitor.thread_id().unwrap()));
        assert!(event.took >= 5 * MS, "{event}");
    }
    lives(&monitor);
    let info = &monitor.functions()[0];
    assert!(info.slow >= 3 && info.failures == 0 && info.longest_run >= 5 * MS, "{info:?}");
}

#[test]
fn a_function_that_is_fast_enough_is_not_told_of() {
    let bus = Arc::new(Bus::new());
    let log = Log::new();
    let seen = log.clone();
    let _sub = bus.topic::<MonitoringFunctionSlow>().subscribe(move |_| seen.push(()));
    let monitor = on(&bus).slow_after(HOUR).start().unwrap();
    monitor.add_monitoring_function(|_| thread::sleep(5 * MS), MS).unwrap();
    lives(&monitor);
    assert_eq!((log.len(), monitor.functions()[0].slow), (0, 0));
}

#[test]
fn subscribers_that_fail_or_panic_are_counted_and_the_thread_lives() {
    let bus = Arc::new(Bus::new());
    let log = Log::new();
    let seen = log.clone();
    let _sub = bus.topic::<MonitoringFunctionFailed>().subscribe(move |event| {
        seen.push(event.failures);
        if event.failures % 2 == 0 { panic!("on purpose") } else { Err(BoxError::from("on purpose")) }
    });
    let monitor = on(&bus).failures_before_removal(4).start().unwrap();
    monitor.add_monitoring_function(|_| panic!("on purpose"), MS).unwrap();
    while monitor.failed_reports() < 4 {
        lives(&monitor);
    }
    assert_eq!((log.take(), monitor.functions().len()), (vec![1, 2, 3, 4], 0));
}

/// An error, and a panic's payload, whose destructor panics.
struct Bad(#[allow(dead_code, reason = "dropped")] OnDrop);

impl Bad {
    fn new() -> Self {
        Self(OnDrop::new(|| panic!("in a destructor, on purpose")))
    }
}

impl fmt::Debug for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bad")
    }
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bad")
    }
}

impl Error for Bad {}

#[test]
fn destructors_that_panic_do_not_end_the_thread() {
    let bus = Arc::new(Bus::new());
    let (_sub, told) = failures(&bus);
    let monitor = on(&bus).failures_before_removal(2).start().unwrap();
    let captured = Bad::new();
    let mut n = 0;
    let fails = move |_: &Hub| -> Result<(), BoxError> {
        let _ = &captured;
        n += 1;
        if n == 1 { Err(Bad::new().into()) } else { std::panic::panic_any(Bad::new()) }
    };
    monitor.add_monitoring_function(fails, MS).unwrap();
    assert_eq!(told.recv_timeout(HANG).unwrap().3, "bad");
    assert_eq!(told.recv_timeout(HANG).unwrap().3, "panicked");
    lives(&monitor);
    assert!(monitor.functions().is_empty());
    monitor.stop(HANG).unwrap();
}

/// A `Display` that panics.
#[derive(Debug)]
struct Unsaid;

impl fmt::Display for Unsaid {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("cannot be shown, on purpose")
    }
}

impl Error for Unsaid {}

#[test]
fn an_error_that_cannot_be_shown_does_not_end_the_thread() {
    let monitor = on(&Arc::default()).start().unwrap(); // nobody listens: it is to be written
    monitor.add_monitoring_function(|_| Err(BoxError::from(Unsaid)), HOUR).unwrap();
    lives(&monitor);
    assert_eq!(monitor.failed_reports(), 1);
}

#[cfg(unix)]
#[test]
fn where_nobody_listens_the_first_failure_and_the_removal_are_written() {
    let name = "where_nobody_listens_the_first_failure_and_the_removal_are_written";
    let child = common::process::child(name, || {
        let monitor = on(&Arc::default()).failures_before_removal(3).slow_after(2 * MS).start().unwrap();
        let fails = |_: &Hub| -> Result<(), BoxError> {
            thread::sleep(3 * MS);
            Err("no disk".into())
        };
        monitor.add_monitoring_function_named("disk", fails, Some(MS)).unwrap();
        while !monitor.functions().is_empty() {
            lives(&monitor);
        }
        monitor.stop(HANG).unwrap();
    });
    child.succeeded();
    let lines: Vec<_> = child.output.lines().filter(|line| line.contains("signalpost monitor: ")).collect();
    assert_eq!(lines.len(), 3, "{}", child.output);
    assert!(lines[0].ends_with("failed for the 1st time in a row: no disk"), "{lines:?}");
    assert!(lines[1].contains("held up the monitor for"), "{lines:?}");
    assert!(lines[2].ends_with("failed for the 3rd time in a row, and was removed: no disk"), "{lines:?}");
}

#[cfg(unix)]
#[test]
fn where_a_subscriber_fails_that_is_written_once() {
    let child = common::process::child("where_a_subscriber_fails_that_is_written_once", || {
        let bus = Arc::new(Bus::new());
        let _sub = bus.topic::<MonitoringFunctionFailed>().subscribe(|_| Err(BoxError::from("no mail")));
        let monitor = on(&bus).failures_before_removal(4).start().unwrap();
        monitor.add_monitoring_function(|_| Err(BoxError::from("no disk")), MS).unwrap();
        while monitor.failed_reports() < 4 {
            lives(&monitor);
        }
    });
    child.succeeded();
    let lines: Vec<_> = child.output.lines().filter(|line| line.contains("signalpost monitor: ")).collect();
    assert_eq!(lines.len(), 1, "{}", child.output);
    assert!(lines[0].contains("said once") && lines[0].ends_with("no mail"), "{lines:?}");
}
