//! Histories against plain models: what libFuzzer drives, and what plain `cargo test` replays.
//!
//! | target | bytes become | checked against |
//! |---|---|---|
//! | [`history`] | operations on dispatchers, also inside callbacks and destructors | one plain list each (`model.rs`) |
//! | [`bus()`] | operations on a bus of six event types and three families, also inside subscribers | plain vectors (`bus/model.rs`) |
//! | [`list()`] | changes to a `core::List` and its clones | a `Vec` |
//! | [`slots()`] | layers and scopes of two patch points, also changed inside replacements and destructors | plain vectors |
//! | [`threads()`] | what two threads do to one dispatcher at once | what must hold in every order (`threads.rs`) |
//!
//! A history runs to its end first and is judged line by line afterwards, so that the model may follow it where the
//! documentation leaves an order open.
//!
//! `cargo +nightly fuzz run history FOUND fuzz/corpus/history` looks for new histories and keeps them in the folder `FOUND`
//! (without folders, in the corpus that is committed). `cargo run -p signalpost-fuzz -- history FILE` shows what happens in one,
//! as it happens.

mod bus;
mod coded;
mod happened;
mod list;
mod model;
mod program;
mod seeds;
mod slots;
mod threads;
mod trace;
mod twist;
mod world;

pub use bus::{BusHistory, BusTwist, bus, bus_seeds};
pub use list::{ListTwist, list, list_with};
pub use seeds::seeds;
pub use slots::{SlotTwist, slots, slots_with};
pub use threads::{ThreadTwist, threads, threads_with};
pub use twist::Twist;

use program::Program;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Once;
use trace::Trace;

/// Where signalpost is known not to do what its documentation says: there the model is as signalpost is, so that the rest
/// is looked at all the same. Each is to be mended there, and then to go from here.
pub const KNOWN: &[Twist] = &[];

/// Runs the history that the bytes stand for and checks it against the model.
///
/// # Panics
/// If they disagree; the message is the history, up to where they part.
pub fn history(data: &[u8]) {
    if let Err(report) = History::run(data).check(KNOWN) {
        panic!("{report}");
    }
}

/// A history that was run: what was to be done, and what happened.
#[derive(Debug)]
pub struct History {
    program: Program,
    trace: Trace,
}

impl History {
    /// Runs what the bytes stand for; any will do.
    pub fn run(data: &[u8]) -> Self {
        Self::of(data, false)
    }

    /// As [`run`](Self::run), and prints the program, then each line as it happens: for a history that does not end.
    pub fn run_aloud(data: &[u8]) -> Self {
        Self::of(data, true)
    }

    fn of(data: &[u8], aloud: bool) -> Self {
        let program = Program::decode(data);
        if aloud {
            eprintln!("{program}");
        }
        let trace = quietly(|| world::run(&program, aloud));
        Self { program, trace }
    }

    /// Checks what happened against the model, with rules turned round as the twists say.
    ///
    /// # Errors
    /// A report for people: the program, what happened, and where the model parts from it.
    pub fn check(&self, twists: &[Twist]) -> Result<(), String> {
        let Self { program, trace } = self;
        model::check(program, trace, twists).map_err(|model::Mismatch { line, expected }| {
            let shown = trace.show(program, line);
            format!("{program}\n{shown}\nthe run and the model part at line {line}; the model expects: {expected}\n")
        })
    }

    /// How many lines were written.
    pub fn lines(&self) -> usize {
        self.trace.lines.len()
    }

    /// What was tried: pairs of an operation and how it ended, and of a place and an operation done there.
    pub fn happened(&self) -> BTreeSet<(&'static str, &'static str)> {
        happened::happened(&self.program, &self.trace)
    }
}

/// Runs `f` with this thread's panics unreported: histories panic on purpose.
fn quietly<R>(f: impl FnOnce() -> R) -> R {
    thread_local!(static QUIET: Cell<bool> = const { Cell::new(false) });
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
    struct Loud;
    impl Drop for Loud {
        fn drop(&mut self) {
            QUIET.set(false);
        }
    }
    QUIET.set(true);
    let _loud = Loud;
    f()
}
