//! The counts of before, one file for each target, and what now is beside them.
//!
//! Owns that file and the comparison. Counts can be compared where the same compiler made the same kind of build of it, and
//! signalpost chose the same barrier.

use super::{Counted, subject::TURNS};
use crate::machine::Machine;
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Changes when a key is renamed, removed or gets another meaning.
const SCHEMA: u32 = 1;

/// What the file holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    schema: u32,
    /// What was built, and how.
    #[serde(flatten)]
    pub build: Build,
    /// So many turns of the loop are in each count.
    turns: u64,
    /// The counts.
    pub counts: Vec<Count>,
}

/// What decides about the instructions besides the sources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The compiler.
    pub rustc: String,
    /// `release`, or `debug`.
    pub profile: String,
    /// The target and the compiler's flags.
    pub flags: String,
    /// How signalpost orders its readers and writers under callgrind.
    pub barrier: String,
}

impl Build {
    /// This lab's, with the barrier that it chose under callgrind.
    pub fn of(machine: &Machine, barrier: &str) -> Self {
        let Machine { rustc, profile, flags, .. } = machine.clone();
        Self { rustc, profile, flags, barrier: barrier.to_owned() }
    }

    /// What differs from `before`, in words; nothing where they can be compared.
    pub fn differs_from(&self, before: &Self) -> Vec<String> {
        [
            ("compiler", &before.rustc, &self.rustc),
            ("profile", &before.profile, &self.profile),
            ("target and flags", &before.flags, &self.flags),
            ("barrier", &before.barrier, &self.barrier),
        ]
        .into_iter()
        .filter(|(_, before, now)| before != now)
        .map(|(what, before, now)| format!("{what}: '{before}' in the baseline, '{now}' here"))
        .collect()
    }
}

/// One case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Which.
    pub case: String,
    /// Instructions for all turns together.
    pub instructions: u64,
}

/// One case beside what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// To the instruction.
    Same,
    /// So many more, for all turns together.
    More(u64),
    /// So many fewer.
    Fewer(u64),
    /// It is not in the baseline.
    New,
}

impl Baseline {
    /// Of these counts.
    pub fn of(build: Build, counted: &[Counted]) -> Self {
        let count = |counted: &Counted| Count { case: counted.case.clone(), instructions: counted.in_all };
        Self { schema: SCHEMA, build, turns: TURNS, counts: counted.iter().map(count).collect() }
    }

    /// The file of the target that this lab was built for, among its sources.
    pub fn default_path(machine: &Machine) -> PathBuf {
        let target = machine.flags.split(", ").next().unwrap_or_default();
        Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline").join(format!("{target}.json"))
    }

    /// Reads a file; none where there is none.
    ///
    /// # Errors
    /// In words, when it cannot be read or is something else.
    pub fn read(path: &Path) -> Result<Option<Self>, String> {
        let shown = path.display();
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("cannot read '{shown}': {error}; expected {EXPECTED}")),
        };
        let baseline = Self::parse(&text).map_err(|error| format!("'{shown}' is no baseline: {error}"))?;
        Ok(Some(baseline))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let baseline: Self =
            serde_json::from_str(text).map_err(|error| format!("{error}; expected {EXPECTED}"))?;
        match (baseline.schema, baseline.turns) {
            (SCHEMA, TURNS) => Ok(baseline),
            (SCHEMA, turns) => Err(format!(
                "counts of {turns} turns, expected {TURNS}. Write it again with `lab count --bless`."
            )),
            (schema, _) => Err(format!("schema {schema}; expected {EXPECTED}, schema {SCHEMA}")),
        }
    }

    /// What a case is now, beside what it was.
    pub fn change(&self, case: &str, instructions: u64) -> Change {
        match self.counts.iter().find(|count| count.case == case).map(|count| count.instructions) {
            None => Change::New,
            Some(before) if before == instructions => Change::Same,
            Some(before) if before < instructions => Change::More(instructions - before),
            Some(before) => Change::Fewer(before - instructions),
        }
    }
}

const EXPECTED: &str = "a file that `lab count --bless` wrote";

#[cfg(test)]
mod tests {
    use super::*;

    fn build() -> Build {
        Build::of(&Machine::this(), "fence")
    }

    fn baseline() -> Baseline {
        let counts = vec![Count { case: "a".to_owned(), instructions: 100 }];
        Baseline { schema: SCHEMA, build: build(), turns: TURNS, counts }
    }

    #[test]
    fn a_case_is_the_same_or_more_or_fewer_or_new() {
        let changes =
            [("a", 100), ("a", 101), ("a", 98), ("b", 1)].map(|(case, now)| baseline().change(case, now));
        assert_eq!(changes, [Change::Same, Change::More(1), Change::Fewer(2), Change::New]);
    }

    #[test]
    fn another_compiler_and_another_barrier_cannot_be_compared() {
        assert_eq!(build().differs_from(&build()), [] as [String; 0]);
        let other = Build { rustc: "rustc 9".to_owned(), barrier: "membarrier".to_owned(), ..build() };
        let differs = other.differs_from(&build());
        assert_eq!(differs.len(), 2);
        assert!(differs[0].contains("'rustc 9' here"), "{differs:?}");
    }

    #[test]
    fn a_file_is_read_as_it_was_written_and_anything_else_is_refused() {
        let text = serde_json::to_string(&baseline()).unwrap();
        assert_eq!(Baseline::parse(&text), Ok(baseline()));
        for (text, says) in [
            ("", "line 1"),
            ("{}", "missing field"),
            (&text.replace("\"schema\":1", "\"schema\":7"), "schema 7"),
            (&text.replace("10000", "10"), "counts of 10 turns"),
        ] {
            let error = Baseline::parse(text).unwrap_err();
            assert!(error.contains(says) && error.contains("expected"), "{error}");
        }
    }

    #[test]
    fn the_baseline_is_the_targets() {
        let mut machine = Machine::this();
        machine.flags = "riscv64gc-unknown-linux-gnu, opt-level 3".to_owned();
        let path = Baseline::default_path(&machine);
        assert!(path.ends_with("baseline/riscv64gc-unknown-linux-gnu.json"), "{path:?}");
    }
}
