//! Closures as subscribers: one counted block each, and flat entries that point to it.
//!
//! Owns a subscriber's memory: the closure with what it captured, its id, name and place, and the latch that says that
//! the captures are gone. Not here: the order of entries (`list.rs`), when they run (dispatch).
//!
//! An [`Entry`] is `{ block, call }`: the call pointer beside the data pointer, so a walk follows one pointer less than
//! through `Arc<dyn Fn>`. Entries are copied with every list, so nothing that can change lives in them.
//!
//! # Invariants
//! 1. `uses` is the number of entries that point to the block. While it is not 0 the captures are whole.
//! 2. It never rises from 0: an entry is made of another entry.
//! 3. Who brings it to 0 drops the captures, once, and then gives back the count that the entries had of the block.
//! 4. `call` was made for the very closure type in the block, and for the event type of the entry: an entry is
//!    invariant in it.
//!
//! # Orderings
//! | edge  | one side                | other side                  | model that fails without it |
//! |-------|-------------------------|-----------------------------|-----------------------------|
//! | USE   | give up a use: Release  | the last one: Acquire fence | `captures_are_dropped_once_after_every_call` |
//! | LATCH | captures gone: Release  | waiter: Acquire             | `cancel_and_wait_returns_when_the_captures_are_gone` |

use crate::retire::without_unwinding;
use crate::sync::{AtomicBool, AtomicUsize, Ordering, Plant, UnsafeCell, at, fence, plain};
use Ordering::{Acquire, Relaxed, Release};
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::num::NonZeroU64;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;

/// Which subscriber: never reused in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriberId(NonZeroU64);

impl SubscriberId {
    /// The number. Later registrations have larger ones.
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    fn draw() -> Self {
        static NEXT: plain::AtomicU64 = plain::AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Relaxed);
        // At a thousand million a second the counter lasts 584 years.
        Self(NonZeroU64::new(id).unwrap_or(NonZeroU64::MAX))
    }
}

impl fmt::Display for SubscriberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Who a subscriber is: id, the name it was given, and where in the source it was registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriberName {
    /// Which one.
    pub id: SubscriberId,
    /// The name that its options gave it.
    pub name: Option<&'static str>,
    /// Where `subscribe` was called.
    pub location: &'static Location<'static>,
}

impl fmt::Display for SubscriberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) => write!(f, "{name} ({})", self.location),
            None => write!(f, "{} ({})", self.id, self.location),
        }
    }
}

type Call<E, X> = unsafe fn(NonNull<Header<E, X>>, &E) -> Result<(), X>;

/// What every block begins with, whatever its closure. The count comes first and the closure at least a cache line after
/// it, so that writers, who count, take no line from publishers, who read captures.
#[repr(C)]
struct Header<E: ?Sized, X> {
    uses: AtomicUsize,
    call: Call<E, X>,
    /// Drops the captures, sets the latch, gives back the entries' count.
    release: unsafe fn(NonNull<Header<E, X>>),
    name: SubscriberName,
    priority: i32,
    gone: AtomicBool,
    life: Life,
}

/// Whether a subscriber that can end by itself (once, weak) has done so. It stays in the list until the next write.
#[derive(Debug)]
#[repr(transparent)]
pub struct Life(AtomicBool);

impl Life {
    /// Ends it. True for the one caller that did.
    pub fn end(&self) -> bool {
        // Relaxed: the flag alone is shared; what the subscriber touches is ordered by other means or not at all.
        !self.0.swap(true, Relaxed)
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// A subscriber. `repr(C)`: a pointer to the block is a pointer to its header.
#[repr(C)]
struct Block<F, E: ?Sized, X> {
    header: Header<E, X>,
    closure: UnsafeCell<ManuallyDrop<F>>,
}

const _: () = assert!(
    std::mem::offset_of!(Block<u64, (), ()>, closure) - std::mem::offset_of!(Block<u64, (), ()>, header)
        >= 64
        || cfg!(signalpost_loom)
        || cfg!(target_pointer_width = "32")
);

// SAFETY: the header holds atomics, fn pointers and `'static` names; the closure is `Send + Sync`, called through `&`
// while there are uses, and dropped by the one thread that gives up the last (1, 3). No `E` or `X` is stored.
unsafe impl<F: Send + Sync, E: ?Sized, X> Send for Block<F, E, X> {}
// SAFETY: as above.
unsafe impl<F: Send + Sync, E: ?Sized, X> Sync for Block<F, E, X> {}

/// A subscriber in a list: 16 bytes, walked in rows. A clone is a relaxed increment.
pub struct Entry<E: ?Sized, X> {
    block: NonNull<Header<E, X>>,
    call: Call<E, X>,
    /// Invariant in both (4): an entry for `&'static str` events must not be given shorter ones.
    types: PhantomData<(*mut X, *mut E)>,
}

// SAFETY: an entry is a counted pointer to a block, which is `Send + Sync` whatever `E` and `X` are.
unsafe impl<E: ?Sized, X> Send for Entry<E, X> {}
// SAFETY: as above.
unsafe impl<E: ?Sized, X> Sync for Entry<E, X> {}

/// A handle's side of a subscriber: who it is, and whether its captures are gone. Keeps the block's memory, not
/// the captures.
pub trait Anchor: Send + Sync {
    /// Who it is.
    fn name(&self) -> SubscriberName;
    /// The priority that it was registered with.
    fn priority(&self) -> i32;
    /// Whether the closure has been dropped, with everything it captured, so that it can neither run nor be running.
    fn is_gone(&self) -> bool;
}

impl<F: Send + Sync, E: ?Sized, X> Anchor for Block<F, E, X> {
    fn name(&self) -> SubscriberName {
        self.header.name
    }

    fn priority(&self) -> i32 {
        self.header.priority
    }

    fn is_gone(&self) -> bool {
        // Edge LATCH: what the destructors did is seen by whoever waited for them.
        self.header.gone.load(at(Plant::LatchSeen, Acquire))
    }
}

impl<E: ?Sized + 'static, X: 'static> Entry<E, X> {
    /// Boxes a closure, which is also given its own [`Life`]. One allocation.
    pub fn new<F>(
        closure: F,
        priority: i32,
        name: Option<&'static str>,
        location: &'static Location<'static>,
    ) -> (Self, Arc<dyn Anchor>)
    where
        F: Fn(&Life, &E) -> Result<(), X> + Send + Sync + 'static,
    {
        let block = Arc::new(Block {
            header: Header {
                uses: AtomicUsize::new(1),
                call: call::<F, E, X>,
                release: release::<F, E, X>,
                name: SubscriberName { id: SubscriberId::draw(), name, location },
                priority,
                gone: AtomicBool::new(false),
                life: Life(AtomicBool::new(false)),
            },
            closure: UnsafeCell::new(ManuallyDrop::new(closure)),
        });
        let anchor: Arc<dyn Anchor> = block.clone();
        // The entries' count of the block, given back in `release`.
        let block = Arc::into_raw(block).cast_mut().cast::<Header<E, X>>();
        // SAFETY: from an `Arc`, so not null.
        let block = unsafe { NonNull::new_unchecked(block) };
        (Self { block, call: call::<F, E, X>, types: PhantomData }, anchor)
    }
}

impl<E: ?Sized, X> Entry<E, X> {
    fn header(&self) -> &Header<E, X> {
        // SAFETY: live: this entry is a use of the block (1, 3).
        unsafe { self.block.as_ref() }
    }

    /// Runs the subscriber; does nothing for a [paused](Self::paused) entry.
    #[inline(always)]
    pub fn call(&self, event: &E) -> Result<(), X> {
        // SAFETY: the captures are whole while this use is held (1), and `call` is made for them and for `E` (4).
        unsafe { (self.call)(self.block, event) }
    }

    /// Who it is.
    pub fn name(&self) -> SubscriberName {
        self.header().name
    }

    /// Whether it has ended by itself, and waits to be swept.
    pub fn is_over(&self) -> bool {
        self.header().life.is_over()
    }

    /// Makes the entry one that does nothing: a walk need not look at a flag.
    pub fn pause(&mut self) {
        self.call = skip::<E, X>;
    }

    /// Undoes [`pause`](Self::pause).
    pub fn resume(&mut self) {
        self.call = self.header().call;
    }
}

impl<E: ?Sized, X> Clone for Entry<E, X> {
    fn clone(&self) -> Self {
        // Relaxed: the new use is made of one that is held, so the count cannot be 0 meanwhile (2).
        let before = self.header().uses.fetch_add(1, Relaxed);
        if before > usize::MAX / 2 {
            std::process::abort(); // as std's Arc: leaked clones must not wrap the count
        }
        Self { block: self.block, call: self.call, types: PhantomData }
    }
}

impl<E: ?Sized, X> Drop for Entry<E, X> {
    fn drop(&mut self) {
        // Edge USE: this thread's calls come before the drop of the captures.
        if self.header().uses.fetch_sub(1, at(Plant::UseDrop, Release)) == 1 {
            if !crate::sync::planted(Plant::UseLast) {
                fence(Acquire);
            }
            let release = self.header().release;
            // SAFETY: `release` was made for this block's type; the last use is given up once (3).
            unsafe { release(self.block) };
        }
    }
}

impl<E: ?Sized, X> fmt::Debug for Entry<E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Entry").field(&self.name()).finish()
    }
}

/// # Safety
/// `block` is a `Block<F, E, X>` with a use held by the caller.
unsafe fn call<F, E: ?Sized, X>(block: NonNull<Header<E, X>>, event: &E) -> Result<(), X>
where
    F: Fn(&Life, &E) -> Result<(), X>,
{
    // SAFETY: by the caller's promise; the header is the block's first field.
    let block = unsafe { block.cast::<Block<F, E, X>>().as_ref() };
    block.closure.with(|closure| {
        // SAFETY: whole while a use is held (1), and only shared.
        let closure = unsafe { &*closure };
        closure(&block.header.life, event)
    })
}

/// # Safety
/// None: touches nothing. `unsafe` to have [`Call`]'s type.
unsafe fn skip<E: ?Sized, X>(_: NonNull<Header<E, X>>, _: &E) -> Result<(), X> {
    Ok(())
}

/// # Safety
/// `block` is a `Block<F, E, X>` made by `Entry::new`; its last use was given up, and this is called once.
unsafe fn release<F, E: ?Sized, X>(block: NonNull<Header<E, X>>) {
    let block = block.as_ptr().cast::<Block<F, E, X>>().cast_const();
    // SAFETY: the count that `Entry::new` gave the entries.
    let block = unsafe { Arc::from_raw(block) };
    // A destructor that panics keeps neither its neighbours in the chunk from being dropped nor the latch from being set.
    without_unwinding(|| {
        block.closure.with_mut(|closure| {
            // SAFETY: no use is left, so nobody calls it and this access is alone (1).
            let closure = unsafe { &mut *closure };
            // SAFETY: the one drop (3).
            unsafe { ManuallyDrop::drop(closure) }
        });
    });
    // Edge LATCH.
    block.header.gone.store(true, at(Plant::LatchSet, Release));
}
