//! The thread itself: its name, its signals, and its sleep.
#![cfg(target_os = "linux")]

#[path = "../../dispatch/tests/common/mod.rs"]
mod common;

use common::HANG;
use common::process::{child, fork, join};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use signalpost::Bus;
use signalpost::monitor::Monitor;
use std::fs;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3_600);

fn alone(name: &str) -> Monitor {
    static NONE: signalpost::Plugins = signalpost::Plugins::new();
    Monitor::builder().thread_name(name).bus(Arc::new(Bus::new())).plugins(&NONE).start().unwrap()
}

/// What the kernel says of the monitor's thread.
fn status(monitor: &Monitor) -> String {
    let (told, tells) = mpsc::channel();
    let tell = move |_: &_| told.send(fs::read_to_string("/proc/thread-self/status")).unwrap_or_default();
    monitor.add_monitoring_function_named("status", tell, Some(HOUR)).unwrap();
    let status = tells.recv_timeout(HANG).unwrap().unwrap();
    monitor.remove_named("status");
    status
}

fn field<'s>(status: &'s str, name: &str) -> &'s str {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":")).unwrap().trim()
}

#[test]
fn the_kernel_has_the_names_beginning() {
    assert_eq!(field(&status(&alone("orders-monitor")), "Name"), "orders-monitor");
    assert_eq!(field(&status(&alone("signalpost-monitor")), "Name"), "signalpost-moni");
}

#[test]
fn all_signals_are_blocked_but_those_of_the_threads_own_faults() {
    let before = SigSet::thread_get_mask().unwrap();
    let blocked = u64::from_str_radix(field(&status(&alone("masked")), "SigBlk"), 16).unwrap();
    let is_blocked = |signal: i32| blocked >> (signal - 1) & 1 == 1;
    for signal in Signal::iterator() {
        let fault = matches!(
            signal,
            Signal::SIGSEGV
                | Signal::SIGBUS
                | Signal::SIGFPE
                | Signal::SIGILL
                | Signal::SIGTRAP
                | Signal::SIGABRT
        );
        let never = matches!(signal, Signal::SIGKILL | Signal::SIGSTOP);
        assert_eq!(is_blocked(signal as i32), !fault && !never, "{signal}");
    }
    assert!((35..=64).all(is_blocked), "real-time signals: {blocked:x}");
    assert_eq!(SigSet::thread_get_mask().unwrap(), before, "the caller's mask is as it was");
}

#[test]
fn a_signal_to_the_process_is_not_taken_by_the_monitor() {
    child("a_signal_to_the_process_is_not_taken_by_the_monitor", || {
        // A process with this thread alone, which keeps the signal waiting; if the monitor's took it, the process would die.
        join(fork(|| {
            let mut waits = SigSet::empty();
            waits.add(Signal::SIGUSR1);
            waits.thread_block().unwrap();
            let monitor = alone("masked");
            status(&monitor);
            kill(Pid::this(), Signal::SIGUSR1).unwrap();
            for _ in 0..10 {
                let shared = u64::from_str_radix(field(&status(&monitor), "ShdPnd"), 16).unwrap();
                assert_eq!(
                    shared >> (Signal::SIGUSR1 as i32 - 1) & 1,
                    1,
                    "still waiting for a thread that takes it"
                );
            }
            assert_eq!(waits.wait().unwrap(), Signal::SIGUSR1);
        }));
    })
    .succeeded();
}

/// How often the thread has gone to sleep by itself.
fn sleeps(thread: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/self/task/{thread}/status")).unwrap();
    field(&status, "voluntary_ctxt_switches").parse().unwrap()
}

/// Waits until the thread sleeps and has done so for a while; hangs where it never rests.
fn settled(thread: &str) -> u64 {
    let (begun, mut before) = (Instant::now(), sleeps(thread));
    loop {
        assert!(begun.elapsed() < HANG, "it never rests");
        thread::sleep(Duration::from_millis(50));
        match sleeps(thread) {
            now if now == before => return now,
            now => before = now,
        }
    }
}

#[test]
fn an_idle_monitor_is_not_woken() {
    let monitor = alone("idle");
    let status_now = status(&monitor);
    let thread = field(&status_now, "Pid");
    let before = settled(thread);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(sleeps(thread), before, "without functions");

    // And with functions that are due in an hour, or never.
    for period in [HOUR, Duration::MAX] {
        let (called, calls) = mpsc::channel();
        monitor.add_monitoring_function(move |_| called.send(()).unwrap_or_default(), period).unwrap();
        calls.recv_timeout(HANG).unwrap();
    }
    let before = settled(thread);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(sleeps(thread), before, "with functions due much later");
    status(&monitor);
    assert!(settled(thread) > before, "the count counts");
}
