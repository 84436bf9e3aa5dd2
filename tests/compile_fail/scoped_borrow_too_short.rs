//! What a scoped subscriber borrows outlives the scope.
use signalpost::Dispatcher;

fn main() {
    let post: Dispatcher<u32> = Dispatcher::new();
    let _ = post.scope(|scope| {
        let inside = String::from("dropped before the scope ends");
        let borrowed = &inside;
        scope.subscribe(move |_: &u32| println!("{borrowed}"));
    });
}
