//! What an edit lends is for that edit.
use signalpost::{Bus, event};

struct Tick;
event!(Tick: "test.tick");

fn main() {
    let bus = Bus::new();
    let ticks = bus.edit(|edit| edit.topic::<Tick>());
    let _sub = { ticks }.subscribe(|_: &Tick| ());
}
