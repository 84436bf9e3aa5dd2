//! The loops whose instructions `lab count` counts.
//!
//! Owns them, and what they need to run, and nothing else. What the compiler inlines into a loop depends on what else is in its crate:
//! among everything that the lab has, a publish that nobody had touched was seen to go from 93 instructions to 80. Here only a change to
//! signalpost, or to this file, can change a count.
//!
//! Every subscriber reads the event and one captured word, as those of `lab paths` do.

use signalpost::{BoxError, Bus, Dispatcher, Event};
use std::{hint::black_box, sync::Arc};

type Answer = Result<(), BoxError>;

/// The event: one word.
#[derive(Debug)]
struct Tick(u64);

static TICK: Tick = Tick(0x9E37_79B9_7F4A_7C15);

impl Event for Tick {
    const NAME: &'static str = "counted.tick";
    type Stop = BoxError;
}

fn subscriber(salt: u64) -> impl Fn(&Tick) -> Answer + Send + Sync + 'static {
    move |event: &Tick| {
        black_box(event.0 ^ salt);
        Ok(())
    }
}

/// Walks a `Vec<Arc<dyn Fn>>` so often.
///
/// # Panics
/// When a subscriber stopped an event; none does.
#[inline(never)]
pub fn raw_loop(subscribers: usize, publishes: u64) {
    type Shared = Arc<dyn Fn(&Tick) -> Answer + Send + Sync>;
    let list: Vec<Shared> =
        (0..subscribers as u64).map(|salt| Arc::new(subscriber(salt)) as Shared).collect();
    for _ in 0..publishes {
        let event = black_box(&TICK);
        assert!(list.iter().all(|subscriber| subscriber(event).is_ok()));
    }
}

/// Publishes on a dispatcher so often.
///
/// # Panics
/// As [`raw_loop`].
#[inline(never)]
pub fn dispatcher(subscribers: usize, publishes: u64) {
    let dispatcher: Dispatcher<Tick> = Dispatcher::new();
    for salt in 0..subscribers as u64 {
        dispatcher.subscribe(subscriber(salt)).detach();
    }
    for _ in 0..publishes {
        assert!(dispatcher.publish(black_box(&TICK)).is_ok());
    }
}

/// Publishes on a bus so often.
///
/// # Panics
/// As [`raw_loop`].
#[inline(never)]
pub fn bus(subscribers: usize, publishes: u64) {
    let bus = bus_with(subscribers);
    for _ in 0..publishes {
        assert!(bus.publish(black_box(&TICK)).is_ok());
    }
}

/// Publishes through a bus's topic so often.
///
/// # Panics
/// As [`raw_loop`].
#[inline(never)]
pub fn topic(subscribers: usize, publishes: u64) {
    let bus = bus_with(subscribers);
    let topic = bus.topic::<Tick>();
    for _ in 0..publishes {
        assert!(topic.publish(black_box(&TICK)).is_ok());
    }
}

fn bus_with(subscribers: usize) -> Bus {
    let bus = Bus::new();
    bus.prepare::<Tick>();
    for salt in 0..subscribers as u64 {
        bus.topic::<Tick>().subscribe(subscriber(salt)).detach();
    }
    bus
}

#[inline(always)]
fn work(argument: u64) -> u64 {
    let mixed = (argument ^ 0x5851_F42D_4C95_7F2D).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed ^ (mixed >> 29)).wrapping_mul(0x94D0_49BB_1331_11EB) ^ (mixed >> 32)
}

#[inline(never)]
fn function(argument: u64) -> u64 {
    work(argument)
}

signalpost::patch::patch_points! {
    /// A function that can be replaced.
    mod points {
        fn unpatched(argument: u64) -> u64 { function(argument) }
    }
}

/// Calls a function that is not inlined so often, each time with what it gave.
#[inline(never)]
pub fn direct(calls: u64) -> u64 {
    (0..calls).fold(1, |argument, _| function(argument))
}

/// Calls a patch point that nothing replaces so often, each time with what it gave.
#[inline(never)]
pub fn slot_unpatched(calls: u64) -> u64 {
    (0..calls).fold(1, |argument, _| points::unpatched(argument))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loop_runs_and_a_patch_point_gives_what_its_function_gives() {
        for publish in [raw_loop, dispatcher, bus, topic] {
            publish(3, 10);
        }
        assert_eq!(direct(100), slot_unpatched(100));
    }
}
