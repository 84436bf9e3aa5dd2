//! Where to publish, for those who do it over a long time: a monitor, a patcher.

use super::Bus;
use super::global::bus;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A bus that lives as long as it is needed: a `&'static Bus`, an `Arc<Bus>`, or the process-wide one (the default).
#[derive(Clone, Default)]
pub struct BusRef(Which);

#[derive(Clone, Default)]
enum Which {
    #[default]
    Process,
    Static(&'static Bus),
    Shared(Arc<Bus>),
}

impl From<&'static Bus> for BusRef {
    fn from(bus: &'static Bus) -> Self {
        Self(Which::Static(bus))
    }
}

impl From<Arc<Bus>> for BusRef {
    fn from(bus: Arc<Bus>) -> Self {
        Self(Which::Shared(bus))
    }
}

impl Deref for BusRef {
    type Target = Bus;

    fn deref(&self) -> &Bus {
        match &self.0 {
            Which::Process => bus(),
            Which::Static(bus) => bus,
            Which::Shared(bus) => bus,
        }
    }
}

impl fmt::Debug for BusRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Which::Process => f.write_str("BusRef(process-wide)"), // not made for this
            Which::Static(bus) => bus.fmt(f),
            Which::Shared(bus) => bus.fmt(f),
        }
    }
}
