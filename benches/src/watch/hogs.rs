//! Threads that compute and do nothing else, on one core: what else wants it hardly gets it.
//!
//! Owns the hogs, and being held to a core. Only Linux lets a thread be held to a core and let go again without unsafe code;
//! elsewhere hogs are on all cores.

use super::clock::compute;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

/// So many want the core that one more gets a small share of it.
const EACH: usize = 24;

/// A core to be held to.
#[derive(Clone, Copy, Debug)]
pub struct Core {
    #[cfg(target_os = "linux")]
    number: Option<usize>,
}

/// Computing threads, until it is dropped.
#[derive(Debug)]
pub struct Hogs {
    enough: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

#[cfg(target_os = "linux")]
mod held {
    use super::Core;
    use nix::{
        sched::{CpuSet, sched_getaffinity, sched_setaffinity},
        unistd::Pid,
    };

    const THIS_THREAD: Pid = Pid::from_raw(0);

    /// To where it may run again.
    #[derive(Debug)]
    pub struct Back(Option<CpuSet>);

    impl Core {
        /// The last one that this process may use: the system's own work is rather on the first.
        pub fn any() -> Self {
            let allowed = sched_getaffinity(THIS_THREAD).ok();
            let number =
                allowed.and_then(|set| (0..CpuSet::count()).rev().find(|&core| set.is_set(core) == Ok(true)));
            Self { number }
        }

        /// Holds the calling thread to it, until what this gives is dropped there.
        pub fn enter(self) -> Back {
            let before = sched_getaffinity(THIS_THREAD).ok();
            let mut only = CpuSet::new();
            let held = self
                .number
                .is_some_and(|core| only.set(core).is_ok() && sched_setaffinity(THIS_THREAD, &only).is_ok());
            Back(before.filter(|_| held))
        }

        /// How many of it.
        pub fn count(self) -> usize {
            if self.number.is_some() { 1 } else { super::cores() }
        }
    }

    impl Drop for Back {
        fn drop(&mut self) {
            if let Some(before) = &self.0 {
                let _ = sched_setaffinity(THIS_THREAD, before);
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod held {
    use super::Core;

    /// Nothing was changed.
    #[derive(Debug)]
    pub struct Back;

    impl Core {
        /// Whichever.
        pub const fn any() -> Self {
            Self {}
        }

        /// Nothing can be done.
        pub const fn enter(self) -> Back {
            Back
        }

        /// How many of it.
        pub fn count(self) -> usize {
            super::cores()
        }
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

impl Hogs {
    /// Starts them.
    ///
    /// # Errors
    /// When there are not so many threads; those that started are ended.
    pub fn start(core: Core) -> io::Result<Self> {
        let enough = Arc::new(AtomicBool::new(false));
        let mut hogs = Self { enough, threads: Vec::new() };
        for _ in 0..EACH * core.count() {
            let enough = Arc::clone(&hogs.enough);
            hogs.threads.push(thread::Builder::new().name("lab-hog".to_owned()).spawn(move || {
                let _held = core.enter();
                while !enough.load(Relaxed) {
                    compute();
                }
            })?);
        }
        Ok(hogs)
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        self.enough.store(true, Relaxed); // nothing is read through it
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
