//! The files that a run writes besides its JSON: all are opened before anything is measured.
//!
//! Owns which file is for what, and that no two are the same. CSV and percentiles are written whole at the end; the interval log
//! grows (`log.rs`).

use super::{args::Args, case::Case, hgrm, log::LogFile, outcome::Outcome};
use crate::output::Destination;
use std::path::{Path, PathBuf};

/// Files that can be written.
#[derive(Debug)]
pub struct Files {
    hgrm: Vec<(Case, Destination)>,
    csv: Option<Destination>,
}

impl Files {
    /// Opens all that are asked for; the interval log last, since what was in it is gone then.
    ///
    /// # Errors
    /// In words, when one cannot be written, or two are the same.
    pub fn open(args: &Args, cases: &[Case]) -> Result<(Self, Option<LogFile>), String> {
        let hgrm =
            |case: &Case, path: &Path| hgrm::file(path, (cases.len() > 1).then(|| case.slug()).as_deref());
        let hgrm: Vec<(Case, PathBuf)> =
            args.hgrm.iter().flat_map(|path| cases.iter().map(|case| (*case, hgrm(case, path)))).collect();
        let named = [&args.csv, &args.hlog, &args.hgrm].into_iter().flatten().map(PathBuf::as_path);
        if named.clone().any(|path| path == Path::new("-")) {
            return Err(
                "only --json can go to standard output\n\nexpected a FILE for --hlog, --hgrm and --csv."
                    .to_owned(),
            );
        }
        // As they are named, and, since several cases have a file each, as they are written.
        let typed: Vec<&Path> = named.chain(args.common.json.as_deref()).collect();
        let others = [&args.common.json, &args.csv, &args.hlog].into_iter().flatten().map(PathBuf::as_path);
        let written: Vec<&Path> = hgrm.iter().map(|(_, path)| path.as_path()).chain(others).collect();
        if let Some(path) = twice(&typed).or_else(|| twice(&written)) {
            return Err(format!(
                "'{}' is asked to hold two things\n\nexpected another FILE for each of --json, --hlog, --hgrm and --csv.",
                path.display()
            ));
        }
        let open = |path: &Path| Destination::open(path).map_err(|error| error.to_string());
        let hgrm = hgrm.iter().map(|(case, path)| Ok((*case, open(path)?))).collect::<Result<_, String>>()?;
        let csv = args.csv.as_deref().map(open).transpose()?;
        // Opened again when the run begins; tried here, so that the log is not emptied in vain.
        args.common.json.as_deref().map(open).transpose()?;
        Ok((Self { hgrm, csv }, args.hlog.as_deref().map(LogFile::create).transpose()?))
    }

    /// Writes all but the interval log; a case of which there is nothing gets no file. What cannot be written, in words.
    pub fn write(self, outcome: &Outcome) -> Vec<String> {
        let mut failed = Vec::new();
        for (case, mut destination) in self.hgrm {
            let recorder =
                outcome.rows.iter().find(|row| row.settings == case).and_then(|row| row.recorder.as_ref());
            if let Some((histogram, units)) = recorder.map(|recorder| recorder.spectrum()) {
                failed.extend(destination.write_text(&hgrm::text(histogram, units)).err());
            }
        }
        if let Some(mut destination) = self.csv {
            failed.extend(destination.write_text(&outcome.csv()).err());
        }
        failed.iter().map(ToString::to_string).collect()
    }
}

/// The first path that is there again; devices may be.
fn twice<'p>(paths: &[&'p Path]) -> Option<&'p Path> {
    let again = |(index, path): (usize, &&'p Path)| {
        (paths[..index].contains(path) && !path.starts_with("/dev")).then_some(*path)
    };
    paths.iter().enumerate().find_map(again)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_one_thing_and_a_device_any_number() {
        let [a, b, device] = ["a", "b", "/dev/null"].map(Path::new);
        assert_eq!((twice(&[a, b]), twice(&[a, b, a]), twice(&[device, device])), (None, Some(a), None));
    }
}
