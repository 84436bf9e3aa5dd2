//! The signal by which a thread is asked: who else uses it goes on as before, who blocks it is left alone, and what is blocked by std
//! does not end early.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

#[path = "../../dispatch/tests/common/mod.rs"]
mod common;
mod stack_parts;

use common::alone;
use common::process::child;
use signalpost::monitor::stack::{Capturer, Target};
use signalpost::monitor::{CaptureError, CaptureMode};
use stack_parts::{HANG, MS, Running, capturer, is_whole, spins_here, take, tracer, until};
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

static HANDLED: AtomicU32 = AtomicU32::new(0);

extern "C" fn counts(_signal: libc::c_int) {
    HANDLED.fetch_add(1, SeqCst);
}

extern "C" fn counts_senders(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel's, of this handler.
    let info = unsafe { &*info };
    if info.si_signo == signal && info.si_code == libc::SI_TKILL && !context.is_null() {
        HANDLED.fetch_add(1, SeqCst);
    }
}

/// Puts a handler there, as a program or a library would.
fn set(signal: i32, handler: usize, flags: i32) {
    // SAFETY: all zero is an action without flags.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    // SAFETY: the handlers here count.
    assert_eq!(unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) }, 0);
}

fn send(target: &Target, signal: i32) {
    // SAFETY: sends a signal to a thread of this process.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), target.id(), signal) };
    assert_eq!(sent, 0);
}

fn by_signal(signal: i32) -> Capturer {
    Capturer::new(CaptureMode::Signal, Some(signal))
}

#[test]
fn a_handler_that_was_there_before_gets_the_signals_that_are_not_ours_and_no_others() {
    let _turn = alone();
    let kinds = [
        (libc::SIGUSR1, counts as *const () as usize, 0),
        (libc::SIGUSR2, counts_senders as *const () as usize, libc::SA_SIGINFO),
    ];
    for (signal, handler, flags) in kinds {
        HANDLED.store(0, SeqCst);
        set(signal, handler, flags);
        let running = Running::start(spins_here);
        let mut capturer = by_signal(signal);
        for n in 1..=20 {
            is_whole(&take(&mut capturer, &running.target).trace);
            assert_eq!(HANDLED.load(SeqCst), n - 1);
            send(&running.target, signal);
            // At once after: the system may keep one signal for both.
            is_whole(&take(&mut capturer, &running.target).trace);
            until(|| HANDLED.load(SeqCst) == n);
        }
    }
}

#[test]
fn a_signal_that_was_ignored_is_ignored() {
    let _turn = alone();
    set(libc::SIGALRM, libc::SIG_IGN, 0);
    let running = Running::start(spins_here);
    let mut capturer = by_signal(libc::SIGALRM);
    is_whole(&take(&mut capturer, &running.target).trace);
    send(&running.target, libc::SIGALRM);
    is_whole(&take(&mut capturer, &running.target).trace);
}

#[test]
fn a_signal_that_ends_the_process_still_does() {
    child("a_signal_that_ends_the_process_still_does", || {
        let running = Running::start(spins_here);
        is_whole(&take(&mut by_signal(libc::SIGVTALRM), &running.target).trace);
        send(&running.target, libc::SIGVTALRM);
        thread::sleep(HANG);
    })
    .died_by(libc::SIGVTALRM);
}

#[test]
fn a_handler_in_the_place_of_ours_is_left_there_and_said() {
    let _turn = alone();
    let signal = libc::SIGRTMIN() + 3;
    let running = Running::start(spins_here);
    let mut capturer = by_signal(signal);
    is_whole(&take(&mut capturer, &running.target).trace);
    set(signal, counts as *const () as usize, 0);
    HANDLED.store(0, SeqCst);
    for _ in 0..3 {
        let error = capturer.capture(&running.target, None, HANG).unwrap_err();
        assert_eq!(error, CaptureError::HandlerReplaced { signal });
    }
    assert_eq!(HANDLED.load(SeqCst), 0, "nothing was sent");
    // It goes on, if the handler comes back; and by another signal at once.
    is_whole(&take(&mut by_signal(signal + 1), &running.target).trace);
}

#[test]
fn a_thread_that_blocks_the_signal_is_sent_nothing() {
    let _turn = alone();
    let block = || {
        let mut mask = MaybeUninit::uninit();
        // SAFETY: a place for a set.
        unsafe { libc::sigemptyset(mask.as_mut_ptr()) };
        // SAFETY: it is a set now.
        unsafe { libc::sigaddset(mask.as_mut_ptr(), libc::SIGURG) };
        // SAFETY: the mask of this thread.
        assert_eq!(unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, mask.as_ptr(), ptr::null_mut()) }, 0);
    };
    let running = Running::start_after(block, spins_here);
    let error = capturer().request(&running.target, None).unwrap_err();
    assert_eq!(error, CaptureError::SignalBlocked { signal: libc::SIGURG });
    let status = std::fs::read_to_string(format!("/proc/self/task/{}/status", running.target.id())).unwrap();
    let pending = status.lines().find_map(|line| line.strip_prefix("SigPnd:")).unwrap();
    assert_eq!(u64::from_str_radix(pending.trim(), 16), Ok(0));
    is_whole(&take(&mut by_signal(libc::SIGUSR1), &running.target).trace);
    if let Some(mut tracer) = tracer(&running.target) {
        is_whole(&take(&mut tracer, &running.target).trace);
    }
}

#[test]
fn the_threads_error_number_is_as_it_was() {
    let _turn = alone();
    let running = Running::start(|| {
        // SAFETY: always there.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: this thread's own.
        unsafe { *errno = 77 };
        spins_here();
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(77));
    });
    let mut capturer = capturer();
    for _ in 0..500 {
        take(&mut capturer, &running.target);
    }
}

const TIME: Duration = Duration::from_millis(200);

/// What blocks for a while, by std: it must not end before.
fn timed() -> Vec<(&'static str, fn())> {
    vec![
        ("sleep", || thread::sleep(TIME)),
        ("recv_timeout", || {
            let (_keep, from) = mpsc::channel::<()>();
            assert_eq!(from.recv_timeout(TIME), Err(mpsc::RecvTimeoutError::Timeout));
        }),
        ("park_timeout", || thread::park_timeout(TIME)),
        ("wait_timeout", || {
            let (lock, never) = (Mutex::new(()), Condvar::new());
            let guard = lock.lock().unwrap();
            assert!(never.wait_timeout(guard, TIME).unwrap().1.timed_out());
        }),
    ]
}

#[test]
fn what_std_waits_for_with_a_time_does_not_end_before_it() {
    let _turn = alone();
    let spins = Running::start(spins_here);
    for (name, wait) in timed() {
        let traced = tracer(&spins.target);
        for mut capturer in traced.into_iter().chain([capturer()]) {
            let (tell, told) = mpsc::channel();
            let thread = thread::spawn(move || {
                tell.send(Target::current()).unwrap();
                let begun = Instant::now();
                wait();
                begun.elapsed()
            });
            let target = told.recv_timeout(HANG).unwrap();
            let mut taken = 0;
            // Some while it waits, some when it has ended.
            while !thread.is_finished() {
                taken += u32::from(capturer.capture(&target, None, HANG).is_ok());
                thread::sleep(MS * 10);
            }
            let waited = thread.join().unwrap();
            assert!(waited >= TIME && taken > 0, "{name}: {waited:?}, {taken} stacks");
        }
    }
}

#[test]
fn what_waits_without_a_time_goes_on_to_wait() {
    let _turn = alone();
    let (mut from, mut to) = std::io::pipe().unwrap();
    let (tell, told) = mpsc::channel();
    let thread = thread::spawn(move || {
        tell.send(Target::current()).unwrap();
        let mut byte = [0];
        // Not `read_exact`, which would begin again after an interruption.
        (from.read(&mut byte).unwrap(), byte)
    });
    let target = told.recv_timeout(HANG).unwrap();
    until(|| stack_parts::state(&target).starts_with('S'));
    let traced = tracer(&target);
    for mut capturer in traced.into_iter().chain([capturer()]) {
        for _ in 0..20 {
            assert!(take(&mut capturer, &target).trace.complete());
        }
    }
    to.write_all(&[7]).unwrap();
    assert_eq!(thread.join().unwrap(), (1, [7]));
}
