//! `lab replay` as its users meet it: what is found out about a log, what is replayed, what is refused and in which words.
//! Logs are small and fast; no test looks at how long anything took.

mod common;

use common::{Folder, lab, text};
use flate2::{Compression, write::GzEncoder};
use serde_json::Value;
use std::{
    fs::{self, File},
    io::Write,
    process::{Command, Output, Stdio},
};

fn packed(text: &str) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(text.as_bytes()).unwrap();
    packer.finish().unwrap()
}

/// Replays a log, and gives the document.
fn replay(folder: &Folder, log: &[u8], args: &[&str]) -> Value {
    let file = folder.file("log");
    fs::write(&file, log).unwrap();
    let speed: &[&str] = if args.contains(&"--speed") { &[] } else { &["--speed", "1000000"] };
    let output = lab(&[&["replay", &file, "--json", "-", "--quiet"], speed, args].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("only JSON on standard output")
}

fn refused(args: &[&str]) -> String {
    let output = lab(&[&["replay"], args].concat());
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(text(&output.stdout), "", "nothing is reported of what cannot be replayed");
    text(&output.stderr)
}

fn refused_log(folder: &Folder, log: &[u8], args: &[&str]) -> String {
    let file = folder.file("log");
    fs::write(&file, log).unwrap();
    refused(&[&[file.as_str()], args].concat())
}

fn times(lines: u64) -> String {
    (0..lines).map(|n| format!("{}.{:03}\n", 1_767_225_600 + n / 1_000, n % 1_000)).collect()
}

#[test]
fn every_line_is_an_event_in_each_format_plain_and_packed() {
    let folder = Folder::new("replay-formats");
    let lines = 3_000;
    let second = |n: u64| format!("{:02}:{:02}", n / 600, n / 10 % 60);
    let csv: String =
        (0..lines).map(|n| format!("{n},1767225{:03}.{:03},\"a,\nb\"\n", n / 100, n % 100)).collect();
    let ndjson: String = (0..lines)
        .map(|n| format!("{{\"n\":{n},\"ts\":\"2026-01-31T13:{}.{}Z\"}}\n", second(n), n % 10))
        .collect();
    let common: String = (0..lines)
        .map(|n| {
            format!(
                "10.0.0.1 - - [31/Jan/2026:13:{} +0100] \"GET /{n} HTTP/1.1\" 200 17 \"-\" \"x\"\n",
                second(n)
            )
        })
        .collect();
    for (log, format, spread) in [
        (format!("n,when,what\n{csv}"), "column 2 (when)", Value::Null),
        (ndjson, "under ts", Value::Null),
        (common, "common log format", Value::from("even")),
        (times(lines), "one time a line", Value::Null),
    ] {
        for bytes in [packed(&log), log.into_bytes()] {
            let document = replay(&folder, &bytes, &[]);
            let replay = &document["replay"];
            assert!(replay["log"]["format"].as_str().unwrap().contains(format), "{replay}");
            assert_eq!(replay["log"]["packed"], bytes.starts_with(&[0x1f, 0x8b]));
            assert_eq!((&replay["log"]["events"], &replay["log"]["spread"]), (&Value::from(lines), &spread));
            assert_eq!(replay["rows"][0]["events"], lines);
        }
    }
}

#[test]
fn a_document_has_measures_and_curves_of_every_path_and_repeat() {
    let folder = Folder::new("replay-document");
    let log = times(2_000);
    let document = replay(
        &folder,
        log.as_bytes(),
        &["--paths", "signalpost,std-mutex", "--repeats", "2", "--subscribers", "3"],
    );
    let measures = document["measures"].as_array().unwrap();
    for path in ["signalpost", "std-mutex"] {
        let case = format!("{path}, 3 subscribers, 1 publisher, replay of log at speed 1000000");
        for metric in ["p50", "p99.99", "raw-p50", "missed"] {
            let of = |measure: &&Value| measure["case"] == case.as_str() && measure["metric"] == metric;
            let measure = measures.iter().find(of).unwrap_or_else(|| panic!("no {metric} of {case}"));
            assert_eq!(measure["repeats"].as_array().unwrap().len(), 2, "{measure}");
        }
        let curves = document["curves"].as_array().unwrap();
        assert_eq!(curves.iter().filter(|curve| curve["case"] == case.as_str()).count(), 2);
    }
    assert_eq!(document["replay"]["rows"][0]["events"], 4_000, "both repeats");
    assert_eq!(document["partial"], false);
    let command: Vec<_> =
        document["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert!(command.starts_with(&["replay"]) && command.contains(&"--repeats"), "{command:?}");
}

#[test]
fn the_schedule_is_the_logs_divided_by_the_speed() {
    let folder = Folder::new("replay-speed");
    let log = times(2_001);
    let last_start = |speed: &str| {
        replay(&folder, log.as_bytes(), &["--speed", speed])["replay"]["log"]["last_start_ns"]
            .as_u64()
            .unwrap()
    };
    assert_eq!([last_start("1000"), last_start("2000")], [2_000_000, 1_000_000]);
}

#[test]
fn a_part_of_a_log_can_be_asked_for() {
    let folder = Folder::new("replay-part");
    let log = times(5_000);
    let events = |args: &[&str]| {
        replay(&folder, log.as_bytes(), args)["replay"]["rows"][0]["events"].as_u64().unwrap()
    };
    assert_eq!(events(&["--limit", "17"]), 17);
    assert_eq!(events(&["--from", "1767225601", "--until", "2026-01-01T00:00:03Z"]), 2_000);
    let short = replay(&folder, log.as_bytes(), &["--speed", "1000", "--duration", "1ms"]);
    assert_eq!(short["replay"]["log"]["events"], 1_001, "those of the first second");
    let none = refused_on_the_way(&folder, log.as_bytes(), &["--until", "2020-01-01T00:00:00Z"]);
    assert!(none.contains("no events between --from and --until: 5,000 times were read"), "{none}");
}

#[test]
fn the_report_says_what_was_found_out_and_what_spoils_it() {
    let folder = Folder::new("replay-report");
    let file = folder.file("access.log");
    let line = |second: u64| format!("h - - [31/Jan/2026:13:00:{second:02} +0100] \"GET /\" 200 1\n");
    let log: String = (0..40).map(|n| if n == 20 { line(1) } else { line(n) }).collect();
    fs::write(&file, log + "garbage\n").unwrap();
    let output = lab(&["replay", &file, "--speed", "1000", "--skip-broken", "--quiet"]);
    assert!(output.status.success(), "{output:?}");
    let report = text(&output.stdout);
    for part in [
        "Replaying ",
        "common log format; times between [ and ]",
        "the events of one second start in equal steps over it",
        "40 events: 39s of the log, at speed 1000 that is 39ms",
        "intended start",
        "actual start",
        "warning  1 line is broken, left out; the first is line 41",
        "warning  1 of 40 times go backwards, by up to 18s: due at once",
    ] {
        assert!(report.contains(part), "no {part:?} in\n{report}");
    }
    assert!(!report.contains('\x1b'), "colour in a pipe");
}

#[test]
fn a_long_log_is_never_in_memory_as_a_whole() {
    let folder = Folder::new("replay-long");
    let agent = "x".repeat(150);
    let line = |n: u64| {
        format!("h - - [31/Jan/2026:13:{:02}:{:02} +0100] \"GET /\" 200 1 \"{agent}\"\n", n / 60, n % 60)
    };
    // A hundred lines each second: 77 MB in all.
    let log: String = (0..3_600).map(|second| line(second).repeat(100)).collect();
    let document = replay(&folder, log.as_bytes(), &[]);
    let replay = &document["replay"];
    assert_eq!(
        (&replay["log"]["events"], &replay["log"]["spread_events"]),
        (&360_000.into(), &360_000.into())
    );
    // None where the system does not say.
    let peak = replay["peak_memory_bytes"].as_u64().unwrap_or_default();
    assert!(log.len() > 70_000_000 && peak < 50_000_000, "{peak} bytes for a log of {}", log.len());
}

#[test]
fn standard_input_is_replayed_once() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["replay", "-", "--speed", "1000000", "--quiet", "--json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&packed(&times(700))).unwrap();
    let output: Output = child.wait_with_output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (&document["replay"]["log"]["events"], &document["replay"]["log"]["bytes"]),
        (&700.into(), &Value::Null)
    );
    assert!(refused(&["-", "--repeats", "2"]).contains("standard input can be read once, and 2 replays"));
}

#[test]
fn a_broken_line_is_named_with_what_was_expected() {
    let folder = Folder::new("replay-broken");
    let late = times(10_000).replacen("1767225609.000\n", "seventeen\n", 1);
    let error = refused_on_the_way(&folder, late.as_bytes(), &[]);
    assert!(error.contains("line 9001: found 'seventeen'"), "{error}");
    assert!(error.contains("expected a time (epoch seconds)") && error.contains("--skip-broken"), "{error}");
    let error = refused_log(&folder, b"a,b\n1,2\n", &["--column", "ts"]);
    assert!(error.contains("no column 'ts'") && error.contains("a, b"), "{error}");
    let error = refused_log(&folder, b"{\"a\":1}\n", &["--column", "b"]);
    assert!(error.contains("line 1: found the keys a"), "{error}");
}

#[test]
fn what_was_measured_before_a_broken_line_is_reported_and_written() {
    let folder = Folder::new("replay-broken-late");
    let (file, json) = (folder.file("log"), folder.file("replay.json"));
    // More than the queue takes, so that some were published when the line was read.
    let lines = 600_000;
    fs::write(&file, times(lines) + "seventeen\n1767235600\n").unwrap();
    let output = lab(&["replay", &file, "--speed", "1000000", "--quiet", "--json", &json]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stderr).contains("line 600001: found 'seventeen'"), "{output:?}");
    let report = text(&output.stdout);
    assert!(report.contains("ended early") && report.contains("intended start"), "{report}");
    let document: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    let (log, row) = (&document["replay"]["log"], &document["replay"]["rows"][0]);
    assert_eq!((&document["partial"], &log["events"]), (&true.into(), &row["events"]));
    let events = row["events"].as_u64().unwrap();
    assert!(events > 0 && events <= lines, "{events}");
    // A millisecond apart, of which no more is said than was published.
    let span = log["span_ns"].as_u64().unwrap();
    assert!(span.abs_diff(events * 1_000_000) < 3_000_000, "{events} events in {span} ns");
    assert!(document["warnings"].to_string().contains("could not be read to its end"), "{document}");
}

#[test]
fn a_first_line_of_great_length_is_not_taken_for_no_line() {
    let folder = Folder::new("replay-long-line");
    let log = format!("time,what\n1767225600,{}\n1767225601,y\n", "x".repeat(100_000));
    let error = refused_log(&folder, log.as_bytes(), &[]);
    assert!(error.contains("goes on beyond the first 64 kB"), "{error}");
}

/// As [`refused_log`], where that is found out while the log is replayed: the report has begun.
fn refused_on_the_way(folder: &Folder, log: &[u8], args: &[&str]) -> String {
    let file = folder.file("log");
    fs::write(&file, log).unwrap();
    let output = lab(&[&["replay", &file, "--speed", "1000000", "--quiet"], args].concat());
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    text(&output.stderr)
}

#[test]
fn files_that_are_no_logs_are_refused_in_words() {
    let folder = Folder::new("replay-no-log");
    assert!(refused(&[&folder.file("missing")]).contains("cannot read"));
    assert!(refused(&[folder.0.to_str().unwrap()]).contains("is a folder"));
    assert!(refused_log(&folder, b"", &[]).contains("is empty"));
    assert!(refused_log(&folder, b"\x89PNG\x00\x00", &[]).contains("is not text: byte 5 is 0"));
    assert!(refused_log(&folder, &[0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3, 4], &[]).contains("zstd"));
    let log = packed(&times(200_000));
    let error = refused_on_the_way(&folder, &log[..log.len() / 2], &[]);
    assert!(error.contains("breaks off in the middle of its packed data, after line "), "{error}");
    let error = refused_log(&folder, &packed(&times(10))[..30], &[]);
    assert!(error.contains("breaks off"), "{error}");
}

#[test]
fn a_log_in_another_order_is_refused_unless_that_is_known() {
    let folder = Folder::new("replay-order");
    let log: String = (0..3_000).rev().map(|n| format!("{}\n", 1_767_225_600 + n)).collect();
    let error = refused_on_the_way(&folder, log.as_bytes(), &[]);
    assert!(error.contains("999 of the first 1,000 times are before one that stands above them"), "{error}");
    let document = replay(&folder, log.as_bytes(), &["--unordered"]);
    assert_eq!(document["replay"]["log"]["backwards"], 2_999);
    assert_eq!(document["replay"]["rows"][0]["events"], 3_000);
}

#[test]
fn a_speed_that_is_none_is_refused() {
    let folder = Folder::new("replay-usage");
    for speed in ["0", "-2", "nan", "max"] {
        let error = refused_log(&folder, b"1\n", &["--speed", speed]);
        assert!(error.contains("a number above 0"), "{speed}: {error}");
    }
    for args in [
        ["--limit", "0"],
        ["--duration", "0s"],
        ["--missed-after", "1"],
        ["--delimiter", "ab"],
        ["--from", "noon"],
    ] {
        assert!(refused_log(&folder, b"1\n", &args).contains("expected") || args[0] == "--limit", "{args:?}");
    }
    assert!(refused_log(&folder, b"1\n2\n", &["--from", "2", "--until", "1"]).contains("not after"));
}

#[cfg(unix)]
#[test]
fn what_was_replayed_before_ctrl_c_is_written_and_marked() {
    let folder = Folder::new("replay-interrupted");
    let (log, json) = (folder.file("log"), folder.file("out.json"));
    // An event at once, one after three milliseconds, and one in an hour.
    fs::write(&log, "1767225600.000\n1767225600.003\n1767229200.000\n").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["replay", &log, "--quiet", "--json", &json])
        .stdout(File::create(folder.file("report")).unwrap())
        .spawn()
        .unwrap();
    // Its heading says that it listens; two events are published in no time then.
    while !fs::read_to_string(folder.file("report")).unwrap().contains("Replaying") {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let document: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!((&document["partial"], &document["replay"]["rows"][0]["events"]), (&true.into(), &2.into()));
    assert!(fs::read_to_string(folder.file("report")).unwrap().contains("marked partial"));
}
