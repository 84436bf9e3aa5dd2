//! What can be wrong with a request to replace functions.

use std::error::Error;
use std::fmt;

/// Why functions were not replaced. Nothing was changed, or what was is undone.
#[derive(Debug)]
#[non_exhaustive]
pub enum PatchError {
    /// The same function twice.
    DuplicateItem {
        /// The function's module.
        module: String,
        /// The function.
        item: String,
    },
}

impl fmt::Display for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateItem { module, item } => {
                write!(f, "{module}::{item} is to be replaced twice at once")
            }
        }
    }
}

impl Error for PatchError {}
