//! The functions in the order of their places, in pieces that lists share.
//!
//! Owns the order. A list is copied for each change, since others look at the old one; a copy shares all pieces but the one
//! that is changed, so that thousands of functions can be added one by one. Not here: who copies it, and when (`monitor.rs`).
//!
//! # Invariants
//! 1. Places ascend, within a piece and from piece to piece; no piece is empty.
//! 2. A piece that two lists share is the same in both.

use crate::function::Function;
use std::iter::Peekable;
use std::sync::Arc;
use std::time::Duration;

/// A function in its place.
#[derive(Clone)]
pub(crate) struct Listed {
    pub(crate) place: u64,
    pub(crate) period: Duration,
    pub(crate) function: Arc<Function>,
}

/// How many there are in a piece, at most.
const PIECE: usize = 64;

#[derive(Clone, Default)]
pub(crate) struct List {
    pieces: Vec<Arc<Vec<Listed>>>,
}

impl List {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Listed> {
        self.pieces.iter().flat_map(|piece| piece.iter())
    }

    pub(crate) fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.len()).sum()
    }

    /// What has this place.
    pub(crate) fn at(&self, place: u64) -> Option<&Listed> {
        let (piece, index) = self.find(place)?;
        self.pieces[piece].get(index)
    }

    fn find(&self, place: u64) -> Option<(usize, usize)> {
        let first = |piece: &Arc<Vec<Listed>>| piece.first().is_some_and(|first| first.place <= place);
        let piece = self.pieces.partition_point(first).checked_sub(1)?;
        let index = self.pieces[piece].binary_search_by_key(&place, |listed| listed.place).ok()?;
        Some((piece, index))
    }

    /// Adds what has a place after all others.
    pub(crate) fn push(&mut self, listed: Listed) {
        match self.pieces.last_mut().filter(|piece| piece.len() < PIECE) {
            Some(piece) => Arc::make_mut(piece).push(listed),
            None => self.pieces.push(Arc::new(vec![listed])),
        }
    }

    /// Puts it in its place, and gives what was there. Nothing happens if nothing was.
    pub(crate) fn replace(&mut self, listed: Listed) -> Option<Listed> {
        let (piece, index) = self.find(listed.place)?;
        Some(std::mem::replace(&mut Arc::make_mut(&mut self.pieces[piece])[index], listed))
    }

    pub(crate) fn remove(&mut self, place: u64) -> Option<Listed> {
        let (piece, index) = self.find(place)?;
        let piece_of_it = Arc::make_mut(&mut self.pieces[piece]);
        let removed = piece_of_it.remove(index);
        if piece_of_it.is_empty() {
            self.pieces.remove(piece);
        }
        Some(removed)
    }

    /// What is in the pieces of each that the other does not share: all in which the two differ, and few others. In order.
    pub(crate) fn differing<'l>(&'l self, newer: &'l Self) -> (Vec<&'l Listed>, Vec<&'l Listed>) {
        let (mut gone, mut come) = (Vec::new(), Vec::new());
        let (mut old, mut new) = (self.pieces.iter().peekable(), newer.pieces.iter().peekable());
        let first = |piece: &Arc<Vec<Listed>>| piece.first().map(|first| first.place);
        let take = |from: &mut Peekable<std::slice::Iter<'l, Arc<Vec<Listed>>>>, to: &mut Vec<&'l Listed>| {
            to.extend(from.next().into_iter().flat_map(|piece| piece.iter()));
        };
        loop {
            match (old.peek(), new.peek()) {
                (None, None) => return (gone, come),
                (Some(a), Some(b)) if Arc::ptr_eq(a, b) => drop((old.next(), new.next())),
                // A shared piece is come to in both at once, since both ascend.
                (Some(a), Some(b)) if first(a) <= first(b) => take(&mut old, &mut gone),
                (Some(_), None) => take(&mut old, &mut gone),
                (_, Some(_)) => take(&mut new, &mut come),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::MonitoringFunction;

    fn listed(place: u64) -> Listed {
        let function = Function::new(MonitoringFunction::new(|_: &crate::Hub| {}), None, Duration::ZERO);
        Listed { place, period: Duration::from_secs(place + 1), function }
    }

    fn places<'l>(list: impl IntoIterator<Item = &'l Listed>) -> Vec<u64> {
        list.into_iter().map(|listed| listed.place).collect()
    }

    /// Random changes to a list, held against a plain vector.
    #[test]
    fn a_list_is_a_vector_in_pieces() {
        let (mut list, mut plain, mut next) = (List::default(), Vec::<u64>::new(), 0);
        let mut random = 1_u64;
        for step in 0..4_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (dice, pick) = (random >> 60, (random >> 20) as usize % (next as usize + 1));
            let old = list.clone();
            // It grows, and then it shrinks.
            if dice < if step < 2_000 { 11 } else { 4 } {
                list.push(listed(next));
                plain.push(next);
                next += 1;
            } else if dice < 14 {
                let place = plain.get(pick % plain.len().max(1)).copied().unwrap_or(next);
                assert_eq!(list.remove(place).is_some(), plain.contains(&place));
                plain.retain(|other| *other != place);
            } else {
                let place = pick as u64;
                assert_eq!(list.replace(listed(place)).is_some(), plain.contains(&place));
            }
            assert_eq!((list.len(), places(list.iter())), (plain.len(), plain.clone()));
            let place = pick as u64;
            assert_eq!(
                list.at(place).map(|listed| listed.place),
                plain.iter().copied().find(|p| *p == place)
            );
            let (gone, come) = old.differing(&list);
            assert!(gone.len() <= PIECE && come.len() <= PIECE, "one change");
            assert!(
                gone.is_sorted_by_key(|listed| listed.place) && come.is_sorted_by_key(|listed| listed.place)
            );
            // Whoever has the old one and knows what differs has the new one.
            let gone = places(gone);
            let mut patched = places(old.iter());
            patched.retain(|place| !gone.contains(place));
            patched.extend(places(come.iter().copied()));
            patched.sort_unstable();
            assert_eq!(patched, plain);
            for new in list.iter() {
                let same = old.at(new.place).is_some_and(|old| Arc::ptr_eq(&old.function, &new.function));
                assert!(same || places(come.iter().copied()).contains(&new.place));
            }
        }
        assert!(next > 1_000 && !plain.is_empty());
    }

    #[test]
    fn lists_of_which_one_has_little_left_differ_in_what_is_gone() {
        let mut list = List::default();
        (0..1_000).for_each(|place| list.push(listed(place)));
        let old = list.clone();
        for place in (0..1_000).filter(|place| place % 200 != 7) {
            list.remove(place);
        }
        let (gone, come) = old.differing(&list);
        assert_eq!(places(come), [7, 207, 407, 607, 807]);
        assert_eq!(gone.len(), 1_000);
        let (same, none) = (list.clone(), List::default());
        let (gone, come) = list.differing(&same);
        assert!(gone.is_empty() && come.is_empty());
        let (gone, come) = none.differing(&list);
        assert_eq!((gone.len(), come.len()), (0, 5));
    }
}
