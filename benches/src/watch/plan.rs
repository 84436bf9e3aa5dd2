//! What `lab watch` is to do, row by row.
//!
//! Owns the order of the rows, how long each fault lasts, and which tasks are wrapped. Not here: the run (`run.rs`).

use super::{
    judge,
    name::{FaultName, LoopName},
    record::Planned,
};
use crate::stats::Shuffler;
use std::time::Duration;

/// What to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The longest turn that is not to be reported: T.
    pub limit: Duration,
    /// The loops.
    pub loops: Vec<LoopName>,
    /// What is done to each.
    pub faults: Vec<FaultName>,
    /// How long each fault lasts, in T: all faults once for each.
    pub lengths: Vec<f64>,
    /// Which tasks a tokio server has.
    pub tasks: Tasks,
    /// About how long to go on with faults at random after that, and then to look for leaks.
    pub soak: Option<Duration>,
    /// Decides that order.
    pub seed: u64,
}

/// Which tasks a tokio server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Tasks {
    /// As tokio spawns them: the monitor knows of them what the runtime's metrics and a blocked thread tell.
    Stock,
    /// Wrapped in `Monitored`: they say themselves that they run, and have names.
    Monitored,
    /// Some so and some so, in turns.
    Both,
}

/// A row to come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// What the views know of it.
    pub planned: Planned,
    /// How long the fault lasts.
    pub lasts: Duration,
    /// Whether the task that does it is wrapped.
    pub wraps: bool,
}

impl Step {
    /// About how long it takes in all.
    fn takes(&self, limit: Duration) -> Duration {
        let idle = self.planned.fault == FaultName::Idle;
        self.lasts * if idle { 2 } else { 1 } + limit * 2 + Duration::from_millis(100)
    }
}

impl Settings {
    /// All steps in order; and with a soak as many more at random as fill its time, and the look for leaks.
    pub fn steps(&self) -> Vec<Step> {
        let in_order = self.round();
        let mut steps = in_order.clone();
        let (Some(soak), false) = (self.soak, in_order.is_empty()) else { return steps };
        let (mut shuffler, mut left) = (Shuffler::new(self.seed), soak);
        while !left.is_zero() {
            let mut round = in_order.clone();
            shuffler.shuffle(&mut round);
            for step in round {
                left = left.saturating_sub(step.takes(self.limit));
                steps.push(step);
                if left.is_zero() {
                    break;
                }
            }
        }
        let (event_loop, fault) = (LoopName::Process, FaultName::Leaks);
        let planned = Planned { event_loop, fault, expected: judge::expected(fault) };
        steps.push(Step { planned, lasts: Duration::ZERO, wraps: false });
        steps
    }

    /// The first of them: all steps in order.
    pub fn round(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (turn, &length) in self.lengths.iter().enumerate() {
            let lasts = self.limit.mul_f64(length);
            for event_loop in self.loops.iter().copied().chain([LoopName::Process]) {
                for (at, &fault) in
                    self.faults.iter().enumerate().filter(|(_, fault)| fault.can_be_on(event_loop))
                {
                    let wraps = match self.tasks {
                        Tasks::Stock => false,
                        Tasks::Monitored => true,
                        // What a thread cannot be asked, for it waits for a disk or gets no processor, it must have said before.
                        Tasks::Both => {
                            matches!(fault, FaultName::Fsync | FaultName::CpuHogs) || (turn + at) % 2 == 0
                        }
                    };
                    let planned = Planned { event_loop, fault, expected: judge::expected(fault) };
                    steps.push(Step { planned, lasts, wraps });
                }
            }
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(soak: Option<Duration>) -> Settings {
        Settings {
            limit: Duration::from_millis(100),
            loops: vec![LoopName::TokioMultiThread, LoopName::Mio],
            faults: vec![FaultName::Sleep, FaultName::Fsync, FaultName::BlockInPlace, FaultName::Memory],
            lengths: vec![1.4, 5.0],
            tasks: Tasks::Both,
            soak,
            seed: 7,
        }
    }

    #[test]
    fn each_fault_comes_once_for_each_length_on_each_loop_that_can_have_it() {
        let steps = settings(None).steps();
        let names: Vec<_> = steps.iter().map(|step| (step.planned.event_loop, step.planned.fault)).collect();
        use FaultName::{BlockInPlace, Fsync, Memory, Sleep};
        use LoopName::{Mio, Process, TokioMultiThread as Multi};
        let once = [
            (Multi, Sleep),
            (Multi, Fsync),
            (Multi, BlockInPlace),
            (Mio, Sleep),
            (Mio, Fsync),
            (Process, Memory),
        ];
        assert_eq!(names, [once, once].concat());
        assert_eq!((steps[0].lasts.as_millis(), steps[6].lasts.as_millis()), (140, 500));
        assert_ne!(steps[0].wraps, steps[6].wraps, "in turns");
        assert!(steps[1].wraps && steps[7].wraps, "or nothing would tell which task it is");
    }

    #[test]
    fn a_soak_goes_on_at_random_for_its_time_and_then_looks_for_leaks() {
        let soak = Duration::from_secs(60);
        let steps = settings(Some(soak)).steps();
        let (last, faults) = steps.split_last().unwrap();
        assert_eq!(last.planned.fault, FaultName::Leaks);
        let more = &faults[12..];
        let takes: Duration = more.iter().map(|step| step.takes(Duration::from_millis(100))).sum();
        assert!(takes >= soak && takes < soak + Duration::from_secs(5), "{takes:?}");
        assert_ne!(more[..12], faults[..12]);
        assert_eq!(settings(Some(soak)).steps(), steps, "the same for the same seed");
    }
}
