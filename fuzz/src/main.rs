//! `signalpost-fuzz history FILE...`, and the same with `bus`, `list`, `slots` or `threads`: shows what happens in an input, and
//! whether that is right. `signalpost-fuzz seed DIR`: writes the hand-written histories there, below `history` and `bus`.

use signalpost_fuzz::{BusHistory, History, KNOWN, bus_seeds, list_with, seeds, slots_with, threads_with};
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str =
    "usage: signalpost-fuzz history|bus|list|slots|threads FILE...\n       signalpost-fuzz seed DIR";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.split_first() {
        Some((verb, files)) if verb == "history" && !files.is_empty() => files.iter().try_for_each(history),
        Some((verb, files)) if verb == "bus" && !files.is_empty() => files.iter().try_for_each(bus),
        Some((verb, files)) if verb == "list" && !files.is_empty() => files.iter().try_for_each(list),
        Some((verb, files)) if verb == "slots" && !files.is_empty() => files.iter().try_for_each(slots),
        Some((verb, files)) if verb == "threads" && !files.is_empty() => files.iter().try_for_each(threads),
        Some((verb, [folder])) if verb == "seed" => seed(Path::new(folder)),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn read(file: &String) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("cannot read {file}: {error}"))
}

fn history(file: &String) -> Result<(), String> {
    let history = History::run_aloud(&read(file)?);
    history.check(KNOWN)?;
    println!("{file}: {} lines, as the model says", history.lines());
    Ok(())
}

fn bus(file: &String) -> Result<(), String> {
    let history = BusHistory::run(&read(file)?);
    history.check(&[])?;
    println!("{}\n{file}: {} lines, as the model says", history.lines().join("\n"), history.lines().len());
    Ok(())
}

fn list(file: &String) -> Result<(), String> {
    let happened = list_with(&read(file)?, &[])?;
    println!("{file}: as a Vec says; {happened:?}");
    Ok(())
}

fn slots(file: &String) -> Result<(), String> {
    let happened = slots_with(&read(file)?, &[])?;
    println!("{file}: as plain vectors say; {happened:?}");
    Ok(())
}

fn threads(file: &String) -> Result<(), String> {
    let bytes = read(file)?;
    let calls = (0..1000).try_fold(0, |calls, _| Ok::<_, String>(calls + threads_with(&bytes, &[])?))?;
    println!("{file}: nothing wrong in 1000 runs and {calls} calls");
    Ok(())
}

fn seed(folder: &Path) -> Result<(), String> {
    let histories = seeds().into_iter().map(|(name, bytes)| ("history", name, bytes));
    let buses = bus_seeds().into_iter().map(|(name, bytes)| ("bus", name, bytes));
    for (target, name, bytes) in histories.chain(buses) {
        let file = folder.join(target).join(name);
        std::fs::write(&file, bytes).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    Ok(())
}
