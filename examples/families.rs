//! Families: handlers that take every event of one kind, also of kinds that others declare later.
//!
//! `cargo run --example families`

use signalpost::{Bus, BusStop, event, family};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What all events about money have in common. The family is a name for "whatever shows itself as this".
trait Money {
    fn cents(&self) -> u64;
}
family!(struct MoneyEvents: dyn Money = "shop.money");

/// A narrower one: money that has not moved yet.
trait Pending: Money {
    fn account(&self) -> &str;
}
family!(struct PendingEvents: dyn Pending = "shop.pending");

/// Belongs to both, the most specific first: in that order their handlers run.
struct WillPay {
    account: &'static str,
    cents: u64,
}
impl Money for WillPay {
    fn cents(&self) -> u64 {
        self.cents
    }
}
impl Pending for WillPay {
    fn account(&self) -> &str {
        self.account
    }
}
event!(WillPay: "shop.will_pay", stop = BusStop, families = [PendingEvents, MoneyEvents]);

/// Declared elsewhere, by someone who knows the family and none of its handlers.
struct Refunded(u64);
impl Money for Refunded {
    fn cents(&self) -> u64 {
        self.0
    }
}
event!(Refunded: "shop.refunded", families = [MoneyEvents]);

struct ShopClosed;
event!(ShopClosed: "shop.closed");

fn main() {
    static TURNOVER: AtomicU64 = AtomicU64::new(0);
    let bus = Bus::new();
    // Registered from the widest to the narrowest; an event goes from the narrowest to the widest.
    let _turnover = bus.family::<MoneyEvents>().subscribe(|event| {
        TURNOVER.fetch_add(event.cents(), Relaxed);
        println!("  money: {} cents", event.cents());
    });
    let _limit = bus.family::<PendingEvents>().subscribe(|event| {
        println!("  pending: account {}", event.account());
        if event.cents() > 1_000 { Err(BusStop::veto("over the limit")) } else { Ok(()) }
    });
    let _own = bus
        .topic::<WillPay>()
        .subscribe(|event| println!("  will pay: {} to {}", event.cents, event.account));

    println!("a payment");
    bus.publish(&WillPay { account: "alice", cents: 900 }).expect("under the limit");
    println!("a refund");
    bus.publish(&Refunded(50)).expect("nobody stops it");
    println!("no money at all");
    bus.publish(&ShopClosed).expect("nobody hears it");
    assert_eq!(TURNOVER.load(Relaxed), 950);

    // A handler of a family may veto what can be vetoed: the wider family never hears of it.
    println!("a payment over the limit");
    let stopped = bus.publish(&WillPay { account: "bob", cents: 1_001 }).expect_err("over the limit");
    println!("{stopped}");
    assert!(matches!(stopped.error, BusStop::Veto(veto) if veto.reason == "over the limit"));
    assert_eq!((stopped.position, stopped.not_run), (1, 1));
    assert_eq!(TURNOVER.load(Relaxed), 950);
}
