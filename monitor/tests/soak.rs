//! A soak: three loops, faults at random; at the end nothing was missed, nothing invented, and nothing kept.
//!
//! `SIGNALPOST_SOAK_SECONDS` says for how long (5), `SIGNALPOST_SOAK_SEED` with which faults. What a loop really did is told by clocks
//! that it reads itself, around each deed. What the monitor may be excused from by the machine is told by the kernel: how long its thread
//! was ready to run and not given a CPU.
#![cfg(all(target_os = "linux", feature = "tokio"))]

use signalpost::Bus;
use signalpost::monitor::{
    EventLoopBlocked, EventLoopUnblocked, Hub, MemorySource, Monitor, MonitorRef, ProcessMemory, StackTrace,
    TokioHooks, Verdict, expect_blocking, monitored_spawn,
};
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt::Write;
use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

const MS: Duration = Duration::from_millis(1);
const LIMIT: Duration = Duration::from_millis(100);
/// From here on a block has to be reported.
const SURE: Duration = LIMIT.saturating_mul(3).checked_div(2).unwrap();
/// A monitor that waited for a CPU for longer than this during a block is excused.
const EXCUSED: Duration = Duration::from_millis(10);
const HANG: Duration = Duration::from_secs(60);

/// What a loop does in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    // Where it takes too long, it is a block.
    Sleep,
    Spin,
    Lock,
    Receive,
    Child,
    // Never one.
    Expected,
    OffLoop,
    InPlace,
}

impl Deed {
    const BLOCKS: [Self; 5] = [Self::Sleep, Self::Spin, Self::Lock, Self::Receive, Self::Child];

    fn is_block(self) -> bool {
        Self::BLOCKS.contains(&self)
    }

    /// On the thread of the loop.
    fn act(self, time: Duration) {
        let begun = Instant::now();
        match self {
            Self::Spin => {
                while begun.elapsed() < time {
                    std::hint::spin_loop();
                }
            }
            Self::Lock => {
                let lock = Arc::new(Mutex::new(()));
                let (theirs, (locked, is_locked)) = (lock.clone(), mpsc::channel());
                let holder = thread::spawn(move || {
                    let _held = theirs.lock();
                    locked.send(()).unwrap();
                    thread::sleep(time);
                });
                is_locked.recv().unwrap();
                drop(lock.lock());
                holder.join().unwrap();
            }
            Self::Receive => {
                let (_keep, receive) = mpsc::channel::<()>();
                let _ = receive.recv_timeout(time);
            }
            Self::Child => {
                let status = Command::new("sleep").arg(time.as_secs_f64().to_string()).status();
                assert!(status.unwrap().success());
            }
            Self::Expected => {
                let _known = expect_blocking();
                thread::sleep(time);
            }
            Self::Sleep | Self::OffLoop => thread::sleep(time),
            Self::InPlace => tokio::task::block_in_place(|| thread::sleep(time)),
        }
    }

    /// Whether a report of it may say so. A thread may always be short of a CPU.
    fn fits(self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Starved => true,
            Verdict::OnCpu => self == Self::Spin,
            Verdict::InSyscall(_) => self != Self::Spin,
            Verdict::Uninterruptible => self == Self::Child,
            _ => false,
        }
    }
}

/// A deed done.
#[derive(Clone, Copy, Debug)]
struct Done {
    deed: Deed,
    /// The loop was at rest then, and again then.
    rested: [Instant; 2],
    /// It did nothing else from when to when.
    busy: [Instant; 2],
    /// How long the monitor waited for a CPU until the loop had rested again.
    monitor_waited: Duration,
}

impl Done {
    fn at_least(&self) -> Duration {
        self.busy[1] - self.busy[0]
    }

    fn at_most(&self) -> Duration {
        self.rested[1] - self.rested[0]
    }
}

/// What the monitor said, and when.
#[derive(Clone, Copy, Debug)]
enum Said {
    Blocked {
        at: Instant,
        worker: Option<usize>,
        time: Duration,
        report: u32,
        verdict: Verdict,
        dropped: u64,
    },
    Over {
        worker: Option<usize>,
        total: Duration,
        error: Duration,
        reports: u32,
    },
}

/// A generator of numbers: xorshift.
#[derive(Clone, Debug)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn time(&mut self, from: Duration, to: Duration) -> Duration {
        from + MS * u32::try_from(self.roll((to - from).as_millis() as u64)).unwrap()
    }

    /// Half of the time something that can block, else something short, or long and harmless.
    fn deed(&mut self, harmless: &[Deed]) -> (Deed, Duration) {
        let block = Deed::BLOCKS[self.roll(Deed::BLOCKS.len() as u64) as usize];
        match self.roll(10) {
            0..5 => (block, self.time(LIMIT / 5, LIMIT * 4)),
            5..8 => (block, self.time(MS, LIMIT * 2 / 5)),
            _ => (harmless[self.roll(harmless.len() as u64) as usize], self.time(LIMIT, LIMIT * 3)),
        }
    }

    fn rest(&mut self) -> Duration {
        self.time(20 * MS, 80 * MS)
    }
}

/// What all three loops share.
#[derive(Clone)]
struct Soak {
    monitor: MonitorRef,
    /// Of the monitor's thread.
    schedstat: Arc<str>,
    until: Instant,
}

impl Soak {
    fn monitor_waited(&self) -> Duration {
        let text = fs::read_to_string(&*self.schedstat).unwrap();
        Duration::from_nanos(text.split(' ').nth(1).unwrap().parse().unwrap())
    }

    /// A loop written by hand.
    fn by_hand(&self, dice: &mut Dice) -> (u64, (String, Vec<Done>)) {
        let mut turn = self.monitor.watch_loop("by hand").unwrap();
        let mut done = Vec::new();
        while Instant::now() < self.until {
            let (deed, time) = dice.deed(&[Deed::Expected]);
            let (rested, waited) = (Instant::now(), self.monitor_waited());
            turn.busy();
            let busy = Instant::now();
            deed.act(time);
            let busy = [busy, Instant::now()];
            turn.idle();
            let rested = [rested, Instant::now()];
            thread::sleep(dice.rest());
            let monitor_waited = self.monitor_waited() - waited;
            done.push(Done { deed, rested, busy, monitor_waited });
        }
        self.settle();
        (turn.event_loop().id(), ("by hand".to_owned(), done))
    }

    /// A task of a runtime that is watched.
    async fn on_tokio(&self, dice: &mut Dice, harmless: &[Deed]) -> Vec<Done> {
        let mut done = Vec::new();
        tokio::time::sleep(dice.rest()).await;
        while Instant::now() < self.until {
            let (deed, time) = dice.deed(harmless);
            let waited = self.monitor_waited();
            let begun = Instant::now();
            tokio::time::sleep(dice.rest()).await;
            let work = move || {
                let begun = Instant::now();
                deed.act(time);
                [begun, Instant::now()]
            };
            let busy = match dice.roll(3) {
                _ if deed == Deed::OffLoop => tokio::task::spawn_blocking(work).await.unwrap(),
                0 => work(), // in this very task
                1 => tokio::spawn(async move { work() }).await.unwrap(),
                _ => monitored_spawn(async move { work() }).await.unwrap(),
            };
            tokio::time::sleep(dice.rest()).await;
            let monitor_waited = self.monitor_waited() - waited;
            done.push(Done { deed, rested: [begun, Instant::now()], busy, monitor_waited });
        }
        done
    }

    /// Waits until the monitor has said all that there is to say: twice round.
    fn settle(&self) {
        for _ in 0..2 {
            thread::sleep(LIMIT);
            let (called, is_called) = mpsc::channel();
            let call = move |_: &Hub| called.send(()).unwrap_or_default();
            let id = self.monitor.add_monitoring_function(call, HANG).unwrap();
            is_called.recv_timeout(HANG).unwrap();
            self.monitor.remove(id);
        }
    }
}

/// Three loops for as long, each by itself: the name of each and what it did, by the loop's number.
fn run(soak: &Soak, dice: &mut Dice) -> BTreeMap<u64, (String, Vec<Done>)> {
    let mut draw = || Dice(dice.roll(u64::MAX) | 1);
    let (mut one, mut two, mut three) = (draw(), draw(), draw());
    let drive = |mut builder: tokio::runtime::Builder, name: &str, dice: &mut Dice, harmless: &[Deed]| {
        let hooks = TokioHooks::new();
        hooks.install(&mut builder);
        let runtime = builder.enable_time().max_blocking_threads(4).build().unwrap();
        let hub = soak.monitor.watch_tokio(name, runtime.handle(), &hooks).unwrap();
        let (driver, mut theirs, harmless) = (soak.clone(), dice.clone(), harmless.to_vec());
        let driver = runtime.spawn(async move { driver.on_tokio(&mut theirs, &harmless).await });
        let done = runtime.block_on(driver).unwrap();
        // A current-thread runtime that nobody drives is left out of account now: it has no tasks.
        soak.settle();
        assert!(hub.unwatch());
        (hub.id(), (name.to_owned(), done))
    };
    thread::scope(|scope| {
        let by_hand = scope.spawn(|| soak.by_hand(&mut one));
        let single = scope.spawn(|| {
            let harmless = [Deed::Expected, Deed::OffLoop];
            drive(tokio::runtime::Builder::new_current_thread(), "single", &mut two, &harmless)
        });
        let multi = scope.spawn(|| {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(2);
            drive(builder, "multi", &mut three, &[Deed::Expected, Deed::OffLoop, Deed::InPlace])
        });
        [by_hand, single, multi].map(|handle| handle.join().unwrap()).into_iter().collect()
    })
}

/// How often what happened.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    deeds: usize,
    blocks: usize,
    excused: usize,
    reported: usize,
    starved: usize,
}

/// Holds what was said of a loop against what it did.
fn judge(done: &[Done], said: &[Said], tally: &mut Tally) -> Result<(), String> {
    // By worker: the deed that it is said to be blocked in, none if it is but starved; and the reports so far.
    let mut blocked: BTreeMap<Option<usize>, (Option<usize>, Vec<u32>)> = BTreeMap::new();
    let mut reported = BTreeSet::new();
    for said in said {
        match *said {
            Said::Blocked { at, worker, time, report, verdict, dropped } => {
                if time < LIMIT * (1 << (report - 1)) || dropped > 0 {
                    return Err(format!("too early, or too many: {said:?}"));
                }
                // It has run since then at the latest, so it is the last deed begun before that, and long enough.
                let of = |done: &Done| done.rested[0] <= at - time && done.at_most() >= time;
                let Some(deed) = done.iter().rposition(of) else {
                    return Err(format!("there was no block: {said:?}"));
                };
                let is_block = done[deed].deed.is_block() && done[deed].at_least() >= LIMIT;
                if is_block && !done[deed].deed.fits(verdict) || !is_block && verdict != Verdict::Starved {
                    return Err(format!("{said:?}: but {:?}", &done[deed.saturating_sub(2)..=deed]));
                }
                tally.starved += usize::from(!is_block);
                let (of, reports) = blocked.entry(worker).or_insert((None, Vec::new()));
                *of = of.or(is_block.then_some(deed));
                if reports.last().is_some_and(|last| *last >= report) {
                    return Err(format!("reported as {reports:?} already: {said:?}"));
                }
                reports.push(report);
            }
            Said::Over { worker, total, error, reports } => {
                let Some((deed, so_far)) = blocked.remove(&worker) else {
                    return Err(format!("it was not blocked: {said:?}"));
                };
                let Some(deed) = deed else { continue };
                let (least, most) = (done[deed].at_least(), done[deed].at_most());
                if total > most || total + error < least || (reports as usize) < so_far.len() {
                    return Err(format!("{said:?}: but {:?}, reported as {so_far:?}", done[deed]));
                }
                if !reported.insert(deed) {
                    return Err(format!("over for the second time: {said:?}, {:?}", done[deed]));
                }
            }
        }
    }
    if let Some((worker, (_, reports))) = blocked.first_key_value() {
        return Err(format!("never over: worker {worker:?}, reported as {reports:?}"));
    }
    for (number, done) in done.iter().enumerate() {
        let sure = done.deed.is_block() && done.at_least() >= SURE;
        let (excused, reported) = (done.monitor_waited > EXCUSED, reported.contains(&number));
        tally.deeds += 1;
        tally.blocks += usize::from(sure);
        tally.excused += usize::from(sure && excused);
        tally.reported += usize::from(sure && reported);
        if sure && !excused && !reported {
            return Err(format!("not reported: {done:?}"));
        }
    }
    Ok(())
}

fn count(folder: &str) -> usize {
    fs::read_dir(folder).unwrap().count()
}

/// Threads, open files, bytes of resident memory.
fn kept() -> [u64; 3] {
    let rss = ProcessMemory::new().unwrap().read().unwrap().rss;
    [count("/proc/self/task") as u64, count("/proc/self/fd") as u64, rss]
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text}")))
}

#[test]
fn faults_at_random_are_all_seen_and_nothing_else_is_and_nothing_grows() {
    let seconds = number("SIGNALPOST_SOAK_SECONDS", 5);
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let seed = number("SIGNALPOST_SOAK_SEED", now);
    println!("SIGNALPOST_SOAK_SECONDS={seconds} SIGNALPOST_SOAK_SEED={seed}");
    let mut dice = Dice(seed | 1);

    let bus = Arc::new(Bus::new());
    let said: Arc<Mutex<BTreeMap<u64, Vec<Said>>>> = Arc::default();
    let (stacks, all_stacks) = mpsc::sync_channel::<Option<StackTrace>>(1);
    let (log, name_one) = (said.clone(), stacks.clone());
    let _blocked = bus.topic::<EventLoopBlocked>().subscribe(move |event| {
        let (at, time) = (Instant::now(), event.blocking_time);
        let EventLoopBlocked { worker, report, verdict, dropped, .. } = *event;
        let blocked = Said::Blocked { at, worker, time, report, verdict, dropped };
        log.lock().unwrap().entry(event.hub.id()).or_default().push(blocked);
        if let Ok(stack) = &event.stack {
            let _ = name_one.try_send(Some(stack.clone())); // names take too long to be looked up here
        }
    });
    let log = said.clone();
    let _over = bus.topic::<EventLoopUnblocked>().subscribe(move |event| {
        let EventLoopUnblocked { worker, total, error_bound: error, reports, .. } = *event;
        let over = Said::Over { worker, total, error, reports };
        log.lock().unwrap().entry(event.hub.id()).or_default().push(over);
    });
    let naming = thread::spawn(move || {
        let mut text = String::new();
        while let Ok(Some(stack)) = all_stacks.recv() {
            text.clear();
            write!(text, "{stack}").unwrap();
        }
    });

    let monitor = Monitor::builder()
        .bus(bus.clone())
        .max_blocking_time(LIMIT)
        .print_blocking_reports(false)
        .start()
        .unwrap();
    let (tell, told) = mpsc::channel();
    let find = move |_: &Hub| tell.send(fs::read_link("/proc/thread-self")).unwrap_or_default();
    let id = monitor.add_monitoring_function(find, HANG);
    let thread = told.recv_timeout(HANG).unwrap().unwrap();
    monitor.remove(id.unwrap());
    let schedstat: Arc<str> = format!("/proc/{}/schedstat", thread.display()).into();
    let loops = monitor.event_loops().len();

    // The first one is for caches to fill; a loop lives for one of them only.
    let end = Instant::now() + Duration::from_secs(seconds);
    let phase = Duration::from_secs(seconds.clamp(5, 20)) / 2;
    let (mut tally, mut before) = (Tally::default(), None);
    while Instant::now() < end {
        let until = Instant::now() + phase;
        let soak = Soak { monitor: MonitorRef::clone(&monitor), schedstat: schedstat.clone(), until };
        let done = run(&soak, &mut dice);
        let said = std::mem::take(&mut *said.lock().unwrap());
        let mut wrong = Vec::new();
        for (hub, said) in &said {
            assert!(done.contains_key(hub), "{said:?} of a loop that is not watched");
        }
        for (hub, (name, done)) in &done {
            let said = said.get(hub).map_or(&[][..], Vec::as_slice);
            wrong.extend(judge(done, said, &mut tally).err().map(|error| format!("{name}: {error}")));
        }
        assert!(wrong.is_empty(), "seed {seed}, after {tally:?}:\n{}", wrong.join("\n"));
        assert_eq!(monitor.event_loops().len(), loops);
        let begun = Instant::now();
        let [threads, files, memory] = *before.get_or_insert_with(kept);
        // Threads of runtimes that were dropped end a little later.
        while kept()[0] > threads || kept()[1] > files {
            assert!(begun.elapsed() < HANG, "grew from {threads} threads, {files} files: {:?}", kept());
            thread::sleep(MS);
        }
        let grown = kept()[2].saturating_sub(memory);
        assert!(grown < 16 << 20, "memory grew by {grown} bytes since the first phase");
    }
    println!("{tally:?}; threads, files, bytes: {:?} at first, {:?} at last", before.unwrap(), kept());
    assert!(tally.reported > 0 && tally.reported + tally.excused >= tally.blocks, "{tally:?}");
    monitor.stop(HANG).unwrap();
    stacks.send(None).unwrap();
    naming.join().unwrap();
}
