//! Replays the corpus and some thousands of random inputs, and makes sure that both say something: every operation and
//! outcome is met, and a wrong model is caught.

use signalpost_fuzz::{History, KNOWN, ListTwist, Twist, list, list_with, seeds};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

type Happened = BTreeSet<(&'static str, &'static str)>;

/// Every file of one target's corpus, by name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = std::fs::read_dir(&folder).expect("the corpus lies beside the manifest");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.sort();
    let name = |file: &PathBuf| file.file_name().expect("a file").to_string_lossy().into_owned();
    files.iter().map(|file| (name(file), std::fs::read(file).expect("readable"))).collect()
}

/// Histories nest up to 150 scripts deep, which a test thread's own stack does not hold in a debug build. One at a time:
/// while a thread is inside more than six publishes, nobody's captures are dropped.
fn on_a_large_stack(f: impl FnOnce() + Send + 'static) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let thread = thread::Builder::new().stack_size(64 << 20).spawn(f).expect("a thread");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Xorshift: the same inputs on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Half of the bytes small, since those choose the first of everything.
    fn bytes(&mut self, most: u64) -> Vec<u8> {
        let len = 4 + self.roll() % most;
        let byte = |roll: u64| if roll & 0x100 == 0 { roll as u8 } else { roll as u8 % 8 };
        (0..len).map(|_| byte(self.roll() >> 20)).collect()
    }
}

/// The pairs that are missing, in words.
fn missing(happened: &Happened, wanted: &[(&'static str, &[&'static str])]) -> Vec<String> {
    let pairs =
        wanted.iter().flat_map(|(what, outcomes)| outcomes.iter().map(move |outcome| (*what, *outcome)));
    pairs
        .filter(|pair| !happened.contains(pair))
        .map(|(what, outcome)| format!("{what}: {outcome}"))
        .collect()
}

#[test]
fn every_history_of_the_corpus_goes_as_the_model_says() {
    on_a_large_stack(|| {
        let corpus = corpus("history");
        assert!(corpus.len() >= 30, "a corpus of {}", corpus.len());
        for (name, bytes) in corpus {
            assert!(bytes.len() < 1024, "{name} is too long for a corpus that is committed");
            if let Err(report) = History::run(&bytes).check(KNOWN) {
                panic!("{name}:\n{report}");
            }
        }
    });
}

#[test]
fn every_list_of_the_corpus_holds_what_a_vec_does() {
    let corpus = corpus("list");
    assert!(corpus.len() >= 10, "a corpus of {}", corpus.len());
    for (name, bytes) in corpus {
        assert!(bytes.len() < 1024, "{name} is too long for a corpus that is committed");
        if let Err(report) = list_with(&bytes, &[]) {
            panic!("{name}:\n{report}");
        }
    }
}

#[test]
fn random_histories_go_as_the_model_says() {
    on_a_large_stack(|| {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
        let mut lines = 0;
        for _ in 0..2500 {
            let history = History::run(&dice.bytes(300));
            if let Err(report) = history.check(KNOWN) {
                panic!("{report}");
            }
            lines += history.lines();
        }
        assert!(lines > 100_000, "{lines} lines: too little happens in random histories");
    });
}

#[test]
fn random_lists_hold_what_a_vec_does() {
    let mut dice = Dice(0xD1B5_4A32_D192_ED03);
    for _ in 0..1000 {
        list(&dice.bytes(150));
    }
}

const OPERATIONS: &[(&str, &[&str])] = &[
    ("Subscribe", &["subscribed", "nothing"]),
    ("Publish", &["fine", "stopped", "subscriber panicked", "panicked, too deep", "nothing"]),
    ("TryPublish", &["fine", "stopped", "subscriber panicked", "too deep", "nothing"]),
    ("PublishAll", &["all fine", "all, some failed", "subscriber panicked", "panicked, too deep", "nothing"]),
    (
        "PublishOrUndo",
        &["fine", "undone", "undone, some failed", "subscriber panicked", "panicked, too deep", "nothing"],
    ),
    (
        "PublishWith",
        &["fine", "stopped", "subscriber panicked", "script panicked", "panicked, too deep", "nothing"],
    ),
    ("Cancel", &["true", "false", "nothing"]),
    ("CancelAndWait", &["waited", "timed out", "would deadlock", "nothing"]),
    ("Pause", &["true", "false", "nothing"]),
    ("Resume", &["true", "false", "nothing"]),
    ("DropHandle", &["done", "nothing"]),
    ("DropHandles", &["done"]),
    ("Detach", &["done", "nothing"]),
    ("Look", &["active", "paused", "inactive", "nothing"]),
    ("List", &["listed", "listed, empty", "listed, some ended", "nothing"]),
    ("Collect", &["collected", "collected nothing", "nothing"]),
    ("Retired", &["none retired", "some retired", "nothing"]),
    ("Edit", &["done", "script panicked", "panicked, too deep", "nothing"]),
    ("Bulk", &["done", "nothing"]),
    ("SetAdd", &["set", "nothing"]),
    ("SetCancel", &["set", "nothing"]),
    ("SetWait", &["set, waited", "set, wait error", "nothing"]),
    ("SetPause", &["set", "nothing"]),
    ("SetResume", &["set", "nothing"]),
    ("SetDetach", &["set", "nothing"]),
    ("SetDrop", &["set", "nothing"]),
    ("MakeTarget", &["done"]),
    ("DropTarget", &["done", "nothing"]),
    ("DropDispatcher", &["done", "nothing"]),
    ("NewDispatcher", &["done"]),
    ("Scope", &["scoped", "refused", "script panicked", "nothing"]),
    // Steps of edits that are no operations of the same name.
    ("Clear", &["done"]),
    ("Run", &["done"]),
    ("SetPriority", &["true", "false", "nothing"]),
    ("MoveBefore", &["true", "false", "nothing"]),
    ("MoveAfter", &["true", "false", "nothing"]),
];

const CHANGES: &[(&str, &[&str])] = &[
    ("Insert", &["done", "crosses a run", "crosses a group"]),
    ("InsertMany", &["done", "crosses a run", "crosses a group", "too many"]),
    ("Remove", &["done", "crosses a run", "crosses a group", "nothing there"]),
    ("RemoveMany", &["done", "all gone", "crosses a run", "crosses a group"]),
    ("Replace", &["done", "nothing there"]),
    ("SetPriority", &["done", "the same", "nothing there"]),
    ("MoveBefore", &["done", "itself", "nothing there"]),
    ("MoveAfter", &["done", "itself", "nothing there"]),
    ("Retain", &["kept all", "kept some", "kept none", "crosses a run", "crosses a group"]),
    ("RetainPanics", &["panicked", "nothing there"]),
    ("Clear", &["done", "crosses a run", "crosses a group"]),
    ("Keep", &["done"]),
    ("LetGo", &["done", "nothing there"]),
    ("GoBack", &["done", "crosses a run", "crosses a group", "nothing there"]),
    ("Miss", &["done"]),
];

#[test]
fn the_corpus_tries_every_operation_and_outcome_and_most_of_them_everywhere() {
    on_a_large_stack(|| {
        let histories = corpus("history");
        let happened: Happened =
            histories.iter().flat_map(|(_, bytes)| History::run(bytes).happened()).collect();
        assert_eq!(missing(&happened, OPERATIONS), [""; 0]);
        let steps = [
            "Subscribe",
            "Cancel",
            "Pause",
            "Resume",
            "SetPriority",
            "MoveBefore",
            "MoveAfter",
            "Clear",
            "Run",
        ];
        assert_eq!(missing(&happened, &[("in an edit", &steps)]), [""; 0]);
        // In a call and in a destructor, everything; elsewhere, what matters there.
        let operations: Vec<&str> =
            OPERATIONS[..OPERATIONS.len() - 5].iter().map(|(operation, _)| *operation).collect();
        let most = ["Subscribe", "Publish", "Cancel", "CancelAndWait", "Edit", "Collect", "NewDispatcher"];
        let places: &[(&str, &[&str])] = &[
            ("at the top", &operations),
            ("in a call", &operations),
            ("in a destructor", &operations),
            ("in a target's destructor", &most),
            ("in a step of an edit", &most),
            ("in a scope", &most),
            ("in the making of an event", &most),
            ("in an undo", &["Publish", "CancelAndWait"]),
        ];
        assert_eq!(missing(&happened, places), [""; 0]);
    });
}

#[test]
fn the_corpus_tries_every_change_to_a_list_and_every_outcome() {
    let lists = corpus("list");
    let happened: Happened =
        lists.iter().flat_map(|(_, bytes)| list_with(bytes, &[]).expect("as a Vec says")).collect();
    assert_eq!(missing(&happened, CHANGES), [""; 0]);
}

#[test]
fn one_input_gives_one_history() {
    on_a_large_stack(|| {
        for (_, bytes) in corpus("history") {
            let (once, again) = (History::run(&bytes), History::run(&bytes));
            // A set's dispatchers are collected by turns that go by where they lie in memory.
            if once
                .happened()
                .iter()
                .any(|(operation, outcome)| operation.starts_with("Set") && outcome.starts_with("set"))
            {
                continue;
            }
            assert_eq!(format!("{once:?}"), format!("{again:?}"));
        }
    });
}

#[test]
fn the_hand_written_histories_are_in_the_corpus_as_they_are_written() {
    let corpus = corpus("history");
    for (name, bytes) in seeds() {
        let there = corpus.iter().find(|(file, _)| file == name);
        assert_eq!(there.map(|(_, bytes)| bytes), Some(&bytes), "{name}: `signalpost-fuzz seed` writes it");
    }
}

#[test]
fn a_model_with_one_rule_turned_round_is_caught_on_the_corpus() {
    on_a_large_stack(|| {
        let corpus = corpus("history");
        let histories: Vec<History> = corpus.iter().map(|(_, bytes)| History::run(bytes)).collect();
        for twist in Twist::ALL {
            // One more, or one less of those that it takes to agree.
            let other = |known: &&Twist| *known != twist;
            let mut twists: Vec<Twist> = KNOWN.iter().filter(other).copied().collect();
            if !KNOWN.contains(twist) {
                twists.push(*twist);
            }
            let caught = histories.iter().filter(|history| history.check(&twists).is_err()).count();
            assert!(caught > 0, "{twist:?} makes no difference on the whole corpus");
        }
    });
}

#[test]
fn a_list_model_with_one_rule_turned_round_is_caught_on_the_corpus() {
    let corpus = corpus("list");
    for twist in ListTwist::ALL {
        let caught = corpus.iter().filter(|(_, bytes)| list_with(bytes, &[*twist]).is_err()).count();
        assert!(caught > 0, "{twist:?} makes no difference on the whole corpus");
    }
}

#[test]
fn a_mismatch_is_reported_with_the_history() {
    on_a_large_stack(|| {
        let corpus = corpus("history");
        let (_, bytes) = corpus.iter().find(|(name, _)| name == "stop_after_a_paused_one").expect("a seed");
        let report = History::run(bytes).check(&[Twist::PauseIsIgnored]).expect_err("#0 is paused");
        for part in
            ["main:", "subscribe at north", "Publish { at: 0", "the model expects: #0 is given event 1"]
        {
            assert!(report.contains(part), "{part:?} is not in this report:\n{report}");
        }
    });
}
