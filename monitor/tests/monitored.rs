//! Tasks that are monitored, without a runtime or a loop of anybody.

use signalpost::Bus;
use signalpost::monitor::{EventLoopBlocked, Monitor, Monitored};
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Only ends what hangs.
const HANG: Duration = Duration::from_secs(60);

/// Nothing is added to the monitor, so nothing but the task wakes it.
#[test]
fn a_task_alone_is_watched_from_the_start() {
    static NONE: signalpost::Plugins = signalpost::Plugins::new();
    let bus = Arc::new(Bus::new());
    let (tell, told) = mpsc::channel();
    let _seen = bus.topic::<EventLoopBlocked>().subscribe(move |event| {
        let _ = tell.send((event.hub.name().to_owned(), event.task.name.clone()));
    });
    let monitor = Monitor::builder().bus(bus.clone()).plugins(&NONE).print_blocking_reports(false);
    let _monitor = monitor.start().unwrap();
    // Blocks until it is told of.
    let task = Monitored::new(async { told.recv_timeout(HANG) }).named("upload");
    let seen = match pin!(task).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(seen) => seen.unwrap(),
        Poll::Pending => unreachable!("it waits for nothing but the channel"),
    };
    assert_eq!(seen, ("tasks".to_owned(), Some(Arc::from("upload"))));
}
