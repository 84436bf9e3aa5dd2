//! How far a measurement is: a bar on a terminal, lines in a pipe, or nothing.
//!
//! Always on standard error, so that reports can be redirected. Drawn between rounds, never during
//! one. A process that measures for another one (`takes.rs`) tells it on standard output.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    ffi::OsString,
    io::{self, IsTerminal, Write},
};

/// Where progress goes.
#[derive(Debug)]
pub struct Progress(Shown);

#[derive(Debug)]
enum Shown {
    Bar(ProgressBar),
    Lines,
    Told,
    Nothing,
}

/// What a measuring process says for a round that is done; any other word is what it measures now.
pub const ROUND: &str = "round";

impl Progress {
    /// A bar if standard error is a terminal that takes one, else a line for each step.
    pub fn automatic() -> Self {
        if !io::stderr().is_terminal() || !takes_bars(|name| std::env::var_os(name)) {
            return Self(Shown::Lines);
        }
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}")
            .expect("the template is well formed");
        bar.set_style(style);
        Self(Shown::Bar(bar))
    }

    /// For the process that started this one.
    pub const fn told() -> Self {
        Self(Shown::Told)
    }

    /// Nothing at all.
    pub const fn silent() -> Self {
        Self(Shown::Nothing)
    }

    /// A new measurement of so many rounds.
    pub fn start(&self, rounds: u64) {
        if let Shown::Bar(bar) = &self.0 {
            bar.reset();
            bar.set_length(rounds);
        }
    }

    /// What is measured now.
    pub fn step(&self, what: &str) {
        match &self.0 {
            Shown::Bar(bar) => bar.set_message(what.to_owned()),
            // Whoever closed standard error does not want to hear of it.
            Shown::Lines => drop(writeln!(io::stderr(), "measuring: {what}")),
            Shown::Told => drop(writeln!(io::stdout(), "{what}")),
            Shown::Nothing => {}
        }
    }

    /// One round is done.
    pub fn advance(&self) {
        match &self.0 {
            Shown::Bar(bar) => bar.inc(1),
            Shown::Told => drop(writeln!(io::stdout(), "{ROUND}")),
            Shown::Lines | Shown::Nothing => {}
        }
    }

    /// The measurement is over.
    pub fn finish(&self) {
        if let Shown::Bar(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Whether the environment lets a terminal have bars: not in CI, not with `NO_COLOR`, whose users want plain text, and not where
/// nothing that was written can be taken back.
fn takes_bars(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let is_set = |name| variable(name).is_some_and(|value| !value.is_empty());
    !is_set("CI") && !is_set("NO_COLOR") && variable("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_bar_in_ci_nor_without_colour_nor_on_a_dumb_terminal() {
        let with = |name: &'static str, value: &'static str| {
            takes_bars(move |asked| (asked == name).then(|| OsString::from(value)))
        };
        assert!(with("TERM", "xterm-256color") && with("OTHER", "") && with("NO_COLOR", ""));
        assert!(!with("CI", "true") && !with("NO_COLOR", "1") && !with("TERM", "dumb"));
    }
}
