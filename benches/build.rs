//! Notes the compiler, its flags and the commit in the program, so that a report can name them.

use std::process::Command;

fn main() {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let rustc = first_line(&rustc, &["--version"]);
    let commit = first_line("git", &["describe", "--always", "--dirty", "--abbrev=12"]);
    println!("cargo::rustc-env=LAB_RUSTC={}", rustc.as_deref().unwrap_or("unknown"));
    println!("cargo::rustc-env=LAB_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    let set = |name: &str| std::env::var(name).unwrap_or_default();
    let flags = [
        set("TARGET"),
        format!("opt-level {}", set("OPT_LEVEL")),
        set("CARGO_ENCODED_RUSTFLAGS").replace('\u{1f}', " "),
    ];
    let flags: Vec<_> = flags.into_iter().filter(|flag| !flag.is_empty()).collect();
    println!("cargo::rustc-env=LAB_FLAGS={}", flags.join(", "));
    // A new commit, and a change to anything that is measured.
    for path in ["HEAD", "logs/HEAD"] {
        if let Some(file) = first_line("git", &["rev-parse", "--git-path", path]) {
            println!("cargo::rerun-if-changed={file}");
        }
    }
    for source in [
        "build.rs",
        "src",
        "../src",
        "../core/src",
        "../dispatch/src",
        "../monitor/src",
        "../patch/src",
        "../Cargo.toml",
    ] {
        println!("cargo::rerun-if-changed={source}");
    }
}

fn first_line(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().next()?.trim();
    (output.status.success() && !line.is_empty()).then(|| line.to_owned())
}
