//! Your own dispatcher and subscribers beside signalpost, measured as the lab measures its paths.
//!
//! `cargo run --release -p signalpost-lab --example bench_your_own [FILE.json]`

use signalpost::Dispatcher;
use signalpost_lab::bench::{Contest, Report};
use std::{hint::black_box, sync::RwLock};

struct Order {
    price: u64,
}

type Subscriber = Box<dyn Fn(&Order) + Send + Sync>;

pub(crate) fn measure() -> Report {
    let order = &Order { price: 42 };
    let subscriber = |limit: u64| {
        move |order: &Order| {
            black_box(order.price > limit);
        }
    };

    // What is to be measured: here a Vec behind a lock, as one would write it.
    let yours: RwLock<Vec<Subscriber>> = RwLock::default();
    let ours: Dispatcher<Order> = Dispatcher::new();
    for limit in 0..16 {
        yours.write().unwrap().push(Box::new(subscriber(limit)));
        ours.subscribe(subscriber(limit)).detach();
    }
    let bare: Vec<_> = (0..16).map(subscriber).collect();

    Contest::new()
        .floor("bare calls", || bare.iter().for_each(|call| call(black_box(order))))
        .path("yours", || yours.read().unwrap().iter().for_each(|call| call(black_box(order))))
        .path("signalpost", || ours.publish(black_box(order)))
        .publishers([1, 2])
        .run()
}

fn main() {
    let report = measure();
    print!("{report}");
    if let Some(file) = std::env::args().nth(1) {
        report.write_json(file).expect("the file can be written");
    }
}
