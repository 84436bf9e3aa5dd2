//! What every dispatch path is asked to do: the same event, the same subscribers.
//!
//! Owns the events, the subscribers' work and how many of which type there are.
//! Not here: how a path keeps them (`ours.rs`, `baseline.rs`) or how they are timed (`harness.rs`).
//!
//! A subscriber reads the event and one captured word and hands the result to `black_box`: too
//! little to hide the cost of getting there, too much to be optimised away. It writes no shared
//! memory, or two publishers would wait for each other in the subscriber and not in the path.
//!
//! The mixed scenario has an event type of its own, so that its loops are compiled apart. A
//! processor treats an indirect call that has ever gone to several places differently from then on
//! (seen: 2.0 ns a call in place of 1.5), and the mixed rounds would slow those with one type in
//! the same loop. The two events differ in size, or the compiler may find the loops equal and merge
//! them.

use std::{fmt, hint::black_box, sync::Arc};

/// An event of the lab.
pub trait Event: fmt::Debug + Sync + 'static {
    /// The one event of a measurement. Static because `signals2` takes its arguments by value.
    const EVENT: &'static Self;

    /// What a subscriber reads.
    fn value(&self) -> u64;
}

/// Published to subscribers of one closure type; one word, to keep its own cost out.
#[derive(Debug)]
pub struct Tick {
    value: u64,
}

impl Tick {
    /// With this value: for who is given the value and not the event.
    pub(crate) const fn of(value: u64) -> Self {
        Self { value }
    }
}

impl Event for Tick {
    const EVENT: &'static Self = &Self { value: 0x9E37_79B9_7F4A_7C15 };

    #[inline]
    fn value(&self) -> u64 {
        self.value
    }
}

/// Published to subscribers of four closure types; read like a [`Tick`].
#[derive(Debug)]
pub struct MixedTick {
    value: u64,
    _size: u64,
}

impl Event for MixedTick {
    const EVENT: &'static Self = &Self { value: 0x9E37_79B9_7F4A_7C15, _size: 0 };

    #[inline]
    fn value(&self) -> u64 {
        self.value
    }
}

/// What a subscriber returns: nothing, or what stops the event. The dispatcher's own default type.
pub type Answer = Result<(), signalpost::BoxError>;

/// A subscriber as the baselines keep it.
pub type SharedSubscriber<E> = Arc<dyn Fn(&E) -> Answer + Send + Sync>;

/// The subscriber of every path but the mixed ones: one closure type, one captured word.
pub fn subscriber<E: Event>(salt: u64) -> impl Fn(&E) -> Answer + Send + Sync + 'static {
    move |event: &E| {
        black_box(event.value() ^ salt);
        Ok(())
    }
}

/// Takes subscribers in, whatever their closure type.
pub trait Register<E> {
    /// Adds one subscriber after those already there.
    fn register<F>(&mut self, subscriber: F)
    where
        F: Fn(&E) -> Answer + Send + Sync + 'static;
}

impl<E: 'static> Register<E> for Vec<SharedSubscriber<E>> {
    fn register<F>(&mut self, subscriber: F)
    where
        F: Fn(&E) -> Answer + Send + Sync + 'static,
    {
        self.push(Arc::new(subscriber));
    }
}

/// Some subscribers that can register themselves anywhere.
pub trait Crowd<E: Event> {
    /// Registers all of them, in order.
    fn register_in(self, to: &mut impl Register<E>);

    /// All of them as the baselines keep them.
    fn shared(self) -> Vec<SharedSubscriber<E>>
    where
        Self: Sized,
    {
        let mut subscribers = Vec::new();
        self.register_in(&mut subscribers);
        subscribers
    }
}

/// So many subscribers of one closure type: the processor soon knows where each call goes.
#[derive(Clone, Copy, Debug)]
pub struct Same(pub usize);

impl<E: Event> Crowd<E> for Same {
    fn register_in(self, to: &mut impl Register<E>) {
        for salt in 0..self.0 as u64 {
            to.register(subscriber(salt));
        }
    }
}

/// So many subscribers of four closure types in turn: the call's target changes at every entry.
#[derive(Clone, Copy, Debug)]
pub struct Mixed(pub usize);

impl<E: Event> Crowd<E> for Mixed {
    fn register_in(self, to: &mut impl Register<E>) {
        for salt in 0..self.0 as u64 {
            match salt % 4 {
                0 => to.register(subscriber(salt)),
                1 => to.register(move |event: &E| {
                    black_box(event.value().wrapping_add(salt));
                    Ok(())
                }),
                2 => to.register(move |event: &E| {
                    black_box(event.value() & salt);
                    Ok(())
                }),
                _ => to.register(move |event: &E| {
                    black_box(event.value() | salt);
                    Ok(())
                }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{any::TypeId, collections::HashSet};

    #[test]
    fn a_crowd_has_as_many_subscribers_as_it_says_and_none_stops_the_event() {
        for subscribers in [Same(0).shared(), Same(5).shared(), Mixed(9).shared()] {
            assert!(subscribers.iter().all(|call| call(Tick::EVENT).is_ok()));
        }
        assert_eq!(Crowd::<Tick>::shared(Same(5)).len(), 5);
        assert_eq!(Crowd::<MixedTick>::shared(Mixed(9)).len(), 9);
    }

    #[test]
    fn a_mixed_crowd_has_four_closure_types_in_turn_and_a_plain_one_has_one() {
        struct Kinds(Vec<TypeId>);
        impl Register<Tick> for Kinds {
            fn register<F>(&mut self, _: F)
            where
                F: Fn(&Tick) -> Answer + Send + Sync + 'static,
            {
                self.0.push(TypeId::of::<F>());
            }
        }
        fn kinds(crowd: impl Crowd<Tick>) -> Vec<TypeId> {
            let mut kinds = Kinds(Vec::new());
            crowd.register_in(&mut kinds);
            kinds.0
        }
        let distinct = |kinds: &[TypeId]| kinds.iter().collect::<HashSet<_>>().len();
        assert_eq!(distinct(&kinds(Same(8))), 1);
        let mixed = kinds(Mixed(8));
        assert_eq!(distinct(&mixed), 4);
        assert_eq!(mixed[..4], mixed[4..]);
    }
}
