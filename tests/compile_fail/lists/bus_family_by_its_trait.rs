//! The trait of a family is not its marker.
use signalpost::{Bus, family};

trait Priced {}
family!(struct PricedEvents: dyn Priced = "shop.priced");

fn main() {
    let bus = Bus::new();
    let _right = bus.family::<PricedEvents>();
    let _wrong = bus.family::<dyn Priced>();
}
