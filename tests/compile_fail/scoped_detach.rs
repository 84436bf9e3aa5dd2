//! A scoped subscriber cannot be let go of.
use signalpost::Dispatcher;

fn main() {
    let post: Dispatcher<u32> = Dispatcher::new();
    let _ = post.scope(|scope| scope.subscribe(|_: &u32| ()).detach());
}
