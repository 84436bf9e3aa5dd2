//! A scoped handle does not leave its scope.
use signalpost::Dispatcher;

fn main() {
    let post: Dispatcher<u32> = Dispatcher::new();
    let sub = post.scope(|scope| scope.subscribe(|_: &u32| ()));
    drop(sub);
}
