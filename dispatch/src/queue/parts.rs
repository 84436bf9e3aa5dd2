//! The queues of others that hand-off is built on; under loom, stand-ins for them.
//!
//! A stand-in has the documented edges of what it stands for and no more: who finds an item sees what was done before it
//! was added, and may not find it for a while. So the handshake of `sleep.rs`, which is what the models are about, has to
//! bring its own barriers, though the real ones have some inside.

#[cfg(not(signalpost_loom))]
pub(super) use crossbeam_queue::{ArrayQueue, SegQueue};
#[cfg(not(signalpost_loom))]
pub(super) use rtrb::{Consumer, Producer, RingBuffer};
#[cfg(signalpost_loom)]
pub(super) use stand_in::{ArrayQueue, Consumer, Producer, RingBuffer, SegQueue};

/// Gives the item back if the ring is full.
#[cfg(not(signalpost_loom))]
#[inline(always)]
pub(super) fn push<T>(ring: &mut Producer<T>, item: T) -> Result<(), T> {
    ring.push(item).map_err(|rtrb::PushError::Full(item)| item)
}

/// Gives the item back if the ring is full.
#[cfg(signalpost_loom)]
pub(super) fn push<T>(ring: &mut Producer<T>, item: T) -> Result<(), T> {
    ring.push(item)
}

#[cfg(signalpost_loom)]
mod stand_in {
    use signalpost_core::sync::AtomicUsize;
    use signalpost_core::sync::Ordering::{AcqRel, Acquire, Release};
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

    /// Items in a queue that loom does not see, and their number, which it does.
    #[derive(Debug)]
    pub(in crate::queue) struct ArrayQueue<T> {
        items: Mutex<VecDeque<T>>,
        shown: AtomicUsize,
        capacity: usize,
    }

    impl<T> ArrayQueue<T> {
        pub(in crate::queue) fn new(capacity: usize) -> Self {
            Self { items: Mutex::default(), shown: AtomicUsize::new(0), capacity }
        }

        fn items(&self) -> MutexGuard<'_, VecDeque<T>> {
            self.items.lock().unwrap_or_else(PoisonError::into_inner)
        }

        pub(in crate::queue) fn push(&self, item: T) -> Result<(), T> {
            let mut items = self.items();
            if items.len() == self.capacity {
                return Err(item);
            }
            items.push_back(item);
            drop(items); // nothing of loom's while it is locked
            self.shown.fetch_add(1, Release);
            Ok(())
        }

        pub(in crate::queue) fn force_push(&self, item: T) -> Option<T> {
            let mut items = self.items();
            let oldest = if items.len() == self.capacity { items.pop_front() } else { None };
            items.push_back(item);
            drop(items);
            if oldest.is_none() {
                self.shown.fetch_add(1, Release);
            }
            oldest
        }

        pub(in crate::queue) fn pop(&self) -> Option<T> {
            if self.is_empty() {
                return None;
            }
            let item = self.items().pop_front()?;
            self.shown.fetch_sub(1, AcqRel);
            Some(item)
        }

        pub(in crate::queue) fn len(&self) -> usize {
            self.shown.load(Acquire)
        }

        pub(in crate::queue) fn is_empty(&self) -> bool {
            self.len() == 0
        }

        pub(in crate::queue) fn capacity(&self) -> usize {
            self.capacity
        }
    }

    /// The same without an end.
    #[derive(Debug)]
    pub(in crate::queue) struct SegQueue<T>(ArrayQueue<T>);

    impl<T> SegQueue<T> {
        pub(in crate::queue) fn new() -> Self {
            Self(ArrayQueue::new(usize::MAX))
        }

        pub(in crate::queue) fn push(&self, item: T) {
            assert!(self.0.push(item).is_ok(), "it has no end");
        }

        pub(in crate::queue) fn pop(&self) -> Option<T> {
            self.0.pop()
        }
    }

    #[derive(Debug)]
    pub(in crate::queue) struct RingBuffer;

    impl RingBuffer {
        #[allow(clippy::new_ret_no_self, reason = "as the one it stands for")]
        pub(in crate::queue) fn new<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
            let ring = Arc::new(ArrayQueue::new(capacity));
            (Producer(ring.clone()), Consumer(ring))
        }
    }

    #[derive(Debug)]
    pub(in crate::queue) struct Producer<T>(Arc<ArrayQueue<T>>);

    impl<T> Producer<T> {
        pub(in crate::queue) fn push(&mut self, item: T) -> Result<(), T> {
            self.0.push(item)
        }

        pub(in crate::queue) fn is_abandoned(&self) -> bool {
            Arc::strong_count(&self.0) < 2
        }
    }

    #[derive(Debug)]
    pub(in crate::queue) struct Consumer<T>(Arc<ArrayQueue<T>>);

    impl<T> Consumer<T> {
        pub(in crate::queue) fn pop(&mut self) -> Result<T, ()> {
            self.0.pop().ok_or(())
        }

        pub(in crate::queue) fn slots(&self) -> usize {
            self.0.len()
        }
    }

    /// What `Arc` does, as far as loom is to know: what one end did shows to the end that drops the ring.
    fn drop_end<T>(ring: &ArrayQueue<T>) {
        ring.shown.fetch_add(0, AcqRel);
    }

    impl<T> Drop for Producer<T> {
        fn drop(&mut self) {
            drop_end(&self.0);
        }
    }

    impl<T> Drop for Consumer<T> {
        fn drop(&mut self) {
            drop_end(&self.0);
        }
    }
}
