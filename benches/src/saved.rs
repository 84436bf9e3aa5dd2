//! A file that the lab wrote, read again: by `lab report`, `lab compare` and `lab gate`.
//!
//! Owns what is read and what is said of a file that is not such a file. Reads what all commands write alike; what only one of
//! them writes is left alone.

use crate::{
    machine::Machine,
    measure::{Curve, Measure},
    output::SCHEMA,
};
use serde::Deserialize;
use std::{fs, path::Path};

/// What is read of a file.
#[derive(Clone, Debug, Deserialize)]
pub struct Saved {
    /// The schema's number; [`SCHEMA`], or it would have been refused.
    pub schema: u32,
    /// Where it was measured.
    pub machine: Machine,
    /// The command that measured it, as one would type it after `lab`.
    #[serde(default)]
    pub command: Vec<String>,
    /// Whether it was broken off.
    #[serde(default)]
    pub partial: bool,
    /// What spoils the figures, in words.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The figures.
    #[serde(default)]
    pub measures: Vec<Measure>,
    /// The curves.
    #[serde(default)]
    pub curves: Vec<Curve>,
}

impl Saved {
    /// Reads a file.
    ///
    /// # Errors
    /// In words: which file, what is wrong in which line, what was expected.
    pub fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let text = fs::read_to_string(path).map_err(|error| {
            format!("cannot read '{shown}': {error}\n\nexpected a file that `lab … --json FILE` wrote")
        })?;
        Self::parse(&text).map_err(|error| format!("'{shown}' is no file of the lab: {error}"))
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// In words: what is wrong in which line, what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Any {
            schema: Option<u32>,
        }
        let expected = format!("expected what `lab … --json FILE` writes, schema {SCHEMA}");
        let any: Any = serde_json::from_str(text).map_err(|error| format!("{error}; {expected}"))?;
        match any.schema {
            Some(SCHEMA) => {}
            Some(other) => {
                return Err(format!("schema {other}; {expected}. Another release of the lab wrote it."));
            }
            None => return Err(format!("it has no key `schema`; {expected}")),
        }
        serde_json::from_str(text).map_err(|error| format!("{error}; {expected}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_of_the_lab_is_refused_with_the_place_and_what_was_expected() {
        for (text, says) in [
            ("", "line 1"),
            ("{\n  \"schema\": 1,,\n}", "line 2"),
            ("{}", "no key `schema`"),
            ("{\"schema\": 99}", "schema 99"),
            ("{\"schema\": 1}", "missing field `machine`"),
        ] {
            let error = Saved::parse(text).unwrap_err();
            assert!(error.contains(says) && error.contains("expected what"), "{error}");
        }
    }
}
