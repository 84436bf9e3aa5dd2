//! Who is watched: the workers of runtimes, and the threads that say of themselves that they run.
//!
//! Owns where each one's signs of life are read, and how. Not here: what they mean (`detect.rs`), what is known of it from look to
//! look (`diagnosis.rs`).

use super::diagnosis::Known;
use crate::blocked::ThreadName;
use crate::detect::Seen;
use crate::event_loop::{EventLoop, Source};
use crate::pulse::Beat;
#[cfg(feature = "tokio")]
use crate::runtime::Runtime;
use crate::slot::{self, Driven, Slot, ThreadInfo};
use crate::task::is_expected;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// One worker: the thread of this number, or the worker of this index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Who {
    Thread(u64),
    #[cfg_attr(not(feature = "tokio"), allow(dead_code, reason = "only runtimes have them"))]
    Worker(usize),
}

/// A thread that is known, by its slot.
pub(super) type Threaded = (&'static Slot, Arc<ThreadInfo>);

/// What stands still as long as nothing happens: a runtime's numbers, the turn, and the task, which may be seen to change a moment
/// before the turn does.
pub(super) type Token = (u64, Duration, Beat);

/// A worker, and what is known of it.
pub(super) struct Seat {
    pub(super) hub: EventLoop,
    pub(super) who: Who,
    pub(super) thread: Option<Threaded>,
    pub(super) sight: Sight,
    pub(super) known: Known,
}

/// What one look saw.
#[derive(Clone, Copy)]
pub(super) struct Sight {
    pub(super) seen: Seen<Token>,
    /// What runs, in the words of `task.rs`.
    pub(super) task: u64,
    /// Grows with each turn, park and unpark.
    pub(super) moves: u64,
}

impl Seat {
    fn new(hub: &EventLoop, who: Who, thread: Option<Threaded>, since: Duration) -> Self {
        let sight = Sight { seen: Seen::Idle, task: 0, moves: 0 };
        Self { hub: hub.clone(), who, thread, sight, known: Known::new(since) }
    }

    pub(super) fn worker(&self) -> Option<usize> {
        match self.who {
            Who::Thread(_) => None,
            Who::Worker(worker) => Some(worker),
        }
    }

    pub(super) fn thread_name(&self) -> Option<ThreadName> {
        let (_, thread) = self.thread.as_ref()?;
        Some(ThreadName::new(thread.target.id(), thread.name.as_deref()))
    }

    /// Reads its signs of life. Some loads; wait-free.
    pub(super) fn look(&mut self) {
        let (mut beat, mut expected) = (Beat { turn: 0, task: 0 }, false);
        if let Some((slot, _)) = &self.thread {
            beat = slot.beat();
            expected = is_expected(beat.task) || slot.is_expected();
        }
        let Beat { turn, task } = beat;
        let pulse = if task == 0 || expected { Seen::Idle } else { Seen::Busy((0, Duration::ZERO, beat)) };
        self.sight = match (self.hub.source(), self.who) {
            #[cfg(feature = "tokio")]
            (Source::Tokio(runtime), Who::Worker(worker)) => {
                let numbers = runtime.numbers(worker);
                if self.thread.is_none() && !numbers.is_parked() {
                    runtime.ask_threads();
                }
                let idle = numbers.is_parked() || expected || runtime.is_over();
                let seen = if idle { Seen::Idle } else { Seen::Busy((numbers.parks, numbers.busy, beat)) };
                Sight { seen, task, moves: numbers.parks.wrapping_add(turn) }
            }
            _ => Sight { seen: pulse, task, moves: turn },
        };
    }
}

/// The seats of all workers of these loops, and of the threads that drive none; who was there before keeps what is known.
///
/// What a new thread runs has begun after the `last` look. For a new runtime nobody knows: it counts from `now`.
#[cfg_attr(not(feature = "tokio"), allow(unused_variables, reason = "only runtimes count from `now`"))]
pub(super) fn arrange(
    hubs: &[EventLoop],
    before: Vec<Seat>,
    last: Duration,
    now: Duration,
) -> (Vec<Seat>, Vec<Seat>) {
    let threads = slot::all();
    let mut seats = Vec::with_capacity(before.len());
    #[cfg(feature = "tokio")]
    for hub in hubs {
        if let Source::Tokio(runtime) = hub.source()
            && runtime.is_of_this_process()
        {
            let thread = |worker| thread_of(hub, runtime.driver(worker), worker, &threads);
            let seat = |worker| Seat::new(hub, Who::Worker(worker), thread(worker), now);
            seats.extend((0..Runtime::workers(runtime)).map(seat));
        }
    }
    let tasks = hubs.iter().find(|hub| matches!(hub.source(), Source::Tasks));
    for (slot, thread) in threads {
        let driven = slot.driven();
        let own = hubs.iter().find(|hub| hub.id() == driven.hub);
        // A runtime's worker has its seat already; who drives another loop is for those to see who watch that.
        let own = own.filter(|hub| !is_worker(hub, driven, thread.life));
        if let Some(hub) = own.or(tasks.filter(|_| driven.hub == 0)) {
            let who = Who::Thread(thread.life);
            seats.push(Seat::new(hub, who, Some((slot, thread)), last));
        }
    }
    let mut before: HashMap<_, _> =
        before.into_iter().map(|seat| ((seat.hub.id(), seat.who), seat)).collect();
    for seat in &mut seats {
        if let Some(old) = before.remove(&(seat.hub.id(), seat.who)) {
            seat.known = old.known;
        }
    }
    (seats, before.into_values().collect())
}

/// Whether a thread is one of the runtime's workers, as far as is known, or was one: who is inside `block_in_place` may block.
fn is_worker(hub: &EventLoop, driven: Driven, life: u64) -> bool {
    hub.runtime().is_some_and(|runtime| driven.worker.is_some() || runtime.drives(life))
}

/// The thread that said last that it is this worker.
#[cfg(feature = "tokio")]
fn thread_of(hub: &EventLoop, driver: Option<u64>, worker: usize, threads: &[Threaded]) -> Option<Threaded> {
    if driver.is_some() {
        return threads.iter().find(|(_, thread)| Some(thread.life) == driver).cloned();
    }
    // It was told before there was a place to write it down.
    let said = |slot: &Slot| {
        let driven = slot.driven();
        (driven.hub == hub.id() && driven.worker == Some(worker)).then_some(driven.since)
    };
    let those = threads.iter().filter_map(|thread| Some((said(thread.0)?, thread)));
    those.max_by_key(|(since, _)| *since).map(|(_, thread)| thread.clone())
}

/// Threads of a runtime that may be the worker whose thread it turned out not to be: those that said nothing newer, the latest first.
#[cfg(feature = "tokio")]
pub(super) fn others_of(hub: &EventLoop, runtime: &Runtime) -> Vec<Threaded> {
    let mut threads = slot::all();
    threads.retain(|(slot, thread)| slot.driven().hub == hub.id() && !runtime.drives(thread.life));
    threads.sort_by_key(|(slot, _)| std::cmp::Reverse(slot.driven().since));
    threads
}
