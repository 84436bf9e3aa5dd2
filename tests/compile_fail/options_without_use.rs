//! Options do nothing by themselves.
#![deny(unused_must_use)]
use signalpost::SubscribeOptions;

fn main() {
    SubscribeOptions::new().once();
}
