//! The `lab` command as its users meet it: what it prints, writes, refuses, and exits with.
//! Settings are tiny; no test looks at how long anything took.

mod common;

use common::{Folder, lab, text};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Output, Stdio},
};

/// A survey that takes a moment.
const TINY: [&str; 8] = ["--processes", "1", "--rounds", "1", "--batch", "10", "--subscribers", "0,16"];

fn tiny(args: &[&str]) -> Output {
    lab(&[&TINY, args].concat())
}

#[test]
fn the_default_command_prints_machine_tables_verdict_and_targets() {
    let output = tiny(&["--quiet"]);
    assert!(output.status.success(), "{output:?}");
    let report = text(&output.stdout);
    for part in ["machine", "barrier", "1 publisher:", "2 publishers at once", "Who wins", "Targets"] {
        assert!(report.contains(part), "no {part:?} in:\n{report}");
    }
    for path in ["raw-loop", "signalpost", "arc-swap-cache", "signals2", "signalpost-mixed"] {
        let row = |line: &str| line.split_whitespace().next() == Some(path) && line.ends_with('%');
        assert_eq!(report.lines().filter(|line| row(line)).count(), 2, "{path} in:\n{report}");
    }
    assert!(!report.contains('\x1b'), "colour in a pipe");
    assert!(report.contains("16 subscribers, over the raw loop"));
    assert!(report.lines().any(|line| line.ends_with("met") || line.ends_with("missed")));
}

#[test]
fn quiet_says_nothing_on_standard_error_and_otherwise_a_pipe_gets_plain_lines() {
    assert_eq!(text(&tiny(&["--quiet", "--paths", "signalpost"]).stderr), "");
    let progress = text(&tiny(&["--paths", "signalpost"]).stderr);
    assert_eq!(progress.lines().count(), 2, "{progress}");
    assert!(progress.lines().all(|line| line.starts_with("measuring: ")), "{progress}");
    assert!(!progress.contains(['\r', '\x1b']));
}

#[test]
fn json_on_standard_output_has_the_schema_and_sends_the_table_to_standard_error() {
    let output = tiny(&["--json", "-", "--quiet"]);
    assert!(output.status.success(), "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).expect("only JSON on stdout");
    assert_eq!(document["schema"], 1);
    assert_eq!(document["rounds"], 1);
    for key in ["cpu", "cores", "os", "kernel", "rustc", "commit", "profile", "barrier"] {
        assert!(!document["machine"][key].is_null(), "machine.{key}");
    }
    let rows = document["rows"].as_array().unwrap();
    // At 0 subscribers 21 paths by one publisher and 15 by two; at 16, with the mixed and without the harness alone, 22 and 16.
    assert_eq!(rows.len(), 21 + 15 + 22 + 16);
    for row in rows {
        assert!(row["path"].is_string(), "{row}");
        for key in ["subscribers", "publishers"] {
            assert!(row[key].is_u64(), "{key} in {row}");
        }
        for key in ["median_ns", "min_ns", "max_ns", "over_raw_ns"] {
            assert!(row[key].is_f64(), "{key} in {row}");
        }
        assert!(row["min_ns"].as_f64() <= row["median_ns"].as_f64(), "{row}");
        assert!(row["median_ns"].as_f64() <= row["max_ns"].as_f64(), "{row}");
        // Who does other work says what it does not do.
        assert!(row["does_the_same"] == true || !row["lacks"].as_str().unwrap().is_empty(), "{row}");
    }
    let measures = document["measures"].as_array().unwrap();
    for (case, metric) in [
        ("signalpost, 16 subscribers, 1 publisher", "median"),
        ("signalpost, 16 subscribers, 2 publishers", "ratio"),
        ("flume, 0 subscribers, 1 publisher", "median"),
    ] {
        let found = measures.iter().find(|one| one["case"] == case && one["metric"] == metric);
        let found = found.unwrap_or_else(|| panic!("no {metric} of {case}"));
        assert_eq!(found["repeats"].as_array().unwrap().len(), 1, "{found}");
    }
    for target in document["targets"].as_array().unwrap() {
        let reached = match target["bound"].as_str().unwrap() {
            "at-most" => target["measured"].as_f64() <= target["limit"].as_f64(),
            "at-least" => target["measured"].as_f64() >= target["limit"].as_f64(),
            other => panic!("bound {other}"),
        };
        assert_eq!(target["met"], reached, "{target}");
    }
    assert!(text(&output.stderr).contains("Who wins"));
}

#[test]
fn a_json_file_is_replaced_and_nothing_is_left_beside_it() {
    let folder = Folder::new("replaced");
    let file = folder.file("run.json");
    fs::write(&file, "old").unwrap();
    assert!(tiny(&["--json", &file, "--quiet", "--paths", "signalpost"]).status.success());
    let document: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(document["schema"], 1);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
}

#[test]
fn a_file_that_cannot_be_written_is_refused_before_anything_is_measured() {
    let folder = Folder::new("refused");
    for file in [folder.file("missing/run.json"), folder.file("")] {
        let output = lab(&["--json", &file]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert_eq!(text(&output.stdout), "");
        let error = text(&output.stderr);
        for part in ["cannot write", "expected a file in an existing folder", "choose another FILE"] {
            assert!(error.contains(part), "{error}");
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_write_that_fails_at_the_end_does_not_lose_the_table() {
    let output = tiny(&["--json", "/dev/full", "--quiet", "--paths", "signalpost"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stdout).contains("Targets"), "{output:?}");
    assert!(text(&output.stderr).contains("cannot write '/dev/full'"), "{output:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_report_that_cannot_be_printed_does_not_lose_the_numbers() {
    let folder = Folder::new("unprinted");
    let file = folder.file("run.json");
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args([&TINY[..], &["--json", &file, "--quiet", "--paths", "signalpost"]].concat())
        .stdout(Stdio::from(full))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("cannot print the report"), "{output:?}");
    let document: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert!(!document["rows"].as_array().unwrap().is_empty());
}

#[test]
fn what_cannot_be_asked_for_is_refused_with_what_can() {
    for (args, says) in [
        (&["--paths", "carrier-pigeon"][..], "possible values: raw-loop, signalpost"),
        (&["--publishers", "0"], "1..=64"),
        (&["--subscribers", "1000001"], "1000000"),
        (&["--subscribers", "-1"], "--subscribers"),
        (&["--rounds", "0"], "1..=10000"),
        (&["--rounds", "many"], "invalid"),
        (&["--paths", "signalpost-mixed", "--subscribers", "4"], "mixed paths need 16"),
        (&["--paths", "std-mutex", "--subscribers", "20000"], "nothing to measure"),
        (&["--json", "x", "churn"], "cannot be used with"),
        (&["registration", "--count", "0"], "1..=1000000"),
        (&["churn", "--rate", "0"], "1..=10000000"),
        (&["slots", "--storm", "2"], "a time from 10ms to 1h, with its unit"),
        (&["slots", "--rounds", "0"], "1..=10000"),
        (&["frobnicate"], "frobnicate"),
    ] {
        let output = lab(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
        assert!(text(&output.stderr).contains(says), "{args:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "", "{args:?}");
    }
}

#[test]
fn help_has_examples_and_every_command() {
    let help = text(&lab(&["--help"]).stdout);
    for part in ["Examples:", "lab --quick", "registration", "churn", "slots", "all", "Exit codes:"] {
        assert!(help.contains(part), "no {part:?} in:\n{help}");
    }
    let help = text(&lab(&["slots", "--help"]).stdout);
    for part in ["Examples:", "lab slots --json slots.json", "--storm <TIME>", "Exit codes:"] {
        assert!(help.contains(part), "no {part:?} in:\n{help}");
    }
}

#[test]
fn several_processes_measure_the_same_and_their_rounds_are_put_together() {
    let args = ["--processes", "3", "--rounds", "2", "--batch", "10", "--subscribers", "16"];
    let output = lab(&[&args[..], &["--json", "-", "--paths", "signalpost"]].concat());
    assert!(output.status.success(), "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&document["processes"], &document["rounds"]), (&3.into(), &6.into()));
    assert_eq!(document["rows"].as_array().unwrap().len(), 2 * 2);
    let report = text(&output.stderr);
    assert!(report.contains("measuring: process 3 of 3: 16 subscribers"), "{report}");
    assert!(report.contains("2 rounds in each of 3 processes"), "{report}");
}

#[test]
#[cfg(unix)]
fn ctrl_c_leaves_what_was_complete_of_the_measuring_processes_marked_partial() {
    let folder = Folder::new("broken-off");
    let file = folder.file("run.json");
    let mut child = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["--processes", "2", "--rounds", "2000", "--batch", "10", "--subscribers", "0,16"])
        .args(["--paths", "signalpost", "--json", &file])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // When the second count has begun, the first is complete; and there is another process to come.
    let mut progress = BufReader::new(child.stderr.take().unwrap()).lines();
    let begun = progress.find(|line| line.as_ref().unwrap().contains("process 1 of 2: 16 subscribers"));
    assert!(begun.is_some());
    let asked = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(asked.success());
    let rest: Vec<_> = progress.map(Result::unwrap).collect();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(!rest.iter().any(|line| line.contains("process 2 of 2: 16")), "{rest:?}");
    let document: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(document["partial"], true);
    let rows = document["rows"].as_array().unwrap();
    assert!(rows.iter().any(|row| row["subscribers"] == 0 && row["path"] == "signalpost"), "{rows:?}");
    assert!(text(&output.stdout).contains("marked partial"), "{output:?}");
}

#[test]
fn only_what_was_asked_for_is_measured() {
    let output = lab(&[
        "paths",
        "--quiet",
        "--json",
        "-",
        "--processes",
        "1",
        "--rounds",
        "1",
        "--batch",
        "10",
        "--paths",
        "std-mutex",
        "--subscribers",
        "4,4",
        "--publishers",
        "1",
    ]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = document["rows"].as_array().unwrap();
    let paths: Vec<_> = rows.iter().map(|row| row["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["raw-loop", "std-mutex"]);
}

#[test]
fn check_exits_with_one_when_a_target_is_missed() {
    // One subscriber alone has a list, and its dispatcher's state, to pay for: over 160 bytes.
    let run =
        |args: &[&str]| lab(&[&["registration", "--count", "1", "--repeats", "1", "--quiet"], args].concat());
    let (unchecked, checked) = (run(&[]), run(&["--check"]));
    assert!(text(&checked.stdout).contains("missed"), "{checked:?}");
    assert_eq!((unchecked.status.code(), checked.status.code()), (Some(0), Some(1)));
}

#[test]
fn registration_and_churn_report_and_write_their_numbers() {
    let output = lab(&["registration", "--count", "500", "--repeats", "1", "--json", "-", "--quiet"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["registration"]["count"], 500);
    assert!(document["registration"]["bytes_each"].as_f64().unwrap() > 0.0, "{document}");
    assert_eq!(document["targets"].as_array().unwrap().len(), 5);
    assert!(text(&output.stderr).contains("Registering 500 subscribers"));

    let output = lab(&[
        "churn",
        "--phase",
        "10",
        "--pairs",
        "1",
        "--rate",
        "10000",
        "--changes",
        "1000",
        "--json",
        "-",
        "--quiet",
    ]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["churn"]["quiet"]["events"], 100);
    assert_eq!(document["churn"]["churned"]["events"], 100);
    assert_eq!(document["targets"].as_array().unwrap().len(), 1);
    assert!(text(&output.stderr).contains("p99.9"));
}

#[test]
fn slots_are_measured_beside_direct_calls_and_no_call_is_torn() {
    let args = ["slots", "--rounds", "1", "--batch", "10", "--storm", "50ms", "--json", "-", "--quiet"];
    let output = lab(&args);
    assert!(output.status.success(), "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = document["rows"].as_array().unwrap();
    let paths: Vec<_> = rows.iter().map(|row| row["path"].as_str().unwrap()).collect();
    let expected = [
        "direct",
        "slot-unpatched",
        "direct-inlined",
        "slot-unpatched-inlined",
        "fn-pointer",
        "slot-fn",
        "boxed-closure",
        "slot-closure",
        "slot-wrap",
        "slot-scoped",
        "slot-scope-elsewhere",
        "fail-rs-idle",
    ];
    assert_eq!(paths, expected);
    assert!(rows.iter().all(|row| row["median_ns"].as_f64() > Some(0.0)), "{document}");
    assert!(rows.iter().all(|row| row["over_direct_ns"].is_f64()), "{document}");
    assert_eq!(document["slots"]["rows"], document["rows"]);
    let storm = &document["slots"]["storm"];
    assert!(storm["cycles"].as_u64() > Some(0) && storm["calls"].as_u64() > Some(0), "{storm}");
    assert_eq!((&storm["torn"], &storm["stale"], &storm["leaked"]), (&0.into(), &0.into(), &0.into()));
    assert_eq!(document["targets"].as_array().unwrap().len(), 9);
    assert!(text(&output.stderr).contains("Calls through patch points"));
}
