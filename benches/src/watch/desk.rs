//! Where a fault is laid ready, and a request for it finds it: how the run reaches into a server that serves.
//!
//! Owns the jobs that wait, and what comes back of them.
//! Not here: what a job does (`fault.rs`), who does it (`serve_tokio.rs`, `serve_mio.rs`).

use super::clock::{Measured, compute_for};
use std::{
    collections::HashMap,
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    time::{Duration, Instant},
};

/// What is to be done, once.
pub type Work = Box<dyn FnOnce() -> Measured + Send>;

/// A job, and how it is to be done.
pub enum Job {
    /// Right where the request is answered: in its task, in the loop's turn.
    Here(Work),
    /// On a thread for such things, and the task waits for it.
    SpawnBlocking(Work),
    /// In the task, after the runtime was told that it will block.
    InPlace(Work),
    /// By many tasks, each of which always wants to go on.
    ShortPolls(ShortPolls),
}

/// Many tasks with short polls that never wait.
#[derive(Clone, Copy, Debug)]
pub struct ShortPolls {
    /// How many.
    pub tasks: usize,
    /// What a poll computes.
    pub poll: Duration,
    /// How long a poll may take in all: beyond, it was no short poll.
    pub limit: Duration,
    /// For how long.
    pub lasts: Duration,
}

/// What came of a job.
#[derive(Clone, Debug)]
pub struct Account {
    /// What the task that did it goes by; nothing where no single task did.
    pub task: Vec<String>,
    /// What the clocks say.
    pub measured: Measured,
}

/// A job on its way.
#[derive(Debug)]
pub struct Order {
    /// What is to be done.
    pub job: Job,
    done: mpsc::Sender<Account>,
}

/// Where the jobs wait.
#[derive(Debug, Default)]
pub struct Desk {
    waiting: Mutex<HashMap<u64, Order>>,
    last: AtomicU64,
}

impl Desk {
    /// Lays a job ready. Gives its number, and where its account will come.
    pub fn lay(&self, job: Job) -> (u64, mpsc::Receiver<Account>) {
        let number = self.last.fetch_add(1, Relaxed) + 1;
        let (done, account) = mpsc::channel();
        self.waiting().insert(number, Order { job, done });
        (number, account)
    }

    /// Takes it, if nobody has.
    pub fn take(&self, number: u64) -> Option<Order> {
        self.waiting().remove(&number)
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Order>> {
        self.waiting.lock().expect("nothing panics under it")
    }
}

impl Order {
    /// Splits it into the job and who wants to hear of it.
    pub fn accept(self) -> (Job, Receipt) {
        (self.job, Receipt(self.done))
    }
}

/// Whom to tell what came of a job.
#[derive(Debug)]
pub struct Receipt(mpsc::Sender<Account>);

impl Receipt {
    /// Tells it; who does not wait any more is not told.
    pub fn give(self, task: Vec<String>, measured: Measured) {
        let _ = self.0.send(Account { task, measured });
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Here(_) => "Here",
            Self::SpawnBlocking(_) => "SpawnBlocking",
            Self::InPlace(_) => "InPlace",
            Self::ShortPolls(_) => "ShortPolls",
        })
    }
}

/// Short polls under way, counted by who does them.
#[derive(Debug)]
pub struct Polls {
    wanted: ShortPolls,
    begin: Instant,
    count: AtomicU64,
    longest_ns: AtomicU64,
}

impl Polls {
    /// From now on.
    pub fn begin(wanted: ShortPolls) -> Self {
        Self { wanted, begin: Instant::now(), count: AtomicU64::new(0), longest_ns: AtomicU64::new(0) }
    }

    /// One poll of one task. Gives whether the task goes on.
    pub fn poll(&self) -> bool {
        let begin = Instant::now();
        compute_for(self.wanted.poll);
        let took = begin.elapsed().as_nanos().try_into().unwrap_or(u64::MAX);
        self.count.fetch_add(1, Relaxed);
        self.longest_ns.fetch_max(took, Relaxed);
        self.begin.elapsed() < self.wanted.lasts
    }

    /// What they were, at the end.
    pub fn measured(&self) -> Measured {
        let longest = Duration::from_nanos(self.longest_ns.load(Relaxed));
        let too_long = longest >= self.wanted.limit;
        let why_not = too_long.then(|| format!("a short poll took {} ms", longest.as_millis()));
        Measured { begin: self.begin, end: Instant::now(), processor: None, why_not }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_taken_once_and_its_account_comes_back() {
        let desk = Desk::default();
        let (number, account) = desk.lay(Job::Here(Box::new(|| Measured::of(|| Err("no".to_owned())))));
        assert!(desk.take(number + 1).is_none());
        let (job, receipt) = desk.take(number).unwrap().accept();
        assert!(desk.take(number).is_none());
        let Job::Here(work) = job else { panic!("{job:?}") };
        receipt.give(vec!["7".to_owned()], work());
        let account = account.recv().unwrap();
        assert_eq!((account.task, account.measured.why_not.as_deref()), (vec!["7".to_owned()], Some("no")));
    }

    #[test]
    fn a_job_that_nobody_does_is_seen_to_be_dropped() {
        let desk = Desk::default();
        let (number, account) = desk.lay(Job::Here(Box::new(|| Measured::of(|| Ok(())))));
        drop(desk.take(number));
        assert!(account.recv().is_err());
    }

    #[test]
    fn a_short_poll_that_was_not_short_is_told() {
        let wanted =
            ShortPolls { tasks: 1, poll: Duration::ZERO, limit: Duration::MAX, lasts: Duration::ZERO };
        let polls = Polls::begin(wanted);
        assert!(!polls.poll(), "its time is over at once");
        assert_eq!(polls.measured().why_not, None);
        let polls = Polls::begin(ShortPolls { limit: Duration::ZERO, lasts: Duration::MAX, ..wanted });
        assert!(polls.poll());
        assert!(polls.measured().why_not.is_some());
    }
}
