//! What the monitor is to call can be called: in gevent it is an error when it runs.
use signalpost::monitor::Monitor;
use std::time::Duration;

fn main() {
    let monitor = Monitor::builder().start().unwrap();
    let _ = monitor.add_monitoring_function_named("disk", 5, Some(Duration::from_secs(1)));
}
