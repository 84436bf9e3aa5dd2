//! One publish to `n` subscribers that do almost nothing: dispatch cost only, no real work.
//!
//! Read the ratio to `raw-loop`, the floor. criterion measures one path after the other; for
//! interleaved rounds, and for who wins, run the `lab` command.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use signalpost_lab::{
    harness::{Batch, Gate},
    path::PathName,
};
use std::time::Duration;

fn publish(criterion: &mut Criterion) {
    for subscribers in [0, 1, 16, 1024] {
        let mut group = criterion.benchmark_group(format!("publish/{subscribers}"));
        group.sample_size(30).warm_up_time(Duration::from_millis(300));
        group.measurement_time(Duration::from_millis(700));
        for path in PathName::ALL {
            if !path.is_measured_at(subscribers, 1) {
                continue;
            }
            let lane = path.lane(subscribers);
            group.bench_function(BenchmarkId::from_parameter(path), |bencher| {
                bencher
                    .iter_custom(|publishes| lane.measure(&Gate::new(1), Batch { publishes, laps: 1 }).took);
            });
        }
        group.finish();
    }
}

criterion_group!(benches, publish);
criterion_main!(benches);
