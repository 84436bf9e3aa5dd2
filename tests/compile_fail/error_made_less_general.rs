//! It is invariant in its error too.
use signalpost::Dispatcher;

type Any = for<'a> fn(&'a str);
type ForEver = fn(&'static str);

fn less_general(post: &Dispatcher<u32, Any>) -> &Dispatcher<u32, ForEver> {
    post
}

fn main() {
    less_general(&Dispatcher::new());
}
