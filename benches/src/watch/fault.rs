//! What goes wrong: for each fault, what is laid ready outside the loop, and the function that blocks inside.
//!
//! Owns the blocking functions. Each has a name of its own and is never inlined, so that a stack that is right has that name.
//! Not here: on which task (`desk.rs`), how long is long enough (`judge.rs`).
//!
//! Each is real: the time goes by in the system call, the lock or the arithmetic that it is named for. The one stand-in is
//! `dns`: `getaddrinfo` asks the name servers that the machine is configured with, and cannot be given one that answers late;
//! so it is a question to a name server over a blocking socket that waits, which is what `getaddrinfo` does inside.

use super::{
    clock::{Measured, Processor, compute, compute_for},
    desk::{Job, ShortPolls, Work},
    hogs::{Core, Hogs},
    name::FaultName,
};
use std::{
    fs::{self, File, OpenOptions},
    hint::black_box,
    io::{self, ErrorKind, Write},
    net::{Ipv4Addr, UdpSocket},
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

/// What the short polls of a saturated loop take, and how many tasks make them.
const POLL: Duration = Duration::from_millis(3);
const TASKS: usize = 8;

/// A fault laid ready.
#[derive(Debug)]
pub struct Ready {
    job: Job,
    function: Option<&'static str>,
    outside: Outside,
}

impl Ready {
    /// For the loop; the function that a right stack shows; and what is to be kept until it is over.
    pub fn into_parts(self) -> (Job, Option<&'static str>, Outside) {
        (self.job, self.function, self.outside)
    }
}

/// What goes on outside the loop, until this is dropped.
#[derive(Debug, Default)]
pub struct Outside {
    _hogs: Option<Hogs>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Outside {
    fn drop(&mut self) {
        // Each ends with what it is there for.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Lays ready a fault that lasts about `lasts`; `limit` is the longest turn that is not reported.
///
/// # Errors
/// When what it needs cannot be had: a file, a socket, a thread.
///
/// # Panics
/// For [`FaultName::Idle`], [`FaultName::Memory`] and [`FaultName::Leaks`], for which a loop does nothing.
pub fn lay(fault: FaultName, lasts: Duration, limit: Duration) -> io::Result<Ready> {
    let here = |function, work, outside| Ready { job: Job::Here(work), function: Some(function), outside };
    Ok(match fault {
        FaultName::Sleep => here("sleep_in_a_task", sleeping(lasts), Outside::default()),
        FaultName::Spin => {
            let work = move || Measured::of(|| compute_in_a_task(lasts));
            here("compute_in_a_task", Box::new(work), Outside::default())
        }
        FaultName::Mutex => {
            let (lock, holder) = held_for(lasts)?;
            let work = move || Measured::of(|| wait_for_a_lock(&lock));
            here("wait_for_a_lock", Box::new(work), holder)
        }
        FaultName::Dns => {
            let (socket, server) = slow_name_server(lasts)?;
            let work = move || Measured::of(|| ask_a_name_server(&socket));
            here("ask_a_name_server", Box::new(work), server)
        }
        FaultName::Fsync => {
            let mut scratch = Scratch::dirty(lasts)?;
            let work = move || scratch.measure(lasts);
            here("wait_for_the_disk", Box::new(work), Outside::default())
        }
        FaultName::ChildWait => {
            let work = move || Measured::of(|| wait_for_a_child(lasts));
            here("wait_for_a_child", Box::new(work), Outside::default())
        }
        FaultName::CpuHogs => {
            let core = Core::any();
            let hogs = Hogs::start(core)?;
            let work = move || compute_beside_hogs(core, limit / 4, lasts * 8);
            let outside = Outside { _hogs: Some(hogs), thread: None };
            Ready { job: Job::Here(Box::new(work)), function: Some("compute_beside_hogs"), outside }
        }
        FaultName::ShortPolls => {
            // On a hand-written loop a turn holds one of each task, and must stay short itself.
            let poll = POLL.min(limit / (4 * TASKS as u32));
            // One that takes much longer, for want of a processor, is no short poll.
            let wanted = ShortPolls { tasks: TASKS, poll, limit: limit / 8, lasts: lasts * 2 };
            let job = Job::ShortPolls(wanted);
            Ready { job, function: None, outside: Outside::default() }
        }
        FaultName::SpawnBlocking => {
            Ready { job: Job::SpawnBlocking(sleeping(lasts)), function: None, outside: Outside::default() }
        }
        FaultName::BlockInPlace => {
            Ready { job: Job::InPlace(sleeping(lasts)), function: None, outside: Outside::default() }
        }
        FaultName::Idle | FaultName::Memory | FaultName::Leaks => panic!("{fault} is not done by a loop"),
    })
}

fn sleeping(lasts: Duration) -> Work {
    Box::new(move || Measured::of(|| sleep_in_a_task(lasts)))
}

#[inline(never)]
fn sleep_in_a_task(lasts: Duration) -> Result<(), String> {
    thread::sleep(lasts);
    black_box(Ok(())) // not in the place of its last call: a stack has it
}

#[inline(never)]
fn compute_in_a_task(lasts: Duration) -> Result<(), String> {
    compute_for(lasts);
    black_box(Ok(()))
}

#[inline(never)]
fn wait_for_a_lock(lock: &Mutex<u64>) -> Result<(), String> {
    let mut guarded = lock.lock().map_err(|_| "the thread that held the lock panicked")?;
    *guarded += 1;
    Ok(())
}

/// A lock that another thread holds, from now for so long.
fn held_for(lasts: Duration) -> io::Result<(Arc<Mutex<u64>>, Outside)> {
    let lock = Arc::new(Mutex::new(0));
    let (held, is_held) = mpsc::channel();
    let of_thread = Arc::clone(&lock);
    let holder = thread::Builder::new().name("lab-lock-holder".to_owned()).spawn(move || {
        let guarded = of_thread.lock();
        let _ = held.send(());
        thread::sleep(lasts);
        drop(guarded);
    })?;
    is_held.recv().map_err(|_| io::Error::other("the thread that was to hold the lock ended"))?;
    Ok((lock, Outside { thread: Some(holder), _hogs: None }))
}

/// The address of `signalpost.test`, which no name server outside would know.
#[inline(never)]
fn ask_a_name_server(socket: &UdpSocket) -> Result<(), String> {
    let mut question = b"\x5e\x9f\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00".to_vec(); // one question, recursion wanted
    question.extend(b"\x0asignalpost\x04test\x00\x00\x01\x00\x01"); // of type A, class IN
    socket.send(&question).map_err(|error| format!("the name server cannot be asked: {error}"))?;
    let mut answer = [0; 512];
    loop {
        match socket.recv(&mut answer) {
            Ok(length) if length >= 12 && answer[..2] == question[..2] => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("the name server did not answer: {error}")),
        }
    }
}

/// A name server that answers one question, late; and a socket that asks it.
fn slow_name_server(lasts: Duration) -> io::Result<(UdpSocket, Outside)> {
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    client.connect(server.local_addr()?)?;
    // If nobody asks, it does not wait for ever.
    server.set_read_timeout(Some(Duration::from_secs(10)))?;
    let thread = thread::Builder::new().name("lab-name-server".to_owned()).spawn(move || {
        let mut question = [0; 512];
        if let Ok((length, from)) = server.recv_from(&mut question) {
            thread::sleep(lasts);
            let answer = &mut question[..length];
            if length >= 12 {
                answer[2] |= 0x80; // an answer
                answer[3] = 0x83; // there is no such name
            }
            let _ = server.send_to(answer, from);
        }
    })?;
    Ok((client, Outside { thread: Some(thread), _hogs: None }))
}

#[inline(never)]
fn wait_for_a_child(lasts: Duration) -> Result<(), String> {
    let mut child = sleeper(lasts);
    let status = child.status().map_err(|error| format!("'{child:?}' cannot be started: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("'{child:?}' ended with {status}")) }
}

#[cfg(unix)]
fn sleeper(lasts: Duration) -> Command {
    let mut command = Command::new("sleep");
    command.arg(format!("{:.3}", lasts.as_secs_f64()));
    command
}

/// Windows has no `sleep` that works without a console; `ping` waits a second between two.
#[cfg(not(unix))]
fn sleeper(lasts: Duration) -> Command {
    let mut command = Command::new("ping");
    let count = lasts.as_secs_f64().ceil() as u64 + 1;
    command.args(["-n", &count.to_string(), "127.0.0.1"]).stdout(std::process::Stdio::null());
    command
}

/// An honest bit of work that would be done in time, on a core that hogs want as well.
#[inline(never)]
fn compute_beside_hogs(core: Core, work: Duration, at_most: Duration) -> Measured {
    let mut measured = Measured::of(|| {
        let before = Processor::of_this_thread().ok_or("the system does not say what a thread has had")?;
        let begin = Instant::now();
        let _held = core.enter(); // which is to wait for it, the first time
        while begin.elapsed() < at_most {
            (0..50).for_each(|_| compute());
            if Processor::of_this_thread().is_some_and(|now| now.since(before).had >= work) {
                break;
            }
        }
        Ok(())
    });
    if let (Some(processor), None) = (measured.processor, &measured.why_not)
        && processor.waited < measured.lasted() / 2
    {
        let (waited, lasted) = (processor.waited.as_millis(), measured.lasted().as_millis());
        measured.why_not = Some(format!("it waited for a processor for only {waited} of {lasted} ms"));
    }
    measured
}

/// A file with much that the disk has not got yet.
#[derive(Debug)]
struct Scratch {
    file: File,
    path: PathBuf,
}

/// What is written at once, and at most in all.
const CHUNK: usize = 4 << 20;
const MOST: usize = 512 << 20;

impl Scratch {
    /// Writes so much that the disk is likely to need longer than `lasts` for it, by what a first share takes it.
    fn dirty(lasts: Duration) -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("signalpost-lab-{}.scratch", std::process::id()));
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
        if cfg!(unix) {
            // It stays as long as it is open, and is gone however the lab ends.
            fs::remove_file(&path)?;
        }
        let mut scratch = Self { file, path };
        let chunk: Vec<u8> = (0..CHUNK).map(|at| (at % 251) as u8).collect();
        let begin = Instant::now();
        scratch.file.write_all(&chunk)?;
        scratch.file.sync_all()?;
        let each = begin.elapsed().as_secs_f64().max(1e-6);
        let chunks = (1.5 * lasts.as_secs_f64() / each).ceil().min((MOST / CHUNK) as f64) as usize;
        for _ in 0..chunks {
            scratch.file.write_all(&chunk)?;
        }
        Ok(scratch)
    }

    /// Waits for the disk; and if that was short, writes a little more and waits again, until `lasts` is over.
    fn measure(&mut self, lasts: Duration) -> Measured {
        let mut in_sync = Duration::ZERO;
        let mut measured = Measured::of(|| {
            let begin = Instant::now();
            loop {
                in_sync += self
                    .wait_for_the_disk()
                    .map_err(|error| format!("the file cannot be written: {error}"))?;
                if begin.elapsed() >= lasts {
                    return Ok(());
                }
                self.file
                    .write_all(&[7; 4096])
                    .map_err(|error| format!("the file cannot be written: {error}"))?;
            }
        });
        if measured.why_not.is_none() && in_sync < measured.lasted() / 2 {
            measured.why_not = Some(format!("no disk to wait for behind {}", std::env::temp_dir().display()));
        }
        measured
    }

    #[inline(never)]
    fn wait_for_the_disk(&self) -> io::Result<Duration> {
        let begin = Instant::now();
        self.file.sync_all()?;
        Ok(begin.elapsed())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Done here, without a loop.
    fn done(fault: FaultName, lasts: Duration) -> (Measured, Option<&'static str>) {
        let ready = lay(fault, lasts, lasts).unwrap();
        let function = ready.function;
        let (outside, job) = (ready.outside, ready.job);
        let work = match job {
            Job::Here(work) | Job::SpawnBlocking(work) | Job::InPlace(work) => work,
            Job::ShortPolls(_) => panic!("no work of its own"),
        };
        let measured = work();
        drop(outside);
        (measured, function)
    }

    #[test]
    fn what_blocks_says_so_by_its_own_clock() {
        let lasts = Duration::from_millis(30);
        for fault in [FaultName::Sleep, FaultName::Mutex, FaultName::Dns, FaultName::ChildWait] {
            let (measured, function) = done(fault, lasts);
            assert_eq!(measured.why_not, None, "{fault}");
            // The lock's holder began to count before.
            assert!(fault == FaultName::Mutex || measured.lasted() >= lasts, "{fault}: {measured:?}");
            assert!(function.is_some(), "{fault}");
        }
    }

    #[test]
    fn the_scratch_file_is_gone_when_it_is_over() {
        let lasts = Duration::from_millis(5);
        let mut scratch = Scratch::dirty(lasts).unwrap();
        let path = scratch.path.clone();
        assert_eq!(path.exists(), !cfg!(unix));
        let measured = scratch.measure(lasts);
        assert!(measured.lasted() >= lasts, "{measured:?}");
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn beside_hogs_the_thread_waits_for_its_core_and_may_go_back_to_the_others() {
        let before = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)).unwrap();
        let (measured, _) = done(FaultName::CpuHogs, Duration::from_millis(40));
        let processor = measured.processor.expect("Linux counts it");
        assert!(processor.waited > Duration::ZERO, "{measured:?}");
        assert_eq!(nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)).unwrap(), before);
    }
}
