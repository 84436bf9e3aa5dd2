//! A publish on a bus allocates and frees nothing on the publishing thread, prepared or not, and an unknown type writes nothing.
//!
//! Not where readers go through arc-swap's guard, as a cross-check: that allocates at a thread's first read.
#![cfg(not(signalpost_arc_swap_reads))]

mod bus_common;
mod common;
#[path = "common/heap.rs"]
mod heap;

use bus_common::{Alone, Bases, Leaf, Middles, Refusal, Sides, Strict, Told};
use heap::counted;
use signalpost::{Bus, SubscribeOptions, SubscriptionSet};
use std::hint::black_box;

/// A bus with so many subscribers in every list that a `Leaf` or `Told` goes through.
fn crowded(bus: &Bus, len: usize) -> SubscriptionSet {
    let mut set = SubscriptionSet::new();
    for place in 0..len {
        let look = move |number: u32| _ = black_box(number as usize + place);
        set.add(bus.subscribe(move |event| look(event.name().len() as u32)));
        set.add(bus.topic::<Leaf>().subscribe(move |leaf: &Leaf| look(leaf.0)));
        set.add(bus.family::<Middles>().subscribe(move |event| look(event.number())));
        set.add(bus.family::<Bases>().subscribe(move |event| look(event.number())));
        set.add(bus.subscribe(move |event| look(event.name().len() as u32)));
    }
    set
}

const SIZES: [usize; 5] = [0, 1, 64, 257, 600];

#[test]
fn the_counters_count() {
    assert_eq!(counted(|| drop(black_box(Box::new(7)))), (1, 1));
}

#[test]
fn no_way_to_publish_allocates_or_frees_once_the_thread_is_warm() {
    for len in SIZES {
        let bus = Bus::new();
        let _subs = crowded(&bus, len);
        let topic = bus.topic::<Leaf>();
        signalpost::warm_up();
        let both = counted(|| {
            for _ in 0..50 {
                bus.publish(&Leaf(1)).unwrap();
                bus.try_publish(&Leaf(1)).unwrap();
                bus.publish_any(&Leaf(1)).unwrap();
                topic.publish(&Leaf(1)).unwrap();
                topic.try_publish(&Leaf(1)).unwrap();
                topic.publish_with(|| Leaf(1)).unwrap();
                black_box((
                    bus.has_subscribers::<Leaf>(),
                    topic.has_subscribers(),
                    bus.len(),
                    bus.is_empty(),
                ));
            }
        });
        assert_eq!(both, (0, 0), "{len} in each list");
    }
}

#[test]
fn a_type_that_nobody_prepared_allocates_nothing_and_leaves_no_trace() {
    for len in SIZES {
        let bus = Bus::new();
        let _subs = crowded(&bus, len);
        signalpost::warm_up();
        let (retired, before) = (bus.retired(), bus.subscribers());
        let both = counted(|| {
            for _ in 0..50 {
                bus.publish(&Told(1)).unwrap();
                bus.publish(&Alone).unwrap();
                bus.publish(&Strict(1)).unwrap();
                bus.publish_any(&Told(1)).unwrap();
                black_box((bus.has_subscribers::<Told>(), bus.has_subscribers::<Alone>()));
            }
        });
        assert_eq!(both, (0, 0), "{len} in each list");
        assert_eq!((bus.retired(), bus.subscribers()), (retired, before), "a publish is no write");
    }
}

#[test]
fn a_bus_that_nobody_used_allocates_nothing() {
    let both = counted(|| {
        let bus = Bus::new();
        bus.publish(&Leaf(1)).unwrap();
        bus.publish_any(&Told(1)).unwrap();
        black_box((bus.is_empty(), bus.len(), bus.retired(), bus.has_subscribers::<Leaf>(), bus.collect()));
        drop(Bus::named("named").with_max_depth(8));
    });
    assert_eq!(both, (0, 0));
}

#[test]
fn a_stop_allocates_nothing_of_its_own() {
    for len in SIZES {
        let bus = Bus::new();
        let _subs = crowded(&bus, len);
        let _stop = bus.topic::<Strict>().subscribe(|strict: &Strict| Err(Refusal::Code(strict.0)));
        let topic = bus.topic::<Strict>();
        signalpost::warm_up();
        let both = counted(|| {
            // Of the plain ones the first was there before the first handler.
            assert_eq!(bus.publish(&Strict(7)).unwrap_err().not_run, (3 * len).saturating_sub(1));
            assert_eq!(topic.publish(&Strict(7)).unwrap_err().position, len.min(1));
        });
        assert_eq!(both, (0, 0), "{len} in each list");
    }
}

#[test]
fn a_once_subscriber_frees_nothing_on_the_publishing_thread() {
    let bus = Bus::new();
    let captured = String::from("captured");
    let once = SubscribeOptions::new().once();
    bus.family::<Sides>().subscribe_with(once, move |_| _ = black_box(captured.len())).detach();
    signalpost::warm_up();
    assert_eq!(counted(|| bus.publish(&Told(1)).unwrap()), (0, 0));
    assert_eq!(counted(|| bus.publish(&Told(1)).unwrap()), (0, 0));
}

#[test]
fn nested_publishes_of_other_types_allocate_nothing() {
    let bus = std::sync::Arc::new(Bus::new());
    let own = std::sync::Arc::downgrade(&bus);
    bus.topic::<Leaf>()
        .subscribe(move |leaf: &Leaf| {
            let bus = own.upgrade().expect("being published to");
            bus.publish(&Told(leaf.0)).unwrap();
            bus.publish(&Alone).unwrap();
        })
        .detach();
    bus.family::<Bases>().subscribe(|event| _ = black_box(event.number())).detach();
    signalpost::warm_up();
    assert_eq!(counted(|| (0..50).for_each(|n| bus.publish(&Leaf(n)).unwrap())), (0, 0));
}
