//! A comparison for people: a table, Markdown, and what to do about what could not be compared.
//!
//! Owns their words. Not here: what is in them (`judge.rs`).

use super::judge::{Counted, FEWEST, MISSED, Name, Outcome, Row, Side, Verdict};
use crate::{
    cli::Cli,
    measure::{Better, Unit},
    table::{Cell, Colour, Table, Tone, counted, grouped, nanoseconds},
};
use clap::CommandFactory;

const HEAD: [&str; 8] = ["case", "metric", "base", "new", "change", "between", "limit", ""];

impl Outcome {
    /// The table of this comparison, and what it comes to.
    pub fn report(&self, colour: Colour) -> String {
        let mut text = format!("\n{}\n", colour.paint(Tone::Good, &self.title()));
        text += &format!("  base  {}\n  new   {}\n", side(&self.base), side(&self.new));
        for difference in &self.differences {
            text += &format!("  {}  {}\n", self.weight(difference.forbids), difference.in_words());
        }
        for (which, side) in [("base", &self.base), ("new", &self.new)] {
            for warning in &side.warnings {
                text += &format!("  warning  {which}: {warning}\n");
            }
        }
        if !self.rows.is_empty() {
            let mut table = Table::headed(HEAD);
            for row in &self.rows {
                let tone = tone(row.verdict);
                let mut cells = row.cells().map(Cell::from);
                cells[5] = Cell::toned(Tone::Quiet, row.between());
                cells[7] = Cell::toned(tone, row.verdict.in_words());
                table.row(cells);
            }
            text += &format!("\n{}", table.render(colour));
        }
        text + "\n" + &self.summary(colour)
    }

    /// The same as Markdown, for a comment.
    pub fn markdown(&self) -> String {
        let escaped = |text: &str| text.replace('|', "\\|");
        let mut text =
            format!("### {}\n\n- base: {}\n- new: {}\n", self.title(), side(&self.base), side(&self.new));
        for difference in &self.differences {
            text += &format!("- {}: {}\n", self.weight(difference.forbids).trim(), difference.in_words());
        }
        if !self.rows.is_empty() {
            text += &format!("\n| {} |\n|---|---|--:|--:|--:|--:|--:|---|\n", HEAD.join(" | "));
            for row in &self.rows {
                let words = row.verdict.in_words();
                let words =
                    if row.verdict == Verdict::Regressed { format!("**{words}**") } else { words.to_owned() };
                let mut cells = row.cells();
                cells[7] = words;
                text += &format!("| {} |\n", cells.map(|cell| escaped(&cell)).join(" | "));
            }
        }
        text += "\n";
        for line in self.summary(Colour(false)).lines() {
            text += &format!("{}\n", line.trim());
        }
        text
    }

    fn title(&self) -> String {
        match (self.interleaved, self.rows.first()) {
            (true, Some(row)) => format!("Two builds compared, in {}", counted(row.repeats[0], "round")),
            (true, None) => "Two builds compared".to_owned(),
            (false, _) => "Two files compared".to_owned(),
        }
    }

    const fn weight(&self, forbids: bool) -> &'static str {
        match (forbids, self.comparable) {
            (true, false) => "differs",
            (true, true) => "warning",
            (false, _) => "note   ",
        }
    }

    fn summary(&self, colour: Colour) -> String {
        if !self.comparable {
            return format!(
                "  {}: they are not of the same measurement. Measure both on one machine with the same settings, let\n  \
                 `lab compare --ab OTHER_BINARY` run two builds in turns, or compare all the same with --anyway.\n",
                colour.paint(Tone::Bad, "not comparable")
            );
        }
        let mut text = String::new();
        for row in self.with(Verdict::Regressed) {
            let Row { case, metric, .. } = row;
            let limit = row.limit.as_deref().unwrap_or_default();
            let what = colour.paint(Tone::Bad, "regressed");
            text += &format!(
                "  {what}: {case}: {metric} {}, between {}: beyond {limit}\n",
                row.change_shown(),
                row.between()
            );
        }
        text += &self.listed("missing in the new one", &self.missing);
        if !self.missing.is_empty() && !self.may_miss {
            text +=
                "  Figures are missing: measure with the same settings, or allow it with --allow-missing.\n";
        }
        text += &self.listed("only in the new one", &self.added);
        text += &self.too_few();
        for row in self.rows.iter().filter(|row| row.metric == "missed" && row.base > MISSED) {
            text += &format!(
                "  {}: the base missed {:.1} % of its starts: the machine was too busy for its latencies to be judged.\n",
                row.case, row.base
            );
        }
        let unclear = self.with(Verdict::Unclear).count();
        if unclear > 0 {
            text += &format!(
                "  {}: noise may hide a change beyond the limit. {}.\n",
                counted(unclear, "figure"),
                match (self.interleaved, more_repeats(&self.new.command)) {
                    (true, _) => "More --rounds tell".to_owned(),
                    (false, Some(option)) => format!("More {option} tell, or `lab compare --ab`"),
                    (false, None) => "`lab compare --ab` tells more".to_owned(),
                }
            );
        }
        let count = |verdict| self.with(verdict).count();
        let limits = self.rows.iter().filter(|row| row.limit.is_some()).count();
        text += &format!(
            "  {} compared, {limits} with a limit: {} regressed, {} worse within the limit or without one, {} better.\n",
            counted(self.rows.len(), "figure"),
            count(Verdict::Regressed),
            count(Verdict::Worse),
            count(Verdict::Better),
        );
        text
    }

    fn listed(&self, what: &str, names: &[Name]) -> String {
        names.iter().map(|Name { case, metric }| format!("  {what}: {case}: {metric}\n")).collect()
    }

    fn too_few(&self) -> String {
        let mut text = String::new();
        for row in self.with(Verdict::TooFewRepeats).filter(|row| row.limit.is_some()) {
            let [base, new] = row.repeats;
            text += &format!("  too few repeats: {}: {} ({base} and {new})\n", row.case, row.metric);
        }
        if text.is_empty() {
            return text;
        }
        text + &match more_repeats(&self.new.command) {
            Some(option) => {
                format!(
                    "  At least {FEWEST} on each side are compared: measure both again with {option} {FEWEST} or more.\n"
                )
            }
            None => format!(
                "  At least {FEWEST} on each side are compared: measure both again with more of them.\n"
            ),
        }
    }
}

/// The option of a command that gives more repeats.
fn more_repeats(command: &[String]) -> Option<String> {
    let lab = Cli::command();
    let command = lab.find_subcommand(command.first()?)?;
    let names = ["processes", "repeats", "pairs", "rounds"];
    let is_option = |name: &&str| command.get_arguments().any(|arg| arg.get_long() == Some(*name));
    names.into_iter().find(is_option).map(|name| format!("--{name}"))
}

fn side(side: &Side) -> String {
    let Side { name, machine, command, .. } = side;
    format!(
        "{name}: commit {}, {}, {}; lab {}",
        machine.commit,
        machine.profile,
        machine.flags,
        command.join(" ")
    )
}

const fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Regressed | Verdict::TooFewRepeats => Tone::Bad,
        Verdict::Better => Tone::Good,
        Verdict::Worse => Tone::Plain,
        Verdict::TooSmall | Verdict::Same | Verdict::Unclear => Tone::Quiet,
    }
}

impl Verdict {
    /// For people.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Regressed => "regressed",
            Self::Worse => "worse",
            Self::Better => "better",
            Self::TooSmall => "too small to count",
            Self::Same => "no difference that can be told",
            Self::Unclear => "no difference that can be told; too noisy for the limit",
            Self::TooFewRepeats => "too few repeats",
        }
    }
}

impl Row {
    /// In the order of the table's head.
    fn cells(&self) -> [String; 8] {
        [
            self.case.clone(),
            self.metric.clone(),
            value(self.unit, self.base),
            value(self.unit, self.new),
            self.change_shown(),
            self.between(),
            // The metric has a column of its own.
            self.limit.as_deref().and_then(|limit| limit.rsplit(':').next()).unwrap_or("-").to_owned(),
            self.verdict.in_words().to_owned(),
        ]
    }

    /// The change with its sign and unit.
    pub fn change_shown(&self) -> String {
        format!("{} {}", signed(self.change.middle), self.counted_in())
    }

    /// How much worse it is: below zero where it is better.
    pub const fn worsening(&self) -> f64 {
        match self.better {
            Better::Lower => self.change.middle,
            Better::Higher => -self.change.middle,
        }
    }

    fn between(&self) -> String {
        let (low, high) = (signed(self.change.low), signed(self.change.high));
        if low == high { low } else { format!("{low} .. {high}") }
    }

    const fn counted_in(&self) -> &'static str {
        match (self.counted, self.unit) {
            (Counted::Percent, _) => "%",
            (Counted::Unit, Unit::Percent) => "points",
            (Counted::Unit, Unit::Nanoseconds) => "ns",
            (Counted::Unit, Unit::PerSecond) => "/s",
            (Counted::Unit, Unit::Instructions) => "instructions",
            (Counted::Unit, Unit::Bytes) => "bytes",
            (Counted::Unit, Unit::Times) => "x",
        }
    }
}

fn signed(number: f64) -> String {
    let text = format!("{number:+.1}");
    if text == "-0.0" { "+0.0".to_owned() } else { text }
}

fn value(unit: Unit, number: f64) -> String {
    let plain = |number: f64| match number {
        number if number.abs() < 1000.0 => format!("{number:.1}"),
        number => {
            format!("{}{}", if number < 0.0 { "-" } else { "" }, grouped(number.abs().round() as usize))
        }
    };
    match unit {
        Unit::Nanoseconds if number >= 0.0 => format!("{} ns", nanoseconds(number)),
        Unit::Nanoseconds => format!("{} ns", plain(number)),
        Unit::PerSecond => format!("{}/s", plain(number)),
        Unit::Instructions => plain(number),
        Unit::Percent => format!("{number:.2} %"),
        Unit::Bytes => format!("{} B", plain(number)),
        Unit::Times => format!("{number:.2} x"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_that_gives_more_repeats_is_the_command_s_own() {
        let option = |command: &str| more_repeats(&[command.to_owned()]);
        assert_eq!(option("paths").as_deref(), Some("--processes"));
        assert_eq!(option("registration").as_deref(), Some("--repeats"));
        assert_eq!(option("churn").as_deref(), Some("--pairs"));
        assert_eq!(option("slots").as_deref(), Some("--rounds"));
        assert_eq!(option("frobnicate"), None);
        assert_eq!(more_repeats(&[]), None);
    }

    #[test]
    fn values_have_their_unit_and_zero_no_minus() {
        assert_eq!(value(Unit::Nanoseconds, 22.14), "22.1 ns");
        assert_eq!(value(Unit::PerSecond, 1_234_567.0), "1,234,567/s");
        assert_eq!(value(Unit::Percent, 0.5), "0.50 %");
        assert_eq!((signed(-0.01).as_str(), signed(-3.21).as_str()), ("+0.0", "-3.2"));
    }
}
