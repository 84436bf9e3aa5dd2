//! One function that can be replaced: a call enters the scope's replacement, else the newest layer, else the original.
//!
//! Owns which of them a call enters, and what it costs to find out. Not here: who holds a layer (`layer.rs`), who is inside a
//! scope (`scope.rs`), what the function is called (`module.rs`).
//!
//! # How a call finds its way
//! `gate` says what there is: nothing (the original, by a direct call), a plain function on top and no scope (`plain` holds it),
//! or anything else (`layers` is read, a snapshot that changes keep valid while calls are in it). All three follow from what the
//! lock `writing` protects and are written under it, `gate` last; calls take no lock (but strays of strict scopes). A call that sees a `gate` of the past finds
//! in `plain` or in `layers` what is there now. All that `gate` and `plain` hold are numbers and addresses of code, which nothing has
//! to be published for, so they are relaxed: a call that happens after a change sees it by coherence.

use crate::layer::Layer;
use crate::module::{AnySlot, Inner};
use crate::replacement::Replacement;
use crate::scope::{self, Override, Strays};
use crossbeam_utils::atomic::AtomicCell;
use signalpost_dispatch::core::{Snapshot, SnapshotCell, WaitError};
use std::any::{Any, TypeId};
use std::fmt;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// In `gate`: there is a layer.
const LAYERS: u32 = 1;
/// In `gate`: the newest layer is a plain function.
const PLAIN: u32 = 2;
/// In `gate`: a scope that lives replaces this function.
const SCOPED: u32 = 4;
/// In `gate`: such a scope wants to know who calls it from outside.
const STRICT: u32 = 8;

/// One function that can be replaced at run time. A `static`, declared by [`patch_points!`](crate::patch_points!).
///
/// `D` is the function's type as a trait object, `dyn Fn(…) -> R + Send + Sync`; `F` as a pointer, `fn(…) -> R`.
///
/// # Cost
/// A call of a slot that nothing replaces: one relaxed load and a branch beside a direct call, and the original can be inlined.
/// With a [plain function](Self::push_fn) on top two loads more than a call through a pointer; with a closure a
/// [read](SnapshotCell::read) of a snapshot: wait-free, but for what the closure does and a thread's first read. While a scope that
/// replaces this function lives, calls on threads that are in no scope look at a thread-local first. A call that was in a layer that
/// was undone meanwhile looks, as it leaves, whether it was the last, and then drops what the layer captured.
///
/// Changing a slot takes its lock for as long as the change takes, and allocates; nothing of a user's runs under it. Where the
/// process was forked while another thread was changing a slot, the child can call it, but changes wait for ever.
///
/// # Examples
/// ```
/// use signalpost::patch::patch_points;
///
/// patch_points! {
///     pub mod greeting {
///         fn hello(name: &str) -> String { format!("Hello, {name}!") }
///     }
/// }
///
/// fn main() {
///     assert_eq!(greeting::hello("Ann"), "Hello, Ann!");
///     let layer = greeting::slots::hello.push(Box::new(|name| format!("{} Bye.", greeting::original::hello(name))));
///     assert_eq!(greeting::hello("Ann"), "Hello, Ann! Bye.");
///     layer.undo();
///     assert_eq!(greeting::hello("Ann"), "Hello, Ann!");
/// }
/// ```
// What calls look at comes first, in one line of the cache, apart from what only changes look at.
#[repr(C, align(64))]
pub struct Slot<D: ?Sized + Send + Sync + 'static, F: Copy + Send + Sync + 'static> {
    gate: AtomicU32,
    plain: AtomicCell<Option<F>>,
    layers: SnapshotCell<Layers<D, F>>,
    original: &'static D,
    writing: Mutex<Writing<F>>,
    share: fn(F) -> Arc<D>,
    about: About,
}

/// What a slot is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    pub(crate) module: &'static str,
    pub(crate) name: &'static str,
    pub(crate) signature: &'static str,
}

/// What only those who change a slot look at.
struct Writing<F> {
    layers_made: u64,
    /// The newest layer, if there is one: the plain function that it is, if it is one. Kept here too, since a read of `layers` may
    /// end with destructors of what undone layers captured, which are a user's.
    top: Option<Option<F>>,
    /// How many scopes that live replace this function.
    scopes: usize,
    /// Those of them that want to know who calls it from outside.
    strict: Vec<Weak<Strays>>,
}

/// The layers of a slot.
struct Layers<D: ?Sized, F> {
    /// By itself, so that a call finds it at once, and a slot with one layer has no list.
    newest: Option<Entry<D, F>>,
    /// The others, the oldest first.
    older: Vec<Entry<D, F>>,
}

struct Entry<D: ?Sized, F> {
    id: u64,
    call: Arc<D>,
    plain: Option<F>,
}

impl<D: ?Sized, F: Copy> Clone for Entry<D, F> {
    fn clone(&self) -> Self {
        Self { id: self.id, call: self.call.clone(), plain: self.plain }
    }
}

impl<D: ?Sized, F> Default for Layers<D, F> {
    fn default() -> Self {
        Self { newest: None, older: Vec::new() }
    }
}

impl<D: ?Sized, F: Copy> Layers<D, F> {
    /// All of them, the oldest first.
    fn iter(&self) -> impl Iterator<Item = &Entry<D, F>> {
        self.older.iter().chain(&self.newest)
    }

    /// These and one more.
    fn and(&self, newest: &Entry<D, F>) -> Self {
        Self { newest: Some(newest.clone()), older: self.iter().cloned().collect() }
    }

    /// All but this one, if it is there.
    fn without(&self, id: u64) -> Option<Self> {
        let mut older: Vec<_> = self.iter().filter(|entry| entry.id != id).cloned().collect();
        let there = older.len() < self.iter().count();
        there.then(|| Self { newest: older.pop(), older })
    }

    /// The one before this one.
    fn below(&self, id: u64) -> Option<&Entry<D, F>> {
        let place = self.iter().position(|entry| entry.id == id)?;
        self.older.get(place.checked_sub(1)?)
    }
}

impl<D: ?Sized + Send + Sync + 'static, F: Send + Sync + 'static> Snapshot for Layers<D, F> {
    type Context = ();
    type Part = ();
    const LAST_READER_DROPS: bool = true; // what a layer captured may be the end of a channel that others read

    fn is_empty(&self) -> bool {
        self.newest.is_none()
    }
}

/// Where a call goes. For what [`patch_points!`](crate::patch_points!) writes.
#[doc(hidden)]
#[derive(Debug)]
pub enum Path<F> {
    /// Nothing replaces the function.
    Original,
    /// A plain function does, for everybody.
    Plain(F),
    /// [`Slot::call`] finds out.
    Look,
}

impl<D: ?Sized + Send + Sync + 'static, F: Copy + Send + Sync + 'static> Slot<D, F> {
    /// For what [`patch_points!`](crate::patch_points!) writes.
    #[doc(hidden)]
    pub const fn new(
        module: &'static str,
        name: &'static str,
        signature: &'static str,
        original: &'static D,
        share: fn(F) -> Arc<D>,
    ) -> Self {
        Self {
            gate: AtomicU32::new(0),
            plain: AtomicCell::new(None),
            layers: SnapshotCell::new(),
            writing: Mutex::new(Writing { layers_made: 0, top: None, scopes: 0, strict: Vec::new() }),
            original,
            share,
            about: About { module, name, signature },
        }
    }

    /// Where a call goes.
    #[doc(hidden)]
    #[inline(always)]
    pub fn path(&self) -> Path<F> {
        match self.gate.load(Relaxed) {
            0 => Path::Original,
            // None if it was undone since `gate` was looked at.
            PLAIN => {
                unlikely();
                self.plain.load().map_or(Path::Look, Path::Plain)
            }
            _ => {
                unlikely();
                Path::Look
            }
        }
    }

    /// Calls `f` with what a call enters here and now: the replacement of the scope that the thread is in, else the newest layer,
    /// else the original.
    ///
    /// It is what a call of the function does, for those who hold the slot and not the function. The layer, and what it captured,
    /// stays until `f` returns, whatever others undo.
    ///
    /// # Examples
    /// ```
    /// # signalpost::patch::patch_points! { pub mod sum { fn add(a: u32, b: u32) -> u32 { a + b } } }
    /// # fn main() {
    /// assert_eq!(sum::slots::add.call(|add| add(2, 3)), 5);
    /// # }
    /// ```
    #[inline(never)]
    pub fn call<R>(&self, f: impl FnOnce(&D) -> R) -> R {
        let gate = self.gate.load(Relaxed);
        if gate & SCOPED != 0
            && (scope::is_inside() || gate & STRICT != 0)
            && let Some(replacement) = self.of_scope()
        {
            return f(&replacement);
        }
        if gate & (LAYERS | PLAIN) == 0 {
            return f(self.original);
        }
        self.enter_layers(|layers| layers.newest.as_ref(), f)
    }

    /// Calls `f` with the layer that `choose` finds, or with the original.
    fn enter_layers<R>(
        &self,
        choose: impl FnOnce(&Layers<D, F>) -> Option<&Entry<D, F>>,
        f: impl FnOnce(&D) -> R,
    ) -> R {
        let Some(layers) = self.layers.get() else { return f(self.original) };
        let mut f = Some(f);
        let result = layers.read(|layers| {
            let function = choose(layers).map_or(self.original, |entry| &*entry.call);
            f.take().map(|f| f(function))
        });
        match (result.flatten(), f) {
            (Some(result), _) => result,
            (None, Some(f)) => f(self.original), // there is no layer any more
            (None, None) => unreachable!("what was called has a result"),
        }
    }

    /// What the scope that this thread is in has in the function's place. In none, tells those scopes that want to know.
    #[inline(never)]
    fn of_scope(&self) -> Option<Arc<D>> {
        if scope::is_inside() {
            return scope::replacement(self.key());
        }
        let strict: Vec<_> = self.lock().strict.iter().filter_map(Weak::upgrade).collect();
        strict.iter().for_each(|strays| strays.note(&self.about));
        None
    }

    /// Which slot this is, for scopes.
    fn key(&self) -> usize {
        (&raw const *self).addr()
    }

    /// Puts a replacement over all others, for everybody: from now on calls enter it, on whatever thread, but for those inside a
    /// [`Scope`](crate::Scope) that has its own. It stays until the layer is [undone](Layer::undo) or dropped.
    ///
    /// A replacement that calls the function by its public name calls itself: what it replaces is
    /// `original::…`, or see [`wrap`](Self::wrap).
    ///
    /// Takes the slot's lock for a moment; allocates.
    pub fn push(&'static self, replacement: Box<D>) -> Layer {
        let id = self.draw_id();
        self.add(id, replacement.into(), None)
    }

    /// As [`push`](Self::push), of a function that captures nothing: calls cost less, and are not tracked, so that
    /// [`undo_and_wait`](Layer::undo_and_wait) cannot wait for them.
    ///
    /// # Examples
    /// ```
    /// # signalpost::patch::patch_points! { pub mod sum { fn add(a: u32, b: u32) -> u32 { a + b } } }
    /// fn saturating(a: u32, b: u32) -> u32 { a.saturating_add(b) }
    ///
    /// # fn main() {
    /// let _layer = sum::slots::add.push_fn(saturating);
    /// assert_eq!(sum::add(u32::MAX, 1), u32::MAX);
    /// # }
    /// ```
    pub fn push_fn(&'static self, function: F) -> Layer {
        let id = self.draw_id();
        self.add(id, (self.share)(function), Some(function))
    }

    /// As [`push`](Self::push), of a replacement that is handed what it replaces: the layer below it at the time of a call, or the
    /// original.
    ///
    /// # Examples
    /// ```
    /// # signalpost::patch::patch_points! { pub mod sum { fn add(a: u32, b: u32) -> u32 { a + b } } }
    /// # fn main() {
    /// let add = &sum::slots::add;
    /// let _ten = add.push(Box::new(|a, b| 10 * (a + b)));
    /// let _one_more = add.wrap(|next| Box::new(move |a, b| next.call(|below| below(a, b)) + 1));
    /// assert_eq!(sum::add(2, 3), 51);
    /// # }
    /// ```
    pub fn wrap(&'static self, make: impl FnOnce(Next<D, F>) -> Box<D>) -> Layer {
        let id = self.draw_id();
        let replacement = make(Next { slot: self, id }); // a user's, with no lock held
        self.add(id, replacement.into(), None)
    }

    /// The same replacement for those inside a [`Scope`](crate::Scope) only.
    ///
    /// # Examples
    /// ```
    /// # signalpost::patch::patch_points! { pub mod sum { fn add(a: u32, b: u32) -> u32 { a + b } } }
    /// use signalpost::patch::Scope;
    ///
    /// # fn main() {
    /// let scope = Scope::new([sum::slots::add.with(Box::new(|a, b| a * b))]).unwrap();
    /// assert_eq!((scope.run(|| sum::add(2, 3)), sum::add(2, 3)), (6, 5));
    /// # }
    /// ```
    pub fn with(&'static self, replacement: Box<D>) -> Override {
        Override::new(self, self.key(), Box::new(Arc::<D>::from(replacement)))
    }

    /// The function as it was written, whatever replaces it.
    pub const fn original(&self) -> &'static D {
        self.original
    }

    /// Whether a layer replaces it, for everybody. One relaxed load.
    pub fn is_patched(&self) -> bool {
        !self.layers.is_empty()
    }

    /// How many layers there are.
    pub fn layers(&self) -> usize {
        self.layers.read(|layers| layers.iter().count()).unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, Writing<F>> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw_id(&self) -> u64 {
        let mut writing = self.lock();
        writing.layers_made += 1;
        writing.layers_made
    }

    fn add(&'static self, id: u64, call: Arc<D>, plain: Option<F>) -> Layer {
        let tracked = plain.is_none();
        let entry = Entry { id, call, plain };
        let layers = self.layers.shared();
        let mut writing = self.lock();
        layers.update(|old| Some(old.and(&entry)));
        writing.top = Some(plain);
        self.set_gate(&writing);
        drop(writing);
        layers.trim();
        Layer::new(self, id, tracked)
    }

    /// Sets what calls look at first. After every change, with the lock held.
    fn set_gate(&self, writing: &Writing<F>) {
        let plain = writing.top.flatten();
        let layers = match writing.top {
            None => 0,
            Some(Some(_)) => PLAIN,
            Some(None) => LAYERS,
        };
        let scoped = if writing.scopes > 0 { SCOPED } else { 0 };
        let strict = if writing.strict.is_empty() { 0 } else { STRICT };
        self.plain.store(plain);
        self.gate.store(layers | scoped | strict, Relaxed);
    }
}

/// Tells the compiler to lay out a call so that the original follows without a jump.
#[cold]
#[inline(always)]
fn unlikely() {}

/// What a layer or a scope asks of its slot, whatever the signature.
impl<D: ?Sized + Send + Sync + 'static, F: Copy + Send + Sync + 'static> AnySlot for Slot<D, F> {
    fn module(&self) -> &'static str {
        self.about.module
    }

    fn name(&self) -> &'static str {
        self.about.name
    }

    fn signature(&self) -> &'static str {
        self.about.signature
    }

    fn signature_id(&self) -> TypeId {
        TypeId::of::<D>()
    }

    fn is_patched(&self) -> bool {
        self.is_patched()
    }

    fn push_any(&'static self, replacement: &Replacement) -> Option<Layer> {
        let (call, plain) = replacement.get::<D, F>()?;
        Some(self.add(self.draw_id(), call.clone(), plain))
    }

    fn with_any(&'static self, replacement: &Replacement) -> Option<Override> {
        let (call, _) = replacement.get::<D, F>()?;
        Some(Override::new(self, self.key(), Box::new(call.clone())))
    }
}

impl<D: ?Sized + Send + Sync + 'static, F: Copy + Send + Sync + 'static> Inner for Slot<D, F> {
    fn remove(&self, id: u64) -> bool {
        let Some(layers) = self.layers.get() else { return false };
        let mut writing = self.lock();
        let mut top = writing.top;
        let removed = layers.update(|old| {
            let kept = old.without(id)?;
            top = kept.newest.as_ref().map(|entry| entry.plain);
            Some(kept)
        });
        writing.top = top;
        self.set_gate(&writing);
        drop(writing);
        // With nothing held: what a layer captured is dropped here, or by the last call that is in it.
        layers.collect();
        removed
    }

    fn wait(&self, timeout: Duration) -> Result<(), WaitError> {
        self.layers.synchronize(timeout)
    }

    fn original_any(&'static self) -> &'static dyn Any {
        &self.original
    }

    fn enter_scope(&self, strict: Option<Weak<Strays>>) {
        let mut writing = self.lock();
        writing.scopes += 1;
        writing.strict.extend(strict);
        self.set_gate(&writing);
    }

    fn leave_scope(&self, strict: Option<&Weak<Strays>>) {
        let mut writing = self.lock();
        writing.scopes -= 1;
        // By what it is: a call that notes a stray at this moment keeps it alive.
        writing.strict.retain(|strays| strict.is_none_or(|ended| !ended.ptr_eq(strays)));
        self.set_gate(&writing);
    }
}

/// What a [wrapping](Slot::wrap) layer replaces.
pub struct Next<D: ?Sized + Send + Sync + 'static, F: Copy + Send + Sync + 'static> {
    slot: &'static Slot<D, F>,
    id: u64,
}

impl<D: ?Sized + Send + Sync + 'static, F: Copy + Send + Sync + 'static> Next<D, F> {
    /// Calls `f` with the layer below, or with the original if there is none, or if the layer that this was made for has been
    /// undone since the call began.
    pub fn call<R>(&self, f: impl FnOnce(&D) -> R) -> R {
        self.slot.enter_layers(|layers| layers.below(self.id), f)
    }
}

impl<D: ?Sized + Send + Sync + 'static, F: Copy + Send + Sync + 'static> fmt::Debug for Next<D, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Next({}::{})", self.slot.about.module, self.slot.about.name)
    }
}

impl<D: ?Sized + Send + Sync + 'static, F: Copy + Send + Sync + 'static> fmt::Debug for Slot<D, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("module", &self.about.module)
            .field("name", &self.about.name)
            .field("signature", &self.about.signature)
            .field("layers", &self.layers())
            .finish_non_exhaustive()
    }
}
