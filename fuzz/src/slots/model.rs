//! What layers and scopes are to be, as plain vectors: who a call enters, and who still holds what.
//!
//! Owns the rules. Not here: what is done (`world.rs`).

use super::{SlotTwist, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// What a call enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Original(usize),
    Plain(usize),
    Captured(u64),
}

impl Who {
    pub(super) fn number(self) -> u64 {
        match self {
            Self::Original(n) => n as u64,
            Self::Plain(n) => 10 + n as u64,
            Self::Captured(id) => 100 + id,
        }
    }
}

/// A scope as the model has it: lives as long as the scope is to live.
#[derive(Debug)]
pub(super) struct Modelled {
    pub(super) overrides: [Option<u64>; 2],
    pub(super) parent: Option<Arc<Modelled>>,
    pub(super) strict: bool,
    /// By slot.
    pub(super) strays: [AtomicU64; 2],
}

impl Modelled {
    pub(super) fn find(&self, slot: usize, twists: &[SlotTwist]) -> Option<u64> {
        let parent = self.parent.as_ref().filter(|_| !twists.contains(&SlotTwist::NoParents));
        self.overrides[slot].or_else(|| parent?.find(slot, twists))
    }
}

/// What is captured: a layer's, or a scope's.
#[derive(Debug)]
pub(super) enum Home {
    Layer(usize),
    Scope(Weak<Modelled>),
}

#[derive(Default)]
pub(super) struct Model {
    pub(super) layers: [Vec<(u64, Who)>; 2],
    pub(super) entered: Vec<Arc<Modelled>>,
    pub(super) scopes: Vec<Weak<Modelled>>,
    pub(super) live: BTreeMap<u64, Home>,
    pub(super) made: u64,
    /// Who the call that is being made is to enter.
    pub(super) awaited: Option<Who>,
    /// Layers of each slot that this thread is in, reads of all, and destructors.
    pub(super) inside: [usize; 2],
    pub(super) reads: usize,
    pub(super) dropping: usize,
    pub(super) panicked: bool,
    pub(super) left: usize,
    pub(super) scripts: Vec<Vec<Step>>,
    pub(super) twists: Vec<SlotTwist>,
    pub(super) error: Option<String>,
    pub(super) log: Vec<String>,
    pub(super) happened: BTreeSet<(&'static str, &'static str)>,
}

pub(super) static MODEL: Mutex<Option<Model>> = Mutex::new(None);

/// Looks at the model, or changes it. Never around anything that may run a replacement or a destructor of one.
pub(super) fn model<R>(f: impl FnOnce(&mut Model) -> R) -> R {
    f(MODEL.lock().unwrap_or_else(PoisonError::into_inner).as_mut().expect("a history is running"))
}

impl Model {
    pub(super) fn is(&self, twist: SlotTwist) -> bool {
        self.twists.contains(&twist)
    }

    pub(super) fn wrong(&mut self, what: impl FnOnce() -> String) {
        if self.error.is_none() {
            self.error = Some(what());
            self.left = 0;
        }
    }

    pub(super) fn of_layers(&self, slot: usize) -> Option<Who> {
        let layers = &self.layers[slot];
        let entry = if self.is(SlotTwist::OldestLayer) { layers.first() } else { layers.last() };
        entry.map(|(_, who)| *who)
    }

    /// Who a call enters that is made inside this scope.
    pub(super) fn target(&self, slot: usize, scope: Option<&Arc<Modelled>>) -> Who {
        let layer = self.of_layers(slot);
        let scoped = scope.and_then(|scope| scope.find(slot, &self.twists)).map(Who::Captured);
        let found = if self.is(SlotTwist::LayersFirst) { layer.or(scoped) } else { scoped.or(layer) };
        found.unwrap_or(Who::Original(slot))
    }

    pub(super) fn below(&self, slot: usize, id: u64) -> Who {
        let layers = &self.layers[slot];
        let place = layers
            .iter()
            .position(|(other, _)| *other == id)
            .filter(|_| !self.is(SlotTwist::BelowIsOriginal));
        place.and_then(|at| at.checked_sub(1)).map_or(Who::Original(slot), |at| layers[at].1)
    }

    /// A call is made by a thread that is in a scope or not.
    pub(super) fn note_stray(&mut self, slot: usize, inside: bool) {
        if inside && !self.is(SlotTwist::StraysInside) {
            return;
        }
        for scope in self.scopes.iter().filter_map(Weak::upgrade) {
            if scope.strict && scope.overrides[slot].is_some() {
                scope.strays[slot].fetch_add(1, Relaxed);
            }
        }
    }

    pub(super) fn capture(&mut self, home: Home) -> u64 {
        self.made += 1;
        self.live.insert(self.made, home);
        self.made
    }

    pub(super) fn stays(&self, id: u64, home: &Home) -> bool {
        match home {
            Home::Layer(slot) => self.layers[*slot].iter().any(|(other, _)| *other == id),
            Home::Scope(scope) => scope.strong_count() > 0,
        }
    }
}
