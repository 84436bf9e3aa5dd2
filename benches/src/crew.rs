//! The publishing threads: pinned to cores, kept from batch to batch.
//!
//! Owns the threads and which core each runs on. A thread that has nothing to do sleeps, so that a
//! batch with one publisher has its core to itself.

use crate::harness::{Batch, Gate, Lane, Measured};
use core_affinity::CoreId;
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread::Scope,
};

/// Threads that measure, for as long as a scope lasts.
#[derive(Debug)]
pub struct Crew<'env> {
    members: Vec<Member<'env>>,
}

#[derive(Debug)]
struct Member<'env> {
    jobs: Sender<Job<'env>>,
    results: Receiver<Measured>,
}

struct Job<'env> {
    lane: &'env dyn Lane,
    gate: Arc<Gate>,
    batch: Batch,
}

impl<'env> Crew<'env> {
    /// Starts the threads; they end when the crew is dropped.
    pub fn start<'scope>(scope: &'scope Scope<'scope, 'env>, publishers: usize) -> Self {
        let cores = cores_apart();
        let members = (0..publishers)
            .map(|index| {
                let (jobs, inbox) = channel::<Job<'env>>();
                let (outbox, results) = channel();
                let core = cores.get(index).copied();
                scope.spawn(move || {
                    pin_to(core);
                    while let Ok(job) = inbox.recv() {
                        if outbox.send(job.lane.measure(&job.gate, job.batch)).is_err() {
                            break;
                        }
                    }
                });
                Member { jobs, results }
            })
            .collect();
        Self { members }
    }

    /// One batch by the first `publishers` threads at once; what each of them measured.
    ///
    /// # Panics
    /// When the crew is smaller, when a publish was stopped, or when a thread has panicked.
    pub fn measure(&self, lane: &'env dyn Lane, publishers: usize, batch: Batch) -> Vec<Measured> {
        let gate = Arc::new(Gate::new(publishers));
        let working = &self.members[..publishers];
        for member in working {
            let job = Job { lane, gate: gate.clone(), batch };
            member.jobs.send(job).expect("a publishing thread has ended");
        }
        let measured: Vec<_> = working
            .iter()
            .map(|member| member.results.recv().expect("a publishing thread has ended"))
            .collect();
        assert!(measured.iter().all(|m| m.stopped == 0), "no subscriber of the lab stops an event");
        measured
    }
}

/// Binds this thread to a core; where the system refuses, it stays movable.
pub fn pin_to(core: Option<CoreId>) -> bool {
    core.is_some_and(core_affinity::set_for_current)
}

/// The cores this process may use, those that share a physical core with an earlier one last.
pub fn cores_apart() -> Vec<CoreId> {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let mut seen = Vec::new();
    let (mut apart, mut siblings) = (Vec::new(), Vec::new());
    for core in cores {
        match siblings_of(core.id) {
            Some(group) if seen.contains(&group) => siblings.push(core),
            Some(group) => {
                seen.push(group);
                apart.push(core);
            }
            None => apart.push(core),
        }
    }
    apart.append(&mut siblings);
    apart
}

/// The system's name for the physical core that this one is a part of, where it says so.
fn siblings_of(core: usize) -> Option<String> {
    let file = format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
    std::fs::read_to_string(file).ok().map(|list| list.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::PathName;
    use std::thread;

    #[test]
    fn a_crew_measures_with_as_many_of_its_threads_as_it_is_asked_for() {
        let lane = PathName::RawLoop.lane(2);
        thread::scope(|scope| {
            let crew = Crew::start(scope, 3);
            for publishers in [1, 3, 2] {
                let batch = Batch { publishes: 10, laps: 2 };
                assert_eq!(crew.measure(&*lane, publishers, batch).len(), publishers);
            }
        });
    }

    #[test]
    fn no_core_is_named_twice() {
        let mut ids: Vec<_> = cores_apart().iter().map(|core| core.id).collect();
        let named = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), named);
    }
}
