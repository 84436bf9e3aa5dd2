//! The classes of a case as Rust types.
//!
//! Owns 65 types of events and as many families: one of each for `object` and for up to 64 classes of a case. What a number
//! stands for differs from case to case, so the families of an event are read from what the thread's case says. That is a liberty
//! that no event outside a test may take: it holds here since a case has a bus and a thread of its own.

use signalpost::{
    AnyEvent, Bus, BusStop, Event, Family, FamilyVisitor, Stopped, SubscribeOptions, Subscription,
};
use std::cell::RefCell;

/// The number of `object`, and how many classes there may be besides.
pub(crate) const OBJECT: usize = 64;

thread_local! {
    /// The families of each class, most specific first.
    static LINES: RefCell<Vec<Vec<usize>>> = const { RefCell::new(Vec::new()) };
}

/// Sets what the numbers stand for on this thread, until it is dropped.
pub(crate) struct Lines(());

impl Lines {
    pub(crate) fn set(lines: Vec<Vec<usize>>) -> Self {
        let before = LINES.replace(lines);
        assert!(before.is_empty(), "one case at a time on a thread");
        Self(())
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        LINES.take();
    }
}

/// An event of the class with that number.
pub(crate) struct CaseEvent<const N: usize> {
    label: String,
}

/// The family of the class with that number.
pub(crate) enum CaseFamily<const N: usize> {}

/// What handlers see of an event.
pub(crate) trait Labelled {
    fn label(&self) -> &str;
}

impl<const N: usize> Labelled for CaseEvent<N> {
    fn label(&self) -> &str {
        &self.label
    }
}

impl<const N: usize> Family for CaseFamily<N> {
    const NAME: &'static str = NAMES[N];
    type View = dyn Labelled;
}

impl<const N: usize> Event for CaseEvent<N> {
    const NAME: &'static str = NAMES[N];
    type Stop = BusStop;

    fn families<V: FamilyVisitor<Self>>(visitor: V) -> V {
        let line = LINES.with_borrow(|lines| lines[N].clone());
        line.into_iter().fold(visitor, declare::<N, V>)
    }
}

/// What a subscriber or a handler of a case does: it is told the event's label.
pub(crate) type Body = Box<dyn Fn(&str) -> Result<(), BusStop> + Send + Sync>;

/// How an event comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Bus,
    Topic,
    Any,
}

/// What is done with the class of one number.
pub(crate) struct Class {
    pub(crate) subscribe_topic: fn(&Bus, SubscribeOptions, Body) -> Subscription,
    pub(crate) subscribe_family: fn(&Bus, SubscribeOptions, Body) -> Subscription,
    pub(crate) publish: fn(&Bus, Door, &str) -> Result<(), Stopped<BusStop>>,
    label: for<'e> fn(&'e dyn AnyEvent) -> Option<&'e str>,
}

impl Class {
    const fn of<const N: usize>() -> Self {
        Self {
            subscribe_topic: |bus, options, body| {
                bus.topic::<CaseEvent<N>>().subscribe_with(options, move |event| body(event.label()))
            },
            subscribe_family: |bus, options, body| {
                bus.family::<CaseFamily<N>>().subscribe_with(options, move |event| body(event.label()))
            },
            publish: |bus, door, label| {
                let event = CaseEvent::<N> { label: label.into() };
                match door {
                    Door::Bus => bus.publish(&event),
                    Door::Topic => bus.topic().publish(&event),
                    Door::Any => bus.publish_any(&event),
                }
            },
            label: |event| event.downcast_ref::<CaseEvent<N>>().map(Labelled::label),
        }
    }
}

/// The name of the type, and of the family, of a class.
pub(crate) fn name(number: usize) -> &'static str {
    NAMES[number]
}

/// The label of an event of any of the classes.
pub(crate) fn label(event: &dyn AnyEvent) -> &str {
    let number = NAMES.iter().position(|name| *name == event.name());
    let label = number.and_then(|number| (CLASSES[number].label)(event));
    label.expect("an event of a case, whose name says which type it is")
}

/// A class comes after its bases, so its families have numbers up to its own, or that of `object`. That keeps half of all pairs
/// of an event and a family from being compiled.
const fn may_declare(event: usize, family: usize) -> bool {
    family <= event || family == OBJECT
}

macro_rules! numbered {
    ($($n:literal)*) => {
        const NAMES: [&str; OBJECT + 1] = [$(concat!("case.", $n)),*];

        /// By number.
        pub(crate) static CLASSES: [Class; OBJECT + 1] = [$(Class::of::<$n>()),*];

        fn declare<const N: usize, V: FamilyVisitor<CaseEvent<N>>>(visitor: V, family: usize) -> V {
            match family {
                $($n if const { may_declare(N, $n) } => visitor.visit::<CaseFamily<$n>>(|event| event),)*
                _ => unreachable!("bases come before what has them"),
            }
        }
    };
}

numbered! {
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
    32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63
    64
}
