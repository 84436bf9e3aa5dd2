//! Threads to take stacks of, for the tests of that. Helpers build; tests assert.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of this")]

use signalpost::monitor::stack::{Capture, Capturer, Target};
use signalpost::monitor::{CaptureError, CaptureMode, StackTrace};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub const MS: Duration = Duration::from_millis(1);
/// Longer than anything here takes on a slow and busy machine: what takes longer hangs.
pub const HANG: Duration = Duration::from_secs(120);

/// How many captures a test of many makes.
pub fn many() -> usize {
    if std::env::var_os("SIGNALPOST_EXHAUSTIVE").is_some() { 5_000 } else { 300 }
}

/// A thread that does something over and over. Dropped, it is stopped and waited for.
pub struct Running {
    pub target: Target,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// `work` over and over, called by a function that [`is_whole`] looks for.
    pub fn start(work: impl FnMut() + Send + 'static) -> Self {
        Self::start_after(|| {}, work)
    }

    /// The same, after something that is done once on that thread.
    pub fn start_after(
        first: impl FnOnce() + Send + 'static,
        mut work: impl FnMut() + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let (tell, told) = mpsc::channel();
        let body = move || {
            first();
            tell.send(Target::current()).unwrap();
            let mut tell = Some(tell);
            outermost_of_the_test(&stopped, || {
                tell = None; // it is where it is looked for
                work();
            });
        };
        let thread = Some(thread::spawn(body));
        let target = told.recv_timeout(HANG).unwrap();
        until(|| told.try_recv().err() == Some(mpsc::TryRecvError::Disconnected));
        Self { target, stop, thread }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

#[inline(never)]
fn outermost_of_the_test(stop: &AtomicBool, mut work: impl FnMut()) {
    while !stop.load(SeqCst) {
        work();
    }
    black_box(());
}

/// Works without an end that the compiler sees.
#[inline(never)]
pub fn spins_here() {
    for n in 0..1_000_u32 {
        black_box(n);
    }
    black_box(());
}

/// Waits until something is so.
pub fn until(is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < HANG, "hangs");
        thread::sleep(MS);
    }
}

/// What can be found out about a stack that is not as it should be.
pub fn shown(trace: &StackTrace) -> String {
    format!("{trace:#}")
}

/// Whether it has a function with such a name.
pub fn names(trace: &StackTrace, name: &str) -> bool {
    trace.frames().iter().any(|frame| frame.function.as_ref().is_some_and(|function| function.contains(name)))
}

/// It goes on to the thread's first function, by way of the test's.
#[track_caller]
pub fn is_whole(trace: &StackTrace) {
    assert!(trace.complete() && names(trace, "outermost_of_the_test"), "{}", shown(trace));
}

/// The stack of a thread that surely answers.
#[track_caller]
pub fn take(capturer: &mut Capturer, target: &Target) -> Capture {
    capturer.capture(target, None, HANG).unwrap()
}

pub fn by(mode: CaptureMode) -> Capturer {
    Capturer::new(mode, None)
}

/// By signal, which this thread and the monitor's share.
pub fn capturer() -> Capturer {
    by(CaptureMode::Signal)
}

/// By `ptrace`, if that is allowed here; else says so.
pub fn tracer(target: &Target) -> Option<Capturer> {
    let mut capturer = by(CaptureMode::Ptrace);
    match capturer.capture(target, None, HANG) {
        Err(CaptureError::System { call, errno }) => {
            println!("skipped: {call} gives {errno} here");
            None
        }
        _ => Some(capturer),
    }
}

/// A thread that takes no signal and cannot be stopped, until it is let go: it waits in the kernel for a process that it made, as
/// after `vfork`.
pub struct Stuck {
    pub target: Target,
    go: Arc<AtomicU32>,
    thread: Option<JoinHandle<()>>,
}

impl Stuck {
    pub fn start() -> Self {
        let go = Arc::new(AtomicU32::new(0));
        let (tell, told) = mpsc::channel();
        let theirs = go.clone();
        let body = move || {
            tell.send(Target::current()).unwrap();
            stuck_in_the_kernel(&theirs);
            // Alive until the test is over, and answers.
            while theirs.load(SeqCst) != 2 {
                thread::sleep(MS);
            }
        };
        let thread = Some(thread::spawn(body));
        let target = told.recv_timeout(HANG).unwrap();
        until(|| state(&target).starts_with('D'));
        Self { target, go, thread }
    }

    /// From now on it takes signals, and those that were sent.
    pub fn let_go(&self) {
        self.go.store(1, SeqCst);
        until(|| state(&self.target).starts_with('S'));
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        self.go.store(2, SeqCst);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// `R`, `S`, `D` and the like, as the kernel has it.
pub fn state(target: &Target) -> String {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{}/stat", target.id())).unwrap_or_default();
    stat.rsplit(") ").next().unwrap_or_default().to_owned()
}

fn stuck_in_the_kernel(go: &AtomicU32) {
    extern "C" fn waits(go: *mut libc::c_void) -> libc::c_int {
        // SAFETY: the maker's, which waits for this to end.
        let go = unsafe { &*go.cast::<AtomicU32>() };
        while go.load(SeqCst) == 0 {
            let pause = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
            // SAFETY: reads the time. Its errno is the maker's, which does not look.
            unsafe { libc::nanosleep(&raw const pause, std::ptr::null_mut()) };
        }
        0
    }
    let mut stack = vec![0_u128; 4_096];
    let top = stack.as_mut_ptr_range().end;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK;
    let go = std::ptr::from_ref(go).cast_mut();
    // SAFETY: stack and argument live until the process that is made has ended: this thread waits for it.
    let made = unsafe { libc::clone(waits, top.cast(), flags, go.cast()) };
    assert!(made > 0, "{}", std::io::Error::last_os_error());
    // SAFETY: waits for the process just made.
    assert_eq!(unsafe { libc::waitpid(made, std::ptr::null_mut(), libc::__WALL) }, made);
}
