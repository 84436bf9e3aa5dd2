//! `edit`: any number of changes, one swap.

mod common;

use common::{Drops, Log, Place, Plain};
use signalpost::{SubscribeOptions, Subscription};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread;

struct Post {
    post: Plain,
    log: Log<&'static str>,
    drops: Drops,
}

impl Post {
    fn new() -> Self {
        Self { post: Plain::new(), log: Log::new(), drops: Drops::new() }
    }

    fn logger(&self, name: &'static str) -> impl Fn(&u32) + Send + Sync + 'static + use<> {
        let (log, token) = (self.log.clone(), self.drops.token());
        move |_: &u32| {
            token.touch();
            log.push(name);
        }
    }

    fn add<const N: usize>(&self, names: [&'static str; N]) -> [Subscription; N] {
        names.map(|name| self.post.subscribe(self.logger(name)))
    }

    fn order(&self) -> Vec<&'static str> {
        self.post.publish(&1);
        self.log.take()
    }
}

#[test]
fn changes_are_made_in_the_order_in_which_they_were_recorded() {
    let all = Post::new();
    let [a, b, c] = all.add(["a", "b", "c"]);
    let d = all.post.edit(|edit| {
        assert!(edit.cancel(&b));
        let d = edit.subscribe(all.logger("d"));
        assert!(edit.move_before(&d, &a));
        assert!(edit.pause(&a));
        assert!(edit.set_priority(&c, 5));
        assert!(edit.resume(&a));
        d
    });
    assert_eq!(all.order(), ["c", "d", "a"]);
    assert!(!b.is_active() && !a.is_paused() && d.is_active());
}

#[test]
fn nothing_is_seen_before_the_closure_returns() {
    let all = Post::new();
    let [a, _b] = all.add(["a", "b"]);
    let _c = all.post.edit(|edit| {
        let c = edit.subscribe(all.logger("c"));
        edit.cancel(&a);
        assert_eq!(all.order(), ["a", "b"], "and a publish inside is nothing special");
        assert!(a.is_active() && !c.is_active());
        c
    });
    assert_eq!(all.order(), ["b", "c"]);
}

#[test]
fn the_closure_runs_once_and_its_result_is_given_back() {
    let all = Post::new();
    let other = Plain::<u32>::new();
    let runs = std::cell::Cell::new(0);
    let answer = all.post.edit(|edit| {
        runs.set(runs.get() + 1);
        edit.subscribe(all.logger("a")).detach();
        // Another writer is faster, on this very thread.
        all.post.subscribe(all.logger("meanwhile")).detach();
        other.subscribe(|_: &u32| ()).detach();
        42
    });
    assert_eq!((answer, runs.get()), (42, 1));
    assert_eq!(all.order(), ["meanwhile", "a"]);
}

#[test]
fn a_panic_in_the_closure_changes_nothing() {
    let all = Post::new();
    let [a] = all.add(["a"]);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        all.post.edit(|edit| {
            edit.cancel(&a);
            edit.subscribe(all.logger("b")).detach();
            resume_unwind(Box::new(()));
        });
    }));
    assert!(panicked.is_err());
    assert_eq!(all.order(), ["a"]);
    assert_eq!(all.drops.alive(), 1);
}

#[test]
fn an_edit_of_nothing_changes_nothing() {
    let post = Plain::<u32>::new();
    post.edit(|_| ());
    assert!(!post.has_subscribers());
    assert_eq!(post.retired(), 0);
}

#[test]
fn moves_take_the_priority_of_the_neighbour() {
    let all = Post::new();
    let [a, b, c, d] = all.add(["a", "b", "c", "d"]);
    all.post.edit(|edit| {
        edit.set_priority(&a, 10);
        edit.set_priority(&b, -10);
        edit.move_after(&c, &a);
        edit.move_before(&d, &b);
    });
    assert_eq!(all.order(), ["a", "c", "d", "b"]);
    let priorities: Vec<_> = all.post.subscribers().iter().map(|one| one.priority).collect();
    assert_eq!(priorities, [10, 10, -10, -10]);
    // Handles still find what was moved.
    for sub in [&a, &b, &c, &d] {
        assert!(sub.is_active() && sub.pause() && sub.is_paused() && sub.resume() && sub.cancel());
    }
    assert!(all.post.is_empty());
}

#[test]
fn a_move_beside_itself_changes_nothing() {
    let all = Post::new();
    let [a, _b] = all.add(["a", "b"]);
    all.post.edit(|edit| {
        assert!(edit.move_before(&a, &a));
        assert!(edit.move_after(&a, &a));
    });
    assert_eq!(all.order(), ["a", "b"]);
}

#[test]
fn a_new_priority_puts_it_last_among_its_equals_also_when_it_is_the_old_one() {
    let all = Post::new();
    let [a, b, c] = all.add(["a", "b", "c"]);
    all.post.edit(|edit| edit.set_priority(&a, 0));
    assert_eq!(all.order(), ["b", "c", "a"]);
    all.post.edit(|edit| {
        edit.set_priority(&c, 1);
        edit.set_priority(&b, 1);
    });
    assert_eq!(all.order(), ["c", "b", "a"]);
}

#[test]
fn clear_takes_all_recorded_before_it_too() {
    let all = Post::new();
    let [a] = all.add(["a"]);
    let (b, c) = all.post.edit(|edit| {
        let b = edit.subscribe(all.logger("b"));
        edit.clear();
        (b, edit.subscribe(all.logger("c")))
    });
    assert_eq!(all.order(), ["c"]);
    assert!(!a.is_active() && !b.is_active() && c.is_active());
    assert_eq!(all.drops.alive(), 1, "what was registered and cleared in the same breath is dropped too");
    all.post.edit(|edit| edit.clear());
    assert_eq!((all.drops.alive(), all.post.retired()), (0, 0));
}

#[test]
fn a_registration_cancelled_in_the_same_edit_leaves_nothing() {
    let all = Post::new();
    let sub = all.post.edit(|edit| {
        let sub = edit.subscribe(all.logger("a"));
        assert!(edit.cancel(&sub));
        sub
    });
    assert!(!sub.is_active() && all.post.is_empty());
    assert_eq!(all.drops.alive(), 0);
}

#[test]
fn a_handle_that_cancels_before_its_edit_is_made_keeps_its_subscriber_out() {
    let all = Post::new();
    let cancelled = all.post.edit(|edit| {
        drop(edit.subscribe(all.logger("dropped")));
        let sub = edit.subscribe(all.logger("cancelled"));
        sub.cancel();
        sub
    });
    assert!(!cancelled.is_active() && all.post.is_empty());
    assert_eq!(all.drops.alive(), 0);
}

#[test]
fn a_handle_that_is_detached_before_its_edit_is_made_lets_its_subscriber_stay() {
    let all = Post::new();
    all.post.edit(|edit| edit.subscribe(all.logger("a")).detach());
    assert_eq!(all.order(), ["a"]);
}

#[test]
fn subscriptions_of_another_dispatcher_are_left_alone() {
    let (all, other) = (Post::new(), Post::new());
    let ([a], [theirs]) = (all.add(["a"]), other.add(["theirs"]));
    all.post.edit(|edit| {
        assert!(!edit.cancel(&theirs));
        assert!(!edit.pause(&theirs));
        assert!(!edit.resume(&theirs));
        assert!(!edit.set_priority(&theirs, 1));
        assert!(!edit.move_before(&a, &theirs));
        assert!(!edit.move_after(&theirs, &a));
    });
    assert_eq!((all.order(), other.order()), (vec!["a"], vec!["theirs"]));
    drop(other.post);
    all.post.edit(|edit| assert!(!edit.cancel(&theirs)));
}

#[test]
fn one_that_ended_meanwhile_is_left_alone() {
    let all = Post::new();
    let [a, b] = all.add(["a", "b"]);
    all.post.edit(|edit| {
        a.cancel();
        assert!(edit.pause(&a), "it is one of this dispatcher's");
        edit.set_priority(&a, 1);
        edit.move_before(&a, &b);
        edit.move_before(&b, &a);
        edit.cancel(&a);
    });
    assert_eq!(all.order(), ["b"]);
}

#[test]
fn options_are_taken_in_an_edit_too() {
    let all = Post::new();
    let subs = all.post.edit(|edit| {
        [
            edit.subscribe_with(SubscribeOptions::new().named("last").priority(-1), all.logger("last")),
            edit.subscribe_with(SubscribeOptions::new().paused(), all.logger("paused")),
            edit.subscribe_with(SubscribeOptions::new().once(), all.logger("once")),
        ]
    });
    assert_eq!(all.order(), ["once", "last"]);
    assert_eq!(all.order(), ["last"]);
    assert!(subs[1].is_paused());
    assert!(all.post.subscribers().iter().any(|one| one.name == Some("last") && one.priority == -1));
}

#[test]
fn edits_nest_and_each_is_one_swap() {
    let all = Post::new();
    let [a] = all.add(["a"]);
    let _subs = all.post.edit(|outer| {
        let outer_new = outer.subscribe(all.logger("outer"));
        let inner_new = all.post.edit(|inner| {
            inner.cancel(&a);
            inner.subscribe(all.logger("inner"))
        });
        assert_eq!(all.order(), ["inner"]);
        (outer_new, inner_new)
    });
    assert_eq!(all.order(), ["inner", "outer"]);
}

#[test]
fn an_edit_loses_no_change_to_other_writers() {
    let post = Arc::new(Plain::<u32>::new());
    let writer = |_| {
        let post = post.clone();
        thread::spawn(move || {
            for _ in 0..300 {
                let subs = post.edit(|edit| [(); 3].map(|()| edit.subscribe(|_: &u32| ())));
                post.edit(|edit| {
                    assert!(edit.cancel(&subs[0]));
                    assert!(edit.move_before(&subs[2], &subs[1]));
                });
                let [_, kept, gone] = subs;
                kept.detach();
                drop(gone);
            }
        })
    };
    let writers: Vec<_> = (0..3).map(writer).collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_eq!(post.len(), 900);
    post.collect();
    assert_eq!(post.retired(), 0);
}

#[test]
fn a_big_edit_beside_many_small_writers_is_made() {
    let (post, stop) = (Arc::new(Plain::<u32>::new()), common::Gate::new());
    let small = |_| {
        let (post, stop) = (post.clone(), stop.clone());
        thread::spawn(move || {
            while !stop.is_open() {
                drop(post.subscribe(|_: &u32| ()));
            }
        })
    };
    let writers: Vec<_> = (0..2).map(small).collect();
    for round in 1..=5 {
        post.edit(|edit| {
            for _ in 0..2_000 {
                edit.subscribe(|_: &u32| ()).detach();
            }
        });
        assert!(post.len() >= round * 2_000);
    }
    stop.open();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_eq!(post.len(), 10_000);
}

#[test]
fn captures_of_what_an_edit_replaced_are_dropped_by_it() {
    let all = Post::new();
    let subs = all.add(["a", "b", "c"]);
    let place = Place::of(subs);
    all.post.edit(|edit| {
        for sub in &place.take().unwrap() {
            edit.cancel(sub);
        }
    });
    assert_eq!((all.drops.alive(), all.post.retired()), (0, 0));
}
