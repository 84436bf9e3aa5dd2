//! Loops that block for times that a clock of the test's own measures, and what a monitor says of them.
//!
//! A try in which the machine itself stood still, as another thread can tell, says nothing about the monitor: it is repeated.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of this")]

use crate::common::HANG;
use signalpost::monitor::{
    BlockedTask, CaptureError, EventLoopBlocked, EventLoopUnblocked, LoopKind, Monitor, MonitorBuilder,
    Verdict,
};
use signalpost::{Bus, Plugins, Subscription};
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// What is too long, here: so much that a busy machine does not reach it by itself.
pub const T: Duration = Duration::from_millis(200);
/// How long a block is that must be found.
pub const LONG: Duration = Duration::from_millis(270); // 1.35 T
/// How many of them.
pub const TRIES: usize = 12;

/// What a monitor said of a loop.
#[derive(Clone, Debug)]
pub struct Said {
    pub what: What,
    pub hub: String,
    pub kind: LoopKind,
    pub worker: Option<usize>,
    pub thread: Option<u32>,
    pub task: BlockedTask,
    /// For how long, and how much longer at most.
    pub time: Duration,
    pub error: Duration,
    /// When, and on which thread, the subscriber heard it.
    pub at: Instant,
    pub on: ThreadId,
}

#[derive(Clone, Debug)]
pub enum What {
    Blocked { report: u32, verdict: Verdict, stack: Result<(), CaptureError> },
    Unblocked { reports: u32 },
}

impl Said {
    pub fn report(&self) -> Option<u32> {
        match self.what {
            What::Blocked { report, .. } => Some(report),
            What::Unblocked { .. } => None,
        }
    }
}

impl From<&EventLoopBlocked> for Said {
    fn from(event: &EventLoopBlocked) -> Self {
        let what = What::Blocked {
            report: event.report,
            verdict: event.verdict,
            stack: event.stack.as_ref().map(|_| ()).map_err(Clone::clone),
        };
        Self {
            what,
            hub: event.hub.name().to_owned(),
            kind: event.hub.kind(),
            worker: event.worker,
            thread: event.thread.as_ref().map(|thread| thread.id),
            task: event.task.clone(),
            time: event.blocking_time,
            error: event.error_bound,
            at: Instant::now(),
            on: thread::current().id(),
        }
    }
}

impl From<&EventLoopUnblocked> for Said {
    fn from(event: &EventLoopUnblocked) -> Self {
        Self {
            what: What::Unblocked { reports: event.reports },
            hub: event.hub.name().to_owned(),
            kind: event.hub.kind(),
            worker: event.worker,
            thread: event.thread.as_ref().map(|thread| thread.id),
            task: event.task.clone(),
            time: event.total,
            error: event.error_bound,
            at: Instant::now(),
            on: thread::current().id(),
        }
    }
}

/// A monitor, and what it says.
pub struct Watch {
    pub monitor: Monitor,
    pub bus: Arc<Bus>,
    said: mpsc::Receiver<Said>,
    subscriptions: Vec<Subscription>,
}

impl Watch {
    pub fn start() -> Self {
        Self::with(|builder| builder)
    }

    pub fn with(settings: impl FnOnce(MonitorBuilder) -> MonitorBuilder) -> Self {
        static NONE: Plugins = Plugins::new();
        let bus = Arc::new(Bus::new());
        let (said, subscriptions) = listen(&bus);
        let builder = Monitor::builder().bus(bus.clone()).plugins(&NONE);
        let builder = builder.max_blocking_time(T).print_blocking_reports(false);
        let monitor = settings(builder).start().unwrap();
        Self { monitor, bus, said, subscriptions }
    }

    /// In a forked child: another channel, since the parent's threads may have held the locks of the old one.
    pub fn forked(&mut self) {
        let (said, subscriptions) = listen(&self.bus);
        drop(std::mem::replace(&mut self.subscriptions, subscriptions));
        std::mem::forget(std::mem::replace(&mut self.said, said));
    }

    /// What was said until somebody was said to be unblocked, which must come.
    #[track_caller]
    pub fn until_unblocked(&self) -> Vec<Said> {
        let mut all = Vec::new();
        loop {
            let said = self.next();
            all.push(said);
            if let What::Unblocked { .. } = all[all.len() - 1].what {
                return all;
            }
        }
    }

    /// What is said of a block that has ended: until it is said to be unblocked; nothing, if it was not reported.
    #[track_caller]
    pub fn of(&self, block: &Block) -> Vec<Said> {
        let mut all: Vec<Said> = Vec::new();
        while let Ok(said) = self.said.recv_timeout(if all.is_empty() { 2 * T } else { HANG }) {
            all.push(said);
            if all[all.len() - 1].report().is_none() {
                break;
            }
        }
        assert_true(&all, block);
        all
    }

    /// What is said next, which must come.
    #[track_caller]
    pub fn next(&self) -> Said {
        let said = self.said.recv_timeout(HANG).expect("hangs: the monitor says nothing");
        assert_eq!(Some(said.on), self.monitor.thread_id(), "on the monitor thread");
        said
    }

    /// What was said so far, and is said within a limit from now.
    pub fn rest(&self) -> Vec<Said> {
        thread::sleep(T);
        self.said.try_iter().collect()
    }

    #[track_caller]
    pub fn says_nothing(&self) {
        let said = self.rest();
        assert!(said.is_empty(), "{said:#?}");
    }
}

fn listen(bus: &Bus) -> (mpsc::Receiver<Said>, Vec<Subscription>) {
    let (tell, said) = mpsc::channel();
    // Never dropped, which would take a lock.
    let (ends, tell) = (ManuallyDrop::new(tell.clone()), ManuallyDrop::new(tell));
    let blocked = bus.topic::<EventLoopBlocked>().subscribe(move |event| {
        let _ = tell.send(event.into());
    });
    let unblocked = bus.topic::<EventLoopUnblocked>().subscribe(move |event| {
        let _ = ends.send(event.into());
    });
    (said, vec![blocked, unblocked])
}

/// When something happened, by the test's own clock: not before the first, and not after the last, of the outer; between the inner
/// ones it did.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    pub outer: (Instant, Instant),
    pub inner: (Instant, Instant),
}

impl Block {
    /// At least so long.
    pub fn least(&self) -> Duration {
        self.inner.1 - self.inner.0
    }

    /// At most so long.
    pub fn most(&self) -> Duration {
        self.outer.1 - self.outer.0
    }
}

/// Blocks the thread, and says from when to when.
pub fn sleep(time: Duration) -> (Instant, Instant) {
    let from = Instant::now();
    thread::sleep(time);
    (from, Instant::now())
}

/// The same, and uses the processor meanwhile.
pub fn spin(time: Duration) -> (Instant, Instant) {
    let from = Instant::now();
    while from.elapsed() < time {
        std::hint::spin_loop();
    }
    (from, Instant::now())
}

/// What is said of a block is true, as far as the test's own clock can tell: holds on any machine.
#[track_caller]
pub fn assert_true(said: &[Said], block: &Block) {
    let mut last = 0;
    for said in said {
        assert!(said.time <= block.most(), "longer than it was: {said:?}, {block:?}");
        match said.what {
            What::Blocked { report, .. } => {
                assert!(report > last, "each once: {said:?}");
                last = report;
                assert!(said.time >= T * (1 << (report - 1)), "not before its time: {said:?}");
                assert!(said.time <= said.at - block.outer.0, "not before it could be: {said:?}");
            }
            What::Unblocked { reports } => {
                assert!(last > 0 && reports == last, "after so many reports: {said:?}");
                assert!(said.time + said.error >= block.least(), "{said:?}, {block:?}: {:?}", block.least());
            }
        }
    }
    let ends = said.iter().filter(|said| said.report().is_none()).count();
    assert_eq!(ends, usize::from(last > 0), "{said:?}");
}

/// Another thread that sees whether the machine goes on.
pub struct Witness {
    /// The longest time for which it did not.
    longest: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Witness {
    pub fn start() -> Self {
        let witness = Self { longest: Arc::default(), stop: Arc::default() };
        let (longest, stop) = (witness.longest.clone(), witness.stop.clone());
        thread::spawn(move || {
            let mut last = Instant::now();
            while !stop.load(Relaxed) {
                thread::sleep(Duration::from_millis(2));
                longest.fetch_max(u64::try_from(last.elapsed().as_micros()).unwrap(), Relaxed);
                last = Instant::now();
            }
        });
        witness
    }

    /// From now on.
    pub fn begin(&self) {
        self.longest.store(0, Relaxed);
    }

    /// Whether the machine went on all the time: a thread that wants to run does so within a twentieth of a limit.
    pub fn was_steady(&self) -> bool {
        Duration::from_micros(self.longest.load(Relaxed)) < T / 20
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

/// Tries until so many tries were made on a machine that went on meanwhile, and had the block last as it should. Says of each what
/// must be so only then.
#[track_caller]
pub fn tries(
    what: &str,
    mut one: impl FnMut(usize) -> (Block, Vec<Said>),
    lasts: Duration,
    then: impl Fn(&[Said]),
) {
    let (witness, begun, mut good, mut all) = (Witness::start(), Instant::now(), 0, 0);
    while good < TRIES {
        assert!(begun.elapsed() < 2 * HANG, "hangs: {what}, {good} of {all} tries were on a steady machine");
        all += 1;
        witness.begin();
        let (block, said) = one(all);
        if witness.was_steady() && block.least() >= lasts && block.most() < lasts + T / 4 {
            then(&said);
            good += 1;
        }
    }
    println!("{what}: {good} of {good} found, in {all} tries");
}

/// The reports' numbers.
pub fn reports(said: &[Said]) -> Vec<u32> {
    said.iter().filter_map(Said::report).collect()
}

/// The kernel's number of this thread, where there is one.
pub fn this_thread() -> Option<u32> {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: takes nothing.
        u32::try_from(unsafe { libc::gettid() }).ok()
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// How often the monitor thread has gone to sleep.
#[cfg(target_os = "linux")]
pub fn sleeps_of_the_monitor(name: &str) -> u64 {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let of_the_name = |task: &std::path::PathBuf| {
        std::fs::read_to_string(task.join("comm"))
            .is_ok_and(|comm| comm.trim_end() == &name[..name.len().min(15)])
    };
    let task = threads.map(|task| task.unwrap().path()).find(of_the_name).expect("a monitor thread");
    let status = std::fs::read_to_string(task.join("status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.expect("the kernel counts them").trim().parse().unwrap()
}
