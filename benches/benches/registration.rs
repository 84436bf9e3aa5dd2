//! Registering one subscriber and cancelling it, beside `n` that stay.
//!
//! What each structure pays for a change while nobody publishes. Copy-on-write pays for its list;
//! the mutex pays nothing here and everything at publish (see `publish`).

use arc_swap::ArcSwap;
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use signalpost::{Dispatcher, Subscription};
use signalpost_lab::scenario::{Crowd, Same, SharedSubscriber, Tick, subscriber};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// One change beside others.
fn change(criterion: &mut Criterion) {
    for staying in [0, 16, 1024, 100_000] {
        let mut group = criterion.benchmark_group(format!("register and cancel/{staying}"));
        group.sample_size(20).warm_up_time(Duration::from_millis(300));
        group.measurement_time(Duration::from_millis(700));

        let dispatcher = Dispatcher::<Tick>::new();
        let kept: Vec<Subscription> =
            dispatcher.edit(|edit| (0..staying).map(|salt| edit.subscribe(subscriber(salt))).collect());
        group.bench_function("signalpost", |bencher| {
            bencher.iter(|| drop(dispatcher.subscribe(subscriber(1))));
        });
        drop(kept);

        let others = Crowd::<Tick>::shared(Same(staying as usize));
        let swapped = ArcSwap::from_pointee(others.clone());
        group.bench_function("arc-swap-rcu", |bencher| {
            bencher.iter(|| {
                let ours: SharedSubscriber<Tick> = Arc::new(subscriber(1));
                swapped.rcu(|list| {
                    let mut list = Vec::clone(list);
                    list.push(ours.clone());
                    list
                });
                swapped.rcu(|list| {
                    let mut list = Vec::clone(list);
                    list.retain(|other| !Arc::ptr_eq(other, &ours));
                    list
                });
            });
        });

        let locked = Mutex::new(others);
        group.bench_function("std-mutex", |bencher| {
            bencher.iter(|| {
                let ours: SharedSubscriber<Tick> = Arc::new(subscriber(1));
                locked.lock().expect("nothing panics").push(ours.clone());
                locked.lock().expect("nothing panics").retain(|other| !Arc::ptr_eq(other, &ours));
            });
        });
        group.finish();
    }
}

/// Many changes: one by one, and in one edit.
fn many(criterion: &mut Criterion) {
    const COUNT: u64 = 1024;
    let mut group = criterion.benchmark_group(format!("register {COUNT}"));
    group.sample_size(20).warm_up_time(Duration::from_millis(300));
    group.measurement_time(Duration::from_millis(700));
    let fresh = Dispatcher::<Tick>::new;
    group.bench_function(BenchmarkId::from_parameter("one by one"), |bencher| {
        bencher.iter_batched_ref(
            fresh,
            |dispatcher| {
                for salt in 0..COUNT {
                    dispatcher.subscribe(subscriber(salt)).detach();
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function(BenchmarkId::from_parameter("in one edit"), |bencher| {
        bencher.iter_batched_ref(
            fresh,
            |dispatcher| {
                dispatcher.edit(|edit| {
                    for salt in 0..COUNT {
                        edit.subscribe(subscriber(salt)).detach();
                    }
                });
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, change, many);
criterion_main!(benches);
