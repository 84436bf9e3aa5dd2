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
use crate::roster::{Change, Ended, Known, Recorded, Roster, Taken, Target, apply};
use crate::subscriber::Subscriber;
use crate::subscribers::Subscribers;
use std::any::TypeId;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

/// How many channels lie side by side: a change copies as many pointers.
const ROW: usize = 32;

/// Lists of subscribers by key, each of its own types. Held by a cell; read through it.
#[derive(Clone)]
pub struct Channels {
    rows: Vec<Arc<Row>>,
    /// Copied whole, where a channel is added.
    numbers: Arc<Numbers>,
    members: usize,
    common: bool,
}

type Row = Vec<Arc<Channel>>;
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

    /// The channels that belong to this one.
    #[inline(always)]
    pub fn links(&self, number: u32) -> &[u32] {
        self.channel(number).map_or(&[], |channel| &channel.links)
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

    /// How many channels there are.
    pub fn len(&self) -> usize {
        self.rows.last().map_or(0, |last| (self.rows.len() - 1) * ROW + last.len())
    }

    /// Whether there is no channel.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    #[inline(always)]
    fn channel(&self, number: u32) -> Option<&Channel> {
        let number = number as usize;
        Some(self.rows.get(number / ROW)?.get(number % ROW)?)
    }

    fn channel_mut(&mut self, number: u32) -> Option<&mut Channel> {
        let number = number as usize;
        Some(Arc::make_mut(Arc::make_mut(self.rows.get_mut(number / ROW)?).get_mut(number % ROW)?))
    }

    fn with(&self, key: TypeId, channel: Channel) -> Option<Self> {
        let number = u32::try_from(self.len()).ok()?;
        let mut next = self.clone();
        match next.rows.last_mut() {
            Some(last) if last.len() < ROW => Arc::make_mut(last).push(Arc::new(channel)),
            _ => next.rows.push(Arc::new(vec![Arc::new(channel)])),
        }
        let mut numbers = Numbers::clone(&next.numbers);
        numbers.insert(key, number);
        next.numbers = Arc::new(numbers);
        Some(next)
    }
}

impl Default for Channels {
    fn default() -> Self {
        Self { rows: Vec::new(), numbers: Arc::default(), members: 0, common: false }
    }
}

impl Snapshot for Channels {
    type Context = ();
    type Part = Subscriber;

    fn is_empty(&self) -> bool {
        self.members == 0
    }

    fn parts(&self, _: &Ending<Self>) -> Vec<Subscriber> {
        self.rows.iter().flat_map(|row| row.iter()).flat_map(|channel| channel.roster.owners()).collect()
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
        let mut next = self.clone();
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
                None => numbers.extend(0..u32::try_from(self.len()).unwrap_or(u32::MAX)),
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }
}

impl SharedCell<Channels> {
    /// The number of the channel with this key; added now, with this name and these links, if need be. Lock-free; allocates where it adds,
    /// and copies the table of keys.
    ///
    /// # Panics
    /// If there is a channel with this key and for other types.
    pub fn channel<E: ?Sized + 'static, X: 'static>(
        &self,
        key: TypeId,
        name: &'static str,
        links: &[u32],
    ) -> u32 {
        loop {
            let known = self.look(|channels| {
                let number = channels.number(key)?;
                let channel = channels.channel(number)?;
                assert!(channel.roster.is_for::<E, X>(), "one key for channels of different types");
                Some(number)
            });
            if let Some(number) = known {
                return number;
            }
            self.update(|channels| {
                if channels.number(key).is_some() {
                    return None;
                }
                let (roster, ended) = (Roster::new::<E, X>(), Ended::default());
                let added = channels.with(key, Channel { roster, ended, name, links: links.into() });
                Some(added.expect("there are fewer than 2^32 types"))
            });
        }
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
        let known = self.look(Channels::len);
        for change in &record {
            let number = change.channel().unwrap_or(0) as usize;
            let subscribes = matches!(change, Change::Subscribe(_));
            assert!(!subscribes || number < known, "the number of a channel of this cell");
        }
        apply(self, record)
    }
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channels").field("len", &self.len()).field("members", &self.members).finish()
    }
}
