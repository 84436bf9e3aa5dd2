//! For a C program: adds both plugins by hand.

use signalpost::{Plugins, plugins};

/// The report on both.
#[unsafe(no_mangle)]
pub extern "C" fn link_report() {
    let registry = Plugins::new();
    registry.add_all(plugins![link_alpha::PLUGIN, link_beta::PLUGIN]).expect("no two of one name");
    link_host::report(&registry);
}
