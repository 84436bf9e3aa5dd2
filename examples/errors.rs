//! What can go wrong in a publish, and what the publisher learns of it: five ways, each with its call.
//!
//! `cargo run --example errors`

use signalpost::{BoxError, Dispatcher, PublishError};
use std::panic::{AssertUnwindSafe, catch_unwind};

static PARSE: Dispatcher<str> = Dispatcher::named("parse"); // stopped by any error: `X` is `BoxError`

fn main() -> Result<(), BoxError> {
    let _number = PARSE.subscribe(|text: &str| -> Result<(), BoxError> {
        let number: i32 = text.parse()?;
        println!("parsed {number}");
        Ok(())
    });
    let _short = PARSE.subscribe(|text: &str| -> Result<(), BoxError> {
        if text.len() > 4 { Err(format!("{text:?} is too long").into()) } else { Ok(()) }
    });

    // 1. `publish` stops at the first error. It is an `Error` itself, so `?` works, and it can be taken apart.
    PARSE.publish("1234")?;
    let stopped = PARSE.publish("seven").unwrap_err();
    println!("{stopped}");
    assert!(stopped.error.is::<std::num::ParseIntError>());
    assert_eq!((stopped.position, stopped.not_run), (0, 1));

    // 2. `publish_all` runs everyone and collects.
    let errors = PARSE.publish_all("seven");
    assert_eq!(errors.len(), 2);

    // 3. `publish_or_undo` takes back what was done when a later one fails: newest first, and only those that ran.
    let undone = PARSE.publish_or_undo("123456", "0").unwrap_err(); // prints "parsed 123456", then "parsed 0"
    assert_eq!(undone.stopped.position, 1);
    assert!(undone.undo_errors.is_empty());

    // 4. Publishing inside a subscriber is fine; without end it is not. `publish` panics at 64 levels (or what
    //    `with_max_depth` says), `try_publish` returns an error.
    static LOOP: Dispatcher<u32, String> = Dispatcher::named("loop").with_max_depth(8);
    let _again = LOOP.subscribe(|level: &u32| match LOOP.try_publish(&(level + 1)) {
        Ok(()) => Ok(()),
        Err(PublishError::Stopped(stopped)) => Err(stopped.error), // from further down: pass it up
        Err(PublishError::TooDeep(deep)) => Err(format!("level {level}: {deep}")),
    });
    let stopped = LOOP.publish(&1).unwrap_err();
    println!("{}", stopped.error);
    assert!(stopped.error.starts_with("level 8: 8 reads"));

    // 5. A panic unwinds to the publisher (its message is on stderr, as ever). Nothing is poisoned: the next publish works.
    let panicking = PARSE.subscribe(|text: &str| assert_ne!(text, "13", "unlucky"));
    assert!(catch_unwind(AssertUnwindSafe(|| PARSE.publish("13"))).is_err());
    drop(panicking);
    PARSE.publish("13")?;
    Ok(())
}
