//! Each key of `event!` is given once.
use signalpost::{BoxError, BusStop, event};

struct Tick;
event!(Tick: "test.tick", stop = BusStop, stop = BoxError);

fn main() {}
