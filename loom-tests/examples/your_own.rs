//! How to check your own subscribers under loom, over signalpost's real code.
//!
//! In your crate:
//! ```toml
//! [target.'cfg(signalpost_loom)'.dev-dependencies]
//! loom = "0.7"
//! signalpost = { version = "0.1", features = ["loom"] }
//! ```
//! Use loom's atomics and threads where you use std's, behind the same cfg, and run
//! ```sh
//! RUSTFLAGS="--cfg signalpost_loom" cargo test --release
//! ```
//! loom then tries every order of your operations and ours. This one runs with
//! ```sh
//! RUSTFLAGS="--cfg signalpost_loom" cargo run -p signalpost-loom-tests --features loom --release --example your_own
//! ```
//! Under loom `Dispatcher::new` is not `const`, and each execution wants dispatchers of its own, so there are no statics.
//! What is checked is your code against ours; arc-swap and the kernel's `membarrier` are taken at their word.

#[cfg(signalpost_loom)]
use loom::{sync::atomic, thread};
#[cfg(not(signalpost_loom))]
use std::{sync::atomic, thread};

use atomic::AtomicU32;
use atomic::Ordering::{Acquire, Relaxed, Release};
// In your crate: `use signalpost::Dispatcher;`
use signalpost_dispatch::Dispatcher;
use std::convert::Infallible;
use std::sync::Arc;

/// A subscriber of yours: notes the newest price, and how many there were.
#[derive(Debug)]
struct Ticker {
    newest: AtomicU32,
    count: AtomicU32,
}

impl Ticker {
    fn new() -> Self {
        Self { newest: AtomicU32::new(0), count: AtomicU32::new(0) }
    }

    fn on_price(&self, price: u32) {
        self.newest.store(price, Relaxed);
        // Try `load` and `store` here: the model then finds two publishers that count one price.
        self.count.fetch_add(1, Release);
    }

    /// The newest price, if there was one.
    fn newest(&self) -> Option<u32> {
        (self.count.load(Acquire) > 0).then(|| self.newest.load(Relaxed))
    }
}

fn two_publishers_and_a_look() {
    let ticker = Arc::new(Ticker::new());
    let prices = Arc::new(Dispatcher::<u32, Infallible>::new());
    let _sub = prices.subscribe({
        let ticker = ticker.clone();
        move |price: &u32| ticker.on_price(*price)
    });
    let publishers = [7, 8].map(|price| {
        let prices = prices.clone();
        thread::spawn(move || {
            let _ = prices.publish(&price);
        })
    });
    assert_ne!(ticker.newest(), Some(0), "counted before it was noted");
    for publisher in publishers {
        publisher.join().unwrap();
    }
    assert_eq!(ticker.count.load(Relaxed), 2, "each price is counted");
}

/// In your crate a `#[test]`.
fn main() {
    #[cfg(signalpost_loom)]
    loom::model(two_publishers_and_a_look);
    #[cfg(not(signalpost_loom))]
    two_publishers_and_a_look();
    println!("each price was counted, and noted before it was counted");
}
