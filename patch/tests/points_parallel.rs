//! Tests beside each other that have the same functions do different things, and never meet.

use signalpost::patch::Scope;
use signalpost::patch::points::{FakeClock, Fault, Faults, fs, time};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

/// Tries until it is read; each try costs a second more. Says how often it tried.
fn patiently() -> (u64, Vec<u8>) {
    for tried in 1.. {
        match fs::read(Path::new("/nothing/is/read")) {
            Ok(all) => return (tried, all),
            Err(_) => time::sleep(Duration::from_secs(tried)),
        }
    }
    unreachable!("it tries for ever")
}

/// What a test would do that has its functions fail so often, with its own clock, its own contents, and threads of its own.
fn one_test(failures: u64, all_are_inside: &Barrier) {
    let clock = FakeClock::new().auto_advance();
    let contents = move |_: &Path| Ok(failures.to_string().into_bytes());
    let faults = Faults::new().over(fs::sig::read(contents)).unwrap();
    let fault = Fault::first(failures).kind(ErrorKind::Interrupted);
    faults.inject(&fs::slots::read, fault).unwrap();
    let scope = Scope::new(clock.overrides().into_iter().chain(faults.overrides())).unwrap();
    all_are_inside.wait();

    let expected = failures.to_string().into_bytes();
    assert_eq!(scope.run(patiently), (failures + 1, expected.clone()));
    assert_eq!(clock.elapsed(), Duration::from_secs((1..=failures).sum()));
    for _ in 0..100 {
        let elsewhere = thread::spawn(scope.bind(|| (fs::read(Path::new("/nothing/is/read")), time::now())));
        let (read, now) = elsewhere.join().unwrap();
        assert_eq!((read.unwrap(), now), (expected.clone(), clock.now()));
    }
    let counts = faults.counts(&fs::slots::read).unwrap();
    assert_eq!((counts.calls, counts.failed), (failures + 101, failures));
}

#[test]
fn eight_tests_at_once_see_their_own_clock_faults_and_contents() {
    let all_are_inside = Arc::new(Barrier::new(9));
    let start = |failures| {
        let all_are_inside = all_are_inside.clone();
        thread::spawn(move || one_test(failures, &all_are_inside))
    };
    let tests: Vec<_> = (1..=8).map(start).collect();
    all_are_inside.wait();
    // Who is in no scope reads what is there.
    assert_eq!(fs::read(Path::new("/nothing/is/read")).unwrap_err().kind(), ErrorKind::NotFound);
    tests.into_iter().for_each(|test| test.join().unwrap());
}

#[test]
fn the_disk_is_full() {
    let faults = Faults::new();
    faults.inject(&fs::slots::write, Fault::always().kind(ErrorKind::StorageFull)).unwrap();
    let written = Scope::new(faults.overrides()).unwrap().run(|| fs::write(Path::new("state"), b"1"));
    assert_eq!(written.unwrap_err().kind(), ErrorKind::StorageFull);
}

#[test]
fn the_disk_is_a_variable() {
    let disk = Arc::new(Mutex::new(Vec::new()));
    let (writes, reads) = (disk.clone(), disk.clone());
    let scope = Scope::new([
        fs::slots::write.with(Box::new(move |_, contents| {
            *writes.lock().unwrap() = contents.to_vec();
            Ok(())
        })),
        fs::slots::read.with(Box::new(move |_| Ok(reads.lock().unwrap().clone()))),
    ]);
    let _inside = scope.unwrap().enter();
    fs::write(Path::new("state"), b"1").unwrap();
    assert_eq!(
        (fs::read(Path::new("state")).unwrap(), disk.lock().unwrap().as_slice()),
        (b"1".to_vec(), &b"1"[..])
    );
}

#[test]
fn a_clock_in_an_inner_scope_hides_the_outer_one_and_leaves_the_faults() {
    let (outer, inner, faults) = (FakeClock::new(), FakeClock::new().auto_advance(), Faults::new());
    faults.inject(&fs::slots::read, Fault::always().delay(Duration::from_secs(7))).unwrap();
    let both = Scope::new(outer.overrides().into_iter().chain(faults.overrides())).unwrap();
    both.run(|| {
        let clock_only = Scope::new(inner.overrides()).unwrap();
        assert!(clock_only.run(|| fs::read(Path::new("Cargo.toml"))).is_err());
    });
    assert_eq!((outer.elapsed(), inner.elapsed()), (Duration::ZERO, Duration::from_secs(7)));
}
