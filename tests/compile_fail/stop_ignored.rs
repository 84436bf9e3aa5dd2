//! What can stop an event is looked at.
#![deny(unused_must_use)]
use signalpost::Dispatcher;

fn main() {
    let post: Dispatcher<u32> = Dispatcher::new();
    post.publish(&1);
}
