//! What a pass is asked for: switches by name, and whatever plugins want to be told.
//!
//! Owns the two maps. Not here: which switches there are (`settings.rs`).

use crate::items::ItemName;
use indexmap::IndexMap;
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// The settings of a pass by name, on or off, in order.
///
/// Those that are not named have their defaults, or are off if it was made by [`none`](Self::none). In events it names every setting
/// that the pass changes.
///
/// # Examples
/// ```
/// use signalpost::patch::Args;
///
/// let all_but_dns = Args::new().with("dns", false);
/// let only_time = Args::none().with("time", true);
/// assert_eq!((all_but_dns.get("dns"), only_time.get("dns")), (Some(false), None));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Args {
    named: IndexMap<ItemName, bool>,
    others_off: bool,
}

impl Args {
    /// Every setting has its default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every setting is off.
    pub fn none() -> Self {
        Self { others_off: true, ..Self::default() }
    }

    /// Turns one setting on or off. The last word on a name counts.
    #[must_use]
    pub fn with(mut self, setting: impl Into<ItemName>, on: bool) -> Self {
        self.named.insert(setting.into(), on);
        self
    }

    /// What it says of this setting, if it names it.
    pub fn get(&self, setting: &str) -> Option<bool> {
        self.named.get(setting).copied()
    }

    /// What it names, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, bool)> {
        self.named.iter().map(|(name, on)| (&**name, *on))
    }

    /// What it says of a setting with this default.
    pub(crate) fn over(&self, setting: &str, default: bool) -> bool {
        self.get(setting).unwrap_or(default && !self.others_off)
    }

    /// The names with which they came.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&ItemName, bool)> {
        self.named.iter().map(|(name, on)| (name, *on))
    }
}

impl fmt::Debug for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// What a pass says to plugins and subscribers beside its settings: values of any type by name, which nobody else looks at.
///
/// Begin a name with that of the crate it is for. A clone shares the values.
///
/// # Examples
/// ```
/// use signalpost::patch::Extra;
///
/// let extra = Extra::new().with("acme.level", 3_u32);
/// assert_eq!(extra.get::<u32>("acme.level"), Some(&3));
/// assert_eq!(extra.get::<String>("acme.level"), None); // of another type
/// ```
#[derive(Clone, Default)]
pub struct Extra(IndexMap<ItemName, Arc<dyn Any + Send + Sync>>);

impl Extra {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value, or puts it in the place of the one of this name.
    #[must_use]
    pub fn with(mut self, key: impl Into<ItemName>, value: impl Any + Send + Sync) -> Self {
        self.0.insert(key.into(), Arc::new(value));
        self
    }

    /// The value of this name, if it is a `T`.
    pub fn get<T: Any>(&self, key: &str) -> Option<&T> {
        self.0.get(key)?.downcast_ref()
    }

    /// The names, in the order in which they were added.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|key| &**key)
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Extra")?;
        f.debug_list().entries(self.keys()).finish()
    }
}
