//! An event that declares a family can be looked at as the family's trait.
use signalpost::{event, family};

trait Priced {}
family!(struct PricedEvents: dyn Priced = "shop.priced");

struct Free;
event!(Free: "shop.free", families = [PricedEvents]);

fn main() {}
