//! A plugin in a crate of its own.
#![forbid(unsafe_code)]

use link_host::Started;
use signalpost::{BoxError, On, Plugin, discover};

pub static PLUGIN: Plugin = Plugin::new("link.beta", &On(call));
discover!(PLUGIN);

fn call(event: &Started) -> Result<(), BoxError> {
    event.0.borrow_mut().push("link.beta");
    Ok(())
}
