//! What the kernel says of real threads, and the verdict on each.
#![cfg(target_os = "linux")]

#[path = "../../dispatch/tests/common/mod.rs"]
mod common;
#[path = "../../dispatch/tests/common/heap.rs"]
mod heap;
#[path = "../src/kernel.rs"]
#[allow(dead_code, unreachable_pub, reason = "the crate's own; their public names are elsewhere")]
mod kernel;
#[path = "../src/verdict.rs"]
#[allow(dead_code, unreachable_pub, reason = "the crate's own; their public names are elsewhere")]
mod verdict;

use common::HANG;
use common::process::{child, fork, join};
use kernel::{Look, State, Thread, Times};
use nix::sys::signal::{SigSet, Signal};
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::mem;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use verdict::{Evidence, TimeSplit, Verdict, verdict};

const MS: Duration = Duration::from_millis(1);

/// The kernel's number of the calling thread.
fn tid() -> u32 {
    let path = fs::read_link("/proc/thread-self").unwrap();
    path.file_name().unwrap().to_str().unwrap().parse().unwrap()
}

/// Starts a thread that does `work`; gives how to ask of it, and how to wait for its end.
fn start(work: impl FnOnce() + Send + 'static) -> (Thread, JoinHandle<()>) {
    let (tid, handle) = start_numbered(work);
    (Thread::new(tid), handle)
}

fn start_numbered(work: impl FnOnce() + Send + 'static) -> (u32, JoinHandle<()>) {
    let (tell, told) = mpsc::channel();
    let handle = thread::spawn(move || {
        tell.send(tid()).unwrap();
        work();
    });
    (told.recv_timeout(HANG).unwrap(), handle)
}

/// Tries until it gives something.
fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(begun.elapsed() < HANG, "never came: {what}");
        thread::sleep(MS);
    }
}

/// The split since `before`, and what was seen at its end.
struct Watched {
    since: Instant,
    before: Times,
}

impl Watched {
    fn begin(thread: &mut Thread) -> Self {
        let before = thread.times().unwrap();
        Self { since: Instant::now(), before }
    }

    fn look(&self, thread: &mut Thread) -> (Look, TimeSplit) {
        let observed = self.since.elapsed();
        let look = thread.look().unwrap();
        let split = TimeSplit::between(&self.before, Duration::ZERO, &look.times, observed);
        (look, split)
    }
}

fn evidence(look: &Look, split: TimeSplit) -> Evidence<'_> {
    Evidence { look: Some(look), split: Some(split), reached: true, ..Evidence::default() }
}

/// Watches a thread until it is asleep, and has been for longer than it ran: what it is asleep in, and the look.
fn asleep(thread: &mut Thread) -> (Verdict, Look) {
    until("a look at the thread asleep", || (thread.look().unwrap().state != State::Running).then_some(()));
    let watched = Watched::begin(thread);
    let (look, split) = until("more sleep than work", || {
        let (look, split) = watched.look(thread);
        (look.state != State::Running && split.asleep > split.on_cpu + split.run_queue)
            .then_some((look, split))
    });
    (verdict(&evidence(&look, split)), look)
}

fn in_syscall(verdict: Verdict) -> &'static str {
    let Verdict::InSyscall(syscall) = verdict else { panic!("{verdict:?}") };
    syscall.name().unwrap()
}

#[test]
fn the_time_on_a_cpu_is_the_threads_own_clock() {
    let mut thread = Thread::new(tid());
    let own_clock = || {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: writes the time, which is ours.
        assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut now) }, 0);
        Duration::new(now.tv_sec.try_into().unwrap(), now.tv_nsec.try_into().unwrap())
    };
    for _ in 0..1000 {
        let (before, times, after) = (own_clock(), thread.times().unwrap(), own_clock());
        assert!(before < times.on_cpu && times.on_cpu < after, "{before:?} {times:?} {after:?}");
        assert!(times.turns > 0 && !times.waits_for_cpu, "{times:?}");
    }
    let look = thread.look().unwrap();
    assert_eq!((look.state, look.syscall, look.times.waits_for_cpu), (State::Running, None, false));
}

#[test]
fn a_thread_that_spins_is_on_cpu() {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let (mut thread, handle) = start(move || {
        while !stopped.load(Relaxed) {
            std::hint::spin_loop();
        }
    });
    let watched = Watched::begin(&mut thread);
    until("50 ms of its time on a CPU", || {
        let (look, split) = watched.look(&mut thread);
        // On a machine that is busy with other things, what is not yet accounted for may outweigh the first moments.
        let runs = look.state == State::Running && !look.times.waits_for_cpu;
        let fits = runs && split.on_cpu > (50 * MS).max(split.asleep);
        fits.then(|| {
            assert_eq!((look.syscall, &look.wait_channel), (None, &None));
            let starved = split.run_queue > split.observed / 2;
            let expected = if starved { Verdict::Starved } else { Verdict::OnCpu };
            assert_eq!(verdict(&evidence(&look, split)), expected);
        })
    });
    stop.store(true, Relaxed);
    handle.join().unwrap();
}

#[test]
fn a_thread_that_sleeps_is_in_the_call_it_sleeps_in() {
    let (mut thread, handle) = start(thread::park); // woken by `unpark` alone
    let (verdict, look) = asleep(&mut thread);
    assert_eq!(in_syscall(verdict), "futex");
    assert!(look.wait_channel.is_none_or(|channel| channel.contains("futex")));
    handle.thread().unpark();
    handle.join().unwrap();

    let (reader, writer) = io::pipe().unwrap();
    let (mut thread, handle) = start(move || {
        (&reader).read_to_end(&mut Vec::new()).unwrap();
    });
    let (verdict, look) = asleep(&mut thread);
    assert_eq!(in_syscall(verdict), "read");
    assert!(look.wait_channel.is_none_or(|channel| channel.contains("pipe")));
    drop(writer);
    handle.join().unwrap();

    let (mut thread, _) = start(|| thread::sleep(HANG * 100)); // it ends with the process
    let (verdict, look) = asleep(&mut thread);
    assert!(["clock_nanosleep", "nanosleep"].contains(&in_syscall(verdict)));
    assert!(look.wait_channel.is_none_or(|channel| channel.contains("nanosleep")));
}

/// The longer-lasting evidence wins: it computes, and is often looked at asleep.
#[test]
fn short_sleeps_do_not_hide_the_work() {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let (mut thread, handle) = start(move || {
        let mut me = Thread::new(tid());
        while !stopped.load(Relaxed) {
            let until = me.times().unwrap().on_cpu + 5 * MS;
            while me.times().unwrap().on_cpu < until {}
            thread::sleep(MS / 2);
        }
    });
    let watched = Watched::begin(&mut thread);
    until("a look at it asleep, with the work outweighing", || {
        let (look, split) = watched.look(&mut thread);
        let fits = look.state == State::Sleeping
            && split.on_cpu > split.asleep
            && split.run_queue <= split.observed / 2;
        fits.then(|| assert_eq!(verdict(&evidence(&look, split)), Verdict::OnCpu))
    });
    stop.store(true, Relaxed);
    handle.join().unwrap();
}

/// Makes the calling thread run on this CPU only.
fn pin(cpu: usize) {
    // SAFETY: a set of CPUs is an array of numbers, for which zeros are a value.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the macro checks the number against the size of the set.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: 0 is the calling thread; the set is read only.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

/// A CPU that the calling thread may run on.
fn some_cpu() -> usize {
    // SAFETY: no argument.
    let cpu = unsafe { libc::sched_getcpu() };
    usize::try_from(cpu).unwrap()
}

/// Lets the calling thread run only where nobody else wants to.
fn give_way() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: 0 is the calling thread; the parameters are read only.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

#[test]
fn a_thread_whose_cpu_others_have_is_starved_also_while_its_tasks_follow_on_each_other() {
    let stop = Arc::new(AtomicBool::new(false));
    let cpu = some_cpu();
    let spin = |stop: Arc<AtomicBool>| {
        while !stop.load(Relaxed) {
            std::hint::spin_loop();
        }
    };
    let hogs: Vec<_> = (0..3)
        .map(|_| {
            let stop = stop.clone();
            thread::spawn(move || {
                pin(cpu);
                spin(stop);
            })
        })
        .collect();
    let stopped = stop.clone();
    let (mut thread, handle) = start(move || {
        pin(cpu);
        give_way();
        spin(stopped);
    });
    let watched = Watched::begin(&mut thread);
    until("more wait than all else in 50 ms", || {
        let (look, split) = watched.look(&mut thread);
        let starved = split.observed > 50 * MS && split.run_queue > split.observed / 2;
        starved.then(|| {
            assert_eq!(look.state, State::Running);
            let evidence = evidence(&look, split);
            assert_eq!(verdict(&evidence), Verdict::Starved);
            assert_eq!(verdict(&Evidence { moved: true, ..evidence }), Verdict::Starved);
        })
    });
    // A wait that goes on is missing from the kernel's figure, and is told from sleep.
    let (look, split, watched) = until("one wait, longer than anything else", || {
        let watched = Watched::begin(&mut thread);
        thread::sleep(5 * MS);
        let (look, split) = watched.look(&mut thread);
        let in_one = look.times.waits_for_cpu && look.times.turns == watched.before.turns;
        (in_one && split.run_queue > split.on_cpu).then_some((look, split, watched))
    });
    assert_eq!(split.asleep, Duration::ZERO);
    assert_eq!(look.times.run_queue, watched.before.run_queue);
    let as_counted = Times { waits_for_cpu: false, ..look.times };
    let as_counted = TimeSplit::between(&watched.before, Duration::ZERO, &as_counted, split.observed);
    assert_eq!((as_counted.run_queue, as_counted.asleep), (Duration::ZERO, split.run_queue));
    stop.store(true, Relaxed);
    handle.join().unwrap();
    hogs.into_iter().for_each(|hog| hog.join().unwrap());
}

/// A child that shares everything, and ends when it can read nothing more. `pipe` points to the reading end.
extern "C" fn wait_for_the_end(pipe: *mut libc::c_void) -> libc::c_int {
    // SAFETY: the parent's thread that gave the address is stopped until this ends.
    let pipe = unsafe { *pipe.cast::<libc::c_int>() };
    let mut byte = 0u8;
    // SAFETY: one byte, which is there.
    unsafe { libc::read(pipe, (&raw mut byte).cast(), 1) };
    0
}

#[test]
fn a_thread_whose_child_has_its_memory_sleeps_so_that_no_signal_wakes_it() {
    use std::os::fd::AsRawFd;
    let (reader, writer) = io::pipe().unwrap();
    let (mut thread, handle) = start(move || {
        let mut pipe = reader.as_raw_fd();
        let mut stack = vec![0u128; 4096];
        let top: *mut u128 = stack.as_mut_ptr_range().end;
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES | libc::SIGCHLD;
        // SAFETY: the stack is the child's alone, and outlives it since this thread waits for the child's end.
        let child = unsafe { libc::clone(wait_for_the_end, top.cast(), flags, (&raw mut pipe).cast()) };
        assert!(child > 0, "{}", io::Error::last_os_error());
        // SAFETY: a null pointer: the status is not wanted.
        assert_eq!(unsafe { libc::waitpid(child, ptr::null_mut(), 0) }, child);
    });
    until("state D", || (thread.look().unwrap().state == State::DiskSleep).then_some(()));
    let (verdict, look) = asleep(&mut thread);
    assert_eq!((verdict, look.state), (Verdict::Uninterruptible, State::DiskSleep));
    drop(writer);
    handle.join().unwrap();
}

/// The blocked thread may hold the allocator's lock.
#[test]
fn a_reading_asks_the_allocator_for_nothing_but_the_name_of_what_it_waits_in() {
    let (tid, handle) = start_numbered(thread::park);
    let mut thread = Thread::new(tid);
    asleep(&mut thread);
    let mut fresh = Thread::new(tid);
    let mut look = None;
    let (allocated, _) = heap::counted(|| look = Some(fresh.look()));
    assert_eq!(allocated, u64::from(look.unwrap().unwrap().wait_channel.is_some()));
    assert_eq!(heap::counted(|| assert!(thread.times().is_ok())), (0, 0));
    handle.thread().unpark();
    handle.join().unwrap();
    until("the end", || {
        let mut ended = false;
        assert_eq!(heap::counted(|| ended = thread.times().is_err()), (0, 0));
        ended.then_some(())
    });
}

#[test]
fn a_thread_that_has_ended_is_not_found() {
    let (mut known, handle) = start(thread::park);
    known.times().unwrap();
    let mut unread = start(|| ()).0;
    handle.thread().unpark();
    handle.join().unwrap();
    // The kernel tells of a thread's end a moment before it forgets it.
    for thread in [&mut known, &mut unread] {
        let kind = until("the end", || thread.times().err().map(|error| error.kind()));
        assert_eq!(kind, ErrorKind::NotFound);
        assert_eq!(thread.look().unwrap_err().kind(), ErrorKind::NotFound);
    }
}

#[test]
fn what_a_thread_blocks_is_seen() {
    let bit = |signal: Signal| 1u64 << (signal as u32 - 1);
    let (mut thread, handle) = start(|| {
        let mut set = SigSet::empty();
        set.add(Signal::SIGURG);
        set.add(Signal::SIGUSR2);
        set.thread_block().unwrap();
        thread::park();
    });
    let (_, look) = asleep(&mut thread);
    let (_, other) = asleep(&mut start(|| thread::sleep(HANG * 100)).0);
    let masks = [look.blocked_signals.unwrap(), other.blocked_signals.unwrap()];
    assert_eq!(masks[0] & !masks[1], bit(Signal::SIGURG) | bit(Signal::SIGUSR2));
    handle.thread().unpark();
    handle.join().unwrap();
}

#[test]
fn a_forked_child_does_not_take_its_parents_thread_for_one_of_its_own() {
    child("a_forked_child_does_not_take_its_parents_thread_for_one_of_its_own", || {
        let (mut thread, handle) = start(thread::park);
        thread.times().unwrap();
        join(fork(|| {
            assert_eq!(thread.times().unwrap_err().kind(), ErrorKind::NotFound);
            assert_eq!(thread.look().unwrap_err().kind(), ErrorKind::NotFound);
            Thread::new(tid()).look().unwrap();
        }));
        thread.times().unwrap();
        handle.thread().unpark();
        handle.join().unwrap();
    })
    .succeeded();
}
