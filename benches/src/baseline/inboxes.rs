//! Crates that give every subscriber an inbox of its own; whose owner runs it when it looks there.
//!
//! Their users have a thread or a task for each subscriber. Here the publisher's thread looks into all inboxes after each event, so
//! that what is timed is what the crate does and not how the system wakes threads; and so one thread alone may publish.

use crate::{
    path::{DispatchPath, Publisher},
    scenario::{Crowd, SharedSubscriber, Tick},
};
use ::bus::{Bus, BusReader};
use event_listener::{Event, EventListener, Listener};
use std::sync::{Mutex, MutexGuard};
use tokio::sync::broadcast;

/// Events that fit in an inbox; each is taken out before the next one comes.
const CAPACITY: usize = 16;

/// Why a second publisher cannot be had.
const ONE: &str = "one publisher: what looks into the inboxes does it alone";

/// `event_listener::Event`: notifies everyone, and every listener listens again.
pub(crate) struct EventListeners {
    event: Event,
    subscribers: Vec<SharedSubscriber<Tick>>,
}

/// A listener for every subscriber.
pub(crate) struct Listening<'p> {
    event: &'p Event,
    ears: Vec<(EventListener, &'p SharedSubscriber<Tick>)>,
}

impl DispatchPath for EventListeners {
    type Event = Tick;
    type Publisher<'p> = Listening<'p>;

    fn with(crowd: impl Crowd<Tick>) -> Self {
        Self { event: Event::new(), subscribers: crowd.shared() }
    }

    fn publisher(&self) -> Listening<'_> {
        let ears = self.subscribers.iter().map(|subscriber| (self.event.listen(), subscriber)).collect();
        Listening { event: &self.event, ears }
    }
}

impl Publisher<Tick> for Listening<'_> {
    #[inline(always)]
    fn publish(&mut self, event: &'static Tick) -> bool {
        self.event.notify(usize::MAX);
        for (ear, subscriber) in &mut self.ears {
            let notified = std::mem::replace(ear, self.event.listen());
            notified.wait();
            let _ = subscriber(event); // there is nobody to tell
        }
        true
    }
}

/// `tokio::sync::broadcast`: a receiver for every subscriber.
pub(crate) struct TokioBroadcast(Mutex<Broadcast>);

/// The sender and all receivers.
pub(crate) struct Broadcast {
    sender: broadcast::Sender<&'static Tick>,
    receivers: Vec<(broadcast::Receiver<&'static Tick>, SharedSubscriber<Tick>)>,
}

impl DispatchPath for TokioBroadcast {
    type Event = Tick;
    type Publisher<'p> = MutexGuard<'p, Broadcast>;

    fn with(crowd: impl Crowd<Tick>) -> Self {
        let sender = broadcast::Sender::new(CAPACITY);
        let receivers =
            crowd.shared().into_iter().map(|subscriber| (sender.subscribe(), subscriber)).collect();
        Self(Mutex::new(Broadcast { sender, receivers }))
    }

    fn publisher(&self) -> MutexGuard<'_, Broadcast> {
        self.0.try_lock().expect(ONE)
    }
}

impl Publisher<Tick> for MutexGuard<'_, Broadcast> {
    #[inline(always)]
    fn publish(&mut self, event: &'static Tick) -> bool {
        let _ = self.sender.send(event); // an error says that nobody listens
        for (receiver, subscriber) in &mut self.receivers {
            while let Ok(event) = receiver.try_recv() {
                let _ = subscriber(event); // there is nobody to tell
            }
        }
        true
    }
}

/// The crate bus: one writer, a reader for every subscriber.
pub(crate) struct BusCrate(Mutex<Broadcaster>);

/// The bus and all its readers.
pub(crate) struct Broadcaster {
    bus: Bus<&'static Tick>,
    readers: Vec<(BusReader<&'static Tick>, SharedSubscriber<Tick>)>,
}

impl DispatchPath for BusCrate {
    type Event = Tick;
    type Publisher<'p> = MutexGuard<'p, Broadcaster>;

    fn with(crowd: impl Crowd<Tick>) -> Self {
        let mut bus = Bus::new(CAPACITY);
        let readers = crowd.shared().into_iter().map(|subscriber| (bus.add_rx(), subscriber)).collect();
        Self(Mutex::new(Broadcaster { bus, readers }))
    }

    fn publisher(&self) -> MutexGuard<'_, Broadcaster> {
        self.0.try_lock().expect(ONE)
    }
}

impl Publisher<Tick> for MutexGuard<'_, Broadcaster> {
    #[inline(always)]
    fn publish(&mut self, event: &'static Tick) -> bool {
        self.bus.broadcast(event);
        for (reader, subscriber) in &mut self.readers {
            while let Ok(event) = reader.try_recv() {
                let _ = subscriber(event); // there is nobody to tell
            }
        }
        true
    }
}
