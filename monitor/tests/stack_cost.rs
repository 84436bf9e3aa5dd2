//! What a stack costs the thread: no allocation, and nothing kept. With `--nocapture` the times that were seen.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

#[path = "../../dispatch/tests/common/mod.rs"]
mod common;
#[path = "../../dispatch/tests/common/heap.rs"]
mod heap;
mod stack_parts;

use common::alone;
use common::process::child;
use signalpost::monitor::stack::{Capturer, Said};
use signalpost::monitor::{MemorySource, ProcessMemory};
use stack_parts::{HANG, Running, by, capturer, is_whole, spins_here, take, tracer};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

#[test]
fn the_thread_allocates_nothing_for_it() {
    fn probe() -> Said {
        Said::default()
    }
    let _turn = alone();
    let allocated = Arc::new(AtomicU64::new(0));
    let counts = allocated.clone();
    let running = Running::start(move || {
        let (made, freed) = heap::counted(spins_here);
        counts.fetch_add(made + freed, SeqCst);
    });
    let mut capturer = capturer();
    for _ in 0..200 {
        is_whole(&capturer.capture(&running.target, Some(probe), HANG).unwrap().trace);
    }
    assert_eq!(allocated.load(SeqCst), 0);
}

/// So deep, and at the end for a while.
#[inline(never)]
fn recurses(depth: u32) -> u64 {
    let room = black_box([u64::from(depth); 60]);
    if depth == 0 {
        (0..1_000).for_each(|_| spins_here());
    } else {
        black_box(recurses(depth - 1));
    }
    black_box(room[7])
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn timed<R>(what: impl FnOnce() -> R) -> (R, Duration) {
    let begun = Instant::now();
    (what(), begun.elapsed())
}

/// Not asserted: the machine may be busy with other things.
fn times(name: &str, capturer: &mut Capturer, running: &Running) {
    let ((), first) = timed(|| drop(take(capturer, &running.target)));
    let trace = take(capturer, &running.target).trace;
    drop(trace.frames());
    let ((), warm) = timed(|| drop(trace.frames()));
    let seen = (0..2_000).map(|_| timed(|| take(capturer, &running.target)));
    let (inside, round): (Vec<_>, Vec<_>) = seen.map(|(capture, round)| (capture.in_handler, round)).unzip();
    let (inside, round) = (median(inside), median(round));
    println!(
        "{name}: first {first:?}, then {round:?}, in it the thread copied for {inside:?}; names {warm:?}"
    );
}

#[test]
fn the_monitor_keeps_little_for_it() {
    child("the_monitor_keeps_little_for_it", || {
        let mut memory = ProcessMemory::new().unwrap();
        let running = Running::start(spins_here);
        let mut rss = || memory.read().unwrap().rss;
        rss();
        let before = rss();
        let mut capturer = capturer();
        take(&mut capturer, &running.target);
        let taken = rss();
        let trace = take(&mut capturer, &running.target).trace;
        let ((), cold) = timed(|| drop(trace.frames()));
        let named = rss();
        times("signal", &mut capturer, &running);
        let deep = Running::start(|| {
            black_box(recurses(24));
        });
        times("signal, 24 functions and 12 KiB deep", &mut capturer, &deep);
        let ((), anew) = timed(|| drop(take(&mut stack_parts::capturer(), &deep.target)));
        println!("with nothing known before: {anew:?}");
        drop(deep);
        if let Some(mut tracer) = tracer(&running.target) {
            times("ptrace", &mut tracer, &running);
        }
        let mut passive = by(signalpost::monitor::CaptureMode::Passive);
        let waits = Running::start(|| std::thread::sleep(Duration::from_millis(100)));
        let looks: Vec<_> =
            (0..1_000).map(|_| timed(|| passive.capture(&waits.target, None, HANG))).collect();
        println!("passive: {:?}", median(looks.into_iter().map(|(_, time)| time).collect()));
        let after = rss();
        println!(
            "resident: {} KiB with the first stack, {} KiB with its names (after {cold:?}), {} KiB in the end",
            (taken - before) >> 10,
            (named - before) >> 10,
            (after - before) >> 10
        );
        assert!(after - before < 2 << 20, "{} bytes", after - before);
    })
    .succeeded();
}
