//! What publish and subscribe promise: order, stop, isolation, cancel.
//!
//! Part of `signalpost`, and re-exported by it; depend on that.
//!
//! | module | owns |
//! |---|---|
//! | `dispatcher` | `Dispatcher<E, X>`: the verbs |
//! | `walk` | the one loop: order, stop, collect, undo, panics |
//! | `subscription`, `registry` | the handle and the set: cancel, wait, detach, pause |
//! | `register`, `options`, `outcome` | how a closure becomes an entry; what it may return |
//! | `edit` | many changes, one swap |
//! | `event`, `stop` | what an event of a bus is; veto and failure |
//! | `bus` | many event types behind one publish, in one snapshot; the process-wide one |
//! | `scope` | subscribers that borrow from the stack (the one place with `unsafe`) |
//! | `plugin`, `plugins`, `plugin_info`, `discover` | what is called after the subscribers: by name, in order, with a policy for failures |
//! | `queue` | hand-off to other threads and tasks: full queues, sleep and wake, rings |
//! | `recorder` | the last publishes with time and outcome, for post-mortems |
//! | `sticky` | the last event, for subscribers that come late |
//! | `error` | `Stopped` and the rest |

#![deny(unsafe_code)] // but for scope.rs

mod bus;
#[cfg(feature = "discover")]
mod discover;
mod dispatcher;
mod edit;
mod error;
mod event;
mod options;
mod outcome;
mod plugin;
mod plugin_info;
mod plugins;
mod queue;
#[cfg(feature = "recorder")]
mod recorder;
mod register;
mod registry;
mod scope;
#[cfg(feature = "sticky")]
mod sticky;
mod stop;
mod subscription;
mod walk;

pub use bus::{
    Bus, BusEdit, BusRef, BusSubscriberInfo, FamilyHandle, GlobalError, HostBus, HostSubscriber, ListEdit,
    Listens, Topic, bus, family, publish, set_global, subscribe, topic,
};
#[cfg(feature = "discover")]
#[doc(hidden)]
pub use discover::Discovered;
pub use dispatcher::{Dispatcher, SubscriberInfo};
pub use edit::Edit;
#[doc(hidden)]
pub use error::panic_text;
pub use error::{BoxError, PublishError, ScopeError, Stopped, Undone};
pub use event::{AnyEvent, Event, Family, FamilyVisitor};
#[cfg(feature = "discover")]
#[doc(hidden)] // for `discover!`
pub use inventory as __inventory;
pub use options::SubscribeOptions;
pub use outcome::Outcome;
pub use plugin::{On, Plugin, PluginFailed, PluginPanicked, StoppedBy, entry_points};
pub use plugin_info::{PluginError, PluginInfo, PluginSource};
pub use plugins::{Plugins, Policy, plugins};
#[cfg(signalpost_loom)]
pub use queue::end_rings_early;
pub use queue::{
    Full, FullRing, IntoIter, QueueFull, Receiver, Recv, RecvError, RecvRing, RingIntoIter, RingReceiver,
    RingWarmUp,
};
#[cfg(feature = "recorder")]
pub use recorder::{Record, RecordedOutcome, Recorder};
pub use scope::{Scope, ScopedSubscription};
pub use signalpost_core as core;
#[cfg(feature = "sticky")]
pub use sticky::{ReplayError, Sticky};
pub use stop::{BusStop, EventStop, LateVeto, Veto};
pub use subscription::{Subscription, SubscriptionSet};
