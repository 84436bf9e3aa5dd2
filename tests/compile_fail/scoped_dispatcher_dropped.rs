//! The dispatcher outlives its scope.
use signalpost::Dispatcher;

fn main() {
    let post: Dispatcher<u32> = Dispatcher::new();
    let _ = post.scope(|_| drop(post));
}
