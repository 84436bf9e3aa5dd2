//! A subscriber returns nothing, a result, or never.
use signalpost::Dispatcher;

fn main() {
    let post: Dispatcher<u32, String> = Dispatcher::new();
    let _number = post.subscribe(|n: &u32| *n);
}
