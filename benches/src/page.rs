//! `lab report`: a page, a table or a plot of what the lab wrote.
//!
//! Owns the command: where its results go is settled before anything is read, and nothing is written that was not made whole.
//!
//! | file | owns |
//! |---|---|
//! | `args` | the command line |
//! | `source`, `case` | files, their names and differences; names of cases |
//! | `content`, `tables`, `words` | what a report says: figures, tables, sentences |
//! | `scale`, `mark`, `bars`, `curves` | drawings and what they share |
//! | `html`, `markdown`, `plot`, `summary` | the four ways to show it |

mod args;
pub mod bars;
pub mod case;
pub mod content;
pub mod curves;
pub mod html;
pub mod mark;
pub mod markdown;
pub mod plot;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod sample;
pub mod scale;
pub mod source;
pub mod summary;
pub mod tables;
pub mod words;

use crate::{
    exit::{Exit, Performed},
    output::Destination,
    watch::words::plain,
};
pub use args::Args;
use content::Report;
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Runs it.
///
/// # Errors
/// In words, when it cannot be done.
pub fn perform(args: &Args) -> Performed {
    let mut outputs = Outputs::open(args)?;
    let report = Report::of(source::read(&args.files)?);
    let texts = [
        args.html.is_some().then(|| html::page(&report)),
        args.md.is_some().then(|| markdown::written(&report)),
        args.svg.is_some().then(|| plot::drawn(&report)).transpose()?,
    ];
    for (to, text) in outputs.texts.iter_mut().zip(texts) {
        if let (Some(to), Some(text)) = (to, text) {
            to.write_text(&text).map_err(|error| error.to_string())?;
        }
    }
    if let Some(to) = &mut outputs.json {
        to.write(&summary::Summary::of(&report)).map_err(|error| error.to_string())?;
    }
    if !args.common.quiet {
        outputs.say(&report).map_err(|error| format!("cannot print what was found: {error}"))?;
    }
    Ok(Exit::Fine)
}

/// Where everything goes.
struct Outputs {
    /// The page, the Markdown, the plot.
    texts: [Option<Destination>; 3],
    json: Option<Destination>,
    written: Vec<PathBuf>,
}

impl Outputs {
    /// Finds out whether all can be written.
    fn open(args: &Args) -> Result<Self, String> {
        let paths = [&args.html, &args.md, &args.svg, &args.common.json];
        let asked: Vec<_> =
            ["--html", "--md", "--svg", "--json"].into_iter().zip(paths.map(Option::as_deref)).collect();
        clashes(&asked, &args.files)?;
        if args.svg.is_some() && args.files.len() != 1 {
            return Err(format!(
                "--svg draws one file, and there are {}\n\nexpected: lab report FILE --svg PLOT. --html and --md take several.",
                args.files.len()
            ));
        }
        let open = |path: &Option<PathBuf>| {
            path.as_deref().map(Destination::open).transpose().map_err(|error| error.to_string())
        };
        let written = paths.into_iter().flatten().cloned().collect();
        let [html, md, svg, json] = paths.map(open);
        Ok(Self { texts: [html?, md?, svg?], json: json?, written })
    }

    /// What was found and written: to standard output, unless that is taken.
    fn say(&self, report: &Report) -> io::Result<()> {
        let mut text = words::counts(report) + "\n";
        for finding in words::findings(report) {
            text += &format!("  {}\n", plain(&finding));
        }
        for remark in &report.remarks {
            text += &format!("  warning: {}\n", plain(remark));
        }
        for path in self.written.iter().filter(|path| *path != Path::new("-")) {
            text += &format!("wrote {}\n", path.display());
        }
        match self.written.iter().any(|path| path == Path::new("-")) {
            true => io::stderr().lock().write_all(text.as_bytes()),
            false => io::stdout().lock().write_all(text.as_bytes()),
        }
    }
}

/// Whether two results go to the same place, or one would replace what is read.
fn clashes(asked: &[(&str, Option<&Path>)], files: &[PathBuf]) -> Result<(), String> {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let given: Vec<_> = asked.iter().filter_map(|&(option, path)| Some((option, path?))).collect();
    for (place, &(option, path)) in given.iter().enumerate() {
        if let Some((other, _)) = given[..place].iter().find(|(_, other)| real(other) == real(path)) {
            let shown = if path == Path::new("-") {
                "standard output".to_owned()
            } else {
                format!("'{}'", path.display())
            };
            return Err(format!(
                "{other} and {option} both go to {shown}\n\nexpected a FILE of its own for each."
            ));
        }
        if let Some(file) =
            files.iter().find(|file| path != Path::new("-") && real(file) == real(path) && file.exists())
        {
            return Err(format!(
                "{option} would replace '{}', which is to be read\n\nexpected another FILE to write to.",
                file.display()
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;
    use sample::{Folder, saved, write};

    fn args(line: &[&str]) -> Result<Args, String> {
        let line = [&["lab", "report"], line].concat();
        match Cli::try_parse_from(line).map_err(|error| error.to_string())?.command {
            Some(Command::Report(args)) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_and_an_output_are_asked_for() {
        let error = args(&["--html", "x.html"]).unwrap_err();
        assert!(error.contains("<FILE>..."), "{error}");
        let error = args(&["a.json"]).unwrap_err();
        assert!(error.contains("--html <FILE>") && error.contains("--md <FILE>"), "{error}");
        assert!(args(&["a.json", "--json", "-"]).is_ok(), "a summary is an output");
    }

    #[test]
    fn all_outputs_are_written_and_the_same_again() {
        let (folder, file) = write(&saved());
        let at = |name: &str| folder.0.join(name).to_str().unwrap().to_owned();
        let line = [
            "--html",
            &at("a.html"),
            "--md",
            &at("a.md"),
            "--svg",
            &at("a.svg"),
            "--json",
            &at("a.json"),
            "--quiet",
        ];
        let args = args(&[&[file.to_str().unwrap()], &line[..]].concat()).unwrap();
        assert_eq!(perform(&args), Ok(Exit::Fine));
        let read = |name: &str| fs::read_to_string(at(name)).unwrap();
        let first = ["a.html", "a.md", "a.svg", "a.json"].map(read);
        assert!(first.iter().all(|text| text.contains("signalpost")));
        assert_eq!(perform(&args), Ok(Exit::Fine));
        assert_eq!(first, ["a.html", "a.md", "a.svg", "a.json"].map(read));
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 5, "no draft is left");
    }

    #[test]
    fn what_cannot_be_written_is_refused_before_anything_is_read() {
        let folder = Folder::new();
        let nowhere = folder.0.join("no/such/folder/a.html");
        let error =
            perform(&args(&["no-such-file.json", "--html", nowhere.to_str().unwrap()]).unwrap()).unwrap_err();
        assert!(error.starts_with("cannot write") && !error.contains("no-such-file"), "{error}");
    }

    #[test]
    fn outputs_of_one_place_and_those_that_would_replace_what_is_read_are_refused() {
        let (folder, file) = write(&saved());
        let file = file.to_str().unwrap();
        let refused = |line: &[&str]| perform(&args(line).unwrap()).unwrap_err();
        assert!(
            refused(&[file, "--md", "-", "--json", "-"])
                .contains("--md and --json both go to standard output")
        );
        let page = folder.0.join("x").to_str().unwrap().to_owned();
        assert!(refused(&[file, "--md", &page, "--html", &page]).contains("--html and --md both go to '"));
        assert!(refused(&[file, "--html", file]).contains("--html would replace '"));
        assert!(refused(&[file, file, "--svg", &page]).contains("--svg draws one file, and there are 2"));
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn a_page_that_cannot_be_made_leaves_what_was_there() {
        let (folder, file) = write(&sample::run());
        let plot = folder.0.join("plot.svg");
        fs::write(&plot, "before").unwrap();
        let args = args(&[file.to_str().unwrap(), "--svg", plot.to_str().unwrap(), "--quiet"]).unwrap();
        assert!(perform(&args).unwrap_err().contains("expected a file of `lab paths`"));
        assert_eq!(fs::read_to_string(&plot).unwrap(), "before");
    }
}
