//! Who looks on from outside: how long each loop's threads waited for a processor, lately.
//!
//! Owns a thread that reads the kernel's figures of the loops' threads a few times in each T. It knows nothing of the monitor;
//! a report that a loop was starved is believed when this says so too, whether or not the lab starved it.

use super::{clock::Processor, name::LoopName, serve_tokio::thread_name};
use std::{
    collections::{HashMap, VecDeque},
    fs, io,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

/// How far back it remembers.
const MEMORY: Duration = Duration::from_secs(10);
/// Threads come and go seldom.
const ROLL_CALL: Duration = Duration::from_millis(500);

/// Looks on until it is dropped.
#[derive(Debug)]
pub struct Witness {
    seen: Arc<Mutex<VecDeque<Look>>>,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// What every thread of a loop had waited at one time.
#[derive(Debug)]
struct Look {
    at: Instant,
    waited: HashMap<(LoopName, u32), Duration>,
}

impl Witness {
    /// Begins to look, once in so long.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub fn start(period: Duration) -> io::Result<Self> {
        let seen = Arc::new(Mutex::new(VecDeque::new()));
        let (stop, stopped) = mpsc::channel();
        let of_thread = Arc::clone(&seen);
        let thread = thread::Builder::new().name("lab-witness".to_owned()).spawn(move || {
            let (mut threads, mut called) = (loop_threads(), Instant::now());
            // Until the other end is gone.
            while let Err(mpsc::RecvTimeoutError::Timeout) = stopped.recv_timeout(period) {
                if called.elapsed() > ROLL_CALL {
                    (threads, called) = (loop_threads(), Instant::now());
                }
                let waited = threads.iter().filter_map(|&of| Some((of, Processor::of(of.1)?.waited)));
                remember(&of_thread, Look { waited: waited.collect(), at: Instant::now() });
            }
        })?;
        Ok(Self { seen, stop: Some(stop), thread: Some(thread) })
    }

    /// The longest that one thread of this loop waited for a processor in the last `back`, as far as is known.
    pub fn waited(&self, event_loop: LoopName, back: Duration) -> Duration {
        let from = Instant::now().checked_sub(back);
        waited(&self.seen.lock().expect("nothing panics under it"), event_loop, from)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn remember(seen: &Mutex<VecDeque<Look>>, look: Look) {
    let mut seen = seen.lock().expect("nothing panics under it");
    while seen.front().is_some_and(|oldest| look.at - oldest.at > MEMORY) {
        seen.pop_front();
    }
    seen.push_back(look);
}

fn waited(seen: &VecDeque<Look>, event_loop: LoopName, from: Option<Instant>) -> Duration {
    let (Some(last), Some(oldest)) = (seen.back(), seen.front()) else { return Duration::ZERO };
    let first = from.and_then(|from| seen.iter().rev().find(|look| look.at <= from)).unwrap_or(oldest);
    let of_thread = |(thread, now): (&(LoopName, u32), &Duration)| {
        let before = first.waited.get(thread).copied()?;
        (thread.0 == event_loop).then(|| now.saturating_sub(before))
    };
    last.waited.iter().filter_map(of_thread).max().unwrap_or_default()
}

/// The loops' threads, known by the names that they were given.
fn loop_threads() -> Vec<(LoopName, u32)> {
    let Ok(entries) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let thread = entry.file_name().to_str()?.parse().ok()?;
            let name = fs::read_to_string(entry.path().join("comm")).ok()?;
            let is_of = |event_loop: &LoopName| name.trim_end() == thread_name(*event_loop);
            Some((LoopName::ALL.into_iter().find(is_of)?, thread))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_wait_of_one_thread_of_the_loop_since_then() {
        let begin = Instant::now();
        let ms = Duration::from_millis;
        let look = |at: u64, waits: &[(LoopName, u32, u64)]| Look {
            at: begin + ms(at),
            waited: waits.iter().map(|&(of, thread, wait)| ((of, thread), ms(wait))).collect(),
        };
        use LoopName::{Mio, TokioMultiThread as Multi};
        let seen = VecDeque::from([
            look(0, &[(Multi, 1, 0), (Multi, 2, 50), (Mio, 3, 0)]),
            look(10, &[(Multi, 1, 10), (Multi, 2, 50), (Mio, 3, 1)]),
            look(20, &[(Multi, 1, 15), (Multi, 2, 57), (Mio, 3, 99), (Multi, 4, 500)]),
        ]);
        let since = |of, at| waited(&seen, of, Some(begin + ms(at)));
        assert_eq!(since(Multi, 0), ms(15));
        assert_eq!(since(Multi, 10), ms(7), "a thread that is new has waited nothing that is known");
        assert_eq!(since(Multi, 19), ms(7), "from the last look before");
        assert_eq!(since(Mio, 5), ms(99));
        assert_eq!(since(LoopName::TokioCurrentThread, 0), Duration::ZERO);
        assert_eq!(waited(&VecDeque::new(), Mio, None), Duration::ZERO);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn it_finds_a_loops_thread_by_name_and_ends_when_it_is_dropped() {
        let (stop, stopped) = mpsc::channel::<()>();
        let (ready, is_ready) = mpsc::channel();
        let named = thread::Builder::new().name(thread_name(LoopName::Mio).to_owned());
        let thread = named
            .spawn(move || {
                ready.send(()).unwrap();
                let _ = stopped.recv();
            })
            .unwrap();
        is_ready.recv().unwrap();
        assert!(loop_threads().iter().any(|&(of, _)| of == LoopName::Mio));
        drop(Witness::start(Duration::from_millis(1)).unwrap());
        drop(stop);
        thread.join().unwrap();
    }
}
