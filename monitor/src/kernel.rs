//! What the kernel says of one thread of this process: what it does now, and how its time was spent.
//!
//! Owns the files under `/proc/self/task/TID` and the thread's CPU clock; the names of system calls. Not here: what that means
//! for a loop (`verdict.rs`), who asks and when (`watch.rs`).
//!
//! | source | says | cost |
//! |---|---|---|
//! | the thread's CPU clock | time on a CPU, to the ns, also in a stretch that still goes on | 0.3 µs |
//! | `schedstat`, kept open | time ready but without a CPU, and how often it was given one | 0.7 µs |
//! | `status`, kept open | state, how often it went to sleep, blocked signals | 8 µs |
//! | `syscall`, `wchan` | what it sleeps in | 5 µs each, opened for one look |
//!
//! None of them waits for the thread, and none takes a lock that it could hold.
//!
//! # Invariants
//! 1. What is kept open is of this process: it is compared at each reading, since a descriptor inherited over `fork` goes on
//!    telling of the parent's thread.
//! 2. A reading is of the thread that was first read, not of another that was given its number later: `schedstat` is kept open, names
//!    the thread itself, and cannot be read once that has ended. It is read last, so what was read before it is of a thread that lived.

use std::fmt;
use std::io;
use std::time::Duration;

/// A thread of this process, by the number the kernel has for it.
#[derive(Debug)]
pub(crate) struct Thread {
    tid: u32,
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "read where there is something to read"))]
    kept: Option<platform::Kept>,
}

/// How a thread's time was spent since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times {
    /// On a CPU.
    pub(crate) on_cpu: Duration,
    /// Ready to run, and without a CPU. The kernel adds a wait when it ends.
    pub(crate) run_queue: Duration,
    /// How often it was given a CPU.
    pub(crate) turns: u64,
    /// How often it went to sleep, where the kernel says.
    pub(crate) sleeps: Option<u64>,
    /// It runs, or is ready to, as this is read.
    pub(crate) runs: bool,
    /// It waits for a CPU as this is read, so `run_queue` lacks that wait. Known from a look only.
    pub(crate) waits_for_cpu: bool,
}

/// What a thread was seen to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) state: State,
    pub(crate) times: Times,
    /// What it is asleep in. None while it runs, and where the kernel does not say.
    pub(crate) syscall: Option<Syscall>,
    /// The kernel's function that it is asleep in.
    pub(crate) wait_channel: Option<String>,
    /// Bit n - 1: signal n is blocked.
    pub(crate) blocked_signals: Option<u64>,
}

/// The kernel's word for what a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// On a CPU, or ready for one.
    Running,
    /// Asleep until something happens, a signal included.
    Sleeping,
    /// Asleep in a way that no signal ends.
    DiskSleep,
    /// By a signal.
    Stopped,
    /// By a debugger.
    Traced,
    /// Ended.
    Zombie,
    Other(char),
}

impl Thread {
    /// Opens nothing yet. Whoever wants to be sure of invariant 2 reads once while the thread is known to live.
    pub(crate) fn new(tid: u32) -> Self {
        Self { tid, kept: None }
    }

    /// How its time was spent: 10 µs, without an allocation.
    ///
    /// # Errors
    /// `NotFound` if it has ended; `Unsupported` elsewhere than on Linux, or if the kernel does not count.
    pub(crate) fn times(&mut self) -> io::Result<Times> {
        platform::times(self)
    }

    /// What it does now: 23 µs, and one allocation if it waits in something that has a name.
    ///
    /// # Errors
    /// As [`times`](Self::times). What one file does not say is none, not an error.
    pub(crate) fn look(&mut self) -> io::Result<Look> {
        platform::look(self)
    }
}

/// A system call that a thread is asleep in.
///
/// # Examples
/// ```
/// use signalpost::monitor::Syscall;
/// assert_eq!(Syscall::UNKNOWN.to_string(), "an unknown system call");
/// assert_eq!(Syscall::new(99_999).to_string(), "system call 99999");
/// # #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
/// assert_eq!(Syscall::new(202).to_string(), "futex");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Syscall(Option<u32>);

impl Syscall {
    /// One that was not seen: the thread was asleep, but the kernel does not say in what, or it was over when looked at.
    pub const UNKNOWN: Self = Self(None);

    /// By the number it has on this machine's architecture.
    pub const fn new(number: u32) -> Self {
        Self(Some(number))
    }

    /// Its number; none if it was not seen.
    pub const fn number(self) -> Option<u32> {
        self.0
    }

    /// Its name, such as `futex`. None if it was not seen, or is newer than the table of names, and elsewhere than on Linux
    /// on x86-64 and aarch64.
    pub fn name(self) -> Option<&'static str> {
        name(self.0?)
    }
}

impl fmt::Display for Syscall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self.0) {
            (Some(name), _) => f.write_str(name),
            (None, Some(number)) => write!(f, "system call {number}"),
            (None, None) => f.write_str("an unknown system call"),
        }
    }
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
fn name(number: u32) -> Option<&'static str> {
    let number = syscalls::Sysno::new(usize::try_from(number).ok()?)?;
    Some(number.name())
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
fn name(_: u32) -> Option<&'static str> {
    None
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod platform {
    use super::{Look, State, Syscall, Thread, Times};
    use nix::time::{ClockId, clock_gettime};
    use std::ffi::OsStr;
    use std::fs::File;
    use std::io::{self, Read, Write};
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::FileExt;
    use std::process;
    use std::time::Duration;

    /// `status` names up to some 700 groups before what is looked for.
    const STATUS: usize = 8192;

    #[derive(Debug)]
    pub(super) struct Kept {
        schedstat: File,
        status: File,
        /// Whose they are.
        pid: u32,
    }

    impl Kept {
        fn open(tid: u32, pid: u32) -> io::Result<Self> {
            Ok(Self { schedstat: open(tid, "schedstat")?, status: open(tid, "status")?, pid })
        }

        /// And whether the time on a CPU is exact, which it is by the clock: `schedstat` is brought up to date at ticks only.
        fn clocks(&self, tid: u32) -> io::Result<(Times, bool)> {
            let exact = cpu_clock(tid);
            let mut text = [0; 72]; // three numbers of at most 20 digits
            let length = self.schedstat.read_at(&mut text, 0).map_err(gone)?; // last: invariant 2
            let mut times = schedstat(&text[..length])?;
            times.on_cpu = exact.unwrap_or(times.on_cpu);
            Ok((times, exact.is_some()))
        }

        fn status(&self) -> io::Result<Status> {
            let mut text = [0; STATUS];
            let length = self.status.read_at(&mut text, 0).map_err(gone)?;
            status(&text[..length])
        }
    }

    /// What is of use in `status`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Status {
        state: State,
        blocked_signals: Option<u64>,
        sleeps: Option<u64>,
    }

    impl Status {
        fn add_to(self, times: Times) -> Times {
            Times { sleeps: self.sleeps, runs: self.state == State::Running, ..times }
        }
    }

    pub(super) fn times(thread: &mut Thread) -> io::Result<Times> {
        let tid = thread.tid;
        let kept = kept(thread)?;
        let status = kept.status()?;
        Ok(status.add_to(kept.clocks(tid)?.0))
    }

    pub(super) fn look(thread: &mut Thread) -> io::Result<Look> {
        let tid = thread.tid;
        let kept = kept(thread)?;
        let (before, exact) = kept.clocks(tid)?;
        let status = kept.status()?;
        let asleep = status.state != State::Running;
        let mut text = [0; 256];
        let syscall = read(tid, "syscall", &mut text).ok().and_then(syscall).filter(|_| asleep);
        let wait_channel = read(tid, "wchan", &mut text).ok().filter(|_| asleep).and_then(wait_channel);
        let (times, _) = kept.clocks(tid)?; // last: invariant 2
        let stood_still = before.on_cpu == times.on_cpu && before.turns == times.turns;
        let waits_for_cpu = !asleep && exact && stood_still;
        let times = Times { waits_for_cpu, ..status.add_to(times) };
        let (state, blocked_signals) = (status.state, status.blocked_signals);
        Ok(Look { state, times, syscall, wait_channel, blocked_signals })
    }

    /// The files, opened again if this is another process than the one that opened them (invariant 1).
    fn kept(thread: &mut Thread) -> io::Result<&Kept> {
        let pid = process::id();
        let kept = match thread.kept.take() {
            Some(kept) if kept.pid == pid => kept,
            _ => Kept::open(thread.tid, pid)?,
        };
        Ok(thread.kept.insert(kept))
    }

    fn open(tid: u32, name: &str) -> io::Result<File> {
        let mut path = [0; 48];
        let mut rest = &mut path[..];
        write!(rest, "/proc/self/task/{tid}/{name}")?;
        let unused = rest.len();
        let used = path.len() - unused;
        File::open(OsStr::from_bytes(&path[..used]))
    }

    /// The file, as far as the buffer reaches.
    fn read<'b>(tid: u32, name: &str, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
        let mut file = open(tid, name)?;
        let length = file.read(buffer).map_err(gone)?;
        Ok(&buffer[..length])
    }

    /// ESRCH has no kind of its own.
    fn gone(error: io::Error) -> io::Error {
        if error.raw_os_error() == Some(nix::errno::Errno::ESRCH as i32) { ended() } else { error }
    }

    fn ended() -> io::Error {
        io::ErrorKind::NotFound.into()
    }

    fn malformed() -> io::Error {
        io::ErrorKind::InvalidData.into()
    }

    /// By the number that `pthread_getcpuclockid` makes: the bits of the thread's id turned over, "of a thread", "as the scheduler counts".
    fn cpu_clock(tid: u32) -> Option<Duration> {
        let tid = i32::try_from(tid).ok()?;
        clock_gettime(ClockId::from_raw((!tid << 3) | 4 | 2)).ok().map(Duration::from)
    }

    /// Time on a CPU, time waiting for one, both in ns, and how often it got one.
    fn schedstat(text: &[u8]) -> io::Result<Times> {
        let mut numbers = text
            .split(|byte| *byte == b' ')
            .map(|number| str::from_utf8(number).ok()?.trim().parse::<u64>().ok());
        let mut next = || numbers.next().flatten().ok_or_else(malformed);
        let (on_cpu, run_queue, turns) = (next()?, next()?, next()?);
        if (on_cpu, run_queue, turns) == (0, 0, 0) {
            // Whoever has a number to give has run.
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(Times {
            on_cpu: Duration::from_nanos(on_cpu),
            run_queue: Duration::from_nanos(run_queue),
            turns,
            ..Times::default()
        })
    }

    /// `running`; or number, arguments, stack, place; or -1, stack, place outside of any.
    fn syscall(text: &[u8]) -> Option<Syscall> {
        let number = text.split(|byte| byte.is_ascii_whitespace()).next()?;
        str::from_utf8(number).ok()?.parse().ok().map(Syscall::new)
    }

    /// `0` where there is none.
    fn wait_channel(text: &[u8]) -> Option<String> {
        let name = str::from_utf8(text).ok()?.trim();
        (!name.is_empty() && name != "0").then(|| name.to_owned())
    }

    /// Lines `Name:\tvalue`; a line break in a thread's name is written as `\n`.
    fn status(text: &[u8]) -> io::Result<Status> {
        let line = |name: &[u8]| {
            let mut lines = text.split_inclusive(|byte| *byte == b'\n');
            let value =
                lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(b":\t")?.strip_suffix(b"\n"))?;
            str::from_utf8(value).ok()
        };
        Ok(Status {
            state: line(b"State").and_then(state).ok_or_else(malformed)?,
            blocked_signals: line(b"SigBlk").and_then(|mask| u64::from_str_radix(mask, 16).ok()),
            sleeps: line(b"voluntary_ctxt_switches").and_then(|count| count.parse().ok()),
        })
    }

    fn state(word: &str) -> Option<State> {
        Some(match word.chars().next()? {
            'R' => State::Running,
            'S' => State::Sleeping,
            'D' => State::DiskSleep,
            'T' => State::Stopped,
            't' => State::Traced,
            'Z' | 'X' => State::Zombie,
            other => State::Other(other),
        })
    }

    #[cfg(test)]
    mod tests {
        use super::{Status, schedstat, status, syscall, wait_channel};
        use crate::kernel::{State, Syscall};
        use std::io::ErrorKind;
        use std::time::Duration;

        #[test]
        fn times_are_three_numbers() {
            let times = schedstat(b"2027858 500 3\n").unwrap();
            assert_eq!(
                (times.on_cpu, times.run_queue),
                (Duration::from_nanos(2_027_858), Duration::from_nanos(500))
            );
            assert_eq!((times.turns, times.waits_for_cpu), (3, false));
            assert_eq!(schedstat(b"0 0 0\n").unwrap_err().kind(), ErrorKind::Unsupported);
            for broken in [&b""[..], b"1 2", b"1 x 3", b"-1 2 3", b"1 18446744073709551616 3", b"\xff 2 3"] {
                assert_eq!(schedstat(broken).unwrap_err().kind(), ErrorKind::InvalidData, "{broken:?}");
            }
        }

        #[test]
        fn status_has_lines_of_which_some_may_lack() {
            let whole = "Name:\tState:\\nx\nUmask:\t0022\nState:\tS (sleeping)\nSigBlk:\t0000000000400000\nSigIgn:\t0\n\
                         voluntary_ctxt_switches:\t10\nnonvoluntary_ctxt_switches:\t3\n";
            let found = status(whole.as_bytes()).unwrap();
            let expected =
                Status { state: State::Sleeping, blocked_signals: Some(1 << 22), sleeps: Some(10) };
            assert_eq!(found, expected);
            let states = [
                ("R (running)", State::Running),
                ("D (disk sleep)", State::DiskSleep),
                ("T (stopped)", State::Stopped),
                ("t (tracing stop)", State::Traced),
                ("Z (zombie)", State::Zombie),
                ("X (dead)", State::Zombie),
                ("I (idle)", State::Other('I')),
            ];
            for (word, state) in states {
                let expected = Status { state, blocked_signals: None, sleeps: None };
                assert_eq!(status(format!("State:\t{word}\n").as_bytes()).unwrap(), expected);
            }
            for cut in [
                "State:\tR (running)\nSigBlk:\tfff",
                "State:\tR\nSigBlk:\tzz\nvoluntary_ctxt_switches:\t-1\n",
            ] {
                let expected = Status { state: State::Running, blocked_signals: None, sleeps: None };
                assert_eq!(status(cut.as_bytes()).unwrap(), expected, "{cut}");
            }
            for broken in ["", "Name:\tx\n", "State:\t\n", "State:\tR (running)", "State:R\n"] {
                assert_eq!(
                    status(broken.as_bytes()).unwrap_err().kind(),
                    ErrorKind::InvalidData,
                    "{broken:?}"
                );
            }
        }

        #[test]
        fn a_thread_that_runs_or_faults_is_in_no_system_call() {
            assert_eq!(syscall(b"202 0x55 0x80 0x0 0x0 0x0 0x0 0x7ff 0x7fe\n"), Some(Syscall::new(202)));
            assert_eq!(syscall(b"0 0x55\n"), Some(Syscall::new(0)));
            for none in [&b"running\n"[..], b"-1 0x7ff 0x7fe\n", b"", b"99999999999 0x1"] {
                assert_eq!(syscall(none), None, "{none:?}");
            }
        }

        #[test]
        fn the_wait_channel_is_a_name_or_none() {
            assert_eq!(wait_channel(b"futex_do_wait").as_deref(), Some("futex_do_wait"));
            assert_eq!([wait_channel(b"0"), wait_channel(b""), wait_channel(b"\xff")], [None, None, None]);
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod platform {
    use super::{Look, Thread, Times};
    use std::io;

    pub(super) type Kept = std::convert::Infallible;

    pub(super) fn times(_: &Thread) -> io::Result<Times> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn look(_: &Thread) -> io::Result<Look> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::Syscall;

    #[test]
    fn a_system_call_has_the_name_of_this_architecture_or_its_number() {
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        assert_eq!(Syscall::new(230).name(), Some("clock_nanosleep"));
        #[cfg(all(target_os = "linux", target_arch = "aarch64"))]
        assert_eq!(Syscall::new(115).name(), Some("clock_nanosleep"));
        for number in [100_000, u32::MAX] {
            let unknown = Syscall::new(number);
            assert_eq!((unknown.number(), unknown.name()), (Some(number), None));
            assert_eq!(unknown.to_string(), format!("system call {number}"));
        }
        assert_eq!((Syscall::UNKNOWN.number(), Syscall::UNKNOWN.name()), (None, None));
    }
}
