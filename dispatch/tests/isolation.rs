//! Snapshot isolation: a publish runs exactly the subscribers of one snapshot. What changes meanwhile, by whomever, is
//! seen by the next publish, also by one nested in it.

mod common;

use common::{Drops, Gate, Later, Log, Place, Plain, Stay, publisher_inside, within};
use signalpost::{SubscribeOptions, Subscription};
use std::sync::{Arc, Barrier, atomic::AtomicBool, atomic::Ordering::SeqCst};
use std::thread;

fn logging(post: &Plain, log: &Log<&'static str>, name: &'static str) -> Subscription {
    let log = log.clone();
    post.subscribe(move |_: &u32| log.push(name))
}

#[test]
fn one_registered_by_a_subscriber_runs_from_the_next_publish_on() {
    let (post, log) = (Arc::new(Plain::new()), Log::new());
    let added = Log::new();
    let (own, seen, keep) = (post.clone(), log.clone(), added.clone());
    let _first = post.subscribe(move |n: &u32| {
        seen.push("first");
        if *n == 0 {
            keep.push(logging(&own, &seen, "added"));
        }
    });
    post.publish(&0);
    assert_eq!(log.take(), ["first"]);
    post.publish(&1);
    assert_eq!(log.take(), ["first", "added"]);
    drop(added.take());
    post.publish(&1);
    assert_eq!(log.take(), ["first"]);
}

#[test]
fn one_that_registers_another_each_time_runs_once_a_publish() {
    let (post, log) = (Arc::new(Plain::new()), Log::new());
    let (own, seen) = (post.clone(), log.clone());
    let _grows = post.subscribe(move |n: &u32| {
        let log = seen.clone();
        own.subscribe(move |_: &u32| log.push(())).detach();
        assert!(own.len() as u32 >= *n + 2);
    });
    for n in 0..50 {
        post.publish(&n);
        assert_eq!(log.take().len(), n as usize);
    }
}

#[test]
fn one_cancelled_by_an_earlier_subscriber_still_runs_in_this_publish_only() {
    let (post, log) = (Plain::new(), Log::new());
    let later = Later::new();
    let victim: Later<Subscription> = later.clone();
    let _cancels = post.subscribe(move |n: &u32| {
        if *n == 0 {
            assert!(victim.get().cancel());
            assert!(!victim.get().is_active());
        }
    });
    later.set(logging(&post, &log, "victim"));
    post.publish(&0);
    assert_eq!(log.take(), ["victim"]);
    post.publish(&1);
    assert_eq!(log.take(), [""; 0]);
}

#[test]
fn a_subscriber_that_cancels_itself_ends_its_turn_first() {
    let (post, log, drops) = (Plain::new(), Log::new(), Drops::new());
    let own: Later<Subscription> = Later::new();
    let (this, seen, token) = (own.clone(), log.clone(), drops.token());
    own.set(post.subscribe(move |_: &u32| {
        assert!(this.get().cancel());
        token.touch(); // still there
        seen.push("once");
    }));
    let _after = logging(&post, &log, "after");
    post.publish(&0);
    assert_eq!(log.take(), ["once", "after"]);
    assert_eq!(drops.alive(), 0, "dropped when the publish that cancelled it was over");
    assert!(!own.get().cancel());
    post.publish(&1);
    assert_eq!(log.take(), ["after"]);
}

#[test]
fn a_subscriber_that_drops_its_own_handle_ends_its_turn_first() {
    let (post, log, drops) = (Plain::new(), Log::new(), Drops::new());
    let own = Place::empty();
    let (this, seen, token) = (own.clone(), log.clone(), drops.token());
    own.put(post.subscribe(move |_: &u32| {
        drop::<Option<Subscription>>(this.take());
        token.touch();
        seen.push("once");
    }));
    post.publish(&0);
    assert_eq!((log.take(), drops.alive()), (vec!["once"], 0));
    assert!(!post.has_subscribers());
}

#[test]
fn a_subscriber_that_cancels_all_others_lets_this_publish_finish() {
    let (post, log) = (Plain::new(), Log::new());
    let all = Log::new();
    let others = all.clone();
    let _first = post.subscribe(move |_: &u32| drop(others.take()));
    for _ in 0..100 {
        all.push(logging(&post, &log, "other"));
    }
    post.publish(&0);
    assert_eq!(log.take().len(), 100);
    assert_eq!(post.len(), 1);
    post.publish(&0);
    assert_eq!(log.take().len(), 0);
}

#[test]
fn an_edit_made_by_a_subscriber_is_seen_by_the_next_publish_as_a_whole() {
    let (post, log) = (Arc::new(Plain::new()), Log::new());
    let (own, seen) = (post.clone(), log.clone());
    let subs = Arc::new([logging(&post, &log, "b"), logging(&post, &log, "c")]);
    let theirs = subs.clone();
    let options = SubscribeOptions::new().priority(1);
    let _edits = post.subscribe_with(options, move |n: &u32| {
        if *n == 0 {
            own.edit(|edit| {
                assert!(edit.move_before(&theirs[1], &theirs[0]));
                edit.subscribe({
                    let seen = seen.clone();
                    move |_: &u32| seen.push("d")
                })
                .detach();
            });
        }
    });
    post.publish(&0);
    assert_eq!(log.take(), ["b", "c"]);
    post.publish(&1);
    assert_eq!(log.take(), ["c", "b", "d"]);
}

#[test]
fn a_pause_by_a_subscriber_is_seen_by_the_next_publish() {
    let (post, log) = (Plain::new(), Log::new());
    let later: Later<Subscription> = Later::new();
    let victim = later.clone();
    let _pauses = post.subscribe(move |n: &u32| match n {
        0 => assert!(victim.get().pause()),
        1 => assert!(victim.get().resume()),
        _ => {}
    });
    later.set(logging(&post, &log, "victim"));
    for (event, runs) in [(0, 1), (1, 0), (2, 1)] {
        post.publish(&event);
        assert_eq!(log.take().len(), runs, "event {event}");
    }
}

#[test]
fn a_nested_publish_sees_what_was_changed_around_it() {
    let (post, log) = (Arc::new(Plain::new()), Log::new());
    let later: Later<Subscription> = Later::new();
    let (own, seen, victim) = (post.clone(), log.clone(), later.clone());
    let _outer = post.subscribe(move |n: &u32| {
        if *n == 0 {
            victim.get().cancel();
            logging(&own, &seen, "added").detach();
            own.publish(&1);
            seen.push("outer goes on");
        }
    });
    later.set(logging(&post, &log, "victim"));
    post.publish(&0);
    assert_eq!(log.take(), ["added", "outer goes on", "victim"]);
}

#[test]
fn what_another_thread_changes_meanwhile_is_seen_by_the_next_publish() {
    within(|| {
        let (post, log, stay) = (Arc::new(Plain::new()), Log::new(), Stay::new());
        let here = stay.clone();
        let _first = post.subscribe(move |n: &u32| {
            if *n == 0 {
                here.here()
            }
        });
        let victim = logging(&post, &log, "victim");
        let moved = logging(&post, &log, "moved");
        let publisher = publisher_inside(&post, &stay, 0);

        assert!(victim.cancel());
        let _added = logging(&post, &log, "added");
        post.edit(|edit| edit.set_priority(&moved, -1));
        stay.leave.open();
        publisher.join().unwrap();
        assert_eq!(log.take(), ["victim", "moved"]);
        post.publish(&1);
        assert_eq!(log.take(), ["added", "moved"]);
    });
}

#[test]
fn a_publish_that_starts_after_subscribe_returned_on_another_thread_runs_it() {
    within(|| {
        let post = Arc::new(Plain::new());
        let (registered, published) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let theirs = (post.clone(), registered.clone(), published.clone());
        let publisher = thread::spawn(move || {
            let (post, registered, published) = theirs;
            for round in 0..2_000 {
                registered.wait();
                post.publish(&round);
                published.wait();
            }
        });
        for round in 0..2_000 {
            let ran = Arc::new(AtomicBool::new(false));
            let runs = ran.clone();
            let sub = post.subscribe(move |n: &u32| {
                assert_eq!(*n, round, "runs after it was cancelled");
                runs.store(true, SeqCst);
            });
            registered.wait();
            published.wait();
            assert!(ran.load(SeqCst), "round {round}: missed");
            drop(sub);
        }
        publisher.join().unwrap();
    });
}

#[test]
fn publishers_never_see_a_part_of_a_change() {
    within(|| {
        // Two subscribers are always swapped in one edit: each publish must find exactly one, and the pair in step.
        let post = Arc::new(Plain::<Log<u32>>::new());
        let (start, stop) = (Gate::new(), Arc::new(AtomicBool::new(false)));
        let (theirs, started, ends) = (post.clone(), start.clone(), stop.clone());
        let publisher = thread::spawn(move || {
            let (seen, mut rounds) = (Log::new(), 0_u64);
            while !ends.load(SeqCst) {
                theirs.publish(&seen);
                let seen = seen.take();
                match seen[..] {
                    [] => assert_eq!(rounds, 0, "nobody between two"),
                    [first, second] => assert_eq!(first, second, "parts of two changes"),
                    _ => panic!("neither all nor none: {seen:?}"),
                }
                rounds += u64::from(!seen.is_empty());
                if rounds == 1 {
                    started.open();
                }
            }
        });
        let pair = |edit: &mut signalpost::Edit<'_, _, _>, round: u32| {
            [(); 2].map(|()| edit.subscribe(move |log: &Log<u32>| log.push(round)))
        };
        let mut subs = post.edit(|edit| pair(edit, 0));
        start.wait();
        for round in 1..5_000 {
            let new = post.edit(|edit| {
                assert!(edit.cancel(&subs[0]));
                let new = pair(edit, round);
                assert!(edit.cancel(&subs[1]));
                new
            });
            subs = new;
        }
        stop.store(true, SeqCst);
        publisher.join().unwrap();
    });
}
