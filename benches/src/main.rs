//! The `lab` command.

mod heap;

use clap::Parser;
use signalpost_lab::{
    cli::{Cli, Command},
    compare, count, environment,
    exit::{Exit, Performed},
    experiments::Experiments,
    gate, manual, page, replay, run, takes, watch,
};
use std::{
    io::{self, Write},
    process::ExitCode,
};

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

fn main() -> ExitCode {
    match perform(Cli::parse()) {
        Ok(exit) => exit.into(),
        Err(message) => {
            // Standard error is the last place to say it; if it is closed there is nobody to tell.
            let _ = writeln!(io::stderr(), "error: {message}");
            Exit::Usage.into()
        }
    }
}

fn perform(cli: Cli) -> Performed {
    let held = heap::held_by_this_thread;
    let Some(command) = cli.command else { return Experiments::paths(&cli.paths)?.perform() };
    match command {
        Command::Paths(args) => Experiments::paths(&args)?.perform(),
        Command::Registration(args) => Experiments::registration(&args, held).perform(),
        Command::Churn(args) => Experiments::churn(&args).perform(),
        Command::WatchCost(args) => Experiments::watch_cost(&args).perform(),
        Command::Slots(args) => Experiments::slots(&args).perform(),
        Command::All(common) => Experiments::all(&common, held)?.perform(),
        Command::Watch(args) => watch::command::perform(&args),
        Command::Run(args) => run::perform(&args),
        Command::Replay(args) => replay::perform(&args),
        Command::Report(args) => page::perform(&args),
        Command::Compare(args) => compare::perform(&args),
        Command::Gate(args) => gate::perform(&args),
        Command::Env(args) => environment::perform(&args),
        Command::Count(args) => count::perform(&args),
        Command::CountOne(args) => count::subject::perform(&args),
        Command::Completions(args) => manual::completions(&args),
        Command::Man(args) => manual::man(&args),
        Command::Take(args) => {
            takes::perform(&args.settings()?).map_err(|error| error.to_string())?;
            Ok(Exit::Fine)
        }
    }
}
