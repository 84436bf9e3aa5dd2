//! `event!` knows three keys.
use signalpost::event;

struct Tick;
event!(Tick: "test.tick", family = [Ticks]);

fn main() {}
