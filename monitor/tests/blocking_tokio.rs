//! Runtimes of tokio, of both kinds, with hooks and without: what a monitor says of tasks that block them.
#![cfg(feature = "tokio")]

#[path = "../../dispatch/tests/common/mod.rs"]
mod common;
mod watched;

use common::{Gate, HANG, Stay};
use signalpost::monitor::{
    EventLoop, LoopKind, TaskId, TokioHooks, Verdict, expect_blocking, monitored_spawn,
};
use std::future::pending;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle, Runtime, worker_index};
use tokio::task::{AbortHandle, block_in_place, spawn_blocking, yield_now};
use watched::{Block, LONG, Said, T, Watch, What, Witness, reports, sleep, spin, this_thread, tries};

/// A kind of runtime.
#[derive(Clone, Copy, Debug)]
enum Kind {
    CurrentThread,
    MultiThread,
}

/// A runtime that is watched, and driven until this is dropped.
struct Server {
    runtime: Option<Runtime>,
    handle: Handle,
    hub: EventLoop,
    driver: Option<(AbortHandle, thread::JoinHandle<Runtime>)>,
}

impl Server {
    fn start(watch: &Watch, kind: Kind, hooked: bool) -> Self {
        let mut builder = match kind {
            Kind::CurrentThread => Builder::new_current_thread(),
            Kind::MultiThread => Builder::new_multi_thread(),
        };
        let hooks = TokioHooks::new();
        if hooked {
            hooks.install(&mut builder);
        }
        let runtime = builder.worker_threads(2).enable_time().build().unwrap();
        let handle = runtime.handle().clone();
        let (runtime, driver) = match kind {
            Kind::MultiThread => (Some(runtime), None),
            Kind::CurrentThread => {
                let stops = handle.spawn(pending::<()>());
                let stop = stops.abort_handle();
                let drive = move || {
                    let _ = runtime.block_on(stops);
                    runtime
                };
                (None, Some((stop, thread::spawn(drive))))
            }
        };
        let hub = watch.monitor.watch_tokio("served", &handle, hooked.then_some(&hooks)).unwrap();
        let server = Self { runtime, handle, hub, driver };
        // Without hooks it is to say first which threads it has.
        thread::sleep(T / 4);
        server.does(async || ());
        server
    }

    /// The result of a task.
    #[track_caller]
    fn does<R: Send + 'static, F>(&self, task: impl FnOnce() -> F + Send + 'static) -> R
    where
        F: Future<Output = R> + Send + 'static,
    {
        let (done, result) = mpsc::channel();
        self.handle.spawn(async move { done.send(task().await).unwrap_or_default() });
        result.recv_timeout(HANG).unwrap()
    }

    /// Has a task block, and says who it was.
    #[track_caller]
    fn blocks(&self, how: impl FnOnce() -> (Instant, Instant) + Send + 'static) -> (Block, Who) {
        let from = Instant::now();
        let (inner, who) = self.does(async move || (how(), Who::here()));
        (Block { outer: (from, Instant::now()), inner }, who)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.hub.unwatch();
        if let Some((stop, driver)) = self.driver.take() {
            stop.abort();
            self.runtime = driver.join().ok();
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Which task runs, where.
#[derive(Clone, Copy, Debug)]
struct Who {
    task: TaskId,
    worker: Option<usize>,
    thread: Option<u32>,
}

impl Who {
    fn here() -> Self {
        Self { task: tokio::task::id().into(), worker: worker_index(), thread: this_thread() }
    }
}

/// Whether the blocked thread could be asked: a machine on which it does not answer in time is none to test on.
fn answered(said: &[Said]) -> bool {
    said.iter().all(|said| !matches!(&said.what, What::Blocked { stack: Err(_), .. }))
}

fn twelve_of_twelve(kind: Kind, hooked: bool) {
    let watch = Watch::start();
    let server = Server::start(&watch, kind, hooked);
    let workers = server.handle.metrics().num_workers();
    let last = std::cell::Cell::new(None);
    let one = |n: usize| {
        let (block, who) = server.blocks(move || if n.is_multiple_of(2) { sleep(LONG) } else { spin(LONG) });
        last.set(Some((who, n.is_multiple_of(2))));
        (block, watch.of(&block))
    };
    let then = |said: &[Said]| {
        let (who, sleeps) = last.get().unwrap();
        assert_eq!(reports(said), [1], "{said:?}");
        for said in said {
            assert_eq!((&*said.hub, said.kind), ("served", LoopKind::Tokio { workers }));
            assert_eq!(said.worker, who.worker);
            assert!(said.thread == who.thread || !hooked && said.thread.is_none(), "{said:?}, {who:?}");
            if said.thread.is_some() && answered(std::slice::from_ref(said)) && said.task.id.is_some() {
                assert_eq!(said.task.id, Some(who.task));
            }
        }
        let What::Blocked { verdict, stack, .. } = &said[0].what else { unreachable!() };
        if hooked && stack.is_ok() && cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            assert_eq!(said[0].task.id, Some(who.task), "{said:?}");
            assert!(!matches!(verdict, Verdict::Congested | Verdict::NotDriven), "{said:?}");
            assert!(!sleeps || matches!(verdict, Verdict::InSyscall(_)), "{said:?}");
        }
    };
    tries(&format!("tasks of {kind:?}, hooks: {hooked}"), one, LONG, then);
    watch.says_nothing();
}

#[test]
fn twelve_of_twelve_blocks_of_a_current_thread_runtime_with_hooks() {
    twelve_of_twelve(Kind::CurrentThread, true);
}

#[test]
fn twelve_of_twelve_blocks_of_a_current_thread_runtime_without_hooks() {
    twelve_of_twelve(Kind::CurrentThread, false);
}

#[test]
fn twelve_of_twelve_blocks_of_a_multi_thread_runtime_with_hooks() {
    twelve_of_twelve(Kind::MultiThread, true);
}

#[test]
fn twelve_of_twelve_blocks_of_a_multi_thread_runtime_without_hooks() {
    twelve_of_twelve(Kind::MultiThread, false);
}

const ALL: [(Kind, bool); 4] = [
    (Kind::CurrentThread, true),
    (Kind::CurrentThread, false),
    (Kind::MultiThread, true),
    (Kind::MultiThread, false),
];

#[test]
fn a_long_block_is_reported_at_t_2t_and_4t_and_its_end_once() {
    for (kind, hooked) in ALL {
        let watch = Watch::start();
        let server = Server::start(&watch, kind, hooked);
        for n in 0.. {
            assert!(n < 30, "the machine was not steady in 30 tries");
            let witness = Witness::start();
            let (block, _) = server.blocks(|| sleep(T * 9 / 2));
            let said = watch.of(&block);
            if witness.was_steady() && block.most() < 5 * T {
                assert_eq!(reports(&said), [1, 2, 3], "{kind:?}, {hooked}: {said:?}");
                break;
            }
        }
        watch.says_nothing();
    }
}

#[test]
fn runtimes_that_wait_and_code_that_may_block_are_not_reported() {
    for (kind, hooked) in ALL {
        let watch = Watch::start();
        let server = Server::start(&watch, kind, hooked);
        thread::sleep(2 * T); // idle
        server.does(|| tokio::time::sleep(2 * T));
        server.does(async || spawn_blocking(|| thread::sleep(2 * T)).await.unwrap());
        if hooked {
            // Without hooks it may not be known yet which thread that is.
            server.does(async || {
                let _known = expect_blocking();
                thread::sleep(2 * T);
            });
        }
        if let Kind::MultiThread = kind {
            server.does(async || block_in_place(|| thread::sleep(3 * T)));
            // What follows there is watched again.
            server.does(async || yield_now().await);
        }
        let said = watch.rest();
        assert!(said.is_empty(), "{kind:?}, hooks: {hooked}: {said:?}");
    }
}

#[test]
fn a_current_thread_runtime_that_nobody_drives_is_not_reported() {
    let watch = Watch::start();
    let hooks = TokioHooks::new();
    let runtime = hooks.install(&mut Builder::new_current_thread()).build().unwrap();
    let _hub = watch.monitor.watch_tokio("rests", runtime.handle(), &hooks).unwrap();
    thread::sleep(2 * T);
    for _ in 0..3 {
        runtime.block_on(yield_now());
        thread::sleep(2 * T);
    }
    watch.says_nothing();
}

#[test]
fn short_polls_at_saturation_are_not_reported() {
    for (kind, hooked) in ALL {
        let watch = Watch::start();
        let server = Server::start(&watch, kind, hooked);
        for _ in 0..10 {
            let witness = Witness::start();
            let end = Instant::now() + 4 * T;
            let tasks = (0..16).map(|_| {
                server.handle.spawn(async move {
                    while Instant::now() < end {
                        spin(Duration::from_micros(200));
                        yield_now().await;
                    }
                })
            });
            let tasks: Vec<_> = tasks.collect();
            while !tasks.iter().all(|task| task.is_finished()) {
                thread::sleep(T / 10);
            }
            let said = watch.rest();
            if said.is_empty() {
                break;
            }
            assert!(!witness.was_steady(), "{kind:?}, hooks: {hooked}: {said:?}");
        }
    }
}

#[test]
fn polls_that_are_slow_only_together_are_no_single_tasks_fault() {
    for (kind, hooked) in [(Kind::CurrentThread, true), (Kind::MultiThread, true)] {
        let watch = Watch::start();
        let server = Server::start(&watch, kind, hooked);
        let end = Instant::now() + 6 * T;
        let tasks = (0..16).map(|_| {
            server.handle.spawn(async move {
                while Instant::now() < end {
                    thread::sleep(T / 20);
                    yield_now().await;
                }
            })
        });
        let tasks: Vec<_> = tasks.collect();
        while !tasks.iter().all(|task| task.is_finished()) {
            thread::sleep(T / 10);
        }
        for said in watch.rest() {
            if let What::Blocked { verdict, stack: Ok(()), .. } = &said.what {
                assert!(matches!(verdict, Verdict::Congested | Verdict::Starved), "{kind:?}: {said:?}");
                assert!(said.task.id.is_none() || *verdict == Verdict::Starved, "{said:?}");
            }
        }
    }
}

#[test]
fn a_task_with_a_name_is_named_beside_its_number() {
    let watch = Watch::start();
    let server = Server::start(&watch, Kind::MultiThread, true);
    let (told, who) = mpsc::channel();
    let line = line!() + 3;
    let entered = server.handle.enter();
    let from = Instant::now();
    let task = monitored_spawn(async move {
        told.send(Who::here()).unwrap();
        sleep(3 * T)
    });
    drop(entered);
    let who = who.recv_timeout(HANG).unwrap();
    let inner = server.does(async || task.await.unwrap());
    let said = watch.of(&Block { outer: (from, Instant::now()), inner });
    let first = &said[0];
    assert!(first.task.name.as_deref().is_some_and(|name| name.contains("a_task_with_a_name")), "{first:?}");
    assert_eq!(first.task.spawned_at.map(|place| (place.file(), place.line())), Some((file!(), line)));
    let is_it = first.task.id == Some(who.task) || matches!(first.task.id, Some(TaskId::Monitored(_)));
    assert!(is_it, "{first:?}, {who:?}");
}

#[test]
fn a_runtime_that_is_dropped_while_it_is_blocked_is_forgotten() {
    for hooked in [true, false] {
        let watch = Watch::start();
        let server = Server::start(&watch, Kind::MultiThread, hooked);
        let stay = Stay::new();
        let stays = stay.clone();
        server.handle.spawn(async move { stays.here() });
        stay.entered.wait();
        assert_eq!(watch.next().report(), Some(1));
        let hub = server.hub.clone();
        drop(server); // unwatched, and shut down in the background
        watch.until_unblocked();
        assert!(!hub.unwatch());
        watch.says_nothing();
        stay.leave.open();
        watch.says_nothing();
    }
}

#[test]
fn a_runtime_that_has_ended_and_is_watched_still_says_nothing() {
    for hooked in [true, false] {
        let watch = Watch::start();
        let hooks = TokioHooks::new();
        let mut builder = Builder::new_multi_thread();
        if hooked {
            hooks.install(&mut builder);
        }
        let runtime = builder.worker_threads(2).build().unwrap();
        let hub = watch.monitor.watch_tokio("ended", runtime.handle(), hooked.then_some(&hooks)).unwrap();
        let done = Gate::new();
        let opens = done.clone();
        runtime.spawn(async move { opens.open() });
        done.wait();
        drop(runtime);
        thread::sleep(5 * T);
        watch.says_nothing();
        assert!(hub.unwatch());
    }
}

#[test]
fn the_monitor_can_be_stopped_while_a_task_blocks_and_the_runtime_goes_on() {
    let watch = Watch::start();
    let server = Server::start(&watch, Kind::MultiThread, true);
    let stay = Stay::new();
    let stays = stay.clone();
    server.handle.spawn(async move { stays.here() });
    assert_eq!(watch.next().report(), Some(1));
    watch.monitor.stop(HANG).unwrap();
    let _ = watch.rest();
    watch.says_nothing();
    stay.leave.open();
    assert_eq!(server.does(async || 7), 7);
}

#[test]
fn two_monitors_watch_one_runtime_each_for_itself() {
    let (watch, other) = (Watch::start(), Watch::start());
    let hooks = TokioHooks::new();
    let runtime = hooks.install(Builder::new_multi_thread().worker_threads(2)).build().unwrap();
    let _one = watch.monitor.watch_tokio("one", runtime.handle(), &hooks).unwrap();
    let _two = other.monitor.watch_tokio("two", runtime.handle(), &hooks).unwrap();
    let from = Instant::now();
    let (done, inner) = mpsc::channel();
    runtime.spawn(async move { done.send(sleep(3 * T)).unwrap() });
    let inner = inner.recv_timeout(HANG).unwrap();
    let block = Block { outer: (from, Instant::now()), inner };
    for (watch, name) in [(&watch, "one"), (&other, "two")] {
        let said = watch.of(&block);
        assert!(!said.is_empty() && said.iter().all(|said| said.hub == name), "{said:?}");
    }
    runtime.shutdown_background();
}

#[cfg(target_os = "linux")]
#[test]
fn a_monitor_whose_runtimes_wait_sleeps_if_they_have_hooks() {
    let watch = Watch::with(|builder| builder.thread_name("idle-tokio"));
    let one = Server::start(&watch, Kind::CurrentThread, true);
    let two = Server::start(&watch, Kind::MultiThread, true);
    one.handle.spawn(pending::<()>());
    let mut quiet = 0;
    for _ in 0..60 {
        thread::sleep(2 * T);
        let before = watched::sleeps_of_the_monitor("idle-tokio");
        thread::sleep(Duration::from_secs(2));
        quiet = watched::sleeps_of_the_monitor("idle-tokio") - before;
        if quiet == 0 {
            break;
        }
    }
    assert_eq!(quiet, 0, "it wakes up in an idle process");
    for server in [one, two] {
        let (block, _) = server.blocks(|| sleep(4 * T));
        assert!(!watch.of(&block).is_empty(), "it was woken");
    }
}
