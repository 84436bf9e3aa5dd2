//! `examples/logwatch` from end to end: the built program, real pipes, exact counts.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// What 1 MiB is to the example: the longest piece that it publishes.
const PIECE: usize = 1 << 20;

const LOG: &str = "\
2026-03-01 INFO  up\n\
2026-03-01 ERROR disk full\n\
2026-03-01 warning: slow disk\r\n\
\n\
2026-03-01 INFO healthcheck ERROR ignored\n\
2026-03-01 Fatal error, giving up";

/// Has cargo build the example beside this test, with the same profile, and says where it is. Where `cargo test` has just
/// done so, this is a look at time stamps.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        // target/[triple/]profile/deps/this-test
        let test = std::env::current_exe().expect("a test has a file");
        let profile = test.parent().and_then(Path::parent).expect("target/profile/deps/test");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target/tmp");
        let name = |folder: &Path| folder.file_name().expect("a named folder").to_owned();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--quiet", "--example", "logwatch"]);
        cargo.arg("--target-dir").arg(target).arg("--profile").arg(match name(profile) {
            debug if debug == "debug" => "dev".into(),
            other => other,
        });
        let above = profile.parent().expect("target/profile");
        if above != target {
            cargo.arg("--target").arg(name(above));
        }
        assert!(cargo.status().expect("cargo runs").success(), "building the example: {cargo:?}");
        profile.join("examples").join(format!("logwatch{}", std::env::consts::EXE_SUFFIX))
    })
}

fn logwatch<const N: usize>(args: [&str; N], input: &[u8]) -> Output {
    let mut child = Command::new(program())
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example starts");
    let mut stdin = child.stdin.take().expect("piped");
    std::thread::scope(|threads| {
        // A program that ends without having read its input is no error of the test's.
        threads.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().expect("the example ends")
    })
}

/// The report of a run that went well, but for its line on speed, which no two runs share.
fn report<const N: usize>(args: [&str; N], input: &[u8]) -> String {
    let Output { status, stdout, stderr } = logwatch(args, input);
    let errors = String::from_utf8(stderr).expect("messages are text");
    assert!(status.success() && errors.is_empty(), "{status}: {errors}");
    let stdout = String::from_utf8(stdout).expect("a report is text");
    let (speed, rest): (Vec<&str>, Vec<&str>) = stdout.lines().partition(|line| line.starts_with("rate "));
    assert!(speed.len() == 1 && speed[0].contains(" lines/s, ") && speed[0].contains(" MB/s"), "{stdout}");
    rest.join("\n")
}

/// The report's line that begins with `key`.
fn row<'r>(report: &'r str, key: &str) -> &'r str {
    let mut rows = report.lines().filter_map(|line| line.strip_prefix(key)).map(str::trim_start);
    let row = rows.next().unwrap_or_else(|| panic!("no row {key:?} in\n{report}"));
    assert_eq!(rows.next(), None, "two rows {key:?} in\n{report}");
    row
}

/// A folder of this test's own, under cargo's target folder.
fn folder(name: &str) -> PathBuf {
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("logwatch-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("the folder for tests can be written to");
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the path is text")
}

#[test]
fn every_line_is_counted_once_and_has_its_worst_level() {
    let expected = "\
lines    6 (154 bytes, 1 input(s))
fatal    1
error    2
warn     1
info     1
debug    0
no level 1
alerts   0
cut      0 lines longer than 1 MiB, into 0 pieces
not text 0 lines with bytes that are not UTF-8";
    assert_eq!(report(["-"], LOG.as_bytes()), expected);
}

#[test]
fn an_ignored_line_reaches_nobody_else() {
    let args = ["--match", "disk", "--match=ERROR", "--ignore", "healthcheck", "-"];
    let report = report(args, LOG.as_bytes());
    assert_eq!(row(&report, "match    \"disk\":"), "2, the first at (stdin):2");
    assert_eq!(row(&report, "match    \"ERROR\":"), "1, the first at (stdin):2");
    assert_eq!(row(&report, "ignore   \"healthcheck\":"), "1, the first at (stdin):5");
    assert_eq!(row(&report, "error"), "1");
    assert_eq!(row(&report, "spared"), "3 calls of subscribers behind an ignore");
    assert_eq!(row(&report, "lines"), "6 (154 bytes, 1 input(s))");
}

#[test]
fn several_files_are_one_stream_and_places_name_the_file() {
    let folder = folder("several");
    let (first, second) = (folder.join("first.log"), folder.join("second.log"));
    fs::write(&first, LOG).expect("written");
    fs::write(&second, "one\ntwo needle\n").expect("written");
    let report = report(["--match", "needle", "--", text(&first), text(&second)], b"not read");
    assert_eq!(row(&report, "lines"), "8 (169 bytes, 2 input(s))");
    assert_eq!(row(&report, "match    \"needle\":"), format!("1, the first at {}:2", second.display()));
    fs::remove_dir_all(folder).expect("removed");
}

#[test]
fn a_burst_raises_one_alert_until_it_has_calmed_down() {
    let calm = "INFO fine\n".repeat(50);
    let burst = "ERROR a\nINFO b\n".repeat(8);
    let log = [&*calm, &*burst, &*calm, &*burst, &*calm].concat();
    let report = report(["--burst", "5/20", "-"], log.as_bytes());
    assert_eq!(row(&report, "alerts"), "2");
    let alerts: Vec<_> = report.lines().filter(|line| line.starts_with("ALERT")).collect();
    // The fifth error is nine lines into the burst: 50 + 9, and 50 + 16 + 50 + 9.
    assert_eq!(
        alerts,
        [
            "ALERT    (stdin):59: 5 errors within 20 lines; now: ERROR a",
            "ALERT    (stdin):125: 5 errors within 20 lines; now: ERROR a"
        ]
    );
}

#[test]
fn errors_too_far_apart_raise_no_alert_and_those_just_within_do() {
    let at = |gap: usize| ["ERROR x\n", &"y\n".repeat(gap - 1)].concat().repeat(3);
    assert_eq!(row(&report(["--burst", "3/21", "-"], at(10).as_bytes()), "alerts"), "1");
    assert_eq!(row(&report(["--burst", "3/20", "-"], at(10).as_bytes()), "alerts"), "0");
}

#[test]
fn alerts_past_the_fiftieth_are_counted_but_not_printed() {
    let log = ["ERROR a\nERROR b\n", &"calm\n".repeat(9)].concat().repeat(60);
    let report = report(["--burst", "2/5", "-"], log.as_bytes());
    assert_eq!(row(&report, "alerts"), "60");
    assert_eq!(report.lines().filter(|line| line.contains("errors within")).count(), 50);
    assert_eq!(report.lines().filter(|line| line.contains("only counted")).count(), 1);
}

#[test]
fn a_long_line_is_cut_into_pieces_and_all_of_it_is_looked_at() {
    let mut log = vec![b'x'; 2 * PIECE + 10];
    log.splice(2 * PIECE + 1.., *b" needle!\nnext needle\n");
    let report = report(["--match", "needle", "-"], &log);
    assert_eq!(row(&report, "cut"), "1 lines longer than 1 MiB, into 3 pieces");
    assert_eq!(row(&report, "match    \"needle\":"), "2, the first at (stdin):1");
    assert_eq!(row(&report, "lines"), "2 (2,097,174 bytes, 1 input(s))");
    assert_eq!(row(&report, "no level"), "4");
}

#[test]
fn a_line_of_exactly_one_piece_is_not_cut_whatever_ends_it() {
    for end in ["", "\n", "\nnext"] {
        let log = ["x".repeat(PIECE).as_str(), end].concat();
        let report = report(["-"], log.as_bytes());
        assert_eq!(row(&report, "cut"), "0 lines longer than 1 MiB, into 0 pieces", "ended by {end:?}");
    }
    let report = report(["-"], "x".repeat(PIECE + 1).as_bytes());
    assert_eq!(row(&report, "cut"), "1 lines longer than 1 MiB, into 2 pieces");
}

#[test]
fn a_cut_goes_through_no_character() {
    for before in 0..4 {
        // Characters of 1, 2, 3 and 4 bytes at every offset from the cut.
        for character in ["x", "ß", "€", "🦀"] {
            let line = ["y".repeat(before), character.repeat(PIECE / 2)].concat();
            let report = report(["--match", character, "-"], line.as_bytes());
            assert_eq!(
                row(&report, "not text"),
                "0 lines with bytes that are not UTF-8",
                "{before} {character}"
            );
        }
    }
}

#[test]
fn bytes_that_are_not_utf8_are_counted_and_the_text_around_them_is_found() {
    let log = b"ERROR caf\xe9 needle\nfine\n\xff\xfe\n\xe2\x82\nneedle \xf0\x9f\xa6\x80\n";
    let report = report(["--match", "needle", "--match", "\u{fffd} needle", "-"], log);
    assert_eq!(row(&report, "not text"), "3 lines with bytes that are not UTF-8");
    assert_eq!(row(&report, "match    \"needle\":"), "2, the first at (stdin):1");
    assert_eq!(row(&report, "match    \"\u{fffd} needle\":"), "1, the first at (stdin):1");
    assert_eq!(row(&report, "error"), "1");
    assert_eq!(row(&report, "lines"), "5 (41 bytes, 1 input(s))");
}

#[test]
fn nothing_in_is_nothing_found() {
    let report = report(["-"], b"");
    assert_eq!(row(&report, "lines"), "0 (0 bytes, 1 input(s))");
}

#[test]
fn help_goes_to_standard_output_and_is_no_failure() {
    let Output { status, stdout, .. } = logwatch(["--help", "--nonsense"], b"");
    assert!(status.success());
    let help = String::from_utf8(stdout).expect("text");
    for word in ["usage:", "examples:", "exit status:", "--match", "--ignore", "--burst", "1 MiB"] {
        assert!(help.contains(word), "help lacks {word}");
    }
}

#[test]
fn a_wrong_call_exits_with_2_and_says_what_was_expected() {
    let folder = folder("wrong");
    let missing = folder.join("no-such.log");
    let cases: [(&[&str], &[&str]); 9] = [
        (&[], &["no input", "expected a FILE", "--help"]),
        (&["--frob", "-"], &["--frob is no option", "expected --match", "--help"]),
        (&["-", "--match"], &["--match needs a value"]),
        (&["--match=", "-"], &["--match needs a value"]),
        (&["--burst", "10", "-"], &["expected N/M, as in 10/100"]),
        (&["--burst", "0/10", "-"], &["expected N/M"]),
        (&["--burst", "9999999999/1", "-"], &["N from 1 to 100000"]),
        (&[text(&missing)], &["cannot open", "no-such.log", "expected a file"]),
        (&[text(&folder)], &["is a directory", "expected a file"]),
    ];
    for (args, expected) in cases {
        let Output { status, stdout, stderr } =
            Command::new(program()).args(args).stdin(Stdio::null()).output().expect("the example runs");
        let message = String::from_utf8(stderr).expect("messages are text");
        assert_eq!((status.code(), stdout.len()), (Some(2), 0), "{args:?}: {message}");
        for part in expected {
            assert!(message.starts_with("logwatch: ") && message.contains(part), "{args:?}: {message}");
        }
    }
    fs::remove_dir_all(folder).expect("removed");
}

#[test]
fn a_missing_file_is_found_out_before_anything_is_read() {
    let Output { status, stdout, .. } = logwatch(["-", "no-such.log"], LOG.as_bytes());
    assert_eq!((status.code(), stdout.len()), (Some(2), 0));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let mut child = Command::new(program())
        .args(["--burst", "1/1", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example starts");
    drop(child.stdout.take()); // nobody reads what it is about to print
    child.stdin.take().expect("piped").write_all(b"ERROR a\n").expect("it reads until it prints");
    let Output { status, stderr, .. } = child.wait_with_output().expect("it ends");
    assert_eq!((status.code(), String::from_utf8_lossy(&stderr).as_ref()), (Some(0), ""));
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_or_read_on_is_said_and_exits_with_2() {
    let full = fs::File::options().write(true).open("/dev/full").expect("Linux has one");
    let status = Command::new(program()).arg("--help").stdout(full).stderr(Stdio::null()).status();
    assert_eq!(status.expect("it ends").code(), Some(2));

    let Output { status, stdout, stderr } = logwatch(["-", "/proc/self/mem"], b"INFO before\n");
    let message = String::from_utf8_lossy(&stderr);
    assert!(message.contains("cannot read on after /proc/self/mem:0"), "{message}");
    assert_eq!(status.code(), Some(2));
    assert!(String::from_utf8_lossy(&stdout).contains("info     1"), "what was read is reported");
}
