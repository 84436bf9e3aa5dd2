//! What a user's lock file gets from us: loom is for models alone.
#![cfg(not(signalpost_loom))]

use std::path::Path;
use std::process::Command;
use std::{env, fs};

#[test]
fn a_users_lock_file_has_no_loom() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("in the workspace");
    let user = Path::new(env!("CARGO_TARGET_TMPDIR")).join("user");
    fs::create_dir_all(user.join("src")).unwrap();
    fs::write(user.join("src/lib.rs"), "pub use signalpost::Dispatcher;\n").unwrap();
    let manifest = format!(
        "[package]\nname = \"user\"\nedition = \"2024\"\n\n[dependencies]\nsignalpost = {{ path = {workspace:?} }}\n\n[workspace]\n"
    );
    fs::write(user.join("Cargo.toml"), manifest).unwrap();
    // The versions that this build has, so that none need be fetched; cargo drops what the user does not need.
    let lock = user.join("Cargo.lock");
    fs::copy(workspace.join("Cargo.lock"), &lock).unwrap();
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let locked = Command::new(cargo)
        .args(["metadata", "--offline", "--format-version", "1"])
        .current_dir(&user)
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .expect("cargo runs");
    assert!(locked.status.success(), "{}", String::from_utf8_lossy(&locked.stderr));
    let lock = fs::read_to_string(lock).unwrap();
    let mut packages: Vec<_> = lock.lines().filter_map(|line| line.strip_prefix("name = ")).collect();
    packages.retain(|name| *name != "\"user\"");
    println!("locked: {}", packages.join(" "));
    assert!(packages.contains(&"\"signalpost-core\""), "the lock file was made for it: {packages:?}");
    assert!(!packages.contains(&"\"loom\""), "loom in a user's lock file: {packages:?}");
}
