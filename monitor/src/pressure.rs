//! How much of the time is lost to waiting for memory, as Linux measures it (PSI).
//!
//! Owns the reading and its threshold. Not here: how much memory there is; a machine can be full and not wait, and the other way round.

use crate::memory_error::MemoryError;
use crate::monitor::Hub;
use signalpost_dispatch::{BoxError, Bus, Stopped, event};
use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Memory is so short that programs wait for it.
///
/// Shares are per cent of the time, over 10, 60 and 300 seconds: `some` is when at least one task waited, `full` when all did
/// that were not idle.
///
/// # Examples
/// ```
/// use signalpost::monitor::MemoryPressure;
/// let text = "some avg10=12.50 avg60=3.00 avg300=0.80 total=4000000\n\
///             full avg10=2.00 avg60=0.50 avg300=0.10 total=900000\n";
/// let pressure: MemoryPressure = text.parse()?;
/// assert_eq!((pressure.some_avg10, pressure.full_avg10), (12.5, 2.0));
/// # Ok::<(), signalpost::monitor::MemoryError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct MemoryPressure {
    /// `some`, over 10 seconds.
    pub some_avg10: f64,
    /// `some`, over 60 seconds.
    pub some_avg60: f64,
    /// `some`, over 300 seconds.
    pub some_avg300: f64,
    /// `some`, in all.
    pub some_total: Duration,
    /// `full`, over 10 seconds.
    pub full_avg10: f64,
    /// `full`, over 60 seconds.
    pub full_avg60: f64,
    /// `full`, over 300 seconds.
    pub full_avg300: f64,
    /// `full`, in all.
    pub full_total: Duration,
    /// What `some_avg10` was held against; 0 unless a [`PressureWatch`] made it.
    pub threshold: f64,
}

event!(MemoryPressure: "signalpost.monitor.memory_pressure");

const SYSTEM: &str = "/proc/pressure/memory";
const FORM: &str = "lines `some avg10=N avg60=N avg300=N total=N` and `full …`";

impl std::str::FromStr for MemoryPressure {
    type Err = MemoryError;

    fn from_str(text: &str) -> Result<Self, MemoryError> {
        let line = |kind: &str| {
            let words = text.lines().find_map(|line| line.strip_prefix(kind))?.split_whitespace();
            let mut numbers = [None; 4];
            for word in words {
                let (key, number) = word.split_once('=')?;
                if let Some(place) =
                    ["avg10", "avg60", "avg300", "total"].iter().position(|known| *known == key)
                {
                    numbers[place] = Some(number.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0)?);
                }
            }
            let [avg10, avg60, avg300, total] = numbers;
            Some((avg10?, avg60?, avg300?, Duration::from_micros(total? as u64)))
        };
        match (line("some "), line("full ")) {
            (Some(some), Some(full)) => Ok(Self {
                some_avg10: some.0,
                some_avg60: some.1,
                some_avg300: some.2,
                some_total: some.3,
                full_avg10: full.0,
                full_avg60: full.1,
                full_avg300: full.2,
                full_total: full.3,
                threshold: 0.0,
            }),
            _ => Err(MemoryError::malformed(SYSTEM, FORM, text)),
        }
    }
}

/// Publishes [`MemoryPressure`] when `some_avg10` reaches a threshold, and again only after it has been below half of that.
///
/// Starts no thread: whoever checks it also says when; more often than the kernel's own 2 seconds tells nothing new. A check costs one
/// open and read of a file, about 9 µs. Needs Linux 4.20, built and started with PSI.
///
/// # Examples
/// ```
/// use signalpost::Bus;
/// use signalpost::monitor::PressureWatch;
///
/// match PressureWatch::new(10.0) {
///     Ok(mut watch) => println!("pressure now: {:?}", watch.check(&Bus::new())?),
///     Err(error) => println!("no pressure here: {error}"),
/// }
/// # Ok::<(), signalpost::monitor::PressureError>(())
/// ```
#[derive(Debug)]
pub struct PressureWatch {
    path: PathBuf,
    threshold: f64,
    /// Published, and not below half since.
    told: bool,
}

impl PressureWatch {
    /// Of the whole machine; the threshold in per cent of the time.
    ///
    /// # Errors
    /// [`PressureError::Threshold`]; [`PressureError::Absent`] if the kernel does not measure it, or this is not Linux.
    pub fn new(threshold: f64) -> Result<Self, PressureError> {
        Self::of_file(SYSTEM, threshold)
    }

    /// Of a file in the kernel's form: a cgroup's `memory.pressure`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of_file(path: impl Into<PathBuf>, threshold: f64) -> Result<Self, PressureError> {
        if !(threshold > 0.0 && threshold <= 100.0) {
            return Err(PressureError::Threshold(threshold));
        }
        let watch = Self { path: path.into(), threshold, told: false };
        watch.read()?;
        Ok(watch)
    }

    fn read(&self) -> Result<MemoryPressure, PressureError> {
        let path = &self.path;
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            // EOPNOTSUPP: built in, but off unless asked for at boot.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::Unsupported) => {
                return Err(PressureError::Absent { path: path.clone(), error });
            }
            Err(error) => return Err(MemoryError::Unreadable { path: path.clone(), error }.into()),
        };
        let mut pressure: MemoryPressure =
            text.parse().map_err(|_| MemoryError::malformed(path, FORM, &text))?;
        pressure.threshold = self.threshold;
        Ok(pressure)
    }

    /// Reads, and publishes if there is something to say: that is then given too, and nothing otherwise.
    ///
    /// # Errors
    /// If it cannot be read any more, or a subscriber stopped the event, which is not published again.
    ///
    /// # Panics
    /// If a subscriber does.
    pub fn check(&mut self, bus: &Bus) -> Result<Option<MemoryPressure>, PressureError> {
        let pressure = self.read()?;
        if pressure.some_avg10 < self.threshold {
            self.told &= pressure.some_avg10 >= self.threshold / 2.0;
            return Ok(None);
        }
        if self.told {
            return Ok(None);
        }
        self.told = true;
        bus.publish(&pressure)?;
        Ok(Some(pressure))
    }

    /// As a function for a [`Monitor`](crate::Monitor), as [`MemoryWatch::into_function`](crate::MemoryWatch::into_function).
    pub fn into_function(mut self) -> impl FnMut(&Hub) -> Result<(), BoxError> + Send + 'static {
        move |hub| Ok(self.check(hub.bus()).map(drop)?)
    }
}

/// Pressure could not be checked.
#[derive(Debug)]
#[non_exhaustive]
pub enum PressureError {
    /// The kernel does not measure it.
    Absent {
        /// The file that is not there.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// The threshold is no share of the time in per cent: above 0 and at most 100.
    Threshold(f64),
    /// It could not be read, or not be understood.
    Unreadable(MemoryError),
    /// A subscriber stopped the event.
    Stopped(Stopped<BoxError>),
}

impl From<MemoryError> for PressureError {
    fn from(error: MemoryError) -> Self {
        Self::Unreadable(error)
    }
}

impl From<Stopped<BoxError>> for PressureError {
    fn from(stopped: Stopped<BoxError>) -> Self {
        Self::Stopped(stopped)
    }
}

impl fmt::Display for PressureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent { path, error } => write!(
                f,
                "{}: {error}; memory pressure needs Linux 4.20 with CONFIG_PSI, and `psi=1` if that is off by default",
                path.display()
            ),
            Self::Threshold(found) => {
                write!(f, "expected a threshold above 0 and at most 100 per cent, found {found}")
            }
            Self::Unreadable(error) => error.fmt(f),
            Self::Stopped(stopped) => stopped.fmt(f),
        }
    }
}

impl Error for PressureError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Absent { error, .. } => Some(error),
            Self::Threshold(_) => None,
            Self::Unreadable(error) => Some(error),
            Self::Stopped(stopped) => Some(stopped),
        }
    }
}
