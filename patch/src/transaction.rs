//! Several passes that are kept together, or not at all.
//!
//! Owns the handle. Not here: what its end does (`journal.rs`).

use crate::error::PatchError;
use crate::journal::LevelId;
use crate::patcher::Patcher;
use crate::report::{Failure, Report};
use std::fmt;
use std::marker::PhantomData;

/// What is patched on this thread by one patcher until this is [committed](Self::commit), or else dropped, which undoes it. Made by
/// [`Patcher::transaction`].
///
/// A pass inside it that fails undoes its own part and gives an error; the transaction stays open. Inside another transaction, or in
/// a subscriber during a pass, it is a part of that: undone with it, even when it has been committed.
///
/// Other threads are given [`PatchError::Busy`] as long as it is open, so do not forget it (`mem::forget`). If it ends while a pass or
/// another transaction inside it has not, it does so when they have.
///
/// # Examples
/// ```
/// # signalpost::patch::patch_points! { pub mod sum { fn add(a: u32, b: u32) -> u32 { a + b } fn zero() -> u32 { 0 } } }
/// # use signalpost::patch::{Patcher, Replacements};
/// # use std::sync::Arc;
/// # fn main() -> Result<(), signalpost::patch::PatchError> {
/// let patcher = Patcher::new();
/// let product = Arc::new(Replacements::new("product").with(sum::sig::add(|a, b| a * b)));
/// let one = Arc::new(Replacements::new("one").with(sum::sig::zero(|| 1)));
///
/// let transaction = patcher.transaction()?;
/// let _first = patcher.patch_module(&sum::MODULE, product.clone(), None)?;
/// assert!(patcher.patch_module(&sum::MODULE, one.clone(), Some(&["nought"])).is_err());
/// drop(transaction);
/// assert_eq!(sum::add(2, 3), 5);
///
/// let transaction = patcher.transaction()?;
/// let _first = patcher.patch_module(&sum::MODULE, product, None)?;
/// let _second = patcher.patch_module(&sum::MODULE, one, None)?;
/// assert_eq!(transaction.commit().items.len(), 2);
/// assert_eq!((sum::add(2, 3), sum::zero()), (6, 1));
/// # Ok(())
/// # }
/// ```
#[must_use = "what is patched inside it is undone when this is dropped"]
pub struct Transaction {
    patcher: Patcher,
    level: LevelId,
    open: bool,
    not_send: PhantomData<*const ()>,
}

impl Transaction {
    pub(crate) fn open(patcher: Patcher) -> Result<Self, PatchError> {
        let (level, _) = patcher.0.journal.open()?;
        Ok(Self { patcher, level, open: true, not_send: PhantomData })
    }

    /// Keeps what was patched, and says what that is. The warnings are published now, if it is not part of another one.
    pub fn commit(mut self) -> Report {
        self.open = false;
        let (report, _, warnings) = self.patcher.0.journal.keep(self.level);
        self.patcher.0.warn(&warnings);
        report
    }

    /// Whose it is.
    pub fn patcher(&self) -> &Patcher {
        &self.patcher
    }
}

/// Undoes what was patched, the last first.
impl Drop for Transaction {
    fn drop(&mut self) {
        if self.open {
            let reason = "it was dropped, not committed".to_owned();
            let failure = Failure::new("transaction", None, "its owner".to_owned(), reason);
            let warnings = self.patcher.0.journal.discard(self.level, failure);
            self.patcher.0.warn(&warnings);
        }
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transaction").field(&self.patcher.0.journal.part(self.level)).finish()
    }
}
