//! What a monitor calls: added, changed and removed from anywhere, also from inside a function; seen at once.

#[path = "../../dispatch/tests/common/mod.rs"]
mod common;

use common::{Drops, HANG, Later, Log, Stay};
use signalpost::Bus;
use signalpost::monitor::{
    Hub, Monitor, MonitorBuilder, MonitoringFunction, PeriodError, PeriodicMonitorThread,
};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);
const MS: Duration = Duration::from_millis(1);

fn alone() -> MonitorBuilder {
    static NONE: signalpost::Plugins = signalpost::Plugins::new();
    Monitor::builder().bus(Arc::new(Bus::new())).plugins(&NONE)
}

fn keys(monitor: &Monitor) -> Vec<(String, Duration)> {
    let of = |info: &signalpost::monitor::FunctionInfo| {
        (info.name.key.as_deref().unwrap_or("-").to_owned(), info.period)
    };
    monitor.functions().iter().map(of).collect()
}

/// Runs `f` on the monitor thread, and waits until it has returned: whatever it adds is due together.
fn inside(monitor: &Monitor, mut f: impl FnMut(&Hub) + Send + 'static) {
    let (done, ends) = mpsc::channel();
    let once = move |hub: &Hub| {
        f(hub);
        hub.monitor().remove(hub.function());
        let _ = done.send(());
    };
    monitor.add_monitoring_function(once, HOUR).unwrap();
    ends.recv_timeout(HANG).unwrap();
}

#[test]
fn a_function_is_called_at_once_and_then_periodically_on_the_monitor_thread() {
    let monitor = alone().start().unwrap();
    let (called, calls) = mpsc::channel();
    monitor
        .add_monitoring_function(move |_| called.send(thread::current().id()).unwrap_or_default(), MS)
        .unwrap();
    for _ in 0..5 {
        assert_eq!(calls.recv_timeout(HANG).unwrap(), monitor.thread_id().unwrap());
    }
}

#[test]
fn a_sleeping_thread_is_woken_for_what_is_new() {
    let monitor = alone().start().unwrap();
    for _ in 0..50 {
        let (called, calls) = mpsc::channel();
        monitor.add_monitoring_function(move |_| called.send(()).unwrap_or_default(), HOUR).unwrap();
        calls.recv_timeout(HANG).unwrap();
    }
    assert_eq!(monitor.functions().len(), 50);
}

#[test]
fn a_sleeping_thread_is_woken_for_a_shorter_period() {
    let monitor = alone().start().unwrap();
    let (called, calls) = mpsc::channel();
    let id = monitor.add_monitoring_function(move |_| called.send(()).unwrap_or_default(), HOUR).unwrap();
    calls.recv_timeout(HANG).unwrap();
    assert_eq!(monitor.set_period(id, Some(MS)), Ok(true));
    for _ in 0..3 {
        calls.recv_timeout(HANG).unwrap();
    }
}

#[test]
fn the_first_call_can_be_a_period_later() {
    let monitor = alone().first_call_at_once(false).start().unwrap();
    let log = Log::new();
    let (hour, often) = (log.clone(), log.clone());
    let (called, calls) = mpsc::channel();
    monitor.add_monitoring_function(move |_| hour.push("hour"), HOUR).unwrap();
    let tell = move |_: &Hub| {
        often.push("often");
        let _ = called.send(());
    };
    monitor.add_monitoring_function(tell, MS).unwrap();
    for _ in 0..3 {
        calls.recv_timeout(HANG).unwrap();
    }
    assert!(log.take().iter().all(|name| *name == "often"));
}

#[test]
fn what_cannot_be_is_refused_and_nothing_changes() {
    let monitor = alone().start().unwrap();
    let id = monitor.add_monitoring_function_named("a", |_| (), Some(HOUR)).unwrap().unwrap();
    let before = keys(&monitor);
    let dropped = Drops::new();
    let token = dropped.token();
    assert_eq!(
        monitor.add_monitoring_function(move |_| token.touch(), Duration::ZERO),
        Err(PeriodError::Zero)
    );
    assert_eq!(dropped.alive(), 0);
    let zero = monitor.add_monitoring_function_named("a", |_| (), Some(Duration::ZERO));
    assert_eq!(zero, Err(PeriodError::Zero));
    assert_eq!(monitor.set_period(id, Some(Duration::ZERO)), Err(PeriodError::Zero));
    assert_eq!(keys(&monitor), before);
    // Removing what is not there is no error.
    assert_eq!(monitor.add_monitoring_function_named("b", |_| (), None), Ok(None));
    assert!(!monitor.remove_named("b"));
    assert_eq!(keys(&monitor), before);
    assert_eq!(monitor.set_period(id, None), Ok(true));
    assert_eq!(monitor.set_period(id, None), Ok(false));
    assert_eq!(monitor.set_period(id, Some(HOUR)), Ok(false));
    assert!(!monitor.remove(id));
    assert_eq!(keys(&monitor), []);
}

#[test]
fn a_key_is_an_identity_new_function_new_period_same_place_never_called() {
    let monitor = alone().start().unwrap();
    let (called, calls) = mpsc::channel();
    let tell = |name: &'static str| {
        let called = called.clone();
        move |_: &Hub| called.send(name).unwrap_or_default()
    };
    let one = monitor.add_monitoring_function_named("a", tell("a1"), Some(HOUR)).unwrap();
    assert_eq!(calls.recv_timeout(HANG).unwrap(), "a1");
    monitor.add_monitoring_function(tell("unnamed"), HOUR).unwrap();
    assert_eq!(calls.recv_timeout(HANG).unwrap(), "unnamed");
    monitor.add_monitoring_function_named("b", tell("b"), Some(HOUR)).unwrap();
    assert_eq!(calls.recv_timeout(HANG).unwrap(), "b");
    // The same period: called at once all the same, by its new function.
    let two = monitor.add_monitoring_function_named("a", tell("a2"), Some(HOUR)).unwrap();
    assert_eq!(calls.recv_timeout(HANG).unwrap(), "a2");
    assert_ne!(one, two);
    assert!(!monitor.remove(one.unwrap()), "the id was that of the registration before");
    monitor.add_monitoring_function_named("a", tell("a3"), Some(2 * HOUR)).unwrap();
    assert_eq!(calls.recv_timeout(HANG).unwrap(), "a3");
    assert_eq!(keys(&monitor), [("a".into(), 2 * HOUR), ("-".into(), HOUR), ("b".into(), HOUR)]);
    // Removed and added again: last.
    assert_eq!(monitor.add_monitoring_function_named("a", tell("no"), None), Ok(None));
    monitor.add_monitoring_function_named("a", tell("a4"), Some(HOUR)).unwrap();
    assert_eq!(calls.recv_timeout(HANG).unwrap(), "a4");
    assert_eq!(keys(&monitor), [("-".into(), HOUR), ("b".into(), HOUR), ("a".into(), HOUR)]);
}

#[test]
fn functions_due_together_are_called_in_order_and_a_replaced_one_in_its_old_place() {
    let monitor = alone().start().unwrap();
    let log = Log::new();
    let (done, ends) = mpsc::channel();
    let push = log.clone();
    inside(&monitor, move |hub| {
        let say = |name: &'static str| {
            let log = push.clone();
            move |_: &Hub| log.push(name)
        };
        for key in ["a", "b", "c"] {
            hub.monitor().add_monitoring_function_named(key, say("no"), Some(HOUR)).unwrap();
        }
        for key in ["c", "a", "b"] {
            hub.monitor().add_monitoring_function_named(key, say(key), Some(HOUR)).unwrap();
        }
        let done = done.clone();
        hub.monitor().add_monitoring_function(move |_| done.send(()).unwrap_or_default(), HOUR).unwrap();
    });
    ends.recv_timeout(HANG).unwrap();
    assert_eq!(log.take(), ["a", "b", "c"]);
}

#[test]
fn a_function_removed_by_an_earlier_one_of_the_same_turn_is_not_called() {
    let monitor = alone().start().unwrap();
    let (log, drops) = (Log::new(), Drops::new());
    let (done, ends) = mpsc::channel();
    let (push, token) = (log.clone(), drops.clone());
    inside(&monitor, move |hub| {
        let (first, second, token) = (push.clone(), push.clone(), token.token());
        let removes = move |hub: &Hub| {
            first.push("removes");
            assert!(hub.monitor().remove_named("removed"));
            hub.monitor().add_monitoring_function_named("replaced", |_| (), Some(HOUR)).unwrap();
        };
        let removed = move |_: &Hub| {
            token.touch();
            second.push("removed");
        };
        let old = push.clone();
        hub.monitor().add_monitoring_function(removes, HOUR).unwrap();
        hub.monitor().add_monitoring_function_named("removed", removed, Some(HOUR)).unwrap();
        hub.monitor()
            .add_monitoring_function_named("replaced", move |_| old.push("old"), Some(HOUR))
            .unwrap();
        let done = done.clone();
        hub.monitor().add_monitoring_function(move |_| done.send(()).unwrap_or_default(), HOUR).unwrap();
    });
    ends.recv_timeout(HANG).unwrap();
    assert_eq!((log.take(), drops.alive()), (vec!["removes"], 0));
}

#[test]
fn a_function_can_remove_replace_and_slow_down_itself() {
    let monitor = alone().start().unwrap();
    let (called, calls) = mpsc::channel();
    // By its period; the closure is dropped when it has returned.
    let (own, drops) = (Later::new(), Drops::new());
    let (token, this, tell) = (drops.token(), own.clone(), called.clone());
    let ends = move |hub: &Hub| {
        let id: signalpost::monitor::FunctionId = *this.get();
        assert_eq!(hub.function(), id);
        assert_eq!(hub.monitor().set_period(id, None), Ok(true));
        token.touch();
        let _ = tell.send("ended");
    };
    own.set(monitor.add_monitoring_function(ends, MS).unwrap());
    assert_eq!(calls.recv_timeout(HANG).unwrap(), "ended");
    // By its key.
    let tell = called.clone();
    let replaces = move |hub: &Hub| {
        let tell = tell.clone();
        hub.monitor()
            .add_monitoring_function_named("x", move |_| tell.send("new").unwrap_or_default(), Some(HOUR))
            .unwrap();
    };
    monitor.add_monitoring_function_named("x", replaces, Some(HOUR)).unwrap();
    assert_eq!(calls.recv_timeout(HANG).unwrap(), "new");
    assert_eq!(drops.alive(), 0, "another function has been called since");
    // From every millisecond to every hour.
    let slows = move |hub: &Hub| {
        hub.monitor().set_period(hub.function(), Some(HOUR)).unwrap();
        let _ = called.send("slowed");
    };
    let id = monitor.add_monitoring_function(slows, MS).unwrap();
    assert_eq!(calls.recv_timeout(HANG).unwrap(), "slowed");
    inside(&monitor, |_| ());
    let info = monitor.functions().into_iter().find(|info| info.name.id == id).unwrap();
    assert_eq!((info.period, info.runs), (HOUR, 1));
}

#[test]
fn a_function_removed_while_it_is_called_ends_its_call_and_is_then_dropped() {
    let monitor = alone().start().unwrap();
    let (stay, drops) = (Stay::new(), Drops::new());
    let (here, token) = (stay.clone(), drops.token());
    let stays = move |_: &Hub| {
        here.here();
        token.touch();
    };
    let id = monitor.add_monitoring_function(stays, MS).unwrap();
    stay.entered.wait();
    assert!(monitor.remove(id), "waits for nobody");
    assert_eq!((monitor.functions().len(), drops.alive()), (0, 1));
    stay.leave.open();
    inside(&monitor, |_| ());
    assert_eq!((drops.alive(), drops.by()), (0, vec![monitor.thread_id().unwrap()]));
}

#[test]
fn a_function_that_is_not_called_is_dropped_by_who_removes_it() {
    let monitor = alone().first_call_at_once(false).start().unwrap();
    let drops = Drops::new();
    let (one, two) = (drops.token(), drops.token());
    monitor.add_monitoring_function_named("x", move |_| one.touch(), Some(HOUR)).unwrap();
    monitor.add_monitoring_function_named("x", move |_| two.touch(), Some(HOUR)).unwrap();
    assert_eq!(drops.alive(), 1);
    assert!(monitor.remove_named("x"));
    assert_eq!((drops.alive(), drops.by()), (0, vec![thread::current().id(); 2]));
}

#[test]
fn the_hub_gives_the_monitor_and_the_bus() {
    let bus = Arc::new(Bus::named("hub"));
    let monitor = Monitor::builder().bus(bus.clone()).start().unwrap();
    let ours = Arc::as_ptr(&bus) as usize;
    let (told, tells) = mpsc::channel();
    inside(&monitor, move |hub| {
        let same = std::ptr::from_ref(hub.bus()) as usize == ours;
        let _ = told.send((same, hub.monitor().on_monitor_thread(), hub.monitor().is_running()));
    });
    assert_eq!(tells.recv_timeout(HANG).unwrap(), (true, true, true));
    assert!(!monitor.on_monitor_thread());
}

#[test]
fn the_list_says_what_is_known_of_each() {
    let monitor = alone().first_call_at_once(false).start().unwrap();
    let line = line!() + 1;
    let id = monitor.add_monitoring_function_named("disk", |_| (), Some(HOUR)).unwrap().unwrap();
    let info = &monitor.functions()[0];
    assert_eq!((info.name.id, info.name.key.as_deref()), (id, Some("disk")));
    assert_eq!((info.name.location.line(), info.name.location.file()), (line, file!()));
    assert_eq!((info.runs, info.failures, info.slow, info.longest_run), (0, 0, 0, Duration::ZERO));
    assert!(info.last_run.is_none() && info.period == HOUR);
    let before = std::time::Instant::now();
    monitor.set_period(id, Some(MS)).unwrap();
    let (called, calls) = mpsc::channel();
    monitor.add_monitoring_function(move |_| called.send(()).unwrap_or_default(), MS).unwrap();
    calls.recv_timeout(HANG).unwrap();
    calls.recv_timeout(HANG).unwrap();
    let info = &monitor.functions()[0];
    assert!(info.runs > 0 && info.last_run.unwrap() > before, "{info:?}");
    assert_eq!(info.name.to_string(), format!("disk ({}:{line}:{})", file!(), info.name.location.column()));
}

#[test]
fn the_trait_does_what_the_handle_does() {
    let monitor = alone().start().unwrap();
    let dynamic: Arc<dyn PeriodicMonitorThread> = Arc::new((*monitor).clone());
    let (called, calls) = mpsc::channel();
    let tell = |name: &'static str| {
        let called = called.clone();
        MonitoringFunction::new(move |_| called.send(name).unwrap_or_default())
    };
    let id = dynamic.add_monitoring_function(tell("one"), HOUR).unwrap();
    assert_eq!(calls.recv_timeout(HANG).unwrap(), "one");
    dynamic.add_monitoring_function_named("two", tell("two"), Some(HOUR)).unwrap();
    assert_eq!(calls.recv_timeout(HANG).unwrap(), "two");
    assert_eq!(dynamic.set_period(id, Some(2 * HOUR)), Ok(true));
    assert_eq!(dynamic.functions()[0].period, 2 * HOUR);
    assert!(dynamic.remove(id) && dynamic.is_running());
    dynamic.request_stop();
    dynamic.stop(HANG).unwrap();
    assert_eq!(dynamic.add_monitoring_function(tell("no"), HOUR), Err(PeriodError::MonitorEnded));
}

#[test]
fn periods_of_a_nanosecond_and_of_all_time_go_together() {
    let monitor = alone().start().unwrap();
    let (called, calls) = mpsc::channel();
    let (often, never) = (called.clone(), called);
    monitor
        .add_monitoring_function(move |_| often.send("often").unwrap_or_default(), Duration::from_nanos(1))
        .unwrap();
    monitor.add_monitoring_function(move |_| never.send("once").unwrap_or_default(), Duration::MAX).unwrap();
    let mut seen = Vec::new();
    while seen.len() < 1_000 || !seen.contains(&"once") {
        seen.push(calls.recv_timeout(HANG).unwrap());
    }
    monitor.stop(HANG).unwrap();
    seen.extend(calls.try_iter());
    assert_eq!(seen.iter().filter(|name| **name == "once").count(), 1);
}

#[test]
fn thousands_of_functions_from_many_threads_are_all_called_and_removed() {
    let monitor = alone().start().unwrap();
    let (drops, (called, calls)) = (Drops::new(), mpsc::channel());
    thread::scope(|scope| {
        for thread in 0..4 {
            let (monitor, drops, called) = (&monitor, &drops, called.clone());
            scope.spawn(move || {
                for n in 0..500 {
                    let (token, called) = (drops.token(), called.clone());
                    let f = move |_: &Hub| {
                        token.touch();
                        let _ = called.send((thread, n));
                    };
                    monitor.add_monitoring_function(f, HOUR).unwrap();
                }
            });
        }
    });
    let mut seen: Vec<(i32, i32)> = (0..2_000).map(|_| calls.recv_timeout(HANG).unwrap()).collect();
    seen.sort_unstable();
    seen.dedup();
    let list = monitor.functions();
    assert_eq!((seen.len(), list.len()), (2_000, 2_000));
    thread::scope(|scope| {
        for part in list.chunks(500) {
            scope.spawn(|| part.iter().for_each(|info| assert!(monitor.remove(info.name.id))));
        }
    });
    monitor.stop(HANG).unwrap();
    assert_eq!((drops.alive(), drops.made()), (0, 2_000));
}
