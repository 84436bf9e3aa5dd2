//! A recorder keeps the last publishes, with time and outcome, and changes nothing for publishers.
#![cfg(feature = "recorder")]

mod common;

use common::{alone, message, within};
use signalpost::{
    BoxError, Bus, BusStop, Dispatcher, EventStop, PublishError, Record, RecordedOutcome, Recorder,
    SubscribeOptions, event, family,
};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Instant, SystemTime};

trait Any {}
family!(struct Everyone: dyn Any = "test.everyone");

struct Tick(u32);
impl Any for Tick {}
event!(Tick: "test.tick", families = [Everyone]);

struct WillStop;
event!(WillStop: "test.will_stop", stop = BusStop);

fn names(recorder: &Recorder) -> Vec<&'static str> {
    recorder.recent().iter().map(|record| record.event).collect()
}

fn only(recorder: &Recorder) -> Record {
    let [record] = recorder.recent().try_into().expect("one publish was recorded");
    record
}

#[test]
fn it_sees_every_publish_on_its_bus_by_whatever_handle() {
    let bus = Bus::new();
    let before = bus.topic::<Tick>();
    let recorder = Recorder::attach(&bus, 16);
    before.publish(&Tick(1)).unwrap();
    bus.publish(&WillStop).unwrap(); // nobody hears it
    bus.try_publish(&Tick(2)).unwrap();
    bus.publish_any(&Tick(3)).unwrap();
    before.publish_with(|| Tick(4)).unwrap();
    before.clone().try_publish(&Tick(5)).unwrap();
    let (tick, stop) = ("test.tick", "test.will_stop");
    assert_eq!(names(&recorder), [tick, stop, tick, tick, tick, tick]);
    assert!(recorder.recent().iter().all(|record| record.outcome.is_ok() && record.depth == 0));
}

#[test]
fn it_sees_no_other_bus_and_nothing_once_it_is_dropped() {
    let (bus, other) = (Bus::new(), Bus::new());
    let (ours, theirs) = (Recorder::attach(&bus, 4), Recorder::attach(&other, 4));
    let second = Recorder::attach(&bus, 4);
    bus.publish(&Tick(1)).unwrap();
    assert_eq!((names(&ours).len(), names(&second).len(), names(&theirs).len()), (1, 1, 0));
    drop(second);
    other.publish(&Tick(2)).unwrap();
    bus.publish(&Tick(3)).unwrap();
    assert_eq!((names(&ours).len(), names(&theirs).len()), (2, 1));
    let bus = Box::new(bus); // moved
    bus.publish(&Tick(4)).unwrap();
    assert_eq!(names(&ours).len(), 3);
}

#[test]
fn it_says_when_how_long_and_on_what_thread() {
    let bus = Arc::new(Bus::new());
    let recorder = Recorder::attach(&bus, 4);
    let (began, at) = (Instant::now(), SystemTime::now());
    let theirs = bus.clone();
    let named = thread::Builder::new().name("ticker".to_owned());
    let id = named
        .spawn(move || {
            theirs.publish(&Tick(1)).unwrap();
            thread::current().id()
        })
        .unwrap()
        .join()
        .unwrap();
    let record = only(&recorder);
    assert_eq!((record.thread.id(), record.thread.name()), (id, Some("ticker")));
    assert!(record.began >= began && record.began + record.took <= Instant::now());
    // The clock on the wall may be set meanwhile; not by an hour.
    let apart = record.at.duration_since(at).unwrap_or_else(|before| before.duration());
    assert!(apart.as_secs() < 3600, "{apart:?}");
}

#[test]
fn it_says_who_stopped_an_event_where_and_with_what() {
    let bus = Bus::new();
    let recorder = Recorder::attach(&bus, 4);
    let _log = bus.subscribe(|_| ());
    let audit =
        bus.topic::<WillStop>().subscribe_with(SubscribeOptions::new().named("audit"), |_: &WillStop| {
            Err::<(), _>(BusStop::veto("not now"))
        });
    let _after = bus.subscribe(|_| ());
    let stopped = bus.publish(&WillStop).unwrap_err();
    assert!(matches!(&stopped.error, BusStop::Veto(veto) if veto.reason == "not now"), "unchanged");
    let RecordedOutcome::Stopped { subscriber, position, not_run, veto, error } = only(&recorder).outcome
    else {
        panic!("it was stopped")
    };
    assert_eq!((subscriber.id, subscriber.name), (audit.id(), Some("audit")));
    assert_eq!(subscriber.location, stopped.subscriber.location);
    assert_eq!((position, not_run, veto), (1, 1, true));
    assert_eq!(error, "vetoed: not now");
}

#[test]
fn a_failure_is_no_veto() {
    let bus = Bus::new();
    let recorder = Recorder::attach(&bus, 4);
    let failing = bus.subscribe(|_| Err(BusStop::fail("disk full")));
    bus.publish(&WillStop).unwrap_err();
    bus.publish(&Tick(1)).unwrap_err();
    drop(failing);
    let _late = bus.subscribe(|_| Err(BusStop::veto("too late")));
    bus.publish(&Tick(2)).unwrap_err();
    let seen: Vec<_> = recorder.recent().iter().map(|record| record.outcome.to_string()).collect();
    assert!(seen[..2].iter().all(|line| line.starts_with("stopped by ") && line.ends_with(": disk full")));
    assert!(seen[2].starts_with("stopped by ") && seen[2].ends_with("too late"), "a late veto is a failure");
}

#[test]
fn a_panic_is_recorded_and_goes_on() {
    let bus = Bus::new();
    let recorder = Recorder::attach(&bus, 4);
    let _sub = bus.topic::<Tick>().subscribe(|tick: &Tick| assert_eq!(tick.0, 1, "not one"));
    let panic = catch_unwind(AssertUnwindSafe(|| bus.publish(&Tick(2)))).unwrap_err();
    assert!(message(&*panic).contains("not one"));
    assert!(matches!(only(&recorder).outcome, RecordedOutcome::Panicked));
    bus.publish(&Tick(1)).unwrap();
    let records = recorder.recent();
    assert!(records[1].outcome.is_ok());
    assert_eq!(records[1].depth, 0, "the one that panicked is over");
}

#[test]
fn nested_publishes_show_their_depth_in_the_order_in_which_they_began() {
    let bus = Arc::new(Bus::new());
    let recorder = Recorder::attach(&bus, 8);
    let weak = Arc::downgrade(&bus);
    let _sub = bus.topic::<Tick>().subscribe(move |tick: &Tick| -> Result<(), BoxError> {
        let bus = weak.upgrade().unwrap();
        if tick.0 > 0 {
            bus.publish(&Tick(tick.0 - 1))?;
        }
        Ok(bus.publish(&WillStop).map_err(|stopped| stopped.error.to_string())?)
    });
    bus.publish(&Tick(1)).unwrap();
    let seen: Vec<_> = recorder.recent().iter().map(|record| (record.event, record.depth)).collect();
    let (tick, stop) = ("test.tick", "test.will_stop");
    assert_eq!(seen, [(tick, 0), (tick, 1), (stop, 2), (stop, 1)]);
    let records = recorder.recent();
    assert!(records[0].took >= records[1].took, "with what was nested in it");
}

#[test]
fn too_deep_is_recorded() {
    let _alone = alone();
    let bus = Arc::new(Bus::new().with_max_depth(8));
    let recorder = Recorder::attach(&bus, 16);
    let weak = Arc::downgrade(&bus);
    let _sub = bus.topic::<Tick>().subscribe(move |tick: &Tick| {
        let nested = weak.upgrade().unwrap().try_publish(&Tick(tick.0 + 1));
        assert_eq!(matches!(nested, Err(PublishError::TooDeep(_))), tick.0 == 8);
    });
    bus.publish(&Tick(1)).unwrap();
    let records = recorder.recent();
    assert_eq!(records.len(), 9);
    assert!(matches!(records[8].outcome, RecordedOutcome::TooDeep));
    assert!(records[..8].iter().all(|record| record.outcome.is_ok()));
}

#[test]
fn the_newest_are_kept_and_the_others_counted() {
    let bus = Bus::new();
    let recorder = Recorder::attach(&bus, 3);
    assert_eq!(recorder.capacity(), 3);
    bus.publish(&WillStop).unwrap();
    bus.publish(&WillStop).unwrap();
    for n in 0..3 {
        assert_eq!(recorder.dropped(), n.max(1) - 1);
        bus.publish(&Tick(0)).unwrap();
    }
    assert_eq!((names(&recorder), recorder.dropped()), (vec!["test.tick"; 3], 2));
    recorder.clear();
    assert_eq!((names(&recorder), recorder.dropped()), (vec![], 0));
    for _ in 0..4 {
        bus.publish(&WillStop).unwrap();
    }
    assert_eq!((names(&recorder), recorder.dropped()), (vec!["test.will_stop"; 3], 1));
}

#[test]
#[should_panic(expected = "a recorder with a capacity of 0 would keep nothing")]
fn a_capacity_of_0_is_refused() {
    let _ = Recorder::attach(&Bus::new(), 0);
}

/// What stops it says no more of itself than it must; or says it badly.
#[derive(Debug)]
struct Silent;
impl EventStop for Silent {
    fn from_bus(_: BusStop, _: &dyn fmt::Display) -> Self {
        Self
    }
    fn into_bus(self) -> BusStop {
        BusStop::fail("silent")
    }
}
struct Odd;
event!(Odd: "test.odd", stop = Silent);

#[derive(Debug)]
struct Bad;
impl EventStop for Bad {
    fn from_bus(_: BusStop, _: &dyn fmt::Display) -> Self {
        Self
    }
    fn into_bus(self) -> BusStop {
        BusStop::fail("bad")
    }
    fn describe(&self) -> String {
        panic!("no words")
    }
}
struct Worse;
event!(Worse: "test.worse", stop = Bad);

#[test]
fn a_stop_of_another_type_is_known_by_its_type_unless_it_says_more() {
    let bus = Bus::new();
    let recorder = Recorder::attach(&bus, 4);
    let _odd = bus.topic::<Odd>().subscribe(|_: &Odd| Err::<(), _>(Silent));
    let _worse = bus.topic::<Worse>().subscribe(|_: &Worse| Err::<(), _>(Bad));
    bus.publish(&Odd).unwrap_err();
    bus.publish(&Worse).unwrap_err(); // whose text panics: nothing to the publisher
    let seen: Vec<_> = recorder.recent().iter().map(|record| record.outcome.to_string()).collect();
    assert!(seen[0].ends_with("::Silent"), "{seen:?}");
    assert!(seen[1].ends_with("(an error that panics when it is shown)"), "{seen:?}");
}

#[test]
fn what_a_dispatcher_publishes_is_recorded_where_the_publisher_says_so() {
    let recorder = Recorder::new(4);
    let lines: Dispatcher<str, &'static str> = Dispatcher::new();
    let _sub = lines.subscribe(|line: &str| if line.is_empty() { Err("empty") } else { Ok(()) });
    recorder.record("lines", || lines.publish("one")).unwrap();
    lines.publish("unseen").unwrap();
    let stopped = recorder.record("lines", || lines.publish("")).unwrap_err();
    assert_eq!(stopped.error, "empty");
    let records = recorder.recent();
    assert!(records[0].outcome.is_ok());
    assert!(records[1].to_string().ends_with("(1 of 1): empty"));
    assert_eq!(records.len(), 2);
}

#[test]
fn the_table_has_a_line_for_each_and_nested_ones_set_in() {
    let bus = Arc::new(Bus::new());
    let recorder = Recorder::attach(&bus, 3);
    let weak = Arc::downgrade(&bus);
    let _sub = bus.topic::<Tick>().subscribe(move |_: &Tick| {
        weak.upgrade().unwrap().publish(&WillStop).unwrap();
    });
    let _veto = bus.family::<Everyone>().subscribe(|_| Err(BusStop::fail("no more")));
    for _ in 0..2 {
        bus.publish(&Tick(0)).unwrap_err();
    }
    let table = recorder.to_string();
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines[0], "the last 3 publishes (1 before them gave way):");
    // The first nested one gave way; the outer ones and the second nested one are there.
    assert!(lines[1].contains("  test.tick: stopped by ") && lines[1].ends_with("(2 of 2): no more"));
    assert!(lines[2].contains("  test.tick: stopped by "));
    assert!(lines[3].ends_with("    test.will_stop: ok"), "{table}");
    let time = lines[1].trim_start().split(' ').next().unwrap();
    assert!(time.len() == 15 && time.as_bytes()[2] == b':' && time.as_bytes()[8] == b'.', "{time}");
    assert!(lines[1].contains(thread::current().name().unwrap()));
}

/// Publishers on all threads, a reader that never rests, others that come and go: each record is whole, in order, and none is lost.
#[test]
fn records_are_whole_and_counted_whatever_others_do() {
    const PUBLISHERS: usize = 3;
    const EACH: usize = 5_000;
    const CAPACITY: usize = 64;
    within(|| {
        let bus = Arc::new(Bus::new());
        let recorder = Arc::new(Recorder::attach(&bus, CAPACITY));
        let stop = Arc::new(AtomicBool::new(false));
        let start = Arc::new(Barrier::new(PUBLISHERS + 2));
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|n| {
                let (bus, start) = (bus.clone(), start.clone());
                let named = thread::Builder::new().name(format!("publisher {n}"));
                let body = move || {
                    let topic = bus.topic::<Tick>();
                    start.wait();
                    for n in 0..EACH {
                        topic.publish(&Tick(n as u32)).unwrap();
                    }
                };
                named.spawn(body).unwrap()
            })
            .collect();
        let (theirs, over, go) = (recorder.clone(), stop.clone(), start.clone());
        let reader = thread::spawn(move || {
            go.wait();
            while !over.load(Relaxed) {
                let records = theirs.recent();
                assert!(records.len() <= CAPACITY);
                for record in &records {
                    assert!(record.thread.name().unwrap().starts_with("publisher "));
                    assert_eq!((record.event, record.depth), ("test.tick", 0));
                }
                for pair in records.windows(2).filter(|pair| pair[0].thread.id() == pair[1].thread.id()) {
                    assert!(pair[0].began <= pair[1].began, "in the order in which they began");
                }
                drop(Recorder::attach(&Bus::new(), 1));
            }
        });
        start.wait();
        publishers.into_iter().for_each(|thread| thread.join().unwrap());
        stop.store(true, Relaxed);
        reader.join().unwrap();
        assert_eq!(recorder.recent().len(), CAPACITY);
        assert_eq!(recorder.dropped() as usize, PUBLISHERS * EACH - CAPACITY);
    });
}

/// In a process of its own: the hook is the process's.
#[test]
fn a_panic_dumps_the_table_and_what_is_under_way() {
    if std::env::var_os("SIGNALPOST_TEST_DUMP").is_some() {
        let bus = Arc::new(Bus::new());
        let weak = Arc::downgrade(&bus);
        let _ticks = bus.topic::<Tick>().subscribe(move |tick: &Tick| {
            if tick.0 == 1 {
                let _ = weak.upgrade().unwrap().publish(&WillStop);
            }
        });
        let _stop = bus.topic::<WillStop>().subscribe(|_: &WillStop| panic!("the end is near"));
        std::panic::set_hook(Box::new(|info| eprintln!("the hook before: {info}")));
        let recorder = Recorder::attach(&bus, 4);
        let gone = Recorder::attach(&bus, 4);
        recorder.dump_on_panic();
        recorder.dump_on_panic();
        gone.dump_on_panic();
        drop(gone);
        bus.publish(&Tick(0)).unwrap();
        let _ = catch_unwind(AssertUnwindSafe(|| bus.publish(&Tick(1))));
        return;
    }
    let me = std::env::current_exe().unwrap();
    let name = "a_panic_dumps_the_table_and_what_is_under_way";
    let child = std::process::Command::new(me)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env("SIGNALPOST_TEST_DUMP", "1")
        .output()
        .unwrap();
    assert!(child.status.success());
    let text = String::from_utf8(child.stderr).unwrap();
    let lines: Vec<_> = text.lines().skip_while(|line| !line.starts_with("the hook before: ")).collect();
    assert!(lines[0].starts_with("the hook before: "), "{text}");
    let table = lines.iter().position(|line| line.starts_with("the last ")).expect("a table");
    assert_eq!(lines[table], "the last 1 publishes (0 before them gave way):", "{text}");
    assert!(lines[table + 1].ends_with("  test.tick: ok"), "{text}");
    assert!(lines[table + 2].contains("running") && lines[table + 2].ends_with("  test.tick"), "{text}");
    assert!(lines[table + 3].ends_with("    test.will_stop"), "{text}");
    assert_eq!(lines.len(), table + 4, "once, and only that of the recorder that is left: {text}");
}

#[test]
fn it_can_be_shared_by_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Recorder>();
    shared::<Record>();
}
