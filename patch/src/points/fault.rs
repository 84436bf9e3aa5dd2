//! One kind of fault: which calls it is for, and what it does to them.
//!
//! Owns the rule, and what can be wrong with one. Not here: which function it is put into (`faults.rs`).

use oorandom::Rand64;
use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

/// What is to go wrong, and when. Put into a function with [`Faults::inject`](super::Faults::inject).
///
/// It says first which calls it is for. Calls are counted from 1 from when it is put in, per function, in the order in which they
/// arrive, on whatever threads. Each of them then fails, as an [`io::Error`] of the kind [`Other`](io::ErrorKind::Other), unless
/// more is said.
///
/// # Examples
/// ```
/// use signalpost::patch::points::Fault;
/// use std::io::ErrorKind::TimedOut;
/// use std::time::Duration;
///
/// let slow_at_first = Fault::first(3).delay(Duration::from_secs(2)).pass();
/// let third_times_out = Fault::nth(3).delay(Duration::from_secs(30)).kind(TimedOut).text("no answer");
/// let one_in_ten = Fault::with_probability(0.1, 42);
/// ```
#[derive(Clone, Debug)]
pub struct Fault {
    calls: Calls,
    fails: bool,
    kind: io::ErrorKind,
    text: Option<String>,
    delay: Duration,
}

#[derive(Clone, Debug)]
enum Calls {
    All,
    Nth(u64),
    Every(u64),
    First(u64),
    Random { probability: f64, next: Rand64 },
}

impl Fault {
    /// For all calls.
    pub const fn always() -> Self {
        Self::of(Calls::All)
    }

    /// For one call: the `n`-th, from 1.
    pub const fn nth(n: u64) -> Self {
        Self::of(Calls::Nth(n))
    }

    /// For every `n`-th call: of 3 the third, the sixth, ….
    pub const fn every(n: u64) -> Self {
        Self::of(Calls::Every(n))
    }

    /// For the first `n` calls.
    pub const fn first(n: u64) -> Self {
        Self::of(Calls::First(n))
    }

    /// For some calls: each with this probability, from 0 to 1, whatever became of others.
    ///
    /// The same seed decides the same for the first call, the second, …, in each run and on each platform (a permuted
    /// congruential generator). Which thread's call is the second is another matter.
    pub fn with_probability(probability: f64, seed: u64) -> Self {
        Self::of(Calls::Random { probability, next: Rand64::new(seed.into()) })
    }

    const fn of(calls: Calls) -> Self {
        Self { calls, fails: true, kind: io::ErrorKind::Other, text: None, delay: Duration::ZERO }
    }

    /// The kind of the error.
    #[must_use]
    pub const fn kind(mut self, kind: io::ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// The text of the error, in place of one that names the function and the call.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// Has the call wait first: by [`time::sleep`](super::time::sleep) of the ready set, so that a [`FakeClock`](super::FakeClock)
    /// says for how long.
    #[must_use]
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// After the delay the call goes on as if nothing had been: it does not fail.
    #[must_use]
    pub const fn pass(mut self) -> Self {
        self.fails = false;
        self
    }

    pub(super) fn check(&self) -> Result<(), FaultError> {
        match self.calls {
            Calls::Nth(0) | Calls::Every(0) | Calls::First(0) => Err(FaultError::NoCall),
            Calls::Random { probability, .. } if !(0.0..=1.0).contains(&probability) => {
                Err(FaultError::Probability(probability))
            }
            _ => Ok(()),
        }
    }

    /// Whether it is for this call. Asked once for each.
    pub(super) fn is_for(&mut self, call: u64) -> bool {
        match &mut self.calls {
            Calls::All => true,
            Calls::Nth(n) => call == *n,
            Calls::Every(n) => call.is_multiple_of(*n),
            Calls::First(n) => call <= *n,
            Calls::Random { probability, next } => next.rand_float() < *probability,
        }
    }

    /// How long the call is to wait.
    pub(super) fn wait(&self) -> Duration {
        self.delay
    }

    /// What it is to fail with, if it is to fail.
    pub(super) fn error(&self, point: String, call: u64) -> Option<(io::ErrorKind, InjectedFault)> {
        self.fails.then(|| (self.kind, InjectedFault { point, call, text: self.text.clone() }))
    }
}

/// What a call failed with that was made to fail: inside the [`io::Error`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InjectedFault {
    /// The function, as `module::function`.
    pub point: String,
    /// Which of its calls it was, from 1: of all that [`Faults`](super::Faults) has seen, also before the fault was put in.
    pub call: u64,
    /// What [`Fault::text`] says.
    pub text: Option<String>,
}

impl InjectedFault {
    /// The fault, if this is an error that was made, and none that happened.
    ///
    /// # Examples
    /// ```
    /// use signalpost::patch::points::{Fault, Faults, InjectedFault, fs};
    /// use signalpost::patch::Scope;
    /// use std::path::Path;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let faults = Faults::new();
    /// faults.inject(&fs::slots::read, Fault::nth(1))?;
    /// let error = Scope::new(faults.overrides())?.run(|| fs::read(Path::new("/etc/hosts"))).unwrap_err();
    /// assert_eq!(InjectedFault::of(&error).map(|fault| fault.call), Some(1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl fmt::Display for InjectedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => f.write_str(text),
            None => write!(f, "call {} of {} was made to fail", self.call, self.point),
        }
    }
}

impl Error for InjectedFault {}

/// Why there will be no such fault. Nothing was changed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FaultError {
    /// No function of this name is known here.
    UnknownPoint {
        /// The name.
        point: String,
        /// The names that are known.
        known: Vec<String>,
    },
    /// Calls are counted from 1, so that a fault for the call 0, for every 0th, or for the first 0 would never come.
    NoCall,
    /// A probability that is not from 0 to 1.
    Probability(f64),
    /// A replacement that has another signature than the function.
    Signature {
        /// The function.
        point: String,
        /// Its signature.
        expected: &'static str,
        /// That of the replacement.
        found: &'static str,
    },
}

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownPoint { point, known } => write!(
                f,
                "no faults can be put into {point}; known are {}, and what `Faults::with_point` adds",
                known.join(", ")
            ),
            Self::NoCall => {
                f.write_str("the fault would never come: calls are counted from 1, so give 1 or more")
            }
            Self::Probability(given) => write!(f, "a probability is from 0 to 1, not {given}"),
            Self::Signature { point, expected, found } => {
                write!(f, "{point} is `{expected}`, and the replacement `{found}`")
            }
        }
    }
}

impl Error for FaultError {}
