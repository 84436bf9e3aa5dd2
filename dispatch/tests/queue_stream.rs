//! Receivers as futures and streams: with an executor made by hand, and with tokio's.
#![cfg(feature = "futures")]

mod common;

use common::{Gate, Plain, within};
use futures_core::Stream;
use signalpost::{Full, FullRing, RecvError};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

/// Counts how often it is called.
#[derive(Default)]
struct Calls(AtomicUsize);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn counting() -> (Arc<Calls>, Waker) {
    let calls = Arc::<Calls>::default();
    (calls.clone(), calls.into())
}

fn poll<S: Stream + Unpin>(stream: &mut S, waker: &Waker) -> Poll<Option<S::Item>> {
    Pin::new(stream).poll_next(&mut Context::from_waker(waker))
}

async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
}

fn is_woken_once_for_each_sleep(mut stream: impl Stream<Item = u32> + Unpin, post: Plain) {
    let (calls, waker) = counting();
    for sleep in 1..4 {
        assert_eq!(poll(&mut stream, &waker), Poll::Pending);
        assert_eq!(poll(&mut stream, &waker), Poll::Pending, "also if it is polled for no reason");
        (0..100).for_each(|n| post.publish(&n).unwrap());
        assert_eq!(calls.0.load(SeqCst), sleep, "however many events there are");
        for n in 0..100 {
            assert_eq!(poll(&mut stream, &waker), Poll::Ready(Some(n)));
        }
    }
    assert_eq!(poll(&mut stream, &waker), Poll::Pending);
    drop(post);
    assert_eq!(calls.0.load(SeqCst), 4, "the end is told too");
    assert_eq!(poll(&mut stream, &waker), Poll::Ready(None));
    assert_eq!(poll(&mut stream, &waker), Poll::Ready(None));
}

#[test]
fn a_task_is_woken_once_for_each_sleep_and_told_of_the_end() {
    let post = Plain::new();
    let receiver = post.subscribe_queue(128, Full::DropNewest);
    is_woken_once_for_each_sleep(receiver, post);
    let post = Plain::new();
    let receiver = post.subscribe_rings(128, FullRing::DropNewest);
    is_woken_once_for_each_sleep(receiver, post);
}

#[test]
fn a_task_that_was_woken_and_finds_nothing_sleeps_again() {
    let post = Plain::new();
    let mut stream = post.subscribe_queue(4, Full::DropNewest);
    let thief = stream.clone();
    let (calls, waker) = counting();
    for round in 1..4 {
        assert_eq!(poll(&mut stream, &waker), Poll::Pending);
        post.publish(&1).unwrap();
        assert_eq!((calls.0.load(SeqCst), thief.try_recv()), (round, Ok(1)));
    }
}

#[test]
fn the_waker_of_the_last_poll_is_the_one_that_is_called() {
    let post = Plain::new();
    let mut stream = post.subscribe_queue(4, Full::DropNewest);
    let ((old_calls, old), (new_calls, new)) = (counting(), counting());
    assert_eq!(poll(&mut stream, &old), Poll::Pending);
    assert_eq!(poll(&mut stream, &new), Poll::Pending);
    post.publish(&1).unwrap();
    assert_eq!((old_calls.0.load(SeqCst), new_calls.0.load(SeqCst)), (0, 1));
}

#[test]
fn a_future_or_stream_that_is_dropped_passes_on_what_it_was_told() {
    let post = Plain::new();
    let receiver = post.subscribe_queue(4, Full::DropNewest);
    let (mut first, mut last) = (receiver.clone(), receiver.clone());
    let (calls, waker) = counting();
    assert_eq!(poll(&mut first, Waker::noop()), Poll::Pending);
    let mut second = Box::pin(receiver.recv_async());
    assert_eq!(second.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
    assert_eq!(poll(&mut last, &waker), Poll::Pending);
    post.publish(&1).unwrap(); // told to the first
    drop(first);
    assert_eq!(calls.0.load(SeqCst), 0);
    drop(second);
    assert_eq!(calls.0.load(SeqCst), 1);
    assert_eq!(poll(&mut last, &waker), Poll::Ready(Some(1)));
}

#[test]
fn a_sleeper_that_is_dropped_before_anything_comes_takes_no_event_with_it() {
    let post = Plain::new();
    let receiver = post.subscribe_queue(4, Full::DropNewest);
    for _ in 0..3 {
        let mut future = pin!(receiver.recv_async());
        assert_eq!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
    }
    post.publish(&1).unwrap();
    assert_eq!(receiver.try_recv(), Ok(1));
}

fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

#[test]
fn a_stream_on_tokios_current_thread_gets_all_and_ends() {
    within(|| {
        let post = Plain::new();
        let mut queue = post.subscribe_queue(10_000, Full::DropNewest);
        let mut rings = post.subscribe_rings(10_000, FullRing::DropNewest);
        let publisher = thread::spawn(move || (0..10_000).for_each(|n| post.publish(&n).unwrap()));
        current_thread().block_on(async {
            for n in 0..10_000 {
                assert_eq!(next(&mut queue).await, Some(n));
                assert_eq!(rings.recv_async().await, Ok(n));
            }
            assert_eq!(next(&mut queue).await, None);
            assert_eq!(next(&mut rings).await, None);
            assert_eq!(queue.recv_async().await, Err(RecvError::Closed));
        });
        publisher.join().unwrap();
    });
}

#[test]
fn many_tasks_of_a_tokio_of_many_threads_share_a_queue_and_lose_nothing() {
    within(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).build().unwrap();
        let (post, go) = (Arc::new(Plain::<u64>::new()), Gate::new());
        let receiver = post.subscribe_queue(100_000, Full::DropNewest);
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let mut stream = receiver.clone();
                runtime.spawn(async move {
                    let (mut count, mut sum) = (0, 0);
                    while let Some(n) = next(&mut stream).await {
                        (count, sum) = (count + 1, sum + n);
                    }
                    (count, sum)
                })
            })
            .collect();
        drop(receiver);
        let publishers: Vec<_> = (0..4)
            .map(|_| {
                let (post, go) = (post.clone(), go.clone());
                thread::spawn(move || {
                    go.wait();
                    (0..10_000).for_each(|n| post.publish(&n).unwrap());
                })
            })
            .collect();
        go.open();
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        drop(Arc::into_inner(post));
        let total = runtime.block_on(async {
            let mut total = (0, 0);
            for task in tasks {
                let (count, sum) = task.await.unwrap();
                total = (total.0 + count, total.1 + sum);
            }
            total
        });
        assert_eq!(total, (40_000, 4 * 9_999 * 10_000 / 2));
    });
}

#[test]
fn futures_that_time_out_again_and_again_lose_nothing() {
    within(|| {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        let post = Arc::new(Plain::<u32>::new());
        let receiver = post.subscribe_queue(100_000, Full::DropNewest);
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let receiver = receiver.clone();
                runtime.spawn(async move {
                    let mut count = 0;
                    loop {
                        match tokio::time::timeout(Duration::from_micros(1), receiver.recv_async()).await {
                            Ok(Ok(_)) => count += 1,
                            Ok(Err(_)) => break count,
                            Err(_) => {}
                        }
                    }
                })
            })
            .collect();
        for n in 0..2_000 {
            post.publish(&n).unwrap();
            if n % 50 == 0 {
                thread::sleep(Duration::from_micros(200)); // some find nothing and time out
            }
        }
        drop(Arc::into_inner(post));
        let counts = tasks.into_iter().map(|task| runtime.block_on(task).unwrap());
        assert_eq!(counts.sum::<u32>(), 2_000);
    });
}
