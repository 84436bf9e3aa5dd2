//! Lists behind a pointer that is replaced, held by counting.

use super::{List, joined, left, one_more, walk};
use crate::{
    path::{DispatchPath, Publisher},
    scenario::{Crowd, Tick},
};
use arc_swap::{ArcSwap, Cache};
use std::sync::Arc;

/// Registers one more and takes it out again: two new lists, each stored unless another writer was faster.
fn change(list: &ArcSwap<List>, salt: u64) {
    let subscriber = one_more(salt);
    list.rcu(|list| joined(list, &subscriber));
    list.rcu(|list| left(list, &subscriber));
}

/// `ArcSwap::load`: a guard for each publish.
pub(crate) struct ArcSwapGuard(ArcSwap<List>);

impl DispatchPath for ArcSwapGuard {
    type Event = Tick;
    type Publisher<'p> = &'p ArcSwap<List>;

    fn with(crowd: impl Crowd<Tick>) -> Self {
        Self(ArcSwap::from_pointee(crowd.shared()))
    }

    fn publisher(&self) -> Self::Publisher<'_> {
        &self.0
    }

    fn change(&self, salt: u64) -> bool {
        change(&self.0, salt);
        true
    }
}

impl Publisher<Tick> for &ArcSwap<List> {
    #[inline(always)]
    fn publish(&mut self, event: &'static Tick) -> bool {
        walk(&self.load(), event)
    }
}

/// `arc_swap::Cache`: a publisher's own `Arc`, checked against the shared one at each publish.
pub(crate) struct ArcSwapCache(ArcSwap<List>);

impl DispatchPath for ArcSwapCache {
    type Event = Tick;
    type Publisher<'p> = Cache<&'p ArcSwap<List>, Arc<List>>;

    fn with(crowd: impl Crowd<Tick>) -> Self {
        Self(ArcSwap::from_pointee(crowd.shared()))
    }

    fn publisher(&self) -> Self::Publisher<'_> {
        Cache::new(&self.0)
    }

    fn change(&self, salt: u64) -> bool {
        change(&self.0, salt);
        true
    }
}

impl Publisher<Tick> for Cache<&ArcSwap<List>, Arc<List>> {
    #[inline(always)]
    fn publish(&mut self, event: &'static Tick) -> bool {
        walk(self.load(), event)
    }
}
