//! `lab watch`, from its settings to its exit code: who shows the run, and what is written at the end.
//!
//! Owns the order: what cannot be written is refused before anything runs; the table is printed before the files are written.

use super::{
    history::{Ending, History},
    json, lines,
    record::{Moment, Report},
    run::{CannotRun, Settings},
};
use crate::{cli::WatchArgs, output::Destination, table::Colour};
use std::{
    io::{self, IsTerminal, Write},
    path::Path,
    sync::mpsc::{self, Receiver},
    thread,
};

/// Runs it, shows it, writes what is to be written. Gives whether all is right.
///
/// # Errors
/// In words, when a file cannot be written, or something cannot be started; all that could be was printed by then.
pub fn perform(args: &WatchArgs) -> Result<bool, String> {
    let settings = args.settings();
    let mut json = args.json.as_deref().map(open).transpose()?;
    let to_stderr = json.as_ref().is_some_and(Destination::is_stdout);
    let report = if to_stderr {
        show(&settings, args.plain, io::stderr())?
    } else {
        show(&settings, args.plain, io::stdout())?
    };
    if let Some(to) = &mut json {
        json::write(&report, to).map_err(|error| error.to_string())?;
    }
    Ok(report.is_right())
}

fn open(path: &Path) -> Result<Destination, String> {
    Destination::open(path).map_err(|error| error.to_string())
}

/// Runs while it is shown, then prints the table.
fn show(settings: &Settings, plain: bool, mut to: impl Write + IsTerminal) -> Result<Report, String> {
    let colour = Colour::for_stream(&to);
    let (moments, told) = mpsc::channel();
    let mut history = History::new();
    let (ran, shown) = thread::scope(|scope| {
        let run = scope.spawn(move || settings.run(moments));
        let shown = follow(told, &mut history, plain, &mut to, colour);
        (run.join(), shown)
    });
    let report = match (ran, shown) {
        (Err(_panicked), _) => return Err("the run broke off: see above".to_owned()),
        (_, Err(error)) => return Err(format!("cannot print the report: {error}")),
        // What was seen until then is worth a table too.
        (Ok(Err(CannotRun::NobodyLooks)), Ok(_)) => {
            history.report().ok_or_else(|| CannotRun::NobodyLooks.to_string())?
        }
        (Ok(Err(error)), Ok(_)) => return Err(error.to_string()),
        (Ok(Ok(report)), Ok(_)) => report,
    };
    let table = lines::table(&report, colour);
    to.write_all(table.as_bytes())
        .and_then(|()| to.flush())
        .map_err(|error| format!("cannot print the report: {error}"))?;
    Ok(report)
}

fn follow(
    told: Receiver<Moment>,
    history: &mut History,
    _plain: bool,
    to: &mut (impl Write + IsTerminal),
    colour: Colour,
) -> io::Result<Ending> {
    lines::follow(told, history, to, colour)
}
