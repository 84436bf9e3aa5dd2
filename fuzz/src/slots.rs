//! The slots target: layers and scopes of two patch points, changed and called also from inside replacements and destructors, against
//! plain vectors.
//!
//! The model goes in step: before each call it says who is to be entered, and who is entered compares. Slots are `static`, so one history
//! runs at a time.
//!
//! Owns the steps, and the order of a history. Not here: what is to come of a step (`slots/model.rs`), what is done
//! (`slots/world.rs`), calls that go on while others change slots (patch's own storm).

mod model;
mod world;

use crate::coded::{Coded, coded, decode_list};
use crate::quietly;
use arbitrary::Unstructured;
use model::{MODEL, Model};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

coded! {
    /// One step. `slot`: modulo two; `at`: the n-th handle, modulo how many there are; `script`: which one runs inside, modulo four;
    /// `last`: which one runs as the captured state is dropped, none for most.
    enum Step {
        Call { slot: u8, catch: u8 },
        /// As those who hold the slot do.
        CallSlot { slot: u8 },
        /// From a thread that is in no scope. It runs no scripts.
        CallElsewhere { slot: u8 },
        /// From a thread that a scope was carried to. It runs no scripts.
        CallBound { slot: u8, at: u8 },
        /// What the replacement that runs was handed, if it wraps.
        CallBelow,
        Push { slot: u8, script: u8, last: u8 },
        PushFn { slot: u8, which: u8 },
        Wrap { slot: u8, script: u8, last: u8 },
        Undo { at: u8 },
        UndoAndWait { at: u8 },
        MakeScope { both: u8, slot: u8, strict: u8, script: u8, last: u8 },
        DropScope { at: u8 },
        Enter { at: u8 },
        Leave { at: u8 },
        Panic,
    }
}

/// A rule of the model turned round: then it must disagree with the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotTwist {
    /// Calls enter the oldest layer.
    OldestLayer,
    /// A layer wins over a scope.
    LayersFirst,
    /// A scope inside another one knows nothing of it.
    NoParents,
    /// What wraps is handed the original.
    BelowIsOriginal,
    /// Guards end in the order in which they were made, whichever is dropped.
    FirstGuardEnds,
    /// Strict scopes note calls from inside others too.
    StraysInside,
    /// An undone layer's captures stay.
    CapturesStay,
}

impl SlotTwist {
    /// Every one.
    pub const ALL: &[Self] = &[
        Self::OldestLayer,
        Self::LayersFirst,
        Self::NoParents,
        Self::BelowIsOriginal,
        Self::FirstGuardEnds,
        Self::StraysInside,
        Self::CapturesStay,
    ];
}

const MOST_STEPS: usize = 60;
const MOST_IN_ALL: usize = 400;
const MOST_LAYERS: usize = 12;
/// How deep calls nest: deeper than a thread has marks of its own for.
const FUEL: u8 = 9;

/// Changes and calls slots as the bytes say, and checks them against plain vectors.
///
/// # Panics
/// If they disagree; the message is the history.
pub fn slots(data: &[u8]) {
    if let Err(report) = slots_with(data, &[]) {
        panic!("{report}");
    }
}

/// As [`slots`], with rules of the model turned round; gives what happened, as pairs of a step and what came of it.
///
/// # Errors
/// Where the slots and the model part, after the history until then.
pub fn slots_with(
    data: &[u8],
    twists: &[SlotTwist],
) -> Result<BTreeSet<(&'static str, &'static str)>, String> {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut bytes = Unstructured::new(data);
    let mut scripts: Vec<Vec<Step>> =
        (0..4).map(|_| decode_list(&mut bytes, 4).expect("a byte short is a 0")).collect();
    let mut steps = Vec::new();
    while !bytes.is_empty() && steps.len() < MOST_STEPS {
        steps.push(Step::decode(&mut bytes).expect("a byte short is a 0"));
    }
    let shown = format!("scripts: {scripts:#?}\n");
    let fresh = Model {
        left: MOST_IN_ALL,
        scripts: std::mem::take(&mut scripts),
        twists: twists.to_vec(),
        ..Model::default()
    };
    *MODEL.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh);
    quietly(|| world::run_all(&steps));
    let Model { error, log, happened, live, .. } =
        MODEL.lock().unwrap_or_else(PoisonError::into_inner).take().expect("made above");
    match error {
        None if live.is_empty() => Ok(happened),
        None => Err(format!("{shown}{}\n{} captures are left\n", log.join("\n"), live.len())),
        Some(what) => Err(format!("{shown}{}\nthe slots and the model part here: {what}\n", log.join("\n"))),
    }
}
