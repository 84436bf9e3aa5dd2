//! Functions that fail when they are told to.
//!
//! Owns which faults are in which function, and how often it was called. Not here: which calls a fault is for (`fault.rs`).

use super::fault::{Fault, FaultError, InjectedFault};
use super::point_name::PointName;
use super::{env, fs, net, rand, time};
use crate::items::ItemName;
use crate::module::{AnySlot, Module};
use crate::replacement::Replacement;
use crate::scope::Override;
use crate::slot::Slot;
use crate::source::Source;
use std::env::VarError;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The modules whose functions can fail.
static MODULES: [&Module; 4] = [&rand::MODULE, &net::MODULE, &fs::MODULE, &env::MODULE];

/// Faults on purpose, in the functions of the ready set that can fail, and in yours.
///
/// It knows `seed`, `resolve`, `connect`, `read`, `write` and `var` of [`points`](super), which it replaces: by its
/// [`overrides`](Self::overrides) for those inside a [`Scope`](crate::Scope), or as a [`Source`](crate::Source) for everybody. As
/// long as no fault is in a function, the replacement calls the original, or what was put [under it](Self::over). Functions of
/// your own ask it by [`hit`](Self::hit).
///
/// Several faults may be in one function. Each counts all calls from when it was put in; of those that are for a call the oldest
/// has its way.
///
/// A clone is the same. Functions take a lock for a moment, never while a call waits or goes on.
///
/// # Examples
/// ```
/// use signalpost::patch::points::{Fault, Faults, fs};
/// use signalpost::patch::Scope;
/// use std::io::ErrorKind::StorageFull;
/// use std::path::Path;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let faults = Faults::new().over(fs::sig::write(|_, _| Ok(())))?; // nothing is written
/// let full = faults.inject(&fs::slots::write, Fault::always().kind(StorageFull))?;
///
/// Scope::new(faults.overrides())?.run(|| {
///     let path = Path::new("/var/lib/acme/state");
///     assert_eq!(fs::write(path, b"1").unwrap_err().kind(), StorageFull);
///     faults.remove(full);
///     assert!(fs::write(path, b"1").is_ok());
/// });
/// let counts = faults.counts(&fs::slots::write)?;
/// assert_eq!((counts.calls, counts.failed), (2, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Faults(Arc<Mutex<State>>);

struct State {
    points: Vec<Point>,
    under: Vec<Replacement>,
    faults_made: u64,
}

struct Point {
    module: String,
    item: String,
    counts: FaultCounts,
    faults: Vec<Injected>,
}

struct Injected {
    id: FaultId,
    calls: u64,
    fault: Fault,
}

/// One fault in one function, to [remove](Faults::remove) it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FaultId(u64);

/// What became of the calls of one function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultCounts {
    /// How many there were.
    pub calls: u64,
    /// How many of them were made to fail.
    pub failed: u64,
    /// How many of them were made to wait, whether they failed then or not. Counted as the wait begins.
    pub delayed: u64,
}

impl Faults {
    /// No faults, for the functions of the ready set.
    pub fn new() -> Self {
        let slots = MODULES.iter().flat_map(|module| module.slots());
        let points = slots.map(|slot| Point::new(PointName::from(*slot))).collect();
        Self(Arc::new(Mutex::new(State { points, under: Vec::new(), faults_made: 0 })))
    }

    /// Adds a function of yours, whose replacement asks by [`hit`](Self::hit). Nothing changes if it is known already.
    #[must_use]
    pub fn with_point<'a>(self, point: impl Into<PointName<'a>>) -> Self {
        let point = point.into();
        let mut state = self.lock();
        if !state.points.iter().any(|known| known.name() == point) {
            state.points.push(Point::new(point));
        }
        drop(state);
        self
    }

    /// What a function of the ready set is to do where no fault is in the way, in place of the original. It holds for what is
    /// made of this afterwards.
    ///
    /// # Errors
    /// [`FaultError::UnknownPoint`], [`FaultError::Signature`]: it replaces none of them. [`Faults`] is gone then, if it has no
    /// clone.
    pub fn over(self, replacement: Replacement) -> Result<Self, FaultError> {
        let mut slots = MODULES.iter().flat_map(|module| module.slots());
        let Some(slot) = slots.find(|slot| slot.name() == replacement.item()) else {
            return Err(self.lock().unknown(PointName::from(replacement.item())));
        };
        if slot.signature_id() != replacement.signature_id() {
            let (expected, found) = (slot.signature(), replacement.signature());
            return Err(FaultError::Signature { point: PointName::from(*slot).to_string(), expected, found });
        }
        let mut state = self.lock();
        let old = state.under.iter().position(|old| old.item() == replacement.item());
        let old = old.map(|place| state.under.remove(place));
        state.under.push(replacement);
        drop(state);
        drop(old); // a user's, with no lock held
        Ok(self)
    }

    /// Puts a fault into a function, until it is [removed](Self::remove). The function is given by its slot, or by its name,
    /// `"signalpost.net::connect"`.
    ///
    /// # Errors
    /// [`FaultError`]: no such function is known, and which are; or the fault would never come.
    pub fn inject<'a>(&self, point: impl Into<PointName<'a>>, fault: Fault) -> Result<FaultId, FaultError> {
        fault.check()?;
        let mut state = self.lock();
        let place = state.place(point.into())?;
        state.faults_made += 1;
        let id = FaultId(state.faults_made);
        state.points[place].faults.push(Injected { id, calls: 0, fault });
        Ok(id)
    }

    /// Takes a fault out, and says whether it was in. Calls that wait go on waiting, and then fail.
    pub fn remove(&self, fault: FaultId) -> bool {
        let mut state = self.lock();
        state.points.iter_mut().any(|point| {
            let place = point.faults.iter().position(|injected| injected.id == fault);
            place.map(|place| point.faults.remove(place)).is_some()
        })
    }

    /// Takes all faults out. Counts stay.
    pub fn clear(&self) {
        self.lock().points.iter_mut().for_each(|point| point.faults.clear());
    }

    /// What became of the calls of a function so far: of all that came through what was made of this, on whatever threads.
    ///
    /// # Errors
    /// [`FaultError::UnknownPoint`].
    pub fn counts<'a>(&self, point: impl Into<PointName<'a>>) -> Result<FaultCounts, FaultError> {
        let state = self.lock();
        Ok(state.points[state.place(point.into())?].counts)
    }

    /// One call of a function: waits and fails if a fault says so.
    ///
    /// # Errors
    /// What the fault says, with an [`InjectedFault`] inside. [`InvalidInput`](io::ErrorKind::InvalidInput), with a [`FaultError`]
    /// inside, if no such function is known: add it by [`with_point`](Self::with_point).
    ///
    /// # Examples
    /// ```
    /// use signalpost::patch::points::{Fault, Faults};
    /// use signalpost::patch::{Scope, patch_points};
    /// use std::io;
    ///
    /// patch_points! { pub mod mail as "acme.mail" {
    ///     use std::io;
    ///     fn send(to: &str) -> io::Result<()> { println!("to {to}"); Ok(()) }
    /// } }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     let faults = Faults::new().with_point(&mail::slots::send);
    ///     faults.inject(&mail::slots::send, Fault::first(1).kind(io::ErrorKind::NotConnected))?;
    ///     let asked = faults.clone();
    ///     let send = mail::slots::send.with(Box::new(move |to| {
    ///         asked.hit(&mail::slots::send)?;
    ///         mail::original::send(to)
    ///     }));
    ///     Scope::new([send])?.run(|| {
    ///         assert!(mail::send("Ann").is_err());
    ///         assert!(mail::send("Ann").is_ok());
    ///     });
    ///     Ok(())
    /// }
    /// ```
    pub fn hit<'a>(&self, point: impl Into<PointName<'a>>) -> io::Result<()> {
        match self.enter(point.into()) {
            Ok(None) => Ok(()),
            Ok(Some((kind, fault))) => Err(io::Error::new(kind, fault)),
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidInput, error)),
        }
    }

    /// All functions of the ready set that it knows, for a [`Scope`](crate::Scope). For those of one module there is
    /// [`Module::overrides`].
    pub fn overrides(&self) -> Vec<Override> {
        let of_module = |module: &'static Module| {
            let all = module.slots().iter();
            all.filter_map(move |slot| slot.with_any(&self.replacement(module, slot.name())?))
        };
        MODULES.into_iter().flat_map(of_module).collect()
    }

    fn enter(&self, name: PointName<'_>) -> Result<Option<(io::ErrorKind, InjectedFault)>, FaultError> {
        let mut state = self.lock();
        let place = state.place(name)?;
        let point = &mut state.points[place];
        let counts = &mut point.counts;
        counts.calls += 1;
        let mut chosen = None;
        for injected in &mut point.faults {
            injected.calls += 1;
            // All are asked, so that what one decides of a call does not hang on the others.
            if injected.fault.is_for(injected.calls) && chosen.is_none() {
                chosen = Some(&injected.fault);
            }
        }
        let Some(fault) = chosen else { return Ok(None) };
        let (delay, error) = (fault.wait(), fault.error(name.to_string(), counts.calls));
        counts.failed += u64::from(error.is_some());
        counts.delayed += u64::from(!delay.is_zero());
        drop(state);
        if !delay.is_zero() {
            time::sleep(delay);
        }
        Ok(error)
    }

    fn replacement(&self, module: &Module, item: &str) -> Option<Replacement> {
        let faults = self.clone();
        Some(match (module.name(), item) {
            ("signalpost.rand", "seed") => {
                let slot = &rand::slots::seed;
                let seed = self.base(slot);
                rand::sig::seed(move || faults.hit(slot).and_then(|()| seed()))
            }
            ("signalpost.net", "resolve") => {
                let slot = &net::slots::resolve;
                let resolve = self.base(slot);
                net::sig::resolve(move |host, port| faults.hit(slot).and_then(|()| resolve(host, port)))
            }
            ("signalpost.net", "connect") => {
                let slot = &net::slots::connect;
                let connect = self.base(slot);
                net::sig::connect(move |address, limit| {
                    faults.hit(slot).and_then(|()| connect(address, limit))
                })
            }
            ("signalpost.fs", "read") => {
                let slot = &fs::slots::read;
                let read = self.base(slot);
                fs::sig::read(move |path| faults.hit(slot).and_then(|()| read(path)))
            }
            ("signalpost.fs", "write") => {
                let slot = &fs::slots::write;
                let write = self.base(slot);
                fs::sig::write(move |path, contents| faults.hit(slot).and_then(|()| write(path, contents)))
            }
            ("signalpost.env", "var") => {
                let slot = &env::slots::var;
                let var = self.base(slot);
                env::sig::var(move |name| faults.hit(slot).map_err(no_variable).and_then(|()| var(name)))
            }
            _ => return None,
        })
    }

    /// What a function does where no fault is in the way.
    fn base<D, F>(&self, slot: &'static Slot<D, F>) -> Base<D>
    where
        D: ?Sized + Send + Sync + 'static,
        F: Copy + Send + Sync + 'static,
    {
        let state = self.lock();
        let under = state.under.iter().find(|under| under.item() == slot.name());
        match under.and_then(Replacement::get::<D, F>) {
            Some((under, _)) => Base::Under(under.clone()),
            None => Base::Original(slot.original()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for Faults {
    fn name(&self) -> &str {
        "faults"
    }

    fn implements(&self, target: &'static Module) -> Vec<ItemName> {
        let known = MODULES.iter().find(|module| module.name() == target.name());
        known.map_or_else(Vec::new, |module| module.slots().iter().map(|slot| slot.name().into()).collect())
    }

    fn make(&self, target: &'static Module, item: &str) -> Option<Replacement> {
        self.replacement(target, item)
    }
}

/// What is under the faults.
enum Base<D: ?Sized + 'static> {
    Original(&'static D),
    Under(Arc<D>),
}

impl<D: ?Sized> Deref for Base<D> {
    type Target = D;

    fn deref(&self) -> &D {
        match self {
            Self::Original(original) => original,
            Self::Under(under) => under,
        }
    }
}

/// What comes nearest for a variable: it is not there, or, of invalid data, it is no text.
fn no_variable(error: io::Error) -> VarError {
    match error.kind() {
        io::ErrorKind::InvalidData => VarError::NotUnicode(error.to_string().into()),
        _ => VarError::NotPresent,
    }
}

impl State {
    fn place(&self, name: PointName<'_>) -> Result<usize, FaultError> {
        self.points.iter().position(|point| point.name() == name).ok_or_else(|| self.unknown(name))
    }

    fn unknown(&self, name: PointName<'_>) -> FaultError {
        let known = self.points.iter().map(|point| point.name().to_string()).collect();
        FaultError::UnknownPoint { point: name.to_string(), known }
    }
}

impl Point {
    fn new(PointName { module, item }: PointName<'_>) -> Self {
        Self {
            module: module.to_owned(),
            item: item.to_owned(),
            counts: FaultCounts::default(),
            faults: Vec::new(),
        }
    }

    fn name(&self) -> PointName<'_> {
        PointName { module: &self.module, item: &self.item }
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        let points = state.points.iter();
        let points = points.filter(|point| point.counts.calls > 0 || !point.faults.is_empty());
        let faults =
            |point: &Point| point.faults.iter().map(|injected| injected.fault.clone()).collect::<Vec<_>>();
        f.write_str("Faults ")?;
        f.debug_map()
            .entries(points.map(|point| (point.name().to_string(), (point.counts, faults(point)))))
            .finish()
    }
}
