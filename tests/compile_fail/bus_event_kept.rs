//! A handler cannot keep the event, whether it knows the type, the family, or neither.
use signalpost::{AnyEvent, Bus, event, family};
use std::sync::Mutex;

trait Priced: Sync {}
family!(struct PricedEvents: dyn Priced = "shop.priced");
struct Paid;
impl Priced for Paid {}
event!(Paid: "shop.paid", families = [PricedEvents]);

static KEPT: Mutex<Vec<&'static Paid>> = Mutex::new(Vec::new());
static FAMILY: Mutex<Vec<&'static dyn Priced>> = Mutex::new(Vec::new());
static NAMES: Mutex<Vec<&'static Paid>> = Mutex::new(Vec::new());

fn main() {
    let bus = Bus::new();
    let _topic = bus.topic::<Paid>().subscribe(|paid: &Paid| KEPT.lock().unwrap().push(paid));
    let _family = bus.family::<PricedEvents>().subscribe(|priced| FAMILY.lock().unwrap().push(priced));
    let _plain = bus.subscribe(|event: &dyn AnyEvent| NAMES.lock().unwrap().extend(event.downcast_ref::<Paid>()));
}
