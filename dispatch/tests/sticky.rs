//! A late subscriber is given the last event first, then every later one: none lost, none twice, in each publisher's order.
#![cfg(feature = "sticky")]

mod common;

use common::{Drops, Gate, Log, Plain, message, within};
use signalpost::{BoxError, Bus, BusStop, Dispatcher, ReplayError, SubscribeOptions, event};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;

type Failing = Dispatcher<u32, &'static str>;

fn into(log: &Log<u32>) -> impl Fn(&u32) + Send + Sync + 'static {
    let log = log.clone();
    move |event| log.push(*event)
}

#[test]
fn a_late_subscriber_is_given_the_last_event_then_every_later_one() {
    let (post, log) = (Plain::new(), Log::new());
    let sticky = post.sticky();
    post.publish(&1);
    post.publish(&2);
    let Ok(_sub) = sticky.subscribe(into(&log));
    assert_eq!(log.take(), [2], "before subscribe returned");
    post.publish(&3);
    post.publish(&4);
    assert_eq!(log.take(), [3, 4]);
}

#[test]
fn without_a_last_event_it_is_given_what_comes() {
    let (post, log) = (Plain::new(), Log::new());
    post.publish(&1); // nobody remembered it
    let sticky = post.sticky();
    let Ok(_sub) = sticky.subscribe(into(&log));
    assert_eq!((log.take(), sticky.last()), (vec![], None));
    post.publish(&2);
    assert_eq!((log.take(), sticky.last()), (vec![2], Some(2)));
}

#[test]
fn after_clear_a_late_subscriber_is_given_nothing_first() {
    let (post, log) = (Plain::new(), Log::new());
    let sticky = post.sticky();
    assert!(!sticky.clear(), "there was none");
    post.publish(&1);
    assert!(sticky.clear());
    assert_eq!(sticky.last(), None);
    let Ok(_sub) = sticky.subscribe(into(&log));
    post.publish(&2);
    assert_eq!(log.take(), [2]);
}

#[test]
fn it_is_a_subscriber_of_a_topic_as_of_a_dispatcher() {
    #[derive(Clone)]
    struct Level(u32);
    event!(Level: "test.level");
    struct Other;
    event!(Other: "test.other");

    let (bus, log) = (Bus::new(), Log::new());
    let sticky = bus.topic::<Level>().sticky();
    bus.publish(&Level(7)).unwrap();
    bus.publish(&Other).unwrap();
    let theirs = log.clone();
    let _sub = sticky.subscribe(move |level: &Level| theirs.push(level.0)).unwrap();
    bus.topic::<Level>().publish(&Level(8)).unwrap();
    assert_eq!(log.take(), [7, 8]);
    drop(sticky);
    bus.publish(&Level(9)).unwrap();
    assert_eq!(log.take(), [], "it served them only as long as it was kept");
    assert!(bus.is_empty());
}

#[test]
fn an_event_is_remembered_if_it_came_to_this_place_whether_stopped_or_not() {
    let post = Failing::new();
    let [everything, middle, unstopped] = [i32::MAX, 0, i32::MIN].map(|priority| post.sticky_at(priority));
    let _no_fours = post.subscribe_with(SubscribeOptions::new().priority(5), |event: &u32| {
        if *event == 4 { Err("four") } else { Ok(()) }
    });
    let _no_fives = post.subscribe_with(SubscribeOptions::new().priority(-5), |event: &u32| match event {
        5 => Err("five"),
        _ => Ok(()),
    });
    let last = || (everything.last(), middle.last(), unstopped.last());
    post.publish(&3).unwrap();
    assert_eq!(last(), (Some(3), Some(3), Some(3)));
    post.publish(&4).unwrap_err();
    assert_eq!(last(), (Some(4), Some(3), Some(3)));
    post.publish(&5).unwrap_err();
    assert_eq!(last(), (Some(5), Some(5), Some(3)));
}

#[test]
fn one_in_here_stops_an_event_for_the_publisher_and_it_is_remembered() {
    let (post, log) = (Failing::new(), Log::new());
    let sticky = post.sticky();
    let first = sticky.subscribe(|event: &u32| if *event == 13 { Err("unlucky") } else { Ok(()) }).unwrap();
    let _second = sticky.subscribe(into(&log)).unwrap();
    let _outside = post.subscribe(into(&log));
    post.publish(&12).unwrap();
    assert_eq!(log.take(), [12, 12]);
    let stopped = post.publish(&13).unwrap_err();
    assert_eq!((stopped.error, stopped.position, stopped.not_run), ("unlucky", 0, 1));
    assert_eq!(stopped.subscriber.id, first.id(), "it is the one in here that is named");
    assert_eq!((log.take(), sticky.last()), (vec![], Some(13)));
}

#[test]
fn who_stopped_an_event_in_here_is_never_taken_for_another() {
    let (post, other) = (Failing::new(), Failing::new());
    let sticky = post.sticky();
    let [first, second] = ["first", "second"].map(|error| {
        let only = if error == "first" { 1 } else { 2 };
        sticky.subscribe(move |event: &u32| if *event == only { Err(error) } else { Ok(()) }).unwrap()
    });
    let outside = post.subscribe(|event: &u32| if *event == 3 { Err("outside") } else { Ok(()) });
    let elsewhere = other.subscribe(|_: &u32| Err("elsewhere"));
    for (event, id) in [(1, first.id()), (2, second.id()), (1, first.id()), (3, outside.id())] {
        assert_eq!(post.publish_all(&2).len(), 1); // nobody asked who that was
        assert_eq!(post.publish(&event).unwrap_err().subscriber.id, id, "{event}");
        assert_eq!(other.publish(&event).unwrap_err().subscriber.id, elsewhere.id());
        assert_eq!(post.publish_or_undo(&event, &0).unwrap_err().stopped.subscriber.id, id, "{event}");
    }
}

#[test]
fn an_error_in_the_replay_comes_back_with_the_subscription() {
    let (post, log) = (Failing::new(), Log::new());
    let sticky = post.sticky();
    post.publish(&1).unwrap();
    let theirs = log.clone();
    let refuse = move |event: &u32| {
        theirs.push(*event);
        if event % 2 == 1 { Err("odd") } else { Ok(()) }
    };
    let error: ReplayError<_> = sticky.subscribe(refuse.clone()).unwrap_err();
    assert_eq!((error.error, error.others.len()), ("odd", 0));
    assert!(error.to_string().ends_with("failed on an event that it was given late: odd"));
    let kept = error.into_subscription();
    assert!(kept.is_active());
    post.publish(&2).unwrap();
    assert_eq!(log.take(), [1, 2], "it is subscribed");
    drop(kept);
    post.publish(&3).unwrap();

    let question_mark = || -> Result<(), Box<dyn std::error::Error>> {
        let _sub = sticky.subscribe(refuse.clone())?;
        unreachable!("it refuses 3");
    };
    assert!(question_mark().is_err());
    assert_eq!(log.take(), [3]);
    post.publish(&4).unwrap();
    assert_eq!(log.take(), [], "dropping the error cancelled it");
}

#[test]
fn a_panic_in_the_replay_unwinds_to_the_subscriber_and_leaves_nothing() {
    let (post, log, drops) = (Plain::new(), Log::new(), Drops::new());
    let sticky = post.sticky();
    post.publish(&1);
    let token = drops.token();
    let panicking = move |event: &u32| {
        token.touch();
        assert_ne!(*event, 1, "not one");
    };
    let panic = catch_unwind(AssertUnwindSafe(|| sticky.subscribe(panicking))).unwrap_err();
    assert!(message(&*panic).contains("not one"));
    post.publish(&2);
    assert_eq!((sticky.subscribers().len(), drops.alive()), (0, 0));
    let Ok(_sub) = sticky.subscribe(into(&log));
    assert_eq!(log.take(), [2]);
}

#[test]
fn a_publish_from_inside_the_replay_is_seen_after_it() {
    let (post, log) = (Arc::new(Plain::new()), Log::new());
    let sticky = post.sticky();
    post.publish(&1);
    let (weak, theirs) = (Arc::downgrade(&post), log.clone());
    let Ok(_sub) = sticky.subscribe(move |event: &u32| {
        theirs.push(*event);
        if *event < 3 {
            weak.upgrade().unwrap().publish(&(event + 1));
        }
        theirs.push(event + 100);
    });
    assert_eq!(log.take(), [1, 101, 2, 102, 3, 103]);
}

#[test]
fn one_that_subscribes_from_inside_a_publish_is_given_that_event_once() {
    for priority in [1, -1] {
        let (post, log) = (Arc::new(Plain::new()), Log::new());
        let sticky = Arc::new(post.sticky());
        let (theirs, inner) = (sticky.clone(), log.clone());
        let options = SubscribeOptions::new().priority(priority).once();
        let _outer = post.subscribe_with(options, move |_: &u32| {
            let Ok(sub) = theirs.subscribe(into(&inner));
            sub.detach();
        });
        post.publish(&1); // before the sticky's place, and behind it
        assert_eq!(log.take(), [1], "priority {priority}");
        post.publish(&2);
        assert_eq!(log.take(), [2], "priority {priority}");
    }
}

#[test]
fn a_once_subscriber_has_had_its_event_if_there_was_a_last_one() {
    const ONCE: SubscribeOptions = SubscribeOptions::new().once();
    let (post, log) = (Plain::new(), Log::new());
    let sticky = post.sticky();
    let Ok(early) = sticky.subscribe_with(ONCE, into(&log));
    assert!(early.is_active());
    post.publish(&1);
    post.publish(&2);
    assert_eq!(log.take(), [1]);
    let Ok(late) = sticky.subscribe_with(ONCE, into(&log));
    assert_eq!(log.take(), [2]);
    assert!(!late.is_active() && sticky.subscribers().is_empty());
    post.publish(&3);
    assert_eq!(log.take(), []);
}

#[test]
fn a_paused_subscriber_is_given_nothing_first() {
    let (post, log) = (Plain::new(), Log::new());
    let sticky = post.sticky();
    post.publish(&1);
    for options in [SubscribeOptions::new().paused(), SubscribeOptions::new().paused().once()] {
        let Ok(sub) = sticky.subscribe_with(options, into(&log));
        post.publish(&2);
        assert!(sub.resume());
        assert_eq!(log.take(), []);
        post.publish(&3);
        assert_eq!(log.take(), [3]);
    }
}

#[test]
fn priority_orders_them_among_each_other() {
    let (post, log) = (Plain::new(), Log::new());
    let sticky = post.sticky();
    let Ok(_low) = sticky.subscribe({
        let log = log.clone();
        move |event: &u32| log.push(event + 100)
    });
    let Ok(_high) = sticky.subscribe_with(SubscribeOptions::new().priority(1).named("high"), into(&log));
    post.publish(&1);
    assert_eq!(log.take(), [1, 101]);
    let listed = sticky.subscribers();
    assert_eq!(listed[0].name, Some("high"));
    assert_eq!(listed[1].location.file(), file!());
    assert_eq!(post.subscribers().iter().map(|all| all.name).collect::<Vec<_>>(), [Some("sticky")]);
}

#[test]
fn a_weak_subscriber_is_given_the_last_event_and_ends_with_its_target() {
    let post = Plain::new();
    let sticky = post.sticky();
    post.publish(&1);
    let target = Arc::new(Mutex::new(Vec::new()));
    let Ok(sub) = sticky.subscribe_weak(&target, |seen, event: &u32| seen.lock().unwrap().push(*event));
    post.publish(&2);
    assert_eq!(*target.lock().unwrap(), [1, 2]);
    assert_eq!(Arc::strong_count(&target), 1);
    drop(target);
    post.publish(&3);
    assert!(!sub.is_active());
}

#[test]
fn cancelling_drops_what_a_late_subscriber_captured() {
    let (post, drops) = (Plain::new(), Drops::new());
    let sticky = post.sticky();
    post.publish(&1);
    let token = drops.token();
    let Ok(sub) = sticky.subscribe(move |_: &u32| token.touch());
    sub.cancel_and_wait(common::HANG).unwrap();
    assert_eq!(drops.alive(), 0);
}

#[test]
fn only_the_last_event_is_kept() {
    #[derive(Clone)]
    struct Held(#[allow(dead_code, reason = "counted when it is dropped")] Arc<()>);
    let (post, counted) = (Plain::<Held>::new(), Arc::new(()));
    let sticky = post.sticky();
    for _ in 0..10 {
        post.publish(&Held(counted.clone()));
        assert_eq!(Arc::strong_count(&counted), 2);
    }
    drop(sticky);
    post.collect();
    assert_eq!(Arc::strong_count(&counted), 1);
}

#[test]
fn a_failing_clone_reaches_the_publisher_and_leaves_the_last_event() {
    struct Fragile(bool);
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            assert!(!self.0, "cannot be cloned");
            Self(self.0)
        }
    }
    let post = Plain::<Fragile>::new();
    let sticky = post.sticky();
    post.publish(&Fragile(false));
    assert!(catch_unwind(AssertUnwindSafe(|| post.publish(&Fragile(true)))).is_err());
    assert!(!sticky.last().unwrap().0);
    post.publish(&Fragile(false));
}

/// While one catches up its publishers go on, and what they brought comes to it in order, on its thread.
#[test]
fn no_publisher_waits_for_one_that_catches_up() {
    within(|| {
        let (post, log, entered, go_on) = (Arc::new(Plain::new()), Log::new(), Gate::new(), Gate::new());
        let sticky = Arc::new(post.sticky());
        post.publish(&0);
        let (theirs, inside, wait) = (log.clone(), entered.clone(), go_on.clone());
        let late = thread::spawn(move || {
            let Ok(sub) = sticky.subscribe(move |event: &u32| {
                inside.open();
                wait.wait();
                theirs.push((*event, thread::current().id()));
            });
            (sub, thread::current().id(), sticky)
        });
        entered.wait();
        for event in 1..=100_000 {
            post.publish(&event); // would hang if it waited
        }
        assert_eq!(log.len(), 0);
        go_on.open();
        let (_sub, caught_up_on, _sticky) = late.join().unwrap();
        let seen = log.take();
        assert!(seen.iter().all(|(_, thread)| *thread == caught_up_on));
        assert!(seen.iter().map(|(event, _)| *event).eq(0..=100_000));
        post.publish(&7);
        assert_eq!(log.take(), [(7, thread::current().id())], "from now on the publisher runs it");
    });
}

/// The promise as a whole: publishers that never stop, subscribers that come late all the time.
#[test]
fn each_late_subscriber_sees_an_unbroken_sequence_of_each_publisher() {
    #[derive(Clone, Copy, Debug)]
    struct Step {
        publisher: usize,
        number: u64,
    }

    const PUBLISHERS: usize = 3;
    within(|| {
        let post = Arc::new(Dispatcher::<Step, Infallible>::new());
        let sticky = Arc::new(post.sticky());
        let stop = Arc::new(AtomicBool::new(false));
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|publisher| {
                let (post, stop) = (post.clone(), stop.clone());
                thread::spawn(move || {
                    let mut number = 0;
                    while !stop.load(Relaxed) {
                        number += 1;
                        post.publish(&Step { publisher, number });
                        if number % 64 == 0 {
                            thread::yield_now(); // else none catches up on one core
                        }
                    }
                    number
                })
            })
            .collect();
        while sticky.last().is_none() {
            thread::yield_now();
        }
        let with_a_first = Arc::new(AtomicUsize::new(0));
        let late: Vec<_> = (0..2)
            .map(|_| {
                let (sticky, with_a_first) = (sticky.clone(), with_a_first.clone());
                thread::spawn(move || {
                    let mut kept = Vec::new();
                    for round in 0..300 {
                        let seen = Arc::new(Mutex::new(Vec::<Step>::new()));
                        let theirs = seen.clone();
                        let Ok(sub) = sticky.subscribe(move |step: &Step| {
                            theirs.lock().unwrap().push(*step);
                        });
                        with_a_first.fetch_add(usize::from(!seen.lock().unwrap().is_empty()), Relaxed);
                        if round % 100 == 0 {
                            kept.push((sub, seen));
                        } else {
                            while seen.lock().unwrap().len() < 20 {
                                thread::yield_now();
                            }
                            sub.cancel_and_wait(common::HANG).unwrap();
                            assert_unbroken(&seen.lock().unwrap());
                        }
                    }
                    kept
                })
            })
            .collect();
        let kept: Vec<_> = late.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        stop.store(true, Relaxed);
        let ends: Vec<u64> = publishers.into_iter().map(|thread| thread.join().unwrap()).collect();
        for (_sub, seen) in &kept {
            let seen = seen.lock().unwrap();
            assert_unbroken(&seen);
            for (publisher, end) in ends.iter().enumerate() {
                let last = seen.iter().rfind(|step| step.publisher == publisher);
                assert_eq!(last.map(|step| step.number), Some(*end), "to the very end");
            }
        }
        assert_eq!(with_a_first.load(Relaxed), 600, "each was given an event before subscribe returned");

        fn assert_unbroken(seen: &[Step]) {
            for publisher in 0..PUBLISHERS {
                let numbers = || seen.iter().filter(|step| step.publisher == publisher).map(|s| s.number);
                let Some(first) = numbers().next() else { continue };
                assert!(numbers().eq(first..first + numbers().count() as u64), "{seen:?}");
            }
        }
    });
}

#[test]
fn a_veto_in_here_is_a_veto() {
    #[derive(Clone)]
    struct WillStop;
    event!(WillStop: "test.will_stop", stop = BusStop);

    let bus = Bus::new();
    let sticky = bus.topic::<WillStop>().sticky();
    let sub = sticky.subscribe(|_: &WillStop| Err(BusStop::veto("busy"))).unwrap();
    let stopped = bus.publish(&WillStop).unwrap_err();
    assert!(matches!(stopped.error, BusStop::Veto(_)));
    assert_eq!(stopped.subscriber.id, sub.id());
}

#[test]
fn it_can_be_shared_by_threads_whatever_stops_its_events() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<signalpost::Sticky<u32, std::rc::Rc<()>>>();
    shared::<signalpost::Sticky<String, BoxError>>();
}
