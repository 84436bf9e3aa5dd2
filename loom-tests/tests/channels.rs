//! Many lists in one snapshot: their numbers, what a publish sees of a change to several of them, and what handles that outlive
//! the bus may still do.

use signalpost_core::sync::AtomicBool;
use signalpost_core::sync::Ordering::{Acquire, Release};
use signalpost_core::{ChannelKey, Channels, SharedCell};
use signalpost_dispatch::{Bus, event, family};
use signalpost_loom_tests::{Canary, Tally, all, join, model, preemptions, spawn};
use std::any::TypeId;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

trait Numbered {}
family!(struct Numbers: dyn Numbered = "model.numbers");

struct Tick;
impl Numbered for Tick {}
event!(Tick: "model.tick", families = [Numbers]);

struct Other;
event!(Other: "model.other");

/// Counts how often subscribers ran. Not of the model: read by whoever knows that they are done.
#[derive(Clone, Default)]
struct Ran(Arc<AtomicUsize>);

impl Ran {
    fn subscriber<V: ?Sized>(&self, canary: Canary) -> impl Fn(&V) + Send + Sync + 'static {
        let ran = self.clone();
        move |_| {
            canary.assert_alive();
            ran.0.fetch_add(1, Relaxed);
        }
    }

    fn count(&self) -> usize {
        self.0.load(Relaxed)
    }
}

/// Drops the bus, which nobody else has any more: with it go all subscribers.
fn end(bus: Arc<Bus>, tally: &Tally) {
    drop(Arc::into_inner(bus).expect("the threads have ended"));
    tally.assert_all_dropped();
}

#[test]
fn one_key_added_by_two_threads_has_one_number() {
    model(all().at_least(20), || {
        let cell = SharedCell::<Channels>::new();
        let key = |cell: &Arc<SharedCell<Channels>>| {
            ChannelKey::<u32, ()>::new(cell.clone(), TypeId::of::<Tick>(), "tick", &[])
        };
        ChannelKey::<u8, ()>::new(cell.clone(), TypeId::of::<Other>(), "other", &[]);
        let theirs = cell.clone();
        let thread = spawn(move || key(&theirs).number());
        let ours = key(&cell).number();
        assert_eq!((ours, thread.join().unwrap()), (1, 1));
        assert_eq!(key(&cell).number(), 1, "and it is the same for whoever comes later");
    });
}

#[test]
fn a_key_finds_its_channel_though_another_thread_is_still_adding_it() {
    model(preemptions(3).at_least(40), || {
        let (tally, ran) = (Tally::new(), Ran::default());
        let bus = Arc::new(Bus::new());
        // So that a publish looks into the snapshot.
        bus.subscribe(ran.subscriber(tally.canary())).detach();
        let theirs = bus.clone();
        let thread = spawn(move || theirs.topic::<Other>().publish(&Other).is_ok());
        assert!(bus.topic::<Other>().publish(&Other).is_ok());
        assert!(thread.join().unwrap());
        assert_eq!(ran.count(), 2);
        end(bus, &tally);
    });
}

#[test]
fn two_threads_that_register_for_a_new_type_are_both_heard() {
    model(preemptions(1).at_least(10_000), || {
        let (tally, ran) = (Tally::new(), Ran::default());
        let bus = Arc::new(Bus::new());
        let (theirs, subscriber) = (bus.clone(), ran.subscriber(tally.canary()));
        let thread = spawn(move || theirs.topic::<Other>().subscribe(subscriber).detach());
        bus.topic::<Other>().subscribe(ran.subscriber(tally.canary())).detach();
        thread.join().unwrap();
        bus.publish(&Other).unwrap();
        assert_eq!((ran.count(), bus.len()), (2, 2));
        end(bus, &tally);
    });
}

#[test]
fn the_place_of_handlers_is_one_also_where_two_threads_register_the_first() {
    model(preemptions(1).at_least(4_000), || {
        let log = Arc::new(Mutex::new(Vec::new()));
        let note = |name| {
            let log = log.clone();
            move || log.lock().unwrap().push(name)
        };
        let bus = Arc::new(Bus::new());
        let [before, after, first, second] = ["before", "after", "handler", "handler"].map(note);
        bus.subscribe(move |_| before()).detach();
        let theirs = bus.clone();
        let thread = spawn(move || theirs.family::<Numbers>().subscribe(move |_| first()).detach());
        bus.topic::<Tick>().subscribe(move |_| second()).detach();
        bus.subscribe(move |_| after()).detach();
        thread.join().unwrap();
        bus.publish(&Tick).unwrap();
        assert_eq!(*log.lock().unwrap(), ["before", "handler", "handler", "after"]);
        assert_eq!(bus.len(), 4, "the place is no subscriber");
    });
}

#[test]
fn a_publish_sees_a_change_of_two_lists_whole_or_not_at_all() {
    model(preemptions(3).at_least(40), || {
        let (tally, ran) = (Tally::new(), Ran::default());
        let bus = Arc::new(Bus::new());
        let (topic, family) = (bus.topic::<Tick>(), bus.family::<Numbers>());
        let old = topic.subscribe(ran.subscriber(tally.canary()));
        let (theirs, new) = (bus.clone(), ran.subscriber(tally.canary()));
        let thread = spawn(move || {
            theirs.edit(|edit| {
                edit.cancel(&old);
                edit.family::<Numbers>().subscribe(new).detach()
            })
        });
        topic.publish(&Tick).unwrap();
        assert_eq!(ran.count(), 1, "the handler of the type, or that of the family");
        bus.publish(&Tick).unwrap();
        assert_eq!(ran.count(), 2, "by look-up just as by a topic");
        thread.join().unwrap();
        drop((topic, family));
        end(bus, &tally);
    });
}

#[test]
fn a_topic_made_on_another_thread_sees_the_same() {
    model(preemptions(2).at_least(1_000), || {
        let (tally, ran) = (Tally::new(), Ran::default());
        let bus = Arc::new(Bus::new());
        let old = bus.topic::<Tick>().subscribe(ran.subscriber(tally.canary()));
        let theirs = bus.clone();
        let made = spawn(move || theirs.topic::<Tick>());
        let (theirs, new) = (bus.clone(), ran.subscriber(tally.canary()));
        let edited = spawn(move || {
            theirs.edit(|edit| {
                edit.cancel(&old);
                edit.everything().subscribe(new).detach()
            })
        });
        let topic = made.join().unwrap();
        topic.publish(&Tick).unwrap();
        assert_eq!(ran.count(), 1, "the handler of the type, or the subscriber to everything");
        join([edited]);
        drop(topic);
        end(bus, &tally);
    });
}

#[test]
fn a_list_that_is_added_meanwhile_changes_nothing_for_the_others() {
    model(preemptions(3).at_least(100), || {
        let (tally, ran) = (Tally::new(), Ran::default());
        let bus = Arc::new(Bus::new());
        let topic = bus.topic::<Tick>();
        topic.subscribe(ran.subscriber(tally.canary())).detach();
        let (theirs, told) = (bus.clone(), Arc::new(AtomicBool::new(false)));
        let (tell, other) = (told.clone(), ran.subscriber(tally.canary()));
        let thread = spawn(move || {
            theirs.topic::<Other>().subscribe(other).detach();
            tell.store(true, Release);
        });
        topic.publish(&Tick).unwrap();
        assert_eq!(ran.count(), 1);
        let later = told.load(Acquire);
        bus.publish(&Other).unwrap();
        assert!(ran.count() == 2 || !later, "this publish is later");
        thread.join().unwrap();
        drop(topic);
        end(bus, &tally);
    });
}

#[test]
fn a_handler_cancelled_before_its_edit_returns_stays_out() {
    model(preemptions(2).at_least(200), || {
        let (tally, ran) = (Tally::new(), Ran::default());
        let bus = Arc::new(Bus::new());
        bus.prepare::<Other>();
        let handle = Arc::new(Mutex::new(None));
        let put = Arc::new(AtomicBool::new(false));
        let (theirs, subscriber) = (bus.clone(), ran.subscriber(tally.canary()));
        let (give, tell) = (handle.clone(), put.clone());
        let thread = spawn(move || {
            theirs.edit(|edit| {
                *give.lock().unwrap() = Some(edit.topic::<Other>().subscribe(subscriber));
                tell.store(true, Release);
            });
        });
        if put.load(Acquire) {
            let subscription = handle.lock().unwrap().take().expect("it was put there");
            drop(subscription);
        }
        thread.join().unwrap();
        let before = ran.count();
        if handle.lock().unwrap().take().is_none() {
            bus.publish(&Other).unwrap();
            assert_eq!(ran.count(), before, "it does not come in by the edit, or goes out at once");
            bus.collect();
            tally.assert_all_dropped();
        }
        end(bus, &tally);
    });
}

#[test]
fn a_publish_by_a_topic_while_the_bus_goes_runs_all_or_nobody() {
    model(all().at_least(20), || {
        let (tally, ran) = (Tally::new(), Ran::default());
        let bus = Bus::new();
        let topic = bus.topic::<Tick>();
        topic.subscribe(ran.subscriber(tally.canary())).detach();
        bus.family::<Numbers>().subscribe(ran.subscriber(tally.canary())).detach();
        let theirs = topic.clone();
        let thread = spawn(move || theirs.publish(&Tick).is_ok());
        drop(bus);
        assert!(thread.join().unwrap());
        assert!([0, 2].contains(&ran.count()), "{} of 2 ran", ran.count());
        // The channel keeps its number, for those who outlive the bus.
        let before = ran.count();
        let late = topic.subscribe(ran.subscriber(tally.canary()));
        topic.publish(&Tick).unwrap();
        assert_eq!(ran.count(), before + 1);
        drop((late, topic));
        tally.assert_all_dropped();
    });
}

#[test]
fn a_handler_registered_while_the_bus_goes_is_dropped_with_the_last_handle() {
    model(preemptions(2).at_least(5_000), || {
        let (tally, ran) = (Tally::new(), Ran::default());
        let bus = Bus::new();
        let topic = bus.topic::<Other>();
        bus.subscribe(ran.subscriber(tally.canary())).detach();
        let (theirs, subscriber) = (topic.clone(), ran.subscriber(tally.canary()));
        let thread = spawn(move || theirs.subscribe(subscriber).detach());
        drop(bus);
        thread.join().unwrap();
        topic.publish(&Other).unwrap();
        assert!(ran.count() <= 1, "the handler is there or it went with the bus; the subscriber went");
        drop(topic);
        tally.assert_all_dropped();
    });
}
