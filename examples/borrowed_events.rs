//! Events that borrow: a request that points into the buffer it was parsed from, published without a copy.
//!
//! An event type is `'static`, since a dispatcher may outlive anything. `str` and `[u8]` are, and a reference to
//! them need not be. A type with a lifetime of its own, like `Request<'a>`, goes through [`Lent`].
//!
//! `cargo run --example borrowed_events`

use signalpost::{Dispatcher, Lent, Shape};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Borrows from the bytes that came in.
struct Request<'a> {
    method: &'a str,
    path: &'a str,
}

/// Stands for `Request<'a>` at every `'a`.
enum Requests {}
impl Shape for Requests {
    type View<'a> = Request<'a>;
}

/// Outlives every request, and may be a `static`: `Requests` itself borrows nothing.
static REQUESTS: Dispatcher<Lent<Requests>, &'static str> = Dispatcher::new();

fn main() {
    static SEEN: AtomicUsize = AtomicUsize::new(0);

    let _allow = REQUESTS.subscribe(|request| {
        // `with` hands out the view at a lifetime that the closure cannot name: nothing borrowed can be kept.
        request.with(|request| if request.method == "GET" { Ok(()) } else { Err("only GET is served") })
    });
    let _count = REQUESTS.subscribe(|request| {
        request.with(|Request { path, .. }| println!("serving {path}"));
        SEEN.fetch_add(1, Relaxed);
    });

    for line in ["GET /index.html", "DELETE /index.html", "GET /logo.svg"] {
        let buffer = line.to_owned(); // as if it had come off a socket
        let (method, path) = buffer.split_once(' ').expect("a method and a path");
        let request = Request { method, path };
        if let Err(stopped) = REQUESTS.publish(Lent::new(&request)) {
            println!("refused {path}: {}", stopped.error);
        }
    } // the buffer is gone, and nobody holds a piece of it

    assert_eq!(SEEN.load(Relaxed), 2);
}
