//! Faults on purpose: which calls they are for, what they do, and what is refused.

use signalpost::patch::points::{FakeClock, PointName, env, fs, net, rand, time};
use signalpost::patch::points::{Fault, FaultError, FaultId, Faults, InjectedFault};
use signalpost::patch::{Scope, patch_points};
use std::collections::HashSet;
use std::env::VarError;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::thread;
use std::time::Duration;

patch_points! {
    /// A module of a program's own.
    mod mail as "acme.mail" {
        use std::io;
        /// Says how long the name is.
        fn send(to: &str) -> io::Result<usize> { Ok(to.len()) }
    }

    mod other {
        /// Has the name of a function of the ready set.
        fn read(from: u32) -> u32 { from }
    }
}

const LIMIT: Duration = Duration::from_secs(60);
const READ: &str = "signalpost.fs::read";

fn read() -> io::Result<Vec<u8>> {
    fs::read(Path::new("/nothing/is/read"))
}

/// Faults over functions that do nothing.
fn harmless() -> Faults {
    let faults = Faults::new().over(fs::sig::read(|_| Ok(b"all".to_vec()))).unwrap();
    faults.over(fs::sig::write(|_, _| Ok(()))).unwrap()
}

fn scope_of(faults: &Faults) -> Scope {
    Scope::new(faults.overrides()).unwrap()
}

/// Which of so many calls fail.
fn pattern(fault: Fault, calls: usize) -> String {
    let faults = harmless();
    faults.inject(READ, fault).unwrap();
    scope_of(&faults).run(|| (0..calls).map(|_| if read().is_err() { 'x' } else { '.' }).collect())
}

#[test]
fn the_calls_are_those_that_it_was_told() {
    assert_eq!(pattern(Fault::always(), 5), "xxxxx");
    assert_eq!(pattern(Fault::nth(1), 5), "x....");
    assert_eq!(pattern(Fault::nth(4), 5), "...x.");
    assert_eq!(pattern(Fault::nth(u64::MAX), 5), ".....");
    assert_eq!(pattern(Fault::every(1), 5), "xxxxx");
    assert_eq!(pattern(Fault::every(3), 10), "..x..x..x.");
    assert_eq!(pattern(Fault::first(2), 5), "xx...");
    assert_eq!(pattern(Fault::first(9), 5), "xxxxx");
}

#[test]
fn a_seed_decides_the_same_in_each_run_and_on_each_platform() {
    let by = |probability, seed| pattern(Fault::with_probability(probability, seed), 40);
    assert_eq!(by(0.3, 42), ".x..........x.x...x.x.xxxx..x.....xx..xx");
    assert_ne!(by(0.3, 42), by(0.3, 43));
    assert_eq!((by(0.0, 1), by(1.0, 1)), (".".repeat(40), "x".repeat(40)));
    let failed = pattern(Fault::with_probability(0.3, 7), 2000).matches('x').count();
    assert!((400..800).contains(&failed), "{failed} of 2000, and 600 were expected");
}

#[test]
fn what_would_never_come_or_is_no_probability_is_refused() {
    let faults = Faults::new();
    for fault in [Fault::nth(0), Fault::every(0), Fault::first(0)] {
        assert_eq!(faults.inject(READ, fault).unwrap_err(), FaultError::NoCall);
    }
    for wrong in [-0.1, 1.1, f64::INFINITY] {
        let error = faults.inject(READ, Fault::with_probability(wrong, 1)).unwrap_err();
        assert_eq!(error, FaultError::Probability(wrong));
    }
    let error = faults.inject(READ, Fault::with_probability(f64::NAN, 1)).unwrap_err();
    assert_eq!(error.to_string(), "a probability is from 0 to 1, not NaN");
    assert_eq!(format!("{faults:?}"), "Faults {}");
}

#[test]
fn a_function_that_is_not_known_is_refused_and_those_that_are_known_are_named() {
    let faults = Faults::new().with_point("acme.mail::send").with_point(&mail::slots::send);
    let text = "no faults can be put into signalpost.fs::raed; known are signalpost.rand::seed, signalpost.net::resolve, \
                signalpost.net::connect, signalpost.fs::read, signalpost.fs::write, signalpost.env::var, acme.mail::send, \
                and what `Faults::with_point` adds";
    let error = faults.inject("signalpost.fs::raed", Fault::always()).unwrap_err();
    assert_eq!(error.to_string(), text);
    assert_eq!(faults.counts("signalpost.fs::raed").unwrap_err(), error);
    let hit = faults.hit("signalpost.fs::raed").unwrap_err();
    assert_eq!((hit.kind(), hit.to_string().as_str()), (ErrorKind::InvalidInput, text));
    for unknown in
        ["", "::", "read", "fs::read", "signalpost.fs::", "signalpost.fs::read::", "signalpost.fs::read "]
    {
        assert!(faults.inject(unknown, Fault::always()).is_err(), "{unknown}");
    }
    // A sleep cannot fail.
    let error = faults.inject(&time::slots::sleep, Fault::always()).unwrap_err();
    assert!(matches!(error, FaultError::UnknownPoint { point, .. } if point == "signalpost.time::sleep"));
}

#[test]
fn every_function_that_can_fail_does() {
    let faults = Faults::new();
    let points: [PointName<'_>; 6] = [
        (&rand::slots::seed).into(),
        (&net::slots::resolve).into(),
        (&net::slots::connect).into(),
        (&fs::slots::read).into(),
        (&fs::slots::write).into(),
        (&env::slots::var).into(),
    ];
    for point in points {
        faults.inject(point, Fault::nth(1).kind(ErrorKind::ResourceBusy)).unwrap();
    }
    let path = Path::new("/nothing/is/written");
    let _inside = scope_of(&faults).enter();
    let kinds = [
        rand::seed().unwrap_err().kind(),
        net::resolve("127.0.0.1", 80).unwrap_err().kind(),
        net::connect(([127, 0, 0, 1], 1).into(), Some(LIMIT)).unwrap_err().kind(),
        fs::read(path).unwrap_err().kind(),
        fs::write(path, b"").unwrap_err().kind(),
    ];
    assert_eq!(kinds, [ErrorKind::ResourceBusy; 5]);
    assert_eq!(env::var("PATH"), Err(VarError::NotPresent));
    for point in points {
        let counts = faults.counts(point).unwrap();
        assert_eq!((counts.calls, counts.failed, counts.delayed), (1, 1, 0), "{point}");
    }
    // The second call is the original's.
    assert!(rand::seed().is_ok());
    assert_eq!(net::resolve("127.0.0.1", 80).unwrap(), [([127, 0, 0, 1], 80).into()]);
    assert_eq!(fs::read(path).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(env::var("CARGO_PKG_NAME").as_deref(), Ok("signalpost-patch"));
}

#[test]
fn a_variable_is_absent_or_with_invalid_data_no_text() {
    let faults = Faults::new().over(env::sig::var(|_| Ok("value".to_owned()))).unwrap();
    faults.inject(&env::slots::var, Fault::nth(1).kind(ErrorKind::PermissionDenied)).unwrap();
    faults.inject(&env::slots::var, Fault::nth(2).kind(ErrorKind::InvalidData).text("\u{fffd}")).unwrap();
    let _inside = scope_of(&faults).enter();
    assert_eq!(env::var("A"), Err(VarError::NotPresent));
    assert_eq!(env::var("A"), Err(VarError::NotUnicode("\u{fffd}".into())));
    assert_eq!(env::var("A").as_deref(), Ok("value"));
}

#[test]
fn an_error_that_was_made_says_so() {
    let faults = harmless();
    faults.inject(READ, Fault::nth(2)).unwrap();
    faults.inject(READ, Fault::nth(3).kind(ErrorKind::TimedOut).text("no answer")).unwrap();
    let _inside = scope_of(&faults).enter();
    assert!(read().is_ok());
    let error = read().unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Other, "call 2 of signalpost.fs::read was made to fail")
    );
    let fault = InjectedFault::of(&error).unwrap();
    assert_eq!((fault.point.as_str(), fault.call, fault.text.as_deref()), (READ, 2, None));
    let error = read().unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::TimedOut, "no answer"));
    assert_eq!(InjectedFault::of(&error).unwrap().call, 3);
    assert_eq!(InjectedFault::of(&fs::original::read(Path::new("/nothing/is/read")).unwrap_err()), None);
}

#[test]
fn a_fault_lasts_until_it_is_removed() {
    let faults = harmless();
    let fault = faults.inject(READ, Fault::always()).unwrap();
    let _inside = scope_of(&faults).enter();
    assert!(read().is_err());
    assert!(faults.remove(fault));
    assert!(read().is_ok());
    assert!(!faults.remove(fault), "it is gone");
    let other: Vec<FaultId> = (0..3).map(|_| faults.inject(READ, Fault::always()).unwrap()).collect();
    assert!(read().is_err());
    faults.clear();
    assert!(read().is_ok());
    assert!(!other.into_iter().any(|fault| faults.remove(fault)));
    let counts = faults.counts(READ).unwrap();
    assert_eq!((counts.calls, counts.failed), (4, 2));
}

#[test]
fn of_several_the_oldest_has_its_way_and_each_counts_from_when_it_was_put_in() {
    let faults = harmless();
    let _inside = scope_of(&faults).enter();
    assert!(read().is_ok());
    faults.inject(READ, Fault::every(2).kind(ErrorKind::TimedOut)).unwrap();
    assert!(read().is_ok());
    faults.inject(READ, Fault::first(2).kind(ErrorKind::NotConnected)).unwrap();
    let kinds: Vec<_> = (0..4).map(|_| read().map_err(|error| error.kind()).err()).collect();
    assert_eq!(
        kinds,
        [Some(ErrorKind::TimedOut), Some(ErrorKind::NotConnected), Some(ErrorKind::TimedOut), None]
    );
}

#[test]
fn a_fault_in_one_function_leaves_the_others_alone() {
    let faults = harmless();
    faults.inject(READ, Fault::always()).unwrap();
    let _inside = scope_of(&faults).enter();
    assert!(fs::write(Path::new("/nothing/is/written"), b"").is_ok());
    assert!(read().is_err());
    assert_eq!(faults.counts(&fs::slots::write).unwrap().failed, 0);
}

#[test]
fn a_call_that_is_delayed_waits_for_the_clock_and_then_fails_or_goes_on() {
    for fails in [true, false] {
        let (clock, faults) = (FakeClock::new(), harmless());
        let fault = Fault::always().delay(Duration::from_secs(30)).kind(ErrorKind::TimedOut);
        let fault = faults.inject(READ, if fails { fault } else { fault.pass() }).unwrap();
        let scope = Scope::new(clock.overrides().into_iter().chain(faults.overrides())).unwrap();
        let call = || {
            let begun = time::now();
            (read().map_err(|error| error.kind()), time::now() - begun)
        };
        let calls = [thread::spawn(scope.bind(call)), thread::spawn(scope.bind(call))];
        clock.wait_for_sleepers(2, LIMIT).unwrap();
        clock.advance(Duration::from_secs(29));
        assert_eq!((clock.sleepers(), clock.until_next()), (2, Some(Duration::from_secs(1))));
        faults.remove(fault); // too late for these two
        clock.advance(Duration::from_secs(1));
        let expected = if fails { Err(ErrorKind::TimedOut) } else { Ok(b"all".to_vec()) };
        for call in calls {
            assert_eq!(call.join().unwrap(), (expected.clone(), Duration::from_secs(30)));
        }
        let counts = faults.counts(READ).unwrap();
        assert_eq!((counts.calls, counts.failed, counts.delayed), (2, if fails { 2 } else { 0 }, 2));
        assert!(scope.run(|| read().is_ok()));
    }
}

#[test]
fn a_call_that_waits_holds_up_no_other() {
    let (clock, faults) = (FakeClock::new(), harmless());
    faults.inject(READ, Fault::nth(1).delay(Duration::from_secs(1))).unwrap();
    let scope = Scope::new(clock.overrides().into_iter().chain(faults.overrides())).unwrap();
    let waits = thread::spawn(scope.bind(|| read().is_err()));
    clock.wait_for_sleepers(1, LIMIT).unwrap();
    assert!(scope.run(|| read().is_ok()));
    faults.inject(READ, Fault::always()).unwrap();
    assert!(scope.run(|| read().is_err()));
    assert_eq!(faults.counts(READ).unwrap().calls, 3);
    clock.advance(Duration::from_secs(1));
    assert!(waits.join().unwrap());
}

#[test]
fn counts_are_exact_however_many_threads_call() {
    let faults = harmless();
    faults.inject(READ, Fault::every(10)).unwrap();
    let scope = scope_of(&faults);
    let call = || (0..500).filter_map(|_| read().err()).collect::<Vec<_>>();
    let threads: Vec<_> = (0..8).map(|_| thread::spawn(scope.bind(call))).collect();
    let errors: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    let calls: HashSet<_> = errors.iter().map(|error| InjectedFault::of(error).unwrap().call).collect();
    assert_eq!(calls, (1..=400).map(|n| 10 * n).collect());
    let counts = faults.counts(READ).unwrap();
    assert_eq!((counts.calls, counts.failed, errors.len()), (4000, 400, 400));
}

#[test]
fn what_is_under_the_faults_is_checked_and_the_last_one_counts() {
    assert!(matches!(
        Faults::new().over(mail::sig::send(|_| Ok(0))),
        Err(FaultError::UnknownPoint { point, .. }) if point == "send"
    ));
    let error = Faults::new().over(other::sig::read(|_| 1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "signalpost.fs::read is `fn(&Path) -> io::Result<Vec<u8>>`, and the replacement `fn(u32) -> u32`"
    );
    let faults = harmless();
    let before = scope_of(&faults);
    let faults = faults.over(fs::sig::read(|_| Ok(b"newer".to_vec()))).unwrap();
    assert_eq!(scope_of(&faults).run(read).unwrap(), b"newer");
    assert_eq!(before.run(read).unwrap(), b"all");
}

#[test]
fn a_function_of_ones_own_asks() {
    let faults = Faults::new().with_point(&mail::slots::send);
    faults.inject("acme.mail::send", Fault::first(1).kind(ErrorKind::BrokenPipe)).unwrap();
    let asked = faults.clone();
    let send = mail::slots::send.with(Box::new(move |to| {
        asked.hit(&mail::slots::send)?;
        mail::original::send(to)
    }));
    let _inside = Scope::new([send]).unwrap().enter();
    assert_eq!(mail::send("Ann").unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(mail::send("Ann").unwrap(), 3);
    assert_eq!(faults.counts(&mail::slots::send).unwrap().calls, 2);
}
