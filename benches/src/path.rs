//! What a dispatch path is, and the names of those that the lab knows.
//!
//! Owns the contract between a path and the harness: every path is called through the same generic
//! code, compiled once for each, so that none pays for an indirection that another is spared.
//! Not here: the paths themselves (`ours.rs`, `baseline.rs`).

use crate::{
    baseline::{
        ArcSwapCache, ArcSwapGuard, CrossbeamEpoch, LeftRight, ParkingLotRwLock, RawLoop, Seize, Signals2,
        StdMutex, StdRwLock,
    },
    bus::{ByBus, ByTopic},
    ours::Signalpost,
    pace::PacedLane,
    scenario::{Crowd, Event, Mixed, MixedTick, Same, Tick},
};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A way to get an event to its subscribers, shared by its publishers.
pub(crate) trait DispatchPath: Send + Sync {
    /// What it publishes.
    type Event: Event;

    /// One publishing thread's view of it.
    type Publisher<'p>: Publisher<Self::Event>
    where
        Self: 'p;

    /// The path with these subscribers registered.
    fn with(crowd: impl Crowd<Self::Event>) -> Self;

    /// A view for one publishing thread, made on that thread.
    fn publisher(&self) -> Self::Publisher<'_>;

    /// Registers one more subscriber and takes it out again, as its users would, while others publish; false where that cannot be
    /// done, as [`PathName::can_change`] says.
    fn change(&self, salt: u64) -> bool {
        let _ = salt;
        false
    }
}

/// Publishes for one thread.
pub(crate) trait Publisher<E> {
    /// Gives the event to the subscribers in order until one stops it; true if none did. Every path inlines this into the
    /// timed loop, or one would pay for a call and its saved registers and another would not.
    fn publish(&mut self, event: &'static E) -> bool;
}

/// A dispatch path by name, as on the command line and in reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathName {
    /// A `Vec<Arc<dyn Fn>>` walked with early exit, nothing shared: the floor
    RawLoop,
    /// `signalpost::Dispatcher`
    Signalpost,
    /// `arc_swap::ArcSwap::load`, the guard held during the walk
    ArcSwapGuard,
    /// `arc_swap::Cache`, one a publisher; keeps a replaced list alive while that publisher idles
    ArcSwapCache,
    /// `crossbeam_epoch::pin` and an atomic pointer
    CrossbeamEpoch,
    /// The crate seize: enter a collector, and an atomic pointer
    Seize,
    /// The crate left-right: two copies of the list
    LeftRight,
    /// `std::sync::RwLock`, read-locked during the walk
    StdRwlock,
    /// `parking_lot::RwLock`, read-locked during the walk
    ParkingLotRwlock,
    /// `std::sync::Mutex`, locked during the walk
    StdMutex,
    /// The crate signals2, with a combiner that stops at the first error
    Signals2,
    /// The raw loop over four closure types in turn (16 subscribers and more)
    RawLoopMixed,
    /// signalpost over four closure types in turn (16 subscribers and more)
    SignalpostMixed,
    /// `signalpost::Bus::publish`, on a bus with 10,000 handlers of 1,000 other types
    Bus,
    /// `signalpost::Topic::publish`, on such a bus
    BusTopic,
}

/// Counts above this are measured with one publisher, and only on paths that are about the walk.
pub const WALK_ONLY_ABOVE: usize = 10_000;

/// Fewer subscribers than this say nothing about mixed closure types.
pub const MIXED_FROM: usize = 16;

impl PathName {
    /// Every path, in the order of the reports.
    pub const ALL: [Self; 15] = [
        Self::RawLoop,
        Self::Signalpost,
        Self::ArcSwapGuard,
        Self::ArcSwapCache,
        Self::CrossbeamEpoch,
        Self::Seize,
        Self::LeftRight,
        Self::StdRwlock,
        Self::ParkingLotRwlock,
        Self::StdMutex,
        Self::Signals2,
        Self::RawLoopMixed,
        Self::SignalpostMixed,
        Self::Bus,
        Self::BusTopic,
    ];

    /// As typed and printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RawLoop => "raw-loop",
            Self::Signalpost => "signalpost",
            Self::ArcSwapGuard => "arc-swap-guard",
            Self::ArcSwapCache => "arc-swap-cache",
            Self::CrossbeamEpoch => "crossbeam-epoch",
            Self::Seize => "seize",
            Self::LeftRight => "left-right",
            Self::StdRwlock => "std-rwlock",
            Self::ParkingLotRwlock => "parking-lot-rwlock",
            Self::StdMutex => "std-mutex",
            Self::Signals2 => "signals2",
            Self::RawLoopMixed => "raw-loop-mixed",
            Self::SignalpostMixed => "signalpost-mixed",
            Self::Bus => "bus",
            Self::BusTopic => "bus-topic",
        }
    }

    /// The raw loop over the same subscribers: what `over_raw` is measured from.
    pub const fn floor(self) -> Self {
        match self {
            Self::RawLoopMixed | Self::SignalpostMixed => Self::RawLoopMixed,
            _ => Self::RawLoop,
        }
    }

    /// Whether this is a raw loop: nothing could be registered while it runs, so it cannot win.
    pub const fn is_floor(self) -> bool {
        matches!(self, Self::RawLoop | Self::RawLoopMixed)
    }

    /// Whether it takes part in the question who is fastest: not where it does other work than the rest, or is none that
    /// could be registered with.
    pub const fn competes(self) -> bool {
        !matches!(
            self,
            Self::RawLoop | Self::RawLoopMixed | Self::SignalpostMixed | Self::Bus | Self::BusTopic
        )
    }

    /// Whether subscribers can come and go while publishers publish.
    pub const fn can_change(self) -> bool {
        !matches!(self, Self::RawLoop | Self::RawLoopMixed)
    }

    /// Whether the path is measured with so many subscribers and publishers.
    pub const fn is_measured_at(self, subscribers: usize, publishers: usize) -> bool {
        match self {
            Self::RawLoop | Self::Signalpost => subscribers <= WALK_ONLY_ABOVE || publishers == 1,
            Self::RawLoopMixed | Self::SignalpostMixed => {
                subscribers >= MIXED_FROM && subscribers <= WALK_ONLY_ABOVE
            }
            _ => subscribers <= WALK_ONLY_ABOVE,
        }
    }

    /// The path with `subscribers` registered, ready to be timed.
    pub fn lane(self, subscribers: usize) -> Box<dyn PacedLane> {
        let same = Same(subscribers);
        let mixed = Mixed(subscribers);
        match self {
            Self::RawLoop => Box::new(RawLoop::<Tick>::with(same)),
            Self::Signalpost => Box::new(Signalpost::<Tick>::with(same)),
            Self::ArcSwapGuard => Box::new(ArcSwapGuard::with(same)),
            Self::ArcSwapCache => Box::new(ArcSwapCache::with(same)),
            Self::CrossbeamEpoch => Box::new(CrossbeamEpoch::with(same)),
            Self::Seize => Box::new(Seize::with(same)),
            Self::LeftRight => Box::new(LeftRight::with(same)),
            Self::StdRwlock => Box::new(StdRwLock::with(same)),
            Self::ParkingLotRwlock => Box::new(ParkingLotRwLock::with(same)),
            Self::StdMutex => Box::new(StdMutex::with(same)),
            Self::Signals2 => Box::new(Signals2::with(same)),
            Self::RawLoopMixed => Box::new(RawLoop::<MixedTick>::with(mixed)),
            Self::SignalpostMixed => Box::new(Signalpost::<MixedTick>::with(mixed)),
            Self::Bus => Box::new(ByBus::with(same)),
            Self::BusTopic => Box::new(ByTopic::with(same)),
        }
    }
}

impl fmt::Display for PathName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Answer, Register};
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    };

    #[test]
    fn a_name_reads_the_same_on_the_command_line_in_json_and_in_the_table() {
        for name in PathName::ALL {
            let typed = name.to_possible_value().expect("no path is hidden");
            assert_eq!(typed.get_name(), name.as_str());
            assert_eq!(serde_json::to_value(name).unwrap(), name.as_str());
            assert_eq!(name.to_string(), name.as_str());
        }
    }

    #[test]
    fn the_floor_of_a_path_is_measured_wherever_the_path_is() {
        for name in PathName::ALL {
            for (subscribers, publishers) in [(0, 1), (16, 2), (1024, 2), (100_000, 1), (100_000, 2)] {
                assert!(
                    !name.is_measured_at(subscribers, publishers)
                        || name.floor().is_measured_at(subscribers, publishers),
                    "{name} at {subscribers}"
                );
            }
        }
    }

    /// Five subscribers, the third of which stops the event.
    struct Third(Arc<AtomicUsize>);

    impl<E: Event> Crowd<E> for Third {
        fn register_in(self, to: &mut impl Register<E>) {
            for index in 0..5 {
                let calls = self.0.clone();
                to.register(move |_: &E| -> Answer {
                    calls.fetch_add(1, Relaxed);
                    if index == 2 { Err("enough".into()) } else { Ok(()) }
                });
            }
        }
    }

    /// Whether a publish reached all five, and how many it did reach.
    fn publish_to_five<P: DispatchPath>() -> (bool, usize) {
        let calls = Arc::new(AtomicUsize::new(0));
        let path = P::with(Third(calls.clone()));
        let reached_all = path.publisher().publish(P::Event::EVENT);
        (reached_all, calls.load(Relaxed))
    }

    #[test]
    fn a_change_leaves_as_many_subscribers_as_there_were() {
        fn calls_after_changes<P: DispatchPath>() -> usize {
            let calls = Arc::new(AtomicUsize::new(0));
            let path = P::with(Counting(calls.clone()));
            let mut publisher = path.publisher();
            for salt in 0..3 {
                assert!(path.change(salt));
                publisher.publish(P::Event::EVENT);
            }
            calls.load(Relaxed)
        }
        assert_eq!(calls_after_changes::<Signalpost<Tick>>(), 6);
        assert_eq!(calls_after_changes::<ArcSwapGuard>(), 6);
        assert_eq!(calls_after_changes::<ArcSwapCache>(), 6);
        assert_eq!(calls_after_changes::<CrossbeamEpoch>(), 6);
        assert_eq!(calls_after_changes::<Seize>(), 6);
        assert_eq!(calls_after_changes::<LeftRight>(), 6);
        assert_eq!(calls_after_changes::<StdRwLock>(), 6);
        assert_eq!(calls_after_changes::<ParkingLotRwLock>(), 6);
        assert_eq!(calls_after_changes::<StdMutex>(), 6);
        assert_eq!(calls_after_changes::<Signals2>(), 6);
        assert_eq!(calls_after_changes::<ByBus>(), 6);
        assert_eq!(calls_after_changes::<ByTopic>(), 6);
    }

    #[test]
    fn subscribers_come_and_go_where_the_name_says_so_and_nowhere_else() {
        for name in PathName::ALL {
            assert_eq!(name.lane(4).change(7), name.can_change(), "{name}");
        }
    }

    /// Two subscribers that count.
    struct Counting(Arc<AtomicUsize>);

    impl<E: Event> Crowd<E> for Counting {
        fn register_in(self, to: &mut impl Register<E>) {
            for _ in 0..2 {
                let calls = self.0.clone();
                to.register(move |_: &E| -> Answer {
                    calls.fetch_add(1, Relaxed);
                    Ok(())
                });
            }
        }
    }

    #[test]
    fn every_path_stops_at_the_first_error() {
        assert_eq!(publish_to_five::<RawLoop<Tick>>(), (false, 3));
        assert_eq!(publish_to_five::<Signalpost<Tick>>(), (false, 3));
        assert_eq!(publish_to_five::<ArcSwapGuard>(), (false, 3));
        assert_eq!(publish_to_five::<ArcSwapCache>(), (false, 3));
        assert_eq!(publish_to_five::<CrossbeamEpoch>(), (false, 3));
        assert_eq!(publish_to_five::<Seize>(), (false, 3));
        assert_eq!(publish_to_five::<LeftRight>(), (false, 3));
        assert_eq!(publish_to_five::<StdRwLock>(), (false, 3));
        assert_eq!(publish_to_five::<ParkingLotRwLock>(), (false, 3));
        assert_eq!(publish_to_five::<StdMutex>(), (false, 3));
        assert_eq!(publish_to_five::<Signals2>(), (false, 3));
        assert_eq!(publish_to_five::<ByBus>(), (false, 3));
        assert_eq!(publish_to_five::<ByTopic>(), (false, 3));
    }
}
