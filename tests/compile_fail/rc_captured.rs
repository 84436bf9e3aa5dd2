//! Subscribers run on any thread that publishes.
use signalpost::Dispatcher;
use std::rc::Rc;

fn main() {
    let post: Dispatcher<u32> = Dispatcher::new();
    let local = Rc::new(7);
    let _sub = post.subscribe(move |n: &u32| assert_eq!(*n, *local));
}
