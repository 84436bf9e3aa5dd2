//! And its error is the dispatcher's.
use signalpost::Dispatcher;
use std::convert::Infallible;

fn main() {
    let post: Dispatcher<u32, Infallible> = Dispatcher::new();
    let _sub = post.subscribe(|_: &u32| Err("cannot stop this"));
}
