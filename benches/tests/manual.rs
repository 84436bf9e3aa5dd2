//! `lab completions` and `lab man` as their users meet them.

mod common;

use common::{Folder, lab, text};
use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

#[test]
fn every_shell_gets_a_script_and_any_other_is_refused_with_those_that_do() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = lab(&["completions", shell]);
        assert!(output.status.success(), "{output:?}");
        let script = text(&output.stdout);
        assert!(script.contains("watch-cost") && script.contains("subscribers"), "{shell}:\n{script}");
    }
    let refused = lab(&["completions", "tcsh"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("powershell"), "{refused:?}");
}

/// Bash, where there is one.
fn bash(args: &[&str], input: &str) -> Option<String> {
    let mut child = Command::new("bash")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    Some(text(&output.stdout))
}

#[test]
fn bash_reads_its_script_and_completes_commands_options_and_values() {
    let script = text(&lab(&["completions", "bash"]).stdout);
    if bash(&["-n"], &script).is_none() {
        return println!("there is no bash here");
    }
    let complete = |words: &[&str]| {
        let (last, before) = words.split_last().unwrap();
        let typed = format!(
            "{script}\nCOMP_WORDS=({}); COMP_CWORD={}; _lab lab '{last}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
            words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
            before.len(),
            before.last().unwrap(),
        );
        let completed = bash(&["--norc", "--noprofile", "-s"], &typed).expect("there is a bash");
        completed.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete(&["lab", "pa"]), ["paths"]);
    assert_eq!(complete(&["lab", "coun"]), ["count"], "what the lab starts itself with is for nobody else");
    assert_eq!(complete(&["lab", "paths", "--subs"]), ["--subscribers"]);
    assert!(complete(&["lab", "completions", ""]).contains(&"fish".to_owned()));
}

#[test]
fn the_manual_has_a_page_for_every_command_that_people_may_type() {
    let folder = Folder::new("man");
    let output = lab(&["man", &folder.file("")]);
    assert!(output.status.success(), "{output:?}");
    let pages: Vec<_> = fs::read_dir(&folder.0)
        .unwrap()
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .collect();
    let help = text(&lab(&["help"]).stdout);
    let listed = help.split("\nCommands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    // What a line is too short for goes on in the next one, further to the right.
    let commands = listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let commands: Vec<_> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() > 12, "{help}");
    for command in commands.into_iter().filter(|command| *command != "help") {
        let page = format!("lab-{command}.1");
        assert!(pages.contains(&page), "no {page} in {pages:?}");
    }
    assert!(pages.contains(&"lab.1".to_owned()));
    for hidden in ["lab-take.1", "lab-count-one.1"] {
        assert!(!pages.contains(&hidden.to_owned()), "{hidden}");
    }
    assert!(text(&lab(&["man"]).stdout).starts_with(".ie"));
}

#[test]
fn a_folder_that_is_missing_is_named_with_what_to_do() {
    let folder = Folder::new("no-man");
    fs::write(folder.file("file"), "").unwrap();
    for (path, says) in [("missing", "there is no such folder"), ("file", "it is no folder")] {
        let output = lab(&["man", &folder.file(path)]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{output:?}");
        let error = text(&output.stderr);
        assert!(error.contains(says) && error.contains("expected an existing folder"), "{error}");
    }
}

#[test]
fn a_reader_that_has_read_enough_hears_of_no_error() {
    for args in [&["man"][..], &["completions", "zsh"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(env!("CARGO_BIN_EXE_lab")).args(args).stdout(writer).output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{args:?}");
    }
}
