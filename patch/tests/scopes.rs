//! Scopes: their replacements hold inside and nowhere else, whatever thread or future carries them, and end with the last clone.

mod common;

use common::{Captured, Gate, OnDrop, panic_of, throw, within};
use signalpost::patch::{Entered, Override, PatchError, Path, Scope, Stray, patch_points};
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{self, TryRecvError};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls to the end, each time on another thread.
fn run_on_many_threads<F: Future<Output: Send> + Send>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    loop {
        let polled = thread::scope(|threads| threads.spawn(|| poll(future.as_mut())).join().unwrap());
        if let Poll::Ready(output) = polled {
            return output;
        }
    }
}

/// Lets others run in between, once.
async fn yielded() {
    let mut first = true;
    poll_fn(|_| if std::mem::take(&mut first) { Poll::Pending } else { Poll::Ready(()) }).await;
}

#[test]
fn parallel_threads_with_scopes_of_their_own_never_meet() {
    within(|| {
        patch_points! { mod name { fn get() -> usize { 0 } } }
        const CALLS: usize = 2_000;
        let start = Barrier::new(9);
        let over = AtomicBool::new(false);
        thread::scope(|threads| {
            let unbound = threads.spawn(|| {
                start.wait();
                let mut calls = 0;
                while !over.load(SeqCst) || calls < CALLS {
                    assert_eq!(name::get(), 0);
                    calls += 1;
                }
            });
            let tests: Vec<_> = (1..=8)
                .map(|n| {
                    let start = &start;
                    threads.spawn(move || {
                        let scope = Scope::new([name::slots::get.with(Box::new(move || n))]).unwrap();
                        start.wait();
                        let inside = scope.enter();
                        let all = move || (0..CALLS).all(|_| name::get() == n);
                        let bound = thread::spawn(scope.bind(all));
                        for _ in 0..CALLS {
                            assert_eq!(name::get(), n);
                        }
                        assert!(bound.join().unwrap());
                        assert_eq!(thread::spawn(scope.bind(name::get)).join().unwrap(), n);
                        assert_eq!(thread::spawn(name::get).join().unwrap(), 0);
                        let future = scope.wrap(async {
                            let mut seen = vec![name::get()];
                            for _ in 0..5 {
                                yielded().await;
                                seen.push(name::get());
                            }
                            seen
                        });
                        assert_eq!(run_on_many_threads(future), [n; 6]);
                        drop(inside);
                        assert_eq!(name::get(), 0);
                    })
                })
                .collect();
            tests.into_iter().for_each(|test| test.join().unwrap());
            over.store(true, SeqCst);
            unbound.join().unwrap();
        });
        assert!(matches!(name::slots::get.path(), Path::Original));
    });
}

#[test]
fn a_child_replaces_over_its_parent_and_falls_back_to_it() {
    patch_points! { mod letters { fn a() -> u32 { 0 } fn b() -> u32 { 0 } fn c() -> u32 { 0 } } }
    let letters = || (letters::a(), letters::b(), letters::c());
    let (a, b) = (&letters::slots::a, &letters::slots::b);
    let parent = Scope::new([a.with(Box::new(|| 1)), b.with(Box::new(|| 1))]).unwrap();
    let child = parent.run(|| Scope::new([a.with(Box::new(|| 2))]).unwrap());
    let grandchild = child.run(|| Scope::new([b.with(Box::new(|| 3))]).unwrap());
    assert_eq!((parent.run(letters), child.run(letters)), ((1, 1, 0), (2, 1, 0)));
    assert_eq!(grandchild.run(letters), (2, 3, 0));
    // A child is that of the scope that it was made in, wherever it is entered.
    assert_eq!(thread::spawn(grandchild.bind(letters)).join().unwrap(), (2, 3, 0));
    drop((parent, child));
    assert_eq!((grandchild.run(letters), letters()), ((2, 3, 0), (0, 0, 0)));
    drop(grandchild);
    assert!(letters::MODULE.slots().iter().all(|slot| !slot.is_patched()));
    assert!(matches!(a.path(), Path::Original) && matches!(b.path(), Path::Original));
}

#[test]
fn a_scope_that_is_entered_inside_another_that_it_is_no_child_of_hides_it() {
    patch_points! { mod letters { fn a() -> u32 { 0 } fn b() -> u32 { 0 } } }
    let one = Scope::new([letters::slots::a.with(Box::new(|| 1))]).unwrap();
    let two = Scope::new([letters::slots::b.with(Box::new(|| 2))]).unwrap();
    assert_eq!(one.run(|| two.run(|| (letters::a(), letters::b()))), (0, 2));
}

#[test]
fn guards_are_dropped_in_any_order() {
    patch_points! { mod number { fn get() -> usize { 0 } } }
    let scope = |n| Scope::new([number::slots::get.with(Box::new(move || n))]).unwrap();
    let scopes: Vec<Scope> = (1..=3).map(scope).collect();
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut guards: Vec<Option<Entered>> = scopes.iter().map(|scope| Some(scope.enter())).collect();
        for at in order {
            guards[at] = None;
            let newest = guards.iter().rposition(Option::is_some).map_or(0, |at| at + 1);
            assert_eq!(
                (number::get(), Scope::current().is_some()),
                (newest, newest != 0),
                "{order:?} until {at}"
            );
        }
    }
    // The same scope twice.
    let (first, second) = (scopes[0].enter(), scopes[0].enter());
    drop(first);
    assert_eq!(number::get(), 1);
    drop(second);
    assert_eq!((number::get(), format!("{:?}", scopes[1])), (0, r#"Scope["number::get"]"#.to_owned()));
}

#[test]
fn a_scope_lives_while_it_is_entered_somewhere() {
    within(|| {
        patch_points! { mod number { fn get() -> usize { 0 } } }
        let captured = Captured::default();
        let held = captured.take();
        let scope =
            Scope::new([number::slots::get.with(Box::new(move || Arc::strong_count(&held)))]).unwrap();
        let (inside, leave) = (Gate::new(), Gate::new());
        let (entered, wait, theirs) = (inside.clone(), leave.clone(), scope.clone());
        let other = thread::spawn(move || {
            let guard = theirs.enter();
            drop(theirs);
            entered.open();
            wait.pass();
            let seen = number::get();
            drop(guard);
            (seen, number::get())
        });
        inside.pass();
        drop(scope);
        assert_eq!((captured.held(), number::get()), (1, 0));
        leave.open();
        assert_eq!((other.join().unwrap(), captured.held()), ((2, 0), 0));
        assert!(matches!(number::slots::get.path(), Path::Original));
    });
}

#[test]
fn what_a_scope_captured_is_dropped_with_the_last_clone() {
    patch_points! { mod line { fn write(text: &str) {} } }
    let (sent, lines) = mpsc::channel();
    let scope =
        Scope::new([line::slots::write.with(Box::new(move |text| sent.send(text.to_owned()).unwrap()))]);
    let (scope, clone) = (scope.as_ref().unwrap().clone(), scope.unwrap());
    scope.run(|| line::write("one"));
    let bound = clone.bind(|| line::write("two"));
    drop((scope, clone));
    bound();
    line::write("three");
    assert_eq!(lines.iter().collect::<Vec<_>>(), ["one", "two"]); // ends: the other end is gone
}

#[test]
fn a_call_that_drops_the_last_clone_of_its_scope_finishes_in_it() {
    patch_points! { mod number { fn get() -> usize { 0 } } }
    let captured = Captured::default();
    let held = captured.take();
    thread_local!(static OWN: RefCell<Option<(Entered, Scope)>> = const { RefCell::new(None) });
    let scope = Scope::new([number::slots::get.with(Box::new(move || {
        drop(OWN.take());
        assert!(Scope::current().is_none());
        10 * Arc::strong_count(&held) + number::get()
    }))])
    .unwrap();
    OWN.set(Some((scope.enter(), scope)));
    assert_eq!(number::get(), 20);
    assert_eq!((number::get(), captured.held()), (0, 0));
    assert!(matches!(number::slots::get.path(), Path::Original));
}

#[test]
fn a_replacement_may_make_and_enter_scopes() {
    patch_points! { mod number { fn get() -> usize { 0 } fn other() -> usize { 5 } } }
    let scope = Scope::new([number::slots::get.with(Box::new(|| {
        let inner = Scope::new([number::slots::get.with(Box::new(|| number::other() + 1))]).unwrap();
        inner.run(number::get) + number::other()
    }))])
    .unwrap();
    assert_eq!((scope.run(number::get), number::get()), (11, 0));
}

#[test]
fn what_a_scope_captured_may_enter_scopes_as_it_is_dropped() {
    within(|| {
        patch_points! { mod number { fn get() -> usize { 0 } } }
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let other = Scope::new([number::slots::get.with(Box::new(|| 7))]).unwrap();
        let last = OnDrop(move || {
            let new = Scope::new([number::slots::get.with(Box::new(|| 8))]).unwrap();
            let numbers = [number::get(), other.run(number::get), new.run(number::get)];
            log.lock().unwrap().extend(numbers);
        });
        let scope = Scope::new([number::slots::get.with(Box::new(move || {
            let _held = &last;
            1
        }))])
        .unwrap();
        let inside = scope.enter();
        drop(scope);
        assert_eq!(number::get(), 1);
        drop(inside);
        assert_eq!(*seen.lock().unwrap(), [0, 7, 8]);
        assert!(matches!(number::slots::get.path(), Path::Original));
    });
}

#[test]
fn a_panic_leaves_the_scope() {
    patch_points! { mod number { fn get() -> usize { 0 } } }
    let scope = Scope::new([number::slots::get.with(Box::new(|| throw("replaced")))]).unwrap();
    assert_eq!(panic_of(|| scope.run(number::get)), "replaced");
    assert_eq!((number::get(), Scope::current().is_some()), (0, false));
    assert_eq!(panic_of(|| scope.bind(|| throw("bound"))()), "bound");
    let mut future = Box::pin(scope.wrap(async { throw("polled") }));
    assert_eq!(panic_of(|| poll(future.as_mut()).is_ready()), "polled");
    assert_eq!((number::get(), Scope::current().is_some()), (0, false));
    drop(future);
    let dropped = scope.wrap(async {
        let _bad = OnDrop(|| throw("dropped"));
        yielded().await;
    });
    let mut dropped = Box::pin(dropped);
    assert!(poll(dropped.as_mut()).is_pending());
    assert_eq!(panic_of(|| drop(dropped)), "dropped");
    assert_eq!((number::get(), Scope::current().is_some()), (0, false));
}

#[test]
fn a_wrapped_future_is_dropped_inside_its_scope() {
    patch_points! { mod number { fn get() -> usize { 0 } } }
    let scope = Scope::new([number::slots::get.with(Box::new(|| 1))]).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let future = |what: &'static str| {
        let log = seen.clone();
        let last = OnDrop(move || log.lock().unwrap().push((what, number::get())));
        Box::pin(scope.wrap(async move {
            let _last = last;
            yielded().await;
            number::get()
        }))
    };
    drop(future("not polled"));
    let mut midway = future("midway");
    assert!(poll(midway.as_mut()).is_pending());
    drop(midway);
    let mut elsewhere = future("elsewhere");
    assert!(poll(elsewhere.as_mut()).is_pending());
    thread::spawn(move || drop(elsewhere)).join().unwrap();
    assert_eq!(run_on_many_threads(future("done")), 1);
    let expected = [("not polled", 1), ("midway", 1), ("elsewhere", 1), ("done", 1)];
    assert_eq!((&*seen.lock().unwrap(), number::get()), (&expected.to_vec(), 0));
}

#[test]
fn a_wrapped_future_holds_its_scope_and_nothing_else_does() {
    patch_points! { mod number { fn get() -> usize { 0 } } }
    let captured = Captured::default();
    let held = captured.take();
    let scope = Scope::new([number::slots::get.with(Box::new(move || Arc::strong_count(&held)))]).unwrap();
    let mut future = Box::pin(scope.wrap(async {
        yielded().await;
        number::get()
    }));
    drop(scope);
    assert!(poll(future.as_mut()).is_pending());
    assert_eq!((captured.held(), poll(future.as_mut())), (1, Poll::Ready(2)));
    drop(future);
    assert_eq!(captured.held(), 0);
}

#[test]
fn a_future_that_is_polled_inside_another_scope_is_in_its_own() {
    patch_points! { mod number { fn get() -> usize { 0 } } }
    let scope = |n| Scope::new([number::slots::get.with(Box::new(move || n))]).unwrap();
    let (one, two) = (scope(1), scope(2));
    let inner = one.wrap(async {
        let before = number::get();
        yielded().await;
        (before, number::get())
    });
    let outer = two.wrap(async {
        let before = number::get();
        let inner = inner.await;
        (before, inner, number::get())
    });
    assert_eq!(run_on_many_threads(outer), (2, (1, 1), 2));
}

/// Runs `f` as the thread's locals are dropped.
struct AtThreadEnd(RefCell<Option<Box<dyn FnOnce()>>>);

impl Drop for AtThreadEnd {
    fn drop(&mut self) {
        if let Some(f) = self.0.take() {
            f();
        }
    }
}

thread_local!(static AT_END: AtThreadEnd = const { AtThreadEnd(RefCell::new(None)) });

#[test]
fn slots_and_scopes_work_while_a_thread_ends() {
    within(|| {
        patch_points! { mod number { fn get() -> usize { 0 } } }
        // Whichever of the thread's locals goes first.
        for entered_when in ["first", "then", "only as the thread ends"] {
            let scope = Scope::new([number::slots::get.with(Box::new(|| 1))]).unwrap();
            let layer = number::slots::get.push(Box::new(|| 2));
            let (sent, seen) = mpsc::channel();
            let before = scope.clone();
            thread::spawn(move || {
                let enter = move || before.run(number::get) + number::get();
                if entered_when == "first" {
                    assert_eq!(enter(), 3);
                }
                AT_END.with(|_| ());
                if entered_when == "then" {
                    assert_eq!(enter(), 3);
                }
                let dropped = sent.clone();
                let last = OnDrop(move || dropped.send(number::get()).unwrap());
                let future = scope.wrap(async move {
                    let _last = last;
                    yielded().await;
                });
                let at_end = move || {
                    sent.send(number::get()).unwrap();
                    sent.send(scope.run(number::get)).unwrap();
                    let mut future = Box::pin(future);
                    assert!(poll(future.as_mut()).is_pending());
                    drop(future);
                    number::slots::get.push(Box::new(|| 3)).undo();
                    let inside = scope.enter();
                    sent.send(number::get()).unwrap();
                    drop(inside);
                };
                AT_END.with(|end| end.0.replace(Some(Box::new(at_end))));
            })
            .join()
            .unwrap();
            assert_eq!(seen.iter().collect::<Vec<_>>(), [2, 1, 1, 1]);
            layer.undo();
            assert!(matches!(number::slots::get.path(), Path::Original));
        }
    });
}

#[test]
fn strays_are_counted_by_thread_and_function() {
    within(|| {
        patch_points! { mod letters as "acme.letters" { fn a() -> u32 { 0 } fn b() -> u32 { 0 } fn c() -> u32 { 0 } } }
        let (a, b) = (&letters::slots::a, &letters::slots::b);
        let strict = Scope::strict([a.with(Box::new(|| 1)), b.with(Box::new(|| 1))]).unwrap();
        let other = Scope::new([]).unwrap();
        let named = |name: &str, f: fn()| {
            thread::Builder::new().name(name.to_owned()).spawn(f).unwrap().join().unwrap();
        };
        named("first", || (0..3).for_each(|_| assert_eq!((letters::b(), letters::c()), (0, 0))));
        named("second", || assert_eq!((letters::a(), letters::b()), (0, 0)));
        thread::spawn(strict.bind(letters::a)).join().unwrap();
        thread::spawn(other.bind(letters::a)).join().unwrap(); // in a scope that leaves it alone: no stray
        let said: Vec<(&str, &str, Option<String>, u64)> = strict
            .strays()
            .into_iter()
            .map(|Stray { module, item, thread_name, calls, .. }| (module, item, thread_name, calls))
            .collect();
        let [first, second] = ["first", "second"].map(|name| Some(name.to_owned()));
        let module = "acme.letters";
        assert_eq!(
            said,
            [(module, "b", first, 3), (module, "a", second.clone(), 1), (module, "b", second, 1)]
        );
        assert_eq!(strict.items().collect::<Vec<_>>(), [(module, "a"), (module, "b")]);
        assert!(other.strays().is_empty());
        drop(strict);
        assert!(matches!(a.path(), Path::Original) && matches!(b.path(), Path::Original));
    });
}

#[test]
fn a_strict_scope_notes_a_thousand_strays_and_no_more() {
    patch_points! { mod number { fn get() -> u32 { 1 } } }
    let scope = Scope::strict([number::slots::get.with(Box::new(|| 2))]).unwrap();
    for _ in 0..1_010 {
        assert_eq!(thread::spawn(number::get).join().unwrap(), 1);
    }
    assert_eq!(scope.strays().len(), 1_000);
}

#[test]
fn strict_scopes_that_come_and_go_while_others_call_leave_nothing_behind() {
    within(|| {
        patch_points! { mod number { fn get() -> usize { 0 } } }
        let over = AtomicBool::new(false);
        thread::scope(|threads| {
            for _ in 0..3 {
                threads.spawn(|| {
                    while !over.load(SeqCst) {
                        assert_eq!(number::get(), 0);
                    }
                });
            }
            let (mut rounds, mut clean) = (0, true);
            while clean && rounds < 1_000 {
                rounds += 1;
                let strict = Scope::strict([number::slots::get.with(Box::new(|| 1))]).unwrap();
                let inside = strict.run(number::get);
                while strict.strays().is_empty() {
                    thread::yield_now(); // until they are calling
                }
                drop(strict);
                clean = inside == 1 && matches!(number::slots::get.path(), Path::Original);
            }
            over.store(true, SeqCst);
            assert!(clean, "after {rounds} rounds calls look for scopes that are gone");
        });
    });
}

#[test]
fn a_scope_wins_over_layers_and_others_get_the_layer() {
    patch_points! { mod number { fn get() -> usize { 0 } } }
    fn plain() -> usize {
        3
    }
    let here_and_there = || (number::get(), thread::spawn(number::get).join().unwrap());
    let slot = &number::slots::get;
    let scope = Scope::new([slot.with(Box::new(|| 1))]).unwrap();
    let inside = scope.enter();
    assert_eq!((here_and_there(), slot.is_patched()), ((1, 0), false));
    let closure = slot.push(Box::new(|| 2));
    assert_eq!((here_and_there(), slot.is_patched()), ((1, 2), true));
    let function = slot.push_fn(plain);
    assert_eq!(here_and_there(), (1, 3));
    drop(inside);
    assert_eq!(here_and_there(), (3, 3));
    drop(scope);
    assert!(matches!(slot.path(), Path::Plain(_)));
    closure.undo();
    assert!(matches!(slot.path(), Path::Plain(_)));
    function.undo();
    assert!(matches!(slot.path(), Path::Original) && !slot.is_patched());
    assert_eq!(here_and_there(), (0, 0));
}

#[test]
fn one_function_is_replaced_once_in_a_scope() {
    patch_points! { mod letters as "acme.letters" { fn a() -> u32 { 0 } fn b() -> u32 { 0 } } }
    let captured = Captured::default();
    let with = |held: Arc<()>| letters::slots::a.with(Box::new(move || Arc::strong_count(&held) as u32));
    let b = letters::slots::b.with(Box::new(|| 1));
    let overrides: [Override; 3] = [with(captured.take()), b, with(captured.take())];
    assert_eq!(overrides[0].slot().name(), "a");
    let error = Scope::new(overrides).unwrap_err();
    assert!(
        matches!(&error, PatchError::DuplicateItem { module, item } if module == "acme.letters" && item == "a")
    );
    assert!(error.to_string().contains("acme.letters::a"), "{error}");
    assert_eq!(captured.held(), 0);
    assert!(matches!(letters::slots::a.path(), Path::Original));
    assert!(Scope::strict([with(captured.take()), with(captured.take())]).is_err());
    // In a parent and a child it is no second time.
    let parent = Scope::new([with(captured.take())]).unwrap();
    assert_eq!(parent.run(|| Scope::new([with(captured.take())]).unwrap().run(letters::a)), 3);
}

#[test]
fn what_panics_while_overrides_are_made_leaves_nothing() {
    patch_points! { mod number { fn get() -> usize { 0 } } }
    let overrides =
        (0..2).map(|n| if n == 0 { number::slots::get.with(Box::new(|| 1)) } else { throw("no more") });
    assert_eq!(panic_of(|| Scope::new(overrides)), "no more");
    assert!(matches!(number::slots::get.path(), Path::Original));
}

#[test]
fn a_scope_without_overrides_is_a_scope() {
    let scope = Scope::new([]).unwrap();
    assert!(Scope::current().is_none());
    assert_eq!(scope.run(|| Scope::current().map(|scope| scope.items().count())), Some(0));
}

#[test]
fn long_chains_of_parents_end() {
    within(|| {
        patch_points! { mod number { fn get() -> usize { 0 } } }
        let captured = Captured::default();
        let held = captured.take();
        let mut scope =
            Scope::new([number::slots::get.with(Box::new(move || Arc::strong_count(&held)))]).unwrap();
        for _ in 0..200_000 {
            scope = scope.run(|| Scope::new([]).unwrap());
        }
        assert_eq!(scope.run(number::get), 2);
        drop(scope);
        assert_eq!(captured.held(), 0);
        assert!(matches!(number::slots::get.path(), Path::Original));
    });
}

#[test]
fn an_override_that_is_in_no_scope_replaces_nothing() {
    patch_points! { mod line { fn write(text: &str) {} } }
    let (sent, lines) = mpsc::channel();
    let unused = line::slots::write.with(Box::new(move |text| sent.send(text.to_owned()).unwrap()));
    line::write("one");
    assert_eq!(format!("{unused:?}"), "Override(line::write: fn(&str))");
    assert_eq!(lines.try_recv(), Err(TryRecvError::Empty));
    drop(unused);
    assert_eq!(lines.try_recv(), Err(TryRecvError::Disconnected));
}
