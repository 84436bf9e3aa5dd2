//! What the monitor's own thread uses: with busy loops, and with idle ones.
//!
//! Owns the loops that are watched meanwhile, and the kernel's figures of the monitor's thread.

use crate::{progress::Progress, watch::clock::Processor};
use serde::Serialize;
use signalpost::monitor::Monitor;
use std::{
    fs, io,
    sync::{Arc, Barrier, mpsc},
    thread,
    time::{Duration, Instant},
};

/// By this name the monitor's thread is found.
pub const THREAD: &str = "cost-monitor";
/// Loops at once.
const LOOPS: usize = 8;
/// A turn of a busy loop. It sleeps in it: for the monitor that is all the same, and eight that compute would be starved, which is
/// another thing to find out about.
const TURN: Duration = Duration::from_millis(1);

/// What was found.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Own {
    /// How many loops it watched.
    pub loops: usize,
    /// Its share of a core while all of them were busy all the time, in percent.
    pub busy_percent: f64,
    /// How often a second it woke meanwhile.
    pub busy_wakes: f64,
    /// How often a second it woke while all of them waited.
    pub idle_wakes: f64,
}

impl Own {
    /// Looks at the monitor's thread twice for so long; none where the system does not say.
    ///
    /// # Errors
    /// When there are no threads for the loops.
    pub fn measure(monitor: &Monitor, look: Duration, progress: &Progress) -> io::Result<Option<Self>> {
        let Some(thread) = find() else { return Ok(None) };
        progress.step("the monitor's own thread, 8 busy loops");
        let busy = with_loops(monitor, true, || figures(thread, look))?;
        progress.step("the monitor's own thread, 8 idle loops");
        let idle = with_loops(monitor, false, || figures(thread, look))?;
        Ok(busy.zip(idle).map(|((busy_percent, busy_wakes), (_, idle_wakes))| Self {
            loops: LOOPS,
            busy_percent,
            busy_wakes,
            idle_wakes,
        }))
    }

    /// In words.
    pub fn report(&self) -> String {
        let Self { loops, busy_percent, busy_wakes, idle_wakes } = self;
        format!(
            "  The monitor's own thread, with {loops} loops: {busy_percent:.3} % of a core while all are busy ({busy_wakes:.0} \
             wake-ups a second), {idle_wakes:.1} wake-ups a second while all wait.\n"
        )
    }
}

/// Does `work` while loops turn: all the time, or not at all.
fn with_loops<R>(monitor: &Monitor, busy: bool, work: impl FnOnce() -> R) -> io::Result<R> {
    let begun = Arc::new(Barrier::new(LOOPS + 1));
    thread::scope(|scope| {
        let mut stops = Vec::new();
        for number in 0..LOOPS {
            let (stop, stopped) = mpsc::channel::<()>();
            stops.push(stop);
            let begun = Arc::clone(&begun);
            thread::Builder::new().name(format!("cost-loop-{number}")).spawn_scoped(scope, move || {
                let turns = monitor.watch_loop(&format!("loop {number}"));
                begun.wait();
                let Ok(mut turns) = turns else { return };
                turns.busy();
                turns.idle();
                // Until the other end is gone.
                while busy && stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
                    turns.busy();
                    thread::sleep(TURN);
                    turns.idle();
                }
                let _ = stopped.recv();
            })?;
        }
        begun.wait();
        // The monitor has seen them start.
        thread::sleep(Duration::from_millis(300));
        let result = work();
        drop(stops);
        Ok(result)
    })
}

/// The thread's share of a core in percent, and how often it woke a second.
fn figures(thread: u32, look: Duration) -> Option<(f64, f64)> {
    let before = (Processor::of(thread)?, wakes(thread)?);
    let begin = Instant::now();
    thread::sleep(look);
    let seconds = begin.elapsed().as_secs_f64();
    let after = (Processor::of(thread)?, wakes(thread)?);
    let percent = after.0.since(before.0).had.as_secs_f64() / seconds * 100.0;
    Some((percent, (after.1 - before.1) as f64 / seconds))
}

fn find() -> Option<u32> {
    fs::read_dir("/proc/self/task").ok()?.find_map(|entry| {
        let entry = entry.ok()?;
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        (name.trim_end() == THREAD).then(|| entry.file_name().to_str()?.parse().ok())?
    })
}

/// How often it has gone to sleep so far, and so woken.
fn wakes(thread: u32) -> Option<u64> {
    wakes_in(&fs::read_to_string(format!("/proc/self/task/{thread}/status")).ok()?)
}

fn wakes_in(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wake_ups_are_what_the_thread_did_not_have_forced_on_it() {
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t17\nnonvoluntary_ctxt_switches:\t99\n";
        assert_eq!(wakes_in(status), Some(17));
        assert_eq!(wakes_in(""), None);
    }
}
