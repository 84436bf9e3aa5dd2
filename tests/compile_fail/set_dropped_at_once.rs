//! So does a set of them.
#![deny(unused_must_use)]
use signalpost::{Dispatcher, SubscriptionSet};

fn main() {
    let post: Dispatcher<u32> = Dispatcher::new();
    [post.subscribe(|_: &u32| ())].into_iter().collect::<SubscriptionSet>();
}
