//! Subscribers that borrow from the stack: no `Arc`, no `'static`, and no publish still running when the scope ends.
//!
//! `cargo run --example scoped`

use signalpost::{Dispatcher, ScopeError};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

static JOBS_DONE: Dispatcher<u64, Infallible> = Dispatcher::new();

fn work() {
    for cost in 1..=1000 {
        JOBS_DONE.publish(&cost);
    }
}

fn main() -> Result<(), ScopeError> {
    // Plain locals. A publish takes `&self` on any thread, so what subscribers change is atomic or locked.
    let jobs = AtomicU64::new(0);
    let total = AtomicU64::new(0);

    JOBS_DONE.scope(|scope| {
        scope.subscribe(|_: &u64| {
            jobs.fetch_add(1, Relaxed);
        });
        let summing = scope.subscribe(|cost: &u64| {
            total.fetch_add(*cost, Relaxed);
        });

        thread::scope(|threads| {
            threads.spawn(work);
            threads.spawn(work);
        });

        summing.cancel(); // before its time; dropping the handle would not
        work();
    })?; // waits for every publish that could still run one of the two

    assert!(!JOBS_DONE.has_subscribers());
    println!("{jobs:?} jobs, {total:?} units of work in the first 2000");
    assert_eq!((jobs.into_inner(), total.into_inner()), (3000, 1_001_000));
    Ok(())
}
