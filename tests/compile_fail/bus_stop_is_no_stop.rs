//! What stops an event has a place for the failure of those who hear all of them.
use signalpost::event;
use std::convert::Infallible;

struct Unstoppable;
event!(Unstoppable: "test.unstoppable", stop = Infallible);

struct Worded;
event!(Worded: "test.worded", stop = String);

fn main() {}
