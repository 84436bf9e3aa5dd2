//! The files that a report is made of: read, named, and where their machines differ.
//!
//! Owns what is refused (a file without figures), the short name of each file, and the remarks about what makes two files hard to
//! compare. Not here: what a file looks like (`saved.rs`).

use super::words::listed;
use crate::{machine::Machine, saved::Saved, table::counted};
use std::{collections::BTreeSet, path::Path};

/// One file.
#[derive(Clone, Debug)]
pub struct Source {
    /// What it is called on the page: the file's name, or as much of its path as tells it from the others.
    pub name: String,
    /// What is in it.
    pub saved: Saved,
}

/// Reads the files, in this order.
///
/// # Errors
/// In words, at the first that cannot be read or that has no figures.
pub fn read(paths: &[impl AsRef<Path>]) -> Result<Vec<Source>, String> {
    let names = names(&paths.iter().map(|path| path.as_ref().display().to_string()).collect::<Vec<_>>());
    paths
        .iter()
        .zip(names)
        .map(|(path, name)| {
            let saved = Saved::read(path.as_ref())?;
            if saved.measures.is_empty() && saved.curves.is_empty() {
                return Err(without_figures(path.as_ref(), &saved));
            }
            Ok(Source { name, saved })
        })
        .collect()
}

fn without_figures(path: &Path, saved: &Saved) -> String {
    let why = if saved.partial { " (it was broken off before there was one)" } else { "" };
    let by = if saved.command.is_empty() {
        String::new()
    } else {
        format!("\n`lab {}` wrote it.", saved.command.join(" "))
    };
    format!(
        "'{}' has no figures to report{why}: its `measures` and `curves` are empty\n\n\
         expected a file that a measuring command wrote with --json FILE: `lab`, `lab run`, `lab replay`, `lab count`, \
         `lab slots`, `lab churn`, `lab registration`, …{by}",
        path.display()
    )
}

/// The last part of each path; where two are alike, the whole paths, and where these are alike too, with a number.
fn names(paths: &[String]) -> Vec<String> {
    let short = |path: &String| {
        Path::new(path).file_name().map_or_else(|| path.clone(), |name| name.to_string_lossy().into_owned())
    };
    let mut names: Vec<_> = paths.iter().map(short).collect();
    if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
        names = paths.to_vec();
    }
    (0..names.len())
        .map(|place| match names[..place].iter().filter(|&before| *before == names[place]).count() {
            0 => names[place].clone(),
            before => format!("{} ({})", names[place], before + 1),
        })
        .collect()
}

/// What is known of a machine and its build, by name: rows of a table. Differences in those that are `true` forbid to compare.
pub fn facts(machine: &Machine) -> [(&'static str, String, bool); 9] {
    let Machine { cpu, cores, os, kernel, rustc, commit, profile, flags, barrier, load } = machine;
    let load = load.map_or_else(|| "unknown".to_owned(), |load| format!("{load:.2} tasks wanted a core"));
    [
        ("processor", cpu.clone(), true),
        ("cores", cores.to_string(), true),
        ("system", format!("{os}, kernel {kernel}"), true),
        ("compiler", rustc.clone(), true),
        ("commit", commit.clone(), false),
        ("profile", profile.clone(), true),
        ("flags", flags.clone(), true),
        ("barrier", barrier.clone(), true),
        ("load before", load, false),
    ]
}

/// What to be wary of: files that were broken off, their own warnings, machines that differ. What is true of several files is said once.
pub fn remarks(sources: &[Source]) -> Vec<String> {
    let mut said: Vec<(String, Vec<&str>)> = Vec::new();
    for Source { name, saved } in sources {
        let partial =
            saved.partial.then_some("partial, broken off before its end; this is what there was until then.");
        let debug = saved.machine.profile == "debug";
        let debug = debug.then_some("measured without optimisation, so its numbers mean nothing.");
        let Machine { load, cores, .. } = saved.machine;
        let busy = load.filter(|load| *load > cores as f64 * 0.5).map(|load| {
            let cores = counted(cores, "core");
            format!(
                "measured while {load:.1} tasks wanted its {cores}: read ratios and order, not nanoseconds."
            )
        });
        let own = partial.into_iter().chain(debug).map(str::to_owned).chain(busy);
        for text in own.chain(saved.warnings.iter().cloned()) {
            match said.iter_mut().find(|(known, _)| *known == text) {
                Some((_, names)) => names.push(name),
                None => said.push((text, vec![name])),
            }
        }
    }
    let mut remarks: Vec<_> =
        said.into_iter().map(|(text, names)| format!("{}: {text}", listed(&names))).collect();
    let differing: Vec<_> =
        differing(sources).into_iter().filter(|&(_, matters)| matters).map(|(fact, _)| fact).collect();
    if !differing.is_empty() {
        remarks.push(format!(
            "The files were not measured on the same machine with the same build: they differ in {}. What differs between them may come \
             from that.",
            differing.join(", ")
        ));
    }
    remarks
}

/// The facts in which the files differ, and whether that forbids to compare them.
pub fn differing(sources: &[Source]) -> Vec<(&'static str, bool)> {
    let all: Vec<_> = sources.iter().map(|source| facts(&source.saved.machine)).collect();
    let Some((first, others)) = all.split_first() else { return Vec::new() };
    first
        .iter()
        .enumerate()
        .filter(|&(place, fact)| others.iter().any(|other| other[place].1 != fact.1))
        .map(|(_, &(name, _, matters))| (name, matters))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::sample::{source, write};

    #[test]
    fn files_are_called_by_their_names_and_by_their_paths_where_those_are_alike() {
        let names = |paths: &[&str]| names(&paths.iter().map(|&path| path.to_owned()).collect::<Vec<_>>());
        assert_eq!(names(&["a/base.json", "b/new.json"]), ["base.json", "new.json"]);
        assert_eq!(names(&["a/run.json", "b/run.json"]), ["a/run.json", "b/run.json"]);
        assert_eq!(names(&["run.json"; 3]), ["run.json", "run.json (2)", "run.json (3)"]);
    }

    #[test]
    fn a_file_without_figures_is_refused_and_the_commands_that_write_some_are_named() {
        let mut empty = source("empty.json").saved;
        (empty.measures, empty.curves, empty.partial) = (Vec::new(), Vec::new(), true);
        let (_folder, path) = write(&empty);
        let error = read(&[&path]).unwrap_err();
        for part in ["has no figures", "broken off", "lab run", "`lab paths --quick` wrote it"] {
            assert!(error.contains(part), "no {part:?} in {error}");
        }
        assert!(read(&[path.with_extension("none")]).unwrap_err().contains("cannot read"));
    }

    #[test]
    fn machines_that_differ_are_remarked_and_commits_and_load_may() {
        let (a, mut b) = (source("a.json"), source("b.json"));
        assert_eq!(remarks(&[a.clone(), b.clone()]), [""; 0]);
        (b.saved.machine.commit, b.saved.machine.load) = ("other".to_owned(), Some(0.9));
        assert_eq!(remarks(&[a.clone(), b.clone()]), [""; 0]);
        assert_eq!(differing(&[a.clone(), b.clone()]), [("commit", false), ("load before", false)]);
        (b.saved.machine.cores, b.saved.machine.flags) = (64, "opt-level 0".to_owned());
        b.saved.partial = true;
        b.saved.warnings.push("more threads than cores".to_owned());
        let mut busy = b.clone();
        (busy.saved.machine.load, busy.saved.machine.cores) = (Some(7.5), 2);
        assert!(remarks(&[busy])[1].contains("while 7.5 tasks wanted its 2 cores"));
        let twice = remarks(&[b.clone(), Source { name: "c.json".to_owned(), ..b.clone() }]);
        assert_eq!(twice[1], "b.json and c.json: more threads than cores");
        let remarks = remarks(&[a, b]);
        assert!(remarks[0].starts_with("b.json: partial"), "{remarks:?}");
        assert_eq!(remarks[1], "b.json: more threads than cores");
        assert!(remarks[2].contains("differ in cores, flags."), "{remarks:?}");
        assert_eq!(remarks.len(), 3);
    }
}
