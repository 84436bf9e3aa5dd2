//! Filters on this thread's system calls, for tests in a process of their own.

use std::mem::offset_of;

#[cfg(target_arch = "x86_64")]
const ARCH: Option<u32> = Some(0xc000_003e); // AUDIT_ARCH_X86_64
#[cfg(target_arch = "aarch64")]
const ARCH: Option<u32> = Some(0xc000_00b7); // AUDIT_ARCH_AARCH64
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ARCH: Option<u32> = None;

/// Whether filters can be built for this machine and are allowed here; says so where not.
pub fn supported() -> bool {
    // SAFETY: asks, with a null filter: EFAULT says that filters are supported.
    let asked = unsafe {
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, std::ptr::null::<libc::sock_fprog>())
    };
    let known = asked == -1 && std::io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT);
    let yes = ARCH.is_some() && known;
    if !yes {
        println!("skipped: no seccomp filter for this machine or kernel");
    }
    yes
}

/// From here on this thread, and those it starts, get EPERM from `membarrier`.
pub fn refuse_membarrier() {
    install(&[libc::SYS_membarrier], libc::SECCOMP_RET_ERRNO | libc::EPERM as u32, libc::SECCOMP_RET_ALLOW);
}

/// From here on any system call of this thread but `_exit` ends the process with SIGSYS.
pub fn allow_only_exit() {
    let calls = [libc::SYS_exit_group, libc::SYS_exit];
    install(&calls, libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_KILL_PROCESS);
}

/// Gives `listed` for these calls and `others` for all others.
fn install(calls: &[libc::c_long], listed: u32, others: u32) {
    let load = |offset: usize| instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset as u32);
    let equal = |value: u32, yes: usize, no: usize| {
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, yes as u8, no as u8, value)
    };
    let answer = |value: u32| instruction(libc::BPF_RET | libc::BPF_K, 0, 0, value);

    let mut program = vec![
        load(offset_of!(libc::seccomp_data, arch)),
        equal(ARCH.expect("asked for by `supported`"), 1, 0),
        answer(libc::SECCOMP_RET_KILL_PROCESS),
        load(offset_of!(libc::seccomp_data, nr)),
    ];
    for (index, call) in calls.iter().enumerate() {
        program.push(equal(u32::try_from(*call).unwrap(), calls.len() - index, 0));
    }
    program.push(answer(others));
    program.push(answer(listed));

    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: takes integers.
    let promised = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(promised, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the program is whole and lives until the call returns.
    let installed =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    assert_eq!(installed, 0, "{}", std::io::Error::last_os_error());
}

fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt, jf, k }
}
