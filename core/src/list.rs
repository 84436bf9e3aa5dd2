//! The immutable, ordered list behind a snapshot: a change builds a new one that shares chunks.
//!
//! Owns the order of the entries, the chunks they lie in, and which of them a change copies.
//! Not here: what an entry is and does (`subscriber.rs`), how a list is shared with readers and
//! how long it lives (`cell.rs`). Safe code, no atomics of its own: `Arc` is ownership only.
//!
//! Up to [`LEAF`] entries lie in the list itself, so that a walk is list, entries, entry. Beyond
//! that the list holds groups of leaves. Every chunk sits behind an `Arc` and is changed through
//! [`Arc::make_mut`]: the first change to a clone copies its path (one leaf, the pointers of one
//! group, the pointers of the root), and what the clone has to itself is changed in place.
//!
//! # Invariants
//! 1. Priorities never rise from one entry to the next.
//! 2. In a leaf, `entries[i]` and `marks[i]` belong together; neither holds, or has room for, more
//!    than [`LEAF`]. A group has at most [`GROUP`] leaves.
//! 3. A list with groups has more than [`SMALL`] entries, and no leaf and no group of it is empty.
//! 4. Two neighbours of one parent together hold more than [`SMALL`]: at least a quarter is used.

use std::fmt;
use std::sync::Arc;

/// Entries a leaf can hold. A walk stumbles at the end of each (one mispredicted branch, one pointer to follow); a change
/// copies one: 256 costs a long walk about 2 %, and a registration about as much as the rest of it.
/// (64 in this file's tests, which then cross more edges.)
const LEAF: usize = if cfg!(test) { 64 } else { 256 };
/// Leaves a group can hold.
const GROUP: usize = 64;
/// Neighbours that together hold no more than this become one; also when many leaves become one.
const SMALL: usize = 32;

const _: () = assert!(LEAF.is_multiple_of(u64::BITS as usize) && size_of::<Mark<()>>() == 16);

/// What the list knows of an entry: the cold words beside the hot ones that a walk reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark<O = ()> {
    /// Names the entry. No two in one list are equal, and later ones are larger.
    pub id: u64,
    /// Higher comes first.
    pub priority: i32,
    /// For the list's owner; the list carries it along and never looks at it.
    pub flags: u32,
    /// What else is kept beside an entry, off the path of a walk.
    pub kept: O,
}

/// Where an entry lies in one list; of no meaning in another, nor after a change to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    group: usize,
    leaf: usize,
    index: usize,
}

/// Entries in order: highest priority first, and as they were added within a priority.
///
/// A clone shares the chunks of the original, and a change to a clone copies only what it touches:
/// one run of up to 256 entries, up to 64 pointers to such runs, and one for every 16,384 entries.
/// Chunks that a clone has to itself are changed in place, so a bulk edit copies each chunk once.
/// Copying an entry is `T::clone`; none is cloned but in a copied run, and none is dropped early.
///
/// The place of a change is found by binary search; each method says what comes on top.
///
/// # Panics
/// Every method that takes a `Position` may panic when it did not come from this very list.
///
/// # Examples
/// ```
/// use signalpost_core::{List, Mark};
/// let mark = |id, priority| Mark { id, priority, flags: 0, kept: () };
/// let mut list = List::new();
/// list.insert("audit", mark(1, 0));
/// let before = list.clone();
/// list.insert("guard", mark(2, 10));
/// assert!(list.iter().map(|(entry, _)| *entry).eq(["guard", "audit"]));
/// assert_eq!(before.len(), 1);
/// ```
pub struct List<T, O = ()> {
    root: Root<T, O>,
}

#[derive(Clone)]
enum Root<T, O> {
    One(Leaf<T, O>),
    Many(Tree<T, O>),
}

#[derive(Clone)]
struct Tree<T, O> {
    groups: Vec<Arc<Group<T, O>>>,
    len: usize,
}

type Group<T, O> = Vec<Arc<Leaf<T, O>>>;

struct Leaf<T, O> {
    entries: Vec<T>,
    marks: Vec<Mark<O>>,
}

impl<T, O> List<T, O> {
    /// A list of nothing; allocates nothing.
    pub const fn new() -> Self {
        Self { root: Root::One(Leaf::new()) }
    }

    /// How many entries there are. Costs a load or two.
    pub fn len(&self) -> usize {
        match &self.root {
            Root::One(leaf) => leaf.len(),
            Root::Many(tree) => tree.len,
        }
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All entries in order, if they lie side by side: 32 always do, more than 256 never.
    ///
    /// The fast path of a walk, as cheap as one over a slice; [`runs`](Self::runs) covers the rest.
    #[inline]
    pub fn single_run(&self) -> Option<(&[T], &[Mark<O>])> {
        match &self.root {
            Root::One(leaf) => Some(leaf.run()),
            Root::Many(_) => None,
        }
    }

    /// All entries in order, as runs of neighbours in memory: at most 256 in each, none empty.
    #[inline]
    pub fn runs(&self) -> impl Iterator<Item = (&[T], &[Mark<O>])> {
        self.leaves().map(Leaf::run)
    }

    /// All entries in order, one by one.
    pub fn iter(&self) -> impl Iterator<Item = (&T, &Mark<O>)> {
        self.runs().flat_map(|(entries, marks)| entries.iter().zip(marks))
    }

    /// Finds the entry named `id`.
    ///
    /// A binary search, when `priority_hint` is the entry's priority and ids rise within it. Where
    /// the hint is stale, entries were moved, or there is no such entry, every mark is looked at.
    pub fn find(&self, id: u64, priority_hint: i32) -> Option<Position> {
        self.search(id, priority_hint).or_else(|| self.scan(id))
    }

    /// The entry at `at`, and its mark.
    pub fn get(&self, at: Position) -> (&T, &Mark<O>) {
        let leaf = self.leaf(at);
        (&leaf.entries[at.index], &leaf.marks[at.index])
    }

    /// How many entries come before the one at `at`. Steps over whole runs.
    pub fn place(&self, at: Position) -> usize {
        let Root::Many(tree) = &self.root else { return at.index };
        let leaves = |group: &Group<T, O>| group.iter().map(|leaf| leaf.len()).sum::<usize>();
        let groups: usize = tree.groups[..at.group].iter().map(|group| leaves(group)).sum();
        groups + tree.groups[at.group][..at.leaf].iter().map(|leaf| leaf.len()).sum::<usize>() + at.index
    }

    /// Makes it empty; entries that no other list holds are dropped.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    #[inline]
    fn leaves(&self) -> Leaves<'_, T, O> {
        let (one, groups) = match &self.root {
            Root::One(leaf) => (Some(leaf), [].iter()),
            Root::Many(tree) => (None, tree.groups.iter()),
        };
        Leaves { one: one.filter(|leaf| leaf.len() > 0), group: [].iter(), groups }
    }

    fn leaf(&self, at: Position) -> &Leaf<T, O> {
        match &self.root {
            Root::One(leaf) => leaf,
            Root::Many(tree) => &tree.groups[at.group][at.leaf],
        }
    }

    fn search(&self, id: u64, priority: i32) -> Option<Position> {
        let mut at =
            self.place_after(|mark| mark.priority > priority || (mark.priority == priority && mark.id <= id));
        at.index = at.index.checked_sub(1)?;
        (self.get(at).1.id == id).then_some(at)
    }

    fn scan(&self, id: u64) -> Option<Position> {
        let in_leaf = |leaf: &Leaf<T, O>| leaf.marks.iter().position(|mark| mark.id == id);
        match &self.root {
            Root::One(leaf) => in_leaf(leaf).map(Position::in_one),
            Root::Many(tree) => tree.groups.iter().enumerate().find_map(|(group, leaves)| {
                leaves
                    .iter()
                    .enumerate()
                    .find_map(|(leaf, chunk)| in_leaf(chunk).map(|index| Position { group, leaf, index }))
            }),
        }
    }

    /// The mark at `at`, if a change left anything there.
    fn mark(&self, at: Position) -> Option<&Mark<O>> {
        let leaf = match &self.root {
            Root::One(leaf) => leaf,
            Root::Many(tree) => tree.groups.get(at.group)?.get(at.leaf)?,
        };
        leaf.marks.get(at.index)
    }

    /// The place right after the last mark that is `before`, in that mark's own leaf, so that a
    /// leaf fills up before the next one gets anything; the very front, when none is.
    fn place_after(&self, before: impl Fn(&Mark<O>) -> bool) -> Position {
        let groups = match &self.root {
            Root::One(leaf) => return Position::in_one(leaf.marks.partition_point(before)),
            Root::Many(tree) => &tree.groups,
        };
        let group = groups.partition_point(|group| before(&group[0].marks[0]));
        let group = group.saturating_sub(1);
        let leaves = &groups[group];
        let leaf = leaves.partition_point(|leaf| before(&leaf.marks[0]));
        let leaf = leaf.saturating_sub(1);
        let index = leaves[leaf].marks.partition_point(before);
        Position { group, leaf, index }
    }

    /// The place after the last entry.
    fn end(&self) -> Position {
        let groups = match &self.root {
            Root::One(leaf) => return Position::in_one(leaf.len()),
            Root::Many(tree) => &tree.groups,
        };
        let group = groups.len() - 1;
        let leaf = groups[group].len() - 1;
        let index = groups[group][leaf].len();
        Position { group, leaf, index }
    }
}

impl<T: Clone, O: Clone> List<T, O> {
    /// Adds `entry` after all of its priority.
    ///
    /// Costs one run's copy where that is shared. Entries that come in order fill their runs: at
    /// the end of the list or of a priority, a full run is left alone and a new one begun.
    pub fn insert(&mut self, entry: T, mark: Mark<O>) {
        let end = self.end();
        let last = self.leaf(end).marks.last();
        let at = if last.is_none_or(|last| last.priority >= mark.priority) {
            end
        } else {
            self.place_after(|other| other.priority >= mark.priority)
        };
        self.insert_at(at, entry, mark);
    }

    /// Takes the entry at `at` out of this list; clones made before keep theirs.
    ///
    /// Costs one run's copy where that is shared, and another where small neighbours become one.
    pub fn remove(&mut self, at: Position) -> (T, Mark<O>) {
        let removed = match &mut self.root {
            Root::One(leaf) => leaf.remove(at.index),
            Root::Many(tree) => tree.remove(at),
        };
        self.shrink();
        removed
    }

    /// Lets `change` edit the entry at `at` in place. Costs one run's copy where that is shared.
    ///
    /// # Panics
    /// When `change` gives it another priority: see [`set_priority`](Self::set_priority).
    pub fn replace(&mut self, at: Position, change: impl FnOnce(&mut T, &mut Mark<O>)) {
        let leaf = match &mut self.root {
            Root::One(leaf) => leaf,
            Root::Many(tree) => Arc::make_mut(&mut Arc::make_mut(&mut tree.groups[at.group])[at.leaf]),
        };
        let mark = &mut leaf.marks[at.index];
        let priority = mark.priority;
        change(&mut leaf.entries[at.index], mark);
        assert_eq!(mark.priority, priority, "priorities order the list");
    }

    /// Moves the entry at `at` behind all others of `priority`, also when that was its own.
    ///
    /// Costs a [`remove`](Self::remove) and an [`insert`](Self::insert), as the moves below do.
    pub fn set_priority(&mut self, at: Position, priority: i32) {
        let (entry, mark) = self.remove(at);
        self.insert(entry, Mark { priority, ..mark });
    }

    /// Moves the entry at `at` directly before the one at `other`, whose priority it takes.
    ///
    /// Nothing happens when both are the same.
    pub fn move_before(&mut self, at: Position, other: Position) {
        self.move_beside(at, other, 0);
    }

    /// Moves the entry at `at` directly after the one at `other`, whose priority it takes.
    ///
    /// Nothing happens when both are the same.
    pub fn move_after(&mut self, at: Position, other: Position) {
        self.move_beside(at, other, 1);
    }

    /// Drops the entries for which `keep` is false and says how many those were.
    ///
    /// `keep` is asked once for each, in order, before anything is changed. Runs that lose nothing
    /// stay shared, unless they become one with a small neighbour; of the others only what is kept
    /// is copied.
    pub fn retain(&mut self, mut keep: impl FnMut(&T, &Mark<O>) -> bool) -> usize {
        let kept: Vec<Set> = self.leaves().map(|leaf| leaf.select(&mut keep)).collect();
        let len = kept.iter().map(Set::len).sum();
        let dropped = self.len() - len;
        if dropped > 0 {
            match &mut self.root {
                Root::One(leaf) => leaf.keep(&kept[0]),
                Root::Many(tree) => tree.keep(&kept, len),
            }
            self.shrink();
        }
        dropped
    }

    fn move_beside(&mut self, from: Position, other: Position, offset: usize) {
        if from == other {
            return;
        }
        let &Mark { id, priority, .. } = self.get(other).1;
        let (entry, mut mark) = self.remove(from);
        mark.priority = priority;
        // The removal mostly shifts the rest of one leaf and no more; where leaves merged, search.
        let mut to = other;
        let one_leaf = (from.group, from.leaf) == (other.group, other.leaf);
        to.index -= usize::from(one_leaf && from.index < other.index);
        if self.mark(to).is_none_or(|there| there.id != id) {
            let found = self.find(id, priority);
            to = found.expect("only the other one was removed");
        }
        to.index += offset;
        self.insert_at(to, entry, mark);
    }

    fn insert_at(&mut self, at: Position, entry: T, mark: Mark<O>) {
        match &mut self.root {
            Root::One(leaf) if leaf.len() < LEAF => leaf.insert(at.index, entry, mark),
            Root::One(leaf) => {
                let leaf = std::mem::replace(leaf, Leaf::new());
                let len = leaf.len();
                let groups = vec![Arc::new(vec![Arc::new(leaf)])];
                let mut tree = Tree { groups, len };
                tree.insert(at, entry, mark);
                self.root = Root::Many(tree);
            }
            Root::Many(tree) => tree.insert(at, entry, mark),
        }
    }

    /// Back to one leaf, well below where it was left, so that no one goes back and forth.
    fn shrink(&mut self) {
        if let Root::Many(tree) = &mut self.root
            && tree.len <= SMALL
        {
            let mut one = Leaf::new();
            let groups = std::mem::take(&mut tree.groups).into_iter();
            for leaf in groups.flat_map(Arc::unwrap_or_clone) {
                one.absorb(leaf);
            }
            self.root = Root::One(one);
        }
    }
}

impl<T: Clone, O: Clone> Tree<T, O> {
    fn insert(&mut self, at: Position, entry: T, mark: Mark<O>) {
        self.len += 1;
        let group = Arc::make_mut(&mut self.groups[at.group]);
        if group[at.leaf].len() < LEAF {
            Arc::make_mut(&mut group[at.leaf]).insert(at.index, entry, mark);
            return;
        }
        // Full: cut where the entry goes, not in the middle. Entries that come in order, at the end
        // or at the end of their priority, then leave full leaves behind.
        let place = at.leaf + usize::from(at.index > 0);
        let fresh = if at.index == 0 || at.index == LEAF {
            let mut fresh = Leaf::new();
            fresh.insert(0, entry, mark);
            fresh
        } else {
            let head = Arc::make_mut(&mut group[at.leaf]);
            let tail = head.split_off(at.index);
            head.insert(at.index, entry, mark);
            tail
        };
        group.insert(place, Arc::new(fresh));
        settle(group, at.leaf + 1);
        settle(group, at.leaf);
        if group.len() > GROUP {
            let tail = group.split_off(place.clamp(1, GROUP));
            self.groups.insert(at.group + 1, Arc::new(tail));
            settle(&mut self.groups, at.group + 1);
            settle(&mut self.groups, at.group);
        }
    }

    fn remove(&mut self, at: Position) -> (T, Mark<O>) {
        self.len -= 1;
        let group = Arc::make_mut(&mut self.groups[at.group]);
        let removed = Arc::make_mut(&mut group[at.leaf]).remove(at.index);
        settle(group, at.leaf);
        settle(&mut self.groups, at.group);
        removed
    }

    /// Keeps, of every leaf in turn, the entries in its set: `len` in all.
    fn keep(&mut self, mut kept: &[Set], len: usize) {
        self.len = len;
        for group in &mut self.groups {
            let (sets, rest) = kept.split_at(group.len());
            kept = rest;
            if group.iter().zip(sets).all(|(leaf, set)| leaf.len() == set.len()) {
                continue;
            }
            let group = Arc::make_mut(group);
            let mut sets = sets.iter();
            group.retain_mut(|leaf| {
                let set = sets.next().expect("a set a leaf");
                if set.len() != 0 && set.len() != leaf.len() {
                    match Arc::get_mut(leaf) {
                        Some(leaf) => leaf.keep(set),
                        None => *leaf = Arc::new(leaf.copy_of(set)),
                    }
                }
                set.len() != 0
            });
            settle_all(group);
        }
        self.groups.retain(|group| !group.is_empty());
        settle_all(&mut self.groups);
    }
}

impl<T, O> Leaf<T, O> {
    const fn new() -> Self {
        Self { entries: Vec::new(), marks: Vec::new() }
    }

    fn with_room(room: usize) -> Self {
        Self { entries: Vec::with_capacity(room), marks: Vec::with_capacity(room) }
    }

    /// Room for one more than `len` and as few steps as a `Vec` takes, but never more than a leaf.
    fn room_after(len: usize) -> usize {
        (len + 1).next_power_of_two().min(LEAF)
    }

    fn len(&self) -> usize {
        self.marks.len()
    }

    #[inline]
    fn run(&self) -> (&[T], &[Mark<O>]) {
        (&self.entries, &self.marks)
    }

    fn insert(&mut self, index: usize, entry: T, mark: Mark<O>) {
        let more = Self::room_after(self.len()) - self.len();
        self.entries.reserve_exact(more);
        self.marks.reserve_exact(more);
        self.entries.insert(index, entry);
        self.marks.insert(index, mark);
    }

    fn remove(&mut self, index: usize) -> (T, Mark<O>) {
        (self.entries.remove(index), self.marks.remove(index))
    }

    fn split_off(&mut self, index: usize) -> Self {
        Self { entries: self.entries.split_off(index), marks: self.marks.split_off(index) }
    }

    /// The set of those that `keep` wants.
    fn select(&self, mut keep: impl FnMut(&T, &Mark<O>) -> bool) -> Set {
        let mut set = Set([0; LEAF / 64]);
        for (index, (entry, mark)) in self.entries.iter().zip(&self.marks).enumerate() {
            set.0[index / 64] |= u64::from(keep(entry, mark)) << (index % 64);
        }
        set
    }

    /// Drops what is not in `set`.
    fn keep(&mut self, set: &Set) {
        let mut indices = 0..;
        self.entries.retain(|_| indices.next().is_some_and(|index| set.has(index)));
        let mut indices = 0..;
        self.marks.retain(|_| indices.next().is_some_and(|index| set.has(index)));
    }
}

impl<T: Clone, O: Clone> Leaf<T, O> {
    /// A copy of what is in `set`, and of nothing else.
    fn copy_of(&self, set: &Set) -> Self {
        let mut copy = Self::with_room(set.len());
        for index in (0..self.len()).filter(|index| set.has(*index)) {
            copy.entries.push(self.entries[index].clone());
            copy.marks.push(self.marks[index].clone());
        }
        copy
    }
}

/// Some of a leaf's entries, a bit for each.
struct Set([u64; LEAF / 64]);

impl Set {
    fn has(&self, index: usize) -> bool {
        self.0[index / 64] >> (index % 64) & 1 == 1
    }

    fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }
}

/// What leaves and groups have in common: neighbours that got small are made one.
trait Chunk: Clone {
    fn size(&self) -> usize;

    /// Takes over what `next`, its right neighbour, holds: moved where `next` is not shared.
    fn absorb(&mut self, next: Arc<Self>);
}

impl<T: Clone, O: Clone> Chunk for Leaf<T, O> {
    fn size(&self) -> usize {
        self.len()
    }

    fn absorb(&mut self, next: Arc<Self>) {
        let mut next = Arc::unwrap_or_clone(next);
        self.entries.append(&mut next.entries);
        self.marks.append(&mut next.marks);
    }
}

impl<T: Clone, O: Clone> Chunk for Group<T, O> {
    fn size(&self) -> usize {
        self.len()
    }

    fn absorb(&mut self, next: Arc<Self>) {
        let seam = self.len() - 1;
        self.append(&mut Arc::unwrap_or_clone(next));
        join(self, seam); // two leaves that were not neighbours before
    }
}

/// Restores invariants 3 and 4 around the chunk at `at`, which is new or has lost something.
fn settle<C: Chunk>(chunks: &mut Vec<Arc<C>>, at: usize) {
    match chunks[at].size() {
        0 => drop(chunks.remove(at)),
        size if size > SMALL => return,
        _ => join(chunks, at),
    }
    if at > 0 {
        join(chunks, at - 1);
    }
}

/// Restores invariant 4 after any of them may have shrunk.
fn settle_all<C: Chunk>(chunks: &mut Vec<Arc<C>>) {
    for left in (0..chunks.len()).rev() {
        join(chunks, left);
    }
}

/// Makes one of the chunk at `left` and its right neighbour, if there is one and both are small.
fn join<C: Chunk>(chunks: &mut Vec<Arc<C>>, left: usize) {
    if let Some([chunk, next, ..]) = chunks.get(left..)
        && chunk.size() + next.size() <= SMALL
    {
        let next = chunks.remove(left + 1);
        Arc::make_mut(&mut chunks[left]).absorb(next);
    }
}

/// Plain steps: chained and flattened adapters cost a short walk 2 ns.
struct Leaves<'a, T, O> {
    one: Option<&'a Leaf<T, O>>,
    group: std::slice::Iter<'a, Arc<Leaf<T, O>>>,
    groups: std::slice::Iter<'a, Arc<Group<T, O>>>,
}

impl<'a, T, O> Iterator for Leaves<'a, T, O> {
    type Item = &'a Leaf<T, O>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(one) = self.one.take() {
            return Some(one);
        }
        loop {
            if let Some(leaf) = self.group.next() {
                return Some(leaf);
            }
            self.group = self.groups.next()?.iter();
        }
    }
}

impl Position {
    fn in_one(index: usize) -> Self {
        Self { group: 0, leaf: 0, index }
    }
}

/// With room for one more: what is copied is mostly about to be changed.
impl<T: Clone, O: Clone> Clone for Leaf<T, O> {
    fn clone(&self) -> Self {
        let mut copy = Self::with_room(Self::room_after(self.len()));
        copy.entries.extend_from_slice(&self.entries);
        copy.marks.extend_from_slice(&self.marks);
        copy
    }
}

/// Up to 256 entries are copied; past that, one pointer for every 16,384 of them.
impl<T: Clone, O: Clone> Clone for List<T, O> {
    fn clone(&self) -> Self {
        Self { root: self.root.clone() }
    }
}

impl<T, O> Default for List<T, O> {
    fn default() -> Self {
        Self::new()
    }
}

/// Shows the marks; entries need not be printable.
impl<T, O: fmt::Debug> fmt::Debug for List<T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(_, mark)| mark)).finish()
    }
}

#[cfg(test)]
mod tests;
