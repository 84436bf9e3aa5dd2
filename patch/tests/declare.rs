//! What `patch_points!` takes and makes, in a crate that is strict with itself: what it writes gives no warning.

#![forbid(unsafe_code)]
#![deny(warnings, future_incompatible, missing_docs, rust_2018_idioms, unused, unreachable_pub)]
#![deny(unused_qualifications, unused_results, trivial_casts, unnameable_types, single_use_lifetimes)]
#![deny(clippy::pedantic)]

use signalpost::patch::{AnySlot, BoxFuture, Module, Replacement, Slot, patch_points};
use std::collections::HashMap;
use std::io;

/// What the functions of the outside world see.
#[derive(Debug)]
pub struct Db(pub u32);

/// Only this file knows it.
#[derive(Debug)]
struct Private(u32);

mod deeper {
    /// From elsewhere.
    pub(crate) fn ten() -> u32 {
        10
    }
}

patch_points! {
    /// One module, with a name of its own.
    #[allow(clippy::module_name_repetitions)]
    pub mod store as "acme.store" {
        use std::time::Duration;
        use std::time::Instant as Moment;
        use crate::deeper::ten;

        /// Documented.
        fn moment() -> Moment { Moment::now() }
        /// With a trailing comma.
        pub fn wait(_duration: Duration,) {}
        /// Its result must be used.
        #[must_use = "it is all that it does"]
        fn read(db: &Db, path: &str) -> io::Result<Vec<u8>> {
            Err(io::Error::other(format!("{path}: {}", db.0 + ten())))
        }
        /// With names for lifetimes.
        fn longest<'a>(a: &'a str, b: &'a str) -> &'a str { if a.len() < b.len() { b } else { a } }
        /// Asynchronous.
        fn fetch(url: &str) -> BoxFuture<'_, usize> { Box::pin(async move { url.len() }) }
        /// Types of all sorts.
        fn sorts(
            f: fn(u32) -> u32,
            each: &mut dyn FnMut(&str) -> u32,
            four: [u8; 4],
            pairs: &[(&str, u32)],
            map: HashMap<String, Option<Box<dyn Fn() -> u32 + Send>>>,
        ) -> (u32, usize) {
            (f(each("a")) + u32::from(four[0]) + pairs[0].1, map.len())
        }
    }

    /// Nothing is in it.
    pub mod empty {}

    mod hidden {
        fn unwrap(private: &Private) -> u32 { private.0 }
        fn never_called() {}
    }

    pub(crate) mod shared {
        // Names that the macro uses itself.
        fn path(call: u32, function: u32, slots: u32, replacement: u32) -> u32 { call + function + slots + replacement }
        fn original() -> u32 { 1 }
        fn slots() -> u32 { 2 }
        fn sig() -> u32 { 3 }
        fn plain() -> u32 { 4 }
        fn f(f: u32) -> u32 { f }
        fn all() -> u32 { original() + slots() + sig() + plain() + f(5) }
    }
}

#[test]
fn each_module_has_its_name_and_its_slots_in_order() {
    let names = |module: &Module| module.slots().iter().map(|slot| slot.name()).collect::<Vec<_>>();
    assert_eq!((store::MODULE.name(), store::MODULE.slots().len()), ("acme.store", 6));
    assert_eq!(names(&store::MODULE), ["moment", "wait", "read", "longest", "fetch", "sorts"]);
    assert_eq!((empty::MODULE.name(), empty::MODULE.slots().len()), ("empty", 0));
    assert_eq!((hidden::MODULE.name(), names(&hidden::MODULE)), ("hidden", vec!["unwrap", "never_called"]));
    assert_eq!(names(&shared::MODULE), ["path", "original", "slots", "sig", "plain", "f", "all"]);
    let read = store::MODULE.slot("read").unwrap();
    assert_eq!((read.module(), read.name()), ("acme.store", "read"));
    assert!(store::MODULE.slot("write").is_none());
    assert!(empty::MODULE.slot("").is_none());
}

#[test]
fn signatures_are_shown_as_they_were_written() {
    let signature = |item| store::MODULE.slot(item).unwrap().signature();
    assert_eq!(signature("moment"), "fn() -> Moment");
    assert_eq!(signature("wait"), "fn(Duration)");
    assert_eq!(signature("read"), "fn(&Db, &str) -> io::Result<Vec<u8>>");
    assert_eq!(signature("longest"), "for<'a> fn(&'a str, &'a str) -> &'a str");
    assert_eq!(signature("fetch"), "fn(&str) -> BoxFuture<'_, usize>");
    assert_eq!(hidden::MODULE.slot("unwrap").unwrap().signature(), "fn(&Private) -> u32");
}

#[test]
fn the_functions_are_those_that_were_written() {
    assert!(store::moment() <= store::original::moment());
    store::wait(std::time::Duration::MAX);
    assert_eq!(store::read(&Db(1), "file").unwrap_err().to_string(), "file: 11");
    let shortest =
        store::slots::longest.push(Box::new(|a, b| if store::original::longest(a, b) == a { b } else { a }));
    assert_eq!((store::longest("one", "two2"), store::longest("three", "two2")), ("one", "two2"));
    shortest.undo();
    assert_eq!(store::longest("one", "two2"), "two2");
    let map = HashMap::from([("x".to_owned(), None)]);
    let sorts = store::sorts(|n| n + 1, &mut |_| 5, [7, 0, 0, 0], &[("b", 100)], map);
    assert_eq!(sorts, (113, 1));
    assert_eq!(hidden::unwrap(&Private(7)), 7);
    assert_eq!((shared::path(1, 2, 3, 4), shared::all()), (10, 15));
}

#[test]
fn originals_call_originals() {
    let layers =
        [shared::slots::original.push(Box::new(|| 100)), shared::slots::f.push(Box::new(|n| 100 * n))];
    assert_eq!((shared::original(), shared::f(2)), (100, 200));
    assert_eq!((shared::all(), shared::original::all()), (15, 15));
    drop(layers);
    assert_eq!(shared::original(), 1);
}

#[test]
fn replacements_know_what_they_are_for() {
    let closure: Replacement = shared::sig::f(|n| n + 1);
    let function = shared::plain::f(|n| n + 2);
    for replacement in [&closure, &function] {
        assert_eq!((replacement.item(), replacement.signature()), ("f", "fn(u32) -> u32"));
        assert_eq!(replacement.signature_id(), shared::slots::f.signature_id());
    }
    assert_eq!(format!("{closure:?}"), "Replacement(f: fn(u32) -> u32)");
    // The types have names.
    let boxed: Box<shared::sig::f> = Box::new(|n| n + 3);
    let slot: &'static Slot<shared::sig::f, fn(u32) -> u32> = &shared::slots::f;
    assert_eq!(boxed(slot.call(|f| f(0))), 3);
}

#[test]
fn modules_are_declared_in_functions_too() {
    fn number() -> u32 {
        1
    }
    patch_points! {
        mod local {
            use super::Db;
            use std::fmt::Debug;

            fn show(value: &dyn Debug, db: &Db) -> String { format!("{value:?} {}", db.0) }
        }
    }
    let layer = local::slots::show.push(Box::new(|_, db| (db.0 + 1).to_string()));
    assert_eq!(local::show(&"x", &Db(number())), "2");
    layer.undo();
    assert_eq!(local::show(&"x", &Db(number())), "\"x\" 1");
}

#[test]
fn use_lines_are_those_of_the_language() {
    macro_rules! declared {
        () => {
            patch_points! {
                mod used {
                    use std::collections::{BTreeMap as Map, HashSet};
                    use std::io::{self, Read as _};
                    use std::time::*;
                    use crate::Db;
                    use super::deeper as down;

                    fn read(text: &[u8]) -> io::Result<(Map<u8, Duration>, HashSet<u32>)> {
                        let mut all = String::new();
                        let _ = { text }.read_to_string(&mut all)?;
                        let seconds = all.bytes().map(|byte| (byte, Duration::from_secs(1)));
                        Ok((seconds.collect(), HashSet::from([Db(down::ten()).0])))
                    }
                }
            }
        };
    }
    declared!();
    let (seconds, numbers) = used::read(b"aba").unwrap();
    assert_eq!((seconds.len(), numbers.contains(&10)), (2, true));
}

#[test]
fn two_modules_of_one_name_have_slots_of_their_own() {
    patch_points! { mod same { fn get() -> u32 { 1 } } }
    let first = || same::get();
    let _layer = same::slots::get.push(Box::new(|| 2));
    {
        patch_points! { mod same { fn get() -> u32 { 3 } } }
        assert_eq!((first(), same::get()), (2, 3));
    }
}

#[test]
fn a_macro_may_declare_patch_points() {
    macro_rules! counters {
        ($($name:ident = $value:literal),*) => {
            patch_points! { mod counters { $(fn $name() -> u32 { $value })* } }
        };
    }
    counters!(one = 1, two = 2);
    let layer = counters::slots::one.push(Box::new(|| counters::two() + 5));
    assert_eq!((counters::one(), counters::MODULE.slots().len()), (7, 2));
    layer.undo();
    assert_eq!(counters::one(), 1);
}

#[test]
fn attributes_are_those_of_the_public_function() {
    patch_points! {
        mod marked {
            #[deprecated = "there is a newer one"]
            fn old() -> u32 { 1 }
            #[cold]
            #[inline(never)]
            fn rare() -> u32 { 2 }
        }
    }
    #[allow(deprecated, reason = "that it is, is what is looked at")]
    let old = marked::old();
    assert_eq!((old, marked::original::old(), marked::rare()), (1, 1, 2));
}

/// Shown: what the macro makes can be put together by hand too.
#[test]
fn a_module_can_be_put_together_from_slots() {
    static BOTH: Module = Module::new("both", &[&shared::slots::f, &store::slots::wait]);
    assert_eq!(BOTH.slots().iter().map(|slot| slot.module()).collect::<Vec<_>>(), ["shared", "acme.store"]);
    assert!(BOTH.slot("f").is_some_and(|slot| !slot.is_patched()));
}
