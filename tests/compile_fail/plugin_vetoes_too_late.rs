use signalpost::{BusStop, On, Plugin, event};

struct Resolved;
event!(Resolved: "net.resolved", entry_point = "net.plugins.resolved");

static PLUGIN: Plugin = Plugin::new("acme.plugin", &On(no));

fn no(_: &Resolved) -> Result<(), BusStop> {
    Err(BusStop::veto("no"))
}

fn main() {
    println!("{PLUGIN}");
}
