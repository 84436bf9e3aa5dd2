//! The list against a plain `Vec`, and what it shares and copies.

use super::*;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

#[derive(Default)]
struct Tally {
    made: Cell<usize>,
    copied: Cell<usize>,
    dropped: Cell<usize>,
}

/// Counts itself; its value follows from its mark, so that a pair torn apart is seen.
struct Item {
    value: u64,
    tally: Rc<Tally>,
}

fn value_of(mark: &Mark) -> u64 {
    mark.id * 1000 + u64::from(mark.flags)
}

fn add(cell: &Cell<usize>) {
    cell.set(cell.get() + 1);
}

impl Item {
    fn new(tally: &Rc<Tally>, mark: &Mark) -> Self {
        add(&tally.made);
        let (value, tally) = (value_of(mark), tally.clone());
        Self { value, tally }
    }
}

impl Clone for Item {
    fn clone(&self) -> Self {
        add(&self.tally.made);
        add(&self.tally.copied);
        let (value, tally) = (self.value, self.tally.clone());
        Self { value, tally }
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        add(&self.tally.dropped);
    }
}

fn mark(id: u64, priority: i32) -> Mark {
    let flags = 0;
    Mark { id, priority, flags, kept: () }
}

/// `len` entries of priority 0, ids from 1.
fn filled(len: u64) -> (List<Item>, Rc<Tally>) {
    let (mut list, tally) = (List::new(), Rc::new(Tally::default()));
    for id in 1..=len {
        list.insert(Item::new(&tally, &mark(id, 0)), mark(id, 0));
    }
    (list, tally)
}

fn copies(tally: &Tally, work: impl FnOnce()) -> usize {
    let before = tally.copied.get();
    work();
    tally.copied.get() - before
}

fn ids(list: &List<Item>) -> Vec<u64> {
    list.iter().map(|(_, mark)| mark.id).collect()
}

fn at(list: &List<Item>, id: u64) -> Position {
    list.find(id, 0).expect("the test put it there")
}

fn groups(list: &List<Item>) -> &[Arc<Group<Item, ()>>] {
    match &list.root {
        Root::One(_) => panic!("the test made it longer"),
        Root::Many(tree) => &tree.groups,
    }
}

fn leaf_sizes(list: &List<Item>) -> Vec<usize> {
    list.leaves().map(Leaf::len).collect()
}

/// How many leaves of `list` are the very ones of `other`.
fn shared(list: &List<Item>, other: &List<Item>) -> usize {
    let theirs: std::collections::HashSet<_> = other.leaves().map(std::ptr::from_ref).collect();
    let ours = list.leaves().map(std::ptr::from_ref);
    ours.filter(|leaf| theirs.contains(leaf)).count()
}

/// The module's invariants, and that entries and marks belong together.
fn check(list: &List<Item>) {
    let marks: Vec<&Mark> = list.iter().map(|(_, mark)| mark).collect();
    assert!(marks.is_sorted_by(|a, b| a.priority >= b.priority));
    assert_eq!(marks.len(), list.len());
    for leaf in list.leaves() {
        assert_eq!(leaf.entries.len(), leaf.marks.len());
        assert!(leaf.entries.capacity() <= LEAF && leaf.marks.capacity() <= LEAF);
        assert!((1..=LEAF).contains(&leaf.len()));
    }
    for (entry, mark) in list.iter() {
        assert_eq!(entry.value, value_of(mark));
    }
    let Root::Many(tree) = &list.root else { return };
    assert!(tree.len > SMALL);
    assert!(tree.groups.iter().all(|group| (1..=GROUP).contains(&group.len())));
    let dense = |sizes: Vec<usize>| sizes.windows(2).all(|pair| pair[0] + pair[1] > SMALL);
    assert!(dense(tree.groups.iter().map(|group| group.len()).collect()));
    for group in &tree.groups {
        assert!(dense(group.iter().map(|leaf| leaf.len()).collect()));
    }
}

/// A list and the plain `Vec` that says what it must hold.
#[derive(Clone)]
struct Twin {
    list: List<Item>,
    model: Vec<Mark>,
}

impl Twin {
    fn check(&self) {
        check(&self.list);
        assert!(self.list.iter().map(|(_, mark)| mark).eq(&self.model));
    }

    fn model_insert(&mut self, mark: Mark) {
        let at = self.model.partition_point(|m| m.priority >= mark.priority);
        self.model.insert(at, mark);
    }
}

/// Xorshift: the same numbers on every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end
    }
}

struct History {
    twin: Twin,
    tally: Rc<Tally>,
    dice: Dice,
    next_id: u64,
    /// How many priorities are in use.
    spread: usize,
}

impl History {
    fn priority(&mut self) -> i32 {
        self.dice.below(self.spread) as i32 - 2
    }

    fn insert(&mut self) {
        let mark = mark(self.next_id, self.priority());
        self.next_id += 1;
        self.twin.list.insert(Item::new(&self.tally, &mark), mark);
        self.twin.model_insert(mark);
    }

    /// One that is there: its index in the model, and where the list finds it.
    fn pick(&mut self) -> (usize, Position) {
        let index = self.dice.below(self.twin.model.len());
        let mark = self.twin.model[index];
        let stale = self.dice.below(4) == 0;
        let hint = if stale { self.priority() } else { mark.priority };
        let at = self.twin.list.find(mark.id, hint).expect("the model has it");
        assert_eq!(*self.twin.list.get(at).1, mark);
        (index, at)
    }

    fn change_one(&mut self) {
        let (index, at) = self.pick();
        let (other, other_at) = self.pick();
        let (priority, flags) = (self.priority(), self.dice.below(1000) as u32);
        let Twin { list, model } = &mut self.twin;
        let offset = match self.dice.below(4) {
            0 => {
                model[index].flags = flags;
                return list.replace(at, |entry, mark| {
                    mark.flags = flags;
                    entry.value = value_of(mark);
                });
            }
            1 => {
                let mark = model.remove(index);
                list.set_priority(at, priority);
                return self.twin.model_insert(Mark { priority, ..mark });
            }
            2 => {
                list.move_before(at, other_at);
                0
            }
            _ => {
                list.move_after(at, other_at);
                1
            }
        };
        if index != other {
            let Mark { priority, id: beside, .. } = model[other];
            let mark = model.remove(index);
            let to = model.iter().position(|m| m.id == beside).unwrap() + offset;
            model.insert(to, Mark { priority, ..mark });
        }
    }

    fn remove(&mut self) {
        let (index, at) = self.pick();
        let (entry, mark) = self.twin.list.remove(at);
        assert_eq!(mark, self.twin.model.remove(index));
        assert_eq!(entry.value, value_of(&mark));
        assert_eq!(self.twin.list.find(mark.id, mark.priority), None);
    }

    /// Many of one priority come, or many neighbours go: whole leaves and groups do.
    fn stretch(&mut self, insert: bool) {
        let len = self.twin.model.len();
        if insert {
            let mut mark = mark(0, self.priority());
            for _ in 0..self.dice.below(3000) {
                (mark.id, self.next_id) = (self.next_id, self.next_id + 1);
                self.twin.list.insert(Item::new(&self.tally, &mark), mark);
                self.twin.model_insert(mark);
            }
        } else if len > 0 {
            let start = self.dice.below(len);
            let end = len.min(start + self.dice.below(3000));
            let there = self.twin.model.drain(start..end).collect::<Vec<_>>();
            for mark in there {
                let at = self.twin.list.find(mark.id, mark.priority);
                drop(self.twin.list.remove(at.expect("the model had it")));
            }
        }
        self.twin.check();
    }

    fn retain(&mut self) {
        let nth = [2, 7, 100, 5000][self.dice.below(4)];
        let rest = self.dice.below(nth) as u64;
        let keep = |mark: &Mark| (mark.id % nth as u64 == rest) == (nth == 7);
        let before = self.twin.model.len();
        self.twin.model.retain(keep);
        let dropped = self.twin.list.retain(|entry, mark| {
            assert_eq!(entry.value, value_of(mark));
            keep(mark)
        });
        assert_eq!(dropped, before - self.twin.model.len());
    }
}

#[test]
fn any_history_leaves_what_a_plain_vec_would_hold_and_old_snapshots_as_they_were() {
    let tally = Rc::new(Tally::default());
    let mut history = History {
        twin: Twin { list: List::new(), model: Vec::new() },
        tally: tally.clone(),
        dice: Dice(0x9E37_79B9_7F4A_7C15),
        next_id: 1,
        spread: 1,
    };
    let mut kept: Vec<Twin> = Vec::new();
    let (mut longest, mut crossed_one, mut crossed_group) = (0, 0, 0);
    let phases = [
        (4000, 40, 1),
        (4000, 90, 5),
        (2000, 0, 5),
        (4000, 4200, 3),
        (2000, 20, 2000),
        (4000, 4300, 2000),
        (3000, 12000, 1),
        (3000, 4000, 4),
        (3000, 12000, 9),
        (3000, 70, 9),
    ];
    for (steps, target, spread) in phases {
        let steps = if cfg!(miri) { steps / 100 } else { steps };
        history.spread = spread;
        for step in 0..steps {
            let before = history.twin.list.len();
            if before + 200 < target {
                (0..history.dice.below(200)).for_each(|_| history.insert());
            }
            let growing = before < target;
            match history.dice.below(1000) {
                0 if before > target => history.retain(),
                1..=2 => history.retain(),
                3 if before < 100 => {
                    history.twin.list.clear();
                    history.twin.model.clear();
                }
                4..=12 if target > 4000 => history.stretch(growing),
                13..=24 if kept.len() < 8 => kept.push(history.twin.clone()),
                25..=36 if !kept.is_empty() => {
                    let old = kept.swap_remove(history.dice.below(kept.len()));
                    old.check();
                    if history.dice.below(8) == 0 {
                        history.twin = old; // go on from there, as a lost race does
                    }
                }
                37..=400 if before > 0 => history.change_one(),
                401..=500 => history.twin.list = history.twin.list.clone(),
                roll if before > 0 && (roll < 600 || !growing) => history.remove(),
                _ => history.insert(),
            }
            let after = history.twin.list.len();
            longest = longest.max(after);
            crossed_one += usize::from((before > LEAF) != (after > LEAF));
            crossed_group += usize::from((before > 4096) != (after > 4096));
            if step % (1 + after / 16) == 0 {
                history.twin.check();
            }
        }
        history.twin.check();
    }
    assert!(cfg!(miri) || (longest > 10_000 && crossed_one > 20 && crossed_group > 20));
    kept.iter().for_each(Twin::check);
    drop((history, kept));
    assert_eq!(tally.made.get(), tally.dropped.get());
    assert!(tally.made.get() > tally.copied.get() && tally.copied.get() > 0);
}

#[test]
fn a_change_to_a_clone_copies_one_leaf_and_shares_the_others() {
    let (list, tally) = filled(10_000);
    let leaves = list.runs().count();
    assert_eq!(copies(&tally, || drop(list.clone())), 0);
    let mut grown = list.clone();
    let appended = copies(&tally, || {
        grown.insert(Item::new(&tally, &mark(10_001, 0)), mark(10_001, 0));
    });
    assert_eq!(appended, 10_000 % LEAF);
    assert_eq!(shared(&grown, &list), leaves - 1);
    let mut cut = list.clone();
    let in_the_middle = at(&cut, 5000);
    let removed = copies(&tally, || drop(cut.remove(in_the_middle)));
    assert_eq!(removed, LEAF);
    assert_eq!(shared(&cut, &list), leaves - 1);
}

#[test]
fn appending_past_a_full_leaf_copies_no_entry() {
    let (list, tally) = filled(2 * LEAF as u64);
    let mut grown = list.clone();
    let appended = copies(&tally, || {
        grown.insert(Item::new(&tally, &mark(999, 0)), mark(999, 0));
        grown.insert(Item::new(&tally, &mark(1000, 9)), mark(1000, 9)); // at the very front
    });
    assert_eq!((appended, grown.len()), (0, 2 * LEAF + 2));
    check(&grown);
}

#[test]
fn many_changes_to_one_clone_copy_each_leaf_once() {
    let (list, tally) = filled(1000);
    let mut edited = list.clone();
    let copied = copies(&tally, || {
        for id in 1001..=3000 {
            edited.insert(Item::new(&tally, &mark(id, 0)), mark(id, 0));
        }
        for id in 1..=32 {
            let first = at(&edited, id);
            edited.replace(first, |_, mark| mark.flags = 0);
        }
    });
    assert_eq!(copied, 1000 % LEAF + LEAF);
    let alone = copies(&tally, || {
        edited.set_priority(at(&edited, 7), 0);
        edited.move_before(at(&edited, 2900), at(&edited, 8));
        edited.retain(|_, mark| mark.id % 5 > 0);
    });
    // Of what `list` shares, the leaves past the first are copied now, without what they lose;
    // what was copied before and what came later is edited in place.
    let shared = LEAF as u64 + 1..=(1000 - 1000 % LEAF as u64);
    assert_eq!(alone, shared.filter(|id| id % 5 > 0).count());
    check(&edited);
}

#[test]
fn entries_that_come_in_order_leave_full_leaves_behind() {
    let full = |list: &List<Item>| leaf_sizes(list).iter().filter(|len| **len == LEAF).count();
    let (list, tally) = filled(10_000);
    assert_eq!(full(&list), 10_000 / LEAF);
    assert_eq!(groups(&list)[0].len(), GROUP);
    assert_eq!(groups(&list)[1].len(), GROUP);
    // One by one, each in a clone of its own, and ahead of the lower priority that is there.
    let mut list = list;
    for id in 10_001..=15_000 {
        let mut next = list.clone();
        next.insert(Item::new(&tally, &mark(id, 1)), mark(id, 1));
        list = next;
    }
    assert!(full(&list) >= 15_000 / LEAF - 1);
    check(&list);
}

#[test]
fn what_is_removed_is_handed_out_and_dropped_once() {
    let (mut list, tally) = filled(100);
    let removed = list.remove(at(&list, 50));
    assert_eq!((removed.0.value, removed.1), (50_000, mark(50, 0)));
    assert_eq!((tally.copied.get(), tally.dropped.get()), (0, 0));
    drop(removed);
    assert_eq!(tally.dropped.get(), 1);
    list.clear();
    assert!(list.is_empty() && list.runs().next().is_none());
    assert_eq!(tally.dropped.get(), 100);
}

#[test]
fn retaining_everything_copies_nothing_and_retaining_most_copies_only_what_loses() {
    let (list, tally) = filled(10_000);
    let mut all = list.clone();
    assert_eq!(copies(&tally, || assert_eq!(all.retain(|_, _| true), 0)), 0);
    let mut most = list.clone();
    let copied = copies(&tally, || {
        assert_eq!(most.retain(|_, mark| mark.id != 5000 && mark.id > 128), 129);
    });
    assert_eq!(copied, LEAF - 1); // two whole leaves went, of one all but an entry is copied
    assert_eq!(shared(&most, &list), list.runs().count() - 3);
    assert!(Arc::ptr_eq(&groups(&most)[2], &groups(&list)[2]));
    let mut none = list.clone();
    assert_eq!(none.retain(|_, _| false), 10_000);
    assert!(none.is_empty() && none.single_run().is_some());
}

#[test]
fn a_panic_in_retain_changes_nothing() {
    let (mut list, tally) = filled(200);
    let stopped = catch_unwind(AssertUnwindSafe(|| {
        list.retain(|_, mark| {
            assert!(mark.id < 150);
            mark.id % 2 == 0
        })
    }));
    assert!(stopped.is_err());
    assert_eq!(ids(&list), Vec::from_iter(1..=200));
    assert_eq!(tally.dropped.get(), 0);
}

#[test]
fn an_entry_is_found_with_a_stale_hint_and_after_moves() {
    let (mut list, _) = filled(300);
    list.move_before(at(&list, 300), at(&list, 1));
    list.move_after(at(&list, 2), at(&list, 299));
    for id in 1..=300 {
        for hint in [i32::MIN, -1, 0, 1, i32::MAX] {
            let found = list.find(id, hint).map(|at| list.get(at).1.id);
            assert_eq!(found, Some(id));
        }
    }
    assert_eq!((list.find(0, 0), list.find(301, 0)), (None, None));
}

#[test]
fn an_entry_in_order_is_found_without_a_scan() {
    for len in [1, 64, 65, 5000] {
        let (list, _) = filled(len);
        assert!((1..=len).all(|id| list.search(id, 0).is_some()));
        assert_eq!((list.search(0, 0), list.search(len + 1, 0)), (None, None));
    }
    let (mut list, tally) = (List::new(), Rc::new(Tally::default()));
    let marks = (1..=5000).map(|id| mark(id, id as i32 * 7919 % 10));
    marks.clone().for_each(|mark| list.insert(Item::new(&tally, &mark), mark));
    assert!(marks.clone().all(|mark| list.search(mark.id, mark.priority).is_some()));
    assert_eq!(List::<Item>::new().search(1, 0), None);
}

#[test]
fn an_entry_lands_beside_the_other_where_its_leaving_merges_leaves() {
    let (mut list, _) = filled(256);
    list.retain(|_, mark| !(18..=64).contains(&mark.id) && !(81..=128).contains(&mark.id));
    assert_eq!(leaf_sizes(&list), [17, 16, 64, 64]);
    let mut after = list.clone();
    list.move_before(at(&list, 3), at(&list, 70));
    assert_eq!(leaf_sizes(&list), [33, 64, 64]);
    assert_eq!(ids(&list)[20..24], [69, 3, 70, 71]);
    after.move_after(at(&after, 70), at(&after, 3));
    assert_eq!(leaf_sizes(&after), [33, 64, 64]);
    assert_eq!(ids(&after)[..5], [1, 2, 3, 70, 4]);
}

#[test]
fn groups_that_get_small_become_one_and_so_do_their_leaves_at_the_seam() {
    let sizes = |list: &List<Item>| groups(list).iter().map(|g| g.len()).collect::<Vec<_>>();
    let (full, _) = filled(3 * 4096);
    assert_eq!(sizes(&full), [64, 64, 64]);
    // A full group is cut near its front, next to a small one.
    let mut list = full.clone();
    list.retain(|_, mark| mark.id > 44 * 64);
    assert_eq!(sizes(&list), [20, 64, 64]);
    list.move_before(at(&list, 3 * 4096), at(&list, 4096 + 2 * 64 + 10));
    assert_eq!(sizes(&list), [23, 62, 64]);
    check(&list);
    // Two groups become small, and their leaves on both sides of the seam.
    let mut list = full;
    list.retain(|_, mark| match mark.id {
        1..=4032 => mark.id > 44 * 64,
        4033..=4160 => mark.id % 4 == 0,
        4161..=8192 => mark.id <= 4160 + 9 * 64,
        _ => true,
    });
    assert_eq!(sizes(&list), [19 + 1 + 9, 64]);
    check(&list);
}

#[test]
fn a_cloned_leaf_has_room_for_what_comes() {
    for len in [1, 2, 3, 8, 31, 32, 63] {
        let (list, tally) = filled(len);
        let mut copy = list.clone();
        let there = copy.single_run().expect("one leaf").0.as_ptr();
        copy.insert(Item::new(&tally, &mark(99, 0)), mark(99, 0));
        assert_eq!(copy.single_run().expect("one leaf").0.as_ptr(), there);
    }
}

#[test]
fn the_order_is_priority_then_arrival_then_what_was_moved() {
    let (mut list, tally) = filled(3);
    for (id, priority) in [(4, 5), (5, -5), (6, 5), (7, i32::MAX), (8, i32::MIN)] {
        list.insert(Item::new(&tally, &mark(id, priority)), mark(id, priority));
    }
    assert_eq!(ids(&list), [7, 4, 6, 1, 2, 3, 5, 8]);
    list.set_priority(at(&list, 7), 5);
    assert_eq!(ids(&list), [4, 6, 7, 1, 2, 3, 5, 8]);
    list.set_priority(at(&list, 4), 5); // its own: to the end all the same
    assert_eq!(ids(&list), [6, 7, 4, 1, 2, 3, 5, 8]);
    list.move_before(at(&list, 5), at(&list, 7));
    list.move_after(at(&list, 6), at(&list, 1));
    assert_eq!(ids(&list), [5, 7, 4, 1, 6, 2, 3, 8]);
    assert_eq!(list.get(at(&list, 5)).1.priority, 5);
    assert_eq!(list.get(at(&list, 6)).1.priority, 0);
    list.move_before(at(&list, 6), at(&list, 6));
    list.move_after(at(&list, 1), at(&list, 1));
    assert_eq!(ids(&list), [5, 7, 4, 1, 6, 2, 3, 8]);
    list.insert(Item::new(&tally, &mark(9, 5)), mark(9, 5));
    assert_eq!(ids(&list), [5, 7, 4, 9, 1, 6, 2, 3, 8]);
}

#[test]
#[should_panic(expected = "priorities order the list")]
fn replace_refuses_another_priority() {
    let (mut list, _) = filled(2);
    list.replace(at(&list, 1), |_, mark| mark.priority = 1);
}

#[test]
fn one_leaf_stays_one_until_it_is_full_and_many_become_one_well_below() {
    let (mut list, _) = filled(LEAF as u64);
    assert_eq!(list.single_run().expect("one leaf").0.len(), LEAF);
    let (mut more, _) = filled(LEAF as u64 + 1);
    assert!(more.single_run().is_none());
    while more.len() > SMALL {
        assert!(more.single_run().is_none());
        let first = ids(&more)[0];
        more.remove(at(&more, first));
    }
    assert_eq!(more.single_run().expect("one leaf again").1.len(), SMALL);
    list.retain(|_, mark| mark.id == 9);
    assert_eq!(format!("{list:?}"), "[Mark { id: 9, priority: 0, flags: 0, kept: () }]");
}

#[test]
fn a_list_crosses_threads_when_its_entries_do() {
    fn sent<T: Send + Sync>(_: &T) {}
    sent(&List::<u8>::new());
}
