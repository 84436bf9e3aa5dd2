//! What every command says, word by word: its `--help`, its refusals, and what it reports, with each number written as `N`.
//!
//! What it should say is in `tests/cmd`; `...` there is what depends on the machine, or on who was fastest. After a change that is meant: `TRYCMD=overwrite SNAPSHOTS=overwrite cargo test
//! -p signalpost-lab --test golden`, and a look at the difference.

mod common;

use common::{Folder, text};
use std::{collections::BTreeSet, fs, path::Path, process::Command};

/// Columns, for what is wrapped; there is no terminal.
const WIDTH: &str = "120";

#[test]
fn help_and_refusals() {
    let cases = trycmd::TestCases::new();
    cases.env("COLUMNS", WIDTH).case("tests/cmd/help/*.trycmd").case("tests/cmd/errors/*.trycmd");
}

#[test]
fn every_command_that_people_may_type_has_its_help_here() {
    let folder = Folder::new("pages");
    assert!(common::lab(&["man", &folder.file("")]).status.success());
    let names = |folder: &Path, end: &str| -> BTreeSet<String> {
        let files =
            fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        files.filter_map(|name| Some(name.strip_suffix(end)?.to_owned())).collect()
    };
    assert_eq!(names(&folder.0, ".1"), names(Path::new("tests/cmd/help"), ".trycmd"));
}

/// Runs of a moment, each with the name of the file that says what it reports.
const RUNS: [(&str, &[&str]); 8] = [
    (
        "paths",
        &["--processes", "1", "--rounds", "1", "--batch", "10", "--subscribers", "0,16", "--publishers", "1"],
    ),
    ("registration", &["registration", "--count", "200", "--repeats", "2"]),
    ("churn", &["churn", "--pairs", "1", "--phase", "10", "--rate", "10000"]),
    ("slots", &["slots", "--rounds", "1", "--batch", "10", "--storm", "20ms"]),
    ("watch-cost", &["watch-cost", "--quick", "--rounds", "1", "--steps", "1000"]),
    ("run", &["run", "--quick", "--duration", "50ms", "--rate", "10k/s", "--subscribers", "1"]),
    ("env", &["env", "--quick"]),
    ("count", &["count", "--quick", "--subscribers", "1", "--baseline", "no-such-baseline.json"]),
];

#[test]
fn what_a_run_reports() {
    for (name, args) in RUNS {
        let output = lab(args);
        if name == "count" && text(&output.stderr).contains("cannot start valgrind") {
            println!("there is no valgrind here");
            continue;
        }
        let file = snapbox::Data::read_from(Path::new(&format!("tests/cmd/runs/{name}.txt")), None);
        snapbox::assert_data_eq!(masked(&text(&output.stdout)), file);
    }
}

#[test]
fn what_is_made_of_files() {
    let folder = Folder::new("golden");
    let (log, run) = (folder.file("log.ndjson"), folder.file("run.json"));
    fs::create_dir(folder.file("gate")).unwrap();
    let lines: String = (0..200).map(|n| format!("{{\"at\": {}}}\n", 1_700_000_000_000_u64 + n)).collect();
    fs::write(&log, lines).unwrap();
    let paths =
        ["--processes", "5", "--rounds", "1", "--batch", "10", "--subscribers", "0", "--publishers", "1"];
    assert!(lab(&[&paths[..], &["--paths", "signalpost", "--json", &run]].concat()).status.success());
    calm(&run);
    let runs: [(&str, &[&str]); 4] = [
        ("replay", &["replay", &log, "--column", "at", "--subscribers", "1"]),
        ("report", &["report", &run, "--md", "-"]),
        ("compare", &["compare", &run, &run]),
        ("gate", &["gate", &folder.file("gate")]),
    ];
    for (name, args) in runs {
        let output = lab(args);
        let said = [text(&output.stdout), text(&output.stderr)];
        let said = masked(&said.concat().replace(folder.0.to_str().unwrap(), "FOLDER"));
        let file = snapbox::Data::read_from(Path::new(&format!("tests/cmd/runs/{name}.txt")), None);
        snapbox::assert_data_eq!(said, file);
    }
}

/// Gives a file the figures of a machine that does nothing else: what is said of them depends on their noise.
fn calm(file: &str) {
    let mut document: serde_json::Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    document["warnings"] = serde_json::json!([]);
    document["machine"]["load"] = serde_json::json!(0.0);
    for measure in document["measures"].as_array_mut().unwrap() {
        measure["repeats"] = serde_json::json!([10.0, 10.1, 10.0, 10.1, 10.0]);
    }
    fs::write(file, document.to_string()).unwrap();
}

/// The lab without progress, as wide as everywhere.
fn lab(args: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    // Without a command these are those of `lab paths`, which take it as well.
    command.args(args).arg("--quiet").env("COLUMNS", WIDTH).output().unwrap()
}

/// The text without what differs from run to run and from machine to machine: numbers are `N`, and what is aligned with them is not;
/// the machine, its warnings, and which targets are met are left out.
fn masked(report: &str) -> String {
    let differs = ["  machine ", "  build ", "  barrier ", "  warning", "  tell what"];
    let mut masked = String::new();
    for line in report.lines().filter(|line| !differs.iter().any(|start| line.starts_with(start))) {
        let mut words = Vec::new();
        for word in line.split_whitespace() {
            words.push(number_masked(word).replace("missed", "met"));
        }
        masked += &words.join(" ").replace("Targets: all N met", "Targets: N of N met");
        masked.push('\n');
    }
    masked
}

/// Each run of digits, with what belongs to a number between and before them, is one `N`.
fn number_masked(word: &str) -> String {
    let mut masked = String::new();
    let mut rest = word;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let before = &rest[..at];
        // A sign, and the marks of the fastest.
        masked += if matches!(before, "*" | "=") {
            ""
        } else {
            before.strip_suffix(['+', '-', '−']).unwrap_or(before)
        };
        masked.push('N');
        let is_part = |c: char| c.is_ascii_digit() || c == ',' || c == '.';
        let number = rest[at..].split(|c| !is_part(c)).next().unwrap_or_default();
        // A comma or a full stop at its end is the sentence's.
        let number = number.trim_end_matches([',', '.']);
        rest = &rest[at + number.len()..];
    }
    masked + rest
}

#[test]
fn numbers_are_masked_and_words_are_not() {
    let report = "  machine  X 9000\n  raw-loop   1.25  -0.5..+1,000.25   p99.9\n(5 of 7), and 3.\n";
    assert_eq!(masked(report), "raw-loop N N..N pN\n(N of N), and N.\n");
}
