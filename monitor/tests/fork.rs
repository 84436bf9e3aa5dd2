//! A forked child has the functions and no thread: its first call starts one, which goes on with the same deadlines.
#![cfg(target_os = "linux")]

#[path = "../../dispatch/tests/common/mod.rs"]
mod common;

use common::process::{child, fork, join};
use common::{Gate, HANG, Stay};
use signalpost::Bus;
use signalpost::monitor::{
    EventLoopBlocked, ForkedWhileRunning, Hub, Monitor, MonitorRef, MonitoringFunctionFailed, PeriodError,
};
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3_600);
const MS: Duration = Duration::from_millis(1);

fn alone() -> Monitor {
    on(&Arc::default())
}

fn on(bus: &Arc<Bus>) -> Monitor {
    static NONE: signalpost::Plugins = signalpost::Plugins::new();
    Monitor::builder().bus(bus.clone()).plugins(&NONE).start().unwrap()
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

/// Waits until something is so.
fn until(is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < HANG, "hangs");
        thread::sleep(MS);
    }
}

/// Everything that a program does with a monitor.
fn use_all_of(monitor: &MonitorRef) {
    let before = monitor.functions().len();
    assert!(monitor.is_running() && !monitor.on_monitor_thread());
    let (called, calls) = mpsc::channel();
    let tell = move |_: &Hub| called.send(thread::current().id()).unwrap_or_default();
    let id = monitor.add_monitoring_function(tell, MS).unwrap();
    for _ in 0..3 {
        assert_eq!(Some(calls.recv_timeout(HANG).unwrap()), monitor.thread_id());
    }
    assert_eq!(monitor.set_period(id, Some(HOUR)), Ok(true));
    assert!(monitor.remove(id));
    assert_eq!(monitor.functions().len(), before);
    let gate = Gate::new();
    let opens = gate.clone();
    monitor.add_monitoring_function_named("use", move |_| opens.open(), Some(HOUR)).unwrap();
    gate.wait();
    assert!(monitor.remove_named("use"));
}

#[test]
fn a_child_has_no_thread_until_it_asks_for_something() {
    child("a_child_has_no_thread_until_it_asks_for_something", || {
        let monitor = alone();
        use_all_of(&monitor);
        join(fork(|| {
            assert_eq!(threads(), 1, "no fork handler starts one");
            assert!(monitor.is_running());
            assert_eq!(threads(), 2);
            use_all_of(&monitor);
            monitor.stop(HANG).unwrap();
            until(|| threads() == 1);
        }));
        use_all_of(&monitor);
        monitor.stop(HANG).unwrap();
    })
    .succeeded();
}

#[test]
fn a_child_goes_on_with_the_same_functions_and_times() {
    child("a_child_goes_on_with_the_same_functions_and_times", || {
        let monitor = alone();
        let (hourly, often) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let (hours, calls) = (hourly.clone(), often.clone());
        let count = move |_: &Hub| {
            hours.fetch_add(1, SeqCst);
        };
        monitor.add_monitoring_function_named("hourly", count, Some(HOUR)).unwrap();
        let count = move |_: &Hub| {
            calls.fetch_add(1, SeqCst);
        };
        monitor.add_monitoring_function_named("often", count, Some(MS)).unwrap();
        until(|| hourly.load(SeqCst) == 1 && often.load(SeqCst) > 3);
        join(fork(|| {
            let before = often.load(SeqCst);
            let names: Vec<_> = monitor
                .functions()
                .into_iter()
                .map(|info| (info.name.key.unwrap().to_string(), info.period))
                .collect();
            assert_eq!(names, [("hourly".to_owned(), HOUR), ("often".to_owned(), MS)]);
            until(|| often.load(SeqCst) > before + 3);
            assert_eq!(hourly.load(SeqCst), 1, "its next call is an hour after the one in the parent");
            assert_eq!(monitor.functions()[0].runs, 1);
        }));
    })
    .succeeded();
}

#[test]
fn a_function_that_was_being_called_at_the_fork_is_removed_in_the_child_with_an_event() {
    child("a_function_that_was_being_called_at_the_fork_is_removed_in_the_child_with_an_event", || {
        let (bus, stay, told) = (Arc::new(Bus::new()), Stay::new(), Arc::new(AtomicU32::new(0)));
        let tell = told.clone();
        let _sub = bus.topic::<MonitoringFunctionFailed>().subscribe(move |event| {
            assert!(event.removed && event.error.is::<ForkedWhileRunning>());
            assert_eq!(event.function.key.as_deref(), Some("stays"));
            tell.fetch_add(1, SeqCst);
        });
        let monitor = on(&bus);
        let here = stay.clone();
        monitor.add_monitoring_function_named("stays", move |_| here.here(), Some(HOUR)).unwrap();
        stay.entered.wait();
        join(fork(|| {
            assert!(monitor.is_running());
            until(|| told.load(SeqCst) == 1);
            assert_eq!((monitor.functions().len(), monitor.failed_reports()), (0, 0));
            use_all_of(&monitor);
            monitor.stop(HANG).unwrap();
        }));
        // It is removable in a child before the child's thread comes to it.
        join(fork(|| {
            assert!(monitor.remove_named("stays"));
            use_all_of(&monitor);
        }));
        // And no reason for a child not to end the monitor.
        join(fork(|| monitor.stop(HANG).unwrap()));
        stay.leave.open();
        use_all_of(&monitor);
        assert_eq!((monitor.functions().len(), told.load(SeqCst)), (1, 0));
    })
    .succeeded();
}

#[test]
fn children_of_children_and_children_forked_by_other_threads_go_on_too() {
    child("children_of_children_and_children_forked_by_other_threads_go_on_too", || {
        let monitor = alone();
        for looks in [true, false] {
            join(fork(|| {
                if looks {
                    use_all_of(&monitor);
                }
                join(fork(|| use_all_of(&monitor)));
                // It owns what it uses: the stack that others would lend it is used again in its child.
                let theirs = (*monitor).clone();
                thread::spawn(move || join(fork(|| use_all_of(&theirs)))).join().unwrap();
                use_all_of(&monitor);
            }));
        }
        use_all_of(&monitor);
    })
    .succeeded();
}

#[test]
fn a_monitor_that_has_ended_stays_so_in_a_child_and_one_ended_there_goes_on_in_the_parent() {
    let name = "a_monitor_that_has_ended_stays_so_in_a_child_and_one_ended_there_goes_on_in_the_parent";
    child(name, || {
        let (ended, lives) = (alone(), alone());
        ended.stop(HANG).unwrap();
        join(fork(|| {
            assert!(!ended.is_running() && ended.thread_id().is_none());
            assert_eq!(ended.add_monitoring_function(|_| (), MS), Err(PeriodError::MonitorEnded));
            ended.stop(HANG).unwrap();
            // Told to end before it ever was here.
            lives.request_stop();
            assert!(!lives.is_running());
            lives.stop(HANG).unwrap();
            assert_eq!(lives.add_monitoring_function(|_| (), MS), Err(PeriodError::MonitorEnded));
            drop(lives);
            assert_eq!(threads(), 1);
        }));
    })
    .succeeded();
}

#[test]
fn threads_of_a_child_that_ask_at_the_same_time_start_one_thread() {
    child("threads_of_a_child_that_ask_at_the_same_time_start_one_thread", || {
        let monitor = alone();
        for _ in 0..20 {
            join(fork(|| {
                let begin = std::sync::Barrier::new(4);
                thread::scope(|scope| {
                    for _ in 0..4 {
                        scope.spawn(|| {
                            begin.wait();
                            use_one_of(&monitor);
                        });
                    }
                });
                until(|| threads() == 2);
            }));
        }
    })
    .succeeded();
}

fn use_one_of(monitor: &MonitorRef) {
    let (called, calls) = mpsc::channel();
    monitor.add_monitoring_function(move |_| called.send(()).unwrap_or_default(), HOUR).unwrap();
    calls.recv_timeout(HANG).unwrap();
}

#[test]
fn a_child_forked_by_a_function_has_a_thread_of_its_own_and_the_parent_goes_on() {
    child("a_child_forked_by_a_function_has_a_thread_of_its_own_and_the_parent_goes_on", || {
        let monitor = alone();
        let (forked, id) = mpsc::channel();
        let forks = move |hub: &Hub| {
            let theirs = hub.monitor().clone();
            let id = fork(|| {
                use_one_of(&theirs);
                assert_ne!(theirs.thread_id(), Some(thread::current().id()));
                theirs.stop(HANG).unwrap();
            });
            forked.send(id).unwrap_or_default();
        };
        monitor.add_monitoring_function(forks, HOUR).unwrap();
        join(id.recv_timeout(HANG).unwrap());
        use_all_of(&monitor);
        assert_eq!(monitor.functions()[0].failures, 0);
    })
    .succeeded();
}

/// The child's copy of the thread ends where the subscriber returns, and so does the child, which has no other.
#[test]
fn the_thread_of_a_parent_does_nothing_in_a_child_that_a_subscriber_forked() {
    child("the_thread_of_a_parent_does_nothing_in_a_child_that_a_subscriber_forked", || {
        let parent = std::process::id();
        let bus = Arc::new(Bus::new());
        let (forked, ids) = mpsc::channel();
        let forks = move || {
            // SAFETY: as in `fork`, but that the child returns from here, which is what is asked for.
            match unsafe { libc::fork() } {
                0 => {}
                id => forked.send(id).unwrap_or_default(),
            }
        };
        let forks_too = forks.clone();
        let _blocked = bus.topic::<EventLoopBlocked>().subscribe(move |_| forks());
        let _failed = bus.topic::<MonitoringFunctionFailed>().subscribe(move |_| forks_too());
        let monitor = on(&bus);
        let of_the_parent = move |_: &Hub| {
            if std::process::id() != parent {
                // SAFETY: ends the child; runs nothing of it.
                unsafe { libc::_exit(7) }
            }
        };
        monitor.add_monitoring_function(of_the_parent, MS).unwrap();
        let fails = |_: &Hub| -> Result<(), signalpost::BoxError> { Err("fails".into()) };
        let id = monitor.add_monitoring_function(fails, HOUR).unwrap();
        join(ids.recv_timeout(HANG).unwrap());
        assert!(monitor.remove(id));
        let mut turn = monitor.watch_loop("own").unwrap();
        turn.busy();
        join(ids.recv_timeout(HANG).unwrap());
        turn.idle();
        use_all_of(&monitor);
    })
    .succeeded();
}

#[test]
fn forks_while_everything_is_changed_hang_nothing() {
    child("forks_while_everything_is_changed_hang_nothing", || {
        let monitor = alone();
        let stop = Gate::new();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.is_open() {
                        let id = monitor.add_monitoring_function(|_| (), MS / 4).unwrap();
                        monitor.set_period(id, Some(MS / 2)).unwrap();
                        monitor.functions();
                        monitor.remove(id);
                    }
                });
            }
            for _ in 0..30 {
                join(fork(|| {
                    use_one_of(&monitor);
                    monitor.stop(HANG).unwrap();
                }));
            }
            stop.open();
        });
        use_all_of(&monitor);
    })
    .succeeded();
}
