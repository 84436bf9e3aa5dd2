//! Replays the bus corpus and some thousands of random inputs, and makes sure that both say something.

use signalpost_fuzz::{BusHistory, BusTwist, bus_seeds};
use std::path::{Path, PathBuf};

/// Every file of the corpus, by name.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join("bus");
    let entries = std::fs::read_dir(&folder).expect("the corpus lies beside the manifest");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.sort();
    let name = |file: &PathBuf| file.file_name().expect("a file").to_string_lossy().into_owned();
    files.iter().map(|file| (name(file), std::fs::read(file).expect("readable"))).collect()
}

/// Runs and checks; the report goes by the input's name.
fn checked(name: &str, bytes: &[u8]) -> BusHistory {
    let history = BusHistory::run(bytes);
    if let Err(report) = history.check(&[]) {
        panic!("{name}:\n{report}");
    }
    history
}

#[test]
fn every_history_of_the_corpus_goes_as_the_model_says() {
    let corpus = corpus();
    assert!(corpus.len() >= 25, "a corpus of {}", corpus.len());
    for (name, bytes) in corpus {
        assert!(bytes.len() < 1024, "{name} is too long for a corpus that is committed");
        checked(&name, &bytes);
    }
}

#[test]
fn random_histories_go_as_the_model_says() {
    // Xorshift: the same inputs on every run.
    let mut dice = 0x9E37_79B9_7F4A_7C15_u64;
    let mut roll = move || {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice
    };
    let mut lines = 0;
    for round in 0..2_500 {
        // Half of the bytes small, since those choose the first of everything.
        let byte = |roll: u64| if roll & 0x100 == 0 { roll as u8 } else { roll as u8 % 12 };
        let len = 4 + roll() % 300;
        let bytes: Vec<u8> = (0..len).map(|_| byte(roll() >> 20)).collect();
        lines += checked(&format!("random input {round}"), &bytes).lines().len();
    }
    assert!(lines > 60_000, "{lines} lines: too little happens in random histories");
}

#[test]
fn the_corpus_tries_everything() {
    let lines: Vec<String> =
        corpus().iter().flat_map(|(_, bytes)| BusHistory::run(bytes).lines().to_vec()).collect();
    let has = |what: &&&str| !lines.iter().any(|line| line.contains(**what));
    let wanted = [
        "way 0",
        "way 1",
        "way 2",
        "way 3",
        "= fine",
        "= nothing",
        "= stopped by #",
        ": veto ",
        ": fail ",
        ": late veto ",
        ": code ",
        ": other veto ",
        "= panic of #",
        "cancel #0: true",
        "#0: false",
        "pause #",
        "resume #",
        "look #",
        "paused: true",
        "drop handle #",
        "detach #",
        "as a set",
        "drop target 0: true",
        "edited",
        "keep 1: true",
        "let go of 1: true",
        "listed: #",
        "to everything",
        "to type 1",
        "to family 7",
        "sizes: 0 true",
        "drop bus: true",
        "new bus",
        "record a subscribe to 0",
        "record a subscribe to 1",
        "record a subscribe to 7",
        "record a cancel #",
        "record a pause #",
        "record a resume #",
        "record a priority #",
        "before #",
        "behind #",
        "record a clear",
        "  publish event",
        "  subscribe to",
        "  edit",
        "  drop bus: true",
        "    #",
    ];
    let missing: Vec<_> = wanted.iter().filter(has).collect();
    assert!(missing.is_empty(), "nowhere in the corpus: {missing:?}");
}

#[test]
fn the_hand_written_histories_are_in_the_corpus_as_they_are_written() {
    let corpus = corpus();
    for (name, bytes) in bus_seeds() {
        let there = corpus.iter().find(|(file, _)| file == name);
        assert_eq!(
            there.map(|(_, bytes)| bytes),
            Some(&bytes),
            "{name}: `signalpost-fuzz seed corpus` writes it"
        );
    }
}

#[test]
fn one_input_gives_one_history() {
    for (name, bytes) in corpus() {
        assert_eq!(BusHistory::run(&bytes).lines(), BusHistory::run(&bytes).lines(), "{name}");
    }
}

#[test]
fn a_model_with_one_rule_turned_round_is_caught_on_the_corpus() {
    let histories: Vec<BusHistory> = corpus().iter().map(|(_, bytes)| BusHistory::run(bytes)).collect();
    for twist in BusTwist::ALL {
        let caught = histories.iter().filter(|history| history.check(&[*twist]).is_err()).count();
        assert!(caught > 0, "{twist:?} makes no difference on the whole corpus");
    }
}

#[test]
fn a_mismatch_is_reported_with_the_history() {
    let corpus = corpus();
    let (_, bytes) = corpus.iter().find(|(name, _)| name == "pause_and_resume").expect("a seed");
    let report = BusHistory::run(bytes).check(&[BusTwist::PauseIsIgnored]).expect_err("#0 is paused");
    for part in [
        "Publish",
        "pause #0: true",
        "the run goes on:",
        "the model expects: Some(\"#0 is given event 1 of type 1\")",
    ] {
        assert!(report.contains(part), "{part:?} is not in this report:\n{report}");
    }
}
