//! Handlers run on whatever thread publishes.
use signalpost::{Bus, event};
use std::rc::Rc;

struct Tick;
event!(Tick: "test.tick");

fn main() {
    let (bus, counter) = (Bus::new(), Rc::new(0));
    let _sub = bus.topic::<Tick>().subscribe(move |_: &Tick| println!("{counter}"));
}
