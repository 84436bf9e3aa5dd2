//! What a forked child does about the words of threads that it does not have.
//!
//! Owns the process generation: a number in a page that the kernel wipes in a child (`MADV_WIPEONFORK`), so a raw
//! `clone` is noticed too, and no handler is registered that a `dlclose` would leave dangling.
//! Looked at by writers and by a thread that claims its slot, never by a reader that has one.
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
    #[cfg(any(target_os = "linux", target_os = "android"))]
    use crate::sync::plain::AtomicPtr;
    use crate::sync::plain::AtomicU32;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    use crate::sync::plain::AtomicU64;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    use std::ptr::null_mut;
    use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

    /// The largest generation that any thread has begun to make; never less than the one that holds.
    static LARGEST: AtomicU32 = AtomicU32::new(0);
    /// The generation in which the surviving thread has cleared what the others left.
    static CLEARED: AtomicU32 = AtomicU32::new(0);

    /// The generation of this process: how often it, or one it was forked from, was seen to have been forked.
    pub(crate) fn generation() -> u32 {
        let now = current();
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

    /// A generation that no slot has yet, where this process was found to be a new one.
    fn next() -> u32 {
        let next = LARGEST.load(Relaxed).wrapping_add(1);
        LARGEST.fetch_max(next, Relaxed);
        next
    }

    /// A word that reads as 0 in a child that has not looked yet, and else as the generation and one. It alone says
    /// which generation it is: noticing a fork and naming the new one is a single exchange, so that no thread of the
    /// child can take a slot under the old one. Null: not mapped yet.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    static MARK: AtomicPtr<AtomicU32> = AtomicPtr::new(null_mut());

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn current() -> u32 {
        let mut mark = MARK.load(Acquire);
        if mark.is_null() {
            mark = map();
        }
        // SAFETY: `map` gave a page that stays mapped, zeroed or written, aligned; or a leaked box.
        let mark = unsafe { &*mark };
        let mut word = mark.load(Acquire);
        if word == 0 {
            let fresh = next().wrapping_add(1);
            word = mark.compare_exchange(0, fresh, AcqRel, Acquire).map_or_else(|theirs| theirs, |_| fresh);
        }
        word.wrapping_sub(1)
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

    /// Elsewhere there is no such page: the process id is asked for, one system call a write, and one word holds it and
    /// the generation.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn current() -> u32 {
        static WORD: AtomicU64 = AtomicU64::new(0);
        let process = u64::from(std::process::id()) << 32;
        let mut word = WORD.load(Acquire);
        if word >> 32 != process >> 32 {
            let generation = if word == 0 { 0 } else { next() };
            let fresh = process | u64::from(generation);
            word =
                WORD.compare_exchange(word, fresh, AcqRel, Acquire).map_or_else(|theirs| theirs, |_| fresh);
        }
        word as u32
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
