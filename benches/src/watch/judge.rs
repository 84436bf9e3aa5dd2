//! From a fault and what was published about it to a row: right, wrong, missed, or not provoked.
//!
//! Owns what is expected of each fault, and how long is long enough. Pure: it is told everything.

use super::{
    desk::Account,
    held::Held,
    name::{FaultName, LoopName},
    record::{Outcome, Planned, Row},
    seen::{Blocked, Kind, Noted, Said},
};
use std::time::{Duration, Instant};

/// Longer than T by so much, and it must be found.
const PROVOKED: f64 = 1.3;
/// A report that comes sooner than this share of T after the fault began is of something else, or wrong. Not 1: the turn that
/// the fault is part of began a little before it.
const SOONEST: f64 = 0.8;

/// What is to be reported, in words.
pub const fn expected(fault: FaultName) -> &'static str {
    match fault {
        FaultName::Sleep | FaultName::Mutex | FaultName::Dns | FaultName::ChildWait => "InSyscall",
        FaultName::Spin => "OnCpu",
        FaultName::Fsync => "InSyscall or Uninterruptible",
        FaultName::ShortPolls => "Congested or nothing",
        FaultName::CpuHogs => "Starved",
        FaultName::Memory => "exceeded, then under",
        FaultName::Idle | FaultName::SpawnBlocking | FaultName::BlockInPlace => "nothing",
        FaultName::Leaks => "no more than before",
    }
}

fn is_expected(fault: FaultName, verdict: Kind) -> bool {
    match fault {
        FaultName::Sleep | FaultName::Mutex | FaultName::Dns | FaultName::ChildWait => {
            verdict == Kind::InSyscall
        }
        FaultName::Spin => verdict == Kind::OnCpu,
        FaultName::Fsync => matches!(verdict, Kind::InSyscall | Kind::Uninterruptible),
        FaultName::ShortPolls => verdict == Kind::Congested,
        FaultName::CpuHogs => verdict == Kind::Starved,
        FaultName::Memory
        | FaultName::Idle
        | FaultName::SpawnBlocking
        | FaultName::BlockInPlace
        | FaultName::Leaks => false,
    }
}

/// Why a fault does not count as provoked; none if it does.
pub fn not_provoked(fault: FaultName, account: &Account, limit: Duration) -> Option<String> {
    let measured = &account.measured;
    // What speaks against short polls matters only if what was reported is not what is expected of them.
    if let Some(why) = measured.why_not.as_ref().filter(|_| fault != FaultName::ShortPolls) {
        return Some(why.clone());
    }
    let (lasted, least) = (measured.lasted(), limit.mul_f64(PROVOKED));
    if lasted < least {
        return Some(format!("it lasted {} ms; 1.3 T are {} ms", lasted.as_millis(), least.as_millis()));
    }
    // A machine with other things to do can starve what is to compute: then it is another fault.
    let waited = measured.processor.map_or(Duration::ZERO, |processor| processor.waited);
    (fault == FaultName::Spin && waited > lasted.mul_f64(0.4)).then(|| {
        format!("the machine let it wait {} of {} ms for a processor", waited.as_millis(), lasted.as_millis())
    })
}

/// What there is to judge.
#[derive(Debug)]
pub struct Case<'a> {
    /// What was planned.
    pub planned: Planned,
    /// The longest turn that is not reported.
    pub limit: Duration,
    /// What the loop says of its fault; none if it could not be done.
    pub account: Option<&'a Account>,
    /// Why it was not provoked.
    pub not_provoked: Option<String>,
    /// The function that a right stack shows.
    pub function: Option<&'a str>,
    /// What the monitor published of that loop meanwhile.
    pub noted: &'a [Noted],
}

impl Case<'_> {
    /// The row.
    pub fn row(&self) -> Row {
        let Planned { event_loop, fault, expected } = self.planned;
        let blocked: Vec<_> = self.noted.iter().filter_map(|noted| noted.blocked()).collect();
        let first = blocked.first();
        let begin = self.account.map(|account| account.measured.begin);
        let mut row = Row {
            event_loop,
            fault,
            expected: expected.to_owned(),
            seen: first.is_some(),
            after_ms: first.zip(begin).map(|((at, _), begin)| ms(*at, begin)),
            verdict: first.map(|(_, blocked)| blocked.in_words.clone()),
            task: first.and_then(|(_, blocked)| blocked.task_in_words()),
            task_right: first.and_then(|(_, blocked)| self.task_right(blocked)),
            top_frame: first.and_then(|(_, blocked)| top_frame(blocked.stack.as_deref().ok()?)),
            outcome: Outcome::Right,
            lasted_ms: self.account.map(|account| account.measured.lasted().as_secs_f64() * 1e3),
            reports: blocked.len(),
            note: String::new(),
        };
        (row.outcome, row.note) = self.outcome(&row, &blocked);
        if row.outcome == Outcome::NotProvoked {
            row.verdict = Some(Outcome::NotProvoked.as_str().to_owned());
        }
        row
    }

    fn outcome(&self, row: &Row, blocked: &[(Instant, &Blocked)]) -> (Outcome, String) {
        let fault = self.planned.fault;
        if let Some(why) = &self.not_provoked {
            return (Outcome::NotProvoked, why.clone());
        }
        if self.expects_a_report() && fault != FaultName::CpuHogs && self.was_starved(blocked) {
            // It is another fault then, and not the lab's.
            return (Outcome::NotProvoked, "the machine gave its thread no processor".to_owned());
        }
        if let Some(why) = self.doubt()
            && self.unexpected() > 0
        {
            return (Outcome::NotProvoked, why.to_owned());
        }
        if self.false_reports() > 0 {
            return (Outcome::FalseReport, format!("expected {}", self.planned.expected));
        }
        let Some((_, first)) = blocked.first() else {
            return match fault.is_quiet() || fault == FaultName::ShortPolls {
                true => (Outcome::Right, String::new()),
                false => (Outcome::Missed, "nothing was reported".to_owned()),
            };
        };
        let mut wrong = Vec::new();
        let starved_by_the_machine = first.verdict == Kind::Starved && !self.expects_a_report();
        if !is_expected(fault, first.verdict) && !starved_by_the_machine {
            wrong.push(format!("expected {}", self.planned.expected));
        }
        if row.task_right == Some(false) {
            let named = if row.task.is_some() { "another" } else { "no" };
            wrong.push(format!("{named} task was named"));
        }
        let firsts = blocked.iter().filter(|(_, blocked)| blocked.report == 1).count();
        if firsts > 1 && self.expects_a_report() {
            wrong.push(format!("reported {firsts} times as new"));
        }
        if let Some((_, early)) = blocked.iter().find(|(_, blocked)| blocked.blocking_time < self.limit) {
            wrong.push(format!("reported at {} ms, below T", early.blocking_time.as_millis()));
        }
        let soonest = self.limit.as_secs_f64() * 1e3 * SOONEST;
        if self.expects_a_report() && row.after_ms.is_some_and(|after| after < soonest) {
            wrong.push("reported too soon".to_owned());
        }
        match (&first.stack, self.function) {
            (Ok(stack), Some(function)) if !stack.iter().any(|frame| frame.contains(function)) => {
                wrong.push(format!("no {function} on the stack"));
            }
            _ => {}
        }
        if !wrong.is_empty() {
            return (Outcome::Wrong, wrong.join("; "));
        }
        let note = match &first.stack {
            _ if starved_by_the_machine => "the machine is busy".to_owned(),
            Err(why) => format!("no stack: {why}"),
            Ok(_) => String::new(),
        };
        (Outcome::Right, note)
    }

    /// Reports of a loop that nothing was wrong with. That it was starved is none, if the system itself says so.
    pub fn false_reports(&self) -> usize {
        let may_be_wrong = self.not_provoked.is_some() || self.doubt().is_some();
        if self.expects_a_report() || may_be_wrong { 0 } else { self.unexpected() }
    }

    fn unexpected(&self) -> usize {
        let is_unexpected = |noted: &&Noted| match &noted.said {
            Said::Blocked(blocked) => !noted.starved && !is_expected(self.planned.fault, blocked.verdict),
            _ => false,
        };
        self.noted.iter().filter(is_unexpected).count()
    }

    /// Why these were no short polls.
    fn doubt(&self) -> Option<&str> {
        let account = self.account.filter(|_| self.planned.fault == FaultName::ShortPolls)?;
        account.measured.why_not.as_deref()
    }

    /// It was reported as starved, and somebody else than the monitor says that it was: the witness, or the fault's own clock, by
    /// which it waited for half of what the monitor could see of it. The kernel counts a wait when it is over.
    fn was_starved(&self, blocked: &[(Instant, &Blocked)]) -> bool {
        let processor = self.account.and_then(|account| account.measured.processor);
        let waited = processor.is_some_and(|processor| processor.waited >= self.limit.mul_f64(0.4));
        let starved = |blocked: &Blocked| blocked.verdict == Kind::Starved;
        self.noted.iter().any(|noted| noted.starved)
            || (waited && blocked.iter().any(|(_, blocked)| starved(blocked)))
    }

    fn expects_a_report(&self) -> bool {
        let fault = self.planned.fault;
        !fault.is_quiet() && fault != FaultName::ShortPolls
    }

    /// None where there is no task to be named: on a loop without tasks, or of many. A report of a thread that could not be
    /// asked, because nothing reaches it or it is given no processor, need not name one.
    fn task_right(&self, blocked: &Blocked) -> Option<bool> {
        let did_it = &self.account?.task;
        match &blocked.task {
            _ if did_it.is_empty() => None,
            Some(named) => Some(did_it.contains(named)),
            None if blocked.stack.is_err() => None,
            None => Some(false),
        }
    }
}

/// For the memory, which has no loop and no task.
pub fn memory_row(
    planned: Planned,
    why_not: Option<String>,
    lasted: Option<(Instant, Duration)>,
    noted: &[Noted],
) -> Row {
    let place = |said: fn(&Said) -> bool| noted.iter().position(|noted| said(&noted.said));
    let over = place(|said| matches!(said, Said::MemoryExceeded));
    let under = place(|said| matches!(said, Said::MemoryUnder));
    let (outcome, note) = match (&why_not, over, under) {
        (Some(why), ..) => (Outcome::NotProvoked, why.clone()),
        (None, None, _) => (Outcome::Missed, "nothing was reported".to_owned()),
        (None, Some(_), None) => (Outcome::Wrong, "that it is back under was not reported".to_owned()),
        (None, Some(over), Some(under)) if under < over => {
            (Outcome::Wrong, "under came before exceeded".to_owned())
        }
        (None, Some(_), Some(_)) => (Outcome::Right, String::new()),
    };
    let verdict = match (over, under) {
        _ if outcome == Outcome::NotProvoked => Some(outcome.as_str()),
        (Some(_), Some(_)) => Some("exceeded, under"),
        (Some(_), None) => Some("exceeded"),
        (None, Some(_)) => Some("under"),
        (None, None) => None,
    };
    Row {
        event_loop: LoopName::Process,
        fault: planned.fault,
        expected: planned.expected.to_owned(),
        seen: over.is_some(),
        after_ms: over.zip(lasted).map(|(over, (begin, _))| ms(noted[over].at, begin)),
        verdict: verdict.map(str::to_owned),
        task: None,
        task_right: None,
        top_frame: None,
        outcome,
        lasted_ms: lasted.map(|(_, lasted)| lasted.as_secs_f64() * 1e3),
        reports: noted.len(),
        note,
    }
}

/// Whether more is held at the end than after the first faults.
pub fn leaks_row(planned: Planned, before: Option<Held>, after: Option<Held>) -> Row {
    let (outcome, note) = match before.zip(after) {
        None => (Outcome::NotProvoked, "the system does not say what the process holds".to_owned()),
        Some((before, after)) => match after.more_than(before).as_slice() {
            [] => (Outcome::Right, format!("from {before} to {after}")),
            more => (Outcome::Wrong, format!("more {}: from {before} to {after}", more.join(" and "))),
        },
    };
    Row {
        event_loop: planned.event_loop,
        fault: planned.fault,
        expected: planned.expected.to_owned(),
        seen: outcome == Outcome::Wrong,
        after_ms: None,
        verdict: (outcome == Outcome::NotProvoked).then(|| outcome.as_str().to_owned()),
        task: None,
        task_right: None,
        top_frame: None,
        outcome,
        lasted_ms: None,
        reports: 0,
        note,
    }
}

impl Noted {
    fn blocked(&self) -> Option<(Instant, &Blocked)> {
        match &self.said {
            Said::Blocked(blocked) => Some((self.at, blocked)),
            _ => None,
        }
    }
}

impl Blocked {
    fn task_in_words(&self) -> Option<String> {
        match (&self.task, &self.task_name) {
            (Some(number), Some(name)) => Some(format!("{number} {name}")),
            (Some(number), None) => Some(number.clone()),
            (None, name) => name.clone(),
        }
    }
}

fn ms(at: Instant, begin: Instant) -> f64 {
    at.saturating_duration_since(begin).as_secs_f64() * 1e3
}

/// The innermost function that is neither the system's nor a library's on the way to it; if there is none, the innermost.
fn top_frame(stack: &[String]) -> Option<String> {
    stack.iter().find(|frame| is_own(frame)).or_else(|| stack.first()).cloned()
}

fn is_own(frame: &str) -> bool {
    // `<Type as Trait>::function` is the type's, and `<impl Trait for Type>` is in a module.
    let name = frame.trim_start_matches(['<', '&', '*', '[', '(']);
    let name = name.split(" as ").next().unwrap_or(name);
    let theirs = ["std::", "core::", "alloc::", "tokio::", "mio::", "nix::"];
    // Names of C functions, and of the language's own types, have no path.
    name.contains("::") && !theirs.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::{
        clock::{Measured, Processor},
        seen::tests::blocked,
    };

    const LIMIT: Duration = Duration::from_millis(100);

    fn account(lasted: u64) -> Account {
        let begin = Instant::now();
        let end = begin + Duration::from_millis(lasted);
        Account {
            task: vec!["7".to_owned()],
            measured: Measured { begin, end, processor: None, why_not: None },
        }
    }

    fn row_of(fault: FaultName, lasted: u64, verdicts: &[Kind], change: impl Fn(&mut Blocked)) -> Row {
        let account = account(lasted);
        let noted: Vec<_> = verdicts
            .iter()
            .map(|&verdict| {
                let mut noted = blocked(LoopName::Mio, verdict);
                noted.at = account.measured.begin + Duration::from_millis(110);
                if let Said::Blocked(blocked) = &mut noted.said {
                    blocked.stack = Ok(vec!["__poll".to_owned(), "lab::sleep_in_a_task".to_owned()]);
                    change(blocked);
                }
                noted
            })
            .collect();
        let planned = Planned { event_loop: LoopName::Mio, fault, expected: expected(fault) };
        let not_provoked = not_provoked(fault, &account, LIMIT);
        let function = Some("sleep_in_a_task");
        Case { planned, limit: LIMIT, account: Some(&account), not_provoked, function, noted: &noted }.row()
    }

    #[test]
    fn a_fault_that_was_reported_as_expected_is_right() {
        let row = row_of(FaultName::Sleep, 250, &[Kind::InSyscall], |_| {});
        assert_eq!((row.outcome, row.seen, row.task_right), (Outcome::Right, true, Some(true)), "{row:?}");
        assert_eq!(row.top_frame.as_deref(), Some("lab::sleep_in_a_task"));
        assert_eq!((row.after_ms, row.lasted_ms, row.reports), (Some(110.0), Some(250.0), 1));
    }

    #[test]
    fn what_is_not_right_is_said() {
        let note = |verdicts: &[Kind], change: fn(&mut Blocked)| {
            let row = row_of(FaultName::Sleep, 250, verdicts, change);
            assert_eq!(row.outcome, Outcome::Wrong, "{row:?}");
            row.note
        };
        assert_eq!(note(&[Kind::OnCpu], |_| {}), "expected InSyscall");
        assert_eq!(
            note(&[Kind::InSyscall], |blocked| blocked.task = Some("8".to_owned())),
            "another task was named"
        );
        assert_eq!(note(&[Kind::InSyscall], |blocked| blocked.task = None), "no task was named");
        assert_eq!(note(&[Kind::InSyscall; 2], |_| {}), "reported 2 times as new");
        assert_eq!(
            note(&[Kind::InSyscall], |blocked| blocked.blocking_time = LIMIT / 2),
            "reported at 50 ms, below T"
        );
        assert_eq!(
            note(&[Kind::InSyscall], |blocked| blocked.stack = Ok(Vec::new())),
            "no sleep_in_a_task on the stack"
        );
    }

    #[test]
    fn a_miss_counts_only_if_it_was_provoked() {
        assert_eq!(row_of(FaultName::Sleep, 131, &[], |_| {}).outcome, Outcome::Missed);
        let row = row_of(FaultName::Sleep, 129, &[], |_| {});
        assert_eq!((row.outcome, row.verdict.as_deref()), (Outcome::NotProvoked, Some("not_provoked")));
        assert!(row.note.contains("129 ms"), "{row:?}");
    }

    #[test]
    fn saturation_may_be_reported_as_that_or_not_at_all() {
        assert_eq!(row_of(FaultName::ShortPolls, 500, &[], |_| {}).outcome, Outcome::Right);
        let congested = row_of(FaultName::ShortPolls, 500, &[Kind::Congested], |blocked| {
            blocked.stack = Err("none".to_owned())
        });
        assert_eq!(congested.outcome, Outcome::Right, "{congested:?}");
        let blamed = row_of(FaultName::ShortPolls, 500, &[Kind::Congested, Kind::OnCpu], |_| {});
        assert_eq!(blamed.outcome, Outcome::FalseReport, "no task is to blame");
        assert_eq!(
            row_of(FaultName::SpawnBlocking, 500, &[Kind::InSyscall], |_| {}).outcome,
            Outcome::FalseReport
        );
        let doubtful = |verdict| {
            let mut account = account(500);
            account.measured.why_not = Some("a short poll took 35 ms".to_owned());
            let (fault, at) = (FaultName::ShortPolls, account.measured.begin + LIMIT);
            let planned = Planned { event_loop: LoopName::Mio, fault, expected: expected(fault) };
            let noted = [Noted { at, ..blocked(LoopName::Mio, verdict) }];
            let not_provoked = not_provoked(fault, &account, LIMIT);
            let (account, function) = (Some(&account), None);
            let case = Case { planned, limit: LIMIT, account, not_provoked, function, noted: &noted };
            (case.row().outcome, case.false_reports())
        };
        assert_eq!(doubtful(Kind::Congested), (Outcome::Right, 0));
        assert_eq!(doubtful(Kind::OnCpu), (Outcome::NotProvoked, 0), "it may have been the task's doing");
        let short = row_of(FaultName::ShortPolls, 50, &[Kind::OnCpu], |_| {});
        assert_eq!(short.outcome, Outcome::NotProvoked);
    }

    #[test]
    fn a_thread_that_nothing_reaches_need_not_name_its_task() {
        let row = row_of(FaultName::Fsync, 250, &[Kind::Uninterruptible], |blocked| {
            (blocked.task, blocked.stack) = (None, Err("it did not answer".to_owned()));
        });
        assert_eq!((row.outcome, row.task_right), (Outcome::Right, None), "{row:?}");
        assert!(row.note.contains("did not answer"));
    }

    #[test]
    fn a_loop_that_the_machine_starved_had_another_fault() {
        let account = account(250);
        let at = account.measured.begin + LIMIT;
        let noted = [Noted { at, starved: true, ..blocked(LoopName::Mio, Kind::Starved) }];
        let outcome = |fault| {
            let planned = Planned { event_loop: LoopName::Mio, fault, expected: expected(fault) };
            let (account, function) = (Some(&account), None);
            let (limit, not_provoked) = (LIMIT, None);
            Case { planned, limit, account, not_provoked, function, noted: &noted }.row().outcome
        };
        assert_eq!(outcome(FaultName::Fsync), Outcome::NotProvoked);
        assert_eq!(outcome(FaultName::CpuHogs), Outcome::Right);
        assert_eq!(outcome(FaultName::ShortPolls), Outcome::Right);
    }

    #[test]
    fn the_faults_own_clock_knows_of_a_wait_that_the_witness_could_not_see_yet() {
        let of = |waited| {
            let mut account = account(250);
            let waited = Duration::from_millis(waited);
            account.measured.processor = Some(Processor { had: Duration::ZERO, waited });
            let at = account.measured.begin + LIMIT;
            let noted = [Noted { at, ..blocked(LoopName::Mio, Kind::Starved) }];
            let fault = FaultName::Spin;
            let planned = Planned { event_loop: LoopName::Mio, fault, expected: expected(fault) };
            let (account, function, not_provoked) = (Some(&account), None, None);
            Case { planned, limit: LIMIT, account, not_provoked, function, noted: &noted }.row().outcome
        };
        assert_eq!((of(40), of(39)), (Outcome::NotProvoked, Outcome::Wrong));
    }

    #[test]
    fn memory_goes_over_and_then_under() {
        let planned = Planned {
            event_loop: LoopName::Process,
            fault: FaultName::Memory,
            expected: expected(FaultName::Memory),
        };
        let noted = |said| Noted { said, ..blocked(LoopName::Process, Kind::Other) };
        let row = |said: &[Said]| {
            memory_row(planned, None, None, &said.iter().cloned().map(noted).collect::<Vec<_>>())
        };
        assert_eq!(row(&[Said::MemoryExceeded, Said::MemoryUnder]).outcome, Outcome::Right);
        assert_eq!(row(&[Said::MemoryExceeded]).outcome, Outcome::Wrong);
        assert_eq!(row(&[Said::MemoryUnder, Said::MemoryExceeded]).outcome, Outcome::Wrong);
        assert_eq!(row(&[]).outcome, Outcome::Missed);
        assert_eq!(
            memory_row(planned, Some("no figure".to_owned()), None, &[]).outcome,
            Outcome::NotProvoked
        );
    }

    #[test]
    fn the_top_frame_is_the_programs_own() {
        let stack = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let names = stack(&["clock_nanosleep", "std::thread::sleep", "app::handler", "app::main"]);
        assert_eq!(top_frame(&names).as_deref(), Some("app::handler"));
        assert_eq!(top_frame(&stack(&["poll", "start"])).as_deref(), Some("poll"));
        assert_eq!(top_frame(&[]), None);
        for theirs in [
            "<u64 as core::iter::range::Step>::forward",
            "core::iter::<impl Iterator for app::A>::next",
            "poll",
        ] {
            assert!(!is_own(theirs), "{theirs}");
        }
        for own in
            ["app::main::{{closure}}", "<app::Rows as core::iter::Iterator>::next", "<app::Guard>::drop"]
        {
            assert!(is_own(own), "{own}");
        }
    }
}
