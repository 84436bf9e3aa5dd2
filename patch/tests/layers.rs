//! Layers: the newest that is left is what a call enters, in whatever order they end; and what a layer captured ends with it.
//!
//! Calls here are at most six deep: deeper than that a thread counts as inside everything, and would keep what others look for.

mod common;

use common::{Captured, Gate, HANG, OnDrop, panic_of, throw, within};
use signalpost::WaitError;
use signalpost::patch::{Layer, UndoError, patch_points};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::mpsc::{self, TryRecvError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Every order of `n` things.
fn orders(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let shorter = orders(n - 1);
    let put = |order: &Vec<usize>, at| {
        let mut order = order.clone();
        order.insert(at, n - 1);
        order
    };
    shorter.iter().flat_map(|order| (0..n).map(move |at| put(order, at))).collect()
}

#[test]
fn in_every_order_of_undoing_the_newest_that_is_left_is_called() {
    patch_points! { mod number { fn get() -> usize { 0 } } }
    fn two() -> usize {
        2
    }
    for order in orders(4) {
        // One of them a plain function, so that the top goes from one kind to the other.
        let push = |n: usize| match n {
            2 => number::slots::get.push_fn(two),
            n => number::slots::get.push(Box::new(move || n)),
        };
        let mut layers: Vec<Option<Layer>> = (1..=4).map(|n| Some(push(n))).collect();
        assert_eq!((number::get(), number::slots::get.layers()), (4, 4));
        for (undone, at) in order.iter().enumerate() {
            layers[*at].take().expect("each once").undo();
            let newest = layers.iter().rposition(Option::is_some).map_or(0, |at| at + 1);
            assert_eq!(number::get(), newest, "{order:?} until {at}");
            assert_eq!(number::slots::get.call(|get| get()), newest, "{order:?} until {at}");
            assert_eq!(number::slots::get.layers(), 3 - undone);
            assert_eq!(number::slots::get.is_patched(), newest != 0);
        }
    }
}

#[test]
fn a_layer_that_wraps_calls_what_is_below_it_now() {
    patch_points! { mod text { fn get() -> String { "o".to_owned() } } }
    let wrap = |mark: &'static str| {
        text::slots::get.wrap(move |next| Box::new(move || next.call(|below| below()) + mark))
    };
    let a = wrap("a");
    let b = wrap("b");
    let c = wrap("c");
    assert_eq!(text::get(), "oabc");
    b.undo();
    assert_eq!(text::get(), "oac");
    let d = text::slots::get.push(Box::new(|| "d".to_owned()));
    let e = wrap("e");
    assert_eq!(text::get(), "de");
    d.undo();
    assert_eq!(text::get(), "oace");
    a.undo();
    e.undo();
    assert_eq!(text::get(), "oc");
    c.undo();
    assert_eq!(text::get(), "o");
}

#[test]
fn what_a_wrapping_layer_was_handed_is_the_original_once_it_is_undone() {
    patch_points! { mod number { fn get() -> u32 { 1 } } }
    let _below = number::slots::get.push(Box::new(|| 2));
    let own = Arc::new(Mutex::new(None::<Layer>));
    let handle = own.clone();
    let layer = number::slots::get.wrap(|next| {
        Box::new(move || {
            let before = next.call(|below| below());
            drop(handle.lock().unwrap().take());
            10 * before + next.call(|below| below())
        })
    });
    *own.lock().unwrap() = Some(layer);
    assert_eq!(number::get(), 21);
    assert_eq!(number::get(), 2);
}

#[test]
fn what_makes_a_wrapping_layer_may_change_the_slot() {
    patch_points! { mod text { fn get() -> String { "o".to_owned() } } }
    let mut inner = None;
    let outer = text::slots::get.wrap(|next| {
        inner = Some(text::slots::get.wrap(|next| Box::new(move || next.call(|below| below()) + "i")));
        Box::new(move || next.call(|below| below()) + "w")
    });
    assert_eq!(text::get(), "oiw"); // in the order in which they were put there
    drop(inner);
    assert_eq!(text::get(), "ow");
    drop(outer);
    let made = panic_of(|| text::slots::get.wrap(|_| throw("made nothing")));
    assert_eq!((made, text::get().as_str(), text::slots::get.layers()), ("made nothing", "o", 0));
}

#[test]
fn a_kept_layer_stays() {
    patch_points! { mod number { fn get() -> u32 { 1 } } }
    number::slots::get.push(Box::new(|| 2)).keep();
    let over = number::slots::get.push(Box::new(|| 3));
    assert_eq!(number::get(), 3);
    over.undo();
    assert_eq!(number::get(), 2);
}

#[test]
fn what_a_layer_captured_is_dropped_at_once_when_no_call_is_in_it() {
    patch_points! { mod number { fn get() -> u32 { 1 } } }
    let (one, two, three) = (Captured::default(), Captured::default(), Captured::default());
    let push = |captured: &Captured| {
        let held = captured.take();
        number::slots::get.push(Box::new(move || Arc::strong_count(&held) as u32))
    };
    let (first, second, third) = (push(&one), push(&two), push(&three));
    assert_eq!(number::get(), 2);
    second.undo();
    assert_eq!((one.held(), two.held(), three.held()), (1, 0, 1));
    drop(third);
    assert_eq!((one.held(), two.held(), three.held()), (1, 0, 0));
    assert_eq!(first.undo_and_wait(HANG), Ok(()));
    assert_eq!(one.held(), 0);
}

#[test]
fn a_channel_end_that_was_captured_closes_at_the_undo() {
    patch_points! { mod line { fn write(text: &str) {} } }
    let (sent, lines) = mpsc::channel();
    let layer = line::slots::write.push(Box::new(move |text| sent.send(text.to_owned()).unwrap()));
    line::write("one");
    layer.undo();
    line::write("two");
    assert_eq!(lines.try_recv().as_deref(), Ok("one"));
    assert_eq!(lines.try_recv(), Err(TryRecvError::Disconnected));
}

#[test]
fn the_last_call_that_leaves_drops_what_an_undone_layer_captured() {
    within(|| {
        patch_points! { mod number { fn get() -> u32 { 1 } } }
        for calls in 1..4 {
            let (inside, leave) = (Gate::new(), Gate::new());
            let (sent, end) = mpsc::channel::<()>();
            let (entered, wait) = (inside.clone(), leave.clone());
            let layer = number::slots::get.push(Box::new(move || {
                let _held = &sent;
                entered.open();
                wait.pass();
                2
            }));
            let callers: Vec<_> = (0..calls).map(|_| thread::spawn(number::get)).collect();
            callers.iter().for_each(|_| inside.pass());
            layer.undo();
            assert_eq!(number::get(), 1); // and so are later calls, while those are in it
            assert_eq!(end.try_recv(), Err(TryRecvError::Empty));
            callers.iter().for_each(|_| leave.open());
            for caller in callers {
                assert_eq!(caller.join().unwrap(), 2);
            }
            // Nobody changes the slot or calls it: who left last did it.
            assert_eq!(end.try_recv(), Err(TryRecvError::Disconnected));
        }
    });
}

#[test]
fn a_call_that_undoes_its_own_layer_finishes_in_it() {
    patch_points! { mod number { fn get(n: u32) -> u32 { n } } }
    let captured = Captured::default();
    let held = captured.take();
    let own = Arc::new(Mutex::new(None::<Layer>));
    let handle = Arc::downgrade(&own);
    let layer = number::slots::get.push(Box::new(move |n| {
        if let Some(own) = handle.upgrade() {
            drop(own.lock().unwrap().take());
        }
        // Undone, and what was captured is still there.
        assert_eq!((number::slots::get.is_patched(), Arc::strong_count(&held)), (false, 2));
        number::get(n) + 100
    }));
    *own.lock().unwrap() = Some(layer);
    assert_eq!(number::get(1), 101); // the inner call was the original's
    assert_eq!((number::get(1), captured.held()), (1, 0));
}

#[test]
fn a_layer_undone_in_anothers_call_is_left_at_once() {
    patch_points! { mod number { fn get() -> u32 { 1 } } }
    patch_points! { mod other { fn end() {} } }
    let captured = Captured::default();
    let held = captured.take();
    let layer = Mutex::new(Some(number::slots::get.push(Box::new(move || Arc::strong_count(&held) as u32))));
    let ends = other::slots::end.push(Box::new(move || {
        assert_eq!(number::get(), 2);
        layer.lock().unwrap().take().unwrap().undo();
        assert_eq!(number::get(), 1);
    }));
    other::end();
    assert_eq!((number::get(), captured.held()), (1, 0));
    ends.undo();
}

#[test]
fn what_was_captured_may_change_the_slot_as_it_is_dropped() {
    within(|| {
        patch_points! { mod number { fn get() -> u32 { 1 } } }
        let below = Mutex::new(Some(number::slots::get.push(Box::new(|| 2))));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let last = OnDrop(move || {
            let mut seen = vec![number::get()];
            drop(below.lock().unwrap().take());
            seen.push(number::get());
            let inner = number::slots::get.push(Box::new(|| 4));
            seen.push(number::get());
            // Not this thread: it is in what would be waited for.
            assert_eq!(inner.undo_and_wait(HANG), Err(UndoError::StillRunning(WaitError::WouldDeadlock)));
            seen.push(number::get());
            log.lock().unwrap().extend(seen);
        });
        let layer = number::slots::get.push(Box::new(move || {
            let _held = &last;
            3
        }));
        assert_eq!(number::get(), 3);
        layer.undo();
        assert_eq!(*seen.lock().unwrap(), [2, 1, 4, 1]);
        assert!(!number::slots::get.is_patched());
    });
}

#[test]
fn a_call_that_panics_as_the_last_in_an_undone_layer_drops_what_that_captured() {
    patch_points! { mod number { fn get() -> u32 { 1 } } }
    within(|| {
        let captured = Captured::default();
        let held = captured.take();
        let on_drop = OnDrop(move || {
            let _held = &held;
            number::slots::get.push(Box::new(|| 5)).undo(); // no lock is held
        });
        let own = Arc::new(Mutex::new(None::<Layer>));
        let handle = own.clone();
        let layer = number::slots::get.push(Box::new(move || {
            let _held = &on_drop;
            let undone = handle.lock().unwrap().take();
            thread::spawn(move || drop(undone)).join().unwrap();
            throw("in the layer");
        }));
        *own.lock().unwrap() = Some(layer);
        assert_eq!(panic_of(number::get), "in the layer");
        assert_eq!((captured.held(), number::get()), (0, 1));
    });
}

#[test]
fn a_panic_leaves_the_slot_and_the_thread_as_they_were() {
    patch_points! { mod number { fn half(n: u32) -> u32 { n / 2 } } }
    let captured = Captured::default();
    let held = captured.take();
    let layer = number::slots::half.push(Box::new(move |n| {
        let _held = &held;
        if n % 2 == 1 { throw("odd") } else { n }
    }));
    for _ in 0..10 {
        assert_eq!(panic_of(|| number::half(3)), "odd");
        assert_eq!(number::half(4), 4);
    }
    // No mark was left behind: this thread is not taken to be inside.
    assert_eq!(layer.undo_and_wait(HANG), Ok(()));
    assert_eq!((captured.held(), number::half(4)), (0, 2));
}

#[test]
fn a_destructor_that_panics_is_counted_and_the_undo_goes_on() {
    patch_points! { mod number { fn get() -> u32 { 1 } } }
    let before = signalpost::stats().drop_panics;
    let bad = OnDrop(|| throw("as it is dropped"));
    let layer = number::slots::get.push(Box::new(move || {
        let _held = &bad;
        2
    }));
    layer.undo();
    assert_eq!((number::get(), signalpost::stats().drop_panics - before), (1, 1));
}

#[test]
fn undo_and_wait_waits_for_every_call_in_it() {
    within(|| {
        patch_points! { mod number { fn get() -> u32 { 1 } } }
        let (inside, leave) = (Gate::new(), Gate::new());
        let (entered, wait) = (inside.clone(), leave.clone());
        let left = Arc::new(AtomicU32::new(0));
        let leaving = left.clone();
        let layer = number::slots::get.push(Box::new(move || {
            entered.open();
            wait.pass();
            leaving.fetch_add(1, SeqCst);
            2
        }));
        let callers: Vec<_> = (0..3).map(|_| thread::spawn(number::get)).collect();
        callers.iter().for_each(|_| inside.pass());
        let opener = thread::spawn(move || (0..3).for_each(|_| leave.open()));
        assert_eq!(layer.undo_and_wait(HANG), Ok(()));
        assert_eq!((left.load(SeqCst), number::get()), (3, 1));
        opener.join().unwrap();
        callers.into_iter().for_each(|caller| assert_eq!(caller.join().unwrap(), 2));
    });
}

#[test]
fn undo_and_wait_says_when_the_time_is_up() {
    within(|| {
        patch_points! { mod number { fn get() -> u32 { 1 } } }
        let (inside, leave) = (Gate::new(), Gate::new());
        let (entered, wait) = (inside.clone(), leave.clone());
        let layer = number::slots::get.push(Box::new(move || {
            entered.open();
            wait.pass();
            2
        }));
        let caller = thread::spawn(number::get);
        inside.pass();
        let error = layer.undo_and_wait(Duration::from_millis(20));
        assert_eq!(error, Err(UndoError::StillRunning(WaitError::TimedOut)));
        assert_eq!((number::get(), number::slots::get.is_patched()), (1, false)); // undone all the same
        leave.open();
        assert_eq!(caller.join().unwrap(), 2);
    });
}

#[test]
fn undo_and_wait_does_not_wait_for_itself() {
    patch_points! { mod number { fn get() -> u32 { 1 } } }
    let own = Arc::new(Mutex::new(None::<Layer>));
    let handle = own.clone();
    let layer = number::slots::get.push(Box::new(move || {
        let error = handle.lock().unwrap().take().expect("once").undo_and_wait(HANG);
        assert_eq!(error, Err(UndoError::StillRunning(WaitError::WouldDeadlock)));
        2
    }));
    *own.lock().unwrap() = Some(layer);
    assert_eq!((number::get(), number::get()), (2, 1));
}

#[test]
fn a_call_of_another_slot_holds_up_nobody() {
    within(|| {
        patch_points! {
            mod here { fn get() -> u32 { 1 } }
            mod there { fn get() -> u32 { 1 } }
        }
        let (inside, leave) = (Gate::new(), Gate::new());
        let (entered, wait) = (inside.clone(), leave.clone());
        let other = there::slots::get.push(Box::new(move || {
            entered.open();
            wait.pass();
            2
        }));
        let caller = thread::spawn(there::get);
        inside.pass();
        assert_eq!(here::slots::get.push(Box::new(|| 3)).undo_and_wait(HANG), Ok(()));
        leave.open();
        assert_eq!(caller.join().unwrap(), 2);
        other.undo();
    });
}

#[test]
fn a_plain_function_cannot_be_waited_for() {
    patch_points! { mod number { fn get() -> u32 { 1 } } }
    fn two() -> u32 {
        2
    }
    let plain = number::slots::get.push_fn(two);
    assert_eq!(number::get(), 2);
    assert_eq!(plain.undo_and_wait(HANG), Err(UndoError::Untracked));
    assert_eq!(number::get(), 1);
    // The same by a replacement of unknown signature; a closure's is tracked.
    let slot = number::MODULE.slot("get").unwrap();
    let plain = slot.push_any(&number::plain::get(two)).unwrap();
    assert_eq!((number::get(), plain.undo_and_wait(HANG)), (2, Err(UndoError::Untracked)));
    let closure = slot.push_any(&number::sig::get(|| 3)).unwrap();
    assert_eq!((number::get(), closure.undo_and_wait(HANG)), (3, Ok(())));
}

#[test]
fn a_replacement_may_push_and_undo_on_its_own_slot() {
    patch_points! { mod number { fn get(n: u32) -> u32 { n } } }
    let captured = Captured::default();
    let held = captured.take();
    let layer = number::slots::get.push(Box::new(move |n| {
        let held = held.clone();
        let over = number::slots::get.push(Box::new(move |n| n + 10 * Arc::strong_count(&held) as u32));
        let seen = number::get(n); // the new one
        over.undo();
        seen + if n == 0 { 0 } else { number::get(0) } // this one again
    }));
    assert_eq!((number::get(0), number::get(1)), (30, 71));
    layer.undo();
    assert_eq!((number::get(1), captured.held()), (1, 0));
}

#[test]
fn a_replacement_of_another_signature_is_refused_and_nothing_is_done() {
    patch_points! { mod number { fn get() -> u32 { 1 } fn text() -> &'static str { "" } } }
    let captured = Captured::default();
    let held = captured.take();
    let wrong = number::sig::text(move || if Arc::strong_count(&held) > 0 { "wrong" } else { "" });
    let slot = number::MODULE.slot("get").unwrap();
    assert_ne!(wrong.signature_id(), slot.signature_id());
    assert!(slot.push_any(&wrong).is_none());
    assert!(slot.with_any(&wrong).is_none());
    assert!(!slot.is_patched());
    drop(wrong);
    assert_eq!(captured.held(), 0);
}

#[test]
fn a_replacement_is_used_more_than_once_and_ends_with_its_last_use() {
    patch_points! { mod number { fn get() -> u32 { 1 } } }
    let captured = Captured::default();
    let held = captured.take();
    let replacement = number::sig::get(move || Arc::strong_count(&held) as u32);
    let slot = number::MODULE.slot("get").unwrap();
    let (one, two) = (slot.push_any(&replacement).unwrap(), slot.push_any(&replacement).unwrap());
    let scope = signalpost::patch::Scope::new(slot.with_any(&replacement)).unwrap();
    assert_eq!((number::get(), scope.run(number::get)), (2, 2));
    drop(replacement);
    one.undo();
    assert_eq!((number::get(), captured.held()), (2, 1));
    two.undo();
    assert_eq!((number::get(), scope.run(number::get), captured.held()), (1, 2, 1));
    drop(scope);
    assert_eq!(captured.held(), 0);
}

#[test]
fn layers_are_undone_on_any_thread() {
    patch_points! { mod number { fn get() -> u32 { 1 } } }
    let layers: Vec<Layer> = (2..100).map(|n| number::slots::get.push(Box::new(move || n))).collect();
    assert_eq!((number::get(), number::slots::get.layers()), (99, 98));
    thread::scope(|threads| layers.into_iter().for_each(|layer| drop(threads.spawn(move || layer.undo()))));
    assert_eq!((number::get(), number::slots::get.layers()), (1, 0));
}

#[test]
fn errors_say_what_holds_all_the_same() {
    let running = UndoError::StillRunning(WaitError::TimedOut);
    assert_eq!(running.to_string(), "the layer is undone, but calls may still be in it");
    assert!(std::error::Error::source(&running).is_some());
    assert!(UndoError::Untracked.to_string().starts_with("the layer is undone, "));
    patch_points! { mod number { fn get() -> u32 { 1 } } }
    let layer = number::slots::get.push(Box::new(|| 2));
    assert_eq!(
        format!("{:?} of {:?}", layer, layer.slot()),
        "Layer(number::get 1) of number::get: fn() -> u32"
    );
}
