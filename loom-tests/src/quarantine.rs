//! While loom runs a model, memory that is freed stays as it is until the next execution begins.
//!
//! So a fault that frees too early shows as a dead [`Canary`](crate::Canary), not as whatever the memory is used for next;
//! and no address comes twice in one execution: which comparisons of pointers succeed would depend on the allocator then,
//! and loom needs executions that repeat exactly.
//!
//! # Invariants
//! 1. Behind each block there is room for a [`Held`], at a place that the block's layout tells.
//! 2. The blocks in a thread's list were freed there, and are in no other list.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;

struct Quarantine;

#[global_allocator]
static QUARANTINE: Quarantine = Quarantine;

/// A block that was freed.
struct Held {
    next: *mut Held,
    block: *mut u8,
    layout: Layout,
}

thread_local! {
    static ON: Cell<bool> = const { Cell::new(false) };
    static LIST: Cell<*mut Held> = const { Cell::new(null_mut()) };
}

/// The layout with room behind it (1), and where that is.
fn extended(layout: Layout) -> Option<(Layout, usize)> {
    let (extended, at) = layout.extend(Layout::new::<Held>()).ok()?;
    Some((extended.pad_to_align(), at))
}

// SAFETY: blocks come from the system's allocator, larger than asked for, and go back there with the layout they came with.
unsafe impl GlobalAlloc for Quarantine {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((extended, _)) = extended(layout) else { return null_mut() };
        // SAFETY: not of size 0, since it has room for a `Held`.
        unsafe { System.alloc(extended) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some((extended, at)) = extended(layout) else { return };
        if !ON.get() {
            // SAFETY: from `alloc` with this layout.
            return unsafe { System.dealloc(block, extended) };
        }
        // SAFETY: inside the block (1).
        let held = unsafe { block.add(at) }.cast::<Held>();
        // SAFETY: as above, aligned by `extend`, and nobody else's.
        unsafe { held.write(Held { next: LIST.get(), block, layout: extended }) };
        LIST.set(held);
    }
}

/// An execution begins on this thread: what the last one freed goes back to the system.
pub(crate) fn next_execution() {
    let mut next = LIST.replace(null_mut());
    while !next.is_null() {
        // SAFETY: written by `dealloc` (2).
        let held = unsafe { next.read() };
        next = held.next;
        // SAFETY: as `dealloc` was told.
        unsafe { System.dealloc(held.block, held.layout) };
    }
    ON.set(true);
}

/// The last execution on this thread has ended.
pub(crate) fn end() {
    next_execution();
    ON.set(false);
}
