// Of two definitions of a link the first one holds: the README's files are pages here.
#![doc = "[design]: crate::pages::design"]
#![doc = "[benchmarks]: crate::pages::benchmarks"]
#![doc = "[changelog]: crate::pages::changelog"]
#![doc = "[patching]: crate::pages::patching"]
#![doc = ""]
#![doc = include_str!("../README.md")]

pub use signalpost_core as core;
pub use signalpost_core::{
    Barrier, Lent, Shape, Stats, SubscriberId, SubscriberName, TooDeep, WaitError, stats, warm_up,
};
pub use signalpost_dispatch::{
    AnyEvent, BoxError, Bus, BusEdit, BusRef, BusStop, BusSubscriberInfo, Dispatcher, Edit, Event, EventStop,
    Family, FamilyHandle, FamilyVisitor, GlobalError, HostBus, HostSubscriber, LateVeto, ListEdit, Listens,
    Outcome, PublishError, Scope, ScopeError, ScopedSubscription, Stopped, SubscribeOptions, SubscriberInfo,
    Subscription, SubscriptionSet, Topic, Undone, Veto,
};
pub use signalpost_dispatch::{
    Full, FullRing, QueueFull, Receiver, Recv, RecvError, RecvRing, RingReceiver, RingWarmUp,
};
pub use signalpost_dispatch::{
    On, Plugin, PluginError, PluginFailed, PluginInfo, PluginPanicked, PluginSource, Plugins, Policy,
    StoppedBy, entry_points,
};
#[cfg(feature = "recorder")]
pub use signalpost_dispatch::{Record, RecordedOutcome, Recorder};
#[cfg(feature = "sticky")]
pub use signalpost_dispatch::{ReplayError, Sticky};
pub use signalpost_dispatch::{bus, discover, event, family, plugins, publish, set_global, subscribe, topic};

/// A thread that watches the process and publishes what it sees. With the feature `monitor`.
#[cfg(feature = "monitor")]
pub use signalpost_monitor as monitor;

/// Functions that can be replaced at run time, with events that can say no. With the feature `patch`.
#[cfg(feature = "patch")]
pub use signalpost_patch as patch;

/// The project's documents, for reading only.
#[cfg(doc)]
pub mod pages {
    #[doc = "[readme]: crate\n[benchmarks]: crate::pages::benchmarks\n[patching]: crate::pages::patching\n"]
    #[doc = include_str!("../docs/design.md")]
    pub mod design {}
    #[doc = include_str!("../docs/benchmarks.md")]
    pub mod benchmarks {}
    #[cfg(any(not(doctest), feature = "patch"))] // it is made of programs, which need the feature
    #[doc = include_str!("../docs/patching.md")]
    pub mod patching {}
    #[doc = include_str!("../CHANGELOG.md")]
    pub mod changelog {}
}
