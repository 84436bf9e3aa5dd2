//! What is to be said to people when a pass is over.
//!
//! Owns the list that hooks, subscribers and plugins add to. Not here: when it is delivered (`pass.rs`).

use signalpost_dispatch::event;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An event: something in a pass is not as it should be, though nothing failed.
///
/// Warnings are collected while a pass runs and published on its bus one after the other when the outermost one has ended and all is
/// in place; they are in the [`Report`](crate::Report) as well. Those of a pass that is undone, or vetoed as a whole, are not
/// published. A subscriber's error ends that one event and goes no further. A subscriber's panic unwinds to whoever called for the
/// pass, which stays as it is, and the rest is in the report only.
///
/// # Examples
/// ```
/// use signalpost::patch::{PatchWarning, Patcher};
///
/// let patcher = Patcher::new();
/// let _log = patcher.bus().topic::<PatchWarning>().subscribe(|warning| eprintln!("{warning}"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PatchWarning {
    /// For people.
    pub text: String,
    /// Who says so: `source NAME`, `plugin NAME (place)`, or the name of an event and the place in the source of a subscriber's or
    /// plugin's call.
    pub by: String,
}

impl PatchWarning {
    /// The event, for a test or for third parties.
    pub fn new(text: impl Into<String>, by: impl Into<String>) -> Self {
        Self { text: text.into(), by: by.into() }
    }
}

impl fmt::Display for PatchWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.by, self.text)
    }
}

event!(PatchWarning: "signalpost.patch.warning");

/// Takes a source's warnings.
///
/// # Examples
/// ```
/// use signalpost::patch::Warnings;
///
/// let warnings = Warnings::new("source coop"); // as in a test of a source
/// warnings.warn("sleep is replaced after threads were started");
/// assert_eq!(warnings.list()[0].to_string(), "source coop: sleep is replaced after threads were started");
/// ```
#[derive(Debug)]
pub struct Warnings {
    sink: Sink,
    by: String,
}

impl Warnings {
    /// A list of its own, for a test of a source.
    pub fn new(by: impl Into<String>) -> Self {
        Self { sink: Sink::default(), by: by.into() }
    }

    pub(crate) fn into_sink(sink: &Sink, by: String) -> Self {
        Self { sink: sink.clone(), by }
    }

    /// Adds a warning.
    pub fn warn(&self, text: impl Into<String>) {
        self.sink.warn(text.into(), self.by.clone());
    }

    /// What has been collected: in a pass, by anybody.
    pub fn list(&self) -> Vec<PatchWarning> {
        self.sink.since(0)
    }
}

/// The warnings of one running transaction, or of an event that was made by hand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sink(Arc<Mutex<Vec<PatchWarning>>>);

impl Sink {
    pub(crate) fn warn(&self, text: String, by: String) {
        self.lock().push(PatchWarning { text, by });
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    pub(crate) fn since(&self, from: usize) -> Vec<PatchWarning> {
        self.lock().get(from..).unwrap_or_default().to_vec()
    }

    pub(crate) fn truncate(&self, len: usize) {
        self.lock().truncate(len);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<PatchWarning>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
