//! A clock that a test turns. Real time is only ever a limit here, so that what hangs ends.

use signalpost::patch::Scope;
use signalpost::patch::points::{FakeClock, time};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, SystemTime};

/// Long past what anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn scope_of(clock: &FakeClock) -> Scope {
    Scope::new(clock.overrides()).unwrap()
}

/// Sleeps on another thread, inside the scope, and then says how far the clock had been turned meanwhile.
fn nap(scope: &Scope, duration: Duration) -> mpsc::Receiver<Duration> {
    let (tell, told) = mpsc::channel();
    thread::spawn(scope.bind(move || {
        let begun = time::now();
        time::sleep(duration);
        let _ = tell.send(time::now() - begun);
    }));
    told
}

#[test]
fn it_stands_still_until_it_is_turned() {
    let day = SystemTime::UNIX_EPOCH + secs(1_000_000_000);
    let clock = FakeClock::at(day);
    let (begun, begun_system) = scope_of(&clock).run(|| (time::now(), time::system_now()));
    assert_eq!((begun, begun_system), (clock.now(), day));
    time::original::sleep(Duration::from_millis(2));
    assert_eq!(scope_of(&clock).run(|| (time::now(), time::system_now())), (begun, day));
    clock.advance(secs(5));
    clock.clone().advance(secs(6));
    assert_eq!(
        scope_of(&clock).run(|| (time::now(), time::system_now())),
        (begun + secs(11), day + secs(11))
    );
    assert_eq!(clock.elapsed(), secs(11));
}

#[test]
fn it_begins_at_the_real_time() {
    let before = time::now();
    let clock = FakeClock::new();
    assert!(clock.now() >= before && clock.now() <= time::now());
    assert!(clock.system_now() > SystemTime::UNIX_EPOCH + secs(1_700_000_000)); // 2023
}

#[test]
fn a_sleeper_goes_on_when_its_time_has_come_and_not_before() {
    let clock = FakeClock::new();
    let woken = nap(&scope_of(&clock), secs(10));
    clock.wait_for_sleepers(1, LIMIT).unwrap();
    clock.advance(secs(10) - Duration::from_nanos(1));
    assert_eq!((clock.sleepers(), clock.until_next()), (1, Some(Duration::from_nanos(1))));
    assert!(woken.try_recv().is_err());
    clock.advance(Duration::from_nanos(1));
    assert_eq!((clock.sleepers(), clock.until_next()), (0, None));
    assert_eq!(woken.recv_timeout(LIMIT), Ok(secs(10)));
}

#[test]
fn turned_to_one_after_the_other_sleepers_go_on_one_after_the_other() {
    let clock = FakeClock::new();
    let scope = scope_of(&clock);
    let order = Arc::new(Mutex::new(Vec::new()));
    let threads = [5, 1, 4, 2, 3].map(|due| {
        let order = order.clone();
        thread::spawn(scope.bind(move || {
            time::sleep(secs(due));
            order.lock().unwrap().push(due);
            time::sleep(secs(100));
        }))
    });
    clock.wait_for_sleepers(5, LIMIT).unwrap();
    for so_far in 1..=5 {
        assert_eq!(clock.until_next(), Some(secs(1)));
        clock.advance(secs(1));
        clock.wait_for_sleepers(5, LIMIT).unwrap(); // it sleeps again
        assert_eq!(*order.lock().unwrap(), (1..=so_far).collect::<Vec<_>>());
    }
    clock.advance(secs(200));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn one_turn_releases_all_who_are_due_and_leaves_the_others() {
    let clock = FakeClock::new();
    let scope = scope_of(&clock);
    let naps: Vec<_> = (1..=8).map(|due| nap(&scope, secs(due))).collect();
    clock.wait_for_sleepers(8, LIMIT).unwrap();
    clock.advance(secs(5));
    assert_eq!((clock.sleepers(), clock.until_next()), (3, Some(secs(1))));
    for woken in &naps[..5] {
        assert_eq!(woken.recv_timeout(LIMIT), Ok(secs(5)));
    }
    assert!(naps[5..].iter().all(|woken| woken.try_recv().is_err()));
    clock.advance(secs(3));
    for woken in &naps[5..] {
        assert_eq!(woken.recv_timeout(LIMIT), Ok(secs(8)));
    }
}

#[test]
fn a_sleep_of_nothing_does_not_wait() {
    let clock = FakeClock::new();
    scope_of(&clock).run(|| time::sleep(Duration::ZERO));
    assert_eq!((clock.sleepers(), clock.elapsed()), (0, Duration::ZERO));
}

#[test]
fn with_auto_advance_sleeps_turn_it_and_add_up_on_all_threads() {
    let clock = FakeClock::new().auto_advance();
    let scope = scope_of(&clock);
    let threads: Vec<_> =
        (0..4).map(|_| thread::spawn(scope.bind(|| (0..100).for_each(|_| time::sleep(secs(3)))))).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!((clock.elapsed(), clock.sleepers()), (secs(1200), 0));
}

#[test]
fn auto_advance_releases_those_who_sleep_already() {
    let clock = FakeClock::new();
    let (short, long) = (nap(&scope_of(&clock), secs(1)), nap(&scope_of(&clock), secs(60)));
    clock.wait_for_sleepers(2, LIMIT).unwrap();
    let clock = clock.auto_advance();
    assert!(short.recv_timeout(LIMIT).unwrap() >= secs(1));
    assert_eq!(long.recv_timeout(LIMIT), Ok(secs(60)));
    assert_eq!(clock.elapsed(), secs(60));
}

#[test]
fn a_sleep_past_what_the_clock_can_show_is_never_due() {
    for clock in [FakeClock::new(), FakeClock::new().auto_advance()] {
        let woken = nap(&scope_of(&clock), Duration::MAX);
        clock.wait_for_sleepers(1, LIMIT).unwrap();
        assert_eq!(clock.until_next(), None);
        clock.advance(secs(1 << 32));
        assert_eq!(clock.sleepers(), 1);
        drop(clock);
        assert_eq!(woken.recv_timeout(LIMIT), Ok(secs(1 << 32)));
    }
}

#[test]
fn what_it_cannot_show_it_refuses_and_goes_on_as_before() {
    let clock = FakeClock::new();
    let woken = nap(&scope_of(&clock), secs(10));
    clock.wait_for_sleepers(1, LIMIT).unwrap();
    clock.advance(secs(1));
    for too_far in [Duration::MAX, Duration::MAX - secs(1)] {
        let panic = catch_unwind(AssertUnwindSafe(|| clock.advance(too_far))).unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(text.starts_with("the clock cannot show what comes"), "{text}");
    }
    assert_eq!((clock.elapsed(), clock.sleepers()), (secs(1), 1));
    clock.advance(secs(9));
    assert_eq!(woken.recv_timeout(LIMIT), Ok(secs(10)));
}

#[test]
fn the_last_clone_releases_all_who_sleep_and_who_would() {
    let clock = FakeClock::new();
    let scope = scope_of(&clock);
    let naps = [secs(1), secs(10), Duration::MAX].map(|duration| nap(&scope, duration));
    clock.wait_for_sleepers(3, LIMIT).unwrap();
    let other = clock.clone();
    drop(clock);
    assert_eq!(other.sleepers(), 3);
    drop(other);
    for (woken, at_least) in naps.iter().zip([secs(1), secs(10), Duration::ZERO]) {
        assert!(woken.recv_timeout(LIMIT).unwrap() >= at_least);
    }
    // The scope still has its functions: a loop until a deadline ends.
    scope.run(|| {
        let deadline = time::now() + secs(3600);
        while time::now() < deadline {
            time::sleep(secs(60));
        }
    });
}

#[test]
fn a_test_that_fails_ends_with_the_threads_that_it_started() {
    let failed = thread::spawn(|| {
        let clock = FakeClock::new();
        let scope = scope_of(&clock);
        thread::scope(|threads| {
            let clock = clock; // in here, so that it is dropped before its threads are waited for
            threads.spawn(scope.bind(|| time::sleep(secs(1))));
            clock.wait_for_sleepers(1, LIMIT).unwrap();
            std::panic::resume_unwind(Box::new("an assertion failed"));
        });
    });
    assert!(failed.join().is_err());
}

#[test]
fn waiting_for_sleepers_says_how_many_there_were() {
    let clock = FakeClock::new();
    let error = clock.wait_for_sleepers(2, Duration::from_millis(1)).unwrap_err();
    assert_eq!((error.wanted, error.found), (2, 0));
    let _nap = nap(&scope_of(&clock), secs(1));
    clock.wait_for_sleepers(1, Duration::MAX).unwrap();
    let error = clock.wait_for_sleepers(2, Duration::ZERO).unwrap_err();
    assert_eq!((error.wanted, error.found), (2, 1));
    assert!(error.to_string().starts_with("1 of 2 threads sleep on the clock"), "{error}");
    clock.wait_for_sleepers(0, Duration::ZERO).unwrap();
}

#[test]
fn clocks_of_tests_that_run_in_parallel_never_meet() {
    let threads: Vec<_> = (1..=8)
        .map(|step| {
            thread::spawn(move || {
                let clock = FakeClock::at(SystemTime::UNIX_EPOCH + secs(step)).auto_advance();
                let _inside = scope_of(&clock).enter();
                for done in 0..200 {
                    assert_eq!(time::system_now(), SystemTime::UNIX_EPOCH + secs(step + done * step));
                    time::sleep(secs(step));
                }
                clock.elapsed()
            })
        })
        .collect();
    for (thread, step) in threads.into_iter().zip(1..) {
        assert_eq!(thread.join().unwrap(), secs(200 * step));
    }
}

#[test]
fn replacements_do_not_keep_the_clock_of_a_scope_that_has_gone() {
    let clock = FakeClock::new();
    let scope = scope_of(&clock);
    let woken = nap(&scope, secs(1));
    clock.wait_for_sleepers(1, LIMIT).unwrap();
    drop(scope); // its functions are still being called
    clock.advance(secs(1));
    assert_eq!(woken.recv_timeout(LIMIT), Ok(secs(1)));
}
