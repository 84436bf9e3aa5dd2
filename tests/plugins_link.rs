//! What a linker keeps of plugins: `tests/link` is built with and without link-time optimisation, as programs and as a library that
//! a C program links, and each says which plugins it found.
//!
//! What is found depends on the linker, and is printed (`--nocapture`). What must hold everywhere: a plugin whose crate nobody names is
//! not there; one that is named in a program is; `expect` complains of exactly those that are missing; what is added by hand is there.

// Once is enough: linking knows nothing of these.
#![cfg(not(any(signalpost_loom, signalpost_fences, signalpost_arc_swap_reads)))]

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PLUGINS: [&str; 2] = ["link.alpha", "link.beta"];

/// What one program said of its registry.
struct Report {
    program: String,
    there: Vec<String>,
    expect: String,
    called: Vec<String>,
}

impl Report {
    fn of(program: String, file: &Path) -> Self {
        let said = run(&mut Command::new(file));
        let line = |key: &str| {
            let mut lines = said.lines().filter_map(|line| line.strip_prefix(key));
            lines.next().unwrap_or_else(|| panic!("{program}: no line {key:?} in {said}")).to_owned()
        };
        let words = |key: &str| line(key).split_whitespace().map(str::to_owned).collect();
        Self { there: words("there:"), expect: line("expect: "), called: words("called:"), program }
    }

    /// What holds for every program, whatever the linker did.
    fn is_consistent(&self) {
        let missing: Vec<_> =
            PLUGINS.into_iter().filter(|name| !self.there.iter().any(|there| there == name)).collect();
        if missing.is_empty() {
            assert_eq!(self.expect, "ok", "{self}");
        } else {
            let complaint = format!("missing plugins: {}; registered: ", missing.join(", "));
            assert!(self.expect.starts_with(&complaint), "{self}: {}", self.expect);
        }
        assert_eq!(self.called, self.there, "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let there = if self.there.is_empty() { "nothing".to_owned() } else { self.there.join(" ") };
        let verdict = if self.expect == "ok" { "content" } else { "complains" };
        write!(f, "{:<42} {there:<22} {verdict}", self.program)
    }
}

/// Runs a program to its end, which must be a good one, and returns what it printed.
fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}\n{stderr}");
    format!("{stdout}\n{stderr}")
}

/// Copies the fixture to where a test may write, with this workspace's own versions of everything. What has not changed keeps
/// its time stamp, so that a second run builds nothing.
fn copy(from: &Path, to: &Path, root: &Path) {
    fs::create_dir_all(to).expect("the folder for tests can be written to");
    for entry in fs::read_dir(from).expect("the fixture can be read") {
        let path = entry.expect("the fixture can be read").path();
        let copied = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy(&path, &copied, root);
        } else {
            let text = fs::read_to_string(&path).expect("the fixture is text");
            // A TOML string, so that a path with backslashes is one too.
            write(&copied, &text.replace("\"../..\"", &format!("{:?}", root.display().to_string())));
        }
    }
}

fn write(file: &Path, text: &str) {
    if fs::read_to_string(file).is_ok_and(|there| there == text) {
        return;
    }
    fs::write(file, text).expect("the folder for tests can be written to");
}

/// The fixture, ready to be built.
struct Fixture {
    sources: PathBuf,
    target: PathBuf,
}

impl Fixture {
    fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugins_link");
        let (sources, target) = (folder.join("sources"), folder.join("target"));
        copy(&root.join("tests/link"), &sources, root);
        // The versions that this workspace was tested with, and nothing that is not fetched with them.
        fs::copy(root.join("Cargo.lock"), sources.join("Cargo.lock")).expect("the workspace is locked");
        Self { sources, target }
    }

    /// Has cargo do something with one package of it; returns what cargo said.
    fn cargo(&self, verb: &str, package: &str, profile: &str, more: &[&str]) -> String {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(&self.sources).args([verb, "--package", package, "--profile", profile]);
        cargo.arg("--target-dir").arg(&self.target).args(more);
        // Flags that are meant for the program under test (coverage, sanitizers) are none of the linker's.
        for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            cargo.env_remove(variable);
        }
        run(&mut cargo)
    }

    fn programs(&self, profile: &str) -> [Report; 3] {
        self.cargo("build", "link-program", profile, &["--bins"]);
        ["forgotten", "named", "by_hand"].map(|name| {
            let file = self.target.join(profile).join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
            Report::of(format!("{profile}: program, {name}"), &file)
        })
    }

    /// A C program with one of the two libraries; `whole` has the linker take all of the archive.
    #[cfg(unix)]
    fn c_program(&self, cc: &str, profile: &str, library: &str, whole: bool) -> Report {
        let said = self.cargo("rustc", library, profile, &["--", "--print", "native-static-libs"]);
        let system = said.lines().find_map(|line| line.split_once("native-static-libs: "));
        let system = system.unwrap_or_else(|| panic!("rustc names no system libraries: {said}")).1;

        let (built, archive) = (self.target.join(profile), format!("lib{}.a", library.replace('-', "_")));
        let name = format!("c-{library}{}", if whole { "-whole" } else { "" });
        let mut compile = Command::new(cc);
        compile.current_dir(&built).arg(self.sources.join("library/main.c")).args(["-o", &name]);
        match whole {
            true => compile.args(["-Wl,--whole-archive", &archive, "-Wl,--no-whole-archive"]),
            false => compile.arg(archive),
        };
        run(compile.args(system.split_whitespace()));
        let how = if whole { ", whole" } else { "" };
        Report::of(format!("{profile}: C program, {library}{how}"), &built.join(name))
    }
}

/// Whether there is a C compiler, and its name.
#[cfg(unix)]
fn compiler() -> Option<String> {
    let name = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let there = Command::new(&name).arg("--version").output().is_ok_and(|output| output.status.success());
    there.then_some(name)
}

fn print(reports: &[Report]) {
    println!("{:<42} {:<22} expect", "program", "found");
    for report in reports {
        println!("{report}");
    }
}

#[test]
fn what_a_linker_leaves_out_is_caught_and_what_is_added_by_hand_is_there() {
    let fixture = Fixture::new();
    let mut reports = Vec::new();
    for profile in ["release", "fat"] {
        let [forgotten, named, by_hand] = fixture.programs(profile);
        assert_eq!(forgotten.there, ["link.alpha"], "{forgotten}");
        assert_eq!(named.there, PLUGINS, "{named}");
        assert_eq!(by_hand.there, PLUGINS, "{by_hand}");
        reports.extend([forgotten, named, by_hand]);

        #[cfg(unix)]
        match compiler() {
            None => println!("SKIPPED the C programs: no C compiler (`cc`, or what CC names)"),
            Some(cc) => {
                let by_hand = fixture.c_program(&cc, profile, "link-library-by-hand", false);
                assert_eq!(by_hand.there, PLUGINS, "{by_hand}");
                // Nothing as a rule: no object file that the C program needs refers to one of the plugins'.
                reports.extend([by_hand, fixture.c_program(&cc, profile, "link-library", false)]);
                if cfg!(target_os = "linux") {
                    let whole = fixture.c_program(&cc, profile, "link-library", true);
                    assert_eq!(whole.there, PLUGINS, "{whole}");
                    reports.push(whole);
                }
            }
        }
    }
    print(&reports);
    reports.iter().for_each(Report::is_consistent);
}
