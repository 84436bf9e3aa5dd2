//! Plugins that were linked in: found by name, in the order of the registry, each once. (What a linker leaves out is the business
//! of the facade's test `plugins_link`.)
#![cfg(feature = "discover")]

use signalpost::{BoxError, Bus, On, Plugin, PluginError, PluginSource, Plugins, discover, event, plugins};
use std::cell::RefCell;

struct Started(RefCell<Vec<&'static str>>);
event!(Started: "test.started", entry_point = "test.plugins.started");

mod alpha {
    use super::*;
    pub(crate) static PLUGIN: Plugin = Plugin::new("test.alpha", &On(call));
    discover!(PLUGIN);

    fn call(event: &Started) -> Result<(), BoxError> {
        event.0.borrow_mut().push("alpha");
        Ok(())
    }
}

mod beta {
    use super::*;
    pub(crate) static PLUGIN: Plugin = Plugin::new("test.beta", &On(call)).priority(5);
    pub(crate) static AND_ANOTHER: Plugin = Plugin::new("test.another", &On(|_: &Started| Ok(())));
    discover!(PLUGIN, AND_ANOTHER);
    discover!(PLUGIN); // twice is once

    fn call(event: &Started) -> Result<(), BoxError> {
        event.0.borrow_mut().push("beta");
        Ok(())
    }
}

static SAME_NAME: Plugin = Plugin::new("test.alpha", &On(|_: &Started| Ok(())));

#[test]
fn what_was_linked_in_is_found_once_and_called_in_order() {
    let registry = Plugins::new();
    assert_eq!(registry.discover(), Ok(3));
    assert_eq!(registry.discover(), Ok(0));
    registry.expect(["test.alpha", "test.beta", "test.another"]).unwrap();
    assert!(registry.list().iter().all(|plugin| plugin.source == PluginSource::Discovered));
    assert!(registry.list()[0].to_string().ends_with(", discovered"));

    let event = Started(RefCell::default());
    Bus::new().publish_and_call_plugins(&event, &registry).unwrap();
    assert_eq!(event.0.into_inner(), ["beta", "alpha"]);
}

#[test]
fn what_was_added_by_hand_is_not_found_again() {
    let registry = Plugins::new();
    registry.add_all(plugins![beta::PLUGIN, alpha::PLUGIN]).unwrap();
    assert_eq!(registry.discover(), Ok(1));
    let added: Vec<_> =
        registry.list().iter().map(|plugin| matches!(plugin.source, PluginSource::Added(_))).collect();
    assert_eq!(added, [true, true, false], "beta, alpha, another");
    registry.remove("test.beta").unwrap();
    assert_eq!(registry.discover(), Ok(1));
}

#[test]
fn a_found_plugin_of_a_name_that_is_taken_is_refused_and_nothing_is_added() {
    let registry = Plugins::new();
    registry.add(&SAME_NAME).unwrap();
    let (there, refused) = (SAME_NAME.location(), alpha::PLUGIN.location());
    assert_eq!(registry.discover(), Err(PluginError::Duplicate { name: "test.alpha", there, refused }));
    assert_eq!(registry.list().len(), 1);
}
