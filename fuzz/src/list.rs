//! The list target: changes to a `core::List`, against a `Vec` of marks; old clones are looked at again later.
//!
//! Not here: how the list lies in memory, which its own tests look at.

use crate::coded::{Coded, coded};
use arbitrary::Unstructured;
use signalpost::core::{List, Mark, Position};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

coded! {
    /// One change. `at`, `beside`: the n-th entry, modulo how many there are; `hint` is added to the priority that an
    /// entry is looked for near.
    enum Change {
        Insert { priority: u8 },
        InsertMany { count: u8, priority: u8 },
        Remove { at: u8, page: u8, hint: u8 },
        RemoveMany { at: u8, page: u8, count: u8 },
        Replace { at: u8, page: u8, flags: u8 },
        SetPriority { at: u8, page: u8, priority: u8 },
        MoveBefore { at: u8, page: u8, beside: u8, beside_page: u8 },
        MoveAfter { at: u8, page: u8, beside: u8, beside_page: u8 },
        Retain { nth: u8, rest: u8, invert: u8 },
        /// A `retain` whose closure panics when it is asked about this entry.
        RetainPanics { at: u8, page: u8 },
        Clear,
        /// Keeps a clone of the list as it is now.
        Keep,
        /// Looks at a kept clone again, and lets go of it.
        LetGo { kept: u8 },
        /// Goes on from a kept clone, as a writer that lost a race does.
        GoBack { kept: u8 },
        /// Looks for an entry that is not there.
        Miss { hint: u8 },
    }
}

/// What one copied run may cost, and the least that lies in one run: as the list's documentation says.
const RUN: usize = 256;
const ONE_RUN: usize = 32;
/// Two of a list's groups hold more than this.
const MOST: u64 = 18_000;
const MOST_CHANGES: usize = 96;
const MOST_KEPT: usize = 4;

/// A rule of the model turned round: then it must disagree with the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListTwist {
    /// An entry comes before all of its priority.
    FirstOfItsPriority,
    /// A moved entry keeps its priority.
    MoveKeepsPriority,
    /// Setting the priority that an entry has leaves it where it is.
    SamePriorityStays,
    /// Old clones see later changes.
    ClonesAreLive,
    /// What `retain` drops, it keeps.
    RetainInverted,
}

impl ListTwist {
    /// Every one.
    pub const ALL: &[Self] = &[
        Self::FirstOfItsPriority,
        Self::MoveKeepsPriority,
        Self::SamePriorityStays,
        Self::ClonesAreLive,
        Self::RetainInverted,
    ];
}

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
    mark.id << 32 | u64::from(mark.flags)
}

fn count(cell: &Cell<usize>) {
    cell.set(cell.get() + 1);
}

impl Item {
    fn new(tally: &Rc<Tally>, mark: &Mark) -> Self {
        count(&tally.made);
        Self { value: value_of(mark), tally: tally.clone() }
    }
}

impl Clone for Item {
    fn clone(&self) -> Self {
        count(&self.tally.made);
        count(&self.tally.copied);
        Self { value: self.value, tally: self.tally.clone() }
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        count(&self.tally.dropped);
    }
}

/// A list, and the plain `Vec` that says what it must hold.
#[derive(Clone, Default)]
struct Twin {
    list: List<Item>,
    model: Vec<Mark>,
}

type Check<T = ()> = Result<T, String>;

fn ensure(right: bool, what: impl FnOnce() -> String) -> Check {
    if right { Ok(()) } else { Err(what()) }
}

impl Twin {
    fn check(&self) -> Check {
        let Self { list, model } = self;
        let len = list.len();
        ensure(len == model.len(), || format!("len is {len}, not {}", model.len()))?;
        ensure(list.is_empty() == model.is_empty(), || "is_empty is wrong".to_owned())?;
        let mut marks = list.iter().map(|(_, mark)| mark);
        if let Some(at) = model.iter().position(|mark| marks.next() != Some(mark)) {
            let there = list.iter().nth(at).map(|(_, mark)| *mark);
            return Err(format!("entry {at} is {there:?}, not {:?}", model[at]));
        }
        ensure(marks.next().is_none(), || "there is one more than len says".to_owned())?;
        for (entry, mark) in list.iter() {
            ensure(entry.value == value_of(mark), || format!("{mark:?} stands beside another's entry"))?;
        }
        let runs: Vec<usize> = list.runs().map(|(entries, _)| entries.len()).collect();
        ensure(runs.iter().all(|run| (1..=RUN).contains(run)), || format!("runs of {runs:?}"))?;
        match list.single_run() {
            Some((entries, marks)) => {
                ensure(len <= RUN && entries.len() == len && *marks == model[..], || {
                    "the single run is not the whole list".to_owned()
                })
            }
            None => ensure(len > ONE_RUN, || format!("{len} entries in more than one run")),
        }
    }

    fn insert(&mut self, item: Item, mark: Mark, twists: &[ListTwist]) {
        self.list.insert(item, mark);
        self.model_insert(mark, twists);
    }

    fn model_insert(&mut self, mark: Mark, twists: &[ListTwist]) {
        let first = twists.contains(&ListTwist::FirstOfItsPriority);
        let before =
            |other: &Mark| other.priority > mark.priority || (!first && other.priority == mark.priority);
        let at = self.model.partition_point(before);
        self.model.insert(at, mark);
    }
}

/// A history of one list and its clones.
struct History<'t> {
    now: Twin,
    kept: Vec<Twin>,
    tally: Rc<Tally>,
    next_id: u64,
    twists: &'t [ListTwist],
    happened: BTreeSet<(&'static str, &'static str)>,
}

fn priority(byte: u8) -> i32 {
    [0, 1, -1, 7, i32::MAX, i32::MIN, 2, -2][usize::from(byte) % 8]
}

/// Changes a list as the bytes say, and checks it against a `Vec`.
///
/// # Panics
/// If they disagree; the message is the history.
pub fn list(data: &[u8]) {
    if let Err(report) = list_with(data, &[]) {
        panic!("{report}");
    }
}

/// As [`list`], with rules of the model turned round; gives what happened, as pairs of a change and what came of it.
///
/// # Errors
/// Where the list and the model part, after the history until then.
pub fn list_with(
    data: &[u8],
    twists: &[ListTwist],
) -> Result<BTreeSet<(&'static str, &'static str)>, String> {
    let mut bytes = Unstructured::new(data);
    let mut changes = Vec::new();
    while !bytes.is_empty() && changes.len() < MOST_CHANGES {
        changes.push(Change::decode(&mut bytes).expect("a byte short is a 0"));
    }
    let tally = Rc::new(Tally::default());
    let (now, kept, happened) = (Twin::default(), Vec::new(), BTreeSet::new());
    let mut history = History { now, kept, tally: tally.clone(), next_id: 1, twists, happened };
    let report = |done: usize, what: String| {
        let shown: Vec<String> = changes[..done].iter().map(|change| format!("    {change:?}\n")).collect();
        format!("{}the list and the Vec part after this: {what}\n", shown.concat())
    };
    for (index, change) in changes.iter().enumerate() {
        history.change(change).map_err(|what| report(index + 1, what))?;
    }
    let whole = |what| report(changes.len(), what);
    history.now.check().map_err(whole)?;
    history.kept.iter().try_for_each(Twin::check).map_err(whole)?;
    let History { happened, now, kept, .. } = history;
    drop((now, kept));
    let (made, dropped) = (tally.made.get(), tally.dropped.get());
    ensure(made == dropped, || format!("{made} entries were made, {dropped} dropped")).map_err(whole)?;
    Ok(happened)
}

impl History<'_> {
    fn is(&self, twist: ListTwist) -> bool {
        self.twists.contains(&twist)
    }

    fn mark(&mut self, byte: u8) -> Mark {
        let id = self.next_id;
        self.next_id += 1;
        Mark { id, priority: priority(byte), flags: 0, kept: () }
    }

    /// The n-th entry, and where the list finds it.
    fn pick(&self, at: u8, page: u8, hint: u8) -> Check<Option<(usize, Position)>> {
        let Self { now: Twin { list, model }, .. } = self;
        if model.is_empty() {
            return Ok(None);
        }
        // Odd pages count from the end.
        let (from, page) = (page & 1, usize::from(page >> 1));
        let index = (usize::from(at) + page * 97) % model.len();
        let index = if from == 0 { index } else { model.len() - 1 - index };
        let mark = model[index];
        let found = list.find(mark.id, mark.priority.wrapping_add(i32::from(hint % 3)));
        let Some(found) = found else { return Err(format!("{mark:?} is not found")) };
        let there = *list.get(found).1;
        ensure(there == mark, || format!("{there:?} is found for {mark:?}"))?;
        Ok(Some((index, found)))
    }

    fn change(&mut self, change: &Change) -> Check {
        let (before, copied) = (self.now.list.len(), self.tally.copied.get());
        let outcome = self.make(change)?;
        self.happened.insert((change.kind(), outcome));
        let after = self.now.list.len();
        for (edge, word) in [(RUN, "crosses a run"), (64 * RUN, "crosses a group")] {
            if (before > edge) != (after > edge) {
                self.happened.insert((change.kind(), word));
            }
        }
        let copied = self.tally.copied.get() - copied;
        let allowed = match change {
            Change::Replace { .. } | Change::Keep => RUN,
            // A full run that is cut in two may leave small neighbours, which become one.
            Change::Insert { .. } => RUN + 2 * ONE_RUN,
            Change::Remove { .. } => 2 * RUN,
            Change::SetPriority { .. } | Change::MoveBefore { .. } | Change::MoveAfter { .. } => 3 * RUN,
            Change::Clear | Change::Miss { .. } | Change::LetGo { .. } | Change::RetainPanics { .. } => 0,
            Change::Retain { .. } => after,
            Change::InsertMany { .. } | Change::RemoveMany { .. } | Change::GoBack { .. } => usize::MAX,
        };
        ensure(copied <= allowed, || format!("{copied} entries were copied"))?;
        // All of it, where that is cheap; else now and then, and in the end.
        if after <= 600 || self.next_id.is_multiple_of(8) { self.now.check() } else { Ok(()) }
    }

    fn make(&mut self, change: &Change) -> Check<&'static str> {
        Ok(match *change {
            Change::Insert { priority } => {
                let mark = self.mark(priority);
                let item = Item::new(&self.tally, &mark);
                self.now.insert(item, mark, self.twists);
                "done"
            }
            Change::InsertMany { count, priority } => {
                // Up to 4096 at once: a quarter of a group.
                let count = 1 << (count % 13);
                if self.next_id + count > MOST {
                    return Ok("too many");
                }
                for _ in 0..count {
                    let mark = self.mark(priority);
                    let item = Item::new(&self.tally, &mark);
                    self.now.insert(item, mark, self.twists);
                }
                "done"
            }
            Change::Remove { at, page, hint } => {
                let Some((index, found)) = self.pick(at, page, hint)? else { return Ok("nothing there") };
                let (entry, mark) = self.now.list.remove(found);
                let expected = self.now.model.remove(index);
                ensure(mark == expected && entry.value == value_of(&mark), || {
                    format!("{mark:?} was removed, not {expected:?}")
                })?;
                let again = self.now.list.find(mark.id, mark.priority);
                ensure(again.is_none(), || format!("{mark:?} is found after its removal"))?;
                "done"
            }
            Change::RemoveMany { at, page, count } => {
                let count = 1 << (count % 12);
                for _ in 0..count {
                    let Some((index, found)) = self.pick(at, page, 0)? else { break };
                    let (_, mark) = self.now.list.remove(found);
                    let expected = self.now.model.remove(index);
                    ensure(mark == expected, || format!("{mark:?} was removed, not {expected:?}"))?;
                }
                if self.now.model.is_empty() { "all gone" } else { "done" }
            }
            Change::Replace { at, page, flags } => {
                let Some((index, found)) = self.pick(at, page, 0)? else { return Ok("nothing there") };
                self.now.list.replace(found, |entry, mark| {
                    mark.flags = u32::from(flags);
                    entry.value = value_of(mark);
                });
                self.now.model[index].flags = u32::from(flags);
                "done"
            }
            Change::SetPriority { at, page, priority: byte } => {
                let Some((index, found)) = self.pick(at, page, 1)? else { return Ok("nothing there") };
                let priority = priority(byte);
                self.now.list.set_priority(found, priority);
                let same = self.now.model[index].priority == priority;
                if !(same && self.is(ListTwist::SamePriorityStays)) {
                    let mark = self.now.model.remove(index);
                    self.now.model_insert(Mark { priority, ..mark }, self.twists);
                }
                if same { "the same" } else { "done" }
            }
            Change::MoveBefore { at, page, beside, beside_page } => {
                self.move_beside((at, page), (beside, beside_page), 0)?
            }
            Change::MoveAfter { at, page, beside, beside_page } => {
                self.move_beside((at, page), (beside, beside_page), 1)?
            }
            Change::Retain { nth, rest, invert } => self.retain(nth, rest, invert)?,
            Change::RetainPanics { at, page } => {
                let Some((index, _)) = self.pick(at, page, 0)? else { return Ok("nothing there") };
                let bad = self.now.model[index].id;
                let list = &mut self.now.list;
                let done = catch_unwind(AssertUnwindSafe(|| {
                    list.retain(|_, mark| {
                        if mark.id == bad {
                            resume_unwind(Box::new(()));
                        }
                        false
                    })
                }));
                ensure(done.is_err(), || "the panic of a closure was lost".to_owned())?;
                self.now.check()?;
                "panicked"
            }
            Change::Clear => {
                self.now.list.clear();
                self.now.model.clear();
                "done"
            }
            Change::Keep => {
                let clone = self.now.clone();
                if self.kept.len() == MOST_KEPT {
                    self.kept.remove(0).check()?;
                }
                self.kept.push(clone);
                "done"
            }
            Change::LetGo { kept } | Change::GoBack { kept } => {
                if self.kept.is_empty() {
                    return Ok("nothing there");
                }
                let mut old = self.kept.swap_remove(usize::from(kept) % self.kept.len());
                if self.is(ListTwist::ClonesAreLive) {
                    old.model.clone_from(&self.now.model);
                }
                old.check()?;
                if matches!(change, Change::GoBack { .. }) {
                    self.now = old;
                }
                "done"
            }
            Change::Miss { hint } => {
                for id in [0, self.next_id, u64::MAX] {
                    let found = self.now.list.find(id, priority(hint));
                    ensure(found.is_none(), || format!("an entry is found for id {id}"))?;
                }
                "done"
            }
        })
    }

    fn move_beside(&mut self, from: (u8, u8), to: (u8, u8), offset: usize) -> Check<&'static str> {
        let Some((index, at)) = self.pick(from.0, from.1, 2)? else { return Ok("nothing there") };
        let Some((beside, beside_at)) = self.pick(to.0, to.1, 0)? else { return Ok("nothing there") };
        match offset {
            0 => self.now.list.move_before(at, beside_at),
            _ => self.now.list.move_after(at, beside_at),
        }
        if index == beside {
            return Ok("itself");
        }
        let neighbour = self.now.model[beside];
        let mut mark = self.now.model.remove(index);
        if !self.is(ListTwist::MoveKeepsPriority) {
            mark.priority = neighbour.priority;
        }
        let beside = beside - usize::from(index < beside);
        self.now.model.insert(beside + offset, mark);
        Ok("done")
    }

    fn retain(&mut self, nth: u8, rest: u8, invert: u8) -> Check<&'static str> {
        let nth = [2, 3, 9, 50, 1000][usize::from(nth) % 5];
        let (rest, invert) = (u64::from(rest) % nth, invert & 1 == 1);
        let keep = |mark: &Mark| (mark.id % nth == rest) == invert;
        let (before, mut asked) = (self.now.model.len(), 0);
        let dropped = self.now.list.retain(|_, mark| {
            asked += 1;
            keep(mark)
        });
        ensure(asked == before, || format!("retain asked {asked} times about {before} entries"))?;
        let inverted = self.is(ListTwist::RetainInverted);
        self.now.model.retain(|mark| keep(mark) != inverted);
        let expected = before - self.now.model.len();
        ensure(dropped == expected, || format!("retain said {dropped}, not {expected}"))?;
        Ok(match dropped {
            0 => "kept all",
            _ if dropped == before => "kept none",
            _ => "kept some",
        })
    }
}
