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
    longest_ns: AtomicU64,
    /// Polls of each task, by the worker that made them.
    made: Mutex<HashMap<(usize, usize), u64>>,
}

impl Polls {
    /// From now on.
    pub fn begin(wanted: ShortPolls) -> Self {
        Self { wanted, begin: Instant::now(), longest_ns: AtomicU64::new(0), made: Mutex::default() }
    }

    /// One poll of one task, on this worker. Gives whether the task goes on.
    pub fn poll(&self, task: usize, worker: usize) -> bool {
        let begin = Instant::now();
        compute_for(self.wanted.poll);
        let took = begin.elapsed().as_nanos().try_into().unwrap_or(u64::MAX);
        self.longest_ns.fetch_max(took, Relaxed);
        *self.made.lock().expect("nothing panics under it").entry((worker, task)).or_default() += 1;
        self.begin.elapsed() < self.wanted.lasts
    }

    /// A worker more than three quarters of whose polls were of the same task.
    fn alone(&self) -> Option<usize> {
        let made = self.made.lock().expect("nothing panics under it");
        let of =
            |worker: usize| made.iter().filter(move |((of, _), _)| *of == worker).map(|(_, polls)| *polls);
        let is_alone = |worker: &usize| of(*worker).max() > Some(of(*worker).sum::<u64>() * 3 / 4);
        made.keys().map(|(worker, _)| *worker).find(is_alone)
    }

    /// What they were, at the end.
    pub fn measured(&self) -> Measured {
        let longest = Duration::from_nanos(self.longest_ns.load(Relaxed));
        let why_not = if longest >= self.wanted.limit {
            Some(format!("a short poll took {} ms", longest.as_millis()))
        } else {
            // Such a task keeps its worker from its driver all by itself.
            self.alone().map(|worker| format!("worker {worker} polled hardly more than one task"))
        };
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
    fn short_polls_that_were_not_short_or_of_one_task_are_told() {
        let limit = Duration::from_secs(3600);
        let wanted = ShortPolls { tasks: 2, poll: Duration::ZERO, limit, lasts: limit };
        let why_not = |wanted, polled: &[(usize, usize)]| {
            let polls = Polls::begin(wanted);
            let go_on: Vec<_> = polled.iter().map(|&(task, worker)| polls.poll(task, worker)).collect();
            assert!(go_on.iter().all(|&goes_on| goes_on != wanted.lasts.is_zero()));
            polls.measured().why_not
        };
        assert_eq!(why_not(wanted, &[(0, 0), (1, 0), (1, 0), (2, 1), (3, 1)]), None);
        assert_eq!(why_not(ShortPolls { lasts: Duration::ZERO, ..wanted }, &[(0, 0), (1, 0)]), None);
        let alone = why_not(wanted, &[(0, 0), (1, 0), (2, 1), (2, 1), (2, 1), (2, 1), (3, 1)]).unwrap();
        assert!(alone.contains("worker 1"), "{alone}");
        let long = why_not(ShortPolls { limit: Duration::ZERO, ..wanted }, &[(0, 0), (1, 0)]).unwrap();
        assert!(long.contains("a short poll took"), "{long}");
    }
}
