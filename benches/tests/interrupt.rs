//! Ctrl-C, a terminal that goes away, and a full disk: what was measured until then is there, marked partial, and nothing panics.
//! Real signals to a real `lab`; no test looks at how long anything took.
#![cfg(unix)]

#[allow(dead_code)] // what it starts is over when it returns
mod common;

use common::{Folder, text};
use nix::{
    pty::{Winsize, openpty},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

/// Ends a test that hangs.
const PATIENCE: Duration = Duration::from_secs(120);

fn lab(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command.args(args).stdin(Stdio::null()).env_remove("CI").env_remove("NO_COLOR").env("TERM", "xterm");
    command
}

/// The lines of a stream as they come, until it is closed.
fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// Waits for a line that says that something is measured now, and lets it begin.
fn wait_for_progress(lines: &Receiver<String>) {
    loop {
        let line = lines.recv_timeout(PATIENCE).expect("it says what it measures");
        if line.starts_with("measuring: ") || line.contains(" expects ") {
            return;
        }
    }
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

/// Whether whoever started the tests has these signals ignored, which everything that they start inherits: then a signal does nothing.
fn is_ignored(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal as i32 - 1) & 1 == 1
}

/// This signal, or one that is not ignored.
fn heard(signal: Signal) -> Signal {
    if is_ignored(signal) { Signal::SIGTERM } else { signal }
}

/// Starts it, sends the signal once it measures, and gives its exit code, its report, and its document.
fn interrupted(name: &str, signal: Signal, args: &[&str]) -> (Option<i32>, String, Value) {
    let folder = Folder::new(name);
    let file = folder.file("partial.json");
    let mut command = lab(&[args, &["--json", &file]].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let said = lines(child.stderr.take().unwrap());
    let reported = lines(child.stdout.take().unwrap());
    let (mut report, mut watch) = (String::new(), false);
    if args[0] == "watch" {
        // Its lines are its report.
        wait_for_progress(&reported);
        watch = true;
    } else {
        wait_for_progress(&said);
    }
    send(&child, heard(signal));
    while let Ok(line) = reported.recv_timeout(PATIENCE) {
        report += &line;
        report.push('\n');
    }
    let status = child.wait().unwrap();
    let rest: Vec<_> = said.iter().collect();
    assert!(!rest.iter().any(|line| line.contains("panicked")), "{rest:?}");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "nothing is left beside it");
    let document: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(document["partial"], true, "{document}");
    assert!(report.contains("marked partial"), "watch: {watch}\n{report}");
    (status.code(), report, document)
}

/// So many that no machine comes to the end of them.
const MANY: &str = "1000";

#[test]
fn registration_ends_with_the_repeats_that_were_done() {
    let args = ["registration", "--count", "2000", "--repeats", MANY];
    let (code, report, document) = interrupted("registration", Signal::SIGINT, &args);
    assert_eq!(code, Some(130));
    let repeats = document["registration"]["repeats"].as_u64().unwrap();
    assert!((1..1_000).contains(&repeats), "{repeats}");
    assert_eq!(document["measures"][0]["repeats"].as_array().unwrap().len() as u64, repeats);
    assert!(report.contains("Registering 2,000 subscribers") && report.contains("Targets"), "{report}");
}

#[test]
fn churn_ends_with_the_pairs_that_were_done() {
    let args = ["churn", "--pairs", MANY, "--phase", "20", "--rate", "10000"];
    let (code, _, document) = interrupted("churn", Signal::SIGTERM, &args);
    let pairs = document["churn"]["pairs"].as_u64().unwrap();
    assert!(code == Some(130) && (1..1_000).contains(&pairs), "{code:?}, {pairs}");
    assert_eq!(document["churn"]["quiet"]["events"].as_u64().unwrap(), pairs * 200);
}

#[test]
fn slots_end_with_whole_rounds_and_each_part_once() {
    let args = ["slots", "--rounds", MANY, "--batch", "50", "--storm", "1h"];
    let (code, _, document) = interrupted("slots", Signal::SIGINT, &args);
    let rounds = document["slots"]["rounds"].as_u64().unwrap();
    assert!(code == Some(130) && (1..1_000).contains(&rounds), "{code:?}, {rounds}");
    assert_eq!(document["rows"].as_array().unwrap().len(), 12);
    assert!(document["slots"]["storm"]["cycles"].as_u64().unwrap() > 0, "{document}");
}

#[test]
fn what_watching_costs_ends_without_the_look_at_the_monitor() {
    let args = ["watch-cost", "--rounds", MANY, "--steps", "20000"];
    let (code, report, document) = interrupted("watch-cost", Signal::SIGHUP, &args);
    let rounds = document["watch_cost"]["rounds"].as_u64().unwrap();
    assert!(code == Some(130) && (1..1_000).contains(&rounds), "{code:?}, {rounds}");
    assert!(document["watch_cost"]["own"].is_null() && report.contains("is not known"), "{report}");
}

#[test]
fn a_watch_without_a_view_writes_what_was_seen() {
    let args = [
        "watch",
        "--plain",
        "--loops",
        "mio",
        "--faults",
        "idle,sleep",
        "--max-blocking-time",
        "20ms",
        "--soak",
        "1h",
    ];
    let (code, _, document) = interrupted("watch", Signal::SIGINT, &args);
    assert_eq!((code, &document["schema"]), (Some(130), &1.into()));
}

#[test]
fn after_ctrl_c_nothing_else_of_all_is_begun() {
    let folder = Folder::new("all");
    let file = folder.file("all.json");
    let mut child = lab(&["all", "--quick", "--json", &file])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = lines(child.stderr.take().unwrap());
    wait_for_progress(&said);
    send(&child, heard(Signal::SIGINT));
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let document: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(document["partial"], true);
    for later in ["handoff", "registration", "churn", "watch_cost", "slots"] {
        assert!(document[later].is_null(), "{later}");
    }
}

#[test]
fn a_second_ctrl_c_ends_at_once_and_leaves_nothing_behind() {
    let folder = Folder::new("twice");
    let file = folder.file("run.json");
    let mut child = lab(&["registration", "--count", "1000000", "--repeats", MANY, "--json", &file])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_progress(&lines(child.stderr.take().unwrap()));
    // More than one, until it has ended.
    while child.try_wait().unwrap().is_none() {
        send(&child, heard(Signal::SIGINT));
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0, "neither a document nor a draft");
}

/// A terminal, whose other end is the test's.
fn terminal() -> (File, File) {
    let size = Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(Some(&size), None).unwrap();
    // Copies, which processes that are started do not inherit.
    (File::from(pty.master.try_clone().unwrap()), File::from(pty.slave.try_clone().unwrap()))
}

const SHORT: [&str; 5] = ["registration", "--count", "200", "--repeats", "2"];

/// All that was shown on the terminal until it was closed.
fn shown(mut ours: File) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    // On Linux the end of a terminal is an error.
    while let Ok(read @ 1..) = ours.read(&mut chunk) {
        bytes.extend_from_slice(&chunk[..read]);
    }
    text(&bytes)
}

#[test]
fn a_terminal_has_a_bar_unless_it_or_its_user_wants_none() {
    for (variable, value, bar) in
        [("TERM", "xterm", true), ("TERM", "dumb", false), ("NO_COLOR", "1", false), ("CI", "1", false)]
    {
        let (ours, theirs) = terminal();
        let mut child =
            lab(&SHORT).env(variable, value).stdout(Stdio::null()).stderr(theirs).spawn().unwrap();
        let shown = shown(ours);
        assert!(child.wait().unwrap().success());
        assert_eq!(shown.contains('%'), bar, "{variable}={value}: {shown:?}");
        assert_eq!(shown.contains("measuring: "), !bar, "{variable}={value}: {shown:?}");
        assert_eq!(shown.contains('\x1b'), bar, "{variable}={value}: {shown:?}");
    }
}

#[test]
fn a_terminal_that_resizes_keeps_its_bar() {
    let (ours, theirs) = terminal();
    let end = || theirs.try_clone().unwrap();
    let mut command = lab(&SHORT);
    let mut child = command.stdout(Stdio::null()).stderr(end()).spawn().unwrap();
    drop(command);
    let resize =
        |columns: &str| Command::new("stty").args(["columns", columns]).stdin(end()).status().is_ok();
    while child.try_wait().unwrap().is_none() {
        if !["3", "1", "300", "40"].into_iter().all(resize) {
            println!("there is no stty here");
        }
    }
    assert!(child.wait().unwrap().success());
    drop(theirs);
    let shown = shown(ours);
    assert!(shown.contains('%') && !shown.contains("panicked"), "{shown:?}");
}

#[test]
fn a_terminal_that_goes_away_does_not_lose_the_numbers() {
    let folder = Folder::new("gone");
    let file = folder.file("run.json");
    let (mut ours, theirs) = terminal();
    let mut child =
        lab(&[&SHORT[..], &["--json", &file]].concat()).stdout(Stdio::null()).stderr(theirs).spawn().unwrap();
    ours.read_exact(&mut [0; 1]).unwrap();
    drop(ours);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let document: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!((&document["registration"]["repeats"], &document["partial"]), (&2.into(), &false.into()));
}

#[test]
fn a_report_that_nobody_reads_does_not_lose_the_numbers() {
    let folder = Folder::new("unread");
    let file = folder.file("run.json");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = lab(&[&SHORT[..], &["--json", &file]].concat()).stdout(writer).output().unwrap();
    assert!(!text(&output.stderr).contains("panicked"), "{output:?}");
    let document: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(document["registration"]["repeats"], 2);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_under_standard_error_changes_nothing() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = lab(&SHORT).stderr(full).output().unwrap();
    assert!(output.status.success() && text(&output.stdout).contains("Targets"), "{output:?}");
}
