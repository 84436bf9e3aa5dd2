//! What stops an event of a [`Bus`](crate::Bus): a veto, or a failure.
//!
//! Owns what becomes of a stop where an event's own type cannot say it: a veto that comes too late is a failure that names
//! who tried.

use crate::error::BoxError;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// "Do not do it", and why. Means something before the fact only: see [`EventStop`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Veto {
    /// For people.
    pub reason: Cow<'static, str>,
}

impl Veto {
    /// A veto with its reason.
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reason: reason.into() }
    }
}

impl fmt::Display for Veto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vetoed: {}", self.reason)
    }
}

/// What a subscriber of many events stops one with; and what stops an event that may be vetoed.
///
/// `?` makes a failure of any error (of a boxed one, `.map_err(BusStop::fail)?` does). It is not an [`Error`] itself, which is what lets it be made of all of them.
///
/// # Examples
/// ```
/// use signalpost::{Bus, BusStop, event};
///
/// struct WillDelete { path: String }
/// event!(WillDelete: "files.will_delete", stop = BusStop);
///
/// let bus = Bus::new();
/// let _guard = bus.subscribe(|event| {
///     let Some(WillDelete { path }) = event.downcast_ref() else { return Ok(()) };
///     let depth: usize = path.matches('/').count().try_into()?; // a failure, if it fails
///     if depth < 2 { Err(BusStop::veto("too near the root")) } else { Ok(()) }
/// });
/// let stopped = bus.publish(&WillDelete { path: "/etc".into() }).unwrap_err();
/// assert_eq!(stopped.error.to_string(), "vetoed: too near the root");
/// ```
#[derive(Debug)]
pub enum BusStop {
    /// What the event announces is not to be done.
    Veto(Veto),
    /// Something went wrong.
    Fail(BoxError),
}

impl BusStop {
    /// A veto with its reason.
    pub fn veto(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Veto(Veto::new(reason))
    }

    /// A failure.
    pub fn fail(error: impl Into<BoxError>) -> Self {
        Self::Fail(error.into())
    }
}

impl fmt::Display for BusStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Veto(veto) => veto.fmt(f),
            Self::Fail(error) => error.fmt(f),
        }
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for BusStop {
    fn from(error: E) -> Self {
        Self::Fail(error.into())
    }
}

impl From<BusStop> for BoxError {
    /// The failure itself; of a veto, its text.
    fn from(stop: BusStop) -> Self {
        match stop {
            BusStop::Fail(error) => error,
            BusStop::Veto(veto) => veto.to_string().into(),
        }
    }
}

impl From<Veto> for BusStop {
    fn from(veto: Veto) -> Self {
        Self::Veto(veto)
    }
}

/// What stops one type of event, and how it goes together with a [`BusStop`], which is what subscribers of many types
/// return.
///
/// Of use as it is: [`BusStop`], where a veto means something; [`BoxError`], where it comes too late. For a type of your own
/// say what becomes of a veto.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be what stops an event of a bus",
    note = "a subscriber of every event may fail, and that must find a place in it: use `BusStop`, `BoxError`, or implement \
            `EventStop`"
)]
pub trait EventStop: Sized + 'static {
    /// The stop of a subscriber or plugin that knew the event only as one of many; `by` shows who that was.
    fn from_bus(stop: BusStop, by: &dyn fmt::Display) -> Self;

    /// The same for those who know the event only as one of many: a host, a recorder.
    fn into_bus(self) -> BusStop;

    /// Whether it is a veto, for those who may look but not take: a recorder. Provided: it is none.
    fn is_veto(&self) -> bool {
        false
    }

    /// Its text, likewise. Provided: the name of the type.
    fn describe(&self) -> String {
        std::any::type_name::<Self>().to_owned()
    }
}

impl EventStop for BusStop {
    fn from_bus(stop: BusStop, _: &dyn fmt::Display) -> Self {
        stop
    }

    fn into_bus(self) -> BusStop {
        self
    }

    fn is_veto(&self) -> bool {
        matches!(self, Self::Veto(_))
    }

    fn describe(&self) -> String {
        self.to_string()
    }
}

impl EventStop for BoxError {
    /// A veto becomes a [`LateVeto`].
    fn from_bus(stop: BusStop, by: &dyn fmt::Display) -> Self {
        match stop {
            BusStop::Veto(veto) => LateVeto { veto, by: by.to_string() }.into(),
            BusStop::Fail(error) => error,
        }
    }

    fn into_bus(self) -> BusStop {
        BusStop::Fail(self)
    }

    fn describe(&self) -> String {
        self.to_string()
    }
}

/// A subscriber vetoed what had happened already.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LateVeto {
    /// The veto.
    pub veto: Veto,
    /// Who it was, for people.
    pub by: String,
}

impl fmt::Display for LateVeto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { veto: Veto { reason }, by } = self;
        write!(f, "{by} vetoed an event that tells of what has been done, which is a failure: {reason}")
    }
}

impl Error for LateVeto {}
