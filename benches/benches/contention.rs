//! A publish by each of two pinned threads at once, to the same subscribers.
//!
//! The time is what one publisher waits for its own publish. Subscribers write no shared memory:
//! what a path loses here against `publish`, it loses in itself. Needs two cores to mean anything.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use signalpost_lab::{crew::Crew, harness::Batch, path::PathName};
use std::{thread, time::Duration};

const PUBLISHERS: usize = 2;

fn contention(criterion: &mut Criterion) {
    for subscribers in [0, 1, 16] {
        let mut group = criterion.benchmark_group(format!("contention/{subscribers}"));
        group.sample_size(20).warm_up_time(Duration::from_millis(300));
        group.measurement_time(Duration::from_millis(700));
        for path in PathName::ALL {
            if !path.is_measured_at(subscribers, PUBLISHERS) {
                continue;
            }
            let lane = path.lane(subscribers);
            thread::scope(|scope| {
                let crew = Crew::start(scope, PUBLISHERS);
                group.bench_function(BenchmarkId::from_parameter(path), |bencher| {
                    bencher.iter_custom(|publishes| {
                        let batch = Batch { publishes, laps: 1 };
                        let measured = crew.measure(&*lane, PUBLISHERS, batch);
                        measured.iter().map(|m| m.took).sum::<Duration>() / PUBLISHERS as u32
                    });
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, contention);
criterion_main!(benches);
