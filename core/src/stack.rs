//! A lock-free stack of owned values: push one, take all, take one.
//!
//! Treiber's stack (1986) without its trap: nobody unlinks a node that others can reach. Even `pop` takes the whole
//! stack and puts the rest back, so an address is never mistaken for its successor's (no ABA), and no node is
//! read after it was freed. Meanwhile others may see the stack empty.
//!
//! # Invariants
//! 1. A node is reachable from `head`, or owned by one thread; never both.
//!
//! # Orderings
//! | edge  | one side              | other side              | model that fails without it |
//! |-------|-----------------------|-------------------------|-----------------------------|
//! | STACK | push: Release         | take: Acquire           | `what_one_writer_retires_another_collects` |

use crate::sync::{AtomicPtr, Ordering, Plant, UnsafeCell, at};
use Ordering::{Acquire, Relaxed, Release};
use std::marker::PhantomData;
use std::ptr::null_mut;

#[derive(Debug)]
pub(crate) struct Stack<N> {
    head: AtomicPtr<Node<N>>,
    owns: PhantomData<N>,
}

#[derive(Debug)]
struct Node<N> {
    inner: UnsafeCell<(Option<N>, *mut Node<N>)>,
}

// SAFETY: the nodes hold `N`s, and whoever takes one owns it alone (1).
unsafe impl<N: Send> Send for Stack<N> {}
// SAFETY: `&Stack` only moves whole values in and out.
unsafe impl<N: Send> Sync for Stack<N> {}

impl<N> Stack<N> {
    pub(crate) fn new() -> Self {
        #[cfg(signalpost_loom)]
        grave::dig();
        Self { head: AtomicPtr::new(null_mut()), owns: PhantomData }
    }

    /// Lock-free; allocates.
    pub(crate) fn push(&self, value: N) {
        let node = Box::into_raw(Box::new(Node { inner: UnsafeCell::new((None, null_mut())) }));
        set(node, |inner| inner.0 = Some(value));
        self.push_chain(node, node);
    }

    /// Wait-free.
    pub(crate) fn take_all(&self) -> Chain<N> {
        // Edge STACK.
        Chain(self.head.swap(null_mut(), at(Plant::StackTake, Acquire)))
    }

    /// Lock-free.
    pub(crate) fn pop(&self) -> Option<N> {
        let mut chain = self.take_all();
        let value = chain.next();
        let rest = std::mem::replace(&mut chain.0, null_mut());
        if !rest.is_null()
            && self.head.compare_exchange(null_mut(), rest, at(Plant::StackPush, Release), Relaxed).is_err()
        {
            let mut last = rest;
            loop {
                let next = set(last, |inner| inner.1);
                if next.is_null() {
                    break self.push_chain(rest, last);
                }
                last = next;
            }
        }
        value
    }

    /// Puts a chain that is ours alone on top.
    fn push_chain(&self, first: *mut Node<N>, last: *mut Node<N>) {
        let mut head = self.head.load(Relaxed);
        loop {
            set(last, |inner| inner.1 = head);
            // Edge STACK.
            match self.head.compare_exchange(head, first, at(Plant::StackPush, Release), Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }
}

/// Looks into a node that this thread owns alone.
fn set<N, R>(node: *mut Node<N>, f: impl FnOnce(&mut (Option<N>, *mut Node<N>)) -> R) -> R {
    // SAFETY: live, since only its owner frees it (1), and the owner is the caller.
    let node = unsafe { &*node };
    node.inner.with_mut(|inner| {
        // SAFETY: owned by this thread alone (1).
        f(unsafe { &mut *inner })
    })
}

impl<N> Drop for Stack<N> {
    fn drop(&mut self) {
        drop(self.take_all());
    }
}

/// Nodes taken off a stack, newest first.
#[derive(Debug)]
pub(crate) struct Chain<N>(*mut Node<N>);

impl<N> Iterator for Chain<N> {
    type Item = N;

    fn next(&mut self) -> Option<N> {
        if self.0.is_null() {
            return None;
        }
        let node = self.0;
        let (value, next) = set(node, |inner| (inner.0.take(), inner.1));
        self.0 = next;
        // SAFETY: from `Box::into_raw` in `push`, and owned by this chain alone (1).
        let node = unsafe { Box::from_raw(node) };
        #[cfg(signalpost_loom)]
        grave::bury(node);
        #[cfg(not(signalpost_loom))]
        drop(node);
        value
    }
}

impl<N> Drop for Chain<N> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

/// Under loom, nodes are freed when the execution has ended. Otherwise the allocator would say whether a push finds the head
/// that it looked at, since a new node may lie where an old one lay, and loom needs executions that repeat exactly.
#[cfg(signalpost_loom)]
mod grave {
    use std::alloc::{Layout, dealloc};
    use std::sync::Mutex;

    struct Grave(*mut u8, Layout);

    // SAFETY: owned memory with nothing in it.
    unsafe impl Send for Grave {}

    impl Drop for Grave {
        fn drop(&mut self) {
            // SAFETY: a box's memory, with its layout.
            unsafe { dealloc(self.0, self.1) };
        }
    }

    loom::lazy_static! {
        static ref GRAVES: Mutex<Vec<Grave>> = Mutex::new(Vec::new());
    }

    /// Makes the list. Early, since whoever comes later is ordered after this, and should be after nothing more.
    pub(super) fn dig() {
        drop(GRAVES.lock());
    }

    /// Keeps the memory of a box whose contents need no drop.
    pub(super) fn bury<T>(value: Box<T>) {
        let grave = Grave(Box::into_raw(value).cast(), Layout::new::<T>());
        GRAVES.lock().expect("not poisoned").push(grave);
    }
}
