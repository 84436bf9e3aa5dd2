//! A dispatcher is invariant in its event. Its subscribers may call what they are given with any text; through this it
//! would be a function that keeps what must live for ever.
use signalpost::Dispatcher;

type Any = for<'a> fn(&'a str);
type ForEver = fn(&'static str);

fn less_general(post: &Dispatcher<Any>) -> &Dispatcher<ForEver> {
    post
}

fn main() {
    less_general(&Dispatcher::new());
}
