use signalpost::{On, Plugin, event};

struct Resolved;
event!(Resolved: "net.resolved");

static PLUGIN: Plugin = Plugin::new("acme.plugin", &On(|_: &Resolved| Ok(())));

fn main() {
    println!("{PLUGIN}");
}
