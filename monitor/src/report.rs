//! The report of a blocked loop, as text; and who hears of it before it is printed.
//!
//! Owns the lines, and that they are printed after all subscribers, unless one of them stops the event.

use crate::blocked::{EventLoopBlocked, Place};
use crate::stack::StackTrace;
use signalpost_dispatch::{BoxError, Bus, PublishError};
use std::io::Write;

/// The lines of a report; some elements hold several.
pub(crate) fn lines(event: &EventLoopBlocked) -> Vec<String> {
    let EventLoopBlocked { hub, worker, task, blocking_time, error_bound, max_blocking_time, .. } = event;
    let when = humantime::format_rfc3339_seconds(event.when);
    let mut lines = vec![
        "=".repeat(80),
        match task.is_known() {
            true => format!("\n{when} : {}: {task} appears to be blocked", Place(hub, *worker)),
            false => format!("\n{when} : {} appears to be blocked", Place(hub, *worker)),
        },
        format!(
            "    Reported by {}: for {blocking_time:.0?} at least, {error_bound:.0?} more at most; \
             {max_blocking_time:.0?} would not be too long (report {})",
            event.monitor, event.report
        ),
        match &event.split {
            Some(split) => format!("    Verdict: {} ({split})", event.verdict),
            None => format!("    Verdict: {}", event.verdict),
        },
    ];
    if event.dropped > 0 {
        lines
            .push(format!("    {} reports before this one were dropped: there were too many", event.dropped));
    }
    match &event.thread {
        Some(thread) => lines.push(format!("Blocked stack (of {thread}):")),
        None => lines.push("Blocked stack:".to_owned()),
    }
    lines.push(match &event.stack {
        Ok(stack) => stack.to_string(),
        Err(error) => format!("    none: {error}"),
    });
    lines.push("Info:".to_owned());
    lines.extend(event.others.iter().map(|other| format!("    {other}")));
    lines
}

/// Publishes the event, and prints its report. An error is that of the subscriber which stopped it: then nothing is printed.
pub fn publish_and_print(
    bus: &Bus,
    event: &EventLoopBlocked,
    print: bool,
    to: &mut dyn Print,
) -> Result<(), PublishError<BoxError>> {
    bus.try_publish(event)?;
    if print {
        to.print(event.to_print());
    }
    Ok(())
}

/// Where reports go.
pub trait Print {
    /// Prints one, in one piece. There may be nothing to print to.
    fn print(&mut self, report: Printout);
}

impl<W: Write> Print for W {
    fn print(&mut self, report: Printout) {
        write_whole(self, &report.text());
    }
}

/// Writes a text in one piece; of none nothing, and not if there is nothing to write to.
pub(crate) fn write_whole(to: &mut (impl Write + ?Sized), text: &str) {
    if !text.is_empty() {
        let _ = to.write_all(text.as_bytes());
    }
}

/// A report that is to be printed.
#[derive(Debug)]
pub struct Printout {
    lines: Vec<String>,
    /// The stack whose text one of the lines is, to have it again with source lines.
    #[cfg(feature = "dwarf")]
    pub(crate) stack: Option<StackTrace>,
}

impl Printout {
    pub(crate) fn new(lines: Vec<String>, stack: Option<&StackTrace>) -> Self {
        let _ = stack;
        Self {
            lines,
            #[cfg(feature = "dwarf")]
            stack: stack.cloned(),
        }
    }

    /// The lines, each with its end.
    pub(crate) fn text(&self) -> String {
        self.lines.iter().flat_map(|line| [line, "\n"]).collect()
    }

    /// The same with source lines, unless somebody changed the stack's text. Takes tens of ms.
    #[cfg(feature = "dwarf")]
    pub(crate) fn text_with_lines(mut self) -> String {
        if let Some(stack) = &self.stack {
            let plain = stack.to_string();
            if let Some(line) = self.lines.iter_mut().find(|line| **line == plain) {
                *line = stack.text_with_lines();
            }
        }
        self.text()
    }
}
