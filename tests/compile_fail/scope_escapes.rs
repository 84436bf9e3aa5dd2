//! Nor does the scope itself.
use signalpost::{Dispatcher, Scope};

fn main() {
    let post: Dispatcher<u32> = Dispatcher::new();
    let mut kept: Option<&Scope<'_, '_, u32, _>> = None;
    let _ = post.scope(|scope| kept = Some(scope));
    kept.unwrap().subscribe(|_: &u32| ());
}
