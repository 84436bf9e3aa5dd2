//! What a reader sees of a list of subscribers: in order, and to be called.
//!
//! Owns the types of a list: what is behind a [`Subscribers`] was made for its event and error. Not here: how a list comes
//! to be and who owns what is in it (`roster.rs`).

use crate::cell::{Ending, SharedCell, Snapshot};
use crate::list::Mark;
use crate::roster::{Change, Ended, Known, PAUSED, Recorded, Roster, SELF_ENDING, Taken, Target, apply};
use crate::subscriber::{Entry, Invariant, Kept, Subscriber, SubscriberName};
use std::fmt;
use std::marker::PhantomData;

/// The subscribers that one publish sees, in order. Held by a cell; read through it.
// Transparent, so that a list whose types are known at run time can be looked at as one of these.
#[repr(transparent)]
pub struct Subscribers<E: ?Sized + 'static, X: 'static> {
    /// For these types (invariant 5 of `roster.rs`).
    roster: Roster,
    types: PhantomData<Invariant<E, X>>,
}

/// One of them.
pub struct Member<'s, E: ?Sized + 'static, X: 'static> {
    entry: &'s Entry,
    mark: &'s Mark<Kept>,
    types: PhantomData<Invariant<E, X>>,
}

/// One of them, with no more than it takes to call it.
pub struct Callee<'s, E: ?Sized, X> {
    entry: &'s Entry,
    types: PhantomData<Invariant<E, X>>,
}

/// Some of them that lie side by side, to be called in order.
pub struct Run<'s, E: ?Sized, X> {
    entries: &'s [Entry],
    types: PhantomData<Invariant<E, X>>,
}

impl<E: ?Sized, X> Clone for Member<'_, E, X> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<E: ?Sized, X> Copy for Member<'_, E, X> {}

impl<E: ?Sized, X> Clone for Callee<'_, E, X> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<E: ?Sized, X> Copy for Callee<'_, E, X> {}

impl<E: ?Sized, X> Subscribers<E, X> {
    /// The list as one of these types, if it is.
    #[inline(always)]
    pub(crate) fn of(roster: &Roster) -> Option<&Self> {
        if !roster.is_for::<E, X>() {
            return None;
        }
        // SAFETY: it is.
        Some(unsafe { Self::of_unchecked(roster) })
    }

    /// # Safety
    /// The list is one of these types.
    #[inline(always)]
    pub(crate) unsafe fn of_unchecked(roster: &Roster) -> &Self {
        let roster: *const Roster = roster;
        // SAFETY: transparent over it, of its own types by the caller's promise, and borrowed as long as before.
        unsafe { &*roster.cast::<Self>() }
    }

    /// How many there are; a divider counts.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.roster.list.len()
    }

    /// Whether there are none.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.roster.list.is_empty()
    }

    /// How many come before the divider: all, if there is none.
    pub fn before_divider(&self) -> usize {
        self.roster.before_divider()
    }

    /// Whether the list is divided.
    pub fn has_divider(&self) -> bool {
        self.roster.has_divider()
    }

    /// All, if they lie side by side. The fast path of a walk.
    #[inline(always)]
    pub fn single_run(&self) -> Option<Run<'_, E, X>> {
        self.roster.list.single_run().map(|(run, _)| Run::of(run))
    }

    /// All, as runs that lie side by side.
    #[inline(always)]
    pub fn runs(&self) -> impl Iterator<Item = Run<'_, E, X>> {
        self.roster.list.runs().map(|(run, _)| Run::of(run))
    }

    /// All in order, with what is known of them.
    pub fn iter(&self) -> impl Iterator<Item = Member<'_, E, X>> {
        self.roster.list.iter().map(|(entry, mark)| Member::of(entry, mark))
    }

    /// The one at a place, counted from 0. Steps over whole runs.
    pub fn nth(&self, mut place: usize) -> Option<Member<'_, E, X>> {
        for (entries, marks) in self.roster.list.runs() {
            if let Some(entry) = entries.get(place) {
                return Some(Member::of(entry, &marks[place]));
            }
            place -= entries.len();
        }
        None
    }

    /// The place of one that a walk of this list found, from 0. Looks through the list.
    pub fn place_of(&self, callee: Callee<'_, E, X>) -> usize {
        self.roster.list.iter().take_while(|(entry, _)| !std::ptr::eq(*entry, callee.entry)).count()
    }

    /// What is known of the subscriber of a handle, if it is there.
    pub fn find(&self, target: Target) -> Option<Known> {
        self.roster.find(target)
    }

    /// What is known of all, in order.
    pub fn known(&self) -> impl Iterator<Item = Known> {
        self.roster.known()
    }
}

impl<'s, E: ?Sized, X> Run<'s, E, X> {
    fn of(entries: &'s [Entry]) -> Self {
        Self { entries, types: PhantomData }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The first `at` of them, and the others.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn split_at(self, at: usize) -> (Self, Self) {
        let (first, others) = self.entries.split_at(at);
        (Self::of(first), Self::of(others))
    }

    /// Runs them in order until one returns an error: that, and which it was.
    ///
    /// Four a round: fewer taken branches, and four places to call from, each of which the processor predicts by itself
    /// (one that always goes to the same place costs less than one that does not).
    #[inline(always)]
    pub fn call_until_error(self, event: &E) -> Result<(), (Callee<'s, E, X>, X)> {
        let callee = |entry| Callee { entry, types: PhantomData };
        let call = |entry: &'s Entry| callee(entry).call(event).map_err(|error| (callee(entry), error));
        let mut rest = self.entries;
        while let [a, b, c, d, after @ ..] = rest {
            call(a)?;
            call(b)?;
            call(c)?;
            call(d)?;
            rest = after;
        }
        // The last ones, without a loop.
        if let [a, rest @ ..] = rest {
            call(a)?;
            if let [b, rest @ ..] = rest {
                call(b)?;
                if let [c, ..] = rest {
                    call(c)?;
                }
            }
        }
        Ok(())
    }
}

impl<E: ?Sized, X> Callee<'_, E, X> {
    /// Runs the subscriber; does nothing for a paused one.
    #[inline(always)]
    pub fn call(self, event: &E) -> Result<(), X> {
        // SAFETY: borrowed from a list that a cell's reader or writer sees, so its owner lives (1 to 4 of `roster.rs`); the
        // list is one for these types (5).
        unsafe { self.entry.call::<E, X>(event) }
    }
}

impl<'s, E: ?Sized, X> Member<'s, E, X> {
    fn of(entry: &'s Entry, mark: &'s Mark<Kept>) -> Self {
        Self { entry, mark, types: PhantomData }
    }

    /// Runs the subscriber; does nothing for a paused one.
    pub fn call(self, event: &E) -> Result<(), X> {
        Callee { entry: self.entry, types: PhantomData }.call(event)
    }

    /// Who it is.
    pub fn name(self) -> SubscriberName {
        Known::of(self.entry, self.mark).name
    }

    /// Whether it does nothing for now.
    pub fn is_paused(self) -> bool {
        self.mark.flags & PAUSED != 0
    }

    /// Whether its closure may end it.
    pub fn is_self_ending(self) -> bool {
        self.mark.flags & SELF_ENDING != 0
    }
}

impl<E: ?Sized, X> SharedCell<Subscribers<E, X>> {
    /// Makes changes as one swap, and says whether they changed anything. Sweeps what has ended by itself. The caller
    /// collects.
    ///
    /// A newcomer whose handle was cancelled or dropped before it was in the list does not come in, or goes out at once.
    ///
    /// # Panics
    /// If a newcomer is for other types, or a change for another list than the first.
    pub fn apply(&self, record: Vec<Change>) -> bool {
        assert!(
            record.iter().all(|change| change.channel().is_none_or(|number| number == 0)),
            "there is one list"
        );
        apply(self, record)
    }
}

impl<E: ?Sized, X> Default for Subscribers<E, X> {
    fn default() -> Self {
        Self { roster: Roster::new::<E, X>(), types: PhantomData }
    }
}

impl<E: ?Sized, X> Snapshot for Subscribers<E, X> {
    type Context = Ended;
    type Part = Subscriber;

    fn is_empty(&self) -> bool {
        self.roster.members() == 0
    }

    fn parts(&self, _: &Ending<Self>) -> Vec<Self::Part> {
        self.roster.owners().collect()
    }
}

impl<E: ?Sized, X> Recorded for Subscribers<E, X> {
    fn take_ended(cell: &SharedCell<Self>, _: &[Change]) -> Vec<u32> {
        if cell.context().take() { vec![0] } else { Vec::new() }
    }

    fn changed(&self, record: &[Change], sweep: &[u32], taken: &mut Taken) -> Self {
        let mut roster = self.roster.clone();
        roster.change(0, record, !sweep.is_empty(), taken);
        Self { roster, types: PhantomData }
    }
}

impl<E: ?Sized, X> fmt::Debug for Subscribers<E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<E: ?Sized, X> fmt::Debug for Run<'_, E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("len", &self.entries.len()).finish()
    }
}

impl<E: ?Sized, X> fmt::Debug for Callee<'_, E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callee").finish_non_exhaustive()
    }
}

impl<E: ?Sized, X> fmt::Debug for Member<'_, E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name())
    }
}
