//! `publish_or_undo`: on a stop, exactly those that ran are told to undo, newest first, over the same snapshot.

mod common;

use common::{Drops, Later, Log, within};
use signalpost::{Dispatcher, SubscribeOptions, Subscription};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread;

type Post = Dispatcher<Step, String>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Do,
    Undo,
}
use Step::{Do, Undo};

type Seen = Log<(usize, Step)>;

fn add(post: &Post, log: &Seen, place: usize, options: SubscribeOptions) -> Subscription {
    let log = log.clone();
    post.subscribe_with(options, move |step: &Step| log.push((place, *step)))
}

/// Subscribers of which the one at `place` stops what is to be done.
fn stopping(len: usize, place: usize) -> (Post, Seen, Vec<Subscription>) {
    let (post, log) = (Post::new(), Log::new());
    let one = |own| {
        let log = log.clone();
        post.subscribe(move |step: &Step| {
            log.push((own, *step));
            if own == place && *step == Do { Err(format!("no from {own}")) } else { Ok(()) }
        })
    };
    let subs = (0..len).map(one).collect();
    (post, log, subs)
}

fn done_and_undone(
    done: impl IntoIterator<Item = usize>,
    undone: impl IntoIterator<Item = usize>,
) -> Vec<(usize, Step)> {
    let done = done.into_iter().map(|place| (place, Do));
    done.chain(undone.into_iter().map(|place| (place, Undo))).collect()
}

#[test]
fn without_a_stop_nobody_is_told_to_undo() {
    let (post, log, _subs) = stopping(3, 99);
    post.publish_or_undo(&Do, &Undo).unwrap();
    assert_eq!(log.take(), done_and_undone(0..3, []));
}

#[test]
fn those_that_ran_are_told_newest_first_at_every_place_also_past_256() {
    for (len, place) in
        [(1, 0), (3, 0), (3, 2), (65, 64), (256, 255), (257, 256), (300, 257), (400, 399), (1_000, 700)]
    {
        let (post, log, subs) = stopping(len, place);
        let undone = post.publish_or_undo(&Do, &Undo).unwrap_err();
        assert_eq!((undone.stopped.position, undone.stopped.not_run), (place, len - place - 1));
        assert_eq!((undone.stopped.subscriber.id, undone.undo_errors.len()), (subs[place].id(), 0));
        assert_eq!(undone.stopped.error, format!("no from {place}"));
        assert_eq!(log.take(), done_and_undone(0..=place, (0..place).rev()), "{place} of {len}");
    }
}

#[test]
fn paused_ones_are_not_told() {
    let (post, log, subs) = stopping(5, 4);
    subs[1].pause();
    subs[3].pause();
    post.publish_or_undo(&Do, &Undo).unwrap_err();
    assert_eq!(log.take(), done_and_undone([0, 2, 4], [2, 0]));
}

#[test]
fn a_once_subscriber_that_ran_is_told_and_one_that_had_run_before_is_not() {
    let (post, log) = (Post::new(), Log::new());
    let once = SubscribeOptions::new().once();
    let _spent = add(&post, &log, 0, once);
    post.publish(&Do).unwrap();
    log.take();
    // Still in the list, since nothing was written. The others come before it by priority.
    let early = once.priority(1);
    let subs = post.edit(|edit| {
        let log = log.clone();
        [
            edit.subscribe_with(early, move |step: &Step| log.push((1, *step))),
            edit.subscribe(|_: &Step| Err("no".into())),
        ]
    });
    post.publish_or_undo(&Do, &Undo).unwrap_err();
    assert_eq!(log.take(), [(1, Do), (1, Undo)]);
    post.publish_or_undo(&Do, &Undo).unwrap_err();
    assert_eq!(log.take(), [], "its one event was the one undone");
    drop(subs);
}

#[test]
fn a_once_subscriber_that_another_publish_claimed_meanwhile_is_not_told() {
    // The first subscriber, at the outer event, publishes an inner one, which uses the once subscriber up.
    let (post, log) = (Arc::new(Dispatcher::<(Step, bool), String>::new()), Log::new());
    let own = post.clone();
    let _claims = post.subscribe(move |(step, outer): &(Step, bool)| {
        if *step == Do && *outer {
            own.publish(&(Do, false)).unwrap();
        }
    });
    let seen = log.clone();
    post.subscribe_with(SubscribeOptions::new().once(), move |event: &(Step, bool)| seen.push(*event))
        .detach();
    let _stops = post.subscribe(
        |(step, outer): &(Step, bool)| {
            if *step == Do && *outer { Err("no".to_owned()) } else { Ok(()) }
        },
    );
    post.publish_or_undo(&(Do, true), &(Undo, true)).unwrap_err();
    assert_eq!(log.take(), [(Do, false)], "it ran for the inner event, which nobody undid");
}

#[test]
fn a_once_subscriber_claimed_by_another_thread_is_not_told() {
    within(|| {
        let (post, log, stay) = (Arc::new(Post::new()), Seen::new(), common::Stay::new());
        let here = stay.clone();
        let main = thread::current().id();
        let _first = post.subscribe(move |_: &Step| {
            if thread::current().id() != main {
                here.here()
            }
        });
        let once = add(&post, &log, 1, SubscribeOptions::new().once());
        let _stops = post.subscribe(move |step: &Step| {
            let mine = thread::current().id() == main;
            if *step == Do && !mine { Err("no".into()) } else { Ok(()) }
        });
        let theirs = post.clone();
        let other = thread::spawn(move || theirs.publish_or_undo(&Do, &Undo).unwrap_err());
        stay.entered.wait();
        post.publish(&Do).unwrap(); // claims it
        stay.leave.open();
        other.join().unwrap();
        assert_eq!(log.take(), [(1, Do)]);
        assert!(!once.is_active());
    });
}

#[test]
fn a_weak_subscriber_whose_target_was_gone_is_not_told_and_a_live_one_is() {
    let (post, log) = (Post::new(), Seen::new());
    let (gone, lives) = (Arc::new(0_usize), Arc::new(1_usize));
    let weak = |target: &Arc<usize>| {
        let log = log.clone();
        post.subscribe_weak(target, move |place: &usize, step: &Step| log.push((*place, *step)))
    };
    let _subs = (weak(&gone), weak(&lives));
    let _stops = post.subscribe(|_: &Step| Err("no".into()));
    drop(gone);
    post.publish_or_undo(&Do, &Undo).unwrap_err();
    assert_eq!(log.take(), [(1, Do), (1, Undo)]);
}

#[test]
fn subscribers_that_publish_themselves_do_not_confuse_who_ran() {
    // Inner publishes that skip or run once subscribers must leave no trace in the outer one's record.
    let inner = Arc::new(Post::new());
    let spent = Log::new();
    let _spent = add(&inner, &spent, 9, SubscribeOptions::new().once());
    inner.publish(&Do).unwrap();

    let (post, log) = (Post::new(), Seen::new());
    let nesting = |place: usize, options: SubscribeOptions| {
        let (inner, log) = (inner.clone(), log.clone());
        post.subscribe_with(options, move |step: &Step| {
            log.push((place, *step));
            inner.publish(step).unwrap(); // skips the spent one last thing
        })
    };
    let once = SubscribeOptions::new().once();
    let _subs = [nesting(0, SubscribeOptions::new()), nesting(1, once), nesting(2, SubscribeOptions::new())];
    let _after = add(&post, &log, 3, once);
    let _stops = post.subscribe(|_: &Step| Err("no".into()));
    post.publish_or_undo(&Do, &Undo).unwrap_err();
    assert_eq!(log.take(), done_and_undone(0..4, (0..4).rev()));
}

#[test]
fn errors_of_an_undo_are_collected_newest_first_and_the_others_are_told_all_the_same() {
    let (post, log) = (Post::new(), Seen::new());
    let one = |place: usize| {
        let log = log.clone();
        post.subscribe(move |step: &Step| {
            log.push((place, *step));
            match step {
                Undo if place % 2 == 1 => Err(format!("cannot undo {place}")),
                _ => Ok(()),
            }
        })
    };
    let subs: Vec<_> = (0..5).map(one).collect();
    let _stops = post.subscribe(|_: &Step| Err("no".into()));
    let undone = post.publish_or_undo(&Do, &Undo).unwrap_err();
    let expected = [3, 1].map(|place| (subs[place].id(), format!("cannot undo {place}")));
    assert_eq!(undone.undo_errors, expected);
    assert_eq!(log.take(), done_and_undone(0..5, (0..5).rev()));
    let text = undone.to_string();
    assert!(text.contains("no") && text.contains("cannot undo 3"), "{text}");
}

#[test]
fn a_panic_is_undone_too_and_then_goes_on() {
    let (post, log, drops) = (Post::new(), Seen::new(), Drops::new());
    let subs = [add(&post, &log, 0, SubscribeOptions::new()), add(&post, &log, 1, SubscribeOptions::new())];
    let token = drops.token();
    let panics = post.subscribe(move |step: &Step| {
        token.touch();
        if *step == Do {
            resume_unwind(Box::new("why"));
        }
    });
    let _after = add(&post, &log, 3, SubscribeOptions::new());
    let panic = catch_unwind(AssertUnwindSafe(|| post.publish_or_undo(&Do, &Undo))).unwrap_err();
    assert_eq!(common::message(&*panic), "why");
    assert_eq!(log.take(), done_and_undone([0, 1], [1, 0]));
    drop(panics);
    assert_eq!(drops.alive(), 0);
    post.publish_or_undo(&Do, &Undo).unwrap();
    assert_eq!(log.take(), done_and_undone([0, 1, 3], []));
    drop(subs);
}

#[test]
fn a_panic_of_an_undo_goes_on_once_all_have_been_told() {
    let (post, log) = (Post::new(), Seen::new());
    let one = |place: usize| {
        let log = log.clone();
        post.subscribe(move |step: &Step| {
            log.push((place, *step));
            if *step == Undo && place > 0 {
                resume_unwind(Box::new(format!("undo of {place}")));
            }
        })
    };
    let _subs: Vec<_> = (0..3).map(one).collect();
    let _stops = post.subscribe(|_: &Step| Err("no".into()));
    let panic = catch_unwind(AssertUnwindSafe(|| post.publish_or_undo(&Do, &Undo))).unwrap_err();
    assert_eq!(common::message(&*panic), "undo of 2", "the first panic is the one that goes on");
    assert_eq!(log.take(), done_and_undone(0..3, (0..3).rev()));
    // And nothing is left of it.
    assert!(catch_unwind(AssertUnwindSafe(|| post.publish_or_undo(&Do, &Undo))).is_err());
    assert_eq!(log.take(), done_and_undone(0..3, (0..3).rev()));
}

#[test]
fn a_panic_of_the_event_wins_over_a_panic_of_its_undo() {
    let (post, log) = (Post::new(), Seen::new());
    let seen = log.clone();
    let _first = post.subscribe(move |step: &Step| {
        seen.push((0, *step));
        if *step == Undo {
            resume_unwind(Box::new("from the undo"));
        }
    });
    let _second = post.subscribe(|_: &Step| resume_unwind(Box::new("from the event")));
    let panic = catch_unwind(AssertUnwindSafe(|| post.publish_or_undo(&Do, &Undo))).unwrap_err();
    assert_eq!(common::message(&*panic), "from the event");
    assert_eq!(log.take(), [(0, Do), (0, Undo)]);
}

#[test]
fn one_cancelled_after_it_ran_is_told_all_the_same() {
    let (post, log) = (Post::new(), Seen::new());
    let later: Later<Subscription> = Later::new();
    later.set(add(&post, &log, 0, SubscribeOptions::new()));
    let _stops = post.subscribe(move |_: &Step| {
        later.get().cancel();
        Err("no".into())
    });
    post.publish_or_undo(&Do, &Undo).unwrap_err();
    assert_eq!(log.take(), [(0, Do), (0, Undo)], "the same snapshot");
    post.publish_or_undo(&Do, &Undo).unwrap_err();
    assert_eq!(log.take(), []);
}

#[test]
fn one_registered_after_the_snapshot_is_not_told() {
    let (post, log) = (Arc::new(Post::new()), Seen::new());
    let (own, seen) = (post.clone(), log.clone());
    let options = SubscribeOptions::new().priority(1);
    let _stops = post.subscribe(move |_: &Step| {
        add(&own, &seen, 7, options).detach();
        Err("no".into())
    });
    post.publish_or_undo(&Do, &Undo).unwrap_err();
    assert_eq!(log.take(), []);
}
