//! Clocks that are independent of the monitor: how long something lasted, and what a thread had of the processor meanwhile.
//!
//! Owns the kernel's figures for a thread, read here and not through the monitor: what it says is to be checked by them.
//! Where the system has no such figure, there is none, and a fault that needs it counts as not provoked.

use std::{
    fs,
    hint::black_box,
    time::{Duration, Instant},
};

/// What a thread has had so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Processor {
    /// Time that it ran.
    pub had: Duration,
    /// Time that it could have run and was not let.
    pub waited: Duration,
}

impl Processor {
    /// The calling thread's.
    pub fn of_this_thread() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/thread-self/schedstat").ok()?)
    }

    /// Another thread's of this process.
    pub fn of(thread: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?)
    }

    /// Nanoseconds run, nanoseconds waited, and more that is not of interest.
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split_whitespace().map(str::parse);
        let (Some(Ok(had)), Some(Ok(waited))) = (numbers.next(), numbers.next()) else { return None };
        Some(Self { had: Duration::from_nanos(had), waited: Duration::from_nanos(waited) })
    }

    /// Since then.
    pub fn since(self, before: Self) -> Self {
        Self { had: self.had.saturating_sub(before.had), waited: self.waited.saturating_sub(before.waited) }
    }
}

/// What the one who did it says of it.
#[derive(Clone, Debug)]
pub struct Measured {
    /// When it began.
    pub begin: Instant,
    /// When it was over.
    pub end: Instant,
    /// What the thread that did it had of the processor meanwhile.
    pub processor: Option<Processor>,
    /// Why it was not what it was to be, though it lasted.
    pub why_not: Option<String>,
}

impl Measured {
    /// Does it, with a look at the clocks before and after.
    pub fn of(work: impl FnOnce() -> Result<(), String>) -> Self {
        let before = Processor::of_this_thread();
        let begin = Instant::now();
        let result = work();
        let end = Instant::now();
        let processor = Processor::of_this_thread().zip(before).map(|(after, before)| after.since(before));
        Self { begin, end, processor, why_not: result.err() }
    }

    /// How long it was.
    pub fn lasted(&self) -> Duration {
        self.end - self.begin
    }
}

/// Computes until so much time has gone by.
pub fn compute_for(time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        compute();
    }
}

/// A few microseconds of arithmetic.
pub fn compute() {
    let (mut mixed, mut step) = (0_u64, 0_u64);
    while step < 2_000 {
        mixed = black_box(mixed ^ step).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        step += 1;
    }
    black_box(mixed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_figures_are_the_first_two_numbers() {
        let parsed = Processor::parse("1500 2500 7\n").unwrap();
        assert_eq!((parsed.had.as_nanos(), parsed.waited.as_nanos()), (1500, 2500));
        for text in ["", "12", "a b c", "1 -2 3"] {
            assert_eq!(Processor::parse(text), None, "{text:?}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_thread_that_computes_has_had_processor_time() {
        let measured = Measured::of(|| {
            compute_for(Duration::from_millis(5));
            Ok(())
        });
        let processor = measured.processor.expect("Linux counts it");
        assert!(processor.had > Duration::ZERO, "{measured:?}");
        assert!(measured.lasted() >= Duration::from_millis(5));
    }
}
