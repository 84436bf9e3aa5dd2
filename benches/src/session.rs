//! What every command that measures does around its measurement: what cannot be written is refused first, the report is printed as
//! it comes, the numbers are written last, so that a file that cannot be written costs no measurement.

use crate::{
    cli::CommonArgs,
    exit::{Exit, Performed},
    machine::Machine,
    output::{Destination, Document},
    progress::Progress,
    stop,
    table::Colour,
};
use std::io::{self, IsTerminal, Write};

/// One command's run.
#[derive(Debug)]
pub struct Session {
    /// Where it measures.
    pub machine: Machine,
    /// Where its progress goes.
    pub progress: Progress,
    /// How its report is coloured.
    pub colour: Colour,
    report: Report,
    destination: Option<Destination>,
    check: bool,
}

impl Session {
    /// Opens what is to be written, listens for Ctrl-C, and prints the heading.
    ///
    /// # Errors
    /// In words, when a file cannot be written.
    pub fn open(common: &CommonArgs) -> Result<Self, String> {
        let mut session = Self::without_heading(common, false)?;
        session.print(&session.machine.heading());
        Ok(session)
    }

    /// As [`open`](Self::open), for a command that reads files: this machine is of no interest then. With `stdout_taken` the report
    /// goes to standard error, as it does when the numbers go to standard output.
    ///
    /// # Errors
    /// As `open`.
    pub fn without_heading(common: &CommonArgs, stdout_taken: bool) -> Result<Self, String> {
        let destination = common.json.as_deref().map(Destination::open).transpose();
        let destination = destination.map_err(|error| error.to_string())?;
        let (report, colour) = match &destination {
            Some(destination) if destination.is_stdout() => Report::to(io::stderr()),
            _ if stdout_taken => Report::to(io::stderr()),
            _ => Report::to(io::stdout()),
        };
        stop::listen();
        let machine = Machine::this();
        let progress = if common.quiet { Progress::silent() } else { Progress::automatic() };
        Ok(Self { progress, colour, report, destination, check: common.check, machine })
    }

    /// Prints a part of the report. A failure is kept until the numbers are written.
    pub fn print(&mut self, text: &str) {
        self.report.print(text);
    }

    /// An empty document of this machine.
    pub fn document(&self) -> Document {
        Document::of(self.machine.clone())
    }

    /// As [`close`](Self::close), of a command that `failed` in these ways and has something to report nevertheless.
    ///
    /// # Errors
    /// All of them, and what `close` adds.
    pub fn close_after(self, document: &Document, mut failed: Vec<String>) -> Performed {
        let closed = self.close(document);
        if failed.is_empty() {
            return closed;
        }
        failed.extend(closed.err());
        Err(failed.join("\n\nerror: "))
    }

    /// Writes the numbers, and says how the command ended.
    ///
    /// # Errors
    /// In words, when the numbers cannot be written or the report could not be printed.
    pub fn close(mut self, document: &Document) -> Performed {
        if document.partial {
            let why = if stop::is_asked() { "interrupted" } else { "ended early" };
            self.print(&format!("\n  {why}: this is what was measured until then, marked partial\n"));
        }
        if let Some(destination) = &mut self.destination {
            destination.write(document).map_err(|error| error.to_string())?;
        }
        if let Some(error) = self.report.failed {
            return Err(format!("cannot print the report: {error}"));
        }
        Ok(match document {
            _ if document.partial => Exit::Interrupted,
            _ if self.check && document.targets.iter().any(|target| !target.met) => Exit::Regressed,
            _ => Exit::Fine,
        })
    }
}

/// Where the report goes.
struct Report {
    to: Box<dyn Write>,
    failed: Option<io::Error>,
}

impl std::fmt::Debug for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Report").field("failed", &self.failed).finish_non_exhaustive()
    }
}

impl Report {
    fn to(stream: impl Write + IsTerminal + 'static) -> (Self, Colour) {
        let colour = Colour::for_stream(&stream);
        (Self { to: Box::new(stream), failed: None }, colour)
    }

    fn print(&mut self, text: &str) {
        if self.failed.is_some() {
            return;
        }
        let printed = self.to.write_all(text.as_bytes()).and_then(|()| self.to.flush());
        self.failed = printed.err();
    }
}
