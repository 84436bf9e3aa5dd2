//! The folder of baselines: which files are there, which new file belongs to which, and how one is replaced.
//!
//! Owns no judgement.

use crate::{output::Destination, saved::Saved};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A file that was measured already.
#[derive(Debug)]
pub(super) struct New {
    /// Where it lies.
    pub(super) path: PathBuf,
    /// What is in it.
    pub(super) saved: Saved,
    /// The baseline that it is to be judged by.
    pub(super) belongs_to: PathBuf,
}

/// All `*.json` of the folder by name; none where there is no such folder.
///
/// # Errors
/// In words, when it is no folder or cannot be read.
pub(super) fn baselines(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let cannot = |error: io::Error| {
        format!("cannot read the folder '{}': {error}\n\nexpected a folder with files *.json", dir.display())
    };
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(cannot)?,
    };
    let paths: io::Result<Vec<_>> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(cannot)?;
    paths.retain(|path| path.extension().is_some_and(|end| end == "json") && path.is_file());
    paths.sort();
    Ok(paths)
}

/// A path's last part.
pub(super) fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Reads files, and finds the baseline of each: that of its name, or else the only one of its command.
///
/// # Errors
/// In words, when one cannot be read, belongs to none, or two belong to the same.
pub(super) fn belonging(files: &[PathBuf], baselines: &[PathBuf]) -> Result<Vec<New>, String> {
    let mut all: Vec<New> = Vec::new();
    for path in files {
        let saved = Saved::read(path)?;
        let named = baselines.iter().find(|baseline| name(baseline) == name(path));
        let belongs_to = match named {
            Some(baseline) => baseline.clone(),
            None => of_command(&saved, path, baselines)?,
        };
        if let Some(other) = all.iter().find(|other| other.belongs_to == belongs_to) {
            return Err(format!(
                "'{}' and '{}' both belong to the baseline '{}'; give one of them",
                other.path.display(),
                path.display(),
                name(&belongs_to)
            ));
        }
        all.push(New { path: path.clone(), saved, belongs_to });
    }
    Ok(all)
}

fn of_command(saved: &Saved, path: &Path, baselines: &[PathBuf]) -> Result<PathBuf, String> {
    let same = |baseline: &&PathBuf| Saved::read(baseline).is_ok_and(|other| other.command == saved.command);
    let found: Vec<_> = baselines.iter().filter(same).collect();
    match found[..] {
        [one] => Ok(one.clone()),
        _ => Err(format!(
            "'{}' belongs to {} baseline: none has its name, and {} its command, lab {}\n\nthere are: {}. `--bless --new FILE` makes \
             it one.",
            path.display(),
            if found.is_empty() { "no" } else { "more than one" },
            if found.is_empty() { "none".to_owned() } else { found.len().to_string() },
            saved.command.join(" "),
            baselines.iter().map(|baseline| name(baseline)).collect::<Vec<_>>().join(", ")
        )),
    }
}

/// Replaces a baseline, whole or not at all.
///
/// # Errors
/// In words, when it cannot be written.
pub(super) fn keep(path: &Path, text: &str) -> Result<(), String> {
    let mut to = Destination::open(path).map_err(|error| error.to_string())?;
    to.write_text(text).map_err(|error| error.to_string())
}

/// Makes a file the baseline of its name; the folder is made where there is none.
///
/// # Errors
/// In words, when it is no file to compare with, or cannot be written.
pub(super) fn keep_file(dir: &Path, file: &Path) -> Result<(PathBuf, Saved), String> {
    let saved = Saved::read(file)?;
    let shown = file.display();
    if saved.partial || saved.measures.is_empty() {
        let what = if saved.partial { "was broken off" } else { "has no figures" };
        return Err(format!("'{shown}' {what}: it cannot be a baseline\n\nMeasure again, to the end."));
    }
    let path = dir.join(name(file)).with_extension("json");
    let text = fs::read_to_string(file).map_err(|error| format!("cannot read '{shown}': {error}"))?;
    fs::create_dir_all(dir)
        .map_err(|error| format!("cannot make the folder '{}': {error}", dir.display()))?;
    keep(&path, &text)?;
    Ok((path, saved))
}
