#![doc = include_str!("../README.md")]

pub use signalpost_core as core;
pub use signalpost_core::{
    Barrier, Lent, Shape, Stats, SubscriberId, SubscriberName, TooDeep, WaitError, stats, warm_up,
};
pub use signalpost_dispatch::{
    BoxError, Dispatcher, Edit, Outcome, PublishError, Scope, ScopeError, ScopedSubscription, Stopped,
    SubscribeOptions, SubscriberInfo, Subscription, SubscriptionSet, Undone,
};
