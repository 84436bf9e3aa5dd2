//! A family is named by its marker type.
use signalpost::Bus;

struct NoFamily;

fn main() {
    let bus = Bus::new();
    let _family = bus.family::<NoFamily>();
}
