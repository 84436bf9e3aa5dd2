//! Memory stays bounded: by threads that come and go, by registrations that come and go, by subscribers that end
//! by themselves.

mod common;

use common::{Drops, Plain, alone};
use signalpost::SubscribeOptions;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};
use std::thread;

/// The system's allocator, which knows how many bytes are out.
struct Measuring;

static OUT: AtomicIsize = AtomicIsize::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Measuring {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        OUT.fetch_add(layout.size() as isize, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        OUT.fetch_sub(layout.size() as isize, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Measuring = Measuring;

/// By how many bytes this process has grown (so one test at a time, to its very end) from the first tenth of the rounds to the last.
fn growth(rounds: usize, mut round: impl FnMut(usize)) -> isize {
    (0..rounds / 10).for_each(&mut round);
    let before = OUT.load(Relaxed);
    (rounds / 10..rounds).for_each(&mut round);
    OUT.load(Relaxed) - before
}

/// Much less than any of these would leak, a block a round; more than the runtime's own odds and ends.
const SLACK: isize = 16 << 10;
const _: () = assert!(SLACK < 80_000);

#[test]
fn the_measure_measures() {
    let _alone = alone();
    let grown = growth(1_000, |_| std::mem::forget(vec![0_u8; 100]));
    assert!(grown >= 80_000, "{grown}");
}

#[test]
fn thousands_of_short_threads_use_the_same_slots() {
    let _alone = alone();
    let post = Arc::new(Plain::new());
    let _sub = post.subscribe(|_: &u32| ());
    let grown = growth(4_000, |round| {
        let threads = [(); 2].map(|()| {
            let post = post.clone();
            thread::spawn(move || {
                post.publish(&(round as u32));
            })
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert!(grown < SLACK, "grew by {grown} bytes");
}

#[test]
fn registrations_that_come_and_go_leave_nothing() {
    let _alone = alone();
    let post = Plain::new();
    let grown = growth(20_000, |round| {
        let sub = post.subscribe(move |_: &u32| assert!(round < 20_000));
        post.publish(&1);
        drop(sub);
    });
    assert!(grown < SLACK, "grew by {grown} bytes");
    assert_eq!(post.retired(), 0);
}

#[test]
fn dispatchers_that_come_and_go_leave_nothing() {
    let _alone = alone();
    let grown = growth(10_000, |_| {
        let post = Plain::new();
        let kept = post.subscribe(|_: &u32| ());
        post.subscribe(|_: &u32| ()).detach();
        post.publish(&1);
        drop(post);
        assert!(!kept.is_active());
    });
    assert!(grown < SLACK, "grew by {grown} bytes");
}

#[test]
fn a_program_that_only_registers_detached_once_subscribers_does_not_grow() {
    let _alone = alone();
    let (post, drops) = (Plain::new(), Drops::new());
    let grown = growth(20_000, |round| {
        let token = Box::new(round);
        post.subscribe_with(SubscribeOptions::new().once(), move |_: &u32| assert_eq!(*token, round))
            .detach();
        post.publish(&1);
        assert!(post.retired() <= 2);
    });
    assert!(grown < SLACK, "grew by {grown} bytes");
    drop(drops);
}

#[test]
fn a_program_that_only_adds_keeps_no_old_lists() {
    let _alone = alone();
    let post = Plain::<u32>::new();
    let grown = growth(10_000, |_| {
        post.subscribe(|_: &u32| ()).detach();
        assert!(post.retired() <= 64, "{post:?}");
    });
    // 9,000 subscribers of a few words each; every old list kept would be some hundred megabytes.
    assert!(grown < 4 << 20, "grew by {grown} bytes");
}

#[test]
fn scopes_that_come_and_go_leave_nothing() {
    let _alone = alone();
    let post = Plain::new();
    let grown = growth(5_000, |round| {
        let data = [round; 4];
        post.scope(|scope| {
            scope.subscribe(|n: &u32| assert_eq!(data[*n as usize], round));
            post.publish(&1);
        })
        .unwrap();
    });
    assert!(grown < SLACK, "grew by {grown} bytes");
}
