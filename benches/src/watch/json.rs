//! `lab watch --json`: the report for programs.
//!
//! Owns that the document is the report and nothing beside it. Its keys are in `record.rs`; where it goes, and that it
//! is written whole or not at all, is `output.rs`.

use super::record::Report;
use crate::output::{CannotWrite, Destination};

/// Writes the report.
///
/// # Errors
/// When it cannot be written after all; a file that was there before is then unchanged.
pub fn write(report: &Report, to: &mut Destination) -> Result<(), CannotWrite> {
    to.write(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::{
        history::sample::{history, row},
        record::Outcome,
    };
    use serde_json::{Value, json};
    use std::{fs, path::PathBuf};

    /// A folder of one test, removed at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("signalpost-watch-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn written(name: &str, report: &Report) -> String {
        let folder = Folder::new(name);
        let file = folder.0.join("watch.json");
        write(report, &mut Destination::open(&file).unwrap()).unwrap();
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "nothing is left beside it");
        fs::read_to_string(file).unwrap()
    }

    #[test]
    fn the_document_has_the_keys_that_were_promised_and_their_types() {
        let mut report = history(usize::MAX).report().unwrap();
        report.faults[1].after_ms = None;
        let text = written("keys", &report);
        assert!(text.ends_with("}\n"));
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["schema"], 1);
        assert_eq!((&document["false_reports"], &document["partial"]), (&json!(0), &json!(false)));
        assert_eq!(document["machine"]["cpu"], "Example 9000");
        assert_eq!(document["machine"]["cores"], 2);
        let promised =
            ["loop", "fault", "expected", "seen", "after_ms", "verdict", "task", "task_right", "top_frame"];
        let rows: Vec<_> = document["faults"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                promised.map(|key| {
                    row.as_object().unwrap().get(key).unwrap_or_else(|| panic!("{key} in {row}")).clone()
                })
            })
            .collect();
        let (verdict, top) = ("InSyscall(clock_nanosleep)", "lab::fault::sleep");
        assert_eq!(
            Value::from(rows),
            json!([
                ["tokio-current-thread", "sleep", "InSyscall", true, 104.25, verdict, "upload", true, top],
                ["mio", "spin", "OnCpu", true, null, verdict, "upload", false, top],
                ["mio", "idle", "nothing", false, null, null, null, null, null],
                ["process", "memory", "threshold exceeded", false, null, "not_provoked", null, null, null],
            ])
        );
    }

    #[test]
    fn a_run_that_broke_off_is_a_document_with_fewer_rows() {
        let document: Value = serde_json::from_str(&written("fewer", &history(1).report().unwrap())).unwrap();
        assert_eq!((&document["faults"], &document["schema"]), (&json!([]), &json!(1)));
        assert_eq!(document["partial"], true);
    }

    #[test]
    fn hostile_names_come_back_as_they_are() {
        let evil = "\"},{\\\u{0}\x1b</script>\u{2028}";
        let mut report = history(1).report().unwrap();
        report.faults = vec![row(0, Outcome::Right)];
        report.faults[0].task = Some(evil.to_owned());
        let document: Value = serde_json::from_str(&written("hostile", &report)).unwrap();
        assert_eq!(document["faults"][0]["task"], evil);
        assert_eq!(document["faults"].as_array().unwrap().len(), 1);
    }
}
