//! A folder of cases: what came of each, and the line that sums it up.
//!
//! Owns the kinds of cases. A new kind is a line in [`KINDS`]: how one of its cases is run and judged. What is neither there nor
//! broken is skipped, and counted.

use crate::case::{File, Found};
use crate::drive::drive;
use crate::harness::{catch, with_stack};
use crate::rules::{BUS_RULES, Deviation, Verdict, judge};
use crate::types::Door;
use crate::{blocking, config, memory, monitor, patch};
use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier};

struct Kind {
    name: &'static str,
    run: fn(&File) -> Result<Verdict, String>,
}

const KINDS: [Kind; 8] = [
    Kind { name: "notify", run: on_a_bus },
    Kind { name: "classhandler", run: on_a_bus },
    Kind { name: "memory", run: memory::run },
    Kind { name: "config", run: config::run },
    Kind { name: "monitor", run: monitor::run },
    Kind { name: "blocking", run: blocking::run },
    Kind { name: "patch", run: patch::run },
    Kind { name: "patch_all", run: patch::run },
];

fn on_a_bus(file: &File) -> Result<Verdict, String> {
    let case = file.bus_case()?;
    judge(&case, &BUS_RULES, &drive(&case.input, Door::Bus)?)
}

/// The cases that came with this runner.
pub(crate) fn vendored() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The cases to look at.
pub(crate) fn folder() -> PathBuf {
    env::var_os("SIGNALPOST_GOLDEN").map_or_else(vendored, PathBuf::from)
}

/// What came of the files of a folder. Its `Display` is the report.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    matched: usize,
    python_only: usize,
    deviating: usize,
    deviate: BTreeMap<Deviation, Vec<String>>,
    /// Of those that only Python has, what is theirs, where the case does not say so itself.
    of_python: BTreeMap<&'static str, Vec<String>>,
    unknown: BTreeMap<String, usize>,
    failed: Vec<String>,
}

impl Report {
    pub(crate) fn of<'f>(files: impl IntoIterator<Item = &'f Found>) -> Self {
        let mut report = Self::default();
        for (path, file) in files {
            if let Err(error) = file.as_ref().map_err(String::clone).and_then(|file| report.add(file)) {
                report.failed.push(format!("{}: {error}", path.display()));
            }
        }
        report
    }

    fn add(&mut self, file: &File) -> Result<(), String> {
        let Some(kind) = KINDS.iter().find(|kind| kind.name == file.kind) else {
            *self.unknown.entry(file.kind.clone()).or_default() += 1;
            return Ok(());
        };
        if file.python_only {
            self.python_only += 1;
            return Ok(());
        }
        match catch(|| (kind.run)(file))? {
            Verdict::Matched => self.matched += 1,
            Verdict::PythonOnly(what) => {
                self.python_only += 1;
                self.of_python.entry(what).or_default().push(format!("{}--{}", file.kind, file.name));
            }
            Verdict::Deviates(rules) => {
                self.deviating += 1;
                for rule in rules {
                    self.deviate.entry(rule).or_default().push(format!("{}--{}", file.kind, file.name));
                }
            }
        }
        Ok(())
    }

    /// An error if anything failed.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.failed.is_empty() { Ok(()) } else { Err(format!("{} cases failed", self.failed.len())) }
    }

    pub(crate) fn deviations(&self) -> impl Iterator<Item = &Deviation> {
        self.deviate.keys()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (Deviation { name, replaces }, cases) in &self.deviate {
            writeln!(
                f,
                "rule: {name} (instead of {replaces}): {} cases\n    {}",
                cases.len(),
                cases.join(" ")
            )?;
        }
        for (what, cases) in &self.of_python {
            writeln!(f, "python-only: {what}: {} cases\n    {}", cases.len(), cases.join(" "))?;
        }
        for (kind, count) in &self.unknown {
            writeln!(f, "skipped: {count} of the kind {kind}, which is not known here")?;
        }
        for failed in &self.failed {
            writeln!(f, "failed: {failed}")?;
        }
        let Self { matched, deviating, python_only, failed, .. } = self;
        write!(
            f,
            "{matched} matched, {deviating} deviate by rule, {python_only} python-only, {} failed",
            failed.len()
        )
    }
}

pub(crate) fn recorded_cases() -> Result<(), String> {
    let report = Report::of(&File::all_in(&folder())?);
    println!("{report}");
    report.check()
}

/// Each thread has its own buses, and goes through all cases; no two start with the same one.
pub(crate) fn on_several_threads() -> Result<(), String> {
    const THREADS: usize = 4;
    let files = Arc::new(File::all_in(&folder())?);
    let alone = Report::of(&*files);
    let start = Arc::new(Barrier::new(THREADS));
    let run = |number: usize| {
        let (files, start) = (files.clone(), start.clone());
        with_stack(move || {
            start.wait();
            let (begin, end) = files.split_at(files.len() * number / THREADS);
            Report::of(end.iter().chain(begin)).sorted()
        })
    };
    let threads: Vec<_> = (0..THREADS).map(run).collect();
    let alone = alone.sorted();
    for thread in threads {
        let together = thread.join().map_err(|_| "a thread panicked")?;
        if together != alone {
            return Err(format!("expected as alone:\n{alone}\nfound:\n{together}"));
        }
    }
    Ok(())
}

impl Report {
    fn sorted(mut self) -> Self {
        self.deviate.values_mut().chain(self.of_python.values_mut()).for_each(|cases| cases.sort());
        self.failed.sort();
        self
    }
}
