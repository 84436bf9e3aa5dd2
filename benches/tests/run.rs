//! `lab run` as its users meet it: what it prints, writes, refuses, and exits with. Settings are tiny; no test looks at how long
//! anything took.

mod common;

use common::{Folder, lab, text};
use hdrhistogram::{
    Histogram,
    serialization::{
        Deserializer,
        interval_log::{IntervalLogIterator, LogEntry},
    },
};
use serde_json::Value;
use std::{fs, process::Output};

/// Two repeats; at 10,000 a second two hundred events, unless `args` say how long.
fn tiny(args: &[&str]) -> Output {
    let duration: &[&str] = if args.contains(&"--duration") { &[] } else { &["--duration", "20ms"] };
    let settings = ["run", "--quiet", "--warmup", "1ms", "--repeats", "2", "--subscribers", "4"];
    lab(&[&settings, duration, args].concat())
}

/// The numbers of a run that must succeed.
fn measured(args: &[&str]) -> Value {
    let output = tiny(&[args, &["--json", "-"]].concat());
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("only JSON on stdout")
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

const PERCENTILES: [&str; 6] = ["p50_ns", "p90_ns", "p99_ns", "p999_ns", "p9999_ns", "max_ns"];

#[test]
fn at_a_fixed_rate_there_are_as_many_events_as_asked_for_and_corrected_latencies_are_no_less_than_raw_ones() {
    let document = measured(&["--rate", "10k/s", "--publishers", "1,2"]);
    assert_eq!((&document["schema"], &document["partial"]), (&1.into(), &false.into()));
    let rows = document["run"]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert_eq!((&row["events"], &row["never_begun"]), (&200.into(), &0.into()), "{row}");
        for of in [row, &row["each"][0], &row["each"][1]] {
            for (lower, higher) in PERCENTILES.iter().zip(&PERCENTILES[1..]) {
                for from in ["corrected", "raw"] {
                    assert!(number(&of[from][lower]) <= number(&of[from][higher]), "{from} {lower} in {of}");
                }
            }
            for percentile in PERCENTILES {
                assert!(number(&of["corrected"][percentile]) >= number(&of["raw"][percentile]), "{of}");
            }
            assert!((0.0..=100.0).contains(&number(&of["missed_percent"])), "{of}");
        }
    }
}

#[test]
fn measures_have_a_value_for_each_repeat_and_curves_rise() {
    let document = measured(&["--rate", "max,10k/s"]);
    let paced = "signalpost, 4 subscribers, 1 publisher, 10,000/s";
    let closed = "signalpost, 4 subscribers, 1 publisher, closed loop";
    let measures = document["measures"].as_array().unwrap();
    assert!(measures.iter().all(|measure| measure["repeats"].as_array().unwrap().len() == 2), "{document}");
    let metrics = |case: &str| {
        let of_case = measures.iter().filter(|measure| measure["case"] == case);
        of_case.map(|measure| measure["metric"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for metric in ["p50", "p99.99", "max", "raw-p50", "raw-max", "throughput", "missed"] {
        assert!(metrics(paced).iter().any(|name| name == metric), "no {metric}");
    }
    for metric in ["median", "raw-p99", "throughput"] {
        assert!(metrics(closed).iter().any(|name| name == metric), "no {metric}");
    }
    assert!(!metrics(closed).iter().any(|name| name == "p99" || name == "missed"));
    let curves = document["curves"].as_array().unwrap();
    let kinds: Vec<_> = curves
        .iter()
        .map(|curve| (curve["case"].as_str().unwrap(), curve["from"].as_str().unwrap()))
        .collect();
    assert_eq!(kinds, [(closed, "actual-start"), (paced, "intended-start"), (paced, "actual-start")]);
    for curve in curves {
        let points = curve["points"].as_array().unwrap();
        let rises = |pair: &[Value]| {
            pair[0][0].as_f64() < pair[1][0].as_f64() && pair[0][1].as_f64() <= pair[1][1].as_f64()
        };
        assert!(points.len() > 5 && points.windows(2).all(rises), "{curve}");
        assert_eq!(number(&points.last().unwrap()[0]), 1.0);
    }
}

#[test]
fn the_report_names_both_latencies_the_batch_the_clock_and_missed_starts() {
    let output = tiny(&["--rate", "max,10k/s"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let report = text(&output.stdout);
    for part in [
        "signalpost, 4 subscribers, 1 publisher",
        "closed loop  batch of ",
        "corrected",
        "raw",
        "p99.99",
        "missed",
        "A look at the clock costs",
        "nothing is",
    ] {
        assert!(report.contains(part), "no {part:?} in:\n{report}");
    }
}

#[test]
fn a_million_a_second_is_judged_and_a_thousand_is_not() {
    let document = measured(&["--rate", "1M/s,1k/s"]);
    let targets = document["targets"].as_array().unwrap();
    assert_eq!(targets.len(), 1, "{document}");
    assert!(targets[0]["what"].as_str().unwrap().starts_with("missed starts at 1,000,000"), "{document}");
    assert_eq!((&targets[0]["limit"], &targets[0]["unit"]), (&1.0.into(), &"%".into()));
}

#[test]
fn registrations_are_counted_and_what_cannot_change_is_refused_by_name() {
    let document = measured(&["--rate", "10k/s", "--churn", "0,5k/s"]);
    let rows = document["run"]["rows"].as_array().unwrap();
    assert_eq!(rows[0]["changes"], 0);
    assert!(number(&rows[1]["changes"]) > 0.0, "{document}");
    assert_eq!(rows[1]["case"], "signalpost, 4 subscribers, 1 publisher, 10,000/s, churn 5,000/s");
    let refused = tiny(&["--churn", "100", "--paths", "signalpost,raw-loop"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(text(&refused.stderr).contains("nothing can be registered with raw-loop"), "{refused:?}");
}

#[test]
fn more_threads_than_cores_are_warned_of_everywhere() {
    let folder = Folder::new("run-threads");
    let csv = folder.file("run.csv");
    let args = ["--rate", "1k/s", "--publishers", "64", "--csv", &csv];
    let document = measured(&args);
    if document["machine"]["cores"].as_u64() >= Some(64) {
        return; // nothing to warn of
    }
    let warnings = document["warnings"].as_array().unwrap();
    assert!(warnings[0].as_str().unwrap().starts_with("64 threads on "), "{document}");
    assert!(fs::read_to_string(&csv).unwrap().lines().nth(1).unwrap().contains("64 threads on "));
    assert!(text(&tiny(&args).stdout).contains("warning: 64 threads on "));
}

#[test]
fn a_csv_has_a_heading_and_a_row_for_each_case_and_repeat() {
    let folder = Folder::new("run-csv");
    let file = folder.file("run.csv");
    measured(&["--rate", "max,10k/s", "--csv", &file]);
    let mut sheet = csv::Reader::from_path(&file).unwrap();
    let heading: Vec<_> = sheet.headers().unwrap().iter().map(str::to_owned).collect();
    for column in [
        "case",
        "path",
        "mode",
        "repeat",
        "events",
        "missed_percent",
        "corrected_p99.9_ns",
        "raw_max_ns",
        "warnings",
    ] {
        assert!(heading.iter().any(|name| name == column), "no {column} in {heading:?}");
    }
    let rows: Vec<_> = sheet.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 4);
    let mode = heading.iter().position(|name| name == "mode").unwrap();
    assert_eq!(rows.iter().filter(|row| &row[mode] == "fixed-rate").count(), 2);
}

/// The entries of an interval log: start in seconds, tag, events.
fn intervals(file: &str) -> Vec<(f64, String, u64)> {
    let log = fs::read(file).unwrap();
    let mut intervals = Vec::new();
    for entry in IntervalLogIterator::new(&log) {
        let LogEntry::Interval(interval) = entry.expect("the log is well formed") else { continue };
        let packed =
            base64::Engine::decode(&base64::prelude::BASE64_STANDARD, interval.encoded_histogram()).unwrap();
        let latencies: Histogram<u64> = Deserializer::new().deserialize(&mut &packed[..]).unwrap();
        let tag = interval.tag().expect("every interval has a tag").as_str().to_owned();
        intervals.push((interval.start_timestamp().as_secs_f64(), tag, latencies.len()));
    }
    intervals
}

#[test]
fn an_interval_log_has_every_event_of_every_case_once() {
    let folder = Folder::new("run-hlog");
    let file = folder.file("run.hlog");
    let args = [
        "--rate",
        "max,20k/s",
        "--publishers",
        "1,2",
        "--interval",
        "10ms",
        "--duration",
        "100ms",
        "--hlog",
        &file,
    ];
    let document = measured(&args);
    let intervals = intervals(&file);
    for row in document["run"]["rows"].as_array().unwrap() {
        let tag = match row["rate"].is_null() {
            true => format!("signalpost-4-subscribers-{}-publishers-closed-loop", row["publishers"]),
            false => format!("signalpost-4-subscribers-{}-publishers-20000-per-second", row["publishers"]),
        };
        let of_case: Vec<_> = intervals.iter().filter(|(_, name, _)| *name == tag).collect();
        assert!(of_case.len() > 2, "{tag}: {intervals:?}");
        let events: u64 = of_case.iter().map(|(_, _, events)| events).sum();
        assert_eq!(Some(events), row["events"].as_u64(), "{tag}");
    }
    assert!(intervals.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{intervals:?}");
}

#[test]
fn percentile_text_ends_with_the_slowest_event_and_the_number_of_all_and_each_case_has_a_file() {
    let folder = Folder::new("run-hgrm");
    let file = folder.file("run.hgrm");
    let document = measured(&["--rate", "10k/s,20k/s", "--hgrm", &file]);
    for (row, rate) in document["run"]["rows"].as_array().unwrap().iter().zip([10_000, 20_000]) {
        let file = folder.file(&format!("run-signalpost-4-subscribers-1-publishers-{rate}-per-second.hgrm"));
        let text = fs::read_to_string(file).unwrap();
        let words: Vec<_> = text.lines().next().unwrap().split_whitespace().collect();
        assert_eq!(words, ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]);
        let last = text.lines().rfind(|line| !line.starts_with('#')).unwrap();
        let last: Vec<f64> = last.split_whitespace().map(|word| word.parse().unwrap()).collect();
        assert_eq!(last, [number(&row["corrected"]["max_ns"]), 1.0, number(&row["events"])], "{text}");
        let total = text.lines().find(|line| line.contains("Total count")).unwrap();
        assert!(total.contains(&format!(" {}]", row["events"])), "{text}");
    }
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 2);
    measured(&["--rate", "10k/s", "--hgrm", &file]);
    assert!(fs::metadata(&file).unwrap().is_file(), "one case alone has the name that was given");
}

#[test]
fn what_cannot_be_asked_for_is_refused_with_what_can() {
    for (args, says) in [
        (&["--rate", "0"][..], "50k/s"),
        (&["--rate", "-1k/s"], "50k/s"),
        (&["--rate", "fast"], "expected max"),
        (&["--rate", "1k/s,0/s"], "50k/s"),
        (&["--churn", "-1"], "10k/s"),
        (&["--duration", "0s"], "10ms to 1day"),
        (&["--duration", "5"], "with its unit"),
        (&["--duration", "10ms", "--repeats", "1000"], "longer --duration"),
        (&["--repeats", "0"], "1..=1000"),
        (&["--publishers", "0"], "1..=64"),
        (&["--paths", "carrier-pigeon"], "possible values"),
        (&["--paths", "std-mutex", "--subscribers", "20000"], "nothing to measure"),
        (&["--csv", "-"], "only --json"),
        (&["--csv", "same", "--hgrm", "same"], "'same' is asked to hold two things"),
        (&["--hgrm", "missing-folder/x.hgrm"], "cannot write"),
        (&["--csv", "missing-folder/x.csv"], "cannot write"),
        (&["--hlog", "missing-folder/x.hlog"], "cannot write the interval log"),
    ] {
        let output = lab(&[&["run"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
        assert!(text(&output.stderr).contains(says), "{args:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "", "{args:?}");
    }
}

#[test]
fn help_has_examples_and_the_exit_codes() {
    let help = text(&lab(&["run", "--help"]).stdout);
    for part in ["Examples:", "lab run --quick", "--rate <RATE,..>", "--hlog <FILE>", "Exit codes:", "130"] {
        assert!(help.contains(part), "no {part:?} in:\n{help}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_costs_neither_the_report_nor_the_numbers() {
    let folder = Folder::new("run-full");
    for option in ["--csv", "--hgrm"] {
        let json = folder.file("run.json");
        let output = tiny(&["--rate", "10k/s", option, "/dev/full", "--json", &json]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text(&output.stderr).contains("cannot write '/dev/full'"), "{output:?}");
        assert!(text(&output.stdout).contains("corrected"), "{output:?}");
        let document: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
        assert_eq!(document["run"]["rows"][0]["events"], 200);
    }
    let output = tiny(&["--rate", "10k/s", "--json", "/dev/full", "--csv", "/dev/full"]);
    assert_eq!(text(&output.stderr).matches("cannot write '/dev/full'").count(), 2, "{output:?}");
    let refused = tiny(&["--rate", "10k/s", "--hlog", "/dev/full"]);
    assert_eq!((refused.status.code(), text(&refused.stdout).as_str()), (Some(2), ""), "{refused:?}");
    assert!(text(&refused.stderr).contains("cannot write the interval log '/dev/full'"), "{refused:?}");
}

#[test]
fn a_rate_that_has_hardly_an_event_in_the_time_given_is_warned_of() {
    let few = |rate: &str| text(&tiny(&["--rate", rate]).stdout).contains("fewer than ten events a repeat");
    assert!(few("1/s") && !few("10k/s"));
}

#[cfg(unix)]
mod unix {
    use super::*;
    use nix::{
        sys::{
            signal::{Signal, kill},
            stat::Mode,
        },
        unistd::{Pid, mkfifo},
    };
    use std::{
        io::{BufRead, BufReader},
        process::{Child, Command, Stdio},
        thread,
        time::{Duration, Instant},
    };

    /// A run that would take an hour, and its report.
    fn endless(args: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_lab"))
            .args(["run", "--duration", "1h", "--repeats", "1", "--warmup", "1ms"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the lab starts")
    }

    /// Returns when it is so, which must not take a minute.
    fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
        let asked = Instant::now();
        while !is_so() {
            assert!(asked.elapsed() < Duration::from_secs(60), "no {what}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// What it came to.
    fn end_of(mut child: Child) -> Output {
        wait_for("end", || child.try_wait().unwrap().is_some());
        child.wait_with_output().unwrap()
    }

    #[test]
    fn ctrl_c_ends_a_run_with_what_was_measured_marked_partial() {
        let folder = Folder::new("run-ctrl-c");
        let (json, csv, hlog) = (folder.file("run.json"), folder.file("run.csv"), folder.file("run.hlog"));
        for rate in ["100k/s", "max", "0.1"] {
            let files = ["--json", &json, "--csv", &csv, "--hlog", &hlog, "--interval", "10ms"];
            let mut child = endless(&[&["--rate", rate], &files[..]].concat());
            // It says so when it begins; then it may still be warming up.
            let mut said = String::new();
            BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
            assert!(said.contains("repeat 1 of 1"), "{said}");
            match rate {
                "0.1" => thread::sleep(Duration::from_secs(1)), // one event, and ten seconds to the next
                _ => wait_for("an interval", || fs::read_to_string(&hlog).unwrap().contains("Tag=")),
            }
            kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
            let output = end_of(child);
            assert_eq!(output.status.code(), Some(130), "{rate}: {output:?}");
            assert!(text(&output.stdout).contains("interrupted"), "{rate}: {output:?}");
            let document: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
            let rows = document["run"]["rows"].as_array().unwrap();
            assert_eq!((&document["partial"], rows.len()), (&true.into(), 1), "{rate}: {document}");
            let row = &rows[0];
            assert!(row["events"].as_u64() > Some(0) && row["each"][0]["broken_off"] == true, "{row}");
            assert_eq!(row["never_begun"], 0, "what was not due yet is not missed: {row}");
            assert_eq!(fs::read_to_string(&csv).unwrap().lines().count(), 2, "{rate}");
            let logged: u64 = intervals(&hlog).iter().map(|(_, _, events)| events).sum();
            assert_eq!(Some(logged), row["events"].as_u64(), "{rate}");
            fs::remove_file(&json).unwrap();
        }
    }

    #[test]
    fn a_log_that_cannot_be_written_any_more_ends_the_run_and_keeps_the_rest() {
        let folder = Folder::new("run-broken-log");
        let (pipe, json) = (folder.file("hlog"), folder.file("run.json"));
        mkfifo(pipe.as_str(), Mode::S_IRWXU).unwrap();
        let child =
            endless(&["--rate", "10k/s", "--interval", "10ms", "--hlog", &pipe, "--json", &json, "--quiet"]);
        // The heading goes through, then the reader is gone.
        let reader = BufReader::new(fs::File::open(&pipe).unwrap());
        let heading = reader.lines().map(Result::unwrap).find(|line| line.starts_with("#[BaseTime"));
        assert!(heading.is_some());
        let output = end_of(child);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text(&output.stderr).contains("cannot write the interval log"), "{output:?}");
        let report = text(&output.stdout);
        assert!(report.contains("corrected") && report.contains("ended early"), "{report}");
        assert!(!report.contains("interrupted"), "nobody did: {report}");
        let document: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
        assert_eq!(document["partial"], true);
        assert!(document["run"]["rows"][0]["events"].as_u64() > Some(0), "{document}");
        assert!(document["warnings"][0].as_str().unwrap().contains("interval log"), "{document}");
    }
}
