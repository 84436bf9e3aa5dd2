//! The process-wide bus, and the host that may publish in its stead.
//!
//! Owns when it comes to be, and by what notify its events go: its own, or a host framework's. The counterpart of gevent's
//! using the list of zope.event when that is there.

use super::{Bus, FamilyHandle, Rules, Topic};
use crate::error::{PublishError, Stopped};
use crate::event::{AnyEvent, Event, Family, sealed::Ours};
use crate::options::SubscribeOptions;
use crate::outcome::Outcome;
use crate::stop::{BusStop, EventStop};
use crate::subscription::Subscription;
use signalpost_core::{SnapshotCell, SubscriberName};
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::sync::OnceLock;

static GLOBAL: OnceLock<Bus> = OnceLock::new();

/// The process-wide bus. The first call settles whether it has a [host](set_global).
///
/// # Examples
/// ```
/// use signalpost::event;
///
/// struct Ready;
/// event!(Ready: "app.ready");
///
/// let _sub = signalpost::topic::<Ready>().subscribe(|_| println!("ready"));
/// signalpost::publish(&Ready)?;
/// # Ok::<(), signalpost::Stopped<signalpost::BoxError>>(())
/// ```
pub fn bus() -> &'static Bus {
    GLOBAL.get_or_init(|| Bus::named("process-wide"))
}

/// [`Bus::publish`] on the process-wide bus.
///
/// # Errors
/// As [`Bus::publish`].
///
/// # Panics
/// As [`Bus::publish`].
#[inline]
pub fn publish<E: Event>(event: &E) -> Result<(), Stopped<E::Stop>> {
    bus().publish(event)
}

/// [`Bus::subscribe`] on the process-wide bus.
#[track_caller]
pub fn subscribe<F, R>(f: F) -> Subscription
where
    F: Fn(&dyn AnyEvent) -> R + Send + Sync + 'static,
    R: Outcome<BusStop>,
{
    bus().subscribe_with(SubscribeOptions::new(), f)
}

/// [`Bus::topic`] on the process-wide bus.
///
/// # Panics
/// As [`Bus::topic`].
pub fn topic<E: Event>() -> Topic<E> {
    bus().topic()
}

/// [`Bus::family`] on the process-wide bus.
pub fn family<F: Family>() -> FamilyHandle<F> {
    bus().family()
}

/// A framework that has a notify of its own, through which all events of the process-wide bus are to go.
///
/// Object-safe, so that it can be installed by [`set_global`]. What the process-wide bus promises of order and cost then
/// holds among those who subscribed here; the rest is the host's. All stops come to publishers by way of the host, as a
/// [`BusStop`]: those of our own subscribers too, which [`Stopped`] then names the host for.
pub trait HostBus: Sync {
    /// Gives an event to the host's subscribers, until one stops it. Holds no lock while it calls them: they may publish, and
    /// subscribe.
    ///
    /// # Errors
    /// What stopped it.
    fn publish(&self, event: &dyn AnyEvent) -> Result<(), BusStop>;

    /// Registers for good. Called once, by the first to subscribe to the process-wide bus or to ask for a topic or a family of
    /// it: everyone there runs where this one does. Neither publishes from in here nor calls the process-wide bus.
    fn subscribe(&self, subscriber: HostSubscriber);
}

/// What a [`HostBus`] is given to call: it runs the subscribers of the process-wide bus.
#[derive(Clone, Copy, Debug)]
pub struct HostSubscriber(());

impl HostSubscriber {
    /// Runs those who are registered on the process-wide bus and are to hear the event, in their order.
    ///
    /// # Errors
    /// What one of them stopped it with.
    ///
    /// # Panics
    /// As [`Bus::publish`].
    pub fn call(&self, event: &dyn AnyEvent) -> Result<(), BusStop> {
        let bus = bus();
        match event.publish_here(bus, Ours::HERE) {
            Ok(()) => Ok(()),
            Err(PublishError::Stopped(stopped)) => Err(stopped.error),
            Err(PublishError::TooDeep(deep)) => bus.rules.too_deep(deep),
        }
    }
}

/// A host that is installed.
pub(super) struct Host {
    bus: &'static dyn HostBus,
    /// Where it was installed: whoever stops an event there is known to us by this only.
    name: SubscriberName,
    attached: OnceLock<()>,
}

impl Host {
    pub(super) fn attach(&self) {
        self.attached.get_or_init(|| self.bus.subscribe(HostSubscriber(())));
    }

    #[cold]
    pub(super) fn publish<E: Event>(&self, event: &E) -> Result<(), Stopped<E::Stop>> {
        self.bus.publish(event).map_err(|stop| {
            let subscriber = self.name;
            Stopped { error: E::Stop::from_bus(stop, &subscriber), subscriber, position: 0, not_run: 0 }
        })
    }
}

/// Has every event of the process-wide bus published by a host framework, to its subscribers and ours. Once, before the
/// first use of that bus.
///
/// From then on `publish` gives the event to the host, and the subscribers registered here run where the host put
/// [its one subscriber for them](HostBus::subscribe). A stop by the host's own subscribers names the host, with the place of this
/// call.
///
/// # Errors
/// [`GlobalError`]: there is a host, or the bus has been used.
///
/// # Examples
/// ```
/// use signalpost::{AnyEvent, BusStop, HostBus, HostSubscriber, event, set_global};
/// use std::sync::{Arc, Mutex};
///
/// /// A framework with a list of functions.
/// struct Framework(Mutex<Vec<Arc<dyn Fn(&dyn AnyEvent) -> Result<(), BusStop> + Send + Sync>>>);
/// impl HostBus for Framework {
///     fn publish(&self, event: &dyn AnyEvent) -> Result<(), BusStop> {
///         let all = self.0.lock().unwrap().clone(); // not called with the lock held
///         all.iter().try_for_each(|call| call(event))
///     }
///     fn subscribe(&self, ours: HostSubscriber) {
///         self.0.lock().unwrap().push(Arc::new(move |event| ours.call(event)));
///     }
/// }
/// static FRAMEWORK: Framework = Framework(Mutex::new(Vec::new()));
///
/// struct Ready;
/// event!(Ready: "app.ready");
///
/// set_global(&FRAMEWORK)?;
/// let _sub = signalpost::topic::<Ready>().subscribe(|_| println!("ready"));
/// signalpost::publish(&Ready).unwrap(); // through FRAMEWORK.publish
/// assert!(set_global(&FRAMEWORK).unwrap_err().to_string().contains("already"));
/// # Ok::<(), signalpost::GlobalError>(())
/// ```
#[track_caller]
pub fn set_global(host: &'static dyn HostBus) -> Result<(), GlobalError> {
    let location = Location::caller();
    let name = SubscriberName::unlisted("host of the process-wide bus", location);
    let mut ours = false;
    let bus = GLOBAL.get_or_init(|| {
        ours = true;
        // Leaked: once a process.
        let host: &'static Host = Box::leak(Box::new(Host { bus: host, name, attached: OnceLock::new() }));
        let rules = Rules { name: Some("process-wide"), max_depth: 64, host: Some(host) };
        Bus { cell: SnapshotCell::new(), rules }
    });
    match bus.rules.host {
        _ if ours => Ok(()),
        Some(there) => Err(GlobalError::AlreadySet { location: there.name.location }),
        None => Err(GlobalError::Late),
    }
}

/// Why [`set_global`] changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GlobalError {
    /// There is a host.
    AlreadySet {
        /// Where it was installed.
        location: &'static Location<'static>,
    },
    /// The process-wide bus has been used without one.
    Late,
}

impl fmt::Display for GlobalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadySet { location } => {
                write!(f, "the process-wide bus has a host already, installed at {location}; it can be set once")
            }
            Self::Late => f.write_str(
                "the process-wide bus has been used already; install its host before the first publish or subscribe, \
                 at the start of `main`",
            ),
        }
    }
}

impl Error for GlobalError {}
