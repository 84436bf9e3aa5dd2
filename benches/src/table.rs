//! Text in columns, with colour where it is wanted.
//!
//! Owns alignment, how numbers are written, and the decision about colour: on a terminal, unless `NO_COLOR` is set.

use std::io::IsTerminal;

/// How a cell stands out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// The best of its column; a target that is met.
    Good,
    /// A target that is missed.
    Bad,
    /// Not what the reader looks for first.
    Quiet,
}

/// Whether tones become colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour(pub bool);

impl Colour {
    /// For what goes to this stream: only a terminal, and never when `NO_COLOR` is set.
    pub fn for_stream(stream: &impl IsTerminal) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self(stream.is_terminal() && !refused)
    }

    /// The text with its tone.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            _ if !self.0 => return text.to_owned(),
            Tone::Plain => return text.to_owned(),
            Tone::Good => "1;32",
            Tone::Bad => "1;31",
            Tone::Quiet => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// One cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell that stands out.
    pub fn toned(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: text.into(), tone }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), tone: Tone::Plain }
    }
}

/// Rows of cells: the first column flush left, the others flush right.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Vec<Cell>>,
    flush_left: bool,
}

impl Table {
    /// A table with these column heads.
    pub fn headed(head: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let head = head.into_iter().map(|text| Cell::toned(Tone::Quiet, text)).collect();
        Self { rows: vec![head], flush_left: false }
    }

    /// All columns flush left: for words.
    #[must_use]
    pub fn flush_left(self) -> Self {
        Self { flush_left: true, ..self }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table as lines, each indented by two.
    pub fn render(&self, colour: Colour) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.text.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let padding = " ".repeat(widths[column] - cell.text.chars().count());
                let painted = colour.paint(cell.tone, &cell.text);
                line += "  ";
                let left = column == 0 || self.flush_left;
                line += &if left { painted + &padding } else { padding + &painted };
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}

/// A whole number with a comma between its thousands.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many of something: `1 round`, `2 rounds`.
pub fn counted(number: usize, what: &str) -> String {
    format!("{} {what}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// Nanoseconds with three digits or so, and thousands set apart.
pub fn nanoseconds(ns: f64) -> String {
    match ns {
        ns if ns < 10.0 => format!("{ns:.2}"),
        ns if ns < 1000.0 => format!("{ns:.1}"),
        ns => grouped(ns.round() as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::headed(["path", "1"]);
        table.row(["raw-loop".into(), Cell::toned(Tone::Good, "≤ 2.0")]);
        table
    }

    #[test]
    fn columns_line_up_by_characters() {
        assert_eq!(table().render(Colour(false)), "  path          1\n  raw-loop  ≤ 2.0\n");
    }

    #[test]
    fn words_stand_flush_left_in_every_column() {
        let mut table = table().flush_left();
        table.row(["x".into(), "≥".into()]);
        assert_eq!(table.render(Colour(false)), "  path      1\n  raw-loop  ≤ 2.0\n  x         ≥\n");
    }

    #[test]
    fn without_colour_there_is_no_escape_and_with_it_the_same_text() {
        assert!(!table().render(Colour(false)).contains('\x1b'));
        let coloured = table().render(Colour(true));
        assert!(coloured.contains("\x1b[1;32m≤ 2.0\x1b[0m"));
    }

    #[test]
    fn thousands_are_set_apart_and_one_is_singular() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([1, 1024].map(|n| counted(n, "round")), ["1 round", "1,024 rounds"]);
    }

    #[test]
    fn nanoseconds_have_the_digits_that_matter() {
        assert_eq!([0.414, 12.34, 1999.6].map(nanoseconds), ["0.41", "12.3", "2,000"]);
    }
}
