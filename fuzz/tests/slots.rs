//! Histories of layers and scopes: random ones go as the model says, meet every step and outcome, and a wrong model is caught.

use signalpost_fuzz::{SlotTwist, slots_with};
use std::collections::BTreeSet;
use std::path::Path;
use std::thread;

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
    fn bytes(&mut self) -> Vec<u8> {
        let len = 20 + self.roll() % 200;
        let byte = |roll: u64| if roll & 0x100 == 0 { roll as u8 } else { roll as u8 % 8 };
        (0..len).map(|_| byte(self.roll() >> 20)).collect()
    }
}

/// Calls nest in a debug build deeper than a test thread's own stack holds.
fn on_a_large_stack(f: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(64 << 20).spawn(f).expect("a thread");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

const WANTED: &[(&str, &[&str])] = &[
    ("Call", &["returned", "returned from the deepest", "panicked"]),
    ("CallSlot", &["returned"]),
    ("CallElsewhere", &["returned"]),
    ("CallBound", &["returned", "nothing"]),
    ("CallBelow", &["layer", "original", "undone meanwhile", "nothing"]),
    ("Push", &["done"]),
    ("PushFn", &["done"]),
    ("Wrap", &["done"]),
    ("Undo", &["done", "from inside", "nothing"]),
    ("UndoAndWait", &["waited", "from inside", "untracked", "nothing"]),
    ("MakeScope", &["done", "child"]),
    ("DropScope", &["done", "lives on", "nothing"]),
    ("Enter", &["done", "nothing"]),
    ("Leave", &["the newest", "another", "nothing"]),
    ("Panic", &["panicked", "not in a destructor"]),
    ("Token", &["script as it is dropped"]),
];

#[test]
fn random_histories_go_as_the_model_says_and_meet_everything() {
    on_a_large_stack(|| {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
        let mut happened = BTreeSet::new();
        for _ in 0..2500 {
            match slots_with(&dice.bytes(), &[]) {
                Ok(met) => happened.extend(met),
                Err(report) => panic!("{report}"),
            }
        }
        let wanted = WANTED.iter().flat_map(|(step, outcomes)| outcomes.iter().map(move |met| (*step, *met)));
        let missing: Vec<_> = wanted.filter(|pair| !happened.contains(pair)).collect();
        assert!(missing.is_empty(), "never met: {missing:?}");
    });
}

#[test]
fn every_history_of_the_corpus_goes_as_the_model_says() {
    on_a_large_stack(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/slots");
        let mut files = 0;
        for file in std::fs::read_dir(&folder).expect("the corpus lies beside the manifest") {
            let file = file.expect("readable").path();
            files += 1;
            if let Err(report) = slots_with(&std::fs::read(&file).expect("readable"), &[]) {
                panic!("{}:\n{report}", file.display());
            }
        }
        assert!(files >= 10, "a corpus of {files}");
    });
}

#[test]
fn a_wrong_model_is_caught() {
    on_a_large_stack(|| {
        for twist in SlotTwist::ALL {
            let mut dice = Dice(0xD1B5_4A32_D192_ED03);
            let caught = (0..500).any(|_| slots_with(&dice.bytes(), &[*twist]).is_err());
            assert!(caught, "{twist:?} is not seen");
        }
    });
}
