//! Builds this package on loom's types, and runs each model in a process of its own.
//!
//! Owns what a plain `cargo test` and the `weaken` command have in common: the inner cargo, the processes, the tables.
//! A process each, since a model that fails ends its process, and one with a planted fault may crash it.

use crate::plants::noticed_by;
use signalpost_core::sync::Plant;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

/// The models, built.
#[derive(Debug)]
pub struct Models {
    models: Vec<Model>,
    /// Where they were built, and where the tables go.
    directory: PathBuf,
    limit: Duration,
}

#[derive(Clone, Debug)]
struct Model {
    file: String,
    name: String,
    binary: PathBuf,
}

/// How one process ended.
#[derive(Debug)]
struct Outcome {
    /// None: it was still running at the time limit.
    status: Option<ExitStatus>,
    output: String,
    took: Duration,
}

/// A table, and what is wrong.
#[derive(Debug, Default)]
pub struct Report {
    /// In Markdown.
    pub table: String,
    /// One line for each model that failed, or fault that nobody noticed. Empty if all is well.
    pub wrong: Vec<String>,
}

/// Whether bounds are lifted, by `SIGNALPOST_LOOM_EXHAUSTIVE=1`.
pub fn exhaustive() -> bool {
    env::var_os("SIGNALPOST_LOOM_EXHAUSTIVE").is_some_and(|value| value == "1")
}

/// Builds the models below the target directory that the running program lies in.
///
/// # Errors
/// What went wrong, in words: cargo does not run, or it does not build them.
pub fn build() -> Result<Models, String> {
    let directory = target_directory()?.join("loom");
    let workspace =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("the package lies in a workspace")?;
    eprintln!("building the models on loom's types, in {}", directory.display());
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace);
    cargo.args(["test", "--no-run", "--release", "--locked", "--test", "*"]);
    cargo.args([
        "-p",
        env!("CARGO_PKG_NAME"),
        "--features",
        "loom",
        "--message-format",
        "json-render-diagnostics",
    ]);
    cargo.arg("--target-dir").arg(&directory);
    // The outer build's flags, whatever they are (a sanitizer, coverage), are not for this one.
    for name in ["CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR"]
    {
        cargo.env_remove(name);
    }
    for name in ["MAKEFLAGS", "CARGO_MAKEFLAGS", "RUSTC_WORKSPACE_WRAPPER", "LLVM_PROFILE_FILE"] {
        cargo.env_remove(name);
    }
    if env::var_os("CARGO_LLVM_COV").is_some() {
        cargo.env_remove("RUSTC_WRAPPER");
    }
    cargo.env("RUSTFLAGS", "--cfg signalpost_loom");
    cargo.env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true").env("CARGO_PROFILE_RELEASE_DEBUG", "0");
    let built =
        cargo.stderr(Stdio::inherit()).output().map_err(|error| format!("cargo does not run: {error}"))?;
    if !built.status.success() {
        return Err(format!("the models do not build: {}", built.status));
    }

    let mut models = Vec::new();
    for line in String::from_utf8_lossy(&built.stdout).lines() {
        let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let (Some(binary), Some(file)) = (message["executable"].as_str(), message["target"]["name"].as_str())
        else {
            continue;
        };
        let listed = Command::new(binary).arg("--list").output().map_err(|error| error.to_string())?;
        let names = String::from_utf8_lossy(&listed.stdout).into_owned();
        models.extend(names.lines().filter_map(|line| line.strip_suffix(": test")).map(|name| Model {
            file: file.to_owned(),
            name: name.to_owned(),
            binary: binary.into(),
        }));
    }
    models.sort_by(|a, b| (&a.file, &a.name).cmp(&(&b.file, &b.name)));
    let limit = Duration::from_secs(if exhaustive() { 6 * 3600 } else { 600 });
    Ok(Models { models, directory, limit })
}

/// The one that the running program lies in. Cargo marks it, if it made it, and keeps there what it knows of the compiler.
fn target_directory() -> Result<PathBuf, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let marks = ["CACHEDIR.TAG", ".rustc_info.json"];
    let marked = |directory: &&Path| marks.iter().any(|mark| directory.join(mark).exists());
    let target = program.ancestors().find(marked).ok_or("the program lies in no target directory")?;
    Ok(target.to_owned())
}

impl Models {
    /// Runs every model, as many at a time as there are processors.
    pub fn explore(&self) -> Report {
        let outcomes = in_parallel(&self.models, |model| {
            let outcome = self.run(model, None);
            let said = outcome.explored().unwrap_or_else(|| outcome.failure());
            eprintln!("model {}: {said}, {:.1} s", model.name, outcome.took.as_secs_f64());
            outcome
        });
        let mut report = Report::default();
        report.line("| file | model | executions |\n|---|---|---|");
        for (model, outcome) in self.models.iter().zip(outcomes) {
            let Model { file, name, .. } = model;
            match outcome.explored().filter(|_| outcome.passed()) {
                Some(explored) => report.line(&format!("| `{file}` | `{name}` | {explored} |")),
                None => {
                    report.line(&format!("| `{file}` | `{name}` | **failed** |"));
                    report.wrong.push(format!("model {name}: {}", outcome.failure()));
                }
            }
        }
        if self.models.is_empty() {
            report.wrong.push("there are no models".to_owned());
        }
        report
    }

    /// Plants faults, one at a time, and runs the models that are to notice, until one does.
    pub fn weaken(&self, plants: &[Plant]) -> Report {
        let noticed = in_parallel(plants, |plant| {
            let noticed = self.who_notices(*plant);
            match &noticed {
                Ok((name, how)) => eprintln!("planted {}: noticed by {name}, {how}", plant.name()),
                Err(why) => eprintln!("planted {}: not noticed: {why}", plant.name()),
            }
            noticed
        });
        let mut report = Report::default();
        report.line("| planted fault | noticed by | in |\n|---|---|---|");
        for (plant, noticed) in plants.iter().zip(noticed) {
            let plant = plant.name();
            match noticed {
                Ok((name, how)) => report.line(&format!("| `{plant}` | `{name}` | {how} |")),
                Err(why) => {
                    report.line(&format!("| `{plant}` | **nobody** | {why} |"));
                    report.wrong.push(format!("nobody notices {plant}: {why}"));
                }
            }
        }
        report
    }

    fn who_notices(&self, plant: Plant) -> Result<(&'static str, String), String> {
        let mut why = "no model is chosen for it".to_owned();
        for name in noticed_by(plant) {
            let Some(model) = self.models.iter().find(|model| model.name == *name) else {
                return Err(format!("there is no model {name}"));
            };
            let outcome = self.run(model, Some(plant));
            match outcome.noticed() {
                Some(how) => return Ok((name, how)),
                None => why = format!("{name}: {}", outcome.explored().unwrap_or_else(|| outcome.failure())),
            }
        }
        Err(why)
    }

    fn run(&self, model: &Model, plant: Option<Plant>) -> Outcome {
        let mut command = Command::new(&model.binary);
        command.args(["--exact", &model.name, "--nocapture", "--test-threads", "1"]);
        command.env_remove("SIGNALPOST_WEAKEN").env("RUST_BACKTRACE", "0").current_dir(&self.directory);
        if let Some(plant) = plant {
            command.env("SIGNALPOST_WEAKEN", plant.name());
        }
        if exhaustive() && env::var_os("LOOM_MAX_DURATION").is_none() {
            command.env("LOOM_MAX_DURATION", "600");
        }
        finish(&mut command, self.limit)
    }

    /// Writes tables where the models were built, as `models.md`, and says where that is.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, reports: &[&Report]) -> io::Result<PathBuf> {
        let file = self.directory.join("models.md");
        let tables: Vec<_> = reports.iter().map(|report| report.table.as_str()).collect();
        fs::write(&file, tables.join("\n"))?;
        Ok(file)
    }
}

impl Report {
    fn line(&mut self, line: &str) {
        let _ = writeln!(self.table, "{line}");
    }
}

impl Outcome {
    fn passed(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// "113 executions (all)", if the model said that.
    fn explored(&self) -> Option<String> {
        let line = self.output.lines().rfind(|line| line.contains(" executions ("))?;
        let line = line.rsplit("model ").next()?;
        Some(line.split_once(": ")?.1.to_owned())
    }

    /// Where it failed, or what else ended it.
    fn failure(&self) -> String {
        let said = self.output.split(": failed at ").nth(1).map(str::trim);
        match (self.status, said) {
            (_, Some(said)) => format!("failed at {said}"),
            (None, None) => "was still running at the time limit".to_owned(),
            (Some(status), None) => format!("{status}; {}", self.output.trim()),
        }
    }

    /// Where a planted fault made itself felt: a panic in an execution, or a crash. Not a time limit, nor too few executions.
    fn noticed(&self) -> Option<String> {
        let status = self.status?;
        let mut said = self.output.split(": failed at ").nth(1).unwrap_or_default().lines();
        let execution = said.next().and_then(|line| line.split(':').next());
        match execution {
            Some(execution) if status.code() == Some(101) => {
                // After the place, and a line left empty where loom shows more of them.
                let why = said.find(|line| !line.is_empty()).unwrap_or_default();
                Some(format!("{execution}: {why}"))
            }
            _ if status.code().is_none() => Some(format!("crash: {status}")),
            _ => None,
        }
    }
}

/// Runs a process to its end, or to a limit.
fn finish(command: &mut Command, limit: Duration) -> Outcome {
    let started = Instant::now();
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return Outcome { status: None, output: error.to_string(), took: Duration::ZERO },
    };
    let (stdout, stderr) = (read_all(child.stdout.take()), read_all(child.stderr.take()));
    let status = wait(&mut child, limit);
    let output = stdout.join().unwrap_or_default() + &stderr.join().unwrap_or_default();
    Outcome { status, output, took: started.elapsed() }
}

fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let started = Instant::now();
    while started.elapsed() < limit {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

fn read_all(from: Option<impl io::Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut from) = from {
            let _ = from.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Does the work for each item, on as many threads as there are processors; results in the items' order.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let waiting: Mutex<VecDeque<usize>> = Mutex::new((0..items.len()).collect());
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(index) = next(&waiting) {
                    let result = work(&items[index]);
                    done.lock().expect("no one panics with it").push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no one panics with it");
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

fn next(waiting: &Mutex<VecDeque<usize>>) -> Option<usize> {
    waiting.lock().expect("no one panics with it").pop_front()
}
