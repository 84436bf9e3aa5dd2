//! What can be wrong with a request to replace functions.
//!
//! Owns the texts.

use signalpost_dispatch::BoxError;
use std::error::Error;
use std::fmt;

/// Why functions were not replaced. Nothing was changed, or what was is undone.
#[derive(Debug)]
#[non_exhaustive]
pub enum PatchError {
    /// The patcher knows no module of this name.
    NoSuchModule {
        /// The name.
        module: String,
        /// The modules that it knows: those that were registered, and those it has patched.
        known: Vec<String>,
    },
    /// The module has no such function.
    NoSuchItem {
        /// The module.
        module: String,
        /// The name.
        item: String,
        /// The functions that it has.
        known: Vec<String>,
    },
    /// The same function twice.
    DuplicateItem {
        /// The function's module.
        module: String,
        /// The function.
        item: String,
    },
    /// The source has no replacement for a function that is to be replaced.
    NotImplemented {
        /// The source.
        source: String,
        /// The function's module.
        module: String,
        /// The function.
        item: String,
    },
    /// What was offered for a function, or asked for, has another signature.
    Signature {
        /// The function's module.
        module: String,
        /// The function.
        item: String,
        /// The function's signature.
        expected: String,
        /// The other one.
        found: String,
    },
    /// Nothing is registered under this name that could be turned on or off.
    NoSuchSetting {
        /// The name.
        setting: String,
        /// What is registered.
        known: Vec<String>,
    },
    /// A module of this name is registered already.
    DuplicateModule {
        /// The name.
        module: String,
    },
    /// A setting of this name is registered already, with another default, or as a switch that is no module, or the other way round.
    DuplicateSetting {
        /// The name.
        setting: String,
    },
    /// A source, a subscriber or a plugin failed. Everything that the pass had switched is undone.
    Stopped {
        /// Where: the name of an event, or `Source::will_patch`, `Source::did_patch`.
        stage: &'static str,
        /// The module that it was about, if it was about one.
        module: Option<&'static str>,
        /// Who it was: `source NAME`, `subscriber NAME (place)`, `plugin NAME (place)`.
        by: String,
        /// What it returned, unchanged.
        error: BoxError,
    },
    /// A pass is running, or a transaction is open: another thread's; with [`undo_all`](crate::Patcher::undo_all) perhaps this
    /// thread's.
    Busy {
        /// Whose it is: the thread's name, or its number if it has none.
        thread: String,
    },
}

/// What a list of names looks like in a text.
struct Known<'a>(&'a [String]);

impl fmt::Display for Known<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 20;
        let Self(names) = self;
        match names.len() {
            0 => f.write_str("none"),
            1..=SHOWN => f.write_str(&names.join(", ")),
            all => write!(f, "{} and {} more", names[..SHOWN].join(", "), all - SHOWN),
        }
    }
}

impl fmt::Display for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchModule { module, known } => write!(
                f,
                "no module {module} is known here (known: {}); register it with `Patcher::builtin`, or patch it first",
                Known(known)
            ),
            Self::NoSuchItem { module, item, known } => write!(
                f,
                "there is no {module}::{item} to replace; the functions of {module}: {}",
                Known(known)
            ),
            Self::DuplicateItem { module, item } => {
                write!(f, "{module}::{item} is to be replaced twice at once; name it once")
            }
            Self::NotImplemented { source, module, item } => write!(
                f,
                "source {source} makes no replacement for {module}::{item}; leave it out, or have `Source::make` make it"
            ),
            Self::Signature { module, item, expected, found } => {
                write!(
                    f,
                    "{module}::{item} is `{expected}`, not `{found}`; use `sig::{item}` of the module itself"
                )
            }
            Self::NoSuchSetting { setting, known } => write!(
                f,
                "there is no setting {setting} (there are: {}); register it with `Patcher::builtin` or `Patcher::option`",
                Known(known)
            ),
            Self::DuplicateModule { module } => {
                write!(f, "a module {module} is registered already; give one of them another name")
            }
            Self::DuplicateSetting { setting } => write!(
                f,
                "the setting {setting} is registered already and is not the same: modules that share one agree on its default, and a \
                 switch that is no module is registered once"
            ),
            Self::Stopped { stage, module, by, error } => {
                write!(f, "{by} stopped {stage}")?;
                module.map_or(Ok(()), |module| write!(f, " of {module}"))?;
                write!(f, ", and what had been replaced is undone: {error}")
            }
            Self::Busy { thread } => write!(
                f,
                "functions are being replaced by thread {thread}, whose pass or transaction has to end first; try again then"
            ),
        }
    }
}

impl Error for PatchError {}
