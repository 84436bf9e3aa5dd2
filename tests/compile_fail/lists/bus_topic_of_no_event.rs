//! A handler is for an event type, and not for any other.
use signalpost::Bus;

struct NoEvent;

fn main() {
    let bus = Bus::new();
    let _topic = bus.topic::<NoEvent>();
}
