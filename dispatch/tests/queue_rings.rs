//! A ring for each publishing thread: what goes in comes out, in each thread's order, also of threads that have ended.

mod common;

use common::{Counted, Drops, Gate, Plain, within};
use signalpost::{Dispatcher, FullRing, QueueFull, RecvError, SubscribeOptions};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

#[test]
fn every_threads_events_come_out_in_its_order() {
    within(|| {
        const EACH: u64 = 20_000;
        let post = Arc::new(Dispatcher::<(u64, u64)>::new());
        let receiver = post.subscribe_rings(64, FullRing::stop());
        let consumer = thread::spawn(move || receiver.into_iter().collect::<Vec<_>>());
        let producers: Vec<_> = (0..4)
            .map(|producer| {
                let post = post.clone();
                thread::spawn(move || {
                    for n in 0..EACH {
                        while let Err(stopped) = post.publish(&(producer, n)) {
                            assert_eq!(stopped.error.downcast_ref::<QueueFull>().unwrap().capacity, 64);
                            thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        drop(Arc::into_inner(post));
        let mut next = BTreeMap::from([(0, 0), (1, 0), (2, 0), (3, 0)]);
        for (producer, n) in consumer.join().unwrap() {
            let next = next.get_mut(&producer).unwrap();
            assert_eq!(*next, n, "producer {producer}");
            *next += 1;
        }
        assert!(next.values().all(|next| *next == EACH), "{next:?}");
    });
}

#[test]
fn a_full_ring_drops_the_newest_and_counts_it_thread_by_thread() {
    let post = Arc::new(Plain::<u32>::new());
    let mut receiver = post.subscribe_rings(3, FullRing::DropNewest);
    let publish = |post: &Plain<u32>, from: u32| (from..from + 5).for_each(|n| post.publish(&n).unwrap());
    publish(&post, 0);
    let theirs = post.clone();
    thread::spawn(move || publish(&theirs, 10)).join().unwrap();
    assert_eq!((receiver.dropped(), receiver.len(), receiver.capacity_per_thread()), (4, 6, 3));
    let mut all: Vec<_> = receiver.try_iter().collect();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 10, 11, 12]);
    assert_eq!(receiver.try_recv(), Err(RecvError::Empty));
}

#[test]
fn one_busy_thread_does_not_keep_anothers_events_waiting() {
    let post = Arc::new(Plain::<u32>::new());
    let mut receiver = post.subscribe_rings(1_000, FullRing::DropNewest);
    (0..1_000).for_each(|_| post.publish(&0).unwrap());
    let theirs = post.clone();
    thread::spawn(move || theirs.publish(&1).unwrap()).join().unwrap();
    let place = receiver.try_iter().position(|n| n == 1).unwrap();
    assert!(place < 200, "at place {place}");
}

#[test]
fn the_rings_of_ended_threads_are_emptied_and_freed() {
    within(|| {
        let (post, drops) = (Arc::new(Plain::<Counted>::new()), Drops::new());
        let mut receiver = post.subscribe_rings(2, FullRing::DropNewest);
        for _ in 0..100 {
            let (post, event) = (post.clone(), Counted::new(&drops));
            thread::spawn(move || post.publish(&event).unwrap()).join().unwrap();
        }
        assert_eq!(receiver.len(), 100);
        assert_eq!(receiver.try_iter().count(), 100);
        assert_eq!((receiver.len(), drops.alive()), (0, 0));
    });
}

#[test]
fn closed_by_the_dispatchers_end_or_a_cancel_after_what_is_there() {
    let post = Plain::<u32>::new();
    let mut ends = post.subscribe_rings(4, FullRing::DropNewest);
    let mut cancelled = post.subscribe_rings(4, FullRing::DropNewest);
    post.publish(&1).unwrap();
    assert!(cancelled.cancel());
    post.publish(&2).unwrap();
    assert_eq!(cancelled.iter().collect::<Vec<_>>(), [1]);
    assert!(!ends.is_closed());
    drop(post);
    assert!(ends.is_closed());
    assert_eq!(ends.iter().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(ends.recv(), Err(RecvError::Closed));
    assert_eq!(ends.recv_timeout(Duration::MAX), Err(RecvError::Closed));
}

#[test]
fn a_receiver_that_blocks_is_woken_by_events_timeouts_and_the_end() {
    within(|| {
        let post = Plain::<u32>::new();
        let mut receiver = post.subscribe_rings(4, FullRing::DropNewest);
        assert_eq!(receiver.recv_timeout(Duration::from_millis(2)), Err(RecvError::TimedOut));
        let thread = thread::spawn(move || [receiver.recv(), receiver.recv(), receiver.recv()]);
        post.publish(&1).unwrap();
        thread::sleep(Duration::from_millis(2));
        post.publish(&2).unwrap();
        drop(post);
        assert_eq!(thread.join().unwrap(), [Ok(1), Ok(2), Err(RecvError::Closed)]);
    });
}

#[test]
fn a_once_queue_of_rings_is_closed_by_its_event() {
    let post = Plain::<u32>::new();
    let once = SubscribeOptions::new().once();
    let mut receiver = post.subscribe_rings_with(once, 4, FullRing::DropNewest, |n: &u32| Some(*n));
    (1..4).for_each(|n| post.publish(&n).unwrap());
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [1]);
}

#[test]
#[should_panic(expected = "a ring needs a capacity of at least 1")]
fn a_capacity_of_zero_is_a_panic_that_says_so() {
    drop(Plain::<u32>::new().subscribe_rings(0, FullRing::DropNewest));
}

#[test]
fn nothing_leaks_when_the_receiver_is_dropped_while_events_arrive() {
    within(|| {
        let (post, drops, stop) = (Arc::new(Plain::<Counted>::new()), Drops::new(), Gate::new());
        let publishers: Vec<_> = (0..2)
            .map(|_| {
                let (post, stop, event) = (post.clone(), stop.clone(), Counted::new(&drops));
                thread::spawn(move || {
                    while !stop.is_open() {
                        post.publish(&event).unwrap();
                    }
                    drop(event);
                    (post, stop) // alive until joined, so that the thread's rings are what is looked at
                })
            })
            .collect();
        for _ in 0..2_000 {
            let mut receiver = post.subscribe_rings(2, FullRing::DropNewest);
            let _ = receiver.recv();
        }
        stop.open();
        publishers.into_iter().for_each(|publisher| drop(publisher.join().unwrap()));
        assert_eq!(drops.alive(), 0);
        assert!(!post.has_subscribers());
    });
}

#[test]
fn a_thread_that_publishes_to_many_receivers_in_turn_keeps_no_ring_of_those_that_are_gone() {
    let (post, drops) = (Plain::<Counted>::new(), Drops::new());
    let event = Counted::new(&drops);
    for _ in 0..1_000 {
        let mut receiver = post.subscribe_rings(2, FullRing::DropNewest);
        post.publish(&event).unwrap();
        post.publish(&event).unwrap();
        assert!(receiver.try_recv().is_ok());
    }
    assert_eq!(drops.alive(), 1);
}

#[test]
fn what_is_published_while_a_thread_ends_is_received() {
    within(|| {
        struct Late(Arc<Plain<u32>>);
        impl Drop for Late {
            fn drop(&mut self) {
                self.0.publish(&7).unwrap();
                self.0.publish(&8).unwrap();
            }
        }
        thread_local!(static LATE: std::cell::RefCell<Option<Late>> = const { std::cell::RefCell::new(None) });
        for ring_first in [false, true] {
            let post = Arc::new(Plain::<u32>::new());
            let mut receiver = post.subscribe_rings(4, FullRing::DropNewest);
            let theirs = post.clone();
            thread::spawn(move || {
                if ring_first {
                    theirs.publish(&1).unwrap();
                }
                LATE.set(Some(Late(theirs.clone())));
                if !ring_first {
                    theirs.publish(&1).unwrap();
                }
            })
            .join()
            .unwrap();
            let mut all: Vec<_> = receiver.try_iter().collect();
            all.sort_unstable();
            assert_eq!(all, [1, 7, 8]);
        }
    });
}

#[test]
fn a_publish_nested_in_the_closure_that_fills_a_ring_finds_its_ring() {
    let inner = Arc::new(Plain::<u32>::new());
    let mut received = inner.subscribe_rings(4, FullRing::DropNewest);
    let (outer, nested) = (Plain::<u32>::new(), inner.clone());
    let mut receiver =
        outer.subscribe_rings_with(SubscribeOptions::new(), 4, FullRing::DropNewest, move |n: &u32| {
            nested.publish(n).unwrap();
            Some(n + 10)
        });
    outer.publish(&1).unwrap();
    outer.publish(&2).unwrap();
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [11, 12]);
    assert_eq!(received.try_iter().collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn pausing_skips_and_the_receiver_shows_itself_and_may_move() {
    fn is<T: Send + std::fmt::Debug + Unpin + 'static>(_: &T) {}
    let post = Plain::<u32>::new();
    let mut receiver = post.subscribe_rings(4, FullRing::DropNewest);
    is(&receiver);
    assert!(receiver.pause());
    post.publish(&1).unwrap();
    assert!(receiver.resume() && receiver.is_empty());
    post.publish(&2).unwrap();
    assert_eq!(receiver.recv(), Ok(2));
    assert!(format!("{receiver:?}").contains("capacity_per_thread: 4"));
    assert_eq!(post.subscribers()[0].id, receiver.id());
}
