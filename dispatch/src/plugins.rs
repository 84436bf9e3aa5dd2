//! The registry of plugins: which are there, in what order they are called, and what a failure of one means.
//!
//! Owns the snapshot of what is registered. Not here: what a plugin is and how one is called (`plugin.rs`), what a registry says of
//! itself (`plugin_info.rs`).

use crate::bus::Bus;
use crate::dispatcher::const_outside_loom;
use crate::error::Stopped;
use crate::event::Event;
use crate::plugin::{Plugin, PluginFailed, StoppedBy};
use crate::plugin_info::{PluginError, PluginInfo, PluginSource};
use signalpost_core::sync::plain::{AtomicU64, Relaxed};
use signalpost_core::{Snapshot, SnapshotCell, TooDeep};
use std::cmp::Reverse;
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, LazyLock};

/// A registry of [plugins](Plugin): which are there, in what order they are called, and what a failure of one means.
///
/// A value of your own, also as a `static`, or the process-wide one ([`plugins`]). A plugin is called by
/// [`Bus::publish_and_call_plugins`], after all subscribers of the event returned `Ok`, on the same thread and with the same event.
///
/// # What is promised
/// - **Order** within one entry point: priority, highest first; then name. Neither the order of registration nor the linker's counts.
/// - **One name, one plugin**, over all entry points. The second is refused, with both places.
/// - **Isolation**: a publish calls the plugins of one snapshot. What is added or removed meanwhile, also by a plugin, is seen by the
///   next one.
/// - **Cost**: calling is wait-free but for the plugins themselves, and allocates nothing: the same read as a publish, then a binary
///   search for the entry point. Adding and removing copy the registry: lock-free, and they allocate.
///
/// # Examples
/// ```
/// use signalpost::{BoxError, Bus, On, Plugin, Plugins, event, plugins};
///
/// struct Started { pid: u32 }
/// event!(Started: "app.started", entry_point = "app.plugins.started");
///
/// static HELLO: Plugin = Plugin::new("acme.hello", &On(|event: &Started| { println!("hello {}", event.pid); Ok(()) }));
/// static FIRST: Plugin = Plugin::new("acme.warm-up", &On(|_: &Started| Ok(()))).priority(1);
///
/// let registry = Plugins::new();
/// registry.add_all(plugins![HELLO, FIRST])?;
/// registry.expect(["acme.hello", "acme.warm-up"])?;
/// assert_eq!(registry.list().iter().map(|plugin| plugin.name).collect::<Vec<_>>(), ["acme.warm-up", "acme.hello"]);
///
/// Bus::new().publish_and_call_plugins(&Started { pid: 7 }, &registry)?;
/// # Ok::<(), BoxError>(())
/// ```
pub struct Plugins {
    cell: SnapshotCell<Registered>,
}

/// What it means for a publish that a plugin fails.
///
/// # Examples
/// ```
/// use signalpost::{BoxError, Bus, On, Plugin, PluginFailed, Plugins, Policy, event, plugins};
///
/// struct Started;
/// event!(Started: "app.started", entry_point = "app.plugins.started");
/// static BROKEN: Plugin = Plugin::new("acme.broken", &On(|_: &Started| Err("no such file".into())));
///
/// let (bus, registry) = (Bus::new(), Plugins::new());
/// registry.add_all(plugins![BROKEN])?;
/// assert!(bus.publish_and_call_plugins(&Started, &registry).is_err());
///
/// registry.set_policy(Policy::Isolate);
/// let _log = bus.topic::<PluginFailed>().subscribe(|failed| eprintln!("{}: {}", failed.plugin, failed.error));
/// bus.publish_and_call_plugins(&Started, &registry)?;
/// assert_eq!(registry.list()[0].failures, 1);
/// # Ok::<(), BoxError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// The first error goes to the publisher, and no later plugin is called; a panic unwinds to the publisher.
    #[default]
    Propagate,
    /// An error or a panic is published as [`PluginFailed`] on the same bus and counted in the [list](Plugins::list), and the
    /// other plugins are called. A veto stops the event all the same where it may be vetoed: it is an answer, not a failure.
    ///
    /// A program built with `panic = "abort"` ends at a plugin's panic under either policy. A publish nested past the bus's
    /// limit panics, and that too is taken for the plugin's failure; a report past that limit is only counted.
    Isolate,
}

/// What is registered: ordered by entry point, then as they are called.
#[derive(Clone, Debug, Default)]
struct Registered {
    policy: Policy,
    all: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    plugin: &'static Plugin,
    source: PluginSource,
    /// Shared by the snapshots that the plugin is in.
    failures: Arc<AtomicU64>,
}

impl Snapshot for Registered {
    type Context = ();
    type Part = ();

    fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

impl Registered {
    /// The plugins of one entry point, in order.
    fn at(&self, entry_point: &str) -> &[Entry] {
        let rest = &self.all[self.all.partition_point(|entry| entry.plugin.entry_point() < entry_point)..];
        &rest[..rest.partition_point(|entry| entry.plugin.entry_point() == entry_point)]
    }

    fn named(&self, name: &str) -> Option<&Entry> {
        self.all.iter().find(|entry| entry.plugin.name() == name)
    }

    /// This and more, or the first that is refused.
    fn with(&self, more: &[&'static Plugin], source: PluginSource) -> Result<Self, PluginError> {
        let mut next = self.clone();
        for &plugin in more {
            if let Some(Entry { plugin: there, .. }) = next.named(plugin.name()) {
                let (name, there, refused) = (plugin.name(), there.location(), plugin.location());
                return Err(PluginError::Duplicate { name, there, refused });
            }
            next.all.push(Entry { plugin, source, failures: Arc::default() });
        }
        next.all.sort_by_key(|Entry { plugin, .. }| {
            (plugin.entry_point(), Reverse(plugin.place_in_order()), plugin.name())
        });
        Ok(next)
    }

    fn call<E: Event>(
        &self,
        entry_point: &str,
        event: &E,
        report: impl Fn(&PluginFailed),
    ) -> Result<(), StoppedBy<E::Stop>> {
        let here = self.at(entry_point);
        for (place, entry) in here.iter().enumerate() {
            let plugin = entry.plugin;
            let answer = match self.policy {
                Policy::Propagate => plugin.call(event),
                Policy::Isolate => plugin.call_isolated(event).map(|outcome| {
                    if let Err(error) = outcome {
                        entry.failures.fetch_add(1, Relaxed);
                        report(&PluginFailed { plugin, error });
                    }
                }),
            };
            if let Err(error) = answer {
                let not_run = here[place + 1..].iter().filter(|entry| entry.plugin.takes::<E>()).count();
                return Err(StoppedBy::Plugin { plugin, error, not_run });
            }
        }
        Ok(())
    }
}

impl Plugins {
    const_outside_loom! {
        /// A registry without plugins. Allocates nothing.
        pub const fn new() -> Self {
            Self { cell: SnapshotCell::new() }
        }
    }

    /// Registers a plugin: every publish that starts after the return calls it.
    ///
    /// # Errors
    /// [`PluginError::Duplicate`] if one of this name is there, be it the same one; nothing has changed then.
    ///
    /// # Examples
    /// ```
    /// # use signalpost::{Plugin, PluginError, Plugins, entry_points};
    /// static LOG: Plugin = Plugin::any("acme.log", entry_points::DID_PATCH_ALL, |_| Ok(()));
    /// static IMPOSTOR: Plugin = Plugin::any("acme.log", entry_points::WILL_PATCH_ALL, |_| Ok(()));
    /// let registry = Plugins::new();
    /// registry.add(&LOG)?;
    /// let error = registry.add(&IMPOSTOR).unwrap_err();
    /// assert!(matches!(error, PluginError::Duplicate { name: "acme.log", .. }));
    /// println!("{error}"); // where both were made
    /// # Ok::<(), PluginError>(())
    /// ```
    #[track_caller]
    pub fn add(&self, plugin: &'static Plugin) -> Result<(), PluginError> {
        self.add_all(&[plugin])
    }

    /// Registers plugins, all of them in one swap; see [`plugins!`](crate::plugins!).
    ///
    /// # Errors
    /// [`PluginError::Duplicate`] if one of them has the name of one that is there, or two of them share a name; none has been
    /// registered then.
    #[track_caller]
    pub fn add_all(&self, plugins: &[&'static Plugin]) -> Result<(), PluginError> {
        let source = PluginSource::Added(Location::caller());
        self.change(|now| now.with(plugins, source)).map(|_| ())
    }

    /// Registers every plugin that was linked into the program and submitted by `discover!`, and says how many were new; those
    /// that are there already are passed over, so it may be called again. Only with the feature `discover`.
    ///
    /// What is found depends on what the linker kept. A plugin's crate must be named somewhere in the program's code, if only by
    /// `use the_plugin as _;`; in a Rust library that is linked into a C program it may be missing even then. That is silent, so
    /// follow this with [`expect`](Self::expect), or add plugins by hand, which works everywhere.
    ///
    /// # Errors
    /// [`PluginError::Duplicate`] if two plugins share a name; none has been registered then.
    ///
    /// # Examples
    /// ```
    /// use signalpost::{BoxError, On, Plugin, Plugins, discover, event};
    ///
    /// struct Started;
    /// event!(Started: "app.started", entry_point = "app.plugins.started");
    ///
    /// pub static HELLO: Plugin = Plugin::new("acme.hello", &On(|_: &Started| Ok(())));
    /// discover!(HELLO);
    ///
    /// # fn main() -> Result<(), BoxError> {
    /// let registry = Plugins::new();
    /// println!("{} new plugins", registry.discover()?);
    /// registry.expect(["acme.hello"])?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "discover")]
    pub fn discover(&self) -> Result<usize, PluginError> {
        let linked = crate::discover::linked();
        let known = |now: &Registered, plugin| now.all.iter().any(|entry| std::ptr::eq(entry.plugin, plugin));
        let mut fresh = 0;
        self.change(|now| {
            let new: Vec<_> = linked.iter().copied().filter(|&plugin| !known(now, plugin)).collect();
            fresh = new.len();
            now.with(&new, PluginSource::Discovered)
        })?;
        Ok(fresh)
    }

    /// Takes a plugin out: no publish that starts after the return calls it; one that is running may still. Returns it, if it was
    /// there.
    ///
    /// # Examples
    /// ```
    /// # use signalpost::{Plugin, Plugins, entry_points};
    /// static LOG: Plugin = Plugin::any("acme.log", entry_points::DID_PATCH_ALL, |_| Ok(()));
    /// let registry = Plugins::new();
    /// registry.add(&LOG)?;
    /// let removed = registry.remove("acme.log").expect("it is there");
    /// assert!(registry.remove("acme.log").is_none());
    /// registry.add(removed)?;
    /// # Ok::<(), signalpost::PluginError>(())
    /// ```
    pub fn remove(&self, name: &str) -> Option<&'static Plugin> {
        let mut removed = None;
        self.cell.update(|now| {
            removed = now.named(name).map(|entry| entry.plugin);
            removed?;
            let all = now.all.iter().filter(|entry| entry.plugin.name() != name).cloned().collect();
            Some(Registered { policy: now.policy, all })
        });
        removed
    }

    /// Changes what it means that a plugin fails, for publishes that start after the return. [`Policy::Propagate`] at first.
    pub fn set_policy(&self, policy: Policy) {
        self.cell.update(|now| Some(Registered { policy, all: now.all.clone() }));
    }

    /// Makes it an error that plugins are not there: a crate that nobody named is left out by the linker without a word.
    ///
    /// # Errors
    /// [`PluginError::Missing`]: every name that was not found, those that are there, and what to do.
    ///
    /// # Examples
    /// ```
    /// let error = signalpost::Plugins::new().expect(["acme.fast-dns"]).unwrap_err();
    /// assert!(error.to_string().starts_with("missing plugins: acme.fast-dns; registered: none."));
    /// ```
    pub fn expect<S: AsRef<str>>(&self, names: impl IntoIterator<Item = S>) -> Result<(), PluginError> {
        let present: Vec<_> = self.list().iter().map(|plugin| plugin.name).collect();
        let absent = |name: &S| !present.contains(&name.as_ref());
        let missing: Vec<_> = names.into_iter().filter(absent).map(|name| name.as_ref().to_owned()).collect();
        if missing.is_empty() { Ok(()) } else { Err(PluginError::Missing { missing, present }) }
    }

    /// What is registered: by entry point, and within one in the order in which they are called. A copy; allocates.
    pub fn list(&self) -> Vec<PluginInfo> {
        let info = |entry: &Entry| PluginInfo {
            name: entry.plugin.name(),
            entry_point: entry.plugin.entry_point(),
            priority: entry.plugin.place_in_order(),
            location: entry.plugin.location(),
            source: entry.source,
            failures: entry.failures.load(Relaxed),
        };
        self.cell.read(|now| now.all.iter().map(info).collect()).unwrap_or_default()
    }

    /// Replaces the snapshot, unless there is nothing to change or it is refused.
    fn change(
        &self,
        with: impl FnMut(&Registered) -> Result<Registered, PluginError>,
    ) -> Result<(), PluginError> {
        let (mut with, mut result) = (with, Ok(()));
        self.cell.update(|now| match with(now) {
            Ok(next) => {
                result = Ok(());
                (next.all.len() != now.all.len()).then_some(next)
            }
            Err(error) => {
                result = Err(error);
                None
            }
        });
        result
    }

    /// Has `publish` reach the subscribers, and then calls the plugins, unless that is more than `limit` reads deep on this thread;
    /// `report` is told of what the policy keeps from the publisher.
    pub(crate) fn call_after<E: Event>(
        &self,
        event: &E,
        limit: u32,
        publish: impl FnOnce() -> Result<(), Stopped<E::Stop>>,
        report: impl Fn(&PluginFailed),
    ) -> Result<(), StoppedBy<E::Stop>> {
        let entry_point = const {
            match E::ENTRY_POINT_NAME {
                Some(entry_point) => entry_point,
                None => panic!(
                    "this event has no entry point, so it has no plugins: use `publish`, or give it one, as in \
                     `event!(Type: \"name\", entry_point = \"app.plugins.name\")`"
                ),
            }
        };
        publish().map_err(StoppedBy::Subscriber)?;
        match self.cell.read_within(limit, |now| now.call(entry_point, event, report)) {
            Ok(answer) => answer.unwrap_or(Ok(())),
            Err(deep) => too_deep(entry_point, deep),
        }
    }
}

#[cold]
#[inline(never)]
fn too_deep(entry_point: &str, deep: TooDeep) -> ! {
    panic!("plugins of {entry_point} are called inside themselves without end: {deep}");
}

impl Default for Plugins {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Plugins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list()).finish()
    }
}

/// The process-wide registry: for programs that need only one, and for libraries that register a plugin of their own.
///
/// # Examples
/// ```
/// use signalpost::{Plugin, entry_points, plugins};
///
/// static LOG: Plugin = Plugin::any("acme.log", entry_points::DID_PATCH_ALL, |_| Ok(()));
/// plugins().add(&LOG)?;
/// plugins().expect(["acme.log"])?;
/// # Ok::<(), signalpost::PluginError>(())
/// ```
pub fn plugins() -> &'static Plugins {
    static PLUGINS: LazyLock<Plugins> = LazyLock::new(Plugins::new);
    &PLUGINS
}

/// Plugins by their paths, as [`Plugins::add_all`] takes them: a `&'static [&'static Plugin]`, which may be kept.
///
/// # Examples
/// ```
/// mod acme {
///     use signalpost::{Plugin, entry_points};
///     pub static LOG: Plugin = Plugin::any("acme.log", entry_points::DID_PATCH_ALL, |_| Ok(()));
/// }
/// static ALL: &[&signalpost::Plugin] = signalpost::plugins![acme::LOG];
/// assert_eq!(ALL[0].name(), "acme.log");
/// ```
#[macro_export]
macro_rules! plugins {
    ($($plugin:path),* $(,)?) => {
        const { &[$(&$plugin),*] as &'static [&'static $crate::Plugin] }
    };
}

/// Without the feature `discover`: says what is missing.
#[cfg(not(feature = "discover"))]
#[macro_export]
macro_rules! discover {
    ($($plugin:path),+ $(,)?) => {
        compile_error!("`discover!` needs signalpost's feature `discover`");
    };
}

impl Bus {
    /// Publishes an event to the subscribers and then calls the plugins that are registered for its
    /// [entry point](Event::ENTRY_POINT_NAME): the same event, on the same thread. Where a subscriber stops the event, no plugin is called.
    ///
    /// What a failing plugin means is the registry's [`Policy`]. Costs a publish, a read of the registry and a binary search in
    /// it; allocates nothing.
    ///
    /// # Errors
    /// [`StoppedBy`]: a subscriber or a plugin stopped the event.
    ///
    /// # Panics
    /// As [`publish`](Self::publish), the depth limit included, for which calling plugins counts as one publish more; and if a plugin
    /// does, unless the policy isolates it.
    ///
    /// # Examples
    /// See [`Plugin`] and [`Plugins`]. An event without an entry point:
    /// ```compile_fail,E0080
    /// use signalpost::{Bus, Plugins, event};
    ///
    /// struct Resolved;
    /// event!(Resolved: "net.resolved");
    /// let _ = Bus::new().publish_and_call_plugins(&Resolved, &Plugins::new());
    /// ```
    pub fn publish_and_call_plugins<E: Event>(
        &self,
        event: &E,
        plugins: &Plugins,
    ) -> Result<(), StoppedBy<E::Stop>> {
        // A report that a subscriber of it stops, or that is nested too deep, must not keep the other plugins from being called.
        let report = |failed: &PluginFailed| drop(self.try_publish(failed));
        plugins.call_after(event, self.max_depth(), || self.publish(event), report)
    }
}
