//! A plugin: a function with a name that is called after an event's subscribers, and what is said when it fails.
//!
//! Owns what a plugin is and how one is called. Not here: which are there and in what order they run (`plugins.rs`).

use crate::error::{BoxError, Stopped, panic_text};
use crate::event::{AnyEvent, Event};
use crate::stop::{BusStop, EventStop};
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};

/// The entry points of this library's own events: the tails of gevent's names under our prefix.
///
/// They are for plugins that know an event only as one of many ([`Plugin::any`]) and for people who read a
/// [list](crate::Plugins::list). A plugin for one type of event takes the name from it.
pub mod entry_points {
    /// A monitor's thread has started; plugins add what it is to look after.
    pub const PERIODIC_MONITOR_THREAD_STARTED: &str =
        "signalpost.plugins.hub.periodic_monitor_thread_started";
    /// One module is about to be patched.
    pub const WILL_PATCH_MODULE: &str = "signalpost.plugins.patch.will_patch_module";
    /// One module has been patched.
    pub const DID_PATCH_MODULE: &str = "signalpost.plugins.patch.did_patch_module";
    /// A pass over all modules is about to begin.
    pub const WILL_PATCH_ALL: &str = "signalpost.plugins.patch.will_patch_all";
    /// The built-in modules have been patched; third parties patch theirs now.
    pub const DID_PATCH_BUILTINS: &str = "signalpost.plugins.patch.did_patch_builtins";
    /// A pass over all modules is done.
    pub const DID_PATCH_ALL: &str = "signalpost.plugins.patch.did_patch_all";
}

/// A function with a name, called after the subscribers of the events that declare its entry point.
///
/// A `static` of the crate that offers it. It is called once it is in a registry: put there by the program
/// ([`Plugins::add`](crate::Plugins::add)), or found there because it was linked in (`discover!`, with the feature `discover`).
/// Two copies are two plugins, so let it be a `static`, not a `const`.
///
/// # Examples
/// ```
/// use signalpost::{Bus, BusStop, On, Plugin, Plugins, StoppedBy, event};
///
/// struct WillResolve { host: String }
/// event!(WillResolve: "net.will_resolve", stop = BusStop, entry_point = "net.plugins.will_resolve");
///
/// // In the plugin's crate:
/// pub static NO_LOCAL: Plugin = Plugin::new("acme.no-local", &On(no_local)).priority(10);
///
/// fn no_local(event: &WillResolve) -> Result<(), BusStop> {
///     if event.host.ends_with(".local") { Err(BusStop::veto("not from here")) } else { Ok(()) }
/// }
///
/// // In the program:
/// static PLUGINS: Plugins = Plugins::new();
/// PLUGINS.add(&NO_LOCAL)?;
///
/// let bus = Bus::new();
/// bus.publish_and_call_plugins(&WillResolve { host: "example.org".into() }, &PLUGINS)?;
/// let stopped = bus.publish_and_call_plugins(&WillResolve { host: "nas.local".into() }, &PLUGINS).unwrap_err();
/// assert!(matches!(stopped, StoppedBy::Plugin { plugin, error: BusStop::Veto(_), .. } if plugin.name() == "acme.no-local"));
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
///
/// An event without an entry point has no plugins, and the compiler says so:
/// ```compile_fail,E0080
/// use signalpost::{BoxError, On, Plugin, event};
///
/// struct Resolved;
/// event!(Resolved: "net.resolved");
///
/// pub static TOO_BAD: Plugin = Plugin::new("acme.too-bad", &On(|_: &Resolved| -> Result<(), BoxError> { Ok(()) }));
/// ```
pub struct Plugin {
    name: &'static str,
    entry_point: &'static str,
    priority: i32,
    location: &'static Location<'static>,
    call: Call,
}

/// What a [`Plugin`] calls, for one type of event.
///
/// `&On(function)` in the initial value of a `static` lives as long as the program, which is what lets events of all types share
/// one registry without a word of unsafe code.
pub struct On<E: Event>(
    /// What is called, with what stops the event if it fails.
    pub fn(&E) -> Result<(), E::Stop>,
);

enum Call {
    /// An `On<E>`, for events of type `E`.
    One(&'static (dyn Any + Send + Sync)),
    /// For every event that declares the entry point.
    Every(fn(&dyn AnyEvent) -> Result<(), BusStop>),
}

const NO_PLUGINS: &str = "this event has no entry point, so no plugin is ever called for it: give it one, as in \
                          `event!(Type: \"name\", entry_point = \"app.plugins.name\")`, or subscribe to it instead";

impl Plugin {
    /// A plugin for events of one type. It goes to that type's [entry point](Event::ENTRY_POINT_NAME), and is passed over where an
    /// event of another type declares the same one.
    ///
    /// The name is for people and for [`expect`](crate::Plugins::expect), and no two plugins in a registry share one; begin it
    /// with the crate's, as in `"acme.fast-dns"`. Where this is called is what registries and errors show as its place.
    ///
    /// # Panics
    /// If the name is empty; at compile time in a `static`.
    #[must_use]
    #[track_caller]
    pub const fn new<E: Event>(name: &'static str, on: &'static On<E>) -> Self {
        let entry_point = const {
            match E::ENTRY_POINT_NAME {
                Some(entry_point) => entry_point,
                None => panic!("{}", NO_PLUGINS),
            }
        };
        Self::of(name, entry_point, Call::One(on))
    }

    /// A plugin for every event that declares the entry point, whatever its type.
    ///
    /// Where an event cannot be vetoed, a veto becomes a failure: [`EventStop::from_bus`].
    ///
    /// # Panics
    /// If the name is empty; at compile time in a `static`.
    ///
    /// # Examples
    /// ```
    /// use signalpost::{Plugin, Plugins, entry_points};
    ///
    /// static LOG: Plugin = Plugin::any("acme.log", entry_points::DID_PATCH_ALL, |event| {
    ///     println!("{}", event.name());
    ///     Ok(())
    /// });
    /// assert_eq!(LOG.entry_point(), "signalpost.plugins.patch.did_patch_all");
    /// ```
    #[must_use]
    #[track_caller]
    pub const fn any(
        name: &'static str,
        entry_point: &'static str,
        call: fn(&dyn AnyEvent) -> Result<(), BusStop>,
    ) -> Self {
        Self::of(name, entry_point, Call::Every(call))
    }

    #[track_caller]
    const fn of(name: &'static str, entry_point: &'static str, call: Call) -> Self {
        assert!(!name.is_empty(), "a plugin needs a name");
        Self { name, entry_point, priority: 0, location: Location::caller(), call }
    }

    /// Changes the priority, which is 0 at first: of the plugins of one entry point the highest is called first.
    #[must_use]
    pub const fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The events that it is called for are those that declare this.
    pub const fn entry_point(&self) -> &'static str {
        self.entry_point
    }

    /// Where in the source it was made.
    pub const fn location(&self) -> &'static Location<'static> {
        self.location
    }

    pub(crate) const fn place_in_order(&self) -> i32 {
        self.priority
    }

    /// Whether it is called for events of this type, given that they declare its entry point.
    pub(crate) fn takes<E: Event>(&self) -> bool {
        match self.call {
            Call::One(on) => on.is::<On<E>>(),
            Call::Every(_) => true,
        }
    }

    /// Calls it, if it takes such events.
    pub(crate) fn call<E: Event>(&self, event: &E) -> Result<(), E::Stop> {
        match self.call {
            Call::One(on) => on.downcast_ref::<On<E>>().map_or(Ok(()), |On(call)| call(event)),
            Call::Every(call) => call(event).map_err(|stop| E::Stop::from_bus(stop, self)),
        }
    }

    /// Calls it, and lets only a veto through: any other error, or a panic, is what the inner `Err` holds.
    pub(crate) fn call_isolated<E: Event>(&self, event: &E) -> Result<Result<(), BoxError>, E::Stop> {
        match catch_unwind(AssertUnwindSafe(|| self.call(event))) {
            Ok(Ok(())) => Ok(Ok(())),
            Ok(Err(stop)) => match stop.into_bus() {
                BusStop::Veto(veto) => Err(E::Stop::from_bus(BusStop::Veto(veto), self)),
                BusStop::Fail(error) => Ok(Err(error)),
            },
            Err(payload) => Ok(Err(PluginPanicked::new(payload).into())),
        }
    }
}

/// The name and where it was made: `plugin acme.fast-dns (fast-dns/src/lib.rs:12:35)`.
impl fmt::Display for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin {} ({})", self.name, self.location)
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin")
            .field("name", &self.name)
            .field("entry_point", &self.entry_point)
            .field("priority", &self.priority)
            .field("location", &format_args!("{}", self.location))
            .finish_non_exhaustive()
    }
}

impl<E: Event> fmt::Debug for On<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "On({})", E::NAME)
    }
}

/// Who stopped an event that was published to subscribers and plugins.
///
/// # Examples
/// ```
/// use signalpost::{Bus, BusStop, On, Plugin, Plugins, StoppedBy, event};
///
/// struct WillStop;
/// event!(WillStop: "app.will_stop", stop = BusStop, entry_point = "app.plugins.will_stop");
/// static BUSY: Plugin = Plugin::new("acme.busy", &On(|_: &WillStop| Err(BusStop::veto("busy"))));
///
/// let registry = Plugins::new();
/// registry.add(&BUSY)?;
/// match Bus::new().publish_and_call_plugins(&WillStop, &registry) {
///     Err(StoppedBy::Plugin { plugin, error: BusStop::Veto(veto), .. }) => println!("{plugin} says: {}", veto.reason),
///     Err(stopped) => return Err(stopped.into()),
///     Ok(()) => unreachable!("it is vetoed"),
/// }
/// # Ok::<(), signalpost::BoxError>(())
/// ```
#[derive(Debug)]
pub enum StoppedBy<X> {
    /// A subscriber did; no plugin was called.
    Subscriber(Stopped<X>),
    /// All subscribers ran, and a plugin stopped it.
    Plugin {
        /// Which one: name, entry point and place.
        plugin: &'static Plugin,
        /// What it returned, unchanged.
        error: X,
        /// How many plugins for this event came after it.
        not_run: usize,
    },
}

impl<X> StoppedBy<X> {
    /// What the subscriber or plugin returned.
    pub const fn error(&self) -> &X {
        match self {
            Self::Subscriber(Stopped { error, .. }) | Self::Plugin { error, .. } => error,
        }
    }

    /// What the subscriber or plugin returned, without who it was.
    pub fn into_error(self) -> X {
        match self {
            Self::Subscriber(Stopped { error, .. }) | Self::Plugin { error, .. } => error,
        }
    }
}

impl<X: fmt::Display> fmt::Display for StoppedBy<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subscriber(stopped) => stopped.fmt(f),
            Self::Plugin { plugin, error, not_run } => {
                write!(f, "{plugin} stopped the event (plugins not called: {not_run}): {error}")
            }
        }
    }
}

impl<X: fmt::Debug + fmt::Display> Error for StoppedBy<X> {}

/// An event: a plugin failed, and [`Policy::Isolate`](crate::Policy::Isolate) kept that from the publisher.
///
/// Published on the same bus, on the same thread, before the next plugin is called. It calls no plugins itself. An error of one of
/// its subscribers stops this report alone; a panic of one unwinds to the publisher, as any subscriber's does.
///
/// # Examples
/// ```
/// use signalpost::{Bus, PluginFailed};
///
/// let bus = Bus::new();
/// let _log = bus.topic::<PluginFailed>().subscribe(|failed| eprintln!("{}: {}", failed.plugin, failed.error));
/// ```
#[derive(Debug)]
pub struct PluginFailed {
    /// Which one: name, entry point and place.
    pub plugin: &'static Plugin,
    /// What it returned; a [`PluginPanicked`] if it panicked.
    pub error: BoxError,
}

impl PluginFailed {
    /// The event, for a test or for a host that calls plugins itself.
    pub fn new(plugin: &'static Plugin, error: impl Into<BoxError>) -> Self {
        Self { plugin, error: error.into() }
    }
}

crate::event!(PluginFailed: "signalpost.plugin_failed");

/// A plugin panicked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PluginPanicked {
    /// What `panic!` was given, if it was text.
    pub message: Option<String>,
}

impl PluginPanicked {
    fn new(payload: Box<dyn Any + Send>) -> Self {
        let message = panic_text(&*payload).map(str::to_owned);
        // What was thrown is a value of the plugin's, whose destructor may throw again: to no one.
        if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(again);
        }
        Self { message }
    }
}

impl fmt::Display for PluginPanicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            Some(message) => write!(f, "panicked: {message}"),
            None => f.write_str("panicked"),
        }
    }
}

impl Error for PluginPanicked {}
