//! One run of `lab watch`: servers up, load on, each fault in turn, all down again.
//!
//! Owns who is started and ended when, and how long is waited for what. Not here: what is to be done (`plan.rs`), what a fault is
//! (`fault.rs`), what is made of it (`judge.rs`), how it is shown (`lines.rs`, `terminal.rs`).

use super::{
    desk::{Account, Desk},
    eyes::Eyes,
    fault,
    held::Held,
    http::{self, Inbox},
    judge::{self, Case},
    load::Load,
    memory,
    name::{FaultName, LoopName},
    plan::{Settings, Step},
    record::{Moment, Plan, Planned, Report, Row, SCHEMA},
    seen::{Log, Said},
    serve_mio::MioServer,
    serve_tokio::TokioServer,
    witness::Witness,
};
use crate::machine::Machine;
use std::{
    error::Error,
    fmt, io,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

/// The run could not be made.
#[derive(Debug)]
pub enum CannotRun {
    /// Nothing that was asked for goes with any loop that was asked for.
    NothingToDo,
    /// Something could not be started.
    Start {
        /// What.
        what: String,
        /// Why.
        cause: io::Error,
    },
    /// Whoever looked on is gone.
    NobodyLooks,
}

impl fmt::Display for CannotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingToDo => f.write_str(
                "nothing to do: spawn-blocking needs a tokio loop, block-in-place needs tokio-multi-thread, and \
                 memory is watched\nwhatever the loop. For more information, try '--help'.",
            ),
            Self::Start { what, cause } => write!(f, "cannot start {what}: {cause}"),
            Self::NobodyLooks => f.write_str("stopped before the end"),
        }
    }
}

impl Error for CannotRun {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Start { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

impl Settings {
    /// Runs it. What happens is told to `moments` as it happens.
    ///
    /// # Errors
    /// [`CannotRun`]: also when nobody receives the moments any more.
    pub fn run(&self, moments: mpsc::Sender<Moment>) -> Result<Report, CannotRun> {
        let steps = self.steps();
        if steps.is_empty() {
            return Err(CannotRun::NothingToDo);
        }
        let machine = Machine::this();
        let plan = Plan {
            machine: machine.clone(),
            max_blocking_time: self.limit,
            rows: steps.iter().map(|step| step.planned).collect(),
        };
        let stage = Stage::set(self, moments)?;
        let log = &stage.log;
        let heard = |told: bool| told.then_some(()).ok_or(CannotRun::NobodyLooks);
        heard(log.tell(Moment::Began(plan)))?;
        // What starts is over before anything is watched closely; what is reported meanwhile counts as false all the same.
        thread::sleep(self.limit * 2);

        let (warm_up, mut held) = (self.round().len(), None);
        let mut faults = Vec::new();
        for (row, step) in steps.iter().enumerate() {
            if self.soak.is_some() && row == warm_up {
                held = held_at_rest();
            }
            heard(log.tell(Moment::Provoking { row, at: log.now() }))?;
            let result = match step.planned.fault {
                FaultName::Leaks => {
                    let at_rest = held_at_rest();
                    log.tell(Moment::Provoked { row, at: log.now(), lasted: Duration::ZERO });
                    judge::leaks_row(step.planned, held, at_rest)
                }
                _ => stage.play(row, step),
            };
            heard(log.tell(Moment::Finished { row, at: log.now(), result: result.clone() }))?;
            faults.push(result);
            // Nothing is wrong now, and nothing may be reported.
            thread::sleep(self.limit / 2);
        }
        let report = Report {
            schema: SCHEMA,
            machine,
            max_blocking_ms: self.limit.as_secs_f64() * 1e3,
            faults,
            false_reports: log.false_reports(),
            partial: false,
        };
        heard(log.tell(Moment::Ended(report.clone())))?;
        Ok(report)
    }
}

/// What is held when the threads have gone that a runtime keeps for a while: 10 s for those that may block.
fn held_at_rest() -> Option<Held> {
    thread::sleep(Duration::from_secs(12));
    Held::now()
}

/// All that runs meanwhile; dropped in this order.
struct Stage {
    load: Load,
    servers: Vec<(LoopName, Server)>,
    _noting: super::eyes::Noting,
    eyes: Arc<Eyes>,
    desk: Arc<Desk>,
    log: Arc<Log>,
    limit: Duration,
}

#[derive(Debug)]
enum Server {
    Tokio(TokioServer),
    Mio(MioServer),
}

impl Server {
    const fn address(&self) -> SocketAddr {
        match self {
            Self::Tokio(server) => server.address(),
            Self::Mio(server) => server.address(),
        }
    }
}

impl Stage {
    fn set(settings: &Settings, moments: mpsc::Sender<Moment>) -> Result<Self, CannotRun> {
        let cannot = |what: &str| {
            let what = what.to_owned();
            move |cause| CannotRun::Start { what, cause }
        };
        let limit = settings.limit;
        let look = (limit / 5).clamp(Duration::from_millis(1), Duration::from_millis(50));
        let witness = Arc::new(Witness::start(look).map_err(cannot("the witness"))?);
        let log = Arc::new(Log::new(moments.clone(), witness, limit));
        let eyes = Arc::new(Eyes::open(limit).map_err(cannot("the monitor"))?);
        let noting = eyes.note_in(&log);
        let desk = Arc::new(Desk::default());
        let mut servers = Vec::new();
        for &event_loop in &settings.loops {
            let server = match event_loop {
                LoopName::Mio => MioServer::start(&eyes, &desk).map(Server::Mio),
                _ => TokioServer::start(event_loop, &eyes, &desk).map(Server::Tokio),
            };
            servers.push((event_loop, server.map_err(cannot(&format!("the {event_loop} server")))?));
        }
        let addresses = servers.iter().map(|(event_loop, server)| (*event_loop, server.address()));
        let figures = {
            let log = Arc::clone(&log);
            move |servers| {
                // Whether anybody looks is found out by the run.
                log.tell(Moment::Load { at: log.now(), servers });
            }
        };
        let load = Load::start(addresses, figures).map_err(cannot("the load"))?;
        Ok(Self { load, servers, _noting: noting, eyes, desk, log, limit })
    }

    /// One row, from its beginning until what comes of it has come.
    fn play(&self, row: usize, step: &Step) -> Row {
        let Planned { event_loop, fault, .. } = step.planned;
        self.log.open(row, event_loop, fault);
        if fault == FaultName::Memory {
            return self.ramp(row, step);
        }
        self.eyes.wrap_tasks(step.wraps);
        let (account, function) = match fault {
            FaultName::Idle => (Ok(self.idle(event_loop, step.lasts)), None),
            _ => self.provoke(step),
        };
        let not_provoked = match &account {
            Ok(account) => judge::not_provoked(fault, account, self.limit),
            Err(why) => Some(why.clone()),
        };
        let at = self.log.now();
        let lasted = account.as_ref().map_or(Duration::ZERO, |account| account.measured.lasted());
        self.log.tell(match &not_provoked {
            None => Moment::Provoked { row, at, lasted },
            Some(why) => Moment::NotProvoked { row, at, lasted, why: why.clone() },
        });
        self.settle(fault, not_provoked.is_none());
        let noted = self.log.close();
        let (planned, limit, account) = (step.planned, self.limit, account.as_ref().ok());
        let case = Case { planned, limit, account, not_provoked, function, noted: &noted };
        if fault == FaultName::ShortPolls {
            // Only now is it known.
            self.log.were_false(case.false_reports());
        }
        case.row()
    }

    /// Waits until what is to be published has been, or too long.
    fn settle(&self, fault: FaultName, provoked: bool) {
        if provoked && !fault.is_quiet() && fault != FaultName::ShortPolls {
            let over = |noted: &[super::seen::Noted]| {
                noted.iter().any(|noted| matches!(noted.said, Said::Unblocked))
            };
            self.log.wait(self.limit * 2 + Duration::from_millis(500), over);
        } else {
            thread::sleep(self.limit);
        }
    }

    /// Nobody asks anything of the loop.
    fn idle(&self, event_loop: LoopName, lasts: Duration) -> Account {
        self.load.pause(event_loop, true);
        // Those under way are answered first.
        thread::sleep(Duration::from_millis(50));
        let measured = super::clock::Measured::of(|| {
            thread::sleep(lasts * 2);
            Ok(())
        });
        self.load.pause(event_loop, false);
        Account { task: Vec::new(), measured }
    }

    /// Lays the fault ready, asks the server for it, and waits for its account.
    fn provoke(&self, step: &Step) -> (Result<Account, String>, Option<&'static str>) {
        let Planned { event_loop, fault, .. } = step.planned;
        let ready = match fault::lay(fault, step.lasts, self.limit) {
            Ok(ready) => ready,
            Err(error) => return (Err(format!("it cannot be laid ready: {error}")), None),
        };
        let (job, function, outside) = ready.into_parts();
        let (number, account) = self.desk.lay(job);
        let address =
            self.servers.iter().find(|(name, _)| *name == event_loop).map(|(_, server)| server.address());
        let patience = Duration::from_secs(10) + step.lasts * 20;
        let asked = address.ok_or_else(|| "no such server".to_owned()).and_then(|address| {
            ask(address, number, patience).map_err(|error| format!("the server does not answer: {error}"))
        });
        let account = asked.and_then(|status| match (status, account.try_recv()) {
            (200, Ok(account)) => Ok(account),
            (status, _) => Err(format!("the server answered {status}, and did not do it")),
        });
        // If nobody took it.
        drop(self.desk.take(number));
        drop(outside);
        (account, function)
    }

    fn ramp(&self, row: usize, step: &Step) -> Row {
        let ramp = memory::ramp(&self.eyes, &self.log, step.lasts);
        let (why_not, lasted) = match ramp {
            Ok(ramp) => (ramp.why_not, Some((ramp.begin, ramp.over))),
            Err(why) => (Some(why), None),
        };
        let (at, over) = (self.log.now(), lasted.map_or(Duration::ZERO, |(_, over)| over));
        self.log.tell(match &why_not {
            None => Moment::Provoked { row, at, lasted: over },
            Some(why) => Moment::NotProvoked { row, at, lasted: over, why: why.clone() },
        });
        judge::memory_row(step.planned, why_not, lasted, &self.log.close())
    }
}

/// Asks for a job, on a connection of its own, and waits until it is done.
fn ask(address: SocketAddr, number: u64, patience: Duration) -> io::Result<u16> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(&http::request("POST", &format!("/jobs/{number}")))?;
    let (mut inbox, mut buffer) = (Inbox::default(), [0; 1024]);
    loop {
        if let Some(status) = inbox.answer().map_err(io::Error::other)? {
            return Ok(status);
        }
        match stream.read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => inbox.feed(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::plan::Tasks;

    #[test]
    fn what_goes_with_no_loop_is_nothing_to_do() {
        let settings = Settings {
            limit: Duration::from_millis(100),
            loops: vec![LoopName::Mio],
            faults: vec![FaultName::BlockInPlace],
            lengths: vec![2.5],
            tasks: Tasks::Both,
            soak: Some(Duration::from_secs(1)),
            seed: 7,
        };
        let (moments, _told) = mpsc::channel();
        assert!(matches!(settings.run(moments), Err(CannotRun::NothingToDo)));
    }
}
