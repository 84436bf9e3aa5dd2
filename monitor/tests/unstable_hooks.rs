//! Tokio's unstable hooks: single polls are told apart, and where a task was spawned is known. Only under `--cfg tokio_unstable`.
#![cfg(all(tokio_unstable, feature = "tokio-unstable-hooks"))]

use signalpost::Bus;
use signalpost::monitor::{CaptureMode, EventLoopBlocked, Monitor, TokioHooks};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

const LIMIT: Duration = Duration::from_millis(200);

struct Told {
    line: Option<u32>,
    file: Option<&'static str>,
}

/// A runtime of one worker, watched without captures, and what is said of it.
fn watched() -> (Monitor, Runtime, mpsc::Receiver<Told>) {
    let bus = Arc::new(Bus::new());
    let (tell, told) = mpsc::channel();
    bus.topic::<EventLoopBlocked>()
        .subscribe(move |event| {
            let place = event.task.spawned_at;
            let _ = tell.send(Told { line: place.map(|at| at.line()), file: place.map(|at| at.file()) });
        })
        .detach();
    let monitor = Monitor::builder()
        .bus(bus)
        .max_blocking_time(LIMIT)
        .print_blocking_reports(false)
        .capture(CaptureMode::Off)
        .start()
        .unwrap();
    let hooks = TokioHooks::new();
    let runtime = hooks.install(Builder::new_multi_thread().worker_threads(1)).build().unwrap();
    monitor.watch_tokio("one", runtime.handle(), &hooks).unwrap();
    (monitor, runtime, told)
}

#[test]
fn a_block_names_the_place_where_its_task_was_spawned() {
    let (_monitor, runtime, told) = watched();
    let line = line!() + 1;
    let task = runtime.spawn(async { thread::sleep(2 * LIMIT) });
    let told = told.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!((told.file, told.line), (Some(file!()), Some(line)));
    runtime.block_on(task).unwrap();
}

#[test]
fn many_polls_between_two_turns_of_the_driver_are_no_block() {
    let (_monitor, runtime, told) = watched();
    let step = LIMIT / 20;
    let mut longest = Duration::ZERO;
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            runtime.spawn(async move {
                let mut longest = Duration::ZERO;
                for _ in 0..25 {
                    let begun = Instant::now();
                    while begun.elapsed() < step {}
                    longest = longest.max(begun.elapsed());
                    tokio::task::yield_now().await;
                }
                longest
            })
        })
        .collect();
    for task in tasks {
        longest = longest.max(runtime.block_on(task).unwrap());
    }
    // A poll that was held up by the machine may be one.
    assert!(told.try_recv().is_err() || longest >= LIMIT, "the longest poll took {longest:?}");
}
