//! A topic's handler is given events of its type.
use signalpost::{Bus, event};

struct Opened;
event!(Opened: "door.opened");
struct Closed;
event!(Closed: "door.closed");

fn main() {
    let bus = Bus::new();
    let _sub = bus.topic::<Opened>().subscribe(|_: &Closed| ());
}
