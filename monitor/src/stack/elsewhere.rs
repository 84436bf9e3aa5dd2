//! Where there is no capture: each is answered so.

use super::trace::{Frame, Place};
use super::{Capture, CaptureError, CaptureMode, Probe};
use std::time::Duration;

/// A file that is loaded: never found here.
pub(super) enum Module {}

/// Addresses, and nothing else.
pub(super) fn frames(places: &[Place]) -> Vec<Frame> {
    places.iter().map(|place| Frame { address: place.address, ..Frame::default() }).collect()
}

/// Addresses, and nothing else.
#[cfg(feature = "dwarf")]
pub(super) fn frames_with_lines(places: &[Place]) -> Vec<Frame> {
    frames(places)
}

/// A thread whose stack could be asked for.
#[derive(Clone, Debug)]
pub struct Target(());

impl Target {
    /// The calling thread.
    pub fn current() -> Self {
        Self(())
    }

    /// The kernel's number for it; 0: it is not known.
    pub fn id(&self) -> u32 {
        0
    }
}

/// Takes no stacks.
#[derive(Debug)]
pub struct Capturer(CaptureMode);

impl Capturer {
    /// Never fails; what is wrong is said at each capture.
    pub fn new(mode: CaptureMode, _signal: Option<i32>) -> Self {
        Self(mode)
    }

    /// All settings can be, since none has a meaning.
    pub fn check(_mode: CaptureMode, _signal: Option<i32>) -> Result<(), &'static str> {
        Ok(())
    }

    /// Says why not.
    pub fn request(&mut self, _target: &Target, _probe: Option<Probe>) -> Result<(), CaptureError> {
        match self.0 {
            CaptureMode::Off => Err(CaptureError::Off),
            CaptureMode::Signal | CaptureMode::Ptrace | CaptureMode::Passive => {
                Err(CaptureError::Unsupported)
            }
        }
    }

    /// Nothing was asked.
    pub fn answer(&mut self, _patience: Duration) -> Option<Result<Capture, CaptureError>> {
        None
    }

    /// Nothing was asked.
    pub fn cancel(&mut self) {}

    /// Says why not.
    pub fn capture(
        &mut self,
        target: &Target,
        probe: Option<Probe>,
        _patience: Duration,
    ) -> Result<Capture, CaptureError> {
        Err(self.request(target, probe).err().unwrap_or(CaptureError::Unsupported))
    }
}
