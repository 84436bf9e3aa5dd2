//! Tasks that say of themselves that they run, on an executor of the test's own: what a monitor says of those that block.

#[path = "../../dispatch/tests/common/mod.rs"]
mod common;
mod watched;

use common::{HANG, Stay, alone};
use signalpost::monitor::{LoopKind, Monitored, TaskId, expect_blocking};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::mpsc;
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};
use watched::{
    Block, LONG, Said, T, Watch, What, Witness, assert_true, reports, sleep, spin, this_thread, tries,
};

/// Polls a future that is never pending.
fn run<R>(future: impl Future<Output = R>) -> R {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        std::task::Poll::Ready(result) => result,
        std::task::Poll::Pending => panic!("it waits for nothing"),
    }
}

/// Runs it on a thread of its own, which goes on after that until the sender is dropped.
fn on_a_thread<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> (R, mpsc::Sender<()>) {
    let ((done, result), (stay, stays)) = (mpsc::channel(), mpsc::channel::<()>());
    thread::spawn(move || {
        done.send(f()).unwrap();
        let _ = stays.recv();
    });
    (result.recv_timeout(HANG).unwrap(), stay)
}

/// One poll that blocks by `how`, with its number.
fn blocks(name: &'static str, how: impl FnOnce() -> (Instant, Instant)) -> (Block, TaskId) {
    let from = Instant::now();
    let task = Monitored::new(async { how() }).named(name);
    let id = task.id();
    let inner = run(task);
    (Block { outer: (from, Instant::now()), inner }, id)
}

#[test]
fn twelve_of_twelve_polls_that_are_too_long_are_reported_once_with_their_name() {
    let _alone = alone(); // every monitor sees the tasks of all threads
    let watch = Watch::start();
    let last = std::cell::Cell::new(None);
    let one = |n: usize| {
        let how = move || if n.is_multiple_of(2) { sleep(LONG) } else { spin(LONG) };
        let ((block, id, thread), _stays) = on_a_thread(move || {
            let (block, id) = blocks("upload", how);
            (block, id, this_thread())
        });
        last.set(Some((id, thread)));
        (block, watch.of(&block))
    };
    tries("polls of tasks", one, LONG, |said| {
        let (id, thread) = last.get().unwrap();
        assert_eq!(reports(said), [1], "{said:?}");
        for said in said {
            assert_eq!((&*said.hub, said.kind, said.worker), ("tasks", LoopKind::Tasks, None));
            assert_eq!(
                (said.task.id, said.task.name.as_deref(), said.thread),
                (Some(id), Some("upload"), thread)
            );
            assert_eq!(said.task.spawned_at.map(|place| place.file()), Some(file!()));
        }
    });
    watch.says_nothing();
}

#[test]
fn an_inner_task_is_named_while_it_blocks_and_the_outer_one_when_it_goes_on() {
    let _alone = alone(); // every monitor sees the tasks of all threads
    let watch = Watch::start();
    let thread = || {
        let inner = async { thread::sleep(2 * T) };
        let outer = async {
            Monitored::new(inner).named("inner").await;
            thread::sleep(2 * T);
        };
        run(Monitored::new(outer).named("outer"));
    };
    let _stays = on_a_thread(thread);
    for name in ["inner", "outer"] {
        let said = watch.until_unblocked();
        assert!(said.iter().all(|said| said.task.name.as_deref() == Some(name)), "{said:?}");
        assert!(said.iter().all(|said| said.time < 4 * T || said.error > T), "each for itself: {said:?}");
    }
    watch.says_nothing();
}

#[test]
fn a_poll_that_panics_has_ended() {
    let _alone = alone(); // every monitor sees the tasks of all threads
    let watch = Watch::start();
    let _stays = on_a_thread(|| {
        // Not by `panic!`, whose trace of the stack may take longer than the limit.
        let task = Monitored::new(async { resume_unwind(Box::new("on purpose")) }).named("panics");
        assert!(catch_unwind(AssertUnwindSafe(|| run(task))).is_err());
    });
    thread::sleep(2 * T);
    watch.says_nothing();
}

#[test]
fn a_task_that_is_known_to_take_long_is_not_reported_and_what_it_interrupts_is() {
    let _alone = alone(); // every monitor sees the tasks of all threads
    let watch = Watch::start();
    let _stays = on_a_thread(|| {
        run(Monitored::new(async { thread::sleep(2 * T) }).expect_blocking());
        run(Monitored::new(async {
            let _known = expect_blocking();
            thread::sleep(2 * T);
        }));
    });
    watch.says_nothing();
    let _stays = on_a_thread(|| {
        let outer = async {
            Monitored::new(async { thread::sleep(2 * T) }).expect_blocking().await;
            thread::sleep(2 * T);
        };
        run(Monitored::new(outer).named("outer"));
    });
    let said = watch.until_unblocked();
    assert!(said.iter().all(|said| said.task.name.as_deref() == Some("outer")), "{said:?}");
    watch.says_nothing();
}

#[test]
fn short_polls_are_never_reported_however_many_there_are() {
    let _alone = alone(); // every monitor sees the tasks of all threads
    let watch = Watch::start();
    let (longest, _stays) = on_a_thread(|| {
        let (begun, mut longest) = (Instant::now(), Duration::ZERO);
        while begun.elapsed() < 5 * T {
            let (block, _) = blocks("short", || spin(T / 100));
            longest = longest.max(block.most());
        }
        longest
    });
    let said = watch.rest();
    assert!(said.iter().all(|said| said.time <= longest), "{said:?}: {longest:?} at most");
    assert!(longest >= T || said.is_empty(), "{said:?}");
}

#[test]
fn every_monitor_hears_of_a_task() {
    let _alone = alone(); // every monitor sees the tasks of all threads
    let (one, two) = (Watch::start(), Watch::start());
    let ((block, id), _stays) = on_a_thread(|| blocks("both", || sleep(3 * T)));
    for watch in [&one, &two] {
        let said = watch.of(&block);
        assert!(!said.is_empty() && said.iter().all(|said| said.task.id == Some(id)), "{said:?}");
    }
}

#[test]
fn a_task_of_a_thread_that_drives_a_loop_blocks_that_loop() {
    let _alone = alone(); // every monitor sees the tasks of all threads
    let watch = Watch::start();
    let monitor = (*watch.monitor).clone();
    let _stays = on_a_thread(move || {
        let mut guard = monitor.watch_loop("executor").unwrap();
        guard.busy();
        run(Monitored::new(async { thread::sleep(2 * T) }).named("inside"));
        guard.idle();
    });
    let said = watch.until_unblocked();
    let named = |said: &Said| &said.hub == "executor" && said.task.name.as_deref() == Some("inside");
    assert!(said.iter().all(named), "{said:?}");
    watch.says_nothing();
}

#[test]
fn a_hundred_tasks_that_block_at_once_are_all_found() {
    let _alone = alone(); // every monitor sees the tasks of all threads
    let watch = Watch::start();
    let stay = Stay::new();
    let threads: Vec<_> = (0..100)
        .map(|n| {
            let stays = stay.clone();
            let body =
                move || run(Monitored::new(async move { stays.here() }).named(&format!("task {}", n % 10)));
            thread::Builder::new().stack_size(256 << 10).spawn(body).unwrap()
        })
        .collect();
    let mut found: Vec<_> =
        (0..100).map(|_| watch.next()).take_while(|said| said.report().is_some()).collect();
    stay.leave.open();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    // More reports than a hundred at once are not made: those of threads that were found first may come before the last one's.
    found.extend(watch.rest());
    let mut first: Vec<_> = found.iter().filter_map(|said| said.report().and(said.thread)).collect();
    first.sort_unstable();
    first.dedup();
    assert!(first.len() > 50, "{}", first.len());
    let ends = found.iter().filter(|said| matches!(said.what, What::Unblocked { .. })).count();
    assert_eq!(ends, first.len(), "each once");
}

#[test]
fn the_first_block_of_a_new_thread_is_as_long_as_is_said() {
    let _alone = alone(); // every monitor sees the tasks of all threads
    let watch = Watch::start();
    for _ in 0..3 {
        let witness = Witness::start();
        let ((block, _), _stays) = on_a_thread(|| blocks("first", || sleep(2 * T)));
        let said = watch.of(&block);
        assert_true(&said, &block);
        assert!(!said.is_empty() || !witness.was_steady());
    }
}
