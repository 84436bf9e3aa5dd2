//! Plugins: functions with names, in crates of their own, which are called after an event's subscribers.
//!
//! `cargo run --example plugin`

use signalpost::{Bus, BusStop, On, Plugin, PluginFailed, Plugins, Policy, StoppedBy, Veto, event, plugins};

/// What the program announces, and what plugins are written for: the program's API.
struct WillUpload {
    file: &'static str,
    bytes: u64,
}
event!(WillUpload: "files.will_upload", stop = BusStop, entry_point = "files.plugins.will_upload");

/// As if in a crate of its own: it needs the API, and the program needs nothing of it but this name.
mod quota {
    use super::*;

    pub(crate) static PLUGIN: Plugin = Plugin::new("quota", &On(check)).priority(10);

    fn check(upload: &WillUpload) -> Result<(), BusStop> {
        if upload.bytes > 1_000 { Err(BusStop::veto("over 1,000 bytes")) } else { Ok(()) }
    }
}

/// Another one, which fails: `?` makes a failure of any error, and that is no veto.
mod thumbnails {
    use super::*;

    pub(crate) static PLUGIN: Plugin = Plugin::new("thumbnails", &On(draw));

    fn draw(upload: &WillUpload) -> Result<(), BusStop> {
        let (_, number) =
            upload.file.split_once('-').ok_or("no number in the name").map_err(BusStop::fail)?;
        println!("thumbnail {}", number.parse::<u32>()?);
        Ok(())
    }
}

fn main() {
    let (bus, registry) = (Bus::new(), Plugins::new());
    registry.add_all(plugins![thumbnails::PLUGIN, quota::PLUGIN]).expect("no two have one name");
    registry.expect(["quota"]).expect("without it nothing would be checked");
    for plugin in registry.list() {
        println!("{plugin}");
    }
    let _audit =
        bus.topic::<WillUpload>().subscribe(|upload: &WillUpload| println!("upload of {}", upload.file));

    // All is well: the subscriber first, then the plugins by priority.
    let upload = |file, bytes| bus.publish_and_call_plugins(&WillUpload { file, bytes }, &registry);
    assert!(upload("photo-7", 100).is_ok());

    // A veto reaches the publisher, with who it was.
    let stopped = upload("video-8", 1_000_000).unwrap_err();
    println!("{stopped}");
    let StoppedBy::Plugin { plugin, error: BusStop::Veto(Veto { reason }), not_run } = stopped else {
        panic!("vetoed by a plugin");
    };
    assert_eq!((plugin.name(), &*reason, not_run), ("quota", "over 1,000 bytes", 1));

    // So does a failure, unless the registry isolates failures: then it is an event of its own.
    assert!(upload("photo-x", 100).is_err());
    registry.set_policy(Policy::Isolate);
    let _report = bus.topic::<PluginFailed>().subscribe(|failed: &PluginFailed| {
        println!("{} failed: {}", failed.plugin, failed.error);
        assert_eq!(failed.error.to_string(), "invalid digit found in string");
    });
    assert!(upload("photo-x", 100).is_ok());
    assert_eq!(registry.list()[1].failures, 1);
}
