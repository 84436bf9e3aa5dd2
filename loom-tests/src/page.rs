//! The snapshot that models of the bare cell read and replace.

use crate::{Canary, Tally};
use signalpost_core::{SharedCell, Snapshot};
use std::sync::Arc;

/// A snapshot with a number and a canary; empty is one without.
#[derive(Debug, Default)]
pub struct Page {
    number: u32,
    canary: Option<Canary>,
}

impl Snapshot for Page {
    type Context = ();
    type Part = ();

    fn is_empty(&self) -> bool {
        self.canary.is_none()
    }
}

impl Page {
    /// A page that is not empty.
    pub fn new(number: u32, tally: &Tally) -> Self {
        Self { number, canary: Some(tally.canary()) }
    }

    /// Looks at the page: its number, 0 for the empty one.
    ///
    /// # Panics
    /// If it was freed.
    #[track_caller]
    pub fn number(&self) -> u32 {
        if let Some(canary) = &self.canary {
            canary.assert_alive();
        }
        self.number
    }

    /// A cell that holds page `number`.
    pub fn in_a_cell(number: u32, tally: &Tally) -> Arc<SharedCell<Self>> {
        let cell = SharedCell::new();
        turn(&cell, number, tally);
        cell
    }
}

/// Puts page `number` in place of whatever is there.
pub fn turn(cell: &SharedCell<Page>, number: u32, tally: &Tally) {
    cell.update(|old| {
        old.number();
        Some(Page::new(number, tally))
    });
}

/// Has the next page carry these bits too.
pub fn add_bits(cell: &SharedCell<Page>, bits: u32, tally: &Tally) {
    cell.update(|old| Some(Page::new(old.number() | bits, tally)));
}

/// Takes the page out, if there is one, and says whether there was.
pub fn empty(cell: &SharedCell<Page>) -> bool {
    cell.update(|old| (old.number() != 0).then(Page::default))
}
