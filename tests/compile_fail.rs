//! What must not compile, and what the compiler says of it: `tests/compile_fail/*.rs`, each with its message beside it.
//!
//! Messages change from compiler to compiler, so they are compared with the one that they were written by alone; with
//! others the test says that it was skipped. After a change: `TRYBUILD=overwrite cargo test --all-features --test compile_fail`.

use std::process::Command;

/// The compiler that the messages were written by.
const WRITTEN_BY: &str = "rustc 1.95.";

#[test]
fn misuse_does_not_compile() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().expect("there is a compiler");
    let version = String::from_utf8_lossy(&version.stdout);
    if !version.starts_with(WRITTEN_BY) {
        println!("skipped: the messages are those of {WRITTEN_BY}x, and this is {version}");
        return;
    }
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/compile_fail/*.rs");
    if cfg!(feature = "patch") {
        cases.compile_fail("tests/compile_fail/patch/*.rs");
    }
    // Their messages list who implements a trait, which with these features (so in a plain `cargo test`) are some more; or say by which path
    // a name is found that with these there are two of.
    if cfg!(all(feature = "monitor", feature = "patch")) {
        cases.compile_fail("tests/compile_fail/lists/*.rs");
    }
}
