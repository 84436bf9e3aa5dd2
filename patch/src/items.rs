//! Which functions of a module are to be replaced: a list that those who are asked may edit.
//!
//! Owns order and freedom from duplicates. Not here: whether the names exist (`plan.rs`).

use indexmap::IndexSet;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

/// A function's name: as it was written in the program, or made at run time.
pub type ItemName = Cow<'static, str>;

/// The names of the functions of one module that are to be replaced, in order, each once.
///
/// A fresh list for each pass. Source hooks, subscribers and plugins edit it through a shared reference while they are asked, one
/// after the other on one thread, and each sees what those before it left; so it is not [`Sync`]. What it names when all have been
/// asked is checked, and then replaced in this order. It may be empty.
///
/// # Examples
/// ```
/// use signalpost::patch::Items;
///
/// let items = Items::new(["now", "sleep"]);
/// assert!(items.push("wait_until"));
/// assert!(!items.push("now")); // it is there
/// items.remove("sleep");
/// assert_eq!(items.names(), ["now", "wait_until"]);
/// ```
#[derive(Clone, Default)]
pub struct Items(RefCell<IndexSet<ItemName>>);

impl Items {
    /// These names; of one that comes twice the first place counts.
    pub fn new<N: Into<ItemName>>(names: impl IntoIterator<Item = N>) -> Self {
        Self(RefCell::new(names.into_iter().map(Into::into).collect()))
    }

    /// The names, in order. A copy; allocates.
    pub fn names(&self) -> Vec<ItemName> {
        self.0.borrow().iter().cloned().collect()
    }

    /// Whether it names this function. One hash look-up.
    pub fn contains(&self, name: &str) -> bool {
        self.0.borrow().contains(name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Whether nothing is to be replaced.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Puts a name at the end, unless it is there: then nothing changes, and it says false.
    pub fn push(&self, name: impl Into<ItemName>) -> bool {
        let name = name.into();
        self.0.borrow_mut().insert(name)
    }

    /// Puts a name at a place from 0, or at the end if there are fewer, unless it is there: then nothing changes, and it says false.
    /// Moves those behind it.
    pub fn insert(&self, index: usize, name: impl Into<ItemName>) -> bool {
        let name = name.into();
        let mut names = self.0.borrow_mut();
        if names.contains(&name) {
            return false;
        }
        let place = index.min(names.len());
        names.shift_insert(place, name)
    }

    /// Takes a name out, and says whether it was there. Moves those behind it.
    pub fn remove(&self, name: &str) -> bool {
        self.0.borrow_mut().shift_remove(name)
    }

    /// Keeps the names that `keep` says yes to. It is asked in order, with nothing borrowed, so it may look here and edit.
    pub fn retain(&self, mut keep: impl FnMut(&str) -> bool) {
        let gone: HashSet<_> = self.names().into_iter().filter(|name| !keep(name)).collect();
        self.0.borrow_mut().retain(|name| !gone.contains(name));
    }

    /// Takes all out.
    pub fn clear(&self) {
        self.0.borrow_mut().clear();
    }

    /// Has it name these instead; of one that comes twice the first place counts.
    pub fn replace<N: Into<ItemName>>(&self, names: impl IntoIterator<Item = N>) {
        let names = names.into_iter().map(Into::into).collect(); // a user's, with nothing borrowed
        *self.0.borrow_mut() = names;
    }
}

impl fmt::Debug for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.borrow().iter()).finish()
    }
}
