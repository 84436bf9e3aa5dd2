//! Runs a model: every execution under loom, many rounds on threads without it.
//!
//! Owns the bounds and the count. A model that explored fewer executions than it says is blind, and fails.

use signalpost_core::sync::thread;
use signalpost_core::{Deadline, Pause};

/// How far loom explores a model, and how many executions are the least that make it one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    preemptions: Option<usize>,
    at_least: usize,
}

/// Every execution.
pub const fn all() -> Bounds {
    Bounds { preemptions: None, at_least: 2 }
}

/// Every execution in which running threads are interrupted at most so often.
pub const fn preemptions(bound: usize) -> Bounds {
    Bounds { preemptions: Some(bound), at_least: 2 }
}

impl Bounds {
    /// Fewer executions than this fail the model: it no longer reaches what it is about.
    #[must_use]
    pub const fn at_least(mut self, executions: usize) -> Self {
        self.at_least = executions;
        self
    }
}

/// The model's name is its test's: the function that the closure was written in.
fn name_of<F>() -> &'static str {
    let path = std::any::type_name::<F>();
    let path = path.strip_suffix("::{{closure}}").unwrap_or(path);
    path.rsplit("::").next().unwrap_or(path)
}

/// Starts a thread of the model.
///
/// Without loom, half the time it is awaited until it runs: else the caller would always be ahead of it.
#[cfg(not(signalpost_loom))]
pub fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
    static DICE: AtomicU64 = AtomicU64::new(0);

    let running = Arc::new(AtomicBool::new(DICE.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed) >> 63 == 0));
    let awaited = running.clone();
    let handle = thread::spawn(move || {
        running.store(true, Relaxed);
        f()
    });
    while !awaited.load(Relaxed) {
        thread::yield_now();
    }
    handle
}

/// Starts a thread of the model.
#[cfg(signalpost_loom)]
pub fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    thread::spawn(f)
}

/// Awaits the ends of threads.
///
/// # Panics
/// If one of them did.
#[track_caller]
pub fn join<T>(threads: impl IntoIterator<Item = thread::JoinHandle<T>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Waits for something that other threads bring about.
pub fn until(condition: impl Fn() -> bool) {
    let mut pause = Pause::new();
    while !condition() {
        pause.until(Deadline::never());
    }
}

/// Awaits a future on this thread: polls it whenever its waker was called.
pub fn block_on<F: Future>(future: F) -> F::Output {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::AcqRel}; // not of the model: a waker orders nothing for it

    struct Told(AtomicBool);
    impl std::task::Wake for Told {
        fn wake(self: Arc<Self>) {
            self.0.swap(true, AcqRel);
        }
    }
    let told = Arc::new(Told(AtomicBool::new(false)));
    let waker = told.clone().into();
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => until(|| told.0.swap(false, AcqRel)),
        }
    }
}

/// Runs the model on threads, for at most 2000 rounds or a third of a second.
///
/// # Panics
/// If the model does, on any thread, or a destructor did that a collector ran.
#[cfg(not(signalpost_loom))]
pub fn model<F: Fn() + Send + Sync + 'static>(_: Bounds, f: F) {
    let started = std::time::Instant::now();
    let mut rounds = 0;
    while rounds < 2000 && started.elapsed().as_millis() < 333 {
        f();
        rounds += 1;
    }
    println!("model {}: {rounds} rounds on threads", name_of::<F>());
    assert_eq!(signalpost_core::stats().drop_panics, 0, "a destructor panicked");
}

/// Explores the model within its bounds, prints how many executions there were, and fails if they were too few.
///
/// A panic anywhere ends the process at once with status 101, after a line that says in which execution: unwinding
/// through a model's half-finished threads would abort it, and the collector catches panics of destructors.
///
/// # Panics
/// If there were fewer executions than the bounds say.
#[cfg(signalpost_loom)]
pub fn model<F: Fn() + Send + Sync + 'static>(bounds: Bounds, f: F) {
    use std::sync::PoisonError;
    use std::sync::atomic::Ordering::Relaxed;
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());

    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let name = name_of::<F>();
    panics::end_the_process(Some(name));
    EXECUTIONS.store(0, Relaxed);

    let exhaustive = std::env::var_os("SIGNALPOST_LOOM_EXHAUSTIVE").is_some_and(|value| value == "1");
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = if exhaustive { None } else { bounds.preemptions };
    builder.max_branches = 20_000;
    let started = std::time::Instant::now();
    builder.check(move || {
        crate::quarantine::next_execution();
        EXECUTIONS.fetch_add(1, Relaxed);
        f();
    });
    crate::quarantine::end();
    panics::end_the_process(None);

    let explored = match (builder.max_duration, builder.preemption_bound) {
        (Some(limit), _) if started.elapsed() >= limit => "not all: time limit".to_owned(),
        (_, None) => "all".to_owned(),
        (_, Some(bound)) => format!("preemption bound {bound}"),
    };
    let executions = EXECUTIONS.load(Relaxed);
    println!("model {name}: {executions} executions ({explored})");
    let floor = bounds.at_least;
    assert!(executions >= floor, "model {name} is blind: {executions} executions, at least {floor} expected");
}

#[cfg(signalpost_loom)]
static EXECUTIONS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// What a panic does while a model runs.
#[cfg(signalpost_loom)]
mod panics {
    use std::io::Write;
    use std::sync::atomic::Ordering::Relaxed;
    use std::sync::{Mutex, Once, PoisonError};

    static RUNNING: Mutex<Option<&'static str>> = Mutex::new(None);

    /// A panic ends the process from now on, or, with no model named, does as before.
    ///
    /// The hook is set once and stays: loom's coroutines end by panics, which they keep from it by a hook of their own, set
    /// once over the one that they find.
    pub(super) fn end_the_process(running: Option<&'static str>) {
        static SET: Once = Once::new();
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = running;
        SET.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                let running = *RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(name) = running else { return before(info) };
                let executions = super::EXECUTIONS.load(Relaxed);
                let _ =
                    writeln!(std::io::stderr(), "\nmodel {name}: failed at execution {executions}: {info}");
                std::process::exit(101);
            }));
        });
    }
}

/// Runs `f` when this thread has given its slot back: in a destructor of a thread-local. Under loom that is now, since the
/// thread has nothing else to do.
#[cfg(not(signalpost_loom))]
pub fn at_thread_end(f: impl FnOnce() + 'static) {
    struct Late(Option<Box<dyn FnOnce()>>);
    impl Drop for Late {
        fn drop(&mut self) {
            if let Some(f) = self.0.take() {
                f();
            }
        }
    }
    thread_local!(static LATE: std::cell::RefCell<Late> = const { std::cell::RefCell::new(Late(None)) });
    // Thread-locals that are touched first are dropped last.
    LATE.with(|late| late.borrow_mut().0 = Some(Box::new(f)));
    signalpost_core::warm_up();
}

/// Runs `f` when this thread has given its slot back: in a destructor of a thread-local. Under loom that is now, since the
/// thread has nothing else to do.
#[cfg(signalpost_loom)]
pub fn at_thread_end(f: impl FnOnce() + 'static) {
    signalpost_core::warm_up();
    signalpost_core::end_thread_early();
    f();
}

/// Gives up this thread's rings, as its end would. For models to call at the ends of threads that publish into some.
pub fn end_rings() {
    #[cfg(signalpost_loom)]
    signalpost_dispatch::end_rings_early();
}

/// Has the kernel refuse heavy barriers from a call on, counted from 1 in each execution. Without loom it does not.
#[cfg_attr(not(signalpost_loom), allow(unused_variables, reason = "a kernel cannot be told"))]
pub fn refuse_barriers_from(call: u64) {
    #[cfg(signalpost_loom)]
    signalpost_core::refuse_from(call);
}
