//! Hand-off from a bus: of one type, of a family, of every event.

mod common;

use common::within;
use signalpost::{Bus, BusStop, Full, FullRing, QueueFull, RecvError, SubscribeOptions, event, family};
use std::thread;

#[derive(Clone, Debug, PartialEq)]
struct Opened(u32);

#[derive(Clone, Debug, PartialEq)]
struct Closed(u32);

trait DoorEvent: signalpost::AnyEvent {
    fn door(&self) -> u32;
}
family!(struct Doors: dyn DoorEvent = "doors");

impl DoorEvent for Opened {
    fn door(&self) -> u32 {
        self.0
    }
}

impl DoorEvent for Closed {
    fn door(&self) -> u32 {
        self.0
    }
}
event!(Opened: "door.opened", stop = BusStop, families = [Doors]);
event!(Closed: "door.closed", stop = BusStop, families = [Doors]);

#[test]
fn a_queue_gets_what_its_topic_family_or_bus_gets() {
    let (bus, options) = (Bus::new(), SubscribeOptions::new());
    let opened = bus.topic::<Opened>().subscribe_queue(8, Full::DropNewest);
    let mut closed = bus.topic::<Closed>().subscribe_rings(8, FullRing::DropNewest);
    let doors =
        bus.family::<Doors>().subscribe_queue_with(options, 8, Full::DropNewest, |event| Some(event.door()));
    let mut names = bus.subscribe_rings_with(options, 8, FullRing::DropNewest, |event| Some(event.name()));
    bus.publish(&Opened(1)).unwrap();
    bus.publish(&Closed(2)).unwrap();
    assert_eq!(opened.try_iter().collect::<Vec<_>>(), [Opened(1)]);
    assert_eq!(closed.try_iter().collect::<Vec<_>>(), [Closed(2)]);
    assert_eq!(doors.try_iter().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(names.try_iter().collect::<Vec<_>>(), ["door.opened", "door.closed"]);
}

#[test]
fn a_full_queue_stops_an_event_of_a_bus_as_a_failure() {
    let bus = Bus::new();
    let receiver = bus.topic::<Opened>().subscribe_queue(1, Full::stop());
    bus.publish(&Opened(1)).unwrap();
    let stopped = bus.publish(&Opened(2)).unwrap_err();
    assert_eq!(stopped.subscriber.id, receiver.id());
    let BusStop::Fail(error) = stopped.error else { panic!("{:?}", stopped.error) };
    assert_eq!(error.downcast_ref::<QueueFull>().unwrap().capacity, 1);
}

#[test]
fn the_end_of_the_bus_closes_its_queues_though_a_topic_is_kept() {
    within(|| {
        let bus = Bus::new();
        let topic = bus.topic::<Opened>();
        let receiver = topic.subscribe_queue(4, Full::DropNewest);
        let thread = thread::spawn(move || [receiver.recv(), receiver.recv()]);
        bus.publish(&Opened(1)).unwrap();
        drop(bus);
        assert_eq!(thread.join().unwrap(), [Ok(Opened(1)), Err(RecvError::Closed)]);
        drop(topic);
    });
}
