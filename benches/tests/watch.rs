//! `lab watch` and `lab watch-cost` as their users meet them. No test looks at how long anything took; what the monitor must
//! say of a fault that was provoked, it must have said, whatever the machine was doing.

mod common;

use common::{Folder, lab, text};
use serde_json::Value;
use std::fs;

#[test]
fn a_sleeping_task_is_seen_on_every_loop_and_written_down() {
    let folder = Folder::new("sleep");
    let (json, html) = (folder.file("watch.json"), folder.file("watch.html"));
    // Longer than by default: what else the machine does is short beside it.
    let output = lab(&[
        "watch",
        "--quick",
        "--faults",
        "sleep,idle",
        "--max-blocking-time",
        "300ms",
        "--json",
        &json,
        "--html",
        &html,
    ]);
    assert!(output.status.success(), "{output:?}");
    let document: Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    assert_eq!((&document["schema"], &document["max_blocking_ms"]), (&1.into(), &300.0.into()));
    let rows = document["faults"].as_array().unwrap();
    let names: Vec<_> =
        rows.iter().map(|row| (row["loop"].as_str().unwrap(), row["fault"].as_str().unwrap())).collect();
    let loops = ["tokio-current-thread", "tokio-multi-thread", "mio"];
    let expected: Vec<_> = loops.into_iter().flat_map(|name| [(name, "sleep"), (name, "idle")]).collect();
    assert_eq!(names, expected);
    for row in rows.iter().filter(|row| row["fault"] == "sleep") {
        assert_eq!(row["seen"], true, "{row}");
        assert!(row["lasted_ms"].as_f64().unwrap() >= 750.0, "{row}");
        assert_ne!(row["task_right"], false, "{row}");
        assert!(row["after_ms"].as_f64().unwrap() >= 240.0, "{row}");
    }
    for row in rows.iter().filter(|row| row["fault"] == "idle") {
        assert_eq!((&row["seen"], &row["outcome"]), (&false.into(), &"right".into()), "{row}");
    }
    let report = text(&output.stdout);
    for part in
        ["tokio-current-thread", "mio, sleep: expects InSyscall", "requests/s", "top of stack", "6 rows"]
    {
        assert!(report.contains(part), "no {part:?} in:\n{report}");
    }
    assert!(!report.contains('\x1b'), "colour in a pipe");
    assert!(fs::read_to_string(html).unwrap().contains("tokio-multi-thread"));
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 2, "nothing is left beside them");
}

#[test]
fn quiet_prints_the_table_and_nothing_before_it() {
    let run = |quiet: &[&str]| {
        let output = lab(&[&["watch", "--quick", "--loops", "mio", "--faults", "idle"], quiet].concat());
        assert!(output.status.success(), "{output:?}");
        assert_eq!(text(&output.stderr), "");
        text(&output.stdout)
    };
    let (all, table) = (run(&[]), run(&["--quiet"]));
    assert!(all.contains("requests/s") && !table.contains("requests/s"), "{table}");
    assert!(table.contains("mio") && table.contains("1 row"), "{table}");
}

#[test]
#[cfg(target_os = "linux")]
fn memory_that_grows_over_the_limit_and_back_is_told_twice_and_goes_with_any_loop() {
    let output = lab(&["watch", "--quick", "--loops", "mio", "--faults", "memory", "--json", "-", "--check"]);
    let document: Value = serde_json::from_slice(&output.stdout).expect("only JSON on standard output");
    let row = &document["faults"][0];
    assert_eq!((&row["loop"], &row["fault"]), (&"process".into(), &"memory".into()));
    if row["outcome"] != "not_provoked" {
        assert_eq!((&row["outcome"], &row["verdict"]), (&"right".into(), &"exceeded, under".into()), "{row}");
    }
    assert!(text(&output.stderr).contains("1 row"), "{output:?}");
}

#[test]
fn what_cannot_be_asked_for_is_refused_with_what_can() {
    let folder = Folder::new("refused");
    let missing = folder.file("missing/watch.json");
    for (args, says) in [
        (&["--loops", "glib"][..], "possible values: tokio-current-thread, tokio-multi-thread, mio"),
        (&["--faults", "earthquake"], "sleep, spin, mutex"),
        (&["--max-blocking-time", "100"], "100ms, 1s"),
        (&["--max-blocking-time", "1ms"], "from 20ms to 10s"),
        (&["--max-blocking-time", "1h"], "from 20ms to 10s"),
        (&["--soak", "0s"], "from 1s to 1day"),
        (&["--tasks", "green"], "stock, monitored, both"),
        (&["--loops", "mio", "--faults", "block-in-place"], "block-in-place needs tokio-multi-thread"),
        (&["--json", "-", "--html", "-"], "both want standard output"),
        (&["--json", &missing], "expected a file in an existing folder"),
        (&["--html", &missing], "expected a file in an existing folder"),
    ] {
        let output = lab(&[&["watch"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
        assert!(text(&output.stderr).contains(says), "{args:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "", "{args:?}");
    }
}

#[test]
fn help_has_examples_faults_and_exit_codes() {
    let help = text(&lab(&["watch", "--help"]).stdout);
    for part in ["Examples:", "lab watch --quick", "child-wait", "not_provoked", "Exit codes:", "--html"] {
        assert!(help.contains(part), "no {part:?} in:\n{help}");
    }
    assert!(text(&lab(&["--help"]).stdout).contains("watch-cost"));
}

#[test]
fn what_watching_costs_is_measured_judged_and_written() {
    let output =
        lab(&["watch-cost", "--quick", "--rounds", "1", "--steps", "1000", "--json", "-", "--quiet"]);
    assert!(output.status.success(), "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let lanes = document["watch_cost"]["lanes"].as_array().unwrap();
    assert_eq!(lanes.len(), 11);
    for lane in lanes {
        assert!(lane["ns"]["median"].as_f64().unwrap() > 0.0, "{lane}");
    }
    let targets = document["targets"].as_array().unwrap();
    assert_eq!(targets.len(), if cfg!(target_os = "linux") { 9 } else { 7 });
    assert!(text(&output.stderr).contains("What watching costs"));
}
