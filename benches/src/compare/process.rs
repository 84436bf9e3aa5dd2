//! One run of a lab in a process of its own.
//!
//! Owns its start, its end when it takes too long or somebody presses Ctrl-C, and what is said of a program that is no lab.

use crate::{saved::Saved, stop};
use std::{
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

/// How long a program may take to say what it is.
const HELLO: Duration = Duration::from_secs(10);
/// How often to look whether to stop.
const LOOK: Duration = Duration::from_millis(50);

/// What a run came to.
#[derive(Debug)]
pub enum Ran {
    /// It measured.
    Whole {
        /// Its document.
        text: String,
        /// The same, read.
        saved: Box<Saved>,
        /// How long it took.
        took: Duration,
    },
    /// Somebody pressed Ctrl-C.
    Stopped,
}

/// The program of this process.
///
/// # Errors
/// In words, when the system does not say.
pub fn this_lab() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(|error| format!("cannot tell where this program lies: {error}"))
}

/// Finds out whether a program is a lab; returns where it lies.
///
/// # Errors
/// In words, with what it said.
pub(super) fn lab_at(path: &Path) -> Result<PathBuf, String> {
    let shown = path.display();
    const EXPECTED: &str = "expected another build of the lab: target/release/lab, kept under another name";
    let program =
        path.canonicalize().map_err(|error| format!("cannot start '{shown}': {error}\n\n{EXPECTED}"))?;
    let hello = [String::from("--version")];
    let said = speak(&program, &hello, Some(HELLO)).map_err(|error| format!("{error}\n\n{EXPECTED}"))?;
    match said {
        Said::Out { text, .. } if text.starts_with("lab ") => Ok(program),
        Said::Out { text, .. } => {
            let line: String = text.lines().next().unwrap_or_default().chars().take(80).collect();
            Err(format!("'{shown}' is no lab: it answers --version with '{line}'\n\n{EXPECTED}"))
        }
        Said::Stopped => Err("interrupted".to_owned()),
    }
}

/// Runs `program command… --json - --quiet`, for at most so long.
///
/// # Errors
/// In words, when it cannot be started, fails, takes longer, or writes what no lab writes.
pub fn measure(program: &Path, command: &[String], at_most: Option<Duration>) -> Result<Ran, String> {
    let began = Instant::now();
    let quietly = ["--json", "-", "--quiet"].map(str::to_owned);
    match speak(program, &[command, &quietly].concat(), at_most)? {
        Said::Stopped => Ok(Ran::Stopped),
        Said::Out { text, interrupted: true } if stop::is_asked() || text.is_empty() => Ok(Ran::Stopped),
        Said::Out { text, .. } => {
            let saved = Saved::parse(&text)
                .map_err(|error| format!("'{}' wrote no document of the lab: {error}", program.display()))?;
            if saved.partial {
                return Ok(Ran::Stopped);
            }
            Ok(Ran::Whole { text, saved: Box::new(saved), took: began.elapsed() })
        }
    }
}

enum Said {
    Out { text: String, interrupted: bool },
    Stopped,
}

fn speak(program: &Path, arguments: &[String], at_most: Option<Duration>) -> Result<Said, String> {
    let shown = format!("'{} {}'", program.display(), arguments.join(" "));
    let cannot = |error| format!("cannot start {shown}: {error}");
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(cannot)?;
    let out = read(child.stdout.take().expect("it is piped"));
    let err = read(child.stderr.take().expect("it is piped"));
    let began = Instant::now();
    let end = |child: &mut std::process::Child| {
        // It may have ended meanwhile: all the same.
        let _ = child.kill();
        let _ = child.wait();
    };
    let text = loop {
        match out.recv_timeout(LOOK) {
            Ok(text) => break text,
            Err(RecvTimeoutError::Disconnected) => break String::new(),
            Err(RecvTimeoutError::Timeout) if stop::is_asked() => {
                end(&mut child);
                return Ok(Said::Stopped);
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some(limit) = at_most.filter(|limit| began.elapsed() > *limit) {
            end(&mut child);
            return Err(format!("{shown} did not end within {}", humantime::format_duration(limit)));
        }
    };
    let status = child.wait().map_err(|error| format!("cannot wait for {shown}: {error}"))?;
    // Ctrl-C on a terminal goes to both.
    let interrupted = status.code() == Some(130) || (stop::is_asked() && !status.success());
    if !status.success() && !interrupted {
        let why = err.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
        let why: Vec<_> = why.lines().filter(|line| !line.trim().is_empty()).take(8).collect();
        return Err(format!(
            "{shown} failed ({status}){}{}",
            if why.is_empty() { "" } else { ":\n  " },
            why.join("\n  ")
        ));
    }
    Ok(Said::Out { text, interrupted })
}

/// All that comes, once it ends; on a thread, so that nobody waits for it who does not want to.
fn read(mut from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What could be read until then is read.
        let _ = from.read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}
