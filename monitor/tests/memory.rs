//! Over, still growing, back under: what a watch publishes, by promise.

use signalpost::monitor::{
    MemoryChange, MemoryCheck, MemoryCheckError, MemoryError, MemoryEvents, MemoryFigure, MemoryInfo,
    MemoryLimit, MemoryMode, MemoryState, MemoryUsageThresholdExceeded, MemoryUsageUnderThreshold,
    MemoryWatch, Steady,
};
use signalpost::{AnyEvent, BoxError, Bus, Event};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const MIB: u64 = 1 << 20;

/// A watch that is read this, once a reading, and then fails.
fn watch(mode: MemoryMode, max: u64, readings: impl IntoIterator<Item = u64>) -> MemoryWatch {
    let mut readings: std::vec::IntoIter<u64> = readings.into_iter().collect::<Vec<_>>().into_iter();
    let source = move || {
        let usage = readings.next().ok_or_else(|| MemoryError::source_failed("the script has ended"))?;
        Ok(MemoryInfo::new(usage))
    };
    MemoryWatch::builder().limit(MemoryLimit::Bytes(max)).mode(mode).source(source).build().unwrap()
}

/// Each check as text: `.` for nothing, else what was published, with what was announced before and the peak.
fn said(mode: MemoryMode, max: u64, readings: &[u64]) -> String {
    let bus = Bus::new();
    let mut watch = watch(mode, max, readings.iter().copied());
    let say = |check: MemoryCheck| match check {
        MemoryCheck::Exceeded(event) => {
            format!("over {} (before {:?}, peak {})", event.mem_usage, event.announced_before, event.peak)
        }
        MemoryCheck::Under(event) => {
            format!("under {} (was {}, peak {})", event.mem_usage, event.max_memory_usage, event.peak)
        }
        _ => ".".to_owned(),
    };
    readings.iter().map(|_| say(watch.check(&bus).unwrap())).collect::<Vec<_>>().join("; ")
}

#[test]
fn as_gevent_growth_is_against_the_last_reading_and_under_comes_once() {
    assert_eq!(
        said(MemoryMode::Gevent, 100, &[100, 200, 120, 120, 130, 50, 50, 100, 101]),
        ".; over 200 (before None, peak 200); .; .; over 130 (before Some(200), peak 200); \
         under 50 (was 130, peak 200); .; .; over 101 (before None, peak 101)"
    );
}

#[test]
fn as_gevent_under_carries_the_last_reading_above_also_if_it_was_silent() {
    assert_eq!(
        said(MemoryMode::Gevent, 100, &[200, 120, 50]),
        "over 200 (before None, peak 200); .; under 50 (was 120, peak 200)"
    );
}

#[test]
fn steady_growth_counts_from_what_was_announced_by_the_larger_of_the_two_steps() {
    let steady = MemoryMode::Steady(Steady::default().step(10, 0.01).margin(0.0));
    assert_eq!(
        said(steady, 100, &[101, 110, 111, 105, 120, 121]),
        "over 101 (before None, peak 101); .; over 111 (before Some(101), peak 111); .; .; \
         over 121 (before Some(111), peak 121)"
    );
    assert_eq!(
        said(steady, 10_000, &[20_000, 20_199, 20_200]),
        "over 20000 (before None, peak 20000); .; over 20200 (before Some(20000), peak 20200)"
    );
}

#[test]
fn steady_is_under_only_below_the_margin_and_says_the_peak() {
    let steady = MemoryMode::Steady(Steady::default().step(1_000, 0.0).margin(0.05));
    assert_eq!(
        said(steady, 100, &[120, 150, 101, 100, 96, 110, 95, 99, 101]),
        "over 120 (before None, peak 120); .; .; .; .; .; under 95 (was 150, peak 150); .; \
         over 101 (before None, peak 101)"
    );
}

#[test]
fn a_step_of_nothing_is_a_byte() {
    let steady = MemoryMode::Steady(Steady::default().step(0, 0.0).margin(0.0));
    assert_eq!(
        said(steady, 100, &[101, 101, 102]),
        "over 101 (before None, peak 101); .; over 102 (before Some(101), peak 102)"
    );
}

#[test]
fn numbers_at_the_end_of_the_range_do_no_harm() {
    let steady = MemoryMode::Steady(Steady::default().margin(1.0));
    assert_eq!(
        said(steady, u64::MAX - 1, &[u64::MAX, u64::MAX, 1, 0]),
        format!("over {m} (before None, peak {m}); .; .; under 0 (was {m}, peak {m})", m = u64::MAX)
    );
    let last = u64::MAX;
    assert_eq!(
        said(MemoryMode::Gevent, 1, &[last, 0]),
        format!("over {last} (before None, peak {last}); under 0 (was {last}, peak {last})")
    );
}

#[test]
fn the_kernels_peak_counts_only_if_it_rose_since_memory_was_calm() {
    for mode in [MemoryMode::Gevent, MemoryMode::Steady(Steady::default().step(1, 0.0).margin(0.0))] {
        let peak = |readings: &[(u64, Option<u64>)]| {
            let mut state = MemoryState::new(mode);
            let mut peak = None;
            for &(usage, ever) in readings {
                if let Some(MemoryChange::Under { peak: was, .. }) =
                    state.told(Duration::ZERO, Some(100), usage, ever)
                {
                    peak = Some(was);
                }
            }
            peak
        };
        // 900 was before the limit was passed; or inherited over exec.
        assert_eq!(peak(&[(50, Some(900)), (120, Some(900)), (50, Some(900))]), Some(120));
        assert_eq!(peak(&[(50, Some(60)), (120, Some(300)), (110, Some(300)), (50, Some(300))]), Some(300));
        assert_eq!(peak(&[(50, Some(60)), (120, Some(120)), (50, Some(170))]), Some(170));
        assert_eq!(peak(&[(120, Some(500)), (130, Some(500)), (50, Some(500))]), Some(130), "nothing before");
        assert_eq!(peak(&[(50, None), (120, None), (50, None)]), Some(120));
        let twice = [(50, Some(60)), (120, Some(300)), (50, Some(300)), (130, Some(300)), (50, Some(300))];
        assert_eq!(peak(&twice), Some(130), "each time by itself");
    }
}

#[test]
fn without_a_limit_nothing_is_read_and_what_is_remembered_stays() {
    let read = Arc::new(AtomicUsize::new(0));
    let counted = read.clone();
    let source = move || {
        counted.fetch_add(1, Relaxed);
        Ok(MemoryInfo::new(50 + 100 * (counted.load(Relaxed) as u64 % 2)))
    };
    let mut watch = MemoryWatch::builder().limit(MemoryLimit::Bytes(100)).source(source).build().unwrap();
    let (bus, handle) = (Bus::new(), watch.handle());
    assert_eq!(watch.check(&bus).unwrap().exceeded().unwrap().mem_usage, 150);
    for off in [None, Some(0)] {
        handle.set_max_memory_usage(off);
        assert_eq!(handle.max_memory_usage(), None);
        assert_eq!(watch.check(&bus).unwrap(), MemoryCheck::Disabled);
    }
    assert_eq!((read.load(Relaxed), watch.state().last_above()), (1, 150));
    handle.set_max_memory_usage(Some(100));
    assert_eq!(watch.check(&bus).unwrap().under().unwrap().max_memory_usage, 150);
}

#[test]
fn a_limit_that_moves_past_the_usage_is_an_event_with_the_new_limit() {
    for mode in [MemoryMode::Gevent, MemoryMode::Steady(Steady::default())] {
        let (mut watch, bus) = (watch(mode, 100, [150; 4]), Bus::new());
        let handle = watch.handle();
        assert!(watch.check(&bus).unwrap().exceeded().is_some());
        assert!(matches!(watch.check(&bus).unwrap(), MemoryCheck::Quiet(_)));
        thread::spawn(move || handle.set_max_memory_usage(Some(200))).join().unwrap();
        let check = watch.check(&bus).unwrap();
        assert_eq!((check.under().unwrap().max_allowed, check.under().unwrap().max_memory_usage), (200, 150));
        watch.handle().set_max_memory_usage(Some(149));
        assert_eq!(watch.check(&bus).unwrap().exceeded().unwrap().max_allowed, 149);
    }
}

#[test]
fn the_handle_keeps_the_old_limit_if_the_new_one_means_nothing() {
    let handle = watch(MemoryMode::Gevent, 100, []).handle(); // outlives its watch
    assert!(matches!(
        handle.set_limit(MemoryLimit::ShareOfRam(1.5)),
        Err(MemoryError::Share { found: 1.5, .. })
    ));
    assert_eq!(handle.max_memory_usage(), Some(100));
    assert_eq!(handle.set_limit(MemoryLimit::Off).unwrap(), None);
    assert_eq!(handle.max_memory_usage(), None);
}

#[test]
fn a_subscribers_error_is_returned_and_the_next_check_goes_on_from_there() {
    let bus = Bus::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let _sub = bus.family::<MemoryEvents>().subscribe(move |_| -> Result<(), signalpost::BusStop> {
        counted.fetch_add(1, Relaxed);
        Err(signalpost::BusStop::fail("no room for it"))
    });
    let mut watch = watch(MemoryMode::Gevent, 100, [150, 150, 50, 50]);
    let error = watch.check(&bus).unwrap_err();
    assert_eq!(error.to_string().split(": ").last(), Some("no room for it"));
    match error {
        MemoryCheckError::Stopped(both) => assert_eq!(both.0.exceeded().unwrap().mem_usage, 150),
        other => panic!("{other}"),
    }
    assert!(matches!(watch.check(&bus).unwrap(), MemoryCheck::Quiet(_)), "not published again");
    assert!(watch.check(&bus).is_err());
    assert!(matches!(watch.check(&bus).unwrap(), MemoryCheck::Quiet(_)));
    assert_eq!(calls.load(Relaxed), 2);
}

#[test]
fn a_subscribers_panic_leaves_a_watch_that_goes_on() {
    let bus = Bus::new();
    let sub = bus.topic::<MemoryUsageThresholdExceeded>().subscribe(|_| panic!("not now"));
    let mut watch = watch(MemoryMode::Gevent, 100, [150, 150, 50]);
    assert!(catch_unwind(AssertUnwindSafe(|| watch.check(&bus))).is_err());
    drop(sub);
    assert!(matches!(watch.check(&bus).unwrap(), MemoryCheck::Quiet(_)));
    assert_eq!(watch.check(&bus).unwrap().under().unwrap().max_memory_usage, 150);
}

#[test]
fn a_source_that_fails_is_asked_again_at_the_next_check() {
    let bus = Bus::new();
    let mut fails = [false, true, false].into_iter();
    let source = move || match fails.next() {
        Some(false) => Ok(MemoryInfo::new(150)),
        _ => Err(MemoryError::source_failed("unplugged")),
    };
    let mut watch = MemoryWatch::builder().limit(MemoryLimit::Bytes(100)).source(source).build().unwrap();
    assert!(watch.check(&bus).unwrap().exceeded().is_some());
    let error = watch.check(&bus).unwrap_err();
    assert_eq!(error.to_string(), "memory could not be checked: the memory source failed: unplugged");
    assert_eq!(watch.state().last_above(), 150);
    assert!(matches!(watch.check(&bus).unwrap(), MemoryCheck::Quiet(_)));
}

#[test]
fn both_events_reach_plain_subscribers_types_and_the_family_and_no_plugin() {
    let (bus, log) = (Bus::new(), Arc::new(Mutex::new(Vec::new())));
    let into = |what: &'static str| {
        let log = log.clone();
        move |text: String| log.lock().unwrap().push(format!("{what} {text}"))
    };
    let (plain, family, over, under) = (into("any"), into("family"), into("over"), into("under"));
    let _all = [
        bus.subscribe(move |event: &dyn AnyEvent| plain(event.name().to_owned())),
        bus.family::<MemoryEvents>().subscribe(move |event| {
            family(format!("{}/{}/{}", event.mem_usage(), event.max_allowed(), event.memory_info().rss));
        }),
        bus.topic::<MemoryUsageThresholdExceeded>().subscribe(move |event| over(event.to_string())),
        bus.topic::<MemoryUsageUnderThreshold>().subscribe(move |event| under(event.to_string())),
    ];
    let mut watch = watch(MemoryMode::Gevent, 100, [150, 50]);
    watch.check(&bus).unwrap();
    watch.check(&bus).unwrap();
    assert_eq!(
        *log.lock().unwrap(),
        [
            "any signalpost.monitor.memory_usage_threshold_exceeded",
            "over memory is above its limit: 150 of 100 bytes, peak 150",
            "family 150/100/150",
            "any signalpost.monitor.memory_usage_under_threshold",
            "under memory is back under its limit: 50 of 100 bytes, peak was 150",
            "family 50/100/50",
        ]
    );
    assert_eq!(MemoryUsageThresholdExceeded::ENTRY_POINT_NAME, None);
    assert_eq!(MemoryUsageUnderThreshold::ENTRY_POINT_NAME, None);
}

#[test]
fn debug_is_gevents_representation() {
    let info = MemoryInfo::new(11);
    let event = MemoryUsageUnderThreshold::new(9, 10, info, 11);
    assert_eq!(format!("{event:?}"), format!("<MemoryUsageUnderThreshold used=9 max=10 details={info:?}>"));
}

#[test]
fn the_trend_says_how_long_until_a_limit_and_knows_no_backwards() {
    let bus = Bus::new();
    let mut watch = watch(MemoryMode::Gevent, 100 * MIB, (0..12).map(|i| 96 * MIB + i * MIB));
    let mut last = None;
    for second in 0..12 {
        last = watch.check_at(Duration::from_secs(1_000_000 + second), &bus).unwrap().exceeded().cloned();
    }
    let trend = last.unwrap().trend.unwrap();
    assert!((trend.bytes_per_second / MIB as f64 - 1.0).abs() < 1e-6, "{trend:?}");
    assert_eq!(trend.window, Duration::from_secs(7), "the last 8 readings");
    assert_eq!(trend.time_to(127 * MIB).unwrap().as_secs_f64().round(), 20.0);
    assert_eq!(trend.time_to(u64::MAX), None, "in hundreds of thousands of years");

    let mut state = MemoryState::new(MemoryMode::Gevent);
    for usage in [300, 200, 100] {
        state.told(Duration::from_secs(9), None, usage, None);
    }
    assert_eq!(state.trend(), None, "all of one moment");
    state.told(Duration::from_secs(1), None, 0, None); // a clock that went back
    state.told(Duration::from_secs(19), None, 50, None);
    let trend = state.trend().unwrap();
    assert!(trend.bytes_per_second < 0.0);
    assert_eq!((trend.time_to(60), trend.time_to(50)), (None, Some(Duration::ZERO)));
}

#[test]
fn with_uss_the_kernels_peak_of_something_else_does_not_count() {
    let mut readings =
        [(10, 50, 10), (500, 120, 500), (10, 50, 500)].map(|(rss, uss, peak)| (rss, uss, peak)).into_iter();
    let source = move || {
        let (rss, uss, peak) =
            readings.next().ok_or_else(|| MemoryError::source_failed(BoxError::from("the end")))?;
        Ok(MemoryInfo::new(rss).with_uss(uss).with_peak_rss(peak))
    };
    let watch = MemoryWatch::builder().limit(MemoryLimit::Bytes(100)).figure(MemoryFigure::Uss);
    let (mut watch, bus) = (watch.source(source).build().unwrap(), Bus::new());
    assert!(matches!(watch.check(&bus).unwrap(), MemoryCheck::Quiet(_)));
    assert_eq!(watch.check(&bus).unwrap().exceeded().unwrap().mem_usage, 120);
    assert_eq!(watch.check(&bus).unwrap().under().unwrap().peak, 120);
}

#[test]
fn settings_out_of_range_are_an_error_at_build() {
    for (steady, of) in [
        (Steady::default().step(1, -0.1), "what was announced last"),
        (Steady::default().step(1, f64::NAN), "what was announced last"),
        (Steady::default().margin(1.1), "the limit"),
    ] {
        let built = MemoryWatch::builder().mode(MemoryMode::Steady(steady)).build();
        let error = built.unwrap_err().to_string();
        assert!(error.starts_with(&format!("expected a share of {of} from 0 to 1, found ")), "{error}");
    }
}
