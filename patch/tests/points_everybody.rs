//! The clock and the faults for everybody, by a patcher. One test, since all tests of a process would see it.

use signalpost::patch::points::{self, FakeClock, Fault, Faults, fs, time};
use signalpost::patch::{Builtin, PatchError, Patcher, Scope, patch_points};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

patch_points! {
    /// A program's own, with some of the functions, another one, and in another order.
    mod clock as "acme.clock" {
        use std::time::Duration;
        use std::time::Instant;
        /// Waits, or not.
        fn sleep(how_long: Duration) { std::thread::sleep(how_long) }
        /// Nothing of ours.
        fn zone() -> &'static str { "UTC" }
        /// The time.
        fn now() -> Instant { Instant::now() }
    }

    mod odd as "acme.odd" {
        /// Has the name, and another signature.
        fn now() -> u64 { 1 }
    }
}

#[test]
fn for_everybody_they_are_sources_like_others() {
    let (fake, faults, patcher) = (FakeClock::new(), Faults::new(), Patcher::new());
    patcher.builtin(Builtin::new(&time::MODULE, Arc::new(fake.clone()))).unwrap();
    for module in points::MODULES.into_iter().skip(1) {
        patcher.builtin(Builtin::new(module, Arc::new(faults.clone()))).unwrap();
    }
    patcher.builtin(Builtin::new(&clock::MODULE, Arc::new(fake.clone()))).unwrap();
    let patched = patcher.patch_all(&Default::default(), &Default::default()).unwrap().patched().unwrap();
    let items: Vec<_> =
        patched.items.iter().map(|item| format!("{}::{} {}", item.module, item.item, item.source)).collect();
    assert_eq!(
        items,
        [
            "signalpost.time::now fake clock",
            "signalpost.time::system_now fake clock",
            "signalpost.time::sleep fake clock",
            "signalpost.rand::seed faults",
            "signalpost.net::resolve faults",
            "signalpost.net::connect faults",
            "signalpost.fs::read faults",
            "signalpost.fs::write faults",
            "signalpost.env::var faults",
            "acme.clock::now fake clock",
            "acme.clock::sleep fake clock",
        ]
    );

    // On any thread, bound to nothing, a call waits on the clock and then fails.
    faults
        .inject(&fs::slots::read, Fault::nth(1).delay(Duration::from_secs(5)).kind(ErrorKind::TimedOut))
        .unwrap();
    let reads = thread::spawn(|| fs::read(Path::new("Cargo.toml")).map_err(|error| error.kind()));
    let sleeps = thread::spawn(|| clock::sleep(Duration::from_secs(5)));
    fake.wait_for_sleepers(2, LIMIT).unwrap();
    fake.advance(Duration::from_secs(5));
    assert_eq!(reads.join().unwrap(), Err(ErrorKind::TimedOut));
    sleeps.join().unwrap();
    assert!(fs::read(Path::new("Cargo.toml")).is_ok());
    assert_eq!((clock::now(), clock::zone()), (fake.now(), "UTC"));

    // A scope is nearer than what is for everybody.
    let other = FakeClock::new();
    other.advance(Duration::from_secs(1000));
    let scope = Scope::new(other.overrides()).unwrap();
    assert_eq!((scope.run(time::now), time::now()), (other.now(), fake.now()));
    let scope = Scope::new(clock::MODULE.overrides(&other).unwrap()).unwrap();
    assert_eq!((scope.run(clock::now), clock::now()), (other.now(), fake.now()));

    assert_eq!(patched.undo().undone.len(), 11);
    assert!(points::MODULES.iter().all(|module| module.slots().iter().all(|slot| !slot.is_patched())));
    assert_ne!(time::now(), fake.now());

    // A function of the same name and another signature is an error, and not passed over in silence.
    assert!(matches!(odd::MODULE.overrides(&fake), Err(PatchError::Signature { item, .. }) if item == "now"));
    assert!(clock::MODULE.overrides(&faults).unwrap().is_empty());
}
