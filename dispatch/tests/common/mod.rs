//! What the tests of several promises need. Helpers build; tests assert.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of this")]

#[cfg(unix)]
pub mod process;
#[cfg(target_os = "linux")]
pub mod seccomp;

use signalpost::Dispatcher;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread::{self, ThreadId};
use std::time::Duration;

/// Nothing can stop these events.
pub type Plain<E = u32> = Dispatcher<E, Infallible>;

/// Longer than anything here takes on a slow and busy machine: what takes longer hangs.
pub const HANG: Duration = Duration::from_secs(120);

/// Runs `test` on a thread, and panics if it hangs.
#[track_caller]
pub fn within<R: Send + 'static>(test: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, result) = mpsc::channel();
    let name = thread::current().name().unwrap_or("test").to_owned();
    let body = move || {
        let _ = done.send(catch_unwind(AssertUnwindSafe(test)));
    };
    thread::Builder::new().name(name).spawn(body).expect("a thread can be started");
    match result.recv_timeout(HANG) {
        Ok(Ok(value)) => value,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(_) => panic!("hangs: not done after {HANG:?}"),
    }
}

/// Makes the tests of a file take turns: where some nest deeper than six publishes, at which a thread counts as inside
/// everything, and others look at what has been reclaimed.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Clones are counted.
#[derive(Debug)]
pub struct Counted(Drops, #[allow(dead_code, reason = "counted")] Token);

impl Counted {
    pub fn new(drops: &Drops) -> Self {
        Self(drops.clone(), drops.token())
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

/// What happened, in order.
#[derive(Debug)]
pub struct Log<T>(Arc<Mutex<Vec<T>>>);

impl<T> Log<T> {
    pub fn new() -> Self {
        Self(Arc::default())
    }

    pub fn push(&self, what: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// What happened since the last call.
    pub fn take(&self) -> Vec<T> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Counts what was captured and what of it was dropped, and by whom.
#[derive(Clone, Debug, Default)]
pub struct Drops(Arc<DropCounts>);

#[derive(Debug, Default)]
struct DropCounts {
    made: AtomicUsize,
    dropped: AtomicUsize,
    by: Mutex<Vec<ThreadId>>,
}

impl Drops {
    pub fn new() -> Self {
        Self::default()
    }

    /// Something to capture.
    pub fn token(&self) -> Token {
        self.0.made.fetch_add(1, SeqCst);
        Token(self.0.clone())
    }

    pub fn made(&self) -> usize {
        self.0.made.load(SeqCst)
    }

    pub fn dropped(&self) -> usize {
        self.0.dropped.load(SeqCst)
    }

    pub fn alive(&self) -> usize {
        self.made() - self.dropped()
    }

    /// The threads that dropped, in order.
    pub fn by(&self) -> Vec<ThreadId> {
        self.0.by.lock().unwrap().clone()
    }
}

/// Counts its own drop.
#[derive(Debug)]
pub struct Token(Arc<DropCounts>);

impl Token {
    /// For closures: names the token, so that it is captured.
    pub fn touch(&self) {}
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.by.lock().unwrap_or_else(PoisonError::into_inner).push(thread::current().id());
        self.0.dropped.fetch_add(1, SeqCst);
    }
}

/// Runs something when it is dropped. `Sync`, so that subscribers can capture it.
pub struct OnDrop(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl OnDrop {
    pub fn new(f: impl FnOnce() + Send + 'static) -> Self {
        Self(Mutex::new(Some(Box::new(f))))
    }

    /// For closures: names it, so that it is captured.
    pub fn touch(&self) {}
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        let f = self.0.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        f.expect("dropped once")();
    }
}

/// A place for what is there only later, to be borrowed: a handle that its own subscriber captures.
#[derive(Debug)]
pub struct Later<T>(Arc<OnceLock<T>>);

impl<T> Later<T> {
    pub fn new() -> Self {
        Self(Arc::default())
    }

    pub fn set(&self, value: T) {
        assert!(self.0.set(value).is_ok(), "set once");
    }

    pub fn get(&self) -> &T {
        self.0.get().expect("set before it is needed")
    }
}

impl<T> Clone for Later<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// A place for what somebody is to take away, once.
#[derive(Debug)]
pub struct Place<T>(Arc<Mutex<Option<T>>>);

impl<T> Place<T> {
    pub fn of(value: T) -> Self {
        Self(Arc::new(Mutex::new(Some(value))))
    }

    pub fn empty() -> Self {
        Self(Arc::default())
    }

    pub fn put(&self, value: T) {
        let before = self.0.lock().unwrap().replace(value);
        assert!(before.is_none(), "there was something already");
    }

    pub fn take(&self) -> Option<T> {
        self.0.lock().unwrap().take()
    }
}

impl<T> Clone for Place<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Shut until opened, then open for ever.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub fn is_open(&self) -> bool {
        *self.0.0.lock().unwrap()
    }

    #[track_caller]
    pub fn wait(&self) {
        let shut = self.0.0.lock().unwrap();
        let (_open, waited) = self.0.1.wait_timeout_while(shut, HANG, |open| !*open).unwrap();
        assert!(!waited.timed_out(), "hangs: nobody opened the gate");
    }
}

/// Where a subscriber stays until it is let go, and says that it is there.
#[derive(Clone, Debug, Default)]
pub struct Stay {
    pub entered: Gate,
    pub leave: Gate,
}

impl Stay {
    pub fn new() -> Self {
        Self::default()
    }

    /// For the subscriber.
    pub fn here(&self) {
        self.entered.open();
        self.leave.wait();
    }
}

/// A thread inside a publish of `event`, in a subscriber that calls [`Stay::here`]; it has arrived there.
pub fn publisher_inside(dispatcher: &Arc<Plain>, stay: &Stay, event: u32) -> thread::JoinHandle<()> {
    let dispatcher = dispatcher.clone();
    let thread = thread::spawn(move || {
        dispatcher.publish(&event);
    });
    stay.entered.wait();
    thread
}

/// The message of a panic.
pub fn message(panic: &(dyn std::any::Any + Send)) -> String {
    match panic.downcast_ref::<String>() {
        Some(text) => text.clone(),
        None => (*panic.downcast_ref::<&str>().expect("panics with a text")).to_owned(),
    }
}
