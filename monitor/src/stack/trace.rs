//! A stack that was taken: addresses at first, names when asked for.
//!
//! Owns what is kept of it, and how it is shown. Not here: where the names come from (`names.rs`, `lines.rs`).

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// The stack of a thread, innermost function first.
///
/// Keeps addresses; names are looked up when they are asked for, in the program's symbol tables. Cheap to clone.
///
/// `{}` shows it with the runtime's own frames folded, `{:#}` with all.
///
/// # Examples
/// ```
/// use signalpost::monitor::StackTrace;
/// let trace = StackTrace::from_addresses([0x1000, 0x2000]);
/// assert_eq!(trace.addresses(), [0x1000, 0x2000]);
/// assert_eq!(trace.frames()[0].function, None);
/// ```
#[derive(Clone)]
pub struct StackTrace(Arc<Inner>);

struct Inner {
    addresses: Box<[u64]>,
    hash: u64,
    incomplete: Option<Incomplete>,
}

/// Why a stack does not go on to the thread's first function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Incomplete {
    /// It was made of addresses alone.
    Unknown,
    /// The stack is larger than what is copied: 256 KiB.
    TooLarge,
    /// More functions than are followed: 4,096.
    TooDeep,
    /// The thread was on another stack than its own: a coroutine's, or a signal handler's.
    OtherStack,
    /// The code at this address is of no file that is loaded: made at run time, or unloaded since.
    NoModule {
        /// Where.
        address: u64,
    },
    /// The code at this address has no unwind tables.
    NoTables {
        /// Where.
        address: u64,
    },
    /// The unwind tables need what is not known at this address.
    Lost {
        /// Where.
        address: u64,
    },
    /// [`Passive`](crate::CaptureMode::Passive): it was read while the thread was not held.
    Passive,
}

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("nothing is known of what comes after"),
            Self::TooLarge => f.write_str("the stack is larger than 256 KiB"),
            Self::TooDeep => f.write_str("more than 4,096 functions"),
            Self::OtherStack => f.write_str("the thread was on another stack than its own"),
            Self::NoModule { address } => write!(f, "no file is loaded at {address:#x}"),
            Self::NoTables { address } => write!(f, "no unwind tables for {address:#x}"),
            Self::Lost { address } => write!(f, "the unwind tables are of no use at {address:#x}"),
            Self::Passive => f.write_str("read while the thread was not held"),
        }
    }
}

/// One function of a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// Where in memory: the instruction itself for the innermost, the one after the call for the others.
    pub address: u64,
    /// The file that is loaded there.
    pub module: Option<Arc<str>>,
    /// Where in that file, as its own tables count.
    pub offset: u64,
    /// The file's build id, to find its symbols elsewhere.
    pub build_id: Option<Arc<[u8]>>,
    /// The function's name, demangled.
    pub function: Option<String>,
    /// The source file. Only from `frames_with_lines` (feature `dwarf`).
    pub file: Option<String>,
    /// The line in it.
    pub line: Option<u32>,
}

impl StackTrace {
    /// A stack of these addresses, of which nothing else is known: for tests of what is done with one.
    pub fn from_addresses(addresses: impl IntoIterator<Item = u64>) -> Self {
        let addresses: Box<[u64]> = addresses.into_iter().collect();
        let mut hasher = DefaultHasher::new();
        addresses.hash(&mut hasher);
        let hash = hasher.finish();
        Self(Arc::new(Inner { addresses, hash, incomplete: Some(Incomplete::Unknown) }))
    }

    /// Where the thread was, and where each function will return to, innermost first.
    pub fn addresses(&self) -> &[u64] {
        &self.0.addresses
    }

    /// Whether it goes on to the thread's first function.
    pub fn complete(&self) -> bool {
        self.0.incomplete.is_none()
    }

    /// Why not.
    pub fn incomplete(&self) -> Option<Incomplete> {
        self.0.incomplete
    }

    /// The same for the same stack: for counting.
    pub fn hash(&self) -> u64 {
        self.0.hash
    }

    /// All functions, with names from the symbol tables.
    pub fn frames(&self) -> Vec<Frame> {
        self.0.addresses.iter().map(|&address| Frame { address, ..Frame::default() }).collect()
    }

    /// The functions without those of the runtime that called them.
    pub fn user_frames(&self) -> Vec<Frame> {
        self.frames()
    }

    /// All functions with source lines, and the inlined ones.
    #[cfg(feature = "dwarf")]
    pub fn frames_with_lines(&self) -> Vec<Frame> {
        self.frames()
    }
}

impl fmt::Debug for StackTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackTrace")
            .field("addresses", &self.addresses().len())
            .field("incomplete", &self.incomplete())
            .finish()
    }
}

impl fmt::Display for StackTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, frame) in self.frames().iter().enumerate() {
            writeln!(f, "{n:>4}: {:#x}", frame.address)?;
        }
        Ok(())
    }
}
