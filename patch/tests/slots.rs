//! Slots: what a function is called with and gives back goes through unchanged, however deep, and whoever asks.

mod common;

use common::{Gate, panic_of, throw, within};
use signalpost::patch::{BoxFuture, Scope, Slot, patch_points};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;

/// A receiver of methods.
#[derive(Debug, Default, PartialEq)]
pub struct Db {
    rows: Vec<String>,
}

patch_points! {
    #[allow(clippy::too_many_arguments, reason = "many are to go through")]
    mod points {
        use std::io;
        use std::fmt::Write;

        fn nothing() {}
        fn trimmed(text: &str) -> &str { text.trim() }
        fn row(db: &Db, at: usize) -> Option<&str> { db.rows.get(at).map(String::as_str) }
        fn add(db: &mut Db, row: String) -> usize {
            db.rows.push(row);
            db.rows.len()
        }
        fn slot_of(db: &mut Db) -> &mut Vec<String> { &mut db.rows }
        fn write(out: &mut dyn Write, text: &str) -> std::fmt::Result { out.write_str(text) }
        fn each(rows: &[u32], see: &mut dyn FnMut(u32)) { rows.iter().for_each(|row| see(*row)) }
        fn read(path: &str) -> io::Result<Vec<u8>> { Err(io::Error::other(path.to_owned())) }
        fn length(path: &str) -> BoxFuture<'_, io::Result<usize>> { Box::pin(async move { Ok(path.len()) }) }
        fn sum(a: u8, b: i8, c: u16, d: i16, e: u32, f: i32, g: u64, h: i64, i: f32, j: f64, k: bool, l: char) -> f64 {
            f64::from(a) + f64::from(b) + f64::from(c) + f64::from(d) + f64::from(e) + f64::from(f)
                + g as f64 + h as f64 + f64::from(i) + j + f64::from(u8::from(k)) + f64::from(u32::from(l))
        }
    }
}

fn run<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits for nothing"),
    }
}

/// What each of the points does, in one value.
fn all() -> String {
    let mut db = Db::default();
    points::nothing();
    let added = points::add(&mut db, "one".to_owned());
    points::slot_of(&mut db).push("two".to_owned());
    let mut out = String::new();
    points::write(&mut out, points::row(&db, 1).unwrap_or("none")).unwrap();
    let mut seen = Vec::new();
    points::each(&[1, 2], &mut |row| seen.push(row));
    let error = points::read("file").unwrap_err().to_string();
    let length = run(points::length("four")).unwrap();
    let sum = points::sum(1, -1, 2, -2, 3, -3, 4, -4, 0.5, 0.25, true, '\u{1}');
    let trimmed = points::trimmed(" x ");
    format!("{added} {out} {seen:?} {error} {length} {sum} {trimmed:?} {:?}", db.rows)
}

const ORIGINAL: &str = r#"1 two [1, 2] file 4 2.75 "x" ["one", "two"]"#;
const REPLACED: &str = r#"7 ONE [2, 3] new: file 40 3.75 " x " ["one!", "two"]"#;

#[test]
fn arguments_and_results_go_through_as_they_are() {
    assert_eq!(all(), ORIGINAL);
    fn plain(text: &str) -> &str {
        text
    }
    let nothings = Arc::new(AtomicU32::new(0));
    let count = nothings.clone();
    let layers = [
        points::slots::nothing.push(Box::new(move || {
            count.fetch_add(1, SeqCst);
        })),
        points::slots::trimmed.push_fn(plain),
        points::slots::row.push(Box::new(|db, _| db.rows.first().map(|row| &row[..3]))),
        points::slots::add.wrap(|next| Box::new(move |db, row| next.call(|below| below(db, row + "!")) + 6)),
        points::slots::slot_of.push(Box::new(|db| &mut db.rows)),
        points::slots::write.push(Box::new(|out, text| points::original::write(out, &text.to_uppercase()))),
        points::slots::each.push(Box::new(|rows, see| points::original::each(rows, &mut |row| see(row + 1)))),
        points::slots::read.push(Box::new(|path| Err(std::io::Error::other(format!("new: {path}"))))),
        points::slots::length.push(Box::new(|path| Box::pin(async move { Ok(10 * path.len()) }))),
        points::slots::sum.wrap(|next| {
            Box::new(move |a, b, c, d, e, f, g, h, i, j, k, l| {
                next.call(|below| below(a, b, c, d, e, f, g, h, i, j, k, l)) + 1.0
            })
        }),
    ];
    assert_eq!(all(), REPLACED);
    assert_eq!(nothings.load(SeqCst), 1);
    assert!(layers.iter().all(|layer| layer.slot().is_patched()));
    drop(layers);
    assert_eq!((all().as_str(), nothings.load(SeqCst)), (ORIGINAL, 1));
    assert!(points::MODULE.slots().iter().all(|slot| !slot.is_patched()));
}

#[test]
fn a_borrowed_result_outlives_the_layer_that_gave_it() {
    patch_points! { mod text { fn first(text: &str) -> &str { text } } }
    let text = "ab".to_owned();
    let layer = text::slots::first.push(Box::new(|text| &text[..1]));
    let first = text::first(&text);
    layer.undo();
    assert_eq!((first, text::first(&text)), ("a", "ab"));
}

#[test]
fn a_future_is_no_call_and_is_not_waited_for() {
    patch_points! { mod page { fn fetch(url: &str) -> BoxFuture<'_, usize> { Box::pin(async { 0 }) } } }
    let layer = page::slots::fetch.push(Box::new(|url| Box::pin(async move { url.len() })));
    let future = page::fetch("four");
    assert_eq!(layer.undo_and_wait(common::HANG), Ok(()));
    assert_eq!((run(future), run(page::fetch("four"))), (4, 0));
}

#[test]
fn a_replacement_that_calls_the_public_name_calls_itself() {
    within(|| {
        patch_points! { mod count { fn down(n: u32) -> u32 { n + 1000 } } }
        let layer = count::slots::down.push(Box::new(|n| if n == 0 { 0 } else { count::down(n - 1) + 1 }));
        for deep in [1, 6, 7, 10, 100, 1000] {
            assert_eq!(count::down(deep), deep);
        }
        layer.undo();
        assert_eq!(count::down(0), 1000);
        // `original` is the way out.
        let out = count::slots::down.push(Box::new(|n| count::original::down(n) + 1));
        assert_eq!(count::down(0), 1001);
        out.undo();
        let scope = Scope::new([count::slots::down
            .with(Box::new(|n| if n == 0 { count::original::down(0) } else { count::down(n - 1) + 1 }))])
        .unwrap();
        assert_eq!(scope.run(|| count::down(1000)), 2000);
    });
}

#[test]
fn the_depth_of_a_thousand_is_left_by_a_panic_as_well() {
    within(|| {
        patch_points! { mod count { fn down(n: u32) -> u32 { n } } }
        let layer = count::slots::down.push(Box::new(|n| match n {
            0 => throw("at the bottom"),
            n => count::down(n - 1),
        }));
        for _ in 0..3 {
            assert_eq!(panic_of(|| count::down(1000)), "at the bottom");
        }
        assert_eq!(layer.undo_and_wait(common::HANG), Ok(()));
        assert_eq!(count::down(3), 3);
    });
}

type Number = Slot<dyn Fn() -> u32 + Send + Sync, fn() -> u32>;
/// A slot and its function.
type Point = (&'static Number, fn() -> u32);

macro_rules! fifty {
    ($($name:ident)*) => {
        patch_points! { mod chain { $(fn $name() -> u32 { 1 })* } }
        const CHAIN: &[Point] = &[$((&chain::slots::$name, chain::$name)),*];
    };
}

#[test]
fn replacements_call_other_slots_fifty_deep() {
    fifty! {
        a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 b0 b1 b2 b3 b4 b5 b6 b7 b8 b9 c0 c1 c2 c3 c4 c5 c6 c7 c8 c9
        d0 d1 d2 d3 d4 d5 d6 d7 d8 d9 e0 e1 e2 e3 e4 e5 e6 e7 e8 e9
    }
    within(|| {
        assert_eq!((CHAIN.len(), CHAIN[0].1()), (50, 1));
        let link = |pair: &'static [Point]| pair[0].0.push(Box::new(|| pair[1].1() + 1));
        let mut layers: Vec<_> = CHAIN.windows(2).map(link).collect();
        assert_eq!(CHAIN[0].1(), 50);
        // Broken in the middle, while a call is on its way through all of them.
        let rest = Mutex::new(layers.split_off(25));
        let bottom = CHAIN[49].0.push(Box::new(move || {
            rest.lock().unwrap().clear();
            CHAIN[0].1() * 100
        }));
        assert_eq!(CHAIN[0].1(), 2600 + 49);
        assert_eq!(CHAIN[0].1(), 26);
        drop((layers, bottom));
        assert!(CHAIN.iter().all(|(slot, call)| !slot.is_patched() && call() == 1));
    });
}

#[test]
fn whoever_holds_the_slot_calls_what_others_do() {
    patch_points! { mod number { fn get(n: u32) -> u32 { n } } }
    fn plain(n: u32) -> u32 {
        n + 1
    }
    let slot = &number::slots::get;
    let both = || (number::get(1), slot.call(|get| get(1)));
    assert_eq!(both(), (1, 1));
    let one = slot.push_fn(plain);
    assert_eq!(both(), (2, 2));
    let two = slot.push(Box::new(|n| n + 2));
    assert_eq!(both(), (3, 3));
    let scope = Scope::new([slot.with(Box::new(|n| n + 3))]).unwrap();
    assert_eq!((both(), scope.run(both)), ((3, 3), (4, 4)));
    drop((one, two));
    assert_eq!((both(), scope.run(both), slot.original()(1)), ((1, 1), (4, 4), 1));
}

#[test]
fn what_a_call_holds_stays_until_it_is_done_with_it() {
    within(|| {
        patch_points! { mod number { fn get() -> u32 { 1 } } }
        let (inside, leave) = (Gate::new(), Gate::new());
        let own = Arc::new(7);
        let layer = number::slots::get.push(Box::new(move || *own));
        let (entered, wait) = (inside.clone(), leave.clone());
        let holder = thread::spawn(move || {
            number::slots::get.call(|get| {
                entered.open();
                wait.pass();
                (get(), number::get())
            })
        });
        inside.pass();
        layer.undo();
        leave.open();
        assert_eq!(holder.join().unwrap(), (7, 1));
    });
}

#[test]
fn a_panic_of_the_original_goes_to_the_caller() {
    patch_points! { mod number { fn get(n: u32) -> u32 { if n == 0 { crate::throw("none") } else { n } } } }
    assert_eq!(panic_of(|| number::get(0)), "none");
    let layer = number::slots::get.wrap(|next| Box::new(move |n| next.call(|below| below(n)) + 1));
    assert_eq!((panic_of(|| number::get(0)), number::get(1)), ("none", 2));
    layer.undo();
    let scope = Scope::new([number::slots::get.with(Box::new(|n| number::original::get(n) + 5))]).unwrap();
    assert_eq!((panic_of(|| scope.run(|| number::get(0))), scope.run(|| number::get(1))), ("none", 6));
    assert_eq!(number::get(1), 1); // and out of the scope
}

#[test]
fn slots_with_one_signature_take_each_others_replacements() {
    patch_points! {
        mod one { fn f(n: u32) -> u32 { n } fn g(n: u64) -> u64 { n } }
        mod two { fn f(n: u32) -> u32 { n + 100 } }
    }
    let [f, g, other] =
        [one::MODULE.slot("f"), one::MODULE.slot("g"), two::MODULE.slot("f")].map(Option::unwrap);
    assert_eq!(f.signature_id(), other.signature_id());
    assert_ne!(f.signature_id(), g.signature_id());
    let layer = other.push_any(&one::sig::f(|n| n * 2)).unwrap();
    assert_eq!((one::f(4), two::f(4)), (4, 8));
    layer.undo();
    assert!(g.push_any(&one::sig::f(|n| n)).is_none());
}

#[test]
fn the_first_calls_and_changes_of_a_slot_may_come_at_once() {
    within(|| {
        macro_rules! many {
            ($($name:ident)*) => {
                patch_points! { mod fresh { $(fn $name() -> u32 { 1 })* } }
                const FRESH: &[Point] = &[$((&fresh::slots::$name, fresh::$name)),*];
            };
        }
        many! { a b c d e f g h i j k l m n o p q r s t u v w x y z }
        for (slot, call) in FRESH {
            let start = std::sync::Barrier::new(3);
            thread::scope(|threads| {
                for n in [2, 3] {
                    let start = &start;
                    threads.spawn(move || {
                        start.wait();
                        let layer = slot.push(Box::new(move || n));
                        assert!([2, 3].contains(&call()));
                        layer.undo();
                    });
                }
                start.wait();
                assert!([1, 2, 3].contains(&call()));
            });
            assert_eq!((call(), slot.layers(), slot.is_patched()), (1, 0, false));
        }
    });
}
