//! How a shared snapshot stays valid: pins, cells, retired snapshots, and the list of subscribers.
//!
//! Part of `signalpost`, and re-exported by it; depend on that. This crate holds the unsafe
//! code, starts no thread, and reads a clock only where a timeout is given to it.
//!
//! | module | owns |
//! |---|---|
//! | `sync` | the one door to atomics: std's, or loom's |
//! | `barrier` | light and heavy barriers; decided once |
//! | `pin` | per-thread marks: a reader is inside, and of which cell |
//! | `fork` | what a forked child does about marks of threads that it does not have |
//! | `cell`, `lazy`, `owner` | the snapshot: read, update, synchronize |
//! | `retire`, `stack` | replaced snapshots, kept until no pin can reach them |
//! | `list` | the immutable ordered list; every change builds a new one |
//! | `roster` | a list of subscribers, who owns them, and how a record of changes makes the next |
//! | `subscribers` | what a reader sees of a list: in order, and to be called |
//! | `channels` | many lists, of many types, in one snapshot |
//! | `subscriber`, `lent` | closures as subscribers; events that borrow |

#[cfg(all(signalpost_loom, not(feature = "loom")))]
compile_error!(
    "`--cfg signalpost_loom` needs the feature `loom`: add `--features signalpost-core/loom`, \
     or `signalpost = { features = [\"loom\"] }` in the crate that holds your models"
);
#[cfg(not(target_has_atomic = "64"))]
compile_error!("signalpost needs 64-bit atomics, which this target lacks");

mod barrier;
mod cell;
mod channels;
mod fork;
mod lazy;
mod lent;
mod list;
mod owner;
mod pin;
mod retire;
mod roster;
mod stack;
mod stats;
mod subscriber;
mod subscribers;
#[doc(hidden)] // for dispatch and the models: not part of what semver covers
pub mod sync;
mod wait;

pub use barrier::Barrier;
#[doc(hidden)] // as `sync`
pub use barrier::Sides;
#[cfg(signalpost_loom)]
pub use barrier::refuse_from;
pub use cell::{Ending, SharedCell, Snapshot};
pub use channels::{ChannelKey, Channels, Tuned};
pub use lazy::SnapshotCell;
pub use lent::{Lent, Shape};
pub use list::{List, Mark, Position};
pub use pin::TooDeep;
#[cfg(signalpost_loom)]
pub use pin::end_thread_early;
pub use retire::collecting;
pub use roster::{Change, Ended, Known, Newcomer, Step, Target};
pub use stats::{Stats, stats};
pub use subscriber::{About, Anchor, Life, SubscriberId, SubscriberName};
pub use subscribers::{Callee, Member, Run, Subscribers};
pub use wait::{Deadline, Pause, WaitError};

/// Makes this thread's first pin now, so that its first publish allocates nothing.
///
/// Lock-free; allocates once a thread at most, and reuses what ended threads left.
///
/// # Examples
/// ```
/// std::thread::spawn(|| {
///     signalpost::warm_up();
///     // from here on a publish allocates nothing
/// }).join().unwrap();
/// ```
pub fn warm_up() {
    pin::warm_up();
}
