//! The ways to call a function that are compared: their names, and the loop that times them.
//!
//! Owns both. Not here: the functions (`copies.rs`).

use crate::{
    harness::{Batch, Gate, Lane, Measured},
    stats,
};
use serde::Serialize;
use signalpost::patch::{Layer, Override, Scope};
use std::{
    fmt,
    hint::black_box,
    sync::mpsc::{Sender, channel},
    thread,
    time::{Duration, Instant},
};

/// A way to call a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Path {
    /// A call of a function that is not inlined.
    Direct,
    /// A call of a slot that nothing replaces, whose original is that function.
    SlotUnpatched,
    /// The same, but what is called may be inlined.
    DirectInlined,
    /// And through a slot.
    SlotUnpatchedInlined,
    /// A call by a function pointer.
    FnPointer,
    /// A slot with a plain function on top.
    SlotFn,
    /// A `Box<dyn Fn>` in a `OnceLock`.
    BoxedClosure,
    /// A slot with a closure on top.
    SlotClosure,
    /// A slot with a closure on top that calls what is below: another closure.
    SlotWrap,
    /// A slot, inside a scope that replaces it.
    SlotScoped,
    /// A slot that another thread's scope replaces, outside of all scopes.
    SlotScopeElsewhere,
    /// A function with a fail point of the crate fail, that is not switched on.
    FailRsIdle,
}

impl Path {
    /// All, in the order of the table, which is that of their numbers.
    pub const ALL: [Self; 12] = [
        Self::Direct,
        Self::SlotUnpatched,
        Self::DirectInlined,
        Self::SlotUnpatchedInlined,
        Self::FnPointer,
        Self::SlotFn,
        Self::BoxedClosure,
        Self::SlotClosure,
        Self::SlotWrap,
        Self::SlotScoped,
        Self::SlotScopeElsewhere,
        Self::FailRsIdle,
    ];

    /// As in the table and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::SlotUnpatched => "slot-unpatched",
            Self::DirectInlined => "direct-inlined",
            Self::SlotUnpatchedInlined => "slot-unpatched-inlined",
            Self::FnPointer => "fn-pointer",
            Self::SlotFn => "slot-fn",
            Self::BoxedClosure => "boxed-closure",
            Self::SlotClosure => "slot-closure",
            Self::SlotWrap => "slot-wrap",
            Self::SlotScoped => "slot-scoped",
            Self::SlotScopeElsewhere => "slot-scope-elsewhere",
            Self::FailRsIdle => "fail-rs-idle",
        }
    }

    /// For those who have not read the names.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Direct => "a function that is not inlined",
            Self::SlotUnpatched => "a slot with that as its original",
            Self::DirectInlined => "a function that is",
            Self::SlotUnpatchedInlined => "a slot with that as its original",
            Self::FnPointer => "a function pointer",
            Self::SlotFn => "a slot, patched with a plain function",
            Self::BoxedClosure => "a Box<dyn Fn> in a OnceLock",
            Self::SlotClosure => "a slot, patched with a closure",
            Self::SlotWrap => "a closure that calls the closure below it",
            Self::SlotScoped => "inside a scope that replaces it",
            Self::SlotScopeElsewhere => "another thread's scope replaces it",
            Self::FailRsIdle => "the crate fail, nothing switched on",
        }
    }

    /// Whether the function that is reached is a replacement.
    pub const fn is_replaced(self) -> bool {
        !matches!(
            self,
            Self::Direct
                | Self::SlotUnpatched
                | Self::DirectInlined
                | Self::SlotUnpatchedInlined
                | Self::SlotScopeElsewhere
                | Self::FailRsIdle
        )
    }
}

/// What holds while a path is timed.
#[derive(Debug, Default)]
pub struct Setting {
    /// Layers that stay on.
    pub layers: Vec<Layer>,
    /// A scope that the timing thread enters.
    pub inside: Option<Scope>,
    /// A thread that is in a scope.
    pub elsewhere: Option<Elsewhere>,
}

/// A thread that is inside a scope until this is dropped.
#[derive(Debug)]
pub struct Elsewhere {
    end: Option<Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Elsewhere {
    /// Starts it; returns once it is inside.
    pub fn inside(replaced: Override) -> Self {
        let scope = Scope::new([replaced]).expect("one function is not there twice");
        let (end, until) = channel();
        let (entered, is_inside) = channel();
        let thread = thread::spawn(move || {
            scope.run(|| {
                let _ = entered.send(());
                let _ = until.recv(); // an error: the sender is gone
            });
        });
        is_inside.recv().expect("the thread enters its scope");
        Self { end: Some(end), thread: Some(thread) }
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A path that is ready to be timed, in one copy.
pub trait Call: Send + Sync {
    /// Calls so often, each time with what the call before gave, so that no call begins before the one before it has ended: how
    /// long a caller waits for a result.
    fn in_turn(&self, calls: u64) -> Duration;
    /// Calls so often, with arguments that are known beforehand, so that the processor begins calls before others have ended: how
    /// much of it a call takes.
    fn at_once(&self, calls: u64) -> Duration;
    /// What holds meanwhile.
    fn setting(&self) -> &Setting;
}

/// How calls follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As [`Call::in_turn`].
    InTurn,
    /// As [`Call::at_once`].
    AtOnce,
}

/// A path as a closure, which is inlined into loops of its own.
pub struct Timed<F> {
    call: F,
    setting: Setting,
}

impl<F: Fn(u64) -> u64 + Send + Sync> Timed<F> {
    /// # Panics
    /// When it does not reach the function that is `expected` to give this for 1.
    pub fn new(setting: Setting, expected: u64, call: F) -> Self {
        let inside = setting.inside.as_ref().map(Scope::enter);
        assert_eq!(call(1), expected, "the path does not reach what it is to measure");
        drop(inside);
        Self { call, setting }
    }
}

impl<F> fmt::Debug for Timed<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timed").field("setting", &self.setting).finish_non_exhaustive()
    }
}

/// The loops that are timed. Never inlined, so that they are compiled once for each path and copy, alone.
impl<F: Fn(u64) -> u64 + Send + Sync> Call for Timed<F> {
    #[inline(never)]
    fn in_turn(&self, calls: u64) -> Duration {
        let start = Instant::now();
        let mut argument = black_box(calls);
        for _ in 0..calls {
            argument = (self.call)(black_box(argument));
        }
        black_box(argument);
        start.elapsed()
    }

    #[inline(never)]
    fn at_once(&self, calls: u64) -> Duration {
        let start = Instant::now();
        for number in 0..calls {
            black_box((self.call)(black_box(number)));
        }
        start.elapsed()
    }

    fn setting(&self) -> &Setting {
        &self.setting
    }
}

/// A path at one pace.
pub struct Paced<'c>(pub &'c dyn Call, pub Pace);

impl Paced<'_> {
    fn lap(&self, calls: u64) -> Duration {
        match self.1 {
            Pace::InTurn => self.0.in_turn(calls),
            Pace::AtOnce => self.0.at_once(calls),
        }
    }
}

impl fmt::Debug for Paced<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Paced").field(self.0.setting()).field(&self.1).finish()
    }
}

impl Lane for Paced<'_> {
    fn measure(&self, _: &Gate, batch: Batch) -> Measured {
        let _inside = self.0.setting().inside.as_ref().map(Scope::enter);
        self.lap((batch.publishes / 4).max(1));
        let laps: Vec<_> = (0..batch.laps).map(|_| self.lap(batch.publishes)).collect();
        let each: Vec<_> = laps.iter().map(|lap| lap.as_nanos() as f64 / batch.publishes as f64).collect();
        Measured { ns: stats::median(&each), took: laps.iter().sum(), stopped: 0 }
    }
}
