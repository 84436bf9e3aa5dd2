//! Closures as subscribers: one block each, and flat entries that point to it.
//!
//! Owns a subscriber's memory: the closure with what it captured, and the latch that says that the captures are gone.
//! Not here: the order of subscribers and who owns them (`subscribers.rs`), when they run (dispatch).
//!
//! A block is 8 bytes and the closure, no more, so that a long walk reads as few cache lines as one over bare closures;
//! name, place and the rest lie in the list, off the path. An [`Entry`] is `{ block, call }`: the call pointer beside the
//! data pointer, so a walk follows one pointer less than through `Arc<dyn Fn>`. Entries are plain words: a list is copied by
//! copying bytes, and no publisher's cache line is touched.
//!
//! # Invariants
//! 1. The captures are whole until the one [`Subscriber`] that owns them is dropped. (Who has it, and why no entry is called
//!    after that: `subscribers.rs`.)
//! 2. The block's memory has two parties: the owner and the handle ([`Anchor`]). The second to leave frees it.
//! 3. `call` and `kind` were made for the very closure type in the block. The types of the event and the error are known to
//!    the list that an entry is in, not to the entry: `subscribers.rs`.
//!
//! # Orderings
//! | edge  | one side                       | other side                       | model that fails without it |
//! |-------|--------------------------------|----------------------------------|-----------------------------|
//! | LATCH | captures gone: Release         | waiter: Acquire                  | `a_latch_says_that_the_captures_are_gone` |
//! | FREE  | first to leave: Release        | second: Acquire fence            | `a_block_is_freed_by_the_second_to_leave` |

use crate::retire::without_unwinding;
use crate::sync::{AtomicU32, Ordering, Plant, UnsafeCell, at, fence, plain, planted};
use Ordering::{Acquire, Relaxed, Release};
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::num::NonZeroU64;
use std::panic::Location;
use std::ptr::NonNull;

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
        Self::of(id)
    }

    /// The id of this number.
    pub(crate) fn of(number: u64) -> Self {
        Self(NonZeroU64::new(number).unwrap_or(NonZeroU64::MAX))
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

impl SubscriberName {
    /// A name for what is told of as a subscriber is, and is in no list.
    pub fn unlisted(name: &'static str, location: &'static Location<'static>) -> Self {
        Self { id: SubscriberId::draw(), name: Some(name), location }
    }
}

impl fmt::Display for SubscriberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) => write!(f, "{name} ({})", self.location),
            None => write!(f, "{} ({})", self.id, self.location),
        }
    }
}

/// In a [`Life`]: the subscriber ended by itself.
const OVER: u32 = 1;
/// In a [`Life`]: the captures are gone, and the owner has left.
const GONE: u32 = 2;
/// In a [`Life`]: the handle has left.
const LEFT: u32 = 4;
/// In a [`Life`]: the handle has cancelled, perhaps before the subscriber was in a list.
const CANCELLED: u32 = 8;

/// What is left of a subscriber's life: whether it has ended by itself (once, weak), and who still needs the block.
#[derive(Debug)]
pub struct Life(AtomicU32, #[cfg(signalpost_loom)] crate::sync::Watched);

impl Life {
    fn new() -> Self {
        Self(
            AtomicU32::new(0),
            #[cfg(signalpost_loom)]
            Default::default(),
        )
    }

    /// Has a model see that this is looked at after it was freed.
    fn watched(&self) -> &Self {
        #[cfg(signalpost_loom)]
        self.1.look();
        self
    }

    /// Ends it. True for the one caller that did.
    pub fn end(&self) -> bool {
        // Relaxed: the flag alone is shared; what the subscriber touches is ordered by other means or not at all.
        self.watched().0.fetch_or(OVER, Relaxed) & OVER == 0
    }

    /// Whether its handle has cancelled it.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.watched().0.load(Relaxed) & CANCELLED != 0
    }

    /// Whether it has ended. The subscriber stays in the list until the next write.
    pub fn is_over(&self) -> bool {
        self.watched().0.load(Relaxed) & OVER != 0
    }
}

/// A subscriber's memory. `repr(C)`: a pointer to the block is a pointer to its life.
#[repr(C)]
struct Block<F> {
    life: Life,
    closure: UnsafeCell<ManuallyDrop<F>>,
}

type Call<E, X> = unsafe fn(NonNull<Life>, &E) -> Result<(), X>;

/// A [`Call`] whose types are put aside, so that lists of subscribers of any types are of one type.
#[derive(Clone, Copy)]
struct AnyCall(unsafe fn());

impl AnyCall {
    const fn of<E: ?Sized, X>(call: Call<E, X>) -> Self {
        // SAFETY: function pointers are of one size, and this one is not called before `typed` has given it its type back.
        Self(unsafe { std::mem::transmute::<Call<E, X>, unsafe fn()>(call) })
    }

    /// # Safety
    /// Made of a call for `E` and `X`.
    #[inline(always)]
    unsafe fn typed<E: ?Sized, X>(self) -> Call<E, X> {
        // SAFETY: by the caller's promise, this is the type that it had.
        unsafe { std::mem::transmute::<unsafe fn(), Call<E, X>>(self.0) }
    }
}

/// What depends on the closure's type.
struct Kind {
    call: AnyCall,
    /// Does nothing, and is called as `call` is.
    skip: AnyCall,
    /// Drops the captures.
    drop: unsafe fn(NonNull<Life>),
    /// Frees the block's memory.
    free: unsafe fn(NonNull<Life>),
}

/// A type that has nothing but its [`Kind`], to give that a place that lasts.
struct Of<F, E: ?Sized, X>(PhantomData<(F, Invariant<E, X>)>);

impl<F: Fn(&Life, &E) -> Result<(), X> + 'static, E: ?Sized + 'static, X: 'static> Of<F, E, X> {
    const KIND: &'static Kind = &Kind {
        call: AnyCall::of(call::<F, E, X>),
        skip: AnyCall::of(skip::<E, X>),
        drop: drop_captures::<F>,
        free: free::<F>,
    };
}

/// A subscriber in a list: 16 bytes, walked in rows. Plain words; may be called while its owner lives.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    block: NonNull<Life>,
    call: AnyCall,
}

/// Mentions two types, invariantly, and holds neither: no auto trait is lost by it.
pub(crate) type Invariant<E, X> = fn(*mut E, *mut X) -> (*mut E, *mut X);

/// What a list keeps of a subscriber beside its entry.
#[derive(Clone, Copy)]
pub(crate) struct Kept {
    pub(crate) name: Option<&'static str>,
    pub(crate) location: &'static Location<'static>,
    kind: &'static Kind,
}

// SAFETY: a pointer to a block whose closure is `Send + Sync` (`Subscriber::new`) and whose life is an atomic; no event and
// no error is stored, only functions of them.
unsafe impl Send for Entry {}
// SAFETY: as above.
unsafe impl Sync for Entry {}

impl Entry {
    /// Runs the subscriber; does nothing for a paused entry.
    ///
    /// # Safety
    /// The subscriber's owner lives, and the subscriber was made for `E` and `X`.
    #[inline(always)]
    pub(crate) unsafe fn call<E: ?Sized, X>(&self, event: &E) -> Result<(), X> {
        // SAFETY: `call` was made for the closure (3) and for these types, by the caller's promise.
        let call = unsafe { self.call.typed::<E, X>() };
        // SAFETY: by the caller's promise (1).
        unsafe { call(self.block, event) }
    }

    /// # Safety
    /// The subscriber's owner lives.
    pub(crate) unsafe fn life(&self) -> &Life {
        // SAFETY: by the caller's promise, the block is there (2).
        unsafe { self.block.as_ref() }
    }

    /// Makes the entry one that does nothing, so that a walk need not look at a flag.
    pub(crate) fn pause(&mut self, kept: &Kept) {
        self.call = kept.kind.skip;
    }

    /// Undoes [`pause`](Self::pause).
    pub(crate) fn resume(&mut self, kept: &Kept) {
        self.call = kept.kind.call;
    }
}

/// The owner of a subscriber: dropping it drops the captures.
pub struct Subscriber {
    pub(crate) entry: Entry,
    pub(crate) kept: Kept,
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber").field("name", &self.kept.name).finish_non_exhaustive()
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let (block, kind) = (self.entry.block, self.kept.kind);
        // A destructor that panics keeps neither its neighbours from being dropped nor the latch from being set.
        without_unwinding(|| {
            // SAFETY: the one owner (1), and `kind` is the block's (3).
            unsafe { (kind.drop)(block) }
        });
        // SAFETY: the owner's one leave, and `free` is the block's (3).
        unsafe { leave(block, GONE, LEFT, kind.free) }
    }
}

impl Subscriber {
    /// Boxes a closure, which is also given its own [`Life`]. One allocation.
    pub(crate) fn new<E, X, F>(closure: F, about: &About) -> (Self, Anchor)
    where
        E: ?Sized + 'static,
        X: 'static,
        F: Fn(&Life, &E) -> Result<(), X> + Send + Sync + 'static,
    {
        let &About { channel, priority, name, location, .. } = about;
        let block = Block { life: Life::new(), closure: UnsafeCell::new(ManuallyDrop::new(closure)) };
        let block = NonNull::from(Box::leak(Box::new(block))).cast::<Life>();
        let kind = Of::<F, E, X>::KIND;
        let entry = Entry { block, call: kind.call };
        let anchor = Anchor { block, free: kind.free, id: SubscriberId::draw(), priority, channel };
        (Self { entry, kept: Kept { name, location, kind } }, anchor)
    }
}

/// How a subscriber is to be registered.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Which list of its cell; 0 where there is one only.
    pub channel: u32,
    /// Higher runs earlier.
    pub priority: i32,
    /// For people.
    pub name: Option<&'static str>,
    /// Where it was registered.
    pub location: &'static Location<'static>,
    /// Whether it begins paused.
    pub paused: bool,
    /// Whether its closure may [end](Life::end) it.
    pub self_ending: bool,
}

/// A handle's side of a subscriber: which it is, and whether its captures are gone. Keeps the block's memory, not
/// the captures.
pub struct Anchor {
    block: NonNull<Life>,
    free: unsafe fn(NonNull<Life>),
    id: SubscriberId,
    priority: i32,
    channel: u32,
}

// SAFETY: touches the block's life, an atomic, and frees memory that nobody else needs.
unsafe impl Send for Anchor {}
// SAFETY: as above.
unsafe impl Sync for Anchor {}

impl Anchor {
    /// Which subscriber it is.
    pub fn id(&self) -> SubscriberId {
        self.id
    }

    /// The priority that it was registered with.
    pub fn priority(&self) -> i32 {
        self.priority
    }

    /// The list of its cell that it was registered in.
    pub fn channel(&self) -> u32 {
        self.channel
    }

    /// Notes that the handle cancels: for a write that is about to add the subscriber. To be called before the write that
    /// takes it out, which may find nothing yet.
    pub fn cancels(&self) {
        // SAFETY: the block is there until this handle leaves (2).
        let life = unsafe { self.block.as_ref() };
        life.0.fetch_or(CANCELLED, Relaxed);
        // Edge CANCEL (partner: `SharedCell::apply`). Each side writes, then looks for what the other wrote, so a full
        // fence stands between: the adding write sees the note, or the cancelling one sees the subscriber.
        if !planted(Plant::CancelFence) {
            fence(Ordering::SeqCst);
        }
    }

    /// Whether the closure has been dropped, with everything it captured, so that it can neither run nor be running.
    pub fn is_gone(&self) -> bool {
        // SAFETY: the block is there until this handle leaves (2).
        let life = unsafe { self.block.as_ref() };
        // Edge LATCH: what the destructors did is seen by whoever waited for them.
        life.0.load(at(Plant::LatchSeen, Acquire)) & GONE != 0
    }
}

impl fmt::Debug for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Anchor").field("id", &self.id).field("gone", &self.is_gone()).finish()
    }
}

impl Drop for Anchor {
    fn drop(&mut self) {
        // SAFETY: `free` was made for the block's type, and this party leaves once.
        unsafe { leave(self.block, LEFT, GONE, self.free) }
    }
}

/// Leaves a block; the second to do so frees it.
///
/// # Safety
/// The caller is the party `me`, leaves once, and `free` is the block's.
unsafe fn leave(block: NonNull<Life>, me: u32, other: u32, free: unsafe fn(NonNull<Life>)) {
    // SAFETY: the block is there until both have left (2).
    let life = unsafe { block.as_ref() };
    // Edge LATCH for the owner, edge FREE for both.
    if life.watched().0.fetch_or(me, at(Plant::LatchSet, Release)) & other != 0 {
        if !planted(Plant::LeftSecond) {
            fence(Acquire);
        }
        // SAFETY: both have left, and this is the second.
        unsafe { free(block) };
    }
}

/// # Safety
/// `block` is a `Block<F>` whose owner lives.
unsafe fn call<F, E: ?Sized, X>(block: NonNull<Life>, event: &E) -> Result<(), X>
where
    F: Fn(&Life, &E) -> Result<(), X>,
{
    // SAFETY: by the caller's promise; the life is the block's first field.
    let block = unsafe { block.cast::<Block<F>>().as_ref() };
    block.closure.with(|closure| {
        // SAFETY: whole while its owner lives (1), and only shared.
        let closure = unsafe { &*closure };
        closure(&block.life, event)
    })
}

/// # Safety
/// None: touches nothing. `unsafe` to have [`Call`]'s type.
unsafe fn skip<E: ?Sized, X>(_: NonNull<Life>, _: &E) -> Result<(), X> {
    Ok(())
}

/// # Safety
/// `block` is a `Block<F>`; the caller is its owner and calls this once.
unsafe fn drop_captures<F>(block: NonNull<Life>) {
    // SAFETY: the block is there until the owner has left (2), which the caller does after this.
    let block = unsafe { block.cast::<Block<F>>().as_ref() };
    block.closure.with_mut(|closure| {
        // SAFETY: the owner says that nobody calls it any more, so this access is alone (1).
        let closure = unsafe { &mut *closure };
        // SAFETY: the one drop (1).
        unsafe { ManuallyDrop::drop(closure) }
    });
}

/// # Safety
/// `block` is a `Block<F>` that both parties have left.
unsafe fn free<F>(block: NonNull<Life>) {
    // SAFETY: from `Box::leak` in `Subscriber::new`; the closure in it is a `ManuallyDrop`.
    drop(unsafe { Box::from_raw(block.cast::<Block<F>>().as_ptr()) });
}
