//! Nor the other way round.
use signalpost::Dispatcher;

type Any = for<'a> fn(&'a str);
type ForEver = fn(&'static str);

fn more_general(post: &Dispatcher<ForEver>) -> &Dispatcher<Any> {
    post
}

fn main() {
    more_general(&Dispatcher::new());
}
