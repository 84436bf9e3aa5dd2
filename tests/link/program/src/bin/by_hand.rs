//! Adds both plugins by hand.

use signalpost::{Plugins, plugins};

fn main() {
    let registry = Plugins::new();
    registry.add_all(plugins![link_alpha::PLUGIN, link_beta::PLUGIN]).expect("no two of one name");
    link_host::report(&registry);
}
