//! Where names come from, when the files are not as they should be, and what a sandbox that refuses calls leaves.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

#[path = "../../dispatch/tests/common/mod.rs"]
mod common;
mod stack_parts;

use common::process::child;
use common::seccomp;
use signalpost::monitor::{CaptureError, CaptureMode, StackTrace};
use stack_parts::{HANG, Running, by, capturer, names, shown, spins_here, take};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

const COPY: &str = "SIGNALPOST_TEST_COPY";

/// Runs a test of this file from a copy of its program, in a folder of its own.
fn in_a_copy(test: &str, prepare: impl FnOnce(&Path) -> bool, body: impl FnOnce(&Path)) {
    if env::var(COPY).is_ok_and(|role| role == test) {
        return body(&env::current_exe().unwrap());
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let copy = folder.join("program");
    fs::copy(env::current_exe().unwrap(), &copy).unwrap();
    if prepare(&copy) {
        let mut program = Command::new(&copy);
        program.args(["--exact", test, "--nocapture"]).env(COPY, test);
        let ended = output(&mut program);
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(
            ended.status.success() && said.contains("1 passed"),
            "{said}{}",
            String::from_utf8_lossy(&ended.stderr)
        );
    }
    fs::remove_dir_all(&folder).unwrap();
}

/// What a program says that was written a moment ago: a child that another test has just started may still have the file open as
/// the writer's copy, until it becomes a program itself.
fn output(program: &mut Command) -> Output {
    let begun = Instant::now();
    loop {
        match program.output() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && begun.elapsed() < HANG => {
                thread::sleep(Duration::from_millis(1));
            }
            ended => return ended.unwrap(),
        }
    }
}

fn a_stack() -> StackTrace {
    let running = Running::start(spins_here);
    take(&mut capturer(), &running.target).trace
}

#[test]
fn a_program_that_was_replaced_while_it_runs_still_has_its_own_names() {
    let test = "a_program_that_was_replaced_while_it_runs_still_has_its_own_names";
    in_a_copy(
        test,
        |_| true,
        |program| {
            fs::remove_file(program).unwrap();
            assert!(names(&a_stack(), "outermost_of_the_test"), "it is gone from its folder");
            fs::write(program, "not a program").unwrap();
            assert!(names(&a_stack(), "outermost_of_the_test"), "another file has its name");
            fs::copy("/proc/self/exe", program).unwrap();
            assert!(names(&a_stack(), "outermost_of_the_test"));
        },
    );
}

#[test]
fn a_program_without_symbols_has_whole_stacks_that_say_where_in_which_file() {
    let strip = |program: &Path| {
        let stripped = Command::new("strip").arg(program).status().is_ok_and(|status| status.success());
        if !stripped {
            println!("skipped: there is no strip");
        }
        stripped
    };
    let test = "a_program_without_symbols_has_whole_stacks_that_say_where_in_which_file";
    in_a_copy(test, strip, |program| {
        let trace = a_stack();
        assert!(trace.complete(), "{}", shown(&trace));
        let frames = trace.frames();
        let own: Vec<_> = frames.iter().filter(|f| f.module.as_deref() == program.to_str()).collect();
        assert!(
            !own.is_empty() && own.iter().all(|f| f.function.is_none() && f.offset > 0),
            "{}",
            shown(&trace)
        );
        assert!(trace.to_string().contains("program+0x"), "{trace}");
    });
}

#[test]
fn a_sandbox_that_refuses_to_read_memory_by_a_call_leaves_the_file() {
    child("a_sandbox_that_refuses_to_read_memory_by_a_call_leaves_the_file", || {
        if !seccomp::supported() {
            return;
        }
        refuse(libc::SYS_process_vm_readv);
        let trace = a_stack();
        assert!(trace.complete() && names(&trace, "outermost_of_the_test"), "{}", shown(&trace));
    })
    .succeeded();
}

#[test]
fn a_sandbox_that_refuses_to_trace_is_said_to() {
    child("a_sandbox_that_refuses_to_trace_is_said_to", || {
        if !seccomp::supported() {
            return;
        }
        let running = Running::start(spins_here);
        refuse(libc::SYS_ptrace);
        let error = by(CaptureMode::Ptrace).capture(&running.target, None, HANG).unwrap_err();
        assert_eq!(error, CaptureError::System { call: "PTRACE_SEIZE", errno: libc::EPERM });
        assert!(error.to_string().starts_with("PTRACE_SEIZE was refused: "), "{error}");
        assert!(take(&mut capturer(), &running.target).trace.complete());
    })
    .succeeded();
}

/// From here on this thread, and those it starts, get EPERM from that call.
fn refuse(call: libc::c_long) {
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let (load, equal, answer) = (
        (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16,
        (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        (libc::BPF_RET | libc::BPF_K) as u16,
    );
    let mut program = [
        step(load, 0, 0, 0), // the call's number is first
        step(equal, 0, 1, u32::try_from(call).unwrap()),
        step(answer, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        step(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: takes integers.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    // SAFETY: the program is live.
    let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}
