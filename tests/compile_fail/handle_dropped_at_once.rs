//! A handle that is not kept cancels at once.
#![deny(unused_must_use)]
use signalpost::Dispatcher;

fn main() {
    let post: Dispatcher<u32> = Dispatcher::new();
    post.subscribe(|_: &u32| ());
}
