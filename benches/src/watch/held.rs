//! What the process holds: threads, descriptors, memory. After many faults it is to hold no more than after the first few.
//!
//! Owns the readings and what counts as more. Linux says all three; elsewhere there is no reading.

use super::memory::resident;
use std::{fmt, fs};

const MIB: u64 = 1 << 20;
/// Memory moves by so much without a leak: what an allocator keeps, what a view remembers of a long run.
const SLACK: u64 = 16 * MIB;
/// And so many descriptors: the monitor keeps files of each worker that it once suspected.
const FILES: usize = 12;

/// One reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    threads: usize,
    descriptors: usize,
    resident: u64,
}

impl Held {
    /// Now; none where the system does not say.
    pub fn now() -> Option<Self> {
        let entries = |path| Some(fs::read_dir(path).ok()?.count());
        Some(Self {
            threads: entries("/proc/self/task")?,
            descriptors: entries("/proc/self/fd")?,
            resident: resident()?,
        })
    }

    /// What there is more of than there was.
    pub fn more_than(self, before: Self) -> Vec<&'static str> {
        let more = [
            (self.threads > before.threads, "threads"),
            (self.descriptors > before.descriptors + FILES, "descriptors"),
            (self.resident > before.resident + SLACK, "memory"),
        ];
        more.into_iter().filter(|(more, _)| *more).map(|(_, what)| what).collect()
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { threads, descriptors, resident } = self;
        let mib = *resident as f64 / MIB as f64;
        write!(f, "{threads} threads, {descriptors} descriptors, {mib:.1} MiB")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_more_of_any() {
        let before = Held { threads: 10, descriptors: 20, resident: 30 * MIB };
        assert!(before.more_than(before).is_empty());
        let less = Held { threads: 1, descriptors: 1, resident: MIB };
        assert!(less.more_than(before).is_empty());
        assert!(Held { descriptors: 32, resident: 46 * MIB, ..before }.more_than(before).is_empty());
        let more = Held { threads: 11, descriptors: 33, resident: 47 * MIB };
        assert_eq!(more.more_than(before), ["threads", "descriptors", "memory"]);
        assert_eq!(before.to_string(), "10 threads, 20 descriptors, 30.0 MiB");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn an_open_file_is_held() {
        // Other tests run in this process: only what this one does is certain to be there.
        let _file = fs::File::open("/proc/self/status").unwrap();
        let held = Held::now().expect("Linux says it");
        assert!(held.threads >= 1 && held.descriptors >= 4 && held.resident > 0, "{held}");
    }
}
