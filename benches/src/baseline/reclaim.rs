//! Lists behind a pointer that is replaced, freed when no publisher can hold them any more.
//!
//! Both crates hand out raw pointers, so that their users write `unsafe`; here it is.
//!
//! # Invariants
//! 1. The pointer names a list that came out of a `Box` (or `Owned`), from `with` to `drop`; it is never null between them.
//! 2. Writers take turns: a list is replaced once, by the writer that holds `writer`, and retired by the same.

use super::{List, joined, left, one_more, walk};
use crate::{
    path::{DispatchPath, Publisher},
    scenario::{Crowd, Tick},
};
use crossbeam_epoch::{Atomic, Owned};
use seize::{Collector, Guard};
use std::sync::{
    Mutex, PoisonError,
    atomic::{
        AtomicPtr,
        Ordering::{AcqRel, Acquire},
    },
};

/// `crossbeam_epoch`: pin, load, walk, unpin.
pub(crate) struct CrossbeamEpoch {
    list: Atomic<List>,
    writer: Mutex<()>,
}

impl CrossbeamEpoch {
    /// Puts another list in the place of the one that is there.
    fn replace(&self, another: impl FnOnce(&List) -> List) {
        let _turn = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let guard = crossbeam_epoch::pin();
        let list = self.list.load(Acquire, &guard);
        // SAFETY: never null and valid by invariant 1; `guard` keeps it from being freed.
        let replacement = another(unsafe { list.deref() });
        let replaced = self.list.swap(Owned::new(replacement), AcqRel, &guard);
        // SAFETY: no longer reachable for who pins from now on; retired by this writer alone (2).
        unsafe { guard.defer_destroy(replaced) };
    }
}

impl DispatchPath for CrossbeamEpoch {
    type Event = Tick;
    type Publisher<'p> = &'p Atomic<List>;

    fn with(crowd: impl Crowd<Tick>) -> Self {
        Self { list: Atomic::new(crowd.shared()), writer: Mutex::default() }
    }

    fn publisher(&self) -> Self::Publisher<'_> {
        &self.list
    }

    fn change(&self, salt: u64) -> bool {
        let subscriber = one_more(salt);
        self.replace(|list| joined(list, &subscriber));
        self.replace(|list| left(list, &subscriber));
        true
    }
}

impl Publisher<Tick> for &Atomic<List> {
    #[inline(always)]
    fn publish(&mut self, event: &'static Tick) -> bool {
        let guard = crossbeam_epoch::pin();
        let list = self.load(Acquire, &guard);
        // SAFETY: valid by invariant 1, and not freed while `guard` is there.
        let list = unsafe { list.as_ref() };
        list.is_none_or(|list| walk(list, event))
    }
}

impl Drop for CrossbeamEpoch {
    fn drop(&mut self) {
        let list = std::mem::replace(&mut self.list, Atomic::null());
        // SAFETY: `&mut self`: no publisher is left, and the pointer came from an `Owned` (1).
        let list: Option<Owned<List>> = unsafe { list.try_into_owned() };
        drop(list);
    }
}

/// `seize`: enter, protected load, walk, leave; a collector of its own.
pub(crate) struct Seize {
    list: AtomicPtr<List>,
    collector: Collector,
    writer: Mutex<()>,
}

impl Seize {
    /// Puts another list in the place of the one that is there.
    fn replace(&self, another: impl FnOnce(&List) -> List) {
        let _turn = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let guard = self.collector.enter();
        let list = guard.protect(&self.list, Acquire);
        // SAFETY: never null and valid by invariant 1; `guard` keeps it from being freed.
        let replacement = another(unsafe { &*list });
        let replaced = guard.swap(&self.list, Box::into_raw(Box::new(replacement)), AcqRel);
        // SAFETY: no longer reachable for who enters from now on; retired by this writer alone (2), and it came out of a box (1).
        unsafe { guard.defer_retire(replaced, seize::reclaim::boxed) };
    }
}

impl DispatchPath for Seize {
    type Event = Tick;
    type Publisher<'p> = &'p Self;

    fn with(crowd: impl Crowd<Tick>) -> Self {
        let list = AtomicPtr::new(Box::into_raw(Box::new(crowd.shared())));
        Self { list, collector: Collector::new(), writer: Mutex::default() }
    }

    fn publisher(&self) -> &Self {
        self
    }

    fn change(&self, salt: u64) -> bool {
        let subscriber = one_more(salt);
        self.replace(|list| joined(list, &subscriber));
        self.replace(|list| left(list, &subscriber));
        true
    }
}

impl Publisher<Tick> for &Seize {
    #[inline(always)]
    fn publish(&mut self, event: &'static Tick) -> bool {
        let guard = self.collector.enter();
        let list = guard.protect(&self.list, Acquire);
        // SAFETY: never null and valid by invariant 1; `guard` keeps it from being freed.
        walk(unsafe { &*list }, event)
    }
}

impl Drop for Seize {
    fn drop(&mut self) {
        // SAFETY: `&mut self`: no publisher is left; it came out of a box and was not retired (1).
        drop(unsafe { Box::from_raw(*self.list.get_mut()) });
    }
}
