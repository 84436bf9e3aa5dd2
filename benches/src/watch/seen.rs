//! What the monitor published, as it came: each event put down to the row that was on.
//!
//! Owns the log that the monitor's thread writes and the run reads, and what counts as a false report.
//! Not here: what an event of the monitor's looks like (`eyes.rs`), whether a row is right (`judge.rs`).

use super::{
    name::{FaultName, LoopName},
    record::Moment,
    witness::Witness,
};
use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, mpsc},
    time::{Duration, Instant},
};

/// One event of the monitor.
#[derive(Clone, Debug)]
pub struct Noted {
    /// When it was published.
    pub at: Instant,
    /// The loop it is about; the process for memory.
    pub event_loop: LoopName,
    /// What it says.
    pub said: Said,
    /// The system itself says that the loop's threads waited for a processor.
    pub starved: bool,
}

/// What an event says.
#[derive(Clone, Debug)]
pub enum Said {
    /// A loop is blocked.
    Blocked(Blocked),
    /// It turns again.
    Unblocked,
    /// Memory is over the limit.
    MemoryExceeded,
    /// Memory is back under it.
    MemoryUnder,
}

/// A report of a blocked loop.
#[derive(Clone, Debug)]
pub struct Blocked {
    /// 1 for the first of a block.
    pub report: u32,
    /// How long, as measured.
    pub blocking_time: Duration,
    /// The task's number.
    pub task: Option<String>,
    /// Its name.
    pub task_name: Option<String>,
    /// Which verdict.
    pub verdict: Kind,
    /// The verdict in full: `InSyscall(futex)`.
    pub in_words: String,
    /// The functions on the stack, innermost first; or why there is none.
    pub stack: Result<Vec<String>, String>,
}

/// Verdicts, without what they carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It computes.
    OnCpu,
    /// It sleeps in a system call.
    InSyscall,
    /// The same, and no signal reaches it.
    Uninterruptible,
    /// Many tasks, none of them at fault.
    Congested,
    /// It is not given a processor.
    Starved,
    /// Any other.
    Other,
}

/// The events so far, and what is on.
#[derive(Debug)]
pub struct Log {
    begin: Instant,
    moments: mpsc::Sender<Moment>,
    witness: Arc<Witness>,
    limit: Duration,
    book: Mutex<Book>,
    written: Condvar,
}

#[derive(Debug, Default)]
struct Book {
    on: Option<(usize, LoopName, FaultName)>,
    noted: Vec<Noted>,
    false_reports: usize,
}

impl Log {
    /// An empty one; `limit` is the longest turn that is not reported.
    pub fn new(moments: mpsc::Sender<Moment>, witness: Arc<Witness>, limit: Duration) -> Self {
        Self {
            begin: Instant::now(),
            moments,
            witness,
            limit,
            book: Mutex::default(),
            written: Condvar::new(),
        }
    }

    /// From the beginning.
    pub fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    /// Tells whoever shows it. Gives whether anybody is there.
    pub fn tell(&self, moment: Moment) -> bool {
        self.moments.send(moment).is_ok()
    }

    /// This row is on.
    pub fn open(&self, row: usize, event_loop: LoopName, fault: FaultName) {
        let mut book = self.book();
        book.on = Some((row, event_loop, fault));
        book.noted.clear();
    }

    /// It is over. Gives what came of its own loop.
    pub fn close(&self) -> Vec<Noted> {
        let mut book = self.book();
        book.on = None;
        std::mem::take(&mut book.noted)
    }

    /// Waits until the row's events suffice, or the time is up.
    pub fn wait(&self, patience: Duration, suffice: impl Fn(&[Noted]) -> bool) {
        let until = |book: &mut Book| !suffice(&book.noted);
        drop(self.written.wait_timeout_while(self.book(), patience, until));
    }

    /// Reports that came while nothing was wrong.
    pub fn false_reports(&self) -> usize {
        self.book().false_reports
    }

    /// So many that were noted turned out to be false.
    pub fn were_false(&self, reports: usize) {
        self.book().false_reports += reports;
    }

    /// An event, on the monitor's thread.
    pub fn note(&self, at: Instant, event_loop: LoopName, said: Said, title: String, lines: Vec<String>) {
        // Asked first: the book is not held meanwhile.
        let starved = match &said {
            Said::Blocked(blocked) if blocked.verdict == Kind::Starved => {
                self.witness.waited(event_loop, blocked.blocking_time + self.limit) >= self.limit / 2
            }
            _ => false,
        };
        let noted = Noted { at, event_loop, said, starved };
        let mut book = self.book();
        let is_false = is_false(&noted, book.on.map(|(_, event_loop, fault)| (event_loop, fault)));
        book.false_reports += usize::from(is_false);
        let row = book.on.filter(|on| on.1 == noted.event_loop).map(|on| on.0);
        self.tell(Moment::Event { at: self.now(), row: book.on.map(|on| on.0), is_false, title, lines });
        if row.is_some() {
            book.noted.push(noted);
        }
        drop(book);
        self.written.notify_all();
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("nothing panics under it")
    }
}

/// Whether an event may not have come while that was on. That a loop was starved is no false report if the system itself says
/// so, whoever took the processor.
fn is_false(noted: &Noted, on: Option<(LoopName, FaultName)>) -> bool {
    let of_memory = on.is_some_and(|(_, fault)| fault == FaultName::Memory);
    match &noted.said {
        Said::Unblocked => false, // its reports have been counted
        Said::MemoryExceeded | Said::MemoryUnder => !of_memory,
        Said::Blocked(_) if noted.starved => false,
        Said::Blocked(_) => match on {
            Some((event_loop, fault)) if event_loop == noted.event_loop => match fault {
                // That depends on how short the polls were, which is known when they are over.
                FaultName::ShortPolls => false,
                fault => fault.is_quiet(),
            },
            _ => true,
        },
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn blocked(event_loop: LoopName, verdict: Kind) -> Noted {
        let blocked = Blocked {
            report: 1,
            blocking_time: Duration::from_millis(105),
            task: Some("7".to_owned()),
            task_name: None,
            verdict,
            in_words: format!("{verdict:?}"),
            stack: Ok(Vec::new()),
        };
        Noted { at: Instant::now(), event_loop, said: Said::Blocked(blocked), starved: false }
    }

    #[test]
    fn a_report_is_false_when_nothing_is_wrong_with_its_loop() {
        use FaultName::{BlockInPlace, CpuHogs, Idle, ShortPolls, Sleep, SpawnBlocking};
        use LoopName::{Mio, TokioMultiThread as Multi};
        let of = |verdict, on| is_false(&blocked(Multi, verdict), on);
        assert!(of(Kind::InSyscall, None));
        assert!(!of(Kind::InSyscall, Some((Multi, Sleep))));
        assert!(of(Kind::InSyscall, Some((Mio, Sleep))), "another loop's");
        for quiet in [Idle, SpawnBlocking, BlockInPlace] {
            assert!(of(Kind::InSyscall, Some((Multi, quiet))), "{quiet}");
        }
        assert!(!of(Kind::OnCpu, Some((Multi, ShortPolls))), "not known yet");
        assert!(!of(Kind::Starved, Some((Multi, CpuHogs))));
        assert!(of(Kind::Starved, Some((Mio, CpuHogs))), "unless the system says so");
        assert!(!is_false(&Noted { starved: true, ..blocked(Multi, Kind::Starved) }, None));
    }

    #[test]
    fn memory_is_news_only_while_it_is_made_to_grow() {
        let noted = Noted { said: Said::MemoryExceeded, ..blocked(LoopName::Process, Kind::Other) };
        assert!(is_false(&noted, None));
        assert!(is_false(&noted, Some((LoopName::Mio, FaultName::Sleep))));
        assert!(!is_false(&noted, Some((LoopName::Process, FaultName::Memory))));
    }

    #[test]
    fn a_row_gets_the_events_of_its_own_loop_and_the_view_gets_all() {
        let (moments, told) = mpsc::channel();
        let witness = Arc::new(Witness::start(Duration::from_secs(60)).unwrap());
        let log = Log::new(moments, witness, Duration::from_millis(100));
        let note = |of, title: &str| {
            log.note(Instant::now(), of, blocked(of, Kind::OnCpu).said, title.to_owned(), Vec::new());
        };
        note(LoopName::Mio, "early");
        log.open(3, LoopName::Mio, FaultName::Spin);
        note(LoopName::Mio, "its own");
        note(LoopName::TokioMultiThread, "another's");
        log.wait(Duration::from_secs(60), |noted| noted.len() == 1);
        assert_eq!(log.close().len(), 1);
        assert_eq!(log.false_reports(), 2);
        log.open(4, LoopName::Mio, FaultName::Spin);
        assert_eq!(log.false_reports(), 2, "they stay false");
        assert!(log.close().is_empty());
        let told: Vec<_> = told.try_iter().collect();
        let short = told.iter().map(|moment| match moment {
            Moment::Event { row, is_false, title, .. } => (title.as_str(), *row, *is_false),
            other => panic!("{other:?}"),
        });
        assert_eq!(
            short.collect::<Vec<_>>(),
            [("early", None, true), ("its own", Some(3), false), ("another's", Some(3), true)]
        );
        drop(told);
    }
}
