//! Made-up files of the real shape, for tests.

use super::{content::Report, source::Source};
use crate::{
    machine::Machine,
    measure::{Better, Curve, From, Measure, Unit},
    saved::Saved,
};
use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

pub(crate) const EVIL: &str =
    "\"'><img src=x onerror=alert(1)></title></style></svg><script>&amp;|`@someone #1 \0\x1b\u{202e}";

pub(crate) fn machine() -> Machine {
    Machine {
        cpu: "Example 9000".to_owned(),
        cores: 2,
        os: "linux x86_64".to_owned(),
        kernel: "6.1".to_owned(),
        rustc: "rustc 1.95.0".to_owned(),
        commit: "0a4a2e6".to_owned(),
        profile: "release".to_owned(),
        flags: "x86_64-unknown-linux-gnu, opt-level 3".to_owned(),
        barrier: "membarrier".to_owned(),
        load: Some(0.25),
    }
}

pub(crate) fn measure(case: &str, metric: &str, unit: Unit, repeats: &[f64]) -> Measure {
    let better = if unit == Unit::PerSecond { Better::Higher } else { Better::Lower };
    Measure { case: case.to_owned(), metric: metric.to_owned(), unit, better, repeats: repeats.to_vec() }
}

/// Three repeats about a time.
pub(crate) fn median(case: &str, ns: f64) -> Measure {
    measure(case, "median", Unit::Nanoseconds, &[ns * 1.02, ns, ns * 0.99])
}

pub(crate) fn curve(case: &str, from: From, scale: f64) -> Curve {
    let points = [(0.0, 40.0), (0.5, 70.0), (0.9, 90.0), (0.99, 200.0), (0.999, 9_000.0), (1.0, 400_000.0)];
    let points = points.into_iter().map(|(share, ns)| (share, ns * scale)).collect();
    Curve { case: case.to_owned(), from, events: 100_000, points }
}

pub(crate) fn saved() -> Saved {
    let mut measures = Vec::new();
    for (subject, times) in [
        ("raw-loop", [1.49, 20.1]),
        ("signalpost", [3.24, 18.4]),
        ("arc-swap-cache", [1.99, 20.3]),
        ("std-mutex", [11.1, 26.0]),
    ] {
        for (subscribers, ns) in ["1 subscriber", "16 subscribers"].into_iter().zip(times) {
            measures.push(median(&format!("{subject}, {subscribers}, 1 publisher"), ns));
        }
    }
    Saved {
        schema: 1,
        machine: machine(),
        command: vec!["paths".to_owned(), "--quick".to_owned()],
        partial: false,
        warnings: Vec::new(),
        measures,
        curves: Vec::new(),
    }
}

/// As of `lab run`: one case with all its figures, and both curves.
pub(crate) fn run() -> Saved {
    let case = "signalpost, 16 subscribers, 1 publisher, 1,000,000/s";
    let figures = [("p50", 72.0), ("p99", 210.0), ("p99.9", 9_100.0), ("max", 410_000.0), ("raw-p50", 70.0)];
    let mut measures: Vec<_> =
        figures.map(|(metric, ns)| measure(case, metric, Unit::Nanoseconds, &[ns, ns * 1.1])).into();
    measures.push(measure(case, "throughput", Unit::PerSecond, &[999_000.0, 1_000_000.0]));
    measures.push(measure(case, "missed", Unit::Percent, &[0.0, 0.02]));
    Saved {
        command: vec!["run".to_owned(), "--rate".to_owned(), "1M".to_owned()],
        measures,
        curves: vec![curve(case, From::IntendedStart, 1.0), curve(case, From::ActualStart, 0.9)],
        ..saved()
    }
}

pub(crate) fn source(name: &str) -> Source {
    Source { name: name.to_owned(), saved: saved() }
}

/// The same file with all times longer by a factor.
pub(crate) fn slower(name: &str, factor: f64) -> Source {
    let mut source = source(name);
    for measure in &mut source.saved.measures {
        measure.repeats.iter_mut().for_each(|value| *value *= factor);
    }
    source
}

pub(crate) fn report(saved: Vec<Saved>) -> Report {
    let named = saved.into_iter().enumerate();
    Report::of(named.map(|(place, saved)| Source { name: format!("{place}.json"), saved }).collect())
}

/// A folder that is removed in the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("signalpost-page-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The file on disk, as a command would have written it.
pub(crate) fn write(saved: &Saved) -> (Folder, PathBuf) {
    let folder = Folder::new();
    let path = folder.0.join("saved.json");
    let Saved { schema, machine, command, partial, warnings, measures, curves } = saved;
    let document = serde_json::json!({
        "schema": schema, "machine": machine, "command": command, "partial": partial, "warnings": warnings,
        "measures": measures, "curves": curves, "rows": [],
    });
    fs::write(&path, document.to_string()).unwrap();
    (folder, path)
}
