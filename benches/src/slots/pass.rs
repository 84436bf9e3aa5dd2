//! How long a pass of a patcher takes over a module of many functions.
//!
//! Owns those modules, which are put together here: nobody writes so many functions.

use crate::{
    crew::{cores_apart, pin_to},
    stats::Spread,
    stop,
    table::{Cell, Colour, Table, Tone, counted},
};
use serde::Serialize;
use signalpost::patch::{__replacement, AnySlot, Module, Patcher, Replacements, Slot};
use std::{
    hint::black_box,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// Functions in a module.
pub const SLOTS: usize = 1_000;

/// How often at most: a module stays for good, as a static does.
const MODULES: usize = 7;

type Signature = dyn Fn(u64) -> u64 + Send + Sync;
type Pointer = fn(u64) -> u64;

/// What came out; milliseconds for all functions together.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Passes {
    /// Functions in the module.
    pub slots: usize,
    /// Modules, each patched and undone twice.
    pub modules: usize,
    /// The first pass over a module, which makes what its slots need from then on.
    pub first_ms: Spread,
    /// Undone.
    pub undo_ms: Spread,
    /// The second pass.
    pub second_ms: Spread,
}

impl Passes {
    /// Measures them, on a thread of their own; as many modules as rounds, but not more than 7.
    ///
    /// # Errors
    /// When the thread cannot be started, or a pass is refused, for people.
    pub fn measure(rounds: usize) -> Result<Self, String> {
        let modules = rounds.clamp(1, MODULES);
        let thread = thread::Builder::new().name("lab passes".to_owned()).spawn(move || {
            pin_to(cores_apart().first().copied());
            stop::rounds(modules).map(|_| patch_twice()).collect::<Result<Vec<_>, _>>()
        });
        let thread = thread.map_err(|error| format!("cannot start a thread that patches: {error}"))?;
        let times = thread.join().expect("patching does not panic")?;
        let spread = |of: fn(&Times) -> Duration| {
            Spread::of(&times.iter().map(|times| of(times).as_secs_f64() * 1e3).collect::<Vec<_>>())
        };
        Ok(Self {
            slots: SLOTS,
            modules: times.len(),
            first_ms: spread(|times| times.first),
            undo_ms: spread(|times| times.undo),
            second_ms: spread(|times| times.second),
        })
    }

    /// The table of these.
    pub fn report(&self, colour: Colour) -> String {
        let slots = counted(self.slots, "slot");
        let mut table = Table::headed(["", "milliseconds", "µs each", "lowest..highest"]);
        for (what, spread) in [
            (format!("a pass over {slots}"), self.first_ms),
            ("undone".to_owned(), self.undo_ms),
            ("the same pass again".to_owned(), self.second_ms),
        ] {
            table.row([
                what.into(),
                format!("{:.2}", spread.median).into(),
                format!("{:.2}", spread.median * 1e3 / self.slots as f64).into(),
                Cell::toned(Tone::Quiet, format!("{:.2}..{:.2}", spread.min, spread.max)),
            ]);
        }
        table.render(colour)
    }
}

struct Times {
    first: Duration,
    undo: Duration,
    second: Duration,
}

/// A new module, patched by closures, undone, and patched again.
fn patch_twice() -> Result<Times, String> {
    let slots: Vec<&'static Slot<Signature, Pointer>> = (0..SLOTS).map(slot).collect();
    let all: Vec<&'static dyn AnySlot> = slots.iter().map(|slot| *slot as _).collect();
    let module: &'static Module = Box::leak(Box::new(Module::new("lab", all.leak())));
    let source = slots.iter().fold(Replacements::new("lab"), |source, slot| {
        let captured = black_box(1);
        source.with(__replacement(slot, Arc::new(move |argument| argument + captured), None))
    });
    let source = Arc::new(source);
    let patcher = Patcher::new();
    let pass = || {
        let start = Instant::now();
        let outcome = patcher.patch_module(module, source.clone(), None);
        let took = start.elapsed();
        let patched = outcome.map_err(|error| format!("a pass was refused: {error}"))?.patched();
        let patched = patched.filter(|_| slots.iter().all(|slot| slot.is_patched()));
        patched.map(|patched| (patched, took)).ok_or("a pass did not patch everything".to_owned())
    };
    let (patched, first) = pass()?;
    let start = Instant::now();
    patched.undo();
    let undo = start.elapsed();
    if slots.iter().any(|slot| slot.is_patched()) {
        return Err("a pass was not undone".to_owned());
    }
    let (_, second) = pass()?;
    Ok(Times { first, undo, second })
}

fn slot(number: usize) -> &'static Slot<Signature, Pointer> {
    const ORIGINAL: &Signature = &|argument| argument;
    let name = format!("function_{number}").leak();
    let share = |function: Pointer| -> Arc<Signature> { Arc::new(function) };
    Box::leak(Box::new(Slot::new("lab", name, "fn(u64) -> u64", ORIGINAL, share)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_of_a_module_is_patched_and_undone() {
        let passes = Passes::measure(2).unwrap();
        assert_eq!((passes.slots, passes.modules), (SLOTS, 2));
        assert!(passes.first_ms.min > 0.0 && passes.undo_ms.min > 0.0 && passes.second_ms.min > 0.0);
        assert!(passes.report(Colour(false)).contains("a pass over 1,000 slots"));
    }
}
