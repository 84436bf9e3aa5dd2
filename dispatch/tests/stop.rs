//! Stop: the first error goes to the publisher, unchanged, with who returned it; the rest do not run.

mod common;

use common::Log;
use signalpost::{BoxError, Dispatcher, PublishError, Stopped, SubscribeOptions, Subscription};
use std::error::Error;

/// An error that can be recognised, and cannot be copied.
#[derive(Debug, PartialEq, Eq)]
struct Veto(String);

type Post = Dispatcher<u32, Veto>;

/// Subscribers of which those at the places `fail` return an error.
fn recording(len: usize, fail: &[usize]) -> (Post, Log<usize>, Vec<Subscription>) {
    let (post, log) = (Post::new(), Log::new());
    let add = |place| {
        let (log, fails) = (log.clone(), fail.contains(&place));
        post.subscribe(move |_: &u32| {
            log.push(place);
            if fails { Err(Veto(format!("from {place}"))) } else { Ok(()) }
        })
    };
    let subs = (0..len).map(add).collect();
    (post, log, subs)
}

#[test]
fn an_error_from_the_second_subscriber_keeps_the_third_from_running() {
    let (post, log, _subs) = recording(3, &[1]);
    let stopped = post.publish(&7).unwrap_err();
    assert_eq!((stopped.position, stopped.not_run), (1, 1));
    assert_eq!(stopped.error, Veto("from 1".into()));
    assert_eq!(log.take(), [0, 1]);
}

#[test]
fn an_error_stops_at_every_place_of_a_short_and_of_a_long_list() {
    for len in [1, 2, 3, 33, 64, 65, 255, 256, 257, 600] {
        for place in [0, 1, len / 2, 63, 64, 255, 256, 257, len - 1] {
            if place >= len {
                continue;
            }
            let (post, log, subs) = recording(len, &[place]);
            let stopped = post.publish(&7).unwrap_err();
            assert_eq!((stopped.position, stopped.not_run), (place, len - place - 1), "of {len}");
            assert_eq!(stopped.subscriber.id, subs[place].id());
            assert_eq!(stopped.error, Veto(format!("from {place}")));
            assert_eq!(log.take(), (0..=place).collect::<Vec<_>>());
        }
    }
}

#[test]
fn the_first_of_two_errors_is_the_one_that_counts() {
    let (post, log, _subs) = recording(4, &[1, 2]);
    assert_eq!(post.publish(&7).unwrap_err().position, 1);
    assert_eq!(log.take(), [0, 1]);
}

#[test]
fn who_stopped_it_is_told_by_id_name_and_place_in_the_source() {
    let post = Post::new();
    let _first = post.subscribe(|_: &u32| ());
    let options = SubscribeOptions::new().named("audit");
    let line = line!() + 1;
    let audit = post.subscribe_with(options, |_: &u32| Err(Veto("no".into())));
    let Stopped { subscriber, .. } = post.publish(&7).unwrap_err();
    assert_eq!(subscriber.id, audit.id());
    assert_eq!(subscriber.name, Some("audit"));
    assert_eq!((subscriber.location.file(), subscriber.location.line()), (file!(), line));
}

#[test]
fn every_way_to_register_notes_the_callers_place() {
    let post = Dispatcher::<u32, &'static str>::new();
    let target = std::sync::Arc::new(());
    let lines = [line!() + 2, line!() + 3, line!() + 4, line!() + 5, line!() + 6, line!() + 7];
    let _subs = [
        post.subscribe(|_: &u32| ()),
        post.subscribe_with(SubscribeOptions::new(), |_: &u32| ()),
        post.subscribe_weak(&target, |_: &(), _: &u32| ()),
        post.subscribe_weak_with(SubscribeOptions::new(), &target, |_: &(), _: &u32| ()),
        post.edit(|edit| edit.subscribe(|_: &u32| ())),
        post.edit(|edit| edit.subscribe_with(SubscribeOptions::new(), |_: &u32| ())),
    ];
    let shown = post.subscribers();
    assert!(shown.iter().all(|one| one.location.file() == file!()), "{shown:?}");
    assert_eq!(shown.iter().map(|one| one.location.line()).collect::<Vec<_>>(), lines);
    post.scope(|scope| {
        let line = line!() + 1;
        scope.subscribe(|_: &u32| Err("stopped"));
        let location = post.publish(&1).unwrap_err().subscriber.location;
        assert_eq!((location.file(), location.line()), (file!(), line));
    })
    .unwrap();
}

#[test]
fn a_boxed_error_reaches_the_publisher_as_the_very_same_box() {
    let post: Dispatcher<u32> = Dispatcher::new();
    let error: BoxError = Box::new(std::io::Error::other("disk full"));
    let address = (&raw const *error).addr();
    let once = std::sync::Mutex::new(Some(error));
    let _sub = post.subscribe(move |_: &u32| Err(once.lock().unwrap().take().unwrap()));
    let stopped = post.publish(&7).unwrap_err();
    assert_eq!((&raw const *stopped.error).addr(), address);
    assert!(stopped.error.is::<std::io::Error>());
}

#[test]
fn paused_ones_count_for_the_position() {
    let (post, log, subs) = recording(4, &[2]);
    assert!(subs[0].pause() && subs[3].pause());
    let stopped = post.publish(&7).unwrap_err();
    assert_eq!((stopped.position, stopped.not_run), (2, 1));
    assert_eq!(log.take(), [1, 2]);
}

#[test]
fn the_next_publish_is_complete_again() {
    let post = Post::new();
    let log = Log::new();
    let seen = log.clone();
    let _a = post.subscribe(|n: &u32| if *n == 0 { Err(Veto("zero".into())) } else { Ok(()) });
    let _b = post.subscribe(move |n: &u32| seen.push(*n));
    for _ in 0..3 {
        post.publish(&0).unwrap_err();
        post.publish(&1).unwrap();
    }
    assert_eq!(log.take(), [1, 1, 1]);
}

#[test]
fn without_subscribers_nothing_stops_an_event() {
    let post = Post::new();
    post.publish(&7).unwrap();
    let sub = post.subscribe(|_: &u32| Err(Veto("gone by then".into())));
    drop(sub);
    post.publish(&7).unwrap();
    post.try_publish(&7).unwrap();
    post.publish_or_undo(&7, &8).unwrap();
    assert_eq!(post.publish_all(&7), []);
}

#[test]
fn try_publish_gives_the_same_stop() {
    let (post, log, subs) = recording(3, &[1]);
    let Err(PublishError::Stopped(stopped)) = post.try_publish(&7) else { panic!("not stopped") };
    assert_eq!((stopped.position, stopped.not_run, stopped.subscriber.id), (1, 1, subs[1].id()));
    assert_eq!(log.take(), [0, 1]);
}

#[test]
fn the_message_says_who_and_where_and_why() {
    let post: Dispatcher<u32, &'static str> = Dispatcher::new();
    let _first = post.subscribe(|_: &u32| ());
    let options = SubscribeOptions::new().named("audit");
    let _sub = post.subscribe_with(options, |_: &u32| Err("disk full"));
    let _last = post.subscribe(|_: &u32| ());
    let stopped = post.publish(&1).unwrap_err();
    let message = stopped.to_string();
    assert!(message.starts_with("subscriber audit (") && message.contains("stop.rs:"), "{message}");
    assert!(message.contains("(2 of 3)") && message.ends_with("disk full"), "{message}");
    let error: &dyn Error = &stopped;
    assert!(error.source().is_none());
}
