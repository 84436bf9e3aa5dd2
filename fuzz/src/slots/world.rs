//! What is done: steps on real slots, also inside replacements and destructors, each after the model has been told.
//!
//! Owns the slots, and the handles of this thread. Not here: what is to come of a step (`model.rs`).

use super::model::{Home, Modelled, Who, model};
use super::{FUEL, MOST_LAYERS, SlotTwist, Step};
use signalpost::WaitError;
use signalpost::patch::{Entered, Layer, Next, Path, Scope, Slot, UndoError, patch_points};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

patch_points! {
    mod points {
        use crate::slots::model::Who;
        use super::enter;

        fn one(fuel: u8) -> u64 { enter(Who::Original(0), fuel) }
        fn two(fuel: u8) -> u64 { enter(Who::Original(1), fuel) }
    }
}

type Point = Slot<points::sig::one, fn(u8) -> u64>;
type Below<'n> = &'n Next<points::sig::one, fn(u8) -> u64>;
/// A slot, and its function.
type Reached = (&'static Point, fn(u8) -> u64);

const POINTS: [Reached; 2] = [(&points::slots::one, points::one), (&points::slots::two, points::two)];
const PLAIN: [fn(u8) -> u64; 2] = [|fuel| enter(Who::Plain(0), fuel), |fuel| enter(Who::Plain(1), fuel)];
thread_local! {
    static LAYERS: RefCell<Vec<(Layer, usize, u64)>> = const { RefCell::new(Vec::new()) };
    static SCOPES: RefCell<Vec<(Scope, Arc<Modelled>)>> = const { RefCell::new(Vec::new()) };
    static GUARDS: RefCell<Vec<(Entered, Arc<Modelled>)>> = const { RefCell::new(Vec::new()) };
}

/// Does these steps, one after the other, then ends whatever there is.
pub(super) fn run_all(steps: &[Step]) {
    for step in steps {
        // What a step catches of its own, it does; here nothing is held.
        let _ = catch_unwind(AssertUnwindSafe(|| one(step, FUEL, None)));
        look();
        look_at_captures();
    }
    model(|model| model.left = 0); // from here on no scripts
    while let Some((layer, slot, id)) = LAYERS.with(|layers| take(layers, 0)) {
        gone(slot, id);
        layer.undo();
    }
    model(|model| model.entered.clear());
    for (guard, modelled) in GUARDS.take() {
        drop(modelled); // first, as everywhere: the model goes ahead
        drop(guard);
    }
    for (scope, modelled) in SCOPES.take() {
        drop(modelled);
        drop(scope);
    }
    look();
    look_at_captures();
}

/// What a replacement captures.
struct Token {
    id: u64,
    last: Option<usize>,
}

impl Drop for Token {
    fn drop(&mut self) {
        let runs = model(|model| {
            let home = model.live.remove(&self.id);
            match home {
                None => model.wrong(|| format!("what {} captured is dropped twice", self.id)),
                Some(home) if model.stays(self.id, &home) => {
                    model.wrong(|| format!("what {} captured is dropped too early", self.id));
                }
                Some(_) => {}
            }
            model.dropping += 1;
            self.last.filter(|_| model.left > 0)
        });
        if let Some(script) = runs {
            model(|model| model.happened.insert(("Token", "script as it is dropped")));
            run(script, 3, None);
        }
        model(|model| model.dropping -= 1);
    }
}

/// Whoever is entered says so.
fn enter(who: Who, _: u8) -> u64 {
    model(|model| match model.awaited.take() {
        Some(awaited) if awaited == who => {}
        awaited => model.wrong(|| format!("{who:?} was entered, not {awaited:?}")),
    });
    who.number()
}

/// The body of every replacement that captures something; `layer` is its slot, unless a scope has it.
fn replaced(token: &Token, script: usize, layer: Option<usize>, below: Option<Below<'_>>, fuel: u8) -> u64 {
    struct Inside(Option<usize>);
    impl Drop for Inside {
        fn drop(&mut self) {
            if let Some(slot) = self.0 {
                model(|model| {
                    model.inside[slot] -= 1;
                    model.reads -= 1;
                });
            }
        }
    }
    let number = enter(Who::Captured(token.id), fuel);
    if fuel > 0 {
        if let Some(slot) = layer {
            model(|model| {
                model.inside[slot] += 1;
                model.reads += 1;
            });
        }
        let _inside = Inside(layer);
        run(script, fuel, below.map(|next| (next, layer.unwrap_or(0), token.id)));
        if !model(|model| model.live.contains_key(&token.id)) {
            model(|model| {
                model.wrong(|| format!("what {} captured is gone while a call is in it", token.id))
            });
        }
    }
    number
}

/// The replacement that runs, if it wraps: what it was handed, its slot, and which it is.
type Context<'n> = Option<(Below<'n>, usize, u64)>;

fn run(script: usize, fuel: u8, context: Context<'_>) {
    let steps = model(|model| model.scripts.get(script).cloned().unwrap_or_default());
    steps.iter().for_each(|step| one(step, fuel, context));
}

fn one(step: &Step, fuel: u8, context: Context<'_>) {
    let goes_on = model(|model| {
        if model.left == 0 {
            return false;
        }
        model.left -= 1;
        model.log.push(format!("{:indent$}{step:?}", "", indent = usize::from(FUEL - fuel) * 2));
        true
    });
    if !goes_on {
        return;
    }
    let outcome = make(step, fuel, context);
    model(|model| model.happened.insert((step.kind(), outcome)));
    look();
}

/// Makes a call and compares what it gave.
fn call(to: Who, call: impl FnOnce() -> u64) {
    model(|model| model.awaited = Some(to));
    let number = call();
    model(|model| {
        if number != to.number() {
            model.wrong(|| format!("a call gave {number}, and not what {to:?} does"));
        }
    });
}

/// The n-th, and out of the list.
fn take<T>(list: &RefCell<Vec<T>>, at: u8) -> Option<T> {
    let mut list = list.borrow_mut();
    let len = list.len();
    (len > 0).then(|| list.remove(usize::from(at) % len))
}

fn make(step: &Step, fuel: u8, context: Context<'_>) -> &'static str {
    let index = |byte: u8| usize::from(byte) % 2;
    let last = |byte: u8| (byte % 4 == 3).then_some(usize::from(byte / 4) % 4);
    match *step {
        Step::Call { slot, catch } => {
            let slot = index(slot);
            let (to, catch) = model(|model| {
                let scope = model.entered.last().cloned();
                model.note_stray(slot, scope.is_some());
                (model.target(slot, scope.as_ref()), catch % 2 == 1 || model.dropping > 0)
            });
            let calls = || call(to, || POINTS[slot].1(fuel - 1));
            if !catch {
                calls();
                return "returned";
            }
            match catch_unwind(AssertUnwindSafe(calls)) {
                Ok(()) if fuel == 1 => "returned from the deepest",
                Ok(()) => "returned",
                Err(_) => "panicked",
            }
        }
        Step::CallSlot { slot } => {
            let slot = index(slot);
            let to = model(|model| {
                let scope = model.entered.last().cloned();
                model.note_stray(slot, scope.is_some());
                model.target(slot, scope.as_ref())
            });
            call(to, || POINTS[slot].0.call(|function| function(0)));
            "returned"
        }
        Step::CallElsewhere { slot } => {
            let slot = index(slot);
            let to = model(|model| {
                model.note_stray(slot, false);
                model.target(slot, None)
            });
            call(to, || {
                thread::scope(|threads| threads.spawn(|| POINTS[slot].1(0)).join().expect("no script"))
            });
            "returned"
        }
        Step::CallBound { slot, at } => {
            let slot = index(slot);
            let scope = SCOPES.with_borrow(|scopes| {
                (!scopes.is_empty()).then(|| scopes[usize::from(at) % scopes.len()].clone())
            });
            let Some((scope, modelled)) = scope else { return "nothing" };
            let to = model(|model| {
                model.note_stray(slot, true);
                model.target(slot, Some(&modelled))
            });
            let bound = scope.bind(move || POINTS[slot].1(0));
            call(to, || thread::spawn(bound).join().expect("no script"));
            "returned"
        }
        Step::CallBelow => {
            let Some((next, slot, id)) = context else { return "nothing" };
            let (to, there) = model(|model| {
                model.reads += 1;
                (model.below(slot, id), model.layers[slot].iter().any(|(other, _)| *other == id))
            });
            let called = catch_unwind(AssertUnwindSafe(|| call(to, || next.call(|below| below(fuel - 1)))));
            model(|model| model.reads -= 1);
            match called {
                Err(panic) => resume_unwind(panic),
                Ok(()) if !there => "undone meanwhile",
                Ok(()) if matches!(to, Who::Original(_)) => "original",
                Ok(()) => "layer",
            }
        }
        Step::Push { slot, script, last: byte } => {
            let (slot, script) = (index(slot), usize::from(script) % 4);
            let Some(id) = room(slot) else { return "too many" };
            let token = Token { id, last: last(byte) };
            let layer =
                POINTS[slot].0.push(Box::new(move |fuel| replaced(&token, script, Some(slot), None, fuel)));
            LAYERS.with_borrow_mut(|layers| layers.push((layer, slot, id)));
            "done"
        }
        Step::PushFn { slot, which } => {
            let (slot, which) = (index(slot), index(which));
            let id = model(|model| {
                if model.layers[slot].len() >= MOST_LAYERS {
                    return None;
                }
                model.made += 1;
                model.layers[slot].push((model.made, Who::Plain(which)));
                Some(model.made)
            });
            let Some(id) = id else { return "too many" };
            let layer = POINTS[slot].0.push_fn(PLAIN[which]);
            LAYERS.with_borrow_mut(|layers| layers.push((layer, slot, id)));
            "done"
        }
        Step::Wrap { slot, script, last: byte } => {
            let (slot, script) = (index(slot), usize::from(script) % 4);
            let Some(id) = room(slot) else { return "too many" };
            let token = Token { id, last: last(byte) };
            let layer = POINTS[slot]
                .0
                .wrap(|next| Box::new(move |fuel| replaced(&token, script, Some(slot), Some(&next), fuel)));
            LAYERS.with_borrow_mut(|layers| layers.push((layer, slot, id)));
            "done"
        }
        Step::Undo { at } => {
            let Some((layer, slot, id)) = LAYERS.with(|layers| take(layers, at)) else { return "nothing" };
            let inside = gone(slot, id).inside;
            layer.undo();
            if inside { "from inside" } else { "done" }
        }
        Step::UndoAndWait { at } => {
            let Some((layer, slot, id)) = LAYERS.with(|layers| take(layers, at)) else { return "nothing" };
            let before = gone(slot, id);
            let result = layer.undo_and_wait(Duration::from_secs(60));
            let (expected, outcome) = if before.plain {
                (Err(UndoError::Untracked), "untracked")
            } else if before.inside {
                (Err(UndoError::StillRunning(WaitError::WouldDeadlock)), "from inside")
            } else {
                (Ok(()), "waited")
            };
            // Deep down, and in destructors, a thread cannot tell what it is in.
            if result != expected && (before.plain || !before.unsure) {
                model(|model| model.wrong(|| format!("waiting gave {result:?}, not {expected:?}")));
            }
            outcome
        }
        Step::MakeScope { both, slot, strict, script, last: byte } => {
            if SCOPES.with_borrow(Vec::len) >= MOST_LAYERS {
                return "too many";
            }
            let script = usize::from(script) % 4;
            let replaces = |at: usize| both % 3 == 2 || index(slot) == at;
            let (modelled, ids) = model(|model| {
                let mut ids = [None; 2];
                let modelled = Arc::new_cyclic(|me: &Weak<Modelled>| {
                    ids = [0, 1].map(|at| replaces(at).then(|| model.capture(Home::Scope(me.clone()))));
                    let parent = model.entered.last().cloned();
                    Modelled { overrides: ids, parent, strict: strict % 2 == 1, strays: Default::default() }
                });
                model.scopes.push(Arc::downgrade(&modelled));
                (modelled, ids)
            });
            let overrides = (0..2).filter_map(|at| {
                let token = Token { id: ids[at]?, last: last(byte) };
                Some(POINTS[at].0.with(Box::new(move |fuel| replaced(&token, script, None, None, fuel))))
            });
            let scope = if modelled.strict { Scope::strict(overrides) } else { Scope::new(overrides) };
            let outcome = if modelled.parent.is_some() { "child" } else { "done" };
            SCOPES.with_borrow_mut(|scopes| scopes.push((scope.expect("none twice"), modelled)));
            outcome
        }
        Step::DropScope { at } => {
            let Some((scope, modelled)) = SCOPES.with(|scopes| take(scopes, at)) else { return "nothing" };
            let others = Arc::strong_count(&modelled) > 1;
            drop(modelled);
            drop(scope);
            if others { "lives on" } else { "done" }
        }
        Step::Enter { at } => {
            let scope = SCOPES.with_borrow(|scopes| {
                (!scopes.is_empty()).then(|| scopes[usize::from(at) % scopes.len()].clone())
            });
            let Some((scope, modelled)) = scope else { return "nothing" };
            if GUARDS.with_borrow(Vec::len) >= MOST_LAYERS {
                return "too many";
            }
            model(|model| model.entered.push(modelled.clone()));
            let guard = scope.enter();
            GUARDS.with_borrow_mut(|guards| guards.push((guard, modelled)));
            "done"
        }
        Step::Leave { at } => {
            let place =
                GUARDS.with_borrow(|guards| (!guards.is_empty()).then(|| usize::from(at) % guards.len()));
            let Some(place) = place else { return "nothing" };
            let (guard, modelled) = GUARDS.with_borrow_mut(|guards| guards.remove(place));
            drop(modelled);
            let (newest, left) = model(|model| {
                let newest = place + 1 == model.entered.len();
                let place = if model.is(SlotTwist::FirstGuardEnds) { 0 } else { place };
                (newest, model.entered.remove(place))
            });
            drop(left);
            drop(guard);
            if newest { "the newest" } else { "another" }
        }
        Step::Panic => {
            if model(|model| {
                model.panicked |= model.dropping == 0;
                model.dropping > 0
            }) {
                return "not in a destructor";
            }
            model(|model| model.happened.insert(("Panic", "panicked")));
            resume_unwind(Box::new(()))
        }
    }
}

/// The model's new layer that captures something, if there is room for one.
fn room(slot: usize) -> Option<u64> {
    model(|model| {
        if model.layers[slot].len() >= MOST_LAYERS {
            return None;
        }
        let id = model.capture(Home::Layer(slot));
        model.layers[slot].push((id, Who::Captured(id)));
        Some(id)
    })
}

/// What was so as a layer was undone.
struct Before {
    plain: bool,
    inside: bool,
    unsure: bool,
}

/// The model's layer is undone.
fn gone(slot: usize, id: u64) -> Before {
    model(|model| {
        let place = model.layers[slot].iter().position(|(other, _)| *other == id).expect("each handle once");
        let (_, who) = model.layers[slot].remove(place);
        Before {
            plain: matches!(who, Who::Plain(_)),
            inside: model.inside[slot] > 0,
            unsure: model.reads > 5 || model.dropping > 0,
        }
    })
}

/// Looks at what can be seen without a call.
fn look() {
    for (at, (slot, _)) in POINTS.into_iter().enumerate() {
        let (layers, patched) = (slot.layers(), slot.is_patched());
        let path = match slot.path() {
            Path::Original => "original",
            Path::Plain(_) => "plain",
            Path::Look => "look",
        };
        model(|model| {
            let expected = model.layers[at].len();
            if (layers, patched) != (expected, expected > 0) {
                model.wrong(|| format!("{layers} layers, patched: {patched}; not {expected}"));
            }
            let scopes = model.scopes.iter().filter_map(Weak::upgrade);
            let scoped = scopes.into_iter().any(|scope| scope.overrides[at].is_some());
            let expected = match model.layers[at].last() {
                _ if scoped => "look",
                None => "original",
                Some((_, Who::Plain(_))) => "plain",
                Some(_) => "look",
            };
            // As scopes end one after the other, and destructors run between, some are there still.
            if path != expected && model.dropping == 0 {
                model.wrong(|| format!("calls go by {path}, not {expected}"));
            }
        });
    }
    let inside = Scope::current().is_some();
    let mut strays = Vec::new();
    SCOPES.with_borrow(|scopes| {
        for (scope, modelled) in scopes {
            let calls = |name: &str| {
                scope.strays().iter().filter(|stray| stray.item == name).map(|stray| stray.calls).sum::<u64>()
            };
            strays.push((
                ["one", "two"].map(calls),
                modelled.strays.each_ref().map(|calls| calls.load(Relaxed)),
            ));
        }
    });
    model(|model| {
        if inside == model.entered.is_empty() {
            model.wrong(|| format!("this thread is in a scope: {inside}"));
        }
        for (seen, expected) in strays {
            if seen != expected {
                model.wrong(|| format!("{seen:?} strays, not {expected:?}"));
            }
        }
    });
}

/// What is captured when no call is in anything.
fn look_at_captures() {
    // What a call kept that panicked, the next change drops.
    if model(|model| std::mem::take(&mut model.panicked)) {
        for (slot, _) in POINTS {
            slot.push(Box::new(|_| 0)).undo();
        }
    }
    model(|model| {
        let stay = model.is(SlotTwist::CapturesStay);
        let left: Vec<u64> =
            model.live.iter().filter(|(id, home)| !model.stays(**id, home)).map(|(id, _)| *id).collect();
        let (made, live) = (model.made, model.live.len() as u64);
        if !left.is_empty() {
            model.wrong(|| format!("what {left:?} captured is not dropped"));
        } else if stay && live < made {
            model.wrong(|| format!("{live} captures of {made}"));
        }
    });
}
