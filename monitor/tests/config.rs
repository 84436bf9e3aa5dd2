//! Settings by environment: what each text gives, and what is said of a bad one.

use signalpost::monitor::MonitorConfig;
use std::process::Command;
use std::time::Duration;

const NAMES: [&str; 5] = [
    "SIGNALPOST_MONITOR_THREAD_ENABLE",
    "SIGNALPOST_MAX_BLOCKING_TIME",
    "SIGNALPOST_MONITOR_PRINT_BLOCKING_REPORTS",
    "SIGNALPOST_MONITOR_MEMORY_PERIOD",
    "SIGNALPOST_MONITOR_MEMORY_MAX",
];

fn with(name: &str, value: &str) -> Result<MonitorConfig, String> {
    MonitorConfig::from_vars([(name, value)]).map_err(|errors| errors.to_string())
}

#[test]
fn what_is_unset_has_its_default() {
    let config = MonitorConfig::from_vars::<&str, &str>([]).unwrap();
    assert_eq!(config, MonitorConfig::default());
    assert!(!config.monitor_thread && config.print_blocking_reports);
    assert_eq!(config.max_blocking_time, Some(Duration::from_millis(100)));
    assert_eq!(config.memory_monitor_period, Some(Duration::from_secs(5)));
    assert_eq!(config.max_memory_usage, None);
}

#[test]
fn truths() {
    for (text, truth) in
        [("1", true), (" Yes ", true), ("ON", true), ("", false), (" ", false), ("off", false), ("No", false)]
    {
        assert_eq!(with(NAMES[0], text).unwrap().monitor_thread, truth, "{text:?}");
        assert_eq!(with(NAMES[2], text).unwrap().print_blocking_reports, truth, "{text:?}");
    }
    for text in ["2", "maybe", "y", "tru e"] {
        assert!(with(NAMES[0], text).is_err() && with(NAMES[2], text).is_err(), "{text:?}");
    }
}

#[test]
fn times() {
    for (text, time) in [
        (" 2 ", Some(Duration::from_secs(2))),
        ("1e-3", Some(Duration::from_millis(1))),
        ("1_0.5", Some(Duration::from_millis(10_500))),
        ("0.000000001", Some(Duration::from_nanos(1))),
        ("100000000", Some(Duration::from_secs(100_000_000))),
        ("0", None),
        ("-0", None),
        ("", None),
        ("Off", None),
        ("inf", None),
    ] {
        assert_eq!(with(NAMES[1], text).unwrap().max_blocking_time, time, "{text:?}");
        assert_eq!(with(NAMES[3], text).unwrap().memory_monitor_period, time, "{text:?}");
    }
    for text in ["-1", "-inf", "nan", "abc", "1s", "1e-12", "1e300", "_1", "1__0", "0x10", "1,5"] {
        assert!(with(NAMES[1], text).is_err() && with(NAMES[3], text).is_err(), "{text:?}");
    }
}

#[test]
fn sizes() {
    for (text, bytes) in [
        ("100", Some(100)),
        ("100KB", Some(100 << 10)),
        (" 10 mb", Some(10 << 20)),
        ("2Gb", Some(2 << 30)),
        ("1_000", Some(1000)),
        ("18446744073709551615", Some(u64::MAX)),
        ("0", None),
        ("0gb", None),
        ("off", None),
        ("", None),
    ] {
        assert_eq!(with(NAMES[4], text).unwrap().max_memory_usage, bytes, "{text:?}");
    }
    for text in
        ["1.5gb", "10mb ", "10b", "10k", "10mib", "kb", "-1", "1e6", "abc", "17179869184gb", "1kbkb", "٣"]
    {
        assert!(with(NAMES[4], text).is_err(), "{text:?}");
    }
}

#[test]
fn all_errors_come_together_each_with_variable_value_and_what_is_accepted() {
    let vars = NAMES.map(|name| (name, "no such thing"));
    let errors = MonitorConfig::from_vars(vars).unwrap_err();
    assert_eq!(errors.errors().iter().map(|error| error.variable).collect::<Vec<_>>(), NAMES);
    assert_eq!(
        errors.to_string(),
        "SIGNALPOST_MONITOR_THREAD_ENABLE: expected one of 1, true, on, yes, 0, false, off, no, or an empty text, found \"no such thing\"; \
         SIGNALPOST_MAX_BLOCKING_TIME: expected seconds, as 0.25 or 3, or `off`, found \"no such thing\"; \
         SIGNALPOST_MONITOR_PRINT_BLOCKING_REPORTS: expected one of 1, true, on, yes, 0, false, off, no, or an empty text, found \"no such thing\"; \
         SIGNALPOST_MONITOR_MEMORY_PERIOD: expected seconds, as 0.25 or 3, or `off`, found \"no such thing\"; \
         SIGNALPOST_MONITOR_MEMORY_MAX: expected a whole number of bytes, alone or with kb, mb or gb (powers of 1024), or `off`, found \"no such thing\""
    );
}

#[cfg(unix)]
#[test]
fn a_value_that_is_no_text_is_an_error_and_of_others_nothing_is_asked() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let broken = OsStr::from_bytes(b"\xff1");
    let errors = MonitorConfig::from_vars([("OTHER", broken), (NAMES[1], broken)]).unwrap_err();
    assert_eq!(errors.errors().len(), 1);
    assert!(errors.to_string().ends_with(r#"found "\xFF1""#), "{errors}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_watch_that_the_settings_ask_for_has_their_limit_and_their_period() {
    let config = MonitorConfig::from_vars([(NAMES[3], "0.5"), (NAMES[4], "3mb")]).unwrap();
    let (watch, period) = config.memory_watch().unwrap().unwrap();
    assert_eq!((watch.handle().max_memory_usage(), period), (Some(3 << 20), Duration::from_millis(500)));
    let (watch, period) = MonitorConfig::default().memory_watch().unwrap().unwrap();
    assert_eq!((watch.handle().max_memory_usage(), period), (None, Duration::from_secs(5)));
    let off = MonitorConfig::from_vars([(NAMES[3], "off"), (NAMES[4], "3mb")]).unwrap();
    assert!(off.memory_watch().unwrap().is_none());
}

/// In a process of its own: this one's environment is every test's.
#[test]
fn the_environment_is_what_from_env_reads() {
    const IN_CHILD: &str = "SIGNALPOST_TEST_READS_ITS_ENVIRONMENT";
    if std::env::var_os(IN_CHILD).is_some() {
        let config = MonitorConfig::from_env().unwrap();
        assert_eq!(config.max_memory_usage, Some(3 << 20));
        assert!(config.monitor_thread);
        assert_eq!(config.max_blocking_time, None);
        return;
    }
    let test = "the_environment_is_what_from_env_reads";
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test]).env(IN_CHILD, "1").env(NAMES[4], "3mb").env(NAMES[0], "on");
    let output = child.env(NAMES[1], "off").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
