//! What is known as one of many is an event, and nothing else.
use signalpost::AnyEvent;

struct NoEvent;
impl AnyEvent for NoEvent {
    fn name(&self) -> &'static str {
        "mine"
    }
    fn entry_point_name(&self) -> Option<&'static str> {
        None
    }
}

fn main() {}
