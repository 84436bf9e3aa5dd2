//! What is read of this very process; also after a fork.
#![cfg(any(target_os = "linux", target_os = "android"))]

use signalpost::Bus;
use signalpost::monitor::{MemoryFigure, MemoryLimit, MemorySource, MemoryWatch, ProcessMemory};
use std::hint::black_box;
use std::sync::{Mutex, MutexGuard, PoisonError};

const MIB: u64 = 1 << 20;

/// One test at a time: they have one memory.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// So much memory, each page of it touched.
fn touched(mib: u64) -> Vec<u8> {
    let mut bytes = vec![0u8; (mib * MIB) as usize];
    bytes.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    black_box(bytes)
}

#[test]
fn memory_that_is_touched_is_resident_and_gone_when_it_is_freed_but_for_the_peak() {
    let _alone = alone();
    let mut process = ProcessMemory::new().unwrap();
    let before = process.read().unwrap();
    let block = touched(64);
    let with = process.read().unwrap();
    drop(block);
    let after = process.read().unwrap();
    assert!(with.rss > before.rss + 48 * MIB, "{before:?} {with:?}");
    assert!(after.rss < with.rss - 32 * MIB, "{with:?} {after:?}");
    assert!(after.peak_rss.unwrap() >= with.rss - 4 * MIB, "{with:?} {after:?}");
    assert!(with.virtual_size >= with.rss && with.rss >= with.shared, "{with:?}");
    assert_eq!(with.uss, None, "not unasked");
}

#[test]
fn uss_by_choice_is_what_this_process_has_alone() {
    let _alone = alone();
    let Ok(mut process) = ProcessMemory::with_uss() else {
        eprintln!("not tested: this kernel has no smaps_rollup");
        return;
    };
    let before = process.read().unwrap();
    let block = touched(32);
    let with = process.read().unwrap();
    assert!(with.uss.unwrap() > before.uss.unwrap() + 24 * MIB, "{before:?} {with:?}");
    assert!(with.uss.unwrap() <= with.rss + 8 * MIB, "read one after the other: {with:?}");
    assert_eq!(Some(MemoryFigure::Uss.of(&with)), with.uss);
    drop(block);
}

#[test]
fn a_watch_of_the_process_sees_it_grow_past_a_limit_and_shrink_again() {
    let _alone = alone();
    let mut process = ProcessMemory::new().unwrap();
    let limit = process.read().unwrap().rss + 32 * MIB;
    let (bus, mut watch) =
        (Bus::new(), MemoryWatch::builder().limit(MemoryLimit::Bytes(limit)).build().unwrap());
    assert!(watch.check(&bus).unwrap().exceeded().is_none());
    let block = touched(64);
    let check = watch.check(&bus).unwrap();
    assert!(check.exceeded().unwrap().mem_usage > limit);
    drop(block);
    let check = watch.check(&bus).unwrap();
    assert!(check.under().unwrap().peak > limit, "{check:?}");
}

/// An inherited descriptor goes on reporting the parent.
#[test]
fn after_a_fork_the_childs_own_memory_is_read() {
    let _alone = alone();
    let mut process = ProcessMemory::new().unwrap();
    process.read().unwrap();
    let mut reader = [0; 2];
    // SAFETY: two integers, as the call asks for.
    assert_eq!(unsafe { libc::pipe(reader.as_mut_ptr()) }, 0);
    // SAFETY: the child reads files, writes to a pipe and ends; glibc and musl keep their allocators usable across fork.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // 48 MiB that the parent has not: mapped, so that no allocator is asked.
        let length = 48 << 20;
        let (write, anonymous) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, wherever there is room.
        let block =
            unsafe { libc::mmap(std::ptr::null_mut(), length, write, anonymous | libc::MAP_POPULATE, -1, 0) };
        let numbers = match (
            block != libc::MAP_FAILED,
            process.read(),
            ProcessMemory::new().and_then(|mut own| own.read()),
        ) {
            (true, Ok(kept), Ok(own)) => [kept.rss, own.rss],
            _ => [0, 0],
        };
        // SAFETY: 16 bytes of a live array.
        unsafe { libc::write(reader[1], numbers.as_ptr().cast(), 16) };
        // SAFETY: ends the child without running anything of the parent's.
        unsafe { libc::_exit(0) };
    }
    assert!(child > 0);
    let mut numbers = [0u64; 2];
    // SAFETY: 16 bytes of a live array.
    let read = unsafe { libc::read(reader[0], numbers.as_mut_ptr().cast(), 16) };
    // SAFETY: waits for the child of above; no status is asked for.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    assert_eq!(read, 16);
    let [kept, opened_in_the_child] = numbers;
    assert!(kept >= 48 * MIB && kept.abs_diff(opened_in_the_child) < 4 * MIB, "{kept} {opened_in_the_child}");
}
