//! What every public type is and can be asked: `Send`, `Sync`, `Unpin`, unwind safety, `Debug`.
//!
//! A change here is a change of the public interface.

mod common;

use common::Plain;
use signalpost::core::{Snapshot, SnapshotCell};
use signalpost::{
    Barrier, Dispatcher, Edit, Lent, PublishError, Scope, ScopeError, ScopedSubscription, Shape, Stats,
    Stopped, SubscribeOptions, SubscriberId, SubscriberInfo, SubscriberName, Subscription, SubscriptionSet,
    TooDeep, Undone, WaitError,
};
use std::cell::Cell;
use std::convert::Infallible;
use std::fmt::Debug;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;

/// Whether a type implements a trait: an inherent constant, where there is one, wins over a trait's.
macro_rules! implements {
    ($type:ty: $bound:path) => {{
        struct Probe<T: ?Sized>(std::marker::PhantomData<T>);
        #[allow(dead_code, reason = "only where the type does not implement it")]
        trait Otherwise {
            const YES: bool = false;
        }
        impl<T: ?Sized> Otherwise for Probe<T> {}
        #[allow(dead_code, reason = "only where it does")]
        impl<T: ?Sized + $bound> Probe<T> {
            const YES: bool = true;
        }
        <Probe<$type>>::YES
    }};
}

/// `Send`, `Sync`, `Unpin`, `UnwindSafe`, `RefUnwindSafe`, as 1s and 0s.
macro_rules! traits {
    ($type:ty) => {
        [
            implements!($type: Send),
            implements!($type: Sync),
            implements!($type: Unpin),
            implements!($type: UnwindSafe),
            implements!($type: RefUnwindSafe),
        ]
        .map(u8::from)
    };
}

/// An event, and an error, that may not leave its thread.
type Local = Rc<Cell<u32>>;

enum Lines {}
impl Shape for Lines {
    type View<'a> = &'a str;
}
enum Counts {}
impl Shape for Counts {
    type View<'a> = &'a Local;
}

#[derive(Debug, Default)]
struct Value(u32);
impl Snapshot for Value {
    type Context = ();
    type Part = ();
    fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

#[test]
fn the_probe_tells_yes_from_no() {
    assert_eq!(traits!(u32), [1, 1, 1, 1, 1]);
    assert_eq!(traits!(Local), [0, 0, 1, 0, 0]);
    assert_eq!(traits!(&mut u32), [1, 1, 1, 0, 1]);
    assert_eq!(traits!(std::marker::PhantomPinned), [1, 1, 0, 1, 1]);
}

#[test]
fn dispatchers_and_handles_are_shared_whatever_the_event_and_the_error_are() {
    assert_eq!(traits!(Dispatcher<u32>)[..3], [1, 1, 1]);
    assert_eq!(traits!(Dispatcher<Local, Local>)[..3], [1, 1, 1]);
    assert_eq!(traits!(Dispatcher<dyn Debug, Infallible>)[..3], [1, 1, 1]);
    assert_eq!(traits!(SnapshotCell<Value>)[..3], [1, 1, 1]);
    assert_eq!(traits!(Subscription)[..3], [1, 1, 1]);
    assert_eq!(traits!(SubscriptionSet)[..3], [1, 1, 1]);
}

#[test]
fn scopes_and_their_handles_may_be_used_by_other_threads() {
    assert_eq!(traits!(Scope<'static, 'static, Local, Local>)[..3], [1, 1, 1]);
    assert_eq!(traits!(ScopedSubscription<'static, Local, Local>)[..3], [1, 1, 1]);
}

#[test]
fn an_edit_is_a_writers_own_work() {
    assert_eq!(traits!(Edit<'static, Local, Local>)[..3], [1, 1, 1]);
}

#[test]
fn errors_are_as_free_as_what_they_carry() {
    assert_eq!(traits!(Stopped<u32>), [1, 1, 1, 1, 1]);
    assert_eq!(traits!(Undone<u32>), [1, 1, 1, 1, 1]);
    assert_eq!(traits!(PublishError<u32>), [1, 1, 1, 1, 1]);
    assert_eq!(traits!(Stopped<Local>)[..3], [0, 0, 1]);
    assert_eq!(traits!(Undone<Local>)[..3], [0, 0, 1]);
    assert_eq!(traits!(PublishError<Local>)[..3], [0, 0, 1]);
    assert_eq!([traits!(WaitError), traits!(ScopeError), traits!(TooDeep)], [[1; 5]; 3]);
}

#[test]
fn plain_values_are_free_and_copied() {
    assert_eq!(
        [
            traits!(SubscriberId),
            traits!(SubscriberName),
            traits!(SubscriberInfo),
            traits!(SubscribeOptions),
            traits!(Stats),
            traits!(Barrier),
        ],
        [[1; 5]; 6]
    );
    assert!(
        implements!(SubscriberId: Copy)
            && implements!(SubscriberId: Ord)
            && implements!(SubscriberId: std::hash::Hash)
    );
    assert!(implements!(SubscriberName: Copy) && implements!(SubscriberInfo: Copy));
    assert!(implements!(SubscribeOptions: Copy) && implements!(Stats: Copy) && implements!(Barrier: Copy));
    assert!(!implements!(Subscription: Clone) && !implements!(Dispatcher<u32>: Clone));
}

#[test]
fn a_lent_view_is_shared_no_further_than_the_view_itself() {
    assert!(!implements!(Lent<Counts>: Send) && !implements!(Lent<Counts>: Sync));
    assert!(implements!(Lent<Lines>: Unpin));
}

#[test]
fn every_public_type_shows_itself() {
    let post: Dispatcher<u32, &'static str> = Dispatcher::named("post");
    assert_eq!(format!("{post:?}"), r#"Dispatcher { name: "post", subscribers: 0, retired: 0 }"#);
    let sub = post.subscribe_with(SubscribeOptions::new().named("audit"), |_: &u32| Err("no"));
    assert!(format!("{post:?}").contains("subscribers: 1"));
    let text = format!("{sub:?}");
    assert!(
        text.contains(&sub.id().to_string()[1..])
            && text.contains("active: true")
            && text.contains("paused: false"),
        "{text}"
    );
    sub.pause();
    assert!(format!("{sub:?}").contains("paused: true"));
    sub.resume();

    let stopped = post.publish(&1).unwrap_err();
    assert!(format!("{stopped:?}").contains("audit"));
    assert!(format!("{:?}", post.try_publish(&1)).contains("Stopped"));
    assert!(format!("{:?}", post.publish_or_undo(&1, &2)).contains("undo_errors"));
    assert!(format!("{:?}", post.subscribers()).contains("audit"));
    post.edit(|edit| assert!(format!("{edit:?}").contains("recorded: 0")));
    post.scope(|scope| {
        assert!(format!("{scope:?}").contains("Scope"));
        let sub = scope.subscribe_with(SubscribeOptions::new().named("scoped"), |_: &u32| ());
        assert!(format!("{sub:?}").contains("scoped"));
    })
    .unwrap();

    let set: SubscriptionSet = [sub].into_iter().collect();
    assert!(format!("{set:?}").contains("Subscription {"));
    let cell = SnapshotCell::<Value>::new();
    assert!(format!("{cell:?}").contains("empty: true"));
    cell.update(|_| Some(Value(1)));
    assert!(format!("{cell:?}").contains("empty: false"));
    for text in [
        format!("{:?}", signalpost::stats()),
        format!("{:?} {:?} {:?}", Barrier::Fence, WaitError::TimedOut, ScopeError::InsidePublish),
        format!("{:?} {:?}", SubscribeOptions::new(), TooDeep { depth: 64 }),
    ] {
        assert!(!text.is_empty());
    }
}

#[test]
fn a_dispatcher_shows_itself_also_in_its_own_subscriber() {
    let post = std::sync::Arc::new(Plain::new());
    let (own, log) = (post.clone(), common::Log::new());
    let seen = log.clone();
    let _sub = post.subscribe(move |_: &u32| seen.push(format!("{own:?}")));
    post.publish(&1);
    assert!(log.take()[0].starts_with("Dispatcher { subscribers: 1, retired: "));
}

#[test]
fn options_are_compared_and_have_a_default() {
    assert_eq!(SubscribeOptions::new(), SubscribeOptions::default());
    assert_ne!(SubscribeOptions::new(), SubscribeOptions::new().once());
    assert_ne!(SubscribeOptions::new(), SubscribeOptions::new().paused());
    assert_ne!(SubscribeOptions::new(), SubscribeOptions::new().named("name"));
    assert_ne!(SubscribeOptions::new(), SubscribeOptions::new().priority(1));
}
