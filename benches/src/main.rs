//! The `lab` command. Measures, prints the report, then writes the numbers: in this order, so that
//! a file that cannot be written costs no measurement.

mod heap;

use clap::Parser;
use signalpost_lab::{
    churn,
    cli::{ChurnArgs, Cli, Command, CommonArgs, PathsArgs, RegistrationArgs, SlotsArgs, WatchCostArgs},
    handoff,
    machine::Machine,
    output::{Destination, Document, Rows, SCHEMA},
    progress::Progress,
    registration, report, slots, survey,
    table::Colour,
    takes,
    target::{self, Target},
    watch,
};
use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

const TARGET_MISSED: u8 = 1;
const WRONG_USAGE: u8 = 2;

/// What to run, with its settings checked.
struct Experiments {
    common: CommonArgs,
    survey: Option<(survey::Settings, usize)>,
    handoff: Option<handoff::Settings>,
    registration: Option<registration::Settings>,
    churn: Option<churn::Settings>,
    watch_cost: Option<watch::cost::Settings>,
    slots: Option<slots::Settings>,
}

impl Experiments {
    fn asked_for(cli: Cli) -> Result<Self, String> {
        let none = |common| Self {
            common,
            survey: None,
            handoff: None,
            registration: None,
            churn: None,
            watch_cost: None,
            slots: None,
        };
        let heap = heap::held_by_this_thread;
        let survey = |args: &PathsArgs| Ok::<_, String>(Some((args.settings()?, args.processes())));
        Ok(match cli.command {
            None => {
                Self { survey: survey(&cli.paths)?, handoff: cli.paths.handoff(), ..none(cli.paths.common) }
            }
            Some(Command::Paths(args) | Command::Take(args)) => {
                Self { survey: survey(&args)?, handoff: args.handoff(), ..none(args.common) }
            }
            Some(Command::Registration(args)) => {
                Self { registration: Some(args.settings(heap)), ..none(args.common) }
            }
            Some(Command::Watch(_)) => return Err("watch measures nothing".to_owned()),
            Some(Command::WatchCost(args)) => Self { watch_cost: Some(args.settings()), ..none(args.common) },
            Some(Command::Slots(args)) => Self { slots: Some(args.settings()), ..none(args.common) },
            Some(Command::Churn(args)) => Self { churn: Some(args.settings()), ..none(args.common) },
            Some(Command::All(common)) => Self {
                survey: survey(&PathsArgs::defaults(&common))?,
                handoff: PathsArgs::defaults(&common).handoff(),
                registration: Some(RegistrationArgs::defaults(&common).settings(heap)),
                churn: Some(ChurnArgs::defaults(&common).settings()),
                watch_cost: Some(WatchCostArgs::defaults(&common).settings()),
                slots: Some(SlotsArgs::defaults(&common).settings()),
                common,
            },
        })
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(Command::Take(args)) = &cli.command {
        return match args.settings().map(|settings| takes::perform(&settings)) {
            Ok(Ok(())) => ExitCode::SUCCESS,
            Ok(Err(error)) => refuse(&error.to_string()),
            Err(message) => refuse(&message),
        };
    }
    if let Some(Command::Watch(args)) = &cli.command {
        return match watch::command::perform(args) {
            Ok(is_right) if args.check && !is_right => ExitCode::from(TARGET_MISSED),
            Ok(_) => ExitCode::SUCCESS,
            Err(message) => refuse(&message),
        };
    }
    let (experiments, mut destination) = match prepare(cli) {
        Ok(prepared) => prepared,
        Err(message) => return refuse(&message),
    };
    let mut report = match &destination {
        Some(destination) if destination.is_stdout() => Report::to(io::stderr()),
        _ => Report::to(io::stdout()),
    };
    let document = match measure(&experiments, &mut report) {
        Ok(document) => document,
        Err(message) => return refuse(&message),
    };
    if let Some(destination) = &mut destination
        && let Err(error) = destination.write(&document)
    {
        return refuse(&error.to_string());
    }
    match report.failed {
        Some(error) => refuse(&format!("cannot print the report: {error}")),
        None if experiments.common.check && document.targets.iter().any(|target| !target.met) => {
            ExitCode::from(TARGET_MISSED)
        }
        None => ExitCode::SUCCESS,
    }
}

/// Everything that can be refused before time is spent on measuring.
fn prepare(cli: Cli) -> Result<(Experiments, Option<Destination>), String> {
    let experiments = Experiments::asked_for(cli)?;
    let json = experiments.common.json.as_deref();
    let destination = json.map(Destination::open).transpose().map_err(|error| error.to_string())?;
    Ok((experiments, destination))
}

/// Runs what was asked for and prints each report as soon as it is there.
fn measure(experiments: &Experiments, report: &mut Report) -> Result<Document, String> {
    let progress = if experiments.common.quiet { Progress::silent() } else { Progress::automatic() };
    let colour = report.colour;
    let machine = Machine::this();
    report.print(&machine.heading());

    let mut targets: Vec<Target> = Vec::new();
    let mut document = Document {
        schema: SCHEMA,
        machine,
        rows: Rows::Paths(Vec::new()),
        rounds: None,
        processes: None,
        registration: None,
        churn: None,
        handoff: None,
        watch_cost: None,
        slots: None,
        targets: Vec::new(),
    };
    if let Some((settings, processes)) = &experiments.survey {
        let measured = takes::run(settings, *processes, &progress)?;
        report.print(&report::survey(&measured, settings.plan.rounds, *processes, colour));
        targets.extend(target::of_survey(&measured));
        document.rows = Rows::Paths(measured.rows());
        document.rounds = Some(settings.plan.rounds * processes);
        document.processes = Some(*processes);
    }
    if let Some(settings) = &experiments.handoff {
        let outcome = settings.run(&progress);
        report.print(&outcome.report(colour));
        targets.extend(outcome.targets());
        document.handoff = Some(outcome);
    }
    if let Some(settings) = &experiments.registration {
        let outcome = settings.run(&progress);
        report.print(&outcome.report(colour));
        targets.extend(outcome.targets());
        document.registration = Some(outcome);
    }
    if let Some(settings) = &experiments.churn {
        let outcome = settings.run(&progress);
        report.print(&outcome.report(colour));
        targets.extend(outcome.targets());
        document.churn = Some(outcome);
    }
    if let Some(settings) = &experiments.watch_cost {
        let outcome = settings
            .run(&progress)
            .map_err(|error| format!("cannot measure what watching costs: {error}"))?;
        report.print(&outcome.report(colour));
        targets.extend(outcome.targets());
        document.watch_cost = Some(outcome);
    }
    if let Some(settings) = &experiments.slots {
        let outcome = settings.run(&progress)?;
        report.print(&outcome.report(colour));
        targets.extend(outcome.targets());
        if experiments.survey.is_none() {
            document.rows = Rows::Slots(outcome.rows.clone());
        }
        document.slots = Some(outcome);
    }
    report.print(&report::targets(&targets, colour));
    document.targets = targets;
    Ok(document)
}

/// Where the report goes. A failure to print is kept until the numbers are written.
struct Report {
    to: Box<dyn Write>,
    colour: Colour,
    failed: Option<io::Error>,
}

impl Report {
    fn to(stream: impl Write + IsTerminal + 'static) -> Self {
        Self { colour: Colour::for_stream(&stream), to: Box::new(stream), failed: None }
    }

    fn print(&mut self, text: &str) {
        if self.failed.is_some() {
            return;
        }
        let printed = self.to.write_all(text.as_bytes()).and_then(|()| self.to.flush());
        self.failed = printed.err();
    }
}

/// Says what is wrong as clap does, and which code to leave with.
fn refuse(message: &str) -> ExitCode {
    // Standard error is the last place to say it; if it is closed there is nobody to tell.
    let _ = writeln!(io::stderr(), "error: {message}");
    ExitCode::from(WRONG_USAGE)
}
