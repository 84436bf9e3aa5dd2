//! A storm: one thread changes slots as fast as it can, others call them. Each call sees one layer whole, or the original; and in the
//! end everything that was made is gone.
//!
//! `SIGNALPOST_STORM_SECONDS` says for how long each test does that (0.2).

mod common;

use common::{Dice, within};
use signalpost::patch::{Layer, Path, Scope, patch_points};
use std::env;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

fn how_long() -> Duration {
    let seconds = env::var("SIGNALPOST_STORM_SECONDS").map_or(0.2, |text| text.parse().expect("a number"));
    Duration::from_secs_f64(seconds)
}

/// What a layer captures: two numbers that are one, as long as it is whole, and a count of those that live.
struct Whole {
    twice: Box<(u64, u64)>,
    live: Arc<AtomicUsize>,
}

impl Whole {
    fn new(number: u64, live: &Arc<AtomicUsize>) -> Self {
        live.fetch_add(1, SeqCst);
        Self { twice: Box::new((number, !number)), live: live.clone() }
    }

    fn look(&self) -> (u64, u64) {
        (self.twice.0, !self.twice.1)
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        *self.twice = (1, 1); // whoever looks later sees no pair
        self.live.fetch_sub(1, SeqCst);
    }
}

/// Changes on this thread, calls on `callers` others, for the time of a storm. Gives how often each was done.
fn storm(callers: usize, call: impl Fn() + Sync, mut change: impl FnMut(u64)) -> (u64, u64) {
    let (over, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut changes = 0;
    thread::scope(|threads| {
        /// Ends the others too if a change panics.
        struct Over<'a>(&'a AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(true, SeqCst);
            }
        }
        for _ in 0..callers {
            threads.spawn(|| {
                while !over.load(SeqCst) {
                    call();
                    calls.fetch_add(1, SeqCst);
                }
            });
        }
        let _over = Over(&over);
        let until = Instant::now() + how_long();
        while Instant::now() < until || changes < 100 || calls.load(SeqCst) < 100 {
            change(changes);
            changes += 1;
        }
    });
    (changes, calls.load(SeqCst))
}

#[test]
fn a_call_sees_one_layer_whole_or_the_original() {
    within(|| {
        patch_points! { mod pair { fn get(add: u64) -> (u64, u64) { (add, add) } } }
        /// Plain functions cannot say which they are but by what they are.
        fn plain(add: u64) -> (u64, u64) {
            (u64::MAX - add, u64::MAX - add)
        }
        let slot = &pair::slots::get;
        let live = Arc::new(AtomicUsize::new(0));
        let call = || {
            let (a, b) = pair::get(3);
            assert_eq!(a, b, "a torn call");
            let (a, b) = slot.call(|get| get(3));
            assert_eq!(a, b, "a torn call");
        };
        let mut layers: Vec<Layer> = Vec::new();
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
        let (changes, calls) = storm(3, call, |n| match dice.roll(8) {
            0..3 if layers.len() < 6 => {
                let whole = Whole::new(n, &live);
                layers.push(slot.push(Box::new(move |add| {
                    let (a, b) = whole.look();
                    (a + add, b + add)
                })));
            }
            3 if layers.len() < 6 => layers.push(slot.push_fn(plain)),
            4 if layers.len() < 6 => {
                let whole = Whole::new(n, &live);
                layers.push(slot.wrap(|next| {
                    Box::new(move |add| {
                        let (a, b) = whole.look();
                        next.call(|below| below(add)).max((a, b))
                    })
                }));
            }
            _ if layers.is_empty() => {}
            5 => drop(layers.pop()),
            6 => layers.remove(dice.roll(layers.len())).undo(),
            _ => layers.clear(),
        });
        println!("{changes} changes, {calls} calls");
        layers.clear();
        assert_eq!((slot.layers(), pair::get(3)), (0, (3, 3)));
        assert!(matches!(slot.path(), Path::Original));
        assert_eq!(live.load(SeqCst), 0, "what layers captured is left");
    });
}

#[test]
fn one_that_wraps_sees_what_is_below_whole() {
    within(|| {
        patch_points! { mod number { fn get() -> u64 { 0 } } }
        let slot = &number::slots::get;
        let live = Arc::new(AtomicUsize::new(0));
        let mut pair = None;
        let call = || assert!(number::get() < 1 << 40, "a torn call");
        let (changes, calls) = storm(3, call, |n| {
            // What is below one that wraps goes while calls are in both.
            let whole = Whole::new(n, &live);
            let below =
                slot.push(Box::new(move || if whole.look().0 == whole.look().1 { n } else { u64::MAX }));
            let over = slot.wrap(|next| Box::new(move || next.call(|below| below())));
            let before = pair.replace((below, over));
            drop(before); // the one below first
        });
        println!("{changes} changes, {calls} calls");
        drop(pair);
        assert_eq!((live.load(SeqCst), number::get()), (0, 0));
    });
}

#[test]
fn threads_that_change_one_slot_at_once_lose_nothing() {
    within(|| {
        patch_points! { mod number { fn get() -> u64 { 0 } } }
        let slot = &number::slots::get;
        let live = Arc::new(AtomicUsize::new(0));
        let change = |range: Range<u64>| {
            let (until, mut changes) = (Instant::now() + how_long(), 0);
            while Instant::now() < until || changes < 100 {
                for n in range.clone() {
                    let whole = Whole::new(n, &live);
                    let layer = slot.push(Box::new(move || whole.look().0));
                    assert!(number::get() != 0, "a layer of mine is there, so it is no original");
                    if n % 2 == 0 {
                        layer.undo();
                    }
                }
                changes += 1;
            }
        };
        thread::scope(|threads| {
            for from in [10, 20, 30] {
                threads.spawn(move || change(from..from + 4));
            }
        });
        assert_eq!((slot.layers(), number::get(), live.load(SeqCst)), (0, 0, 0));
        assert!(matches!(slot.path(), Path::Original));
    });
}

#[test]
fn scopes_that_come_and_go_disturb_nobody() {
    within(|| {
        patch_points! { mod number { fn get() -> u64 { 0 } } }
        let slot = &number::slots::get;
        let live = Arc::new(AtomicUsize::new(0));
        let own = Scope::new([slot.with(Box::new(|| 7))]).unwrap();
        let call = || {
            assert_eq!(own.run(number::get), 7);
            assert!([0, 5].contains(&number::get()), "neither the original nor the layer");
        };
        fn five() -> u64 {
            5
        }
        let (changes, calls) = storm(2, call, |n| {
            let whole = Whole::new(n, &live);
            let overrides = [slot.with(Box::new(move || whole.look().1))];
            let scope = if n % 3 == 0 { Scope::strict(overrides) } else { Scope::new(overrides) }.unwrap();
            let layer = match n % 4 {
                0 => Some(slot.push_fn(five)),
                1 => Some(slot.push(Box::new(|| 5))),
                _ => None,
            };
            assert_eq!(scope.run(number::get), n);
            let bound = scope.bind(number::get);
            drop(scope);
            assert_eq!((number::get() == 5, bound()), (layer.is_some(), n));
        });
        println!("{changes} changes, {calls} calls");
        drop(own);
        assert!(matches!(slot.path(), Path::Original) && !slot.is_patched());
        assert_eq!(live.load(SeqCst), 0);
    });
}

#[test]
fn a_thread_that_was_told_of_a_change_sees_it() {
    within(|| {
        patch_points! { mod number { fn get() -> u64 { 0 } } }
        fn plain() -> u64 {
            1
        }
        let slot = &number::slots::get;
        // What was last announced, doubled; and one more while it is being changed.
        let told = AtomicU64::new(0);
        let undone = AtomicU64::new(0);
        let call = || {
            let before = told.load(SeqCst);
            let (seen, again) = (number::get(), slot.call(|get| get()));
            let after = undone.load(SeqCst);
            if before != 0 && after < before {
                // It was there before the calls, and was not undone until after them.
                assert_eq!((seen, again), (before, before));
            }
        };
        let (changes, _) = storm(2, call, |n| {
            let n = n + 1;
            let layer = if n == 1 { slot.push_fn(plain) } else { slot.push(Box::new(move || n)) };
            told.store(n, SeqCst);
            for _ in 0..n % 64 {
                std::hint::spin_loop();
            }
            undone.store(n, SeqCst);
            told.store(0, SeqCst);
            layer.undo();
            assert_eq!(number::get(), 0);
        });
        assert!(changes >= 100);
        assert!(matches!(slot.path(), Path::Original));
    });
}
