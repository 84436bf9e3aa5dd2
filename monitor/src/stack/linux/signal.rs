//! The place where a thread leaves its registers and its stack, and the signal handler that leaves them there.
//!
//! Owns the one place that a process has for it, who may use it, the copy, and what becomes of signals that are not ours.
//! Not here: what the bytes mean (`unwind.rs`), whether a thread can be asked (`passive.rs`).
//!
//! Of signals of one kind, but for those in real time, the system keeps one for a thread: for the µs between sending and handling ours
//! may take the place of somebody else's, who then misses that one.
//!
//! The handler makes no allocation, takes no lock, and uses a few hundred bytes of stack: 8 KiB for signals are enough.
//!
//! # Invariants
//! 1. Who put its number into `owner`, from 0 or from what a process before a `fork` left, is the owner: the only one who leaves the
//!    phase `IDLE` and who comes back to it. It gives `owner` back in phase `IDLE`, or, while somebody copies, leaves `ORPHAN`.
//! 2. `word` goes IDLE → ASKED (owner) → COPYING (one thread: that which is asked for, by its number in the same word) → DONE (that
//!    thread) → IDLE (owner), or ASKED → IDLE (owner). So there is one who copies, and it can tell that it is too late.
//! 3. `order` is written by the owner in IDLE, and read by the one who copies in COPYING.
//! 4. `answer` and `bytes` are written by the one who copies in COPYING, read by the owner in DONE, and cleared by it before IDLE.
//! 5. The bounds in an order are those of the stack that the thread was started with. As long as the thread is, all from its stack
//!    pointer up to the higher bound can be read; and it is, since it copies itself or is held by a tracer.
//! 6. `OLD[n]` is written before our handler is there for signal `n`, by an owner; never after.
//! 7. A handler is called by the kernel with its signal, what came with it, and the context that it interrupted, all valid
//!    until it returns.
//!
//! # Orderings
//! | edge | before                              | after                              |
//! |------|-------------------------------------|------------------------------------|
//! | OWN  | owner gives back: Release           | next owner's exchange: Acquire     |
//! | ASK  | owner's store of ASKED: Release     | the exchange to COPYING: Acquire   |
//! | DONE | store of DONE: Release              | owner's load: Acquire              |

#![allow(unsafe_code)]

use super::unwind::{Copied, Registers};
use crate::stack::{CaptureError, Probe, Said};
use libc::{c_int, c_void, siginfo_t, ucontext_t};
use std::cell::UnsafeCell;
use std::mem::{self, MaybeUninit, offset_of};
use std::process;
use std::ptr;
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed,
    Ordering::Release,
};
use std::time::{Duration, Instant};
use syscalls::{Sysno, syscall};

/// How much of a stack is copied.
pub(super) const MOST: usize = 256 << 10;
/// How much of a stack of which the bounds are not known.
pub(super) const MOST_FOREIGN: usize = 64 << 10;
const PAGE: usize = 4_096;
/// The kernel takes no longer time than some centuries.
const LONGEST: Duration = Duration::from_secs(3_600);
/// What a function may use below its stack pointer, and the kernel leaves alone: where a register was that was just popped.
const RED_ZONE: u64 = if cfg!(target_arch = "x86_64") { 128 } else { 0 };
/// Registers that are copied, by the numbers of the unwind tables.
const REGISTERS: usize = 32;

const IDLE: u32 = 0;
const ASKED: u32 = 1;
const COPYING: u32 = 2;
const DONE: u32 = 3;

/// The number of an owner that is gone while somebody copies.
const ORPHAN: u32 = u32::MAX;

/// Who is asked, and where its stack is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) low: u64,
    pub(super) high: u64,
    pub(super) probe: Option<Probe>,
}

#[derive(Clone, Copy)]
struct Answer {
    pc: u64,
    registers: [u64; REGISTERS],
    start: u64,
    len: usize,
    cut: bool,
    own: bool,
    said: Option<Said>,
    nanos: u64,
}

struct Slot {
    /// The process, and a number in it; 0: nobody.
    owner: AtomicU64,
    /// The thread that is asked, a count, the phase.
    word: AtomicU64,
    order: UnsafeCell<Order>,
    answer: UnsafeCell<MaybeUninit<Answer>>,
    bytes: UnsafeCell<[u8; MOST]>,
}

// SAFETY: the cells are used by one thread at a time: invariants 1 to 4, with edges OWN, ASK and DONE between them.
unsafe impl Sync for Slot {}

static SLOT: Slot = Slot {
    owner: AtomicU64::new(0),
    word: AtomicU64::new(0),
    order: UnsafeCell::new(Order { low: 0, high: 0, probe: None }),
    answer: UnsafeCell::new(MaybeUninit::uninit()),
    bytes: UnsafeCell::new([0; MOST]),
};

/// The low half of `word`: a count and the phase.
fn half(count: u32, phase: u32) -> u32 {
    count << 2 | phase
}

fn phase(word: u64) -> u32 {
    word as u32 & 3
}

/// The ownership of the place. Dropped, it is given back; what is in it is cleared.
#[derive(Debug)]
pub(super) struct Claim {
    owner: u64,
    count: u32,
}

impl Claim {
    /// None, if somebody else has it.
    pub(super) fn take() -> Option<Self> {
        static NUMBERS: AtomicU32 = AtomicU32::new(1);
        let number = NUMBERS.fetch_add(1, Relaxed) % (ORPHAN - 1) + 1;
        let process = u64::from(process::id());
        let owner = process << 32 | u64::from(number);
        let before = SLOT.owner.load(Relaxed);
        let left = before == process << 32 | u64::from(ORPHAN);
        let forked = before != 0 && before >> 32 != process;
        if before != 0 && !forked && !(left && phase(SLOT.word.load(Relaxed)) != COPYING) {
            return None;
        }
        // Edge OWN, with the store in `drop`.
        SLOT.owner.compare_exchange(before, owner, Acquire, Relaxed).ok()?;
        let word = SLOT.word.load(Acquire); // edge DONE, of one who copied for an owner that is gone
        let mut claim = Self { owner, count: (word as u32 >> 2).wrapping_add(1) & (u32::MAX >> 2) };
        match phase(word) {
            DONE => claim.clear(),
            COPYING => claim.idle(MOST), // the thread that copied is of the process before the `fork`
            ASKED => claim.idle(0),
            _ => {}
        }
        Some(claim)
    }

    /// From now on the thread finds the order when the signal reaches it.
    fn ask(&mut self, thread: u32, order: Order) {
        // SAFETY: this is the owner, in phase IDLE (invariants 1, 3).
        unsafe { SLOT.order.get().write(order) };
        SLOT.word.store(u64::from(thread) << 32 | u64::from(half(self.count, ASKED)), Release); // edge ASK
    }

    /// Waits for the answer, at most so long; whether it is there.
    pub(super) fn wait(&self, patience: Duration) -> bool {
        let begun = Instant::now();
        loop {
            let word = SLOT.word.load(Acquire); // edge DONE
            if phase(word) == DONE {
                return true;
            }
            let left = patience.saturating_sub(begun.elapsed()).min(LONGEST);
            if left.is_zero() {
                return false;
            }
            let timeout = libc::timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos().into() };
            let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
            // SAFETY: the word is static, and the time is on this stack; whatever the kernel says, the word is looked at again.
            let _ = unsafe { syscall!(Sysno::futex, futex(), operation, word as u32, &raw const timeout) };
        }
    }

    /// Takes the order back: a handler that comes later does nothing. False, if somebody copies, or has copied.
    pub(super) fn withdraw(&mut self) -> bool {
        let word = SLOT.word.load(Relaxed);
        let idle = u64::from(half(self.count, IDLE));
        let asked = phase(word) == ASKED;
        let withdrawn = asked && SLOT.word.compare_exchange(word, idle, Relaxed, Relaxed).is_ok();
        if withdrawn {
            let thread = (word >> 32) as u32;
            let _ = recent(thread).compare_exchange(thread, 0, Relaxed, Relaxed);
        }
        self.count = (self.count + 1) & (u32::MAX >> 2);
        withdrawn
    }

    /// What was copied. Only after [`wait`](Self::wait) said that it is there.
    pub(super) fn answer<R>(
        &mut self,
        read: impl FnOnce(Registers, &Copied<'_>, Option<Said>, Duration) -> R,
    ) -> Option<R> {
        if phase(SLOT.word.load(Acquire)) != DONE {
            return None; // edge DONE is above: nothing is read without it
        }
        // SAFETY: this is the owner, in phase DONE (invariants 1, 4).
        let answer = unsafe { *SLOT.answer.get() };
        // SAFETY: it is written before the phase is DONE (invariant 4).
        let answer = unsafe { answer.assume_init() };
        let mut registers = Registers::new(answer.pc, 0);
        for (number, value) in answer.registers.iter().enumerate() {
            registers.set(number as u16, Some(*value));
        }
        let first = SLOT.bytes.get().cast::<u8>();
        // SAFETY: `len` bytes were written (invariant 4), at most as many as there are, and nobody writes before this owner leaves DONE.
        let bytes = unsafe { std::slice::from_raw_parts(first, answer.len) };
        let copied = Copied { start: answer.start, bytes, cut: answer.cut, own: answer.own, held: true };
        let result = read(registers, &copied, answer.said, Duration::from_nanos(answer.nanos));
        self.clear();
        Some(result)
    }

    /// What was on a stack may be secret.
    fn clear(&mut self) {
        // SAFETY: as in `answer`: this is the owner, in phase DONE.
        let answer = unsafe { *SLOT.answer.get() };
        // SAFETY: as in `answer`.
        let len = unsafe { answer.assume_init() }.len;
        self.idle(len);
    }

    fn idle(&mut self, dirty: usize) {
        // SAFETY: this is the owner, and nobody copies: phase DONE, or another process's (invariants 1, 4). Within the array.
        unsafe { SLOT.bytes.get().cast::<u8>().write_bytes(0, dirty) };
        SLOT.word.store(u64::from(half(self.count, IDLE)), Relaxed); // seen with the next ASK or OWN
    }

    /// For a tracer, which copies in the thread's place: a handler on the thread finds that it is not asked.
    pub(super) fn begin(&mut self, thread: u32, order: Order) -> Copying {
        // SAFETY: this is the owner, in phase IDLE (invariants 1, 3).
        unsafe { SLOT.order.get().write(order) };
        let word = u64::from(thread) << 32 | u64::from(half(self.count, COPYING));
        SLOT.word.store(word, Relaxed); // the tracer starts after, and this thread waits for its end
        Copying { word }
    }

    /// The tracer has ended; it has copied nothing, if its right to do so is still there. Whatever it did, nobody copies any more.
    pub(super) fn end(&mut self, copying: Option<Copying>) {
        if phase(SLOT.word.load(Acquire)) != DONE {
            self.idle(if copying.is_some() { 0 } else { MOST });
        }
    }

    /// Whether it is of this process, and not of that before a `fork`.
    fn is_of_this_process(&self) -> bool {
        self.owner >> 32 == u64::from(process::id())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.is_of_this_process() {
            return; // who takes the place here sees that, too
        }
        self.withdraw();
        let mut after = 0;
        match phase(SLOT.word.load(Acquire)) {
            DONE => self.clear(), // edge DONE
            COPYING => after = self.owner >> 32 << 32 | u64::from(ORPHAN),
            _ => {}
        }
        SLOT.owner.store(after, Release); // edge OWN
    }
}

/// The right to write an answer.
pub(super) struct Copying {
    word: u64,
}

impl Copying {
    /// None, if nobody asks this thread, or no longer.
    fn take(thread: u32) -> Option<Self> {
        let word = SLOT.word.load(Relaxed);
        if phase(word) != ASKED || (word >> 32) as u32 != thread {
            return None;
        }
        let copying = word & !3 | u64::from(COPYING);
        // Edge ASK. One thread has this number, and it is in one handler at a time: all signals are blocked there.
        SLOT.word.compare_exchange(word, copying, Acquire, Relaxed).ok()?;
        Some(Self { word: copying })
    }

    /// Copies, asks, and says that it is done. Async-signal-safe, and without thread-locals of its own.
    pub(super) fn finish(self, pc: u64, registers: [u64; REGISTERS], sp: u64, begun: u64) {
        // SAFETY: the right to copy is the phase COPYING (invariant 3).
        let order = unsafe { *SLOT.order.get() };
        let (start, len, own) = copy(sp, &order);
        let said = order.probe.map(|probe| probe());
        let cut = own && start + (len as u64) < order.high;
        let nanos = nanos().saturating_sub(begun);
        let answer = Answer { pc, registers, start, len, cut, own, said, nanos };
        // SAFETY: the right to copy is the phase COPYING (invariant 4).
        unsafe { SLOT.answer.get().write(MaybeUninit::new(answer)) };
        SLOT.word.store(self.word | u64::from(DONE), Release); // edge DONE
        let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: the word is static; a wake-up that nobody waits for does nothing.
        let _ = unsafe { syscall!(Sysno::futex, futex(), operation, 1) };
    }
}

/// Threads that were in our handler lately, each at the place of its number: they may not have left it.
static RECENT: [AtomicU32; 64] = [const { AtomicU32::new(0) }; 64];

fn recent(thread: u32) -> &'static AtomicU32 {
    &RECENT[thread as usize % RECENT.len()]
}

/// Whether a thread has all signals blocked because it is, maybe, still in our handler, which has answered: it will come out.
/// Not so, if it did not answer the last time.
pub(super) fn may_be_in_handler(thread: u32, blocked: u64) -> bool {
    /// All but the two that cannot be blocked, and those that the C library keeps for itself.
    const ALL: u32 = 60;
    blocked.count_ones() >= ALL && recent(thread).load(Relaxed) == thread
}

/// The half of `word` that changes with the phase: the lower one, on these machines the first.
fn futex() -> *mut u32 {
    SLOT.word.as_ptr().cast()
}

/// Copies the stack from there on: where it starts, how much it is, and whether it is the thread's own.
fn copy(sp: u64, order: &Order) -> (u64, usize, bool) {
    let to = SLOT.bytes.get().cast::<u8>();
    if order.low <= sp && sp < order.high {
        let page = sp & !(PAGE as u64 - 1);
        let start = sp.saturating_sub(RED_ZONE).max(page).max(order.low);
        let len = ((order.high - start) as usize).min(MOST);
        // SAFETY: `len` bytes from `start` on can be read (invariant 5; what is below the pointer is of the same page), and written
        // (invariant 4).
        unsafe { ptr::copy_nonoverlapping(ptr::with_exposed_provenance(start as usize), to, len) };
        return (start, len, true);
    }
    // Page by page, since the kernel may give all of a piece or none.
    let mut from = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; MOST_FOREIGN / PAGE];
    let mut at = sp as usize;
    for piece in &mut from {
        let end = (at | (PAGE - 1)).saturating_add(1);
        *piece = libc::iovec { iov_base: ptr::with_exposed_provenance_mut(at), iov_len: end - at };
        at = end;
    }
    let local = libc::iovec { iov_base: to.cast(), iov_len: MOST_FOREIGN };
    // SAFETY: takes nothing and always succeeds.
    let process = unsafe { syscall!(Sysno::getpid) }.unwrap_or(0);
    // SAFETY: writes into the buffer (invariant 4), which is larger; memory that cannot be read is an error, and no fault.
    let read = unsafe {
        syscall!(Sysno::process_vm_readv, process, &raw const local, 1, from.as_ptr(), from.len(), 0)
    };
    (sp, read.unwrap_or(0), false)
}

/// The monotonic clock.
pub(super) fn nanos() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the time to this stack.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// How much of the first thread's stack is taken for one piece: the kernel keeps 128 MiB free for it, whatever its limit is. Where that
/// is higher, or none, the bound that is told is where other memory ended at that time, which may grow: nobody reserved what is between.
const MOST_FIRST: u64 = 64 << 20;

/// The bounds of the calling thread's stack, the lower one first; none: (0, 0).
pub(super) fn bounds() -> (u64, u64) {
    let mut attributes = MaybeUninit::uninit();
    // SAFETY: takes nothing and always succeeds.
    let this = unsafe { libc::pthread_self() };
    // SAFETY: of this thread, into a place for it.
    if unsafe { libc::pthread_getattr_np(this, attributes.as_mut_ptr()) } != 0 {
        return (0, 0);
    }
    let (mut low, mut len) = (ptr::null_mut(), 0);
    // SAFETY: the attributes are there, since the call above succeeded.
    let known = unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut low, &raw mut len) };
    // SAFETY: as above, and not used after.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    if known != 0 {
        return (0, 0);
    }
    let (low, high) = (low.addr() as u64, (low.addr() + len) as u64);
    let first = nix::unistd::gettid() == nix::unistd::getpid();
    (if first { low.max(high.saturating_sub(MOST_FIRST)) } else { low }, high)
}

/// A handler that was there before ours.
struct Old {
    ours: AtomicBool,
    handler: AtomicUsize,
    flags: AtomicI32,
}

const SIGNALS: usize = 65;

static OLD: [Old; SIGNALS] = [const {
    Old { ours: AtomicBool::new(false), handler: AtomicUsize::new(libc::SIG_DFL), flags: AtomicI32::new(0) }
}; SIGNALS];

/// Sends the order with a signal. `claim` has been taken for it.
pub(super) fn ask(claim: &mut Claim, thread: u32, signal: i32, order: Order) -> Result<(), CaptureError> {
    install(claim, signal)?;
    claim.ask(thread, order);
    // What the kernel takes from a process that queues a signal: number, errno, code, and three fields more.
    #[repr(C)]
    struct Info {
        signal: c_int,
        errno: c_int,
        code: c_int,
        gap: c_int,
        process: u32,
        user: u32,
        value: u64,
        rest: [u64; 12],
    }
    const { assert!(size_of::<Info>() == size_of::<siginfo_t>() && offset_of!(Info, process) == 16) };
    // SAFETY: takes nothing and always succeeds.
    let user = unsafe { libc::getuid() };
    let process = process::id();
    let info =
        Info { signal, errno: 0, code: libc::SI_QUEUE, gap: 0, process, user, value: token(), rest: [0; 12] };
    // SAFETY: reads the record on this stack. A thread that is not there is an error.
    let sent = unsafe { syscall!(Sysno::rt_tgsigqueueinfo, process, thread, signal, &raw const info) };
    sent.map(drop).map_err(|error| {
        claim.withdraw();
        match error.into_raw() {
            libc::ESRCH => CaptureError::NoThread,
            errno => CaptureError::System { call: "rt_tgsigqueueinfo", errno },
        }
    })
}

/// By this our signals are known, also beside another copy of this code.
fn token() -> u64 {
    (&raw const SLOT).addr() as u64
}

/// Puts our handler there once; says so, if it is no longer there.
fn install(_owner: &Claim, signal: i32) -> Result<(), CaptureError> {
    let refused = |_| {
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
        CaptureError::System { call: "sigaction", errno }
    };
    let old = usize::try_from(signal).ok().and_then(|n| OLD.get(n));
    let old = old.ok_or(CaptureError::System { call: "sigaction", errno: libc::EINVAL })?;
    let current = action(signal, None).map_err(refused)?;
    if current.sa_sigaction == handler as *const () as usize {
        return Ok(());
    }
    if old.ours.load(Relaxed) {
        return Err(CaptureError::HandlerReplaced { signal });
    }
    // What the handler calls is bound before: a loader that does so at the first call needs more stack than there may be.
    nanos();
    // SAFETY: always there.
    unsafe { libc::__errno_location() };
    old.handler.store(current.sa_sigaction, Relaxed);
    old.flags.store(current.sa_flags, Relaxed);
    // SAFETY: all zero is a set of no signals and a handler of none.
    let mut ours: libc::sigaction = unsafe { mem::zeroed() };
    ours.sa_sigaction = handler as *const () as usize;
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: a set on this stack.
    unsafe { libc::sigfillset(&raw mut ours.sa_mask) };
    action(signal, Some(&ours)).map_err(refused)?;
    old.ours.store(true, Relaxed);
    Ok(())
}

/// The action that a signal had, and a new one for it.
fn action(signal: i32, new: Option<&libc::sigaction>) -> Result<libc::sigaction, ()> {
    // SAFETY: all zero is an action.
    let mut old: libc::sigaction = unsafe { mem::zeroed() };
    let new = new.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: both are null or live; the handler that is installed by it is async-signal-safe.
    match unsafe { libc::sigaction(signal, new, &raw mut old) } {
        0 => Ok(old),
        _ => Err(()),
    }
}

extern "C" fn handler(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let begun = nanos();
    // SAFETY: always there.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: this thread's own.
    let before = unsafe { *errno };
    // Of signals of a kind the system keeps one: that of somebody else may have come in the place of ours.
    if phase(SLOT.word.load(Relaxed)) == ASKED {
        // SAFETY: takes nothing and always succeeds.
        let thread = unsafe { syscall!(Sysno::gettid) }.unwrap_or(0) as u32;
        if let Some(copying) = Copying::take(thread) {
            recent(thread).store(thread, Relaxed);
            // SAFETY: of this handler (invariant 7).
            let (pc, registers, sp) = registers(unsafe { &*context.cast::<ucontext_t>() });
            copying.finish(pc, registers, sp, begun);
        }
    }
    if !is_ours(info) {
        chain(signal, info, context);
    }
    // SAFETY: this thread's own.
    unsafe { *errno = before };
}

fn is_ours(info: *mut siginfo_t) -> bool {
    // SAFETY: of this handler (invariant 7).
    let info = unsafe { &*info };
    // SAFETY: a signal that was queued has a value.
    info.si_code == libc::SI_QUEUE && unsafe { info.si_value() }.sival_ptr.addr() as u64 == token()
}

/// Calls the handler that was there before, if there was one; else does what the system would have done.
fn chain(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let Some(old) = usize::try_from(signal).ok().and_then(|n| OLD.get(n)) else { return };
    let (old, flags) = (old.handler.load(Relaxed), old.flags.load(Relaxed));
    match old {
        libc::SIG_IGN => {}
        libc::SIG_DFL => by_default(signal),
        _ if flags & libc::SA_SIGINFO != 0 => {
            type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);
            let old = ptr::with_exposed_provenance::<()>(old);
            // SAFETY: the kernel would call it so (invariant 6).
            let old = unsafe { mem::transmute::<*const (), Handler>(old) };
            old(signal, info, context);
        }
        _ => {
            let old = ptr::with_exposed_provenance::<()>(old);
            // SAFETY: the kernel would call it so (invariant 6).
            let old = unsafe { mem::transmute::<*const (), extern "C" fn(c_int)>(old) };
            old(signal);
        }
    }
}

/// What the system does with a signal that has no handler: with most of them it ends the process.
fn by_default(signal: c_int) {
    if matches!(signal, libc::SIGURG | libc::SIGCHLD | libc::SIGWINCH | libc::SIGCONT) {
        return;
    }
    // SAFETY: all zero is an action: the default.
    let default: libc::sigaction = unsafe { mem::zeroed() };
    if action(signal, Some(&default)).is_ok() {
        // SAFETY: sends the signal to this thread, where it is blocked until the handler has returned.
        unsafe { libc::raise(signal) };
    }
}

/// Program counter, registers by the numbers of the unwind tables, and stack pointer.
#[cfg(target_arch = "x86_64")]
fn registers(context: &ucontext_t) -> (u64, [u64; REGISTERS], u64) {
    use libc::{
        REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RAX, REG_RBP, REG_RBX,
        REG_RCX, REG_RDI, REG_RDX, REG_RIP, REG_RSI, REG_RSP,
    };
    let order = [
        REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8, REG_R9, REG_R10,
        REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP,
    ];
    let all = &context.uc_mcontext.gregs;
    let mut registers = [0; REGISTERS];
    for (to, from) in registers.iter_mut().zip(order) {
        *to = all[from as usize] as u64;
    }
    (all[REG_RIP as usize] as u64, registers, all[REG_RSP as usize] as u64)
}

#[cfg(target_arch = "aarch64")]
fn registers(context: &ucontext_t) -> (u64, [u64; REGISTERS], u64) {
    let all = &context.uc_mcontext;
    let mut registers = [0; REGISTERS];
    registers[..31].copy_from_slice(&all.regs);
    registers[31] = all.sp;
    (all.pc, registers, all.sp)
}

#[cfg(test)]
mod tests {
    use super::{Claim, SLOT};
    use crate::stack::{CaptureError, CaptureMode, Capturer, Target};
    use std::iter;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn nothing_of_a_stack_is_left_where_it_was_copied() {
        let (tell, told) = mpsc::channel();
        let (keep, ends) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            tell.send(Target::current()).unwrap();
            let _ = ends.recv();
        });
        let target = told.recv().unwrap();
        let mut capturer = Capturer::new(CaptureMode::Signal, None);
        let capture = || match capturer.capture(&target, None, Duration::from_secs(60)) {
            Err(CaptureError::Busy) => None, // by another test
            taken => Some(taken.unwrap()),
        };
        let taken = iter::repeat_with(capture).flatten().next().unwrap();
        assert!(taken.trace.addresses().len() > 2);
        let owner = iter::repeat_with(Claim::take).flatten().next();
        // SAFETY: this is the owner, in phase IDLE (invariants 1, 4).
        let bytes = unsafe { &*SLOT.bytes.get() };
        assert!(bytes.iter().all(|&byte| byte == 0));
        drop(owner);
        drop(keep);
        thread.join().unwrap();
    }
}
