//! What a registry of plugins says of itself: which are there and where from, which are missing, which were refused.

use std::error::Error;
use std::fmt;
use std::panic::Location;

/// How a plugin came into a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PluginSource {
    /// Somebody added it: here.
    Added(&'static Location<'static>),
    /// It was linked into the program: `Plugins::discover`, with the feature `discover`.
    Discovered,
}

/// One plugin, as [`Plugins::list`](crate::Plugins::list) shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PluginInfo {
    /// Its name.
    pub name: &'static str,
    /// The events that it is called for declare this.
    pub entry_point: &'static str,
    /// Higher is called earlier.
    pub priority: i32,
    /// Where in the source it was made; the path tells the crate.
    pub location: &'static Location<'static>,
    /// How it came here.
    pub source: PluginSource,
    /// How many of its failures [`Policy::Isolate`](crate::Policy::Isolate) kept from publishers.
    pub failures: u64,
}

impl fmt::Display for PluginInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, entry_point, priority, location, source, failures } = self;
        write!(f, "{name} ({location}) at {entry_point}, priority {priority}, ")?;
        match source {
            PluginSource::Added(by) => write!(f, "added at {by}")?,
            PluginSource::Discovered => f.write_str("discovered")?,
        }
        if *failures > 0 { write!(f, ", {failures} failures") } else { Ok(()) }
    }
}

/// Why plugins were not registered, or are not there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PluginError {
    /// A plugin of this name is there already. Nothing was changed.
    Duplicate {
        /// The name.
        name: &'static str,
        /// Where the one that is there was made.
        there: &'static Location<'static>,
        /// Where the one that was refused was made: the same place, if it is the same plugin.
        refused: &'static Location<'static>,
    },
    /// Plugins that were expected are not there.
    Missing {
        /// All the names that were not found, in the order in which they were asked for.
        missing: Vec<String>,
        /// The names that are there, in the order of the [list](crate::Plugins::list).
        present: Vec<&'static str>,
    },
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate { name, there, refused } if there == refused => {
                write!(f, "plugin {name} ({there}) is registered already")
            }
            Self::Duplicate { name, there, refused } => write!(
                f,
                "two plugins are named {name}: the one made at {there} is registered, the one made at {refused} is refused"
            ),
            Self::Missing { missing, present } => {
                write!(f, "missing plugins: {}; registered: ", missing.join(", "))?;
                f.write_str(&if present.is_empty() { "none".to_owned() } else { present.join(", ") })?;
                f.write_str(
                    ". A crate that is only in Cargo.toml is not linked: write `use the_plugin as _;` in the program, \
                     or add the plugin by hand, which works in libraries for C too: `plugins.add(&the_plugin::PLUGIN)`",
                )
            }
        }
    }
}

impl Error for PluginError {}
