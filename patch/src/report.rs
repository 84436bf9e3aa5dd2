//! What a pass has done, and what came of it.
//!
//! Owns the values that are handed out. Not here: who writes them down (`journal.rs`).

use crate::error::PatchError;
use crate::items::ItemName;
use crate::patcher::Inner;
use crate::warning::PatchWarning;
use std::fmt;
use std::ops::{Deref, Range};
use std::sync::{Arc, Weak};

/// What came of a request to replace functions.
#[derive(Debug)]
#[must_use = "a veto is no error: it is said here only"]
pub enum Outcome {
    /// It was done.
    Patched(Patched),
    /// Somebody did not want it: it was not done. What subscribers patched by themselves before they knew stays, unless all was vetoed.
    Vetoed(Vetoed),
    /// There was nothing to do.
    Nothing,
}

impl Outcome {
    /// What was done, if something was.
    pub fn patched(self) -> Option<Patched> {
        match self {
            Self::Patched(patched) => Some(patched),
            _ => None,
        }
    }

    /// Whether it was done.
    pub fn is_patched(&self) -> bool {
        matches!(self, Self::Patched(_))
    }
}

/// A pass that was done: its [`Report`], and the way back. Dropping it changes nothing.
#[derive(Debug)]
pub struct Patched {
    report: Report,
    patcher: Weak<Inner>,
    span: Range<u64>,
}

impl Patched {
    pub(crate) fn new(report: Report, patcher: Weak<Inner>, span: Range<u64>) -> Self {
        Self { report, patcher, span }
    }

    /// Undoes what this pass replaced, with what was patched inside it, as far as it is still in place, the last first; its settings are
    /// forgotten, so that the same request does it again. What others have replaced since stays. It does not wait for a pass that runs.
    ///
    /// The report says what was [undone](Report::undone); it is empty the second time, and when the patcher is gone, which has
    /// undone it.
    ///
    /// # Examples
    /// ```
    /// # signalpost::patch::patch_points! { pub mod sum { fn add(a: u32, b: u32) -> u32 { a + b } } }
    /// # use signalpost::patch::{Patcher, Replacements};
    /// # fn main() -> Result<(), signalpost::patch::PatchError> {
    /// let patcher = Patcher::new();
    /// let source = std::sync::Arc::new(Replacements::new("product").with(sum::sig::add(|a, b| a * b)));
    /// let patched = patcher.patch_module(&sum::MODULE, source, None)?.patched().expect("nobody vetoes");
    /// assert_eq!((sum::add(2, 3), patched.items.len()), (6, 1));
    /// assert_eq!((patched.undo().undone.len(), sum::add(2, 3)), (1, 5));
    /// assert_eq!(patched.undo().undone.len(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn undo(&self) -> Report {
        self.patcher.upgrade().map_or_else(Report::default, |patcher| patcher.undo(self.span.clone()))
    }
}

impl Deref for Patched {
    type Target = Report;

    fn deref(&self) -> &Report {
        &self.report
    }
}

/// Why something was left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Vetoed {
    /// What was vetoed.
    pub level: VetoLevel,
    /// Who did: `source NAME`, `subscriber NAME (place)`, `plugin NAME (place)`.
    pub by: String,
    /// The reason that was given.
    pub reason: String,
}

impl Vetoed {
    pub(crate) fn new(level: VetoLevel, by: String, reason: String) -> Self {
        Self { level, by, reason }
    }
}

impl fmt::Display for Vetoed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} vetoed {}: {}", self.by, self.level, self.reason)
    }
}

/// How much a veto left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VetoLevel {
    /// Everything that the pass was to do.
    All,
    /// One module.
    Module(&'static str),
    /// One function of a module.
    Item(&'static str, ItemName),
}

impl fmt::Display for VetoLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("everything"),
            Self::Module(module) => f.write_str(module),
            Self::Item(module, item) => write!(f, "{module}::{item}"),
        }
    }
}

/// One function that was replaced.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PatchedItem {
    /// The function's module.
    pub module: &'static str,
    /// The function.
    pub item: &'static str,
    /// Whose replacement it was.
    pub source: Arc<str>,
}

impl PatchedItem {
    pub(crate) fn new(module: &'static str, item: &'static str, source: Arc<str>) -> Self {
        Self { module, item, source }
    }
}

impl fmt::Display for PatchedItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{} by {}", self.module, self.item, self.source)
    }
}

impl fmt::Debug for PatchedItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PatchedItem({self})")
    }
}

/// Why a pass was undone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// Where it was: the name of an event; `Source::` and the name of its method; `check`, of names and signatures; `transaction`, which
    /// was dropped; `switch` or `pass`, for panics anywhere else.
    pub stage: &'static str,
    /// The module that it was about, if it was about one.
    pub module: Option<String>,
    /// Who it was: `source NAME`, `subscriber NAME (place)`, `plugin NAME (place)`; who panicked in an event is not known.
    pub by: String,
    /// What was said.
    pub reason: String,
}

impl Failure {
    pub(crate) fn new(stage: &'static str, module: Option<&str>, by: String, reason: String) -> Self {
        Self { stage, module: module.map(str::to_owned), by, reason }
    }

    /// What it says of an error that ends a pass. Shows a user's error, so not with a lock held.
    pub(crate) fn of(error: &PatchError) -> Self {
        const CHECK: &str = "check";
        match error {
            PatchError::Stopped { stage, module, by, error } => {
                Self::new(stage, *module, by.clone(), error.to_string())
            }
            PatchError::NotImplemented { source, module, .. } => {
                Self::new(CHECK, Some(module), format!("source {source}"), error.to_string())
            }
            PatchError::NoSuchItem { module, .. }
            | PatchError::DuplicateItem { module, .. }
            | PatchError::Signature { module, .. } => {
                Self::new(CHECK, Some(module), "the patcher".to_owned(), error.to_string())
            }
            _ => Self::new(CHECK, None, "the patcher".to_owned(), error.to_string()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.by, self.stage)?;
        self.module.as_ref().map_or(Ok(()), |module| write!(f, " of {module}"))?;
        write!(f, ": {}", self.reason)
    }
}

/// What a pass, a transaction or an undo did. A copy: it changes nothing, and nothing changes it.
///
/// # Examples
/// ```
/// use signalpost::BusStop;
/// use signalpost::patch::{Outcome, Patcher, Replacements, WillPatchModule, patch_points};
/// use std::sync::Arc;
///
/// patch_points! { pub mod sum { fn add(a: u32, b: u32) -> u32 { a + b } } }
///
/// fn main() -> Result<(), signalpost::patch::PatchError> {
///     let patcher = Patcher::new();
///     let _no = patcher.bus().topic::<WillPatchModule>().subscribe(|_| Err(BusStop::veto("not in production")));
///     let source = Arc::new(Replacements::new("product").with(sum::sig::add(|a, b| a * b)));
///     assert!(matches!(patcher.patch_module(&sum::MODULE, source, None)?, Outcome::Vetoed(_)));
///     let report = patcher.report();
///     assert!(report.items.is_empty());
///     assert_eq!(report.vetoes[0].reason, "not in production");
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// What was replaced, in order; from [`Patcher::report`](crate::Patcher::report) everything that is in place now.
    pub items: Vec<PatchedItem>,
    /// What was left as it is, and why.
    pub vetoes: Vec<Vetoed>,
    /// What was warned of.
    pub warnings: Vec<PatchWarning>,
    /// Why it was undone, if it was.
    pub failure: Option<Failure>,
    /// What was put back, in the order in which that was done.
    pub undone: Vec<PatchedItem>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, what: &str, of: &[T]) -> fmt::Result {
            of.iter().try_for_each(|one| writeln!(f, "{what} {one}"))
        }
        list(f, "patched", &self.items)?;
        list(f, "left:", &self.vetoes)?;
        list(f, "warning:", &self.warnings)?;
        self.failure.as_ref().map_or(Ok(()), |failure| writeln!(f, "failed: {failure}"))?;
        list(f, "undone", &self.undone)
    }
}
