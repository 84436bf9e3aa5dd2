//! Filters on this thread's system calls, for tests in a process of their own.

use std::mem::offset_of;
#[cfg(target_arch = "x86_64")]
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

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

/// From here on this thread's system calls are counted. Those that are no futex's, and no end of the process or of a signal
/// handler, fail.
///
/// Each is trapped; the handler makes a futex's again, with a mark in an argument that it does not look at.
#[cfg(target_arch = "x86_64")]
pub fn count_system_calls() {
    // SAFETY: all zeros is an action without flags.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_flags = libc::SA_SIGINFO;
    action.sa_sigaction = trapped as *const () as usize;
    // SAFETY: the handler calls nothing but the system.
    let set = unsafe { libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut()) };
    assert_eq!(set, 0);
    let free = [libc::SYS_rt_sigreturn, libc::SYS_exit_group, libc::SYS_exit];
    let mut program = vec![load(offset_of!(libc::seccomp_data, nr))];
    for (index, call) in free.iter().enumerate() {
        program.push(equal(u32::try_from(*call).unwrap(), free.len() - index + 2, 0));
    }
    program.push(load(offset_of!(libc::seccomp_data, args) + 5 * size_of::<u64>()));
    program.push(equal(MARK as u32, 1, 0));
    program.push(answer(libc::SECCOMP_RET_TRAP));
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    start(&mut program);
}

/// How many futex's calls there were since, and how many others.
#[cfg(target_arch = "x86_64")]
pub fn counted() -> (u32, u32) {
    (FUTEXES.load(SeqCst), OTHERS.load(SeqCst))
}

#[cfg(target_arch = "x86_64")]
const MARK: u64 = 0x5160_a157;
#[cfg(target_arch = "x86_64")]
static FUTEXES: AtomicU32 = AtomicU32::new(0);
#[cfg(target_arch = "x86_64")]
static OTHERS: AtomicU32 = AtomicU32::new(0);

#[cfg(target_arch = "x86_64")]
extern "C" fn trapped(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: what the kernel gives a handler of this kind, and this handler alone has it.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    let registers = &mut context.uc_mcontext.gregs;
    let register = |name: libc::c_int| registers[name as usize];
    let result = if register(libc::REG_RAX) == libc::SYS_futex {
        FUTEXES.fetch_add(1, SeqCst);
        let [a, b, c, d, e] =
            [libc::REG_RDI, libc::REG_RSI, libc::REG_RDX, libc::REG_R10, libc::REG_R8].map(register);
        // SAFETY: the call that was trapped.
        unsafe { libc::syscall(libc::SYS_futex, a, b, c, d, e, MARK) }
    } else {
        OTHERS.fetch_add(1, SeqCst);
        -libc::c_long::from(libc::ENOSYS)
    };
    registers[libc::REG_RAX as usize] = result;
}

/// Gives `listed` for these calls and `others` for all others.
fn install(calls: &[libc::c_long], listed: u32, others: u32) {
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
    start(&mut program);
}

fn load(offset: usize) -> libc::sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset as u32)
}

fn equal(value: u32, yes: usize, no: usize) -> libc::sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, yes as u8, no as u8, value)
}

fn answer(value: u32) -> libc::sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, value)
}

fn start(program: &mut [libc::sock_filter]) {
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
