//! How long it takes to patch and to undo.
//!
//! Owns those measurements.

use crate::{
    crew::{cores_apart, pin_to},
    stats::Spread,
    stop,
    table::{Cell, Colour, Table, Tone},
};
use serde::Serialize;
use signalpost::patch::Scope;
use std::{hint::black_box, thread, time::Instant};

signalpost::patch::patch_points! {
    /// What is patched.
    mod points {
        fn one(argument: u64) -> u64 { argument }
    }
}
use points::slots::one;

/// How often in one round.
const CHANGES: u32 = 500;

/// What came out; microseconds each.
#[derive(Clone, Debug, Serialize)]
pub struct Changes {
    /// A closure pushed and undone.
    pub closure_us: Spread,
    /// A plain function.
    pub function_us: Spread,
    /// A closure pushed and undone, over 16 others.
    pub over_sixteen_us: Spread,
    /// A scope made of one closure, entered and left.
    pub scope_us: Spread,
    /// What these sum up, round by round.
    #[serde(skip)]
    pub samples: Samples,
}

/// The samples of all rounds, in microseconds; named as in [`Changes`].
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// A closure.
    pub closure: Vec<f64>,
    /// A plain function.
    pub function: Vec<f64>,
    /// A closure over 16 others.
    pub over_sixteen: Vec<f64>,
    /// A scope.
    pub scope: Vec<f64>,
}

impl Changes {
    /// Measures them, on a thread of their own.
    ///
    /// # Errors
    /// When the thread cannot be started, for people.
    pub fn measure(rounds: usize, mut after_round: impl FnMut() + Send) -> Result<Self, String> {
        let measure = || {
            pin_to(cores_apart().first().copied());
            let mut samples = Samples::default();
            round(&mut Samples::default()); // finds everything cold
            for _ in stop::rounds(rounds) {
                round(&mut samples);
                after_round();
            }
            samples
        };
        let samples = thread::scope(|scope| {
            let thread = thread::Builder::new().name("lab changes".to_owned()).spawn_scoped(scope, measure);
            thread.map(|thread| thread.join().expect("patching does not panic"))
        });
        let samples = samples.map_err(|error| format!("cannot start a thread that patches: {error}"))?;
        Ok(Self {
            closure_us: Spread::of(&samples.closure),
            function_us: Spread::of(&samples.function),
            over_sixteen_us: Spread::of(&samples.over_sixteen),
            scope_us: Spread::of(&samples.scope),
            samples,
        })
    }

    /// The table of these.
    pub fn report(&self, colour: Colour) -> String {
        let mut table = Table::headed(["", "µs each", "lowest..highest"]);
        for (what, spread) in [
            ("a closure patched and undone", self.closure_us),
            ("a plain function patched and undone", self.function_us),
            ("a closure patched and undone, over 16 others", self.over_sixteen_us),
            ("a scope of one closure made, entered, left", self.scope_us),
        ] {
            table.row([
                what.into(),
                format!("{:.2}", spread.median).into(),
                Cell::toned(Tone::Quiet, format!("{:.2}..{:.2}", spread.min, spread.max)),
            ]);
        }
        table.render(colour)
    }
}

fn round(samples: &mut Samples) {
    let captured = black_box(1);
    let closure = || one.push(Box::new(move |argument| argument + captured));
    samples.closure.push(each_us(|| closure().undo()));
    samples.function.push(each_us(|| one.push_fn(points::original::one).undo()));
    let others: Vec<_> = (0..16).map(|_| closure()).collect();
    samples.over_sixteen.push(each_us(|| closure().undo()));
    drop(others);
    samples.scope.push(each_us(|| {
        let replaced = one.with(Box::new(move |argument| argument + captured));
        Scope::new([replaced]).expect("one function is not there twice").run(|| ());
    }));
}

fn each_us(mut change: impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..CHANGES).for_each(|_| change());
    start.elapsed().as_secs_f64() * 1e6 / f64::from(CHANGES)
}
