//! With `X = Infallible` a publish needs neither `?` nor `let _`: from another crate, with every warning an error.
#![deny(warnings, unused_must_use)]

use signalpost::{Dispatcher, Lent, Shape, SubscribeOptions};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

static TICKS: Dispatcher<u32, Infallible> = Dispatcher::new();
static SUM: AtomicU32 = AtomicU32::new(0);

#[test]
fn a_plain_publish_has_nothing_to_be_looked_at() {
    TICKS.publish(&1);
    let _nothing = TICKS.subscribe(|n: &u32| {
        SUM.fetch_add(*n, SeqCst);
    });
    let _result = TICKS.subscribe(|n: &u32| -> Result<(), Infallible> {
        SUM.fetch_add(*n, SeqCst);
        Ok(())
    });
    let _once = TICKS.subscribe_with(SubscribeOptions::new().once(), |n: &u32| {
        SUM.fetch_add(*n, SeqCst);
    });
    TICKS.publish(&2);
    TICKS.publish_with(|| 3);
    assert_eq!(SUM.load(SeqCst), 2 * 3 + 3 * 2);
    assert_eq!(TICKS.publish_all(&1), []);
}

#[test]
fn it_can_still_be_asked() {
    let posts: [Dispatcher<str, Infallible>; 2] = Default::default();
    assert!(posts.iter().all(|post| post.publish("text").is_ok()));
    let Ok(()) = posts[0].publish("text");
    posts[0].publish("text").unwrap();
}

#[test]
fn so_it_is_for_lent_events() {
    enum Lines {}
    impl Shape for Lines {
        type View<'a> = &'a str;
    }
    let lines: Dispatcher<Lent<Lines>, Infallible> = Dispatcher::new();
    let count = AtomicU32::new(0);
    let scoped = lines.scope(|scope| {
        scope.subscribe(|line: &Lent<Lines>| {
            line.with(|line| count.fetch_add(line.len() as u32, SeqCst));
        });
        for line in String::from("one\nthree").lines() {
            lines.publish(Lent::new(&line));
        }
    });
    assert_eq!((scoped, count.into_inner()), (Ok(()), 8));
}
