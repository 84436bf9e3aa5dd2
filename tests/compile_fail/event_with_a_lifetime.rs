//! An event type has no lifetime of its own, but for what is lent.
use signalpost::Dispatcher;

fn publish(text: &str) {
    let post: Dispatcher<&str, u32> = Dispatcher::new();
    let _ = post.publish(&text);
}

fn main() {
    publish(&String::from("text"));
}
