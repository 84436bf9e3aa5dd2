//! `left_right`: two copies of the list; publishers walk the one, the writer changes the other, and they swap.

use super::{List, one_more, remove, walk};
use crate::{
    path::{DispatchPath, Publisher},
    scenario::{Crowd, SharedSubscriber, Tick},
};
use left_right::{Absorb, ReadHandle, ReadHandleFactory, WriteHandle};
use std::sync::{Mutex, PoisonError};

/// What is done to one copy, and later to the other.
pub(crate) enum Edit {
    Join(SharedSubscriber<Tick>),
    Leave(SharedSubscriber<Tick>),
}

/// One copy.
#[derive(Clone)]
pub(crate) struct Copied(List);

impl Absorb<Edit> for Copied {
    fn absorb_first(&mut self, edit: &mut Edit, _: &Self) {
        match edit {
            Edit::Join(subscriber) => self.0.push(subscriber.clone()),
            Edit::Leave(subscriber) => remove(&mut self.0, subscriber),
        }
    }

    fn sync_with(&mut self, first: &Self) {
        self.0.clone_from(&first.0);
    }
}

/// The writer behind a lock, and where publishers get their handles.
pub(crate) struct LeftRight {
    writer: Mutex<WriteHandle<Copied, Edit>>,
    readers: ReadHandleFactory<Copied>,
}

impl DispatchPath for LeftRight {
    type Event = Tick;
    type Publisher<'p> = ReadHandle<Copied>;

    fn with(crowd: impl Crowd<Tick>) -> Self {
        let (mut writer, reader) = left_right::new_from_empty(Copied(crowd.shared()));
        writer.publish();
        Self { writer: Mutex::new(writer), readers: reader.factory() }
    }

    fn publisher(&self) -> ReadHandle<Copied> {
        self.readers.handle()
    }

    fn change(&self, salt: u64) -> bool {
        let subscriber = one_more(salt);
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.append(Edit::Join(subscriber.clone())).publish();
        writer.append(Edit::Leave(subscriber)).publish();
        true
    }
}

impl Publisher<Tick> for ReadHandle<Copied> {
    #[inline(always)]
    fn publish(&mut self, event: &'static Tick) -> bool {
        self.enter().is_none_or(|list| walk(&list.0, event))
    }
}
