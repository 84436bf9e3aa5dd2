//! What the tests of several promises need. Helpers build; tests assert.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of this")]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// Longer than anything here takes on a slow and busy machine: what takes longer hangs.
pub const HANG: Duration = Duration::from_secs(120);

/// Runs `test` on a thread, and panics if it hangs. The stack is large: a level of recursion through a slot takes some KiB of it in a
/// debug build.
#[track_caller]
pub fn within<R: Send + 'static>(test: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, result) = mpsc::channel();
    let name = thread::current().name().unwrap_or("test").to_owned();
    let body = move || {
        let _ = done.send(catch_unwind(AssertUnwindSafe(test)));
    };
    thread::Builder::new().name(name).stack_size(32 << 20).spawn(body).expect("a thread can be started");
    match result.recv_timeout(HANG) {
        Ok(Ok(value)) => value,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(_) => panic!("hangs: not done after {HANG:?}"),
    }
}

/// Runs `f`, which panics, and gives what it said. Nothing is reported.
#[track_caller]
pub fn panic_of<R>(f: impl FnOnce() -> R) -> &'static str {
    let Err(panic) = catch_unwind(AssertUnwindSafe(f)) else { panic!("it did not panic") };
    panic.downcast_ref::<&'static str>().expect("a panic by `throw`")
}

/// Panics without a report.
pub fn throw(what: &'static str) -> ! {
    resume_unwind(Box::new(what))
}

/// Something to capture, and a look at how often it is still held.
#[derive(Debug, Default)]
pub struct Captured(Arc<()>);

impl Captured {
    pub fn take(&self) -> Arc<()> {
        self.0.clone()
    }

    pub fn held(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

/// Calls `f` as it is dropped.
pub struct OnDrop<F: FnMut()>(pub F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Where one thread waits for another, which cannot be missed.
#[derive(Debug)]
pub struct Gate(mpsc::Sender<()>, std::sync::Mutex<mpsc::Receiver<()>>);

impl Gate {
    pub fn new() -> Arc<Self> {
        let (open, wait) = mpsc::channel();
        Arc::new(Self(open, wait.into()))
    }

    /// Lets one through.
    pub fn open(&self) {
        self.0.send(()).expect("both ends are here");
    }

    /// Waits until it is opened.
    #[track_caller]
    pub fn pass(&self) {
        self.1.lock().expect("one at a time").recv_timeout(HANG).expect("opened by then");
    }
}

/// Xorshift: the same on every run.
#[derive(Debug)]
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % sides
    }
}
