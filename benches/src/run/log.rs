//! The interval log (`--hlog`): one histogram an interval, written as the run goes on, in the format of `HdrHistogram`'s tools.
//!
//! Owns the file, how a publisher's intervals get to it without keeping that publisher waiting, and how those of all publishers
//! become one. What it holds in memory does not depend on how long a run is.
//! Not here: what is recorded (`record.rs`).

use crate::pace;
use hdrhistogram::{
    Histogram,
    serialization::{
        V2DeflateSerializer,
        interval_log::{IntervalLogWriter, IntervalLogWriterBuilder, IntervalLogWriterError, Tag},
    },
};
use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::{self, LineWriter},
    mem,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    time::{Duration, Instant, SystemTime},
};

/// Histograms that go to and fro between a publisher and the log: one that is filled, one that is read, one to spare.
const IN_TURN: usize = 3;

/// Which interval it is, until when it lasted, and what is in it.
type Full = (u64, u64, Histogram<u64>);

/// One publisher's intervals. When it is dropped the last one is handed over.
#[derive(Debug)]
pub struct Intervals {
    length_ns: u64,
    index: u64,
    until_ns: u64,
    last_ns: u64,
    current: Histogram<u64>,
    full: SyncSender<Full>,
    empty: Receiver<Histogram<u64>>,
}

impl Intervals {
    /// Takes in `count` events that took `latency` nanoseconds each and ended so many nanoseconds after the beginning.
    #[inline]
    pub fn record(&mut self, ended: u64, latency: u64, count: u64) {
        if ended >= self.until_ns {
            self.turn(ended);
        }
        self.last_ns = ended;
        self.current.saturating_record_n(latency, count);
    }

    /// Hands the interval over and begins the one that `ended` is in. Never waits: if no histogram came back yet, the events stay
    /// in this one and are counted in a later interval.
    #[cold]
    fn turn(&mut self, ended: u64) {
        if !self.current.is_empty()
            && let Ok(empty) = self.empty.try_recv()
        {
            self.hand_over(self.until_ns, empty);
        }
        self.index = ended / self.length_ns;
        self.until_ns = (self.index + 1) * self.length_ns;
    }

    fn hand_over(&mut self, until_ns: u64, next: Histogram<u64>) {
        let full = mem::replace(&mut self.current, next);
        // There is room for all there are. If nobody takes them any more, the log has failed and says so.
        let _ = self.full.try_send((self.index, until_ns, full));
    }
}

impl Drop for Intervals {
    fn drop(&mut self) {
        if !self.current.is_empty() {
            let nothing = Histogram::new(1).expect("one digit is valid");
            self.hand_over(self.last_ns, nothing);
        }
    }
}

/// Merges the intervals of several publishers that began at the same time.
#[derive(Debug)]
pub struct Collector {
    length_ns: u64,
    sources: Vec<Source>,
    pending: BTreeMap<u64, (u64, Histogram<u64>)>,
    spare: Vec<Histogram<u64>>,
}

#[derive(Debug)]
struct Source {
    full: Receiver<Full>,
    empty: SyncSender<Histogram<u64>>,
    /// Intervals before this one are complete.
    reached: u64,
}

/// For each of so many publishers its intervals, and what collects them.
pub fn intervals(length: Duration, publishers: usize) -> (Vec<Intervals>, Collector) {
    let length_ns = (length.as_nanos() as u64).max(1);
    let (intervals, sources) = (0..publishers)
        .map(|_| {
            let (full, filled) = sync_channel(IN_TURN + 1);
            let (free, empty) = sync_channel(IN_TURN + 1);
            for _ in 1..IN_TURN {
                free.try_send(touched()).expect("there is room for all");
            }
            let current = touched();
            let intervals =
                Intervals { length_ns, index: 0, until_ns: length_ns, last_ns: 0, current, full, empty };
            (intervals, Source { full: filled, empty: free, reached: 0 })
        })
        .unzip();
    (intervals, Collector { length_ns, sources, pending: BTreeMap::new(), spare: Vec::new() })
}

/// A histogram whose memory is there already: the kernel gives it at the first write, which takes longer than an event.
fn touched() -> Histogram<u64> {
    let mut histogram = pace::histogram();
    histogram.reset();
    histogram
}

impl Collector {
    /// Takes what the publishers have handed over, and gives the intervals that are complete to `write`: which one it is, where it
    /// begins, its length (of the last one: until its last event ended), and the latencies in it. False when the publishers are done and all is written.
    ///
    /// # Errors
    /// What `write` gives.
    pub fn collect<E>(
        &mut self,
        mut write: impl FnMut(Duration, Duration, &Histogram<u64>) -> Result<(), E>,
    ) -> Result<bool, E> {
        for source in &mut self.sources {
            loop {
                match source.full.try_recv() {
                    Ok((index, until_ns, mut full)) => {
                        let spare = &mut self.spare;
                        let (until, merged) = self
                            .pending
                            .entry(index)
                            .or_insert_with(|| (0, spare.pop().unwrap_or_else(pace::histogram)));
                        *until = until_ns.max(*until);
                        merged.add(&full).expect("all have the same bounds");
                        source.reached = index + 1;
                        full.reset();
                        // The publisher may be done, and need none.
                        let _ = source.empty.try_send(full);
                    }
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        source.reached = u64::MAX;
                        break;
                    }
                }
            }
        }
        let complete = self.sources.iter().map(|source| source.reached).min().unwrap_or(u64::MAX);
        while let Some(first) = self.pending.first_entry().filter(|first| *first.key() < complete) {
            let (index, (until_ns, mut merged)) = first.remove_entry();
            let start_ns = index * self.length_ns;
            let length_ns = until_ns.saturating_sub(start_ns).max(1);
            write(Duration::from_nanos(start_ns), Duration::from_nanos(length_ns), &merged)?;
            merged.reset();
            self.spare.push(merged);
        }
        Ok(complete < u64::MAX)
    }
}

/// The file of the log.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: LineWriter<File>,
    serializer: Serializer,
}

struct Serializer(V2DeflateSerializer);

impl fmt::Debug for Serializer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("V2DeflateSerializer")
    }
}

/// A log that has its heading.
pub struct Log<'a> {
    path: &'a Path,
    began: Instant,
    writer: IntervalLogWriter<'a, 'a, LineWriter<File>, V2DeflateSerializer>,
}

impl fmt::Debug for Log<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("path", &self.path).finish_non_exhaustive()
    }
}

impl LogFile {
    /// Opens it; what was in it is gone.
    ///
    /// # Errors
    /// In words, when it cannot be written.
    pub fn create(path: &Path) -> Result<Self, String> {
        let file = File::create(path).map_err(|cause| cannot_write(path, &cause))?;
        let serializer = Serializer(V2DeflateSerializer::new());
        Ok(Self { path: path.to_owned(), file: LineWriter::new(file), serializer })
    }

    /// Writes the heading.
    ///
    /// # Errors
    /// In words, when it cannot be written.
    pub fn begin(&mut self, command: &str) -> Result<Log<'_>, String> {
        let (now, began) = (SystemTime::now(), Instant::now());
        let writer = IntervalLogWriterBuilder::new()
            .add_comment("[Histogram log format version 1.3]")
            .add_comment(&format!("[Logged by: lab {command}]"))
            .add_comment("[Latencies in nanoseconds: from the intended start, or, where the tag ends in closed-loop, from the actual start]")
            .with_start_time(now)
            .with_base_time(now)
            .begin_log_with(&mut self.file, &mut self.serializer.0)
            .map_err(|cause| cannot_write(&self.path, &cause))?;
        Ok(Log { path: &self.path, began, writer })
    }
}

impl Log<'_> {
    /// Writes one interval of what began at `begin`.
    ///
    /// # Errors
    /// In words, when it cannot be written.
    pub fn write(
        &mut self,
        tag: &str,
        begin: Instant,
        (start, length): (Duration, Duration),
        latencies: &Histogram<u64>,
    ) -> Result<(), String> {
        let start = begin.saturating_duration_since(self.began) + start;
        let tag = Tag::new(tag);
        debug_assert!(tag.is_some(), "a tag has no spaces and no commas");
        let written = self.writer.write_histogram(latencies, start, length, tag);
        written.map_err(|error| match error {
            IntervalLogWriterError::IoError(cause) => cannot_write(self.path, &cause),
            IntervalLogWriterError::SerializeError(error) => {
                cannot_write(self.path, &io::Error::other(error.to_string()))
            }
        })
    }
}

fn cannot_write(path: &Path, cause: &io::Error) -> String {
    format!(
        "cannot write the interval log '{}': {cause}\n\n\
         expected a file in an existing folder that you may write to, on a disk with room: about 1 kB an interval and case.\n\
         Make room or the folder, choose another FILE, or leave --hlog out.",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Start in milliseconds and events of each interval that is complete.
    fn collect(collector: &mut Collector) -> (Vec<(u128, u64)>, bool) {
        let mut seen = Vec::new();
        let more = collector.collect(|start, _, latencies| {
            seen.push((start.as_millis(), latencies.len()));
            Ok::<_, ()>(())
        });
        (seen, more.unwrap())
    }

    const MS: u64 = 1_000_000;

    #[test]
    fn an_interval_is_complete_when_every_publisher_is_past_it() {
        let (mut intervals, mut collector) = intervals(Duration::from_millis(10), 2);
        intervals[0].record(MS, 100, 1);
        intervals[0].record(11 * MS, 100, 1);
        assert_eq!(collect(&mut collector), (vec![], true), "the other may still be in it");
        intervals[1].record(2 * MS, 100, 1);
        intervals[1].record(35 * MS, 100, 2);
        assert_eq!(collect(&mut collector), (vec![(0, 2)], true));
        drop(intervals);
        assert_eq!(collect(&mut collector), (vec![(10, 1), (30, 2)], false));
    }

    #[test]
    fn the_last_interval_is_as_long_as_something_was_published_in_it() {
        let (mut intervals, mut collector) = intervals(Duration::from_millis(10), 2);
        intervals[0].record(MS, 100, 1);
        intervals[0].record(12 * MS, 100, 1);
        intervals[1].record(14 * MS, 100, 1);
        drop(intervals);
        let mut lengths = Vec::new();
        let write = |start: Duration, length: Duration, _: &_| {
            lengths.push((start.as_millis(), length.as_millis()));
            Ok::<_, ()>(())
        };
        assert_eq!(collector.collect(write), Ok(false));
        assert_eq!(lengths, [(0, 10), (10, 4)]);
    }

    #[test]
    fn a_publisher_never_waits_for_the_log_and_no_event_is_lost() {
        let (mut intervals, mut collector) = intervals(Duration::from_millis(1), 1);
        for event in 0..20 {
            intervals[0].record(event * MS, 100, 1); // nobody collects
        }
        drop(intervals);
        let (seen, more) = collect(&mut collector);
        assert!(!more);
        assert_eq!(seen.iter().map(|(_, events)| events).sum::<u64>(), 20, "{seen:?}");
        assert_eq!(seen.len(), IN_TURN, "{seen:?}");
    }

    #[test]
    fn intervals_are_used_again_so_that_a_long_run_holds_no_more_than_a_short_one() {
        let (mut intervals, mut collector) = intervals(Duration::from_millis(1), 1);
        for event in 0..1_000 {
            intervals[0].record(event * MS, 100, 1);
            collect(&mut collector);
        }
        assert!(collector.spare.len() <= IN_TURN && collector.pending.is_empty());
    }
}
