//! `lab env` as its users meet it: what it prints and writes. What it says depends on the machine, and no test on that.

mod common;

use common::{Folder, lab, text};
use serde_json::Value;
use std::fs;

const ABOUT: [&str; 11] = [
    "medians of a publish",
    "latencies of single publishes",
    "p99 at a fixed rate",
    "p99.9 at a fixed rate",
    "p99.99 at a fixed rate",
    "scaling over publishers",
    "nanoseconds, undisturbed by others",
    "nanoseconds of different days",
    "instruction counts",
    "cycles and cache misses (perf)",
    "signalpost at its fastest",
];

#[test]
fn every_question_is_answered_with_a_reason() {
    let output = lab(&["env", "--quick", "--quiet"]);
    assert!(output.status.success(), "{output:?}");
    let report = text(&output.stdout);
    for about in ABOUT {
        let answered = |line: &str| {
            let line = line.trim_start();
            let answer = ["can ", "cannot ", "unknown "].iter().find_map(|can| line.strip_prefix(can));
            answer.is_some_and(|rest| {
                rest.trim_start().strip_prefix(about).is_some_and(|words| words.trim().len() > 10)
            })
        };
        assert!(report.lines().any(answered), "no answer to {about:?} in\n{report}");
    }
    for figure in
        ["cores allowed", "longest gap while spinning", "a look at the clock", "signalpost's barrier"]
    {
        assert!(
            report.lines().any(|line| line.trim_start().starts_with(figure)),
            "no {figure:?} in\n{report}"
        );
    }
    assert!(report.lines().all(|line| line.chars().count() < 140) && !report.contains('\x1b'));
}

#[test]
fn the_document_has_every_figure_and_none_where_it_is_not_known() {
    let folder = Folder::new("env");
    let file = folder.file("env.json");
    let output = lab(&["env", "--quick", "--quiet", "--json", &file]);
    assert!(output.status.success(), "{output:?}");
    let document: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).expect("JSON");
    let environment = &document["environment"];
    for key in [
        "cpu",
        "cores_online",
        "cores_allowed",
        "cores_apart",
        "quota_cores",
        "governor",
        "boost",
        "virtual_machine",
        "hypervisor",
        "load",
        "clock_source",
        "aslr",
        "perf_event_paranoid",
        "counters",
        "membarrier",
        "barrier",
        "valgrind",
    ] {
        assert!(environment["system"].as_object().unwrap().contains_key(key), "{key}");
    }
    for key in ["clock_cost_ns", "clock_step_ns", "cores_at_once", "publish_ns", "repeats_within_percent"] {
        assert!(
            environment["probe"][key].as_f64().is_some_and(|figure| figure >= 0.0),
            "{key}: {environment}"
        );
    }
    assert!(environment["probe"]["spin"]["longest_gap_ns"].is_u64());
    let verdicts = environment["verdicts"].as_array().unwrap();
    assert_eq!(verdicts.iter().map(|verdict| verdict["about"].as_str().unwrap()).collect::<Vec<_>>(), ABOUT);
    for verdict in verdicts {
        assert!(verdict["can"].is_boolean() || verdict["can"].is_null(), "{verdict}");
        assert!(verdict["words"].as_str().unwrap().len() > 10, "{verdict}");
    }
    assert!(text(&output.stdout).contains("What it can and cannot measure"));
}
