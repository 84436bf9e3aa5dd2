//! One process of the lab under callgrind, and how many instructions it ran.
//!
//! Owns how callgrind is started, and what it says. The number depends on nothing that differs between two runs of one program: the
//! process has an environment of its own, valgrind reads no settings but these, and nothing is left behind.

use super::subject::{self, Subject};
use std::process::{Command, Output, Stdio};

/// What stays of the environment: where programs and their libraries are.
const KEPT: [&str; 3] = ["PATH", "VALGRIND_LIB", "LD_LIBRARY_PATH"];

/// What one process came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// Instructions, from its first to its last.
    pub instructions: u64,
    /// How signalpost ordered its readers and writers there.
    pub barrier: String,
}

/// Valgrind's version.
///
/// # Errors
/// In words, with how to get it, when there is none.
pub fn version() -> Result<String, String> {
    let output = Command::new("valgrind").arg("--version").stdin(Stdio::null()).output();
    let output = output.map_err(|error| without_valgrind(&error.to_string()))?;
    if !output.status.success() {
        return Err(without_valgrind(&format!("`valgrind --version` failed, {}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn without_valgrind(why: &str) -> String {
    format!(
        "cannot start valgrind, which counts the instructions: {why}\n\n\
         expected `valgrind` on the PATH. To install it: `apt-get install valgrind` (Debian, Ubuntu), `dnf install valgrind` \
         (Fedora),\n`pacman -S valgrind` (Arch), `apk add valgrind` (Alpine), `brew install valgrind` (Homebrew on Linux). There \
         is none for Windows, nor for\nMacs with an Apple processor: time it there, with `lab paths`, or count in a container."
    )
}

/// Runs one process to its end.
///
/// # Errors
/// In words, when it cannot be started or callgrind does not say what it counted.
pub fn run(subject: Subject, subscribers: usize, publishes: u64) -> Result<Ran, String> {
    let program = std::env::current_exe().map_err(|error| format!("cannot start the lab again: {error}"))?;
    let kept = KEPT.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let output = Command::new("valgrind")
        .env_clear()
        .envs(kept)
        // No settings out of files, and none written.
        .args(["--command-line-only=yes", "--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .arg(subject::COMMAND)
        .args(["--subject", subject.as_str()])
        .args(["--subscribers", &subscribers.to_string()])
        .args(["--publishes", &publishes.to_string()])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| without_valgrind(&error.to_string()))?;
    read(&output).ok_or_else(|| {
        format!(
            "callgrind did not say how many instructions there were ({}); what it said:\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        )
    })
}

fn read(output: &Output) -> Option<Ran> {
    let said = String::from_utf8_lossy(&output.stderr);
    let barrier = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let instructions = collected(&said)?;
    output.status.success().then_some(Ran { instructions, barrier })
}

/// The number in a line like `==123== Collected : 4567`.
fn collected(said: &str) -> Option<u64> {
    let number = said.lines().filter(|line| line.starts_with("==")).find_map(|line| {
        let (what, number) = line.split_once(" : ")?;
        what.ends_with(" Collected").then_some(number)
    })?;
    number.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_taken_out_of_what_callgrind_says() {
        let said = "==42== Callgrind, a call-graph generating cache profiler\n==42== \n==42== Events    : Ir\n\
                    ==42== Collected : 1234567\n==42== \n";
        assert_eq!(collected(said), Some(1_234_567));
        assert_eq!(collected("==42== Events    : Ir\n"), None);
        assert_eq!(collected("Collected : 5\n"), None);
    }
}
