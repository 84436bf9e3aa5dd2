//! Events with lifetimes of their own: lent to subscribers, who can keep nothing of them.

mod common;

use common::{Log, within};
use signalpost::{Dispatcher, Lent, Shape};
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::sync::Arc;
use std::thread;

#[derive(Debug)]
struct Line<'a> {
    number: usize,
    text: &'a str,
}

enum Lines {}
impl Shape for Lines {
    type View<'a> = Line<'a>;
}

/// Invariant in its lifetime, and changed by subscribers.
struct Draft<'a> {
    title: Cell<&'a str>,
    words: RefCell<Vec<&'a str>>,
    text: &'a str,
}

enum Drafts {}
impl Shape for Drafts {
    type View<'a> = Draft<'a>;
}

#[test]
fn a_borrowed_event_reaches_subscribers_and_stops_like_any_other() {
    let (post, log) = (Dispatcher::<Lent<Lines>, String>::new(), Log::new());
    let seen = log.clone();
    let _sub = post.subscribe(move |line: &Lent<Lines>| {
        line.with(|line| {
            seen.push((line.number, line.text.len()));
            if line.text.is_empty() { Err(format!("line {} is empty", line.number)) } else { Ok(()) }
        })
    });
    let text = String::from("one\ntwo\n\nfour");
    let stopped = text
        .lines()
        .enumerate()
        .find_map(|(number, text)| post.publish(Lent::new(&Line { number, text })).err())
        .expect("one is empty");
    drop(text);
    assert_eq!(stopped.error, "line 2 is empty");
    assert_eq!(log.take(), [(0, 3), (1, 3), (2, 0)]);
}

#[test]
fn views_of_different_lifetimes_go_through_one_dispatcher() {
    static POST: Dispatcher<Lent<Lines>, Infallible> = Dispatcher::new();
    let log = Log::new();
    let seen = log.clone();
    let _sub = POST.subscribe(move |line: &Lent<Lines>| line.with(|line| seen.push(line.text.to_owned())));
    POST.publish(Lent::new(&Line { number: 0, text: "for ever" }));
    let long = String::from("long");
    {
        let short = String::from("short");
        POST.publish(Lent::new(&Line { number: 1, text: &short }));
    }
    POST.publish_with(|| OwnedLine(Line { number: 2, text: "built" }));
    POST.publish(Lent::new(&Line { number: 3, text: &long }));
    assert_eq!(log.take(), ["for ever", "short", "built", "long"]);
}

/// What `publish_with` may build: it owns the view, and lends it.
struct OwnedLine(Line<'static>);

impl std::borrow::Borrow<Lent<Lines>> for OwnedLine {
    fn borrow(&self) -> &Lent<Lines> {
        Lent::new(&self.0)
    }
}

#[test]
fn an_invariant_view_may_be_changed_with_what_it_already_holds() {
    let post = Dispatcher::<Lent<Drafts>, Infallible>::new();
    let _split = post.subscribe(|draft: &Lent<Drafts>| {
        draft.with(|draft| draft.words.borrow_mut().extend(draft.text.split(' ')));
    });
    let _title = post.subscribe(|draft: &Lent<Drafts>| {
        draft.with(|draft| {
            let first = draft.words.borrow()[0];
            draft.title.set(first);
        });
    });
    let text = String::from("a short text");
    let draft = Draft { title: Cell::new(""), words: RefCell::default(), text: &text };
    post.publish(Lent::new(&draft));
    assert_eq!((draft.title.get(), draft.words.into_inner()), ("a", vec!["a", "short", "text"]));
}

#[test]
fn a_view_may_be_lent_on_to_another_dispatcher() {
    let (outer, inner) = (
        Dispatcher::<Lent<Lines>, Infallible>::new(),
        Arc::new(Dispatcher::<Lent<Lines>, Infallible>::new()),
    );
    let log = Log::new();
    let (seen, to_inner) = (log.clone(), inner.clone());
    let _inner = inner.subscribe(move |line: &Lent<Lines>| line.with(|line| seen.push(line.text.to_owned())));
    let _same = outer.subscribe({
        let to_inner = to_inner.clone();
        move |line: &Lent<Lines>| to_inner.publish(line).unwrap()
    });
    let _part = outer.subscribe(move |line: &Lent<Lines>| {
        line.with(|line| {
            to_inner.publish(Lent::new(&Line { number: line.number, text: &line.text[1..] })).unwrap()
        });
    });
    let text = String::from("text");
    outer.publish(Lent::new(&Line { number: 0, text: &text }));
    assert_eq!(log.take(), ["text", "ext"]);
}

#[test]
fn many_threads_lend_their_own() {
    within(|| {
        let post = Arc::new(Dispatcher::<Lent<Lines>, Infallible>::new());
        let _sub = post.subscribe(|line: &Lent<Lines>| {
            line.with(|line| assert_eq!(line.text.len(), line.number));
        });
        let lender = |n: usize| {
            let post = post.clone();
            thread::spawn(move || {
                for round in 0..1_000 {
                    let text = "x".repeat((n + round) % 50);
                    post.publish(Lent::new(&Line { number: text.len(), text: &text }));
                }
            })
        };
        let threads: Vec<_> = (0..3).map(lender).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn it_shows_itself_without_the_view() {
    assert_eq!(format!("{:?}", Lent::<Lines>::new(&Line { number: 1, text: "x" })), "Lent { .. }");
}
