//! Many lists of subscribers, of many types, in one snapshot.
//!
//! Owns which list a key stands for, and how a change to one list leaves the others shared. What a change copies: the one
//! list (of that a run of up to 256 entries), up to 32 pointers to its neighbours, and one pointer for every 32 lists.
//! Not here: what a list is (`roster.rs`), what keys and lists mean to a publisher (the bus, in dispatch).
//!
//! # Invariants
//! 1. A channel keeps its number, its key and its types for the life of the cell. So a number that a key once stood for may be
//!    kept and used for any later snapshot.
//! 2. `members` is the sum over all channels; `common` is whether the first channel has any.

use crate::cell::{Ending, SharedCell, Snapshot};
use crate::pin::TooDeep;
use crate::roster::{Change, Ended, Known, Recorded, Roster, Taken, Target, apply};
use crate::subscriber::{Invariant, Subscriber};
use crate::subscribers::Subscribers;
use std::any::TypeId;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

/// How many channels lie side by side: a change copies as many pointers.
const ROW: usize = 32;

/// Lists of subscribers by key, each of its own types. Held by a cell; read through it.
#[derive(Default)]
pub struct Channels {
    rows: Vec<Arc<Row>>,
    len: u32,
    /// Copied whole, where a channel is added.
    numbers: Arc<Numbers>,
    members: usize,
    common: bool,
}

type Row = [Option<Arc<Channel>>; ROW];
type Numbers = HashMap<TypeId, u32, BuildHasherDefault<AsItIs>>;

#[derive(Clone)]
struct Channel {
    roster: Roster,
    ended: Ended,
    name: &'static str,
    /// Other channels that belong to this one, in an order that matters to whoever added it.
    links: Arc<[u32]>,
}

/// A `TypeId` is a hash already.
#[derive(Clone, Copy, Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
}

impl Channels {
    /// The number of the channel with this key, if there is one. A look into a hash table.
    #[inline]
    pub fn number(&self, key: TypeId) -> Option<u32> {
        self.numbers.get(&key).copied()
    }

    /// The list of a channel, if there is one of that number, and for these types. Three loads.
    #[inline(always)]
    pub fn get<E: ?Sized + 'static, X: 'static>(&self, number: u32) -> Option<&Subscribers<E, X>> {
        Subscribers::of(&self.channel(number)?.roster)
    }

    /// A channel as its key shows it, if there is one of that number, and for these types.
    #[inline(always)]
    pub fn tuned<E: ?Sized + 'static, X: 'static>(&self, number: u32) -> Option<Tuned<'_, E, X>> {
        let Channel { roster, links, .. } = self.channel(number)?;
        Some(Tuned { channels: self, own: Subscribers::of(roster)?, links })
    }

    /// Whether there is a subscriber in the first channel, which a publisher asks every time. One load.
    #[inline(always)]
    pub fn has_common(&self) -> bool {
        self.common
    }

    /// The name that a channel was added with.
    pub fn name(&self, number: u32) -> Option<&'static str> {
        Some(self.channel(number)?.name)
    }

    /// What is known of all that is in a channel, in order.
    pub fn known(&self, number: u32) -> impl Iterator<Item = Known> {
        self.channel(number).into_iter().flat_map(|channel| channel.roster.known())
    }

    /// What is known of the subscriber of a handle, if it is there.
    pub fn find(&self, target: Target) -> Option<Known> {
        self.channel(target.channel())?.roster.find(target)
    }

    /// How many subscribers there are, in all channels.
    pub fn members(&self) -> usize {
        self.members
    }

    /// How many channels there are: they have the numbers up to that.
    pub fn count(&self) -> u32 {
        self.len
    }

    #[inline(always)]
    fn channel(&self, number: u32) -> Option<&Channel> {
        let number = number as usize;
        self.rows.get(number / ROW)?[number % ROW].as_deref()
    }

    fn channel_mut(&mut self, number: u32) -> Option<&mut Channel> {
        let number = number as usize;
        let row = Arc::make_mut(self.rows.get_mut(number / ROW)?);
        row[number % ROW].as_mut().map(Arc::make_mut)
    }

    /// For a writer. Not `Clone`: a copy that outlives the read is of nobody's who keeps what it refers to.
    fn copied(&self) -> Self {
        let Self { rows, numbers, .. } = self;
        Self { rows: rows.clone(), numbers: numbers.clone(), ..*self }
    }

    /// The channel of this number.
    ///
    /// # Safety
    /// There is one.
    #[inline(always)]
    unsafe fn channel_unchecked(&self, number: u32) -> &Channel {
        let number = number as usize;
        // SAFETY: as many rows as it takes for all channels.
        let row = unsafe { self.rows.get_unchecked(number / ROW) };
        // SAFETY: there is a channel of this number, so its place is taken.
        unsafe { row[number % ROW].as_deref().unwrap_unchecked() }
    }

    /// With one channel more.
    fn with(&self, key: TypeId, channel: Channel) -> Self {
        let mut next = self.copied();
        let number = self.len as usize;
        if number.is_multiple_of(ROW) {
            next.rows.push(Arc::default());
        }
        Arc::make_mut(&mut next.rows[number / ROW])[number % ROW] = Some(Arc::new(channel));
        Arc::make_mut(&mut next.numbers).insert(key, self.len);
        next.len = self.len.checked_add(1).expect("there are fewer than 2^32 types");
        next
    }
}

impl Snapshot for Channels {
    type Context = ();
    type Part = Subscriber;

    fn is_empty(&self) -> bool {
        self.members == 0
    }

    fn emptied(&self) -> Self {
        let mut next = self.copied();
        for number in 0..next.len {
            if let Some(channel) = next.channel_mut(number) {
                channel.roster = channel.roster.emptied();
            }
        }
        Self { members: 0, common: false, ..next }
    }

    fn parts(&self, _: &Ending<Self>) -> Vec<Subscriber> {
        let channels = self.rows.iter().flat_map(|row| row.iter().flatten());
        channels.flat_map(|channel| channel.roster.owners()).collect()
    }
}

impl Recorded for Channels {
    fn take_ended(cell: &SharedCell<Self>, record: &[Change]) -> Vec<u32> {
        let take = |channels: &Self| {
            let mut numbers = channels.touched(record);
            numbers.retain(|number| channels.channel(*number).is_some_and(|channel| channel.ended.take()));
            numbers
        };
        cell.look(take)
    }

    fn changed(&self, record: &[Change], sweep: &[u32], taken: &mut Taken) -> Self {
        let mut next = self.copied();
        for number in self.touched(record) {
            let Some(channel) = next.channel_mut(number) else { continue };
            let before = channel.roster.members();
            channel.roster.change(number, record, sweep.contains(&number), taken);
            let after = channel.roster.members();
            next.members = next.members - before + after;
            if number == 0 {
                next.common = after > 0;
            }
        }
        next
    }
}

impl Channels {
    /// The channels that a record is about, each once.
    fn touched(&self, record: &[Change]) -> Vec<u32> {
        let mut numbers: Vec<u32> = Vec::new();
        for change in record {
            match change.channel() {
                Some(number) => numbers.push(number),
                None => numbers.extend(0..self.len),
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }
}

/// One channel of one cell, of known types: to read without looking for it.
pub struct ChannelKey<E: ?Sized + 'static, X: 'static> {
    cell: Arc<SharedCell<Channels>>,
    /// Of a channel that readers of `cell` found before this was made, and that is for these types (1).
    number: u32,
    types: PhantomData<Invariant<E, X>>,
}

/// What a reader sees by a [`ChannelKey`].
pub struct Tuned<'s, E: ?Sized + 'static, X: 'static> {
    /// The whole snapshot.
    pub channels: &'s Channels,
    /// The list of the channel.
    pub own: &'s Subscribers<E, X>,
    /// The channels that belong to it.
    pub links: &'s [u32],
}

impl<E: ?Sized, X> ChannelKey<E, X> {
    /// The channel with this key in that cell; added now, with this name and these links, if need be. Lock-free; allocates
    /// where it adds, and copies the table of keys.
    ///
    /// # Panics
    /// If there is a channel with this key and for other types.
    pub fn new(cell: Arc<SharedCell<Channels>>, key: TypeId, name: &'static str, links: &[u32]) -> Self {
        let number = cell.channel_for(Roster::new::<E, X>(), key, name, links);
        Self { cell, number, types: PhantomData }
    }

    /// The cell.
    pub fn cell(&self) -> &Arc<SharedCell<Channels>> {
        &self.cell
    }

    /// The channel's number.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// As [`SharedCell::read_within`].
    ///
    /// # Errors
    /// [`TooDeep`]; `f` was not called.
    #[inline(always)]
    pub fn read_within<R>(
        &self,
        limit: u32,
        f: impl FnOnce(Tuned<'_, E, X>) -> R,
    ) -> Result<Option<R>, TooDeep> {
        let number = self.number;
        self.cell.read_within(limit, |channels| {
            // SAFETY: before this key was made, a write of its maker moved `current` to a snapshot with the channel, or found it
            // there or further on (`channel_for`); the channel stays (1); and whoever has the key happens after its maker, so
            // reads that snapshot or a later one.
            let Channel { roster, links, .. } = unsafe { channels.channel_unchecked(number) };
            // SAFETY: a channel keeps its types (1), and these are they.
            let own = unsafe { Subscribers::of_unchecked(roster) };
            f(Tuned { channels, own, links })
        })
    }
}

impl<E: ?Sized, X> Clone for ChannelKey<E, X> {
    fn clone(&self) -> Self {
        Self { cell: self.cell.clone(), ..*self }
    }
}

impl SharedCell<Channels> {
    /// Once for all types: programs have many.
    ///
    /// A write also where the channel is there: another thread may have added it and not yet moved `current` to that snapshot,
    /// which readers by the key count on (1).
    fn channel_for(&self, empty: Roster, key: TypeId, name: &'static str, links: &[u32]) -> u32 {
        let mut number = 0;
        let add = |channels: &Channels| {
            if let Some(known) = channels.number(key) {
                let types = channels.channel(known).map(|channel| channel.roster.types());
                assert!(types == Some(empty.types()), "one key for channels of different types");
                number = known;
                return None;
            }
            number = channels.count();
            let added = Channel { roster: empty.clone(), ended: Ended::default(), name, links: links.into() };
            Some((channels.with(key, added), ()))
        };
        if self.update_with(add, |(), _| Vec::new()) {
            self.trim();
        }
        number
    }

    /// Whether a channel is divided.
    pub fn has_divider(&self, number: u32) -> bool {
        self.look(|channels| channels.channel(number).is_some_and(|channel| channel.roster.has_divider()))
    }

    /// Where the closures of a channel note that they have ended by themselves.
    ///
    /// # Panics
    /// If there is no channel of that number.
    pub fn ended(&self, number: u32) -> Ended {
        let ended = |channels: &Channels| channels.channel(number).map(|channel| channel.ended.clone());
        self.look(ended).expect("the number of a channel of this cell")
    }

    /// Makes changes as one swap, and says whether they changed anything. Sweeps what has ended by itself in the channels that
    /// the changes are about. The caller collects.
    ///
    /// A newcomer whose handle was cancelled or dropped before it was in the list does not come in, or goes out at once.
    ///
    /// # Panics
    /// If a newcomer is for other types than its channel, or there is no such channel.
    pub fn apply(&self, record: Vec<Change>) -> bool {
        let count = self.look(Channels::count);
        let there = |change: &Change| change.channel().is_none_or(|number| number < count);
        assert!(record.iter().all(there), "the number of a channel of this cell");
        apply(self, record)
    }
}

impl<E: ?Sized, X> fmt::Debug for ChannelKey<E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelKey").field("number", &self.number).finish_non_exhaustive()
    }
}

impl<E: ?Sized, X> fmt::Debug for Tuned<'_, E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tuned").field("own", self.own).field("links", &self.links).finish_non_exhaustive()
    }
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channels").field("count", &self.len).field("members", &self.members).finish()
    }
}
