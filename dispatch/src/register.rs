//! How a closure becomes an entry: plain, once, or tied to a target.
//!
//! Owns what a subscriber that ends by itself does when it is called. Its flag lives in its own block, so no write is
//! needed on the publishing thread; the next write sweeps it out of the list.

use crate::options::SubscribeOptions;
use crate::outcome::Outcome;
use crate::registry::{Listed, Registry};
use crate::subscription::Subscription;
use crate::walk::{Call, say};
use signalpost_core::{About, Anchor, Change, Ended, Life, Newcomer, SharedCell, Subscribers};
use std::panic::Location;
use std::sync::{Arc, Weak};

/// A subscriber that is not yet in a list.
pub(crate) struct New {
    pub(crate) subscribe: Change,
    pub(crate) anchor: Anchor,
}

/// A list that subscribers come into.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    /// Which of its cell's.
    pub(crate) channel: u32,
    /// Told of those that end by themselves.
    pub(crate) ended: Ended,
}

/// The one list of a dispatcher.
pub(crate) fn list_of<E: ?Sized, X>(cell: &SharedCell<Subscribers<E, X>>) -> Listing {
    Listing { channel: 0, ended: cell.context().clone() }
}

/// Registers a subscriber: the last change of the record. The handle is made first: nothing that follows can lose it.
pub(crate) fn register<T: Listed>(
    cell: &Arc<SharedCell<T>>,
    mut record: Vec<Change>,
    new: New,
) -> Subscription {
    let registry: Weak<dyn Registry> = Arc::<SharedCell<T>>::downgrade(cell);
    let subscription = Subscription::new(registry, new.anchor);
    record.push(new.subscribe);
    make(&**cell, record);
    subscription
}

/// Makes changes as one swap. Where subscribers are added that do not end by themselves, and that is all, it runs nobody's
/// destructor.
pub(crate) fn make(registry: &dyn Registry, record: Vec<Change>) {
    if record.is_empty() {
        return;
    }
    let plain = |change: &_| matches!(change, Change::Subscribe(newcomer) if !newcomer.is_self_ending());
    let only_adds = record.iter().all(plain);
    registry.apply(record);
    if only_adds {
        registry.trim();
    } else {
        registry.collect();
    }
}

impl New {
    /// Runs at every publish, or for one event.
    pub(crate) fn closure<E, X, F, R>(
        list: Listing,
        options: SubscribeOptions,
        location: &'static Location<'static>,
        f: F,
    ) -> Self
    where
        E: ?Sized + 'static,
        X: 'static,
        F: Fn(&E) -> R + Send + Sync + 'static,
        R: Outcome<X>,
    {
        let Listing { channel, ended } = list;
        if options.once {
            let f = move |life: &Life, event: &E| {
                let undo = say(Call::Run) == Call::Undo;
                if undo || ended.end(life) { ran(f(event).into_result()) } else { skipped() }
            };
            Self::entry(channel, options, location, true, f)
        } else {
            Self::entry(channel, options, location, false, move |_, event: &E| f(event).into_result())
        }
    }

    /// Runs while its target lives, and is given it.
    pub(crate) fn weak<E, X, T, F, R>(
        list: Listing,
        options: SubscribeOptions,
        location: &'static Location<'static>,
        target: Weak<T>,
        f: F,
    ) -> Self
    where
        E: ?Sized + 'static,
        X: 'static,
        T: ?Sized + Send + Sync + 'static,
        F: Fn(&T, &E) -> R + Send + Sync + 'static,
        R: Outcome<X>,
    {
        let Listing { channel, ended } = list;
        let once = options.once;
        let f = move |life: &Life, event: &E| {
            let undo = say(Call::Run) == Call::Undo;
            let Some(target) = target.upgrade() else {
                ended.end(life);
                return skipped();
            };
            if undo || if once { ended.end(life) } else { !life.is_over() } {
                ran(f(&target, event).into_result())
            } else {
                skipped()
            }
        };
        Self::entry(channel, options, location, true, f)
    }

    fn entry<E: ?Sized + 'static, X: 'static>(
        channel: u32,
        options: SubscribeOptions,
        location: &'static Location<'static>,
        self_ending: bool,
        f: impl Fn(&Life, &E) -> Result<(), X> + Send + Sync + 'static,
    ) -> Self {
        let SubscribeOptions { priority, name, paused, .. } = options;
        let about = About { channel, priority, name, location, paused, self_ending };
        let (newcomer, anchor) = Newcomer::new(about, f);
        Self { subscribe: Change::Subscribe(newcomer), anchor }
    }
}

fn ran<X>(result: Result<(), X>) -> Result<(), X> {
    say(Call::Run);
    result
}

fn skipped<X>() -> Result<(), X> {
    say(Call::Skipped);
    Ok(())
}
