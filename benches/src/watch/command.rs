//! `lab watch`, from its settings to its exit code: who shows the run, and what is written at the end.
//!
//! Owns the order: what cannot be written is refused before anything runs; the table is printed before the files are written.

use super::{
    history::{Ending, History},
    html, json, lines,
    plan::Settings,
    record::{Moment, Report},
    run::CannotRun,
    terminal::{self, Screen},
};
use crate::{
    cli::WatchArgs,
    exit::{Exit, Performed},
    output::Destination,
    stop,
    table::Colour,
};
use std::{
    io::{self, IsTerminal, Write},
    path::Path,
    sync::mpsc::{self, Receiver},
    thread,
};

/// Runs it, shows it, writes what is to be written; regressed, with `--check`, unless it came to its end and all is right.
///
/// # Errors
/// In words, when a file cannot be written, or something cannot be started; all that could be was printed by then.
pub fn perform(args: &WatchArgs) -> Performed {
    let settings = args.settings();
    if [&args.json, &args.html].into_iter().all(|path| path.as_deref() == Some(Path::new("-"))) {
        return Err("--json - and --html - both want standard output: give one of them a file".to_owned());
    }
    let mut json = args.json.as_deref().map(open).transpose()?;
    let mut page = args.html.as_deref().map(open).transpose()?;
    let takes_stdout = |to: &Option<Destination>| to.as_ref().is_some_and(Destination::is_stdout);

    let mut history = History::new();
    let shown = match args {
        WatchArgs { quiet: true, .. } => Shown::Nothing,
        WatchArgs { plain: true, .. } => Shown::Lines,
        _ => Shown::Live,
    };
    let (report, ending) = if takes_stdout(&json) || takes_stdout(&page) {
        show(&settings, shown.min(Shown::Lines), &mut history, io::stderr())?
    } else {
        show(&settings, shown, &mut history, io::stdout())?
    };
    if let Some(to) = &mut json {
        json::write(&report, to).map_err(|error| error.to_string())?;
    }
    if let Some(to) = &mut page {
        html::write(&report, &history, to).map_err(|error| error.to_string())?;
    }
    if stop::is_asked() {
        return Ok(Exit::Interrupted);
    }
    let is_right = report.is_right() && ending == Ending::Ended;
    Ok(if args.check && !is_right { Exit::Regressed } else { Exit::Fine })
}

/// What is seen of a run while it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Shown {
    Nothing,
    Lines,
    /// A view, where the terminal can have one; else lines.
    Live,
}

fn open(path: &Path) -> Result<Destination, String> {
    Destination::open(path).map_err(|error| error.to_string())
}

/// Runs while it is shown, then prints the table.
fn show(
    settings: &Settings,
    shown: Shown,
    history: &mut History,
    mut to: impl Write + IsTerminal,
) -> Result<(Report, Ending), String> {
    let cannot = |error: io::Error| format!("cannot print the report: {error}");
    let colour = Colour::for_stream(&to);
    let (moments, told) = mpsc::channel();
    let (ran, followed) = thread::scope(|scope| {
        let run = scope.spawn(move || settings.run(moments));
        let followed = follow(told, history, shown, &mut to, colour);
        (run.join(), followed)
    });
    let ran = ran.map_err(|_| "the run broke off: see above")?;
    let ending = followed.map_err(cannot)?;
    let report = match ran {
        Ok(report) => report,
        // What was seen until then is worth a table too.
        Err(stopped @ CannotRun::NobodyLooks) => history.report().ok_or_else(|| stopped.to_string())?,
        Err(error) => return Err(error.to_string()),
    };
    let mut table = lines::table(&report, colour);
    if report.partial {
        table += "  interrupted: this is what was seen until then, marked partial\n";
    }
    to.write_all(table.as_bytes()).and_then(|()| to.flush()).map_err(cannot)?;
    Ok((report, ending))
}

/// Shows it as it is wanted, or as far as that can be had.
fn follow(
    told: Receiver<Moment>,
    history: &mut History,
    shown: Shown,
    to: &mut impl Write,
    colour: Colour,
) -> io::Result<Ending> {
    if shown == Shown::Live
        && terminal::is_possible()
        && let Ok(screen) = Screen::open()
    {
        return screen.follow(told, history);
    }
    // The view has signals of its own, which give the terminal back.
    stop::listen();
    match shown {
        Shown::Nothing => lines::follow(told, history, &mut io::sink(), colour),
        Shown::Lines | Shown::Live => lines::follow(told, history, to, colour),
    }
}
