//! Who goes through the families of an event is the library.
use signalpost::{Event, Family, FamilyVisitor, event};

struct Tick;
event!(Tick: "test.tick");

struct Mine;
impl FamilyVisitor<Tick> for Mine {
    fn visit<F: Family>(self, _: impl Fn(&Tick) -> &F::View) -> Self {
        self
    }
}

fn main() {
    Tick::families(Mine);
}
