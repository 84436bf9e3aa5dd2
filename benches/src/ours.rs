//! signalpost as a dispatch path: a dispatcher of the default kind, used as its users do.

use crate::{
    path::{DispatchPath, Publisher},
    scenario::{Answer, Crowd, Event, Register, subscriber},
};
use signalpost::{BoxError, Dispatcher, Edit};

/// A dispatcher whose subscriptions are kept as long as it.
pub(crate) struct Signalpost<E: Event>(Dispatcher<E>);

impl<E: Event> Signalpost<E> {
    /// The dispatcher itself.
    pub(crate) const fn dispatcher(&self) -> &Dispatcher<E> {
        &self.0
    }
}

/// Registers in one edit, so that 100,000 subscribers cost one swap.
struct Enrol<'a, 'e, E: Event>(&'a mut Edit<'e, E, BoxError>, usize);

impl<E: Event> Register<E> for Enrol<'_, '_, E> {
    fn register<F>(&mut self, subscriber: F)
    where
        F: Fn(&E) -> Answer + Send + Sync + 'static,
    {
        self.0.subscribe(subscriber).detach();
        self.1 += 1;
    }
}

impl<E: Event> DispatchPath for Signalpost<E> {
    type Event = E;
    type Publisher<'p> = &'p Dispatcher<E>;

    fn with(crowd: impl Crowd<E>) -> Self {
        let dispatcher = Dispatcher::new();
        let registered = dispatcher.edit(|edit| {
            let mut enrol = Enrol(edit, 0);
            crowd.register_in(&mut enrol);
            enrol.1
        });
        assert_eq!(dispatcher.len(), registered, "what is timed is what was asked for");
        Self(dispatcher)
    }

    fn publisher(&self) -> Self::Publisher<'_> {
        &self.0
    }

    fn change(&self, salt: u64) -> bool {
        drop(self.0.subscribe(subscriber(salt)));
        true
    }
}

impl<E: Event> Publisher<E> for &Dispatcher<E> {
    #[inline(always)]
    fn publish(&mut self, event: &'static E) -> bool {
        Dispatcher::publish(self, event).is_ok()
    }
}
