//! A queue to one thread that runs all subscribers.
//!
//! A publish hands the event over and is done; if the queue is full it waits. So that a closed loop measures what it costs for
//! as long as one likes, the queue is full before it begins. The worker has the second core, as the receiver of the hand-off has:
//! a thread has the cores of the one that starts it, and a publisher has only one. What is still under way when a publisher ends is
//! worked off first, or the worker would disturb what is measured next.

use super::{List, walk};
use crate::{
    crew::{cores_apart, pin_to},
    path::{DispatchPath, Publisher},
    scenario::{Crowd, Event, Tick},
};
use core_affinity::CoreId;
use disruptor::{BusySpin, Producer, SingleConsumerBarrier, SingleProducer};
use std::{
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
};

/// Places in a queue: few beside the publishes of a batch, so that it hardly matters how many of them are taken when it ends.
const CAPACITY: usize = 128;

/// The core for a worker: not the first publisher's, where there is another. To be asked on a thread that may use all.
fn core() -> Option<CoreId> {
    cores_apart().get(1).copied()
}

/// A bounded channel.
pub(crate) trait Channel: 'static {
    /// The publisher's end.
    type Sender: Send + Sync + 'static;
    /// The worker's end; gives events until no sender is left.
    type Receiver: IntoIterator<Item = &'static Tick> + Send + 'static;

    /// Both ends.
    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver);

    /// Waits for a place, then sends.
    fn send(to: &Self::Sender, event: &'static Tick);

    /// Whether the worker has taken all.
    fn is_empty(sender: &Self::Sender) -> bool;
}

const WORKS: &str = "the worker ends after its last sender";

/// The crate crossbeam-channel.
pub(crate) enum Crossbeam {}

impl Channel for Crossbeam {
    type Sender = crossbeam_channel::Sender<&'static Tick>;
    type Receiver = crossbeam_channel::Receiver<&'static Tick>;

    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver) {
        crossbeam_channel::bounded(capacity)
    }

    #[inline(always)]
    fn send(to: &Self::Sender, event: &'static Tick) {
        to.send(event).expect(WORKS);
    }

    fn is_empty(sender: &Self::Sender) -> bool {
        sender.is_empty()
    }
}

/// The crate flume.
pub(crate) enum Flume {}

impl Channel for Flume {
    type Sender = flume::Sender<&'static Tick>;
    type Receiver = flume::Receiver<&'static Tick>;

    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver) {
        flume::bounded(capacity)
    }

    #[inline(always)]
    fn send(to: &Self::Sender, event: &'static Tick) {
        to.send(event).expect(WORKS);
    }

    fn is_empty(sender: &Self::Sender) -> bool {
        sender.is_empty()
    }
}

/// A channel to a worker.
pub(crate) struct ToWorker<C: Channel> {
    sender: Option<C::Sender>,
    worker: Option<JoinHandle<()>>,
}

/// The channel for one publisher.
pub(crate) struct Sending<'p, C: Channel>(&'p C::Sender, PhantomData<C>);

impl<C: Channel> DispatchPath for ToWorker<C> {
    type Event = Tick;
    const QUEUE: u64 = CAPACITY as u64;
    type Publisher<'p> = Sending<'p, C>;

    fn with(crowd: impl Crowd<Tick>) -> Self {
        let (sender, receiver) = C::bounded(CAPACITY);
        let (subscribers, core): (List, _) = (crowd.shared(), core());
        let worker = thread::spawn(move || {
            pin_to(core);
            for event in receiver {
                walk(&subscribers, event);
            }
        });
        Self { sender: Some(sender), worker: Some(worker) }
    }

    fn publisher(&self) -> Sending<'_, C> {
        Sending(self.sender.as_ref().expect("it is there until the end"), PhantomData)
    }
}

impl<C: Channel> Publisher<Tick> for Sending<'_, C> {
    #[inline(always)]
    fn publish(&mut self, event: &'static Tick) -> bool {
        C::send(self.0, event);
        true
    }
}

impl<C: Channel> Drop for Sending<'_, C> {
    fn drop(&mut self) {
        while !C::is_empty(self.0) {
            thread::yield_now();
        }
    }
}

impl<C: Channel> Drop for ToWorker<C> {
    fn drop(&mut self) {
        self.sender = None;
        let ended = self.worker.take().expect("it is joined once").join();
        ended.expect("no subscriber panics");
    }
}

/// The crate disruptor: a ring with one producer, and a processor that spins on a thread of its own.
///
/// The ring is a publisher's: its processor spins, and while none publishes it would take a core from others.
pub(crate) struct Disruptor {
    subscribers: Arc<List>,
    core: Option<CoreId>,
    taken: AtomicBool,
}

/// One ring with its processor.
pub(crate) struct Ring<'p> {
    // Dropped first, and waits until the processor has worked everything off.
    producer: SingleProducer<&'static Tick, SingleConsumerBarrier>,
    _taken: Taken<'p>,
}

/// That there is a ring.
struct Taken<'p>(&'p AtomicBool);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.store(false, Relaxed);
    }
}

impl DispatchPath for Disruptor {
    type Event = Tick;
    const QUEUE: u64 = CAPACITY as u64;
    type Publisher<'p> = Ring<'p>;

    fn with(crowd: impl Crowd<Tick>) -> Self {
        Self { subscribers: Arc::new(crowd.shared()), core: core(), taken: AtomicBool::new(false) }
    }

    fn publisher(&self) -> Ring<'_> {
        assert!(!self.taken.swap(true, Relaxed), "one publisher: the ring has a single producer");
        let (subscribers, core) = (self.subscribers.clone(), self.core);
        let processor = move |_: &mut (), event: &&'static Tick, _, _| {
            walk(&subscribers, event);
        };
        let producer = disruptor::build_single_producer(CAPACITY, || Tick::EVENT, BusySpin)
            // The crate's own pinning asks for a core that this thread may use; the processor itself may ask for any.
            .handle_events_and_state_with(processor, move || {
                pin_to(core);
            })
            .build();
        Ring { producer, _taken: Taken(&self.taken) }
    }
}

impl Publisher<Tick> for Ring<'_> {
    #[inline(always)]
    fn publish(&mut self, event: &'static Tick) -> bool {
        self.producer.publish(|slot| *slot = event);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crew::Crew,
        harness::{Batch, Gate, Lane},
        scenario::{Answer, Register},
    };
    use std::sync::Mutex;

    /// One subscriber, which notes on which cores it may run.
    struct Where(Arc<Mutex<Vec<usize>>>);

    impl Crowd<Tick> for Where {
        fn register_in(self, to: &mut impl Register<Tick>) {
            to.register(move |_: &Tick| -> Answer {
                let cores = core_affinity::get_core_ids().unwrap_or_default();
                *self.0.lock().unwrap() = cores.iter().map(|core| core.id).collect();
                Ok(())
            });
        }
    }

    /// Where a worker ran, with a publisher that is pinned.
    fn cores_of_worker<P: DispatchPath<Event = Tick>>() -> Vec<usize> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let path = P::with(Where(seen.clone()));
        thread::scope(|scope| {
            let batch = Batch { publishes: 3, laps: 1 };
            Crew::start(scope, 1).measure(&path, 1, batch);
        });
        drop(path);
        let seen = seen.lock().unwrap();
        seen.clone()
    }

    #[test]
    fn a_worker_has_not_the_core_of_its_publisher_where_there_is_another() {
        let Some(second) = core() else { return };
        assert_eq!(cores_of_worker::<ToWorker<Crossbeam>>(), [second.id]);
        assert_eq!(cores_of_worker::<ToWorker<Flume>>(), [second.id]);
        assert_eq!(cores_of_worker::<Disruptor>(), [second.id]);
    }

    #[test]
    fn a_ring_can_be_had_again_when_its_publisher_is_gone() {
        let path = Disruptor::with(crate::scenario::Same(1));
        for _ in 0..2 {
            path.measure(&Gate::new(1), Batch { publishes: 3, laps: 1 });
        }
    }
}
