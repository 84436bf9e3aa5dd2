//! A weak target is reached from any thread.
use signalpost::Dispatcher;
use std::cell::Cell;
use std::sync::Arc;

fn main() {
    let post: Dispatcher<u32> = Dispatcher::new();
    let target = Arc::new(Cell::new(0));
    let _sub = post.subscribe_weak(&target, |target: &Cell<u32>, n: &u32| target.set(*n));
}
