//! A queue as a subscriber: what goes in comes out, what a full one does, and when it is closed.

mod common;

use common::{Counted, Drops, Gate, Place, Plain, within};
use signalpost::{BoxError, Dispatcher, Full, QueueFull, Receiver, RecvError, SubscribeOptions};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn events_come_out_in_the_order_in_which_they_were_published() {
    let post = Plain::new();
    let receiver = post.subscribe_queue(8, Full::DropNewest);
    (0..5).for_each(|n| post.publish(&n).unwrap());
    assert_eq!((receiver.len(), receiver.capacity(), receiver.is_empty()), (5, 8, false));
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!(receiver.try_recv(), Err(RecvError::Empty));
    assert!(receiver.is_empty() && !receiver.is_closed() && receiver.dropped() == 0);
}

#[test]
fn with_many_producers_and_consumers_nothing_is_lost_or_doubled_and_each_producers_order_is_kept() {
    within(|| {
        const PRODUCERS: u64 = 4;
        const EACH: u64 = 20_000;
        let post = Arc::new(Dispatcher::<(u64, u64), BoxError>::new());
        let receiver = post.subscribe_queue(64, Full::stop());
        let consumers: Vec<_> = (0..3)
            .map(|n| {
                let receiver = receiver.clone();
                thread::spawn(move || match n {
                    // One polls, one sleeps, one sleeps with a timeout.
                    0 => {
                        let mut all = Vec::new();
                        loop {
                            match receiver.try_recv() {
                                Ok(event) => all.push(event),
                                Err(RecvError::Closed) => break all,
                                Err(_) => thread::yield_now(),
                            }
                        }
                    }
                    1 => receiver.into_iter().collect(),
                    _ => {
                        let mut all = Vec::new();
                        loop {
                            match receiver.recv_timeout(Duration::from_micros(50)) {
                                Ok(event) => all.push(event),
                                Err(RecvError::Closed) => break all,
                                Err(_) => {}
                            }
                        }
                    }
                })
            })
            .collect();
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                let post = post.clone();
                thread::spawn(move || {
                    for n in 0..EACH {
                        // Stopped while the queue is full: published again.
                        while post.publish(&(producer, n)).is_err() {
                            thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        drop(Arc::into_inner(post));
        let mut seen = BTreeMap::new();
        for consumer in consumers {
            let mut last = BTreeMap::new();
            for (producer, n) in consumer.join().unwrap() {
                assert!(last.insert(producer, n) < Some(n), "out of order within one receiver");
                *seen.entry((producer, n)).or_insert(0) += 1;
            }
        }
        assert_eq!(seen.len() as u64, PRODUCERS * EACH, "lost");
        assert!(seen.values().all(|times| *times == 1), "doubled");
    });
}

#[test]
fn drop_newest_keeps_what_is_there_and_counts_the_rest() {
    let post = Plain::new();
    let receiver = post.subscribe_queue(3, Full::DropNewest);
    (0..10).for_each(|n| post.publish(&n).unwrap());
    assert_eq!(receiver.dropped(), 7);
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [0, 1, 2]);
    post.publish(&10).unwrap();
    assert_eq!((receiver.try_recv(), receiver.dropped()), (Ok(10), 7));
}

#[test]
fn drop_oldest_keeps_the_newest_and_counts_the_rest() {
    let post = Plain::new();
    let receiver = post.subscribe_queue(3, Full::DropOldest);
    (0..10).for_each(|n| post.publish(&n).unwrap());
    assert_eq!(receiver.dropped(), 7);
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [7, 8, 9]);
}

#[test]
fn a_queue_of_one_place_works_as_one_of_many() {
    let post = Plain::new();
    let (newest, oldest) =
        (post.subscribe_queue(1, Full::DropNewest), post.subscribe_queue(1, Full::DropOldest));
    for n in 0..4 {
        post.publish(&n).unwrap();
    }
    assert_eq!((newest.try_recv(), oldest.try_recv()), (Ok(0), Ok(3)));
    assert_eq!((newest.dropped(), oldest.dropped()), (3, 3));
}

#[test]
fn every_event_is_received_or_counted_under_each_policy() {
    within(|| {
        for full in [Full::DropNewest, Full::DropOldest] {
            let (post, go) = (Arc::new(Plain::new()), Gate::new());
            let receiver = post.subscribe_queue(16, full);
            let publishers: Vec<_> = (0..3)
                .map(|_| {
                    let (post, go) = (post.clone(), go.clone());
                    thread::spawn(move || {
                        go.wait();
                        (0..30_000).for_each(|n| post.publish(&n).unwrap());
                    })
                })
                .collect();
            let reader = receiver.clone();
            let consumer = thread::spawn(move || reader.iter().count() as u64);
            go.open();
            publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
            drop(Arc::into_inner(post));
            assert_eq!(consumer.join().unwrap() + receiver.dropped(), 90_000, "{full:?}");
        }
    });
}

#[test]
fn stop_stops_the_publish_with_the_capacity_and_who_it_was() {
    let post: Dispatcher<u32> = Dispatcher::new();
    let named = SubscribeOptions::new().named("to the disk");
    let receiver = post.subscribe_queue_with(named, 2, Full::stop(), |n: &u32| Some(*n));
    let log = common::Log::new();
    let seen = log.clone();
    let _later = post.subscribe(move |n: &u32| seen.push(*n));
    post.publish(&1).unwrap();
    post.publish(&2).unwrap();
    let stopped = post.publish(&3).unwrap_err();
    let error = stopped.error.downcast_ref::<QueueFull>().expect("this is what stopped it");
    assert_eq!(error.capacity, 2);
    assert_eq!((stopped.subscriber.id, stopped.subscriber.name), (receiver.id(), Some("to the disk")));
    assert_eq!((stopped.position, stopped.not_run, receiver.dropped()), (0, 1, 1));
    assert_eq!(log.take(), [1, 2]);
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 2]);
    post.publish(&4).unwrap();
    assert_eq!(receiver.try_recv(), Ok(4));
}

#[test]
fn stop_makes_what_error_one_wants() {
    let post: Dispatcher<u32, String> = Dispatcher::new();
    let _receiver = post.subscribe_queue(1, Full::Stop(|full| format!("no more than {}", full.capacity)));
    post.publish(&1).unwrap();
    assert_eq!(post.publish(&2).unwrap_err().error, "no more than 1");
}

#[test]
fn what_the_closure_leaves_out_takes_no_place() {
    let lines: Dispatcher<str> = Dispatcher::new();
    let receiver = lines.subscribe_queue_with(SubscribeOptions::new(), 2, Full::stop(), |line: &str| {
        line.parse::<u32>().ok()
    });
    for line in ["1", "x", "y", "2", "z"] {
        lines.publish(line).unwrap();
    }
    assert!(lines.publish("3").is_err());
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 2]);
}

#[test]
#[should_panic(expected = "a queue needs a capacity of at least 1")]
fn a_capacity_of_zero_is_a_panic_that_says_so() {
    drop(Plain::<u32>::new().subscribe_queue(0, Full::DropNewest));
}

#[test]
fn after_the_dispatchers_end_what_is_there_is_received_and_then_closed() {
    let post = Plain::new();
    let receiver = post.subscribe_queue(4, Full::DropNewest);
    post.publish(&1).unwrap();
    post.publish(&2).unwrap();
    drop(post);
    assert!(receiver.is_closed());
    assert_eq!((receiver.recv(), receiver.try_recv()), (Ok(1), Ok(2)));
    assert_eq!(receiver.try_recv(), Err(RecvError::Closed));
    assert_eq!(receiver.recv(), Err(RecvError::Closed));
    assert_eq!(receiver.recv_timeout(Duration::MAX), Err(RecvError::Closed));
    assert!(!receiver.cancel() && !receiver.pause());
}

#[test]
fn after_a_cancel_by_any_clone_the_same() {
    let post = Plain::new();
    let receiver = post.subscribe_queue(4, Full::DropNewest);
    let clone = receiver.clone();
    post.publish(&1).unwrap();
    assert!(clone.cancel() && !receiver.cancel());
    post.publish(&2).unwrap();
    assert!(receiver.is_closed() && !post.has_subscribers());
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [1]);
    assert_eq!(clone.recv(), Err(RecvError::Closed));
}

#[test]
fn a_once_queue_is_closed_by_its_event_though_nobody_writes() {
    let post = Plain::new();
    let once = SubscribeOptions::new().once();
    let receiver = post.subscribe_queue_with(once, 4, Full::DropNewest, |n: &u32| Some(*n));
    let left_out = post.subscribe_queue_with(once, 4, Full::DropNewest, |_: &u32| None::<u32>);
    (1..4).for_each(|n| post.publish(&n).unwrap());
    assert_eq!(receiver.into_iter().collect::<Vec<_>>(), [1]);
    assert_eq!(left_out.recv(), Err(RecvError::Closed));
}

#[test]
fn a_paused_queue_is_skipped_until_it_is_resumed() {
    let post = Plain::new();
    let receiver = post.subscribe_queue(4, Full::DropNewest);
    assert!(receiver.pause());
    post.publish(&1).unwrap();
    assert!(receiver.resume());
    post.publish(&2).unwrap();
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [2]);
}

#[test]
fn a_timed_receive_gives_up_and_a_later_event_is_not_lost() {
    within(|| {
        let post = Plain::new();
        let receiver = post.subscribe_queue(4, Full::DropNewest);
        assert_eq!(receiver.recv_timeout(Duration::from_millis(2)), Err(RecvError::TimedOut));
        assert_eq!(receiver.recv_deadline(Instant::now()), Err(RecvError::TimedOut));
        assert_eq!(receiver.recv_timeout(Duration::ZERO), Err(RecvError::TimedOut));
        post.publish(&1).unwrap();
        assert_eq!(receiver.recv_deadline(Instant::now()), Ok(1), "what is there needs no time");
        post.publish(&2).unwrap();
        assert_eq!(receiver.recv_timeout(Duration::MAX), Ok(2));
    });
}

/// Receivers that sleep, each on its thread, until `asleep` says so.
fn sleepers(receiver: &Receiver<u32>, count: usize) -> Vec<thread::JoinHandle<Result<u32, RecvError>>> {
    let start = |_| {
        let receiver = receiver.clone();
        thread::spawn(move || receiver.recv())
    };
    (0..count).map(start).collect()
}

#[test]
fn receivers_that_block_return_when_the_dispatcher_is_dropped() {
    within(|| {
        for _ in 0..200 {
            let post = Plain::new();
            let receiver = post.subscribe_queue(4, Full::DropNewest);
            let threads = sleepers(&receiver, 3);
            drop(post);
            threads.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), Err(RecvError::Closed)));
        }
    });
}

#[test]
fn receivers_that_block_return_when_one_cancels_inside_a_publish() {
    within(|| {
        let post = Arc::new(Plain::new());
        let receiver = post.subscribe_queue(4, Full::DropNewest);
        receiver.pause();
        let threads = sleepers(&receiver, 3);
        let canceller = receiver.clone();
        let _sub = post.subscribe(move |_: &u32| {
            canceller.cancel();
        });
        let (inside, leave) = (Gate::new(), Gate::new());
        let (entered, left) = (inside.clone(), leave.clone());
        let _holds = post.subscribe(move |_: &u32| {
            entered.open();
            left.wait();
        });
        let theirs = post.clone();
        let publisher = thread::spawn(move || theirs.publish(&1).unwrap());
        inside.wait();
        // The publish is still under way, so the closure lives; nobody need wait for that.
        threads.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), Err(RecvError::Closed)));
        leave.open();
        publisher.join().unwrap();
    });
}

#[test]
fn one_event_wakes_one_sleeper_and_as_many_events_as_sleepers_wake_all() {
    within(|| {
        for _ in 0..300 {
            let post = Plain::new();
            let receiver = post.subscribe_queue(8, Full::DropNewest);
            let threads = sleepers(&receiver, 4);
            (0..4).for_each(|n| post.publish(&n).unwrap());
            let mut all: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect();
            all.sort_unstable();
            assert_eq!(all, [0, 1, 2, 3]);
        }
    });
}

#[test]
fn several_threads_may_wait_through_one_receiver() {
    within(|| {
        let post = Plain::new();
        let receiver = post.subscribe_queue(8, Full::DropNewest);
        thread::scope(|scope| {
            let threads = [(); 4].map(|()| scope.spawn(|| receiver.recv().unwrap()));
            (0..4).for_each(|n| post.publish(&n).unwrap());
            let mut all = threads.map(|thread| thread.join().unwrap());
            all.sort_unstable();
            assert_eq!(all, [0, 1, 2, 3]);
        });
    });
}

#[test]
fn the_last_receivers_drop_ends_the_subscription_and_drops_what_is_queued() {
    let (post, drops) = (Plain::<Counted>::new(), Drops::new());
    let receiver = post.subscribe_queue(8, Full::DropNewest);
    let clone = receiver.clone();
    let event = Counted::new(&drops);
    post.publish(&event).unwrap();
    post.publish(&event).unwrap();
    drop(receiver);
    assert!(post.has_subscribers());
    assert_eq!(drops.alive(), 3);
    drop(clone);
    assert!(!post.has_subscribers());
    post.publish(&event).unwrap();
    assert_eq!((drops.made(), drops.alive()), (3, 1), "only the event itself is left");
}

#[test]
fn the_last_receiver_may_be_dropped_inside_a_publish() {
    let (post, drops) = (Plain::<Counted>::new(), Drops::new());
    let first = SubscribeOptions::new().priority(1);
    let receiver =
        post.subscribe_queue_with(first, 8, Full::DropNewest, |event: &Counted| Some(event.clone()));
    let place = Place::of(receiver);
    let _drops_it = post.subscribe(move |_: &Counted| drop(place.take()));
    let after = SubscribeOptions::new().priority(-1);
    let _stays = post.subscribe_queue_with(after, 1, Full::DropNewest, |_: &Counted| Some(()));
    let event = Counted::new(&drops);
    post.publish(&event).unwrap();
    post.publish(&event).unwrap();
    assert_eq!((post.len(), drops.alive()), (2, 1));
}

#[test]
fn nothing_leaks_when_receivers_are_dropped_while_events_arrive() {
    within(|| {
        let (post, drops, stop) = (Arc::new(Plain::<Counted>::new()), Drops::new(), Gate::new());
        let publishers: Vec<_> = (0..2)
            .map(|_| {
                let (post, stop, event) = (post.clone(), stop.clone(), Counted::new(&drops));
                thread::spawn(move || {
                    while !stop.is_open() {
                        post.publish(&event).unwrap();
                    }
                })
            })
            .collect();
        for round in 0..2_000 {
            let full = if round % 2 == 0 { Full::DropNewest } else { Full::DropOldest };
            let receiver = post.subscribe_queue(2, full);
            let clone = receiver.clone();
            let _ = receiver.recv();
            drop(receiver);
            let _ = clone.try_recv();
        }
        stop.open();
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        assert_eq!(drops.alive(), 0, "also with the dispatcher still there");
        assert!(!post.has_subscribers());
    });
}

#[test]
fn what_is_lost_is_dropped_on_the_publishing_thread() {
    within(|| {
        let (post, drops) = (Plain::<Counted>::new(), Drops::new());
        let receiver = post.subscribe_queue(1, Full::DropOldest);
        let event = Counted::new(&drops);
        let publisher = thread::spawn(move || {
            post.publish(&event).unwrap();
            post.publish(&event).unwrap();
            (thread::current().id(), post, event)
        });
        let (id, _post, _event) = publisher.join().unwrap();
        assert_eq!(drops.by(), [id]);
        assert!(receiver.try_recv().is_ok());
    });
}

#[test]
fn a_panic_in_what_is_dropped_loses_no_other_event() {
    struct Bomb(bool);
    impl Drop for Bomb {
        fn drop(&mut self) {
            if self.0 {
                std::panic::resume_unwind(Box::new("dropped"));
            }
        }
    }
    let post = Plain::<bool>::new();
    let options = SubscribeOptions::new();
    let receiver = post.subscribe_queue_with(options, 1, Full::DropOldest, |armed: &bool| Some(Bomb(*armed)));
    post.publish(&true).unwrap();
    let publish = std::panic::AssertUnwindSafe(|| post.publish(&false).unwrap());
    assert!(std::panic::catch_unwind(publish).is_err());
    assert!(!receiver.try_recv().unwrap_or_else(|_| panic!("it was put in")).0);
    assert_eq!(receiver.dropped(), 1);
}

#[test]
fn an_undo_is_an_event_like_others() {
    let post: Dispatcher<i32, &'static str> = Dispatcher::new();
    let receiver = post.subscribe_queue(4, Full::DropNewest);
    let _stops = post.subscribe(|_: &i32| Err("no"));
    assert!(post.publish_or_undo(&1, &-1).is_err());
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, -1]);
}

#[test]
fn a_receiver_is_send_sync_and_clone_and_shows_itself() {
    fn is<T: Send + Sync + Clone + std::fmt::Debug + Unpin + 'static>(_: &T) {}
    let post = Plain::<std::cell::Cell<u32>>::new(); // may be sent, not shared
    let receiver = post.subscribe_queue(4, Full::DropNewest);
    is(&receiver);
    post.publish(&std::cell::Cell::new(1)).unwrap();
    let text = format!("{receiver:?}");
    assert!(
        text.contains("len: 1") && text.contains("capacity: 4") && text.contains("closed: false"),
        "{text}"
    );
    let texts = [RecvError::Empty, RecvError::TimedOut, RecvError::Closed].map(|error| error.to_string());
    assert!(texts.iter().all(|text| text.starts_with(char::is_lowercase)));
}
