//! Subscribers that borrow from the stack.
//!
//! Owns the one lie about lifetimes: a closure that lives for `'scope` is called through an entry that is `'static`.
//!
//! # Invariants
//! 1. The scope owns the closures; entries only point to them, and dropping an entry touches none.
//! 2. Before a closure is dropped its entry has left `current`, and every reader that could have seen it has left: the
//!    end of the scope cancels all and waits without limit, also when unwinding; where it cannot wait, it aborts.
//! 3. The end runs as deep in reads as the entry did, so a wait that was possible then is possible now.

#![allow(unsafe_code)]

use crate::dispatcher::Dispatcher;
use crate::error::ScopeError;
use crate::options::SubscribeOptions;
use crate::outcome::Outcome;
use crate::register::{New, list_of};
use crate::registry::Registry;
use signalpost_core::{Anchor, Change, Deadline, SharedCell, Step, SubscriberId, Subscribers, Target};
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Registers subscribers that may borrow whatever outlives the scope. Given to the closure of
/// [`Dispatcher::scope`].
pub struct Scope<'scope, 'env: 'scope, E: ?Sized + 'static, X: 'static> {
    held: Arc<Held<E, X>>,
    /// Invariant in both, as std's `thread::Scope` is and for the same reasons.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// A registration in a [`Scope`]: ends with the scope, or by [`cancel`](Self::cancel). Dropping it does nothing.
pub struct ScopedSubscription<'scope, E: ?Sized + 'static, X: 'static> {
    held: Arc<Held<E, X>>,
    anchor: Anchor,
    scope: PhantomData<&'scope mut &'scope ()>,
}

/// What the end of the scope works on. No lifetime: `Scope` must not have one that its own drop would look at.
struct Held<E: ?Sized + 'static, X: 'static> {
    cell: Arc<SharedCell<Subscribers<E, X>>>,
    targets: Mutex<Vec<Target>>,
    closures: Mutex<Vec<Closure>>,
}

/// A boxed closure whose type and lifetime are put aside.
struct Closure {
    closure: *mut (),
    drop: unsafe fn(*mut ()),
}

// SAFETY: made of closures that are `Send + Sync` alone.
unsafe impl Send for Closure {}

impl Drop for Closure {
    fn drop(&mut self) {
        // SAFETY: `drop` was made for the type in the box, which is dropped once, here.
        unsafe { (self.drop)(self.closure) }
    }
}

/// What an entry captures: pointers, and the promise to call through them only while the scope holds the closure.
struct Borrowed<E: ?Sized, X> {
    closure: *const (),
    call: unsafe fn(*const (), &E) -> Result<(), X>,
}

// SAFETY: points to a closure that is `Send + Sync`.
unsafe impl<E: ?Sized, X> Send for Borrowed<E, X> {}
// SAFETY: as above.
unsafe impl<E: ?Sized, X> Sync for Borrowed<E, X> {}

impl<E: ?Sized, X> Borrowed<E, X> {
    #[inline(always)]
    fn call(&self, event: &E) -> Result<(), X> {
        // SAFETY: an entry is called by readers alone, and the closure outlives those that see it (2).
        unsafe { (self.call)(self.closure, event) }
    }
}

/// # Safety
/// `closure` points to a live `F`.
unsafe fn call<E: ?Sized, X, F, R>(closure: *const (), event: &E) -> Result<(), X>
where
    F: Fn(&E) -> R,
    R: Outcome<X>,
{
    // SAFETY: by the caller's promise.
    let closure = unsafe { &*closure.cast::<F>() };
    closure(event).into_result()
}

/// # Safety
/// `closure` came out of `Box::<F>::into_raw`, and nobody else drops it.
unsafe fn drop_box<F>(closure: *mut ()) {
    // SAFETY: by the caller's promise.
    drop(unsafe { Box::from_raw(closure.cast::<F>()) });
}

impl<'scope, E: ?Sized + 'static, X: 'static> Scope<'scope, '_, E, X> {
    /// Registers a subscriber that may borrow. It runs until the scope ends or its handle is
    /// [cancelled](ScopedSubscription::cancel). Blocks for as long as another thread is doing the same.
    #[track_caller]
    pub fn subscribe<F, R>(&'scope self, f: F) -> ScopedSubscription<'scope, E, X>
    where
        F: Fn(&E) -> R + Send + Sync + 'scope,
        R: Outcome<X>,
    {
        self.subscribe_with(SubscribeOptions::new(), f)
    }

    /// Registers a subscriber that may borrow, with options.
    #[track_caller]
    pub fn subscribe_with<F, R>(
        &'scope self,
        options: SubscribeOptions,
        f: F,
    ) -> ScopedSubscription<'scope, E, X>
    where
        F: Fn(&E) -> R + Send + Sync + 'scope,
        R: Outcome<X>,
    {
        let Held { cell, targets, closures } = &*self.held;
        let closure = Box::into_raw(Box::new(f)).cast::<()>();
        let owned = Closure { closure, drop: drop_box::<F> };
        lock(closures).push(owned);
        let borrowed = Borrowed { closure: closure.cast_const(), call: call::<E, X, F, R> };
        let New { subscribe, anchor } =
            New::closure::<E, X, _, _>(list_of(cell), options, Location::caller(), move |event: &E| {
                borrowed.call(event)
            });
        let target = Target::of(&anchor);
        cell.apply(vec![subscribe]);
        // After it is in the list: the end of the scope takes the target, and must find the subscriber.
        lock(targets).push(target);
        cell.trim();
        ScopedSubscription { held: self.held.clone(), anchor, scope: PhantomData }
    }
}

impl<E: ?Sized + 'static, X: 'static> Dispatcher<E, X> {
    /// Calls `f` with a [`Scope`], whose subscribers may borrow from the caller's stack; on return, also by a panic, they
    /// are cancelled and waited for.
    ///
    /// The end blocks, without limit, until no publish is under way that could run one of them: a publish of this
    /// dispatcher that was running when it began. As with `thread::scope`, two scopes that end inside
    /// publishes that wait for each other never end.
    ///
    /// # Errors
    /// [`ScopeError`], at once and without calling `f`: inside a publish of the same dispatcher; or the barrier is lost.
    ///
    /// # Aborts
    /// If the barrier is lost *during* the scope (a seccomp filter that refuses `membarrier` is installed): nobody can
    /// tell then whether a borrowed closure is still running.
    ///
    /// # Examples
    /// ```
    /// use signalpost::Dispatcher;
    /// use std::{convert::Infallible, sync::atomic::{AtomicU32, Ordering::Relaxed}};
    ///
    /// let ticks: Dispatcher<u32, Infallible> = Dispatcher::new();
    /// let sum = AtomicU32::new(0); // on the stack, in no `Arc`
    /// ticks.scope(|scope| {
    ///     scope.subscribe(|n: &u32| { sum.fetch_add(*n, Relaxed); });
    ///     ticks.publish(&3);
    ///     ticks.publish(&4);
    /// })?;
    /// assert_eq!(sum.into_inner(), 7);
    /// # Ok::<(), signalpost::ScopeError>(())
    /// ```
    pub fn scope<'env, R>(
        &'env self,
        f: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env, E, X>) -> R,
    ) -> Result<R, ScopeError> {
        let cell = self.shared();
        cell.may_wait().map_err(|_| ScopeError::InsidePublish)?;
        cell.try_barrier().map_err(|_| ScopeError::BarrierLost)?;
        let held = Arc::new(Held { cell, targets: Mutex::default(), closures: Mutex::default() });
        // Before its end, so that it outlives what runs then: subscribers may hold it.
        let scope = Scope { held: held.clone(), scope: PhantomData, env: PhantomData };
        let _end = End(&held);
        Ok(f(&scope))
    }
}

/// Ends the scope, also when unwinding.
struct End<'h, E: ?Sized + 'static, X: 'static>(&'h Arc<Held<E, X>>);

impl<E: ?Sized + 'static, X: 'static> Drop for End<'_, E, X> {
    fn drop(&mut self) {
        let Held { cell, targets, closures } = &**self.0;
        let mut panic = None;
        // Again, as long as subscribers that still run, or destructors, add more to the scope.
        while !(lock(targets).is_empty() && lock(closures).is_empty()) {
            let steps: Vec<_> = std::mem::take(&mut *lock(targets))
                .into_iter()
                .map(|target| Change::Step(Step::Cancel(target)))
                .collect();
            cell.apply(steps);
            if let Err(error) = cell.wait_for_readers(Deadline::never()) {
                eprintln!(
                    "signalpost: aborting: a scope ends and its borrowed subscribers may still run: {error}"
                );
                std::process::abort();
            }
            if !lock(targets).is_empty() {
                continue;
            }
            cell.collect();
            // No reader is left that saw one of them, so none adds to the scope any more; a destructor may.
            let taken = std::mem::take(&mut *lock(closures)); // not in the loop's head, which would hold the lock
            for closure in taken {
                let dropped = catch_unwind(AssertUnwindSafe(|| drop(closure)));
                panic = panic.or(dropped.err());
            }
        }
        if let Some(panic) = panic.filter(|_| !std::thread::panicking()) {
            resume_unwind(panic);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<E: ?Sized + 'static, X: 'static> ScopedSubscription<'_, E, X> {
    /// Which subscriber it is.
    pub fn id(&self) -> SubscriberId {
        self.anchor.id()
    }

    /// Ends the registration before the scope does. The closure itself is dropped with the scope.
    pub fn cancel(&self) -> bool {
        self.write(Step::Cancel(Target::of(&self.anchor)))
    }

    /// See [`Subscription::pause`](crate::Subscription::pause).
    pub fn pause(&self) -> bool {
        self.write(Step::Pause(Target::of(&self.anchor)))
    }

    /// See [`Subscription::resume`](crate::Subscription::resume).
    pub fn resume(&self) -> bool {
        self.write(Step::Resume(Target::of(&self.anchor)))
    }

    fn write(&self, step: Step) -> bool {
        let changed = self.held.cell.apply(vec![Change::Step(step)]);
        self.held.cell.collect();
        changed
    }
}

impl<E: ?Sized + 'static, X: 'static> fmt::Debug for Scope<'_, '_, E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("dispatcher", &self.held.cell).finish_non_exhaustive()
    }
}

impl<E: ?Sized + 'static, X: 'static> fmt::Debug for ScopedSubscription<'_, E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = self.held.cell.find(Target::of(&self.anchor));
        let mut out = f.debug_struct("ScopedSubscription");
        out.field("id", &self.id().get()).field("active", &found.is_some());
        if let Some((name, paused)) = found {
            out.field("paused", &paused).field("subscriber", &format_args!("{name}"));
        }
        out.finish()
    }
}
