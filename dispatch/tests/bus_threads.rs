//! A bus under many threads: what happens before is seen, what is cancelled does not run, and nothing is lost or leaked.

mod bus_common;
mod common;

use bus_common::{Alone, Bases, Leaf, Middles, Root, Told};
use common::{Drops, within};
use signalpost::{Bus, Subscription};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;

/// Registers something for a `Leaf`.
type Register = fn(&Bus, Box<dyn Fn(u32) + Send + Sync>) -> Subscription;

const LISTS: [Register; 4] = [
    |bus, f| bus.subscribe(move |event| event.downcast_ref::<Leaf>().into_iter().for_each(|leaf| f(leaf.0))),
    |bus, f| bus.topic::<Leaf>().subscribe(move |leaf: &Leaf| f(leaf.0)),
    |bus, f| bus.family::<Middles>().subscribe(move |event| f(event.number())),
    |bus, f| bus.edit(|edit| edit.family::<Bases>().subscribe(move |event| f(event.number()))),
];

#[test]
fn a_publish_that_starts_after_subscribe_returned_on_another_thread_runs_it_in_every_list() {
    within(|| {
        const ROUNDS: u32 = 1_000;
        let bus = Arc::new(Bus::new());
        let (registered, published) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let theirs = (bus.clone(), registered.clone(), published.clone());
        let publisher = thread::spawn(move || {
            let (bus, registered, published) = theirs;
            let topic = bus.topic::<Leaf>();
            for round in 0..ROUNDS {
                registered.wait();
                match round % 3 {
                    0 => bus.publish(&Leaf(round)).unwrap(),
                    1 => topic.publish(&Leaf(round)).unwrap(),
                    _ => bus.publish_any(&Leaf(round)).unwrap(),
                }
                published.wait();
            }
        });
        for round in 0..ROUNDS {
            let ran = Arc::new(AtomicBool::new(false));
            let runs = ran.clone();
            let list = LISTS[(round / 3) as usize % LISTS.len()];
            let sub = list(
                &bus,
                Box::new(move |number| {
                    assert_eq!(number, round, "runs after it was cancelled");
                    runs.store(true, SeqCst);
                }),
            );
            registered.wait();
            published.wait();
            assert!(ran.load(SeqCst), "round {round}: missed");
            drop(sub);
        }
        publisher.join().unwrap();
        assert!(bus.is_empty());
    });
}

#[test]
fn registrations_of_many_threads_for_many_lists_are_all_there_and_all_go() {
    within(|| {
        const THREADS: usize = 4;
        const EACH: usize = 200;
        let (bus, drops, ran) = (Arc::new(Bus::new()), Drops::new(), Arc::new(AtomicUsize::new(0)));
        bus.prepare::<Leaf>();
        let start = Arc::new(Barrier::new(THREADS));
        let threads = [(); THREADS].map(|()| {
            let (bus, drops, ran, start) = (bus.clone(), drops.clone(), ran.clone(), start.clone());
            thread::spawn(move || {
                start.wait();
                let register = |at: usize| {
                    let (token, ran) = (drops.token(), ran.clone());
                    let run = move |_| {
                        token.touch();
                        ran.fetch_add(1, SeqCst);
                    };
                    LISTS[at % LISTS.len()](&bus, Box::new(run))
                };
                let subs: Vec<_> = (0..EACH).map(register).collect();
                // Half of them go at once, while others come.
                subs.into_iter()
                    .enumerate()
                    .filter(|(at, _)| at % 8 >= 4)
                    .map(|(_, sub)| sub)
                    .collect::<Vec<_>>()
            })
        });
        let kept: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(kept.len(), THREADS * EACH / 2);
        bus.publish(&Leaf(1)).unwrap();
        assert_eq!((ran.load(SeqCst), bus.len()), (kept.len(), kept.len()));
        assert_eq!(bus.subscribers().len(), kept.len());
        drop(kept);
        bus.collect();
        assert_eq!((drops.alive(), bus.len(), bus.retired()), (0, 0, 0));
    });
}

#[test]
fn the_first_handlers_of_many_threads_share_one_place() {
    within(|| {
        for _ in 0..300 {
            let bus = Arc::new(Bus::new());
            let log = common::Log::new();
            let [before, after] = ["before", "after"].map(|name| {
                let log = log.clone();
                move || log.push(name)
            });
            bus.subscribe(move |_| before()).detach();
            let start = Arc::new(Barrier::new(LISTS.len() - 1));
            let threads: Vec<_> = LISTS[1..]
                .iter()
                .map(|register| {
                    let (bus, start, log) = (bus.clone(), start.clone(), log.clone());
                    thread::spawn(move || {
                        start.wait();
                        register(&bus, Box::new(move |_| log.push("handler"))).detach();
                    })
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
            bus.subscribe(move |_| after()).detach();
            bus.publish(&Leaf(1)).unwrap();
            assert_eq!(log.take(), ["before", "handler", "handler", "handler", "after"]);
            assert_eq!(bus.len(), 5);
        }
    });
}

#[test]
fn events_of_all_types_flow_while_lists_come_and_go() {
    within(|| {
        let (bus, drops) = (Arc::new(Bus::new()), Drops::new());
        let (stop, sum) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        // Always there: each event adds its number once for each of its families.
        let add = |sum: &Arc<AtomicU32>| {
            let sum = sum.clone();
            move |number: u32| _ = sum.fetch_add(number, SeqCst)
        };
        let (base, middle) = (add(&sum), add(&sum));
        let _always = [
            bus.family::<Bases>().subscribe(move |event| base(event.number())),
            bus.family::<Middles>().subscribe(move |event| middle(event.number())),
        ];
        let publishers = [(); 2].map(|()| {
            let (bus, stop) = (bus.clone(), stop.clone());
            thread::spawn(move || {
                let mut expected = 0;
                while !stop.load(SeqCst) {
                    bus.publish(&Leaf(1)).unwrap();
                    bus.publish(&Root(10)).unwrap();
                    bus.publish_any(&Told(100)).unwrap();
                    bus.publish(&Alone).unwrap();
                    expected += 2 + 10 + 200;
                }
                expected
            })
        });
        for round in 0..600 {
            let token = drops.token();
            let touch = move || token.touch();
            let sub = match round % 4 {
                0 => bus.topic::<Alone>().subscribe(move |_: &Alone| touch()),
                1 => bus.topic::<Told>().subscribe(move |_: &Told| touch()),
                2 => bus.family::<bus_common::Sides>().subscribe(move |_| touch()),
                _ => bus.subscribe(move |_| touch()),
            };
            if round % 3 == 0 {
                sub.cancel_and_wait(common::HANG).unwrap();
            }
        }
        stop.store(true, SeqCst);
        let expected: u32 = publishers.into_iter().map(|publisher| publisher.join().unwrap()).sum();
        assert_eq!(sum.load(SeqCst), expected);
        bus.collect();
        assert_eq!((drops.alive(), bus.len()), (0, 2));
    });
}
