//! Stacks of other threads: whole ones, with names, in each mode; and why there is none, where there is none.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

#[path = "../../dispatch/tests/common/mod.rs"]
mod common;
mod stack_parts;

use common::alone;
use common::process::{child, fork, join};
use signalpost::monitor::stack::{Capturer, Said, Target};
use signalpost::monitor::{CaptureError, CaptureMode, Incomplete};
use stack_parts::{
    HANG, MS, Running, Stuck, by, capturer, is_whole, names, shown, spins_here, take, tracer, until,
};
use std::collections::HashSet;
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

/// Blocks by waiting for a message that never comes.
#[inline(never)]
fn waits_for_a_message(from: &mpsc::Receiver<()>) {
    let _ = black_box(from.recv_timeout(20 * MS));
    black_box(());
}

fn waiter() -> (mpsc::Sender<()>, Running) {
    let (keep, from) = mpsc::channel();
    (keep, Running::start(move || waits_for_a_message(&from)))
}

#[test]
fn a_thread_that_waits_and_one_that_runs_have_a_whole_stack_with_the_blocking_function_in_it() {
    let _turn = alone();
    let (_keep, waits) = waiter();
    let runs = Running::start(spins_here);
    // A tracer may find a thread that has not left the handler of the other one.
    let mut modes: Vec<Capturer> = tracer(&runs.target).into_iter().collect();
    modes.push(capturer());
    for mut capturer in modes {
        let mut found = 0;
        for _ in 0..100 {
            let trace = take(&mut capturer, &waits.target).trace;
            is_whole(&trace);
            found += i32::from(names(&trace, "stack::waits_for_a_message"));
            is_whole(&take(&mut capturer, &runs.target).trace);
        }
        assert!(found > 0, "it waits nearly all the time");
    }
}

#[test]
fn without_a_thread_that_takes_part_there_is_the_top_of_the_stack_of_one_that_waits() {
    let _turn = alone();
    let (_keep, waits) = waiter();
    let runs = Running::start(spins_here);
    let mut capturer = by(CaptureMode::Passive);
    let mut seen = 0;
    for _ in 0..200 {
        match capturer.capture(&waits.target, None, HANG) {
            Ok(capture) => {
                assert!(!capture.trace.complete() && capture.said.is_none());
                seen += u32::from(capture.trace.addresses().len() >= 2);
            }
            Err(error) => assert_eq!(error, CaptureError::Running),
        }
        if let Err(error) = capturer.capture(&runs.target, None, HANG) {
            assert_eq!(error, CaptureError::Running);
        }
    }
    assert!(seen > 0, "it waits nearly all the time");
}

#[test]
fn what_the_thread_says_of_itself_comes_with_the_stack() {
    thread_local! {
        static WORKER: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }
    fn probe() -> Said {
        let mut said = Said::default(); // it has one field or two, by feature
        said.worker.clone_from(&Some(WORKER.get()));
        said
    }
    let _turn = alone();
    let threads: Vec<Running> =
        (1..4).map(|n| Running::start_after(move || WORKER.set(n), spins_here)).collect();
    let mut capturer = capturer();
    for (n, running) in threads.iter().enumerate() {
        let capture = capturer.capture(&running.target, Some(probe), HANG).unwrap();
        assert_eq!(capture.said.unwrap().worker, Some(n + 1));
        assert!(!capture.in_handler.is_zero());
        assert!(take(&mut capturer, &running.target).said.is_none());
    }
}

#[test]
fn the_runtimes_own_functions_are_folded_and_the_programs_are_shown() {
    let _turn = alone();
    let (_keep, waits) = waiter();
    let mut capturer = capturer();
    let waiting =
        || Some(take(&mut capturer, &waits.target).trace).filter(|trace| names(trace, "waits_for_a_message"));
    let trace = std::iter::repeat_with(waiting).flatten().next().unwrap();
    let (folded, all) = (trace.to_string(), format!("{trace:#}"));
    assert!(folded.contains("stack::waits_for_a_message") && folded.contains("of the runtime)"), "{folded}");
    assert!(
        !folded.contains("__rust_begin_short_backtrace") && all.contains("__rust_begin_short_backtrace"),
        "{all}"
    );
    assert!(folded.lines().count() < all.lines().count());
    assert!(trace.user_frames().len() < trace.frames().len());
    assert_eq!(trace.frames().len(), trace.addresses().len());
    let frame = &trace.frames()[0];
    assert!(frame.module.is_some() && frame.offset > 0 && frame.offset < frame.address);
}

#[test]
fn the_same_stack_has_the_same_hash_and_another_one_another() {
    let _turn = alone();
    let stuck = Stuck::start();
    stuck.let_go();
    let mut capturer = capturer();
    let wakes = |_| take(&mut capturer, &stuck.target).trace.hash();
    let hashes: Vec<u64> = (0..20).map(wakes).collect();
    let places: HashSet<&u64> = hashes.iter().collect();
    assert!(places.len() < hashes.len(), "it is nearly always in one place: {hashes:?}");
    let other = Running::start(spins_here);
    assert!(!hashes.contains(&take(&mut capturer, &other.target).trace.hash()));
}

#[test]
fn a_thread_that_has_ended_is_said_to_have() {
    let _turn = alone();
    let target = thread::spawn(Target::current).join().unwrap();
    until(|| stack_parts::state(&target).is_empty());
    for mode in [CaptureMode::Signal, CaptureMode::Ptrace, CaptureMode::Passive] {
        assert_eq!(by(mode).capture(&target, None, HANG).unwrap_err(), CaptureError::NoThread, "{mode:?}");
    }
    assert_eq!(by(CaptureMode::Off).capture(&target, None, HANG).unwrap_err(), CaptureError::Off);
}

#[test]
fn settings_that_cannot_be_are_refused_with_the_reason() {
    for signal in [0, -1, 65, 32, libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV, libc::SIGABRT] {
        assert!(Capturer::check(CaptureMode::Signal, Some(signal)).is_err(), "{signal}");
    }
    for signal in
        [None, Some(libc::SIGURG), Some(libc::SIGUSR1), Some(libc::SIGRTMIN()), Some(libc::SIGRTMAX())]
    {
        assert_eq!(Capturer::check(CaptureMode::Signal, signal), Ok(()), "{signal:?}");
    }
}

#[test]
fn a_thread_that_cannot_be_interrupted_is_not_waited_for_and_answers_nobody_later() {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    fn probe() -> Said {
        ASKED.fetch_add(1, SeqCst);
        Said::default()
    }
    let _turn = alone();
    let stuck = Stuck::start();
    let mut capturer = capturer();
    let error = capturer.capture(&stuck.target, Some(probe), 20 * MS).unwrap_err();
    assert_eq!(error, CaptureError::TimedOut { after: 20 * MS });
    // The place is free again, also while the signal is still on its way.
    let other = Running::start(spins_here);
    is_whole(&take(&mut capturer, &other.target).trace);
    capturer.request(&stuck.target, Some(probe)).unwrap();
    assert!(capturer.answer(MS).is_none());
    capturer.cancel();
    stuck.let_go();
    is_whole(&take(&mut capturer, &other.target).trace);
    assert_eq!(ASKED.load(SeqCst), 0, "the late handler did nothing");
    // And it answers to who asks now.
    let answered = capturer.capture(&stuck.target, Some(probe), HANG).unwrap();
    assert!(answered.said.is_some() && ASKED.load(SeqCst) == 1);
}

#[test]
fn a_signal_that_was_sent_for_a_request_before_serves_the_next_one_for_that_thread() {
    let _turn = alone();
    let stuck = Stuck::start();
    let mut capturer = capturer();
    capturer.capture(&stuck.target, None, MS).unwrap_err();
    // The system keeps one signal of a kind for a thread: this one is not sent.
    capturer.request(&stuck.target, None).unwrap();
    assert!(capturer.answer(MS).is_none());
    stuck.let_go();
    let trace = capturer.answer(HANG).expect("an answer").unwrap().trace;
    assert!(trace.complete(), "{}", shown(&trace));
}

#[test]
fn a_tracer_does_not_wait_for_a_thread_that_does_not_stop() {
    let _turn = alone();
    let running = Running::start(spins_here);
    let Some(mut tracer) = tracer(&running.target) else { return };
    let stuck = Stuck::start();
    let error = tracer.capture(&stuck.target, None, 20 * MS).unwrap_err();
    assert_eq!(error, CaptureError::TimedOut { after: 20 * MS });
    is_whole(&take(&mut tracer, &running.target).trace);
    stuck.let_go();
    assert!(!take(&mut tracer, &stuck.target).trace.addresses().is_empty());
}

#[test]
fn one_stack_is_taken_at_a_time_and_others_are_told() {
    let _turn = alone();
    let stuck = Stuck::start();
    let running = Running::start(spins_here);
    let (mut first, mut second) = (capturer(), capturer());
    first.request(&stuck.target, None).unwrap();
    assert_eq!(second.capture(&running.target, None, HANG).unwrap_err(), CaptureError::Busy);
    assert_eq!(by(CaptureMode::Ptrace).request(&running.target, None), Err(CaptureError::Busy));
    first.cancel();
    is_whole(&take(&mut second, &running.target).trace);
    first.request(&stuck.target, None).unwrap();
    drop(first);
    is_whole(&take(&mut second, &running.target).trace);
    stuck.let_go();
}

#[test]
fn many_at_once_get_the_stack_of_whom_they_asked_or_are_told_to_wait() {
    let _turn = alone();
    let running: Arc<[Running]> = (0..4).map(|_| Running::start(spins_here)).collect();
    let taken = Arc::new(Mutex::new([0; 4]));
    let ask = |n: usize| {
        let (running, taken) = (running.clone(), taken.clone());
        thread::spawn(move || {
            let mut capturer = capturer();
            for _ in 0..500 {
                match capturer.capture(&running[n].target, None, HANG) {
                    Ok(capture) => {
                        is_whole(&capture.trace);
                        taken.lock().unwrap()[n] += 1;
                    }
                    Err(error) => assert_eq!(error, CaptureError::Busy),
                }
                thread::yield_now();
            }
        })
    };
    let threads: Vec<_> = (0..4).map(ask).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(taken.lock().unwrap().iter().sum::<i32>() > 0);
    let mut capturer = capturer();
    running.iter().for_each(|running| is_whole(&take(&mut capturer, &running.target).trace));
}

#[test]
fn a_forked_child_takes_stacks_of_its_own_threads() {
    child("a_forked_child_takes_stacks_of_its_own_threads", || {
        let stuck = Stuck::start();
        let running = Running::start(spins_here);
        let mut capturer = capturer();
        is_whole(&take(&mut capturer, &running.target).trace);
        let asked = || {
            let mut capturer = stack_parts::capturer();
            capturer.request(&stuck.target, None).unwrap();
            capturer
        };
        let mut pending = asked();
        join(fork(|| {
            // Nobody of these is in the child.
            assert_eq!(pending.answer(HANG).unwrap().unwrap_err(), CaptureError::NoThread);
            for mode in [CaptureMode::Signal, CaptureMode::Ptrace, CaptureMode::Passive] {
                assert_eq!(by(mode).request(&running.target, None), Err(CaptureError::NoThread));
            }
            let own = Running::start(spins_here);
            is_whole(&take(&mut pending, &own.target).trace);
            is_whole(&take(&mut capturer, &own.target).trace);
            if let Some(mut tracer) = tracer(&own.target) {
                is_whole(&take(&mut tracer, &own.target).trace);
            }
        }));
        assert_eq!(
            capturer.request(&running.target, None),
            Err(CaptureError::Busy),
            "that of before is still pending"
        );
        stuck.let_go();
        assert!(pending.answer(HANG).unwrap().is_ok());
        is_whole(&take(&mut capturer, &running.target).trace);
    })
    .succeeded();
}

#[test]
fn the_main_thread_has_a_stack_like_all_others() {
    child("the_main_thread_has_a_stack_like_all_others", || {
        // The first thread of a forked child is the process's main thread, on the stack of the one that forked.
        join(fork(|| {
            let target = Target::current();
            // The C library blocks all signals while it makes a thread.
            let unblocked = move || match capturer().capture(&target, None, HANG) {
                Err(CaptureError::SignalBlocked { .. }) => None,
                taken => Some(taken.unwrap().trace),
            };
            let waits = thread::spawn(move || std::iter::repeat_with(unblocked).flatten().next());
            let taken = waits.join().unwrap().unwrap();
            assert_eq!(taken.incomplete(), None::<Incomplete>, "{}", shown(&taken));
        }));
    })
    .succeeded();
}
