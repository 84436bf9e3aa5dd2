//! What is published is an event.
use signalpost::Bus;

struct NoEvent;

fn main() {
    let bus = Bus::new();
    bus.publish(&NoEvent).unwrap();
}
