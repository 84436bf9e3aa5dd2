//! Subscribers that end by themselves: `once` after one event, `weak` with the target that it is tied to.
//!
//! `cargo run --example once_and_weak`

use signalpost::{Dispatcher, SubscribeOptions};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, mpsc};

static READY: Dispatcher<u16, Infallible> = Dispatcher::new();

/// A widget that redraws itself, until its owner lets go of it.
#[derive(Default)]
struct Widget {
    redrawn: AtomicU32,
}

fn main() {
    // Whichever publish reaches it first runs it, on whatever thread; no other does.
    let (tell, told) = mpsc::channel();
    const ONCE: SubscribeOptions = SubscribeOptions::new().once();
    READY.subscribe_with(ONCE, move |port: &u16| tell.send(*port).expect("main listens")).detach();

    // The subscriber keeps no widget alive, and is given the widget that it is about.
    let widget = Arc::new(Widget::default());
    let subscription = READY.subscribe_weak(&widget, |widget: &Widget, port: &u16| {
        println!("redrawn for port {port}");
        widget.redrawn.fetch_add(1, Relaxed);
    });
    assert_eq!(Arc::strong_count(&widget), 1);

    READY.publish(&8080);
    READY.publish(&9090);
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [8080]);
    assert_eq!(widget.redrawn.load(Relaxed), 2);

    drop(widget);
    READY.publish(&7070); // nobody is called, and the subscriber notices that its target is gone
    assert!(!subscription.is_active());

    // What has ended is skipped at once, and leaves the list at the next write, since a publish never writes.
    assert_eq!((READY.len(), READY.subscribers().len()), (2, 0));
    let plain = READY.subscribe(|_: &u16| ());
    assert_eq!(READY.len(), 1);
    drop(plain);

    // Ended is not yet freed: `collect` drops what they captured, here the sender.
    READY.collect();
    assert!(matches!(told.try_recv(), Err(mpsc::TryRecvError::Disconnected)));
}
