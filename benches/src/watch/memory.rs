//! Memory that grows over a limit, and is released.
//!
//! Owns the ramp, and readings of the process's memory that are not the monitor's.

use super::{
    eyes::Eyes,
    seen::{Log, Noted, Said},
};
use std::{
    fs,
    hint::black_box,
    thread,
    time::{Duration, Instant},
};

const MIB: usize = 1 << 20;
/// Large enough that the allocator maps each by itself, and unmaps it.
const PIECE: usize = 48 * MIB;
const PIECES: usize = 4;
/// Between the limit and what was used before: one piece and a half.
const ROOM: u64 = PIECE as u64 * 3 / 2;
/// How often the monitor looks.
const PERIOD: Duration = Duration::from_millis(20);
/// For what is to be published to come.
const PATIENCE: Duration = Duration::from_secs(3);

/// What came of it.
#[derive(Debug)]
pub struct Ramp {
    /// When memory was first seen over the limit.
    pub begin: Instant,
    /// How long it was.
    pub over: Duration,
    /// Why it does not count.
    pub why_not: Option<String>,
}

/// Takes memory in pieces, stays over the limit for `lasts`, releases it; and waits each time for what is to be published.
///
/// # Errors
/// When the process's memory cannot be read here, or not be watched.
pub fn ramp(eyes: &Eyes, log: &Log, lasts: Duration) -> Result<Ramp, String> {
    let before = resident().ok_or("memory cannot be read here without the monitor")?;
    let limit = before + ROOM;
    let _watch = eyes.memory(limit, PERIOD).map_err(|error| format!("memory cannot be watched: {error}"))?;
    let mut begin = Instant::now();
    let mut pieces = Vec::new();
    for _ in 0..PIECES {
        pieces.push(touched(PIECE));
        if resident().is_some_and(|now| now <= limit) {
            begin = Instant::now();
        }
        thread::sleep(PERIOD * 2);
    }
    let highest = resident().unwrap_or(0);
    thread::sleep(lasts);
    log.wait(PATIENCE, said(|said| matches!(said, Said::MemoryExceeded)));
    let over = begin.elapsed();
    drop(black_box(pieces));
    let after = resident().unwrap_or(u64::MAX);
    let mib = |bytes: u64| bytes / MIB as u64;
    let why_not = if highest <= limit {
        Some(format!("{} MiB were used, the limit is {}", mib(highest), mib(limit)))
    } else if over < PERIOD.mul_f64(1.3) {
        Some(format!("it was over the limit for only {} ms", over.as_millis()))
    } else if after >= limit {
        Some(format!("the allocator kept {} MiB after the release", mib(after - before.min(after))))
    } else {
        None
    };
    if why_not.is_none() {
        log.wait(PATIENCE, said(|said| matches!(said, Said::MemoryUnder)));
    }
    Ok(Ramp { begin, over, why_not })
}

fn said(is_it: fn(&Said) -> bool) -> impl Fn(&[Noted]) -> bool {
    move |noted| noted.iter().any(|noted| is_it(&noted.said))
}

/// Memory that is there: a page that nothing was written to is not.
fn touched(bytes: usize) -> Vec<u8> {
    let mut memory = vec![0; bytes];
    memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    black_box(memory)
}

/// Bytes of this process in memory, as the system says.
pub fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    resident_in(&status)
}

fn resident_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_said_in_kib() {
        assert_eq!(resident_in("Name:\tlab\nVmRSS:\t    1536 kB\nThreads:\t1\n"), Some(1536 * 1024));
        assert_eq!(resident_in("Name:\tlab\n"), None);
        assert_eq!(resident_in("VmRSS:\tmuch\n"), None);
    }
}
