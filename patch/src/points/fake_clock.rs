//! A clock that a test turns.
//!
//! Owns what time it shows, and who sleeps until when.

use super::time;
use crate::items::ItemName;
use crate::module::Module;
use crate::replacement::Replacement;
use crate::scope::Override;
use crate::source::Source;
use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// The time of [`points::time`](super::time), turned by hand. It stands still but for [`advance`](Self::advance).
///
/// Those who sleep on it wait, however long that takes, until it has been turned past the time when they are due. With
/// [`auto_advance`](Self::auto_advance) nobody waits: a sleep turns the clock and returns.
///
/// Its [`overrides`](Self::overrides) are for a [`Scope`](crate::Scope); for everybody it is a [`Source`](crate::Source), also
/// for modules of your own: it offers `now`, `system_now` and `sleep`, as far as the module has functions of these names.
///
/// A clone is the same clock. When the last one is dropped, all who sleep on it are released: from then on it goes as with
/// `auto_advance`, for whoever still calls it. So a test that fails ends, rather than hang with the threads that it started. (What
/// [`std::thread::scope`] waits for needs the clock to be dropped inside: move a clone in that is the last.) A patcher
/// holds what is [registered](crate::Patcher::builtin) with it, so also a clock, but not the source of a
/// [`patch_module`](crate::Patcher::patch_module) that has ended: keep a clone then.
///
/// Functions take its lock for a moment. No allocation but where somebody waits.
///
/// # Examples
/// ```
/// use signalpost::patch::points::{FakeClock, time};
/// use signalpost::patch::Scope;
/// use std::thread;
/// use std::time::Duration;
///
/// let clock = FakeClock::new();
/// let scope = Scope::new(clock.overrides()).unwrap();
/// let nap = thread::spawn(scope.bind(|| {
///     let begun = time::now();
///     time::sleep(Duration::from_secs(3600));
///     time::now() - begun
/// }));
/// clock.wait_for_sleepers(1, Duration::from_secs(10)).unwrap();
/// clock.advance(Duration::from_secs(3599));
/// assert_eq!((clock.sleepers(), clock.until_next()), (1, Some(Duration::from_secs(1))));
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(nap.join().unwrap(), Duration::from_secs(3600));
/// ```
#[derive(Clone)]
pub struct FakeClock(Arc<Handle>);

/// What the clones share, and replacements do not: that it is dropped means that nobody is left to turn the clock.
struct Handle(Arc<Clockwork>);

struct Clockwork {
    /// What it showed when it was made.
    instant: Instant,
    system: SystemTime,
    state: Mutex<State>,
    /// Told when somebody is due, or the clock goes by itself.
    turned: Condvar,
    /// Told when somebody falls asleep.
    asleep: Condvar,
}

#[derive(Default)]
struct State {
    /// How far it has been turned since.
    elapsed: Duration,
    /// Sleeps turn it.
    auto: bool,
    /// The last clone has gone.
    released: bool,
    /// Who sleeps, the next who is due first. Whoever finds itself gone from here may go on.
    sleeping: BTreeSet<(Due, u64)>,
    next: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    At(Duration),
    /// Past what the clock can show.
    Never,
}

impl FakeClock {
    /// A clock that shows the time of now, and stands.
    pub fn new() -> Self {
        Self::at(time::original::system_now())
    }

    /// A clock whose time of day is this, and stands. Its [`Instant`]s, which have no date, begin at now.
    ///
    /// # Examples
    /// ```
    /// use signalpost::patch::points::FakeClock;
    /// use std::time::{Duration, SystemTime};
    ///
    /// let leap_day = SystemTime::UNIX_EPOCH + Duration::from_secs(1_709_164_800);
    /// let clock = FakeClock::at(leap_day);
    /// clock.advance(Duration::from_secs(86_400));
    /// assert_eq!(clock.system_now(), leap_day + Duration::from_secs(86_400));
    /// ```
    pub fn at(system: SystemTime) -> Self {
        Self(Arc::new(Handle(Arc::new(Clockwork {
            instant: time::original::now(),
            system,
            state: Mutex::default(),
            turned: Condvar::new(),
            asleep: Condvar::new(),
        }))))
    }

    /// From now on a sleep turns the clock to the time when it is due and returns at once, on whatever thread: what several threads
    /// sleep adds up. Those who sleep already go on as soon as the clock is turned to where they are due.
    ///
    /// A sleep past what the clock can show waits all the same.
    ///
    /// # Examples
    /// ```
    /// use signalpost::patch::points::{FakeClock, time};
    /// use signalpost::patch::Scope;
    /// use std::time::Duration;
    ///
    /// let clock = FakeClock::new().auto_advance();
    /// Scope::new(clock.overrides()).unwrap().run(|| {
    ///     for attempt in 0..5 {
    ///         time::sleep(Duration::from_secs(1 << attempt));
    ///     }
    /// });
    /// assert_eq!(clock.elapsed(), Duration::from_secs(31));
    /// ```
    #[must_use]
    pub fn auto_advance(self) -> Self {
        self.work().lock().auto = true;
        self.work().turned.notify_all();
        self
    }

    /// Turns it forward. Those who are due by then are released all at once; it does not wait for what they do. Of those who are
    /// to go on one after the other, turn it to [one after the other](Self::until_next).
    ///
    /// # Panics
    /// If the time would be past what an [`Instant`] or a [`SystemTime`] can show. The clock is as before.
    #[track_caller]
    pub fn advance(&self, by: Duration) {
        let mut state = self.work().lock();
        let elapsed = state.elapsed.checked_add(by).filter(|elapsed| self.work().shows(*elapsed));
        let Some(elapsed) = elapsed else {
            let at = state.elapsed;
            drop(state);
            panic!("the clock cannot show what comes {by:?} after the {at:?} that it has been turned so far");
        };
        state.turn_to(elapsed);
        drop(state);
        self.work().turned.notify_all();
    }

    /// What `time::now` says.
    pub fn now(&self) -> Instant {
        self.work().now()
    }

    /// What `time::system_now` says.
    pub fn system_now(&self) -> SystemTime {
        self.work().system_now()
    }

    /// How far it has been turned since it was made.
    pub fn elapsed(&self) -> Duration {
        self.work().lock().elapsed
    }

    /// How many sleep on it now. Those whose time has come do not count, though they may not have run yet.
    pub fn sleepers(&self) -> usize {
        self.work().lock().sleeping.len()
    }

    /// How far it is to be turned for the next sleeper. None if nobody sleeps, or for longer than the clock can show.
    pub fn until_next(&self) -> Option<Duration> {
        let state = self.work().lock();
        match state.sleeping.first() {
            Some((Due::At(due), _)) => Some(*due - state.elapsed),
            Some((Due::Never, _)) | None => None,
        }
    }

    /// Waits until at least `wanted` threads sleep on it, so that a test need not guess when its threads have got that far.
    /// Blocking; `timeout` is real time.
    ///
    /// # Errors
    /// The time ran out, and fewer did.
    pub fn wait_for_sleepers(&self, wanted: usize, timeout: Duration) -> Result<(), TooFewSleepers> {
        let state = self.work().lock();
        let few = |state: &mut State| state.sleeping.len() < wanted;
        let waited = self.work().asleep.wait_timeout_while(state, timeout, few);
        let (state, result) = waited.unwrap_or_else(PoisonError::into_inner);
        match result.timed_out() {
            false => Ok(()),
            true => Err(TooFewSleepers { wanted, found: state.sleeping.len() }),
        }
    }

    /// `now`, `system_now` and `sleep` of [`points::time`](super::time), for a [`Scope`](crate::Scope).
    pub fn overrides(&self) -> Vec<Override> {
        let all = time::MODULE.slots().iter();
        all.filter_map(|slot| slot.with_any(&self.replacement(slot.name())?)).collect()
    }

    fn replacement(&self, item: &str) -> Option<Replacement> {
        let work = self.0.0.clone();
        match item {
            "now" => Some(time::sig::now(move || work.now())),
            "system_now" => Some(time::sig::system_now(move || work.system_now())),
            "sleep" => Some(time::sig::sleep(move |duration| work.sleep(duration))),
            _ => None,
        }
    }

    fn work(&self) -> &Clockwork {
        &self.0.0
    }
}

impl Source for FakeClock {
    fn name(&self) -> &str {
        "fake clock"
    }

    fn implements(&self, target: &'static Module) -> Vec<ItemName> {
        let wanted = time::MODULE.slots().iter().map(|slot| slot.name());
        wanted.filter(|item| target.slot(item).is_some()).map(ItemName::from).collect()
    }

    fn make(&self, _: &'static Module, item: &str) -> Option<Replacement> {
        self.replacement(item)
    }
}

impl Clockwork {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there are times for what it shows when it has been turned so far.
    fn shows(&self, elapsed: Duration) -> bool {
        self.instant.checked_add(elapsed).is_some() && self.system.checked_add(elapsed).is_some()
    }

    fn now(&self) -> Instant {
        self.instant + self.lock().elapsed
    }

    fn system_now(&self) -> SystemTime {
        self.system + self.lock().elapsed
    }

    fn sleep(&self, duration: Duration) {
        if duration.is_zero() {
            return;
        }
        let mut state = self.lock();
        let due = state.elapsed.checked_add(duration).filter(|due| self.shows(*due));
        let key = (due.map_or(Due::Never, Due::At), state.next);
        state.next += 1;
        state.sleeping.insert(key);
        if !(state.auto && due.is_some()) {
            self.asleep.notify_all();
        }
        while state.sleeping.contains(&key) {
            match due {
                Some(due) if state.auto || state.released => {
                    state.turn_to(due);
                    self.turned.notify_all(); // others may be due by this
                }
                None if state.released => {
                    state.sleeping.remove(&key);
                }
                _ => state = self.turned.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl State {
    /// Shows this time; who is due by then sleeps no more. It is never a time past: whoever sleeps is due later than now.
    fn turn_to(&mut self, elapsed: Duration) {
        self.elapsed = elapsed;
        // No number is the largest there is.
        self.sleeping = self.sleeping.split_off(&(Due::At(self.elapsed), u64::MAX));
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.lock().released = true;
        self.0.turned.notify_all();
    }
}

impl Default for FakeClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for FakeClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.work().lock();
        f.debug_struct("FakeClock")
            .field("elapsed", &state.elapsed)
            .field("auto_advance", &state.auto)
            .field("sleepers", &state.sleeping.len())
            .finish_non_exhaustive()
    }
}

/// Fewer threads than expected fell asleep on a [`FakeClock`] in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TooFewSleepers {
    /// How many there should be.
    pub wanted: usize,
    /// How many there are.
    pub found: usize,
}

impl fmt::Display for TooFewSleepers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wanted, found } = self;
        write!(
            f,
            "{found} of {wanted} threads sleep on the clock; a thread that is not bound to its scope sleeps on the real one"
        )
    }
}

impl Error for TooFewSleepers {}
