//! A subscriber stops an event: those after it never see it, and the publisher is told who it was.
//!
//! `cargo run --example veto`

use signalpost::{Dispatcher, SubscribeOptions};

struct Transfer {
    to: &'static str,
    cents: u64,
}

/// What stops a transfer. Any type will do; it reaches the publisher unchanged.
#[derive(Debug, PartialEq)]
enum Veto {
    OverLimit { by: u64 },
    Blocked,
}

fn main() {
    let transfers: Dispatcher<Transfer, Veto> = Dispatcher::new();

    // Registered first, but at priority 0: it runs after the guards below.
    let _book =
        transfers.subscribe(|transfer: &Transfer| println!("booked: {} to {}", transfer.cents, transfer.to));

    const GUARD: SubscribeOptions = SubscribeOptions::new().priority(10);
    let _limit = transfers.subscribe_with(GUARD.named("limit"), |transfer: &Transfer| {
        match transfer.cents.checked_sub(100_000) {
            Some(by @ 1..) => Err(Veto::OverLimit { by }),
            _ => Ok(()),
        }
    });
    let _blocked = transfers.subscribe_with(GUARD.named("blocked"), |transfer: &Transfer| {
        if transfer.to == "nobody" { Err(Veto::Blocked) } else { Ok(()) }
    });

    assert!(transfers.publish(&Transfer { to: "alice", cents: 2_500 }).is_ok());

    let stopped = transfers.publish(&Transfer { to: "bob", cents: 100_001 }).unwrap_err();
    println!("{:?} by {}; {} did not run", stopped.error, stopped.subscriber, stopped.not_run);
    assert_eq!(stopped.error, Veto::OverLimit { by: 1 });
    assert_eq!((stopped.subscriber.name, stopped.position, stopped.not_run), (Some("limit"), 0, 2));

    let stopped = transfers.publish(&Transfer { to: "nobody", cents: 1 }).unwrap_err();
    assert_eq!((stopped.error, stopped.position), (Veto::Blocked, 1));
}
