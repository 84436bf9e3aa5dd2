//! The numbers for programs: one JSON document, written whole or not at all.
//!
//! Owns the schema of what is measured, and where a document goes. Whether it can be written is found out
//! before anything is measured; should it fail all the same, the report has been printed by then.

use crate::{
    bench, churn, cli, compare, count, environment, gate, handicap, handoff,
    machine::Machine,
    measure::{Curve, Measure},
    registration, replay, run, slots, survey,
    target::Target,
    watch,
};
use serde::Serialize;
use std::{
    error::Error,
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// Changes when a key is renamed, removed or gets another meaning; new keys do not change it.
pub const SCHEMA: u32 = 1;

/// Everything that one run measured.
#[derive(Clone, Debug, Serialize)]
pub struct Document {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Where and with what it was measured.
    pub machine: Machine,
    /// The command as one would type it after `lab`, without what says where results go.
    pub command: Vec<String>,
    /// Whether it was broken off: then this is what was measured until then.
    pub partial: bool,
    /// What spoils the figures, in words.
    pub warnings: Vec<String>,
    /// What can be compared with another run's.
    pub measures: Vec<Measure>,
    /// What can be drawn.
    pub curves: Vec<Curve>,
    /// What the command measured, if that has rows.
    pub rows: Rows,
    /// Rounds behind each of the rows of `lab paths`, in all processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rounds: Option<usize>,
    /// Processes that measured them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<usize>,
    /// What `lab registration` measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration: Option<registration::Outcome>,
    /// What `lab churn` measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub churn: Option<churn::Outcome>,
    /// What `lab paths` measured of hand-off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handoff: Option<handoff::Outcome>,
    /// What `lab watch-cost` measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch_cost: Option<watch::cost::Outcome>,
    /// What `lab slots` measured, its rows too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots: Option<slots::Outcome>,
    /// What `lab count` counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<count::Outcome>,
    /// What `lab replay` measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<replay::Outcome>,
    /// What `lab env` found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<environment::Outcome>,
    /// What `lab run` measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<run::Outcome>,
    /// What `lab compare` came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compare: Option<compare::Outcome>,
    /// What `lab gate` came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<gate::Outcome>,
    /// All targets that could be judged.
    pub targets: Vec<Target>,
}

impl Document {
    /// A document in which nothing was measured yet.
    pub fn of(machine: Machine) -> Self {
        Self {
            schema: SCHEMA,
            machine,
            command: cli::again(std::env::args()),
            partial: false,
            warnings: handicap::warning().into_iter().collect(),
            measures: Vec::new(),
            curves: Vec::new(),
            rows: Rows::Paths(Vec::new()),
            rounds: None,
            processes: None,
            registration: None,
            churn: None,
            handoff: None,
            watch_cost: None,
            slots: None,
            replay: None,
            environment: None,
            count: None,
            run: None,
            compare: None,
            gate: None,
            targets: Vec::new(),
        }
    }

    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        let rows = match &self.rows {
            Rows::Paths(rows) => rows.len(),
            Rows::Slots(rows) => rows.len(),
            Rows::Own(rows) => rows.len(),
        };
        rows + self.measures.len() == 0
    }
}

/// The rows of one command.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Rows {
    /// Of `lab paths`, and of `lab all`; none where neither ran.
    Paths(Vec<survey::Row>),
    /// Of `lab slots`.
    Slots(Vec<slots::Row>),
    /// Of somebody's own code.
    Own(Vec<bench::Row>),
}

/// Where the document goes.
#[derive(Debug)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// A file that is replaced when the document is complete.
    Replaced {
        /// The file.
        path: PathBuf,
        /// Beside it, until then.
        draft: PathBuf,
    },
    /// Something that cannot be replaced: a device, a pipe.
    Opened(PathBuf, File),
}

/// The document could not be written.
#[derive(Debug)]
pub struct CannotWrite {
    path: PathBuf,
    cause: io::Error,
}

impl fmt::Display for CannotWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot write '{}': {}\n\n\
             expected a file in an existing folder that you may write to, or - for standard output.\n\
             Make the folder, choose another FILE, or leave the option out.",
            self.path.display(),
            self.cause
        )
    }
}

impl Error for CannotWrite {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

impl Destination {
    /// Finds out whether `path` can be written.
    ///
    /// # Errors
    /// When it cannot.
    pub fn open(path: &Path) -> Result<Self, CannotWrite> {
        if path == Path::new("-") {
            return Ok(Self::Stdout);
        }
        let cannot = |cause| CannotWrite { path: path.to_owned(), cause };
        match fs::metadata(path) {
            Ok(there) if there.is_dir() => Err(cannot(io::ErrorKind::IsADirectory.into())),
            Ok(there) if !there.is_file() => {
                let file = OpenOptions::new().write(true).open(path).map_err(cannot)?;
                Ok(Self::Opened(path.to_owned(), file))
            }
            Ok(_) => {
                // Replacing asks the folder; a file that may not be written is not replaced either.
                OpenOptions::new().write(true).open(path).map_err(cannot)?;
                Self::draft(path).map_err(cannot)
            }
            Err(_) => Self::draft(path).map_err(cannot),
        }
    }

    fn draft(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        let mut draft = name.to_owned();
        draft.push(format!(".{}.part", std::process::id()));
        let draft = path.with_file_name(draft);
        File::create(&draft)?;
        drafts(|drafts| drafts.push(draft.clone()));
        Ok(Self::Replaced { path: path.to_owned(), draft })
    }

    /// Whether the document takes standard output, so that the report may not.
    pub const fn is_stdout(&self) -> bool {
        matches!(self, Self::Stdout)
    }

    /// Writes a document as JSON.
    ///
    /// # Errors
    /// When it cannot be written after all; a file that was there before is then unchanged.
    ///
    /// # Panics
    /// When the document is not plain data: a map with keys that are no strings.
    pub fn write(&mut self, document: &impl Serialize) -> Result<(), CannotWrite> {
        let mut text = serde_json::to_string_pretty(document).expect("every part is plain data");
        text.push('\n');
        self.write_text(&text)
    }

    /// Writes a document that is text already.
    ///
    /// # Errors
    /// When it cannot be written after all; a file that was there before is then unchanged.
    pub fn write_text(&mut self, text: &str) -> Result<(), CannotWrite> {
        let text = text.as_bytes();
        let (path, written) = match self {
            Self::Stdout => (Path::new("-"), write_all(&mut io::stdout().lock(), text)),
            Self::Opened(path, file) => (path.as_path(), write_all(file, text)),
            Self::Replaced { path, draft } => {
                let written = fs::write(&*draft, text).and_then(|()| fs::rename(&*draft, &*path));
                (path.as_path(), written)
            }
        };
        written.map_err(|cause| CannotWrite { path: path.to_owned(), cause })
    }
}

/// The drafts that are there now, for a process that ends without going through its end.
static DRAFTS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn drafts(change: impl FnOnce(&mut Vec<PathBuf>)) {
    change(&mut DRAFTS.lock().unwrap_or_else(PoisonError::into_inner));
}

/// Leaves nothing beside the files that were to be written, when the process is about to end at once.
pub fn remove_drafts() {
    drafts(|drafts| drafts.drain(..).for_each(|draft| drop(fs::remove_file(draft))));
}

fn write_all(to: &mut impl Write, text: &[u8]) -> io::Result<()> {
    to.write_all(text)?;
    to.flush()
}

impl Drop for Destination {
    fn drop(&mut self) {
        if let Self::Replaced { draft, .. } = self {
            // Gone already when the document was written.
            let _ = fs::remove_file(&*draft);
            drafts(|drafts| drafts.retain(|other| other != draft));
        }
    }
}
