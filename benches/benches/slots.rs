//! One call of a function that does little: through a slot, patched and not, and by what else it could be called.
//!
//! Read the difference to `direct`, or to the row that a patched slot is compared with. criterion measures one path after the
//! other, here in one copy; for interleaved rounds over several copies run `lab slots`.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use signalpost_lab::{
    harness::{Batch, Gate},
    slots::{copies, path::Path},
};
use std::time::Duration;

fn slots(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("slots");
    group.sample_size(30).warm_up_time(Duration::from_millis(300));
    group.measurement_time(Duration::from_millis(700));
    for path in Path::ALL {
        let [lane, ..] = copies::lanes(path);
        group.bench_function(BenchmarkId::from_parameter(path.as_str()), |bencher| {
            bencher
                .iter_custom(|calls| lane.measure(&Gate::new(1), Batch { publishes: calls, laps: 1 }).took);
        });
    }
    group.finish();
}

criterion_group!(benches, slots);
criterion_main!(benches);
