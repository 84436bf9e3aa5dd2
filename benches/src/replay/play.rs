//! One replay: a reader that reads ahead, and a publisher that gives each event to its subscribers when it is due.
//!
//! Owns waiting: for the reader, which is counted, and for events that are far away, asleep until shortly before.
//! Not here: the loop around a publish (`pace.rs`), and what is made of the times (`run/record.rs`).

use super::{
    detect::{Known, Said},
    input::Input,
    reader::{self, Chunk, Read},
    schedule::Rules,
};
use crate::{
    crew::{cores_apart, pin_to},
    pace::Arrivals,
    path::PathName,
    run::record::Recorder,
    stop,
};
use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError, bounded};
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

/// An event this much later than the one before it is waited for asleep ...
pub const SLEEP_FROM: Duration = Duration::from_millis(5);

/// ... until this much before it is due; then the publisher spins.
pub const SPIN_FOR: Duration = Duration::from_millis(2);

/// How often somebody who waits looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(20);

/// What is replayed and how.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Registered subscribers.
    pub subscribers: usize,
    /// A start that is later than this is missed.
    pub missed_after: Duration,
    /// Which events, and how fast.
    pub rules: Rules,
}

/// How often the publisher had to wait for the reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behind {
    /// Times that the queue was empty before the end of the log.
    pub times: u64,
    /// How long the publisher waited then, in nanoseconds.
    pub waited_ns: u64,
    /// Events that were past their start when they came out of the queue after such a wait.
    pub delayed: u64,
}

impl Behind {
    /// Adds those of another replay.
    pub const fn add(&mut self, other: Self) {
        self.times += other.times;
        self.waited_ns += other.waited_ns;
        self.delayed += other.delayed;
    }
}

/// What came of one replay.
#[derive(Debug)]
pub struct Played {
    /// The latencies.
    pub recorder: Recorder,
    /// What was read; none where the reader hung in its file when the replay was broken off.
    pub read: Option<Read>,
    /// Why it ended before the log did, in words: the log cannot be read any further.
    pub broken: Option<String>,
    /// Whether it ended before the log did, for that or because it was asked to.
    pub early: bool,
    /// When the last event was meant to start, after the first; in nanoseconds of the replay, not of the log.
    pub last_start_ns: u64,
    /// The longest time without one, in the same.
    pub longest_gap_ns: u64,
    /// Waiting for the reader.
    pub behind: Behind,
    /// Whether reader and publisher had a core each.
    pub apart: bool,
}

/// How far the reader is.
#[derive(Debug, Default)]
struct Reading {
    /// It ended, well or not.
    over: AtomicBool,
    /// It ended because the log is broken: what is in the queue is not waited for.
    failed: AtomicBool,
}

/// Replays a log from its beginning. Meanwhile `tick` is told how many bytes of the file the events come from that are published.
///
/// # Panics
/// When a publish was stopped, or one of the two threads panics.
pub fn play(
    path: PathName,
    settings: &Settings,
    input: Input,
    (known, said): (&Known, &Said),
    tick: &mut dyn FnMut(u64),
) -> Played {
    let lane = path.lane(settings.subscribers);
    let cores = cores_apart();
    let (mine, other) = (cores.first().copied(), cores.get(1).copied());
    let (sender, receiver) = reader::queue();
    let (reading, at) = (Arc::new(Reading::default()), AtomicU64::new(0));
    let (done, read) = bounded(1);
    // On its own: whoever breaks the replay off does not wait for a pipe from which nothing comes.
    let (theirs, known, said, rules) = (reading.clone(), known.clone(), said.clone(), settings.rules);
    thread::spawn(move || {
        pin_to(other);
        let result = reader::read(input, &known, &said, rules, &sender);
        theirs.failed.store(result.is_err(), Relaxed);
        theirs.over.store(true, Relaxed);
        drop(done.send(result));
    });
    let (recorder, starts, apart) = thread::scope(|scope| {
        let (finished, result) = bounded(1);
        scope.spawn(|| {
            let apart = pin_to(mine) && other.is_some();
            let finished = finished;
            let mut recorder = Recorder::paced(settings.missed_after.as_nanos() as u64);
            while !receiver.is_full() && !reading.over.load(Relaxed) && !stop::is_asked() {
                thread::sleep(Duration::from_millis(1));
            }
            signalpost::warm_up(); // this thread's first pin
            let begin = Instant::now();
            let mut starts = Starts::of(receiver, begin, &reading.failed, &at);
            let stopped = lane.pace(begin, &mut starts, &mut |timed| recorder.record(timed, None));
            assert_eq!(stopped, 0, "no subscriber of the lab stops an event");
            drop(finished.send((recorder, starts.seen(), apart)));
        });
        loop {
            match result.recv_timeout(5 * LOOK) {
                Ok(result) => break result,
                Err(RecvTimeoutError::Timeout) => tick(at.load(Relaxed)),
                Err(RecvTimeoutError::Disconnected) => panic!("the publishing thread has panicked"),
            }
        }
    });
    // Where the publisher has had all events, the reader is done or about to be.
    let read = if stop::is_asked() { read.recv_timeout(5 * LOOK).ok() } else { read.recv().ok() };
    let read = match read {
        None if !stop::is_asked() => panic!("the reading thread has panicked"),
        read => read.transpose(),
    };
    let (read, broken) = match read {
        Ok(read) => (read, None),
        Err(error) => (None, Some(error).filter(|_| !stop::is_asked())),
    };
    let early = broken.is_some() || stop::is_asked();
    let (last_start_ns, longest_gap_ns, behind) = starts;
    Played { recorder, read, broken, early, last_start_ns, longest_gap_ns, behind, apart }
}

/// The starts out of the queue.
struct Starts<'a> {
    queue: Receiver<Chunk>,
    begin: Instant,
    failed: &'a AtomicBool,
    /// Told from where in the file the events come.
    at: &'a AtomicU64,
    starts: std::vec::IntoIter<u64>,
    length: usize,
    /// From where to where in the file the chunk comes.
    bytes: (u64, u64),
    last: u64,
    longest_gap: u64,
    behind: Behind,
}

impl<'a> Starts<'a> {
    fn of(queue: Receiver<Chunk>, begin: Instant, failed: &'a AtomicBool, at: &'a AtomicU64) -> Self {
        let starts = Vec::new().into_iter();
        Self {
            queue,
            begin,
            failed,
            at,
            starts,
            length: 0,
            bytes: (0, 0),
            last: 0,
            longest_gap: 0,
            behind: Behind::default(),
        }
    }

    /// The last start that was given, the longest time between two, and how often the reader was waited for.
    const fn seen(&self) -> (u64, u64, Behind) {
        (self.last, self.longest_gap, self.behind)
    }

    /// The first start of the next chunk.
    #[cold]
    fn refill(&mut self) -> Option<u64> {
        self.at.store(self.bytes.1, Relaxed);
        let chunk = match self.queue.try_recv() {
            Ok(chunk) => chunk,
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => self.wait_for_reader()?,
        };
        self.bytes = (self.bytes.1, chunk.read);
        self.length = chunk.starts.len();
        self.starts = chunk.starts.into_iter();
        self.starts.next()
    }

    fn wait_for_reader(&mut self) -> Option<Chunk> {
        let since = Instant::now();
        let chunk = loop {
            match self.queue.recv_timeout(LOOK) {
                Ok(chunk) => break chunk,
                Err(RecvTimeoutError::Timeout) if !self.is_over() => {}
                // It may have been the end of the log that was waited for: then nothing was.
                Err(_) => return None,
            }
        };
        let now = self.begin.elapsed().as_nanos() as u64;
        self.behind.times += 1;
        self.behind.waited_ns += since.elapsed().as_nanos() as u64;
        self.behind.delayed += chunk.starts.partition_point(|start| *start < now) as u64;
        Some(chunk)
    }

    fn is_over(&self) -> bool {
        stop::is_asked() || self.failed.load(Relaxed)
    }

    /// Sleeps until shortly before an event is due; false when it is not to be waited for any more.
    #[cold]
    fn sleep_until(&self, start: u64) -> bool {
        let done = (self.length - self.starts.len()) as u64;
        let (from, to) = self.bytes;
        self.at.store(from + (to - from) * done / self.length as u64, Relaxed);
        let until = self.begin + Duration::from_nanos(start) - SPIN_FOR;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.is_over() {
                return left.is_zero();
            }
            thread::sleep(left.min(LOOK));
        }
    }
}

impl Arrivals for Starts<'_> {
    fn next(&mut self) -> Option<u64> {
        let start = match self.starts.next() {
            Some(start) => start,
            None => self.refill()?,
        };
        let gap = start - self.last;
        if gap > SLEEP_FROM.as_nanos() as u64 && !self.sleep_until(start) || self.failed.load(Relaxed) {
            return None;
        }
        (self.last, self.longest_gap) = (start, self.longest_gap.max(gap));
        Some(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued(chunks: &[&[u64]]) -> Receiver<Chunk> {
        let (sender, receiver) = bounded(chunks.len().max(1));
        for (index, starts) in chunks.iter().enumerate() {
            sender.send(Chunk { starts: starts.to_vec(), read: 100 * (index as u64 + 1) }).unwrap();
        }
        receiver
    }

    fn all(mut starts: Starts<'_>) -> (Vec<u64>, Behind) {
        let all = std::iter::from_fn(|| starts.next()).collect();
        (all, starts.behind)
    }

    #[test]
    fn every_start_in_the_queue_comes_out_in_order_and_the_end_is_not_waited_for() {
        let (failed, at) = (AtomicBool::new(false), AtomicU64::new(0));
        let queue = queued(&[&[0, 1, 2], &[2, 8_000_000], &[8_000_001]]);
        let (starts, behind) = all(Starts::of(queue, Instant::now(), &failed, &at));
        assert_eq!(starts, [0, 1, 2, 2, 8_000_000, 8_000_001]);
        assert_eq!((behind, at.load(Relaxed)), (Behind::default(), 300));
    }

    #[test]
    fn an_event_far_away_is_waited_for_until_shortly_before_it() {
        let (failed, at) = (AtomicBool::new(false), AtomicU64::new(0));
        let begin = Instant::now();
        let mut starts = Starts::of(queued(&[&[0, 60_000_000, 60_000_001, 60_000_002]]), begin, &failed, &at);
        starts.next();
        starts.next();
        assert!(begin.elapsed() >= Duration::from_millis(60) - SPIN_FOR);
        assert_eq!(at.load(Relaxed), 50, "two of the four events");
    }

    #[test]
    fn a_reader_that_is_late_is_waited_for_and_that_is_counted() {
        let (failed, at) = (AtomicBool::new(false), AtomicU64::new(0));
        let (sender, receiver) = bounded(1);
        let starts = Starts::of(receiver, Instant::now(), &failed, &at);
        let reader = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            sender.send(Chunk { starts: vec![0, 1, 3_600_000_000_000], read: 1 }).unwrap();
        });
        let mut starts = starts;
        assert_eq!((starts.next(), starts.next()), (Some(0), Some(1)));
        reader.join().unwrap();
        assert_eq!((starts.behind.times, starts.behind.delayed), (1, 2));
        assert!(starts.behind.waited_ns > 1_000_000, "{:?}", starts.behind);
    }

    #[test]
    fn nothing_is_published_of_a_log_that_is_broken_further_on() {
        let (failed, at) = (AtomicBool::new(true), AtomicU64::new(0));
        let begin = Instant::now();
        let (starts, _) = all(Starts::of(queued(&[&[0, 3_600_000_000_000]]), begin, &failed, &at));
        assert_eq!(starts, [0_u64; 0]);
        assert!(begin.elapsed() < Duration::from_secs(60));
    }
}
