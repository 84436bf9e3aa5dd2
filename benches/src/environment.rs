//! `lab env`: what this machine can and cannot measure.
//!
//! Owns the order of things and the report.
//!
//! | file | owns |
//! |---|---|
//! | `system` | what the system says of itself |
//! | `probe` | what is found out by trying |
//! | `verdict` | what follows from both, in words |

pub mod probe;
pub mod system;
pub mod verdict;

use crate::{
    cli::CommonArgs,
    exit::Performed,
    session::Session,
    stop,
    table::{Cell, Colour, Table, Tone, nanoseconds},
};
use probe::{Lengths, Probe};
use serde::Serialize;
use system::System;
use verdict::{Verdict, verdicts};

/// Settings of `lab env`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArgs,
}

const EXAMPLES: &str = "\
Examples:
  lab env                                      what this machine can and cannot measure; a second
  lab env --json - --quiet | jq -r '.environment.verdicts[] | select(.can == false) | .about'
  taskset -c 2 lab env                         the same for one core of it

What the system does not say is unknown; of systems other than Linux that is most of it. What is
tried, is tried while others use the machine: try again when it is quiet.

Exit codes: 0 looked at, 2 wrong usage or a file that cannot be written, 130 interrupted.";

/// What came out.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// What the system says.
    pub system: System,
    /// What was found out by trying.
    pub probe: Probe,
    /// What this machine can and cannot measure.
    pub verdicts: Vec<Verdict>,
}

/// Runs it.
///
/// # Errors
/// In words, when it cannot be done.
pub fn perform(args: &Args) -> Performed {
    let mut session = Session::open(&args.common)?;
    let mut document = session.document();
    session.progress.start(2);
    session.progress.step("what the system says");
    let machine = session.machine.clone();
    let system = System::this(&machine.cpu, &machine.barrier, machine.load);
    session.progress.advance();
    document.partial = stop::is_asked();
    if !document.partial {
        session.progress.step("what the machine does to a thread");
        let probe = Probe::this(Lengths::of(args.common.quick));
        session.progress.advance();
        session.progress.finish();
        let verdicts = verdicts(&system, &probe, machine.profile == "release");
        let outcome = Outcome { system, probe, verdicts };
        session.print(&outcome.report(session.colour));
        document.partial = stop::is_asked();
        document.environment = Some(outcome);
    }
    session.progress.finish();
    session.close(&document)
}

impl Outcome {
    /// Two tables: the figures, and what they mean.
    pub fn report(&self, colour: Colour) -> String {
        let mut figures = Table::default().flush_left();
        for (what, figure) in self.system.figures().into_iter().chain(self.probe.figures()) {
            figures
                .row([what.into(), figure.map_or_else(|| Cell::toned(Tone::Quiet, "unknown"), Cell::from)]);
        }
        let mut answers = Table::default().flush_left();
        for Verdict { about, can, words } in &self.verdicts {
            let (tone, can) = match can {
                Some(true) => (Tone::Good, "can"),
                Some(false) => (Tone::Bad, "cannot"),
                None => (Tone::Quiet, "unknown"),
            };
            let mut lines = wrapped(words, 88).into_iter();
            answers.row([Cell::toned(tone, can), (*about).into(), lines.next().unwrap_or_default().into()]);
            lines.for_each(|line| answers.row(["".into(), "".into(), line.into()]));
        }
        format!(
            "\nThis machine\n{}\nWhat it can and cannot measure\n{}",
            figures.render(colour),
            answers.render(colour)
        )
    }
}

/// Lines of at most so many characters, broken between words.
fn wrapped(words: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

type Figure = (&'static str, Option<String>);

fn yes_or_no(fact: Option<bool>) -> Option<String> {
    fact.map(|fact| if fact { "yes" } else { "no" }.to_owned())
}

impl System {
    fn figures(&self) -> Vec<Figure> {
        let machine = match (self.virtual_machine, &self.hypervisor) {
            (Some(true), Some(name)) => Some(format!("yes: {name}")),
            (fact, _) => yes_or_no(fact),
        };
        let paranoid = self.perf_event_paranoid.map(|level| format!("perf_event_paranoid {level}"));
        vec![
            ("processor", Some(self.cpu.clone())),
            ("cores online", self.cores_online.map(|cores| cores.to_string())),
            ("cores allowed", Some(self.cores_allowed.to_string())),
            ("physical cores among them", self.cores_apart.map(|cores| cores.to_string())),
            (
                "granted by a control group",
                self.quota_cores.map_or_else(no_limit, |cores| Some(format!("{cores} cores"))),
            ),
            ("frequency governor", self.governor.clone()),
            ("boost", yes_or_no(self.boost)),
            ("virtual machine", machine),
            ("load", self.load.map(|load| format!("{load:.2}"))),
            ("clock source", self.clock_source.clone()),
            ("addresses differ (ASLR)", yes_or_no(self.aslr)),
            ("processor's counters", yes_or_no(self.counters)),
            ("who may count", paranoid),
            ("membarrier(2)", yes_or_no(self.membarrier)),
            ("signalpost's barrier", Some(self.barrier.clone())),
            ("valgrind", Some(self.valgrind.clone().unwrap_or_else(|| "not installed".to_owned()))),
        ]
    }
}

fn no_limit() -> Option<String> {
    cfg!(target_os = "linux").then(|| "no limit".to_owned())
}

impl Probe {
    fn figures(&self) -> Vec<Figure> {
        let spin = &self.spin;
        let ms = |ns: u64| format!("{:.3} ms", ns as f64 / 1e6);
        vec![
            ("threads stay where bound", yes_or_no(Some(self.pinning))),
            ("a look at the clock", Some(format!("{} ns", nanoseconds(self.clock_cost_ns)))),
            ("its smallest step", Some(format!("{} ns", self.clock_step_ns))),
            (
                "longest gap while spinning",
                Some(format!("{} in {:.0} ms", ms(spin.longest_gap_ns), spin.took_ns as f64 / 1e6)),
            ),
            ("gaps above 10 µs", Some(spin.gaps_over_10us.to_string())),
            ("away, all gaps above 1 µs", Some(ms(spin.away_ns))),
            (
                "had to leave the core",
                spin.switched_away.map(|times| crate::table::counted(times as usize, "time")),
            ),
            (
                "cores' worth of work at once",
                Some(format!("{:.2} by {} threads", self.cores_at_once, self.threads_at_once)),
            ),
            ("half of equal batches within", Some(format!("{:.1} %", self.repeats_within_percent))),
            ("stolen by the host", self.steal_percent.map(|percent| format!("{percent:.1} %"))),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_answers_are_broken_between_words_and_lose_none() {
        let words = "not below 15 µs: the machine takes a spinning thread away";
        let lines = wrapped(words, 20);
        assert!(lines.len() > 2 && lines.iter().all(|line| line.chars().count() <= 20), "{lines:?}");
        assert_eq!(lines.join(" "), words);
    }
}
