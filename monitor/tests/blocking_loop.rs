//! Loops written by hand: what a monitor says of turns that take too long.

#[path = "../../dispatch/tests/common/mod.rs"]
mod common;
mod watched;

use common::{Gate, HANG, Stay, within};
use signalpost::monitor::{LoopGuard, LoopKind, MonitorRef, WatchError, expect_blocking};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use watched::{Block, LONG, Said, T, Watch, What, assert_true, reports, sleep, spin, this_thread, tries};

type Turn = Box<dyn FnOnce(&mut LoopGuard) + Send>;

/// A loop on a thread of its own, which waits for turns.
struct Loop {
    turns: Option<mpsc::Sender<Turn>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Loop {
    fn start(monitor: &MonitorRef, name: &str) -> Self {
        let (turns, next) = mpsc::channel::<Turn>();
        let (monitor, name) = (monitor.clone(), name.to_owned());
        let watched = Gate::new();
        let is = watched.clone();
        let thread = thread::spawn(move || {
            let mut guard = monitor.watch_loop(&name).unwrap();
            is.open();
            while let Ok(turn) = next.recv() {
                turn(&mut guard);
            }
        });
        watched.wait();
        Self { turns: Some(turns), thread: Some(thread) }
    }

    /// Has it do something that tells its result.
    fn does<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut LoopGuard) -> R + Send + 'static,
    ) -> mpsc::Receiver<R> {
        let (done, result) = mpsc::channel();
        let turn: Turn = Box::new(move |guard| done.send(f(guard)).unwrap_or_default());
        self.turns.as_ref().unwrap().send(turn).unwrap();
        result
    }

    /// One turn, which is blocked as long as `stay` says.
    fn stays(&self, stay: Stay) -> mpsc::Receiver<()> {
        self.does(move |guard| {
            guard.busy();
            stay.here();
            guard.idle();
        })
    }

    /// One turn, which blocks by `how`.
    fn blocks(&self, how: impl FnOnce() -> (Instant, Instant) + Send + 'static) -> Block {
        let turn = self.does(move |guard| {
            let from = Instant::now();
            guard.busy();
            let inner = how();
            guard.idle();
            Block { outer: (from, Instant::now()), inner }
        });
        turn.recv_timeout(HANG).unwrap()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        drop(self.turns.take());
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking());
    }
}

#[test]
fn twelve_of_twelve_turns_that_are_too_long_are_reported_once() {
    let watch = Watch::start();
    let looped = Loop::start(&watch.monitor, "own");
    let id = looped.does(|_| this_thread()).recv().unwrap();
    let one = |n: usize| {
        let block = looped.blocks(move || if n.is_multiple_of(2) { sleep(LONG) } else { spin(LONG) });
        (block, watch.of(&block))
    };
    tries("turns of a loop", one, LONG, |said| {
        assert_eq!(reports(said), [1], "{said:?}");
        for said in said {
            assert_eq!((&*said.hub, said.kind, said.worker), ("own", LoopKind::Own, None));
            assert_eq!((said.thread, said.task.id), (id, None));
        }
    });
    watch.says_nothing();
}

#[test]
fn a_long_turn_is_reported_at_t_2t_and_4t_and_its_end_once() {
    let watch = Watch::start();
    let looped = Loop::start(&watch.monitor, "long");
    for _ in 0..50 {
        let witness = watched::Witness::start();
        let block = looped.blocks(|| sleep(T * 9 / 2));
        let said = watch.of(&block);
        if witness.was_steady() && block.most() < 5 * T {
            assert_eq!(reports(&said), [1, 2, 3]);
            assert!(matches!(said[3].what, What::Unblocked { reports: 3 }));
            let times: Vec<_> = said.iter().map(|said| said.time).collect();
            assert!(times.is_sorted() && times[3] > 4 * T, "{times:?}");
            watch.says_nothing();
            return;
        }
    }
    panic!("the machine was not steady in 50 tries");
}

#[test]
fn short_turns_are_never_reported_however_many_there_are() {
    let watch = Watch::start();
    let looped = Loop::start(&watch.monitor, "short");
    let longest = looped.does(|guard| {
        let (begun, mut longest) = (Instant::now(), Duration::ZERO);
        while begun.elapsed() < 5 * T {
            let turn = Instant::now();
            guard.busy();
            spin(T / 100);
            longest = longest.max(turn.elapsed());
        }
        guard.idle();
        longest
    });
    let longest = longest.recv_timeout(HANG).unwrap();
    let said = watch.rest();
    assert!(said.iter().all(|said| said.time <= longest), "{said:?}: {longest:?} at most");
    assert!(longest >= T || said.is_empty(), "{said:?}");
    // Nor turns just below the limit.
    for _ in 0..5 {
        let block = looped.blocks(|| sleep(T * 6 / 10));
        let said = watch.rest();
        assert_true(&said, &block);
        assert!(block.most() >= T || said.is_empty(), "{said:?}, {block:?}");
    }
}

#[test]
fn a_loop_that_waits_is_not_blocked() {
    let watch = Watch::start();
    let looped = Loop::start(&watch.monitor, "waits");
    thread::sleep(3 * T); // before its first turn
    looped.blocks(|| sleep(Duration::ZERO));
    thread::sleep(3 * T); // and after one
    watch.says_nothing();
}

#[test]
fn known_long_code_is_not_reported_and_what_follows_it_has_the_whole_time() {
    let watch = Watch::start();
    let looped = Loop::start(&watch.monitor, "expects");
    looped.blocks(|| {
        let _known = expect_blocking();
        {
            let _nested = expect_blocking();
            sleep(T);
        }
        sleep(2 * T)
    });
    watch.says_nothing();
    let one = |_| {
        let turn = looped.does(|guard| {
            guard.busy();
            let known = expect_blocking();
            thread::sleep(T);
            let from = Instant::now();
            drop(known);
            let inner = sleep(LONG);
            guard.idle();
            Block { outer: (from, Instant::now()), inner }
        });
        let block = turn.recv_timeout(HANG).unwrap();
        (block, watch.of(&block))
    };
    tries("turns after known-long code", one, LONG, |said| assert_eq!(reports(said), [1], "{said:?}"));
}

#[test]
fn a_guard_that_is_dropped_while_busy_ends_the_block() {
    let watch = Watch::start();
    let (from, blocked) = (Instant::now(), Stay::new());
    let (monitor, stays) = ((*watch.monitor).clone(), blocked.clone());
    let thread = thread::spawn(move || {
        let mut guard = monitor.watch_loop("gone").unwrap();
        guard.busy();
        stays.here();
        drop(guard);
        monitor.event_loops().len()
    });
    assert_eq!(watch.next().report(), Some(1));
    blocked.leave.open();
    let left = thread.join().unwrap();
    let end = Instant::now();
    let said = watch.until_unblocked();
    assert_eq!(left, 1, "only that of the tasks");
    assert!(said[said.len() - 1].time <= end - from, "{said:?}");
    watch.says_nothing();
}

#[test]
fn a_thread_that_ends_while_it_is_blocked_is_unblocked() {
    let watch = Watch::start();
    let blocked = Stay::new();
    let (monitor, stays) = ((*watch.monitor).clone(), blocked.clone());
    let thread = thread::spawn(move || {
        let mut guard = monitor.watch_loop("ends").unwrap();
        guard.busy();
        stays.here();
        std::mem::forget(guard);
    });
    assert_eq!(watch.next().report(), Some(1));
    blocked.leave.open();
    thread.join().unwrap();
    watch.until_unblocked();
    watch.says_nothing();
    // And the next thread has a clean slot.
    let looped = Loop::start(&watch.monitor, "next");
    watch.says_nothing();
    drop(looped);
}

#[test]
fn a_loop_that_is_no_longer_watched_is_unblocked_and_says_nothing_more() {
    let watch = Watch::start();
    let looped = Loop::start(&watch.monitor, "unwatched");
    let stay = Stay::new();
    let watched = watch.monitor.event_loops();
    let turn = looped.stays(stay.clone());
    assert_eq!(watch.next().report(), Some(1));
    assert_eq!((watched.len(), watched[1].name()), (2, "unwatched"));
    assert!(watched[1].unwatch());
    assert!(!watched[1].unwatch(), "once");
    watch.until_unblocked();
    thread::sleep(2 * T);
    watch.says_nothing();
    stay.leave.open();
    turn.recv().unwrap();
    looped.blocks(|| sleep(2 * T));
    watch.says_nothing();
}

#[test]
fn a_thread_has_one_guard_at_a_time() {
    let watch = Watch::start();
    let monitor = (*watch.monitor).clone();
    within(move || {
        let guard = monitor.watch_loop("one").unwrap();
        assert_eq!(monitor.watch_loop("two").unwrap_err(), WatchError::ThreadIsTaken);
        assert_eq!(monitor.event_loops().len(), 2);
        drop(guard);
        let guard = monitor.watch_loop("three").unwrap();
        assert_eq!(guard.event_loop().name(), "three");
        assert_eq!(monitor.event_loops()[1], *guard.event_loop());
    });
}

#[test]
fn the_monitor_can_be_stopped_while_a_loop_is_blocked() {
    let watch = Watch::start();
    let looped = Loop::start(&watch.monitor, "stopped");
    let stay = Stay::new();
    let turn = looped.stays(stay.clone());
    assert_eq!(watch.next().report(), Some(1));
    watch.monitor.stop(HANG).unwrap();
    let before = watch.rest();
    assert!(before.iter().all(|said| said.report().is_some()), "it is blocked still: {before:?}");
    watch.says_nothing();
    assert!(watch.monitor.event_loops().is_empty());
    stay.leave.open();
    turn.recv().unwrap();
    looped.blocks(|| sleep(2 * T));
    watch.says_nothing();
    let refused = watch.monitor.watch_loop("late").unwrap_err();
    assert_eq!(refused, WatchError::MonitorEnded);
    // The thread is not taken by what was refused.
    let other = Watch::start();
    drop(other.monitor.watch_loop("elsewhere").unwrap());
}

#[test]
fn the_limit_can_be_changed_while_a_loop_is_blocked() {
    let watch = Watch::with(|builder| builder.max_blocking_time(None));
    let looped = Loop::start(&watch.monitor, "limits");
    let stay = Stay::new();
    let stays = stay.clone();
    let from = Instant::now();
    let turn = looped.does(move |guard| {
        guard.busy();
        let from = Instant::now();
        stays.here();
        let inner = (from, Instant::now());
        guard.idle();
        inner
    });
    thread::sleep(2 * T);
    watch.says_nothing();
    assert_eq!(watch.monitor.max_blocking_time(), None);
    watch.monitor.set_max_blocking_time(T);
    let said = watch.next();
    assert_eq!(said.report(), Some(1));
    assert!(said.error >= said.at - from - said.time - T, "it may have begun while nobody looked: {said:?}");
    // An hour: what was said once is not said again, and no more comes.
    watch.monitor.set_max_blocking_time(Duration::from_secs(3_600));
    let _ = watch.rest();
    thread::sleep(3 * T);
    watch.says_nothing();
    watch.monitor.set_max_blocking_time(T / 10);
    let said = watch.next();
    assert!(said.report() > Some(3), "{said:?}");
    watch.monitor.set_max_blocking_time(None);
    let _ = watch.rest();
    watch.says_nothing();
    watch.monitor.set_max_blocking_time(Duration::ZERO);
    assert_eq!(watch.monitor.max_blocking_time(), None);
    stay.leave.open();
    let inner = turn.recv().unwrap();
    watch.monitor.set_max_blocking_time(T);
    let _ = watch.rest();
    watch.says_nothing();
    assert!(inner.1 - inner.0 > 8 * T);
    // As before, for the next one.
    looped.blocks(|| sleep(2 * T));
    let said = watch.until_unblocked();
    assert_eq!(said[0].report(), Some(1));
}

#[test]
fn a_loop_is_watched_by_its_own_monitor_only() {
    let (watch, other) = (Watch::start(), Watch::start());
    let looped = Loop::start(&watch.monitor, "mine");
    let block = looped.blocks(|| sleep(2 * T));
    watch.of(&block);
    other.says_nothing();
    other.monitor.stop(HANG).unwrap();
    let block = looped.blocks(|| sleep(2 * T));
    watch.of(&block);
}

#[test]
fn one_of_a_thousand_loops_that_blocks_is_found() {
    let watch = Watch::start();
    let (go, end, threads) = (Gate::new(), Gate::new(), 1_000);
    let ready = mpsc::channel();
    thread::scope(|scope| {
        for n in 0..threads {
            let (monitor, go, end) = ((*watch.monitor).clone(), go.clone(), end.clone());
            let ready = ready.0.clone();
            let body = move || {
                let mut guard = monitor.watch_loop(&format!("loop {n}")).unwrap();
                guard.busy();
                guard.idle();
                ready.send(()).unwrap();
                if n == 700 {
                    go.wait();
                    guard.busy();
                    thread::sleep(3 * T);
                    guard.idle();
                }
                end.wait(); // a thousand threads that end at once take the processors from the monitor
            };
            thread::Builder::new().stack_size(64 << 10).spawn_scoped(scope, body).unwrap();
        }
        for _ in 0..threads {
            ready.1.recv_timeout(HANG).unwrap();
        }
        assert_eq!(watch.monitor.event_loops().len(), 1 + threads);
        let of_before: Vec<Said> = watch.rest();
        let _end = OpensAtEnd(end);
        go.open();
        let said = watch.until_unblocked();
        let (before, said): (Vec<_>, Vec<_>) =
            of_before.into_iter().chain(said).partition(|said| said.hub != "loop 700");
        assert!(before.iter().all(|said| said.time >= T), "{before:?}");
        assert!(said[0].report().is_some(), "{said:?}");
    });
    assert_eq!(watch.monitor.event_loops().len(), 1);
}

/// Also if an assertion fails: a scope waits for its threads.
struct OpensAtEnd(Gate);

impl Drop for OpensAtEnd {
    fn drop(&mut self) {
        self.0.open();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_monitor_whose_loops_wait_sleeps() {
    let watch = Watch::with(|builder| builder.thread_name("idle-loops"));
    let looped = Loop::start(&watch.monitor, "idle");
    looped.blocks(|| sleep(Duration::from_millis(1)));
    let mut quiet = 0;
    for _ in 0..60 {
        thread::sleep(T); // it looks once more after the last turn
        let before = watched::sleeps_of_the_monitor("idle-loops");
        thread::sleep(Duration::from_secs(2));
        quiet = watched::sleeps_of_the_monitor("idle-loops") - before;
        if quiet == 0 {
            break;
        }
    }
    assert_eq!(quiet, 0, "it wakes up in an idle process");
    // It is woken by the next turn.
    let block = looped.blocks(|| sleep(4 * T));
    assert!(!watch.of(&block).is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn a_child_forked_while_a_loop_is_blocked_has_no_such_loop_and_watches_its_own() {
    use common::process::{child, fork, join};
    child("a_child_forked_while_a_loop_is_blocked_has_no_such_loop_and_watches_its_own", || {
        let mut watch = Watch::start();
        let looped = Loop::start(&watch.monitor, "parent's");
        let stay = Stay::new();
        let turn = looped.stays(stay.clone());
        assert_eq!(watch.next().report(), Some(1));
        join(fork(|| {
            watch.forked();
            assert!(watch.monitor.is_running());
            watch.says_nothing();
            let mut guard = watch.monitor.watch_loop("child's").unwrap();
            let from = Instant::now();
            guard.busy();
            let inner = sleep(LONG + T);
            guard.idle();
            let block = Block { outer: (from, Instant::now()), inner };
            let said = watch.until_unblocked();
            assert!(
                said.iter().all(|said| said.hub == "child's" && said.thread == this_thread()),
                "{said:?}"
            );
            assert_true(&said, &block);
            watch.monitor.stop(HANG).unwrap();
        }));
        stay.leave.open();
        turn.recv().unwrap();
        let said = watch.until_unblocked();
        assert!(said.iter().all(|said| said.hub == "parent's"), "{said:?}");
    })
    .succeeded();
}
