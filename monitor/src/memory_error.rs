//! What can be wrong with a reading of memory, or with a limit on it.

use signalpost_dispatch::BoxError;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Memory could not be read, or a limit or setting means nothing here.
#[derive(Debug)]
#[non_exhaustive]
pub enum MemoryError {
    /// This platform has no figure that can be read. Give the watch a [`MemorySource`](crate::MemorySource) of your own.
    Unsupported,
    /// A file that has the figure could not be read.
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file does not say what it should.
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What was expected there.
        expected: &'static str,
        /// What it says: its first 200 characters.
        found: String,
    },
    /// No cgroup limits this process's memory.
    NoCgroupLimit {
        /// Where a limit was looked for, and what was found there.
        looked: Vec<(PathBuf, String)>,
    },
    /// A share is out of its range.
    Share {
        /// What it is a share of.
        of: &'static str,
        /// The range.
        expected: &'static str,
        /// The share.
        found: f64,
    },
    /// A reading by a source of the user's failed.
    Source(BoxError),
}

impl MemoryError {
    /// A reading by a source of one's own failed.
    pub fn source_failed(error: impl Into<BoxError>) -> Self {
        Self::Source(error.into())
    }

    pub(crate) fn unreadable(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        |error| Self::Unreadable { path: path.into(), error }
    }

    pub(crate) fn malformed(path: impl Into<PathBuf>, expected: &'static str, found: &str) -> Self {
        Self::Malformed { path: path.into(), expected, found: found.chars().take(200).collect() }
    }
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported => f.write_str("this platform has no figure of the process's memory"),
            Self::Unreadable { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Malformed { path, expected, found } => {
                write!(f, "{}: expected {expected}, found {found:?}", path.display())
            }
            Self::NoCgroupLimit { looked } if looked.is_empty() => f.write_str(
                "no cgroup limits this process's memory: none with a memory controller is mounted",
            ),
            Self::NoCgroupLimit { looked } => {
                f.write_str("no cgroup limits this process's memory")?;
                for (number, (path, found)) in looked.iter().enumerate() {
                    let between = if number == 0 { ": " } else { ", " };
                    write!(f, "{between}{}: {found}", path.display())?;
                }
                Ok(())
            }
            Self::Share { of, expected, found } => {
                write!(f, "expected a share of {of} {expected}, found {found}")
            }
            Self::Source(error) => write!(f, "the memory source failed: {error}"),
        }
    }
}

impl Error for MemoryError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unreadable { error, .. } => Some(error),
            Self::Source(error) => Some(&**error),
            _ => None,
        }
    }
}
