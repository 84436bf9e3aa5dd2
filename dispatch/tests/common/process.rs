//! Tests that need a process of their own: the test is started again, as a child, and does its work there.

use super::HANG;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const ROLE: &str = "SIGNALPOST_TEST_CHILD";

/// What became of a child.
#[derive(Debug)]
pub struct Child {
    pub status: ExitStatus,
    pub output: String,
}

/// Runs `body` in a process of its own, on its only thread. To be called by the test named `test`, first thing.
/// In the child this does not return.
#[track_caller]
pub fn child(test: &str, body: impl FnOnce()) -> Child {
    if std::env::var(ROLE).is_ok_and(|role| role == test) {
        body();
        std::process::exit(0);
    }
    assert!(std::env::var(ROLE).is_err(), "{test} is not the name of the test that calls this");
    let mut child = Command::new(std::env::current_exe().expect("the test binary has a path"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(ROLE, test)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the test binary can be started again");
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let reader = thread::spawn(move || {
        let mut text = String::new();
        let _ = out.read_to_string(&mut text);
        text
    });
    let errors = thread::spawn(move || {
        let mut text = String::new();
        let _ = err.read_to_string(&mut text);
        text
    });
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > HANG {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the child hangs: {}", errors.join().unwrap());
        }
        thread::sleep(Duration::from_millis(5));
    };
    let output = reader.join().unwrap() + &errors.join().unwrap();
    assert!(!output.contains("running 0 tests"), "{test} is not the name of the test that calls this");
    Child { status, output }
}

impl Child {
    /// It did all of its work, and nothing failed.
    #[track_caller]
    pub fn succeeded(&self) {
        assert!(self.status.success(), "the child failed: {}\n{}", self.status, self.output);
        self.output.lines().filter(|line| line.contains("skipped:")).for_each(|line| println!("{line}"));
    }

    /// It was ended by this signal.
    #[track_caller]
    pub fn died_by(&self, signal: i32) {
        assert_eq!(self.status.signal(), Some(signal), "{}\n{}", self.status, self.output);
    }
}

/// Forks; the child runs `body` and ends, with 0 if that did not panic. Gives its process id to the parent.
pub fn fork(body: impl FnOnce()) -> libc::pid_t {
    // SAFETY: the child runs nothing of the parent's but `body`, and glibc makes its allocator usable there.
    fork_by(|| unsafe { libc::fork() }, body)
}

/// As [`fork`], by a call of one's own.
pub fn fork_by(call: impl FnOnce() -> libc::pid_t, body: impl FnOnce()) -> libc::pid_t {
    match call() {
        0 => {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            // SAFETY: ends the process; runs nothing of it.
            unsafe { libc::_exit(i32::from(result.is_err())) }
        }
        id => {
            assert!(id > 0, "cannot fork: {}", std::io::Error::last_os_error());
            id
        }
    }
}

/// Waits for a forked child, which must have ended well. Kills it if it hangs.
#[track_caller]
pub fn join(id: libc::pid_t) {
    let start = Instant::now();
    let mut status = 0;
    loop {
        // SAFETY: writes the status, which is ours.
        match unsafe { libc::waitpid(id, &raw mut status, libc::WNOHANG) } {
            0 if start.elapsed() > HANG => {
                // SAFETY: takes two integers.
                unsafe { libc::kill(id, libc::SIGKILL) };
                panic!("the forked child hangs");
            }
            0 => thread::sleep(Duration::from_millis(5)),
            done => {
                assert_eq!(done, id);
                break;
            }
        }
    }
    assert!(ExitStatus::from_raw(status).success(), "the forked child failed: {status:#x}");
}
