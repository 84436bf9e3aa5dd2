//! A call of a function that does little, as long as its caller waits for the result: through a slot, patched and not, and by what
//! else it could be called.
//!
//! Read the difference to `direct`, or to the row that a patched slot is compared with. criterion measures one path after the
//! other, here in one copy; for interleaved rounds over several copies run `lab slots`.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use signalpost::patch::Scope;
use signalpost_lab::slots::{copies, path::Path};
use std::time::Duration;

fn slots(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("slots");
    group.sample_size(30).warm_up_time(Duration::from_millis(300));
    group.measurement_time(Duration::from_millis(700));
    for path in Path::ALL {
        let [path_to, ..] = copies::of(path);
        let _inside = path_to.setting().inside.as_ref().map(Scope::enter);
        group.bench_function(BenchmarkId::from_parameter(path.as_str()), |bencher| {
            bencher.iter_custom(|calls| path_to.in_turn(calls));
        });
    }
    group.finish();
}

criterion_group!(benches, slots);
criterion_main!(benches);
