//! The threads target: two threads do what the bytes say, at once; afterwards what they saw is checked.
//!
//! Owns the clock that every beginning and end is stamped with. There is no model of one order here, since there is none: only
//! what must hold in every order. A mismatch need not come back when the input is run again.

use crate::coded::{Coded, coded};
use crate::twist::Twist;
use arbitrary::Unstructured;
use signalpost::{Dispatcher, SubscribeOptions, Subscription};
use std::cell::RefCell;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

coded! {
    /// One thing that a thread does. `of` says whose subscriber (even: its own; odd: the other's), `nth` which one of those
    /// that there are.
    enum Act {
        Publish,
        Subscribe { flags: u8, priority: u8 },
        Cancel { of: u8, nth: u8 },
        Publishes { count: u8 },
        CancelAndWait { of: u8, nth: u8 },
        Pause { of: u8, nth: u8 },
        Resume { of: u8, nth: u8 },
        /// Several subscribers in one edit.
        Edit { count: u8, priority: u8 },
        Collect,
        Spin { turns: u8 },
    }
}

const ONCE: u8 = 1;
/// Cancels itself when it is called.
const CANCELS_ITSELF: u8 = 2;
const MOST_ACTS: usize = 40;
/// A wait that takes longer than this hangs.
const FOR_EVER: Duration = Duration::from_secs(60);

/// A rule of the check turned round: then it must complain of runs that are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadTwist {
    /// What is registered before a publish begins need not run: it must not.
    RegisteredAreMissed,
    /// What is cancelled before a publish begins must run all the same.
    CancelledRun,
    /// Higher priorities come last.
    HighestLast,
    /// A wait returns before the captures are dropped.
    WaitsReturnEarly,
}

impl ThreadTwist {
    /// Every one.
    pub const ALL: &[Self] =
        &[Self::RegisteredAreMissed, Self::CancelledRun, Self::HighestLast, Self::WaitsReturnEarly];
}

/// From when to when.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: u64,
    to: u64,
}

/// What was done to a subscriber, and when.
#[derive(Clone, Copy, Debug)]
enum Done {
    /// A cancel, and whether it says that it did it.
    Cancel(bool),
    /// A cancel that was waited for.
    Waited,
    Pause,
    Resume,
}

struct Sub {
    flags: u8,
    priority: i32,
    /// Registered together with others of this number.
    group: Option<usize>,
    thread: usize,
    subscribed: OnceLock<Span>,
    handle: OnceLock<Subscription>,
    done: Mutex<Vec<(Span, Done)>>,
    dropped: Mutex<Vec<u64>>,
}

/// One publish: when, and who ran, in order, each with when its call ended.
struct Publish {
    span: Span,
    ran: Vec<(usize, u64)>,
}

thread_local!(static RAN: RefCell<Vec<(usize, u64)>> = const { RefCell::new(Vec::new()) });

#[derive(Default)]
struct World {
    clock: AtomicU64,
    groups: AtomicUsize,
    subs: Mutex<Vec<Arc<Sub>>>,
}

/// What a subscriber captures.
struct Capture {
    world: Arc<World>,
    sub: Arc<Sub>,
    number: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// Later than everything that happened before, also on the other thread.
    fn now(&self) -> u64 {
        self.clock.fetch_add(1, SeqCst)
    }

    fn span<R>(&self, f: impl FnOnce() -> R) -> (Span, R) {
        let from = self.now();
        let result = f();
        (Span { from, to: self.now() }, result)
    }

    fn sub(self: &Arc<Self>, thread: usize, flags: u8, priority: u8, group: Option<usize>) -> Capture {
        let sub = Arc::new(Sub {
            flags,
            priority: i32::from(priority % 3),
            group,
            thread,
            subscribed: OnceLock::new(),
            handle: OnceLock::new(),
            done: Mutex::default(),
            dropped: Mutex::default(),
        });
        let mut subs = lock(&self.subs);
        subs.push(sub.clone());
        Capture { world: self.clone(), sub, number: subs.len() - 1 }
    }

    /// The n-th of those that a thread has registered by now.
    fn find(&self, thread: usize, nth: u8) -> Option<Arc<Sub>> {
        let subs = lock(&self.subs);
        let there = |sub: &&Arc<Sub>| sub.thread == thread && sub.handle.get().is_some();
        let count = subs.iter().filter(there).count();
        (count > 0).then(|| subs.iter().filter(there).nth(usize::from(nth) % count).cloned())?
    }
}

impl Sub {
    fn record(&self, world: &World, f: impl FnOnce(&Subscription) -> Option<Done>) {
        let Some(handle) = self.handle.get() else { return };
        let (span, done) = world.span(|| f(handle));
        lock(&self.done).extend(done.map(|done| (span, done)));
    }

    fn kept(&self, span: Span, handle: Subscription) {
        self.subscribed.set(span).expect("subscribed once");
        self.handle.set(handle).expect("subscribed once");
    }
}

impl Capture {
    fn called(&self) {
        if self.sub.flags & CANCELS_ITSELF != 0 {
            self.sub.record(&self.world, |handle| Some(Done::Cancel(handle.cancel())));
        }
        let ended = self.world.now();
        RAN.with_borrow_mut(|ran| ran.push((self.number, ended)));
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        lock(&self.sub.dropped).push(self.world.now());
    }
}

fn options(sub: &Sub) -> SubscribeOptions {
    let options = SubscribeOptions::new().priority(sub.priority);
    if sub.flags & ONCE != 0 { options.once() } else { options }
}

fn act(
    world: &Arc<World>,
    dispatcher: &Dispatcher<(), Infallible>,
    thread: usize,
    act: &Act,
    seen: &mut Vec<Publish>,
) {
    let find = |of: u8, nth: u8| world.find((thread + usize::from(of)) % 2, nth);
    match *act {
        Act::Publish | Act::Publishes { .. } => {
            let count = if let Act::Publishes { count } = act { count % 16 } else { 1 };
            for _ in 0..count {
                let (span, ()) =
                    world.span(|| dispatcher.publish(&()).unwrap_or_else(|never| match never.error {}));
                seen.push(Publish { span, ran: RAN.take() });
            }
        }
        Act::Subscribe { flags, priority } => {
            let capture = world.sub(thread, flags, priority, None);
            let (sub, options) = (capture.sub.clone(), options(&capture.sub));
            let subscribe = || dispatcher.subscribe_with(options, move |(): &()| capture.called());
            let (span, handle) = world.span(subscribe);
            sub.kept(span, handle);
        }
        Act::Edit { count, priority } => {
            let group = world.groups.fetch_add(1, SeqCst);
            let captures: Vec<Capture> = (0..=count % 5)
                .map(|more| world.sub(thread, 0, priority.wrapping_add(more), Some(group)))
                .collect();
            let (span, handles) = world.span(|| {
                dispatcher.edit(|edit| {
                    let subscribe = |capture: Capture| {
                        let (sub, options) = (capture.sub.clone(), options(&capture.sub));
                        (sub, edit.subscribe_with(options, move |(): &()| capture.called()))
                    };
                    captures.into_iter().map(subscribe).collect::<Vec<_>>()
                })
            });
            for (sub, handle) in handles {
                sub.kept(span, handle);
            }
        }
        Act::Cancel { of, nth } => {
            let Some(sub) = find(of, nth) else { return };
            sub.record(world, |handle| Some(Done::Cancel(handle.cancel())));
        }
        Act::CancelAndWait { of, nth } => {
            let Some(sub) = find(of, nth) else { return };
            sub.record(world, |handle| handle.cancel_and_wait(FOR_EVER).ok().map(|()| Done::Waited));
        }
        Act::Pause { of, nth } => {
            let Some(sub) = find(of, nth) else { return };
            sub.record(world, |handle| {
                handle.pause();
                Some(Done::Pause)
            });
        }
        Act::Resume { of, nth } => {
            let Some(sub) = find(of, nth) else { return };
            sub.record(world, |handle| {
                handle.resume();
                Some(Done::Resume)
            });
        }
        Act::Collect => {
            dispatcher.collect();
        }
        Act::Spin { turns } => (0..u32::from(turns) * 8).for_each(|_| std::hint::spin_loop()),
    }
}

/// Has two threads do what the bytes say, and checks what they saw.
///
/// # Panics
/// If it should not have been; the message says what.
pub fn threads(data: &[u8]) {
    if let Err(report) = threads_with(data, &[]) {
        panic!("{report}");
    }
}

/// As [`threads`], with rules of the check turned round; gives how many calls of subscribers there were.
///
/// # Errors
/// What should not have been seen, after what the threads were to do.
pub fn threads_with(data: &[u8], twists: &[ThreadTwist]) -> Result<usize, String> {
    let mut bytes = Unstructured::new(data);
    let mut acts: [Vec<Act>; 2] = Default::default();
    while !bytes.is_empty() && acts[0].len() < MOST_ACTS {
        for acts in &mut acts {
            acts.push(Act::decode(&mut bytes).expect("a byte short is a 0"));
        }
    }
    let world = Arc::new(World::default());
    let dispatcher = Dispatcher::named("threads");
    let begin = Barrier::new(2);
    let seen: Vec<Publish> = thread::scope(|threads| {
        let run = |(thread, acts): (usize, &Vec<Act>)| {
            let (mut seen, acts) = (Vec::new(), acts.clone());
            let (world, dispatcher, begin) = (&world, &dispatcher, &begin);
            threads.spawn(move || {
                begin.wait();
                acts.iter().for_each(|one| act(world, dispatcher, thread, one, &mut seen));
                seen
            })
        };
        let both: Vec<_> = acts.iter().enumerate().map(run).collect();
        both.into_iter().flat_map(|thread| thread.join().expect("subscribers do not panic")).collect()
    });
    dispatcher.collect();
    let retired = dispatcher.retired();
    drop(dispatcher);
    let subs = std::mem::take(&mut *lock(&world.subs));
    let found = if retired == 0 {
        Check { subs: &subs, seen: &seen, twists }.all()
    } else {
        Err(format!("{retired} snapshots wait, and nobody reads"))
    };
    let [first, second] = &acts;
    found.map_err(|what| format!("one thread: {first:#?}\nthe other: {second:#?}\n{what}\n"))?;
    Ok(seen.iter().map(|publish| publish.ran.len()).sum())
}

struct Check<'c> {
    subs: &'c [Arc<Sub>],
    seen: &'c [Publish],
    twists: &'c [ThreadTwist],
}

impl Check<'_> {
    fn is(&self, twist: ThreadTwist) -> bool {
        self.twists.contains(&twist)
    }

    fn all(&self) -> Result<(), String> {
        for publish in self.seen {
            self.order(publish)?;
            self.groups(publish)?;
            for number in 0..self.subs.len() {
                self.called(number, publish)?;
            }
        }
        (0..self.subs.len()).try_for_each(|number| self.ended(number))
    }

    /// Who must run, who must not.
    fn called(&self, number: usize, publish: &Publish) -> Result<(), String> {
        let sub = &self.subs[number];
        let Publish { span, ran } = publish;
        let times = ran.iter().filter(|(other, _)| *other == number).count();
        let subscribed = *sub.subscribed.get().expect("both threads are done");
        let done = lock(&sub.done);
        let cancels = || done.iter().filter(|(_, done)| matches!(done, Done::Cancel(_) | Done::Waited));
        let pauses = || done.iter().filter(|(_, done)| matches!(done, Done::Pause));
        let resumes = || done.iter().filter(|(_, done)| matches!(done, Done::Resume));
        let there = subscribed.to < span.from && cancels().all(|(cancel, _)| cancel.from > span.to);
        let paused = pauses().any(|(pause, _)| {
            pause.to < span.from
                && resumes().all(|(resume, _)| resume.to < pause.from || resume.from > span.to)
        });
        let cancelled = cancels().any(|(cancel, _)| cancel.to < span.from);
        let wrong = |what: &str| {
            let done = &*done;
            Err(format!(
                "subscriber {number}, there since {subscribed:?}, {done:?}, {what} in the publish at {span:?}"
            ))
        };
        if times > 1 {
            return wrong("ran twice");
        }
        let must = there && pauses().next().is_none() && sub.flags & ONCE == 0;
        if must && times == usize::from(self.is(ThreadTwist::RegisteredAreMissed)) {
            return wrong("did not run");
        }
        if cancelled && times != usize::from(self.is(ThreadTwist::CancelledRun)) {
            return wrong("ran after its cancel");
        }
        if times > 0 && (paused || span.to < subscribed.from) {
            return wrong("ran though it was not to");
        }
        Ok(())
    }

    fn order(&self, publish: &Publish) -> Result<(), String> {
        for pair in publish.ran.windows(2) {
            let [first, second] = [pair[0].0, pair[1].0];
            let (one, other) = (&self.subs[first], &self.subs[second]);
            let spans = (one.subscribed.get(), other.subscribed.get());
            let (Some(one_span), Some(other_span)) = spans else { continue };
            let highest_first = (one.priority >= other.priority) != self.is(ThreadTwist::HighestLast);
            let later = one.priority == other.priority && one_span.from > other_span.to;
            if !highest_first || later {
                return Err(format!(
                    "subscriber {first} ran before {second} in the publish at {:?}",
                    publish.span
                ));
            }
        }
        Ok(())
    }

    /// Of those that one edit added, a publish sees all or none.
    fn groups(&self, publish: &Publish) -> Result<(), String> {
        let groups = self.subs.iter().filter_map(|sub| sub.group).max().map_or(0, |last| last + 1);
        for group in 0..groups {
            let members = || self.subs.iter().enumerate().filter(|(_, sub)| sub.group == Some(group));
            let touched = |sub: &Sub| lock(&sub.done).iter().any(|(span, _)| span.from < publish.span.to);
            if members().any(|(_, sub)| touched(sub)) {
                continue;
            }
            let ran =
                members().filter(|(number, _)| publish.ran.iter().any(|(other, _)| other == number)).count();
            if ran != 0 && ran != members().count() {
                return Err(format!("{ran} of {} of one edit ran at {:?}", members().count(), publish.span));
            }
        }
        Ok(())
    }

    /// What a subscriber's end promises.
    fn ended(&self, number: usize) -> Result<(), String> {
        let sub = &self.subs[number];
        let (done, dropped) = (lock(&sub.done), lock(&sub.dropped));
        let [dropped] = dropped[..] else {
            return Err(format!("the captures of {number} were dropped {} times", dropped.len()));
        };
        let runs = || {
            let all = self.seen.iter().flat_map(|publish| &publish.ran);
            all.filter(|(other, _)| *other == number).map(|(_, ended)| *ended)
        };
        if sub.flags & ONCE != 0 && runs().count() > 1 {
            return Err(format!("{number} ran more than once"));
        }
        if let Some(late) = runs().find(|ended| *ended > dropped) {
            return Err(format!(
                "the captures of {number} were dropped at {dropped}, and it ran until {late}"
            ));
        }
        for (span, _) in done.iter().filter(|(_, done)| matches!(done, Done::Waited)) {
            if (dropped > span.to) != self.is(ThreadTwist::WaitsReturnEarly) {
                return Err(format!(
                    "{number} was waited for until {}, its captures were dropped at {dropped}",
                    span.to
                ));
            }
        }
        let said = done.iter().filter(|(_, done)| matches!(done, Done::Cancel(true))).count();
        if said > 1 && !crate::KNOWN.contains(&Twist::SweepCounts) {
            return Err(format!("{said} cancels of {number} say that they did it"));
        }
        Ok(())
    }
}
