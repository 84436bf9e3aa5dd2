//! `lab count` as its users meet it. Of the numbers it is looked at whether they are the same twice; what they are is the
//! baseline's business, and that of a release build.

mod common;

use common::{Folder, lab, text};
use serde_json::Value;
use std::{fs, process::Command};

/// One case that is counted soon.
const ONE: [&str; 6] = ["count", "--quiet", "--paths", "raw-loop", "--subscribers", "2"];

fn has_valgrind() -> bool {
    let is_there =
        Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success());
    if !is_there {
        println!("there is no valgrind here");
    }
    is_there
}

#[test]
fn counts_are_the_same_twice_and_one_instruction_more_is_a_regression() {
    if !has_valgrind() {
        return;
    }
    let folder = Folder::new("count");
    let baseline = folder.file("baseline.json");
    let count = |args: &[&str]| lab(&[&ONE[..], &["--baseline", &baseline], args].concat());

    let missing = count(&[]);
    assert_eq!(missing.status.code(), Some(3), "{missing:?}");
    assert!(text(&missing.stdout).contains("No baseline"), "{missing:?}");

    let blessed = count(&["--bless"]);
    assert_eq!(blessed.status.code(), Some(0), "{blessed:?}");
    let same = count(&["--json", "-"]);
    assert_eq!(same.status.code(), Some(0), "{same:?}");
    assert!(text(&same.stderr).contains("to the instruction"), "{same:?}");
    let document: Value = serde_json::from_slice(&same.stdout).unwrap();
    let [measure] = document["measures"].as_array().unwrap().as_slice() else { panic!("{document}") };
    assert_eq!(measure["case"], "raw-loop, 2 subscribers, 1 publisher");
    assert_eq!((&measure["metric"], &measure["unit"]), (&"instructions".into(), &"instructions".into()));
    let in_all = document["count"]["cases"][0]["in_all"].as_u64().unwrap();
    assert!(in_all > 10_000 * 10, "two calls take some instructions: {document}");
    assert_eq!(document["count"]["cases"][0]["change"], "same");

    let written = fs::read_to_string(&baseline).unwrap();
    fs::write(&baseline, written.replace(&in_all.to_string(), &(in_all - 1).to_string())).unwrap();
    let more = count(&[]);
    assert_eq!(more.status.code(), Some(1), "{more:?}");
    assert!(text(&more.stdout).contains("More instructions"), "{more:?}");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "nothing is left beside the baseline");
}

#[test]
fn without_valgrind_it_says_how_to_get_it() {
    let folder = Folder::new("no-valgrind");
    let output = Command::new(env!("CARGO_BIN_EXE_lab")).args(ONE).env("PATH", &folder.0).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()), "{output:?}");
    let error = text(&output.stderr);
    assert!(error.contains("apt-get install valgrind") && error.contains("brew install valgrind"), "{error}");
}

#[test]
fn what_cannot_be_a_baseline_is_refused() {
    let refused = lab(&["count", "--bless", "--quick"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(text(&refused.stderr).contains("some counts are no baseline for all"), "{refused:?}");
    if !has_valgrind() {
        return;
    }
    let folder = Folder::new("broken-baseline");
    let file = folder.file("baseline.json");
    fs::write(&file, "{\n  \"schema\": 1,\n").unwrap();
    let broken = lab(&[&ONE[..], &["--baseline", &file]].concat());
    assert_eq!(broken.status.code(), Some(2), "{broken:?}");
    let error = text(&broken.stderr);
    assert!(
        error.contains("is no baseline") && error.contains("line 3") && error.contains("--bless"),
        "{error}"
    );
}
