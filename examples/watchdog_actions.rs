//! A watchdog that does more the longer a loop is blocked: a line at once, the whole report at 4 times the limit, the end at 60 times.
//!
//! `cargo run --features monitor --example watchdog_actions`. With `-- --abort` it does abort, and so ends by a signal: a supervisor
//! starts the program again, and a core file shows all threads. Without, it says that it would.

use signalpost::Bus;
use signalpost::monitor::{EventLoopBlocked, EventLoopUnblocked, Monitor};
use std::collections::HashMap;
use std::error::Error;
use std::process;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

/// Short, so that 60 times it is soon over.
const LIMIT: Duration = Duration::from_millis(20);
const HANG: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Grade {
    Log,
    Dump,
    Abort,
}

impl Grade {
    /// Each from how many times the limit on. Reports come at 1, 2, 4, … times, so the last one here comes with that at 64.
    const ALL: [(Self, u32); 3] = [(Self::Log, 1), (Self::Dump, 4), (Self::Abort, 60)];

    fn act(self, event: &EventLoopBlocked, abort: bool) {
        match self {
            Self::Log => println!("log: {event}"),
            Self::Dump => event.info().iter().for_each(|lines| println!("dump: {lines}")),
            Self::Abort if abort => process::abort(),
            Self::Abort => println!("abort: not without --abort"),
        }
    }
}

/// Does for each block what its grade asks for, each once; also those that a late report has skipped.
struct Watchdog {
    abort: bool,
    /// Of a loop that is blocked: the last grade, by the loop's number and worker.
    done: Mutex<HashMap<(u64, Option<usize>), Grade>>,
    /// What was done, and last that it is over.
    tell: mpsc::Sender<Option<Grade>>,
}

impl Watchdog {
    fn blocked(&self, event: &EventLoopBlocked) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (event.hub.id(), event.worker);
        for (grade, times) in Grade::ALL {
            let due = event.blocking_time >= event.max_blocking_time * times;
            if due && done.get(&key).is_none_or(|last| *last < grade) {
                done.insert(key, grade);
                grade.act(event, self.abort);
                let _ = self.tell.send(Some(grade));
            }
        }
    }

    fn over(&self, event: &EventLoopUnblocked) {
        println!("over: {event}");
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.remove(&(event.hub.id(), event.worker));
        let _ = self.tell.send(None);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let abort = std::env::args().any(|argument| argument == "--abort");
    let (bus, (tell, told)) = (Arc::new(Bus::new()), mpsc::channel());
    let dog = Arc::new(Watchdog { abort, done: Mutex::default(), tell });
    let (barks, rests) = (dog.clone(), dog);
    let _blocked = bus.topic::<EventLoopBlocked>().subscribe(move |event| barks.blocked(event));
    let _over = bus.topic::<EventLoopUnblocked>().subscribe(move |event| rests.over(event));
    let monitor = Monitor::builder()
        .bus(bus.clone())
        .max_blocking_time(LIMIT)
        .print_blocking_reports(false) // the dog does
        .start()?;

    // A loop with three turns, of which the last one takes too long.
    let mut turn = monitor.watch_loop("jobs")?;
    for job in [LIMIT / 10, LIMIT / 10, LIMIT * 70] {
        turn.busy();
        thread::sleep(job);
        turn.idle();
    }

    // Fails, and with it the example, if not all was done, once each and in this order.
    for (grade, _) in Grade::ALL {
        assert_eq!(told.recv_timeout(HANG)?, Some(grade));
    }
    assert_eq!(told.recv_timeout(HANG)?, None);
    Ok(())
}
