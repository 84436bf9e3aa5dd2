//! Turns of a loop, and a monitor whose clock is turned by hand: what it says of them, and what it keeps.
#![cfg(target_os = "linux")]

use signalpost::Bus;
use signalpost::monitor::by_hand::ByHand;
use signalpost::monitor::{EventLoopBlocked, Monitor, expect_blocking};
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// A monitor with a limit of 100 ms, and the times of the blocks that it tells of.
fn monitor() -> (ByHand, Arc<Mutex<Vec<Duration>>>) {
    static NONE: signalpost::Plugins = signalpost::Plugins::new();
    let (bus, blocked) = (Arc::new(Bus::new()), Arc::new(Mutex::new(Vec::new())));
    let seen = blocked.clone();
    bus.topic::<EventLoopBlocked>()
        .subscribe(move |event| seen.lock().unwrap().push(event.blocking_time))
        .detach();
    let builder = Monitor::builder().bus(bus).plugins(&NONE).max_blocking_time(100 * MS);
    (ByHand::start(builder.print_blocking_reports(false), Duration::ZERO).unwrap(), blocked)
}

fn after(monitor: &mut ByHand, time: Duration) {
    monitor.clock().advance(time);
    monitor.turn();
}

#[test]
fn what_follows_known_long_code_has_the_whole_time_also_if_nobody_looked_meanwhile() {
    let (mut monitor, blocked) = monitor();
    let mut turn = monitor.monitor().watch_loop("own").unwrap();
    monitor.turn();
    for known in [true, false] {
        turn.busy();
        (0..4).for_each(|_| after(&mut monitor, 20 * MS)); // it is seen at 20 ms
        if known {
            drop(expect_blocking());
        }
        (0..4).for_each(|_| after(&mut monitor, 20 * MS));
        assert_eq!(blocked.lock().unwrap().len(), usize::from(!known), "at 160 ms");
        turn.idle();
        after(&mut monitor, 20 * MS);
    }
}

#[test]
fn of_a_thread_that_is_idle_no_file_is_kept_open() {
    let (mut monitor, _) = monitor();
    let mut turn = monitor.monitor().watch_loop("own").unwrap();
    let files = || {
        let own = format!("/task/{}/", nix::unistd::gettid());
        let all = fs::read_dir("/proc/self/fd").unwrap();
        let names = all.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
        names.filter(|name| name.to_str().is_some_and(|name| name.contains(&own))).count()
    };
    monitor.turn();
    assert_eq!(files(), 0);
    turn.busy();
    (0..3).for_each(|_| after(&mut monitor, 20 * MS));
    assert!(files() > 0, "it is suspected");
    turn.idle();
    after(&mut monitor, 20 * MS);
    assert_eq!(files(), 0);
}
