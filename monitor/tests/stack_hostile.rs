//! Stacks of threads in the midst of what makes stacks hard to take: every one is whole, or says why not. Nobody crashes.
//!
//! With `SIGNALPOST_EXHAUSTIVE=1` 5,000 of each kind, else 300.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

#[path = "../../dispatch/tests/common/mod.rs"]
mod common;
mod stack_parts;

use common::alone;
use common::process::child;
use signalpost::monitor::{CaptureError, Incomplete, StackTrace};
use stack_parts::{
    HANG, MS, Running, capturer, is_whole, many, names, shown, spins_here, take, tracer, until,
};
use std::backtrace::Backtrace;
use std::ffi::CStr;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::panic::{catch_unwind, resume_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Instant;

/// Takes many stacks of a thread that does this, by signal and by a tracer: each is whole.
#[track_caller]
fn all_are_whole(work: impl FnMut() + Send + 'static) {
    let _turn = alone();
    let running = Running::start(work);
    let traced = tracer(&running.target);
    for mut capturer in traced.into_iter().chain([capturer()]) {
        let mut by_the_test = 0;
        for _ in 0..many() {
            let trace = take(&mut capturer, &running.target).trace;
            assert!(trace.complete(), "{}", shown(&trace));
            by_the_test += usize::from(names(&trace, "outermost_of_the_test"));
        }
        // Where the unwinder puts the registers of the frame in which a panic goes on over those that it saved of its caller, the tables
        // lead to that frame's caller: what is between is left out. No tool sees more there.
        println!("{by_the_test} of {} by way of the test's function", many());
        assert!(by_the_test * 4 > many() * 3);
    }
}

struct Cleanup;

impl Drop for Cleanup {
    fn drop(&mut self) {
        black_box(vec![0_u8; 100]);
    }
}

#[inline(never)]
fn unwinds(depth: u32) {
    let _cleanup = Cleanup;
    if depth == 0 {
        resume_unwind(Box::new("without a word"));
    }
    unwinds(black_box(depth - 1));
    black_box(());
}

#[test]
fn a_thread_that_panics_and_unwinds() {
    all_are_whole(|| drop(catch_unwind(|| unwinds(12))));
}

#[test]
fn a_thread_that_takes_backtraces() {
    all_are_whole(|| drop(black_box(Backtrace::force_capture())));
}

#[test]
fn a_thread_that_allocates() {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let mut n = 0_usize;
    all_are_whole(move || {
        n = n.wrapping_mul(31).wrapping_add(17);
        kept.push(vec![1; n % 5_000]);
        if kept.len() > 100 {
            kept.drain(..50);
        }
    });
}

#[test]
fn a_thread_that_sorts() {
    all_are_whole(|| {
        let mut numbers: Vec<u32> = (0..2_000_u32).map(|n| n.wrapping_mul(2_654_435_761)).collect();
        numbers.sort();
        numbers.sort_unstable_by_key(|n| n.reverse_bits());
        black_box(numbers);
    });
}

#[test]
fn a_thread_that_asks_for_the_time_which_is_code_of_the_kernels() {
    fn asks() {
        black_box(Instant::now());
    }
    all_are_whole(asks);
    let _turn = alone();
    let running = Running::start(asks);
    let mut capturer = capturer();
    let frames = (0..many()).flat_map(|_| take(&mut capturer, &running.target).trace.frames());
    let kernels: Vec<_> = frames.filter(|f| f.module.as_deref() == Some("[vdso]")).collect();
    if kernels.is_empty() {
        println!("skipped: this kernel has no such code, or does not tell the time by it");
    } else {
        assert!(kernels.iter().any(|frame| frame.function.is_some()), "it has symbols");
    }
}

#[test]
fn a_thread_that_formats_and_copies() {
    all_are_whole(|| {
        let text = format!("{:>100} {:?}", black_box(1.5), black_box("text"));
        black_box(text.repeat(50));
    });
}

#[test]
fn a_thread_that_loads_and_unloads_libraries() {
    const LIBRARIES: [&CStr; 6] =
        [c"libm.so.6", c"libutil.so.1", c"libcrypt.so.1", c"libz.so.1", c"librt.so.1", c"libnss_dns.so.2"];
    let _turn = alone();
    let loaded = std::sync::Arc::new(AtomicU64::new(0));
    let counts = loaded.clone();
    let running = Running::start(move || {
        for name in LIBRARIES {
            // SAFETY: a library of the system, whose constructors do no harm.
            let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY) };
            if !library.is_null() {
                counts.fetch_add(1, SeqCst);
                // SAFETY: opened above, and nothing of it is used.
                unsafe { libc::dlclose(library) };
            }
        }
    });
    until(|| loaded.load(SeqCst) > 0);
    let mut capturer = capturer();
    let mut whole = 0;
    for _ in 0..many() {
        let trace = take(&mut capturer, &running.target).trace;
        whole += usize::from(trace.complete());
        // What has gone meanwhile is said; nothing else goes wrong.
        let gone = [None, Some("no file"), Some("no unwind"), Some("do not help")];
        let why = trace.incomplete().map(|why| why.to_string());
        assert!(
            gone.iter().any(|gone| gone.is_none() == why.is_none()
                && why.as_deref().unwrap_or("").contains(gone.unwrap_or(""))),
            "{}",
            shown(&trace)
        );
        black_box(trace.to_string());
    }
    println!("{whole} of {} are whole", many());
    assert!(whole * 2 > many(), "only {whole}");
}

/// So deep that it is more than is copied.
#[inline(never)]
fn recurses(depth: u32, at_the_end: &dyn Fn()) -> u64 {
    let room = black_box([u64::from(depth); 100]);
    if depth == 0 {
        at_the_end();
    } else {
        black_box(recurses(depth - 1, at_the_end));
    }
    black_box(room[7])
}

#[test]
fn a_stack_that_is_larger_than_what_is_copied_is_followed_so_far() {
    let _turn = alone();
    for (depth, whole) in [(100, true), (600, false)] {
        let running = Running::start(move || {
            recurses(depth, &|| (0..100).for_each(|_| spins_here()));
        });
        let mut capturer = capturer();
        let deepest = || Some(take(&mut capturer, &running.target).trace).filter(|t| names(t, "spins_here"));
        let trace = std::iter::repeat_with(deepest).flatten().next().unwrap();
        let expected = if whole { None } else { Some(Incomplete::TooLarge) };
        assert_eq!(trace.incomplete(), expected, "{}", shown(&trace));
        assert!(trace.addresses().len() > 80);
    }
}

/// A stack for signals of 8 KiB, with a page below that nobody may touch.
fn small_stack_for_signals() {
    stack_for_signals(8 << 10);
}

fn stack_for_signals(size: usize) {
    const PAGE: usize = 4_096;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping, kept for ever.
    let memory = unsafe { libc::mmap(ptr::null_mut(), PAGE + size, protection, flags, -1, 0) };
    assert_ne!(memory, libc::MAP_FAILED);
    // SAFETY: its first page.
    assert_eq!(unsafe { libc::mprotect(memory, PAGE, libc::PROT_NONE) }, 0);
    let stack = libc::stack_t { ss_sp: memory.wrapping_byte_add(PAGE), ss_flags: 0, ss_size: size };
    // SAFETY: of this thread, which is on its own stack.
    let set = unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) };
    if set != 0 {
        println!("skipped: {}: signals need more on this machine", std::io::Error::last_os_error());
    }
}

#[test]
fn a_thread_with_a_stack_of_8_kib_for_signals() {
    let _turn = alone();
    let running = Running::start_after(small_stack_for_signals, spins_here);
    let mut capturer = capturer();
    for _ in 0..many() {
        is_whole(&take(&mut capturer, &running.target).trace);
    }
}

#[inline(never)]
extern "C" fn runs_on_a_stack_of_its_own() {
    for _ in 0..1_000 {
        spins_here();
    }
    black_box(());
}

#[test]
fn a_thread_on_a_stack_that_is_not_its_own_is_followed_on_that_and_said_to_be_there() {
    let _turn = alone();
    let running = Running::start(|| {
        let mut ways = [const { MaybeUninit::<libc::ucontext_t>::uninit() }; 2];
        let mut stack = vec![0_u128; 8_192];
        let [back, there] = &mut ways;
        // SAFETY: a place for it.
        assert_eq!(unsafe { libc::getcontext(there.as_mut_ptr()) }, 0);
        // SAFETY: it was filled in.
        let context = unsafe { there.assume_init_mut() };
        context.uc_stack.ss_sp = stack.as_mut_ptr().cast();
        context.uc_stack.ss_size = size_of_val(&*stack);
        context.uc_link = back.as_mut_ptr();
        // SAFETY: it has a stack, and where to go after.
        unsafe { libc::makecontext(context, runs_on_a_stack_of_its_own, 0) };
        // SAFETY: both live until it comes back.
        assert_eq!(unsafe { libc::swapcontext(back.as_mut_ptr(), context) }, 0);
        black_box(stack);
    });
    let traced = tracer(&running.target);
    for mut capturer in traced.into_iter().chain([capturer()]) {
        let mut there = 0;
        for _ in 0..100 {
            let trace = take(&mut capturer, &running.target).trace;
            if names(&trace, "runs_on_a_stack_of_its_own") {
                assert_eq!(trace.incomplete(), Some(Incomplete::OtherStack), "{}", shown(&trace));
                there += 1;
            }
        }
        assert!(there > 0, "it is nearly always there");
    }
}

/// Code that is of no file: it spins until a byte is not 0.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_thread_in_code_that_was_made_at_run_time_ends_there() {
    // again: pause; cmp byte ptr [rdi], 0; je again; ret
    const CODE: [u8; 8] = [0xf3, 0x90, 0x80, 0x3f, 0x00, 0x74, 0xf9, 0xc3];
    let _turn = alone();
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping, kept for ever.
    let memory = unsafe { libc::mmap(ptr::null_mut(), 4_096, protection, flags, -1, 0) };
    assert_ne!(memory, libc::MAP_FAILED);
    // SAFETY: within it.
    unsafe { ptr::copy_nonoverlapping(CODE.as_ptr(), memory.cast(), CODE.len()) };
    // SAFETY: all of it.
    assert_eq!(unsafe { libc::mprotect(memory, 4_096, libc::PROT_READ | libc::PROT_EXEC) }, 0);
    // SAFETY: it is such a function.
    let spins = unsafe { std::mem::transmute::<*mut libc::c_void, extern "C" fn(*const AtomicBool)>(memory) };
    static LEAVES: AtomicBool = AtomicBool::new(false);
    let running = Running::start(move || spins(&raw const LEAVES));
    let mut capturer = capturer();
    let there = || take(&mut capturer, &running.target).trace.incomplete();
    let why = std::iter::repeat_with(there).flatten().next();
    LEAVES.store(true, SeqCst);
    let Some(Incomplete::NoModule { address }) = why else { panic!("{why:?}") };
    assert!((memory.addr()..memory.addr() + CODE.len()).contains(&(address as usize)));
}

static LEAVE: AtomicBool = AtomicBool::new(false);

#[inline(never)]
extern "C" fn waits_in_a_handler(_signal: libc::c_int) {
    while !LEAVE.load(SeqCst) {
        spins_here();
    }
}

/// A thread that is sent into a handler with these flags.
fn into_a_handler(signal: i32, flags: i32) -> Running {
    // SAFETY: all zero is an action without flags.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = waits_in_a_handler as *const () as usize;
    action.sa_flags = flags;
    // SAFETY: the handler waits.
    assert_eq!(unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) }, 0);
    LEAVE.store(false, SeqCst);
    // Two handlers are on it at a time.
    let running = Running::start_after(|| stack_for_signals(64 << 10), spins_here);
    // SAFETY: sends a signal to that thread, which lives.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), running.target.id(), signal) };
    assert_eq!(sent, 0);
    running
}

/// The stack that it has there.
fn taken_in_a_handler(signal: i32, flags: i32) -> StackTrace {
    let running = into_a_handler(signal, flags);
    let mut capturer = capturer();
    let inside =
        || Some(take(&mut capturer, &running.target).trace).filter(|t| names(t, "waits_in_a_handler"));
    let trace = std::iter::repeat_with(inside).flatten().next().unwrap();
    LEAVE.store(true, SeqCst);
    trace
}

#[test]
fn a_thread_in_a_signal_handler_is_followed_through_it_on_its_own_stack() {
    let _turn = alone();
    is_whole(&taken_in_a_handler(libc::SIGUSR1, 0));
}

#[test]
fn a_thread_in_a_handler_on_the_stack_for_signals_is_followed_as_far_as_that_goes() {
    let _turn = alone();
    let trace = taken_in_a_handler(libc::SIGUSR2, libc::SA_ONSTACK);
    assert_eq!(trace.incomplete(), Some(Incomplete::OtherStack), "{}", shown(&trace));
}

#[test]
fn a_thread_that_handles_a_fault_is_sent_nothing_and_a_tracer_sees_it() {
    child("a_thread_that_handles_a_fault_is_sent_nothing_and_a_tracer_sees_it", || {
        let running = into_a_handler(libc::SIGSEGV, libc::SA_ONSTACK);
        until(|| {
            Err(CaptureError::InFaultHandler { signal: libc::SIGSEGV })
                == capturer().request(&running.target, None)
        });
        if let Some(mut tracer) = tracer(&running.target) {
            let trace = take(&mut tracer, &running.target).trace;
            assert!(names(&trace, "waits_in_a_handler"), "{}", shown(&trace));
        }
        LEAVE.store(true, SeqCst);
    })
    .succeeded();
}

/// Again, as long as it gives that error.
fn repeat<R>(mut what: impl FnMut() -> Result<R, CaptureError>, on: CaptureError) -> Result<R, CaptureError> {
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < HANG, "hangs");
        match what() {
            Err(error) if error == on => {}
            result => return result,
        }
    }
}

#[test]
fn a_thread_that_ends_while_it_is_asked_answers_or_is_gone() {
    let _turn = alone();
    let mut capturer = capturer();
    let (mut answered, mut gone) = (0, 0);
    for n in 0..many() {
        let (tell, told) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            tell.send(signalpost::monitor::stack::Target::current()).unwrap();
            (0..n % 50).for_each(|_| spins_here());
        });
        let target = told.recv_timeout(HANG).unwrap();
        match repeat(|| capturer.capture(&target, None, MS), CaptureError::TimedOut { after: MS }) {
            Ok(_) => answered += 1,
            Err(CaptureError::NoThread) => gone += 1,
            // While it ends it has its signals blocked.
            Err(error) => assert!(matches!(error, CaptureError::SignalBlocked { .. }), "{error}"),
        }
        thread.join().unwrap();
    }
    println!("{answered} answered, {gone} were gone");
    assert!(answered > 0);
}
