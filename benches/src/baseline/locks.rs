//! A list behind a lock that a publisher holds during its walk.

use super::{List, one_more, remove, walk};
use crate::{
    path::{DispatchPath, Publisher},
    scenario::{Crowd, Tick},
};
use std::sync::{Mutex, RwLock};

/// A path whose list is behind a lock of this type; `$read` and `$write` take the lock named before them.
macro_rules! locked {
    ($(#[$doc:meta])* $name:ident, $type:ty, |$lock:ident| $read:expr, $write:expr) => {
        $(#[$doc])*
        pub(crate) struct $name($type);

        impl DispatchPath for $name {
            type Event = Tick;
            type Publisher<'p> = &'p $type;

            fn with(crowd: impl Crowd<Tick>) -> Self {
                Self(<$type>::new(crowd.shared()))
            }

            fn publisher(&self) -> Self::Publisher<'_> {
                &self.0
            }

            fn change(&self, salt: u64) -> bool {
                let ($lock, subscriber) = (&self.0, one_more(salt));
                $write.push(subscriber.clone());
                remove(&mut $write, &subscriber);
                true
            }
        }

        impl Publisher<Tick> for &$type {
            #[inline(always)]
            fn publish(&mut self, event: &'static Tick) -> bool {
                let $lock = self;
                walk(&$read, event)
            }
        }
    };
}

const PANICKED: &str = "no subscriber panics";

locked!(
    /// `std::sync::RwLock`, as far as a publisher sees it.
    StdRwLock, RwLock<List>, |lock| lock.read().expect(PANICKED), lock.write().expect(PANICKED)
);

locked!(
    /// `parking_lot::RwLock`.
    ParkingLotRwLock, parking_lot::RwLock<List>, |lock| lock.read(), lock.write()
);

locked!(
    /// `std::sync::Mutex`.
    StdMutex, Mutex<List>, |lock| lock.lock().expect(PANICKED), lock.lock().expect(PANICKED)
);
