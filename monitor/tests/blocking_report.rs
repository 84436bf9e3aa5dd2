//! Who hears of a blocked loop, and what is printed of it.

#[path = "../../dispatch/tests/common/mod.rs"]
mod common;
mod watched;

use common::process::child;
use common::{HANG, Later, Stay};
use signalpost::monitor::{EventLoopBlocked, EventLoopUnblocked, MonitorRef};
use signalpost::{BoxError, Subscription};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;
use watched::{T, Watch};

/// A loop that blocks until it is let go.
struct Blocked {
    stay: Stay,
    thread: Option<thread::JoinHandle<()>>,
}

impl Blocked {
    fn start(monitor: &MonitorRef, name: &str) -> Self {
        let stay = Stay::new();
        let (stays, monitor, name) = (stay.clone(), monitor.clone(), name.to_owned());
        let thread = thread::spawn(move || {
            let mut guard = monitor.watch_loop(&name).unwrap();
            guard.busy();
            stays.here();
            guard.idle();
        });
        Self { stay, thread: Some(thread) }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        self.stay.leave.open();
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking());
    }
}

/// What happens to a report of a block, and to that of its end: they are heard by those of a subscriber before this one.
fn hears_twice(subscribe: impl FnOnce(&Watch) -> Subscription) -> Watch {
    let watch = Watch::start();
    let _subscription = subscribe(&watch);
    for name in ["first", "second"] {
        let blocked = Blocked::start(&watch.monitor, name);
        assert_eq!(watch.next().hub, name);
        drop(blocked);
        watch.until_unblocked();
    }
    assert!(watch.monitor.is_running());
    watch
}

#[test]
fn a_subscriber_that_panics_is_counted_and_the_watch_goes_on() {
    let subscribe = |watch: &Watch| {
        let topic = watch.bus.topic::<EventLoopBlocked>();
        topic.subscribe(|_| -> Result<(), BoxError> { panic!("on purpose") })
    };
    let watch = hears_twice(subscribe);
    assert!(watch.monitor.failed_reports() >= 2);
}

#[test]
fn a_subscriber_that_stops_the_event_is_counted_and_the_watch_goes_on() {
    let subscribe = |watch: &Watch| {
        let topic = watch.bus.topic::<EventLoopUnblocked>();
        topic.subscribe(|_| -> Result<(), BoxError> { Err("no".into()) })
    };
    let watch = hears_twice(subscribe);
    assert!(watch.monitor.failed_reports() >= 1);
}

#[test]
fn a_subscriber_that_blocks_delays_what_comes_and_loses_nothing() {
    let watch = Watch::start();
    let slow = |_: &EventLoopBlocked| thread::sleep(Duration::from_secs(1));
    let _slow = watch.bus.topic::<EventLoopBlocked>().subscribe(slow);
    let (one, two) = (Blocked::start(&watch.monitor, "one"), Blocked::start(&watch.monitor, "two"));
    let mut names = vec![watch.next().hub];
    while names.len() < 2 {
        let said = watch.next();
        if !names.contains(&said.hub) {
            names.push(said.hub);
        }
    }
    names.sort();
    assert_eq!(names, ["one", "two"]);
    drop((one, two));
    watch.until_unblocked();
    watch.until_unblocked();
    watch.monitor.stop(HANG).unwrap();
}

#[test]
fn a_subscriber_may_change_what_is_watched_and_called() {
    let watch = Watch::start();
    let monitor = (*watch.monitor).clone();
    let calls = Arc::new(AtomicU32::new(0));
    let counts = calls.clone();
    let changes = move |event: &EventLoopBlocked| {
        assert!(monitor.on_monitor_thread());
        let (counts, before) = (counts.clone(), monitor.event_loops().len());
        let count = move |_: &_| {
            counts.fetch_add(1, SeqCst);
        };
        monitor.add_monitoring_function_named("added", count, Some(Duration::from_secs(3_600))).unwrap();
        let guard = monitor.watch_loop("on the monitor thread").unwrap();
        assert_eq!(monitor.event_loops().len(), before + 1);
        drop(guard);
        assert!(event.hub.unwatch());
        assert_eq!(monitor.event_loops().len(), before - 1);
    };
    let _changes = watch.bus.topic::<EventLoopBlocked>().subscribe(changes);
    let blocked = Blocked::start(&watch.monitor, "changed");
    let said = watch.until_unblocked();
    assert_eq!(said[0].report(), Some(1), "{said:?}");
    while calls.load(SeqCst) == 0 {
        thread::yield_now();
    }
    thread::sleep(3 * T);
    watch.says_nothing();
    drop(blocked);
    watch.says_nothing();
    assert_eq!(watch.monitor.failed_reports(), 0);
}

#[test]
fn a_subscriber_may_stop_the_monitor() {
    let watch = Watch::start();
    let (monitor, subscription) = ((*watch.monitor).clone(), Later::new());
    let stops = move |_: &EventLoopBlocked| {
        assert!(monitor.stop(HANG).is_err(), "not from here");
        monitor.request_stop();
    };
    subscription.set(watch.bus.topic::<EventLoopBlocked>().subscribe(stops));
    let blocked = Blocked::start(&watch.monitor, "stops");
    assert_eq!(watch.next().report(), Some(1));
    watch.monitor.stop(HANG).unwrap();
    drop(blocked);
    watch.says_nothing();
}

/// What a process prints whose loop blocks once, with settings of the test's.
fn printed(test: &str, settings: impl FnOnce(&Watch) -> Vec<Subscription>) -> String {
    let child = child(test, || {
        let watch = Watch::with(|builder| builder.print_blocking_reports(true));
        let _subscriptions = settings(&watch);
        let blocked = Blocked::start(&watch.monitor, "prints");
        watch.next();
        drop(blocked);
        watch.until_unblocked();
        watch.monitor.stop(HANG).unwrap(); // what is said of it is printed before it ends
    });
    child.succeeded();
    child.output
}

const APPEARS: &str = "appears to be blocked";

#[test]
fn a_report_is_printed_unless_it_is_switched_off() {
    let output = printed("a_report_is_printed_unless_it_is_switched_off", |_| Vec::new());
    for part in ["loop prints", APPEARS, "Verdict: ", "Blocked stack (of thread ", "Info:"] {
        assert!(output.contains(part), "{part} is not in {output}");
    }
}

#[test]
fn a_report_that_is_switched_off_is_not_printed() {
    let output = printed("a_report_that_is_switched_off_is_not_printed", |watch| {
        assert!(watch.monitor.print_blocking_reports());
        watch.monitor.set_print_blocking_reports(false);
        Vec::new()
    });
    assert!(!output.contains(APPEARS), "{output}");
}

#[test]
fn a_subscriber_can_change_what_is_printed() {
    let output = printed("a_subscriber_can_change_what_is_printed", |watch| {
        let edits = |event: &EventLoopBlocked| {
            event.edit_info(|lines| {
                lines.retain(|line| !line.contains("Verdict"));
                lines.push("build 4711".to_owned());
            });
        };
        vec![watch.bus.topic::<EventLoopBlocked>().subscribe(edits)]
    });
    assert!(
        output.contains("build 4711") && output.contains(APPEARS) && !output.contains("Verdict"),
        "{output}"
    );
}

#[test]
fn a_subscriber_that_stops_the_event_keeps_it_from_being_printed() {
    let output = printed("a_subscriber_that_stops_the_event_keeps_it_from_being_printed", |watch| {
        let topic = watch.bus.topic::<EventLoopBlocked>();
        vec![topic.subscribe(|_| -> Result<(), BoxError> { Err("not this one".into()) })]
    });
    assert!(!output.contains(APPEARS) && output.contains("not this one"), "{output}");
}

#[test]
fn the_lines_of_a_report_name_what_is_known() {
    let watch = Watch::start();
    let (tell, told) = mpsc::channel();
    let lines = move |event: &EventLoopBlocked| {
        let _ = tell.send((event.info(), event.thread.clone(), event.blocking_time));
    };
    let _lines = watch.bus.topic::<EventLoopBlocked>().subscribe(lines);
    let one = Blocked::start(&watch.monitor, "named");
    let _other = watch.monitor.watch_loop("waits").unwrap();
    let (lines, thread, time) = told.recv_timeout(HANG).unwrap();
    let text = lines.join("\n");
    assert!(text.contains("loop named") && text.contains(APPEARS), "{text}");
    assert!(text.contains(&format!("for {time:.0?} at least")), "{text}");
    assert!(thread.is_some_and(|thread| text.contains(&format!("(of {thread})"))), "{text}");
    drop(one);
    watch.until_unblocked();
}
