//! Events of any type: unsized, borrowed, not `Send`, not `Sync`; the dispatcher and its handles do not mind.

mod common;

use common::{Log, Plain, within};
use signalpost::Dispatcher;
use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

#[test]
fn text() {
    let (post, log) = (Plain::<str>::new(), Log::new());
    let seen = log.clone();
    let _sub = post.subscribe(move |text: &str| seen.push(text.to_uppercase()));
    post.publish("literal");
    post.publish(&String::from("owned"));
    post.publish_with(|| "made".to_owned());
    assert_eq!(log.take(), ["LITERAL", "OWNED", "MADE"]);
}

#[test]
fn slices() {
    let (post, log) = (Plain::<[u8]>::new(), Log::new());
    let seen = log.clone();
    let _sub =
        post.subscribe(move |bytes: &[u8]| seen.push(bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>()));
    post.publish(&[1, 2, 3]);
    post.publish(&[4; 100]);
    post.publish(&[]);
    assert_eq!(log.take(), [6, 400, 0]);
}

#[test]
fn trait_objects() {
    trait Shape {
        fn area(&self) -> u32;
    }
    struct Square(u32);
    impl Shape for Square {
        fn area(&self) -> u32 {
            self.0 * self.0
        }
    }
    struct Empty;
    impl Shape for Empty {
        fn area(&self) -> u32 {
            0
        }
    }
    let (post, log) = (Dispatcher::<dyn Shape, u32>::new(), Log::new());
    let seen = log.clone();
    let _sub = post.subscribe(move |shape: &(dyn Shape + 'static)| match shape.area() {
        0 => Err(0),
        area => {
            seen.push(area);
            Ok(())
        }
    });
    post.publish(&Square(3)).unwrap();
    assert_eq!(post.publish(&Empty).unwrap_err().error, 0);
    assert_eq!(log.take(), [9]);

    let shown = Plain::<dyn Debug>::new();
    let seen = Log::new();
    let lines = seen.clone();
    let _shown = shown.subscribe(move |event: &(dyn Debug + 'static)| lines.push(format!("{event:?}")));
    shown.publish(&1);
    shown.publish(&"two");
    assert_eq!(seen.take(), ["1", "\"two\""]);
}

#[test]
fn events_that_subscribers_change_through_cells() {
    let post = Plain::<(Cell<u32>, RefCell<Vec<u32>>)>::new();
    let _add = post.subscribe(|(sum, _): &(Cell<u32>, _)| sum.set(sum.get() + 1));
    let _note =
        post.subscribe(|(sum, seen): &(Cell<u32>, RefCell<Vec<u32>>)| seen.borrow_mut().push(sum.get()));
    let event = (Cell::new(0), RefCell::default());
    for _ in 0..3 {
        post.publish(&event);
    }
    assert_eq!(event.1.into_inner(), [1, 2, 3]);
}

#[test]
fn an_event_that_may_not_leave_its_thread_is_published_on_every_thread() {
    within(|| {
        // The dispatcher and the handle are shared; each thread has events of its own.
        let post = Arc::new(Plain::<Rc<Cell<u32>>>::new());
        let sub = post.subscribe(|event: &Rc<Cell<u32>>| event.set(event.get() + 1));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let post = post.clone();
                thread::spawn(move || {
                    let event = Rc::new(Cell::new(0));
                    for _ in 0..1_000 {
                        post.publish(&event);
                    }
                    assert_eq!((event.get(), Rc::strong_count(&event)), (1_000, 1));
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        thread::spawn(move || assert!(sub.cancel())).join().unwrap();
    });
}

#[test]
fn an_event_of_no_size_and_one_of_much() {
    let (unit, big) = (Plain::<()>::new(), Plain::<[u64; 4_096]>::new());
    let calls = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = |calls: &Arc<std::sync::atomic::AtomicU32>| {
        let calls = calls.clone();
        move || {
            calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    };
    let (first, second) = (count(&calls), count(&calls));
    let _unit = unit.subscribe(move |(): &()| first());
    let _big = big.subscribe(move |event: &[u64; 4_096]| {
        assert_eq!(event[4_095], 7);
        second();
    });
    unit.publish(&());
    big.publish(&[7; 4_096]);
    assert_eq!(calls.load(std::sync::atomic::Ordering::SeqCst), 2);
}

#[test]
fn a_subscriber_is_given_the_very_event() {
    struct Event(Cell<*const Event>);
    let post = Plain::<Event>::new();
    let _sub = post.subscribe(|event: &Event| event.0.set(event));
    let event = Event(Cell::new(std::ptr::null()));
    post.publish(&event);
    assert!(std::ptr::eq(event.0.get(), &raw const event));
}

#[test]
fn captures_of_any_size_and_alignment_are_kept_whole() {
    #[derive(Clone, Copy)]
    #[repr(align(256))]
    struct Aligned(u8);
    let (post, log) = (Plain::<u32>::new(), Log::new());
    let (a, b, c) = (log.clone(), log.clone(), log.clone());
    let (aligned, big) = (Aligned(7), [3_u64; 2_000]);
    let _subs = (
        post.subscribe(move |_: &u32| {
            assert!((&raw const aligned).addr().is_multiple_of(256));
            a.push(u64::from(aligned.0));
        }),
        post.subscribe(move |_: &u32| b.push(big.iter().sum::<u64>())),
        post.subscribe(|_: &u32| ()),
        post.subscribe(move |n: &u32| c.push(u64::from(*n))),
    );
    post.publish(&1);
    assert_eq!(log.take(), [7, 6_000, 1]);
}
