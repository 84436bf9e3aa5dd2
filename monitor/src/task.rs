//! Tasks that have names: a future that says, at each poll, that it runs.
//!
//! Owns what a task's word means, and the names. Not here: the words (`pulse.rs`), what a monitor makes of them.
//!
//! # Invariants
//! 1. A word is a task's number, above 16 bits of its kind, above which one bit says that it may take long; or, with [`TURN`], where
//!    a task was spawned, by the address of the place, or 0. It is never 0.
//! 2. Kinds are never removed, so a word's kind is there for good. There are at most [`KINDS_MAX`], and one for all others.

use crate::slot::{self, Slot};
use pin_project_lite::pin_project;
use signalpost_dispatch::core::{Snapshot, SnapshotCell};
use std::any::type_name;
use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

const KIND_BITS: u32 = 16;
/// Named kinds; tasks of others go without a name.
const KINDS_MAX: usize = 4096;
const EXPECTED: u64 = 1 << 63;

/// A turn of a loop in which no task is known, or but where it was spawned.
pub(crate) const TURN: u64 = 1 << (KIND_BITS + 46);

/// Which task: by the runtime's own number, where the blocked thread told it, or by that of a [`Monitored`].
///
/// # Examples
/// ```
/// use signalpost::monitor::{Monitored, TaskId};
/// let one = Monitored::new(async {});
/// let other = Monitored::new(async {});
/// assert_ne!(one.id(), other.id());
/// assert!(one.id().to_string().starts_with("monitored task "));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TaskId {
    /// Tokio's number of it: what `tokio::task::Id` shows.
    Tokio(u64),
    /// The number of a [`Monitored`], unique in the process.
    Monitored(u64),
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokio(id) => write!(f, "task {id}"),
            Self::Monitored(id) => write!(f, "monitored task {id}"),
        }
    }
}

/// What is known of the task that a loop was in when it stopped turning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockedTask {
    /// Its number; none where no task ran, or it could not be told.
    pub id: Option<TaskId>,
    /// Its name: the one it was given, else the type of its future. Known of a [`Monitored`].
    pub name: Option<Arc<str>>,
    /// Where it was made. Known of a [`Monitored`], and with tokio's unstable hooks.
    pub spawned_at: Option<&'static Location<'static>>,
}

impl BlockedTask {
    pub(crate) fn is_known(&self) -> bool {
        *self != Self::default()
    }
}

impl fmt::Display for BlockedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, spawned_at } = self;
        match (id, name) {
            (None, None) => f.write_str(if self.is_known() { "a task" } else { "no known task" })?,
            (Some(id), None) => write!(f, "{id}")?,
            (None, Some(name)) => write!(f, "task `{name}`")?,
            (Some(id), Some(name)) => write!(f, "{id} `{name}`")?,
        }
        spawned_at.map_or(Ok(()), |place| write!(f, " (made at {place})"))
    }
}

pin_project! {
    /// A future that a monitor can name: it says at each poll that it runs, and which task it is.
    ///
    /// Any executor will do. A poll costs two stores before and two after it, on a cache line of this thread, and a load of a flag
    /// (below 1 ns; wait-free, no allocation, no clock); the first one on a thread allocates. Every monitor of the process sees
    /// it, on a thread that drives a loop (a [`LoopGuard`](crate::LoopGuard)'s, a runtime's with hooks) those that watch that loop: a poll that
    /// takes longer than [`max_blocking_time`](crate::MonitorBuilder::max_blocking_time) is an
    /// [`EventLoopBlocked`](crate::EventLoopBlocked), of that loop, or of one called `tasks`.
    ///
    /// One inside another is a task of its own; when it is done the outer one's time begins anew.
    ///
    /// # Examples
    /// ```
    /// use signalpost::monitor::Monitored;
    /// use std::future::ready;
    ///
    /// let upload = Monitored::new(ready(7)).named("upload");
    /// assert_eq!(upload.name().as_deref(), Some("upload"));
    /// // spawn it, or await it
    /// # let mut upload = std::pin::pin!(upload);
    /// # let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    /// # assert!(std::future::Future::poll(upload.as_mut(), &mut context).is_ready());
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub struct Monitored<F> {
        #[pin]
        future: F,
        word: u64,
        place: &'static Location<'static>,
    }
}

impl<F> Monitored<F> {
    /// Wraps a future. It goes by the type of the future, and the place of this call. Lock-free; allocates for the first future of
    /// its type and place.
    #[track_caller]
    pub fn new(future: F) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let place = Location::caller();
        let number = NEXT.fetch_add(1, Relaxed) & (u64::MAX >> (KIND_BITS + 2));
        Self { future, word: number << KIND_BITS | kind(type_name::<F>(), place), place }
    }

    /// Gives it another name: one of few, such as a route or a kind of job. Of more than 4,096 names and places the later ones are not
    /// known.
    pub fn named(self, name: &str) -> Self {
        let mask = (1 << KIND_BITS) - 1;
        Self { word: self.word & !mask | kind(name, self.place), ..self }
    }

    /// Says that its polls are known to take long: none of them is reported.
    ///
    /// For code that must be so. What merely happens to be slow belongs on threads of its own.
    pub fn expect_blocking(self) -> Self {
        Self { word: self.word | EXPECTED, ..self }
    }

    /// Its number.
    pub fn id(&self) -> TaskId {
        TaskId::Monitored((self.word & !EXPECTED) >> KIND_BITS)
    }

    /// Its name.
    pub fn name(&self) -> Option<Arc<str>> {
        task(self.word).name
    }

    /// The future.
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F: Future> Future for Monitored<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _inside = slot::current().or_else(slot::here).map(|slot| Inside::begin(slot, *this.word));
        this.future.poll(cx)
    }
}

impl<F> fmt::Debug for Monitored<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Monitored({})", task(self.word))
    }
}

/// Something that could block runs on this thread until this is dropped, also by a panic.
pub(crate) struct Inside {
    slot: &'static Slot,
    before: u64,
}

impl Inside {
    #[inline(always)]
    pub(crate) fn begin(slot: &'static Slot, word: u64) -> Self {
        Self { slot, before: slot.enter(word) }
    }
}

impl Drop for Inside {
    #[inline(always)]
    fn drop(&mut self) {
        self.slot.leave(self.before);
    }
}

/// Runs a future as a task of tokio's, [`Monitored`]: as `tokio::spawn`, and it goes by the future's type, and the place of this call.
///
/// # Panics
/// Outside of a runtime, as `tokio::spawn`.
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let answer = signalpost::monitor::monitored_spawn(async { 42 });
/// assert_eq!(answer.await.unwrap(), 42);
/// # });
/// ```
#[cfg(feature = "tokio")]
#[track_caller]
pub fn monitored_spawn<F>(future: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(Monitored::new(future))
}

#[cfg(feature = "tokio")]
impl From<tokio::task::Id> for TaskId {
    /// The number that it shows.
    fn from(id: tokio::task::Id) -> Self {
        Self::Tokio(id.to_string().parse().unwrap_or(0))
    }
}

/// Whether a word's task may take long.
pub(crate) fn is_expected(word: u64) -> bool {
    word & EXPECTED != 0
}

/// What is known of a word's task.
pub(crate) fn task(word: u64) -> BlockedTask {
    let number = (word & !EXPECTED) >> KIND_BITS;
    if word == 0 {
        return BlockedTask::default();
    }
    if word & TURN != 0 {
        return BlockedTask { spawned_at: spawned_at(word), ..BlockedTask::default() };
    }
    let kind = (word & ((1 << KIND_BITS) - 1)) as usize;
    let known = KINDS.read(|kinds| kinds.list.get(kind).cloned()).flatten();
    let (name, spawned_at) = known.map_or((None, None), |(name, place)| (Some(name), Some(place)));
    BlockedTask { id: Some(TaskId::Monitored(number)), name, spawned_at }
}

type Place = &'static Location<'static>;

#[cfg(all(tokio_unstable, feature = "tokio-unstable-hooks"))]
mod places {
    use super::{Place, TURN};
    use signalpost_dispatch::core::{Snapshot, SnapshotCell};
    use std::collections::HashMap;
    use std::sync::Arc;

    /// By their addresses. As many as the program has that spawn.
    static PLACES: SnapshotCell<Places> = SnapshotCell::new();

    #[derive(Clone, Default)]
    struct Places(Arc<HashMap<usize, Place>>);

    impl Snapshot for Places {
        type Context = ();
        type Part = ();

        fn is_empty(&self) -> bool {
            self.0.is_empty()
        }
    }

    fn address(place: Place) -> usize {
        std::ptr::from_ref(place).addr()
    }

    /// The word of a turn in a task that was spawned there.
    #[inline]
    pub(crate) fn turn_in(place: Place) -> u64 {
        TURN | address(place) as u64
    }

    /// Tasks are spawned there. A read, from the second time on.
    pub(crate) fn know(place: Place) {
        let at = address(place);
        if PLACES.read(|places| places.0.contains_key(&at)) != Some(true) {
            PLACES.update(|places| {
                let mut more = HashMap::clone(&places.0);
                more.insert(at, place);
                Some(Places(Arc::new(more)))
            });
        }
    }

    pub(super) fn spawned_at(word: u64) -> Option<Place> {
        let at = usize::try_from(word & !TURN).ok()?;
        PLACES.read(|places| places.0.get(&at).copied()).flatten()
    }
}

#[cfg(all(tokio_unstable, feature = "tokio-unstable-hooks"))]
use places::spawned_at;
#[cfg(all(tokio_unstable, feature = "tokio-unstable-hooks"))]
pub(crate) use places::{know, turn_in};

/// Only hooks tell.
#[cfg(not(all(tokio_unstable, feature = "tokio-unstable-hooks")))]
fn spawned_at(_: u64) -> Option<Place> {
    None
}

static KINDS: SnapshotCell<Kinds> = SnapshotCell::new();

#[derive(Clone, Default)]
struct Kinds {
    list: Arc<Vec<(Arc<str>, Place)>>,
    numbers: Arc<HashMap<Place, Names>>,
}

/// The names of one place, with their numbers.
type Names = Vec<(Arc<str>, u64)>;

impl Snapshot for Kinds {
    type Context = ();
    type Part = ();

    fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl Kinds {
    fn number(&self, name: &str, place: Place) -> Option<u64> {
        let names = self.numbers.get(place)?;
        names.iter().find(|(known, _)| **known == *name).map(|(_, number)| *number)
    }
}

/// The number of a name and a place; [`KINDS_MAX`], which has no name, for those after too many.
fn kind(name: &str, place: Place) -> u64 {
    if let Some(number) = KINDS.read(|kinds| kinds.number(name, place)).flatten() {
        return number;
    }
    let mut number = KINDS_MAX as u64;
    KINDS.update(|kinds| {
        number = KINDS_MAX as u64;
        if let Some(there) = kinds.number(name, place) {
            number = there;
            return None;
        }
        if kinds.list.len() == KINDS_MAX {
            return None;
        }
        number = kinds.list.len() as u64;
        let (mut list, mut numbers) = (Vec::clone(&kinds.list), HashMap::clone(&kinds.numbers));
        let name: Arc<str> = Arc::from(name);
        list.push((name.clone(), place));
        numbers.entry(place).or_default().push((name, number));
        Some(Kinds { list: Arc::new(list), numbers: Arc::new(numbers) })
    });
    number
}
