//! Nothing borrowed from a lent view is kept.
use signalpost::{Dispatcher, Lent, Shape};
use std::sync::Mutex;

enum Lines {}
impl Shape for Lines {
    type View<'a> = &'a str;
}

static KEPT: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

fn main() {
    let post: Dispatcher<Lent<Lines>> = Dispatcher::new();
    let _sub = post.subscribe(|line: &Lent<Lines>| line.with(|line| KEPT.lock().unwrap().push(line)));
}
