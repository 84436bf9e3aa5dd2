//! The report of a blocked loop, as text; and who hears of it before it is printed.
//!
//! Owns the lines, and that they are printed after all subscribers, unless one of them stops the event.

use crate::blocked::{EventLoopBlocked, Place};
use signalpost_dispatch::{BoxError, Bus, PublishError};
use std::io::{self, Write};

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

/// Publishes the event, and prints its report to `to`. An error is that of the subscriber which stopped it: then nothing is printed.
pub fn publish_and_print(
    bus: &Bus,
    event: &EventLoopBlocked,
    print: bool,
    to: &mut dyn Write,
) -> Result<(), PublishError<BoxError>> {
    let heard = bus.try_publish(event);
    if heard.is_ok() && print {
        let _ = write(&event.to_print(), to); // there may be nothing to print to
    }
    heard
}

/// Each element with a line's end, all in one piece; of no element nothing.
fn write(lines: &[String], to: &mut dyn Write) -> io::Result<()> {
    let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
    if text.is_empty() { Ok(()) } else { to.write_all(text.as_bytes()) }
}
