//! Whether `lab compare --ab` notices that a build got 10 % slower, measured and not made up: about ten minutes on a machine that does
//! nothing else, so only where it is asked for:
//!
//! ```text
//! cargo test --release -p signalpost-lab --test compare_notices -- --ignored --nocapture
//! ```
//!
//! The same with noise from a seed is among the plain tests (`compare/judge.rs`). The slower build is this one, told by
//! `SIGNALPOST_LAB_HANDICAP` to publish 11 times where it counts 10: real work, done on the path that is measured.
#![cfg(unix)]

#[allow(dead_code)] // it starts the lab in its own way
mod common;

use common::Folder;
use std::{fs, os::unix::fs::PermissionsExt, process::Command};

const VARIABLE: &str = "SIGNALPOST_LAB_HANDICAP";

/// A comparison of this build with itself, handicapped or not: whether it failed.
fn fails(base: &str, handicap: Option<&str>, seed: u64) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command.args([
        "compare",
        "--quiet",
        "--fail-on",
        "median:+5%",
        "--seed",
        &seed.to_string(),
        "--ab",
        base,
    ]);
    match handicap {
        Some(percent) => command.env(VARIABLE, percent),
        None => command.env_remove(VARIABLE),
    };
    let output = command.output().unwrap();
    let report = common::text(&output.stdout);
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 1)), "{code:?}: {report}{}", common::text(&output.stderr));
    let figures =
        report.lines().filter(|line| line.contains(" publisher  ")).map(|line| format!("    {line}\n"));
    println!(
        "  seed {seed}: {}\n{}",
        if code == Some(1) { "failed" } else { "fine" },
        figures.collect::<String>()
    );
    code == Some(1)
}

#[test]
#[ignore = "measures for minutes, and only a quiet release build tells anything"]
fn ten_percent_are_noticed_in_nine_of_ten_runs_and_one_build_fails_in_one_of_twenty() {
    let folder = Folder::new("notices");
    let base = folder.file("base");
    let script = format!("#!/bin/sh\nunset {VARIABLE}\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_lab"));
    fs::write(&base, script).unwrap();
    fs::set_permissions(&base, fs::Permissions::from_mode(0o755)).unwrap();
    let failed = |runs: u64, handicap| (0..runs).filter(|&seed| fails(&base, handicap, seed)).count();
    println!("one build beside itself:");
    let alarmed = failed(20, None);
    println!("10 % slower:");
    let noticed = failed(10, Some("10"));
    println!("noticed {noticed} of 10, false alarms {alarmed} of 20");
    assert!(noticed >= 9, "noticed {noticed} of 10");
    assert!(alarmed <= 1, "{alarmed} false alarms of 20");
}
