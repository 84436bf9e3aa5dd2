//! What a dispatch path is, and the names of those that the lab knows.
//!
//! Owns the contract between a path and the harness: every path is called through the same generic
//! code, compiled once for each, so that none pays for an indirection that another is spared.
//! Not here: the paths themselves (`ours.rs`, `baseline.rs`).

use crate::{
    baseline::{
        ArcSwapCache, ArcSwapGuard, BusCrate, Crossbeam, CrossbeamEpoch, Disruptor, EventListeners, Flume,
        LeftRight, Nothing, ParkingLotRwLock, RawLoop, Seize, Signals2, StdMutex, StdRwLock, ToWorker,
        TokioBroadcast, Tracing,
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

    /// Places in the queue that its publishes go through; none if they go through none.
    const QUEUE: u64 = 0;

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
    /// `tracing::info!` with one field, to a layer that runs the subscribers
    Tracing,
    /// The crate event-listener: notifies all; the publisher's thread then runs each and listens again
    EventListener,
    /// `tokio::sync::broadcast`, a receiver a subscriber; the publisher's thread looks into all after each event
    TokioBroadcast,
    /// The crate bus, a reader a subscriber; the publisher's thread looks into all after each event
    BusCrate,
    /// The crate crossbeam-channel, bounded, to one thread that runs the subscribers; the queue is full
    CrossbeamChannel,
    /// The crate flume, in the same way
    Flume,
    /// The crate disruptor, one producer, one processor that runs the subscribers and spins; the ring is full
    Disruptor,
    /// The timed loop around nothing: a part of every other path's time
    Harness,
}

/// Counts above this are measured with one publisher, and only on paths that are about the walk.
pub const WALK_ONLY_ABOVE: usize = 10_000;

/// Paths that take long for each subscriber are not measured with more than this.
pub const SLOW_UP_TO: usize = 1_024;

/// Fewer subscribers than this say nothing about mixed closure types.
pub const MIXED_FROM: usize = 16;

impl PathName {
    /// Every path, in the order of the reports.
    pub const ALL: [Self; 23] = [
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
        Self::Tracing,
        Self::EventListener,
        Self::TokioBroadcast,
        Self::BusCrate,
        Self::CrossbeamChannel,
        Self::Flume,
        Self::Disruptor,
        Self::Harness,
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
            Self::Tracing => "tracing",
            Self::EventListener => "event-listener",
            Self::TokioBroadcast => "tokio-broadcast",
            Self::BusCrate => "bus-crate",
            Self::CrossbeamChannel => "crossbeam-channel",
            Self::Flume => "flume",
            Self::Disruptor => "disruptor",
            Self::Harness => "harness",
        }
    }

    /// The raw loop over the same subscribers: what `over_raw` is measured from. The harness alone has nothing below it.
    pub const fn floor(self) -> Self {
        match self {
            Self::RawLoopMixed | Self::SignalpostMixed => Self::RawLoopMixed,
            Self::Harness => Self::Harness,
            _ => Self::RawLoop,
        }
    }

    /// Whether this is what others are measured from: nothing could be registered while it runs, so it cannot win.
    pub const fn is_floor(self) -> bool {
        matches!(self, Self::RawLoop | Self::RawLoopMixed | Self::Harness)
    }

    /// Whether a publish does what signalpost's does: the publishing thread runs the subscribers in order until one stops the
    /// event, and the publisher learns of it.
    pub const fn does_the_same(self) -> bool {
        !matches!(
            self,
            Self::Tracing
                | Self::EventListener
                | Self::TokioBroadcast
                | Self::BusCrate
                | Self::CrossbeamChannel
                | Self::Flume
                | Self::Disruptor
                | Self::Harness
        )
    }

    /// Whether it takes part in the question who is fastest: not where it does other work than the rest, or is none that
    /// could be registered with.
    pub const fn competes(self) -> bool {
        let other_scenario = matches!(self, Self::SignalpostMixed | Self::Bus | Self::BusTopic);
        self.does_the_same() && !self.is_floor() && !other_scenario
    }

    /// Whether subscribers can come and go while publishers publish.
    pub const fn can_change(self) -> bool {
        self.does_the_same() && !self.is_floor()
    }

    /// What it does not do that signalpost does, and what it does instead; nothing for signalpost.
    pub const fn lacks(self) -> &'static str {
        match self {
            Self::Signalpost | Self::SignalpostMixed | Self::Bus | Self::BusTopic => "",
            Self::RawLoop | Self::RawLoopMixed => "nothing can be registered while a publisher exists",
            Self::ArcSwapGuard => {
                "a list and no more: no handles to cancel by, no word on who stopped an event"
            }
            Self::ArcSwapCache => {
                "as arc-swap-guard; keeps replaced lists, and their subscribers, alive while a publisher is idle"
            }
            Self::CrossbeamEpoch => "as arc-swap-guard; its users write unsafe code",
            Self::Seize => "as arc-swap-guard; its users write unsafe code",
            Self::LeftRight => {
                "as arc-swap-guard; registering waits for publishes: a subscriber that registers waits forever"
            }
            Self::StdRwlock | Self::ParkingLotRwlock => {
                "registering and publishes wait for each other: a subscriber that registers waits forever"
            }
            Self::StdMutex => {
                "publishers wait for each other: a subscriber that publishes or registers waits forever"
            }
            Self::Signals2 => {
                "stops an event only with a combiner of one's own; clones the event for each subscriber"
            }
            Self::Tracing => {
                "the publisher learns neither of errors nor of a stop; fields, not a value; registering takes a reload layer"
            }
            Self::EventListener => {
                "carries no event; none can stop it, no errors to the publisher; a subscriber needs a thread or a task"
            }
            Self::TokioBroadcast => {
                "none can stop an event, no errors to the publisher; who looks too late has lost some; needs a task each"
            }
            Self::BusCrate => {
                "none can stop an event, no errors to the publisher; one publisher, which waits for the slowest"
            }
            Self::CrossbeamChannel | Self::Flume => {
                "another thread runs the subscribers later: no errors to the publisher, who waits where the queue is full"
            }
            Self::Disruptor => {
                "as crossbeam-channel; one publisher, subscribers are fixed at the start, and their thread spins"
            }
            Self::Harness => "calls nobody: what the timed loop itself takes",
        }
    }

    /// Whether the path is measured with so many subscribers and publishers.
    pub const fn is_measured_at(self, subscribers: usize, publishers: usize) -> bool {
        match self {
            Self::RawLoop | Self::Signalpost => subscribers <= WALK_ONLY_ABOVE || publishers == 1,
            Self::RawLoopMixed | Self::SignalpostMixed => {
                subscribers >= MIXED_FROM && subscribers <= WALK_ONLY_ABOVE
            }
            Self::EventListener
            | Self::TokioBroadcast
            | Self::BusCrate
            | Self::CrossbeamChannel
            | Self::Flume
            | Self::Disruptor => subscribers <= SLOW_UP_TO && publishers == 1,
            Self::Harness => subscribers == 0,
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
            Self::Tracing => Box::new(Tracing::with(same)),
            Self::EventListener => Box::new(EventListeners::with(same)),
            Self::TokioBroadcast => Box::new(TokioBroadcast::with(same)),
            Self::BusCrate => Box::new(BusCrate::with(same)),
            Self::CrossbeamChannel => Box::new(ToWorker::<Crossbeam>::with(same)),
            Self::Flume => Box::new(ToWorker::<Flume>::with(same)),
            Self::Disruptor => Box::new(Disruptor::with(same)),
            Self::Harness => Box::new(Nothing::with(same)),
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

    /// Whether a publish said that it reached all five, and how many it did reach before the path was gone.
    fn publish_to_five<P: DispatchPath>() -> (bool, usize) {
        let calls = Arc::new(AtomicUsize::new(0));
        let path = P::with(Third(calls.clone()));
        let reached_all = path.publisher().publish(P::Event::EVENT);
        drop(path);
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
            assert_eq!(name.lane(0).change(7), name.can_change(), "{name}");
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
    fn every_path_that_does_the_same_stops_at_the_first_error_and_says_so() {
        let stopped = [
            publish_to_five::<RawLoop<Tick>>(),
            publish_to_five::<Signalpost<Tick>>(),
            publish_to_five::<ArcSwapGuard>(),
            publish_to_five::<ArcSwapCache>(),
            publish_to_five::<CrossbeamEpoch>(),
            publish_to_five::<Seize>(),
            publish_to_five::<LeftRight>(),
            publish_to_five::<StdRwLock>(),
            publish_to_five::<ParkingLotRwLock>(),
            publish_to_five::<StdMutex>(),
            publish_to_five::<Signals2>(),
            publish_to_five::<RawLoop<MixedTick>>(),
            publish_to_five::<Signalpost<MixedTick>>(),
            publish_to_five::<ByBus>(),
            publish_to_five::<ByTopic>(),
        ];
        assert_eq!(stopped, [(false, 3); 15]);
        assert_eq!(PathName::ALL.into_iter().filter(|name| name.does_the_same()).count(), stopped.len());
    }

    #[test]
    fn with_an_inbox_each_all_are_reached_and_the_publisher_hears_of_no_error() {
        assert_eq!(publish_to_five::<EventListeners>(), (true, 5));
        assert_eq!(publish_to_five::<TokioBroadcast>(), (true, 5));
        assert_eq!(publish_to_five::<BusCrate>(), (true, 5));
    }

    #[test]
    fn a_layer_or_a_worker_stops_at_the_first_error_and_the_publisher_hears_of_none() {
        assert_eq!(publish_to_five::<Tracing>(), (true, 3));
        assert_eq!(publish_to_five::<ToWorker<Crossbeam>>(), (true, 3));
        assert_eq!(publish_to_five::<ToWorker<Flume>>(), (true, 3));
        assert_eq!(publish_to_five::<Disruptor>(), (true, 3));
    }

    #[test]
    fn the_harness_alone_calls_nobody() {
        assert_eq!(publish_to_five::<Nothing>(), (true, 0));
    }

    #[test]
    fn who_does_other_work_does_not_compete_and_everyone_says_what_it_lacks() {
        for name in PathName::ALL {
            assert!(name.does_the_same() || !name.competes(), "{name}");
            let ours = matches!(
                name,
                PathName::Signalpost | PathName::SignalpostMixed | PathName::Bus | PathName::BusTopic
            );
            assert_eq!(name.lacks().is_empty(), ours, "{name}");
        }
    }

    #[test]
    fn all_that_was_published_to_a_worker_is_worked_off_before_the_lane_is_gone() {
        fn worked_off<P: DispatchPath<Event = Tick>>() -> usize {
            let calls = Arc::new(AtomicUsize::new(0));
            let path = P::with(Counting(calls.clone()));
            let mut publisher = path.publisher();
            (0..5_000).for_each(|_| assert!(publisher.publish(Tick::EVENT)));
            drop(publisher);
            drop(path);
            calls.load(Relaxed)
        }
        assert_eq!(worked_off::<ToWorker<Crossbeam>>(), 10_000);
        assert_eq!(worked_off::<ToWorker<Flume>>(), 10_000);
        assert_eq!(worked_off::<Disruptor>(), 10_000);
    }
}
