//! Events are published on one thread and consumed as a stream on another, by an async program. Here its executor is tokio; any
//! other will do.
//!
//! `cargo run --example handoff_stream --features futures`

use signalpost::{BoxError, Dispatcher, Full, FullRing, SubscribeOptions};
use std::thread;
use std::time::Duration;
use tokio_stream::StreamExt;

/// What a sensor says. It borrows nothing, so it may be sent as it is.
#[derive(Clone, Debug)]
struct Reading {
    sensor: u32,
    celsius: f64,
}

static READINGS: Dispatcher<Reading> = Dispatcher::new();

fn main() -> Result<(), BoxError> {
    // Everything, in the order of publication; if the reader falls behind, the oldest go.
    let mut all = READINGS.subscribe_queue(1_024, Full::DropOldest);
    // A part of it, and only a part of each event; the publisher never meets another one here.
    let hot = READINGS.subscribe_rings_with(
        SubscribeOptions::new().named("too hot"),
        1_024,
        FullRing::DropNewest,
        |reading: &Reading| (reading.celsius > 80.0).then_some(reading.sensor),
    );
    let (ends, rings) = (all.clone(), hot.warm_up());

    let publisher = thread::spawn(move || {
        rings.this_thread(); // its ring is made now, not by the first publish
        for n in 0..100 {
            let reading = Reading { sensor: n % 4, celsius: 60.0 + f64::from(n % 25) };
            READINGS.publish(&reading).expect("nobody stops a reading");
            thread::sleep(Duration::from_micros(50)); // the receivers fall asleep, and are woken
        }
        ends.cancel(); // the dispatcher is a static, so the end must be said: the streams end when they are empty
    });

    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let (count, warmest) = runtime.block_on(async {
        let (mut count, mut warmest) = (0, f64::MIN);
        while let Some(reading) = all.next().await {
            count += 1;
            warmest = reading.celsius.max(warmest);
        }
        (count, warmest)
    });
    publisher.join().expect("it does not panic");
    hot.cancel();
    let hot: Vec<u32> = runtime.block_on(hot.collect());

    println!("{count} readings, the warmest of {warmest} degrees; too hot: {hot:?}");
    assert_eq!((count, warmest, hot.len()), (100, 84.0, 16));
    Ok(())
}
