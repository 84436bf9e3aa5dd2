//! Calls on one thread while another one patches and undoes.
//!
//! Owns the storm and what would show that a call saw half a change: a result whose parts do not belong together, a captured
//! state that was dropped under a call, a call that entered what was undone before it began, a captured state that stays.

use crate::{
    crew::{cores_apart, pin_to},
    stop,
};
use serde::Serialize;
use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    thread,
    time::{Duration, Instant},
};

signalpost::patch::patch_points! {
    /// What is patched while it is called.
    mod points {
        use super::Answer;
        use super::original_answer;

        fn answer(argument: u64) -> Answer { original_answer(argument) }
    }
}
use points::slots;

/// What a call gives: which layer it was in, and a number that only that layer gives for the argument.
#[derive(Clone, Copy, Debug)]
struct Answer {
    layer: u64,
    seal: u64,
}

/// For the layer of a plain function and for the original, which capture nothing.
const PLAIN: u64 = u64::MAX;
const ORIGINAL: u64 = 0;
/// What is in a captured state that was dropped.
const DROPPED: u64 = 0xDEAD_DEAD_DEAD_DEAD;

fn seal(argument: u64, layer: u64) -> u64 {
    (argument ^ layer).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn original_answer(argument: u64) -> Answer {
    Answer { layer: ORIGINAL, seal: seal(argument, ORIGINAL) }
}

fn plain_answer(argument: u64) -> Answer {
    Answer { layer: PLAIN, seal: seal(argument, PLAIN) }
}

impl Answer {
    fn is_torn(self, argument: u64) -> bool {
        self.seal != seal(argument, self.layer) || self.layer == DROPPED
    }
}

/// How many captured states there were, and how many were dropped.
#[derive(Debug, Default)]
struct Counts {
    made: AtomicU64,
    dropped: AtomicU64,
}

/// What a layer captures: its number, twice.
struct Captured {
    layer: AtomicU64,
    inverted: AtomicU64,
    counts: Arc<Counts>,
}

impl Captured {
    fn new(layer: u64, counts: &Arc<Counts>) -> Box<Self> {
        counts.made.fetch_add(1, Relaxed);
        Box::new(Self {
            layer: AtomicU64::new(layer),
            inverted: AtomicU64::new(!layer),
            counts: counts.clone(),
        })
    }

    /// The seal is of the other half than the number, so that only a whole state gives an answer that is not torn.
    fn answer(&self, argument: u64) -> Answer {
        Answer { layer: self.layer.load(Relaxed), seal: seal(argument, !self.inverted.load(Relaxed)) }
    }
}

impl Drop for Captured {
    fn drop(&mut self) {
        self.layer.store(DROPPED, Relaxed);
        self.inverted.store(DROPPED, Relaxed);
        self.counts.dropped.fetch_add(1, Relaxed);
    }
}

/// What came out.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Storm {
    /// How long it took.
    pub seconds: f64,
    /// Patched and undone so often.
    pub cycles: u64,
    /// Calls meanwhile.
    pub calls: u64,
    /// Of those, calls that entered a layer.
    pub replaced: u64,
    /// Results that are no layer's and not the original's.
    pub torn: u64,
    /// Calls that entered a layer which was undone before they began.
    pub stale: u64,
    /// The most captured states that were there at a time, as the patching thread saw it after an undo.
    pub most_alive: u64,
    /// Captured states that were not dropped when all was over, and nothing was done to the slot any more.
    pub leaked: u64,
}

/// What the calling thread saw.
#[derive(Default)]
struct Seen {
    calls: u64,
    replaced: u64,
    torn: u64,
    stale: u64,
}

impl Storm {
    /// Patches and undoes for so long, or until somebody asks to end. Only once at a time in a process, or the one sees the other's layers.
    pub fn run(duration: Duration) -> Self {
        let counts = Arc::new(Counts::default());
        let (undone, over) = (AtomicU64::new(0), AtomicBool::new(false));
        let start = Instant::now();
        let (cycles, most_alive, seen) = thread::scope(|scope| {
            let calling = scope.spawn(|| call(&undone, &over));
            let patching = scope.spawn(|| {
                let done = patch(duration, &counts, &undone);
                over.store(true, Relaxed);
                done
            });
            let (cycles, most_alive) = patching.join().expect("patching does not panic");
            (cycles, most_alive, calling.join().expect("calling does not panic"))
        });
        let Seen { calls, replaced, torn, stale } = seen;
        Self {
            seconds: start.elapsed().as_secs_f64(),
            cycles,
            calls,
            replaced,
            torn,
            stale,
            most_alive,
            leaked: counts.made.load(Relaxed) - counts.dropped.load(Relaxed),
        }
    }
}

/// Patches and undoes until the time is over: how often, and the most captured states alive after an undo.
fn patch(duration: Duration, counts: &Arc<Counts>, undone: &AtomicU64) -> (u64, u64) {
    pin_to(cores_apart().first().copied());
    let push = |layer| {
        let captured = Captured::new(layer, counts);
        slots::answer.push(Box::new(move |argument| captured.answer(argument)))
    };
    let (start, mut layers, mut cycles, mut most_alive) = (Instant::now(), ORIGINAL, 0, 0);
    while start.elapsed() < duration && (cycles == 0 || !stop::is_asked()) {
        for kind in 0..16 {
            layers += 2;
            let lower = push(layers - 1);
            match kind {
                0 => drop(slots::answer.push_fn(plain_answer)),
                // The lower one first: any order will do.
                1 => {
                    let upper = push(layers);
                    lower.undo();
                    upper.undo();
                    cycles += 1;
                    undone.store(layers, Release);
                    continue;
                }
                _ => {}
            }
            lower.undo();
            cycles += 1;
            // Edge of the lab's own: a call that sees this begins after the undo.
            undone.store(layers, Release);
            let alive = counts.made.load(Relaxed) - counts.dropped.load(Relaxed);
            most_alive = most_alive.max(alive);
        }
    }
    (cycles, most_alive)
}

/// Calls until it is told that it is over.
fn call(undone: &AtomicU64, over: &AtomicBool) -> Seen {
    pin_to(cores_apart().get(1).copied());
    let mut seen = Seen::default();
    while !over.load(Relaxed) {
        for _ in 0..64 {
            let undone = undone.load(Acquire);
            let answer = points::answer(black_box(seen.calls));
            seen.torn += u64::from(answer.is_torn(seen.calls));
            let is_layer = answer.layer != ORIGINAL && answer.layer != PLAIN;
            seen.stale += u64::from(is_layer && answer.layer <= undone);
            seen.replaced += u64::from(answer.layer != ORIGINAL);
            seen.calls += 1;
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_no_layer_is_torn_and_so_is_what_was_dropped() {
        assert!(!original_answer(7).is_torn(7));
        assert!(!plain_answer(7).is_torn(7));
        let counts = Arc::default();
        let mut captured = Captured::new(3, &counts);
        assert!(!captured.answer(7).is_torn(7));
        assert!(captured.answer(7).is_torn(8));
        *captured.inverted.get_mut() = !4;
        assert!(captured.answer(7).is_torn(7));
        let seal_of_dropped = seal(7, DROPPED);
        assert!(Answer { layer: DROPPED, seal: seal_of_dropped }.is_torn(7));
        drop(captured);
        assert_eq!(counts.dropped.load(Relaxed), 1);
    }

    #[test]
    fn a_captured_state_that_is_kept_is_counted_as_leaked() {
        let counts = Arc::new(Counts::default());
        let kept = Captured::new(1, &counts);
        assert_eq!(counts.made.load(Relaxed) - counts.dropped.load(Relaxed), 1);
        drop(kept);
        assert_eq!(counts.made.load(Relaxed) - counts.dropped.load(Relaxed), 0);
    }
}
