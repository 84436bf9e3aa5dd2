//! A handler of an event that tells of what has happened cannot veto it.
use signalpost::{Bus, BusStop, event};

struct Sent;
event!(Sent: "mail.sent");

fn main() {
    let bus = Bus::new();
    let _sub = bus.topic::<Sent>().subscribe(|_: &Sent| Err::<(), _>(BusStop::veto("do not")));
}
