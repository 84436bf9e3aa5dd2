//! Replacements for those inside a scope: a thread, a task, a test among others that run beside it.
//!
//! Owns who is inside which scope, and what it has in a function's place. Not here: when a call asks (`slot.rs`).

use crate::error::PatchError;
use crate::module::AnySlot;
use crate::slot::About;
use pin_project_lite::pin_project;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread::{self, ThreadId};

thread_local! {
    // None has a destructor, so scopes are entered and left also while the thread's other locals are dropped: an executor may be
    // among them, with futures that are dropped inside their scopes.
    /// How many scopes this thread is in. By itself: readable at the cost of a load.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// The scopes that this thread has entered, the newest last, each with the number of its [`Entered`]. Without a buffer when there
    /// are none.
    static ENTERED: ManuallyDrop<RefCell<Vec<(u64, Scope)>>> = const { ManuallyDrop::new(RefCell::new(Vec::new())) };
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

/// Replacements that hold for whoever is inside: this thread until the guard is dropped, and what is carried along by
/// [`bind`](Self::bind) and [`wrap`](Self::wrap). Others call what they would without it, so tests that run in parallel never meet.
///
/// A scope that is made inside another one is its child: a function that it does not replace, its parent does. A clone is the
/// same scope. What its replacements captured is dropped with the last clone, when no call is in it.
///
/// While a scope lives, a call of one of its functions looks at a thread-local on every thread.
///
/// # Examples
/// ```
/// use signalpost::patch::{Scope, patch_points};
/// use std::thread;
///
/// patch_points! { pub mod env { fn home() -> String { "/root".to_owned() } } }
///
/// fn main() {
///     let scope = Scope::new([env::slots::home.with(Box::new(|| "/tmp/a".to_owned()))]).unwrap();
///     let inside = scope.enter();
///     assert_eq!(env::home(), "/tmp/a");
///     assert_eq!(thread::spawn(env::home).join().unwrap(), "/root"); // not carried along
///     assert_eq!(thread::spawn(scope.bind(env::home)).join().unwrap(), "/tmp/a");
///     drop(inside);
///     assert_eq!(env::home(), "/root");
/// }
/// ```
#[derive(Clone)]
pub struct Scope(Arc<Inner>);

struct Inner {
    parent: Option<Scope>,
    overrides: Vec<Override>,
    strays: Option<Arc<Strays>>,
}

/// One function's replacement in a [`Scope`]. Made by [`Slot::with`](crate::Slot::with).
#[must_use = "it replaces nothing before it is in a scope that is entered"]
pub struct Override {
    slot: &'static dyn AnySlot,
    key: usize,
    replacement: Box<dyn Any + Send + Sync>, // an `Arc<D>` of the slot's `D`
}

impl Override {
    pub(crate) fn new(
        slot: &'static dyn AnySlot,
        key: usize,
        replacement: Box<dyn Any + Send + Sync>,
    ) -> Self {
        Self { slot, key, replacement }
    }

    /// The slot whose function it replaces.
    pub fn slot(&self) -> &'static dyn AnySlot {
        self.slot
    }
}

impl Scope {
    /// A scope with these replacements, inside the one that this thread is in, if there is one.
    ///
    /// # Errors
    /// [`PatchError::DuplicateItem`]: two are for the same function.
    pub fn new(overrides: impl IntoIterator<Item = Override>) -> Result<Self, PatchError> {
        Self::make(overrides, None)
    }

    /// As [`new`](Self::new), and calls of the functions that it replaces are noted when a thread makes one that is in no
    /// scope at all: [`strays`](Self::strays). That is how a thread is found that was not [bound](Self::bind), and silently called
    /// the original.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    ///
    /// # Examples
    /// ```
    /// # signalpost::patch::patch_points! { pub mod env { fn home() -> String { "/root".to_owned() } } }
    /// # use signalpost::patch::Scope;
    /// # fn main() {
    /// let scope = Scope::strict([env::slots::home.with(Box::new(|| "/tmp/a".to_owned()))]).unwrap();
    /// let _inside = scope.enter();
    /// std::thread::Builder::new().name("worker".to_owned()).spawn(env::home).unwrap().join().unwrap(); // `bind` was forgotten
    /// let strays = scope.strays();
    /// assert_eq!((strays.len(), strays[0].item, strays[0].thread_name.as_deref()), (1, "home", Some("worker")));
    /// # }
    /// ```
    pub fn strict(overrides: impl IntoIterator<Item = Override>) -> Result<Self, PatchError> {
        Self::make(overrides, Some(Arc::default()))
    }

    fn make(
        overrides: impl IntoIterator<Item = Override>,
        strays: Option<Arc<Strays>>,
    ) -> Result<Self, PatchError> {
        let overrides: Vec<_> = overrides.into_iter().collect();
        let mut seen = HashSet::new();
        if let Some(twice) = overrides.iter().find(|replaced| !seen.insert(replaced.key)) {
            let (module, item) = (twice.slot.module(), twice.slot.name());
            return Err(PatchError::DuplicateItem { module: module.into(), item: item.into() });
        }
        for replaced in &overrides {
            replaced.slot.enter_scope(strays.as_ref().map(Arc::downgrade));
        }
        Ok(Self(Arc::new(Inner { parent: Self::current(), overrides, strays })))
    }

    /// The scope that this thread is in.
    pub fn current() -> Option<Self> {
        if !is_inside() {
            return None;
        }
        ENTERED.with(|entered| entered.borrow().last().map(|(_, scope)| scope.clone()))
    }

    /// Enters it on this thread, until the guard is dropped.
    ///
    /// Guards may be dropped in any order: the thread is in the scope that was entered last of those left. One that is forgotten
    /// (`std::mem::forget`) leaves the thread inside for good, and the scope alive.
    pub fn enter(&self) -> Entered {
        let number = NEXT.replace(NEXT.get() + 1);
        ENTERED.with(|entered| entered.borrow_mut().push((number, self.clone())));
        DEPTH.set(DEPTH.get() + 1);
        Entered { number, not_send: PhantomData }
    }

    /// Runs `f` inside it.
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        let _inside = self.enter();
        f()
    }

    /// `f`, to be run inside the scope wherever that is: for `thread::spawn`, a thread pool, `spawn_blocking`.
    pub fn bind<F: FnOnce() -> R, R>(&self, f: F) -> impl FnOnce() -> R + use<F, R> {
        let scope = self.clone();
        move || scope.run(f)
    }

    /// `future`, to be polled and dropped inside the scope, on whatever threads its executor does that.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn server() {}
    /// # use signalpost::patch::Scope;
    /// # fn spawn(_: impl Future) {}
    /// if let Some(scope) = Scope::current() {
    ///     spawn(scope.wrap(server()));
    /// }
    /// ```
    pub fn wrap<F: Future>(&self, future: F) -> Scoped<F> {
        Scoped { future: Some(future), scope: self.clone() }
    }

    /// The calls of its functions that were made on threads that were in no scope, if it is [`strict`](Self::strict): each thread
    /// and function once, in the order of their first calls, the first 1,000. Among tests that run in parallel they may be those of
    /// others; the threads' names tell.
    pub fn strays(&self) -> Vec<Stray> {
        self.0.strays.as_ref().map_or_else(Vec::new, |strays| strays.lock().clone())
    }

    /// The names of the functions that it replaces itself, with their modules.
    pub fn items(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.0.overrides.iter().map(|replaced| (replaced.slot.module(), replaced.slot.name()))
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scope")?;
        f.debug_list().entries(self.items().map(|(module, item)| format!("{module}::{item}"))).finish()
    }
}

impl fmt::Debug for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Override({:?})", self.slot)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let strays = self.strays.as_ref().map(Arc::downgrade);
        self.overrides.iter().for_each(|replaced| replaced.slot.leave_scope(strays.as_ref()));
        // Parents that end with it do so one after the other, not one within the other, however many they are.
        let mut parent = self.parent.take();
        while let Some(Scope(inner)) = parent {
            parent = Arc::into_inner(inner).and_then(|mut inner| inner.parent.take());
        }
    }
}

/// Keeps the thread inside a [`Scope`] until it is dropped.
#[must_use = "the scope is left when this is dropped"]
pub struct Entered {
    number: u64,
    not_send: PhantomData<*const ()>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let left = ENTERED.with(|entered| {
            let mut entered = entered.borrow_mut();
            let place = entered.iter().rposition(|(number, _)| *number == self.number)?;
            let left = entered.remove(place);
            if entered.is_empty() {
                *entered = Vec::new();
            }
            Some(left)
        });
        DEPTH.set(DEPTH.get() - 1);
        drop(left); // with nothing borrowed: it may be the last, and what it captured may enter scopes
    }
}

impl fmt::Debug for Entered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entered")
    }
}

pin_project! {
    /// A future that is polled and dropped inside a [`Scope`]. Made by [`Scope::wrap`].
    #[must_use = "futures do nothing unless they are polled"]
    pub struct Scoped<F> {
        // None once it is being dropped.
        #[pin]
        future: Option<F>,
        scope: Scope,
    }

    impl<F> PinnedDrop for Scoped<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _inside = this.scope.enter();
            this.future.set(None);
        }
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _inside = this.scope.enter();
        this.future.as_pin_mut().expect("there until it is dropped").poll(context)
    }
}

impl<F> fmt::Debug for Scoped<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scoped").field(&self.scope).finish()
    }
}

/// A call of a function that a [strict](Scope::strict) scope replaces, by a thread that was in no scope.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stray {
    /// The function's module.
    pub module: &'static str,
    /// The function.
    pub item: &'static str,
    /// Who called it first.
    pub thread: ThreadId,
    /// Its name, if it has one; a test's is the test's.
    pub thread_name: Option<String>,
    /// How often it did.
    pub calls: u64,
}

/// How many strays a scope notes, so that a long life beside many short threads does not fill memory.
const MOST_STRAYS: usize = 1000;

/// What a strict scope has noted.
#[derive(Default)]
pub(crate) struct Strays(Mutex<Vec<Stray>>);

impl Strays {
    pub(crate) fn note(&self, about: &About) {
        let current = thread::current();
        let mut strays = self.lock();
        let same = |stray: &&mut Stray| {
            (stray.module, stray.item, stray.thread) == (about.module, about.name, current.id())
        };
        let room = strays.len() < MOST_STRAYS;
        match strays.iter_mut().find(same) {
            Some(stray) => stray.calls += 1,
            None if !room => {}
            None => strays.push(Stray {
                module: about.module,
                item: about.name,
                thread: current.id(),
                thread_name: current.name().map(str::to_owned),
                calls: 1,
            }),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Stray>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this thread is in a scope.
#[inline]
pub(crate) fn is_inside() -> bool {
    DEPTH.get() != 0
}

/// What the scope that this thread is in, or one that it is inside of, has in the place of this slot's function.
pub(crate) fn replacement<D: ?Sized + 'static>(key: usize) -> Option<Arc<D>> {
    let find = |scope: &Scope| {
        let mut scope = Some(scope);
        while let Some(Scope(inner)) = scope {
            if let Some(replaced) = inner.overrides.iter().find(|replaced| replaced.key == key) {
                return replaced.replacement.downcast_ref::<Arc<D>>().cloned();
            }
            scope = inner.parent.as_ref();
        }
        None
    };
    ENTERED.with(|entered| entered.borrow().last().and_then(|(_, scope)| find(scope)))
}
