//! Has a plain `cargo test` run the models under loom, and check that each planted fault is noticed by one.
#![cfg(not(signalpost_loom))]

use signalpost_core::sync::Plant;
use signalpost_loom_tests::runner;

#[test]
fn every_model_holds_and_every_planted_fault_is_noticed() {
    if std::env::var_os("SIGNALPOST_LOOM").is_some_and(|value| value == "0") {
        eprintln!("SKIPPED the models under loom: SIGNALPOST_LOOM=0");
        return;
    }
    let models = runner::build().unwrap_or_else(|error| panic!("{error}"));
    let explored = models.explore();
    let weakened = models.weaken(Plant::ALL);
    println!("{}\n{}", explored.table, weakened.table);
    let file = models.write(&[&explored, &weakened]).expect("the target directory can be written to");
    println!("written to {}", file.display());
    let wrong: Vec<_> = explored.wrong.into_iter().chain(weakened.wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
