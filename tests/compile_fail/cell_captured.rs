//! And on several at once.
use signalpost::Dispatcher;
use std::cell::Cell;

fn main() {
    let post: Dispatcher<u32> = Dispatcher::new();
    let count = Cell::new(0);
    let _sub = post.subscribe(move |n: &u32| count.set(count.get() + n));
}
