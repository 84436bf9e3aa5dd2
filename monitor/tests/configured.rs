//! A monitor with settings of the environment: who wins, what is there from the start, what is changed later.

#[path = "../../dispatch/tests/common/mod.rs"]
mod common;

use signalpost::monitor::{
    MemoryError, MemoryInfo, Monitor, MonitorBuilder, MonitorConfig, MonitorRef, SettingError, StartError,
};
use signalpost::{Bus, Plugins};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const MILLI: Duration = Duration::from_millis(1);
static NONE: Plugins = Plugins::new();

fn on(bus: &Arc<Bus>) -> MonitorBuilder {
    Monitor::builder().bus(bus.clone()).plugins(&NONE)
}

fn config(vars: &[(&str, &str)]) -> MonitorConfig {
    MonitorConfig::from_vars(vars.iter().copied()).unwrap()
}

fn keys(monitor: &MonitorRef) -> Vec<String> {
    let name = |key: Option<Arc<str>>| key.as_deref().unwrap_or("none").to_owned();
    monitor.functions().into_iter().map(|info| name(info.name.key)).collect()
}

#[test]
fn what_is_set_after_the_configuration_holds_and_what_was_set_before_does_not() {
    let config = config(&[
        ("SIGNALPOST_MAX_BLOCKING_TIME", "0.25"),
        ("SIGNALPOST_MONITOR_PRINT_BLOCKING_REPORTS", "no"),
    ]);
    let bus = Arc::default();
    let seen = |monitor: Monitor| (monitor.max_blocking_time(), monitor.print_blocking_reports());
    let before = on(&bus).max_blocking_time(MILLI).print_blocking_reports(true).config(config.clone());
    assert_eq!(seen(before.start().unwrap()), (Some(250 * MILLI), false));
    let after = on(&bus).config(config).max_blocking_time(None).print_blocking_reports(true);
    assert_eq!(seen(after.start().unwrap()), (None, true));
}

#[cfg(target_os = "linux")]
#[test]
fn the_watch_is_there_before_anybody_is_told_that_the_monitor_has_started() {
    use signalpost::monitor::PeriodicMonitorThreadStarted;
    use std::sync::Mutex;
    let bus = Arc::new(Bus::new());
    let listed = Arc::new(Mutex::new(Vec::new()));
    let list = listed.clone();
    let _sub = bus.topic::<PeriodicMonitorThreadStarted>().subscribe(move |event| {
        let functions = event.monitor.functions().into_iter();
        list.lock().unwrap().extend(functions.map(|info| (info.name.key, info.period)));
    });
    let monitor = on(&bus).config(config(&[("SIGNALPOST_MONITOR_MEMORY_PERIOD", "3.5")])).start().unwrap();
    assert_eq!(*listed.lock().unwrap(), [(Some("signalpost.memory".into()), 3_500 * MILLI)]);
    assert_eq!(monitor.memory().unwrap().max_memory_usage(), None);
}

#[cfg(target_os = "linux")]
#[test]
fn a_limit_that_is_set_later_holds_from_the_next_check_on() {
    use signalpost::monitor::MemoryUsageThresholdExceeded;
    use std::{sync::mpsc, thread};
    let bus = Arc::new(Bus::new());
    let (told, hear) = mpsc::channel();
    let _sub = bus.topic::<MemoryUsageThresholdExceeded>().subscribe(move |event| {
        let _ = told.send((event.max_allowed, thread::current().id()));
    });
    let mut config = MonitorConfig::default();
    config.memory_monitor_period = Some(MILLI);
    let monitor = on(&bus).config(config).start().unwrap();
    assert!(hear.try_recv().is_err(), "there is no limit");
    monitor.memory().unwrap().set_max_memory_usage(Some(4711));
    assert_eq!(hear.recv_timeout(common::HANG).unwrap(), (4711, monitor.thread_id().unwrap()));
}

#[test]
fn without_a_period_there_is_no_watch() {
    let monitor = on(&Arc::default()).config(config(&[("SIGNALPOST_MONITOR_MEMORY_PERIOD", "off")])).start();
    let monitor = monitor.unwrap();
    assert!(monitor.memory().is_none() && monitor.functions().is_empty());
    assert!(on(&Arc::default()).start().unwrap().memory().is_none(), "nobody asked for one");
}

#[cfg(target_os = "linux")]
#[test]
fn a_watch_that_was_removed_is_gone_and_its_handle_does_nothing() {
    let monitor = on(&Arc::default()).config(MonitorConfig::default()).start().unwrap();
    assert_eq!(keys(&monitor), ["signalpost.memory"]);
    assert!(monitor.remove_named("signalpost.memory"));
    monitor.memory().unwrap().set_max_memory_usage(Some(1));
    assert!(monitor.functions().is_empty());
}

#[test]
fn times_of_zero_are_no_settings() {
    let mut config = MonitorConfig::default();
    (config.memory_monitor_period, config.max_blocking_time) = (Some(Duration::ZERO), Some(Duration::ZERO));
    let StartError::Settings(errors) = on(&Arc::default()).config(config).start().unwrap_err() else {
        panic!()
    };
    let zero = |setting| SettingError::ZeroDuration { setting };
    assert_eq!(errors, [zero("max_blocking_time"), zero("memory_monitor_period")]);
}

#[test]
fn a_limit_where_there_is_no_figure_of_memory_is_an_error_and_no_limit_is_none() {
    let broken = || Err::<fn() -> Result<MemoryInfo, MemoryError>, _>(MemoryError::Unsupported);
    let mut config = MonitorConfig::default();
    assert!(config.memory_watch_from(broken).unwrap().is_none());
    config.max_memory_usage = Some(1);
    assert!(matches!(config.memory_watch_from(broken), Err(MemoryError::Unsupported)));
    let error = StartError::Memory(MemoryError::Unsupported);
    assert!(error.to_string().starts_with("the monitor cannot start: "), "{error}");
    assert!(error.into_monitor().is_none());
}

/// Each in a process of its own: this one's environment is every test's.
#[test]
fn the_environment_says_whether_there_is_a_monitor_and_what_it_is_like() {
    const IN_CHILD: &str = "SIGNALPOST_TEST_STARTS_FROM_ITS_ENVIRONMENT";
    match std::env::var(IN_CHILD).as_deref() {
        Ok("none") => return assert!(Monitor::from_env().unwrap().is_none()),
        Ok("error") => {
            let error = Monitor::from_env().unwrap_err();
            let StartError::Config(errors) = &error else { panic!("{error}") };
            assert_eq!(errors.errors().len(), 2);
            let text = error.to_string();
            for part in [
                "cannot start: SIGNALPOST_MAX_BLOCKING_TIME: expected seconds",
                "found \"soon\"",
                "MEMORY_MAX",
            ] {
                assert!(text.contains(part), "{text}");
            }
            return assert!(error.into_monitor().is_none());
        }
        Ok(_) => {
            let monitor = Monitor::from_env().unwrap().unwrap();
            assert!(monitor.is_running() && !monitor.print_blocking_reports());
            assert_eq!(monitor.max_blocking_time(), Some(500 * MILLI));
            if cfg!(target_os = "linux") {
                assert_eq!(monitor.memory().unwrap().max_memory_usage(), Some(64 << 30));
                assert_eq!(keys(&monitor), ["signalpost.memory"]);
            }
            return;
        }
        Err(_) => {}
    }
    let switch = ("SIGNALPOST_MONITOR_THREAD_ENABLE", "true");
    let broken = [("SIGNALPOST_MAX_BLOCKING_TIME", "soon"), ("SIGNALPOST_MONITOR_MEMORY_MAX", "1.5gb")];
    let whole = [
        ("SIGNALPOST_MAX_BLOCKING_TIME", "0.5"),
        ("SIGNALPOST_MONITOR_PRINT_BLOCKING_REPORTS", "0"),
        ("SIGNALPOST_MONITOR_MEMORY_MAX", "64gb"),
        switch,
    ];
    let runs: [(&str, &[(&str, &str)]); 4] = [
        ("none", &[]),
        ("error", &broken), // also where nobody asks for a monitor
        ("error", &[switch, broken[0], broken[1]]),
        ("monitor", &whole),
    ];
    for (expected, vars) in runs {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "the_environment_says_whether_there_is_a_monitor_and_what_it_is_like"]);
        let output = child.env(IN_CHILD, expected).envs(vars.iter().copied()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{expected}: {text}");
    }
}
