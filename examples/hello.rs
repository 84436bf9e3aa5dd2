//! The smallest program: a dispatcher in a `static`, two subscribers, two events.
//!
//! `cargo run --example hello`

use signalpost::Dispatcher;
use std::convert::Infallible;

/// Nothing can stop a greeting: with `Infallible`, `publish` needs neither `?` nor `let _`.
static GREETINGS: Dispatcher<str, Infallible> = Dispatcher::new();

fn main() {
    // A subscriber is a closure that is given a reference to the event. It runs on the publishing thread.
    let loud = GREETINGS.subscribe(|name: &str| println!("HELLO, {}!", name.to_uppercase()));

    // `detach` lets a subscriber stay for as long as the dispatcher does; else the handle's end is its end.
    GREETINGS.subscribe(|name: &str| println!("hello, {name}")).detach();

    GREETINGS.publish("world"); // both run, in the order of registration
    drop(loud);
    GREETINGS.publish("moon"); // the second alone

    assert_eq!(GREETINGS.len(), 1);
}
