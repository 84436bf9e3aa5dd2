//! Readers look at canaries while writers replace, cancel and wait, threads come and go, and everyone stalls at random.
//!
//! `SIGNALPOST_TORTURE_SECS` says for how long each test goes on: 2 if it is not set.
//! They notice within seconds when readers are not waited for. A missing barrier is not noticed in so short a time: what
//! lies between a replacement and its scan is too long. That is what the models are for.

#[path = "../../dispatch/tests/common/mod.rs"]
mod common;

use signalpost::core::{Snapshot, SnapshotCell};
use signalpost::{Dispatcher, SubscribeOptions, Subscription, SubscriptionSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

/// How long a test goes on.
fn duration() -> Duration {
    let seconds = std::env::var("SIGNALPOST_TORTURE_SECS");
    Duration::from_secs(seconds.map_or(2, |text| text.parse().expect("a number of seconds")))
}

/// A small generator (xorshift64*), so that a run says by its seed what it did.
struct Random(u64);

impl Random {
    fn of(thread: u64) -> Self {
        Self(0x9E37_79B9_7F4A_7C15 ^ (thread + 1).wrapping_mul(0xD120_0000_0000_2545))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 33) % end
    }

    /// Mostly nothing; now and then long enough for others to get far.
    fn stall(&mut self) {
        match self.below(512) {
            0 => thread::sleep(Duration::from_micros(self.below(300))),
            1..16 => thread::yield_now(),
            16..64 => (0..self.below(200)).for_each(|_| std::hint::spin_loop()),
            _ => {}
        }
    }
}

static MADE: AtomicU64 = AtomicU64::new(0);
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Heap memory that knows whether it is alive.
struct Canary(Box<[u64; 8]>);

impl Canary {
    const ALIVE: u64 = 0x5157_AB1E_CA4A_4111;

    fn new() -> Self {
        MADE.fetch_add(1, Relaxed);
        Self(Box::new([Self::ALIVE; 8]))
    }

    fn look(&self) {
        for word in self.0.iter() {
            // Volatile: what is there, not what the compiler knows of it.
            // SAFETY: a word of our own box.
            let word = unsafe { std::ptr::from_ref(word).read_volatile() };
            assert_eq!(word, Self::ALIVE, "used after it was dropped");
        }
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.look();
        for word in self.0.iter_mut() {
            // SAFETY: a word of our own box.
            unsafe { std::ptr::from_mut(word).write_volatile(0xDEAD) };
        }
        DROPPED.fetch_add(1, Relaxed);
    }
}

#[derive(Default)]
struct Version {
    number: u64,
    canaries: Vec<Arc<Canary>>,
}

impl Snapshot for Version {
    type Context = ();
    type Part = ();

    /// Every eighth is empty, so that readers turn around at the door as well.
    fn is_empty(&self) -> bool {
        self.number.is_multiple_of(8)
    }
}

fn nothing_is_left() {
    let (made, dropped) = (MADE.load(SeqCst), DROPPED.load(SeqCst));
    assert_eq!(made, dropped, "leaked or dropped twice");
    println!("{made} canaries, all dropped once");
}

#[test]
fn readers_see_live_versions_that_never_go_back() {
    let _alone = common::alone(); // canaries are counted for the process
    let cells: Arc<[SnapshotCell<Version>; 3]> = Arc::default();
    let (stop, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));

    let look = |cells: &[SnapshotCell<Version>], random: &mut Random, newest: &mut [u64; 3]| {
        let (outer, inner) = (random.below(3) as usize, random.below(3) as usize);
        let stalls = random.below(16) == 0;
        let seen = cells[outer].read(|version| {
            assert!(version.number >= newest[outer], "went back");
            version.canaries.iter().for_each(|canary| canary.look());
            if stalls {
                random.stall();
                let below = cells[inner].read(|other| {
                    assert!(other.number >= newest[inner], "went back");
                    other.canaries.iter().for_each(|canary| canary.look());
                    random.stall();
                    other.canaries.iter().for_each(|canary| canary.look());
                    other.number
                });
                newest[inner] = newest[inner].max(below.unwrap_or(0));
            }
            version.canaries.iter().for_each(|canary| canary.look());
            version.number
        });
        newest[outer] = newest[outer].max(seen.unwrap_or(0));
    };

    let mut threads = Vec::new();
    for thread in 0..2 {
        let (cells, stop, reads) = (cells.clone(), stop.clone(), reads.clone());
        threads.push(thread::spawn(move || {
            let (mut random, mut newest, mut count) = (Random::of(thread), [0; 3], 0);
            while !stop.load(Relaxed) {
                look(&*cells, &mut random, &mut newest);
                count += 1;
            }
            reads.fetch_add(count, SeqCst);
        }));
    }
    // One that is ever another thread.
    let (theirs, end, count) = (cells.clone(), stop.clone(), reads.clone());
    threads.push(thread::spawn(move || {
        for thread in 100.. {
            if end.load(Relaxed) {
                break;
            }
            let (cells, count) = (theirs.clone(), count.clone());
            thread::spawn(move || {
                let (mut random, mut newest) = (Random::of(thread), [0; 3]);
                for _ in 0..=random.below(100) {
                    look(&*cells, &mut random, &mut newest);
                    count.fetch_add(1, Relaxed);
                }
            })
            .join()
            .unwrap();
        }
    }));
    for thread in 200..202 {
        let (cells, stop) = (cells.clone(), stop.clone());
        threads.push(thread::spawn(move || {
            let mut random = Random::of(thread);
            while !stop.load(Relaxed) {
                let cell = &cells[random.below(3) as usize];
                let (fresh, keeps) = (Arc::new(Canary::new()), random.below(8) == 0);
                cell.update(|old| {
                    if keeps {
                        return None;
                    }
                    let mut canaries = old.canaries.clone();
                    canaries.truncate(3);
                    canaries.insert(0, fresh.clone());
                    Some(Version { number: old.number + 1, canaries })
                });
                drop(fresh);
                match random.below(64) {
                    0 => cell.synchronize(Duration::MAX).unwrap(),
                    1 => drop(cell.collect()),
                    // A write from inside a read, which its own leave then collects.
                    2 => drop(cell.read(|_| cell.update(|_| None))),
                    _ => random.stall(),
                }
            }
        }));
    }
    thread::sleep(duration());
    stop.store(true, SeqCst);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    println!(
        "{} reads of {:?} versions",
        reads.load(SeqCst),
        cells.each_ref().map(|cell| cell.read(|v| v.number))
    );
    drop(cells);
    nothing_is_left();
}

/// Heap memory that says which version it belongs to, until it is dropped.
#[derive(Default)]
struct Stamped {
    number: u64,
    stamps: Vec<u64>,
}

impl Snapshot for Stamped {
    type Context = ();
    type Part = ();
    fn is_empty(&self) -> bool {
        self.number == 0
    }
}

impl Stamped {
    fn look(&self, number: u64) {
        for stamp in &self.stamps {
            // Volatile: what is there, not what the compiler knows of it.
            // SAFETY: a word of our own vector.
            let stamp = unsafe { std::ptr::from_ref(stamp).read_volatile() };
            assert_eq!(stamp, number, "freed under its reader");
        }
    }
}

impl Drop for Stamped {
    fn drop(&mut self) {
        for stamp in &mut self.stamps {
            // SAFETY: a word of our own vector.
            unsafe { std::ptr::from_mut(stamp).write_volatile(0) };
        }
    }
}

#[test]
fn readers_without_a_pause_against_a_writer_without_a_pause() {
    let _alone = common::alone();
    let cell = Arc::new(SnapshotCell::<Stamped>::new());
    let stop = Arc::new(AtomicBool::new(false));
    let (theirs, end) = (cell.clone(), stop.clone());
    let reader = thread::spawn(move || {
        let (mut reads, mut newest) = (0_u64, 0);
        while !end.load(Relaxed) {
            theirs.read(|stamped| {
                let number = stamped.number;
                assert!(number >= newest, "went back");
                newest = number;
                for _ in 0..32 {
                    stamped.look(number);
                }
            });
            reads += 1;
        }
        reads
    });
    let (start, mut number) = (Instant::now(), 0);
    while start.elapsed() < duration() {
        for _ in 0..64 {
            number += 1;
            cell.update(|_| Some(Stamped { number, stamps: vec![number; 8] }));
        }
    }
    stop.store(true, SeqCst);
    println!("{} reads of {number} versions", reader.join().unwrap());
    cell.collect();
    assert_eq!(cell.retired(), 0);
}

#[test]
fn publishers_run_live_subscribers_while_everything_changes() {
    let _alone = common::alone(); // canaries are counted for the process
    /// A seed, and how deep it may still be published.
    type Event = (u64, u32);
    type Post = Dispatcher<Event, Infallible>;
    let posts: Arc<[Post; 3]> = Arc::default();
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));

    /// A subscriber that looks, and now and then publishes to another dispatcher.
    fn subscriber(
        posts: &Arc<[Post; 3]>,
        calls: &Arc<AtomicU64>,
        gone: Arc<AtomicBool>,
    ) -> impl Fn(&Event) + Send + Sync + 'static + use<> {
        let (posts, calls, canary) = (Arc::downgrade(posts), calls.clone(), Canary::new());
        let own = MADE.load(Relaxed); // so that not all stall at the same events
        move |&(seed, deeper): &Event| {
            canary.look();
            let mut random = Random::of(seed ^ own);
            random.stall();
            if deeper > 0
                && random.below(8) == 0
                && let Some(posts) = posts.upgrade()
            {
                posts[random.below(3) as usize].publish(&(seed >> 1, deeper - 1));
            }
            assert!(!gone.load(SeqCst), "runs after a wait for it has returned");
            canary.look();
            calls.fetch_add(1, Relaxed);
        }
    }

    let mut threads = Vec::new();
    for thread in 0..2 {
        let (posts, stop) = (posts.clone(), stop.clone());
        threads.push(thread::spawn(move || {
            let mut random = Random::of(thread);
            while !stop.load(Relaxed) {
                let seed = (random.next(), (random.below(64) == 0).into());
                match random.below(16) {
                    0 => drop(posts[0].publish_all(&seed)),
                    1 => posts[1].publish_or_undo(&seed, &seed).unwrap(),
                    2 => {
                        let posts = posts.clone();
                        thread::spawn(move || posts[2].publish(&seed)).join().unwrap();
                    }
                    n => posts[n as usize % 3].publish(&seed).unwrap(),
                }
            }
        }));
    }
    for thread in 200..203 {
        let (posts, stop, calls) = (posts.clone(), stop.clone(), calls.clone());
        threads.push(thread::spawn(move || {
            let mut random = Random::of(thread);
            let mut kept: Vec<(Subscription, Arc<AtomicBool>)> = Vec::new();
            let mut round = 0_u64;
            while !stop.load(Relaxed) {
                round += 1;
                let post = &posts[random.below(3) as usize];
                let gone = Arc::new(AtomicBool::new(false));
                let options = SubscribeOptions::new().priority(random.below(5) as i32);
                let options = if random.below(8) == 0 { options.once() } else { options };
                let sub = post.subscribe_with(options, subscriber(&posts, &calls, gone.clone()));
                kept.push((sub, gone));
                let (victim, gone) = kept.swap_remove(random.below(kept.len() as u64) as usize);
                match random.below(16) {
                    0..3 => {
                        victim.cancel_and_wait(Duration::MAX).unwrap();
                        gone.store(true, SeqCst);
                    }
                    3 => drop(post.edit(|edit| {
                        edit.set_priority(&victim, 3);
                        edit.cancel(&victim)
                    })),
                    4 => {
                        victim.pause();
                        victim.resume();
                        kept.push((victim, gone));
                    }
                    5 => {
                        let canary = Canary::new();
                        post.scope(|scope| {
                            scope.subscribe(|_: &Event| canary.look());
                            post.publish(&(round, 1));
                        })
                        .unwrap();
                    }
                    6 => kept.push((victim, gone)),
                    _ => drop(victim),
                }
                if kept.len() > 40 {
                    kept.drain(..20).map(|(sub, _)| sub).collect::<SubscriptionSet>().cancel();
                }
                random.stall();
            }
        }));
    }
    thread::sleep(duration());
    stop.store(true, SeqCst);
    let waiting = Instant::now();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    println!("{} calls; all threads had ended {:?} after the bell", calls.load(SeqCst), waiting.elapsed());
    assert!(calls.load(SeqCst) > 0);
    drop(posts);
    nothing_is_left();
}
