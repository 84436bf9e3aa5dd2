//! A subscriber cannot keep the event.
use signalpost::Dispatcher;
use std::sync::Mutex;

static KEPT: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

fn main() {
    let post: Dispatcher<str> = Dispatcher::new();
    let _sub = post.subscribe(|text: &str| KEPT.lock().unwrap().push(text));
}
