//! A subscriber may be running twice, so it cannot change what it captured.
use signalpost::Dispatcher;

fn main() {
    let post: Dispatcher<u32> = Dispatcher::new();
    let mut sum = 0;
    let _sub = post.subscribe(move |n: &u32| sum += n);
}
