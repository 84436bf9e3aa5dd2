//! What a patcher has replaced, in order, and how much of that is not settled yet.
//!
//! Owns the layers, the running transaction with its levels, and undoing. Not here: what is replaced and why (`pass.rs`).
//!
//! # How it is kept
//! Everything that is done draws a number, so a part of what was done is a span of numbers: a pass, what was patched inside it,
//! a transaction. One thread at a time has a transaction; each pass or transaction inside it opens a level, which begins at a number.
//! Undoing a level takes out what is there from that number on, the last first; when no level is left, the rest stays.
//!
//! Layers are undone, which drops what is a user's, with the lock not held: what a destructor does, starting a pass included, finds the
//! journal in order. If it panics, that goes no further than the layer.

use crate::arguments::Args;
use crate::error::PatchError;
use crate::layer::Layer;
use crate::report::{Failure, PatchedItem, Report, Vetoed};
use crate::warning::{PatchWarning, Sink};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

#[derive(Default)]
pub(crate) struct Journal(Mutex<State>);

#[derive(Default)]
struct State {
    next: u64,
    /// What is replaced, by rising number.
    entries: Vec<Entry>,
    /// The settings that passes have changed, by rising number.
    settings: Vec<(u64, Args)>,
    running: Option<Running>,
    last: Report,
}

struct Entry {
    number: u64,
    item: PatchedItem,
    layer: Layer,
}

/// The transaction of one thread.
struct Running {
    thread: Thread,
    /// Everything from here on is not settled.
    from: u64,
    levels: Vec<Level>,
    vetoes: Vec<Vetoed>,
    undone: Vec<PatchedItem>,
    failure: Option<Failure>,
    warnings: Sink,
}

/// A pass or a transaction inside the running one, or that one itself.
struct Level {
    from: u64,
    vetoes: usize,
    undone: usize,
    warnings: usize,
    state: LevelState,
    /// Why it is undone, if it is; no reason: by a veto.
    failure: Option<Failure>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LevelState {
    Open,
    /// It is to end as soon as those inside it have.
    Kept,
    /// It is to be undone as soon as those inside it have ended.
    Dropped,
    /// It is being undone.
    Ending,
}

/// Which level it is: the number that it begins at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LevelId(u64);

impl Journal {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a level: of this thread's transaction, or of a new one.
    pub(crate) fn open(&self) -> Result<(LevelId, Sink), PatchError> {
        let mut state = self.lock();
        let from = state.draw();
        let thread = thread::current();
        let running = state.running.get_or_insert_with(|| Running::new(thread.clone(), from));
        if running.thread.id() != thread.id() {
            return Err(busy(&running.thread));
        }
        running.levels.push(Level {
            from,
            vetoes: running.vetoes.len(),
            undone: running.undone.len(),
            warnings: running.warnings.len(),
            state: LevelState::Open,
            failure: None,
        });
        Ok((LevelId(from), running.warnings.clone()))
    }

    /// Writes down what was replaced.
    pub(crate) fn record(&self, item: PatchedItem, layer: Layer) {
        let mut state = self.lock();
        let number = state.draw();
        state.entries.push(Entry { number, item, layer });
    }

    /// Writes down settings that are changed by a pass, as soon as it knows them: one inside it does not do the same again.
    pub(crate) fn remember(&self, settings: Args) {
        let mut state = self.lock();
        let number = state.draw();
        state.settings.push((number, settings));
    }

    /// All settings that passes have changed; `None` if none has.
    pub(crate) fn settings(&self) -> Option<Args> {
        let state = self.lock();
        let all = state.settings.iter().flat_map(|(_, settings)| settings.named());
        let merged = all.fold(Args::new(), |merged, (name, on)| merged.with(name.clone(), on));
        (!state.settings.is_empty()).then_some(merged)
    }

    pub(crate) fn veto(&self, veto: Vetoed) {
        if let Some(running) = &mut self.lock().running {
            running.vetoes.push(veto);
        }
    }

    /// What has been done since a level began.
    pub(crate) fn part(&self, level: LevelId) -> Report {
        self.lock().part(level)
    }

    /// Ends a level, and leaves what was done to the one around it; if it was the last, it stays. Where there is a level inside that
    /// has not ended, it waits for that. What is left to do, with nothing held, is to publish these warnings.
    pub(crate) fn keep(&self, level: LevelId) -> (Report, Range<u64>, Vec<PatchWarning>) {
        let mut state = self.lock();
        let (report, span) = (state.part(level), level.0..state.next + 1);
        state.set(level, LevelState::Kept, None);
        drop(state);
        (report, span, self.settle())
    }

    /// Ends a level as [`keep`](Self::keep) does, and undoes what was done since it began.
    pub(crate) fn discard(&self, level: LevelId, failure: Failure) -> Vec<PatchWarning> {
        self.lock().set(level, LevelState::Dropped, Some(failure));
        self.settle()
    }

    /// Undoes a pass, which ends now, and what is inside it with it, whoever holds that. Without a failure it was vetoed.
    pub(crate) fn undo(&self, level: LevelId, failure: Option<Failure>) -> Vec<PatchWarning> {
        self.lock().set(level, LevelState::Ending, failure);
        self.undo_from(level);
        self.settle()
    }

    /// Undoes what was done since the level began, which is in its state `Ending`, and takes it out with those inside it.
    fn undo_from(&self, level: LevelId) {
        loop {
            let mut state = self.lock();
            let Some(layer) = state.take_last(level) else { return state.end(level) };
            drop(state);
            layer.undo();
        }
    }

    /// Ends what is innermost as long as that is to end, and then, if nothing is left, the transaction.
    fn settle(&self) -> Vec<PatchWarning> {
        loop {
            let mut state = self.lock();
            // Of another thread's this one holds no level that is there still.
            let ours = |running: &&mut Running| running.thread.id() == thread::current().id();
            let Some(running) = state.running.as_mut().filter(ours) else { return Vec::new() };
            let Some(level) = running.levels.last_mut() else { return state.finish() };
            match level.state {
                LevelState::Open | LevelState::Ending => return Vec::new(),
                LevelState::Kept => {
                    running.levels.pop();
                    running.failure = None; // what was inside it may have failed
                }
                LevelState::Dropped => {
                    level.state = LevelState::Ending;
                    let level = LevelId(level.from);
                    drop(state);
                    self.undo_from(level);
                }
            }
        }
    }

    /// Undoes what was done in a span, as far as it is still there.
    pub(crate) fn undo_span(&self, span: Range<u64>) -> Report {
        let taken = self.lock().take_span(&span);
        undo_all(taken)
    }

    /// Undoes everything, unless a transaction is running.
    pub(crate) fn undo_settled(&self) -> Result<Report, PatchError> {
        let mut state = self.lock();
        if let Some(running) = &state.running {
            return Err(busy(&running.thread));
        }
        let taken = state.take_span(&(0..u64::MAX));
        drop(state);
        Ok(undo_all(taken))
    }

    /// What is in place and settled, and what came of the last transaction.
    pub(crate) fn report(&self) -> Report {
        let state = self.lock();
        Report { items: state.settled().map(|entry| entry.item.clone()).collect(), ..state.last.clone() }
    }

    /// Whether this is in place and settled.
    pub(crate) fn is_patched(&self, module: &str, item: Option<&str>) -> bool {
        let is =
            |entry: &Entry| entry.item.module == module && item.is_none_or(|item| entry.item.item == item);
        self.lock().settled().any(is)
    }
}

fn undo_all(entries: Vec<Entry>) -> Report {
    let undo = |Entry { item, layer, .. }: Entry| {
        layer.undo();
        item
    };
    Report { undone: entries.into_iter().rev().map(undo).collect(), ..Report::default() }
}

fn busy(thread: &Thread) -> PatchError {
    let thread = thread.name().map_or_else(|| format!("{:?}", thread.id()), str::to_owned);
    PatchError::Busy { thread }
}

impl Running {
    fn new(thread: Thread, from: u64) -> Self {
        Self {
            thread,
            from,
            levels: Vec::new(),
            vetoes: Vec::new(),
            undone: Vec::new(),
            failure: None,
            warnings: Sink::default(),
        }
    }
}

impl State {
    fn draw(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn set(&mut self, id: LevelId, to: LevelState, failure: Option<Failure>) {
        let mut levels = self.running.iter_mut().flat_map(|running| &mut running.levels);
        if let Some(level) = levels.find(|level| level.from == id.0) {
            (level.state, level.failure) = (to, failure);
        }
    }

    /// Takes out a level of which everything is undone, with those inside it.
    fn end(&mut self, LevelId(from): LevelId) {
        self.settings.retain(|(number, _)| *number < from);
        let Some(running) = &mut self.running else { return };
        let Some(place) = running.levels.iter().position(|level| level.from == from) else { return };
        let Some(level) = running.levels.drain(place..).next() else { return };
        // What the transaction failed for stays in the report, with what was warned of; what was inside one that did not, does not.
        if level.failure.is_none() || place > 0 {
            running.warnings.truncate(level.warnings);
        }
        running.failure = level.failure;
    }

    fn settled(&self) -> impl Iterator<Item = &Entry> {
        let until = self.running.as_ref().map_or(u64::MAX, |running| running.from);
        self.entries.iter().take_while(move |entry| entry.number < until)
    }

    fn part(&self, LevelId(from): LevelId) -> Report {
        let mut report = Report::default();
        let Some(running) = &self.running else { return report };
        let Some(level) = running.levels.iter().find(|level| level.from == from) else { return report };
        let first = self.entries.partition_point(|entry| entry.number < from);
        report.items = self.entries[first..].iter().map(|entry| entry.item.clone()).collect();
        report.vetoes = running.vetoes[level.vetoes..].to_vec();
        report.undone = running.undone[level.undone..].to_vec();
        report.warnings = running.warnings.since(level.warnings);
        report
    }

    /// Takes out the last entry, if it was made since.
    fn take_last(&mut self, LevelId(from): LevelId) -> Option<Layer> {
        let entry = self.entries.pop_if(|entry| entry.number >= from)?;
        if let Some(running) = &mut self.running {
            running.undone.push(entry.item.clone());
        }
        Some(entry.layer)
    }

    fn take_span(&mut self, span: &Range<u64>) -> Vec<Entry> {
        self.settings.retain(|(number, _)| !span.contains(number));
        self.entries.extract_if(.., |entry| span.contains(&entry.number)).collect()
    }

    /// The transaction has ended.
    fn finish(&mut self) -> Vec<PatchWarning> {
        let Some(running) = self.running.take() else { return Vec::new() };
        let warnings = running.warnings.since(0);
        let undone = running.failure.is_some();
        self.last = Report {
            items: Vec::new(),
            vetoes: running.vetoes,
            warnings: warnings.clone(),
            failure: running.failure,
            undone: running.undone,
        };
        if undone { Vec::new() } else { warnings }
    }
}
