//! What a forked child does about the words of threads that it does not have.
//!
//! Owns the process generation: a number in a page that the kernel wipes in a child (`MADV_WIPEONFORK`), so a raw
//! `clone` is noticed too, and no handler is registered that a `dlclose` would leave dangling.
//! Looked at by writers and by a thread that claims its slot, never by a reader.
//!
//! The child has one thread of the parent's, and its slot must keep its words: it may have been forked inside a read.
//! Threads begun in the child claim slots of the new generation. So the words to clear are those of slots claimed in an
//! older generation, but for the surviving thread's own, and only that thread can tell which is its own: it is
//! the one whose thread id is the process id. Until it writes (or claims a slot), dead words delay reclamation in
//! the child, and waits there may time out; nothing is freed too early.
//!
//! `vfork`, and `fork` from a signal handler, are not supported.

#[cfg(all(unix, not(signalpost_loom), not(miri)))]
pub(crate) use imp::{check, generation};

#[cfg(all(unix, not(signalpost_loom), not(miri)))]
mod imp {
    use crate::pin;
    use crate::sync::plain::{AtomicPtr, AtomicU32};
    use std::ptr::null_mut;
    use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

    /// How often this process, or one it was forked from, was seen to have been forked.
    static GENERATION: AtomicU32 = AtomicU32::new(0);
    /// The generation in which the surviving thread has cleared what the others left.
    static CLEARED: AtomicU32 = AtomicU32::new(0);
    /// A word that reads as 0 in a child that has not looked yet. Null: not mapped yet.
    static MARK: AtomicPtr<AtomicU32> = AtomicPtr::new(null_mut());

    /// The generation of this process.
    pub(crate) fn generation() -> u32 {
        if forked() {
            GENERATION.fetch_add(1, AcqRel);
        }
        let now = GENERATION.load(Acquire);
        if CLEARED.load(Relaxed) != now && survivor() {
            pin::inherit(now);
            CLEARED.store(now, Relaxed);
        }
        now
    }

    /// Notices a fork, and clears what it left if this thread is the one that can.
    pub(crate) fn check() {
        generation();
    }

    /// Whether this process was forked since anyone last asked. True for one caller only.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn forked() -> bool {
        let mut mark = MARK.load(Acquire);
        if mark.is_null() {
            mark = map();
        }
        // SAFETY: `map` gave a page that stays mapped, zeroed or 1, aligned; or a leaked box.
        let mark = unsafe { &*mark };
        mark.load(Relaxed) == 0 && mark.compare_exchange(0, 1, AcqRel, Relaxed).is_ok()
    }

    /// Maps the page, with a 1 in it.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[cold]
    fn map() -> *mut AtomicU32 {
        const PAGE: usize = 4096; // the least there is; the kernel rounds up
        // SAFETY: a new private anonymous mapping touches no memory of ours.
        let page = unsafe {
            libc::mmap(
                null_mut(),
                PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        let wiped = page != libc::MAP_FAILED
            // SAFETY: the mapping just made, in its whole length. Kernels before 4.14 refuse.
            && unsafe { libc::madvise(page, PAGE, libc::MADV_WIPEONFORK) } == 0;
        let mark: *mut AtomicU32 = if wiped {
            page.cast()
        } else {
            // Forks go unnoticed then: dead words delay a child's reclamation for ever, and free nothing early.
            Box::into_raw(Box::new(AtomicU32::new(1)))
        };
        // SAFETY: see above: mapped or boxed, aligned, ours alone until the exchange below.
        unsafe { &*mark }.store(1, Relaxed);
        match MARK.compare_exchange(null_mut(), mark, AcqRel, Acquire) {
            Ok(_) => mark,
            Err(theirs) => theirs, // ours is a page lost, once
        }
    }

    /// Whether this thread is the one that came along from the parent: it leads the child's thread group.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn survivor() -> bool {
        // SAFETY: takes nothing, cannot fail.
        let thread = unsafe { libc::syscall(libc::SYS_gettid) };
        // SAFETY: takes nothing, cannot fail.
        thread == libc::c_long::from(unsafe { libc::getpid() })
    }

    /// Elsewhere there is no such page: the process id is asked for, one system call a write.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn forked() -> bool {
        static PROCESS: AtomicU32 = AtomicU32::new(0);
        let now = std::process::id();
        let before = PROCESS.load(Relaxed);
        let _ = &MARK;
        before != now && PROCESS.compare_exchange(before, now, AcqRel, Relaxed).is_ok() && before != 0
    }

    /// Elsewhere the main thread is the one that came along.
    #[cfg(target_vendor = "apple")]
    fn survivor() -> bool {
        // SAFETY: takes nothing, cannot fail.
        unsafe { libc::pthread_main_np() == 1 }
    }

    /// Elsewhere nobody can tell: dead words stay.
    #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
    fn survivor() -> bool {
        false
    }
}

/// Where there is no `fork`, there is one generation.
#[cfg(not(all(unix, not(signalpost_loom), not(miri))))]
pub(crate) const fn generation() -> u32 {
    0
}

/// Where there is no `fork`, there is nothing to notice.
#[cfg(not(all(unix, not(signalpost_loom), not(miri))))]
pub(crate) const fn check() {}
