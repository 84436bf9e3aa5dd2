//! `Bus`: many event types behind one `publish`, in one snapshot.
//!
//! Owns the bus itself: publish, and the subscribers to every event. Not here: what an event is (`event.rs`), the handles of
//! one type and of one family (`bus/topic.rs`), how a publish goes through the lists (`bus/walk.rs`), the process-wide bus and
//! its host (`bus/global.rs`).

mod bus_ref;
mod edit;
mod global;
mod topic;
mod walk;

pub use bus_ref::BusRef;
pub use edit::{BusEdit, ListEdit};
pub use global::{GlobalError, HostBus, HostSubscriber, bus, family, publish, set_global, subscribe, topic};
pub use topic::{FamilyHandle, Topic};

use crate::dispatcher::{SubscriberInfo, const_outside_loom};
use crate::error::{PublishError, Stopped};
use crate::event::{AnyEvent, Event, Family, sealed};
use crate::register::make;
use crate::stop::BusStop;
use global::Host;
use signalpost_core::{Channels, SharedCell, SnapshotCell, TooDeep};
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use walk::{Any, PLAIN, View};

/// Publishes events of many types to those who subscribed to every event, to one type, or to a family of types.
///
/// A value that can be moved, shared by reference or `Arc`, or a `static`.
///
/// # What is promised
/// - **Order** within one event: plain subscribers (to every event) registered before the first handler ever was; the handlers
///   of the event's own type; those of its families, in the order that the event declares; the other plain subscribers. In
///   each group: priority, highest first, then registration. So handlers run where a plain subscriber of priority 0
///   would that was registered when the first of them was; that place stays, also when all have gone.
/// - **One snapshot**: a publish runs exactly the subscribers of one snapshot of the whole bus, so it never sees half of a
///   change across types, and what is registered during it is seen by the next one.
/// - **Stop**: the first error ends it, as [`Dispatcher`](crate::Dispatcher) says. Whoever knows the event as one of many
///   stops it with a [`BusStop`], and the publisher is given the event's own [`Stop`](Event::Stop).
/// - **Cost**: wait-free but for the subscribers, as a dispatcher's publish, and with the same exceptions. A publish costs its own
///   subscribers and a look into a table of types, whatever else is registered; by a [`Topic`] it costs no look. A type that
///   nobody prepared costs one look more for each of its families.
/// - **Once and weak** subscribers that have ended leave at the next write to their own list: that of plain subscribers, of their
///   type, of their family.
/// - **Registering** is lock-free, and its cost does not depend on what other types have registered.
///
/// # Examples
/// ```
/// use signalpost::{BoxError, Bus, BusStop, event, family};
///
/// pub trait Shipping { fn parcel(&self) -> u64; }
/// family!(pub struct ShippingEvents: dyn Shipping = "shop.shipping");
///
/// pub struct WillShip(u64);
/// impl Shipping for WillShip { fn parcel(&self) -> u64 { self.0 } }
/// event!(WillShip: "shop.will_ship", stop = BusStop, families = [ShippingEvents]);
///
/// pub struct Shipped(u64);
/// impl Shipping for Shipped { fn parcel(&self) -> u64 { self.0 } }
/// event!(Shipped: "shop.shipped", families = [ShippingEvents]);
///
/// static BUS: Bus = Bus::new();
/// let _log = BUS.subscribe(|event| println!("{}", event.name()));
/// let _all = BUS.family::<ShippingEvents>().subscribe(|event| println!("parcel {}", event.parcel()));
/// let _one = BUS.topic::<WillShip>().subscribe(|event| {
///     if event.0 == 13 { Err(BusStop::veto("unlucky")) } else { Ok(()) }
/// });
///
/// BUS.publish(&Shipped(12))?;
/// let stopped = BUS.publish(&WillShip(13)).unwrap_err();
/// assert_eq!(stopped.error.to_string(), "vetoed: unlucky");
/// assert_eq!((stopped.position, stopped.not_run), (1, 1)); // the log ran, the family did not
/// # Ok::<(), signalpost::Stopped<BoxError>>(())
/// ```
pub struct Bus {
    cell: SnapshotCell<Channels>,
    rules: Rules,
}

/// What a bus and its handles do beside what the snapshot says.
#[derive(Clone, Copy)]
struct Rules {
    name: Option<&'static str>,
    max_depth: u32,
    /// Who publishes in the bus's stead.
    host: Option<&'static Host>,
}

impl Bus {
    const_outside_loom! {
        /// A bus without subscribers. Allocates nothing.
        pub const fn new() -> Self {
            Self { cell: SnapshotCell::new(), rules: Rules { name: None, max_depth: 64, host: None } }
        }

        /// A bus with a name, which its panic at the depth limit and its `Debug` output show.
        pub const fn named(name: &'static str) -> Self {
            Self { cell: SnapshotCell::new(), rules: Rules { name: Some(name), max_depth: 64, host: None } }
        }
    }

    /// Changes how many publishes may be nested on one thread: see
    /// [`Dispatcher::with_max_depth`](crate::Dispatcher::with_max_depth). Handles made before keep the old limit.
    ///
    /// # Panics
    /// If `levels` is not in 8..=4096; at compile time in a `static`.
    #[must_use]
    pub const fn with_max_depth(mut self, levels: u32) -> Self {
        assert!(levels >= 8 && levels <= 4096, "the depth limit must be from 8 to 4096 levels");
        self.rules.max_depth = levels;
        self
    }

    pub(crate) fn max_depth(&self) -> u32 {
        self.rules.max_depth
    }

    /// The cell, with the channel of the plain subscribers in it, and known to the host, if there is one.
    pub(crate) fn shared(&self) -> Arc<SharedCell<Channels>> {
        let plain = walk::prepare_plain(self.cell.shared());
        debug_assert_eq!(plain.number(), PLAIN);
        if let Some(host) = self.rules.host {
            host.attach();
        }
        plain.cell().clone()
    }

    fn place(&self) -> (Arc<SharedCell<Channels>>, u32) {
        (self.shared(), PLAIN)
    }

    /// The handle of one event type: to subscribe, and to publish with the least cost. Prepares the type.
    ///
    /// Where the type is known it costs about as much as a hash look-up for each of its families; keep the handle.
    ///
    /// # Panics
    /// If the type declares a family twice, or itself.
    pub fn topic<E: Event>(&self) -> Topic<E> {
        Topic::new(walk::prepare(self.shared()), self.rules)
    }

    /// The handle of one family of event types, to subscribe.
    pub fn family<F: Family>(&self) -> FamilyHandle<F> {
        FamilyHandle::new(walk::prepare_family::<F>(self.shared()))
    }

    /// Gives an event type and its families their places now, so that publishing it looks up one type instead of each
    /// family. [`topic`](Self::topic) does it too. Lock-free; allocates the first time.
    ///
    /// # Panics
    /// As [`topic`](Self::topic).
    pub fn prepare<E: Event>(&self) {
        walk::prepare::<E>(self.shared()).cell().trim();
    }

    topic::subscribe_methods!(Any, BusStop, "every event, as one of many");

    /// Runs the subscribers of the event in order, on this thread, until one returns an error.
    ///
    /// Without any subscriber on the bus: one or two loads and a branch.
    ///
    /// # Errors
    /// [`Stopped`]: the first error and who returned it; its place is that among all who were to hear this event.
    ///
    /// # Panics
    /// Past the [depth limit](Self::with_max_depth), with this bus's name; and if a subscriber does.
    #[inline]
    pub fn publish<E: Event>(&self, event: &E) -> Result<(), Stopped<E::Stop>> {
        self.rules.not_too_deep(self.try_publish(event))
    }

    /// As [`publish`](Self::publish), with an error instead of a panic past the depth limit.
    ///
    /// # Errors
    /// [`PublishError`]: a subscriber stopped the event, or nobody was called since publishes are nested too deep.
    #[inline]
    pub fn try_publish<E: Event>(&self, event: &E) -> Result<(), PublishError<E::Stop>> {
        #[cfg(feature = "recorder")]
        if crate::recorder::attached() {
            return crate::recorder::publish(self.cell.get(), E::NAME, || self.publish_now(event));
        }
        self.publish_now(event)
    }

    /// Wherever it is to be published.
    #[inline(always)]
    fn publish_now<E: Event>(&self, event: &E) -> Result<(), PublishError<E::Stop>> {
        if let Some(host) = self.rules.host {
            return host.publish(event).map_err(PublishError::Stopped);
        }
        self.publish_here(event)
    }

    /// Runs those who are registered here, whoever hosts the bus.
    #[inline]
    pub(crate) fn publish_here<E: Event>(&self, event: &E) -> Result<(), PublishError<E::Stop>> {
        let mut stopped = None;
        let all = |channels: &Channels| View::of(channels).until_stopped(event, &mut stopped);
        match self.cell.read_within(self.rules.max_depth, all) {
            Ok(None | Some(true)) => Ok(()),
            Ok(Some(false)) => stopped.map_or(Ok(()), |stopped| Err(PublishError::Stopped(stopped))),
            Err(deep) => Err(PublishError::TooDeep(deep)),
        }
    }

    /// As [`publish`](Self::publish), of an event whose type is not known here.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    ///
    /// # Panics
    /// As [`publish`](Self::publish).
    pub fn publish_any(&self, event: &dyn AnyEvent) -> Result<(), Stopped<BusStop>> {
        event.publish_on(self, sealed::Ours::HERE)
    }

    /// Makes any number of changes in one swap, whatever types they are about: publishers see all of them or none. Returns
    /// what `f` returns.
    ///
    /// `f` runs once, with nothing held, and may call anything; its changes are made when it returns, none if it panics.
    ///
    /// # Examples
    /// ```
    /// # use signalpost::{Bus, event};
    /// # struct Opened; struct Closed;
    /// # event!(Opened: "door.opened"); event!(Closed: "door.closed");
    /// let bus = Bus::new();
    /// let (_opened, _closed) = bus.edit(|edit| {
    ///     let opened = edit.topic::<Opened>().subscribe(|_| println!("open"));
    ///     let closed = edit.topic::<Closed>().subscribe(|_| println!("closed"));
    ///     (opened, closed)
    /// });
    /// assert!(bus.has_subscribers::<Opened>() && bus.has_subscribers::<Closed>());
    /// ```
    pub fn edit<R>(&self, f: impl FnOnce(&mut BusEdit<'_>) -> R) -> R {
        let cell = self.shared();
        let mut edit = BusEdit::new(cell.clone());
        let result = f(&mut edit);
        make(&*cell, edit.into_record());
        result
    }

    /// Whether a publish of such an event would find a subscriber, counted as by
    /// [`Dispatcher::has_subscribers`](crate::Dispatcher::has_subscribers). True where a host publishes, whose subscribers are
    /// not known here.
    pub fn has_subscribers<E: Event>(&self) -> bool {
        if self.rules.host.is_some() {
            return true;
        }
        self.cell.read(|channels| View::<E>::of(channels).audience()).unwrap_or(0) > 0
    }

    /// How many subscribers there are on the bus, of all types.
    pub fn len(&self) -> usize {
        self.cell.read(Channels::members).unwrap_or(0)
    }

    /// Whether there is no subscriber on the bus.
    pub fn is_empty(&self) -> bool {
        self.cell.is_empty()
    }

    /// Who is registered: the plain subscribers that run before the handlers; the handlers, by type or family; the other plain
    /// subscribers. A copy: it keeps nothing alive. Allocates.
    pub fn subscribers(&self) -> Vec<BusSubscriberInfo> {
        let all = |channels: &Channels| {
            let known = |number, of: Listens| {
                let alive = channels.known(number).filter(|known| !known.over);
                alive.map(move |known| {
                    (known.divider, BusSubscriberInfo { info: SubscriberInfo::of(known), of })
                })
            };
            let mut plain: Vec<_> = known(PLAIN, Listens::Everything).collect();
            let divider = plain.iter().position(|(divider, _)| *divider);
            let mut after = divider.map_or(Vec::new(), |at| plain.split_off(at));
            let handlers = (PLAIN + 1..channels.count()).flat_map(|number| {
                let of = Listens::To(channels.name(number).unwrap_or_default());
                known(number, of)
            });
            plain.extend(handlers);
            plain.append(&mut after);
            plain.into_iter().filter(|(divider, _)| !divider).map(|(_, info)| info).collect()
        };
        self.cell.read(all).unwrap_or_default()
    }

    /// Drops what cancelled subscribers captured and no publish can reach any more: see
    /// [`Dispatcher::collect`](crate::Dispatcher::collect).
    pub fn collect(&self) -> usize {
        self.cell.collect()
    }

    /// How many replaced snapshots wait: see [`Dispatcher::retired`](crate::Dispatcher::retired).
    pub fn retired(&self) -> usize {
        self.cell.retired()
    }
}

impl Rules {
    /// What a publish that panics past the depth limit makes of one that says so.
    #[inline(always)]
    fn not_too_deep<X>(&self, published: Result<(), PublishError<X>>) -> Result<(), Stopped<X>> {
        match published {
            Ok(()) => Ok(()),
            Err(PublishError::Stopped(stopped)) => Err(stopped),
            Err(PublishError::TooDeep(deep)) => self.too_deep(deep),
        }
    }

    #[cold]
    #[inline(never)]
    fn too_deep(&self, deep: TooDeep) -> ! {
        let name = self.name.unwrap_or("(unnamed)");
        panic!("bus {name} is published to inside itself without end: {deep}");
    }
}

/// One subscriber, as [`Bus::subscribers`] shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BusSubscriberInfo {
    /// Who it is.
    pub info: SubscriberInfo,
    /// What it listens to.
    pub of: Listens,
}

/// What a subscriber of a bus listens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listens {
    /// Every event.
    Everything,
    /// The event type or the family of this name.
    To(&'static str),
}

// A panic can leave a host in pieces, but not what is held here of it: a reference, and whether it knows us.
impl UnwindSafe for Rules {}
impl RefUnwindSafe for Rules {}

impl Default for Bus {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Bus");
        if let Some(name) = self.rules.name {
            out.field("name", &name);
        }
        out.field("subscribers", &self.len()).field("retired", &self.retired()).finish()
    }
}
