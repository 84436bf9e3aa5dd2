//! `lab compare` and `lab gate` as their users meet them: every exit code, and what is said with it.
//! Figures are made up where they decide; no test looks at how long anything took.

mod common;

use common::{Folder, lab, text};
use serde_json::{Value, json};
use std::{fs, process::Output};

/// A file of the lab with these figures: case, metric, repeats.
fn document(figures: &[(&str, &str, &[f64])]) -> Value {
    let measure = |(case, metric, repeats): &(&str, &str, &[f64])| {
        let (unit, better) = match *metric {
            "throughput" => ("1/s", "higher"),
            "missed" => ("%", "lower"),
            "instructions" => ("instructions", "lower"),
            _ => ("ns", "lower"),
        };
        json!({ "case": case, "metric": metric, "unit": unit, "better": better, "repeats": repeats })
    };
    json!({
        "schema": 1,
        "machine": {
            "cpu": "Example 9000", "cores": 2, "os": "linux x86_64", "kernel": "6.1", "rustc": "rustc 1.92.0",
            "commit": "abc123", "profile": "release", "flags": "x86_64; opt-level 3", "barrier": "membarrier",
            "load": 0.1,
        },
        "command": ["paths", "--processes", "5"],
        "partial": false,
        "warnings": [],
        "measures": figures.iter().map(measure).collect::<Vec<_>>(),
        "curves": [],
    })
}

const ONE: &str = "signalpost, 16 subscribers, 1 publisher";
const BASE: [f64; 5] = [20.0, 20.1, 19.9, 20.05, 19.95];

fn by(factor: f64) -> Vec<f64> {
    BASE.iter().map(|value| value * factor).collect()
}

fn times(factor: f64) -> Value {
    document(&[(ONE, "median", &by(factor))])
}

/// The two as files, compared.
fn compared(name: &str, base: &Value, new: &Value, options: &[&str]) -> (Option<i32>, String, String) {
    let folder = Folder::new(name);
    let (a, b) = (folder.file("base.json"), folder.file("new.json"));
    fs::write(&a, base.to_string()).unwrap();
    fs::write(&b, new.to_string()).unwrap();
    said(&lab(&[&["compare", &a, &b], options].concat()))
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn what_did_not_change_is_fine_and_what_became_worse_fails_by_name() {
    let (code, report, _) = compared("same", &times(1.0), &times(1.002), &[]);
    assert_eq!(code, Some(0), "{report}");
    for part in
        ["Two files compared", ONE, "median", "+5%", "no difference that can be told", "commit abc123"]
    {
        assert!(report.contains(part), "no {part:?} in:\n{report}");
    }
    let (code, report, _) = compared("worse", &times(1.0), &times(1.2), &[]);
    assert_eq!(code, Some(1), "{report}");
    let line = format!("regressed: {ONE}: median +20.0 %, between ");
    assert!(report.contains(&line) && report.contains("beyond median:+5%"), "{report}");
    let (code, report, _) = compared("better", &times(1.0), &times(0.8), &[]);
    assert_eq!((code, report.contains("better")), (Some(0), true), "{report}");
}

#[test]
fn the_limit_and_the_least_effect_are_those_asked_for() {
    for (options, code) in [
        (&["--fail-on", "median:+15%"][..], 1),
        (&["--fail-on", "median:+25%"], 0),
        (&["--fail-on", "median:+15%", "--min-effect", "5ns"], 0),
        (&["--fail-on", "p99:+10%,median:+15%", "--min-effect", "1ns"], 1),
        (&["--only", "64 subscribers,16 subscribers"], 1),
    ] {
        let figures = |factor: f64| document(&[(ONE, "median", &by(factor)), (ONE, "p99", &BASE)]);
        let (exit, report, _) = compared("limits", &figures(1.0), &figures(1.2), options);
        // The p99 did not change in either.
        assert_eq!(exit, Some(code), "{options:?}:\n{report}");
        assert_eq!(report.contains("too small to count"), options.contains(&"5ns"), "{report}");
    }
    let throughput = |factor: f64| document(&[(ONE, "throughput", &by(1e6 * factor))]);
    assert_eq!(compared("less", &throughput(1.0), &throughput(0.9), &[]).0, Some(1));
    assert_eq!(compared("more", &throughput(1.0), &throughput(1.1), &[]).0, Some(0));
    let instructions = |count: f64| document(&[(ONE, "instructions", &[count])]);
    assert_eq!(compared("exact", &instructions(200.0), &instructions(203.0), &[]).0, Some(1));
    assert_eq!(compared("exact", &instructions(200.0), &instructions(201.0), &[]).0, Some(0));
}

#[test]
fn wrong_usage_is_refused_with_what_was_expected() {
    let good = times(1.0);
    for (options, says) in [
        (&["--fail-on", "median"][..], "expected METRIC:+N%"),
        (&["--fail-on", "median:5%"], "the limit has no sign"),
        (&["--fail-on", "median:-5%"], "that would be better, not worse; write median:+5%"),
        (&["--fail-on", "p98:+5%"], "no such metric in what is compared; there are: median"),
        (&["--min-effect", "1"], "a number with its unit"),
        (&["--only", "carrier-pigeon"], "--only carrier-pigeon: no case"),
        (&["--md", "-", "--json", "-"], "both take standard output"),
        (&["--rounds", "5"], "--ab"),
        (&["--ab", "lab"], "cannot be used with"),
        (&["--json", "missing/folder/x.json"], "cannot write"),
    ] {
        let (code, report, error) = compared("usage", &good, &good, options);
        assert_eq!((code, report.as_str()), (Some(2), ""), "{options:?}: {error}");
        assert!(error.contains(says), "{options:?}: {error}");
    }
    let (code, _, error) = said(&lab(&["compare"]));
    assert_eq!((code, error.contains("lab compare [OPTIONS] <BASE> <NEW>")), (Some(2), true), "{error}");
    let unlimited = document(&[(ONE, "missed", &BASE)]);
    let (code, _, error) = compared("unlimited", &unlimited, &unlimited, &[]);
    assert_eq!((code, error.contains("there are: missed")), (Some(2), true), "{error}");
}

#[test]
fn a_file_that_is_broken_or_has_no_figures_is_said_with_the_place() {
    let folder = Folder::new("broken");
    let (good, bad) = (folder.file("good.json"), folder.file("bad.json"));
    fs::write(&good, times(1.0).to_string()).unwrap();
    for (content, says) in [
        ("{\n \"schema\": 1,,\n}".to_owned(), "line 2"),
        ("{\"schema\": 7}".to_owned(), "schema 7"),
        (document(&[]).to_string(), "has no figures that can be compared"),
    ] {
        fs::write(&bad, content).unwrap();
        for files in [[&good, &bad], [&bad, &good]] {
            let (code, _, error) = said(&lab(&["compare", files[0], files[1]]));
            assert_eq!(code, Some(2), "{error}");
            assert!(error.contains("bad.json") && error.contains(says), "{error}");
            assert!(error.contains("expected what"), "{error}");
        }
    }
    let (code, _, error) = said(&lab(&["compare", &good, &folder.file("absent.json")]));
    assert_eq!((code, error.contains("cannot read")), (Some(2), true), "{error}");
}

#[test]
fn a_base_that_is_not_there_is_another_exit_code_and_how_to_make_it_is_said() {
    let folder = Folder::new("baseless");
    let new = folder.file("new.json");
    fs::write(&new, times(1.0).to_string()).unwrap();
    let (code, _, error) = said(&lab(&["compare", &folder.file("base.json"), &new]));
    assert_eq!(code, Some(3));
    assert!(error.contains("lab paths --processes 5 --json") && error.contains("to compare with"), "{error}");
}

#[test]
fn fewer_than_five_repeats_are_named_with_the_option_that_gives_more() {
    let few = document(&[(ONE, "median", &BASE[..3])]);
    let (code, report, _) = compared("few", &few, &times(1.0), &[]);
    assert_eq!(code, Some(2), "{report}");
    for part in [
        "too few repeats: signalpost, 16 subscribers, 1 publisher: median (3 and 5)",
        "--processes 5 or more",
    ] {
        assert!(report.contains(part), "no {part:?} in:\n{report}");
    }
}

#[test]
fn another_machine_build_command_or_half_a_measurement_is_not_compared_unless_asked_to() {
    let base = times(1.0);
    for (pointer, value, says) in [
        ("/machine/cpu", json!("Other 1"), "processor: Example 9000, now Other 1"),
        ("/machine/cores", json!(4), "cores: 2, now 4"),
        ("/machine/flags", json!("x86_64; opt-level 1"), "flags: "),
        ("/machine/profile", json!("debug"), "profile: release, now debug"),
        ("/machine/os", json!("macos aarch64"), "system: "),
        ("/command", json!(["paths", "--processes", "7"]), "command: lab paths --processes 5, now lab paths"),
        ("/partial", json!(true), "measurement: whole, now broken off"),
    ] {
        let mut new = times(1.2);
        *new.pointer_mut(pointer).unwrap() = value;
        let (code, report, _) = compared("other", &base, &new, &[]);
        assert_eq!(code, Some(4), "{pointer}:\n{report}");
        for part in [says, "not comparable", "--anyway", "--ab OTHER_BINARY"] {
            assert!(report.contains(part), "no {part:?} in:\n{report}");
        }
        let (code, report, _) = compared("anyway", &base, &new, &["--anyway"]);
        assert_eq!(code, Some(1), "{pointer}:\n{report}");
        assert!(report.contains(&format!("warning  {says}")), "{report}");
    }
    let mut new = times(1.0);
    new["machine"]["kernel"] = json!("6.2");
    let (code, report, _) = compared("kernel", &base, &new, &[]);
    assert_eq!((code, report.contains("kernel: 6.1, now 6.2")), (Some(0), true), "{report}");
}

#[test]
fn cases_of_one_file_only_are_said_and_missing_ones_fail() {
    let (two, one) = (document(&[(ONE, "median", &BASE), ("other", "median", &BASE)]), times(1.0));
    let (code, report, _) = compared("missing", &two, &one, &[]);
    assert_eq!(code, Some(4), "{report}");
    assert!(report.contains("missing in the new one: other: median") && report.contains("--allow-missing"));
    assert_eq!(compared("missing", &two, &one, &["--allow-missing"]).0, Some(0));
    assert_eq!(compared("missing", &two, &one, &["--only", "signalpost"]).0, Some(0));
    let (code, report, _) = compared("added", &one, &two, &[]);
    assert_eq!((code, report.contains("only in the new one: other: median")), (Some(0), true), "{report}");
    // What became worse for sure is not hidden by what is missing.
    let worse = document(&[(ONE, "median", &by(1.5))]);
    assert_eq!(compared("both", &two, &worse, &[]).0, Some(1));
}

#[test]
fn json_and_markdown_have_every_figure_and_the_same_files_give_the_same_answer() {
    let (base, new) = (times(1.0), times(1.2));
    let (code, out, table) = compared("json", &base, &new, &["--json", "-"]);
    assert_eq!(code, Some(1));
    assert!(table.contains("regressed"), "{table}");
    let document: Value = serde_json::from_str(&out).expect("only JSON on standard output");
    assert_eq!((&document["schema"], &document["machine"]["cpu"]), (&json!(1), &json!("Example 9000")));
    let row = &document["compare"]["rows"][0];
    assert_eq!((&row["verdict"], &row["limit"]), (&json!("regressed"), &json!("median:+5%")));
    for end in ["low", "middle", "high"] {
        let end = row["change"][end].as_f64().unwrap();
        assert!((18.0..22.0).contains(&end), "{row}");
    }
    assert!(row["change"]["confidence"].as_f64().unwrap() >= 0.95);
    let again = compared("json", &base, &new, &["--json", "-"]).1;
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!(document["compare"]["rows"], again["compare"]["rows"]);
    let (code, markdown, table) = compared("md", &base, &new, &["--md", "-"]);
    assert_eq!(code, Some(1));
    assert!(markdown.starts_with("### Two files compared") && table.contains("Two files compared"));
    assert!(markdown.contains(&format!("| {ONE} | median | 20.0 ns | 24.0 ns | +20.0 % |")), "{markdown}");
    assert!(markdown.contains("**regressed**"));
}

#[test]
fn help_says_how_to_use_both_in_ci() {
    for command in ["compare", "gate"] {
        let help = text(&lab(&[command, "--help"]).stdout);
        for part in ["Examples:", "Exit codes:", "it turns 1 into 2", "In CI:", "median:+5%"] {
            assert!(help.contains(part), "no {part:?} in:\n{help}");
        }
    }
}

/// A command that takes a moment, and five repeats.
const MEASURE: [&str; 5] = ["registration", "--count", "500", "--repeats", "5"];

/// Nothing that takes a moment can be ten seconds slower.
const NEVER: [&str; 2] = ["--min-effect", "10s"];

#[test]
fn two_builds_run_in_turns_and_every_round_is_a_pair() {
    let this = env!("CARGO_BIN_EXE_lab");
    let command = ["--", "registration", "--count", "200", "--repeats", "1"];
    let args = [&["compare", "--ab", this, "--rounds", "5", "--json", "-"], &NEVER[..], &command].concat();
    let (code, out, err) = said(&lab(&args));
    assert_eq!(code, Some(0), "{err}");
    assert!(
        err.contains("measuring: round 5 of 5") && err.contains("Two builds compared, in 5 rounds"),
        "{err}"
    );
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&document["rounds"], &document["partial"]), (&json!(5), &json!(false)));
    let compared = &document["compare"];
    assert_eq!(compared["interleaved"], true);
    assert_eq!(compared["base"]["machine"]["commit"], compared["new"]["machine"]["commit"]);
    for row in compared["rows"].as_array().unwrap() {
        assert_eq!(row["repeats"], json!([5, 5]), "{row}");
    }
    assert_eq!(document["command"].as_array().unwrap().last(), Some(&json!("1")));
}

#[cfg(unix)]
mod programs {
    use super::*;
    use std::{
        io::{BufRead, BufReader, Read},
        os::unix::fs::PermissionsExt,
        process::{Command, Stdio},
    };

    fn script(folder: &Folder, name: &str, lines: &str) -> String {
        let file = folder.file(name);
        fs::write(&file, format!("#!/bin/sh\n{lines}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    #[test]
    fn a_program_that_is_no_lab_or_fails_is_said_with_what_it_said() {
        let folder = Folder::new("programs");
        let hello = "if [ \"$1\" = --version ]; then echo lab 0.0.1; exit; fi";
        for (name, lines, says) in [
            ("pigeon", "echo coo", "is no lab: it answers --version with 'coo'"),
            ("dumb", "exit 3", "failed (exit status: 3)"),
            ("failing", &format!("{hello}\necho error: no such path >&2; exit 2"), "error: no such path"),
            ("silent", hello, "wrote no document of the lab"),
        ] {
            let program = script(&folder, name, lines);
            let args = [&["compare", "--quiet", "--ab", &program, "--"], &MEASURE[..]].concat();
            let (code, _, error) = said(&lab(&args));
            assert_eq!(code, Some(2), "{name}: {error}");
            assert!(error.contains(says) && error.contains(name), "{name}: {error}");
        }
        let (code, _, error) = said(&lab(&["compare", "--ab", &folder.file("absent")]));
        assert_eq!((code, error.contains("expected another build of the lab")), (Some(2), true), "{error}");
    }

    #[test]
    fn what_was_measured_before_ctrl_c_is_written_and_marked_partial() {
        let folder = Folder::new("interrupted");
        let file = folder.file("ab.json");
        let this = env!("CARGO_BIN_EXE_lab");
        let mut child = Command::new(this)
            .args(["compare", "--ab", this, "--rounds", "1000", "--json", &file])
            .args([&NEVER[..], &["--", "registration", "--count", "200", "--repeats", "1"]].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("round 3 of 1000")));
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        // Read on, or it would wait for a reader.
        let rest = std::thread::spawn(move || lines.count());
        let mut report = String::new();
        child.stdout.take().unwrap().read_to_string(&mut report).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{report}");
        rest.join().unwrap();
        assert!(report.contains("interrupted: this is what was measured until then"), "{report}");
        let document: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        assert_eq!(document["partial"], true);
        assert!(document["rounds"].as_u64().unwrap() >= 2 && document["compare"]["rows"].is_array());
    }
}

/// A folder with one baseline that this machine measured.
fn gated(name: &str) -> (Folder, String) {
    let folder = Folder::new(name);
    let baseline = folder.file("registration.json");
    let made = lab(&[&MEASURE[..], &["--quiet", "--json", &baseline]].concat());
    assert!(made.status.success(), "{made:?}");
    (folder, baseline)
}

fn gate(folder: &Folder, options: &[&str]) -> (Option<i32>, String, String) {
    said(&lab(&[&["gate", folder.0.to_str().unwrap()], options].concat()))
}

/// Changes a file of the lab.
fn edit(file: &str, change: impl FnOnce(&mut Value)) {
    let mut document: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    change(&mut document);
    fs::write(file, document.to_string()).unwrap();
}

/// As if everything had been a thousand times faster.
fn was_faster(document: &mut Value) {
    for measure in document["measures"].as_array_mut().unwrap() {
        for value in measure["repeats"].as_array_mut().unwrap() {
            *value = json!(value.as_f64().unwrap() / 1000.0);
        }
    }
}

#[test]
fn a_gate_measures_the_same_again_and_blesses_only_when_asked_to() {
    let (folder, baseline) = gated("gate");
    let (code, report, err) = gate(&folder, &NEVER);
    assert_eq!(code, Some(0), "{report}{err}");
    assert!(err.contains("measuring: registration.json, 1 of 1"), "{err}");
    for part in ["1 baseline", "registration.json", "fine", "lab registration --count 500 --repeats 5"] {
        assert!(report.contains(part), "no {part:?} in:\n{report}");
    }
    edit(&baseline, was_faster);
    let before = fs::read(&baseline).unwrap();
    let (code, report, _) = gate(&folder, &["--quiet", "--fail-on", "median:+5%"]);
    assert_eq!((code, report.contains("regressed: registration")), (Some(1), true), "{report}");
    assert_eq!(fs::read(&baseline).unwrap(), before, "a gate that fails changes no baseline");
    let (code, report, _) = gate(&folder, &["--quiet", "--bless"]);
    assert_eq!((code, report.contains("kept as the new baseline")), (Some(0), true), "{report}");
    assert_ne!(fs::read(&baseline).unwrap(), before);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "nothing is left beside it");
    let (code, out, _) = gate(&folder, &[&NEVER[..], &["--json", "-"]].concat());
    let document: Value = serde_json::from_str(&out).unwrap();
    let judged = &document["gate"]["baselines"][0];
    assert_eq!((code, &judged["exit"], &judged["file"]), (Some(0), &json!(0), &json!("registration.json")));
    assert!(judged["comparison"]["rows"].is_array());
}

#[test]
fn a_gate_runs_nothing_but_what_measures_whatever_a_file_asks_for() {
    let (folder, baseline) = gated("trusted");
    let target = folder.file("written.hlog");
    for command in [json!(["gate", folder.0]), json!(["run", "--hlog", target])] {
        edit(&baseline, |document| document["command"] = command.clone());
        let (code, report, error) = gate(&folder, &["--quiet"]);
        assert_eq!(code, Some(2), "{report}{error}");
        assert!(report.contains("expected a command that measures"), "{report}{error}");
    }
    assert!(!fs::exists(&target).unwrap());
}

#[test]
fn a_gate_without_baselines_says_how_to_make_one() {
    let folder = Folder::new("gateless");
    for dir in [folder.file(""), folder.file("absent")] {
        let (code, _, error) = said(&lab(&["gate", &dir]));
        assert_eq!(code, Some(3), "{error}");
        assert!(
            error.contains("no baseline in") && error.contains("lab registration --repeats 9 --json"),
            "{error}"
        );
    }
    fs::write(folder.file("file"), "").unwrap();
    let (code, _, error) = said(&lab(&["gate", &folder.file("file")]));
    assert_eq!((code, error.contains("cannot read the folder")), (Some(2), true), "{error}");
}

#[test]
fn what_was_measured_elsewhere_is_not_measured_and_the_worst_wins() {
    let (folder, baseline) = gated("elsewhere");
    edit(&baseline, |document| document["machine"]["cpu"] = json!("Other 1"));
    let (code, report, _) = gate(&folder, &["--quiet"]);
    assert_eq!(code, Some(4), "{report}");
    assert!(report.contains("not measured: another processor: Other 1"), "{report}");
    // One that is broken, beside it: that could not be judged at all.
    fs::write(folder.file("broken.json"), "{").unwrap();
    let (code, report, _) = gate(&folder, &["--quiet"]);
    assert_eq!((code, report.contains("broken.json' is no file of the lab")), (Some(2), true), "{report}");
    // And one that became worse.
    fs::copy(&baseline, folder.file("worse.json")).unwrap();
    edit(&folder.file("worse.json"), was_faster);
    let (code, report, _) = gate(&folder, &["--quiet", "--anyway", "--only", "one edit"]);
    assert_eq!((code, report.contains("warning  processor: Other 1")), (Some(1), true), "{report}");
}

#[test]
fn files_that_are_there_are_judged_instead_of_measuring() {
    let (folder, baseline) = gated("files");
    let other = Folder::new("files-new");
    let new = other.file("registration.json");
    fs::copy(&baseline, &new).unwrap();
    let (code, report, err) = gate(&folder, &["--new", &new]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{report}");
    // By its command, where the names differ.
    let named = other.file("another-name.json");
    fs::rename(&new, &named).unwrap();
    assert_eq!(gate(&folder, &["--new", &named]).0, Some(0));
    edit(&named, |document| document["command"] = json!(["registration", "--count", "9"]));
    let (code, _, error) = gate(&folder, &["--new", &named]);
    assert_eq!((code, error.contains("belongs to no baseline")), (Some(2), true), "{error}");
    // Kept, it is a baseline of its own name.
    let (code, report, _) = gate(&folder, &["--bless", "--new", &named]);
    assert_eq!((code, folder.0.join("another-name.json").is_file()), (Some(0), true), "{report}");
    let (code, report, _) = gate(&folder, &["--new", &named]);
    assert_eq!((code, report.contains("registration.json: not judged")), (Some(0), true), "{report}");
    // What was broken off is not kept.
    edit(&named, |document| document["partial"] = json!(true));
    let (code, _, error) = gate(&folder, &["--bless", "--new", &named]);
    assert_eq!((code, error.contains("it cannot be a baseline")), (Some(2), true), "{error}");
}
