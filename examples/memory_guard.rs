//! A server that sheds load while the process has too much memory, and takes it again when it is back under.
//!
//! `cargo run --features monitor --example memory_guard`. Readings come from a script here, so that it does the same everywhere;
//! leave `source(…)` out and they are the process's own. A monitor thread, or any loop of yours, does what `main` does by hand:
//! it checks from time to time.

use signalpost::Bus;
use signalpost::monitor::{
    MemoryInfo, MemoryLimit, MemoryMode, MemoryUsageThresholdExceeded, MemoryUsageUnderThreshold,
    MemoryWatch, Steady,
};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const MIB: u64 = 1 << 20;
/// What the kernel kills at.
const HARD_LIMIT: u64 = 640 * MIB;

/// Answers requests, or says "later".
#[derive(Default)]
struct Server {
    shedding: AtomicBool,
}

impl Server {
    fn request(&self) -> &'static str {
        if self.shedding.load(Relaxed) { "503 later" } else { "200 ok" }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (bus, server) = (Bus::new(), Arc::new(Server::default()));

    let guarded = server.clone();
    let _over = bus.topic::<MemoryUsageThresholdExceeded>().subscribe(move |event| {
        guarded.shedding.store(true, Relaxed);
        let left = event.trend.and_then(|trend| trend.time_to(HARD_LIMIT));
        let left = left.map_or("none in sight".to_owned(), |left| format!("in {} s", left.as_secs()));
        println!("shed load: {} MiB, the end: {left}", event.mem_usage / MIB);
    });
    let guarded = server.clone();
    let _under = bus.topic::<MemoryUsageUnderThreshold>().subscribe(move |event| {
        guarded.shedding.store(false, Relaxed);
        println!("take load: {} MiB, it had been {} MiB", event.mem_usage / MIB, event.peak / MIB);
    });

    // Once above the limit, jitter is not news, nor is a moment just below it.
    let readings = [300, 400, 500, 520, 521, 519, 560, 505, 511, 450, 460];
    let mut script = readings.into_iter();
    let mut watch = MemoryWatch::builder()
        .limit(MemoryLimit::Bytes(512 * MIB)) // or ShareOfCgroup(0.8)
        .mode(MemoryMode::Steady(Steady::default().step(16 * MIB, 0.01)))
        .source(move || Ok(MemoryInfo::new(script.next().unwrap_or(0) * MIB)))
        .build()?;

    let mut answers = Vec::new();
    for second in 0..readings.len() as u64 {
        watch.check_at(Duration::from_secs(5 * second), &bus)?;
        answers.push(server.request());
    }
    let shed = |answer: &&str| answer.starts_with("503");
    println!("{} of {} requests shed", answers.iter().filter(|answer| shed(answer)).count(), answers.len());

    let (ok, later) = ("200 ok", "503 later");
    assert_eq!(answers, [ok, ok, ok, later, later, later, later, later, later, ok, ok]);
    assert!(!watch.state().is_over());

    // The limit can be changed at any time, from any thread.
    let handle = watch.handle();
    assert_eq!(handle.max_memory_usage(), Some(512 * MIB));
    handle.set_max_memory_usage(None);
    watch.check(&bus)?; // off: nothing is read
    assert_eq!(server.request(), ok);
    Ok(())
}
