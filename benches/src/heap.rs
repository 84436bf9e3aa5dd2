//! Counts the bytes each thread takes from the heap. In this program only: the library and the
//! criterion benches run on the plain allocator.
//!
//! Counted as requested, without what the allocator adds. One thread-local addition a call, no
//! shared memory, so that the counting does not slow the threads that it watches.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

/// The system's allocator, counted.
pub(crate) struct Counting;

thread_local! {
    // Const and without a destructor: usable before and after everything else of the thread.
    static HELD: Cell<isize> = const { Cell::new(0) };
}

/// Bytes that this thread has taken and not given back; below 0 if it freed others' memory.
pub(crate) fn held_by_this_thread() -> isize {
    HELD.get()
}

fn count(bytes: isize) {
    HELD.set(HELD.get().wrapping_add(bytes));
}

// SAFETY: every call goes to `System` unchanged; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise is the one `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as in `alloc`; the block came from `System` by one of these.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: as in `dealloc`.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_thread_takes_is_counted_until_it_is_given_back() {
        let before = held_by_this_thread();
        let mut bytes: Vec<u8> = Vec::with_capacity(1000);
        assert_eq!(held_by_this_thread() - before, 1000);
        bytes.reserve_exact(5000);
        assert_eq!(held_by_this_thread() - before, 5000);
        let zeroed = vec![0_u64; 100];
        assert_eq!(held_by_this_thread() - before, 5800);
        drop((bytes, zeroed));
        assert_eq!(held_by_this_thread(), before);
    }
}
