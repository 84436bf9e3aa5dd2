//! How a closure becomes an entry: plain, once, or tied to a target.
//!
//! Owns what a subscriber that ends by itself does when it is called. Its flag lives in its own block, so no write is
//! needed on the publishing thread; the next write sweeps it out of the list.

use crate::options::SubscribeOptions;
use crate::outcome::Outcome;
use crate::walk::{Call, say};
use signalpost_core::{About, Anchor, Life, Newcomer, Recorded, SharedCell, Subscribers};
use std::panic::Location;
use std::sync::Weak;

/// A subscriber that is not yet in a list.
pub(crate) struct New<E: ?Sized + 'static, X: 'static> {
    pub(crate) subscribe: Recorded<E, X>,
    pub(crate) anchor: Anchor,
}

impl<E: ?Sized + 'static, X: 'static> New<E, X> {
    /// Runs at every publish, or for one event.
    pub(crate) fn closure<F, R>(
        cell: &SharedCell<Subscribers<E, X>>,
        options: SubscribeOptions,
        location: &'static Location<'static>,
        f: F,
    ) -> Self
    where
        F: Fn(&E) -> R + Send + Sync + 'static,
        R: Outcome<X>,
    {
        if options.once {
            let ended = cell.context().clone();
            let f = move |life: &Life, event: &E| {
                let undo = say(Call::Run) == Call::Undo;
                if undo || ended.end(life) { ran(f(event).into_result()) } else { skipped() }
            };
            Self::entry(options, location, true, f)
        } else {
            Self::entry(options, location, false, move |_, event| f(event).into_result())
        }
    }

    /// Runs while its target lives, and is given it.
    pub(crate) fn weak<T, F, R>(
        cell: &SharedCell<Subscribers<E, X>>,
        options: SubscribeOptions,
        location: &'static Location<'static>,
        target: Weak<T>,
        f: F,
    ) -> Self
    where
        T: ?Sized + Send + Sync + 'static,
        F: Fn(&T, &E) -> R + Send + Sync + 'static,
        R: Outcome<X>,
    {
        let ended = cell.context().clone();
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
        Self::entry(options, location, true, f)
    }

    fn entry(
        options: SubscribeOptions,
        location: &'static Location<'static>,
        self_ending: bool,
        f: impl Fn(&Life, &E) -> Result<(), X> + Send + Sync + 'static,
    ) -> Self {
        let SubscribeOptions { priority, name, paused, .. } = options;
        let (newcomer, anchor) = Newcomer::new(About { priority, name, location, paused, self_ending }, f);
        Self { subscribe: Recorded::Subscribe(newcomer), anchor }
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
