//! Hand-off: what is put into a queue is found, by whoever sleeps, goes, or comes after the close.
//!
//! The queues are stand-ins, with the documented edges of the real ones and no fences (`dispatch/src/queue/parts.rs`).

use signalpost_dispatch::{Dispatcher, Full, FullRing, RecvError, SubscribeOptions};
use signalpost_loom_tests::{Tally, all, block_on, end_rings, join, model, preemptions, spawn};
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

type Ticks = Dispatcher<u32, Infallible>;

/// All that a thread does that publishes into rings.
fn publish_and_end(ticks: &Ticks) {
    ticks.publish(&1);
    ticks.publish(&2);
    end_rings();
}

#[test]
fn a_receiver_that_falls_asleep_is_woken() {
    model(all().at_least(80), || {
        let ticks = Arc::new(Ticks::new());
        let receiver = ticks.subscribe_queue(2, Full::DropNewest);
        let theirs = ticks.clone();
        let thread = spawn(move || theirs.publish(&1));
        assert_eq!(receiver.recv(), Ok(1));
        thread.join().unwrap();
        assert_eq!(receiver.try_recv(), Err(RecvError::Empty));
    });
}

#[test]
fn a_receiver_that_falls_asleep_is_woken_by_the_close() {
    model(preemptions(3).at_least(100), || {
        let ticks = Ticks::new();
        let receiver = ticks.subscribe_queue(2, Full::DropNewest);
        let canceller = receiver.clone();
        let thread = spawn(move || assert!(canceller.cancel()));
        assert_eq!(receiver.recv(), Err(RecvError::Closed));
        thread.join().unwrap();
    });
}

#[test]
fn a_receiver_that_falls_asleep_is_woken_by_the_end_of_the_dispatcher() {
    model(preemptions(3).at_least(100), || {
        let ticks = Ticks::new();
        let receiver = ticks.subscribe_queue(2, Full::DropNewest);
        let thread = spawn(move || {
            ticks.publish(&1);
            drop(ticks);
        });
        assert_eq!(receiver.recv(), Ok(1));
        assert_eq!(receiver.recv(), Err(RecvError::Closed));
        thread.join().unwrap();
    });
}

#[test]
fn two_sleepers_get_one_event_each() {
    model(preemptions(2).at_least(2_000), || {
        let ticks = Ticks::new();
        let receiver = ticks.subscribe_queue(2, Full::DropNewest);
        let receivers = [receiver.clone(), receiver].map(|receiver| {
            spawn(move || {
                receiver.recv().unwrap();
                receiver // dropped after the join
            })
        });
        ticks.publish(&1);
        ticks.publish(&1);
        join(receivers);
    });
}

#[test]
fn what_a_dropped_future_was_told_is_passed_on() {
    model(preemptions(3).at_least(1_000), || {
        let ticks = Arc::new(Ticks::new());
        let receiver = ticks.subscribe_queue(2, Full::DropNewest);
        let other = receiver.clone();
        let mut future = Box::pin(receiver.recv_async());
        assert_eq!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
        let sleeper = spawn(move || {
            assert_eq!(other.recv(), Ok(1));
            other // dropped after the join
        });
        let theirs = ticks.clone();
        let publisher = spawn(move || theirs.publish(&1).unwrap());
        drop(future);
        join([publisher]);
        join([sleeper]);
    });
}

#[test]
fn a_task_that_is_polled_by_another_waker_is_woken_by_that() {
    model(all().at_least(20), || {
        let ticks = Arc::new(Ticks::new());
        let receiver = ticks.subscribe_queue(2, Full::DropNewest);
        let mut future = Box::pin(receiver.recv_async());
        assert_eq!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
        let theirs = ticks.clone();
        let thread = spawn(move || theirs.publish(&1));
        let event = block_on(future);
        assert_eq!(event, Ok(1));
        thread.join().unwrap();
    });
}

#[test]
fn what_comes_while_the_last_receiver_goes_is_dropped() {
    model(all().at_least(20), || {
        let tally = Tally::new();
        let ticks = Arc::new(Ticks::new());
        let made = tally.clone();
        let receiver = ticks
            .subscribe_queue_with(SubscribeOptions::new(), 2, Full::DropNewest, move |_| Some(made.canary()));
        let theirs = ticks.clone();
        let thread = spawn(move || theirs.publish(&1));
        drop(receiver);
        thread.join().unwrap();
        tally.assert_all_dropped(); // not only when the dispatcher ends, or somebody collects
    });
}

#[test]
fn what_comes_into_rings_while_the_receiver_goes_is_dropped() {
    model(all().at_least(20), || {
        let tally = Tally::new();
        let ticks = Arc::new(Ticks::new());
        let made = tally.clone();
        let receiver =
            ticks.subscribe_rings_with(SubscribeOptions::new(), 2, FullRing::DropNewest, move |_| {
                Some(made.canary())
            });
        let theirs = ticks.clone();
        let thread = spawn(move || publish_and_end(&theirs));
        drop(receiver);
        thread.join().unwrap();
        tally.assert_all_dropped();
    });
}

#[test]
fn what_came_before_the_close_is_received() {
    model(all().at_least(10), || {
        let ticks = Arc::new(Ticks::new());
        let receiver =
            ticks.subscribe_queue_with(SubscribeOptions::new().once(), 2, Full::DropNewest, |n| Some(*n));
        let theirs = ticks.clone();
        let thread = spawn(move || theirs.publish(&1));
        let first = receiver.try_recv();
        assert_ne!(first, Err(RecvError::Closed), "the event is lost");
        thread.join().unwrap();
        assert_eq!(first.or_else(|_| receiver.try_recv()), Ok(1));
        assert_eq!(receiver.try_recv(), Err(RecvError::Closed));
    });
}

#[test]
fn a_receiver_of_rings_that_falls_asleep_is_woken() {
    model(preemptions(3).at_least(40), || {
        let ticks = Arc::new(Ticks::new());
        let mut receiver = ticks.subscribe_rings(2, FullRing::DropNewest);
        let theirs = ticks.clone();
        let thread = spawn(move || publish_and_end(&theirs)); // makes its ring, too
        assert_eq!(receiver.recv(), Ok(1));
        thread.join().unwrap();
    });
}

#[test]
fn the_ring_of_a_thread_that_ended_is_emptied_first() {
    model(all().at_least(8), || {
        let ticks = Arc::new(Ticks::new());
        let mut receiver = ticks.subscribe_rings(2, FullRing::DropNewest);
        let theirs = ticks.clone();
        let thread = spawn(move || publish_and_end(&theirs));
        let mut received: Vec<_> = receiver.try_iter().collect();
        thread.join().unwrap();
        received.extend(receiver.try_iter());
        assert_eq!(received, [1, 2]);
    });
}
