//! What a gate says: a line for each baseline, and all of what is not fine.
//!
//! Owns the words.

use super::{Judged, Outcome};
use crate::{
    compare::judge::Verdict,
    exit::Exit,
    table::{Cell, Colour, Table, Tone, counted},
};

impl Outcome {
    /// The comparisons that need a look, and the table of all baselines.
    pub(super) fn report(&self, colour: Colour) -> String {
        let mut text = String::new();
        for judged in self.baselines.iter().filter(|judged| judged.exit != Exit::Fine) {
            if let Some(comparison) = &judged.comparison {
                text += &comparison.report(colour);
            }
        }
        let mut table =
            Table::headed(["baseline", "result", "figures", "worst change", "command"]).flush_left();
        for judged in &self.baselines {
            table.row(judged.cells());
        }
        let title = counted(self.baselines.len(), "baseline");
        text += &format!("\n{}\n{}", colour.paint(Tone::Good, &title), table.render(colour));
        for judged in &self.baselines {
            if let Some(said) = &judged.said {
                text += &format!("  {}: {}\n", judged.file, said.trim_end().replace('\n', "\n    "));
            }
        }
        text
    }
}

impl Judged {
    fn cells(&self) -> [Cell; 5] {
        let (tone, result) = match (self.exit, &self.comparison, &self.said) {
            (Exit::Fine, _, Some(_)) if self.comparison.is_none() => (Tone::Quiet, "see below"),
            (Exit::Fine, _, Some(_)) => (Tone::Plain, "replaced"),
            (Exit::Fine, ..) => (Tone::Good, "fine"),
            (Exit::Regressed, ..) => (Tone::Bad, "regressed"),
            (Exit::Usage, Some(_), _) => (Tone::Bad, "too few repeats"),
            (Exit::Usage, ..) => (Tone::Bad, "failed"),
            (Exit::NoBaseline, ..) => (Tone::Bad, "no baseline"),
            (Exit::NotComparable, ..) => (Tone::Bad, "not comparable"),
            (Exit::Interrupted, ..) => (Tone::Bad, "interrupted"),
        };
        let rows = self.comparison.as_ref().map(|comparison| &comparison.rows[..]).unwrap_or_default();
        let worse = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
        let figures = match worse(Verdict::Regressed) {
            _ if rows.is_empty() => "-".to_owned(),
            0 => rows.len().to_string(),
            regressed => format!("{regressed} of {}", rows.len()),
        };
        let with_limit = rows.iter().filter(|row| row.limit.is_some());
        let worst = with_limit.max_by(|a, b| a.worsening().total_cmp(&b.worsening()));
        let worst = worst.map_or("-".to_owned(), |row| format!("{} {}", row.change_shown(), row.metric));
        let command = format!("lab {}", self.command.join(" "));
        [
            self.file.clone().into(),
            Cell::toned(tone, result),
            figures.into(),
            worst.into(),
            Cell::toned(Tone::Quiet, command),
        ]
    }
}
