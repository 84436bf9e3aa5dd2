//! Plugins of an event on the process-wide bus, where a host framework publishes in its stead: after the host's subscribers and ours.
//! A test with a process of its own, since a host is installed once.

mod common;

use common::Log;
use signalpost::{
    AnyEvent, BusStop, HostBus, HostSubscriber, On, Plugin, Plugins, Policy, StoppedBy, bus, event, plugins,
    set_global, topic,
};
use std::sync::Mutex;

/// A framework with a notify of its own, which writes down what it publishes and vetoes on demand.
struct Framework {
    ours: Mutex<Option<HostSubscriber>>,
    published: Mutex<Vec<&'static str>>,
}

impl HostBus for Framework {
    fn publish(&self, event: &dyn AnyEvent) -> Result<(), BusStop> {
        self.published.lock().unwrap().push(event.name());
        if event.downcast_ref::<Asked>().is_some_and(|asked| asked.vetoed) {
            return Err(BusStop::veto("the framework says no"));
        }
        let ours = *self.ours.lock().unwrap();
        ours.map_or(Ok(()), |ours| ours.call(event))
    }

    fn subscribe(&self, subscriber: HostSubscriber) {
        *self.ours.lock().unwrap() = Some(subscriber);
    }
}

static FRAMEWORK: Framework = Framework { ours: Mutex::new(None), published: Mutex::new(Vec::new()) };

struct Asked {
    log: Log<&'static str>,
    vetoed: bool,
}
event!(Asked: "test.asked", stop = BusStop, entry_point = "test.plugins.asked");

static FAILS: Plugin = Plugin::new("fails", &On(|_: &Asked| Err(BusStop::fail("no luck")))).priority(1);
static RUNS: Plugin = Plugin::new(
    "runs",
    &On(|asked: &Asked| {
        asked.log.push("plugin");
        Ok(())
    }),
);

#[test]
fn plugins_are_called_after_all_of_the_hosts_subscribers_and_reports_go_through_the_host() {
    set_global(&FRAMEWORK).unwrap();
    topic::<Asked>().subscribe(|asked: &Asked| asked.log.push("subscriber")).detach();
    let registry = Plugins::new();
    registry.set_policy(Policy::Isolate);
    registry.add_all(plugins![RUNS, FAILS]).unwrap();

    let mut asked = Asked { log: Log::new(), vetoed: false };
    bus().publish_and_call_plugins(&asked, &registry).unwrap();
    assert_eq!(asked.log.take(), ["subscriber", "plugin"]);
    assert_eq!(*FRAMEWORK.published.lock().unwrap(), ["test.asked", "signalpost.plugin_failed"]);

    asked.vetoed = true;
    let stopped = bus().publish_and_call_plugins(&asked, &registry).unwrap_err();
    assert!(matches!(stopped, StoppedBy::Subscriber(_)), "{stopped}");
    assert!(asked.log.take().is_empty());
}
