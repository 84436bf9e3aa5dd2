//! A check that publishes nothing allocates nothing, and keeps no file but the one.
#![cfg(any(target_os = "linux", target_os = "android"))]

use signalpost::Bus;
use signalpost::monitor::{MemoryCheck, MemoryLimit, MemoryMode, MemoryWatch, Steady};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;

struct Counting;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    ALLOCATED.with(|allocated| allocated.set(allocated.get() + 1));
}

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// One test alone in this program: files are the process's.
#[test]
fn a_quiet_check_allocates_nothing_and_opens_nothing() {
    let bus = Bus::new();
    let files = open_files();
    for mode in [MemoryMode::Gevent, MemoryMode::Steady(Steady::default())] {
        let mut watch = MemoryWatch::builder().limit(MemoryLimit::Bytes(1 << 60)).mode(mode).build().unwrap();
        assert_eq!(open_files(), files + 1);
        assert!(matches!(watch.check(&bus), Ok(MemoryCheck::Quiet(_))));
        let before = ALLOCATED.get();
        let quiet = (0..100).filter(|_| matches!(watch.check(&bus), Ok(MemoryCheck::Quiet(_)))).count();
        assert_eq!((quiet, ALLOCATED.get() - before), (100, 0));
        assert_eq!(open_files(), files + 1);
    }
    assert_eq!(open_files(), files);
}
