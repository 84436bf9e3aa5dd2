//! What the plugins are written for: one event, and a report on a registry.

use signalpost::{Bus, Plugins, event};
use std::cell::RefCell;

/// Those that are called write down their names.
#[derive(Default)]
pub struct Started(pub RefCell<Vec<&'static str>>);
event!(Started: "link.started", entry_point = "link.plugins.started");

/// Prints which plugins are there, what `expect` says of both, and which are called.
pub fn report(registry: &Plugins) {
    let there: Vec<_> = registry.list().iter().map(|plugin| plugin.name).collect();
    println!("there: {}", there.join(" "));
    match registry.expect(["link.alpha", "link.beta"]) {
        Ok(()) => println!("expect: ok"),
        Err(error) => println!("expect: {error}"),
    }
    let event = Started::default();
    Bus::new().publish_and_call_plugins(&event, registry).expect("no plugin fails");
    println!("called: {}", event.0.into_inner().join(" "));
}

/// The report on what was linked in.
pub fn discovering() {
    let registry = Plugins::new();
    registry.discover().expect("no two of one name");
    report(&registry);
}
