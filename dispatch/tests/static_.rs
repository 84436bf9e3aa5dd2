//! A dispatcher in a `static`: made at compile time, used from anywhere, never dropped.

mod common;

use common::{Drops, Log, alone, within};
use signalpost::{BoxError, Dispatcher};
use std::convert::Infallible;
use std::thread;
use std::time::Duration;

static TICKS: Dispatcher<u32, Infallible> = Dispatcher::new();
static NAMED: Dispatcher<str> = Dispatcher::named("names").with_max_depth(8);
static MANY: [Dispatcher<[u8], u8>; 4] = [const { Dispatcher::new() }; 4];

#[test]
fn a_static_dispatcher_works_from_every_thread() {
    let _alone = alone();
    within(|| {
        let (drops, log) = (Drops::new(), Log::new());
        let subscriber = |n: u32| {
            let (token, log) = (drops.token(), log.clone());
            TICKS.subscribe(move |event: &u32| {
                token.touch();
                log.push((n, *event));
            })
        };
        let first = subscriber(1);
        let second = thread::spawn(|| TICKS.publish(&5)).join().map(|_| subscriber(2)).unwrap();
        TICKS.publish(&6);
        assert_eq!(log.take(), [(1, 5), (1, 6), (2, 6)]);
        thread::spawn(move || drop(first)).join().unwrap();
        second.cancel_and_wait(Duration::MAX).unwrap();
        assert_eq!((drops.alive(), TICKS.len(), TICKS.retired()), (0, 0, 0));
    });
}

#[test]
fn a_named_static_with_a_limit_of_its_own() {
    let _alone = alone();
    let sub = NAMED.subscribe(|text: &str| -> Result<(), BoxError> {
        if let Some(rest) = text.get(1..) {
            NAMED.publish(rest)?;
        }
        Ok(())
    });
    NAMED.publish("1234567").unwrap();
    let panic = std::panic::catch_unwind(|| NAMED.publish("123456789")).unwrap_err();
    assert!(common::message(&*panic).contains("dispatcher names"));
    drop(sub);
    assert!(format!("{NAMED:?}").contains("names"));
}

#[test]
fn an_array_of_dispatchers_is_as_many() {
    let _alone = alone();
    let _subs: Vec<_> = (0..4)
        .map(|n| MANY[n].subscribe(move |bytes: &[u8]| if bytes.len() > n { Err(bytes[n]) } else { Ok(()) }))
        .collect();
    let answers = [0, 1, 2, 3].map(|n: usize| MANY[n].publish(&[7, 8]).map_err(|stopped| stopped.error));
    assert_eq!(answers.map(Result::err), [Some(7), Some(8), None, None]);
}

#[test]
fn a_dispatcher_may_be_moved_and_swapped_while_handles_live() {
    let _alone = alone();
    let log = Log::new();
    let logging = |post: &Dispatcher<u32, Infallible>, name: &'static str| {
        let log = log.clone();
        post.subscribe(move |_: &u32| log.push(name))
    };
    let (mut a, mut b) = (Dispatcher::new(), Box::new(Dispatcher::new()));
    let (sub_a, sub_b) = (logging(&a, "a"), logging(&b, "b"));
    std::mem::swap(&mut a, &mut b);
    a.publish(&1);
    let moved = thread::spawn(move || {
        b.publish(&1);
        b
    });
    let moved = moved.join().unwrap();
    assert_eq!(log.take(), ["b", "a"]);
    assert!(sub_a.cancel() && moved.is_empty());
    assert!(sub_b.is_active());
    a = *moved;
    assert!(!sub_b.is_active(), "its dispatcher was overwritten");
    a.publish(&1);
    assert_eq!(log.take(), [""; 0]);
}
