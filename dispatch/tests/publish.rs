//! The other ways to publish: everyone, only if someone listens, with an error for what is too deep.

mod common;

use common::{Log, Place, Plain};
use signalpost::{Dispatcher, SubscribeOptions, SubscriberId};
use std::convert::Infallible;

#[test]
fn publish_all_runs_everyone_and_collects_who_failed_in_order() {
    for len in [1, 5, 64, 65, 300] {
        let (post, log) = (Dispatcher::<u32, String>::new(), Log::new());
        let one = |place: usize| {
            let log = log.clone();
            post.subscribe(move |n: &u32| {
                log.push(place);
                if place.is_multiple_of(3) { Err(format!("{place} at {n}")) } else { Ok(()) }
            })
        };
        let subs: Vec<_> = (0..len).map(one).collect();
        let errors = post.publish_all(&7);
        let expected: Vec<(SubscriberId, String)> =
            (0..len).step_by(3).map(|place| (subs[place].id(), format!("{place} at 7"))).collect();
        assert_eq!(errors, expected);
        assert_eq!(log.take(), (0..len).collect::<Vec<_>>());
    }
}

#[test]
fn publish_all_skips_paused_and_ended_ones() {
    let (post, log) = (Dispatcher::<u32, &'static str>::new(), Log::new());
    let seen = log.clone();
    let _once = post.subscribe_with(SubscribeOptions::new().once(), move |n: &u32| {
        seen.push(*n);
        Err("once")
    });
    let _paused = post.subscribe_with(SubscribeOptions::new().paused(), |_: &u32| Err("paused"));
    assert_eq!(post.publish_all(&1).len(), 1);
    assert_eq!(post.publish_all(&2), []);
    assert_eq!(log.take(), [1]);
}

#[test]
fn publish_with_builds_the_event_only_if_someone_listens() {
    let (post, log, built) = (Plain::<str>::new(), Log::new(), Log::new());
    let make = || {
        built.push(());
        String::from("built")
    };
    post.publish_with(make);
    assert_eq!(built.take().len(), 0);
    let seen = log.clone();
    let sub = post.subscribe(move |text: &str| seen.push(text.to_owned()));
    let second = post.subscribe(|_: &str| ());
    post.publish_with(make);
    assert_eq!((built.take().len(), log.take()), (1, vec!["built".to_owned()]));
    drop((sub, second));
    post.publish_with(make);
    assert_eq!(built.take().len(), 0);
}

#[test]
fn publish_with_takes_whatever_lends_the_event() {
    let (post, log) = (Plain::<[u8]>::new(), Log::new());
    let seen = log.clone();
    let _sub = post.subscribe(move |bytes: &[u8]| seen.push(bytes.len()));
    post.publish_with(|| vec![1, 2, 3]);
    post.publish_with(|| [1_u8; 5]);
    post.publish_with(|| Box::<[u8]>::from([1, 2]));
    assert_eq!(log.take(), [3, 5, 2]);
}

#[test]
fn publish_with_stops_like_publish() {
    let post = Dispatcher::<u32, &'static str>::new();
    let _stops = post.subscribe(|_: &u32| Err("no"));
    assert_eq!(post.publish_with(|| 1).unwrap_err().error, "no");
}

#[test]
fn an_event_may_be_published_while_it_is_being_built() {
    let (post, log) = (Plain::new(), Log::new());
    let seen = log.clone();
    let _sub = post.subscribe(move |n: &u32| seen.push(*n));
    post.publish_with(|| {
        post.publish(&1);
        2
    });
    assert_eq!(log.take(), [1, 2]);
}

#[test]
fn has_subscribers_and_its_kin_agree() {
    let post = Plain::<u32>::new();
    assert!((post.is_empty(), post.has_subscribers(), post.len()) == (true, false, 0));
    let subs: Vec<_> = (0..70).map(|_| post.subscribe(|_: &u32| ())).collect();
    assert!((post.is_empty(), post.has_subscribers(), post.len()) == (false, true, 70));
    drop(subs);
    assert!((post.is_empty(), post.has_subscribers(), post.len()) == (true, false, 0));
    assert_eq!(post.subscribers(), []);
}

#[test]
fn subscribers_may_return_nothing_a_result_or_never() {
    let post = Dispatcher::<u32, String>::new();
    let _nothing = post.subscribe(|_: &u32| ());
    let _result = post.subscribe(|n: &u32| n.checked_sub(1).map(drop).ok_or_else(|| "zero".to_owned()));
    let never = |_: &u32| -> ! { std::panic::resume_unwind(Box::new("never returns")) };
    post.publish(&1).unwrap();
    assert_eq!(post.publish(&0).unwrap_err().error, "zero");
    let sub = post.subscribe(never);
    let published = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| post.publish(&1)));
    assert_eq!(common::message(&*published.unwrap_err()), "never returns");
    drop(sub);
}

#[test]
fn an_infallible_subscriber_may_return_its_empty_result() {
    let (post, log) = (Dispatcher::<u32, Infallible>::new(), Log::new());
    let seen = log.clone();
    let _sub = post.subscribe(move |n: &u32| -> Result<(), Infallible> {
        seen.push(*n);
        Ok(())
    });
    post.publish(&1);
    assert_eq!(post.publish_all(&2).len(), 0);
    assert_eq!(log.take(), [1, 2]);
}

#[test]
fn an_error_type_that_is_neither_send_nor_sync_reaches_the_publisher() {
    use std::rc::Rc;
    let post = Dispatcher::<u32, Rc<str>>::new();
    let _sub = post.subscribe(|n: &u32| Err(Rc::from(n.to_string())));
    let error = post.publish(&7).unwrap_err().error;
    assert_eq!((&*error, Rc::strong_count(&error)), ("7", 1));
    assert_eq!(&*post.publish_all(&8)[0].1, "8");
}

#[test]
fn a_function_pointer_and_a_method_are_subscribers_too() {
    fn free(n: &u32) {
        assert!(*n > 0);
    }
    struct Object(Place<u32>);
    impl Object {
        fn on(&self, n: &u32) -> Result<(), String> {
            self.0.put(*n);
            Ok(())
        }
    }
    let post = Dispatcher::<u32, String>::new();
    let object = std::sync::Arc::new(Object(Place::empty()));
    let theirs = object.clone();
    let _subs = (post.subscribe(free), post.subscribe(move |n: &u32| theirs.on(n)));
    post.publish(&7).unwrap();
    assert_eq!(object.0.take(), Some(7));
}
